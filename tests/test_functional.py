"""The functions that NumPy lacks: beside PyTorch's, forward and gradient; and their second derivatives."""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


def compare(ours, theirs, *arrays, dtype=np.float64, tolerance=1e-10):
    """Ours on Variables and theirs on tensors, of the same arrays: results, dtypes, and gradients for one random cotangent."""
    arrays = [a.astype(dtype) for a in arrays]
    xs = [cr.Variable(a.copy()) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.shape == tuple(t.shape)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, t.detach().numpy(), tolerance, tolerance)
    plain = ours(*arrays)
    assert not isinstance(plain, cr.Variable)
    np.testing.assert_array_equal(plain, y.data)
    g = rng.standard_normal(y.shape).astype(dtype)
    y.grad = g
    y.backward()
    t.backward(torch.tensor(g))
    for x, u in zip(xs, ts, strict=True):
        if u.grad is None:
            assert x.grad is None
            continue
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad, u.grad.numpy(), tolerance, tolerance)


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


CONVOLUTIONS = {
    "plain": ((2, 3, 7, 8), (4, 3, 3, 3), {}),
    "padding": ((2, 3, 7, 8), (4, 3, 3, 3), {"padding": 1}),
    "one pixel": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "not square": ((2, 2, 7, 9), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
    "stride": ((2, 3, 9, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride beyond the kernel": ((2, 3, 9, 8), (4, 3, 2, 2), {"stride": 3}),
    "wide padding": ((2, 2, 4, 4), (3, 2, 2, 2), {"padding": 3}),
    "dilation": ((1, 2, 9, 9), (3, 2, 3, 2), {"dilation": (2, 3), "padding": 2}),
    "groups": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "groups and stride": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1, "stride": 2}),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "same": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "same"}),
    "same dilated": ((2, 2, 6, 5), (3, 2, 2, 4), {"padding": "same", "dilation": 2}),
    "valid": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "valid"}),
    "batch of one": ((1, 1, 3, 3), (1, 1, 3, 3), {}),
    "empty batch": ((0, 2, 5, 5), (3, 2, 3, 3), {"padding": 1}),
    "everything": ((2, 4, 11, 9), (6, 2, 3, 2), {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2), "groups": 2}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d(case):
    x, weight, options = CONVOLUTIONS[case]
    arrays = [rng.standard_normal(s) for s in (x, weight, weight[:1])]

    def ours(x, w, b=None):
        return F.conv2d(x, w, b, **options)

    def theirs(x, w, b=None):
        return TF.conv2d(x, w, b, **options)

    compare(ours, theirs, *arrays)
    compare(ours, theirs, *arrays[:2])
    compare(ours, theirs, *arrays, dtype=np.float32, tolerance=2e-5)
    channels_last = arrays[0].transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    np.testing.assert_allclose(ours(channels_last, *arrays[1:]), ours(*arrays))


@pytest.mark.parametrize("case", ["padding", "not square", "dilation", "groups", "groups and stride", "same"])
def test_conv2d_second_derivative(case):
    x, weight, options = CONVOLUTIONS[case]
    arrays = [rng.standard_normal(s) for s in ((1, *x[1:]), weight, weight[:1])]
    cr.check_grads(lambda x, w, b: np.square(F.conv2d(x, w, b, **options)), arrays)


def test_conv2d_is_the_same_for_any_number_of_blocks():
    x, w = rng.standard_normal((40, 16, 33, 31)).astype(np.float32), rng.standard_normal((8, 16, 3, 3)).astype(np.float32)
    compare(
        lambda x, w: F.conv2d(x, w, padding=1), lambda x, w: TF.conv2d(x, w, padding=1), x, w, dtype=np.float32, tolerance=5e-3
    )


def test_conv2d_result_is_channels_last_in_memory_and_stays_so():
    x, w = cr.Variable(rng.standard_normal((2, 3, 8, 8))), rng.standard_normal((4, 3, 3, 3))
    y = F.conv2d(x, w, padding=1)
    for z in (y, F.relu(y), F.max_pool2d(y, 2), F.batch_norm(y, None, None, training=True)):
        assert z.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_conv2d_computes_no_gradient_that_is_not_needed():
    w = cr.Variable(rng.standard_normal((4, 3, 3, 3)))
    y = F.conv2d(rng.standard_normal((2, 3, 8, 8)), w)
    assert len(y.creator.edges) == 1


@pytest.mark.parametrize(
    ("x", "weight", "options", "message"),
    [
        ((8, 28, 28, 3), (4, 3, 3, 3), {}, r"28 != in_channels 3; this looks like NHWC; use x.transpose\(0, 3, 1, 2\)"),
        ((8, 5, 28, 28), (4, 3, 3, 3), {}, r"expected \(N, 3, H, W\), got \(8, 5, 28, 28\): axis 1 has 5 != in_channels 3$"),
        ((3, 28, 28), (4, 3, 3, 3), {}, r"use x\[None\]"),
        ((1, 3, 2, 2), (4, 3, 3, 3), {}, r"covers \(3, 3\) and does not fit into the image \(2, 2\)"),
        ((1, 6, 4, 4), (4, 2, 3, 3), {"groups": 3}, "4 output channels cannot be divided into 3 groups"),
        ((1, 3, 4, 4), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "needs stride 1"),
        ((1, 3, 4, 4), (4, 3, 3, 3), {"padding": "full"}, "not 'full'"),
    ],
)  # fmt: skip
def test_conv2d_errors(x, weight, options, message):
    with pytest.raises(ValueError, match=message):
        F.conv2d(np.zeros(x), np.zeros(weight), **options)


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


def test_linear_error():
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 10\), got \(4, 7\): last axis 7 != in_features 10"):
        F.linear(np.zeros((4, 7)), np.zeros((5, 10)))


def test_gelu_error():
    with pytest.raises(ValueError, match="'none' or 'tanh', not 'erf'"):
        F.gelu(np.zeros(3), "erf")


def test_dropout():
    x = cr.Variable(np.ones((100, 100), np.float32))
    cr.random.manual_seed(0)
    y = F.dropout(x, 0.3)
    assert y.dtype == np.float32
    assert abs(np.mean(y.data == 0) - 0.3) < 0.02
    np.testing.assert_allclose(y.data[y.data != 0], 1 / 0.7, 1e-6)
    y.backward()
    np.testing.assert_array_equal(x.grad, y.data)
    cr.random.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(x.data, 0.3), y.data)
    assert F.dropout(x, 0.3, training=False) is x
    assert not F.dropout(x.data, 1.0).any()
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(x, 1.5)


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, 0.0]])
    np.testing.assert_array_equal(F.logsumexp(x, 1), [-np.inf, 1.0, np.inf])


def test_sigmoid_keeps_small_values():
    assert math.isclose(F.sigmoid(np.array([-80.0], np.float32))[0], math.exp(-80), rel_tol=1e-6)
