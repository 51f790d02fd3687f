"""The ufuncs of scipy.special; imported when one of them first meets a Variable.

The derivatives are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov. Where the textbook's
form divides 0 by 0 (ellipk at 0, spence at 1), it is written as the hypergeometric function that it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from ..dispatch import NO_GRADIENT, RULES, define_rule, elementwise, primitive

_users = dict(RULES)  # rules that stand already are someone's own, and stay

_PI = float(np.pi)
_ROOT_PI = float(np.sqrt(np.pi))
_ROOT_2PI = float(np.sqrt(2 * np.pi))
_DEGREE = _PI / 180

NO_GRADIENT |= {sp.gammasgn, sp.round}


def _but(condition: Any, value: float, x: Any) -> Any:
    """``x``, but ``value`` where the condition holds: what is then computed of it is finite there."""
    return np.where(condition, np.asarray(value, getattr(x, "dtype", float)), x)


# ---- gamma and beta functions ---------------------------------------------------------------------------


@primitive
def polygamma(n: Any, x: Any) -> Any:
    """n-th derivative of the digamma function, as ``scipy.special.polygamma``.

    >>> import numpy as np
    >>> polygamma(1, np.array([1.0, 2.0]))
    array([1.64493407, 0.64493407])
    """
    return sp.polygamma(n, x)


@primitive
def zeta(x: Any, q: Any = None) -> Any:
    """Riemann's or Hurwitz's zeta function, sum over k >= 0 of (k + q)^(-x), as ``scipy.special.zeta``.

    It is differentiable in q.

    >>> import numpy as np
    >>> zeta(2.0, np.array([1.0, 2.0]))
    array([1.64493407, 0.64493407])
    """
    return sp.zeta(x, q)


def _rgamma(g: Any, x: Any) -> Any:
    """-psi(x) / gamma(x); left of 1/2 by reflection, so that it is right at the poles of both too."""
    left = np.real(x) < 0.5
    a, b = _but(~left, 0, x), _but(left, 1, x)
    reflected = sp.gamma(1 - a) * (np.cos(_PI * a) - sp.psi(1 - a) * np.sin(_PI * a) / _PI)
    return g * np.where(left, reflected, -sp.rgamma(b) * sp.psi(b))


define_rule(polygamma, x=lambda g, n, x: g * polygamma(np.add(n, 1), x))
define_rule(zeta, q=lambda g, x, q: -g * x * zeta(np.add(x, 1), q))
elementwise(sp.gamma, lambda g, ans, x: g * ans * sp.psi(x))
elementwise(sp.gammaln, lambda g, x: g * sp.psi(x))
elementwise(sp.loggamma, lambda g, x: g * sp.psi(x))
elementwise(sp.rgamma, _rgamma)
elementwise(sp.psi, lambda g, x: g * polygamma(1, x))
elementwise(
    sp.beta,
    lambda g, ans, x, y: g * ans * (sp.psi(x) - sp.psi(x + y)),
    lambda g, ans, x, y: g * ans * (sp.psi(y) - sp.psi(x + y)),
)
elementwise(sp.betaln, lambda g, x, y: g * (sp.psi(x) - sp.psi(x + y)), lambda g, x, y: g * (sp.psi(y) - sp.psi(x + y)))
elementwise(
    sp.binom,
    lambda g, ans, x, y: g * ans * (sp.psi(x + 1) - sp.psi(x - y + 1)),
    lambda g, ans, x, y: g * ans * (sp.psi(x - y + 1) - sp.psi(y + 1)),
)
elementwise(
    sp.poch,
    lambda g, ans, x, y: g * ans * (sp.psi(x + y) - sp.psi(x)),
    lambda g, ans, x, y: g * ans * sp.psi(x + y),
)

# ---- distribution functions: the derivative is the density, and one over it for the inverse -------------------------------


def gamma_density(a: Any, x: Any) -> Any:
    """The density of the gamma distribution of shape a."""
    return np.exp(sp.xlogy(np.subtract(a, 1), x) - x - sp.gammaln(a))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """The density of the beta distribution."""
    return np.exp(sp.xlogy(np.subtract(a, 1), x) + sp.xlog1py(np.subtract(b, 1), -x) - sp.betaln(a, b))


def f_density(m: Any, n: Any, x: Any) -> Any:
    """The density of the F distribution with m and n degrees of freedom."""
    return beta_density(np.divide(m, 2), np.divide(n, 2), m * x / (n + m * x)) * m * n / np.square(n + m * x)


def t_density(df: Any, x: Any) -> Any:
    """The density of Student's t distribution."""
    half = np.divide(df, 2)
    return np.exp(sp.xlog1py(-half - 0.5, x * x / df) - sp.betaln(half, 0.5)) / np.sqrt(df)


def normal_density(x: Any) -> Any:
    """The density of the standard normal distribution."""
    return np.exp(-0.5 * x * x) / _ROOT_2PI


def _noncentral_chi2_density(x: Any, df: Any, nc: Any) -> Any:
    half = np.divide(df, 2)
    return 0.5 * np.exp(sp.xlogy(half - 1, x / 2) - (x + nc) / 2 - sp.gammaln(half)) * sp.hyp0f1(half, x * nc / 4)


