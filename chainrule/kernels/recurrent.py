"""Recurrent networks over whole sequences, forward and backward.

What does not depend on the step before, W_ih x + b for all times and the gradients of the weights, is a few large products,
which ``functional`` makes. Here is the rest: at each time a small product with W_hh, and the gates. The batch is divided into
blocks of sequences, each of which goes through all times by itself.

Rows are (time, sequence): those of time t are from ``offsets[t]`` to ``offsets[t + 1]``, of the first so many sequences.
``step`` is 1, or -1 from the end to the start. The state (N, H) is where the sequences begin, and afterwards where they have
ended; going back, it is the gradient of where they have ended, and afterwards of where they begin. ``inner`` is the gradient
of W_ih x + b.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .layer import compiled, parallel_for
from .math import sigmoid, tanh
from .panels import multiply, panels_of


@compiled
def _sigmoid(x: Any) -> None:
    for j in range(len(x)):
        x[j] = sigmoid(x[j])


@compiled
def _tanh(x: Any) -> None:
    for j in range(len(x)):
        x[j] = tanh(x[j])


def block(n: int) -> int:
    """How many sequences go together: enough for products, and not all on one thread."""
    return 16 if n <= 64 else 32


# ---- Elman's network ------------------------------------------------------------------------------------


@compiled
def rnn(y: Any, before: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, block: int) -> None:
    """Make of W_ih x + b in ``y`` (rows, H) the outputs, and keep the states before them. ``weight`` is W_hh."""
    parallel_for(_rnn_block, (y, before, state, panels_of(weight.T), offsets, step, relu), len(state), block)


@compiled
def _rnn_block(
    y: Any, before: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, start: int, stop: int
) -> None:
    h, zero = state[start:stop], y.dtype.type(0)
    times = len(offsets) - 1
    for k in range(times):
        t = k if step == 1 else times - 1 - k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        multiply(h[:rows], weight, y[first : first + rows], 1.0, 1.0)
        for b in range(rows):
            out, now, was = y[first + b], h[b], before[first + b]
            if relu:
                for j in range(len(out)):
                    out[j] = zero if out[j] < zero else out[j]
            else:
                _tanh(out)
            for j in range(len(was)):
                was[j] = now[j]
            for j in range(len(out)):
                now[j] = out[j]


@compiled
def rnn_backward(g: Any, y: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, inner: Any, block: int) -> None:
    """From the gradients of the outputs and of the state, as it is at the end, that of the sum in the tanh."""
    parallel_for(_rnn_backward_block, (g, y, state, panels_of(weight), offsets, step, relu, inner), len(state), block)


@compiled
def _rnn_backward_block(
    g: Any, y: Any, state: Any, weight: Any, offsets: Any, step: int, relu: bool, inner: Any, start: int, stop: int
) -> None:
    dh, zero, one = state[start:stop], y.dtype.type(0), y.dtype.type(1)
    times = len(offsets) - 1
    for k in range(times):
        t = times - 1 - k if step == 1 else k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        for b in range(rows):
            out, gy, dhb, dx = y[first + b], g[first + b], dh[b], inner[first + b]
            if relu:
                for j in range(len(out)):
                    dx[j] = dhb[j] + gy[j] if out[j] > zero else zero
            else:
                for j in range(len(out)):
                    dx[j] = (dhb[j] + gy[j]) * (one - out[j] * out[j])
        multiply(inner[first : first + rows], weight, dh[:rows], 1.0, 0.0)


# ---- long short-term memory -----------------------------------------------------------------------------


@compiled
def lstm(gates: Any, y: Any, before: Any, cells: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, block: int) -> None:
    """Make of W_ih x + b in ``gates`` (rows, 4 H) the gates, and fill in the outputs; keep h and c before each.

    ``weight`` is W_hh.
    """
    parallel_for(_lstm_block, (gates, y, before, cells, h, c, panels_of(weight.T), offsets, step), len(h), block)


@compiled
def _lstm_block(
    gates: Any, y: Any, before: Any, cells: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, start: int, stop: int
) -> None:
    h, c, size = h[start:stop], c[start:stop], h.shape[1]
    times = len(offsets) - 1
    for k in range(times):
        t = k if step == 1 else times - 1 - k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        multiply(h[:rows], weight, gates[first : first + rows], 1.0, 1.0)
        for b in range(rows):
            row, hb, cb = gates[first + b], h[b], c[b]
            i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]
            _sigmoid(row[: 2 * size])
            _tanh(g)
            _sigmoid(o)
            was_h, was_c, out = before[first + b], cells[first + b], y[first + b]
            for j in range(size):
                was_h[j] = hb[j]
                was_c[j] = cb[j]
            for j in range(size):
                cb[j] = f[j] * cb[j] + i[j] * g[j]
            for j in range(size):
                hb[j] = o[j] * tanh(cb[j])
            for j in range(size):
                out[j] = hb[j]


@compiled
def lstm_backward(
    g: Any, gates: Any, cells: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, inner: Any, block: int
) -> None:
    """From the gradients of the outputs and of h and c, as they are at the end, those of the sums in the gates."""
    parallel_for(_lstm_backward_block, (g, gates, cells, h, c, panels_of(weight), offsets, step, inner), len(h), block)


@compiled
def _lstm_backward_block(
    gy: Any, gates: Any, cells: Any, h: Any, c: Any, weight: Any, offsets: Any, step: int, inner: Any, start: int, stop: int
) -> None:
    dh, dc, size, one = h[start:stop], c[start:stop], h.shape[1], gates.dtype.type(1)
    squashed = np.empty(size, gates.dtype)  # tanh(c)
    times = len(offsets) - 1
    for k in range(times):
        t = times - 1 - k if step == 1 else k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        for b in range(rows):
            row, d, was, g_out, dhb, dcb = gates[first + b], inner[first + b], cells[first + b], gy[first + b], dh[b], dc[b]
            i, f, g, o = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]
            di, df, dg, do = d[:size], d[size : 2 * size], d[2 * size : 3 * size], d[3 * size :]
            for j in range(size):
                squashed[j] = tanh(f[j] * was[j] + i[j] * g[j])
            for j in range(size):
                dhb[j] += g_out[j]
            for j in range(size):
                do[j] = dhb[j] * squashed[j] * o[j] * (one - o[j])
            for j in range(size):
                dcb[j] += dhb[j] * o[j] * (one - squashed[j] * squashed[j])
            for j in range(size):
                di[j] = dcb[j] * g[j] * i[j] * (one - i[j])
            for j in range(size):
                dg[j] = dcb[j] * i[j] * (one - g[j] * g[j])
            for j in range(size):
                df[j] = dcb[j] * was[j] * f[j] * (one - f[j])
            for j in range(size):
                dcb[j] *= f[j]
        multiply(inner[first : first + rows], weight, dh[:rows], 1.0, 0.0)


# ---- gated recurrent unit -------------------------------------------------------------------------------


@compiled
def gru(
    gates: Any, y: Any, before: Any, inside: Any, h: Any, weight: Any, bias: Any, offsets: Any, step: int, block: int
) -> None:
    """Make of W_ih x + b_ih in ``gates`` (rows, 3 H) the gates, and fill in the outputs; keep the states before them, and
    W_hn h + b_hn in ``inside``. ``weight`` is W_hh^T, ``bias`` b_hh.
    """
    parallel_for(_gru_block, (gates, y, before, inside, h, panels_of(weight.T), bias, offsets, step), len(h), block)


@compiled
def _gru_block(
    gates: Any, y: Any, before: Any, inside: Any, h: Any, weight: Any, bias: Any, offsets: Any, step: int, start: int, stop: int
) -> None:
    h, size = h[start:stop], h.shape[1]
    products = np.empty((len(h), 3 * size), h.dtype)
    times = len(offsets) - 1
    for k in range(times):
        t = k if step == 1 else times - 1 - k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        multiply(h[:rows], weight, products[:rows], 1.0, 0.0)
        for b in range(rows):
            row, p, hb = gates[first + b], products[b], h[b]
            for j in range(len(p)):
                p[j] += bias[j]
            rz, r, z, n, kept = row[: 2 * size], row[:size], row[size : 2 * size], row[2 * size :], inside[first + b]
            for j in range(len(rz)):
                rz[j] = sigmoid(rz[j] + p[j])
            p = p[2 * size :]
            for j in range(size):
                kept[j] = p[j]
            for j in range(size):
                n[j] = tanh(n[j] + r[j] * p[j])
            was, out = before[first + b], y[first + b]
            for j in range(size):
                was[j] = hb[j]
            for j in range(size):
                hb[j] = n[j] + z[j] * (hb[j] - n[j])
            for j in range(size):
                out[j] = hb[j]


@compiled
def gru_backward(
    g: Any,
    gates: Any,
    before: Any,
    inside: Any,
    h: Any,
    weight: Any,
    offsets: Any,
    step: int,
    inner: Any,
    recurrent: Any,
    block: int,
) -> None:
    """From the gradients of the outputs and of h, as it is at the end, those of W_ih x + b_ih and of W_hh h + b_hh."""
    arguments = (g, gates, before, inside, h, panels_of(weight), offsets, step, inner, recurrent)
    parallel_for(_gru_backward_block, arguments, len(h), block)


@compiled
def _gru_backward_block(
    gy: Any,
    gates: Any,
    before: Any,
    inside: Any,
    h: Any,
    weight: Any,
    offsets: Any,
    step: int,
    inner: Any,
    recurrent: Any,
    start: int,
    stop: int,
) -> None:
    dh, size, one = h[start:stop], h.shape[1], gates.dtype.type(1)
    past = np.empty(dh.shape, dh.dtype)  # what of the gradient goes past the gates to the state before
    times = len(offsets) - 1
    for k in range(times):
        t = times - 1 - k if step == 1 else k
        first, rows = offsets[t] + start, min(stop, offsets[t + 1] - offsets[t]) - start
        if rows <= 0:
            continue
        for b in range(rows):
            row, d, e, was, kept = (
                gates[first + b],
                inner[first + b],
                recurrent[first + b],
                before[first + b],
                inside[first + b],
            )
            g_out, dhb, pb = gy[first + b], dh[b], past[b]
            r, z, n = row[:size], row[size : 2 * size], row[2 * size :]
            dr, dz, dn, en = d[:size], d[size : 2 * size], d[2 * size :], e[2 * size :]
            for j in range(size):
                dhb[j] += g_out[j]
            for j in range(size):
                pb[j] = dhb[j] * z[j]
            for j in range(size):
                dn[j] = dhb[j] * (one - z[j]) * (one - n[j] * n[j])
            for j in range(size):
                dz[j] = dhb[j] * (was[j] - n[j]) * z[j] * (one - z[j])
            for j in range(size):
                dr[j] = dn[j] * kept[j] * r[j] * (one - r[j])
            for j in range(size):
                en[j] = dn[j] * r[j]
            d, e = d[: 2 * size], e[: 2 * size]
            for j in range(len(d)):
                e[j] = d[j]
        for b in range(rows):
            dhb, pb = dh[b], past[b]
            for j in range(size):
                dhb[j] = pb[j]
        multiply(recurrent[first : first + rows], weight, dh[:rows], 1.0, 1.0)
