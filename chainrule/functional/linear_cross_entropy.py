"""The cross entropy of a linear layer's logits, of which there are never all in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import unwrap
from ..kernels import matmul as kernel
from .fused import Fused
from .linear import linear
from .loss import classes_and_weights, cross_entropy, cross_entropy_gradient, cross_entropy_of_classes, weighted

_LOGITS = 1 << 20  # in memory at a time


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of the classes of x W^T + b, as ``cross_entropy`` of ``linear``.

    The logits, N C numbers and often the largest array of a language model, are computed for some rows at a time, and again for
    the gradient. (Not so for probabilities, ``label_smoothing`` or several losses for each row.)

    Args:
        input: (N, in_features) or (in_features,).
        linear_weight: W, (C, in_features); or (C, d1, ..., in_features) for losses (N, d1, ...).
        target: the classes, (N,), () or (N, d1, ...); or probabilities of the logits' shape (N, C, d1, ...).
        linear_bias: b, of W's shape without the last axis.
        weight, reduction, label_smoothing: as of ``cross_entropy``.
        ignore_index: a class that does not count; by default -100.

    Raises:
        ValueError: the shapes do not belong together, or ``ignore_index`` is given with probabilities.
        IndexError: a class is not from 0 to C - 1.

    >>> import numpy as np, chainrule.functional as F
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> loss = F.linear_cross_entropy(x, w, np.array([2]))
    >>> np.allclose(loss, F.cross_entropy(F.linear(x, w), np.array([2])))
    True
    """
    classes, *inner, in_features = linear_weight.shape
    if input.ndim not in (1, 2) or input.shape[-1] != in_features or (inner and input.ndim == 1) or linear_weight.ndim < 2:
        raise ValueError(
            f"linear_cross_entropy: expected (N, {in_features}) for linear_weight {linear_weight.shape}, got {input.shape}"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise ValueError(f"linear_cross_entropy: linear_bias is of shape {linear_weight.shape[:-1]}, not {linear_bias.shape}")
    shape = (*input.shape[:-1], classes, *inner)
    if ignore_index is not None and target.shape == shape:
        raise ValueError("linear_cross_entropy: ignore_index has no meaning for probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if label_smoothing or inner or target.shape == shape or math.prod(shape) <= _LOGITS:
        if inner:
            linear_weight = np.reshape(linear_weight, (-1, in_features))
            linear_bias = None if linear_bias is None else np.reshape(linear_bias, -1)
        logits = np.reshape(linear(input, linear_weight, linear_bias), shape)
        return cross_entropy(logits, target, weight, ignored, reduction, label_smoothing)
    example = np.broadcast_to(np.zeros((), unwrap(input).dtype), shape)  # takes the logits' place, to have the target checked
    _, index, weights = classes_and_weights("linear_cross_entropy", example, target, weight, ignored)
    given = (input, linear_weight) if linear_bias is None else (input, linear_weight, linear_bias)
    return weighted(_losses(index, max(1, _LOGITS // classes))(*given)[0], weights, reduction)


def _losses(index: Array, rows: int) -> Fused:
    """The losses of the rows of x, W and, where there is one, b, for so many ``rows`` at a time."""

    def composition(x: Any, weight: Any, bias: Any = None) -> tuple[Any]:
        return (cross_entropy_of_classes(linear(x, weight, bias), index),)

    def parts(x: Array) -> Iterable[slice]:
        return (slice(i, i + rows) for i in range(0, len(x), rows))

    def forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[tuple[Array, ...], Any]:
        losses = [cross_entropy_of_classes(kernel.linear(x[part], weight, bias), index[part]) for part in parts(x)]
        return (np.concatenate(losses),), np.concatenate(losses)

    def backward(losses: Array, arrays: tuple[Array, ...], gs: tuple[Array, ...], needed: Any) -> list[Array | None]:
        x, weight, *rest = arrays
        bias, (g,) = rest[0] if rest else None, gs
        gradients = [np.zeros_like(a) if wanted else None for a, wanted in zip(arrays, needed, strict=True)]
        for part in parts(x):
            logits = kernel.linear(x[part], weight, bias)
            slope = cross_entropy_gradient(g[part], losses[part], logits, index[part])
            if gradients[0] is not None:
                gradients[0][part] = kernel.matmul(slope, weight)
            if gradients[1] is not None:
                gradients[1] += kernel.matmul(slope.T, x[part])
            if rest and gradients[2] is not None:
                gradients[2] += kernel.column_sums(slope)
        return gradients

    return Fused("linear_cross_entropy", composition, forward, backward)
