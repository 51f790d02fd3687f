"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..dispatch import composite, define_rule, primitive
from ..kernels import matmul as kernel
from .constants import named


def _matmul_x(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    """G yᵀ."""
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if len(x_shape) == 1:
        return np.squeeze(y @ np.expand_dims(g, -1), -1)
    return kernel.matmul(g, y.swapaxes(-1, -2))


def _matmul_y(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    """xᵀ g; where y is one matrix for a stack of x, as one product over all rows."""
    if x.ndim == 1:
        return x * np.expand_dims(g, -1) if len(y_shape) == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if len(y_shape) == 1:
        return np.squeeze(np.swapaxes(x, -1, -2) @ np.expand_dims(g, -1), -1)
    if len(y_shape) == 2 and x.ndim > 2:
        rows = prod(x.shape[:-1])
        x, g = np.reshape(x, (rows, x.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    return kernel.matmul(x.swapaxes(-1, -2), g)


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
    return np.sum(np.conjugate(np.reshape(a, (-1,))) * np.reshape(b, (-1,)))


@composite(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = (x if hasattr(x, "ndim") else np.asarray(x) for x in (a, b))
    if np.ndim(axes) == 0:
        n = int(axes)
        axes = (range(a.ndim - n, a.ndim), range(n))
    of_a, of_b = ([int(i) % x.ndim for i in np.atleast_1d(given)] for x, given in zip((a, b), axes, strict=True))
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ValueError(f"np.tensordot: shapes {a.shape} and {b.shape} do not match on the axes {of_a} and {of_b}")
    left, right = ([i for i in range(x.ndim) if i not in used] for x, used in ((a, of_a), (b, of_b)))
    summed = int(np.prod([a.shape[i] for i in of_a], dtype=int))
    shape = [a.shape[i] for i in left] + [b.shape[i] for i in right]
    rows, columns = (int(np.prod(s, dtype=int)) for s in (shape[: len(left)], shape[len(left) :]))
    x = np.reshape(np.transpose(a, left + of_a), (rows, summed))
    y = np.reshape(np.transpose(b, of_b + right), (summed, columns))
    return np.reshape(np.matmul(x, y), shape)


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
    made = np.sum(np.conjugate(x) * y, axis=-1)
    return np.expand_dims(made, axis) if keepdims else made


@composite(*named("matvec"))
def _matvec(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


@composite(*named("vecmat"))
def _vecmat(x1: Any, x2: Any) -> Any:
    return np.matmul(np.expand_dims(np.conjugate(x1), -2), x2)[..., 0, :]


# ---- Einstein's summation -------------------------------------------------------------------------------


@primitive
def _einsum(operands: Sequence[Any], terms: Sequence[str], output: str) -> Any:
    """A sum in explicit form, in which no index is repeated within a term."""
    return kernel.einsum(operands, terms, output)


def _einsum_operand(g: Any, i: int, operands: Any, operands_shape: Any, terms: Any, output: str) -> Any:
    """The sum over all the other operands and g; along an index that was in this operand alone it is constant."""
    others = [j for j in range(len(terms)) if j != i]
    known = set(output).union(*(terms[j] for j in others))
    kept = "".join(index for index in terms[i] if index in known)
    gradient = _einsum([g, *(operands[j] for j in others)], [output, *(terms[j] for j in others)], kept)
    alone = tuple(axis for axis, index in enumerate(terms[i]) if index not in known)
    if not alone:
        return gradient
    gradient = np.expand_dims(gradient, alone)
    return np.broadcast_to(
        gradient,
        [n if axis in alone else m for axis, (n, m) in enumerate(zip(operands_shape[i], gradient.shape, strict=True))],
    )


define_rule(_einsum, linear="separately", operands=_einsum_operand)


@composite(np.einsum)
def _einsum_composed(*operands: Any, optimize: Any = False, dtype: Any = None) -> Any:
    """Bring any form that ``np.einsum`` takes to the explicit one: no ellipsis, no index twice in a term."""
    terms, output, arrays = _parse_einsum(operands)
    for k, (term, array) in enumerate(zip(terms, arrays, strict=True)):
        while len(set(term)) < len(term):
            axis1 = next(axis for axis, index in enumerate(term) if index in term[axis + 1 :])
            axis2 = term.index(term[axis1], axis1 + 1)
            if array.shape[axis1] != array.shape[axis2]:
                raise ValueError(f"np.einsum: index {term[axis1]!r} has two lengths in an operand of shape {array.shape}")
            array, index = np.diagonal(array, 0, axis1, axis2), term[axis1]
            term = "".join(c for axis, c in enumerate(term) if axis not in (axis1, axis2)) + index
        terms[k], arrays[k] = term, array
    ans = _einsum(arrays, terms, output)
    return ans if dtype is None else ans.astype(dtype)


def _parse_einsum(operands: Sequence[Any]) -> tuple[list[str], str, list[Any]]:
    """The terms, the output's term and the arrays, with letters in place of ellipses and of NumPy's lists of numbers."""
    if isinstance(operands[0], str):
        subscripts, arrays = operands[0].replace(" ", ""), list(operands[1:])
    else:
        arrays = list(operands[: len(operands) // 2 * 2 : 2])
        lists = list(operands[1::2]) + ([operands[-1]] if len(operands) % 2 else [])
        spelled = ["".join("..." if n is Ellipsis else chr(ord("A") + n + 6 * (n > 25)) for n in term) for term in lists]
        subscripts = ",".join(spelled[: len(arrays)]) + ("->" + spelled[-1] if len(operands) % 2 else "")
    left, arrow, output = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        raise ValueError(f"np.einsum: {subscripts!r} has {len(terms)} terms for {len(arrays)} operands")
    arrays = [a if hasattr(a, "ndim") else np.asarray(a) for a in arrays]
    free = [c for c in map(chr, range(ord("a"), ord("z") + 1)) if c not in subscripts] + [
        c for c in map(chr, range(ord("A"), ord("Z") + 1)) if c not in subscripts
    ]
    hidden = [a.ndim - len(t.replace("...", "")) if "..." in t else 0 for a, t in zip(arrays, terms, strict=True)]
    letters = "".join(free[: max(hidden)])
    terms = [t.replace("...", letters[len(letters) - n :]) for t, n in zip(terms, hidden, strict=True)]
    for term, array in zip(terms, arrays, strict=True):
        if len(term) != array.ndim:
            raise ValueError(f"np.einsum: the term {term!r} has {len(term)} indices for an operand of shape {array.shape}")
    every = "".join(terms)
    if arrow:
        return terms, output.replace("...", letters), arrays
    once = sorted(c for c in set(every) if every.count(c) == 1 and c not in letters)
    return terms, letters + "".join(once), arrays
