"""Optimizers beside PyTorch's, step by step, with each option; groups, state dicts, complex and half parameters, errors."""

import copy
import inspect
import math
from itertools import pairwise

import numpy as np
import pytest
from parity_cases import OPTIMIZERS

import chainrule as cr
from chainrule import nn, optim
from chainrule.kernels import optimizers as kernels
from chainrule.kernels.layer import enabled

torch = pytest.importorskip("torch")

rng = np.random.default_rng(2)

named = pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=[f"{n} {' '.join(o)}" for n, o in OPTIMIZERS])
SHAPES = [(3, 4), (4,), (), (2, 3, 1, 5)]


def pair_of_parameters(dtype):
    arrays = [np.asarray(rng.standard_normal(s), dtype) for s in SHAPES]
    return [cr.Parameter(a.copy()) for a in arrays], [torch.nn.Parameter(torch.tensor(a)) for a in arrays]


def steps(ours, theirs, ps, ts, n, closure=lambda: None):
    for _ in range(n):
        for p, t in zip(ps, ts, strict=True):
            g = np.asarray(rng.standard_normal(p.shape), p.dtype)
            p.grad, t.grad = g, torch.tensor(g)
        ours.step()
        theirs.step()
        closure()
        for p, t in zip(ps, ts, strict=True):
            single = p.dtype == np.float32 or {"eta", "mu_product"} & set(ours.scalars)  # which PyTorch keeps in float32
            tolerance = 1e-5 if single else 1e-10
            np.testing.assert_allclose(p.data, t.detach().numpy(), tolerance, tolerance)


@named
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twenty_steps(name, options, dtype):
    ps, ts = pair_of_parameters(dtype)
    arrays = [p.data for p in ps]
    ours, theirs = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(ts, **options)
    steps(ours, theirs, ps, ts, 20)
    assert all(p.data is a and p.dtype == dtype for p, a in zip(ps, arrays, strict=True))
    assert all(np.asarray(v).dtype == dtype for s in ours.state.values() for k, v in s.items() if k not in ours.scalars)


@named
def test_state_dict_is_theirs_and_continues(name, options):
    ps, ts = pair_of_parameters(np.float32)
    ours, theirs = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(ts, **options)
    steps(ours, theirs, ps, ts, 3)
    state, their_state = ours.state_dict(), copy.deepcopy(theirs.state_dict())
    assert state["state"].keys() == their_state["state"].keys()
    for i, values in state["state"].items():
        expected = {k: v for k, v in their_state["state"][i].items() if v is not None}
        assert values.keys() == expected.keys()
        for key, value in values.items():
            np.testing.assert_allclose(value, np.asarray(expected[key]), 2e-5, 2e-6)
    for group, their_group in zip(state["param_groups"], their_state["param_groups"], strict=True):
        assert group.items() <= their_group.items()
    for loaded in (copy.deepcopy(state), {**state, "state": their_state["state"]}):
        again = getattr(optim, name)(ps, **{**options, "lr": 123.0})
        again.load_state_dict(loaded)
        before = [p.data.copy() for p in ps]
        their_before = copy.deepcopy((theirs.state_dict(), [t.detach().clone() for t in ts]))
        steps(again, theirs, ps, ts, 3)
        theirs.load_state_dict(their_before[0])
        for p, a, t, b in zip(ps, before, ts, their_before[1], strict=True):
            p.data = a
            t.data = b


