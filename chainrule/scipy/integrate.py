"""Ordinary differential equations, differentiated by the adjoint method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.integrate as si

from ..calculus.shapes import array
from ..core import config
from ..core.arrays import as_array
from ..core.batched import Batched, level_of
from ..core.function import Function
from ..core.variable import Variable
from ..dispatch import unwrap
from ..transforms import vjp

__all__ = ["odeint"]


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    args: tuple[Any, ...] = (),
    rtol: float | None = None,
    atol: float | None = None,
    tfirst: bool = False,
    **options: Any,
) -> Any:
    """Solve dy/dt = func(y, t, *args), y(t[0]) = y0.

    The gradient in y0, t and args is found by solving for (y, the adjoint a, the gradient in args) from each time in ``t`` back
    to the one before: da/dt = -a df/dy. It is that of the exact solution, as well as the tolerances allow.

    Args:
        func: of arrays or Variables, y of shape (N,); returns what y is, or a list of N numbers or Variables. What is to be
            differentiated in has to be an argument of it.
        y0: (N,).
        t: (T,), in order, rising or falling.
        args: further arguments; those that are Variables get a gradient.
        rtol, atol: relative and absolute tolerance, also of the adjoint's solution.
        tfirst: whether func takes t before y.
        options: others of ``scipy.integrate.odeint``; not ``full_output``, ``Dfun`` or ``col_deriv``.

    Returns:
        (T, N), the solution at each time; the first is y0.

    Raises:
        TypeError: func depends on a Variable that is not among its arguments.

    Source: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary Differential Equations (2018).

    >>> import chainrule as cr
    >>> rate = cr.Variable(np.array(0.5))
    >>> y = odeint(lambda y, t, rate: -rate * y, np.array([1.0]), np.array([0.0, 2.0]), (rate,))
    >>> y[-1].backward()
    >>> round(float(rate.grad), 5)  # of exp(-2 rate)
    -0.73576
    """
    if unknown := options.keys() & {"full_output", "Dfun", "col_deriv"}:
        raise TypeError(f"odeint: the option {', '.join(sorted(unknown))} is not supported")
    options |= {"rtol": rtol, "atol": atol}
    moving = [i for i, a in enumerate(args) if isinstance(a, (Variable, Batched))]

    def rate(y: Any, time: Any, *variables: Any) -> Any:
        given = list(args)
        for i, variable in zip(moving, variables, strict=True):
            given[i] = variable
        found = func(time, y, *given) if tfirst else func(y, time, *given)
        return array(list(found)) if isinstance(found, (list, tuple)) else found

    y0, t, variables = as_array(y0), as_array(t), [args[i] for i in moving]
    if level_of([y0, t, variables]) is None:
        _check(rate, unwrap(y0), unwrap(t), unwrap(variables))
    return _solve(rate, y0, t, variables, options)


@contextmanager
def _apart() -> Iterator[None]:
    """Inside, derivatives are of their own, and no differentiation under way outside records them."""
    reverse, forward = config.reverse.set(False), config.forward.set(None)
    try:
        yield
    finally:
        config.reverse.reset(reverse)
        config.forward.reset(forward)


def _check(rate: Callable[..., Any], y0: Any, t: Any, args: list[Any]) -> None:
    """Call the function once on plain arrays: what then has a gradient came another way."""
    if y0.ndim != 1 or t.ndim != 1:
        raise ValueError(f"odeint: y0 has shape {y0.shape} and t {t.shape}; both need one dimension")
    with _apart():
        found = rate(y0, t[0], *args)
    if isinstance(found, Variable) and found.requires_grad:
        raise TypeError("odeint: func depends on a Variable that is not among its arguments; pass it in args=(...,)")
    if np.shape(found) != y0.shape:
        raise ValueError(f"odeint: func returns shape {np.shape(found)}, y0 has {y0.shape}")


def _solve(rate: Callable[..., Any], y0: Any, t: Any, args: list[Any], options: dict[str, Any]) -> Any:
    solver = _Odeint(rate, options)
    if any(isinstance(x, (Variable, Batched)) for x in (y0, t, *args)):
        return solver(y0, t, *args)
    return solver.forward(y0, t, *args)


class _Odeint(Function):
    """The solution of an initial value problem, a function of y0, t and further arguments."""

    def __init__(self, rate: Callable[..., Any], options: dict[str, Any]):
        self.rate, self.options = rate, options

    @property
    def name(self) -> str:
        return "odeint"

    def forward(self, y0: Any, t: Any, *args: Any) -> Any:
        def plain(y: Any, time: float, *given: Any) -> Any:
            return unwrap(self.rate(y, time, *given))

        with _apart(), config.no_grad():
            return si.odeint(plain, y0, t, args, **self.options)

    def backward(self, g: Any) -> Any:
        t, *args = (x.data for x in self.inputs[1:])
        y, n = self.outputs[0].data, g.shape[1]
        sizes = [x.size for x in args]

        def adjoint(z: Any, time: Any, *args: Any) -> Any:
            """The rates of y, of the adjoint and of the gradient in each argument."""
            dy, pull = vjp(lambda y, *args: self.rate(y, time, *args), z[:n], *args)
            return np.concatenate([dy, *(-np.reshape(d, -1) for d in pull(z[n : 2 * n]))])

        a, rest, times = g[-1], np.zeros(sum(sizes)), []
        for k in range(len(t) - 1, 0, -1):
            times.append(np.sum(g[k] * self.rate(y[k], t[k], *args)))
            z = _solve(adjoint, np.concatenate([y[k], a, rest]), np.stack([t[k], t[k - 1]]), args, self.options)[-1]
            a, rest = z[n : 2 * n] + g[k - 1], z[2 * n :]
        times.append(-np.sum((a - g[0]) * self.rate(y[0], t[0], *args)))
        parts = np.split(rest, np.cumsum(sizes)[:-1].tolist()) if args else []
        return a, np.stack(times[::-1]), *(np.reshape(d, x.shape) for d, x in zip(parts, args, strict=True))
