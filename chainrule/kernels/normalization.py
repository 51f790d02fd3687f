"""Normalisation, forward and backward: over the last axes, and of channels.

Backward computes all gradients in one pass over the data. The statistics that forward has found are handed to it; the
references, which also serve for derivatives of second order, compute them again from ``x``.

Channels are normalised by two passes each way. The first makes a few sums for each channel and block of the data; what then
depends on channels alone is put together, and the second pass is a linear map with coefficients for each channel. So batch,
instance and group normalisation are one, in either order of memory.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty, empty_like
from .layer import address, array_at, compiled, dense, kernel, parallel_for

_BLOCK = 32768  # elements, about: half of a core's second cache in float32
_SMALL = 256  # elements: for fewer, nobody should wait for a compiler

# ---- over the last axes ---------------------------------------------------------------------------------


@kernel
def normalize_rows(
    x: Array, weight: Array | None, bias: Array | None, last: int, eps: float, centred: bool
) -> tuple[Array, Any, Any]:
    """(x - mean) / sqrt(variance + eps) weight + bias over so many last axes, with that mean and 1 / sqrt(variance + eps).

    Unless ``centred`` the mean is not taken off, and the mean square stands for the variance.
    """
    axes = tuple(range(-last, 0))
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
    last: int,
    eps: float,
    centred: bool,
) -> tuple[Array, Array | None, Array | None]:
    """The gradients of ``x``, ``weight`` and ``bias``; those of the last two may need to be summed over the first axes."""
    axes = tuple(range(-last, 0))
    normal = x - np.mean(x, axis=axes, keepdims=True) if centred else x
    scale = 1 / np.sqrt(np.mean(normal * normal, axis=axes, keepdims=True) + eps)
    normal = normal * scale
    h = g if weight is None else g * weight
    gx = h - normal * np.mean(h * normal, axis=axes, keepdims=True)
    if centred:
        gx = gx - np.mean(h, axis=axes, keepdims=True)
    return gx * scale, None if weight is None else g * normal, None if bias is None else g


def _pays(shape: tuple[int, ...], x: Array, weight: Array | None, bias: Array | None, *others: Array) -> bool:
    """Whether there is enough to do, and weight and bias are of their ``shape``."""
    return (
        x.size >= _SMALL
        and dense(x, weight, bias, *others)
        and (weight is None or weight.shape == shape)
        and (bias is None or bias.shape == shape)
    )


@normalize_rows.compiled(when=lambda x, weight, bias, last, *rest: _pays(x.shape[x.ndim - last :], x, weight, bias))
def _(x: Array, weight: Array | None, bias: Array | None, last: int, eps: float, centred: bool) -> Any:
    m = _length(x, last)
    y, kept = empty(x.shape, x.dtype), np.empty((2, x.size // m), x.dtype)
    _rows(_as_rows(x, m), *_affine(x, m, weight, bias), y.reshape(-1, m), kept, eps, centred, _rows_of(m))
    return y, kept[0], kept[1]  # faster than to unpack them


@normalize_rows_backward.compiled(
    when=lambda g, x, weight, bias, mean, scale, last, *rest: _pays(x.shape[x.ndim - last :], x, weight, bias, g)
)
def _(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    scale: Array,
    last: int,
    eps: float,
    centred: bool,
) -> Any:
    m, shape = _length(x, last), x.shape[x.ndim - last :]
    block = _rows_of(m)
    gx, parts = empty(x.shape, x.dtype), np.zeros((-(-len(mean) // block) + 1, 2, m), x.dtype)
    weights = _affine(x, m, weight, None)[0]
    _rows_backward(_as_rows(g, m), _as_rows(x, m), weights, mean, scale, gx.reshape(-1, m), parts, centred, block)
    return gx, parts[-1, 0].reshape(shape), parts[-1, 1].reshape(shape)


def _length(x: Array, last: int) -> int:
    """How many elements the last axes have together."""
    return x.shape[-1] if last == 1 else prod(x.shape[x.ndim - last :])


def _as_rows(x: Array, m: int) -> Array:
    """``x`` as rows of ``m`` elements, copied if its memory has another order."""
    return np.ascontiguousarray(x.reshape(-1, m))


def _affine(x: Array, m: int, weight: Array | None, bias: Array | None) -> tuple[Array, Array]:
    """Weights and biases in a row."""
    return (
        np.ones(m, x.dtype) if weight is None else weight.ravel(),
        np.zeros(m, x.dtype) if bias is None else bias.ravel(),
    )


def _rows_of(m: int) -> int:
    """How many rows of ``m`` elements make a block."""
    return max(4, _BLOCK // max(m, 1))


@compiled
def _rows(x: Any, weight: Any, bias: Any, y: Any, kept: Any, eps: float, centred: bool, block: int) -> None:
    parallel_for(_rows_block, (x, weight, bias, y, kept[0], kept[1], eps, centred), len(x), block)


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


# ---- of channels ----------------------------------------------------------------------------------------
#
# Of x (N, C, ...) the channels come in groups of neighbours; a group of one example is normalised by its own mean and variance,
# or with ``together`` that of all examples. So statistics are of shape (N, groups), or (1, groups).


@kernel
def normalize_channels(
    x: Array, weight: Array | None, bias: Array | None, groups: int, together: bool, eps: float
) -> tuple[Array, Any, Any]:
    """(x - mean) / sqrt(variance + eps) weight + bias, with that mean and variance."""
    grouped, axes = _grouped(x, groups, together)
    mean = np.mean(grouped, axis=axes, keepdims=True)
    centred = grouped - mean
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    y = np.reshape(centred / np.sqrt(variance + eps), x.shape)
    if weight is not None:
        y = y * by_channel(x, weight)
    shape = (-1, groups)
    return (y if bias is None else y + by_channel(x, bias)), np.reshape(mean, shape), np.reshape(variance, shape)


@kernel
def normalize_channels_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    variance: Array,
    groups: int,
    together: bool,
    eps: float,
) -> tuple[Array, Array | None, Array | None]:
    """The gradients of ``x``, ``weight`` and ``bias``."""
    grouped, axes = _grouped(x, groups, together)
    centred = grouped - np.mean(grouped, axis=axes, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + eps)
    normal = centred * scale
    h = np.reshape(g if weight is None else g * by_channel(x, weight), grouped.shape)
    gx = (h - np.mean(h, axis=axes, keepdims=True) - normal * np.mean(h * normal, axis=axes, keepdims=True)) * scale
    others = (0, *range(2, x.ndim))
    return (
        np.reshape(gx, x.shape),
        None if weight is None else np.sum(g * np.reshape(normal, x.shape), axis=others),
        None if bias is None else np.sum(g, axis=others),
    )


@kernel
def standardize_channels(x: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) weight + bias, with a mean and a variance (C,) that are given."""
    scale = 1 / np.sqrt(variance + eps)
    y = (x - by_channel(x, mean)) * by_channel(x, scale if weight is None else scale * weight)
    return y if bias is None else y + by_channel(x, bias)


