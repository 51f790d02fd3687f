"""The array API standard's namespace, on Variables: what ``v.__array_namespace__()`` returns.

NumPy's own namespace follows the standard, so the functions here are NumPy's, found by their names. What is different is what
they return: always Variables. Where an argument needs a gradient the call is recorded as NumPy's is; the other results
(creation functions, comparisons, anything of constants) are constants. Deviations from the standard: docs/array_api.md.

Every name but those defined below is looked up in a table, and is no global of this module: there it would hide Python's own
``all``, ``any``, ``bool`` and ``sum``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .calculus.shapes import array
from .core import config
from .core.arrays import as_array, is_array
from .core.variable import Variable
from .dispatch import unwrap

__array_api_version__: str = np.__array_api_version__

_CREATION = "arange empty empty_like eye full full_like linspace meshgrid ones ones_like tril triu zeros zeros_like"

_DATA_TYPES = "astype broadcast_arrays broadcast_shapes broadcast_to can_cast isdtype result_type"

_ELEMENTWISE = """
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift
    bitwise_xor ceil conj copysign cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot imag
    isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor maximum
    minimum multiply negative nextafter not_equal positive pow real reciprocal remainder round sign signbit sin sinh sqrt square
    subtract tan tanh trunc
"""

_OTHERS = """
    take take_along_axis matmul matrix_transpose tensordot vecdot concat expand_dims flip moveaxis permute_dims repeat reshape
    roll squeeze stack tile unstack argmax argmin count_nonzero nonzero searchsorted where isin unique_all unique_counts
    unique_inverse cumulative_prod cumulative_sum max mean min prod std sum var all any diff
"""

_LINALG = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer
    pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""

_FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftshift ifftshift"

_DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"

_CONSTANTS = "e inf nan newaxis pi"


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Variable:
    """``obj`` as a Variable: a Variable stays itself, nested lists may hold some, and all else becomes a constant."""
    if isinstance(obj, Variable):
        if device is not None and device != obj.device:
            obj = obj.to_device(device)
        if dtype is not None and obj.dtype != dtype:
            if copy is False:
                raise ValueError(f"asarray(copy=False) cannot change the dtype from {obj.dtype} to {np.dtype(dtype)}")
            return obj.astype(dtype)  # type: ignore[no-any-return]
        return obj.copy() if copy else obj  # type: ignore[no-any-return]
    if _holds_variable(obj):
        return _as_variables(array(obj, dtype))  # type: ignore[no-any-return]
    return Variable(np.asarray(obj, dtype=dtype, device=device, copy=copy), requires_grad=False)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Variable:
    """A constant of the data of any array that speaks DLPack, shared where it can be."""
    return Variable(np.from_dlpack(x, device=device, copy=copy), requires_grad=False)


class FloatInfo(NamedTuple):
    """What :func:`finfo` tells, in Python's numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


def finfo(type: Any, /) -> FloatInfo:
    """What the numbers of a floating-point dtype, or of an array's, can hold."""
    info = np.finfo(type.dtype if is_array(type) else type)
    return FloatInfo(info.bits, float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), info.dtype)


def iinfo(type: Any, /) -> Any:
    """What the numbers of an integer dtype, or of an array's, can hold."""
    return np.iinfo(type.dtype if is_array(type) else type)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Variable:
    """``x`` with its elements kept between ``min`` and ``max``, either of which may be left out."""
    return _on_variables(np.clip)(x, min, max)  # type: ignore[no-any-return]


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Variable:
    """The indices that sort ``x`` along an axis; equal elements keep their order, descending too."""
    x = unwrap(x)
    if not descending:
        return _as_variables(np.argsort(x, axis=axis, stable=stable))  # type: ignore[no-any-return]
    backwards = np.argsort(np.flip(x, axis), axis=axis, stable=stable)
    return _as_variables(x.shape[axis] - 1 - np.flip(backwards, axis))  # type: ignore[no-any-return]


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Variable:
    """``x`` sorted along an axis."""
    ascending = np.sort(x, axis=axis, stable=stable)
    return _as_variables(np.flip(ascending, axis) if descending else ascending)  # type: ignore[no-any-return]


