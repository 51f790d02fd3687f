"""Recurrent networks over whole sequences, forward and backward.

What does not depend on the step before, W_ih x + b for all times and the gradients of the weights, is a few large products,
which ``functional`` makes. Here is the rest: at each time a small product with W_hh, and the gates. Work is divided by
sequences, each of which goes through all times by itself, or, where these are too few for the threads, at each time by units.

Rows are (time, sequence): those of time t are from ``offsets[t]`` to ``offsets[t + 1]``, of the first so many sequences.
``step`` is 1, or -1 from the end to the start. The states (N, H) are where the sequences begin. Going back, they are the
gradients of where the sequences have ended, and afterwards of where they begin. ``inner`` is the gradient of W_ih x + b.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from .layer import borrow, compiled, give_back, parallel_for, tile_columns
from .math import sigmoid, tanh
from .panels import fill_panels, multiply, panels_of
from .threads import get_num_threads

_ROWS = 4, 32  # of a product, at least, and as many as still add to its speed
_FEW = 8  # sequences of a thread: with fewer, the weights had better be divided
_NEAR = 1 << 21  # bytes: larger weights come from far at each step, and had better be divided among more sequences, too
_SPAN = 1 << 23  # multiplications between two times at which threads meet
_STEP = 1 << 21  # multiplications of a step: fewer are not worth a region of their own


def division(sequences: int, weight: Array) -> tuple[int, bool]:
    """Into how many parts work is divided that is divided by units, or else how many sequences a part has; and which."""
    (least, most), threads = _ROWS, get_num_threads()
    few = most if weight.nbytes > _NEAR else _FEW
    if threads > 1 and sequences < few * threads and max(sequences, least) * weight.size >= _STEP:
        return threads, True
    return min(-(-sequences // (threads * least)) * least, most), False


@compiled
def _part(division: Any, sequences: int, panels: int, weights: int) -> Any:
    """How many items are divided, how many of them a block has, and how many times it goes through.

    These are few enough that a thread that wakes up late is in time for the next.
    """
    size, by_units = division
    if by_units:
        return panels, (panels + size - 1) // size, 1
    return sequences, size, max(1, _SPAN // max(sequences * weights, 1))


@compiled
def _ranges(by_units: bool, start: int, stop: int, sequences: int, size: int, like: Any) -> Any:
    """What a block has: sequences from, to; panels from, to; units from, to."""
    columns = tile_columns(like)
    if by_units:
        return 0, sequences, start, stop, start * columns, min(stop * columns, size)
    return start, stop, 0, (size + columns - 1) // columns, 0, size


@compiled
def _rows(offsets: Any, step: int, k: int, b0: int, b1: int) -> Any:
    """The first row of the k-th time that is gone through, from sequence ``b0`` on, and how many rows there are to ``b1``."""
    times = len(offsets) - 1
    if k < 0 or k >= times:
        return 0, 0
    t = k if step == 1 else times - 1 - k
    return offsets[t] + b0, max(min(b1, offsets[t + 1] - offsets[t]) - b0, 0)


@compiled
def _panels_of_gates(weight: Any) -> Any:
    """W_hh (gates H, H), transposed, as panels (gates, panels, H, columns) that begin anew with each gate; borrowed."""
    size, columns = weight.shape[1], tile_columns(weight)
    gates, count = len(weight) // size, (size + columns - 1) // columns
    panels = borrow(weight, gates * count * size * columns).reshape(gates, count, size, columns)
    for q in range(gates):
        fill_panels(weight[q * size : (q + 1) * size].T, panels[q])
    return panels


@compiled
def _add_product(y: Any, state: Any, was: int, old: int, panels: Any, out: Any) -> None:
    """Add the product with the states before: the first ``old`` are rows of ``y``, the others begin here."""
    if old > 0:
        multiply(y[was : was + old], panels, out[:old], 1.0, 1.0)
    if old < len(out):
        multiply(state[old : len(out)], panels, out[old:], 1.0, 1.0)


@compiled
def _sigmoid(x: Any) -> None:
    for j in range(len(x)):
        x[j] = sigmoid(x[j])


@compiled
def _tanh(x: Any) -> None:
    for j in range(len(x)):
        x[j] = tanh(x[j])


# ---- Elman's network ------------------------------------------------------------------------------------


@compiled
def rnn(y: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, division: Any) -> None:
    """Make of W_ih x + b in ``y`` (rows, H) the outputs. ``weight`` is W_hh."""
    panels, times = _panels_of_gates(weight), len(offsets) - 1
    items, block, span = _part(division, len(state), panels.shape[1], panels.size)
    for k in range(0, times, span):
        parallel_for(_rnn_part, (y, state, panels, offsets, step, relu, k, min(k + span, times), division[1]), items, block)
    give_back(panels)


@compiled
def _rnn_part(
    y: Any,
    state: Any,
    panels: Any,
    offsets: Any,
    step: int,
    relu: bool,
    k0: int,
    k1: int,
    by_units: bool,
    start: int,
    stop: int,
) -> None:
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *state.shape, y)
    zero = y.dtype.type(0)
    for k in range(k0, k1):
        (now, rows), (was, old) = _rows(offsets, step, k, b0, b1), _rows(offsets, step, k - 1, b0, b1)
        _add_product(y, state[b0:b1], was, min(old, rows), panels[0, u0:u1], y[now : now + rows, j0:j1])
        for b in range(rows):
            out = y[now + b, j0:j1]
            if relu:
                for j in range(len(out)):
                    out[j] = zero if out[j] < zero else out[j]
            else:
                _tanh(out)


@compiled
def rnn_backward(
    g: Any, y: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, inner: Any, division: Any
) -> None:
    """From the gradients of the outputs and of the state, as it is at the end, that of the sum in the tanh."""
    panels, times = panels_of(weight), len(offsets)
    items, block, span = _part(division, len(state), len(panels), panels.size)
    for k in range(0, times, span):
        arguments = (g, y, state, panels, offsets, step, relu, inner, k, min(k + span, times), division[1])
        parallel_for(_rnn_backward_part, arguments, items, block)
    give_back(panels)


@compiled
def _rnn_backward_part(
    g: Any, y: Any, state: Any, panels: Any, offsets: Any, step: int, relu: bool, inner: Any, k0: int, k1: int, by_units: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *state.shape, y)
    zero, one = y.dtype.type(0), y.dtype.type(1)
    last = len(offsets) - 2
    for k in range(k0, k1):
        (now, rows), (after, done) = _rows(offsets, step, last - k, b0, b1), _rows(offsets, step, last - k + 1, b0, b1)
        if done > 0:
            multiply(inner[after : after + done], panels[u0:u1], state[b0 : b0 + done, j0:j1], 1.0, 0.0)
        for b in range(rows):
            out, gy, dhb, dx = y[now + b, j0:j1], g[now + b, j0:j1], state[b0 + b, j0:j1], inner[now + b, j0:j1]
            if relu:
                for j in range(len(out)):
                    dx[j] = dhb[j] + gy[j] if out[j] > zero else zero
            else:
                for j in range(len(out)):
                    dx[j] = (dhb[j] + gy[j]) * (one - out[j] * out[j])


# ---- long short-term memory -----------------------------------------------------------------------------


@compiled
def lstm(gates: Any, y: Any, cells: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, division: Any) -> None:
    """Make of W_ih x + b in ``gates`` (rows, 4 H) the gates, and fill in the outputs and the cells' states after each step.

    ``weight`` is W_hh.
    """
    panels, times = _panels_of_gates(weight), len(offsets) - 1
    items, block, span = _part(division, len(h), panels.shape[1], panels.size)
    for k in range(0, times, span):
        parallel_for(
            _lstm_part, (gates, y, cells, h, c, panels, offsets, step, k, min(k + span, times), division[1]), items, block
        )
    give_back(panels)


@compiled
def _lstm_part(
    gates: Any, y: Any, cells: Any, h: Any, c: Any, panels: Any, offsets: Any, step: int, k0: int, k1: int, by_units: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *h.shape, gates)
    size = h.shape[1]
    for k in range(k0, k1):
        (now, rows), (was, old) = _rows(offsets, step, k, b0, b1), _rows(offsets, step, k - 1, b0, b1)
        for q in range(4):
            sums = gates[now : now + rows, q * size + j0 : q * size + j1]
            _add_product(y, h[b0:b1], was, min(old, rows), panels[q, u0:u1], sums)
        for b in range(rows):
            row, out, cell = gates[now + b], y[now + b, j0:j1], cells[now + b, j0:j1]
            i, f = row[j0:j1], row[size + j0 : size + j1]
            g, o = row[2 * size + j0 : 2 * size + j1], row[3 * size + j0 : 3 * size + j1]
            before = cells[was + b, j0:j1] if b < old else c[b0 + b, j0:j1]
            _sigmoid(i)
            _sigmoid(f)
            _tanh(g)
            _sigmoid(o)
            for j in range(len(cell)):
                cell[j] = f[j] * before[j] + i[j] * g[j]
            for j in range(len(out)):
                out[j] = o[j] * tanh(cell[j])


@compiled
def lstm_backward(
    g: Any, gates: Any, cells: Any, first: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, inner: Any, division: Any
) -> None:
    """From the gradients of the outputs and of h and c, as they are at the end, those of the sums in the gates.

    ``first`` is where c has begun.
    """
    panels, times = panels_of(weight), len(offsets)
    items, block, span = _part(division, len(h), len(panels), panels.size)
    for k in range(0, times, span):
        arguments = (g, gates, cells, first, h, c, panels, offsets, step, inner, k, min(k + span, times), division[1])
        parallel_for(_lstm_backward_part, arguments, items, block)
    give_back(panels)


@compiled
def _lstm_backward_part(
    gy: Any, gates: Any, cells: Any, first: Any, h: Any, c: Any, panels: Any, offsets: Any, step: int, inner: Any, k0: int,
    k1: int, by_units: bool, start: int, stop: int,
) -> None:  # fmt: skip
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *h.shape, gates)
    size, one = h.shape[1], gates.dtype.type(1)
    squashed, last = np.empty(j1 - j0, gates.dtype), len(offsets) - 2
    for k in range(k0, k1):
        (now, rows), (after, done) = _rows(offsets, step, last - k, b0, b1), _rows(offsets, step, last - k + 1, b0, b1)
        was, old = _rows(offsets, step, last - k - 1, b0, b1)
        if done > 0:
            multiply(inner[after : after + done], panels[u0:u1], h[b0 : b0 + done, j0:j1], 1.0, 0.0)
        for b in range(rows):
            row, d, cell, g_out = gates[now + b], inner[now + b], cells[now + b, j0:j1], gy[now + b, j0:j1]
            dhb, dcb = h[b0 + b, j0:j1], c[b0 + b, j0:j1]
            i, f = row[j0:j1], row[size + j0 : size + j1]
            g, o = row[2 * size + j0 : 2 * size + j1], row[3 * size + j0 : 3 * size + j1]
            di, df = d[j0:j1], d[size + j0 : size + j1]
            dg, do = d[2 * size + j0 : 2 * size + j1], d[3 * size + j0 : 3 * size + j1]
            before = cells[was + b, j0:j1] if b < old else first[b0 + b, j0:j1]
            for j in range(len(cell)):
                squashed[j] = tanh(cell[j])
            for j in range(len(dhb)):
                dhb[j] += g_out[j]
            for j in range(len(do)):
                do[j] = dhb[j] * squashed[j] * o[j] * (one - o[j])
            for j in range(len(dcb)):
                dcb[j] += dhb[j] * o[j] * (one - squashed[j] * squashed[j])
            for j in range(len(di)):
                di[j] = dcb[j] * g[j] * i[j] * (one - i[j])
            for j in range(len(dg)):
                dg[j] = dcb[j] * i[j] * (one - g[j] * g[j])
            for j in range(len(df)):
                df[j] = dcb[j] * before[j] * f[j] * (one - f[j])
            for j in range(len(dcb)):
                dcb[j] *= f[j]


# ---- gated recurrent unit -------------------------------------------------------------------------------


@compiled
def gru(gates: Any, y: Any, inside: Any, h: Any, weight: Any, bias: Any, offsets: Any, step: int, division: Any) -> None:
    """Make of W_ih x + b_ih, + b_hh but for the last gate, in ``gates`` (rows, 3 H) the gates, and fill in the outputs.

    W_hn h + b_hn is kept in ``inside``. ``weight`` is W_hh, ``bias`` b_hn.
    """
    panels, times = _panels_of_gates(weight), len(offsets) - 1
    items, block, span = _part(division, len(h), panels.shape[1], panels.size)
    for k in range(0, times, span):
        parallel_for(
            _gru_part, (gates, y, inside, h, panels, bias, offsets, step, k, min(k + span, times), division[1]), items, block
        )
    give_back(panels)


@compiled
def _gru_part(
    gates: Any, y: Any, inside: Any, h: Any, panels: Any, bias: Any, offsets: Any, step: int, k0: int, k1: int, by_units: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *h.shape, gates)
    size, bias = h.shape[1], bias[j0:j1]
    for k in range(k0, k1):
        (now, rows), (was, old) = _rows(offsets, step, k, b0, b1), _rows(offsets, step, k - 1, b0, b1)
        for b in range(rows):
            kept = inside[now + b, j0:j1]
            for j in range(len(kept)):
                kept[j] = bias[j]
        for q in range(3):
            sums = gates[now : now + rows, q * size + j0 : q * size + j1] if q < 2 else inside[now : now + rows, j0:j1]
            _add_product(y, h[b0:b1], was, min(old, rows), panels[q, u0:u1], sums)
        for b in range(rows):
            row, kept, out = gates[now + b], inside[now + b, j0:j1], y[now + b, j0:j1]
            r, z, n = row[j0:j1], row[size + j0 : size + j1], row[2 * size + j0 : 2 * size + j1]
            before = y[was + b, j0:j1] if b < old else h[b0 + b, j0:j1]
            _sigmoid(r)
            _sigmoid(z)
            for j in range(len(n)):
                n[j] = tanh(n[j] + r[j] * kept[j])
            for j in range(len(out)):
                out[j] = n[j] + z[j] * (before[j] - n[j])


@compiled
def gru_backward(
    g: Any, gates: Any, y: Any, inside: Any, first: Any, h: Any, weight: Any, offsets: Any, step: int, inner: Any,
    recurrent: Any, division: Any,
) -> None:  # fmt: skip
    """From the gradients of the outputs and of h, as it is at the end, those of W_ih x + b_ih and of W_hh h + b_hh.

    ``first`` is where h has begun.
    """
    panels, times = panels_of(weight), len(offsets)
    items, block, span = _part(division, len(h), len(panels), panels.size)
    for k in range(0, times, span):
        arguments = (
            g,
            gates,
            y,
            inside,
            first,
            h,
            panels,
            offsets,
            step,
            inner,
            recurrent,
            k,
            min(k + span, times),
            division[1],
        )
        parallel_for(_gru_backward_part, arguments, items, block)
    give_back(panels)


@compiled
def _gru_backward_part(
    gy: Any, gates: Any, y: Any, inside: Any, first: Any, h: Any, panels: Any, offsets: Any, step: int, inner: Any,
    recurrent: Any, k0: int, k1: int, by_units: bool, start: int, stop: int,
) -> None:  # fmt: skip
    b0, b1, u0, u1, j0, j1 = _ranges(by_units, start, stop, *h.shape, gates)
    size, one = h.shape[1], gates.dtype.type(1)
    last = len(offsets) - 2
    for k in range(k0, k1):
        (now, rows), (after, done) = _rows(offsets, step, last - k, b0, b1), _rows(offsets, step, last - k + 1, b0, b1)
        was, old = _rows(offsets, step, last - k - 1, b0, b1)
        if done > 0:  # beside what has gone past the gates
            multiply(recurrent[after : after + done], panels[u0:u1], h[b0 : b0 + done, j0:j1], 1.0, 1.0)
        for b in range(rows):
            row, d, e, kept = gates[now + b], inner[now + b], recurrent[now + b], inside[now + b, j0:j1]
            g_out, dhb = gy[now + b, j0:j1], h[b0 + b, j0:j1]
            r, z, n = row[j0:j1], row[size + j0 : size + j1], row[2 * size + j0 : 2 * size + j1]
            dr, dz, dn = d[j0:j1], d[size + j0 : size + j1], d[2 * size + j0 : 2 * size + j1]
            er, ez, en = e[j0:j1], e[size + j0 : size + j1], e[2 * size + j0 : 2 * size + j1]
            before = y[was + b, j0:j1] if b < old else first[b0 + b, j0:j1]
            for j in range(len(dhb)):
                dhb[j] += g_out[j]
            for j in range(len(dn)):
                dn[j] = dhb[j] * (one - z[j]) * (one - n[j] * n[j])
            for j in range(len(dz)):
                dz[j] = dhb[j] * (before[j] - n[j]) * z[j] * (one - z[j])
            for j in range(len(dr)):
                dr[j] = dn[j] * kept[j] * r[j] * (one - r[j])
            for j in range(len(en)):
                en[j] = dn[j] * r[j]
            for j in range(len(er)):
                er[j] = dr[j]
            for j in range(len(ez)):
                ez[j] = dz[j]
            for j in range(len(dhb)):
                dhb[j] *= z[j]