def test_groups():
    ps, ts = pair_of_parameters(np.float64)
    ours = optim.SGD([{"params": ps[:1]}, {"params": [ps[1]], "lr": 0.5}], lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD([{"params": ts[:1]}, {"params": [ts[1]], "lr": 0.5}], lr=0.1, momentum=0.9)
    ours.add_param_group({"params": ps[2], "momentum": 0.0})
    theirs.add_param_group({"params": ts[2], "momentum": 0.0})
    steps(ours, theirs, ps, ts, 3)
    assert [g["lr"] for g in ours.param_groups] == [0.1, 0.5, 0.1]
    assert "lr=0.5" in repr(ours)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"])
def test_complex_parameters_go_down_as_in_pytorch(name):
    target = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    p, t = cr.Parameter(np.zeros(5, complex)), torch.nn.Parameter(torch.zeros(5, dtype=torch.complex128))
    ours, theirs = getattr(optim, name)([p], lr=0.1), getattr(torch.optim, name)([t], lr=0.1)
    for _ in range(10):
        ours.zero_grad()
        theirs.zero_grad()
        np.sum(np.abs(p - target) ** 2).backward()
        ((t - torch.tensor(target)).abs() ** 2).sum().backward()
        ours.step()
        theirs.step()
        np.testing.assert_allclose(p.data, t.detach().numpy(), 1e-6)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "LAMB", "Lion", "Muon", "Adafactor"])
def test_half_precision_is_stored_in_16_bits(name):
    start, g = rng.standard_normal((4, 3)), rng.choice([-1.0, 1.0], (4, 3)) * rng.uniform(0.5, 2, (4, 3))
    p, q = (cr.Parameter(start.astype(dtype)) for dtype in (np.float16, np.float64))
    for each in (p, q):
        optimizer = getattr(optim, name)([each], lr=0.1)
        for _ in range(3):
            each.grad = g.astype(each.dtype)
            optimizer.step()
    assert p.dtype == np.float16
    np.testing.assert_allclose(p.data, q.data, 1e-2, 5e-3)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Lion", "LAMB", "Adafactor"])
def test_memory_order_does_not_matter(name):
    start, g = rng.standard_normal((4, 3, 2)), rng.standard_normal((4, 3, 2))
    results = []
    for array, gradient in [(start.copy(), g), (start.transpose(2, 0, 1).copy().transpose(1, 2, 0), g[::-1].copy()[::-1])]:
        p = cr.Parameter(array)
        optimizer = getattr(optim, name)([p], lr=0.1)
        for _ in range(3):
            p.grad = gradient
            optimizer.step()
        assert p.data is array
        results.append(array)
    np.testing.assert_allclose(*results, 1e-12)


def test_what_cannot_be_written_to_stays():
    p = cr.Parameter(np.ones(5, np.float32))
    p.grad = np.ones(5, np.float32)
    p.data.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optim.SGD([p], 0.1).step()
    assert (p.data == 1).all()


