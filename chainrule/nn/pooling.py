"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import functional as F
from ..functional.pooling import OutputSize
from ..kernels.window import Size, per_dimension
from .module import Module


class _MaxPool(Module):
    _dimensions: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        dilation: int | Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._dimensions - 1]
        return pool(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest element of each window; arguments as ``functional.max_pool1d``.

    Shapes: (N, C, L) or (C, L) to (N, C, OL) or (C, OL).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.MaxPool1d(2)(np.zeros((1, 3, 8), np.float32)).shape
    (1, 3, 4)
    """

    _dimensions = 1


class MaxPool2d(_MaxPool):
    """Largest element of each window; arguments as ``functional.max_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.MaxPool2d(2)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    _dimensions = 2


class MaxPool3d(_MaxPool):
    """Largest element of each window; arguments as ``functional.max_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.MaxPool3d(2)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 4, 4, 4)
    """

    _dimensions = 3


class _AvgPool(Module):
    _dimensions: ClassVar[int]

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
        pool: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self._dimensions - 1]
        divisor = () if self.divisor_override is None else (self.divisor_override,)
        return pool(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, *divisor)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Mean of each window; arguments as ``functional.avg_pool1d``.

    Shapes: (N, C, L) or (C, L) to (N, C, OL) or (C, OL).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AvgPool1d(2)(np.zeros((1, 3, 8), np.float32)).shape
    (1, 3, 4)
    """

    _dimensions = 1

    def __init__(
        self,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        padding: int | Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        stride = kernel_size if stride is None else stride
        kernel_size, stride, padding = (per_dimension(value, 1) for value in (kernel_size, stride, padding))
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """Mean of each window; arguments as ``functional.avg_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AvgPool2d(2)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    _dimensions = 2


class AvgPool3d(_AvgPool):
    """Mean of each window; arguments as ``functional.avg_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AvgPool3d(2)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 4, 4, 4)
    """

    _dimensions = 3


class _AdaptivePool(Module):
    _dimensions: ClassVar[int]

    def __init__(self, output_size: OutputSize):
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, input: Any) -> Any:
        pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self._dimensions - 1]
        return pool(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: OutputSize, return_indices: bool = False):
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self._dimensions - 1]
        return pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean of each window, of as many windows as are wanted; arguments as ``functional.adaptive_avg_pool1d``.

    Shapes: (N, C, L) or (C, L) to (N, C, OL) or (C, OL).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveAvgPool1d(4)(np.zeros((1, 3, 8), np.float32)).shape
    (1, 3, 4)
    """

    _dimensions = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean of each window, of as many windows as are wanted; arguments as ``functional.adaptive_avg_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveAvgPool2d(4)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    _dimensions = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean of each window, of as many windows as are wanted; arguments as ``functional.adaptive_avg_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveAvgPool3d(4)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 4, 4, 4)
    """

    _dimensions = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest element of each window, of as many windows as are wanted; arguments as ``functional.adaptive_max_pool1d``.

    Shapes: (N, C, L) or (C, L) to (N, C, OL) or (C, OL).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveMaxPool1d(4)(np.zeros((1, 3, 8), np.float32)).shape
    (1, 3, 4)
    """

    _dimensions = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest element of each window, of as many windows as are wanted; arguments as ``functional.adaptive_max_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveMaxPool2d(4)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    _dimensions = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest element of each window, of as many windows as are wanted; arguments as ``functional.adaptive_max_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.AdaptiveMaxPool3d(4)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 4, 4, 4)
    """

    _dimensions = 3


class _LPPool(Module):
    _dimensions: ClassVar[int]

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Size,
        stride: int | Size | None = None,
        ceil_mode: bool = False,
    ):
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._dimensions - 1]
        return pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """The p-norm of each window; arguments as ``functional.lp_pool1d``.

    Shapes: (N, C, L) or (C, L) to (N, C, OL) or (C, OL).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LPPool1d(2, 2)(np.zeros((1, 3, 8), np.float32)).shape
    (1, 3, 4)
    """

    _dimensions = 1


