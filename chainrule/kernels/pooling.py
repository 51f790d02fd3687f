"""Pooling: the largest element of each window, and the taps that make means of windows.

Images are (N, C, *size). The windows of an image are the products of windows along its axes, which need not be of one length:
those at the edges are cut off, and adaptive ones differ by one. Which element of its window each output has chosen is an array
of the output's shape, the elements numbered row by row.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from .resampling import Taps


class Windows(NamedTuple):
    """Windows along one axis: the elements of the o-th are first[o] + k step, for 0 <= k < count[o]."""

    size: int  # of the axis
    first: Array
    count: Array
    step: int

    @property
    def longest(self) -> int:
        return int(self.count.max(initial=1))


@lru_cache(maxsize=256)
def sliding(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Windows:
    """Windows of ``kernel`` elements, ``stride`` apart, without what they have in the padding.

    Raises:
        ValueError: there are none, or one lies wholly in the padding.
    """
    span = dilation * (kernel - 1) + 1
    room = size + 2 * padding - span
    windows = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (windows - 1) * stride >= size + padding:
        windows -= 1  # it would start in the padding
    if windows < 1:
        raise ValueError(f"a window that covers {span} does not fit into an axis of {size} with padding {padding}")
    start = np.arange(windows) * stride - padding
    skipped = -(np.minimum(start, 0) // dilation)
    first = start + skipped * dilation
    count = np.minimum(kernel - skipped, -((first - size) // dilation))
    if count.min() < 1:
        raise ValueError(f"a window with dilation {dilation} lies between the elements of an axis of {size}")
    return Windows(size, first, count, dilation)


@lru_cache(maxsize=256)
def adaptive(size: int, windows: int) -> Windows:
    """So many windows that together cover the axis, as equal as whole elements allow."""
    o = np.arange(windows)
    first = o * size // windows
    return Windows(size, first, -(-(o + 1) * size // windows) - first, 1)


@lru_cache(maxsize=256)
def sliding_means(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool, divisor: str | int) -> Taps:
    """Sums of sliding windows, divided by a number, or by how many elements they have, ``"with"`` padding or ``"without"``."""
    windows = sliding(size, kernel, stride, padding, 1, ceil_mode)
    if divisor == "with":
        start = np.arange(len(windows.count)) * stride - padding
        return _means(windows, np.minimum(start + kernel, size + padding) - start)
    return _means(windows, windows.count if divisor == "without" else np.full(len(windows.count), divisor))


@lru_cache(maxsize=256)
def adaptive_means(size: int, windows: int) -> Taps:
    """Means over adaptive windows."""
    found = adaptive(size, windows)
    return _means(found, found.count)


def _means(windows: Windows, divisors: Array) -> Taps:
    start = np.concatenate([[0], np.cumsum(windows.count)])
    index = np.arange(start[-1]) - np.repeat(start[:-1] - windows.first, windows.count)
    return Taps(windows.size, start, index, np.repeat(1 / divisors, windows.count))


def max_pool(x: Array, windows: tuple[Windows, ...]) -> tuple[Array, Array]:
    """The largest element of each window, and which that is: the first of several, the last NaN where there is one."""
    shape = (*x.shape[:2], *(len(w.first) for w in windows))
    longest = [w.longest for w in windows]
    y = np.full_like(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, shape=shape)
    choice = np.zeros_like(y, np.uint8 if prod(longest) <= 256 else np.int32)
    for k, element in enumerate(product(*map(range, longest))):
        places = [w.first + np.minimum(j, w.count - 1) * w.step for j, w in zip(element, windows, strict=True)]
        inside = [j < w.count for j, w in zip(element, windows, strict=True)]
        seen = x[(slice(None), slice(None), *np.ix_(*places))]
        better = ((seen > y) | (seen != seen)) & reduce(np.logical_and.outer, inside)
        np.copyto(y, seen, where=better)
        np.copyto(choice, k, where=better)
    return y, choice


def indices(choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The chosen elements' places in an image whose axes are made one."""
    within = np.unravel_index(choice, [w.longest for w in windows])
    flat: Array = np.zeros(choice.shape, np.int64)
    for axis, (k, w) in enumerate(zip(within, windows, strict=True), start=2):
        first = w.first.reshape(-1, *[1] * (choice.ndim - axis - 1))
        flat = flat * w.size + first + k * w.step
    return flat


def gather(x: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The chosen element of each window: (N, C, *size) to (N, C, *output size)."""
    flat = indices(choice, windows).reshape(*x.shape[:2], -1)
    return np.take_along_axis(x.reshape(*x.shape[:2], -1), flat, axis=2).reshape(choice.shape)


def scatter(g: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The transpose of ``gather``: (N, C, *output size) to (N, C, *size), with the gradient of elements chosen twice added."""
    x = np.zeros_like(g, shape=(*g.shape[:2], *(w.size for w in windows)))
    n, c = (np.arange(m).reshape(-1, *[1] * (g.ndim - 1 - axis)) for axis, m in enumerate(g.shape[:2]))
    places: tuple[Any, ...] = np.unravel_index(indices(choice, windows), x.shape[2:])
    np.add.at(x, (n, c, *places), g)
    return x
