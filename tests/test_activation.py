"""The elementary functions that kernels are made of; activation functions as functions and layers, and their compiled loops."""

import math

import numpy as np
import pytest
from beside_torch import compare

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels import math as elementary
from chainrule.kernels.layer import inlined

rng = np.random.default_rng(0)

SPECIAL = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e-45, 2, -2, 3, -3, 0.5, -0.5, 1e30, -1e30])

# each in float64 or wider, which is exact as seen from the dtype that is tested
ELEMENTARY = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "erf": lambda x: np.vectorize(math.erf, otypes=[float])(x),
}


def looped(function, arguments=1):
    """A loop over ``function``, and its machine code."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def loop(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i]) if arguments == 1 else function(x[i], y[i])

    def run(x, y=None):
        out = np.empty_like(x)
        loop(x, x if y is None else y, out)
        return out

    run.assembly = lambda: loop.inspect_asm(loop.signatures[-1])
    return run


def units_in_the_last_place(found, exact):
    """The largest error; NaN, infinities and the signs of zeros have to be the same."""
    rounded = exact.astype(found.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    zero = exact == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(rounded[zero]))
    error = np.abs(found.astype(exact.dtype) - exact)[finite]
    return np.max(error / np.spacing(np.abs(rounded[finite])).astype(exact.dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions(name):
    run = looped(getattr(elementary, name))

    every_so_often = np.arange(0, 2**32, 2003 if name != "erf" else 50021, dtype=np.uint32).view(np.float32)
    x = np.concatenate([every_so_often, rng.standard_normal(50_000, np.float32), SPECIAL.astype(np.float32)])
    assert units_in_the_last_place(run(x), ELEMENTARY[name](x.astype(np.float64))) <= 2

    x = np.concatenate([rng.standard_normal(50_000) * scale for scale in (0.1, 1, 30, 300)] + [SPECIAL])
    assert units_in_the_last_place(run(x), ELEMENTARY[name](x.astype(np.longdouble if name != "erf" else float))) <= 2


_normal = elementary.normal


@inlined
def density(x):
    return _normal(x)[0]


@inlined
def share(x):
    return _normal(x)[1]


def test_cheaper_elementary_functions():
    """Their precision is another one: that of rounding the argument, or of results that are no normal numbers."""
    for dtype in (np.float32, np.float64):
        x = np.concatenate([np.linspace(-800, 0, 20_001), [-0.0, -np.inf, np.nan]]).astype(dtype)
        wide = x.astype(np.longdouble)
        exact = np.where(wide < np.log(np.finfo(dtype).tiny), 0, np.exp(wide))
        assert units_in_the_last_place(looped(elementary.exp_below_zero)(x), exact) <= 2
        x = np.concatenate([np.linspace(-40, 40, 2_001), [-np.inf, np.inf, np.nan]]).astype(dtype)
        wide, precision, smallest = x.astype(np.float64), np.finfo(dtype).eps, 2 * np.finfo(dtype).tiny
        below = np.vectorize(lambda x: 0.5 * math.erfc(-x * math.sqrt(0.5)), otypes=[float])(wide)
        np.testing.assert_allclose(looped(density)(x), np.exp(-wide * wide / 2), 400 * precision, smallest)
        np.testing.assert_allclose(looped(share)(x), below, 1000 * precision, smallest)
        near = np.abs(x) <= 1
        np.testing.assert_allclose(looped(share)(x)[near], below[near], 3 * precision)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTARY)
def test_loops_over_elementary_functions_are_vectorised(name, dtype):
    binding = pytest.importorskip("llvmlite.binding")
    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("looks for an instruction of AVX")
    run = looped(getattr(elementary, name))
    run(np.zeros(3, dtype))
    assert ("vmulps" if dtype == np.float32 else "vmulpd") in run.assembly()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pow(dtype):
    run = looped(elementary.pow, 2)
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    assert units_in_the_last_place(run(x, y), np.power(x.astype(np.float64), y.astype(np.float64))) <= 1
    x, y = rng.lognormal(0, 3, 100_000).astype(dtype), rng.normal(0, 8, 100_000).astype(dtype)
    assert units_in_the_last_place(run(x, y), np.power(x.astype(np.longdouble), y.astype(np.longdouble))) <= 1


# ---- activation functions, beside PyTorch's ---------------------------------------------------------------

# a layer's name, its arguments, and what the function that it calls is named
LAYERS = [
    ("ReLU", {}, "relu"),
    ("ReLU6", {}, "relu6"),
    ("LeakyReLU", {}, "leaky_relu"),
    ("LeakyReLU", {"negative_slope": 0.3}, "leaky_relu"),
    ("RReLU", {"lower": 0.1, "upper": 0.4}, "rrelu"),
    ("Hardtanh", {}, "hardtanh"),
    ("Hardtanh", {"min_val": -0.2, "max_val": 2.0}, "hardtanh"),
    ("Hardsigmoid", {}, "hardsigmoid"),
    ("Hardswish", {}, "hardswish"),
    ("Hardshrink", {}, "hardshrink"),
    ("Hardshrink", {"lambd": 1.0}, "hardshrink"),
    ("Softshrink", {}, "softshrink"),
    ("Softshrink", {"lambd": 1.0}, "softshrink"),
    ("Threshold", {"threshold": 0.1, "value": 20.0}, "threshold"),
    ("Sigmoid", {}, "sigmoid"),
    ("LogSigmoid", {}, "logsigmoid"),
    ("Tanh", {}, "tanh"),
    ("Tanhshrink", {}, "tanhshrink"),
    ("Softsign", {}, "softsign"),
    ("SiLU", {}, "silu"),
    ("GELU", {}, "gelu"),
    ("GELU", {"approximate": "tanh"}, "gelu"),
    ("Mish", {}, "mish"),
    ("ELU", {}, "elu"),
    ("ELU", {"alpha": 0.5}, "elu"),
    ("SELU", {}, "selu"),
    ("CELU", {}, "celu"),
    ("CELU", {"alpha": 0.5}, "celu"),
    ("Softplus", {}, "softplus"),
    ("Softplus", {"beta": 2.0, "threshold": 1.0}, "softplus"),
]
IDS = [f"{name} {options}".removesuffix(" {}") for name, options, _ in LAYERS]
LARGE = (5, 7, 90)  # from which on compiled loops are used, and no multiple of a vector


@pytest.mark.parametrize(("name", "options", "function"), LAYERS, ids=IDS)
def test_layers(name, options, function):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(**options).eval(), getattr(torch.nn, name)(**options).eval()
    tolerance = 1e-7 if name == "Hardsigmoid" else 1e-10  # PyTorch's has 1/6 in float32 in its gradient
    for shape in [(), (3, 4), (0, 2), LARGE]:
        x = np.asarray(3 * rng.standard_normal(shape))
        compare(ours, theirs, x, tolerance=tolerance)
        compare(ours, theirs, x, dtype=np.float32, tolerance=3e-6)
    extremes = np.array([-1e4, -100.0, -30.0, 30.0, 100.0, 1e4] * 500)
    compare(ours, theirs, extremes, tolerance=tolerance)
    compare(ours, theirs, extremes, dtype=np.float32, tolerance=3e-6)
    kinks = np.array([-6.0, -3.0, -1.0, -0.5, -0.2, 0.0, 0.5, 0.1, 1.0, 2.0, 3.0, 6.0] * 200)
    for x in (kinks[:12], kinks):
        compare(ours, theirs, x, tolerance=tolerance)
    cr.check_grads(ours, (rng.standard_normal((2, 3)) * 1.7,))
    options = {**options, "inplace": True} if hasattr(ours, "inplace") else options
    x = rng.standard_normal(3)
    np.testing.assert_array_equal(getattr(F, function)(x, **options), ours(x))
    if "inplace" in options:
        assert repr(getattr(nn, name)(**options)).endswith("inplace=True)")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "options", "function"), LAYERS, ids=IDS)
def test_compiled_loops_equal_their_references(name, options, function):
    """Also where an input is not finite, and in any order of the axes in memory."""
    ours = getattr(nn, name)(**options).eval()

    def value_and_gradient(x):
        v = cr.Variable(x)
        y = ours(v)
        y.grad = np.broadcast_to(np.asarray(0.7, x.dtype), x.shape)
        y.backward()
        return y.data, v.grad

    for dtype, tolerance in [(np.float32, 2e-6), (np.float64, 4e-15), (np.float16, 2e-3)]:
        x = (3 * rng.standard_normal((6, 10, 5, 11))).astype(dtype)
        x[0, 0, 0] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 60.0, -60.0]
        expected = [value_and_gradient(row) for row in x.reshape(-1, 110)]  # rows are too small for compiled loops
        y, g = (np.stack([e[i] for e in expected]).reshape(x.shape) for i in (0, 1))
        channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for variant in (x, np.asfortranarray(x), channels_last, np.repeat(x, 2, axis=3)[..., ::2]):
            got, gradient = value_and_gradient(variant)
            assert got.dtype == gradient.dtype == dtype
            np.testing.assert_allclose(got, y, tolerance, tolerance)
            np.testing.assert_allclose(gradient, g, tolerance, tolerance)
        assert value_and_gradient(channels_last)[0].strides == channels_last.strides or dtype == np.float16


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 2e-14), (np.float16, 4e-3)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_compiled_softmax_equals_its_reference(name, dtype, tolerance):
    """Each slice by itself is too small for the compiled version."""
    for n in (1, 10, 65, 300):
        x = (4 * rng.standard_normal((12, n, 101))).astype(dtype)
        x[0, :, 0], x[1, 0, 0], x[2, -1, 0], x[3, -1, 0] = -np.inf, np.inf, np.nan, -np.inf
        g = rng.standard_normal(x.shape).astype(dtype)

        def value_and_gradient(x, g, axis):
            v = cr.Variable(x)
            y = getattr(F, name)(v, axis)
            y.grad = np.take(g, 0, axis) if name == "logsumexp" else g
            y.backward()
            return y.data, v.grad

        pairs = [value_and_gradient(x[:, :, i], g[:, :, i], 1) for i in range(x.shape[2])]
        y, gradient = (np.stack([pair[i] for pair in pairs], axis=-1) for i in (0, 1))
        last_x, last_g = x.transpose(0, 2, 1), g.transpose(0, 2, 1)
        for array, cotangent, axis in [(x, g, 1), (last_x, last_g, 2), (np.ascontiguousarray(last_x), last_g, -1)]:
            got = value_and_gradient(array, cotangent, axis)
            for a, b in zip(got, (y, gradient), strict=True):
                b = b if axis == 1 or b.ndim == 2 else b.transpose(0, 2, 1)
                assert a.dtype == dtype
                np.testing.assert_allclose(a, b, tolerance, tolerance)


def test_results_do_not_depend_on_the_number_of_threads():
    x = rng.standard_normal((300, 301), np.float32)
    results, before = [], cr.get_num_threads()
    for n in (1, 2, 3):
        cr.set_num_threads(n)
        results.append([F.gelu(x), F.softmax(x), F.log_softmax(x, 0), F.logsumexp(x, 1)])
    cr.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_prelu():
    torch = pytest.importorskip("torch")
    for shape, n in [((4, 3), 3), ((2, 3, 4, 4), 3), ((2, 3, 4), 1), ((5,), 1), ((), 1)]:
        x, w = np.asarray(rng.standard_normal(shape)), rng.uniform(0.1, 0.5, n)
        compare(F.prelu, torch.nn.functional.prelu, x, w)
        cr.check_grads(F.prelu, (x, w))
    layer, theirs = nn.PReLU(3), torch.nn.PReLU(3)
    assert repr(layer) == repr(theirs) and list(layer.state_dict()) == list(theirs.state_dict())
    with pytest.raises(ValueError, match=r"weight has the shape \(1,\) or \(3,\).*got \(4,\)"):
        F.prelu(np.zeros((2, 3)), np.zeros(4))


def test_rrelu_draws_slopes():
    cr.random.manual_seed(0)
    layer, x = nn.RReLU(0.1, 0.3), cr.Variable(-np.ones((50, 50)))
    y = layer(x)
    assert 0.1 <= -y.data.max() < 0.11 and 0.29 < -y.data.min() <= 0.3
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, -y.data)
    assert (layer.eval()(x).data == -0.2).all()


def test_glu_and_softmax2d():
    torch = pytest.importorskip("torch")
    for shape, dim in [((4, 6), -1), ((4, 6, 3), 1), ((2, 6), 0)]:
        x = rng.standard_normal(shape)
        compare(nn.GLU(dim), torch.nn.GLU(dim), x)
        cr.check_grads(nn.GLU(dim), (x,))
    for shape in [(2, 3, 4, 5), (3, 4, 5)]:
        compare(nn.Softmax2d(), torch.nn.Softmax2d(), rng.standard_normal(shape))
    compare(nn.Softmin(1), torch.nn.Softmin(1), rng.standard_normal((2, 3)))
    with pytest.raises(ValueError, match=r"GLU: glu: axis -1 is halved, but the input is \(4, 5\)"):
        nn.GLU()(np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\) or \(C, H, W\), got \(3, 4\)"):
        nn.Softmax2d()(np.zeros((3, 4)))


def test_gumbel_softmax():
    cr.random.manual_seed(0)
    logits = np.log(np.array([0.2, 0.3, 0.5]))
    hard = F.gumbel_softmax(np.broadcast_to(logits, (4000, 3)), hard=True)
    assert set(hard.ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(hard.mean(0), np.exp(logits), atol=0.03)
    x = cr.Variable(np.array(np.broadcast_to(logits, (5, 3))))
    y = F.gumbel_softmax(x, tau=0.7)
    np.testing.assert_allclose(y.data.sum(-1), 1)
    np.sum(F.gumbel_softmax(x, hard=True) * np.arange(3)).backward()
    assert np.abs(x.grad).max() > 0 and np.allclose(x.grad.sum(-1), 0)


def test_errors():
    for call, message in [
        (lambda: F.hardtanh(np.zeros(3), 1.0, -1.0), "min_val is 1.0, larger than max_val"),
        (lambda: F.rrelu(np.zeros(3), 1.0, 0.5), "lower is 1.0, larger than upper"),
        (lambda: F.softshrink(np.zeros(3), -1.0), "lambd is not negative"),
        (lambda: F.gumbel_softmax(np.zeros(3), 0.0), "tau is positive"),
        (lambda: F.gelu(np.zeros(3), "erf"), "'none' or 'tanh', not 'erf'"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5, 3]), r"cutoffs rise"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [10]), r"cutoffs rise"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2, 5]), r"no dimension is left to cluster 1"),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2])(np.zeros((3, 4)), np.zeros(2, int)),
            r"expected input \(N, 4\) and target \(N,\).*got \(3, 4\) and \(2,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("bias", [False, True])
def test_adaptive_log_softmax(bias):
    torch = pytest.importorskip("torch")
    arguments = {"in_features": 16, "n_classes": 20, "cutoffs": [5, 10, 15], "div_value": 2.0, "head_bias": bias}
    ours, theirs = nn.AdaptiveLogSoftmaxWithLoss(**arguments), torch.nn.AdaptiveLogSoftmaxWithLoss(**arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = rng.standard_normal((8, 16)).astype(np.float32)
    for target in (np.array([0, 4, 5, 9, 10, 14, 15, 19]), np.array([3, 3, 3, 3, 17, 17, 0, 1])):
        v, t = cr.Variable(x), torch.tensor(x, requires_grad=True)
        got, expected = ours(v, target), theirs(t, torch.tensor(target))
        np.testing.assert_allclose(got.output.data, expected.output.detach(), 1e-5, 1e-5)
        np.testing.assert_allclose(got.loss.data, expected.loss.detach(), 1e-5)
        got.loss.backward()
        expected.loss.backward()
        np.testing.assert_allclose(v.grad, t.grad, 1e-4, 1e-6)
    one = ours(x[0], np.array(19))
    np.testing.assert_allclose(one.output.data, theirs(torch.tensor(x[0]), torch.tensor(19)).output.detach(), 1e-5)
    np.testing.assert_allclose(ours.log_prob(x).data, theirs.log_prob(torch.tensor(x)).detach(), 1e-4, 1e-5)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(torch.tensor(x)))
    with pytest.raises(IndexError, match=r"index 20 at position \(1,\); n_classes is 20"):
        ours(x[:2], np.array([0, 20]))


SINGLE = [
    "celu",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardtanh",
    "logsigmoid",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]


@pytest.mark.parametrize("name", SINGLE)
def test_one_number_in_half_precision(name):
    x = cr.Variable(np.array(0.3, np.float16))
    y = getattr(F, name)(x)
    y.backward()
    assert y.dtype == x.grad.dtype == np.float16
    assert y.shape == x.grad.shape == ()
    np.testing.assert_allclose(y.data, getattr(F, name)(np.array(float(x.data))), rtol=2e-3)


def test_softmax_of_one_number_and_of_none():
    for function, value in ((F.softmax, 1.0), (F.log_softmax, 0.0)):
        for dtype in (np.float16, np.float64):
            y = function(np.array(0.3, dtype), 0)
            assert (y.dtype, y.shape, float(y)) == (dtype, (), value)
        assert function(np.zeros((3, 0)), -1).shape == (3, 0)
        assert function(np.zeros((0, 3)), 0).shape == (0, 3)
    np.testing.assert_array_equal(F.logsumexp(np.zeros((3, 0)), 1), np.full(3, -np.inf))
