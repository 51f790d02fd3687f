"""Attention with several heads, each on its own projections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .attention import attention_weights, scaled_dot_product_attention
from .dropout import dropout
from .linear import linear


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """``nn.MultiheadAttention`` on weights that are given: the output, and the attention's weights or None.

    Args:
        query: (L, N, E), or (L, E).
        key: (S, N, its length).
        value: (S, N, its length).
        embed_dim_to_check: E.
        num_heads: into how many heads E is divided.
        in_proj_weight: (3 E, E), that of queries, keys and values below each other.
        in_proj_bias: (3 E,), or None.
        bias_k, bias_v: a key and a value that stand after the others, (1, 1, E), or None.
        add_zero_attn: whether a key and value of zeros stand there.
        dropout_p: the probability of dropping a weight, in training.
        out_proj_weight: (E, E).
        out_proj_bias: (E,), or None.
        training: whether weights are dropped.
        key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal: as of ``nn.MultiheadAttention``.
        use_separate_proj_weight: whether the three weights that follow stand for ``in_proj_weight``.
        q_proj_weight, k_proj_weight, v_proj_weight: (E, length of the query, key or value).
        static_k, static_v: keys and values as they are to be, (N heads, S, E / heads), for the projected ones.

    Raises:
        ValueError: shapes do not fit.

    Source: A. Vaswani et al., Attention Is All You Need (2017).

    >>> import numpy as np, chainrule.functional as F
    >>> x, w = np.eye(4)[:, None], np.eye(4)
    >>> y, weights = F.multi_head_attention_forward(x, x, x, 4, 2, np.tile(w, (3, 1)), None, None, None, False, 0.0, w, None)
    >>> y.shape, weights.shape
    ((4, 1, 4), (1, 4, 4))
    """
    if query.shape[-1] != embed_dim_to_check:
        raise ValueError(f"expected queries of length {embed_dim_to_check}, got {query.shape}")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    y, weights = attend(
        (query, key, value), num_heads, separate if use_separate_proj_weight else (in_proj_weight,), in_proj_bias,
        extra=(bias_k, bias_v), add_zero_attn=add_zero_attn, static=(static_k, static_v),
        key_padding_mask=key_padding_mask, attn_mask=attn_mask, is_causal=is_causal,
        dropout_p=dropout_p if training else 0.0, need_weights=need_weights, average_attn_weights=average_attn_weights,
    )  # fmt: skip
    return linear(y, out_proj_weight, out_proj_bias), weights


def attend(
    sequences: Sequence[Any],
    heads: int,
    weights: Sequence[Any],
    bias: Any,
    *,
    extra: tuple[Any, Any] = (None, None),
    add_zero_attn: bool = False,
    static: tuple[Any, Any] = (None, None),
    key_padding_mask: Any = None,
    attn_mask: Any = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    """The heads' results side by side, as the query but not yet projected, and the attention's weights or None.

    Args:
        sequences: query, key and value.
        weights: one for all three, or one each.
        batch_first: whether the sequences are (N, L, E) instead of (L, N, E).
    """
    unbatched = sequences[0].ndim == 2
    _check(sequences, weights, batch_first)
    same = sequences[0] is sequences[1] is sequences[2]
    if unbatched:
        sequences = [s[None] for s in sequences]
        key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
    elif not batch_first:
        sequences = [np.swapaxes(s, 0, 1) for s in sequences]
    q, k, v = _projected(sequences[:1] if same else sequences, weights, bias)  # (N, L or S, E)
    n, length, e = q.shape
    added = 0
    if extra[0] is not None and extra[1] is not None:
        k, v = (np.concatenate([s, np.broadcast_to(row, (n, 1, e))], axis=1) for s, row in zip((k, v), extra, strict=True))
        added += 1
    q, k, v = (np.swapaxes(np.reshape(s, (n, s.shape[1], heads, e // heads)), 1, 2) for s in (q, k, v))
    k, v = (
        s if given is None else np.reshape(given, (n, heads, -1, e // heads)) for s, given in zip((k, v), static, strict=True)
    )  # (N, heads, L or S, E / heads)
    if add_zero_attn:
        k, v = (np.concatenate([s, np.zeros((n, heads, 1, e // heads), s.dtype)], axis=2) for s in (k, v))
        added += 1
    keys = k.shape[2] - added
    if is_causal and (added or key_padding_mask is not None):
        attn_mask, is_causal = ~np.tri(length, keys, dtype=bool), False
    mask = None if is_causal else _mask(attn_mask, key_padding_mask, (n, heads, length, keys), added, q.dtype)
    if need_weights:
        scores = dropout(attention_weights(q, k, mask, is_causal, 1 / math.sqrt(e // heads)), dropout_p)
        y = scores @ v
        scores = np.mean(scores, axis=1) if average_attn_weights else scores
        scores = scores[0] if unbatched else scores
    else:
        y, scores = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal), None
    y = np.reshape(np.swapaxes(y, 1, 2), (n, length, e))
    return y[0] if unbatched else y if batch_first else np.swapaxes(y, 0, 1), scores


def _check(sequences: Sequence[Any], weights: Sequence[Any], batch_first: bool) -> None:
    query, key, value = sequences
    if query.ndim not in (2, 3):
        raise ValueError(f"expected a query of two axes, or of three with the batch, got {query.shape}")
    lengths = [w.shape[1] for w in (weights if len(weights) == 3 else [*weights] * 3)]
    batch = 0 if batch_first else 1
    fits = all(
        s.ndim == query.ndim and s.shape[-1] == e and (s.ndim == 2 or s.shape[batch] == query.shape[batch])
        for s, e in zip(sequences, lengths, strict=True)
    )
    if not fits or key.shape[:-1] != value.shape[:-1]:
        axes = ("", "") if query.ndim == 2 else ("N, ", "") if batch_first else ("", "N, ")
        expected = [f"({axes[0]}{t}, {axes[1]}{e})" for t, e in zip("LSS", lengths, strict=True)]
        raise ValueError(f"expected query, key and value {', '.join(expected)}, got {query.shape}, {key.shape}, {value.shape}")


def _projected(sequences: Sequence[Any], weights: Sequence[Any], bias: Any) -> list[Any]:
    """Queries, keys and values from one sequence or three, each (N, L or S, E)."""
    e = weights[0].shape[0] // (1 if len(weights) == 3 else 3)
    thirds = [slice(i * e, (i + 1) * e) for i in range(3)]
    if len(sequences) == len(weights) == 1:
        y = linear(sequences[0], weights[0], bias)
        return [y[..., third] for third in thirds]
    weights = weights if len(weights) == 3 else [weights[0][third] for third in thirds]
    biases = [None if bias is None else bias[third] for third in thirds]
    sequences = [*sequences] * (3 // len(sequences))
    return [linear(s, w, b) for s, w, b in zip(sequences, weights, biases, strict=True)]


def _mask(attn_mask: Any, key_padding_mask: Any, shape: tuple[int, int, int, int], added: int, dtype: np.dtype[Any]) -> Any:
    """Both masks as one, broadcast to (N, heads, L, S + added), in the terms of ``scaled_dot_product_attention``."""
    n, heads, length, keys = shape
    masks = []
    if attn_mask is not None:
        if attn_mask.shape not in ((length, keys), (n * heads, length, keys)):
            raise ValueError(
                f"expected attn_mask (L, S) = ({length}, {keys}) or (N heads, L, S) = ({n * heads}, {length}, {keys}), "
                f"got {attn_mask.shape}"
            )
        masks.append(attn_mask if attn_mask.ndim == 2 else np.reshape(attn_mask, shape))
    if key_padding_mask is not None:
        if key_padding_mask.shape != (n, keys):
            raise ValueError(f"expected key_padding_mask (N, S) = ({n}, {keys}), got {key_padding_mask.shape}")
        masks.append(key_padding_mask[:, None, None])
    if not masks:
        return None
    if all(mask.dtype == bool for mask in masks):
        hidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
    else:
        hidden = sum(np.where(m, dtype.type(-np.inf), dtype.type(0)) if m.dtype == bool else m for m in masks)
    if added:
        hidden = np.concatenate([hidden, np.zeros((*hidden.shape[:-1], added), hidden.dtype)], axis=-1)
    return ~hidden if hidden.dtype == bool else hidden
