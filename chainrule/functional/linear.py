"""The affine map."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import reshape
from ..dispatch import define_rule, primitive
from ..kernels import matmul as kernel


@primitive
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """Affine map: y = x W^T + b.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).

    Raises:
        ValueError: the last axis is not ``in_features`` long.

    >>> import numpy as np, chainrule.functional as F
    >>> F.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, 0.0]))
    array([[11.5, 17. ]])
    """
    out_features, in_features = weight.shape
    if input.ndim == 0 or input.shape[-1] != in_features:
        raise ValueError(
            f"expected (..., {in_features}), got {input.shape}"
            + (f": last axis {input.shape[-1]} != in_features {in_features}" if input.ndim else "")
        )
    if input.ndim == 2:
        return kernel.linear(input, weight, bias)
    y = kernel.linear(_as_matrix(input), weight, bias)
    return np.reshape(y, (*input.shape[:-1], out_features))


def _as_matrix(x: Any) -> Any:
    """All axes but the last as one."""
    return reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


@primitive
def column_sums(x: Array) -> Array:
    """The sum of the rows of a matrix."""
    return kernel.column_sums(x)


define_rule(column_sums, x=lambda g, x_shape: np.broadcast_to(g, x_shape))


def _weight_gradient(g: Any, input: Any, weight_shape: tuple[int, int]) -> Any:
    return kernel.matmul(_as_matrix(g).T, _as_matrix(input))


define_rule(
    linear,
    input=lambda g, weight: linear(g, weight.T),
    weight=_weight_gradient,
    bias=lambda g: column_sums(_as_matrix(g)),
)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Bilinear map: y[..., o] = sum over i, j of x1[..., i] W[o, i, j] x2[..., j], + b[o].

    Args:
        input1: (..., in1_features).
        input2: (..., in2_features), the other axes as of input1.
        weight: (out_features, in1_features, in2_features).
        bias: (out_features,).

    Raises:
        ValueError: the shapes do not fit.

    >>> import numpy as np, chainrule.functional as F
    >>> F.bilinear(np.array([1.0, 2.0]), np.array([3.0]), np.array([[[1.0], [10.0]]]))
    array([63.])
    """
    out_features, in1, in2 = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or (input1.shape[-1], input2.shape[-1]) != (in1, in2):
        raise ValueError(f"expected (..., {in1}) and (..., {in2}), got {input1.shape} and {input2.shape}")
    n = prod(input1.shape[:-1])
    rows = np.reshape(input1, (n, in1)) @ np.reshape(np.swapaxes(weight, 0, 1), (in1, out_features * in2))
    y = np.reshape(rows, (n, out_features, in2)) @ np.reshape(input2, (n, in2, 1))
    y = np.reshape(y, (*input1.shape[:-1], out_features))
    return y if bias is None else y + bias
