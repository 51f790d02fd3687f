"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..random import drawn, generator


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each element to zero with probability ``p``, and divide the others by 1 - p; without ``training``, do nothing.

    Raises:
        ValueError: ``p`` is not between 0 and 1.

    Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.dropout(np.ones(6), 0.5)
    array([2., 2., 2., 0., 0., 0.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"a probability is between 0 and 1, not {p}")
    if not training or p == 0:
        return input
    if p == 1:
        return input * input.dtype.type(0)
    kept = drawn(lambda size: generator().random(size, np.float32), input.shape) >= p
    return input * (kept * input.dtype.type(1 / (1 - p)))
