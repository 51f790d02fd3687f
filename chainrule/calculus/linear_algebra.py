"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..core.arrays import as_array
from ..dispatch import composite, define_rule, primitive
from ..kernels import matmul as kernel
from ..kernels.matmul import Terms
from .constants import named


def _matmul_x(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    """G yᵀ."""
    if y.ndim == 1:
        return g * y if len(x_shape) == 1 else outer_product(g, y)
    if len(x_shape) == 1:
        return y @ g if y.ndim == 2 else np.squeeze(y @ np.expand_dims(g, -1), -1)
    return kernel.matmul(g, y.swapaxes(-1, -2))


def _matmul_y(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    """xᵀ g; where y is one matrix for a stack of x, as one product over all rows."""
    if x.ndim == 1:
        return g * x if len(y_shape) == 1 else outer_product(x, g)
    if len(y_shape) == 1:
        return x.swapaxes(0, 1) @ g if x.ndim == 2 else np.squeeze(np.swapaxes(x, -1, -2) @ np.expand_dims(g, -1), -1)
    if len(y_shape) == 2 and x.ndim > 2:
        rows = prod(x.shape[:-1])
        x, g = np.reshape(x, (rows, x.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    return kernel.matmul(x.swapaxes(-1, -2), g)


def outer_product(x: Any, y: Any) -> Any:
    """The products of each two elements along the last axes."""
    return kernel.matmul(x.reshape(*x.shape, 1), y.reshape(*y.shape[:-1], 1, y.shape[-1]))


define_rule(np.matmul, linear="separately", kernel=kernel.matmul, x=_matmul_x, y=_matmul_y)


@composite(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, axes=(-1, -2))


@composite(np.inner)
def _inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.tensordot(a, b, axes=(-1, -1))


@composite(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    if np.size(a) != np.size(b):
        raise ValueError(f"np.vdot: {np.shape(a)} and {np.shape(b)} have different numbers of elements")
    return np.sum(np.conjugate(np.reshape(a, (-1,))) * np.reshape(b, (-1,)))


@composite(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = (x if hasattr(x, "ndim") else np.asarray(x) for x in (a, b))
    if np.ndim(axes) == 0:
        n = int(axes)
        axes = (range(a.ndim - n, a.ndim), range(n))
    of_a, of_b = (
        list(normalize_axis_tuple(np.atleast_1d(given).tolist(), x.ndim)) for x, given in zip((a, b), axes, strict=True)
    )
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ValueError(f"np.tensordot: shapes {a.shape} and {b.shape} do not match on the axes {of_a} and {of_b}")
    term_a = ascii_letters[: a.ndim]
    term_b = [*ascii_letters[a.ndim : a.ndim + b.ndim]]
    for i, j in zip(of_a, of_b, strict=True):
        term_b[j] = term_a[i]
    free = [c for c in term_a if c not in term_b] + [c for c in term_b if c not in term_a]
    return _contract(a, b, (term_a, "".join(term_b), "".join(free)))


@composite(np.kron)
def _kron(a: Any, b: Any) -> Any:
    ndim = max(np.ndim(a), np.ndim(b))
    shapes = [(1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b)]
    x = np.reshape(a, [n for size in shapes[0] for n in (size, 1)])
    y = np.reshape(b, [n for size in shapes[1] for n in (1, size)])
    return np.reshape(x * y, [m * n for m, n in zip(*shapes, strict=True)])


@composite(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@composite(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y = (np.moveaxis(as_array(v), i, 0) for v, i in ((a, axisa), (b, axisb)))
    if not {len(x), len(y)} <= {2, 3}:
        raise ValueError(f"np.cross: vectors have 2 or 3 components, not {len(x)} and {len(y)}")
    if len(x) == len(y) == 2:
        return x[0] * y[1] - x[1] * y[0]
    (x0, x1, x2), (y0, y1, y2) = ((v[0], v[1], v[2] if len(v) == 3 else 0 * v[0]) for v in (x, y))
    return np.stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], axis=axisc)


@composite(*named("vecdot"))
def _vecdot(x1: Any, x2: Any, *, axis: int = -1, keepdims: bool = False) -> Any:
    x, y = (np.moveaxis(as_array(v), axis, -1) for v in (x1, x2))
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"np.vecdot: the vectors must have the same length, not {x.shape[-1]} and {y.shape[-1]}")
    made = np.sum(np.conjugate(x) * y, axis=-1)
    return np.expand_dims(made, axis) if keepdims else made


def _require_matrix(function: str, matrix: Any, vector: Any) -> None:
    if np.ndim(matrix) < 2 or np.ndim(vector) < 1:
        raise ValueError(
            f"{function}: a matrix of {np.ndim(matrix)} axes and a vector of {np.ndim(vector)}, where 2 and 1 are the least"
        )


@composite(*named("matvec"))
def _matvec(x1: Any, x2: Any) -> Any:
    _require_matrix("np.matvec", x1, x2)
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


@composite(*named("vecmat"))
def _vecmat(x1: Any, x2: Any) -> Any:
    _require_matrix("np.vecmat", x2, x1)
    return np.matmul(np.expand_dims(np.conjugate(x1), -2), x2)[..., 0, :]


# ---- Einstein's summation -------------------------------------------------------------------------------


@primitive
def _contract(x: Any, y: Any, terms: Terms) -> Any:
    """The sum of products of two arrays over the indices that are not in the result; each of the others is in it.

    Args:
        x, y: the arrays.
        terms: their indices and those of the result, a letter each; none twice in a term, or in one array alone and summed.
    """
    return kernel.contract(x, y, terms)


define_rule(
    _contract,
    linear="separately",
    x=lambda g, y, terms: _contract(g, y, (terms[2], terms[1], terms[0])),
    y=lambda g, x, terms: _contract(g, x, (terms[2], terms[0], terms[1])),
)


@composite(np.einsum)
def _einsum(*operands: Any, optimize: Any = False, dtype: Any = None, casting: Any = "safe", order: Any = "K") -> Any:
    """Any form that ``np.einsum`` takes, as diagonals, sums along axes, and contractions of two arrays after the other."""
    terms, output, arrays = _parse_einsum(operands)
    if dtype is not None:
        arrays = [_cast(array, dtype, casting) for array in arrays]
    terms, longest = [*terms], dict[str, int]()
    for term, array in zip(terms, arrays, strict=True):
        if len(term) != array.ndim:
            raise ValueError(f"np.einsum: the term {term!r} has {len(term)} indices for an operand of shape {array.shape}")
        for index, n in zip(term, array.shape, strict=True):
            longest[index] = n if n != 1 else longest.get(index, 1)
    for k, (term, array) in enumerate(zip(terms, arrays, strict=True)):
        if alike := tuple(axis for axis, index in enumerate(term) if array.shape[axis] == 1 != longest[index]):
            array, term = np.squeeze(array, alike), "".join(c for axis, c in enumerate(term) if axis not in alike)
        while len(set(term)) < len(term):
            axis1 = next(axis for axis, index in enumerate(term) if index in term[axis + 1 :])
            axis2 = term.index(term[axis1], axis1 + 1)
            if array.shape[axis1] != array.shape[axis2]:
                raise ValueError(f"np.einsum: index {term[axis1]!r} has two lengths in an operand of shape {array.shape}")
            array, index = np.diagonal(array, 0, axis1, axis2), term[axis1]
            term = "".join(c for axis, c in enumerate(term) if axis not in (axis1, axis2)) + index
        terms[k], arrays[k] = term, array
    for i, j, made in _pairs(tuple(terms), output, tuple(a.shape for a in arrays)):
        (x, of_x), (y, of_y) = (_summed(arrays[k], terms[k], terms[l] + made) for k, l in ((i, j), (j, i)))
        arrays = [a for k, a in enumerate(arrays) if k not in (i, j)] + [_contract(x, y, (of_x, of_y, made))]
        terms = [t for k, t in enumerate(terms) if k not in (i, j)] + [made]
    array, term = _summed(arrays[0], terms[0], output)
    moved = term != output or any(array is x for x in operands)
    return np.transpose(array, [term.index(c) for c in output]) if moved else array


def _cast(array: Any, dtype: Any, casting: Any) -> Any:
    if not np.can_cast(array.dtype, dtype, casting):
        raise TypeError(f"np.einsum: cannot cast {array.dtype} to {np.dtype(dtype)} by the rule {casting!r}")
    return np.astype(array, np.dtype(dtype))


def _summed(array: Any, term: str, wanted: str) -> tuple[Any, str]:
    """An array summed along the indices that are not wanted, and its indices then."""
    axes = tuple(axis for axis, index in enumerate(term) if index not in wanted)
    return (np.sum(array, axes), "".join(c for c in term if c in wanted)) if axes else (array, term)


@lru_cache(1 << 12)
def _pairs(terms: tuple[str, ...], output: str, shapes: tuple[tuple[int, ...], ...]) -> list[tuple[int, int, str]]:
    """Which two arrays are contracted first, and so on, and the indices of what that makes, which comes last from then on."""
    path: Sequence[Any] = [(0, 1)] if len(terms) == 2 else []
    if len(terms) > 2:
        path = np.einsum_path(",".join(terms) + "->" + output, *(np.broadcast_to(0.0, s) for s in shapes), optimize="greedy")[
            0
        ][1:]
    pairs, left = [], list(terms)
    for together in path:
        group = sorted(together)
        while len(group) > 1:  # what the path would contract at once
            i, j = group[:2]
            others = [term for k, term in enumerate(left) if k not in (i, j)]
            made = "".join(c for c in dict.fromkeys(left[i] + left[j]) if any(c in term for term in (output, *others)))
            pairs.append((i, j, made if others else output))
            left = [*others, made]
            group = [k - 2 for k in group[2:]] + [len(left) - 1]
    return pairs


def _parse_einsum(operands: Sequence[Any]) -> tuple[Sequence[str], str, list[Any]]:
    """The terms, the output's term and the arrays, with letters in place of ellipses and of NumPy's lists of numbers."""
    if isinstance(operands[0], str):
        subscripts, arrays = operands[0], list(operands[1:])
    else:
        arrays = list(operands[: len(operands) // 2 * 2 : 2])
        lists = list(operands[1::2]) + ([operands[-1]] if len(operands) % 2 else [])
        spelled = ["".join("..." if n is Ellipsis else chr(ord("A") + n + 6 * (n > 25)) for n in term) for term in lists]
        subscripts = ",".join(spelled[: len(arrays)]) + ("->" + spelled[-1] if len(operands) % 2 else "")
    arrays = [a if hasattr(a, "ndim") else np.asarray(a) for a in arrays]
    return *_explicit(subscripts, tuple(a.ndim for a in arrays)), arrays


@lru_cache(1 << 12)
def _explicit(subscripts: str, ndims: tuple[int, ...]) -> tuple[Sequence[str], str]:
    """The terms and the output's term, without ellipses."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, output = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"np.einsum: {subscripts!r} has {len(terms)} terms for {len(ndims)} operands")
    free = [c for c in ascii_letters if c not in subscripts]
    hidden = [n - len(t.replace("...", "")) if "..." in t else 0 for n, t in zip(ndims, terms, strict=True)]
    letters = "".join(free[: max(hidden)])
    terms = [t.replace("...", letters[len(letters) - n :]) for t, n in zip(terms, hidden, strict=True)]
    every = "".join(terms)
    if arrow:
        output = output.replace("...", letters)
        if not set(output) <= set(every):
            raise ValueError(f"np.einsum: {subscripts!r} has an index in its output that no operand has")
        return terms, output
    once = sorted(c for c in set(every) if every.count(c) == 1 and c not in letters)
    return terms, letters + "".join(once)
