"""Rows added up by index: the transpose of ``lines.take_rows``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import compiled, dense, kernel, parallel_for
from .lines import integers

_PARTS = 16  # of a table


@kernel
def add_rows(rows: Array, index: Array, n: int) -> Array:
    """The transpose of ``take_rows``: for each of ``n`` indices the sum of the rows (..., d) that have it, in order: (n, d)."""
    total = np.zeros((n, rows.shape[-1]), rows.dtype)
    if rows.size:
        index = index.ravel()
        order = np.argsort(index, kind="stable")
        ordered = index[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        total[ordered[starts]] = np.add.reduceat(rows.reshape(index.size, -1)[order], starts, axis=0)
    return total


@add_rows.compiled(when=lambda rows, index, n: rows.size > 4096 and dense(rows))
def _(rows: Array, index: Array, n: int) -> Array:
    total = empty((n, rows.shape[-1]), rows.dtype)
    _add(rows.reshape(index.size, -1), integers(index), total, -(-n // _PARTS))
    return total


@compiled
def _add(rows: Any, index: Any, total: Any, part: int) -> None:
    parallel_for(_add_block, (rows, index, total), len(total), part)


@compiled
def _add_block(rows: Any, index: Any, total: Any, start: int, stop: int) -> None:
    """Each block has a part of the table to itself, and looks for what falls into it."""
    flat = total[start:stop].reshape(-1)
    zero = total.dtype.type(0)
    for j in range(len(flat)):
        flat[j] = zero
    for i in range(len(index)):
        if start <= index[i] < stop:
            row, to = rows[i], total[index[i]]
            for j in range(len(row)):
                to[j] += row[j]
