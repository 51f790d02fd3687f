"""chainrule: differentiate the NumPy that you already write, and train networks on the CPU that you own."""

from . import calculus as _calculus  # fills the table of rules
from .core.arrays import as_array
from .core.config import Config, enable_grad, no_grad, using_config
from .core.dispatch import define_rule, primitive
from .core.function import Function
from .core.variable import Parameter, Variable, as_variable

__version__ = "0.1.0"