def test_only_what_has_a_gradient_moves():
    p, q = cr.Parameter(np.ones(2)), cr.Parameter(np.ones(2))
    optimizer = optim.Adam([p, q])
    p.grad = np.ones(2)
    optimizer.step()
    assert (p.data != 1).all()
    assert (q.data == 1).all()
    optimizer.zero_grad(set_to_none=False)
    assert not p.grad.any()
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_gradient_is_not_changed(name):
    p, g = cr.Parameter(np.ones(2)), np.array([1.0, 2.0])
    p.grad = g
    optimizer = getattr(optim, name)([p], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.step()
    np.testing.assert_array_equal(g, [1.0, 2.0])


def lion(p, g, m, lr=0.1, betas=(0.9, 0.99), decay=0.3):
    """As in the paper's listing."""
    update = np.sign(m * betas[0] + g * (1 - betas[0])) + p * decay
    return p - update * lr, m * betas[1] + g * (1 - betas[1])


def test_lion():
    p = cr.Parameter(rng.standard_normal(5))
    optimizer = optim.Lion([p], lr=0.1, weight_decay=0.3)
    expected, m = p.data.copy(), np.zeros(5)
    for _ in range(5):
        p.grad = rng.standard_normal(5)
        expected, m = lion(expected, p.grad, m)
        optimizer.step()
    np.testing.assert_allclose(p.data, expected)
    assert list(optimizer.state_dict()["state"][0]) == ["exp_avg"]


def test_lamb():
    """It goes where Adam with the decay in its step goes, as far as the layer is large."""
    start = rng.standard_normal((3, 4))
    p, q, zero = cr.Parameter(start.copy()), cr.Parameter(start.copy()), cr.Parameter(np.zeros(2))
    ours, adam = optim.LAMB([p, zero], lr=0.1, weight_decay=0.5, eps=1e-8), optim.Adam([q], lr=0.1)
    p.grad, q.grad, zero.grad = *[rng.standard_normal((3, 4))] * 2, np.array([1.0, -2.0])
    ours.step()
    adam.step()
    r = (start - q.data) / 0.1 + 0.5 * start
    np.testing.assert_allclose(p.data, start - 0.1 * np.linalg.norm(start) / np.linalg.norm(r) * r)
    np.testing.assert_allclose(zero.data, [-0.1, 0.1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1, "weight_decay": 0.3, "momentum": 0.8, "nesterov": False},
        {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 0.1},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_muon(options, dtype, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # theirs iterates in 8 bits
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((3, 5), (6, 2), (4, 4))]
    ps, ts = [cr.Parameter(a.copy()) for a in arrays], [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
    ours, theirs = optim.Muon(ps, **options), torch.optim.Muon(ts, **options)
    steps(ours, theirs, ps, ts, 5)
    assert ours.state_dict()["state"][0].keys() == theirs.state_dict()["state"][0].keys()


@pytest.mark.parametrize(
    "options", [{"lr": 1e-3}, {"line_search_fn": "strong_wolfe"}, {"line_search_fn": "strong_wolfe", "history_size": 3}]
)
@pytest.mark.parametrize("split", [False, True])
def test_lbfgs_takes_the_same_way(options, split):
    start = [np.array([-1.2, 1.0]), np.array([0.5]), np.array([[2.0, -1.0]])]
    ps, ts = [cr.Parameter(a.copy()) for a in start], [torch.nn.Parameter(torch.tensor(a)) for a in start]
    ours, theirs = optim.LBFGS(ps, **options), torch.optim.LBFGS(ts, **options)

    def rosenbrock(optimizer, parts):
        def closure():
            optimizer.zero_grad()
            x = [*parts[0], *parts[1], *parts[2][0]]
            loss = sum((1 - a) ** 2 + 100 * (b - a**2) ** 2 for a, b in pairwise(x))
            loss.backward()
            losses[optimizer].append(loss.item())
            return loss

        return closure

    losses = {ours: [], theirs: []}
    for i in range(3):
        ours.step(rosenbrock(ours, ps))
        theirs.step(rosenbrock(theirs, ts))
        if split and i == 1:
            state = copy.deepcopy(ours.state_dict())
            losses[ours], kept = [], losses[ours]
            ours = optim.LBFGS(ps, **options)
            ours.load_state_dict(state)
            losses[ours] = kept
    count = 40  # from where on rounding errors have grown
    np.testing.assert_allclose(losses[ours][:count], losses[theirs][:count], 1e-5)
    assert len(losses[ours]) == len(losses[theirs])
    assert set(ours.state_dict()["state"][0]) == set(theirs.state_dict()["state"][0]) - {"al"}


def test_lbfgs_goes_on_from_pytorchs_state():
    p, t = cr.Parameter(np.array([-1.2, 1.0])), torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))

    def closure(optimizer, x):
        def evaluate():
            optimizer.zero_grad()
            loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
            loss.backward()
            return loss

        return evaluate

    theirs = torch.optim.LBFGS([t], line_search_fn="strong_wolfe", max_iter=5)
    theirs.step(closure(theirs, t))
    ours = optim.LBFGS([p], line_search_fn="strong_wolfe")
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    p.data = t.detach().numpy().copy()
    ours.step(closure(ours, p))
    theirs.step(closure(theirs, t))
    np.testing.assert_allclose(p.data, t.detach().numpy(), 1e-6)


def test_closure():
    p = cr.Parameter(np.array(3.0))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = p * p
        loss.backward()
        return loss

    with cr.no_grad():
        assert float(optimizer.step(closure).data) == 9.0
    np.testing.assert_allclose(p.data, 2.4)


def test_the_tape_sees_the_step():
    p = cr.Parameter(np.array(3.0))
    optimizer = optim.SGD([p], lr=0.1)
    y = p * p
    p.grad = np.array(1.0)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed after"):
        y.backward()


def test_a_gradient_that_is_recorded_itself():
    p = cr.Parameter(np.array(3.0))
    (p * p).backward(create_graph=True)
    optim.SGD([p], lr=0.1).step()
    np.testing.assert_allclose(p.data, 2.4)


def test_named_parameters():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 2
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="pairs for all parameters of all groups, or for none"):
        optimizer.add_param_group({"params": [cr.Parameter(np.ones(1))]})
    with pytest.raises(ValueError, match="pairs for all parameters of all groups, or for none"):
        optim.SGD([("weight", model.weight), model.bias])


