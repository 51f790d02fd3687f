"""Averages of a model's weights over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.config import no_grad
from ..core.variable import changed, plain
from ..kernels import optimizers as kernels
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from .lr_scheduler import SWALR

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AverageFn = Callable[[Array, Array, int], Array]
MultiAverageFn = Callable[[Sequence[Array], Sequence[Array], int], None]


def get_ema_avg_fn(decay: float = 0.999) -> AverageFn:
    """The exponential moving average of one array: decay average + (1 - decay) new."""
    _check_decay(decay)
    return lambda average, new, count: average + (1 - decay) * (new - average)


def get_swa_avg_fn() -> AverageFn:
    """The mean of all, of one array: average + (new - average) / (count + 1)."""
    return lambda average, new, count: average + (new - average) / (count + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverageFn:
    """The exponential moving average of all arrays, in place and in one compiled pass: decay average + (1 - decay) new."""
    _check_decay(decay)
    return lambda averages, new, count: _move(averages, new, 1 - decay)


def get_swa_multi_avg_fn() -> MultiAverageFn:
    """The mean of all, of all arrays, in place and in one compiled pass: average + (new - average) / (count + 1)."""
    return lambda averages, new, count: _move(averages, new, 1 / (count + 1))


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is from 0 to 1, not {decay}")


def _move(averages: Sequence[Array], new: Sequence[Array], part: float) -> None:
    pairs: list[kernels.Parameter] = [(average, value, ()) for average, value in zip(averages, new, strict=True)]
    kernels.update(_towards, pairs, (), (1.0, 0.0, 1.0, part))


def _towards(average: Any, new: Any, state: Any, constants: Any) -> Any:
    (part,) = constants
    return average + part * (new - average), state


class AveragedModel(Module):
    """A copy of a model, whose weights are the average over steps of the model's.

    Args:
        model: the model, which is copied.
        avg_fn: makes the next average from the average, the new value and how many went into the average, each for one array.
        multi_avg_fn: does so for lists of all arrays at once, in place; by default the mean of all.
        use_buffers: whether buffers are averaged too (integers are copied); else see ``update_bn``.

    Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> from chainrule.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    >>> for value in (1.0, 2.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.data
    array([[1.1]], dtype=float32)
    """

    n_averaged: Array

    def __init__(
        self,
        model: Module,
        avg_fn: AverageFn | None = None,
        multi_avg_fn: MultiAverageFn | None = None,
        use_buffers: bool = False,
    ):
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel takes avg_fn or multi_avg_fn, not both")
        self.register_buffer("n_averaged", np.array(0))
        self.module = deepcopy(model)
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn or get_swa_multi_avg_fn(), use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the average."""
        count = int(self.n_averaged)
        averages, new = ([plain(x) for x in self._averaged(m)] for m in (self.module, model))
        means = [count > 0 and average.dtype.kind in "fc" for average in averages]
        if self.avg_fn is None:
            chosen = [(a, x) for a, x, mean in zip(averages, new, means, strict=True) if mean]
            self.multi_avg_fn([a for a, _ in chosen], [x for _, x in chosen], count)
        for average, value, mean in zip(averages, new, means, strict=True):
            if not mean:
                average[...] = value
            elif self.avg_fn is not None:
                average[...] = self.avg_fn(average, value, count)
        changed(self.module.parameters())
        self.n_averaged += 1
        if not self.use_buffers:  # they are the model's present ones
            for average, value in zip(self.module.buffers(), model.buffers(), strict=True):
                average[...] = value

    def _averaged(self, model: Module) -> Iterable[Any]:
        return chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Compute the running means and variances of a model's batch normalisations anew, as the means over a loader's batches.

    Args:
        loader: gives batches; of a tuple or list the first element is the model's input.
        model: the model.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    if not layers:
        return
    was_training = model.training
    model.train()
    for layer in layers:
        layer.momentum = None
        for statistic, value in ((layer.running_mean, 0), (layer.running_var, 1), (layer.num_batches_tracked, 0)):
            if statistic is not None:
                statistic[...] = value
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, (tuple, list)) else batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(was_training)
