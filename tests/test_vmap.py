"""vmap against a loop over the examples: each family of functions, derivatives inside and around it, and errors."""

from dataclasses import dataclass

import numpy as np
import pytest
from test_calculus_more import CASES, LATER, as_list

import chainrule as cr
import chainrule.functional as F
from chainrule import Variable, nn

rng = np.random.default_rng(0)
A, B, W = rng.normal(size=(4, 3)), rng.normal(size=(6, 3)), rng.normal(size=(5, 3))
MATRICES = rng.normal(size=(4, 3, 3)) + 3 * np.eye(3)


def loss(w, x):
    return np.sum(np.tanh(w @ x) ** 2)


def stacked(f, *batches):
    return np.stack([np.asarray(plain(f(*each))) for each in zip(*batches, strict=True)])


def plain(y):
    return y.data if isinstance(y, Variable) else y


# ---- axes and containers --------------------------------------------------------------------------------


def test_axes():
    np.testing.assert_allclose(cr.vmap(np.dot)(A, A), np.sum(A * A, axis=1))
    np.testing.assert_allclose(cr.vmap(np.dot, in_axes=1)(A, A), np.sum(A * A, axis=0))
    np.testing.assert_allclose(cr.vmap(np.dot, in_axes=(0, None))(A, A[0]), A @ A[0])
    np.testing.assert_allclose(cr.vmap(np.multiply, in_axes=(-1, None), out_axes=1)(A, A[:, 0]), A * A[:, :1])
    np.testing.assert_allclose(cr.vmap(lambda x, scale: x * scale)(A, scale=2.0), 2 * A)
    np.testing.assert_array_equal(cr.vmap(lambda x: 1.0)(A), np.ones(4))
    np.testing.assert_array_equal(cr.vmap(lambda x: (x, 1.0), out_axes=(0, None))(A)[1], 1.0)
    assert type(cr.vmap(np.sin)(A)) is np.ndarray
    assert cr.vmap(np.sum)(np.zeros((0, 3))).shape == (0,)


@dataclass
class Point:
    x: object
    y: object
    name: str = "p"


def test_containers():
    def f(p, point):
        return {"sum": p["a"] + p["b"][0], "name": p["name"]}, point.x * point.y

    p = {"a": A, "b": [A * 2], "name": "linear"}
    made, product = cr.vmap(f, in_axes=({"a": 0, "b": 0, "name": None}, Point(0, None, None)))(p, Point(A, 3.0))
    np.testing.assert_allclose(made["sum"], 3 * A)
    assert made["name"] == "linear"
    np.testing.assert_allclose(product, 3 * A)
    made, product = cr.vmap(f)(p, Point(A, A))
    np.testing.assert_allclose(product, A * A)


def test_variables_are_recorded():
    w, x = Variable(W), Variable(A)
    y = cr.vmap(loss, in_axes=(None, 0))(w, x)
    assert isinstance(y, Variable)
    np.sum(y).backward()
    np.testing.assert_allclose(w.grad, sum(cr.grad(loss)(W, x) for x in A))
    np.testing.assert_allclose(x.grad, stacked(lambda x: cr.grad(loss, 1)(W, x), A))
    w.reset_grad()
    np.sum(cr.vmap(lambda x: loss(w, x))(A)).backward()  # closed over
    np.testing.assert_allclose(w.grad, sum(cr.grad(loss)(W, x) for x in A))
    with cr.no_grad():
        assert not cr.vmap(lambda x: loss(w, x))(x).requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.vmap(np.dot)(A, B), "different numbers of examples: 4 along axis 0 of .*, 6 along axis 0"),
        (lambda: cr.vmap(np.sin)(1.0), r"shape \(\) has no axis 0 of examples; None in in_axes"),
        (lambda: cr.vmap(np.sin, in_axes=2)(A), "no axis 2"),
        (lambda: cr.vmap(np.sin, in_axes=None)(A), "no argument has an axis of examples"),
        (lambda: cr.vmap(np.dot, in_axes=(0,))(A, A), "1 entries for 2 arguments"),
        (lambda: cr.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": A}), "neither an axis, None, nor a container like dict"),
        (lambda: cr.vmap(np.sin, out_axes=None)(A), "out_axes is None for a result that differs"),
    ],
)
def test_wrong_axes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: float(x[0]),
        lambda x: range(x[0].astype(int)),
        lambda x: np.asarray(x),
        lambda x: np.zeros(3).__setitem__(0, x[0]),
        lambda x: W[:, 0][x[0].astype(int)],
        lambda x: x[x > 0],
        lambda x: np.nonzero(x),
        lambda x: np.unique(x),
        lambda x: np.add(x, 1.0, out=np.zeros(3)),
    ],
)
def test_what_differs_from_example_to_example_is_refused(f):
    with pytest.raises((TypeError, ValueError)) as error:  # NumPy puts a ValueError of its own around ours in buffer[i] = x
        cr.vmap(f)(A)
    assert "vmap" in f"{error.value} {error.value.__cause__}"


