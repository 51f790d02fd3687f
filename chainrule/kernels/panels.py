"""Products of small matrices within a block of ``parallel_for``, where the right one is used several times."""

from __future__ import annotations

from typing import Any

from .gemm import ZEROS, pack_panel
from .layer import (
    address,
    borrow,
    compiled,
    low_tile,
    low_tile_rows,
    narrow_part_of_tile,
    narrow_part_rows,
    part_of_tile,
    part_rows,
    row_tile,
    tile_columns,
    vector_length,
)


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
    columns, item = tile_columns(out), out.itemsize
    multiply_by(a, address(panels), panels.shape[1] * columns * item, columns, out, alpha, beta)


@compiled
def multiply_by(a: Any, b: int, panel: int, b_step: int, out: Any, alpha: float, beta: float) -> None:
    """Compute out = alpha a b + beta out, where ``b`` is an address, or those of panels.

    Args:
        a: (m, k), in any order in memory.
        b: where the first columns of a tile begin.
        panel: bytes to where the next ones begin.
        b_step: numbers from row to row, which are contiguous in each panel.
        out: (m, n), with contiguous rows.
        alpha: a factor.
        beta: 1 or 0; then ``out`` is not read.
    """
    (m, k), n = a.shape, out.shape[1]
    rows, columns, vector, item = low_tile_rows(), tile_columns(out), vector_length(out), out.itemsize
    few, few_of_narrow = part_rows(), narrow_part_rows()
    scale = out.dtype.type(alpha)
    a_at, a_row, a_column = address(a), a.strides[0] // item, a.strides[1] // item
    out_at, out_row = address(out), out.strides[0] // item
    for q in range((n + columns - 1) // columns):
        filled, r = min(columns, n - q * columns), 0
        while r < m:
            left, place = a_at + r * a.strides[0], out_at + r * out.strides[0] + q * columns * item
            known, known_row = (address(ZEROS), 0) if beta == 0 else (place, out_row)
            if filled == columns and r + rows <= m:
                low_tile(out, k, left, a_row, a_column, b, b_step, place, out_row, known, known_row, scale)
                r += rows
            elif filled == columns and r + 1 == m:
                row_tile(out, k, left, a_row, a_column, b, b_step, place, out_row, known, known_row, scale)
                r += 1
            elif filled > vector:
                height = min(few, m - r)
                part_of_tile(out, k, left, a_row, a_column, b, b_step, place, out_row, known, known_row, scale, height, filled)
                r += height
            else:
                height = min(few_of_narrow, m - r)
                narrow_part_of_tile(
                    out, k, left, a_row, a_column, b, b_step, place, out_row, known, known_row, scale, height, filled
                )
                r += height
        b += panel
