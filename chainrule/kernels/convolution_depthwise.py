"""Convolution of groups of one channel or a few, compiled, of images that are channels-last, with vectors across the channels.

Nothing is copied. An image's *lines* are its rows of pixels. A tile of results along a line adds up what each element of the
kernel sees, where it lies in the image: lines beyond the edges are left out, and pixels beyond them are read from zeros. So it
is for any number of dimensions, and also for the transpose, whose results are reached by those elements of the kernel that
the stride does not pass over.

Within a group of several channels each is multiplied by its weight for one result: there are as many sums as a group has
channels, the t-th of each channel i for the result i - t, counted in a circle. They are turned, and added, in the end.
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
from .window import Size, Window, channels_last

_NEAREST = 32 << 10  # bytes of the nearest cache
_NEAR = 96 << 10  # bytes of the lines for which a gradient is summed, channels after channels
_SMALL = 400  # pixels of results: a plane of fewer takes longer to prepare than to compute
_MANY = 25  # elements of a kernel: for more, the other order is worth its copies
_CHUNKS = 32  # sums of a gradient, of so many parts of the lines
_OUTSIDE, _PASSED = -1, -2  # what a place sees beyond the image's edges, and where the stride passes over it

scale_tile, scale_sums_tile = Native("scale_tile", microkernel), Native("scale_sums_tile", microkernel)


# ---- what depends on shapes alone -----------------------------------------------------------------------


class Plan(NamedTuple):
    """Where results find what they see; distances in bytes."""

    starts: Array  # of each line of results, where in ``lines`` those are that it sees
    lines: Array  # (lines, 2): the distance of the image's line, and of the weights of the kernel's
    tiles: Array  # (tiles of a line, 5): where in ``distances`` and ``steps`` theirs begin, how many columns they see, and how
    # far apart their pixels are, from result to result and from column to column, or 0 where that differs
    distances: Array  # of the pixel that each column of the kernel sees, for all results of a tile
    steps: Array  # of a column's weights
    places: Array  # of a tile's results, within the line
    weights: Array  # (panels, elements of the kernel, turns, channels of a panel): their numbers, as tiles read them
    shape: tuple[tuple[Any, ...], ...]  # of a tile
    together: bool  # whether what all channels of a tile read fits the nearest cache


@lru_cache(256)
def planned(size: Size, result: Size, channels: int, each: int, window: Window, transposed: bool, dtype: Any) -> Plan:
    """For images of ``size``, whose groups have so many channels ``each``; transposed, from that size to ``result``."""
    seen = _seen(size, result, window, transposed)
    pixel, lines = channels * dtype.itemsize, _lines(seen[:-1], size)
    starts = np.concatenate([[0], np.cumsum(np.sum(lines >= 0, axis=1))])
    elements = np.broadcast_to(np.arange(lines.shape[1]), lines.shape)
    along = seen[-1]
    kinds: dict[bytes, list[int]] = {}  # places that are reached by the same columns of the kernel
    for place, row in enumerate(along):
        kinds.setdefault((row != _PASSED).tobytes(), []).append(place)
    tall = min(8 if max(map(len, kinds.values())) > 4 else 4, microkernel().SUMS // each)
    shape = _shape(tall, channels, each, dtype)
    factors = len(shape[1]) * each * microkernel().VECTOR  # bytes of an element's weights
    further = window.kernel[-1] * factors
    reached = np.stack([lines[lines >= 0] * (size[-1] * pixel), elements[lines >= 0] * further], axis=1)
    tiles, distances, steps, places = [], [], [], []
    found_before = steps_before = 0
    for these in kinds.values():
        its, which = np.array(these), np.flatnonzero(along[these[0]] != _PASSED)
        # the last tile begins within the one before; where there is one alone, the last result is computed again
        first = np.minimum(np.arange(0, len(its), tall), max(0, len(its) - tall))
        rows = its[np.minimum(first[:, None] + np.arange(tall), len(its) - 1)]
        found = along[rows][..., which].swapaxes(1, 2)
        apart = np.zeros((len(rows), 2), np.int64)
        if len(which) > 1:
            apart = np.stack([found[:, 0, 1] - found[:, 0, 0], found[:, 1, 0] - found[:, 0, 0]], axis=1)
            line = apart[:, 1, None, None] * np.arange(len(which))[:, None] + apart[:, 0, None, None] * np.arange(tall)
            regular = np.all((found >= 0) & (found == found[:, :1, :1] + line), axis=(1, 2))
            apart *= regular[:, None] * pixel
        begins = found_before + np.arange(len(rows)) * found[0].size
        tiles.append(np.column_stack([begins, np.tile([steps_before, len(which)], (len(rows), 1)), apart]))
        distances.append(np.where(found >= 0, found * pixel, _OUTSIDE).reshape(-1))
        steps.append(which * factors)
        places.append((rows * pixel).reshape(-1))
        found_before, steps_before = found_before + found.size, steps_before + len(which)
    columns = _columns(channels, shape, dtype)[0].reshape(-1, 1, 1, factors // (each * dtype.itemsize))
    element, turn = np.arange(prod(window.kernel))[:, None, None], np.arange(each)[:, None]
    o, i = columns, _turned(columns, -turn, each)
    if not transposed:
        o, i = i, o
    weights = (o * each + i % each) * prod(window.kernel) + element
    pixels = prod(window.kernel[:-1]) * (tall * window.stride[-1] + window.kernel[-1])
    together = pixels * pixel + weights.size * dtype.itemsize <= _NEAREST
    return Plan(
        starts, np.ascontiguousarray(reached), np.concatenate(tiles), np.concatenate(distances), np.concatenate(steps),
        np.concatenate(places), weights, shape, together,
    )  # fmt: skip


class Sums(NamedTuple):
    """Where the gradient of the weight finds what each element of the kernel has seen."""

    lines: Array  # (tiles of elements, lines of results, elements of a tile): the distance of the image's line
    distances: Array  # (tiles of elements, results of a line, elements of a tile): of the pixel within it
    high: int  # lines that are summed at a time
    columns: int
    weights: Array  # (O, C / G, elements): where each one's sum is found
    shape: tuple[tuple[Any, ...], ...]  # of a tile


@lru_cache(256)
def summed(size: Size, result: Size, channels: int, each: int, window: Window, dtype: Any) -> Sums:
    """For images of ``size``, whose groups have so many channels ``each``."""
    *seen, along = _seen(size, result, window, False)
    pixel, lines = channels * dtype.itemsize, _lines(seen, size)
    elements = prod(window.kernel)
    tall = min(9 if elements > 5 else 3, microkernel().SUMS // each)
    # some elements of the kernel at a time; where there are fewer, there is nothing to see
    which = np.arange(-(-elements // tall) * tall)
    line, column = np.minimum(which // window.kernel[-1], lines.shape[1] - 1), which % window.kernel[-1]
    begins = np.where((which < elements) & (lines[:, line] >= 0), lines[:, line] * (size[-1] * pixel), _OUTSIDE)
    within = np.where(along[:, column] >= 0, along[:, column] * pixel, _OUTSIDE)
    high = max(1, min(len(lines), _NEAR // ((size[-1] + result[-1]) * pixel)))
    shape = _shape(tall, channels, each, dtype)
    columns, places = _columns(channels, shape, dtype)
    o, i, element = np.ix_(range(channels), range(each), range(elements))
    row = element * each + (o - i) % each
    weights = row * len(columns) + places[o - o % each + i]
    begins, within = (np.ascontiguousarray(a.reshape(len(a), -1, tall).swapaxes(0, 1)) for a in (begins, within))
    return Sums(begins, within, high, len(columns), weights, shape)


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


def _shape(tall: int, channels: int, each: int, dtype: Any) -> tuple[tuple[Any, ...], ...]:
    lanes, zero = microkernel().VECTOR // dtype.itemsize, dtype.type(0)
    two = channels >= 2 * lanes and each == 1 and len(microkernel().HEIGHTS) > 1
    return (zero,) * tall, (zero,) * (2 if two else 1), (zero,) * each


def _columns(channels: int, shape: tuple[tuple[Any, ...], ...], dtype: Any) -> tuple[Array, Array]:
    """The channel of each column of all panels, of which the last begins within the one before; and where each channel is."""
    wide = len(shape[1]) * microkernel().VECTOR // dtype.itemsize
    panels = -(-channels // wide)
    begins = np.minimum(np.arange(panels) * wide, channels - wide)
    columns = (begins[:, None] + np.arange(wide)).reshape(-1)
    places = np.empty(channels, np.int64)
    places[columns] = np.arange(len(columns))
    return columns, places


def _turned(channel: Array, by: Array, each: int) -> Array:
    """The channel of the same group that is so much further on, in a circle."""
    return channel - channel % each + (channel + by) % each


# ---- the three products ---------------------------------------------------------------------------------


def suits(x: Array, weight: tuple[int, ...], result: Size, window: Window, groups: int, what: str = "result") -> bool:
    """Whether groups have so few channels, as many as results, and there are enough to fill vectors, and these are better here.

    That is where channels lie last, and where ``convolution_planes`` would have to copy small images, or to see a row many
    times, or to gather for a transposed convolution, or cannot be had.

    Args:
        x: the images, or results of a transposed convolution.
        weight: the weight's shape.
        result: the size of results.
        window, groups: the convolution's.
        what: is to be computed: the ``"result"``, or the gradient of the ``"input"`` or of the ``"weight"``.
    """
    channels, each, lanes = x.shape[1], weight[1], microkernel().VECTOR // x.itemsize
    if not (channels == weight[0] == each * groups and channels >= lanes and each < lanes and lanes % each == 0):
        return False
    if not x.flags.c_contiguous or x.ndim > 4 or each > 4:
        return True
    copied = set(window.stride) != {1} or prod(window.kernel) > 9
    return copied and (what == "input" or prod(result) < _SMALL or (what == "result" and prod(window.kernel) > _MANY))


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """As ``convolution.convolve``."""
    return _follow(x, weight, bias, window.output_size(x.shape[2:]), window, False)


def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window) -> Array:
    """As ``convolution.convolve_input``."""
    return _follow(g, weight, bias, size, window, True)


def _follow(x: Array, weight: Array, bias: Array | None, result: Size, window: Window, transposed: bool) -> Array:
    (n, channels, *size), each = x.shape, weight.shape[1]
    plan = planned(tuple(size), result, channels, each, window, transposed, x.dtype)
    start = np.zeros(channels, x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = empty_images((n, channels, *result), x.dtype)
    factors = weight.reshape(-1).take(plan.weights)
    _multiply(_by_lines(x), factors, start, _by_lines(y), *plan[:-3], plan.shape, plan.together)
    return y


def convolve_weight(x: Array, g: Array, window: Window, each: int) -> Array:
    """As ``convolution.convolve_weight``, of groups of so many channels ``each``."""
    (n, channels), size, result = x.shape[:2], x.shape[2:], g.shape[2:]
    if len(size) == 1:  # a column: so there are several lines
        size, result = (*size, 1), (*result, 1)
        window = Window(*((*a, b) for a, b in zip(window, (1, 1, (0, 0), 1), strict=True)))  # type: ignore[arg-type]
    plan = summed(size, result, channels, each, window, x.dtype)
    images, given = _by_lines(x).reshape(n, -1), _by_lines(g).reshape(n, prod(result[:-1]), -1)
    strips = n * -(-given.shape[1] // plan.high)
    tiles, _, tall = plan.lines.shape
    sums = empty((min(_CHUNKS, strips), tiles * tall * each, plan.columns), x.dtype)
    _correlate(images, given, sums, channels, plan.lines, plan.distances, plan.high, plan.shape)
    return np.take(sums.sum(axis=0).reshape(-1), plan.weights).reshape(channels, each, *window.kernel[: x.ndim - 2])


def _by_lines(x: Array) -> Array:
    """Images as (N, lines, pixels C), channels-last."""
    last = channels_last(x)
    if not last.flags.c_contiguous:
        last = pad(x, ((0, 0),) * (x.ndim - 2))
    n, *lines, pixels, channels = last.shape
    return last.reshape(n, prod(lines), pixels * channels)


# ---- compiled -------------------------------------------------------------------------------------------


@compiled
def _multiply(
    x: Any, weight: Any, bias: Any, y: Any, starts: Any, lines: Any, tiles: Any, distances: Any, steps: Any, places: Any,
    shape: Any, together: bool,
) -> None:  # fmt: skip
    arguments = (x, weight, bias, y, starts, lines, tiles, distances, steps, places, shape, together)
    work = len(shape[0]) * (weight.size if together else weight[0].size)
    items = len(y) * y.shape[1] * len(tiles) * (1 if together else len(weight))
    parallel_for(_multiply_block, arguments, items, 1 + 200_000 // (work + 1))


@compiled
def _multiply_block(
    x: Any, weight: Any, bias: Any, y: Any, starts: Any, lines: Any, tiles: Any, distances: Any, steps: Any, places: Any,
    shape: Any, together: bool, start: int, stop: int,
) -> None:  # fmt: skip
    """Tiles of all channels together, beside each other; or of one panel after the other, and then below each other."""
    channels, item, tall, wide = len(bias), x.itemsize, len(shape[0]), len(shape[1]) * vector_length(x)
    zeros, down, across = np.zeros(wide, x.dtype), y.shape[1], len(tiles)
    panels, count = (1, across) if together else (len(weight), down)
    index = start
    while index < stop:
        first, rest = index % count, index // count
        end = min(count, first + stop - index)
        index += end - first
        other, rest = (rest % down, rest // down) if together else (rest % across, rest // across)
        n, panel, last = rest // panels, rest % panels, len(weight) if together else rest % panels + 1
        for i in range(first, end):
            line, t = (other, i) if together else (i, other)
            base, out = address(x) + n * x.strides[0], address(y) + n * y.strides[0] + line * y.strides[1]
            where, its, columns = address(distances) + 8 * tiles[t, 0], address(steps) + 8 * tiles[t, 1], tiles[t, 2]
            seen, reached, to = (
                address(lines) + 16 * starts[line],
                starts[line + 1] - starts[line],
                address(places) + 8 * t * tall,
            )
            for p in range(panel, last):
                c = min(p * wide, channels - wide) * item  # the last panel begins within the one before
                scale_tile(
                    base + c, seen, reached, where, tiles[t, 3], tiles[t, 4], its, columns, address(weight[p]),
                    address(bias) + c, out + c, to, address(zeros), shape,
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
                        address(total) + (t * tall * len(shape[2]) * columns + column) * item, columns * item, shape,
                    )  # fmt: skip
