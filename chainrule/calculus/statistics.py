"""Averages, order statistics, reductions that skip NaN, covariances and weighted histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any
from warnings import warn

import numpy as np

from ..core.arrays import as_array, is_array
from ..core.batched import Batched, somewhere
from ..core.variable import Variable
from ..dispatch import composite, define_rule, primitive, unwrap
from .indexing import put_item
from .linalg import _axes
from .reductions import _NOTHING, Axis, _everywhere, _extremum, _over


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that have been given."""
    return {name: value for name, value in arguments.items() if value is not _NOTHING and value is not None}


def _warn(message: str) -> None:
    warn(message, RuntimeWarning, stacklevel=5)


def _lost(x: Any, where: Any) -> Any:
    """``x`` with NaN, which no gradient flows through, in some places."""
    return np.where(where, x.dtype.type(np.nan), x) if somewhere(where) else x


# ---- averages -------------------------------------------------------------------------------------------


@composite(np.average)
def _average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: Any = _NOTHING) -> Any:
    """Σ w a / Σ w."""
    a = as_array(a)
    if weights is None:
        average = np.mean(a, axis=axis, **_given(keepdims=keepdims))
        total: Any = np.full((), a.size / max(average.size, 1), average.dtype)
    else:
        weights = as_array(weights)
        if weights.shape != a.shape:
            if axis is None:
                raise TypeError(f"np.average: weights {weights.shape} and a {a.shape} differ in shape: give the argument axis")
            axes = _axes(axis, a.ndim)
            if weights.shape != tuple(a.shape[i] for i in axes):
                raise ValueError(f"np.average: weights {weights.shape} do not fit the axes {axis} of a, {a.shape}")
            weights = np.transpose(weights, np.argsort(axes))
            weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
        total = np.sum(weights, axis=axis, **_given(keepdims=keepdims))
        if somewhere(total == 0):
            raise ZeroDivisionError("np.average: weights sum to zero, and cannot be normalized")
        average = np.sum(a * weights, axis=axis, **_given(keepdims=keepdims)) / total
    return (average, np.broadcast_to(total, average.shape)) if returned else average


# ---- order statistics -----------------------------------------------------------------------------------


@primitive
def _elements(a: Any, values: Any) -> Any:
    """``values``, each of which stands somewhere in its column of ``a``."""
    return values


def _share_among_equals(g: Any, a: Any, values: Any) -> Any:
    gradient = np.zeros(a.shape, g.dtype)
    for gradient_of_one, value in zip(g, values, strict=True):
        chosen = a == value
        ties = np.maximum(np.sum(chosen, axis=0), 1)
        gradient = gradient + np.where(chosen, _over(gradient_of_one, ties), g.dtype.type(0))
    return gradient


define_rule(_elements, a=_share_among_equals)


def _columns(a: Any, axis: Axis) -> Any:
    """``a`` with its reduced axes as one, the first."""
    axes = _axes(axis, a.ndim)
    kept = [i for i in range(a.ndim) if i not in axes]
    return np.reshape(np.transpose(a, [*axes, *kept]), [prod([a.shape[i] for i in axes])] + [a.shape[i] for i in kept])


def _reduced_shape(shape: Sequence[int], axis: Axis, keepdims: Any) -> list[int]:
    axes = _axes(axis, len(shape))
    keepdims = keepdims is not _NOTHING and keepdims
    return [1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes]


def _order_statistics(columns: Any, ranks: Any) -> Any:
    """The elements at ``ranks`` of the sorted columns; ranks differ from row to row of the result, and may between columns."""
    data = unwrap(columns)
    if ranks.ndim == 1 or data.ndim == 1:
        ranks = ranks.reshape(-1)
        return _elements(columns, np.partition(data, np.unique(ranks), axis=0)[ranks])
    return _elements(columns, np.take_along_axis(np.sort(data, axis=0), ranks, axis=0))


#: For each method of np.quantile that is continuous in q, how the slope of the position in the sorted n elements is n + ...
_SLOPES = {"linear": -1.0, "interpolated_inverted_cdf": 0.0, "hazen": 0.0, "weibull": 1.0, "median_unbiased": 1 / 3,
           "normal_unbiased": 1 / 4}  # fmt: skip


