"""Batching of what works element by element, along axes, on shapes, on stacked matrices, and on several arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..calculus import elementwise, further, linalg, samples, selection, shapes, statistics  # noqa: F401 (further: what they define)
from ..calculus.constants import named
from ..core.arrays import as_array
from ..core.batched import Batched, Level, NotBatched, whole
from .calls import BATCHING, OF_SHAPES, OF_VALUES, aligned, batches, element_by_element

OF_SHAPES |= named(
    "ndim shape size isscalar result_type can_cast min_scalar_type common_type iscomplexobj isrealobj diag_indices_from "
    "tril_indices_from triu_indices_from einsum_path"
)
OF_VALUES |= named(
    "nonzero flatnonzero argwhere unique unique_all unique_counts unique_inverse unique_values union1d intersect1d setdiff1d "
    "setxor1d trim_zeros"
)

# ---- element by element ---------------------------------------------------------------------------------

for _function in (
    elementwise.cube, selection._between,
    elementwise._ldexp, elementwise._fraction, elementwise._finite, elementwise._sinc, elementwise._bessel, elementwise._phase,
    shapes.astype, np.sinc, np.i0, np.copy, np.real, np.imag, np.round, np.around, np.fix, np.isclose, np.iscomplex, np.isreal,
    np.isneginf, np.isposinf,
):  # fmt: skip
    BATCHING[_function] = element_by_element(_function)


@batches(np.where)
def _where(level: Level, condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        raise NotBatched("np.where(condition) gives places, as many as there are, which may differ from example to example")
    return element_by_element(np.where)(level, condition, x, y)


def _filled(function: Callable[..., Any]) -> Any:
    """What is made like an array is so for each example."""

    def rule(level: Level, a: Any, *args: Any, **kwargs: Any) -> Any:
        made = function(np.broadcast_to(np.zeros((), a.dtype), a.shape), *args, **kwargs)
        return np.broadcast_to(made, (level.size, *made.shape))

    return rule


for _function in (np.zeros_like, np.ones_like, np.empty_like):
    BATCHING[_function] = _filled(_function)


@batches(np.full_like)
def _full_like(level: Level, a: Any, fill_value: Any, dtype: Any = None, *args: Any, shape: Any = None, **kwargs: Any) -> Any:
    shape = a.shape if shape is None else tuple(shape) if isinstance(shape, Iterable) else (shape,)
    value = aligned(fill_value, len(shape), level)
    value = value if hasattr(value, "dtype") else as_array(value)
    return np.broadcast_to(np.astype(value, a.dtype if dtype is None else dtype), (level.size, *shape))


# ---- along axes -----------------------------------------------------------------------------------------


def beyond(axis: Any, ndim: int) -> Any:
    """An axis of one example, or several, as that of the array of all: one further."""
    if isinstance(axis, Iterable):
        return tuple(1 + a for a in normalize_axis_tuple(axis, ndim))
    return 1 + normalize_axis_index(axis, ndim)


def reduction(function: Any) -> Callable[..., Any]:
    """The rule of ``function(a, axis, ..., where=...)``, where no axis means all of them."""

    def rule(level: Level, a: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("initial"), Batched):
            raise NotBatched(f"{function.__name__}(initial=...)")
        kwargs |= {x: aligned(kwargs[x], a.ndim, level) for x in ("where", "mean") if isinstance(kwargs.get(x), Batched)}
        axis = tuple(range(1, a.ndim + 1)) if axis is None or not a.ndim else beyond(axis, a.ndim)
        return function(whole(a, level), axis, *args, **kwargs)

    return rule


def along(function: Any, default: Any = None) -> Callable[..., Any]:
    """The rule of ``function(a, axis, ...)``, where None means the only axis of the flattened array."""

    def rule(level: Level, a: Any, axis: Any = default, *args: Any, **kwargs: Any) -> Any:
        inner = whole(a, level)
        if axis is None or not a.ndim:
            return function(np.reshape(inner, (level.size, a.size)), 1, *args, **kwargs)
        return function(inner, beyond(axis, a.ndim), *args, **kwargs)

    return rule


for _function in named("sum mean var std max amax min amin prod nanmax nanmin any all count_nonzero"):
    BATCHING[_function] = reduction(_function)
for _function in named("cumsum cumprod argmax argmin nanargmax nanargmin"):
    BATCHING[_function] = along(_function)
BATCHING[np.argsort] = along(np.argsort, -1)
BATCHING[samples._difference] = along(samples._difference)


@batches(np.argpartition)
def _argpartition(level: Level, a: Any, kth: Any, axis: Any = -1, **kwargs: Any) -> Any:
    return along(lambda a, axis: np.argpartition(a, kth, axis, **kwargs))(level, a, axis)


@batches(np.unwrap)
def _unwrap(level: Level, p: Any, discont: Any = None, axis: Any = -1, **kwargs: Any) -> Any:
    return np.unwrap(whole(p, level), discont, beyond(axis, p.ndim), **kwargs)


@batches(linalg._power_norm)
def _power_norm(level: Level, x: Any, ord: Any, axis: Any, keepdims: Any) -> Any:
    return linalg._power_norm(whole(x, level), ord, beyond(axis, x.ndim), keepdims)


def _transform(function: Any) -> None:
    @batches(function)
    def rule(level: Level, a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
        return function(whole(a, level), n, beyond(axis, a.ndim), norm)


for _function in (np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft):
    _transform(_function)

# ---- shapes ---------------------------------------------------------------------------------------------


@batches(np.reshape)
def _reshape(level: Level, a: Any, shape: Any, order: Any = "C", *, copy: Any = None) -> Any:
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    shape = np.reshape(np.broadcast_to(0, a.shape), shape).shape  # what -1 stands for
    inner = whole(a, level)
    if order == "C":
        return np.reshape(inner, (level.size, *shape))
    if order != "F":
        raise NotBatched(f"np.reshape(order={order!r})")
    backward = np.transpose(inner, (0, *range(a.ndim, 0, -1)))
    turned = np.reshape(backward, (level.size, *shape[::-1]))
    return np.transpose(turned, (0, *range(len(shape), 0, -1)))


@batches(np.ravel)
def _ravel(level: Level, a: Any, order: Any = "C") -> Any:
    return _reshape(level, a, (a.size,), "C" if order in "CK" else order)


@batches(np.squeeze)
def _squeeze(level: Level, a: Any, axis: Any = None) -> Any:
    axes = [i for i, n in enumerate(a.shape) if n == 1] if axis is None else axis
    return np.squeeze(whole(a, level), beyond(axes, a.ndim))


@batches(np.expand_dims)
def _expand_dims(level: Level, a: Any, axis: Any) -> Any:
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    return np.expand_dims(whole(a, level), beyond(axes, a.ndim + len(axes)))


@batches(np.transpose)
def _transpose(level: Level, a: Any, axes: Any = None) -> Any:
    axes = range(a.ndim)[::-1] if axes is None else axes
    return np.transpose(whole(a, level), (0, *beyond(tuple(axes), a.ndim)))


@batches(np.swapaxes)
def _swapaxes(level: Level, a: Any, axis1: int, axis2: int) -> Any:
    return np.swapaxes(whole(a, level), beyond(axis1, a.ndim), beyond(axis2, a.ndim))


@batches(np.moveaxis)
def _moveaxis(level: Level, a: Any, source: Any, destination: Any) -> Any:
    return np.moveaxis(whole(a, level), beyond(source, a.ndim), beyond(destination, a.ndim))


@batches(np.broadcast_to)
def _broadcast_to(level: Level, array: Any, shape: Any, subok: bool = False) -> Any:
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return np.broadcast_to(aligned(array, len(shape), level), (level.size, *shape))


@batches(np.flip)
def _flip(level: Level, m: Any, axis: Any = None) -> Any:
    return np.flip(whole(m, level), beyond(tuple(range(m.ndim)) if axis is None else axis, m.ndim))


@batches(np.rot90)
def _rot90(level: Level, m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    return np.rot90(whole(m, level), k, beyond(axes, m.ndim))


@batches(np.roll)
def _roll(level: Level, a: Any, shift: Any, axis: Any = None) -> Any:
    inner = whole(a, level)
    if axis is None:
        return np.reshape(np.roll(np.reshape(inner, (level.size, a.size)), shift, 1), inner.shape)
    axes = normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)
    return np.roll(inner, shift, tuple(1 + axis for axis in axes))


@batches(shapes._windows)
def _windows(level: Level, x: Any, window: Any, axis: Any) -> Any:
    axes = tuple(range(x.ndim)) if axis is None else axis
    return shapes._windows(whole(x, level), window, beyond(axes, x.ndim))


@batches(shapes._pad_with_constants)
def _pad(level: Level, array: Any, pad_width: Any, constant_values: Any) -> Any:
    if np.ndim(constant_values):
        raise NotBatched("np.pad with a constant for each side")
    return shapes._pad_with_constants(whole(array, level), [[0, 0], *pad_width], constant_values)


# ---- several arrays -------------------------------------------------------------------------------------


@batches(np.concatenate)
def _concatenate(level: Level, arrays: Any, axis: Any = 0, **kwargs: Any) -> Any:
    arrays = [x if hasattr(x, "ndim") else as_array(x) for x in arrays]
    if axis is None:
        flat = [np.reshape(whole(x, level), (level.size, -1 if level.size else prod(x.shape))) for x in arrays]
        return np.concatenate(flat, 1, **kwargs)
    return np.concatenate([whole(x, level) for x in arrays], beyond(axis, arrays[0].ndim), **kwargs)


@batches(np.stack)
def _stack(level: Level, arrays: Any, axis: int = 0, **kwargs: Any) -> Any:
    arrays = [x if hasattr(x, "ndim") else as_array(x) for x in arrays]
    return np.stack([whole(x, level) for x in arrays], beyond(axis, arrays[0].ndim + 1), **kwargs)


@batches(np.searchsorted)
def _searchsorted(level: Level, a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    if any(isinstance(x, Batched) and x.mapped for x in (a, sorter)):
        raise NotBatched("np.searchsorted in an array of each example's own")
    return np.searchsorted(aligned(a, 1, level), whole(v, level), side, sorter)


# ---- stacked matrices -----------------------------------------------------------------------------------


def stacked(function: Any, core: int = 2) -> Callable[..., Any]:
    """The rule of a function of matrices that takes stacks of them; the examples are one more axis of the stack."""

    def rule(level: Level, *args: Any, **kwargs: Any) -> Any:
        ndim = max(core, *(x.ndim for x in args if hasattr(x, "shape")))
        if any(isinstance(x, Batched) and x.ndim < core for x in args):
            raise NotBatched(f"{function.__name__} of a vector")
        return function(*[aligned(x, ndim, level) for x in args], **kwargs)

    return rule


for _function in (
    np.linalg.cholesky, np.linalg.eigh, np.linalg.eig, linalg._cofactors, linalg._determinant_of, linalg._inverse_of,
    linalg._inverse_of_lower, linalg._least_squares, linalg._log_determinant_of, linalg._pinv_of, linalg._qr_of_tall,
    linalg._svd_of, np.matrix_transpose, np.tril, np.triu,
):  # fmt: skip
    BATCHING[_function] = stacked(_function)


@batches(linalg._solve_matrix)
def _solve_matrix(level: Level, operands: Any, lu: Any) -> Any:
    a, b = operands
    if b.ndim == 1:
        return np.squeeze(_solve_matrix(level, [a, np.expand_dims(b, -1)], lu), -1)
    ndim = max(a.ndim, b.ndim)
    return linalg._solve_matrix([aligned(a, ndim, level), aligned(b, ndim, level)], lu)


@batches(linalg._solve_constant)
def _solve_constant(level: Level, b: Any, a: Any, lu: Any) -> Any:
    if b.ndim == 1:
        return np.squeeze(_solve_constant(level, np.expand_dims(b, -1), a, lu), -1)
    ndim = max(a.ndim, b.ndim)
    return linalg._solve_constant(aligned(b, ndim, level), aligned(a, ndim, level), lu)


# ---- order statistics -----------------------------------------------------------------------------------


@batches(statistics._elements)
def _elements(level: Level, a: Any, values: Any) -> Any:
    columns, values = (np.moveaxis(whole(x, level), 0, 1) for x in (a, values))
    return np.moveaxis(statistics._elements(columns, values), 1, 0)
