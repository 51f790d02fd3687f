"""Element-wise functions: for each input, the gradient ``g`` of the result times the partial derivative."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from .. import dispatch
from ..core.batched import Batched
from ..dispatch import composite, define_rule, primitive, unwrap
from ..kernels import arithmetic as kernels
from ..kernels.arithmetic import in_used_memory

_LN2 = float(np.log(2.0))
_LN10 = float(np.log(10.0))


def elementwise(ufunc: np.ufunc, *derivatives: Any) -> None:
    """Say how one of NumPy's ufuncs is differentiated: for each input, ``g`` times the partial derivative."""
    dispatch.elementwise(ufunc, *derivatives, kernel=in_used_memory(ufunc))


def _zero_where(condition: Any, x: Any) -> Any:
    """``x``, but 0 where ``condition`` holds, also where ``x`` is not finite there."""
    return np.where(condition, x.dtype.type(0), x)


# ---- arithmetic -----------------------------------------------------------------------------------------

elementwise(np.add, lambda g: g, lambda g: g)
elementwise(np.subtract, lambda g: g, lambda g: -g)
elementwise(np.multiply, lambda g, y: g * y, lambda g, x: g * x)
elementwise(np.divide, lambda g, y: g / y, lambda g, ans, y: -(g * ans) / y)
elementwise(np.negative, lambda g: -g)
elementwise(np.positive, lambda g: g)
elementwise(np.square, lambda g, x: g * (x + x))
elementwise(np.reciprocal, lambda g, ans: -g * ans * ans)
elementwise(np.remainder, lambda g: g, lambda g, x, y: -g * np.floor_divide(x, y))
elementwise(np.fmod, lambda g: g, lambda g, x, y: -g * np.trunc(x / y))


def _power_x(g: Any, x: Any, y: Any) -> Any:
    """Y x^(y-1), and 0 where x and y are 0."""
    if np.ndim(y) == 0 and y.__class__ is not Batched and not getattr(y, "requires_grad", False):
        y = float(y) if np.isrealobj(y) else complex(y)  # a plain number: weak, and fast where it is 2 or 0.5
        return g * (y * x ** (y - 1)) if y != 0 else g * np.zeros_like(x)
    zero = (x == 0) & (y == 0)  # elsewhere the formula holds for y = 0 too, and tells how the slope changes with y
    return g * _zero_where(zero, y * np.power(x, np.where(zero, y.dtype.type(1), y - 1)))


