"""Normalisation over a batch, or over the features of one example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import config
from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap


@primitive
def _normalize(
    x: Array, weight: Array | None, bias: Array | None, axes: tuple[int, ...], eps: float
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) weight + bias, with the mean and the variance over ``axes``; and those two."""
    mean = np.mean(x, axis=axes, keepdims=True)
    y = x - mean
    var = np.mean(y * y, axis=axes, keepdims=True)
    y *= 1 / np.sqrt(var + eps)
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y, mean, var


def _normalize_x(g: Any, ans: Any, x: Any, weight: Any, axes: tuple[int, ...], eps: float) -> Any:
    """Of all three results. What depends on the axes alone is put together first: the rest is two passes over x."""
    (gy, gmean, gvar), (_, mean, var) = g, ans
    n = math.prod(x.shape[axis] for axis in axes)
    h = gy if weight is None else gy * weight
    centred = x - mean
    r = 1 / np.sqrt(var + eps)
    slope = r * r * r * np.mean(h * centred, axis=axes, keepdims=True) - gvar * (2 / n)
    return h * r - centred * slope - (r * np.mean(h, axis=axes, keepdims=True) - gmean / n)


define_rule(
    _normalize,
    x=_normalize_x,
    weight=lambda g, ans, x, eps: g[0] * ((x - ans[1]) / np.sqrt(ans[2] + eps)),
    bias=lambda g: g[0],
)


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise the last axes: y = (x - E[x]) / sqrt(Var[x] + eps) weight + bias.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the lengths of the axes over which the mean and the variance are taken.
        weight: normalized_shape.
        bias: normalized_shape.
        eps: added to the variance.

    Raises:
        ValueError: the input does not end with ``normalized_shape``.

    Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.layer_norm(np.array([[1.0, 3.0]]), (2,), eps=0.0)
    array([[-1.,  1.]])
    """
    shape = tuple(normalized_shape)
    if input.shape[max(0, input.ndim - len(shape)) :] != shape:
        raise ValueError(f"expected (..., {', '.join(map(str, shape))}), got {input.shape}")
    return _normalize(input, weight, bias, tuple(range(-len(shape), 0)), eps)[0]


def batch_norm(
    input: Any,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel: y = (x - E[x]) / sqrt(Var[x] + eps) weight + bias.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean: (C,), the mean to use unless ``training``; with ``training`` it is updated in place.
        running_var: (C,), the variance, likewise (of a batch, the unbiased one).
        weight: (C,).
        bias: (C,).
        training: whether the mean and the variance are the batch's own.
        momentum: the new batch's part in the running values.
        eps: added to the variance.

    Raises:
        ValueError: ``training`` with a single value per channel, or no running values without it.

    Source: S. Ioffe, C. Szegedy, Batch Normalization (2015).

    >>> import numpy as np, chainrule.functional as F
    >>> F.batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    axes = (0, *range(2, input.ndim))

    def by_channel(a: Any) -> Any:
        return None if a is None else np.reshape(a, (-1, *[1] * (input.ndim - 2)))

    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm without training needs running_mean and running_var")
        scale = 1 / np.sqrt(running_var + eps)
        if weight is not None:
            scale = scale * weight
        shift = -running_mean * scale
        return input * by_channel(scale) + by_channel(shift if bias is None else shift + bias)

    n = math.prod(input.shape[axis] for axis in axes)
    if n == 1:
        raise ValueError(f"expected more than 1 value per channel when training, got {input.shape}")
    y, mean, var = _normalize(input, by_channel(weight), by_channel(bias), axes, eps)
    for running, batch in ((running_mean, unwrap(mean)), (running_var, unwrap(var) * (n / max(n - 1, 1)))):
        if running is not None and not config.recomputing.get():
            running += momentum * (np.reshape(batch, running.shape) - running)
    return y
