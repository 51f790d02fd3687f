"""Rules beyond everyday NumPy: against NumPy's own values, and against finite differences to second order."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable, check_grads
from chainrule.dispatch import NO_GRADIENT, RULES, UNSUPPORTED, is_known

rng = np.random.default_rng(1)
X = rng.normal(size=(3, 4))
POSITIVE = np.abs(X) + 0.5
V = rng.normal(size=5)
W = np.abs(rng.normal(size=5)) + 0.5
SORTED = np.sort(rng.normal(size=5))
Z = X + 1j * POSITIVE
CUBE = rng.normal(size=(2, 3, 4))
GAPS = np.array([[1.5, np.nan, -0.3, 2.0], [0.7, 0.9, -1.1, np.nan], [np.nan, 0.2, 0.4, 1.3]])
COUNTS = np.array([2, 1, 3, 1])
PLACES = np.array([0.1, 0.5, 0.9, 0.5, -0.2])
MASK = X > 0

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def changed(write):
    """What a function that writes makes of its first argument, as a function without that effect."""

    def f(x, *others):
        y = x * 2
        write(y, *others)
        return y

    return f


CASES = {
    # element-wise
    "angle": (np.angle, Z),
    "angle in degrees": (lambda z: np.angle(z, deg=True), Z),
    "angle of real numbers": (np.angle, X),
    "real_if_close": (lambda x: np.real_if_close(x * (1 + 0j)), X),
    "real_if_close of complex numbers": (lambda z: np.real_if_close(z) * 1, Z),
    "sinc": (np.sinc, np.array([0.0, 1e-9, 0.3, -0.63, 0.64, 1.0, -2.5, 40.3])),
    "sinc of complex numbers": (np.sinc, Z),
    "i0": (np.i0, np.array([0.0, 1e-8, 0.5, -2.0, 7.9, 8.1])),
    "nan_to_num": (np.nan_to_num, X),
    "frexp": (lambda x: np.frexp(x)[0], X * 10),
    "modf": (lambda x: np.modf(x)[0], X * 10),
    "emath.sqrt": (lambda x: np.emath.sqrt(x), X),
    "emath.log": (lambda x: np.emath.log(x), X),
    "emath.log2": (lambda x: np.emath.log2(x), POSITIVE),
    "emath.arccos": (lambda x: np.emath.arccos(x), POSITIVE + 1),
    "emath.arctanh": (lambda x: np.emath.arctanh(x), X / 4),
    "emath.logn": (lambda n, x: np.emath.logn(n, x), POSITIVE + 1, POSITIVE),
    "emath.power": (lambda x: np.emath.power(x, 1.5), X),
    "unwrap": (lambda x: np.unwrap(x * 5, axis=0), X),
    "unwrap with a period": (lambda x: np.unwrap(x * 5, period=2.0, discont=1.1), V),
    # differences and integrals
    "diff": (np.diff, X),
    "diff twice": (lambda x: np.diff(x, 2, axis=0), X),
    "diff not at all": (lambda x: np.diff(x, 0) * 1, X),
    "diff with ends": (lambda x, e: np.diff(x, prepend=e, append=1.0), X, X[:, :2]),
    "ediff1d": (lambda x, e: np.ediff1d(x, to_end=e, to_begin=0.5), X, V),
    "trapezoid": (lambda y: np.trapezoid(y, dx=0.3, axis=0), X),
    "trapezoid at points": (np.trapezoid, X, SORTED[:4]),
    "trapezoid at points for each row": (lambda y, x: np.trapezoid(y, x, axis=-1), X, np.sort(X)),
    "gradient": (np.gradient, X),
    "gradient of one axis": (lambda x: np.gradient(x, 0.5, axis=-1, edge_order=2), X),
    "gradient with spacings": (lambda f, h: np.gradient(f, 0.5, h), X, np.array(0.7)),
    "gradient at points": (lambda f, x: np.gradient(f, x, axis=1), X, SORTED[:4]),
    "gradient at points, second order": (lambda f, x: np.gradient(f, x, axis=1, edge_order=2), X, SORTED[:4]),
    "gradient of two elements": (np.gradient, V[:2]),
    "cumulative_sum": (lambda x: np.cumulative_sum(x, axis=1, include_initial=True), X),
    "cumulative_sum of a vector": (lambda x: np.cumulative_sum(x), V),
    "cumulative_prod": (lambda x: np.cumulative_prod(x, axis=0, include_initial=True), X),
    # interpolation and convolution
    "interp": (np.interp, np.array([[-9.0, 0.1], [0.35, 9.0]]), SORTED, V),
    "interp with ends": (lambda x, fp, e: np.interp(x, SORTED, fp, left=e, right=2.0), np.array([-9.0, 0.1, 9.0]), V, np.array(1.5)),
    "interp with a period": (lambda x, xp, fp: np.interp(x, xp, fp, period=3.0), V * 3, SORTED[::-1].copy(), V),
    "interp of one point": (lambda x, fp: np.interp(x, [0.5], fp), V, V[:1]),
    **{
        f"{f.__name__} {mode} {len(a)} {len(v)}": (lambda a, v, f=f, mode=mode: f(a, v, mode), a, v)
        for f in (np.convolve, np.correlate)
        for mode in ("full", "same", "valid")
        for a, v in ((V, W[:2]), (V, W[:3]), (W[:2], V), (W[:3], V), (V, W), (V[:4], W[:3]), (W[:3], V[:4]))
    },
    "convolve of complex numbers": (np.convolve, Z[0], V[:2]),
    "correlate of complex numbers": (lambda a, v: np.correlate(a, v, "full"), Z[0], Z[1][:3]),
    # averages and order statistics
    "average": (lambda x: np.average(x, axis=0), X),
    "average of all": (np.average, X),
    "average with weights": (lambda x, w: np.average(x, 0, w), X, POSITIVE),
    "average with weights of an axis": (lambda x, w: np.average(x, 1, w, keepdims=True), X, POSITIVE[0]),
    "average with weights of two axes": (lambda x, w: np.average(x, (2, 0), w), CUBE, np.abs(CUBE[:, 0].T) + 0.1),
    "average and the sum of weights": (lambda x, w: np.average(x, 0, w, returned=True), X, POSITIVE),
    "average and the number of elements": (lambda x: np.average(x, 0, returned=True)[0], X),
    "median": (np.median, X),
    "median of an odd number": (lambda x: np.median(x, axis=0, keepdims=True), X),
    "median over two axes": (lambda x: np.median(x, axis=(0, -1)), CUBE),
    "quantile": (lambda x: np.quantile(x, 0.3), X),
    "quantiles": (lambda x: np.quantile(x, [[0.0, 0.3], [0.71, 1.0]], axis=1, keepdims=True), X),
    "quantiles over two axes": (lambda x: np.quantile(x, [0.2, 0.8], axis=(0, 2)), CUBE),
    "quantile in q": (np.quantile, X, np.array([0.2, 0.61])),
    "percentile": (lambda x: np.percentile(x, [25, 75], axis=0), X),
    "percentile in q": (lambda x, q: np.percentile(x, q, axis=1, method="hazen"), X, np.array([1.0, 33.0, 60.0])),
    "quantile with weights": (lambda x: np.quantile(x, [0.2, 0.7], axis=1, weights=POSITIVE, method="inverted_cdf"), X),
    **{
        f"quantile by {method}": (lambda x, m=method: np.quantile(x, [0.02, 0.35, 0.5, 0.66, 0.99], axis=1, method=m), X)
        for method in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen",
                       "weibull", "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest")
    },
    # without NaN
    **{
        f"{f.__name__} {axis} {len(options)} {x is GAPS}": (lambda x, f=f, axis=axis, o=options: f(x, axis=axis, **o), x)
        for f in (np.nansum, np.nanmean, np.nanprod, np.nanmax, np.nanmin, np.nanvar, np.nanstd, np.nanmedian)
        for axis in (None, 0, -1, (0, 1))
        for options in ({}, {"keepdims": True})
        for x in (X, GAPS)
    },
    **{
        f"{f.__name__} {axis}": (lambda x, f=f, axis=axis: f(x, axis=axis), GAPS)
        for f in (np.nancumsum, np.nancumprod)
        for axis in (None, 0, 1)
    },
    "nanvar, ddof": (lambda x: np.nanvar(x, axis=1, ddof=1), GAPS),
    "nanstd, correction": (lambda x: np.nanstd(x, axis=1, correction=1, where=np.array([True, True, True, False])), GAPS),
    "nanmean where": (lambda x: np.nanmean(x, axis=1, where=np.array([True, True, True, False])), GAPS),
    "nansum where": (lambda x: np.nansum(x, axis=1, where=np.array([True, True, True, False]), initial=3.0), GAPS),
    "nanmax, initial": (lambda x: np.nanmax(x, axis=0, initial=0.5, where=np.array([[True], [True], [False]])), GAPS),
    "nanquantile": (lambda x: np.nanquantile(x, [0.1, 0.6], axis=1), GAPS),
    "nanquantile of all": (lambda x: np.nanquantile(x, 0.4, method="weibull"), GAPS),
    "nanquantile in q": (lambda x, q: np.nanquantile(x, q, axis=0), GAPS, np.array([0.1, 0.6])),
    "nanpercentile": (lambda x: np.nanpercentile(x, 40, axis=0, keepdims=True), GAPS),
    # covariances
    "cov": (np.cov, X),
    "cov of columns": (lambda x: np.cov(x, rowvar=False), X),
    "cov of one": (np.cov, V),
    "cov of two": (lambda x, y: np.cov(x, y, bias=True), V, W),
    "cov with weights": (lambda x, w: np.cov(x, aweights=w, fweights=COUNTS), X, POSITIVE[0]),
    "cov with weights, ddof 0": (lambda x, w: np.cov(x, aweights=w, ddof=0), X, POSITIVE[0]),
    "cov with frequencies": (lambda x: np.cov(x, fweights=COUNTS), X),
    "cov of complex numbers": (np.cov, Z[:2]),
    "corrcoef": (np.corrcoef, X),
    "corrcoef of two": (np.corrcoef, V, W),
    "corrcoef of columns of complex numbers": (lambda z: np.corrcoef(z, rowvar=False), Z[:, :2]),
    # histograms
    "histogram": (lambda w: np.histogram(PLACES, 3, weights=w)[0], V),
    "histogram with edges": (lambda w: np.histogram(PLACES, [0.0, 0.3, 0.9], density=True, weights=w)[0], W),
    "histogram2d": (lambda w: np.histogram2d(PLACES, SORTED, [2, 3], weights=w)[0], V),
    "histogramdd": (lambda w: np.histogramdd(np.stack([PLACES, SORTED], 1), 2, density=True, weights=w)[0], W),
    "histogramdd in a range": (lambda w: np.histogramdd([PLACES, SORTED], (2, 3), [(0, 1), (-1, 1)], weights=w)[0], W),
    "bincount": (lambda w: np.bincount([0, 2, 2, 5, 0], w, minlength=8), V),
    # polynomials
    "poly": (np.poly, V[:3]),
    "poly of conjugate zeros": (lambda z: np.poly(np.stack([z, np.conj(z)])), np.array(1 + 2j)),
    "poly of complex zeros": (np.poly, Z[0, :3]),
    "poly of a matrix": (np.poly, np.array([[1.0, 0.5, 0.2], [0.3, 2.5, 0.1], [0.4, 0.3, -1.0]])),
    "polyadd": (np.polyadd, V, W[:2]),
    "polysub": (np.polysub, V[:3], W),
    "polymul": (np.polymul, V, W[:2]),
    "polydiv": (np.polydiv, V, W[:3]),
    "polydiv by a longer one": (lambda u, v: np.polydiv(u, v)[1], V[:2], W),
    "polydiv by a number": (lambda u, v: np.polydiv(u, v)[0], V, W[:1]),
    "polyder": (lambda p: np.polyder(p, 2), V),
    "polyint": (lambda p, k: np.polyint(p, 2, k), V, W[:2]),
    "polyint with one constant": (lambda p: np.polyint(p, 2, 3.0), V),
    "polyval": (np.polyval, V, X),
    "polyfit": (lambda x, y: np.polyfit(x, y, 2), SORTED, V),
    "polyfit of two, with weights": (lambda x, y, w: np.polyfit(x, y, 1, w=w), SORTED, rng.normal(size=(5, 2)), W),
    "polyfit with covariance": (lambda x, y: np.polyfit(x, y, 1, cov=True), SORTED, V),
    "polyfit with unscaled covariance": (lambda x, y: np.polyfit(x, y, 1, cov="unscaled")[1], SORTED, V),
    "roots": (np.roots, np.array([1.0, -3.0, -4.0, 5.0])),
    "complex roots": (np.roots, np.array([1.0, 0.2, 3.0, 0.7, 0.0])),
    "roots of complex polynomials": (np.roots, Z[0]),
    "vander": (lambda x: np.vander(x, 4), np.array([0.0, 1.5, -2.0])),
    "vander increasing": (lambda x: np.vander(x, increasing=True), V),
    # selection
    "select": (lambda x, y: np.select([x < -0.5, x < 0.5], [x * x, y], 3.0), X, POSITIVE),
    "choose": (lambda x, y: np.choose(np.array([0, 1, 2, 1]), [x, y, 2.0]), X, X[:1] * 3),
    "choose, wrap": (lambda x: np.choose(np.array([0, -1, 7, 1]), [x, x * x], mode="wrap"), X),
    "compress": (lambda x: np.compress([True, False, True], x, axis=1), X),
    "compress flat": (lambda x: np.compress([True, False, True], x), X),
    "extract": (lambda x: np.extract(MASK, x), X),
    "piecewise": (lambda x, c: np.piecewise(x, [x < -0.5, x > 0.5], [np.exp, c, lambda x: x**3]), X, np.array(2.0)),
    "piecewise, one condition": (lambda x: np.piecewise(x, x > 0, [np.log, lambda x: x * x]), V),
    "piecewise with arguments": (lambda x: np.piecewise(x, [x > 0], [lambda x, a, b: a * x**b, 1.0], 3.0, b=2), X),
    "delete": (lambda x: np.delete(x, 1, axis=1), X),
    "delete several": (lambda x: np.delete(x, [0, -1, 2]), X),
    "delete slice": (lambda x: np.delete(x, slice(None, None, 2), axis=-1), X),
    "insert": (lambda x, v: np.insert(x, 1, v, axis=1), X, V[:3]),
    "insert rows": (lambda x, v: np.insert(x, [1], v, axis=0), X, POSITIVE[:2]),
    "insert several": (lambda x, v: np.insert(x, [2, 0, 2], v), X, V[:3]),
    "insert at a slice": (lambda x, v: np.insert(x, slice(-2, None), v, axis=1), X, V[:2]),
    # shapes
    "atleast_3d": (lambda x: np.atleast_3d(x, x[0], x[0, 0]), X),
    "dstack": (lambda x: np.dstack([x, x * x]), X),
    "dstack of vectors": (lambda x: np.dstack([x, x * x]), V),
    "block": (lambda x: np.block([[x, np.ones((3, 2))], [2.0 * x[:1], x[:1, :2]]]), X),
    "block of vectors": (lambda x: np.block([x, 1.0, x * x]), V),
    "block of stacks": (lambda x: np.block([[x], [x]]), CUBE),
    "block of one": (lambda x: np.block(x) * 1, X),
    "meshgrid": (lambda x, y: np.meshgrid(x, y), V, W[:2]),
    "meshgrid ij": (lambda x, y: np.meshgrid(x, y, [1.0, 2.0], indexing="ij"), V, W[:2]),
    "meshgrid sparse": (lambda x, y: np.meshgrid(x, y, sparse=True), V, W[:2]),
    "meshgrid of one": (lambda x: np.meshgrid(x), V),
    "rollaxis": (lambda x: np.rollaxis(x, 2), CUBE),
    "rollaxis to": (lambda x: np.rollaxis(x, 0, -1), CUBE),
    "rollaxis to the end": (lambda x: np.rollaxis(x, 0, 3), CUBE),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 0, 1)), CUBE),
    "matrix_transpose": (np.matrix_transpose, CUBE),
    "resize": (lambda x: np.resize(x, (5, 3)), X),
    "resize to less": (lambda x: np.resize(x, 5), X),
    "resize to nothing": (lambda x: np.resize(x, (0, 3)), X),
    "trim_zeros": (lambda x: np.trim_zeros(np.pad(x, (2, 1))), V),
    "trim_zeros in front": (lambda x: np.trim_zeros(np.pad(x, (2, 1)), "f"), V),
    "trim_zeros of nothing but zeros": (lambda x: np.trim_zeros(x * 0), V),
    "unstack": (lambda x: np.unstack(x, axis=1), X),
    "sliding_window_view": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1), X),
    "sliding_window_view of all": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)), X),
    "sort_complex": (np.sort_complex, Z),
    "sort_complex of real numbers": (np.sort_complex, V),
    # construction
    "full_like": (lambda x, v: np.full_like(x, v), X, V[:4]),
    "full_like of another shape": (lambda x, v: np.full_like(x, v, shape=(2, 4)), X, V[:4]),
    "linspace": (np.linspace, np.array(1.5), np.array(-2.0)),
    "linspace of vectors": (lambda a, b: np.linspace(a, b, 4, endpoint=False, axis=1), V, W),
    "linspace and its step": (lambda a: np.linspace(a, 3.0, 5, retstep=True), np.array(1.5)),
    "linspace of one": (lambda a: np.linspace(a, 3.0, 1), np.array(1.5)),
    "logspace": (lambda a, b: np.logspace(a, b, 4, base=2.0), V, W),
    "geomspace": (lambda a, b: np.geomspace(a, b, 4), W, W[::-1].copy()),
    "geomspace of negative numbers": (lambda a: np.geomspace(a, -3.0, 4), -W),
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda row: row[:2] * row.sum(), 0, x), CUBE),
    "apply_along_axis, numbers": (lambda x: np.apply_along_axis(lambda row, p: (row**p).sum(), 1, x, 3), CUBE),
    "apply_along_axis, matrices": (lambda x: np.apply_along_axis(np.diag, -1, x), CUBE),
    "apply_over_axes": (lambda x: np.apply_over_axes(np.sum, x * x, [0, -1]), CUBE),
    # products
    "cross": (np.cross, CUBE[:, :, :3], X[:, :3]),
    "cross along axes": (lambda a, b: np.cross(a, b, axisa=1, axisb=0, axisc=0), CUBE, CUBE[0]),
    "vecdot": (lambda a, b: np.vecdot(a, b), Z, X),
    "vecdot along an axis": (lambda a, b: np.vecdot(a, b, axis=0), X, POSITIVE),
    "matvec": (lambda a, b: np.matvec(a, b), CUBE, X[0]),
    "vecmat": (lambda a, b: np.vecmat(a, b), Z[:, :3], CUBE[:, None]),
    # assignment
    "copyto": (changed(np.copyto), X, POSITIVE[:1]),
    "copyto where": (changed(lambda y, v: np.copyto(y, v, where=MASK)), X, POSITIVE),
    "put": (changed(lambda y, v: np.put(y, [0, 5, -1, 5], v)), X, V[:4]),
    "put fewer": (changed(lambda y, v: np.put(y, [0, 17, -30], v, mode="wrap")), X, V[:2]),
    "put one, clip": (changed(lambda y, v: np.put(y, [3, 99], v, mode="clip")), X, V[:1]),
    "place": (changed(lambda y, v: np.place(y, MASK, v)), X, V[:3]),
    "putmask": (changed(lambda y, v: np.putmask(y, MASK, v)), X, V[:3]),
    "putmask of the same shape": (changed(lambda y, v: np.putmask(y, MASK, v)), X, POSITIVE),
    "put_along_axis": (changed(lambda y, v: np.put_along_axis(y, np.array([[1], [0], [3]]), v, 1)), X, POSITIVE[:, :1]),
    "put_along_axis flat": (changed(lambda y, v: np.put_along_axis(y, np.array([1, 7]), v, None)), X, V[:2]),
    "fill_diagonal": (changed(np.fill_diagonal), X, V[:2]),
    "fill_diagonal of a tall matrix": (changed(lambda y, v: np.fill_diagonal(y, v, wrap=True)), rng.normal(size=(7, 2)), np.array(2.0)),
    "fill_diagonal of a cube": (changed(np.fill_diagonal), rng.normal(size=(2, 2, 2)), V[:2]),
    "nan_to_num in place": (changed(lambda y: np.nan_to_num(y, copy=False)), X),
    "add.at": (changed(lambda y, v: np.add.at(y, ([0, 0, 2], [1, 1, 3]), v)), X, V[:3]),
    "subtract.at": (changed(lambda y, v: np.subtract.at(y, [0, 0], v)), X, V[:4]),
    "assignment to an element twice": (changed(lambda y, v: y.__setitem__([0, 1, 0], v)), X, POSITIVE),
    # methods of ufuncs
    "add.reduceat": (lambda x: np.add.reduceat(x, [0, 2, 1, 3], axis=1), X),
    "add.reduceat of rows": (lambda x: np.add.reduceat(x, [1, 0]), X),
    **{
        f"{u.__name__}.{method} {axis}": (lambda x, u=u, method=method, axis=axis: getattr(u, method)(x, axis=axis), X)
        for u in (np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.logaddexp2)
        for method in ("reduce", "accumulate")
        for axis in (0, -1)
    },
    "logaddexp.reduce of all": (lambda x: np.logaddexp.reduce(x, axis=None, keepdims=True), X),
    "logaddexp.reduce where": (lambda x: np.logaddexp.reduce(x, axis=1, where=MASK | (np.arange(4) == 2), initial=0.5), X),
    **{
        f"{u.__name__}.outer": (u.outer, X[:2, :2] + 0.01, POSITIVE[0])
        for u in (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.logaddexp, np.arctan2, np.hypot)
    },
    "power.outer": (np.power.outer, W, V),
    **{
        f"{u.__name__}.{method} {axis}": (lambda x, u=u, method=method, axis=axis: getattr(u, method)(x, axis=axis), POSITIVE)
        for u in (np.subtract, np.divide, np.hypot, np.fmax)
        for method in ("reduce", "accumulate")
        for axis in (0, -1)
    },
    "hypot.reduce of all": (lambda x: np.hypot.reduce(x, axis=(0, 1), keepdims=True, initial=3.0), X),
    "hypot.reduce where": (lambda x: np.hypot.reduce(x, axis=1, where=MASK), X),
    "divide.reduceat": (lambda x: np.divide.reduceat(x, [0, 2, 1], axis=1), POSITIVE),
    "maximum.reduceat": (lambda x: np.maximum.reduceat(x, [1, 0, 2]), X),
    "multiply.at": (changed(lambda y, v: np.multiply.at(y, ([0, 0, 2, 0], [1, 1, 3, 1]), v)), X, V[:4]),
    "divide.at": (changed(lambda y, v: np.divide.at(y, [0, 2, 0], v)), X, POSITIVE),
    "log.at": (changed(lambda y: np.log.at(y, [0, 0])), POSITIVE + 1),
    # a mean that is given
    **{
        f"{f.__name__}, mean": (lambda x, m, f=f: f(x, axis=1, mean=m, ddof=1), x, X[:, :1])
        for f in (np.var, np.std, np.nanvar, np.nanstd)
        for x in (X,)
    },
    "var, its own mean": (lambda x: np.var(x, axis=0, keepdims=True, mean=np.mean(x, axis=0, keepdims=True)), X),
    "nanvar, mean": (lambda x: np.nanvar(x, axis=1, mean=np.nanmean(x, axis=1, keepdims=True)), GAPS),
    "choose of a number and an array": (lambda x: np.choose([0, 1, 1, 0], [1.5, x]), V[:1]),
    "interp at constants": (lambda x, fp: np.interp(x, SORTED.astype(fp.dtype), fp), X, V),
}  # fmt: skip

#: NumPy has these since a later release than 2.0.
LATER = ("cumulative_sum", "cumulative_prod", "unstack", "matvec", "vecmat", "vecdot")


@pytest.mark.parametrize("name", [n for n in CASES if n.split()[0] not in LATER or hasattr(np, n.split()[0])])
def test_values_and_derivatives(name):
    f, *args = CASES[name]
    for ours, numpys in zip(as_list(f(*map(Variable, args))), as_list(f(*args)), strict=True):
        ours = ours.data if isinstance(ours, Variable) else ours
        np.testing.assert_allclose(ours, numpys, rtol=1e-12, atol=1e-14)
        assert np.shape(ours) == np.shape(numpys)
        assert np.asarray(ours).dtype == np.asarray(numpys).dtype
    check_grads(f, args)


def as_list(made):
    return made if isinstance(made, (list, tuple)) else [made]


FLOAT32 = {
    name: case for name, case in CASES.items()
    if not name.startswith(("cov", "corrcoef", "hist", "bincount", "poly of a matrix", "emath", "interp w", "interp of", "meshgrid ij", "block"))
    and all(a.dtype == np.float64 for a in case[1:])
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in FLOAT32 if n.split()[0] not in LATER or hasattr(np, n.split()[0])])
def test_float32_stays_float32(name):
    f, *args = FLOAT32[name]
    xs = [Variable(a.astype(np.float32)) for a in args]
    made = [y for y in as_list(f(*xs)) if isinstance(y, Variable)]
    assert {y.dtype for y in made} <= {np.dtype(np.float32), np.dtype(np.complex64)} or name.startswith("sort_complex")
    for y in made:
        if y.requires_grad:
            y.backward(retain_graph=True)
    assert {x.grad.dtype for x in xs if x.grad is not None} <= {np.dtype(np.float32)}


# ---- edges ----------------------------------------------------------------------------------------------


def as_numpy(f, *args):
    """NumPy's value, and that it is ours."""
    np.testing.assert_equal(f(*map(Variable, args)).data, f(*args))


