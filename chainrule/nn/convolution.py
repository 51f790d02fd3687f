"""Convolution layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from ..functional.convolution import IntOrPair, pair
from . import init
from .module import Module


class Conv2d(Module):
    """Two-dimensional convolution; see ``functional.conv2d`` for the formula.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        stride: the window's step.
        padding: zeros around the image; or ``"same"``, ``"valid"``.
        dilation: the distance between the kernel's elements.
        groups: into how many independent parts the channels are divided.
        bias: whether a number for each output channel is added.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), weight (O, C / groups, KH, KW).

    Raises:
        ValueError: the channels cannot be divided into ``groups``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Conv2d(3, 8, 3, padding=1)(np.zeros((2, 3, 7, 9), np.float32)).shape
    (2, 8, 7, 9)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} input and {out_channels} output channels cannot be divided into {groups} groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = pair(kernel_size), pair(stride), pair(dilation)
        self.padding = padding if isinstance(padding, str) else pair(padding)
        self.weight = Parameter(np.empty((out_channels, in_channels // groups, *self.kernel_size), np.float32))
        self.bias = Parameter(np.empty(out_channels, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        options = {name: getattr(self, name) for name, value in defaults.items() if getattr(self, name) != value}
        options |= {"bias": False} if self.bias is None else {}
        return ", ".join([text, *(f"{name}={value}" for name, value in options.items())])
