"""Layers that change the resolution."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module


class Upsample(Module):
    """Resample to another size; arguments as ``functional.interpolate``.

    Shapes: (N, C, L), (N, C, H, W) or (N, C, D, H, W); the output's last axes are of ``size``, or ``scale_factor`` as long.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Upsample(scale_factor=2, mode="bilinear")(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.scale_factor = tuple(map(float, scale_factor)) if isinstance(scale_factor, tuple) else scale_factor
        if isinstance(scale_factor, int):
            self.scale_factor = float(scale_factor)
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resample images by the nearest pixel: ``Upsample`` with that mode.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.UpsamplingNearest2d(scale_factor=2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: int | tuple[int, int] | None = None, scale_factor: float | tuple[float, float] | None = None):
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Resample images bilinearly, corners upon corners: ``Upsample`` with that mode and ``align_corners``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.UpsamplingBilinear2d(scale_factor=2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: int | tuple[int, int] | None = None, scale_factor: float | tuple[float, float] | None = None):
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Module):
    """Make channels the pixels of a larger image; see ``functional.pixel_shuffle`` for the formula.

    Shapes: (..., C r^2, H, W) to (..., C, H r, W r), where r is ``upscale_factor``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.PixelShuffle(2)(np.zeros((1, 8, 4, 5))).shape
    (1, 2, 8, 10)
    """

    def __init__(self, upscale_factor: int):
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Make the pixels of each square channels: the inverse of ``PixelShuffle``.

    Shapes: (..., C, H r, W r) to (..., C r^2, H, W), where r is ``downscale_factor``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.PixelUnshuffle(2)(np.zeros((1, 2, 8, 10))).shape
    (1, 8, 4, 5)
    """

    def __init__(self, downscale_factor: int):
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Mix the channels of several groups; see ``functional.channel_shuffle`` for the formula.

    Shapes: (N, C, ...), in and out.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ChannelShuffle(2)(np.zeros((1, 8, 4, 5))).shape
    (1, 8, 4, 5)
    """

    def __init__(self, groups: int):
        self.groups = groups

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
