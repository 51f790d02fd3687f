"""Two-dimensional convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive
from ..kernels import convolution as kernel
from ..kernels.window import Pair, Window

IntOrPair = int | Pair


def pair(value: IntOrPair) -> Pair:
    """A number for rows and columns alike, or one for each."""
    if isinstance(value, int):
        return value, value
    rows, columns = value
    return rows, columns


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Any:
    """Two-dimensional convolution: y[n, o, i, j] = b[o] + sum over c, k, l of x[n, c, s i + d k, s j + d l] W[o, c, k, l].

    Args:
        input: (N, C, H, W); fastest where the memory is channels-last, as this function's results are.
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
    stride, dilation = pair(stride), pair(dilation)
    window = Window(weight.shape[2:], stride, _padding(padding, weight.shape[2:], stride, dilation), dilation)
    _check(input, weight, groups, window)
    return _conv2d(input, weight, bias, window, groups)


def _padding(padding: IntOrPair | str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    if padding == "valid":
        padding = 0
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"padding='same' needs stride 1, not {stride}")
        rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    if isinstance(padding, str):
        raise ValueError(f"padding is a number, a pair, 'same' or 'valid', not {padding!r}")
    rows, columns = pair(padding)
    return (rows, rows), (columns, columns)


def _check(input: Any, weight: Any, groups: int, window: Window) -> None:
    channels = weight.shape[1] * groups
    if input.ndim != 4 or input.shape[1] != channels:
        message = f"expected (N, {channels}, H, W), got {input.shape}"
        if input.ndim == 3:
            message += "; use x[None] for one image"
        elif input.ndim == 4:
            message += f": axis 1 has {input.shape[1]} != in_channels {channels}"
            if input.shape[3] == channels:
                message += "; this looks like NHWC; use x.transpose(0, 3, 1, 2)"
        raise ValueError(message)
    if weight.shape[0] % groups:
        raise ValueError(f"the {weight.shape[0]} output channels cannot be divided into {groups} groups")
    if min(window.output_size(input.shape[2:])) < 1:
        raise ValueError(f"the kernel covers {window.span} and does not fit into the image {input.shape[2:]} with its padding")


@primitive
def _conv2d(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    return kernel.conv2d(x, weight, bias, window, groups)


@primitive
def _conv2d_input(g: Array, weight: Array, size: Pair, window: Window, groups: int) -> Array:
    return kernel.conv2d_input(g, weight, size, window, groups)


@primitive
def _conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    return kernel.conv2d_weight(x, g, window, groups)


# each of the three is linear in both its arguments, and its derivatives are the other two
define_rule(
    _conv2d,
    x=lambda g, weight, x_shape, window, groups: _conv2d_input(g, weight, x_shape[2:], window, groups),
    weight=lambda g, x, window, groups: _conv2d_weight(x, g, window, groups),
    bias=lambda g: np.sum(g, axis=(0, 2, 3)),
)
define_rule(
    _conv2d_input,
    linear="separately",
    ignores=("size",),
    g=lambda gg, weight, window, groups: _conv2d(gg, weight, None, window, groups),
    weight=lambda gg, g, window, groups: _conv2d_weight(gg, g, window, groups),
)
define_rule(
    _conv2d_weight,
    linear="separately",
    x=lambda gg, g, x_shape, window, groups: _conv2d_input(g, gg, x_shape[2:], window, groups),
    g=lambda gg, x, window, groups: _conv2d(x, gg, None, window, groups),
)
