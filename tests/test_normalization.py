"""Normalisation: functions and layers beside PyTorch's, forward and gradient; and second derivatives."""

import numpy as np
import pytest
from beside_torch import compare
from test_functional import parity
from test_nn import compare_layers

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.core.arrays import sum_to
from chainrule.kernels import normalization as kernels

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)


LAYERS = [
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": None, "affine": False}, (5, 3, 4)),
    ("BatchNorm2d", (3,), {"eps": 0.1, "momentum": 0.3}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"bias": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("BatchNorm3d", (3,), {}, (2, 3, 4, 5, 2)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 4)),
    ("InstanceNorm1d", (3,), {"track_running_stats": True}, (3, 4)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True, "momentum": 0.3}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "bias": False, "eps": 0.1}, (3, 4, 5)),
    ("InstanceNorm3d", (3,), {"affine": True}, (2, 3, 4, 2, 3)),
    ("InstanceNorm3d", (3,), {}, (3, 4, 2, 3)),
    ("LayerNorm", (5,), {}, (2, 3, 5)),
    ("LayerNorm", ((3, 5),), {"bias": False}, (2, 3, 5)),
    ("LayerNorm", (5,), {"elementwise_affine": False}, (3, 5)),
    ("RMSNorm", (5,), {}, (2, 3, 5)),
    ("RMSNorm", ((3, 5),), {"eps": 0.1}, (2, 3, 5)),
    ("RMSNorm", (5,), {"elementwise_affine": False}, (3, 5)),
    ("GroupNorm", (2, 6), {}, (2, 6, 3, 4)),
    ("GroupNorm", (3, 6), {"affine": False, "eps": 0.1}, (5, 6)),
    ("GroupNorm", (1, 4), {"bias": False}, (2, 4, 3)),
    ("LocalResponseNorm", (3,), {}, (2, 5, 3)),
    ("LocalResponseNorm", (4,), {"alpha": 0.5, "beta": 0.4, "k": 2.0}, (2, 5, 3, 2)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layers(name, args, kwargs, shape):
    compare_layers(name, args, kwargs, shape)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
def test_batch_norm(shape):
    x, w, b = rng.standard_normal(shape), rng.standard_normal(3), rng.standard_normal(3)
    for dtype, tolerance in [(np.float64, 1e-10), (np.float32, 2e-5)]:
        means, variances = np.zeros((2, 3), dtype), np.ones((2, 3), dtype)  # ours, and PyTorch's
        for training in (True, False):

            def ours(x, w, b, training=training, mean=means[0], var=variances[0]):
                if not isinstance(x, cr.Variable):  # the second time
                    mean, var = mean.copy(), var.copy()
                return F.batch_norm(x, mean, var, w, b, training, 0.2, 1e-3)

            def theirs(x, w, b, training=training, mean=means[1], var=variances[1]):
                return TF.batch_norm(x, torch.from_numpy(mean), torch.from_numpy(var), w, b, training, 0.2, 1e-3)

            compare(ours, theirs, x, w, b, dtype=dtype, tolerance=tolerance)
            np.testing.assert_allclose(means[0], means[1], 1e-5, 1e-6)
            np.testing.assert_allclose(variances[0], variances[1], 1e-5, 1e-6)
    cr.check_grads(lambda x, w, b: np.square(F.batch_norm(x, None, None, w, b, training=True)), (x, w, b))
    cr.check_grads(lambda x, w, b: F.batch_norm(x, np.ones(3), np.ones(3), w, b) ** 2, (x, w, b))


def of_one(ours, theirs, *args, **options):
    """The same function of arrays in our version and PyTorch's, the settings given after the input."""
    return lambda x, *a: ours(x, *args, *a, **options), lambda x, *a: theirs(x, *args, *a, **options)


@parity(
    ("layer_norm", *of_one(F.layer_norm, TF.layer_norm, (5,)), [(2, 3, 5), (5,), (5,)]),
    ("layer_norm of 2", *of_one(F.layer_norm, TF.layer_norm, (3, 5)), [(2, 3, 5), (3, 5), (3, 5)]),
    ("layer_norm plain", *of_one(F.layer_norm, TF.layer_norm, (5,)), [(4, 5)]),
    ("layer_norm empty", *of_one(F.layer_norm, TF.layer_norm, (5,)), [(0, 5), (5,), (5,)]),
    ("rms_norm", *of_one(F.rms_norm, TF.rms_norm, (5,)), [(2, 3, 5), (5,)]),
    ("rms_norm of 2", *of_one(F.rms_norm, TF.rms_norm, (3, 5)), [(2, 3, 5), (3, 5)]),
    ("rms_norm eps", *of_one(F.rms_norm, TF.rms_norm, (5,), eps=0.1), [(4, 5)]),
    ("group_norm", *of_one(F.group_norm, TF.group_norm, 2), [(2, 4, 3, 2), (4,), (4,)]),
    ("group_norm of 1 group", *of_one(F.group_norm, TF.group_norm, 1), [(2, 4, 3), (4,), (4,)]),
    ("group_norm without space", *of_one(F.group_norm, TF.group_norm, 2), [(3, 6), (6,), (6,)]),
    ("group_norm plain", *of_one(F.group_norm, TF.group_norm, 3, eps=0.1), [(2, 6, 3)]),
    ("instance_norm", *of_one(F.instance_norm, TF.instance_norm, None, None), [(2, 3, 4), (3,), (3,)]),
    ("instance_norm plain", *of_one(F.instance_norm, TF.instance_norm), [(2, 3, 2, 4)]),
    ("local_response_norm", *of_one(F.local_response_norm, TF.local_response_norm, 2, 0.5), [(2, 4, 3)]),
    ("normalize", F.normalize, TF.normalize, [(2, 3, 2)]),
    ("normalize by 3", *of_one(F.normalize, TF.normalize, 3.0, -1), [(2, 3)]),
)  # fmt: skip
def test_functions(ours, theirs, shapes):
    arrays = [rng.standard_normal(s) for s in shapes]
    compare(ours, theirs, *arrays)
    compare(ours, theirs, *arrays, dtype=np.float32, tolerance=2e-5)
    if arrays[0].size:
        cr.check_grads(ours, arrays)


@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_with_running_values(training):
    x, w, b = rng.standard_normal((2, 3, 4)), rng.standard_normal(3), rng.standard_normal(3)
    ours, theirs = (np.zeros(3), np.ones(3)), (torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    y = F.instance_norm(x, *ours, w, b, training, 0.2)
    t = TF.instance_norm(torch.from_numpy(x), *theirs, torch.from_numpy(w), torch.from_numpy(b), training, 0.2)
    np.testing.assert_allclose(y, t)
    for running, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(running, expected)


def test_memory_order_is_kept():
    x = cr.Variable(rng.standard_normal((2, 4, 5, 3)).transpose(0, 3, 1, 2))
    w = np.ones(3)
    for y in (
        F.batch_norm(x, None, None, w, w, training=True),
        F.batch_norm(x, w, w, w, w),
        F.group_norm(x, 3, w, w),
        F.instance_norm(x, weight=w),
    ):
        assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_batch_norm_errors():
    with pytest.raises(ValueError, match=r"more than 1 value per channel when training, got \(1, 3\)"):
        F.batch_norm(np.zeros((1, 3)), None, None, training=True)
    with pytest.raises(ValueError, match="needs running_mean"):
        F.batch_norm(np.zeros((2, 3)), None, None)


def test_layer_norm_error():
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 4, 5\), got \(3, 5\)"):
        F.layer_norm(np.zeros((3, 5)), (4, 5))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 4, 5\), got \(5,\)"):
        F.layer_norm(np.zeros(5), (4, 5))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(33, 257), (5, 3, 700), (1, 5000), (4000, 1), (70, 8, 9)])
