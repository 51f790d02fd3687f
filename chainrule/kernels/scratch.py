"""Memory that compiled functions work in, used again: to get fresh pages from the system takes longer than to fill them.

What is given back is kept by size, a power of two, in a table that all threads share; an entry is read and written by single
atomic instructions. What of a piece has never been written takes no memory.

This module imports Numba and is imported before any kernel is compiled or loaded.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .compiler import part
from .native import array_at

_WORD = ir.IntType(64)
_SMALLEST, _SIZES, _KEPT = 10, 40, 64  # from 1 kB on; how many sizes, and pieces of each
_table = np.zeros(_SIZES * _KEPT, np.int64)
llvm.add_symbol("chainrule_scratch", _table.ctypes.data)

_allocate = types.ExternalFunction("aligned_alloc", types.intp(types.intp, types.intp))
_free = types.ExternalFunction("free", types.void(types.intp))
_LINE = 64  # bytes of a cache line, and of the widest vector


def _entry(builder: Any, index: Any) -> Any:
    kind = ir.ArrayType(_WORD, len(_table))
    table = builder.module.globals.get("chainrule_scratch") or ir.GlobalVariable(builder.module, kind, "chainrule_scratch")
    return builder.gep(table, [_WORD(0), index])


@intrinsic
def _take(typingctx: Any, index: Any) -> Any:
    """Empty an entry of the table; the address that was in it, or 0."""
    return types.intp(types.intp), lambda context, builder, signature, args: builder.atomic_rmw(
        "xchg", _entry(builder, args[0]), _WORD(0), "acq_rel"
    )


@intrinsic
def _put(typingctx: Any, index: Any, address: Any) -> Any:
    """Put an address into an entry of the table if that is empty; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = builder.cmpxchg(_entry(builder, args[0]), _WORD(0), args[1], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(types.intp, types.intp), codegen


@part
def _size(bytes: int) -> int:
    """Which of the sizes a piece has."""
    size = 0
    while (1 << (_SMALLEST + size)) < bytes:
        size += 1
    return size


@part
def borrow(like: Any, length: int) -> Any:
    """A row of numbers of an array's dtype, with any contents, for who says ``give_back`` in the end."""
    size = _size(length * like.itemsize)
    address = 0
    for entry in range(size * _KEPT, (size + 1) * _KEPT):
        address = _take(entry)
        if address != 0:
            break
    if address == 0:
        address = _allocate(_LINE, 1 << (_SMALLEST + size))
    return array_at(like, address, length)


@part
def give_back(borrowed: Any) -> None:
    """Let others have what was borrowed, in any shape."""
    size = _size(borrowed.size * borrowed.itemsize)
    for entry in range(size * _KEPT, (size + 1) * _KEPT):
        if _put(entry, borrowed.ctypes.data):
            return
    _free(borrowed.ctypes.data)


@njit
def free_all() -> None:
    """Give what is kept back to the system."""
    for entry in range(len(_table)):
        address = _take(entry)
        if address != 0:
            _free(address)