@np.errstate(all="ignore")
def test_infinities_are_interpolated_as_numpy_does():
    at = np.array([-np.inf, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, np.inf, np.nan])
    for points in ([1.0, 2.0, 3.0, 4.0], [-np.inf, 2.0, 3.0, np.inf]):
        for values in ([1.0, 2.0, np.inf, 4.0], [np.inf, 2.0, -np.inf, -np.inf], [np.inf] * 4, [5.0] * 4, [1.0, 2.0, 3.0, 4.0]):
            as_numpy(lambda x, p=points, v=values: np.interp(x, p, v), at)
    as_numpy(np.nanmedian, np.array([np.nan, np.inf, np.inf, 1.0]))
    as_numpy(lambda x: np.nanmedian(x, axis=1), np.array([[np.nan, -np.inf, 2.0], [np.nan, np.inf, -np.inf]]))


def test_arguments_by_position_and_by_name_are_numpys():
    as_numpy(lambda x: np.percentile(x, 30, 1, None, False, "hazen", True), X)
    as_numpy(lambda x: np.nanmedian(x, 0, None, False, True), X)
    as_numpy(lambda x: np.take(x, [0, 5], 1, None, "wrap"), X)
    as_numpy(lambda x: np.nanstd(x, 0, None, None, 1, True), X)
    x = Variable(V.copy())
    np.put(a=x, ind=[0], v=7.0)
    np.copyto(dst=x, src=np.full(5, 2.0), where=[False, True, False, False, False])
    np.testing.assert_array_equal(x.data, [7.0, 2.0, *V[2:]])


