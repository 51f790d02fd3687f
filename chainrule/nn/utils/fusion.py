"""Batch normalisation in use is an affine map: it becomes part of the layer before it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np

from ...core.arrays import Array
from ...core.variable import Parameter, plain
from ..module import Module

M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A convolution that computes what a convolution and the batch normalisation after it do, both in evaluation.

    Args:
        conv: the convolution, which is left as it is.
        bn: the batch normalisation, with running values.
        transpose: whether the convolution is a transposed one.

    Raises:
        ValueError: one of them is in training, or there are no running values.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> conv, norm = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> x = np.ones((1, 3, 6, 6), np.float32)
    >>> bool(np.allclose(nn.utils.fuse_conv_bn_eval(conv, norm)(x).data, norm(conv(x)).data, atol=1e-6))
    True
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A linear layer that computes what a linear layer and the batch normalisation after it do, both in evaluation.

    Args:
        linear: the layer, which is left as it is.
        bn: the batch normalisation, with running values, of as many features.

    Raises:
        ValueError: one of them is in training, or there are no running values.
    """
    return _fused(linear, bn, fuse_linear_bn_weights)


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Array, bn_rv: Array, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """The weight and the bias of a convolution with the batch normalisation after it.

    Args:
        conv_w: (O, C / groups, ...); of a transposed convolution (C, O, ...).
        conv_b: (O,) or None.
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: running mean and variance, what is added to that, weight and bias (or None), all (O,).
        transpose: whether the convolution is a transposed one.
    """
    axis = 1 if transpose else 0
    weight, mean, variance = (plain(a) for a in (conv_w, bn_rm, bn_rv))
    scale = (1 if bn_w is None else plain(bn_w)) / np.sqrt(variance + bn_eps)
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    bias = ((0 if conv_b is None else plain(conv_b)) - mean) * scale + (0 if bn_b is None else plain(bn_b))
    made = (weight * scale.reshape(shape)).astype(weight.dtype), bias.astype(weight.dtype)
    return Parameter(made[0]), Parameter(made[1])


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Array, bn_rv: Array, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """The weight and the bias of a linear layer with the batch normalisation after it; see ``fuse_conv_bn_weights``."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _fused(layer: M, bn: Any, fuse: Any, *options: Any) -> M:
    if layer.training or bn.training or bn.running_mean is None:
        raise ValueError("only layers in evaluation, with running values, are fused: call eval() first")
    made: Any = copy.deepcopy(layer)
    arguments = made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    made.weight, made.bias = fuse(*arguments, *options)
    return made  # type: ignore[no-any-return]
