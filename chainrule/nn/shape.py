"""Layers that change the shape alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .module import Module


class Flatten(Module):
    """Make one axis of the axes from ``start_dim`` to ``end_dim``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Flatten()(np.zeros((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        start, end = self.start_dim % input.ndim, self.end_dim % input.ndim
        shape = input.shape
        return np.reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
