"""Change the resolution of sequences, images and volumes: interpolation, and channels traded for pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import resampling as kernel
from ..kernels.pooling import adaptive_means
from ..kernels.resampling import Taps


def along_axes(x: Any, taps: tuple[Taps | None, ...]) -> Any:
    """Linear maps of the last axes, each given by its taps, or None for the identity; in the order of memory of ``x``."""
    return _along_axes(x, taps, kernel.memory_order(unwrap(x)))


@primitive
def _along_axes(x: Array, taps: tuple[Taps | None, ...], order: tuple[int, ...]) -> Array:
    return kernel.apply(x, taps, order)


define_rule(
    _along_axes,
    linear="jointly",
    x=lambda g, taps, order: _along_axes(g, tuple(t and t.transposed for t in taps), order),
)


# ---- interpolation --------------------------------------------------------------------------------------

#: For each mode the number of axes after (N, C), or None for any.
_MODES = {
    "nearest": None,
    "nearest-exact": None,
    "area": None,
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}


def interpolate(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resample to another size: y[o] = sum over i of w(s (o + 1/2) - i - 1/2) x[i] along each axis, s inputs to an output.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new L, (H, W) or (D, H, W); a number for all of them.
        scale_factor: in place of ``size``, the new size divided by the old.
        mode: ``"nearest"`` (the input at floor(s o)), ``"nearest-exact"`` (that at the middle of the output), ``"area"`` (the
            mean of those covered, as ``adaptive_avg_pool2d``); w is a triangle for ``"linear"``, ``"bilinear"`` and
            ``"trilinear"``, for 1, 2 and 3 axes, and Keys' cubic with a = -3/4 for ``"bicubic"``.
        align_corners: whether the first and last elements lie upon those of the input, instead of the outer edges upon each
            other; not for the first three modes.
        recompute_scale_factor: whether s is computed from the sizes, and not from ``scale_factor``.
        antialias: whether w is widened by s where the image shrinks; for ``"bilinear"`` and ``"bicubic"`` (then a = -1/2).

    Raises:
        ValueError: both or neither of ``size`` and ``scale_factor`` are given, or the mode does not fit the input or an option.

    Source: R. Keys, Cubic Convolution Interpolation for Digital Image Processing (1981).

    >>> import numpy as np, chainrule.functional as F
    >>> F.interpolate(np.array([[[0.0, 4.0]]]), scale_factor=2, mode="linear")
    array([[[0., 1., 3., 4.]]])
    """
    _check_mode(input, mode, align_corners, antialias)
    old = input.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if size is not None:
        new = _for_each(size, old, "size")
        scales = [None] * len(old)
    else:
        scales = _for_each(scale_factor, old, "scale_factor")
        new = [math.floor(n * s) for n, s in zip(old, scales, strict=True)]
        if recompute_scale_factor:
            scales = [None] * len(old)
    if size is not None and recompute_scale_factor:
        raise ValueError("interpolate: recompute_scale_factor needs scale_factor, not size")
    if min(*old, *new) < 1:
        raise ValueError(f"interpolate: expected axes of at least 1 element, got {old} to be {tuple(new)}")
    kind = mode.removeprefix("bi").removeprefix("tri")
    taps = tuple(
        None if n == m and scale in (None, 1.0) else _taps(kind, n, m, scale, bool(align_corners), antialias)
        for n, m, scale in zip(old, new, scales, strict=True)
    )
    return along_axes(input, taps) if any(taps) else input


