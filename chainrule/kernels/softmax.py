"""Softmax, its logarithm and the logarithm of its denominator, along one or more axes; and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import compiled, dense, inlined, kernel, parallel_for
from .math import exp_below_zero, log
from .memory import empty

Axes = int | tuple[int, ...]

_LEAST = 1024  # elements from which on the compiled versions are faster
_BLOCK = 16384  # elements
_LONG = 128  # elements of a row that is computed by itself
_TILE = 2048  # elements of short rows that are computed together, in the nearest cache


@kernel
def softmax(x: Array, axis: Axes) -> Array:
    """exp(x_i) / sum_j exp(x_j)."""
    y = x - np.max(x, axis=axis, keepdims=True)
    np.exp(y, out=y)
    y /= np.sum(y, axis=axis, keepdims=True)
    return y


@kernel
def softmax_gradient(g: Any, y: Any, axis: Axes) -> Any:
    """Of softmax, from its result."""
    return (g - np.sum(g * y, axis=axis, keepdims=True)) * y


@kernel
def log_softmax(x: Array, axis: Axes) -> Array:
    """x_i - log sum_j exp(x_j)."""
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
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # the logarithm of no element, or of none but exp(-inf)
        return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top


# ---- compiled -------------------------------------------------------------------------------------------


def _one_array(x: Array, axis: Axes) -> bool:
    return isinstance(axis, int) and dense(x) and x.size >= _LEAST and x.ndim > 0


def _two_arrays(g: Array, y: Array, axis: Axes) -> bool:
    return _one_array(y, axis) and dense(g, y) and g.shape == y.shape


def rows_of(x: Array, axis: int) -> Array:
    """The array as rows along an axis, (..., n); a view where that axis is the innermost in memory."""
    x = moved(x, axis, -1)
    return x.reshape(-1, x.shape[-1])


def block_of(n: int) -> int:
    """How many rows of length n make a block."""
    return max(1, _BLOCK // n)


def _by_rows(function: Any, arrays: tuple[Array, ...], axis: int) -> Array:
    """A row of results for each row of the arrays along an axis."""
    x = moved(arrays[-1], axis, -1)
    out = empty(x.shape, x.dtype)
    n = x.shape[-1]
    function(*[rows_of(a, axis) for a in arrays], out.reshape(-1, n), block_of(n))
    return moved(out, -1, axis)


def moved(x: Array, source: int, destination: int) -> Array:
    """``np.moveaxis``, and the array itself where nothing moves."""
    return x if (source - destination) % x.ndim == 0 else np.moveaxis(x, source, destination)


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


@softmax.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    return _by_rows(_softmax, (x,), axis)


@softmax_gradient.compiled(when=_two_arrays)
def _(g: Array, y: Array, axis: int) -> Array:
    return _by_rows(_softmax_gradient, (g, y), axis)


@log_softmax.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    return _by_rows(_log_softmax, (x,), axis)


@log_softmax_gradient.compiled(when=_two_arrays)
def _(g: Array, y: Array, axis: int) -> Array:
    return _by_rows(_log_softmax_gradient, (g, y), axis)


@logsumexp.compiled(when=_one_array)
def _(x: Array, axis: int) -> Array:
    out = empty((*x.shape[:axis], 1, *x.shape[axis % x.ndim + 1 :]), x.dtype)
    _logsumexp(rows_of(x, axis), out.reshape(-1), block_of(x.shape[axis]))
    return out
