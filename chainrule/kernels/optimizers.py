"""The step of an optimizer on all its parameters in one pass, given what it does to one element; the norm of all gradients."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from importlib import import_module
from typing import Any
from warnings import warn

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..core.arrays import Array, ndarray
from .layer import array_at, compiled, enabled, exact, inlined, parallel_for

#: Maps an element's p, its gradient, its state and constants to the next p and state, both states as tuples.
Rule = Callable[[Any, Any, Any, Any], Any]
#: A parameter's data, its gradient, and the arrays of its state.
Parameter = tuple[Array, Array, Sequence[Array]]


def real(a: Array) -> Array:
    """A complex array as twice as many real numbers, along another axis; a real one as it is."""
    if a.dtype.kind != "c":
        return a
    return as_strided(a.real, (*a.shape, 2), (*a.strides, a.itemsize // 2))


def update(rule: Rule, parameters: Sequence[Parameter], kept: tuple[bool, ...], constants: tuple[float, ...]) -> None:
    """Do one step of ``rule`` on each element of each parameter, in place, by one compiled call where that is right.

    Args:
        rule: what a step does to one element.
        parameters: the parameters.
        kept: for each element of the rule's state, whether the parameters have an array of it; else it is 0.
        constants: first the factor of the gradient, the part of p that is added to that, and the factor of p; then the rule's.
    """
    if _compiles():
        parameters = _update_compiled(rule, parameters, kept, constants)
    for parameter in parameters:
        update_reference(rule, parameter, kept, constants)


def update_reference(rule: Rule, parameter: Parameter, kept: tuple[bool, ...], constants: tuple[float, ...]) -> None:
    """The same in NumPy, for one parameter."""
    sign, coupled, keep, *others = constants
    data, gradient, arrays = parameter
    p, g = computable(data), computable(gradient)
    g = g if sign == 1 else sign * g
    g = g + coupled * p if coupled else g
    held = iter(arrays)
    state = tuple(computable(next(held)) if keeps else 0.0 for keeps in kept)
    new, new_state = rule(p if keep == 1 else keep * p, g, state, tuple(others))
    real(data)[...] = new
    for target, value in zip(arrays, (value for value, keeps in zip(new_state, kept, strict=True) if keeps), strict=True):
        real(target)[...] = value


def computable(a: Array) -> Array:
    """An array as what is computed in: real numbers of single precision at least."""
    a = real(a)
    return a.astype(np.float32) if a.dtype == np.float16 else a


def norm(arrays: Sequence[Array]) -> float:
    """The root of the sum of the squares of all elements."""
    rows, others = _rows(arrays)
    squares = 0.0
    for dtype, (ids, sizes) in rows.items():
        pieces, blocks = _division(sizes)
        sums = np.zeros(len(blocks) - 1)
        _squares(ids, pieces, blocks, sums, _FLOATS[dtype])
        squares += float(np.sum(sums))
    return math.sqrt(squares + sum(float(np.sum(np.square(np.abs(computable(a))), dtype=np.float64)) for a in others))


def scale(arrays: Sequence[Array], factor: float) -> None:
    """Multiply all elements by a number, in place."""
    rows, others = _rows(arrays)
    for dtype, (ids, sizes) in rows.items():
        _scaled(ids, *_division(sizes), factor, _FLOATS[dtype])
    for a in others:
        np.multiply(a, factor, out=a)


# ---- compiled -------------------------------------------------------------------------------------------

_FLOATS = {np.dtype(np.float32): np.empty(0, np.float32), np.dtype(np.float64): np.empty(0, np.float64)}


@cache
def _compiles() -> bool:
    """Whether kernels run here, and an array's address is found in its object: not so in every build of Python."""
    probe = np.zeros(1)
    return enabled() and ctypes.c_void_p.from_address(id(probe) + _HEAD).value == probe.ctypes.data


