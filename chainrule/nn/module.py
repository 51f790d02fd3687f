"""Module: parameters, buffers and other modules under one roof, each with a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..core.arrays import Array
from ..core.variable import Parameter

# What a forward may raise and still mean the same with the layer's path in front of its message.
_LOCATED = (ValueError, TypeError, IndexError, RuntimeError, ArithmeticError)


class Incompatible(NamedTuple):
    """What ``load_state_dict(strict=False)`` has left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models.

    Whatever Parameters and Modules are assigned to its attributes belong to it, under the attributes' names. A subclass
    defines ``forward``; calling the module calls that. There is no ``__init__`` that must be called first.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, n):
    ...         self.weight = nn.Parameter(np.ones(n))
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> list(Scale(2).state_dict())
    ['weight']
    """

    training: bool = True
    _buffers: tuple[str, ...] = ()  # the names of the attributes that are buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.forward(*args, **kwargs)
        except _LOCATED as error:
            _locate(error, self)
            raise

    # ---- what it consists of ----------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, by name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The modules that are attributes."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """The module itself and all below it, by path; each once, unless ``remove_duplicate`` is False."""
        seen: set[Module] = set()
        pending: list[tuple[str, Module]] = [(prefix, self)]
        while pending:
            path, module = pending.pop()
            if module in seen:
                continue
            if remove_duplicate:
                seen.add(module)
            yield path, module
            children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
            pending += reversed(children)

    def modules(self) -> Iterator[Module]:
        """The module itself and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The Parameters by path: this module's, and unless ``recurse`` is False those of all modules below it."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The Parameters of this module and of all modules below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Array]]:
        """The buffers by path: arrays that are saved with the model, and not trained."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name in module._buffers:
                value = getattr(module, name)
                if value is not None and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def buffers(self, recurse: bool = True) -> Iterator[Array]:
        """The buffers of this module and of all modules below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def register_buffer(self, name: str, tensor: Array | None) -> None:
        """Make ``tensor`` an attribute that is saved with the model, and not trained."""
        self._name_is_free(name)
        setattr(self, name, tensor)
        self._buffers = (*self._buffers, name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make ``param`` an attribute: the same as assigning it."""
        self._name_is_free(name)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make ``module`` an attribute: the same as assigning it, for a name that is made up."""
        self._name_is_free(name)
        setattr(self, name, module)

    def _name_is_free(self, name: str) -> None:
        if not name or "." in name:
            raise KeyError(f"a name of a parameter, buffer or module is not empty and has no dot: {name!r}")
        if hasattr(self, name) and not isinstance(vars(self).get(name), (Module, Parameter)) and name not in self._buffers:
            raise KeyError(f"{type(self).__name__} has another attribute {name!r} already")

    # ---- saving and loading -----------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Array]:
        """The arrays of all Parameters and buffers, by path.

        They are the model's own, so that they change as it is trained: to keep them as they are, copy them.
        """
        state: dict[str, Array] = {}
        for path, module in self.named_modules(prefix.removesuffix("."), remove_duplicate=False):
            start = f"{path}." if path else ""
            own = {name: value.data for name, value in vars(module).items() if isinstance(value, Parameter)}
            buffers = {name: getattr(module, name) for name in module._buffers}
            state |= {start + name: value for name, value in (own | buffers).items() if value is not None}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Incompatible:
        """Copy arrays into the Parameters and buffers, by path. Either all are copied, or nothing changes.

        Args:
            state_dict: as ``state_dict`` returns it; PyTorch's tensors will do.
            strict: whether names that are missing or unexpected are an error.

        Raises:
            RuntimeError: it lists all names that are missing or unexpected, and all shapes that differ.
        """
        own = self.state_dict()
        arrays = {name: np.asarray(value) for name, value in state_dict.items() if name in own}
        missing = [name for name in own if name not in arrays]
        unexpected = [name for name in state_dict if name not in own]
        problems = [f"missing: {', '.join(missing)}"] if missing and strict else []
        problems += [f"unexpected: {', '.join(unexpected)}"] if unexpected and strict else []
        problems += [
            f"shape of {name}: the model has {own[name].shape}, the state dict {value.shape}"
            for name, value in arrays.items()
            if value.shape != own[name].shape
        ]
        if problems:
            raise RuntimeError(
                "\n  ".join([f"cannot load the state dict into {type(self).__name__}; nothing was changed:", *problems])
            )
        for name, value in arrays.items():
            own[name][...] = value
        for parameter in self.parameters():
            parameter.data = parameter.data  # tells the tape
        return Incompatible(missing, unexpected)

    # ---- modes ------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Let layers such as Dropout and BatchNorm behave as in training."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Let layers such as Dropout and BatchNorm behave as in use."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module below this one, and then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all Parameters (False), or let them be trained."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all Parameters' gradients, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.reset_grad()
            elif parameter.grad is not None:
                parameter.grad = np.zeros_like(parameter.data)

    # ---- text -------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of ``repr``."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}(", *([extra] if extra else []), *lines]) + "\n)"


def _locate(error: Exception, module: Module) -> None:
    """Put the path of the innermost module that raised ``error`` before its message, as seen from ``module``.

    Each module on the way out calls this, so that the path grows from the inside.
    """
    if len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    inner, path, message = getattr(error, "_chainrule_origin", (module, "", error.args[0]))
    if inner is not module:
        within = next((name for name, found in module.named_modules() if found is inner), None)
        if within is None:
            return
        path = f"{within}.{path}" if path else within
    name = getattr(error, "_chainrule_layer", type(module).__name__)
    error.args = (f"model.{path} ({name}): {message}" if path else f"{name}: {message}",)
    error._chainrule_origin = (module, path, message)  # type: ignore[attr-defined]
    error._chainrule_layer = name  # type: ignore[attr-defined]
