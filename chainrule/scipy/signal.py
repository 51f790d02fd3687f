"""Convolution and correlation of scipy.signal, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.signal as ss

from ..core.arrays import as_array
from ..dispatch import define_rule, primitive

__all__ = ["convolve", "correlate", "fftconvolve"]


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolution: z[n] = sum over k of x[k] y[n - k], for x and y of the same number of dimensions.

    Args:
        in1, in2: the arrays.
        mode: ``"full"``, ``"same"`` for the middle part of in1's size, ``"valid"`` for what no border has touched.
        method: ``"direct"``, ``"fft"``, or ``"auto"`` for the one that is probably faster.

    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]))
    array([1., 3., 5., 3.])
    """
    return _convolve(in1, in2, mode, method, None)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> Any:
    """Convolution by the fast Fourier transform, along ``axes``; along the others the arrays broadcast.

    >>> np.round(fftconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]), mode="valid"), 12)
    array([3., 5.])
    """
    return _convolve(in1, in2, mode, "fft", axes)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Cross-correlation: z[n] = sum over k of x[n + k] conj(y[k]).

    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
    array([1., 2., 3., 0.])
    """
    in1, in2 = as_array(in1), as_array(in2)
    return _convolve(in1, np.conjugate(np.flip(in2)), mode, method, None)


def _convolve(x: Any, y: Any, mode: str, method: str, axes: Any) -> Any:
    x, y = as_array(x), as_array(y)
    if x.ndim != y.ndim:
        raise ValueError(f"arrays of {x.ndim} and {y.ndim} dimensions cannot be convolved; they must have as many")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode is 'full', 'same' or 'valid', not {mode!r}")
    along = tuple(range(x.ndim)) if axes is None else tuple(int(axis) % x.ndim for axis in np.atleast_1d(axes))
    if mode == "valid":
        bigger = [x.shape[i] >= y.shape[i] for i in along]
        if not all(bigger):
            if any(x.shape[i] > y.shape[i] for i in along):
                raise ValueError(f"in mode 'valid' one array must be as large as the other in each axis: {x.shape}, {y.shape}")
            x, y = y, x
    if x.ndim == 0:
        return x * y
    full = _convolution(x, y, "valid" if mode == "valid" else "full", method, along)
    if mode != "same":
        return full
    middle = [slice(None)] * x.ndim
    for i in along:
        start = (full.shape[i] - x.shape[i]) // 2
        middle[i] = slice(start, start + x.shape[i])
    return full[tuple(middle)]


@primitive
def _convolution(x: Any, y: Any, mode: str, method: str, axes: tuple[int, ...]) -> Any:
    """In mode "full", or "valid" where x is the larger one."""
    if len(axes) < x.ndim:
        return ss.fftconvolve(x, y, mode, axes)
    return ss.convolve(x, y, mode, method)


def _convolution_x(g: Any, y: Any, mode: str, method: str, axes: tuple[int, ...]) -> Any:
    return _convolution(g, np.flip(y, axes), "valid" if mode == "full" else "full", method, axes)


def _convolution_y(g: Any, x: Any, mode: str, method: str, axes: tuple[int, ...]) -> Any:
    if mode == "full":
        return _convolution(g, np.flip(x, axes), "valid", method, axes)
    return np.flip(_convolution(x, np.flip(g, axes), "valid", method, axes), axes)


define_rule(_convolution, linear="separately", x=_convolution_x, y=_convolution_y)
