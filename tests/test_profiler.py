"""The profiler: what it tells of operations and modules, and that it leaves nothing behind."""

import json
import threading

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.core import config

X = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)
Y = np.arange(16) % 10


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def names(prof, direction):
    return [event.name for event in prof.events if event.direction == direction]


def test_operations_and_modules_forward_and_backward():
    model = network()
    with cr.profiler.profile(model) as prof:
        loss = F.cross_entropy(model(X), Y)
        loss.backward()
        with prof.region("optimizer"):
            model.zero_grad()
    forward = {event.module: event for event in prof.events if event.direction == "forward"}
    backward = {event.module: event for event in prof.events if event.direction == "backward"}
    assert {"0", "1", "2", "3"} <= forward.keys() and {"0", "1", "2", "3"} <= backward.keys()
    assert forward["3"].name == backward["3"].name == "linear" and forward["3"].shapes == ((16, 10),)
    assert forward["3"].results == 4 * 160 and set(backward["3"].shapes) >= {(10, 144), (10,)}
    assert sorted(names(prof, "forward")) == sorted(names(prof, "backward"))
    assert names(prof, "region") == ["optimizer"]
    for before, after in zip(prof.events, prof.events[1:], strict=False):
        assert before.seconds >= 0 and after.start >= before.start + before.seconds
    assert len(model[0]._hooks.forward) == len(model[0]._hooks.forward_pre) == 0 and config.debug.get() is False


def test_gradients_are_the_same_and_modes_are_kept():
    def gradients(profiled):
        cr.manual_seed(0)
        model = network()
        if profiled:
            with cr.profiler.profile():
                assert not cr.Config.debug
                F.cross_entropy(model(X), Y).backward()
        else:
            F.cross_entropy(model(X), Y).backward()
        return [p.grad for p in model.parameters()]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_array_equal(one, other)
    with cr.profiler.profile() as prof:
        with cr.detect_anomaly(), pytest.raises(FloatingPointError), np.errstate(divide="ignore"):
            np.log(cr.Variable(np.zeros(2)))
        np.exp(cr.Variable(np.zeros(2)))
        thread = threading.Thread(target=lambda: np.sin(cr.Variable(np.ones(2))))
        thread.start()
        thread.join()
    assert names(prof, "forward") == ["np.exp"] and prof.events[0].module == ""


def test_functions_of_ones_own_and_errors():
    class Twice(cr.Function):
        def forward(self, x):
            return 2 * x

        def backward(self, g):
            return 2 * g

    model = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="expected"), cr.profiler.profile(model) as prof:
        Twice()(cr.Variable(np.ones(3))).sum().backward()
        model(np.ones((2, 4)))
    assert names(prof, "forward") == ["Twice", "np.sum"] and names(prof, "backward") == ["np.sum", "Twice"]
    assert config.debug.get() is False and not model._hooks.forward


def test_tables():
    model = network()
    with cr.profiler.profile(model) as prof:
        for _ in range(3):
            np.sum(model(X)).backward()
    lines = prof.table().splitlines()
    assert lines[0].split() == ["operation", "total", "ms", "share", "calls", "mean", "us", "results", "kB"]
    assert any(line.startswith("linear") and " forward " in line and " 3 " in line for line in lines)
    assert lines[-1].startswith("total") and str(len(prof.events)) in lines[-1]
    assert len(prof.table(rows=2).splitlines()) == 4
    by_module = prof.table(by="module", sort="calls", rows=None)
    assert {line.split()[0] for line in by_module.splitlines()[1:-1]} >= {"0", "1", "2", "3"}
    for wrong in ({"by": "line"}, {"sort": "peak"}):
        with pytest.raises(ValueError, match="by is 'operation' or 'module'"):
            prof.table(**wrong)
    assert "total" in cr.profiler.profile().table()


def test_memory():
    x = cr.Variable(np.ones(10_000, np.float32))
    np.sum(np.exp(x) * 2)  # what the first call loads is held, too
    with cr.profiler.profile(memory=True) as prof:
        y = np.exp(x)
        z = np.sum(y * 2)
    exp, multiply, total = prof.events
    for event in (exp, multiply):
        assert event.results == 40_000 <= event.held < 60_000 and event.peak >= event.held
    assert total.held < 5_000 and float(z.data) > 0
    assert {"held", "kB", "peak"} <= set(prof.table(sort="peak").split())


def test_the_trace_is_what_chrome_reads(tmp_path):
    model = network()
    with cr.profiler.profile(model) as prof:
        np.sum(model(X)).backward()
    prof.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert all(event["ph"] == "X" and event["dur"] >= 0 and event["ts"] >= 0 for event in events)
    assert min(event["ts"] for event in events) == 0
    (whole,) = (event for event in events if event["cat"] == "module" and event["name"] == "(model)")
    inside = [event for event in events if event["cat"] == "forward" and event["args"]["module"] == "3"]
    for event in inside:
        assert whole["ts"] - 0.01 <= event["ts"] and event["ts"] + event["dur"] <= whole["ts"] + whole["dur"] + 0.01
    cr.profiler.profile().save_trace(tmp_path / "empty.json")
