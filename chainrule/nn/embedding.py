"""Tables of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from . import init
from .module import Module


class Embedding(Module):
    """A vector for each index: y[...] = weight[input[...]].

    Args:
        num_embeddings: how many vectors.
        embedding_dim: how long they are.
        padding_idx: an index whose vector is zero and is not trained.

    Shapes: integers (...) to (..., embedding_dim).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Embedding(10, 4)(np.array([[1, 2], [3, 9]])).shape
    (2, 2, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx {padding_idx} is not an index; num_embeddings is {num_embeddings}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input: Any) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
