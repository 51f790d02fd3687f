"""Linear maps along one axis: each output is a weighted sum of a few inputs. They interpolate, pad and average."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native
from ..core.memory import empty
from .layer import Native, address, array_at, borrow, compiled, dense, give_back, kernel, parallel_for
from .layout import plane_tiles

sum_row, fill_row = Native("sum_row", plane_tiles), Native("fill_row", plane_tiles)


class Taps:
    """The map y[o] = sum of weight[t] x[index[t]] over start[o] <= t < start[o + 1]: a sparse matrix, held by rows.

    Args:
        size: how many inputs there are.
        start: (outputs + 1,).
        index: of an input, for each tap.
        weight: for each tap.

    >>> taps = Taps.of_rows(3, [[0], [0, 1], [1, 2]], [[1.0], [0.5, 0.5], [0.5, 0.5]])
    >>> apply(np.array([[1.0, 3.0, 5.0]]), (taps,), (0, 1))
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
    def each(self) -> int:
        """How many taps each output has, or 0 where that differs."""
        counts = np.diff(self.start)
        return int(counts[0]) if len(counts) and np.all(counts == counts[0]) else 0

    @cached_property
    def runs(self) -> Array:
        """Where each output has one tap: runs of outputs whose inputs follow one another, or are one input, alike weighted.

        For each its first output, its length, its first input, and the step from input to input, 1 or 0: (runs, 4). There are
        none where runs are short.
        """
        runs: list[list[int]] = []
        before = np.nan
        for o, (i, weight) in enumerate(zip(self.index.tolist(), self.weight.tolist(), strict=True) if self.each == 1 else ()):
            if weight == before and runs[-1][1] == 1 and i - runs[-1][2] in (0, 1):
                runs[-1][1:] = 2, runs[-1][2], i - runs[-1][2]
            elif weight == before and runs[-1][1] > 1 and i == runs[-1][2] + runs[-1][1] * runs[-1][3]:
                runs[-1][1] += 1
            else:
                runs.append([o, 1, i, 1])
            before = weight
        return np.array(runs if len(runs) * 8 <= len(self.index) else [], np.int64).reshape(-1, 4)

    @cached_property
    def sums(self) -> bool:
        """Whether each output is a sum of inputs that follow one another, times a number."""
        begins = np.zeros(len(self.index), bool)
        begins[self.start[:-1][np.diff(self.start) > 0]] = True
        return bool(np.all(((np.diff(self.index) == 1) & (np.diff(self.weight) == 0)) | begins[1:]))

    @cached_property
    def transposed(self) -> Taps:
        """The transpose of the matrix."""
        rows = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        order = np.argsort(self.index, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(self.index, minlength=self.size))])
        return Taps(len(self.start) - 1, start, rows[order], self.weight[order])


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes as they lie in memory, the fastest last."""
    if not is_native(x):
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))


@kernel
def apply(x: Array, taps: tuple[Taps | None, ...], order: tuple[int, ...]) -> Array:
    """Map the last axes of ``x``, one after the other; None leaves an axis as it is. The result has an ``order`` in memory."""
    y = np.ascontiguousarray(x.transpose(order))
    for axis, along in enumerate(taps, start=x.ndim - len(taps)):
        if along is not None:
            y = _along(y, along, order.index(axis))
    return y.transpose(np.argsort(order))


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


def _pays(x: Array, taps: tuple[Taps | None, ...], order: tuple[int, ...]) -> bool:
    growth = prod((len(t.start) - 1) / max(t.size, 1) for t in taps if t)
    return dense(x) and x.size * max(growth, 1) >= 1024


@apply.compiled(when=_pays)
def _(x: Array, taps: tuple[Taps | None, ...], order: tuple[int, ...]) -> Array:
    y = np.ascontiguousarray(x.transpose(order))
    along = [((None,) * (x.ndim - len(taps)) + taps)[axis] for axis in order]
    axis = 0
    while axis < x.ndim:
        first, second = along[axis], along[axis + 1] if axis + 1 < x.ndim else None
        if first is not None:
            before, after = y.shape[:axis], y.shape[axis + 1 + (second is not None) :]
            sizes = [len(t.start) - 1 for t in (first, second) if t]
            mapped = _mapped(y.reshape(prod(before), first.size, -1, prod(after) if second else 1), first, second, prod(after))
            y = mapped.reshape(*before, *sizes, *after)
            axis += second is not None
        axis += 1
    return y.transpose(np.argsort(order))


@lru_cache(maxsize=256)
def _of_plane(rows: Taps, columns: Taps) -> Taps:
    """The map of a plane by both axes."""
    indices, weights = [], []
    row_slices, column_slices = ([slice(a, b) for a, b in zip(t.start[:-1], t.start[1:], strict=True)] for t in (rows, columns))
    for i in row_slices:
        for j in column_slices:
            indices.append(np.add.outer(rows.index[i] * columns.size, columns.index[j]).reshape(-1))
            weights.append(np.multiply.outer(rows.weight[i], columns.weight[j]).reshape(-1))
    return Taps.of_rows(rows.size * columns.size, indices, weights)


@lru_cache(maxsize=256)
def _widened(taps: Taps, n: int) -> Taps:
    """The same map of n numbers that lie side by side."""
    rows = [slice(a, b) for a, b in zip(taps.start[:-1], taps.start[1:], strict=True) for _ in range(n)]
    places = [i % n for i in range(len(rows))]
    indices = [taps.index[row] * n + e for row, e in zip(rows, places, strict=True)]
    return Taps.of_rows(taps.size * n, indices, [taps.weight[row] for row in rows])


_SAME = Taps(1, np.array([0, 1]), np.zeros(1, np.int64), np.ones(1))
_MANY = 16  # numbers side by side


def _is_simple(rows: Taps, columns: Taps, inner: int) -> bool:
    """Whether a plane is best mapped as a whole: to one mean, or by few taps for each output."""
    outputs = (len(rows.start) - 1) * (len(columns.start) - 1)
    return (inner == 1 and outputs == 1) or (rows.each * columns.each in (1, 2, 4) and outputs * inner <= 16384)


def _mapped(x: Array, first: Taps, second: Taps | None, inner: int) -> Array:
    """The second axis of (outer, H, W, inner) mapped, and the third."""
    outer, height, width, _ = x.shape
    if second is not None and inner < _MANY and _is_simple(first, second, inner):
        first, second, height = _of_plane(first, second), None, height * width
    if second is None and inner >= _MANY:
        y = empty((outer, len(first.start) - 1, inner), x.dtype)
        _map_rows(x.reshape(outer, -1, inner), y, first.start, first.index, first.weights(x.dtype))
        return y
    if second is None and inner == 1 and len(first.start) == 2 and len(first.index) and first.sums:
        y = empty((outer, 1, 1, 1), x.dtype)
        _sum_lines(x.reshape(outer, -1), y.reshape(-1), int(first.index[0]), len(first.index), first.weights(x.dtype)[0])
        return y
    if second is None and inner == 1 and first.size == len(first.runs) == 1:
        y = empty((outer, len(first.index), 1, 1), x.dtype)
        _fill_lines(x.reshape(-1), y.reshape(outer, -1), first.weights(x.dtype)[0])
        return y
    if second is None:  # there are no rows to add up, but elements of a row
        first, second, height, width = _SAME, first, 1, height
    if inner < _MANY:
        second, width, inner = _widened(second, inner), width * inner, 1
    y = empty((outer, len(first.start) - 1, len(second.start) - 1, inner), x.dtype)
    taps = second.start, second.index, second.weights(x.dtype), second.each, second.sums, second.runs
    _map_both(x.reshape(outer, height, width, inner), y, first.start, first.index, first.weights(x.dtype), taps)
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
def _sum_lines(x: Any, y: Any, first: int, count: int, weight: Any) -> None:
    parallel_for(_sum_lines_block, (x, y, first, count, weight), len(y), 1 + 16384 // count)


@compiled
def _sum_lines_block(x: Any, y: Any, first: int, count: int, weight: Any, start: int, stop: int) -> None:
    """Of each line the sum of ``count`` elements, times ``weight``."""
    at, out = address(x) + (start * x.shape[1] + first) * x.itemsize, y[start:stop]
    for i in range(len(out)):
        out[i] = weight * sum_row(at + i * x.shape[1] * x.itemsize, count, weight)


@compiled
def _fill_lines(x: Any, y: Any, weight: Any) -> None:
    parallel_for(_fill_lines_block, (x, y, weight), len(y), 1 + 16384 // y.shape[1])


@compiled
def _fill_lines_block(x: Any, y: Any, weight: Any, start: int, stop: int) -> None:
    """The transpose: lines of one number each."""
    at, values = address(y) + start * y.shape[1] * y.itemsize, x[start:stop]
    for i in range(len(values)):
        fill_row(at + i * y.shape[1] * y.itemsize, y.shape[1], weight * values[i])


@compiled
def _map_both(x: Any, y: Any, row_start: Any, row_index: Any, row_weight: Any, taps: Any) -> None:
    arguments = x, y, row_start, row_index, row_weight, taps
    parallel_for(_map_both_block, arguments, len(y) * y.shape[1], max(1, 16384 // max(1, x.shape[2] * x.shape[3])))


@compiled
def _map_both_block(x: Any, y: Any, row_start: Any, row_index: Any, row_weight: Any, taps: Any, start: int, stop: int) -> None:
    """First the rows that an output row is made of are added up, and then, from the cache, their elements."""
    _, height, width, inner = x.shape
    rows, columns, size, item = y.shape[1], y.shape[2], width * inner, x.itemsize
    starts, index, weight, each, sums, runs = taps
    # by their addresses, as counting references, which all threads count, would take longer than to map a short line
    row_index, row_weight = _uncounted(row_index), _uncounted(row_weight)
    starts, index, weight = _uncounted(starts), _uncounted(index), _uncounted(weight)
    memory = borrow(x, size)
    for row in range(start, stop):
        n, o = row // rows, row % rows
        begin, first, last = x.ctypes.data + n * height * size * item, row_start[o], row_start[o + 1]
        at = memory.ctypes.data
        if last - first == 1 and row_weight[first] == 1:
            at = begin + row_index[first] * size * item
        else:
            _add_rows(x, begin, first, last, row_index, row_weight, memory)
        if inner == 1:
            out = array_at(y, y.ctypes.data + row * columns * item, columns)
            _map_line(array_at(x, at, size), out, starts, index, weight, each, sums, runs)
        else:
            _map_pixels(x, at, y, y.ctypes.data + row * columns * inner * item, starts, index, weight)
    give_back(memory)


@compiled
def _uncounted(x: Any) -> Any:
    return array_at(x, address(x), len(x))


@compiled
def _map_line(line: Any, out: Any, starts: Any, index: Any, weight: Any, each: int, sums: bool, runs: Any) -> None:
    if len(runs) > 0:
        for r in range(len(runs)):
            begin, length, first, step = runs[r]
            to = array_at(out, out.ctypes.data + begin * out.itemsize, length)
            part, w = array_at(line, line.ctypes.data + first * line.itemsize, length), weight[begin]
            if step == 1:
                for k in range(length):
                    to[k] = w * part[k]
            else:
                fill_row(address(to), length, w * part[0])
    elif each == 1:
        for k in range(len(out)):
            out[k] = weight[k] * line[np.uint64(index[k])]
    elif each == 2:
        for k in range(len(out)):
            a, b = np.uint64(2 * k), np.uint64(2 * k + 1)
            out[k] = weight[a] * line[np.uint64(index[a])] + weight[b] * line[np.uint64(index[b])]
    elif each == 3:
        for k in range(len(out)):
            a, b, c = np.uint64(3 * k), np.uint64(3 * k + 1), np.uint64(3 * k + 2)
            upper = weight[a] * line[np.uint64(index[a])] + weight[b] * line[np.uint64(index[b])]
            out[k] = upper + weight[c] * line[np.uint64(index[c])]
    elif each == 4:
        for k in range(len(out)):
            a, b, c, d = np.uint64(4 * k), np.uint64(4 * k + 1), np.uint64(4 * k + 2), np.uint64(4 * k + 3)
            upper = weight[a] * line[np.uint64(index[a])] + weight[b] * line[np.uint64(index[b])]
            out[k] = upper + (weight[c] * line[np.uint64(index[c])] + weight[d] * line[np.uint64(index[d])])
    else:
        for k in range(len(out)):
            s, n = starts[k], starts[k + 1] - starts[k]
            total = line.dtype.type(0)
            if sums and n > 8:
                total = weight[s] * sum_row(address(line) + index[s] * line.itemsize, n, total)
            else:
                for t in range(s, s + n):
                    total += weight[t] * line[np.uint64(index[t])]
            out[k] = total


@compiled
def _map_pixels(x: Any, at: int, y: Any, to: int, starts: Any, index: Any, weight: Any) -> None:
    inner, columns = x.shape[3], y.shape[2]
    step = inner * x.itemsize
    for k in range(columns):
        s, n = starts[k], starts[k + 1] - starts[k]
        out = array_at(y, to + k * step, inner)
        if n == 1:
            first, v = array_at(x, at + index[s] * step, inner), weight[s]
            for e in range(inner):
                out[e] = v * first[e]
        elif n == 2:
            first, v = array_at(x, at + index[s] * step, inner), weight[s]
            second, w = array_at(x, at + index[s + 1] * step, inner), weight[s + 1]
            for e in range(inner):
                out[e] = v * first[e] + w * second[e]
        else:
            _add_rows(x, at, s, s + n, index, weight, out)


@compiled
def _add_rows(like: Any, begin: int, start: int, stop: int, index: Any, weight: Any, out: Any) -> None:
    """The weighted sum of rows as long as ``out``, which follow one another from an address on."""
    step, zero = len(out) * out.itemsize, out.dtype.type(0)
    t = start
    if stop - start >= 2:
        first, v = array_at(like, begin + index[t] * step, len(out)), weight[t]
        second, w = array_at(like, begin + index[t + 1] * step, len(out)), weight[t + 1]
        for e in range(len(out)):
            out[e] = v * first[e] + w * second[e]
        t += 2
    else:
        for e in range(len(out)):
            out[e] = zero
    while t + 3 < stop:
        first, v = array_at(like, begin + index[t] * step, len(out)), weight[t]
        second, w = array_at(like, begin + index[t + 1] * step, len(out)), weight[t + 1]
        third, p = array_at(like, begin + index[t + 2] * step, len(out)), weight[t + 2]
        fourth, q = array_at(like, begin + index[t + 3] * step, len(out)), weight[t + 3]
        for e in range(len(out)):
            out[e] += (v * first[e] + w * second[e]) + (p * third[e] + q * fourth[e])
        t += 4
    while t < stop:
        first, v = array_at(like, begin + index[t] * step, len(out)), weight[t]
        for e in range(len(out)):
            out[e] += v * first[e]
        t += 1
