"""Reductions of large arrays, which kernels compute, beside NumPy's own."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.variable import Variable
from chainrule.kernels import reduction
from chainrule.kernels.extremum import divided

FUNCTIONS = [np.sum, np.prod, np.mean, np.max, np.min]
CASES = [
    ((20_011,), [None, 0, ()]),
    ((3, 9001), [None, 0, 1, -1, (0, 1)]),
    ((9001, 3), [0, 1]),
    ((123, 77), [0, 1]),
    ((2100, 1, 5), [0, 1, 2, (0, 1), (1, 2)]),
    ((7, 8, 33, 5), [0, 1, 2, 3, (0, 1), (1, 2), (2, 3), (0, 2), (0, 2, 3), (1, 3), (0, 1, 2, 3)]),
]


def same(ours, theirs, dtype):
    ours = ours.data
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 300)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_axes_and_orders_of_memory(function, dtype):
    rng = np.random.default_rng(0)
    for shape, axes in CASES:
        x = (1 + 0.1 * rng.normal(size=shape)).astype(dtype)
        for lying in (x, x.transpose(), np.moveaxis(x, 0, -1)):
            for axis in axes:
                for keepdims in (False, True):
                    expected = function(lying.astype(np.float64), axis=axis, keepdims=keepdims)
                    same(function(Variable(lying), axis=axis, keepdims=keepdims), expected.astype(dtype), dtype)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_what_kernels_leave_to_numpy(function):
    rng = np.random.default_rng(0)
    x = 1 + 0.1 * rng.normal(size=(60, 200))
    where = rng.random((60, 200)) < 0.9
    for given in (
        x[:, ::2],
        x[::-1],
        np.broadcast_to(x[:1], (60, 200)),
        x.astype(np.float16),
        x.astype(">f4"),
        x[:0].reshape(200, 0)[:, None][:0],
    ):
        if given.size or function in (np.sum, np.prod):
            np.testing.assert_array_equal(function(Variable(given)).data, function(given))
            np.testing.assert_array_equal(function(Variable(given), axis=0).data, function(given, axis=0))
    whole = rng.integers(1, 3, size=(60, 200))
    np.testing.assert_array_equal(function(Variable(whole), axis=1).data, function(whole, axis=1))
    assert function(Variable(whole)).dtype == function(whole).dtype
    initial = {} if function is np.mean else {"initial": 1.0}
    np.testing.assert_array_equal(
        function(Variable(x), axis=0, where=where, **initial).data, function(x, axis=0, where=where, **initial)
    )
    if function not in (np.max, np.min):
        assert function(Variable(x.astype(np.float32)), dtype=np.float64).dtype == np.float64
    for axis in (2, -3, (0, 0), (0, 5)):
        with pytest.raises((np.exceptions.AxisError, ValueError)):
            function(Variable(x), axis=axis)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinities(function, dtype):
    rng = np.random.default_rng(0)
    for special in ([np.nan], [-np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [np.nan, -np.inf], [np.nan, np.inf], [-0.0]):
        for axis in (None, 0, 1):
            x = 1 + 0.1 * rng.normal(size=(130, 101)).astype(dtype)
            x[rng.integers(130, size=len(special)), rng.integers(101, size=len(special))] = special
            with np.errstate(invalid="ignore"):
                same(function(Variable(x), axis=axis), function(x, axis=axis), dtype)
    for value in (np.inf, -np.inf, np.nan, -1.0):
        x = np.full((130, 101), value, dtype)
        with np.errstate(over="ignore"):
            same(function(Variable(x), axis=1), function(x, axis=1), dtype)
            same(function(Variable(x), axis=0), function(x, axis=0), dtype)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_no_bit_depends_on_the_number_of_threads(function):
    x = np.random.default_rng(0).normal(size=(700, 300)).astype(np.float32)
    before, results = cr.get_num_threads(), []
    for threads in (1, 2, 5):
        cr.set_num_threads(threads)
        results.append([function(Variable(x), axis=axis).data for axis in (None, 0, 1)])
    cr.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_long_sum_is_as_accurate_as_numpys():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        ours = theirs = 0.0
        for _ in range(50):
            x = rng.normal(size=100_003).astype(dtype)
            exact = np.sum(x.astype(np.longdouble))
            ours += float((reduction.total(x) - exact) ** 2)
            theirs += float((np.sum(x) - exact) ** 2)
        assert ours < 3 * theirs  # their squares, of which there are few


def test_gradients_of_large_reductions():
    x = 1 + 0.1 * np.random.default_rng(0).normal(size=(90, 100))
    for function in (np.sum, np.mean, np.max, np.min):
        v = Variable(x)
        np.sum(function(v, axis=0) ** 2).backward()
        expected = 2 * function(x, axis=0) * (1.0 if function is np.sum else 1 / 90 if function is np.mean else 1.0)
        chosen = (x == function(x, axis=0)) if function in (np.max, np.min) else np.ones(x.shape)
        np.testing.assert_allclose(v.grad, chosen * expected, rtol=1e-12)
    cr.check_grads(lambda x: np.mean(np.sum(x, axis=1) ** 2), [x[:, :4]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape, axes",
    [
        ((1000, 10), (1,)), ((1, 200_000), (1,)), ((20_000, 3), (0,)), ((3, 100, 70), (1,)), ((3, 100, 70), (1, 2)),
        ((3, 100, 70), (0, 1)), ((3, 100, 70), (0, 1, 2)), ((3, 100, 70), (0, 2)), ((2, 5000, 1, 3), (1, 2)), ((4, 9000, 0), (1,)),
    ],
)  # fmt: skip
def test_an_extremum_is_shared_by_its_elements(shape, axes, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    for values in (x, np.round(2 * x), np.where(rng.uniform(size=shape) < 1e-3, dtype(np.nan), np.round(x))):
        extreme = np.max(values, axis=axes, keepdims=True)
        g = rng.normal(size=extreme.shape).astype(dtype)
        ties = np.sum(values == extreme, axis=axes, keepdims=True)
        expected = np.where(values == extreme, g / np.maximum(ties, 1), 0)
        for version in (divided, divided.reference):
            found = version(g, extreme, values)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_element_that_lost_to_the_initial_value_gets_nothing():
    v = Variable(np.array([[1.0, 1.0], [-2.0, -3.0]]))
    np.max(v, axis=1, initial=0.0).sum().backward()  # as many equal elements as maxima, but not one each
    np.testing.assert_array_equal(v.grad, [[0.5, 0.5], [0.0, 0.0]])
