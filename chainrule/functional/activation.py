"""Activation functions, element by element and along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive
from ..kernels.special import erf

Axes = int | tuple[int, ...]


@primitive
def relu(input: Array) -> Array:
    """Rectified linear unit: max(x, 0).

    >>> import numpy as np, chainrule.functional as F
    >>> F.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return np.maximum(input, 0)


define_rule(relu, input=lambda g, ans: g * (ans > 0))


@primitive
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    """Leaky rectified linear unit: x where x > 0, else ``negative_slope`` x.

    >>> import numpy as np, chainrule.functional as F
    >>> F.leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return input * _slopes(input, negative_slope)


def _slopes(x: Any, negative_slope: float) -> Any:
    """1 where x > 0, else ``negative_slope``."""
    return np.where(x > 0, x.dtype.type(1), x.dtype.type(negative_slope))


define_rule(leaky_relu, input=lambda g, input, negative_slope: g * _slopes(input, negative_slope))


@primitive
def sigmoid(input: Array) -> Array:
    """Logistic function: 1 / (1 + exp(-x)).

    >>> import numpy as np, chainrule.functional as F
    >>> F.sigmoid(np.array([0.0, 2.0]))
    array([0.5       , 0.88079708])
    """
    largest = math.floor(math.log(np.finfo(input.dtype).max)) if input.dtype.kind == "f" else 709
    return 1 / (1 + np.exp(np.minimum(-input, largest)))


define_rule(sigmoid, input=lambda g, ans: g * (ans * (1 - ans)))

tanh = np.tanh


@primitive
def silu(input: Array) -> Array:
    """Sigmoid linear unit, also called swish: x sigmoid(x).

    Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.silu(np.array([0.0, 1.0]))
    array([0.        , 0.73105858])
    """
    return input * sigmoid(input)


def _silu_gradient(g: Any, input: Any) -> Any:
    s = sigmoid(input)
    return g * (s * (1 + input * (1 - s)))


define_rule(silu, input=_silu_gradient)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit: x P(Z <= x) for a standard normal Z, or its approximation by a tanh.

    Args:
        input: any shape.
        approximate: ``"none"``, or ``"tanh"`` for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Raises:
        ValueError: ``approximate`` is something else.

    Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.gelu(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_tanh(input)
    raise ValueError(f"approximate is 'none' or 'tanh', not {approximate!r}")


@primitive
def _normal_cdf(x: Array) -> Array:
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


@primitive
def _gelu(x: Array) -> Array:
    return x * _normal_cdf(x)


define_rule(_normal_cdf, x=lambda g, x: g * _normal_density(x))
define_rule(_gelu, x=lambda g, x: g * (_normal_cdf(x) + x * _normal_density(x)))

_GELU_SLOPE = math.sqrt(2 / math.pi)


@primitive
def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(_GELU_SLOPE * x * (1 + 0.044715 * x * x)))


def _gelu_tanh_gradient(g: Any, x: Any) -> Any:
    t = np.tanh(_GELU_SLOPE * x * (1 + 0.044715 * x * x))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (_GELU_SLOPE * (1 + 3 * 0.044715 * x * x)))


define_rule(_gelu_tanh, x=_gelu_tanh_gradient)


@primitive
def log_one_plus_exp(x: Array) -> Array:
    """log(1 + exp(x)), for any x."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


define_rule(log_one_plus_exp, x=lambda g, x: g * sigmoid(x))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth rectifier: log(1 + exp(beta x)) / beta, and x itself where beta x > ``threshold``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.softplus(np.array([0.0, 100.0]))
    array([  0.69314718, 100.        ])
    """
    return np.where(input * beta > threshold, input, log_one_plus_exp(input * beta) / beta)


# ---- along an axis --------------------------------------------------------------------------------------


@primitive
def softmax(input: Array, dim: Axes = -1) -> Array:
    """Exponentials that sum to one along ``dim``: exp(x_i) / sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    y = input - np.max(input, axis=dim, keepdims=True)
    np.exp(y, out=y)
    y /= np.sum(y, axis=dim, keepdims=True)
    return y


define_rule(softmax, input=lambda g, ans, dim: (g - np.sum(g * ans, axis=dim, keepdims=True)) * ans)


@primitive
def log_softmax(input: Array, dim: Axes = -1) -> Array:
    """Logarithm of the softmax along ``dim``: x_i - log sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    y = input - np.max(input, axis=dim, keepdims=True)
    y -= np.log(np.sum(np.exp(y), axis=dim, keepdims=True))
    return y


define_rule(log_softmax, input=lambda g, ans, dim: g - np.exp(ans) * np.sum(g, axis=dim, keepdims=True))


@primitive
def logsumexp(input: Array, dim: Axes, keepdim: bool = False) -> Array:
    """Logarithm of the sum of exponentials along ``dim``: log sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.logsumexp(np.array([1000.0, 1000.0]), 0)
    array(1000.69314718)
    """
    top = np.max(input, axis=dim, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # the logarithm of no element, or of none but exp(-inf)
        y = np.log(np.sum(np.exp(input - top), axis=dim, keepdims=True)) + top
    return y if keepdim else np.asarray(np.squeeze(y, axis=dim))


define_rule(
    logsumexp,
    input=lambda g, input, dim, keepdim: softmax(input, dim) * (g if keepdim else np.expand_dims(g, dim)),
)