def test_what_is_summed_in_another_dtype_has_its_precision():
    as_numpy(lambda x: np.einsum("ij,j", x, x[0], dtype=complex, casting="safe", order="C"), X)
    half = np.full(3000, 1.0, np.float16)
    assert np.einsum("i,i", Variable(half), half, dtype=np.float64).data == 3000
    wide = Variable(np.zeros(3, np.longdouble))
    np.add.at(wide, np.zeros(40, int), np.full(40, np.longdouble(1) / 3))
    assert wide.dtype == np.longdouble


def test_only_zeros_are_trimmed_to_nothing_from_either_end():
    for trim in ("f", "b", "fb"):
        as_numpy(lambda x, trim=trim: np.trim_zeros(x, trim), np.zeros(4))


def test_slopes_have_the_precision_of_the_samples():
    for x in (V.astype(np.float32), Z[0].astype(np.complex64)):
        made = np.gradient(Variable(x), np.arange(len(x)) ** 1.5)
        assert made.dtype == x.dtype
        np.testing.assert_allclose(made.data, np.gradient(x, np.arange(len(x)) ** 1.5), rtol=1e-5)


def gradient(f, x):
    x = Variable(np.asarray(x, float))
    y = f(x)
    y.backward()
    return y.data, x.grad


def test_derivatives_of_sinc_at_and_near_zero():
    x = Variable(np.array([0.0, 1e-5, 0.5]))
    found = x
    y = np.sinc(x)
    for expected in ([0, -(np.pi**2) / 3 * 1e-5, -4 / np.pi], [-(np.pi**2) / 3] * 2 + [16 / np.pi - 2 * np.pi]):
        x.reset_grad()
        y.backward(create_graph=True)
        y = found = x.grad
        np.testing.assert_allclose(found.data, expected, rtol=1e-9)


