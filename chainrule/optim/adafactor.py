"""Adafactor: a second moment that takes the memory of one row and one column."""

from __future__ import annotations

import math

import numpy as np

from ..core.arrays import Array
from ..kernels import optimizers as kernels
from .optimizer import Group, Optimizer, Params, State


class Adafactor(Optimizer):
    """Divide the gradient by the root of the mean of its square, of which a matrix keeps the rows' and columns' means alone.

    With R and C those means, V = R C / mean(R); u = g / sqrt(V), divided by max(1, rms(u) / d); then
    p = p - max(eps2, rms(p)) min(lr, 1 / sqrt(t)) u. A parameter of fewer than two axes keeps V itself.

    Args:
        params: Variables, or groups of them.
        lr: the largest step, relative to rms(p).
        beta2_decay: the means take the part t^beta2_decay of the new squares.
        eps: the smallest root of V (None for the dtype's precision), and the smallest rms(p).
        d: the largest rms(u).
        weight_decay: the decay of the weights, apart from the gradient.
        maximize: go up.

    Source: N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost (2018).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        options = {"beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {"lr": lr, **options})

    def check(self, group: Group) -> None:
        super().check(group)
        if group["beta2_decay"] > 0:
            raise ValueError(f"beta2_decay is not positive, but was {group['beta2_decay']}")
        if group["d"] < 1:
            raise ValueError(f"d is at least 1, but was {group['d']}")
        if min(e for e in group["eps"] if e is not None) < 0:
            raise ValueError(f"both eps are not negative, but were {group['eps']}")
        for p in group["params"]:
            if p.dtype.kind == "c":
                raise ValueError(f"Adafactor takes real parameters; one of shape {p.shape} is {p.dtype}")

    def update(self, data: Array, g: Array, state: State, group: Group) -> None:
        if not state:
            state["step"] = 0
            if data.ndim < 2:
                state["variance"] = np.zeros_like(data)
            else:
                state["row_var"] = np.zeros((*data.shape[:-1], 1), data.dtype)
                state["col_var"] = np.zeros((*data.shape[:-2], 1, data.shape[-1]), data.dtype)
        state["step"] += 1
        take, (eps1, eps2) = state["step"] ** group["beta2_decay"], group["eps"]
        eps1 = float(np.finfo(data.dtype).eps) if eps1 is None else eps1
        step = max(eps2, _rms(data)) * min(group["lr"], 1 / math.sqrt(state["step"]))
        data *= 1 - group["lr"] * group["weight_decay"]
        g = kernels.computable(g)
        if data.ndim < 2:
            state["variance"] += take * (np.square(g) - state["variance"])
            v = np.array(state["variance"], g.dtype)
        else:
            rows, columns = state["row_var"], state["col_var"]
            means = np.einsum("...ij,...ij->...i", g, g) / g.shape[-1], np.einsum("...ij,...ij->...j", g, g) / g.shape[-2]
            rows += take * (means[0][..., :, None] - rows)
            columns += take * (means[1][..., None, :] - columns)
            v = rows / np.maximum(np.mean(rows, axis=-2, keepdims=True), eps1) * columns.astype(g.dtype, copy=False)
        np.maximum(v, eps1 * eps1, out=v)
        np.sqrt(v, out=v)
        u = np.divide(g, v, out=v)
        u *= step / max(1.0, _rms(u) / group["d"])
        data -= u


def _rms(a: Array) -> float:
    return kernels.norm([a]) / math.sqrt(max(a.size, 1))
