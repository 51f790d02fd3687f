"""Every rule against finite differences, to second order."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import chainrule as cr
from chainrule import Variable, check_grads

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4))
POSITIVE = np.abs(X) + 0.5
WITH_ZEROS = X * (X > 0)
SQUARE = rng.normal(size=(4, 4))
VECTOR = rng.normal(size=4)
MASK = (rng.random((3, 4)) > 0.4) | (np.arange(4) == 1) | (np.arange(3)[:, None] == 2)
COMPLEX = X + 1j * POSITIVE
AXES = [None, 0, -1, (0, 1), (1,), (-2,)]

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

# ---- element-wise ---------------------------------------------------------------------------------------

UNARY = {
    "negative": X, "positive": X, "square": X, "reciprocal": POSITIVE, "exp": X, "exp2": X, "expm1": X, "log": POSITIVE,
    "log2": POSITIVE, "log10": POSITIVE, "log1p": POSITIVE, "sin": X, "cos": X, "tan": X, "arcsin": X / 4, "arccos": X / 4,
    "arctan": X, "sinh": X, "cosh": X, "tanh": X, "arcsinh": X, "arccosh": POSITIVE + 1, "arctanh": X / 4, "deg2rad": X,
    "rad2deg": X, "radians": X, "degrees": X, "sqrt": POSITIVE, "cbrt": POSITIVE, "fabs": X, "absolute": X, "conjugate": X,
}  # fmt: skip
BINARY = ["add", "subtract", "multiply", "divide", "remainder", "fmod", "logaddexp", "logaddexp2", "arctan2", "hypot",
          "copysign", "maximum", "minimum", "fmax", "fmin"]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    check_grads(getattr(np, name), (UNARY[name],))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    f = getattr(np, name)
    check_grads(f, (X, POSITIVE + 0.1))
    check_grads(f, (X[:, :1], POSITIVE[0] + 0.1))
    check_grads(f, (np.array(1.7), POSITIVE + 0.1))
    check_grads(lambda x: f(x, 1.3), (X,))
    check_grads(lambda y: f(1.3, y), (POSITIVE,))
    assert f(Variable(X.astype("f4")), 1.3).dtype == np.float32


@pytest.mark.parametrize(
    "exponent", [2, 1, 0.5, -1, 3, 0, -2.5, np.array(2.0), np.array([0, 1, 2, 3]), np.array([0.5, 1, 2, 3])]
)
def test_power(exponent):
    check_grads(lambda x: x**exponent, (POSITIVE,))
    check_grads(lambda x: np.power(x, exponent), (POSITIVE,))


@pytest.mark.parametrize("name", [*UNARY, *BINARY, "power"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_large_arrays_use_memory_again_and_are_as_small_ones(name, dtype):
    """Each element is differentiated as in a small array, in whatever order the large ones lie in memory."""
    f = getattr(np, name)
    rows = np.repeat(UNARY.get(name, POSITIVE + 0.1)[:1], 5000, axis=0).astype(dtype)
    small = [rows[0]] if name in UNARY else [rows[0], rows[0, ::-1].copy() + 1]
    value_of_small, pull_small = cr.vjp(f, *small)
    of_small = pull_small(np.ones_like(small[0]))
    kinds = [
        lambda x: np.asfortranarray(x),
        lambda x: x.repeat(2, 1)[:, ::2],
        lambda x: np.broadcast_to(x[0], x.shape),
        np.copy,
    ]
    for first in kinds:
        large = [first(rows), rows[:, ::-1] + 1][: len(small)]
        for xs in [large, [rows, large[1][0]], [rows[0], large[1]]] if len(large) == 2 else [large]:
            value, pull = cr.vjp(f, *xs)
            np.testing.assert_allclose(
                value, np.broadcast_to(value_of_small, value.shape), rtol=1e-5 if dtype == "f4" else 1e-13
            )
            for x, g, g_small in zip(xs, pull(np.ones_like(value)), of_small, strict=True):
                expected = g_small * (5000 if x.ndim == 1 else 1)
                np.testing.assert_allclose(g, np.broadcast_to(expected, g.shape), rtol=1e-3 if dtype == "f4" else 1e-10)


def test_power_in_both_and_at_the_edges():
    check_grads(np.power, (POSITIVE, X))
    check_grads(np.float_power, (POSITIVE, X))
    check_grads(lambda y: 2**y, (X,))
    check_grads(lambda x: x**3, (X,))
    x, y = Variable(np.array([0.0, 0.0, -2.0])), Variable(np.array([0.0, 2.0, 3.0]))
    (x**y).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0, 12.0])
    assert y.grad[1] == 0.0
    assert np.isnan(y.grad[2])
    x = Variable(np.array([0.0, 1.0]))
    np.sum(x**0).backward()
    np.testing.assert_array_equal(x.grad, [0, 0])


def test_the_slope_of_a_power_changes_with_an_exponent_of_0():
    check_grads(np.power, [np.array([1.2, 0.5, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, 0.0])], order=3)
    hessian = cr.jacobian(cr.grad(lambda z: z[0] ** z[1]))(np.array([2.0, 0.0]))
    np.testing.assert_allclose(hessian, [[0, 0.5], [0.5, np.log(2) ** 2]], atol=1e-15)


def test_products_of_a_part_that_start_from_a_number():
    where = X > -0.5
    for x in (X, np.where(np.abs(X) < 0.6, 0, X)):
        for axis in (None, 0, (0, 1)):
            check_grads(lambda x, axis=axis: np.prod(x, axis=axis, initial=2.0, where=where), [x])
            check_grads(lambda x, axis=axis: np.prod(x, axis=axis, initial=2.0), [x])


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
def test_ravel_in_the_order_of_memory(order):
    for x in (X, np.asfortranarray(X), np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)[::-1]):
        v = Variable(x)
        np.testing.assert_array_equal(np.ravel(v, order).data, np.ravel(x, order))
        (np.ravel(v, order) * np.arange(x.size)).sum().backward()
        np.testing.assert_array_equal(np.argsort(np.ravel(x, order)), np.ravel(v.grad)[np.argsort(np.ravel(x))])
    with pytest.raises(TypeError, match="lies in memory"):
        np.reshape(Variable(X), (-1,), order="A").backward()


def test_edges_where_others_give_nan():
    x = Variable(np.zeros(2))
    for y in (np.arctan2(x, x), np.hypot(x, x), np.std(x), np.abs(x)):
        x.reset_grad()
        np.sum(y).backward()
        np.testing.assert_array_equal(x.grad, [0, 0])
    x = Variable(np.array([np.inf, 1.0]))
    np.logaddexp(x, 2.0).backward()
    np.testing.assert_allclose(x.grad, [1.0, np.exp(1) / (np.exp(1) + np.exp(2))])
    x, y = Variable(np.array([np.inf, -np.inf])), Variable(np.array([np.inf, -np.inf]))
    np.logaddexp(x, y).backward()
    np.testing.assert_array_equal([x.grad, y.grad], [[0.5, 0.5], [0.5, 0.5]])


def test_reductions_of_arrays_without_axes():  # NumPy takes 0 and -1 for axes of them
    for axis in (None, 0, -1, ()):
        for reduction in (np.sum, np.prod, np.max, np.min, np.nansum):
            check_grads(lambda x, f=reduction, axis=axis: f(x * x, axis=axis), [np.array(1.5)])


def test_products_without_elements():
    for shapes in (((2, 3, 0), (0, 4)), ((2, 0, 3), (3, 4)), ((0, 3), (3,)), ((0,), (0,)), ((2, 0, 4), (2, 4, 3))):
        x, y = (Variable(np.ones(shape)) for shape in shapes)
        (x @ y).backward()
        assert x.grad.shape == shapes[0]
        np.testing.assert_array_equal(y.grad, np.zeros(shapes[1]))


def test_the_phase_of_complex_numbers_has_a_gradient():
    x = Variable(np.array([0, 2j]))
    np.imag(np.sign(x) * 1j).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0.5])
    assert not isinstance(np.sign(Variable(X)), Variable)


def test_ties_share_the_gradient():
    x, y = Variable(np.array([1.0, 2.0])), Variable(np.array([1.0, 1.0]))
    np.maximum(x, y).backward()
    np.testing.assert_array_equal(x.grad, [0.5, 1])
    np.testing.assert_array_equal(y.grad, [0.5, 0])
    x = Variable(np.array([3.0, 1.0, 3.0]))
    np.max(x).backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0, 0.5])


def test_divmod_and_friends():
    x, y = Variable(np.array([7.0, -7.0])), Variable(np.array([2.0, 2.0]))
    quotient, remainder = divmod(x, y)
    assert type(quotient) is np.ndarray
    remainder.backward()
    np.testing.assert_array_equal(x.grad, [1, 1])
    np.testing.assert_array_equal(y.grad, [-3, 4])
    check_grads(lambda x: 7 % x, (np.array([2.0, 3.0]),))
    check_grads(lambda x: np.ldexp(x, 3), (X,))


@pytest.mark.parametrize(
    "name", ["sin", "exp", "log", "sqrt", "tanh", "square", "reciprocal", "absolute", "conjugate", "real", "imag", "sign"]
)
def test_complex_unary(name):
    check_grads(getattr(np, name), (COMPLEX,))


def test_complex():
    check_grads(lambda z, x: z * x, (COMPLEX, X))
    check_grads(lambda z, x: x / z, (COMPLEX, X))
    check_grads(lambda z: (z * np.conj(z)).real.sum(), (COMPLEX,))
    check_grads(lambda z: z @ z.T, (COMPLEX,))
    check_grads(np.var, (COMPLEX,))
    z = Variable(np.array(3.0 + 4.0j))
    (z.real**2).backward()
    assert z.grad == 6.0
    z.reset_grad()
    (z.imag**2).backward()
    assert z.grad == -8.0j  # du/dx - i du/dy


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), elements=st.floats(0.5, 2.0)),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_broadcasting_of_any_shapes(x, data):
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in x.shape)[data.draw(st.integers(0, x.ndim)) :]
    y = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(0.5, 2.0)))
    check_grads(lambda x, y: np.sin(x) * y + x / y, (x, y))


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-2.0, 2.0), unique=True),
    order=st.sampled_from("CFS"),
)
@settings(max_examples=40, deadline=None)
def test_memory_order_does_not_matter(x, order):
    laid = {"C": x.copy(), "F": np.asfortranarray(x), "S": np.repeat(x, 2, axis=-1)[..., ::2]}[order]

    def f(x):
        return np.sum(np.tanh(np.swapaxes(x, 0, -1)) * x.T, axis=0) + np.cumsum(x)[-1]

    results = []
    for data in (x, laid):
        v = Variable(data)
        f(v).backward()
        results.append(v.grad)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12, atol=1e-12)


# ---- reductions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "var", "std", "ptp"])
def test_reductions(name, axis, keepdims):
    f = getattr(np, name)
    check_grads(lambda x: f(x, axis=axis, keepdims=keepdims), (X,))
    if name in ("max", "min"):
        check_grads(lambda x: f(x, axis=axis, keepdims=keepdims, where=MASK, initial={"max": -9, "min": 9}[name]), (X,))
    elif name != "ptp":
        check_grads(lambda x: f(x, axis=axis, keepdims=keepdims, where=MASK), (X,))
        np.testing.assert_array_equal(f(Variable(X), axis=axis, where=MASK).data, f(X, axis=axis, where=MASK))


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_prod_with_zeros(axis):
    check_grads(lambda x: np.prod(x, axis=axis), (WITH_ZEROS,))
    check_grads(lambda x: np.prod(x, axis=axis, where=MASK), (WITH_ZEROS,))


def test_ddof_correction_dtype_and_empty_axes():
    check_grads(lambda x: np.var(x, ddof=1), (X,))
    check_grads(lambda x: np.std(x, correction=1, axis=0), (X,))
    check_grads(lambda x: np.sum(x, axis=()), (X,))
    x = Variable(X.astype("f4"))
    y = np.sum(x, dtype=np.float64)
    y.backward()
    assert (y.dtype, x.grad.dtype) == (np.float64, np.float32)
    empty = Variable(np.zeros((0, 3)))
    np.sum(empty, axis=0).backward()
    assert empty.grad.shape == (0, 3)
    empty.reset_grad()
    np.prod(empty, axis=0).backward()
    assert empty.grad.shape == (0, 3)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_along_an_axis(axis):
    check_grads(lambda x: np.cumsum(x, axis=axis), (X,))
    check_grads(lambda x: np.cumprod(x, axis=axis), (WITH_ZEROS,))
    check_grads(lambda x: np.sort(x, axis=axis), (X,))
    check_grads(lambda x: np.partition(x, 1, axis=axis), (X,))
    check_grads(lambda x: np.repeat(x, 2, axis=axis), (X,))
    check_grads(lambda x: np.take(x, [0, 1, 1], axis=axis), (X,))
    check_grads(lambda x: np.take(x, [-1, 7], axis=axis, mode="wrap"), (X,))
    check_grads(lambda x: np.flip(x, axis=axis), (X,))
    check_grads(lambda x, y: np.concatenate((x, y), axis=axis), (X, POSITIVE))
    check_grads(lambda x: np.roll(x, 2, axis=axis), (X,))


# ---- shapes, joining, indexing --------------------------------------------------------------------------

ONE_ARRAY = {
    "reshape": lambda x: np.reshape(x, (2, 6)),
    "reshape F": lambda x: np.reshape(x, (2, -1), order="F"),
    "transpose": np.transpose,
    "transpose axes": lambda x: np.transpose(x[None], (2, 0, 1)),
    "transpose axes from the end": lambda x: np.transpose(x[None], (-1, 0, -2)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x[None], (0, 1), (-1, 0)),
    "squeeze": lambda x: np.squeeze(x[None, :, None], axis=(0, 2)),
    "expand_dims": lambda x: np.expand_dims(x, (0, 2)),
    "broadcast_to": lambda x: np.broadcast_to(x[:, None], (2, 3, 5, 4)),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[:1])[1],
    "ravel": lambda x: np.ravel(x, order="F"),
    "stack": lambda x: np.stack([x, x * x], axis=-1),
    "stack constants": lambda x: np.stack([x, np.ones((3, 4))]),
    "vstack": lambda x: np.vstack([x, x[0]]),
    "hstack": lambda x: np.hstack([x, x]),
    "hstack 1d": lambda x: np.hstack([x[0], 2.0 * x[1]]),
    "column_stack": lambda x: np.column_stack([x, x[:, 0]]),
    "column_stack of three axes": lambda x: np.column_stack([x[..., None], x[:, :1, None]]),
    "append": lambda x: np.append(x, x[:1], axis=0),
    "tile by an array": lambda x: np.tile(x, np.array([2, 1])),
    "take nothing": lambda x: np.take(x, [], axis=0),
    "ediff1d": lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=x[0]),
    "append a list": lambda x: np.append(x, [x[0, 0], 1.0, 2 * x[0, 1]]),
    "split": lambda x: np.split(x, 2, axis=1),
    "split at": lambda x: np.split(x, [1, 2], axis=-1),
    "array_split": lambda x: np.array_split(x, 3, axis=1),
    "hsplit": lambda x: np.hsplit(x, 2),
    "vsplit": lambda x: np.vsplit(x, 3),
    "tile": lambda x: np.tile(x, (2, 1, 3)),
    "tile 1": lambda x: np.tile(x, 2),
    "repeat": lambda x: np.repeat(x, [1, 0, 2], axis=0),
    "roll": lambda x: np.roll(x, (1, 2), (0, 1)),
    "roll twice": lambda x: np.roll(x, (1, 2), 0),
    "rot90": lambda x: np.rot90(x, 3),
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "pad": lambda x: np.pad(x, ((1, 2), (0, 3)), constant_values=2.0),
    "pad dict": lambda x: np.pad(x, {-1: (1, 2)}),
    **{f"pad {mode}": lambda x, m=mode: np.pad(x, ((1, 2), (2, 3)), m) for mode in ("edge", "reflect", "symmetric", "wrap")},
    **{
        f"pad {mode}": lambda x, m=mode: np.pad(x, ((1, 0), (2, 3)), m) for mode in ("maximum", "mean", "median", "linear_ramp")
    },
    "pad minimum of some": lambda x: np.pad(x, ((1, 0), (2, 3)), "minimum", stat_length=((1, 2), (3, 9))),
    "pad linear_ramp to numbers": lambda x: np.pad(x, ((1, 0), (2, 3)), "linear_ramp", end_values=((1.0, 2.0), (3.0, -1.0))),
    "where": lambda x: np.where(x > 0, x, x * x),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "clip by variables": lambda x: np.clip(x, x * 2 - 1, 0.5 * x + 1),
    "clip one side": lambda x: np.clip(x, None, 0.3),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[0, 0, 3], [1, 2, 2], [3, 3, 3]]), axis=1),
    "take_along_axis, broadcast": lambda x: np.take_along_axis(x, np.array([[2, 0, 1, 1]]) % 4, axis=1),
    "diag": lambda x: np.diag(x, 1),
    "diag of a vector": lambda x: np.diag(x[0], -1),
    "diagonal": lambda x: np.diagonal(x[None] * np.ones((2, 1, 1)), 1, 2, 1),
    "trace": lambda x: np.trace(x, -1),
    "tril": np.tril,
    "triu": lambda x: np.triu(x, 1),
    "slice": lambda x: x[1:, ::-2],
    "integers": lambda x: x[[0, 0, 2], 1],
    "mask": lambda x: x[x > 0],
    "newaxis and ellipsis": lambda x: x[..., None, -1],
    "open mesh": lambda x: x[np.ix_([0, 2], [1, 1])],
    "one element": lambda x: x[1, 2],
    "array of integers": lambda x: x[np.array([[0, 1], [1, 1]])],
    "iteration": list,
    "methods": lambda x: x.reshape(-1).sum() + x.reshape(2, 6).mean(axis=1) + x.transpose(1, 0).T.max() + x.flatten()[3],
    "astype": lambda x: x.astype(np.float64) * x,
    "array": lambda x: cr.array([[x[0, 0], 1.0], [x[1, 1], x[0, 0] * x[1, 1]]]),
    "copy": lambda x: x.copy() * x,
    "ufunc reduce": lambda x: np.add.reduce(x) + np.multiply.reduce(x, axis=0) + np.maximum.reduce(x),
    "ufunc accumulate": lambda x: np.add.accumulate(x, axis=1) * np.multiply.accumulate(x),
}


@pytest.mark.parametrize("name", ONE_ARRAY)
def test_one_array(name):
    f = ONE_ARRAY[name]
    check_grads(f, (X,))
    got = f(Variable(X))
    for ours, numpys in zip(got if isinstance(got, (list, tuple)) else [got], _reference(f), strict=True):
        np.testing.assert_array_equal(ours.data, numpys)


def _reference(f):
    """What NumPy itself makes of it."""
    made = f(X)
    return made if isinstance(made, (list, tuple)) else [made]


def test_assignment():
    def f(x, v):
        y = x * 2
        y[1] = v
        y[:, 2] += 3 * v[:3]
        y[[0, 0], [1, 3]] = v[:2]
        y[y > 5] = 5.0
        y *= x
        return y

    check_grads(f, (X, VECTOR))

    def with_extra_axes(x, v):
        y = x * 1
        y[0] = v
        y[1:, 1:2] = v[:, :1]
        return y

    check_grads(with_extra_axes, (X, VECTOR[None]))


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
@settings(max_examples=60, deadline=None)
def test_any_index(data, shape):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape) + 1
    index = data.draw(st.one_of(hnp.basic_indices(shape, allow_newaxis=True), hnp.integer_array_indices(shape)))
    v = Variable(x)
    picked = v[index]
    np.testing.assert_array_equal(picked.data, x[index])
    (picked * 2.0).backward()
    expected = np.zeros(shape)
    np.add.at(expected, index, 2.0)
    np.testing.assert_array_equal(v.grad, expected)


# ---- products -------------------------------------------------------------------------------------------

BATCH = rng.normal(size=(2, 3, 4))
EINSUMS = [
    ("ij->ji", X), ("ij->i", X), ("ij->", X), ("ij", X), ("ii->i", SQUARE), ("ii", SQUARE), ("ii->", SQUARE),
    ("ij,jk->ik", X, SQUARE), ("ij,jk", X, SQUARE), ("i,i", VECTOR, VECTOR), ("ij,j->i", X, VECTOR), ("ij,kl->", X, SQUARE),
    ("...j,jk->...k", BATCH, SQUARE), ("...j,...j->...", X, X), ("ij,kl,lm->im", X, SQUARE, SQUARE), ("ij,j,j->i", X, VECTOR, VECTOR),
    ("iij->j", rng.normal(size=(3, 3, 2))), ("iii->i", rng.normal(size=(3, 3, 3))), ("b...i,...i->b...", BATCH, rng.normal(size=(1, 4))),
    ("i...->...", BATCH), ("...ii->...i", rng.normal(size=(2, 3, 3))), ("ba,ca", X, X),
]  # fmt: skip


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum(case):
    subscripts, *operands = case
    check_grads(lambda *xs: np.einsum(subscripts, *xs), operands)
    np.testing.assert_allclose(
        np.einsum(subscripts, *map(Variable, operands)).data, np.einsum(subscripts, *operands), atol=1e-12
    )


def test_einsum_with_lists_and_errors():
    check_grads(lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [0, 2]), (X, SQUARE))
    check_grads(lambda a, b: np.einsum(a, [0, 1], b, [1, 2]), (X, SQUARE))
    with pytest.raises(ValueError, match="2 indices for an operand of shape"):
        np.einsum("ij->i", Variable(BATCH))
    with pytest.raises(ValueError, match="2 terms for 1 operands"):
        np.einsum("ij,jk", Variable(X))


SHAPES = [((3, 4), (4, 4)), ((4,), (4, 4)), ((4, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 4)), ((3, 4), (2, 4, 3)), ((4,), (2, 4, 3)),
          ((2, 1, 3, 4), (5, 4, 2)), ((2, 3, 4), (4,)), ((0, 3), (3, 2))]  # fmt: skip


@pytest.mark.parametrize(("m", "n"), SHAPES, ids=str)
def test_matmul(m, n):
    a, b = rng.normal(size=m), rng.normal(size=n)
    check_grads(np.matmul, (a, b))
    check_grads(lambda a: a @ b, (a,))
    check_grads(lambda b: a @ b, (b,))


def test_other_products():
    check_grads(np.dot, (X, SQUARE))
    check_grads(np.dot, (X, VECTOR))
    check_grads(np.dot, (X, np.array(2.0)))
    check_grads(np.dot, (X, rng.normal(size=(2, 4, 3))))
    check_grads(np.inner, (X, SQUARE))
    check_grads(np.inner, (X, np.array(2.0)))
    check_grads(np.outer, (X, VECTOR))
    check_grads(np.vdot, (COMPLEX, X))
    check_grads(np.kron, (X, VECTOR))
    check_grads(np.kron, (VECTOR, SQUARE))
    check_grads(lambda x: np.tensordot(x, x, axes=([0, 1], [0, 1])), (X,))
    check_grads(lambda x: np.tensordot(x, x, axes=0), (X,))
    check_grads(lambda x: np.tensordot(x, SQUARE, axes=1), (X,))
    for ours, numpys in [
        (np.kron(Variable(X), VECTOR), np.kron(X, VECTOR)),
        (np.dot(Variable(BATCH), SQUARE), np.dot(BATCH, SQUARE)),
    ]:
        np.testing.assert_allclose(ours.data, numpys)
    with pytest.raises(ValueError, match="do not match"):
        np.tensordot(Variable(X), X, axes=1)


def test_einsum_stretches_axes_of_length_1():
    for terms, shapes in (("i,i", [(3,), (1,)]), ("ijj,j", [(2, 1, 1), (3,)]), ("ij,jk,k->ik", [(2, 1), (3, 1), (4,)])):
        check_grads(lambda *xs, terms=terms: np.einsum(terms, *xs), [np.random.default_rng(0).normal(size=s) for s in shapes])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.median(x, axis=2),
        lambda x: np.nanquantile(x, 0.5, axis=2),
        lambda x: np.percentile(x, 50, axis=(0, 0)),
        lambda x: np.gradient(x, axis=2),
        lambda x: np.trapezoid(x, axis=2),
        lambda x: np.rollaxis(x, 2),
        lambda x: np.tensordot(x, x, axes=([3], [0])),
        lambda x: np.insert(x, 0, 1.0, axis=3),
        lambda x: np.vdot(x, x[:1]),
        lambda x: np.vecdot(x, x[:, :1]),
        lambda x: np.vsplit(x[0], 2),
        lambda x: np.dsplit(x, 2),
        lambda x: np.linalg.matrix_power(x, 1),
        lambda x: np.linalg.matrix_power(x[0], 2),
    ],
)
def test_what_numpy_refuses_is_refused(call):
    for x in (X, Variable(X)):
        with pytest.raises((ValueError, IndexError)):
            call(x)


# ---- the checker itself ---------------------------------------------------------------------------------


def test_check_grads_finds_a_wrong_rule_and_shows_where():
    @cr.primitive
    def wrong(x):
        return x**3

    cr.define_rule(wrong, x=lambda g, x: g * 3 * x**2 * np.where(x > 1, 1.01, 1.0))
    check_grads(wrong, (np.array([0.5]),))
    with pytest.raises(AssertionError, match=r"derivative 1 of wrong in argument 0 .*element \(1,\) = .*2.0.*step"):
        check_grads(wrong, (np.array([0.5, 2.0]),))

    @cr.primitive
    def wrong_at_second_order(x):
        return x**3

    cr.define_rule(wrong_at_second_order, x=lambda g, x: g * 3 * cr.as_array(getattr(x, "data", x)) ** 2)
    check_grads(wrong_at_second_order, (np.array([0.5]),), order=1)
    with pytest.raises(AssertionError, match="derivative 2"):
        check_grads(wrong_at_second_order, (np.array([0.5]),))
    with pytest.raises(ValueError, match="no argument"):
        check_grads(np.sin, (np.array([1]),))


def test_check_grads_of_functions_that_return_their_arguments_or_assign_to_them():
    def assigned(x, y):
        x[1] = y
        return x

    check_grads(lambda x: x, [X])
    check_grads(lambda x, y: (x, x * y, y), [X, X], order=3)
    check_grads(assigned, [X[0], X[1, 1]], order=3)
    with pytest.raises(AssertionError, match="derivative 1"):
        check_grads(lambda x: np.where(x > 0, x, x.data), [np.array([1.0, -1.0])])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_check_grads_in_other_precisions(dtype):
    check_grads(lambda x, y: np.tanh(x) * y, (X[:2, :2].astype(dtype), POSITIVE[:2, :2].astype(dtype)), order=1)
