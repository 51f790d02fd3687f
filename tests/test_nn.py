"""Layers beside PyTorch's, with PyTorch's own state dicts; Module; initialisers; errors that name the layer."""

import copy
import math
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

torch = pytest.importorskip("torch")
tnn = torch.nn

rng = np.random.default_rng(3)


def numpy_state(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


# a layer, its arguments, the shape of its input
LAYERS = [
    ("Linear", (5, 3), {}, (4, 5)),
    ("Linear", (5, 3), {"bias": False}, (2, 4, 5)),
    ("Conv2d", (3, 4, 3), {}, (2, 3, 7, 6)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": 2, "groups": 2, "bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (3, 4, 3), {"padding": "same"}, (2, 3, 7, 6)),
    ("Dropout", (0.0,), {}, (3, 5)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Identity", (1, "anything"), {"whatever": 2}, (2, 3)),
    ("ReLU", (), {}, (2, 3)),
    ("LeakyReLU", (0.2,), {}, (2, 3)),
    ("GELU", (), {}, (2, 3)),
    ("GELU", (), {"approximate": "tanh"}, (2, 3)),
    ("SiLU", (), {}, (2, 3)),
    ("Sigmoid", (), {}, (2, 3)),
    ("Tanh", (), {}, (2, 3)),
    ("Softmax", (1,), {}, (2, 3, 4)),
    ("LogSoftmax", (), {"dim": 1}, (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layers(name, args, kwargs, shape):
    compare_layers(name, args, kwargs, shape)


def compare_layers(name, args, kwargs, shape):
    """Our layer and PyTorch's of the same name: text, state, and results and gradients in training and in use."""
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(tnn, name)(*args, **kwargs)
    assert repr(ours).replace(", inplace=False", "") == repr(theirs).replace(", inplace=False", "")
    assert {k: (v.shape, v.dtype) for k, v in ours.state_dict().items()} == {
        k: (v.shape, v.dtype) for k, v in numpy_state(theirs).items()
    }
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    ours.load_state_dict(theirs.state_dict())
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        array = rng.standard_normal(shape).astype(np.float32)
        x, t = cr.Variable(array), torch.tensor(array, requires_grad=True)
        y, u = ours(x), theirs(t)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, u.detach().numpy(), 1e-5, 2e-6)
        g = rng.standard_normal(y.shape).astype(np.float32)
        ours.zero_grad()
        theirs.zero_grad()
        if y.creator is not None:
            y.grad = g
            y.backward()
            u.backward(torch.tensor(g))
            np.testing.assert_allclose(x.grad, t.grad.numpy(), 1e-4, 5e-6)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), 1e-4, 5e-6)
        for (key, value), expected in zip(ours.state_dict().items(), numpy_state(theirs).values(), strict=True):
            np.testing.assert_allclose(value, expected, 1e-5, 1e-6, err_msg=key)
        ours.zero_grad()
        ours(array)  # on arrays
        theirs(t)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx):
    ours, theirs = nn.Embedding(5, 3, padding_idx), tnn.Embedding(5, 3, padding_idx)
    assert repr(ours) == repr(theirs)
    if padding_idx is not None:
        assert not ours.weight.data[padding_idx].any()
    ours.load_state_dict(theirs.state_dict())
    index = rng.integers(0, 5, (4, 6))
    ours(cr.Variable(index)).sum().backward()
    theirs(torch.tensor(index)).sum().backward()
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.head = nn.Linear(4 * 4 * 4, 5)
        self.scale = nn.Parameter(np.ones(5, np.float32))
        self.register_buffer("offset", np.zeros(5, np.float32))
        self.register_parameter("nothing", None)

    def forward(self, x):
        return self.head(self.flatten(self.features(x))) * self.scale + self.offset


class TorchNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.features = tnn.Sequential(tnn.Conv2d(3, 4, 3, padding=1), tnn.BatchNorm2d(4), tnn.ReLU(), tnn.MaxPool2d(2))
        self.flatten = tnn.Flatten()
        self.head = tnn.Linear(4 * 4 * 4, 5)
        self.scale = tnn.Parameter(torch.ones(5))
        self.register_buffer("offset", torch.zeros(5))
        self.register_parameter("nothing", None)

    def forward(self, x):
        return self.head(self.flatten(self.features(x))) * self.scale + self.offset


def test_a_model_is_organised_as_in_pytorch():
    ours, theirs = Net(), TorchNet()
    assert repr(ours) == repr(theirs).replace("TorchNet", "Net")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.state_dict("a.")) == [f"a.{name}" for name in theirs.state_dict()]
    for method in ("named_modules", "named_children", "named_parameters", "named_buffers"):
        assert [n for n, _ in getattr(ours, method)()] == [n for n, _ in getattr(theirs, method)()], method
    assert [n for n, _ in ours.named_parameters("p", recurse=False)] == ["p.scale"]
    assert len(list(ours.modules())) == 8
    assert len(list(ours.children())) == 3
    assert len(list(ours.buffers())) == 4
    assert [type(m).__name__ for m in ours.features] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]


