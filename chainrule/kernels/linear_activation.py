"""The affine map with an activation after it: each part of the product is finished while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from . import activation as numbers
from .layer import Compiled, exact, gemm, inlined, parallel_for

_ROWS, _COLUMNS = 256, 2048  # that a thread takes at a time, backward: so sums do not depend on the number of threads
_SHORT = 128  # numbers: rows up to that are joined

# The value before the activation is never kept. For backward, the result itself tells the slope; or else that is computed with
# the result, as both are made of the same exponential, and takes the value's place in memory.
_FORWARD = """
def finish(out, columns, top, bottom, left, right):
    length = right - left
    rows, length = (1, (bottom - top) * columns) if length == columns else (bottom - top, length)
    for i in range(rows):
        start = (top + i) * columns + left
        row = out[start : start + length]
        for j in range(len(row)):
            row[j] = function(row[j])

def finish_with_slopes(out, slopes, columns, top, bottom, left, right):
    length = right - left
    rows, length = (1, (bottom - top) * columns) if length == columns else (bottom - top, length)
    for i in range(rows):
        start = (top + i) * columns + left
        row, slope = out[start : start + length], slopes[start : start + length]
        for j in range(len(row)):
            x = row[j]
            row[j] = function(x)
            slope[j] = gradient(type(x)(1), x)

def forward(x, weight, bias, out):
    gemm(x, weight, out, bias, on_finish, (out.reshape(-1), out.shape[1]))

def forward_with_slopes(x, weight, bias, out, slopes):
    gemm(x, weight, out, bias, on_finish_with_slopes, (out.reshape(-1), slopes.reshape(-1), out.shape[1]))
"""

_BACKWARD = """
def backward_block(g, kept, out, sums, start, stop):
    across = (out.shape[1] + {columns} - 1) // {columns}
    for task in range(start, stop):
        top, left = task // across * {rows}, task % across * {columns}
        total = sums[task // across, left : left + {columns}]
        total[:] = 0
        for i in range(top, min(top + {rows}, len(out))):
            row, to = g[i, left : left + {columns}], out[i, left : left + {columns}]
            known = kept[i, left : left + {columns}]
            for j in range(len(total)):
                slope = function(row[j], known[j])
                to[j] = slope
                total[j] += slope

def backward(g, kept, out, sums):
    tasks = len(sums) * ((out.shape[1] + {columns} - 1) // {columns})
    parallel_for(on_backward_block, (g, kept, out, sums), tasks, 1)
"""


def _made(source: str, of: str, **names: Any) -> dict[str, Any]:
    """The functions of a template, compiled when they are called; ``on_...`` is what stands there for one of them."""
    scope: dict[str, Any] = {"gemm": gemm, "parallel_for": parallel_for, "__name__": __name__} | names
    given = set(scope)
    exec(compile(source, __file__, "exec"), scope)
    for name in scope.keys() - given - {"__builtins__"}:
        scope[name].__qualname__ = f"{of}.{name}"  # what is kept on disk is told apart by names
        scope[f"on_{name}"] = exact(scope[name])
    return scope


class LinearActivation:
    """The kernels of an affine map of rows, act(x Wᵀ + b) for (m, k), (n, k) and (n,) or None, with one activation.

    Args:
        function: the activation, of a number.
        gradient: its gradient, of g and the result; or, if ``of_value``, of g and the value.
        of_value: whether the gradient is a function of the value, so that slopes are kept for it.
    """

    def __init__(self, function: Any, gradient: Any, of_value: bool = False):
        name = function.__qualname__
        made = _made(_FORWARD, name, function=function, gradient=gradient)
        self._forward, self._with_slopes = made["on_forward"], made["on_forward_with_slopes"] if of_value else None
        self._backward = _BY_SLOPES if of_value else _backward(gradient)

    def forward(self, x: Array, weight: Array, bias: Array | None, differentiated: bool) -> tuple[Array, Array]:
        """The result, and what ``backward`` is to get."""
        out = kept = empty((len(x), len(weight)), x.dtype)
        if differentiated and self._with_slopes is not None:
            kept = empty(out.shape, out.dtype)
            self._with_slopes(x, weight.T, bias, out, kept)
        else:
            self._forward(x, weight.T, bias, out)
        return out, kept

    def backward(self, g: Array, kept: Array) -> tuple[Array, Array]:
        """The gradient of x Wᵀ + b, and the sum of its rows, which is that of b."""
        m, n = g.shape
        out = empty(g.shape, g.dtype)
        joined = max(1, _SHORT // n)  # rows that are taken for one, so that it is long enough for vectors
        whole = m // joined * joined
        totals = [
            self._sums(*[a[part].reshape(-1, width) for a in (g, kept, out)]).reshape(-1, n)
            for part, width in ((slice(whole), joined * n), (slice(whole, m), n))
            if part.start != m
        ]
        return out, np.add.reduce(totals[0] if len(totals) == 1 else np.concatenate(totals))

    def _sums(self, g: Array, kept: Array, out: Array) -> Array:
        """Compute ``out``, and the sums of so many of its rows at a time."""
        sums = np.empty((-(-len(g) // _ROWS), g.shape[1]), g.dtype)
        self._backward(g, kept, out, sums)
        return sums


def _backward(function: Any) -> Compiled:
    source = _BACKWARD.format(rows=_ROWS, columns=_COLUMNS)
    made: Compiled = _made(source, function.__qualname__, function=function)["on_backward"]
    return made


@inlined
def _product(g: Any, slope: Any) -> Any:
    return g * slope


_BY_SLOPES = _backward(_product)

relu = LinearActivation(numbers.relu, numbers.relu_gradient)
sigmoid = LinearActivation(numbers.sigmoid, numbers.sigmoid_gradient)
tanh = LinearActivation(numbers.tanh, numbers.tanh_gradient)
silu = LinearActivation(numbers.silu, numbers.silu_gradient, of_value=True)
gelu = LinearActivation(numbers.gelu, numbers.gelu_gradient, of_value=True)
gelu_tanh = LinearActivation(numbers.gelu_tanh, numbers.gelu_tanh_gradient, of_value=True)
