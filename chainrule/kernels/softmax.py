"""Softmax, its logarithm and the logarithm of its denominator, along one or more axes; and their gradients."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, ndarray
from ..core.memory import contiguous, empty
from .elementwise import elementwise
from .layer import array_at, compiled, dense, inlined, kernel, parallel_for
from .math import exp_below_zero, log

Axes = int | tuple[int, ...]

_LEAST = 256  # elements from which on the compiled versions are faster
_BLOCK = 16384  # elements
_LONG = 128  # elements of a row that is computed by itself
_TILE = 2048  # elements of short rows that are computed together, in the nearest cache
_COLUMNS = 16  # lines side by side in memory that are computed as columns


@kernel
def softmax(x: Array, axis: Axes) -> Array:
    """exp(x_i) / sum_j exp(x_j)."""
    if x.size == 0:
        return x
    y = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return y / np.sum(y, axis=axis, keepdims=True)


@kernel
def softmax_gradient(g: Any, y: Any, axis: Axes) -> Any:
    """Of softmax, from its result."""
    return (g - np.sum(g * y, axis=axis, keepdims=True)) * y


@kernel
def log_softmax(x: Array, axis: Axes) -> Array:
    """x_i - log sum_j exp(x_j)."""
    if x.size == 0:
        return x
    y = x - np.max(x, axis=axis, keepdims=True)
    y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y


@kernel
def log_softmax_gradient(g: Any, y: Any, axis: Axes) -> Any:
    """Of log_softmax, from its result."""
    return g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)


@kernel
def logsumexp(x: Array, axis: Axes) -> Array:
    """The logarithm of sum_j exp(x_j); the axes stay, with length 1."""
    if x.size == 0:
        with np.errstate(divide="ignore"):
            return np.log(np.sum(x, axis=axis, keepdims=True))
    top = np.max(x, axis=axis, keepdims=True)
    if top.__class__ is ndarray and np.isfinite(top).all():
        return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # the logarithm of none but exp(-inf)
        return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top


@inlined
def _share(g: Any, x: Any, y: Any) -> Any:
    return g * exp_below_zero(x - y)


@elementwise(_share, arrays=3)
def share(g: Any, x: Any, y: Any) -> Any:
    """The gradient of the logarithm y of a sum of exponentials: g exp(x - y)."""
    return g * np.exp(x - y)


# ---- compiled -------------------------------------------------------------------------------------------


def _one_array(x: Array, axis: Axes) -> bool:
    return isinstance(axis, int) and dense(x) and x.size >= _LEAST and x.ndim > 0


def _two_arrays(g: Array, y: Array, axis: Axes) -> bool:
    return _one_array(y, axis) and dense(g, y) and g.shape == y.shape


class Lines:
    """How an array without gaps lies in memory, seen from one axis: (outer, n, inner), after its axes are sorted to ``order``.

    Where ``inner`` is 1, lines along the axis are rows. Else they are columns, and those of a tile are computed together. Where
    that would be few, the array is copied for the axis to be innermost.
    """

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], axis: int):
        order = sorted(range(len(shape)), key=lambda a: -strides[a])
        after = order[order.index(axis) + 1 :]
        if prod([shape[a] for a in after]) < _COLUMNS:
            order = [a for a in order if a != axis] + [axis]
            after = []
        self.order, self.back = order, [order.index(a) for a in range(len(shape))]
        self.others = [a - (a > axis) for a in order if a != axis]
        self.others_back = [self.others.index(a) for a in range(len(shape) - 1)]
        self.shape = tuple(shape[a] for a in order)
        self.n, self.inner = shape[axis], prod([shape[a] for a in after])
        self.width = min(self.inner, max(64, min(512, _TILE * 4 // max(self.n, 1) // 16 * 16)))
        self.sorted = order == list(range(len(shape)))

    def flat(self, x: Array) -> Array:
        """The array in one dimension, copied if its memory has another order."""
        return contiguous(x if self.sorted else x.transpose(self.order)).reshape(-1)

    def rows(self, x: Array) -> Array:
        """The array as rows."""
        return self.flat(x).reshape(-1, self.n)

    def of_each(self, x: Array) -> Array:
        """An array with one number for each line, in their order."""
        return contiguous(x if self.sorted else x.transpose(self.others)).reshape(-1)

    def restored(self, out: Array) -> Array:
        return out if self.sorted else out.transpose(self.back)

    def restored_each(self, out: Array) -> Array:
        return out if self.sorted else out.transpose(self.others_back)


@lru_cache(maxsize=1024)
def _lines(shape: tuple[int, ...], strides: tuple[int, ...], axis: int) -> Lines:
    return Lines(shape, strides, axis)


def lines_of(x: Array, axis: int) -> Lines:
    """How ``x`` lies, seen from an axis."""
    return _lines(x.shape, x.strides, axis % x.ndim)


def block_of(n: int) -> int:
    """How many rows of length n make a block."""
    return max(1, _BLOCK // n)


def _by_lines(by_rows: Any, by_columns: Any, arrays: tuple[Array, ...], axis: int) -> Array:
    """A line of results for each line of the arrays along an axis."""
    lines = lines_of(arrays[-1], axis)
    out = empty(lines.shape, arrays[-1].dtype)
    if lines.inner == 1:
        by_rows(*[lines.rows(a) for a in arrays], out.reshape(-1, lines.n), block_of(lines.n))
    else:
        by_columns(*[lines.flat(a) for a in arrays], out.reshape(-1), lines.n, lines.inner, lines.width)
    return lines.restored(out)


@inlined
def in_order(bits: Any, shift: int, mask: int) -> Any:
    """Integers that are ordered as the floats of these bits: the largest of them is found in vectors, that of floats is not."""
    return bits ^ ((bits >> shift) & mask)


@compiled
def largest(x: Any, tops: Any) -> None:
    """The largest element of each row, or NaN where that is among them and its sign is positive."""
    if x.itemsize == 4:
        short = x.view(np.int32)
        for r in range(len(x)):
            row, most = short[r], np.int32(-(2**31))
            for i in range(len(row)):
                most = max(most, np.int32(in_order(row[i], 31, 0x7FFFFFFF)))
            tops[r] = np.int32(in_order(most, 31, 0x7FFFFFFF)).view(np.float32)
    else:
        bits = x.view(np.int64)
        for r in range(len(x)):
            of_row, top = bits[r], np.int64(-(2**63))
            for i in range(len(of_row)):
                top = max(top, in_order(of_row[i], 63, 0x7FFFFFFFFFFFFFFF))
            tops[r] = np.int64(in_order(top, 63, 0x7FFFFFFFFFFFFFFF)).view(np.float64)


@compiled
def exponentials(x: Any, shifts: Any, out: Any) -> None:
    """For each row, exp(x - shift), where that is at most 1; ``out`` is contiguous."""
    if x.shape[1] >= _LONG:
        for r in range(len(x)):
            row, result, shift = x[r], out[r], shifts[r]
            for i in range(len(row)):
                result[i] = exp_below_zero(row[i] - shift)
        return
    for r in range(len(x)):  # of short rows, too little would be computed in vectors: all of them at once
        row, result, shift = x[r], out[r], shifts[r]
        for i in range(len(row)):
            result[i] = row[i] - shift
    flat = out.reshape(-1)
    for i in range(len(flat)):
        flat[i] = exp_below_zero(flat[i])


@compiled
def sums_of_exponentials(x: Any, tops: Any, sums: Any) -> None:
    """For each row its largest element, and the sum of exp(x - that)."""
    largest(x, tops)
    if x.shape[1] >= _LONG:
        for r in range(len(x)):
            row, top, total = x[r], tops[r], x.dtype.type(0)
            for i in range(len(row)):
                total += exp_below_zero(row[i] - top)
            sums[r] = total
        return
    rows = _TILE // max(x.shape[1], 1)
    terms = np.empty((rows, x.shape[1]), x.dtype)
    for first in range(0, len(x), rows):
        last = min(first + rows, len(x))
        exponentials(x[first:last], tops[first:last], terms[: last - first])
        for r in range(first, last):
            row, total = terms[r - first], x.dtype.type(0)
            for i in range(len(row)):
                total += row[i]
            sums[r] = total


@compiled
def _softmax_block(x: Any, out: Any, start: int, stop: int) -> None:
    tops = np.empty(stop - start, x.dtype)
    largest(x[start:stop], tops)
    exponentials(x[start:stop], tops, out[start:stop])
    for r in range(start, stop):
        row, total = out[r], x.dtype.type(0)
        for i in range(len(row)):
            total += row[i]
        scale = x.dtype.type(1) / total
        for i in range(len(row)):
            row[i] *= scale


@compiled
def _softmax_gradient_block(g: Any, y: Any, out: Any, start: int, stop: int) -> None:
    for r in range(start, stop):
        slopes, row, result = g[r], y[r], out[r]
        mean = y.dtype.type(0)
        for i in range(len(row)):
            mean += slopes[i] * row[i]
        for i in range(len(row)):
            result[i] = (slopes[i] - mean) * row[i]


@compiled
def _log_softmax_block(x: Any, out: Any, start: int, stop: int) -> None:
    tops, sums = np.empty(stop - start, x.dtype), np.empty(stop - start, x.dtype)
    sums_of_exponentials(x[start:stop], tops, sums)
    for r in range(start, stop):
        row, result, top, rest = x[r], out[r], tops[r - start], log(sums[r - start])
        for i in range(len(row)):
            result[i] = (row[i] - top) - rest


@compiled
def _log_softmax_gradient_block(g: Any, y: Any, out: Any, start: int, stop: int) -> None:
    exponentials(y[start:stop], np.zeros(stop - start, y.dtype), out[start:stop])
    for r in range(start, stop):
        slopes, result = g[r], out[r]
        total = y.dtype.type(0)
        for i in range(len(slopes)):
            total += slopes[i]
        for i in range(len(slopes)):
            result[i] = slopes[i] - result[i] * total


@compiled
def _logsumexp_block(x: Any, out: Any, start: int, stop: int) -> None:
    tops, sums = np.empty(stop - start, x.dtype), np.empty(stop - start, x.dtype)
    sums_of_exponentials(x[start:stop], tops, sums)
    for r in range(start, stop):
        top = tops[r - start]
        out[r] = top if abs(top) == np.inf else log(sums[r - start]) + top


# ---- columns: of matrices (n, inner) that follow one another, ``width`` at a time -----------------------------------------


@compiled
def tops_of_columns(x: Any, at: int, n: int, step: int, tops: Any) -> None:
    """The largest element of each column, or NaN where that is among them."""
    for j in range(len(tops)):
        tops[j] = -np.inf
    for i in range(n):
        row = array_at(x, at + i * step, len(tops))
        for j in range(len(tops)):
            tops[j] = row[j] if (row[j] > tops[j]) | (row[j] != row[j]) else tops[j]


@compiled
def add_exponentials(x: Any, at: int, to: int, n: int, step: int, next_to: int, shifts: Any, sums: Any) -> None:
    """The sums of exp(x - shift) of each column; the terms of each row go to an address, ``next_to`` bytes from row to row."""
    for j in range(len(sums)):
        sums[j] = 0.0
    for i in range(n):
        row, terms = array_at(x, at + i * step, len(sums)), array_at(x, to + i * next_to, len(sums))
        for j in range(len(sums)):
            terms[j] = exp_below_zero(row[j] - shifts[j])
        for j in range(len(sums)):
            sums[j] += terms[j]


@compiled
def place_of_tile(item: int, n: int, inner: int, width: int) -> tuple[int, int, int]:
    """Of a tile of columns: where it begins, in numbers; the first of its columns, among all; and how many it has."""
    tiles = -(-inner // width)
    outer, column = item // tiles, item % tiles * width
    return outer * n * inner + column, outer * inner + column, min(width, inner - column)


@compiled
def _softmax_columns_block(x: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int) -> None:
    step, one = inner * x.itemsize, x.dtype.type(1)
    memory, sum_memory = np.empty(width, x.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, _, columns = place_of_tile(item, n, inner, width)
        at, to = x.ctypes.data + begin * x.itemsize, out.ctypes.data + begin * x.itemsize
        scale, sums = memory[:columns], sum_memory[:columns]
        tops_of_columns(x, at, n, step, scale)
        add_exponentials(x, at, to, n, step, step, scale, sums)
        for j in range(columns):
            scale[j] = one / x.dtype.type(sums[j])
        for i in range(n):
            row = array_at(out, to + i * step, columns)
            for j in range(columns):
                row[j] *= scale[j]


@compiled
def _log_softmax_columns_block(x: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int) -> None:
    step = inner * x.itemsize
    memory, sum_memory = np.empty((3, width), x.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, _, columns = place_of_tile(item, n, inner, width)
        at, to = x.ctypes.data + begin * x.itemsize, out.ctypes.data + begin * x.itemsize
        tops, rest, terms, sums = memory[0, :columns], memory[1, :columns], memory[2, :columns], sum_memory[:columns]
        tops_of_columns(x, at, n, step, tops)
        add_exponentials(x, at, terms.ctypes.data, n, step, 0, tops, sums)
        for j in range(columns):
            rest[j] = log(x.dtype.type(sums[j]))
        for i in range(n):
            row, result = array_at(x, at + i * step, columns), array_at(out, to + i * step, columns)
            for j in range(columns):
                result[j] = (row[j] - tops[j]) - rest[j]


@compiled
def _logsumexp_columns_block(x: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int) -> None:
    step = inner * x.itemsize
    memory, sum_memory = np.empty((2, width), x.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, first, columns = place_of_tile(item, n, inner, width)
        at = x.ctypes.data + begin * x.itemsize
        tops, terms, sums = memory[0, :columns], memory[1, :columns], sum_memory[:columns]
        tops_of_columns(x, at, n, step, tops)
        add_exponentials(x, at, terms.ctypes.data, n, step, 0, tops, sums)
        for j in range(columns):
            out[first + j] = tops[j] if abs(tops[j]) == np.inf else log(x.dtype.type(sums[j])) + tops[j]


@compiled
def _softmax_gradient_columns_block(g: Any, y: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int) -> None:
    step = inner * y.itemsize
    memory, sum_memory = np.empty(width, y.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, _, columns = place_of_tile(item, n, inner, width)
        mean, sums, begin = memory[:columns], sum_memory[:columns], begin * y.itemsize
        for j in range(columns):
            sums[j] = 0.0
        for i in range(n):
            slopes, row = (
                array_at(y, g.ctypes.data + begin + i * step, columns),
                array_at(y, y.ctypes.data + begin + i * step, columns),
            )
            for j in range(columns):
                sums[j] += slopes[j] * row[j]
        for j in range(columns):
            mean[j] = sums[j]
        for i in range(n):
            slopes, row = (
                array_at(y, g.ctypes.data + begin + i * step, columns),
                array_at(y, y.ctypes.data + begin + i * step, columns),
            )
            result = array_at(y, out.ctypes.data + begin + i * step, columns)
            for j in range(columns):
                result[j] = (slopes[j] - mean[j]) * row[j]


@compiled
def _log_softmax_gradient_columns_block(
    g: Any, y: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int
) -> None:
    step = inner * y.itemsize
    memory, sum_memory = np.empty(width, y.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, _, columns = place_of_tile(item, n, inner, width)
        total, sums, begin = memory[:columns], sum_memory[:columns], begin * y.itemsize
        for j in range(columns):
            sums[j] = 0.0
        for i in range(n):
            slopes = array_at(y, g.ctypes.data + begin + i * step, columns)
            for j in range(columns):
                sums[j] += slopes[j]
        for j in range(columns):
            total[j] = sums[j]
        for i in range(n):
            slopes, row = (
                array_at(y, g.ctypes.data + begin + i * step, columns),
                array_at(y, y.ctypes.data + begin + i * step, columns),
            )
            result = array_at(y, out.ctypes.data + begin + i * step, columns)
            for j in range(columns):
                result[j] = slopes[j] - exp_below_zero(row[j]) * total[j]


@compiled
def _softmax(x: Any, out: Any, block: int) -> None:
    parallel_for(_softmax_block, (x, out), len(x), block)


@compiled
def _softmax_gradient(g: Any, y: Any, out: Any, block: int) -> None:
    parallel_for(_softmax_gradient_block, (g, y, out), len(y), block)


@compiled
def _log_softmax(x: Any, out: Any, block: int) -> None:
    parallel_for(_log_softmax_block, (x, out), len(x), block)


@compiled
def _log_softmax_gradient(g: Any, y: Any, out: Any, block: int) -> None:
    parallel_for(_log_softmax_gradient_block, (g, y, out), len(y), block)


@compiled
def _logsumexp(x: Any, out: Any, block: int) -> None:
    parallel_for(_logsumexp_block, (x, out), len(x), block)


@compiled
def tiles_of(x: Any, n: int, inner: int, width: int) -> tuple[int, int]:
    """How many tiles of columns there are, and how many make a block."""
    return len(x) // (n * inner) * -(-inner // width), max(1, _BLOCK // (n * width))


@compiled
def _softmax_columns(x: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(x, n, inner, width)
    parallel_for(_softmax_columns_block, (x, out, n, inner, width), items, block)


@compiled
def _softmax_gradient_columns(g: Any, y: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(g, n, inner, width)
    parallel_for(_softmax_gradient_columns_block, (g, y, out, n, inner, width), items, block)


@compiled
def _log_softmax_columns(x: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(x, n, inner, width)
    parallel_for(_log_softmax_columns_block, (x, out, n, inner, width), items, block)


@compiled
def _log_softmax_gradient_columns(g: Any, y: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(g, n, inner, width)
    parallel_for(_log_softmax_gradient_columns_block, (g, y, out, n, inner, width), items, block)


@compiled
def _logsumexp_columns(x: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(x, n, inner, width)
    parallel_for(_logsumexp_columns_block, (x, out, n, inner, width), items, block)


@softmax.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    return _by_lines(_softmax, _softmax_columns, (x,), axis)


@softmax_gradient.compiled(when=_two_arrays)
def _(g: Array, y: Array, axis: int) -> Array:
    return _by_lines(_softmax_gradient, _softmax_gradient_columns, (g, y), axis)


@log_softmax.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    return _by_lines(_log_softmax, _log_softmax_columns, (x,), axis)


@log_softmax_gradient.compiled(when=_two_arrays)
def _(g: Array, y: Array, axis: int) -> Array:
    return _by_lines(_log_softmax_gradient, _log_softmax_gradient_columns, (g, y), axis)


@logsumexp.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    lines = lines_of(x, axis)
    out = empty(tuple(n for a, n in zip(lines.order, lines.shape, strict=True) if a != axis % x.ndim), x.dtype)
    if lines.inner == 1:
        _logsumexp(lines.rows(x), out.reshape(-1), block_of(lines.n))
    else:
        _logsumexp_columns(lines.flat(x), out.reshape(-1), lines.n, lines.inner, lines.width)
    return np.expand_dims(lines.restored_each(out), axis)
