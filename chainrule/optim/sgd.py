"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .optimizer import Optimizer, Params, State


class SGD(Optimizer):
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
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"]):
            raise ValueError("nesterov needs momentum, and no dampening")

    def update(self, data: Array, g: Array, state: State, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        if momentum:
            v = state.get("momentum_buffer")
            if v is None:
                v = state["momentum_buffer"] = np.copy(g)
            else:
                v *= momentum
                v += (1 - group["dampening"]) * g if group["dampening"] else g
            g = g + momentum * v if group["nesterov"] else v
        data -= group["lr"] * g
