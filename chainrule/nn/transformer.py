"""Transformers: layers, stacks of them, and the whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from ..core.arrays import Array
from ..dispatch import unwrap
from . import init
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear, followed
from .module import Module
from .normalization import LayerNorm

Activation = str | Callable[[Any], Any]


class TransformerEncoderLayer(Module):
    """Self-attention and a network of two affine maps, each beside a way around it, and normalised.

    x = norm(x + attention(x)); x = norm(x + W_2 activation(W_1 x)). With ``norm_first`` x + attention(norm(x)) and so on.

    Args:
        d_model: E.
        nhead: how many heads attention has.
        dim_feedforward: how long W_1 x is.
        dropout: the probability of dropping an element, or a weight of attention.
        activation: ``"relu"``, ``"gelu"``, or a function.
        layer_norm_eps: added to the variance.
        batch_first: whether batches are (N, T, E) instead of (T, N, E).
        norm_first: whether the input of each part is normalised instead of the sum after it.
        bias: whether the maps and norms have one.

    Shapes: (T, N, E), in and out.

    Source: A. Vaswani et al., Attention Is All You Need (2017); ``norm_first``: R. Xiong et al., On Layer Normalization in the
    Transformer Architecture (2020).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.TransformerEncoderLayer(8, 2, batch_first=True)(np.zeros((3, 5, 8), np.float32)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        """Return the layer's output; the masks are those of ``MultiheadAttention``."""

        def attend(x: Any) -> Any:
            return self.dropout1(_attend(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal))

        def feed(x: Any) -> Any:
            return self.dropout2(self.linear2(self.dropout(followed(self.linear1, self.activation, x))))

        return _around([(attend, self.norm1), (feed, self.norm2)], src, self.norm_first)


class TransformerDecoderLayer(Module):
    """Self-attention, attention to what an encoder returned, and a network of two affine maps; see ``TransformerEncoderLayer``.

    Args: as of ``TransformerEncoderLayer``.

    Shapes: tgt (T, N, E), memory (S, N, E), output as tgt.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> tgt, memory = np.zeros((4, 3, 8), np.float32), np.zeros((5, 3, 8), np.float32)
    >>> nn.TransformerDecoderLayer(8, 2)(tgt, memory).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the layer's output; the masks are those of ``MultiheadAttention``."""

        def attend(x: Any) -> Any:
            return self.dropout1(_attend(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))

        def look(x: Any) -> Any:
            masks = memory_mask, memory_key_padding_mask, memory_is_causal
            return self.dropout2(_attend(self.multihead_attn, x, memory, *masks))

        def feed(x: Any) -> Any:
            return self.dropout3(self.linear2(self.dropout(followed(self.linear1, self.activation, x))))

        return _around([(attend, self.norm1), (look, self.norm2), (feed, self.norm3)], tgt, self.norm_first)


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: a ``TransformerEncoderLayer``, which is copied.
        num_layers: how many.
        norm: what normalises the output, or None.
        enable_nested_tensor, mask_check: accepted, and without effect: there are no nested tensors.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 3)(np.zeros((5, 2, 8), np.float32)).shape
    (5, 2, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None) -> Any:
        """Return the last layer's output.

        Args:
            src: (T, N, E).
            mask, src_key_padding_mask: those of ``MultiheadAttention``.
            is_causal: whether ``mask`` is that of a causal model, so that it need not be looked at; None to find out.
        """
        is_causal = _is_causal(mask) if is_causal is None else is_causal
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: a ``TransformerDecoderLayer``, which is copied.
        num_layers: how many.
        norm: what normalises the output, or None.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> tgt, memory = np.zeros((4, 3, 8), np.float32), np.zeros((5, 3, 8), np.float32)
    >>> nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), 3)(tgt, memory).shape
    (4, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the last layer's output; ``tgt_is_causal`` as ``is_causal`` of ``TransformerEncoder``."""
        tgt_is_causal = _is_causal(tgt_mask) if tgt_is_causal is None else tgt_is_causal
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder, and a decoder that attends to what it returns.

    Args:
        d_model: E.
        nhead: how many heads attention has.
        num_encoder_layers, num_decoder_layers: how many layers.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as of ``TransformerEncoderLayer``.
        custom_encoder, custom_decoder: modules to use instead.

    Shapes: src (S, N, E), tgt (T, N, E), output as tgt.

    Source: A. Vaswani et al., Attention Is All You Need (2017).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> model = nn.Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> mask = model.generate_square_subsequent_mask(4)
    >>> model(np.zeros((5, 2, 8), np.float32), np.zeros((4, 2, 8), np.float32), tgt_mask=mask).shape
    (4, 2, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        args = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*args), num_encoder_layers, LayerNorm(d_model, layer_norm_eps, bias=bias)
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*args), num_decoder_layers, LayerNorm(d_model, layer_norm_eps, bias=bias)
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values of all matrices again."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the decoder's output; the masks are those of ``TransformerEncoder`` and ``TransformerDecoder``."""
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ValueError(f"src and tgt need the same batch, got {src.shape} and {tgt.shape}")
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal
        return self.decoder(tgt, memory, *masks)

    @staticmethod
    def generate_square_subsequent_mask(sz: int) -> Array:
        """The mask of a causal model, (sz, sz): 0 up to the diagonal, -inf beyond it.

        >>> Transformer.generate_square_subsequent_mask(2)
        array([[  0., -inf],
               [  0.,   0.]], dtype=float32)
        """
        return np.where(np.tri(sz, dtype=bool), np.float32(0), np.float32(-np.inf))


def _attend(attention: MultiheadAttention, x: Any, to: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    return attention(x, to, to, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)[0]


def _around(parts: list[tuple[Callable[[Any], Any], Module]], x: Any, norm_first: bool) -> Any:
    """One part after the other, each with a way around it, and normalised before it or after."""
    for part, norm in parts:
        x = x + part(norm(x)) if norm_first else norm(x + part(x))
    return x


def _is_causal(mask: Any) -> bool:
    """Whether a mask is that of a causal model."""
    if mask is None or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    mask = unwrap(mask)
    hidden = mask if mask.dtype == bool else np.isneginf(mask)
    shown_as_they_are = mask.dtype == bool or not np.any(np.where(hidden, 0, mask))
    return shown_as_they_are and np.array_equal(hidden, ~np.tri(len(mask), dtype=bool))


def _activation(activation: Activation) -> Callable[[Any], Any]:
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise ValueError(f"activation is 'relu', 'gelu' or a function, not {activation!r}")
    return F.relu if activation == "relu" else F.gelu


def _copies(layer: Module, n: int) -> ModuleList:
    return ModuleList(copy.deepcopy(layer) for _ in range(n))
