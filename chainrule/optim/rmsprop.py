"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import ElementwiseOptimizer
from .optimizer import Group, Params, State


class RMSprop(ElementwiseOptimizer):
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
        options = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum, "centered": centered}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {
            "square_avg": 0.0,
            "grad_avg": 0.0 if group["centered"] else None,
            "momentum_buffer": 0.0 if group["momentum"] else None,
        }

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        alpha = group["alpha"]
        return alpha, 1 - alpha, 1 - alpha if group["centered"] else 0.0, group["eps"], group["momentum"], group["lr"]

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (v, mean, sum), (keep, take, take_mean, eps, momentum, lr) = state, constants
        v = keep * v + take * (g * g)
        mean = mean + take_mean * (g - mean)
        sum = momentum * sum + g / (np.sqrt(v - mean * mean) + eps)
        return p - lr * sum, (v, mean, sum)
