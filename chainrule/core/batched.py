"""Batched: one array for all examples of a batch, which looks like that of one. How it computes is said in batching/."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .arrays import Array, as_array
from .variable import Variable

_depths = count(1)


class Level:
    """One axis of examples: that of a ``vmap`` under way. What was made later is deeper, and stands inside.

    Args:
        size: how many examples there are.
        outer: the level that this one is inside of, if any.
    """

    __slots__ = ("depth", "is_over", "outer", "size")

    def __init__(self, size: int, outer: Level | None = None):
        self.size, self.outer = size, outer
        self.depth = next(_depths)
        self.is_over = False


#: The innermost ``vmap`` under way.
current: ContextVar[Level | None] = ContextVar("level", default=None)


class NotBatched(TypeError):
    """What was asked for cannot be said of all examples at once."""


class DependsOnValues(NotBatched):
    """A result has a shape that depends on the values."""


class Batched(NDArrayOperatorsMixin):
    """The arrays of all examples, as one array that has the shape of one example's.

    Args:
        inner: the array; NumPy's, a Variable of what is differentiated around, or the Batched of an outer level.
        level: the axis of examples.
        mapped: whether ``inner`` has that axis, as its first; else it is the same array for each example.
    """

    __slots__ = ("inner", "level", "mapped")
    __array_priority__ = 2000
    __hash__ = object.__hash__

    def __init__(self, inner: Any, level: Level, mapped: bool = True):
        self.inner, self.level, self.mapped = inner, level, mapped

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.inner.shape
        return shape[1:] if self.mapped else shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.inner.dtype  # type: ignore[no-any-return]

    @property
    def requires_grad(self) -> bool:
        """Whether something around the ``vmap`` differentiates what this is computed from."""
        return getattr(self.inner, "requires_grad", False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Batched(shape={self.shape}, dtype={self.dtype}, {self.level.size} examples)"

    def _of_all(self) -> Any:
        """What is the same for all examples."""
        if self.mapped:
            raise NotBatched(
                "inside vmap a value has another one for each example, so it cannot be turned into a plain number, a truth "
                "value or a plain array: write the choice as np.where(condition, a, b), loops with a fixed number of steps, "
                "table[i] as chainrule.as_variable(table)[i], and give what is the same for all examples with None in in_axes"
            )
        return self.inner

    def __bool__(self) -> bool:
        return bool(self._of_all())

    def __int__(self) -> int:
        return int(self._of_all())

    def __float__(self) -> float:
        return float(self._of_all())

    def __complex__(self) -> complex:
        return complex(self._of_all())

    def __index__(self) -> int:
        return self._of_all().__index__()  # type: ignore[no-any-return]

    def __contains__(self, value: Any) -> bool:
        return value in self._of_all()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._of_all(), dtype=dtype, copy=copy)

    def item(self, *index: int) -> Any:
        """The one element as a Python scalar."""
        return self._of_all().item(*index)

    def tolist(self) -> Any:
        """The elements as nested lists of Python scalars."""
        return self._of_all().tolist()

    if TYPE_CHECKING:  # what batching/ installs

        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any: ...
        def __getitem__(self, index: Any) -> Any: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...


# ---- levels ---------------------------------------------------------------------------------------------


def level_of(x: Any) -> Level | None:
    """The deepest level in a value: an array, a Variable that holds one, or a list, tuple or dict of them."""
    if isinstance(x, Variable):
        x = x._data
    if x.__class__ is Batched:
        return x.level  # type: ignore[no-any-return]
    if isinstance(x, (list, tuple)):
        return deepest(x)
    return deepest(x.values()) if x.__class__ is dict else None


def deepest(values: Any) -> Level | None:
    """The deepest level among several values."""
    found: Level | None = None
    for x in values:
        level = level_of(x)
        if level is not None and (found is None or level.depth > found.depth):
            found = level
    return found


def is_bare(level: Level, value: Any) -> bool:
    """Whether no Variable that is differentiated inside the level is among a value's items."""
    if isinstance(value, (list, tuple)):
        return all(is_bare(level, v) for v in value)
    if value.__class__ is dict:
        return all(is_bare(level, v) for v in value.values())
    return not (isinstance(value, Variable) and value._edge is not None and level_of(value) is level)


