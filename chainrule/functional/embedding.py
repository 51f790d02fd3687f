"""Rows of a table by their indices, and indices as one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.variable import Variable
from ..dispatch import define_rule, primitive, unwrap
from ..kernels.embedding import add_rows
from ..kernels.lines import check_indices, take_rows


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table: y[...] = weight[input[...]].

    Args:
        input: (...), integers.
        weight: (num_embeddings, embedding_dim).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up and whose norm is larger are first shortened to it, in ``weight`` itself.
        norm_type: the p of that norm.
        scale_grad_by_freq: whether a row's gradient is divided by how often it is looked up.
        sparse: there are no sparse gradients here, so False.

    Raises:
        IndexError: an index is not from 0 to num_embeddings - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> F.embedding(np.array([1, 0, 1]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.],
           [3., 4.]])
    """
    index, n = unwrap(input), _rows_in(weight)
    _refuse_sparse(sparse)
    if max_norm is not None:
        check_indices(index, n, "num_embeddings")
        _shorten(weight, index, max_norm, norm_type)
    return _rows(weight, index, None if padding_idx is None else padding_idx % n, scale_grad_by_freq)


@primitive
def _rows(weight: Array, index: Array, padding_idx: int | None = None, by_frequency: bool = False) -> Array:
    return take_rows(weight, index)


@primitive
def _add_rows(rows: Array, index: Array, n: int) -> Array:
    return add_rows(rows, index, n)


def _rows_gradient(g: Any, weight_shape: tuple[int, int], index: Array, padding_idx: int | None, by_frequency: bool) -> Any:
    if padding_idx is not None:
        g = np.where((index != padding_idx)[..., None], g, g.dtype.type(0))
    total = _add_rows(g, index, weight_shape[0])
    if by_frequency:
        times = np.maximum(np.bincount(index.ravel(), minlength=weight_shape[0]), 1)
        total = total / times[:, None].astype(total.dtype)
    return total


define_rule(_rows, weight=_rows_gradient)
define_rule(_add_rows, rows=lambda g, index: _rows(g, index), ignores=("n",), linear="jointly")


def _shorten(weight: Any, index: Array, max_norm: float, norm_type: float) -> None:
    """Shorten rows whose norm is more than ``max_norm`` to that, in place and not recorded."""
    table, index = unwrap(weight), np.unique(index)
    norms = np.linalg.norm(table[index], norm_type, axis=1)
    long = norms > max_norm
    if long.any():
        table[index[long]] *= (max_norm / (norms[long] + 1e-7))[:, None]
        if isinstance(weight, Variable):
            weight.data = table  # tells the tape


def _rows_in(weight: Any) -> int:
    """How many rows a table has."""
    if weight.ndim != 2:
        raise ValueError(f"expected a weight (num_embeddings, embedding_dim), got {weight.shape}")
    return weight.shape[0]  # type: ignore[no-any-return]


def _refuse_sparse(sparse: bool) -> None:
    if sparse:
        raise NotImplementedError("gradients of an embedding are dense here; leave sparse=False")


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows of each bag of indices; zeros for a bag without any.

    Args:
        input: (B, K), K indices in each bag; or (rows,), one bag after the other, with ``offsets``.
        weight: (num_embeddings, embedding_dim).
        offsets: (B,), where each bag starts.
        max_norm, norm_type, scale_grad_by_freq, sparse: as of ``embedding``.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        per_sample_weights: of input's shape, what each row is multiplied by; for ``"sum"`` alone.
        include_last_offset: whether ``offsets`` has the end of the last bag too, and so one more element.
        padding_idx: an index that is passed over.

    Raises:
        IndexError: an index is not from 0 to num_embeddings - 1.
        ValueError: the offsets do not fit, or the weights.

    >>> import numpy as np, chainrule.functional as F
    >>> F.embedding_bag(np.array([0, 1, 1]), np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([0, 2]))
    array([[2., 4.],
           [3., 6.]])
    """
    index, n = unwrap(input), _rows_in(weight)
    check_indices(index, n, "num_embeddings")
    _refuse_sparse(sparse)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode is 'sum', 'mean' or 'max', not {mode!r}")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != index.shape):
        raise ValueError(
            f"per_sample_weights are for mode='sum' and of the input's shape {index.shape}, got {per_sample_weights.shape} "
            f"and mode={mode!r}"
        )
    bag, bags = _bags(index, unwrap(offsets), include_last_offset)
    if max_norm is not None:
        _shorten(weight, index, max_norm, norm_type)
    index, by_row = index.ravel(), per_sample_weights
    if by_row is not None:
        by_row = np.reshape(by_row, (-1, 1))
    if padding_idx is not None:
        kept = index != padding_idx % n
        index, bag, by_row = index[kept], bag[kept], None if by_row is None else by_row[kept]
    rows = _rows(weight, index, None, scale_grad_by_freq)
    if mode == "max":
        return _largest(rows, bag, bags)
    total = _add_rows(rows if by_row is None else rows * by_row, bag, bags)
    if mode == "sum":
        return total
    counts = np.maximum(np.bincount(bag, minlength=bags), 1)
    return total / counts[:, None].astype(total.dtype)


def _bags(index: Array, offsets: Array | None, include_last_offset: bool) -> tuple[Array, int]:
    """The bag of each index, (rows,), and how many bags there are."""
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError("an input (B, K) has its bags in its rows, and takes no offsets")
        return np.repeat(np.arange(len(index)), index.shape[1]), len(index)
    if index.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ValueError(f"expected an input (B, K), or (rows,) with offsets (B,), got {index.shape}")
    ends = offsets[1:] if include_last_offset else np.append(offsets[1:], len(index))
    starts = offsets[: len(ends)]
    if len(ends) and (starts[0] != 0 or (ends < starts).any() or ends[-1] > len(index)):
        raise ValueError(
            f"offsets start with 0, rise, and are at most {len(index)}, the input's length; got {offsets.tolist()}"
        )
    return np.repeat(np.arange(len(ends)), ends - starts), len(ends)


def _largest(rows: Any, bag: Array, bags: int) -> Any:
    """The largest element of each bag's rows, the first where several are equal; ``bag`` does not fall."""
    values = unwrap(rows)
    starts = np.flatnonzero(np.diff(bag, prepend=-1))
    if not len(starts):
        return _add_rows(rows, bag, bags)
    top = np.maximum.reduceat(values, starts, axis=0)
    full = np.searchsorted(bag[starts], bag)  # the place of each row's bag among those that have rows
    place = np.where(values == top[full], np.arange(len(bag))[:, None], len(bag))
    first = np.minimum.reduceat(place, starts, axis=0)
    return _add_rows(np.take_along_axis(rows, np.minimum(first, len(bag) - 1), axis=0), bag[starts], bags)


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
