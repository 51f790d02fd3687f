"""Distance and similarity as layers; their formulae are in ``functional``."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module


class PairwiseDistance(Module):
    """Distance of vectors along the last axis: the p-norm of x1 - x2 + eps; arguments as ``functional.pairwise_distance``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.PairwiseDistance(eps=0.0)(np.array([[3.0, 4.0]]), np.zeros((1, 2)))
    array([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Cosine of the angle between vectors along ``dim``; arguments as ``functional.cosine_similarity``.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[2.0, 2.0]]))
    array([0.70710678])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
