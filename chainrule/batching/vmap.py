"""vmap: a function of one example, on all examples of a batch at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..core.arrays import as_array
from ..core.batched import Batched, Level, examples, undifferentiated, whole
from ..core.variable import Variable
from ..trees import Tree, children, leaves, rebuild
from . import calls  # noqa: F401 (how a Batched computes)

#: Axes of a tree's leaves: one for all, or a tree of them that ends where the tree does or before.
Axes = Any


def vmap(f: Callable[..., Tree], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Tree]:
    """Make a function of one example one of a batch: ``f`` is called once, and computes for all examples together.

    Args:
        f: a function of arrays and trees of them, which returns such. It may be a derivative that another transform has made.
        in_axes: along which axis of the arguments the examples are; None for an argument that is the same for all. A tuple has
            an axis for each argument; for an argument that is a container, one for all that is in it, or a container of them.
            Keyword arguments are the same for all.
        out_axes: where the results have their axis of examples. None for what is the same for all.

    Raises:
        ValueError: the arguments have different numbers of examples, or an axis that is not there.
        TypeError: ``f`` asks for a truth value, a number or a plain array, which would be another for each example.

    >>> import numpy as np, chainrule as cr
    >>> cr.vmap(np.dot)(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    array([3., 4.])

    The gradient for each example, of a loss whose weights they share:

    >>> loss = lambda w, x: np.square(w @ x)
    >>> cr.vmap(cr.grad(loss), in_axes=(None, 0))(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    array([[2., 0.],
           [6., 6.]])
    """

    @wraps(f)
    def of_batch(*args: Tree, **kwargs: Any) -> Tree:
        axes = list(in_axes) if isinstance(in_axes, (tuple, list)) else [in_axes] * len(args)
        if len(axes) != len(args):
            raise ValueError(f"vmap: in_axes {in_axes} has {len(axes)} entries for {len(args)} arguments")
        given, of_each = leaves(args), _axes_of_leaves(axes, list(args), "in_axes")
        pairs = [(x if a is None else _array(x), a) for x, a in zip(given, of_each, strict=True)]
        with examples(_size(pairs)) as level:
            inputs = [_input(x, a, level) for x, a in pairs]
            y = f(*rebuild(args, inputs), **kwargs)
            are_arrays = not any(isinstance(x, Variable) for x in leaves([args, list(kwargs.values())]))
            found = [
                _result(out, a, level, are_arrays)
                for out, a in zip(leaves(y), _axes_of_leaves(out_axes, y, "out_axes"), strict=True)
            ]
        return rebuild(y, found)

    return of_batch


def _input(x: Any, axis: int | None, level: Level) -> Any:
    if axis is not None:
        return Batched(x if axis == 0 else np.moveaxis(x, axis, 0), level)
    return Batched(x, level, mapped=False) if isinstance(x, np.ndarray) and x.ndim else x  # so that x[i] works


def _array(x: Any) -> Any:
    return x if isinstance(x, (Variable, Batched)) else as_array(x)


def _size(pairs: list[tuple[Any, int | None]]) -> int:
    """The number of examples, which all mapped arguments agree in."""
    sizes: dict[int, tuple[tuple[int, ...], int]] = {}
    for x, axis in pairs:
        if axis is None:
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(
                f"vmap: an argument of shape {x.shape} has no axis {axis} of examples; None in in_axes gives it to all examples"
            )
        sizes.setdefault(x.shape[axis], (x.shape, axis))
    if not sizes:
        raise ValueError("vmap: no argument has an axis of examples; at least one entry of in_axes must not be None")
    if len(sizes) > 1:
        shown = ", ".join(f"{n} along axis {axis} of {shape}" for n, (shape, axis) in sizes.items())
        raise ValueError(f"vmap: the arguments have different numbers of examples: {shown}")
    return int(next(iter(sizes)))


def _result(y: Any, axis: int | None, level: Level, are_arrays: bool) -> Any:
    """A result as the caller gets it: a Variable if there was one among the arguments, or if it requires a gradient."""
    y = undifferentiated(y, level)
    if axis is None:
        if isinstance(y, Batched) and y.level is level and y.mapped:
            raise ValueError("vmap: out_axes is None for a result that differs from example to example")
        y = y.inner if isinstance(y, Batched) and y.level is level else y
    else:
        y = whole(y, level)
        y = y if axis == 0 else np.moveaxis(y, 0, axis)
    return y._data if are_arrays and isinstance(y, Variable) and not y.requires_grad else y


def _axes_of_leaves(axes: Axes, tree: Tree, which: str) -> list[int | None]:
    """For each leaf of ``tree`` its axis."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(leaves(tree))
    own, below = children(axes), children(tree)
    if own is None or below is None or len(own) != len(below) or (isinstance(axes, dict) and axes.keys() != tree.keys()):
        raise ValueError(
            f"vmap: {which} {axes!r} is neither an axis, None, nor a container like {type(tree).__name__} given there"
        )
    pairs = zip([axes[k] for k in tree], tree.values(), strict=True) if isinstance(axes, dict) else zip(own, below, strict=True)
    return [axis for a, t in pairs for axis in _axes_of_leaves(a, t, which)]
