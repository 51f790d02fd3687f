"""A call of a function on Batched arrays: its batching rule, what it is composed of, or a loop over the examples."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..core.batched import Batched, DependsOnValues, Level, NotBatched, deepest, for_each_example, level_of, map_items
from ..core.variable import Variable
from ..dispatch import NO_GRADIENT, RECORDERS, RULES, UNSUPPORTED, Rule, is_known
from ..dispatch.rules import WRITES, no_rule

#: How each function computes on a batch: ``rule(level, *args, **kwargs)`` gets the arguments of that level as Batched, of
#: which at least one is mapped, and returns arrays whose first axis is that of the examples.
BATCHING: dict[Any, Callable[..., Any]] = {}

#: Functions of shapes and dtypes alone.
OF_SHAPES: set[Any] = set()

#: Functions whose result has another shape for other values.
OF_VALUES: set[Any] = set()

#: Functions under way by the functions that they are composed of.
_composing: ContextVar[tuple[Any, ...]] = ContextVar("composing", default=())


def batches(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say how functions compute on a batch."""

    def decorate(rule: Callable[..., Any]) -> Callable[..., Any]:
        BATCHING.update(dict.fromkeys(functions, rule))
        return rule

    return decorate


def call(function: Any, args: Any, kwargs: Any) -> Any:
    """``function`` of arguments among which there is a Batched."""
    level = deepest((args, kwargs))
    if level is None:
        if function in UNSUPPORTED:  # what makes an array, and was told to make one like a Batched
            return function(*args, **kwargs)
        raise NotBatched(f"{getattr(function, '__name__', function)} cannot take such an argument inside vmap")
    if level.is_over:
        raise RuntimeError("a value from inside a vmap is used after it; return it from the function instead")
    if function in WRITES:
        return RULES[function](*args, **kwargs)
    args, kwargs = (map_items(lambda x: _freed(x, level), value) for value in (tuple(args), kwargs))
    if _any(args, kwargs, lambda x: isinstance(x, Variable) and level_of(x) is level):  # it is differentiated inside
        if not is_known(function):
            raise no_rule(function)
        if function not in NO_GRADIENT:
            rule = RULES[function]
            return (rule if isinstance(rule, Rule) else RECORDERS[function])(*args, **kwargs)
        args, kwargs = (map_items(lambda x: _plain(x, level), value) for value in (args, kwargs))
    if function in OF_SHAPES:
        args, kwargs = (map_items(_stand_in, value) for value in (args, kwargs))
        return function(*args, **kwargs)
    if not _any(args, kwargs, lambda x: x.__class__ is Batched and x.level is level and x.mapped):
        args, kwargs = (map_items(lambda x: _inner(x, level), value) for value in (args, kwargs))
        return map_items(lambda y: _at(y, level, False), function(*args, **kwargs))
    return _over_examples(function, args, kwargs, level)


def _over_examples(function: Any, args: Any, kwargs: Any, level: Level) -> Any:
    if function in OF_VALUES:
        raise DependsOnValues(
            f"{getattr(function, '__name__', function)} gives a result whose shape depends on the values, and so may differ "
            "from example to example of a vmap; use np.where, or a sum with weights of 0 and 1"
        )
    args, kwargs = _in_order(function, args, kwargs)
    rule = _rule_of(function)
    if rule is None and isinstance(function, np.ufunc) and function.signature is None:
        rule = element_by_element(function)
    try:
        if rule is not None:
            return map_items(lambda y: _at(y, level, True), rule(level, *args, **kwargs))
    except DependsOnValues:
        raise
    except NotBatched:
        return for_each_example(function, args, kwargs, level)
    if function in UNSUPPORTED:
        raise no_rule(function)
    composition = RULES.get(function) if is_known(function) else None
    if composition is not None and not isinstance(composition, Rule) and function not in _composing.get():
        token = _composing.set((*_composing.get(), function))
        try:
            return composition(*args, **kwargs)
        except NotBatched:
            pass
        finally:
            _composing.reset(token)
    return for_each_example(function, args, kwargs, level)


def _rule_of(function: Any) -> Callable[..., Any] | None:
    if function not in BATCHING and (getattr(function, "__module__", None) or "").startswith("chainrule.functional."):
        from . import functional  # noqa: F401 (those of our own functions are imported with the first of them)
    return BATCHING.get(function)


def _in_order(function: Any, args: Any, kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments in the order of the function's parameters, as far as they are given, and without its defaults."""
    rule, args = RULES.get(function), list(args)
    kwargs = {name: value for name, value in kwargs.items() if name != "out" or value is not None}
    if isinstance(rule, Rule):
        names = rule.parameters
        kwargs = {n: v for n, v in kwargs.items() if n not in rule.defaults or v is not rule.defaults[n]}
        for name, kind in zip(names[len(args) :], rule.kinds[len(args) :], strict=True):
            if name not in kwargs or kind == "keyword":
                break
            args.append(kwargs.pop(name))
    return args, kwargs


def aligned(x: Any, ndim: int, level: Level) -> Any:
    """An argument with the axis of the examples, if it has that, in front of ``ndim`` others."""
    if x.__class__ is not Batched or x.level is not level:
        return x
    if not x.mapped or x.ndim == ndim:
        return x.inner
    return np.reshape(x.inner, (level.size,) + (1,) * (ndim - x.ndim) + x.shape)


def element_by_element(function: Any) -> Callable[..., Any]:
    """The rule of a function that works element by element, and broadcasts its arguments."""

    def rule(level: Level, *args: Any, **kwargs: Any) -> Any:
        ndim = max(x.ndim for x in (*args, *kwargs.values()) if isinstance(x, (Batched, Variable, np.ndarray)))
        return function(
            *[aligned(x, ndim, level) for x in args], **{name: aligned(x, ndim, level) for name, x in kwargs.items()}
        )

    return rule


def _any(args: Any, kwargs: Any, holds: Callable[[Any], bool]) -> bool:
    def anywhere(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return any(map(anywhere, value))
        return any(map(anywhere, value.values())) if value.__class__ is dict else holds(value)

    return anywhere(args) or anywhere(kwargs)


def _freed(x: Any, level: Level) -> Any:
    """A constant Variable of the level is the array that it holds."""
    return x._data if isinstance(x, Variable) and x._edge is None and level_of(x) is level else x


def _plain(x: Any, level: Level) -> Any:
    return x._data if isinstance(x, Variable) and level_of(x) is level else x


def _inner(x: Any, level: Level) -> Any:
    return x.inner if x.__class__ is Batched and x.level is level else x


def _at(y: Any, level: Level, mapped: bool) -> Any:
    """A result as one of the level."""
    if isinstance(y, np.generic):
        y = as_array(y)
    return Batched(y, level, mapped) if hasattr(y, "shape") and hasattr(y, "dtype") else y


def _stand_in(x: Any) -> Any:
    """An array that has only the shape and the dtype."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape) if isinstance(x, (Batched, Variable)) else x
