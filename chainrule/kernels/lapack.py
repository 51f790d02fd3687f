"""LU factors, kept to be used again, and triangular matrices: LAPACK's own routines, which SciPy hands through.

NumPy's functions keep no factors, so that a gradient would have to factorise anew. LAPACK's matrices are stored by columns, as
NumPy's transposed are: what is factorised is each matrix's transpose, where it lies.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, ndarray


@lru_cache
def routine(name: str, dtype: np.dtype[Any]) -> Any:
    """LAPACK's routine for arrays of a dtype, such as ``"getrf"``; None where there is none, or no SciPy."""
    prefix = {"f": "s", "d": "d", "F": "c", "D": "z"}.get(dtype.char)
    try:
        from scipy.linalg import lapack
    except ImportError:
        return None
    return prefix and getattr(lapack, prefix + name)


class LU:
    """The factors of square matrices (..., n, n), or, seen from ``mT``, of their transposes.

    Raises:
        numpy.linalg.LinAlgError: at ``solve`` and ``inverse``, if a matrix is singular.
    """

    __slots__ = ("_factors", "_pivots", "_singular", "_transposed", "dtype", "shape")

    def __init__(self, a: Array):
        self.shape, self.dtype, self._transposed = a.shape, a.dtype, False
        n, getrf, self._singular = a.shape[-1], routine("getrf", a.dtype), False
        self._factors, self._pivots = np.array(a, order="C").reshape(-1, n, n), []
        for each in self._factors:
            _, pivots, info = getrf(each.T, overwrite_a=1)
            self._pivots.append(pivots)
            self._singular |= info > 0

    @property
    def mT(self) -> LU:
        """The factors of the transposes."""
        made = object.__new__(LU)
        for name in self.__slots__:
            setattr(made, name, getattr(self, name))
        made._transposed = not self._transposed
        return made

    def solve(self, b: Array) -> Array:
        """The solutions x of a x = b, of (..., n, m), or (n,); of one matrix for any stack of b."""
        self._require_regular()
        if b.ndim == 1:
            x, _ = routine("getrs", self.dtype)(self._factors[0].T, self._pivots[0], b, trans=not self._transposed)
            return x  # type: ignore[no-any-return]
        getrs, columns = routine("getrs", self.dtype), np.array(b.mT, self.dtype, order="C")
        each = columns.reshape(len(self._factors), -1, b.shape[-2])
        for factors, pivots, x in zip(self._factors, self._pivots, each, strict=True):
            getrs(factors.T, pivots, x.T, trans=not self._transposed, overwrite_b=1)
        return np.ascontiguousarray(columns.mT)

    def inverse(self) -> Array:
        """The inverses."""
        self._require_regular()
        getri, made = routine("getri", self.dtype), self._factors.copy()
        for inverse, pivots in zip(made, self._pivots, strict=True):
            getri(inverse.T, pivots, lwork=64 * len(pivots), overwrite_lu=1)
        found = made.reshape(self.shape)
        return found.mT if self._transposed else found

    def log_determinant(self) -> tuple[Array, Array]:
        """The determinants' signs, and the logarithms of their absolute values."""
        diagonal = self._factors.diagonal(0, -2, -1)
        exchanged = np.array(self._pivots) != np.arange(self.shape[-1])
        with np.errstate(divide="ignore") if self._singular else nullcontext():
            logarithms = np.log(np.abs(diagonal)).sum(-1)
        signs = np.sign(diagonal).prod(-1) * (1 - 2 * (exchanged.sum(-1) % 2))
        return signs.astype(self.dtype, copy=False).reshape(self.shape[:-2]), logarithms.reshape(self.shape[:-2])

    def _require_regular(self) -> None:
        if self._singular:
            raise np.linalg.LinAlgError("Singular matrix")


def is_factorised(a: Any) -> bool:
    """Whether ``LU`` takes it: square matrices, in an array of NumPy's, and there is SciPy."""
    return (
        a.__class__ is ndarray
        and a.ndim > 1
        and a.shape[-1] == a.shape[-2]
        and prod(a.shape) > 0
        and routine("getrf", a.dtype) is not None
    )


# ---- triangular matrices --------------------------------------------------------------------------------


def inverse_of_lower(a: Array) -> Array:
    """The inverses of lower triangular matrices (..., n, n), which are not singular."""
    trtri, made = routine("trtri", a.dtype), np.array(a, order="C")
    for each in made.reshape(-1, *a.shape[-2:]):
        trtri(each.T, overwrite_c=1)
    return made


def solve_triangular(a: Array, b: Array, lower: bool, transposed: bool, unit_diagonal: bool) -> Array:
    """The solutions x of a x = b, or of aᵀ x = b, for stacks (..., n, n) and (..., n, m) of the same length and dtype.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular.
    """
    trtrs, columns = routine("trtrs", a.dtype), np.array(b.mT, order="C")
    if columns.size == 0:
        return columns.mT
    each = columns.reshape(-1, *columns.shape[-2:])
    for matrix, x in zip(a.reshape(-1, *a.shape[-2:]), each, strict=True):
        flipped = not matrix.flags.f_contiguous  # LAPACK reads the transpose, where it lies
        _, info = trtrs(
            matrix.T if flipped else matrix, x.T, lower != flipped, transposed != flipped, unit_diagonal, overwrite_b=1
        )
        if info > 0:
            raise np.linalg.LinAlgError(f"Singular matrix: the diagonal is 0 at {info - 1}")
    return np.ascontiguousarray(columns.mT)
