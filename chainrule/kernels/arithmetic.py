"""Arithmetic on large arrays of one shape, as NumPy's functions do it; anything else is left to these."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .elementwise import elementwise
from .layer import inlined


@inlined
def _sum(x: Any, y: Any) -> Any:
    return x + y


@inlined
def _difference(x: Any, y: Any) -> Any:
    return x - y


@inlined
def _product(x: Any, y: Any) -> Any:
    return x * y


@elementwise(_sum, arrays=2)
def add(x: Array, y: Array) -> Array:
    """The sum of two arrays."""
    return np.add(x, y)


@elementwise(_difference, arrays=2)
def subtract(x: Array, y: Array) -> Array:
    """The difference of two arrays."""
    return np.subtract(x, y)


@elementwise(_product, arrays=2)
def multiply(x: Array, y: Array) -> Array:
    """The product of two arrays, element by element."""
    return np.multiply(x, y)
