"""Convolution, compiled, by products of gathered rows.

An image is padded once, channels-last, and its memory is then read where it lies, by rows that ``convolution_plan.py``
describes; one that needs no padding is also read channels-first. The weight is packed into panels of columns, as tiles read it.
All that follows from shapes alone, a ``Product``, is kept from call to call, and all paths of a transpose are one region of the
pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty, empty_images
from .convolution_plan import Path, Plan, forward_plan, measures, neighbours, tile, together, transposed_plan
from .layer import Native, address, array_at, compiled, parallel_for, vector_length
from .layout import microkernel, pad
from .window import Size, Window, channels_last

_NEAREST = 24 << 10  # bytes of the nearest cache that weights may take
_CHUNK = 64  # rows of the weight that are packed at a time


multiply_tile, multiply_strided_tile = Native("multiply_tile", microkernel), Native("multiply_strided_tile", microkernel)
transpose_to = Native("transpose_to", microkernel)


class Product(NamedTuple):
    """The tables that the kernels of a product read: distances in bytes, packed weights in elements; see the names below."""

    padding: tuple[tuple[int, int], ...]
    size: Size  # of the result
    order: str  # in which the image is read: channels "last" or "first", as it lies, or group after group
    step: int  # the distance between the elements of a part
    starts: Array  # of the rows of all paths
    places: Array
    parts: Array  # and of their weights
    paths: Array
    panels: Array
    elements: Array
    packed: int  # how many elements there are
    times: int  # neighbours that are one row, at most
    shape: tuple[tuple[Any, ...], tuple[Any, ...]]  # of a tile


# columns of ``paths``: where rows, parts and panels begin, how many there are, and how all that is divided into blocks
_ROW, _ROWS, _PART, _PARTS, _LENGTH, _PANEL, _PANELS, _SHARE, _HEIGHT, _DEPTH, _BLOCK = range(11)
# columns of ``panels``: where inputs, results and weights begin, how many columns there are, and the first one's bias
_FROM, _TO, _WEIGHTS, _COLUMNS, _BIAS = range(5)
# columns of ``elements`` of the kernel: where they are packed, the distance to those of the next panel, their first row, how
# many neighbours are one row, and the distance between these; behind them, where all goes that nobody reads
_AT, _NEXT, _FIRST, _TIMES, _SHIFT = range(5)


@lru_cache(256)
def product(
    n: int, size: Size, other: Size, channels: tuple[int, int], window: Window, groups: int, transposed: bool, order: str,
    dtype: Any,
) -> Product:  # fmt: skip
    """For ``n`` images of ``size``; transposed, of ``other`` size, to results of ``size``.

    ``order``: how they lie in memory, channels ``"last"`` or ``"first"``.
    """
    sizes = (size, other) if transposed else (size,)
    planned: Any = transposed_plan if transposed else forward_plan
    inner, outer, item = channels[0] // groups, channels[1] // groups, dtype.itemsize
    plan: Plan = planned(*sizes, *channels, window, groups)
    padded = any(map(any, plan.padding))
    apart = padded and _is_less(n, planned(*sizes, *channels, window, groups, inside=True), plan, outer, dtype)
    if padded or order == "other":  # it is copied
        order = "groups" if groups > 1 else "last"
    plan = planned(*sizes, *channels, window, groups, order, apart)
    shape = tile(n * max(len(path.starts) for path in plan.paths), outer, dtype)
    height, width = measures(shape)
    columns = [(c, min(width, outer - c)) for c in range(0, outer, width)]

    starts: list[Array] = []
    places: list[Array] = []
    parts: list[Array] = []
    paths: list[tuple[int, ...]] = []
    panels: list[tuple[int, ...]] = []
    elements = np.zeros((prod(window.kernel) + 1, 5), np.int64)
    packed = blocks = most = 0
    for alone, times, copies in [_whole(window, inner, transposed)] if apart else _merged(plan.paths, outer, dtype):
        depth = len(alone.elements) * inner + (times - 1) * len(alone.parts) * alone.step
        panel = len(panels)
        for its, shift in copies:
            for k, element in enumerate(its):
                part, within = divmod(k * inner, alone.length)
                first = part * (alone.length + (times - 1) * alone.step) + within
                elements[element] = (packed, depth * width, first, times, alone.step * width + outer)
            for group in range(groups):
                for column, count in columns:
                    here = group * outer + column
                    panels.append((group * plan.group * item, (here + shift) * item, packed, count * times, here))
                    packed += depth * width
        count, most = len(panels) - panel, max(most, times)
        for path in plan.paths if apart else [together(alone, times)]:
            rows = max(1, n * len(path.starts))
            block = height * min(8, -(-rows // height))
            share = -(-count // min(count, -(-16 * block // rows)))
            paths.append(
                (sum(map(len, starts)), len(path.starts), sum(map(len, parts)), len(path.parts), path.length, panel, count,
                 share, block, len(path.parts) * path.length, blocks)
            )  # fmt: skip
            blocks += -(-rows // block) * -(-count // share)
            if apart:  # of each part, the place of its first element among all
                weights = np.argsort(alone.elements)[path.elements[:: path.length // inner]] * inner
            else:
                weights = np.arange(len(path.parts)) * path.length
            starts.append(path.starts * item)
            places.append(path.places * item)
            parts.append(np.stack([path.parts, weights * width], axis=1) * item)
    paths.append((0,) * _BLOCK + (blocks,))
    elements[-1, _AT], packed = packed, packed + inner * width
    return Product(
        plan.padding, plan.size, order, plan.element * item, np.concatenate(starts), np.concatenate(places),
        np.concatenate(parts), np.array(paths), np.array(panels), elements, packed, most, shape,
    )  # fmt: skip


def _is_less(n: int, apart: Plan, whole: Plan, outer: int, dtype: Any) -> bool:
    """Whether it is much less work to leave out what lies beyond the edges of ``n`` images, in products ``apart``."""
    if len(whole.paths) > 1 or len(apart.paths) == 1 or neighbours(whole.paths[0], outer, dtype) > 1:
        return False
    tall = microkernel().HEIGHTS[0]
    less, more = (sum(-(-n * len(path.starts) // tall) * len(path.elements) for path in plan.paths) for plan in (apart, whole))
    return bool(less < 0.85 * more)


def _whole(window: Window, inner: int, transposed: bool) -> tuple[Path, int, list[tuple[Array, int]]]:
    """As ``_merged``: how the elements of the kernel are packed of which each product takes some."""
    none, elements = np.zeros(0, np.int64), np.arange(prod(window.kernel))
    if transposed:  # so that neighbours in an image are neighbours here
        elements = elements[::-1]
    return Path(none, none, elements, none, inner, 1, 0), 1, [(elements, 0)]


def _merged(paths: Sequence[Path], outer: int, dtype: Any) -> list[tuple[Path, int, list[tuple[Array, int]]]]:
    """Paths, and how many neighbours are one row; those that see the same are one, with the elements and the shift of each."""
    merged: dict[Any, tuple[Path, int, list[tuple[Array, int]]]] = {}
    for path in paths:
        times, shift = neighbours(path, outer, dtype), int(path.places[0])
        key = path.starts.tobytes(), path.parts.tobytes(), path.length, (path.places - shift).tobytes(), times == 1 or shift
        base, _, copies = merged.setdefault(key, (path, times, []))
        copies.append((path.elements, shift - int(base.places[0])))
    return list(merged.values())


# ---- the three products ---------------------------------------------------------------------------------


def convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """As ``convolution.convolve``."""
    return _follow(x, weight, bias, x.shape[2:], window, groups, False)


def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_input``."""
    return _follow(g, weight, bias, size, window, groups, True)


