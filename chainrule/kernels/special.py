"""Special functions that NumPy lacks."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from ..core.arrays import Array


def erf(x: Array) -> Array:
    """The error function, to the precision of ``x``'s dtype, absolute.

    erf(x) = 1 - exp(-x^2) f(t) for x >= 0. There f is smooth in t = (16 / (2 + x) - 5) / 3, which maps [0, 6] to [1, -1];
    beyond, erf(x) = 1.

    Source: M. Shepherd, J. Laframboise, Chebyshev Approximation of (1 + 2x) exp(x^2) erfc(x) (1981).

    >>> erf(np.array([0.5, 1.0, -30.0]))
    array([ 0.52049988,  0.84270079, -1.        ])
    """
    magnitude = np.minimum(np.abs(x), 6)
    f = chebyshev.chebval((16 / (2 + magnitude) - 5) / 3, _coefficients(x.dtype))
    return np.copysign(1 - np.exp(-np.square(magnitude)) * f, x)


@cache
def _coefficients(dtype: np.dtype[np.floating]) -> Array:
    """Of f, in Chebyshev polynomials."""

    def f(t: Array) -> Array:
        return np.array([math.exp(x * x) * math.erfc(x) for x in 16 / (3 * t + 5) - 2])

    return chebyshev.chebinterpolate(f, 9 if dtype.itemsize <= 4 else 18).astype(dtype)
