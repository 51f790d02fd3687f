"""The affine map with an activation as one operation: the same as one after the other, and nobody notices."""

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.functional.activation import _gelu_tanh
from chainrule.kernels.layer import enabled

RNG = np.random.default_rng(0)
SHAPES = [(48, 30, 50), (3, 60, 700), (300, 20, 600), (900, 9, 9)]  # rows, inputs, outputs
CASES = [(f, "f4") for f in (F.relu, F.sigmoid, F.tanh, F.silu, F.gelu, _gelu_tanh)] + [(F.relu, "f8"), (F.gelu, "f8")]

compiled = pytest.mark.skipif(not enabled(), reason="without compiled kernels it is one after the other")


def arrays(m, k, n, dtype="f4"):
    return [RNG.normal(size=shape).astype(dtype) for shape in ((m, k), (n, k), (n,))]


def gradients(f, *given):
    variables = [None if a is None else cr.Variable(a) for a in given]
    y = f(*variables)
    y.grad = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    y.backward()
    return y, [v.grad for v in variables if v is not None]


@pytest.mark.parametrize(("activation", "dtype"), CASES)
def test_it_is_what_one_after_the_other_is(activation, dtype):
    for m, k, n in SHAPES:
        x, w, b = arrays(m, k, n, dtype)
        for bias in (b, None) if (m, k, n) == SHAPES[0] else (b,):
            y, found = gradients(lambda *a: F.linear_activation(*a, activation=activation), x, w, bias)
            z, expected = gradients(lambda *a: activation(F.linear(*a)), x, w, bias)
            np.testing.assert_array_equal(y.data, z.data)
            np.testing.assert_array_equal(F.linear_activation(x, w, bias, activation), z.data)
            assert not enabled() or y.creator.name == "linear_" + activation.__name__.strip("_")
            tolerance = 1e-5 if dtype == "f4" else 1e-13
            for g, h in zip(found, expected, strict=True):
                assert g.dtype == dtype
                np.testing.assert_allclose(g, h, rtol=tolerance, atol=tolerance * np.max(np.abs(h)))


@pytest.mark.parametrize("activation", [F.relu, F.gelu])
def test_of_other_shapes_and_orders_in_memory(activation):
    x, w, b = arrays(60, 8, 40)
    for given in ((x.reshape(5, 12, 8), w, b), (np.asfortranarray(x), w.T.copy().T, b), (x[::-1], w[::2].copy(), b[::2])):
        y, found = gradients(lambda *a: F.linear_activation(*a, activation=activation), *given)
        z, expected = gradients(lambda *a: activation(F.linear(*a)), *given)
        np.testing.assert_allclose(y.data, z.data, rtol=1e-5, atol=1e-6)
        for g, h in zip(found, expected, strict=True):
            np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-5)
    special = x.copy()
    special[0, 0], special[1, 0], special[2, 0] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        y, found = gradients(lambda *a: F.linear_activation(*a, activation=activation), special, w, b)
        z, expected = gradients(lambda *a: activation(F.linear(*a)), special, w, b)
    for g, h in zip((y.data, *found), (z.data, *expected), strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-5)


def test_empty_arrays_and_other_functions():
    assert F.linear_activation(np.zeros((0, 3)), np.zeros((4, 3)), None, F.gelu).shape == (0, 4)
    assert F.linear_activation(np.zeros((40, 0)), np.zeros((40, 0)), np.ones(40), F.relu).min() == 1
    x, w, b = arrays(40, 3, 40)
    np.testing.assert_array_equal(F.linear_activation(x, w, b, F.mish), F.mish(F.linear(x, w, b)))
    with pytest.raises(ValueError, match="last axis 3 != in_features 4"):
        F.linear_activation(x, np.zeros((5, 4), np.float32))


@pytest.mark.parametrize("activation", [F.tanh, F.gelu])
def test_derivatives_of_any_order_and_in_both_modes(activation):
    x, w, b = arrays(35, 2, 30, "f8")
    cr.check_grads(lambda x, w, b: np.sum(F.linear_activation(x, w, b, activation) ** 2), [x, w, b])
    cr.check_grads(lambda x, w: F.linear_activation(x, w, None, activation)[0], [x, w])


def test_jacobians_and_batches():
    x, w, b = arrays(35, 2, 30, "f8")

    def layer(w):
        return F.linear_activation(x, w, b, F.silu)[::7, ::5]

    def parts(w):
        return F.silu(F.linear(x, w, b))[::7, ::5]

    np.testing.assert_allclose(cr.jacobian(layer)(w), cr.jacobian(parts)(w), atol=1e-12)
    ws = np.stack([w, 2 * w])
    np.testing.assert_allclose(cr.vmap(layer)(ws), cr.vmap(parts)(ws), atol=1e-12)

    def loss(w):
        return np.sum(layer(w) ** 2)

    np.testing.assert_allclose(cr.vmap(cr.grad(loss))(ws), np.stack([cr.grad(loss)(w) for w in ws]), atol=1e-12)


