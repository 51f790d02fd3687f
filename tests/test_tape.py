"""The tape's contract, one test for each promise."""

import asyncio
import copy
import gc
import pickle
import threading
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import Function, Variable
from chainrule.core import memory


def var(value, dtype=float, **options):
    return Variable(np.array(value, dtype=dtype), **options)


class Square(Function):
    def forward(self, x):
        return x**2

    def backward(self, gy):
        x = self.inputs[0].data
        return 2 * x * gy


class SumAndProduct(Function):
    def forward(self, x, y):
        return x + y, x * y

    def backward(self, gs, gp):
        x, y = (v.data for v in self.inputs)
        return gs + gp * y, gs + gp * x


# ---- what a Variable is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [1.0, [1.0, 2.0], np.float32(1), (1, 2), "text"])
def test_variable_takes_arrays_only_and_says_how_to_convert(data):
    with pytest.raises(TypeError, match="as_array"):
        Variable(data)


def test_variable_refuses_what_has_no_derivative():
    with pytest.raises(TypeError, match="dtype"):
        Variable(np.array(["a"]))
    with pytest.raises(TypeError, match="dtype object"):
        Variable(np.array([None]))
    with pytest.raises(TypeError, match="Variable"):
        Variable(var(1.0))


def test_variable_may_wait_for_its_data():
    x = Variable(None, name="late")
    assert repr(x) == "Variable(None, name='late')"
    x.data = np.ones(3)
    (x * 2).backward()
    np.testing.assert_array_equal(x.grad, [2, 2, 2])


def test_arrays_are_constants():
    x, a = var([1.0, 2.0]), np.array([3.0, 4.0])
    for y in (a * x, x * a):
        assert type(y) is Variable
        assert len(y.creator.edges) == 1
        x.reset_grad()
        y.backward()
        np.testing.assert_array_equal(x.grad, a)


def test_frozen_parameter_gets_no_gradient():
    w, frozen = cr.Parameter(np.ones(2)), cr.Parameter(np.ones(2), requires_grad=False)
    (w * frozen).backward()
    assert frozen.grad is None
    np.testing.assert_array_equal(w.grad, [1, 1])
    w.requires_grad = False
    with pytest.raises(RuntimeError, match="constants"):
        (w * frozen).backward()
    with pytest.raises(RuntimeError, match="detach"):
        (var(1.0) * 2).requires_grad = False


def test_only_needed_gradients_are_computed():
    asked = []

    class Product(Function):
        def forward(self, x, y):
            return x * y

        def backward(self, gy):
            asked.append(self.needs_input_grad)
            x, y = (v.data for v in self.inputs)
            return gy * y, gy * x

    x = var(2.0)
    Product()(x, np.array(3.0)).backward()
    assert asked == [(True, False)]


def test_repr_format_and_conversions():
    x = var([1.0, 2.5], name="x")
    assert repr(x) == "Variable([1. , 2.5], name='x')"
    assert f"{var(2.0):.3f}" == "2.000"
    assert (float(var(2.0)), int(var(2.0)), complex(var(2.0)), bool(var(0.0))) == (2.0, 2, 2 + 0j, False)
    assert x.tolist() == [1.0, 2.5]
    assert (len(x), x.shape, x.ndim, x.size, x.nbytes) == (2, (2,), 1, 2, 16)
    assert 2.5 in x


# ---- backward: where it starts, what it leaves ----------------------------------------------------------


def test_backward_on_a_leaf_is_an_error():
    with pytest.raises(RuntimeError, match="leaf"):
        var(1.0).backward()


def test_backward_after_no_grad_is_an_error():
    with cr.no_grad():
        y = var(1.0) * 2
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_backward_starts_from_ones_or_from_the_gradient_that_was_set():
    x = var([1.0, 2.0])
    y = x * 3
    y.grad = np.array([1.0, 10.0])
    y.backward()
    np.testing.assert_array_equal(x.grad, [3, 30])
    with pytest.raises(ValueError, match="shape"):
        y.grad = np.ones(3)


