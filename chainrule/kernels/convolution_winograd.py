"""Convolution with a 3 x 3 kernel and stride 1, compiled, in a quarter of the multiplications.

Winograd's F(4 x 4, 3 x 3): a tile of 4 x 4 results comes of 6 x 6 elements of the image, and is A' [(G w G') (B' x B)] A,
where the product in the middle is element by element. Over many tiles and channels, each of the 36 elements is a matrix
product. The gradient of the weight is read off the same formula: it is G' [sum over tiles of (B' x B) (A g A')] G.

The transforms lose a little precision. In float32 the largest error, over the largest result, is 1e-6 to 3e-6 where that of the
direct sum is 4e-7; in the gradient of a weight, over 2048 tiles, 6e-6.
``CHAINRULE_WINOGRAD=0`` in the environment turns them off.

Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks (2016).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty, empty_images
from .convolution_direct import multiply_tile
from .convolution_gradient import correlate_tile
from .convolution_plan import measures, tile
from .layer import Native, address, compiled, parallel_for
from .layout import microkernel, pad
from .threads import get_num_threads
from .window import Size, Window, channels_last

between_input, between_weight = Native("winograd_input", microkernel), Native("winograd_weight", microkernel)
between_output, between_gradient = Native("winograd_output", microkernel), Native("winograd_output_transposed", microkernel)
between_sums = Native("winograd_weight_transposed", microkernel)
expect = Native("expect", microkernel)
claim, give_back = Native("claim", microkernel), Native("give_back", microkernel)

_TILES = 1024  # of which the gradient of the weight transforms before it sums
_ON = os.environ.get("CHAINRULE_WINOGRAD", "1") != "0"


def pays(n: int, channels: tuple[int, int], result: Size, window: Window, groups: int, dtype: Any) -> bool:
    """Whether a convolution, of results of a size, may go this way and gains by it."""
    if not (_ON and groups == 1 and window.kernel == (3, 3) and window.stride == window.dilation == (1, 1)):
        return False
    lanes = microkernel().VECTOR // dtype.itemsize
    if any(c % lanes for c in channels):
        return False
    height, width = result
    tiles = -(-height // 4) * -(-width // 4)
    used = height * width / (16 * tiles)  # tiles at the edges compute what is not there
    return min(channels) >= 2 * lanes and n * tiles >= 24 and used > 0.6


def convolve(x: Array, weight: Array, bias: Array | None, window: Window, transposed: bool = False) -> Array | None:
    """As ``convolution.convolve``; ``transposed``: with the kernel turned round and its channels exchanged.

    None if a result is not finite: the transforms carry an infinity to where the direct sum has none.
    """
    n, channels = x.shape[:2]
    o = weight.shape[1] if transposed else weight.shape[0]
    height, width = window.output_size(x.shape[2:])
    image = pad(x, ((0, 0), (0, 0)))
    result = empty_images((n, o, height, width), x.dtype)
    y = channels_last(result)
    tiles = n * -(-height // 4) * -(-width // 4)
    shape = tile(1 << 20, o, x.dtype)
    panels = -(-o // measures(shape)[1])
    start = np.zeros(o, x.dtype) if bias is None else np.ascontiguousarray(bias)
    weight = np.ascontiguousarray(weight).reshape(*weight.shape[:2], 9)
    before = (window.padding[0][0], window.padding[1][0])
    busy, overflow = np.zeros(get_num_threads(), np.int64), np.zeros(1, np.bool_)
    high, wide = measures(shape)
    if tiles >= 2 * o:  # many tiles: transform the weight once, and some tiles at a time
        share = high * max(1, min(512 // channels, 2))
        factors = empty((panels, 36, channels, wide), x.dtype)
        _weights(weight, transposed, factors)
        seen = empty((len(busy), 36, share, channels), x.dtype)
        products = empty((len(busy), 36, share, wide), x.dtype)
        _by_tiles(image, before, factors, start, y, tiles, shape, busy, overflow, seen, products)
    else:  # few: transform them once, and some of the weight at a time
        rows = -(-tiles // high) * high
        seen = empty((36, rows, channels), x.dtype)
        products = empty((len(busy), 36, rows, wide), x.dtype)
        factors = empty((len(busy), 36, channels, wide), x.dtype)
        _by_panels(image, before, weight, transposed, start, y, tiles, shape, busy, overflow, seen, products, factors)
    return None if overflow[0] else result


def convolve_weight(x: Array, g: Array, window: Window) -> Array | None:
    """As ``convolution.convolve_weight``; None if a result is not finite."""
    (n, channels), (o, height, width) = x.shape[:2], g.shape[1:]
    tiles = n * -(-height // 4) * -(-width // 4)
    shape = tile(channels, o, x.dtype)
    high, wide = measures(shape)
    part = min(_TILES, tiles)
    seen, given = empty((36, part, channels), x.dtype), empty((36 * part * o + wide,), x.dtype)  # a panel may reach beyond o
    given = given[: 36 * part * o].reshape(36, part, o)
    sums = empty((36, -(-o // wide), -(-channels // high), high, wide), x.dtype)
    weight, overflow = empty((o, channels, 3, 3), x.dtype), np.zeros(1, np.bool_)
    images, before = (pad(a, ((0, 0), (0, 0))) for a in (x, g)), (window.padding[0][0], window.padding[1][0])
    _gradient(*images, before, tiles, shape, seen, given, sums, overflow, weight.reshape(o, channels, 9))
    return None if overflow[0] else weight


# ---- transforms of some tiles -----------------------------------------------------------------------------


@compiled
def _finite(trace: Any) -> Any:
    total = trace[0]
    for i in range(1, len(trace)):
        total += trace[i]
    return total == total


@compiled
def _places(n: int, i: int, j: int, size: int, image: Any, blank: int, places: Any) -> None:
    """The distances of the size * size pixels from (i, j) on in image n; ``blank`` for those outside."""
    height, width, channels = image.shape[1:]
    for k in range(size):
        for m in range(size):
            inside = 0 <= i + k < height and 0 <= j + m < width
            places[k * size + m] = ((n * height + i + k) * width + j + m) * channels * image.itemsize if inside else blank


@compiled
def _take(x: Any, before: Any, down: int, across: int, first: int, count: int, seen: Any, at: int) -> None:
    """B' x B of ``count`` tiles from the ``first`` on: (36, tiles, C), there from ``at`` on."""
    channels, item = x.shape[3], x.itemsize
    zeros, places = np.zeros(channels, x.dtype), np.empty(36, np.int64)
    out = np.arange(36) * (seen.shape[1] * channels * item)
    for t in range(count):
        n, r = (first + t) // (down * across), (first + t) % (down * across)
        _places(n, 4 * (r // across) - before[0], 4 * (r % across) - before[1], 6, x, address(zeros) - address(x), places)
        to = address(seen) + (at + t) * channels * item
        between_input(address(x), address(places), to, address(out), 0, 0, channels, zeros[0])


@compiled
def _take_gradient(g: Any, down: int, across: int, first: int, count: int, given: Any, at: int) -> None:
    """A g A' of ``count`` tiles from the ``first`` on: (36, tiles, O), there from ``at`` on."""
    channels, item = g.shape[3], g.itemsize
    zeros, places = np.zeros(channels, g.dtype), np.empty(16, np.int64)
    out = np.arange(36) * (given.shape[1] * channels * item)
    for t in range(count):
        n, r = (first + t) // (down * across), (first + t) % (down * across)
        _places(n, 4 * (r // across), 4 * (r % across), 4, g, address(zeros) - address(g), places)
        to = address(given) + (at + t) * channels * item
        between_gradient(address(g), address(places), to, address(out), 0, 0, channels, zeros[0])


@compiled
def _factors(weight: Any, transposed: bool, column: int, out: Any) -> None:
    """G w G' of one panel: (36, C, width)."""
    inner, width, item = out.shape[1], out.shape[2], out.itemsize
    columns = min(width, weight.shape[1 if transposed else 0] - column)
    kernel, zero = np.zeros((9, width), weight.dtype), weight.dtype.type(0)
    places, elements = np.arange(36) * (inner * width * item), np.arange(9) * (width * item)
    for i in range(inner):
        if transposed:
            for j in range(columns):
                source = weight[i, column + j]
                for e in range(9):
                    kernel[8 - e, j] = source[e]
        else:
            for j in range(columns):
                source = weight[column + j, i]
                for e in range(9):
                    kernel[e, j] = source[e]
        to = address(out) + i * width * item
        between_weight(address(kernel), address(elements), to, address(places), 0, 0, width, zero)


@compiled
def _multiply(seen: Any, count: int, factors: Any, products: Any, shape: Any) -> None:
    """The 36 products (tiles, C) (C, width), of so many tiles that those at hand are within the arrays."""
    height, channels, width, item = len(shape[0]), seen.shape[2], factors.shape[2], seen.itemsize
    begins, ends = np.arange(height) * (channels * item), np.arange(height) * (width * item)
    zeros, whole = np.zeros(width, seen.dtype), np.zeros(2, np.int64)
    for e in range(36):
        for t in range(0, count, height):
            base = address(seen) + (e * seen.shape[1] + t) * channels * item
            out = address(products) + (e * products.shape[1] + t) * width * item
            weight = address(factors) + e * channels * width * item
            multiply_tile(
                base,
                address(begins),
                address(whole),
                1,
                channels,
                item,
                weight,
                address(zeros),
                out,
                address(ends),
                width,
                shape,
            )


@compiled
def _put(products: Any, bias: Any, down: int, across: int, first: int, count: int, column: int, y: Any) -> Any:
    """A' p A of ``count`` tiles, into the result's channels from ``column`` on; returns whether all of it is finite."""
    width, item = products.shape[2], products.itemsize
    columns = min(width, y.shape[3] - column)
    nowhere, trace, places = np.empty(width, y.dtype), np.zeros(width, y.dtype), np.empty(16, np.int64)
    elements = np.arange(36) * (products.shape[1] * width * item)
    out = address(y) + column * item
    for t in range(count):
        n, r = (first + t) // (down * across), (first + t) % (down * across)
        _places(n, 4 * (r // across), 4 * (r % across), 4, y, address(nowhere) - out, places)
        source, added = address(products) + t * width * item, address(bias) + column * item
        between_output(source, address(elements), out, address(places), added, address(trace), columns, bias[0])
    return _finite(trace)


# ---- forward ----------------------------------------------------------------------------------------------


@compiled
def _weights(weight: Any, transposed: bool, factors: Any) -> None:
    parallel_for(_weights_block, (weight, transposed, factors), len(factors), 1)


@compiled
def _weights_block(weight: Any, transposed: bool, factors: Any, start: int, stop: int) -> None:
    for panel in range(start, stop):
        _factors(weight, transposed, panel * factors.shape[3], factors[panel])


@compiled
def _by_tiles(
    x: Any, before: Any, factors: Any, bias: Any, y: Any, tiles: int, shape: Any, busy: Any, overflow: Any, seen: Any,
    products: Any,
) -> None:  # fmt: skip
    arguments = (x, before, factors, bias, y, shape, busy, overflow, seen, products)
    parallel_for(_by_tiles_block, arguments, tiles, seen.shape[2])


@compiled
def _by_tiles_block(
    x: Any, before: Any, factors: Any, bias: Any, y: Any, shape: Any, busy: Any, overflow: Any, seen: Any, products: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    down, across, share = (y.shape[1] + 3) // 4, (y.shape[2] + 3) // 4, seen.shape[2]
    own = claim(address(busy), len(busy))
    places = np.empty(16, np.int64)
    for first in range(start, stop, share):
        count = min(share, stop - first)
        _take(x, before, down, across, first, count, seen[own], 0)
        for t in range(count):  # bring the result's lines here while there is something to compute
            n, r = (first + t) // (down * across), (first + t) % (down * across)
            _places(n, 4 * (r // across), 4 * (r % across), 4, y, address(bias) - address(y), places)
            expect(address(y), address(places), 16, y.shape[3] * y.itemsize, bias[0])
        for panel in range(len(factors)):
            _multiply(seen[own], count, factors[panel], products[own], shape)
            if not _put(products[own], bias, down, across, first, count, panel * factors.shape[3], y):
                overflow[0] = True
    give_back(address(busy), own)


@compiled
def _by_panels(
    x: Any, before: Any, weight: Any, transposed: bool, bias: Any, y: Any, tiles: int, shape: Any, busy: Any, overflow: Any,
    seen: Any, products: Any, factors: Any,
) -> None:  # fmt: skip
    parallel_for(_take_block, (x, before, (y.shape[1] + 3) // 4, (y.shape[2] + 3) // 4, seen), tiles, 4)
    panels = (y.shape[3] + factors.shape[3] - 1) // factors.shape[3]
    arguments = (weight, transposed, bias, y, tiles, shape, busy, overflow, seen, products, factors)
    parallel_for(_by_panels_block, arguments, panels, 1)


@compiled
def _take_block(x: Any, before: Any, down: int, across: int, seen: Any, start: int, stop: int) -> None:
    _take(x, before, down, across, start, stop - start, seen, start)


@compiled
def _by_panels_block(
    weight: Any, transposed: bool, bias: Any, y: Any, tiles: int, shape: Any, busy: Any, overflow: Any, seen: Any,
    products: Any, factors: Any, start: int, stop: int,
) -> None:  # fmt: skip
    down, across = (y.shape[1] + 3) // 4, (y.shape[2] + 3) // 4
    own = claim(address(busy), len(busy))
    for panel in range(start, stop):
        column = panel * factors.shape[3]
        _factors(weight, transposed, column, factors[own])
        _multiply(seen, tiles, factors[own], products[own], shape)
        if not _put(products[own], bias, down, across, 0, tiles, column, y):
            overflow[0] = True
    give_back(address(busy), own)


# ---- the gradient of the weight ---------------------------------------------------------------------------


@compiled
def _gradient(
    x: Any, g: Any, before: Any, tiles: int, shape: Any, seen: Any, given: Any, sums: Any, overflow: Any, weight: Any
) -> None:
    down, across, part = (g.shape[1] + 3) // 4, (g.shape[2] + 3) // 4, seen.shape[1]
    for first in range(0, tiles, part):
        count = min(part, tiles - first)
        parallel_for(_transform_block, (x, g, before, down, across, first, seen, given), count, 8)
        parallel_for(_sum_block, (seen, given, first == 0, count, shape, sums), 36 * sums.shape[1], 1)
    parallel_for(_weight_block, (sums, overflow, weight), weight.shape[1], 4)


@compiled
def _transform_block(
    x: Any, g: Any, before: Any, down: int, across: int, first: int, seen: Any, given: Any, start: int, stop: int
) -> None:
    _take(x, before, down, across, first + start, stop - start, seen, start)
    _take_gradient(g, down, across, first + start, stop - start, given, start)


@compiled
def _sum_block(seen: Any, given: Any, begin: bool, count: int, shape: Any, sums: Any, start: int, stop: int) -> None:
    """For one of the 36 elements and one panel: the sums over tiles of (C, 1) (1, width)."""
    channels, outer, item = seen.shape[2], given.shape[2], seen.itemsize
    panels, tiles, height, width = sums.shape[1:]
    begins, ends = np.arange(count) * (channels * item), np.arange(count) * (outer * item)
    for block in range(start, stop):
        e, panel = block // panels, block % panels
        total = sums[e, panel]
        if begin:
            total[:] = 0
        x, g = address(seen) + e * seen.strides[0], address(given) + e * given.strides[0] + panel * width * item
        for first in range(0, count, 256):
            some = min(256, count - first)
            for t in range(tiles):
                left, out = x + min(t * height, channels - height) * item, address(total) + t * height * width * item
                correlate_tile(left, address(begins) + 8 * first, g, address(ends) + 8 * first, some, out, shape)


@compiled
def _weight_block(sums: Any, overflow: Any, weight: Any, start: int, stop: int) -> None:
    """G' s G, as (O, C, 9)."""
    panels, tiles, height, width = sums.shape[1:]
    item, channels = sums.itemsize, weight.shape[1]
    kernel, zeros, trace = np.empty((9, width), weight.dtype), np.zeros(width, weight.dtype), np.zeros(width, weight.dtype)
    elements, places = np.arange(36) * sums.strides[0], np.arange(9) * (width * item)
    for c in range(start, stop):
        t = min(c // height, tiles - 1)
        row = t * height + c - min(t * height, channels - height)
        for panel in range(panels):
            source = address(sums) + (panel * tiles * height + row) * width * item
            columns = min(width, len(weight) - panel * width)
            between_sums(
                source, address(elements), address(kernel), address(places), address(zeros), address(trace), columns, zeros[0]
            )
            for j in range(columns):
                to = weight[panel * width + j, c]
                for e in range(9):
                    to[e] = kernel[e, j]
    if not _finite(trace):
        overflow[0] = True
