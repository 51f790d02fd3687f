"""Recurrent networks: one step of each kind, and whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import contiguous, empty
from ..dispatch import unwrap
from ..kernels import recurrent as kernel
from ..kernels.layer import dense, enabled
from ..kernels.matmul import column_sums, matmul
from .activation import relu, sigmoid, tanh
from .fused import Fused
from .linear import linear

#: The hidden state (N, H); of an LSTM the cell state too.
State = tuple[Any, ...]

#: W_ih, W_hh, and then b_ih and b_hh where there are biases.
Weights = Sequence[Any]


def _rnn_step(activation: Callable[[Any], Any]) -> Callable[[Any, Any, State], State]:
    def step(x: Any, r: Any, state: State) -> State:
        return (activation(x + r),)

    return step


def _lstm_step(x: Any, r: Any, state: State) -> State:
    i, f, g, o = np.split(x + r, 4, axis=-1)
    c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru_step(x: Any, r: Any, state: State) -> State:
    size = state[0].shape[-1]
    gates = sigmoid(x[..., : 2 * size] + r[..., : 2 * size])
    n = tanh(x[..., 2 * size :] + gates[..., :size] * r[..., 2 * size :])
    return (n + gates[..., size:] * (state[0] - n),)


#: From W_ih x + b_ih, W_hh h + b_hh and the state to the next state. The names of the kinds are PyTorch's.
_STEPS: dict[str, Callable[[Any, Any, State], State]] = {
    "RNN_TANH": _rnn_step(tanh),
    "RNN_RELU": _rnn_step(relu),
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}

#: How many gates a kind has: W_ih and W_hh have as many times H rows.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def recurrent_cell(mode: str, input: Any, state: State, weights: Weights) -> State:
    """One step of a recurrent network: the next state, of which the first part is the output.

    Args:
        mode: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"LSTM"`` or ``"GRU"``; the layers give the formulas.
        input: (N, I) or (I,).
        state: h, or h and c, each (N, H) or (H,).
        weights: W_ih (gates H, I), W_hh (gates H, H), and where there are biases b_ih and b_hh (gates H,).

    >>> import numpy as np, chainrule.functional as F
    >>> F.recurrent_cell("RNN_TANH", np.array([1.0]), (np.array([2.0]),), (np.array([[0.5]]), np.array([[-0.25]])))
    (array([0.]),)
    """
    w_ih, w_hh, b_ih, b_hh = (*weights, None, None)[:4]
    return _STEPS[mode](linear(input, w_ih, b_ih), linear(state[0], w_hh, b_hh), state)


def recurrent(
    mode: str,
    input: Any,
    state: State,
    weights: Weights,
    batch_sizes: Sequence[int],
    reverse: bool = False,
    projection: Any = None,
) -> tuple[Any, State]:
    """One layer of a recurrent network over whole sequences, in one direction; returns the outputs and the last state.

    Args:
        mode: as for ``recurrent_cell``.
        input: (rows, I): first the first elements of all sequences, then the second elements of those that have one, ...
        state: where it starts: h, or h and c, each (N, H).
        weights: as for ``recurrent_cell``.
        batch_sizes: how many sequences have an element at each time. They do not rise, and their sum is ``rows``.
        reverse: from the end of each sequence to its start.
        projection: (P, H), by which the hidden state of an LSTM is multiplied, or None; h is then (N, P).

    >>> import numpy as np, chainrule.functional as F
    >>> weights = np.array([[1.0]]), np.array([[0.5]])
    >>> F.recurrent("RNN_RELU", np.array([[1.0], [2.0], [4.0]]), (np.zeros((2, 1)),), weights, batch_sizes=(2, 1))
    (array([[1. ],
           [2. ],
           [4.5]]), (array([[4.5],
           [2. ]]),))
    """
    if input.dtype == np.float16:  # stored in 16 bits, computed in 32
        wide = [[a.astype(np.float32) for a in arrays] for arrays in ((input,), state, weights)]
        projection = None if projection is None else projection.astype(np.float32)
        y, last = recurrent(mode, wide[0][0], tuple(wide[1]), wide[2], batch_sizes, reverse, projection)
        return y.astype(np.float16), tuple(s.astype(np.float16) for s in last)

    def composition(input: Any, *others: Any) -> tuple[Any, ...]:
        y, last = _scan(mode, input, others[len(weights) :], others[: len(weights)], batch_sizes, reverse, projection)
        return y, *last

    run: Any = composition
    if projection is None and enabled() and dense(*(unwrap(a) for a in (input, *weights, *state))):
        run = _fused(mode, len(weights) == 4, batch_sizes, reverse, composition)
    y, *last = run(input, *weights, *state)
    return y, tuple(last)


def _scan(
    mode: str, input: Any, state: State, weights: Weights, batch_sizes: Sequence[int], reverse: bool, projection: Any
) -> tuple[Any, State]:
    """What ``recurrent`` computes, step by step."""
    w_ih, w_hh, b_ih, b_hh = (*weights, None, None)[:4]
    step, x = _STEPS[mode], linear(input, w_ih, b_ih)
    ends = np.cumsum(batch_sizes).tolist()
    first, outputs, finished = state, {}, []
    state = tuple(s[: batch_sizes[-1]] for s in first) if reverse else first
    for t in reversed(range(len(ends))) if reverse else range(len(ends)):
        size, before = batch_sizes[t], state[0].shape[0]
        if size > before:  # sequences that end here, and so start
            state = tuple(np.concatenate([s, s0[before:size]]) for s, s0 in zip(state, first, strict=True))
        elif size < before:
            finished.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(x[ends[t] - size : ends[t]], linear(state[0], w_hh, b_hh), state)
        if projection is not None:
            state = (linear(state[0], projection), *state[1:])
        outputs[t] = state[0]
    if finished:
        state = tuple(np.concatenate(parts) for parts in zip(state, *reversed(finished), strict=True))
    return np.concatenate([outputs[t] for t in range(len(ends))]), state


# ---- by kernels -----------------------------------------------------------------------------------------


def _fused(
    mode: str, biased: bool, batch_sizes: Sequence[int], reverse: bool, composition: Callable[..., tuple[Any, ...]]
) -> Fused:
    """``recurrent`` as one operation on the input, the weights, and the parts of the state."""
    offsets = np.concatenate([[0], np.cumsum(batch_sizes)])
    step = -1 if reverse else 1

    def forward(x: Array, w_ih: Array, w_hh: Array, *others: Array) -> tuple[tuple[Array, ...], Any]:
        biases, state = others[: 2 * biased], tuple(np.ascontiguousarray(s) for s in others[2 * biased :])
        rows, size, weight = x.shape[0], w_hh.shape[1], np.ascontiguousarray(w_hh)
        bias, bias_inside = None, np.zeros(size, x.dtype)
        if biased:
            bias = biases[0] + biases[1]
            if mode == "GRU":  # whose reset gate is applied after b_hn
                bias[-size:], bias_inside = biases[0][-size:], biases[1][-size:]
        gates, division = linear(x, w_ih, bias), kernel.division(batch_sizes[0], weight)
        y = gates if mode.startswith("RNN") else empty((rows, size), x.dtype)
        # the cells, or what a reset gate is applied to
        more: Any = None if mode.startswith("RNN") else empty((rows, size), x.dtype)
        if mode == "LSTM":
            kernel.lstm(gates, y, more, *state, weight, offsets, step, division)
        elif mode == "GRU":
            kernel.gru(gates, y, more, *state, weight, bias_inside, offsets, step, division)
        else:
            kernel.rnn(y, *state, weight, offsets, step, mode == "RNN_RELU", division)
        ends = _ends(batch_sizes, reverse)
        last = [a[ends].copy() for a in ((y, more) if mode == "LSTM" else (y,))]
        return (y, *last), (gates, y, more, state)

    def backward(
        kept: Any, arrays: tuple[Array, ...], gs: tuple[Array, ...], needed: tuple[bool, ...]
    ) -> Iterable[Array | None]:
        (x, w_ih, w_hh, *_), (gates, y, more, first) = arrays, kept
        g, state = contiguous(gs[0]), tuple(s.copy() for s in gs[1:])
        w_hh, division = np.ascontiguousarray(w_hh), kernel.division(batch_sizes[0], w_hh)
        inner = recurrent = empty(gates.shape, gates.dtype)  # the gradients of W_ih x + b_ih and of W_hh h + b_hh
        if mode == "LSTM":
            kernel.lstm_backward(g, gates, more, first[1], *state, w_hh, offsets, step, inner, division)
        elif mode == "GRU":
            recurrent = empty(gates.shape, gates.dtype)
            kernel.gru_backward(g, gates, y, more, *first, *state, w_hh, offsets, step, inner, recurrent, division)
        else:
            kernel.rnn_backward(g, y, *state, w_hh, offsets, step, mode == "RNN_RELU", inner, division)
        yield linear(inner, w_ih.T) if needed[0] else None
        yield matmul(inner.T, x) if needed[1] else None
        yield matmul(recurrent.T, _before(y, first[0], offsets, step)) if needed[2] else None
        if biased:
            of_inner = column_sums(inner) if needed[3] else None
            yield of_inner
            yield (of_inner if needed[3] and recurrent is inner else column_sums(recurrent)) if needed[4] else None
        yield from state

    return Fused(mode, composition, forward, backward)


def _ends(batch_sizes: Sequence[int], reverse: bool) -> Any:
    """The row of each sequence's last step."""
    n, rows = batch_sizes[0], sum(batch_sizes)
    if reverse:
        return slice(n)
    if batch_sizes[-1] == n:
        return slice(rows - n, rows)
    ends = np.empty(n, np.intp)
    start = 0
    for size in batch_sizes:
        ends[:size] = np.arange(start, start + size)
        start += size
    return ends


def _before(y: Array, first: Array, offsets: Array, step: int) -> Array:
    """The states before each step, (rows, H)."""
    out = empty(y.shape, y.dtype)
    places = [slice(start, stop) for start, stop in pairwise(offsets.tolist())][::step]
    rows = 0  # of the time before
    for before, now in zip([slice(0), *places], places, strict=False):
        size = now.stop - now.start
        old = min(size, rows)
        out[now][:old] = y[before][:old]
        out[now][old:] = first[old:size]
        rows = size
    return out