def _noncentral_chi2_shift(x: Any, df: Any, nc: Any) -> Any:
    """The derivative of the distribution function in the noncentrality."""
    return 0.5 * (sp.chndtr(x, np.add(df, 2), nc) - sp.chndtr(x, df, nc))


def _binomial_density(k: Any, n: Any, p: Any) -> Any:
    return beta_density(np.floor(k) + 1, n - np.floor(k), p)


def _negative_binomial_density(k: Any, n: Any, p: Any) -> Any:
    return beta_density(n, np.add(k, 1), p)


def _poisson_density(k: Any, m: Any) -> Any:
    return gamma_density(np.floor(k) + 1, m)


def _chi2_density(v: Any, x: Any) -> Any:
    return 0.5 * gamma_density(np.divide(v, 2), x / 2)


# each with the sign of its slope, then the inverses
for _f, _s, _d in ((sp.gammainc, 1, gamma_density), (sp.gammaincc, -1, gamma_density), (sp.chdtr, 1, _chi2_density),
                   (sp.chdtrc, -1, _chi2_density), (sp.pdtr, -1, _poisson_density), (sp.pdtrc, 1, _poisson_density),
                   (sp.stdtr, 1, t_density)):  # fmt: skip
    define_rule(_f, signature=lambda a, x: None, x=lambda g, a, x, *, d=_d, s=_s: s * g * d(a, x))
for _f, _s, _d in ((sp.gammaincinv, 1, gamma_density), (sp.gammainccinv, -1, gamma_density), (sp.chdtri, -1, _chi2_density),
                   (sp.pdtri, -1, _poisson_density), (sp.stdtrit, 1, t_density)):  # fmt: skip
    define_rule(_f, signature=lambda a, y: None, y=lambda g, ans, a, *, d=_d, s=_s: s * g / d(a, ans))
for _f, _s, _d3 in ((sp.betainc, 1, beta_density), (sp.betaincc, -1, beta_density), (sp.fdtr, 1, f_density),
                   (sp.fdtrc, -1, f_density), (sp.bdtr, -1, _binomial_density), (sp.bdtrc, 1, _binomial_density),
                   (sp.nbdtr, 1, _negative_binomial_density), (sp.nbdtrc, -1, _negative_binomial_density)):  # fmt: skip
    define_rule(_f, signature=lambda a, b, x: None, x=lambda g, a, b, x, *, d=_d3, s=_s: s * g * d(a, b, x))
for _f, _s, _d3 in ((sp.betaincinv, 1, beta_density), (sp.betainccinv, -1, beta_density), (sp.fdtri, 1, f_density),
                   (sp.bdtri, -1, _binomial_density), (sp.nbdtri, 1, _negative_binomial_density)):  # fmt: skip
    define_rule(_f, signature=lambda a, b, y: None, y=lambda g, ans, a, b, *, d=_d3, s=_s: s * g / d(a, b, ans))
for _f, _s in ((sp.gdtr, 1), (sp.gdtrc, -1)):
    define_rule(
        _f,
        signature=lambda a, b, x: None,
        a=lambda g, a, b, x, *, s=_s: s * g * x * gamma_density(b, a * x),
        x=lambda g, a, b, x, *, s=_s: s * g * a * gamma_density(b, a * x),
    )
define_rule(
    sp.gdtrix,
    signature=lambda a, b, p: None,
    a=lambda g, ans, a: -g * ans / a,
    p=lambda g, ans, a, b: g / (a * gamma_density(b, a * ans)),
)
define_rule(
    sp.gdtria,
    signature=lambda p, b, x: None,
    p=lambda g, ans, b, x: g / (x * gamma_density(b, x * ans)),
    x=lambda g, ans, x: -g * ans / x,
)
define_rule(sp.fdtr, signature=lambda dfn, dfd, x: None, x=lambda g, dfn, dfd, x: g * f_density(dfn, dfd, x))
define_rule(sp.fdtrc, signature=lambda dfn, dfd, x: None, x=lambda g, dfn, dfd, x: -g * f_density(dfn, dfd, x))
define_rule(sp.fdtri, signature=lambda dfn, dfd, p: None, p=lambda g, ans, dfn, dfd: g / f_density(dfn, dfd, ans))
define_rule(
    sp.chndtr,
    signature=lambda x, df, nc: None,
    x=lambda g, x, df, nc: g * _noncentral_chi2_density(x, df, nc),
    nc=lambda g, x, df, nc: g * _noncentral_chi2_shift(x, df, nc),
)
define_rule(
    sp.chndtrix,
    signature=lambda p, df, nc: None,
    p=lambda g, ans, df, nc: g / _noncentral_chi2_density(ans, df, nc),
    nc=lambda g, ans, df, nc: -g * _noncentral_chi2_shift(ans, df, nc) / _noncentral_chi2_density(ans, df, nc),
)
define_rule(
    sp.tklmbda,
    signature=lambda x, lmbda: None,
    x=lambda g, ans, lmbda: g / (np.power(ans, np.subtract(lmbda, 1)) + np.power(1 - ans, np.subtract(lmbda, 1))),
)

# ---- the normal distribution and the error function -----------------------------------------------------


@primitive
def _inverse_mills(x: Any) -> Any:
    """The normal density over the normal distribution function, also where both underflow."""
    return np.sqrt(2 / _PI).astype(x.dtype) / sp.erfcx(-x * np.sqrt(0.5).astype(x.dtype))


