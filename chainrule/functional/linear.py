"""The affine map."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive


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
    y = np.reshape(input, (-1, in_features)) @ weight.T
    if bias is not None:
        y += bias
    return np.reshape(y, (*input.shape[:-1], out_features))


def _weight_gradient(g: Any, input: Any, weight_shape: tuple[int, int]) -> Any:
    out_features, in_features = weight_shape
    return np.reshape(g, (-1, out_features)).T @ np.reshape(input, (-1, in_features))


define_rule(
    linear,
    input=lambda g, weight: linear(g, weight.T),
    weight=_weight_gradient,
    bias=lambda g: g,
)
