"""Callback: what is done at the events of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """Something to be done at the events of a training. A subclass defines the methods of those that it cares for.

    Events come in this order, and each is told to the callbacks in the order in which the Trainer was given them::

        on_fit_start
            on_epoch_start                  trainer.logs is empty: what is written to it here is in the history
                on_batch_start              trainer.examples is the batch's size
                on_backward_end             trainer.loss and the gradients are there; False keeps them, and there is no step
                on_step_start               the gradients are those that the optimizer will use
                on_step_end                 the optimizer and, if it goes by steps, the scheduler have made a step
                on_batch_end
            on_evaluation_start             where there is validation data
            on_evaluation_end               trainer.logs has the epoch's results, trainer.history not yet
            on_epoch_end                    trainer.logs and trainer.history have the epoch's results
        on_interrupt                        after Ctrl-C, between two steps or epochs; then comes KeyboardInterrupt
        on_fit_end                          also after an error or an interrupt

    A callback reads the trainer's attributes, and may set ``trainer.stop = True``: no other batch then follows.

    >>> class Announce(Callback):
    ...     def on_epoch_end(self, trainer):
    ...         print(f"epoch {trainer.epoch}: {trainer.logs['train loss']:.3f}")
    """

    #: Callbacks of a higher rank come after those of a lower one, such as a checkpoint after what it has to save.
    rank = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Training begins, or goes on from a checkpoint that has been loaded."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """An epoch begins, or goes on."""

    def on_batch_start(self, trainer: Trainer) -> None:
        """A batch was loaded."""

    def on_backward_end(self, trainer: Trainer) -> bool | None:
        """The batch's gradients have been added to those that were there. False: no step yet."""

    def on_step_start(self, trainer: Trainer) -> None:
        """The optimizer comes next."""

    def on_step_end(self, trainer: Trainer) -> None:
        """The parameters have changed, and gradients are gone."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """All is done for this batch."""

    def on_evaluation_start(self, trainer: Trainer) -> None:
        """The validation data comes next."""

    def on_evaluation_end(self, trainer: Trainer) -> None:
        """The epoch's results are in ``trainer.logs``."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """The epoch is complete: ``trainer.epoch`` counts it."""

    def on_interrupt(self, trainer: Trainer) -> None:
        """Someone has pressed Ctrl-C: what would be lost is saved now."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Training ends, however it ends."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be in a checkpoint for training to go on as if it had not been interrupted."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` has returned."""


class Monitor:
    """The best value so far of one of the results in ``trainer.logs``.

    Args:
        name: such as ``"validation loss"``.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        min_delta: how much better it has to be to count.

    Raises:
        ValueError: another mode.
    """

    def __init__(self, name: str, mode: str = "min", min_delta: float = 0.0):
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', not {mode!r}")
        self.name, self.sign, self.min_delta = name, 1 if mode == "min" else -1, min_delta
        self.best: float | None = None

    def check(self, trainer: Trainer) -> None:
        """Raise before a training where there will be no such result.

        Raises:
            ValueError: there is no validation data.
        """
        if self.name.startswith("validation ") and trainer.validation is None:
            raise ValueError(f"to go by the {self.name}, pass validation batches to fit; or choose another monitor")

    def improved(self, logs: Mapping[str, float]) -> bool:
        """Whether the value is better than all before, and so the best from now on; NaN never is.

        Raises:
            KeyError: there is no such result.
        """
        if self.name not in logs:
            raise KeyError(f"there is no result {self.name!r} to monitor; there are {', '.join(map(repr, logs)) or 'none'}")
        value = float(logs[self.name])
        if value == value and (self.best is None or self.sign * (self.best - value) > self.min_delta):
            self.best = value
            return True
        return False
