"""The training loop: its events, what callbacks do, going on bit for bit, and being killed."""

import csv
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import types
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.data import DataLoader, TensorDataset
from chainrule.kernels import compiling
from chainrule.optim import lr_scheduler
from chainrule.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from chainrule.train import metrics

DATA = np.random.default_rng(0)
X = DATA.normal(size=(50, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def network(dropout=0.0):
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2))


def loader(**options):
    return DataLoader(TensorDataset(X, Y), **{"batch_size": 8, "shuffle": True, **options})


def jitter(x):
    return x + cr.random.generator().normal(scale=0.1, size=x.shape).astype(np.float32)


def trainer(model=None, make=optim.Adam, lr=0.02, **options):
    model = model or network()
    options = {"metrics": {"accuracy": metrics.Accuracy()}, "progress": False, **options}
    return train.Trainer(model, make(model.parameters(), lr=lr), nn.CrossEntropyLoss(), **options)


def same(first, second):
    """Whether two nested states are equal to the last bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
    return type(first) is type(second) and (first == second or first != first)


# ---- the loop -------------------------------------------------------------------------------------------


def test_it_learns_and_measures():
    cr.manual_seed(0)
    made = trainer(lr=0.05)
    history = made.fit(loader(), epochs=60, validation=loader(shuffle=False))
    assert list(history) == ["train loss", "train accuracy", "validation loss", "validation accuracy"]
    assert all(len(values) == 60 for values in history.values()) and made.epoch == 60 and made.step == 60 * 7
    assert history["train loss"][-1] < 0.7 * history["train loss"][0] and history["validation accuracy"][-1] > 0.8
    logits = made.predict(loader(shuffle=False))
    assert np.mean(logits.argmax(axis=1) == Y) == history["validation accuracy"][-1] == made.evaluate(loader())["accuracy"]
    expected = float(cr.functional.cross_entropy(logits, Y))
    assert history["validation loss"][-1] == pytest.approx(expected, rel=1e-6)
    assert not hasattr(made.model, "grad") and all(p.grad is None for p in made.model.parameters())
    assert made.model.training
    np.testing.assert_array_equal(made.predict([X[:30], X[30:]]), logits)
    np.testing.assert_allclose(made.predict([(X,)]), logits, rtol=1e-5, atol=1e-6)


def test_the_loop_is_the_loop_by_hand():
    cr.manual_seed(1)
    ours = trainer(scheduler=None)
    ours.scheduler = lr_scheduler.OneCycleLR(ours.optimizer, 0.05, total_steps=14)
    ours.schedule = "step"
    ours.fit(loader(generator=3), epochs=2)

    cr.manual_seed(1)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=14)
    batches = loader(generator=3)
    for _ in range(2):
        for x, y in batches:
            loss = cr.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    assert same(model.state_dict(), ours.model.state_dict())


class Recorder(train.Callback):
    def __init__(self, held=()):
        self.events, self.held = [], held

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def note(trainer):
            self.events.append(name.removeprefix("on_"))
            return not (name == "on_backward_end" and trainer.batch in self.held)

        return note


def test_events_come_in_the_documented_order():
    recorder = Recorder(held=[1])
    made = trainer(callbacks=[recorder])
    made.fit(loader(batch_size=25), 1, validation=loader())
    batch = ["batch_start", "backward_end", "batch_end"]
    assert recorder.events == [
        "fit_start",
        "epoch_start",
        *batch,
        *batch[:2],
        "step_start",
        "step_end",
        "batch_end",
        "evaluation_start",
        "evaluation_end",
        "epoch_end",
        "fit_end",
    ]
    text = re.findall(r"on_\w+", train.Callback.__doc__)
    assert {f"on_{event}" for event in recorder.events} <= set(text)
    recorder.events.clear()
    made.callbacks[0].held = [1, 2]  # what is left makes a step at the end of the epoch
    made.fit(loader(batch_size=25), 2)
    assert recorder.events[-4:] == ["step_start", "step_end", "epoch_end", "fit_end"]


def test_the_end_is_told_of_after_an_error():
    recorder = Recorder()
    made = trainer(callbacks=[recorder])

    def broken():
        yield X[:8], Y[:8]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        made.fit(broken(), 1)
    assert recorder.events[-1] == "fit_end" and made.epoch == 0
    made.fit(loader(), 1)  # the epoch that was not complete is begun anew
    assert made.history["train loss"][0] > 0 and made.measures["loss"].count == 50


def test_forward_can_be_overridden():
    class Autoencoder(train.Trainer):
        def forward(self, batch):
            (x,) = batch
            outputs = self.model(x)
            return self.loss_fn(outputs, x), outputs, x

    model = nn.Linear(4, 4)
    made = Autoencoder(model, optim.Adam(model.parameters(), 0.1), nn.MSELoss(), metrics={"r2": metrics.R2()}, progress=False)
    history = made.fit(DataLoader(TensorDataset(X), 10), 30, validation=[(X,)])
    assert history["validation r2"][-1] > 0.9


def test_schedulers():
    made = trainer(scheduler=None, callbacks=[train.LearningRateMonitor()])
    made.scheduler = lr_scheduler.StepLR(made.optimizer, 1, gamma=0.5)
    np.testing.assert_allclose(made.fit(loader(), 3)["learning-rate"], [0.02, 0.01, 0.005])
    made = trainer(lr=0.0)
    made.optimizer.param_groups[0]["lr"] = 1e-9
    made.scheduler = lr_scheduler.ReduceLROnPlateau(made.optimizer, patience=0, threshold=0.5, eps=0)
    made.fit(loader(), 3, validation=loader())
    assert made.optimizer.param_groups[0]["lr"] == pytest.approx(1e-11)
    with pytest.raises(ValueError, match="schedule is 'epoch' or 'step'"):
        trainer(schedule="batch")
    with pytest.raises(ValueError, match="'loss' is the loss's own name"):
        trainer(metrics={"loss": metrics.Accuracy()})


def test_an_optimizer_that_evaluates_the_loss_itself(tmp_path):
    cr.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    by_hand, again = deepcopy(model), deepcopy(model)
    made = trainer(model, make=optim.LBFGS, lr=1)
    made.fit([(X, Y)], 1)
    made.save(tmp_path / "first")
    made.fit([(X, Y)], 2)
    trainer(again, make=optim.LBFGS, lr=1).fit([(X, Y)], 2, resume=tmp_path / "first")
    assert same(model.state_dict(), again.state_dict())
    optimizer = optim.LBFGS(by_hand.parameters(), lr=1)

    def closure():
        optimizer.zero_grad()
        loss = cr.functional.cross_entropy(by_hand(X), Y)
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    assert same(model.state_dict(), by_hand.state_dict()) and made.step == 2
    with pytest.raises(ValueError, match="LBFGS computes gradients anew, of one batch, but those of 2"):
        trainer(make=optim.LBFGS, callbacks=[train.GradientAccumulation(2)]).fit(loader(), 1)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (lambda: loader(batch_size=64, drop_last=True), ValueError, "drop_last leaves out what is less than 64 examples"),
        (lambda: DataLoader(TensorDataset(X[:0], Y[:0]), 8), ValueError, "in epoch 1: the dataset is empty"),
        (lambda: ((X, Y) for _ in range(1)), ValueError, "no batch in epoch 2: a generator can be gone through once only"),
        (lambda: TensorDataset(X, Y), TypeError, "fit takes batches, not a dataset: DataLoader"),
        (lambda: (X, Y), TypeError, r"a batch is \(input, ..., target\), not an array of shape \(50, 4\); DataLoader"),
        (lambda: [{"x": X}], TypeError, "not a dict; .*override Trainer.forward"),
        (lambda: [(X, Y.astype(float))], TypeError, r"classes are integers from 0 to 1, not float64; use target.astype"),
        (lambda: [(X, np.array(["no", "yes"])[Y])], TypeError, r"not <U3; use np.unique\(target, return_inverse=True\)"),
    ],
)
def test_batches_that_cannot_be_trained_on(batches, error, message):
    with pytest.raises(error, match=message):
        trainer().fit(batches(), 2)


def test_what_cannot_be_trained():
    model, other = network(), network()
    adam = optim.Adam(other.parameters())
    with pytest.raises(ValueError, match="depends on none of the optimizer's parameters"):
        train.Trainer(model, adam, nn.CrossEntropyLoss(), progress=False).fit(loader(), 1)
    with pytest.raises(TypeError, match="not the class EarlyStopping"):
        trainer(callbacks=[train.EarlyStopping])
    with pytest.raises(ValueError, match=r"must be one number, the mean over the batch, but has the shape \(8,\)"):
        train.Trainer(other, adam, nn.CrossEntropyLoss(reduction="none"), progress=False).fit(loader(), 1)
    with pytest.raises(TypeError, match="the loss is a float, not a Variable"):
        train.Trainer(other, adam, lambda y, t: 1.0, progress=False).fit(loader(), 1)
    with pytest.raises(TypeError, match="epochs must be an int"):
        trainer().fit(loader(), 1.5)
    for wrong in (X, TensorDataset(X)):
        with pytest.raises(TypeError, match="predict takes batches"):
            trainer().predict(wrong)
    for empty in (trainer().predict, trainer().evaluate):
        with pytest.raises(ValueError, match="no batch to .*: the list gave none"):
            empty([])


# ---- averaged weights -----------------------------------------------------------------------------------


def test_averaged_weights_are_evaluated_and_saved(tmp_path):
    def make(folder):
        cr.manual_seed(4)
        model = network()
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
        return trainer(model, callbacks=[train.WeightAveraging(average), train.ModelCheckpoint(folder)]), average

    whole, expected = make(tmp_path / "whole")
    history = whole.fit(loader(generator=1), 4, validation=loader(shuffle=False))
    logits = train.predict(expected.module, loader(shuffle=False))
    assert history["validation loss"][-1] == pytest.approx(float(cr.functional.cross_entropy(logits, Y)), rel=1e-6)
    assert not same(expected.module.state_dict(), whole.model.state_dict())
    make(tmp_path / "parts")[0].fit(loader(generator=1), 2, validation=loader(shuffle=False))
    again, average = make(tmp_path / "parts")
    again.fit(loader(generator=1), 4, validation=loader(shuffle=False), resume=True)
    assert same(average.state_dict(), expected.state_dict()) and same(again.model.state_dict(), whole.model.state_dict())
    with pytest.raises(ValueError, match="no batch to evaluate"):
        again.fit(loader(generator=1), 5, validation=[])
    assert again.model is not average.module  # it has its own model back


# ---- gradient accumulation ------------------------------------------------------------------------------


@pytest.mark.parametrize(("small", "steps", "large"), [(5, 2, 10), (3, 4, 12), (50, 3, 50)])
def test_accumulated_gradients_are_those_of_the_large_batch(small, steps, large):
    def weights(size, callbacks):
        cr.manual_seed(2)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        for p in model.parameters():
            p.data = p.data.astype(np.float64)
        made = trainer(model, make=optim.SGD, lr=0.5, callbacks=callbacks)
        made.fit(loader(batch_size=size, generator=1), 3)
        return made.step, np.concatenate([p.data.ravel() for p in model.parameters()])

    steps_made, accumulated = weights(small, [train.GradientAccumulation(steps)])
    assert steps_made == 3 * math.ceil(50 / large)
    np.testing.assert_allclose(accumulated, weights(large, [])[1], rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="at least 1"):
        train.GradientAccumulation(0)


def test_long_gradients_are_shortened_before_the_step():
    norms = []

    class Norm(train.Callback):
        def on_step_start(self, trainer):
            norms.append(np.sqrt(sum(np.sum(p.grad**2) for p in trainer.model.parameters())))

    trainer(callbacks=[train.GradientClipping(0.01), Norm()]).fit(loader(), 1)
    np.testing.assert_allclose(norms, 0.01, rtol=1e-3)


# ---- stopping -------------------------------------------------------------------------------------------


class Script(train.Callback):
    """Replaces the validation loss by numbers of ours."""

    def __init__(self, losses):
        self.losses = losses

    def on_evaluation_end(self, trainer):
        trainer.logs["validation loss"] = self.losses[trainer.epoch]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_early_stopping_restores_the_best(mode):
    losses = [3, 2, 1, 1.5, math.nan, 0.95, 5]
    losses = [-x for x in losses] if mode == "max" else losses
    weights = []

    class Keep(train.Callback):
        def on_epoch_end(self, trainer):
            weights.append(trainer.model[0].weight.data.copy())

    stopping = train.EarlyStopping(patience=3, mode=mode, min_delta=0.1)
    made = trainer(callbacks=[Script(losses), stopping, Keep()])
    made.fit(loader(), 7, validation=loader())
    assert made.epoch == 6 and stopping.best_epoch == 3
    np.testing.assert_array_equal(made.model[0].weight.data, weights[2])
    made.callbacks = [Script(losses), stopping]
    made.fit(loader(), 9, validation=loader())  # it stays stopped, as where it was loaded from a checkpoint
    assert made.epoch == 6
    with pytest.raises(ValueError, match="'min' or 'max'"):
        train.EarlyStopping(mode="least")
    with pytest.raises(KeyError, match="no result 'accuracy' to monitor; there are 'train loss', 'train accuracy'"):
        trainer(callbacks=[train.EarlyStopping("accuracy")]).fit(loader(), 1)
    for callback in (train.EarlyStopping(), train.ModelCheckpoint("nowhere", monitor="validation loss")):
        with pytest.raises(ValueError, match="to go by the validation loss, pass validation batches to fit"):
            trainer(callbacks=[callback]).fit(loader(), 1)


def test_terminate_on_nan_leaves_the_parameters_alone():
    guard = train.TerminateOnNaN()
    made = trainer(callbacks=[guard])
    bad = X.copy()
    bad[20] = np.nan
    with pytest.warns(RuntimeWarning, match="training stopped: the loss is nan in batch 3 of epoch 1") as warned:
        made.fit(DataLoader(TensorDataset(bad, Y), 8), 3)
    assert len(warned) == 1 and warned[0].filename == __file__
    assert guard.batch == (0, 2) and made.step == 2 and made.stop and made.epoch == 0
    assert all(np.isfinite(p.data).all() for p in made.model.parameters())


def test_a_loss_that_is_not_finite_is_warned_of_once():
    bad = X.copy()
    bad[20] = np.nan
    with pytest.warns(RuntimeWarning, match=r"the loss is nan in batch 3 of epoch 1: .*TerminateOnNaN") as warned:
        trainer().fit(DataLoader(TensorDataset(bad, Y), 8), 2)
    assert len(warned) == 1 and warned[0].filename == __file__


def test_wide_data_are_warned_of():
    with pytest.warns(UserWarning, match=r"the data are float64 .*x.astype\(np.float32\)") as warned:
        trainer().fit([(X.astype(float), Y)] * 2, 2)
    assert len(warned) == 1 and warned[0].filename == __file__


def test_detect_anomaly_names_the_operation():
    x = cr.Variable(np.array([0.0, 1.0]))
    infinite = pytest.raises(FloatingPointError, match=r"np\.log: first infinity in the result.*test_train")
    with infinite, cr.detect_anomaly(), np.errstate(divide="ignore"):
        np.log(x)
    y = np.sqrt(x)  # not looked at outside
    infinite = pytest.raises(FloatingPointError, match=r"np\.sqrt: first infinity in the gradient")
    with infinite, cr.detect_anomaly(), np.errstate(divide="ignore"):
        y.backward()


# ---- going on bit for bit -------------------------------------------------------------------------------


def full(folder, make=optim.AdamW, schedule=None, stop=None, workers=0):
    """All that has a state, together."""
    cr.manual_seed(5)
    model = network(dropout=0.3)
    kinds = {"auc": metrics.AUC(), "f1": metrics.F1(), "perplexity": metrics.Perplexity()}
    optimizer = make(model.parameters(), lr=0.02)
    made = train.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics=kinds,
        scheduler=None if schedule is None else schedule(optimizer),
        schedule="step" if make is optim.AdamW else "epoch",
        callbacks=[
            train.ModelCheckpoint(folder, monitor="validation loss", every_steps=1, keep_all=True),
            StopAt(stop),
            train.EarlyStopping(patience=50),
            train.LearningRateMonitor(),
            train.GradientAccumulation(2),
        ],
        progress=False,
    )
    return made, loader(transform=jitter, num_workers=workers), loader(shuffle=False, transform=jitter, generator=9)


class Stop(Exception):
    pass


class StopAt(train.Callback):
    rank = 11  # after the checkpoint

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            raise Stop


STATES = [
    (optim.SGD, lambda o: lr_scheduler.StepLR(o, 1), 0),
    (optim.AdamW, lambda o: lr_scheduler.CosineAnnealingLR(o, 5), 2),
    (optim.RMSprop, lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0), 0),
    (optim.Adagrad, None, 0),
    (
        optim.NAdam,
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], [2]),
        0,
    ),
    (optim.Adafactor, None, 0),
    (optim.Lion, None, 0),
    (optim.RAdam, None, 0),
    (optim.Rprop, None, 0),
    (optim.ASGD, None, 0),
    (optim.LAMB, None, 0),
]


@pytest.mark.parametrize(("make", "schedule", "workers"), STATES)
def test_what_follows_an_interruption_is_the_same_to_the_last_bit(tmp_path, make, schedule, workers):
    made, batches, validation = full(tmp_path / "whole", make, schedule)
    np.random.seed(0)
    random.seed(0)
    history = made.fit(batches, 3, validation)
    assert made.step == 12
    drawn = cr.random.generator().random(), np.random.rand(), random.random()
    for steps in ([1, 2, 6], [4, 8], [11]):
        np.random.seed(0)
        random.seed(0)
        folder = tmp_path / str(steps)
        for step in steps:
            again, batches, validation = full(folder, make, schedule, step, workers)
            with pytest.raises(Stop):
                again.fit(batches, 3, validation, resume=True)
        again, batches, validation = full(folder, make, schedule)
        cr.manual_seed(77)
        np.random.seed(77)
        random.seed(77)
        assert same(again.fit(batches, 3, validation, resume=True), history)
        assert same(again.model.state_dict(), made.model.state_dict())
        assert (cr.random.generator().random(), np.random.rand(), random.random()) == drawn
        for name in ("last", "best", "epoch_1", "epoch_2", "epoch_3"):
            first, second = (train.load_checkpoint(tmp_path / which / f"{name}.safetensors") for which in ("whole", str(steps)))
            assert same(first, second), f"{name} differs"


def test_a_loader_of_ones_own_is_gone_on_with_by_its_position(tmp_path):
    def run(callbacks, resume=False):
        cr.manual_seed(0)
        made = trainer(callbacks=[train.ModelCheckpoint(tmp_path, every_steps=1), *callbacks])
        batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10)]
        return made.fit(batches, 2, resume=resume), made.model.state_dict()

    expected = run([])
    (tmp_path / "last.safetensors").unlink()
    with pytest.raises(Stop):
        run([StopAt(7)])
    assert same(run([], resume=tmp_path / "last.safetensors"), expected)


def test_resuming_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*nothing"):
        trainer().fit(loader(), 1, resume=tmp_path / "nothing")
    with pytest.raises(ValueError, match="needs a ModelCheckpoint"):
        trainer().fit(loader(), 1, resume=True)
    cr.save({"x": X}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="is no checkpoint"):
        train.load_checkpoint(tmp_path / "weights.safetensors")
    made = trainer()
    made.fit(loader(), 1)
    made.save(tmp_path / "last.safetensors")
    other = nn.Linear(4, 2)
    with pytest.raises(RuntimeError, match="cannot load the state dict"):
        trainer(other).fit(loader(), 1, resume=tmp_path / "last.safetensors")
    weights = cr.load(tmp_path / "last.safetensors")
    np.testing.assert_array_equal(weights["model.0.weight"], made.model[0].weight.data)


def test_resuming_another_training(tmp_path):
    made = trainer()
    made.fit(loader(), 1)
    made.save(tmp_path / "adam")
    for other, what in (
        (trainer(make=optim.SGD), "the optimizer Adam; this one has SGD"),
        (trainer(metrics={}), r"the metrics \['loss', 'accuracy'\]; this one has \['loss'\]"),
        (trainer(scheduler=lr_scheduler.StepLR(made.optimizer, 1)), "the scheduler None; this one has StepLR"),
    ):
        with pytest.raises(ValueError, match=f"the checkpoint is of a training with {what}"):
            other.fit(loader(), 2, resume=tmp_path / "adam")


def test_checkpoints_hold_any_nested_state(tmp_path):
    state = {
        "numbers": [1, -(2**100), 0.1, math.inf, True, None, "text"],
        "nan": math.nan,
        "scalars": (np.float32(0.1), np.int64(3), np.bool_(True), np.float64(1 / 3)),
        "arrays": {"a.b": np.arange(3), "a": {"b": np.zeros((0, 2), np.float16)}},
        3: {"$array": "no array", "inner": {(1, "x"): [np.ones(())]}},
        "variable": cr.Parameter(np.ones(2, np.float32)),
        "empty": {},
    }
    train.save_checkpoint(state, tmp_path / "state")
    state["variable"] = state["variable"].data
    again = train.load_checkpoint(tmp_path / "state")
    assert same(again, state) and again["arrays"]["a.b"].flags.writeable
    with pytest.raises(TypeError, match=r"a\.0 is function"):
        train.save_checkpoint({"a": [lambda x: x]}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


KILLED = Path(__file__).parent / "killed_training.py"


def run_killed(folder, seconds=None):
    """Run the training in a process of its own, and kill it after some seconds; what it found, and when, if it came to its end."""
    process = subprocess.Popen([sys.executable, str(KILLED), str(folder)], stdout=subprocess.PIPE)
    process.stdout.readline()  # it has begun
    start = time.perf_counter()
    try:
        assert process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return None
    finally:
        process.stdout.close()
    return (folder / "result.txt").read_text(), time.perf_counter() - start


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path):
    """A few kills; for more, and to see how many: CHAINRULE_KILLS=200 pytest -s tests/test_train.py -k killed."""
    kills = int(os.environ.get("CHAINRULE_KILLS", "3"))
    expected, _ = run_killed(tmp_path / "first")  # may have to compile, which takes longer than the training
    again, whole = run_killed(tmp_path / "whole")
    assert again == expected
    rng, killed, trainings = np.random.default_rng(), 0, 0
    while killed < kills:
        folder, found = tmp_path / str(trainings), None
        while found is None:
            found = run_killed(folder, rng.uniform(0, whole) if killed < kills else None)
            killed += found is None
            if found is None and (folder / "last.safetensors").exists():
                assert train.load_checkpoint(folder / "last.safetensors")["step"] > 0
        trainings += 1
        assert found[0] == expected
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    print(f"{killed} kills in {trainings} trainings, each of which ended with the same weights and results")


@pytest.fixture
def interruptible():
    """Python's own handler of Ctrl-C, also where tests run in the background of a shell, which ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class CtrlC(train.Callback):
    def __init__(self, batch, event, times=1):
        self.batch, self.event, self.times = batch, event, times

    def __getattribute__(self, name):
        if name != f"on_{super().__getattribute__('event')}":
            return super().__getattribute__(name)

        def press(trainer):
            if trainer.batch == self.batch:
                for _ in range(self.times):
                    signal.raise_signal(signal.SIGINT)

        return press


