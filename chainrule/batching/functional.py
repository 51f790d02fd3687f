"""Batching of chainrule's own functions: the examples join an axis that is there for a batch, or become groups of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.batched import Batched, Level, NotBatched, whole
from ..functional import activation, convolution, loss, normalization, padding, pooling, resampling, sampling
from ..functional.dropout import _masked
from ..functional.embedding import _add_rows, _rows
from ..functional.linear import column_sums, linear
from .arrays import beyond, reduction
from .calls import BATCHING, batches, element_by_element

for _function in (
    activation.relu, activation.hardtanh, activation.leaky_relu, activation.hardswish, activation.sigmoid, activation.tanh,
    activation.silu, activation.mish, activation._normal_cdf, activation._gelu, activation._gelu_tanh, activation._elu,
    activation._softplus, activation._threshold, activation._hardshrink, activation._softshrink, activation._hardsigmoid,
    activation._softsign, activation._tanhshrink, activation._logsigmoid, activation._prelu,
    loss._huber, loss._cross_entropy_of_two, _masked,
):  # fmt: skip
    BATCHING[_function] = element_by_element(_function)


def _is_mapped(x: Any) -> bool:
    return isinstance(x, Batched) and x.mapped


def _same(function: Any, *arguments: Any) -> list[Any]:
    """Arguments that a function takes for a batch as a whole: they must not differ from example to example."""
    if any(map(_is_mapped, arguments)):
        raise NotBatched(f"{function.__name__} with other weights for each example")
    return [x.inner if isinstance(x, Batched) else x for x in arguments]


# ---- along an axis --------------------------------------------------------------------------------------


def _along(function: Any) -> None:
    @batches(function)
    def rule(level: Level, input: Any, dim: Any = -1) -> Any:
        return function(whole(input, level), beyond(dim, input.ndim))


_along(activation._glu)
_along(activation.softmax)
_along(activation.log_softmax)
BATCHING[activation.logsumexp] = reduction(activation.logsumexp)


def _leading(function: Any, arrays: int) -> None:
    """A function of so many arrays that takes any axes in front of the last."""

    @batches(function)
    def rule(level: Level, *args: Any) -> Any:
        return function(*[whole(x, level) if i < arrays else x for i, x in enumerate(args)])


_leading(loss._pick, 2)
_leading(loss._place, 2)
_leading(loss.cross_entropy_of_classes, 2)
_leading(pooling._placed, 2)

# ---- products -------------------------------------------------------------------------------------------


@batches(linear)
def _linear(level: Level, input: Any, weight: Any, bias: Any = None) -> Any:
    if not (_is_mapped(weight) or _is_mapped(bias)):
        return linear(whole(input, level), *_same(linear, weight, bias))
    y = np.matmul(input, weight.mT)
    return whole(y if bias is None else y + bias, level)


BATCHING[column_sums] = lambda level, x: np.sum(whole(x, level), axis=1)


@batches(_rows)
def _rows_of_each(level: Level, weight: Any, index: Any, padding_idx: Any = None, by_frequency: bool = False) -> Any:
    (weight,) = _same(_rows, weight)
    if by_frequency:
        raise NotBatched("frequencies are counted for each example")
    return _rows(weight, whole(index, level), padding_idx)


@batches(_add_rows)
def _add_rows_of_each(level: Level, rows: Any, index: Any, n: int) -> Any:
    index, rows = whole(index, level).reshape(level.size, -1), whole(rows, level)
    places = index + n * np.arange(level.size)[:, None]
    total = _add_rows(np.reshape(rows, (places.size, rows.shape[-1])), np.reshape(places, (-1,)), n * level.size)
    return np.reshape(total, (level.size, n, rows.shape[-1]))


# ---- images: (N, C, ...) --------------------------------------------------------------------------------


def _joined(x: Any, level: Level) -> Any:
    """The examples' own batches as one: (B, N, ...) to (B N, ...)."""
    x = whole(x, level)
    return np.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def _parted(y: Any, level: Level) -> Any:
    return np.reshape(y, (level.size, y.shape[0] // level.size, *y.shape[1:]))


def _as_channels(x: Any, level: Level) -> Any:
    """The examples beside each other as channels: (B, N, C, ...) to (N, B C, ...)."""
    x = np.moveaxis(whole(x, level), 0, 1)
    return np.reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _from_channels(y: Any, level: Level) -> Any:
    return np.moveaxis(np.reshape(y, (y.shape[0], level.size, y.shape[1] // level.size, *y.shape[2:])), 1, 0)


def _convolution(function: Any) -> None:
    """With weights of each example's own, the examples are groups of channels."""

    @batches(function)
    def rule(level: Level, x: Any, weight: Any, bias: Any, *options: Any) -> Any:
        if not (_is_mapped(weight) or _is_mapped(bias)):
            weight, bias = _same(function, weight, bias)
            return _parted(function(_joined(x, level), weight, bias, *options), level)
        bias = None if bias is None else np.reshape(whole(bias, level), (-1,))
        *others, groups = options
        y = function(_as_channels(x, level), _joined(weight, level), bias, *others, groups * level.size)
        return _from_channels(y, level)


_convolution(convolution._convolve)
_convolution(convolution._convolve_input)


@batches(convolution._convolve_weight)
def _convolve_weight(level: Level, x: Any, g: Any, window: Any, groups: int) -> Any:
    made = convolution._convolve_weight(_as_channels(x, level), _as_channels(g, level), window, groups * level.size)
    return _parted(made, level)


def _joining(function: Callable[..., Any], arrays: int) -> None:
    """A function of so many arrays (N, ...) that treats each of the N by itself."""

    @batches(function)
    def rule(level: Level, *args: Any) -> Any:
        return _parted(function(*[_joined(x, level) if i < arrays else x for i, x in enumerate(args)]), level)


_joining(convolution._unfold, 1)
_joining(convolution._fold, 1)
_joining(pooling._as_chosen, 3)
_joining(pooling._gather, 2)
_joining(pooling._scatter, 2)


@batches(pooling._choose)
def _choose(level: Level, x: Any, windows: Any) -> Any:
    return tuple(_parted(made, level) for made in pooling._choose(_joined(x, level), windows))


@batches(resampling._along_axes)
def _along_axes(level: Level, x: Any, taps: Any, order: Any) -> Any:
    return resampling._along_axes(whole(x, level), taps, (0, *(1 + axis for axis in order)))


@batches(padding._surrounded)
def _surrounded(level: Level, x: Any, pairs: Any, value: Any) -> Any:
    return padding._surrounded(whole(x, level), ((0, 0), *pairs), value)


# ---- normalisation --------------------------------------------------------------------------------------


@batches(normalization._as_normalized_rows)
def _as_normalized_rows(level: Level, arrays: Any, y: Any, mean: Any, scale: Any, *options: Any) -> Any:
    x, *affine = arrays
    affine = _same(normalization._as_normalized_rows, *affine)
    results = [None if a is None else whole(a, level) for a in (y, mean, scale)]
    return normalization._as_normalized_rows([whole(x, level), *affine], *results, *options)


# ---- images sampled at places, (N, ...) all -------------------------------------------------------------


def _sampled(function: Any, arrays: int) -> None:
    @batches(function)
    def rule(level: Level, *args: Any) -> Any:
        return _parted(function(*[_joined(x, level) if i < arrays else x for i, x in enumerate(args)]), level)


_sampled(sampling._pull, 3)
_sampled(sampling._push, 3)
_sampled(sampling._pair, 3)