def _positions(count: int, q: Any, method: str) -> Any:
    """Where the quantiles of ``count`` elements stand among them when sorted: they are the quantiles of 0, 1, 2, ..."""
    return np.quantile(np.arange(count, dtype=float), q, method=method)  # type: ignore[call-overload]


def _interpolated(columns: Any, counts: Any, q: Any, method: str) -> Any:
    """The order statistics on both sides of the quantiles' positions, and the straight line between them.

    Args:
        columns: the elements along the first axis, of which ``counts`` count and are sorted before the others.
        q: a vector of probabilities.
    """
    chances = unwrap(q)
    position = np.zeros(chances.shape + counts.shape)
    for count in np.unique(counts):
        if count > 0:
            position[:, counts == count] = _positions(int(count), chances, method)[:, None]
    ranks, last = np.floor(position).astype(int), np.maximum(counts - 1, 0)
    share, follows = position - ranks, getattr(q, "requires_grad", False)
    if not follows and not share.any():
        return _order_statistics(columns, ranks)
    both = _order_statistics(columns, np.concatenate([ranks, np.minimum(ranks + 1, last)]))
    below, above = both[: len(ranks)], both[len(ranks) :]
    real = np.real(np.zeros((), np.result_type(both.dtype, np.float16) if both.dtype.kind in "biu" else both.dtype))
    share = share.reshape(ranks.shape + (1,) * (both.ndim - ranks.ndim)).astype(real.dtype)
    step = above - below
    nearer_below = share < 0.5
    if follows:
        # where the position is clipped to the first or last element, it does not follow q
        moves = (position > 0) & (position < last) | (method == "linear")
        slope = np.where(moves, counts + _SLOPES[method] if method in _SLOPES else 0.0, 0.0)
        slope = slope.reshape(share.shape).astype(share.dtype)
        share = share + slope * np.reshape(q - chances, (-1,) + (1,) * (share.ndim - 1)).astype(share.dtype)
    return np.where(nearer_below, below + step * share, above - step * (1 - share))


def _quantiles(function: Any, whole: int, skips_nan: bool) -> None:
    """Define np.quantile and its kin: q from 0 to ``whole``."""

    @composite(function)
    def quantile(
        a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = False, *,
        weights: Any = None,
    ) -> Any:  # fmt: skip
        a, q = as_array(a), as_array(q)
        columns, flat = _columns(a, axis), np.reshape(q, (-1,)) / whole
        nan = np.isnan(columns)
        lost = np.any(nan, axis=0)
        if weights is not None or not len(columns):
            values = function(unwrap(a), unwrap(flat) * whole, axis, method=method, weights=unwrap(weights))
            made = _elements(columns, np.broadcast_to(values, [flat.size, *columns.shape[1:]]))
        elif skips_nan and somewhere(lost):
            counts = np.sum(~nan, axis=0)
            if not counts.all():
                _warn("All-NaN slice encountered")
            made = _interpolated(columns, counts, flat, method)
        else:
            made = _interpolated(columns, np.asarray(len(columns)), flat, method)
            made = _lost(made, lost)
        return np.reshape(made, [*q.shape, *_reduced_shape(a.shape, axis, keepdims)])


_quantiles(np.quantile, 1, skips_nan=False)
_quantiles(np.percentile, 100, skips_nan=False)
_quantiles(np.nanquantile, 1, skips_nan=True)
_quantiles(np.nanpercentile, 100, skips_nan=True)


