"""Choosing between elements, comparing and copying them, on all threads."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..core import memory
from ..core.arrays import Array, ndarray
from .elementwise import elementwise
from .layer import dense, inlined

_NUMBERS = frozenset({int, float})


@inlined
def _chosen(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y


@inlined
def _same(x: Any) -> Any:
    return x


@elementwise(_chosen, arrays=2, masks=1)
def _where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``np.where``, of anything that it takes."""
    if condition.__class__ is ndarray:
        if x.__class__ is not ndarray:
            x = _as_array(x, y)
        elif y.__class__ is not ndarray:
            y = _as_array(y, x)
        made = _where.computed(condition, x, y)
        if made is not None:
            return made
    return np.where(condition, x, y)


def _as_array(x: Any, other: Any) -> Any:
    """A number beside an array of floats as NumPy takes it: in their dtype."""
    if other.__class__ is ndarray and (x.__class__ in _NUMBERS or x.__class__ is other.dtype.type) and other.dtype.kind == "f":
        return np.array(x, other.dtype)
    return x


@elementwise(_same)
def _copied(x: Array) -> Array:
    return np.copy(x)


memory.copy_large = _copied


def concatenate(arrays: list[Array], axis: Any = 0, out: None = None, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """``np.concatenate``; a large result lies in memory that is used again."""
    first = arrays[0] if arrays else None
    if axis is None or dtype is not None or first is None or first.ndim == 0 or not dense(*arrays):
        return np.concatenate(arrays, axis, dtype=dtype, casting=casting)
    axis, shapes = operator.index(axis), [a.shape for a in arrays]
    if not -first.ndim <= axis < first.ndim or {len(s) for s in shapes} != {first.ndim}:
        return np.concatenate(arrays, axis)
    shape = [*first.shape]
    shape[axis] = sum([s[axis] for s in shapes])
    return np.concatenate(arrays, axis, memory.empty(tuple(shape), first.dtype))


def stack(arrays: list[Array], axis: Any = 0, out: None = None, dtype: Any = None, casting: Any = "same_kind") -> Array:
    """``np.stack``; a large result lies in memory that is used again."""
    if dtype is not None or not arrays or not dense(*arrays) or not -arrays[0].ndim <= axis <= arrays[0].ndim:
        return np.stack(arrays, axis, dtype=dtype, casting=casting)
    shape = [*arrays[0].shape]
    shape.insert(axis % (len(shape) + 1), len(arrays))
    return np.stack(arrays, axis, memory.empty(tuple(shape), arrays[0].dtype))
