"""Attributes of one module that are computed each time they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module import Module


def kind_of(module: Module) -> type:
    """The class that a module had before any of its attributes was computed."""
    return getattr(type(module), "_kind_before", type(module))


def compute(module: Module, name: str, read: Callable[[Any], Any], write: Callable[[Any, Any], None] | None = None) -> None:
    """Let ``read(module)`` say what an attribute of this module is, and ``write(module, value)`` what assigning to it does."""
    _let_compute(module, {**_computed(module), name: property(read, write)})


def stop_computing(module: Module, name: str) -> None:
    """Make it an attribute like others again."""
    _let_compute(module, {other: found for other, found in _computed(module).items() if other != name})


def _computed(module: Module) -> dict[str, property]:
    return getattr(type(module), "_computed_attributes", {})


def _let_compute(module: Module, computed: dict[str, property]) -> None:
    # a class is made anew and never changed, for copies of the module have the same
    kind = kind_of(module)
    name = kind.__name__ if all(found.fset is None for found in computed.values()) else f"Parametrized{kind.__name__}"
    own = {"__module__": kind.__module__, "_kind_before": kind, "_computed_attributes": computed}
    module.__class__ = type(name, (kind,), own | computed) if computed else kind
