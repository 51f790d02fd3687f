"""Lines along an axis: elements taken from them by index, the transpose, and running sums.

An array in C order is seen as (outer, n, inner) from an axis. Work is shared by the outer index and by tiles of inner columns.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.batched import all_values
from ..core.memory import contiguous, empty
from .layer import compiled, dense, inlined, kernel, parallel_for

_LEAST = 2048  # elements from which on the compiled versions are faster
_BLOCK = 16384  # elements, about
_TILE = 256  # columns
_INTEGER = np.dtype(np.int64)


def seen(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """The lengths (outer, n, inner) of an array seen from an axis."""
    axis %= len(shape)
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _pays(x: Array) -> bool:
    return dense(x) and x.size >= _LEAST and x.flags.c_contiguous


def integers(index: Array) -> Array:
    """The indices as compiled functions read them: in a row."""
    return index.ravel() if index.dtype is _INTEGER else index.astype(np.int64).ravel()


def _tiles(outer: int, n: int, inner: int) -> tuple[int, int, int]:
    """Columns of a tile, how many tiles there are in all, and how many make a block."""
    width = max(1, min(inner, _TILE))
    return width, outer * -(-inner // width), max(1, _BLOCK // (max(n, 1) * width))


# ---- the same elements of all lines -------------------------------------------------------------------------------------


def check_indices(index: Array, n: int, what: str) -> None:
    """Raise an IndexError that says where, unless all of ``index`` are integers from 0 to n - 1."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"indices are integers, not {index.dtype}")
    if not are_indices(index, n):
        index = all_values(index)
        position = tuple(int(i) for i in np.argwhere((index < 0) | (index >= n))[0])
        where = f" at position {position}" if position else ""
        raise IndexError(f"index {index[position]}{where}; {what} is {n}")


def are_indices(index: Array, n: int) -> bool:
    """Whether all of ``index``, which are integers, are from 0 to n - 1."""
    index = all_values(index)
    # a negative number is, without its sign, larger than any n; and the largest is found fastest by its place
    return not index.size or 0 <= index.item(int(index.view(_unsigned(index.dtype)).argmax())) < n


@cache
def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.str.replace("i", "u"))


@kernel
def take(a: Array, index: Array, axis: int) -> Array:
    """``np.take(a, index, axis)``."""
    return np.take(a, index, axis)


@kernel
def take_rows(table: Array, index: Array) -> Array:
    """The rows of ``table`` (n, d) at ``index`` (...), from 0 to n - 1: (..., d).

    Raises:
        IndexError: an index is not.
    """
    check_indices(index, len(table), "num_embeddings")
    return np.take(table, index, axis=0)


def _taking_pays(a: Array, index: Array, axis: int) -> bool:
    return _pays(a) and index.__class__ is np.ndarray and index.dtype.kind == "i" and -a.ndim <= axis < a.ndim


@take.compiled(when=_taking_pays)
def _(a: Array, index: Array, axis: int) -> Array:
    made = _taken(a, index, axis % a.ndim)
    return np.take(a, index, axis) if made is None else made  # where an index is out of bounds NumPy says it


def _taking_rows_pays(table: Array, index: Array) -> bool:
    if index.__class__ is not np.ndarray or index.dtype.kind not in "iu" or index.size * table.shape[1] < _LEAST:
        return False
    return dense(table) and table.flags.c_contiguous


@take_rows.compiled(when=_taking_rows_pays)
def _(table: Array, index: Array) -> Array:
    out = empty((*index.shape, table.shape[1]), table.dtype)
    taken = _take(table[None], integers(index), out.reshape(1, -1, table.shape[1]), 0)
    return out if taken else take_rows.reference(table, index)  # type: ignore[no-any-return]


def _taken(a: Array, index: Array, axis: int) -> Array | None:
    """Elements along an axis by indices; None where one is out of bounds, or there are no elements."""
    outer, n, inner = seen(a.shape, axis)
    out = empty((*a.shape[:axis], *index.shape, *a.shape[axis + 1 :]), a.dtype)
    if out.size == 0:
        return None
    return out if _take(a.reshape(outer, n, inner), integers(index), out.reshape(outer, -1, inner), -n) else None


