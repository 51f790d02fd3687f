"""Activation functions and their gradients, of one number, for compiled loops; ``functional.activation`` has the formulae.

``number`` gives constants the dtype of the argument: a Python float would make float64 of a float32.
"""

from __future__ import annotations

import math
from typing import Any

from .layer import inlined
from .math import exp, expm1, normal, softplus
from .math import sigmoid as _sigmoid
from .math import tanh as _tanh

_DENSITY = 1 / math.sqrt(2 * math.pi)
_SLOPE, _CUBIC = math.sqrt(2 / math.pi), 0.044715


@inlined
def relu(x: Any) -> Any:
    return type(x)(0) if x < 0 else x


@inlined
def relu_gradient(g: Any, y: Any) -> Any:
    return g if y > 0 else type(g)(0)


@inlined
def hardtanh(x: Any, low: Any, high: Any) -> Any:
    y = low if x < low else x
    return high if y > high else y


@inlined
def hardtanh_gradient(g: Any, x: Any, low: Any, high: Any) -> Any:
    return g if (x > low) & (x < high) else type(g)(0)


@inlined
def leaky_relu(x: Any, slope: Any) -> Any:
    return x if x > 0 else slope * x


@inlined
def leaky_relu_gradient(g: Any, x: Any, slope: Any) -> Any:
    return g if x > 0 else slope * g


@inlined
def elu(x: Any, alpha: Any, scale: Any, rate: Any) -> Any:
    return scale * (x if x > 0 else alpha * expm1(rate * x))


@inlined
def elu_gradient(g: Any, x: Any, alpha: Any, scale: Any, rate: Any) -> Any:
    return g * (scale if x > 0 else scale * alpha * rate * exp(rate * x))


@inlined
def sigmoid(x: Any) -> Any:
    return _sigmoid(x)


@inlined
def sigmoid_gradient(g: Any, y: Any) -> Any:
    return g * (y * (type(g)(1) - y))


@inlined
def tanh(x: Any) -> Any:
    return _tanh(x)


@inlined
def tanh_gradient(g: Any, y: Any) -> Any:
    return g * (type(g)(1) - y * y)


@inlined
def silu(x: Any) -> Any:
    return x * _sigmoid(x)


@inlined
def silu_gradient(g: Any, x: Any) -> Any:
    s, one = _sigmoid(x), type(x)(1)
    return g * (s * (one + x * (one - s)))


@inlined
def gelu(x: Any) -> Any:
    _, below = normal(x)
    return x * below


@inlined
def gelu_gradient(g: Any, x: Any) -> Any:
    power, below = normal(x)
    return g * (below + x * (type(x)(_DENSITY) * power))


@inlined
def gelu_tanh(x: Any) -> Any:
    number = type(x)
    t = _tanh(number(_SLOPE) * x * (number(1) + number(_CUBIC) * x * x))
    return number(0.5) * x * (number(1) + t)


@inlined
def gelu_tanh_gradient(g: Any, x: Any) -> Any:
    number = type(x)
    one, half = number(1), number(0.5)
    t = _tanh(number(_SLOPE) * x * (one + number(_CUBIC) * x * x))
    inner = number(_SLOPE) * (one + number(3 * _CUBIC) * x * x)
    return g * (half * (one + t) + half * x * (one - t * t) * inner)


@inlined
def mish(x: Any) -> Any:
    return x * _tanh(softplus(x))


@inlined
def mish_gradient(g: Any, x: Any) -> Any:
    t = _tanh(softplus(x))
    return g * (t + x * _sigmoid(x) * (type(x)(1) - t * t))


@inlined
def scaled_softplus(x: Any, beta: Any, threshold: Any) -> Any:
    return x if beta * x > threshold else softplus(beta * x) / beta


@inlined
def scaled_softplus_gradient(g: Any, x: Any, beta: Any, threshold: Any) -> Any:
    return g if beta * x > threshold else g * _sigmoid(beta * x)


@inlined
def hardswish(x: Any) -> Any:
    number = type(x)
    t = x + number(3)
    t = number(0) if t < 0 else t
    return x * (number(6) if t > 6 else t) * number(1 / 6)


@inlined
def hardswish_gradient(g: Any, x: Any) -> Any:
    number = type(x)
    inner = g * (x * number(1 / 3) + number(0.5))
    return number(0) if x <= -3 else (g if x >= 3 else inner)


@inlined
def clip_gradient(g: Any, x: Any, low: Any, high: Any) -> Any:
    return g if (x >= low) & (x <= high) else type(g)(0)


@inlined
def threshold(x: Any, limit: Any, value: Any) -> Any:
    return x if x > limit else value


@inlined
def threshold_gradient(g: Any, x: Any, limit: Any) -> Any:
    return g if x > limit else type(g)(0)


@inlined
def hardshrink(x: Any, limit: Any) -> Any:
    return type(x)(0) if math.fabs(x) <= limit else x


@inlined
def shrink_gradient(g: Any, x: Any, limit: Any) -> Any:
    return type(g)(0) if math.fabs(x) <= limit else g


@inlined
def softshrink(x: Any, limit: Any) -> Any:
    return type(x)(0) if math.fabs(x) <= limit else x - math.copysign(limit, x)


@inlined
def hardsigmoid(x: Any) -> Any:
    number = type(x)
    t = x + number(3)
    t = number(0) if t < 0 else t
    return (number(6) if t > 6 else t) * number(1 / 6)


@inlined
def hardsigmoid_gradient(g: Any, x: Any) -> Any:
    return g * type(g)(1 / 6) if (x > -3) & (x < 3) else type(g)(0)


@inlined
def prelu_slope_gradient(g: Any, x: Any) -> Any:
    return type(g)(0) if x > 0 else g * x


@inlined
def gated(a: Any, b: Any) -> Any:
    return a * _sigmoid(b)


@inlined
def gate_gradient(g: Any, a: Any, b: Any) -> Any:
    s = _sigmoid(b)
    return g * a * (s * (type(s)(1) - s))


@inlined
def softsign(x: Any) -> Any:
    return x / (type(x)(1) + math.fabs(x))


@inlined
def softsign_gradient(g: Any, x: Any) -> Any:
    d = type(x)(1) + math.fabs(x)
    return g / (d * d)


@inlined
def tanhshrink(x: Any) -> Any:
    return x - _tanh(x)


@inlined
def tanhshrink_gradient(g: Any, x: Any) -> Any:
    t = _tanh(x)
    return g * (t * t)


@inlined
def logsigmoid(x: Any) -> Any:
    return -softplus(-x)


@inlined
def logsigmoid_gradient(g: Any, x: Any) -> Any:
    return g * _sigmoid(-x)
