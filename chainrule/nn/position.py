"""Positions as layers; their formulas are in ``functional``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..functional.position import frequencies, rotate
from .module import Module


class SinusoidalPositions(Module):
    """Add waves to each position's elements; see ``functional.sinusoidal_positions``.

    Args:
        dim: E.
        max_length: how many positions there are.
        base: sets the slowest wave.

    Shapes: (..., T, E), in and out, with T at most ``max_length``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.SinusoidalPositions(4)(np.zeros((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, max_length: int = 5000, base: float = 10000.0):
        self.dim, self.max_length, self.base = dim, max_length, base
        self._table = F.sinusoidal_positions(max_length, dim, base)

    def forward(self, input: Any) -> Any:
        length = _length(input, self.dim, self.max_length)
        return input + self._table[:length].astype(input.dtype, copy=False)

    def extra_repr(self) -> str:
        return f"{self.dim}, max_length={self.max_length}, base={self.base}"


class RotaryPositions(Module):
    """Turn pairs of elements of queries or keys by their position; see ``functional.rotary_positions``.

    Args:
        dim: E, of one head.
        max_length: how many positions there are.
        base: sets the slowest pair's speed.
        interleaved: whether the i-th pair is of the elements 2i and 2i+1, or of i and i + E/2.

    Shapes: (..., T, E), in and out. Called with ``offset``, the first position is that one, as where keys of earlier positions
    are kept.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.RotaryPositions(8)(np.zeros((2, 4, 3, 8), np.float32)).shape
    (2, 4, 3, 8)
    """

    def __init__(self, dim: int, max_length: int = 4096, base: float = 10000.0, interleaved: bool = True):
        self.dim, self.max_length, self.base, self.interleaved = dim, max_length, base, interleaved
        angles = np.arange(max_length)[:, None] * frequencies(dim, base)
        self._cos, self._sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def forward(self, input: Any, offset: int = 0) -> Any:
        end = offset + _length(input, self.dim, self.max_length - offset)
        cos, sin = (table[offset:end].astype(input.dtype, copy=False) for table in (self._cos, self._sin))
        return rotate(input, cos, sin, self.interleaved)

    def extra_repr(self) -> str:
        return f"{self.dim}, max_length={self.max_length}, base={self.base}, interleaved={self.interleaved}"


def _length(input: Any, dim: int, longest: int) -> int:
    """T, of an input (..., T, dim)."""
    if input.ndim < 2 or input.shape[-1] != dim or input.shape[-2] > longest:
        raise ValueError(f"expected (..., T, {dim}) with T at most {longest}, got {input.shape}")
    return int(input.shape[-2])
