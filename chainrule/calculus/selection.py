"""Functions that choose between elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.dispatch import composite, define_rule


def _where(chosen: bool) -> Any:
    def gradient(g: Any, condition: Any) -> Any:
        zero = np.zeros((), g.dtype)
        return np.where(condition, g, zero) if chosen else np.where(condition, zero, g)

    return gradient


define_rule(np.where, condition=lambda g: None, x=_where(True), y=_where(False),
            signature=lambda condition, x, y: None)  # fmt: skip

_NOTHING = np._NoValue  # type: ignore[attr-defined]


@composite(np.clip)
def _clip(a: Any, a_min: Any = _NOTHING, a_max: Any = _NOTHING, *, min: Any = _NOTHING, max: Any = _NOTHING) -> Any:
    """At a bound the gradient is shared with it, as by ``np.maximum``; a constant bound leaves it whole."""
    low = min if a_min is _NOTHING else a_min
    high = max if a_max is _NOTHING else a_max
    if low is not _NOTHING and low is not None:
        a = _bounded(a, low, np.maximum, np.less)
    if high is not _NOTHING and high is not None:
        a = _bounded(a, high, np.minimum, np.greater)
    return a


def _bounded(a: Any, bound: Any, extremum: Any, beyond: Any) -> Any:
    if getattr(bound, "requires_grad", False):
        return extremum(a, bound)
    bound = np.asarray(bound, a.dtype) if isinstance(bound, (int, float)) else bound
    return np.where(beyond(a, bound), bound, a)