define_rule(_inverse_mills, x=lambda g, ans, x: -g * ans * (x + ans))
elementwise(sp.ndtr, lambda g, x: g * normal_density(x))
elementwise(sp.log_ndtr, lambda g, x: g * _inverse_mills(x))
elementwise(sp.ndtri, lambda g, ans: g / normal_density(ans))
elementwise(sp.ndtri_exp, lambda g, ans: g / _inverse_mills(ans))
elementwise(sp.erf, lambda g, x: g * (2 / _ROOT_PI) * np.exp(-x * x))
elementwise(sp.erfc, lambda g, x: g * (-2 / _ROOT_PI) * np.exp(-x * x))
elementwise(sp.erfi, lambda g, x: g * (2 / _ROOT_PI) * np.exp(x * x))
elementwise(sp.erfcx, lambda g, ans, x: g * (2 * x * ans - 2 / _ROOT_PI))
elementwise(sp.erfinv, lambda g, ans: g * (_ROOT_PI / 2) * np.exp(ans * ans))
elementwise(sp.erfcinv, lambda g, ans: g * (-_ROOT_PI / 2) * np.exp(ans * ans))
elementwise(sp.dawsn, lambda g, ans, x: g * (1 - 2 * x * ans))
elementwise(sp.wofz, lambda g, ans, x: g * (2j / _ROOT_PI - 2 * x * ans))
elementwise(
    sp.owens_t,
    lambda g, x, y: -0.5 * g * normal_density(x) * sp.erf(x * y / np.sqrt(2)),
    lambda g, x, y: g * np.exp(-0.5 * x * x * (1 + y * y)) / (2 * _PI * (1 + y * y)),
)
elementwise(
    sp.nrdtrimn,
    lambda g, ans, x, y, z: -g * y / normal_density((z - ans) / y),
    lambda g, x: -g * sp.ndtri(x),
    lambda g: g,
)
elementwise(
    sp.nrdtrisd,
    lambda g, y: -g / sp.ndtri(y),
    lambda g, ans, y: -g * ans / (sp.ndtri(y) * normal_density(sp.ndtri(y))),
    lambda g, y: g / sp.ndtri(y),
)


def _voigt(part: Any) -> Any:
    """Re of ``part(w'(z), z)`` over 2 sigma^2 sqrt(pi), where the profile is Re w(z), z = (x + i gamma) / (sigma sqrt(2))."""

    def slope(x: Any, sigma: Any, gamma: Any) -> Any:
        z = (x + np.multiply(1j, gamma)) / (np.sqrt(2) * sigma)
        return np.real(part(2j / _ROOT_PI - 2 * z * sp.wofz(z), z)) / (2 * np.square(sigma) * _ROOT_PI)

    return slope


elementwise(
    sp.voigt_profile,
    lambda g, x, y, z: g * _voigt(lambda slope, _: slope)(x, y, z),
    lambda g, ans, x, y, z: -g * (ans / y + _voigt(lambda slope, u: np.sqrt(2) * u * slope)(x, y, z)),
    lambda g, x, y, z: g * _voigt(lambda slope, _: 1j * slope)(x, y, z),
)

# ---- logistic functions, logarithms, entropies ----------------------------------------------------------

elementwise(sp.expit, lambda g, ans, x: g * ans * sp.expit(-x))
elementwise(sp.log_expit, lambda g, x: g * sp.expit(-x))
elementwise(sp.logit, lambda g, x: g / (x * (1 - x)))
elementwise(sp.exp2, lambda g, ans: g * ans * float(np.log(2)))
elementwise(sp.exp10, lambda g, ans: g * ans * float(np.log(10)))
elementwise(sp.expm1, lambda g, ans: g * (ans + 1))
elementwise(sp.log1p, lambda g, x: g / (1 + x))
elementwise(sp.cbrt, lambda g, ans: g / (3 * ans * ans))
elementwise(sp.powm1, lambda g, x, y: g * y * np.power(x, y - 1), lambda g, ans, x: g * (ans + 1) * np.log(x))


def _ratio(x: Any, y: Any) -> Any:
    """X / y, and 0 where x = 0."""
    return x / _but(x == 0, 1, y)


def _log_ratio(g: Any, x: Any, y: Any) -> Any:
    """G log(x / y), taken to be 0 where both are 0, as it is on the line x = y."""
    both = (x == 0) & (y == 0)
    return sp.xlogy(g, _but(both, 1, x)) - sp.xlogy(g, _but(both, 1, y))


# the gradient in x is taken to be 0 where the function is 0 by definition and not by continuity
elementwise(sp.xlogy, lambda g, x, y: sp.xlogy(g, _but((x == 0) & (y == 0), 1, y)), lambda g, x, y: g * _ratio(x, y))
elementwise(sp.xlog1py, lambda g, x, y: sp.xlog1py(g, _but((x == 0) & (y == -1), 0, y)), lambda g, x, y: g * _ratio(x, 1 + y))
elementwise(sp.entr, lambda g, x: -sp.xlogy(g, x) - g)
elementwise(sp.rel_entr, lambda g, x, y: _log_ratio(g, x, y) + g, lambda g, x, y: -g * _ratio(x, y))
elementwise(sp.kl_div, _log_ratio, lambda g, x, y: g * (1 - _ratio(x, y)))

# ---- robust losses and power transforms -----------------------------------------------------------------

