"""Pooling: one number for each window of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.batched import all_values
from ..dispatch import define_rule, primitive, unwrap
from ..kernels import pooling as kernel
from ..kernels.pooling import Windows
from ..kernels.window import Size, per_dimension
from ..random import generator
from .convolution import _batch as as_batch
from .resampling import along_axes

#: The lengths of an output's axes; None for the input's own.
OutputSize = int | None | Sequence[int | None]

# ---- the largest element --------------------------------------------------------------------------------


def max_pool1d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window: y[n, c, i] = max over k of x[n, c, s i + d k].

    Args:
        input: (N, C, L) or (C, L).
        kernel_size, stride, padding, dilation, ceil_mode, return_indices: as in ``max_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[3., 2.]])
    """
    x, single = as_batch(input, 1)
    return _largest(x, _sliding(x, kernel_size, stride, padding, dilation, ceil_mode), return_indices, single)


def max_pool2d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window: y[n, c, i, j] = max over k, l of x[n, c, s i + d k, s j + d l].

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size: the window's rows and columns.
        stride: its step; by default its size.
        padding: rows and columns around the image that never are the largest; at most half the window.
        dilation: the distance between the window's elements.
        ceil_mode: whether a window may reach beyond the lower and right edges.
        return_indices: whether also to return where each is: its number in the image, row by row.

    Raises:
        ValueError: the input has other axes, the padding is too large, or the window larger than the image.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    x, single = as_batch(input, 2)
    return _largest(x, _sliding(x, kernel_size, stride, padding, dilation, ceil_mode), return_indices, single)


