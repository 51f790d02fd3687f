"""Putting single items together to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array, is_array
from ..core.variable import Variable


def collate(items: Sequence[Any]) -> Any:
    """Return a batch of items: arrays and numbers are stacked, within tuples, lists and dicts; the rest is listed.

    Args:
        items: at least one; all of the same structure, and with arrays of the same shape at the same place.

    Raises:
        ValueError: the items differ in structure or shape.

    >>> import numpy as np
    >>> collate([(np.zeros(2), 3, "a"), (np.ones(2), 5, "b")])
    (array([[0., 0.],
           [1., 1.]]), array([3, 5]), ['a', 'b'])
    """
    first = items[0]
    if isinstance(first, Variable) or is_array(first) or isinstance(first, (np.generic, int, float, complex)):
        shapes = {np.shape(item) for item in items}
        if len(shapes) > 1:
            raise ValueError(
                f"items of shapes {', '.join(map(str, sorted(shapes)))} cannot be stacked; give them one shape, "
                "or override Dataset.batch to pad them"
            )
        return np.stack(items)
    if isinstance(first, Mapping):
        if any(item.keys() != first.keys() for item in items):
            raise ValueError(f"items have different keys: {sorted({tuple(item) for item in items})}")
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(item) != len(first) for item in items):
            raise ValueError(f"items have different lengths: {sorted({len(item) for item in items})}")
        columns = [collate(column) for column in zip(*items, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    return list(items)


def merge(batches: Sequence[Any], order: Array) -> Any:
    """Put batches together to one, and its examples into another order.

    >>> import numpy as np
    >>> merge([(np.array([1, 2]), ["a", "b"]), (np.array([3]), ["c"])], np.array([2, 0, 1]))
    (array([3, 1, 2]), ['c', 'a', 'b'])
    """
    first = batches[0]
    if isinstance(first, Variable) or is_array(first):
        return np.concatenate(batches)[order]
    if isinstance(first, Mapping):
        return {key: merge([batch[key] for batch in batches], order) for key in first}
    if isinstance(first, tuple) or any(is_array(part) or isinstance(part, (tuple, Mapping)) for part in first):
        columns = [merge(column, order) for column in zip(*batches, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    every = [item for batch in batches for item in batch]
    return [every[i] for i in order.tolist()]