elementwise(sp.huber, lambda g, x, y: g * np.maximum(np.abs(y) - x, 0), lambda g, x, y: g * np.clip(y, -x, x))


def _pseudo_huber(x: Any, y: Any) -> tuple[Any, Any]:
    """The derivatives of x (sqrt(x^2 + y^2) - x), which is the pseudo-Huber loss, also at 0."""
    h = np.hypot(x, y)
    nonzero = _but(h == 0, 1, h)
    return 2 * (h - x) - y * y / nonzero, x * y / nonzero


elementwise(sp.pseudo_huber, lambda g, x, y: g * _pseudo_huber(x, y)[0], lambda g, x, y: g * _pseudo_huber(x, y)[1])


def _box_cox(log: Any, lmbda: Any) -> Any:
    """The derivative of (exp(lmbda log) - 1) / lmbda in lmbda, also at 0."""
    return 0.5 * np.square(log) * sp.hyp1f1(2.0, 3.0, lmbda * log)


def _inverse_box_cox(y: Any, lmbda: Any) -> Any:
    """The derivative of log(1 + lmbda y) / lmbda in lmbda, also at 0."""
    return -0.5 * np.square(y) * sp.hyp2f1(2.0, 2.0, 3.0, -lmbda * y)


elementwise(sp.boxcox, lambda g, x, y: g * np.power(x, y - 1), lambda g, x, y: g * _box_cox(np.log(x), y))
elementwise(sp.boxcox1p, lambda g, x, y: g * np.power(1 + x, y - 1), lambda g, x, y: g * _box_cox(np.log1p(x), y))
elementwise(
    sp.inv_boxcox,
    lambda g, ans, y: g * np.power(ans, 1 - y),
    lambda g, ans, x, y: g * ans * _inverse_box_cox(x, y),
)
elementwise(
    sp.inv_boxcox1p,
    lambda g, ans, y: g * np.power(1 + ans, 1 - y),
    lambda g, ans, x, y: g * (1 + ans) * _inverse_box_cox(x, y),
)

# ---- Bessel functions -----------------------------------------------------------------------------------


def _half_difference(f: Any, v: Any, z: Any) -> Any:
    return (f(np.subtract(v, 1), z) - f(np.add(v, 1), z)) / 2


def _half_sum(f: Any, v: Any, z: Any) -> Any:
    return (f(np.subtract(v, 1), z) + f(np.add(v, 1), z)) / 2


def _order(f: Any, z: Any) -> None:
    define_rule(f, signature=lambda v, z: None, z=z)


for _f in (sp.jv, sp.yv, sp.yn, sp.hankel1, sp.hankel2):
    _order(_f, lambda g, v, z, *, f=_f: g * _half_difference(f, v, z))
_order(sp.iv, lambda g, v, z: g * _half_sum(sp.iv, v, z))
_order(sp.kv, lambda g, v, z: -g * _half_sum(sp.kv, v, z))
_order(sp.kn, lambda g, v, z: -g * _half_sum(sp.kv, v, z))
_order(sp.kve, lambda g, ans, v, z: g * (ans - _half_sum(sp.kve, v, z)))
_order(sp.hankel1e, lambda g, ans, v, z: g * (_half_difference(sp.hankel1e, v, z) - 1j * ans))
_order(sp.hankel2e, lambda g, ans, v, z: g * (_half_difference(sp.hankel2e, v, z) + 1j * ans))


def _scaled_by_imaginary_part(g: Any, ans: Any, z: Any) -> Any:
    """The gradient through the factor exp(-abs(Im z)), which is not holomorphic."""
    return 1j * np.sign(np.imag(z)) * np.real(g * ans) if np.iscomplexobj(ans) else g * 0


for _f in (sp.jve, sp.yve):
    _order(_f, lambda g, ans, v, z, *, f=_f: g * _half_difference(f, v, z) + _scaled_by_imaginary_part(g, ans, z))
_order(sp.ive, lambda g, ans, v, z: g * _half_sum(sp.ive, v, z) - np.sign(np.real(z)) * np.real(g * ans))
elementwise(sp.j0, lambda g, x: -g * sp.j1(x))
elementwise(sp.j1, lambda g, x: g * _half_difference(sp.jv, 1, x))
elementwise(sp.y0, lambda g, x: -g * sp.y1(x))
elementwise(sp.y1, lambda g, x: g * _half_difference(sp.yv, 1, x))
elementwise(sp.i0, lambda g, x: g * sp.i1(x))
elementwise(sp.i1, lambda g, x: g * _half_sum(sp.iv, 1, x))
elementwise(sp.i0e, lambda g, ans, x: g * (sp.i1e(x) - np.sign(x) * ans))
elementwise(sp.i1e, lambda g, ans, x: g * (_half_sum(sp.ive, 1, x) - np.sign(x) * ans))
elementwise(sp.k0, lambda g, x: -g * sp.k1(x))
elementwise(sp.k1, lambda g, x: -g * _half_sum(sp.kv, 1, x))
elementwise(sp.k0e, lambda g, ans, x: g * (ans - sp.k1e(x)))
elementwise(sp.k1e, lambda g, ans, x: g * (ans - _half_sum(sp.kve, 1, x)))


def _struve_term(v: Any, x: Any) -> Any:
    return np.power(x / 2, v) * sp.rgamma(np.add(v, 1.5)) / (2 * _ROOT_PI)


