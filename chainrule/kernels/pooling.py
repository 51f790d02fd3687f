"""Pooling: the largest element of each window, and the taps that make means of windows.

Images are (N, C, *size). The windows of an image are the products of windows along its axes, which need not be of one length:
those at the edges are cut off, and adaptive ones differ by one. Which element of its window each output has chosen is an array
of the output's shape, the elements numbered row by row.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import Native, address, array_at, borrow, compiled, dense, give_back, kernel, parallel_for, vector_length
from .layout import plane_tiles
from .resampling import Taps

load_rows = Native("load_rows", plane_tiles)


class Windows:
    """Windows along one axis: the elements of the o-th are first[o] + k step, for 0 <= k < count[o]; at most ``longest``."""

    def __init__(self, size: int, first: Array, count: Array, step: int):
        self.size, self.step = size, step
        self.first, self.count = first.astype(np.int64), count.astype(np.int64)
        self.longest = int(count.max())
        self.regular = self._regular()
        self.pairs = size // 2 == len(first) and bool(np.all(first == np.arange(0, size - 1, 2)) and np.all(count == 2))

    def _regular(self) -> tuple[int, int, int]:
        """Of the first windows that are alike, and none longer: where they begin and end, and how far apart they are."""
        begin = int(np.argmax(self.count))
        apart = int(self.first[begin + 1] - self.first[begin]) if begin + 1 < len(self.first) else 1
        alike = self.first[begin:] - self.first[begin] == apart * np.arange(len(self.first) - begin)
        alike &= self.count[begin:] == self.longest
        return begin, begin + int(np.argmin(np.append(alike, False))), apart


@lru_cache(maxsize=256)
def sliding(size: int, length: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Windows:
    """Windows of ``length`` elements, ``stride`` apart, without what they have in the padding.

    Raises:
        ValueError: there are none, or one lies wholly in the padding.
    """
    span = dilation * (length - 1) + 1
    room = size + 2 * padding - span
    windows = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (windows - 1) * stride >= size + padding:
        windows -= 1  # it would start in the padding
    if windows < 1:
        raise ValueError(f"a window that covers {span} does not fit into an axis of {size} with padding {padding}")
    start = np.arange(windows) * stride - padding
    skipped = -(np.minimum(start, 0) // dilation)
    first = start + skipped * dilation
    count = np.minimum(length - skipped, -((first - size) // dilation))
    if count.min() < 1:
        raise ValueError(f"a window with dilation {dilation} lies between the elements of an axis of {size}")
    return Windows(size, first, count, dilation)


@lru_cache(maxsize=256)
def adaptive(size: int, windows: int) -> Windows:
    """So many windows that together cover the axis, as equal as whole elements allow."""
    o = np.arange(windows)
    first = o * size // windows
    return Windows(size, first, -(-(o + 1) * size // windows) - first, 1)


@lru_cache(maxsize=256)
def sliding_means(size: int, length: int, stride: int, padding: int, ceil_mode: bool, divisor: str | int) -> Taps:
    """Sums of sliding windows, divided by a number, or by how many elements they have, ``"with"`` padding or ``"without"``."""
    windows = sliding(size, length, stride, padding, 1, ceil_mode)
    if divisor == "with":
        start = np.arange(len(windows.count)) * stride - padding
        return _means(windows, np.minimum(start + length, size + padding) - start)
    return _means(windows, windows.count if divisor == "without" else np.full(len(windows.count), divisor))


@lru_cache(maxsize=256)
def adaptive_means(size: int, windows: int) -> Taps:
    """Means over adaptive windows."""
    found = adaptive(size, windows)
    return _means(found, found.count)


def _means(windows: Windows, divisors: Array) -> Taps:
    start = np.concatenate([[0], np.cumsum(windows.count)])
    index = np.arange(start[-1]) - np.repeat(start[:-1] - windows.first, windows.count)
    return Taps(windows.size, start, index, np.repeat(1 / divisors, windows.count))


@kernel
def max_pool(x: Array, windows: tuple[Windows, ...]) -> tuple[Array, Array]:
    """The largest element of each window, and which that is: the first of several, the last NaN where there is one."""
    shape = (*x.shape[:2], *(len(w.first) for w in windows))
    longest = [w.longest for w in windows]
    y = np.full_like(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, shape=shape)
    choice = np.zeros_like(y, np.uint8 if prod(longest) <= 256 else np.int32)
    for k, element in enumerate(product(*map(range, longest))):
        places = [w.first + np.minimum(j, w.count - 1) * w.step for j, w in zip(element, windows, strict=True)]
        inside = [j < w.count for j, w in zip(element, windows, strict=True)]
        seen = x[(slice(None), slice(None), *np.ix_(*places))]
        better = ((seen > y) | (seen != seen)) & reduce(np.logical_and.outer, inside)
        np.copyto(y, seen, where=better)
        np.copyto(choice, k, where=better)
    return y, choice


def indices(choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The chosen elements' places in an image whose axes are made one."""
    within = np.unravel_index(choice, [w.longest for w in windows])
    flat: Array = np.zeros(choice.shape, np.int64)
    for axis, (k, w) in enumerate(zip(within, windows, strict=True), start=2):
        first = w.first.reshape(-1, *[1] * (choice.ndim - axis - 1))
        flat = flat * w.size + first + k * w.step
    return flat