def _update_compiled(
    rule: Rule, parameters: Sequence[Parameter], kept: tuple[bool, ...], constants: tuple[float, ...]
) -> Sequence[Parameter]:
    """Do the step where the arrays are plain rows of numbers in memory; return the parameters that are left."""
    left: list[Parameter] = []
    # Arrays are handed over by their ids, which is where they lie: to ask them for their addresses takes thirty times as long.
    # For each dtype the ids, the sizes, and the parameters themselves, which are to live on.
    tables: dict[Any, tuple[list[int], list[int], list[Parameter]]] = {}
    for parameter in parameters:
        data, g, state = parameter
        dtype, shape, strides, flags = data.dtype, data.shape, data.strides, data.flags
        if dtype not in _FLOATS or data.__class__ is not ndarray or not (flags.forc and flags.writeable):
            left.append(parameter)
            continue
        if not (g.dtype is dtype and g.strides == strides and g.shape == shape and g.__class__ is ndarray):
            g = _like(g, data)
        row = [id(data), id(g)]
        for a in state:
            if not (a.dtype is dtype and a.strides == strides and a.shape == shape) and not _fits(a, data):
                left.append(parameter)
                break
            row.append(id(a))
        else:
            if dtype not in tables:
                tables[dtype] = [], [], []
            ids, sizes, members = tables[dtype]
            ids += row
            sizes.append(data.size)
            members.append((data, g, state))
    for dtype, (ids, sizes, members) in tables.items():
        if not _run(rule, kept, ids, sizes, constants, dtype):
            left += members
    return left


def _run(
    rule: Rule, kept: tuple[bool, ...], ids: list[int], sizes: list[int], constants: tuple[float, ...], dtype: Any
) -> bool:
    """Run the compiled rule on a table of arrays; False if Numba cannot compile it."""
    step = _compiled(rule, kept, len(constants) - 3)
    if step is None:
        return False
    try:
        step(np.fromiter(ids, np.int64, len(ids)), *_division(tuple(sizes)), np.array(constants, np.float64), _FLOATS[dtype])
    except import_module("numba.core.errors").NumbaError as error:
        warn(f"{rule.__qualname__} runs in NumPy, because Numba cannot compile it: {error}", stacklevel=5)
        _refused.add(rule)
        _compiled.cache_clear()
        return False
    return True


_refused: set[Rule] = set()  # by Numba


def _fits(a: Array, data: Array) -> bool:
    """Whether an array has the dtype of another, and lies in memory without gaps and in the same order."""
    if a.__class__ is not ndarray or a.dtype != data.dtype or a.shape != data.shape:
        return False
    return (a.flags.c_contiguous and data.flags.c_contiguous) or (a.flags.f_contiguous and data.flags.f_contiguous)


def _like(g: Array, data: Array) -> Array:
    """A gradient in the order of its data."""
    if _fits(g, data):
        return g
    copy = np.empty_like(data)
    copy[...] = g
    return copy


def _rows(arrays: Sequence[Array]) -> tuple[dict[Any, tuple[Array, tuple[int, ...]]], Sequence[Array]]:
    """The ids and sizes of the arrays that are plain rows of numbers in memory, by dtype; and the others."""
    if not _compiles():
        return {}, arrays
    rows: dict[Any, list[Array]] = {}
    others: list[Array] = []
    for a in arrays:
        plain = a.__class__ is ndarray and a.dtype in _FLOATS and a.flags.forc and a.flags.writeable
        (rows.setdefault(a.dtype, []) if plain else others).append(a)
    return {
        dtype: (np.fromiter(map(id, each), np.int64, len(each)), tuple([a.size for a in each])) for dtype, each in rows.items()
    }, others


_BLOCK = 16384  # elements