def _check_mode(x: Any, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _MODES:
        raise ValueError(f"interpolate: mode is one of {', '.join(_MODES)}, not {mode!r}")
    axes = _MODES[mode]
    if x.ndim < 3 or axes not in (None, x.ndim - 2):
        expected = "(N, C, ...)" if axes is None else f"(N, C, {', '.join('DHW'[-axes:] if axes > 1 else 'L')})"
        raise ValueError(f"interpolate: mode {mode!r} expects {expected}, got {x.shape}")
    if align_corners is not None and axes is None:
        raise ValueError(f"interpolate: align_corners has no meaning for mode {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias is for modes 'bilinear' and 'bicubic', not {mode!r}")


def _for_each(value: Any, axes: Sequence[int], name: str) -> list[Any]:
    """A number for all axes, or one for each."""
    values = list(value) if isinstance(value, Sequence) else [value] * len(axes)
    if len(values) != len(axes):
        raise ValueError(f"interpolate: {name} {value} has {len(values)} numbers for {len(axes)} axes")
    return values


@lru_cache(maxsize=256)
def _taps(kind: str, n: int, m: int, scale: float | None, align_corners: bool, antialias: bool) -> Taps:
    """What makes ``m`` elements of ``n``; ``scale`` is outputs to an input, if not m / n."""
    if kind == "area":
        return adaptive_means(n, m)
    step = 1 / scale if scale else n / m
    if kind.startswith("nearest"):  # in single precision, rounded where PyTorch rounds: ties fall the same way
        half = np.float32(0.5 * (kind == "nearest-exact"))
        place = ((np.arange(m) + half) * float(np.float32(step)) - half).astype(np.float32) + half
        index = np.minimum(place.astype(np.int64), n - 1)
        return Taps.of_rows(n, index[:, None], np.ones((m, 1)))
    if align_corners:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
        place = np.arange(m) * step
    else:
        place = (np.arange(m) + 0.5) * step - 0.5
    if antialias:
        return _antialiased(kind, n, (np.arange(m) + 0.5) * step, max(step, 1.0))
    if kind == "linear":
        place = np.maximum(place, 0.0)
    reach = 1 if kind == "linear" else 2
    first = np.floor(place).astype(np.int64)
    index = first[:, None] + np.arange(1 - reach, reach + 1)
    weight = _kernel(kind, place[:, None] - index, -0.75)
    return Taps.of_rows(n, np.clip(index, 0, n - 1), weight)


def _antialiased(kind: str, n: int, centre: Array, width: float) -> Taps:
    """Taps of a kernel that is ``width`` times as wide; beyond the edge there is nothing, and the weights sum to 1."""
    reach = width * (1 if kind == "linear" else 2)
    starts = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    ends = np.minimum((centre + reach + 0.5).astype(np.int64), n)
    indices = [np.arange(a, b) for a, b in zip(starts, ends, strict=True)]
    weights = [_kernel(kind, (i + 0.5 - c) / width, -0.5) for i, c in zip(indices, centre, strict=True)]
    return Taps.of_rows(n, indices, [w / w.sum() for w in weights])


def _kernel(kind: str, distance: Array, a: float) -> Array:
    """The interpolating kernel: a triangle, or Keys' cubic."""
    d = np.abs(distance)
    if kind == "linear":
        return np.maximum(1 - d, 0.0)
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, inner, np.where(d < 2, outer, 0.0))


# ---- channels traded for pixels, or for each other ------------------------------------------------------


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Make channels the pixels of a larger image: y[c, r i + k, r j + l] = x[c r^2 + k r + l, i, j].

    Args:
        input: (..., C r^2, H, W).
        upscale_factor: r.

    Returns:
        (..., C, H r, W r).

    Raises:
        ValueError: the channels cannot be divided by r^2.

    Source: W. Shi et al., Real-Time Single Image and Video Super-Resolution (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), 2)
    array([[[0., 1.],
            [2., 3.]]])
    """
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % r**2:
        raise ValueError(f"pixel_shuffle: expected (..., C * {r**2}, H, W), got {input.shape}")
    *lead, channels, height, width = input.shape
    k = len(lead)
    x = np.reshape(input, (*lead, channels // r**2, r, r, height, width))
    x = np.transpose(x, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return np.reshape(x, (*lead, channels // r**2, height * r, width * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Make the pixels of each square channels: the inverse of ``pixel_shuffle``.

    Args:
        input: (..., C, H r, W r).
        downscale_factor: r.

    Returns:
        (..., C r^2, H, W).

    Raises:
        ValueError: the height or the width cannot be divided by r.

    >>> import numpy as np, chainrule.functional as F
    >>> F.pixel_unshuffle(np.arange(4.0).reshape(1, 2, 2), 2).ravel()
    array([0., 1., 2., 3.])
    """
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise ValueError(f"pixel_unshuffle: expected (..., C, H * {r}, W * {r}), got {input.shape}")
    *lead, channels, height, width = input.shape
    k = len(lead)
    x = np.reshape(input, (*lead, channels, height // r, r, width // r, r))
    x = np.transpose(x, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return np.reshape(x, (*lead, channels * r**2, height // r, width // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Mix the channels of ``groups``: y[j groups + i] = x[i C / groups + j].

    Args:
        input: (N, C, ...).
        groups: into how many the channels are divided.

    Raises:
        ValueError: the channels cannot be divided into ``groups``.

    Source: X. Zhang et al., ShuffleNet (2018).

    >>> import numpy as np, chainrule.functional as F
    >>> F.channel_shuffle(np.arange(4.0).reshape(1, 4, 1), 2).ravel()
    array([0., 2., 1., 3.])
    """
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ValueError(f"channel_shuffle: expected (N, C, ...) with C divisible into {groups} groups, got {input.shape}")
    n, channels, *rest = input.shape
    x = np.reshape(input, (n, groups, channels // groups, *rest))
    return np.reshape(np.swapaxes(x, 1, 2), input.shape)
