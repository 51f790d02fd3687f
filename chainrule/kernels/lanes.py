"""Steps of algorithms that go through several small problems side by side, a row of numbers for each variable.

This module imports Numba and is imported when a kernel that calls them is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import Vectors

#: Problems side by side.
LANES = 16


@intrinsic
def subtract_product(typingctx: Any, like: Any, place: Any, factor: Any, other: Any) -> Any:
    """Subtract factor * other from a row of ``LANES`` numbers, all at addresses; ``like`` is an array of their dtype."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = Vectors(builder, like.dtype)
        for part in range(0, LANES * v.size, v.lanes * v.size):
            taken, x, y = (v.load(at, part) for at in args[1:])
            v.store(v.multiply_add(builder.fneg(x), y, taken), args[1], part)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp), codegen


@intrinsic
def exchange(typingctx: Any, like: Any, first: Any, second: Any, which: Any) -> Any:
    """Exchange two rows of ``LANES`` numbers where a third one is above zero, all at addresses."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = Vectors(builder, like.dtype)
        zero = ir.Constant(v.vector, None)
        for part in range(0, LANES * v.size, v.lanes * v.size):
            x, y, chosen = (v.load(at, part) for at in args[1:])
            swap = builder.fcmp_ordered(">", chosen, zero)
            v.store(builder.select(swap, y, x), args[1], part)
            v.store(builder.select(swap, x, y), args[2], part)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp), codegen
