"""Normalisation, forward and backward: over the last axes, and of channels.

Backward computes all gradients in one pass over the data. The statistics that forward has found are handed to it; the
references, which also serve for derivatives of second order, compute them again from ``x``.

Channels are normalised by two passes each way. The first makes a few sums for each channel and block of the data; what then
depends on channels alone is put together, and the second pass is a linear map with coefficients for each channel. So batch,
instance and group normalisation are one, in either order of memory.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import compiled, dense, kernel, parallel_for
from .memory import empty

_BLOCK = 32768  # elements, about: half of a core's second cache in float32

# ---- over the last axes ---------------------------------------------------------------------------------


@kernel
def normalize_rows(
    x: Array, weight: Array | None, bias: Array | None, axes: tuple[int, ...], eps: float, centred: bool
) -> tuple[Array, Any, Any]:
    """(x - mean) / sqrt(variance + eps) weight + bias over the last ``axes``, with that mean and 1 / sqrt(variance + eps).

    Unless ``centred`` the mean is not taken off, and the mean square stands for the variance.
    """
    mean = np.mean(x, axis=axes, keepdims=True) if centred else 0.0
    y = x - mean
    scale = 1 / np.sqrt(np.mean(y * y, axis=axes, keepdims=True) + eps)
    y = y * scale
    if weight is not None:
        y = y * weight
    return (y if bias is None else y + bias), mean, scale


@kernel
def normalize_rows_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Any,
    scale: Any,
    axes: tuple[int, ...],
    eps: float,
    centred: bool,
) -> tuple[Array, Array | None, Array | None]:
    """The gradients of ``x``, ``weight`` and ``bias``; those of the last two may need to be summed over the first axes."""
    normal = x - np.mean(x, axis=axes, keepdims=True) if centred else x
    scale = 1 / np.sqrt(np.mean(normal * normal, axis=axes, keepdims=True) + eps)
    normal = normal * scale
    h = g if weight is None else g * weight
    gx = h - normal * np.mean(h * normal, axis=axes, keepdims=True)
    if centred:
        gx = gx - np.mean(h, axis=axes, keepdims=True)
    return gx * scale, None if weight is None else g * normal, None if bias is None else g


@normalize_rows.compiled(when=lambda x, weight, bias, *rest: dense(x, weight, bias) and x.size >= 1024)
def _(x: Array, weight: Array | None, bias: Array | None, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
    shape = x.shape[-len(axes) :]
    m = prod(shape)
    rows = x.reshape(-1, m)
    y, kept = empty(x.shape, x.dtype), np.empty((2, len(rows)), x.dtype)
    _rows(np.ascontiguousarray(rows), *_affine(x, m, weight, bias), y.reshape(-1, m), *kept, eps, centred, _rows_of(m))
    return y, *kept


@normalize_rows_backward.compiled(when=lambda g, x, weight, bias, *rest: dense(g, x, weight, bias) and x.size >= 1024)
def _(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    scale: Array,
    axes: tuple[int, ...],
    eps: float,
    centred: bool,
) -> Any:
    shape = x.shape[-len(axes) :]
    m = prod(shape)
    rows, above = np.ascontiguousarray(x.reshape(-1, m)), np.ascontiguousarray(g.reshape(-1, m))
    block = _rows_of(m)
    gx, parts = empty(x.shape, x.dtype), np.zeros((-(-len(rows) // block) + 1, 2, m), x.dtype)
    _rows_backward(above, rows, *_affine(x, m, weight, None)[:1], mean, scale, gx.reshape(-1, m), parts, centred, block)
    return gx, parts[-1, 0].reshape(shape), parts[-1, 1].reshape(shape)


def _affine(x: Array, m: int, weight: Array | None, bias: Array | None) -> tuple[Array, Array]:
    """Weights and biases in a row."""
    return (
        np.ones(m, x.dtype) if weight is None else np.ascontiguousarray(weight).reshape(m),
        np.zeros(m, x.dtype) if bias is None else np.ascontiguousarray(bias).reshape(m),
    )


def _rows_of(m: int) -> int:
    """How many rows of ``m`` elements make a block."""
    return max(4, _BLOCK // max(m, 1))


@compiled
def _rows(x: Any, weight: Any, bias: Any, y: Any, mean: Any, scale: Any, eps: float, centred: bool, block: int) -> None:
    parallel_for(_rows_block, (x, weight, bias, y, mean, scale, eps, centred), len(x), block)


@compiled
def _rows_block(
    x: Any, weight: Any, bias: Any, y: Any, mean: Any, scale: Any, eps: float, centred: bool, start: int, stop: int
) -> None:
    zero = x.dtype.type(0)
    m = x.shape[1]
    for i in range(start, stop):
        row, to = x[i], y[i]
        middle = zero
        if centred:
            for j in range(m):
                middle += row[j]
            middle /= x.dtype.type(m)
        total = zero
        for j in range(m):
            total += (row[j] - middle) * (row[j] - middle)
        r = x.dtype.type(1 / np.sqrt(total / m + eps))
        for j in range(m):
            to[j] = (row[j] - middle) * r * weight[j] + bias[j]
        mean[i], scale[i] = middle, r


@compiled
def _rows_backward(g: Any, x: Any, weight: Any, mean: Any, scale: Any, gx: Any, parts: Any, centred: bool, block: int) -> None:
    parallel_for(_rows_backward_block, (g, x, weight, mean, scale, gx, parts, centred, block), len(x), block)
    total = parts[len(parts) - 1].reshape(-1)
    for i in range(len(parts) - 1):
        part = parts[i].reshape(-1)
        for j in range(len(total)):
            total[j] += part[j]


@compiled
def _rows_backward_block(
    g: Any, x: Any, weight: Any, mean: Any, scale: Any, gx: Any, parts: Any, centred: bool, block: int, start: int, stop: int
) -> None:
    zero = x.dtype.type(0)
    m = x.shape[1]
    n = x.dtype.type(m)
    g_weight, g_bias = parts[start // block, 0], parts[start // block, 1]
    for i in range(start, stop):
        row, above, to = x[i], g[i], gx[i]
        middle, r = mean[i], scale[i]
        total = zero
        along = zero
        for j in range(m):
            h = above[j] * weight[j]
            total += h
            along += h * (row[j] - middle)
        slope = along * r * r / n
        level = total / n if centred else zero
        for j in range(m):
            normal = row[j] - middle
            to[j] = r * (above[j] * weight[j] - level - normal * slope)
            g_weight[j] += above[j] * (normal * r)
            g_bias[j] += above[j]
