"""Softmax, its relatives and cross entropy by kernels: along any axis, in any order of memory."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule.core.variable import Variable
from chainrule.kernels import loss, softmax
from chainrule.kernels.layer import enabled

SHAPES = [(4, 21, 8, 9), (100, 512), (3, 5, 700), (37, 33, 2), (2, 1000, 65), (1, 7, 300), (6, 40, 16)]


def lying(x):
    """The array in several orders of memory."""
    axes = range(x.ndim)
    for order in (tuple(axes), tuple(axes)[::-1], (0, *range(2, x.ndim), 1)):
        yield np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_axis(shape, dtype, tolerance):
    rng = np.random.default_rng(0)
    close = {"rtol": tolerance, "atol": 5 * tolerance}
    for x in lying((3 * rng.normal(size=shape)).astype(dtype)):
        g, wide = rng.normal(size=shape).astype(dtype), x.astype(np.float64)
        for axis in (*range(x.ndim), -1):
            for name in ("softmax", "log_softmax"):
                function, gradient = getattr(softmax, name), getattr(softmax, name + "_gradient")
                y, expected = function(x, axis), function.reference(wide, axis)
                assert y.dtype == dtype
                np.testing.assert_allclose(y, expected, **close)
                np.testing.assert_allclose(gradient(g, y, axis), gradient.reference(g.astype(float), expected, axis), **close)
            np.testing.assert_allclose(softmax.logsumexp(x, axis), softmax.logsumexp.reference(wide, axis), **close)
            moved = np.moveaxis(x, axis, -1)
            index = rng.integers(moved.shape[-1], size=moved.shape[:-1])
            np.testing.assert_allclose(
                loss.cross_entropy(moved, index), loss.cross_entropy.reference(moved.astype(np.float64), index), **close
            )


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [1, 2])
def test_what_is_not_finite(special, axis):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5, 100)).astype(np.float32)
    x[1, 2, 3] = x[2, :, 4] = x[0, 3, :] = special
    with np.errstate(all="ignore"):
        for function in (softmax.softmax, softmax.log_softmax, softmax.logsumexp):
            np.testing.assert_allclose(function(x, axis), function.reference(x, axis), rtol=1e-5, atol=1e-5)
        moved = np.moveaxis(x, axis, -1)
        index = rng.integers(moved.shape[-1], size=moved.shape[:-1])
        result = loss.cross_entropy(moved, index)
        np.testing.assert_allclose(result, loss.cross_entropy.reference(moved, index), rtol=1e-5, atol=1e-5)
        if enabled():
            g = np.ones_like(result)
            columns, rows = (loss.cross_entropy_gradient(g, result, a, index) for a in (moved, np.ascontiguousarray(moved)))
            np.testing.assert_allclose(columns, rows, rtol=1e-4, atol=1e-5)


def test_no_bit_depends_on_the_number_of_threads():
    x = np.random.default_rng(0).normal(size=(6, 30, 700)).astype(np.float32)
    index = np.random.default_rng(1).integers(30, size=(6, 700))
    before, results = cr.get_num_threads(), []
    for threads in (1, 2, 5):
        cr.set_num_threads(threads)
        for function in (F.softmax, F.log_softmax, F.logsumexp, lambda v, axis: F.cross_entropy(v, index)):
            v = Variable(x)
            y = function(v, 1)
            np.sum(y * y).backward()
            results.append((y.data, v.grad))
    cr.set_num_threads(before)
    for k, other in enumerate(results):
        for a, b in zip(results[k % 4], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 5, 18)])
def test_against_torch(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, index = rng.normal(size=(*shape[:-1], 40)), rng.integers(shape[1], size=(shape[0], *shape[2:-1], 40))
    for channels_last in (False, True):
        v = Variable(np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if channels_last else x)
        t = torch.from_numpy(x).requires_grad_()
        ours, theirs = F.cross_entropy(v, index), torch.nn.functional.cross_entropy(t, torch.from_numpy(index))
        ours.backward()
        theirs.backward()
        np.testing.assert_allclose(ours.data, theirs.item(), rtol=1e-12)
        np.testing.assert_allclose(v.grad, t.grad.numpy(), atol=1e-14)
    cr.check_grads(lambda x: F.softmax(x, 1), [x[:1, :2]])
