"""The gradient of a convolution's weight, compiled: sums over positions of outer products.

For each position the row that the window sees, as it lies in the padded image, times the gradient of the results there. A tile
of these products is summed over some positions in vector registers. Blocks of positions that do not depend on the number of
threads have sums of their own, which are added in order.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .convolution_plan import Path, forward_plan, measures, neighbours, tile, together
from .layer import Native, address, array_at, compiled, parallel_for, vector_length
from .layout import microkernel, pad, transpose_part
from .window import Size, Window

_POSITIONS = 256  # for which a block sums before it goes on to the next tile

correlate_tile = Native("correlate_tile", microkernel)


class Correlation(NamedTuple):
    """What depends on shapes alone."""

    padding: tuple[tuple[int, int], ...]
    path: Path
    times: int  # neighbours that are one row
    tiles: Array  # the distance in bytes of each from a row's start
    rows: Array  # of each row of the product, in which tile's row it is
    share: int  # tiles of a block, which see the same part of the image
    sums: tuple[int, int, int, int]  # their shape: chunks of positions, panels, rows and columns
    slack: int  # how many elements a tile may reach beyond the image
    shape: tuple[tuple[Any, ...], tuple[Any, ...]]  # of a tile


@lru_cache(256)
def correlation(n: int, size: Size, channels: int, out_channels: int, window: Window, groups: int, dtype: Any) -> Correlation:
    """For ``n`` images of ``size``."""
    plan = forward_plan(size, channels, out_channels, window, groups, "groups")
    (path,) = plan.paths
    outer = out_channels // groups
    times = neighbours(path, outer, dtype)
    path = together(path, times)
    shape = tile(path.length, outer * times, dtype)
    height, width = measures(shape)
    panels = -(-outer * times // width)
    # tiles of rows, each within a part; the last of a part overlaps the one before, or reaches into the slack
    firsts = np.maximum(0, np.minimum(np.arange(0, path.length, height), path.length - height))
    tiles = (path.parts[:, None] + firsts).reshape(-1)
    along = np.arange(path.length)
    which = np.minimum(along // height, len(firsts) - 1)
    within = which * height + along - firsts[which]
    rows = (np.arange(len(path.parts))[:, None] * (len(firsts) * height) + within).reshape(-1)
    share = min(48, len(tiles))
    blocks = -(-len(tiles) // share) * panels * groups
    chunks = max(1, min(-(-16 // blocks), n * len(path.starts) // _POSITIONS))
    sums = (chunks, groups * panels, len(tiles) * height, width)
    return Correlation(
        plan.padding, path, times, tiles * dtype.itemsize, rows, share, sums, max(0, height - path.length), shape
    )


def convolve_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """As ``convolution.convolve_weight``."""
    n, channels, o = x.shape[0], x.shape[1], g.shape[1]
    c = correlation(n, x.shape[2:], channels, o, window, groups, x.dtype)
    path, inner, outer, elements = c.path, channels // groups, o // groups, prod(window.kernel)
    padded, given = pad(x, c.padding, c.slack, groups).reshape(n, -1), pad(g, ((0, 0),) * (g.ndim - 2)).reshape(n, -1)
    weight, sums = empty((o, inner, *window.kernel), x.dtype), empty(c.sums, x.dtype)
    _correlate(padded, path.starts, c.tiles, given, path.places, groups, outer * c.times, c.share, c.shape, sums)
    to = weight.reshape(o, inner, elements)
    if c.times == 1:
        _unpack(sums, groups, c.rows, to)
        return weight
    found = sums.sum(axis=0)[0, c.rows].reshape(len(path.parts), path.length, -1)
    length = path.length - (c.times - 1) * path.step  # of what one of the neighbours sees
    total = sum(found[:, k * path.step : k * path.step + length, k * outer : (k + 1) * outer] for k in range(c.times))
    to[...] = np.reshape(total, (elements, inner, outer)).transpose(2, 1, 0)
    return weight


@compiled
def _correlate(
    x: Any, starts: Any, tiles: Any, g: Any, places: Any, groups: int, outer: int, share: int, shape: Any, sums: Any
) -> None:
    """Sums over positions for each panel, row and column of the weight: in a block ``share`` tiles of one panel and chunk."""
    blocks = sums.shape[0] * sums.shape[1] * ((len(tiles) + share - 1) // share)
    parallel_for(_correlate_block, (x, starts, tiles, g, places, groups, outer, share, shape, sums), blocks, 1)


@compiled
def _correlate_block(
    x: Any, starts: Any, tiles: Any, g: Any, places: Any, groups: int, outer: int, share: int, shape: Any,
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
        base, other = address(x) + group * (image // groups), address(g) + (group * outer + column) * item
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
    outer, lanes = len(weight) // groups, vector_length(sums)
    across = (outer + lanes - 1) // lanes
    parallel_for(_unpack_block, (sums, groups, across, rows, weight), groups * across, 1 + 16384 // (lanes * len(rows)))


@compiled
def _unpack_block(sums: Any, groups: int, across: int, rows: Any, weight: Any, start: int, stop: int) -> None:
    """A vector of outputs: the sums of all chunks, in order, as (O, C/G, elements)."""
    chunks, panels, height, width = sums.shape
    outer, inner, elements, item, lanes = (
        len(weight) // groups,
        weight.shape[1],
        weight.shape[2],
        sums.itemsize,
        vector_length(sums),
    )
    length = inner * elements
    total, zero = np.empty((lanes, lanes), sums.dtype), sums.dtype.type(0)
    for task in range(start, stop):
        group, first = task // across, task % across * lanes
        panel, column = group * (panels // groups) + first // width, first % width
        for q in range(0, length, lanes):
            there = min(lanes, length - q)
            for k in range(there):
                at = (
                    address(sums)
                    + ((panel * height + rows[(q + k) % elements * inner + (q + k) // elements]) * width + column) * item
                )
                to = array_at(sums, address(total) + k * lanes * item, lanes)
                source = array_at(sums, at, lanes)
                for j in range(lanes):
                    to[j] = source[j]
                for part in range(1, chunks):
                    source = array_at(sums, at + part * panels * height * width * item, lanes)
                    for j in range(lanes):
                        to[j] += source[j]
            place = address(weight) + ((group * outer + first) * length + q) * item
            transpose_part(address(total), lanes * item, there, min(lanes, outer - first), place, length * item, zero)
