"""Recurrent layers and cells."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import functional as F
from ..core.variable import Parameter
from ..functional.recurrent import GATES, State
from . import init
from .module import Module
from .utils.rnn import PackedSequence


class _Recurrent(Module):
    """What recurrent layers and cells share: how they start."""

    hidden_size: int

    def reset_parameters(self) -> None:
        """Draw the initial values again: uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class RNNBase(_Recurrent):
    """What ``RNN``, ``LSTM`` and ``GRU`` share: layers, directions, and what a batch looks like."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ):
        if not 0 <= dropout <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {dropout}")
        if hidden_size < 1 or num_layers < 1:
            raise ValueError(f"hidden_size and num_layers are at least 1, not {hidden_size} and {num_layers}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size is from 0 (for none) to hidden_size - 1 = {hidden_size - 1}, not {proj_size}")
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout is between layers: with num_layers=1 there is none", stacklevel=3)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.proj_size = proj_size
        self._suffixes = [f"_l{k}{end}" for k in range(num_layers) for end in ("", "_reverse")[: 1 + bidirectional]]
        output_size, rows = proj_size or hidden_size, GATES[mode] * hidden_size
        for place, suffix in enumerate(self._suffixes):
            size = input_size if place <= bidirectional else output_size * (1 + bidirectional)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, size), "weight_hh": (rows, output_size)}
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
            shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
            for name, shape in shapes.items():
                self.register_parameter(name + suffix, Parameter(np.empty(shape, np.float32)))
        self.reset_parameters()

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        packed = isinstance(input, PackedSequence)
        x, order, inverse = (input.data, input.sorted_indices, input.unsorted_indices) if packed else (input, None, None)
        if x.ndim not in ((2,) if packed else (2, 3)) or x.shape[-1] != self.input_size:
            size = self.input_size
            batch = f"(N, T, {size})" if self.batch_first else f"(T, N, {size})"
            raise ValueError(f"expected {f'packed (rows, {size})' if packed else f'(T, {size}) or {batch}'}, got {x.shape}")
        unbatched = x.ndim == 2 and not packed
        if unbatched:
            x = x[:, None]
        elif self.batch_first and not packed:
            x = np.swapaxes(x, 0, 1)
        if packed:
            batch_sizes = [int(n) for n in input.batch_sizes]
        else:
            time, n, _ = x.shape
            batch_sizes, x = [n] * time, np.reshape(x, (-1, self.input_size))
        if not batch_sizes:
            raise ValueError("expected a sequence of at least one element, got none")

        state = self._initial_state(hx, batch_sizes[0], x.dtype, unbatched)
        if order is not None:
            state = tuple(s[:, order] for s in state)
        y, last = self._run(x, state, batch_sizes)
        if inverse is not None:
            last = tuple(s[:, inverse] for s in last)
        if packed:
            y = input._replace(data=y)
        else:
            y = np.reshape(y, (time, n, y.shape[-1]))
            if unbatched:
                y, last = y[:, 0], tuple(s[:, 0] for s in last)
            elif self.batch_first:
                y = np.swapaxes(y, 0, 1)
        return y, last if self.mode == "LSTM" else last[0]

    def _initial_state(self, hx: Any, n: int, dtype: np.dtype[Any], unbatched: bool) -> State:
        """The state before the first element, each part of it (layers directions, N, size)."""
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: 1 + (self.mode == "LSTM")]
        places = len(self._suffixes)
        if hx is None:
            return tuple(np.zeros((places, n, size), dtype) for size in sizes)
        state = tuple(hx) if self.mode == "LSTM" else (hx,)
        for part, size in zip(state, sizes, strict=True):
            expected = (places, size) if unbatched else (places, n, size)
            if part.shape != expected:
                raise ValueError(f"expected an initial state (layers directions, N, size) of {expected}, got {part.shape}")
        return tuple(part[:, None] for part in state) if unbatched else state

    def _run(self, x: Any, state: State, batch_sizes: list[int]) -> tuple[Any, State]:
        """All layers and directions over a batch of rows; see ``functional.recurrent``."""
        directions, last = 1 + self.bidirectional, []
        for place in range(0, len(self._suffixes), directions):
            if place and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for k in range(place, place + directions):
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
                weights = [getattr(self, name + self._suffixes[k]) for name in names]
                projection = getattr(self, "weight_hr" + self._suffixes[k], None)
                start = tuple(s[k] for s in state)
                y, end = F.recurrent(self.mode, x, start, weights, batch_sizes, k > place, projection)
                outputs.append(y)
                last.append(end)
            x = np.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
        return x, tuple(np.stack(parts) for parts in zip(*last, strict=True))

    def flatten_parameters(self) -> None:
        """Do nothing: the kernels read the weights where they lie. PyTorch's GPU wants it, and so models call it."""

    def extra_repr(self) -> str:
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        options = [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *options])


