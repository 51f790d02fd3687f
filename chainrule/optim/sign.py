"""Rprop and Lion, which heed the sign of the gradient, and not how large it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import ElementwiseOptimizer
from .optimizer import Group, Params, State


class Rprop(ElementwiseOptimizer):
    """Steps that grow while the sign of the gradient stays, and shrink when it changes; for whole batches.

    Args:
        params: Variables, or groups of them.
        lr: the size of the first step.
        etas: the factors by which a step shrinks and grows.
        step_sizes: the smallest and the largest step.
        maximize: go up.

    Source: M. Riedmiller, H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm (1993).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check(self, group: Group) -> None:
        super().check(group)
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"etas are one from 0 to 1 and one above 1, not {group['etas']}")

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"prev": 0.0, "step_size": group["lr"]}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        return (*group["etas"], *group["step_sizes"])

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (before, size), (shrink, grow, smallest, largest) = state, constants
        agrees = np.sign(g * before)  # -1, 0 or 1
        factor = 1 + agrees * (agrees + 1) / 2 * (grow - 1) + agrees * (agrees - 1) / 2 * (shrink - 1)
        size = np.minimum(np.maximum(size * factor, smallest), largest)
        g = g * (1 + agrees * (1 - agrees) / 2)  # 0 where they disagree
        return p - np.sign(g) * size, (g, size)


class Lion(ElementwiseOptimizer):
    """Go by the sign of a mean: p = p - lr (sign(beta1 m + (1 - beta1) g) + weight_decay p); m = beta2 m + (1 - beta2) g.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate; a third to a tenth of AdamW's.
        betas: how much of m the sign and the next m keep.
        weight_decay: the decay of the weights, apart from the gradient; three to ten times AdamW's.
        maximize: go up.

    Source: X. Chen et al., Symbolic Discovery of Optimization Algorithms (2023).
    """

    scalars = ()

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        options = {"betas": betas, "weight_decay": weight_decay, "decoupled_weight_decay": True}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"exp_avg": 0.0}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return beta1, 1 - beta1, 1 - beta2, group["lr"]

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (m,), (keep, take, take_m, lr) = state, constants
        return p - lr * np.sign(keep * m + take * g), (m + take_m * (g - m),)
