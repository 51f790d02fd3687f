"""Functions of SciPy's that its own cannot be on Variables: SciPy gives them no protocol to dispatch by.

They have SciPy's names, arguments and values. The ufuncs of ``scipy.special`` need no such stand-in: call them themselves.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import integrate, interpolate, linalg, signal, sparse, special, stats

try:
    import scipy as _scipy  # noqa: F401
except ImportError as error:
    raise ImportError("chainrule.scipy needs the package scipy: pip install 'chainrule[scipy]'") from error

__all__ = ["integrate", "interpolate", "linalg", "signal", "sparse", "special", "stats"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
