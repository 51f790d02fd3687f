"""Convolution, compiled, by products of gathered rows.

An image is padded once, channels-last, and its memory is then read where it lies: a row of the product is what the window sees
from one position, a few contiguous parts of the image at distances that are the same for all positions. Which rows, parts and
places in the result there are depends on shapes alone (a ``Plan``), for any number of dimensions, strides, dilations and
groups. The transpose of a strided convolution is taken apart into one such product for each remainder of a position by the
stride, as all positions of one remainder are reached by the same elements of the kernel.

Distances here are counted in elements of arrays, and in bytes where they go to the microkernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from .layer import Native, address, compiled, parallel_for
from .layout import microkernel, pad
from .memory import empty
from .window import Size, Window, channels_first

_NEAREST = 24 << 10  # bytes of the nearest cache that weights may take
_POSITIONS = 256  # for which a block of the weight's gradient sums before it goes on to the next tile


multiply_tile, correlate_tile = Native("multiply_tile", microkernel), Native("correlate_tile", microkernel)
scale_tile, scale_sums_tile = Native("scale_tile", microkernel), Native("scale_sums_tile", microkernel)

# ---- what depends on shapes alone -----------------------------------------------------------------------


class Axis(NamedTuple):
    """Along one dimension: where rows start and their results go, which elements of the kernel they see, at which distances."""

    starts: Array
    places: Array
    elements: list[int]
    shifts: list[int]


class Path(NamedTuple):
    """The rows that see the same elements of the kernel; see ``Plan``."""

    starts: Array  # of each row, its distance from the beginning of its padded image
    places: Array  # of each row, the distance of its result from the beginning of its image
    elements: Array  # of the kernel, numbered row by row
    parts: Array  # the distance of each part from the row's start
    length: int  # of a part
    row: int  # how many rows follow each other in the last dimension
    step: int  # if their results do too, and what they see is one part there: the distance of their starts; else 0


class Plan(NamedTuple):
    """How to compute a convolution, or its transpose, from padded images."""

    padding: tuple[tuple[int, int], ...]
    size: Size  # of the result
    paths: tuple[Path, ...]


@lru_cache(1024)
def forward_plan(size: Size, channels: int, out_channels: int, window: Window, groups: int) -> Plan:
    """For a convolution of images of ``size``."""
    padding, axes = [], []
    result = window.output_size(size)
    for n, m, k, s, (before, _), d in zip(size, result, *window, strict=True):
        padding.append((before, max(0, (m - 1) * s + d * (k - 1) + 1 - n - before)))
        positions = np.arange(m)
        axes.append([Axis(positions * s, positions, list(range(k)), [d * i for i in range(k)])])
    return _plan(size, channels, out_channels, result, padding, axes, groups)


@lru_cache(1024)
def transposed_plan(size: Size, g_size: Size, channels: int, out_channels: int, window: Window, groups: int) -> Plan:
    """For the transpose of a convolution, from results of ``g_size`` to images of ``size``.

    The image's position i, and the kernel's element k, belong to the result's position j where i + padding = s j + d k.
    """
    padding, axes = [], []
    for n, m, k, s, (start, _), d in zip(size, g_size, *window, strict=True):
        places = np.arange(n)
        remainders, quotients = (places + start) % s, (places + start) // s
        before, after, along = 0, 0, []
        for f in range(min(s, n)):
            remainder = remainders[f]  # the remainders follow each other
            its = places[remainders == remainder]
            elements = [e for e in reversed(range(k)) if (e * d - remainder) % s == 0]
            steps = [(e * d - remainder) // s for e in elements]
            if elements:
                before = max(before, steps[0] - quotients[its[0]])
                after = max(after, quotients[its[-1]] - steps[-1] - (m - 1))
            along.append((quotients[its], its, elements, steps))
        padding.append((int(before), int(after)))
        axes.append([Axis(q + before, its, elements, [-i for i in steps]) for q, its, elements, steps in along])
    return _plan(g_size, channels, out_channels, size, padding, axes, groups)


def _plan(
    size: Size,
    channels: int,
    out_channels: int,
    result: Size,
    padding: Sequence[tuple[int, int]],
    axes: Sequence[Sequence[Axis]],
    groups: int,
) -> Plan:
    padded = [n + sum(p) for n, p in zip(size, padding, strict=True)]
    kernel = [1 + max((e for axis in along for e in axis.elements), default=0) for along in axes]
    paths = []
    for along in product(*axes):
        starts = _outer([axis.starts for axis in along], padded) * channels
        places = _outer([axis.places for axis in along], result) * out_channels
        elements = _outer([np.array(axis.elements, np.int64) for axis in along], kernel)
        shifts = [np.array(axis.shifts, np.int64) for axis in along]
        length, last, step = channels // groups, shifts[-1], 0
        if groups == 1 and len(last) and (np.diff(last) == 1).all():  # neighbours in the last dimension are one part
            length, shifts[-1] = channels * len(last), last[:1]
            if len(along[-1].starts) > 1 and (np.diff(along[-1].places) == 1).all():
                step = int(along[-1].starts[1] - along[-1].starts[0]) * channels
        parts = _outer(shifts, padded) * channels
        first = parts.min(initial=0)
        paths.append(Path(starts + first, places, elements, parts - first, length, len(along[-1].starts), step))
    return Plan(tuple(padding), result, tuple(paths))


def _outer(numbers: Sequence[Array], size: Sequence[int]) -> Array:
    """The flat indices, in an array of ``size``, of all combinations of indices along its axes."""
    total = np.zeros(1, np.int64)
    for along, n in zip(numbers, size, strict=True):
        total = (total[:, None] * n + along).reshape(-1)
    return total


# ---- the three products ---------------------------------------------------------------------------------


def convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """As ``convolution.convolve``."""
    plan = forward_plan(x.shape[2:], x.shape[1], weight.shape[0], window, groups)
    if groups == 1 and len(x) * prod(plan.size) <= 64 and weight.size > 1 << 16:
        return _of_few_positions(plan, x, weight, bias, window)
    return _follow(plan, x, weight, bias, groups, False)


def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_input``."""
    plan = transposed_plan(size, g.shape[2:], g.shape[1], weight.shape[1] * groups, window, groups)
    return _follow(plan, g, weight, bias, groups, True)