def test_bessel_function_far_out():
    _, slope = gradient(np.i0, [0.0, 1.0, 10.0, -30.0, 300.0])
    expected = [0, 0.5651591039924851, 2670.988303701255, -768532038938.9569, 4.468381385036954e128]
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_ties_share_the_gradient_of_an_order_statistic():
    np.testing.assert_allclose(gradient(np.median, [2.0, 2.0, 1.0, 3.0, 2.0])[1], [1 / 3, 1 / 3, 0, 0, 1 / 3])
    np.testing.assert_allclose(gradient(lambda x: np.percentile(x, 100), [3.0, 1.0, 3.0])[1], [0.5, 0, 0.5])
    np.testing.assert_allclose(gradient(np.maximum.accumulate, [1.0, 1.0, 0.0, 2.0])[1], [1 + 0.5 + 0.5, 0.5 + 0.5, 0, 1])
    check_grads(lambda x: np.median(x * np.zeros(4)), (V[:4],))


def test_nan_passes_through_order_statistics_with_no_gradient():
    for f in (np.median, lambda x: np.quantile(x, 0.5)):
        y, slope = gradient(lambda x, f=f: f(x), [1.0, np.nan, 2.0])
        assert np.isnan(y)
        np.testing.assert_array_equal(slope, 0)
    y, slope = gradient(lambda x: np.quantile(x, 0.5, axis=1), GAPS[:2, ::-1] * [[1, 1, 0, 1], [0, 1, 1, 1]])
    assert np.isnan(y).all()
    assert np.isfinite(slope).all()


