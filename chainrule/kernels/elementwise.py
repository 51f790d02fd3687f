"""Element-wise kernels: a loop over a function of numbers, for arrays that broadcast, in any order of their axes.

Arrays of one shape that are contiguous go through one flat loop. All others are seen as rows: the axes are sorted as they lie
in the result, neighbours made one where they are for all arrays, and along the last axis each array has either neighbouring
elements or one for all. There is a loop for each such pattern that is met, so that a row vector, a column or a number for each
channel is never copied to the result's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array, ndarray
from ..core.memory import empty, empty_like
from .layer import FLOATS, Compiled, Kernel, address, array_at, enabled, exact, parallel_for

#: Elements of a block, at least, and blocks, at most: the last one to be done is waited for.
_BLOCK, _BLOCKS = 8192, 64
#: Elements from which on a compiled loop is faster than NumPy's.
_LEAST = 2048
#: Elements of a row, at least: shorter ones would not fill vectors.
_SHORT = 8
_MASK = np.dtype(np.bool_)


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

    __slots__ = ("__call__",)

    #: What a call runs: generated at the first one.
    __call__: Callable[..., Any]

    def __init__(self, reference: Callable[..., Array], function: Compiled, arrays: int, masks: int, gives: Any = None):
        super().__init__(reference)
        self._gives = None if gives is None else np.dtype(gives)
        self._function, self._masks, self._count = function, masks, masks + arrays
        self._loops: dict[Any, Compiled] = {}
        self.__call__ = self._first

    def _first(self, *args: Any) -> Any:
        self.__call__ = self._generated(self.reference, self._general)
        return self.__call__(*args)

    @cached_property
    def computed(self) -> Callable[..., Array | None]:
        """What gives the result where a compiled loop is right and pays; else None."""
        return self._generated(lambda *args: None, self._of_rows)

    def _generated(self, small: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
        """What takes arrays of one shape through the flat loop.

        Args:
            small: what is called on fewer elements.
            otherwise: what is called on all other arrays.
        """
        if not enabled():
            return otherwise
        names, numbers = self._names()
        first, of = names[0], names[self._masks]
        scope: dict[str, Any] = {
            "empty": empty, "floats": FLOATS, "gives": self._gives, "loop": self._flat_loop, "mask": _MASK,
            "ndarray": ndarray, "otherwise": otherwise, "small": small,
        }  # fmt: skip
        dtypes = [f"{of}.dtype in floats", *(f"{x}.dtype is mask" for x in names[: self._masks])]
        dtypes += [f"{x}.dtype is {of}.dtype" for x in names[self._masks + 1 :]]
        source = _CALL.format(
            arguments=", ".join([*names, *numbers]),
            alike=" and ".join([*(f"{x}.__class__ is ndarray" for x in names), *dtypes]),
            first=first,
            same=" and ".join(f"{x}.shape == shape" for x in names[1:]) or True,
            contiguous=" and ".join(f"{x}.flags.c_contiguous" for x in names),
            dtype=f"{of}.dtype" if self._gives is None else "gives",
            flat=", ".join([*(f"{x}.ravel()" for x in names), "out.ravel()", *(f"float({n})" for n in numbers)]),
            least=_LEAST,
        )
        exec(compile(source, __file__, "exec"), scope)
        made: Callable[..., Any] = scope["call"]
        return made

    def _names(self) -> tuple[list[str], list[str]]:
        """What generated code calls the arrays, and the numbers after them."""
        arguments: int = self._function.__wrapped__.__code__.co_argcount  # type: ignore[attr-defined]
        return [f"x{k}" for k in range(self._count)], [f"n{k}" for k in range(arguments - self._count)]

    def _general(self, *args: Any) -> Any:
        made = self._of_rows(*args)
        return super().__call__(*args) if made is None else made

    def _of_rows(self, *args: Any) -> Array | None:
        """The result by a loop over rows; None where that is not right, or does not pay."""
        given, of = args[: self._count], args[self._masks]
        if of.__class__ is not ndarray or of.dtype not in FLOATS or not enabled():
            return None
        for k, a in enumerate(given):
            if a.__class__ is not ndarray or a.dtype != (_MASK if k < self._masks else of.dtype):
                return None
        return self._broadcast(given, of.dtype, [*map(float, args[self._count :])])

    def _broadcast(self, given: tuple[Array, ...], dtype: Any, numbers: Sequence[float]) -> Array | None:
        gives = self._gives or dtype
        plan = _plan(gives.itemsize, dtype.itemsize, self._masks, *[(a.shape, a.strides) for a in given])
        if plan is None:
            return None
        if plan.copied:
            given = tuple([_in_order(a, plan) if k in plan.copied else a for k, a in enumerate(given)])
        out = empty(plan.shape, gives)
        loop = self._loops.get(plan.pattern) or self._loop_of_rows(plan.pattern)
        loop(*[_beginning(a) for a in given], out.ravel(), plan.table, *numbers)
        return out if plan.back is None else out.transpose(plan.back)

    @cached_property
    def _flat_loop(self) -> Compiled:
        """The loop over arrays of one shape."""
        names, others = self._names()
        return self._made(
            _FLAT, "loop", others, arrays=", ".join(names), slices=", ".join(f"{name}[start:stop]" for name in names),
            items=", ".join([*(f"{name}[i]" for name in names), *others]), size=_BLOCK, most=_BLOCKS,
        )  # fmt: skip

    def _loop_of_rows(self, pattern: str) -> Compiled:
        """The loop over rows of arrays of one pattern."""
        names, others = self._names()
        rows, items, steps = [], [], []
        for k, (name, kind) in enumerate(zip(names, pattern, strict=True)):
            rows.append((_ROW if kind == "v" else _ONE).format(x=name))
            steps.append(_STEPS.format(x=name, a=10 + 3 * k, b=11 + 3 * k, c=12 + 3 * k))
            items.append(f"{name}_row[n]" if kind == "v" else f"{name}_one")
        made = self._loops[pattern] = self._made(
            _ROWS, f"loop_of_rows_{pattern}", others, arrays=", ".join(names), rows="\n        ".join(rows),
            items=", ".join([*items, *others]), steps="; ".join(steps),
        )  # fmt: skip
        return made

    def _made(self, template: str, name: str, numbers: list[str], **parts: Any) -> Compiled:
        """A loop of generated code."""
        converted = "; ".join(f"{n} = x{self._masks}.dtype.type({n})" for n in numbers)
        source = template.format(numbers="".join(f"{n}, " for n in numbers), converted=converted, **parts)
        scope: dict[str, Any] = {"function": self._function, "parallel_for": parallel_for, "array_at": array_at}
        scope |= {"address": address, "__name__": __name__}
        exec(compile(source, __file__, "exec"), scope)
        of = f"{self._function.__module__.rpartition('.')[2]}.{self._function.__qualname__}"  # type: ignore[attr-defined]
        for part in ("block", "loop"):  # what is kept on disk is told apart by names
            scope[part].__qualname__ = f"{of}.{name.replace('loop', part)}"
        scope["on_block"] = exact(scope["block"])
        return exact(scope["loop"])


class _Plan(NamedTuple):
    """How arrays broadcast into a result without gaps."""

    shape: tuple[int, ...]  # the result's, its axes as they lie in memory
    order: list[int]  # these axes
    back: list[int] | None  # what brings them back, unless they are in order
    copied: frozenset[int]  # the arrays to be copied, as they lie otherwise
    pattern: str  # for each array, whether it has elements of its own along a row
    table: Array  # the loop's numbers


@lru_cache(maxsize=4096)
def _plan(gives: int, item: int, masks: int, *arrays: tuple[tuple[int, ...], tuple[int, ...]]) -> _Plan | None:
    """The plan for arrays of which the shapes and strides are given; None where NumPy does it as well, or says why it can't.

    The bytes of an element of the result and of an array are given, and how many arrays in front are masks, of one byte each.
    The loop's numbers are how many pieces of rows there are, how many make a block, a row's length, a piece's, the pieces of a
    row, the lengths of the two last of three axes around rows, and for the result and each array the steps along these three.
    """
    try:
        shape = np.broadcast_shapes(*[its_shape for its_shape, _ in arrays])
    except ValueError:
        return None
    if prod(shape) < _LEAST:
        return None
    whole = [k for k, (its_shape, strides) in enumerate(arrays) if its_shape == shape and 0 not in strides]
    order = sorted(range(len(shape)), key=lambda axis: -abs(arrays[whole[-1]][1][axis]) if whole else 0)
    lying = tuple([shape[axis] for axis in order])
    items = [gives] + [1] * masks + [item] * (len(arrays) - masks)
    dense = [[size * prod(lying[i + 1 :]) if n > 1 else 0 for i, n in enumerate(lying)] for size in items]
    steps = dense[:1]
    for its_shape, strides in arrays:
        lead = len(shape) - len(its_shape)
        own = [0] * lead + [s if n > 1 else 0 for n, s in zip(its_shape, strides, strict=True)]
        steps.append([own[axis] for axis in order])
    copied = [k for k in whole if steps[k + 1] != dense[k + 1]]
    axes = _merged(lying, steps, items)
    if axes is not None:
        copied = []
    else:
        axes = _merged(lying, [dense[i] if i - 1 in copied else s for i, s in enumerate(steps)], items)
        if axes is None:
            return None
    length, along = axes[-1]
    around = [(1, [0] * len(steps))] * (4 - len(axes)) + axes[:-1]
    rows, piece = prod([n for n, _ in around]), min(length, _BLOCK)
    pieces = -(-length // piece)
    block = max(1, max(_BLOCK, rows * length // _BLOCKS) // piece)
    numbers = [rows * pieces, block, length, piece, pieces, around[1][0], around[2][0]]
    numbers += [around[axis][1][array] for array in range(len(steps)) for axis in range(3)]
    pattern = "".join("v" if s else "s" for s in along[1:])
    back = None if order == sorted(order) else [order.index(axis) for axis in range(len(order))]
    return _Plan(lying, order, back, frozenset(copied), pattern, np.array(numbers, np.int64))


def _merged(shape: tuple[int, ...], steps: list[list[int]], items: list[int]) -> list[tuple[int, list[int]]] | None:
    """The axes' lengths, and all arrays' steps along each, neighbours made one where they are; None where there is no loop."""
    axes: list[tuple[int, list[int]]] = []
    for n, *along in zip(shape, *steps, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == [n * s for s in along]:
            axes[-1] = (axes[-1][0] * n, along)
        else:
            axes.append((n, along))
    fits = 1 <= len(axes) <= 4 and axes[-1][0] >= _SHORT
    return axes if fits and all(s in (0, item) for s, item in zip(axes[-1][1], items, strict=True)) else None


def _in_order(a: Array, plan: _Plan) -> Array:
    """A copy of an array that lies in memory as the result."""
    copy = empty(plan.shape, a.dtype)
    copy[...] = a.transpose(plan.order)
    return copy


def _beginning(a: Array) -> Array:
    """One dimension that begins where an array does: all of it, unless it has gaps."""
    flat = a.ravel() if a.flags.c_contiguous else a[(slice(0, 1),) * a.ndim].reshape(-1)
    if not flat.flags.writeable:
        with suppress(ValueError):
            flat.flags.writeable = True  # for Numba, it would be an array of another kind, to be compiled for by itself
    return flat


_CALL = """
def call({arguments}):
    if {alike}:
        shape = {first}.shape
        if {same}:
            if {first}.size < {least}:
                return small({arguments})
            if {contiguous}:
                out = empty(shape, {dtype})
                loop({flat})
                return out
    return otherwise({arguments})
