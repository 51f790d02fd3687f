"""Muon: steps whose matrix is orthogonal."""

from __future__ import annotations

import math

import numpy as np

from ..core.arrays import Array
from .optimizer import Group, Optimizer, Params, State


class Muon(Optimizer):
    """Momentum, made orthogonal: m = momentum m + (1 - momentum) g; p = (1 - lr weight_decay) p - lr s orthogonal(m).

    For the matrices of hidden layers; biases, embeddings and the last layer are better left to ``AdamW``.

    Args:
        params: Variables of two axes, or groups of them.
        lr: the learning rate.
        weight_decay: the decay of the weights.
        momentum: the part of m that is kept.
        nesterov: use (1 - momentum) g + momentum m in m's place.
        ns_coefficients: of the polynomial a x + b x^3 + c x^5 that takes singular values towards 1.
        eps: the least that m is divided by before.
        ns_steps: how often the polynomial is applied.
        adjust_lr_fn: what s is: ``"original"`` (also None) for sqrt(max(1, rows / columns)), ``"match_rms_adamw"`` for
            0.2 sqrt(max(rows, columns)), with which AdamW's learning rates will do.

    Raises:
        ValueError: a parameter is no matrix, or ``adjust_lr_fn`` is something else.

    Source: K. Jordan, Muon: An optimizer for hidden layers in neural networks (2024); J. Liu et al., Muon is Scalable for LLM
    Training (2025).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ):
        options = {"weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "eps": eps, "ns_steps": ns_steps}
        super().__init__(params, {"lr": lr, **options, "ns_coefficients": ns_coefficients, "adjust_lr_fn": adjust_lr_fn})

    def check(self, group: Group) -> None:
        super().check(group)
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"adjust_lr_fn is 'original' or 'match_rms_adamw', not {group['adjust_lr_fn']!r}")
        for p in group["params"]:
            if p.ndim != 2 or p.dtype.kind == "c":
                raise ValueError(f"Muon takes real matrices, not {p.shape} of {p.dtype}; leave such parameters to AdamW")

    def update(self, data: Array, g: Array, state: State, group: Group) -> None:
        if not state:
            state["momentum_buffer"] = np.zeros_like(data)
        m, momentum, lr = state["momentum_buffer"], group["momentum"], group["lr"]
        m += (1 - momentum) * (g - m)
        towards = g + momentum * (m - g) if group["nesterov"] else m
        rows, columns = data.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1, rows / columns))
        data *= 1 - lr * group["weight_decay"]
        data -= lr * scale * orthogonalised(towards, group["ns_coefficients"], group["ns_steps"], group["eps"])


def orthogonalised(m: Array, coefficients: tuple[float, float, float], steps: int, eps: float) -> Array:
    """A matrix with the singular vectors of ``m`` and singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = coefficients
    tall = m.shape[0] > m.shape[1]
    x = (m.T if tall else m) / max(float(np.linalg.norm(m)), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x
