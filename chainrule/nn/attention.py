"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from ..functional.attention import attention_weights
from . import init
from .linear import Linear
from .module import Module


class MultiheadAttention(Module):
    """Attention of several heads side by side, each on its own projections of queries, keys and values.

    head_i = softmax(Q_i K_i^T / sqrt(E / heads)) V_i with Q_i, K_i, V_i affine maps of query, key and value; the output is an
    affine map of all heads together.

    Args:
        embed_dim: E.
        num_heads: into how many heads it is divided.
        dropout: the probability of dropping a weight, in training.
        bias: whether the maps have one.
        add_bias_kv: whether a learned key and value stand after the others.
        add_zero_attn: whether a key and value of zeros stand there.
        kdim: the keys' length, by default E.
        vdim: the values' length, by default E.
        batch_first: whether batches are (N, L, E) instead of (L, N, E).

    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim), or the three without N; output as query.

    Raises:
        ValueError: ``embed_dim`` cannot be divided into ``num_heads``.

    Source: A. Vaswani et al., Attention Is All You Need (2017).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> x = np.zeros((2, 5, 8), np.float32)
    >>> y, weights = nn.MultiheadAttention(8, 4, batch_first=True)(x, x, x)
    >>> y.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ):
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} cannot be divided into {num_heads} heads")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.head_dim, self.add_zero_attn = embed_dim // num_heads, add_zero_attn

        def parameter(*shape: int) -> Parameter:
            return Parameter(np.empty(shape, np.float32))

        together = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = parameter(3 * embed_dim, embed_dim) if together else None
        self.q_proj_weight = None if together else parameter(embed_dim, embed_dim)
        self.k_proj_weight = None if together else parameter(embed_dim, self.kdim)
        self.v_proj_weight = None if together else parameter(embed_dim, self.vdim)
        self.in_proj_bias = parameter(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        self.bias_k = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Return the output, and the weights or None.

        Args:
            query: (L, N, E).
            key: (S, N, kdim).
            value: (S, N, vdim).
            key_padding_mask: (N, S). Of booleans: which keys are *not* seen; of floats: added to the scores.
            need_weights: whether to return the weights, (N, L, S). Without them it is faster.
            attn_mask: (L, S) or (N heads, L, S), likewise.
            average_attn_weights: whether the weights are the heads' mean; else they are (N, heads, L, S).
            is_causal: whether the i-th query sees the first i keys alone; ``attn_mask`` is then not looked at.
        """
        unbatched = query.ndim == 2
        sequences = [query] if key is query and value is query else [query, key, value]
        self._check(query, key, value)
        if unbatched:
            sequences = [s[None] for s in sequences]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            sequences = [np.swapaxes(s, 0, 1) for s in sequences]
        q, k, v = self._projected(sequences)  # (N, L or S, E)
        n, length, _ = q.shape
        added = 0
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (
                np.concatenate([s, np.broadcast_to(row, (n, 1, self.embed_dim))], axis=1)
                for s, row in ((k, self.bias_k), (v, self.bias_v))
            )
            added += 1
        if self.add_zero_attn:
            k, v = (np.concatenate([s, np.zeros((n, 1, self.embed_dim), s.dtype)], axis=1) for s in (k, v))
            added += 1
        q, k, v = (
            np.swapaxes(np.reshape(s, (n, s.shape[1], self.num_heads, self.head_dim)), 1, 2) for s in (q, k, v)
        )  # (N, heads, L or S, head_dim)
        if is_causal and (added or key_padding_mask is not None):
            attn_mask, is_causal = ~np.tri(length, k.shape[2] - added, dtype=bool), False
        mask = None if is_causal else self._mask(attn_mask, key_padding_mask, (n, length, k.shape[2] - added), added, q.dtype)
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask, is_causal, 1 / math.sqrt(self.head_dim)), dropout)
            y = weights @ v
            weights = np.mean(weights, axis=1) if average_attn_weights else weights
            weights = weights[0] if unbatched else weights
        else:
            y, weights = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal), None
        y = self.out_proj(np.reshape(np.swapaxes(y, 1, 2), (n, length, self.embed_dim)))
        return y[0] if unbatched else y if self.batch_first else np.swapaxes(y, 0, 1), weights

    def _check(self, query: Any, key: Any, value: Any) -> None:
        if query.ndim not in (2, 3):
            raise ValueError(f"expected a query of two axes, or of three with the batch, got {query.shape}")
        lengths = (self.embed_dim, self.kdim, self.vdim)
        batch = 0 if self.batch_first else 1
        fits = all(
            s.ndim == query.ndim and s.shape[-1] == e and (s.ndim == 2 or s.shape[batch] == query.shape[batch])
            for s, e in zip((query, key, value), lengths, strict=True)
        )
        if not fits or key.shape[:-1] != value.shape[:-1]:
            axes = ("", "") if query.ndim == 2 else ("N, ", "") if self.batch_first else ("", "N, ")
            expected = [f"({axes[0]}{t}, {axes[1]}{e})" for t, e in zip("LSS", lengths, strict=True)]
            raise ValueError(
                f"expected query, key and value {', '.join(expected)}, got {query.shape}, {key.shape}, {value.shape}"
            )

    def _projected(self, sequences: list[Any]) -> list[Any]:
        """Queries, keys and values from one sequence or three, each (N, L or S, E)."""
        e = self.embed_dim
        if len(sequences) == 1:
            y = F.linear(sequences[0], self.in_proj_weight, self.in_proj_bias)
            return [y[..., i * e : (i + 1) * e] for i in range(3)]
        weights: list[Any]
        if self.in_proj_weight is not None:
            weights = [self.in_proj_weight[i * e : (i + 1) * e] for i in range(3)]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if self.in_proj_bias is None else self.in_proj_bias[i * e : (i + 1) * e] for i in range(3)]
        return [F.linear(s, w, b) for s, w, b in zip(sequences, weights, biases, strict=True)]

    def _mask(
        self, attn_mask: Any, key_padding_mask: Any, shape: tuple[int, int, int], added: int, dtype: np.dtype[Any]
    ) -> Any:
        """Both masks as one, broadcast to (N, heads, L, S + added), in the terms of ``scaled_dot_product_attention``."""
        n, length, keys = shape
        masks = []
        if attn_mask is not None:
            if attn_mask.shape not in ((length, keys), (n * self.num_heads, length, keys)):
                raise ValueError(
                    f"expected attn_mask (L, S) = ({length}, {keys}) or (N heads, L, S) = ({n * self.num_heads}, {length}, "
                    f"{keys}), got {attn_mask.shape}"
                )
            masks.append(attn_mask if attn_mask.ndim == 2 else np.reshape(attn_mask, (n, self.num_heads, length, keys)))
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