@kernel
def gather(x: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The chosen element of each window: (N, C, *size) to (N, C, *output size)."""
    flat = indices(choice, windows).reshape(*x.shape[:2], prod(choice.shape[2:]))
    return np.take_along_axis(x.reshape(*x.shape[:2], prod(x.shape[2:])), flat, axis=2).reshape(choice.shape)


@kernel
def scatter(g: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    """The transpose of ``gather``: (N, C, *output size) to (N, C, *size), with the gradient of elements chosen twice added."""
    x = np.zeros_like(g, shape=(*g.shape[:2], *(w.size for w in windows)))
    n, c = (np.arange(m).reshape(-1, *[1] * (g.ndim - 1 - axis)) for axis, m in enumerate(g.shape[:2]))
    places: tuple[Any, ...] = np.unravel_index(indices(choice, windows), x.shape[2:])
    np.add.at(x, (n, c, *places), g)
    return x


# ---- compiled -------------------------------------------------------------------------------------------
#
# Images of fewer than three dimensions count as volumes with axes of 1, and all are taken for channels-last, (N, D, H, W, C):
# channels-first they are N C volumes of one channel. Where there are many channels the inner loops go over them; where there
# are few, over all windows of a plane, by a table of where these begin; and where there is one, over a row's windows that are
# alike, if rows are long or some windows are cut off.

_MANY = 16  # channels
_LONG = 32  # windows of a row


@max_pool.compiled(when=lambda x, windows: dense(x) and x.size >= 256 and len(windows) <= 3)
def _(x: Array, windows: tuple[Windows, ...]) -> tuple[Array, Array]:
    last = _is_channels_last(x)
    shape = (*x.shape[:2], *(len(w.first) for w in windows))
    y = _like(last, shape, x.dtype)
    choice = _like(last, shape, np.uint8 if prod(w.longest for w in windows) <= 256 else np.int32)
    volumes, to, chosen = (_volumes(a, last) for a in (x, y, choice))
    d, h, w = _three(windows)
    steps, longest = (d.step, h.step, w.step), (h.longest, w.longest)
    if volumes.shape[-1] >= _MANY:
        axes = d.first, d.count, h.first, h.count, w.first, w.count
        _max_of_many(volumes, to, chosen, *axes, steps, longest)
    elif volumes.shape[-1] == 1 and (len(w.first) >= _LONG or np.any(h.count < h.longest) or np.any(w.count < w.longest)):
        axes = d.first, d.count, h.first, h.count, w.first, w.count
        _max_of_rows(volumes, to, chosen, *axes, w.regular, steps, longest)
    else:
        _max_of_few(volumes, to, chosen, d.first, d.count, *_table(h, w, volumes.shape[-1]), steps, longest)
    return y, choice


@scatter.compiled(when=lambda g, choice, windows: dense(g) and g.size >= 64 and len(windows) <= 3)
def _(g: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    last = _is_channels_last(choice)
    x = _like(last, (*g.shape[:2], *(w.size for w in windows)), g.dtype)
    above, chosen, to = (_volumes(a, last) for a in (g, choice, x))
    d, h, w = _three(windows)
    channels = to.shape[-1]
    if channels >= 2 * _MANY:
        axes = d.first, d.count, h.first, h.count, w.first, w.count
        squares = d.longest == 1 and h.pairs and w.pairs
        whole = squares and d.size == len(d.first) and h.size % 2 == w.size % 2 == 0
        _scatter_to_many(above, chosen, to, *axes, (d.step, h.step, w.step), (h.longest, w.longest), squares, whole)
    else:
        _scatter_to_few(above, chosen, to, d.first, _table(h, w, channels)[0], _offsets(d, h, w, channels))
    return x


def _is_channels_last(x: Array) -> bool:
    return bool(x.shape[1] > 1 and x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous)


def _like(last: bool, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array (N, C, *size) with any contents, in the one order of memory or in the other."""
    if not last:
        return empty(shape, dtype)
    return empty((shape[0], *shape[2:], shape[1]), dtype).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def _volumes(x: Array, last: bool) -> Array:
    """``x`` as volumes (N, D, H, W, C), copied if its memory has another order."""
    n, channels, *size = x.shape
    size = [1] * (3 - len(size)) + size
    if last:
        return np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1)).reshape(n, *size, channels)
    return np.ascontiguousarray(x).reshape(n * channels, *size, 1)


