"""Dropout: what is kept, gradients, that results are the same for any number of threads, and the layers beside PyTorch's."""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.functional as F
from chainrule import nn
from chainrule.kernels import dropout as kernels

LARGE = (37, 5, 301)  # from which on compiled loops are used, over several blocks and a part of one


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (30, 20), LARGE])
def test_dropout(shape, dtype):
    cr.random.manual_seed(0)
    x = cr.Variable(np.full(shape, 0.7, dtype))
    y = F.dropout(x, 0.3)
    assert y.dtype == dtype and y.shape == shape
    kept = y.data != 0
    np.testing.assert_allclose(y.data[kept], 1.0, 1e-3)
    y.grad = np.full(shape, 2, dtype)
    y.backward()
    np.testing.assert_allclose(x.grad, np.where(kept, 2 / 0.7, 0), 1e-3)
    cr.random.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(x.data, 0.3), y.data)
    if x.size > 100:
        assert abs(kept.mean() - 0.7) < 4 * math.sqrt(0.3 * 0.7 / x.size)


def test_dropout_of_nothing_and_of_all():
    for shape in ((4,), LARGE):
        x = np.full(shape, np.nan)
        assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x
        np.testing.assert_array_equal(F.dropout(x, 1.0), 0)
    with pytest.raises(ValueError, match=r"a probability is between 0 and 1, not 1\.5"):
        F.dropout(x, 1.5)


def test_derivatives():
    def dropped(x):
        with cr.random.using(0):
            return np.square(F.dropout(x, 0.4)) + np.square(F.alpha_dropout(x, 0.4, training=True))

    cr.check_grads(dropped, (np.random.default_rng(0).standard_normal((3, 4)),))


def test_memory_order_does_not_matter():
    x = np.random.default_rng(0).standard_normal((4, 8, 10, 10)).astype(np.float32)
    results = []
    for variant in (x, np.asfortranarray(x), np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        cr.random.manual_seed(0)
        y = F.dropout(variant, 0.5)
        assert y.strides == variant.strides
        results.append(y)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_masks_are_the_same_for_any_number_of_threads_and_without_numba():
    before, size = cr.get_num_threads(), 100_003
    expected = kernels.kept.reference(size, 2**30, 12345678901234567890)
    for n in (1, 2, 3):
        cr.set_num_threads(n)
        np.testing.assert_array_equal(kernels.kept(size, 2**30, 12345678901234567890), expected)
    cr.set_num_threads(before)
    assert not np.array_equal(kernels.kept(size, 2**30, 12345678901234567891), expected)


def test_philox_is_the_published_one():
    """The known answer of Philox4x32-10 for zeros, from its authors' library, Random123."""
    answer = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert tuple(int(n) for n in kernels.philox(np.uint64(0), np.uint64(0))) == answer


def test_masks_look_random():
    kept = kernels.kept(2**20, 2**31, 7)
    signs = kept * 2.0 - 1
    for lag in (1, 2, 16, 4096, 8192, 16384):
        assert abs(np.mean(signs[lag:] * signs[:-lag])) < 5 / 2**10
    other = kernels.kept(2**20, 2**31, 8) * 2.0 - 1
    assert abs(np.mean(signs * other)) < 5 / 2**10


CHANNELS = [
    (F.dropout1d, nn.Dropout1d, (50, 40, 3), (0, 1)),
    (F.dropout1d, nn.Dropout1d, (2000, 3), (0,)),
    (F.dropout2d, nn.Dropout2d, (50, 40, 3, 2), (0, 1)),
    (F.dropout2d, nn.Dropout2d, (50, 40, 3), (0, 1)),
    (F.dropout3d, nn.Dropout3d, (50, 40, 3, 2, 2), (0, 1)),
    (F.dropout3d, nn.Dropout3d, (2000, 3, 2, 2), (0,)),
]


@pytest.mark.parametrize(("function", "layer", "shape", "leading"), CHANNELS)
def test_dropout_of_channels(function, layer, shape, leading):
    cr.random.manual_seed(0)
    y = function(np.ones(shape, np.float32), 0.25)
    kept = y.reshape(*[shape[i] for i in leading], -1)
    assert (kept == kept[..., :1]).all()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((kept[..., 0] != 0).mean() - 0.75) < 0.05
    module = layer(0.25)
    cr.random.manual_seed(0)
    np.testing.assert_array_equal(module(np.ones(shape, np.float32)), y)
    assert (module.eval()(np.ones(shape)) == 1).all()
    with pytest.raises(ValueError, match=f"{layer.__name__}: {function.__name__}: expected an input of . or . axes, got"):
        module(np.ones(3))


def test_alpha_dropout_keeps_mean_and_variance():
    cr.random.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((400, 500))
    for function, variant in ((F.alpha_dropout, x), (F.feature_alpha_dropout, x), (nn.AlphaDropout(0.3), x)):
        y = function(variant, 0.3, training=True) if not isinstance(function, nn.Module) else function(variant)
        assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.02
    y = F.feature_alpha_dropout(np.ones((100, 20, 7)), 0.5, training=True)
    assert (y == y[..., :1]).all() and len(np.unique(y)) == 2
    assert not F.alpha_dropout(x, 1.0, training=True).any()
    assert F.alpha_dropout(x) is x
    with pytest.raises(ValueError, match=r"expected \(N, C, \.\.\.\), got \(3,\)"):
        F.feature_alpha_dropout(np.zeros(3), training=True)


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"])
def test_layers_beside_pytorch(name):
    torch = pytest.importorskip("torch")
    assert repr(getattr(nn, name)(0.3, inplace=True)) == repr(getattr(torch.nn, name)(0.3, inplace=True))
    x = np.ones((3, 4, 5) if name == "Dropout1d" else (3, 4, 5, 6))
    assert getattr(nn, name)().eval()(x) is x
    with pytest.raises(ValueError, match=r"a probability is between 0 and 1, not -0\.1"):
        getattr(nn, name)(-0.1)


def test_alpha_dropout_has_pytorchs_values():
    torch = pytest.importorskip("torch")
    cr.random.manual_seed(0)
    torch.manual_seed(0)
    ours = F.alpha_dropout(np.full(1000, 0.3), 0.4, training=True)
    theirs = torch.nn.functional.alpha_dropout(torch.full((1000,), 0.3, dtype=torch.float64), 0.4, training=True)
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs.numpy()))
