"""Results that are differentiated otherwise than by the way they were computed: recomputed, or by an equation they satisfy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import random
from .core import config
from .core.arrays import Array, as_array
from .core.backward import walk
from .core.batched import at, current, everywhere
from .core.function import Edge, Function, connect, materialise, variable_at
from .core.variable import Variable
from .transforms import vjp
from .trees import Tree, leaves, rebuild, tree_map

# ---- recomputing ----------------------------------------------------------------------------------------


def checkpoint(f: Callable[..., Tree]) -> Callable[..., Tree]:
    """Make a function that keeps nothing but its arguments for the gradient, and is computed again when that is wanted.

    It trades time for memory: of what ``f`` computes in between nothing is held. Dropout draws the same numbers again, and
    running statistics, such as a batch norm's, are updated only once. Gradients flow also to Variables, such as a module's
    parameters, that ``f`` uses without being given them.

    Args:
        f: a function of arrays, Variables and trees of them, or a module. What it returns depends on its arguments, on
            Variables and on chainrule's generator of random numbers alone.

    Source: T. Chen, B. Xu, C. Zhang, C. Guestrin, Training Deep Nets with Sublinear Memory Cost (2016).

    >>> import numpy as np, chainrule as cr
    >>> x = cr.Variable(np.array([0.5, 1.0]))
    >>> np.sum(cr.checkpoint(lambda x: np.sin(np.exp(x)))(x)).backward()
    >>> bool(np.allclose(x.grad, np.cos(np.exp(x.data)) * np.exp(x.data)))
    True
    """

    @wraps(f)
    def call(*args: Tree) -> Tree:
        if not config.enable_backprop.get() or config.forward.get() is not None or current.get() is not None:
            return f(*args)
        return _Checkpoint(f, args).result()

    return call


class _Checkpoint(Function):
    """A recorded call of a ``checkpoint`` function."""

    def __init__(self, f: Callable[..., Tree], args: Sequence[Tree]):
        self._f, self._args = f, args
        self._state = random.generator().bit_generator.state

    def result(self) -> Tree:
        """Compute it; of its record keep the edges at which it ends."""
        given = leaves(self._args)
        inputs = [Variable(x._data) if _needs_grad(x) else x for x in given]
        record = _Record()
        token = config.forward.set(record)
        try:
            tree = self._f(*rebuild(self._args, inputs))
        finally:
            config.forward.reset(token)
        arrays = tuple(y._data if isinstance(y, Variable) else as_array(y) for y in leaves(tree))
        own = {x._edge: y._edge for x, y in zip(inputs, given, strict=True) if _needs_grad(x)}
        # Variables that f uses by itself stand after its arguments
        self.edges = (*own.values(), *(edge for edge in record.ends() if edge not in own))
        self.saved = [x._data if isinstance(x, Variable) else x for x in given]
        self._varied = [_needs_grad(x) for x in given]
        del record, inputs
        if not self.edges:
            return tree
        made = connect(self, self.edges, arrays, reads=self.edges)
        return rebuild(tree, list(made))

    def vjp(self, g: Any) -> Iterable[Any]:
        return self._again(g, recorded=False)

    def vjp_recorded(self, g: Any) -> Iterable[Any]:
        return self._again(g, recorded=True)

    def _again(self, g: Any, recorded: bool) -> Iterable[Any]:
        edges = list(self.edges or ())
        own = iter(edges)
        inputs = [
            x if not varied else variable_at(x, next(own)) if recorded else Variable(x)
            for x, varied in zip(self.saved, self._varied, strict=True)
        ]
        varied = [x for x, varied in zip(inputs, self._varied, strict=True) if varied]
        ends = [*(x._edge for x in varied), *edges[len(varied) :]]
        generator = random.generator().bit_generator
        now, generator.state = generator.state, self._state
        token = config.recomputing.set(True)
        try:
            with config.using_config("enable_backprop", True), at(None):
                ys = leaves(self._f(*rebuild(self._args, inputs)))
        finally:
            config.recomputing.reset(token)
            generator.state = now
        pairs = [(y, gy) for y, gy in zip(ys, materialise(self, g), strict=True) if _needs_grad(y) and y.creator]
        found: dict[Any, Any] = walk([y for y, _ in pairs], [gy for _, gy in pairs], recorded, stop=set(ends))
        return [found.get(edge) for edge in ends]


class _Record:
    """What is recorded while it stands in the place of a forward pass."""

    def __init__(self) -> None:
        self._calls: dict[Function, None] = {}

    def push(self, call: Function, made: Sequence[Variable], bound: Any) -> None:
        self._calls[call] = None

    advance = push  # from a forward pass inside

    def ends(self) -> list[Edge]:
        """The edges at which the record ends: leaves, and what was computed before."""
        return list(dict.fromkeys(e for call in self._calls for e in call.edges or () if e and e.function not in self._calls))


def _needs_grad(x: Any) -> bool:
    return isinstance(x, Variable) and x.requires_grad


# ---- fixed points ---------------------------------------------------------------------------------------


def fixed_point(f: Callable[[Tree, Any], Any], a: Tree, x0: Any, tol: float = 1e-10, max_iter: int = 1000) -> Any:
    """Iterate x = f(a, x) from ``x0`` until it changes no more; its derivative in ``a`` is that of the equation.

    The gradient is u ∂f/∂a, where u = g + u ∂f/∂x is found by iteration too. Nothing of the iteration is kept.

    Args:
        f: a function of ``a`` and x that contracts in x, and returns an array of x's shape.
        a: a tree of all that f depends on and that may be differentiated.
        x0: where to start; it has no influence on the result's derivative.
        tol: the largest change of an element, relative to 1 + |x|, that counts as none.
        max_iter: how often ``f`` is applied at the most.

    Raises:
        RuntimeError: it did not converge within ``max_iter``.
        TypeError: ``f`` depends on a Variable that is not in ``a``.

    >>> import numpy as np, chainrule as cr
    >>> def newton(a, x):
    ...     return (x + a / x) / 2
    >>> cr.fixed_point(newton, 2.0, 1.0)
    array(1.41421356)
    >>> cr.grad(lambda a: cr.fixed_point(newton, a, 1.0))(2.0)
    array(0.35355339)
    """
    x0 = x0._data if isinstance(x0, Variable) else as_array(x0)
    given = leaves(a)
    if not any(isinstance(leaf, Variable) or getattr(leaf, "requires_grad", False) for leaf in given):
        return _iterate(lambda x: f(a, x), x0, tol, max_iter)
    return _FixedPoint(f, a, x0, tol, max_iter)(*given)


def _iterate(step: Callable[[Array], Any], x: Array, tol: float, max_iter: int) -> Array:
    for _ in range(max_iter):
        new = step(x)
        if _needs_grad(new):
            raise TypeError("fixed_point: f depends on a Variable that is not in a; pass it there")
        new = as_array(new._data if isinstance(new, Variable) else new)
        if new.shape != x.shape:
            raise ValueError(f"fixed_point: f returned shape {new.shape} for x of shape {x.shape}")
        if everywhere(np.abs(new - x) <= tol * (1 + np.abs(new))):
            return new
        x = new
    raise RuntimeError(f"fixed_point did not converge within {max_iter} iterations (tol={tol:g})")


class _FixedPoint(Function):
    """A recorded ``fixed_point``, a function of the leaves of ``a``."""

    def __init__(self, f: Callable[[Tree, Any], Any], a: Tree, x0: Array, tol: float, max_iter: int):
        self._f, self._tree, self._x0, self._options = f, tree_map(lambda leaf: 0, a), x0, (tol, max_iter)

    def forward(self, *values: Array) -> Array:
        a = rebuild(self._tree, list(values))
        return _iterate(lambda x: self._f(a, x), self._x0, *self._options)

    def backward(self, g: Any) -> Any:
        a, x = rebuild(self._tree, [v.data for v in self.inputs]), self.outputs[0].data

        def step(given: Tree, u: Any) -> Any:
            a, x, g = given
            return g + vjp(self._f, a, x)[1](u)[1]

        u = fixed_point(step, (a, x, g), np.zeros_like(g), *self._options)
        return tuple(leaves(vjp(self._f, a, x)[1](u)[0]))
