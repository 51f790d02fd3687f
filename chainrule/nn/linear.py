"""The affine layer, and the one that does nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from . import init
from .module import LOCATED, Module, locate


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


def followed(layer: Module, activation: Callable[[Any], Any], input: Any) -> Any:
    """``activation(layer(input))``: as one operation where that is a Linear and a known activation, and no hook is between."""
    function = function_of(activation)
    if function is None or not layer._only(Linear.forward):
        return activation(layer(input))
    try:
        return F.linear_activation(input, layer.weight, layer.bias, function)  # type: ignore[attr-defined]
    except LOCATED as error:
        locate(error, layer)
        raise


def function_of(activation: Callable[[Any], Any]) -> Callable[[Any], Any] | None:
    """An activation as a function of one array; None if it is another layer, or one with options or hooks."""
    if not isinstance(activation, Module):
        return activation
    as_function: Callable[[], Any] | None = getattr(activation, "as_function", None)
    return None if as_function is None else as_function()


class Bilinear(Module):
    """Bilinear map: y = x1^T W x2 + b; see ``functional.bilinear``.

    Args:
        in1_features: the length of the first input's last axis.
        in2_features: of the second's.
        out_features: of the output's.
        bias: whether there is a b.

    Shapes: (..., in1_features) and (..., in2_features) to (..., out_features).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Bilinear(3, 4, 2)(np.zeros((5, 3), np.float32), np.zeros((5, 4), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True):
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), np.float32))
        self.bias = Parameter(np.empty(out_features, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again: uniform within 1 / sqrt(in1_features)."""
        bound = 1 / math.sqrt(max(self.in1_features, 1))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = ((name, getattr(self, name)) for name in ("in1_features", "in2_features", "out_features"))
        return ", ".join([f"{name}={size}" for name, size in sizes] + [f"bias={self.bias is not None}"])


class Identity(Module):
    """The input itself, whatever the arguments."""

    def __init__(self, *args: Any, **kwargs: Any): ...

    def forward(self, input: Any) -> Any:
        return input