_order(sp.struve, lambda g, v, z: g * (_half_difference(sp.struve, v, z) + _struve_term(v, z)))
_order(sp.modstruve, lambda g, v, z: g * (_half_sum(sp.modstruve, v, z) + _struve_term(v, z)))
elementwise(sp.itstruve0, lambda g, x: g * sp.struve(0.0, x))
elementwise(sp.it2struve0, lambda g, x: -g * sp.struve(0.0, x) / x)
elementwise(sp.itmodstruve0, lambda g, x: g * sp.modstruve(0.0, x))
elementwise(sp.itj0y0, lambda g, x: g[0] * sp.j0(x) + g[1] * sp.y0(x))
elementwise(sp.iti0k0, lambda g, x: g[0] * sp.i0(x) + g[1] * sp.k0(x))
elementwise(sp.it2j0y0, lambda g, x: (g[0] * (1 - sp.j0(x)) - g[1] * sp.y0(x)) / x)
elementwise(sp.it2i0k0, lambda g, x: (g[0] * (sp.i0(x) - 1) - g[1] * sp.k0(x)) / x)
define_rule(
    sp.besselpoly,
    signature=lambda a, lmb, nu: None,
    a=lambda g, a, lmb, nu: g * 2 * _half_difference(lambda v, z: sp.besselpoly(z, np.add(lmb, 1), v), nu, a),
)
define_rule(
    sp.wright_bessel,
    signature=lambda a, b, x: None,
    x=lambda g, a, b, x: g * sp.wright_bessel(a, np.add(a, b), x),
)
if hasattr(sp, "log_wright_bessel"):  # SciPy 1.14
    define_rule(
        sp.log_wright_bessel,
        signature=lambda a, b, x: None,
        x=lambda g, ans, a, b, x: g * np.exp(sp.log_wright_bessel(a, np.add(a, b), x) - ans),
    )

# ---- Kelvin functions -----------------------------------------------------------------------------------

elementwise(sp.ber, lambda g, x: g * sp.berp(x))
elementwise(sp.bei, lambda g, x: g * sp.beip(x))
elementwise(sp.ker, lambda g, x: g * sp.kerp(x))
elementwise(sp.kei, lambda g, x: g * sp.keip(x))
elementwise(sp.berp, lambda g, ans, x: -g * (sp.bei(x) + ans / x))
elementwise(sp.beip, lambda g, ans, x: g * (sp.ber(x) - ans / x))
elementwise(sp.kerp, lambda g, ans, x: -g * (sp.kei(x) + ans / x))
elementwise(sp.keip, lambda g, ans, x: g * (sp.ker(x) - ans / x))
elementwise(
    sp.kelvin,
    lambda g, ans, x: g[0] * ans[2] + g[1] * ans[3] + g[2] * (1j * ans[0] - ans[2] / x) + g[3] * (1j * ans[1] - ans[3] / x),
)

# ---- Airy functions, and others that come with their derivatives: these satisfy y'' = c y -------------------------------

elementwise(sp.airy, lambda g, ans, x: g[0] * ans[1] + g[1] * x * ans[0] + g[2] * ans[3] + g[3] * x * ans[2])
elementwise(
    sp.itairy,
    lambda g, x: g[0] * sp.airy(x)[0] + g[1] * sp.airy(x)[2] + g[2] * sp.airy(-x)[0] + g[3] * sp.airy(-x)[2],
)


def _airye(g: Any, ans: Any, x: Any) -> Any:
    """Through Ai exp(zeta) and Bi exp(-abs(Re zeta)), zeta = 2/3 x^(3/2)."""
    root = np.sqrt(x if np.iscomplexobj(x) else np.maximum(x, 0))
    unscaled = g[0] * ans[1] + g[1] * x * ans[0] + g[2] * ans[3] + g[3] * x * ans[2]
    real = np.sign(np.real(x * root)) * np.real(g[2] * ans[2] + g[3] * ans[3])
    return unscaled + root * (g[0] * ans[0] + g[1] * ans[1] - real)


elementwise(sp.airye, _airye)


def _oscillating(g: Any, ans: Any, c: Any) -> Any:
    return g[0] * ans[1] + g[1] * c * ans[0]


for _f in (sp.pbdv, sp.pbvv):
    _order(_f, lambda g, ans, v, z: _oscillating(g, ans, z * z / 4 - v - 0.5))
define_rule(sp.pbwa, signature=lambda a, x: None, x=lambda g, ans, a, x: _oscillating(g, ans, a - x * x / 4))

# ---- exponential integrals and their relatives ----------------------------------------------------------


def _expn(g: Any, n: Any, x: Any) -> Any:
    """-E_(n-1)(x); SciPy has none of negative order."""
    zeroth = np.equal(n, 0)
    y = _but(~zeroth, 1, x)
    return -g * np.where(zeroth, np.exp(-y) * (1 + y) / (y * y), sp.expn(np.where(zeroth, 0, np.subtract(n, 1)), x))


def _sinc(x: Any) -> Any:
    """sin(x) / x, and its derivatives at 0 too."""
    return sp.hyp0f1(1.5, -x * x / 4)


def _log_ratio_at_1(x: Any) -> Any:
    """log(x) / (x - 1), and its derivatives at 1 too."""
    return sp.hyp2f1(1.0, 1.0, 2.0, 1 - x)


