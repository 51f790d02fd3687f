"""What Numba's language lacks for kernels: a pool of threads, and matrix products by address.

This module imports Numba and is imported when the first kernel is compiled or loaded. The pool is written in Numba too: its
threads take blocks of work in turn, sleep in the C library while there is none, and never need the interpreter's lock. A region
is over when its blocks are, not when every thread has woken up: a core that another process keeps busy holds nothing up.
"""

from __future__ import annotations

import ctypes
import platform
import time
from _thread import start_new_thread
from importlib import import_module
from signal import SIGINT, raise_signal
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .compiler import c_function, part

_WORD = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_POINTER, _WORD, _WORD])

# ---- the pool -----------------------------------------------------------------------------------------------------------

#: Where the pool's lock and conditions lie, as words of 8 bytes. 16 words are room enough for any system's lock.
_LOCK, _WORK, _FINISHED = 0, 16, 32
#: The region under way.
_BODY_AT, _ARGUMENTS, _ITEMS, _BLOCK, _FIRST, _BLOCKS = range(48, 54)
#: How many threads to use, are started, are awake; where their code is; how long regions took that were not
#: shared, one right after another, and when the last ended.
_THREADS, _STARTED, _AWAKE, _THREAD_AT, _HANDLE, _MISSED, _ENDED, _GEMM_32, _GEMM_64 = range(54, 63)
#: Words that all threads write, each in a cache line of its own. The ticket is the region's number, and below it, in ``_BITS``
#: bits each, how many blocks were taken from the back and from the front.
_TICKET, _DONE, _BUSY, _WAITING = 64, 72, 80, 88
_WORDS = 96
_BITS = 20
_MOST = (1 << _BITS) - 1

#: Nanoseconds that it takes to wake a thread whose core has halted. Work of less time is done sooner without. So long a thread
#: waits actively for the next region, before it sleeps: at most doubling what the wait costs, whenever the region comes
#: (Karlin, Manasse, McGeoch and Owicki, "Competitive randomized algorithms for nonuniform problems", 1994).
_TO_WAKE = 50_000
#: Nanoseconds for which one that found all blocks taken watches a region to its end: soon after, the next may begin.
_PATIENCE = 500_000
#: Nanoseconds that it takes to share work with a thread that is awake.
_TO_SHARE = 4_000

_state = np.zeros(_WORDS, np.int64)  # of the pool
llvm.add_symbol("chainrule_pool_state", _state.ctypes.data)


@intrinsic
def _state_address(typingctx: Any) -> Any:
    """The address of the pool's state: a symbol, so that compiled code can be kept on disk."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        module = builder.module
        symbol = module.globals.get("chainrule_pool_state") or ir.GlobalVariable(module, _WORD, "chainrule_pool_state")
        return builder.ptrtoint(symbol, _WORD)

    return types.intp(), codegen


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    return types.voidptr(types.intp), lambda context, builder, signature, args: builder.inttoptr(args[0], _POINTER)


@intrinsic
def _call_body(typingctx: Any, body: Any, arguments: Any, start: Any, stop: Any) -> Any:
    """Call the C function at the address ``body``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], _BODY.as_pointer())
        builder.call(function, [builder.inttoptr(args[1], _POINTER), args[2], args[3]])

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def _load(typingctx: Any, address: Any) -> Any:
    """Read a word that other threads write."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], _WORD.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def _store(typingctx: Any, address: Any, value: Any) -> Any:
    """Write a word that other threads read."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], builder.inttoptr(args[0], _WORD.as_pointer()), "seq_cst", 8)

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _add(typingctx: Any, address: Any, value: Any) -> Any:
    """Add to a word that other threads add to; what it was before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _WORD.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _exchange(typingctx: Any, address: Any, expected: Any, value: Any) -> Any:
    """Replace a word if it is what was expected; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.inttoptr(args[0], _WORD.as_pointer())
        return builder.extract_value(builder.cmpxchg(word, args[1], args[2], "seq_cst", "seq_cst"), 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def _relax(typingctx: Any) -> Any:
    """Tell the processor that this is a loop that waits."""
    machine = platform.machine()

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if machine == "x86_64":
            builder.call(
                cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"), []
            )
        elif machine in ("aarch64", "arm64"):
            hint = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            yields = ir.Constant(ir.IntType(32), 1)
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [yields])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _now(typingctx: Any) -> Any:
    """The time in nanoseconds, from a clock that never goes back."""
    kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), _POINTER])

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        time_at = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
        clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(clock, [ir.Constant(ir.IntType(32), time.CLOCK_MONOTONIC), builder.bitcast(time_at, _POINTER)])
        seconds, rest = (builder.extract_value(builder.load(time_at), i) for i in (0, 1))
        return builder.add(builder.mul(seconds, ir.Constant(_WORD, 10**9)), rest)

    return types.int64(), codegen