def test_gradient_set_on_an_intermediate_is_where_its_own_backward_starts_and_nothing_else():
    x = var(2.0)
    h = x * x
    y = h * 5
    h.grad = np.array(7.0)
    y.backward(retain_graph=True)
    assert x.grad == 20.0
    assert h.grad == 7.0
    x.reset_grad()
    h.backward()
    assert x.grad == 28.0


def test_leaves_accumulate_until_reset():
    x = var(3.0)
    for times in (1, 2, 3):
        (x * x).backward()
        assert x.grad == 6.0 * times
    x.reset_grad()
    assert x.grad is None


def test_retain_grad_is_exact_after_two_calls():
    x = var(2.0)
    h = x * x
    z = h * h
    for times in (1, 2):
        z.backward(retain_grad=True, retain_graph=True)
        assert (float(x.grad), float(h.grad), float(z.grad)) == (32.0 * times, 8.0, 1.0)


def test_intermediate_gradients_are_dropped_by_default():
    x = var(2.0)
    h = x * x
    z = h * h
    z.backward()
    assert h.grad is None
    assert z.grad is None


def test_second_backward_names_retain_graph():
    x = var(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    assert x.grad == 4.0


def test_gradient_is_an_array_or_with_create_graph_a_variable():
    x = var([1.0, 2.0])
    np.sum(x**3).backward()
    assert type(x.grad) is np.ndarray
    x.reset_grad()
    np.sum(x**3).backward(create_graph=True)
    assert type(x.grad) is Variable
    g = x.grad
    x.reset_grad()
    np.sum(g).backward()
    np.testing.assert_allclose(x.grad, [6.0, 12.0])


def test_create_graph_makes_variables_even_of_constant_gradients():
    x = var([1.0, 2.0])
    np.sum(x).backward(create_graph=True)
    assert type(x.grad) is Variable
    np.testing.assert_array_equal(x.grad.data, [1, 1])


def test_third_derivative():
    x = var(2.0)
    y = np.sin(x)
    for expected in (np.cos(2.0), -np.sin(2.0), -np.cos(2.0), np.sin(2.0)):
        x.reset_grad()
        y.backward(create_graph=True)
        y = x.grad
        np.testing.assert_allclose(y.data, expected, rtol=1e-12)


def test_zero_dimensional_results_and_gradients_are_arrays():
    x = var(2.0)
    y = np.sin(x) * x + np.sum(x)
    assert type(y.data) is np.ndarray
    y.backward(retain_grad=True)
    assert type(x.grad) is np.ndarray
    assert x.grad.shape == ()
    (x * x).backward()
    assert type(x.grad) is np.ndarray


def test_same_variable_twice_and_gradients_that_alias():
    x = var([1.0, 2.0])
    (x + x).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])
    a, b = var([1.0, 2.0]), var([3.0, 4.0])
    y = a + b
    seed = np.array([1.0, 1.0])
    y.grad = seed
    y.backward(retain_grad=True)
    a.grad *= 10
    np.testing.assert_array_equal(b.grad, [1, 1])
    np.testing.assert_array_equal(y.grad, [1, 1])
    np.testing.assert_array_equal(seed, [1, 1])
    c = var(np.arange(6.0).reshape(2, 3))
    d = c.reshape(6)
    d.grad = np.ones(6)
    d.backward()
    c.grad += 1
    np.testing.assert_array_equal(d.grad, np.ones(6))


def test_many_uses_of_one_leaf_accumulate_exactly():
    x = var([1.0, 2.0])
    y = x
    for _ in range(10):
        y = y + x * 2
    y.backward()
    np.testing.assert_array_equal(x.grad, [21, 21])


def test_broadcasting_is_undone():
    a, b, c = var(np.ones((3, 4))), var(np.ones(4)), var(np.ones((3, 1)))
    (a * b + c).backward()
    assert (a.grad.shape, b.grad.shape, c.grad.shape) == ((3, 4), (4,), (3, 1))
    np.testing.assert_array_equal(b.grad, [3, 3, 3, 3])
    np.testing.assert_array_equal(c.grad, [[4], [4], [4]])
    assert var(1.0).shape == ()
    s = var(2.0)
    (s * a).backward()
    assert s.grad == 12.0


def test_generation_order_on_a_diamond():
    x = var(2.0)
    a = x**2
    y = a**2 + a**2
    y.backward()
    assert x.grad == 64.0
    assert (x.generation, a.generation) == (0, 1)


