"""What Numba's language lacks for kernels: a pool of threads, and matrix products by address.

This module imports Numba and is imported when the first kernel is compiled or loaded. The pool is written in Numba too: its
threads sleep in the C library until there is work, take blocks of it in turn, and never need the interpreter's lock. A region
is over when its blocks are, not when every thread has woken up: a core that another process keeps busy holds nothing up.
"""

from __future__ import annotations

import ctypes
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils, event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.extending import intrinsic, overload

_WORD = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_POINTER, _WORD, _WORD])

_state = np.zeros(64, np.int64)  # of the pool
llvm.add_symbol("chainrule_pool_state", _state.ctypes.data)

# ---- the pool -----------------------------------------------------------------------------------------------------------

#: Where the pool's locks and variables lie, as words of 8 bytes. 16 words are room enough for any system's lock.
_LOCK, _WORK, _FINISHED = 0, 16, 32
_BODY_AT, _ARGUMENTS, _ITEMS, _BLOCK, _NEXT, _DONE, _BUSY = range(48, 55)
_THREADS, _STARTED, _THREAD_AT, _HANDLE, _GEMM_32, _GEMM_64 = range(55, 61)


@intrinsic
def _state_address(typingctx: Any) -> Any:
    """The address of the pool's state: a symbol, so that compiled code can be kept on disk."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        module = builder.module
        symbol = module.globals.get("chainrule_pool_state") or ir.GlobalVariable(module, _WORD, "chainrule_pool_state")
        return builder.bitcast(symbol, _POINTER)

    return types.voidptr(), codegen


@intrinsic
def _call_body(typingctx: Any, body: Any, arguments: Any, start: Any, stop: Any) -> Any:
    """Call the C function at the address ``body``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], _BODY.as_pointer())
        builder.call(function, [builder.inttoptr(args[1], _POINTER), args[2], args[3]])

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def _external(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


_mutex_lock = _external("pthread_mutex_lock", types.int32, types.intp)
_mutex_unlock = _external("pthread_mutex_unlock", types.int32, types.intp)
_wait = _external("pthread_cond_wait", types.int32, types.intp, types.intp)
_signal = _external("pthread_cond_signal", types.int32, types.intp)
_create = _external("pthread_create", types.int32, types.intp, types.intp, types.intp, types.intp)


@njit(cache=True)
def _take_blocks(state: Any, lock: int) -> None:
    """Take blocks of the region under way until none is left. The lock is held, but for the time of a block."""
    while state[_NEXT] < state[_ITEMS]:
        start = state[_NEXT]
        stop = min(start + state[_BLOCK], state[_ITEMS])
        state[_NEXT] = stop
        body, arguments = state[_BODY_AT], state[_ARGUMENTS]
        _mutex_unlock(lock)
        _call_body(body, arguments, start, stop)
        _mutex_lock(lock)
        state[_DONE] += stop - start


@cfunc("voidptr(voidptr)", cache=True)
def _thread(address: Any) -> Any:
    """What a thread of the pool does, for ever."""
    state = carray(address, 64, np.int64)
    at = state.ctypes.data
    _mutex_lock(at + 8 * _LOCK)
    while True:
        while state[_NEXT] >= state[_ITEMS]:
            _wait(at + 8 * _WORK, at + 8 * _LOCK)
        _take_blocks(state, at + 8 * _LOCK)
        if state[_DONE] == state[_ITEMS]:
            _signal(at + 8 * _FINISHED)
    return address


@cfunc("void(intp, intp, intp, intp)", cache=True)
def _run_region(body: int, arguments: int, items: int, block: int) -> None:
    """Call ``body(arguments, start, stop)`` for each block of items, on the pool's threads and this one."""
    state = carray(_state_address(), 64, np.int64)
    at = state.ctypes.data
    lock = at + 8 * _LOCK
    block = max(block, 1)
    if state[_THREADS] > 1 and items > block:
        _mutex_lock(lock)
        alone = state[_BUSY] != 0  # within a region, or beside one of another thread of the user's
        if alone:
            _mutex_unlock(lock)
    else:
        alone = True
    if alone:
        for start in range(0, items, block):
            _call_body(body, arguments, start, min(start + block, items))
        return

    state[_BUSY] = 1
    state[_BODY_AT], state[_ARGUMENTS] = body, arguments
    state[_DONE], state[_NEXT], state[_BLOCK], state[_ITEMS] = 0, 0, block, items
    helpers = min(state[_THREADS], (items + block - 1) // block) - 1
    for _ in range(state[_STARTED], helpers):
        if _create(at + 8 * _HANDLE, 0, state[_THREAD_AT], at) != 0:
            break
        state[_STARTED] += 1
    for _ in range(helpers):
        _signal(at + 8 * _WORK)
    _take_blocks(state, lock)
    while state[_DONE] < items:
        _wait(at + 8 * _FINISHED, lock)
    state[_BUSY] = state[_ITEMS] = state[_NEXT] = state[_DONE] = 0
    _mutex_unlock(lock)


llvm.add_symbol("chainrule_run_region", _run_region.address)

# ---- what kernels call ----------------------------------------------------------------------------------------------------


@intrinsic
def parallel_for(typingctx: Any, body: Any, arguments: Any, items: Any, block: Any) -> Any:
    """Call ``body(*arguments, start, stop)`` for each block of ``block`` items out of ``items``, on all of the pool's threads.

    The blocks are the same for any number of threads, and so are results, where each block writes what is its own.
    """
    signature = body.get_call_type(typingctx, (*arguments.types, types.intp, types.intp), {})
    run = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _WORD, _WORD])

    def codegen(context: Any, builder: Any, outer: Any, args: Any) -> Any:
        compiled = body.dispatcher.overloads[signature.args]
        context.active_code_library.add_linking_library(compiled.library)
        # a C function that reads the arguments from where the caller has put them
        module = builder.module
        shim = ir.Function(module, _BODY, module.get_unique_name("block_of_" + body.dispatcher.py_func.__name__))
        shim.linkage = "internal"
        inside = ir.IRBuilder(shim.append_basic_block())
        packed = inside.load(inside.bitcast(shim.args[0], args[1].type.as_pointer()))
        values = [inside.extract_value(packed, i) for i in range(len(arguments))] if len(arguments) else []
        context.call_internal_no_propagate(inside, compiled.fndesc, signature, [*values, *shim.args[1:]])
        inside.ret_void()

        place = cgutils.alloca_once_value(builder, args[1])
        outside = cgutils.get_or_insert_function(module, run, "chainrule_run_region")
        items, block = (context.cast(builder, a, t, types.int64) for a, t in zip(args[2:], outer.args[2:], strict=True))
        builder.call(outside, [builder.bitcast(shim, _POINTER), builder.bitcast(place, _POINTER), items, block])
        return context.get_dummy_value()

    return types.void(body, arguments, items, block), codegen


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    return types.voidptr(types.intp), lambda context, builder, signature, args: builder.inttoptr(args[0], _POINTER)


