"""Activation functions, element by element and along an axis.

Where PyTorch has an argument ``inplace``, it is accepted and changes nothing: the result is a new array all the same, so that
no record loses data that it needs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..calculus.reductions import restored
from ..core.arrays import Array, is_native, sum_to
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import activation as numbers
from ..kernels import softmax as kernels
from ..kernels.elementwise import elementwise
from ..kernels.reduction import total
from ..kernels.special import erf
from ..random import drawn, generator

Axes = int | tuple[int, ...]

# Each function below is a primitive. Its formula, and that of its gradient, stand before it in NumPy's functions: they are what
# runs on small arrays, and what is recorded for derivatives of higher order. Large arrays take the compiled loop that
# ``elementwise`` puts beside them.

# ---- piecewise linear -----------------------------------------------------------------------------------


@elementwise(numbers.relu)
def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


@elementwise(numbers.relu_gradient, arrays=2)
def _relu_gradient(g: Any, ans: Any) -> Any:
    return g * (ans > 0)


@primitive
def relu(input: Array, inplace: bool = False) -> Array:
    """Rectified linear unit: max(x, 0).

    >>> import numpy as np, chainrule.functional as F
    >>> F.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _relu(input)


define_rule(relu, input=_relu_gradient, ignores=["inplace"])


@elementwise(numbers.hardtanh)
def _hardtanh(x: Array, low: float, high: float) -> Array:
    return np.clip(x, low, high)


@elementwise(numbers.hardtanh_gradient, arrays=2)
def _hardtanh_gradient(g: Any, x: Any, low: float, high: float) -> Any:
    return g * ((x > low) & (x < high))


@primitive
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Array:
    """The values from ``min_val`` to ``max_val`` as they are, those beyond cut off: min(max(x, min_val), max_val).

    Raises:
        ValueError: ``min_val`` is larger than ``max_val``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.hardtanh(np.array([-2.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val is {min_val}, larger than max_val, {max_val}")
    return _hardtanh(input, min_val, max_val)


define_rule(
    hardtanh,
    input=lambda g, input, min_val, max_val: _hardtanh_gradient(g, input, min_val, max_val),
    ignores=["inplace"],
)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Rectified linear unit that is cut off at 6: min(max(x, 0), 6).

    Source: A. Howard et al., MobileNets (2017).

    >>> import numpy as np, chainrule.functional as F
    >>> F.relu6(np.array([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0)


@elementwise(numbers.leaky_relu)
def _leaky_relu(x: Array, slope: float) -> Array:
    return x * _slopes(x, slope)


@elementwise(numbers.leaky_relu_gradient, arrays=2)
def _leaky_relu_gradient(g: Any, x: Any, slope: float) -> Any:
    return g * _slopes(x, slope)


def _slopes(x: Any, slope: float) -> Any:
    """1 where x > 0, else ``slope``."""
    return np.where(x > 0, x.dtype.type(1), x.dtype.type(slope))


@primitive
def leaky_relu(input: Array, negative_slope: float = 0.01, inplace: bool = False) -> Array:
    """Leaky rectified linear unit: x where x > 0, else ``negative_slope`` x.

    Source: A. Maas, A. Hannun, A. Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013).

    >>> import numpy as np, chainrule.functional as F
    >>> F.leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return _leaky_relu(input, negative_slope)


define_rule(
    leaky_relu,
    input=lambda g, input, negative_slope: _leaky_relu_gradient(g, input, negative_slope),
    ignores=["inplace"],
)


@primitive
@elementwise(numbers.leaky_relu, arrays=2)
def _prelu(x: Array, slope: Array) -> Array:
    return np.where(x > 0, x, slope * x)


@elementwise(numbers.leaky_relu_gradient, arrays=3)
def _prelu_gradient(g: Any, x: Any, slope: Any) -> Any:
    return g * np.where(unwrap(x) > 0, g.dtype.type(1), slope)


@elementwise(numbers.prelu_slope_gradient, arrays=2)
def _prelu_slope_gradient(g: Any, x: Any) -> Any:
    return g * np.minimum(x, 0)


def _prelu_slopes_gradient(g: Any, x: Any, slope_shape: tuple[int, ...]) -> Any:
    gradient = _prelu_slope_gradient(g, x)
    return sum_to(gradient, slope_shape, total) if is_native(gradient) else gradient


define_rule(_prelu, x=_prelu_gradient, slope=_prelu_slopes_gradient)