class RNN(RNNBase):
    """Recurrent network of several layers: h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh).

    Args:
        input_size: I, how long each element of a sequence is.
        hidden_size: H, how long the hidden state is.
        num_layers: how many layers; each gets the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether there are b_ih and b_hh.
        batch_first: whether batches are (N, T, I) instead of (T, N, I).
        dropout: the probability of dropping an element between layers.
        bidirectional: whether each layer also runs from the end to the start; its outputs stand beside the others.

    Shapes: input (T, N, I), or (T, I) for one sequence, or a ``PackedSequence``; h_0 and h_n (layers directions, N, H), h_0
    zeros by default; output (T, N, directions H). Calling it with input and h_0 returns output and h_n.

    Source: J. L. Elman, Finding Structure in Time (1990).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, h = nn.RNN(3, 4, num_layers=2)(np.zeros((5, 2, 3), np.float32))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        self.nonlinearity = nonlinearity
        super().__init__(
            _rnn_mode(nonlinearity), input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )


class LSTM(RNNBase):
    """Long short-term memory: a network with a cell state c that gates write to, read, and let fade.

    With i, f, o = sigmoid and g = tanh of their rows of W_ih x[t] + b_ih + W_hh h[t-1] + b_hh, in the order i, f, g, o:
    c[t] = f c[t-1] + i g and h[t] = o tanh(c[t]).

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as of ``RNN``.
        proj_size: P; if not 0, h[t] is W_hr (o tanh(c[t])), of this length.

    Shapes: as of ``RNN``, with the pair (h_n, c_n) in place of h_n; h is P long where there is a projection.

    Source: S. Hochreiter, J. Schmidhuber, Long Short-Term Memory (1997), with the forget gate of F. Gers, J. Schmidhuber,
    F. Cummins, Learning to Forget (2000); the projection: H. Sak, A. Senior, F. Beaufays (2014).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, (h, c) = nn.LSTM(3, 4, batch_first=True, bidirectional=True)(np.zeros((2, 5, 3), np.float32))
    >>> y.shape, h.shape, c.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ):
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)


class GRU(RNNBase):
    """Gated recurrent unit: h[t] = (1 - z) n + z h[t-1].

    r = sigmoid(W_ir x[t] + b_ir + W_hr h[t-1] + b_hr), z likewise, and n = tanh(W_in x[t] + b_in + r (W_hn h[t-1] + b_hn)). The
    weights hold the rows in the order r, z, n.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as of ``RNN``.

    Shapes: as of ``RNN``.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), with r applied after the product.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> y, h = nn.GRU(3, 4)(np.zeros((5, 3), np.float32))
    >>> y.shape, h.shape
    ((5, 4), (1, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


# ---- cells ----------------------------------------------------------------------------------------------


class RNNCellBase(_Recurrent):
    """What the cells share."""

    def __init__(self, mode: str, input_size: int, hidden_size: int, bias: bool):
        self.mode, self.input_size, self.hidden_size, self.bias = mode, input_size, hidden_size, bias
        rows = GATES[mode] * hidden_size
        self.weight_ih = Parameter(np.empty((rows, input_size), np.float32))
        self.weight_hh = Parameter(np.empty((rows, hidden_size), np.float32))
        self.bias_ih = Parameter(np.empty(rows, np.float32)) if bias else None
        self.bias_hh = Parameter(np.empty(rows, np.float32)) if bias else None
        self.reset_parameters()

    def forward(self, input: Any, hx: Any = None) -> Any:
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"expected (N, {self.input_size}) or ({self.input_size},), got {input.shape}")
        parts = 1 + (self.mode == "LSTM")
        expected = (*input.shape[:-1], self.hidden_size)
        state = (np.zeros(expected, input.dtype),) * parts if hx is None else tuple(hx) if parts == 2 else (hx,)
        for part in state:
            if part.shape != expected:
                raise ValueError(f"expected a state of {expected}, got {part.shape}")
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        state = F.recurrent_cell(self.mode, input, state, weights)
        return state if parts == 2 else state[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of an ``RNN``: called with input (N, I) and h (N, H), zeros by default, it returns the next h.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.RNNCell(3, 4)(np.zeros((2, 3), np.float32)).shape
    (2, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"):
        self.nonlinearity = nonlinearity
        super().__init__(_rnn_mode(nonlinearity), input_size, hidden_size, bias)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an ``LSTM``: called with input (N, I) and the pair (h, c), it returns the next pair.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> h, c = nn.LSTMCell(3, 4)(np.zeros((2, 3), np.float32))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__("LSTM", input_size, hidden_size, bias)


class GRUCell(RNNCellBase):
    """One step of a ``GRU``: called with input (N, I) and h (N, H), zeros by default, it returns the next h.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> nn.GRUCell(3, 4)(np.zeros((2, 3), np.float32)).shape
    (2, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__("GRU", input_size, hidden_size, bias)


def _rnn_mode(nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
    return f"RNN_{nonlinearity.upper()}"
