"""Functions that make an array of a few numbers, or by calling a function along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.batched import Batched, somewhere
from ..core.variable import Variable
from ..dispatch import composite, function_name, unwrap
from .shapes import array


@composite(np.full_like)
def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    if not isinstance(fill_value, (Variable, Batched)):  # a constant, like np.zeros_like
        return np.full_like(unwrap(a), fill_value, dtype, order, shape=shape)
    return np.astype(np.broadcast_to(fill_value, a.shape if shape is None else shape), a.dtype if dtype is None else dtype)


# ---- numbers between two ends ---------------------------------------------------------------------------


def _shares(num: int, endpoint: bool, *ends: Any) -> Any:
    """How far along each of ``num`` numbers is, from 0 to 1, on a first axis, in the precision of the ends."""
    dtype = np.result_type(0.0, *(unwrap(end) if hasattr(end, "dtype") else 0.0 for end in ends))
    dtype = np.real(np.zeros((), dtype)).dtype
    return np.linspace(0, 1, num, endpoint, dtype=dtype).reshape((-1,) + (1,) * max(map(np.ndim, ends)))


@composite(np.linspace)
def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0,
    *, device: Any = None,
) -> Any:  # fmt: skip
    """(1 - t) start + t stop, t from 0 to 1: the ends are met exactly."""
    start, stop = (end if hasattr(end, "dtype") else np.asarray(end) if np.ndim(end) else end for end in (start, stop))
    share = _shares(num, endpoint, start, stop)
    made = np.moveaxis((1 - share) * start + share * stop, 0, axis)
    if dtype is not None:
        made = np.floor(unwrap(made)).astype(dtype) if np.issubdtype(dtype, np.integer) else np.astype(made, dtype)
    parts = num - 1 if endpoint else num
    return (made, (stop - start) / parts if parts else np.nan * (stop - start)) if retstep else made


@composite(np.logspace)
def _logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    if np.ndim(base):
        raise TypeError("np.logspace: the argument 'base' must be one number where an argument is a Variable")
    made = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return made if dtype is None else np.astype(made, dtype)


@composite(np.geomspace)
def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """± |start|^(1-t) |stop|^t, t from 0 to 1."""
    if np.iscomplexobj(start) or np.iscomplexobj(stop):
        raise TypeError("np.geomspace: the arguments 'start' and 'stop' must be real where one is a Variable")
    sign = np.sign(unwrap(start))
    if somewhere(sign * np.sign(unwrap(stop)) <= 0):
        raise ValueError("np.geomspace: 'start' and 'stop' must have the same sign, and neither may be 0")
    share = _shares(num, endpoint, start, stop)
    made = np.moveaxis(sign * np.power(sign * start, 1 - share) * np.power(sign * stop, share), 0, axis)
    return made if dtype is None else np.astype(made, dtype)


# ---- functions along an axis ----------------------------------------------------------------------------


@composite(np.apply_along_axis)
def _apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    axis, moved = axis % arr.ndim, np.moveaxis(arr, axis, -1)
    results = [array(func1d(moved[i], *args, **kwargs)) for i in np.ndindex(moved.shape[:-1])]
    if not results:
        raise ValueError("np.apply_along_axis: an axis that the function is not applied along has no elements")
    made = np.reshape(np.stack(results), moved.shape[:-1] + results[0].shape)
    return np.moveaxis(made, range(moved.ndim - 1, made.ndim), range(axis, axis + results[0].ndim))


@composite(np.apply_over_axes)
def _apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    for axis in np.atleast_1d(axes).tolist():
        axis %= a.ndim
        made = func(a, axis)
        made = made if np.ndim(made) == a.ndim else np.expand_dims(made, axis)
        if made.ndim != a.ndim:
            raise ValueError(f"np.apply_over_axes: {function_name(func)} returns an array of {np.ndim(made)} axes for {a.ndim}")
        a = made
    return a
