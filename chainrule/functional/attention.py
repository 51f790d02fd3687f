"""Attention."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native
from ..core.batched import everywhere
from ..dispatch import unwrap
from ..kernels import attention as kernel
from ..kernels.layer import dense, enabled
from ..random import generator
from .activation import softmax
from .fused import Fused


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Means of the values, weighted by how well each query meets the keys: y = softmax(scale q k^T + mask) v.

    A query that the mask lets see no key gets zeros.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, V).
        attn_mask: broadcast to (..., L, S). Of booleans: which keys each query sees; of floats: added to the scores.
        dropout_p: the probability of dropping a weight. It is not switched off by evaluation: pass 0 then.
        is_causal: whether the i-th query sees the first i keys alone.
        scale: by default 1 / sqrt(E); where E is 0, all keys are met alike.
        enable_gqa: whether the third axis from the end of query may be a multiple of that of key and value: then each
            group of as many query heads shares a head of keys and values.

    Raises:
        ValueError: the shapes don't fit, or there is both a mask and ``is_causal``.

    Source: A. Vaswani et al., Attention Is All You Need (2017); groups: J. Ainslie et al., GQA (2023).

    >>> import numpy as np, chainrule.functional as F
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> F.scaled_dot_product_attention(x, x, x, is_causal=True).round(2)
    array([[1.  , 0.  ],
           [0.33, 0.67]])
    """
    _check(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        key, value = (_shared(a, query.shape[-3]) for a in (key, value))
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"a probability is between 0 and 1, not {dropout_p}")
    scale = 1 / math.sqrt(max(1, query.shape[-1])) if scale is None else scale
    if query.dtype == np.float16:  # stored in 16 bits, computed in 32
        q, k, v = (a.astype(np.float32) for a in (query, key, value))
        return scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal, scale).astype(np.float16)
    seed = int(generator().integers(1 << 62)) if dropout_p > 0 else 0

    def composition(query: Any, key: Any, value: Any) -> tuple[Any]:
        weights = attention_weights(query, key, attn_mask, is_causal, scale)
        if dropout_p > 0:
            kept = kernel.kept(seed, weights.shape, dropout_p)
            weights = weights * (kept * weights.dtype.type(1 / (1 - dropout_p) if dropout_p < 1 else 0))
        return (weights @ value,)

    arrays = [unwrap(a) for a in (query, key, value)]
    run: Any = composition
    if _has_kernel(arrays, attn_mask):
        run = _fused(arrays[0], unwrap(attn_mask), (is_causal, scale, dropout_p, seed), composition)
    return run(query, key, value)[0]


def _has_kernel(arrays: list[Array], mask: Any) -> bool:
    query, key, value = arrays
    return (
        enabled()
        and dense(query, key, value)
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and min(a.size for a in arrays) > 0
        and (
            mask is None or (is_native(unwrap(mask)) and mask.ndim <= query.ndim and not getattr(mask, "requires_grad", False))
        )
    )


def _fused(query: Array, mask: Array | None, options: tuple[Any, ...], composition: Any) -> Fused:
    """Attention as one operation on query, key and value."""
    leading, dtype = query.shape[:-2], query.dtype
    heads = leading[-1] if leading else 1

    def by_head(a: Array) -> Array:
        """(..., T, E) as (B, H, T, E)."""
        return a if a.ndim == 4 else a.reshape(-1, heads, *a.shape[-2:])

    if mask is not None:
        added = np.where(mask, dtype.type(0), dtype.type(-np.inf)) if mask.dtype == bool else mask.astype(dtype, copy=False)
        if len(leading) > 2:
            added = np.broadcast_to(added, (*leading, *added.shape[-2:]))
        mask = by_head(added) if len(leading) > 2 else added.reshape((1,) * (4 - added.ndim) + added.shape)

    def forward(*arrays: Array) -> tuple[tuple[Array, ...], Any]:
        q, k, v = map(by_head, arrays)
        out, sums = kernel.attention(q, k, v, mask, *options)
        return (out.reshape(*leading, *out.shape[-2:]) if out.ndim != query.ndim else out,), (out, sums)

    def backward(kept: Any, arrays: tuple[Array, ...], gs: tuple[Array, ...], needed: Any) -> Iterable[Array]:
        g, q, k, v = map(by_head, (*gs, *arrays))
        out, sums = kept
        gradients = kernel.attention_backward(g, q, k, v, out, sums, mask, *options)
        return [d.reshape(a.shape) for d, a in zip(gradients, arrays, strict=True)]

    return Fused("scaled_dot_product_attention", composition, forward, backward)


def attention_weights(query: Any, key: Any, attn_mask: Any, is_causal: bool, scale: float) -> Any:
    """The weights of ``scaled_dot_product_attention``: softmax(scale q k^T + mask), (..., L, S)."""
    if query.dtype == np.float16:  # stored in 16 bits, computed in 32
        wide = attention_weights(query.astype(np.float32), key.astype(np.float32), attn_mask, is_causal, scale)
        return wide.astype(np.float16)
    scores = (query * scale) @ np.swapaxes(key, -1, -2)
    if scores.size == 0:
        return scores
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is None:
        return softmax(scores)
    mask = unwrap(attn_mask)
    sees_none = ~np.any(mask if mask.dtype == bool else mask > -np.inf, axis=-1, keepdims=True)
    if mask.dtype == bool:
        scores = np.where(mask | sees_none, scores, scores.dtype.type(-np.inf))
    else:  # so that no row is of -inf alone, whose softmax and its gradient are not numbers
        scores = scores + np.where(sees_none, mask.dtype.type(0), attn_mask)
    weights = softmax(scores)
    return weights if everywhere(~sees_none) else weights * ~sees_none


def _check(query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool) -> None:
    shapes = query.shape, key.shape, value.shape
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        raise ValueError(
            "expected query (..., L, E), key (..., S, E) and value (..., S, V), got " + ", ".join(map(str, shapes))
        )
    if attn_mask is not None and is_causal:
        raise ValueError("is_causal is a mask itself: pass it or attn_mask, not both")
    if attn_mask is not None and attn_mask.dtype.kind not in "bf":
        raise ValueError(f"attn_mask is of booleans (which keys are seen) or of floats (added), not {attn_mask.dtype}")


def _shared(a: Any, heads: int) -> Any:
    """Keys or values with each head repeated for the query heads that share it."""
    if heads % a.shape[-3]:
        raise ValueError(f"{heads} heads of queries cannot be divided into groups for {a.shape[-3]} heads of keys and values")
    return a if a.shape[-3] == heads else np.repeat(a, heads // a.shape[-3], axis=-3)
