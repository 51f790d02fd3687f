"""Rows of a table by their indices, and the transpose: rows added up by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import compiled, dense, kernel, parallel_for

_BLOCK = 16384  # numbers
_PARTS = 16  # of a table


def _pays(rows: Array, index: Array) -> bool:
    return index.size * rows.shape[-1] > 4096 and dense(rows)


@kernel
def take_rows(table: Array, index: Array) -> Array:
    """The rows of ``table`` (n, d) at ``index`` (...), all from 0 to n - 1: (..., d)."""
    return np.take(table, index, axis=0)


@take_rows.compiled(when=lambda table, index: _pays(table, index) and table.flags.c_contiguous)
def _(table: Array, index: Array) -> Array:
    out = empty((index.size, table.shape[1]), table.dtype)
    _take(table, _flat(index), out)
    return out if index.ndim == 1 else out.reshape(*index.shape, -1)


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


@add_rows.compiled(when=lambda rows, index, n: _pays(rows, index))
def _(rows: Array, index: Array, n: int) -> Array:
    total = empty((n, rows.shape[-1]), rows.dtype)
    _add(rows.reshape(index.size, -1), _flat(index), total, -(-n // _PARTS))
    return total


def _flat(index: Array) -> Array:
    plain = index.ndim == 1 and index.dtype == np.int64 and index.flags.c_contiguous
    return index if plain else np.ascontiguousarray(index.reshape(-1), np.int64)


@compiled
def _take(table: Any, index: Any, out: Any) -> None:
    parallel_for(_take_block, (table, index, out), len(index), 1 + _BLOCK // table.shape[1])


@compiled
def _take_block(table: Any, index: Any, out: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        row, to = table[index[i]], out[i]
        for j in range(len(row)):
            to[j] = row[j]


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
