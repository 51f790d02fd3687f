"""Weights by direction and length, and weights divided by their largest singular value."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import config
from ...core.arrays import Array
from ...core.variable import plain
from ...random import generator
from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .parametrize import register_parametrization


class WeightNorm(Module):
    """From lengths g and directions v to g v / |v|, where the norm is over all axes but ``dim``."""

    def __init__(self, dim: int | None):
        self.dim = dim

    def _norm(self, v: Any) -> Any:
        axes = None if self.dim in (None, -1) else tuple(i for i in range(v.ndim) if i != self.dim % v.ndim)
        return np.sqrt(np.sum(v * v, axis=axes, keepdims=axes is not None))

    def forward(self, g: Any, v: Any) -> Any:
        return v * (g / self._norm(v))

    def right_inverse(self, weight: Array) -> tuple[Array, Array]:
        return np.asarray(self._norm(weight)), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train a weight's directions and lengths apart: w = g v / |v|, with the norm over all axes but ``dim``.

    In the state dict g is ``parametrizations.<name>.original0`` and v ``original1``.

    Args:
        module: the module, which is returned.
        name: its Parameter.
        dim: the axis along which lengths differ; None for one length.

    Source: T. Salimans, D. P. Kingma, Weight Normalization (2016).

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> [(name, value.shape) for name, value in layer.state_dict().items()]
    [('bias', (2,)), ('parametrizations.weight.original0', (2, 1)), ('parametrizations.weight.original1', (2, 3))]
    """
    return register_parametrization(module, name, WeightNorm(dim))


def as_matrix(weight: Any, dim: int) -> Any:
    """A weight with the axis ``dim`` first, and all others as one."""
    return np.reshape(np.moveaxis(weight, dim, 0), (weight.shape[dim], -1))


def unit(x: Any, eps: float) -> Any:
    """A vector divided by its length."""
    return x / np.maximum(np.sqrt(np.sum(x * x)), eps)


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which the power method estimates, a step each time in training."""

    _u: Array
    _v: Array

    def __init__(self, weight: Array, n_power_iterations: int, dim: int, eps: float):
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            matrix = as_matrix(weight, self.dim)
            for name, n in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, unit(generator().normal(size=n).astype(weight.dtype), self.eps))
            self._iterate(matrix, 15)

    def _iterate(self, matrix: Array, n: int) -> None:
        for _ in range(n):
            self._u = unit(matrix @ self._v, self.eps)
            self._v = unit(matrix.T @ self._u, self.eps)

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training and not config.recomputing.get():
            self._iterate(plain(matrix), self.n_power_iterations)
        return weight / (self._u @ (matrix @ self._v))

    def right_inverse(self, value: Array) -> Array:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value s: w / s, where s = u W v, and u and v come from the power method.

    Args:
        module: the module, which is returned.
        name: its Parameter.
        n_power_iterations: how many steps of the power method each reading takes in training.
        eps: the least norm that a vector is divided by.
        dim: the axis of the outputs, the rows of W; by default 1 for transposed convolutions, and else 0.

    Raises:
        ValueError: ``n_power_iterations`` is not positive.

    Source: T. Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40)).eval()
    >>> bool(abs(np.linalg.norm(layer.weight.data, 2) - 1) < 0.1)
    True
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations is positive, but was {n_power_iterations}")
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    weight = plain(getattr(module, name))
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
