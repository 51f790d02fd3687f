"""What is done to all gradients of a model at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...core.arrays import Array, as_array
from ...core.variable import Variable
from ...dispatch import unwrap
from ...kernels import optimizers as kernels


def _gradients(parameters: Variable | Iterable[Variable]) -> list[Array]:
    chosen = [parameters] if isinstance(parameters, Variable) else parameters
    return [unwrap(p.grad) for p in chosen if p.grad is not None]


def clip_grad_norm_(
    parameters: Variable | Iterable[Variable],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Array:
    """Shorten all gradients together, in place, so that their norm is at most ``max_norm``; returns the norm before.

    Args:
        parameters: one Variable or several.
        max_norm: the largest norm that is left as it is.
        norm_type: the p of the norm; ``math.inf`` for the largest element.
        error_if_nonfinite: whether a norm that is not finite is an error.

    Raises:
        RuntimeError: the norm is not finite, and ``error_if_nonfinite``.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn
    >>> p = cr.Parameter(np.zeros(2))
    >>> p.grad = np.array([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_(p, 1.0)
    array(5.)
    >>> p.grad.round(3)
    array([0.6, 0.8])
    """
    chosen = [parameters] if isinstance(parameters, Variable) else list(parameters)
    norm = get_total_norm(_gradients(chosen), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(chosen, max_norm, norm)
    return norm


def get_total_norm(tensors: Iterable[Array], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Array:
    """The norm of all elements of some arrays together; arguments as ``clip_grad_norm_``."""
    arrays = [unwrap(a) for a in tensors]
    if norm_type == 2:
        norm = kernels.norm(arrays)
    else:
        norms = [float(np.linalg.norm(np.ravel(a), norm_type)) for a in arrays if a.size]
        norm = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"the gradients' norm is {norm}, so that they cannot be clipped")
    return as_array(norm)


def clip_grads_with_norm_(parameters: Variable | Iterable[Variable], max_norm: float, total_norm: Array | float) -> None:
    """Shorten all gradients together, in place, as if their norm were ``total_norm``, so that it is at most ``max_norm``."""
    factor = max_norm / (float(total_norm) + 1e-6)
    if not factor >= 1:  # where the norm is NaN, too
        kernels.scale(_gradients(parameters), factor)


def clip_grad_value_(parameters: Variable | Iterable[Variable], clip_value: float) -> None:
    """Limit each element of all gradients to [-clip_value, clip_value], in place."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)
