"""chainrule: differentiate the NumPy that you already write, and train networks on the CPU that you own."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import calculus as _calculus  # noqa: F401 (fills the table of rules)
from .calculus.shapes import array
from .checking import check_grads
from .core.arrays import as_array
from .core.config import Config, detect_anomaly, enable_grad, no_grad, using_config
from .core.function import Function
from .core.variable import Parameter, Variable, as_variable
from .dispatch import RECORDERS as _RECORDERS
from .dispatch import composite, define_rule, primitive

if TYPE_CHECKING:
    from . import array_api, data, functional, io, nn, optim, profiler, random, scipy, train, viz  # noqa: F401 (import * brings no scipy)
    from .batching.vmap import vmap
    from .implicit import checkpoint, fixed_point
    from .io import load, save
    from .random import manual_seed
    from .transforms import (
        custom_vjp,
        elementwise_grad,
        grad,
        hessian,
        hvp,
        jacobian,
        jvp,
        linearize,
        make_ggnvp,
        stop_gradient,
        value_and_grad,
        vjp,
    )
    from .viz.summary import summary

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Function",
    "Parameter",
    "Variable",
    "add",
    "array",
    "array_api",
    "as_array",
    "as_variable",
    "check_grads",
    "checkpoint",
    "composite",
    "custom_vjp",
    "data",
    "define_rule",
    "detect_anomaly",
    "elementwise_grad",
    "enable_grad",
    "exp",
    "fixed_point",
    "functional",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "identical",
    "io",
    "jacobian",
    "jvp",
    "linearize",
    "load",
    "make_ggnvp",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "profiler",
    "random",
    "save",
    "set_num_threads",
    "square",
    "stop_gradient",
    "summary",
    "train",
    "using_config",
    "value_and_grad",
    "viz",
    "vjp",
    "vmap",
]

# The tape's first functions, on Variables, arrays and numbers; np.add and so on do the same on Variables.
add = _RECORDERS[_np.add]
square = _RECORDERS[_np.square]
exp = _RECORDERS[_np.exp]
identical = _RECORDERS[_np.positive]

#: Imported when they are first used, so that who needs only derivatives waits for nothing else.
_ROOMS = {
    "array_api",
    "data",
    "einops",
    "functional",
    "io",
    "nn",
    "optim",
    "profiler",
    "random",
    "scipy",
    "sklearn",
    "train",
    "viz",
}
_ELSEWHERE = {
    "load": "io",
    "save": "io",
    "summary": "viz",
    "get_num_threads": "kernels.threads",
    "set_num_threads": "kernels.threads",
    "manual_seed": "random",
    **dict.fromkeys(
        (
            "custom_vjp", "elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "linearize", "make_ggnvp",
            "stop_gradient", "value_and_grad", "vjp",
        ),
        "transforms",
    ),
    "vmap": "batching.vmap",
    "checkpoint": "implicit",
    "fixed_point": "implicit",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return _import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        return getattr(_import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