def test_calls_of_one_generation_are_visited_in_the_order_in_which_they_are_reached():
    visited = []

    class Noted(Function):
        def __init__(self, place):
            self.place = place

        def forward(self, x):
            return x + 1

        def backward(self, gy):
            visited.append(self.place)
            return gy

    x = var([1.0])
    made = {place: Noted(place)(x) for place in np.random.default_rng(0).permutation(30).tolist()}
    np.concatenate([made[place] for place in range(30)]).sum().backward()
    assert visited == list(range(30))


# ---- functions ------------------------------------------------------------------------------------------


def test_one_function_object_called_twice():
    f = Square()
    x, y = var(3.0), var(4.0)
    (f(x) * f(y)).backward()
    assert (float(x.grad), float(y.grad)) == (6 * 16, 8 * 9)


@pytest.mark.parametrize(("use", "expected"), [("both", (45, 24)), ("sum", (1, 1)), ("product", (5, 2))])
def test_function_with_two_outputs(use, expected):
    x, y = var(2.0), var(5.0)
    s, p = SumAndProduct()(x, y)
    result = {"both": lambda: s * p, "sum": lambda: s, "product": lambda: p}[use]()
    if use == "product":
        del s  # garbage-collected before the walk
    result.backward()
    assert (float(x.grad), float(y.grad)) == expected


def test_two_outputs_walked_from_both_and_retained():
    x, y = var(2.0), var(5.0)
    s, p = SumAndProduct()(x, y)
    (s * 2 + p * 3).backward(retain_grad=True)
    assert (float(s.grad), float(p.grad)) == (2, 3)
    assert (float(x.grad), float(y.grad)) == (2 + 15, 2 + 6)


def test_second_derivative_of_a_users_function():
    x = var(3.0)
    (Square()(x) * x).backward(create_graph=True)
    g = x.grad
    x.reset_grad()
    g.backward(create_graph=True)
    assert x.grad.data == 18.0
    cr.check_grads(Square(), (np.array([1.0, -2.0]),), order=3)
    cr.check_grads(SumAndProduct(), (np.array([1.0, -2.0]), np.array([3.0, 4.0])), order=3)


def test_second_derivative_through_arrays_that_forward_keeps():
    class Exp(Function):
        def forward(self, x):
            self.y = np.exp(x)
            return self.y

        def backward(self, gy):
            return gy * self.y

    class ExpOfOutput(Function):
        keeps_inputs = False

        def forward(self, x):
            return np.exp(x)

        def backward(self, gy):
            return gy * self.outputs[0].data

    for f in (Exp, ExpOfOutput):
        cr.check_grads(f(), (np.array([0.3, 1.0]),), order=3)
        cr.check_grads(f(), (np.array(0.3),), order=3)


def test_random_mask_that_forward_keeps_is_kept_in_the_second_derivative():
    class Mask(Function):
        def forward(self, x):
            self.mask = np.random.default_rng().random(x.shape) > 0.5
            return x * x * self.mask

        def backward(self, gy):
            return 2 * gy * self.inputs[0].data * self.mask

    x = var(np.arange(1.0, 101.0))
    y = Mask()(x)
    np.sum(y).backward(create_graph=True)
    g = x.grad
    x.reset_grad()
    np.sum(g).backward()
    np.testing.assert_array_equal(x.grad, 2.0 * (y.data != 0))


def test_function_that_is_not_differentiable_twice_says_so():
    class Outside(Function):
        def forward(self, x):
            return np.asarray(x) ** 2

        def backward(self, gy):
            return 2 * np.asarray(self.inputs[0].data) * gy

    x = var(3.0)
    y = Outside()(x)
    y.backward(retain_graph=True)
    assert x.grad == 6.0
    with pytest.raises(TypeError, match="Outside cannot be differentiated twice"):
        y.backward(create_graph=True)


