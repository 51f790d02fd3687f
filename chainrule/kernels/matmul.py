"""Products of matrices, of stacks of them, and sums of products over any indices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import compiled, dense, gemm, kernel, parallel_for

_FEW = 1 << 16  # multiplications: up to that, NumPy's BLAS is there sooner, and on one thread


def _pays(x: Array, y: Array) -> bool:
    return (
        y.ndim > 1
        and x.size * y.shape[-1] > _FEW
        and x.ndim > 1
        and dense(x, y)
        and x.shape[-1] == y.shape[-2]
        and (x.shape[:-2] == y.shape[:-2] or y.ndim == 2)
    )


@kernel
def matmul(x: Array, y: Array) -> Array:
    """The product of two matrices, or of each two in stacks of them: (..., m, k) and (..., k, n) to (..., m, n)."""
    return np.matmul(x, y)


@matmul.compiled(when=_pays)
def _(x: Array, y: Array) -> Array:
    out = empty((*x.shape[:-1], y.shape[-1]), x.dtype)
    if y.ndim == 2:
        _product(x.reshape(-1, x.shape[-1]), y, out.reshape(-1, y.shape[-1]))
    else:
        _products(*(a.reshape(-1, *a.shape[-2:]) for a in (x, y, out)))
    return out


@compiled
def _product(x: Any, y: Any, out: Any) -> None:
    gemm(x, y, out)


@compiled
def _products(x: Any, y: Any, out: Any) -> None:
    if len(x) < 4:  # too few to divide among threads
        for i in range(len(x)):
            gemm(x[i], y[i], out[i])
    else:
        work = x.shape[1] * x.shape[2] * y.shape[2]
        parallel_for(_products_block, (x, y, out), len(x), 1 + (1 << 20) // (work + 1))


@compiled
def _products_block(x: Any, y: Any, out: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        gemm(x[i], y[i], out[i])


@kernel
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """The affine map of rows: x Wᵀ + b, of (m, k), (n, k) and (n,)."""
    y = x @ weight.T
    if bias is not None:
        y += bias
    return y


@linear.compiled(when=lambda x, weight, bias: x.size * len(weight) > _FEW and dense(x, weight, bias))
def _(x: Array, weight: Array, bias: Array | None) -> Array:
    out = empty((len(x), len(weight)), x.dtype)
    if bias is None:
        _product(x, weight.T, out)
    else:
        _affine(x, weight.T, bias, out)
    return out


@compiled
def _affine(x: Any, y: Any, bias: Any, out: Any) -> None:
    gemm(x, y, out, bias)


@kernel
def column_sums(x: Array) -> Array:
    """The sum of the rows of (m, n): (n,)."""
    return np.sum(x, axis=0)


@column_sums.compiled(when=lambda x: x.size > 1 << 14 and dense(x) and x.flags.c_contiguous)
def _(x: Array) -> Array:
    m, n = x.shape
    joined = max(1, _SHORT // n)  # rows that are taken for one, so that it is long enough for vectors
    long = x[: m // joined * joined].reshape(-1, joined * n)
    out = np.zeros((-(-len(long) // _ROWS), joined * n), x.dtype)
    _column_sums(long, out)
    total = np.sum(np.sum(out, axis=0).reshape(joined, n), axis=0)
    return total if m % joined == 0 else total + np.sum(x[m // joined * joined :], axis=0)


_SHORT = 128  # numbers: rows up to that are joined
_ROWS = 256  # summed one after the other, so that the order does not depend on the number of threads


@compiled
def _column_sums(x: Any, out: Any) -> None:
    parallel_for(_column_sums_block, (x, out), len(x), _ROWS)


@compiled
def _column_sums_block(x: Any, out: Any, start: int, stop: int) -> None:
    total = out[start // _ROWS]
    for i in range(start, stop):
        row = x[i]
        for j in range(len(row)):
            total[j] += row[j]


@kernel
def einsum(operands: Sequence[Array], terms: Sequence[str], output: str) -> Array:
    """A sum of products in explicit form, in which no index is repeated within a term."""
    return np.einsum(",".join(terms) + "->" + output, *operands, optimize=len(operands) > 1)


def _is_product(operands: Sequence[Array], terms: Sequence[str], output: str) -> bool:
    """Whether it is a product of two stacks of matrices, perhaps of other axes, and large."""
    if len(operands) != 2 or not dense(*operands):
        return False
    (x, y), (of_x, of_y) = operands, (set(t) for t in terms)
    left, right = of_x - of_y, of_y - of_x
    lengths = dict(zip("".join(terms), x.shape + y.shape, strict=True))
    return (
        (left | right) <= set(output)
        and all(lengths[i] == n for term, a in zip(terms, operands, strict=True) for i, n in zip(term, a.shape, strict=True))
        and prod(lengths.values()) > _FEW // 4
        and any(i not in output for i in of_x & of_y)
        and prod(lengths[i] for i in left) > 1
        and prod(lengths[i] for i in right) > 1
    )


@einsum.compiled(when=_is_product)
def _(operands: Sequence[Array], terms: Sequence[str], output: str) -> Array:
    (x, y), (of_x, of_y) = operands, terms
    both = [i for i in of_x if i in of_y]
    stacked, summed = [i for i in both if i in output], [i for i in both if i not in output]
    left, right = [i for i in of_x if i not in of_y], [i for i in of_y if i not in of_x]
    lengths = dict(zip(of_x + of_y, x.shape + y.shape, strict=True))

    def arranged(a: Array, term: str, *groups: list[str]) -> Array:
        axes = [term.index(i) for group in groups for i in group]
        return a.transpose(axes).reshape([prod(lengths[i] for i in group) for group in groups])

    out = matmul(arranged(x, of_x, stacked, left, summed), arranged(y, of_y, stacked, summed, right))
    made = stacked + left + right
    return out.reshape([lengths[i] for i in made]).transpose([made.index(i) for i in output])
