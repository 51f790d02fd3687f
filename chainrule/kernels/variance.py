"""Variances and standard deviations, and what their gradients are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .elementwise import elementwise
from .layer import dense, inlined
from .reduction import Axis, squares
from .reduction import mean as _mean

_NOTHING = np._NoValue  # type: ignore[attr-defined]  # NumPy's default for arguments that were not given
_LEAST = 8192  # elements from which on this is faster than NumPy


@inlined
def _difference(x: Any, middle: Any) -> Any:
    return x - middle


@inlined
def _scaled_difference(factor: Any, x: Any, middle: Any) -> Any:
    return factor * (x - middle)


@elementwise(_difference, arrays=2)
def _about(x: Array, middle: Array) -> Array:
    return x - middle


@elementwise(_scaled_difference, arrays=3)
def scaled_deviation(factor: Any, x: Any, middle: Any) -> Any:
    """``factor`` times the conjugate of ``x - middle``, which broadcast."""
    return factor * np.conjugate(x - middle)


def variance(
    a: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = _NOTHING,
    *,
    where: Any = _NOTHING,
    mean: Any = _NOTHING,
    correction: Any = _NOTHING,
) -> Any:
    """``np.var``."""
    if dtype is not None or where is not _NOTHING or mean is not _NOTHING or a.size < _LEAST or not dense(a):
        return np.var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    summed = squares(_about(a, _mean(a, axis, keepdims=True)), axis, keepdims is not _NOTHING and keepdims)
    return summed / max(a.size // summed.size - (ddof if correction is _NOTHING else correction), 0)


def standard_deviation(a: Array, *args: Any, **options: Any) -> Any:
    """``np.std``."""
    return np.sqrt(variance(a, *args, **options))
