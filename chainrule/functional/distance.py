"""How far vectors are from each other, and how nearly they point the same way."""

from __future__ import annotations

from typing import Any

import numpy as np


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Distance of vectors: the p-norm of x1 - x2 + eps along the last axis.

    Args:
        x1: (..., D).
        x2: (..., D), broadcast with ``x1``.
        p: of the norm.
        eps: added to each difference.
        keepdim: whether the last axis stays, with length 1.

    >>> import numpy as np, chainrule.functional as F
    >>> F.pairwise_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), eps=0.0)
    array([5.])
    """
    return np.linalg.vector_norm(x1 - x2 + eps, ord=p, axis=-1, keepdims=keepdim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """Distances between all pairs of rows: the p-norm of x_i - x_j for i < j, in the order (0, 1), (0, 2), ... (1, 2) ...

    Args:
        input: (N, M).
        p: of the norm, from 0 (how many elements differ) to infinity.

    Returns:
        (N (N - 1) / 2,).

    Raises:
        ValueError: the input is no matrix, or p is negative.

    >>> import numpy as np, chainrule.functional as F
    >>> F.pdist(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    array([5.        , 1.        , 4.24264069])
    """
    if input.ndim != 2 or p < 0:
        raise ValueError(f"pdist: expected (N, M) and a p of at least 0, got {input.shape} and {p}")
    i, j = np.triu_indices(input.shape[0], 1)
    return np.linalg.vector_norm(input[i] - input[j], ord=p, axis=-1)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)).

    Args:
        x1: vectors along ``dim``.
        x2: likewise, broadcast with ``x1``.
        dim: the axis, after broadcasting.
        eps: the least length that is divided by.

    >>> import numpy as np, chainrule.functional as F
    >>> F.cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 2.0]]))
    array([0.70710678])
    """
    x1, x2 = np.broadcast_arrays(x1, x2)
    lengths = [np.maximum(np.linalg.vector_norm(x, axis=dim), eps) for x in (x1, x2)]
    return np.sum(x1 * x2, axis=dim) / (lengths[0] * lengths[1])
