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
_PIECE = 16384  # elements of a block
_LEAST = 1 << 19  # bytes from which on several threads join arrays faster
_SHORT = 16  # elements of an array's row, on average: NumPy copies shorter ones as fast
_SMALL = 1 << 16  # bytes of an array, on average: to tell where smaller ones lie takes longer than several threads gain


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
    size = 0
    for a in arrays:
        if a.__class__ is not ndarray:
            return False
        size += a.nbytes
    return size >= _LEAST and enabled() and dense(*arrays)


def _joined(arrays: list[Array], axis: int) -> Array | None:
    """Large arrays, one after the other along an axis; None where that is wrong, and NumPy says it."""
    first = arrays[0].shape
    if not -len(first) <= axis < len(first):
        return None
    axis %= len(first)
    before, after = first[:axis], first[axis + 1 :]
    length, contiguous = 0, True
    for a in arrays:
        shape = a.shape
        if len(shape) != len(first) or shape[:axis] != before or shape[axis + 1 :] != after:
            return None
        length += shape[axis]
        contiguous = contiguous and a.flags.c_contiguous
    out = memory.empty((*before, length, *after), arrays[0].dtype)
    rest = prod(after)
    if not contiguous or out.nbytes < _SMALL * len(arrays) or length * rest < _SHORT * len(arrays):
        return np.concatenate(arrays, axis, out)
    table, at = np.empty((len(arrays), 3), np.int64), 0
    for k, a in enumerate(arrays):
        _enter(table, k, a.ravel(), a.shape[axis] * rest, at)
        at += a.shape[axis] * rest
    _put(table, out.ravel(), at)
    return out


@compiled
def _enter(table: Any, k: int, a: Any, n: int, at: int) -> None:
    table[k, 0], table[k, 1], table[k, 2] = address(a), n, at


@compiled
def _put(table: Any, out: Any, step: int) -> None:
    """Copy arrays' rows to where they begin in rows of ``step``: for each array, its address, its rows' length, and where."""
    parallel_for(_put_block, (table, out, step), len(out), _PIECE)


@compiled
def _put_block(table: Any, out: Any, step: int, start: int, stop: int) -> None:
    for row in range(start // step, (stop - 1) // step + 1):
        for k in range(len(table)):
            n, begin = table[k, 1], row * step + table[k, 2]
            first, last = max(begin, start), min(begin + n, stop)
            if first < last:
                origin = table[k, 0] + (row * n + first - begin) * out.itemsize
                source = array_at(out, origin, last - first)
                to = array_at(out, address(out) + first * out.itemsize, last - first)
                for j in range(len(to)):
                    to[j] = source[j]


def stack(arrays: list[Array], axis: Any = 0, out: None = None, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """``np.stack``, likewise."""
    if dtype is not None:
        return np.stack(arrays, axis, dtype=dtype, casting=casting)
    if axis.__class__ is int and _are_large(arrays) and -arrays[0].ndim <= axis + 1 and axis <= arrays[0].ndim:
        made = _joined([np.expand_dims(a, axis) for a in arrays], axis)
        if made is not None:
            return made
    return np.stack(arrays, axis)
