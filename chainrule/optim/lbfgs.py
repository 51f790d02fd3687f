"""L-BFGS: steps by an approximation of the inverse Hessian, of the last few steps and their changes of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..core.config import enable_grad
from ..kernels.optimizers import real
from .optimizer import Group, Optimizer, Params, ascent


class LBFGS(Optimizer):
    """Quasi-Newton steps for deterministic losses, with the memory of ``history_size`` steps.

    Each ``step`` does up to ``max_iter`` iterations, and calls its closure, which computes loss and gradients, for each.

    Args:
        params: Variables.
        lr: the learning rate; the first trial of the line search.
        max_iter: how many iterations a step does at most.
        max_eval: how often it calls the closure at most; by default 1.25 max_iter.
        tolerance_grad: it ends where no element of the gradient is larger.
        tolerance_change: it ends where neither the parameters nor the loss change by more.
        history_size: how many steps are remembered.
        line_search_fn: ``"strong_wolfe"`` for steps that fulfil the strong Wolfe conditions, None for steps of ``lr``.

    Raises:
        ValueError: there is more than one group, or another line search is asked for.

    Source: J. Nocedal, S. Wright, Numerical Optimization, 2nd edition, algorithms 7.4, 3.5 and 3.6 (2006).

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import optim
    >>> p = cr.Parameter(np.array([-1.2, 1.0]))
    >>> optimizer = optim.LBFGS([p], max_iter=100, line_search_fn="strong_wolfe")
    >>> def rosenbrock():
    ...     optimizer.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(rosenbrock)
    >>> p.data.round(3)
    array([1., 1.])
    """

    scalars = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        options = {"max_iter": max_iter, "max_eval": max_eval, "history_size": history_size, "line_search_fn": line_search_fn}
        super().__init__(params, {"lr": lr, **options, "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change})

    def check(self, group: Group) -> None:
        super().check(group)
        if self.param_groups:
            raise ValueError("LBFGS has one group of parameters")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn is 'strong_wolfe' or None, not {group['line_search_fn']!r}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do up to ``max_iter`` iterations; ``closure`` computes the loss and the gradients anew.

        Returns:
            what the first call of ``closure`` has returned.
        """
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that computes the loss and the gradients anew")
        (group,) = self.param_groups
        lr, line_search = group["lr"], group["line_search_fn"] is not None
        state = self.state.setdefault(group["params"][0], {})
        evaluations = 0
        first = None

        def evaluate() -> tuple[float, Array]:
            nonlocal evaluations, first
            with enable_grad():
                result = closure()
            evaluations += 1
            first = result if first is None else first
            return float(result), self._gradient()

        loss, g = evaluate()
        state["func_evals"] = state.get("func_evals", 0) + 1
        if np.max(np.abs(g), initial=0) <= group["tolerance_grad"]:
            return first
        if "n_iter" not in state:
            state.update(n_iter=0, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        for iteration in range(1, group["max_iter"] + 1):
            d = self._direction(g, state, group["history_size"])
            state["n_iter"] += 1
            t = lr * min(1.0, 1 / float(np.abs(g).sum())) if state["n_iter"] == 1 else lr
            previous, slope = loss, float(g @ d)
            state.update(d=d, t=t, prev_flat_grad=g, prev_loss=previous)
            if slope > -group["tolerance_change"]:
                break
            before = evaluations
            start = self._positions()
            if line_search:
                left = group["max_eval"] - evaluations

                def along(t: float, d: Array = d, start: list[Array] = start) -> _Point:
                    self._move(start, t, d)
                    f, g = evaluate()
                    return _Point(t, f, g, float(g @ d))

                found = strong_wolfe(along, _Point(0.0, loss, g, slope), t, float(np.abs(d).max()), left)
                loss, g, t = found.f, found.g, found.t
                state["t"] = t
                self._move(start, t, d)
            else:
                self._move(start, t, d)
                if iteration < group["max_iter"]:
                    loss, g = evaluate()
            state["func_evals"] += evaluations - before
            if (
                evaluations >= group["max_eval"]
                or np.abs(g).max() <= group["tolerance_grad"]
                or np.abs(d).max() * t <= group["tolerance_change"]
                or abs(loss - previous) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, g: Array, state: dict[str, Any], history_size: int) -> Array:
        """The approximate inverse Hessian times -g, after the last step has been added to it."""
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        if state["n_iter"]:
            y, s = g - state["prev_flat_grad"], state["t"] * state["d"]
            ys = float(y @ s)
            if ys > 1e-10:
                for kept, new in ((changes, y), (steps, s), (ro, 1 / ys)):
                    kept.append(new)
                    del kept[:-history_size]
                state["H_diag"] = ys / float(y @ y)
        d = -g
        weights = []
        for y, s, r in zip(reversed(changes), reversed(steps), reversed(ro), strict=True):
            weights.append(r * float(s @ d))
            d -= weights[-1] * y
        d *= state["H_diag"]
        for y, s, r, weight in zip(changes, steps, ro, reversed(weights), strict=True):
            d += (weight - r * float(y @ d)) * s
        return d

    def _gradient(self) -> Array:
        """All parameters' gradients as one vector."""
        parts = [np.zeros_like(p.data) if p.grad is None else ascent(p) for p in self._parameters()]
        return np.concatenate([np.ravel(real(np.ascontiguousarray(g))) for g in parts])

    def _positions(self) -> list[Array]:
        return [p.data.copy() for p in self._parameters()]

    def _move(self, start: list[Array], t: float, d: Array) -> None:
        """Put the parameters at ``start`` + t d."""
        offset = 0
        for p, origin in zip(self._parameters(), start, strict=True):
            size = real(origin).size
            step = d[offset : offset + size].reshape(real(origin).shape)
            real(p.data)[...] = real(origin) + t * step
            p.data = p.data  # tells the tape
            offset += size


class _Point(NamedTuple):
    """A place along the direction of the search: how far it is, the loss, its gradient, and its slope along the direction."""

    t: float
    f: float
    g: Array
    slope: float


def strong_wolfe(
    along: Callable[[float], _Point],
    start: _Point,
    t: float,
    length: float,
    max_evaluations: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> _Point:
    """A point where the loss is low and its slope flat: f <= f0 + c1 t f0' and |f'| <= c2 |f0'|; or the best that was found.

    Args:
        along: the point at a distance.
        start: the point at 0.
        t: the first distance to try.
        length: the largest element of the direction.
        max_evaluations: how often ``along`` may be called, besides the first time.
        c1: see above.
        c2: see above.
        tolerance: it ends where the points that it searches between are nearer, along each axis.
    """

    def too_high(point: _Point) -> bool:
        return point.f > start.f + c1 * point.t * start.slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    previous, point, count = start, along(t), 0
    low, high = start, point
    while count < max_evaluations:
        if too_high(point) or (count > 1 and point.f >= previous.f) or (not flat(point) and point.slope >= 0):
            low, high = sorted((previous, point), key=lambda each: each.f)
            break
        if flat(point):
            return point
        t = _cubic_minimum(previous, point, point.t + 0.01 * (point.t - previous.t), 10 * point.t)
        previous, point, count = point, along(t), count + 1
    else:
        low, high = sorted((start, point), key=lambda each: each.f)

    stalled = False
    while count < max_evaluations and abs(high.t - low.t) * length >= tolerance:
        left, right = sorted((low.t, high.t))
        t = _cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stalled or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stalled = near
        point, count = along(t), count + 1
        if too_high(point) or point.f >= low.f:
            low, high = sorted((low, point), key=lambda each: each.f)
        else:
            if flat(point):
                return point
            low, high = point, low if point.slope * (high.t - low.t) >= 0 else high
    return low


def _cubic_minimum(a: _Point, b: _Point, lowest: float, highest: float) -> float:
    """Where the cubic through two points with their slopes is least, within bounds; their middle if it has no minimum."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (lowest + highest) / 2
    d2 = math.sqrt(square)
    below = b.slope - a.slope + 2 * d2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / below) if below else math.inf
    return min(max(t, lowest), highest)