@kernel
def standardize_channels_backward(
    g: Array, x: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array | None, Array | None]:
    """The gradients of ``x``, ``weight`` and ``bias``."""
    scale = 1 / np.sqrt(variance + eps)
    others = (0, *range(2, x.ndim))
    return (
        g * by_channel(x, scale if weight is None else scale * weight),
        None if weight is None else np.sum(g * (x - by_channel(x, mean)), axis=others) * scale,
        None if bias is None else np.sum(g, axis=others),
    )


def by_channel(x: Array, a: Array) -> Array:
    """``a`` (C,) in a shape that broadcasts with ``x`` (N, C, ...)."""
    return np.reshape(a, (-1, *[1] * (x.ndim - 2)))


def _grouped(x: Array, groups: int, together: bool) -> tuple[Array, tuple[int, ...]]:
    """``x`` with an axis for the groups and one for the channels of a group, and the axes that are normalised over."""
    n, channels, *rest = x.shape
    grouped = np.reshape(x, (n, groups, channels // groups, *rest))
    return grouped, (*((0,) * together), *range(2, grouped.ndim))


@normalize_channels.compiled(when=lambda x, weight, bias, *rest: _pays(x.shape[1:2], x, weight, bias))
def _(x: Array, weight: Array | None, bias: Array | None, groups: int, together: bool, eps: float) -> Any:
    data = _Channels(x, together)
    matrix, parts, coefficients = data.matrix(x), data.small(data.shape, x.dtype), data.small(data.of_columns(3), x.dtype)
    (_moments_last if data.last else _moments_first)(matrix, parts, data.rows)
    mean, variance = np.empty((data.examples, groups), x.dtype), np.empty((data.examples, groups), x.dtype)
    rows, each = (data.rows, len(matrix)) if data.last else (data.width, data.width * len(parts))
    affine = _affine(x, data.channels, weight, bias)
    _standardizing(parts, rows, each, data.fold, data.count, *affine, eps, mean, variance, coefficients)
    return data.mapped(x, matrix, coefficients), mean, variance


@normalize_channels_backward.compiled(when=lambda g, x, weight, bias, *rest: _pays(x.shape[1:2], x, weight, bias, g))
def _(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    variance: Array,
    groups: int,
    together: bool,
    eps: float,
) -> Any:
    data = _Channels(x, together)
    above, matrix = data.matrix(g), data.matrix(x)
    parts, coefficients = data.small(data.shape, x.dtype), data.small(data.of_columns(4), x.dtype)
    coefficients[0].reshape(data.examples, data.fold, groups, -1)[...] = mean[:, None, :, None]
    (_sums_last if data.last else _sums_first)(above, matrix, coefficients[0], parts, data.rows)
    gradients, out = np.zeros((2, data.channels)), data.like(x)
    weights = _affine(x, data.channels, weight, None)[0]
    _slopes(parts, data.fold, data.count, weights, variance, eps, gradients, coefficients)
    (_gradient_last if data.last else _gradient_first)(above, matrix, *coefficients, data.matrix(out), data.rows)
    g_weight, g_bias = gradients.astype(x.dtype)
    return out, g_weight, g_bias


@standardize_channels.compiled(
    when=lambda x, weight, bias, mean, variance, eps: x.size >= _SMALL and dense(x, weight, bias) and dense(mean, variance)
)
def _(x: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, eps: float) -> Any:
    last = _is_last(x.shape, x.strides, x.itemsize)
    if last is None:
        x, last = np.ascontiguousarray(x), False
    y, channels = empty_like(x), x.shape[1]
    weight = np.ones(channels, x.dtype) if weight is None else weight
    bias = np.zeros(channels, x.dtype) if bias is None else bias
    fold, rows = _shape_of_blocks(x.size // channels, channels, True) if last else (0, _rows_of(x.size // (len(x) * channels)))
    if not weight.shape == bias.shape == mean.shape == variance.shape == (channels,):
        return standardize_channels.reference(x, weight, bias, mean, variance, eps)
    _standardize(x, weight, bias, mean, variance, eps, fold, rows, y)
    return y


@standardize_channels_backward.compiled(when=lambda g, x, weight, bias, *rest: _pays(x.shape[1:2], x, weight, bias, g))
def _(g: Array, x: Array, weight: Array | None, bias: Array | None, mean: Array, variance: Array, eps: float) -> Any:
    data = _Channels(x, together=True)
    above = data.matrix(g)
    scale = 1 / np.sqrt(variance + eps)
    gx = data.affine(x, above, None, scale if weight is None else scale * weight, None)
    if weight is None and bias is None:
        return gx, None, None
    total, along = data.sums(above, data.matrix(x), mean)
    return gx, (along[0] * scale).astype(x.dtype), total[0].astype(x.dtype)


class _Channels:
    """How arrays (N, C, ...) of one order in memory are worked through, as matrices.

    Channels-last, a row of the matrix is of one pixel; or of several, ``fold``, where there are few channels. A block is of
    ``rows`` rows. Else a row is one channel of one example, and a block by itself, and ``rows`` are worked at in one go.
    Coefficients and sums are of shape (examples, C), where all examples count as one if ``together``; they are float64.
    """

    def __init__(self, x: Array, together: bool):
        n, self.channels = x.shape[:2]
        size = prod(x.shape[2:])
        self.last = self.channels > 1 and x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous
        self.examples = 1 if together else n
        self.count = n * size // self.examples
        self.width = size
        self.fold, self.rows, blocks = 1, _rows_of(size), n
        if self.last:
            self.fold, self.rows = _shape_of_blocks(self.count, self.channels, together)
            self.width = self.channels * self.fold
            blocks = -(-self.count // (self.rows * self.fold)) * self.examples
        self.shape = (blocks, 2, self.channels * self.fold)

    def matrix(self, x: Array) -> Array:
        """``x`` as a matrix, copied if its memory has another order."""
        return np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1) if self.last else x).reshape(-1, self.width)

    def like(self, x: Array) -> Array:
        """An array like ``x`` with any contents."""
        if not self.last:
            return empty(x.shape, x.dtype)
        made = empty((x.shape[0], *x.shape[2:], self.channels), x.dtype)
        return made.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))

    def small(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A small array, starting with a line of the cache if rows are added to it: a vector in two is slow."""
        if not self.last:
            return np.empty(shape, dtype)
        n, line = prod(shape), 64 // np.dtype(dtype).itemsize
        made = np.empty(n + line, dtype)
        start = -(made.__array_interface__["data"][0] // made.itemsize) % line
        return made[start : start + n].reshape(shape)

    def coefficients(self, *each: Array | None, dtype: Any) -> Array:
        """For each column, or for each row of the matrix, of all examples; None for zeros."""
        made = self.small(self.of_columns(len(each)), dtype)
        for to, a in zip(made, each, strict=True):
            to.reshape(self.examples, self.fold, -1)[...] = 0 if a is None else a.reshape(-1, 1, self.channels)
        return made

    def of_columns(self, kinds: int) -> tuple[int, ...]:
        """The shape of so many kinds of coefficients."""
        return kinds, self.examples, self.fold * self.channels

    def sums(self, g: Array, x: Array, mean: Array) -> tuple[Array, Array]:
        """The sums of g and of g (x - mean) of each channel."""
        parts = self.small(self.shape, x.dtype)
        (_sums_last if self.last else _sums_first)(g, x, *self.coefficients(mean, dtype=x.dtype), parts, self.rows)
        total = np.zeros((2, self.examples, self.channels))
        _add(parts, self.fold, *total)
        return total[0], total[1]

    def affine(self, x: Array, matrix: Array, mean: Array | None, scale: Array, shift: Array | None) -> Array:
        """(x - mean) scale + shift."""
        return self.mapped(x, matrix, self.coefficients(mean, scale, shift, dtype=x.dtype))

    def mapped(self, x: Array, matrix: Array, coefficients: Array) -> Array:
        """(x - mean) scale + shift, of these ``coefficients``."""
        out = self.like(x)
        (_affine_last if self.last else _affine_first)(matrix, *coefficients, self.matrix(out), self.rows)
        return out


@lru_cache(maxsize=1024)
def _shape_of_blocks(pixels: int, channels: int, ragged: bool) -> tuple[int, int]:
    """How many of an example's pixels to make a row of, and how many such rows a block, of which the last may be shorter."""
    fold = 1
    while channels * fold < 512 and pixels % (2 * fold) == 0:
        fold *= 2
    rows = max(1, pixels // fold)
    most = max(16, _BLOCK // (channels * fold))
    if ragged or rows <= most:
        return fold, min(rows, most)
    return fold, max(n for n in range(1, most + 1) if rows % n == 0)


@lru_cache(maxsize=1024)
def _is_last(shape: tuple[int, ...], strides: tuple[int, ...], item: int) -> bool | None:
    """Whether images (N, C, ...) lie in memory with channels last; None where there are gaps, or another order."""
    for order in ((0, *range(2, len(shape)), 1), tuple(range(len(shape)))):
        lengths = [shape[i] for i in order]
        steps = (item * prod(lengths[i + 1 :]) for i in range(len(order)))
        if all(strides[i] == step or shape[i] == 1 for i, step in zip(order, steps, strict=True)):
            return order[-1] == 1
    return None


# both


@compiled
def _standardize(x: Any, weight: Any, bias: Any, mean: Any, variance: Any, eps: float, fold: int, rows: int, y: Any) -> None:
    """Rows are of ``fold`` pixels, channels-last; or where that is 0, of one channel."""
    channels = len(mean)
    coefficients = np.empty((3, 1, max(1, fold) * channels), x.dtype)
    m, a, b = coefficients[0], coefficients[1], coefficients[2]
    for c in range(channels):
        scale = weight[c] / np.sqrt(np.float64(variance[c]) + eps)
        for i in range(c, m.size, channels):
            m[0, i], a[0, i], b[0, i] = mean[c], scale, bias[c]
    width = channels * fold if fold > 0 else x.size // (len(x) * channels)
    images, to = array_at(x, address(x), x.size).reshape(-1, width), array_at(y, address(y), y.size).reshape(-1, width)
    if fold > 0:
        parallel_for(_affine_last_block, (images, m, a, b, to, len(images)), len(images), rows)
    else:
        parallel_for(_affine_first_block, (images, m[0], a[0], b[0], to), len(images), rows)


# channels-last


@compiled
def _moments_last(x: Any, parts: Any, rows: int) -> None:
    parallel_for(_moments_last_block, (x, parts, rows), len(parts), 1)


@compiled
def _moments_last_block(x: Any, parts: Any, rows: int, start: int, stop: int) -> None:
    """The sums of x and x^2 are about the block's first row, which lies nearer to the mean than zero may."""
    zero = x.dtype.type(0)
    for block in range(start, stop):
        data = x[block * rows : block * rows + rows]
        pivot, first, second = data[0], parts[block, 0], parts[block, 1]
        for j in range(len(pivot)):
            first[j] = second[j] = zero
        whole = len(data) - len(data) % 4
        for i in range(0, whole, 4):
            p, q, r, s = data[i], data[i + 1], data[i + 2], data[i + 3]
            for j in range(len(pivot)):
                a, b, c, d = p[j] - pivot[j], q[j] - pivot[j], r[j] - pivot[j], s[j] - pivot[j]
                first[j] += (a + b) + (c + d)
                second[j] += (a * a + b * b) + (c * c + d * d)
        for i in range(whole, len(data)):
            p = data[i]
            for j in range(len(pivot)):
                a = p[j] - pivot[j]
                first[j] += a
                second[j] += a * a
        n = x.dtype.type(len(data))
        for j in range(len(pivot)):
            offset = first[j] / n
            second[j] -= first[j] * offset
            first[j] = pivot[j] + offset


@compiled
def _sums_last(g: Any, x: Any, mean: Any, parts: Any, rows: int) -> None:
    parallel_for(_sums_last_block, (g, x, mean, parts, rows), len(parts), 1)


@compiled
def _sums_last_block(g: Any, x: Any, mean: Any, parts: Any, rows: int, start: int, stop: int) -> None:
    zero = x.dtype.type(0)
    for block in range(start, stop):
        data, above = x[block * rows : block * rows + rows], g[block * rows : block * rows + rows]
        middle, first, second = mean[block * len(mean) // len(parts)], parts[block, 0], parts[block, 1]
        for j in range(len(middle)):
            first[j] = second[j] = zero
        whole = len(data) - len(data) % 2
        for i in range(0, whole, 2):
            p, q, a, b = data[i], data[i + 1], above[i], above[i + 1]
            for j in range(len(middle)):
                first[j] += a[j] + b[j]
                second[j] += a[j] * (p[j] - middle[j]) + b[j] * (q[j] - middle[j])
        for i in range(whole, len(data)):
            p, a = data[i], above[i]
            for j in range(len(middle)):
                first[j] += a[j]
                second[j] += a[j] * (p[j] - middle[j])


@compiled
def _affine_last(x: Any, mean: Any, scale: Any, shift: Any, y: Any, rows: int) -> None:
    parallel_for(_affine_last_block, (x, mean, scale, shift, y, len(x) // len(mean)), len(x), rows)


@compiled
def _affine_last_block(x: Any, mean: Any, scale: Any, shift: Any, y: Any, rows: int, start: int, stop: int) -> None:
    start, stop = len(x) - stop, len(x) - start  # backward: the first pass has left the end in the cache
    e = start // rows
    m, a, b = mean[e], scale[e], shift[e]
    for i in range(start, stop):
        row, to = x[i], y[i]
        for j in range(len(m)):
            to[j] = (row[j] - m[j]) * a[j] + b[j]


@compiled
def _gradient_last(g: Any, x: Any, mean: Any, scale: Any, slope: Any, level: Any, gx: Any, rows: int) -> None:
    parallel_for(_gradient_last_block, (g, x, mean, scale, slope, level, gx, len(x) // len(mean)), len(x), rows)


@compiled
def _gradient_last_block(
    g: Any, x: Any, mean: Any, scale: Any, slope: Any, level: Any, gx: Any, rows: int, start: int, stop: int
) -> None:
    start, stop = len(x) - stop, len(x) - start  # backward: the first pass has left the end in the cache
    e = start // rows
    m, a, b, d = mean[e], scale[e], slope[e], level[e]
    for i in range(start, stop):
        above, row, to = g[i], x[i], gx[i]
        for j in range(len(m)):
            to[j] = above[j] * a[j] + ((row[j] - m[j]) * b[j] + d[j])


# channels first


@compiled
def _moments_first(x: Any, parts: Any, rows: int) -> None:
    parallel_for(_moments_first_block, (x, parts), len(x), rows)


@compiled
def _moments_first_block(x: Any, parts: Any, start: int, stop: int) -> None:
    channels = parts.shape[2]
    n = x.dtype.type(x.shape[1])
    for i in range(start, stop):
        row = x[i]
        total = x.dtype.type(0)
        for j in range(len(row)):
            total += row[j]
        middle = total / n
        squares = x.dtype.type(0)
        for j in range(len(row)):
            squares += (row[j] - middle) * (row[j] - middle)
        parts[i // channels, 0, i % channels], parts[i // channels, 1, i % channels] = middle, squares


@compiled
def _sums_first(g: Any, x: Any, mean: Any, parts: Any, rows: int) -> None:
    parallel_for(_sums_first_block, (g, x, mean.reshape(-1), parts), len(x), rows)


@compiled
def _sums_first_block(g: Any, x: Any, mean: Any, parts: Any, start: int, stop: int) -> None:
    channels = parts.shape[2]
    for i in range(start, stop):
        above, row = g[i], x[i]
        middle = mean[i % len(mean)]
        total = along = x.dtype.type(0)
        for j in range(len(row)):
            total += above[j]
            along += above[j] * (row[j] - middle)
        parts[i // channels, 0, i % channels], parts[i // channels, 1, i % channels] = total, along


@compiled
def _affine_first(x: Any, mean: Any, scale: Any, shift: Any, y: Any, rows: int) -> None:
    arguments = x, mean.reshape(-1), scale.reshape(-1), shift.reshape(-1), y
    parallel_for(_affine_first_block, arguments, len(x), rows)


@compiled
def _affine_first_block(x: Any, mean: Any, scale: Any, shift: Any, y: Any, start: int, stop: int) -> None:
    for i in range(len(x) - stop, len(x) - start):
        row, to, k = x[i], y[i], i % len(mean)
        m, a, b = mean[k], scale[k], shift[k]
        for j in range(len(row)):
            to[j] = (row[j] - m) * a + b


@compiled
def _gradient_first(g: Any, x: Any, mean: Any, scale: Any, slope: Any, level: Any, gx: Any, rows: int) -> None:
    arguments = g, x, mean.reshape(-1), scale.reshape(-1), slope.reshape(-1), level.reshape(-1), gx
    parallel_for(_gradient_first_block, arguments, len(x), rows)


@compiled
def _gradient_first_block(
    g: Any, x: Any, mean: Any, scale: Any, slope: Any, level: Any, gx: Any, start: int, stop: int
) -> None:
    for i in range(len(x) - stop, len(x) - start):
        above, row, to, k = g[i], x[i], gx[i], i % len(mean)
        m, a, b, d = mean[k], scale[k], slope[k], level[k]
        for j in range(len(row)):
            to[j] = above[j] * a + ((row[j] - m) * b + d)


# what blocks have found, put together in order


@compiled
def _merge(parts: Any, rows: int, each: int, fold: int, mean: Any, squares: Any) -> None:
    """Means and sums of squares of parts, each of ``rows`` elements but perhaps the last, into those of all.

    Source: T. Chan, G. Golub, R. LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979).
    """
    channels, blocks = mean.shape[1], len(parts) // len(mean)
    for e in range(len(mean)):
        m, s = mean[e], squares[e]
        before = 0.0
        for block in range(e * blocks, e * blocks + blocks):
            n = float(min(rows, each - block * rows))
            for k in range(fold):
                means = parts[block, 0, k * channels : k * channels + channels]
                seconds = parts[block, 1, k * channels : k * channels + channels]
                for c in range(channels):
                    second, step = np.float64(seconds[c]), means[c] - m[c]
                    m[c] += step * (n / (before + n))
                    s[c] += (0.0 if second < 0 else second) + step * step * (before * n / (before + n))
                before += n


@compiled
def _add(parts: Any, fold: int, first: Any, second: Any) -> None:
    channels, blocks = first.shape[1], len(parts) // len(first)
    for e in range(len(first)):
        a, b = first[e], second[e]
        for block in range(e * blocks, e * blocks + blocks):
            for k in range(fold):
                p = parts[block, 0, k * channels : k * channels + channels]
                q = parts[block, 1, k * channels : k * channels + channels]
                for c in range(channels):
                    a[c] += p[c]
                    b[c] += q[c]


# what depends on channels alone


@compiled
def _standardizing(
    parts: Any, rows: int, each: int, fold: int, count: int, weight: Any, bias: Any, eps: float, mean: Any, variance: Any,
    coefficients: Any,
) -> None:  # fmt: skip
    """Each group's mean and variance, from the parts' moments, and for each column its mean, scale and shift."""
    examples, channels = len(mean), len(weight)
    some = channels // mean.shape[1]
    means, squares = np.zeros((examples, channels)), np.zeros((examples, channels))
    _merge(parts, rows, each, fold, means, squares)
    for e in range(examples):
        for group in range(mean.shape[1]):
            first = group * some
            middle = total = 0.0
            for c in range(first, first + some):
                middle += means[e, c]
            middle /= some
            for c in range(first, first + some):
                total += squares[e, c] + count * (means[e, c] - middle) * (means[e, c] - middle)
            total /= count * some
            scale = 1 / np.sqrt(total + eps)
            mean[e, group], variance[e, group] = middle, total
            for c in range(first, first + some):
                for column in range(c, fold * channels, channels):
                    coefficients[0, e, column] = middle
                    coefficients[1, e, column] = scale * weight[c]
                    coefficients[2, e, column] = bias[c]


@compiled
def _slopes(
    parts: Any, fold: int, count: int, weight: Any, variance: Any, eps: float, gradients: Any, coefficients: Any
) -> None:
    """The gradients of weight and bias, from the parts' sums, and for each column what g, x - mean and 1 are multiplied by."""
    examples, channels = len(variance), len(weight)
    some = channels // variance.shape[1]
    total, along = np.zeros((examples, channels)), np.zeros((examples, channels))
    _add(parts, fold, total, along)  # of g, and of g (x - mean)
    for e in range(examples):
        for group in range(variance.shape[1]):
            first = group * some
            r = 1 / np.sqrt(variance[e, group] + eps)
            level = slope = 0.0
            for c in range(first, first + some):
                level += total[e, c] * weight[c]
                slope += along[e, c] * weight[c]
                gradients[0, c] += along[e, c] * r
                gradients[1, c] += total[e, c]
            level *= r / (count * some)
            slope *= r * r * r / (count * some)
            for c in range(first, first + some):
                for column in range(c, fold * channels, channels):
                    coefficients[1, e, column] = r * weight[c]
                    coefficients[2, e, column] = -slope
                    coefficients[3, e, column] = -level
