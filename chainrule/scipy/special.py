"""Functions of scipy.special that are no ufuncs."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from .. import functional
from ..calculus.special import polygamma, zeta
from ..core.arrays import as_array, is_native
from ..core.batched import somewhere
from ..dispatch import define_rule, primitive, unwrap

__all__ = [
    "h1vp", "h2vp", "ivp", "jvp", "kvp", "lambertw", "log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax",
    "spherical_in", "spherical_jn", "spherical_kn", "spherical_yn", "yvp", "zeta",
]  # fmt: skip

Axes = int | tuple[int, ...] | None

# ---- sums of exponentials -------------------------------------------------------------------------------


def logsumexp(a: Any, axis: Axes = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Logarithm of the sum of exponentials: log sum_j b_j exp(a_j).

    Args:
        a: any shape; -inf for an element that adds nothing.
        axis: the axis or axes to sum over, by default all.
        b: factors that broadcast with ``a``; of any sign.
        keepdims: whether the summed axes stay, with length 1.
        return_sign: whether to return the pair of log abs(sum) and the sum's sign. Without it a negative sum gives NaN.

    >>> logsumexp(np.array([1000.0, 1000.0]))
    np.float64(1000.6931471805599)
    """
    a = as_array(a)
    a = a if a.dtype.kind in "fc" else a.astype(float)
    if b is None and not return_sign and a.dtype.kind == "f":
        if axis is None:
            a, axis = (a, tuple(range(a.ndim))) if keepdims else (np.reshape(a, -1), 0)
        found = functional.logsumexp(a, axis, keepdims)
        return found[()] if is_native(found) else found
    if b is not None:
        a, b = np.broadcast_arrays(a, b)
        a = np.astype(a, np.result_type(a, np.real(unwrap(b))))
        a = np.where(b == 0, -np.inf, a)  # as SciPy has it: what is multiplied by 0 may even be infinite
    data = np.real(unwrap(a))
    top = np.max(data, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(data.dtype)
    terms = np.exp(a - top)
    total = np.sum(terms if b is None else b * terms, axis=axis, keepdims=True)
    sign: Any = 1
    if return_sign:
        sign = np.where(total == 0, 0, total / np.abs(np.where(total == 0, 1, total)))
        total = np.abs(total)
    # the logarithm of an empty sum is a constant
    empty, one = total == 0, total.dtype.type(1)
    ans = np.where(empty, np.asarray(-np.inf, total.dtype), np.log(np.where(empty, one, total)) + top)
    if not keepdims:
        summed = tuple(range(ans.ndim)) if axis is None else axis
        ans, sign = np.squeeze(ans, axis=summed)[()], np.squeeze(sign, axis=summed)[()] if return_sign else sign
    return (ans, sign) if return_sign else ans


def softmax(x: Any, axis: Axes = None) -> Any:
    """Exponentials that sum to one over ``axis``: exp(x_i) / sum_j exp(x_j).

    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Axes = None) -> Any:
    """Logarithm of the softmax over ``axis``: x_i - log sum_j exp(x_j).

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return x - logsumexp(x, axis, keepdims=True)


# ---- gamma functions, Lambert's W -----------------------------------------------------------------------


def multigammaln(a: Any, d: int) -> Any:
    """Logarithm of the multivariate gamma function: d (d - 1) / 4 log(pi) + sum over j from 0 to d - 1 of gammaln(a - j / 2).

    Raises:
        ValueError: ``a`` is not above (d - 1) / 2.

    >>> multigammaln(np.array(3.0), 2)
    np.float64(1.55019...)
    """
    if somewhere(np.less_equal(unwrap(a), (d - 1) / 2)):
        raise ValueError(f"multigammaln: a must be above (d - 1) / 2 = {(d - 1) / 2:g}")
    return d * (d - 1) / 4 * float(np.log(np.pi)) + sum(sp.gammaln(a - j / 2) for j in range(d))


@primitive
def lambertw(z: Any, k: Any = 0, tol: float = 1e-8) -> Any:
    """Lambert's W, the k-th solution of w exp(w) = z; complex, as ``scipy.special.lambertw``.

    >>> lambertw(np.array([0.0, np.e])).real
    array([0., 1.])
    """
    return sp.lambertw(z, k, tol)


define_rule(lambertw, z=lambda g, ans: g * np.exp(-ans) / (1 + ans), ignores=("k", "tol"))

# ---- derivatives of Bessel functions, spherical Bessel functions ----------------------------------------


def _derivative(f: Any, name: str, of_lower: int, of_higher: int) -> Any:
    """SciPy's function for the n-th derivative of f, where 2 f_v' = of_lower f_(v - 1) + of_higher f_(v + 1)."""

    def derivative(v: Any, z: Any, n: int = 1) -> Any:
        terms = ((of_lower ** (n - k) * of_higher**k * sp.binom(n, k) / 2**n, 2 * k - n) for k in range(n + 1))
        return sum(factor * f(np.add(v, shift), z) for factor, shift in terms)

    derivative.__name__ = derivative.__qualname__ = name
    derivative.__doc__ = f"n-th derivative of ``scipy.special.{f.__name__}(v, z)`` in z."
    return derivative


jvp = _derivative(sp.jv, "jvp", 1, -1)
yvp = _derivative(sp.yv, "yvp", 1, -1)
h1vp = _derivative(sp.hankel1, "h1vp", 1, -1)
h2vp = _derivative(sp.hankel2, "h2vp", 1, -1)
ivp = _derivative(sp.iv, "ivp", 1, 1)
kvp = _derivative(sp.kv, "kvp", -1, -1)


def _spherical(f: Any, of_lower: int, of_higher: int) -> Any:
    """SciPy's function f, where (2 n + 1) f_n' = of_lower n f_(n - 1) + of_higher (n + 1) f_(n + 1)."""

    def spherical(n: Any, z: Any, derivative: bool = False) -> Any:
        return f(n, z, derivative)

    spherical.__name__ = spherical.__qualname__ = f.__name__
    spherical.__doc__ = f"Spherical Bessel function or its derivative, as ``scipy.special.{f.__name__}``."
    made = primitive(spherical)

    def slope(n: Any, z: Any, derivative: bool) -> Any:
        """The derivative of f, or of f'."""
        if not derivative:
            return made(n, z, True)
        n = np.asarray(n)
        lower = made(np.maximum(n - 1, 0), z, True)  # for n = 0 its factor is 0
        return (of_lower * n * lower + of_higher * (n + 1) * made(n + 1, z, True)) / (2 * n + 1)

    define_rule(made, z=lambda g, n, z, derivative: g * slope(n, z, derivative))
    return made


spherical_jn = _spherical(sp.spherical_jn, 1, -1)
spherical_yn = _spherical(sp.spherical_yn, 1, -1)
spherical_in = _spherical(sp.spherical_in, 1, 1)
spherical_kn = _spherical(sp.spherical_kn, -1, -1)
