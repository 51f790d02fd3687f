"""Pooling: beside PyTorch's, forward and gradient; and second derivatives."""

import numpy as np
import pytest
from beside_torch import compare
from test_nn import compare_layers
from test_normalization import in_layout

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels import pooling as kernels

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


POOLS = {
    "2": ((2, 3, 8, 6), 2, {}),
    "odd": ((2, 3, 7, 9), 2, {}),
    "not square": ((2, 3, 7, 9), (3, 2), {"stride": (1, 2)}),
    "overlapping": ((2, 3, 9, 9), 3, {"stride": 2, "padding": 1}),
    "ceil": ((1, 2, 8, 7), 3, {"stride": 2, "ceil_mode": True}),
    "ceil padding": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    "ceil, last window in the padding": ((1, 1, 5, 5), 2, {"stride": 3, "padding": 1, "ceil_mode": True}),
    "empty batch": ((0, 2, 4, 4), 2, {}),
    "empty batch overlapping": ((0, 2, 4, 4), 3, {"stride": 1}),
}
DILATED = {
    "dilation": ((2, 2, 9, 8), 3, {"dilation": 2, "stride": 1, "padding": 1}),
    "dilation ceil": ((2, 2, 9, 8), 2, {"dilation": (3, 2), "stride": 2, "ceil_mode": True}),
}
AVERAGES = {
    "image alone": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "count_include_pad": False}),
    "image alone, ceil": ((1, 2, 6, 7), 3, {"stride": 2, "padding": 1, "count_include_pad": False, "ceil_mode": True}),
    "divisor": ((1, 2, 6, 7), 3, {"divisor_override": 5}),
}  # fmt: skip


@pytest.mark.parametrize("case", POOLS | DILATED)
def test_max_pool2d(case):
    shape, size, options = (POOLS | DILATED)[case]
    x = rng.standard_normal(shape)
    compare(lambda x: F.max_pool2d(x, size, **options), lambda x: TF.max_pool2d(x, size, **options), x)
    ties = rng.integers(0, 2, shape)
    compare(lambda x: F.max_pool2d(x, size, **options), lambda x: TF.max_pool2d(x, size, **options), ties)
    if x.size:
        x = x[:1, :1]
        cr.check_grads(lambda x: np.square(F.max_pool2d(x, size, **options)), (x,))


@pytest.mark.parametrize("case", POOLS | AVERAGES)
def test_avg_pool2d(case):
    shape, size, options = (POOLS | AVERAGES)[case]
    x = rng.standard_normal(shape)
    compare(lambda x: F.avg_pool2d(x, size, **options), lambda x: TF.avg_pool2d(x, size, **options), x)
    compare(
        lambda x: F.avg_pool2d(x, size, **options),
        lambda x: TF.avg_pool2d(x, size, **options),
        x,
        dtype=np.float32,
        tolerance=1e-5,
    )
    if x.size:
        cr.check_grads(lambda x: np.square(F.avg_pool2d(x, size, **options)), (x[:1, :1],))


def of_one(name, *args, **options):
    """A function of one array by its name, in our version and in PyTorch's."""
    return lambda x: getattr(F, name)(x, *args, **options), lambda x: getattr(TF, name)(x, *args, **options)


