"""einops on Variables: importing this registers chainrule with einops, whose functions then take Variables everywhere.

einops looks for a backend among the classes that it has been told of, and ``import chainrule`` does not import einops: so this
one import is needed, before or after ``import einops``.

>>> import numpy as np, chainrule as cr, chainrule.einops
>>> import einops
>>> images = cr.Variable(np.ones((2, 3, 4, 4)))
>>> einops.reduce(images, "n c (h 2) (w 2) -> n h w c", "mean").shape
(2, 2, 2, 3)
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    from einops import asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
    from einops._backends import NumpyBackend
except ImportError as error:
    raise ImportError("chainrule.einops needs the package einops: pip install einops") from error

from .core.variable import Variable

__all__ = ["asnumpy", "einsum", "pack", "parse_shape", "rearrange", "reduce", "repeat", "unpack"]


class _Backend(NumpyBackend):
    """What einops asks of a framework: NumPy's functions, which take Variables."""

    framework_name = __package__

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Variable)

    def is_float_type(self, x: Variable) -> bool:
        return x.dtype.kind == "f"

    def from_numpy(self, x: Any) -> Variable:
        return Variable(x)

    def to_numpy(self, x: Variable) -> Any:
        return np.asarray(x)  # which says so if that would lose a gradient
