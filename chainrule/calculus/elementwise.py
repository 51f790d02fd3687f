"""Element-wise functions: for each input, the gradient ``g`` of the result times the partial derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.dispatch import composite, define_rule, elementwise, primitive

_LN2 = float(np.log(2.0))
_LN10 = float(np.log(10.0))


def _zero_where(condition: Any, x: Any) -> Any:
    """``x``, but 0 where ``condition`` holds, also where ``x`` is not finite there."""
    return np.where(condition, np.zeros((), x.dtype), x)


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
    """Y x^(y-1), and 0 where y = 0, also at x = 0."""
    if np.ndim(y) == 0 and not getattr(y, "requires_grad", False):
        y = float(y) if np.isrealobj(y) else complex(y)  # a plain number: weak, and fast where it is 2 or 0.5
        return g * (y * x ** (y - 1)) if y != 0 else g * np.zeros_like(x)
    return g * _zero_where(y == 0, y * np.power(x, np.where(y == 0, np.ones((), y.dtype), y - 1)))


def _power_y(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """x^y log(x), taken to be 0 at x = 0. A negative base has a real power at integers alone: there it is NaN."""
    zero = (x == 0) & (np.real(y) >= 0)
    negative = False if np.iscomplexobj(ans) else np.less(x, 0)
    gradient = _zero_where(zero, ans * np.log(np.where(zero | negative, np.ones((), ans.dtype), x)))
    return g * np.where(negative, np.full((), np.nan, ans.dtype), gradient)


elementwise(np.power, _power_x, _power_y)
elementwise(np.float_power, _power_x, _power_y)

# ---- exponentials and logarithms ------------------------------------------------------------------------

elementwise(np.exp, lambda g, ans: g * ans)
elementwise(np.exp2, lambda g, ans: g * ans * _LN2)
elementwise(np.expm1, lambda g, ans: g * (ans + 1))
elementwise(np.log, lambda g, x: g / x)
elementwise(np.log2, lambda g, x: g / x / _LN2)
elementwise(np.log10, lambda g, x: g / x / _LN10)
elementwise(np.log1p, lambda g, x: g / (1 + x))


def _share(g: Any, ans: Any, x: Any, exp: Any) -> Any:
    """G times the share exp(x - ans) that x has in the sum whose logarithm is ans, without inf - inf."""
    same, zero = np.isinf(x) & (x == ans), np.zeros((), ans.dtype)
    return g * exp(np.where(same, zero, x) - np.where(same, zero, ans))


elementwise(np.logaddexp, lambda g, ans, x: _share(g, ans, x, np.exp), lambda g, ans, y: _share(g, ans, y, np.exp))
elementwise(np.logaddexp2, lambda g, ans, x: _share(g, ans, x, np.exp2), lambda g, ans, y: _share(g, ans, y, np.exp2))

# ---- trigonometry ---------------------------------------------------------------------------------------

elementwise(np.sin, lambda g, x: g * np.cos(x))
elementwise(np.cos, lambda g, x: -g * np.sin(x))
elementwise(np.tan, lambda g, ans: g * (1 + ans * ans))
elementwise(np.arcsin, lambda g, x: g / np.sqrt(1 - x * x))
elementwise(np.arccos, lambda g, x: -g / np.sqrt(1 - x * x))
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
    return np.where(d == 0, np.ones((), d.dtype), d)


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
elementwise(np.conjugate, lambda g: np.conjugate(g))

# ---- the larger and the smaller: equal elements share the gradient ---------------------------------------


def _chosen(g: Any, ans: Any, x: Any, y: Any) -> Any:
    return np.where(x == y, g * 0.5, np.where(x == ans, g, np.zeros((), g.dtype)))


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
