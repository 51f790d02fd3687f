"""The generator that initialisation, dropout, shuffling and augmentation draw from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Any

import numpy as np

from .core.batched import Batched, current

_generator = np.random.default_rng()
_apart: ContextVar[using | None] = ContextVar("generator", default=None)


def generator() -> np.random.Generator:
    """The generator in use. A draw from it holds its own lock, so that threads may share it."""
    apart = _apart.get()
    return _generator if apart is None else apart.generator


def drawn(draw: Callable[[tuple[int, ...]], Any], shape: tuple[int, ...]) -> Any:
    """``draw(shape)``: random numbers, and inside a vmap other ones for each example."""
    levels, level = [], current.get()
    while level is not None:
        levels.append(level)
        level = level.outer
    made = draw((*(level.size for level in reversed(levels)), *shape))
    for level in reversed(levels):
        made = Batched(made, level)
    return made


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew from ``seed``, so that what follows is the same in each run; returns it.

    >>> import chainrule as cr
    >>> cr.random.manual_seed(0).integers(10, size=3)
    array([8, 6, 5])
    """
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def get_state() -> dict[str, Any]:
    """The state of the generator in use, for ``set_state``: numbers and strings, in dicts."""
    return dict(generator().bit_generator.state)


def set_state(state: Mapping[str, Any]) -> None:
    """Go on drawing from where ``get_state`` was called.

    >>> import chainrule as cr
    >>> state = cr.random.get_state()
    >>> first = cr.random.generator().random(3)
    >>> cr.random.set_state(state)
    >>> bool((cr.random.generator().random(3) == first).all())
    True
    """
    generator().bit_generator.state = dict(state)


class using:
    """Draw from another generator in a ``with`` block; in this thread or async task only.

    Args:
        source: a NumPy Generator, or what seeds one: an int or several. It is made when it is first drawn from.

    >>> import chainrule as cr
    >>> with cr.random.using(0):
    ...     cr.random.generator().integers(10, size=3)
    array([8, 6, 5])
    """

    def __init__(self, source: np.random.Generator | int | Sequence[int]):
        self._source = source
        self._tokens: list[Token[using | None]] = []

    @property
    def generator(self) -> np.random.Generator:
        """The generator, made from its seed where that has not been done."""
        if not isinstance(self._source, np.random.Generator):
            self._source = np.random.default_rng(self._source)
        return self._source

    def __enter__(self) -> None:
        self._tokens.append(_apart.set(self))

    def __exit__(self, *exc: object) -> None:
        _apart.reset(self._tokens.pop())
