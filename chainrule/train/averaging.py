"""A callback that averages a model's weights over a training's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..nn.module import Module
from ..optim.swa_utils import AveragedModel
from .callback import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class WeightAveraging(Callback):
    """Takes the weights after each step into an average, which is what validation data is evaluated with.

    The average is ``averaged.module``, and is in checkpoints too; the Trainer's own model has the last weights.

    Args:
        averaged: the average, such as ``AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))``, of
            ``optim.swa_utils``; where ``model`` is the Trainer's.

    >>> from chainrule import nn
    >>> from chainrule.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    >>> model = nn.Linear(2, 1)
    >>> averaging = WeightAveraging(AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999)))
    """

    rank = -1  # before what else is done after an evaluation, with the model itself

    def __init__(self, averaged: AveragedModel):
        self.averaged = averaged
        self._own: Module | None = None  # the Trainer's model, while the average stands in its place

    def on_step_end(self, trainer: Trainer) -> None:
        self.averaged.update_parameters(trainer.model)

    def on_evaluation_start(self, trainer: Trainer) -> None:
        self._own, trainer.model = trainer.model, self.averaged.module

    def on_evaluation_end(self, trainer: Trainer) -> None:
        if self._own is not None:
            trainer.model, self._own = self._own, None

    def on_fit_end(self, trainer: Trainer) -> None:
        self.on_evaluation_end(trainer)  # where an evaluation did not come to its end

    def state_dict(self) -> dict[str, Any]:
        return self.averaged.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.averaged.load_state_dict(state_dict)
