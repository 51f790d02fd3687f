"""Losses: cross entropy of classes from logits, without their probabilities in memory, and losses element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import compiled, dense, inlined, kernel, parallel_for
from .math import log, sigmoid, softplus
from .memory import empty
from .softmax import block_of, exponentials, rows_of, sums_of_exponentials

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


@cross_entropy.compiled(when=lambda x, index: dense(x) and x.size >= _LEAST)
def _(x: Array, index: Array) -> Array:
    out = empty(index.shape, x.dtype)
    _cross_entropy(rows_of(x, -1), _numbers(index), out.reshape(-1), block_of(x.shape[-1]))
    return out


def cross_entropy_gradient(g: Array, loss: Array, x: Array, index: Array) -> Array:
    """Of ``cross_entropy``, from its result, compiled: g softmax(x), less g at the classes."""
    out = empty(x.shape, x.dtype)
    n = x.shape[-1]
    rows = (np.ascontiguousarray(g).reshape(-1), loss.reshape(-1), rows_of(x, -1), _numbers(index), out.reshape(-1, n))
    _cross_entropy_gradient(*rows, block_of(n))
    return out


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


def _numbers(index: Array) -> Array:
    return np.ascontiguousarray(index, np.int64).reshape(-1)


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