@composite(np.median)
def _median(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The element in the middle, or the mean of both."""
    a = as_array(a)
    columns = _columns(a, axis)
    n = len(columns)
    if n == 0:
        _warn("Mean of empty slice")
        return np.full(_reduced_shape(a.shape, axis, keepdims), np.nan, np.mean(np.zeros(1, a.dtype)).dtype)
    made = np.mean(_order_statistics(columns, np.arange((n - 1) // 2, n // 2 + 1)), axis=0)
    made = _lost(made, np.any(np.isnan(columns), axis=0))
    return np.reshape(made, _reduced_shape(a.shape, axis, keepdims))


@composite(np.nanmedian)
def _nanmedian(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: Any = _NOTHING) -> Any:
    a, keepdims = as_array(a), keepdims is not _NOTHING and keepdims
    if not somewhere(np.isnan(a)):
        return np.median(a, axis=axis, keepdims=keepdims)
    columns = _columns(a, axis)
    counts = np.sum(~np.isnan(columns), axis=0)
    if not counts.all():
        _warn("All-NaN slice encountered")
    middle = np.stack([np.maximum(counts - 1, 0) // 2, counts // 2])
    return np.reshape(np.mean(_order_statistics(columns, middle), axis=0), _reduced_shape(a.shape, axis, keepdims))


# ---- reductions that skip NaN ---------------------------------------------------------------------------


def _filled(a: Any, value: float) -> Any:
    """``a`` with ``value`` in place of NaN."""
    nan = np.isnan(a)
    return np.where(nan, a.dtype.type(value), a) if somewhere(nan) else a


def _skipping(function: Any, plain: Any, neutral: float) -> None:
    composite(function)(lambda a, *args, **kwargs: plain(_filled(a, neutral), *args, **kwargs))


_skipping(np.nansum, np.sum, 0)
_skipping(np.nanprod, np.prod, 1)
_skipping(np.nancumsum, np.cumsum, 0)
_skipping(np.nancumprod, np.cumprod, 1)

for _function in (np.nanmax, np.nanmin):
    define_rule(_function, a=_extremum, ignores=("initial", "keepdims"))  # NaN is equal to nothing, and so never shares


def _skipping_moment(a: Any, axis: Axis, keepdims: Any, where: Any, plain: Callable[..., Any], ddof: Any = 0) -> Any:
    """A mean or variance of what is not NaN; NaN, with no gradient, of slices where too little is left."""
    nan = np.isnan(a)
    if not somewhere(nan):
        return plain(a, axis=axis, **_given(keepdims=keepdims, where=where))
    kept = ~nan if _everywhere(where) else ~nan & where
    short = np.sum(kept, axis=axis, keepdims=True) <= ddof
    # a slice with too little left is computed from all of its elements, so that nothing is divided by 0, and not used
    made = plain(_filled(a, 0), axis=axis, where=kept | short, **_given(keepdims=keepdims))
    if not somewhere(short):
        return made
    _warn("Mean of empty slice" if ddof == 0 else "Degrees of freedom <= 0 for slice.")
    return _lost(made, np.reshape(short, made.shape))


@composite(np.nanmean)
def _nanmean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = _NOTHING, *, where: Any = _NOTHING) -> Any:
    return _skipping_moment(a, axis, keepdims, where, lambda a, **options: np.mean(a, dtype=dtype, **options))


def _skipping_spread(function: Any, plain: Any) -> None:
    @composite(function)
    def reduce(
        a: Any, axis: Axis = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = _NOTHING, *, where: Any = _NOTHING,
        mean: Any = _NOTHING, correction: Any = _NOTHING,
    ) -> Any:  # fmt: skip
        if correction is not _NOTHING and ddof != 0:
            raise ValueError(f"np.{function.__name__}: ddof and correction can't be provided simultaneously")
        ddof = ddof if correction is _NOTHING else correction

        def of_kept(a: Any, **options: Any) -> Any:
            return plain(a, dtype=dtype, ddof=ddof, mean=mean, **options)

        return _skipping_moment(a, axis, keepdims, where, of_kept, ddof)


_skipping_spread(np.nanvar, np.var)
_skipping_spread(np.nanstd, np.std)

# ---- covariances ----------------------------------------------------------------------------------------


@composite(np.cov)
def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """Σ w (x - mean) (x - mean)ᴴ over the degrees of freedom; as in NumPy, of float64 at least."""
    given = [as_array(m)] if y is None else [as_array(m), as_array(y)]
    if any(x.ndim > 2 for x in given):
        raise ValueError(f"np.cov: arrays have at most 2 axes, but the shapes are {[x.shape for x in given]}")
    dtype = np.result_type(*(x.dtype for x in given), np.float64) if dtype is None else dtype
    rows = [np.atleast_2d(np.astype(x, dtype)) for x in given]
    if not rowvar:
        rows = [r.T if x.ndim == 2 else r for r, x in zip(rows, given, strict=True)]
    x = np.concatenate(rows, axis=0)
    if ddof is None:
        ddof = 0 if bias else 1
    elif ddof != int(ddof):
        raise ValueError("np.cov: ddof must be an integer")
    weights = None
    for name, given_weights in (("fweights", fweights), ("aweights", aweights)):
        if given_weights is None:
            continue
        w = np.astype(as_array(given_weights), float)
        if w.shape != x.shape[1:] or somewhere(w < 0):
            raise ValueError(f"np.cov: {name} must be {x.shape[1]} numbers that are not negative")
        if name == "fweights" and somewhere(w != np.round(w)):
            raise TypeError("np.cov: fweights must be integers")
        weights = w if weights is None else weights * w
    mean, total = np.average(x, axis=1, weights=weights, returned=True)
    freedom: Any = total[0] if weights is not None else x.shape[1]
    if aweights is None or not ddof:
        freedom = freedom - ddof
    else:
        freedom = freedom - ddof * np.sum(weights * as_array(aweights)) / total[0]
    if somewhere(np.asarray(freedom <= 0) if isinstance(freedom, (int, float)) else freedom <= 0):
        _warn("Degrees of freedom <= 0 for slice")
        freedom = 0.0
    x = x - mean[:, None]
    weighted = x if weights is None else x * weights
    made = np.matmul(x, (np.conjugate(weighted) if np.iscomplexobj(x) else weighted).T)
    return np.squeeze(made * np.true_divide(1, freedom))


@composite(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The covariances over both standard deviations."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviation = np.sqrt(np.real(np.diag(c)))
    c = c / deviation[:, None] / deviation
    if np.iscomplexobj(c):
        return np.clip(np.real(c), -1, 1) + 1j * np.clip(np.imag(c), -1, 1)
    return np.clip(c, -1, 1)


# ---- histograms: linear in the weights ------------------------------------------------------------------


def _weighted_counts(samples: Sequence[Any], edges: Sequence[Any], weights: Any, density: Any) -> Any:
    """The sum of the weights in each bin; the last bin has both of its edges."""
    shape = tuple(len(e) - 1 for e in edges)
    places, inside = [], np.ones(np.shape(samples[0]), bool)
    for x, e, n in zip(samples, edges, shape, strict=True):
        place = np.where(x == e[-1], n - 1, np.searchsorted(e, x, side="right") - 1)
        places.append(place)
        inside = inside & (place >= 0) & (place < n)
    counted = np.where(inside, np.reshape(weights, inside.shape), weights.dtype.type(0))
    made = put_item(counted, tuple(np.clip(p, 0, n - 1) for p, n in zip(places, shape, strict=True)), shape)
    if density:
        sizes = np.ones(shape)
        for e in np.ix_(*map(np.diff, edges)):
            sizes = sizes * e
        made = made / sizes.astype(made.dtype) / np.sum(made)
    return made


@composite(np.histogram)
def _histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Differentiable in the weights; counts alone have no useful gradient, and are plain values."""
    a, bins = unwrap(a), unwrap(bins)
    if not isinstance(weights, (Variable, Batched)):
        return np.histogram(a, bins, range, density, weights)
    edges = np.histogram_bin_edges(a, bins, range, unwrap(weights))
    return _weighted_counts([np.ravel(a)], [edges], np.ravel(weights), density), edges


@composite(np.histogramdd)
def _histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None) -> Any:
    sample, bins = unwrap(sample), unwrap(bins)
    made, edges = np.histogramdd(sample, bins, range, density, unwrap(weights))
    if not isinstance(weights, (Variable, Batched)):
        return made, edges
    columns = np.atleast_2d(sample.T) if is_array(sample) else np.asarray(sample)
    return _weighted_counts(list(columns), edges, weights, density), edges


@composite(np.histogram2d)
def _histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None) -> Any:
    x, y, bins = np.asarray(unwrap(x)), np.asarray(unwrap(y)), unwrap(bins)
    made, *edges = np.histogram2d(x, y, bins, range, density, unwrap(weights))
    return (_weighted_counts([x, y], edges, weights, density) if isinstance(weights, (Variable, Batched)) else made, *edges)


@composite(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    x = np.asarray(unwrap(x))
    if not isinstance(weights, (Variable, Batched)):
        return np.bincount(x, weights, minlength)
    return put_item(weights, (x,), (max(minlength, int(x.max(initial=-1)) + 1),))
