"""Weight and spectral norm in their first form, and fused normalisation; tests/parity_cases.py compares them with PyTorch's."""

import copy

import numpy as np
import pytest

from chainrule import nn
from chainrule.nn import utils

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


@pytest.mark.parametrize("made", [utils.weight_norm, utils.spectral_norm])
def test_weights_are_computed_at_each_reading_and_kept_by_copies(made):
    layer = made(nn.Linear(3, 5)).eval()
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(twin(X).data, layer(X).data)
    trained = next(p for name, p in twin.named_parameters() if name != "bias")
    trained.data = trained.data * 2 + 1
    assert np.abs(twin(X).data - layer(X).data).max() > 0.1
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(X).data, layer(X).data)
    assert repr(layer) == repr(nn.Linear(3, 5))


def test_one_parameter_again():
    for made, remove in ((utils.weight_norm, utils.remove_weight_norm), (utils.spectral_norm, utils.remove_spectral_norm)):
        layer = made(nn.Linear(3, 5)).eval()
        expected = layer(X).data
        assert remove(layer) is layer
        assert type(layer) is nn.Linear
        assert list(layer.state_dict()) == ["bias", "weight"]
        np.testing.assert_allclose(layer(X).data, expected, rtol=1e-6)
        with pytest.raises(ValueError, match="'weight' of this Linear is not normalised in this way"):
            remove(layer)


def test_spectral_norm_finds_the_largest_singular_value():
    layer = utils.spectral_norm(nn.Linear(3, 5), n_power_iterations=50)
    assert np.linalg.norm(layer.weight.data, 2) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="n_power_iterations is positive"):
        utils.spectral_norm(nn.Linear(3, 5), n_power_iterations=0)


def test_only_layers_in_evaluation_are_fused():
    linear, norm = nn.Linear(3, 5).eval(), nn.BatchNorm1d(5)
    with pytest.raises(ValueError, match="call eval"):
        utils.fuse_linear_bn_eval(linear, norm)
    fused = utils.fuse_linear_bn_eval(linear, norm.eval())
    np.testing.assert_allclose(fused(X).data, norm(linear(X)).data, rtol=1e-5, atol=1e-6)
    assert fused is not linear
