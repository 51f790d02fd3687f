"""Sums, products, means, extrema, and what accumulates along an axis."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..core.arrays import as_array, is_native, kept_where, spread
from ..core.batched import everywhere
from ..dispatch import composite, define_rule, unwrap
from ..kernels import lines, variance
from ..kernels import reduction as kernel
from ..kernels.extremum import divided
from .constants import named

_NOTHING = np._NoValue  # type: ignore[attr-defined]  # NumPy's default for arguments that were not given

Axis = Any  # int, tuple of ints or None


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The reduced axes as a tuple of numbers from 0; none of an array without axes, where NumPy takes 0 and -1 too."""
    if axis is None or not ndim:
        return tuple(range(ndim))
    return tuple([a % ndim for a in axis]) if isinstance(axis, tuple) else (axis % ndim,)


def restored(x: Any, axis: Axis, shape: tuple[int, ...]) -> Any:
    """A reduction's result with the reduced axes of ``shape`` put back, of length 1, so that it broadcasts to ``shape``."""
    if axis is None or x.ndim == len(shape):
        return x
    axes = _axes(axis, len(shape))
    return x.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def axis_slice(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """``x[start:stop]`` along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop),)]


def _spread(g: Any, shape: tuple[int, ...], axis: Axis, where: Any) -> Any:
    """The transpose of a sum: the gradient at each element that was summed."""
    g = spread(restored(g, axis, shape) if g.ndim else g, shape)
    return g if _everywhere(where) else np.where(where, g, g.dtype.type(0))


def _everywhere(where: Any) -> bool:
    return where is _NOTHING or where is True


def _count(shape: tuple[int, ...], axis: Axis, where: Any) -> Any:
    """How many elements are reduced into each element of the result, with reduced axes of length 1."""
    if axis is None and _everywhere(where):
        return prod(shape)
    axes = _axes(axis, len(shape))
    if _everywhere(where):
        return prod([shape[a] for a in axes])
    return np.sum(np.broadcast_to(where, shape), axis=axes, keepdims=True)


def _over(x: Any, count: Any) -> Any:
    """``x / count`` in the dtype of ``x``."""
    return x / (count if isinstance(count, (int, float)) else count.astype(x.dtype))


# ---- sums -----------------------------------------------------------------------------------------------

define_rule(np.sum, linear="jointly", a=lambda g, a_shape, axis, where: _spread(g, a_shape, axis, where),
            ignores=("dtype", "keepdims", "initial"), kernel=kernel.total)  # fmt: skip


def _mean(g: Any, a_shape: Any, axis: Axis, where: Any) -> Any:
    g = restored(g, axis, a_shape)
    return _spread(_over(g, _count(a_shape, axis, where)), a_shape, axis, where)


define_rule(np.mean, linear="jointly", a=_mean, ignores=("dtype", "keepdims"), kernel=kernel.mean)


def _scaled_deviation(factor: Any, a: Any, axis: Axis, ddof: Any, where: Any, mean: Any, correction: Any) -> Any:
    """Factor (a - mean) / (n - ddof): with a factor of 2, the gradient of the variance."""
    ddof = ddof if correction is _NOTHING else correction
    given = {} if _everywhere(where) else {"where": where}
    middle = (kernel.mean if is_native(a) else np.mean)(a, axis=axis, keepdims=True, **given) if mean is _NOTHING else mean
    gradient = variance.scaled_deviation(as_array(_over(factor, _count(a.shape, axis, where) - ddof)), a, middle)
    return gradient if _everywhere(where) else np.where(where, gradient, gradient.dtype.type(0))


def _var(g: Any, a: Any, axis: Axis, ddof: Any, where: Any, mean: Any, correction: Any) -> Any:
    return _scaled_deviation(2 * restored(g, axis, a.shape), a, axis, ddof, where, mean, correction)


def _std(g: Any, ans: Any, a: Any, axis: Axis, ddof: Any, where: Any, mean: Any, correction: Any) -> Any:
    """The deviation over the standard deviation; 0 where all elements are equal."""
    g, ans = (restored(x, axis, a.shape) for x in (g, ans))
    factor = g / np.where(ans == 0, ans.dtype.type(1), ans)
    return _scaled_deviation(factor, a, axis, ddof, where, mean, correction)


def _var_mean(g: Any, a: Any, axis: Axis, ddof: Any, where: Any, mean: Any, correction: Any) -> Any:
    """Of a mean that was given: minus the gradient of the elements; ``fit`` sums it."""
    return -_var(g, a, axis, ddof, where, mean, correction)


def _std_mean(g: Any, ans: Any, a: Any, axis: Axis, ddof: Any, where: Any, mean: Any, correction: Any) -> Any:
    return -_std(g, ans, a, axis, ddof, where, mean, correction)


define_rule(np.var, a=_var, mean=_var_mean, ignores=("dtype", "keepdims"), kernel=variance.variance)
define_rule(np.std, a=_std, mean=_std_mean, ignores=("dtype", "keepdims"), kernel=variance.standard_deviation)

# ---- extrema: equal elements share the gradient ---------------------------------------------------------


def _extremum(g: Any, ans: Any, a: Any, axis: Axis, where: Any, initial: Any) -> Any:
    a, ans = unwrap(a), unwrap(ans)  # they are compared, which has no gradient
    g, ans = (restored(x, axis, a.shape) for x in (g, ans))
    if _everywhere(where):
        return divided(g, ans, a)
    chosen = (a == ans) & where
    ties = np.sum(chosen, axis=_axes(axis, a.ndim), keepdims=True)
    return kept_where(chosen, _over(g, np.maximum(ties, 1)))


for _function in (np.max, np.amax):
    define_rule(_function, a=_extremum, ignores=("keepdims",), kernel=kernel.largest)
for _function in (np.min, np.amin):
    define_rule(_function, a=_extremum, ignores=("keepdims",), kernel=kernel.smallest)


@composite(np.ptp)
def _ptp(a: Any, axis: Axis = None, keepdims: Any = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


# ---- products, right where elements are zero ------------------------------------------------------------


def _products_before(a: Any) -> Any:
    """Along the last axis, the product of all elements before each."""
    ones = np.ones_like(a[..., :1])
    return np.concatenate([ones, np.cumprod(a[..., :-1], axis=-1)], axis=-1)


def _prod(g: Any, ans: Any, a: Any, axis: Axis, where: Any, initial: Any) -> Any:
    """The product of all the others: ans / a, or where an element is zero the product of those before and after."""
    g = restored(g, axis, a.shape)
    if not _everywhere(where):
        kept = np.where(where, a, a.dtype.type(1))
        product = restored(ans, axis, a.shape)
        return np.where(where, _prod(g, product, kept, axis, True, initial), g.dtype.type(0))
    if everywhere(a != 0):
        return g * restored(ans, axis, a.shape) / a
    g = g if initial is _NOTHING else g * initial
    axes = _axes(axis, a.ndim)
    kept = tuple(i for i in range(a.ndim) if i not in axes)
    moved = np.transpose(a, kept + axes)
    rows = np.reshape(moved, (*moved.shape[: len(kept)], prod(moved.shape[len(kept) :])))
    others = _products_before(rows) * np.flip(_products_before(np.flip(rows, -1)), -1)
    return g * np.transpose(np.reshape(others, moved.shape), np.argsort(kept + axes))


define_rule(np.prod, a=_prod, ignores=("dtype", "keepdims"), kernel=kernel.product)

# ---- accumulation ---------------------------------------------------------------------------------------


def _along(a_shape: tuple[int, ...], g: Any, axis: Axis) -> tuple[Any, int]:
    """The gradient of a result that was flattened if no axis was given, and the axis."""
    return (g, axis) if axis is not None else (np.reshape(g, (-1,)), 0)


def _cumsum(g: Any, a_shape: Any, axis: Axis) -> Any:
    g, along = _along(a_shape, g, axis)
    if is_native(g) and g.dtype.kind == "f":
        return lines.running_sums(g, along, True).reshape(a_shape)
    return np.reshape(np.flip(np.cumsum(np.flip(g, along), axis=along), along), a_shape)


def scan_back(g: Any, factors: Any) -> Any:
    """Along the last axis, from the end: r_k = g_k + factors_k r_(k+1)."""
    if g.shape[-1] == 0:
        return g
    scan = [g[..., -1]]
    for k in range(g.shape[-1] - 2, -1, -1):
        scan.append(g[..., k] + factors[..., k] * scan[-1])
    return np.stack(scan[::-1], axis=-1)


def _cumprod(g: Any, a: Any, axis: Axis) -> Any:
    """Products before each element times the scan r_k = g_k + a_(k+1) r_(k+1) from the end; no division."""
    shape = a.shape
    g, along = _along(shape, g, axis)
    g, a = np.moveaxis(g, along, -1), np.moveaxis(np.reshape(a, g.shape), along, -1)
    gradient = _products_before(a) * scan_back(g, a[..., 1:]) if a.size else g
    return np.reshape(np.moveaxis(gradient, -1, along), shape)


def _running_sums(a: Any, axis: Axis = None, dtype: Any = None, out: None = None) -> Any:
    if dtype is not None or axis is None or a.dtype.kind != "f":
        return np.cumsum(a, axis, dtype)
    return lines.running_sums(a, axis, False)


define_rule(np.cumsum, linear="jointly", a=_cumsum, ignores=("dtype",), kernel=_running_sums)
define_rule(np.cumprod, a=_cumprod, ignores=("dtype",))


def _cumulative(function: Any, accumulate: Any, start: float) -> None:
    @composite(function)
    def cumulative(x: Any, /, *, axis: Axis = None, dtype: Any = None, include_initial: bool = False) -> Any:
        x = np.atleast_1d(x)
        if axis is None and x.ndim > 1:
            raise ValueError(f"{function.__name__}: an array of {x.ndim} axes needs the argument axis")
        axis = 0 if axis is None else axis
        made = accumulate(x, axis=axis, dtype=dtype)
        if not include_initial:
            return made
        first = np.full([1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)], start, made.dtype)
        return np.concatenate([first, made], axis=axis)


for _function in named("cumulative_sum"):
    _cumulative(_function, np.cumsum, 0)
for _function in named("cumulative_prod"):
    _cumulative(_function, np.cumprod, 1)