def test_statistics_of_integers():
    n = Variable(np.array([[3, 1, 7, 1], [2, 2, 5, 0]]))
    for f in (np.median, np.nanmedian, lambda n: np.quantile(n, 0.3, axis=1), lambda n: np.percentile(n, 50, method="lower"),
              np.nanmax, np.nanmean, np.cov, np.average, np.diff, np.ediff1d, np.gradient, lambda n: np.polyder(n[0])):  # fmt: skip
        for ours, numpys in zip(as_list(f(n)), as_list(f(n.data)), strict=True):
            np.testing.assert_allclose(ours.data, numpys)
            assert ours.dtype == numpys.dtype


def test_nan_in_float32():
    x = Variable(GAPS.astype(np.float32))
    for f in (np.median, lambda x: np.quantile(x, 0.5, axis=0), lambda x: np.nanquantile(x, [0.5], axis=0), np.nanmean):
        assert f(x).dtype == np.float32


ALL_NAN = np.array([[np.nan, np.nan, np.nan], [1.0, np.nan, 3.0]])


@pytest.mark.parametrize("name", ["nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian", "nanquantile"])
def test_slices_with_nothing_but_nan(name):
    def f(x):
        return getattr(np, name)(x, *([0.3] if name == "nanquantile" else []), axis=1)

    with pytest.warns(RuntimeWarning):
        y, slope = gradient(f, ALL_NAN)
    with warnings.catch_warnings(action="ignore"):
        np.testing.assert_allclose(y, f(ALL_NAN))
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[0], 0)
    assert slope[1, 1] == 0


