"""Convolution as matrix products, and its two transposes, in any number of dimensions.

The three are one trilinear form, read in three directions: each is linear in both its arguments, and the derivative of any
is given by the other two. Images are (N, C, *size), held channels-last: a result is a transposed view of an (N, *size, C)
buffer. What the window sees is copied out (im2col) for a few images at a time, so that the copy stays in the cache.

Source: K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural Networks for Document Processing (2006).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from . import convolution_depthwise as depthwise
from . import convolution_direct as direct
from . import convolution_few as few
from . import convolution_gradient as gradient
from . import convolution_planes as planes
from . import convolution_winograd as winograd
from .layer import compiled, dense, kernel, parallel_for
from .matmul import column_sums, linear, matmul
from .window import Size, Window, channels_first, channels_last

_BLOCK_BYTES = 2 << 20  # about one core's share of the last cache


@kernel
def convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """Slide ``weight`` over ``x``: y[n, o, i] = bias[o] + sum over c, k of x[n, c, i + k] weight[o, c, k].

    Args:
        x: (N, C, *size).
        weight: (O, C / groups, *kernel).
        bias: (O,), or None.
        window: how the kernel moves.
        groups: into how many independent parts the channels are divided.
    """
    n, o = x.shape[0], weight.shape[0]
    y = np.empty((n, *window.output_size(x.shape[2:]), o), np.result_type(x, weight))
    matrix = _as_matrix(weight, groups)
    for batch in _batches(x, window):
        np.matmul(_columns(x[batch], window, groups), matrix, out=_by_group(y[batch], groups))
        if bias is not None:
            y[batch] += bias
    return channels_first(y)


@convolve.compiled(
    when=lambda x, weight, bias, window, groups: (
        dense(x, weight, bias) and (_pays(x, weight.size) or _is_whole(x.shape[2:], window, groups))
    )
)
def _(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    return _chosen(_way, x, weight, window, groups)(x, weight, bias)


def _way(x: Array, weight: Array, window: Window, groups: int) -> Callable[..., Array]:
    result = window.output_size(x.shape[2:])
    if _is_whole(x.shape[2:], window, groups):
        ones = (1,) * len(result)

        def whole(x: Array, weight: Array, bias: Array | None) -> Array:
            rows = linear(x.reshape(len(x), -1), weight.reshape(len(weight), -1), bias)
            return rows.reshape(*rows.shape, *ones)

        return whole
    if winograd.pays(x.shape[0], weight.shape[:2], result, window, groups, x.dtype):

        def by_winograd(x: Array, weight: Array, bias: Array | None) -> Array:
            y = winograd.convolve(x, weight, bias, window)
            return direct.convolve(x, weight, bias, window, groups) if y is None else y

        return by_winograd
    if depthwise.suits(x, weight.shape, result, window, groups):
        return lambda x, weight, bias: depthwise.convolve(x, weight, bias, window)
    if planes.suits(x, weight.shape, groups) and x.flags.c_contiguous:
        return lambda x, weight, bias: planes.convolve(x, weight, bias, window, groups)
    if few.pays(len(x), weight, result, groups):
        return lambda x, weight, bias: few.convolve(x, weight, bias, window)
    return lambda x, weight, bias: direct.convolve(x, weight, bias, window, groups)


@kernel
def convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    """The transpose of ``convolve`` in ``x``: (N, O, *output size) to (N, C, *size), plus ``bias`` (C,)."""
    around = _around(size, g.shape[2:], window)
    if around is not None:  # a convolution again, with the kernel turned round and its channels exchanged
        return convolve.reference(g, _turned(weight, groups), bias, around, groups)

    matrix = _as_matrix(weight, groups).transpose(0, 2, 1)
    padded = window.buffer(g.shape[0], weight.shape[1] * groups, size, np.result_type(g, weight))
    for batch in _batches(g, window):
        seen = _by_group(np.ascontiguousarray(channels_last(g[batch])), groups) @ matrix
        seen = seen.reshape(groups, -1, *g.shape[2:], prod(window.kernel), weight.shape[1])
        for k, shift in enumerate(window.shifts(padded[batch])):
            shift += np.moveaxis(seen[..., k, :], 0, -2).reshape(shift.shape)
    x = window.interior(padded)
    if bias is not None:
        x += bias.reshape(-1, *(1 for _ in size))
    return x


@convolve_input.compiled(
    when=lambda g, weight, bias, size, window, groups: (
        dense(g, weight, bias) and (_pays(g, weight.size) or _is_whole(size, window, groups))
    )
)
def _(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    return _chosen(_way_of_input, g, weight, size, window, groups)(g, weight, bias)


def _way_of_input(g: Array, weight: Array, size: Size, window: Window, groups: int) -> Callable[..., Array]:
    if _is_whole(size, window, groups):

        def whole(g: Array, weight: Array, bias: Array | None) -> Array:
            x = matmul(g.reshape(g.shape[:2]), weight.reshape(len(weight), -1)).reshape(len(g), *weight.shape[1:])
            return x if bias is None else x + bias.reshape(-1, *(1 for _ in size))

        return whole
    around = _around(size, g.shape[2:], window)
    if around is not None and winograd.pays(g.shape[0], weight.shape[:2], size, around, groups, g.dtype):

        def by_winograd(g: Array, weight: Array, bias: Array | None) -> Array:
            x = winograd.convolve(g, weight, bias, around, transposed=True)
            return direct.convolve_input(g, weight, bias, size, window, groups) if x is None else x

        return by_winograd
    if depthwise.suits(g, weight.shape, size, window, groups, "input"):
        return lambda g, weight, bias: depthwise.convolve_input(g, weight, bias, size, window)
    if around is not None and groups > 1 and planes.suits(g, weight.shape, groups) and g.flags.c_contiguous:
        return lambda g, weight, bias: planes.convolve(g, _turned(weight, groups), bias, around, groups)
    if planes.is_few(weight.shape, len(size)) and (groups == 1 or g.flags.c_contiguous):
        return lambda g, weight, bias: planes.convolve_input(g, weight, bias, size, window, groups)
    return lambda g, weight, bias: direct.convolve_input(g, weight, bias, size, window, groups)


@kernel
def convolve_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The transpose of ``convolve`` in ``weight``: from x and (N, O, *output size) to (O, C / groups, *kernel)."""
    channels, o = x.shape[1] // groups, g.shape[1]
    matrix = np.zeros((groups, prod(window.kernel) * channels, o // groups), np.result_type(x, g))
    for batch in _batches(x, window):
        outputs = _by_group(np.ascontiguousarray(channels_last(g[batch])), groups)
        matrix += _columns(x[batch], window, groups).transpose(0, 2, 1) @ outputs
    by_group = matrix.reshape(groups, *window.kernel, channels, o // groups)
    last = by_group.ndim - 1
    return by_group.transpose(0, last, last - 1, *range(1, last - 1)).reshape(o, channels, *window.kernel)


@convolve_weight.compiled(
    when=lambda x, g, window, groups: (
        dense(x, g)
        and (_pays(x, x.shape[1] // groups * g.shape[1] * prod(window.kernel)) or _is_whole(x.shape[2:], window, groups))
    )
)
def _(x: Array, g: Array, window: Window, groups: int) -> Array:
    return _chosen(_way_of_weight, x, g, window, groups)(x, g)


def _way_of_weight(x: Array, g: Array, window: Window, groups: int) -> Callable[..., Array]:
    if _is_whole(x.shape[2:], window, groups):
        return lambda x, g: matmul(g.reshape(g.shape[:2]).T, x.reshape(len(x), -1)).reshape(g.shape[1], *x.shape[1:])
    if winograd.pays(x.shape[0], (x.shape[1], g.shape[1]), g.shape[2:], window, groups, x.dtype):

        def by_winograd(x: Array, g: Array) -> Array:
            weight = winograd.convolve_weight(x, g, window)
            return gradient.convolve_weight(x, g, window, groups) if weight is None else weight

        return by_winograd
    each = x.shape[1] // groups
    if any(depthwise.suits(a, (g.shape[1], each), g.shape[2:], window, groups, "weight") for a in (x, g)):
        return lambda x, g: depthwise.convolve_weight(x, g, window, each)
    if planes.suits_weight(x, g, window, groups):
        return lambda x, g: planes.convolve_weight(x, g, window, groups)
    alike = groups == 1 and x.shape[2:] == g.shape[2:] and set(window.kernel) == set(window.stride) == {1}  # pixels alone
    if alike and x.flags.c_contiguous and planes.suits_weight(g, x, window, 1):
        return lambda x, g: planes.convolve_weight(g, x, window, 1).swapaxes(0, 1)
    return lambda x, g: gradient.convolve_weight(x, g, window, groups)


#: The ways that were chosen, by all that a choice depends on.
_ways: dict[Any, Callable[..., Array]] = {}


def _chosen(choose: Callable[..., Callable[..., Array]], x: Array, other: Array, *options: Any) -> Callable[..., Array]:
    """What computes arrays of these shapes and orders in memory: ``choose`` is asked once."""
    key = choose, x.shape, x.flags.c_contiguous, other.shape, other.flags.c_contiguous, x.dtype, options
    way = _ways.get(key)
    if way is None:
        if len(_ways) >= 4096:
            _ways.clear()
        way = _ways[key] = choose(x, other, *options)
    return way


@kernel
def channel_sums(g: Array) -> Array:
    """The gradient of a bias: sums over images and positions, (N, C, *size) to (C,)."""
    return np.sum(g, axis=(0, *range(2, g.ndim)))


@channel_sums.compiled(
    when=lambda g: dense(g) and g.size > 1 << 12 and (g.flags.c_contiguous or channels_last(g).flags.c_contiguous)
)
def _(g: Array) -> Array:
    if not g.flags.c_contiguous:
        return column_sums(channels_last(g).reshape(-1, g.shape[1]))
    sums = np.empty(g.shape[:2], g.dtype)
    _row_sums(g.reshape(sums.size, -1), sums.reshape(-1))
    return np.sum(sums, axis=0)


@compiled
def _row_sums(x: Any, sums: Any) -> None:
    parallel_for(_row_sums_block, (x, sums), len(x), 1 + 16384 // x.shape[1])


@compiled
def _row_sums_block(x: Any, sums: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        row, total = x[i], x.dtype.type(0)
        for j in range(len(row)):
            total += row[j]
        sums[i] = total


def _is_whole(size: Size, window: Window, groups: int) -> bool:
    """Whether the window sees the whole image, from its one position: then convolution is a product of two matrices."""
    return groups == 1 and window.kernel == size and not any(map(any, window.padding)) and set(window.dilation) == {1}


def _pays(x: Array, weights: int) -> bool:
    """Whether there is enough to do for a compiled version: about so many multiplications."""
    return bool(x.size) and x.size // x.shape[1] * weights > 2_000


def unfold(x: Array, window: Window) -> Array:
    """What the window sees, (N, C, *size) to (N, C, *kernel, *output size)."""
    columns = window.columns(window.pad(x))
    n = len(window.kernel)
    return np.ascontiguousarray(columns.transpose(0, 2 * n + 1, *range(n + 1, 2 * n + 1), *range(1, n + 1)))


def fold(columns: Array, size: Size, window: Window) -> Array:
    """The transpose of ``unfold``: (N, C, *kernel, *output size) to (N, C, *size)."""
    n, channels = columns.shape[:2]
    padded = window.buffer(n, channels, size, columns.dtype)
    elements = columns.reshape(n, channels, prod(window.kernel), *columns.shape[2 + len(size) :])
    for k, shift in enumerate(window.shifts(padded)):
        shift += channels_last(elements[:, :, k])
    return window.interior(padded)


def _around(size: Size, g_size: Size, window: Window) -> Window | None:
    """The window of the convolution that is the transpose of one with stride 1; None where there is none."""
    before = [span - 1 - start for span, (start, _) in zip(window.span, window.padding, strict=True)]
    after = [m - n - b + span - 1 for m, n, b, span in zip(size, g_size, before, window.span, strict=True)]
    if set(window.stride) != {1} or min(*before, *after) < 0:
        return None
    return window._replace(padding=tuple(zip(before, after, strict=True)))


def _as_matrix(weight: Array, groups: int) -> Array:
    """(O, C/G, *kernel) as (G, prod(kernel) C/G, O/G)."""
    o, channels, *kernel = weight.shape
    by_group = weight.reshape(groups, o // groups, channels, *kernel)
    return by_group.transpose(0, *range(3, by_group.ndim), 2, 1).reshape(groups, prod(kernel) * channels, o // groups)


def _turned(weight: Array, groups: int) -> Array:
    """The kernel turned round, from outputs to inputs: (O, C/G, *kernel) as (C, O/G, *kernel)."""
    o, channels, *kernel = weight.shape
    by_group = np.flip(weight.reshape(groups, o // groups, channels, *kernel), tuple(range(3, 3 + len(kernel))))
    return by_group.swapaxes(1, 2).reshape(groups * channels, o // groups, *kernel)


def _columns(x: Array, window: Window, groups: int) -> Array:
    """What the window sees, as matrices (G, N prod(output size), prod(kernel) C/G)."""
    seen = window.columns(window.pad(x))
    by_group = seen.reshape(*seen.shape[:-1], groups, -1)
    positions = 1 + len(window.kernel)
    rows, row = prod(seen.shape[:positions]), prod(seen.shape[positions:]) // groups
    return np.moveaxis(by_group, -2, 0).reshape(groups, rows, row)


def _by_group(y: Array, groups: int) -> Array:
    """The view (G, N prod(output size), O/G) of a contiguous (N, *output size, O)."""
    return y.reshape(prod(y.shape[:-1]), groups, y.shape[-1] // groups).transpose(1, 0, 2)


def _batches(x: Array, window: Window) -> Iterator[slice]:
    """Slices of the batch for which what the window sees fills the cache."""
    image = max(1, x[:1].nbytes * prod(window.kernel) // prod(window.stride))
    step = max(1, _BLOCK_BYTES // image)
    return (slice(i, i + step) for i in range(0, x.shape[0], step))