@pytest.mark.parametrize("lr", [np.array(0.1), np.array([0.1]), np.float32(0.1), torch.tensor(0.1)])
def test_options_that_are_arrays_are_numbers(lr):
    p = cr.Parameter(np.ones(2))
    p.grad = np.ones(2)
    optimizer = optim.Adam([p], lr=lr, betas=(0.9, np.array(0.999)))
    options = {"lr": pytest.approx(0.1), "betas": (0.9, 0.999)}
    assert {name: optimizer.param_groups[0][name] for name in options} == options
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = lr
    optimizer.load_state_dict(state)
    assert type(optimizer.param_groups[0]["lr"]) is float
    optimizer.step()
    np.testing.assert_allclose(p.data, [0.9, 0.9], rtol=1e-6)
    with pytest.raises(ValueError, match=r"lr is one number, not an array of shape \(2,\)"):
        optim.SGD([p], lr=np.ones(2))


def test_errors():
    p = cr.Parameter(np.ones(2))
    with pytest.raises(ValueError, match="SGD got no parameters"):
        optim.SGD([])
    with pytest.raises(TypeError, match="optimizes Variables; parameter at position 1 is a ndarray"):
        optim.SGD([p, np.ones(2)])
    with pytest.raises(TypeError, match=r"model.parameters\(\), not a Parameter"):
        optim.SGD(p)
    with pytest.raises(ValueError, match=r"parameter at position 1, of shape \(2,\), is given twice"):
        optim.SGD([p, p])
    with pytest.raises(ValueError, match="given twice"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match="was computed by"):
        optim.SGD([p * 2])
    with pytest.raises(ValueError, match="lr is not negative, but was -1"):
        optim.Adam([p], lr=-1)
    with pytest.raises(ValueError, match="betas are from 0 to below 1"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(TypeError, match="needs a closure"):
        optim.LBFGS([p]).step()
    with pytest.raises(ValueError, match="one group of parameters"):
        optim.LBFGS([{"params": [p]}, {"params": [cr.Parameter(np.ones(1))]}])
    with pytest.raises(ValueError, match="'strong_wolfe' or None, not 'armijo'"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(ValueError, match="leave such parameters to AdamW"):
        optim.Muon([p])
    with pytest.raises(ValueError, match="'original' or 'match_rms_adamw', not 'x'"):
        optim.Muon([cr.Parameter(np.ones((2, 2)))], adjust_lr_fn="x")
    with pytest.raises(ValueError, match="etas are one from 0 to 1"):
        optim.Rprop([p], etas=(1.5, 1.2))
    with pytest.raises(ValueError, match="rho is from 0 to 1"):
        optim.Adadelta([p], rho=2)
    with pytest.raises(ValueError, match="d is at least 1"):
        optim.Adafactor([p], d=0.5)
    with pytest.raises(ValueError, match="both eps are not negative"):
        optim.Adafactor([p], eps=(None, -1e-3))
    with pytest.raises(NotImplementedError, match="Optimizer does not define update"):
        optim.Optimizer([p], {}).step(lambda: setattr(p, "grad", np.ones(2)))
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, this SGD of \[1\]"):
        optim.SGD([p]).load_state_dict(optim.SGD([p, cr.Parameter(np.ones(1))]).state_dict())


# ---- compiled steps -------------------------------------------------------------------------------------

ELEMENTWISE = [(name, options) for name, options in OPTIMIZERS if name != "Adafactor"] + [
    ("Lion", {"lr": 0.1, "weight_decay": 0.1})
]
needs_numba = pytest.mark.skipif(not enabled(), reason="needs Numba")


def two_runs(name, options, arrays, gradients, between):
    """The same steps twice, with ``between`` called before the second: parameters and states."""
    runs = []
    for change in (lambda: None, between):
        change()
        ps = [cr.Parameter(a.copy(order="K")) for a in arrays]
        optimizer = getattr(optim, name)(ps, **options)
        for step in gradients:
            for p, g in zip(ps, step, strict=True):
                p.grad = g
            optimizer.step()
        runs.append([p.data for p in ps] + [a for state in optimizer.state.values() for a in state.values()])
    return runs


@needs_numba
@pytest.mark.parametrize(("name", "options"), ELEMENTWISE, ids=[f"{n} {' '.join(o)}" for n, o in ELEMENTWISE])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_steps_are_the_references(name, options, dtype, monkeypatch):
    shapes = [(), (1,), (0, 3), (7,), (3, 5, 2), (211, 97), (16385,)]
    arrays = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    gradients = [[np.asarray(rng.standard_normal(s), dtype) for s in shapes] for _ in range(4)]
    fast, slow = two_runs(name, options, arrays, gradients, lambda: monkeypatch.setattr(kernels, "enabled", lambda: False))
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)


@needs_numba
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_steps_do_not_depend_on_the_number_of_threads(name):
    arrays = [rng.standard_normal(s).astype(np.float32) for s in [(300, 301), (5,), (77, 1), (40000,)]]
    gradients = [[rng.standard_normal(a.shape).astype(np.float32) for a in arrays] for _ in range(3)]
    before = cr.get_num_threads()
    cr.set_num_threads(1)
    try:
        for a, b in zip(*two_runs(name, {"lr": 0.1}, arrays, gradients, lambda: cr.set_num_threads(3)), strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        cr.set_num_threads(before)


@pytest.mark.parametrize("layout", ["F", "strided", "reversed", "permuted", "mixed dtypes"])
def test_steps_of_any_layout(layout):
    start, g = rng.standard_normal((6, 5, 4)), rng.standard_normal((6, 5, 4))
    make = {
        "F": lambda a: np.asfortranarray(a),
        "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        "reversed": lambda a: a[::-1].copy()[::-1],
        "permuted": lambda a: a.transpose(1, 2, 0).copy().transpose(2, 0, 1),
        "mixed dtypes": lambda a: a.copy(),
    }[layout]
    data = make(start)
    p, q = cr.Parameter(data), cr.Parameter(start.copy())
    other = cr.Parameter(start.astype(np.float32))
    ours, plain = optim.Adam([p, other], lr=0.1), optim.Adam([q], lr=0.1)
    for step in range(4):
        p.grad, q.grad, other.grad = (g, make(g))[step % 2], g, g.astype(np.float32)
        ours.step()
        plain.step()
        if step == 1:  # as after a restart
            ours.load_state_dict(copy.deepcopy(ours.state_dict()))
    assert p.data is data
    np.testing.assert_allclose(data, q.data, 1e-12)
    np.testing.assert_allclose(other.data, q.data, 1e-4, 1e-5)


@needs_numba
def test_numbers_that_are_not_finite():
    for name in ("SGD", "Adam", "Adamax", "RMSprop"):
        p = cr.Parameter(np.ones(40, np.float32))
        optimizer = getattr(optim, name)([p], lr=0.1)
        p.grad = np.ones(40, np.float32)
        p.grad[7], p.grad[33] = np.nan, np.inf
        with np.errstate(invalid="ignore"):
            optimizer.step()
        assert np.isnan(p.data[7]), name
        assert not np.isfinite(p.data[33]) or name == "Adamax"
        assert np.isfinite(np.delete(p.data, [7, 33])).all(), name


class Clipped(optim.ElementwiseOptimizer):
    scalars = ()

    @staticmethod
    def rule(p, g, state, constants):
        (lr,) = constants
        return p - lr * np.sort(np.stack([g, -g]), axis=0)[0], state

    def constants(self, group, state):
        return (group["lr"],)


@needs_numba
def test_a_rule_that_numba_cannot_compile_runs_in_numpy():
    p = cr.Parameter(np.ones(3))
    p.grad = np.array([1.0, -2.0, 3.0])
    optimizer = Clipped([p], {"lr": 0.5})
    with pytest.warns(UserWarning, match="Clipped.rule runs in NumPy, because Numba cannot compile it"):
        optimizer.step()
    optimizer.step()
    np.testing.assert_allclose(p.data, [2.0, 3.0, 4.0])


def test_gradients_are_added_to_and_zeroed_in_place():
    p = cr.Parameter(np.ones(3))
    (p * 2).sum().backward()
    first = p.grad
    (p * 3).sum().backward()
    np.testing.assert_array_equal(p.grad, [5.0, 5.0, 5.0])
    np.testing.assert_array_equal(first, [2.0, 2.0, 2.0])
    held, optimizer = p.grad, optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held
    assert not held.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, complex])
