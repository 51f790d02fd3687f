"""NumPy's element-wise functions on large arrays, whose results lie in memory that is used again.

Memory that the system hands out anew takes longer to be made than the arithmetic takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..core.arrays import Array
from ..core.memory import LARGE, empty, empty_like
from .elementwise import elementwise
from .layer import dense, inlined
from .math import exp, expm1, log, log1p, pow, tanh
from .selection import where


@cache
def _keeps_dtype(ufunc: np.ufunc) -> bool:
    """Whether the result has the dtype of the floats that it is computed from."""
    return ufunc.nout == 1 and ufunc.signature is None and "d" * ufunc.nin + "->d" in ufunc.types


def computed(ufunc: np.ufunc, *xs: Any) -> Any:
    """What ``ufunc`` gives; large, in memory that is used again."""
    if not dense(*xs) or max(x.nbytes for x in xs) < LARGE or not _keeps_dtype(ufunc):
        return ufunc(*xs)
    shape = xs[0].shape if len(xs) == 1 else np.broadcast(*xs).shape
    like = next((x for x in xs if x.shape == shape and 0 not in x.strides), None)
    out = empty(shape, xs[0].dtype) if like is None else empty_like(like)
    return ufunc(*xs, out=out)


# ---- of numbers ---------------------------------------------------------------------------------------------------------


@inlined
def _sum(x: Any, y: Any) -> Any:
    return x + y


@inlined
def _difference(x: Any, y: Any) -> Any:
    return x - y


@inlined
def _product(x: Any, y: Any) -> Any:
    return x * y


@inlined
def _quotient(x: Any, y: Any) -> Any:
    return x / y


@inlined
def _maximum(x: Any, y: Any) -> Any:
    return x if (x >= y) | (x != x) else y


@inlined
def _minimum(x: Any, y: Any) -> Any:
    return x if (x <= y) | (x != x) else y


@inlined
def _negative(x: Any) -> Any:
    return -x


@inlined
def _absolute(x: Any) -> Any:
    return math.fabs(x)


@inlined
def _square(x: Any) -> Any:
    return x * x


@inlined
def _reciprocal(x: Any) -> Any:
    return type(x)(1) / x


@inlined
def _root(x: Any) -> Any:
    return math.sqrt(x)


@inlined
def _sign(x: Any) -> Any:
    one = type(x)(1)
    return one if x > 0 else (-one if x < 0 else x * x)


@inlined
def _exp(x: Any) -> Any:
    return exp(x)


@inlined
def _expm1(x: Any) -> Any:
    return expm1(x)


@inlined
def _log(x: Any) -> Any:
    return log(x)


@inlined
def _log1p(x: Any) -> Any:
    return log1p(x)


@inlined
def _tanh(x: Any) -> Any:
    return tanh(x)


@inlined
def _power(x: Any, y: Any) -> Any:
    return pow(x, y)


@inlined
def _cube(x: Any) -> Any:
    return x * x * x


@elementwise(_cube)
def cube(x: Array) -> Array:
    """The third power."""
    return x * x * x


#: Those that have a compiled loop, on all threads.
_OF_NUMBERS = {
    np.add: _sum, np.subtract: _difference, np.multiply: _product, np.divide: _quotient, np.maximum: _maximum,
    np.minimum: _minimum, np.negative: _negative, np.absolute: _absolute, np.square: _square, np.reciprocal: _reciprocal,
    np.sqrt: _root, np.sign: _sign, np.exp: _exp, np.expm1: _expm1, np.log: _log, np.log1p: _log1p, np.tanh: _tanh,
    np.power: _power,
}  # fmt: skip


@cache
def in_used_memory(ufunc: np.ufunc) -> Callable[..., Any]:
    """``ufunc`` of large arrays."""
    function = _OF_NUMBERS.get(ufunc)

    def compute(*xs: Any) -> Any:
        return computed(ufunc, *xs)

    return compute if function is None else elementwise(function, arrays=ufunc.nin)(compute)


#: NumPy's functions that have something faster.
_FUNCTIONS: dict[Any, Callable[..., Any]] = {np.where: where}


class Large(NDArrayOperatorsMixin):
    """A large array, while a rule works on it: what is computed from it lies in memory that is used again."""

    __slots__ = ("array",)

    def __init__(self, array: Array):
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self.array.size  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self.array.ndim  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype  # type: ignore[no-any-return]

    def astype(self, dtype: Any) -> Any:
        """In another dtype."""
        return large(self.array.astype(dtype))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        xs = [x.array if x.__class__ is Large else _weak(x, self.dtype) for x in inputs]
        if method != "__call__" or options:
            return large(getattr(ufunc, method)(*xs, **options))
        return large(in_used_memory(ufunc)(*xs))

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return large(_FUNCTIONS.get(function, function)(*map(array_of, args), **kwargs))


def large(x: Any, most: int = 0) -> Any:
    """An array of more elements as a Large; anything else as it is."""
    return Large(x) if x.__class__ is np.ndarray and x.size > most else x


def array_of(x: Any) -> Any:
    """The array in a Large; anything else as it is."""
    return x.array if x.__class__ is Large else x


def _weak(x: Any, dtype: Any) -> Any:
    """A Python number as an array of that dtype, as NumPy takes it."""
    return np.array(x, dtype) if (x.__class__ is float or x.__class__ is int) and dtype.kind == "f" else x
