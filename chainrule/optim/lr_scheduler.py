"""Learning rates that change with the number of steps."""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """Base of the schedulers. A subclass defines ``get_lr``, from ``self.base_lrs`` and the step ``self.last_epoch``.

    Making one sets the learning rates of step 0; each ``step()`` sets those of the next.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = -1
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rate of each group, at step ``self.last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def step(self) -> None:
        """Go on to the next step, and set its learning rates."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All of its attributes but the optimizer."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` has returned; the optimizer's own state holds the learning rates in force."""
        vars(self).update(state_dict)


class StepLR(LRScheduler):
    """Multiply by ``gamma`` every ``step_size`` steps: lr gamma^floor(t / step_size).

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.Parameter(np.zeros(1))], lr=1.0)
    >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2)
    >>> for _ in range(2):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Follow a cosine from lr to ``eta_min`` in ``T_max`` steps: eta_min + (lr - eta_min) (1 + cos(pi t / T_max)) / 2.

    Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2016).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        part = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * part for lr in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Rise from max_lr / div_factor to ``max_lr``, then fall to that start divided by ``final_div_factor``.

    Args:
        optimizer: its groups' ``momentum`` or ``betas[0]`` are moved too, if ``cycle_momentum``.
        max_lr: the peak, or a list with that of each group.
        total_steps: how many steps there are; or else ``epochs`` times ``steps_per_epoch``.
        epochs: see ``total_steps``.
        steps_per_epoch: see ``total_steps``.
        pct_start: the part of the steps in which it rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether the momentum goes the opposite way, from max_momentum to base_momentum and back.
        base_momentum: its smallest value.
        max_momentum: its largest value.
        div_factor: what the peak is divided by at the start.
        final_div_factor: what the start is divided by at the end.
        three_phase: whether to fall to the start in as many steps as it rose, and only then to the end.

    Raises:
        ValueError: the number of steps is not given, a step goes beyond it, or the optimizer has no momentum.

    Source: L. N. Smith, N. Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates
    (2017).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}")
        groups = optimizer.param_groups
        if cycle_momentum and not all("momentum" in g or "betas" in g for g in groups):
            raise ValueError(f"{type(optimizer).__name__} has no momentum; pass cycle_momentum=False")
        peaks = max_lr if isinstance(max_lr, list) else [max_lr] * len(groups)
        if len(peaks) != len(groups):
            raise ValueError(f"{len(peaks)} values of max_lr for {len(groups)} groups")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        rise = pct_start * total_steps - 1
        # where each phase ends, and of the learning rate's three values and the momentum's two, which it goes to
        self.phases = [(rise, 1, 1), (2 * rise, 0, 0), (total_steps - 1, 2, 0)]
        if not three_phase:
            self.phases = [(rise, 1, 1), (total_steps - 1, 2, 0)]
        self.momenta = (max_momentum, base_momentum)
        self.lrs = [(peak / div_factor, peak, peak / div_factor / final_div_factor) for peak in peaks]
        for group, values in zip(groups, self.lrs, strict=True):
            group["initial_lr"] = values[0]
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"step {t} of a OneCycleLR of {self.total_steps} steps")
        start, lr0, m0 = 0.0, 0, 0
        for end, lr1, m1 in self.phases:
            if t <= end or (end, lr1, m1) == self.phases[-1]:
                break
            start, lr0, m0 = end, lr1, m1
        part = (t - start) / (end - start)
        if self.cycle_momentum:
            momentum = self._between(self.momenta[m0], self.momenta[m1], part)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return [self._between(values[lr0], values[lr1], part) for values in self.lrs]

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "cos":
            part = (1 - math.cos(math.pi * part)) / 2
        return start + (end - start) * part