def test_the_norm_of_all_gradients(dtype, monkeypatch):
    arrays = [rng.standard_normal(s).astype(dtype) for s in [(300, 70), (), (5, 0), (33,), (20000,)]]
    arrays.append(np.asfortranarray(arrays[0]))
    arrays.append(arrays[0][::2, 1:])
    expected = math.sqrt(sum(np.sum(np.abs(a.astype(complex)) ** 2) for a in arrays).real)
    for switch in (True, False):
        if not switch:
            monkeypatch.setattr(kernels, "enabled", lambda: False)
        ps = [cr.Parameter(a.copy(order="K")) for a in arrays]
        for p, a in zip(ps, arrays, strict=True):
            p.grad = a.copy(order="K")
        tolerance = 1e-3 if dtype == np.float16 else 1e-6
        np.testing.assert_allclose(nn.utils.clip_grad_norm_(ps, 2.0), expected, tolerance)
        for p, a in zip(ps, arrays, strict=True):
            np.testing.assert_allclose(
                p.grad, a * np.asarray(2.0 / expected, dtype), 1e-2 if dtype == np.float16 else 1e-5, tolerance
            )


def test_a_norm_that_is_not_a_number_shows():
    p = cr.Parameter(np.zeros(3))
    p.grad = np.array([1.0, np.nan, 2.0])
    assert np.isnan(nn.utils.clip_grad_norm_(p, 1.0))
    assert np.isnan(p.grad).all()


def parameters_of(kind):
    """The arguments of a constructor and their defaults, without those that choose among PyTorch's own implementations."""
    its_own = {"self", "foreach", "fused", "capturable", "differentiable", "device"}
    signature = inspect.signature(kind.__init__).parameters
    return {name: p.default for name, p in signature.items() if name not in its_own}


def test_all_of_pytorchs_optimizers_and_schedulers_are_here_with_their_arguments():
    theirs = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)}
    del theirs["Optimizer"], theirs["SparseAdam"]  # there are no sparse gradients
    module = torch.optim.lr_scheduler
    schedulers = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, module.LRScheduler)}
    del schedulers["_LRScheduler"]
    for names, where in ((theirs, optim), (schedulers, optim.lr_scheduler)):
        for name, kind in names.items():
            assert parameters_of(getattr(where, name)) == parameters_of(kind), name
    assert (len(theirs), len(schedulers)) >= (14, 16)
    for name in ("AveragedModel", "SWALR", "update_bn", "get_ema_multi_avg_fn", "get_swa_avg_fn"):
        assert hasattr(optim.swa_utils, name)