def unique_values(x: Any, /) -> Variable:
    """The distinct elements of ``x``, in order: the standard leaves that open, and so does NumPy, but callers rely on it."""
    return _as_variables(np.unique(unwrap(x), equal_nan=False))  # type: ignore[no-any-return]


def _on_variables(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, returning Variables. Of constants alone it needs no rule: no gradient can be lost."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (config.enable_backprop.get() and _holds_variable((args, kwargs), recorded=True)):
            args, kwargs = unwrap(args), unwrap(kwargs)
        return _as_variables(function(*args, **kwargs))

    return call


def _holds_variable(value: Any, recorded: bool = False) -> bool:
    """Whether ``value`` is a Variable, or a sequence or dict with one in it; ``recorded``: one that needs a gradient."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds_variable(item, recorded) for item in value)
    return isinstance(value, Variable) and (value.requires_grad or not recorded)


def _as_variables(ans: Any) -> Any:
    """The arrays in a function's result as Variables, in the same tuple or list; what is no array stays as it is."""
    if isinstance(ans, (list, tuple)):
        made = [_as_variables(item) for item in ans]
        return type(ans)(*made) if hasattr(ans, "_fields") else type(ans)(made)
    if isinstance(ans, np.generic) or (is_array(ans) and not isinstance(ans, Variable)):
        return Variable(as_array(ans), requires_grad=False)
    return ans


def _frequencies(function: Callable[..., Any]) -> Callable[..., Variable]:
    """``np.fft.fftfreq`` and ``rfftfreq`` with the argument ``dtype``, which NumPy's lack."""

    def call(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Variable:
        return Variable(function(n, d, device=device).astype(dtype or np.float64), requires_grad=False)

    return call


def _complex(function: Callable[..., Any]) -> Callable[..., Any]:
    """``np.linalg.eig`` and ``eigvals`` with results that are complex always: NumPy's are real where they can be."""

    def call(x: Any, /) -> Any:
        made = _on_variables(function)(x)
        return type(made)(*map(cast, made)) if isinstance(made, tuple) else cast(made)

    def cast(v: Variable) -> Variable:
        return v.astype(np.result_type(v.dtype, np.complex64))  # type: ignore[no-any-return]

    return call


def _extension(module: Any, names: str) -> dict[str, Callable[..., Any]]:
    return {name: _on_variables(getattr(module, name)) for name in names.split()}


_NAMES: dict[str, Any] = {
    **{name: getattr(np, name) for name in f"{_CONSTANTS} {_DTYPES} __array_namespace_info__".split() if hasattr(np, name)},
    **{
        name: _on_variables(getattr(np, name))
        for name in f"{_CREATION} {_DATA_TYPES} {_ELEMENTWISE} {_OTHERS}".split()
        if hasattr(np, name)  # a few are younger than NumPy 2.0
    },
    "linalg": SimpleNamespace(
        **_extension(np.linalg, _LINALG), eig=_complex(np.linalg.eig), eigvals=_complex(np.linalg.eigvals)
    ),
    "fft": SimpleNamespace(
        **_extension(np.fft, _FFT), fftfreq=_frequencies(np.fft.fftfreq), rfftfreq=_frequencies(np.fft.rfftfreq)
    ),
}

__all__ = [
    "__array_api_version__",
    "argsort",
    "asarray",
    "clip",
    "finfo",
    "from_dlpack",
    "iinfo",
    "sort",
    "unique_values",
    *_NAMES,
]


def __getattr__(name: str) -> Any:
    try:
        return _NAMES[name]
    except KeyError:
        raise AttributeError(f"the array API standard's namespace has no {name!r}; see docs/array_api.md") from None


def __dir__() -> list[str]:
    return sorted(__all__)
