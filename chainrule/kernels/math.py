"""Elementary functions for use within compiled functions, of a float32 or a float64.

A plain loop over them is vectorised. Each is within 2 units in the last place, unless something else is said, and right for
NaN, infinities, subnormal numbers and signed zeros. They import Numba when a function that calls them is compiled.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .layer import Native


def _elementary() -> Any:
    return import_module("chainrule.kernels.elementary")


exp = Native("exp", _elementary)
#: exp(x) for x <= 0, in less time; 0 where that is less than the smallest normal number.
exp_below_zero = Native("exp_below_zero", _elementary)
#: exp(x) - 1, precise near 0.
expm1 = Native("expm1", _elementary)
log = Native("log", _elementary)
#: log(1 + x), precise near 0.
log1p = Native("log1p", _elementary)
tanh = Native("tanh", _elementary)
#: 1 / (1 + exp(-x)).
sigmoid = Native("sigmoid", _elementary)
#: log(1 + exp(x)), for any x.
softplus = Native("softplus", _elementary)
erf = Native("erf", _elementary)
#: exp(-x^2 / 2), and the part of the normal distribution below x: precise also where that is small, but for rounding x^2.
normal = Native("normal", _elementary)
#: x to the power y, as the C library's also where an argument is 0, 1, infinite, NaN or negative; of two of the same dtype.
pow = Native("pow", _elementary)
