"""Element-wise kernels: a loop over a function of numbers, for arrays that broadcast, in any order of their axes.

Arrays of one shape that are contiguous go through one flat loop. All others are seen as rows: the axes are sorted as they lie
in the result, neighbours made one where they are for all arrays, and along the last axis each array has either neighbouring
elements or one for all. There is a loop for each such pattern that is met, so that a row vector, a column or a number for each
channel is never copied to the result's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, ndarray
from ..core.memory import empty, empty_like
from .layer import Compiled, Kernel, address, array_at, enabled, exact, parallel_for

_BLOCK = 8192
#: Elements from which on a compiled loop is faster than NumPy's.
_LEAST = 2048
#: Elements of a row, at least: shorter ones would not fill vectors.
_SHORT = 8
_FLOATS, _MASK = (np.dtype(np.float32), np.dtype(np.float64)), np.dtype(np.bool_)


def elementwise(
    function: Compiled, arrays: int = 1, masks: int = 0, gives: Any = None
) -> Callable[[Callable[..., Array]], Elementwise]:
    """Declare a kernel by its NumPy reference, whose compiled version is a loop over ``function``.

    Args:
        function: of numbers, declared by ``inlined``; the same arguments as the reference's.
        arrays: how many of the first arguments are arrays, of float32 or float64; the others are numbers, and get their dtype.
        masks: how many arrays of booleans stand before these.
        gives: the result's dtype; by default the arrays'.
    """
    return lambda reference: Elementwise(reference, function, arrays, masks, gives)


class Elementwise(Kernel):
    """A kernel that works element by element."""

    def __init__(self, reference: Callable[..., Array], function: Compiled, arrays: int, masks: int, gives: Any = None):
        super().__init__(reference)
        self._gives = None if gives is None else np.dtype(gives)
        self._function, self._masks, self._count = function, masks, masks + arrays
        self._loops: dict[Any, Compiled] = {}

    def __call__(self, *args: Any) -> Any:
        made = self.computed(*args)
        return super().__call__(*args) if made is None else made

    def computed(self, *args: Any) -> Array | None:
        """The result where a compiled loop is right and pays; else None."""
        count, masks = self._count, self._masks
        given, numbers = (args, ()) if len(args) == count else (args[:count], [*map(float, args[count:])])
        first, of = given[0], given[masks]
        if first.__class__ is not ndarray or of.__class__ is not ndarray or of.dtype not in _FLOATS:
            return None
        shape, dtype, alike = first.shape, of.dtype, True
        for k, a in enumerate(given):
            if a.__class__ is not ndarray or a.dtype != (_MASK if k < masks else dtype):
                return None
            if a.shape != shape or not a.flags.c_contiguous:
                alike = False
        if not alike:
            return self._broadcast(given, dtype, numbers) if enabled() else None
        if first.size < _LEAST or not enabled():
            return None
        out = empty(shape, self._gives or dtype)
        loop = self._loops.get(None) or self._flat_loop(len(numbers))
        loop(*[a.ravel() for a in given], out.ravel(), *numbers)
        return out

    def _broadcast(self, given: tuple[Array, ...], dtype: Any, numbers: Sequence[float]) -> Array | None:
        try:
            shape = np.broadcast(*given).shape if len(given) > 1 else given[0].shape
        except ValueError:
            return None  # NumPy says it better
        if prod(shape) < _LEAST:
            return None
        like = next((a for a in reversed(given) if a.shape == shape and 0 not in a.strides), None)
        out = empty(shape, self._gives or dtype) if like is None else empty_like(like, self._gives or dtype)
        plan = _plan(shape, out.strides, *[(a.shape, a.strides, a.itemsize) for a in given])
        if plan is None:  # those that lie otherwise are copied
            alike = tuple(_in_order_of(out, a) if a.shape == shape and all(a.strides) else a for a in given)
            plan = _plan(shape, out.strides, *[(a.shape, a.strides, a.itemsize) for a in alike])
            if plan is None:
                return None
            given = alike
        pattern, order, table = plan
        loop = self._loops.get((dtype, pattern)) or self._loop_of_rows(dtype, pattern, len(numbers))
        loop(
            *[a.__array_interface__["data"][0] for a in given],
            out.ravel() if order is None else out.transpose(order).reshape(-1),
            table,
            *numbers,
        )
        return out

    def _flat_loop(self, numbers: int) -> Compiled:
        """The loop over arrays of one shape."""
        names, others = [f"x{k}" for k in range(self._count)], [f"n{k}" for k in range(numbers)]
        made = self._loops[None] = self._made(
            _FLAT, "loop", others, {}, arrays=", ".join(names), slices=", ".join(f"{name}[start:stop]" for name in names),
            items=", ".join([*(f"{name}[i]" for name in names), *others]), size=_BLOCK,
        )  # fmt: skip
        return made

    def _loop_of_rows(self, dtype: Any, pattern: str, numbers: int) -> Compiled:
        """The loop over rows of arrays of one pattern."""
        names, others = [f"x{k}" for k in range(self._count)], [f"n{k}" for k in range(numbers)]
        rows, items, likes = [], [], {}
        for k, (name, kind) in enumerate(zip(names, pattern, strict=True)):
            rows.append((_ROW if kind == "v" else _ONE).format(x=name, a=10 + 3 * k, b=11 + 3 * k, c=12 + 3 * k))
            items.append(f"{name}_row[n]" if kind == "v" else f"{name}_one")
            likes[f"like_{name}"] = np.zeros(1, _MASK if k < self._masks else dtype)
        made = self._loops[dtype, pattern] = self._made(
            _ROWS, f"loop_of_rows_{pattern}_{dtype}", others, likes, arrays=", ".join(names), rows="\n        ".join(rows),
            items=", ".join([*items, *others]),
        )  # fmt: skip
        return made

    def _made(self, template: str, name: str, numbers: list[str], scope: dict[str, Any], **parts: Any) -> Compiled:
        """A loop of generated code."""
        like = f"x{self._masks}" if template is _FLAT else f"like_x{self._masks}"
        converted = "; ".join(f"{n} = {like}.dtype.type({n})" for n in numbers)
        source = template.format(numbers="".join(f"{n}, " for n in numbers), converted=converted, **parts)
        scope = scope | {"function": self._function, "parallel_for": parallel_for, "array_at": array_at, "address": address}
        scope["__name__"] = __name__
        exec(compile(source, __file__, "exec"), scope)
        of = f"{self._function.__module__.rpartition('.')[2]}.{self._function.__qualname__}"  # type: ignore[attr-defined]
        for part in ("block", "loop"):  # what is kept on disk is told apart by names
            scope[part].__qualname__ = f"{of}.{name.replace('loop', part)}"
        scope["on_block"] = exact(scope["block"])
        return exact(scope["loop"])


def _in_order_of(out: Array, a: Array) -> Array:
    """A copy of ``a`` that lies in memory as ``out``."""
    copy = empty_like(out, a.dtype)
    copy[...] = a
    return copy


@lru_cache(maxsize=4096)
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], *arrays: Any) -> tuple[str, list[int] | None, Array] | None:
    """How arrays, of which the shapes, strides and sizes of elements are given, broadcast into a result without gaps.

    Which of them have elements of their own along a row; the result's axes as they lie in memory, unless in order; and the
    loop's numbers: how many pieces of rows there are, how many make a block, a row's length, a piece's, the pieces of a row,
    the lengths of the two last of three axes around rows, and for the result and each array the steps along these three. None
    where rows are short.
    """
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    steps = [strides]
    for its_shape, its_strides, _ in arrays:
        lead = len(shape) - len(its_shape)
        steps.append((0,) * lead + tuple(0 if n == 1 else s for n, s in zip(its_shape, its_strides, strict=True)))
    axes: list[tuple[int, list[int]]] = []  # those that are not one with the one before: the length, and all steps along it
    for axis in order:
        n, along = shape[axis], [s[axis] for s in steps]
        if n == 1:
            continue
        if axes and axes[-1][1] == [n * s for s in along]:
            axes[-1] = (axes[-1][0] * n, along)
        else:
            axes.append((n, along))
    if not 1 <= len(axes) <= 4:
        return None
    length, along = axes[-1]
    if length < _SHORT or any(s not in (0, item) for s, (_, _, item) in zip(along[1:], arrays, strict=True)):
        return None
    around = [(1, [0] * len(steps))] * (4 - len(axes)) + axes[:-1]
    pattern = "".join("v" if s else "s" for s in along[1:])
    rows, piece = prod([n for n, _ in around]), min(length, _BLOCK)
    pieces = -(-length // piece)
    block = max(1, max(_BLOCK, rows * length // 16) // piece)
    numbers = [rows * pieces, block, length, piece, pieces, around[1][0], around[2][0]]
    numbers += [around[axis][1][array] for array in range(len(steps)) for axis in range(3)]
    return pattern, None if order == sorted(order) else order, np.array(numbers, np.int64)


_FLAT = """
def block({arrays}, out, {numbers}start, stop):
    {arrays}, out = {slices}, out[start:stop]
    {converted}
    for i in range(len(out)):
        out[i] = function({items})

