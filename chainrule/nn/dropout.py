"""Dropout, in training; in use these layers do nothing. Their formulae are in ``functional``."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import functional as F
from .module import Module


class _Dropout(Module):
    """A function with a probability, in training."""

    function: ClassVar[Any]

    def __init__(self, p: float = 0.5, inplace: bool = False):
        if not 0 <= p <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        return type(self).function(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Set each element to zero with probability ``p``, and divide the others by 1 - p.

    Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Dropout(0.9).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Dropout of whole channels: of (N, C, L), or of (C, L)."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Dropout of whole channels: of (N, C, H, W)."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Dropout of whole channels: of (N, C, D, H, W), or of (C, D, H, W)."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout to the value that SELU saturates at, which keeps mean 0 and variance 1.

    Source: G. Klambauer et al., Self-Normalizing Neural Networks (2017).
    """

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels: of (N, C, ...)."""

    function = staticmethod(F.feature_alpha_dropout)