class LPPool2d(_LPPool):
    """The p-norm of each window; arguments as ``functional.lp_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LPPool2d(2, 2)(np.zeros((1, 3, 8, 8), np.float32)).shape
    (1, 3, 4, 4)
    """

    _dimensions = 2


class LPPool3d(_LPPool):
    """The p-norm of each window; arguments as ``functional.lp_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LPPool3d(2, 2)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 4, 4, 4)
    """

    _dimensions = 3


class _FractionalMaxPool(Module):
    _dimensions: ClassVar[int]
    _random_samples: Any

    def __init__(
        self,
        kernel_size: int | Size,
        output_size: int | Size | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ):
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{type(self).__name__}: give either output_size or output_ratio")
        ratios = output_ratio if isinstance(output_ratio, tuple) else (output_ratio,)
        if output_ratio is not None and not all(0 < ratio < 1 for ratio in ratios if ratio is not None):
            raise ValueError(f"output_ratio is between 0 and 1, not {output_ratio}")
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Any) -> Any:
        pool: Any = F.fractional_max_pool2d if self._dimensions == 2 else F.fractional_max_pool3d
        return pool(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, output_size={self.output_size}, output_ratio={self.output_ratio}"


class FractionalMaxPool2d(_FractionalMaxPool):
    """Largest element of windows at random distances; arguments as ``functional.fractional_max_pool2d``.

    Shapes: (N, C, H, W) or (C, H, W) to (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.FractionalMaxPool2d(2, output_ratio=0.7)(np.zeros((1, 3, 10, 10), np.float32)).shape
    (1, 3, 7, 7)
    """

    _dimensions = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Largest element of windows at random distances; arguments as ``functional.fractional_max_pool3d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W) to (N, C, OD, OH, OW) or (C, OD, OH, OW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.FractionalMaxPool3d(2, output_size=3)(np.zeros((1, 3, 8, 8, 8), np.float32)).shape
    (1, 3, 3, 3, 3)
    """

    _dimensions = 3


class _MaxUnpool(Module):
    _dimensions: ClassVar[int]

    def __init__(self, kernel_size: int | Size, stride: int | Size | None = None, padding: int | Size = 0):
        n = self._dimensions
        self.kernel_size = per_dimension(kernel_size, n)
        self.stride = self.kernel_size if stride is None else per_dimension(stride, n)
        self.padding = per_dimension(padding, n)

    def forward(self, input: Any, indices: Any, output_size: Sequence[int] | None = None) -> Any:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._dimensions - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Put the largest elements back where ``MaxPool1d`` has found them; arguments as ``functional.max_unpool1d``.

    Shapes: (N, C, OL) or (C, OL) to (N, C, L) or (C, L).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, indices = nn.MaxPool1d(2, return_indices=True)(np.ones((1, 3, 8), np.float32))
    >>> nn.MaxUnpool1d(2)(y, indices).shape
    (1, 3, 8)
    """

    _dimensions = 1


class MaxUnpool2d(_MaxUnpool):
    """Put the largest elements back where ``MaxPool2d`` has found them; arguments as ``functional.max_unpool2d``.

    Shapes: (N, C, OH, OW) or (C, OH, OW) to (N, C, H, W) or (C, H, W).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, indices = nn.MaxPool2d(2, return_indices=True)(np.ones((1, 3, 8, 8), np.float32))
    >>> nn.MaxUnpool2d(2)(y, indices).shape
    (1, 3, 8, 8)
    """

    _dimensions = 2


class MaxUnpool3d(_MaxUnpool):
    """Put the largest elements back where ``MaxPool3d`` has found them; arguments as ``functional.max_unpool3d``.

    Shapes: (N, C, OD, OH, OW) or (C, OD, OH, OW) to (N, C, D, H, W) or (C, D, H, W).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, indices = nn.MaxPool3d(2, return_indices=True)(np.ones((1, 3, 8, 8, 8), np.float32))
    >>> nn.MaxUnpool3d(2)(y, indices).shape
    (1, 3, 8, 8, 8)
    """

    _dimensions = 3
