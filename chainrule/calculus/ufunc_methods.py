"""Methods of ufuncs: ``np.add.reduce``, ``np.multiply.outer``, ``np.add.at`` ..."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..core.batched import Batched
from ..core.variable import Variable
from ..dispatch import ANY_UFUNC, UFUNC_METHODS, define_rule, primitive, unwrap
from .elementwise import share
from .indexing import put_item
from .reductions import _NOTHING, _axes, _everywhere, restored, scan_back

# ---- reduce and accumulate ------------------------------------------------------------------------------


def _reduce_logarithms(ufunc: np.ufunc, exp: Any) -> Any:
    """The logarithm of Σ exp(a): each element's gradient is its share of the sum."""

    @primitive
    def reduce(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
        return ufunc.reduce(a, axis=axis, keepdims=keepdims, **({} if _everywhere(where) else {"where": where}))

    def derivative(g: Any, ans: Any, a: Any, axis: Any, where: Any) -> Any:
        g, ans = (restored(x, axis, a.shape) for x in (g, ans))
        shares = share(g, ans, a if _everywhere(where) else np.where(where, a, a.dtype.type(-np.inf)), exp)
        return shares if _everywhere(where) else np.where(where, shares, shares.dtype.type(0))

    define_rule(reduce, a=derivative, ignores=("keepdims",))

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
    return lambda array, axis=0, dtype=None: accumulate(array if dtype is None else np.astype(array, np.dtype(dtype)), axis)


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

# ---- methods of any ufunc, by calls of the ufunc ----------------------------------------------------------


def _rows(array: Any, axis: int, dtype: Any) -> Any:
    """The array with the axis in front."""
    array = as_array(array)
    return np.moveaxis(array if dtype is None else np.astype(array, np.dtype(dtype)), axis, 0)


def _accumulated(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """r_0 = a_0, and then r_k = ufunc(r_(k-1), a_k)."""
    rows = _rows(array, axis, dtype)
    made = [rows[k] for k in range(min(len(rows), 1))]
    for k in range(1, len(rows)):
        made.append(ufunc(made[-1], rows[k]))
    return np.stack(made, axis=axis) if made else np.moveaxis(rows, 0, axis)


def _reduced(
    ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = _NOTHING,
    where: Any = True,
) -> Any:  # fmt: skip
    """The last of the running results."""
    array = as_array(array)
    if where is not True:
        if ufunc.identity is None:
            raise TypeError(f"np.{ufunc.__name__}.reduce(where=...) on a Variable: put a neutral element there, by np.where")
        array = np.where(where, array, array.dtype.type(ufunc.identity))
    axes = _axes(axis, array.ndim)
    plain = ufunc.reduce(
        unwrap(array), axis=axis, keepdims=keepdims, **({} if initial is _NOTHING else {"initial": initial})
    )  # NumPy's own errors
    if not array.size:
        return as_array(plain)
    kept = [i for i in range(array.ndim) if i not in axes]
    rows = np.reshape(
        np.transpose(array, [*axes, *kept]), [prod(array.shape[i] for i in axes), *(array.shape[i] for i in kept)]
    )
    rows = rows if dtype is None else np.astype(rows, np.dtype(dtype))
    made = rows[0] if initial is _NOTHING or initial is None else ufunc(initial, rows[0])
    for row in rows[1:]:
        made = ufunc(made, row)
    return np.reshape(made, plain.shape)


def _reduced_between(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """What is reduced from each index to the next, where that is larger, and else the element at the index."""
    rows, starts = _rows(array, axis, dtype), np.asarray(unwrap(indices)).tolist()
    if not all(0 <= start < len(rows) for start in starts):
        raise IndexError(f"np.{ufunc.__name__}.reduceat: an index of {starts} is out of bounds for {len(rows)} elements")
    ends = [*starts[1:], len(rows)]
    made = [ufunc.reduce(rows[i:j]) if i < j else rows[i] for i, j in zip(starts, ends, strict=True)]
    return np.stack(made, axis=axis)


def _outer(ufunc: np.ufunc, a: Any, b: Any, **options: Any) -> Any:
    return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **options)


def _at(ufunc: np.ufunc, a: Any, indices: Any, *b: Any) -> None:
    """Where an element occurs again, its next value is made of the last: a round for each time."""
    if not isinstance(a, (Variable, Batched)):
        if any(getattr(x, "requires_grad", False) for x in b):
            raise TypeError(f"np.{ufunc.__name__}.at on a plain array would lose the gradient; use a Variable")
        ufunc.at(a, unwrap(indices), *unwrap(b))
        return
    indices = unwrap(indices)
    places = np.arange(a.size).reshape(a.shape)[indices]
    values = [np.broadcast_to(x, places.shape) for x in b]
    if ufunc in (np.add, np.subtract):
        a += put_item(values[0] if ufunc is np.add else -values[0], indices, a.shape)
        return
    order = np.argsort(places, axis=None, kind="stable")
    same = np.append(False, np.diff(places.reshape(-1)[order]) == 0)
    since = np.arange(places.size)
    times = np.empty(places.size, int)
    times[order] = since - np.maximum.accumulate(np.where(same, 0, since))
    times = times.reshape(places.shape)
    for k in range(np.max(times, initial=-1) + 1):
        now = times == k
        index = np.unravel_index(places[now], a.shape)
        a[index] = ufunc(a[index], *(x[now] for x in values))


ANY_UFUNC.update(accumulate=_accumulated, reduce=_reduced, reduceat=_reduced_between, outer=_outer, at=_at)