def test_sums_of_nothing_but_nan():
    for f in (np.nansum, np.nanprod, np.nancumsum):
        _, slope = gradient(lambda x, f=f: f(x, axis=1), ALL_NAN)
        np.testing.assert_array_equal(slope[0], 0)


def test_degrees_of_freedom_that_are_too_few():
    x = np.array([[1.0, np.nan], [2.0, 5.0]])
    with pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        y, slope = gradient(lambda x: np.nanvar(x, axis=1, ddof=1), x)
    np.testing.assert_array_equal(y, [np.nan, 4.5])
    np.testing.assert_array_equal(slope, [[0, 0], [-3, 3]])


def test_numbers_that_are_not_finite():
    y, slope = gradient(lambda x: np.nan_to_num(x, nan=7.0, posinf=8.0, neginf=9.0), [np.nan, np.inf, -np.inf, 1.0])
    np.testing.assert_array_equal(y, [7, 8, 9, 1])
    np.testing.assert_array_equal(slope, [0, 0, 0, 1])
    z = Variable(np.array([complex(np.nan, 2.0)]))
    np.nan_to_num(z).imag.backward()
    assert z.grad == -1j
    fraction, whole = np.modf(Variable(np.array([np.inf, -1.5])))
    np.testing.assert_array_equal(fraction.data, [0, -0.5])
    assert type(whole) is np.ndarray
    assert type(np.frexp(Variable(V))[1]) is np.ndarray