@njit(inline="always")
def array_at(like: Any, address: int, length: int) -> Any:
    """A contiguous row of ``length`` numbers of an array's dtype, at an address."""
    return carray(_pointer(address), length, like.dtype)


# ---- matrix products --------------------------------------------------------------------------------------------------------


@intrinsic
def _call_gemm(typingctx: Any, like: Any, address: Any, numbers: Any, alpha: Any, beta: Any) -> Any:
    """Call the C function at ``address`` with integers and two factors."""
    scalar = like.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.get_data_type(scalar)
        kind = ir.FunctionType(ir.VoidType(), [*[_WORD] * len(numbers), number, number])
        integers = cgutils.unpack_tuple(builder, args[2])
        builder.call(builder.inttoptr(args[1], kind.as_pointer()), [*integers, *args[3:]])
        return context.get_dummy_value()

    return types.void(like, types.intp, numbers, scalar, scalar), codegen


def gemm(a: Any, b: Any, out: Any, alpha: float = 1.0, beta: float = 0.0) -> None:
    """Compute out = alpha a b + beta out: on all threads, or on the calling one where that is within a region already.

    Args:
        a: (m, k), of any strides.
        b: (k, n), of any strides.
        out: (m, n), with contiguous rows. Where ``beta`` is 0 it is not read.
        alpha: a factor.
        beta: a factor.
    """
    raise NotImplementedError("only within a compiled function")


