"""Pooling layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..kernels.window import Size
from .module import Module


class MaxPool2d(Module):
    """Largest element of each window; arguments as ``functional.max_pool2d``.

    Shapes: (N, C, H, W) to (N, C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.MaxPool2d(2)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        dilation: int | Size = 1,
        *,
        ceil_mode: bool = False,
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, input: Any) -> Any:
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """Mean of each window; arguments as ``functional.avg_pool2d``.

    Shapes: (N, C, H, W) to (N, C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AvgPool2d(2)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
