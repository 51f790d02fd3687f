"""Linear interpolation on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..dispatch import unwrap

__all__ = ["interpn"]


def interpn(
    points: Sequence[Any],
    values: Any,
    xi: Any,
    method: str = "linear",
    bounds_error: bool = True,
    fill_value: float | None = np.nan,
) -> Any:
    """Interpolate between values on a rectangular grid; differentiable in the values and in where they are asked for.

    Args:
        points: the grid's coordinates along each axis, rising, (N1,), (N2,), ...: constants.
        values: (N1, N2, ..., *rest).
        xi: (..., D), or a tuple of D arrays that broadcast.
        method: ``"linear"``: the weighted mean of the cell's corners.
        bounds_error: whether a place outside of the grid is an error.
        fill_value: the value there otherwise; None to extrapolate.

    Raises:
        ValueError: another method, a place outside of the grid, shapes that don't fit.

    >>> interpn([np.array([0.0, 1.0, 3.0])], np.array([0.0, 10.0, 20.0]), np.array([[0.5], [2.0]]))
    array([ 5., 15.])
    """
    if method != "linear":
        raise ValueError(f"interpn: method {method!r} is not supported on a Variable; it is 'linear'")
    values, grid = as_array(values), [np.asarray(p, float) for p in points]
    xi = np.stack(np.broadcast_arrays(*xi), axis=-1) if isinstance(xi, tuple) else as_array(xi)
    if xi.ndim == 1 and len(grid) > 1:
        xi = np.expand_dims(xi, 0)
    elif xi.ndim == 1:
        xi = np.expand_dims(xi, -1)
    if xi.shape[-1] != len(grid) or values.shape[: len(grid)] != tuple(p.size for p in grid):
        raise ValueError(f"interpn: {len(grid)} axes of points, values of shape {values.shape} and places of shape {xi.shape}")
    where = unwrap(xi)
    outside = np.zeros(where.shape[:-1], bool)
    cells, shares = [], []
    for axis, p in enumerate(grid):
        x = where[..., axis]
        outside |= (x < p[0]) | (x > p[-1])
        cell = np.clip(np.searchsorted(p, x, side="right") - 1, 0, p.size - 2)
        cells.append(cell)
        shares.append((xi[..., axis] - p[cell]) / (p[cell + 1] - p[cell]))
    if bounds_error and outside.any():
        raise ValueError(
            f"interpn: {where[outside][0]} lies outside of the grid, {[(float(p[0]), float(p[-1])) for p in grid]}"
        )
    rest = (1,) * (values.ndim - len(grid))
    ans: Any = 0
    for corner in product((0, 1), repeat=len(grid)):
        weight: Any = 1.0
        for share, end in zip(shares, corner, strict=True):
            weight = weight * (share if end else 1 - share)
        ans = ans + values[tuple(c + end for c, end in zip(cells, corner, strict=True))] * np.reshape(
            weight, weight.shape + rest
        )
    if fill_value is None or not outside.any():
        return ans
    return np.where(np.reshape(outside, outside.shape + rest), np.asarray(fill_value, ans.dtype), ans)
