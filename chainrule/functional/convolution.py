"""Convolution, its transpose, and the windows that it sees, in one, two and three dimensions."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native
from ..dispatch import define_rule, primitive
from ..kernels import convolution as kernel
from ..kernels.window import Size, Window, per_dimension

_AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size | str = 0,
    dilation: int | Size = 1,
    groups: int = 1,
) -> Any:
    """One-dimensional convolution: y[n, o, i] = b[o] + sum over c, k of x[n, c, s i + d k] W[o, c, k].

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C / groups, K).
        bias: (O,).
        stride, padding, dilation, groups: as in ``conv2d``.

    Raises:
        ValueError: the shapes do not fit, or ``padding="same"`` with a stride.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv1d(np.array([[1.0, 2.0, 4.0]]), np.array([[[-1.0, 1.0]]]))
    array([[1., 2.]])
    """
    return _convolution(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size | str = 0,
    dilation: int | Size = 1,
    groups: int = 1,
) -> Any:
    """Two-dimensional convolution: y[n, o, i, j] = b[o] + sum over c, k, l of x[n, c, s i + d k, s j + d l] W[o, c, k, l].

    Args:
        input: (N, C, H, W), or (C, H, W) for one image; fastest where the memory is channels-last, as this function's
            results are.
        weight: (O, C / groups, KH, KW).
        bias: (O,).
        stride: the window's step, for rows and columns.
        padding: zeros around the image; ``"valid"`` for none, ``"same"`` for an output of the input's size.
        dilation: the distance between the kernel's elements.
        groups: into how many independent parts the channels are divided.

    Raises:
        ValueError: the shapes do not fit, or ``padding="same"`` with a stride.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv2d(np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _convolution(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size | str = 0,
    dilation: int | Size = 1,
    groups: int = 1,
) -> Any:
    """Three-dimensional convolution: y[n, o, i] = b[o] + sum over c, k of x[n, c, s i + d k] W[o, c, k], i of three parts.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (O, C / groups, KD, KH, KW).
        bias: (O,).
        stride, padding, dilation, groups: as in ``conv2d``.

    Raises:
        ValueError: the shapes do not fit, or ``padding="same"`` with a stride.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv3d(np.ones((1, 2, 4, 4, 4)), np.ones((1, 2, 3, 3, 3)), padding="same")[0, 0, 0]
    array([[16., 24., 24., 16.],
           [24., 36., 36., 24.],
           [24., 36., 36., 24.],
           [16., 24., 24., 16.]])
    """
    return _convolution(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size = 0,
    output_padding: int | Size = 0,
    groups: int = 1,
    dilation: int | Size = 1,
) -> Any:
    """The transpose of a one-dimensional convolution: y[n, o, s i + d k - p] gets b[o] + sum over c of x[n, c, i] W[c, o, k].

    Args:
        input: (N, C, L) or (C, L).
        weight: (C, O / groups, K).
        bias: (O,).
        stride, padding, output_padding, groups, dilation: as in ``conv_transpose2d``.

    Raises:
        ValueError: the shapes do not fit.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv_transpose1d(np.array([[1.0, 2.0]]), np.array([[[1.0, 1.0, 1.0]]]), stride=2)
    array([[1., 1., 3., 2., 2.]])
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size = 0,
    output_padding: int | Size = 0,
    groups: int = 1,
    dilation: int | Size = 1,
) -> Any:
    """The transpose of a two-dimensional convolution, which enlarges by its stride.

    y[n, o, s i + d k - p, s j + d l - p] gets b[o] + sum over c of x[n, c, i, j] W[c, o, k, l], summed over all i, j, k, l that
    lead there.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (C, O / groups, KH, KW).
        bias: (O,).
        stride: the distance at which the input's elements are laid.
        padding: how much is cut off around the output.
        output_padding: how much is added at its lower and right edges, to choose among the sizes that a strided
            convolution maps to the input's.
        groups: into how many independent parts the channels are divided.
        dilation: the distance between the kernel's elements.

    Raises:
        ValueError: the shapes do not fit, or ``output_padding`` is not smaller than the stride or the dilation.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 2, 2)), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Size = 1,
    padding: int | Size = 0,
    output_padding: int | Size = 0,
    groups: int = 1,
    dilation: int | Size = 1,
) -> Any:
    """The transpose of a three-dimensional convolution: y[n, o, s i + d k - p] gets b[o] + sum over c of x[n, c, i] W[c, o, k].

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (C, O / groups, KD, KH, KW).
        bias: (O,).
        stride, padding, output_padding, groups, dilation: as in ``conv_transpose2d``.

    Raises:
        ValueError: the shapes do not fit.

    >>> import numpy as np, chainrule.functional as F
    >>> F.conv_transpose3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 4, 2, 2, 2)), stride=2).shape
    (1, 4, 4, 4, 4)
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def unfold(
    input: Any, kernel_size: int | Size, dilation: int | Size = 1, padding: int | Size = 0, stride: int | Size = 1
) -> Any:
    """What a window sees from each position, as columns: (N, C, H, W) to (N, C KH KW, positions); or without N.

    Args:
        input: the images.
        kernel_size: the window's rows and columns.
        dilation: the distance between its elements.
        padding: zeros around the image.
        stride: its step.

    Raises:
        ValueError: the input is no image, or smaller than the window.

    >>> import numpy as np, chainrule.functional as F
    >>> F.unfold(np.arange(6.0).reshape(1, 1, 2, 3), 2)
    array([[[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]]])
    """
    x, single = _batch(input, 2)
    window = _window(per_dimension(kernel_size, 2), stride, padding, dilation)
    _fits(window, x.shape[2:])
    seen = _unfold(x, window)
    columns = np.reshape(seen, (x.shape[0], x.shape[1] * prod(window.kernel), prod(seen.shape[4:])))
    return columns[0] if single else columns


def fold(
    input: Any,
    output_size: int | Size,
    kernel_size: int | Size,
    dilation: int | Size = 1,
    padding: int | Size = 0,
    stride: int | Size = 1,
) -> Any:
    """The transpose of ``unfold``: columns (N, C KH KW, positions) are added up to images (N, C, H, W); or without N.

    Args:
        input: the columns.
        output_size: H and W.
        kernel_size, dilation, padding, stride: as in ``unfold``.

    Raises:
        ValueError: the columns are not those of such a window.

    >>> import numpy as np, chainrule.functional as F
    >>> F.fold(np.ones((1, 4, 2)), (2, 3), 2)
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """
    size = per_dimension(output_size, 2)
    window = _window(per_dimension(kernel_size, 2), stride, padding, dilation)
    _fits(window, size)
    elements, positions = prod(window.kernel), window.output_size(size)
    if input.ndim not in (2, 3) or input.shape[-2] % elements or input.shape[-1] != prod(positions):
        raise ValueError(
            f"expected (N, C * {elements}, {prod(positions)}) or the same without N, got {input.shape}: a window of "
            f"{window.kernel} has {positions} positions in an image of {size}"
        )
    single = input.ndim == 2
    shape = (1 if single else input.shape[0], input.shape[-2] // elements, *window.kernel, *positions)
    images = _fold(np.reshape(input, shape), size, window)
    return images[0] if single else images


# ---- arguments ------------------------------------------------------------------------------------------


def _convolution(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: int | Size,
    padding: int | Size | str,
    dilation: int | Size,
    groups: int,
) -> Any:
    options = [m if isinstance(m, (int, str, tuple)) else tuple(m) for m in (stride, padding, dilation)]
    window = _checked(n, input.shape, weight.shape, *options, groups)
    if input.ndim == n + 1:
        return _convolve(input[None], weight, bias, window, groups)[0]
    return _convolve(input, weight, bias, window, groups)


@lru_cache(1024)
def _checked(n: int, shape: Size, weight: Size, stride: Any, padding: Any, dilation: Any, groups: int) -> Window:
    """The window, by which images and a weight of these shapes fit together."""
    _require(shape, n, weight, weight[1] * groups if len(weight) > 1 else None)
    window = _window(weight[2:], stride, padding, dilation)
    if weight[0] % groups:
        raise ValueError(f"the {weight[0]} output channels cannot be divided into {groups} groups")
    _fits(window, shape[-n:])
    return window


def _transposed(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: int | Size,
    padding: int | Size,
    output_padding: int | Size,
    groups: int,
    dilation: int | Size,
) -> Any:
    x, single = _batch(input, n, weight, weight.shape[0])
    window = _window(weight.shape[2:], stride, padding, dilation)
    if weight.shape[0] % groups:
        raise ValueError(f"the {weight.shape[0]} input channels cannot be divided into {groups} groups")
    added = per_dimension(output_padding, n)
    if any(a >= max(s, d) for a, s, d in zip(added, window.stride, window.dilation, strict=True)):
        raise ValueError(
            f"output_padding {added} must be smaller than either the stride {window.stride} or the dilation {window.dilation}"
        )
    size = tuple(
        (m - 1) * s - sum(p) + span + a
        for m, s, p, span, a in zip(x.shape[2:], window.stride, window.padding, window.span, added, strict=True)
    )
    if min(size) < 1:
        raise ValueError(f"with padding {padding} nothing is left of the output of an image of {x.shape[2:]}: {size}")
    if any(a >= s for a, s in zip(added, window.stride, strict=True)):
        # the window would have further positions in an image of that size. What is added is cut off from the padding after the
        # image, as far as that reaches, and zeros beyond
        ends = [(before, after - a) for (before, after), a in zip(window.padding, added, strict=True)]
        cut = window._replace(padding=tuple((before, max(after, 0)) for before, after in ends))
        zeros = [max(-after, 0) for _, after in ends]
        covered = tuple(m - zero for m, zero in zip(size, zeros, strict=True))
        y = np.pad(_convolve_input(x, weight, None, covered, cut, groups), [(0, 0), (0, 0), *((0, zero) for zero in zeros)])
        y = y if bias is None else y + np.reshape(bias, (-1, *(1 for _ in size)))
    else:
        y = _convolve_input(x, weight, bias, size, window, groups)
    return y[0] if single else y


def _window(kernel: Size, stride: int | Size, padding: int | Size | str, dilation: int | Size) -> Window:
    n = len(kernel)
    stride, dilation = per_dimension(stride, n), per_dimension(dilation, n)
    if padding == "same":
        if set(stride) != {1}:
            raise ValueError(f"padding='same' needs stride 1, not {stride}")
        around = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return Window(kernel, stride, tuple((m // 2, m - m // 2) for m in around), dilation)
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        raise ValueError(f"padding is a number, one for each dimension, 'same' or 'valid', not {padding!r}")
    return Window(kernel, stride, tuple((m, m) for m in per_dimension(padding, n)), dilation)


def _batch(x: Any, n: int, weight: Any = None, channels: int | None = None) -> tuple[Any, bool]:
    """``x`` with a batch's axis, and whether it had none; of ``channels`` channels, if given."""
    _require(x.shape, n, None if weight is None else weight.shape, channels)
    return (x[None], True) if x.ndim == n + 1 else (x, False)