def test_function_without_backward_and_wrong_gradients_are_named():
    class Forward(Function):
        def forward(self, x):
            return x

    class Wrong(Forward):
        def backward(self, gy):
            return np.ones(7)

    class Few(Forward):
        def forward(self, x, y):
            return x + y

        def backward(self, gy):
            return gy

    with pytest.raises(NotImplementedError, match="Forward does not define backward"):
        Forward()(var([1.0, 2.0])).backward()
    with pytest.raises(ValueError, match=r"Wrong.backward returned a gradient of shape \(7,\) for an input of shape \(2,\)"):
        Wrong()(var([1.0, 2.0])).backward()
    with pytest.raises(ValueError, match="returned 1 gradients for 2 inputs"):
        Few()(var(1.0), var(2.0)).backward()


def test_variable_outlives_its_graph():
    def inner():
        x = var(2.0)
        return x * x

    y = inner()
    z = y * 3
    z.backward()  # the leaf is gone: nothing to fill, and no error
    assert z.data == 12.0


def test_creator_inputs_and_outputs_are_the_variables():
    x = var(2.0)
    h = x * x
    y = Square()(h)
    assert y.creator.inputs[0] is h
    assert y.creator.outputs[0] is y
    assert h.creator.inputs[0] is x
    assert y.creator.name == "Square"
    assert h.creator.name == "np.multiply"
    assert x.creator is None


# ---- memory ---------------------------------------------------------------------------------------------


def test_a_million_operations_forward_backward_and_freed():
    x = var(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad == 1_000_001
    y = x
    for _ in range(1_000_000):
        y = y * 1.0
    del y  # a million records that no walk has released


def test_memory_is_flat_without_the_garbage_collector():
    w, x = cr.Parameter(np.ones(10)), np.linspace(0, 1, 10)

    def step():
        w.reset_grad()
        h = w * x
        h[0] = w[1] * h[2]
        h += w
        s, p = SumAndProduct()(h, w)
        np.sum(np.tanh(s) * p).backward()
        w.data -= 0.001 * w.grad

    gc.collect()
    gc.disable()
    try:
        for _ in range(2000):
            step()
        tracemalloc.start()
        for _ in range(8000):
            step()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 500_000
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_assignment_to_a_leaf_makes_no_cycle():
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            x = var([1.0, 2.0, 3.0])
            y = x * 2
            x[0] = y[1]
            x += x
            del x, y
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_twenty_chained_adds_hold_one_array():
    x = var(np.ones(1_000_000), np.float32)
    y = x + x  # compiles, where that is to be
    memory.release()
    tracemalloc.start()
    y = x
    for _ in range(20):
        y = y + x
    memory.release()  # what is kept for later results is not held
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.5 * x.nbytes
    assert y.data[0] == 21


def test_activations_are_released_during_the_walk():
    x = var(np.ones(250_000))
    y = x
    for _ in range(20):
        y = np.sin(y)
    np.sum(x * x).backward()  # compiles, where that is to be
    tracemalloc.start()
    np.sum(y).backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * x.nbytes


def test_copies_of_a_reshape_use_memory_again_and_views_stay_views():
    x = var(np.arange(120_000.0).reshape(300, 400))
    y = np.reshape(x.T, 120_000)
    np.testing.assert_array_equal(y.data, x.data.T.reshape(-1))
    left = y.data.ctypes.data
    del y
    again = np.reshape(x.T, (200, 600))
    assert again.data.ctypes.data == left
    assert np.shares_memory(np.reshape(x[:, :200], (300, 10, 20)).data, x.data)
    cr.check_grads(lambda x: np.reshape(x.T, (2, 10, 3)), [np.random.default_rng(0).normal(size=(6, 10))], order=2)
    with pytest.raises(ValueError, match="cannot reshape"):
        np.reshape(x.T, 7)


# ---- data that changes ----------------------------------------------------------------------------------


def test_gradients_that_were_summed_do_not_outlive_their_call():
    for load_kernels in (True, False):
        x, b = Variable(np.ones(100_000)), Variable(np.ones(1))
        y = x * b * b
        if load_kernels:
            y.backward()
    memory.release()  # what is kept for later results counts again
    tracemalloc.start()
    y.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(b.grad, 200_000)
    assert peak < 4.5 * x.nbytes  # the seed, what arrives at a call, and what it returns for its two inputs


def test_data_changed_by_a_step_is_an_error_where_it_is_needed():
    w = cr.Parameter(np.array(2.0), name="weight")
    y = w * w
    w.data -= 0.5
    with pytest.raises(RuntimeError, match="'weight'.*changed after np.multiply"):
        y.backward()
    w = cr.Parameter(np.array(2.0))
    y = w + 3.0 * w  # neither reads it
    w.data -= 0.5
    y.backward()
    assert w.grad == 4.0
    y = Square()(w)
    w.data = w.data * 2
    with pytest.raises(RuntimeError, match="Square"):
        y.backward()


def test_in_place_change_of_an_intermediates_array_is_an_error():
    x = var(2.0)
    h = x * x
    with pytest.raises(RuntimeError, match="detach"):
        h.data += 1


def test_assignment_is_differentiable_and_leaves_the_past_alone():
    x, v = var([1.0, 2.0, 3.0]), var(10.0)
    before = x**2
    x[1] = v * 2
    after = x**2
    np.testing.assert_array_equal(after.data, [1, 400, 9])
    np.sum(before).backward()
    np.testing.assert_array_equal(x.grad, [2, 4, 6])
    x.reset_grad()
    np.sum(after).backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 6])  # of the leaf as it was first
    assert v.grad == 80.0


