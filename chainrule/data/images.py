"""Images that stay bytes in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .dataset import TensorDataset


class ImageDataset(TensorDataset):
    """Images of bytes with their labels: what is asked for comes as float32 in [0, 1].

    ``images`` and ``labels`` are the arrays as they were given.

    Args:
        images: uint8 of shape ``(N, ...)``.
        labels: of shape ``(N, ...)``.

    Raises:
        TypeError: the images are not of dtype uint8.
        ValueError: the lengths differ.

    >>> import numpy as np
    >>> ImageDataset(np.array([[0, 51, 255]], np.uint8), np.array([7]))[0]
    (array([0. , 0.2, 1. ], dtype=float32), np.int64(7))
    """

    def __init__(self, images: Array, labels: Array):
        super().__init__(images, labels)
        self.images, self.labels = self.arrays
        if self.images.dtype != np.uint8:
            raise TypeError(f"ImageDataset keeps images as uint8, not {self.images.dtype}; use TensorDataset for others")

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        images, labels = super().__getitem__(index)
        return images / _WHITE, labels

    def batch(self, indices: Array | slice) -> tuple[Any, Any]:
        """The images at ``indices`` as float32 in [0, 1], and their labels."""
        images, labels = super().batch(indices)
        return images / _WHITE, labels


_WHITE = np.float32(255)