def _external(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


_mutex_lock = _external("pthread_mutex_lock", types.int32, types.intp)
_mutex_unlock = _external("pthread_mutex_unlock", types.int32, types.intp)
_wait = _external("pthread_cond_wait", types.int32, types.intp, types.intp)
_signal = _external("pthread_cond_signal", types.int32, types.intp)
_broadcast = _external("pthread_cond_broadcast", types.int32, types.intp)
_create = _external("pthread_create", types.int32, types.intp, types.intp, types.intp, types.intp)


@part
def _get(at: int, word: int) -> int:
    value: int = _load(at + 8 * word)
    return value


@part
def _set(at: int, word: int, value: int) -> None:
    _store(at + 8 * word, value)


@part
def _open(at: int) -> bool:
    """Whether there are blocks to take. Between two regions, the ticket says that all are taken that there can be."""
    ticket = _get(at, _TICKET)
    return bool((ticket & _MOST) + (ticket >> _BITS & _MOST) < _get(at, _BLOCKS))


@part
def _take_blocks(at: int, step: int) -> int:
    """Take blocks of the region under way until none is left; how many these were.

    A block is taken by adding ``step`` to the ticket, 1 at the front, 1 << ``_BITS`` at the back. That fails where the ticket
    is another by then, as a new region's would be. The pool's threads take from the back: so a thread gets about the same
    part of arrays each time, which it may still have in its cache.
    """
    taken = 0
    while True:
        ticket = _get(at, _TICKET)
        front, back, blocks = ticket & _MOST, ticket >> _BITS & _MOST, _get(at, _BLOCKS)
        if front + back >= blocks:
            return taken
        body, arguments, items, block = _get(at, _BODY_AT), _get(at, _ARGUMENTS), _get(at, _ITEMS), _get(at, _BLOCK)
        start = (_get(at, _FIRST) + (front if step == 1 else blocks - 1 - back)) * block
        if _exchange(at + 8 * _TICKET, ticket, ticket + step):
            _call_body(body, arguments, start, min(start + block, items))
            taken += 1
            if _add(at + 8 * _DONE, 1) + 1 == blocks and _get(at, _WAITING) != 0:
                _mutex_lock(at + 8 * _LOCK)
                _signal(at + 8 * _FINISHED)
                _mutex_unlock(at + 8 * _LOCK)


def _thread(index: int) -> None:
    """What a thread of the pool does, for ever."""
    at = _state_address()
    while True:
        since = _now()
        while _now() - since < (_PATIENCE if _get(at, _BUSY) != 0 else _TO_WAKE) and index < _get(at, _THREADS) - 1:
            if _take_blocks(at, 1 << _BITS) > 0:
                since = _now()
            for _ in range(8):
                _relax()
        _add(at + 8 * _AWAKE, -1)
        _mutex_lock(at + 8 * _LOCK)
        while index >= _get(at, _THREADS) - 1 or not _open(at):
            _wait(at + 8 * _WORK, at + 8 * _LOCK)
        _mutex_unlock(at + 8 * _LOCK)
        _add(at + 8 * _AWAKE, 1)


@part
def _wake(at: int, helpers: int) -> None:
    """See to it that so many threads of the pool are awake."""
    for index in range(_get(at, _STARTED), helpers):
        if _create(at + 8 * _HANDLE, 0, _get(at, _THREAD_AT), index) != 0:
            break
        _add(at + 8 * _STARTED, 1)
        _add(at + 8 * _AWAKE, 1)
    asleep = helpers - _get(at, _AWAKE)
    if asleep > 0:
        _mutex_lock(at + 8 * _LOCK)
        if _get(at, _STARTED) >= _get(at, _THREADS):  # some are to sleep on, and nobody knows which one a signal wakes
            _broadcast(at + 8 * _WORK)
        else:
            for _ in range(asleep):
                _signal(at + 8 * _WORK)
        _mutex_unlock(at + 8 * _LOCK)


@part
def _finish(at: int, blocks: int) -> None:
    """Wait for the blocks that others have taken, and close the region."""
    until = _now() + _TO_WAKE
    while _get(at, _DONE) < blocks and _now() < until:
        _relax()
    if _get(at, _DONE) < blocks:
        _mutex_lock(at + 8 * _LOCK)
        _set(at, _WAITING, 1)
        while _get(at, _DONE) < blocks:
            _wait(at + 8 * _FINISHED, at + 8 * _LOCK)
        _set(at, _WAITING, 0)
        _mutex_unlock(at + 8 * _LOCK)
    # the next region's number, and nothing to take
    _set(at, _TICKET, (_get(at, _TICKET) >> 2 * _BITS) + 1 << 2 * _BITS | _MOST)


def _run_region(body: int, arguments: int, items: int, block: int, work: int, pace_at: int) -> None:
    """Call ``body(arguments, start, stop)`` for each block of items, on the pool's threads and this one.

    Whether the work is worth sharing, and worth waking others, is told by its pace the last time: nanoseconds for each
    element of the loop's arrays. Where it turns out to take longer than that, the rest is shared.
    """
    at = _state_address()
    block = max(block, 1)
    blocks = (items + block - 1) // block
    helpers = min(_get(at, _THREADS), blocks) - 1
    # within a region, and beside one of another thread of the user's, all is done here
    if helpers < 1 or not _exchange(at + 8 * _BUSY, 0, 1):
        for number in range(blocks):
            _call_body(body, arguments, number * block, min((number + 1) * block, items))
        return

    pace = carray(_pointer(pace_at), 1, np.float64)
    began = _now()
    missed = _get(at, _MISSED) if began - _get(at, _ENDED) < _TO_WAKE else 0  # what others might have shared just before
    rest = pace[0] * work if pace[0] > 0 else np.inf
    done = 0
    while done < blocks and rest + missed <= _TO_WAKE and (rest <= _TO_SHARE or _get(at, _AWAKE) == 0):
        _call_body(body, arguments, done * block, min((done + 1) * block, items))
        done += 1
        rest = (_now() - began) / done * (blocks - done)
    if done == blocks:
        spent = _now() - began
        pace[0] = spent / work
        _set(at, _MISSED, missed + spent)
    else:
        _set(at, _MISSED, 0)
    while done < blocks:
        part = min(blocks - done, _MOST)
        _set(at, _BODY_AT, body)
        _set(at, _ARGUMENTS, arguments)
        _set(at, _ITEMS, items)
        _set(at, _BLOCK, block)
        _set(at, _FIRST, done)
        _set(at, _BLOCKS, part)
        _set(at, _DONE, 0)
        _set(at, _TICKET, _get(at, _TICKET) & ~_MOST)  # from here on, others take blocks
        if rest + missed > _TO_WAKE:
            _wake(at, int(min(float(helpers), 1 + rest / _TO_WAKE)))
        began = _now()
        taken = _take_blocks(at, 1)
        if taken > 0:
            pace[0] = (_now() - began) / taken * blocks / work
        _finish(at, part)
        done += part
    _set(at, _ENDED, _now())
    _set(at, _BUSY, 0)


_of_thread = c_function(_thread, types.void(types.intp))
_of_region = c_function(_run_region, types.void(*[types.intp] * 6))
llvm.add_symbol("chainrule_run_region", _of_region.address)

# ---- what kernels call ----------------------------------------------------------------------------------------------------


def _with_arguments(context: Any, builder: Any, body: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
    """The addresses of a C function and of arguments, which it is to be called with; it calls ``body``.

    The C function gets numbers besides, which are the last that ``body`` gets.
    """
    compiled = body.dispatcher.overloads[signature.args]
    context.active_code_library.add_linking_library(compiled.library)
    count = len(arguments.type.elements)
    module, numbers = builder.module, [_WORD] * (len(signature.args) - count)
    kind = ir.FunctionType(ir.VoidType(), [_POINTER, *numbers])
    shim = ir.Function(module, kind, module.get_unique_name("with_arguments_" + body.dispatcher.py_func.__name__))
    shim.linkage = "internal"
    inside = ir.IRBuilder(shim.append_basic_block())
    packed = inside.load(inside.bitcast(shim.args[0], arguments.type.as_pointer()))
    values = [inside.extract_value(packed, i) for i in range(count)]
    context.call_internal_no_propagate(inside, compiled.fndesc, signature, [*values, *shim.args[1:]])
    inside.ret_void()
    place = cgutils.alloca_once_value(builder, arguments)
    return builder.ptrtoint(shim, _WORD), builder.ptrtoint(place, _WORD)


@intrinsic
def parallel_for(typingctx: Any, body: Any, arguments: Any, items: Any, block: Any) -> Any:
    """Call ``body(*arguments, start, stop)`` for each block of ``block`` items out of ``items``, on all of the pool's threads.

    The blocks are the same for any number of threads, and so are results, where each block writes what is its own.
    """
    signature = body.get_call_type(typingctx, (*arguments.types, types.intp, types.intp), {})
    run = ir.FunctionType(ir.VoidType(), [_WORD] * 6)

    def codegen(context: Any, builder: Any, outer: Any, args: Any) -> Any:
        module = builder.module
        shim, place = _with_arguments(context, builder, body, signature, args[1])
        pace = cgutils.add_global_variable(module, ir.DoubleType(), module.get_unique_name("pace"))
        pace.linkage, pace.initializer = "internal", ir.Constant(ir.DoubleType(), 0.0)
        work = ir.Constant(_WORD, 1)
        for i, kind in enumerate(arguments):
            if isinstance(kind, types.Array):
                array = context.make_array(kind)(context, builder, builder.extract_value(args[1], i))
                work = builder.add(work, array.nitems)
        items, block = (context.cast(builder, a, t, types.int64) for a, t in zip(args[2:], outer.args[2:], strict=True))
        pace = builder.ptrtoint(pace, _WORD)
        outside = cgutils.get_or_insert_function(module, run, "chainrule_run_region")
        builder.call(outside, [shim, place, items, block, work, pace])
        return context.get_dummy_value()

    return types.void(body, arguments, items, block), codegen


@intrinsic
def address(typingctx: Any, array: Any) -> Any:
    """Where an array's elements begin.

    A number with a sign: that of ``array.ctypes.data`` has none, and Numba takes a sum of one with and one without for a float.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(context.make_array(array)(context, builder, args[0]).data, _WORD)

    return types.intp(array), codegen


@njit(inline="always")
def array_at(like: Any, address: int, length: int) -> Any:
    """A contiguous row of ``length`` numbers of an array's dtype, at an address."""
    return carray(_pointer(address), length, like.dtype)


# ---- matrix products --------------------------------------------------------------------------------------------------------


@intrinsic
def call(typingctx: Any, address: Any, numbers: Any) -> Any:
    """Call the C function at ``address``."""
    kind = ir.FunctionType(ir.VoidType(), [_WORD] * len(numbers))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), cgutils.unpack_tuple(builder, args[1]))
        return context.get_dummy_value()

    return types.void(types.intp, types.UniTuple(types.intp, len(numbers))), codegen


