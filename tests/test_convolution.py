"""Convolution and its transpose in one to three dimensions: beside PyTorch's, forward and gradient; second derivatives."""

from functools import partial

import numpy as np
import pytest
from beside_torch import compare

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels import convolution as kernels
from chainrule.kernels import convolution_direct as direct
from chainrule.kernels import convolution_few as few
from chainrule.kernels import convolution_gradient as gradient
from chainrule.kernels import convolution_winograd as winograd
from chainrule.kernels.layer import enabled
from chainrule.kernels.window import Window

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


CONVOLUTIONS = {
    "plain": ((2, 3, 7, 8), (4, 3, 3, 3), {}),
    "padding": ((2, 3, 7, 8), (4, 3, 3, 3), {"padding": 1}),
    "one pixel": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "not square": ((2, 2, 7, 9), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
    "stride": ((2, 3, 9, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride beyond the kernel": ((2, 3, 9, 8), (4, 3, 2, 2), {"stride": 3}),
    "wide padding": ((2, 2, 4, 4), (3, 2, 2, 2), {"padding": 3}),
    "dilation": ((1, 2, 9, 9), (3, 2, 3, 2), {"dilation": (2, 3), "padding": 2}),
    "groups": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "groups and stride": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1, "stride": 2}),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "depthwise times 2": ((2, 4, 6, 5), (8, 1, 3, 3), {"groups": 4, "stride": 2}),
    "same": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "same"}),
    "same dilated": ((2, 2, 6, 5), (3, 2, 2, 4), {"padding": "same", "dilation": 2}),
    "valid": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "valid"}),
    "batch of one": ((1, 1, 3, 3), (1, 1, 3, 3), {}),
    "no batch": ((2, 5, 4), (3, 2, 3, 3), {"padding": 1}),
    "empty batch": ((0, 2, 5, 5), (3, 2, 3, 3), {"padding": 1}),
    "everything": ((2, 4, 11, 9), (6, 2, 3, 2), {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2), "groups": 2}),
    "1d": ((2, 3, 9), (4, 3, 3), {"padding": 1}),
    "1d everything": ((2, 4, 11), (6, 2, 3), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
    "1d no batch": ((3, 9), (4, 3, 3), {"padding": "same"}),
    "3d": ((2, 3, 4, 5, 3), (4, 3, 3, 3, 3), {"padding": 1}),
    "3d everything": ((2, 4, 5, 6, 4), (2, 2, 3, 2, 1), {"stride": (2, 1, 2), "padding": (1, 0, 2), "dilation": (1, 2, 1), "groups": 2}),
    "3d no batch": ((2, 3, 3, 3), (2, 2, 2, 2, 2), {}),
}  # fmt: skip

TRANSPOSED = {
    "plain": ((2, 3, 4, 5), (3, 4, 3, 3), {}),
    "stride": ((2, 3, 4, 5), (3, 4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    "enlarging": ((2, 3, 4, 5), (3, 4, 2, 2), {"stride": 2}),
    "stride beyond the kernel": ((2, 2, 3, 4), (2, 3, 2, 1), {"stride": 3, "output_padding": (2, 1)}),
    "one pixel": ((2, 3, 4, 5), (3, 4, 1, 1), {}),
    "dilation": ((1, 2, 4, 3), (2, 3, 3, 2), {"dilation": (2, 3), "output_padding": (1, 2)}),
    "wide padding": ((1, 2, 7, 8), (2, 3, 2, 3), {"padding": (2, 3)}),
    "more added than the stride": ((2, 2, 4, 3), (2, 2, 4, 5), {"stride": (3, 2), "padding": (1, 2), "output_padding": (2, 3), "dilation": 4, "groups": 2}),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), {"groups": 4, "stride": 2}),
    "no batch": ((2, 5, 4), (2, 3, 3, 3), {"padding": 1}),
    "empty batch": ((0, 2, 5, 5), (2, 3, 3, 3), {"stride": 2}),
    "everything": ((2, 4, 5, 3), (4, 3, 3, 2), {"stride": (2, 3), "padding": (2, 1), "output_padding": (1, 2), "dilation": (1, 2), "groups": 2}),
    "1d": ((2, 3, 9), (3, 4, 4), {"stride": 2, "padding": 1}),
    "1d no batch": ((3, 9), (3, 4, 3), {}),
    "3d": ((2, 2, 3, 2, 3), (2, 3, 2, 3, 2), {"stride": (2, 1, 2), "padding": (0, 1, 1), "output_padding": (1, 0, 0)}),
}  # fmt: skip


