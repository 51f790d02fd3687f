"""How calls find their rules, what the errors say, and that nothing that NumPy lets us catch slips through."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

import chainrule as cr
from chainrule import Variable
from chainrule.dispatch import NO_GRADIENT, RECORDERS, RULES, function_name, is_known

X = Variable(np.array([[1.0, 2.0], [3.0, 4.0]]))

# ---- the table ------------------------------------------------------------------------------------------

EVERYDAY = """
    add subtract multiply divide true_divide negative positive power float_power square sqrt cbrt reciprocal remainder mod fmod
    divmod absolute abs fabs exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 sin cos tan arcsin arccos arctan arctan2
    sinh cosh tanh arcsinh arccosh arctanh hypot deg2rad rad2deg radians degrees maximum minimum fmax fmin copysign conjugate
    sum prod mean var std max min amax amin ptp cumsum cumprod
    reshape transpose swapaxes moveaxis squeeze expand_dims broadcast_to concatenate concat stack vstack hstack split
    array_split tile repeat roll flip rot90 pad where clip take take_along_axis sort partition
    matmul dot inner outer tensordot einsum kron trace diag tril triu
"""
CONSTANT = "argmax argmin argsort floor ceil rint round isnan isfinite greater equal shape ndim size zeros_like ones_like"


@pytest.mark.parametrize("name", EVERYDAY.split())
def test_everyday_functions_have_a_rule(name):
    assert getattr(np, name) in RULES


@pytest.mark.parametrize("name", CONSTANT.split())
def test_functions_without_a_gradient_return_plain_values(name):
    function = getattr(np, name)
    assert function in NO_GRADIENT
    args = (X, 2.0) if getattr(function, "nin", 1) == 2 else (X,)
    got = function(*args)
    assert not isinstance(got, Variable)
    np.testing.assert_array_equal(got, function(*[a.data if isinstance(a, Variable) else a for a in args]))


def test_no_function_is_listed_twice():
    assert not NO_GRADIENT & RULES.keys()


def test_everything_else_that_numpy_lets_us_catch_is_an_error_that_names_it():
    caught = 0
    for function in get_overridable_numpy_array_functions():
        if is_known(function):
            continue
        with pytest.raises(TypeError) as error:
            X.__array_function__(function, (Variable,), (X,), {})
        assert function.__name__ in str(error.value)
        assert "define_rule" in str(error.value) or "does not work" in str(error.value)
        caught += 1
    for ufunc in get_overridable_numpy_ufuncs():
        if not is_known(ufunc):
            with pytest.raises(TypeError, match=ufunc.__name__):
                ufunc(*[X] * ufunc.nin)
            caught += 1
    assert caught > 50


# ---- arguments ------------------------------------------------------------------------------------------


def test_out_is_a_clear_error():
    for call in (
        lambda: np.sum(X, out=np.zeros(())),
        lambda: X.sum(out=np.zeros(())),
        lambda: np.add(X, 1, out=np.zeros((2, 2))),
        lambda: np.concatenate([X, X], out=np.zeros((4, 2))),
        lambda: np.matmul(X, X, out=np.zeros((2, 2))),
        lambda: np.clip(X, 0, 1, out=np.zeros((2, 2))),
    ):
        with pytest.raises(TypeError, match=r"out=.*gradient"):
            call()


def test_out_may_be_given_as_none():
    np.testing.assert_array_equal(np.sum(X, out=None).data, 10)
    np.testing.assert_array_equal(np.take(X, [1], axis=0, out=None).data, [[3, 4]])


def test_arguments_that_no_rule_handles_are_errors():
    with pytest.raises(TypeError, match="where="):
        np.sin(X, where=np.array([True, False]))
    with pytest.raises(TypeError, match="not differentiable in 'initial'"):
        np.sum(X, initial=Variable(np.array(1.0)))
    with pytest.raises(ValueError, match="reduce"):
        np.exp.reduce(X)
    with pytest.raises(TypeError, match="mode 'empty'"):
        np.pad(X, 1, mode="empty")
    with pytest.raises(TypeError, match="unexpected"):
        np.sum(X, foo=1)


def test_dtype_and_initial_are_handled():
    y = np.add(X, X, dtype=np.float32)
    assert y.dtype == np.float32
    y.backward()
    np.testing.assert_array_equal(X.grad, 2 * np.ones((2, 2)))
    X.reset_grad()
    assert np.sum(X, initial=10.0).data == 20.0


def test_lists_beside_a_variable():
    np.testing.assert_array_equal((X * [1, 2]).data, [[1, 4], [3, 8]])
    np.testing.assert_array_equal((X @ [[1.0, 0.0], [0.0, 2.0]]).data, [[1, 4], [3, 8]])
    X.reset_grad()
    (X @ [1.0, 2.0]).backward()
    np.testing.assert_array_equal(X.grad, [[1, 2], [1, 2]])
    X.reset_grad()


def test_indices_may_be_integer_variables():
    i = Variable(np.array([1, 0]))
    np.testing.assert_array_equal(X[i].data, X.data[[1, 0]])
    np.testing.assert_array_equal(X[:, i].data, X.data[:, [1, 0]])


def test_operators_reflected_and_mixed_with_arrays():
    a = np.array([[2.0, 3.0], [4.0, 5.0]])
    for f in (
        lambda p, q: p + q, lambda p, q: p - q, lambda p, q: p * q, lambda p, q: p / q, lambda p, q: p // q, lambda p, q: p % q,
        lambda p, q: p**q, lambda p, q: p @ q, lambda p, q: p < q, lambda p, q: p >= q, lambda p, q: p == q, lambda p, q: p != q,
        lambda p, q: divmod(p, q)[1],
    ):  # fmt: skip
        expected = f(X.data, a)
        for got in (f(X, a), f(X, Variable(a)), f(Variable(X.data), a)):
            np.testing.assert_allclose(getattr(got, "data", got) if isinstance(got, Variable) else got, expected)
        swapped = f(a, X)
        np.testing.assert_allclose(swapped.data if isinstance(swapped, Variable) else swapped, f(a, X.data))
    for f in (lambda p: 2 + p, lambda p: 2 - p, lambda p: 2 * p, lambda p: 2 / p, lambda p: 2 // p, lambda p: 7 % p, lambda p: 2**p,
              lambda p: -p, lambda p: +p, abs, lambda p: divmod(7, p)[1], lambda p: p > 2):  # fmt: skip
        got = f(X)
        np.testing.assert_allclose(got.data if isinstance(got, Variable) else got, f(X.data))


def test_integer_and_boolean_operators():
    i = Variable(np.array([5, 6]))
    np.testing.assert_array_equal(i & 1, [1, 0])
    np.testing.assert_array_equal(1 | i, [5, 7])
    np.testing.assert_array_equal(i ^ i, [0, 0])
    np.testing.assert_array_equal(i << 1, [10, 12])
    np.testing.assert_array_equal(~i, [-6, -7])


def test_methods_and_properties():
    a = np.arange(6.0).reshape(2, 3)
    x = Variable(a)
    for name, args in {
        "sum": (0,), "prod": (), "mean": (1,), "var": (), "std": (), "max": (0,), "min": (), "cumsum": (1,), "cumprod": (0,),
        "swapaxes": (0, 1), "ravel": (), "flatten": (), "repeat": (2,), "take": ([0, 1],), "clip": (1, 3), "trace": (),
        "diagonal": (), "conj": (), "argmax": (1,), "argmin": (), "argsort": (), "nonzero": (), "all": (), "any": (), "round": (1,),
        "reshape": (3, 2), "transpose": (1, 0), "astype": ("f4",), "copy": (), "squeeze": (), "item": (2,), "tolist": (),
        "dot": (np.ones(3),),
    }.items():  # fmt: skip
        got, expected = getattr(x, name)(*args), getattr(a, name)(*args)
        np.testing.assert_allclose(got.data if isinstance(got, Variable) else got, expected)
    np.testing.assert_array_equal(x.T.data, a.T)
    np.testing.assert_array_equal(x.mT.data, a.T)
    np.testing.assert_array_equal(x.reshape((3, 2)).data, x.reshape(3, -1).data)
    assert (x.shape, x.ndim, x.size, x.dtype, x.itemsize) == ((2, 3), 2, 6, np.float64, 8)
    with pytest.raises(AttributeError):
        x.no_such_method  # noqa: B018


# ---- rules of one's own ---------------------------------------------------------------------------------


def test_define_rule_for_a_numpy_function_that_has_none(monkeypatch):
    function = np.unwrap
    monkeypatch.delitem(RULES, function)
    monkeypatch.delitem(RECORDERS, function, raising=False)
    with pytest.raises(TypeError, match="np.unwrap.*define_rule"):
        function(X)
    cr.define_rule(function, p=lambda g: g, ignores=("axis",))
    y = np.unwrap(X, axis=0)
    X.reset_grad()
    y.backward()
    np.testing.assert_array_equal(X.grad, np.ones((2, 2)))
    with pytest.raises(TypeError, match="'period' is not supported"):
        np.unwrap(X, period=3.0)
    RECORDERS.pop(function)
    X.reset_grad()


def test_primitive_on_arrays_variables_and_lists():
    @cr.primitive
    def weighted(xs, weights, power=1):
        return sum(w * x**power for w, x in zip(weights, xs, strict=True))

    with pytest.raises(TypeError, match="weighted has no derivative rule"):
        weighted([X], [1.0])
    cr.define_rule(weighted, xs=lambda g, i, xs, weights, power: g * weights[i] * power * xs[i] ** (power - 1))
    assert type(weighted([np.ones(2)], [2.0])) is np.ndarray
    cr.check_grads(lambda a, b: weighted([a, b], [2.0, 3.0], power=3), (np.ones(2), np.arange(2.0) + 1))
    with pytest.raises(TypeError, match=r"weighted\(\) takes from 2 to 3 positional arguments"):
        weighted([X], [1.0], 1, 2)


def test_function_names():
    assert function_name(np.linalg.solve) == "np.linalg.solve"
    assert function_name(np.sin) == "np.sin"
    assert function_name(np.sum) == "np.sum"


# ---- the import -----------------------------------------------------------------------------------------


def test_import_is_light():
    script = """