FUNCTIONS = [
    ("max_pool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 8)),
    ("max_pool1d", (2,), {"dilation": 3, "ceil_mode": True}, (3, 8)),
    ("max_pool3d", (2,), {}, (1, 2, 4, 5, 4)),
    ("max_pool3d", ((3, 2, 1),), {"stride": (2, 1, 2), "padding": (1, 0, 0)}, (2, 4, 5, 4)),
    ("avg_pool1d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 8)),
    ("avg_pool1d", (2,), {"ceil_mode": True}, (3, 7)),
    ("avg_pool3d", (2,), {"padding": 1, "stride": 1, "divisor_override": 3}, (1, 2, 4, 3, 4)),
    ("avg_pool3d", ((3, 2, 1),), {"stride": (2, 1, 2), "padding": (1, 0, 0), "ceil_mode": True}, (2, 4, 5, 4)),
    ("avg_pool2d", (2,), {}, (3, 7, 6)),
    ("adaptive_avg_pool1d", (3,), {}, (2, 3, 7)),
    ("adaptive_avg_pool2d", ((3, 5),), {}, (2, 3, 7, 4)),
    ("adaptive_avg_pool2d", ((None, 1),), {}, (3, 7, 4)),
    ("adaptive_avg_pool2d", (1,), {}, (2, 3, 7, 4)),
    ("adaptive_avg_pool3d", (2,), {}, (1, 3, 4, 3, 5)),
    ("adaptive_max_pool1d", (3,), {}, (2, 3, 7)),
    ("adaptive_max_pool2d", ((3, 5),), {}, (2, 3, 7, 4)),
    ("adaptive_max_pool2d", ((None, 1),), {}, (3, 7, 4)),
    ("adaptive_max_pool3d", (2,), {}, (1, 3, 4, 3, 5)),
    ("lp_pool1d", (2, 3), {"stride": 1}, (2, 3, 7)),
    ("lp_pool2d", (3, (2, 3)), {"ceil_mode": True}, (2, 7, 4)),
    ("lp_pool3d", (1.5, 2), {}, (1, 2, 4, 3, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options", "shape"), FUNCTIONS)
def test_functions(name, args, options, shape):
    ours, theirs = of_one(name, *args, **options)
    x = rng.standard_normal(shape) + 5 * name.startswith("lp")
    compare(ours, theirs, x)
    compare(ours, theirs, x, dtype=np.float32, tolerance=1e-5)
    cr.check_grads(lambda x: np.square(ours(x)), (x[:1],))


LAYERS = [
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool2d", (2,), {}, (2, 3, 7, 6)),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True}, (3, 7, 6)),
    ("MaxPool3d", (2,), {}, (2, 3, 4, 5, 2)),
    ("AvgPool1d", (2,), {}, (2, 3, 7)),
    ("AvgPool2d", (2,), {}, (2, 3, 7, 6)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 7, 6)),
    ("AvgPool2d", (3,), {"divisor_override": 2}, (3, 7, 6)),
    ("AvgPool3d", (2, 1), {}, (2, 3, 4, 5, 2)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 6)),
    ("AdaptiveAvgPool3d", (1,), {}, (2, 3, 4, 5, 2)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", (2,), {}, (3, 7, 6)),
    ("AdaptiveMaxPool3d", ((1, 2, 2),), {}, (2, 3, 4, 5, 2)),
    ("LPPool1d", (3, 3), {"stride": 1}, (2, 3, 7)),
    ("LPPool2d", (2, 2), {"ceil_mode": True}, (2, 3, 7, 6)),
    ("LPPool3d", (1, 2), {}, (2, 3, 4, 5, 2)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # roots of negative sums are NaN in both
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layers(name, args, kwargs, shape):
    compare_layers(name, args, kwargs, shape)


INDICES = [
    ("max_pool1d", (3, 2, 1), {}, (2, 3, 7)),
    ("max_pool2d", (2,), {}, (2, 3, 7, 6)),
    ("max_pool2d", (3, 2, 1, 2), {"ceil_mode": True}, (3, 9, 8)),
    ("max_pool3d", (2,), {}, (2, 3, 4, 5, 2)),
    ("adaptive_max_pool2d", ((3, 4),), {}, (2, 3, 7, 6)),
    ("max_pool2d", (20,), {"padding": 9, "stride": 5}, (2, 3, 15, 17)),  # more than 256 elements
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), INDICES)
def test_indices(name, args, options, shape):
    for x in (rng.standard_normal(shape), rng.integers(0, 3, shape).astype(float)):
        y, indices = getattr(F, name)(x, *args, **options, return_indices=True)
        t, expected = getattr(TF, name)(torch.from_numpy(x), *args, **options, return_indices=True)
        np.testing.assert_array_equal(y, t)
        np.testing.assert_array_equal(indices, expected)
        assert indices.dtype == np.int64


@pytest.mark.parametrize("n", [1, 2, 3])
def test_max_unpool(n):
    for x in (rng.standard_normal((2, 3, 8, 6, 4)[: n + 2]), rng.standard_normal((3, 8, 6, 4)[: n + 1])):
        v, t = cr.Variable(x), torch.tensor(x, requires_grad=True)
        y, indices = getattr(F, f"max_pool{n}d")(v, 3, 2, 1, return_indices=True)
        u, expected = getattr(TF, f"max_pool{n}d")(t, 3, 2, 1, return_indices=True)
        z = getattr(F, f"max_unpool{n}d")(y, indices, 3, 2, 1, output_size=x.shape[-n:])
        w = getattr(TF, f"max_unpool{n}d")(u, expected, 3, 2, 1, output_size=x.shape[-n:])
        np.testing.assert_array_equal(z.data, w.detach())
        y, indices = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)(v)
        u, expected = getattr(torch.nn, f"MaxPool{n}d")(2, return_indices=True)(t)
        z, w = getattr(nn, f"MaxUnpool{n}d")(2)(y, indices), getattr(torch.nn, f"MaxUnpool{n}d")(2)(u, expected)
        g = rng.standard_normal(z.shape)
        z.grad = g
        z.backward()
        w.backward(torch.from_numpy(g))
        np.testing.assert_array_equal(v.grad, t.grad)
        cr.check_grads(lambda y, i=indices: getattr(F, f"max_unpool{n}d")(y, i, 2) ** 2, (y.data,))
    assert repr(getattr(nn, f"MaxUnpool{n}d")(2)) == repr(getattr(torch.nn, f"MaxUnpool{n}d")(2))


@pytest.mark.parametrize("layout", ["channels-first", "channels-last", "another"])
def test_layouts(layout):
    x = rng.standard_normal((2, 5, 7, 6))
    if layout == "channels-last":
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    elif layout == "another":
        x = x.transpose(3, 1, 0, 2)[::-1, :, 1:].copy()[:, ::2].transpose(2, 1, 3, 0)
    for name, args in [
        ("max_pool2d", (3, 2, 1)),
        ("avg_pool2d", (3, 2, 1)),
        ("adaptive_max_pool2d", (4,)),
        ("adaptive_avg_pool2d", (4,)),
    ]:
        ours, theirs = of_one(name, *args)
        v, t = cr.Variable(x), torch.tensor(x, requires_grad=True)
        y, u = ours(v), theirs(t)
        np.testing.assert_allclose(y.data, u.detach().numpy(), 1e-12)
        y.grad = rng.standard_normal(y.shape)
        y.backward()
        u.backward(torch.from_numpy(y.grad))
        np.testing.assert_allclose(v.grad, t.grad.numpy(), 1e-12)
        if layout == "channels-last":
            assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinity(dtype):
    x = rng.standard_normal((1, 2, 6, 6)).astype(dtype)
    x[0, 0, 1, 2] = x[0, 1, 3, 3] = np.nan
    x[0, 0, 4, 4], x[0, 1, :2, :2] = np.inf, -np.inf
    for name, args in [("max_pool2d", (2,)), ("max_pool2d", (3, 2, 1)), ("adaptive_max_pool2d", (4,)), ("avg_pool2d", (2,))]:
        ours, theirs = of_one(name, *args)
        np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)), 1e-6)
        cr_x, t = cr.Variable(x), torch.tensor(x, requires_grad=True)
        ours(cr_x).sum().backward()
        theirs(t).sum().backward()
        np.testing.assert_allclose(cr_x.grad, t.grad, 1e-6)


WINDOWS = [  # an image's size; length, stride, padding, dilation, ceil_mode of the windows along each axis, or how many
    ((12, 14), [(2, 2, 0, 1, False)] * 2),
    ((13, 15), [(2, 2, 0, 1, False)] * 2),
    ((13, 15), [(3, 2, 1, 1, False)] * 2),
    ((13, 15), [(2, 1, 0, 1, False), (5, 3, 2, 1, True)]),
    ((13, 15), [(2, 2, 1, 3, False), (3, 1, 1, 2, True)]),
    ((13, 15), [5, 20]),
    ((170,), [(3, 3, 1, 1, True)]),
    ((170,), [(2, 2, 0, 1, False)]),
    ((171,), [(5, 1, 2, 1, False)]),
    ((90,), [400]),
    ((5, 6, 9), [(2, 2, 0, 1, False), (3, 1, 1, 1, False), (2, 2, 0, 1, True)]),
    ((30, 30), [(17, 5, 8, 1, False), (20, 5, 8, 1, False)]),  # more than 256 elements
]


@pytest.mark.parametrize(("size", "windows"), WINDOWS)
@pytest.mark.parametrize("channels", [1, 6, 16, 33])
@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
def test_kernels(size, windows, channels, layout):
    windows = tuple(
        kernels.adaptive(n, w) if isinstance(w, int) else kernels.sliding(n, *w) for n, w in zip(size, windows, strict=True)
    )
    for dtype in (np.float32, np.float64):
        x = rng.integers(-9, 9, (12 if channels == 1 else 3, channels, *size)).astype(dtype)  # with ties
        x.reshape(-1)[[5, 700]], x.reshape(-1)[[9, 900]] = np.nan, -np.inf
        y, choice = kernels.max_pool(in_layout(x, layout), windows)
        expected, chosen = kernels.max_pool.reference(x, windows)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(choice, chosen)
        g = rng.integers(-9, 9, y.shape).astype(dtype)
        for gradient in (g, in_layout(g, layout)):
            np.testing.assert_array_equal(
                kernels.scatter(gradient, choice, windows), kernels.scatter.reference(g, choice, windows)
            )


def test_integers_and_half_precision():
    x = rng.integers(-5, 5, (1, 2, 4, 4))
    np.testing.assert_array_equal(F.max_pool2d(x, 2), TF.max_pool2d(torch.from_numpy(x), 2))
    half = x.astype(np.float16)
    for y in (F.max_pool2d(half, 2), F.avg_pool2d(half, 2)):
        assert y.dtype == np.float16
    np.testing.assert_array_equal(F.avg_pool2d(half, 2), F.avg_pool2d(half.astype(np.float32), 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.max_pool2d(np.zeros((4, 4)), 2), r"expected \(N, C, H, W\) or \(C, H, W\), got \(4, 4\)"),
        (lambda: F.avg_pool2d(np.zeros((1, 3, 4, 4)), 2, padding=2), "from 0 to half"),
        (lambda: F.avg_pool1d(np.zeros((1, 3, 4)), 2, padding=-1), r"from 0 to half of kernel_size \(2,\), not \(-1,\)"),
        (lambda: F.avg_pool2d(np.zeros((1, 3, 4, 4)), 2, divisor_override=0), "divisor_override is not 0"),
        (
            lambda: F.max_pool2d(np.zeros((1, 3, 4, 4)), 5),
            "a window that covers 5 does not fit into an axis of 4 with padding 0",
        ),
        (lambda: F.max_pool2d(np.zeros((1, 3, 4, 4)), (2, 2, 2)), "a number, or 2"),
        (lambda: F.max_pool1d(np.zeros((1, 1)), 2, 1, 1, 2), "lies between the elements"),
        (lambda: F.adaptive_avg_pool2d(np.zeros((1, 3, 4, 4)), (2, 2, 2)), "3 numbers for 2 dimensions"),
        (lambda: F.adaptive_max_pool1d(np.zeros((1, 3, 0)), 2), "with elements"),
        (lambda: F.max_unpool1d(np.zeros((1, 1, 2)), np.zeros((1, 2), int), 2), "differ in shape"),
        (lambda: F.max_unpool1d(np.zeros((1, 1, 2)), np.full((1, 1, 2), 4), 2), "not within the output"),
        (lambda: nn.AvgPool1d(2)(np.zeros((1, 2, 3, 4))), r"AvgPool1d: expected \(N, C, L\) or \(C, L\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- windows at random distances ------------------------------------------------------------------------


def test_fractional_pooling():
    x = rng.permutation(2 * 3 * 9 * 8).reshape(2, 3, 9, 8).astype(float)
    cr.manual_seed(1)
    y, indices = F.fractional_max_pool2d(x, (2, 3), output_size=(5, 4), return_indices=True)
    assert y.shape == indices.shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), -1).reshape(y.shape), y)
    assert (y[..., -1, -1] == x[..., -2:, -3:].max(axis=(-2, -1))).all()  # the last window ends where the image does
    cr.manual_seed(1)
    np.testing.assert_array_equal(F.fractional_max_pool2d(x, (2, 3), (5, 4)), y)
    np.testing.assert_array_equal(
        F.fractional_max_pool2d(x, (2, 3), (1, 1)), x[..., -2:, -3:].max(axis=(-2, -1), keepdims=True)
    )


