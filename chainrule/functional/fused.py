"""Compositions of differentiable functions that have kernels for the whole, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..core import config
from ..core.arrays import Array
from ..core.batched import level_of
from ..core.function import Function, connect, materialise, variable_at
from ..core.variable import Variable
from ..transforms import vjp


class Fused(Function):
    """A composition of differentiable functions, computed as one operation; its higher derivatives are the composition's.

    Args:
        name: what messages and drawings call it.
        composition: from arrays or Variables to a tuple of them: the specification.
        forward: from arrays to the tuple of results, and what ``backward`` is to get.
        backward: from that, the arguments, the gradients of all results and, for each argument, whether its gradient is
            wanted, to the gradients of the arguments.
    """

    returns_fresh_arrays = True

    def __init__(
        self,
        name: str,
        composition: Callable[..., tuple[Any, ...]],
        forward: Callable[..., tuple[tuple[Array, ...], Any]],
        backward: Callable[[Any, tuple[Array, ...], tuple[Array, ...], tuple[bool, ...]], Iterable[Array | None]],
    ):
        self._name, self._composition, self._forward, self._backward = name, composition, forward, backward

    @property
    def name(self) -> str:
        return self._name

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        if config.forward.get() is not None or level_of(inputs) is not None:
            return self._composition(*inputs)
        arrays = tuple(x._data if isinstance(x, Variable) else x for x in inputs)
        results, kept = self._forward(*arrays)
        if not any(isinstance(x, Variable) for x in inputs):
            return results
        edges = tuple(x._edge if isinstance(x, Variable) else None for x in inputs)
        if not config.enable_backprop.get() or all(e is None for e in edges):
            return tuple(Variable(y, requires_grad=False) for y in results)
        self.saved = kept, arrays
        return connect(self, edges, results, reads=edges)

    def vjp(self, g: Any) -> Iterable[Any]:
        kept, arrays = self.saved
        return self._backward(kept, arrays, materialise(self, g), self.needs_input_grad)

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        inputs = [variable_at(x, edge) for x, edge in zip(self.saved[1], self.edges or (), strict=True)]
        gradients: tuple[Any, ...] = vjp(self._composition, *inputs)[1](materialise(self, g))
        return gradients
