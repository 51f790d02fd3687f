"""Layers of convolution, its transpose, and the windows that it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from ..kernels.window import Size, per_dimension
from . import init
from .module import Module

_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's names, and NumPy's


class _Convolution(Module):
    """What the layers below have in common: their arguments, and the initial values."""

    dimensions: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size,
        padding: int | Size | str,
        dilation: int | Size,
        groups: int,
        bias: bool,
        padding_mode: str,
    ):
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} input and {out_channels} output channels cannot be divided into {groups} groups")
        n = self.dimensions
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = per_dimension(kernel_size, n), per_dimension(stride, n)
        self.padding: Any = padding if isinstance(padding, str) else per_dimension(padding, n)
        self.dilation, self.padding_mode = per_dimension(dilation, n), padding_mode
        self.output_padding = (0,) * n
        channels = self.weight_channels()
        self.weight = Parameter(np.empty((channels[0], channels[1] // groups, *self.kernel_size), np.float32))
        self.bias = Parameter(np.empty(out_channels, np.float32)) if bias else None
        self.reset_parameters()

    def weight_channels(self) -> tuple[int, int]:
        """The weight's first two axes, before they are divided into groups."""
        return self.out_channels, self.in_channels

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros, ones = (0,) * self.dimensions, (1,) * self.dimensions
        defaults = {"padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1}
        options = {name: getattr(self, name) for name, value in defaults.items() if getattr(self, name) != value}
        options |= {"bias": False} if self.bias is None else {}
        options |= {"padding_mode": self.padding_mode} if self.padding_mode != "zeros" else {}
        return ", ".join([text, *(f"{name}={value}" for name, value in options.items())])


class _Forward(_Convolution):
    """Convolution, with what lies around the image as ``padding_mode`` says."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size | str = 0,
        dilation: int | Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ):
        if padding_mode not in ("zeros", *_PAD_MODES):
            raise ValueError(f"padding_mode is 'zeros', {', '.join(map(repr, _PAD_MODES))}, not {padding_mode!r}")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)

    def forward(self, input: Any) -> Any:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dimensions - 1]
        padding: int | Size | str = self.padding
        if self.padding_mode != "zeros":
            widths = [(0, 0)] * (input.ndim - self.dimensions) + self._widths()
            input, padding = np.pad(input, widths, mode=_PAD_MODES[self.padding_mode]), 0  # type: ignore[call-overload]
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[tuple[int, int]]:
        if self.padding == "same":
            around = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [(n // 2, n - n // 2) for n in around]
        return [(n, n) for n in per_dimension(0 if isinstance(self.padding, str) else self.padding, self.dimensions)]


class Conv1d(_Forward):
    """One-dimensional convolution; see ``functional.conv1d`` for the formula, and ``Conv2d`` for the arguments.

    Shapes: input (N, C, L) or (C, L), output (N, O, OL) or (O, OL), weight (O, C / groups, K).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Conv1d(3, 8, 3, padding="same")(np.zeros((2, 3, 7), np.float32)).shape
    (2, 8, 7)
    """

    dimensions = 1


class Conv2d(_Forward):
    """Two-dimensional convolution; see ``functional.conv2d`` for the formula.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        stride: the window's step.
        padding: how much is added around the image; or ``"same"``, ``"valid"``.
        dilation: the distance between the kernel's elements.
        groups: into how many independent parts the channels are divided.
        bias: whether a number for each output channel is added.
        padding_mode: what is added: ``"zeros"``, the image mirrored (``"reflect"``), its edge (``"replicate"``), or the image
            again (``"circular"``).

    Shapes: input (N, C, H, W) or (C, H, W), output (N, O, OH, OW) or (O, OH, OW), weight (O, C / groups, KH, KW).

    Raises:
        ValueError: the channels cannot be divided into ``groups``, or ``padding_mode`` is unknown.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Conv2d(3, 8, 3, padding=1)(np.zeros((2, 3, 7, 9), np.float32)).shape
    (2, 8, 7, 9)
    """

    dimensions = 2


class Conv3d(_Forward):
    """Three-dimensional convolution; see ``functional.conv3d`` for the formula, and ``Conv2d`` for the arguments.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), output the same with O and its own size, weight (O, C / groups, KD, KH, KW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Conv3d(1, 2, 3, stride=2)(np.zeros((1, 1, 5, 7, 9), np.float32)).shape
    (1, 2, 2, 3, 4)
    """

    dimensions = 3


class _Transposed(_Convolution):
    """The transpose of a convolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size,
        stride: int | Size = 1,
        padding: int | Size = 0,
        output_padding: int | Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Size = 1,
        padding_mode: str = "zeros",
    ):
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__} has only padding_mode='zeros', not {padding_mode!r}")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        self.output_padding = per_dimension(output_padding, self.dimensions)

    def weight_channels(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.dimensions - 1]
        added = self.output_padding if output_size is None else self._added(input, output_size)
        return transposed(input, self.weight, self.bias, self.stride, self.padding, added, self.groups, self.dilation)

    def _added(self, input: Any, output_size: Sequence[int]) -> Size:
        """The output padding that leads to ``output_size``."""
        n = self.dimensions
        wanted = tuple(output_size)[-n:] if len(output_size) in (n, input.ndim) else ()
        settings = zip(input.shape[-n:], self.stride, self.padding, self.kernel_size, self.dilation, strict=True)
        least = tuple((m - 1) * s - 2 * p + d * (k - 1) + 1 for m, s, p, k, d in settings)
        most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
        if len(wanted) != n or not all(a <= m <= b for a, m, b in zip(least, wanted, most, strict=True)):
            raise ValueError(f"an input of {input.shape} has output sizes from {least} to {most}, not {tuple(output_size)}")
        return tuple(m - a for a, m in zip(least, wanted, strict=True))


