"""The step of an optimizer on all its parameters, given what it does to one element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array


def real(a: Array) -> Array:
    """A complex array as twice as many real numbers; another as it is."""
    return a.view(a.real.dtype) if a.dtype.kind == "c" else a


#: Maps an element's p, its gradient, its state and constants to the next p and state, both states as tuples.
Rule = Callable[[Any, Any, Any, Any], Any]


def update(
    rule: Rule, parameters: Sequence[tuple[Array, Array, tuple[Array | None, ...]]], constants: tuple[float, ...]
) -> None:
    """Do one step of ``rule`` on each element of each parameter, in place.

    Args:
        rule: what a step does to one element.
        parameters: for each its data, its gradient and its state's arrays, in which None stands for one that is 0.
        constants: first the factor of the gradient, the part of p that is added to that, and the factor of p; then the rule's.
    """
    sign, coupled, keep, *others = constants
    for data, gradient, arrays in parameters:
        p, g = _computable(data), _computable(gradient)
        g = g if sign == 1 else sign * g
        g = g + coupled * p if coupled else g
        state = tuple(0.0 if a is None else _computable(a) for a in arrays)
        new, new_state = rule(p if keep == 1 else keep * p, g, state, others)
        real(data)[...] = new
        for target, value in zip(arrays, new_state, strict=True):
            if target is not None:
                real(target)[...] = value


def _computable(a: Array) -> Array:
    """An array as what is computed in: real numbers of single precision at least."""
    a = real(a)
    return a.astype(np.float32) if a.dtype == np.float16 else a
