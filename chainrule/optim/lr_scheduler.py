"""Learning rates that change with the number of steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from .optimizer import Optimizer

T = TypeVar("T")


class LRScheduler:
    """Base of the schedulers. A subclass defines ``get_lr``, from ``self.base_lrs`` and the step ``self.last_epoch``.

    Making one sets the learning rates of step 0 (or of the step after ``last_epoch``); each ``step()`` sets those of the next.
    """

    #: Attributes that are no part of the state.
    _stateless: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = _checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"to go on after step {last_epoch}, group {i} needs 'initial_lr', its first learning rate")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step(None if last_epoch == -1 else last_epoch + 1)

    def get_lr(self) -> list[float]:
        """The learning rate of each group, at step ``self.last_epoch``, which may go on from that of the step before."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def lr_from_start(self) -> list[float]:
        """The same, whatever the learning rate has been before."""
        return self.get_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step, or jump to ``epoch``, and set its learning rates."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else self.lr_from_start())

    def _set(self, lrs: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All of its attributes but the optimizer and functions."""
        return {name: value for name, value in vars(self).items() if name not in self._stateless}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` has returned, PyTorch's also. The learning rates in force are the optimizer's state."""
        vars(self).update({name: value for name, value in state_dict.items() if name not in self._stateless})


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a scheduler takes an Optimizer, not a {type(optimizer).__name__}")
    return optimizer


def _for_each_group(name: str, value: T | list[T], optimizer: Optimizer) -> list[T]:
    """One value for each group, from such a list, or from one for all."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list) else [value] * n
    if len(values) != n:
        raise ValueError(f"{len(values)} values of {name} for {n} groups")
    return values


# ---- factors --------------------------------------------------------------------------------------------


class LambdaLR(LRScheduler):
    """Multiply by a function of the step: lr lr_lambda(t).

    Args:
        optimizer: the optimizer.
        lr_lambda: the function, or a list with that of each group.
        last_epoch: the step after which to go on; -1 to start.
    """

    _stateless = ("optimizer", "lr_lambdas")

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | list[Callable[[int], float]], last_epoch: int = -1
    ):
        self.lr_lambdas = _for_each_group("lr_lambda", lr_lambda, _checked(optimizer))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """Multiply what is there by a function of the step: lr = lr lr_lambda(t), from t = 1. Arguments as ``LambdaLR``."""

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self.get_last_lr()
        return [lr * f(self.last_epoch) for lr, f in zip(self.get_last_lr(), self.lr_lambdas, strict=True)]


class _Factor(LRScheduler):
    """Base of the schedulers that multiply the learning rate, less what it tends to, by a factor that depends on the step.

    Each step multiplies what is there by the factors' quotient, so that several schedulers can work on one optimizer.
    """

    def factor_at(self, t: int) -> float:
        """The factor at step ``t``."""
        raise NotImplementedError

    def limits(self) -> list[float]:
        """What the learning rate of each group tends to."""
        return [0.0] * len(self.base_lrs)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        now, before = self.factor_at(t), self.factor_at(t - 1) if t > 0 else 1.0
        if now == before:
            return self.get_last_lr()
        each = zip(self.get_last_lr(), self.limits(), self.base_lrs, strict=True)
        if before == 0:
            return [lr + (first - limit) * now for lr, limit, first in each]
        return [limit + (lr - limit) * (now / before) for lr, limit, _ in each]

    def lr_from_start(self) -> list[float]:
        factor = self.factor_at(self.last_epoch)
        return [limit + (lr - limit) * factor for lr, limit in zip(self.base_lrs, self.limits(), strict=True)]


class StepLR(_Factor):
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

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_Factor):
    """Multiply by ``gamma`` at each of the steps in ``milestones``."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.milestones = sorted(Counter(self.milestones).elements())  # PyTorch saves how often each occurs

    def factor_at(self, t: int) -> float:
        return self.gamma ** bisect_right(self.milestones, t)


class ConstantLR(_Factor):
    """Multiply by ``factor`` up to step ``total_iters``, and by 1 from then on."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ValueError(f"factor is from 0 to 1, not {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return self.factor if t < self.total_iters else 1.0


class LinearLR(_Factor):
    """Multiply by a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` equal steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"start_factor is above 0, and both are at most 1, not {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(t, self.total_iters) / self.total_iters


class ExponentialLR(_Factor):
    """Multiply by ``gamma`` each step: lr gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return float(self.gamma**t)


class PolynomialLR(_Factor):
    """Go down to 0 in ``total_iters`` steps: lr (1 - t / total_iters)^power."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return (1.0 - min(t, self.total_iters) / self.total_iters) ** self.power  # type: ignore[no-any-return]


class CosineAnnealingLR(_Factor):
    """Follow a cosine from lr to ``eta_min`` in ``T_max`` steps: eta_min + (lr - eta_min) (1 + cos(pi t / T_max)) / 2.

    Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2016).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2

    def limits(self) -> list[float]:
        return [self.eta_min] * len(self.base_lrs)


class SWALR(_Factor):
    """Go from the learning rate that is there to ``swa_lr`` in ``anneal_epochs`` steps, and stay; for averaged weights.

    Args:
        optimizer: the optimizer.
        swa_lr: the learning rate that it ends at, or a list with that of each group.
        anneal_epochs: how many steps it takes.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        last_epoch: the step after which to go on; -1 to start.

    Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        for group, lr in zip(optimizer.param_groups, _for_each_group("swa_lr", swa_lr, optimizer), strict=True):
            group["swa_lr"] = lr
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, _strategy(anneal_strategy)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        done = min(1.0, t / self.anneal_epochs) if self.anneal_epochs else 1.0
        return between(1.0, 0.0, done, self.anneal_strategy)

    def limits(self) -> list[float]:
        return [group["swa_lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        return super().get_lr() if self.factor_at(self.last_epoch) else self.limits()

    def lr_from_start(self) -> list[float]:
        return self.get_lr()  # whatever is there is the start


# ---- cycles ---------------------------------------------------------------------------------------------


class CosineAnnealingWarmRestarts(LRScheduler):
    """Follow a cosine from lr to ``eta_min`` in ``T_0`` steps, then again in ``T_mult`` times as many, and so on.

    ``step`` also takes parts of a step, such as ``epoch + batch / batches``.

    Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2016).
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        if T_0 <= 0 or T_mult < 1:
            raise ValueError(f"T_0 and T_mult are 1 at least, not {T_0} and {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_cur, self.T_i = 0.0, T_0
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next step, or jump to ``epoch``, and set its learning rates."""
        t = self.last_epoch + 1 if epoch is None else epoch
        if t < 0:
            raise ValueError(f"a step is not negative, but was {t}")
        self.last_epoch, self.T_cur, self.T_i = math.floor(t), t, self.T_0
        while self.T_cur >= self.T_i:
            if self.T_mult == 1:
                self.T_cur %= self.T_i
            else:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self._set(self.get_lr())

    def get_lr(self) -> list[float]:
        return [between(lr, self.eta_min, self.T_cur / self.T_i, "cos") for lr in self.base_lrs]


class _MomentumCycle(LRScheduler):
    """What the schedulers share that move the momentum (or betas[0]) against the learning rate."""

    cycle_momentum: bool
    base_momentums: list[float]
    max_momentums: list[float]

    def _take_momentum(
        self, optimizer: Optimizer, cycle: bool, base_momentum: float | list[float], max_momentum: float | list[float]
    ) -> None:
        if cycle and not all("momentum" in group or "betas" in group for group in _checked(optimizer).param_groups):
            raise ValueError(f"{type(optimizer).__name__} has no momentum; pass cycle_momentum=False")
        self.cycle_momentum = cycle
        self.base_momentums = _for_each_group("base_momentum", base_momentum, optimizer)
        self.max_momentums = _for_each_group("max_momentum", max_momentum, optimizer)

    def _set_momentum(self, momenta: Iterable[float]) -> None:
        if not self.cycle_momentum:
            return
        for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class CyclicLR(_MomentumCycle):
    """Go up from ``base_lr`` to ``max_lr`` and down again, time after time.

    Args:
        optimizer: its groups' ``momentum`` or ``betas[0]`` are moved too, if ``cycle_momentum``.
        base_lr: the least, or a list with that of each group.
        max_lr: the peak, or such a list.
        step_size_up: how many steps it takes up.
        step_size_down: how many down; by default as many.
        mode: ``"triangular"``: all peaks are equal; ``"triangular2"``: each is half as high; ``"exp_range"``: at step t the
            height is multiplied by gamma^t.
        gamma: see ``mode``.
        scale_fn: a function for the height's factor, in place of ``mode``.
        scale_mode: whether ``scale_fn`` is of the ``"cycle"``, from 1, or of ``"iterations"``, the steps.
        cycle_momentum: whether the momentum goes the opposite way, from max_momentum to base_momentum and back.
        base_momentum: its smallest value.
        max_momentum: its largest value.
        last_epoch: the step after which to go on; -1 to start.

    Raises:
        ValueError: ``mode`` is something else, or the optimizer has no momentum.

    Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks (2015).
    """

    _stateless = ("optimizer", "_scale_fn")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ):
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"mode is 'triangular', 'triangular2' or 'exp_range', not {mode!r}")
        self._take_momentum(optimizer, cycle_momentum, base_momentum, max_momentum)
        base_lrs = _for_each_group("base_lr", base_lr, optimizer)
        self.max_lrs = _for_each_group("max_lr", max_lr, optimizer)
        self.total_size = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn, self.scale_mode = mode, gamma, scale_fn, scale_mode
        for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
            group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def scale(self, cycle: int) -> float:
        """The height's factor in the present step, of the given cycle."""
        if self._scale_fn is not None:
            return self._scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        return {"triangular": 1.0, "triangular2": 2.0 ** (1 - cycle), "exp_range": self.gamma**self.last_epoch}[self.mode]

    def get_lr(self) -> list[float]:
        done = self.last_epoch / self.total_size
        cycle = math.floor(1 + done)
        x = 1 + done - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale(cycle)
        self._set_momentum(
            high - (high - low) * height for low, high in zip(self.base_momentums, self.max_momentums, strict=True)
        )
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]


class OneCycleLR(_MomentumCycle):
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
        last_epoch: the step after which to go on; -1 to start.

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
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start is from 0 to 1, not {pct_start}")
        self._take_momentum(optimizer, cycle_momentum, base_momentum, max_momentum)
        self.total_steps, self.anneal_strategy = total_steps, _strategy(anneal_strategy)
        rise = pct_start * total_steps - 1
        # where each phase ends, and which of the learning rate's three values and the momentum's two it goes to
        self.phases = [(rise, 1, 1), (2 * rise, 0, 0), (total_steps - 1, 2, 0)]
        if not three_phase:
            del self.phases[1]
        peaks = _for_each_group("max_lr", max_lr, optimizer)
        self.lrs = [(peak / div_factor, peak, peak / div_factor / final_div_factor) for peak in peaks]
        for group, values in zip(optimizer.param_groups, self.lrs, strict=True):
            group["initial_lr"] = values[0]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"step {t} of a OneCycleLR of {self.total_steps} steps")
        start, lr0, m0 = 0.0, 0, 0
        for end, lr1, m1 in self.phases:
            if t <= end or (end, lr1, m1) == self.phases[-1]:
                break
            start, lr0, m0 = end, lr1, m1
        part = (t - start) / (end - start) if end > start else 1.0  # few steps may leave a phase no length
        momenta = zip(self.max_momentums, self.base_momentums, strict=True)
        self._set_momentum(between(values[m0], values[m1], part, self.anneal_strategy) for values in momenta)
        return [between(values[lr0], values[lr1], part, self.anneal_strategy) for values in self.lrs]


def _strategy(name: str) -> str:
    if name not in ("cos", "linear"):
        raise ValueError(f"anneal_strategy is 'cos' or 'linear', not {name!r}")
    return name


def between(start: float, end: float, part: float, strategy: str) -> float:
    """The value when ``part`` of the way from ``start`` to ``end`` is done, along a line or half a cosine."""
    if strategy == "cos":
        part = (1 - math.cos(math.pi * part)) / 2
    return start + (end - start) * part


# ---- by what is measured --------------------------------------------------------------------------------


class ReduceLROnPlateau(LRScheduler):
    """Multiply by ``factor`` when a measure has not become better for more than ``patience`` steps.

    Args:
        optimizer: the optimizer.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        factor: what the learning rate is multiplied by, below 1.
        patience: how many steps may be no better.
        threshold: by how much the measure must be better than the best.
        threshold_mode: ``"rel"``: by that part of the best; ``"abs"``: by so much.
        cooldown: how many steps after a reduction don't count.
        min_lr: the least learning rate, or a list with that of each group.
        eps: the least reduction.

    Raises:
        ValueError: ``factor`` is not below 1, or ``mode`` or ``threshold_mode`` is something else.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ):
        if factor >= 1:
            raise ValueError(f"factor is below 1, not {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"mode is 'min' or 'max', threshold_mode 'rel' or 'abs', not {mode!r} and {threshold_mode!r}")
        self.optimizer = _checked(optimizer)
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lrs = _for_each_group("min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of a measure, a number, and reduce the learning rates if it is time."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            reduced = [max(lr * self.factor, least) for lr, least in zip(self.get_last_lr(), self.min_lrs, strict=True)]
            self._set([new if lr - new > self.eps else lr for lr, new in zip(self.get_last_lr(), reduced, strict=True)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold


# ---- of other schedulers --------------------------------------------------------------------------------


class _Schedulers(LRScheduler):
    """What the schedulers made of schedulers share."""

    _stateless = ("optimizer", "_schedulers")

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None):
        if not schedulers:
            raise ValueError(f"{type(self).__name__} needs a scheduler")
        self.optimizer = schedulers[0].optimizer if optimizer is None else _checked(optimizer)
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{type(self).__name__} cannot step scheduler {i}, a ReduceLROnPlateau, which needs a measure")
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"the schedulers of a {type(self).__name__} have one optimizer; scheduler {i} has another")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(_Schedulers):
    """Step several schedulers together; those that multiply the learning rate multiply it each.

    Args:
        schedulers: schedulers of one optimizer.
        optimizer: that optimizer; it may be left out.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        super().__init__(schedulers, optimizer)
        self.last_epoch = 0

    def step(self, epoch: int | None = None) -> None:
        """Step each scheduler."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch


class SequentialLR(_Schedulers):
    """Let one scheduler follow the other, each from its own step 0.

    Args:
        optimizer: the schedulers' optimizer.
        schedulers: the schedulers.
        milestones: the steps at which the second, the third and so on take over.
        last_epoch: the step after which to go on; -1 to start.

    >>> import numpy as np, chainrule as cr
    >>> from chainrule import optim
    >>> from chainrule.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
    >>> optimizer = optim.SGD([cr.Parameter(np.zeros(1))], lr=1.0)
    >>> warm, cool = LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, 2)
    >>> scheduler = SequentialLR(optimizer, [warm, cool], [2])
    >>> rates = scheduler.get_last_lr()
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     rates += scheduler.get_last_lr()
    >>> [round(rate, 6) for rate in rates]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        super().__init__(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"{len(schedulers)} schedulers have one milestone fewer between them, not {len(milestones)}")
        self.milestones, self.last_epoch = list(milestones), last_epoch + 1
        self._set([group["initial_lr"] for group in self.optimizer.param_groups])  # as it was before they were made
        self._schedulers[bisect_right(self.milestones, self.last_epoch)].step(0)

    def step(self, epoch: int | None = None) -> None:
        """Step the scheduler whose turn it is."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        turn = bisect_right(self.milestones, self.last_epoch)
        begun = self.milestones[turn - 1] if turn else 0
        jump = epoch is not None or self.last_epoch == begun
        self._schedulers[turn].step(self.last_epoch - begun if jump else None)
