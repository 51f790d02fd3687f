"""How a kernel is declared: a NumPy reference, and beside it what Numba compiles, and when to use it.

A kernel takes arrays and returns arrays. Its NumPy *reference* is the specification: it runs where Numba is missing, for
other libraries' arrays, and for what the compiled version is not made for. The *compiled* version allocates its results by
``empty`` and has functions in Numba's language fill them:

    @kernel
    def scale(x, factor):
        return x * factor

    @scale.compiled(when=lambda x, factor: dense(x) and x.size > 10_000)
    def _(x, factor):
        out = empty(x.shape, x.dtype)
        _scale(x.reshape(-1), factor, out.reshape(-1))
        return out

    @compiled
    def _scale(x, factor, out):
        parallel_for(_scale_block, (x, factor, out), x.size, 16384)

    @compiled
    def _scale_block(x, factor, out, start, stop):
        x, out = x[start:stop], out[start:stop]
        factor = x.dtype.type(factor)
        for i in range(len(x)):
            out[i] = factor * x[i]

Three things make loops slow, and none is seen: an index that does not start from 0 (Numba takes it for one that may count from
the end: slice first, as above), a Python float beside a float32 (the arithmetic becomes float64: use ``x.dtype.type``), and
a sum that may not be reordered (``exact``).

Numba is imported when a compiled function is first called, and what it compiles is kept on disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from importlib import import_module
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native, ndarray
from . import threads

_HALF, FLOATS = np.dtype(np.float16), (np.dtype(np.float32), np.dtype(np.float64))


class Kernel:
    """A function of arrays: its NumPy reference, and perhaps a compiled version."""

    def __init__(self, reference: Callable[..., Any]):
        self.reference = reference
        self._fast: Callable[..., Any] | None = None
        self._when: Callable[..., bool] = _never
        update_wrapper(self, reference)

    def compiled(self, when: Callable[..., bool]) -> Callable[[Callable[..., Any]], Kernel]:
        """Declare the compiled version, of the same arguments, and the arguments for which it is right and pays."""

        def declare(function: Callable[..., Any]) -> Kernel:
            self._fast, self._when = function, when
            return self

        return declare

    def __call__(self, *args: Any) -> Any:
        if self._when(*args) and enabled():
            assert self._fast is not None
            return self._fast(*args)
        for a in args:
            if a.__class__ is ndarray and a.dtype == _HALF:  # stored in 16 bits, computed in 32
                return _narrow(self(*map(_widened, args)))
        return self.reference(*args)


def kernel(reference: Callable[..., Any]) -> Kernel:
    """Declare a kernel by its NumPy reference."""
    return Kernel(reference)


def _never(*args: Any) -> bool:
    return False


def _widened(x: Any) -> Any:
    return x.astype(np.float32) if is_native(x) and x.dtype == _HALF else x


def _narrow(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(_narrow(r) for r in result)
    plain = is_native(result) or isinstance(result, np.generic)  # of arrays without axes come NumPy's scalars
    return result.astype(np.float16) if plain and result.dtype.kind == "f" else result


def dense(*arrays: Array | None) -> bool:
    """Whether the arrays are NumPy's own, all of float32 or all of float64, as compiled versions take them; None fits."""
    dtype = None
    for a in arrays:
        if a is not None:
            if a.__class__ is not ndarray:
                return False
            if a.dtype is not dtype:  # dtypes that are equal are mostly the same object
                if a.dtype not in FLOATS or (dtype is not None and a.dtype != dtype):
                    return False
                dtype = a.dtype
    return dtype is not None


@cache
def enabled() -> bool:
    """Whether there is Numba, and nobody has turned it off (``CHAINRULE_KERNELS=numpy``, ``NUMBA_DISABLE_JIT=1``)."""
    from importlib.util import find_spec

    return (
        os.environ.get("CHAINRULE_KERNELS", "numba") != "numpy"
        and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
        and find_spec("numba") is not None
        and os.name == "posix"  # the pool is made of POSIX threads
    )


