"""chainrule: differentiate the NumPy that you already write, and train networks on the CPU that you own."""

import numpy as _np

from . import calculus as _calculus
from .calculus.shapes import array
from .checking import check_grads
from .core.arrays import as_array
from .core.config import Config, enable_grad, no_grad, using_config
from .core.dispatch import RECORDERS as _RECORDERS
from .core.dispatch import define_rule, primitive
from .core.function import Function
from .core.variable import Parameter, Variable, as_variable

__version__ = "0.1.0"

#: The tape's first functions, on Variables, arrays and numbers; ``np.add`` and so on do the same on Variables.
add = _RECORDERS[_np.add]
square = _RECORDERS[_np.square]
exp = _RECORDERS[_np.exp]
identical = _RECORDERS[_np.positive]