define_rule(sp.expn, signature=lambda n, x: None, x=_expn)
elementwise(sp.exp1, lambda g, x: -g * np.exp(-x) / x)
elementwise(sp.expi, lambda g, x: g * np.exp(x) / x)
elementwise(sp.exprel, lambda g, x: 0.5 * g * sp.hyp1f1(2.0, 3.0, x))
elementwise(sp.spence, lambda g, x: -g * _log_ratio_at_1(x))
elementwise(sp.sici, lambda g, x: g[0] * _sinc(x) + g[1] * np.cos(x) / x)
elementwise(sp.shichi, lambda g, x: g[0] * sp.hyp0f1(1.5, x * x / 4) + g[1] * np.cosh(x) / x)
elementwise(sp.fresnel, lambda g, x: g[0] * np.sin(_PI / 2 * x * x) + g[1] * np.cos(_PI / 2 * x * x))
for _f, _i in ((sp.modfresnelp, 1j), (sp.modfresnelm, -1j)):
    elementwise(
        _f,
        lambda g, ans, x, *, _i=_i: (
            -g[0] * np.exp(_i * x * x) - g[1] * (2 * _i * x * ans[1] + np.exp(-_i * _PI / 4) / _ROOT_PI)
        ),
    )
elementwise(sp.wrightomega, lambda g, ans: g * ans / (1 + ans))

# ---- trigonometry in degrees ----------------------------------------------------------------------------

elementwise(sp.sindg, lambda g, x: g * _DEGREE * sp.cosdg(x))
elementwise(sp.cosdg, lambda g, x: -g * _DEGREE * sp.sindg(x))
elementwise(sp.tandg, lambda g, ans: g * _DEGREE * (1 + ans * ans))
elementwise(sp.cotdg, lambda g, ans: -g * _DEGREE * (1 + ans * ans))
elementwise(sp.radian, lambda g: g * _DEGREE, lambda g: g * (_DEGREE / 60), lambda g: g * (_DEGREE / 3600))
elementwise(sp.cosm1, lambda g, x: -g * np.sin(x))

# ---- hypergeometric functions ---------------------------------------------------------------------------

define_rule(sp.hyp0f1, signature=lambda v, z: None, z=lambda g, v, z: g * sp.hyp0f1(np.add(v, 1), z) / v)
define_rule(
    sp.hyp1f1,
    signature=lambda a, b, z: None,
    z=lambda g, a, b, z: g * np.divide(a, b) * sp.hyp1f1(np.add(a, 1), np.add(b, 1), z),
)
define_rule(
    sp.hyp2f1,
    signature=lambda a, b, c, z: None,
    z=lambda g, a, b, c, z: g * np.divide(np.multiply(a, b), c) * sp.hyp2f1(np.add(a, 1), np.add(b, 1), np.add(c, 1), z),
)
define_rule(sp.hyperu, signature=lambda a, b, x: None, x=lambda g, a, b, x: -g * a * sp.hyperu(np.add(a, 1), np.add(b, 1), x))

# ---- elliptic integrals and functions -------------------------------------------------------------------


def _ellipk(m: Any) -> Any:
    """K'(m)."""
    return _PI / 8 * sp.hyp2f1(0.5, 0.5, 2.0, m) / (1 - m)


def _incomplete(phi: Any, m: Any) -> tuple[Any, Any]:
    """The derivatives of F(phi, m) and E(phi, m) in m, where m is small by their series: the exact ones divide by m."""
    small, root = np.abs(m) < 1e-5, np.sqrt(1 - m * np.square(np.sin(phi)))
    squares, fourths = (2 * phi - np.sin(2 * phi)) / 4, (12 * phi - 8 * np.sin(2 * phi) + np.sin(4 * phi)) / 32
    k = _but(small, 0.5, m)
    first, second = sp.ellipkinc(phi, k), sp.ellipeinc(phi, k)
    return (
        np.where(
            small,
            squares / 2 + 0.75 * m * fourths,
            (second / (1 - k) - first) / (2 * k) - np.sin(2 * phi) / (4 * (1 - k) * _but(small, 1, root)),
        ),
        np.where(small, -squares / 2 - 0.25 * m * fourths, (second - first) / (2 * k)),
    )


def _ellipj_m(g: Any, ans: Any, y: Any) -> Any:
    """Through the amplitude phi, for which F(phi, m) = u."""
    sn, cn, dn, phi = ans
    slope = -dn * _incomplete(phi, y)[0]
    return (g[0] * cn - g[1] * sn + g[3]) * slope - g[2] * (sn * sn + 2 * y * sn * cn * slope) / (2 * dn)


elementwise(sp.ellipk, lambda g, x: g * _ellipk(x))
elementwise(sp.ellipkm1, lambda g, x: -g * (_PI / 8) * sp.hyp2f1(0.5, 0.5, 2.0, 1 - x) / x)
elementwise(sp.ellipe, lambda g, x: -g * (_PI / 8) * sp.hyp2f1(0.5, 1.5, 2.0, x))
elementwise(
    sp.ellipkinc,
    lambda g, x, y: g / np.sqrt(1 - y * np.square(np.sin(x))),
    lambda g, x, y: g * _incomplete(x, y)[0],
)
elementwise(
    sp.ellipeinc,
    lambda g, x, y: g * np.sqrt(1 - y * np.square(np.sin(x))),
    lambda g, x, y: g * _incomplete(x, y)[1],
)
elementwise(
    sp.ellipj,
    lambda g, ans, y: g[0] * ans[1] * ans[2] - g[1] * ans[0] * ans[2] - g[2] * y * ans[0] * ans[1] + g[3] * ans[2],
    _ellipj_m,
)


