"""Digits: 1,797 images of 8 x 8 pixels, in ten classes, that scikit-learn carries (Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dataset import TensorDataset


class Digits(NamedTuple):
    """Both parts of the data set, and the names of the classes."""

    train: TensorDataset
    test: TensorDataset
    classes: tuple[str, ...]


def digits() -> Digits:
    """Load the digits: float32 in [0, 1] of shape (N, 1, 8, 8), labels int64 of shape (N,).

    The first 1,437 are for training, the last 360 for testing: the order is that of writers, so that most of those in the
    test wrote nothing that was trained on.

    Raises:
        ImportError: scikit-learn, which carries them, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install 'chainrule[sklearn]'") from error
    bunch = load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    train, test = (TensorDataset(images[part], labels[part]) for part in (slice(0, 1437), slice(1437, None)))
    return Digits(train, test, tuple("0123456789"))
