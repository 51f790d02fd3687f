"""checkpoint and fixed_point: the same values and gradients as without them, in less memory."""

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import Variable, nn

X = np.array([0.3, -1.2, 2.0])


def test_checkpoint_gives_the_same_derivatives():
    def f(x, y):
        return np.sin(x) * np.exp(y), {"sum": np.sum(x * y)}

    def result(f):
        return lambda x, y: (lambda pair: pair[0] * pair[1]["sum"])(f(x, y))

    cr.check_grads(result(cr.checkpoint(f)), (X, X + 1), order=3)
    np.testing.assert_allclose(
        cr.hessian(lambda x: result(cr.checkpoint(f))(x, X).sum())(X), cr.hessian(lambda x: result(f)(x, X).sum())(X)
    )
    np.testing.assert_array_equal(cr.checkpoint(f)(X, X)[0], f(X, X)[0])
    x = Variable(X)
    (cr.checkpoint(lambda x, y: x * y)(x, x)).backward()
    np.testing.assert_allclose(x.grad, 2 * X)


def test_checkpoint_of_a_module_with_dropout_and_batch_norm():
    def train(wrap):
        cr.manual_seed(0)
        block = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))
        x, h = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32), Variable(np.ones((16, 3), np.float32))
        loss = F.mse_loss(wrap(block)(x * h), np.zeros((16, 2), np.float32))
        loss.backward()
        drawn = cr.random.generator().random()
        return [p.grad for p in block.parameters()], block.state_dict(), h.grad, drawn

    (plain, state, gx, drawn), (again, state_again, gx_again, drawn_again) = train(lambda f: f), train(cr.checkpoint)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)
    for name, value in state.items():
        np.testing.assert_array_equal(state_again[name], value)
    assert int(state_again["1.num_batches_tracked"]) == 1
    np.testing.assert_allclose(gx_again, gx, rtol=1e-6)
    assert drawn == drawn_again


def test_checkpoint_of_what_differentiates_itself():
    def f(x):
        return cr.jvp(np.sin, [x], [np.ones(3)])[1] * cr.elementwise_grad(np.exp)(x)

    cr.check_grads(cr.checkpoint(f), (X,), order=2)


def test_checkpoint_holds_only_its_arguments():
    def f(x):
        for _ in range(20):
            x = np.sin(x)
        return x

    x = Variable(np.ones(100_000))
    held = []
    for g in (f, cr.checkpoint(f)):
        tracemalloc.start()
        y = g(x)
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        y.backward()
    assert held[1] < held[0] / 8


def test_checkpoint_notices_changed_parameters():
    w = cr.Parameter(np.ones(3))
    y = cr.checkpoint(lambda x: x * w)(X)
    w.data -= 0.1
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()
    with cr.no_grad():
        assert cr.checkpoint(lambda x: x * w)(X).creator is None


def newton(a, x):
    return (x + a / x) / 2


def test_fixed_point():
    a = np.array([2.0, 9.0])
    np.testing.assert_allclose(cr.fixed_point(newton, a, np.ones(2)), [2**0.5, 3])
    cr.check_grads(lambda a: cr.fixed_point(newton, a, np.ones(2)), (a,), order=2)

    def step(parameters, x):
        return np.tanh(parameters["w"] @ x + parameters["b"])

    w, b = 0.3 * np.random.default_rng(0).normal(size=(3, 3)), X
    cr.check_grads(lambda w, b: cr.fixed_point(step, {"w": w, "b": b}, np.zeros(3)), (w, b), order=2)


def test_fixed_point_errors():
    with pytest.raises(RuntimeError, match="did not converge within 5"):
        cr.fixed_point(lambda a, x: x + a, 1.0, 0.0, max_iter=5)
    v = Variable(np.array(2.0))
    with pytest.raises(TypeError, match="not in a"):
        cr.fixed_point(lambda a, x: newton(v, x), 1.0, 1.0)
    with pytest.raises(ValueError, match="shape"):
        cr.fixed_point(lambda a, x: np.ones(2), 1.0, 1.0)