def _power_y(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """x^y log(x), taken to be 0 at x = 0. A negative base has a real power at integers alone: there it is NaN."""
    zero = (x == 0) & (np.real(y) >= 0)
    negative = False if np.iscomplexobj(ans) else np.less(x, 0)
    gradient = _zero_where(zero, ans * np.log(np.where(zero | negative, ans.dtype.type(1), x)))
    return g * np.where(negative, ans.dtype.type(np.nan), gradient)


elementwise(np.power, _power_x, _power_y)


@primitive
def cube(x: Any) -> Any:
    """The third power: a power by NumPy takes long, where numbers are negative."""
    return kernels.cube(x)


define_rule(cube, x=lambda g, x: 3 * g * np.square(x))
elementwise(np.float_power, _power_x, _power_y)

# ---- exponentials and logarithms ------------------------------------------------------------------------

elementwise(np.exp, lambda g, ans: g * ans)
elementwise(np.exp2, lambda g, ans: g * ans * _LN2)
elementwise(np.expm1, lambda g, ans: g * (ans + 1))
elementwise(np.log, lambda g, x: g / x)
elementwise(np.log2, lambda g, x: g / x / _LN2)
elementwise(np.log10, lambda g, x: g / x / _LN10)
elementwise(np.log1p, lambda g, x: g / (1 + x))


def share(g: Any, ans: Any, x: Any, exp: Any) -> Any:
    """G times the share exp(x - ans) that x has in the sum whose logarithm is ans, without inf - inf."""
    same, zero = np.isinf(x) & (x == ans), ans.dtype.type(0)
    return g * exp(np.where(same, zero, x) - np.where(same, zero, ans))


def _share_of_two(g: Any, ans: Any, x: Any, y: Any, exp: Any) -> Any:
    return np.where(np.isinf(x) & (x == y), g * 0.5, share(g, ans, x, exp))


elementwise(np.logaddexp, lambda g, ans, x, y: _share_of_two(g, ans, x, y, np.exp),
            lambda g, ans, x, y: _share_of_two(g, ans, y, x, np.exp))  # fmt: skip
elementwise(np.logaddexp2, lambda g, ans, x, y: _share_of_two(g, ans, x, y, np.exp2),
            lambda g, ans, x, y: _share_of_two(g, ans, y, x, np.exp2))  # fmt: skip

# ---- trigonometry ---------------------------------------------------------------------------------------


def _opposite(x: Any) -> Any:
    """√(1 - x²), of a complex x on the side of the branch cut that the sign of its zero imaginary part tells."""
    return np.sqrt(1 - x * x) if x.dtype.kind != "c" else np.sqrt(-(x - 1)) * np.sqrt(x + 1)


elementwise(np.sin, lambda g, x: g * np.cos(x))
elementwise(np.cos, lambda g, x: -g * np.sin(x))
elementwise(np.tan, lambda g, ans: g * (1 + ans * ans))
elementwise(np.arcsin, lambda g, x: g / _opposite(x))
elementwise(np.arccos, lambda g, x: -g / _opposite(x))
elementwise(np.arctan, lambda g, x: g / (1 + x * x))
elementwise(np.sinh, lambda g, x: g * np.cosh(x))
elementwise(np.cosh, lambda g, x: g * np.sinh(x))
elementwise(np.tanh, lambda g, ans: g * (1 - ans * ans))
elementwise(np.arcsinh, lambda g, x: g / np.sqrt(x * x + 1))
elementwise(np.arccosh, lambda g, x: g / np.sqrt(x - 1) / np.sqrt(x + 1))
elementwise(np.arctanh, lambda g, x: g / (1 - x * x))
elementwise(np.deg2rad, lambda g: g * (np.pi / 180))
elementwise(np.radians, lambda g: g * (np.pi / 180))
elementwise(np.rad2deg, lambda g: g * (180 / np.pi))
elementwise(np.degrees, lambda g: g * (180 / np.pi))


def _nonzero(d: Any) -> Any:
    """A divisor that is 1 in place of 0: what it divides is 0 there too."""
    return np.where(d == 0, d.dtype.type(1), d)


elementwise(
    np.arctan2,  # the gradient at the origin is taken to be 0
    lambda g, x, y: g * y / _nonzero(x * x + y * y),
    lambda g, x, y: -g * x / _nonzero(x * x + y * y),
)
elementwise(np.hypot, lambda g, ans, x: g * x / _nonzero(ans), lambda g, ans, y: g * y / _nonzero(ans))

# ---- roots, absolute values, sign -----------------------------------------------------------------------

elementwise(np.sqrt, lambda g, ans: g / (ans + ans))
elementwise(np.cbrt, lambda g, ans: g / (3 * ans * ans))
elementwise(np.fabs, lambda g, x: g * np.sign(x))
elementwise(np.copysign, lambda g, x, y: g * (np.sign(x) * np.copysign(1, y)).astype(g.dtype), lambda g: g * 0)
elementwise(np.heaviside, lambda g: g * 0, lambda g, x: g * (x == 0))


def _absolute(g: Any, ans: Any, x: Any) -> Any:
    """The sign of x; of a complex x, conj(x) / |x|, and 0 at 0."""
    return g * np.sign(x) if x.dtype.kind != "c" else g * np.conj(x) / _nonzero(ans)


elementwise(np.absolute, _absolute)


@primitive
def _phase(x: Any) -> Any:
    return np.sign(x)


def _phase_x(g: Any, ans: Any, x: Any) -> Any:
    """I Im(g s) conj(s) / |x|, where s is the phase: it turns, and keeps its length; 0 at 0."""
    return 1j * np.imag(g * ans) * np.conj(ans) / _nonzero(np.abs(x))


define_rule(_phase, x=_phase_x)


@composite(np.sign)
def _sign(x: Any, **options: Any) -> Any:
    """Of a complex number its phase x / |x|; of a real one a step, without a gradient."""
    return _phase(x) if x.dtype.kind == "c" and not options else np.sign(unwrap(x), **options)


elementwise(np.conjugate, lambda g: np.conjugate(g))

# ---- the larger and the smaller: equal elements share the gradient ---------------------------------------


def _chosen(g: Any, ans: Any, x: Any, y: Any) -> Any:
    return np.where(x == y, g * 0.5, np.where(x == ans, g, g.dtype.type(0)))


for _extremum in (np.maximum, np.minimum, np.fmax, np.fmin):
    elementwise(_extremum, lambda g, ans, x, y: _chosen(g, ans, x, y), lambda g, ans, x, y: _chosen(g, ans, y, x))


@composite(np.divmod)
def _divmod(x: Any, y: Any) -> tuple[Any, Any]:
    return np.floor_divide(x, y), np.remainder(x, y)


@primitive
def _ldexp(x: Any, exponent: Any) -> Any:
    return np.ldexp(x, exponent)


define_rule(_ldexp, x=lambda g, exponent: _ldexp(g, exponent))
composite(np.ldexp)(_ldexp)


# ---- parts of a number ----------------------------------------------------------------------------------


@primitive
def _fraction(x: Any) -> Any:
    return np.modf(x)[0]


define_rule(_fraction, x=lambda g: g)


@composite(np.modf)
def _modf(x: Any) -> tuple[Any, Any]:
    return _fraction(x), np.trunc(x)


@composite(np.frexp)
def _frexp(x: Any) -> tuple[Any, Any]:
    exponent = np.frexp(unwrap(x))[1]
    return _ldexp(x, -exponent), exponent


@composite(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(np.imag(z), np.real(z)) if np.iscomplexobj(z) else np.arctan2(0.0, z)
    return angle * (180 / np.pi) if deg else angle


@composite(np.real_if_close)
def _real_if_close(a: Any, tol: Any = 100) -> Any:
    return np.real(a) if np.iscomplexobj(a) and np.isrealobj(np.real_if_close(unwrap(a), tol)) else a


@primitive
def _finite(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _where_finite(g: Any, x: Any) -> Any:
    """The gradient where ``x`` has not been replaced; of a complex x, for each part by itself."""
    if x.dtype.kind != "c":
        return _zero_where(~np.isfinite(x), g)
    return _where_finite(np.real(g), np.real(x)) + 1j * _where_finite(np.imag(g), np.imag(x))


define_rule(_finite, x=_where_finite, ignores=("nan", "posinf", "neginf"))


@composite(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    made = _finite(x, nan, posinf, neginf)
    if copy:
        return made
    x[...] = made
    return x


# ---- special functions ----------------------------------------------------------------------------------


@primitive
def _sinc(x: Any, order: int) -> Any:
    """The derivative of that order of sin(u) / u, u = πx: its Taylor series near 0, else u f⁽ⁿ⁾ + n f⁽ⁿ⁻¹⁾ = sin⁽ⁿ⁾(u)."""
    u = np.pi * x
    is_near = np.abs(u) < order + 1
    near, far = np.where(is_near, u, 0), np.where(is_near, 1, u)
    series, power = 0 * near, near ** (order % 2)
    for j in range(order % 2, 40 + 4 * order, 2):
        series = series + (-1) ** ((order + j) // 2) / (order + j + 1) * power
        power = power * near * near / ((j + 1) * (j + 2))
    value = np.sin(far) / far
    for n in range(1, order + 1):
        value = (np.sin(far + n * (np.pi / 2)) - n * value) / far
    return np.pi**order * np.where(is_near, series, value)


define_rule(_sinc, x=lambda g, x, order: g * _sinc(x, order + 1))
define_rule(np.sinc, x=lambda g, x: g * _sinc(x, 1))


@primitive
def _bessel(x: Any, order: int) -> Any:
    """The modified Bessel function I_n(x): I_0 times the ratios I_k / I_(k-1) = x / (2k + x I_(k+1) / I_k)."""
    value, ratio = np.i0(x), 0 * x
    steps = 20 + 12 * sqrt(min(1000.0, np.max(np.abs(x), initial=0.0)))  # beyond 713 I_0 is infinite
    for k in range(order + int(steps), 0, -1):
        ratio = x / (2 * k + x * ratio)
        if k <= order:
            value = value * ratio
    return value


define_rule(_bessel, x=lambda g, x, order: g * (_bessel(x, abs(order - 1)) + _bessel(x, order + 1)) / 2)
define_rule(np.i0, x=lambda g, x: g * _bessel(x, 1))

# ---- functions that leave the real line: np.emath --------------------------------------------------------


def _leaving_the_reals(name: str) -> None:
    @composite(getattr(np.emath, name))
    def function(x: Any) -> Any:
        made = getattr(np.emath, name)(unwrap(x))
        return getattr(np, name)(np.astype(x, made.dtype) if np.iscomplexobj(made) else x)


for _name in ("sqrt", "log", "log2", "log10", "arcsin", "arccos", "arctanh"):
    _leaving_the_reals(_name)


@composite(np.emath.logn)
def _logn(n: Any, x: Any) -> Any:
    return np.emath.log(x) / np.emath.log(n)


@composite(np.emath.power)
def _complex_power(x: Any, p: Any) -> Any:
    made = np.emath.power(unwrap(x), unwrap(p))
    return np.power(np.multiply(x, made.dtype.type(1)) if np.iscomplexobj(made) else x, p)