import sys, numpy
before = set(sys.modules)
import chainrule
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
print(len([name for name in set(sys.modules) - before if not name.startswith("chainrule")]))
"""
    loaded, others = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert not {"numba", "scipy", "matplotlib", "rich", "safetensors", "torch", "asyncio", "importlib_metadata"} & set(
        loaded.split()
    )
    assert int(others) <= 12


def test_a_rule_that_speaks_of_no_argument_is_an_error():
    def scale(x, factor=2.0):
        return factor * x

    for rule in ({"z": lambda g: g}, {"x": lambda g, faktor: faktor * g}, {"x": lambda g, z_shape: g}):
        f = cr.primitive(scale)
        cr.define_rule(f, **rule)
        with pytest.raises(
            TypeError, match=r"rule of scale speaks of '(z|faktor|z_shape)'; the arguments are \('x', 'factor'\)"
        ):
            f(Variable(np.ones(2)))


def test_a_method_of_pytorchs_names_numpys():
    v = Variable(np.ones((2, 3)))
    for name, instead in (("view", "reshape"), ("permute", "transpose"), ("tanh", "np.tanh"), ("relu", "functional.relu")):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; write .*{instead}"):
            getattr(v, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'$"):
        v.nothing  # noqa: B018
    assert not hasattr(v, "__nothing__")
