"""Parameters that are computed from others each time they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ...core.config import no_grad
from ...core.variable import Parameter, Variable, plain
from ..containers import ModuleDict, ModuleList
from ..module import Module
from .computed import compute, kind_of, stop_computing

_cache: ContextVar[dict[int, Any] | None] = ContextVar("parametrizations", default=None)


class ParametrizationList(ModuleList):
    """The modules, one after the other, that compute a parameter, and the Parameters that they compute it from.

    These are ``original``; or, where the first module's ``right_inverse`` returns several, ``original0``, ``original1`` ...
    """

    def __init__(self, parametrization: Module, value: Any):
        self.append(parametrization)
        inverse = getattr(parametrization, "right_inverse", None)
        try:
            originals = value if inverse is None else inverse(value)
        except NotImplementedError:  # this one has none
            originals = value
        self.is_tensor = not isinstance(originals, (tuple, list))
        for name, array in zip(self._names(originals), (originals,) if self.is_tensor else originals, strict=True):
            setattr(self, name, Parameter(plain(array)))

    def _names(self, originals: Any) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(len(originals))]

    def originals(self) -> list[Parameter]:
        """The Parameters that the parameter is computed from."""
        return list(self.parameters(recurse=False))

    def forward(self) -> Any:
        first, *others = self
        value = first(*self.originals())
        for module in others:
            value = module(value)
        return value

    def assign(self, value: Any) -> None:
        """Set the originals so that the parameter is ``value``."""
        for module in reversed(list(self)):
            inverse = getattr(module, "right_inverse", None)
            if inverse is None:
                raise RuntimeError(f"a parameter cannot be assigned to: its {type(module).__name__} has no right_inverse")
            value = inverse(value)
        for original, array in zip(self.originals(), (value,) if self.is_tensor else value, strict=True):
            original.data[...] = plain(array)
            original.data = original.data  # tells the tape


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """Compute a module's Parameter by another module, from now on and each time it is read.

    What it is computed from is trained in its place; in the state dict it is ``parametrizations.<name>.original``.

    Args:
        module: the module.
        tensor_name: the Parameter's name.
        parametrization: computes it from the original. Where it has a method ``right_inverse``, that makes the original from
            the Parameter, and from what is assigned later.
        unsafe: whether it may change shape or dtype.

    Raises:
        ValueError: there is no such Parameter, or its shape or dtype would change.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, w):
    ...         return (w + w.T) / 2
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool(np.all(layer.weight.data == layer.weight.data.T)), list(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    before = getattr(module, tensor_name, None)
    added = is_parametrized(module, tensor_name)
    if not added and not isinstance(before, Parameter):
        raise ValueError(f"{type(module).__name__} has no Parameter {tensor_name!r}")
    with no_grad():
        value = plain(before)
        made = None if added else ParametrizationList(parametrization, value)
        after = plain(parametrization(value) if made is None else made())
    old, new = (f"{x.shape} {x.dtype}" for x in (value, after))
    if old != new and not unsafe:
        raise ValueError(
            f"{type(parametrization).__name__} makes {new} of {tensor_name!r}, {old}; pass unsafe=True if that is right"
        )
    if made is None:
        module.parametrizations[tensor_name].append(parametrization)  # type: ignore[attr-defined]
        return module
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()  # type: ignore[attr-defined]
    delattr(module, tensor_name)
    module.parametrizations[tensor_name] = made  # type: ignore[attr-defined]
    _compute(module, tensor_name)
    return module


def _compute(module: Module, name: str) -> None:
    def read(self: Any) -> Any:
        parametrization = self.parametrizations[name]
        cache = _cache.get()
        if cache is None:
            return parametrization()
        if id(parametrization) not in cache:
            cache[id(parametrization)] = parametrization()
        return cache[id(parametrization)]

    def write(self: Any, value: Any) -> None:
        with no_grad():
            self.parametrizations[name].assign(plain(value))

    compute(module, name, read, write)


@contextmanager
def cached() -> Iterator[None]:
    """Within the block, compute each parametrized parameter once."""
    token = _cache.set({} if _cache.get() is None else _cache.get())
    try:
        yield
    finally:
        _cache.reset(token)


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before its first parametrization."""
    return kind_of(module)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module's Parameter (or any of them) is computed from others."""
    found = vars(module).get("parametrizations")
    return isinstance(found, ModuleDict) and (bool(len(found)) if tensor_name is None else tensor_name in found)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a Parameter of its own of a computed one: of its present value, or of its original.

    Raises:
        ValueError: it is not computed, or has several originals and ``leave_parametrized`` is False.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__} has no parametrization of {tensor_name!r}")
    parametrizations: ModuleDict = module.parametrizations  # type: ignore[attr-defined]
    found = parametrizations[tensor_name]
    assert isinstance(found, ParametrizationList)
    if leave_parametrized:
        with no_grad():
            value: Variable = Parameter(plain(getattr(module, tensor_name)))
    elif found.is_tensor:
        (value,) = found.originals()
    else:
        raise ValueError(f"{tensor_name!r} is computed from {len(found.originals())} others; pass leave_parametrized=True")
    stop_computing(module, tensor_name)
    del parametrizations[tensor_name]
    setattr(module, tensor_name, value)
    if not len(parametrizations):
        del module.parametrizations  # type: ignore[attr-defined]
    return module