def loop({arrays}, out, {numbers}):
    parallel_for(on_block, ({arrays}, out, {numbers}), len(out), max({size}, len(out) // 16))
"""

_ROWS = """
def block({arrays}, out, table, {numbers}start, stop):
    length, size, pieces, inner, middle = table[2], table[3], table[4], table[6], table[5]
    {converted}
    for item in range(start, stop):
        row = item // pieces
        k, j, i = row // inner // middle, row // inner % middle, row % inner
        begin = item % pieces * size
        count = min(size, length - begin)
        to = array_at(out, address(out) + k * table[7] + j * table[8] + i * table[9] + begin * out.itemsize, count)
        {rows}
        for n in range(len(to)):
            to[n] = function({items})

def loop({arrays}, out, table, {numbers}):
    parallel_for(on_block, ({arrays}, out, table, {numbers}), table[0], table[1])
"""

_ROW = "{x}_row = array_at(like_{x}, {x} + k * table[{a}] + j * table[{b}] + i * table[{c}] + begin * like_{x}.itemsize, count)"
_ONE = "{x}_one = array_at(like_{x}, {x} + k * table[{a}] + j * table[{b}] + i * table[{c}], 1)[0]"


def flattened(arrays: tuple[Array, ...], like: Array) -> tuple[list[Array], Array, Array]:
    """The arrays in one dimension, in one's order in memory; a new array like that one, and it in one dimension.

    They are copied only where they lie otherwise.
    """
    for a in arrays:
        if not a.flags.c_contiguous:
            break
    else:
        out = empty(like.shape, like.dtype)
        return [a.ravel() for a in arrays], out, out.ravel()
    out = empty_like(like)
    order = sorted(range(out.ndim), key=lambda axis: -out.strides[axis])
    return [a.transpose(order).reshape(-1) for a in arrays], out, out.transpose(order).reshape(-1)