def _agm(ans: Any, x: Any, y: Any) -> Any:
    """The derivative of the arithmetic-geometric mean in y."""
    return 4 / _PI * y * ans * ans * _ellipk(1 - np.square(y / x)) / (x * x * x)


elementwise(sp.agm, lambda g, ans, x, y: g * _agm(ans, y, x), lambda g, ans, x, y: g * _agm(ans, x, y))


def _elliprd(x: Any, y: Any, z: Any) -> Any:
    """The derivative of R_D(x, y, z) in x, where x != z."""
    return (sp.elliprd(z, y, x) - sp.elliprd(x, y, z)) / (2 * (x - z))


def _elliprc(x: Any, y: Any) -> Any:
    """The derivative of R_C(x, y) in x."""
    return -sp.hyp2f1(1.5, 1.5, 2.5, 1 - x / y) / (6 * y * np.sqrt(y))


elementwise(
    sp.elliprc,
    lambda g, x, y: g * _elliprc(x, y),
    lambda g, ans, x, y: -g * (ans / 2 + x * _elliprc(x, y)) / y,  # by homogeneity
)
elementwise(
    sp.elliprf,
    lambda g, x, y, z: -g / 6 * sp.elliprd(y, z, x),
    lambda g, x, y, z: -g / 6 * sp.elliprd(x, z, y),
    lambda g, x, y, z: -g / 6 * sp.elliprd(x, y, z),
)
elementwise(
    sp.elliprg,
    lambda g, x, y, z: g / 4 * (sp.elliprf(x, y, z) - x / 3 * sp.elliprd(y, z, x)),
    lambda g, x, y, z: g / 4 * (sp.elliprf(x, y, z) - y / 3 * sp.elliprd(x, z, y)),
    lambda g, x, y, z: g / 4 * (sp.elliprf(x, y, z) - z / 3 * sp.elliprd(x, y, z)),
)
elementwise(
    sp.elliprd,
    lambda g, x, y, z: g * _elliprd(x, y, z),
    lambda g, x, y, z: g * _elliprd(y, x, z),
    lambda g, ans, x, y, z: -g * (1.5 * ans + x * _elliprd(x, y, z) + y * _elliprd(y, x, z)) / z,
)


def _elliprj(ans: Any, x: Any, y: Any, z: Any, p: Any) -> Any:
    """The derivative of R_J(x, y, z, p) in x, where x != p."""
    return (ans - sp.elliprd(y, z, x)) / (2 * (p - x))


elementwise(
    sp.elliprj,
    lambda g, ans, x, y, z, w: g * _elliprj(ans, x, y, z, w),
    lambda g, ans, x, y, z, w: g * _elliprj(ans, y, x, z, w),
    lambda g, ans, x, y, z, w: g * _elliprj(ans, z, x, y, w),
    lambda g, ans, x, y, z, w: (  # by homogeneity
        -g * (1.5 * ans + x * _elliprj(ans, x, y, z, w) + y * _elliprj(ans, y, x, z, w) + z * _elliprj(ans, z, x, y, w)) / w
    ),
)

# ---- solutions of differential equations of second order, given with their first derivative -----------------------------


def _mathieu(f: Any, characteristic: Any, modified: bool) -> None:
    """Mathieu's equation, y'' = (2q cos 2x - a) y, x in degrees; the modified one is y'' = (a - 2q cosh 2x) y."""

    def x_gradient(g: Any, ans: Any, m: Any, q: Any, x: Any) -> Any:
        a, unit = characteristic(m, q), 1.0 if modified else _DEGREE
        factor = a - 2 * q * np.cosh(2 * x) if modified else 2 * q * np.cos(2 * _DEGREE * x) - a
        return (g[0] * ans[1] + g[1] * factor * ans[0]) * unit

    define_rule(f, signature=lambda m, q, x: None, x=x_gradient)


_mathieu(sp.mathieu_cem, sp.mathieu_a, False)
_mathieu(sp.mathieu_sem, sp.mathieu_b, False)
for _f, _characteristic in ((sp.mathieu_modcem1, sp.mathieu_a), (sp.mathieu_modcem2, sp.mathieu_a),
                            (sp.mathieu_modsem1, sp.mathieu_b), (sp.mathieu_modsem2, sp.mathieu_b)):  # fmt: skip
    _mathieu(_f, _characteristic, True)


def _spheroidal(name: str, sign: int, characteristic: Any, radial: bool) -> None:
    """(1 - s x²) y'' = 2 s x y' - s (λ - s c² x² - m² / (1 - s x²)) y, where s = 1 but for oblate radial functions, of x² + 1.

    λ is the characteristic value, which ``name`` computes and ``name_cv`` is given.
    """

    def second(y: Any, dy: Any, m: Any, c: Any, cv: Any, x: Any) -> Any:
        if radial and sign < 0:
            return (-2 * x * dy + (cv - c * c * x * x - m * m / (x * x + 1)) * y) / (x * x + 1)
        return (2 * x * dy - (cv - sign * c * c * x * x - m * m / (1 - x * x)) * y) / (1 - x * x)

    define_rule(
        getattr(sp, name),
        signature=lambda m, n, c, x: None,
        x=lambda g, ans, m, n, c, x: g[0] * ans[1] + g[1] * second(ans[0], ans[1], m, c, characteristic(m, n, c), x),
        ignores=("n",),
    )
    define_rule(
        getattr(sp, name + "_cv"),
        signature=lambda m, n, c, cv, x: None,
        x=lambda g, ans, m, n, c, cv, x: g[0] * ans[1] + g[1] * second(ans[0], ans[1], m, c, cv, x),
        ignores=("n",),
    )


