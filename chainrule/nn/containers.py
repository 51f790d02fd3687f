"""Modules made of modules, and of Parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Generic, Self, TypeVar, overload

from ..core.arrays import is_array
from ..core.variable import Parameter, Variable
from .linear import Linear, followed, function_of
from .module import Module

T = TypeVar("T")


def _module(value: Any) -> Module:
    if not isinstance(value, Module):
        raise TypeError(f"expected a Module, got {type(value).__name__}; for a function, write a Module with it as forward")
    return value


def _parameter(value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Variable) or not is_array(value):
        raise TypeError(f"expected a Parameter or an array, got {type(value).__name__}")
    return Parameter(value)


class _List(Module, Generic[T]):
    """What lists share: entries that are attributes named "0", "1", ... or otherwise, in order."""

    @staticmethod
    def _checked(value: Any) -> Any:
        raise NotImplementedError

    def _named(self) -> list[tuple[str, T]]:
        raise NotImplementedError

    def _entries(self) -> list[T]:
        return [value for _, value in self._named()]

    def _name(self, index: int) -> str:
        names = [name for name, _ in self._named()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} for {len(names)} entries of a {type(self).__name__}")
        return names[index]

    def _refill(self, values: Iterable[Any]) -> None:
        """Hold other entries, named by their positions."""
        checked = [self._checked(value) for value in values]
        for name, _ in self._named():
            delattr(self, name)
        for i, value in enumerate(checked):
            setattr(self, str(i), value)

    def append(self, value: T) -> Self:
        """Add an entry at the end."""
        name = str(len(self))
        self._name_is_free(name)
        setattr(self, name, self._checked(value))
        return self

    def extend(self, values: Iterable[T]) -> Self:
        """Add entries at the end."""
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: T) -> Self:
        """Put an entry before the one at ``index``; all are named by their positions then."""
        entries = self._entries()
        entries.insert(index, value)
        self._refill(entries)
        return self

    def pop(self, index: int = -1) -> T:
        """Take an entry out, and return it."""
        value: T = getattr(self, self._name(index))
        del self[index]
        return value

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return getattr(self, self._name(index))
        return self._of(self._named()[index])

    def __setitem__(self, index: int, value: T) -> None:
        setattr(self, self._name(index), self._checked(value))

    def __delitem__(self, index: int | slice) -> None:
        entries = self._entries()
        del entries[index]
        self._refill(entries)

    def __iadd__(self, values: Iterable[T]) -> Self:
        return self.extend(values)

    def __add__(self, values: Iterable[T]) -> Self:
        return self._of([(str(i), value) for i, value in enumerate([*self, *values])])

    @classmethod
    def _of(cls, named: list[tuple[str, T]]) -> Self:
        """A list of some of another's entries."""
        return cls().extend(value for _, value in named)


class _Modules(_List[Module]):
    @staticmethod
    def _checked(value: Any) -> Module:
        return _module(value)

    def _named(self) -> list[tuple[str, Module]]:
        return list(self.named_children())