class Compiled:
    """A function in Numba's language, compiled at its first call and for each new set of types; it runs without Python's lock.

    Other compiled functions may call it, and are compiled with it.
    """

    __slots__ = ("__call__", "__dict__")

    #: What a call runs, with nothing in between: Numba's own object for it, from the first call on.
    __call__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], fastmath: frozenset[str], inline: bool = False):
        self._function, self._fastmath, self._inline = function, fastmath, inline
        self._part: Any = None
        self.__call__ = self._first
        update_wrapper(self, function)

    def _first(self, *args: Any) -> Any:
        return self.dispatcher(*args)

    @cached_property
    def dispatcher(self) -> Any:
        """Numba's own object for it, where Python calls it."""
        _native()  # which defines the names that what is kept on disk refers to
        self.__call__ = made = _compiler().jit(self._function, self._options)
        return made

    @property
    def _options(self) -> dict[str, Any]:
        return {"nogil": True, "error_model": "numpy", "fastmath": set(self._fastmath), "forceinline": self._inline}

    @property
    def _numba_type_(self) -> Any:
        """What Numba takes it for, where another compiled function calls it."""
        if self._part is None:
            self._part = _compiler().part(self._function, self._options)
        return import_module("numba").types.Dispatcher(self._part)


#: Sums may be reordered, so that they are computed in vectors, in an order that is the same each time. NaN and infinities keep
#: their meaning.
REORDERED = frozenset({"contract", "reassoc", "nsz"})
#: Each operation as it stands, but for a * b + c in one rounding.
IN_ORDER = frozenset({"contract"})


def compiled(function: Callable[..., Any]) -> Compiled:
    """Declare a function in Numba's language, for loops and sums over arrays."""
    return Compiled(function, REORDERED)


def exact(function: Callable[..., Any]) -> Compiled:
    """Declare a function in Numba's language whose operations are not reordered: polynomials, compensated sums."""
    return Compiled(function, IN_ORDER)


def inlined(function: Callable[..., Any]) -> Compiled:
    """Declare a function of numbers in Numba's language, for loops in compiled functions, which are vectorised with it."""
    return Compiled(function, IN_ORDER, inline=True)


class Native:
    """A function for use within compiled ones, of a module that imports Numba: that is imported when one is compiled."""

    def __init__(self, name: str, load: Callable[[], Any]):
        self._name, self._load = name, load

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self._name} can only be called within a compiled function")

    @property
    def _numba_type_(self) -> Any:
        context = import_module("numba.core.registry").cpu_target.typing_context
        function = getattr(self._load(), self._name)
        context.refresh()  # its overloads may be new
        return context.resolve_value_type(function)


def _compiler() -> Any:
    return import_module("chainrule.kernels.compiler")


@cache
def _native() -> Any:
    """The native module, with the pool ready, also after a fork."""
    native = import_module("chainrule.kernels.native")
    import_module("chainrule.kernels.scratch")  # what was compiled before refers to its table
    native.start(threads.get_num_threads())
    threads.listener = native.set_threads
    os.register_at_fork(after_in_child=lambda: native.start(threads.get_num_threads()))
    return native


parallel_for = Native("parallel_for", _native)
carray = Native("carray", _native)
address, array_at, call = Native("address", _native), Native("array_at", _native), Native("call", _native)
gemm = Native("gemm", _native)


def _scratch() -> Any:
    return import_module("chainrule.kernels.scratch")


borrow, give_back = Native("borrow", _scratch), Native("give_back", _scratch)


def _lanes() -> Any:
    return import_module("chainrule.kernels.lanes")


subtract_product, exchange = Native("subtract_product", _lanes), Native("exchange", _lanes)


def _tiles() -> Any:
    return import_module("chainrule.kernels.tile")


tile, low_tile, row_tile = Native("tile", _tiles), Native("low_tile", _tiles), Native("row_tile", _tiles)
narrow_tile = Native("narrow_tile", _tiles)
part_of_tile, narrow_part_of_tile = Native("part_of_tile", _tiles), Native("narrow_part_of_tile", _tiles)
part_rows, narrow_part_rows = Native("part_rows", _tiles), Native("narrow_part_rows", _tiles)
tile_rows, low_tile_rows = Native("tile_rows", _tiles), Native("low_tile_rows", _tiles)
tile_columns, vector_length = Native("tile_columns", _tiles), Native("vector_length", _tiles)
transpose, transpose_rest = Native("transpose", _tiles), Native("transpose_rest", _tiles)
