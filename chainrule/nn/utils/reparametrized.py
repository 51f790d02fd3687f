"""Weight and spectral normalisation in their first form, which many published weights have: the state dict's keys are others.

New models have them from ``nn.utils.parametrizations``.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ...core import config
from ...core.variable import Parameter, plain
from ...random import generator
from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .computed import compute, stop_computing
from .parametrizations import WeightNorm, as_matrix, unit

M = TypeVar("M", bound=Module)


def keep(module: M, name: str, what: str, owned: tuple[str, ...]) -> M:
    """Make a Parameter again of what was computed from those attributes whose names end so."""
    if any(f"{name}{end}" not in vars(module) for end in owned):
        raise ValueError(f"{name!r} of this {type(module).__name__} is not {what}")
    value = plain(getattr(module, name))
    stop_computing(module, name)
    for end in owned:
        delattr(module, name + end)
    module._buffers = tuple(buffer for buffer in module._buffers if buffer not in {name + end for end in owned})
    setattr(module, name, Parameter(value))
    return module


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train a weight's directions and lengths apart, as ``parametrizations.weight_norm``; saved as ``weight_g``, ``weight_v``.

    Args:
        module, name, dim: as of ``parametrizations.weight_norm``.

    Source: T. Salimans, D. P. Kingma, Weight Normalization (2016).

    >>> from chainrule import nn
    >>> list(nn.utils.weight_norm(nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    norm = WeightNorm(dim)
    lengths, directions = norm.right_inverse(plain(getattr(module, name)))
    delattr(module, name)
    setattr(module, f"{name}_g", Parameter(lengths))
    setattr(module, f"{name}_v", Parameter(directions))
    compute(module, name, lambda self: norm(getattr(self, f"{name}_g"), getattr(self, f"{name}_v")))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make one Parameter again of what ``weight_norm`` has made two of.

    Raises:
        ValueError: it has not.
    """
    return keep(module, name, "normalised in this way", ("_g", "_v"))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value, as ``parametrizations.spectral_norm``; saved as ``weight_orig``.

    Beside it ``weight_u`` and ``weight_v`` are saved, from which the power method goes on at each reading in training.

    Args:
        module, name, n_power_iterations, eps, dim: as of ``parametrizations.spectral_norm``.

    Raises:
        ValueError: ``n_power_iterations`` is not positive.

    Source: T. Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018).

    >>> from chainrule import nn
    >>> list(nn.utils.spectral_norm(nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations is positive, but was {n_power_iterations}")
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    weight = plain(getattr(module, name))
    delattr(module, name)
    setattr(module, f"{name}_orig", Parameter(weight))
    for end, n in zip(("_u", "_v"), as_matrix(weight, dim).shape, strict=True):
        module.register_buffer(name + end, unit(generator().normal(size=n).astype(weight.dtype), eps))

    def read(self: Any) -> Any:
        original = getattr(self, f"{name}_orig")
        matrix, u, v = as_matrix(original, dim), getattr(self, f"{name}_u"), getattr(self, f"{name}_v")
        if self.training and not config.recomputing.get():
            for _ in range(n_power_iterations):
                v[...] = unit(plain(matrix).T @ u, eps)
                u[...] = unit(plain(matrix) @ v, eps)
        return original / np.sum(u.copy() * (matrix @ v.copy()))

    compute(module, name, read)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make a Parameter again of what ``spectral_norm`` computes.

    Raises:
        ValueError: it does not.
    """
    return keep(module, name, "normalised in this way", ("_orig", "_u", "_v"))
