"""Padding: constants, or the array continued, before and after each axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive
from ..kernels.resampling import Taps
from .resampling import along_axes

#: What NumPy calls the modes that continue the array.
_CONTINUED: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Extend the last axes before their first and after their last element, or with negative numbers cut them.

    Args:
        input: any shape.
        pad: (before, after) of the last axis, then of the one before it, and so on.
        mode: ``"constant"``; ``"reflect"`` for a mirror upon the outermost element, ``"replicate"`` for that element again,
            ``"circular"`` for the other end.
        value: of ``"constant"``; by default 0.

    Raises:
        ValueError: ``pad`` has an odd length or more pairs than there are axes, or is longer than the array can be continued.

    >>> import numpy as np, chainrule.functional as F
    >>> F.pad(np.array([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    array([3., 2., 1., 2., 3., 2.])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected 2 numbers for each of at most {input.ndim} axes of {input.shape}, got {tuple(pad)}")
    if mode != "constant" and mode not in _CONTINUED:
        raise ValueError(f"pad: mode is 'constant', 'reflect', 'replicate' or 'circular', not {mode!r}")
    if mode != "constant" and value not in (None, 0):
        raise ValueError(f"pad: a value is for mode 'constant', not {mode!r}")
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if any(n + before + after < 0 for n, (before, after) in zip(input.shape, pairs, strict=True)):
        raise ValueError(f"pad: {tuple(pad)} cuts more off {input.shape} than there is")
    if any(n < 0 for n in pad) and mode != "replicate":  # which continues what is cut off
        kept = (slice(max(0, -before), n + min(0, after)) for n, (before, after) in zip(input.shape, pairs, strict=True))
        input = input[tuple(kept)]
        pairs = [(max(0, before), max(0, after)) for before, after in pairs]
    if mode == "constant":
        return _surrounded(input, tuple(pairs), value or 0.0) if any(map(any, pairs)) else input
    for axis, (n, pair) in enumerate(zip(input.shape, pairs, strict=True)):
        longest = {"reflect": n - 1, "circular": n, "replicate": np.inf if n else 0}[mode]
        if max(pair) > max(0, longest):
            raise ValueError(f"pad: mode {mode!r} continues axis {axis} of {input.shape} by at most {longest}, not {pair}")
    taps = tuple(_continued(n, pair, mode) if any(pair) else None for n, pair in zip(input.shape, pairs, strict=True))
    return along_axes(input, taps) if any(taps) else input


@lru_cache(maxsize=256)
def _continued(n: int, pair: tuple[int, int], mode: str) -> Taps:
    before, after = pair
    index = np.pad(np.arange(n), (max(0, before), max(0, after)), _CONTINUED[mode])
    index = index[max(0, -before) : len(index) + min(0, after)]
    return Taps(n, np.arange(len(index) + 1), index, np.ones(len(index)))


@primitive
def _surrounded(x: Array, pairs: tuple[tuple[int, int], ...], value: float) -> Array:
    """``x`` among constants, in its order of memory."""
    shape = [before + n + after for n, (before, after) in zip(x.shape, pairs, strict=True)]
    y = np.full_like(x, value, shape=shape)
    y[_interior(x.shape, pairs)] = x
    return y


def _interior(shape: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, pairs, strict=True))


define_rule(_surrounded, ignores=("value",), x=lambda g, x_shape, pairs: g[_interior(x_shape, pairs)])
