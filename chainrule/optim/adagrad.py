"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .optimizer import Optimizer, Params, State


class Adagrad(Optimizer):
    """Divide by the root of the sum of squares: s = s + g^2; p = p - lr / (1 + t lr_decay) g / (sqrt(s) + eps).

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        lr_decay: how it shrinks with the number t of steps before.
        weight_decay: adds weight_decay p to g.
        initial_accumulator_value: the first s.
        eps: added to the root.
        maximize: go up.

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning (2011).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def update(self, data: Array, g: Array, state: State, group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, sum=np.full_like(data, group["initial_accumulator_value"]))
        work = g * g
        state["sum"] += work
        np.sqrt(state["sum"], out=work)
        work += group["eps"]
        np.divide(g, work, out=work)
        work *= group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        data -= work
