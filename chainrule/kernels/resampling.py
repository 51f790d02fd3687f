"""Linear maps along one axis: each output is a weighted sum of a few inputs. They interpolate, pad and average."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from ..core.arrays import Array


class Taps:
    """The map y[o] = sum of weight[t] x[index[t]] over start[o] <= t < start[o + 1]: a sparse matrix, held by rows.

    Args:
        size: how many inputs there are.
        start: (outputs + 1,).
        index: of an input, for each tap.
        weight: for each tap.

    >>> taps = Taps.of_rows(3, [[0], [0, 1], [1, 2]], [[1.0], [0.5, 0.5], [0.5, 0.5]])
    >>> apply(np.array([[1.0, 3.0, 5.0]]), (taps,))
    array([[1., 2., 4.]])
    """

    def __init__(self, size: int, start: Array, index: Array, weight: Array):
        self.size, self.start, self.index, self.weight = size, start, index, weight

    @classmethod
    def of_rows(cls, size: int, indices: Iterable[Iterable[int]], weights: Iterable[Iterable[float]]) -> Taps:
        """For each output, the indices of its inputs and their weights."""
        index, weight = ([np.asarray(row) for row in rows] for rows in (indices, weights))
        start = np.cumsum([0, *map(len, index)])
        if not index:
            return cls(size, start, np.zeros(0, np.int64), np.zeros(0))
        return cls(size, start, np.concatenate(index).astype(np.int64), np.concatenate(weight).astype(np.float64))

    @cached_property
    def transposed(self) -> Taps:
        """The transpose of the matrix."""
        rows = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        order = np.argsort(self.index, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(self.index, minlength=self.size))])
        return Taps(len(self.start) - 1, start, rows[order], self.weight[order])


def apply(x: Array, taps: tuple[Taps | None, ...]) -> Array:
    """Map the last axes of ``x``, one after the other, in the order of memory that ``x`` has; None leaves an axis as it is."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    y = np.ascontiguousarray(x.transpose(order))
    for axis, along in enumerate(taps, start=x.ndim - len(taps)):
        if along is not None:
            y = _along(y, along, order.index(axis))
    return y.transpose(np.argsort(order))


def _along(x: Array, taps: Taps, axis: int) -> Array:
    shape = [1] * x.ndim
    shape[axis] = -1
    taken = np.take(x, taps.index, axis) * taps.weight.astype(x.dtype).reshape(shape)
    counts = np.diff(taps.start)
    if np.all(counts == 1):
        return taken
    y = np.zeros((*x.shape[:axis], len(counts), *x.shape[axis + 1 :]), x.dtype)
    filled = np.flatnonzero(counts)  # reduceat takes a row without taps for one with the next tap
    if len(filled):
        y[(slice(None),) * axis + (filled,)] = np.add.reduceat(taken, taps.start[filled], axis)
    return y
