"""Padding layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import functional as F
from .module import Module


class _Pad(Module):
    _axes: ClassVar[int]
    _mode: ClassVar[str] = "constant"

    def __init__(self, padding: int | Sequence[int]):
        self.padding = (padding,) * (2 * self._axes) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self._axes:
            raise ValueError(f"{type(self).__name__}: padding is a number or {2 * self._axes} of them, not {padding}")

    def forward(self, input: Any) -> Any:
        if input.ndim not in (self._axes + 1, self._axes + 2):
            axes = ", ".join("DHW"[-self._axes :] if self._axes > 1 else "L")
            raise ValueError(f"expected (N, C, {axes}) or (C, {axes}), got {input.shape}")
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad1d(_Pad):
    """Zeros around sequences; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right); negative numbers cut.

    Shapes: (N, C, L) or (C, L); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ZeroPad1d(2)(np.zeros((1, 3, 4))).shape
    (1, 3, 8)
    """

    _axes = 1


class ZeroPad2d(_Pad):
    """Zeros around images; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom); negative numbers cut.

    Shapes: (N, C, H, W) or (C, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ZeroPad2d(2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    _axes = 2


class ZeroPad3d(_Pad):
    """Zeros around volumes; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom, front, back); negative numbers cut.

    Shapes: (N, C, D, H, W) or (C, D, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ZeroPad3d(2)(np.zeros((1, 3, 4, 5, 6))).shape
    (1, 3, 8, 9, 10)
    """

    _axes = 3


class ConstantPad1d(_ConstantPad):
    """Constants around sequences; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right); negative numbers cut.
        value: the constant.

    Shapes: (N, C, L) or (C, L); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConstantPad1d(2, 7.0)(np.zeros((1, 3, 4))).shape
    (1, 3, 8)
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Constants around images; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom); negative numbers cut.
        value: the constant.

    Shapes: (N, C, H, W) or (C, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConstantPad2d(2, 7.0)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Constants around volumes; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom, front, back); negative numbers cut.
        value: the constant.

    Shapes: (N, C, D, H, W) or (C, D, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ConstantPad3d(2, 7.0)(np.zeros((1, 3, 4, 5, 6))).shape
    (1, 3, 8, 9, 10)
    """

    _axes = 3


class ReflectionPad1d(_Pad):
    """The mirror image around sequences; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right); negative numbers cut.

    Shapes: (N, C, L) or (C, L); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReflectionPad1d(2)(np.zeros((1, 3, 4))).shape
    (1, 3, 8)
    """

    _axes = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image around images; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom); negative numbers cut.

    Shapes: (N, C, H, W) or (C, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReflectionPad2d(2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    _axes = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """The mirror image around volumes; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom, front, back); negative numbers cut.

    Shapes: (N, C, D, H, W) or (C, D, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReflectionPad3d(2)(np.zeros((1, 3, 4, 5, 6))).shape
    (1, 3, 8, 9, 10)
    """

    _axes = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """The outermost element again around sequences; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right); negative numbers cut.

    Shapes: (N, C, L) or (C, L); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReplicationPad1d(2)(np.zeros((1, 3, 4))).shape
    (1, 3, 8)
    """

    _axes = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """The outermost element again around images; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom); negative numbers cut.

    Shapes: (N, C, H, W) or (C, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReplicationPad2d(2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    _axes = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """The outermost element again around volumes; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom, front, back); negative numbers cut.

    Shapes: (N, C, D, H, W) or (C, D, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.ReplicationPad3d(2)(np.zeros((1, 3, 4, 5, 6))).shape
    (1, 3, 8, 9, 10)
    """

    _axes = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """The other end around sequences; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right); negative numbers cut.

    Shapes: (N, C, L) or (C, L); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.CircularPad1d(2)(np.zeros((1, 3, 4))).shape
    (1, 3, 8)
    """

    _axes = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """The other end around images; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom); negative numbers cut.

    Shapes: (N, C, H, W) or (C, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.CircularPad2d(2)(np.zeros((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    _axes = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """The other end around volumes; see ``functional.pad``.

    Args:
        padding: how many for each side, or (left, right, top, bottom, front, back); negative numbers cut.

    Shapes: (N, C, D, H, W) or (C, D, H, W); the output's axes are longer by the padding.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.CircularPad3d(2)(np.zeros((1, 3, 4, 5, 6))).shape
    (1, 3, 8, 9, 10)
    """

    _axes = 3
    _mode = "circular"
