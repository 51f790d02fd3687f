"""What counts as an array. The one module that asks which kind an array is."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

ndarray = np.ndarray

#: Anything that speaks NumPy's protocols: ``numpy.ndarray``, ``cupy.ndarray``, ``dask.array.Array``.
Array = Any


class Memory(np.ndarray):
    """Memory that one array lies in, and else its views: that array owns its data, as one without a base does."""

    __slots__ = ()


_UNDIFFERENTIABLE_KINDS = frozenset("OSUmM")


def is_array(x: object) -> bool:
    """Whether ``x`` is an array: NumPy's own, or one of a library that speaks NumPy's protocols."""
    return isinstance(x, ndarray) or (hasattr(x, "__array_function__") and hasattr(x, "dtype"))


def as_array(x: Any) -> Array:
    """Return ``x`` as an array: scalars and sequences become a NumPy array, arrays stay as they are.

    >>> as_array(1.5)
    array(1.5)
    """
    if x.__class__ is ndarray:
        return x
    return np.array(x) if isinstance(x, np.generic) or not is_array(x) else x


def is_native(x: object) -> bool:
    """Whether ``x`` is NumPy's own array."""
    return x.__class__ is ndarray


def owns_its_data(x: ndarray) -> bool:
    """Whether ``x`` is no view of another array."""
    return x.base is None or isinstance(x.base, Memory)


def zeros(shape: tuple[int, ...], like: Array, dtype: Any = None) -> Array:
    """Zeros in the library of ``like``, and of its dtype if no other is given."""
    return np.zeros(shape, like.dtype if dtype is None else dtype, like=like if is_array(like) else None)


def ones(shape: tuple[int, ...], dtype: Any) -> ndarray:
    """NumPy's ones, without its questions to other libraries: of a few elements these take most of the time."""
    made = np.empty(shape, dtype)
    made.fill(1)
    return made


def in_memory(x: Array) -> Array:
    """``x``, computed first where it is lazy, for what only an array in memory can do (Dask)."""
    return np.asarray(x) if hasattr(x, "__dask_graph__") else x


def is_numeric(x: Array) -> bool:
    """Whether the array's dtype can carry a derivative, or stand beside one that can (integers, booleans)."""
    return x.dtype.kind not in _UNDIFFERENTIABLE_KINDS


def gradient_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of the gradient of data of ``dtype``: its own, or float64 for integers and booleans."""
    return np.dtype(np.float64) if dtype.kind in "biu" else dtype


_add: Any = np.add.reduce


def _sum(x: Array, axis: Any, keepdims: bool = False) -> Array:
    if x.__class__ is not ndarray:
        return x.sum(axis=axis, keepdims=keepdims)
    if axis == 0 and x.ndim == 2 and x.shape[1] < _SHORT < len(x) < _MANY and x.dtype.kind == "f":
        sums = ones((len(x),), x.dtype) @ x  # short rows are multiplied faster than they are added
        return sums[None] if keepdims else sums
    return _add(x, axis, None, None, keepdims)


#: The length of rows that are short, and the numbers of rows that are many, and not too many for one thread.
_SHORT, _MANY = 64, 4096


def sum_to(x: Array, shape: tuple[int, ...], total: Callable[..., Array] = _sum) -> Array:
    """Sum ``x`` over the axes along which ``shape`` was broadcast to ``x.shape``: the transpose of broadcasting.

    ``total`` is what sums.

    Raises:
        ValueError: ``shape`` does not broadcast to ``x.shape``.
    """
    lead = x.ndim - len(shape)
    if lead > 0:
        x = total(x, axis=0 if lead == 1 else tuple(range(lead)))
    if x.shape == shape:  # the usual case, such as a bias
        return x
    stretched = [i for i, (n, m) in enumerate(zip(shape, x.shape, strict=False)) if n != m]
    summed = total(x, axis=stretched[0] if len(stretched) == 1 else tuple(stretched), keepdims=True)
    if summed.shape != shape:
        raise ValueError(f"{x.shape} is not a broadcast of {shape}")
    return summed


#: Up to so many elements it takes NumPy longer to broadcast than to fill.
_FEW = 4096


def spread(x: Array, shape: tuple[int, ...]) -> Array:
    """``x`` broadcast to ``shape``."""
    if isinstance(x, (ndarray, np.generic)) and prod(shape) <= _FEW:
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return np.broadcast_to(x, shape)


def kept_where(condition: Array, x: Any) -> Any:
    """``x``, broadcast, where ``condition`` holds, and 0 elsewhere; fastest where that is seldom."""
    if not (is_native(condition) and isinstance(x, (ndarray, np.generic))) or condition.size <= _FEW:
        return np.where(condition, x, x.dtype.type(0))
    out = np.zeros(condition.shape, x.dtype)
    np.copyto(out, x, where=condition)
    return out


def fit(g: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Bring a gradient to its variable's shape and dtype: undo broadcasting and promotion, in this one place.

    ``g`` is an array, or a Variable when the gradient itself is recorded. The gradient of a real variable
    that took part in complex arithmetic is the real part.
    """
    if g.shape != shape:
        g = sum_to(g, shape)
    dtype = gradient_dtype(dtype)
    if g.dtype != dtype:
        if g.dtype.kind == "c" and dtype.kind != "c":
            g = np.real(g)
        g = g.astype(dtype)
    return g


class Part:
    """A gradient that is zero but at an index, without the zeros: the transpose of ``x[index]``.

    A rule may return one where ``index`` chooses no element twice. The walk adds it to the gradient that is there: a loop
    over ``x[i]`` then takes the time of its elements, and not for each of them that of an array like x.
    """

    __slots__ = ("index", "value")
    shape = dtype = None  # it is like no array, and so the walk sees it

    def __init__(self, value: Array, index: Any):
        self.value, self.index = value, index

    def add_to(self, whole: Array) -> None:
        """Add it to the gradient of the whole, in place."""
        value = self.value
        whole[self.index] += value if value.dtype is whole.dtype else fit(value, value.shape, whole.dtype)

    def among_zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """The gradient of the whole, if there is nothing else."""
        whole = zeros(shape, self.value, gradient_dtype(dtype))
        self.add_to(whole)
        return whole
