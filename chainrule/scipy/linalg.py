"""Linear algebra of scipy.linalg; what np.linalg has is differentiable there.

Source: M. Giles, An extended collection of matrix derivative results for forward and reverse mode algorithmic differentiation
(2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg as sl

from ..batching.calls import aligned, batches
from ..core.arrays import as_array, is_native
from ..core.batched import Level
from ..dispatch import define_rule, primitive
from ..kernels import small_matrices

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "expm", "solve_banded", "solve_sylvester", "solve_triangular", "sqrtm", "toeplitz",
]  # fmt: skip


# ---- systems of equations -------------------------------------------------------------------------------


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b for a triangular matrix.

    Args:
        a: (..., M, M), of which one triangle is read.
        b: (M,) or (..., M, N).
        trans: 0 or ``"N"`` for a x = b, 1 or ``"T"`` for aᵀ x = b, 2 or ``"C"`` for aᴴ x = b.
        lower: whether the lower triangle is read.
        unit_diagonal: whether the diagonal is taken to be 1, and not read.
        overwrite_b: has no effect.
        check_finite: whether NaN and infinity are errors.

    Raises:
        numpy.linalg.LinAlgError: ``a`` is singular.

    >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), lower=True)
    array([1., 2.])
    """
    a, b = as_array(a), as_array(b)
    if trans in (2, "C"):
        a, trans = np.conjugate(a), 1
    options = trans in (1, "T"), lower, unit_diagonal, check_finite
    columns = b if b.ndim > 1 else b[:, None]
    x = _triangular_constant(columns, a, *options) if is_native(a) else _triangular([a, columns], *options)
    return x if b.ndim > 1 else x[..., 0]


@primitive
def _triangular(operands: Sequence[Any], transposed: bool, lower: bool, unit_diagonal: bool, check_finite: bool) -> Any:
    a, b = operands
    return _solved(a, b, transposed, lower, unit_diagonal, check_finite)


def _solved(a: Any, b: Any, transposed: bool, lower: bool, unit_diagonal: bool, check_finite: bool) -> Any:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"solve_triangular: a must be square and fit b, and their shapes are {a.shape} and {b.shape}")
    if check_finite and not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("solve_triangular: array must not contain infs or NaNs")
    if a.dtype != b.dtype or a.dtype.char not in "fdFD":
        dtype = np.result_type(a, b, np.float32)
        dtype = dtype if dtype.char in "fdFD" else np.dtype(complex if dtype.kind == "c" else float)
        a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    if a.shape[:-2] != b.shape[:-2]:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(x, (*stack, *x.shape[-2:])) for x in (a, b))
    return small_matrices.solve_triangular(a, b, lower, transposed, unit_diagonal)


@primitive
def _triangular_constant(b: Any, a: Any, transposed: bool, lower: bool, unit_diagonal: bool, check_finite: bool) -> Any:
    """The same for an array a, which is not differentiated."""
    return _solved(a, b, transposed, lower, unit_diagonal, check_finite)


def _triangular_operands(
    g: Any, ans: Any, operands: Sequence[Any], operands_shapes: Any, transposed: bool, lower: bool, unit_diagonal: bool
) -> Any:
    """As for ``np.linalg.solve``, and of a the one triangle that is read."""
    of_b = _triangular([operands[0], g], not transposed, lower, unit_diagonal, False)
    of_a = -(ans @ of_b.mT if transposed else of_b @ ans.mT)
    return np.tril(of_a, -unit_diagonal) if lower else np.triu(of_a, int(unit_diagonal)), of_b


define_rule(_triangular, operands=_triangular_operands, ignores=("check_finite",))
define_rule(
    _triangular_constant,
    linear="jointly",
    b=lambda g, a, transposed, lower, unit_diagonal: _triangular_constant(g, a, not transposed, lower, unit_diagonal, False),
    ignores=("check_finite",),
)


@batches(_triangular)
def _triangular_batched(level: Level, operands: Any, *options: Any) -> Any:
    ndim = max(x.ndim for x in operands)
    return _triangular([aligned(x, ndim, level) for x in operands], *options)


@batches(_triangular_constant)
def _triangular_constant_batched(level: Level, b: Any, a: Any, *options: Any) -> Any:
    ndim = max(a.ndim, b.ndim)
    return _triangular_constant(aligned(b, ndim, level), aligned(a, ndim, level), *options)


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """Cholesky factor for ``cho_solve``: a = L Lᴴ, or Uᴴ U; with zeros where SciPy's has whatever was there.

    >>> cho_factor(np.array([[4.0, 2.0], [2.0, 5.0]]), lower=True)
    (array([[2., 0.],
           [1., 2.]]), True)
    """
    a = as_array(a)
    factor = np.linalg.cholesky(a if lower else np.conjugate(a.mT))
    return (factor if lower else np.conjugate(factor.mT)), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Solve a x = b, given the Cholesky factor of a.

    >>> cho_solve((np.array([[2.0, 0.0], [1.0, 2.0]]), True), np.array([8.0, 8.0]))
    array([1.5, 1. ])
    """
    c, lower = c_and_lower
    first, second = (0, 2) if lower else (2, 0)
    halfway = solve_triangular(c, b, first, lower, check_finite=check_finite)
    return solve_triangular(c, halfway, second, lower, check_finite=check_finite)


def solve_banded(
    l_and_u: tuple[int, int], ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solve a x = b for a banded matrix.

    Args:
        l_and_u: how many diagonals lie below and above the main one.
        ab: (l + u + 1, M), the diagonals: ab[u + i - j, j] = a[i, j].
        b: (M,) or (M, N).
        overwrite_ab, overwrite_b: have no effect.
        check_finite: whether NaN and infinity are errors.

    >>> solve_banded((1, 0), np.array([[2.0, 2.0], [1.0, 0.0]]), np.array([2.0, 5.0]))
    array([1., 2.])
    """
    ab, b = as_array(ab), as_array(b)
    x = _banded(ab, b if b.ndim > 1 else b[:, None], *l_and_u, check_finite)
    return x if b.ndim > 1 else x[:, 0]


