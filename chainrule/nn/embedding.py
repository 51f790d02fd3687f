"""Tables of vectors."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from .. import functional as F
from ..core.arrays import Array
from ..core.variable import Parameter, Variable
from . import init
from .module import Module


class _Table(Module):
    """What ``Embedding`` and ``EmbeddingBag`` share: the vectors."""

    _defaults: ClassVar[dict[str, Any]]  # of what ``repr`` shows, where it is another

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Array | None,
    ):
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx {padding_idx} is not an index; num_embeddings is {num_embeddings}")
        if weight is not None and weight.shape != (num_embeddings, embedding_dim):
            raise ValueError(f"expected vectors of shape ({num_embeddings}, {embedding_dim}), got {weight.shape}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32) if weight is None else weight)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, **options: Any) -> Self:
        """Make a layer of given vectors, (num_embeddings, embedding_dim); ``freeze`` for such as are not trained.

        >>> import numpy as np
        >>> from chainrule import nn
        >>> nn.Embedding.from_pretrained(np.eye(3))(np.array([2])).data
        array([[0., 0., 1.]])
        """
        if embeddings.ndim != 2:
            raise ValueError(f"expected vectors (num_embeddings, embedding_dim), got {embeddings.shape}")
        vectors = embeddings.data if isinstance(embeddings, Variable) else np.asarray(embeddings)
        layer = cls(*vectors.shape, _weight=vectors, **options)  # type: ignore[call-arg]
        layer.weight.requires_grad = not freeze
        return layer

    def extra_repr(self) -> str:
        options = [f"{k}={getattr(self, k)!r}" for k, value in self._defaults.items() if getattr(self, k) != value]
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *options])


class Embedding(_Table):
    """A vector for each index: y[...] = weight[input[...]].

    Args:
        num_embeddings: how many vectors.
        embedding_dim: how long they are.
        padding_idx: an index whose vector is zero and is not trained.
        max_norm: vectors that are looked up and whose norm is larger are shortened to it.
        norm_type: the p of that norm.
        scale_grad_by_freq: whether a vector's gradient is divided by how often it is looked up.
        sparse: there are no sparse gradients here, so False.

    Shapes: integers (...) to (..., embedding_dim).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.Embedding(10, 4)(np.array([[1, 2], [3, 9]])).shape
    (2, 2, 4)
    """

    _defaults: ClassVar = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False}

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Array | None = None,
        _freeze: bool = False,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight)
        self.weight.requires_grad = not _freeze

    def forward(self, input: Any) -> Any:
        options = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return F.embedding(input, self.weight, *options)


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors of each bag of indices; see ``functional.embedding_bag``.

    Args:
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse: as of ``Embedding``.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        include_last_offset: whether the offsets have the end of the last bag too.
        padding_idx: an index that is passed over.

    Shapes: integers (B, K), or (rows,) with offsets (B,), to (B, embedding_dim).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.EmbeddingBag(10, 4)(np.array([1, 2, 3, 9]), np.array([0, 1, 1])).shape
    (3, 4)
    """

    _defaults: ClassVar = {"max_norm": None, "norm_type": 2, "scale_grad_by_freq": False, "mode": None, "padding_idx": None}

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Array | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ):
        self.mode, self.include_last_offset = mode, include_last_offset
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight)

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
