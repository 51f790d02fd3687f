"""Losses as modules; their formulae are in ``functional``.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``. An input and a target of different shapes are an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..core.arrays import Array, is_array
from .linear import Linear
from .module import Module


class _Loss(Module):
    """A function of an input and a target, or more, with options. Those that are arrays (weights of classes) are buffers."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Any):
        self._options = tuple(options)
        for name, value in options.items():
            if is_array(value):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        return type(self).function(*inputs, **{name: getattr(self, name) for name in self._options})


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


class NLLLoss2d(NLLLoss):
    """Negative log-likelihood of each pixel's class: ``NLLLoss``, by the name that it once had for images."""


class LinearCrossEntropyLoss(Module):
    """Cross entropy of a linear layer's classes, the logits never all in memory; see ``functional.linear_cross_entropy``.

    Args:
        in_features: the length of the input's last axis.
        num_classes: C.
        out_features: (d1, ...), where there are several losses for each row.
        bias: whether the linear layer has one.
        reduction, weight, ignore_index, label_smoothing: as of ``functional.linear_cross_entropy``.

    Shapes: (N, in_features) and classes (N, d1, ...) to (), or to (N, d1, ...) without reduction.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> loss = nn.LinearCrossEntropyLoss(4, 50000)
    >>> print(round(float(loss(np.zeros((3, 4), np.float32), np.array([1, 2, 3])).data), 4))
    10.8198
    """

    weight: Array | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        reduction: str = "mean",
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ):
        if weight is not None and weight.shape != (num_classes,):
            raise ValueError(f"weight has the shape {(num_classes,)}, one for each class, not {weight.shape}")
        self.register_buffer("weight", weight)
        self.in_features, self.num_classes, self.out_features, self.bias = in_features, num_classes, out_features, bias
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.linear = Linear(in_features, num_classes * math.prod(out_features), bias)

    def forward(self, input: Any, target: Any) -> Any:
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            np.reshape(self.linear.weight, (*shape, -1)),
            target,
            linear_bias=None if bias is None else np.reshape(bias, shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        names = ("in_features", "num_classes", "out_features", "bias", "reduction", "ignore_index", "label_smoothing")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


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


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts; arguments as ``functional.poisson_nll_loss``."""

    function = staticmethod(F.poisson_nll_loss)

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"):
        super().__init__(log_input=log_input, full=full, eps=eps, reduction=reduction)


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood of normal distributions: of means, targets and variances."""

    function = staticmethod(F.gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(full=full, eps=eps, reduction=reduction)


class MultiMarginLoss(_Loss):
    """Hinge loss of classes; arguments as ``functional.multi_margin_loss``."""

    function = staticmethod(F.multi_margin_loss)

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Array | None = None, reduction: str = "mean"):
        super().__init__(p=p, margin=margin, weight=weight, reduction=reduction)


class MultiLabelMarginLoss(_Loss):
    """Hinge loss of several labels, whose classes end at the first -1."""

    function = staticmethod(F.multilabel_margin_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """Mean over classes of the cross entropy of each being there or not, of logits."""

    function = staticmethod(F.multilabel_soft_margin_loss)

    def __init__(self, weight: Array | None = None, reduction: str = "mean"):
        super().__init__(weight=weight, reduction=reduction)


class SoftMarginLoss(_Loss):
    """Logistic loss of two classes, 1 and -1: log(1 + exp(-t x))."""

    function = staticmethod(F.soft_margin_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class HingeEmbeddingLoss(_Loss):
    """Of distances: x where t = 1, and max(0, margin - x) where t = -1."""

    function = staticmethod(F.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, reduction: str = "mean"):
        super().__init__(margin=margin, reduction=reduction)


class MarginRankingLoss(_Loss):
    """Of two scores, the first of which should be the larger (t = 1) or the smaller: max(0, -t (x1 - x2) + margin)."""

    function = staticmethod(F.margin_ranking_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean"):
        super().__init__(margin=margin, reduction=reduction)


class CosineEmbeddingLoss(_Loss):
    """Of two vectors: 1 - cos(x1, x2) where t = 1, and max(0, cos(x1, x2) - margin) where t = -1."""

    function = staticmethod(F.cosine_embedding_loss)

    def __init__(self, margin: float = 0.0, reduction: str = "mean"):
        super().__init__(margin=margin, reduction=reduction)


class TripletMarginLoss(_Loss):
    """Of vectors a, p and n: max(0, d(a, p) - d(a, n) + margin); arguments as ``functional.triplet_margin_loss``."""

    function = staticmethod(F.triplet_margin_loss)

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"):
        super().__init__(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """``TripletMarginLoss`` for any distance of two arrays of vectors."""

    function = staticmethod(F.triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(distance_function=distance_function, margin=margin, swap=swap, reduction=reduction)


class CTCLoss(_Loss):
    """Loss of sequences whose alignment is not known; arguments as ``functional.ctc_loss``."""

    function = staticmethod(F.ctc_loss)

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        super().__init__(blank=blank, reduction=reduction, zero_infinity=zero_infinity)
