"""Two-dimensional convolution as matrix products, and its two transposes.

The three are one trilinear form, read in three directions: each is linear in both its arguments, and the derivative of any
is given by the other two. Images are (N, C, H, W), held channels-last: a result is a transposed view of an (N, H, W, C)
buffer. What the window sees is copied out (im2col) for a few images at a time, so that the copy stays in the cache.

Source: K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural Networks for Document Processing (2006).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.arrays import Array
from .window import Pair, Window

_BLOCK_BYTES = 2 << 20  # about one core's share of the last cache


def conv2d(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """Slide ``weight`` over ``x``: y[n, o, i, j] = bias[o] + sum over c, k, l of x[n, c, i + k, j + l] weight[o, c, k, l].

    Args:
        x: (N, C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,), or None.
        window: how the kernel moves.
        groups: into how many independent parts the channels are divided.
    """
    n, o = x.shape[0], weight.shape[0]
    y = np.empty((n, *window.output_size(x.shape[2:]), o), np.result_type(x, weight))
    matrix = _as_matrix(weight, groups)
    for batch in _batches(x, window):
        out = _by_group(y[batch], groups)
        np.matmul(_columns(x[batch], window, groups), matrix, out=out)
        if bias is not None:
            y[batch] += bias
    return y.transpose(0, 3, 1, 2)


def conv2d_input(g: Array, weight: Array, size: Pair, window: Window, groups: int) -> Array:
    """The transpose of ``conv2d`` in ``x``: (N, O, OH, OW) to (N, C, H, W), where ``size`` is (H, W)."""
    (top, bottom), (left, right) = window.padding
    height, width = (span - 1 for span in window.span)
    if window.stride == (1, 1) and max(top, bottom) <= height and max(left, right) <= width:
        # a convolution again, with the kernel turned round and its channels exchanged
        padding = ((height - top, height - bottom), (width - left, width - right))
        return conv2d(g, _turned(weight, groups), None, window._replace(padding=padding), groups)

    matrix = _as_matrix(weight, groups).transpose(0, 2, 1)
    (kh, kw), channels = window.kernel, weight.shape[1] * groups
    padded = window.buffer(g.shape[0], channels, size, np.result_type(g, weight))
    for batch in _batches(g, window):
        seen = _by_group(np.ascontiguousarray(g[batch].transpose(0, 2, 3, 1)), groups) @ matrix
        seen = seen.reshape(groups, -1, *g.shape[2:], kh * kw, weight.shape[1])
        for k, shift in enumerate(window.shifts(padded[batch])):
            shift += np.moveaxis(seen[..., k, :], 0, 3).reshape(shift.shape)
    return window.interior(padded)


def conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The transpose of ``conv2d`` in ``weight``: from x and (N, O, OH, OW) to (O, C / groups, KH, KW)."""
    channels, o = x.shape[1] // groups, g.shape[1]
    kh, kw = window.kernel
    matrix = np.zeros((groups, kh * kw * channels, o // groups), np.result_type(x, g))
    for batch in _batches(x, window):
        outputs = _by_group(np.ascontiguousarray(g[batch].transpose(0, 2, 3, 1)), groups)
        matrix += _columns(x[batch], window, groups).transpose(0, 2, 1) @ outputs
    return matrix.reshape(groups, kh, kw, channels, -1).transpose(0, 4, 3, 1, 2).reshape(o, channels, kh, kw)


def _as_matrix(weight: Array, groups: int) -> Array:
    """(O, C/G, KH, KW) as (G, KH KW C/G, O/G)."""
    o, channels, kh, kw = weight.shape
    by_group = weight.reshape(groups, o // groups, channels, kh, kw)
    return by_group.transpose(0, 3, 4, 2, 1).reshape(groups, kh * kw * channels, o // groups)


def _turned(weight: Array, groups: int) -> Array:
    """The kernel turned by 180 degrees, from outputs to inputs: (O, C/G, KH, KW) as (C, O/G, KH, KW)."""
    o, channels, kh, kw = weight.shape
    by_group = weight.reshape(groups, o // groups, channels, kh, kw)[..., ::-1, ::-1]
    return by_group.transpose(0, 2, 1, 3, 4).reshape(groups * channels, o // groups, kh, kw)


def _columns(x: Array, window: Window, groups: int) -> Array:
    """What the window sees, as matrices (G, N OH OW, KH KW C/G)."""
    seen = window.columns(window.pad(x))
    by_group = seen.reshape(*seen.shape[:-1], groups, -1)
    rows, row = int(np.prod(seen.shape[:3])), int(np.prod(seen.shape[3:])) // groups
    return np.moveaxis(by_group, 5, 0).reshape(groups, rows, row)


def _by_group(y: Array, groups: int) -> Array:
    """The view (G, N OH OW, O/G) of a contiguous (N, OH, OW, O)."""
    return y.reshape(-1, groups, y.shape[3] // groups).transpose(1, 0, 2)


def _batches(x: Array, window: Window) -> Iterator[slice]:
    """Slices of the batch for which what the window sees fills the cache."""
    n, kh, kw = x.shape[0], *window.kernel
    image = max(1, x[:1].nbytes * kh * kw // (window.stride[0] * window.stride[1]))
    step = max(1, _BLOCK_BYTES // image)
    return (slice(i, i + step) for i in range(0, n, step))
