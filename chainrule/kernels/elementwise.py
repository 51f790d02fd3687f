"""Element-wise kernels: a loop over a function of numbers, for arrays that are contiguous in any order of their axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.arrays import Array
from .layer import Compiled, Kernel, dense, exact, kernel, parallel_for
from .memory import empty, empty_like

_BLOCK = 16384
#: Elements from which on a compiled loop is faster than NumPy's.
_LEAST = 2048


def elementwise(function: Compiled, arrays: int = 1) -> Callable[[Callable[..., Array]], Kernel]:
    """Declare a kernel by its NumPy reference, whose compiled version is a loop over ``function``.

    Args:
        function: of numbers, declared by ``inlined``; the same arguments as the reference's.
        arrays: how many of the first arguments are arrays, of one shape. The others are numbers, and get the arrays' dtype.
    """
    loop = _loop_of_one(function) if arrays == 1 else _loop_of_two(function)

    def declare(reference: Callable[..., Array]) -> Kernel:
        def pays(*args: Any) -> bool:
            return args[0].size >= _LEAST and dense(*args[:arrays]) and (arrays == 1 or args[0].shape == args[1].shape)

        def compiled(*args: Any) -> Array:
            number = args[0].dtype.type
            flat, out, flat_out = flattened(args[:arrays], args[arrays - 1])
            loop(*flat, flat_out, tuple(number(p) for p in args[arrays:]))
            return out

        return kernel(reference).compiled(when=pays)(compiled)

    return declare


def flattened(arrays: tuple[Array, ...], like: Array) -> tuple[list[Array], Array, Array]:
    """The arrays in one dimension, in one's order in memory; a new array like that one, and it in one dimension.

    They are copied only where they lie otherwise.
    """
    if all(a.flags.c_contiguous for a in arrays):
        out = empty(like.shape, like.dtype)
        return [a.reshape(-1) for a in arrays], out, out.reshape(-1)
    out = empty_like(like)
    order = sorted(range(out.ndim), key=lambda axis: -out.strides[axis])
    return [a.transpose(order).reshape(-1) for a in arrays], out, out.transpose(order).reshape(-1)


def _loop_of_one(function: Compiled) -> Compiled:
    def block(x: Any, out: Any, numbers: Any, start: int, stop: int) -> None:
        x, out = x[start:stop], out[start:stop]
        for i in range(len(out)):
            out[i] = function(x[i], *numbers)

    on_block = _named(block, function)

    def loop(x: Any, out: Any, numbers: Any) -> None:
        parallel_for(on_block, (x, out, numbers), len(out), _BLOCK)

    return _named(loop, function)


def _loop_of_two(function: Compiled) -> Compiled:
    def block(x: Any, y: Any, out: Any, numbers: Any, start: int, stop: int) -> None:
        x, y, out = x[start:stop], y[start:stop], out[start:stop]
        for i in range(len(out)):
            out[i] = function(x[i], y[i], *numbers)

    on_block = _named(block, function)

    def loop(x: Any, y: Any, out: Any, numbers: Any) -> None:
        parallel_for(on_block, (x, y, out, numbers), len(out), _BLOCK)

    return _named(loop, function)


def _named(loop: Callable[..., None], function: Any) -> Compiled:
    """A loop under the name of what it calls: what is kept on disk is told apart by names."""
    loop.__qualname__ = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}.{loop.__name__}"
    return exact(loop)
