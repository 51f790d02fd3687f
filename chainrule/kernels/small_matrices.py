"""Stacks of small matrices: linear systems, inverses, and the pivots that determinants are made of; triangular systems.

Sixteen matrices at a time are copied so that elements of the same place lie side by side, and go through Gaussian elimination
together, each with its own pivots: rows are exchanged by choosing between them, so that there is no branch.

Source: G. Golub, C. Van Loan, Matrix Computations (2013), 3.4.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from . import lapack
from .layer import address, array_at, borrow, compiled, dense, exchange, give_back, kernel, parallel_for, subtract_product

_LANES = 16
_LARGEST = 16  # rows: of larger matrices, a library's own algorithm is faster
_LEAST = 8  # matrices in a stack
_BLOCK = 128  # matrices that a thread takes at a time


def is_stack(a: Array) -> bool:
    """Whether these are matrices that are small, and enough of them."""
    return dense(a) and a.ndim > 2 and 0 < a.shape[-1] == a.shape[-2] <= _LARGEST and prod(a.shape[:-2]) >= _LEAST


@kernel
def solve(a: Array, b: Array) -> Array:
    """The solutions x of a x = b, of (..., n, n) and (..., n, m)."""
    return np.linalg.solve(a, b)


@solve.compiled(when=lambda a, b: dense(a, b) and is_stack(a) and a.shape[:-1] == b.shape[:-1] and 0 < b.shape[-1] <= _LARGEST)
def _(a: Array, b: Array) -> Array:
    out = empty(b.shape, b.dtype)
    _run(a, b.reshape(-1, *b.shape[-2:]), out.reshape(-1, *out.shape[-2:]), np.empty((0, 0), a.dtype))
    return out


@kernel
def inverse(a: Array) -> Array:
    """The inverses of matrices (..., n, n)."""
    return np.linalg.inv(a)


@inverse.compiled(when=is_stack)
def _(a: Array) -> Array:
    out, n = empty(a.shape, a.dtype), a.shape[-1]
    _run(
        a,
        np.broadcast_to(np.eye(n, dtype=a.dtype), (prod(a.shape[:-2]), n, n)),
        out.reshape(-1, n, n),
        np.empty((0, 0), a.dtype),
    )
    return out


def _run(a: Array, b: Array, out: Array, pivots: Array) -> None:
    singular = np.zeros(1, np.int64)
    _eliminate(a.reshape(-1, *a.shape[-2:]), b, out, pivots, singular)
    if singular[0] and len(pivots) == 0:
        raise np.linalg.LinAlgError("Singular matrix")


def _pivots(a: Array) -> Array:
    """Numbers (..., n) whose product is the determinant."""
    n, pivots = a.shape[-1], empty(a.shape[:-1], a.dtype)
    nothing = np.empty((prod(a.shape[:-2]), n, 0), a.dtype)
    _run(a, nothing, nothing, pivots.reshape(-1, n))
    return pivots


@kernel
def determinant(a: Array) -> Array:
    """The determinants of matrices (..., n, n)."""
    return np.linalg.det(a)  # type: ignore[no-any-return]


@determinant.compiled(when=is_stack)
def _(a: Array) -> Array:
    return np.prod(_pivots(a), axis=-1)  # type: ignore[no-any-return]


@kernel
def log_determinant(a: Array) -> Any:
    """The determinants' signs, and the logarithms of their absolute values, in NumPy's named tuple."""
    return np.linalg.slogdet(a)


@log_determinant.compiled(when=is_stack)
def _(a: Array) -> Any:
    pivots = _pivots(a)
    with np.errstate(divide="ignore"):
        return Logarithm(np.prod(np.sign(pivots), axis=-1), np.sum(np.log(np.abs(pivots)), axis=-1))


Logarithm: Any = type(np.linalg.slogdet(np.ones((1, 1))))


@compiled
def _eliminate(a: Any, b: Any, out: Any, pivots: Any, singular: Any) -> None:
    parallel_for(_eliminate_block, (a, b, out, pivots, singular), len(a), _BLOCK)


@compiled
def _eliminate_block(a: Any, b: Any, out: Any, pivots: Any, singular: Any, start: int, stop: int) -> None:
    n, m = b.shape[1:]
    width, zero, one = n + m, a.dtype.type(0), a.dtype.type(1)
    work = borrow(out, (n * width + n + 2) * _LANES)  # each matrix beside its right side; 1 / pivots; signs; a factor
    at, step = address(work), _LANES * a.itemsize
    sign, factor = array_at(a, at + (n * width + n) * step, _LANES), array_at(a, at + (n * width + n + 1) * step, _LANES)
    for first in range(start, stop, _LANES):
        count = min(_LANES, stop - first)
        x, y = a[first : first + count], b[first : first + count]
        for i in range(n):
            for j in range(width):
                lanes = array_at(a, at + (i * width + j) * step, _LANES)
                for l in range(count):
                    lanes[l] = x[l, i, j] if j < n else y[l, i, j - n]
                for l in range(count, _LANES):
                    lanes[l] = one if i == j else zero
        for l in range(_LANES):
            sign[l] = one
        for j in range(n):
            diagonal = array_at(a, at + (j * width + j) * step, _LANES)
            for r in range(j + 1, n):
                below = array_at(a, at + (r * width + j) * step, _LANES)
                for l in range(_LANES):  # whether the rows are exchanged
                    larger = abs(below[l]) > abs(diagonal[l])
                    factor[l] = one if larger else zero
                    sign[l] = -sign[l] if larger else sign[l]
                for c in range(j, width):
                    exchange(a, at + (j * width + c) * step, at + (r * width + c) * step, address(factor))
            inverse = array_at(a, at + (n * width + j) * step, _LANES)
            for l in range(_LANES):
                inverse[l] = one / diagonal[l]
            for r in range(j + 1, n):
                below = array_at(a, at + (r * width + j) * step, _LANES)
                for l in range(_LANES):
                    factor[l] = below[l] * inverse[l] if diagonal[l] != zero else zero
                for c in range(j + 1, width):
                    subtract_product(a, at + (r * width + c) * step, address(factor), at + (j * width + c) * step)
        for j in range(n):
            diagonal = array_at(a, at + (j * width + j) * step, _LANES)
            for l in range(count):
                if diagonal[l] == zero:
                    singular[0] = 1
        if len(pivots) > 0:
            for l in range(count):
                for j in range(n):
                    pivot = work[((j * width + j) * _LANES) + l]
                    pivots[first + l, j] = pivot * sign[l] if j == 0 else pivot
        for c in range(n, width):
            for i in range(n - 1, -1, -1):
                total, inverse = (
                    array_at(a, at + (i * width + c) * step, _LANES),
                    array_at(a, at + (n * width + i) * step, _LANES),
                )
                for k in range(i + 1, n):
                    subtract_product(a, address(total), at + (i * width + k) * step, at + (k * width + c) * step)
                for l in range(_LANES):
                    total[l] *= inverse[l]
        made = out[first : first + count]
        for i in range(n):
            for c in range(m):
                lanes = array_at(a, at + (i * width + n + c) * step, _LANES)
                for l in range(count):
                    made[l, i, c] = lanes[l]
    give_back(work)


# ---- triangular systems ---------------------------------------------------------------------------------


@kernel
def solve_triangular(a: Array, b: Array, lower: bool, transposed: bool, unit_diagonal: bool) -> Array:
    """The solutions x of a x = b, or of aᵀ x = b, of (..., n, n) and (..., n, m); of a one triangle is read."""
    return lapack.solve_triangular(a, b, lower, transposed, unit_diagonal)


def _is_stack_of_systems(a: Array, b: Array, *options: bool) -> bool:
    return dense(a, b) and a.ndim > 2 and 0 < a.shape[-1] <= _SUBSTITUTED and prod(a.shape[:-2]) >= _LEAST and b.size > 0


_SUBSTITUTED = 32  # rows


@solve_triangular.compiled(when=_is_stack_of_systems)
def _(a: Array, b: Array, lower: bool, transposed: bool, unit_diagonal: bool) -> Array:
    out, singular = np.array(b, order="C"), np.zeros(1, np.int64)
    matrices = np.ascontiguousarray(a).reshape(-1, *a.shape[-2:])
    _substitute(matrices, out.reshape(-1, *out.shape[-2:]), lower, transposed, unit_diagonal, singular)
    if singular[0]:
        raise np.linalg.LinAlgError("Singular matrix: there is a 0 on the diagonal")
    return out


@compiled
def _substitute(a: Any, x: Any, lower: bool, transposed: bool, unit_diagonal: bool, singular: Any) -> None:
    parallel_for(_substitute_block, (a, x, lower, transposed, unit_diagonal, singular), len(a), _BLOCK)


@compiled
def _substitute_block(
    a: Any, x: Any, lower: bool, transposed: bool, unit_diagonal: bool, singular: Any, start: int, stop: int
) -> None:
    n, m = x.shape[1:]
    for matrix, rows in zip(a[start:stop], x[start:stop]):  # noqa: B905 (Numba's zip has no strict)
        for step in range(n):
            i = step if lower != transposed else n - 1 - step
            row = rows[i]
            for before in range(step):
                k = before if lower != transposed else n - 1 - before
                factor, other = matrix[k, i] if transposed else matrix[i, k], rows[k]
                for c in range(m):
                    row[c] -= factor * other[c]
            if not unit_diagonal:
                if matrix[i, i] == 0:
                    singular[0] = 1
                inverse = a.dtype.type(1) / matrix[i, i]
                for c in range(m):
                    row[c] *= inverse
