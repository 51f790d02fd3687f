"""Functions of samples on a line: differences, integrals, interpolation, convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core.arrays import as_array
from ..core.batched import somewhere
from ..dispatch import composite, define_rule, primitive, unwrap
from .indexing import get_item
from .reductions import _NOTHING, axis_slice

# ---- differences and integrals --------------------------------------------------------------------------


def beside(a: Any, value: Any) -> Any:
    """An array to be joined to ``a``; a Python number takes its precision."""
    return np.asarray(value, np.result_type(a.dtype, value)) if isinstance(value, (int, float, complex)) else as_array(value)


@primitive
def _difference(a: Any, axis: int) -> Any:
    return np.diff(a, axis=axis)


def _difference_back(g: Any, a_shape: tuple[int, ...], axis: int) -> Any:
    """Minus the differences of g, with zeros beyond its ends."""
    if a_shape[axis] < 2:
        return np.zeros(a_shape, g.dtype)
    end = np.zeros_like(axis_slice(g, axis, 0, 1))
    return -_difference(np.concatenate([end, g, end], axis=axis), axis)


define_rule(_difference, linear="jointly", a=_difference_back)


@composite(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = _NOTHING, append: Any = _NOTHING) -> Any:
    if n < 0:
        raise ValueError(f"np.diff: n must not be negative, but is {n}")
    a = as_array(a)
    if n == 0:
        return a
    if a.ndim == 0:
        raise ValueError("np.diff needs an array of at least one axis")
    ends = []
    for end in (prepend, append):
        if end is not _NOTHING and np.ndim(end) == 0:
            end = beside(a, end)
            end = np.broadcast_to(end, [1 if i == axis % a.ndim else m for i, m in enumerate(a.shape)])
        ends.append([] if end is _NOTHING else [end])
    if ends != [[], []]:
        a = np.concatenate([*ends[0], a, *ends[1]], axis=axis)
    for _ in range(n):
        a = np.diff(unwrap(a), axis=axis) if a.dtype == np.bool_ else _difference(a, axis)
    return a


@composite(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    differences = np.diff(np.reshape(ary, (-1,)))
    ends = [[] if end is None else [np.astype(np.reshape(as_array(end), (-1,)), ary.dtype)] for end in (to_begin, to_end)]
    return np.concatenate([*ends[0], differences, *ends[1]])


@composite(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = as_array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        dx = np.diff(x) if np.ndim(x) == 1 else np.diff(x, axis=axis)
        if np.ndim(x) == 1:
            dx = np.reshape(dx, [-1 if i == axis else 1 for i in range(y.ndim)])
    return np.sum(dx * (axis_slice(y, axis, 1, None) + axis_slice(y, axis, None, -1)) / 2, axis=axis)


@composite(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = as_array(f)
    if f.dtype.kind in "biu":
        f = np.astype(f, np.float64)
    axes = range(f.ndim) if axis is None else normalize_axis_tuple(axis, f.ndim)
    if len(varargs) not in (0, 1, len(axes)) or (len(varargs) == 1 < len(axes) and np.ndim(varargs[0])):
        raise TypeError(f"np.gradient takes no spacing, one number, or one for each of {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError(f"np.gradient: edge_order is 1 or 2, not {edge_order}")
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    made = tuple(np.astype(_slope(f, a, h, edge_order), f.dtype) for a, h in zip(axes, spacings, strict=True))
    return made[0] if len(made) == 1 else made


def _slope(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """Central differences along an axis, of second order also where the spacing is uneven; one-sided at the ends."""
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"np.gradient: {n} elements along axis {axis} are too few for edge_order {edge_order}")
    if np.ndim(spacing) > 1 or (np.ndim(spacing) == 1 and len(spacing) != n):
        raise ValueError(f"np.gradient: coordinates of shape {np.shape(spacing)} for {n} elements along axis {axis}")

    def at(*places: Any) -> list[Any]:
        return [axis_slice(f, axis, *place) for place in places]

    def along(h: Any) -> Any:
        return np.reshape(h, [-1 if i == axis else 1 for i in range(f.ndim)])

    before, here, after = at((None, -2), (1, -1), (2, None))
    if np.ndim(spacing) == 0:
        h = [spacing] * 4
        inner = (after - before) / (2 * spacing)
    else:
        steps = np.diff(spacing)
        h = [steps[k] for k in ((0, 1, -2, -1) if n > 2 else (0, 0, 0, 0))]
        h1, h2 = along(steps[:-1]), along(steps[1:])
        inner = -h2 / (h1 * (h1 + h2)) * before + (h2 - h1) / (h1 * h2) * here + h1 / (h2 * (h1 + h2)) * after
    if edge_order == 1:
        (f0, f1), (f_2, f_1) = at((0, 1), (1, 2)), at((n - 2, n - 1), (n - 1, n))
        first, last = (f1 - f0) / h[0], (f_1 - f_2) / h[3]
    else:
        first = _end_slope(h[0], h[1], *at((0, 1), (1, 2), (2, 3)))
        last = -_end_slope(h[3], h[2], *at((n - 1, n), (n - 2, n - 1), (n - 3, n - 2)))
    return np.concatenate([first, inner, last], axis=axis)


def _end_slope(h1: Any, h2: Any, f0: Any, f1: Any, f2: Any) -> Any:
    """The slope at f0 of the parabola through f0 and, h1 and then h2 further, f1 and f2."""
    return -(2 * h1 + h2) / (h1 * (h1 + h2)) * f0 + (h1 + h2) / (h1 * h2) * f1 - h1 / (h2 * (h1 + h2)) * f2


define_rule(np.unwrap, p=lambda g: g, ignores=("discont", "axis", "period"))  # what it adds is constant

# ---- interpolation --------------------------------------------------------------------------------------


@composite(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """The straight line between the two points around ``x``; at a point, the one to its right."""
    x, xp, fp = (as_array(a) for a in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"np.interp: xp {xp.shape} and fp {fp.shape} must be vectors of the same length, and not empty")
    if period is not None:
        if period == 0:
            raise ValueError("np.interp: period must not be 0")
        period, left, right = abs(period), None, None
        x, xp = x % period, xp % period
        order = np.argsort(unwrap(xp))
        xp, fp = xp[order], fp[order]
        xp, fp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period]), np.concatenate([fp[-1:], fp, fp[:1]])
    before = np.clip(np.searchsorted(unwrap(xp), unwrap(x), side="right") - 1, 0, max(xp.size - 2, 0))
    after = np.minimum(before + 1, xp.size - 1)
    x0, x1, f0, f1 = (get_item(a, i) for a in (xp, fp) for i in (before, after))
    gap = np.where(x1 == x0, x0.dtype.type(1), x1 - x0)
    # where x is not between the points, the line through them is not used, and must not overflow
    beyond = (x < xp[0], x > xp[-1])
    inside = np.where(beyond[0] | beyond[1], x0, x)
    made = f0 + (f1 - f0) * ((inside - x0) / gap)
    if somewhere(np.isnan(made)):  # where something is infinite: the line from its other end, or what is the same at both
        made = np.where(np.isnan(made), f1 + (f1 - f0) / gap * (inside - x1), made)
        made = np.where(np.isnan(made) & ((f0 == f1) | (inside == x0)) & ~np.isnan(inside), f0, made)
        made = np.where(np.isnan(made) & (inside == x1), f1, made)
    made = np.where(beyond[0], fp[0] if left is None else left, made)
    return np.where(beyond[1], fp[-1] if right is None else right, made)


# ---- convolution ----------------------------------------------------------------------------------------


@primitive
def _convolve(a: Any, v: Any, mode: Any) -> Any:
    return np.convolve(a, v, mode)


def _convolve_back(g: Any, own: int, other: Any, mode: str) -> Any:
    """The correlation of g, put back into the full convolution's place, with the other factor."""
    shorter, full = min(own, len(other)), own + len(other) - 1
    start = {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]
    return _convolve(np.pad(g, (start, full - start - len(g))), np.flip(other), "valid")


define_rule(
    _convolve,
    linear="separately",
    a=lambda g, a_shape, v, mode: _convolve_back(g, a_shape[0], v, mode),
    v=lambda g, a, v_shape, mode: _convolve_back(g, v_shape[0], a, mode),
)

#: The modes of a convolution, which NumPy also takes as numbers.
_MODES = ("valid", "same", "full")


@composite(np.convolve)
def _convolve_composed(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = (np.atleast_1d(as_array(x)) for x in (a, v))
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ValueError(f"np.convolve: shapes {a.shape} and {v.shape}, where two vectors are needed that are not empty")
    return _convolve(a, v, mode if mode not in range(3) else _MODES[mode])


@composite(np.correlate)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = (np.atleast_1d(as_array(x)) for x in (a, v))
    if len(v) > len(a):  # so NumPy finds the middle of an even number
        return np.conjugate(np.flip(np.correlate(v, a, mode)))
    return np.convolve(a, np.conjugate(np.flip(v)), mode)