"""

_FLAT = """
def block({arrays}, out, {numbers}start, stop):
    {arrays}, out = {slices}, out[start:stop]
    {converted}
    for i in range(len(out)):
        out[i] = function({items})

def loop({arrays}, out, {numbers}):
    parallel_for(on_block, ({arrays}, out, {numbers}), len(out), max({size}, len(out) // {most}))
"""

_ROWS = """
def block({arrays}, out, table, {numbers}start, stop):
    length, size, pieces, middle, inner = table[2], table[3], table[4], table[5], table[6]
    out_k, out_j, out_i = table[7], table[8], table[9]
    {steps}
    {converted}
    row, piece = start // pieces, start % pieces
    k, j, i = row // inner // middle, row // inner % middle, row % inner
    for _ in range(stop - start):
        begin = piece * size
        count = min(size, length - begin)
        to = array_at(out, address(out) + k * out_k + j * out_j + i * out_i + begin * out.itemsize, count)
        {rows}
        for n in range(len(to)):
            to[n] = function({items})
        piece += 1
        if piece == pieces:
            piece, i = 0, i + 1
            if i == inner:
                i, j = 0, j + 1
                if j == middle:
                    j, k = 0, k + 1

def loop({arrays}, out, table, {numbers}):
    parallel_for(on_block, ({arrays}, out, table, {numbers}), table[0], table[1])
"""

_STEPS = "{x}_k, {x}_j, {x}_i = table[{a}], table[{b}], table[{c}]"
_ROW = "{x}_row = array_at({x}, address({x}) + k * {x}_k + j * {x}_j + i * {x}_i + begin * {x}.itemsize, count)"
_ONE = "{x}_one = array_at({x}, address({x}) + k * {x}_k + j * {x}_j + i * {x}_i, 1)[0]"


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