def test_fractional_pooling_derivatives():
    samples = rng.random((1, 2, 2))
    cr.check_grads(lambda x: F.fractional_max_pool2d(x, 2, 3, _random_samples=samples), [rng.standard_normal((2, 5, 6))])
    samples = rng.random((1, 1, 3))
    cr.check_grads(
        lambda x: F.fractional_max_pool3d(x, 2, (2, 1, 3), _random_samples=samples), [rng.standard_normal((1, 1, 3, 3, 4))]
    )


def test_fractional_pooling_errors():
    x = np.zeros((1, 2, 5, 6))
    with pytest.raises(ValueError, match="give either output_size or output_ratio"):
        F.fractional_max_pool2d(x, 2)
    with pytest.raises(ValueError, match=r"\(5, 5\) windows of \(2, 2\) do not fit into \(5, 6\)"):
        F.fractional_max_pool2d(x, 2, 5)
    with pytest.raises(ValueError, match=r"_random_samples are of shape \(1, 2, 2\)"):
        F.fractional_max_pool2d(x, 2, 3, _random_samples=np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="output_ratio is between 0 and 1"):
        nn.FractionalMaxPool2d(2, output_ratio=1.5)


def test_unflatten():
    with pytest.raises(ValueError, match=r"axis 1 of \(2, 12\) has 12 elements, which are not \(5, -1\)"):
        nn.Unflatten(1, (5, -1))(np.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"which are not \(-1, -1\)"):
        nn.Unflatten(1, (-1, -1))(np.zeros((2, 12)))
    assert nn.Unflatten(0, (2, 1))(np.zeros((2, 12))).shape == (2, 1, 12)
