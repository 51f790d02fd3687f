"""Sums, means, products and extrema of large arrays, over any axes.

An array without gaps is taken for matrices, (outer, kept, m, n), that are reduced over the first axis and the third: its axes
are sorted by how they lie in memory, and neighbours made one. Where n is 1, rows are reduced, else columns. Each block of rows
gives a part of its own, and parts are put together in pairs. So results depend on no number of threads, and sums are at least
as accurate as NumPy's, which are pairwise along rows: parts are float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from types import FunctionType
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import Compiled, array_at, compiled, dense, enabled, inlined, parallel_for
from .softmax import in_order

Axis = int | tuple[int, ...] | None

_NOTHING = np._NoValue  # type: ignore[attr-defined]  # NumPy's default for arguments that were not given
_LEAST = 8192  # elements from which on the compiled versions are faster
_BLOCK, _SHARE = 65536, 16384  # elements, about, of a part of columns, and of rows that one thread takes at once
_ROW = 1024  # elements, at most, that one sum in the array's dtype is of
_WIDE = 256  # numbers that are worked on together where a matrix has fewer columns
_AXES, _FLOATS = frozenset({int, tuple, type(None)}), (np.dtype(np.float32), np.dtype(np.float64))


class _Plan:
    """How arrays (outer, kept, m, n) are reduced, in parts of ``length`` rows and ``width`` columns.

    ``shape`` is the result's, its axes as they lie in memory, and ``order`` brings them back. Where there are few columns,
    ``fold`` rows are taken for one.
    """

    def __init__(self, outer: int, kept: int, m: int, n: int, shape: list[int], order: list[int]):
        self.n, self.count = n, outer * m
        self.shape, self.order = tuple(shape), None if order == sorted(order) else order
        width = min(n, _BLOCK // 32)
        most = _ROW if n == 1 else _BLOCK // width
        pieces = -(-m // most)
        length = min(m, -(-m // pieces // 16) * 16)
        fold = max(1, min(_WIDE // width, length // 8))
        self.sizes = (outer, m, length, pieces) if n == 1 else (outer, m, n, length, width, fold, pieces)
        self.parts = outer * kept * pieces * n if outer * pieces > 1 else 0  # else each part is a result


@lru_cache(maxsize=1024)
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], item: int, axis: Axis, keepdims: bool) -> _Plan | None:
    """How to reduce over ``axis``; None if that is wrong, the array has gaps, or kept and reduced axes alternate too often."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -len(shape) <= a < len(shape) for a in axes):
        return None
    reduced = {a % len(shape) for a in axes}
    as_they_lie = sorted(range(len(shape)), key=lambda a: -strides[a])
    sizes, reducing, step = [1], False, prod(shape) * item  # of groups of neighbours, in turn kept and reduced
    for a in as_they_lie:
        if shape[a] > 1:
            step //= shape[a]
            if strides[a] != step:
                return None
            if (a in reduced) != reducing:
                sizes.append(1)
                reducing = not reducing
            sizes[-1] *= shape[a]
    if reducing:
        sizes.append(1)
    if len(sizes) == 1 or len(sizes) > 5 or (len(sizes) == 5 and sizes[0] != 1) or len(reduced) < len(axes):
        return None
    outer, kept, m, n = [1] * (4 - len(sizes)) + sizes[-4:]
    remaining = [a for a in range(len(shape)) if keepdims or a not in reduced]
    lying = [a for a in as_they_lie if a in remaining]
    return _Plan(outer, kept, m, n, [1 if a in reduced else shape[a] for a in lying], [lying.index(a) for a in remaining])


# ---- the loops, in which these stand for what belongs to each reduction ------------------------------------------------

of: Any = None  # what of an element is combined
combine: Any = None  # of two numbers
row_of: Any = None  # what a row is reduced to


