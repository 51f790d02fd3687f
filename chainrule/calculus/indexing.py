"""Indexing, assignment to an index, and what is a kind of indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.arrays import Part, as_array, in_memory, is_native, zeros
from ..core.memory import copy
from ..dispatch import composite, define_rule, primitive, unwrap
from ..kernels import lines


@primitive
def get_item(x: Any, index: Any) -> Any:
    """``x[index]``: basic and advanced indexing as NumPy's."""
    last = index[-1] if index.__class__ is tuple and index else index
    if last.__class__ is np.ndarray and is_native(x):
        axis = _single_axis(index, x.shape)
        if axis is not None:
            return lines.take(x, last, axis)
    return x[index]


@primitive
def put_item(v: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of ``shape`` with ``v`` added at ``index``, as often as each element occurs: the transpose of ``get_item``."""
    if not _is_advanced(index):
        out = zeros(shape, like=v)
        out[index] = v
        return out
    v = in_memory(v)
    axis = _single_axis(index, shape)
    if axis is not None and is_native(v) and v.dtype.char in "efd" and 0 not in shape:
        at = index[axis] if index.__class__ is tuple else index
        return lines.add_at(np.broadcast_to(v, (*shape[:axis], *at.shape, *shape[axis + 1 :])), at, axis, shape[axis])
    out = zeros(shape, like=v)
    if is_native(v) and v.dtype.char in "efd" and v.size > 16:
        # adding at repeated places is fastest as a weighted count of flat positions
        flat = np.arange(out.size).reshape(shape)[index].reshape(-1)
        values = np.broadcast_to(v, flat.shape) if v.shape == () else np.reshape(v, (-1,))
        out = np.bincount(flat, weights=values, minlength=out.size).astype(v.dtype).reshape(shape)
    else:
        np.add.at(out, index, v)
    return out


@primitive
def set_item(x: Any, index: Any, value: Any) -> Any:
    """A copy of ``x`` with ``value`` at ``index``."""
    out = copy(x)
    out[index] = value
    return out


def _single_axis(index: Any, shape: tuple[int, ...]) -> int | None:
    """The axis that an index is an array of integers along, where it takes all there is along those before it."""
    items = index if index.__class__ is tuple else (index,)
    last = items[-1] if items else None
    if last.__class__ is not np.ndarray or last.dtype.kind != "i" or last.ndim == 0 or len(items) > len(shape):
        return None
    return len(items) - 1 if all(i.__class__ is slice and i == slice(None) for i in items[:-1]) else None


def _is_advanced(index: Any) -> bool:
    """Whether an index may select an element twice."""
    for item in index if index.__class__ is tuple else (index,):
        if item.__class__ not in _BASIC and not isinstance(item, np.integer) and getattr(item, "dtype", None) != np.bool_:
            return True
    return False


_BASIC = frozenset({int, slice, bool, type(None), type(Ellipsis)})


def _without(g: Any, index: Any) -> Any:
    """``g`` with zeros at ``index``."""
    return set_item(g, index, g.dtype.type(0))


def _value(g: Any, index: Any, value_shape: tuple[int, ...]) -> Any:
    """``g`` at ``index``, where the value was not overwritten; axes of length 1 that it had beyond are put back."""
    taken = g[index]
    if _is_advanced(index):  # of values for the same element the last one stays
        order, written = np.arange(taken.size).reshape(taken.shape), np.zeros(g.shape, int)
        written[index] = order
        taken = np.where(written[index] == order, taken, g.dtype.type(0))
    extra = len(value_shape) - taken.ndim
    return np.reshape(taken, (1,) * extra + taken.shape) if extra > 0 else taken


def _get_item_x(g: Any, x_shape: tuple[int, ...], index: Any) -> Any:
    if (is_native(g) or isinstance(g, np.generic)) and not _is_advanced(index):
        return Part(g, index)
    return put_item(g, index, x_shape)


define_rule(get_item, linear="jointly", x=_get_item_x)
define_rule(put_item, linear="jointly", v=lambda g, index: get_item(g, index), ignores=("shape",))
define_rule(set_item, linear="jointly", x=lambda g, index: _without(g, index), value=_value)

# ---- functions that index -------------------------------------------------------------------------------


def _at_axis(index: Any, axis: int, ndim: int) -> tuple[Any, ...]:
    return (slice(None),) * (axis % ndim) + (index,)


@primitive
def _taken(a: Any, indices: Any, axis: int) -> Any:
    """Elements along an axis; of NumPy's array in C order, which indexing does not give."""
    return lines.take(a, indices, axis) if is_native(a) else a[_at_axis(indices, axis, a.ndim)]


define_rule(
    _taken,
    linear="jointly",
    a=lambda g, a_shape, indices, axis: put_item(g, _at_axis(indices, axis, len(a_shape)), a_shape),
)


@composite(np.take)
def _take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    if axis is None:
        a, axis = np.reshape(a, (-1,)), 0
    length, indices = a.shape[axis], as_array(unwrap(indices))
    if not indices.size and isinstance(indices, np.ndarray):
        indices = indices.astype(int)  # also of an empty list
    if mode != "raise":
        indices = indices % length if mode == "wrap" else np.clip(indices, 0, length - 1)
    return _taken(a, indices, axis)


def places_along_axis(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """The index of ``indices`` along an axis, and of every place along the others."""
    indices = as_array(unwrap(indices))
    if indices.ndim != len(shape):
        raise ValueError(f"np.take_along_axis: indices have {indices.ndim} axes, the array has {len(shape)}")
    axis %= len(shape)
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return tuple(indices if i == axis else grid[i] for i in range(len(shape)))


@composite(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        arr, axis = np.reshape(arr, (-1,)), 0
    index = unwrap(indices)
    if index.__class__ is np.ndarray and -arr.ndim <= axis < arr.ndim and lines.gathers(arr, index, axis % arr.ndim):
        return _gathered(arr, index, axis % arr.ndim)
    return arr[places_along_axis(arr.shape, indices, axis)]


@primitive
def _gathered(arr: Any, indices: Any, axis: int) -> Any:
    """Elements along an axis, by indices that have the array's shape along the others."""
    return lines.gather(arr, indices, axis) if is_native(arr) else arr[places_along_axis(arr.shape, indices, axis)]


@primitive
def _scattered(g: Any, indices: Any, axis: int, n: int) -> Any:
    """The transpose of ``_gathered``."""
    if is_native(g) and g.dtype.kind == "f":
        return lines.scatter(g, indices, axis, n)
    shape = (*g.shape[:axis], n, *g.shape[axis + 1 :])
    return put_item(g, places_along_axis(g.shape, indices, axis), shape)


define_rule(_gathered, linear="jointly", arr=lambda g, arr_shape, indices, axis: _scattered(g, indices, axis, arr_shape[axis]))
define_rule(_scattered, linear="jointly", g=lambda g, indices, axis: _gathered(g, indices, axis), ignores=("n",))


@composite(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.reshape(a, (-1,)), 0
    return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis=axis)


@composite(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    along = np.arange(count)
    return a[..., along + max(-offset, 0), along + max(offset, 0)]


@composite(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"np.diag: input must have 1 or 2 axes, not {v.ndim}")
    along, n = np.arange(v.shape[0]), v.shape[0] + abs(k)
    return put_item(v, (along + max(-k, 0), along + max(k, 0)), (n, n))


@composite(np.diagflat)
def _diagflat(v: Any, k: int = 0) -> Any:
    return np.diag(np.reshape(v, (-1,)), k)


@composite(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: bool | None = None) -> Any:
    if order is not None:
        raise TypeError("np.sort(order=...) is for structured arrays, which a Variable cannot hold")
    if axis is None:
        a, axis = np.reshape(a, (-1,)), -1
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind=kind, stable=stable), axis=axis)


@composite(np.partition)
def _partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: Any = None) -> Any:
    if order is not None:
        raise TypeError("np.partition(order=...) is for structured arrays, which a Variable cannot hold")
    if axis is None:
        a, axis = np.reshape(a, (-1,)), -1
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis, kind=kind), axis=axis)


