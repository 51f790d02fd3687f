"""Modes of the tape, local to each thread and each async task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any

enable_backprop: ContextVar[bool] = ContextVar("enable_backprop", default=True)
train: ContextVar[bool] = ContextVar("train", default=True)
#: False; True in debug mode; or an observer: it is called with each call that is recorded and its results, and in the walk
#: back with the call and its gradients, as ``observer(call, arrays, direction)``.
debug: ContextVar[Any] = ContextVar("debug", default=False)

#: The forward pass under way, if any (a forward.Forward), and whether a reverse one inside it needs the record.
forward: ContextVar[Any] = ContextVar("forward", default=None)
reverse: ContextVar[bool] = ContextVar("reverse", default=False)
#: Whether what runs has run before, so that it must leave running statistics alone.
recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)


def apart(fn: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    """Call a function of arrays apart from what is differentiated around it: gradients inside it are arrays, too."""
    if forward.get() is None and not reverse.get():
        return fn(*arrays, **options)
    tokens = forward.set(None), reverse.set(False)
    try:
        return fn(*arrays, **options)
    finally:
        forward.reset(tokens[0])
        reverse.reset(tokens[1])


MODES: dict[str, ContextVar[bool]] = {mode.name: mode for mode in (enable_backprop, train, debug)}


def _mode(name: str) -> ContextVar[bool]:
    try:
        return MODES[name]
    except KeyError:
        raise AttributeError(f"no mode {name!r}; the modes are {', '.join(MODES)}") from None


class _ConfigType(type):
    def __getattr__(cls, name: str) -> bool:
        return _mode(name).get() is True

    def __setattr__(cls, name: str, value: Any) -> None:
        _mode(name).set(bool(value))


class Config(metaclass=_ConfigType):
    """The modes in force, as attributes that read and write the current context.

    ``enable_backprop`` (True): calls on Variables are recorded. ``train`` (True): what functions such
    as dropout do when they are not told. ``debug`` (False): the first NaN or infinity, forward or
    backward, raises a ``FloatingPointError`` that names the operation and the line that recorded it.

    A new thread starts with the defaults; an async task with a copy of its creator's modes.

    >>> from chainrule import Config
    >>> Config.enable_backprop
    True
    """


class using_config(ContextDecorator):
    """Set one mode for a ``with`` block or a decorated function, and restore it afterwards.

    Args:
        name: ``"enable_backprop"``, ``"train"`` or ``"debug"``.
        value: the mode's value inside.

    Raises:
        AttributeError: there is no such mode.

    >>> import chainrule as cr
    >>> with cr.using_config("train", False):
    ...     cr.Config.train
    False
    """

    def __init__(self, name: str, value: bool):
        self._var, self._value = _mode(name), bool(value)
        self._tokens: list[Token[bool]] = []

    def _recreate_cm(self) -> using_config:  # a decorated function may run in many threads at once
        return using_config(self._var.name, self._value)

    def __enter__(self) -> None:
        self._tokens.append(self._var.set(self._value))

    def __exit__(self, *exc: object) -> None:
        self._var.reset(self._tokens.pop())


def no_grad() -> using_config:
    """Record nothing inside: as a context manager, or as a decorator ``@no_grad()``.

    >>> import numpy as np, chainrule as cr
    >>> x = cr.Variable(np.ones(2))
    >>> with cr.no_grad():
    ...     y = x * 2
    >>> y.creator is None
    True
    """
    return using_config("enable_backprop", False)


def detect_anomaly() -> using_config:
    """Raise an error at the first NaN or infinity inside, forward or backward, that names the operation and its line.

    It is the mode ``debug``. Every result is looked at, which takes its time.

    >>> import numpy as np, chainrule as cr
    >>> with cr.detect_anomaly(), np.errstate(divide="ignore"):
    ...     np.log(cr.Variable(np.zeros(2)))
    Traceback (most recent call last):
    FloatingPointError: np.log: first infinity in the result (forward), recorded at ...
    """
    return using_config("debug", True)


def enable_grad() -> using_config:
    """Record again inside a ``no_grad()`` block."""
    return using_config("enable_backprop", True)