def _call(function, options, x, w, b=None):
    return function(x, w, b, **options)


def convolution(transposed, weight, options):
    """Ours and theirs, in as many dimensions as the weight has."""
    name = f"conv{'_transpose' * transposed}{len(weight) - 2}d"
    return tuple(partial(_call, getattr(module, name), options) for module in (F, TF))


def bias_of(transposed, weight, options):
    return (weight[1] * options.get("groups", 1),) if transposed else weight[:1]


cases = pytest.mark.parametrize(
    ("transposed", "case"), [*((False, case) for case in CONVOLUTIONS), *((True, case) for case in TRANSPOSED)]
)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@cases
def test_convolution(transposed, case):
    x, weight, options = (TRANSPOSED if transposed else CONVOLUTIONS)[case]
    ours, theirs = convolution(transposed, weight, options)
    arrays = [rng.standard_normal(s) for s in (x, weight, bias_of(transposed, weight, options))]
    compare(ours, theirs, *arrays)
    compare(ours, theirs, *arrays[:2])
    compare(ours, theirs, *arrays, dtype=np.float32, tolerance=2e-5)
    channels = len(x) - len(weight) + 1
    channels_last = np.moveaxis(np.moveaxis(arrays[0], channels, -1).copy(), -1, channels)
    np.testing.assert_allclose(ours(channels_last, *arrays[1:]), ours(*arrays))


@cases
def test_second_derivatives(transposed, case):
    x, weight, options = (TRANSPOSED if transposed else CONVOLUTIONS)[case]
    if 0 in x or "no batch" in case:
        return
    ours, _ = convolution(transposed, weight, options)
    arrays = [rng.standard_normal(s) for s in ((1, *x[1:]), weight, bias_of(transposed, weight, options))]
    cr.check_grads(lambda x, w, b: np.square(ours(x, w, b)), arrays)


