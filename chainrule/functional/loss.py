"""Losses: how far a prediction is from its target.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``. An input and a target of different shapes are an error, never broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calculus.indexing import get_item
from ..core.arrays import Array, as_array
from ..core.batched import Batched, all_values, everywhere
from ..core.variable import Variable
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import loss as kernels
from ..kernels.elementwise import elementwise
from ..kernels.layer import kernel
from ..kernels.lines import are_indices, check_indices
from .activation import log_one_plus_exp, log_softmax, sigmoid, softmax
from .distance import pairwise_distance


def reduced(loss: Any, reduction: str) -> Any:
    """The mean or the sum of a loss, or the loss itself."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")


def _target(loss: str, input: Any, target: Any) -> Any:
    """The target, of the input's shape; integers and constants also in its dtype."""
    if input.shape != target.shape:
        message = f"{loss}: input {input.shape} and target {target.shape} differ in shape"
        if input.size == target.size:
            message += f"; use target.reshape{input.shape}"
        raise ValueError(message)
    if isinstance(target, (Variable, Batched)) and target.dtype.kind == "f":
        return target
    return unwrap(target).astype(input.dtype, copy=False)


# ---- regression -----------------------------------------------------------------------------------------


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Squared error: (x - t)^2.

    Args:
        input: any shape.
        target: the same shape.
        reduction: ``"mean"`` (with ``weight``, the weighted mean), ``"sum"`` or ``"none"``.
        weight: of each element, of the same shape.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    loss = _squared_error(input, _target("mse_loss", input, target))
    return weighted(loss, _of_elements("mse_loss", weight, loss), reduction)


def _of_elements(loss: str, weight: Any, each: Any) -> Any:
    """A weight for each element, or None."""
    if weight is not None and weight.shape != each.shape:
        raise ValueError(f"{loss}: weight has the input's shape {each.shape}, not {weight.shape}")
    return weight


@primitive
@elementwise(kernels.squared_error, arrays=2)
def _squared_error(x: Array, t: Array) -> Array:
    return np.square(x - t)


@elementwise(kernels.squared_error_gradient, arrays=3)
def _squared_error_gradient(g: Any, x: Any, t: Any) -> Any:
    d = x - t
    return g * (d + d)


define_rule(_squared_error, x=_squared_error_gradient, t=lambda g, x, t: -_squared_error_gradient(g, x, t))


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Absolute error: |x - t|. Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    loss = np.abs(input - _target("l1_loss", input, target))
    return weighted(loss, _of_elements("l1_loss", weight, loss), reduction)


@primitive
@elementwise(kernels.huber, arrays=2)
def _huber(x: Array, t: Array, delta: float) -> Array:
    d = x - t
    inner = np.clip(d, -delta, delta)
    return inner * (d - 0.5 * inner)


@elementwise(kernels.huber_gradient, arrays=3)
def _huber_gradient(g: Any, x: Any, t: Any, delta: float) -> Any:
    return g * np.clip(x - t, -delta, delta)


