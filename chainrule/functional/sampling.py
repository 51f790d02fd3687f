"""Images and volumes sampled at given places, such as those of an affine map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.batched import everywhere
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import sampling as kernel

# Three products of an image x (N, C, S), weights w (N, T, K) and a gradient g (N, C, T), where K elements of the image have
# weights for each place t. The sum of all g[n, c, t] w[n, t, k] x[n, c, index[n, t, k]] is linear in each of the three, and so
# each product is the derivative of the others.


@primitive
def _pull(x: Array, w: Array, index: Array) -> Array:
    return kernel.pull(x, w, index)


@primitive
def _push(g: Array, w: Array, index: Array, size: int) -> Array:
    return kernel.push(g, w, index, size)


@primitive
def _pair(g: Array, x: Array, index: Array) -> Array:
    return kernel.pair(g, x, index)


define_rule(
    _pull,
    x=lambda g, w, index, x_shape: _push(g, w, index, x_shape[2]),
    w=lambda g, x, index: _pair(g, x, index),
    linear="separately",
)
define_rule(
    _push,
    ignores=("size",),
    g=lambda h, w, index: _pull(h, w, index),
    w=lambda h, g, index: _pair(g, h, index),
    linear="separately",
)
define_rule(
    _pair,
    g=lambda h, x, index: _pull(x, h, index),
    x=lambda h, g, index, x_shape: _push(g, h, index, x_shape[2]),
    linear="separately",
)


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Sample images at given places, by interpolation: y[n, c, i, j] = x[n, c] at grid[n, i, j].

    The places are (x, y) or (x, y, z), the last axis of the image first, and lie between -1 and 1.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, OH, OW, 2) or (N, OD, OH, OW, 3), of floats.
        mode: ``"bilinear"`` (of volumes: trilinear), ``"nearest"``, or ``"bicubic"`` (Keys' with a = -3/4; of images alone).
        padding_mode: what lies outside of the image: ``"zeros"``, its ``"border"``, or its ``"reflection"``.
        align_corners: whether -1 and 1 are the centres of the first and the last elements; by default they are the outer edges.

    Returns:
        (N, C, OH, OW) or (N, C, OD, OH, OW); differentiable in the input, and in the grid but for ``"nearest"``.

    Raises:
        ValueError: the shapes do not belong together, or a mode is unknown.

    Source: M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, Spatial Transformer Networks (2015).

    >>> import numpy as np, chainrule.functional as F
    >>> image, place = np.array([[[[0.0, 1.0], [2.0, 3.0]]]]), np.array([[[[0.0, 0.0], [0.5, -0.5]]]])
    >>> F.grid_sample(image, place)
    array([[[[1.5, 1. ]]]])
    """
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != n or len(grid) != len(input) or min(input.shape[2:]) < 1:
        raise ValueError(
            "grid_sample: expected an input (N, C, H, W) and a grid (N, OH, OW, 2), or (N, C, D, H, W) and (N, OD, OH, OW, 3), "
            f"got {input.shape} and {grid.shape}"
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and n == 3):
        raise ValueError(f"grid_sample: mode is 'bilinear', 'nearest' or, of images, 'bicubic', not {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode is 'zeros', 'border' or 'reflection', not {padding_mode!r}")
    size = input.shape[2:]
    places = np.reshape(grid, (len(grid), math.prod(grid.shape[1:-1]), n))
    taps = [
        _taps(places[:, :, n - 1 - axis], length, mode, padding_mode, bool(align_corners)) for axis, length in enumerate(size)
    ]
    index, weight = taps[0]
    for length, (next_index, next_weight) in zip(size[1:], taps[1:], strict=True):
        index = _crossed(index * length, next_index, np.add)
        weight = _crossed(weight, next_weight, np.multiply)
    y = _pull(np.reshape(input, (*input.shape[:2], math.prod(size))), weight.astype(input.dtype), index)
    return np.reshape(y, (*input.shape[:2], *grid.shape[1:-1]))


def _crossed(taps: Any, axis: Any, combine: Any) -> Any:
    """The taps along some axes with those along the next: (N, T, J) and (N, T, K) to (N, T, J K)."""
    return np.reshape(combine(taps[..., :, None], axis[..., None, :]), (*taps.shape[:2], taps.shape[2] * axis.shape[2]))


def _taps(place: Any, size: int, mode: str, padding_mode: str, align_corners: bool) -> tuple[Array, Any]:
    """Which elements of an axis make each place between -1 and 1, and their weights: two (N, T, K)."""
    place = (place + 1) * ((size - 1) / 2) if align_corners else ((place + 1) * size - 1) / 2
    if not everywhere(finite := np.isfinite(unwrap(place))):
        place = np.where(finite, place, -100.0)  # outside
    if mode != "bicubic":
        place = _inside(place, size, padding_mode, align_corners)
    values = unwrap(place)
    if mode == "nearest":
        index, weight = np.rint(values).astype(np.int64)[..., None], np.ones((*values.shape, 1), values.dtype)
    else:
        first = np.floor(values)
        t = place - first
        weight = np.stack([1 - t, t] if mode == "bilinear" else _cubic(t), axis=-1)
        index = first.astype(np.int64)[..., None] + (np.arange(2) if mode == "bilinear" else np.arange(-1, 3))
    if mode == "bicubic" and padding_mode != "zeros":
        index = _inside(index.astype(values.dtype), size, padding_mode, align_corners).astype(np.int64)
    inside = (index >= 0) & (index < size)
    return np.clip(index, 0, size - 1), weight if everywhere(inside) else weight * inside


def _cubic(t: Any, a: float = -0.75) -> list[Any]:
    """The weights of the elements at -1, 0, 1 and 2, for a place between 0 and 1."""

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _inside(place: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """The places that those outside of an axis stand for."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
        distance = np.abs(place - low) if span else place * 0
        times = np.floor(unwrap(distance) / (span or 1))
        within = distance - times * span
        place = np.where(times % 2 == 0, within, span - within) + low
    return np.clip(place, 0, size - 1)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The places of an affine map, for ``grid_sample``: theta (x, y, 1)^T at each pixel's place (x, y) between -1 and 1.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes.
        size: the shape of the images that are to be sampled: (N, C, H, W) or (N, C, D, H, W).
        align_corners: as of ``grid_sample``.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3).

    Raises:
        ValueError: the shapes do not belong together.

    >>> import numpy as np, chainrule.functional as F
    >>> F.affine_grid(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    array([[[[-0.5,  0. ],
             [ 0.5,  0. ]]]])
    """
    n = len(size) - 2
    if n not in (2, 3) or theta.shape != (size[0], n, n + 1) or min(size) < 1:
        raise ValueError(
            f"affine_grid: expected theta (N, 2, 3) for a size (N, C, H, W), or (N, 3, 4) for (N, C, D, H, W), "
            f"got {theta.shape} for {tuple(size)}"
        )
    axes = []
    for length in size[2:]:
        places = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        axes.append(places if align_corners else places * ((length - 1) / length))
    pixels = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(tuple(size[2:]))], axis=-1).astype(theta.dtype)
    grid = np.reshape(pixels, (math.prod(size[2:]), n + 1)) @ np.swapaxes(theta, 1, 2)
    return np.reshape(grid, (size[0], *size[2:], n))
