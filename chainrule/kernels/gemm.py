"""Matrix products, in vectors and in blocks that the caches hold.

The product is made of tiles (``tile.py``), small enough for their sums to stay in registers. What a tile reads is copied
first into the order in which it is read: the left matrix in panels of a tile's rows, the right in panels of a tile's columns.

Source: K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .layer import (
    array_at,
    borrow,
    carray,
    compiled,
    give_back,
    narrow_tile,
    parallel_for,
    tile,
    tile_columns,
    tile_rows,
    transpose,
    transpose_rest,
    vector_length,
)

_DEPTH = 384  # of the inner dimension at a time, so that a panel stays in the first cache
_COPIED = 1 << 20  # numbers of each matrix that are copied at a time
_FEW_PANELS = 2  # of the right matrix
_FEW_ROWS = 4  # of the left matrix: copying the right one would take longer than to multiply by it
_SMALL = 1 << 21  # multiplications: fewer are not worth a second thread
_BLOCK = 8  # tiles of rows, and of columns, that a thread takes at a time


def gemm(
    a: Any, a_row: int, a_column: int, b: Any, b_row: int, b_column: int, out: Any, out_row: int, m: int, n: int, k: int,
    alpha: Any, beta: Any,
) -> None:  # fmt: skip
    """Compute out = alpha a b + beta out, as ``native.gemm`` describes, from addresses and strides in bytes: a C function."""
    strided = np.lib.stride_tricks.as_strided  # of no layout that Numba knows: the rest is compiled once for all
    result = carray(out, (1,))
    _gemm(
        strided(carray(a, (1,)), (m, k), (a_row, a_column)),
        strided(carray(b, (1,)), (k, n), (b_row, b_column)),
        strided(result, (m, n), (out_row, result.itemsize)),
        alpha,
        beta,
    )


@compiled
def _gemm(a: Any, b: Any, out: Any, alpha: Any, beta: Any) -> None:
    m, n = out.shape
    k = a.shape[1]
    if m == 0 or n == 0:
        return
    if m <= _FEW_ROWS:
        _multiply_few(a, b, out, alpha, beta)
        return
    small = m * n * k < _SMALL
    rows, columns = tile_rows(), tile_columns(out)
    high = min((m + rows - 1) // rows, max(_BLOCK, _COPIED // max(k, 1) // rows))  # panels of each matrix at a time
    wide = min((n + columns - 1) // columns, max(_BLOCK, _COPIED // max(k, 1) // columns))
    left, right = borrow(out, high * rows * k), borrow(out, wide * columns * k)
    slabs = (k + _DEPTH - 1) // _DEPTH
    for j in range(0, n, wide * columns):
        b_part = b[:, j : min(j + wide * columns, n)]
        for i in range(0, m, high * rows):
            a_part, out_part = a[i : min(i + high * rows, m)], out[i : min(i + high * rows, m), j : j + b_part.shape[1]]
            to_pack = slabs * (high + (wide if i == 0 else 0))
            parallel_for(_pack, (a_part, b_part, left, right, high, wide), to_pack, to_pack if small else 4)
            across = (wide + _BLOCK - 1) // _BLOCK
            blocks = (high + _BLOCK - 1) // _BLOCK * across
            parallel_for(
                _multiply, (a_part, left, right, out_part, high, wide, across, alpha, beta), blocks, blocks if small else 1
            )
    give_back(left)
    give_back(right)


@compiled
def _read_in_place(a: Any, wide: int) -> Any:
    """Whether the left matrix is read where it is: it is not read often, or lies in an order in which that is as fast."""
    return wide <= _FEW_PANELS or a.strides[1] == a.itemsize or a.strides[0] == a.itemsize


@compiled
def _pack(a: Any, b: Any, left: Any, right: Any, high: int, wide: int, start: int, stop: int) -> None:
    """Copy panels: of the left matrix slab after slab of the inner dimension, then of the right one."""
    k, rows, columns = len(b), tile_rows(), tile_columns(b)
    of_left = (k + _DEPTH - 1) // _DEPTH * high
    for task in range(start, stop):
        slab, p = (task // high, task % high) if task < of_left else ((task - of_left) // wide, (task - of_left) % wide)
        k0, k1 = slab * _DEPTH, min((slab + 1) * _DEPTH, k)
        if task < of_left:
            if _read_in_place(a, wide) and (p + 1) * rows <= len(a):
                continue
            part = a[p * rows : min((p + 1) * rows, len(a)), k0:k1]
            pack_panel(part.T, left[k0 * high * rows + p * rows * (k1 - k0) :], rows)
        else:
            part = b[k0:k1, p * columns : min((p + 1) * columns, b.shape[1])]
            narrow = part.shape[1] <= vector_length(b)
            pack_panel(part, right[k0 * wide * columns + p * columns * (k1 - k0) :], vector_length(b) if narrow else columns)


@compiled
def pack_panel(a: Any, panel: Any, width: int) -> None:
    """Copy a matrix row after row, each filled up with zeros to ``width``."""
    k, filled = a.shape
    if a.strides[1] == a.itemsize:
        for i in range(k):
            source, row = array_at(a, a[i:].ctypes.data, filled), panel[i * width : (i + 1) * width]
            for j in range(filled):
                row[j] = source[j]
    elif a.strides[0] == a.itemsize:
        lanes = vector_length(a)
        for j in range(0, filled, lanes):
            count, whole = min(lanes, filled - j), 0
            if count == lanes or count == tile_rows() % lanes:
                whole = k // lanes * lanes
                for i in range(0, whole, lanes):
                    source, place = a[i:, j:].ctypes.data, panel[i * width + j :].ctypes.data
                    if count == lanes:
                        transpose(a, source, a.strides[1], place, width * a.itemsize)
                    else:
                        transpose_rest(a, source, a.strides[1], place, width * a.itemsize)
            for c in range(j, j + count):
                for i in range(whole, k):
                    panel[i * width + c] = a[i, c]
    else:
        for i in range(k):
            for j in range(filled):
                panel[i * width + j] = a[i, j]
    if filled < width:
        for i in range(k):
            panel[i * width + filled : (i + 1) * width] = 0


@compiled
def _multiply(
    whole: Any, left: Any, right: Any, out: Any, high: int, wide: int, across: int, alpha: Any, beta: Any, start: int, stop: int
) -> None:
    """Compute blocks of out = alpha left right + beta out, where ``whole`` is what ``left`` is a copy of."""
    (m, k), n = whole.shape, out.shape[1]
    row_step, column_step = whole.strides[0] // whole.itemsize, whole.strides[1] // whole.itemsize
    rows, columns, vector = tile_rows(), tile_columns(out), vector_length(out)
    item, out_row = out.itemsize, out.strides[0] // out.itemsize
    edge, nothing, in_place = np.empty((rows, columns), out.dtype), out.dtype.type(0), _read_in_place(whole, wide)
    for block in range(start, stop):
        p0, q0 = block // across * _BLOCK, block % across * _BLOCK
        for k0 in range(0, max(k, 1), _DEPTH):
            depth = min(_DEPTH, k - k0)
            factor = beta if k0 == 0 else out.dtype.type(1)
            for q in range(q0, min(q0 + _BLOCK, (n + columns - 1) // columns)):
                b = right.ctypes.data + (k0 * wide + q * depth) * columns * item
                filled = min(columns, n - q * columns)
                for p in range(p0, min(p0 + _BLOCK, (m + rows - 1) // rows)):
                    a, a_row, a_step = left.ctypes.data + (k0 * high + p * depth) * rows * item, 1, rows
                    if in_place and (p + 1) * rows <= m:
                        a, a_row, a_step = whole[p * rows :, k0:].ctypes.data, row_step, column_step
                    place = out.ctypes.data + p * rows * out.strides[0] + q * columns * item
                    height, narrow = min(rows, m - p * rows), filled <= vector
                    inside = height == rows and filled in (columns, vector)
                    # what reaches over the edge is computed whole, and copied in part
                    target, step, kept = (place, out_row, factor) if inside else (edge.ctypes.data, columns, nothing)
                    if narrow:
                        narrow_tile(out, depth, a, a_row, a_step, b, vector, target, step, alpha, kept)
                    else:
                        tile(out, depth, a, a_row, a_step, b, columns, target, step, alpha, kept)
                    if not inside:
                        add_part(edge, out, place, height, filled, factor)


@compiled
def add_part(edge: Any, out: Any, place: int, height: int, filled: int, factor: Any) -> None:
    """Bring the part of a tile that lies inside to its place: out = factor out + edge."""
    for r in range(height):
        source, row = edge[r], array_at(out, place + r * out.strides[0], filled)
        if factor == 0:
            for c in range(filled):
                row[c] = source[c]
        else:
            for c in range(filled):
                row[c] = factor * row[c] + source[c]


@compiled
def _multiply_few(a: Any, b: Any, out: Any, alpha: Any, beta: Any) -> None:
    """Compute out = alpha a b + beta out where there are few rows, in the order in which ``b`` lies in memory."""
    if b.strides[0] < b.strides[1]:
        parallel_for(_columns_of_few, (a, b, out, alpha, beta), b.shape[1], max(64, _SMALL // 8 // max(len(b), 1)))
    else:
        parallel_for(_parts_of_few, (a, b, out, alpha, beta), b.shape[1], max(1024, _SMALL // 8 // max(len(b), 1)))


@compiled
def _columns_of_few(a: Any, b: Any, out: Any, alpha: Any, beta: Any, start: int, stop: int) -> None:
    k = len(b)
    left = np.empty(k, out.dtype)
    for i in range(len(out)):
        left[:] = a[i]
        for j in range(start, stop):
            total = out.dtype.type(0)
            if b.strides[0] == b.itemsize:
                column = array_at(b, b[:, j:].ctypes.data, k)
                for p in range(k):
                    total += left[p] * column[p]
            else:
                for p in range(k):
                    total += left[p] * b[p, j]
            out[i, j] = alpha * total if beta == 0 else alpha * total + beta * out[i, j]


@compiled
def _parts_of_few(a: Any, b: Any, out: Any, alpha: Any, beta: Any, start: int, stop: int) -> None:
    k, n = len(b), stop - start
    b = b[:, start:stop]
    for i in range(len(out)):
        row = array_at(out, out[i:, start:].ctypes.data, n)
        for j in range(n):
            row[j] = 0 if beta == 0 else beta * row[j]
        if b.strides[1] != b.itemsize and n > 1:
            for p in range(k):
                for j in range(n):
                    row[j] += alpha * a[i, p] * b[p, j]
            continue
        for p in range(0, k - 3, 4):
            x0, x1, x2, x3 = alpha * a[i, p], alpha * a[i, p + 1], alpha * a[i, p + 2], alpha * a[i, p + 3]
            r0, r1 = array_at(b, b[p:].ctypes.data, n), array_at(b, b[p + 1 :].ctypes.data, n)
            r2, r3 = array_at(b, b[p + 2 :].ctypes.data, n), array_at(b, b[p + 3 :].ctypes.data, n)
            for j in range(n):
                row[j] += x0 * r0[j] + x1 * r1[j] + x2 * r2[j] + x3 * r3[j]
        for p in range(k // 4 * 4, k):
            x, source = alpha * a[i, p], array_at(b, b[p:].ctypes.data, n)
            for j in range(n):
                row[j] += x * source[j]