_ONE = Windows(1, np.zeros(1, np.int64), np.ones(1, np.int64), 1)


def _three(windows: tuple[Windows, ...]) -> tuple[Windows, ...]:
    return (*(_ONE,) * (3 - len(windows)), *windows)


@lru_cache(maxsize=64)
def _table(h: Windows, w: Windows, channels: int) -> tuple[Array, Array, Array]:
    """For each window of a plane, and each channel: where it begins, and how many rows and columns it has."""
    shape = (len(h.first), len(w.first), channels)
    j, k, e = np.ix_(h.first, w.first, np.arange(channels))
    tables = ((j * w.size + k) * channels + e, h.count[:, None, None], w.count[None, :, None])
    return tuple(np.broadcast_to(table, shape).astype(np.uint32).reshape(-1) for table in tables)  # type: ignore[return-value]


@lru_cache(maxsize=64)
def _offsets(d: Windows, h: Windows, w: Windows, channels: int) -> Array:
    """For each element of a window, how far it is from where the window begins."""
    a, b, c = np.ix_(*(np.arange(v.longest) * v.step for v in (d, h, w)))
    return (((a * h.size + b) * w.size + c) * channels).astype(np.uint32).reshape(-1)


@compiled
def _max_of_many(
    x: Any, y: Any, which: Any, d: Any, ds: Any, h: Any, hs: Any, w: Any, ws: Any, steps: Any, longest: Any
) -> None:
    _, depth, height, _, _ = y.shape
    arguments = x, y, which, d, ds, h, hs, w, ws, steps, longest
    parallel_for(_max_of_many_block, arguments, len(y) * depth * height, max(1, 8192 // max(1, y[0, 0, 0].size)))


@compiled
def _max_of_many_block(
    x: Any,
    y: Any,
    which: Any,
    d: Any,
    ds: Any,
    h: Any,
    hs: Any,
    w: Any,
    ws: Any,
    steps: Any,
    longest: Any,
    start: int,
    stop: int,
) -> None:
    _, depth, height, width, channels = x.shape
    item = x.itemsize * channels
    for row in range(start, stop):
        j, i, n = row % len(h), row // len(h) % len(d), row // (len(h) * len(d))
        for k in range(len(w)):
            best = array_at(y, y.ctypes.data + (row * len(w) + k) * item, channels)
            chosen = array_at(which, which.ctypes.data + (row * len(w) + k) * which.itemsize * channels, channels)
            corner = x.ctypes.data + (((n * depth + d[i]) * height + h[j]) * width + w[k]) * item
            right, down = steps[2] * item, steps[1] * width * item
            if ds[i] == 1 and hs[j] == 2 and ws[k] == 2 and longest[1] == 2:
                _largest_of_four(
                    array_at(x, corner, channels),
                    array_at(x, corner + right, channels),
                    array_at(x, corner + down, channels),
                    array_at(x, corner + down + right, channels),
                    best,
                    chosen,
                )
                continue
            first = array_at(x, corner, channels)
            for e in range(channels):
                best[e] = first[e]
                chosen[e] = 0
            for a in range(ds[i]):
                for b in range(hs[j]):
                    for c in range(ws[k]):
                        number = (a * longest[0] + b) * longest[1] + c
                        if number > 0:
                            at = corner + a * steps[0] * height * width * item + b * down + c * right
                            _largest_with(array_at(x, at, channels), best, chosen, number)


@compiled
def _largest_of_four(first: Any, second: Any, third: Any, fourth: Any, best: Any, chosen: Any) -> None:
    zero, one, two, three = chosen.dtype.type(0), chosen.dtype.type(1), chosen.dtype.type(2), chosen.dtype.type(3)
    for e in range(len(best)):
        a, b, c, d = first[e], second[e], third[e], fourth[e]
        better = (b > a) | (b != b)
        found, number = (b if better else a), (one if better else zero)
        better = (c > found) | (c != c)
        found, number = (c if better else found), (two if better else number)
        better = (d > found) | (d != d)
        best[e], chosen[e] = (d if better else found), (three if better else number)


@compiled
def _largest_with(element: Any, best: Any, chosen: Any, number: int) -> None:
    this = chosen.dtype.type(number)
    for e in range(len(best)):
        a, found, which = element[e], best[e], chosen[e]
        better = (a > found) | (a != a)
        best[e], chosen[e] = (a if better else found), (this if better else which)


@compiled
def _scatter_to_many(
    g: Any, which: Any, x: Any, d: Any, ds: Any, h: Any, hs: Any, w: Any, ws: Any, steps: Any, longest: Any,
    squares: bool, whole: bool,
) -> None:  # fmt: skip
    arguments = g, which, x, d, ds, h, hs, w, ws, steps, longest, squares, whole
    parallel_for(_scatter_to_many_block, arguments, len(x), 1)


@compiled
def _scatter_to_many_block(
    g: Any, which: Any, x: Any, d: Any, ds: Any, h: Any, hs: Any, w: Any, ws: Any, steps: Any, longest: Any,
    squares: bool, whole: bool, start: int, stop: int,
) -> None:  # fmt: skip
    _, depth, height, width, channels = x.shape
    item = x.itemsize * channels
    if not whole:
        _clear(x[start:stop].reshape(-1))
    windows = len(d) * len(h) * len(w)
    for o in range(start * windows, stop * windows):
        k, j, i, n = o % len(w), o // len(w) % len(h), o // (len(w) * len(h)) % len(d), o // windows
        above = array_at(g, g.ctypes.data + o * item, channels)
        chosen = array_at(which, which.ctypes.data + o * which.itemsize * channels, channels)
        corner = x.ctypes.data + (((n * depth + d[i]) * height + h[j]) * width + w[k]) * item
        right, down, deep = steps[2] * item, steps[1] * width * item, steps[0] * height * width * item
        if squares:
            _put_into_four(
                above,
                chosen,
                array_at(x, corner, channels),
                array_at(x, corner + right, channels),
                array_at(x, corner + down, channels),
                array_at(x, corner + down + right, channels),
            )
            continue
        for a in range(ds[i]):
            for b in range(hs[j]):
                number, at = (a * longest[0] + b) * longest[1], corner + a * deep + b * down
                c = 0
                while c + 2 < ws[k]:
                    first = array_at(x, at + c * right, channels)
                    second = array_at(x, at + (c + 1) * right, channels)
                    _add_to_three(above, chosen, number + c, first, second, array_at(x, at + (c + 2) * right, channels))
                    c += 3
                while c < ws[k]:
                    _add_to(above, chosen, number + c, array_at(x, at + c * right, channels))
                    c += 1


@compiled
def _put_into_four(g: Any, chosen: Any, first: Any, second: Any, third: Any, fourth: Any) -> None:
    zero = g.dtype.type(0)
    for e in range(len(g)):
        above, number = g[e], chosen[e]
        first[e] = above if number == 0 else zero
        second[e] = above if number == 1 else zero
        third[e] = above if number == 2 else zero
        fourth[e] = above if number == 3 else zero


@compiled
def _add_to_three(g: Any, chosen: Any, start: int, first: Any, second: Any, third: Any) -> None:
    zero = g.dtype.type(0)
    p, q, r = chosen.dtype.type(start), chosen.dtype.type(start + 1), chosen.dtype.type(start + 2)
    for e in range(len(g)):
        above, number = g[e], chosen[e]
        first[e] += above if number == p else zero
        second[e] += above if number == q else zero
        third[e] += above if number == r else zero


@compiled
def _add_to(g: Any, chosen: Any, number: int, to: Any) -> None:
    zero, this = g.dtype.type(0), chosen.dtype.type(number)
    for e in range(len(to)):
        to[e] += g[e] if chosen[e] == this else zero


@compiled
def _clear(x: Any) -> None:
    zero = x.dtype.type(0)
    for e in range(len(x)):
        x[e] = zero


@compiled
def _max_of_rows(
    x: Any, y: Any, which: Any, d: Any, ds: Any, h: Any, hs: Any, w: Any, ws: Any, regular: Any, steps: Any, longest: Any
) -> None:
    arguments = x, y, which, d, ds, h, hs, w, ws, regular, steps, longest
    parallel_for(_max_of_rows_block, arguments, len(y) * len(d) * len(h), max(1, 8192 // max(1, len(w))))


@compiled
def _max_of_rows_block(
    x: Any, y: Any, which: Any, d: Any, ds: Any, h: Any, hs: Any, w: Any, ws: Any, regular: Any, steps: Any, longest: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    depth, height, width = x.shape[1:4]
    begin, end, apart = regular
    lowest, none = y.dtype.type(-np.inf), which.dtype.type(0)
    gathered = borrow(x, end - begin + vector_length(x))
    for row in range(start, stop):
        j, i, n = row % len(h), row // len(h) % len(d), row // (len(h) * len(d))
        best = array_at(y, y.ctypes.data + row * len(w) * y.itemsize, len(w))
        chosen = array_at(which, which.ctypes.data + row * len(w) * which.itemsize, len(w))
        for o in range(len(best)):
            best[o], chosen[o] = lowest, none
        for a in range(ds[i]):
            for b in range(hs[j]):
                number = (a * longest[0] + b) * longest[1]
                line = ((n * depth + d[i] + a * steps[0]) * height + h[j] + b * steps[1]) * width
                seen = array_at(x, x.ctypes.data + line * x.itemsize, width)
                for c in range(longest[1]):
                    elements = seen[w[begin] + c * steps[2] :]
                    if apart != 1:
                        count, to = end - begin, address(gathered)
                        load_rows(address(elements), 0, apart, 0, count, to, 0, count, 1, lowest)
                        elements = gathered
                    _largest_with(elements, best[begin:end], chosen[begin:end], number + c)
                for k in range(len(w) - (end - begin)):
                    o = k if k < begin else k + end - begin
                    for c in range(ws[o]):
                        e = seen[w[o] + c * steps[2]]
                        if e > best[o] or e != e:
                            best[o], chosen[o] = e, number + c
    give_back(gathered)


@compiled
def _max_of_few(
    x: Any, y: Any, which: Any, d: Any, ds: Any, at: Any, rows: Any, columns: Any, steps: Any, longest: Any
) -> None:
    whole = min(rows) == longest[0] and min(columns) == longest[1]
    arguments = x, y, which, d, ds, at, rows, columns, steps, longest, whole
    parallel_for(_max_of_few_block, arguments, len(y) * len(d), max(1, 8192 // max(1, len(at))))


@compiled
def _max_of_few_block(
    x: Any, y: Any, which: Any, d: Any, ds: Any, at: Any, rows: Any, columns: Any, steps: Any, longest: Any, whole: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    _, depth, height, width, channels = x.shape
    windows, plane = len(at), height * width * channels
    for o in range(start, stop):
        i, n = o % len(d), o // len(d)
        best = array_at(y, y.ctypes.data + o * windows * y.itemsize, windows)
        chosen = array_at(which, which.ctypes.data + o * windows * which.itemsize, windows)
        for a in range(ds[i]):
            for b in range(longest[0]):
                for c in range(longest[1]):
                    number = (a * longest[0] + b) * longest[1] + c
                    begin = (n * depth + d[i] + a * steps[0]) * plane + (b * steps[1] * width + c * steps[2]) * channels
                    shifted = array_at(x, x.ctypes.data + begin * x.itemsize, plane)
                    if number == 0:
                        for e in range(windows):
                            best[e], chosen[e] = shifted[at[e]], chosen.dtype.type(0)
                    elif whole:
                        _largest_with_those_at(shifted, at, best, chosen, number)
                    else:
                        _largest_with_those_inside(shifted, at, rows, columns, b, c, best, chosen, number)


@compiled
def _largest_with_those_at(plane: Any, at: Any, best: Any, chosen: Any, number: int) -> None:
    this = chosen.dtype.type(number)
    for o in range(len(best)):
        found, which, a = best[o], chosen[o], plane[at[o]]
        better = (a > found) | (a != a)
        best[o], chosen[o] = (a if better else found), (this if better else which)


@compiled
def _largest_with_those_inside(
    plane: Any, at: Any, rows: Any, columns: Any, b: int, c: int, best: Any, chosen: Any, number: int
) -> None:
    this = chosen.dtype.type(number)
    row, column = np.uint32(b), np.uint32(c)
    for o in range(len(best)):
        if row < rows[o] and column < columns[o]:
            a = plane[at[o]]
            if a > best[o] or a != a:
                best[o], chosen[o] = a, this


@compiled
def _scatter_to_few(g: Any, which: Any, x: Any, d: Any, at: Any, offsets: Any) -> None:
    parallel_for(_scatter_to_few_block, (g, which, x, d, at, offsets), len(x), max(1, 8192 // max(1, x[0].size)))


@compiled
def _scatter_to_few_block(g: Any, which: Any, x: Any, d: Any, at: Any, offsets: Any, start: int, stop: int) -> None:
    _, depth, height, width, channels = x.shape
    _clear(x[start:stop].reshape(-1))
    plane, windows = height * width * channels, len(at)
    for o in range(start * len(d), stop * len(d)):
        above = array_at(g, g.ctypes.data + o * windows * g.itemsize, windows)
        chosen = array_at(which, which.ctypes.data + o * windows * which.itemsize, windows)
        begin = (o // len(d) * depth + d[o % len(d)]) * plane
        to = array_at(x, x.ctypes.data + begin * x.itemsize, plane * depth)
        for k in range(windows):
            to[at[k] + offsets[np.uint32(chosen[k])]] += above[k]