@pytest.mark.parametrize(
    ("batch", "event", "where"),
    [
        (2, "batch_start", "batch 4 of 7 of epoch 1"),
        (4, "step_end", "batch 4 of 7 of epoch 1"),
        (7, "evaluation_start", "epoch 1"),
    ],
)
def test_after_ctrl_c_it_goes_on_bit_for_bit(tmp_path, capsys, interruptible, batch, event, where):
    made, batches, validation = full(tmp_path / "whole")
    made.fit(batches, 3, validation)
    made, batches, validation = full(tmp_path / "parts")
    made.callbacks = [CtrlC(batch, event), *made.callbacks]
    made.callbacks[1].every_steps = None
    with pytest.raises(KeyboardInterrupt, match=rf"stopped after {where}, and was saved to .*last.safetensors"):
        made.fit(batches, 3, validation)
    assert "stopping after this batch" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    made, batches, validation = full(tmp_path / "parts")
    made.fit(batches, 3, validation, resume=True)
    whole, parts = (train.load_checkpoint(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert same(whole, parts)


def test_a_training_that_was_stopped_within_an_epoch_is_saved_as_it_is(tmp_path):
    whole, batches, validation = full(tmp_path / "whole")
    whole.fit(batches, 2, validation)

    class StopOnce(train.Callback):
        def on_batch_end(self, trainer):
            trainer.stop = trainer.epoch == 0 and trainer.batch == 4

    made, batches, validation = full(tmp_path / "parts")
    made.callbacks = [callback for callback in made.callbacks if not isinstance(callback, train.ModelCheckpoint)] + [StopOnce()]
    made.fit(batches, 2, validation)
    made.save(tmp_path / "stopped")
    made, batches, validation = full(tmp_path / "parts")
    made.fit(batches, 2, validation, resume=tmp_path / "stopped")
    assert same(made.model.state_dict(), whole.model.state_dict()) and made.history == whole.history


def test_a_second_ctrl_c_stops_at_once(interruptible):
    with pytest.raises(KeyboardInterrupt, match="^$"):
        trainer(callbacks=[CtrlC(1, "batch_end", times=2)]).fit(loader(), 1)
    with pytest.raises(KeyboardInterrupt, match="with a ModelCheckpoint among the callbacks"):
        trainer(callbacks=[CtrlC(1, "batch_end")]).fit(loader(), 1)


# ---- what is written and shown --------------------------------------------------------------------------


def test_csv_and_curves(tmp_path):
    made = trainer(callbacks=[train.CSVLogger(tmp_path / "new" / "log.csv"), train.PlotCurves(tmp_path / "curves.png")])
    history = made.fit(loader(), 2, validation=loader())
    with (tmp_path / "new" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["validation loss"]) for row in rows] == history["validation loss"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_that_are_no_numbers_are_kept_but_not_drawn(tmp_path):
    kinds = {"confusion": metrics.ConfusionMatrix(), "accuracy": metrics.Accuracy()}
    made = trainer(
        metrics=kinds,
        callbacks=[
            train.CSVLogger(tmp_path / "log.csv"),
            train.PlotCurves(tmp_path / "c.svg"),
            train.ModelCheckpoint(tmp_path),
        ],
        progress=True,
    )
    history = made.fit(loader(), 1)
    assert history["train confusion"][0].sum() == 50
    assert "confusion" not in (tmp_path / "log.csv").read_text()


def test_curves_are_drawn_now_and_then_and_in_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("chainrule.train.loggers.plot_curves", lambda history, path: drawn.append(len(history["train loss"])))
    trainer(callbacks=[train.PlotCurves(tmp_path / "curves.png")]).fit(loader(), 4)
    assert drawn == [1, 4]
    trainer(callbacks=[train.PlotCurves(tmp_path / "curves.png", seconds=0)]).fit(loader(), 3)
    assert drawn == [1, 4, 1, 2, 3]


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    made = trainer(callbacks=[train.TensorBoard(tmp_path, every_steps=5), train.LearningRateMonitor()])
    made.fit(loader(), 2, validation=loader())
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for tag in (b"loss/train", b"accuracy/validation", b"batch/loss", b"batch/learning-rate"):
        assert tag in content


def test_progress_in_lines(capsys):
    trainer(progress=True).fit(loader(), 2, validation=loader())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    number = r"\d\.\d+(e-\d+)?"
    assert re.fullmatch(
        rf"epoch 2/2  train loss {number}  train accuracy {number}  validation loss {number}  validation accuracy {number}  \d\.\d s",
        lines[1],
    )


def test_progress_in_a_terminal(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("chainrule.train.progress._INTERVAL", 0.0)
    trainer(callbacks=[train.Progress("terminal")]).fit(loader(), 2)
    trainer(callbacks=[train.Progress("terminal")]).fit(iter([(X, Y)]), 1)
    out = capsys.readouterr().out
    assert "epoch 1/2  train loss" in out and "epoch 2/2  train loss" in out and "epoch 1/1" in out
    with pytest.raises(ValueError, match="kind is one of terminal, notebook, lines"):
        train.Progress("window")


def test_progress_says_that_kernels_are_compiled(capsys, monkeypatch):
    """Beside a live display nothing else says so; without one it is said once, at a terminal."""
    pytest.importorskip("rich")
    shown = []

    class Compile(train.Callback):
        def on_batch_start(self, trainer):
            compiling.begins()
            shown.append(trainer.callbacks[-1]._display._progress.tasks[0].fields["text"])
            compiling.ends()

    monkeypatch.setattr(compiling, "_seconds", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock = iter(range(100))
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: float(next(clock)))
    trainer(callbacks=[Compile(), train.Progress("terminal")]).fit([(X, Y)], 1)
    assert shown == ["compiling kernels, which are kept for the next time"] and not compiling.displays
    assert "chainrule is compiling" not in capsys.readouterr().err
    compiling._seconds = 0.0
    for _ in range(3):
        compiling.begins()
        compiling.ends()
    assert capsys.readouterr().err.count("chainrule is compiling kernels") == 1


def test_progress_in_a_notebook(monkeypatch):
    shown = []
    display = types.SimpleNamespace(
        HTML=lambda text: text,
        display=lambda html, display_id: types.SimpleNamespace(update=shown.append),
    )
    kernel = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: kernel, display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("chainrule.train.progress._INTERVAL", 0.0)
    trainer(progress=True).fit(loader(), 2)
    assert any(re.search(r'epoch 1/2 <progress value="0\.\d+"></progress> loss .* left', text) for text in shown)
    assert shown[-1].count("train loss") == 2 and "<progress" not in shown[-1]


# ---- the learning-rate finder ---------------------------------------------------------------------------


def test_the_finder_finds_a_rate_and_changes_nothing(tmp_path):
    cr.manual_seed(0)
    made = trainer(network(dropout=0.2), callbacks=[train.EarlyStopping()])
    made.fit(loader(), 1, validation=loader())
    x = np.random.default_rng(1).normal(size=(1000, 4)).astype(np.float32)
    batches = DataLoader(TensorDataset(x, (x[:, 0] > 0).astype(np.int64)), 50, shuffle=True, generator=4)
    drawn = batches.state_dict()
    before = train.load_checkpoint(save(made, tmp_path / "before"))
    found = train.find_learning_rate(made, batches, steps=60)
    assert same(train.load_checkpoint(save(made, tmp_path / "after")), before)
    assert batches.state_dict() == drawn
    assert len(found.rates) == len(found.losses) <= 60 and 1e-4 < found.suggestion < 5
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="start lower"):
        train.find_learning_rate(made, DataLoader(TensorDataset(X * np.float32(np.nan), Y), 8))


def save(made, path):
    made.save(path)
    return path
