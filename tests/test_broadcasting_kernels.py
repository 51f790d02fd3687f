"""Element-wise kernels of arrays that broadcast, choosing, lines along an axis and variances: beside NumPy and PyTorch."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.kernels.arithmetic import _OF_NUMBERS, in_used_memory
from chainrule.kernels.selection import where

rng = np.random.default_rng(0)


def random(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def pairs(dtype):
    """Arrays that broadcast in each way that loops tell apart, and in ways that they leave to NumPy."""
    x, y = random(50, 100, dtype=dtype), random(50, 100, dtype=dtype)
    images = random(5, 10, 10, 10, dtype=dtype)
    return [
        (x, y), (x, y[0]), (y[0], x), (x, y[:, :1]), (x[:, :1], y), (x[:, :1], y[:1]), (x, y[0, 0].reshape(())), (x.T, y.T),
        (x, y.reshape(100, 50).T), (x[:, :60], y[:, 40:]), (x[:, ::2], y[:, 1::2]), (x[::-1], y), (x[:, ::-1], y),
        (images, y[0, :10].reshape(10, 1, 1)), (images, y[:5, :10].reshape(5, 10, 1, 1)),
        (images.transpose(0, 3, 1, 2), y[0, :10].reshape(10, 1, 1)), (images.transpose(0, 3, 1, 2), images),
        (x.reshape(5, 10, 100), y[:10].reshape(10, 100)), (x.reshape(5, 10, 100), np.broadcast_to(y[:1], (10, 100))),
        (x[None, :20], y[:20, None]), (x.reshape(-1, 2), y[0, :2]), (x[:, None, None], y[:1, :, None][:, :5]), (x[:0], y[0]),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_functions_broadcast(dtype):
    for x, y in pairs(dtype):
        got, want = in_used_memory(np.add)(x, y), x + y
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("ufunc", _OF_NUMBERS, ids=lambda f: f.__name__)
def test_loops_of_ufuncs(ufunc):
    x, y = random(50, 100), random(100)
    x[0, :5] = np.nan, np.inf, -np.inf, 0.0, -0.0
    y[1:3] = np.inf, np.nan
    arguments = (x,) if ufunc.nin == 1 else (x, y)
    with np.errstate(all="ignore"):
        want = ufunc(*(a.astype(np.float64) for a in arguments)).astype(np.float32)
        np.testing.assert_allclose(in_used_memory(ufunc)(*arguments), want, rtol=4e-7)


def test_shapes_that_do_not_broadcast_are_numpys_error():
    with pytest.raises(ValueError, match="broadcast"):
        cr.Variable(random(200, 100)) + random(99)


def test_where_is_numpys():
    x, y, mask = random(50, 100), random(50, 100), rng.random((50, 100)) > 0.5
    others = (y, 0.0, 1, y[0], np.float32(2), np.float64(2), np.ones(1))
    for a, b in [(x, other) for other in others] + [(other, x) for other in others]:
        for condition in (mask, mask[0], mask[:, :1]):
            got, want = where(condition, a, b), np.where(condition, a, b)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


@pytest.fixture(scope="module")
def compare():
    torch = pytest.importorskip("torch")

    def compare(ours, theirs, *shapes, tolerance=1e-4):
        arrays = [random(*shape) for shape in shapes]
        xs, ts = [cr.Variable(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
        y, t = ours(*xs), theirs(torch, *ts)
        np.testing.assert_allclose(y.data, t.detach().numpy(), tolerance, tolerance)
        y.grad = random(*y.shape)
        t.backward(torch.tensor(y.grad))
        y.backward()
        for x, u in zip(xs, ts, strict=True):
            np.testing.assert_allclose(x.grad, u.grad.numpy(), 10 * tolerance, 10 * tolerance)

    return compare


@pytest.mark.parametrize("shape", [(4, 6), (80, 300)], ids=str)
def test_broadcast_gradients(compare, shape):
    for other in (shape[1:], (shape[0], 1), (1,)):
        for name in ("add", "subtract", "multiply", "divide", "maximum"):
            compare(getattr(np, name), lambda torch, x, y, name=name: getattr(torch, name)(x, y), shape, other, tolerance=1e-3)
    compare(lambda x, y: np.where(x.data > 0, x, y), lambda torch, x, y: torch.where(x > 0, x, y), shape, shape[1:])
    compare(lambda x: x**3, lambda torch, x: x**3, shape)
    for low, high in ((-1.0, 0.5), (None, 0.5), (0, None)):
        compare(lambda x: np.clip(x, low, high), lambda torch, x: torch.clip(x, low, high), shape)  # noqa: B023
    compare(F.prelu, lambda torch, x, w: torch.nn.functional.prelu(x, w), shape, shape[1:])
    compare(lambda x: F.glu(x, 0), lambda torch, x: torch.nn.functional.glu(x, 0), shape)


@pytest.mark.parametrize("shape", [(6, 5, 4), (60, 50, 40), (61, 700, 1)], ids=str)
def test_lines_along_an_axis(compare, shape):
    for axis in range(len(shape)):
        index = rng.integers(-shape[axis], shape[axis], size=16)
        place = index % shape[axis]
        at = (slice(None),) * axis
        compare(lambda x: np.cumsum(x, axis=axis), lambda torch, x: x.cumsum(axis), shape)  # noqa: B023
        compare(
            lambda x: np.take(x, index, axis=axis),  # noqa: B023
            lambda torch, x: x.index_select(axis, torch.tensor(place)),  # noqa: B023
            shape,
        )
        compare(
            lambda x: x[(*at, index.reshape(4, 4))],  # noqa: B023
            lambda torch, x: x[(*at, torch.tensor(place.reshape(4, 4)))],  # noqa: B023
            shape,
        )
        for k in (1, 9):
            each = rng.integers(shape[axis], size=[k if a == axis else n for a, n in enumerate(shape)])
            compare(
                lambda x: np.take_along_axis(x, each, axis=axis),  # noqa: B023
                lambda torch, x: x.gather(axis, torch.tensor(each)),  # noqa: B023
                shape,
            )


@pytest.mark.parametrize("shape", [(6, 5, 4), (60, 50, 40)], ids=str)
def test_variances_and_norms(compare, shape):
    for axis in (0, 1, 2, (0, 2), (0, 1, 2)):
        for ddof in (0, 1):
            compare(
                lambda x: np.var(x, axis=axis, ddof=ddof),  # noqa: B023
                lambda torch, x: torch.var(x, dim=axis, correction=ddof),  # noqa: B023
                shape,
            )
        compare(lambda x: np.std(x, axis=axis), lambda torch, x: torch.std(x, dim=axis, correction=0), shape)  # noqa: B023
        compare(
            lambda x: np.linalg.vector_norm(x, axis=axis),  # noqa: B023
            lambda torch, x: torch.linalg.vector_norm(x, dim=axis),  # noqa: B023
            shape,
        )


def test_a_variance_far_from_zero_is_precise():
    x = random(200, 100) + 1000
    np.testing.assert_allclose(np.var(cr.Variable(x)).data, x.astype(np.float64).var(), rtol=1e-5)


@pytest.mark.parametrize("index", [100, -101])
def test_an_index_out_of_bounds_is_an_error(index):
    x = cr.Variable(random(100, 100))
    for call in (
        lambda: x[np.array([1, index])],
        lambda: np.take(x, np.array([index]), axis=1),
        lambda: np.take_along_axis(x, np.full((1, 100), index), axis=0),
    ):
        with pytest.raises(IndexError):
            call()


def test_derivatives():
    x, index = rng.normal(size=(3, 4)), np.array([[0, 0], [1, 3], [2, 1]])
    for f in (
        lambda x: np.take_along_axis(x, index, axis=1), lambda x: np.cumsum(x, axis=1), lambda x: x[:, np.array([0, 0, 1])],
        lambda x: np.sort(x, axis=0), lambda x: np.var(x, axis=1), lambda x: np.std(x), lambda x: np.clip(x, -0.5, 0.5),
        lambda x: x**3, F.glu, F.hardshrink, F.softshrink, F.hardsigmoid, F.softsign, F.tanhshrink, F.logsigmoid,
        lambda x: F.threshold(x, 0.1, 2.0), lambda x: np.var(x, axis=0, where=np.arange(3)[:, None] < 2),
    ):  # fmt: skip
        cr.check_grads(f, [x])
    cr.check_grads(F.prelu, [x, np.array([0.1, 0.2, 0.3, 0.4])])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(3000, 400), (50, 400), (0, 400)], 0), ([(0, 400), (3000, 400), (0, 400), (5, 400)], 0),
        ([(3000, 400), (3000, 0), (3000, 77)], 1), ([(30, 400, 70), (30, 1, 70)], 1), ([(2_000_000,), (7,)], -1),
        ([(3, 50_000), (3, 20_001), (3, 0), (3, 99_999)], 1), ([(300_000, 1), (300_000, 1)], 1),
    ],
)  # fmt: skip
def test_large_arrays_are_joined(shapes, axis, dtype):
    arrays = [np.random.default_rng(0).normal(size=shape).astype(dtype) for shape in shapes]
    for given in (arrays, [np.asfortranarray(a) for a in arrays]):
        joined = np.concatenate([cr.Variable(a) for a in given], axis)
        np.testing.assert_array_equal(joined.data, np.concatenate(given, axis))
