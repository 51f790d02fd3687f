"""Convolution of few positions by a large weight, compiled: the product the other way round.

Weight times what the window sees: the weight is read once, where it lies, and what the window sees from all positions, which is
little, is copied. So are the last layers of a network for one image, whose time is that of reading their weights.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty, empty_images
from .convolution_direct import multiply_tile, transpose_to
from .convolution_plan import forward_plan
from .layer import address, array_at, compiled, parallel_for, vector_length
from .layout import microkernel, pad, transpose_part
from .window import Size, Window, channels_last

_LARGE = 1 << 16  # elements of a weight: below, reading them takes no time
_VECTORS = 4  # of positions


class Positions(NamedTuple):
    """What depends on shapes alone; distances in bytes."""

    padding: tuple[tuple[int, int], ...]
    size: Size  # of the result
    begins: Array  # where in the padded images each position's window is
    ends: Array  # where its result is
    elements: Array  # the distance of each element of the kernel
    shape: tuple[tuple[Any, ...], tuple[Any, ...]]  # of a tile


@lru_cache(256)
def positions(n: int, size: Size, channels: int, out_channels: int, window: Window, dtype: Any) -> Positions:
    """For ``n`` images of ``size``."""
    plan = forward_plan(size, channels, out_channels, window, 1)
    (path,) = plan.paths
    padded = prod(m + sum(p) for m, p in zip(size, plan.padding, strict=True)) * channels
    images = np.arange(n)[:, None]
    begins, ends = images * padded + path.starts, images * (prod(plan.size) * out_channels) + path.places
    parts, within = np.divmod(np.arange(prod(window.kernel)) * channels, path.length)
    elements = path.parts[parts] + within
    tall, lanes, zero = microkernel().HEIGHTS[0], microkernel().VECTOR // dtype.itemsize, dtype.type(0)
    wide = -(-begins.size // lanes)
    shape = (zero,) * min(tall, (2 * tall + 2 - wide) // wide), (zero,) * wide  # as many sums as there are registers for
    begins, ends = begins.reshape(-1) * dtype.itemsize, ends.reshape(-1) * dtype.itemsize
    return Positions(plan.padding, plan.size, begins, ends, elements * dtype.itemsize, shape)


def pays(n: int, weight: Array, size: Size, groups: int) -> bool:
    """Whether there are so few positions, and so large a weight."""
    return groups == 1 and weight.size > _LARGE and n * prod(size) <= _VECTORS * microkernel().VECTOR // weight.itemsize


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """As ``convolution.convolve``."""
    (n, channels), o = x.shape[:2], len(weight)
    p = positions(n, x.shape[2:], channels, o, window, x.dtype)
    result, start = empty_images((n, o, *p.size), x.dtype), np.zeros(o, x.dtype) if bias is None else np.ascontiguousarray(bias)
    matrix = np.ascontiguousarray(weight).reshape(o, -1)
    seen = empty((matrix.shape[1], len(p.shape[1]) * microkernel().VECTOR // x.itemsize), x.dtype)
    _multiply(
        pad(x, p.padding).reshape(-1),
        channels,
        p.begins,
        p.elements,
        matrix,
        start,
        seen,
        channels_last(result).reshape(-1),
        p.ends,
        p.shape,
    )
    return result


@compiled
def _multiply(
    x: Any, channels: int, begins: Any, elements: Any, weight: Any, bias: Any, seen: Any, y: Any, ends: Any, shape: Any
) -> None:
    lanes = vector_length(x)
    parallel_for(_gather_block, (x, channels, begins, elements, seen), (channels + lanes - 1) // lanes, 1 + 64 // len(elements))
    tiles = (len(weight) + len(shape[0]) - 1) // len(shape[0])
    parallel_for(_multiply_block, (weight, bias, seen, y, ends, shape), tiles, 1 + 200_000 // seen.size)


@compiled
def _gather_block(x: Any, channels: int, begins: Any, elements: Any, seen: Any, start: int, stop: int) -> None:
    """What the window sees, a row for each channel and element, with all positions beside each other: a vector of channels."""
    lanes, item, row = vector_length(x), x.itemsize, seen.shape[1] * seen.itemsize
    square, zero = np.empty((lanes, lanes), x.dtype), x.dtype.type(0)
    for c in range(start * lanes, min(stop * lanes, channels), lanes):
        there = min(lanes, channels - c)
        for e in range(len(elements)):
            for p in range(0, len(begins), lanes):
                count = min(lanes, len(begins) - p)
                for k in range(count):
                    to = array_at(x, address(square) + k * lanes * item, there)
                    source = array_at(x, address(x) + begins[p + k] + elements[e] + c * item, there)
                    for i in range(len(to)):
                        to[i] = source[i]
                place = address(seen) + (c * len(elements) + e) * row + p * item
                transpose_part(address(square), lanes * item, count, there, place, len(elements) * row, zero)


@compiled
def _multiply_block(weight: Any, bias: Any, seen: Any, y: Any, ends: Any, shape: Any, start: int, stop: int) -> None:
    """Tiles of outputs by positions, which are turned round on their way to the result."""
    lanes, item, zero = vector_length(y), y.itemsize, y.dtype.type(0)
    tall, width, row = len(shape[0]), seen.shape[1], weight.shape[1] * weight.itemsize
    none, whole, begins = np.zeros(width, y.dtype), np.zeros(2, np.int64), np.empty(tall, np.int64)
    tile, within = np.empty((tall, width), y.dtype), np.arange(tall) * (width * item)
    for o in range(start * tall, min(stop * tall, len(weight)), tall):
        there = min(tall, len(weight) - o)
        for m in range(tall):  # those beyond the last are the last again
            begins[m] = min(o + m, len(weight) - 1) * row
        multiply_tile(
            address(weight), address(begins), address(whole), 1, weight.shape[1], item, address(seen), address(none),
            address(tile), address(within), width, shape,
        )  # fmt: skip
        for m in range(there):
            values, added = tile[m], bias[o + m]
            for j in range(len(values)):
                values[j] += added
        for m in range(0, there, lanes):
            for p in range(0, len(ends), lanes):
                transpose_to(
                    address(tile) + (m * width + p) * item, width * item, min(lanes, there - m), min(lanes, len(ends) - p),
                    address(y) + (o + m) * item, address(ends) + 8 * p, zero,
                )  # fmt: skip