WINDOWS = {
    "plain": ((2, 3, 5, 6), 3, {}),
    "no batch": ((3, 5, 6), (2, 3), {"padding": 1}),
    "everything": ((2, 2, 7, 6), (3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    "empty batch": ((0, 2, 5, 5), 3, {}),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_unfold_and_fold(case):
    shape, kernel, options = WINDOWS[case]
    x = rng.standard_normal(shape)
    compare(lambda x: F.unfold(x, kernel, **options), lambda x: TF.unfold(x, kernel, **options), x)
    columns = rng.standard_normal(F.unfold(x, kernel, **options).shape)
    compare(lambda c: F.fold(c, shape[-2:], kernel, **options), lambda c: TF.fold(c, shape[-2:], kernel, **options), columns)
    if x.size:
        cr.check_grads(lambda x: np.square(F.unfold(x, kernel, **options)), [x])
        cr.check_grads(lambda c: np.square(F.fold(c, shape[-2:], kernel, **options)), [columns])


def test_conv2d_is_the_same_for_any_number_of_blocks():
    x, w = rng.standard_normal((40, 16, 33, 31)).astype(np.float32), rng.standard_normal((8, 16, 3, 3)).astype(np.float32)
    compare(
        lambda x, w: F.conv2d(x, w, padding=1), lambda x, w: TF.conv2d(x, w, padding=1), x, w, dtype=np.float32, tolerance=5e-3
    )


def test_conv2d_result_is_channels_last_in_memory_and_stays_so():
    x, w = cr.Variable(rng.standard_normal((2, 3, 8, 8))), rng.standard_normal((64, 3, 3, 3))
    y = F.conv2d(x, w, padding=1)
    for z in (y, F.relu(y), F.max_pool2d(y, 2), F.batch_norm(y, None, None, training=True)):
        assert z.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_conv2d_computes_no_gradient_that_is_not_needed():
    w = cr.Variable(rng.standard_normal((4, 3, 3, 3)))
    y = F.conv2d(rng.standard_normal((2, 3, 8, 8)), w)
    assert len(y.creator.edges) == 1


@pytest.mark.parametrize(
    ("x", "weight", "options", "message"),
    [
        ((8, 28, 28, 3), (4, 3, 3, 3), {}, r"28 != in_channels 3; this looks like NHWC; use x.transpose\(0, 3, 1, 2\)"),
        ((8, 5, 28, 28), (4, 3, 3, 3), {}, r"expected \(N, 3, H, W\) or \(3, H, W\), got \(8, 5, 28, 28\): axis 1 has 5 != in_channels 3$"),
        ((28, 28, 3), (4, 3, 3, 3), {}, r"axis 0 has 28 != in_channels 3; this looks like HWC; use x.transpose\(2, 0, 1\)"),
        ((1, 3, 2, 2), (4, 3, 3, 3), {}, r"covers \(3, 3\) and does not fit into the image \(2, 2\)"),
        ((1, 6, 4, 4), (4, 2, 3, 3), {"groups": 3}, "4 output channels cannot be divided into 3 groups"),
        ((1, 3, 4, 4), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "needs stride 1"),
        ((1, 3, 4, 4), (4, 3, 3, 3), {"padding": "full"}, "not 'full'"),
    ],
)  # fmt: skip
def test_conv2d_errors(x, weight, options, message):
    with pytest.raises(ValueError, match=message):
        F.conv2d(np.zeros(x), np.zeros(weight), **options)


def test_errors_of_the_others():
    for call, message in [
        (lambda: F.conv1d(np.zeros((2, 4, 5)), np.zeros((3, 4, 2, 2))), "expected a weight of 3 dimensions, got"),
        (lambda: F.conv2d(np.zeros((1, 3, 5, 5)), np.zeros((3, 3, 2, 2)), stride=(1, 2, 3)), "expected a number, or 2, one for each"),
        (lambda: F.conv_transpose2d(np.zeros((1, 4, 5, 5)), np.zeros((3, 4, 2, 2))), "axis 1 has 4 != in_channels 3"),
        (lambda: F.conv_transpose2d(np.zeros((1, 4, 5, 5)), np.zeros((4, 4, 2, 2)), groups=3), "4 input channels cannot be"),
        (lambda: F.conv_transpose1d(np.zeros((1, 4, 5)), np.zeros((4, 4, 2)), None, 2, 0, 2), "smaller than either the stride"),
        (lambda: F.conv_transpose1d(np.zeros((1, 4, 1)), np.zeros((4, 4, 2)), padding=1), "nothing is left of the output"),
        (lambda: F.unfold(np.zeros((1, 2, 3, 4, 5)), 2), r"expected \(N, C, H, W\) or \(C, H, W\), got"),
        (lambda: F.unfold(np.zeros((1, 2, 2, 2)), 3), "does not fit"),
        (lambda: F.fold(np.zeros((1, 7, 2)), (2, 3), 2), r"expected \(N, C \* 4, 2\) or the same without N, got \(1, 7, 2\)"),
        (lambda: nn.Conv2d(2, 2, 3, padding_mode="mirror"), "padding_mode is 'zeros', 'reflect'"),
        (lambda: nn.ConvTranspose2d(2, 2, 3, padding_mode="reflect"), "has only padding_mode='zeros'"),
        (lambda: nn.ConvTranspose1d(2, 2, 3, 2)(np.zeros((1, 2, 4)), [12]), r"output sizes from \(9,\) to \(10,\), not \(12,\)"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()


# a layer, its arguments, the shape of its input
LAYERS = [
    ("Conv1d", (4, 6, 3), {"padding": 1, "groups": 2}, (2, 4, 7)),
    ("Conv1d", (3, 4, 3), {"padding": 2, "padding_mode": "circular"}, (2, 3, 7)),
    ("Conv2d", (3, 4, 3), {"padding": (1, 2), "padding_mode": "reflect", "stride": 2}, (2, 3, 7, 6)),
    ("Conv2d", (3, 4, (3, 4)), {"padding": "same", "padding_mode": "replicate", "dilation": 2}, (3, 7, 9)),
    ("Conv2d", (3, 4, 3), {"padding": "valid", "padding_mode": "reflect"}, (2, 3, 7, 6)),
    ("Conv3d", (3, 4, (1, 2, 3)), {"stride": 2, "bias": False}, (2, 3, 4, 5, 6)),
    ("Conv3d", (2, 4, 3), {"padding": 1, "padding_mode": "replicate"}, (2, 2, 4, 5, 3)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "groups": 2}, (2, 4, 7)),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1), {"bias": False}, (2, 4, 5, 4)),
    ("ConvTranspose2d", (4, 6, 3), {"dilation": 2}, (4, 5, 4)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, (1, 2, 3, 2, 3)),
    ("Unfold", (3,), {"padding": 1}, (2, 3, 5, 6)),
    ("Fold", ((5, 6), 3), {"padding": 1}, (2, 18, 30)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layers(name, args, kwargs, shape):
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    array = rng.standard_normal(shape).astype(np.float32)
    x, t = cr.Variable(array), torch.tensor(array, requires_grad=True)
    y, u = ours(x), theirs(t)
    y.backward()
    u.sum().backward()
    pairs = [
        (y.data, u),
        (x.grad, t.grad),
        *((p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)),
    ]
    for a, b in pairs:
        np.testing.assert_allclose(a, b.detach().numpy(), 1e-5, 1e-5)


def test_transposed_layers_reach_an_output_size():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=(2, 3), padding=1)
    x = np.zeros((1, 2, 4, 5), np.float32)
    assert layer(x, (8, 15)).shape == (1, 3, 8, 15)
    assert layer(x, (1, 3, 7, 13)).shape == (1, 3, 7, 13)


# ---- compiled ---------------------------------------------------------------------------------------------

needs_numba = pytest.mark.skipif(not enabled(), reason="needs Numba")

# shapes of the image and the weight, the window, groups
DIRECT = {
    "plain": ((2, 3, 7, 8), (4, 3, 3, 3), Window.of((3, 3)), 1),
    "padding": ((3, 5, 9, 8), (40, 5, 3, 2), Window.of((3, 2), padding=1), 1),
    "stride": ((2, 20, 9, 8), (50, 20, 3, 3), Window.of((3, 3), 2, 1), 1),
    "stride beyond the kernel": ((2, 3, 9, 8), (4, 3, 2, 2), Window.of((2, 2), 3), 1),
    "wide padding": ((2, 2, 4, 4), (3, 2, 2, 2), Window.of((2, 2), padding=3), 1),
    "dilation": ((1, 2, 9, 9), (3, 2, 3, 2), Window((3, 2), (1, 1), ((2, 2), (1, 3)), (2, 3)), 1),
    "dilation beyond the edges": ((1, 12, 14, 14), (20, 12, 3, 3), Window.of((3, 3), 1, 6, 6), 1),
    "dilation beyond the edges and stride": ((2, 12, 9, 11), (40, 12, 3, 2), Window.of((3, 2), 2, 4, 4), 1),
    "dilation beyond the edges, groups": ((2, 24, 7, 8), (48, 12, 3, 3), Window.of((3, 3), 1, 5, 5), 2),
    "kernel beyond the edges": ((1, 12, 4, 4), (20, 12, 5, 5), Window.of((5, 5), 1, 2), 1),
    "dilation and stride": ((2, 3, 13, 11), (3, 3, 3, 3), Window.of((3, 3), 2, 2, 3), 1),
    "groups": ((2, 40, 6, 5), (60, 20, 3, 3), Window.of((3, 3), 2, 1), 2),
    "depthwise": ((2, 20, 6, 5), (20, 1, 3, 3), Window.of((3, 3), 1, 1), 20),
    "depthwise and stride": ((3, 8, 6, 5), (8, 1, 3, 2), Window.of((3, 2), 2), 8),
    "depthwise of many": ((2, 35, 6, 5), (35, 1, 3, 4), Window.of((3, 4), 1, 1), 35),
    "depthwise times 2": ((2, 4, 6, 5), (8, 1, 3, 3), Window.of((3, 3)), 4),
    "one pixel": ((2, 70, 4, 5), (33, 70, 1, 1), Window.of((1, 1)), 1),
    "one of all": ((1, 1, 1, 1), (1, 1, 1, 1), Window.of((1, 1)), 1),
    "few positions": ((2, 50, 5, 6), (150, 50, 3, 3), Window.of((3, 3), 2, 1), 1),
    "few positions and stride 1": ((1, 70, 5, 5), (120, 70, 3, 3), Window.of((3, 3), padding=1), 1),
    "patches": ((2, 8, 12, 9), (40, 8, 3, 3), Window.of((3, 3), 3), 1),
    "one pixel and stride": ((2, 40, 9, 7), (35, 40, 1, 1), Window.of((1, 1), 2), 1),
    "elements that see nothing": ((2, 9, 1, 1), (20, 9, 3, 3), Window.of((3, 3), 2, 1), 1),
    "channels that fill no vector": ((2, 37, 11, 13), (45, 37, 3, 3), Window.of((3, 3), padding=1), 1),
    "first layer": ((3, 1, 12, 13), (6, 1, 5, 5), Window.of((5, 5), padding=2), 1),
    "to one channel": ((2, 20, 9, 8), (1, 20, 3, 3), Window.of((3, 3), 1, 1), 1),
    "many positions": ((3, 3, 40, 37), (8, 3, 3, 3), Window.of((3, 3), 1, 1), 1),
    "neighbours as one row": ((2, 6, 10, 10), (5, 6, 5, 5), Window.of((5, 5), 1, 2), 1),
    "neighbours as one row and stride": ((5, 2, 8, 12), (1, 2, 2, 3), Window.of((2, 3), 2, 1), 1),
    "1d": ((2, 3, 9), (4, 3, 3), Window.of((3,), 1, 1), 1),
    "3d": ((2, 3, 4, 5, 6), (4, 3, 3, 2, 1), Window.of((3, 2, 1), 2, 1), 1),
}  # fmt: skip

# images, outputs, padding
WINOGRAD = {
    "few tiles": ((3, 32, 10, 11), 48, 1),
    "many tiles": ((7, 32, 17, 18), 32, 1),
    "no padding": ((6, 32, 10, 9), 32, 0),
    "wide padding": ((6, 32, 6, 6), 64, 2),
}


def close(got, expected, tolerance):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, tolerance, tolerance * max(1, np.max(np.abs(expected), initial=0)))


def in_memory_orders(x):
    yield x
    yield np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    yield np.repeat(x, 2, axis=-1)[..., ::2]


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("case", DIRECT)
def test_direct_kernels(case, dtype):
    shape, weight_shape, window, groups = DIRECT[case]
    x, weight, bias, more = (rng.standard_normal(s).astype(dtype) for s in (shape, weight_shape, weight_shape[0], shape[1]))
    tolerance = 1e-5 if dtype == "f4" else 1e-12
    expected = kernels.convolve.reference(x, weight, bias, window, groups)
    g = rng.standard_normal(expected.shape).astype(dtype)
    expected_input = kernels.convolve_input.reference(g, weight, more, x.shape[2:], window, groups)
    expected_weight = kernels.convolve_weight.reference(x, g, window, groups)
    for a, h in zip(in_memory_orders(x), in_memory_orders(g), strict=True):
        close(direct.convolve(a, weight, bias, window, groups), expected, tolerance)
        close(direct.convolve_input(h, weight, more, x.shape[2:], window, groups), expected_input, tolerance)
        if few.pays(len(x), weight, expected.shape[2:], groups):
            close(few.convolve(a, weight, bias, window), expected, tolerance)
        close(gradient.convolve_weight(a, h, window, groups), expected_weight, tolerance)
    close(
        direct.convolve(x, weight, None, window, groups), kernels.convolve.reference(x, weight, None, window, groups), tolerance
    )


@needs_numba
@pytest.mark.parametrize("size", [(1, 1), (4, 3), (6,), (2, 3, 2)])
def test_a_window_that_sees_the_whole_image(size):
    window = Window.of(size, stride=2)
    for n, channels, o in ((3, 5, 4), (2, 90, 130)):
        x, weight, bias, more = (
            rng.standard_normal(s).astype("f4") for s in ((n, channels, *size), (o, channels, *size), o, channels)
        )
        expected = kernels.convolve.reference(x, weight, bias, window, 1)
        g = rng.standard_normal(expected.shape).astype("f4")
        for a in in_memory_orders(x):
            close(kernels.convolve(a, weight, bias, window, 1), expected, 1e-5)
            close(kernels.convolve_weight(a, g, window, 1), kernels.convolve_weight.reference(x, g, window, 1), 1e-5)
        expected = kernels.convolve_input.reference(g, weight, more, size, window, 1)
        close(kernels.convolve_input(g, weight, more, size, window, 1), expected, 1e-5)


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("case", WINOGRAD)
def test_winograd_kernels(case, dtype):
    shape, o, padding = WINOGRAD[case]
    window = Window.of((3, 3), padding=padding)
    x, weight, bias, more = (rng.standard_normal(s).astype(dtype) for s in (shape, (o, shape[1], 3, 3), o, shape[1]))
    tolerance = 2e-5 if dtype == "f4" else 1e-13
    expected = kernels.convolve.reference(x, weight, bias, window, 1)
    g = rng.standard_normal(expected.shape).astype(dtype)
    for a, h in zip(in_memory_orders(x), in_memory_orders(g), strict=True):
        assert winograd.pays(len(x), weight.shape[:2], expected.shape[2:], window, 1, x.dtype)
        close(kernels.convolve(a, weight, bias, window, 1), expected, tolerance)
        close(
            kernels.convolve_input(h, weight, more, x.shape[2:], window, 1),
            kernels.convolve_input.reference(g, weight, more, x.shape[2:], window, 1),
            tolerance,
        )
        close(kernels.convolve_weight(a, h, window, 1), kernels.convolve_weight.reference(x, g, window, 1), tolerance)


@needs_numba
def test_kernels_carry_what_is_not_finite_as_the_direct_sum_does():
    window = Window.of((3, 3), padding=1)
    weight = rng.standard_normal((32, 32, 3, 3)).astype("f4")
    for value in (np.inf, np.nan, 3e38):
        x = rng.standard_normal((6, 32, 8, 8)).astype("f4")
        x[1, 3, 2, 2] = value
        g = rng.standard_normal((6, 32, 8, 8)).astype("f4")
        with np.errstate(all="ignore"):
            pairs = [
                (kernels.convolve, (x, weight, None, window, 1)),
                (kernels.convolve_input, (x, weight, None, (8, 8), window, 1)),
                (kernels.convolve_weight, (x, g, window, 1)),
            ]
            for kernel, arguments in pairs:
                got, expected = kernel(*arguments), kernel.reference(*arguments)
                np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
                np.testing.assert_allclose(got, expected, 1e-3, 1e-3)


@needs_numba
@pytest.mark.parametrize("case", ["winograd", "stride", "first layer", "depthwise"])
def test_kernels_do_not_depend_on_the_number_of_threads(case):
    shape, weight_shape, stride, groups = {
        "winograd": ((8, 32, 20, 20), (32, 32, 3, 3), 1, 1),
        "stride": ((8, 32, 20, 20), (32, 32, 3, 3), 2, 1),
        "first layer": ((8, 3, 20, 20), (32, 3, 3, 3), 1, 1),
        "depthwise": ((8, 32, 20, 20), (32, 1, 3, 3), 1, 32),
    }[case]
    window = Window.of((3, 3), stride, 1)
    x, weight = (rng.standard_normal(s).astype("f4") for s in (shape, weight_shape))
    before, results = cr.get_num_threads(), []
    for threads in (1, 2, 5):
        cr.set_num_threads(threads)
        y = kernels.convolve(x, weight, None, window, groups)
        results.append(
            (
                y,
                kernels.convolve_input(y, weight, None, x.shape[2:], window, groups),
                kernels.convolve_weight(x, y, window, groups),
            )
        )
    cr.set_num_threads(before)
    for others in results[1:]:
        for a, b in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


@needs_numba
@needs_numba
def test_half_precision_is_computed_in_single():
    x, weight = rng.standard_normal((2, 8, 9, 9)).astype("f2"), rng.standard_normal((8, 8, 3, 3)).astype("f2")
    got = F.conv2d(x, weight)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, F.conv2d(x.astype("f4"), weight.astype("f4")).astype("f2"))
