"""What Numba's language lacks for kernels: one pool of threads, BLAS inside compiled code, and the bits of a float.

This module imports Numba and is imported when the first kernel is compiled or loaded. The pool is written in Numba too: its
threads sleep in the C library until there is work, take blocks of it in turn, and never need the interpreter's lock. A region
is over when its blocks are, not when every thread has woken up: a core that another process keeps busy holds nothing up.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic, overload

_WORD = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_POINTER, _WORD, _WORD])

_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112  # BLAS's numbers
_state = np.zeros(64, np.int64)  # of the pool

# ---- symbols: compiled code finds them by name, and can be kept on disk -------------------------------------------------


@cfunc("int32()", cache=True)
def _one_thread() -> int:
    return 1


@cfunc("void(int32)", cache=True)
def _nothing(threads: int) -> None:
    pass


def _plain_gemm(scalar: Any) -> Any:
    """The matrix product in plain loops, for a NumPy whose BLAS cannot be called by name."""

    def product(layout, how_a, how_b, m, n, k, alpha, a, step_a, b, step_b, beta, out, step):  # type: ignore[no-untyped-def]
        A, B, C = carray(a, m * k + step_a * m, scalar), carray(b, 1, scalar), carray(out, 1, scalar)
        for i in range(m):
            for j in range(n):
                C[i * step + j] = beta * C[i * step + j] if beta != 0 else 0
            for p in range(k):
                left = alpha * (A[i * step_a + p] if how_a == _AS_IT_IS else A[p * step_a + i])
                for j in range(n):
                    C[i * step + j] += left * (B[p * step_b + j] if how_b == _AS_IT_IS else B[j * step_b + p])

    matrix = (types.voidptr, types.intp)
    signature = types.void(*[types.int32] * 3, *[types.intp] * 3, scalar, *matrix, *matrix, scalar, *matrix)
    return cfunc(signature, cache=True)(product)


def _blas_symbol(library: ctypes.CDLL, name: str) -> int | None:
    for pattern in ("scipy_{}64_", "{}64_", "{}$NEWLAPACK$ILP64", "{}"):
        symbol = getattr(library, pattern.format(name), None)
        if symbol is not None:
            return ctypes.cast(symbol, ctypes.c_void_p).value
    return None


def _add_symbols() -> None:
    llvm.add_symbol("chainrule_pool_state", _state.ctypes.data)
    numpy_library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    for letter, scalar in (("s", types.float32), ("d", types.float64)):
        found = _blas_symbol(numpy_library, f"cblas_{letter}gemm")
        llvm.add_symbol(f"chainrule_{letter}gemm", found or _plain_gemm(scalar).address)
    get, set_ = (_blas_symbol(numpy_library, f"openblas_{verb}_num_threads") for verb in ("get", "set"))
    llvm.add_symbol("chainrule_blas_get_threads", get if get and set_ else _one_thread.address)
    llvm.add_symbol("chainrule_blas_set_threads", set_ if get and set_ else _nothing.address)


_add_symbols()

# ---- the pool -----------------------------------------------------------------------------------------------------------

#: Where the pool's locks and variables lie, as words of 8 bytes. 16 words are room enough for any system's lock.
_LOCK, _WORK, _FINISHED = 0, 16, 32
_BODY_AT, _ARGUMENTS, _ITEMS, _BLOCK, _NEXT, _DONE, _BUSY = range(48, 55)
_THREADS, _STARTED, _REGIONS, _BLAS_THREADS, _THREAD_AT, _HANDLE = range(55, 61)


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
_blas_get_threads = _external("chainrule_blas_get_threads", types.int32)
_blas_set_threads = _external("chainrule_blas_set_threads", types.void, types.int32)


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
    _mutex_lock(lock)
    state[_REGIONS] += 1
    if state[_REGIONS] == 1:  # BLAS works with one thread inside, and with what the user has set outside
        state[_BLAS_THREADS] = _blas_get_threads()
        _blas_set_threads(1)

    alone = state[_BUSY] != 0 or state[_THREADS] < 2 or items <= block
    if alone:  # within a region, or beside one of another thread of the user's
        _mutex_unlock(lock)
        for start in range(0, items, block):
            _call_body(body, arguments, start, min(start + block, items))
        _mutex_lock(lock)
    else:
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

    state[_REGIONS] -= 1
    if state[_REGIONS] == 0:
        _blas_set_threads(state[_BLAS_THREADS])
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
def float32_from_bits(typingctx: Any, bits: Any) -> Any:
    """The float32 whose bits are those of an int32."""
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.FloatType())


@intrinsic
def bits_of_float32(typingctx: Any, x: Any) -> Any:
    """The bits of a float32, as an int32."""
    return types.int32(types.float32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(32))


@intrinsic
def float64_from_bits(typingctx: Any, bits: Any) -> Any:
    """The float64 whose bits are those of an int64."""
    return types.float64(types.int64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.DoubleType())


@intrinsic
def bits_of_float64(typingctx: Any, x: Any) -> Any:
    """The bits of a float64, as an int64."""
    return types.int64(types.float64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(64))


def _gemm_type(scalar: Any) -> Any:
    matrix = (types.intp, types.intp)
    return types.void(*[types.int32] * 3, *[types.intp] * 3, scalar, *matrix, *matrix, scalar, *matrix)


_sgemm = types.ExternalFunction("chainrule_sgemm", _gemm_type(types.float32))
_dgemm = types.ExternalFunction("chainrule_dgemm", _gemm_type(types.float64))


@njit(cache=True, inline="always")
def _leading(a: Any) -> Any:
    """Whether BLAS is to read a matrix transposed, and the distance between its rows (or columns)."""
    item = a.itemsize
    if a.strides[1] == item or (a.shape[1] == 1 and a.strides[0] != item):
        return _AS_IT_IS, max(a.strides[0] // item, a.shape[1], 1)
    return _TRANSPOSED, max(a.strides[1] // item, a.shape[0], 1)


def gemm(a: Any, b: Any, out: Any, alpha: float = 1.0, beta: float = 0.0) -> None:
    """Compute out = alpha a b + beta out, by BLAS on the calling thread; to be called within the blocks of ``parallel_for``.

    Args:
        a: (m, k), whose rows or whose columns are contiguous.
        b: (k, n), likewise.
        out: (m, n), with contiguous rows. Where ``beta`` is 0 it is not read.
    """
    raise NotImplementedError("only within a kernel")


@overload(gemm, inline="always")
def _gemm(a: Any, b: Any, out: Any, alpha: Any = 1.0, beta: Any = 0.0) -> Any:
    call, scalar = (_sgemm, np.float32) if out.dtype == types.float32 else (_dgemm, np.float64)

    def gemm(a: Any, b: Any, out: Any, alpha: Any = 1.0, beta: Any = 0.0) -> None:
        m, n = out.shape
        k = a.shape[1]
        if m == 0 or n == 0:
            return
        how_a, step_a = _leading(a)
        how_b, step_b = _leading(b)
        step = max(out.strides[0] // out.itemsize, n)
        at_a, at_b, at_out = a.ctypes.data, b.ctypes.data, out.ctypes.data
        layout, how_a, how_b = np.int32(_ROW_MAJOR), np.int32(how_a), np.int32(how_b)
        call(layout, how_a, how_b, m, n, k, scalar(alpha), at_a, step_a, at_b, step_b, scalar(beta), at_out, step)

    return gemm


# ---- for layer.py ----


def start(threads: int) -> None:
    """Make the pool ready, without threads yet: at first use, and in the child of a fork, where threads are gone."""
    _state[:] = 0
    for name, at in (("pthread_mutex_init", _LOCK), ("pthread_cond_init", _WORK), ("pthread_cond_init", _FINISHED)):
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(llvm.address_of_symbol(name))(
            _state[at:].ctypes.data, None
        )
    _state[_THREADS], _state[_THREAD_AT] = threads, _thread.address


def set_threads(threads: int) -> None:
    """Let so many threads work on a region; those that there are already sleep on."""
    _state[_THREADS] = threads


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, for which another stamp than the one source file's own says what is out of date."""

    def __init__(self, function: Any, stamp: Any):
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)


def keep_on_disk(dispatcher: Any, stamp: Any) -> Any:
    """Let what a dispatcher compiles be kept on disk, for as long as the stamp is the same."""
    dispatcher._cache = _Cache(dispatcher.py_func, stamp)
    return dispatcher
