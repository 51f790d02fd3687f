"""Module: parameters, buffers and other modules under one roof, each with a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..core.arrays import Array
from ..core.variable import Parameter, Variable, changed, forget_gradients
from .hooks import Hooks, RemovableHandle

# What a forward may raise and still mean the same with the layer's path in front of its message.
LOCATED = (ValueError, TypeError, IndexError, RuntimeError, ArithmeticError)


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
    _unsaved: frozenset[str] = frozenset()  # those of them that are no part of the state dict
    _hooks: Hooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except LOCATED as error:
            locate(error, self)
            raise

    def _only(self, forward: Callable[..., Any]) -> bool:
        """Whether calling the module is calling ``forward``, a method of a class, and nothing else."""
        return not self._hooks and getattr(self.forward, "__func__", None) is forward and type(self).__call__ is Module.__call__

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
                value = getattr(module, name, None)
                if value is not None and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def buffers(self, recurse: bool = True) -> Iterator[Array]:
        """The buffers of this module and of all modules below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def register_buffer(self, name: str, tensor: Array | None, persistent: bool = True) -> None:
        """Make ``tensor`` an attribute that is not trained, and saved with the model if ``persistent``."""
        self._name_is_free(name)
        setattr(self, name, tensor)
        self._buffers = (*(other for other in self._buffers if other != name), name)
        self._unsaved = self._unsaved - {name} if persistent else self._unsaved | {name}

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make ``param`` an attribute: the same as assigning it."""
        self._name_is_free(name)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make ``module`` an attribute: the same as assigning it, for a name that is made up."""
        self._name_is_free(name)
        setattr(self, name, module)

    register_module = add_module

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as ``"features.0"``; the module itself at ``""``.

        Raises:
            AttributeError: there is none; it says which part of the path is missing.
        """
        module, done = self, ""
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                names = ", ".join(child for child, _ in module.named_children()) or "none"
                raise AttributeError(
                    f"no module {target!r}: {done or type(self).__name__} has no {name!r}; its modules: {names}"
                )
            module, done = found, f"{done}.{name}" if done else name
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Put a module at a path."""
        path, _, name = target.rpartition(".")
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The Parameter at a path.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name, None)
        if not isinstance(found, Parameter):
            raise AttributeError(f"no Parameter {target!r} in {type(self).__name__}")
        return found

    def get_buffer(self, target: str) -> Array:
        """The buffer at a path.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._buffers:
            raise AttributeError(f"no buffer {target!r} in {type(self).__name__}")
        return getattr(module, name)

    def _name_is_free(self, name: str) -> None:
        if not name or "." in name:
            raise KeyError(f"a name of a parameter, buffer or module is not empty and has no dot: {name!r}")
        if hasattr(self, name) and not isinstance(vars(self).get(name), (Module, Parameter)) and name not in self._buffers:
            raise KeyError(f"{type(self).__name__} has another attribute {name!r} already")

    # ---- saving and loading -----------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Array]:
        """The arrays of all Parameters and buffers, by path.

        They are the model's own, as in PyTorch: they change as it is trained, and who changes them changes the model. To keep
        them as they are, copy them: ``copy.deepcopy(model.state_dict())``.
        """
        state: dict[str, Array] = {}
        for start, module in self._paths(prefix.removesuffix(".")):
            own = {name: value.data for name, value in vars(module).items() if isinstance(value, Parameter)}
            buffers = {name: getattr(module, name, None) for name in module._buffers if name not in module._unsaved}
            state |= {start + name: value for name, value in (own | buffers).items() if value is not None}
        return state

    def _paths(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """All modules, those that stand in several places too, with what a name within starts with."""
        return ((f"{path}." if path else "", m) for path, m in self.named_modules(prefix, remove_duplicate=False))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Incompatible:
        """Copy arrays into the Parameters and buffers, by path. Either all are copied, or nothing changes.

        Args:
            state_dict: as ``state_dict`` returns it; PyTorch's tensors will do.
            strict: whether names that are missing or unexpected are an error.
            assign: put the arrays themselves in the place of the model's own, with their dtypes.

        Raises:
            RuntimeError: it lists all names that are missing or unexpected, and all shapes that differ.
        """
        for start, module in self._paths():
            module._before_loading(state_dict, start)
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
        if assign:
            self._assign(arrays)
        else:
            for name, value in arrays.items():
                own[name][...] = value
        changed(self.parameters())
        return Incompatible(missing, unexpected)

    def _before_loading(self, state: Mapping[str, Any], start: str) -> None:
        """Get ready for a state dict, in which this module's names start so; lazy modules learn their sizes from it."""

    def _assign(self, arrays: Mapping[str, Array]) -> None:
        for start, module in self._paths():
            for name, value in list(vars(module).items()):
                if start + name not in arrays:
                    continue
                if isinstance(value, Parameter):
                    value.data = arrays[start + name]
                else:
                    setattr(module, name, arrays[start + name])

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """A module like this one that computes with other Parameters; this one is left as it is, and shares all the rest.

        Args:
            parameters: arrays or Variables by the Parameters' paths, as in ``state_dict``; what is not named stays.

        Raises:
            KeyError: there is no Parameter of such a path.

        >>> import numpy as np
        >>> from chainrule import nn
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> layer.with_parameters({"weight": np.array([[1.0, 2.0]])})(np.array([3.0, 4.0]))
        array([11.])
        """
        own = dict(self.named_parameters(remove_duplicate=False))
        if unknown := [name for name in parameters if name not in own]:
            raise KeyError(f"{type(self).__name__} has no Parameter {unknown[0]!r}; it has {', '.join(own)}")
        changed = {id(own[name]): _as_parameter(value) for name, value in parameters.items()}
        made: dict[int, Module] = {}

        def replaced(module: Module) -> Module:
            if id(module) not in made:
                twin = made[id(module)] = object.__new__(type(module))
                for name, value in vars(module).items():
                    value = replaced(value) if isinstance(value, Module) else changed.get(id(value), value)
                    vars(twin)[name] = value
            return made[id(module)]

        return replaced(self)  # type: ignore[return-value]

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
        """Forget all Parameters' gradients, or set them to zero, in place."""
        forget_gradients(self.parameters(), set_to_none)

    def to(self, dtype: Any) -> Self:
        """Convert the Parameters and buffers to a dtype: the real ones to one of real numbers, all to a complex one.

        Integers stay as they are.

        Raises:
            TypeError: it is no such dtype.
        """
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = np.dtype(object)
        if wanted.kind not in "fc":
            raise TypeError(f"a module is converted to a dtype of real or complex numbers, not {dtype!r}")

        def converted(array: Array) -> Array:
            kinds = "fc" if wanted.kind == "c" else "f"
            return array.astype(wanted) if array.dtype.kind in kinds and array.dtype != wanted else array

        for parameter in self.parameters():
            data = converted(parameter.data)
            if data is not parameter.data:
                grad = parameter.grad
                parameter.reset_grad()
                parameter.data = data
                parameter.grad = grad
        for module in self.modules():
            for name in module._buffers:
                if getattr(module, name, None) is not None:
                    setattr(module, name, converted(getattr(module, name)))
        return self

    def half(self) -> Self:
        """Convert to float16: ``to(np.float16)``."""
        return self.to(np.float16)

    def double(self) -> Self:
        """Convert to float64: ``to(np.float64)``."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert to float32: ``to(np.float32)``."""
        return self.to(np.float32)

    # ---- hooks ------------------------------------------------------------------------------------------

    def _with_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have ``hook(module, args)`` called before ``forward``; what it returns, unless None, takes the arguments' place.

        Args:
            hook: with ``with_kwargs`` it is called ``hook(module, args, kwargs)`` and returns both.
            prepend: whether to call it before the hooks that there are already.
            with_kwargs: see ``hook``.
        """
        hooks = self._with_hooks().forward_pre
        return RemovableHandle(hooks).add((hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have ``hook(module, args, output)`` called after ``forward``; what it returns, unless None, takes the output's place.

        Args:
            hook: with ``with_kwargs`` it is called ``hook(module, args, kwargs, output)``.
            prepend: whether to call it before the hooks that there are already.
            with_kwargs: see ``hook``.

        >>> import numpy as np
        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        >>> with model[0].register_forward_hook(lambda module, args, output: print(type(module).__name__, output.shape)):
        ...     _ = model(np.zeros((2, 4), np.float32))
        Linear (2, 3)
        """
        hooks = self._with_hooks().forward
        return RemovableHandle(hooks).add((hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have ``hook(module, grad_output)`` called before the gradient flows through; what it returns takes its place."""
        return RemovableHandle(self._with_hooks().backward_pre).add(hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Have ``hook(module, grad_input, grad_output)`` called when the gradients of the module's inputs are there.

        Both are tuples: of the gradients of the positional arguments (None where there is none), and of the outputs. What the
        hook returns, unless None, takes the place of ``grad_input``.
        """
        return RemovableHandle(self._with_hooks().backward).add(hook, prepend)

    # ---- text -------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of ``repr``."""
        return ""

    def _shown(self) -> list[tuple[str, str]]:
        """The names and texts of the children."""
        return [(name, repr(child)) for name, child in self.named_children()]

    def __repr__(self) -> str:
        lines = [f"({name}): {text}".replace("\n", "\n  ") for name, text in self._shown()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}(", *([extra] if extra else []), *lines]) + "\n)"


def _as_parameter(value: Any) -> Any:
    """A Variable as a Parameter that gradients flow through to it; anything else as it is."""
    if not isinstance(value, Variable) or isinstance(value, Parameter):
        return value
    made = Parameter(value._data, value.name, requires_grad=False)
    made._edge = value._edge
    return made


def locate(error: Exception, module: Module) -> None:
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
