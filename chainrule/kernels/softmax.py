"""Softmax, its logarithm and the logarithm of its denominator, along one or more axes; and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import kernel

Axes = int | tuple[int, ...]


@kernel
def softmax(x: Array, axis: Axes) -> Array:
    """exp(x_i) / sum_j exp(x_j)."""
    y = x - np.max(x, axis=axis, keepdims=True)
    np.exp(y, out=y)
    y /= np.sum(y, axis=axis, keepdims=True)
    return y


@kernel
def softmax_gradient(g: Any, y: Any, axis: Axes) -> Any:
    """Of softmax, from its result."""
    return (g - np.sum(g * y, axis=axis, keepdims=True)) * y


@kernel
def log_softmax(x: Array, axis: Axes) -> Array:
    """x_i - log sum_j exp(x_j)."""
    y = x - np.max(x, axis=axis, keepdims=True)
    y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y


@kernel
def log_softmax_gradient(g: Any, y: Any, axis: Axes) -> Any:
    """Of log_softmax, from its result."""
    return g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)


@kernel
def logsumexp(x: Array, axis: Axes) -> Array:
    """The logarithm of sum_j exp(x_j); the axes stay, with length 1."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # the logarithm of no element, or of none but exp(-inf)
        return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
