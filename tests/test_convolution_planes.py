"""Depthwise convolutions, and those of few channels: against the references, in all orders of memory."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.kernels import convolution as kernels
from chainrule.kernels import convolution_depthwise as depthwise
from chainrule.kernels import convolution_planes as planes
from chainrule.kernels.layer import enabled
from chainrule.kernels.window import Window

pytestmark = pytest.mark.skipif(not enabled(), reason="needs Numba")

rng = np.random.default_rng(0)

# shapes of the image and the weight, the window, groups
CASES = {
    "depthwise": ((2, 20, 6, 5), (20, 1, 3, 3), Window.of((3, 3), 1, 1), 20),
    "depthwise, wide": ((2, 3, 40, 37), (3, 1, 7, 7), Window.of((7, 7), 1, 3), 3),
    "depthwise, no padding": ((2, 3, 9, 20), (3, 1, 3, 3), Window.of((3, 3)), 3),
    "depthwise, stride 2": ((3, 8, 6, 35), (8, 1, 3, 2), Window.of((3, 2), 2), 8),
    "depthwise times 2": ((2, 4, 6, 5), (8, 1, 3, 3), Window.of((3, 3), 1, 1), 4),
    "depthwise times 3, stride 2": ((2, 4, 9, 8), (12, 1, 3, 3), Window.of((3, 3), 2, 1), 4),
    "one to six": ((3, 1, 12, 13), (6, 1, 5, 5), Window.of((5, 5), padding=2), 1),
    "first layer": ((2, 3, 34, 33), (20, 3, 3, 3), Window.of((3, 3), 1, 1), 1),
    "first layer, stride 2": ((2, 3, 21, 40), (18, 3, 7, 7), Window.of((7, 7), 2, 3), 1),
    "patches": ((2, 3, 17, 16), (20, 3, 8, 8), Window.of((8, 8), 8), 1),
    "stride beyond the kernel": ((2, 3, 9, 8), (4, 3, 2, 2), Window.of((2, 2), 3), 1),
    "dilation and stride": ((2, 3, 21, 23), (17, 3, 4, 3), Window.of((4, 3), 3, 2, 2), 1),
    "one element": ((1, 1, 1, 1), (1, 1, 1, 1), Window.of((1, 1)), 1),
    "1d": ((2, 1, 90), (20, 1, 3), Window.of((3,), 1, 1), 1),
    "1d, depthwise": ((2, 4, 90), (4, 1, 31), Window.of((31,), 1, 15), 4),
    "1d, depthwise, stride": ((2, 4, 90), (4, 1, 3), Window.of((3,), 2, 1), 4),
}  # fmt: skip


def channels_last(x):
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def every_other(x):
    between = np.full((*x.shape, 2), np.nan, x.dtype).reshape(*x.shape[:-1], -1)[..., ::2]
    between[...] = x
    return between


def close(got, expected, tolerance):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, tolerance, tolerance * max(1, np.max(np.abs(expected), initial=0)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("case", CASES)
def test_kernels(case, dtype):
    shape, weight_shape, window, groups = CASES[case]
    if dtype == "f8" and case not in ("depthwise", "first layer, stride 2", "1d"):
        return  # each dtype compiles
    x, weight, bias, more = (rng.standard_normal(s).astype(dtype) for s in (shape, weight_shape, weight_shape[0], shape[1]))
    tolerance = 1e-5 if dtype == "f4" else 1e-12
    expected = kernels.convolve.reference(x, weight, bias, window, groups)
    g = rng.standard_normal(expected.shape).astype(dtype)
    expected_input = kernels.convolve_input.reference(g, weight, more, x.shape[2:], window, groups)
    expected_weight = kernels.convolve_weight.reference(x, g, window, groups)
    for order in (np.asarray, channels_last, every_other):
        if planes.suits(x, weight_shape, groups):
            close(planes.convolve(order(x), weight, bias, window, groups), expected, tolerance)
        close(planes.convolve_input(order(g), weight, more, x.shape[2:], window, groups), expected_input, tolerance)
        close(planes.convolve_weight(order(x), order(g), window, groups), expected_weight, tolerance)


DEPTHWISE = {
    "plain": ((2, 37, 9, 8), Window.of((3, 3), 1, 1)),
    "stride": ((2, 32, 40, 37), Window.of((5, 5), 2, 2)),
    "dilation": ((2, 32, 13, 11), Window.of((3, 2), 1, 3, 2)),
    "dilation and stride": ((1, 16, 14, 15), Window.of((3, 3), 2, 2, 3)),
    "kernel beyond the image": ((2, 48, 3, 3), Window.of((7, 7), 1, 3)),
    "1d": ((3, 20, 50), Window.of((7,), 1, 3)),
    "1d, stride": ((3, 20, 50), Window.of((4,), 3, 1)),
    "stride beyond the kernel": ((3, 20, 5, 5), Window.of((2, 2), 3, 0)),
    "3d": ((2, 18, 4, 5, 6), Window.of((3, 3, 3), 1, 1)),
    "3d, stride": ((1, 16, 5, 6, 7), Window.of((3, 2, 3), 2, 1)),
}


@pytest.mark.parametrize("case", DEPTHWISE)
def test_channels_last(case):
    shape, window = DEPTHWISE[case]
    x, weight, bias = (rng.standard_normal(s).astype("f4") for s in (shape, (shape[1], 1, *window.kernel), shape[1]))
    expected = kernels.convolve.reference(x, weight, bias, window, shape[1])
    g = rng.standard_normal(expected.shape).astype("f4")
    expected_input = kernels.convolve_input.reference(g, weight, bias, shape[2:], window, shape[1])
    expected_weight = kernels.convolve_weight.reference(x, g, window, shape[1])
    for a, h in ((x, g), (channels_last(x), channels_last(g)), (channels_last(x), g)):
        close(depthwise.convolve(a, weight, bias, window), expected, 1e-5)
        close(depthwise.convolve_input(h, weight, bias, shape[2:], window), expected_input, 1e-5)
        close(depthwise.convolve_weight(a, h, window, 1), expected_weight, 1e-5)


@pytest.mark.parametrize("each", [2, 4, 8, 12, 16])
@pytest.mark.parametrize(
    "size, window", [((9, 13), Window.of((3, 3), 1, 1)), ((7, 8), Window.of((2, 3), 2, 1)), ((11,), Window.of((4,)))]
)
def test_groups_of_few_channels(each, size, window):
    shape, weight_shape = (2, 48 + each, *size), (48 + each, each, *window.kernel)
    groups = shape[1] // each
    for dtype, tolerance in (("f4", 1e-5), ("f8", 1e-12)) if size == (9, 13) and each in (4, 16) else (("f4", 1e-5),):
        x, weight, bias, more = (rng.standard_normal(s).astype(dtype) for s in (shape, weight_shape, shape[1], shape[1]))
        expected = kernels.convolve.reference(x, weight, bias, window, groups)
        g = rng.standard_normal(expected.shape).astype(dtype)
        expected_input = kernels.convolve_input.reference(g, weight, more, size, window, groups)
        expected_weight = kernels.convolve_weight.reference(x, g, window, groups)
        for a, h in ((x, g), (channels_last(x), channels_last(g)), (channels_last(x), g)):
            close(kernels.convolve(a, weight, bias, window, groups), expected, tolerance)
            close(kernels.convolve_input(h, weight, more, size, window, groups), expected_input, tolerance)
            close(kernels.convolve_weight(a, h, window, groups), expected_weight, tolerance)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_one_group_of_few_channels_to_many(channels):
    x, weight = (rng.standard_normal(s).astype("f4") for s in ((2, channels, 19, 21), (48, channels, 3, 3)))
    window = Window.of((3, 3), 1, 1)
    expected = kernels.convolve.reference(x, weight, None, window, 1)
    g = rng.standard_normal(expected.shape).astype("f4")
    for a, h in ((x, g), (channels_last(x), channels_last(g))):
        close(kernels.convolve(a, weight, None, window, 1), expected, 1e-5)
        expected_input = kernels.convolve_input.reference(g, weight, None, (19, 21), window, 1)
        close(kernels.convolve_input(h, weight, None, (19, 21), window, 1), expected_input, 1e-5)
        close(kernels.convolve_weight(a, h, window, 1), kernels.convolve_weight.reference(x, g, window, 1), 1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_pixels_of_many_channels_to_few(stride):
    x, weight, bias = (rng.standard_normal(s).astype("f4") for s in ((2, 50, 19, 21), (3, 50, 1, 1), 3))
    window = Window.of((1, 1), stride)
    assert planes.suits(x, weight.shape, 1)
    expected = kernels.convolve.reference(x, weight, bias, window, 1)
    close(kernels.convolve(x, weight, bias, window, 1), expected, 1e-5)
    g = rng.standard_normal(expected.shape).astype("f4")
    for a, h in ((x, g), (channels_last(x), channels_last(g)), (x, channels_last(g))):
        close(kernels.convolve_weight(a, h, window, 1), kernels.convolve_weight.reference(x, g, window, 1), 1e-5)


@pytest.mark.parametrize("case", ["depthwise, stride 2", "depthwise times 2", "first layer", "one to six"])
def test_results_do_not_depend_on_the_number_of_threads(case):
    shape, weight_shape, window, groups = CASES[case]
    x, weight = (rng.standard_normal(s).astype("f4") for s in ((20, *shape[1:]), weight_shape))
    g = rng.standard_normal(kernels.convolve.reference(x, weight, None, window, groups).shape).astype("f4")
    before, results = cr.get_num_threads(), []
    for threads in (1, 2, 5):
        cr.set_num_threads(threads)
        y = planes.convolve(x, weight, None, window, groups) if planes.suits(x, weight_shape, groups) else x
        gradients = (
            planes.convolve_input(g, weight, None, shape[2:], window, groups),
            planes.convolve_weight(x, g, window, groups),
        )
        results.append((y, *gradients))
    cr.set_num_threads(before)
    for others in results[1:]:
        for a, b in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_not_finite_is_carried_as_by_the_references():
    x, weight = rng.standard_normal((20, 3, 20, 20)).astype("f4"), rng.standard_normal((20, 3, 3, 3)).astype("f4")
    window = Window.of((3, 3), 1, 1)
    for value in (np.inf, np.nan):
        x[1, 2, 0, 5] = value
        g = rng.standard_normal((20, 20, 20, 20)).astype("f4")
        h = g.copy()
        h[2, 3, 19, 19] = value
        with np.errstate(all="ignore"):
            for kernel, arguments in [
                (kernels.convolve, (x, weight[:3], None, window, 1)),
                (kernels.convolve_input, (h, weight, None, (20, 20), window, 1)),
                (kernels.convolve_weight, (x, g, window, 1)),
                (kernels.convolve, (x, weight[:3, :1], None, window, 3)),
                (kernels.convolve_weight, (x, g[:, :3], window, 3)),
            ]:
                got, expected = kernel(*arguments), kernel.reference(*arguments)
                np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))


def test_depthwise_results_lie_as_images_do():
    x, weight = rng.standard_normal((8, 16, 20, 20)).astype("f4"), rng.standard_normal((16, 1, 3, 3)).astype("f4")
    window = Window.of((3, 3), 1, 1)
    assert kernels.convolve(x, weight, None, window, 16).flags.c_contiguous
    assert kernels.convolve(channels_last(x), weight, None, window, 16).transpose(0, 2, 3, 1).flags.c_contiguous
