"""``np.linalg``: solving, factorisations, spectra and norms.

Formulas are in the form of the literature, for stacked matrices, with ᴴ for the conjugate transpose and X̄ for the gradient in
the convention du = Re tr(X̄ᴴ dX). Ours is its conjugate: so rules of holomorphic functions (inverse, determinant) are written
with plain transposes, and the others conjugate as they begin and end. Sources:

[Giles] M. Giles, Collected Matrix Derivative Results for Forward and Reverse Mode Algorithmic Differentiation (2008).
[Murray] I. Murray, Differentiation of the Cholesky decomposition (2016).
[Seeger] M. Seeger et al., Auto-Differentiating Linear Algebra (2017).
[Wan] Z.-Q. Wan and S.-X. Zhang, Automatic Differentiation for Complex Valued SVD (2019).
[Golub] G. Golub and V. Pereyra, The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems (1973).

Of a Hermitian matrix (``eigh``, ``cholesky``) NumPy reads one triangle, and it alone receives a gradient.

Bases that are not unique: eigenvectors and singular vectors are given up to a sign or a phase; to equal values belongs a whole
space, and the basis in it is arbitrary. The gradient is right for functions to which such choices make no difference to first
order. A pair of equal values counts as not moving in each other's direction (its inverse gap is taken to be 0): right for
symmetric functions of eigenvalues and for projections onto the whole space, and all that the factors can tell. Second
derivatives, and f(A) put together from factors, need values that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf, prod
from operator import index
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..core.arrays import as_array, is_native, ndarray
from ..core.batched import everywhere, somewhere
from ..core.variable import Variable, as_variable
from ..dispatch import composite, define_rule, primitive, unwrap
from ..kernels import small_matrices as kernel
from ..kernels.arithmetic import in_used_memory
from ..kernels.lapack import LU, inverse_of_lower, is_factorised
from ..kernels.layer import dense
from ..kernels.matmul import matmul
from ..kernels.reduction import squares
from .linear_algebra import outer_product
from .reductions import restored

# ---- parts of the formulas ------------------------------------------------------------------------------


def _conj(x: Any) -> Any:
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _adjoint(x: Any) -> Any:
    """Xᴴ."""
    return _conj(x.mT)


def _diagonal(x: Any) -> Any:
    """The diagonal matrices of stacked vectors."""
    return x[..., None] * np.eye(x.shape[-1], dtype=x.dtype)


def _lower(x: Any) -> Any:
    """Φ(X): the lower triangle with half the diagonal."""
    column = np.arange(x.shape[-1])
    row = column[:, None]
    return np.where(row > column, x, np.where(row == column, 0.5 * x, 0))


def _hermitian(a: Any) -> Any:
    """The Hermitian matrix that the lower triangle stands for."""
    half = _lower(a)
    return half + _adjoint(half)


def _of_triangle(g: Any, upper: bool) -> Any:
    """The gradient of a Hermitian matrix as that of the one triangle that NumPy reads: the transpose of ``_hermitian``."""
    both = g + _adjoint(g)
    return _lower(both.mT).mT if upper else _lower(both)


def _is_zero(g: Any) -> bool:
    """Whether a plain gradient is 0, as that of eigenvectors is where eigenvalues alone were used."""
    return g.__class__ is ndarray and not g.any()


def _rounding(values: Any) -> Any:
    """What differences of eigenvalues or singular values are lost in rounding, as stacked 1x1 matrices."""
    values = np.abs(unwrap(values))
    return (np.finfo(values.dtype).eps * values.shape[-1] * np.max(values, axis=-1, initial=0.0))[..., None, None]


def _inverse(x: Any, negligible: Any = 0) -> Any:
    """1 / x, and 0 where x is negligible."""
    zero = np.abs(unwrap(x)) <= negligible
    return np.where(zero, 0, 1 / np.where(zero, 1, x))


def _inverse_gaps(w: Any) -> Any:
    """F_ij = 1 / (w_j - w_i), and 0 for equal eigenvalues."""
    return _inverse(w[..., None, :] - w[..., None], _rounding(w))


def _require_basis_unused(inner: Any, k: int, function: str, part: str) -> None:
    """Raise if the result depends on which basis the columns N of U from the k-th are; ``inner`` is UᴴŪ.

    It does not, to first order, where NᴴN̄ is Hermitian: turning N by a unitary matrix changes nothing.
    """
    inner = unwrap(inner)
    skew = (inner - _adjoint(inner))[..., k:, k:]
    scale = np.max(np.abs(inner), initial=0.0)
    if somewhere(np.max(np.abs(skew), initial=0.0) > np.sqrt(np.finfo(inner.dtype).eps) * scale):
        raise TypeError(
            f"np.linalg.{function}: the result depends on the basis in {part}, which is arbitrary, so it has no gradient; "
            "use the reduced form, or a function of these columns that is the same for every such basis"
        )


# ---- inverses and determinants --------------------------------------------------------------------------


def _factorised(a: Any) -> LU | None:
    """The LU factors of ``a``, which value and derivatives share; None for other arrays, and for stacks that kernels take.

    Functions get them beside ``a``. As they say nothing new, they are constants to derivatives of any order.
    """
    a = a._data if isinstance(a, Variable) else a
    return LU(a) if is_factorised(a) and not kernel.is_stack(a) else None


@primitive
def _inverse_of(a: Any, lu: LU | None) -> Any:
    return kernel.inverse(a) if lu is None else lu.inverse()


define_rule(_inverse_of, a=lambda g, ans: -(ans.mT @ g @ ans.mT), ignores=("lu",))  # [Giles] 2.2.3
composite(np.linalg.inv)(lambda a: _inverse_of(a, _factorised(a)))


@primitive
def _solve_matrix(operands: Sequence[Any], lu: LU | None) -> Any:
    """A⁻¹ B; of a single A also A⁻¹ b."""
    a, b = operands
    return kernel.solve(a, b) if lu is None else lu.solve(b)


@primitive
def _solve_constant(b: Any, a: Any, lu: LU | None) -> Any:
    """The same for an array A, which is not differentiated."""
    return kernel.solve(a, b) if lu is None else lu.solve(b)


@composite(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = as_array(a), as_array(b)
    if b.ndim == 1 != a.ndim - 1:
        return np.squeeze(_solve(a, b[:, None]), -1)
    rows = b.shape[0] if b.ndim == 1 else b.shape[-2] if b.ndim else None
    fits = a.shape[-1:] == (rows,) and a.shape[:-2] in ((), b.shape[:-2])
    lu = _factorised(a) if fits and (a.dtype == b.dtype or np.result_type(a.dtype, b.dtype) == a.dtype) else None
    return _solve_constant(b, a, lu) if is_native(a) else _solve_matrix([a, b], lu)


def _solve_operands(g: Any, ans: Any, operands: Sequence[Any], operands_shapes: Any, lu: LU | None) -> Any:
    """B̄ = A⁻ᵀ g and Ā = -B̄ xᵀ, which share one system; [Giles] 2.3.1."""
    of_b = _solve_matrix([operands[0].mT, g], lu and lu.mT)
    return -(outer_product(of_b, ans) if ans.ndim == 1 else of_b @ ans.mT), of_b


define_rule(_solve_matrix, operands=_solve_operands)
define_rule(_solve_constant, linear="jointly", b=lambda g, a, lu: _solve_constant(g, a.mT, lu and lu.mT))


@primitive
def _determinant_of(a: Any, lu: LU | None) -> Any:
    if lu is None:
        return kernel.determinant(a)
    sign, logarithm = lu.log_determinant()
    return sign * np.exp(logarithm)


def _det(g: Any, ans: Any, a: Any, lu: LU | None) -> Any:
    """|A| A⁻ᵀ ([Giles] 2.2.4), the matrix of cofactors also where |A| = 0."""
    singular = (unwrap(ans) == 0)[..., None, None]
    if not somewhere(singular):
        return (g * ans)[..., None, None] * _inverse_of(a, lu).mT
    regular = np.where(singular, np.eye(a.shape[-1], dtype=a.dtype), a)
    gradient = (g * ans)[..., None, None] * _inverse_of(regular, None).mT
    return np.where(singular, g[..., None, None] * _cofactors(a), gradient)


def _for_cofactors(a: Any) -> tuple[Any, ...]:
    """Of A = U S Vᴴ: U, Vᴴ, |U Vᴴ|, and P_ij, the product of all singular values but s_i and s_j."""
    u, s, vh = np.linalg.svd(a)
    left_out = np.eye(s.shape[-1], dtype=bool)
    products = np.prod(np.where(left_out[:, None] | left_out, 1, s[..., None, None, :]), axis=-1)
    return u, vh, np.linalg.det(u @ vh)[..., None, None], products


@primitive
def _cofactors(a: Any) -> Any:
    u, vh, sign, products = _for_cofactors(a)
    return sign * ((_conj(u) * np.linalg.diagonal(products)[..., None, :]) @ _conj(vh))


def _cofactors_a(g: Any, a: Any) -> Any:
    """Of the cofactors of S + E, first to E: P_ij E_jj are added to those on the diagonal, P_ij E_ji are taken from all."""
    u, vh, sign, products = _for_cofactors(a)
    g = sign * (_adjoint(u) @ g @ _adjoint(vh))
    inner = _diagonal(np.sum(products * np.linalg.diagonal(g)[..., None, :], axis=-1)) - (products * g).mT
    return _conj(u) @ inner @ _conj(vh)


define_rule(_cofactors, a=_cofactors_a)
define_rule(_determinant_of, a=_det)
composite(np.linalg.det)(lambda a: _determinant_of(a, _factorised(a)))


@primitive
def _log_determinant_of(a: Any, lu: LU | None) -> Any:
    return kernel.log_determinant(a) if lu is None else kernel.Logarithm(*lu.log_determinant())


def _slogdet(g: Any, ans: Any, a: Any, lu: LU | None) -> Any:
    """A⁻ᵀ times the gradient of log|A|; the sign of a complex determinant turns with the imaginary part of tr(A⁻¹ dA)."""
    g_sign, g_log = g
    scale = g_log + 1j * np.imag(g_sign * ans[0]) if a.dtype.kind == "c" else g_log
    return scale[..., None, None] * _inverse_of(a, lu).mT


define_rule(_log_determinant_of, a=_slogdet)
composite(np.linalg.slogdet)(lambda a: _log_determinant_of(a, _factorised(a)))

_pinv_of = primitive(np.linalg.pinv)


@composite(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, **options: Any) -> Any:
    return _pinv_of(_hermitian(a) if hermitian else a, rcond, hermitian, **options)


def _pinv_a(g: Any, ans: Any, a: Any) -> Any:
    """-Pᴴ P̄ Pᴴ + (1 - A P) P̄ᴴ P Pᴴ + Pᴴ P P̄ᴴ (1 - P A), at constant rank; [Golub]."""
    p, p_h, g, g_h = ans, _adjoint(ans), _conj(g), g.mT
    outside, inside = g_h - a @ (p @ g_h), g_h - (g_h @ p) @ a
    return _conj(outside @ p @ p_h + p_h @ p @ inside - p_h @ g @ p_h)


define_rule(_pinv_of, a=_pinv_a, ignores=("rcond", "rtol", "hermitian"))


@primitive
def _least_squares(a: Any, b: Any, p: Any) -> Any:
    """A⁺ B, where P = A⁺ is known."""
    return p @ b


def _least_squares_a(g: Any, ans: Any, a: Any, b: Any, p: Any) -> Any:
    """-Z Xᴴ + R (P Z)ᴴ + Pᴴ X (X̄ - Aᴴ Z)ᴴ with Z = Pᴴ X̄ and R = B - A X: [Golub], of P̄ = X̄ Bᴴ, with no product of two matrices.

    The last term is that of dependent columns.
    """
    g, a_h, p_h = _conj(g), _adjoint(a), _adjoint(p)
    z = _least_squares(a_h, g, p_h)
    made = (b - a @ ans) @ _adjoint(_least_squares(a, z, p)) - z @ _adjoint(ans)
    return _conj(made + _least_squares(a_h, ans, p_h) @ _adjoint(g - a_h @ z))


define_rule(_least_squares, a=_least_squares_a, b=lambda g, a, p: _least_squares(a.mT, g, p.mT))


@composite(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """X = A⁺ B."""
    a, b = as_array(a), as_array(b)
    if a.ndim != 2:
        raise np.linalg.LinAlgError(f"np.linalg.lstsq: a must be a matrix, not of shape {a.shape}")
    (rows, columns), eps = a.shape, float(np.finfo(float).eps)
    rcond = max(a.shape) * eps if rcond is None else eps if rcond < 0 else rcond
    made = np.linalg.svd(a, full_matrices=False)
    u, s, vh = unwrap(tuple(made))
    kept = s > rcond * np.max(s, initial=0.0)
    p = _adjoint(vh) @ (_inverse(s * kept)[..., None] * _adjoint(u))
    x = _least_squares(a, np.reshape(b, (rows, -1)), p)
    x, rank = np.reshape(x, (columns, *b.shape[1:])), np.sum(kept)
    residuals = np.sum(np.square(np.abs(np.reshape(b - a @ x, (rows, prod(b.shape[1:]))))), axis=0)
    return x, residuals if columns < rows and everywhere(rank == columns) else np.array([], residuals.dtype), rank, made.S


@composite(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    n = index(n)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"np.linalg.matrix_power: a matrix must be square, and is of shape {a.shape}")
    if n == 0:
        return as_variable(np.linalg.matrix_power(unwrap(a), 0))
    return _power(np.linalg.inv(a) if n < 0 else a, abs(n))


def _power(a: Any, n: int) -> Any:
    if n == 1:
        return np.positive(a)
    half = _power(a, n // 2)
    return half @ half @ a if n % 2 else half @ half


@composite(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Any:
    if ind <= 0:
        raise ValueError(f"np.linalg.tensorinv: ind must be positive, not {ind}")
    return np.reshape(np.linalg.inv(np.reshape(a, (prod(a.shape[ind:]), -1))), a.shape[ind:] + a.shape[:ind])


@composite(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = as_array(a), as_array(b)
    if axes is not None:
        a = np.transpose(a, [k for k in range(a.ndim) if k not in axes] + list(axes))
    shape = a.shape[b.ndim :]
    if prod(shape) != b.size or a.size != b.size**2:
        raise np.linalg.LinAlgError(f"np.linalg.tensorsolve: a of shape {a.shape} is not square for b of shape {b.shape}")
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, b.size)), np.reshape(b, -1)), shape)


# ---- triangular factors ---------------------------------------------------------------------------------


@primitive
def _inverse_of_lower(a: Any) -> Any:
    """The inverses of lower triangular matrices: by halves, as products of matrices."""
    n = a.shape[-1]
    if n <= _DIVIDED:
        by_columns = is_factorised(a) and not kernel.is_stack(a)
        return inverse_of_lower(a) if by_columns else np.tril(kernel.inverse(a))
    top, bottom = slice(n // 2), slice(n // 2, n)
    out = np.zeros(a.shape, a.dtype)
    first, last = out[..., top, top], out[..., bottom, bottom]
    first[...], last[...] = _inverse_of_lower(a[..., top, top]), _inverse_of_lower(a[..., bottom, bottom])
    np.negative(matmul(last, matmul(a[..., bottom, top], first)), out=out[..., bottom, top])
    return out


_DIVIDED = 128  # rows from which on a matrix is divided

define_rule(_inverse_of_lower, a=lambda g, ans: -np.tril(matmul(ans.mT, matmul(g, ans.mT))))


def _cholesky(g: Any, ans: Any, upper: bool) -> Any:
    """L⁻ᴴ Φ(LᴴL̄) L⁻¹; [Murray]."""
    factor, g = (_adjoint(ans), _adjoint(g)) if upper else (ans, g)
    inverse = _inverse_of_lower(factor)
    return _of_triangle(matmul(inverse.mT, matmul(_lower(matmul(factor.mT, g)), _conj(inverse))), upper)


define_rule(np.linalg.cholesky, a=_cholesky)

_qr_of_tall = primitive(np.linalg.qr)


@composite(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    """Of a wide matrix, the first columns make Q, and the others are Qᴴ A in R."""
    if mode not in ("reduced", "complete", "r"):
        raise TypeError(f"np.linalg.qr: mode {mode!r} is not supported on a Variable; use reduced, complete or r")
    wide, kept = a.ndim > 1 and a.shape[-1] > a.shape[-2], "reduced" if mode == "r" else mode
    made = _qr_of_tall(a[..., : a.shape[-2]] if wide else a, kept)
    if wide:
        made = made._replace(R=np.concatenate([made.R, _adjoint(made.Q) @ a[..., a.shape[-2] :]], axis=-1))
    return made.R if mode == "r" else made


def _qr_a(g: Any, ans: Any) -> Any:
    """(Q̄ + Q (Φ(B - Bᴴ) - B)) R⁻ᴴ with B = QᴴQ̄ - R̄Rᴴ; [Seeger], in this form also for complex matrices.

    Of a complete Q, the columns beyond R's are orthogonal to the others, and can only turn with them.
    """
    (q, r), (gq, gr) = ans, map(_conj, g)
    n = r.shape[-1]
    inner = _adjoint(q) @ gq
    b = inner[..., :n, :n] - gr[..., :n, :] @ _adjoint(r[..., :n, :])
    turned = gq[..., :n] + q[..., :n] @ (_lower(b - _adjoint(b)) - b)
    if q.shape[-1] > n:
        _require_basis_unused(inner, n, "qr(mode='complete')", "the columns of Q beyond those of R")
        turned = turned - q[..., n:] @ _adjoint(inner[..., :n, n:])
    return _conj(turned) @ _inverse_of_lower(r[..., :n, :].mT)


define_rule(_qr_of_tall, a=_qr_a, ignores=("mode",))

# ---- eigenvalues and singular values --------------------------------------------------------------------


def _eigh(g: Any, ans: Any, UPLO: str) -> Any:
    """V (diag(w̄) + F∘(VᴴV̄)) Vᴴ with F_ij = 1 / (w_j - w_i); [Giles] 3.1."""
    (gw, gv), (w, v) = g, ans
    if _is_zero(gv):
        return _of_triangle((_conj(v) * gw[..., None, :]) @ v.mT, UPLO.upper() == "U")
    inner = _diagonal(gw) + _inverse_gaps(w) * (v.mT @ gv)
    return _of_triangle(_conj(v) @ inner @ v.mT, UPLO.upper() == "U")


def _eig(g: Any, ans: Any) -> Any:
    """V⁻ᴴ (diag(w̄) + F∘(VᴴV̄ - VᴴV Re diag(VᴴV̄))) Vᴴ: [Giles] 3.1, for eigenvectors that keep their length 1."""
    (gw, gv), (w, v) = g, ans
    if _is_zero(gv):
        return np.linalg.solve(v.mT, gw[..., None] * v.mT)
    inner = v.mT @ gv
    inner = inner - (v.mT @ _conj(v)) * np.real(np.linalg.diagonal(inner))[..., None, :]
    return np.linalg.solve(v.mT, (_diagonal(gw) + _inverse_gaps(w) * inner) @ v.mT)


define_rule(np.linalg.eigh, a=_eigh)
define_rule(np.linalg.eig, a=_eig)
composite(np.linalg.eigvalsh)(lambda a, UPLO="L": np.linalg.eigh(a, UPLO).eigenvalues)
composite(np.linalg.eigvals)(lambda a: np.linalg.eig(a).eigenvalues)

_svd_of = primitive(np.linalg.svd)


@composite(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    made = _svd_of(a, full_matrices and compute_uv, True, hermitian)
    return made if compute_uv else made.S


composite(np.linalg.svdvals)(lambda x: np.linalg.svd(x, compute_uv=False))


def _svd_a(g: Any, ans: Any, hermitian: bool) -> Any:
    """X Vᴴ + U Yᴴ + U diag(s̄) Vᴴ, where X comes through the left vectors and Y through the right; [Wan]."""
    (u, s, vh), (gu, gs, gvh) = ans, map(_conj, g)
    if hermitian:  # NumPy makes it of A = U diag(w) Uᴴ: s = |w|, V = U sign(w)
        sign = np.sign(np.real(np.sum(unwrap(u) * unwrap(vh).mT, axis=-2)))
        return _eigh((gs * sign, _conj(gu + _adjoint(gvh) * sign[..., None, :])), (s * sign, u), "L")
    k = s.shape[-1]
    if _is_zero(gu) and _is_zero(gvh):
        return _conj((u[..., :k] * gs[..., None, :]) @ vh[..., :k, :])
    left, right = _through_vectors(u, gu, s), _through_vectors(_adjoint(vh), _adjoint(gvh), s)
    u, vh = u[..., :k], vh[..., :k, :]
    return _conj((left + u * gs[..., None, :]) @ vh + u @ _adjoint(right))


def _through_vectors(u: Any, gu: Any, s: Any) -> Any:
    """U (F∘(J - Jᴴ)) S + (1 - U Uᴴ) Ū S⁻¹ with J = UᴴŪ, F_ij = 1 / (s_j² - s_i²) and, for the phase, F_ii = 1 / 4s_i².

    To the columns beyond the number of singular values belongs the value 0.
    """
    k, width, negligible = s.shape[-1], u.shape[-1], _rounding(s)
    inner = _adjoint(u) @ gu
    if width > k:
        _require_basis_unused(inner, k, "svd(full_matrices=True)", "the null space")
    every = s if width == k else np.concatenate([s, np.zeros((*s.shape[:-1], width - k), s.dtype)], axis=-1)
    row, column = every[..., None, :], every[..., None]
    gaps = _inverse(row - column + 2 * _diagonal(every), negligible) * _inverse(row + column, negligible)
    through = u @ ((gaps * (inner - _adjoint(inner)))[..., :k] * s[..., None, :])
    if width == u.shape[-2]:
        return through
    return through + (gu - u @ inner) * _inverse(s[..., None, :], negligible)


define_rule(_svd_of, a=_svd_a, ignores=("full_matrices", "compute_uv"))

# ---- norms ----------------------------------------------------------------------------------------------


Axes = Any  # a tuple of ints; NumPy's releases differ in what they call one


@primitive
def _power_norm(x: Any, ord: float, axis: Axes, keepdims: bool) -> Any:
    """(Σ |x|ᵖ)^(1/p)."""
    if ord == 2 and dense(x):
        return np.sqrt(squares(x, axis if len(axis) < x.ndim else None, keepdims))
    return np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)


def _power_norm_x(g: Any, ans: Any, x: Any, ord: float, axis: Axes) -> Any:
    """(|x| / ‖x‖)^(p-1) times the sign of x, which is 0 at 0."""
    g, ans = (restored(y, axis if len(axis) < x.ndim else None, x.shape) for y in (g, ans))
    if ord == 2:
        return in_used_memory(np.multiply)(_conj(x), as_array(g * _inverse(ans)))
    zero = unwrap(x) == 0
    size, ans = np.abs(np.where(zero, 1, x)), np.where(unwrap(ans) == 0, 1, ans)
    return np.where(zero, 0, g * _conj(x) / size * (size / ans) ** (ord - 1))


define_rule(_power_norm, x=_power_norm_x, ignores=("keepdims",))


def _vector_norm_along(x: Any, ord: Any, axis: Axes, keepdims: Any) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"np.linalg.norm: {ord!r} is not a norm of vectors")
    if ord == inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims, initial=0)
    if ord == -inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.linalg.vector_norm(unwrap(x), axis=axis, keepdims=keepdims, ord=0)
    return _power_norm(x, 2 if ord is None else ord, axis, keepdims)


@composite(np.linalg.vector_norm)
def _vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return _vector_norm_along(x, ord, _axes(axis, x.ndim), keepdims)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


@composite(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    axes = _axes(axis, x.ndim)
    if len(axes) == 1 or (ord is None and axis is None):
        return _vector_norm_along(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError(f"np.linalg.norm: ord {ord!r} is a norm of vectors or matrices; axis {axis} gives {len(axes)} axes")
    if ord in (None, "fro", "f"):
        return _vector_norm_along(x, 2, axes, keepdims)
    norm = _matrix_norm_of_last(np.moveaxis(x, axes, (-2, -1)), ord)
    return np.expand_dims(norm, axes) if keepdims else norm


def _matrix_norm_of_last(x: Any, ord: Any) -> Any:
    """The largest or smallest sum of a column or row, or singular value; or the sum of all these."""
    if ord in (2, -2, "nuc"):
        values = np.linalg.svdvals(x)
        values = np.where(unwrap(values) == 0, 0, values)  # as |x| at 0
    elif ord in (1, -1, inf, -inf):
        values = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
    else:
        raise ValueError(f"np.linalg.norm: {ord!r} is not a norm of matrices")
    if ord == "nuc":
        return np.sum(values, axis=-1)
    return np.max(values, axis=-1, initial=0) if ord > 0 else np.min(values, axis=-1)


@composite(np.linalg.matrix_norm)
def _matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, ord, (-2, -1), keepdims)


@composite(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    """‖A‖ ‖A⁻¹‖; a constant where A is singular."""
    plain = np.linalg.cond(unwrap(x), p)
    regular = np.isfinite(plain)
    matrices = (
        x if everywhere(regular) else np.where(regular[..., None, None], x, np.eye(x.shape[-2], x.shape[-1], dtype=x.dtype))
    )
    if p in (None, 2, -2):
        s = np.linalg.svdvals(matrices)
        ratio: Any = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        ratio = np.linalg.matrix_norm(matrices, ord=p) * np.linalg.matrix_norm(np.linalg.inv(matrices), ord=p)
    return ratio if matrices is x else np.where(regular, ratio, plain)


# ---- products -------------------------------------------------------------------------------------------

composite(np.linalg.matmul)(np.matmul)
composite(np.linalg.tensordot)(np.tensordot)
composite(np.linalg.vecdot)(np.vecdot)
composite(np.linalg.matrix_transpose)(np.matrix_transpose)
composite(np.linalg.diagonal)(lambda x, *, offset=0: np.diagonal(x, offset, -2, -1))
composite(np.linalg.trace)(lambda x, *, offset=0, dtype=None: np.trace(x, offset, -2, -1, dtype))


@composite(np.linalg.outer)
def _outer(x1: Any, x2: Any) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"np.linalg.outer: the arrays must have 1 axis, not {np.ndim(x1)} and {np.ndim(x2)}")
    return np.outer(x1, x2)


@composite(np.linalg.cross)
def _cross(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    lengths = np.shape(x1)[axis], np.shape(x2)[axis]
    if lengths != (3, 3):
        raise ValueError(f"np.linalg.cross: vectors must have 3 components, not {lengths[0]} and {lengths[1]}")
    return np.cross(x1, x2, axis=axis)


@composite(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    """The product in the order with the fewest multiplications."""
    arrays = [as_array(a) for a in arrays]
    last = len(arrays) - 1
    if last < 1 or any(a.ndim != 2 and (a.ndim != 1 or 0 < i < last) for i, a in enumerate(arrays)):
        raise ValueError("np.linalg.multi_dot: expected at least two matrices (the first and the last may be vectors)")
    sizes = [1 if arrays[0].ndim == 1 else arrays[0].shape[0], *(a.shape[0] for a in arrays[1:])]
    sizes.append(1 if arrays[-1].ndim == 1 else arrays[-1].shape[1])

    return _product(arrays, tuple(sizes))


def _product(arrays: Sequence[Any], sizes: tuple[int, ...]) -> Any:
    if len(arrays) == 1:
        return arrays[0]
    _, k = _cheapest(sizes)
    return _product(arrays[:k], sizes[: k + 1]) @ _product(arrays[k:], sizes[k:])


@lru_cache(1 << 12)
def _cheapest(sizes: tuple[int, ...]) -> tuple[int, int]:
    """The fewest multiplications in a product of matrices of ``sizes[i], sizes[i + 1]``, and where to split it for that."""
    splits = range(1, len(sizes) - 1)
    costs = ((_cheapest(sizes[: k + 1])[0] + _cheapest(sizes[k:])[0] + sizes[0] * sizes[k] * sizes[-1], k) for k in splits)
    return min(costs, default=(0, 0))
