"""Batching of products of matrices and tensors: as few and as large products as the arguments allow."""

from __future__ import annotations

from math import prod
from string import ascii_letters
from typing import Any

import numpy as np

from ..calculus import linear_algebra
from ..core.batched import Batched, Level
from ..kernels.matmul import Terms
from .calls import aligned, batches


@batches(np.matmul)
def _matmul(level: Level, x: Any, y: Any, **kwargs: Any) -> Any:
    if not (isinstance(y, Batched) and y.mapped) and np.ndim(y) <= 2 <= x.ndim + 1:  # one product over all rows
        y = y.inner if isinstance(y, Batched) else y
        rows = x.shape[:-1]
        made = np.matmul(np.reshape(x.inner, (level.size * prod(rows), x.shape[-1])), y, **kwargs)
        return np.reshape(made, (level.size, *rows, *np.shape(y)[1:]))
    if not (isinstance(x, Batched) and x.mapped) and y.ndim == 1 and np.ndim(x) <= 2:
        x = x.inner if isinstance(x, Batched) else x
        return np.matmul(y.inner, np.transpose(x), **kwargs)
    vectors = [np.ndim(x) == 1, np.ndim(y) == 1]
    x = np.expand_dims(x, -2) if vectors[0] else x
    y = np.expand_dims(y, -1) if vectors[1] else y
    ndim = max(np.ndim(x), np.ndim(y))
    made = np.matmul(aligned(x, ndim, level), aligned(y, ndim, level), **kwargs)
    dropped = tuple(axis for axis, is_vector in zip((-2, -1), vectors, strict=True) if is_vector)
    return np.squeeze(made, dropped) if dropped else made


@batches(linear_algebra._contract)
def _contract(level: Level, x: Any, y: Any, terms: Terms) -> Any:
    examples = next(c for c in ascii_letters if c not in "".join(terms))
    mapped = [isinstance(a, Batched) and a.level is level and a.mapped for a in (x, y)]
    inners = [a.inner if isinstance(a, Batched) and a.level is level else a for a in (x, y)]
    of_x, of_y = (examples + term if is_mapped else term for term, is_mapped in zip(terms[:2], mapped, strict=True))
    return linear_algebra._contract(*inners, (of_x, of_y, examples + terms[2]))
