"""Stochastic gradient descent, and its average."""

from __future__ import annotations

from typing import Any

from .elementwise import ElementwiseOptimizer
from .optimizer import Group, Params, State


class SGD(ElementwiseOptimizer):
    """Gradient descent, with momentum: v = momentum v + (1 - dampening) g; p = p - lr v.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        momentum: the part of v that is kept. The first v is g.
        dampening: the part of g that is left out of v.
        weight_decay: adds weight_decay p to g.
        nesterov: use g + momentum v in v's place.
        maximize: go up.

    Raises:
        ValueError: ``nesterov`` without momentum or with dampening.

    Source: I. Sutskever et al., On the importance of initialization and momentum in deep learning (2013).

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import optim
    >>> p = cr.Parameter(np.array([1.0]))
    >>> p.grad = np.array([2.0])
    >>> optim.SGD([p], lr=0.1).step()
    >>> p.data
    array([0.8])
    """

    scalars = ()

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize})

    def check(self, group: Group) -> None:
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"]):
            raise ValueError("nesterov needs momentum, and no dampening")

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"momentum_buffer": 0.0 if group["momentum"] else None}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        momentum, lr = group["momentum"], group["lr"]
        take = 1 if state["step"] == 1 else 1 - group["dampening"]
        return (momentum, take, lr, lr * momentum) if group["nesterov"] else (momentum, take, 0.0, lr)

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (v,), (momentum, take, lr_g, lr_v) = state, constants
        v = momentum * v + take * g
        return p - (lr_g * g + lr_v * v), (v,)


class ASGD(ElementwiseOptimizer):
    """Gradient descent that keeps the average of its parameters, as ``state[p]["ax"]``, from step ``t0`` on.

    p = (1 - lambd eta) p - eta g, where eta = lr / (1 + lambd lr t)^alpha.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        lambd: the decay.
        alpha: the power by which eta shrinks.
        t0: the step from which on p is averaged; up to then the average is p.
        weight_decay: adds weight_decay p to g.
        maximize: go up.

    Source: B. Polyak, A. Juditsky, Acceleration of stochastic approximation by averaging (1992).
    """

    scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        options = {"lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"ax": 0.0}

    def first_scalar(self, name: str, group: Group) -> float:
        return {"step": 0, "eta": group["lr"], "mu": 1.0}[name]  # type: ignore[no-any-return]

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        eta, mu, t = state["eta"], state["mu"], state["step"]
        lr, lambd = group["lr"], group["lambd"]
        state["eta"] = lr / (1 + lambd * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])
        return 1 - lambd * eta, eta, mu

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (average,), (keep, eta, mu) = state, constants
        p = keep * p - eta * g
        return p, (average + mu * (p - average),)