def _follow(plan: Plan, x: Array, weight: Array, bias: Array | None, groups: int, transposed: bool) -> Array:
    n, o = x.shape[0], weight.shape[1] * groups if transposed else weight.shape[0]
    result = empty((n, *plan.size, o), x.dtype)
    padded, y = _flat(pad(x, plan.padding)), _flat(result)
    weight = np.ascontiguousarray(weight).reshape(*weight.shape[:2], prod(weight.shape[2:]))
    for path in plan.paths:
        if 1 < groups == x.shape[1] == o:
            elements = np.ascontiguousarray(weight[:, 0, path.elements].T)
            start = np.zeros(o, x.dtype) if bias is None else np.ascontiguousarray(bias)
            lanes, shape = depthwise_tile(o, 6, x.dtype)
            _depthwise(padded, path.starts, path.parts, elements, start, y, path.places, lanes, shape)
        else:
            _product(path, padded, weight, bias, groups, transposed, y)
    return channels_first(result)


def _of_few_positions(plan: Plan, x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """The product the other way round, weight times what the window sees: the large matrix is read once, where it lies."""
    (path,) = plan.paths
    padded = pad(x, plan.padding)
    elements = _outer([np.arange(k) * d for k, d in zip(window.kernel, window.dilation, strict=True)], padded.shape[1:-1])
    seen = (np.arange(x.shape[1])[:, None] + elements * x.shape[1]).reshape(-1)
    images = np.arange(len(x))[:, None] * (padded.size // len(x))
    columns = padded.reshape(padded.size)[seen[:, None] + (images + path.starts).reshape(-1)]
    o, (inner, positions) = len(weight), columns.shape
    shape = tile(o, positions, x.dtype)
    width = measures(shape)[1]
    panels = -(-positions // width)
    packed = np.zeros((panels, inner, width), x.dtype)
    for k, panel in enumerate(packed):
        some = columns[:, k * width : (k + 1) * width]
        panel[:, : some.shape[1]] = some
    y, rows = empty((1, o * positions), x.dtype), np.arange(o)
    zero, none = np.zeros(1, np.int64), np.zeros((1, panels * width), x.dtype)
    weight = np.ascontiguousarray(weight).reshape(1, o * inner)
    block = 2 * len(shape[0])
    _multiply(weight, rows * inner, zero, inner, 1, inner, packed, none, y, rows * positions, positions, block, panels, shape)
    result = empty((len(x), *plan.size, o), x.dtype)
    np.add(y.reshape(o, positions).T, 0 if bias is None else bias, out=result.reshape(positions, o))
    return channels_first(result)


def _flat(x: Array) -> Array:
    """(N, *size, C) as (N, elements)."""
    return x.reshape(len(x), x.size // len(x))


def _product(path: Path, x: Array, weight: Array, bias: Array | None, groups: int, transposed: bool, y: Array) -> None:
    a, b = weight.shape[0] // groups, weight.shape[1]
    inner, outer = (a, b) if transposed else (b, a)
    start = np.zeros((groups, outer), x.dtype) if bias is None else bias.reshape(groups, outer)
    rows = len(x) * len(path.starts)
    shape = tile(rows, outer, x.dtype)
    height, width = measures(shape)
    panels = -(-outer // width)
    packed = empty((groups * panels, len(path.elements) * inner, width), x.dtype)
    _pack(weight, path.elements, groups, transposed, packed)
    times = neighbours(path, outer, x.dtype)
    if times > 1:
        matrix = packed.reshape(len(path.parts), path.length, width)[..., :outer]
        path = together(path, times)
        packed = np.zeros((1, len(path.parts) * path.length, width), x.dtype)
        for part in _shares(packed.reshape(len(path.parts), path.length, width), matrix, path.step, times):
            part[...] = matrix
        start, outer, rows = np.tile(start, times), outer * times, rows // times
    added = np.zeros((groups, panels * width), x.dtype)
    added[:, :outer] = start
    block = height * min(8, -(-rows // height))
    parts = min(groups * panels, -(-16 * block // rows))  # into which the panels are divided, where rows are few
    share = -(-groups * panels // parts)
    distances = path.parts * x.itemsize
    _multiply(x, path.starts, distances, path.length, groups, inner, packed, added, y, path.places, outer, block, share, shape)


def neighbours(path: Path, outer: int, dtype: Any) -> int:
    """How many neighbours in the last dimension are best taken as one row, with a result for each in a vector's lanes."""
    if not path.step:
        return 1
    lanes = microkernel().VECTOR // dtype.itemsize
    possible = [n for n in range(1, lanes // outer + 1) if path.row % n == 0] or [1]
    return min(possible, key=lambda n: ((path.length + (n - 1) * path.step) / n, -n))


def together(path: Path, times: int) -> Path:
    """So many neighbours as one row, which sees what any of them sees."""
    length = path.length + (times - 1) * path.step
    return path._replace(starts=path.starts[::times], places=path.places[::times], length=length, row=path.row // times)


def _shares(together: Array, alone: Array, step: int, times: int) -> list[Array]:
    """The views (parts, length, O) of what each of the neighbours has in (parts, their length, times O)."""
    length, outer = alone.shape[1:]
    return [together[:, k * step : k * step + length, k * outer : (k + 1) * outer] for k in range(times)]


def convolve_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_weight``."""
    channels, o, elements = x.shape[1], g.shape[1], prod(window.kernel)
    plan = forward_plan(x.shape[2:], channels, o, window, groups)
    (path,) = plan.paths
    inside, outside = channels // groups, o // groups
    times = neighbours(path, outside, x.dtype)
    wide = together(path, times)
    shape = tile(wide.length, outside * times, x.dtype)
    height, width = measures(shape)
    padded, g = _flat(pad(x, plan.padding, max(0, height - wide.length))), _flat(pad(g, ((0, 0),) * (g.ndim - 2)))
    positions = len(x) * len(wide.starts)
    weight = empty((o, inside, *window.kernel), x.dtype)
    if 1 < groups == channels == o:
        chunk = -(-positions // 32)
        sums = empty((-(-positions // chunk), elements, o), x.dtype)
        lanes, shape = depthwise_tile(o, 9 if elements > 5 else 3, x.dtype)
        total = weight.reshape(o, elements)
        _depthwise_weight(padded, path.starts, path.parts, g, path.places, chunk, sums, total, lanes, shape)
        return weight
    panels = -(-outside * times // width)
    # tiles of rows, each within a part; the last of a part overlaps the one before, or reaches into the slack
    firsts = np.maximum(0, np.minimum(np.arange(0, wide.length, height), wide.length - height))
    tiles = (wide.parts[:, None] + firsts).reshape(-1)
    along = np.arange(wide.length)
    which = np.minimum(along // height, len(firsts) - 1)
    within = which * height + along - firsts[which]
    rows = (np.arange(len(wide.parts))[:, None] * (len(firsts) * height) + within).reshape(-1)  # of each row, where it is
    share = min(48, len(tiles))  # tiles of a block, which see the same part of x
    blocks = -(-len(tiles) // share) * panels * groups
    chunks = max(1, min(-(-16 // blocks), positions // _POSITIONS))
    sums = empty((chunks, groups * panels, len(tiles) * height, width), x.dtype)
    _correlate(padded, wide.starts, tiles * x.itemsize, g, wide.places, groups, inside, outside * times, share, shape, sums)
    if times > 1:
        found = sums.sum(axis=0)[0, rows].reshape(len(path.parts), wide.length, width)
        total = np.zeros((len(path.parts), path.length, outside), x.dtype)
        for part in _shares(found, total, path.step, times):
            total += part
        weight.reshape(o, inside, elements)[...] = total.reshape(elements, inside, outside).transpose(2, 1, 0)
    else:
        _unpack(sums, groups, rows, weight.reshape(o, inside, elements))
    return weight


def tile(rows: int, columns: int, dtype: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The shape of the tiles into which a product of so many rows and columns is best divided."""
    lanes, heights, zero = microkernel().VECTOR // dtype.itemsize, microkernel().HEIGHTS, dtype.type(0)
    costs = [-(-rows // h) * max(h, 8) for h in heights]  # so many sums are under way in any case
    best = min(range(len(heights)), key=costs.__getitem__)
    if costs[best] * 1.15 > costs[0]:
        best = 0
    two = -(-columns // (2 * lanes)) * 2 * lanes
    return (zero,) * heights[best], (zero,) * (1 if columns <= lanes or two * 5 > columns * 6 else 2)


def depthwise_tile(channels: int, rows: int, dtype: Any) -> tuple[int, tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """The lanes of a vector, and the shape of a tile of so many rows."""
    lanes, zero = microkernel().VECTOR // dtype.itemsize, dtype.type(0)
    return lanes, ((zero,) * rows, (zero,) * (2 if channels % (2 * lanes) == 0 else 1))


def measures(shape: tuple[tuple[Any, ...], tuple[Any, ...]]) -> tuple[int, int]:
    """Rows and columns of a tile."""
    return len(shape[0]), len(shape[1]) * microkernel().VECTOR // shape[0][0].itemsize


# ---- the product ----------------------------------------------------------------------------------------


@compiled
def _pack(weight: Any, elements: Any, groups: int, transposed: bool, packed: Any) -> None:
    parallel_for(_pack_block, (weight, elements, groups, transposed, packed), len(packed), 1)


@compiled
def _pack_block(weight: Any, elements: Any, groups: int, transposed: bool, packed: Any, start: int, stop: int) -> None:
    """(O, C/G, elements) as panels of columns: of outputs, or transposed of inputs."""
    panels, width, count = len(packed) // groups, packed.shape[2], len(elements)
    a, b = weight.shape[0] // groups, weight.shape[1]
    inner = a if transposed else b
    for index in range(start, stop):
        group, first, to = index // panels, index % panels * width, packed[index]
        columns = min(width, (b if transposed else a) - first)
        if columns < width:
            to[:] = 0
        if transposed:
            for i in range(inner):
                source = weight[group * a + i, first : first + columns]
                for e in range(count):
                    row, element = to[e * inner + i], elements[e]
                    for j in range(columns):
                        row[j] = source[j, element]
        else:
            for block in range(0, inner, 16):  # so many at a time as stay in the nearest cache
                for j in range(columns):
                    source = weight[group * a + first + j, block : block + 16]
                    for i in range(len(source)):
                        for e in range(count):
                            to[e * inner + block + i, j] = source[i, elements[e]]


@compiled
def _multiply(
    x: Any, starts: Any, parts: Any, length: int, groups: int, inner: int, packed: Any, bias: Any, y: Any, places: Any,
    outer: int, rows: int, share: int, shape: Any,
) -> None:  # fmt: skip
    """All rows of all images: in a block ``rows`` rows (some tiles) and ``share`` panels."""
    blocks = ((len(x) * len(starts) + rows - 1) // rows) * ((len(packed) + share - 1) // share)
    work = rows * share * packed.shape[1] * packed.shape[2]
    arguments = (x, starts, parts, length, groups, inner, packed, bias, y, places, outer, rows, share, shape)
    parallel_for(_multiply_block, arguments, blocks, max(1, 500_000 // max(work, 1)))


@compiled
def _multiply_block(
    x: Any, starts: Any, parts: Any, length: int, groups: int, inner: int, packed: Any, bias: Any, y: Any, places: Any,
    outer: int, rows: int, share: int, shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    height = len(shape[0])
    item, image, result = x.itemsize, x.shape[1] * x.itemsize, y.shape[1] * y.itemsize
    panels, depth, width = len(packed) // groups, packed.shape[1], packed.shape[2]
    begins, ends = np.empty(rows, np.int64), np.empty(rows, np.int64)
    part = np.empty((height, width), x.dtype)  # where a tile goes that is not full
    within = np.arange(height) * (width * item)
    flat = y.reshape(y.size)
    divisions = (len(packed) + share - 1) // share
    step = height if packed.size * item < _NEAREST else rows  # all panels for a tile, or all tiles for a panel
    # where rows follow each other, a tile may reach into the next, which is still to come
    follow = len(packed) == 1 and y.shape[1] == len(places) * outer
    for block in range(start, stop):
        first = block // divisions * rows
        there = min(rows, len(x) * len(starts) - first)
        n, p = first // len(starts), first % len(starts)
        for m in range(rows):  # those beyond the last are the last again
            begins[m], ends[m] = n * image + starts[p] * item, n * result + places[p] * item
            if m < there - 1:
                p += 1
                if p == len(starts):
                    n, p = n + 1, 0
        last = min((block % divisions + 1) * share, len(packed))
        for chunk in range(0, there, step):
            for index in range(block % divisions * share, last):
                group, column = index // panels, index % panels * width
                count, to = min(width, outer - column), (group * outer + column) * item
                base, weight = address(x) + group * inner * item, address(packed) + index * depth * width * item
                added = address(bias) + index * width * item
                for t in range(chunk, min(chunk + step, there), height):
                    whole = t + height <= there and (count == width or (follow and (there - t - height + 1) * outer >= width))
                    out = address(y) + to if whole else address(part)
                    its = address(ends) + 8 * t if whole else address(within)
                    seen = address(begins) + 8 * t
                    multiply_tile(base, seen, address(parts), len(parts), length, weight, added, out, its, shape)
                    if not whole:
                        for m in range(min(height, there - t)):
                            row, source = flat[(ends[t + m] + to) // item :], part[m]
                            for j in range(count):
                                row[j] = source[j]


# ---- the gradient of the weight -------------------------------------------------------------------------


@compiled
def _correlate(
    x: Any, starts: Any, tiles: Any, g: Any, places: Any, groups: int, inner: int, outer: int, share: int, shape: Any, sums: Any
) -> None:
    """Sums over positions for each panel, row and column of the weight: in a block ``share`` tiles of one panel and chunk."""
    blocks = sums.shape[0] * sums.shape[1] * ((len(tiles) + share - 1) // share)
    parallel_for(_correlate_block, (x, starts, tiles, g, places, groups, inner, outer, share, shape, sums), blocks, 1)


@compiled
def _correlate_block(
    x: Any, starts: Any, tiles: Any, g: Any, places: Any, groups: int, inner: int, outer: int, share: int, shape: Any,
    sums: Any, start: int, stop: int,
) -> None:  # fmt: skip
    height = len(shape[0])
    item, image, result = x.itemsize, x.shape[1] * x.itemsize, g.shape[1] * g.itemsize
    chunks, panels, _, width = sums.shape
    divisions, positions = (len(tiles) + share - 1) // share, len(x) * len(starts)
    chunk = (positions + chunks - 1) // chunks
    begins, ends = np.empty(_POSITIONS, np.int64), np.empty(_POSITIONS, np.int64)
    flat = g.reshape(g.size)
    last = np.zeros((width // outer + 2, width), g.dtype)  # of g's rows, those from which a vector would reach beyond its end
    for block in range(start, stop):
        part, index, division = block // (panels * divisions), block // divisions % panels, block % divisions
        group, column = index // (panels // groups), index % (panels // groups) * width
        its = tiles[division * share : (division + 1) * share]
        total = sums[part, index, division * share * height : (division + 1) * share * height]
        total[:] = 0
        base, other = address(x) + group * inner * item, address(g) + (group * outer + column) * item
        end = min((part + 1) * chunk, positions)
        for first in range(part * chunk, end, _POSITIONS):
            count = min(_POSITIONS, end - first)
            n, p = first // len(starts), first % len(starts)
            for m in range(count):
                begins[m], ends[m] = n * image + starts[p] * item, n * result + places[p] * item
                at = ends[m] // item + group * outer + column
                if at + width > len(flat):
                    row = last[(len(flat) - at) // (groups * outer)]
                    row[: len(flat) - at] = flat[at:]
                    ends[m] = address(row) - other
                p += 1
                if p == len(starts):
                    n, p = n + 1, 0
            for t in range(len(its)):
                out = address(total) + t * height * width * item
                correlate_tile(base + its[t], address(begins), other, address(ends), count, out, shape)


@compiled
def _unpack(sums: Any, groups: int, rows: Any, weight: Any) -> None:
    parallel_for(_unpack_block, (sums, groups, rows, weight), (len(weight) + 15) // 16, 1)


@compiled
def _unpack_block(sums: Any, groups: int, rows: Any, weight: Any, start: int, stop: int) -> None:
    """Sixteen outputs: the sums of all chunks, in order, as (O, C/G, elements)."""
    chunks, panels, _, width = sums.shape
    outer, inner, elements = len(weight) // groups, weight.shape[1], weight.shape[2]
    for o in range(start * 16, min(stop * 16, len(weight))):
        group, column = o // outer, o % outer
        index, column = group * (panels // groups) + column // width, column % width
        to = weight[o]
        for c in range(inner):
            for e in range(elements):
                row = rows[e * inner + c]
                total = sums[0, index, row, column]
                for part in range(1, chunks):
                    total += sums[part, index, row, column]
                to[c, e] = total


# ---- depthwise ------------------------------------------------------------------------------------------


@compiled
def _depthwise(x: Any, starts: Any, parts: Any, weight: Any, bias: Any, y: Any, places: Any, lanes: int, shape: Any) -> None:
    """Tiles of channels where they fill vectors, and loops over the rest."""
    arguments = (x, starts, parts, weight, bias, y, places, lanes, shape)
    parallel_for(_depthwise_block, arguments, len(x) * len(starts), 60 * len(shape[0]))


@compiled
def _depthwise_block(
    x: Any, starts: Any, parts: Any, weight: Any, bias: Any, y: Any, places: Any, lanes: int, shape: Any, start: int, stop: int
) -> None:
    channels, item, height, width = len(bias), x.itemsize, len(shape[0]), len(shape[1]) * lanes
    begins, ends, distances = np.empty(height, np.int64), np.empty(height, np.int64), parts * item
    whole = channels // width * width
    for first in range(start, stop, height):
        for m in range(height):
            r = min(first + m, stop - 1)  # those beyond the last are the last again
            n, p = r // len(starts), r % len(starts)
            begins[m], ends[m] = (n * x.shape[1] + starts[p]) * item, (n * y.shape[1] + places[p]) * item
            source, to = x[n, starts[p] :], y[n, places[p] : places[p] + channels]
            for c in range(whole, channels):
                total = bias[c]
                for e in range(len(parts)):
                    total += source[parts[e] + c] * weight[e, c]
                to[c] = total
        for c in range(0, whole * item, width * item):
            scale_tile(
                address(x) + c, address(begins), address(distances), len(parts), address(weight) + c, channels * item,
                address(bias) + c, address(y) + c, address(ends), shape,
            )  # fmt: skip


@compiled
def _depthwise_weight(
    x: Any, starts: Any, parts: Any, g: Any, places: Any, chunk: int, sums: Any, weight: Any, lanes: int, shape: Any
) -> None:
    parallel_for(_depthwise_weight_block, (x, starts, parts, g, places, chunk, sums, lanes, shape), len(sums), 1)
    for c in range(len(weight)):
        for e in range(len(parts)):
            total = sums[0, e, c]
            for part in range(1, len(sums)):
                total += sums[part, e, c]
            weight[c, e] = total


@compiled
def _depthwise_weight_block(
    x: Any, starts: Any, parts: Any, g: Any, places: Any, chunk: int, sums: Any, lanes: int, shape: Any, start: int, stop: int
) -> None:
    channels, item, height, width = sums.shape[2], x.itemsize, len(shape[0]), len(shape[1]) * lanes
    begins, ends = np.empty(_POSITIONS, np.int64), np.empty(_POSITIONS, np.int64)
    # some parts at a time; where there are fewer, the first ones again, into sums that nobody reads
    distances = np.zeros((len(parts) + height - 1) // height * height, np.int64)
    distances[: len(parts)] = parts * item
    total = np.empty((len(distances), channels), x.dtype)
    whole = channels // width * width
    for part in range(start, stop):
        total[:] = 0
        end = min((part + 1) * chunk, len(x) * len(starts))
        for first in range(part * chunk, end, _POSITIONS):
            count = min(_POSITIONS, end - first)
            for m in range(count):
                n, p = (first + m) // len(starts), (first + m) % len(starts)
                begins[m], ends[m] = (n * x.shape[1] + starts[p]) * item, (n * g.shape[1] + places[p]) * item
                for e in range(len(parts)):
                    for c in range(whole, channels):
                        total[e, c] += x[n, starts[p] + parts[e] + c] * g[n, places[p] + c]
            for c in range(0, whole * item, width * item):
                for e in range(0, len(distances), height):
                    scale_sums_tile(
                        address(x) + c, address(begins), address(distances) + 8 * e, address(g) + c, address(ends), count,
                        address(total) + e * channels * item + c, channels * item, shape,
                    )  # fmt: skip
        sums[part] = total[: len(parts)]
