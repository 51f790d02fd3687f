"""Computed weights: normalised in the first form, orthogonal, pruned; and fused normalisation. tests/parity_cases.py has more."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import utils
from chainrule.nn.utils import prune
from chainrule.nn.utils.parametrizations import orthogonal

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


# ---- copies, and several computed at once ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "remove"),
    [
        (utils.weight_norm, utils.remove_weight_norm),
        (utils.parametrizations.weight_norm, utils.parametrize.remove_parametrizations),
        (prune.identity, prune.remove),
    ],
)
def test_computing_ends_for_one_name_of_one_module(made, remove):
    layer = nn.Linear(3, 5)
    expected = layer(X).data
    made(made(layer, "weight"), "bias")
    twin = copy.deepcopy(layer)
    remove(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    assert not isinstance(layer.bias, nn.Parameter)
    remove(layer, "bias")
    assert type(layer) is nn.Linear
    assert not isinstance(twin.weight, nn.Parameter)
    for module in (layer, twin):
        np.testing.assert_allclose(module(X).data, expected, rtol=1e-5, atol=1e-6)


# ---- orthogonal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trivialized", [True, False])
@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 4, 3)])
def test_orthogonal_weights_stay_so(shape, name, trivialized):
    class Holder(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.random.default_rng(0).standard_normal(shape))

    def gram(w):
        return np.swapaxes(w, -1, -2) @ w if shape[-1] <= shape[-2] else w @ np.swapaxes(w, -1, -2)

    holder = orthogonal(Holder(), orthogonal_map=name, use_trivialization=trivialized)
    identity = np.broadcast_to(np.eye(min(shape[-2:])), (*shape[:-2], *[min(shape[-2:])] * 2))
    np.testing.assert_allclose(gram(holder.weight.data), identity, atol=1e-12)
    (original,) = holder.parameters()
    original.data = original.data + np.random.default_rng(1).standard_normal(shape) / 9
    np.testing.assert_allclose(gram(holder.weight.data), identity, atol=1e-12)
    cr.check_grads(holder.parametrizations["weight"][0], [original.data])
    if trivialized or name == "householder":
        value = holder.weight.data
        holder.weight = value
        np.testing.assert_allclose(holder.weight.data, value, atol=1e-12)
    else:
        with pytest.raises(NotImplementedError, match="with use_trivialization alone"):
            holder.weight = holder.weight.data


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
@pytest.mark.parametrize("trivialized", [True, False])
def test_reflections_are_pytorchs(shape, trivialized):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(*shape), use_trivialization=trivialized)
    ours = orthogonal(nn.Linear(*shape), use_trivialization=trivialized)
    with torch.no_grad():
        theirs.parametrizations.weight.original += 0.1 * (1 - torch.eye(*shape[::-1]))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    np.testing.assert_allclose(ours.weight.data, theirs.weight.detach().numpy(), atol=1e-6)


def test_errors_of_orthogonal():
    with pytest.raises(ValueError, match="at least two axes"):
        orthogonal(nn.Linear(3, 3), "bias")
    with pytest.raises(ValueError, match="not 'qr' of float32"):
        orthogonal(nn.Linear(3, 3), orthogonal_map="qr")


# ---- pruning --------------------------------------------------------------------------------------------


def pair(seed=0):
    """A layer of ours and one of PyTorch's, of the same weights."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    theirs = torch.nn.Conv2d(4, 6, 3)
    ours = nn.Conv2d(4, 6, 3)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, pytest.importorskip("torch.nn.utils.prune")


PRUNED = [
    ("l1_unstructured", {"amount": 0.3}),
    ("l1_unstructured", {"amount": 17}),
    ("ln_structured", {"amount": 0.5, "n": 2, "dim": 0}),
    ("ln_structured", {"amount": 1, "n": 1, "dim": -3}),
    ("ln_structured", {"amount": 1, "n": float("inf"), "dim": 1}),
]


@pytest.mark.parametrize("first", range(len(PRUNED)))
@pytest.mark.parametrize("then", range(len(PRUNED)))
def test_what_is_pruned_and_then_pruned_again(first, then):
    ours, theirs, module = pair()
    for name, options in (PRUNED[first], PRUNED[then]):
        getattr(prune, name)(ours, "weight", **options)
        getattr(module, name)(theirs, "weight", **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_array_equal(ours.weight_mask, theirs.weight_mask.numpy())
    np.testing.assert_array_equal(ours.weight.data, theirs.weight.detach().numpy())


def test_pruning_at_random():
    layer = nn.Conv2d(4, 6, 3)
    assert not prune.is_pruned(layer)
    prune.random_unstructured(layer, "weight", amount=20)
    assert prune.is_pruned(nn.Sequential(layer))
    assert (layer.weight_mask == 0).sum() == 20
    prune.random_unstructured(layer, "weight", amount=0.5)
    assert (layer.weight_mask == 0).sum() == 20 + (216 - 20) // 2
    prune.random_structured(layer, "weight", amount=2, dim=0)
    assert (~layer.weight_mask.any(axis=(1, 2, 3))).sum() == 2
    np.sum(layer(np.ones((1, 4, 5, 5), np.float32))).backward()
    assert not layer.weight_orig.grad[layer.weight_mask == 0].any()
    prune.remove(layer, "weight")
    assert type(layer) is nn.Conv2d
    assert list(layer.state_dict()) == ["bias", "weight"]


def test_pruning_several_as_one():
    (a, ta, module), (b, tb, _) = pair(0), pair(1)
    scores, their_scores = {(b, "bias"): np.arange(6.0)}, {(tb, "bias"): pytest.importorskip("torch").arange(6.0)}
    for method in ("L1Unstructured", "L1Unstructured"):
        prune.global_unstructured(
            [(a, "weight"), (b, "weight"), (b, "bias")], getattr(prune, method), importance_scores=scores, amount=0.4
        )
        module.global_unstructured(
            [(ta, "weight"), (tb, "weight"), (tb, "bias")], getattr(module, method), importance_scores=their_scores, amount=0.4
        )
    for ours, theirs in ((a, ta), (b, tb)):
        assert set(ours.state_dict()) == set(theirs.state_dict())
        for name, value in theirs.state_dict().items():
            np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())


def test_errors_of_pruning():
    layer = nn.Linear(3, 4)
    with pytest.raises(ValueError, match="from 0 to the 12 that are left"):
        prune.l1_unstructured(layer, "weight", 13)
    with pytest.raises(ValueError, match="for a part of them, not 1.5"):
        prune.random_unstructured(layer, "weight", 1.5)
    with pytest.raises(ValueError, match=r"along axis 0 of a Parameter of shape \(4,\) cannot be pruned"):
        prune.random_structured(layer, "bias", 1, 0)
    with pytest.raises(ValueError, match=r"the shape of what is pruned, \(4, 3\), not \(3,\)"):
        prune.custom_from_mask(layer, "weight", np.ones(3))
    with pytest.raises(ValueError, match=r"importance_scores have the shape"):
        prune.l1_unstructured(layer, "weight", 1, np.ones(3))
    with pytest.raises(ValueError, match="'weight' of this Linear is not pruned"):
        prune.remove(layer, "weight")
    with pytest.raises(TypeError, match="only methods of elements"):
        prune.global_unstructured([(layer, "weight")], prune.LnStructured, amount=1, n=2)
    assert list(layer.state_dict()) == ["weight", "bias"]