@lru_cache(maxsize=256)
def _division(sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Pieces of arrays of these sizes, as (which array, from, length), and where among them each block of work begins.

    A block has up to ``_BLOCK`` elements: a piece of a large array, or many small arrays.
    """
    pieces: list[tuple[int, int, int]] = []
    blocks, room = [0], _BLOCK
    for which, size in enumerate(sizes):
        if size > room and room < _BLOCK:
            blocks.append(len(pieces))
            room = _BLOCK
        for start in range(0, size, _BLOCK):
            if room == 0:
                blocks.append(len(pieces))
                room = _BLOCK
            pieces.append((which, start, min(_BLOCK, size - start)))
            room -= pieces[-1][2]
    return np.array(pieces, np.int64).reshape(-1, 3), np.array([*blocks, len(pieces)], np.int64)


#: How far from the beginning of an array's object the address of its memory stands: after what all Python objects have.
_HEAD = object.__basicsize__


@compiled
def _squares_block(ids: Any, pieces: Any, blocks: Any, sums: Any, like: Any, start: int, stop: int) -> None:
    for piece in range(blocks[start], blocks[stop]):
        address = array_at(ids, ids[pieces[piece, 0]] + _HEAD, 1)[0] + pieces[piece, 1] * like.itemsize
        x = array_at(like, address, pieces[piece, 2])
        total = like.dtype.type(0)
        for i in range(len(x)):
            total += x[i] * x[i]
        sums[start] += total


@compiled
def _squares(ids: Any, pieces: Any, blocks: Any, sums: Any, like: Any) -> None:
    parallel_for(_squares_block, (ids, pieces, blocks, sums, like), len(blocks) - 1, 1)


@compiled
def _scaled_block(ids: Any, pieces: Any, blocks: Any, factor: Any, like: Any, start: int, stop: int) -> None:
    factor = like.dtype.type(factor)
    for piece in range(blocks[start], blocks[stop]):
        address = array_at(ids, ids[pieces[piece, 0]] + _HEAD, 1)[0] + pieces[piece, 1] * like.itemsize
        x = array_at(like, address, pieces[piece, 2])
        for i in range(len(x)):
            x[i] *= factor


@compiled
def _scaled(ids: Any, pieces: Any, blocks: Any, factor: Any, like: Any) -> None:
    parallel_for(_scaled_block, (ids, pieces, blocks, factor, like), len(blocks) - 1, 1)


_SOURCE = """
def {name}(ids, pieces, blocks, constants, like, start, stop):
    number = like.dtype.type
    zero, sign, coupled, keep = number(0), number(constants[0]), number(constants[1]), number(constants[2])
    rest = ({rest})
    for piece in range(blocks[start], blocks[stop]):
        row, first, length = pieces[piece, 0] * {width}, pieces[piece, 1] * like.itemsize, pieces[piece, 2]
        {load}
        for i in range(length):
            new, after = rule(keep * p[i], sign * g[i] + coupled * p[i], ({state}), rest)
            p[i] = new
            {store}

def {name}_of_all(ids, pieces, blocks, constants, like):
    parallel_for({name}, (ids, pieces, blocks, constants, like), len(blocks) - 1, 1)
"""


@cache
def _compiled(rule: Rule, kept: tuple[bool, ...], n_constants: int) -> Callable[..., None] | None:
    """A rule as loops over the elements of arrays, to be compiled at the first call."""
    if rule in _refused:
        return None
    held = ["p", "g", *(f"s{i}" for i, keeps in enumerate(kept) if keeps)]
    name = f"step_{_fingerprint(rule)}_{''.join('01'[keeps] for keeps in kept)}"
    load = [f"{a} = array_at(like, array_at(ids, ids[row + {i}] + {_HEAD}, 1)[0] + first, length)" for i, a in enumerate(held)]
    source = _SOURCE.format(
        name=name,
        rest="".join(f"number(constants[{i + 3}]), " for i in range(n_constants)),
        width=len(held),
        load="\n        ".join(load),
        state="".join(f"s{i}[i], " if keeps else "zero, " for i, keeps in enumerate(kept)),
        store="\n            ".join([f"s{i}[i] = after[{i}]" for i, keeps in enumerate(kept) if keeps]),
    )
    names: dict[str, Any] = {"rule": inlined(rule), "array_at": array_at, "parallel_for": parallel_for, "__name__": __name__}
    exec(compile(source, __file__, "exec"), names)  # a file that is there, beside which Numba keeps what it compiles
    names[name] = exact(names[name])
    return exact(names[f"{name}_of_all"])


def _fingerprint(rule: Rule) -> str:
    """What distinguishes a rule from what has been kept on disk under its name before."""
    code = rule.__code__
    cells = [cell.cell_contents for cell in rule.__closure__ or ()]
    numbers = [value for name in code.co_names if isinstance(value := rule.__globals__.get(name), (int, float))]
    what = (rule.__qualname__, code.co_code, code.co_consts, code.co_names, cells, numbers)
    return sha256(repr(what).encode()).hexdigest()[:16]
