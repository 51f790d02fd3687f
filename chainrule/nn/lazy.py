"""Layers that learn the size of their input at the first call, and make their parameters then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..core.arrays import Array
from ..core.variable import Parameter
from ..kernels.window import Size
from . import convolution, linear, normalization
from .module import Module


class UninitializedParameter(Parameter):
    """A Parameter that has no shape yet: its array is empty, and tells the dtype alone.

    A lazy module has such ones until its first call makes Parameters of them, the same objects.

    Args:
        requires_grad: as of ``Parameter``.
        dtype: by default float32.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.LazyLinear(2)
    >>> layer.weight
    UninitializedParameter([], dtype=float32)
    >>> _ = layer(np.zeros((5, 3), np.float32))
    >>> type(layer.weight).__name__, layer.weight.shape
    ('Parameter', (2, 3))
    """

    __slots__ = ()

    def __init__(self, requires_grad: bool = True, dtype: Any = None):
        super().__init__(np.empty(0, np.float32 if dtype is None else dtype), requires_grad=requires_grad)

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Become a Parameter of this shape, whose elements are to be written."""
        self.data = np.empty(shape, self.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]


class LazyModule(Module):
    """What lazy layers have in common: their arguments, but the first, from which a layer is made once that is known."""

    _becomes: ClassVar[Any]
    _size: ClassVar[str]  # the name of the first argument: the size of the input
    _arguments: dict[str, Any]

    def _wait(self, like: Module, **arguments: Any) -> None:
        """Be as ``like``, a layer for an input of some size, without its parameters and buffers."""
        vars(self).update(vars(like))
        self._arguments = arguments
        setattr(self, self._size, 0)
        for name, value in vars(like).items():
            if isinstance(value, Parameter):
                setattr(self, name, UninitializedParameter(dtype=value.dtype))
        for name in self._buffers:
            value = getattr(like, name)
            if value is not None and value.ndim:
                setattr(self, name, np.empty(0, value.dtype))

    def has_uninitialized_params(self) -> bool:
        """Whether the first call is still to come."""
        return isinstance(self, LazyModule)

    def _input_size(self, input: Any) -> int:
        raise NotImplementedError

    def _state_size(self, weight: Array) -> int:
        raise NotImplementedError

    def initialize_parameters(self, input: Any) -> None:
        """Make the parameters and buffers, for inputs such as this."""
        self._initialize(self._input_size(input))

    def _initialize(self, size: int) -> None:
        made = self._becomes(size, **self._arguments)
        for name, value in vars(made).items():
            own = getattr(self, name)
            if isinstance(own, UninitializedParameter):
                own.materialize(value.shape)
                own.data[...] = value.data
            elif name in self._buffers and value is not None:
                setattr(self, name, value if value.ndim == 0 else value.astype(own.dtype))
        setattr(self, self._size, size)
        del self._arguments
        self.__class__ = self._becomes  # type: ignore[assignment]

    def _before_loading(self, state: Mapping[str, Any], start: str) -> None:
        shapes = [np.shape(state[start + name]) for name in ("weight", "running_mean") if start + name in state]
        if shapes and shapes[0] != (0,):
            self._initialize(self._state_size(np.empty(shapes[0], bool)))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(*args[:1])
        return self.forward(*args, **kwargs)  # of another class now


class LazyLinear(LazyModule, linear.Linear):
    """A ``Linear`` whose ``in_features`` is the length of the last axis of its first input.

    Until then its parameters have no shape: count or optimise them after a first call. A state dict that is loaded before
    makes them, too.

    Args:
        out_features, bias: as of ``Linear``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    >>> model(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    >>> model[3]
    Linear(in_features=144, out_features=10, bias=True)
    """

    _becomes, _size = linear.Linear, "in_features"

    def __init__(self, out_features: int, bias: bool = True):
        self._wait(linear.Linear(1, out_features, bias), out_features=out_features, bias=bias)

    def _input_size(self, input: Any) -> int:
        return int(input.shape[-1])

    def _state_size(self, weight: Array) -> int:
        return int(weight.shape[1])


# ---- convolution ----------------------------------------------------------------------------------------


class _LazyConvolution(LazyModule):
    _size = "in_channels"
    dimensions: ClassVar[int]
    groups: int

    def _input_size(self, input: Any) -> int:
        if input.ndim not in (self.dimensions + 1, self.dimensions + 2):
            raise ValueError(f"expected a channel and {self.dimensions} axes, with a batch or without, got {input.shape}")
        return int(input.shape[-self.dimensions - 1])


class _LazyForward(_LazyConvolution):
    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size | str = 0,
        dilation: int | Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ):
        arguments = (out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        names = ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
        self._wait(self._becomes(groups, *arguments), **dict(zip(names, arguments, strict=True)))

    def _state_size(self, weight: Array) -> int:
        return int(weight.shape[1]) * self.groups


class _LazyTransposed(_LazyConvolution):
    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size = 0,
        output_padding: int | Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Size = 1,
        padding_mode: str = "zeros",
    ):
        arguments = (out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode)
        names = (
            "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode",
        )  # fmt: skip
        self._wait(self._becomes(groups, *arguments), **dict(zip(names, arguments, strict=True)))

    def _state_size(self, weight: Array) -> int:
        return int(weight.shape[0])


