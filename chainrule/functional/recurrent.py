"""Recurrent networks: one step of each kind, and whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .activation import relu, sigmoid, tanh
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
