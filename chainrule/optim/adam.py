"""Adam and what has come of it: AdamW, Adamax, NAdam, RAdam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import ElementwiseOptimizer
from .optimizer import Group, Params, State


class Adam(ElementwiseOptimizer):
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
        decoupled_weight_decay: as in ``AdamW``.

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
        decoupled_weight_decay: bool = False,
    ):
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize}
        super().__init__(params, {"lr": lr, **options, "decoupled_weight_decay": decoupled_weight_decay})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0, "max_exp_avg_sq": 0.0 if group["amsgrad"] else None}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        (beta1, beta2), t = group["betas"], state["step"]
        root = 1 / math.sqrt(1 - beta2**t)
        return 1 - beta1, beta2, 1 - beta2, root, group["eps"], group["lr"] / (1 - beta1**t)

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (m, v, largest), (take_m, keep_v, take_v, root, eps, lr) = state, constants
        m = m + take_m * (g - m)
        v = keep_v * v + take_v * (g * g)
        largest = np.maximum(largest, v)
        return p - lr * m / (root * np.sqrt(largest) + eps), (m, v, largest)


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
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Adamax(ElementwiseOptimizer):
    """Adam with the largest gradient in the root's place: u = max(beta2 u, |g| + eps); p = p - lr m / u.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        betas: how much of m, and of u, each step keeps.
        eps: added to |g|.
        weight_decay: adds weight_decay p to g.
        maximize: go up.

    Source: D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, section 7 (2014).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return 1 - beta1, beta2, group["eps"], group["lr"] / (1 - beta1 ** state["step"])

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (m, u), (take_m, keep_u, eps, lr) = state, constants
        m = m + take_m * (g - m)
        u = np.maximum(keep_u * u, np.abs(g) + eps)
        return p - lr * m / u, (m, u)


class NAdam(ElementwiseOptimizer):
    """Adam with Nesterov's momentum: p = p - lr (a g + b m) / (sqrt(v) + eps).

    With mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and M_t their product up to t, a = (1 - mu_t) / (1 - M_t) and
    b = mu_(t+1) / (1 - M_(t+1)); m and v are Adam's, m not divided.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        betas: how much of m, and of v, each step keeps.
        eps: added to the root.
        weight_decay: adds weight_decay p to g.
        momentum_decay: how fast mu grows to beta1.
        decoupled_weight_decay: as in ``AdamW``.
        maximize: go up.

    Source: T. Dozat, Incorporating Nesterov Momentum into Adam (2016).
    """

    scalars = ("step", "mu_product")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
        super().__init__(params, {"lr": lr, **options, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def first_scalar(self, name: str, group: Group) -> float:
        return 1.0 if name == "mu_product" else 0

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        (beta1, beta2), t, lr = group["betas"], state["step"], group["lr"]
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (s * group["momentum_decay"])) for s in (t, t + 1))
        product = state["mu_product"] = state["mu_product"] * mu
        root = 1 / math.sqrt(1 - beta2**t)
        lr_g, lr_m = lr * (1 - mu) / (1 - product), lr * next_mu / (1 - product * next_mu)
        return 1 - beta1, beta2, 1 - beta2, root, group["eps"], lr_g, lr_m

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (m, v), (take_m, keep_v, take_v, root, eps, lr_g, lr_m) = state, constants
        m = m + take_m * (g - m)
        v = keep_v * v + take_v * (g * g)
        return p - (lr_g * g + lr_m * m) / (root * np.sqrt(v) + eps), (m, v)


class RAdam(ElementwiseOptimizer):
    """Adam that divides by the root only when enough steps have told the variance: p = p - lr r m / (sqrt(v) + eps).

    With n = 2 / (1 - beta2) - 1 and n_t = n - 2 t beta2^t / (1 - beta2^t), r^2 = (n_t - 4) (n_t - 2) n / ((n - 4) (n - 2) n_t),
    once n_t > 5; before, p = p - lr m.

    Args:
        params: Variables, or groups of them.
        lr: the learning rate.
        betas: how much of m, and of v, each step keeps.
        eps: added to the root, before v is divided by the sum of its weights.
        weight_decay: adds weight_decay p to g.
        decoupled_weight_decay: as in ``AdamW``.
        maximize: go up.

    Source: L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (2019).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {"lr": lr, **options, "decoupled_weight_decay": decoupled_weight_decay})

    def arrays(self, group: Group) -> dict[str, float | None]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def constants(self, group: Group, state: State) -> tuple[float, ...]:
        (beta1, beta2), t = group["betas"], state["step"]
        lr, n = group["lr"] / (1 - beta1**t), 2 / (1 - beta2) - 1
        left = 1 - beta2**t
        n_t = n - 2 * t * beta2**t / left
        if n_t <= 5:
            return 1 - beta1, beta2, 1 - beta2, 0.0, 1.0, lr
        r = math.sqrt((n_t - 4) * (n_t - 2) * n / ((n - 4) * (n - 2) * n_t))
        return 1 - beta1, beta2, 1 - beta2, 1.0, group["eps"], lr * r * math.sqrt(left)

    @staticmethod
    def rule(p: Any, g: Any, state: Any, constants: Any) -> Any:
        (m, v), (take_m, keep_v, take_v, root, eps, lr) = state, constants
        m = m + take_m * (g - m)
        v = keep_v * v + take_v * (g * g)
        return p - lr * m / (root * np.sqrt(v) + eps), (m, v)