@intrinsic
def _finisher(typingctx: Any, finish: Any, arguments: Any) -> Any:
    """The addresses of a C function that calls ``finish``, and of its first arguments."""
    signature = finish.get_call_type(typingctx, (*arguments.types, *[types.intp] * 4), {})

    def codegen(context: Any, builder: Any, outer: Any, args: Any) -> Any:
        return cgutils.pack_array(builder, _with_arguments(context, builder, finish, signature, args[1]))

    return types.UniTuple(types.intp, 2)(finish, arguments), codegen


def gemm(a: Any, b: Any, out: Any, plus: Any = None, finish: Any = None, arguments: Any = ()) -> None:
    """Compute out = a b + plus: on all threads, or on the calling one where that is within a region already.

    Args:
        a: (m, k), of any strides.
        b: (k, n), of any strides.
        out: (m, n), with contiguous rows.
        plus: (n,) for all rows, contiguous; None for 0.
        finish: called for each part of the result as soon as it is there, and still in the cache:
            ``finish(*arguments, top, bottom, left, right)``. The parts depend on nothing but m, n and k.
        arguments: the first ones of ``finish``.
    """
    raise NotImplementedError("only within a compiled function")


@overload(gemm)
def _gemm(a: Any, b: Any, out: Any, plus: Any = None, finish: Any = None, arguments: Any = ()) -> Any:
    where = _GEMM_32 if out.dtype == types.float32 else _GEMM_64
    adds, finishes = isinstance(plus, types.Array), isinstance(finish, types.Dispatcher)

    def gemm(a: Any, b: Any, out: Any, plus: Any = None, finish: Any = None, arguments: Any = ()) -> None:
        # through an address: so what calls it is compiled without it
        place, step = (plus.ctypes.data, 0) if adds else (out.ctypes.data, -1)
        ends = _finisher(finish, arguments) if finishes else (0, 0)
        numbers = (
            a.ctypes.data, a.strides[0], a.strides[1], b.ctypes.data, b.strides[0], b.strides[1],
            out.ctypes.data, out.strides[0], place, step, ends[0], ends[1], out.shape[0], out.shape[1], a.shape[1],
        )  # fmt: skip
        call(_load(_state_address() + 8 * where), numbers)

    return gemm


