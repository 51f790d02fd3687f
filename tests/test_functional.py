"""The functions that NumPy lacks: beside PyTorch's, forward and gradient; and their second derivatives."""

import math

import numpy as np
import pytest
from beside_torch import compare

import chainrule as cr
import chainrule.functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


def parity(*cases):
    """One line a case: an id, our function, PyTorch's, and the shapes of the arguments."""
    return pytest.mark.parametrize(("ours", "theirs", "shapes"), [pytest.param(o, t, s, id=name) for name, o, t, s in cases])


ELEMENTWISE = {
    "relu": (F.relu, TF.relu),
    "leaky_relu": (F.leaky_relu, TF.leaky_relu),
    "leaky_relu 0.3": (lambda x: F.leaky_relu(x, 0.3), lambda x: TF.leaky_relu(x, 0.3)),
    "sigmoid": (F.sigmoid, torch.sigmoid),
    "tanh": (F.tanh, torch.tanh),
    "silu": (F.silu, TF.silu),
    "gelu": (F.gelu, TF.gelu),
    "gelu tanh": (lambda x: F.gelu(x, "tanh"), lambda x: TF.gelu(x, approximate="tanh")),
    "softplus": (F.softplus, TF.softplus),
    "softplus 2": (lambda x: F.softplus(x, 2.0, 1.0), lambda x: TF.softplus(x, 2.0, 1.0)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (3, 4), (0, 2), (2, 1, 3)])
def test_elementwise(name, shape):
    ours, theirs = ELEMENTWISE[name]
    x = 3 * rng.standard_normal(shape)
    compare(ours, theirs, np.asarray(x))
    compare(ours, theirs, np.asarray(x), dtype=np.float32, tolerance=2e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_at_the_extremes(name):
    ours, theirs = ELEMENTWISE[name]
    compare(ours, theirs, np.array([-1e4, -100.0, -30.0, 30.0, 100.0, 1e4]))
    compare(ours, theirs, np.array([-1e4, -100.0, -30.0, 30.0, 100.0, 1e4]), dtype=np.float32, tolerance=2e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_second_derivative(name):
    cr.check_grads(ELEMENTWISE[name][0], (rng.standard_normal((2, 3)),))


@parity(
    ("softmax", F.softmax, lambda x: TF.softmax(x, -1), [(3, 4)]),
    ("softmax dim 1", lambda x: F.softmax(x, 1), lambda x: TF.softmax(x, 1), [(2, 3, 4)]),
    ("softmax dim 0", lambda x: F.softmax(x, dim=0), lambda x: TF.softmax(x, dim=0), [(3,)]),
    ("softmax empty", lambda x: F.softmax(x, 1), lambda x: TF.softmax(x, 1), [(0, 3)]),
    ("log_softmax", lambda x: F.log_softmax(x, 1), lambda x: TF.log_softmax(x, 1), [(2, 3, 4)]),
    ("logsumexp", lambda x: F.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), [(2, 3, 4)]),
    ("logsumexp keepdim", lambda x: F.logsumexp(x, -1, True), lambda x: torch.logsumexp(x, -1, True), [(2, 3)]),
    ("logsumexp axes", lambda x: F.logsumexp(x, (0, -1)), lambda x: torch.logsumexp(x, (0, -1)), [(2, 3, 4)]),
    ("linear", F.linear, TF.linear, [(4, 3), (5, 3), (5,)]),
    ("linear no bias", F.linear, TF.linear, [(4, 3), (5, 3)]),
    ("linear 1-d", F.linear, TF.linear, [(3,), (5, 3), (5,)]),
    ("linear 4-d", F.linear, TF.linear, [(2, 3, 4, 3), (5, 3), (5,)]),
    ("linear empty", F.linear, TF.linear, [(0, 3), (5, 3), (5,)]),
)  # fmt: skip
def test_along_an_axis(ours, theirs, shapes):
    arrays = [rng.standard_normal(s) for s in shapes]
    compare(ours, theirs, *arrays)
    compare(ours, theirs, *arrays, dtype=np.float32, tolerance=2e-5)
    if all(a.size for a in arrays):
        cr.check_grads(ours, arrays)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(shape, padding_idx):
    index = rng.integers(0, 4, shape)
    index = np.asarray(index, np.int32)
    compare(
        lambda w: F.embedding(index, w, padding_idx),
        lambda w: TF.embedding(torch.tensor(index), w, padding_idx),
        rng.standard_normal((4, 3)),
    )
    w = rng.standard_normal((4, 3))
    if index.size and padding_idx is None:
        cr.check_grads(lambda w: np.square(F.embedding(cr.Variable(index), w)), (w,))


def test_embedding_errors():
    with pytest.raises(IndexError, match=r"index 11 at position \(0, 3\); num_embeddings is 10"):
        F.embedding(np.array([[1, 2, 3, 11], [1, 2, 3, 12]]), np.zeros((10, 2)))
    with pytest.raises(IndexError, match=r"index -1 at position \(1,\)"):
        F.embedding(np.array([0, -1]), np.zeros((10, 2)))
    with pytest.raises(TypeError, match="indices are integers, not float64"):
        F.embedding(np.zeros(3), np.zeros((10, 2)))


def test_one_hot():
    index = np.array([[0, 2], [1, 1]])
    np.testing.assert_array_equal(F.one_hot(index), TF.one_hot(torch.tensor(index)).numpy())
    np.testing.assert_array_equal(F.one_hot(cr.Variable(index), 5), TF.one_hot(torch.tensor(index), 5).numpy())
    assert (F.one_hot(index) * np.ones(3, np.float32)).dtype == np.float32
    with pytest.raises(IndexError, match=r"index 2 at position \(0, 1\); num_classes is 2"):
        F.one_hot(index, 2)


def test_linear_takes_a_bias_of_any_order_in_memory_and_refuses_one_of_another_length():
    x, w, b = rng.normal(size=(64, 40)), rng.normal(size=(64, 40)), rng.normal(size=128)
    np.testing.assert_allclose(F.linear(x, w, b[::2]), x @ w.T + b[::2])
    with pytest.raises(ValueError, match="broadcast"):
        F.linear(x, w, b)


def test_linear_error():
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 10\), got \(4, 7\): last axis 7 != in_features 10"):
        F.linear(np.zeros((4, 7)), np.zeros((5, 10)))


def test_gelu_error():
    with pytest.raises(ValueError, match="'none' or 'tanh', not 'erf'"):
        F.gelu(np.zeros(3), "erf")


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, 0.0]])
    np.testing.assert_array_equal(F.logsumexp(x, 1), [-np.inf, 1.0, np.inf])


@pytest.mark.parametrize("shape", [(3, 4), (300, 40)])
def test_logsumexp_gradient_where_nothing_is_summed(shape):
    x = np.zeros(shape)
    x[1], x[2, 0] = -np.inf, -np.inf
    v = cr.Variable(x)
    F.logsumexp(v, 1).backward()
    expected = np.full(shape, 1 / shape[1])
    expected[1], expected[2] = 0, 1 / (shape[1] - 1)
    expected[2, 0] = 0
    np.testing.assert_allclose(v.grad, expected)


def test_sigmoid_keeps_small_values():
    assert math.isclose(F.sigmoid(np.array([-80.0], np.float32))[0], math.exp(-80), rel_tol=1e-6)
