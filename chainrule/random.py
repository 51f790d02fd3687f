"""The generator that initialisation, dropout and shuffling draw from."""

from __future__ import annotations

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The generator in use. A draw from it holds its own lock, so that threads may share it."""
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew from ``seed``, so that what follows is the same in each run; returns it.

    >>> import chainrule as cr
    >>> cr.random.manual_seed(0).integers(10, size=3)
    array([8, 6, 5])
    """
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator
