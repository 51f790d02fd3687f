"""Losses: cross entropy of classes from logits, without their probabilities in memory, and losses element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import array_at, compiled, dense, inlined, kernel, parallel_for
from .math import exp_below_zero, log, sigmoid, softplus
from .softmax import (
    add_exponentials,
    block_of,
    exponentials,
    lines_of,
    place_of_tile,
    sums_of_exponentials,
    tiles_of,
    tops_of_columns,
)

_LEAST = 256  # logits from which on the compiled versions are faster


@kernel
def cross_entropy(x: Array, index: Array) -> Array:
    """-log softmax(x)[..., index[...]] for x (..., C)."""
    x = x - np.max(x, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(x), axis=-1)) - np.take_along_axis(x, index[..., None], -1)[..., 0]


@compiled
def _cross_entropy_block(x: Any, index: Any, out: Any, start: int, stop: int) -> None:
    tops, sums = np.empty(stop - start, x.dtype), np.empty(stop - start, x.dtype)
    sums_of_exponentials(x[start:stop], tops, sums)
    for r in range(start, stop):
        out[r] = log(sums[r - start]) - (x[r, index[r]] - tops[r - start])


@compiled
def _cross_entropy(x: Any, index: Any, out: Any, block: int) -> None:
    parallel_for(_cross_entropy_block, (x, index, out), len(x), block)


@compiled
def _cross_entropy_columns_block(x: Any, index: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int) -> None:
    step = inner * x.itemsize
    memory, sum_memory = np.empty((2, width), x.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, first, columns = place_of_tile(item, n, inner, width)
        at = x.ctypes.data + begin * x.itemsize
        tops, terms, sums = memory[0, :columns], memory[1, :columns], sum_memory[:columns]
        tops_of_columns(x, at, n, step, tops)
        add_exponentials(x, at, terms.ctypes.data, n, step, 0, tops, sums)
        for j in range(columns):
            out[first + j] = log(x.dtype.type(sums[j])) - (x[begin + index[first + j] * inner + j] - tops[j])


@compiled
def _cross_entropy_columns(x: Any, index: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(x, n, inner, width)
    parallel_for(_cross_entropy_columns_block, (x, index, out, n, inner, width), items, block)


@cross_entropy.compiled(when=lambda x, index: x.size >= _LEAST and dense(x))
def _(x: Array, index: Array) -> Array:
    lines = lines_of(x, -1)
    numbers = lines.of_each(index.astype(np.int64, copy=False))
    out = empty(tuple(index.shape[a] for a in lines.others), x.dtype)
    if lines.inner == 1:
        _cross_entropy(lines.rows(x), numbers, out.reshape(-1), block_of(lines.n))
    else:
        _cross_entropy_columns(lines.flat(x), numbers, out.reshape(-1), lines.n, lines.inner, lines.width)
    return lines.restored_each(out)


def cross_entropy_gradient(g: Array, loss: Array, x: Array, index: Array) -> Array:
    """Of ``cross_entropy``, from its result, compiled: g softmax(x), less g at the classes."""
    lines = lines_of(x, -1)
    each = lines.of_each(g), lines.of_each(loss)
    numbers = lines.of_each(index.astype(np.int64, copy=False))
    out = empty(lines.shape, x.dtype)
    if lines.inner == 1:
        _cross_entropy_gradient(*each, lines.rows(x), numbers, out.reshape(-1, lines.n), block_of(lines.n))
    else:
        sizes = lines.n, lines.inner, lines.width
        _cross_entropy_gradient_columns(*each, lines.flat(x), numbers, out.reshape(-1), *sizes)
    return lines.restored(out)


def cross_entropy_gradient_pays(g: Any, loss: Any, x: Any, index: Any) -> bool:
    """Whether the compiled gradient is right for these arguments and faster."""
    return dense(g, loss, x) and x.size >= _LEAST


@compiled
def _cross_entropy_gradient_block(g: Any, loss: Any, x: Any, index: Any, out: Any, start: int, stop: int) -> None:
    totals = np.empty(stop - start, x.dtype)  # the logarithms of the sums of exponentials
    for r in range(start, stop):
        totals[r - start] = loss[r] + x[r, index[r]]
        if loss[r] == np.inf:  # a class that is impossible
            sums_of_exponentials(x[r : r + 1], totals[r - start : r - start + 1], out[r, :1])
            totals[r - start] += log(out[r, 0])
    exponentials(x[start:stop], totals, out[start:stop])
    for r in range(start, stop):
        row, slope = out[r], g[r]
        for i in range(len(row)):
            row[i] *= slope
        row[index[r]] -= slope


@compiled
def _cross_entropy_gradient(g: Any, loss: Any, x: Any, index: Any, out: Any, block: int) -> None:
    parallel_for(_cross_entropy_gradient_block, (g, loss, x, index, out), len(x), block)


@compiled
def _cross_entropy_gradient_columns_block(
    g: Any, loss: Any, x: Any, index: Any, out: Any, n: int, inner: int, width: int, start: int, stop: int
) -> None:
    step = inner * x.itemsize
    memory, sum_memory = np.empty(width, x.dtype), np.empty(width, np.float64)
    for item in range(start, stop):
        begin, first, columns = place_of_tile(item, n, inner, width)
        at, to = x.ctypes.data + begin * x.itemsize, out.ctypes.data + begin * x.itemsize
        totals, sums, impossible = memory[:columns], sum_memory[:columns], False
        for j in range(columns):
            totals[j] = loss[first + j] + x[begin + index[first + j] * inner + j]
            impossible |= loss[first + j] == np.inf
        if impossible:  # a class that is: the sums are computed again
            tops_of_columns(x, at, n, step, totals)
            add_exponentials(x, at, to, n, step, step, totals, sums)
            for j in range(columns):
                totals[j] += log(x.dtype.type(sums[j]))
        slopes = g[first : first + columns]
        for i in range(n):
            row, result = array_at(x, at + i * step, columns), array_at(x, to + i * step, columns)
            for j in range(columns):
                result[j] = exp_below_zero(row[j] - totals[j]) * slopes[j]
        for j in range(columns):
            out[begin + index[first + j] * inner + j] -= slopes[j]


@compiled
def _cross_entropy_gradient_columns(g: Any, loss: Any, x: Any, index: Any, out: Any, n: int, inner: int, width: int) -> None:
    items, block = tiles_of(x, n, inner, width)
    parallel_for(_cross_entropy_gradient_columns_block, (g, loss, x, index, out, n, inner, width), items, block)


# ---- of one element, for ``elementwise``; ``functional.loss`` has the formulae ------------------------------------


@inlined
def squared_error(x: Any, t: Any) -> Any:
    d = x - t
    return d * d


@inlined
def squared_error_gradient(g: Any, x: Any, t: Any) -> Any:
    d = x - t
    return g * (d + d)


@inlined
def huber(x: Any, t: Any, delta: Any) -> Any:
    d = abs(x - t)
    inner = delta if d > delta else d
    return inner * (d - type(x)(0.5) * inner)


@inlined
def huber_gradient(g: Any, x: Any, t: Any, delta: Any) -> Any:
    d = x - t
    d = delta if d > delta else d
    return g * (-delta if d < -delta else d)


@inlined
def binary_cross_entropy_of_logits(x: Any, t: Any) -> Any:
    positive = x if x > 0 else type(x)(0)
    return softplus(-abs(x)) + (positive - t * x)  # in this order, what is small is not lost


@inlined
def binary_cross_entropy_of_logits_gradient(g: Any, x: Any, t: Any) -> Any:
    return g * (sigmoid(x) - t)
