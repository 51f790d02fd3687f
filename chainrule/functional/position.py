"""Where an element stands in its sequence: sinusoidal and rotary positions, and linear biases of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap


def frequencies(dim: int, base: float = 10000.0) -> Array:
    """How fast each pair of ``dim`` elements turns, in radians per position: base^(-2i/dim), (dim / 2,)."""
    if dim % 2:
        raise ValueError(f"positions are written into pairs of elements, so that their number is even, not {dim}")
    return base ** (-np.arange(0, dim, 2) / dim)


def sinusoidal_positions(length: int, dim: int, base: float = 10000.0) -> Array:
    """Positions as waves: P[t, 2i] = sin(t base^(-2i/dim)) and P[t, 2i+1] = cos(t base^(-2i/dim)).

    Returns (length, dim), float32, to be added to what stands at each position.

    Raises:
        ValueError: ``dim`` is odd.

    Source: A. Vaswani et al., Attention Is All You Need (2017).

    >>> import chainrule.functional as F
    >>> F.sinusoidal_positions(2, 4).round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.84, 0.54, 0.01, 1.  ]], dtype=float32)
    """
    angles = np.arange(length)[:, None] * frequencies(dim, base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype(np.float32)


def rotary_positions(input: Any, positions: Any = None, base: float = 10000.0, interleaved: bool = True) -> Any:
    """Turn pairs of elements by an angle that grows with their position, so that products know of distances alone.

    The i-th pair (a, b) at position t becomes (a cos u - b sin u, a sin u + b cos u), with u = t base^(-2i/E).

    Args:
        input: (..., T, E), queries or keys.
        positions: (T,) or broadcast to (..., T); by default 0, 1, ...
        base: sets the slowest pair's speed.
        interleaved: whether the i-th pair is of the elements 2i and 2i+1, or of i and i + E/2.

    Raises:
        ValueError: E is odd.

    Source: J. Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding (2021).

    >>> import numpy as np, chainrule.functional as F
    >>> F.rotary_positions(np.array([[1.0, 0.0], [1.0, 0.0]])).round(2)
    array([[1.  , 0.  ],
           [0.54, 0.84]])
    """
    at = np.arange(input.shape[-2]) if positions is None else np.asarray(unwrap(positions))
    angles = at[..., None] * frequencies(input.shape[-1], base)
    return rotate(input, np.cos(angles).astype(input.dtype), np.sin(angles).astype(input.dtype), interleaved)


@primitive
def rotate(x: Array, cos: Array, sin: Array, interleaved: bool) -> Array:
    """Turn pairs of elements by angles of which the cosine and the sine are given; see ``rotary_positions``."""
    half = x.shape[-1] // 2
    first, second = (slice(0, None, 2), slice(1, None, 2)) if interleaved else (slice(half), slice(half, None))
    a, b = x[..., first], x[..., second]
    y = np.empty(x.shape, x.dtype)
    y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
    return y


define_rule(rotate, x=lambda g, cos, sin, interleaved: rotate(g, cos, -sin, interleaved), linear="jointly")


def alibi_slopes(num_heads: int) -> Array:
    """How fast each head's attention falls with distance: 2^(-8/n), 2^(-16/n), ... for n heads, a power of two.

    For another number of heads, they are those of the next lower power of two, and then every other one of the next higher.

    Source: O. Press, N. A. Smith, M. Lewis, Train Short, Test Long: Attention with Linear Biases (2021).

    >>> import chainrule.functional as F
    >>> F.alibi_slopes(4)
    array([0.25      , 0.0625    , 0.015625  , 0.00390625], dtype=float32)
    """
    power = 1 << (num_heads.bit_length() - 1)
    slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    more = 2.0 ** (-4 * np.arange(1, 2 * (num_heads - power), 2) / power)
    return np.concatenate([slopes, more]).astype(np.float32)


def alibi_bias(num_heads: int, query_length: int, key_length: int) -> Array:
    """What attention with linear biases adds to the scores: -slope |i - j| for query i and key j.

    Where there are fewer queries than keys, the queries are the last positions. Returns (heads, L, S), for
    ``scaled_dot_product_attention(attn_mask=...)``; for a causal model, make what lies ahead -inf in it.

    Source: O. Press, N. A. Smith, M. Lewis, Train Short, Test Long: Attention with Linear Biases (2021).

    >>> import chainrule.functional as F
    >>> F.alibi_bias(8, 2, 3)[0]
    array([[-0.5, -0. , -0.5],
           [-1. , -0.5, -0. ]], dtype=float32)
    """
    query = np.arange(key_length - query_length, key_length, dtype=np.float32)
    distance = np.abs(query[:, None] - np.arange(key_length, dtype=np.float32))
    return -alibi_slopes(num_heads)[:, None, None] * distance
