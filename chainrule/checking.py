"""check_grads: derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .core import config
from .core.arrays import Array, as_array
from .core.backward import walk
from .core.function import as_tuple
from .core.variable import Variable, as_variable
from .dispatch.forward import Forward

#: For each precision, the relative step of the central difference and the tolerance that it allows.
_PRECISION = {2: (5e-2, 1e-1), 4: (5e-3, 1e-2), 8: (6e-6, 1e-6), 16: (6e-6, 1e-6)}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
) -> None:
    """Check the gradient of ``f`` at ``args`` against central differences, and that gradient's own up to ``order``.

    Forward mode is checked to agree with reverse mode. With a random ``v`` of the result's shape, ``d(v · f)/dx`` is compared
    with ``(v · f(x + h) - v · f(x - h)) / 2h`` for each element x of each floating-point argument. For a complex
    x = a + ib it is d/da - i d/db.

    Args:
        f: takes arrays or Variables and returns an array or Variable, or a tuple or list of them.
        args: the arguments, arrays or numbers; those of integers, booleans and other things are held fixed.
        order: 1 for the gradient alone, 2 for second derivatives too, and so on.
        rtol, atol: the tolerances, by default according to the lowest precision among the arguments.
        seed: for the random ``v``.

    Raises:
        AssertionError: a derivative is wrong. It shows the argument, the element, both values and the step.

    >>> import numpy as np, chainrule as cr
    >>> cr.check_grads(lambda x, y: np.sin(x) / y, (np.array([0.1, 2.0]), np.array(3.0)))
    """
    args = [as_array(a.data if isinstance(a, Variable) else a) if _is_number(a) else a for a in args]
    varied = [k for k, a in enumerate(args) if hasattr(a, "dtype") and a.dtype.kind in "fc"]
    if not varied:
        raise ValueError("check_grads: no argument is a floating-point array")
    itemsize = min(args[k].dtype.itemsize // (2 if args[k].dtype.kind == "c" else 1) for k in varied)
    step, tolerance = _PRECISION[itemsize]
    name = getattr(f, "__name__", f)
    rng = np.random.default_rng(seed)

    def of_varied(*xs: Any) -> tuple[Any, ...]:
        given = list(args)
        for k, x in zip(varied, xs, strict=True):
            given[k] = x
        return as_tuple(f(*given))

    level: Callable[..., tuple[Any, ...]] = of_varied
    xs = [args[k] for k in varied]
    for n in range(1, order + 1):
        vs = [_cotangent(rng, _data(y)) for y in level(*[Variable(x) for x in xs])]
        gradient = _gradient(level, vs)
        exact = [_data(g) for g in gradient(*[Variable(x) for x in xs])]
        _check_forward(level, xs, vs, exact, [_cotangent(rng, x) for x in xs], tolerance, f"derivative {n} of {name}")
        for i, x in enumerate(xs):
            numeric = _difference(level, xs, i, vs, step)
            scale = float(np.max(np.abs(numeric), initial=0.0))
            bound = (tolerance if atol is None else atol) * max(1.0, scale) + (tolerance if rtol is None else rtol) * np.abs(
                numeric
            )
            wrong = ~(np.abs(exact[i] - numeric) <= bound)
            if wrong.any():
                place = tuple(int(j) for j in np.argwhere(wrong)[0])
                at, rule, difference = (values[place].item() for values in (x, exact[i], numeric))
                raise AssertionError(
                    f"derivative {n} of {name} in argument {varied[i]} of shape {x.shape}, at "
                    f"element {place} = {at!r}: the rule gives {rule!r}, central differences with "
                    f"step {step:g} * max(1, |x|) give {difference!r} ({int(wrong.sum())} of {x.size} elements differ)"
                )
        level = gradient


def _gradient(f: Callable[..., tuple[Any, ...]], vs: Sequence[Array]) -> Callable[..., tuple[Any, ...]]:
    """The gradients of v · f in its arguments, as a function of them that can be differentiated itself."""

    def gradient(*xs: Variable) -> tuple[Any, ...]:
        edges = [x._edge for x in xs]
        token = config.reverse.set(True)  # a forward pass around this one is to keep the record
        try:
            ys = f(*[np.positive(x) for x in xs])  # so that what f returns is never an argument itself
        finally:
            config.reverse.reset(token)
        recorded = [(y, v) for y, v in zip(ys, vs, strict=True) if isinstance(y, Variable) and y.creator is not None]
        seeds = [as_variable(v) for _, v in recorded]
        found: dict[Any, Any] = walk([y for y, _ in recorded], seeds, create_graph=True, stop=set(edges))
        return tuple(found.get(edge, np.zeros(x.shape, x.dtype)) for edge, x in zip(edges, xs, strict=True))

    return gradient


def _check_forward(
    f: Callable[..., tuple[Any, ...]],
    xs: Sequence[Array],
    vs: Sequence[Array],
    exact: Sequence[Array],
    tangents: Sequence[Array],
    tolerance: float,
    what: str,
) -> None:
    """Check that forward mode agrees: v · (J t), computed forward, is (v J) · t."""
    forward = Forward(recorded=False)
    inputs = [Variable(x) for x in xs]
    for x, t in zip(inputs, tangents, strict=True):
        forward.start(x, t.astype(x.dtype))
    with forward.active():
        ys = f(*inputs)
    products = [[np.sum(v * _data(forward.tangent(y))) for y, v in zip(ys, vs, strict=True)],
                [np.sum(g * t) for g, t in zip(exact, tangents, strict=True)]]  # fmt: skip
    ahead, back = (float(np.real(sum(terms))) for terms in products)
    scale = max(1.0, *(float(np.max(np.abs(g), initial=0.0)) for g in exact)) * sum(x.size for x in xs)
    if not abs(ahead - back) <= tolerance * scale:
        raise AssertionError(f"{what}: forward mode gives {ahead!r} along a random direction, reverse mode {back!r}")


def _difference(f: Callable[..., tuple[Any, ...]], xs: Sequence[Array], i: int, vs: Sequence[Array], step: float) -> Array:
    """The central differences of v · f in each element of the i-th argument."""
    x = xs[i]
    numeric = np.zeros(x.shape, np.result_type(x.dtype, np.float64))
    for place in np.ndindex(x.shape):
        h = step * max(1.0, abs(x[place]))
        for direction in (1, 1j) if x.dtype.kind == "c" else (1,):
            values = []
            for sign in (1, -1):
                moved = x.copy()
                moved[place] += sign * h * direction
                ys = f(*[Variable(moved if j == i else other) for j, other in enumerate(xs)])
                values.append(sum(np.real(np.sum(v * _data(y).astype(v.dtype))) for y, v in zip(ys, vs, strict=True)))
            numeric[place] += (values[0] - values[1]) / (2 * h) * (1 if direction == 1 else -1j)
    return numeric


def _cotangent(rng: np.random.Generator, y: Array) -> Array:
    v = rng.uniform(0.5, 1.5, y.shape)
    if y.dtype.kind == "c":
        v = v + 1j * rng.uniform(0.5, 1.5, y.shape)
    return np.asarray(v)


def _is_number(a: Any) -> bool:
    return isinstance(a, (float, complex, Variable)) or hasattr(a, "dtype")


def _data(y: Any) -> Array:
    return np.asarray(y.data if isinstance(y, Variable) else y)