def test_a_model_computes_what_pytorch_does():
    ours, theirs = Net(), TorchNet()
    ours.load_state_dict(theirs.state_dict())
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        y, t = ours(x), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.data, t.detach().numpy(), 1e-4, 1e-5)
        ours.zero_grad()
        theirs.zero_grad()
        np.sum(y * y).backward()
        (t * t).sum().backward()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), 1e-3, 1e-4)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})


def test_containers():
    model = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()}).append(nn.Linear(3, 1))
    assert list(model.state_dict()) == ["first.weight", "first.bias", "2.weight", "2.bias"]
    assert isinstance(model[-1], nn.Linear)
    assert isinstance(model[:2], nn.Sequential)
    assert len(model[:2]) == 2
    layers = nn.ModuleList([nn.Linear(2, 2)]).append(nn.Linear(2, 3))
    assert repr(layers[1:]) == "ModuleList(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n)"
    with pytest.raises(TypeError, match="expected a Module, got function; for a function"):
        nn.Sequential(nn.Linear(2, 2), lambda x: x)
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        layers(1)


def test_shared_modules_and_parameters_count_once():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    again = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    again[2].weight = again[0].weight
    assert len(list(again.parameters())) == 3


def test_modes():
    model = Net()
    assert model.train(False) is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())
    seen = []
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Net"
    assert len(seen) == 8
    model.requires_grad_()(np.zeros((2, 3, 8, 8), np.float32)).sum().backward()
    model.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_copies():
    model = Net()
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.eval()(x).data, model.eval()(x).data)
        assert not set(map(id, again.parameters())) & set(map(id, model.parameters()))


def test_load_state_dict_lists_everything_and_changes_nothing():
    model = Net()
    before = copy.deepcopy(model.state_dict())
    state = {name: value + 1 for name, value in before.items()}
    del state["head.bias"], state["features.1.running_mean"]
    state["extra"], state["another"] = np.zeros(1), np.zeros(2)
    state["scale"], state["head.weight"] = np.zeros(6), np.zeros((1, 2))
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state)
    for part in [
        "cannot load the state dict into Net; nothing was changed",
        "missing: features.1.running_mean, head.bias",
        "unexpected: extra, another",
        "shape of scale: the model has (5,), the state dict (6,)",
        "shape of head.weight: the model has (5, 64), the state dict (1, 2)",
    ]:
        assert part in str(error.value)
    with pytest.raises(RuntimeError, match="shape of scale"):
        model.load_state_dict(state, strict=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    del state["scale"], state["head.weight"]
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale", "features.1.running_mean", "head.weight", "head.bias"]
    assert result.unexpected_keys == ["extra", "another"]
    np.testing.assert_array_equal(model.state_dict()["offset"], 1)


def test_load_state_dict_is_seen_by_the_tape():
    model = nn.Linear(2, 2)
    y = model(cr.Variable(np.ones((1, 2), np.float32)))
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="changed after"):
        y.sum().backward()


