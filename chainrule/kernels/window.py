"""The window that convolution and pooling slide over the rows and columns of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..core.arrays import Array

Pair = tuple[int, int]


class Window(NamedTuple):
    """A kernel's size, and how it moves. Images are (N, C, H, W) outside, and padded (N, H, W, C) buffers inside.

    >>> Window((3, 3), stride=(2, 2), padding=((1, 1), (1, 1))).output_size((7, 8))
    (4, 4)
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    @property
    def span(self) -> Pair:
        """How many rows and columns of the padded image one window covers."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def output_size(self, size: Pair) -> Pair:
        """How many positions the window has in an image of ``size``."""
        rows, columns = (
            (n + sum(padding) - span) // stride + 1
            for n, padding, span, stride in zip(size, self.padding, self.span, self.stride, strict=True)
        )
        return rows, columns

    def buffer(self, n: int, channels: int, size: Pair, dtype: np.dtype[np.generic], fill: float = 0.0) -> Array:
        """A padded (N, H, W, C) buffer for images of ``size``."""
        height, width = (m + sum(padding) for m, padding in zip(size, self.padding, strict=True))
        return np.full((n, height, width, channels), fill, dtype) if fill else np.zeros((n, height, width, channels), dtype)

    def interior(self, padded: Array) -> Array:
        """The view (N, C, H, W) of the image in a padded buffer."""
        (top, bottom), (left, right) = self.padding
        _, height, width, _ = padded.shape
        return padded[:, top : height - bottom, left : width - right].transpose(0, 3, 1, 2)

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """``x`` (N, C, H, W) as a padded (N, H, W, C) buffer; ``x``'s own memory where that will do."""
        if self.padding == ((0, 0), (0, 0)):
            return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        padded = self.buffer(x.shape[0], x.shape[1], x.shape[2:], x.dtype, fill)
        self.interior(padded)[...] = x
        return padded

    def columns(self, padded: Array) -> Array:
        """The view (N, OH, OW, KH, KW, C) of a padded buffer: what the window sees from each position."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        seen = sliding_window_view(padded, self.span, axis=(1, 2), writeable=True)
        view: Array = seen[:, ::sh, ::sw, :, ::dh, ::dw].transpose(0, 1, 2, 4, 5, 3)
        return view

    def shifts(self, padded: Array) -> Iterator[Array]:
        """The views (N, OH, OW, C) of a padded buffer, one for each element of the kernel, row by row."""
        columns = self.columns(padded)
        return (columns[:, :, :, i, j] for i in range(self.kernel[0]) for j in range(self.kernel[1]))
