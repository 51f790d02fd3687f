"""Gradients of parts: of what is indexed, and of arrays that were joined."""

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import Variable
from chainrule.core import arrays

X = np.arange(12.0).reshape(4, 3) / 10 + 0.15
MASK = X > 0.5


def of_parts(x):
    return (
        np.sum(x[0] * x[-1])
        + np.sum(x[::-1] * x)
        + np.sum(x[1:, None, 2] ** 2)
        + np.sum(np.sin(x)[..., 1])
        + np.sum(x[MASK] ** 3)
        + x[1, 2] * x[1, 2] * x[np.int64(3), 0]
        + np.sum(x[[0, 0, 1]] ** 2)
    )


def test_each_kind_of_index_to_second_order_both_ways():
    cr.check_grads(of_parts, (X,))


@pytest.mark.parametrize("f", [lambda x: x, lambda x: 2 * x, lambda x: np.split(x, 2)[1], lambda x: np.modf(x)[0]])
def test_parts_of_leaves_results_and_outputs_beside_the_whole(f):
    def before(x):
        y = f(x)
        return np.sum(y[0]) + np.sum(y[1] ** 2) + np.sum(y**2)

    def after(x):
        y = f(x)
        return np.sum(np.exp(np.exp(y))) + np.sum(y[0]) + np.sum(y[1] ** 2)

    cr.check_grads(before, (X,))
    cr.check_grads(after, (X,))


def test_a_loop_over_elements_makes_one_array(monkeypatch):
    made = []
    zeros = arrays.zeros
    monkeypatch.setattr(arrays, "zeros", lambda *args: made.append(args) or zeros(*args))
    x = Variable(np.arange(100.0))
    sum(x[i] * x[i] for i in range(100)).backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)
    assert len(made) == 1


def test_parts_are_added_to_no_array_that_another_sees():
    x, w = Variable(np.ones(3)), Variable(np.ones(3))
    y = x + w  # both receive the very same gradient
    z = np.sum(y * np.array([1.0, 2.0, 3.0])) + x[0] + x[1] + np.sum(w[1:])
    z.backward()
    np.testing.assert_array_equal(x.grad, [2, 3, 3])
    np.testing.assert_array_equal(w.grad, [1, 3, 4])

    x, seed = Variable(np.ones(3)), np.ones(3)
    y = x[:]
    y.grad = seed
    y.backward()
    x.grad[0] = 7
    np.testing.assert_array_equal(seed, 1)


def test_parts_of_a_number():
    x = Variable(np.array(2.0))
    (x[()] * x + np.sum(x[None] * x[...]) + x * x).backward()
    assert type(x.grad) is np.ndarray
    np.testing.assert_array_equal(x.grad, 12)


def test_gradients_are_added_into_no_array_of_a_users():
    kept = np.full(3, 5.0)

    class Constant(cr.Function):
        def forward(self, x):
            return x + 1

        def backward(self, g):
            return kept

    for f in (lambda x: np.sum(Constant()(x)) + np.sum(x * x), lambda x: np.sum(np.exp(x)) + np.sum(Constant()(x))):
        x = Variable(np.zeros(3))
        f(x * 2 + 0).backward()
        assert np.all(x.grad >= 10)
        np.testing.assert_array_equal(kept, 5)


def test_many_uses_of_a_result_are_added_in_place():
    x = Variable(np.ones(100_000))
    y = x * 1
    z = np.sum(y * y) + np.sum(np.exp(y)) + np.sum(y**3) + np.sum(np.sin(y))
    tracemalloc.start()
    z.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(x.grad, 2 + np.e + 3 + np.cos(1))
    assert peak < 5 * x.nbytes


def test_taken_elements_are_in_c_order():
    assert np.take(Variable(X), [[0, 2], [1, 1]], axis=1).data.flags.c_contiguous


