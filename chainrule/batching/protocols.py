"""NumPy's protocols, Python's operators and ndarray's methods on a Batched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..calculus.indexing import get_item, put_item, set_item
from ..calculus.methods import METHODS, POWERS
from ..calculus.shapes import astype
from ..core.batched import Batched, NotBatched, for_each_example, level_of
from ..dispatch import ANY_UFUNC, NO_GRADIENT, UFUNC_METHODS
from ..dispatch.rules import import_more_rules
from .calls import call


def _array_ufunc(self: Batched, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
    """NEP 13. An in-place operator on a Batched makes a new one, which then stands for it."""
    if out is not None and not (out[0] is inputs[0] and out[0].__class__ is Batched):
        raise NotBatched(
            f"np.{ufunc.__name__}(out=...) or an in-place operator would write what differs from example to example of a vmap "
            "into one plain array; use the value that it returns (a = a + v instead of a += v)"
        )
    if method == "__call__":
        return call(ufunc, inputs, kwargs)
    if method == "at":
        return _at(ufunc, *inputs)
    while (ufunc, method) not in UFUNC_METHODS and import_more_rules():
        pass
    if (ufunc, method) in UFUNC_METHODS and ufunc not in NO_GRADIENT:  # of which that calls the method on what is in Variables
        return UFUNC_METHODS[ufunc, method](*inputs, **kwargs)
    return for_each_example(getattr(ufunc, method), inputs, kwargs, level_of(inputs))  # type: ignore[arg-type]


def _at(ufunc: np.ufunc, a: Any, indices: Any, *b: Any) -> None:
    """``np.add.at(a, indices, b)``, where ``a`` is a Batched."""
    if a.__class__ is not Batched:
        raise NotBatched(f"np.{ufunc.__name__}.at inside vmap: write into an array like those inside, np.zeros_like(x)")
    if ufunc in (np.add, np.subtract):
        a[...] = ufunc(a, put_item(np.broadcast_to(b[0], a[indices].shape), indices, a.shape))
    elif level_of((indices,)) is None:
        ANY_UFUNC["at"](ufunc, a, indices, *b)
    else:
        raise NotBatched(f"np.{ufunc.__name__}.at inside vmap: its indices are those of all examples, but for add and subtract")


def _array_function(self: Batched, function: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """NEP 18."""
    return call(function, args, kwargs)


Batched.__array_ufunc__ = _array_ufunc  # type: ignore[assignment]
Batched.__array_function__ = _array_function  # type: ignore[attr-defined]


def _pow(x: Batched, y: Any) -> Any:
    if (y.__class__ is int or y.__class__ is float) and y in POWERS and x.dtype.kind in "fc":
        return POWERS[y](x)
    return np.power(x, y)


def _iter(x: Batched) -> Iterator[Any]:
    if not x.shape:
        raise TypeError("a 0-d array cannot be iterated over")
    return (x[i] for i in range(len(x)))


def _setitem(x: Batched, index: Any, value: Any) -> None:
    made = set_item(x, index, value)
    if made.__class__ is not Batched:
        raise NotBatched("a value that is differentiated inside a vmap cannot be written into an array of it; use np.where")
    x.inner, x.mapped = made.inner, made.mapped


Batched.__pow__ = _pow  # type: ignore[assignment,method-assign]
Batched.__iter__ = _iter  # type: ignore[attr-defined]
Batched.__getitem__ = lambda x, index: get_item(x, index)  # type: ignore[method-assign]
Batched.__setitem__ = _setitem  # type: ignore[method-assign]


def _method(function: Any) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: function(x, *args, **kwargs)


for _name in METHODS:
    setattr(Batched, _name, _method(getattr(np, _name)))


def _spread(args: tuple[Any, ...]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` alike."""
    return args[0] if len(args) == 1 and (args[0] is None or hasattr(args[0], "__len__")) else args


Batched.reshape = lambda x, *shape, order="C": np.reshape(x, _spread(shape), order=order)  # type: ignore[attr-defined]
Batched.transpose = lambda x, *axes: np.transpose(x, _spread(axes) if axes else None)  # type: ignore[attr-defined]
Batched.flatten = lambda x, order="C": np.ravel(x, order)  # type: ignore[attr-defined]
Batched.copy = lambda x, order="C": Batched(x.inner, x.level, x.mapped)  # type: ignore[attr-defined]
Batched.astype = lambda x, dtype, copy=True: astype(x, np.dtype(dtype))  # type: ignore[attr-defined]
Batched.T = property(lambda x: np.transpose(x))  # type: ignore[attr-defined]
Batched.mT = property(lambda x: np.matrix_transpose(x))  # type: ignore[attr-defined]
Batched.real = property(lambda x: np.real(x))  # type: ignore[attr-defined]
Batched.imag = property(lambda x: np.imag(x))  # type: ignore[attr-defined]