def _require(shape: Size, n: int, weight: Size | None, channels: int | None) -> None:
    """Check that images of ``channels`` channels, and a weight, may be of these shapes."""
    dimensions = len(shape)
    if weight is not None and len(weight) != n + 2:
        raise ValueError(f"expected a weight of {n + 2} dimensions, got {weight}")
    if dimensions not in (n + 1, n + 2) or (channels is not None and shape[-n - 1] != channels):
        expected = f"({'C' if channels is None else channels}, {_AXES[n]})"
        message = f"expected (N, {expected[1:]} or {expected}, got {shape}"
        if dimensions in (n + 1, n + 2):
            message += f": axis {dimensions - n - 1} has {shape[-n - 1]} != in_channels {channels}"
            if shape[-1] == channels:
                axes = (*range(dimensions - n - 1), dimensions - 1, *range(dimensions - n - 1, dimensions - 1))
                message += (
                    f"; this looks like {'N' * (dimensions == n + 2)}{_AXES[n].replace(', ', '')}C; use x.transpose{axes}"
                )
        raise ValueError(message)


def _fits(window: Window, size: Size) -> None:
    if min(window.output_size(size)) < 1:
        raise ValueError(f"the kernel covers {window.span} and does not fit into the image {size} with its padding")


# ---- what is differentiated -----------------------------------------------------------------------------


