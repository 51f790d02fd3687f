"""Resampling and padding: functions and layers beside PyTorch's, forward and gradient; and second derivatives."""

import numpy as np
import pytest
from test_functional import compare
from test_nn import compare_layers
from test_normalization import in_layout

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels import resampling as kernels

torch = pytest.importorskip("torch")
TF = torch.nn.functional

rng = np.random.default_rng(0)

LAYERS = [
    *((f"{kind}Pad{n}d", (1,), {}, (2, 3, 4, 5, 2)[: n + 2]) for kind in ("Zero", "Reflection", "Replication", "Circular") for n in (1, 2, 3)),
    ("ZeroPad2d", ((1, -1, 0, 2),), {}, (2, 3, 4, 5)),
    ("ConstantPad1d", (2, 1.5), {}, (3, 4)),
    ("ConstantPad2d", ((1, 0, 2, 3), 2.0), {}, (2, 3, 4, 5)),
    ("ConstantPad3d", (1, -1.0), {}, (3, 4, 5, 2)),
    ("ReflectionPad2d", ((1, 2, 0, 3),), {}, (3, 4, 5)),
    ("ReplicationPad1d", ((6, 0),), {}, (3, 4)),
    ("CircularPad2d", ((5, 0, 2, 4),), {}, (2, 3, 4, 5)),
    ("PixelShuffle", (2,), {}, (2, 8, 3, 4)),
    ("PixelShuffle", (3,), {}, (9, 3, 4)),
    ("PixelUnshuffle", (2,), {}, (2, 2, 4, 6)),
    ("ChannelShuffle", (2,), {}, (2, 6, 3, 2)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4)),
    ("Upsample", (), {"scale_factor": (2, 1.5), "mode": "bilinear"}, (2, 3, 4, 5)),
    ("Upsample", (), {"size": (5, 3), "mode": "bicubic", "align_corners": True}, (2, 3, 4, 5)),
    ("UpsamplingNearest2d", (), {"size": 7}, (2, 3, 4, 5)),
    ("UpsamplingBilinear2d", (), {"scale_factor": 3}, (2, 3, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layers(name, args, kwargs, shape):
    compare_layers(name, args, kwargs, shape)


SHAPES = {"linear": (2, 3, 7), "trilinear": (1, 2, 4, 3, 5)}
SIZES = {3: [(4,), (13,)], 4: [(4, 11), (12, 3), (1, 1)], 5: [(8, 2, 7)]}


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"])
def test_interpolate(mode):
    x = rng.standard_normal(SHAPES.get(mode, (2, 2, 7, 5)))
    corners = [None] if mode in ("nearest", "nearest-exact", "area") else [None, False, True]
    for align_corners in corners:
        for size in SIZES[x.ndim]:
            options = {"size": size, "mode": mode, "align_corners": align_corners}
            compare(lambda x, o=options: F.interpolate(+x, **o), lambda x, o=options: TF.interpolate(x, **o), x)
        for factor in (2, 0.6, 1.7, 1, (1.3, 0.4, 2.1)[: x.ndim - 2]):
            for recompute in (None, True):
                options = {
                    "scale_factor": factor,
                    "mode": mode,
                    "align_corners": align_corners,
                    "recompute_scale_factor": recompute,
                }
                compare(lambda x, o=options: F.interpolate(+x, **o), lambda x, o=options: TF.interpolate(x, **o), x)
    cr.check_grads(lambda x: np.square(F.interpolate(x, scale_factor=1.6, mode=mode)), (x[:1, :1],))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_interpolate_antialiased(mode, align_corners):
    x = rng.standard_normal((2, 2, 11, 9))
    for size in [(4, 3), (5, 20), (1, 9)]:
        options = {"size": size, "mode": mode, "align_corners": align_corners, "antialias": True}
        compare(lambda x, o=options: F.interpolate(+x, **o), lambda x, o=options: TF.interpolate(x, **o), x, tolerance=1e-9)


def test_nearest_rounds_as_pytorch_does():
    for n in range(1, 40):
        x = torch.arange(float(n))[None, None]
        for m in range(1, 60):
            for mode in ("nearest", "nearest-exact"):
                np.testing.assert_array_equal(F.interpolate(x.numpy(), m, mode=mode), TF.interpolate(x, m, mode=mode))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad(mode):
    x = rng.standard_normal((2, 3, 4, 5))
    for pads in [(1, 2), (0, 3, 2, 1), (3, 0), (0, 0, 0, 0), (-1, 2, 1, -2), (-1, -1)]:
        compare(lambda x, p=pads: F.pad(+x, p, mode), lambda x, p=pads: TF.pad(x, p, mode), x[0] if len(pads) == 2 else x)
        cr.check_grads(lambda x, p=pads: np.square(F.pad(x, p, mode)), (x[:1, 0],))
    if mode == "constant":
        compare(
            lambda x: F.pad(x, (1, 0, 2, 2, 0, 1, 1, 1), value=3), lambda x: TF.pad(x, (1, 0, 2, 2, 0, 1, 1, 1), value=3), x
        )


def test_memory_order_is_kept():
    x = cr.Variable(rng.standard_normal((2, 4, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2))
    for y in (
        F.pad(x, (1, 2, 0, 1)),
        F.pad(x, (1, 2, 0, 1), "reflect"),
        F.interpolate(x, scale_factor=2),
        F.interpolate(x, (3, 9), mode="bilinear"),
    ):
        assert y.dtype == np.float32
        assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_nan_stays_where_it_is():
    x = np.arange(6.0).reshape(1, 1, 6)
    x[..., 2] = np.nan
    y = F.interpolate(x, 12, mode="linear")
    np.testing.assert_array_equal(np.isnan(y), np.isnan(TF.interpolate(torch.from_numpy(x), 12, mode="linear").numpy()))


LINEAR = [
    lambda x: F.interpolate(x, scale_factor=2),
    lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"),
    lambda x: F.interpolate(x, (9, 40), mode="bicubic"),
    lambda x: F.interpolate(x, (20, x.shape[3]), mode="area"),
    lambda x: F.pad(x, (3, 2, 1, 4), "reflect"),
    lambda x: F.pad(x, (0, 0, 5, 0), "circular"),
    lambda x: F.pad(x, (2, 2), "replicate"),
    lambda x: F.avg_pool2d(x, 3, 2, 1),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.avg_pool2d(x, 1, 2),  # inputs that nothing is made of
]


@pytest.mark.parametrize("f", LINEAR)
@pytest.mark.parametrize("shape", [(3, 2, 17, 23), (2, 40, 7, 9), (1, 1, 40, 30)])
@pytest.mark.parametrize("layout", ["channels-first", "channels-last", "another"])
def test_kernels(f, shape, layout, monkeypatch):
    for dtype, tolerance in [(np.float32, 1e-5), (np.float64, 1e-12)]:
        x = cr.Variable(in_layout(rng.standard_normal(shape).astype(dtype), layout))
        y = f(x)
        g = rng.standard_normal(y.shape).astype(dtype)
        (gx,) = y.creator.vjp(g)
        with monkeypatch.context() as patch:
            patch.setattr(kernels.apply, "_when", lambda *args: False)
            expected = f(x)
            np.testing.assert_allclose(y.data, expected.data, tolerance, tolerance)
            np.testing.assert_allclose(gx, expected.creator.vjp(g)[0], tolerance, tolerance)
        assert y.dtype == gx.dtype == dtype
        if layout != "another" and min(y.shape) > 1:
            assert y.data.strides == in_layout(np.zeros(y.shape, dtype), layout).strides


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.pad(x, (1, 1, 1)), r"2 numbers for each of at most 4 axes"),
        (lambda x: F.pad(x, (1, 1), "mirror"), "not 'mirror'"),
        (lambda x: F.pad(x, (5, 0), "reflect"), r"continues axis 3 of \(2, 4, 4, 5\) by at most 4, not \(5, 0\)"),
        (lambda x: F.pad(x, (0, 6), "circular"), "by at most 5"),
        (lambda x: F.pad(x, (1, 1), "reflect", 3.0), "a value is for mode 'constant'"),
        (lambda x: F.pad(x, (-3, -3)), "cuts more"),
        (lambda x: nn.ZeroPad2d((1, 2, 3)), "a number or 4 of them"),
        (lambda x: nn.ReflectionPad1d(1)(x), r"ReflectionPad1d: expected \(N, C, L\) or \(C, L\), got \(2, 4, 4, 5\)"),
        (lambda x: F.interpolate(x), "either size or scale_factor"),
        (lambda x: F.interpolate(x, 3, 2.0), "either size or scale_factor"),
        (lambda x: F.interpolate(x, (3,)), "1 numbers for 2 axes"),
        (lambda x: F.interpolate(x, 3, mode="linear"), r"mode 'linear' expects \(N, C, L\), got \(2, 4, 4, 5\)"),
        (lambda x: F.interpolate(x, 3, mode="cubic"), "not 'cubic'"),
        (lambda x: F.interpolate(x, 3, align_corners=True), "no meaning for mode 'nearest'"),
        (lambda x: F.interpolate(x, 3, antialias=True), "antialias is for"),
        (lambda x: F.interpolate(x, 3, recompute_scale_factor=True), "needs scale_factor"),
        (lambda x: F.interpolate(x, scale_factor=0.1), "at least 1 element"),
        (lambda x: F.pixel_shuffle(x, 3), r"expected \(\.\.\., C \* 9, H, W\), got \(2, 4, 4, 5\)"),
        (lambda x: F.pixel_unshuffle(x, 3), r"H \* 3, W \* 3"),
        (lambda x: F.channel_shuffle(x, 3), "into 3 groups"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((2, 4, 4, 5)))
