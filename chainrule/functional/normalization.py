"""Normalisation over a batch, or over the features of one example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import config
from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import normalization as kernel

# ---- over the features of one example -------------------------------------------------------------------


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
    return _normalized_rows(input, weight, bias, normalized_shape, eps, True)


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root of the mean square over the last axes: y = x / sqrt(E[x^2] + eps) weight.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the lengths of the axes over which the mean is taken.
        weight: normalized_shape.
        eps: added to the mean square; by default the dtype's machine epsilon.

    Raises:
        ValueError: the input does not end with ``normalized_shape``.

    Source: B. Zhang, R. Sennrich, Root Mean Square Layer Normalization (2019).

    >>> import numpy as np, chainrule.functional as F
    >>> F.rms_norm(np.array([[3.0, 4.0, 0.0, 0.0]]), (4,))
    array([[1.2, 1.6, 0. , 0. ]])
    """
    if eps is None:
        eps = float(np.finfo(input.dtype).eps)
    return _normalized_rows(input, weight, None, normalized_shape, eps, False)


def _normalized_rows(x: Any, weight: Any, bias: Any, normalized_shape: Sequence[int], eps: float, centred: bool) -> Any:
    shape = tuple(normalized_shape)
    if not shape:
        raise ValueError("normalized_shape has at least one length, of the axes that are normalised")
    if x.shape[max(0, x.ndim - len(shape)) :] != shape:
        raise ValueError(f"expected (..., {', '.join(map(str, shape))}), got {x.shape}")
    y, mean, scale = kernel.normalize_rows(unwrap(x), unwrap(weight), unwrap(bias), len(shape), eps, centred)
    return _as_normalized_rows([x, weight, bias], y, mean, scale, len(shape), eps, centred)


@primitive
def _as_normalized_rows(
    arrays: list[Array | None], y: Array, mean: Array, scale: Array, last: int, eps: float, centred: bool
) -> Array:
    """``y``, recorded as what the kernel has made of ``arrays``: the input, the weight and the bias."""
    return y


def _normalized_rows_gradients(
    g: Any, arrays: Any, arrays_shapes: Any, mean: Array, scale: Array, last: int, eps: float, centred: bool
) -> Any:
    return kernel.normalize_rows_backward(g, *arrays, mean, scale, last, eps, centred)


