"""The window that convolution and pooling slide over images of one, two, three or more dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..core.arrays import Array

Size = tuple[int, ...]


def per_dimension(value: int | Size, n: int) -> Size:
    """A number for all ``n`` dimensions alike, or one for each.

    Raises:
        ValueError: there are more numbers, or fewer.

    >>> per_dimension(3, 2)
    (3, 3)
    """
    if isinstance(value, int):
        return (value,) * n
    if len(value) == 1:
        return tuple(value) * n
    if len(value) != n:
        raise ValueError(f"expected a number, or {n}, one for each dimension of the image, not {value}")
    return tuple(value)


def channels_last(x: Array) -> Array:
    """The view (N, *size, C) of (N, C, *size)."""
    return x.transpose(_LAST[x.ndim])


def channels_first(y: Array) -> Array:
    """The view (N, C, *size) of (N, *size, C)."""
    return y.transpose(_FIRST[y.ndim])


#: The axes of these views, by how many there are.
_LAST = [(0, *range(2, n), 1) for n in range(65)]
_FIRST = [(0, n - 1, *range(1, n - 1)) for n in range(65)]


class Window(NamedTuple):
    """A kernel's size, and how it moves. Images are (N, C, *size) outside, and padded (N, *size, C) buffers inside.

    >>> Window.of((3, 3), stride=2, padding=1).output_size((7, 8))
    (4, 4)
    """

    kernel: Size
    stride: Size
    padding: tuple[tuple[int, int], ...]
    dilation: Size

    @classmethod
    def of(cls, kernel: Size, stride: int = 1, padding: int = 0, dilation: int = 1) -> Self:
        """A window that moves alike in all dimensions."""
        n = len(kernel)
        return cls(kernel, (stride,) * n, ((padding, padding),) * n, (dilation,) * n)

    @property
    def span(self) -> Size:
        """How much of the padded image one window covers, in each dimension."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def output_size(self, size: Size) -> Size:
        """How many positions the window has in an image of ``size``."""
        return _output_size(self, size)

    def buffer(self, n: int, channels: int, size: Size, dtype: np.dtype[np.generic], fill: float = 0.0) -> Array:
        """A padded (N, *size, C) buffer for images of ``size``."""
        shape = (n, *(m + sum(padding) for m, padding in zip(size, self.padding, strict=True)), channels)
        return np.full(shape, fill, dtype) if fill else np.zeros(shape, dtype)

    def interior(self, padded: Array) -> Array:
        """The view (N, C, *size) of the image in a padded buffer."""
        sides = zip(self.padding, padded.shape[1:-1], strict=True)
        return channels_first(padded[:, *(slice(before, m - after) for (before, after), m in sides)])

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """``x`` (N, C, *size) as a padded (N, *size, C) buffer; ``x``'s own memory where that will do."""
        if not any(map(any, self.padding)):
            return np.ascontiguousarray(channels_last(x))
        padded = self.buffer(x.shape[0], x.shape[1], x.shape[2:], x.dtype, fill)
        self.interior(padded)[...] = x
        return padded

    def columns(self, padded: Array) -> Array:
        """The view (N, *output size, *kernel, C) of a padded buffer: what the window sees from each position."""
        n = len(self.kernel)
        seen = sliding_window_view(padded, self.span, axis=tuple(range(1, n + 1)), writeable=True)
        steps = (slice(None), *(slice(None, None, s) for s in self.stride))
        view: Array = seen[*steps, :, *(slice(None, None, d) for d in self.dilation)]
        return view.transpose(*range(n + 1), *range(n + 2, 2 * n + 2), n + 1)

    def shifts(self, padded: Array) -> Iterator[Array]:
        """The views (N, *output size, C) of a padded buffer, one for each element of the kernel, row by row."""
        columns = self.columns(padded)
        positions = (slice(None),) * (1 + len(self.kernel))
        return (columns[*positions, *element] for element in product(*map(range, self.kernel)))


@lru_cache(1024)
def _output_size(window: Window, size: Size) -> Size:
    return tuple(
        (n + sum(padding) - span) // stride + 1
        for n, padding, span, stride in zip(size, window.padding, window.span, window.stride, strict=True)
    )