for _name, _sign, _characteristic in (("pro", 1, sp.pro_cv), ("obl", -1, sp.obl_cv)):
    _spheroidal(_name + "_ang1", _sign, _characteristic, False)
    _spheroidal(_name + "_rad1", _sign, _characteristic, True)
    _spheroidal(_name + "_rad2", _sign, _characteristic, True)

# ---- Kolmogorov's distribution --------------------------------------------------------------------------


def _kolmogorov_density(x: Any) -> Any:
    """8x Σ (-1)^(k-1) k² exp(-2 k² x²), minus the derivative of what is above x."""
    k = np.arange(1.0, 41.0)
    squares = k * k
    x = np.expand_dims(x, -1)
    return np.sum(8 * x * (np.where(k % 2 == 0, -1.0, 1.0) * squares) * np.exp(-2 * squares * x * x), axis=-1)


elementwise(sp.kolmogorov, lambda g, x: -g * _kolmogorov_density(x))
elementwise(sp.kolmogi, lambda g, ans: -g / _kolmogorov_density(ans))

# ---- orthogonal polynomials: a derivative is a polynomial of the degree below -----------------------------------------


def _below(n: Any) -> Any:
    """The degree below n; of a constant, whose derivative is 0, another constant's."""
    return np.where(np.equal(n, 0), 0, np.subtract(n, 1))


def _degree(f: Any, x: Any) -> None:
    define_rule(f, signature=lambda n, x: None, x=x)


def _legendre(n: Any, x: Any) -> Any:
    return np.not_equal(n, 0) * np.add(n, 1) * sp.eval_jacobi(_below(n), 1.0, 1.0, x) / 2


def _chebyshev_u(n: Any, x: Any) -> Any:
    return 2 * np.not_equal(n, 0) * sp.eval_gegenbauer(_below(n), 2.0, x)


_degree(sp.eval_legendre, lambda g, n, x: g * _legendre(n, x))
_degree(sp.eval_sh_legendre, lambda g, n, x: g * 2 * _legendre(n, 2 * x - 1))
_degree(sp.eval_chebyt, lambda g, n, x: g * n * sp.eval_chebyu(_below(n), x))
_degree(sp.eval_chebyc, lambda g, n, x: g * n * sp.eval_chebys(_below(n), x))
_degree(sp.eval_sh_chebyt, lambda g, n, x: g * 2 * n * sp.eval_sh_chebyu(_below(n), x))
_degree(sp.eval_chebyu, lambda g, n, x: g * _chebyshev_u(n, x))
_degree(sp.eval_chebys, lambda g, n, x: g / 2 * _chebyshev_u(n, x / 2))
_degree(sp.eval_sh_chebyu, lambda g, n, x: g * 2 * _chebyshev_u(n, 2 * x - 1))
_degree(sp.eval_hermite, lambda g, n, x: g * 2 * n * sp.eval_hermite(_below(n), x))
_degree(sp.eval_hermitenorm, lambda g, n, x: g * n * sp.eval_hermitenorm(_below(n), x))
_degree(sp.eval_laguerre, lambda g, n, x: -g * np.not_equal(n, 0) * sp.eval_genlaguerre(_below(n), 1.0, x))
define_rule(
    sp.eval_genlaguerre,
    signature=lambda n, alpha, x: None,
    x=lambda g, n, alpha, x: -g * np.not_equal(n, 0) * sp.eval_genlaguerre(_below(n), np.add(alpha, 1), x),
)
define_rule(
    sp.eval_gegenbauer,
    signature=lambda n, alpha, x: None,
    x=lambda g, n, alpha, x: (
        g * 2 * np.multiply(np.not_equal(n, 0), alpha) * sp.eval_gegenbauer(_below(n), np.add(alpha, 1), x)
    ),
)
define_rule(
    sp.eval_jacobi,
    signature=lambda n, alpha, beta, x: None,
    x=lambda g, n, alpha, beta, x: (
        g * np.not_equal(n, 0) * (n + np.add(alpha, beta) + 1) / 2
        * sp.eval_jacobi(_below(n), np.add(alpha, 1), np.add(beta, 1), x)
    ),
)  # fmt: skip
define_rule(
    sp.eval_sh_jacobi,
    signature=lambda n, p, q, x: None,
    x=lambda g, n, p, q, x: g * n * sp.eval_sh_jacobi(_below(n), np.add(p, 2), np.add(q, 1), x),
)
define_rule(
    sp.lpmv,
    signature=lambda m, v, x: None,
    x=lambda g, ans, m, v, x: g * (np.add(m, v) * sp.lpmv(m, np.subtract(v, 1), x) - v * x * ans) / (1 - x * x),
)

RULES.update(_users)
