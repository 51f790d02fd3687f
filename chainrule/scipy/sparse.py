"""Products of SciPy's sparse arrays, as constants, with Variables.

Importing this makes the operator work: ``A @ v`` and ``v @ A``. Without it SciPy, which is asked first, would turn ``v`` into
an array, and is refused.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import scipy.sparse as ss
import scipy.sparse.linalg as ssl

from ..core.variable import Variable
from ..dispatch import RECORDERS, define_rule, primitive

__all__ = ["matmul", "spsolve"]


def matmul(a: Any, b: Any) -> Any:
    """Matrix product of a sparse array and a dense one, on either side.

    Args:
        a, b: one of them sparse, (M, N) and (N,) or (N, K), or (N,) or (K, N) and (N, M).

    Raises:
        TypeError: neither is sparse, or both.

    >>> import scipy.sparse, chainrule as cr
    >>> matmul(scipy.sparse.csr_array(np.diag([1.0, 2.0])), cr.Variable(np.array([3.0, 4.0])))
    Variable([3., 8.])
    """
    if ss.issparse(a) == ss.issparse(b):
        raise TypeError(f"matmul needs one sparse array and one dense, not {type(a).__name__} and {type(b).__name__}")
    return _times(b, a) if ss.issparse(a) else _times(a.T, b.T).T


@primitive
def _times(v: Any, a: Any) -> Any:
    return a @ v


define_rule(_times, linear="jointly", v=lambda g, a: _times(g, a.T))


@primitive
def spsolve(A: Any, b: Any) -> Any:
    """Solve A x = b for a sparse matrix A, a constant.

    >>> import scipy.sparse
    >>> spsolve(scipy.sparse.csc_array(np.diag([1.0, 2.0])), np.array([3.0, 4.0]))
    array([3., 2.])
    """
    return ssl.spsolve(A.tocsc(), b)


define_rule(spsolve, linear="jointly", b=lambda g, A: spsolve(A.T, g))

# ---- the operator ---------------------------------------------------------------------------------------

_to_array = Variable.__array__


def _array(self: Variable, dtype: Any = None, copy: bool | None = None) -> Any:
    # an operand of no type that SciPy knows: so it leaves the product to the operand's own operator
    if sys._getframe(1).f_code.co_name == "_matmul_dispatch":
        return np.array(None, dtype=object)
    return _to_array(self, dtype, copy)


def _matmul(x: Variable, y: Any) -> Any:
    return matmul(x, y) if ss.issparse(y) else RECORDERS[np.matmul](x, y)


def _rmatmul(x: Variable, y: Any) -> Any:
    return matmul(y, x) if ss.issparse(y) else RECORDERS[np.matmul](y, x)


Variable.__array__ = _array  # type: ignore[method-assign]
Variable.__matmul__ = _matmul  # type: ignore[method-assign]
Variable.__rmatmul__ = _rmatmul  # type: ignore[method-assign]
