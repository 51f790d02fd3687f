"""Dropout."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module


class Dropout(Module):
    """In training, set each element to zero with probability ``p`` and divide the others by 1 - p; else do nothing.

    Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Dropout(0.9).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {p}")
        self.p = p

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
