"""NumPy's own protocols: where a call of one of its functions on a Variable arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.batched import Batched
from ..core.variable import Variable
from .rules import NO_GRADIENT, RECORDERS, RULES, function_name, import_more_rules, is_known, no_rule, unwrap, writes_out

#: What a ufunc's method stands for: ``np.add.reduce`` for ``np.sum``.
UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}

#: The methods of every other ufunc, by calls of it: ``method(ufunc, ...)``.
ANY_UFUNC: dict[str, Callable[..., Any]] = {}


def _array_ufunc(self: Variable, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """NEP 13: a ufunc (or a method of one) was called with a Variable among its arguments."""
    if method == "__call__" and not kwargs and ufunc in RULES:
        return RECORDERS[ufunc](*inputs)
    name = function_name(ufunc)
    if kwargs.get("out") is not None:
        raise writes_out(ufunc)
    if method == "__call__":
        if kwargs.pop("where", True) is not True:
            raise TypeError(f"{name}(where=...) leaves elements undefined; use np.where on the result")
        if not is_known(ufunc):
            raise no_rule(ufunc)
        if ufunc in NO_GRADIENT:
            return ufunc(*unwrap(inputs), **unwrap(kwargs))
        return RULES[ufunc](*inputs, **kwargs)
    while (ufunc, method) not in UFUNC_METHODS and import_more_rules():
        pass
    if (ufunc, method) in UFUNC_METHODS:
        return UFUNC_METHODS[ufunc, method](*inputs, **kwargs)
    if not is_known(ufunc):
        raise no_rule(ufunc)
    if ufunc in NO_GRADIENT and method != "at":
        return getattr(ufunc, method)(*unwrap(inputs), **unwrap(kwargs))
    if ufunc.signature is not None or (ufunc.nin, method) not in ((1, "at"), *((2, m) for m in ANY_UFUNC)):
        raise TypeError(f"{name} is no ufunc of two numbers, and has no method {method}")
    return ANY_UFUNC[method](ufunc, *inputs, **kwargs)


def _array_function(self: Variable, function: Any, types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """NEP 18: a function of NumPy's was called with a Variable among its arguments."""
    if len(types) > 1 and Batched in types:
        return NotImplemented  # it is asked next
    if not kwargs and function in RECORDERS:
        return RECORDERS[function](*args)
    if function not in RULES and not is_known(function):
        raise no_rule(function)
    if function in NO_GRADIENT:
        return function(*unwrap(tuple(args)), **unwrap(kwargs))
    if kwargs.pop("out", None) is not None:
        raise writes_out(function)
    return RECORDERS[function](*args, **kwargs)


Variable.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
Variable.__array_function__ = _array_function  # type: ignore[attr-defined]
