"""Arrays for results, in memory that is used again.

The system clears each page of memory that it hands out, and large arrays are made of fresh pages: in a training step that can
take longer than the arithmetic. So the memory of large results is kept when they are gone, for the next results of that size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .arrays import Array, Memory, is_native, ndarray

LARGE = 1 << 16  # bytes: below, the C library keeps memory by itself
_MOST = 1 << 30  # bytes of memory that is kept for later
_LINE = 64  # bytes of a cache line, and of the widest vector

_BYTE = np.dtype(np.uint8)

#: Memory that is free, by size. The last byte of each says where in it a line of the cache begins. Threads share it without a
#: lock: a list's append and pop are atomic, and a count that two threads change at once limits what is kept all the same.
_free: dict[int, list[bytearray]] = {}
_kept = 0


class _Lease(Memory):
    """What an array in such memory is a view of: gives the memory back when the last view is gone."""

    __slots__ = ()

    def __del__(self) -> None:
        global _kept
        memory: Any = self.base
        if memory.__class__ is not bytearray:  # a view of the lease itself, or a copy
            return
        size = len(memory)
        if _kept + size <= _MOST:
            _kept += size
            _free.setdefault(size, []).append(memory)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array with any contents, as ``np.empty`` makes it, in memory that an earlier one has left where there is some."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return np.empty(shape, dtype) if size < LARGE else np.ndarray(shape, dtype, _lease(size))


def empty_like(x: Array, dtype: Any = None) -> Array:
    """An array with any contents, of the shape, dtype (or another) and order in memory of ``x``, but without gaps."""
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    size = x.size * dtype.itemsize
    if size < LARGE:
        return np.empty_like(x, dtype, subok=False)
    return np.ndarray(x.shape, dtype, _lease(size), 0, _without_gaps(x.shape, x.strides, dtype.itemsize))


@lru_cache(maxsize=1024)
def _without_gaps(shape: tuple[int, ...], strides: tuple[int, ...], item: int) -> tuple[int, ...]:
    """The strides of an array whose axes have the order of these, and no gaps."""
    made, step = [0] * len(shape), item
    for axis in sorted(range(len(shape)), key=lambda axis: (abs(strides[axis]), -axis)):
        made[axis] = step
        step *= shape[axis]
    return tuple(made)


def empty_images(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array (N, C, *size) with any contents, whose channels lie last in memory."""
    item = np.dtype(dtype).itemsize
    size, strides = _channels_last(shape, item)
    return np.ndarray(shape, dtype, None if size < LARGE else _lease(size), 0, strides)


@lru_cache(maxsize=1024)
def _channels_last(shape: tuple[int, ...], item: int) -> tuple[int, tuple[int, ...]]:
    """The bytes and the strides of images whose channels lie last."""
    strides = [item * prod(shape[i + 1 :]) * shape[1] for i in range(1, len(shape))]
    return prod(shape) * item, (item * prod(shape[1:]), item, *strides[1:])


def _copy_large(x: Array) -> Array:
    out = empty(x.shape, x.dtype) if 0 in x.strides else empty_like(x)
    out[...] = x
    return out


#: What copies a large array: kernels/selection.py, which stands above this file, puts what uses all threads here.
copy_large: Callable[[Array], Array] = _copy_large


def copy(x: Array) -> Array:
    """A copy of ``x``, in its memory order, and an array also where ``x`` is a NumPy scalar."""
    if is_native(x) and x.nbytes >= LARGE:
        return copy_large(x)
    return np.copy(x) if isinstance(x, (ndarray, np.generic)) else x.copy()


def contiguous(x: Array) -> Array:
    """``np.ascontiguousarray``; a large copy lies in such memory."""
    if x.flags.c_contiguous or x.nbytes < LARGE or not is_native(x):
        return np.ascontiguousarray(x)
    out = empty(x.shape, x.dtype)
    out[...] = x
    return out


def reshape(a: Any, shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
    """``np.reshape``; a large copy, where no view has that shape, lies in such memory."""
    if a.__class__ is ndarray and order == "C" and copy is None and a.nbytes >= LARGE and not a.flags.c_contiguous:
        try:
            return a.reshape(shape, copy=False)
        except ValueError:
            return contiguous(a).reshape(shape)
    return np.reshape(a, shape, order) if copy is None else np.reshape(a, shape, order, copy=copy)  # Dask has no such argument


def _lease(size: int) -> _Lease:
    """So many bytes of memory, or a few more."""
    global _kept
    room = _room(size)
    try:
        memory = _free[room].pop()
        _kept -= room
    except (KeyError, IndexError):
        memory = bytearray(room)
        memory[-1] = -np.frombuffer(memory, _BYTE).ctypes.data % _LINE
    return _Lease(size, _BYTE, memory, memory[-1])


@lru_cache(maxsize=1024)
def _room(size: int) -> int:
    """The bytes to ask for: sizes are rounded, by at most an eighth, to those that others round to as well."""
    step = 1 << max(size.bit_length() - 4, 12)
    return -(-size // step) * step + _LINE


def release() -> None:
    """Give the memory that is kept for later back to the system."""
    global _kept
    _free.clear()
    _kept = 0
    scratch = sys.modules.get("chainrule.kernels.scratch")
    if scratch is not None:  # else no compiled function has borrowed any
        scratch.free_all()
