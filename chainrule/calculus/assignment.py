"""Functions that write into their first argument: a Variable stands for the new value from then on."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from ..core.batched import Batched
from ..core.variable import Variable
from ..dispatch import composite, unwrap
from ..dispatch.rules import WRITES
from .indexing import places_along_axis


def _writes(function: Any) -> Callable[[Callable[..., None]], None]:
    """Define a function of NumPy's that writes; into a plain array it writes plain values only."""

    def decorate(fn: Callable[..., None]) -> None:
        WRITES.add(function)
        first = next(iter(signature(fn).parameters))

        @composite(function)
        def write(*args: Any, **kwargs: Any) -> None:
            into, args = (args[0], args[1:]) if args else (kwargs.pop(first), ())
            if isinstance(into, (Variable, Batched)):
                fn(into, *args, **kwargs)
            elif any(getattr(v, "requires_grad", False) and v.dtype.kind in "fc" for v in (*args, *kwargs.values())):
                raise TypeError(
                    f"np.{function.__name__} would write a Variable into a plain array and lose its gradient; let a Variable "
                    "be written into, or build the array with chainrule.array, np.where or np.broadcast_to"
                )
            else:
                function(into, *unwrap(args), **unwrap(kwargs))

    return decorate


def _repeated(values: Any, count: int) -> Any:
    """As many values as there are places, from the first again when they run out; one value as it is."""
    return values if np.ndim(values) == 0 else np.resize(values, (count,))


@_writes(np.copyto)
def _copyto(dst: Variable, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    if hasattr(src, "dtype") and not np.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(f"np.copyto: cannot cast {src.dtype} to {dst.dtype} by the rule {casting!r}")
    if where is True:
        dst[...] = src
    else:
        chosen = np.broadcast_to(unwrap(where), dst.shape)
        dst[chosen] = np.broadcast_to(src, dst.shape)[chosen]


@_writes(np.put)
def _put(a: Variable, ind: Any, v: Any, mode: str = "raise") -> None:
    places = np.reshape(unwrap(ind), (-1,))
    if mode == "wrap":
        places = places % a.size
    elif mode == "clip":
        places = np.clip(places, 0, a.size - 1)
    elif np.any((places < -a.size) | (places >= a.size)):
        raise IndexError(f"np.put: an index is out of bounds for {a.size} elements; see the argument mode")
    a[np.unravel_index(places % max(a.size, 1), a.shape)] = _repeated(v, places.size)


@_writes(np.place)
def _place(arr: Variable, mask: Any, vals: Any) -> None:
    chosen = np.reshape(unwrap(mask), arr.shape).astype(bool)
    arr[chosen] = np.resize(vals, (int(np.count_nonzero(chosen)),))


@_writes(np.putmask)
def _putmask(a: Variable, mask: Any, values: Any) -> None:
    chosen = np.reshape(unwrap(mask), a.shape).astype(bool)
    a[chosen] = np.reshape(_repeated(values, a.size), a.shape)[chosen] if np.ndim(values) else values


@_writes(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    if axis is None:
        np.put(arr, indices, values)
    else:
        arr[places_along_axis(arr.shape, indices, axis)] = values


@_writes(np.fill_diagonal)
def _fill_diagonal(a: Variable, val: Any, wrap: bool = False) -> None:
    places = np.zeros(a.shape, bool)
    np.fill_diagonal(places, True, wrap)
    a[places] = _repeated(val, int(np.count_nonzero(places)))