def test_variable_as_a_buffer():
    v, buffer = var(2.0), Variable(np.zeros(3))
    for i in range(3):
        buffer[i] = v ** (i + 1)
    np.sum(buffer).backward()
    assert v.grad == 1 + 4 + 12


def test_in_place_operators():
    x, w = var([1.0, 2.0]), var([3.0, 4.0])
    y = x * 1.0
    same = y
    y += w
    y *= 2
    y -= 1
    y /= 2
    y **= 2
    assert same is y
    np.sum(y).backward()
    np.testing.assert_allclose(x.grad, 2 * (np.array([4.0, 6.0]) - 0.5))
    np.testing.assert_allclose(w.grad, x.grad)
    with pytest.raises(ValueError, match="shape"):
        y += np.ones((3, 2))
    with pytest.raises(TypeError, match="dtype"):
        y += 1j
    z = var([3.0, 1.0, 2.0]) * 1
    z.sort()
    np.testing.assert_array_equal(z.data, [1, 2, 3])
    assert z.creator is not None


def test_data_shared_with_the_user_is_never_written_while_recording():
    a = np.ones(3)
    x = Variable(a)
    x[0] = 5.0
    x += 1
    np.testing.assert_array_equal(a, np.ones(3))


def test_parameter_is_updated_in_place_under_no_grad_only():
    w = cr.Parameter(np.ones(2))
    data = w.data
    with pytest.raises(RuntimeError, match="no_grad"):
        w -= 0.1
    with pytest.raises(RuntimeError, match="no_grad"):
        w[0] = 0.0
    y = w * w
    with cr.no_grad():
        w -= 0.5
        w[0] = 3.0
    assert w.data is data
    np.testing.assert_array_equal(data, [3.0, 0.5])
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


# ---- losing a gradient is an error ----------------------------------------------------------------------


def test_conversions_that_would_lose_the_gradient_teach():
    x, buffer = var([1.0, 2.0]), np.zeros(2)
    with pytest.raises(TypeError, match="v.data"):
        np.asarray(x)
    with pytest.raises(TypeError, match="v.data"):
        np.array([x, x])
    with pytest.raises(TypeError, match="v.data"):
        np.full(2, x)
    with pytest.raises(TypeError, match="v.data"):
        np.r_[x, 1.0]
    with pytest.raises(TypeError, match="in-place"):
        buffer += x
    with pytest.raises(ValueError, match="sequence") as caught:
        buffer[0] = var(1.0)  # NumPy puts its own error before ours
    assert "Variable as the buffer" in str(caught.value.__cause__)
    with pytest.raises((TypeError, ValueError)):
        buffer[:] = x
    with cr.no_grad():
        np.testing.assert_array_equal(np.asarray(x), [1, 2])
    np.testing.assert_array_equal(np.asarray(x.detach()), [1, 2])


def test_pickle_and_copy():
    x = var([1.0, 2.0], name="x")
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert y.name == "x"
        np.testing.assert_array_equal(y.data, x.data)
        (y * 2).backward()
    with pytest.raises(TypeError, match="detach"):
        pickle.dumps(x * 2)