def at_level(x: Any, level: Level | None) -> Any:
    """``x`` as an array at a level, the same one for each example where it is not there already."""
    return x if level is None or level_of(x) is level else Batched(x if isinstance(x, Variable) else as_array(x), level, False)


def all_values(x: Any) -> Any:
    """The values of all examples, as a plain array."""
    while isinstance(x, (Batched, Variable)):
        x = x.inner if isinstance(x, Batched) else x._data
    return x


def everywhere(condition: Any) -> bool:
    """Whether a condition holds for all elements of all examples."""
    return bool(np.all(all_values(condition)))


@contextmanager
def examples(size: int) -> Iterator[Level]:
    """A level of so many examples, that what is computed inside is at."""
    level = Level(size, current.get())
    try:
        with at(level):
            yield level
    finally:
        level.is_over = True


@contextmanager
def at(level: Level | None) -> Iterator[None]:
    """Inside, that is the level under way."""
    token = current.set(level)
    try:
        yield
    finally:
        current.reset(token)


def somewhere(condition: Any) -> bool:
    """Whether a condition holds for any element of any example."""
    return not everywhere(~condition)


# ---- examples -------------------------------------------------------------------------------------------


def map_items(f: Callable[[Any], Any], value: Any) -> Any:
    """``f`` of a value, or of the items of a list, tuple or dict."""
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make([map_items(f, v) for v in value])
    if isinstance(value, (list, tuple)):
        return type(value)([map_items(f, v) for v in value])
    if value.__class__ is dict:
        return {k: map_items(f, v) for k, v in value.items()}
    return f(value)


def whole(x: Any, level: Level) -> Array:
    """The array of all examples, its first axis that of the examples, also where it is the same for each."""
    if x.__class__ is Batched and x.level is level:
        if x.mapped:
            return x.inner
        x = x.inner
    x = x if isinstance(x, Variable) else as_array(x)
    return np.broadcast_to(x, (level.size, *x.shape))


def undifferentiated(y: Any, level: Level) -> Any:
    """What a Variable of the level holds: nothing outside differentiates that."""
    while isinstance(y, Variable) and level_of(y) is level:
        y = y._data
    return y


def unbatched(y: Any, level: Level) -> Any:
    """What was computed at a level, as the array (or Variable) of all examples."""
    return whole(undifferentiated(y, level), level)


def for_each_example(f: Callable[..., Any], args: Any, kwargs: Any, level: Level) -> Any:
    """Call ``f`` once for each example, and stack what it returns: right for any function, and slower than a rule.

    Raises:
        NotBatched: there is no example, or the results differ in shape.
    """
    differ = False

    def example(i: int) -> Any:
        def pick(x: Any) -> Any:
            nonlocal differ
            if x.__class__ is not Batched or x.level is not level:
                return x
            differ = differ or x.mapped
            return x.inner[i] if x.mapped else x.inner

        with at(level.outer):
            return map_items(_as_array_if_scalar, f(*map_items(pick, tuple(args)), **map_items(pick, kwargs)))

    if not level.size:
        raise NotBatched(f"{_name(f)} has no rule for a batch, and without an example its result is unknown")
    first = example(0)
    if not differ:
        return map_items(lambda y: Batched(y, level, False) if hasattr(y, "shape") else y, first)
    return _stacked([first, *map(example, range(1, level.size))], level, f)


def all_or_each(f: Callable[..., Any], args: Any, level: Level) -> Any:
    """Call ``f`` on all examples at once, and where it can't take them, on each."""
    try:
        return f(*args)
    except NotBatched:
        return for_each_example(f, args, {}, level)


def _as_array_if_scalar(x: Any) -> Any:
    return as_array(x) if isinstance(x, (np.generic, bool, int, float, complex)) else x


def _stacked(results: list[Any], level: Level, f: Any) -> Any:
    first = results[0]
    if isinstance(first, (list, tuple)):
        parts = [_stacked(list(each), level, f) for each in zip(*results, strict=True)]
        return first._make(parts) if hasattr(first, "_make") else type(first)(parts)
    if not hasattr(first, "shape"):
        return first
    if len({r.shape for r in results}) > 1:
        raise NotBatched(
            f"{_name(f)} gives results of different shapes, such as {first.shape} and "
            f"{next(r.shape for r in results if r.shape != first.shape)}, for the examples of a vmap"
        )
    return Batched(np.stack(results), level)


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)