@primitive
def _banded(ab: Any, b: Any, below: int, above: int, check_finite: bool) -> Any:
    return sl.solve_banded((below, above), ab, b, check_finite=check_finite)


def _rows(below: int, above: int, n: int) -> tuple[Any, Any]:
    """For each place in the diagonals' array, the row of the matrix, and whether that is one."""
    row = np.arange(below + above + 1)[:, None] - above + np.arange(n)
    return np.clip(row, 0, n - 1), (row >= 0) & (row < n)


def _banded_b(g: Any, ab: Any, below: int, above: int) -> Any:
    """Aᵀ has the diagonals of a in reverse order, each shifted."""
    columns, inside = _rows(above, below, ab.shape[1])
    transposed = np.where(inside, ab[np.arange(below + above, -1, -1)[:, None], columns], ab.dtype.type(0))
    return _banded(transposed, g, above, below, False)


def _banded_ab(g: Any, ans: Any, ab: Any, below: int, above: int) -> Any:
    rows, inside = _rows(below, above, ab.shape[1])
    return -np.sum(_banded_b(g, ab, below, above)[rows] * ans, axis=-1) * inside


define_rule(_banded, ab=_banded_ab, b=_banded_b, ignores=("check_finite",))


@primitive
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solve a x + x b = q.

    Args:
        a: (M, M).
        b: (N, N).
        q: (M, N).

    >>> solve_sylvester(np.array([[2.0]]), np.array([[1.0]]), np.array([[6.0]]))
    array([[2.]])
    """
    return sl.solve_sylvester(a, b, q)


define_rule(
    solve_sylvester,
    a=lambda g, ans, a, b: -(solve_sylvester(a.T, b.T, g) @ ans.T),
    b=lambda g, ans, a, b: -(ans.T @ solve_sylvester(a.T, b.T, g)),
    q=lambda g, a, b: solve_sylvester(a.T, b.T, g),
)

# ---- functions of a matrix ------------------------------------------------------------------------------


@primitive
def expm(A: Any) -> Any:
    """Matrix exponential: the sum over k of A^k / k!; of (..., N, N).

    >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
    array([[1., 1.],
           [0., 1.]])
    """
    return sl.expm(A)


def _expm(g: Any, A: Any) -> Any:
    """The upper right block of exp [[Aᵀ, g], [0, Aᵀ]] is the derivative at Aᵀ in the direction g; [Najfeld] 2.1."""
    n, transposed = A.shape[-1], A.mT
    above = np.concatenate([transposed, g], axis=-1)
    below = np.concatenate([np.zeros(A.shape, A.dtype), transposed], axis=-1)
    return expm(np.concatenate([above, below], axis=-2))[..., :n, n:]


define_rule(expm, A=_expm)  # I. Najfeld, T. Havel, Derivatives of the matrix exponential and their computation (1995)


@primitive
def sqrtm(A: Any) -> Any:
    """Principal square root of a matrix: X X = A.

    >>> sqrtm(np.array([[4.0, 0.0], [0.0, 9.0]]))
    array([[2., 0.],
           [0., 3.]])
    """
    return sl.sqrtm(A)


define_rule(sqrtm, A=lambda g, ans: solve_sylvester(ans.T, ans.T, g))

# ---- special matrices -----------------------------------------------------------------------------------


def block_diag(*arrs: Any) -> Any:
    """A matrix with the given ones along its diagonal.

    >>> block_diag(np.array([[1.0, 2.0]]), 3.0)
    array([[1., 2., 0.],
           [0., 0., 3.]])
    """
    blocks = [np.atleast_2d(as_array(a)) for a in (arrs or ([],))]
    width, column, rows = sum(b.shape[1] for b in blocks), 0, []
    for block in blocks:
        rows.append(np.pad(block, ((0, 0), (column, width - column - block.shape[1]))))
        column += block.shape[1]
    return np.concatenate(rows, axis=0)


def toeplitz(c: Any, r: Any = None) -> Any:
    """A matrix with constant diagonals: the first column is ``c``, the first row ``r``, by default c's conjugate.

    >>> toeplitz(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0]))
    array([[1., 4.],
           [2., 1.],
           [3., 2.]])
    """
    c = np.reshape(as_array(c), -1)
    r = np.conjugate(c) if r is None else np.reshape(as_array(r), -1)
    values = np.concatenate([np.flip(c), r[1:]])
    return values[np.arange(c.size - 1, -1, -1)[:, None] + np.arange(r.size)]
