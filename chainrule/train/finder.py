"""The learning-rate finder: a short training whose learning rate rises until the loss explodes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from math import isfinite
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from ..trees import tree_map
from ..viz.figures import plot_against
from .trainer import Trainer


class LearningRates(NamedTuple):
    """What ``find_learning_rate`` has found: the rates, the smoothed loss at each, and a rate to begin with."""

    rates: Array
    losses: Array
    suggestion: float

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the loss against the rate, with the suggestion."""
        plot_against(self.rates, self.losses, path, xlabel="learning rate", ylabel="loss", marked=self.suggestion)


def find_learning_rate(
    trainer: Trainer,
    loader: Iterable[Any],
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
) -> LearningRates:
    """Train for some steps with rates that rise from ``start`` to ``end`` by a factor; then put all back as it was.

    The suggestion is the rate at which the loss falls most steeply, in the rate's logarithm, before it is least. The training
    ends early where the loss is four times the least before.

    Args:
        trainer: its model, optimizer, loss and random state are as before afterwards.
        loader: batches; it is begun anew where it ends.
        start: the first rate.
        end: the last.
        steps: how many rates there are.
        smoothing: the share of the loss's mean that is kept at each step.

    Raises:
        ValueError: the loss was not finite at the first steps, so that there is nothing to choose from.

    Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks (2015).
    """
    before = tree_map(lambda leaf: np.copy(leaf) if isinstance(leaf, np.ndarray) else leaf, trainer.state_dict())
    place = loader.state_dict() if hasattr(loader, "state_dict") else None
    rates, losses, mean, least = [], [], 0.0, float("inf")
    trainer.model.train()
    trainer.optimizer.zero_grad()
    batches = _forever(loader)
    try:
        for number, (rate, batch) in enumerate(zip(np.geomspace(start, end, steps), batches, strict=False), start=1):
            for group in trainer.optimizer.param_groups:
                group["lr"] = float(rate)
            loss, _, _ = trainer.forward(batch)
            value = loss.item()
            if not isfinite(value):
                break
            mean = smoothing * mean + (1 - smoothing) * value
            smooth = mean / (1 - smoothing**number)
            rates.append(rate)
            losses.append(smooth)
            least = min(least, smooth)
            if smooth > 4 * least:
                break
            loss.backward()
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()
    finally:
        trainer.optimizer.zero_grad()
        batches.close()
        trainer.load_state_dict(before)
        if hasattr(loader, "load_state_dict"):
            loader.load_state_dict(place)
    if len(rates) < 3:
        raise ValueError(f"the loss was not finite or exploded at the rate {rate:.2g}, after {len(rates)} steps; start lower")
    falling = max(2, int(np.argmin(losses)))  # what falls beyond the least loss comes back from an explosion
    slope = np.gradient(np.array(losses), np.log(rates))[:falling]
    return LearningRates(np.array(rates), np.array(losses), float(rates[int(slope.argmin())]))


def _forever(loader: Iterable[Any]) -> Generator[Any, None, None]:
    while True:
        yield from loader
