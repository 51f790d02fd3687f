"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..core import config
from ..core.variable import Parameter
from .module import Module


class _BatchNorm(Module):
    _ndims: ClassVar[tuple[int, ...]]
    _shapes: ClassVar[str]

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
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine and bias else None
        self.register_buffer("running_mean", np.zeros(num_features, np.float32) if track_running_stats else None)
        self.register_buffer("running_var", np.ones(num_features, np.float32) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", np.array(0) if track_running_stats else None)

    def forward(self, input: Any) -> Any:
        if input.ndim not in self._ndims or input.shape[1] != self.num_features:
            raise ValueError(f"expected {self._shapes.replace('C', str(self.num_features))}, got {input.shape}")
        mean, var, batches = (getattr(self, name) for name in self._buffers)
        momentum = self.momentum
        if self.training and self.track_running_stats:
            batches += not config.recomputing.get()
            if momentum is None:
                momentum = 1 / int(batches)  # the mean over all batches
        training = self.training or not self.track_running_stats
        return F.batch_norm(input, mean, var, self.weight, self.bias, training, momentum or 0.0, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
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
        shape = self.normalized_shape
        self.weight = Parameter(np.ones(shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if elementwise_affine and bias else None

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )
