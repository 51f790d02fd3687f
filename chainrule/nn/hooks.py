"""Functions that are called when a module is, or when gradients flow through it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from ..core.function import Function
from ..core.variable import Variable

if TYPE_CHECKING:
    from .module import Module

_keys = count()


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes it away again, and so does the end of a ``with`` block."""

    def __init__(self, hooks: dict[int, Any]):
        self._hooks, self._key = hooks, next(_keys)

    def add(self, hook: Any, prepend: bool) -> Self:
        """Put ``hook`` last, or first."""
        others = dict(self._hooks) if prepend else {}
        for key in others:
            del self._hooks[key]
        self._hooks[self._key] = hook
        self._hooks.update(others)
        return self

    def remove(self) -> None:
        """Take the hook away."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module. Those of ``forward_pre`` and ``forward`` stand with whether they want the keywords."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.forward: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.backward_pre: dict[int, Callable[..., Any]] = {}
        self.backward: dict[int, Callable[..., Any]] = {}

    def __bool__(self) -> bool:
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the module's ``forward``, and its hooks around it."""
        for hook, with_kwargs in list(self.forward_pre.values()):
            if with_kwargs:
                given = hook(module, args, kwargs)
                args, kwargs = (args, kwargs) if given is None else given
            else:
                given = hook(module, args)
                args = args if given is None else given if isinstance(given, tuple) else (given,)
        watch = _Watch(module, self) if self.backward or self.backward_pre else None
        output = module.forward(*(args if watch is None else watch.inputs(args)), **kwargs)
        for hook, with_kwargs in list(self.forward.values()):
            given = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            output = output if given is None else given
        return output if watch is None else watch.outputs(output)


class _Watch:
    """One call of a module that has backward hooks: its inputs and outputs pass through functions that see their gradients."""

    def __init__(self, module: Module, hooks: Hooks):
        self.module, self.hooks = module, hooks
        self.places: list[int] = []  # of the inputs that need a gradient, among n
        self.n = 0
        self.grad_output: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.places = [i for i, x in enumerate(args) if isinstance(x, Variable) and x.requires_grad]
        self.n = len(args)
        return self._through(self.at_inputs, args, self.places)

    def outputs(self, output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        ys = tuple(output) if several else (output,)
        ys = self._through(self.at_outputs, ys, [i for i, y in enumerate(ys) if isinstance(y, Variable) and y.requires_grad])
        return ys if isinstance(output, tuple) else list(ys) if several else ys[0]

    def _through(self, heard: Callable[..., Any], values: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
        if not places:
            return values
        passed = _Passage(heard)(*(values[i] for i in places))
        found = list(values)
        for i, value in zip(places, passed if isinstance(passed, tuple) else (passed,), strict=True):
            found[i] = value
        return tuple(found)

    def at_outputs(self, *grads: Any) -> tuple[Any, ...]:
        for hook in list(self.hooks.backward_pre.values()):
            grads = _replaced(grads, hook(self.module, grads), "backward pre-hook")
        self.grad_output = grads
        if not self.places:
            self._call((None,) * self.n)
        return grads

    def at_inputs(self, *grads: Any) -> tuple[Any, ...]:
        given = [None] * self.n
        for i, g in zip(self.places, grads, strict=True):
            given[i] = g
        found = self._call(tuple(given))
        return tuple(found[i] for i in self.places)

    def _call(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.hooks.backward.values()):
            grad_input = _replaced(grad_input, hook(self.module, grad_input, self.grad_output), "backward hook")
        return grad_input


def _replaced(grads: tuple[Any, ...], given: Any, kind: str) -> tuple[Any, ...]:
    if given is None:
        return grads
    found = given if isinstance(given, tuple) else (given,)
    if len(found) != len(grads):
        raise RuntimeError(f"a {kind} returned {len(found)} gradients in place of {len(grads)}")
    return found


class _Passage(Function):
    """The identity, whose gradients pass through ``heard``."""

    keeps_inputs = keeps_outputs = False

    def __init__(self, heard: Callable[..., Any]):
        self.heard = heard

    def forward(self, *xs: Any) -> Any:
        return xs if len(xs) > 1 else xs[0]

    def backward(self, *gs: Any) -> Any:
        return self.heard(*gs)