@overload(gemm)
def _gemm(a: Any, b: Any, out: Any, alpha: Any = 1.0, beta: Any = 0.0) -> Any:
    where = _GEMM_32 if out.dtype == types.float32 else _GEMM_64

    def gemm(a: Any, b: Any, out: Any, alpha: Any = 1.0, beta: Any = 0.0) -> None:
        # through an address: so what calls it is compiled without it
        address = carray(_state_address(), 64, np.int64)[where]
        numbers = (
            a.ctypes.data, a.strides[0], a.strides[1], b.ctypes.data, b.strides[0], b.strides[1],
            out.ctypes.data, out.strides[0], out.shape[0], out.shape[1], a.shape[1],
        )  # fmt: skip
        _call_gemm(out, address, numbers, out.dtype.type(alpha), out.dtype.type(beta))

    return gemm


def _gemm_to_compile(scalar: Any, word: int) -> Any:
    """What stands for the product in a dtype until its first call: compiles it, and puts it in its own place."""
    c_scalar = ctypes.c_float if scalar is types.float32 else ctypes.c_double
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 11, c_scalar, c_scalar)

    def first(*args: Any) -> None:
        matrix = (
            types.CPointer(scalar),
            types.intp,
            types.intp,
        )  # where it is, and two strides; of the result, stride and rows
        function = import_module("chainrule.kernels.gemm").gemm
        compiled = c_function(function, types.void(*matrix * 3, *[types.intp] * 2, scalar, scalar))
        _compiled_gemm.append(compiled)  # or its code would be gone
        _state[word] = compiled.address
        kind(compiled.address)(*args)

    return kind(first)


_compiled_gemm: list[Any] = []
_first_gemm = {word: _gemm_to_compile(scalar, word) for scalar, word in ((types.float32, _GEMM_32), (types.float64, _GEMM_64))}

# ---- for layer.py ----


def start(threads: int) -> None:
    """Make the pool ready, without threads yet: at first use, and in the child of a fork, where threads are gone."""
    _state[:] = 0
    for name, at in (("pthread_mutex_init", _LOCK), ("pthread_cond_init", _WORK), ("pthread_cond_init", _FINISHED)):
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(llvm.address_of_symbol(name))(
            _state[at:].ctypes.data, None
        )
    _state[_THREADS], _state[_THREAD_AT] = threads, _thread.address
    for word, first in _first_gemm.items():
        _state[word] = ctypes.cast(first, ctypes.c_void_p).value or 0


def set_threads(threads: int) -> None:
    """Let so many threads work on a region; those that there are already sleep on."""
    _state[_THREADS] = threads


class _Announcer(event.Listener):  # type: ignore[misc]
    """Says once, to who waits at a terminal, that compiling is what takes the time."""

    def __init__(self) -> None:
        self._started, self._seconds = 0.0, 0.0

    def on_start(self, event: Any) -> None:
        self._started = time.perf_counter()

    def on_end(self, event: Any) -> None:
        before, self._seconds = self._seconds, self._seconds + time.perf_counter() - self._started
        if before < 1 <= self._seconds and sys.stderr.isatty():
            print("chainrule is compiling kernels for this machine, and keeps them for the next time", file=sys.stderr)


event.register("numba:compile", _Announcer())


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, for which all the kernels' sources together say what is out of date: they call each other."""

    def __init__(self, function: Any):
        super().__init__(function)
        files = sorted(Path(__file__).parent.glob("*.py"))
        stamp = tuple(n for f in files for n in (f.stat().st_mtime_ns, f.stat().st_size))
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)


def jit(function: Any, options: dict[str, Any]) -> Any:
    """Numba's dispatcher of a function, which keeps on disk what it compiles."""
    dispatcher = njit(**options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


def c_function(function: Any, signature: Any) -> Any:
    """A C function, kept on disk."""
    compiled: Any = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    compiled._cache = _Cache(function)
    compiled.compile()
    return compiled