def test_what_is_the_same_for_all_is_not():
    def f(x, mask, n, table, i):
        return x[mask] * n + table[i][mask] if mask[0] and float(table[0, 0]) else x

    mask, i = np.array([True, False, True]), np.array([0, 1, 5, 2])
    np.testing.assert_allclose(cr.vmap(f, (0, None, None, None, 0))(A, mask, 2, B, i), A[:, mask] * 2 + B[i][:, mask])


def test_a_value_that_escapes_is_refused():
    kept = []
    cr.vmap(lambda x: kept.append(x) or x)(A)
    with pytest.raises(RuntimeError, match="used after it"):
        kept[0] + 1


# ---- each family of functions ---------------------------------------------------------------------------

#: Its result's shape depends on the values, so that it is refused.
BY_SHAPE = ("trim_zeros",)


@pytest.mark.parametrize("name", [n for n in CASES if n.split()[0] not in LATER or hasattr(np, n.split()[0])])
@pytest.mark.filterwarnings("ignore")
def test_each_function(name):
    f, *args = CASES[name]
    examples = [args, [np.asarray(a * 1.001) for a in args]]
    batches = [np.stack(each) for each in zip(*examples, strict=True)]
    results = [[np.asarray(plain(y)) for y in as_list(f(*map(Variable, each)))] for each in examples]
    vs = [rng.uniform(0.5, 1.5, y.shape) for y in results[0]]

    def loss(*xs):
        return sum(np.sum(v * (np.real(y) if np.iscomplexobj(y) else y)) for v, y in zip(vs, as_list(f(*xs)), strict=True))

    gradient = cr.grad(loss, tuple(range(len(args))))
    expected = [np.stack(each) for each in zip(*(gradient(*each) for each in examples), strict=True)]
    if not name.startswith("trim_zeros"):
        for made, both in zip(as_list(cr.vmap(f)(*batches)), zip(*results, strict=True), strict=True):
            np.testing.assert_allclose(made, np.stack(both), rtol=1e-9, atol=1e-12)
        around = cr.grad(lambda *xs: np.sum(cr.vmap(loss)(*xs)), tuple(range(len(args))))(*batches)
        for made, g in zip(around, expected, strict=True):
            np.testing.assert_allclose(made, g, rtol=1e-7, atol=1e-9)
    if not name.startswith(BY_SHAPE):
        for made, g in zip(cr.vmap(gradient)(*batches), expected, strict=True):
            np.testing.assert_allclose(made, g, rtol=1e-7, atol=1e-9)


