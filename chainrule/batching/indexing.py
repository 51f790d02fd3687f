"""Batching of indexing: slices and numbers first, then the index arrays together and in front, where examples may differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..calculus import indexing
from ..calculus.indexing import get_item, put_item, set_item
from ..core.batched import Batched, DependsOnValues, Level, NotBatched, whole
from ..dispatch import unwrap
from .arrays import beyond
from .calls import aligned, batches


class _Index:
    """An index of one example's array of a shape, taken apart.

    ``basic`` is the index without its arrays; ``arrays`` are these; ``places`` are the axes that they index of what ``basic``
    leaves. Their own axes, ``ndim`` in number, stand in the result behind ``lead`` others: NumPy puts them where the arrays
    stand in the index, or in front where something stands in between.
    """

    def __init__(self, index: Any, shape: tuple[int, ...]):
        items: list[Any] = []
        for item in unwrap(index) if index.__class__ is tuple else (unwrap(index),):
            items += _items(item)
        if not any(item is ... for item in items):
            items.append(...)
        at = next(k for k, item in enumerate(items) if item is ...)
        items[at : at + 1] = [slice(None)] * (len(shape) - sum(item is not None and item is not ... for item in items))
        chosen = [k for k, item in enumerate(items) if _is_array(item)]
        self.arrays = [items[k] for k in chosen]
        self.ndim = max(map(np.ndim, self.arrays), default=0)
        if chosen:
            chosen = [k for k, item in enumerate(items) if not (item is None or isinstance(item, slice))]
        kept = [k for k, item in enumerate(items) if item is None or isinstance(item, slice) or _is_array(item)]
        self.places = [i for i, k in enumerate(kept) if _is_array(items[k])]
        apart = bool(chosen) and chosen[-1] - chosen[0] >= len(chosen)
        self.lead = 0 if apart or not chosen else sum(k < chosen[0] for k in kept)
        self.basic = (slice(None), *(slice(None) if _is_array(item) else item for item in items))
        self.basic = self.basic if any(item != slice(None) for item in self.basic) else ()

    def left(self, inner: Any) -> Any:
        """What the slices and numbers leave of the array of all examples, the indexed axes in front."""
        inner = inner[self.basic] if self.basic else inner
        return np.moveaxis(inner, [1 + p for p in self.places], range(1, 1 + len(self.places))) if self.places else inner

    def put_back(self, made: Any) -> Any:
        """The indexed axes of what ``left`` gave where they were."""
        return np.moveaxis(made, range(1, 1 + len(self.places)), [1 + p for p in self.places]) if self.places else made

    def of_all(self, level: Level) -> tuple[Any, ...]:
        """The index of what ``left`` gave: its result's axes are the examples', the arrays' own, and the others."""
        arrays = tuple(aligned(a, self.ndim, level) for a in self.arrays)
        if not any(a.__class__ is Batched and a.mapped for a in self.arrays):
            return (slice(None), *arrays)
        return (np.reshape(np.arange(level.size), (-1,) + (1,) * self.ndim), *arrays)

    def in_order(self, found: Any) -> Any:
        """The arrays' own axes where one example's result has them."""
        return np.moveaxis(found, range(1, 1 + self.ndim), self._own()) if self.lead and self.ndim else found

    def in_front(self, result: Any) -> Any:
        """The transpose of ``in_order``."""
        return np.moveaxis(result, self._own(), range(1, 1 + self.ndim)) if self.lead and self.ndim else result

    def _own(self) -> range:
        return range(1 + self.lead, 1 + self.lead + self.ndim)


def _is_array(item: Any) -> bool:
    return item.__class__ is Batched or isinstance(item, np.ndarray)


def _items(item: Any) -> list[Any]:
    """An item of an index; a mask is the arrays of its places."""
    if isinstance(item, (bool, np.bool_)):
        raise NotBatched("a truth value as an index")
    if item.__class__ is Batched and not item.mapped:
        item = unwrap(item.inner)
    if isinstance(item, list):
        item = np.asarray(item, None if item else int)
    if _is_array(item) and item.dtype == np.bool_:
        if item.__class__ is Batched:
            raise DependsOnValues(
                "x[mask] inside vmap: its shape depends on the mask, and so may differ from example to example; use "
                "np.where(mask, x, 0), or give a mask that is the same for all examples with None in in_axes"
            )
        if not item.ndim:
            raise NotBatched("a truth value as an index")
        return list(np.nonzero(item))
    return [item.__index__() if isinstance(item, np.integer) else item]


@batches(get_item)
def _get(level: Level, x: Any, index: Any) -> Any:
    if x.__class__ is not Batched or x.level is not level or not x.mapped:
        return _get_of_one(level, x.inner if x.__class__ is Batched and x.level is level else x, index)
    parts = _Index(index, x.shape)
    left = parts.left(x.inner)
    return parts.in_order(left[parts.of_all(level)]) if parts.arrays else left


def _get_of_one(level: Level, x: Any, index: Any) -> Any:
    """Of one array for all examples, where the index alone has the examples' axis."""
    parts = _Index(index, x.shape)
    left = parts.left(x[None])[0]
    return parts.in_order(left[tuple(aligned(a, parts.ndim, level) for a in parts.arrays)])


@batches(put_item)
def _put(level: Level, v: Any, index: Any, shape: tuple[int, ...]) -> Any:
    parts = _Index(index, shape)
    v = whole(v, level)
    if not parts.arrays:
        return put_item(v, parts.basic or (slice(None),), (level.size, *shape))
    left = parts.left(np.broadcast_to(0, (level.size, *shape))).shape
    made = parts.put_back(put_item(parts.in_front(v), parts.of_all(level), left))
    return put_item(made, parts.basic, (level.size, *shape)) if parts.basic else made


@batches(set_item)
def _set(level: Level, x: Any, index: Any, value: Any) -> Any:
    if index.__class__ is Batched and index.dtype == np.bool_ and np.ndim(value) == 0:
        mask = np.reshape(index, index.shape + (1,) * (x.ndim - index.ndim))
        return whole(np.where(mask, np.astype(value, x.dtype) if hasattr(value, "dtype") else value, x), level)
    parts = _Index(index, np.shape(x))
    x = whole(x, level)
    left = parts.left(x)
    result = parts.in_order(np.broadcast_to(0, left.shape)[parts.of_all(level)]).shape if parts.arrays else left.shape
    extra = np.ndim(value) - (len(result) - 1)
    value = np.reshape(value, np.shape(value)[extra:]) if extra > 0 else value  # axes of length 1 beyond are allowed
    value = whole(np.broadcast_to(value, result[1:]), level)
    if not parts.arrays:
        return set_item(x, parts.basic or (slice(None),), value)
    made = parts.put_back(set_item(left, parts.of_all(level), parts.in_front(value)))
    return set_item(x, parts.basic, made) if parts.basic else made


@batches(indexing._taken)
def _taken(level: Level, a: Any, indices: Any, axis: int) -> Any:
    if indices.__class__ is not Batched:
        return indexing._taken(whole(a, level), indices, beyond(axis, a.ndim))
    return _get(level, a, (slice(None),) * (axis % a.ndim) + (indices,))