@compiled
def test_only_wanted_gradients_are_computed():
    x, w, b = arrays(40, 30, 50)
    weight = cr.Parameter(w)
    y = F.linear_activation(x, weight, b)
    y.sum().backward()
    assert weight.grad is not None
    with cr.no_grad():
        assert not F.linear_activation(x, weight, b).requires_grad
    assert isinstance(F.linear_activation(x, w, b), np.ndarray)


@compiled
def test_it_does_not_depend_on_the_number_of_threads():
    x, w, b = arrays(700, 60, 300)
    before, found = cr.get_num_threads(), []
    try:
        for threads in (1, 2):
            cr.set_num_threads(threads)
            found.append(gradients(lambda *a: F.linear_activation(*a, activation=F.gelu), x, w, b))
    finally:
        cr.set_num_threads(before)
    for g, h in zip((found[0][0].data, *found[0][1]), (found[1][0].data, *found[1][1]), strict=True):
        np.testing.assert_array_equal(g, h)


# ---- in layers ----------------------------------------------------------------------------------------------


def creator(model, x):
    return model(x).creator.name


@compiled
@pytest.mark.parametrize(
    ("layer", "name"),
    [(nn.ReLU(inplace=True), "relu"), (nn.GELU(), "gelu"), (nn.GELU("tanh"), "gelu_tanh"), (nn.SiLU(), "silu"),
     (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh")],
)  # fmt: skip
def test_sequential_joins_a_linear_layer_and_its_activation(layer, name):
    x = RNG.normal(size=(60, 64)).astype("f4")
    model = nn.Sequential(nn.Linear(64, 40), layer)
    assert creator(model, x) == "linear_" + name
    np.testing.assert_array_equal(model(x).data, layer(model[0](x)).data)


@compiled
def test_sequential_joins_nothing_that_someone_looks_at():
    x = RNG.normal(size=(60, 64)).astype("f4")

    class Own(nn.Linear):
        def forward(self, input):
            return super().forward(input) + 1

    class OwnReLU(nn.ReLU):
        def forward(self, input):
            return F.relu(input - 1)

    for linear, activation in ((Own(64, 40), nn.ReLU()), (nn.Linear(64, 40), OwnReLU()), (nn.Linear(64, 40), nn.ELU())):
        model = nn.Sequential(linear, activation)
        np.testing.assert_array_equal(model(x).data, activation(linear(x)).data)
        assert not creator(model, x).startswith("linear_")

    seen = []
    model = nn.Sequential(nn.Linear(64, 40), nn.ReLU())
    for module in model:
        with module.register_forward_hook(lambda module, args, output: seen.append(type(module).__name__)):
            model(x)
    assert seen == ["Linear", "ReLU"]
    assert creator(model, x) == "linear_relu"  # the hooks are gone
    model[0].forward = lambda input: np.zeros((60, 40), np.float32)
    assert not model(x).any()


@compiled
def test_sequential_joins_lazy_and_parametrized_layers_rightly():
    x = RNG.normal(size=(60, 64)).astype("f4")
    lazy = nn.Sequential(nn.LazyLinear(40), nn.ReLU())
    lazy(x)
    assert lazy[0].in_features == 64
    assert creator(lazy, x) == "linear_relu"
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(64, 40)), nn.Tanh())
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_errors_name_the_layer():
    model = nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Linear(41, 3))
    with pytest.raises(ValueError, match=r"model\.0 \(Linear\): expected \(\.\.\., 4\), got \(40, 5\)"):
        model(np.zeros((40, 5), np.float32))
    with pytest.raises(ValueError, match=r"model\.2 \(Linear\)"):
        model(np.zeros((40, 4), np.float32))


@compiled
def test_a_transformer_layer_joins_them_too():
    layer = nn.TransformerEncoderLayer(8, 2, 64, 0.0, activation="gelu")
    layer.self_attn = lambda x, *args, **options: (x, None)  # which is not what this is about
    x = RNG.normal(size=(10, 4, 8)).astype("f4")
    heard = []
    token = cr.core.config.debug.set(lambda call, arrays, direction: heard.append(call.name))
    try:
        layer(x)
    finally:
        cr.core.config.debug.reset(token)
    assert "linear_gelu" in heard
