"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..core import config
from ..core.arrays import Array
from ..core.variable import Parameter
from .module import Module


def _affine(shape: int | tuple[int, ...], weight: bool, bias: bool) -> tuple[Parameter | None, Parameter | None]:
    """A weight of ones and a bias of zeros, where wanted."""
    return (
        Parameter(np.ones(shape, np.float32)) if weight else None,
        Parameter(np.zeros(shape, np.float32)) if weight and bias else None,
    )


class _RunningNorm(Module):
    """What batch and instance normalisation have in common: a weight and a bias for each channel, and running values."""

    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight, self.bias = _affine(num_features, affine, bias)
        self.register_buffer("running_mean", np.zeros(num_features, np.float32) if track_running_stats else None)
        self.register_buffer("running_var", np.ones(num_features, np.float32) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", np.array(0) if track_running_stats else None)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    _ndims: ClassVar[tuple[int, ...]]
    _shapes: ClassVar[str]

    def forward(self, input: Any) -> Any:
        if input.ndim not in self._ndims or input.shape[1] != self.num_features:
            raise ValueError(f"expected {self._shapes.replace('C', str(self.num_features))}, got {input.shape}")
        momentum, batches = self.momentum, self.num_batches_tracked
        if self.training and batches is not None:
            batches += not config.recomputing.get()
            if momentum is None:
                momentum = 1 / int(batches)  # the mean over all batches
        training = self.training or batches is None
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training, momentum or 0.0, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """Normalise each feature over the batch; see ``functional.batch_norm`` for the formula.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the new batch's part in the running mean and variance; None for the mean over all batches.
        affine: whether there is a weight.
        track_running_stats: whether to keep running values, for use in evaluation.
        bias: whether there is a bias too, if ``affine``.

    Shapes: (N, C) or (N, C, L), in and out.

    Source: S. Ioffe, C. Szegedy, Batch Normalization (2015).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> list(nn.BatchNorm1d(3).state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    _ndims = (2, 3)
    _shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of images over the batch; arguments as ``BatchNorm1d``.

    Shapes: (N, C, H, W), in and out.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.BatchNorm2d(3)(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    _ndims = (4,)
    _shapes = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of volumes over the batch; arguments as ``BatchNorm1d``.

    Shapes: (N, C, D, H, W), in and out.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.BatchNorm3d(3)(np.zeros((2, 3, 4, 4, 4), np.float32)).shape
    (2, 3, 4, 4, 4)
    """

    _ndims = (5,)
    _shapes = "(N, C, D, H, W)"


class _InstanceNorm(_RunningNorm):
    _axes: ClassVar[str]  # the names of the axes after the channels

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)

    def forward(self, input: Any) -> Any:
        ndim = 2 + self._axes.count(",") + 1
        unbatched = input.ndim == ndim - 1
        x = input[None] if unbatched else input
        if x.ndim != ndim or x.shape[1] != self.num_features:
            shape = f"{self.num_features}, {self._axes})"
            raise ValueError(f"expected (N, {shape} or ({shape}, got {input.shape}")
        own = self.training or not self.track_running_stats
        y = F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum or 0.0, self.eps)
        return y[0] if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each example; see ``functional.instance_norm`` for the formula.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the new batch's part in the running mean and variance.
        affine: whether there is a weight.
        track_running_stats: whether to keep running values, and use them in evaluation.
        bias: whether there is a bias too, if ``affine``.

    Shapes: (N, C, L) or (C, L), in and out.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, Instance Normalization (2016).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.InstanceNorm1d(2)(np.array([[[1.0, 3.0], [0.0, 0.0]]])).round(3)
    array([[[-1.,  1.],
            [ 0.,  0.]]])
    """

    _axes = "L"


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each image; arguments as ``InstanceNorm1d``.

    Shapes: (N, C, H, W) or (C, H, W), in and out.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.InstanceNorm2d(3)(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    _axes = "H, W"


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each volume; arguments as ``InstanceNorm1d``.

    Shapes: (N, C, D, H, W) or (C, D, H, W), in and out.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.InstanceNorm3d(3)(np.zeros((3, 4, 4, 4), np.float32)).shape
    (3, 4, 4, 4)
    """

    _axes = "D, H, W"


class LayerNorm(Module):
    """Normalise over the last axes; see ``functional.layer_norm`` for the formula.

    Args:
        normalized_shape: the lengths of these axes, or of the one.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias too.

    Shapes: (..., *normalized_shape), in and out.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization (2016).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LayerNorm(4)(np.zeros((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight, self.bias = _affine(self.normalized_shape, elementwise_affine, bias)

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide by the root of the mean square over the last axes; see ``functional.rms_norm`` for the formula.

    Args:
        normalized_shape: the lengths of these axes, or of the one.
        eps: added to the mean square; by default the dtype's machine epsilon.
        elementwise_affine: whether there is a weight.

    Shapes: (..., *normalized_shape), in and out.

    Source: B. Zhang, R. Sennrich, Root Mean Square Layer Normalization (2019).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.RMSNorm(2)(np.array([[7.0, 1.0]]))
    Variable([[1.4, 0.2]])
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True):
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight, _ = _affine(self.normalized_shape, elementwise_affine, bias=False)

    def forward(self, input: Any) -> Any:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise each group of channels of each example; see ``functional.group_norm`` for the formula.

    Args:
        num_groups: into how many groups of neighbouring channels C is divided.
        num_channels: C.
        eps: added to the variance.
        affine: whether there is a weight.
        bias: whether there is a bias too, if ``affine``.

    Shapes: (N, C, ...), in and out.

    Raises:
        ValueError: C cannot be divided into ``num_groups``.

    Source: Y. Wu, K. He, Group Normalization (2018).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.GroupNorm(2, 6)(np.zeros((2, 6, 4, 4), np.float32)).shape
    (2, 6, 4, 4)
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True):
        if num_channels % num_groups:
            raise ValueError(f"{num_channels} channels cannot be divided into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight, self.bias = _affine(num_channels, affine, bias)

    def forward(self, input: Any) -> Any:
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(f"expected (N, {self.num_channels}, ...), got {input.shape}")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """Divide by what the neighbouring channels hold; see ``functional.local_response_norm`` for the formula.

    Args:
        size: how many channels.
        alpha, beta, k: constants of the formula.

    Shapes: (N, C, ...), in and out.

    Source: A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural Networks (2012).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.LocalResponseNorm(5)(np.zeros((2, 6, 4, 4), np.float32)).shape
    (2, 6, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """Divide images by what the neighbouring channels hold: ``LocalResponseNorm``, as Caffe has it.

    For an even ``size`` the window has one channel less, and each channel's is in its middle.

    Args:
        size, alpha, beta, k: as of ``LocalResponseNorm``.

    Shapes: (N, C, H, W), in and out.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.CrossMapLRN2d(5)(np.zeros((2, 6, 4, 4), np.float32)).shape
    (2, 6, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        if input.ndim != 4:
            raise ValueError(f"expected (N, C, H, W), got {input.shape}")
        window = self.size - (self.size % 2 == 0)
        return F.local_response_norm(input, window, self.alpha * window / self.size, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
