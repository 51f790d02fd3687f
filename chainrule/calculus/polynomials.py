"""Polynomials as vectors of coefficients, the highest power first."""

from __future__ import annotations

from typing import Any
from warnings import warn

import numpy as np

from ..core.arrays import as_array
from ..core.batched import everywhere, somewhere
from ..dispatch import composite, define_rule, unwrap
from .samples import beside


def _vector(p: Any) -> Any:
    return np.atleast_1d(as_array(p))


def _counting(p: Any, numbers: range) -> Any:
    """Whole numbers in the precision of ``p``."""
    return np.array(numbers, p.dtype if p.dtype.kind == "f" else int)


# ---- arithmetic -----------------------------------------------------------------------------------------


def _aligned(a1: Any, a2: Any) -> list[Any]:
    """Both, with zeros in front of the shorter one."""
    vectors = [_vector(a1), _vector(a2)]
    n = max(map(len, vectors))
    return [np.pad(v, (n - len(v), 0)) if len(v) < n else v for v in vectors]


composite(np.polyadd)(lambda a1, a2: np.add(*_aligned(a1, a2)))
composite(np.polysub)(lambda a1, a2: np.subtract(*_aligned(a1, a2)))
composite(np.polymul)(lambda a1, a2: np.convolve(_vector(a1), _vector(a2)))


@composite(np.polydiv)
def _polydiv(u: Any, v: Any) -> Any:
    """Long division: the quotient and the remainder."""
    rest, v = _vector(u) + 0.0, _vector(v) + 0.0
    n, quotient = len(v), []
    for _ in range(len(rest) - n + 1):
        quotient.append(rest[0] / v[0])
        rest = np.concatenate([rest[1:n] - quotient[-1] * v[1:], rest[n:]])
    if len(quotient) and not len(rest):
        rest = np.zeros(1, rest.dtype)
    # NumPy leaves out leading coefficients that are zero but for rounding
    near_zero = np.isclose(rest, 0, rtol=1e-14)
    first = min(int(np.argmin(near_zero)) if not near_zero.all() else len(rest), len(rest) - 1)
    return np.stack(quotient) if quotient else np.zeros(1, rest.dtype), rest[first:]


@composite(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    """Horner's scheme: (... (p_0 x + p_1) x + ...) + p_n."""
    p, x = as_array(p), as_array(x)
    made = np.zeros_like(x)
    for coefficient in p:
        made = made * x + coefficient
    return made


# ---- derivatives and integrals --------------------------------------------------------------------------


def _times(m: int) -> int:
    if m != int(m) or m < 0:
        raise ValueError(f"the order of a polynomial's derivative or integral must be 0, 1, 2 ..., not {m}")
    return int(m)


@composite(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    p = as_array(p)
    for _ in range(_times(m)):
        p = p[:-1] * _counting(p, range(len(p) - 1, 0, -1))
    return p


@composite(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p = as_array(p)
    constants = np.zeros(_times(m), p.dtype) if k is None else np.atleast_1d(beside(p, k))
    if len(constants) not in (1, m):
        raise ValueError(f"np.polyint: {len(constants)} constants k for {m} integrations")
    for i in range(m):
        p = np.append(p / _counting(p, range(len(p), 0, -1)), constants[i if len(constants) > 1 else 0])
    return p


# ---- roots ----------------------------------------------------------------------------------------------


def _roots(g: Any, ans: Any, p: Any) -> Any:
    """dz/dp_k = -z^(n-k) / p'(z): infinite at a root of higher multiplicity."""
    ans = np.multiply(ans, np.ones((), np.result_type(ans.dtype, np.float64)))
    return -np.sum(np.expand_dims(g / np.polyval(np.polyder(p), ans), -1) * np.vander(ans, len(p)), axis=0)


define_rule(np.roots, p=_roots)


@composite(np.poly)
def _poly(seq_of_zeros: Any) -> Any:
    """Π (x - z)."""
    zeros = _vector(seq_of_zeros)
    if zeros.ndim == 2:
        zeros = np.linalg.eigvals(zeros)
    made: Any = np.ones(1, zeros.dtype)
    for zero in zeros:
        made = np.convolve(made, np.stack([zeros.dtype.type(1), -zero]))
    if np.iscomplexobj(made):
        paired = np.sort(unwrap(zeros))
        made = np.real(made) if everywhere(paired == np.sort(np.conjugate(paired))) else made
    return made


# ---- matrices and fits ----------------------------------------------------------------------------------


@composite(np.vander)
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    powers = _counting(x, range(x.shape[0] if N is None else N))
    return np.power(x[:, None], powers if increasing else powers[::-1])


@composite(np.polyfit)
def _polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """Least squares on the Vandermonde matrix, its columns scaled to length 1."""
    x, y, order = as_array(x) + 0.0, as_array(y) + 0.0, int(deg) + 1
    if deg < 0:
        raise ValueError(f"np.polyfit: deg must not be negative, but is {deg}")
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or len(x) != len(y):
        raise TypeError(f"np.polyfit: x {x.shape} must be a vector, not empty, and y {y.shape} of the same length")
    matrix, rcond = np.vander(x, order), len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    if w is not None:
        w = as_array(w) + 0.0
        if w.shape != x.shape:
            raise TypeError(f"np.polyfit: weights {w.shape} for x {x.shape}")
        matrix, y = matrix * w[:, None], (y.T * w).T
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    matrix = matrix / scale
    solution, residuals, rank, singular = np.linalg.lstsq(matrix, y, rcond)
    made = (solution.T / scale).T
    if full:
        return made, residuals, rank, singular, rcond
    if somewhere(np.asarray(rank != order) if isinstance(rank, int) else rank != order):
        warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=4)
    if not cov:
        return made
    base = np.linalg.inv(matrix.T @ matrix) / np.outer(scale, scale)
    if cov != "unscaled":
        if len(x) <= order:
            raise ValueError(f"np.polyfit: {len(x)} points are too few to scale the covariance of {order} coefficients")
        factor = np.sum(np.square(y - matrix @ solution), axis=0) / (len(x) - order)
        return made, base * factor if y.ndim == 1 else base[:, :, None] * factor
    return made, base if y.ndim == 1 else base[:, :, None]
