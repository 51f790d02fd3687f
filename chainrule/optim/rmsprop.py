"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .optimizer import Optimizer, Params, State


class RMSprop(Optimizer):
    """Divide the gradient by the root of the mean of its square: v = alpha v + (1 - alpha) g^2; p = p - lr g / (sqrt(v) + eps).

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        alpha: the part of v that is kept.
        eps: added to the root.
        weight_decay: adds weight_decay p to g.
        momentum: the part that is kept of the quotients' running sum, which takes the quotient's place.
        centered: use the variance of g in v's place.
        maximize: go up.

    Source: G. Hinton, Neural Networks for Machine Learning, lecture 6e (2012).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def update(self, data: Array, g: Array, state: State, group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, square_avg=np.zeros_like(data))
            if group["momentum"]:
                state["momentum_buffer"] = np.zeros_like(data)
            if group["centered"]:
                state["grad_avg"] = np.zeros_like(data)
        state["step"] += 1
        alpha, v = group["alpha"], state["square_avg"]
        work = g * g
        work *= 1 - alpha
        v *= alpha
        v += work
        if group["centered"]:
            mean = state["grad_avg"]
            mean *= alpha
            mean += (1 - alpha) * g
            np.multiply(mean, mean, out=work)
            v = np.subtract(v, work, out=work)
        np.sqrt(v, out=work)
        work += group["eps"]
        np.divide(g, work, out=work)
        if group["momentum"]:
            buffer = state["momentum_buffer"]
            buffer *= group["momentum"]
            buffer += work
            np.copyto(work, buffer)
        work *= group["lr"]
        data -= work