def _gemm_to_compile(scalar: Any, word: int) -> Any:
    """What stands for the product in a dtype until its first call: compiles it, and puts it in its own place."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 15)

    def first(*args: Any) -> None:
        at, step = types.CPointer(scalar), types.intp
        compiled, interrupted = None, False
        while compiled is None:
            try:
                function = import_module("chainrule.kernels.gemm").gemm
                compiled = c_function(function, types.void(at, step, step, at, step, step, at, step, at, *[step] * 6))
            except KeyboardInterrupt:  # it cannot pass through compiled code, which would go on without the product
                interrupted = True
        _compiled_gemm.append(compiled)  # or its code would be gone
        _state[word] = compiled.address
        kind(compiled.address)(*args)
        if interrupted:
            start_new_thread(raise_signal, (SIGINT,))  # which comes to Python's turn when the compiled code is done

    return kind(first)


_compiled_gemm: list[Any] = []
_first_gemm = {word: _gemm_to_compile(scalar, word) for scalar, word in ((types.float32, _GEMM_32), (types.float64, _GEMM_64))}
for word, first in _first_gemm.items():
    _state[word] = ctypes.cast(first, ctypes.c_void_p).value or 0

# ---- for layer.py ----


def start(threads: int) -> None:
    """Make the pool ready, without threads yet: at first use, and in the child of a fork, where threads are gone."""
    _state[:_GEMM_32] = _state[_TICKET:] = 0  # matrix products that are compiled stay so
    for name, at in (("pthread_mutex_init", _LOCK), ("pthread_cond_init", _WORK), ("pthread_cond_init", _FINISHED)):
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(llvm.address_of_symbol(name))(
            _state[at:].ctypes.data, None
        )
    _state[_THREADS], _state[_THREAD_AT], _state[_TICKET] = threads, _of_thread.address, _MOST


def set_threads(threads: int) -> None:
    """Let so many threads work on a region; those that there are already sleep on."""
    _state[_THREADS] = threads
