"""Two-dimensional pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import pooling as kernel
from ..kernels.window import Size, Window, per_dimension


def max_pool2d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """Largest element of each window: y[n, c, i, j] = max over k, l of x[n, c, s i + d k, s j + d l].

    Args:
        input: (N, C, H, W).
        kernel_size: the window's rows and columns.
        stride: its step; by default its size.
        padding: rows and columns around the image that never are the largest; at most half the window.
        dilation: the distance between the window's elements.
        ceil_mode: whether a window may reach beyond the lower and right edges.

    Raises:
        ValueError: the input is not 4-dimensional, the padding too large, or the window larger than the image.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    window = _window(input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool2d(input, window)


def avg_pool2d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window: y[n, c, i, j] = sum over k, l of x[n, c, s i + k, s j + l] / (number of elements).

    Args:
        input: (N, C, H, W).
        kernel_size: the window's rows and columns.
        stride: its step; by default its size.
        padding: zeros around the image; at most half the window.
        ceil_mode: whether a window may reach beyond the lower and right edges.
        count_include_pad: whether the padding's zeros count as elements.
        divisor_override: a divisor in place of the number of elements.

    Raises:
        ValueError: as ``max_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    window = _window(input, kernel_size, stride, padding, 1, ceil_mode)
    sums = _gather(input, None, window)
    if divisor_override is not None:
        return sums / divisor_override
    rows, columns = (
        _elements(n, k, s, p, count_include_pad, m)
        for n, k, s, p, m in zip(
            input.shape[2:], window.kernel, window.stride, per_dimension(padding, 2), sums.shape[2:], strict=True
        )
    )
    return sums / np.outer(rows, columns).astype(sums.dtype)


def _window(
    x: Any, kernel_size: int | Size, stride: int | Size | None, padding: int | Size, dilation: int | Size, ceil_mode: bool
) -> Window:
    if x.ndim != 4:
        raise ValueError(f"expected (N, C, H, W), got {x.shape}" + ("; use x[None] for one image" if x.ndim == 3 else ""))
    size, (top, left) = per_dimension(kernel_size, 2), per_dimension(padding, 2)
    if 2 * top > size[0] or 2 * left > size[1]:
        raise ValueError(f"padding {padding} is more than half of kernel_size {kernel_size}")
    step = size if stride is None else per_dimension(stride, 2)
    window = Window(size, step, ((top, top), (left, left)), per_dimension(dilation, 2))
    if ceil_mode:
        window = window._replace(
            padding=(
                (top, top + _overhang(x.shape[2] + 2 * top, x.shape[2] + top, window.span[0], window.stride[0])),
                (left, left + _overhang(x.shape[3] + 2 * left, x.shape[3] + left, window.span[1], window.stride[1])),
            )
        )
    if min(window.output_size(x.shape[2:])) < 1:
        raise ValueError(f"the window covers {window.span} and does not fit into the image {x.shape[2:]} with its padding")
    return window


def _overhang(padded: int, last: int, span: int, stride: int) -> int:
    """How far the last window reaches beyond ``padded``, if it starts before ``last``."""
    steps = -((span - padded) // stride)
    if steps * stride >= last:
        steps -= 1
    return max(0, steps * stride + span - padded)


def _elements(n: int, kernel: int, stride: int, padding: int, count_include_pad: bool, windows: int) -> Array:
    """How many elements each of ``windows`` windows counts along one axis of length ``n``."""
    start = np.arange(windows) * stride - padding
    end = np.minimum(start + kernel, n + padding)
    return end - start if count_include_pad else np.minimum(end, n) - np.maximum(start, 0)


@primitive
def _max_pool2d(x: Array, window: Window) -> Array:
    return kernel.max_pool2d(x, window)


@primitive
def _gather(x: Array, choice: Array | None, window: Window) -> Array:
    return kernel.gather(x, choice, window)


@primitive
def _scatter(g: Array, choice: Array | None, size: Size, window: Window) -> Array:
    return kernel.scatter(g, choice, size, window)


define_rule(
    _max_pool2d,
    x=lambda g, ans, x, window: _scatter(g, kernel.chosen(unwrap(x), unwrap(ans), window), x.shape[2:], window),
)
define_rule(_gather, x=lambda g, x_shape, choice, window: _scatter(g, choice, x_shape[2:], window))
define_rule(_scatter, ignores=("size",), g=lambda gg, choice, window: _gather(gg, choice, window))
