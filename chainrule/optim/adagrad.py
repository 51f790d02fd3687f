"""Adagrad and Adadelta: steps divided by the root of a sum, or of a mean, of squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import ElementwiseOptimizer
from .optimizer import Group, Params, State


class Adagrad(ElementwiseOptimizer):
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
        options = {"lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        super().__init__(
            params, {"lr": lr, **options, "initial_accumulator_value": initial_accumulator_value, "maximize": maximize}
        )

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"sum": group["initial_accumulator_value"]}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        return group["eps"], group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (sum,), (eps, lr) = state, constants
        sum = sum + g * g
        return p - lr * g / (np.sqrt(sum) + eps), (sum,)


class Adadelta(ElementwiseOptimizer):
    """Steps in the units of p: v = rho v + (1 - rho) g^2; d = sqrt((u + eps) / (v + eps)) g; p = p - lr d.

    Here u is the like mean of d^2.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        rho: the part of both means that is kept.
        eps: added under the roots.
        weight_decay: adds weight_decay p to g.
        maximize: go up.

    Source: M. D. Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: Group) -> None:
        super().check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"rho is from 0 to 1, not {group['rho']}")

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        return group["rho"], 1 - group["rho"], group["eps"], group["lr"]

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (v, u), (keep, take, eps, lr) = state, constants
        v = keep * v + take * (g * g)
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        return p - lr * d, (v, keep * u + take * (d * d))