@compiled
def _take(a: Any, index: Any, out: Any, lowest: int) -> bool:
    """Whether all indices are within bounds."""
    wrong = np.zeros(1, np.int64)
    parallel_for(_take_block, (a, index, out, wrong, lowest), out.shape[0] * out.shape[1], max(1, _BLOCK // out.shape[2]))
    return bool(wrong[0] == 0)


@compiled
def _take_block(a: Any, index: Any, out: Any, wrong: Any, lowest: int, start: int, stop: int) -> None:
    k, n = out.shape[1], a.shape[1]
    if out.shape[2] == 1:  # places of a row at once: their indices are its own
        results, given = out.reshape(-1), a.reshape(-1)
        for item in range(start, stop):
            place = index[item % k]
            if place < lowest or place >= n:
                wrong[0] = 1
            else:
                results[item] = given[item // k * n + (place + n if place < 0 else place)]
        return
    for item in range(start, stop):
        o, i = item // k, item % k
        place = index[i]
        if place < lowest or place >= n:
            wrong[0] = 1
        else:
            row, to = a[o, place + n if place < 0 else place], out[o, i]
            for j in range(len(to)):
                to[j] = row[j]


@kernel
def add_at(g: Array, index: Array, axis: int, n: int) -> Array:
    """The transpose of ``take`` from lines of length ``n``, by flat places."""
    shape = (*g.shape[: axis % g.ndim], n, *g.shape[axis % g.ndim + index.ndim :])
    at = (slice(None),) * axis + (index,)
    flat = np.arange(prod(shape)).reshape(shape)[at].reshape(-1)
    return np.bincount(flat, weights=g.reshape(-1), minlength=prod(shape)).astype(g.dtype).reshape(shape)


@add_at.compiled(when=lambda g, index, axis, n: dense(g) and g.size >= _LEAST and index.dtype.kind == "i")
def _(g: Array, index: Array, axis: int, n: int) -> Array:
    shape = (*g.shape[:axis], n, *g.shape[axis + index.ndim :])
    outer, _, inner = seen(shape, axis)
    out = empty(shape, g.dtype)
    width, tiles, block = _tiles(outer, index.size + n, inner)
    matrices = contiguous(g).reshape(outer, index.size, inner)
    _add_at(matrices, integers(index), out.reshape(outer, n, inner), width, tiles, block)
    return out


@inlined
def _clear(lines: Any, begin: int, end: int) -> None:
    """Set columns of a matrix to 0."""
    zero = lines.dtype.type(0)
    if end - begin == lines.shape[1]:
        flat = lines.reshape(-1)
        for j in range(len(flat)):
            flat[j] = zero
    else:
        for i in range(len(lines)):
            row = lines[i, begin:end]
            for j in range(len(row)):
                row[j] = zero


@compiled
def _add_at(g: Any, index: Any, out: Any, width: int, tiles: int, block: int) -> None:
    parallel_for(_add_at_block, (g, index, out, width), tiles, block)


@compiled
def _add_at_block(g: Any, index: Any, out: Any, width: int, start: int, stop: int) -> None:
    n, inner = out.shape[1], out.shape[2]
    per = -(-inner // width)
    for tile in range(start, stop):
        o, begin = tile // per, tile % per * width
        end = min(begin + width, inner)
        _clear(out[o], begin, end)
        if inner == 1:
            line, terms = out[o].reshape(-1), g[o].reshape(-1)
            for i in range(len(index)):
                line[index[i] + n if index[i] < 0 else index[i]] += terms[i]
            continue
        for i in range(len(index)):
            to, row = out[o, index[i] + n if index[i] < 0 else index[i], begin:end], g[o, i, begin:end]
            for j in range(len(to)):
                to[j] += row[j]


# ---- elements of each line by indices of its own ---------------------------------------------------------------------------


def gathers(a: Array, index: Array, axis: int) -> bool:
    """Whether ``gather`` is right for these arguments: where an index is out of bounds it is not."""
    return a.ndim == index.ndim and all(n == m for i, (n, m) in enumerate(zip(a.shape, index.shape, strict=True)) if i != axis)


@kernel
def gather(a: Array, index: Array, axis: int) -> Array:
    """``np.take_along_axis``, of an index that has the array's shape but along the axis."""
    return np.take_along_axis(a, index, axis)


@gather.compiled(when=lambda a, index, axis: dense(a) and index.size >= _LEAST // 8 and index.dtype.kind == "i")
def _(a: Array, index: Array, axis: int) -> Array:
    outer, n, inner = seen(a.shape, axis)
    out = empty(index.shape, a.dtype)
    k = index.shape[axis]
    width, tiles, block = _tiles(outer, k, inner)
    wrong = np.zeros(1, np.int64)
    places = integers(index).reshape(outer, k, inner)
    _gather(contiguous(a).reshape(outer, n, inner), places, out.reshape(outer, k, inner), wrong, width, tiles, block)
    return np.take_along_axis(a, index, axis) if wrong[0] else out


@compiled
def _gather(a: Any, index: Any, out: Any, wrong: Any, width: int, tiles: int, block: int) -> None:
    parallel_for(_gather_block, (a, index, out, wrong, width), tiles, block)


@compiled
def _gather_block(a: Any, index: Any, out: Any, wrong: Any, width: int, start: int, stop: int) -> None:
    n, inner = a.shape[1], a.shape[2]
    per = -(-inner // width)
    for tile in range(start, stop):
        o, begin = tile // per, tile % per * width
        if inner == 1:
            line, places, to = a[o].reshape(-1), index[o].reshape(-1), out[o].reshape(-1)
            for i in range(len(to)):
                place = places[i] + n if places[i] < 0 else places[i]
                if place < 0 or place >= n:
                    wrong[0] = 1
                else:
                    to[i] = line[place]
            continue
        for i in range(out.shape[1]):
            for j in range(begin, min(begin + width, inner)):
                place = index[o, i, j]
                place = place + n if place < 0 else place
                if place < 0 or place >= n:
                    wrong[0] = 1
                else:
                    out[o, i, j] = a[o, place, j]


@kernel
def scatter(g: Array, index: Array, axis: int, n: int) -> Array:
    """The transpose of ``gather`` from lines of length ``n``."""
    out = np.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
    grid = np.ogrid[tuple(slice(m) for m in g.shape)]
    np.add.at(out, tuple(index if i == axis else grid[i] for i in range(g.ndim)), g)
    return out


@scatter.compiled(when=lambda g, index, axis, n: dense(g) and index.dtype.kind == "i" and g.size * 1.0 * n >= _LEAST)
def _(g: Array, index: Array, axis: int, n: int) -> Array:
    outer, k, inner = seen(g.shape, axis)
    out = empty((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
    width, tiles, block = _tiles(outer, k + n, inner)
    matrices, places = contiguous(g).reshape(outer, k, inner), integers(index).reshape(outer, k, inner)
    _scatter(matrices, places, out.reshape(outer, n, inner), width, tiles, block)
    return out


@compiled
def _scatter(g: Any, index: Any, out: Any, width: int, tiles: int, block: int) -> None:
    parallel_for(_scatter_block, (g, index, out, width), tiles, block)


@compiled
def _scatter_block(g: Any, index: Any, out: Any, width: int, start: int, stop: int) -> None:
    n, inner = out.shape[1], out.shape[2]
    per = -(-inner // width)
    for tile in range(start, stop):
        o, begin = tile // per, tile % per * width
        end = min(begin + width, inner)
        _clear(out[o], begin, end)
        if inner == 1:
            line, places, terms = out[o].reshape(-1), index[o].reshape(-1), g[o].reshape(-1)
            for i in range(len(terms)):
                line[places[i] + n if places[i] < 0 else places[i]] += terms[i]
            continue
        for i in range(g.shape[1]):
            for j in range(begin, end):
                place = index[o, i, j]
                out[o, place + n if place < 0 else place, j] += g[o, i, j]


# ---- running sums -------------------------------------------------------------------------------------------------------


@kernel
def running_sums(x: Array, axis: int, backward: bool) -> Array:
    """The sums up to each element along an axis, or from each on to the end."""
    if not backward:
        return np.cumsum(x, axis=axis)
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


@running_sums.compiled(when=lambda x, axis, backward: dense(x) and x.size >= _LEAST and -x.ndim <= axis < x.ndim)
def _(x: Array, axis: int, backward: bool) -> Array:
    outer, n, inner = seen(x.shape, axis)
    out = empty(x.shape, x.dtype)
    given = contiguous(x)
    if inner == 1:
        _sums_of_rows(given.reshape(outer, n), out.reshape(outer, n), backward, max(8, _BLOCK // max(n, 1) // 8 * 8))
    else:
        _sums_of_columns(given.reshape(outer, n, inner), out.reshape(outer, n, inner), backward, *_tiles(outer, n, inner))
    return out


@compiled
def _sums_of_rows(x: Any, out: Any, backward: bool, block: int) -> None:
    parallel_for(_sums_of_rows_block, (x, out, backward), len(x), block)


@compiled
def _sums_of_rows_block(x: Any, out: Any, backward: bool, start: int, stop: int) -> None:
    """Of four rows at a time: each sum waits for the one before it. Sums are float64."""
    n = x.shape[1]
    first, step = (n - 1, -1) if backward else (0, 1)
    whole = start + (stop - start) // 4 * 4
    for r in range(start, whole, 4):
        a = b = c = d = 0.0
        for k in range(n):
            i = first + step * k
            a += x[r, i]
            b += x[r + 1, i]
            c += x[r + 2, i]
            d += x[r + 3, i]
            out[r, i], out[r + 1, i], out[r + 2, i], out[r + 3, i] = a, b, c, d
    for r in range(whole, stop):
        total = 0.0
        for k in range(n):
            i = first + step * k
            total += x[r, i]
            out[r, i] = total


@compiled
def _sums_of_columns(x: Any, out: Any, backward: bool, width: int, tiles: int, block: int) -> None:
    parallel_for(_sums_of_columns_block, (x, out, backward, width), tiles, block)


@compiled
def _sums_of_columns_block(x: Any, out: Any, backward: bool, width: int, start: int, stop: int) -> None:
    n, inner = x.shape[1], x.shape[2]
    per = -(-inner // width)
    first, step = (n - 1, -1) if backward else (0, 1)
    memory = np.empty(width, np.float64)
    for tile in range(start, stop):
        o, begin = tile // per, tile % per * width
        end = min(begin + width, inner)
        totals = memory[: end - begin]
        for j in range(len(totals)):
            totals[j] = 0.0
        for k in range(n):
            row, to = x[o, first + step * k, begin:end], out[o, first + step * k, begin:end]
            for j in range(len(totals)):
                totals[j] += row[j]
                to[j] = totals[j]