INDICES = {
    "number": (1,), "slices": (slice(1, None), slice(None, None, -1)), "new axis": (None, 0, ..., None), "array": ([2, 0, 2],),
    "arrays together": (slice(None), [0, 1], [1, 0]), "arrays apart": ([0, 1], slice(None), [1, 0]),
    "array and number": ([0, 1], ..., 1), "mask": (np.array([True, False, True]),), "table": (..., np.array([[0, 1], [1, 1]])),
    "number beside array": (1, slice(None), [0, 0, 1]), "all": (...,), "new axis between": ([0, 1], None, [1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", INDICES)
def test_indices(name):
    x, index = rng.normal(size=(4, 3, 4, 2)), tuple(np.array(i) if isinstance(i, list) else i for i in INDICES[name])
    index = index if len(index) > 1 else index[0]
    v = rng.normal(size=x[0][index].shape)
    np.testing.assert_array_equal(cr.vmap(lambda x: x[index])(x), stacked(lambda x: x[index], x))

    def f(x):
        return np.sum(v * x[index] ** 2)

    np.testing.assert_allclose(cr.vmap(cr.grad(f))(x), stacked(cr.grad(f), x))
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(cr.vmap(f)(x)))(x), stacked(cr.grad(f), x))

    def assigned(x, value):
        y = np.zeros_like(x)
        y[index] = value[index] if value.ndim else value
        y[0] += x[0]
        return y

    np.testing.assert_allclose(cr.vmap(assigned)(x, x), stacked(assigned, x, x))
    np.testing.assert_allclose(cr.vmap(assigned)(x, x[:, 0, 0, 0]), stacked(assigned, x, x[:, 0, 0, 0]))
    np.testing.assert_allclose(cr.vmap(assigned, in_axes=(None, 0))(x[0], x), np.stack([assigned(x[0], v) for v in x]))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_an_index_of_each_examples_own(place, shape):
    x = rng.normal(size=(5, 3, 3, 3))
    i = rng.integers(-3, 3, (5, *shape))
    other = rng.integers(3, size=shape[-1:]) if shape else 1

    def take(x, i):
        return [x[i], x[:, i], x[..., i, other], x[i, :, other]][place]

    for in_axes in ((0, 0), (None, 0), (0, None)):
        xs, js = ([v] * 5 if axis is None else v for v, axis in zip((x[0] if in_axes[0] is None else x,
                  i[0] if in_axes[1] is None else i), in_axes, strict=True))  # fmt: skip
        given = [v[0] if axis is None else v for v, axis in zip((xs, js), in_axes, strict=True)]
        np.testing.assert_array_equal(cr.vmap(take, in_axes)(*given), stacked(take, xs, js))
        f = lambda x, i: np.sum(np.sin(take(x, i)))  # noqa: E731
        np.testing.assert_allclose(cr.vmap(cr.grad(f), in_axes)(*given), stacked(cr.grad(f), xs, js))
        around = cr.grad(lambda x: np.sum(cr.vmap(f, in_axes)(x, given[1])))(given[0])  # noqa: B023
        each = stacked(cr.grad(f), xs, js)
        np.testing.assert_allclose(around, each.sum(axis=0) if in_axes[0] is None else each)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 4)),
                                    ((2, 3), (5, 3, 2)), ((5, 2, 3), (5, 3, 2)), ((3,), (2, 3, 4)), ((2, 3, 3), (3,))])  # fmt: skip
def test_products(shapes):
    x, y = (rng.normal(size=(4, *shape)) for shape in shapes)
    for f in (np.matmul, np.dot, np.inner if shapes[0][-1] == shapes[1][-1] else np.multiply.outer):
        for in_axes in ((0, 0), (None, 0), (0, None)):
            given = [v[0] if axis is None else v for v, axis in zip((x, y), in_axes, strict=True)]
            each = [[v] * 4 if axis is None else v for v, axis in zip(given, in_axes, strict=True)]
            np.testing.assert_allclose(cr.vmap(f, in_axes)(*given), stacked(f, *each))
            square = lambda x, y: np.sum(f(x, y) ** 2)  # noqa: E731, B023
            for made, k in zip(cr.vmap(cr.grad(square, (0, 1)), in_axes)(*given), (0, 1), strict=True):
                np.testing.assert_allclose(made, stacked(cr.grad(square, k), *each))


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh", "qr", "svd", "pinv", "solve", "norm", "cond",
                                  "matrix_power", "eigvalsh", "lstsq"])  # fmt: skip
def test_linear_algebra(name):
    def f(a):
        a = a @ a.T + np.eye(3)
        more = {"solve": (A[0],), "lstsq": (A[0],), "matrix_power": (3,)}.get(name, ())
        made = getattr(np.linalg, name)(a, *more)
        if name in ("eigh", "svd"):  # the vectors' signs are arbitrary
            made = [m**2 for m in made]
        return sum(np.sum(np.sin(m)) for m in (made[:1] if name == "lstsq" else as_list(made)))

    for x in (MATRICES, np.asfortranarray(MATRICES), np.repeat(MATRICES, 2, axis=-1)[..., ::2]):
        np.testing.assert_allclose(cr.vmap(f)(x), stacked(f, MATRICES))
        np.testing.assert_allclose(cr.vmap(cr.grad(f))(x), stacked(cr.grad(f), MATRICES), atol=1e-9)
        np.testing.assert_allclose(cr.grad(lambda x: np.sum(cr.vmap(f)(x)))(x), stacked(cr.grad(f), MATRICES), atol=1e-9)


