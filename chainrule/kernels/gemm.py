"""Matrix products, in vectors and in blocks that the caches hold.

The product is made of tiles (``tile.py``), small enough for their sums to stay in registers. What a tile reads is copied
first into the order in which it is read: the left matrix in panels of a tile's rows, the right in panels of a tile's columns.

Source: K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .layer import (
    address,
    array_at,
    borrow,
    call,
    carray,
    compiled,
    give_back,
    narrow_tile,
    parallel_for,
    part_of_tile,
    part_rows,
    tile,
    tile_columns,
    tile_rows,
    transpose,
    transpose_rest,
    vector_length,
)

_DEPTH = 384  # of the inner dimension at a time, so that a panel stays in the first cache
_COPIED = 1 << 20  # numbers of each matrix that are copied at a time
_FEW_PANELS = 2  # of a matrix: the other one is not read often enough to copy it
_FEW_ROWS = 4  # of the left matrix: copying the right one would take longer than to multiply by it
_SMALL = 1 << 21  # multiplications: fewer are not worth a second thread
ZEROS = np.zeros(16)  # as long as a row of a tile
_BLOCK = 8  # tiles of rows, and of columns, that a thread takes at a time


def gemm(
    a: Any, a_row: int, a_column: int, b: Any, b_row: int, b_column: int, out: Any, out_row: int, plus: Any, plus_row: int,
    finish: int, arguments: int, m: int, n: int, k: int,
) -> None:  # fmt: skip
    """Compute out = a b + plus, as ``native.gemm`` describes, from addresses and strides in bytes: a C function."""
    strided = np.lib.stride_tricks.as_strided  # of no layout that Numba knows: the rest is compiled once for all
    result, adds = carray(out, (1,)), plus_row >= 0
    nothing = array_at(result, address(ZEROS), 1)
    _gemm(
        strided(carray(a, (1,)), (m, k), (a_row, a_column)),
        strided(carray(b, (1,)), (k, n), (b_row, b_column)),
        strided(result, (m, n), (out_row, result.itemsize)),
        strided(carray(plus, (1,)) if adds else nothing, (m, n), (max(plus_row, 0), result.itemsize if adds else 0)),
        finish,
        arguments,
    )


@compiled
def _gemm(a: Any, b: Any, out: Any, plus: Any, finish: int, arguments: int) -> None:
    m, n = out.shape
    k = a.shape[1]
    if m == 0 or n == 0:
        return
    few_columns = n <= _FEW_ROWS and a.strides[0] >= a.strides[1] and k > 1
    if m <= _FEW_ROWS or n == 1 or few_columns:
        if m <= _FEW_ROWS:
            _multiply_few(a, b, out, plus)
        elif n == 1:
            _multiply_few(b.T, a.T, out.T, plus.T)
        else:
            parallel_for(_columns_of_few, (b.T, a.T, out.T, plus.T), m, _wide_enough(k))
        if finish != 0:
            call(finish, (arguments, 0, m, 0, n))
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
            a_part = a[i : min(i + high * rows, m)]
            out_part = out[i : i + len(a_part), j : j + b_part.shape[1]]
            plus_part = plus[i : i + len(a_part), j : j + b_part.shape[1]]
            to_pack = slabs * (high + (wide if i == 0 and not _read_right_in_place(b, high) else 0))
            parallel_for(_pack, (a_part, b_part, left, right, high, wide), to_pack, to_pack if small else 4)
            across = (wide + _BLOCK - 1) // _BLOCK
            blocks = (high + _BLOCK - 1) // _BLOCK * across
            ends = (finish, arguments, i, j)
            given = (a_part, b_part, left, right, out_part, plus_part, high, wide, across, ends)
            parallel_for(_multiply, given, blocks, blocks if small else 1)
    give_back(left)
    give_back(right)


@compiled
def _read_in_place(a: Any, wide: int) -> Any:
    """Whether the left matrix is read where it is: it is not read often, or lies in an order in which that is as fast."""
    return wide <= _FEW_PANELS or a.strides[1] == a.itemsize or a.strides[0] == a.itemsize


@compiled
def _read_right_in_place(b: Any, high: int) -> Any:
    """Whether the right matrix is read where it is: it is read once or twice, in rows."""
    return high <= _FEW_PANELS and b.strides[1] == b.itemsize


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
    at, to, step = address(a), address(panel), width * a.itemsize
    if a.strides[1] == a.itemsize:
        for i in range(k):
            source, row = array_at(a, at + i * a.strides[0], filled), array_at(a, to + i * step, filled)
            for j in range(filled):
                row[j] = source[j]
    elif a.strides[0] == a.itemsize:
        lanes = vector_length(a)
        for j in range(0, filled, lanes):
            count, whole = min(lanes, filled - j), 0
            if count == lanes or count == tile_rows() % lanes:
                whole = k // lanes * lanes
                for i in range(0, whole, lanes):
                    source, place = at + i * a.strides[0] + j * a.strides[1], to + i * step + j * a.itemsize
                    if count == lanes:
                        transpose(a, source, a.strides[1], place, step)
                    else:
                        transpose_rest(a, source, a.strides[1], place, step)
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
    a: Any, b: Any, left: Any, right: Any, out: Any, plus: Any, high: int, wide: int, across: int, ends: Any, start: int,
    stop: int,
) -> None:  # fmt: skip
    """Compute blocks of out = a b + plus, where ``left`` and ``right`` are copies of ``a`` and ``b``.

    ``ends`` says what finishes a block, with which arguments, and where in the whole result ``out`` begins.
    """
    (m, k), n = a.shape, out.shape[1]
    rows, columns, vector, few = tile_rows(), tile_columns(out), vector_length(out), part_rows()
    item, one, out_row, out_at, plus_at = out.itemsize, out.dtype.type(1), out.strides[0], address(out), address(plus)
    left_in_place, right_in_place = _read_in_place(a, wide), _read_right_in_place(b, high)
    for block in range(start, stop):
        p0, q0 = block // across * _BLOCK, block % across * _BLOCK
        for k0 in range(0, max(k, 1), _DEPTH):
            depth = min(_DEPTH, k - k0)
            base, known_row, known_column = (plus_at, plus.strides[0], plus.strides[1]) if k0 == 0 else (out_at, out_row, item)
            for q in range(q0, min(q0 + _BLOCK, (n + columns - 1) // columns)):
                y, y_step = address(right) + (k0 * wide + q * depth) * columns * item, columns
                filled = min(columns, n - q * columns)
                if right_in_place:
                    y, y_step = address(b) + k0 * b.strides[0] + q * columns * item, b.strides[0] // item
                elif filled <= vector:
                    y_step = vector
                for p in range(p0, min(p0 + _BLOCK, (m + rows - 1) // rows)):
                    x, x_row, x_step = address(left) + (k0 * high + p * depth) * rows * item, 1, rows
                    height = min(rows, m - p * rows)
                    if left_in_place and height == rows:
                        x, x_row, x_step = (
                            address(a) + p * rows * a.strides[0] + k0 * a.strides[1],
                            a.strides[0] // item,
                            a.strides[1] // item,
                        )
                    place = out_at + p * rows * out_row + q * columns * item
                    known = base + p * rows * known_row + q * columns * known_column
                    if filled <= vector:
                        narrow_tile(
                            out,
                            depth,
                            x,
                            x_row,
                            x_step,
                            y,
                            y_step,
                            place,
                            out_row // item,
                            known,
                            known_row // item,
                            one,
                            height,
                            filled,
                        )
                    elif filled == columns and height == rows:
                        tile(out, depth, x, x_row, x_step, y, y_step, place, out_row // item, known, known_row // item, one)
                    else:
                        for r in range(0, height, few):
                            part_of_tile(
                                out, depth, x + r * x_row * item, x_row, x_step, y, y_step, place + r * out_row,
                                out_row // item, known + r * known_row, known_row // item, one, min(few, height - r), filled,
                            )  # fmt: skip
        finish, arguments, row, column = ends
        if finish != 0:
            bottom, right_side = min((p0 + _BLOCK) * rows, m), min((q0 + _BLOCK) * columns, n)
            call(finish, (arguments, row + p0 * rows, row + bottom, column + q0 * columns, column + right_side))


@compiled
def _multiply_few(a: Any, b: Any, out: Any, plus: Any) -> None:
    """Compute out = a b + plus where there are few rows, in the order in which ``b`` lies in memory."""
    if b.strides[0] < b.strides[1]:
        parallel_for(_columns_of_few, (a, b, out, plus), b.shape[1], _wide_enough(len(b)))
    else:
        parallel_for(_parts_of_few, (a, b, out, plus), b.shape[1], max(1024, _SMALL // 8 // max(len(b), 1)))


@compiled
def _wide_enough(k: int) -> int:
    """Columns that a thread takes at a time, each of ``k`` numbers."""
    return max(64, _SMALL // 8 // max(k, 1))


@compiled
def _columns_of_few(a: Any, b: Any, out: Any, plus: Any, start: int, stop: int) -> None:
    k, at = len(b), address(b)
    left, gathered = np.empty(k, out.dtype), np.empty(k, out.dtype)
    for i in range(len(out)):
        for p in range(k):
            left[p] = a[i, p]
        for j in range(start, stop):
            contiguous = b.strides[0] == b.itemsize
            if not contiguous:
                for p in range(k):
                    gathered[p] = b[p, j]
            column = array_at(b, at + j * b.strides[1] if contiguous else address(gathered), k)
            total = out.dtype.type(0)
            for p in range(k):
                total += left[p] * column[p]
            out[i, j] = total + plus[i, j]


@compiled
def _parts_of_few(a: Any, b: Any, out: Any, plus: Any, start: int, stop: int) -> None:
    """In a row's sums, of whose columns each thread has a part, four rows of ``b`` at a time."""
    k, n, item = len(b), stop - start, b.itemsize
    b_at, out_at = address(b) + start * b.strides[1], address(out) + start * item
    for i in range(len(out)):
        row, added = array_at(out, out_at + i * out.strides[0], n), plus[i, start:stop]
        for j in range(n):
            row[j] = added[j]
        if b.strides[1] != item and n > 1:
            for p in range(k):
                for j in range(n):
                    row[j] += a[i, p] * b[p, start + j]
            continue
        for p in range(0, k, 4):
            if p + 4 <= k:
                x0, x1, x2, x3 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
                r0, r1 = array_at(b, b_at + p * b.strides[0], n), array_at(b, b_at + (p + 1) * b.strides[0], n)
                r2, r3 = array_at(b, b_at + (p + 2) * b.strides[0], n), array_at(b, b_at + (p + 3) * b.strides[0], n)
                for j in range(n):
                    row[j] += x0 * r0[j] + x1 * r1[j] + x2 * r2[j] + x3 * r3[j]
            else:
                for rest in range(p, k):
                    x0, r0 = a[i, rest], array_at(b, b_at + rest * b.strides[0], n)
                    for j in range(n):
                        row[j] += x0 * r0[j]