@pytest.mark.parametrize("centred", [True, False])
def test_kernels_of_rows(shape, dtype, centred):
    last = 2 if shape == (70, 8, 9) else 1
    x, g = (3 + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    for affine in (2, 1, 0):
        weight, bias = (*(rng.standard_normal(shape[-last:]).astype(dtype) for _ in range(affine)), None, None)[:2]
        check_kernel(kernels.normalize_rows, kernels.normalize_rows_backward, g, x, weight, bias, (last, 1e-5, centred), dtype)


CHANNELS = [(17, 6, 9, 11), (3, 64, 16, 20), (2, 5, 2000), (600, 12), (1, 8, 5, 13, 8), (2, 1, 60, 60), (40, 512, 1, 1)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", CHANNELS)
@pytest.mark.parametrize("layout", ["channels-first", "channels-last", "another"])
def test_kernels_of_channels(shape, layout, dtype):
    x, g = (3 + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    x, g = (in_layout(a, layout) for a in (x, g))
    channels = shape[1]
    weight, bias = rng.standard_normal((2, channels)).astype(dtype)
    forward, backward = kernels.normalize_channels, kernels.normalize_channels_backward
    cases = [(channels, True)]
    if len(shape) > 2 and min(shape[2:]) > 1:
        cases += [(channels, False), (2 if channels % 2 == 0 else 1, False)]
    for groups, together in cases:
        check_kernel(forward, backward, g, x, weight, bias, (groups, together, 1e-5), dtype)
    check_kernel(forward, backward, in_layout(g, "channels-first"), x, weight, None, (channels, True, 1e-5), dtype)
    statistics = (rng.standard_normal(channels).astype(dtype), rng.random(channels).astype(dtype) + 1, 1e-5)
    tolerance = TOLERANCE[dtype]
    forward, backward = kernels.standardize_channels, kernels.standardize_channels_backward
    for affine in ((weight, bias), (weight, None), (None, None)):
        close(forward(x, *affine, *statistics), forward.reference(x, *affine, *statistics), tolerance)
        for got, wanted in zip(
            backward(g, x, *affine, *statistics), backward.reference(g, x, *affine, *statistics), strict=True
        ):
            if wanted is not None:
                close(got, wanted, 30 * tolerance)


TOLERANCE = {np.float16: 4e-3, np.float32: 4e-6, np.float64: 1e-13}


def in_layout(a, layout):
    """The same array with another order in memory."""
    if layout == "channels-first":
        return np.ascontiguousarray(a)
    order = (0, *range(2, a.ndim), 1) if layout == "channels-last" else tuple(range(a.ndim))[::-1]
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


def close(got, wanted, tolerance):
    assert got.dtype == wanted.dtype
    wanted = wanted.astype(np.float64)
    np.testing.assert_allclose(got, wanted, tolerance, tolerance * max(1, np.abs(wanted).max(initial=0)))


def check_kernel(forward, backward, g, x, weight, bias, settings, dtype):
    """A kernel's compiled version beside its reference in float64."""
    wide = [a if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    y, *kept = forward(x, weight, bias, *settings)
    expected, *found = forward.reference(*wide, *settings)
    for got, wanted in zip((y, *kept), (expected, *found), strict=True):
        if np.ndim(wanted):  # not where no mean is taken off
            close(np.asarray(got, dtype).reshape(np.shape(wanted)), np.asarray(wanted).astype(dtype), TOLERANCE[dtype])
    gradients = backward(g, x, weight, bias, *kept, *settings)
    references = backward.reference(g.astype(np.float64), *wide, *kept, *settings)
    for got, wanted, like in zip(gradients, references, (x, weight, bias), strict=True):
        if like is not None:
            close(sum_to(got, like.shape), sum_to(wanted, like.shape).astype(dtype), 30 * TOLERANCE[dtype])


def test_kernels_do_not_depend_on_the_number_of_threads():
    x, g = rng.standard_normal((2, 9, 16, 33, 31)).astype(np.float32)
    w = np.ones(16, np.float32)
    before, results = cr.get_num_threads(), []
    for threads in (1, 2, 5):
        cr.set_num_threads(threads)
        y, mean, variance = kernels.normalize_channels(in_layout(x, "channels-last"), w, w, 16, True, 1e-5)
        rows, middle, scale = kernels.normalize_rows(x, None, None, 1, 1e-5, True)
        results.append([
            y, mean, rows, *kernels.normalize_channels_backward(g, x, w, w, mean, variance, 16, True, 1e-5),
            *kernels.normalize_rows_backward(g, x, None, None, middle, scale, 1, 1e-5, True),
        ])  # fmt: skip
    cr.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:invalid value")  # the references', of infinity - infinity
def test_not_a_number_stays_in_its_row_and_channel():
    x = rng.standard_normal((4, 3, 40, 40)).astype(np.float32)
    x[1, 2, 3, 4], x[2, 0, 0, 0] = np.nan, np.inf
    for layout in ("channels-first", "channels-last"):
        y = F.batch_norm(in_layout(x, layout), None, None, training=True)
        assert np.isnan(y[:, 2]).all() and np.isnan(y[2, 0, 0, 0]) and np.isfinite(y[:, 1]).all()
    assert np.isnan(F.layer_norm(x, (40,))).sum() == 80


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.rms_norm(np.zeros((3, 5)), (4,)), r"expected \(\.\.\., 4\), got \(3, 5\)"),
        (lambda: F.layer_norm(np.zeros((3, 5)), ()), "at least one length"),
        (lambda: F.batch_norm(np.zeros(5), None, None, training=True), r"expected \(N, C\) or \(N, C, \.\.\.\), got \(5,\)"),
        (lambda: F.group_norm(np.zeros((2, 5)), 2), r"C divisible into 2 groups, got \(2, 5\)"),
        (lambda: F.instance_norm(np.zeros((2, 5, 1))), "more than 1 value per channel"),
        (lambda: F.instance_norm(np.zeros((2, 5, 2)), use_input_stats=False), "needs running_mean"),
        (lambda: F.local_response_norm(np.zeros(5), 2), r"expected \(N, C, \.\.\.\)"),
        (lambda: nn.GroupNorm(2, 5), "5 channels cannot be divided into 2 groups"),
        (lambda: nn.GroupNorm(2, 4)(np.zeros((4, 2))), r"GroupNorm: expected \(N, 4, \.\.\.\), got \(4, 2\)"),
        (lambda: nn.InstanceNorm2d(3)(np.zeros((3, 4))), r"expected \(N, 3, H, W\) or \(3, H, W\), got \(3, 4\)"),
        (lambda: nn.BatchNorm3d(3)(np.zeros((3, 4))), r"expected \(N, 3, D, H, W\), got \(3, 4\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("affine", [True, False])
def test_evaluation_in_any_order_of_memory(dtype, affine):

    x = rng.normal(size=(2, 5, 7, 24)).astype(dtype)
    mean, variance, weight, bias = (rng.uniform(0.5, 1.5, 24).astype(dtype) for _ in range(4))
    weight, bias = (weight, bias) if affine else (None, None)
    last = x.transpose(0, 3, 1, 2)
    for images in (
        last,
        np.ascontiguousarray(last),
        last[:, :, ::2],
        last.swapaxes(2, 3),
        x.reshape(-1, 24),
        last[0].reshape(24, 35).T,
    ):
        y = F.batch_norm(images, mean, variance, weight, bias)
        expected = kernels.standardize_channels.reference(images, weight, bias, mean, variance, 1e-5)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError):
        F.batch_norm(last, mean, variance, np.ones(23, dtype))
