"""Distributions of scipy.stats: their densities and distribution functions, differentiable in arguments and parameters.

They are objects with SciPy's names, methods and parameters: ``norm.logpdf(x, loc=0, scale=1)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from ..core.arrays import as_array
from ..core.variable import Variable
from ..dispatch import unwrap
from .linalg import solve_triangular

__all__ = [
    "bernoulli", "beta", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "halfcauchy", "halfnorm", "invgamma",
    "laplace", "logistic", "lognorm", "multivariate_normal", "norm", "poisson", "t", "uniform", "weibull_min",
]  # fmt: skip

_LOG_2PI = float(np.log(2 * np.pi))
F = Callable[..., Any]


def _clear(ans: Any) -> Any:
    """A result of no dimensions as SciPy has it, a scalar."""
    return ans if isinstance(ans, Variable) else ans[()]


class _Family:
    """What continuous and discrete distributions share: parameters, and a support outside of which nothing is computed.

    Args:
        name: SciPy's.
        shapes: the names of the shape parameters.
        support: the least and the largest value of a standard variable, given the shape parameters.
        inside: a point of the support.
        functions: of a standard variable and the shape parameters, by SciPy's names.
    """

    scaled = True

    def __init__(self, name: str, shapes: str, support: Callable[..., tuple[Any, Any]], inside: float, **functions: F):
        self.name, self.names, self.support, self.inside, self.functions = name, shapes.split(), support, inside, functions

    def _standard(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any], Any]:
        names = [*self.names, "loc", *(["scale"] if self.scaled else [])]
        if len(args) > len(names):
            raise TypeError(f"{self.name} takes {len(names)} parameters, {', '.join(names)}, not {len(args)}")
        given = {"loc": 0, "scale": 1, **dict(zip(names, args, strict=False)), **kwargs}
        if unknown := kwargs.keys() - set(names):
            raise TypeError(f"{self.name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(names)}")
        if missing := [name for name in self.names if name not in given]:
            raise TypeError(f"{self.name} needs the parameter {', '.join(missing)}")
        scale = given["scale"]
        return as_array((as_array(x) - given["loc"]) / scale), [as_array(given[name]) for name in self.names], scale

    def _cumulative(self, method: str, below: float, above: float, x: Any, args: Any, kwargs: Any) -> Any:
        """A function that is constant on either side of the support."""
        z, shapes, _ = self._standard(x, args, kwargs)
        z = z if self.scaled else np.floor(z)
        least, largest = self.support(*shapes)
        low, high = z < least, z >= largest
        ans = self.functions[method](np.where(low | high, np.asarray(self.inside, z.dtype), z), *shapes)
        ends = (np.asarray(end, ans.dtype) for end in (below, above))
        return _clear(np.where(low, next(ends), np.where(high, next(ends), ans)))

    def _log_density(self, x: Any, args: Any, kwargs: Any) -> Any:
        z, shapes, scale = self._standard(x, args, kwargs)
        least, largest = self.support(*shapes)
        outside = (z < least) | (z > largest)
        if not self.scaled:
            outside = outside | (z != np.floor(z))
        ans = self.functions["logpdf"](np.where(outside, np.asarray(self.inside, z.dtype), z), *shapes)
        ans = ans - (float(np.log(scale)) if isinstance(scale, (int, float)) else np.log(scale))
        return _clear(np.where(outside, np.asarray(-np.inf, ans.dtype), ans))

    def cdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Probability of a value up to x."""
        return self._cumulative("cdf", 0, 1, x, args, kwargs)

    def sf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Probability of a value above x."""
        return self._cumulative("sf", 1, 0, x, args, kwargs)

    def logcdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of ``cdf``."""
        return self._logarithm("logcdf", self.cdf, -np.inf, 0, x, args, kwargs)

    def logsf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of ``sf``."""
        return self._logarithm("logsf", self.sf, 0, -np.inf, x, args, kwargs)

    def _logarithm(self, method: str, plain: F, below: float, above: float, x: Any, args: Any, kwargs: Any) -> Any:
        if method in self.functions:
            return self._cumulative(method, below, above, x, args, kwargs)
        return sp.xlogy(1.0, plain(x, *args, **kwargs))  # the logarithm, of 0 too


class Continuous(_Family):
    """A continuous distribution; ``loc`` shifts it and ``scale`` stretches it."""

    def logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the density."""
        return self._log_density(x, args, kwargs)

    def pdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Density."""
        return np.exp(self._log_density(x, args, kwargs))


class Discrete(_Family):
    """A distribution of integers; ``loc`` shifts it. It is differentiable in its parameters."""

    scaled = False

    def logpmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the probability of k."""
        return self._log_density(k, args, kwargs)

    def pmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Probability of k."""
        return np.exp(self._log_density(k, args, kwargs))


# ---- continuous distributions ---------------------------------------------------------------------------


def _everywhere(*shapes: Any) -> tuple[float, float]:
    return -np.inf, np.inf


def _positive(*shapes: Any) -> tuple[float, float]:
    return 0.0, np.inf


def _unit(*shapes: Any) -> tuple[float, float]:
    return 0.0, 1.0


norm = Continuous(
    "norm", "", _everywhere, 0,
    logpdf=lambda z: -0.5 * z * z - 0.5 * _LOG_2PI,
    cdf=lambda z: sp.ndtr(z),
    sf=lambda z: sp.ndtr(-z),
    logcdf=lambda z: sp.log_ndtr(z),
    logsf=lambda z: sp.log_ndtr(-z),
)  # fmt: skip
t = Continuous(
    "t", "df", _everywhere, 0,
    logpdf=lambda z, df: (
        -sp.xlog1py((df + 1) / 2, z * z / df) - sp.betaln(df / 2, 0.5) - 0.5 * np.log(df)
    ),
    cdf=lambda z, df: sp.stdtr(df, z),
    sf=lambda z, df: sp.stdtr(df, -z),
)  # fmt: skip
gamma = Continuous(
    "gamma", "a", _positive, 1,
    logpdf=lambda z, a: sp.xlogy(a - 1, z) - z - sp.gammaln(a),
    cdf=lambda z, a: sp.gammainc(a, z),
    sf=lambda z, a: sp.gammaincc(a, z),
)  # fmt: skip
chi2 = Continuous(
    "chi2", "df", _positive, 1,
    logpdf=lambda z, df: sp.xlogy(df / 2 - 1, z) - z / 2 - sp.gammaln(df / 2) - df / 2 * float(np.log(2)),
    cdf=lambda z, df: sp.chdtr(df, z),
    sf=lambda z, df: sp.chdtrc(df, z),
)  # fmt: skip
beta = Continuous(
    "beta", "a b", _unit, 0.5,
    logpdf=lambda z, a, b: sp.xlog1py(b - 1, -z) + sp.xlogy(a - 1, z) - sp.betaln(a, b),
    cdf=lambda z, a, b: sp.betainc(a, b, z),
    sf=lambda z, a, b: sp.betaincc(a, b, z),
)  # fmt: skip
expon = Continuous(
    "expon", "", _positive, 1,
    logpdf=lambda z: -z,
    cdf=lambda z: -np.expm1(-z),
    sf=lambda z: np.exp(-z),
    logcdf=lambda z: sp.xlogy(1.0, -np.expm1(-z)),
    logsf=lambda z: -z,
)  # fmt: skip
uniform = Continuous("uniform", "", _unit, 0.5, logpdf=lambda z: 0 * z, cdf=lambda z: z, sf=lambda z: 1 - z)
laplace = Continuous(
    "laplace", "", _everywhere, 0,
    logpdf=lambda z: -np.abs(z) - float(np.log(2)),
    cdf=lambda z: 0.5 - 0.5 * np.sign(z) * np.expm1(-np.abs(z)),
    sf=lambda z: 0.5 + 0.5 * np.sign(z) * np.expm1(-np.abs(z)),
)  # fmt: skip
logistic = Continuous(
    "logistic", "", _everywhere, 0,
    logpdf=lambda z: sp.log_expit(z) + sp.log_expit(-z),
    cdf=lambda z: sp.expit(z),
    sf=lambda z: sp.expit(-z),
    logcdf=lambda z: sp.log_expit(z),
    logsf=lambda z: sp.log_expit(-z),
)  # fmt: skip
cauchy = Continuous(
    "cauchy", "", _everywhere, 0,
    logpdf=lambda z: -np.log1p(z * z) - float(np.log(np.pi)),
    cdf=lambda z: np.arctan2(np.ones((), z.dtype), -z) / np.pi,
    sf=lambda z: np.arctan2(np.ones((), z.dtype), z) / np.pi,
)  # fmt: skip


def _log_over(z: Any, s: Any) -> Any:
    return sp.xlogy(1.0, z) / s


lognorm = Continuous(
    "lognorm", "s", _positive, 1,
    logpdf=lambda z, s: norm.logpdf(_log_over(z, s)) - np.log(s * np.where(z == 0, np.ones((), z.dtype), z)),
    cdf=lambda z, s: sp.ndtr(_log_over(z, s)),
    sf=lambda z, s: sp.ndtr(-_log_over(z, s)),
    logcdf=lambda z, s: sp.log_ndtr(_log_over(z, s)),
    logsf=lambda z, s: sp.log_ndtr(-_log_over(z, s)),
)  # fmt: skip

halfnorm = Continuous(
    "halfnorm", "", _positive, 1,
    logpdf=lambda z: 0.5 * float(np.log(2 / np.pi)) - 0.5 * z * z,
    cdf=lambda z: sp.erf(z * 0.5**0.5),
    sf=lambda z: 2 * sp.ndtr(-z),
    logsf=lambda z: float(np.log(2)) + sp.log_ndtr(-z),
)  # fmt: skip

halfcauchy = Continuous(
    "halfcauchy", "", _positive, 1,
    logpdf=lambda z: float(np.log(2 / np.pi)) - np.log1p(z * z),
    cdf=lambda z: 2 / np.pi * np.arctan(z),
    sf=lambda z: 2 / np.pi * np.arctan2(1.0, z),
)  # fmt: skip

weibull_min = Continuous(
    "weibull_min", "c", _positive, 1,
    logpdf=lambda z, c: np.log(c) + sp.xlogy(c - 1, z) - z**c,
    cdf=lambda z, c: -np.expm1(-(z**c)),
    sf=lambda z, c: np.exp(-(z**c)),
    logsf=lambda z, c: -(z**c),
)  # fmt: skip

invgamma = Continuous(
    "invgamma", "a", lambda a: (1e-300, np.inf), 1,  # 0 itself has density 0
    logpdf=lambda z, a: -(a + 1) * np.log(z) - sp.gammaln(a) - 1 / z,
    cdf=lambda z, a: sp.gammaincc(a, 1 / z),
    sf=lambda z, a: sp.gammainc(a, 1 / z),
)  # fmt: skip

# ---- discrete distributions -----------------------------------------------------------------------------

poisson = Discrete(
    "poisson", "mu", _positive, 0,
    logpdf=lambda k, mu: sp.xlogy(k, mu) - sp.gammaln(k + 1) - mu,
    cdf=lambda k, mu: sp.pdtr(k, mu),
    sf=lambda k, mu: sp.pdtrc(k, mu),
)  # fmt: skip
binom = Discrete(
    "binom", "n p", lambda n, p: (0, n), 0,
    logpdf=lambda k, n, p: -sp.betaln(k + 1, n - k + 1) - np.log(n + 1) + sp.xlogy(k, p) + sp.xlog1py(n - k, -p),
    cdf=lambda k, n, p: sp.bdtr(k, n, p),
    sf=lambda k, n, p: sp.bdtrc(k, n, p),
)  # fmt: skip
bernoulli = Discrete(
    "bernoulli", "p", _unit, 0,
    logpdf=lambda k, p: sp.xlogy(k, p) + sp.xlog1py(1 - k, -p),
    cdf=lambda k, p: 1 - p + 0 * k,
    sf=lambda k, p: p + 0 * k,
)  # fmt: skip

# ---- several variables ----------------------------------------------------------------------------------


class Dirichlet:
    """The Dirichlet distribution over shares that sum to one."""

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """Logarithm of the density.

        Args:
            x: (K,) or (K, N): the shares along the first axis; the last one may be left out.
            alpha: (K,), positive.

        >>> dirichlet.logpdf(np.array([0.25, 0.75]), np.array([1.0, 2.0]))
        np.float64(0.4054651081081644)
        """
        x, alpha = as_array(x), as_array(alpha)
        if x.shape[0] + 1 == alpha.shape[0]:
            x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
        if x.shape[0] != alpha.shape[0]:
            raise ValueError(f"x holds {x.shape[0]} shares along axis 0, alpha {alpha.shape[0]} parameters")
        powers = np.reshape(alpha - 1, (-1,) + (1,) * (x.ndim - 1))
        log_beta = np.sum(sp.gammaln(alpha)) - sp.gammaln(np.sum(alpha))
        return np.sum(sp.xlogy(powers, x), axis=0) - log_beta

    def pdf(self, x: Any, alpha: Any) -> Any:
        """Density; arguments as of ``logpdf``."""
        return np.exp(self.logpdf(x, alpha))


class MultivariateNormal:
    """The normal distribution of vectors."""

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """Logarithm of the density.

        Args:
            x: (..., D).
            mean: (D,), by default 0.
            cov: (D, D), positive definite; or (D,), its diagonal; or a number that multiplies the identity.
            allow_singular: whether ``cov`` may be singular; the density is then that on the space it spans, and 0 outside.

        Raises:
            numpy.linalg.LinAlgError: ``cov`` is not positive definite, or not semidefinite where it may be singular.

        >>> multivariate_normal.logpdf(np.array([1.0, 0.0]), np.zeros(2), np.eye(2))
        np.float64(-2.3378770664093453)
        """
        x, cov = as_array(x), self._matrix(mean, cov)
        if x.ndim == 0 or (x.ndim == 1 and len(cov) == 1):
            x = np.expand_dims(x, -1)
        deviation = x if mean is None else x - mean
        if allow_singular:
            return _clear(self._on_span(deviation, cov))
        factor = np.linalg.cholesky(cov)
        whitened = solve_triangular(factor, np.reshape(deviation, (-1, len(cov))).T, lower=True)
        squares = np.reshape(np.sum(whitened * whitened, axis=0), deviation.shape[:-1])
        return _clear(-0.5 * (len(cov) * _LOG_2PI + squares) - np.sum(np.log(np.diagonal(factor))))

    @staticmethod
    def _on_span(deviation: Any, cov: Any) -> Any:
        """The same on the space of the eigenvectors whose eigenvalues are not negligible, by SciPy's bounds."""
        values, vectors = np.linalg.eigh(cov)
        spectrum = unwrap(values)
        negligible = {"f": 1e3, "d": 1e6}[spectrum.dtype.char] * np.finfo(spectrum.dtype).eps * np.max(np.abs(spectrum))
        if np.min(spectrum) < -negligible:
            raise np.linalg.LinAlgError("cov is not positive semidefinite")
        kept = spectrum > negligible
        whitened = deviation @ (vectors[:, kept] / np.sqrt(values[kept]))
        log_density = -0.5 * (np.sum(kept) * _LOG_2PI + np.sum(whitened * whitened, axis=-1) + np.sum(np.log(values[kept])))
        outside = np.linalg.norm(unwrap(deviation) @ unwrap(vectors)[:, ~kept], axis=-1) >= 1e3 * negligible
        return np.where(outside, -np.inf, log_density)

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """Density; arguments as of ``logpdf``."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def entropy(self, mean: Any = None, cov: Any = 1.0) -> Any:
        """Differential entropy: D/2 log(2 pi e) + 1/2 log det(cov)."""
        factor = np.linalg.cholesky(self._matrix(mean, cov))
        return 0.5 * len(factor) * (_LOG_2PI + 1) + np.sum(np.log(np.diagonal(factor)))

    @staticmethod
    def _matrix(mean: Any, cov: Any) -> Any:
        cov = as_array(cov)
        n = np.size(mean) if mean is not None else cov.shape[0] if cov.ndim else 1
        if cov.ndim == 2 and cov.shape != (n, n):
            raise ValueError(f"cov has shape {cov.shape} where the mean has {n} elements")
        return cov if cov.ndim == 2 else np.diag(np.broadcast_to(cov, (n,)))


dirichlet = Dirichlet()
multivariate_normal = MultivariateNormal()
