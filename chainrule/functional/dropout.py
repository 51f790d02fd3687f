"""Dropout: of elements, of whole channels, and such that mean and variance stay those of a self-normalising network.

``inplace`` is accepted and changes nothing: the result is a new array all the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive
from ..kernels import dropout as kernels
from ..kernels.layer import kernel
from ..random import drawn, generator


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Set each element to zero with probability ``p``, and divide the others by 1 - p; without ``training``, do nothing.

    The mask, a byte for each element, is the same for any number of threads.

    Raises:
        ValueError: ``p`` is not between 0 and 1.

    Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.dropout(np.ones(6), 0.5)
    array([2., 2., 2., 0., 0., 0.])
    """
    _check_probability(p)
    if not training or p == 0:
        return input
    return _masked(input, _kept(input.shape, p), 1 / (1 - p) if p < 1 else 1.0)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: of (N, C, L), or of (C, L). Arguments as ``dropout``.

    Raises:
        ValueError: the input has another number of axes.

    Source: J. Tompson et al., Efficient Object Localization Using Convolutional Networks (2014).

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.dropout1d(np.ones((3, 2)), 0.5)
    array([[2., 2.],
           [2., 2.],
           [2., 2.]])
    """
    return _of_channels(input, p, training, "dropout1d", {2: 1, 3: 2})


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: of (N, C, H, W), or of (N, C, L). Arguments as ``dropout``, errors as ``dropout1d``.

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.dropout2d(np.ones((1, 4, 1, 1)), 0.5)[0, :, 0, 0]
    array([2., 2., 2., 0.])
    """
    return _of_channels(input, p, training, "dropout2d", {3: 2, 4: 2})


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: of (N, C, D, H, W), or of (C, D, H, W). Arguments as ``dropout``, errors as ``dropout1d``.

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.dropout3d(np.ones((4, 1, 1, 1)), 0.5)[:, 0, 0, 0]
    array([2., 2., 2., 0.])
    """
    return _of_channels(input, p, training, "dropout3d", {4: 1, 5: 2})


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout to the value that SELU saturates at, and then the affine map that keeps mean 0 and variance 1.

    Arguments as ``dropout``.

    Source: G. Klambauer et al., Self-Normalizing Neural Networks (2017).

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.alpha_dropout(np.ones(6), 0.5, training=True).round(2)
    array([ 1.67,  1.67,  1.67, -0.78, -0.78, -0.78])
    """
    return _alpha(input, p, training, input.shape)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """``alpha_dropout`` of whole channels: of (N, C, ...).

    Raises:
        ValueError: the input has fewer than two axes.

    >>> import numpy as np, chainrule as cr, chainrule.functional as F
    >>> _ = cr.random.manual_seed(0)
    >>> F.feature_alpha_dropout(np.ones((1, 4, 1)), 0.5, training=True)[0, :, 0].round(2)
    array([ 1.67,  1.67,  1.67, -0.78])
    """
    if input.ndim < 2:
        raise ValueError(f"feature_alpha_dropout: expected (N, C, ...), got {input.shape}")
    return _alpha(input, p, training, (*input.shape[:2], *[1] * (input.ndim - 2)))


# ---- how ------------------------------------------------------------------------------------------------


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"a probability is between 0 and 1, not {p}")


def _kept(shape: tuple[int, ...], p: float) -> Any:
    """A mask: each element True with probability 1 - p."""

    def draw(shape: tuple[int, ...]) -> Array:
        if math.prod(shape) < kernels.LEAST:
            return generator().random(shape, np.float32) >= p
        key = int(generator().integers(2**64, dtype=np.uint64))
        return kernels.kept(math.prod(shape), round(p * 2**32), key).reshape(shape)

    return drawn(draw, shape)


@kernel
def _scaled_where(x: Any, mask: Any, scale: float) -> Any:
    return np.where(mask, x * x.dtype.type(scale), x.dtype.type(0))


_scaled_where.compiled(when=kernels.masked_pays)(kernels.masked)


@primitive
def _masked(x: Array, mask: Array, scale: float) -> Array:
    """Scale x where ``mask``, else 0."""
    return _scaled_where(x, mask, scale)


define_rule(_masked, x=lambda g, mask, scale: _masked(g, mask, scale), linear="jointly")


def _of_channels(input: Any, p: float, training: bool, name: str, leading: dict[int, int]) -> Any:
    """Dropout of what has the same place on the first axes: how many they are, by the number of all."""
    _check_probability(p)
    if input.ndim not in leading:
        raise ValueError(f"{name}: expected an input of {' or '.join(map(str, leading))} axes, got {input.shape}")
    if not training or p == 0:
        return input
    first = leading[input.ndim]
    kept = _kept((*input.shape[:first], *[1] * (input.ndim - first)), p)
    return input * (kept * input.dtype.type(1 / (1 - p) if p < 1 else 1))


_SATURATED = -1.0507009873554805 * 1.6732632423543772  # SELU's value at minus infinity


def _alpha(input: Any, p: float, training: bool, shape: tuple[int, ...]) -> Any:
    """Alpha dropout by a mask of ``shape``."""
    _check_probability(p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * input.dtype.type(0)
    kept = _kept(shape, p)
    scale = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    return np.where(kept, input, input.dtype.type(_SATURATED)) * scale - scale * p * _SATURATED
