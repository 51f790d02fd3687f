"""Rows of a table by their indices, and indices as one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap


def check_indices(index: Array, n: int, what: str) -> None:
    """Raise an IndexError that says where, unless all of ``index`` are integers from 0 to n - 1."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"indices are integers, not {index.dtype}")
    if index.size and (index.min() < 0 or index.max() >= n):
        position = tuple(int(i) for i in np.argwhere((index < 0) | (index >= n))[0])
        where = f" at position {position}" if position else ""
        raise IndexError(f"index {index[position]}{where}; {what} is {n}")


@primitive
def embedding(input: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """Rows of a table: y[...] = weight[input[...]].

    Args:
        input: (...), integers.
        weight: (num_embeddings, embedding_dim).
        padding_idx: a row that gets no gradient.

    Raises:
        IndexError: an index is not from 0 to num_embeddings - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> F.embedding(np.array([1, 0, 1]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.],
           [3., 4.]])
    """
    check_indices(input, weight.shape[0], "num_embeddings")
    return np.take(weight, input, axis=0)


@primitive
def _add_rows(g: Array, index: Array, n: int, padding_idx: int | None) -> Array:
    """The transpose of ``embedding``: the sum of the rows of ``g`` for each index, (n, embedding_dim)."""
    total = np.zeros((n, g.shape[-1]), g.dtype)
    if index.size:
        index = index.ravel()
        order = np.argsort(index, kind="stable")
        ordered = index[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        total[ordered[starts]] = np.add.reduceat(g.reshape(-1, g.shape[-1])[order], starts, axis=0)
    if padding_idx is not None:
        total[padding_idx] = 0
    return total


def _rows(gg: Any, index: Array, n: int, padding_idx: int | None) -> Any:
    rows = embedding(index, gg)
    return rows if padding_idx is None else rows * (index != padding_idx % n)[..., None]


define_rule(
    embedding,
    ignores=("input",),
    weight=lambda g, input, weight_shape, padding_idx: _add_rows(g, input, weight_shape[0], padding_idx),
)
define_rule(_add_rows, ignores=("index",), g=_rows)


def one_hot(tensor: Any, num_classes: int = -1) -> Array:
    """Vectors that are 1 at the index and 0 elsewhere: (...) to (..., num_classes).

    They are small integers, so that a product with float32 stays float32.

    Args:
        tensor: integers from 0 to num_classes - 1.
        num_classes: by default the largest index + 1.

    Raises:
        IndexError: an index is out of range.

    >>> import numpy as np, chainrule.functional as F
    >>> F.one_hot(np.array([0, 2]))
    array([[1, 0, 0],
           [0, 0, 1]], dtype=int8)
    """
    index = unwrap(tensor)
    if num_classes < 0:
        num_classes = int(index.max()) + 1
    check_indices(index, num_classes, "num_classes")
    return (index[..., None] == np.arange(num_classes)).astype(np.int8)