def max_pool3d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    dilation: int | Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window: as ``max_pool2d``, with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        kernel_size, stride, padding, dilation, ceil_mode, return_indices: as in ``max_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[7.]]]])
    """
    x, single = as_batch(input, 3)
    return _largest(x, _sliding(x, kernel_size, stride, padding, dilation, ceil_mode), return_indices, single)


def adaptive_max_pool1d(input: Any, output_size: OutputSize, return_indices: bool = False) -> Any:
    """Largest element of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, L) or (C, L).
        output_size: the number of windows.
        return_indices: as in ``max_pool1d``.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_max_pool1d(np.array([[1.0, 3.0, 2.0]]), 2)
    array([[3., 3.]])
    """
    x, single = as_batch(input, 1)
    return _largest(x, _adaptive(x, output_size), return_indices, single)


def adaptive_max_pool2d(input: Any, output_size: OutputSize, return_indices: bool = False) -> Any:
    """Largest element of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        output_size: (OH, OW), or a number for both; None for the image's own.
        return_indices: as in ``max_pool2d``.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_max_pool2d(np.arange(16.0).reshape(1, 4, 4), (2, 1))
    array([[[ 7.],
            [15.]]])
    """
    x, single = as_batch(input, 2)
    return _largest(x, _adaptive(x, output_size), return_indices, single)


def adaptive_max_pool3d(input: Any, output_size: OutputSize, return_indices: bool = False) -> Any:
    """Largest element of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        output_size: (OD, OH, OW), or a number for all; None for the volume's own.
        return_indices: as in ``max_pool3d``.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_max_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[7.]]]])
    """
    x, single = as_batch(input, 3)
    return _largest(x, _adaptive(x, output_size), return_indices, single)


def _sliding(x: Any, kernel_size: int | Size, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> tuple[Windows, ...]:
    size = x.shape[2:]
    kernel_size, stride, padding, dilation = _arguments(len(size), kernel_size, stride, padding, dilation)
    each = zip(size, kernel_size, stride, padding, dilation, strict=True)
    return tuple(kernel.sliding(*numbers, ceil_mode) for numbers in each)


def _arguments(n: int, kernel_size: int | Size, stride: Any, padding: Any, dilation: Any) -> tuple[Size, Size, Size, Size]:
    """Arguments of a sliding window, for each dimension."""
    kernel_size = per_dimension(kernel_size, n)
    stride = kernel_size if stride is None else per_dimension(stride, n)
    padding, dilation = per_dimension(padding, n), per_dimension(dilation, n)
    if any(not 0 <= 2 * p <= k for p, k in zip(padding, kernel_size, strict=True)):
        raise ValueError(f"padding is from 0 to half of kernel_size {kernel_size}, not {padding}")
    return kernel_size, stride, padding, dilation


def _adaptive(x: Any, output_size: OutputSize) -> tuple[Windows, ...]:
    return tuple(kernel.adaptive(n, m) for n, m in zip(x.shape[2:], _output_size(x, output_size), strict=True))


def _output_size(x: Any, output_size: OutputSize) -> list[int]:
    size = x.shape[2:]
    wanted = [output_size] * len(size) if output_size is None or isinstance(output_size, int) else list(output_size)
    if len(wanted) != len(size):
        raise ValueError(f"output_size {output_size} has {len(wanted)} numbers for {len(size)} dimensions")
    if 0 in size:
        raise ValueError(f"expected an image with elements, got {x.shape}")
    return [n if m is None else m for n, m in zip(size, wanted, strict=True)]


def _largest(x: Any, windows: tuple[Windows, ...], return_indices: bool, single: bool) -> Any:
    y, choice = _choose(unwrap(x), windows)
    y = _as_chosen(x, y, choice, windows)
    if single:
        y, choice = y[0], choice[:1]
    if not return_indices:
        return y
    indices = kernel.indices(choice, windows)
    return y, indices[0] if single else indices


_choose = primitive(kernel.max_pool)


@primitive
def _as_chosen(x: Array, y: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    """``y``, recorded as the elements of ``x`` that the kernel has chosen."""
    return y


@primitive
def _gather(x: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    return kernel.gather(x, choice, windows)


@primitive
def _scatter(g: Array, choice: Array, windows: tuple[Windows, ...]) -> Array:
    return kernel.scatter(g, choice, windows)


define_rule(_as_chosen, ignores=("y",), x=lambda g, choice, windows: _scatter(g, choice, windows))
define_rule(_gather, linear="jointly", x=lambda g, choice, windows: _scatter(g, choice, windows))
define_rule(_scatter, linear="jointly", g=lambda gg, choice, windows: _gather(gg, choice, windows))


# ---- the mean -------------------------------------------------------------------------------------------


def avg_pool1d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean of each window: y[n, c, i] = sum over k of x[n, c, s i + k] / (number of elements).

    Args:
        input: (N, C, L) or (C, L).
        kernel_size, stride, padding, ceil_mode, count_include_pad: as in ``avg_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.avg_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    array([[2., 1.]])
    """
    return _mean(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window: y[n, c, i, j] = sum over k, l of x[n, c, s i + k, s j + l] / (number of elements).

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size: the window's rows and columns.
        stride: its step; by default its size.
        padding: zeros around the image; at most half the window.
        ceil_mode: whether a window may reach beyond the lower and right edges.
        count_include_pad: whether the padding's zeros count as elements.
        divisor_override: a divisor in place of the number of elements.

    Raises:
        ValueError: as ``max_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return _mean(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window: as ``avg_pool2d``, with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: as in ``avg_pool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])
    """
    return _mean(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _mean(
    n: int,
    input: Any,
    kernel_size: int | Size,
    stride: int | Size | None,
    padding: int | Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    x, single = as_batch(input, n)
    divisors: list[str | int] = ["with" if count_include_pad else "without"] * n
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("divisor_override is not 0; None stands for the number of elements")
        divisors = [divisor_override, *[1] * (n - 1)]
    each = zip(x.shape[2:], *_arguments(n, kernel_size, stride, padding, 1)[:3], divisors, strict=True)
    taps = tuple(kernel.sliding_means(m, k, s, p, ceil_mode, divisor) for m, k, s, p, divisor in each)
    y = along_axes(x, taps)
    return y[0] if single else y


def _adaptive_mean(n: int, input: Any, output_size: OutputSize) -> Any:
    x, single = as_batch(input, n)
    wanted = _output_size(x, output_size)
    if wanted == [1] * n:
        y = np.mean(x, axis=tuple(range(2, n + 2)), keepdims=True)
    else:
        y = along_axes(x, tuple(map(kernel.adaptive_means, x.shape[2:], wanted)))
    return y[0] if single else y


def adaptive_avg_pool1d(input: Any, output_size: OutputSize) -> Any:
    """Mean of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, L) or (C, L).
        output_size: the number of windows.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_avg_pool1d(np.array([[1.0, 3.0, 2.0]]), 2)
    array([[2. , 2.5]])
    """
    return _adaptive_mean(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: OutputSize) -> Any:
    """Mean of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        output_size: (OH, OW), or a number for both; None for the image's own.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 4, 4), (2, 1))
    array([[[ 3.5],
            [11.5]]])
    """
    return _adaptive_mean(2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: OutputSize) -> Any:
    """Mean of each window, of as many windows as are wanted: the o-th of m is floor(o n / m) to ceil((o + 1) n / m).

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        output_size: (OD, OH, OW), or a number for all; None for the volume's own.

    Raises:
        ValueError: the input has other axes.

    >>> import numpy as np, chainrule.functional as F
    >>> F.adaptive_avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[3.5]]]])
    """
    return _adaptive_mean(3, input, output_size)


# ---- the norm -------------------------------------------------------------------------------------------


def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """The p-norm of each window, without absolute values: y[n, c, i] = (sum over k of x[n, c, s i + k]^p)^(1/p).

    Args:
        input: (N, C, L) or (C, L).
        norm_type: p.
        kernel_size, stride, ceil_mode: as in ``avg_pool1d``. A window that is cut off is made up for: its sum counts as that of
            a whole one with the same mean.

    >>> import numpy as np, chainrule.functional as F
    >>> F.lp_pool1d(np.array([[3.0, 4.0]]), 2, 2)
    array([[5.]])
    """
    mean = avg_pool1d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return (mean * prod(per_dimension(kernel_size, 1))) ** (1 / norm_type)


def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """The p-norm of each window, without absolute values: y[n, c, i, j] = (sum over k, l of x[n, c, s i + k, s j + l]^p)^(1/p).

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        norm_type: p.
        kernel_size, stride, ceil_mode: as in ``avg_pool2d``. A window that is cut off is made up for: its sum counts as that of
            a whole one with the same mean.

    >>> import numpy as np, chainrule.functional as F
    >>> F.lp_pool2d(np.ones((1, 4, 4)), 2, 2)
    array([[[2., 2.],
            [2., 2.]]])
    """
    mean = avg_pool2d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return (mean * prod(per_dimension(kernel_size, 2))) ** (1 / norm_type)


def lp_pool3d(
    input: Any,
    norm_type: float,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    ceil_mode: bool = False,
) -> Any:
    """The p-norm of each window, without absolute values: as ``lp_pool2d``, with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        norm_type: p.
        kernel_size, stride, ceil_mode: as in ``avg_pool3d``. A window that is cut off is made up for: its sum counts as that of
            a whole one with the same mean.

    >>> import numpy as np, chainrule.functional as F
    >>> F.lp_pool3d(np.ones((1, 2, 2, 2)), 1, 2)
    array([[[[8.]]]])
    """
    mean = avg_pool3d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return (mean * prod(per_dimension(kernel_size, 3))) ** (1 / norm_type)


# ---- the largest element of windows at random places ------------------------------------------------------


def fractional_max_pool2d(
    input: Any,
    kernel_size: int | Size,
    output_size: int | Size | None = None,
    output_ratio: float | tuple[float, float] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Largest element of each of so many windows as are wanted, whose distances are drawn at random.

    Along an axis of n elements the o-th of m windows of k begins at floor((o + u) a) - floor(u a), for a = (n - k) / (m - 1)
    and a u that is drawn from 0 to 1 for each channel; the last at n - k.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size: the window's rows and columns.
        output_size: how many windows: rows and columns of the result.
        output_ratio: in place of that, the result's size divided by the image's, between 0 and 1.
        return_indices: whether also to return where each is: its number in the image, row by row.
        _random_samples: the u of each image, channel and axis, (N, C, 2), the columns' first.

    Raises:
        ValueError: the input has other axes, neither or both of the sizes are given, or the windows do not fit.

    Source: B. Graham, Fractional Max-Pooling (2014).

    >>> import numpy as np, chainrule.functional as F
    >>> F.fractional_max_pool2d(np.arange(25.0).reshape(1, 5, 5), 2, output_size=3).shape
    (1, 3, 3)
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Any,
    kernel_size: int | Size,
    output_size: int | Size | None = None,
    output_ratio: float | tuple[float, float, float] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Largest element of each of so many windows as are wanted, whose distances are drawn: as ``fractional_max_pool2d``.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        kernel_size, output_size, output_ratio, return_indices: as in ``fractional_max_pool2d``.
        _random_samples: (N, C, 3), for depth, rows and columns.

    >>> import numpy as np, chainrule.functional as F
    >>> F.fractional_max_pool3d(np.zeros((1, 4, 5, 6)), 2, output_ratio=0.5).shape
    (1, 2, 2, 3)
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def _fractional(
    n: int, input: Any, kernel_size: int | Size, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    name = f"fractional_max_pool{n}d"
    x, _ = as_batch(input, n)
    size, window = x.shape[2:], per_dimension(kernel_size, n)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name}: give either output_size or output_ratio")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * n
        counts = tuple(int(length * ratio) for length, ratio in zip(size, ratios, strict=True))
    else:
        counts = per_dimension(output_size, n)
    if any(m < 1 or m + k - 1 > length for m, k, length in zip(counts, window, size, strict=True)):
        raise ValueError(f"{name}: {counts} windows of {window} do not fit into {size}, one element apart or more")
    samples = generator().random((*x.shape[:2], n)) if samples is None else unwrap(samples)
    samples = samples.astype(x.dtype)
    if samples.shape != (*x.shape[:2], n):
        raise ValueError(f"{name}: _random_samples are of shape {(*x.shape[:2], n)}, not {samples.shape}")
    samples = samples[..., ::-1] if n == 2 else samples
    places = np.zeros((*x.shape[:2], 1, 1), np.int64)  # the elements of all windows, (N, C, windows, elements)
    for axis, (m, k, length) in enumerate(zip(counts, window, size, strict=True)):
        starts = _drawn_starts(samples[..., axis], m, length - k)
        elements = starts[..., None] + np.arange(k)
        crossed = (places * length)[:, :, :, None, :, None] + elements[:, :, None, :, None, :]
        places = crossed.reshape(*x.shape[:2], places.shape[2] * m, places.shape[3] * k)
    flat = np.reshape(x, (*x.shape[:2], prod(size)))
    seen = np.take_along_axis(unwrap(flat), places.reshape(*x.shape[:2], prod(places.shape[2:])), -1).reshape(places.shape)
    chosen = np.take_along_axis(places, np.argmax(seen, axis=-1)[..., None], -1)[..., 0]
    shape = (*input.shape[:-n], *counts)
    y = np.reshape(np.take_along_axis(flat, chosen, -1), shape)
    return (y, chosen.reshape(shape)) if return_indices else y


def _drawn_starts(samples: Array, windows: int, last: int) -> Array:
    """Where the windows begin, the last of them at ``last``: (N, C, windows), of samples (N, C)."""
    step = samples.dtype.type(last / (windows - 1)) if windows > 1 else samples.dtype.type(0)
    o = np.arange(windows).astype(samples.dtype)
    starts = ((samples[..., None] + o) * step).astype(np.int64) - (samples[..., None] * step).astype(np.int64)
    starts[..., -1] = last
    return starts


# ---- back to where the largest were ---------------------------------------------------------------------


def max_unpool1d(
    input: Any,
    indices: Array,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Put the largest elements back where ``max_pool1d`` has found them, among zeros.

    Args:
        input, indices: as ``max_pool1d`` returns them.
        kernel_size, stride, padding, output_size: as in ``max_unpool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> y, indices = F.max_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2, return_indices=True)
    >>> F.max_unpool1d(y, indices, 2)
    array([[0., 3., 2., 0.]])
    """
    return _unpooled(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Array,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Put the largest elements back where ``max_pool2d`` has found them, among zeros.

    Args:
        input: (N, C, OH, OW), or (C, OH, OW) for one image.
        indices: of the input's shape, as ``max_pool2d`` returns them.
        kernel_size, stride, padding: those of ``max_pool2d``.
        output_size: (H, W), or the whole shape; by default the smallest image that has so many windows.

    Raises:
        ValueError: the indices are not of the input's shape, or not all in the output.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_unpool2d(np.ones((1, 1, 1)), np.array([[[2]]]), 2)
    array([[[0., 0.],
            [1., 0.]]])
    """
    return _unpooled(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any,
    indices: Array,
    kernel_size: int | Size,
    stride: int | Size | None = None,
    padding: int | Size = 0,
    output_size: Sequence[int] | None = None,
) -> Any:
    """Put the largest elements back where ``max_pool3d`` has found them, among zeros.

    Args:
        input, indices: as ``max_pool3d`` returns them.
        kernel_size, stride, padding, output_size: as in ``max_unpool2d``.

    >>> import numpy as np, chainrule.functional as F
    >>> F.max_unpool3d(np.ones((1, 1, 1, 1)), np.array([[[[2]]]]), 2).ravel()
    array([0., 0., 1., 0., 0., 0., 0., 0.])
    """
    return _unpooled(3, input, indices, kernel_size, stride, padding, output_size)


def _unpooled(
    n: int,
    input: Any,
    indices: Array,
    kernel_size: int | Size,
    stride: int | Size | None,
    padding: int | Size,
    output_size: Sequence[int] | None,
) -> Any:
    x, _ = as_batch(input, n)
    indices = unwrap(indices)
    if indices.shape != input.shape:
        raise ValueError(f"max_unpool: indices {indices.shape} and input {input.shape} differ in shape")
    kernel_size, stride, padding, _ = _arguments(n, kernel_size, stride, padding, 1)
    if output_size is None:
        each = zip(x.shape[2:], kernel_size, stride, padding, strict=True)
        size = tuple((m - 1) * s - 2 * p + k for m, k, s, p in each)
    else:
        size = tuple(output_size)[-n:]
    values = all_values(indices)
    if values.size and not 0 <= values.min() <= values.max() < prod(size):
        raise ValueError(f"max_unpool: an index is not within the output {size}; give output_size the shape before max_pool")
    flat = (*x.shape[:2], prod(x.shape[2:]))
    y = _placed(np.reshape(x, flat), indices.reshape(flat), prod(size))
    return np.reshape(y, (*input.shape[:-n], *size))


@primitive
def _placed(x: Array, places: Array, size: int) -> Array:
    """Elements at given places of the last axis, among zeros."""
    y = np.zeros_like(x, shape=(*x.shape[:-1], size))
    np.put_along_axis(y, places, x, axis=-1)
    return y


define_rule(_placed, ignores=("size",), linear="jointly", x=lambda g, places: np.take_along_axis(g, places, -1))
