"""Convolution where the channels are too few for vectors to lie across them: vectors lie along an image's rows.

So it is for depthwise convolutions of images that are channels-first, whose groups have a channel or a few, and for the
gradients of a network's first layer, whose image has one channel or three.

There is an image of few channels on one side, and one of perhaps many on the other. The one of few is *spread*: for each column
of the kernel there is a plane of what that column sees, so that rows of both sides are of one length and follow each other
without gaps. Then all three products are sums over whole planes, a strip of rows at a time, of which only the spread image
is copied: the result is a weighted sum of the spread planes; the gradient of the weight is made of their dot products with the
planes of the other; and the gradient of the spread planes is a weighted sum of those, and is then *gathered*, as the transpose
of having been spread. Rows at a stride, that are reached by the same rows of the kernel, are planes of their own (``Rows``).
With stride 1 and rows that stay as long as they are, the image itself serves for its spread planes: then masks say which
elements lie beyond its edges (``Seen``).
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import Native, address, array_at, borrow, compiled, give_back, parallel_for, vector_length
from .layout import plane_tiles, transpose_matrix
from .window import Size, Window, channels_last

_NEAR = 32 << 10  # bytes of a strip's planes, where they are few and each is read several times
_FAR = 192 << 10  # where they are many


plane_tile, dot_tile = Native("plane_tile", plane_tiles), Native("dot_tile", plane_tiles)
seen_plane_tile, seen_dot_tile = Native("seen_plane_tile", plane_tiles), Native("seen_dot_tile", plane_tiles)
load_rows, add_rows = Native("load_rows", plane_tiles), Native("add_rows", plane_tiles)


# ---- what depends on shapes alone -----------------------------------------------------------------------


class Rows(NamedTuple):
    """How the rows of one side are reached from those of the other, by the kernel's rows.

    From ``places`` q, those of one side are ``step`` q + a phase + ``first``, and those of the other, for the kernel's
    row k, q + shifts[k] + ``other``.
    """

    places: int
    step: int
    first: int
    other: int
    phases: list[int]  # those that there are
    phase: list[int]  # of each of the kernel's rows, the number of its phase
    shifts: list[int]  # of each of the kernel's rows, from 0 on
    halo: int  # how many rows more than q a strip of the other side has


def spread_rows(size: int, positions: int, kernel: int, stride: int, before: int, dilation: int) -> Rows:
    """For rows of results, from which the image's are reached: those of the phase (d k) mod s, (d k) / s further on."""
    steps = [dilation * k for k in range(kernel)]
    phases = sorted({n % stride for n in steps})
    shifts = [n // stride for n in steps]
    return Rows(positions, stride, -before, 0, phases, [phases.index(n % stride) for n in steps], shifts, max(shifts))


def gathered_rows(size: int, positions: int, kernel: int, stride: int, before: int, dilation: int) -> Rows:
    """For rows of the image, from which results are reached: the row i and k belong to j, where i + before = s j + d k."""
    steps = [dilation * k for k in range(kernel)]
    back = [n // stride for n in steps]  # from q, for rows i of the phase (d k) mod s
    first, last = before // stride, (size - 1 + before) // stride
    shifts = [max(back) - n for n in back]
    phases, phase = list(range(stride)), [n % stride for n in steps]
    return Rows(last - first + 1, stride, first * stride - before, first - max(back), phases, phase, shifts, max(shifts))


class Columns(NamedTuple):
    """Which columns of the image each of the kernel's columns sees: stride j + shifts[l], for firsts[l] <= j < stops[l]."""

    shifts: Array
    firsts: Array
    stops: Array


def _columns(size: int, positions: int, kernel: int, stride: int, before: int, dilation: int) -> Columns:
    shifts = np.arange(kernel) * dilation - before
    firsts = np.clip(-(shifts // stride), 0, positions)
    return Columns(shifts, firsts, np.clip((size - 1 - shifts) // stride + 1, firsts, positions))


def _strip(rows: Rows, width: int, planes: int, items: int, near: int, item: int) -> tuple[int, int]:
    """Into how many strips the rows are divided, and of how many rows each is: as fits the cache, and some for each thread."""
    fitting = near // max(1, planes * width * item) - rows.halo
    wanted = -(-rows.places // -(-16 // max(1, items)))
    high = min(rows.places, max(4, min(fitting, wanted)))
    strips = -(-rows.places // high)
    return strips, -(-rows.places // strips)


class Spread(NamedTuple):
    """How the planes of the image of few channels are spread, and where results' rows find what they need of them."""

    sizes: tuple[int, ...]  # as ``_spread`` takes them
    columns: Columns
    phases: Array
    strips: int
    high: int  # rows of results in a strip
    elements: int  # of the spread planes of a group
    distances: Array  # in elements, of each channel and element of the kernel


@lru_cache(1024)
def spreading(size: Size, channels: int, window: Window, items: int, item: int) -> Spread:
    """For images of ``size`` whose groups have so many channels, in an array of numbers of ``item`` bytes."""
    height, width = size
    down, across = window.output_size(size)
    (kernel, kernel_width), (stride, stride_width), (before, before_width) = _plain(window)
    rows = spread_rows(height, down, kernel, stride, before, window.dilation[0])
    columns = _columns(width, across, kernel_width, stride_width, before_width, window.dilation[1])
    planes = channels * kernel_width * len(rows.phases)
    strips, high = _strip(rows, across, planes, items, _NEAR, item)
    total = high + rows.halo
    whole = kernel_width == stride_width == 1 and before_width == 0 and width == across  # rows that follow each other
    sizes = (height, width, down, across, stride, -before, total, stride_width, channels, int(whole))
    c, k, n = np.ix_(range(channels), range(kernel), range(kernel_width))
    plane = (c * kernel_width + n) * len(rows.phases) + np.array(rows.phase)[k]
    distances = (plane * total + np.array(rows.shifts)[k]) * across
    return Spread(sizes, columns, np.array(rows.phases), strips, high, planes * total * across, distances.reshape(-1))


class Seen(NamedTuple):
    """Where results find what they need in the images themselves: with stride 1, and rows as long as the images'."""

    distances: Array  # in elements, of each channel and element of the kernel
    tile_masks: Array  # for tiles of a row's vectors: of each tile, channel and element, and vector
    dot_masks: Array  # of each vector, and channel and element


@lru_cache(256)
def seeing(size: Size, channels: int, window: Window, lanes: int, vectors: int, wide: int) -> Seen | None:
    """For images of ``size`` whose groups have so many channels; None where results lie otherwise.

    Args:
        size, channels, window: the convolution's.
        lanes: of a vector.
        vectors: of a tile of results.
        wide: columns of a tile of dot products.
    """
    (height, width), (down, across) = size, window.output_size(size)
    if window.stride != (1, 1) or across != width:
        return None
    steps = [
        [d * e - before for e in range(k)]
        for k, d, (before, _) in zip(window.kernel, window.dilation, window.padding, strict=True)
    ]
    tiles = -(-down * across // (lanes * vectors))
    i, j = np.divmod(np.arange(tiles * vectors * lanes), width)
    rows = [(i < down) & (i + k >= 0) & (i + k < height) for k in steps[0]]
    columns = [(j + n >= 0) & (j + n < width) for n in steps[1]]
    elements = np.array([r & c for r in rows for c in columns])
    distances = np.array([k * width + n for k in steps[0] for n in steps[1]])
    distances = (np.arange(channels)[:, None] * height * width + distances).reshape(-1)
    bits = np.packbits(elements.reshape(len(elements), -1, lanes), axis=-1, bitorder="little")  # of each vector
    bits = np.tile(bits, (channels, 1, 1))
    by_tile = bits.reshape(len(bits), tiles, vectors, -1).swapaxes(0, 1)
    padded = np.zeros((bits.shape[1], -(-len(bits) // wide) * wide, bits.shape[2]), np.uint8)
    padded[:, : len(bits)] = bits.swapaxes(0, 1)
    return Seen(distances, np.ascontiguousarray(by_tile), padded)


class Gathered(NamedTuple):
    """How the gradient of the image of few channels is made of the planes of the other."""

    sizes: tuple[int, ...]
    columns: Columns
    strips: int
    high: int  # places q in a strip
    plane: int  # elements of a strip of a plane
    distances: Array  # of each plane and row of the kernel, phase after phase
    kept: Array  # which of the planes and rows of the kernel they are
    begins: Array  # of each phase, where in ``distances``


@lru_cache(1024)
def gathering(size: Size, g_size: Size, planes: int, window: Window, items: int, item: int) -> Gathered:
    """For images of ``size`` from results of ``g_size``, of which a group has so many planes."""
    (height, width), (down, across) = size, g_size
    (kernel, kernel_width), (stride, stride_width), (before, before_width) = _plain(window)
    rows = gathered_rows(height, down, kernel, stride, before, window.dilation[0])
    columns = _columns(width, across, kernel_width, stride_width, before_width, window.dilation[1])
    strips, high = _strip(rows, across, planes, items, _FAR if planes > 4 else _NEAR, item)
    plane = (high + rows.halo) * across
    distances, kept, begins = [], [], [0]
    for phase in rows.phases:
        its = [k for k in range(kernel) if rows.phase[k] == phase]
        for o in range(planes):
            distances += [o * plane + rows.shifts[k] * across for k in its]
            kept += [o * kernel + k for k in its]
        begins.append(len(kept))
    whole = kernel_width == stride_width == 1 and before_width == 0 and width == across
    sizes = (height, width, down, across, stride, rows.first, rows.other, rows.halo, stride_width, rows.places, int(whole))
    return Gathered(sizes, columns, strips, high, plane, *(np.array(a, np.int64) for a in (distances, kept, begins)))


def _plain(window: Window) -> tuple[Size, Size, Size]:
    return window.kernel, window.stride, tuple(before for before, _ in window.padding)


# ---- the three products ---------------------------------------------------------------------------------


def is_few(weight: tuple[int, ...], dimensions: int) -> bool:
    """Whether the channels of a group, the second of a weight's axes, are so few, in images of one or two dimensions."""
    return weight[1] <= 4 and dimensions <= 2


def suits(x: Array, weight: tuple[int, ...], groups: int) -> bool:
    """Whether ``convolve`` is for an image and a weight of this shape: from few channels in each group, or pixels, to few."""
    each = weight[0] // groups
    few = is_few(weight, x.ndim - 2) or (groups == 1 and x.ndim <= 4 and prod(weight[2:]) == 1)  # these need no copy
    return few and each <= (4 if groups > 1 else most_rows())


def suits_weight(x: Array, g: Array, window: Window, groups: int) -> bool:
    """Whether ``convolve_weight`` is for an image and results of these shapes, in their orders in memory."""
    channels = x.shape[1] // groups
    if groups == 1:  # where the kernel sees enough of a row, vectors lie across the results' channels
        return is_few((g.shape[1], channels), x.ndim - 2) and channels * window.kernel[-1] < 14
    return is_few((g.shape[1], channels), x.ndim - 2) and x.flags.c_contiguous and g.flags.c_contiguous


def convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """As ``convolution.convolve``, from images of few channels in each group to at most ``most_rows()``."""
    result = window.output_size(x.shape[2:])
    x, size, window = _in_two_dimensions(x, window)
    n, o, channels, each = x.shape[0], weight.shape[0], x.shape[1] // groups, weight.shape[0] // groups
    factors = np.ascontiguousarray(weight.reshape(groups, each, -1).transpose(0, 2, 1))
    start = np.zeros(o, x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = empty((n, o, *result), x.dtype)
    _, shape = _panels(each, prod(result), x.dtype)
    seen = seeing(size, channels, window, plane_tiles().VECTOR // x.itemsize, len(shape[1]), 1)
    if seen is not None:
        planes = channels * prod(size), prod(result)
        _multiply_seen(
            x.ravel(), factors, start, y.reshape(-1), seen.distances * x.itemsize, seen.tile_masks, planes, each, shape
        )
        return y
    plan = spreading(size, channels, window, n * groups, x.itemsize)
    _multiply(
        x.ravel(), factors, start, y.reshape(-1), n, *plan.columns, plan.phases, plan.distances * x.itemsize, plan.sizes,
        plan.strips, plan.high, plan.elements, each, shape,
    )  # fmt: skip
    return y


def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_input``, to images of few channels in each group."""
    dimensions = len(size)
    if dimensions == 1:
        size = (*size, 1)
    g, g_size, window = _in_two_dimensions(g, window)
    n, each, inside = g.shape[0], weight.shape[0] // groups, weight.shape[1]
    plan = gathering(size, g_size, each, window, n * groups, g.itemsize)
    kernel, wide = window.kernel
    panels, shape = _panels(inside * wide, plan.high * g_size[1], g.dtype)
    by_row = weight.reshape(groups, each, inside, kernel, wide).transpose(0, 1, 3, 2, 4).reshape(groups, each * kernel, -1)
    if len(plan.begins) > 2:
        by_row = by_row[:, plan.kept]
    factors = _packed(by_row, panels, len(shape[0]))
    start = np.zeros(inside * groups, g.dtype) if bias is None else np.ascontiguousarray(bias)
    x = empty((n, inside * groups, *size), g.dtype)
    _gather(
        *_planes(g), factors, start, x.reshape(-1), n, plan.columns.shifts, plan.distances * g.itemsize, plan.begins,
        plan.sizes, plan.strips, plan.high, plan.plane, inside, each, shape,
    )  # fmt: skip
    return x.reshape(x.shape[: 2 + dimensions])


def convolve_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_weight``, from images of few channels in each group."""
    kernel = window.kernel
    x, size, window = _in_two_dimensions(x, window)
    n, channels, o = x.shape[0], x.shape[1] // groups, g.shape[1]
    each, elements = o // groups, channels * prod(kernel)
    wide = -(-elements // -(-elements // 9))  # columns of a tile
    high = min(each, max(1, min(4, plane_tiles().SUMS // wide)))
    tiles = -(-each // high)
    share = min(tiles, max(1, 24 // high))  # tiles of outputs for which the image is spread once
    parts = -(-tiles // share)
    zero, (planes, apart) = x.dtype.type(0), _planes(g)
    shape = (zero,) * high, (zero,) * wide
    seen = seeing(size, channels, window, plane_tiles().VECTOR // x.itemsize, 1, wide) if apart[1] == 1 else None
    plan = spreading(size, channels, window, 16, x.itemsize)
    strips = n if seen else n * plan.strips
    chunks = max(1, min(-(-16 // (groups * parts)), strips))  # of strips, of which each has a sum
    chunks = -(-strips // -(-strips // chunks))
    to = seen.distances if seen else plan.distances
    distances = np.full(-(-elements // wide) * wide, to[-1]) * x.itemsize
    distances[:elements] = to * x.itemsize
    sums = empty((chunks, groups, tiles, len(distances) // wide, high, wide), x.dtype)
    if seen is not None:
        _correlate_seen(
            x.ravel(), planes, sums, n, distances, seen.dot_masks, channels * prod(size), prod(g.shape[2:]), each, share,
            shape,
        )  # fmt: skip
    else:
        _correlate(
            x.ravel(), planes, apart, sums, n, *plan.columns, plan.phases, distances, plan.sizes, plan.strips, plan.high,
            plan.elements, each, share, shape,
        )  # fmt: skip
    total = sums[0] if chunks == 1 else sums.sum(axis=0)
    rows = total.transpose(0, 1, 3, 2, 4).reshape(groups, tiles * high, -1)
    if tiles * high > each:  # the last tile begins within the one before
        rows = np.concatenate([rows[:, : each - high], rows[:, -high:]], axis=1)
    return np.ascontiguousarray(rows[..., :elements]).reshape(o, channels, *kernel)


def _in_two_dimensions(x: Array, window: Window) -> tuple[Array, Size, Window]:
    """Images (N, C, H, W) without gaps, or channels-last; of one dimension, that is H."""
    if x.ndim == 3:
        x = x[..., None]
        window = Window(*((*a, b) for a, b in zip(window, (1, 1, (0, 0), 1), strict=True)))  # type: ignore[arg-type]
    return x, x.shape[2:], window


def _planes(g: Array) -> tuple[Array, tuple[int, int]]:
    """An array's elements, and the distances between planes and pixels."""
    if g.flags.c_contiguous:
        return g.reshape(-1), (prod(g.shape[2:]), 1)
    return np.ascontiguousarray(channels_last(g)).reshape(-1), (1, g.shape[1])


def most_rows() -> int:
    """Of a tile of a weighted sum."""
    return int(plane_tiles().SUMS) // 2


def _panels(rows: int, length: int, dtype: Any) -> tuple[int, Any]:
    """Into how many tiles the rows of a product are divided, each of ``length`` elements, and the shape of a tile."""
    panels = -(-rows // most_rows())
    high = -(-rows // panels)
    lanes, zero = plane_tiles().VECTOR // dtype.itemsize, dtype.type(0)
    vectors, wide = -(-length // lanes), min(8, plane_tiles().SUMS // high)
    few = -(-wide // 2)
    if -(-vectors // few) * few * 1.1 < -(-vectors // wide) * wide:
        wide = few
    return panels, ((zero,) * high, (zero,) * wide)


def _packed(matrices: Array, panels: int, high: int) -> Array:
    """Matrices (G, parts, rows) as tiles read them: (G, panels, parts, rows of a tile)."""
    groups, parts, rows = matrices.shape
    if panels == 1:
        return np.ascontiguousarray(matrices).reshape(groups, 1, parts, high)
    packed = np.zeros((groups, parts, panels * high), matrices.dtype)
    packed[..., :rows] = matrices
    return np.ascontiguousarray(packed.reshape(groups, parts, panels, high).transpose(0, 2, 1, 3))


# ---- compiled -------------------------------------------------------------------------------------------


@compiled
def _spread(x: Any, phases: Any, shifts: Any, firsts: Any, stops: Any, sizes: Any, top: int, out: Any) -> None:
    """The planes of a group, from the address ``x``: for each channel, column of the kernel, and phase, the strip's rows.

    ``top`` is the image's row that the strip's first one would be in the first phase if that is 0.
    """
    height, width, _, across, stride, _, rows, stride_width, channels, whole = sizes
    item, zero, place = out.itemsize, out.dtype.type(0), 0
    for c in range(channels):
        for n in range(len(shifts)):
            for phase in phases:
                first = top + phase
                begin = 0 if first >= 0 else min(rows, (stride - 1 - first) // stride)
                end = rows if first + (rows - 1) * stride < height else max(begin, (height - 1 - first) // stride + 1)
                source = x + ((c * height + first + begin * stride) * width + shifts[n]) * item
                to = address(out) + (place + begin * across) * item
                out[place : place + begin * across] = zero
                step, apart, left, right, count, there = (
                    stride * width * item,
                    stride_width,
                    firsts[n],
                    stops[n],
                    across,
                    end - begin,
                )
                if whole and (stride == 1 or width == 1):  # all rows as one
                    apart, left, right, count, there = stride, 0, there * width, there * width, 1
                load_rows(source, step, apart, left, right, to, across * item, count, there, zero)
                out[place + end * across : place + rows * across] = zero
                place += rows * across


@compiled
def _multiply(
    x: Any, weight: Any, bias: Any, y: Any, images: int, shifts: Any, firsts: Any, stops: Any, phases: Any, distances: Any,
    sizes: Any, strips: int, high: int, elements: int, each: int, shape: Any,
) -> None:  # fmt: skip
    work = len(distances) * high * sizes[3] * each
    arguments = (x, weight, bias, y, shifts, firsts, stops, phases, distances, sizes, strips, high, elements, each, shape)
    parallel_for(_multiply_block, arguments, images * len(weight) * strips, max(1, 500_000 // max(work, 1)))


@compiled
def _multiply_block(
    x: Any, weight: Any, bias: Any, y: Any, shifts: Any, firsts: Any, stops: Any, phases: Any, distances: Any, sizes: Any,
    strips: int, high: int, elements: int, each: int, shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    height, width, down, across, stride, before, _, _, channels, _ = sizes
    item, groups, parts, vectors = x.itemsize, len(weight), weight.shape[1], len(shape[1]) * vector_length(x)
    spread = borrow(x, elements + vector_length(x))
    for index in range(start, stop):
        plane, row = index // strips, index % strips * high
        group = plane % groups
        source = address(x) + plane * channels * height * width * item
        _spread(source, phases, shifts, firsts, stops, sizes, row * stride + before, spread)
        length, its, first = min(high, down - row) * across, address(weight[group]), address(bias) + group * each * item
        out = address(y) + (plane * each * down + row) * across * item
        for j in range(0, length, vectors):
            begin, place, rest = address(spread) + j * item, out + j * item, length - j
            plane_tile(begin, address(distances), 0, parts, its, first, place, down * across * item, rest, shape)
    give_back(spread)


@compiled
def _multiply_seen(
    x: Any, weight: Any, bias: Any, y: Any, distances: Any, masks: Any, planes: Any, each: int, shape: Any
) -> None:
    work = len(distances) * len(shape[1]) * vector_length(x) * each
    count = len(x) // max(1, planes[0]) * len(masks)
    parallel_for(
        _multiply_seen_block,
        (x, weight, bias, y, distances, masks, planes, each, shape),
        count,
        max(1, 500_000 // max(work, 1)),
    )


@compiled
def _multiply_seen_block(
    x: Any,
    weight: Any,
    bias: Any,
    y: Any,
    distances: Any,
    masks: Any,
    planes: Any,
    each: int,
    shape: Any,
    start: int,
    stop: int,
) -> None:
    item, parts, step, vectors = x.itemsize, weight.shape[1], planes[1] * x.itemsize, len(shape[1]) * vector_length(x)
    plane, tile = start // len(masks), start % len(masks)
    group = plane % len(weight)
    for _ in range(start, stop):
        j = tile * vectors
        seen, its, first = (
            address(x) + (plane * planes[0] + j) * item,
            address(weight[group]),
            address(bias) + group * each * item,
        )
        to, bits = address(y) + (plane * each * planes[1] + j) * item, address(masks[tile])
        seen_plane_tile(seen, address(distances), bits, parts, its, first, to, step, planes[1] - j, shape)
        tile += 1
        if tile == len(masks):
            tile, plane, group = 0, plane + 1, group + 1
            if group == len(weight):
                group = 0


@compiled
def _take(
    g: Any, plane: int, pixel: int, planes: int, begin: int, first: int, stop: int, count: int, out: Any, step: int
) -> None:
    """Pixels ``begin`` to ``begin + count`` of some planes, 0 but for those from ``first`` up to ``stop``: rows ``step`` apart.

    ``g`` is the address of the first plane; the distances between planes and pixels count elements.
    """
    item, zero, to = out.itemsize, out.dtype.type(0), address(out)
    if pixel == 1:
        load_rows(g + begin * item, plane * item, 1, first, stop, to, step * item, count, planes, zero)
        return
    for o in range(planes):
        out[o * step : o * step + first] = zero
        out[o * step + stop : o * step + count] = zero
    source = g + (begin + first) * pixel * item
    transpose_matrix(out, source, pixel * item, stop - first, planes, to + first * item, step * item)


@compiled
def _gather(
    g: Any, apart: Any, weight: Any, bias: Any, x: Any, images: int, shifts: Any, distances: Any, begins: Any, sizes: Any,
    strips: int, high: int, plane: int, inside: int, each: int, shape: Any,
) -> None:  # fmt: skip
    work = len(distances) * high * sizes[3] * inside * len(shifts)
    arguments = (g, apart, weight, bias, x, shifts, distances, begins, sizes, strips, high, plane, inside, each, shape)
    parallel_for(_gather_block, arguments, images * len(weight) * strips, max(1, 500_000 // max(work, 1)))


@compiled
def _gather_block(
    g: Any, apart: Any, weight: Any, bias: Any, x: Any, shifts: Any, distances: Any, begins: Any, sizes: Any, strips: int,
    high: int, plane: int, inside: int, each: int, shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    height, width, down, across, stride, top, other, halo, stride_width, count, whole = sizes
    item, groups, panels, tall = x.itemsize, weight.shape[0], weight.shape[1], weight.shape[3]
    vectors, columns = len(shape[1]) * vector_length(x), len(shifts)
    taken = borrow(x, each * plane + vector_length(x))
    rows = borrow(x, panels * tall * high * across).reshape(panels * tall, high * across)
    none = np.zeros(tall, x.dtype)
    for index in range(start, stop):
        n, group, strip = index // (groups * strips), index // strips % groups, index % strips
        q = strip * high
        some, row = min(high, count - q), q + other
        first, last = min(max(0, -row), some + halo), max(0, min(some + halo, down - row))
        source = address(g) + (n * groups * each * down * across + group * each * apart[0]) * item
        _take(
            source, apart[0], apart[1], each, row * across, first * across, max(first, last) * across, (some + halo) * across,
            taken, plane,
        )  # fmt: skip
        for phase in range(len(begins) - 1):
            where, reached = address(distances) + 8 * begins[phase], begins[phase + 1] - begins[phase]
            for panel in range(panels):
                its = address(weight[group, panel, begins[phase] :])
                for j in range(0, some * across, vectors):
                    to = address(rows[panel * tall :]) + j * item
                    rest = some * across - j
                    plane_tile(
                        address(taken) + j * item, where, 0, reached, its, address(none), to, rows.strides[0], rest, shape
                    )
            for c in range(inside):
                out = address(x) + (n * groups + group) * inside * height * width * item + c * height * width * item
                begin = address(rows[c * columns :])
                start_row, added = q * stride + top + phase, bias[group * inside + c]
                _put(begin, rows, shifts, stride_width, across, added, stride, start_row, some, out, height, width, whole)
    give_back(taken)
    give_back(rows)


@compiled
def _put(
    source: int, rows: Any, shifts: Any, stride_width: int, across: int, start: Any, stride: int, top: int, count: int,
    out: int, height: int, width: int, whole: int,
) -> None:  # fmt: skip
    """The rows of one channel: the sum of what all the kernel's columns have seen, there where they have seen it."""
    item = rows.itemsize
    begin = max(0, -(top // stride))
    end = max(begin, min(count, (height - 1 - top) // stride + 1))
    if whole and (stride == 1 or width == 1):
        results = array_at(rows, source + begin * width * item, (end - begin) * width)
        to = array_at(rows, out + (top + begin * stride) * width * item, max(0, (len(results) - 1) * stride + 1))
        for i in range(len(results)):
            to[i * stride] = results[i] + start
        return
    for r in range(begin, end):
        seen, row = source + r * across * item, out + (top + r * stride) * width * item
        if stride_width == 1:
            add_rows(seen, rows.strides[0], address(shifts), len(shifts), across, start, row, width)
            continue
        to = array_at(rows, row, width)
        to[:] = start
        for n in range(len(shifts)):
            results = array_at(rows, seen + n * rows.strides[0], across)
            first = max(0, -(shifts[n] // stride_width))
            last = min(across, (width - 1 - shifts[n]) // stride_width + 1)
            for j in range(first, last):
                to[j * stride_width + shifts[n]] += results[j]


@compiled
def _correlate(
    x: Any, g: Any, apart: Any, sums: Any, images: int, shifts: Any, firsts: Any, stops: Any, phases: Any, distances: Any,
    sizes: Any, strips: int, high: int, elements: int, each: int, share: int, shape: Any,
) -> None:  # fmt: skip
    items = sums.shape[0] * sums.shape[1] * ((sums.shape[2] + share - 1) // share)
    work = (images * strips + len(sums) - 1) // len(sums) * high * sizes[3] * share * sums.shape[4] * len(distances)
    arguments = (
        x, g, apart, sums, images * strips, shifts, firsts, stops, phases, distances, sizes, strips, high, elements, each,
        share, shape,
    )  # fmt: skip
    parallel_for(_correlate_block, arguments, items, max(1, 500_000 // max(work, 1)))


@compiled
def _correlate_block(
    x: Any, g: Any, apart: Any, sums: Any, count: int, shifts: Any, firsts: Any, stops: Any, phases: Any, distances: Any,
    sizes: Any, strips: int, high: int, elements: int, each: int, share: int, shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    height, width, down, across, stride, before, _, _, channels, _ = sizes
    chunks, groups, tiles, columns, tall, wide = sums.shape
    item, lanes, parts = x.itemsize, vector_length(x), (tiles + share - 1) // share
    chunk = (count + chunks - 1) // chunks
    spread = borrow(x, elements + lanes)
    taken = borrow(x, 1 if apart[1] == 1 else share * tall * high * across + lanes)
    total = borrow(x, share * columns * tall * wide * lanes).reshape(share * columns, tall * wide * lanes)
    for index in range(start, stop):
        part, group, number = index % parts, index // parts % groups, index // (parts * groups)
        total[:] = 0
        begin, end = part * share, min(tiles, (part + 1) * share)
        lowest = min(begin * tall, each - tall)
        for s in range(number * chunk, min(count, (number + 1) * chunk)):
            n, row = s // strips, s % strips * high
            source = address(x) + (n * groups + group) * channels * height * width * item
            _spread(source, phases, shifts, firsts, stops, sizes, row * stride + before, spread)
            length = min(high, down - row) * across
            given = address(g) + (n * groups * each * down * across + (group * each + lowest) * apart[0]) * item
            step = down * across
            if apart[1] == 1:
                given += row * across * item
            else:
                planes = min(end * tall, each) - lowest
                _take(given, apart[0], apart[1], planes, row * across, 0, length, length, taken, high * across)
                given, step = address(taken), high * across
            for t in range(begin, end):
                left = given + (min(t * tall, each - tall) - lowest) * step * item
                for column in range(columns):
                    to = address(total[(t - begin) * columns + column])
                    dot_tile(left, step * item, address(spread), address(distances[column * wide :]), 0, 0, length, to, shape)
        _add_lanes(total, sums[number, group, begin:end])
    give_back(spread)
    give_back(taken)
    give_back(total)


@compiled
def _correlate_seen(
    x: Any, g: Any, sums: Any, images: int, distances: Any, masks: Any, size: int, plane: int, each: int, share: int, shape: Any
) -> None:
    items = sums.shape[0] * sums.shape[1] * ((sums.shape[2] + share - 1) // share)
    work = (images + len(sums) - 1) // len(sums) * plane * share * sums.shape[4] * len(distances)
    arguments = (x, g, sums, images, distances, masks, size, plane, each, share, shape)
    parallel_for(_correlate_seen_block, arguments, items, max(1, 500_000 // max(work, 1)))


@compiled
def _correlate_seen_block(
    x: Any, g: Any, sums: Any, images: int, distances: Any, masks: Any, size: int, plane: int, each: int, share: int,
    shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    chunks, groups, tiles, columns, tall, wide = sums.shape
    item, parts, chunk = x.itemsize, (tiles + share - 1) // share, (images + chunks - 1) // chunks
    total = borrow(x, share * columns * tall * wide * vector_length(x)).reshape(share * columns, tall * wide * vector_length(x))
    for index in range(start, stop):
        part, group, number = index % parts, index // parts % groups, index // (parts * groups)
        total[:] = 0
        begin, end = part * share, min(tiles, (part + 1) * share)
        for n in range(number * chunk, min(images, (number + 1) * chunk)):
            seen = address(x) + (n * groups + group) * size * item
            for t in range(begin, end):
                given = address(g) + ((n * groups + group) * each + min(t * tall, each - tall)) * plane * item
                for column in range(columns):
                    to, where = address(total[(t - begin) * columns + column]), address(distances) + 8 * column * wide
                    bits = address(masks) + column * wide * masks.strides[1]
                    seen_dot_tile(given, plane * item, seen, where, bits, masks.strides[0], plane, to, shape)
        _add_lanes(total, sums[number, group, begin:end])
    give_back(total)


@compiled
def _add_lanes(total: Any, sums: Any) -> None:
    """Of each tile, column, row and element, the sum of its lanes."""
    tiles, columns, tall, wide = sums.shape
    lanes = vector_length(total)
    for t in range(tiles):
        for column in range(columns):
            by_lane = total[t * columns + column]
            for m in range(tall):
                for e in range(wide):
                    these = by_lane[(m * wide + e) * lanes : (m * wide + e + 1) * lanes]
                    added = these[0]  # np.sum would stand in a module of Numba that imports SciPy's as it is loaded
                    for i in range(1, lanes):
                        added += these[i]
                    sums[t, column, m, e] = added
