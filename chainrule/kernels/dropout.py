"""Dropout, from a generator that computes each element's random number from its place: on any number of threads, the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .elementwise import flattened
from .layer import compiled, dense, inlined, kernel, parallel_for

LEAST = 2048  # elements from which on this pays
_BLOCK = 16384
_QUARTER = _BLOCK // 4

# Of Philox4x32-10. Source: J. Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011).
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_STEPS = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FIRST, _SECOND = np.uint64(_MULTIPLIERS[0]), np.uint64(_MULTIPLIERS[1])
_KEY_FIRST, _KEY_SECOND = np.uint64(_STEPS[0]), np.uint64(_STEPS[1])


def philox(counter: Any, key: Any) -> tuple[Any, Any, Any, Any]:
    """Four numbers of 32 random bits for a number that says where, and a key; in 64 bits each, on numbers or arrays."""
    a, b, c, d = counter & _LOW, counter >> _HALF, np.uint64(0), np.uint64(0)
    k, l = key & _LOW, key >> _HALF
    for _ in range(10):
        first, second = a * _FIRST, c * _SECOND
        a, b, c, d = (second >> _HALF) ^ b ^ k, second & _LOW, (first >> _HALF) ^ d ^ l, first & _LOW
        k, l = (k + _KEY_FIRST) & _LOW, (l + _KEY_SECOND) & _LOW
    return a, b, c, d


@kernel
def kept(size: int, limit: int, key: int) -> Array:
    """Whether each of ``size`` elements is kept: its 32 random bits are no less than ``limit``."""
    counters = np.arange(-(-size // _BLOCK) * _QUARTER, dtype=np.uint64).reshape(-1, _QUARTER)
    return (np.stack(philox(counters, np.uint64(key)), axis=1) >= np.uint64(limit)).reshape(-1)[:size]


_philox = inlined(philox)


@compiled
def _kept_block(out: Any, limit: Any, key: Any, start: int, stop: int) -> None:
    whole = np.empty(_BLOCK, np.bool_)
    counter = np.uint64(start // 4)
    first, second, third, fourth = whole[:_QUARTER], whole[_QUARTER:], whole[2 * _QUARTER :], whole[3 * _QUARTER :]
    for i in range(_QUARTER):
        a, b, c, d = _philox(counter + np.uint64(i), key)
        first[i], second[i], third[i], fourth[i] = a >= limit, b >= limit, c >= limit, d >= limit
    out[start:stop] = whole[: stop - start]


@compiled
def _kept(out: Any, limit: Any, key: Any) -> None:
    parallel_for(_kept_block, (out, limit, key), len(out), _BLOCK)


@kept.compiled(when=lambda size, limit, key: size >= LEAST)
def _(size: int, limit: int, key: int) -> Array:
    out = empty((size,), np.bool_)
    _kept(out, np.uint64(limit), np.uint64(key))
    return out


def masked(x: Array, mask: Array, scale: float) -> Array:
    """Scale x where ``mask``, else 0; compiled."""
    (flat, flat_mask), out, flat_out = flattened((x, mask), x)
    _masked(flat, flat_mask, x.dtype.type(scale), flat_out)
    return out


def masked_pays(x: Any, mask: Any, scale: float) -> bool:
    """Whether the compiled version is right for these arguments and faster."""
    return dense(x) and x.size >= LEAST and x.shape == mask.shape and mask.__class__ is np.ndarray


@compiled
def _masked_block(x: Any, mask: Any, scale: Any, out: Any, start: int, stop: int) -> None:
    x, mask, out = x[start:stop], mask[start:stop], out[start:stop]
    zero = x.dtype.type(0)
    for i in range(len(out)):
        out[i] = scale * x[i] if mask[i] else zero


@compiled
def _masked(x: Any, mask: Any, scale: Any, out: Any) -> None:
    parallel_for(_masked_block, (x, mask, scale, out), len(out), _BLOCK)
