"""Losses: how far a prediction is from its target.

``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``. An input and a target of different shapes are an error, never broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..calculus.indexing import get_item
from ..core.arrays import Array, as_array
from ..core.batched import Batched, all_values, everywhere
from ..core.variable import Variable
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import loss as kernels
from ..kernels.layer import kernel
from .activation import log_one_plus_exp, log_softmax, softmax
from .embedding import check_indices


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return np.mean(loss)
    if reduction == "sum":
        return np.sum(loss)
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


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error: (x - t)^2.

    Args:
        input: any shape.
        target: the same shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    return _reduced(np.square(input - _target("mse_loss", input, target)), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Absolute error: |x - t|. Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    return _reduced(np.abs(input - _target("l1_loss", input, target)), reduction)


@primitive
def _huber(d: Array, delta: float) -> Array:
    inner = np.clip(d, -delta, delta)
    return inner * (d - 0.5 * inner)


define_rule(_huber, d=lambda g, d, delta: g * np.clip(d, -delta, delta))


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Huber's loss: d^2 / 2 where |d| = |x - t| <= delta, else delta (|d| - delta / 2). Arguments as ``mse_loss``.

    Source: P. J. Huber, Robust Estimation of a Location Parameter (1964).

    >>> import numpy as np, chainrule.functional as F
    >>> F.huber_loss(np.array([1.0, 4.0]), np.zeros(2), reduction="none")
    array([0.5, 3.5])
    """
    if delta <= 0:
        raise ValueError(f"delta is positive, not {delta}")
    return _reduced(_huber(input - _target("huber_loss", input, target), delta), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Absolute error, rounded off near zero: ``huber_loss`` of delta = beta, divided by beta; ``l1_loss`` for beta = 0.

    Arguments as ``mse_loss``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.smooth_l1_loss(np.array([1.0, 4.0]), np.zeros(2), reduction="none", beta=2.0)
    array([0.25, 3.  ])
    """
    if beta < 0:
        raise ValueError(f"beta is not negative, but was {beta}")
    d = input - _target("smooth_l1_loss", input, target)
    return _reduced(_huber(d, beta) / beta if beta else np.abs(d), reduction)


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
    return _reduced(loss if weight is None else loss * weight, reduction)


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
    positive = log_one_plus_exp(-input)
    if pos_weight is not None:
        positive = positive * (1 + (pos_weight - 1) * target)
    loss = (1 - target) * input + positive
    return _reduced(loss if weight is None else loss * weight, reduction)


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
    return np.sum(loss) / input.shape[0] if reduction == "batchmean" else _reduced(loss, reduction)


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
def _cross_entropy_of_classes(x: Array, index: Array) -> Array:
    """-log softmax(x)[..., index[...]], for x (..., C)."""
    return kernels.cross_entropy(x, index)


@kernel
def _cross_entropy_gradient(g: Any, ans: Any, x: Any, index: Array) -> Any:
    return softmax(x, -1) * g[..., None] - _place(g, index, x.shape[-1])


_cross_entropy_gradient.compiled(when=kernels.cross_entropy_gradient_pays)(kernels.cross_entropy_gradient)
define_rule(_cross_entropy_of_classes, x=_cross_entropy_gradient)


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
    x, index, weights = _classes("cross_entropy", input, target, weight, ignore_index)
    if not label_smoothing:
        return _weighted(_cross_entropy_of_classes(x, index), weights, reduction)
    logp = log_softmax(x, -1)
    each = np.mean(logp if weight is None else logp * unwrap(weight), axis=-1)  # the mean of all classes' own losses
    if weights is not None:
        each = each * (unwrap(target) != ignore_index)
    nll = _weighted(_pick(logp, index), weights, "none")
    loss = nll * (label_smoothing - 1) - each * label_smoothing
    if reduction == "mean" and weights is not None:
        return np.sum(loss) / weights.sum()
    return _reduced(loss, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood of classes, from log-probabilities: -w_t x_t. Arguments as ``cross_entropy``.

    >>> import numpy as np, chainrule.functional as F
    >>> float(F.nll_loss(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 0])))
    1.0397207708399179
    """
    x, index, weights = _classes("nll_loss", input, target, weight, ignore_index)
    return _weighted(-_pick(x, index), weights, reduction)


def _cross_entropy_of_probabilities(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = 0 if input.ndim == 1 else 1
    target = _target("cross_entropy", input, target)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    if weight is not None:
        target = target * np.reshape(weight, (-1, *[1] * (input.ndim - axis - 1)))
    return _reduced(-np.sum(target * log_softmax(input, axis), axis=axis), reduction)


def _classes(loss: str, input: Any, target: Any, weight: Any, ignore_index: int) -> tuple[Any, Array, Array | None]:
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
    counts = target != ignore_index
    index = target if everywhere(counts) else np.where(counts, target, 0)
    check_indices(index, classes, "the number of classes")
    if weight is not None:
        weights = as_array(get_item(unwrap(weight), index) * counts).astype(input.dtype, copy=False)
    else:
        weights = None if index is target else as_array(counts.astype(input.dtype))
    return np.moveaxis(input, axis, -1) if input.ndim > 2 else input, index, weights


def _weighted(loss: Any, weights: Array | None, reduction: str) -> Any:
    if weights is None:
        return _reduced(loss, reduction)
    loss = loss * weights
    return np.sum(loss) / weights.sum() if reduction == "mean" else _reduced(loss, reduction)