def test_empty_arrays():
    empty = Variable(np.zeros((0, 3)))
    for f in (
        lambda x: np.diff(x, axis=1),
        lambda x: np.nansum(x, axis=0),
        lambda x: np.median(x, axis=1),
        lambda x: np.quantile(x, 0.3, axis=1),
        lambda x: np.trapezoid(x),
        lambda x: np.delete(x, 0, axis=1),
        lambda x: np.insert(x, 0, 1.0, axis=1),
        lambda x: np.resize(x, (2, 2)),
        lambda x: np.unwrap(x),
        lambda x: np.interp(x, [0.0, 1.0], [2.0, 3.0]),
        lambda x: np.i0(x),
        lambda x: np.logaddexp.accumulate(x, axis=1),
    ):
        np.testing.assert_array_equal(f(empty).data if isinstance(f(empty), Variable) else f(empty), f(empty.data))
    with pytest.warns(RuntimeWarning, match="empty slice"):
        assert np.isnan(np.median(empty).data)


def test_zero_dimensional_results_are_arrays():
    x = Variable(V)
    for y in (
        np.median(x),
        np.quantile(x, 0.5),
        np.cov(x),
        np.trapezoid(x),
        np.average(x),
        np.logaddexp.reduce(x),
        np.interp(0.5, V, x),
    ):
        assert isinstance(y.data, np.ndarray)
        assert y.shape == ()


def test_infinite_numbers_in_a_sum_of_exponentials():
    for f in (np.logaddexp.reduce, np.logaddexp.accumulate):
        _, slope = gradient(f, [-np.inf, 0.0, np.inf])
        assert np.isfinite(slope).all()


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) >= "2.5.0", reason="NumPy takes them no more")
def test_plane_vectors():
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        for a, b in ((X[:, :2], POSITIVE[:, 1:3]), (X[:, :2], POSITIVE[:, :3]), (X[:, :3], POSITIVE[:, :2])):
            np.testing.assert_allclose(np.cross(Variable(a), b).data, np.cross(a, b))
            check_grads(np.cross, (a, b))


def test_fit_with_diagnostics():
    ours, numpys = (np.polyfit(SORTED, y, 1, full=True) for y in (Variable(V), V))
    for a, b in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(a.data if isinstance(a, Variable) else a, b)
    with pytest.warns(np.exceptions.RankWarning):
        np.polyfit(np.ones(5), Variable(V), 1)


# ---- without a gradient ---------------------------------------------------------------------------------

INTEGERS = np.array([3, 1, 6, 1])

#: The arguments that functions without a gradient are called with, where it is not X alone.
ARGUMENTS = {
    "allclose array_equal array_equiv equal floor_divide greater greater_equal isclose less less_equal not_equal": (
        X,
        POSITIVE,
    ),
    "logical_and logical_or logical_xor nextafter isin may_share_memory shares_memory result_type common_type": (X, POSITIVE),
    "bitwise_and bitwise_or bitwise_xor gcd lcm left_shift right_shift": (INTEGERS, INTEGERS + 1),
    "bitwise_count invert": (INTEGERS,),
    "union1d intersect1d setdiff1d setxor1d": (INTEGERS, INTEGERS[:2] + 2),
    "argpartition": (X, 2),
    "can_cast": (X.dtype, "f4"),
    "diag_indices_from": (X[:3, :3],),
    "digitize": (V, SORTED),
    "ix_": (INTEGERS, INTEGERS),
    "lexsort": ((V, W),),
    "packbits": (INTEGERS > 1,),
    "ravel_multi_index": ((INTEGERS, INTEGERS), (9, 9)),
    "searchsorted": (SORTED, V),
    "unpackbits": (INTEGERS.astype(np.uint8),),
    "unravel_index": (INTEGERS, (9, 9)),
}
ARGUMENTS_OF = {name: args for names, args in ARGUMENTS.items() for name in names.split()}
ELSEWHERE = {"save", "savetxt", "savez", "savez_compressed", "isnat", "einsum_path"}


@pytest.mark.parametrize("name", sorted({f.__name__ for f in NO_GRADIENT if getattr(np, f.__name__, None) is f} - ELSEWHERE))
def test_functions_without_a_gradient_work_on_variables(name):
    function, args = getattr(np, name), ARGUMENTS_OF.get(name, (X,))
    wrapped = [tuple(map(Variable, a)) if name == "lexsort" else Variable(a) if isinstance(a, np.ndarray) else a for a in args]
    for ours, numpys in zip(as_list(function(*wrapped)), as_list(function(*args)), strict=True):
        assert not isinstance(ours, Variable)
        if name != "empty_like":
            np.testing.assert_array_equal(ours, numpys)


def test_path_of_a_summation():
    assert np.einsum_path("ij,ij->i", Variable(X), X)[0] == np.einsum_path("ij,ij->i", X, X)[0]


def test_saving(tmp_path):
    x = Variable(X)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savetxt(tmp_path / "x.txt", x)
    for back in (np.load(tmp_path / "x.npy"), np.load(tmp_path / "x.npz")["x"], np.loadtxt(tmp_path / "x.txt")):
        np.testing.assert_array_equal(back, X)


# ---- what is plain, what cannot be ----------------------------------------------------------------------