def _rows(x: Any, out: Any, parts: Any, outer: int, m: int, length: int, pieces: int, divisor: float) -> None:
    """Reduce rows of ``m`` elements, each in so many pieces; into ``out`` at once where that makes no parts."""
    parallel_for(_rows_block, (x, out, parts, m, length, pieces, divisor), len(x) // m * pieces, max(1, _SHARE // length))
    if len(parts) > 0:
        _together(parts, out, outer, pieces, 1, divisor)


def _rows_block(x: Any, out: Any, parts: Any, m: int, length: int, pieces: int, divisor: float, start: int, stop: int) -> None:
    row, piece = start // pieces, start % pieces
    for i in range(start, stop):
        begin = piece * length
        total = row_of(array_at(x, x.ctypes.data + (row * m + begin) * x.itemsize, min(length, m - begin)))
        if len(parts) > 0:
            parts[i] = total
        else:
            out[i] = total / divisor
        piece += 1
        if piece == pieces:
            row, piece = row + 1, 0


def _columns(
    x: Any, out: Any, parts: Any, outer: int, m: int, n: int, length: int, width: int, fold: int, pieces: int,
    divisor: float, first: float,
) -> None:  # fmt: skip
    """Reduce the columns of matrices (m, n), by ``length`` rows and ``width`` columns."""
    tiles = -(-n // width)
    arguments = x, out, parts, m, n, length, width, fold, pieces, tiles, divisor, first
    parallel_for(_columns_block, arguments, len(x) // (m * n) * pieces * tiles, max(1, _BLOCK // (length * width)))
    if len(parts) > 0:
        _together(parts, out, outer, pieces, n, divisor)


def _columns_block(
    x: Any, out: Any, parts: Any, m: int, n: int, length: int, width: int, fold: int, pieces: int, tiles: int,
    divisor: float, first: float, start: int, stop: int,
) -> None:  # fmt: skip
    memory = np.empty(width * fold, parts.dtype)
    for i in range(start, stop):
        tile, part = i % tiles, i // tiles
        piece, matrix = part % pieces, part // pieces
        column = tile * width
        wide, rows = min(width, n - column), min(length, m - piece * length)
        begin = x.ctypes.data + ((matrix * m + piece * length) * n + column) * x.itemsize
        totals = memory[: wide * fold]
        for j in range(len(totals)):
            totals[j] = first
        _add_rows(x, begin, rows // fold, n * fold, totals)
        whole = rows - rows % fold
        _add_rows(x, begin + whole * n * x.itemsize, rows - whole, n, totals[:wide])
        for k in range(1, fold):
            again = totals[k * wide : k * wide + wide]
            for j in range(wide):
                totals[j] = combine(totals[j], again[j])
        if len(parts) > 0:
            to = parts[part * n + column : part * n + column + wide]
            for j in range(wide):
                to[j] = totals[j]
        else:
            result = out[part * n + column : part * n + column + wide]
            for j in range(wide):
                result[j] = totals[j] / divisor


def _add_rows(x: Any, begin: int, rows: int, step: int, totals: Any) -> None:
    """Reduce rows, ``step`` elements apart from an address on, into ``totals``."""
    n, step = len(totals), step * x.itemsize
    at = begin
    for _ in range(rows // 8):
        a, b, c, d = array_at(x, at, n), array_at(x, at + step, n), array_at(x, at + 2 * step, n), array_at(x, at + 3 * step, n)
        at += 4 * step
        e, f, g, h = array_at(x, at, n), array_at(x, at + step, n), array_at(x, at + 2 * step, n), array_at(x, at + 3 * step, n)
        at += 4 * step
        for j in range(n):
            upper = combine(combine(of(a[j]), of(b[j])), combine(of(c[j]), of(d[j])))
            lower = combine(combine(of(e[j]), of(f[j])), combine(of(g[j]), of(h[j])))
            totals[j] = combine(totals[j], combine(upper, lower))
    for _ in range(rows % 8):
        a = array_at(x, at, n)
        at += step
        for j in range(n):
            totals[j] = combine(totals[j], of(a[j]))


def _together(parts: Any, out: Any, outer: int, pieces: int, n: int, divisor: float) -> None:
    """Put parts (outer, kept, pieces, n) together, in pairs."""
    each = pieces * n
    for matrix in range(len(parts) // each if pieces > 1 else 0):
        _in_pairs(parts[matrix * each : matrix * each + each], pieces, n)
    _in_pairs(parts, outer, len(parts) // outer)
    for i in range(len(out)):
        out[i] = parts[i // n * each + i % n] / divisor


def _in_pairs(parts: Any, count: int, n: int) -> None:
    """Reduce so many rows of ``n`` into the first."""
    while count > 1:
        half = (count + 1) // 2
        upper, lower = parts[: (count - half) * n], parts[half * n : count * n]
        for j in range(len(upper)):
            upper[j] = combine(upper[j], lower[j])
        count = half


@inlined
def _itself(x: Any) -> Any:
    return x


class _Reduction:
    """Compiled loops for large arrays, in place of a ufunc's ``reduce``.

    Args:
        name: of the reduction.
        combine: of two numbers.
        row_of: what a row is reduced to.
        first: what ``combine`` leaves alone.
        wide: whether parts are float64, also of float32.
        of: what of an element is combined.
    """

    def __init__(self, name: str, combine: Compiled, row_of: Compiled, first: float, wide: bool, of: Compiled | None = None):
        self._first, self._wide = first, wide
        scope = globals() | {"combine": combine, "row_of": row_of, "of": of or _itself}
        for template in (_add_rows, _in_pairs, _together, _columns_block, _rows_block, _columns, _rows):
            made = FunctionType(template.__code__, scope, template.__name__)
            made.__qualname__ = f"{name}.{template.__name__}"  # by which what is kept on disk is told apart
            scope[template.__name__] = compiled(made)
        self._columns, self._rows = scope["_columns"], scope["_rows"]

    def __call__(self, a: Array, axis: Axis, keepdims: bool, mean: bool = False) -> Array | None:
        """The reduction of ``a``, divided by the number of elements for the ``mean``; None where NumPy does it as well."""
        if a.size < _LEAST or a.dtype not in _FLOATS or axis.__class__ not in _AXES or not enabled():
            return None
        plan = _plan(a.shape, a.strides, a.itemsize, axis, bool(keepdims))
        if plan is None:
            return None
        out, parts = empty(plan.shape, a.dtype), np.empty(plan.parts, np.float64 if self._wide else a.dtype)
        divisor = float(plan.count if mean else 1)
        if plan.n == 1:
            self._rows(a.ravel("K"), out.reshape(-1), parts, *plan.sizes, divisor)
        else:
            self._columns(a.ravel("K"), out.reshape(-1), parts, *plan.sizes, divisor, self._first)
        return out if plan.order is None else out.transpose(plan.order)


# ---- of numbers, and of a row -------------------------------------------------------------------------------------------


@inlined
def _added(x: Any, y: Any) -> Any:
    return x + y


@inlined
def _multiplied(x: Any, y: Any) -> Any:
    return np.float64(x) * np.float64(y)


@inlined
def _larger(x: Any, y: Any) -> Any:
    return y if (y > x) | (y != y) else x


@inlined
def _smaller(x: Any, y: Any) -> Any:
    return y if (y < x) | (y != y) else x


@compiled
def _sum_of(row: Any) -> Any:
    total = row.dtype.type(0)
    for i in range(len(row)):
        total += row[i]
    return total


@inlined
def _squared(x: Any) -> Any:
    return x * x


@compiled
def _squares_of(row: Any) -> Any:
    total = row.dtype.type(0)
    for i in range(len(row)):
        total += row[i] * row[i]
    return total


@compiled
def _product_of(row: Any) -> Any:
    total = 1.0
    for i in range(len(row)):
        total *= np.float64(row[i])
    return total


@compiled
def _largest_of(row: Any) -> Any:
    return _extremum_of(row, 0)


@compiled
def _smallest_of(row: Any) -> Any:
    return _extremum_of(row, -1)


@compiled
def _extremum_of(row: Any, flip: int) -> Any:
    """The largest element, or with all bits to ``flip`` the smallest; or NaN: found as integers, as LLVM does in vectors."""
    if row.itemsize == 4:
        short, most, size = row.view(np.int32), np.int32(-(2**31)), np.int32(0)
        for i in range(len(short)):
            most = max(most, np.int32(in_order(short[i], 31, 0x7FFFFFFF) ^ flip))
            size = max(size, np.int32(short[i] & 0x7FFFFFFF))
        if size > 0x7F800000:
            return np.nan
        return float(np.int32(in_order(np.int32(most ^ flip), 31, 0x7FFFFFFF)).view(np.float32))
    bits, top, largest = row.view(np.int64), np.int64(-(2**63)), np.int64(0)
    for i in range(len(bits)):
        top = max(top, in_order(bits[i], 63, 0x7FFFFFFFFFFFFFFF) ^ flip)
        largest = max(largest, bits[i] & 0x7FFFFFFFFFFFFFFF)
    if largest > 0x7FF0000000000000:
        return np.nan
    return np.int64(in_order(top ^ flip, 63, 0x7FFFFFFFFFFFFFFF)).view(np.float64)


# ---- NumPy's functions, of its own arrays: large ones by kernels, and small ones by a shorter way ---------------------------


_add: Any = np.add.reduce


def _reduction(small: Any, large: _Reduction) -> Callable[..., Any]:
    """What computes a function of NumPy's that is ``small``, the ``reduce`` of a ufunc."""

    def reduce(
        a: Array,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: Any = _NOTHING,
        initial: Any = _NOTHING,
        where: Any = _NOTHING,
    ) -> Any:
        keepdims = keepdims is not _NOTHING and keepdims
        if dtype is None and initial is _NOTHING and where is _NOTHING:
            made = large(a, axis, keepdims)
            return small(a, axis, None, None, keepdims) if made is None else made
        return small(a, axis, dtype, None, keepdims, initial, where is _NOTHING or where)

    return reduce


_sums = _Reduction("sum", _added, _sum_of, 0.0, wide=True)
total = _reduction(_add, _sums)
product = _reduction(np.multiply.reduce, _Reduction("product", _multiplied, _product_of, 1.0, wide=True))
largest = _reduction(np.maximum.reduce, _Reduction("largest", _larger, _largest_of, -np.inf, wide=False))
smallest = _reduction(np.minimum.reduce, _Reduction("smallest", _smaller, _smallest_of, np.inf, wide=False))


_squares = _Reduction("squares", _added, _squares_of, 0.0, wide=True, of=_squared)


def squares(a: Array, axis: Axis, keepdims: bool) -> Any:
    """The sum of squares."""
    made = _squares(a, axis, keepdims)
    return _add(np.square(a), axis, None, None, keepdims) if made is None else made


def mean(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = _NOTHING, where: Any = _NOTHING
) -> Any:
    """``np.mean``."""
    if dtype is not None or where is not _NOTHING or a.size == 0 or not dense(a):
        return np.mean(a, axis, dtype, keepdims=keepdims, where=where)
    keepdims = keepdims is not _NOTHING and keepdims
    made = _sums(a, axis, keepdims, mean=True)
    if made is not None:
        return made
    summed = _add(a, axis, None, None, keepdims)
    return summed / (a.size // summed.size)
