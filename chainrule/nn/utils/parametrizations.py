"""Weights by direction and length, weights divided by their largest singular value, and orthogonal weights."""

from __future__ import annotations

from math import prod
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
        return np.sqrt((v * v).sum(axis=axes, keepdims=axes is not None))

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


# ---- orthogonal weights ---------------------------------------------------------------------------------

_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """From a matrix (or several, in the last two axes) to one whose columns, or rows where they are fewer, are orthonormal."""

    base: Array | None

    def __init__(self, orthogonal_map: str, use_trivialization: bool):
        self.orthogonal_map, self.use_trivialization = orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Any:
        if x.shape[-2] < x.shape[-1]:
            return np.swapaxes(self._columns(np.swapaxes(x, -1, -2)), -1, -2)
        return self._columns(x)

    def _columns(self, x: Any) -> Any:
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            q = _reflected(x) * _signs(np.diagonal(plain(x), axis1=-2, axis2=-1))
        else:
            low = np.concatenate([np.tril(x), np.zeros((*x.shape[:-1], n - k), x.dtype)], axis=-1)
            skew = low - np.conjugate(np.swapaxes(low, -1, -2))
            unit = np.eye(n, dtype=x.dtype)
            q = _exponential(skew) if self.orthogonal_map == "matrix_exp" else np.linalg.solve(unit - skew / 2, unit + skew / 2)
            q = q[..., :k]
        return self.base @ q if self.use_trivialization else q

    def right_inverse(self, value: Array) -> Array:
        wide = value.shape[-2] < value.shape[-1]
        tall = np.swapaxes(value, -1, -2) if wide else value
        n, k = tall.shape[-2:]
        if self.use_trivialization:
            q, r = np.linalg.qr(tall, mode="complete")
            diagonal = np.diagonal(r, axis1=-2, axis2=-1)
            q[..., :k] *= (diagonal / np.where(diagonal == 0, 1, np.abs(diagonal)) + (diagonal == 0))[..., None, :]
            self.base = q
            return np.broadcast_to(-np.eye(*value.shape[-2:], dtype=value.dtype), value.shape).copy()
        if self.orthogonal_map != "householder":
            raise NotImplementedError(f"{self.orthogonal_map!r} has an inverse with use_trivialization alone")
        vectors = np.tril(np.swapaxes(np.linalg.qr(tall, mode="raw")[0], -1, -2), -1)
        vectors += np.eye(n, k) * _signs(np.sum(_reflected(vectors) * tall, axis=-2))
        return np.swapaxes(vectors, -1, -2) if wide else vectors


def _signs(x: Array) -> Array:
    """1 or -1 for each column."""
    return np.where(x < 0, x.dtype.type(-1), x.dtype.type(1))[..., None, :]


def _reflected(x: Any) -> Any:
    """The first columns of a product of reflections 1 - 2 v v^T / |v|^2, where the i-th v is (0, ..., 0, 1, x[i + 1, i], ...).

    It is 1 - V S^-1 V^T, for S the upper triangle of V^T V with half of its diagonal (S. Joffrain, T. M. Low, E. S.
    Quintana-Orti, R. van de Geijn, F. G. Van Zee, Accumulating Householder transformations, revisited, 2006).
    """
    n, k = x.shape[-2:]
    unit = np.eye(n, k, dtype=x.dtype)
    v = np.tril(x, -1) + unit
    products = np.swapaxes(v, -1, -2) @ v
    s = np.triu(products, 1) + products * (unit[:k] / 2)
    return unit - v @ np.linalg.solve(s, np.swapaxes(v[..., :k, :], -1, -2))


def _exponential(x: Any) -> Any:
    """The exponentials of matrices in the last two axes."""
    from ...scipy.linalg import expm

    each = np.reshape(x, (prod(x.shape[:-2]), *x.shape[-2:]))
    return np.reshape(np.stack([expm(a) for a in each]), x.shape)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a weight orthogonal: its columns, or its rows where they are fewer, are orthonormal, and stay so in training.

    It is a function of an unconstrained matrix X, of which the lower triangle counts: ``"matrix_exp"`` exp(X - X^T);
    ``"cayley"`` (1 - A / 2)^-1 (1 + A / 2) for A = X - X^T; or ``"householder"``, a product of reflections along X's columns.

    Args:
        module: the module, which is returned.
        name: its Parameter, a matrix or several in the last two axes. It starts at the nearest that is orthogonal by its QR
            decomposition.
        orthogonal_map: see above; by default ``"matrix_exp"`` for square and complex weights, and else ``"householder"``.
            ``"matrix_exp"`` needs SciPy.
        use_trivialization: whether the map's result is multiplied by the weight that was there at first, which is saved as
            ``parametrizations.<name>.0.base``.

    Raises:
        ValueError: the weight is no matrix, the map is unknown, or reflections are asked for in complex numbers.

    Source: M. Lezcano-Casado, Trivializations for Gradient-Based Optimization on Manifolds (2019).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(20, 40))
    >>> np.allclose(layer.weight.data.T @ layer.weight.data, np.eye(20), atol=1e-5)
    True
    """
    weight = plain(getattr(module, name))
    if weight.ndim < 2:
        raise ValueError(f"an orthogonal weight has at least two axes; {name!r} is of shape {weight.shape}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.dtype.kind == "c" else "householder"
    if orthogonal_map not in _MAPS or (orthogonal_map == "householder" and weight.dtype.kind == "c"):
        raise ValueError(
            f"orthogonal_map is 'matrix_exp', 'cayley' or, of real weights, 'householder', not {orthogonal_map!r} "
            f"of {weight.dtype}"
        )
    return register_parametrization(module, name, _Orthogonal(orthogonal_map, use_trivialization))
