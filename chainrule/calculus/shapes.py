"""Functions that move, join, split and repeat elements: linear, each with its transpose."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core.arrays import as_array, sum_to
from ..core.memory import reshape
from ..dispatch import composite, define_rule, primitive, unwrap
from ..kernels.selection import concatenate, stack
from .constants import named
from .indexing import put_item

# ---- one array ------------------------------------------------------------------------------------------


def _reshape(g: Any, a_shape: tuple[int, ...], order: Any) -> Any:
    if order not in ("C", "F"):
        raise TypeError(
            f"np.reshape(order={order!r}) depends on how an array lies in memory, which is not recorded; use C or F"
        )
    return reshape(g, a_shape) if order == "C" else np.reshape(g, a_shape, order=order)


def _transpose(g: Any, axes: Any) -> Any:
    return np.transpose(g, None if axes is None else np.argsort([axis % g.ndim for axis in axes]).tolist())


define_rule(np.reshape, kernel=reshape, linear="jointly", a=_reshape, ignores=("shape", "newshape", "copy"))
define_rule(np.squeeze, linear="jointly", a=lambda g, a_shape: np.reshape(g, a_shape), ignores=("axis",))
define_rule(np.expand_dims, linear="jointly", a=lambda g, a_shape: np.reshape(g, a_shape), ignores=("axis",))
define_rule(np.transpose, linear="jointly", a=_transpose)
define_rule(np.matrix_transpose, linear="jointly", x=lambda g: np.matrix_transpose(g))
define_rule(np.swapaxes, linear="jointly", a=lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2))
define_rule(np.moveaxis, linear="jointly", a=lambda g, source, destination: np.moveaxis(g, destination, source))
define_rule(np.broadcast_to, linear="jointly", array=lambda g, array_shape: sum_to(g, array_shape), ignores=("shape", "subok"))
define_rule(np.flip, linear="jointly", m=lambda g, axis: np.flip(g, axis))
define_rule(np.rot90, linear="jointly", m=lambda g, k, axes: np.rot90(g, -k, axes))
define_rule(
    np.roll,
    linear="jointly",
    a=lambda g, shift, axis: np.roll(g, tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis),
)
define_rule(np.tril, linear="jointly", m=lambda g, k: np.tril(g, k))
define_rule(np.triu, linear="jointly", m=lambda g, k: np.triu(g, k))
define_rule(np.copy, linear="jointly", a=lambda g: g, ignores=("order", "subok"))
define_rule(np.real, val=lambda g: g)
define_rule(np.imag, val=lambda g: np.multiply(g, -1j))


@composite(np.ravel)
def _ravel(a: Any, order: Any = "C") -> Any:
    if order in ("A", "K"):  # in the order of memory: A knows two, K any
        data = unwrap(a)
        if order == "K" and isinstance(data, np.ndarray):
            a = np.transpose(a, sorted(range(a.ndim), key=lambda axis: -abs(data.strides[axis])))
        order = "F" if order == "A" and isinstance(data, np.ndarray) and data.flags.fnc else "C"
    return np.reshape(a, (-1,), order=order)


@primitive
def astype(x: Any, dtype: Any) -> Any:
    """``x`` in another dtype."""
    return x.astype(dtype)


define_rule(astype, x=lambda g: g, ignores=("dtype",))
composite(np.astype)(lambda x, dtype, /, *, copy=True, device=None: astype(x, dtype))


@composite(np.fliplr)
def _fliplr(m: Any) -> Any:
    return np.flip(m, 1)


@composite(np.flipud)
def _flipud(m: Any) -> Any:
    return np.flip(m, 0)


@composite(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis, start = normalize_axis_index(axis, a.ndim), start + a.ndim if start < 0 else start
    if not 0 <= start <= a.ndim:
        raise ValueError(f"np.rollaxis: start is {start}, and must be at most {a.ndim} for an array of {a.ndim} axes")
    return np.moveaxis(a, axis, start - (axis < start))


@composite(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    size = prod(new_shape) if isinstance(new_shape, (tuple, list)) else new_shape
    if size and not a.size:
        return np.zeros(new_shape, a.dtype)
    return np.reshape(np.reshape(a, (-1,))[np.arange(size) % max(a.size, 1)], new_shape)


@composite(np.trim_zeros)
def _trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    if not trim or set(trim.lower()) - set("fb"):
        raise ValueError(f"np.trim_zeros: trim is made of the letters f and b, not {trim!r}")
    places = np.argwhere(unwrap(filt))
    axes = range(filt.ndim) if axis is None else normalize_axis_tuple(axis, filt.ndim)
    first, last = (places.min(axis=0), places.max(axis=0)) if len(places) else (filt.shape, [-1] * filt.ndim)
    kept = [slice(None)] * filt.ndim
    for a in axes:
        kept[a] = slice(first[a] if "f" in trim.lower() else None, last[a] + 1 if "b" in trim.lower() else None)
    return filt[tuple(kept)]


@composite(*named("unstack"))
def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    return tuple(np.moveaxis(x, axis, 0))


@primitive
def _windows(x: Any, window: Any, axis: Any) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, window, axis)


def _windows_back(g: Any, x_shape: tuple[int, ...], window: Any, axis: Any) -> Any:
    """The sum over all windows that an element was in."""
    places = _windows(np.arange(prod(x_shape)).reshape(x_shape), window, axis)
    return np.reshape(put_item(np.reshape(g, (-1,)), np.reshape(places, (-1,)), (prod(x_shape),)), x_shape)


define_rule(_windows, linear="jointly", x=_windows_back)


@composite(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False) -> Any:
    return _windows(x, window_shape, axis)


@composite(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    reps = tuple(np.atleast_1d(reps).tolist())
    ndim = max(A.ndim, len(reps))
    reps, shape = (1,) * (ndim - len(reps)) + reps, (1,) * (ndim - A.ndim) + A.shape
    apart = np.reshape(A, [n for size in shape for n in (1, size)])
    repeated = np.broadcast_to(apart, [n for pair in zip(reps, shape, strict=True) for n in pair])
    return np.reshape(repeated, [r * size for r, size in zip(reps, shape, strict=True)])


# ---- padding --------------------------------------------------------------------------------------------


@primitive
def _pad_with_constants(array: Any, pad_width: Any, constant_values: Any) -> Any:
    return np.pad(array, pad_width, constant_values=constant_values)


def _unpad(g: Any, pad_width: Any, array_shape: tuple[int, ...]) -> Any:
    return g[tuple(slice(before, before + n) for (before, _), n in zip(pad_width, array_shape, strict=True))]


define_rule(_pad_with_constants, array=_unpad, ignores=("constant_values",))

#: The modes of ``np.pad`` in which each new element is a copy of an old one.
_COPYING_MODES = ("edge", "reflect", "symmetric", "wrap")

#: Those in which they are a statistic of the old ones.
_STATISTICS: dict[str, Any] = {"maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min}


@composite(np.pad)
def _pad(
    array: Any,
    pad_width: Any,
    mode: Any = "constant",
    *,
    constant_values: Any = 0,
    stat_length: Any = None,
    end_values: Any = 0,
) -> Any:
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(axis, pad_width.get(axis - array.ndim, 0)) for axis in range(array.ndim)]
        pad_width = [w if isinstance(w, (tuple, list)) else (w, w) for w in pad_width]
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    if mode == "constant":
        return _pad_with_constants(array, widths, constant_values)
    if mode == "linear_ramp" or mode in _STATISTICS:
        if array.dtype.kind in "biu":
            raise TypeError(f"np.pad: mode {mode!r} rounds integers, which has no gradient; use astype(float), or v.data")
        options = np.broadcast_to(np.asarray(end_values if mode == "linear_ramp" else stat_length), (array.ndim, 2)).tolist()
        for axis, (width, option) in enumerate(zip(widths, options, strict=True)):
            array = _pad_axis(array, axis, width, mode, option)
        return array
    if mode not in _COPYING_MODES:
        known = ("constant", "linear_ramp", *_COPYING_MODES, *_STATISTICS)
        raise TypeError(f"np.pad: mode {mode!r} is not supported on a Variable; use one of {known}")
    for axis, width in enumerate(widths):
        if any(width):
            array = np.take(array, np.pad(np.arange(array.shape[axis]), width, mode=mode), axis=axis)
    return array


def _pad_axis(array: Any, axis: int, width: Sequence[int], mode: str, option: Sequence[Any]) -> Any:
    """Pad an axis by a ramp from a number to the elements at its end, or by a statistic of so many elements there."""
    sides, length = [], array.shape[axis]
    for n, value, is_first in zip(width, option, (True, False), strict=True):
        if mode == "linear_ramp":
            share = np.arange(n)[:: 1 if is_first else -1] / max(n, 1)
            share = np.reshape(share, [-1 if i == axis else 1 for i in range(array.ndim)]).astype(array.dtype)
            side = value + (np.take(array, [0 if is_first else -1], axis) - value) * share
        else:
            count = length if value is None else min(value, length)
            places = np.arange(count) if is_first else np.arange(length - count, length)
            side = _STATISTICS[mode](np.take(array, places, axis), axis=axis, keepdims=True)
            side = np.broadcast_to(side, [n if i == axis else m for i, m in enumerate(array.shape)])
        sides.append(side)
    return np.concatenate([sides[0], array, sides[1]], axis)


# ---- several arrays -------------------------------------------------------------------------------------


def _apart(g: Any, arrays_shapes: Sequence[tuple[int, ...]], axis: int | None) -> list[Any]:
    """The parts of a concatenation's gradient."""
    before, parts, stop = (slice(None),) * ((axis or 0) % g.ndim), [], 0
    for shape in arrays_shapes:
        start, stop = stop, stop + (prod(shape) if axis is None else shape[axis])
        part = g[(*before, slice(start, stop))]
        parts.append(np.reshape(part, shape) if axis is None else part)
    return parts