# ---- dtypes ---------------------------------------------------------------------------------------------


def test_float32_stays_float32():
    x = var([[1.0, 2.0], [3.0, 4.0]], np.float32)
    one_hot = np.eye(2)[[0, 1]].astype(bool)
    results = [
        x * 2.0, 2 * x, x + 1, x / 3, 3 / x, x**2, x**0.5, x**-1.5, 2.0**x, x - True, np.mean(x), np.mean(x, axis=0), np.std(x),
        np.var(x, ddof=1), x * (x > 1), x * one_hot, np.where(x > 2, x, 0.0), np.maximum(x, 0), np.clip(x, 1.5, 3.0), np.max(x),
        np.sum(x * one_hot), np.logaddexp(x, 0.0), np.sort(x), x @ x, np.prod(x), np.cumsum(x), np.pad(x, 1), x[0] * np.pi,
    ]  # fmt: skip
    for y in results:
        assert y.dtype == np.float32
        x.reset_grad()
        y.backward()
        assert x.grad.dtype == np.float32


def test_gradient_has_its_variables_dtype():
    x, y = var([1.0, 2.0], np.float32), var([3.0, 4.0], np.float64)
    (x * y).backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    h = var([1.0, 2.0], np.float16)
    (h * x).backward()
    assert h.grad.dtype == np.float16


def test_integer_variable_gets_float64_gradients():
    x = var([1, 2, 3], int)
    (x * 2.5).backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, [2.5, 2.5, 2.5])
    x.reset_grad()
    np.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0, 6.0])


# ---- modes ----------------------------------------------------------------------------------------------


def test_modes_nest_and_restore():
    with cr.no_grad():
        assert not cr.Config.enable_backprop
        with cr.enable_grad():
            assert cr.Config.enable_backprop
        assert not cr.Config.enable_backprop

    @cr.no_grad()
    def f(x):
        return x * 2

    assert f(var(1.0)).creator is None
    assert cr.Config.enable_backprop
    with pytest.raises(AttributeError, match="no mode 'missing'"):
        cr.using_config("missing", True)
    with pytest.raises(ZeroDivisionError), cr.using_config("train", False):
        raise ZeroDivisionError
    assert cr.Config.train


def test_backward_in_eight_threads_with_different_modes():
    w = var(np.ones(50))
    barrier, failures = threading.Barrier(8), []

    def work(k):
        try:
            barrier.wait()
            for _ in range(50):
                if k % 4 == 0:
                    with cr.no_grad():
                        assert (w * 2).creator is None
                elif k % 4 == 1:
                    x = var(3.0)
                    (x**3).backward(create_graph=True)
                    g = x.grad
                    x.reset_grad()
                    g.backward()
                    assert x.grad == 18.0
                else:
                    np.sum(w * w).backward()
        except BaseException as error:  # the thread's, shown in the main one
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    np.testing.assert_array_equal(w.grad, 4 * 50 * 2 * np.ones(50))


def test_one_graph_walked_by_eight_threads():
    x = var(2.0)
    y = Square()(x) * x
    threads = [threading.Thread(target=y.backward, kwargs={"retain_graph": True}) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad == 8 * 12.0


def test_modes_are_local_to_async_tasks():
    async def quiet():
        with cr.no_grad():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return (var(1.0) * 2).creator is None

    async def loud():
        await asyncio.sleep(0)
        return (var(1.0) * 2).creator is not None

    async def main():
        return await asyncio.gather(quiet(), loud(), quiet())

    assert asyncio.run(main()) == [True, True, True]


def test_debug_mode_names_the_operation_and_the_line():
    with cr.using_config("debug", True), np.errstate(all="ignore"):
        with pytest.raises(FloatingPointError, match=r"np.log: first NaN in the result \(forward\).*test_tape.py:\d+"):
            np.log(var([-1.0]))
        y = np.sqrt(var([0.0]))
        with pytest.raises(FloatingPointError, match=r"np.sqrt: first infinity in the gradient \(backward\).*test_tape.py"):
            y.backward()
        with pytest.raises(FloatingPointError, match=r"np.sum.*forward"):
            np.sum(var([np.inf, 1.0]))