class ConvTranspose1d(_Transposed):
    """The transpose of a one-dimensional convolution; see ``functional.conv_transpose1d``, and ``ConvTranspose2d``.

    Shapes: input (N, C, L) or (C, L), output (N, O, OL) or (O, OL), weight (C, O / groups, K).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConvTranspose1d(3, 8, 4, stride=2, padding=1)(np.zeros((2, 3, 7), np.float32)).shape
    (2, 8, 14)
    """

    dimensions = 1


class ConvTranspose2d(_Transposed):
    """The transpose of a two-dimensional convolution; see ``functional.conv_transpose2d`` for the formula.

    ``forward`` also takes ``output_size``, H and W of the output, from which it finds ``output_padding``.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        stride: the distance at which the input's elements are laid.
        padding: how much is cut off around the output.
        output_padding: how much is added at its lower and right edges.
        groups: into how many independent parts the channels are divided.
        bias: whether a number for each output channel is added.
        dilation: the distance between the kernel's elements.
        padding_mode: ``"zeros"``; there is no other.

    Shapes: input (N, C, H, W) or (C, H, W), output (N, O, OH, OW) or (O, OH, OW), weight (C, O / groups, KH, KW).

    Raises:
        ValueError: the channels cannot be divided into ``groups``, or ``output_size`` cannot be reached.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(np.zeros((1, 8, 5, 6), np.float32)).shape
    (1, 4, 10, 12)
    """

    dimensions = 2


class ConvTranspose3d(_Transposed):
    """The transpose of a three-dimensional convolution; see ``functional.conv_transpose3d``, and ``ConvTranspose2d``.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), output the same with O and its own size, weight (C, O / groups, KD, KH, KW).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConvTranspose3d(2, 1, 2, stride=2)(np.zeros((1, 2, 3, 4, 5), np.float32)).shape
    (1, 1, 6, 8, 10)
    """

    dimensions = 3


class Unfold(Module):
    """What a window sees from each position, as columns; arguments as ``functional.unfold``.

    Shapes: (N, C, H, W) to (N, C KH KW, positions), or both without N.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Unfold(3, padding=1)(np.zeros((1, 2, 4, 4), np.float32)).shape
    (1, 18, 16)
    """

    def __init__(self, kernel_size: int | Size, dilation: int | Size = 1, padding: int | Size = 0, stride: int | Size = 1):
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns added up to images, the transpose of ``Unfold``; arguments as ``functional.fold``.

    Shapes: (N, C KH KW, positions) to (N, C, H, W), or both without N.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Fold((4, 4), 3, padding=1)(np.zeros((1, 18, 16), np.float32)).shape
    (1, 2, 4, 4)
    """

    def __init__(
        self,
        output_size: int | Size,
        kernel_size: int | Size,
        dilation: int | Size = 1,
        padding: int | Size = 0,
        stride: int | Size = 1,
    ):
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
