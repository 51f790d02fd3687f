"""Recurrent layers and cells beside PyTorch's, from the same state dicts; packed and padded sequences."""

import sys

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.nn.utils import rnn as ours_rnn

torch = pytest.importorskip("torch")
tnn = torch.nn
theirs_rnn = tnn.utils.rnn

rng = np.random.default_rng(5)


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def pair_of(name, *args, **kwargs):
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(tnn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(ours, theirs, arrays, tolerance=2e-5):
    """Call both with the arrays, and compare their results, and the gradients of the arrays and parameters."""
    xs, ts = [cr.Variable(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    hx, hxt = xs[1:], ts[1:]
    if hx:
        hx, hxt = (hx[0], hxt[0]) if len(hx) == 1 else (tuple(hx), tuple(hxt))
        y, u = ours(xs[0], hx), theirs(ts[0], hxt)
    else:
        y, u = ours(xs[0]), theirs(ts[0])
    ys = [p for part in as_tuple(y) for p in as_tuple(part)]
    us = [p for part in as_tuple(u) for p in as_tuple(part)]
    backward_both(ours, theirs, ys, us, tolerance)
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), tolerance, tolerance)


def backward_both(ours, theirs, ys, us, tolerance=2e-5):
    loss, expected = 0, 0
    for y, u in zip(ys, us, strict=True):
        np.testing.assert_allclose(y.data, u.detach().numpy(), tolerance, tolerance)
        assert y.dtype == np.float32
        g = rng.standard_normal(y.shape).astype(np.float32)
        loss, expected = loss + np.sum(y * g), expected + (u * torch.tensor(g)).sum()
    loss.backward()
    expected.backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), 10 * tolerance, 10 * tolerance, err_msg=name)


LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}),
    ("RNN", {"bias": False, "batch_first": True}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 3, "batch_first": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "bias": False}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
]


@pytest.mark.parametrize(("name", "kwargs"), LAYERS)
@pytest.mark.parametrize("shape", [(5, 4), (1, 1), (3,)])
@pytest.mark.parametrize("with_state", [False, True])
def test_layers(name, kwargs, shape, with_state):
    ours, theirs = pair_of(name, 3, 5, **kwargs)
    arrays = [rng.standard_normal((*shape, 3))]
    if with_state:
        places = kwargs.get("num_layers", 1) * (1 + kwargs.get("bidirectional", False))
        batch = [] if len(shape) == 1 else [shape[0 if kwargs.get("batch_first") else 1]]
        sizes = [kwargs.get("proj_size", 5), 5][: 1 + (name == "LSTM")]
        arrays += [rng.standard_normal((places, *batch, size)) for size in sizes]
    compare(ours, theirs, [a.astype(np.float32) for a in arrays])


@pytest.mark.parametrize(("name", "kwargs"), LAYERS)
@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [2, 5, 1, 4], [1]])
def test_packed(name, kwargs, lengths):
    kwargs = {k: v for k, v in kwargs.items() if k != "batch_first"}
    ours, theirs = pair_of(name, 3, 4, **kwargs)
    sequences = [rng.standard_normal((length, 3)).astype(np.float32) for length in lengths]
    variables, tensors = [cr.Variable(s) for s in sequences], [torch.tensor(s, requires_grad=True) for s in sequences]
    places = kwargs.get("num_layers", 1) * (1 + kwargs.get("bidirectional", False))
    sizes = [kwargs.get("proj_size", 4), 4][: 1 + (name == "LSTM")]
    start = [rng.standard_normal((places, len(lengths), size)).astype(np.float32) for size in sizes]
    packed = ours_rnn.pack_sequence(variables, enforce_sorted=False)
    expected = theirs_rnn.pack_sequence(tensors, enforce_sorted=False)
    y, last = ours(packed, tuple(start) if name == "LSTM" else start[0])
    u, last_t = theirs(expected, tuple(map(torch.tensor, start)) if name == "LSTM" else torch.tensor(start[0]))
    (y, n), (u, m) = ours_rnn.pad_packed_sequence(y, batch_first=True), theirs_rnn.pad_packed_sequence(u, batch_first=True)
    assert n.tolist() == m.tolist() == lengths
    backward_both(ours, theirs, [y, *as_tuple(last)], [u, *as_tuple(last_t)])
    for x, t in zip(variables, tensors, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), 2e-5, 2e-5)