class Sequential(_Modules):
    """One module after the other: each gets what the last has returned.

    Args:
        modules: they are named "0", "1", ...; or one dict of names and modules.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(np.zeros((3, 4), np.float32)).shape
    (3, 2)
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        named: Iterable[tuple[str, Any]]
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(modules))
        for name, module in named:
            self.add_module(name, _module(module))

    @classmethod
    def _of(cls, named: list[tuple[str, Module]]) -> Self:
        return cls(dict(named))  # the names stay

    def forward(self, input: Any) -> Any:
        pending = [*self.children()][::-1]
        while pending:
            module = pending.pop()
            if pending and isinstance(module, Linear) and function_of(pending[-1]) is not None:
                input = followed(module, pending.pop(), input)
            else:
                input = module(input)
        return input


class ModuleList(_Modules):
    """A list of modules, which are named "0", "1", ...; None may stand in the place of one that is left out.

    >>> from chainrule import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> len(layers), list(layers.state_dict())[-1]
    (3, '2.bias')
    """

    def __init__(self, modules: Iterable[Module | None] = ()):
        self.extend(modules)  # type: ignore[arg-type]  # an entry is a Module to who does not put None there

    @staticmethod
    def _checked(value: Any) -> Any:
        return None if value is None else _module(value)

    def _named(self) -> list[tuple[str, Any]]:
        # an attribute of a subclass that is None has no number for its name
        return [(k, v) for k, v in vars(self).items() if isinstance(v, Module) or (v is None and k.isdecimal())]

    def _shown(self) -> list[tuple[str, str]]:
        """Equal neighbours in one line."""
        lines = []
        for text, run in groupby(((name, repr(entry)) for name, entry in self._named()), key=lambda shown: shown[1]):
            names = [name for name, _ in run]
            lines.append((names[0], text) if len(names) == 1 else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}"))
        return lines


class ParameterList(_List[Parameter]):
    """A list of Parameters, which are named "0", "1", ...; arrays become Parameters.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> weights = nn.ParameterList(np.zeros((2, n)) for n in (3, 4))
    >>> [(name, p.shape) for name, p in weights.named_parameters()]
    [('0', (2, 3)), ('1', (2, 4))]
    """

    def __init__(self, values: Iterable[Any] = ()):
        self.extend(values)

    @staticmethod
    def _checked(value: Any) -> Parameter:
        return _parameter(value)

    def _named(self) -> list[tuple[str, Parameter]]:
        return list(self.named_parameters(recurse=False, remove_duplicate=False))

    def extra_repr(self) -> str:
        return _shapes(self._named())


class _Dict(Module, Generic[T]):
    """What dicts share: entries that are attributes, by name."""

    @staticmethod
    def _checked(value: Any) -> Any:
        raise NotImplementedError

    def _named(self) -> list[tuple[str, T]]:
        raise NotImplementedError

    def __getitem__(self, key: str) -> T:
        return dict(self._named())[key]

    def __setitem__(self, key: str, value: T) -> None:
        self._name_is_free(key)
        setattr(self, key, self._checked(value))

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._named()])

    def __contains__(self, key: object) -> bool:
        return key in dict(self._named())

    def keys(self) -> Iterable[str]:
        """The names."""
        return dict(self._named()).keys()

    def values(self) -> Iterable[T]:
        """The entries."""
        return dict(self._named()).values()

    def items(self) -> Iterable[tuple[str, T]]:
        """The names and entries."""
        return dict(self._named()).items()

    def update(self, entries: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        """Add entries, or put them in the place of those of the same names."""
        for key, value in dict(entries).items():
            self[key] = value

    def pop(self, key: str) -> T:
        """Take an entry out, and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all entries out."""
        for key in self:
            del self[key]


class ModuleDict(_Dict[Module]):
    """Modules by name.

    >>> from chainrule import nn
    >>> heads = nn.ModuleDict({"cat": nn.Linear(4, 2), "dog": nn.Linear(4, 3)})
    >>> heads["dog"], list(heads.state_dict())[0]
    (Linear(in_features=4, out_features=3, bias=True), 'cat.weight')
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        self.update(modules)

    @staticmethod
    def _checked(value: Any) -> Module:
        return _module(value)

    def _named(self) -> list[tuple[str, Module]]:
        return list(self.named_children())


class ParameterDict(_Dict[Parameter]):
    """Parameters by name; arrays become Parameters.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ParameterDict({"scale": np.ones(3), "shift": np.zeros(3)})
    ParameterDict((scale): Parameter of (3,) float64, (shift): Parameter of (3,) float64)
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()):
        self.update(parameters)

    @staticmethod
    def _checked(value: Any) -> Parameter:
        return _parameter(value)

    def _named(self) -> list[tuple[str, Parameter]]:
        return list(self.named_parameters(recurse=False, remove_duplicate=False))

    def extra_repr(self) -> str:
        return _shapes(self._named())


def _shapes(named: list[tuple[str, Parameter]]) -> str:
    return ", ".join(f"({name}): Parameter of {p.shape} {p.dtype}" for name, p in named)