@pytest.mark.parametrize("size", [3, 3000])  # by filling, and by writing into zeros
def test_extrema_of_few_and_many(size):
    a = np.random.default_rng(0).permutation(4 * size).reshape(4, size).astype(float)
    x = Variable(a)
    np.sum(np.max(x, axis=1) * np.arange(1.0, 5.0)).backward()
    np.testing.assert_array_equal(x.grad, (a == a.max(1, keepdims=True)) * np.arange(1.0, 5.0)[:, None])
    a[0, 0], a[1], a[2, :2] = np.nan, a[1].max(), a[2].max()  # none is equal to a NaN, and others tie
    x = Variable(a)
    np.sum(np.max(x, axis=1)).backward()
    np.testing.assert_allclose(x.grad.sum(1), [0, 1, 1, 1])
    np.testing.assert_array_equal(x.grad[2, :2], x.grad[2].max())
    x = Variable(np.array([[1.0, 1.0], [2.0, 3.0]]))
    np.sum(np.max(x, axis=1, initial=2.5)).backward()
    np.testing.assert_array_equal(x.grad, [[0, 0], [0, 1]])


def test_retained_gradients_of_what_is_indexed_are_whole():
    x = Variable(np.ones(3))
    y = x * 2
    first = y[0]
    (first * 3 + y[0] + y[2]).backward(retain_grad=True)
    np.testing.assert_array_equal(y.grad, [4, 0, 1])
    np.testing.assert_array_equal(first.grad, 3)
    np.testing.assert_array_equal(x.grad, [8, 0, 2])


def test_parts_take_the_dtype_of_the_whole():
    n = Variable(np.array([1, 2, 3]))
    (n[0] * 2.5 + n[0]).backward()
    assert n.grad.dtype == np.float64
    np.testing.assert_array_equal(n.grad, [3.5, 0, 0])
    x = Variable(np.ones(2, np.float32))
    np.sum(np.real(x[:1] * np.array([1 + 2j])) + x[1:] * np.float64(3)).backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [1, 3])


def test_debug_mode_looks_into_parts():
    x = Variable(np.zeros(3))
    with cr.using_config("debug", True), np.errstate(all="ignore"):
        y = np.sqrt(x[1])
        with pytest.raises(FloatingPointError, match="np.sqrt"):
            y.backward()


# ---- joined arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_joined_arrays_beside_constants_and_themselves(axis):
    def joined(x, y):
        return np.sin(np.concatenate([x, X, y**2, x], axis=axis))

    cr.check_grads(joined, (X, X + 1))
    if axis is not None:
        cr.check_grads(lambda x, y: np.sin(np.stack([x, X, y**2, x], axis=axis)), (X, X + 1))


def test_joined_numbers_lists_and_rows():
    x = Variable(np.array(2.0))
    y = np.stack([x, 1.0, np.float64(3), x * x])
    (y * np.array([1.0, 2, 3, 4])).sum().backward()
    np.testing.assert_array_equal(x.grad, 17)
    rows = Variable(X)
    np.testing.assert_array_equal(np.concatenate(rows).data, X.reshape(-1))
    np.testing.assert_array_equal(np.concatenate([rows, [[1.0, 2.0, 3.0]]]).data[-1], [1, 2, 3])


def test_joined_constants_are_constants():
    x = Variable(X, requires_grad=False)
    assert np.concatenate([x, x]).creator is None
    with cr.no_grad():
        assert np.stack([Variable(X)]).creator is None


def test_data_that_changes_after_a_sequence_was_read_is_an_error():
    x = cr.Parameter(np.ones(2))
    y = np.einsum("i,i->", x, np.ones(2)) * np.einsum("i,i->", x, x)
    with cr.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_a_derivative_of_a_sequence_gives_all_at_once_or_each_by_its_position():
    def total(xs, scale=1.0):
        return scale * sum(x**2 for x in xs)

    each, every = cr.primitive(total), cr.primitive(total)
    cr.define_rule(each, xs=lambda g, i, xs, scale: g * scale * 2 * xs[i])
    cr.define_rule(every, xs=lambda g, xs, xs_shapes, scale: [g * scale * 2 * x for x in xs])
    for function in (each, every):
        cr.check_grads(lambda a, b, f=function: f([a, X, b], scale=3.0), (X, X + 1))
    weighted = cr.primitive(lambda xs, w: w * sum(xs))  # beside another input: the general way
    cr.define_rule(weighted, xs=lambda g, xs_shapes, w: [g * w for _ in xs_shapes], w=lambda g, xs: np.sum(g * sum(xs)))
    cr.check_grads(lambda a, b, w: weighted([a, X, b], w), (X, X + 1, np.array(2.0)))
