"""Images brought into the order in memory in which kernels read them: channels last, with a margin of zeros."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import Native, address, array_at, compiled, parallel_for, transpose, vector_length
from .window import Size, channels_first, channels_last


@cache
def microkernel() -> Any:
    """The module of the tiles, imported at first use."""
    return import_module("chainrule.kernels.microkernel")


@cache
def plane_tiles() -> Any:
    """The module of the tiles of rows, imported at first use."""
    return import_module("chainrule.kernels.plane_tile")


transpose_part = Native("transpose_part", microkernel)

_SQUARE = 32  # rows and columns that are transposed together: so many lines of the nearest cache are in use
_PANEL = 128  # positions


def pad(x: Array, padding: tuple[tuple[int, int], ...], slack: int = 0, groups: int = 1) -> Array:
    """(N, C, *size) as padded (N, *size, C); the same memory where that will do.

    Behind it there are ``slack`` elements more that may be read. If the channels are in several ``groups``, then these are
    apart, (N G, *size, C / G): so what a group's window sees is near each other, and not in the same sets of a cache.
    """
    if groups > 1 and x.flags.c_contiguous:
        x, groups = x.reshape(len(x) * groups, -1, *x.shape[2:]), 1
    last = channels_last(x)
    if groups == 1 and last.flags.c_contiguous and not any(map(any, padding)) and not slack:
        return last
    first = x.flags.c_contiguous and not last.flags.c_contiguous
    if first and any(padding[-1]) and x.shape[-1] * x.itemsize < microkernel().VECTOR:
        return pad(
            channels_first(pad(x, ((0, 0),) * len(padding))), padding, slack
        )  # rows too short to be transposed each alone
    shape, margin, image, whole = _padding(x.shape, padding, groups, first)
    out = empty((prod(shape) + slack,), x.dtype)[: prod(shape)].reshape(shape) if slack else empty(shape, x.dtype)
    if first:
        _pad_first(x.reshape(image), margin, out.reshape(whole))
    else:
        _pad_last(np.ascontiguousarray(last).reshape(image), margin, out.reshape(whole))
    return out


@lru_cache(1024)
def _padding(shape: Size, padding: tuple[tuple[int, int], ...], groups: int, first: bool) -> tuple[Size, Size, Size, Size]:
    """Of padded images their shape, the zeros before them, and as volumes their shapes before and after."""
    n, channels, *size = shape
    padded = (n * groups, *(m + sum(p) for m, p in zip(size, padding, strict=True)), channels // groups)
    before, out = [p[0] for p in padding], padded
    if not any(map(any, padding[1:])):  # then rows lie behind each other, and are taken for one
        before, size, out = [before[0] * prod(size[1:])], [prod(size)], (padded[0], prod(padded[1:-1]), padded[-1])
    ones = (1,) * (3 - len(size))
    image = (n, channels, *ones, *size) if first else (n, *ones, *size, channels)
    return padded, (*(0 for _ in ones), *before), image, (out[0], *ones, *out[1:])


@compiled
def _pad_last(x: Any, before: Any, out: Any) -> None:
    rows = out.shape[0] * out.shape[1] * out.shape[2]
    parallel_for(_pad_last_block, (x, before, out), rows, max(1, 16384 // (out.shape[3] * out.shape[4] + 1)))


@compiled
def _pad_last_block(x: Any, before: Any, out: Any, start: int, stop: int) -> None:
    depth, height, width, channels = x.shape[1:]
    groups, each, zero = len(out) // len(x), out.shape[4], x.dtype.type(0)
    left, right = before[2] * each, (before[2] + width) * each
    for task in range(start, stop):
        group, row = task % groups, task // groups
        n, i, j = row // (out.shape[1] * out.shape[2]), row // out.shape[2] % out.shape[1], row % out.shape[2]
        to = out[n * groups + group, i, j].reshape(-1)
        i, j = i - before[0], j - before[1]
        if 0 <= i < depth and 0 <= j < height:
            source = x[n, i, j].reshape(-1)
            for k in range(left):
                to[k] = zero
            inside, beyond = to[left:right], to[right:]
            if groups == 1:
                for k in range(len(inside)):
                    inside[k] = source[k]
            else:
                for pixel in range(width):
                    its, its_source = inside[pixel * each : (pixel + 1) * each], source[pixel * channels + group * each :]
                    for k in range(len(its)):
                        its[k] = its_source[k]
            for k in range(len(beyond)):
                beyond[k] = zero
        else:
            for k in range(len(to)):
                to[k] = zero


@compiled
def _pad_first(x: Any, before: Any, out: Any) -> None:
    panel = min(_PANEL, out.shape[3])
    panels = out.shape[0] * out.shape[1] * out.shape[2] * ((out.shape[3] + panel - 1) // max(panel, 1))
    parallel_for(_pad_first_block, (x, before, panel, out), panels, max(1, 16384 // (panel * out.shape[4] + 1)))


@compiled
def _pad_first_block(x: Any, before: Any, panel: int, out: Any, start: int, stop: int) -> None:
    channels, depth, height, width = x.shape[1:]
    panels = (out.shape[3] + panel - 1) // panel
    for task in range(start, stop):
        row, first = task // panels, task % panels * panel
        n, i, j = row // (out.shape[1] * out.shape[2]), row // out.shape[2] % out.shape[1], row % out.shape[2]
        to = out[n, i, j, first : first + panel]
        i, j, begin = i - before[0], j - before[1], first - before[2]
        if 0 <= i < depth and 0 <= j < height:
            left, right = min(max(-begin, 0), len(to)), min(max(width - begin, 0), len(to))
            source = address(x) + (((n * channels * depth + i) * height + j) * width + begin + left) * x.itemsize
            transpose_matrix(x, source, x.strides[1], channels, right - left, address(to) + left * to.strides[0], to.strides[0])
            to[:left] = 0
            to[right:] = 0
        else:
            to[:] = 0


@compiled
def transpose_matrix(like: Any, x: int, step: int, height: int, width: int, out: int, out_step: int) -> None:
    """Transpose a matrix, from and to addresses, with so many bytes from row to row; ``like`` is an array of its dtype."""
    lanes, item, zero = vector_length(like), like.itemsize, like.dtype.type(0)
    if height < 4:  # vectors would be mostly empty
        for i in range(height):
            row, column = array_at(like, x + i * step, width), array_at(like, out + i * item, width * out_step // item)
            for j in range(width):
                column[j * (out_step // item)] = row[j]
        return
    for i0 in range(0, height, _SQUARE):
        for j0 in range(0, width, _SQUARE):
            for i in range(i0, min(i0 + _SQUARE, height), lanes):
                for j in range(j0, min(j0 + _SQUARE, width), lanes):
                    source, to, rows, columns = x + i * step + j * item, out + j * out_step + i * item, height - i, width - j
                    if rows >= lanes and columns >= lanes:
                        transpose(like, source, step, to, out_step)
                    else:
                        transpose_part(source, step, min(rows, lanes), min(columns, lanes), to, out_step, zero)
