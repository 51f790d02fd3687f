"""All parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.variable import Variable, plain


def parameters_to_vector(parameters: Iterable[Variable]) -> Any:
    """The elements of all parameters in a row, as one Variable.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import nn
    >>> vector = nn.utils.parameters_to_vector([cr.Parameter(np.ones((2, 2))), cr.Parameter(np.zeros(1))])
    >>> vector.data
    array([1., 1., 1., 1., 0.])
    """
    return np.concatenate([np.ravel(p) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Variable]) -> None:
    """Copy the elements of a vector into parameters, one after the other.

    Raises:
        ValueError: they are not as many.
    """
    values, chosen = plain(vec), list(parameters)
    total = sum(p.size for p in chosen)
    if values.shape != (total,):
        raise ValueError(f"vector_to_parameters: a vector of shape {values.shape} for {total} elements")
    start = 0
    for p in chosen:
        p.data[...] = values[start : start + p.size].reshape(p.shape)
        p.data = p.data  # tells the tape
        start += p.size
