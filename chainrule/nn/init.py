"""Initial values, written into a Parameter (or another Variable) in place; each function returns it.

Random numbers come from ``chainrule.random``, so that ``manual_seed`` makes them the same in each run, or from a ``generator``
of one's own.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from ..core.arrays import Array
from ..core.variable import Variable
from ..random import generator as default_generator

V = TypeVar("V", bound=Variable)
Random = np.random.Generator


def _random(generator: Random | None) -> Random:
    return default_generator() if generator is None else generator


def _fill(tensor: V, values: Array | float) -> V:
    tensor.data[...] = values
    tensor.data = tensor.data  # tells the tape
    return tensor


def uniform_(tensor: V, a: float = 0.0, b: float = 1.0, generator: Random | None = None) -> V:
    """Uniform from ``a`` to ``b``."""
    return _fill(tensor, _random(generator).uniform(a, b, tensor.shape))


def normal_(tensor: V, mean: float = 0.0, std: float = 1.0, generator: Random | None = None) -> V:
    """Normal, of the given mean and standard deviation."""
    return _fill(tensor, _random(generator).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: V, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Random | None = None
) -> V:
    """Normal, of what lies between ``a`` and ``b``: other values are drawn again.

    Raises:
        ValueError: hardly any values lie there.
    """
    distribution = NormalDist(mean, std)
    if distribution.cdf(b) - distribution.cdf(a) < 1e-3:
        raise ValueError(f"fewer than one in 1000 values of the normal distribution ({mean}, {std}) lie between {a} and {b}")
    random = _random(generator)
    values = random.normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = random.normal(mean, std, outside.sum())
    return _fill(tensor, values)


def constant_(tensor: V, val: float) -> V:
    """Everywhere ``val``."""
    return _fill(tensor, val)


def zeros_(tensor: V) -> V:
    """Zeros."""
    return _fill(tensor, 0.0)


def ones_(tensor: V) -> V:
    """Ones."""
    return _fill(tensor, 1.0)


def eye_(tensor: V) -> V:
    """The identity matrix, with more zeros where it is not square.

    Raises:
        ValueError: not two axes.
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_ needs two axes, got {tensor.shape}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: V, groups: int = 1) -> V:
    """The weight of a convolution that returns its input: 1 where input and output channel are the same, at the centre.

    Args:
        tensor: (out_channels, in_channels / groups, ...), of three to five axes.
        groups: how many groups of output channels do so, each.

    Raises:
        ValueError: another number of axes, or output channels that cannot be divided into the groups.
    """
    if not 3 <= tensor.ndim <= 5:
        raise ValueError(f"dirac_ needs three to five axes, got {tensor.shape}")
    if tensor.shape[0] % groups:
        raise ValueError(f"{tensor.shape[0]} output channels cannot be divided into {groups} groups")
    values = np.zeros(tensor.shape)
    channels = np.arange(tensor.shape[0]) % (tensor.shape[0] // groups)
    (outputs,) = np.nonzero(channels < tensor.shape[1])
    centre: Any = tuple(n // 2 for n in tensor.shape[2:])
    values[(..., *centre)][outputs, channels[outputs]] = 1
    return _fill(tensor, values)


def sparse_(tensor: V, sparsity: float, std: float = 0.01, generator: Random | None = None) -> V:
    """Normal, but for the part ``sparsity`` of each column, which is 0.

    Raises:
        ValueError: not two axes.

    Source: J. Martens, Deep learning via Hessian-free optimization (2010).
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_ needs two axes, got {tensor.shape}")
    random, rows = _random(generator), tensor.shape[0]
    values = random.normal(0.0, std, tensor.shape)
    order = np.argsort(random.random(tensor.shape), axis=0)[: math.ceil(sparsity * rows)]
    np.put_along_axis(values, order, 0.0, axis=0)
    return _fill(tensor, values)


def orthogonal_(tensor: V, gain: float = 1.0, generator: Random | None = None) -> V:
    """An orthogonal matrix (of the first axis against all others) times ``gain``.

    Raises:
        ValueError: fewer than two axes.

    Source: A. Saxe, J. McClelland, S. Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks (2013).
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_ needs two axes or more, got {tensor.shape}")
    rows, columns = tensor.shape[0], tensor.size // max(tensor.shape[0], 1)
    q, r = np.linalg.qr(_random(generator).normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes it uniform over all orthogonal matrices
    return _fill(tensor, gain * np.reshape(q if rows >= columns else q.T, tensor.shape))


_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity; ``param`` is the negative slope of ``"leaky_relu"``.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}; known are leaky_relu, {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def fans(tensor: Variable) -> tuple[int, int]:
    """How many inputs each output of a weight depends on, and how many outputs each input influences."""
    if tensor.ndim < 2:
        raise ValueError(f"the numbers of inputs and outputs need two axes or more, got {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def xavier_uniform_(tensor: V, gain: float = 1.0, generator: Random | None = None) -> V:
    """Uniform from -a to a, where a = gain sqrt(6 / (fan_in + fan_out)).

    Source: X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: V, gain: float = 1.0, generator: Random | None = None) -> V:
    """Normal of standard deviation gain sqrt(2 / (fan_in + fan_out)); see ``xavier_uniform_``."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: V, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Random | None = None
) -> V:
    """Uniform from -b to b, where b = gain sqrt(3 / fan).

    Args:
        tensor: a weight, of two axes or more.
        a: the negative slope of the leaky ReLU that follows.
        mode: ``"fan_in"`` keeps the variance forward, ``"fan_out"`` backward.
        nonlinearity: what follows; see ``calculate_gain``.
        generator: draw from it in place of ``chainrule.random``'s.

    Source: K. He, X. Zhang, S. Ren, J. Sun, Delving Deep into Rectifiers (2015).
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: V, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Random | None = None
) -> V:
    """Normal of standard deviation gain / sqrt(fan); arguments as ``kaiming_uniform_``."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Variable, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"] or 1)


def default_(weight: Variable, bias: Variable | None) -> None:
    """What linear and convolution layers start from: uniform within 1 / sqrt(fan_in)."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(fans(weight)[0] or 1)
        uniform_(bias, -bound, bound)
