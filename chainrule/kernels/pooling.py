"""Two-dimensional pooling: the largest element of each window, and sums over windows with their transpose.

Images are (N, C, H, W), held channels-last as in ``convolution``. Which element of its window each output has chosen is
an array of the output's shape, the elements numbered row by row.
"""

from __future__ import annotations

import numpy as np

from ..core.arrays import Array
from .window import Size, Window


def max_pool2d(x: Array, window: Window) -> Array:
    """The largest element of each window, (N, C, OH, OW)."""
    first, *rest = window.shifts(window.pad(x, -np.inf))
    y = first.copy()
    for shift in rest:
        np.maximum(y, shift, out=y)
    return y.transpose(0, 3, 1, 2)


def chosen(x: Array, y: Array, window: Window) -> Array:
    """Which element of its window ``max_pool2d`` has chosen: the first, where several are equal."""
    y = y.transpose(0, 2, 3, 1)
    elements = window.kernel[0] * window.kernel[1]
    choice = np.zeros(y.shape, np.uint8 if elements <= 256 else np.int32)
    for k, shift in reversed(list(enumerate(window.shifts(window.pad(x, -np.inf))))):
        np.copyto(choice, k, where=shift == y)
    return choice.transpose(0, 3, 1, 2)


def gather(x: Array, choice: Array | None, window: Window) -> Array:
    """The chosen element of each window, or with ``choice`` None the sum over it: (N, C, H, W) to (N, C, OH, OW)."""
    padded = window.pad(x)
    y = np.zeros((x.shape[0], *window.output_size(x.shape[2:]), x.shape[1]), x.dtype)
    for k, shift in enumerate(window.shifts(padded)):
        y += shift if choice is None else shift * (choice.transpose(0, 2, 3, 1) == k)
    return y.transpose(0, 3, 1, 2)


def scatter(g: Array, choice: Array | None, size: Size, window: Window) -> Array:
    """The transpose of ``gather``: (N, C, OH, OW) to (N, C, H, W), where ``size`` is (H, W)."""
    g = g.transpose(0, 2, 3, 1)
    padded = window.buffer(g.shape[0], g.shape[3], size, g.dtype)
    for k, shift in enumerate(window.shifts(padded)):
        shift += g if choice is None else g * (choice.transpose(0, 2, 3, 1) == k)
    return window.interior(padded)
