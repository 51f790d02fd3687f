"""The gradient of maxima and minima: each is divided among the elements that are equal to it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native, kept_where
from ..core.memory import empty
from .layer import address, array_at, compiled, dense, inlined, kernel, parallel_for

_LEAST = 2048  # elements from which on the compiled version is faster
_BLOCK = 32768  # elements
_TILE = 256  # columns


@kernel
def divided(g: Array, extreme: Array, x: Array) -> Array:
    """``g`` divided among the elements of ``x`` that equal ``extreme``, and 0 elsewhere.

    Both have 1 along the reduced axes, or are the one number of all.
    """
    chosen = x == extreme
    if (
        is_native(chosen)
        and np.count_nonzero(chosen) == extreme.size
        and (extreme.size == 1 or chosen.any(axis=_reduced(extreme.shape, x.shape)).all())
    ):  # the usual case: one for each
        return kept_where(chosen, g)
    ties = np.maximum(np.sum(chosen, axis=_reduced(extreme.shape, x.shape), keepdims=True), 1)
    return kept_where(chosen, g / ties.astype(g.dtype))


@lru_cache(maxsize=1024)
def _reduced(extreme: tuple[int, ...], x: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which an array was reduced, by both shapes."""
    return tuple([i for i, (n, m) in enumerate(zip(extreme, x, strict=True)) if n != m] if extreme else range(len(x)))


def _fits(g: Array, extreme: Array, x: Array) -> bool:
    if x.size < _LEAST or not dense(g, extreme, x) or not x.flags.c_contiguous:
        return False
    axes = _reduced(extreme.shape, x.shape)
    return len(axes) > 0 and axes[-1] - axes[0] == len(axes) - 1


@divided.compiled(when=_fits)
def _(g: Array, extreme: Array, x: Array) -> Array:
    out, last = empty(x.shape, x.dtype), _reduced(extreme.shape, x.shape)[-1]
    n = x.strides[last] // x.itemsize  # the elements from one that is reduced to the next
    if g.shape != extreme.shape:
        g = np.broadcast_to(g, extreme.shape)
    arguments = g.reshape(-1), extreme.reshape(-1), x.reshape(-1), out.reshape(-1)
    if n == 1:
        _rows(*arguments)
    else:
        _columns(*arguments, n)
    return out


@compiled
def _rows(g: Any, extreme: Any, x: Any, out: Any) -> None:
    """Of each row of ``x``: first how many there are, then what is theirs. Rows too long for a cache are done in pieces."""
    m = len(x) // len(g)
    pieces = -(-m // _BLOCK)
    if pieces <= 1:
        parallel_for(_rows_block, (g, extreme, x, out, m), len(g), 1 + _BLOCK // max(m, 1))
        return
    ties = np.empty(len(g) * pieces, np.int64)
    parallel_for(_count, (extreme, x, ties, m, pieces), len(ties), 1)
    parallel_for(_divide, (g, extreme, x, out, ties, m, pieces), len(ties), 1)


@compiled
def _rows_block(g: Any, extreme: Any, x: Any, out: Any, m: int, start: int, stop: int) -> None:
    step = m * x.itemsize
    at, to = address(x) + start * step, address(out) + start * step
    for i in range(start, stop):
        row = array_at(x, at, m)
        _share(row, extreme[i], g[i], _equal(row, extreme[i]), array_at(out, to, m))
        at += step
        to += step


@inlined
def _equal(row: Any, extreme: Any) -> Any:
    count = np.int32(0)
    for j in range(len(row)):
        count += np.int32(row[j] == extreme)
    return count


@inlined
def _share(row: Any, extreme: Any, g: Any, count: int, out: Any) -> None:
    share, zero = g / row.dtype.type(max(count, 1)), row.dtype.type(0)
    for j in range(len(row)):
        out[j] = share if row[j] == extreme else zero


@inlined
def _piece(x: Any, m: int, pieces: int, i: int) -> Any:
    """The ``i``-th piece, of all rows' pieces."""
    begin = i % pieces * _BLOCK
    return array_at(x, address(x) + (i // pieces * m + begin) * x.itemsize, min(_BLOCK, m - begin))


@compiled
def _count(extreme: Any, x: Any, ties: Any, m: int, pieces: int, start: int, stop: int) -> None:
    for i in range(start, stop):
        ties[i] = _equal(_piece(x, m, pieces, i), extreme[i // pieces])


@compiled
def _divide(g: Any, extreme: Any, x: Any, out: Any, ties: Any, m: int, pieces: int, start: int, stop: int) -> None:
    for i in range(start, stop):
        r, count = i // pieces, 0
        for k in range(r * pieces, r * pieces + pieces):
            count += ties[k]
        _share(_piece(x, m, pieces, i), extreme[r], g[r], count, _piece(out, m, pieces, i))


@compiled
def _columns(g: Any, extreme: Any, x: Any, out: Any, n: int) -> None:
    """Of the columns of matrices (m, n), some at a time."""
    m, tiles = len(x) // len(g), -(-n // _TILE)
    parallel_for(_columns_block, (g, extreme, x, out, m, n, tiles), len(g) // n * tiles, 1 + _BLOCK // (m * min(n, _TILE)))


@compiled
def _columns_block(g: Any, extreme: Any, x: Any, out: Any, m: int, n: int, tiles: int, start: int, stop: int) -> None:
    ties, shares = np.empty(_TILE, x.dtype), np.empty(_TILE, x.dtype)
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(start, stop):
        matrix, begin = i // tiles, i % tiles * _TILE
        width = min(_TILE, n - begin)
        most = extreme[matrix * n + begin : matrix * n + begin + width]
        of, count, share = g[matrix * n + begin : matrix * n + begin + width], ties[:width], shares[:width]
        for j in range(width):
            count[j] = zero
        for k in range(matrix * m, matrix * m + m):
            row = x[k * n + begin : k * n + begin + width]
            for j in range(width):
                count[j] += one if row[j] == most[j] else zero
        for j in range(width):
            share[j] = of[j] / max(count[j], one)
        for k in range(matrix * m, matrix * m + m):
            row, to = x[k * n + begin : k * n + begin + width], out[k * n + begin : k * n + begin + width]
            for j in range(width):
                to[j] = share[j] if row[j] == most[j] else zero
