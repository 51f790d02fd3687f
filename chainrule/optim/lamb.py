"""LAMB: Adam for large batches."""

from __future__ import annotations

import math

import numpy as np

from ..core.arrays import Array
from ..kernels import optimizers as kernels
from .optimizer import Group, Optimizer, Params, State


class LAMB(Optimizer):
    """Adam's step, scaled to each parameter's size: p = p - lr |p| / |r| r, where r = m / (sqrt(v) + eps) + weight_decay p.

    Here m and v are Adam's, and |p| / |r| is 1 where either is 0.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        betas: how much of m, and of v, each step keeps.
        eps: added to the root.
        weight_decay: the decay of the weights.
        maximize: go up.

    Source: Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes (2019).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def update(self, data: Array, g: Array, state: State, group: Group) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(data), exp_avg_sq=np.zeros_like(data))
        state["step"] += 1
        (beta1, beta2), t = group["betas"], state["step"]
        p, g, m, v = map(kernels.real, (data, kernels.computable(g), state["exp_avg"], state["exp_avg_sq"]))
        r = g - m
        r *= 1 - beta1
        m += r
        np.multiply(g, g, out=r)
        r -= v
        r *= 1 - beta2
        v += r
        np.sqrt(v, out=r)
        r *= (1 - beta1**t) / math.sqrt(1 - beta2**t)
        r += group["eps"] * (1 - beta1**t)
        np.divide(m, r, out=r)
        r += group["weight_decay"] * p
        size, length = kernels.norm([p]), kernels.norm([r])
        r *= group["lr"] * size / length if size and length else group["lr"]
        p -= r
