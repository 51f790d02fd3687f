"""Methods of ufuncs: ``np.add.reduce``, ``np.multiply.outer``, ``np.add.at`` ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.variable import Variable
from ..dispatch import NO_GRADIENT, RULES, UFUNC_METHODS, define_rule, primitive, unwrap
from .elementwise import share
from .indexing import put_item
from .reductions import _everywhere, restored, scan_back

# ---- reduce and accumulate ------------------------------------------------------------------------------


def _reduce_logarithms(ufunc: np.ufunc, exp: Any) -> Any:
    """The logarithm of Σ exp(a): each element's gradient is its share of the sum."""

    @primitive
    def reduce(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
        return ufunc.reduce(a, axis=axis, keepdims=keepdims, **({} if _everywhere(where) else {"where": where}))

    def derivative(g: Any, ans: Any, a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
        g, ans = (restored(x, axis, keepdims, a.shape) for x in (g, ans))
        shares = share(g, ans, a if _everywhere(where) else np.where(where, a, a.dtype.type(-np.inf)), exp)
        return shares if _everywhere(where) else np.where(where, shares, shares.dtype.type(0))

    define_rule(reduce, a=derivative)

    def method(array: Any, axis: Any = 0, *, keepdims: bool = False, where: Any = True, initial: Any = None) -> Any:
        made = reduce(array, axis, keepdims, where)
        return made if initial is None else ufunc(made, initial)

    return method


def _accumulate(ufunc: np.ufunc, factors: Callable[[Any], Any], last: Callable[..., Any]) -> Any:
    """A running result r_k: the gradient flows back from each to the one before by ``factors``, and then to the element."""

    @primitive
    def accumulate(a: Any, axis: int) -> Any:
        return ufunc.accumulate(a, axis=axis)

    def derivative(g: Any, ans: Any, a: Any, axis: int) -> Any:
        g, ans, a = (np.moveaxis(x, axis, -1) for x in (g, ans, a))
        return np.moveaxis(last(lambda g: scan_back(g, factors(ans)), g, ans, a), -1, axis)

    define_rule(accumulate, a=derivative)
    return lambda array, axis=0: accumulate(array, axis)


def _running_share(exp: Any) -> dict[str, Any]:
    """r_k = log Σ_(i≤k) exp(a_i): factors exp(r_k - r_(k+1)), which are at most 1, and then the element's own share of r_k."""
    return {
        "factors": lambda ans: share(ans.dtype.type(1), ans[..., 1:], ans[..., :-1], exp),
        "last": lambda scan, g, ans, a: share(scan(g), ans, a, exp),
    }


def _share_of_the_run(scan: Callable[[Any], Any], g: Any, ans: Any, a: Any) -> Any:
    """A running extremum: as long as it stays the same, the elements so far that are equal to it share its gradient."""
    chosen = a == ans
    count = np.ones_like(unwrap(ans), g.dtype)
    for k in range(1, ans.shape[-1]):
        count[..., k] = np.where(ans[..., k] == ans[..., k - 1], count[..., k - 1] + chosen[..., k], 1)
    return np.where(chosen, scan(g / count), g.dtype.type(0))


_ufunc: Any
_function: Any


def _reduction(function: Any) -> Any:
    return lambda array, axis=0, **options: function(array, axis=axis, **options)


for _ufunc, _function in ((np.add, np.sum), (np.multiply, np.prod), (np.maximum, np.max), (np.minimum, np.min)):
    UFUNC_METHODS[_ufunc, "reduce"] = _reduction(_function)
for _ufunc, _function in ((np.add, np.cumsum), (np.multiply, np.cumprod)):
    UFUNC_METHODS[_ufunc, "accumulate"] = _reduction(_function)
for _ufunc in (np.maximum, np.minimum):
    UFUNC_METHODS[_ufunc, "accumulate"] = _accumulate(
        _ufunc, lambda ans: (ans[..., 1:] == ans[..., :-1]).astype(ans.dtype), _share_of_the_run
    )
for _ufunc, _exp in ((np.logaddexp, np.exp), (np.logaddexp2, np.exp2)):
    UFUNC_METHODS[_ufunc, "reduce"] = _reduce_logarithms(_ufunc, _exp)
    UFUNC_METHODS[_ufunc, "accumulate"] = _accumulate(_ufunc, **_running_share(_exp))


@primitive
def _add_between(a: Any, indices: Any, axis: int) -> Any:
    return np.add.reduceat(a, indices, axis=axis)


def _spread_between(g: Any, a_shape: tuple[int, ...], indices: Any, axis: int) -> Any:
    """Each element's gradient is that of the sums that it is in: from one index to the next, or the one at the index."""
    starts = np.asarray(indices)
    stops = np.maximum(np.append(starts[1:], a_shape[axis]), starts + 1)
    counts = stops - starts
    owners = np.repeat(np.arange(len(starts)), counts)
    places = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[owners]
    return put_item(np.take(g, owners, axis=axis), (slice(None),) * (axis % len(a_shape)) + (places,), a_shape)


define_rule(_add_between, linear="jointly", a=_spread_between)
UFUNC_METHODS[np.add, "reduceat"] = lambda array, indices, axis=0: _add_between(array, indices, axis)

# ---- outer ----------------------------------------------------------------------------------------------


def _outer(ufunc: np.ufunc) -> Any:
    def outer(a: Any, b: Any) -> Any:
        return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)

    return outer


for _ufunc in [f for f in RULES if isinstance(f, np.ufunc) and f.nin == 2 and f.signature is None]:
    UFUNC_METHODS[_ufunc, "outer"] = _outer(_ufunc)

# ---- at -------------------------------------------------------------------------------------------------


def _at(sign: int) -> Any:
    def at(a: Any, indices: Any, b: Any) -> None:
        if not isinstance(a, Variable):
            if isinstance(b, Variable) and b.requires_grad:
                raise TypeError("np.add.at and np.subtract.at on a plain array would lose the gradient; use a Variable")
            (np.add if sign > 0 else np.subtract).at(a, unwrap(indices), unwrap(b))
            return
        indices = unwrap(indices)
        values = np.broadcast_to(b, np.shape(a.data[indices]))
        a += sign * put_item(values, indices, a.shape)

    return at


UFUNC_METHODS[np.add, "at"], UFUNC_METHODS[np.subtract, "at"] = _at(1), _at(-1)

# ---- functions without a gradient -----------------------------------------------------------------------


def _on_plain_values(ufunc: np.ufunc, method: str) -> Any:
    return lambda *inputs, **options: getattr(ufunc, method)(*unwrap(inputs), **unwrap(options))


for _ufunc in [f for f in NO_GRADIENT if isinstance(f, np.ufunc) and f.nin == 2]:
    for _method in ("reduce", "accumulate", "reduceat", "outer"):
        UFUNC_METHODS[_ufunc, _method] = _on_plain_values(_ufunc, _method)
