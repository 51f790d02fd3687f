"""Optimizers beside PyTorch's, step by step, with each option; groups, state dicts, schedulers, errors."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

torch = pytest.importorskip("torch")

rng = np.random.default_rng(2)

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.9, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
]
named = pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=[f"{n} {' '.join(o)}" for n, o in OPTIMIZERS])
SHAPES = [(3, 4), (4,), ()]


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
            np.testing.assert_allclose(p.data, t.detach().numpy(), 2e-5, 2e-6)


@named
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ten_steps(name, options, dtype):
    ps, ts = pair_of_parameters(dtype)
    arrays = [p.data for p in ps]
    ours, theirs = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(ts, **options)
    steps(ours, theirs, ps, ts, 10)
    assert all(p.data is a and p.dtype == dtype for p, a in zip(ps, arrays, strict=True))
    assert all(np.asarray(v).dtype == dtype for s in ours.state.values() for k, v in s.items() if k != "step")


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
    assert len(optim.SGD(model.named_parameters(), lr=0.1).param_groups[0]["params"]) == 2


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
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, this SGD of \[1\]"):
        optim.SGD([p]).load_state_dict(optim.SGD([p, cr.Parameter(np.ones(1))]).state_dict())


SCHEDULERS = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": [0.5, 0.3], "epochs": 4, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20, "three_phase": True, "div_factor": 5, "final_div_factor": 10}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20, "pct_start": 0.2, "base_momentum": 0.5, "max_momentum": 0.9}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULERS)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
def test_schedulers(name, options, optimizer):
    ps, ts = pair_of_parameters(np.float32)
    extra = {"momentum": 0.9} if optimizer == "SGD" else {}
    ours = getattr(optim, optimizer)([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.2}], lr=0.1, **extra)
    theirs = getattr(torch.optim, optimizer)([{"params": ts[:1]}, {"params": ts[1:], "lr": 0.2}], lr=0.1, **extra)
    scheduler, their_scheduler = (
        getattr(optim.lr_scheduler, name)(ours, **options),
        getattr(torch.optim.lr_scheduler, name)(theirs, **options),
    )
    for step in range(20):
        np.testing.assert_allclose(scheduler.get_last_lr(), their_scheduler.get_last_lr(), 1e-9, 1e-12)
        for group, their_group in zip(ours.param_groups, theirs.param_groups, strict=True):
            for key in ("momentum", "betas"):
                np.testing.assert_allclose(group.get(key, 0), their_group.get(key, 0))
        if step == 9:
            state = scheduler.state_dict()
            scheduler = getattr(optim.lr_scheduler, name)(ours, **options)
            scheduler.load_state_dict(state)
        if step < 19:
            scheduler.step()
            their_scheduler.step()


def test_scheduler_errors():
    optimizer = optim.Adagrad([cr.Parameter(np.ones(1))])
    with pytest.raises(ValueError, match="total_steps, or epochs and steps_per_epoch"):
        optim.lr_scheduler.OneCycleLR(optimizer, 0.1)
    with pytest.raises(ValueError, match="Adagrad has no momentum"):
        optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 2, cycle_momentum=False)
    scheduler.step()
    with pytest.raises(ValueError, match="step 3 of a OneCycleLR of 2 steps"):
        for _ in range(3):
            scheduler.step()
