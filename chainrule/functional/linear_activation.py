"""The affine map with an activation after it, as one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core import config
from ..core.arrays import is_native
from ..core.function import Function, connect, variable_at
from ..core.memory import contiguous
from ..core.variable import Variable
from ..kernels import linear_activation as kernels
from ..kernels import matmul
from ..kernels.layer import enabled
from ..transforms import vjp
from . import activation as functions
from .linear import linear

_KERNELS: dict[Callable[..., Any], kernels.LinearActivation] = {
    functions.relu: kernels.relu,
    functions.sigmoid: kernels.sigmoid,
    functions.tanh: kernels.tanh,
    functions.silu: kernels.silu,
    functions.gelu: kernels.gelu,
    functions._gelu_tanh: kernels.gelu_tanh,
}
_LEAST = 1 << 10  # results: of fewer, NumPy's loops take less time than to call ours


def linear_activation(input: Any, weight: Any, bias: Any = None, activation: Callable[[Any], Any] = functions.relu) -> Any:
    """Affine map and activation: y = activation(x W^T + b).

    ``relu``, ``sigmoid``, ``tanh``, ``silu`` and ``gelu`` are applied to each part of the product while it is in the cache, and
    backward their slopes and the gradient of b take one pass. ``nn.Sequential`` calls this for a ``Linear`` that is followed by
    one of them. Any other function is called on ``linear(input, weight, bias)``.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).
        activation: a function of one array.

    Raises:
        ValueError: the last axis is not ``in_features`` long.

    >>> import numpy as np, chainrule.functional as F
    >>> F.linear_activation(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [-5.0, 0.0]]), None, F.relu)
    array([[11.,  0.]])
    """
    kernel = _KERNELS.get(activation)
    (x, at_x), (w, at_w), (b, at_b) = map(_parts, (input, weight, bias))
    if kernel is None or not _pays(x, w, b) or config.forward.get() is not None:
        return activation(linear(input, weight, bias))
    edges = at_x, at_w, at_b
    recorded = edges != (None, None, None) and config.enable_backprop.get()
    y, kept = kernel.forward(x if x.ndim == 2 else x.reshape(-1, x.shape[-1]), w, b, recorded)
    if x.ndim != 2:
        y = y.reshape(*x.shape[:-1], len(w))
    if recorded:
        call = _LinearActivation()
        call.activation, call.kernel, call.saved = activation, kernel, (kept, x, w, b)
        return connect(call, edges, (y,), reads=edges[:2])[0]
    return Variable(y, requires_grad=False) if any(isinstance(a, Variable) for a in (input, weight, bias)) else y


def _parts(a: Any) -> tuple[Any, Any]:
    """An argument's array, and where its gradient flows to."""
    return (a._data, a._edge) if isinstance(a, Variable) else (a, None)


def _pays(x: Any, weight: Any, bias: Any) -> bool:
    return (
        is_native(x)
        and is_native(weight)
        and x.ndim > 0
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and x.size * len(weight) > _LEAST * weight.shape[1]
        and matmul.as_matrices(x, weight, bias)
        and enabled()
    )


class _LinearActivation(Function):
    """A call that has been computed as a whole; its higher derivatives are those of its parts."""

    __slots__ = ("activation", "kernel")

    returns_fresh_arrays = True

    activation: Callable[[Any], Any]
    kernel: kernels.LinearActivation

    @property
    def name(self) -> str:
        return f"linear_{self.activation.__name__.strip('_')}"

    def vjp(self, g: Any) -> Iterable[Any]:
        kept, x, weight, bias = self.saved
        if g.__class__ is not np.ndarray:  # a batch of gradients, as of a Jacobian
            return self._of_parts(g, x, weight, bias)
        at_x, at_weight, at_bias = self.edges or ()
        slope, sums = self.kernel.backward(contiguous(g).reshape(kept.shape), kept)
        g_x = None if at_x is None else matmul.linear(slope, weight.T, None).reshape(x.shape)
        g_weight = None if at_weight is None else matmul.matmul(slope.T, x.reshape(-1, x.shape[-1]))
        return g_x, g_weight, None if at_bias is None else sums

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        edges = self.edges or ()
        return self._of_parts(
            g, *[None if x is None else variable_at(x, e) for x, e in zip(self.saved[1:], edges, strict=True)]
        )

    def _of_parts(self, g: Any, *inputs: Any) -> tuple[Any, ...]:
        """The gradients of one after the other."""
        gradients: tuple[Any, ...] = vjp(lambda *inputs: self.activation(linear(*inputs)), *inputs)[1](g)
        return gradients
