"""The summary of a model: shapes, parameters, multiply-adds and memory against what is known of its layers."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

M = 4  # bytes of a float32


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [
        (nn.Linear(5, 3), (7, 5), 7 * 5 * 3),
        (nn.Linear(5, 3), (2, 7, 5), 14 * 5 * 3),
        (nn.Conv1d(4, 6, 3, groups=2), (2, 4, 9), 2 * 6 * 7 * 2 * 3),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 10, 10), 2 * 8 * 25 * 27),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 3 * 27 * 16),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5), 2 * 4 * 25 * 3 * 9),
        (nn.LSTM(3, 5, 2), (7, 2, 3), 14 * 4 * 5 * (3 + 5 + 5 + 5)),
        (nn.GRU(3, 5), (7, 2, 3), 14 * 3 * 5 * (3 + 5)),
        (
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
            (2, 5, 16),
            10 * (16 * 48 + 256 + 2 * 16 * 32) + 2 * 2 * 4 * 25 * 4,
        ),
        (nn.BatchNorm2d(3), (2, 3, 4, 4), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_multiply_adds_and_parameters(layer, shape, multiply_adds):
    found = cr.summary(layer, shape)
    assert found.multiply_adds == multiply_adds
    assert (
        found.parameters == found.trained == sum(p.size for p in layer.parameters()) == sum(x.parameters for x in found.layers)
    )
    assert found.weights == M * found.parameters
    expected = layer(np.zeros(shape, np.float32))
    outputs = [y.shape for y in cr.trees.leaves(expected)] if isinstance(expected, tuple) else [expected.shape]
    assert found.layers[0].output == ", ".join(map(str, outputs))


def test_what_is_kept_is_what_the_gradients_read():
    model = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 5))
    found = cr.summary(model, (8, 10))
    assert [layer.kept for layer in found.layers] == [0, 0, M * 8 * 20, 0]  # tanh keeps its result, which the last layer reads
    assert [layer.path for layer in found.layers] == ["", "0", "1", "2"]
    square = cr.summary(Product(), (6, 6))
    assert square.layers[0].kind == "Product" and square.multiply_adds == 6**3 + 6**3


def test_what_is_kept_is_what_kernels_keep():
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    x = np.zeros((2, 128, 16), np.float32)
    found = cr.summary(attention, x, x, x, need_weights=False)
    scores = 2 * 4 * 128 * 128
    assert found.multiply_adds == 4 * x.size * 16 + 2 * scores * 4
    if cr.kernels.layer.enabled():
        assert found.kept < M * scores  # attention's own kernel keeps no array of scores


class Product(nn.Module):
    def forward(self, x):
        return np.einsum("ij,kj->ik", x, x) @ x


def test_the_model_is_left_as_it_is():
    model = nn.Sequential(nn.Embedding(10, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    cr.manual_seed(0)
    state = cr.random.get_state()
    with cr.no_grad():
        found = cr.summary(model, np.arange(6))
    assert cr.random.get_state() == state
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not model[0].weight.requires_grad and model[3].weight.requires_grad and model[3]._hooks.forward == {}
    assert all(p.grad is None for p in model.parameters())
    assert found.trained == 8 + 10 and found.parameters == 40 + 18 and found.multiply_adds == 6 * 4 * 2
    assert found.layers[1].output == "(6, 4)"


def test_frozen_models_and_shared_layers():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Embedding(10, 4), shared, nn.ReLU(), shared).requires_grad_(False)
    found = cr.summary(model, np.arange(6))
    assert found.multiply_adds == 2 * 6 * 16 and found.parameters == 40 + 20 and found.trained == 0
    assert len(found.layers) == 4
    assert str(found).splitlines()[-1] == "0 of the parameters are trained; they take 240 B"
    with pytest.raises(ValueError, match=r"Linear: expected \(\.\.\., 4\)"):
        cr.summary(shared, (2, 3))
    assert cr.summary(shared, (2, 4)).multiply_adds == 32
