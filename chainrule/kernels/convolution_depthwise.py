"""Depthwise convolution, compiled, of images that are channels-last, with vectors across the channels.

Nothing is copied. An image's *lines* are its rows of pixels. A tile of results along a line adds up what each element of the
kernel sees, where it lies in the image: lines beyond the edges are left out, and pixels beyond them are read from zeros. So it
is for any number of dimensions, and also for the transpose, whose results are reached by those elements of the kernel that
the stride does not pass over.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty, empty_images
from .layer import Native, address, compiled, parallel_for, vector_length
from .layout import microkernel, pad
from .window import Size, Window

_NEAR = 96 << 10  # bytes of the lines for which a gradient is summed, channels after channels
_SMALL = 400  # pixels of results: a plane of fewer takes longer to prepare than to compute
_CHUNKS = 32  # sums of a gradient, of so many parts of the lines
_OUTSIDE, _PASSED = -1, -2  # what a place sees beyond the image's edges, and where the stride passes over it

scale_tile, scale_sums_tile = Native("scale_tile", microkernel), Native("scale_sums_tile", microkernel)


# ---- what depends on shapes alone -----------------------------------------------------------------------


class Plan(NamedTuple):
    """Where results find what they see; distances in bytes."""

    starts: Array  # of each line of results, where in ``lines`` those are that it sees
    lines: Array  # (lines, 2): the distance of the image's line, and of the weights of the kernel's
    tiles: Array  # (tiles of a line, 3): where in ``distances`` and ``steps`` theirs begin, and how many columns they see
    distances: Array  # of the pixel that each column of the kernel sees, for all results of a tile
    steps: Array  # of a column's weights
    places: Array  # of a tile's results, within the line
    shape: tuple[tuple[Any, ...], tuple[Any, ...]]  # of a tile


@lru_cache(256)
def planned(size: Size, result: Size, channels: int, window: Window, transposed: bool, dtype: Any) -> Plan:
    """For images of ``size``; transposed, from what has that size to images of ``result``."""
    seen = _seen(size, result, window, transposed)
    pixel, columns = channels * dtype.itemsize, window.kernel[-1]
    lines = _lines(seen[:-1], size)
    starts = np.concatenate([[0], np.cumsum(np.sum(lines >= 0, axis=1))])
    elements = np.broadcast_to(np.arange(lines.shape[1]), lines.shape)
    reached = np.stack([lines[lines >= 0] * (size[-1] * pixel), elements[lines >= 0] * (columns * pixel)], axis=1)

    along = seen[-1]
    kinds: dict[bytes, list[int]] = {}  # places that are reached by the same columns of the kernel
    for place, row in enumerate(along):
        kinds.setdefault((row != _PASSED).tobytes(), []).append(place)
    tall = 8 if max(map(len, kinds.values())) > 4 else 4
    tiles, distances, steps, places = [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], []
    for its in kinds.values():
        which = np.flatnonzero(along[its[0]] != _PASSED)
        for first in range(0, len(its), tall):
            rows = np.array(its[first : first + tall] + its[-1:] * max(0, first + tall - len(its)))  # the last again
            tiles.append((sum(map(len, distances)), sum(map(len, steps)), len(which)))
            found = along[rows][:, which].T
            distances.append(np.where(found >= 0, found * pixel, _OUTSIDE).reshape(-1))
            places.append(rows * pixel)
        steps.append(which * pixel)
    return Plan(
        starts, np.ascontiguousarray(reached), np.array(tiles), np.concatenate(distances), np.concatenate(steps),
        np.concatenate(places), _shape(tall, channels, dtype),
    )  # fmt: skip


class Sums(NamedTuple):
    """Where the gradient of the weight finds what each element of the kernel has seen."""

    lines: Array  # (tiles of elements, lines of results, elements of a tile): the distance of the image's line
    distances: Array  # (tiles of elements, results of a line, elements of a tile): of the pixel within it
    high: int  # lines that are summed at a time
    channels: Array  # of each channel, the column of its sums
    columns: int
    shape: tuple[tuple[Any, ...], tuple[Any, ...]]  # of a tile


@lru_cache(256)
def summed(size: Size, result: Size, channels: int, window: Window, dtype: Any) -> Sums:
    """For images of ``size``."""
    *seen, along = _seen(size, result, window, False)
    pixel, lines = channels * dtype.itemsize, _lines(seen, size)
    elements = prod(window.kernel)
    tall = 9 if elements > 5 else 3
    # some elements of the kernel at a time; where there are fewer, there is nothing to see
    which = np.arange(-(-elements // tall) * tall)
    line, column = np.minimum(which // window.kernel[-1], lines.shape[1] - 1), which % window.kernel[-1]
    begins = np.where((which < elements) & (lines[:, line] >= 0), lines[:, line] * (size[-1] * pixel), _OUTSIDE)
    within = np.where(along[:, column] >= 0, along[:, column] * pixel, _OUTSIDE)
    high = max(1, min(len(lines), _NEAR // ((size[-1] + result[-1]) * pixel)))
    shape = _shape(tall, channels, dtype)
    wide = len(shape[1]) * microkernel().VECTOR // dtype.itemsize
    c, tiles = np.arange(channels), -(-channels // wide)
    tile = np.minimum(c // wide, tiles - 1)
    places = tile * wide + c - np.minimum(tile * wide, channels - wide)  # the last tile begins within the one before
    begins, within = (np.ascontiguousarray(a.reshape(len(a), -1, tall).swapaxes(0, 1)) for a in (begins, within))
    return Sums(begins, within, high, places, tiles * wide, shape)


def _seen(size: Size, result: Size, window: Window, transposed: bool) -> list[Array]:
    """For each axis, which place of the image each element of the kernel sees from each place of the result."""
    axes = []
    for n, m, k, s, (before, _), d in zip(size, result, *window, strict=True):
        place, element = np.arange(m)[:, None], np.arange(k) * d
        if transposed:
            steps = place + before - element
            seen, passed = steps // s, steps % s != 0
        else:
            seen, passed = place * s + element - before, False
        axes.append(np.where(passed, _PASSED, np.where((seen >= 0) & (seen < n), seen, _OUTSIDE)))
    return axes


def _lines(seen: list[Array], size: Size) -> Array:
    """Of each line of results and of the kernel, the image's line, or below 0."""
    lines = np.zeros((1, 1), np.int64)
    for along, n in zip(seen, size[:-1], strict=True):
        here, further = lines[:, None, :, None], along[None, :, None, :]
        both = np.where((here >= 0) & (further >= 0), here * n + further, _OUTSIDE)
        lines = both.reshape(lines.shape[0] * along.shape[0], -1)
    return lines


