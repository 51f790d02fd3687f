"""Products of small matrices within a block of ``parallel_for``, where the right one is used several times."""

from __future__ import annotations

from typing import Any

import numpy as np

from .gemm import add_part, pack_panel
from .layer import borrow, compiled, low_tile, low_tile_rows, row_tile, tile_columns


@compiled
def panels_of(b: Any) -> Any:
    """A matrix copied into the order in which tiles of a product read it: (panels, rows, columns of a tile); borrowed."""
    (k, n), columns = b.shape, tile_columns(b)
    count = (n + columns - 1) // columns
    panels = borrow(b, count * k * columns).reshape(count, k, columns)
    fill_panels(b, panels)
    return panels


@compiled
def fill_panels(b: Any, panels: Any) -> None:
    """Copy a matrix into panels."""
    for q in range(len(panels)):
        columns = panels.shape[2]
        pack_panel(b[:, q * columns : min((q + 1) * columns, b.shape[1])], panels[q].reshape(-1), columns)


@compiled
def multiply(a: Any, panels: Any, out: Any, alpha: float, beta: float) -> None:
    """Compute out = alpha a b + beta out, where ``panels`` are a copy of b, of which (k, n) is used.

    Args:
        a: (m, k), in any order in memory.
        panels: as ``panels_of`` makes them.
        out: (m, n), with contiguous rows.
        alpha: a factor.
        beta: 1 or 0; then ``out`` is not read.
    """
    (m, k), n = a.shape, out.shape[1]
    rows, columns, item = low_tile_rows(), tile_columns(out), out.itemsize
    scale = out.dtype.type(alpha)
    a_row, a_column, out_row = a.strides[0] // item, a.strides[1] // item, out.strides[0] // item
    edge, whole = np.zeros((rows + 1, columns), out.dtype), m - m % rows if m % rows != 1 else m
    last, nothing = np.zeros((rows if whole < m else 0, k), out.dtype), edge[rows].ctypes.data
    for r in range(whole, m):
        last[r - whole] = a[r]
    for q in range((n + columns - 1) // columns):
        filled, b = min(columns, n - q * columns), panels[q].ctypes.data
        for r in range(0, m, rows):
            height = min(rows, m - r)
            left, row, column = (a[r:].ctypes.data, a_row, a_column) if r < whole else (last.ctypes.data, k, 1)
            place, within = out.ctypes.data + r * out.strides[0] + q * columns * item, filled == columns and height in (1, rows)
            added, added_row = (nothing, 0) if beta == 0 else (place, out_row)
            target, step, known, known_row = place, out_row, added, added_row
            if not within:  # what reaches over the edge is computed whole, and copied in part
                target, step, known, known_row = edge.ctypes.data, columns, nothing, 0
            if height == 1:
                row_tile(out, k, left, row, column, b, columns, target, step, known, known_row, scale)
            else:
                low_tile(out, k, left, row, column, b, columns, target, step, known, known_row, scale)
            if not within:
                add_part(edge, out, place, height, filled, added, added_row)
