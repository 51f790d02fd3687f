"""Callbacks that end a training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from .callback import Callback, Monitor

if TYPE_CHECKING:
    from .trainer import Trainer


class EarlyStopping(Callback):
    """Stops when a result has not become better for some epochs, and gives the model back its best weights.

    Args:
        monitor: the result.
        patience: how many epochs without a better one are waited for.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        min_delta: how much better it has to be to count.
        restore_best: whether the model has its best weights in the end, and not its last.

    Source: L. Prechelt, Early Stopping - But When? (1998).
    """

    def __init__(
        self,
        monitor: str = "validation loss",
        patience: int = 3,
        mode: str = "min",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ):
        self.monitor, self.patience, self.restore_best = Monitor(monitor, mode, min_delta), patience, restore_best
        self.waited = 0
        self.best_epoch: int | None = None
        self._best_weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.monitor.check(trainer)
        trainer.stop = trainer.stop or self.waited >= self.patience  # a checkpoint of a training that it has stopped

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.monitor.improved(trainer.logs):
            self.waited, self.best_epoch = 0, trainer.epoch
            if self.restore_best:
                self._best_weights = {name: np.copy(array) for name, array in trainer.model.state_dict().items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop = True

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._best_weights is not None and (trainer.stop or trainer.epoch == trainer.epochs):
            trainer.model.load_state_dict(self._best_weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.monitor.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._best_weights,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.monitor.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.waited, self._best_weights = state_dict["waited"], state_dict["weights"]


class TerminateOnNaN(Callback):
    """Stops, with a warning, when a batch's loss is NaN or infinite, before it spoils the parameters; ``batch`` says which.

    To find the operation that made it: ``chainrule.detect_anomaly()``.
    """

    batch: tuple[int, int] | None = None  # the number of the epoch and of the batch in it, from 0 on

    def on_backward_end(self, trainer: Trainer) -> bool | None:
        if isfinite(trainer.loss):
            return None
        self.batch = trainer.epoch, trainer.batch - 1
        trainer.stop = True
        warnings.warn(
            f"training stopped: the loss is {trainer.loss} in batch {trainer.batch} of epoch {trainer.epoch + 1}, and the "
            "parameters are those of before it. Within chainrule.detect_anomaly() an error names the operation",
            RuntimeWarning,
            stacklevel=5,
        )
        return False