class LazyConv1d(_LazyForward, convolution.Conv1d):
    """A ``Conv1d`` whose ``in_channels`` are those of its first input; arguments as ``Conv1d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConv1d(8, 3)(np.zeros((2, 3, 7), np.float32)).shape
    (2, 8, 5)
    """

    _becomes = convolution.Conv1d


class LazyConv2d(_LazyForward, convolution.Conv2d):
    """A ``Conv2d`` whose ``in_channels`` are those of its first input; arguments as ``Conv2d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConv2d(8, 3)(np.zeros((2, 3, 7, 9), np.float32)).shape
    (2, 8, 5, 7)
    """

    _becomes = convolution.Conv2d


class LazyConv3d(_LazyForward, convolution.Conv3d):
    """A ``Conv3d`` whose ``in_channels`` are those of its first input; arguments as ``Conv3d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConv3d(8, 3)(np.zeros((2, 3, 5, 5, 5), np.float32)).shape
    (2, 8, 3, 3, 3)
    """

    _becomes = convolution.Conv3d


class LazyConvTranspose1d(_LazyTransposed, convolution.ConvTranspose1d):
    """A ``ConvTranspose1d`` whose ``in_channels`` are those of its first input; arguments as ``ConvTranspose1d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConvTranspose1d(4, 2, stride=2)(np.zeros((1, 8, 5), np.float32)).shape
    (1, 4, 10)
    """

    _becomes = convolution.ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, convolution.ConvTranspose2d):
    """A ``ConvTranspose2d`` whose ``in_channels`` are those of its first input; arguments as ``ConvTranspose2d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConvTranspose2d(4, 2, stride=2)(np.zeros((1, 8, 5, 6), np.float32)).shape
    (1, 4, 10, 12)
    """

    _becomes = convolution.ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, convolution.ConvTranspose3d):
    """A ``ConvTranspose3d`` whose ``in_channels`` are those of its first input; arguments as ``ConvTranspose3d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyConvTranspose3d(4, 2, stride=2)(np.zeros((1, 8, 2, 3, 4), np.float32)).shape
    (1, 4, 4, 6, 8)
    """

    _becomes = convolution.ConvTranspose3d


# ---- normalisation --------------------------------------------------------------------------------------


class _LazyNorm(LazyModule):
    _size = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        arguments = {
            "eps": eps,
            "momentum": momentum,
            "affine": affine,
            "track_running_stats": track_running_stats,
            "bias": bias,
        }
        self._wait(self._becomes(1, **arguments), **arguments)

    def _input_size(self, input: Any) -> int:
        if input.ndim < 2:
            raise ValueError(f"expected an axis of channels after that of the batch, got {input.shape}")
        return int(input.shape[1])

    def _state_size(self, weight: Array) -> int:
        return int(weight.shape[0])


class LazyBatchNorm1d(_LazyNorm, normalization.BatchNorm1d):
    """A ``BatchNorm1d`` whose ``num_features`` are those of its first input; arguments as ``BatchNorm1d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyBatchNorm1d()(np.zeros((4, 3), np.float32)).shape
    (4, 3)
    """

    _becomes = normalization.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, normalization.BatchNorm2d):
    """A ``BatchNorm2d`` whose ``num_features`` are those of its first input; arguments as ``BatchNorm2d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyBatchNorm2d()(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    _becomes = normalization.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, normalization.BatchNorm3d):
    """A ``BatchNorm3d`` whose ``num_features`` are those of its first input; arguments as ``BatchNorm3d`` without it.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyBatchNorm3d()(np.zeros((2, 3, 4, 4, 4), np.float32)).shape
    (2, 3, 4, 4, 4)
    """

    _becomes = normalization.BatchNorm3d


class _LazyInstanceNorm(_LazyNorm):
    _axes: ClassVar[str]

    def _input_size(self, input: Any) -> int:
        return int(input.shape[-self._axes.count(",") - 2])  # with a batch or without


class LazyInstanceNorm1d(_LazyInstanceNorm, normalization.InstanceNorm1d):
    """An ``InstanceNorm1d`` whose ``num_features`` are those of its first input, by default with a weight and running values.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyInstanceNorm1d()(np.zeros((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    _becomes = normalization.InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, normalization.InstanceNorm2d):
    """An ``InstanceNorm2d`` whose ``num_features`` are those of its first input, by default with a weight and running values.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyInstanceNorm2d()(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    _becomes = normalization.InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, normalization.InstanceNorm3d):
    """An ``InstanceNorm3d`` whose ``num_features`` are those of its first input, by default with a weight and running values.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LazyInstanceNorm3d()(np.zeros((3, 4, 4, 4), np.float32)).shape
    (3, 4, 4, 4)
    """

    _becomes = normalization.InstanceNorm3d