def test_names():
    module = nn.Module()
    for name in ("", "a.b"):
        with pytest.raises(KeyError, match="not empty and has no dot"):
            module.add_module(name, nn.ReLU())
    with pytest.raises(KeyError, match="another attribute 'forward'"):
        module.register_buffer("forward", np.zeros(1))
    module.register_buffer("state", None)
    assert list(module.state_dict()) == []
    module.state = np.zeros(1)
    assert list(module.state_dict()) == ["state"]


# ---- errors ---------------------------------------------------------------------------------------------


class Head(nn.Module):
    def __init__(self, layer):
        self.head = layer

    def forward(self, *args):
        return self.head(*args)


LINEAR = r"expected \(\.\.\., 10\), got \(4, 7\): last axis 7 != in_features 10"


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Linear(10, 5), (4, 7), rf"model\.head \(Linear\): {LINEAR}"),
        (nn.Conv2d(3, 4, 3), (8, 28, 28, 3), r"model\.head \(Conv2d\): .*this looks like NHWC; use x.transpose\(0, 3, 1, 2\)"),
        (nn.BatchNorm2d(3), (2, 4, 5, 5), r"model\.head \(BatchNorm2d\): expected \(N, 3, H, W\), got \(2, 4, 5, 5\)"),
        (nn.BatchNorm1d(3), (2, 4), r"model\.head \(BatchNorm1d\): expected \(N, 3\) or \(N, 3, L\), got \(2, 4\)"),
        (nn.LayerNorm(3), (2, 4), r"model\.head \(LayerNorm\): expected \(\.\.\., 3\), got \(2, 4\)"),
        (nn.MaxPool2d(3), (2, 2), r"model\.head \(MaxPool2d\): expected \(N, C, H, W\)"),
        (nn.Sequential(nn.ReLU(), Head(nn.Linear(10, 5))), (4, 7), rf"model\.head\.1\.head \(Linear\): {LINEAR}"),
    ],
)
def test_an_error_names_the_layer(layer, shape, message):
    for x in (np.zeros(shape, np.float32), cr.Variable(np.zeros(shape, np.float32))):
        with pytest.raises(ValueError, match=f"^{message}"):
            Head(layer)(x)


def test_an_error_names_the_layer_on_other_ways_too():
    with pytest.raises(ValueError, match=f"^Linear: {LINEAR}"):
        nn.Linear(10, 5)(np.zeros((4, 7)))
    index = np.array([[1, 2, 3, 11]])
    with pytest.raises(IndexError, match=r"^model\.head \(Embedding\): index 11 at position \(0, 3\); num_embeddings is 10"):
        Head(nn.Embedding(10, 2))(index)
    with pytest.raises(ValueError, match=r"^model\.head \(MSELoss\): mse_loss: input \(4,\) and target \(4, 1\)"):
        Head(nn.MSELoss())(np.zeros(4), np.zeros((4, 1)))

    class Shortcut(nn.Module):
        def __init__(self):
            self.body = Head(nn.Linear(10, 5))

        def forward(self, x):
            return self.body.head(x)

    with pytest.raises(ValueError, match=rf"^model\.body\.head \(Linear\): {LINEAR}"):
        Shortcut()(np.zeros((4, 7)))

    class Lambda(nn.Module):
        def forward(self, x):
            raise KeyError("left as it is")

    with pytest.raises(KeyError, match="^'left as it is'$"):
        Head(Lambda())(1)


