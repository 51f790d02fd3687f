"""Linear maps along one axis: each output is a weighted sum of a few inputs. They interpolate, pad and average."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import array_at, compiled, dense, kernel, parallel_for
from .memory import empty


class Taps:
    """The map y[o] = sum of weight[t] x[index[t]] over start[o] <= t < start[o + 1]: a sparse matrix, held by rows.

    Args:
        size: how many inputs there are.
        start: (outputs + 1,).
        index: of an input, for each tap.
        weight: for each tap.

    >>> taps = Taps.of_rows(3, [[0], [0, 1], [1, 2]], [[1.0], [0.5, 0.5], [0.5, 0.5]])
    >>> apply(np.array([[1.0, 3.0, 5.0]]), (taps,))
    array([[1., 2., 4.]])
    """

    def __init__(self, size: int, start: Array, index: Array, weight: Array):
        self.size, self.start, self.index, self.weight = size, start, index, weight
        self._weights: dict[Any, Array] = {}

    @classmethod
    def of_rows(cls, size: int, indices: Iterable[Iterable[int]], weights: Iterable[Iterable[float]]) -> Taps:
        """For each output, the indices of its inputs and their weights."""
        index, weight = ([np.asarray(row) for row in rows] for rows in (indices, weights))
        start = np.cumsum([0, *map(len, index)])
        if not index:
            return cls(size, start, np.zeros(0, np.int64), np.zeros(0))
        return cls(size, start, np.concatenate(index).astype(np.int64), np.concatenate(weight).astype(np.float64))

    def weights(self, dtype: Any) -> Array:
        """The weights in a dtype."""
        if dtype not in self._weights:
            self._weights[dtype] = self.weight.astype(dtype)
        return self._weights[dtype]

    @cached_property
    def transposed(self) -> Taps:
        """The transpose of the matrix."""
        rows = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        order = np.argsort(self.index, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(self.index, minlength=self.size))])
        return Taps(len(self.start) - 1, start, rows[order], self.weight[order])


@kernel
def apply(x: Array, taps: tuple[Taps | None, ...]) -> Array:
    """Map the last axes of ``x``, one after the other, in the order of memory that ``x`` has; None leaves an axis as it is."""
    order = _memory_order(x)
    y = np.ascontiguousarray(x.transpose(order))
    for axis, along in enumerate(taps, start=x.ndim - len(taps)):
        if along is not None:
            y = _along(y, along, order.index(axis))
    return y.transpose(np.argsort(order))


def _memory_order(x: Array) -> list[int]:
    """The axes as they lie in memory, the fastest last."""
    return sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))


def _along(x: Array, taps: Taps, axis: int) -> Array:
    shape = [1] * x.ndim
    shape[axis] = -1
    taken = np.take(x, taps.index, axis) * taps.weights(x.dtype).reshape(shape)
    counts = np.diff(taps.start)
    if np.all(counts == 1):
        return taken
    y = np.zeros((*x.shape[:axis], len(counts), *x.shape[axis + 1 :]), x.dtype)
    filled = np.flatnonzero(counts)  # reduceat takes a row without taps for one with the next tap
    if len(filled):
        y[(slice(None),) * axis + (filled,)] = np.add.reduceat(taken, taps.start[filled], axis)
    return y


# ---- compiled: one axis, or two that are neighbours in memory, in one pass ------------------------------


@apply.compiled(when=lambda x, taps: dense(x) and x.size >= 1024)
def _(x: Array, taps: tuple[Taps | None, ...]) -> Array:
    order = _memory_order(x)
    y = np.ascontiguousarray(x.transpose(order))
    along = [((None,) * (x.ndim - len(taps)) + taps)[axis] for axis in order]
    axis = 0
    while axis < x.ndim:
        first, second = along[axis], along[axis + 1] if axis + 1 < x.ndim else None
        if first is not None:
            before, after = y.shape[:axis], y.shape[axis + 2 :] if second else y.shape[axis + 1 :]
            inner = prod(after)
            if second is None and inner < 8:  # there are no rows to add up, but elements of a row
                y = _mapped(y.reshape(-1, 1, first.size, inner), _SAME, first)
            else:
                y = _mapped(y.reshape(prod(before), first.size, -1, inner if second else 1), first, second)
            y = y.reshape(*before, len(first.start) - 1, *([len(second.start) - 1] if second else []), *after)
            axis += second is not None
        axis += 1
    return y.transpose(np.argsort(order))


_SAME = Taps(1, np.array([0, 1]), np.zeros(1, np.int64), np.ones(1))


def _mapped(x: Array, rows: Taps, columns: Taps | None) -> Array:
    """The second axis of (outer, H, W, inner) mapped, and the third."""
    outer, _, width, inner = x.shape
    height = len(rows.start) - 1
    if columns is None:
        y = empty((outer, height, width * inner), x.dtype)
        _map_rows(x.reshape(outer, -1, width * inner), y, rows.start, rows.index, rows.weights(x.dtype))
        return y
    y = empty((outer, height, len(columns.start) - 1, inner), x.dtype)
    taps = rows.start, rows.index, rows.weights(x.dtype), columns.start, columns.index, columns.weights(x.dtype)
    _map_both(x, y, *taps)
    return y


@compiled
def _map_rows(x: Any, y: Any, start: Any, index: Any, weight: Any) -> None:
    block = max(1, 16384 // max(1, y.shape[2]))
    parallel_for(_map_rows_block, (x, y, start, index, weight), len(y) * y.shape[1], block)


@compiled
def _map_rows_block(x: Any, y: Any, starts: Any, index: Any, weight: Any, start: int, stop: int) -> None:
    height, width = y.shape[1], y.shape[2]
    for row in range(start, stop):
        n, o = row // height, row % height
        to = array_at(y, y.ctypes.data + row * width * y.itemsize, width)
        _add_rows(x, x.ctypes.data + n * x.shape[1] * width * x.itemsize, starts[o], starts[o + 1], index, weight, to)


@compiled
def _map_both(x: Any, y: Any, row_start: Any, row_index: Any, row_weight: Any, start: Any, index: Any, weight: Any) -> None:
    arguments = x, y, row_start, row_index, row_weight, start, index, weight
    parallel_for(_map_both_block, arguments, len(y) * y.shape[1], max(1, 16384 // max(1, x.shape[2] * x.shape[3])))


@compiled
def _map_both_block(
    x: Any, y: Any, row_start: Any, row_index: Any, row_weight: Any, starts: Any, index: Any, weight: Any, start: int, stop: int
) -> None:
    """First the rows that an output row is made of are added up, and then, from the cache, their elements."""
    _, height, width, inner = x.shape
    rows, columns, item = y.shape[1], y.shape[2], x.itemsize
    line = np.empty(width * inner, x.dtype)
    at = line.ctypes.data
    for row in range(start, stop):
        n, o = row // rows, row % rows
        begin = x.ctypes.data + n * height * width * inner * item
        _add_rows(x, begin, row_start[o], row_start[o + 1], row_index, row_weight, line)
        if inner == 1:
            to = array_at(y, y.ctypes.data + row * columns * item, columns)
            for k in range(columns):
                total = x.dtype.type(0)
                for t in range(starts[k], starts[k + 1]):
                    total += weight[t] * line[index[t]]
                to[k] = total
        else:
            for k in range(columns):
                to = array_at(y, y.ctypes.data + (row * columns + k) * inner * item, inner)
                _add_rows(x, at, starts[k], starts[k + 1], index, weight, to)


@compiled
def _add_rows(like: Any, begin: int, start: int, stop: int, index: Any, weight: Any, out: Any) -> None:
    """The weighted sum of rows as long as ``out``, which follow one another from an address on."""
    step = len(out) * out.itemsize
    if start == stop:
        for e in range(len(out)):
            out[e] = out.dtype.type(0)
    elif start + 1 == stop:
        first, w = array_at(like, begin + index[start] * step, len(out)), weight[start]
        for e in range(len(out)):
            out[e] = w * first[e]
    else:
        first, second = (
            array_at(like, begin + index[start] * step, len(out)),
            array_at(like, begin + index[start + 1] * step, len(out)),
        )
        v, w = weight[start], weight[start + 1]
        for e in range(len(out)):
            out[e] = v * first[e] + w * second[e]
        for t in range(start + 2, stop):
            further, w = array_at(like, begin + index[t] * step, len(out)), weight[t]
            for e in range(len(out)):
                out[e] += w * further[e]