@pytest.mark.parametrize("name", ["ptp", "argmax", "argsort", "any", "median", "all", "count_nonzero", "round", "digitize"])
def test_functions_without_a_gradient(name):
    more = {"digitize": (np.array([-0.5, 0.5]),)}.get(name, ())
    np.testing.assert_array_equal(
        cr.vmap(lambda x: getattr(np, name)(x, *more))(A), stacked(lambda x: getattr(np, name)(x, *more), A)
    )
    assert cr.vmap(lambda x: x * (np.ndim(x) + np.shape(x)[0] + np.size(x) + len(x)))(A)[0, 0] == 10 * A[0, 0]


def test_methods_and_operators():
    def f(x):
        y = x.reshape(3, 1).T.astype(np.float32).sum(axis=0).copy()
        y += 1
        y[0] *= 2
        return (
            (abs(-y) ** 2 // 1 % 3 > 1) | (x.max() <= x.mT[0] if x.ndim > 1 else x.flatten() >= x.mean()),
            divmod(x, 2)[1],
            1 - x,
            x.real,
        )

    for made, expected in zip(cr.vmap(f)(A), zip(*map(f, A), strict=True), strict=True):
        np.testing.assert_array_equal(made, np.stack(expected))
    assert [len(list(row)) for row in [cr.vmap(lambda x: np.stack([v * 2 for v in x]))(A)]] == [4]


def test_functions_that_write():
    def f(x):
        y = np.zeros_like(x)
        np.add.at(y, [0, 0, 1], x)
        np.fill_diagonal(z := np.zeros_like(np.outer(x, x)), x[0])
        np.copyto(y, x, where=np.array([False, True, False]))
        return y, z, np.full_like(x, x[0])

    for made, expected in zip(cr.vmap(f)(A), zip(*map(f, A), strict=True), strict=True):
        np.testing.assert_array_equal(made, np.stack(expected))


# ---- derivatives inside and around ----------------------------------------------------------------------

GRADIENTS = np.stack([cr.grad(loss)(W, x) for x in A])


def test_gradients_for_each_example():
    np.testing.assert_allclose(cr.vmap(cr.grad(loss), in_axes=(None, 0))(W, A), GRADIENTS)
    values, gradients = cr.vmap(cr.value_and_grad(loss, argnums=(0, 1)), in_axes=(None, 0))(W, A)
    np.testing.assert_allclose(values, [loss(W, x) for x in A])
    np.testing.assert_allclose(gradients[0], GRADIENTS)


def test_each_transform_inside():
    f = lambda x: np.tanh(W @ x)  # noqa: E731
    for g in (
        cr.jacobian(f), cr.jacobian(f, mode="forward"), cr.hessian(lambda x: np.sum(f(x) ** 2)), cr.elementwise_grad(np.sin),
        lambda x: cr.jvp(f, [x], [x])[1], lambda x: cr.vjp(f, x)[1](W @ x)[0], lambda x: cr.linearize(f, x)[1](x),
        lambda x: cr.hvp(lambda x: np.sum(f(x) ** 2), [x], [x]), lambda x: cr.make_ggnvp(f)(x)(x),
        lambda x: cr.stop_gradient(x) * x, cr.jacobian(cr.jacobian(np.sin)), cr.grad(lambda x: cr.grad(lambda y: np.sum(x * y**3))(x)[0]),
    ):  # fmt: skip
        np.testing.assert_allclose(cr.vmap(g)(A), stacked(g, A), atol=1e-12)
        total = lambda x: np.sum(np.sin(g(x)))  # noqa: E731, B023
        np.testing.assert_allclose(cr.grad(lambda x: np.sum(np.sin(cr.vmap(g)(x))))(A), stacked(cr.grad(total), A), atol=1e-12)  # noqa: B023
        tangent = cr.jvp(lambda x: np.sin(cr.vmap(g)(x)), [A], [A])[1]  # noqa: B023
        np.testing.assert_allclose(tangent, stacked(lambda x: cr.jvp(lambda x: np.sin(g(x)), [x], [x])[1], A), atol=1e-12)  # noqa: B023


def test_nesting():
    pairs = lambda f: cr.vmap(lambda a: cr.vmap(lambda b: f(a, b))(B))  # noqa: E731
    np.testing.assert_allclose(pairs(np.dot)(A), A @ B.T)
    np.testing.assert_allclose(pairs(cr.grad(lambda a, b: np.sin(a @ b)))(A), np.cos(A @ B.T)[..., None] * B)
    inner = cr.grad(lambda a: np.sum(cr.vmap(lambda b: np.sin(a @ b))(B)))
    np.testing.assert_allclose(cr.vmap(inner)(A), np.cos(A @ B.T) @ B)
    outer = cr.grad(lambda a: np.sum(cr.vmap(inner)(a) ** 2))(A)
    np.testing.assert_allclose(outer, cr.grad(lambda a: np.sum((np.cos(a @ B.T) @ B) ** 2))(A))
    twice = cr.vmap(cr.vmap(np.add, in_axes=(0, None)), in_axes=(None, 0))(A[0], A[1])
    np.testing.assert_allclose(twice, A[0] + A[1][:, None])
    np.testing.assert_allclose(cr.vmap(lambda a: cr.vmap(lambda b: b * 2)(B))(A), np.broadcast_to(2 * B, (4, 6, 3)))


def test_what_is_closed_over_is_differentiated_around():
    square = lambda h: cr.grad(lambda w: np.sum(h(w) ** 2))(W)  # noqa: E731
    one = lambda w: cr.vmap(lambda x: cr.grad(lambda z: np.sum(w @ z) * z[0])(x) * cr.grad(lambda z: z * np.sum(w))(1.0))(A)  # noqa: E731
    two = lambda w: np.stack([cr.grad(lambda z: np.sum(w @ z) * z[0])(x) * np.sum(w) for x in A])  # noqa: E731
    np.testing.assert_allclose(square(one), square(two))


# ---- jacobian and hessian -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("chunk_size", [None, 1, 2, 100])
def test_jacobian_in_chunks(mode, chunk_size):
    f = lambda x, y: np.tanh(W @ x) * y  # noqa: E731
    x, y = A[0], np.array(2.0)
    jx, jy = cr.jacobian(f, (0, 1), mode, chunk_size)(x, y)
    np.testing.assert_allclose(jx, (2 / np.cosh(W @ x) ** 2)[:, None] * W)
    np.testing.assert_allclose(jy, np.tanh(W @ x))
    with pytest.raises(ValueError, match="chunk_size must be positive"):
        cr.jacobian(f, chunk_size=0)
    assert cr.jacobian(lambda x: x[:0], mode=mode)(x).shape == (0, 3)
    assert cr.jacobian(np.sum, mode=mode)(x[:0]).shape == (0,)


def test_jacobian_of_a_function_that_takes_one_row_at_a_time():
    class Cube(cr.Function):
        def forward(self, x):
            return x**3

        def backward(self, g):
            return np.array([float(v) for v in 3 * self.inputs[0].data ** 2 * g])

    np.testing.assert_allclose(cr.jacobian(lambda x: Cube()(x))(A[0]), np.diag(3 * A[0] ** 2))
    np.testing.assert_allclose(
        cr.jacobian(lambda x: np.sin(Cube()(x))[[0, 1]])(A[0])[1, 1], np.cos(A[0, 1] ** 3) * 3 * A[0, 1] ** 2
    )


# ---- functions of one's own -----------------------------------------------------------------------------


class Cube(cr.Function):
    """Takes one example at a time."""

    def forward(self, x):
        return np.array([float(v) ** 3 for v in np.asarray(x)])

    def backward(self, g):
        return 3 * self.inputs[0].data ** 2 * g


def test_functions_and_primitives_of_ones_own():
    @cr.primitive
    def leaky(u, d):
        y = [float(u[0])]
        for v in u[1:]:
            y.append(float(v) + float(d) * y[-1])
        return np.array(y)

    def adjoint(g, d):
        return leaky(g[::-1], d)[::-1]

    cr.define_rule(leaky, u=adjoint, d=lambda g, ans, d: np.sum(adjoint(g, d)[1:] * ans[:-1]))

    @cr.custom_vjp
    def rounded(x):
        return np.round(x)

    rounded.defvjp(lambda x: (np.round(x), None), lambda kept, g: (g,))
    for f in (lambda x: np.sum(Cube()(x)), lambda x: np.sum(leaky(x, x[0]) ** 2), lambda x: np.sum(rounded(x) ** 2)):
        np.testing.assert_allclose(cr.vmap(f)(A), stacked(f, A))
        np.testing.assert_allclose(cr.vmap(cr.grad(f))(A), stacked(cr.grad(f), A))
        np.testing.assert_allclose(cr.grad(lambda x: np.sum(cr.vmap(f)(x)))(A), stacked(cr.grad(f), A))  # noqa: B023


def test_fixed_points_checkpoints_and_solvers():
    x = np.array([0.5, 1.0, 2.0])
    newton = lambda a, x: (x + a / x) / 2  # noqa: E731
    root = lambda a: cr.fixed_point(newton, a, 1.0)  # noqa: E731
    np.testing.assert_allclose(cr.vmap(root)(x), np.sqrt(x))
    np.testing.assert_allclose(cr.vmap(cr.grad(root))(x), 0.5 / np.sqrt(x))
    np.testing.assert_allclose(cr.grad(lambda a: np.sum(cr.vmap(root)(a)))(x), 0.5 / np.sqrt(x))
    again = cr.checkpoint(lambda x: np.sin(x) ** 2)
    np.testing.assert_allclose(cr.vmap(cr.grad(again))(x), np.sin(2 * x))
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(cr.checkpoint(cr.vmap(again))(x)))(x), np.sin(2 * x))
    np.testing.assert_allclose(cr.jacobian(again)(x), np.diag(np.sin(2 * x)))


