"""Losses as modules; their formulae are in ``functional``.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``. An input and a target of different shapes are an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from ..core.arrays import Array, is_array
from .module import Module


class _Loss(Module):
    """A function of an input and a target, with options. Those that are arrays (weights of classes) are buffers."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Any):
        self._options = tuple(options)
        for name, value in options.items():
            if is_array(value):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, input: Any, target: Any) -> Any:
        return type(self).function(input, target, **{name: getattr(self, name) for name in self._options})


class MSELoss(_Loss):
    """Squared error: (x - t)^2.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> float(nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    function = staticmethod(F.mse_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class L1Loss(_Loss):
    """Absolute error: |x - t|."""

    function = staticmethod(F.l1_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class SmoothL1Loss(_Loss):
    """Absolute error, rounded off below ``beta``."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction=reduction, beta=beta)


class HuberLoss(_Loss):
    """Half the squared error up to ``delta``, and linear beyond."""

    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction=reduction, delta=delta)


class BCELoss(_Loss):
    """Cross entropy of two classes, of probabilities."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(self, weight: Array | None = None, reduction: str = "mean"):
        super().__init__(weight=weight, reduction=reduction)


class BCEWithLogitsLoss(_Loss):
    """Cross entropy of two classes, of logits."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None):
        super().__init__(weight=weight, reduction=reduction, pos_weight=pos_weight)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence from log-probabilities; ``reduction="batchmean"`` is the divergence itself."""

    function = staticmethod(F.kl_div)

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction=reduction, log_target=log_target)


class NLLLoss(_Loss):
    """Negative log-likelihood of classes, of log-probabilities."""

    function = staticmethod(F.nll_loss)

    def __init__(self, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)


class CrossEntropyLoss(_Loss):
    """Cross entropy of classes, of logits; arguments as ``functional.cross_entropy``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> float(nn.CrossEntropyLoss()(np.zeros((3, 2)), np.array([0, 1, 1])))
    0.6931471805599453
    """

    function = staticmethod(F.cross_entropy)

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