@composite(np.sort_complex)
def _sort_complex(a: Any) -> Any:
    return np.astype(np.sort(a), np.sort_complex(np.zeros(0, a.dtype)).dtype)


@composite(np.delete)
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    if axis is None:
        arr, axis = np.reshape(arr, (-1,)), 0
    return np.take(arr, np.delete(np.arange(arr.shape[axis]), unwrap(obj)), axis=axis)


@composite(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Join the values to the array, and bring both into their order."""
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, axis = np.reshape(arr, (-1,)), 0
    axis, count = normalize_axis_index(axis, arr.ndim), arr.shape[axis]
    if isinstance(obj, slice):
        obj = np.arange(*obj.indices(count))
    obj = np.asarray(unwrap(obj))
    before = np.flatnonzero(obj) if obj.dtype == np.bool_ else obj
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if before.ndim == 0:
        values = np.moveaxis(values, 0, axis)
    if before.size == 1:
        before = np.full(values.shape[axis], before.item())
    before = before.astype(int)
    if np.any((before < -count) | (before > count)):
        raise IndexError(f"np.insert: an index of {before.tolist()} is out of bounds for {count} elements along axis {axis}")
    places = np.where(before < 0, before + count, before)
    places[np.argsort(places, kind="stable")] += np.arange(len(places))
    others = np.delete(np.arange(count + len(places)), places)
    shape = [len(places) if i == axis else n for i, n in enumerate(arr.shape)]
    joined = np.concatenate([arr, np.astype(np.broadcast_to(values, shape), arr.dtype)], axis=axis)
    return np.take(joined, np.argsort(np.concatenate([others, places])), axis=axis)