# ---- networks -------------------------------------------------------------------------------------------


def test_each_example_has_random_numbers_of_its_own():
    cr.random.manual_seed(0)
    kept = cr.vmap(lambda x: F.dropout(x, 0.5))(np.ones((8, 16)))
    assert len({tuple(row) for row in kept}) == 8
    kept = cr.vmap(lambda x: cr.vmap(lambda y: F.dropout(x * y, 0.5))(np.ones(4)))(np.ones((8, 16)))
    assert len({tuple(row) for row in kept.reshape(-1, 16)}) == 32
    gradients = cr.vmap(cr.grad(lambda x: np.sum(F.dropout(x, 0.5))))(np.ones((8, 16)))
    assert len({tuple(row) for row in gradients}) == 8


NETWORKS = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 3)), (5,), ()),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 2, groups=2), nn.Flatten()),
        (1, 2, 5, 5), (1,),
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(7, 4, padding_idx=2), nn.Flatten(0), nn.Linear(12, 3)), None, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    cr.random.manual_seed(0)
    make, shape, batch = NETWORKS[name]
    model = make()
    xs = rng.integers(7, size=(4, 3)) if shape is None else rng.normal(size=(4, *shape))
    targets = rng.integers(2, size=(4, *batch))

    def loss(model, x, target):
        return F.cross_entropy(model(x), target)

    each = [cr.grad(loss)(model, x, t) for x, t in zip(xs, targets, strict=True)]
    assert each[0].keys() == dict(model.named_parameters()).keys()
    together = cr.vmap(cr.grad(loss), in_axes=(None, 0, 0))(model, xs, targets)
    total = cr.grad(lambda model: np.sum(cr.vmap(loss, in_axes=(None, 0, 0))(model, xs, targets)))(model)
    for key, made in together.items():
        np.testing.assert_allclose(made, np.stack([g[key] for g in each]), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(total[key], sum(g[key] for g in each), rtol=1e-4, atol=1e-6)


def test_an_ensemble_of_networks():
    models = [NETWORKS["convolution"][0]() for _ in range(3)]
    x = rng.normal(size=NETWORKS["convolution"][1])
    states = {key: np.stack([m.state_dict()[key] for m in models]) for key in models[0].state_dict()}

    def predict(state):
        return models[0].with_parameters(state)(x)

    np.testing.assert_allclose(cr.vmap(predict)(states), np.stack([m(x).data for m in models]), rtol=1e-4, atol=1e-5)
    gradients = cr.vmap(cr.grad(lambda state: np.sum(predict(state) ** 2)))(states)
    for k, model in enumerate(models):
        expected = cr.grad(lambda model: np.sum(model(x) ** 2))(model)
        for key, g in expected.items():
            np.testing.assert_allclose(gradients[key][k], g, rtol=1e-3, atol=1e-4)
    with pytest.raises(KeyError, match="no Parameter 'weigth'"):
        models[0].with_parameters({"weigth": x})


def test_what_needs_values_is_differentiated_for_each_example_to_any_order():
    class Cube(cr.Function):
        def forward(self, x):
            assert float(np.sum(x)) < 1e9
            return x**3

        def backward(self, g):
            return 3 * g * self.inputs[0].data ** 2

    for f in (
        lambda x: np.sum(np.piecewise(x, [x < 0, x >= 0], [lambda x: x**2, lambda x: x**4])),
        lambda x: np.sum(Cube()(x)),
    ):
        g = cr.grad(f)
        second = cr.grad(lambda x, g=g: np.sum(g(x) ** 2))
        third = cr.grad(lambda x, second=second: np.sum(second(x) ** 2))
        for function in (g, second, third, lambda x, f=f: cr.jvp(f, (x,), (x,))[1]):
            np.testing.assert_allclose(cr.vmap(function)(A), stacked(function, A), rtol=1e-12)


def test_what_needs_values_in_nested_batches():
    q = np.random.default_rng(1).uniform(0.1, 0.9, (2, len(A), 2))
    g = cr.grad(lambda x, q: np.sum(np.quantile(x, q) ** 2), (0, 1))
    expected = [cr.vmap(g)(A, each) for each in q]
    for k, found in enumerate(cr.vmap(cr.vmap(g), (None, 0))(A, q)):
        np.testing.assert_allclose(found, np.stack([e[k] for e in expected]), rtol=1e-12)


def test_examples_without_axes():
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(cr.vmap(lambda x: np.sum(x, axis=0))(x), x)
    np.testing.assert_array_equal(cr.vmap(lambda x: x[np.array(True)])(x), x[:, None])
    np.testing.assert_array_equal(cr.vmap(lambda x: np.cumsum(x, axis=0))(x), x[:, None])
    np.testing.assert_array_equal(cr.vmap(lambda x: np.roll(x, (1, 1), (0, 0)))(A), np.roll(A, 2, 1))


def test_what_needs_values_is_refused_where_a_gradient_flows_from_outside():
    def f(w):
        return np.sum(cr.vmap(cr.grad(lambda x: np.sum(np.piecewise(x * w, [x < 0, x >= 0], [np.exp, np.sin]))))(A))

    with pytest.raises(cr.core.batched.NotBatched, match="inside vmap"):
        cr.grad(f)(np.ones(A.shape[1]))


# ---- functions of networks ------------------------------------------------------------------------------


def _several(*shape):
    return rng.standard_normal((3, *shape))


FUNCTIONS = {
    "embedding": (lambda w, i: F.embedding(i, w, padding_idx=0), _several(4, 2), np.array([[0, 1, 3], [2, 2, 1], [0, 0, 0]])),
    "embedding, by frequency": (
        lambda w, i: F.embedding(i, w, padding_idx=0, scale_grad_by_freq=True), _several(4, 2), np.array([[0, 1], [2, 2], [0, 0]])
    ),
    "attention with a mask": (
        lambda x, m: F.scaled_dot_product_attention(x, x, x, m), _several(2, 4, 3), rng.random((3, 4, 4)) > 0.5
    ),
    "ctc_loss": (lambda x, t: F.ctc_loss(F.log_softmax(x), t, (5,), (2,)), _several(5, 1, 4), rng.integers(1, 4, (3, 1, 2))),
    "gaussian_nll_loss": (lambda x, v: F.gaussian_nll_loss(x, x**2, v), _several(4), rng.random((3, 4))),
    "max_unpool1d": (lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2), _several(2, 6)),
    "multilabel_margin_loss": (F.multilabel_margin_loss, _several(4), np.array([[1, -1, 0, 0], [2, 0, 1, 3], [-1, 0, 0, 0]])),
    "nothing that counts": (lambda x, t: F.cross_entropy(x, t, ignore_index=1), _several(2, 3), np.array([[1, 1], [0, 1], [2, 0]])),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_networks_on_each_example(name):
    f, *arrays = FUNCTIONS[name]
    examples = list(zip(*arrays, strict=True))
    np.testing.assert_allclose(cr.vmap(f)(*arrays), [f(*a) for a in examples], atol=1e-12)
    slope = cr.grad(lambda *a: np.sum(f(*a) ** 2))
    np.testing.assert_allclose(cr.vmap(slope)(*arrays), [slope(*a) for a in examples], atol=1e-12)


def test_scans_without_a_gradient():
    flags = rng.random((3, 5)) > 0.3
    np.testing.assert_array_equal(cr.vmap(np.logical_and.accumulate)(flags), np.logical_and.accumulate(flags, axis=1))


class _OfNumbers(cr.Function):
    """x³ y, by Python's numbers, so that it can't take a batch."""

    def forward(self, x, y):
        return np.array(float(x) ** 3 * float(y))

    def backward(self, g):
        x, y = (v.data for v in self.inputs)
        return g * 3 * x * x * y, g * x**3


def test_function_of_numbers_inside_of_nested_vmaps():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def f(x, y):
        return _OfNumbers()(x, y)

    def of_all(h):
        return cr.vmap(cr.vmap(h, in_axes=(None, 0)), in_axes=(0, None))(x, y)

    np.testing.assert_allclose(of_all(cr.grad(f)), 3 * x[:, None] ** 2 * y)
    np.testing.assert_allclose(
        of_all(lambda x, y: cr.jvp(f, [x, y], [1.0, 0.5])[1]), 3 * x[:, None] ** 2 * y + 0.5 * x[:, None] ** 3
    )
    np.testing.assert_allclose(of_all(cr.hessian(f)), 6 * x[:, None] * y)
    stacked = cr.vmap(cr.jacobian(lambda v: f(v[0], v[1]) * v, mode="reverse"))(np.stack([x, y]))
    np.testing.assert_allclose(stacked[1], cr.jacobian(lambda v: v[0] ** 3 * v[1] * v)(y))


def test_function_differentiated_inside_and_around_a_vmap_is_an_error():
    x = np.array([1.0, 2.0])
    around = cr.grad(lambda w: np.sum(cr.vmap(lambda x: _OfNumbers()(x, w))(x)))
    np.testing.assert_allclose(around(3.0), np.sum(x**3))
    with pytest.raises(TypeError, match="inside a vmap"):
        cr.grad(lambda w: np.sum(cr.vmap(lambda x: cr.grad(lambda x: _OfNumbers()(x, w))(x))(x)))(3.0)


def test_custom_vjp_that_keeps_arrays_is_differentiated_twice_inside_of_a_vmap():
    @cr.custom_vjp
    def f(x, y):
        return np.sin(x) * y

    f.defvjp(lambda x, y: (np.sin(x) * y, (x, y)), lambda kept, g: (g * np.cos(kept[0]) * kept[1], g * np.sin(kept[0])))
    x, y = np.array([0.3, 0.5, np.pi]), np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(cr.vmap(cr.hessian(f))(x, y), -np.sin(x) * y)
    np.testing.assert_allclose(cr.vmap(cr.grad(cr.grad(f)))(x, y), -np.sin(x) * y)


def test_jacobians_of_a_solver_inside_of_nested_vmaps():
    odeint = pytest.importorskip("chainrule.scipy.integrate").odeint

    def oscillation(k, y0):
        return odeint(
            lambda y, t, k: np.stack([y[1], -k * y[0]]), y0, np.array([0.0, 0.5, 1.0]), args=(k,), rtol=1e-9, atol=1e-9
        )[-1]

    k, starts = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.5, -1.0]])
    w = np.sqrt(k)
    expected = np.array([[[np.cos(a), np.sin(a) / a], [-a * np.sin(a), np.cos(a)]] for a in w])
    for mode in ("forward", "reverse"):
        made, in_k = (
            cr.vmap(cr.vmap(cr.jacobian(oscillation, argnums=n, mode=mode), in_axes=(None, 0)), in_axes=(0, None))(k, starts)
            for n in (1, 0)
        )
        np.testing.assert_allclose(made, np.stack([expected, expected], axis=1), atol=1e-6)
        difference = (oscillation(2 + 1e-5, starts[1]) - oscillation(2 - 1e-5, starts[1])) / 2e-5
        np.testing.assert_allclose(in_k[1, 1], difference, atol=1e-4)