@pytest.mark.parametrize("batch", [(4,), ()])
@pytest.mark.parametrize(
    ("name", "kwargs"), [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {"bias": False}), ("GRUCell", {})]
)
def test_cells(name, kwargs, batch):
    ours, theirs = pair_of(name, 3, 5, **kwargs)
    x = rng.standard_normal((*batch, 3)).astype(np.float32)
    state = [rng.standard_normal((*batch, 5)).astype(np.float32) for _ in range(1 + (name == "LSTMCell"))]
    compare(ours, theirs, [x, *state])
    ours.zero_grad()
    theirs.zero_grad()
    compare(ours, theirs, [x])


def test_dropout_between_layers():
    layer = nn.LSTM(3, 4, num_layers=2, dropout=1.0)
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    dropped = layer(x)[0].data
    np.testing.assert_array_equal(dropped, layer(2 * x)[0].data)  # nothing comes through
    assert not np.array_equal(dropped, layer.eval()(x)[0].data)
    with pytest.warns(UserWarning, match="between layers"):
        nn.GRU(3, 4, dropout=0.5)


@pytest.mark.parametrize("mode", ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch_sizes", [(2, 2, 2), (3, 1)])
def test_derivatives(mode, reverse, batch_sizes):
    rows, parts = {"LSTM": 4, "GRU": 3}.get(mode, 1) * 2, 1 + (mode == "LSTM")
    shapes = [(sum(batch_sizes), 2), (rows, 2), (rows, 2), (rows,), (rows,), *[(batch_sizes[0], 2)] * parts]

    def f(x, w_ih, w_hh, b_ih, b_hh, *state):
        y, last = F.recurrent(mode, x, state, (w_ih, w_hh, b_ih, b_hh), batch_sizes, reverse)
        return y, *last

    cr.check_grads(f, [rng.standard_normal(shape) for shape in shapes])


def test_float64_and_arrays():
    layer = nn.LSTM(3, 4)
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    with cr.no_grad():
        y, (h, c) = layer(x)
    for part in (y, h, c):
        assert part.dtype == np.float32
        assert part.creator is None
    weights = [p.data.astype(np.float64) for p in layer.parameters()]
    exact, _ = F.recurrent("LSTM", x.reshape(-1, 3).astype(np.float64), (np.zeros((2, 4)),) * 2, weights, [2] * 5)
    assert isinstance(exact, np.ndarray)
    np.testing.assert_allclose(y.data.reshape(-1, 4), exact, 1e-5, 1e-6)


def test_errors():
    layer = nn.LSTM(3, 4)
    with pytest.raises(ValueError, match=r"LSTM: expected \(T, 3\) or \(T, N, 3\), got \(5, 2, 4\)"):
        layer(np.zeros((5, 2, 4), np.float32))
    with pytest.raises(ValueError, match="at least one element"):
        layer(np.zeros((0, 2, 3), np.float32))
    h = np.zeros((1, 3, 4), np.float32)
    with pytest.raises(ValueError, match=r"expected an initial state .* of \(1, 2, 4\), got \(1, 3, 4\)"):
        layer(np.zeros((5, 2, 3), np.float32), (h, h))
    with pytest.raises(ValueError, match="proj_size is from 0"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="nonlinearity is 'tanh' or 'relu', not 'gelu'"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(ValueError, match=r"GRUCell: expected \(N, 3\) or \(3,\), got \(2, 4\)"):
        nn.GRUCell(3, 4)(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"expected a state of \(2, 4\), got \(2, 3\)"):
        nn.GRUCell(3, 4)(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))


# ---- padding and packing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(batch_first, side):
    sequences = [rng.standard_normal((length, 2)) for length in (2, 4, 1)]
    xs, ts = [cr.Variable(s) for s in sequences], [torch.tensor(s, requires_grad=True) for s in sequences]
    y = ours_rnn.pad_sequence(xs, batch_first, -1.0, side)
    u = theirs_rnn.pad_sequence(ts, batch_first, -1.0, side)
    np.testing.assert_array_equal(y.data, u.detach().numpy())
    np.sum(y**3).backward()
    (u**3).sum().backward()
    for x, t in zip(xs, ts, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy())
    if side == "right":
        for x, s in zip(ours_rnn.unpad_sequence(y, [2, 4, 1], batch_first), sequences, strict=True):
            np.testing.assert_array_equal(x.data, s)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("total_length", [None, 6])
def test_pack_padded_sequence(batch_first, total_length):
    x, lengths = rng.standard_normal((4, 5, 2)), np.array([2, 5, 1, 3])
    if not batch_first:
        x = x.swapaxes(0, 1)
    ours = ours_rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    theirs = theirs_rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths), batch_first, enforce_sorted=False)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    y, n = ours_rnn.pad_packed_sequence(ours, batch_first, 7.0, total_length)
    u, m = theirs_rnn.pad_packed_sequence(theirs, batch_first, 7.0, total_length)
    np.testing.assert_array_equal(y, u.numpy())
    np.testing.assert_array_equal(n, m.numpy())
    for a, b in zip(ours_rnn.unpack_sequence(ours), theirs_rnn.unpack_sequence(theirs), strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_packing_errors():
    x = np.zeros((5, 3, 2))
    with pytest.raises(ValueError, match="lengths must fall"):
        ours_rnn.pack_padded_sequence(x, [1, 5, 2])
    with pytest.raises(ValueError, match="lengths are from 1 to 5"):
        ours_rnn.pack_padded_sequence(x, [6, 5, 2])
    with pytest.raises(ValueError, match="one length for each of 3 sequences"):
        ours_rnn.pack_padded_sequence(x, [5, 2])
    with pytest.raises(ValueError, match="total_length 4 is less"):
        ours_rnn.pad_packed_sequence(ours_rnn.pack_padded_sequence(x, [5, 5, 2]), total_length=4)
    with pytest.raises(ValueError, match="one sequence or more"):
        ours_rnn.pad_sequence([])
    with pytest.raises(ValueError, match="padding_side"):
        ours_rnn.pad_sequence([x], padding_side="both")


# ---- the kernels beside the composition they stand for ------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("mode", "gates"), [("RNN_TANH", 1), ("RNN_RELU", 1), ("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("sizes", [(37, 20, 33), (1, 1, 1), (17, 3, 70)])  # N, I, H
def test_kernels_equal_the_composition(monkeypatch, mode, gates, sizes, dtype):
    n, features, hidden = sizes
    batch_sizes = [n, n, max(n - 5, 1), 1]
    shapes = [(sum(batch_sizes), features), (gates * hidden, features), (gates * hidden, hidden), *[(gates * hidden,)] * 2]
    arrays = [rng.uniform(-0.3, 0.3, shape).astype(dtype) for shape in (*shapes, *[(n, hidden)] * (1 + (mode == "LSTM")))]
    found = []
    for enabled in (None, lambda: False):
        if enabled is not None:
            monkeypatch.setattr(sys.modules["chainrule.functional.recurrent"], "enabled", enabled)
        xs = [cr.Variable(a) for a in arrays]
        y, last = F.recurrent(mode, xs[0], tuple(xs[5:]), xs[1:5], batch_sizes, reverse=True)
        loss = np.sum(np.sin(y)) + sum(np.sum(s) for s in last)
        loss.backward()
        found.append([y.data, *(s.data for s in last), *(x.grad for x in xs)])
    tolerance = {2: 3e-2, 4: 3e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
    for got, expected in zip(*found, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, tolerance, tolerance)


@pytest.mark.parametrize("mode", ["RNN_TANH", "LSTM", "GRU"])
@pytest.mark.parametrize("batch_sizes", [[50] * 4, [1, 1, 1], [5, 5, 3, 1]])
def test_recurrence_does_not_depend_on_the_number_of_threads(monkeypatch, mode, batch_sizes):
    monkeypatch.setattr(sys.modules["chainrule.kernels.recurrent"], "_STEP", 0)  # few sequences are divided by units
    gates, hidden = {"RNN_TANH": 1, "LSTM": 4, "GRU": 3}[mode], 70
    shapes = [(sum(batch_sizes), 5), (gates * hidden, 5), (gates * hidden, hidden), *[(gates * hidden,)] * 2]
    shapes += [(batch_sizes[0], hidden)] * (1 + (mode == "LSTM"))
    arrays = [rng.uniform(-0.3, 0.3, shape).astype(np.float32) for shape in shapes]
    before = cr.get_num_threads()
    for reverse in (False, True):
        found = []
        for n in (1, 2, 5):
            cr.set_num_threads(n)
            xs = [cr.Variable(a) for a in arrays]
            y, last = F.recurrent(mode, xs[0], tuple(xs[5:]), xs[1:5], batch_sizes, reverse)
            (np.sum(y * y) + sum(np.sum(s) for s in last)).backward()
            found.append([y.data, *(x.grad for x in xs)])
        cr.set_num_threads(before)
        for others in found[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_memory_is_released_as_the_gradient_is_computed():
    layer = nn.LSTM(3, 4)
    y, _ = layer(cr.Variable(np.ones((2, 1, 3), np.float32)))
    np.sum(y).backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        np.sum(y).backward()