def test_arguments():
    with pytest.raises(ValueError, match="cannot be divided into 2 groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(2.0)
    with pytest.raises(ValueError, match="padding_idx 7 is not an index; num_embeddings is 5"):
        nn.Embedding(5, 3, 7)
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        nn.Module()(1)


# ---- initial values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args"), [("Linear", (300, 200)), ("Conv2d", (30, 40, 3)), ("Conv2d", (30, 40, 3, 1, 0, 1, 10)), ("Embedding", (300, 200))]
)  # fmt: skip
def test_layers_start_as_in_pytorch(name, args):
    cr.random.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*args).state_dict(), getattr(tnn, name)(*args).state_dict()
    for key, value in ours.items():
        expected = theirs[key].numpy()
        assert value.dtype == np.float32
        assert math.isclose(value.std(), expected.std(), rel_tol=0.1 if value.size > 1000 else 0.3)
        assert math.isclose(abs(value).max(), abs(expected).max(), rel_tol=0.25)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("uniform_", (-2.0, 3.0)),
        ("normal_", (1.0, 0.3)),
        ("trunc_normal_", (0.5, 1.0, -1.0, 1.5)),
        ("constant_", (2.5,)),
        ("zeros_", ()),
        ("ones_", ()),
        ("xavier_uniform_", (2.0,)),
        ("xavier_normal_", ()),
        ("kaiming_uniform_", (0.3,)),
        ("kaiming_normal_", (0, "fan_out", "relu")),
        ("orthogonal_", (2.0,)),
    ],
)
@pytest.mark.parametrize("shape", [(80, 60), (60, 20, 3, 3)])
def test_initialisers(name, args, shape):
    cr.random.manual_seed(0)
    torch.manual_seed(0)
    p, t = nn.Parameter(np.empty(shape, np.float32)), torch.empty(shape)
    assert getattr(nn.init, name)(p, *args) is p
    getattr(tnn.init, name)(t, *args)
    assert p.dtype == np.float32
    assert p.shape == shape
    np.testing.assert_allclose(p.data.mean(), t.mean(), atol=0.06)
    np.testing.assert_allclose(p.data.std(), t.std(), rtol=0.05)
    if name == "orthogonal_":
        flat = p.data.reshape(shape[0], -1)
        small = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-4)
    else:
        assert math.isclose(abs(p.data).max(), abs(t).max(), rel_tol=0.3)


def test_initialisers_again():
    for name, param in [
        ("linear", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.3),
        ("selu", None),
    ]:
        assert math.isclose(nn.init.calculate_gain(name, param), tnn.init.calculate_gain(name, param))
    p = nn.Parameter(np.zeros(3))
    with pytest.raises(ValueError, match="no gain is known for 'exp'"):
        nn.init.calculate_gain("exp")
    with pytest.raises(ValueError, match="two axes or more"):
        nn.init.xavier_uniform_(p)
    with pytest.raises(ValueError, match="two axes or more"):
        nn.init.orthogonal_(p)
    with pytest.raises(ValueError, match="'fan_in' or 'fan_out'"):
        nn.init.kaiming_normal_(nn.Parameter(np.zeros((2, 2))), mode="fan")
    with pytest.raises(ValueError, match="fewer than one in 1000"):
        nn.init.trunc_normal_(p, a=10, b=11)


def test_manual_seed():
    def draw():
        cr.random.manual_seed(5)
        return nn.Linear(3, 3).weight.data, nn.Dropout()(np.ones(100))

    for a, b in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- utilities ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    arrays = [rng.standard_normal(s) for s in ((3, 4), (), (5,))]
    ps, ts = [cr.Parameter(np.asarray(a)) for a in arrays], [tnn.Parameter(torch.tensor(a)) for a in arrays]
    for p, t, a in zip(ps, ts, arrays, strict=True):
        p.grad, t.grad = np.array(a), torch.tensor(a)
    ps.append(cr.Parameter(np.zeros(3)))
    norm = nn.utils.clip_grad_norm_(ps, max_norm, norm_type)
    np.testing.assert_allclose(norm, tnn.utils.clip_grad_norm_(ts, max_norm, norm_type))
    for p, t in zip(ps, ts, strict=False):
        np.testing.assert_allclose(p.grad, t.grad.numpy())


def test_clip_grad_value():
    p = cr.Parameter(np.zeros(3))
    nn.utils.clip_grad_value_(p, 1.0)
    p.grad = np.array([-3.0, 0.5, 2.0])
    nn.utils.clip_grad_value_(p, 1.0)
    np.testing.assert_array_equal(p.grad, [-1.0, 0.5, 1.0])
    p.grad = np.array([np.inf, 0.0, 0.0])
    with pytest.raises(RuntimeError, match="norm is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
