"""Layers that change the shape alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class Unflatten(Module):
    """Make several axes of one: the inverse of ``Flatten``.

    Args:
        dim: the axis.
        unflattened_size: the lengths of the axes that take its place; one of them may be -1, for what is left.

    Raises:
        ValueError: the axis has not so many elements.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Unflatten(1, (3, -1))(np.zeros((2, 12, 5))).shape
    (2, 3, 4, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        axis, sizes, length = self.dim % input.ndim, self.unflattened_size, input.shape[self.dim]
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) > 1 or (length % known if known and -1 in sizes else length != known):
            raise ValueError(f"axis {self.dim} of {input.shape} has {length} elements, which are not {sizes}")
        sizes = tuple(length // known if n == -1 else n for n in sizes)
        return np.reshape(input, (*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
