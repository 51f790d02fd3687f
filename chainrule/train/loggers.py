"""Callbacks that write down how a training goes: learning rates, CSV, TensorBoard, curves."""

from __future__ import annotations

import csv
import io
import time
from itertools import zip_longest
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.atomic import remove_unfinished, replacing
from ..viz.figures import new_figure, plot_curves
from .callback import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class LearningRateMonitor(Callback):
    """Puts the learning rate at each epoch's start into the results, as ``"learning-rate"``.

    Where the optimizer has several groups of parameters, as ``"group <i> learning-rate"``.
    """

    def on_epoch_start(self, trainer: Trainer) -> None:
        trainer.logs = learning_rates(trainer) | trainer.logs  # where an epoch is gone on with, they are there


def learning_rates(trainer: Trainer) -> dict[str, float]:
    """The learning rates in force, by name."""
    groups = trainer.optimizer.param_groups
    return {f"group {i} learning-rate" if len(groups) > 1 else "learning-rate": float(g["lr"]) for i, g in enumerate(groups)}


class CSVLogger(Callback):
    """Writes the results of all epochs to a CSV file, with a row for each.

    Args:
        path: the file; one that exists is replaced. After an interruption it goes on as ``fit`` does.
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = Path(path)

    def on_fit_start(self, trainer: Trainer) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.path)

    def on_epoch_end(self, trainer: Trainer) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        scalars = {name: values for name, values in trainer.history.items() if isinstance(values[-1], (int, float))}
        writer.writerow(["epoch", *scalars])
        writer.writerows((epoch, *row) for epoch, row in enumerate(zip_longest(*scalars.values(), fillvalue=""), start=1))
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())


class PlotCurves(Callback):
    """Draws the results of all epochs: after the first, then every so often, and in the end.

    Args:
        path: the picture; its ending says the format (``.png``, ``.svg``, ``.pdf``). It is replaced at once, so that a viewer
            never sees half of one.
        seconds: how long it waits, at least, before it draws anew.

    Raises:
        ImportError: matplotlib is not installed.
    """

    def __init__(self, path: str | PathLike[str], seconds: float = 30.0):
        new_figure(1, 1)  # here, and not after an epoch, it is said that matplotlib is missing
        self.path, self.seconds = Path(path), seconds
        self._drawn: float | None = None  # when it drew last; None: not yet
        self._is_due = False

    def on_fit_start(self, trainer: Trainer) -> None:
        self._drawn = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.path)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._is_due = True
        if self._drawn is None or time.monotonic() - self._drawn >= self.seconds:
            self._draw(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._is_due:
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        plot_curves({n: v for n, v in trainer.history.items() if isinstance(v[-1], (int, float))}, self.path)
        self._drawn, self._is_due = time.monotonic(), False


class TensorBoard(Callback):
    """Writes the results for TensorBoard, through the package tensorboardX: ``tensorboard --logdir <folder>`` shows them.

    The loss of single batches and the learning rate are written by steps, the epochs' results by epochs.

    Args:
        folder: where event files are written.
        every_steps: steps from one loss that is written to the next.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | PathLike[str], every_steps: int = 10):
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError("TensorBoard's files need the package tensorboardX: pip install 'chainrule[train]'") from error
        self._package = tensorboardX
        self.folder, self.every_steps = Path(folder), every_steps
        self._writer: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self._writer = self._package.SummaryWriter(str(self.folder))

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step % self.every_steps == 0:
            self._writer.add_scalar("batch/loss", trainer.loss, trainer.step)
            for name, value in learning_rates(trainer).items():
                self._writer.add_scalar(f"batch/{name}", value, trainer.step)

    def on_epoch_end(self, trainer: Trainer) -> None:
        for name, value in trainer.logs.items():
            part, _, quantity = name.rpartition(" ")
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"{quantity}/{part}" if part else quantity, value, trainer.epoch)
        self._writer.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        self._writer.close()
