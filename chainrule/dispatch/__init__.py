"""How a call on a Variable finds its rule and is recorded. Read it in this order: rules, recorders, protocols, forward."""

from .protocols import ANY_UFUNC, UFUNC_METHODS
from .rules import (
    NO_GRADIENT,
    RECORDERS,
    RULES,
    UNSUPPORTED,
    Derivative,
    Rule,
    composite,
    define_rule,
    elementwise,
    function_name,
    is_known,
    primitive,
    unwrap,
)

__all__ = [
    "ANY_UFUNC",
    "NO_GRADIENT",
    "RECORDERS",
    "RULES",
    "UFUNC_METHODS",
    "UNSUPPORTED",
    "Derivative",
    "Rule",
    "composite",
    "define_rule",
    "elementwise",
    "function_name",
    "is_known",
    "primitive",
    "unwrap",
]
