"""The affine layer, and the one that does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from . import init
from .module import Module


class Linear(Module):
    """Affine map: y = x W^T + b.

    Args:
        in_features: the length of the input's last axis.
        out_features: the length of the output's.
        bias: whether there is a b.

    Shapes: input (..., in_features), output (..., out_features), weight (out_features, in_features).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Linear(3, 2)(np.zeros((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), np.float32))
        self.bias = Parameter(np.empty(out_features, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """The input itself, whatever the arguments."""

    def __init__(self, *args: Any, **kwargs: Any): ...

    def forward(self, input: Any) -> Any:
        return input
