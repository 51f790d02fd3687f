"""Choosing between elements, comparing and copying them, on all threads."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core import memory
from ..core.arrays import Array, ndarray
from .elementwise import elementwise
from .layer import address, array_at, compiled, dense, enabled, inlined, parallel_for

_NUMBERS = frozenset({int, float})
_PIECE = 16384  # elements
_LEAST = 1 << 19  # bytes from which on several threads join arrays faster
_SHORT = 16  # elements of an array's row, on average: NumPy copies shorter ones as fast


@inlined
def _chosen(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y


@inlined
def _same(x: Any) -> Any:
    return x


@elementwise(_chosen, arrays=2, masks=1)
def _where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``np.where``, of anything that it takes."""
    if condition.__class__ is ndarray:
        if x.__class__ is not ndarray:
            x = _as_array(x, y)
        elif y.__class__ is not ndarray:
            y = _as_array(y, x)
        made = _where.computed(condition, x, y)
        if made is not None:
            return made
    return np.where(condition, x, y)


def _as_array(x: Any, other: Any) -> Any:
    """A number beside an array of floats as NumPy takes it: in their dtype."""
    if other.__class__ is ndarray and (x.__class__ in _NUMBERS or x.__class__ is other.dtype.type) and other.dtype.kind == "f":
        return np.array(x, other.dtype)
    return x


@elementwise(_same)
def _copied(x: Array) -> Array:
    return np.copy(x)


memory.copy_large = _copied


def concatenate(arrays: list[Array], axis: Any = 0, out: None = None, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """``np.concatenate``; a large result lies in memory that is used again, and is written by all threads."""
    if dtype is not None:
        return np.concatenate(arrays, axis, dtype=dtype, casting=casting)
    made = _joined(arrays, axis) if axis.__class__ is int and _are_large(arrays) else None
    return np.concatenate(arrays, axis) if made is None else made


def _are_large(arrays: list[Array]) -> bool:
    return {*map(type, arrays)} == {ndarray} and sum([a.nbytes for a in arrays]) >= _LEAST and enabled() and dense(*arrays)


def _joined(arrays: list[Array], axis: int) -> Array | None:
    """Large arrays, one after the other along an axis; None where that is wrong, and NumPy says it."""
    first = arrays[0]
    if not -first.ndim <= axis < first.ndim:
        return None
    axis %= first.ndim
    before, after = first.shape[:axis], first.shape[axis + 1 :]
    for a in arrays:
        if a.ndim != first.ndim or a.shape[:axis] != before or a.shape[axis + 1 :] != after:
            return None
    out = memory.empty((*before, sum([a.shape[axis] for a in arrays]), *after), first.dtype)
    if not all(a.flags.c_contiguous for a in arrays):
        return np.concatenate(arrays, axis, out)
    rest = prod(after)
    table, pieces, at = np.empty((len(arrays), 4), np.int64), 0, 0
    for k, a in enumerate(arrays):
        n = a.shape[axis] * rest
        table[k] = a.__array_interface__["data"][0], n, at, pieces
        pieces, at = pieces - (-n // _PIECE), at + n
    if at < _SHORT * len(arrays):
        return np.concatenate(arrays, axis, out)
    _put(table, out.reshape(-1), at, pieces)
    return out


@compiled
def _put(table: Any, out: Any, step: int, pieces: int) -> None:
    """Copy arrays' rows to where they begin in rows of ``step``: each row is written from its beginning to its end.

    For each array the table has its address, its rows' length, where they begin in the result's, and the number of its first
    among the ``pieces`` of a row.
    """
    parallel_for(_put_block, (table, out, step, pieces), len(out) // step * pieces, 1 + _PIECE * pieces // step)


@compiled
def _put_block(table: Any, out: Any, step: int, pieces: int, start: int, stop: int) -> None:
    row, piece, k = start // pieces, start % pieces, 0
    for _ in range(stop - start):
        while k + 1 < len(table) and table[k + 1, 3] <= piece:
            k += 1
        n, done = table[k, 1], (piece - table[k, 3]) * _PIECE
        length = min(_PIECE, n - done)
        source = array_at(out, table[k, 0] + (row * n + done) * out.itemsize, length)
        to = array_at(out, address(out) + (row * step + table[k, 2] + done) * out.itemsize, length)
        for j in range(length):
            to[j] = source[j]
        piece += 1
        if piece == pieces:
            row, piece, k = row + 1, 0, 0


def stack(arrays: list[Array], axis: Any = 0, out: None = None, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """``np.stack``, likewise."""
    if dtype is not None:
        return np.stack(arrays, axis, dtype=dtype, casting=casting)
    if axis.__class__ is int and _are_large(arrays) and -arrays[0].ndim <= axis + 1 and axis <= arrays[0].ndim:
        made = _joined([np.expand_dims(a, axis) for a in arrays], axis)
        if made is not None:
            return made
    return np.stack(arrays, axis)
