"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.variable import Parameter
from ..functional.multi_head_attention import attend
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
        together = self.in_proj_weight is not None
        weights = (self.in_proj_weight,) if together else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        y, attention = attend(
            (query, key, value), self.num_heads, weights, self.in_proj_bias,
            extra=(self.bias_k, self.bias_v), add_zero_attn=self.add_zero_attn,
            key_padding_mask=key_padding_mask, attn_mask=attn_mask, is_causal=is_causal,
            dropout_p=self.dropout if self.training else 0.0, need_weights=need_weights,
            average_attn_weights=average_attn_weights, batch_first=self.batch_first,
        )  # fmt: skip
        return self.out_proj(y), attention