@primitive
def _convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    return kernel.convolve(x, weight, bias, window, groups)


@primitive
def _convolve_input(g: Array, weight: Array, bias: Array | None, size: Size, window: Window, groups: int) -> Array:
    return kernel.convolve_input(g, weight, bias, size, window, groups)


@primitive
def _convolve_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    return kernel.convolve_weight(x, g, window, groups)


@primitive
def _unfold(x: Array, window: Window) -> Array:
    return kernel.unfold(x, window)


@primitive
def _fold(columns: Array, size: Size, window: Window) -> Array:
    return kernel.fold(columns, size, window)


def _bias_gradient(g: Any) -> Any:
    return kernel.channel_sums(g) if is_native(g) else np.sum(g, axis=(0, *range(2, g.ndim)))


# each of the three is linear in both its arguments, and its derivatives are the other two
define_rule(
    _convolve,
    x=lambda g, weight, x_shape, window, groups: _convolve_input(g, weight, None, x_shape[2:], window, groups),
    weight=lambda g, x, window, groups: _convolve_weight(x, g, window, groups),
    bias=_bias_gradient,
)
define_rule(
    _convolve_input,
    ignores=("size",),
    g=lambda gg, weight, window, groups: _convolve(gg, weight, None, window, groups),
    weight=lambda gg, g, window, groups: _convolve_weight(gg, g, window, groups),
    bias=_bias_gradient,
)
define_rule(
    _convolve_weight,
    linear="separately",
    x=lambda gg, g, x_shape, window, groups: _convolve_input(g, gg, None, x_shape[2:], window, groups),
    g=lambda gg, x, window, groups: _convolve(x, gg, None, window, groups),
)
define_rule(_unfold, linear="jointly", x=lambda g, x_shape, window: _fold(g, x_shape[2:], window))
define_rule(_fold, linear="jointly", ignores=("size",), columns=lambda g, window: _unfold(g, window))
