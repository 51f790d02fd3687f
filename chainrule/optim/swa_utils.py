"""Averages of a model's weights over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.config import no_grad
from ..core.variable import Variable, plain
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from .lr_scheduler import SWALR

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn", "update_bn"]

AverageFn = Callable[[Array, Array, int], Array]


def get_ema_avg_fn(decay: float = 0.999) -> AverageFn:
    """The exponential moving average: decay average + (1 - decay) new."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is from 0 to 1, not {decay}")
    return lambda average, new, count: average + (1 - decay) * (new - average)


def get_swa_avg_fn() -> AverageFn:
    """The mean of all: average + (new - average) / (count + 1)."""
    return lambda average, new, count: average + (new - average) / (count + 1)


class AveragedModel(Module):
    """A copy of a model, whose weights are the average over steps of the model's.

    Args:
        model: the model, which is copied.
        avg_fn: makes the next average from the average, the new value and how many went into the average, each for one array;
            by default the mean of all. See ``get_ema_avg_fn``.
        use_buffers: whether buffers are averaged too (integers are copied); else see ``update_bn``.

    Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> from chainrule.optim.swa_utils import AveragedModel, get_ema_avg_fn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.9))
    >>> for value in (1.0, 2.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.data
    array([[1.1]], dtype=float32)
    """

    n_averaged: Array

    def __init__(self, model: Module, avg_fn: AverageFn | None = None, use_buffers: bool = False):
        self.register_buffer("n_averaged", np.array(0))
        self.module = deepcopy(model)
        self.avg_fn, self.use_buffers = avg_fn or get_swa_avg_fn(), use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the average."""
        count = int(self.n_averaged)
        for average, new in zip(self._averaged(self.module), self._averaged(model), strict=True):
            own, value = plain(average), plain(new)
            own[...] = self.avg_fn(own, value, count) if count and own.dtype.kind in "fc" else value
            if isinstance(average, Variable):
                average.data = own  # tells the tape
        self.n_averaged += 1
        if not self.use_buffers:  # they are the model's present ones
            for average, new in zip(self.module.buffers(), model.buffers(), strict=True):
                average[...] = new

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