define_rule(_as_normalized_rows, ignores=("y",), arrays=_normalized_rows_gradients)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each group of channels of each example: y = (x - E[x]) / sqrt(Var[x] + eps) weight + bias.

    Args:
        input: (N, C, ...).
        num_groups: into how many groups of neighbouring channels C is divided.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.

    Raises:
        ValueError: C cannot be divided into ``num_groups``.

    Source: Y. Wu, K. He, Group Normalization (2018).

    >>> import numpy as np, chainrule.functional as F
    >>> F.group_norm(np.array([[1.0, 3.0, 0.0, 4.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise ValueError(f"expected (N, C, ...) with C divisible into {num_groups} groups, got {input.shape}")
    return _normalized_channels(input, weight, bias, num_groups, False, eps)[0]


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide by what the neighbouring channels hold: y[c] = x[c] / (k + alpha / size sum over size channels of x^2)^beta.

    Args:
        input: (N, C, ...).
        size: how many channels, those from c - size // 2 on; beyond the first and the last there are zeros.
        alpha, beta, k: constants of the formula.

    Raises:
        ValueError: the input has no channels.

    Source: A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural Networks (2012).

    >>> import numpy as np, chainrule.functional as F
    >>> F.local_response_norm(np.array([[1.0, 2.0]]), 2, alpha=2.0, beta=1.0)
    array([[0.5       , 0.33333333]])
    """
    if input.ndim < 2:
        raise ValueError(f"expected (N, C, ...), got {input.shape}")
    channels = input.shape[1]
    rest = [(0, 0)] * (input.ndim - 2)
    squares = np.pad(np.square(input), [(0, 0), (size // 2, (size - 1) // 2), *rest])
    total = sum(squares[:, i : i + channels] for i in range(size))
    return input / (k + alpha / size * total) ** beta


def normalize(input: Any, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Any:
    """Divide by the p-norm: y = x / max(norm of x over ``dim``, eps).

    >>> import numpy as np, chainrule.functional as F
    >>> F.normalize(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    axis: Any = dim
    norm = np.linalg.vector_norm(input, ord=p, axis=axis, keepdims=True)
    return input / np.maximum(norm, eps)


# ---- over a batch ---------------------------------------------------------------------------------------


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
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm without training needs running_mean and running_var")
        return _standardized_channels([input, weight, bias], running_mean, running_var, eps)
    if input.ndim < 2:
        raise ValueError(f"expected (N, C) or (N, C, ...), got {input.shape}")
    n = math.prod(input.shape[axis] for axis in (0, *range(2, input.ndim)))
    if n == 1:
        raise ValueError(f"expected more than 1 value per channel when training, got {input.shape}")
    y, mean, var = _normalized_channels(input, weight, bias, input.shape[1], True, eps)
    if n:
        _update(running_mean, mean[0], momentum)
        _update(running_var, var[0] * (n / (n - 1)), momentum)
    return y


def instance_norm(
    input: Any,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each example: y = (x - E[x]) / sqrt(Var[x] + eps) weight + bias.

    Args:
        input: (N, C, ...), with at least one axis more.
        running_mean: (C,), the mean to use unless ``use_input_stats``; with it, updated in place by the examples' mean.
        running_var: (C,), the variance, likewise (of an example, the unbiased one).
        weight: (C,).
        bias: (C,).
        use_input_stats: whether the mean and the variance are the example's own.
        momentum: the new batch's part in the running values.
        eps: added to the variance.

    Raises:
        ValueError: ``use_input_stats`` with a single value per channel, or no running values without it.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, Instance Normalization (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
    array([[[-1.,  1.]]])
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm without use_input_stats needs running_mean and running_var")
        return _standardized_channels([input, weight, bias], running_mean, running_var, eps)
    n = math.prod(input.shape[2:])
    if n == 1:
        raise ValueError(f"expected more than 1 value per channel of an example, got {input.shape}")
    y, mean, var = _normalized_channels(input, weight, bias, input.shape[1], False, eps)
    if n and len(input):
        _update(running_mean, np.mean(mean, axis=0), momentum)
        _update(running_var, np.mean(var, axis=0) * (n / (n - 1)), momentum)
    return y


def _normalized_channels(x: Any, weight: Any, bias: Any, groups: int, together: bool, eps: float) -> tuple[Any, Array, Array]:
    y, mean, variance = kernel.normalize_channels(unwrap(x), unwrap(weight), unwrap(bias), groups, together, eps)
    return _as_normalized_channels([x, weight, bias], y, mean, variance, groups, together, eps), mean, variance


@primitive
def _as_normalized_channels(
    arrays: list[Array | None], y: Array, mean: Array, variance: Array, groups: int, together: bool, eps: float
) -> Array:
    """``y``, recorded as what the kernel has made of ``arrays``: the input, the weight and the bias."""
    return y


def _normalized_channels_gradients(
    g: Any, arrays: Any, arrays_shapes: Any, mean: Array, variance: Array, groups: int, together: bool, eps: float
) -> Any:
    return kernel.normalize_channels_backward(g, *arrays, mean, variance, groups, together, eps)


define_rule(_as_normalized_channels, ignores=("y",), arrays=_normalized_channels_gradients)


@primitive
def _standardized_channels(arrays: list[Array | None], mean: Array, variance: Array, eps: float) -> Array:
    return kernel.standardize_channels(*arrays, mean, variance, eps)


def _standardized_channels_gradients(g: Any, arrays: Any, arrays_shapes: Any, mean: Array, variance: Array, eps: float) -> Any:
    return kernel.standardize_channels_backward(g, *arrays, mean, variance, eps)


define_rule(_standardized_channels, arrays=_standardized_channels_gradients)


def _update(running: Array | None, batch: Array, momentum: float) -> None:
    """Bring the running mean or variance nearer to the batch's; not where a forward pass is run again."""
    if running is not None and not config.recomputing.get():
        running += momentum * (np.reshape(batch, running.shape) - running)
