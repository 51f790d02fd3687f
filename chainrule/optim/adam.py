"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.arrays import Array
from .optimizer import Optimizer, Params, State


class Adam(Optimizer):
    """Steps of even size: p = p - lr m / (sqrt(v) + eps).

    Here m and v are the means of g and g^2 over past steps, with weights that decay by ``betas``, divided by the sum of
    those weights.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        betas: how much of m, and of v, each step keeps.
        eps: added to the root.
        weight_decay: adds weight_decay p to g.
        amsgrad: use the largest v up to now.
        maximize: go up.

    Source: D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization (2014).

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import optim
    >>> p = cr.Parameter(np.array([1.0]))
    >>> p.grad = np.array([20.0])
    >>> optim.Adam([p], lr=0.1).step()
    >>> p.data.round(6)
    array([0.9])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def update(self, data: Array, g: Array, state: State, group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(data), exp_avg_sq=np.zeros_like(data))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = np.zeros_like(data)
        state["step"] += 1
        m, v, (beta1, beta2) = state["exp_avg"], state["exp_avg_sq"], group["betas"]
        work = g * (1 - beta1)  # the one temporary
        m *= beta1
        m += work
        np.multiply(g, g, out=work)
        work *= 1 - beta2
        v *= beta2
        v += work
        if group["amsgrad"]:
            v = np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        np.sqrt(v, out=work)
        work *= 1 / math.sqrt(1 - beta2 ** state["step"])
        work += group["eps"]
        np.divide(m, work, out=work)
        work *= group["lr"] / (1 - beta1 ** state["step"])
        data -= work


class AdamW(Adam):
    """Adam with a decay of the weights apart from the gradient: first p = p - lr weight_decay p. Arguments as ``Adam``.

    Source: I. Loshchilov, F. Hutter, Decoupled Weight Decay Regularization (2017).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def _decayed(self, data: Array, g: Array, group: dict[str, Any]) -> Array:
        data *= 1 - group["lr"] * group["weight_decay"]
        return g
