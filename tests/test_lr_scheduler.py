"""Learning-rate schedulers beside PyTorch's, over many steps; their state; averaged models."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.optim import lr_scheduler, swa_utils
from chainrule.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, update_bn

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
rng = np.random.default_rng(4)

SCHEDULERS = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: t % 3]}),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9 + 0.01 * t}),
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 25]}),
    ("MultiStepLR", {"milestones": [12, 5], "gamma": 0.3}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 8}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.6, "total_iters": 13}),
    ("ExponentialLR", {"gamma": 0.95}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4}),
    (
        "CyclicLR",
        {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.3], "step_size_up": 4, "step_size_down": 7, "mode": "triangular2"},
    ),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "mode": "exp_range", "gamma": 0.9, "base_momentum": 0.6}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "scale_fn": lambda x: 1 / x, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}),
    ("OneCycleLR", {"max_lr": [0.5, 0.3], "epochs": 8, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "three_phase": True, "div_factor": 5, "final_div_factor": 10}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "pct_start": 0.2, "base_momentum": [0.5, 0.6], "max_momentum": 0.9}),
]
ids = [f"{name} {' '.join(options)}" for name, options in SCHEDULERS]


def pair_of_optimizers(name="SGD"):
    extra = {"momentum": 0.9} if name == "SGD" else {}
    arrays = [np.zeros(2), np.zeros(3)]
    ours = getattr(optim, name)(
        [{"params": cr.Parameter(arrays[0])}, {"params": cr.Parameter(arrays[1]), "lr": 0.2}], lr=0.1, **extra
    )
    ts = [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
    theirs = getattr(torch.optim, name)([{"params": ts[:1]}, {"params": ts[1:], "lr": 0.2}], lr=0.1, **extra)
    theirs.step()
    return ours, theirs


def assert_same(ours, theirs, scheduler, their_scheduler):
    np.testing.assert_allclose(scheduler.get_last_lr(), their_scheduler.get_last_lr(), 1e-9, 1e-12)
    for group, their_group in zip(ours.param_groups, theirs.param_groups, strict=True):
        for key in ("momentum", "betas"):
            np.testing.assert_allclose(group.get(key, 0), their_group.get(key, 0))


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=ids)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_forty_steps(name, options, optimizer):
    ours, theirs = pair_of_optimizers(optimizer)
    make = getattr(lr_scheduler, name)
    scheduler, their_scheduler = make(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for step in range(40):
        assert_same(ours, theirs, scheduler, their_scheduler)
        if step == 19:  # as after a restart
            state = copy.deepcopy((scheduler.state_dict(), ours.state_dict()))
            ours, _ = pair_of_optimizers(optimizer)
            scheduler = make(ours, **options)
            scheduler.load_state_dict(state[0])
            ours.load_state_dict(state[1])
        if step < 39:
            scheduler.step()
            their_scheduler.step()


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=ids)
def test_going_on_after_a_step(name, options):
    if name == "MultiplicativeLR":
        pytest.skip("goes on from whatever learning rate is there")
    through, again = pair_of_optimizers()[0], pair_of_optimizers()[0]
    scheduler = getattr(lr_scheduler, name)(through, **options)
    for _ in range(8):
        scheduler.step()
    for group in again.param_groups:
        group["initial_lr"] = group["lr"]
    later = getattr(lr_scheduler, name)(again, **options, last_epoch=7)
    for _ in range(10):
        np.testing.assert_allclose(later.get_last_lr(), scheduler.get_last_lr(), 1e-9, 1e-12)
        later.step()
        scheduler.step()
    with pytest.raises(KeyError, match="to go on after step 7, group 0 needs 'initial_lr'"):
        lr_scheduler.StepLR(pair_of_optimizers()[0], 3, last_epoch=7)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.5, "patience": 1, "threshold": 0.1, "cooldown": 2},
        {"mode": "max", "patience": 2, "threshold": 0.05, "threshold_mode": "abs", "min_lr": [0.01, 0.05]},
        {"mode": "max", "patience": 0, "factor": 0.3, "eps": 1e-3},
        {"patience": 3, "threshold_mode": "abs"},
    ],
)
def test_plateau(options):
    ours, theirs = pair_of_optimizers()
    make = lr_scheduler.ReduceLROnPlateau
    scheduler, their_scheduler = make(ours, **options), torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for step, value in enumerate(np.abs(rng.standard_normal(60)) + np.linspace(1, 0.5, 60)):
        scheduler.step(cr.Variable(np.array(value)) if step % 2 else value)
        their_scheduler.step(value)
        np.testing.assert_allclose(scheduler.get_last_lr(), [g["lr"] for g in theirs.param_groups])
        if step == 30:
            state = scheduler.state_dict()
            scheduler = make(ours, **options)
            scheduler.load_state_dict(state)


def sequence(module, optimizer):
    first = module.LinearLR(optimizer, 0.1, total_iters=4)
    return module.SequentialLR(
        optimizer,
        [first, module.CosineAnnealingLR(optimizer, 6), module.StepLR(optimizer, 3), module.ExponentialLR(optimizer, 0.9)],
        [4, 10, 17],
    )


def chain(module, optimizer):
    return module.ChainedScheduler(
        [
            module.ConstantLR(optimizer, 0.1, 4),
            module.ExponentialLR(optimizer, 0.9),
            module.LinearLR(optimizer, 0.5, total_iters=6),
            module.MultiStepLR(optimizer, [8, 9]),
            module.CosineAnnealingLR(optimizer, 5, 0.001),
            module.MultiplicativeLR(optimizer, lambda t: 1.1),
        ]
    )


def averaging(module, optimizer):
    first = module.ExponentialLR(optimizer, 0.9)
    swa = (optim if module is lr_scheduler else torch.optim).swa_utils.SWALR
    return module.SequentialLR(optimizer, [first, swa(optimizer, [0.01, 0.03], 5, "linear")], [6])


@pytest.mark.parametrize("make", [sequence, chain, averaging])
def test_schedulers_of_schedulers(make):
    ours, theirs = pair_of_optimizers()
    scheduler, their_scheduler = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for step in range(30):
        assert_same(ours, theirs, scheduler, their_scheduler)
        if step == 7:
            state = copy.deepcopy((scheduler.state_dict(), ours.state_dict()))
            ours, _ = pair_of_optimizers()
            scheduler = make(lr_scheduler, ours)
            scheduler.load_state_dict(state[0])
            ours.load_state_dict(state[1])
        scheduler.step()
        their_scheduler.step()


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 0}, {"anneal_epochs": 6, "anneal_strategy": "linear"}])
def test_swalr_starts_from_what_is_there(options):
    ours, theirs = pair_of_optimizers()
    before, their_before = lr_scheduler.ExponentialLR(ours, 0.9), torch.optim.lr_scheduler.ExponentialLR(theirs, 0.9)
    after = lr_scheduler.SWALR(ours, swa_lr=0.05, **options)
    their_after = torch.optim.swa_utils.SWALR(theirs, swa_lr=0.05, **options)
    for step in range(20):
        (before if step < 5 else after).step()
        (their_before if step < 5 else their_after).step()
        np.testing.assert_allclose([g["lr"] for g in ours.param_groups], [g["lr"] for g in theirs.param_groups])


def test_parts_of_steps():
    ours, theirs = pair_of_optimizers()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(ours, 3, 2)
    their_scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, 2)
    for t in np.arange(0, 25, 0.37):
        scheduler.step(float(t))
        their_scheduler.step(float(t))
        np.testing.assert_allclose(scheduler.get_last_lr(), their_scheduler.get_last_lr())


def test_errors():
    optimizer = optim.Adagrad([cr.Parameter(np.ones(1))])
    with pytest.raises(ValueError, match="total_steps, or epochs and steps_per_epoch"):
        lr_scheduler.OneCycleLR(optimizer, 0.1)
    with pytest.raises(ValueError, match="Adagrad has no momentum"):
        lr_scheduler.OneCycleLR(optimizer, 0.1, 10)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, 2, cycle_momentum=False)
    scheduler.step()
    with pytest.raises(ValueError, match="step 3 of a OneCycleLR of 2 steps"):
        for _ in range(3):
            scheduler.step()
    with pytest.raises(TypeError, match="a scheduler takes an Optimizer, not a Linear"):
        lr_scheduler.StepLR(nn.Linear(1, 1), 2)
    with pytest.raises(ValueError, match="2 values of lr_lambda for 1 groups"):
        lr_scheduler.LambdaLR(optimizer, [abs, abs])
    with pytest.raises(ValueError, match="factor is below 1"):
        lr_scheduler.ReduceLROnPlateau(optimizer, factor=1.0)
    with pytest.raises(ValueError, match="'rel' or 'abs', not 'min' and 'x'"):
        lr_scheduler.ReduceLROnPlateau(optimizer, threshold_mode="x")
    with pytest.raises(ValueError, match="mode is 'triangular'"):
        lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, mode="square")
    with pytest.raises(ValueError, match="'cos' or 'linear', not 'x'"):
        lr_scheduler.SWALR(optimizer, 0.1, anneal_strategy="x")
    with pytest.raises(ValueError, match="cannot step scheduler 0, a ReduceLROnPlateau"):
        lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(optimizer)])
    with pytest.raises(ValueError, match="scheduler 1 has another"):
        other = optim.SGD([cr.Parameter(np.ones(1))])
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 2), lr_scheduler.StepLR(other, 2)])
    with pytest.raises(ValueError, match="one milestone fewer"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 2)], [3])


# ---- averaged models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", [None, "avg_fn", "multi_avg_fn"])
@pytest.mark.parametrize("decay", [None, 0.9])
def test_averaged_model(use_buffers, decay, kind):
    ours, theirs = (kind.Sequential(kind.Linear(3, 4), kind.BatchNorm1d(4), kind.Linear(4, 2)) for kind in (nn, torch.nn))
    ours.load_state_dict(theirs.state_dict())
    made = f"get_{'ema' if decay else 'swa'}_{kind}"
    chosen = {kind: getattr(swa_utils, made)(*([decay] if decay else []))} if kind else {}
    average = AveragedModel(ours, **chosen, use_buffers=use_buffers)
    their_average = torch.optim.swa_utils.AveragedModel(
        theirs, multi_avg_fn=decay and kind and torch.optim.swa_utils.get_ema_multi_avg_fn(decay), use_buffers=use_buffers
    )
    assert list(average.state_dict()) == list(their_average.state_dict())
    for _ in range(5):
        with torch.no_grad():
            for p in theirs.parameters():
                p += torch.randn(p.shape)
        theirs(torch.randn(8, 3))
        ours.load_state_dict(theirs.state_dict())
        average.update_parameters(ours)
        their_average.update_parameters(theirs)
        for (name, value), expected in zip(average.state_dict().items(), their_average.state_dict().values(), strict=True):
            if "num_batches" not in name:  # of which they take the mean, too
                np.testing.assert_allclose(value, expected.numpy(), 1e-5, 1e-6)
    batches = rng.standard_normal((4, 16, 3)).astype(np.float32)
    update_bn([(batch, None) for batch in batches], average)
    torch.optim.swa_utils.update_bn([(torch.tensor(batch), None) for batch in batches], their_average)
    assert average.module[1].momentum == 0.1
    for value, expected in zip(average.state_dict().values(), their_average.state_dict().values(), strict=True):
        np.testing.assert_allclose(value, expected.numpy(), 1e-4, 1e-5)
    x = rng.standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_allclose(average.eval()(x).data, their_average.eval()(torch.tensor(x)).detach().numpy(), 1e-4, 1e-5)


def test_averages_refuse_what_is_none():
    with pytest.raises(ValueError, match="decay is from 0 to 1"):
        get_ema_avg_fn(2)
    with pytest.raises(ValueError, match="avg_fn or multi_avg_fn, not both"):
        AveragedModel(nn.Linear(1, 1), get_ema_avg_fn(), get_ema_multi_avg_fn())
    update_bn([], nn.Linear(2, 2))  # has none