def test_counts_are_plain_values():
    x = Variable(PLACES)
    for f in (np.histogram, lambda x: np.histogramdd(x[:, None]), lambda x: np.histogram2d(x, x)):
        assert type(f(x)[0]) is np.ndarray
    assert type(np.bincount(Variable(np.array([1, 2])))) is np.ndarray
    assert type(np.full_like(x, 3.0)) is np.ndarray
    np.testing.assert_array_equal(np.greater.outer(x, [0.2]), PLACES[:, None] > 0.2)
    assert np.logical_or.reduce(x)


def test_plain_arrays_are_not_written_into():
    v = Variable(V)
    for write in (
        lambda a: np.copyto(a, v),
        lambda a: np.put(a, [0], v),
        lambda a: np.place(a, a > 0, v),
        lambda a: np.putmask(a, a > 0, v),
        lambda a: np.put_along_axis(a, np.array([0]), v[:1], 0),
        lambda a: np.add.at(a, [0], v[:1]),
    ):
        with pytest.raises(TypeError, match="lose"):
            write(np.ones(5))
    a = np.ones(5)
    np.put(a, Variable(np.array([1])), 7.0)
    assert a[1] == 7.0
    with pytest.raises(TypeError):
        np.full(5, v)
    with pytest.raises(TypeError, match="lose its gradient"):
        np.ascontiguousarray(v)
    with pytest.raises(TypeError, match="lose the gradient"):
        np.ones(5, like=v)


def test_writing_without_recording():
    x = Variable(np.zeros((2, 2)))
    with cr.no_grad():
        np.fill_diagonal(x, 1.0)
    np.testing.assert_array_equal(x.data, np.eye(2))
    assert x.creator is None
    p = cr.Parameter(np.zeros(3))
    with pytest.raises(RuntimeError, match="Parameter"):
        np.put(p, [0], 1.0)


def test_wrong_arguments_are_errors_that_name_them():
    x = Variable(X)
    for call, error, words in [
        (lambda: np.gradient(x, edge_order=3), ValueError, "edge_order"),
        (lambda: np.gradient(x, 1.0, 2.0, 3.0), TypeError, "spacing"),
        (lambda: np.average(x, weights=V), TypeError, "axis"),
        (lambda: np.average(x, weights=X * 0), ZeroDivisionError, "weights"),
        (lambda: np.choose(np.array([5]), [x]), ValueError, "mode"),
        (lambda: np.select([x], [x]), TypeError, "booleans"),
        (lambda: np.put(x, [99], 1.0), IndexError, "mode"),
        (lambda: np.cumulative_sum(x) if hasattr(np, "cumulative_sum") else np.diff(x, -1), ValueError, "axis|negative"),
        (lambda: np.copyto(x, 1j * X), TypeError, "cast"),
        (lambda: np.interp(x, V, X), ValueError, "xp"),
        (lambda: np.convolve(x, x), ValueError, "vectors"),
        (lambda: np.block([[x], x]), ValueError, "depths"),
        (lambda: np.trim_zeros(x, "q"), ValueError, "trim"),
        (lambda: np.meshgrid(x[0], indexing="ab"), ValueError, "indexing"),
        (lambda: np.insert(x, 99, 1.0, axis=0), IndexError, "out of bounds"),
        (lambda: np.geomspace(x, -x), ValueError, "sign"),
        (lambda: np.median(x, out=np.ones(())), TypeError, "out="),
        (lambda: np.percentile(x, 50, method="no such"), ValueError, "no such"),
        (lambda: np.median(x, None, np.ones(())), TypeError, "out="),
        (lambda: np.outer(x, x, np.ones((6, 6))), TypeError, "out="),
        (lambda: np.einsum("ij", x, no_such=1), TypeError, r"np\.einsum.*no_such"),
        (lambda: np.einsum("ij->i", x, dtype=np.float16), TypeError, "cannot cast"),
        (lambda: np.convolve(x[0], x[0], -1), ValueError, "mode"),
        (lambda: np.nanvar(x, ddof=1, correction=1), ValueError, "ddof"),
        (lambda: np.maximum.reduceat(x, [0, 99]), IndexError, "out of bounds"),
        (lambda: np.subtract.reduce(x, axis=(0, 1)), ValueError, "reorderable"),
        (lambda: np.fmax.reduce(x, where=x > 0), TypeError, "neutral"),
        (lambda: np.exp.reduce(x), ValueError, "binary"),
    ]:
        with pytest.raises(error, match=words):
            call()


# ---- the list -------------------------------------------------------------------------------------------

TARGET = [
    line.strip()
    for line in (Path(__file__).parent / "numpy_target.txt").read_text().splitlines()
    if line.startswith("np.") and not line.startswith(("np.linalg", "np.fft"))
]


@pytest.mark.parametrize("name", TARGET)
def test_every_function_of_the_list_is_known(name):
    function = getattr(np, name.removeprefix("np."), None)
    if function is None or function is getattr(np, "row_stack", None):  # row_stack calls vstack
        return
    assert function in UNSUPPORTED or is_known(function)
    assert not (function in UNSUPPORTED and (function in RULES or function in NO_GRADIENT))


def test_insert_at_a_mask():  # which NumPy has not always taken for one
    made = np.insert(Variable(X), np.array([True, False, True]), 9.0, axis=0)
    np.testing.assert_array_equal(made.data, np.insert(X, [0, 2], 9.0, axis=0))


@pytest.mark.skipif(not hasattr(np, "vecmat"), reason="this release of NumPy has no matvec and vecmat")
def test_products_of_a_matrix_and_a_vector_need_these():
    for product in (np.matvec, np.vecmat):
        with pytest.raises(ValueError, match=r"matrix of \d axes"):
            product(Variable(V), V)


def test_row_stack():
    with warnings.catch_warnings(action="ignore"):
        if hasattr(np, "row_stack"):
            check_grads(lambda x: np.row_stack([x, x[0]]), (X,))