define_rule(_huber, x=_huber_gradient, t=lambda g, x, t, delta: -_huber_gradient(g, x, t, delta))


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Huber's loss: d^2 / 2 where |d| = |x - t| <= delta, else delta (|d| - delta / 2). Arguments as ``mse_loss``.

    The mean, however, is that of the losses times ``weight``, and no weighted mean, as in PyTorch.

    Source: P. J. Huber, Robust Estimation of a Location Parameter (1964).

    >>> import numpy as np, chainrule.functional as F
    >>> F.huber_loss(np.array([1.0, 4.0]), np.zeros(2), reduction="none")
    array([0.5, 3.5])
    """
    if delta <= 0:
        raise ValueError(f"delta is positive, not {delta}")
    loss = _huber(input, _target("huber_loss", input, target), delta)
    return reduced(loss if weight is None else loss * _of_elements("huber_loss", weight, loss), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Absolute error, rounded off near zero: ``huber_loss`` of delta = beta, divided by beta; ``l1_loss`` for beta = 0.

    Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.smooth_l1_loss(np.array([1.0, 4.0]), np.zeros(2), reduction="none", beta=2.0)
    array([0.25, 3.  ])
    """
    if beta < 0:
        raise ValueError(f"beta is not negative, but was {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return reduced(_huber(input, _target("smooth_l1_loss", input, target), beta), reduction) / beta


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of counts, up to a constant: exp(x) - t x, or of a rate r: r - t log(r + eps).

    Args:
        input: the rate's logarithm, or without ``log_input`` the rate itself, any shape.
        target: the counts, the same shape.
        log_input: see ``input``.
        full: whether Stirling's approximation of log t! is added, where t > 1.
        eps: see above.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> F.poisson_nll_loss(np.array([0.0, 0.0]), np.array([0, 3]), reduction="none")
    array([1., 1.])
    """
    target = _target("poisson_nll_loss", input, target)
    loss = np.exp(input) - target * input if log_input else input - target * np.log(input + eps)
    if full:
        many = np.where(target > 1, target, target.dtype.type(1))
        loss = loss + (many * np.log(many) - many + 0.5 * np.log(2 * math.pi * many)) * (target > 1)
    return reduced(loss, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Any:
    """Negative log-likelihood of normal distributions, up to a constant: (log v + (x - t)^2 / v) / 2.

    Args:
        input: the means, any shape.
        target: the same shape.
        var: the variances: the same shape, or with one axis of length 1, or without the last; or a number.
        full: whether the constant log(2 pi) / 2 is added.
        eps: the least variance; smaller ones stand for it, and get its gradient.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not belong together, or a variance is negative.

    Source: D. Nix, A. Weigend, Estimating the Mean and Variance of the Target Probability Distribution (1994).

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.gaussian_nll_loss(np.array([1.0]), np.array([3.0]), np.array([4.0])).round(4))
    1.1931
    """
    target = _target("gaussian_nll_loss", input, target)
    shape = np.shape(var)
    if shape == input.shape[:-1] and shape != input.shape and shape:
        var = np.reshape(var, (*shape, 1))
    elif shape and (
        len(shape) != input.ndim or [m for m, n in zip(shape, input.shape, strict=True) if m != n] not in ([], [1])
    ):
        raise ValueError(f"gaussian_nll_loss: the variances of input {input.shape} do not have the shape {shape}")
    plain = np.asarray(var, input.dtype) if isinstance(var, (int, float)) else unwrap(var)
    values = all_values(plain)
    if values.size and values.min() < 0:
        raise ValueError(f"gaussian_nll_loss: a variance is negative: {values.min()}")
    var = var + (np.maximum(plain, eps) - plain)
    loss = 0.5 * (np.log(var) + np.square(input - target) / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---- probabilities --------------------------------------------------------------------------------------


@primitive
def _cross_entropy_of_two(x: Array, t: Array) -> Array:
    with np.errstate(divide="ignore"):
        return -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))


define_rule(
    _cross_entropy_of_two,
    x=lambda g, x, t: g * (x - t) / np.maximum(x * (1 - x), 1e-12),
    t=lambda g, x: g * (np.maximum(np.log1p(-x), -100) - np.maximum(np.log(x), -100)),
)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Cross entropy of two classes: -(t log x + (1 - t) log(1 - x)), the logarithms not below -100.

    Args:
        input: probabilities, any shape.
        target: the same shape, from 0 to 1.
        weight: of each element, broadcast to that shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, or a probability is not from 0 to 1.

    >>> import numpy as np, chainrule.functional as F
    >>> F.binary_cross_entropy(np.array([0.5, 0.0]), np.array([1.0, 1.0]), reduction="none")
    array([  0.69314718, 100.        ])
    """
    target = _target("binary_cross_entropy", input, target)
    x = all_values(input)
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"binary_cross_entropy: probabilities are from 0 to 1, but the input's are from {x.min():.4g} to {x.max():.4g}; "
            "for logits use binary_cross_entropy_with_logits"
        )
    loss = _cross_entropy_of_two(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Cross entropy of two classes, of x = sigmoid(input): (1 - t) x + p log(1 + exp(-x)), where p = 1 + (pos_weight - 1) t.

    Args:
        input: logits, any shape.
        target: the same shape, from 0 to 1.
        weight: of each element, broadcast to that shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: of the positive class, broadcast to that shape.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> F.binary_cross_entropy_with_logits(np.array([0.0, -1000.0]), np.array([1.0, 1.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    target = _target("binary_cross_entropy_with_logits", input, target)
    if pos_weight is None:
        loss = _cross_entropy_of_logits(input, target)
    else:
        loss = (1 - target) * input + log_one_plus_exp(-input) * (1 + (pos_weight - 1) * target)
    return reduced(loss if weight is None else loss * weight, reduction)


@primitive
@elementwise(kernels.binary_cross_entropy_of_logits, arrays=2)
def _cross_entropy_of_logits(x: Array, t: Array) -> Array:
    return log_one_plus_exp(-np.abs(x)) + (np.maximum(x, 0) - t * x)


@elementwise(kernels.binary_cross_entropy_of_logits_gradient, arrays=3)
def _cross_entropy_of_logits_gradient(g: Any, x: Any, t: Any) -> Any:
    return g * (sigmoid(x) - t)


define_rule(_cross_entropy_of_logits, x=_cross_entropy_of_logits_gradient, t=lambda g, x: -g * x)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of probabilities t from those whose logarithms are ``input``: t (log t - x).

    Args:
        input: log-probabilities, any shape.
        target: probabilities, or with ``log_target`` their logarithms, of the same shape.
        reduction: ``"mean"`` (over all elements), ``"batchmean"`` (the divergence: the sum divided by the first
            axis's length), ``"sum"`` or ``"none"``.
        log_target: see ``target``.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.kl_div(np.log(np.array([[0.5, 0.5]])), np.array([[1.0, 0.0]]), reduction="batchmean"))
    0.6931471805599453
    """
    target = _target("kl_div", input, target)
    if log_target:
        loss = np.exp(target) * (target - input)
    else:
        loss = target * (np.log(np.where(target > 0, target, target.dtype.type(1))) - input)
    return np.sum(loss) / input.shape[0] if reduction == "batchmean" else reduced(loss, reduction)


# ---- classes --------------------------------------------------------------------------------------------


@primitive
def _pick(x: Array, index: Array) -> Array:
    """x[..., index[...]], for x (..., C)."""
    return np.take_along_axis(x, index[..., None], -1)[..., 0]


@primitive
def _place(g: Array, index: Array, n: int) -> Array:
    """The transpose of ``_pick``."""
    x = np.zeros((*g.shape, n), g.dtype)
    np.put_along_axis(x, index[..., None], g[..., None], -1)
    return x


define_rule(_pick, x=lambda g, index, x_shape: _place(g, index, x_shape[-1]))
define_rule(_place, ignores=("n",), g=lambda gg, index: _pick(gg, index))


@primitive
def cross_entropy_of_classes(x: Array, index: Array) -> Array:
    """-log softmax(x)[..., index[...]], for x (..., C)."""
    return kernels.cross_entropy(x, index)


@kernel
def cross_entropy_gradient(g: Any, ans: Any, x: Any, index: Array) -> Any:
    return softmax(x, -1) * g[..., None] - _place(g, index, x.shape[-1])


cross_entropy_gradient.compiled(when=kernels.cross_entropy_gradient_pays)(kernels.cross_entropy_gradient)
define_rule(cross_entropy_of_classes, x=cross_entropy_gradient)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of classes, from logits: -sum_c t_c w_c log softmax(x)_c.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ...).
        target: the classes, (), (N,) or (N, d1, ...), integers from 0 to C - 1; or probabilities of the input's shape.
        weight: of each class, (C,).
        ignore_index: a class that does not count.
        reduction: ``"mean"`` (over classes: weighted by ``weight``), ``"sum"`` or ``"none"``.
        label_smoothing: the part of the target that is spread evenly over all classes.

    Raises:
        ValueError: the shapes do not belong together.
        IndexError: a class is not from 0 to C - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.cross_entropy(np.array([[0.0, 0.0], [0.0, 1000.0]]), np.array([0, 1])))
    0.34657359027997264
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is between 0 and 1, not {label_smoothing}")
    if input.shape == target.shape and target.dtype.kind == "f":
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    x, index, weights = classes_and_weights("cross_entropy", input, target, weight, ignore_index)
    if not label_smoothing:
        return weighted(cross_entropy_of_classes(x, index), weights, reduction)
    logp = log_softmax(x, -1)
    each = np.mean(logp if weight is None else logp * unwrap(weight), axis=-1)  # the mean of all classes' own losses
    if weights is not None:
        each = each * (unwrap(target) != ignore_index)
    nll = weighted(_pick(logp, index), weights, "none")
    loss = nll * (label_smoothing - 1) - each * label_smoothing
    if reduction == "mean" and weights is not None:
        return np.sum(loss) / weights.sum()
    return reduced(loss, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood of classes, from log-probabilities: -w_t x_t. Arguments as ``cross_entropy``.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.nll_loss(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 0])))
    1.0397207708399179
    """
    x, index, weights = classes_and_weights("nll_loss", input, target, weight, ignore_index)
    return weighted(-_pick(x, index), weights, reduction)


def _cross_entropy_of_probabilities(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = 0 if input.ndim == 1 else 1
    target = _target("cross_entropy", input, target)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    if weight is not None:
        target = target * np.reshape(weight, (-1, *[1] * (input.ndim - axis - 1)))
    return reduced(-np.sum(target * log_softmax(input, axis), axis=axis), reduction)


def classes_and_weights(loss: str, input: Any, target: Any, weight: Any, ignore_index: int) -> tuple[Any, Array, Array | None]:
    """The input with the classes last; each target's class, 0 if it does not count; and its weight, None if all are 1."""
    if input.ndim == 0:
        raise ValueError(f"{loss}: expected (C,), (N, C) or (N, C, d1, ...), got ()")
    axis = 0 if input.ndim == 1 else 1
    target, classes = unwrap(target), input.shape[axis]
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"{loss}: for input {input.shape} the target holds classes, of shape {expected}, or probabilities, floats "
            f"of shape {input.shape}; got {target.dtype} of shape {target.shape}"
        )
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{loss}: weight has the shape {(classes,)}, one for each class, not {weight.shape}")
    if target.dtype.kind not in "iu":
        hint = "target.astype(np.int64)" if target.dtype.kind in "bf" else "np.unique(target, return_inverse=True)[1]"
        raise TypeError(f"{loss}: classes are integers from 0 to {classes - 1}, not {target.dtype}; use {hint}")
    index, weights = target, None
    if 0 <= ignore_index < classes or not are_indices(target, classes):  # perhaps some do not count
        counts = target != ignore_index
        if not everywhere(counts):
            index, weights = np.where(counts, target, 0), as_array(counts.astype(input.dtype))
        check_indices(index, classes, "the number of classes")
    if weight is not None:
        of_classes = get_item(unwrap(weight), index)
        weights = as_array(of_classes if weights is None else of_classes * weights).astype(input.dtype, copy=False)
    return np.moveaxis(input, axis, -1) if input.ndim > 2 else input, index, weights


def weighted(loss: Any, weights: Any, reduction: str) -> Any:
    """The weighted mean or sum of losses, or each times its weight; None for weights of 1."""
    if weights is None:
        return reduced(loss, reduction)
    loss = np.where(weights != 0, loss, loss.dtype.type(0)) * weights  # what does not count may be infinite
    if reduction != "mean":
        return reduced(loss, reduction)
    total = weights.sum()
    if everywhere(total != 0):
        return np.sum(loss) / total
    none = total == 0  # the mean of no losses is not a number, but has a gradient of zeros
    number = loss.dtype.type
    return np.sum(loss) / np.where(none, number(1), total) + np.where(none, number(np.nan), number(0))


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Hinge loss of classes: sum over i != t of max(0, margin - x_t + x_i)^p, divided by the number of classes.

    Args:
        input: scores, (N, C) or (C,).
        target: the classes, (N,) or ().
        p: 1 or 2.
        margin: by how much the class's score should be above others.
        weight: of each class, (C,).
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not belong together, or p is neither 1 nor 2.
        IndexError: a class is not from 0 to C - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.multi_margin_loss(np.array([[0.5, 1.0]]), np.array([1])))
    0.25
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is 1 or 2, not {p}")
    if input.ndim > 2:
        raise ValueError(f"multi_margin_loss: expected (N, C) or (C,), got {input.shape}")
    x, index, weights = classes_and_weights("multi_margin_loss", input, target, weight, ignore_index=-1)
    others = np.arange(x.shape[-1]) != index[..., None]
    excess = np.maximum(margin - _pick(x, index)[..., None] + x, 0) * others
    loss = np.sum(excess if p == 1 else np.square(excess), axis=-1) / x.shape[-1]
    return reduced(loss if weights is None else loss * weights, reduction)


# ---- several labels -------------------------------------------------------------------------------------


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Hinge loss of several labels: the sum over labels t and other classes i of max(0, 1 - (x_t - x_i)), divided by C.

    Args:
        input: scores, (N, C) or (C,).
        target: the labels' classes, integers of the same shape; in each row those before the first -1 count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, or are others than that.
        IndexError: a class that counts is not from 0 to C - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.multilabel_margin_loss(np.array([0.1, 0.2, 0.4, 0.8]), np.array([3, 0, -1, 1])).round(2))
    0.85
    """
    target = unwrap(target)
    if input.shape != target.shape or input.ndim not in (1, 2):
        raise ValueError(
            f"multilabel_margin_loss: input and target have one shape, (N, C) or (C,); got {input.shape} and {target.shape}"
        )
    x, labels, classes = np.reshape(input, (-1, input.shape[-1])), np.reshape(target, (-1, input.shape[-1])), input.shape[-1]
    counts = np.logical_and.accumulate(labels != -1, axis=1)
    labels = np.where(counts, labels, 0)
    check_indices(labels, classes, "the number of classes")
    is_label = np.any((labels[..., None] == np.arange(classes)) & counts[..., None], axis=1)
    most = int(all_values(counts).sum(axis=-1).max(initial=0))  # (N, labels, C) is as large as it need be
    chosen = np.take_along_axis(x, labels[:, :most], 1)
    excess = np.maximum(1 - chosen[..., None] + x[:, None], 0) * (counts[:, :most, None] & ~is_label[:, None])
    return reduced(np.reshape(np.sum(excess, axis=(1, 2)) / classes, input.shape[:-1]), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over classes of the cross entropy of each being there or not, from logits.

    Args:
        input: logits, (..., C).
        target: the same shape, 0 or 1.
        weight: of each class, (C,).
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.multilabel_soft_margin_loss(np.zeros((1, 3)), np.array([[1, 0, 1]])))
    0.6931471805599453
    """
    target = _target("multilabel_soft_margin_loss", input, target)
    return reduced(np.mean(binary_cross_entropy_with_logits(input, target, weight, "none"), axis=-1), reduction)


# ---- pairs and triplets ---------------------------------------------------------------------------------


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Logistic loss of two classes: log(1 + exp(-t x)), for t = 1 or -1. Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.soft_margin_loss(np.zeros(2), np.array([1, -1])))
    0.6931471805599453
    """
    return reduced(log_one_plus_exp(-(_target("soft_margin_loss", input, target) * input)), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Of distances: x where t = 1, and max(0, margin - x) where t = -1. Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.hinge_embedding_loss(np.array([0.25, 0.25]), np.array([1, -1]), reduction="none")
    array([0.25, 0.75])
    """
    target = unwrap(_target("hinge_embedding_loss", input, target))
    near = np.where(target == -1, input.dtype.type(0), input)
    return reduced(near + np.where(target == 1, input.dtype.type(0), np.maximum(margin - input, 0)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Of two scores, of which the first should be the larger (t = 1) or the smaller (t = -1): max(0, -t (x1 - x2) + margin).

    Args:
        input1: any shape.
        input2: the same shape.
        target: the same shape, 1 or -1.
        margin: by how much.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> F.margin_ranking_loss(np.array([1.0, 1.0]), np.array([3.0, 0.0]), np.array([1, 1]), reduction="none")
    array([2., 0.])
    """
    difference = input1 - _target("margin_ranking_loss", input1, input2)
    return reduced(np.maximum(margin - _target("margin_ranking_loss", input1, target) * difference, 0), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Of two vectors: 1 - cos(x1, x2) where t = 1, and max(0, cos(x1, x2) - margin) where t = -1.

    Args:
        input1: (N, D) or (D,).
        input2: the same shape.
        target: (N,) or (), 1 or -1.
        margin: from -1 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not belong together.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.cosine_embedding_loss(np.array([1.0, 0.0]), np.array([0.0, 2.0]), np.array(1)))
    1.0
    """
    if input1.shape != input2.shape or input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ValueError(
            "cosine_embedding_loss: expected inputs (N, D) and target (N,), or (D,) and (); "
            f"got {input1.shape}, {input2.shape} and {target.shape}"
        )
    target, least = unwrap(target), 1e-12  # PyTorch's, beside the squares of the lengths
    lengths = [np.sqrt(np.sum(np.square(x), axis=-1) + least) for x in (input1, input2)]
    cosine = np.sum(input1 * input2, axis=-1) / (lengths[0] * lengths[1])
    zero = cosine.dtype.type(0)
    apart = np.where(target == -1, np.maximum(cosine - margin, 0), zero)
    return reduced(np.where(target == 1, 1 - cosine, zero) + apart, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Of vectors a, p and n, where a should be nearer to p than to n: max(0, d(a, p) - d(a, n) + margin).

    Args:
        anchor: (..., D).
        positive: the same shape.
        negative: the same shape.
        margin: by how much.
        p: of the norm; see ``pairwise_distance``.
        eps: likewise.
        swap: whether d(p, n) stands for d(a, n) where it is smaller.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ.

    Source: V. Balntas et al., Learning Shallow Convolutional Feature Descriptors with Triplet Losses (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> a, p, n = np.array([[0.0]]), np.array([[3.0]]), np.array([[1.0]])
    >>> F.triplet_margin_loss(a, p, n, reduction="none").round(4)
    array([3.])
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """``triplet_margin_loss`` for any distance: ``distance_function(x1, x2)``, by default ``pairwise_distance``.

    >>> import numpy as np, chainrule.functional as F
    >>> a, p, n = np.array([[0.0]]), np.array([[3.0]]), np.array([[1.0]])
    >>> float(F.triplet_margin_with_distance_loss(a, p, n, distance_function=lambda x, y: np.square(x - y)[:, 0]))
    9.0
    """
    if margin <= 0:
        raise ValueError(f"triplet loss: margin is positive, not {margin}")
    if not anchor.shape == positive.shape == negative.shape:
        raise ValueError(
            "triplet loss: anchor, positive and negative have one shape; "
            f"got {anchor.shape}, {positive.shape} and {negative.shape}"
        )
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = np.minimum(far, distance(positive, negative))
    return reduced(np.maximum(near - far + margin, 0), reduction)
