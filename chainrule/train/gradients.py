"""Callbacks that change gradients before a step: those of several batches together, and long ones shortened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..nn.utils import clip_grad_norm_
from .callback import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class GradientAccumulation(Callback):
    """The optimizer makes a step after every ``steps`` batches, with the gradient of them all together.

    It is that of one batch of all their examples, also where the batches differ in size: ``.grad`` holds the mean over the
    examples so far. An epoch's last step takes what batches there are. (BatchNorm still sees each batch by itself.)

    Args:
        steps: batches for a step.

    Raises:
        ValueError: ``steps`` is less than 1.
    """

    def __init__(self, steps: int):
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        self.steps = steps
        self.batches = self.examples = 0  # those in the gradients now

    def on_epoch_start(self, trainer: Trainer) -> None:
        self.batches = self.examples = 0

    def on_batch_start(self, trainer: Trainer) -> None:
        if self.batches:  # backward() adds to it, and is told that the sum is to be divided afterwards
            self._scale(trainer, self.examples / trainer.examples)

    def on_backward_end(self, trainer: Trainer) -> bool | None:
        if self.batches:
            self._scale(trainer, trainer.examples / (self.examples + trainer.examples))
        self.batches, self.examples = self.batches + 1, self.examples + trainer.examples
        return self.batches == self.steps

    def on_step_end(self, trainer: Trainer) -> None:
        self.batches = self.examples = 0

    def _scale(self, trainer: Trainer, factor: float) -> None:
        for parameter in trainer.model.parameters():
            if parameter.grad is not None:
                np.multiply(parameter.grad, factor, out=parameter.grad)


class GradientClipping(Callback):
    """Shortens the gradients before each step, all together, so that their norm is at most ``max_norm``.

    Args:
        max_norm: the largest Euclidean norm that is left as it is.

    Source: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks (2013).
    """

    def __init__(self, max_norm: float):
        self.max_norm = max_norm

    def on_step_start(self, trainer: Trainer) -> None:
        clip_grad_norm_(trainer.model.parameters(), self.max_norm)