def _shape(tall: int, channels: int, dtype: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    lanes, zero = microkernel().VECTOR // dtype.itemsize, dtype.type(0)
    return (zero,) * tall, (zero,) * (2 if channels >= 2 * lanes and len(microkernel().HEIGHTS) > 1 else 1)


# ---- the three products ---------------------------------------------------------------------------------


def suits(x: Array, weight: tuple[int, ...], result: Size, window: Window, groups: int, transposed: bool = False) -> bool:
    """Whether a convolution is depthwise, of enough channels to fill vectors, and these are better than vectors along rows.

    That is where channels lie last, and where ``convolution_planes`` would have to copy small images, or to gather for a
    ``transposed`` one, or cannot be had.
    """
    if not (groups == x.shape[1] == weight[0] and weight[1] == 1 and groups >= microkernel().VECTOR // 4):
        return False
    if not x.flags.c_contiguous or x.ndim > 4:
        return True
    copied = set(window.stride) != {1} or prod(window.kernel) > 9
    return copied and (transposed or prod(result) < _SMALL)


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """As ``convolution.convolve``."""
    return _follow(x, weight, bias, window.output_size(x.shape[2:]), window, False)


def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window) -> Array:
    """As ``convolution.convolve_input``."""
    return _follow(g, weight, bias, size, window, True)


def _follow(x: Array, weight: Array, bias: Array | None, result: Size, window: Window, transposed: bool) -> Array:
    n, channels, *size = x.shape
    plan = planned(tuple(size), result, channels, window, transposed, x.dtype)
    start = np.zeros(channels, x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = empty_images((n, channels, *result), x.dtype)
    elements = np.ascontiguousarray(weight.reshape(channels, -1).T)
    _multiply(_by_lines(x), elements, start, _by_lines(y), *plan)
    return y


def convolve_weight(x: Array, g: Array, window: Window) -> Array:
    """As ``convolution.convolve_weight``."""
    (n, channels), size, result = x.shape[:2], x.shape[2:], g.shape[2:]
    if len(size) == 1:  # a column: so there are several lines
        size, result = (*size, 1), (*result, 1)
        window = Window(*((*a, b) for a, b in zip(window, (1, 1, (0, 0), 1), strict=True)))  # type: ignore[arg-type]
    plan = summed(size, result, channels, window, x.dtype)
    images, given = _by_lines(x).reshape(n, -1), _by_lines(g).reshape(n, prod(result[:-1]), -1)
    strips = n * -(-given.shape[1] // plan.high)
    tiles, _, tall = plan.lines.shape
    sums = empty((min(_CHUNKS, strips), tiles * tall, plan.columns), x.dtype)
    _correlate(images, given, sums, channels, plan.lines, plan.distances, plan.high, plan.shape)
    total = sums.sum(axis=0)[: prod(window.kernel), plan.channels]
    return np.ascontiguousarray(total.T).reshape(channels, 1, *window.kernel[: x.ndim - 2])


def _by_lines(x: Array) -> Array:
    """Images as (N, lines, pixels C), channels-last."""
    last = pad(x, ((0, 0),) * (x.ndim - 2))
    return last.reshape(len(last), prod(last.shape[1:-2]), last.shape[-2] * last.shape[-1])


# ---- compiled -------------------------------------------------------------------------------------------


@compiled
def _multiply(
    x: Any, weight: Any, bias: Any, y: Any, starts: Any, lines: Any, tiles: Any, distances: Any, steps: Any, places: Any,
    shape: Any,
) -> None:  # fmt: skip
    arguments = (x, weight, bias, y, starts, lines, tiles, distances, steps, places, shape)
    work = len(weight) * len(bias) * len(shape[0])
    parallel_for(_multiply_block, arguments, len(y) * y.shape[1] * len(tiles), 1 + 200_000 // (work + 1))


@compiled
def _multiply_block(
    x: Any, weight: Any, bias: Any, y: Any, starts: Any, lines: Any, tiles: Any, distances: Any, steps: Any, places: Any,
    shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    channels, item, tall, wide = len(bias), x.itemsize, len(shape[0]), len(shape[1]) * vector_length(x)
    zeros = np.zeros(wide, x.dtype)
    last = (channels - wide) * item
    for index in range(start, stop):
        t, line, n = index % len(tiles), index // len(tiles) % y.shape[1], index // (len(tiles) * y.shape[1])
        base, out = address(x) + n * x.strides[0], address(y) + n * y.strides[0] + line * y.strides[1]
        seen, count = address(lines) + 16 * starts[line], starts[line + 1] - starts[line]
        where, its, columns = address(distances) + 8 * tiles[t, 0], address(steps) + 8 * tiles[t, 1], tiles[t, 2]
        to = address(places) + 8 * t * tall
        for c in range(0, channels * item, wide * item):
            c = min(c, last)  # the last tile begins within the one before
            scale_tile(
                base + c, seen, count, where, its, columns, address(weight) + c, address(bias) + c, out + c, to,
                address(zeros), shape,
            )  # fmt: skip


@compiled
def _correlate(x: Any, g: Any, sums: Any, channels: int, lines: Any, distances: Any, high: int, shape: Any) -> None:
    parallel_for(_correlate_block, (x, g, sums, channels, lines, distances, high, shape), len(sums), 1)


@compiled
def _correlate_block(
    x: Any, g: Any, sums: Any, channels: int, lines: Any, distances: Any, high: int, shape: Any, start: int, stop: int
) -> None:
    item, tall, wide, tiles = x.itemsize, len(shape[0]), len(shape[1]) * vector_length(x), len(lines)
    down, pixels, columns = g.shape[1], distances.shape[1], sums.shape[2]
    strips = (down + high - 1) // high
    count, zeros = len(g) * strips, np.zeros(wide, x.dtype)
    for part in range(start, stop):
        total = sums[part]
        total[:] = 0
        for index in range(part * count // len(sums), (part + 1) * count // len(sums)):
            n, line = index // strips, index % strips * high
            some = min(high, down - line)
            for column in range(0, columns, wide):
                c = min(column, channels - wide) * item  # the last tile begins within the one before
                seen, given = address(x) + n * x.strides[0] + c, address(g) + n * g.strides[0] + line * g.strides[1] + c
                for t in range(tiles):
                    scale_sums_tile(
                        seen, address(lines) + 8 * (t * down + line) * tall, some, address(distances) + 8 * t * pixels * tall,
                        pixels, given, g.strides[1], channels * item, address(zeros),
                        address(total) + (t * tall * columns + column) * item, columns * item, shape,
                    )  # fmt: skip
