"""``np.fft``: four transforms have rules, and the others are composed of them.

All are linear. The matrix of a discrete Fourier transform is symmetric, so ``fft`` and ``ifft`` are their own transposes.
``rfft`` gives the half of a real array's transform that tells the other half, ``irfft`` goes back, and each is the other's
transpose up to the conjugate and the number of times (1 or 2) that an element of the half stands in the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch import composite, define_rule

#: The scaling of a transform and its transpose, where the exponent has the other sign.
_TRANSPOSED: dict[Any, Any] = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def _resized(x: Any, shape: tuple[int, ...]) -> Any:
    """Cut or padded with zeros at the end of each axis: the transpose of having been padded or cut."""
    x = x[tuple(slice(n) for n in shape)] if any(n < m for n, m in zip(shape, x.shape, strict=True)) else x
    return x if x.shape == shape else np.pad(x, [(0, n - m) for n, m in zip(shape, x.shape, strict=True)])


def _occurrences(n: int, axis: int, like: Any) -> Any:
    """How often each element of the half of a transform of length n stands in the whole."""
    counts = np.full(n // 2 + 1, 2, like.real.dtype)
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return np.reshape(counts, [-1 if i == axis % like.ndim else 1 for i in range(like.ndim)])


# ---- the four -------------------------------------------------------------------------------------------


def _itself(transform: Callable[..., Any]) -> Callable[..., Any]:
    """The transpose of a transform whose matrix is symmetric."""

    def transpose(g: Any, a_shape: tuple[int, ...], axis: int, norm: Any) -> Any:
        return _resized(transform(g, None, axis, norm), a_shape)

    return transpose


def _rfft(g: Any, a_shape: tuple[int, ...], n: int | None, axis: int, norm: Any) -> Any:
    n = a_shape[axis] if n is None else n
    return _resized(np.fft.irfft(np.conj(g) / _occurrences(n, axis, g), n, axis, _TRANSPOSED[norm]), a_shape)


def _irfft(g: Any, a_shape: tuple[int, ...], axis: int, norm: Any) -> Any:
    half = np.conj(np.fft.rfft(g, None, axis, _TRANSPOSED[norm]))
    return _resized(half * _occurrences(g.shape[axis], axis, g), a_shape)


define_rule(np.fft.fft, linear="jointly", a=_itself(np.fft.fft), ignores=("n",))
define_rule(np.fft.ifft, linear="jointly", a=_itself(np.fft.ifft), ignores=("n",))
define_rule(np.fft.rfft, linear="jointly", a=_rfft)
define_rule(np.fft.irfft, linear="jointly", a=_irfft, ignores=("n",))

# ---- the others -----------------------------------------------------------------------------------------


@composite(np.fft.hfft)
def _hfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
    return np.fft.irfft(np.conj(a), n, axis, _TRANSPOSED.get(norm, norm))


@composite(np.fft.ihfft)
def _ihfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
    return np.conj(np.fft.rfft(a, n, axis, _TRANSPOSED.get(norm, norm)))


def _lengths(a: Any, s: Any, axes: Any) -> list[tuple[int | None, int]]:
    """For each axis that is transformed, the length (None for the usual one) and the axis."""
    axes = range(-(a.ndim if s is None else len(s)), 0) if axes is None else axes
    s = [None] * len(axes) if s is None else s
    if len(s) != len(axes):
        raise ValueError(f"np.fft: s has {len(s)} lengths for {len(axes)} axes")
    return [(a.shape[axis] if n == -1 else n, axis) for n, axis in zip(s, axes, strict=True)]


def _over_axes(name: str, on_last: Callable[..., Any], on_others: Callable[..., Any], last_first: bool = True) -> None:
    """Define the transforms over two and over all axes by those over one."""

    @composite(getattr(np.fft, name + "n"))
    def over_all(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
        *others, last = _lengths(a, s, axes)
        steps = [*((on_others, *step) for step in others), (on_last, *last)]
        for transform, n, axis in reversed(steps) if last_first else steps:
            a = transform(a, n, axis, norm)
        return a

    @composite(getattr(np.fft, name + "2"))
    def over_two(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
        return over_all(a, s, axes, norm)


_over_axes("fft", np.fft.fft, np.fft.fft)
_over_axes("ifft", np.fft.ifft, np.fft.ifft)
_over_axes("rfft", np.fft.rfft, np.fft.fft)
_over_axes("irfft", np.fft.irfft, np.fft.ifft, last_first=False)


def _rolled(x: Any, axes: Any, sign: int) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    return np.roll(x, tuple(sign * (x.shape[axis] // 2) for axis in axes), axes)


composite(np.fft.fftshift)(lambda x, axes=None: _rolled(x, axes, 1))
composite(np.fft.ifftshift)(lambda x, axes=None: _rolled(x, axes, -1))
