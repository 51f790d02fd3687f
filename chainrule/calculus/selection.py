"""Functions that choose between elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..core.batched import somewhere
from ..dispatch import composite, define_rule, primitive, unwrap
from ..kernels import activation as numbers
from ..kernels.elementwise import elementwise
from ..kernels.selection import where
from .indexing import set_item


def _where(chosen: bool) -> Any:
    def gradient(g: Any, condition: Any) -> Any:
        zero = g.dtype.type(0)
        return where(condition, g, zero) if chosen else where(condition, zero, g)

    return gradient


define_rule(np.where, condition=lambda g: None, x=_where(True), y=_where(False),
            signature=lambda condition, x, y, /: None, kernel=where)  # fmt: skip

_NOTHING = np._NoValue  # type: ignore[attr-defined]


@composite(np.clip)
def _clip(a: Any, a_min: Any = _NOTHING, a_max: Any = _NOTHING, *, min: Any = _NOTHING, max: Any = _NOTHING) -> Any:
    """At a bound the gradient is shared with it, as by ``np.maximum``; a constant bound leaves it whole."""
    low = min if a_min is _NOTHING else a_min
    high = max if a_max is _NOTHING else a_max
    if a.dtype.kind == "f" and low.__class__ in _NUMBERS and high.__class__ in _NUMBERS:
        return _between(a, -np.inf if low in _UNBOUNDED else low, np.inf if high in _UNBOUNDED else high)
    if low is not _NOTHING and low is not None:
        a = _bounded(a, low, np.maximum, np.less)
    if high is not _NOTHING and high is not None:
        a = _bounded(a, high, np.minimum, np.greater)
    return a


_UNBOUNDED = (None, _NOTHING)
_NUMBERS = frozenset({int, float, *map(type, _UNBOUNDED)})


@primitive
@elementwise(numbers.hardtanh)
def _between(a: Any, low: float, high: float) -> Any:
    return np.minimum(np.maximum(a, low), high)


@elementwise(numbers.clip_gradient, arrays=2)
def _between_gradient(g: Any, a: Any, low: float, high: float) -> Any:
    return g * ((a >= low) & (a <= high))


define_rule(_between, a=lambda g, a, low, high: _between_gradient(g, a, low, high))


def _bounded(a: Any, bound: Any, extremum: Any, beyond: Any) -> Any:
    if getattr(bound, "requires_grad", False):
        return extremum(a, bound)
    bound = a.dtype.type(bound) if isinstance(bound, (int, float)) else bound
    return np.where(beyond(a, bound), bound, a)


@composite(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"np.select: {len(condlist)} conditions for {len(choicelist)} choices")
    made = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        condition = as_array(unwrap(condition))
        if condition.dtype != np.bool_:
            raise TypeError(f"np.select: conditions must be arrays of booleans, not of {condition.dtype}")
        made = np.where(condition, choice, made)
    return made


@composite(np.choose)
def _choose(a: Any, choices: Sequence[Any], mode: str = "raise") -> Any:
    a, n = as_array(unwrap(a)), len(choices)
    if mode == "raise" and somewhere((a < 0) | (a >= n)):
        raise ValueError(f"np.choose: the array has an index outside the {n} choices; see the argument mode")
    a = a % n if mode == "wrap" else np.clip(a, 0, n - 1)
    made = choices[0]
    for k in range(1, n):
        made = np.where(a == k, choices[k], made)
    return np.broadcast_to(made, np.broadcast_shapes(a.shape, *(np.shape(c) for c in choices)))


@composite(np.compress)
def _compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return np.take(as_array(a), np.flatnonzero(condition), axis=axis)


@composite(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return np.take(as_array(arr), np.flatnonzero(condition))


@composite(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Each function is called with the elements of its own condition alone."""
    condlist = unwrap(condlist)
    if np.ndim(condlist) == 0 or (np.ndim(condlist[0]) == 0 and x.ndim != 0):
        condlist = [condlist]
    pieces = list(np.asarray(condlist, dtype=bool))
    if len(pieces) == len(funclist) - 1:
        pieces.append(~np.any(pieces, axis=0))
    if len(pieces) != len(funclist):
        raise ValueError(f"np.piecewise: {len(pieces)} conditions for {len(funclist)} functions")
    made: Any = np.zeros_like(x)
    for piece, function in zip(pieces, funclist, strict=True):
        if not isinstance(function, Callable):  # type: ignore[arg-type]
            made = set_item(made, piece, function)
        elif somewhere(piece):
            made = set_item(made, piece, function(x[piece], *args, **kw))
    return made