def _follow(x: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int, transposed: bool) -> Array:
    n, channels = x.shape[:2]
    o = weight.shape[1] * groups if transposed else weight.shape[0]
    order = "first" if x.flags.c_contiguous and channels > 4 else "last" if channels_last(x).flags.c_contiguous else "other"
    p = product(n, size if transposed else x.shape[2:], x.shape[2:], (channels, o), window, groups, transposed, order, x.dtype)
    result = empty_images((n, o, *p.size), x.dtype)
    padded = x if p.order == "first" else pad(x, p.padding, groups=groups if p.order == "groups" else 1)
    start = np.zeros(o, x.dtype) if bias is None else bias
    if p.times > 1:
        start = np.tile(start, p.times)
    packed = (empty if p.times == 1 else np.zeros)((p.packed,), x.dtype)
    _multiply(
        padded.reshape(n, -1), np.ascontiguousarray(start), channels_last(result).reshape(n, -1),
        np.ascontiguousarray(weight).reshape(*weight.shape[:2], -1), transposed, groups,
        packed, p.step, p.starts, p.places, p.parts, p.paths, p.panels, p.elements, p.shape,
    )  # fmt: skip
    return result


# ---- the product ----------------------------------------------------------------------------------------


@compiled
def _multiply(
    x: Any, bias: Any, y: Any, weight: Any, transposed: bool, groups: int, packed: Any, step: int, starts: Any, places: Any,
    parts: Any, paths: Any, panels: Any, elements: Any, shape: Any,
) -> None:  # fmt: skip
    """All rows of all images, in blocks of some tiles of rows and some panels of columns."""
    inner, outer = (weight.shape[0] // groups, weight.shape[1]) if transposed else (weight.shape[1], weight.shape[0] // groups)
    width = len(shape[1]) * vector_length(x)
    across, down = (outer + width - 1) // width, (inner + _CHUNK - 1) // _CHUNK
    most = max(1, 16384 // (_CHUNK * width * weight.shape[2]))
    parallel_for(_pack_block, (weight, transposed, groups, elements, across, down, width, packed), groups * across * down, most)
    work = 1
    for k in range(len(paths) - 1):
        work = max(work, paths[k, _HEIGHT] * paths[k, _SHARE] * paths[k, _DEPTH] * width)
    arguments = (x, bias, y, packed, step, starts, places, parts, paths, panels, shape)
    parallel_for(_multiply_block, arguments, paths[-1, _BLOCK], max(1, 500_000 // work))


@compiled
def _pack_block(
    weight: Any, transposed: bool, groups: int, elements: Any, across: int, down: int, width: int, packed: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    """(O, C/G, elements) as panels of columns: of outputs, or transposed of inputs; some rows at a time."""
    a, b, count = weight.shape[0] // groups, weight.shape[1], weight.shape[2]
    inner, outer = (a, b) if transposed else (b, a)
    item, lanes, zero = weight.itemsize, vector_length(weight), weight.dtype.type(0)
    places, times = np.empty(lanes, np.int64), 1
    for e in range(count):
        times = max(times, elements[e, _TIMES])
    for task in range(start, stop):
        index, begin = task // down, task % down * _CHUNK
        group, column = index // across, index % across * width
        end, columns = min(begin + _CHUNK, inner), min(width, outer - column)
        if transposed and count * times == 1:  # of pixels alone: the rows of a panel lie in the weight as they are
            place = _place(elements, 0, index, 0, 0, width)
            for i in range(begin, end):
                source = array_at(weight, address(weight) + ((group * a + i) * b + column) * item, columns)
                to = array_at(weight, address(packed) + (place + i * width) * item, columns)
                for j in range(len(to)):
                    to[j] = source[j]
        elif transposed:
            for first in range(0, count, lanes):
                there = min(lanes, count - first)
                for time in range(times):
                    for k in range(there):
                        places[k] = _place(elements, first + k, index, 0, time, width) * item
                    for i in range(begin, end):
                        for j in range(0, columns, lanes):
                            seen = address(weight) + (((group * a + i) * b + column + j) * count + first) * item
                            transpose_to(
                                seen, count * item, min(lanes, columns - j), there,
                                address(packed) + (i * width + j) * item, address(places), zero,
                            )  # fmt: skip
        else:
            for first in range(begin * count, end * count, lanes):
                there = min(lanes, end * count - first)
                for time in range(times):
                    for k in range(there):
                        places[k] = _place(elements, (first + k) % count, index, (first + k) // count, time, width) * item
                    for j in range(0, columns, lanes):
                        seen = address(weight) + ((group * a + column + j) * b * count + first) * item
                        transpose_to(
                            seen, b * count * item, min(lanes, columns - j), there,
                            address(packed) + j * item, address(places), zero,
                        )  # fmt: skip


@compiled
def _place(elements: Any, e: int, panel: int, i: int, time: int, width: int) -> Any:
    """Where a row of a panel is packed, for one of the neighbours that are one row of the product."""
    if time >= elements[e, _TIMES]:
        e = len(elements) - 1
    return elements[e, _AT] + panel * elements[e, _NEXT] + (elements[e, _FIRST] + i) * width + time * elements[e, _SHIFT]


@compiled
def _multiply_block(
    x: Any, bias: Any, y: Any, packed: Any, step: int, starts: Any, places: Any, parts: Any, paths: Any, panels: Any,
    shape: Any, start: int, stop: int,
) -> None:  # fmt: skip
    tall, width, item = len(shape[0]), len(shape[1]) * vector_length(x), x.itemsize
    image, result = x.shape[1] * item, y.shape[1] * item
    height = tall
    for k in range(len(paths) - 1):
        height = max(height, paths[k, _HEIGHT])
    begins, ends = np.empty(height, np.int64), np.empty(height, np.int64)
    which = 0
    for block in range(start, stop):
        while paths[which + 1, _BLOCK] <= block:
            which += 1
        path = paths[which]
        rows, share, height, depth = path[_ROWS], path[_SHARE], path[_HEIGHT], path[_DEPTH]
        divisions = (path[_PANELS] + share - 1) // share
        first = (block - path[_BLOCK]) // divisions * height
        there = min(height, len(x) * rows - first)
        n, p = first // rows, first % rows
        its_starts, its_places = starts[path[_ROW] : path[_ROW] + rows], places[path[_ROW] : path[_ROW] + rows]
        for m in range(height):  # those beyond the last are the last again
            begins[m], ends[m] = n * image + its_starts[p], n * result + its_places[p]
            if m < there - 1:
                p += 1
                if p == rows:
                    n, p = n + 1, 0
        panel = (block - path[_BLOCK]) % divisions * share
        last = path[_PANEL] + min(panel + share, path[_PANELS])
        its_parts = address(parts) + 16 * path[_PART]
        some = (
            tall if path[_PANELS] * depth * width * item < _NEAREST else height
        )  # all panels for a tile, or all tiles for a panel
        for chunk in range(0, there, some):
            for index in range(path[_PANEL] + panel, last):
                base, out = address(x) + panels[index, _FROM], address(y) + panels[index, _TO]
                factors, added = address(packed) + panels[index, _WEIGHTS] * item, address(bias) + panels[index, _BIAS] * item
                for t in range(chunk, min(chunk + some, there), tall):
                    seen, its = address(begins) + 8 * t, address(ends) + 8 * t
                    if step == item:
                        multiply_tile(
                            base, seen, its_parts, path[_PARTS], path[_LENGTH], step, factors, added, out, its,
                            panels[index, _COLUMNS], shape,
                        )  # fmt: skip
                    else:
                        multiply_strided_tile(
                            base, seen, its_parts, path[_PARTS], path[_LENGTH], step, factors, added, out, its,
                            panels[index, _COLUMNS], shape,
                        )  # fmt: skip
