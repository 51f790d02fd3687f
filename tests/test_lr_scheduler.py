"""Learning-rate schedulers beside PyTorch's, over many steps; their state; averaged models."""

import copy

import numpy as np
import pytest
from parity_cases import PLATEAUS, SCHEDULERS, SCHEDULERS_OF_SCHEDULERS

import chainrule as cr
from chainrule import nn, optim
from chainrule.optim import lr_scheduler, swa_utils
from chainrule.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, update_bn

torch = pytest.importorskip("torch")
from parity import pair_of_optimizers, scheduler_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
rng = np.random.default_rng(4)

ids = [f"{name} {' '.join(options)}" for name, options in SCHEDULERS]


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
        if step in (9, 19):  # as after a restart, the first time from PyTorch's state
            state = scheduler.state_dict(), ours.state_dict()
            if step == 9:
                state = their_scheduler.state_dict(), theirs.state_dict()
            state = copy.deepcopy(state)
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


@pytest.mark.parametrize("options", PLATEAUS)
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


@pytest.mark.parametrize("text", SCHEDULERS_OF_SCHEDULERS)
def test_schedulers_of_schedulers(text):
    ours, theirs = pair_of_optimizers()
    scheduler = scheduler_of(text, lr_scheduler, ours)
    their_scheduler = scheduler_of(text, torch.optim.lr_scheduler, theirs)
    for step in range(30):
        assert_same(ours, theirs, scheduler, their_scheduler)
        if step == 7:
            state = copy.deepcopy((scheduler.state_dict(), ours.state_dict()))
            ours, _ = pair_of_optimizers()
            scheduler = scheduler_of(text, lr_scheduler, ours)
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


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize(("total", "part"), [(10, 0.1), (10, 1.0), (10, 0.0), (2, 0.5), (1, 0.3), (1, 1.0), (5, 0.6)])
def test_one_cycle_with_phases_of_no_length(total, part, three_phase):
    optimizer = optim.SGD([cr.Parameter(np.ones(1))], 0.1, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total, pct_start=part, three_phase=three_phase)
    rates = scheduler.get_last_lr()
    for _ in range(total):
        scheduler.step()
        rates += scheduler.get_last_lr()
    assert min(rates) > 0 and max(rates) <= 1
    if (total * part).is_integer() and part > 0:  # then a step falls on the peak
        assert rates[round(total * part) - 1] == pytest.approx(1)
        if part < 1 and not three_phase:
            assert rates[total - 1] == pytest.approx(1 / 25 / 1e4)


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
