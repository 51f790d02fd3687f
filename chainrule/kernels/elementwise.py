"""Element-wise kernels: a loop over a function of numbers, for arrays that are contiguous in any order of their axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.arrays import Array
from ..core.memory import empty, empty_like
from .layer import Compiled, Kernel, dense, exact, kernel, parallel_for

_BLOCK = 16384
#: Elements from which on a compiled loop is faster than NumPy's.
_LEAST = 2048


def elementwise(function: Compiled, arrays: int = 1) -> Callable[[Callable[..., Array]], Kernel]:
    """Declare a kernel by its NumPy reference, whose compiled version is a loop over ``function``.

    Args:
        function: of numbers, declared by ``inlined``; the same arguments as the reference's.
        arrays: how many of the first arguments are arrays, of one shape; the others are numbers, and get the arrays' dtype.
            Where the first of several is one number for all elements, as the gradient that comes from a mean is, it is not read
            for each.
    """
    loop, loop_of_uniform = _loop(function, arrays, False), _loop(function, arrays, True)

    def declare(reference: Callable[..., Array]) -> Kernel:
        def pays(first: Any, *args: Any) -> bool:
            if first.size < _LEAST or not dense(first, *args[: arrays - 1]):
                return False
            return arrays == 1 or all(other.shape == first.shape for other in args[: arrays - 1])

        def compiled(*args: Any) -> Array:
            given, numbers = args[:arrays], args[arrays:]
            if numbers:
                numbers = tuple(map(given[0].dtype.type, numbers))
            if arrays > 1 and not any(given[0].strides):
                flat, out, flat_out = flattened(given[1:], given[-1])
                loop_of_uniform(given[0][(0,) * given[0].ndim], *flat, flat_out, numbers)
            else:
                flat, out, flat_out = flattened(given, given[-1])
                loop(*flat, flat_out, numbers)
            return out

        return kernel(reference).compiled(when=pays)(compiled)

    return declare


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


_LOOP = """
def block({names}, out, numbers, start, stop):
    {sliced} = {slices}
    for i in range(len(out)):
        out[i] = function({items}, *numbers)

def loop({names}, out, numbers):
    parallel_for(on_block, ({names}, out, numbers), len(out), max({block}, len(out) // 16))
"""


def _loop(function: Any, arrays: int, uniform: bool) -> Compiled:
    """The loop over so many arrays, of which the first may be one number instead; its code is generated."""
    names = [f"x{k}" for k in range(arrays)]
    running = [*names[uniform:], "out"]
    source = _LOOP.format(
        names=", ".join(names),
        sliced=", ".join(running),
        slices=", ".join(f"{name}[start:stop]" for name in running),
        items=", ".join(f"{name}[i]" if name in running else name for name in names),
        block=_BLOCK,
    )
    scope = {"function": function, "parallel_for": parallel_for, "__name__": __name__}
    exec(compile(source, __file__, "exec"), scope)
    for name in ("block", "loop"):  # what is kept on disk is told apart by names
        of = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        scope[name].__qualname__ = f"{of}.{name}{'_of_uniform' if uniform else ''}"
    scope["on_block"] = exact(scope["block"])
    return exact(scope["loop"])