def _unstacked(g: Any, arrays_shapes: Sequence[tuple[int, ...]], axis: int) -> list[Any]:
    before = (slice(None),) * (axis % g.ndim)
    return [g[(*before, i)] for i in range(len(arrays_shapes))]


define_rule(np.concatenate, linear="jointly", arrays=_apart, ignores=("dtype", "casting"), kernel=concatenate,
            signature=lambda arrays, /, axis=0, out=None, *, dtype=None, casting="same_kind": None)  # fmt: skip
define_rule(np.stack, linear="jointly", arrays=_unstacked, ignores=("dtype", "casting"), kernel=stack)


@composite(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    made = tuple(np.reshape(a, (1,)) if np.ndim(a) == 0 else a for a in arys)
    return made[0] if len(made) == 1 else made


@composite(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    made = tuple(np.reshape(a, (1, -1)) if np.ndim(a) < 2 else a for a in arys)
    return made[0] if len(made) == 1 else made


@composite(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    made = tuple(np.reshape(a, [(1, 1, 1), (1, -1, 1), (*np.shape(a), 1)][np.ndim(a)]) if np.ndim(a) < 3 else a for a in arys)
    return made[0] if len(made) == 1 else made


@composite(np.vstack)
def _vstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    return np.concatenate([np.atleast_2d(a) for a in tup], axis=0, dtype=dtype, casting=casting)


@composite(np.hstack)
def _hstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    arrays = [np.atleast_1d(a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@composite(np.dstack)
def _dstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_3d(a) for a in tup], axis=2)


@composite(np.block)
def _block(arrays: Any) -> Any:
    """Nested lists: the innermost joined along the last axis, those around them along the one before, and so on."""

    def depth_of(item: Any) -> int:
        if isinstance(item, tuple):
            raise TypeError("np.block takes nested lists, not tuples")
        if not isinstance(item, list):
            return 0
        depths = {depth_of(i) for i in item}
        if len(depths) != 1:
            raise ValueError("np.block: empty lists, or lists nested to different depths")
        return 1 + depths.pop()

    def most_axes(item: Any) -> int:
        return max(map(most_axes, item)) if isinstance(item, list) else np.ndim(item)

    def joined(item: Any, level: int) -> Any:
        if isinstance(item, list):
            return np.concatenate([joined(i, level - 1) for i in item], axis=-level)
        return np.reshape(item, (1,) * (ndim - np.ndim(item)) + np.shape(item))

    depth = depth_of(arrays)
    ndim = max(depth, most_axes(arrays))
    return joined(arrays, depth)


@composite(np.column_stack)
def _column_stack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.reshape(a, (-1, 1)) if np.ndim(a) < 2 else a for a in tup], axis=1)


@composite(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return np.concatenate((array(arr), array(values)), axis=axis)


def _sections(ary: Any, cuts: Sequence[int], axis: int) -> list[Any]:
    """The parts of ``ary`` between the positions ``cuts``."""
    before = (slice(None),) * (axis % ary.ndim)
    return [ary[(*before, slice(start, stop))] for start, stop in zip([0, *cuts], [*cuts, ary.shape[axis]], strict=True)]


@composite(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections):
        return _sections(ary, list(indices_or_sections), axis)
    parts, (each, longer) = int(indices_or_sections), divmod(ary.shape[axis], int(indices_or_sections))
    return _sections(ary, np.cumsum([each + 1] * longer + [each] * (parts - longer))[:-1].tolist(), axis)


@composite(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError(f"np.split: {ary.shape[axis]} elements do not split into {indices_or_sections} equal parts")
    return _array_split(ary, indices_or_sections, axis)  # type: ignore[no-any-return]


def _require_axes(function: str, ary: Any, least: int) -> None:
    if ary.ndim < least:
        raise ValueError(f"{function} splits an array of {least} axes or more, not of shape {ary.shape}")


@composite(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    _require_axes("np.hsplit", ary, 1)
    return np.split(ary, indices_or_sections, axis=0 if ary.ndim == 1 else 1)


@composite(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    _require_axes("np.vsplit", ary, 2)
    return np.split(ary, indices_or_sections, axis=0)


@composite(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    _require_axes("np.dsplit", ary, 3)
    return np.split(ary, indices_or_sections, axis=2)


@composite(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*(np.shape(a) for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


@composite(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    axes = list(range(len(xi)))
    if indexing == "xy":
        axes[:2] = axes[1::-1]
    grids = [np.reshape(x, [-1 if i == axis else 1 for i in range(len(xi))]) for x, axis in zip(xi, axes, strict=True)]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


def array(nested: Any, dtype: Any = None) -> Any:
    """Build an array from nested lists of Variables, arrays and numbers; a Variable if there is one among them.

    ``np.array`` cannot do this: it would lose the gradient.

    >>> import numpy as np, chainrule as cr
    >>> x = cr.Variable(np.array(2.0))
    >>> cr.array([[x, 1.0], [0.0, x * x]])
    Variable([[2., 1.],
              [0., 4.]])
    """
    if isinstance(nested, (list, tuple)):
        items = [array(item) for item in nested]
        made = np.stack(items) if items else np.array([])
    else:
        made = as_array(nested)
    return made if dtype is None else np.astype(made, np.dtype(dtype))
