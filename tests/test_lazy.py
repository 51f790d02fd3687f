"""Layers that learn their input's size at the first call; tests/parity_cases.py compares them with PyTorch's."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim


def model():
    return nn.Sequential(nn.LazyConv2d(4, 3, groups=2), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))


X = np.random.default_rng(0).standard_normal((2, 2, 5, 5)).astype(np.float32)


def test_a_call_makes_the_parameters_which_stay_the_same_objects():
    net = model()
    before = dict(net.named_parameters())
    assert {name: p.shape for name, p in before.items()} == dict.fromkeys(before, (0,))
    assert all(layer.has_uninitialized_params() for layer in (net[0], net[1], net[4]))
    assert "LazyLinear(in_features=0, out_features=5, bias=True)" in repr(net)
    net(X).sum().backward()
    assert dict(net.named_parameters()) == before
    assert [type(m) for m in net] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert all(type(p) is cr.Parameter and p.grad.shape == p.shape for p in before.values())
    shapes = {k: v.shape for k, v in net.state_dict().items()}
    cr.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
    assert shapes == {k: v.shape for k, v in plain.state_dict().items()}
    assert abs(net[4].weight.data).max() <= 1 / 6  # 1 / sqrt(in_features)
    assert repr(net) == repr(plain)


def test_dtype_mode_and_hooks_are_those_that_were_set():
    net = model().double().eval()
    net[4].weight.requires_grad = False
    seen = []
    net[4].register_forward_hook(lambda module, args, output: seen.append(type(module)))
    y = net(X.astype(np.float64))
    assert {v.dtype for k, v in net.state_dict().items() if "num" not in k} == {np.dtype(np.float64)}
    assert y.dtype == np.float64
    assert not net[1].training
    assert not net[4].weight.requires_grad
    assert seen == [nn.Linear]
    np.testing.assert_array_equal(net[1].running_mean, np.zeros(4))


def test_a_state_dict_makes_them_too():
    net, other = model(), model()
    net(X)
    other.load_state_dict(net.state_dict())
    assert type(other[0]) is nn.Conv2d
    np.testing.assert_array_equal(net.eval()(X).data, other.eval()(X).data)
    waiting, again = model(), model()
    assert set(waiting.state_dict()) == set(net.state_dict())
    again.load_state_dict(waiting.state_dict())
    assert again[4].has_uninitialized_params()


def test_copies_and_pickles_wait_as_well():
    for twin in (copy.deepcopy(model()), pickle.loads(pickle.dumps(model()))):
        assert isinstance(twin[4].weight, nn.UninitializedParameter)
        assert twin(X).shape == (2, 5)


def test_errors():
    net = model()
    with pytest.raises(ValueError, match=r"parameter 0\.weight has no shape yet; call the model on a batch"):
        optim.SGD(net.named_parameters())
    with pytest.raises(ValueError, match=r"model\.0 \(LazyConv2d\): expected a channel and 2 axes"):
        net(X[0, 0])
    with pytest.raises(ValueError, match=r"model\.0 .*3 input and 4 output channels cannot be divided into 2 groups"):
        net(np.zeros((2, 3, 5, 5), np.float32))
    net(X)
    optim.SGD(net.parameters())
    with pytest.raises(ValueError, match=r"got \(2, 4, 5, 5\)"):
        net(np.zeros((2, 4, 5, 5), np.float32))
