"""Functions that make derivatives of functions: of arrays, and of arrays held in tuples, lists, dicts and dataclasses.

Arrays in, arrays out; Variables in, Variables out, recorded. So transforms compose, in any order and to any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import count
from math import prod
from typing import Any

import numpy as np

from .core import config
from .core.arrays import Array, as_array, gradient_dtype, is_numeric, ndarray, ones
from .core.backward import walk
from .core.batched import Batched, Level, all_or_each, at_level, current, deepest, examples, is_bare, level_of, unbatched
from .core.collection import seldom_collected
from .core.function import Function
from .core.variable import Variable, plain
from .dispatch import RECORDERS, unwrap
from .dispatch.forward import Forward
from .trees import Tree, leaves, rebuild, rebuild_named, tree_map

F = Callable[..., Any]
Argnums = int | tuple[int, ...]


# ---- what all share -------------------------------------------------------------------------------------


class _Pass:
    """One differentiation: its inputs as Variables, and whether something outside differentiates it in turn.

    ``beside`` are the arguments that it is not in.
    """

    def __init__(self, primals: Sequence[Tree], beside: Sequence[Tree] = ()):
        self.era = _new_era()
        self.nested = _is_nested([*primals, *beside])
        self.inputs: list[Variable] = []
        self.primals = [tree_map(self._input, tree) for tree in primals]

    def _input(self, x: Any) -> Variable:
        made = _input(x, self.era)
        self.inputs.append(made)
        return made

    def __enter__(self) -> None:
        seldom_collected.__enter__()
        self._tokens = config.reverse.set(True), config.enable_backprop.set(True)

    def __exit__(self, *exc: object) -> None:
        config.reverse.reset(self._tokens[0])
        config.enable_backprop.reset(self._tokens[1])
        seldom_collected.__exit__()

    def gradients(self, outputs: Sequence[Any], seeds: Sequence[Any], retain: bool = False) -> list[Any]:
        """The gradient of each input, given those of the outputs."""
        nested = self.nested or any(map(_requires_grad, seeds))
        return _gradients(self.inputs, outputs, seeds, nested, retain or nested, self.era)

    def result(self, tree: Tree) -> Tree:
        """What the function returned, as the caller is to get it."""
        return tree if self.nested else tree_map(plain, tree)


def _gradients(
    inputs: Sequence[Variable], outputs: Sequence[Any], seeds: Sequence[Any], create_graph: bool, retain_graph: bool, era: int
) -> list[Any]:
    """The gradient of each input, given those of the outputs; zeros where nothing depends on it.

    What was recorded before the inputs' era is not walked through: it belongs to what is differentiated around this.
    """
    depending, given = [], []
    for y, g in zip(outputs, seeds, strict=True):
        if isinstance(y, Variable) and y._edge is not None and y._edge.generation >= era:
            depending.append(y)
            given.append(g)
    found: dict[Any, Any] = walk(depending, given, create_graph, retain_graph, stop={x._edge for x in inputs}, since=era)
    gradients = []
    for x in inputs:
        g = found.get(x._edge)
        if g is None:
            g = np.zeros(x.shape, gradient_dtype(x.dtype))
        gradients.append(as_array(g) if isinstance(g, np.generic) else g)  # NumPy makes scalars in sums of 0-d arrays
    return gradients


def _is_nested(given: Iterable[Tree]) -> bool:
    """Whether something outside differentiates what is computed from these now."""
    return config.reverse.get() or config.forward.get() is not None or any(map(_requires_grad, given))


def _requires_grad(tree: Tree) -> bool:
    """Whether there is a Variable in it that does."""
    if tree.__class__ is ndarray:
        return False
    return any(isinstance(x, (Variable, Batched)) and x.requires_grad for x in leaves(tree))


def _input(x: Any, era: int) -> Variable:
    """A Variable of one's own for an input, that a gradient of the outside still flows through.

    Inside a vmap, what comes from around it is data.
    """
    level = current.get()
    made: Variable
    if level is not None and level_of(x) is not level:
        made = Variable(at_level(x, level))
    elif isinstance(x, Variable) and x.requires_grad:
        with config.using_config("enable_backprop", True):
            made = RECORDERS[np.positive](x)
    else:
        made = Variable(x._data if isinstance(x, Variable) else as_array(x))
    made._edge.generation = era  # type: ignore[union-attr]
    return made


def _new_era() -> int:
    """A generation after all that is recorded yet: what depends on an input of this era comes later, and nothing else does."""
    return next(_eras) << 32


_eras = count(1)


def _chosen(args: Sequence[Any], argnums: Argnums) -> list[int]:
    """The positions to differentiate in."""
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    for k in chosen:
        if not -len(args) <= k < len(args):
            raise ValueError(f"argnums {argnums} for a call with {len(args)} positional arguments")
    return [k % len(args) for k in chosen]


def _of(f: F, args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums) -> tuple[F, list[Any], list[Any]]:
    """``f`` as a function of the chosen arguments alone, these arguments, and those beside them."""
    chosen = _chosen(args, argnums)
    if not kwargs and chosen == [*range(len(args))]:
        return f, [*args], []

    def call(*primals: Any) -> Any:
        given = list(args)
        for k, primal in zip(chosen, primals, strict=True):
            given[k] = primal
        return f(*given, **kwargs)

    return call, [args[k] for k in chosen], [*(arg for k, arg in enumerate(args) if k not in chosen), *kwargs.values()]


def _as_asked(found: Sequence[Any], argnums: Argnums) -> Any:
    return found[0] if isinstance(argnums, int) else tuple(found)


# ---- gradients ------------------------------------------------------------------------------------------


def value_and_grad(f: F, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> F:
    """Make a function that returns ``f``'s value and its gradient.

    Args:
        f: returns a scalar; with ``has_aux`` a pair of a scalar and anything.
        argnums: the position of the argument to differentiate in, or several.
        has_aux: whether ``f`` returns such a pair.
        holomorphic: whether ``f`` is a holomorphic function of complex numbers, whose derivative is wanted.

    Raises:
        TypeError: ``f`` returns no scalar, or a complex one without ``holomorphic``.

    >>> import numpy as np, chainrule as cr
    >>> cr.value_and_grad(lambda x: np.sum(x ** 2))(np.array([1.0, 2.0]))
    (array(5.), array([2., 4.]))
    """

    @wraps(f)
    def evaluate(*args: Any, **kwargs: Any) -> Any:
        call, primals, beside = _of(f, args, kwargs, argnums)
        run = _Pass(primals, beside)
        with run:
            y = call(*run.primals)
            y, aux = y if has_aux else (y, None)
            data = _checked_scalar(y, holomorphic)
            gradients = run.gradients([y], [ones(data.shape, gradient_dtype(data.dtype))])
        found = _as_asked(rebuild_named(primals, gradients), argnums)
        value = run.result(y if isinstance(y, Variable) else as_array(y))
        return ((value, run.result(aux)), found) if has_aux else (value, found)

    return evaluate


def _checked_scalar(y: Any, holomorphic: bool) -> Array:
    """The array of what the function returned, which must be a scalar."""
    value = as_array(plain(y))
    if not is_numeric(value):
        raise TypeError(f"grad needs a function that returns a scalar; it returned {type(y).__name__}. Is a return missing?")
    if value.size != 1:
        raise TypeError(
            f"grad needs a function that returns a scalar; it returned an array of shape {value.shape}. Use "
            "elementwise_grad, jacobian or vjp"
        )
    if value.dtype.kind == "c" and not holomorphic:
        raise TypeError("the function returned a complex number; for the derivative of a holomorphic one pass holomorphic=True")
    return value


def grad(f: F, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> F:
    """Make the gradient of a function that returns a scalar. Arguments as ``value_and_grad``; with ``has_aux`` also the aux.

    >>> import numpy as np, chainrule as cr
    >>> cr.grad(np.sin)(0.0)
    array(1.)
    >>> cr.grad(cr.grad(lambda x: x ** 3))(2.0)
    array(12.)
    >>> cr.grad(lambda p: p["a"] * p["b"][0])({"a": 2.0, "b": [5.0]})
    {'a': array(5.), 'b': [array(2.)]}
    """
    evaluate = value_and_grad(f, argnums, has_aux, holomorphic)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = evaluate(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def elementwise_grad(f: F, argnums: Argnums = 0) -> F:
    """Make the gradient of the sum of what a function returns: its derivative, where it works element by element.

    >>> import numpy as np, chainrule as cr
    >>> cr.elementwise_grad(np.square)(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        y, pull = _vjp(*_of(f, args, kwargs, argnums))
        return _as_asked(pull(tree_map(lambda leaf: np.ones(leaf.shape, leaf.dtype), y)), argnums)

    return gradient


# ---- products with the Jacobian -------------------------------------------------------------------------


def vjp(f: F, *primals: Tree) -> tuple[Tree, F]:
    """Return ``f(*primals)``, and the function from a gradient of that to the gradients of the primals: g to g J.

    >>> import numpy as np, chainrule as cr
    >>> y, pull = cr.vjp(lambda x: x ** 2, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    return _vjp(f, primals)


def _vjp(f: F, primals: Sequence[Tree], beside: Sequence[Tree] = ()) -> tuple[Tree, F]:
    run = _Pass(primals, beside)
    with run:
        y = f(*run.primals)
    y = tree_map(lambda leaf: leaf if isinstance(leaf, Variable) else as_array(leaf), y)

    def pull(g: Tree) -> tuple[Tree, ...]:
        seeds = [_cast(v, leaf) for v, leaf in zip(leaves(g), leaves(y), strict=True)]
        with run:
            return tuple(rebuild_named(list(primals), run.gradients(leaves(y), seeds, retain=True)))

    return run.result(y), pull


def _cast(v: Any, like: Any) -> Any:
    """A vector beside what it multiplies: an array or Variable of the same shape and dtype."""
    v = v if isinstance(v, Variable) else as_array(v)
    if v.shape != like.shape:
        raise ValueError(f"a vector of shape {v.shape} beside a value of shape {like.shape}")
    dtype = gradient_dtype(like.dtype)
    return v if v.dtype == dtype else v.astype(dtype)


def jvp(f: F, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, Tree]:
    """Return ``f(*primals)`` and its derivative in the direction ``tangents``, J t, in one pass forward.

    >>> import numpy as np, chainrule as cr
    >>> cr.jvp(np.sin, [np.array([0.0, np.pi])], [np.array([1.0, 1.0])])
    (array([0.0000000e+00, 1.2246468e-16]), array([ 1., -1.]))
    """
    return _jvp(f, primals, tangents)


def _jvp(f: F, primals: Sequence[Tree], tangents: Sequence[Tree], beside: Sequence[Tree] = ()) -> tuple[Tree, Tree]:
    if not (isinstance(primals, (list, tuple)) and isinstance(tangents, (list, tuple)) and len(primals) == len(tangents)):
        raise TypeError("the arguments and their tangents are two lists of the same length, as in jvp(f, [x], [t])")
    run = _Pass(primals, beside)
    vectors = [_cast(t, x) for t, x in zip(leaves(list(tangents)), run.inputs, strict=True)]
    recorded = run.nested or any(map(_requires_grad, vectors))
    forward = Forward(recorded)
    for x, t in zip(run.inputs, vectors, strict=True):
        forward.start(x, t if recorded else plain(t))
    with forward.active():
        y = f(*run.primals)
    y = tree_map(lambda leaf: leaf if isinstance(leaf, Variable) else as_array(leaf), y)
    tangent = tree_map(lambda leaf: as_array(forward.tangent(leaf)) if not recorded else forward.tangent(leaf), y)
    return (y, tangent) if recorded else (tree_map(plain, y), tangent)


def linearize(f: F, *primals: Tree) -> tuple[Tree, F]:
    """Return ``f(*primals)``, and the function from tangents to J t, which calls ``f`` no more.

    >>> import numpy as np, chainrule as cr
    >>> y, push = cr.linearize(lambda x: x ** 3, np.array([1.0, 2.0]))
    >>> push(np.array([1.0, 1.0]))
    array([ 3., 12.])
    """
    nested = _is_nested(primals)
    y, pull = vjp(f, *primals)
    era = _new_era()
    seeds = [_input(np.zeros(leaf.shape, gradient_dtype(leaf.dtype)), era) for leaf in leaves(y)]
    gradients = leaves(pull(rebuild(y, seeds)))  # linear in the seeds

    def push(*tangents: Tree) -> Tree:
        vectors = [_cast(t, g) for t, g in zip(leaves(list(tangents)), gradients, strict=True)]
        return rebuild(y, _gradients(seeds, gradients, vectors, nested or any(map(_requires_grad, vectors)), True, era))

    return y, push


# ---- second derivatives ---------------------------------------------------------------------------------


def hvp(f: F, primals: Sequence[Tree], tangents: Sequence[Tree], argnums: Argnums = 0) -> Tree:
    """Return the product of the Hessian of a scalar function and a vector, forward over reverse: H t.

    Args:
        f: returns a scalar.
        primals: its arguments.
        tangents: the vector, in pieces like the arguments.
        argnums: the argument (or arguments) in which the gradient is taken.

    Source: B. Pearlmutter, Fast Exact Multiplication by the Hessian (1994).

    >>> import numpy as np, chainrule as cr
    >>> cr.hvp(lambda x: np.sum(x ** 3), [np.array([1.0, 2.0])], [np.array([1.0, 0.0])])
    array([6., 0.])
    """
    return jvp(grad(f, argnums), primals, tangents)[1]


def make_ggnvp(f: F, g: F = lambda y: 0.5 * np.sum(y**2)) -> F:
    """Make the product of the generalised Gauss-Newton matrix of g(f(x)) and a vector: ``make_ggnvp(f, g)(x)(v)`` = Jᵀ H J v.

    Here J is the Jacobian of ``f`` at x, and H the Hessian of the scalar function ``g`` at f(x).

    Source: N. Schraudolph, Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent (2002).

    >>> import numpy as np, chainrule as cr
    >>> cr.make_ggnvp(lambda x: x ** 2)(np.array([1.0, 2.0]))(np.array([1.0, 1.0]))
    array([ 4., 16.])
    """

    def at(x: Tree) -> F:
        y, pull = vjp(f, x)

        def product(v: Tree) -> Tree:
            return pull(hvp(g, [y], [jvp(f, [x], [v])[1]]))[0]

        return product

    return at


# ---- matrices of derivatives ----------------------------------------------------------------------------


def jacobian(f: F, argnums: Argnums = 0, mode: str | None = None, chunk_size: int | None = None) -> F:
    """Make the matrix of derivatives of a function that returns an array: dy_i / dx_j, of shape y.shape + x.shape.

    Its rows (or columns) are computed together, in one pass.

    Args:
        f: returns an array.
        argnums: the position of the argument to differentiate in, an array, or several.
        mode: ``"forward"``, by columns, one for each element of x, or ``"reverse"``, by rows, one for each element of y; by
            default whichever are fewer.
        chunk_size: how many rows or columns are computed at once, where the memory doesn't suffice for all.

    Raises:
        ValueError: ``mode`` is something else, or ``chunk_size`` is not positive.

    >>> import numpy as np, chainrule as cr
    >>> cr.jacobian(lambda x: x[:2] * x[2])(np.array([1.0, 2.0, 3.0]))
    array([[3., 0., 1.],
           [0., 3., 2.]])
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode is 'forward', 'reverse' or None, not {mode!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be positive, and is {chunk_size}")

    @wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        call, primals, beside = _of(f, args, kwargs, argnums)
        xs = [_array(x, "in") for x in primals]
        y, pull = _vjp(call, primals, beside)
        y = _array(y, "of")
        if mode == "reverse" or (mode is None and prod(y.shape) <= sum(prod(x.shape) for x in xs)):
            found = _by_rows(pull, y, xs, chunk_size)
        else:
            found = _by_columns(lambda tangents: _jvp(call, primals, tangents, beside)[1], y, xs, chunk_size)
        return _as_asked(found, argnums)

    return matrix


def _by_rows(pull: F, y: Any, xs: Sequence[Any], chunk_size: int | None) -> list[Any]:
    """The Jacobian in each of ``xs`` from vectors g of y's shape: g J for all unit vectors."""
    from . import batching  # noqa: F401 (how a Batched computes)

    rows = []
    for units in _units(y, chunk_size):
        with examples(len(units)) as level:
            rows.append([unbatched(row, level) for row in pull(Batched(units, level))])
    return [
        np.reshape(np.concatenate([row[k] for row in rows]), y.shape + x.shape)
        if rows
        else np.zeros(y.shape + x.shape, x.dtype)
        for k, x in enumerate(xs)
    ]


def _by_columns(push: F, y: Any, xs: Sequence[Any], chunk_size: int | None) -> list[Any]:
    """The same from vectors t of the shape of x: J t for all unit vectors."""
    from . import batching  # noqa: F401

    zeros, found = [np.zeros(x.shape, x.dtype) for x in xs], []
    for k, x in enumerate(xs):
        columns = []
        for units in _units(x, chunk_size):
            level = Level(len(units))
            columns.append(unbatched(push([*zeros[:k], Batched(units, level), *zeros[k + 1 :]]), level))
        made = np.moveaxis(np.concatenate(columns), 0, -1) if columns else np.zeros(y.shape + x.shape, y.dtype)
        found.append(np.reshape(made, y.shape + x.shape))
    return found


def _units(x: Any, chunk_size: int | None) -> Iterator[Array]:
    """The arrays like ``x`` that are 1 at one element, and 0 elsewhere, along a first axis; so many at once."""
    n = prod(x.shape)
    step = chunk_size or n
    for start in range(0, n, max(step, 1)):
        yield np.eye(min(step, n - start), n, start, gradient_dtype(x.dtype)).reshape(-1, *x.shape)


def _array(x: Any, preposition: str) -> Any:
    """What a matrix of derivatives is of, or in: an array or Variable."""
    contained = isinstance(x, dict) or (isinstance(x, (list, tuple)) and preposition == "of")
    found = x if isinstance(x, (Variable, Batched)) or contained else as_array(x)
    if contained or not is_numeric(found):
        raise TypeError(
            f"jacobian is the derivative {preposition} one array, not {type(x).__name__}; use argnums for several arguments, "
            "and vjp or jvp for containers"
        )
    return found


def hessian(f: F, argnums: int = 0, chunk_size: int | None = None) -> F:
    """Make the matrix of second derivatives of a function that returns a scalar, of shape x.shape + x.shape.

    >>> import numpy as np, chainrule as cr
    >>> cr.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 2.0]))
    array([[4., 6.],
           [6., 0.]])
    """
    return jacobian(grad(f, argnums), argnums, "forward", chunk_size)


# ---- functions with derivatives of their own ------------------------------------------------------------


def stop_gradient(tree: Tree) -> Tree:
    """Return a tree of plain arrays, which are constants to whatever follows.

    >>> import numpy as np, chainrule as cr
    >>> cr.grad(lambda x: x * cr.stop_gradient(x))(3.0)
    array(3.)
    """
    return tree_map(unwrap, tree)


class custom_vjp:
    """A function whose derivative is given: decorate the function, then give ``defvjp`` its two halves.

    ``forward(*args)`` returns the result and what is to be kept; ``backward(kept, g)`` returns the gradients of the
    arguments, as a tuple. Both work on arrays. Where both are written in NumPy's functions, the function can be
    differentiated to any order.

    Raises:
        TypeError: the function is differentiated before ``defvjp`` was called.

    >>> import numpy as np, chainrule as cr
    >>> @cr.custom_vjp
    ... def clipped_gradient(x):
    ...     return x
    >>> clipped_gradient.defvjp(lambda x: (x, None), lambda kept, g: (np.clip(g, -1, 1),))
    >>> cr.grad(lambda x: 5 * clipped_gradient(x))(2.0)
    array(1.)
    """

    def __init__(self, f: F):
        wraps(f)(self)
        self._f = f
        self._halves: tuple[F, F] | None = None

    def defvjp(self, forward: F, backward: F) -> None:
        """Give the function that also returns what is to be kept, and the one that returns the gradients."""
        self._halves = forward, backward

    def __call__(self, *args: Any) -> Any:
        level = deepest(args)
        if level is not None and is_bare(level, args) and not _requires_grad(args):
            return all_or_each(self._f, args, level)
        if level is None and not any(isinstance(x, Variable) for x in args):
            return self._f(*args)
        if self._halves is None:
            raise TypeError(f"{getattr(self, '__name__', 'custom_vjp')} has no derivative yet; give it one with defvjp")
        return _CustomCall(getattr(self, "__name__", "custom_vjp"), *self._halves)(*args)


class _CustomCall(Function):
    """A recorded call of a ``custom_vjp`` function."""

    keeps_outputs = False

    def __init__(self, name: str, forward: F, backward: F):
        self._name, self._forward, self._backward = name, forward, backward

    @property
    def name(self) -> str:
        return self._name

    def forward(self, *xs: Any) -> Any:
        y, self.kept = self._forward(*xs)
        return y

    def backward(self, *gys: Any) -> Any:
        return self._backward(self.kept, gys[0] if len(gys) == 1 else gys)
