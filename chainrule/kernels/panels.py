"""Products of small matrices within a block of ``parallel_for``, where the right one is used several times."""

from __future__ import annotations

from typing import Any

import numpy as np

from .gemm import add_part, pack_panel
from .layer import compiled, low_tile, low_tile_rows, tile_columns


@compiled
def panels_of(b: Any) -> Any:
    """A matrix copied into the order in which tiles of a product read it: (panels, rows, columns of a tile)."""
    k, n = b.shape
    columns = tile_columns(b)
    panels = np.empty(((n + columns - 1) // columns, k, columns), b.dtype)
    for q in range(len(panels)):
        pack_panel(b[:, q * columns : min((q + 1) * columns, n)], panels[q].reshape(-1), columns)
    return panels


@compiled
def multiply(a: Any, panels: Any, out: Any, alpha: float, beta: float) -> None:
    """Compute out = alpha a b + beta out, where ``panels`` are a copy of b, of which (k, n) is used.

    Args:
        a: (m, k), in any order in memory.
        panels: as ``panels_of`` makes them.
        out: (m, n), with contiguous rows. Where ``beta`` is 0 it is not read.
    """
    (m, k), n = a.shape, out.shape[1]
    rows, columns, item = low_tile_rows(), tile_columns(out), out.itemsize
    scale, factor, none = out.dtype.type(alpha), out.dtype.type(beta), out.dtype.type(0)
    a_row, a_column, out_row = a.strides[0] // item, a.strides[1] // item, out.strides[0] // item
    edge, last, whole = np.empty((rows, columns), out.dtype), np.zeros((rows, k), out.dtype), m // rows * rows
    for r in range(whole, m):
        last[r - whole] = a[r]
    for q in range((n + columns - 1) // columns):
        filled, b = min(columns, n - q * columns), panels[q].ctypes.data
        for r in range(0, m, rows):
            height = min(rows, m - r)
            left, row, column = (a[r:].ctypes.data, a_row, a_column) if r < whole else (last.ctypes.data, k, 1)
            place = out.ctypes.data + r * out.strides[0] + q * columns * item
            if height == rows and filled == columns:
                low_tile(out, k, left, row, column, b, columns, place, out_row, scale, factor)
            else:  # what reaches over the edge is computed whole, and copied in part
                low_tile(out, k, left, row, column, b, columns, edge.ctypes.data, columns, scale, none)
                add_part(edge, out, place, height, filled, factor)
