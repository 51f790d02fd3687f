"""Products of matrices, of stacks of them, and sums of products over any indices."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..core.arrays import Array, is_native
from ..core.memory import empty
from .arithmetic import computed
from .gemm import pack_panel
from .layer import address, borrow, compiled, dense, gemm, give_back, kernel, parallel_for, tile_columns
from .panels import multiply_by

_TINY = 64  # multiplications: up to that, vectors would not pay
_SMALL = 1 << 13  # numbers of a right matrix that is read where it is, or copied as it is
_NARROW, _PIECE = 1 << 14, 1 << 10  # results that are too few to share, and of how many products threads make sums then
_FEW = 1 << 16  # multiplications: up to that, and twice that of two matrices, NumPy's BLAS is there sooner, on one thread


def _pays(x: Array, y: Array) -> bool:
    return (
        y.ndim > 1
        and x.ndim > 1
        and x.size * y.shape[-1] > (2 * _FEW if x.ndim == 2 and x.shape[1] > 1 else _FEW)
        and dense(x, y)
        and x.shape[-1] == y.shape[-2]
        and (x.shape[:-2] == y.shape[:-2] or y.ndim == 2)
    )


@kernel
def matmul(x: Array, y: Array) -> Array:
    """The product of two matrices, or of each two in stacks of them: (..., m, k) and (..., k, n) to (..., m, n)."""
    return np.matmul(x, y)


@matmul.compiled(when=_pays)
def _(x: Array, y: Array) -> Array:
    out = empty((*x.shape[:-1], y.shape[-1]), x.dtype)
    if y.ndim == 2:
        _product(x.reshape(-1, x.shape[-1]), y, out.reshape(-1, y.shape[-1]))
    else:
        _products(*(a.reshape(-1, *a.shape[-2:]) for a in (x, y, out)))
    return out


@compiled
def _product(x: Any, y: Any, out: Any) -> None:
    (m, n), k = out.shape, x.shape[1]
    if m * n > _NARROW or k < 2 * _PIECE:
        gemm(x, y, out)
        return
    count = (k + _PIECE - 1) // _PIECE  # threads share the sums, as there are too few results
    pieces = borrow(out, count * m * n).reshape(count, m, n)
    parallel_for(_products_of_pieces, (x, y, pieces), count, 1)
    total = out.reshape(-1)
    for j in range(len(total)):
        total[j] = 0
    for i in range(count):
        piece = pieces[i].reshape(-1)
        for j in range(len(total)):
            total[j] += piece[j]
    give_back(pieces)


@compiled
def _products_of_pieces(x: Any, y: Any, pieces: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        first, last = i * _PIECE, min((i + 1) * _PIECE, len(y))
        gemm(x[:, first:last], y[first:last], pieces[i])


@compiled
def _products(x: Any, y: Any, out: Any) -> None:
    if len(x) < 4 and y.shape[1] * y.shape[2] > _SMALL:  # too few to divide among threads
        for i in range(len(x)):
            gemm(x[i], y[i], out[i])
    else:
        work = x.shape[1] * x.shape[2] * y.shape[2]
        parallel_for(_products_block, (x, y, out), len(x), 1 + (1 << 18) // (work + 64))


@compiled
def _products_block(x: Any, y: Any, out: Any, start: int, stop: int) -> None:
    (k, n), m = y.shape[1:], x.shape[1]
    if k * n > _SMALL:
        for i in range(start, stop):
            gemm(x[i], y[i], out[i])
        return
    if m * n * k <= _TINY:
        _tiny_products(x[start:stop], y[start:stop], out[start:stop])
        return
    in_place = y.strides[2] == y.itemsize
    copied = borrow(y, 1 if in_place else k * n)
    b_at, b_step = address(copied), n
    for i in range(start, stop):
        if in_place:
            b_at, b_step = address(y) + i * y.strides[0], y.strides[1] // y.itemsize
        else:
            pack_panel(y[i], copied, n)
        multiply_by(x[i], b_at, tile_columns(out) * out.itemsize, b_step, out[i], 1.0, 0.0)
    give_back(copied)


@compiled
def _tiny_products(x: Any, y: Any, out: Any) -> None:
    for i in range(len(out)):
        for r in range(out.shape[1]):
            for c in range(out.shape[2]):
                total = out.dtype.type(0)
                for p in range(x.shape[2]):
                    total += x[i, r, p] * y[i, p, c]
                out[i, r, c] = total


@kernel
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """The affine map of rows: x Wᵀ + b, of (m, k), (n, k) and (n,)."""
    y = x @ weight.T
    if bias is not None:
        y += bias
    return y


def as_matrices(x: Array, weight: Array, bias: Array | None) -> bool:
    """Whether the arrays of an affine map are such as compiled products take."""
    return dense(x, weight, bias) and (bias is None or (bias.shape == (len(weight),) and bias.flags.c_contiguous))


@linear.compiled(when=lambda x, weight, bias: x.size * len(weight) > _FEW and as_matrices(x, weight, bias))
def _(x: Array, weight: Array, bias: Array | None) -> Array:
    out = empty((len(x), len(weight)), x.dtype)
    if bias is None:
        _product(x, weight.T, out)
    else:
        _affine(x, weight.T, bias, out)
    return out


@compiled
def _affine(x: Any, y: Any, bias: Any, out: Any) -> None:
    gemm(x, y, out, bias)


@kernel
def column_sums(x: Array) -> Array:
    """The sum of the rows of (m, n): (n,)."""
    return np.sum(x, axis=0)


@column_sums.compiled(when=lambda x: x.size > 1 << 14 and dense(x) and x.flags.c_contiguous)
def _(x: Array) -> Array:
    m, n = x.shape
    joined = max(1, _SHORT // n)  # rows that are taken for one, so that it is long enough for vectors
    long = x[: m // joined * joined].reshape(-1, joined * n)
    out = np.zeros((-(-len(long) // _ROWS), joined * n), x.dtype)
    _column_sums(long, out)
    total = np.sum(np.sum(out, axis=0).reshape(joined, n), axis=0)
    return total if m % joined == 0 else total + np.sum(x[m // joined * joined :], axis=0)


_SHORT = 128  # numbers: rows up to that are joined
_ROWS = 256  # summed one after the other, so that the order does not depend on the number of threads


@compiled
def _column_sums(x: Any, out: Any) -> None:
    parallel_for(_column_sums_block, (x, out), len(x), _ROWS)


@compiled
def _column_sums_block(x: Any, out: Any, start: int, stop: int) -> None:
    total = out[start // _ROWS]
    for i in range(start, stop):
        row = x[i]
        for j in range(len(row)):
            total[j] += row[j]


# ---- sums of products over any indices ------------------------------------------------------------------

#: The indices of two arrays and of the result, a letter each.
Terms = tuple[str, str, str]


@kernel
def contract(x: Array, y: Array, terms: Terms) -> Array:
    """The sum of products of two arrays over the indices that are not in the result; none is twice in a term."""
    of_x, of_y, output = terms
    return np.einsum(f"{of_x},{of_y}->{output}", x, y, optimize=True)


@contract.compiled(when=lambda x, y, terms: is_native(x) and is_native(y))
def _(x: Array, y: Array, terms: Terms) -> Array:
    return _contraction(terms, x.shape, y.shape)(x, y)


@lru_cache(1 << 12)
def _contraction(terms: Terms, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Callable[[Array, Array], Array]:
    """How arrays of these shapes are contracted: as a product of matrices, where there is one in it."""
    of_x, of_y, output = terms
    lengths = dict(zip(of_x + of_y, x_shape + y_shape, strict=True))
    both, left, right = [i for i in of_x if i in of_y], [i for i in of_x if i not in of_y], [i for i in of_y if i not in of_x]
    stacked, summed = [i for i in both if i in output], [i for i in both if i not in output]
    misfit = any(  # which NumPy tells of
        lengths[i] != n for term, shape in ((of_x, x_shape), (of_y, y_shape)) for i, n in zip(term, shape, strict=True)
    )
    if misfit or len(left + right + stacked) != len(output) or (summed and stacked and not (left and right)):
        subscripts = f"{of_x},{of_y}->{output}"
        return lambda x, y: np.einsum(subscripts, x, y)
    if not summed and not (left and right):
        return _product_of_elements(terms)

    def arranging(term: str, *groups: list[str]) -> Callable[[Array], Array]:
        axes = tuple(term.index(i) for group in groups for i in group)
        # without a sum, matrices of one column or row
        kept = [group for k, group in enumerate(groups) if group or (k > 0 and not summed)]
        shape = [prod(lengths[i] for i in group) for group in kept]
        return lambda a: a.transpose(axes).reshape(shape)

    first, second = arranging(of_x, stacked, left, summed), arranging(of_y, stacked, summed, right)
    made = stacked + left + right
    shape, axes = [lengths[i] for i in made], tuple(made.index(i) for i in output)
    return lambda x, y: matmul(first(x), second(y)).reshape(shape).transpose(axes)


def _product_of_elements(terms: Terms) -> Callable[[Array, Array], Array]:
    """A product without a sum, in the order of the result."""
    output = terms[2]
    (x_axes, x_index), (y_axes, y_index) = (
        (tuple(term.index(i) for i in output if i in term), tuple(slice(None) if i in term else None for i in output))
        for term in terms[:2]
    )
    return lambda x, y: computed(np.multiply, x.transpose(x_axes)[x_index], y.transpose(y_axes)[y_index])