def prelu(input: Any, weight: Any) -> Any:
    """Rectified linear unit with a slope that is learnt: x where x > 0, else w x.

    Args:
        input: (N, C, ...), or any shape for one slope.
        weight: the slopes, (C,) or (1,).

    Raises:
        ValueError: there are neither one slope nor as many as channels.

    Source: K. He et al., Delving Deep into Rectifiers (2015).

    >>> import numpy as np, chainrule.functional as F
    >>> F.prelu(np.array([[-1.0, -1.0]]), np.array([0.1, 0.2]))
    array([[-0.1, -0.2]])
    """
    if weight.size != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.shape != (channels,):
            raise ValueError(
                f"prelu: weight has the shape (1,) or ({channels},), a slope for each channel of the input "
                f"{input.shape}; got {weight.shape}"
            )
        weight = np.reshape(weight, (-1, *[1] * (input.ndim - 2)))
    elif weight.ndim > input.ndim:
        weight = np.reshape(weight, ())
    return _prelu(input, weight)


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """Leaky rectified linear unit whose slope is drawn for each element, and without ``training`` is the mean of the two.

    Args:
        input: any shape.
        lower: the smallest slope.
        upper: the largest slope.
        training: whether slopes are random.
        inplace: changes nothing.

    Raises:
        ValueError: ``lower`` is larger than ``upper``.

    Source: B. Xu et al., Empirical Evaluation of Rectified Activations in Convolutional Network (2015).

    >>> import numpy as np, chainrule.functional as F
    >>> F.rrelu(np.array([-1.0, 2.0]), 0.1, 0.3)
    array([-0.2,  2. ])
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower is {lower}, larger than upper, {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    slopes = drawn(lambda size: generator().uniform(lower, upper, size), input.shape).astype(input.dtype)
    return input * np.where(unwrap(input) > 0, input.dtype.type(1), slopes)


@primitive
@elementwise(numbers.threshold)
def _threshold(x: Array, threshold: float, value: float) -> Array:
    return np.where(x > threshold, x, x.dtype.type(value))


@elementwise(numbers.threshold_gradient, arrays=2)
def _threshold_gradient(g: Any, x: Any, threshold: float) -> Any:
    return g * (x > threshold)


define_rule(_threshold, x=lambda g, x, threshold: _threshold_gradient(g, x, threshold), ignores=["value"])


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """X where x > ``threshold``, else ``value``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.threshold(np.array([-1.0, 2.0]), 0.5, -3.0)
    array([-3.,  2.])
    """
    return _threshold(input, threshold, value)


@primitive
@elementwise(numbers.hardshrink)
def _hardshrink(x: Array, limit: float) -> Array:
    return np.where(np.abs(x) <= limit, x.dtype.type(0), x)


@elementwise(numbers.shrink_gradient, arrays=2)
def _shrink_gradient(g: Any, x: Any, limit: float) -> Any:
    return np.where(np.abs(unwrap(x)) <= limit, g.dtype.type(0), g)


define_rule(_hardshrink, x=_shrink_gradient)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """X where abs(x) > ``lambd``, else 0.

    >>> import numpy as np, chainrule.functional as F
    >>> F.hardshrink(np.array([-1.0, 0.2, 2.0]))
    array([-1.,  0.,  2.])
    """
    return _hardshrink(input, lambd)


@primitive
@elementwise(numbers.softshrink)
def _softshrink(x: Array, limit: float) -> Array:
    return np.where(np.abs(x) <= limit, x.dtype.type(0), x - np.copysign(x.dtype.type(limit), x))


define_rule(_softshrink, x=_shrink_gradient)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Nearer to 0 by ``lambd``: x - sign(x) lambd where abs(x) > lambd, else 0.

    Raises:
        ValueError: ``lambd`` is negative.

    >>> import numpy as np, chainrule.functional as F
    >>> F.softshrink(np.array([-1.0, 0.2, 2.0]))
    array([-0.5,  0. ,  1.5])
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd is not negative, but was {lambd}")
    return _softshrink(input, lambd)


@primitive
@elementwise(numbers.hardsigmoid)
def _hardsigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) * (1 / 6)


@elementwise(numbers.hardsigmoid_gradient, arrays=2)
def _hardsigmoid_gradient(g: Any, x: Any) -> Any:
    return g * ((x > -3) & (x < 3)) * (1 / 6)


define_rule(_hardsigmoid, x=_hardsigmoid_gradient)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """The sigmoid in three straight lines: min(max(x / 6 + 1/2, 0), 1).

    >>> import numpy as np, chainrule.functional as F
    >>> F.hardsigmoid(np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return _hardsigmoid(input)


@elementwise(numbers.hardswish)
def _hardswish(x: Array) -> Array:
    return x * np.clip(x + 3, 0, 6) * (1 / 6)


@elementwise(numbers.hardswish_gradient, arrays=2)
def _hardswish_gradient(g: Any, x: Any) -> Any:
    zero, one = x.dtype.type(0), x.dtype.type(1)
    return g * np.where(x <= -3, zero, np.where(x >= 3, one, x * (1 / 3) + 0.5))


@primitive
def hardswish(input: Array, inplace: bool = False) -> Array:
    """The sigmoid linear unit with ``hardsigmoid`` in place of the sigmoid: x min(max(x + 3, 0), 6) / 6.

    Source: A. Howard et al., Searching for MobileNetV3 (2019).

    >>> import numpy as np, chainrule.functional as F
    >>> F.hardswish(np.array([-4.0, 0.0, 4.0]))
    array([-0.,  0.,  4.])
    """
    return _hardswish(input)


define_rule(hardswish, input=lambda g, input: _hardswish_gradient(g, input), ignores=["inplace"])

# ---- sigmoids -------------------------------------------------------------------------------------------


@elementwise(numbers.sigmoid)
def _sigmoid(x: Array) -> Array:
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


@elementwise(numbers.sigmoid_gradient, arrays=2)
def _sigmoid_gradient(g: Any, ans: Any) -> Any:
    return g * (ans * (1 - ans))


@primitive
def sigmoid(input: Array) -> Array:
    """Logistic function: 1 / (1 + exp(-x)).

    >>> import numpy as np, chainrule.functional as F
    >>> F.sigmoid(np.array([0.0, 2.0]))
    array([0.5       , 0.88079708])
    """
    return _sigmoid(input)


define_rule(sigmoid, input=_sigmoid_gradient)


@elementwise(numbers.tanh)
def _tanh(x: Array) -> Array:
    return np.tanh(x)


@elementwise(numbers.tanh_gradient, arrays=2)
def _tanh_gradient(g: Any, ans: Any) -> Any:
    return g * (1 - ans * ans)


@primitive
def tanh(input: Array) -> Array:
    """The hyperbolic tangent.

    >>> import numpy as np, chainrule.functional as F
    >>> F.tanh(np.array([0.0, 1.0]))
    array([0.        , 0.76159416])
    """
    return _tanh(input)


define_rule(tanh, input=_tanh_gradient)


@primitive
@elementwise(numbers.tanhshrink)
def _tanhshrink(x: Array) -> Array:
    return x - np.tanh(x)


@elementwise(numbers.tanhshrink_gradient, arrays=2)
def _tanhshrink_gradient(g: Any, x: Any) -> Any:
    return g * np.square(np.tanh(x))


define_rule(_tanhshrink, x=_tanhshrink_gradient)


def tanhshrink(input: Any) -> Any:
    """X - tanh(x).

    >>> import numpy as np, chainrule.functional as F
    >>> F.tanhshrink(np.array([0.0, 1.0]))
    array([0.        , 0.23840584])
    """
    return _tanhshrink(input)


@primitive
@elementwise(numbers.softsign)
def _softsign(x: Array) -> Array:
    return x / (1 + np.abs(x))


@elementwise(numbers.softsign_gradient, arrays=2)
def _softsign_gradient(g: Any, x: Any) -> Any:
    return g / np.square(1 + np.abs(x))


define_rule(_softsign, x=_softsign_gradient)


def softsign(input: Any) -> Any:
    """X / (1 + abs(x)).

    >>> import numpy as np, chainrule.functional as F
    >>> F.softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return _softsign(input)


# ---- smooth rectifiers ----------------------------------------------------------------------------------


@elementwise(numbers.silu)
def _silu(x: Array) -> Array:
    return x * sigmoid(x)


@elementwise(numbers.silu_gradient, arrays=2)
def _silu_gradient(g: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@primitive
def silu(input: Array, inplace: bool = False) -> Array:
    """Sigmoid linear unit, also called swish: x sigmoid(x).

    Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.silu(np.array([0.0, 1.0]))
    array([0.        , 0.73105858])
    """
    return _silu(input)


define_rule(silu, input=lambda g, input: _silu_gradient(g, input), ignores=["inplace"])


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
@elementwise(numbers.gelu)
def _gelu(x: Array) -> Array:
    return x * _normal_cdf(x)


@elementwise(numbers.gelu_gradient, arrays=2)
def _gelu_gradient(g: Any, x: Any) -> Any:
    return g * (_normal_cdf(x) + x * _normal_density(x))


define_rule(_normal_cdf, x=lambda g, x: g * _normal_density(x))
define_rule(_gelu, x=_gelu_gradient)

_GELU_SLOPE = math.sqrt(2 / math.pi)


@primitive
@elementwise(numbers.gelu_tanh)
def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(_GELU_SLOPE * x * (1 + 0.044715 * x * x)))


@elementwise(numbers.gelu_tanh_gradient, arrays=2)
def _gelu_tanh_gradient(g: Any, x: Any) -> Any:
    t = np.tanh(_GELU_SLOPE * x * (1 + 0.044715 * x * x))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (_GELU_SLOPE * (1 + 3 * 0.044715 * x * x)))


define_rule(_gelu_tanh, x=_gelu_tanh_gradient)


@elementwise(numbers.mish)
def _mish(x: Array) -> Array:
    return x * np.tanh(log_one_plus_exp(x))


@elementwise(numbers.mish_gradient, arrays=2)
def _mish_gradient(g: Any, x: Any) -> Any:
    t = np.tanh(log_one_plus_exp(x))
    return g * (t + x * sigmoid(x) * (1 - t * t))


@primitive
def mish(input: Array, inplace: bool = False) -> Array:
    """X tanh(log(1 + exp(x))).

    Source: D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function (2019).

    >>> import numpy as np, chainrule.functional as F
    >>> F.mish(np.array([0.0, 1.0]))
    array([0.        , 0.86509839])
    """
    return _mish(input)


define_rule(mish, input=lambda g, input: _mish_gradient(g, input), ignores=["inplace"])


@primitive
@elementwise(numbers.elu)
def _elu(x: Array, alpha: float, scale: float, rate: float) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * rate))


@elementwise(numbers.elu_gradient, arrays=2)
def _elu_gradient(g: Any, x: Any, alpha: float, scale: float, rate: float) -> Any:
    positive = x > 0
    falling = np.exp(np.where(positive, x.dtype.type(0), x) * rate) * (scale * alpha * rate)
    return g * np.where(positive, x.dtype.type(scale), falling)


define_rule(_elu, x=_elu_gradient)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Exponential linear unit: x where x > 0, else alpha (exp(x) - 1).

    Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning by ELUs (2015).

    >>> import numpy as np, chainrule.functional as F
    >>> F.elu(np.array([-1.0, 2.0]))
    array([-0.63212056,  2.        ])
    """
    return _elu(input, alpha, 1.0, 1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """Exponential linear unit, scaled so that layers keep mean 0 and variance 1: s x where x > 0, else s alpha (exp(x) - 1).

    Source: G. Klambauer et al., Self-Normalizing Neural Networks (2017).

    >>> import numpy as np, chainrule.functional as F
    >>> F.selu(np.array([-1.0, 2.0]))
    array([-1.11133074,  2.10140197])
    """
    return _elu(input, 1.6732632423543772, 1.0507009873554805, 1.0)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Exponential linear unit whose derivative is continuous for any alpha: max(x, 0) + min(0, alpha (exp(x / alpha) - 1)).

    Raises:
        ZeroDivisionError: ``alpha`` is 0.

    Source: J. T. Barron, Continuously Differentiable Exponential Linear Units (2017).

    >>> import numpy as np, chainrule.functional as F
    >>> F.celu(np.array([-1.0, 2.0]), 2.0)
    array([-0.78693868,  2.        ])
    """
    return _elu(input, alpha, 1.0, 1 / alpha)


@primitive
@elementwise(numbers.scaled_softplus)
def _softplus(x: Array, beta: float, threshold: float) -> Array:
    scaled = x * beta
    return np.where(scaled > threshold, x, (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta)


@elementwise(numbers.scaled_softplus_gradient, arrays=2)
def _softplus_gradient(g: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return g * np.where(scaled > threshold, x.dtype.type(1), sigmoid(scaled))


define_rule(_softplus, x=_softplus_gradient)


def log_one_plus_exp(x: Any) -> Any:
    """log(1 + exp(x)), for any x."""
    return _softplus(x, 1.0, math.inf)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth rectifier: log(1 + exp(beta x)) / beta, and x itself where beta x > ``threshold``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.softplus(np.array([0.0, 100.0]))
    array([  0.69314718, 100.        ])
    """
    return _softplus(input, beta, threshold)


@primitive
@elementwise(numbers.logsigmoid)
def _logsigmoid(x: Array) -> Array:
    return -log_one_plus_exp(-x)


@elementwise(numbers.logsigmoid_gradient, arrays=2)
def _logsigmoid_gradient(g: Any, x: Any) -> Any:
    return g * sigmoid(-x)


define_rule(_logsigmoid, x=_logsigmoid_gradient)


def logsigmoid(input: Any) -> Any:
    """Logarithm of the sigmoid: -log(1 + exp(-x)).

    >>> import numpy as np, chainrule.functional as F
    >>> F.logsigmoid(np.array([0.0, -1000.0]))
    array([-6.93147181e-01, -1.00000000e+03])
    """
    return _logsigmoid(input)


@elementwise(numbers.gated, arrays=2)
def _gated(a: Any, b: Any) -> Any:
    return a * sigmoid(b)


@elementwise(numbers.gate_gradient, arrays=3)
def _gate_gradient(g: Any, a: Any, b: Any) -> Any:
    s = sigmoid(b)
    return g * a * (s * (1 - s))


@primitive
def _glu(x: Array, dim: int) -> Array:
    return _gated(*_halves(x, dim))


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    before, n = (slice(None),) * (dim % x.ndim), x.shape[dim] // 2
    return x[(*before, slice(0, n))], x[(*before, slice(n, None))]


def _glu_gradient(g: Any, x: Any, dim: int) -> Any:
    a, b = _halves(x, dim)
    return np.concatenate([_gated(g, b), _gate_gradient(g, a, b)], axis=dim)


define_rule(_glu, x=_glu_gradient)


def glu(input: Any, dim: int = -1) -> Any:
    """Gated linear unit: a sigmoid(b), for the two halves of the input along ``dim``.

    Raises:
        ValueError: that axis's length is odd.

    Source: Y. Dauphin et al., Language Modeling with Gated Convolutional Networks (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.glu(np.array([1.0, 2.0, 0.0, 0.0]))
    array([0.5, 1. ])
    """
    if input.ndim == 0 or input.shape[dim] % 2:
        raise ValueError(f"glu: axis {dim} is halved, but the input is {input.shape}")
    return _glu(input, dim)


# ---- along an axis --------------------------------------------------------------------------------------


@primitive
def softmax(input: Array, dim: Axes = -1) -> Array:
    """Exponentials that sum to one along ``dim``: exp(x_i) / sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return kernels.softmax(input, dim)


define_rule(softmax, input=lambda g, ans, dim: kernels.softmax_gradient(g, ans, dim))


def softmin(input: Any, dim: Axes = -1) -> Any:
    """Softmax of -x.

    >>> import numpy as np, chainrule.functional as F
    >>> F.softmin(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return softmax(-input, dim)


@primitive
def log_softmax(input: Array, dim: Axes = -1) -> Array:
    """Logarithm of the softmax along ``dim``: x_i - log sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return kernels.log_softmax(input, dim)


define_rule(log_softmax, input=lambda g, ans, dim: kernels.log_softmax_gradient(g, ans, dim))


@primitive
def logsumexp(input: Array, dim: Axes, keepdim: bool = False) -> Array:
    """Logarithm of the sum of exponentials along ``dim``: log sum_j exp(x_j).

    >>> import numpy as np, chainrule.functional as F
    >>> F.logsumexp(np.array([1000.0, 1000.0]), 0)
    array(1000.69314718)
    """
    y = kernels.logsumexp(input, dim)
    return y if keepdim else np.asarray(np.squeeze(y, axis=dim))


def _logsumexp(g: Any, ans: Any, input: Any, dim: Axes) -> Any:
    """What each element adds; nothing does where the sum is empty, or of exp(-inf) alone."""
    g, ans = (restored(x, dim, input.shape) for x in (g, ans))
    return kernels.share(g, input, np.where(np.isneginf(unwrap(ans)), 0, ans))


define_rule(logsumexp, input=_logsumexp, ignores=("keepdim",))


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    """A random category from logits, that gradients flow through: softmax((x + Gumbel noise) / tau).

    Args:
        logits: (..., C) for ``dim`` = -1.
        tau: the temperature; the lower, the nearer to one-hot.
        hard: whether the result is one-hot, with the gradient of the soft one.
        dim: the axis of the categories.

    Raises:
        ValueError: ``tau`` is not positive.

    Source: E. Jang, S. Gu, B. Poole, Categorical Reparameterization with Gumbel-Softmax (2016).

    >>> import numpy as np, chainrule.functional as F
    >>> F.gumbel_softmax(np.array([0.0, 1000.0]), hard=True)
    array([0., 1.])
    """
    if tau <= 0:
        raise ValueError(f"gumbel_softmax: the temperature tau is positive, not {tau}")
    noise = drawn(lambda size: generator().gumbel(size=size), logits.shape).astype(logits.dtype)
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen = np.zeros_like(unwrap(soft))
    np.put_along_axis(chosen, np.expand_dims(np.argmax(unwrap(soft), axis=dim), dim), 1, axis=dim)
    return soft + (chosen - unwrap(soft))
