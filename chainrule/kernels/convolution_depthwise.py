"""Depthwise convolution of images that are channels-last, with vectors across the channels.

A strip of an image's rows at a time is copied with its padding, and stays in the cache while it is read. Images of one
dimension are columns. What is channels-first is for ``convolution_planes``.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .convolution_direct import depthwise_tile, scale_sums_tile, scale_tile
from .layer import address, borrow, compiled, give_back, parallel_for
from .layout import pad
from .window import Window, channels_first, channels_last

_NEAR = 96 << 10  # bytes of a strip
_CHUNKS = 32  # sums of a gradient, of so many parts of the positions


def suits(x: Array, weight: tuple[int, ...], groups: int) -> bool:
    """Whether an image, or a result, and a weight of this shape are for this module."""
    return 1 < groups == x.shape[1] == weight[0] and x.ndim <= 4 and bool(channels_last(x).flags.c_contiguous)


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """As ``convolution.convolve``."""
    o, result = len(weight), window.output_size(x.shape[2:])
    elements = np.ascontiguousarray(weight.reshape(o, -1).T)
    start = np.zeros(o, x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = empty((x.shape[0], *result, o), x.dtype)
    images, results, sizes, distances, high = _strips(x, channels_first(y), window)
    lanes, shape = depthwise_tile(o, 6, x.dtype)
    _multiply(images, elements, start, results, sizes, distances, high, lanes, shape)
    return channels_first(y)


def convolve_weight(x: Array, g: Array, window: Window) -> Array:
    """As ``convolution.convolve_weight``."""
    images, given, sizes, distances, high = _strips(x, g, window)
    o, elements = g.shape[1], prod(window.kernel)
    lanes, shape = depthwise_tile(o, 9 if elements > 5 else 3, x.dtype)
    # some elements of the kernel at a time; where there are fewer, the first ones again, into sums that nobody reads
    tall = len(shape[0])
    filled = np.zeros(-(-elements // tall) * tall, np.int64)
    filled[:elements] = distances
    strips = len(images) * -(-given.shape[1] // high)
    sums = empty((min(_CHUNKS, strips), len(filled), o), x.dtype)
    _correlate(images, given, sums, sizes, filled, elements, high, lanes, shape)
    return np.ascontiguousarray(sums[:, :elements].sum(axis=0).T).reshape(o, 1, *window.kernel)


def _strips(x: Array, y: Array, window: Window) -> tuple[Array, Array, tuple[int, ...], Array, int]:
    """Image and results as (N, H, W, C), numbers for the compiled functions, distances of elements, and rows of a strip."""
    images, results = (pad(a, ((0, 0),) * (a.ndim - 2)) for a in (x, y))  # channels-last
    if x.ndim == 3:
        images, results = images[:, :, None], results[:, :, None]
        window = Window(*((*a, b) for a, b in zip(window, (1, 1, (0, 0), 1), strict=True)))  # type: ignore[arg-type]
    _, down, across, channels = results.shape
    (before, _), (left, _) = window.padding
    width = (across - 1) * window.stride[1] + window.span[1]
    high = max(1, (_NEAR // (width * channels * x.itemsize) - window.span[0]) // window.stride[0] + 1)
    high = -(-down // -(-down // min(down, max(high, 4))))
    k, n = (np.arange(size) * d for size, d in zip(window.kernel, window.dilation, strict=True))
    distances = ((k[:, None] * width + n) * (channels * x.itemsize)).reshape(-1)
    return images, results, (*window.stride, before, left, width, window.span[0]), distances, high


# ---- compiled -------------------------------------------------------------------------------------------


@compiled
def _copy(image: Any, first: int, rows: int, left: int, width: int, out: Any) -> None:
    """Rows of an image (H, W, C) from ``first`` on, with ``left`` zeros before and some after each, ``width`` together."""
    height, _, channels = image.shape
    for r in range(rows):
        row = out[r * width * channels : (r + 1) * width * channels]
        if 0 <= first + r < height:
            source, begin = image[first + r].reshape(-1), left * channels
            seen = source[: max(0, len(row) - begin)]
            row[:begin] = 0
            inside = row[begin : begin + len(seen)]
            for i in range(len(seen)):
                inside[i] = seen[i]
            row[begin + len(seen) :] = 0
        else:
            row[:] = 0


@compiled
def _multiply(x: Any, weight: Any, bias: Any, y: Any, sizes: Any, distances: Any, high: int, lanes: int, shape: Any) -> None:
    count = len(y) * ((y.shape[1] + high - 1) // high)
    work = high * y.shape[2] * y.shape[3] * len(distances)
    arguments = (x, weight, bias, y, sizes, distances, high, lanes, shape)
    parallel_for(_multiply_block, arguments, count, max(1, 300_000 // max(work, 1)))


@compiled
def _multiply_block(
    x: Any, weight: Any, bias: Any, y: Any, sizes: Any, distances: Any, high: int, lanes: int, shape: Any, start: int, stop: int
) -> None:
    stride, stride_width, before, left, width, span = sizes
    _, down, across, channels = y.shape
    item, tall, wide = x.itemsize, len(shape[0]), len(shape[1]) * lanes
    whole, strips = channels // wide * wide, (down + high - 1) // high
    strip = borrow(x, ((high - 1) * stride + span) * width * channels)
    begins, ends = np.empty(tall, np.int64), np.empty(tall, np.int64)
    for index in range(start, stop):
        n, row = index // strips, index % strips * high
        rows = min(high, down - row)
        _copy(x[n], row * stride - before, (rows - 1) * stride + span, left, width, strip)
        for i in range(rows):
            result, seen = y[n, row + i], i * stride * width * channels
            for j in range(0, across, tall):
                for m in range(tall):
                    at = min(j + m, across - 1)  # those beyond the last are the last again
                    begins[m], ends[m] = at * stride_width * channels * item, at * channels * item
                base, to = address(strip) + seen * item, address(result)
                for c in range(0, whole * item, wide * item):
                    scale_tile(
                        base + c, address(begins), address(distances), len(distances), address(weight) + c, channels * item,
                        address(bias) + c, to + c, address(ends), shape,
                    )  # fmt: skip
            if whole < channels:
                for j in range(across):
                    first = seen + j * stride_width * channels
                    for c in range(whole, channels):
                        total = bias[c]
                        for e in range(len(distances)):
                            total += strip[first + distances[e] // item + c] * weight[e, c]
                        result[j, c] = total
    give_back(strip)


@compiled
def _correlate(x: Any, g: Any, sums: Any, sizes: Any, distances: Any, elements: int, high: int, lanes: int, shape: Any) -> None:
    parallel_for(_correlate_block, (x, g, sums, sizes, distances, elements, high, lanes, shape), len(sums), 1)


@compiled
def _correlate_block(
    x: Any, g: Any, sums: Any, sizes: Any, distances: Any, elements: int, high: int, lanes: int, shape: Any, start: int,
    stop: int,
) -> None:  # fmt: skip
    stride, stride_width, before, left, width, span = sizes
    _, down, across, channels = g.shape
    item, tall, wide = x.itemsize, len(shape[0]), len(shape[1]) * lanes
    whole, strips = channels // wide * wide, (down + high - 1) // high
    strip = borrow(x, ((high - 1) * stride + span) * width * channels)
    begins, ends = np.empty(high * across, np.int64), np.empty(high * across, np.int64)
    for i in range(high):
        for j in range(across):
            begins[i * across + j] = (i * stride * width + j * stride_width) * channels * item
            ends[i * across + j] = (i * across + j) * channels * item
    count = len(g) * strips
    for part in range(start, stop):
        total = sums[part]
        total[:] = 0
        for index in range(part * count // len(sums), (part + 1) * count // len(sums)):
            n, row = index // strips, index % strips * high
            rows = min(high, down - row)
            _copy(x[n], row * stride - before, (rows - 1) * stride + span, left, width, strip)
            given = g[n, row:]
            for c in range(0, whole * item, wide * item):
                for e in range(0, len(distances), tall):
                    scale_sums_tile(
                        address(strip) + c, address(begins), address(distances) + 8 * e, address(given) + c, address(ends),
                        rows * across, address(total) + e * channels * item + c, channels * item, shape,
                    )  # fmt: skip
            if whole < channels:
                for p in range(rows * across):
                    seen, row_given = strip[begins[p] // item :], given[p // across, p % across]
                    for e in range(elements):
                        for c in range(whole, channels):
                            total[e, c] += seen[distances[e] // item + c] * row_given[c]
    give_back(strip)
