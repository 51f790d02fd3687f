"""Modules beside PyTorch's: containers, hooks, conversion, paths, parametrizations, functional calls, initial values, vectors."""

import copy
import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.utils import parametrize
from chainrule.nn.utils.parametrizations import spectral_norm, weight_norm

torch = pytest.importorskip("torch")
tnn = torch.nn

rng = np.random.default_rng(6)


def numpy_state(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


# ---- containers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_lists_of_modules_change_as_in_pytorch(kind):
    def make(library):
        layers = [library.Linear(2, n) for n in (2, 3, 4)]
        return getattr(library, kind)(*layers) if kind == "Sequential" else getattr(library, kind)(layers)

    changes = [
        lambda m, lib: m.append(lib.ReLU()),
        lambda m, lib: m.insert(1, lib.Linear(3, 3)),
        lambda m, lib: m.insert(3, lib.Tanh()),
        lambda m, lib: m.__setitem__(0, lib.Linear(5, 5)),
        lambda m, lib: m.__setitem__(-1, lib.Linear(6, 6)),
        lambda m, lib: m.__delitem__(1),
        lambda m, lib: m.__delitem__(slice(1, 3)),
        lambda m, lib: m.extend(lib.Linear(1, n) for n in (7, 8)),
        lambda m, lib: m.__iadd__([lib.Linear(9, 9)] if kind == "ModuleList" else lib.Sequential(lib.Linear(9, 9))),
        lambda m, lib: m.pop(2),
        lambda m, lib: m.pop(-1),
    ]
    ours, theirs = make(nn), make(tnn)
    for change in changes:
        change(ours, nn)
        change(theirs, tnn)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert len(ours) == len(theirs)
    assert repr(ours + make(nn)) == repr(theirs + make(tnn))
    assert repr(ours[::2]) == repr(theirs[::2])
    with pytest.raises(IndexError, match="index 10 for"):
        ours[10]
    with pytest.raises(TypeError, match="expected a Module, got int"):
        ours[0] = 3


def test_none_in_a_list_of_modules():
    def make(lib):
        layers = lib.ModuleList([lib.Linear(2, 3), None]).append(None)
        layers.insert(0, None)
        layers[2] = lib.ReLU()
        return layers

    ours, theirs = make(nn), make(tnn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["1.weight", "1.bias"]
    assert [type(m).__name__ for m in ours] == [type(m).__name__ for m in theirs] == ["NoneType", "Linear", "ReLU", "NoneType"]
    assert ours[-1] is None
    assert [type(m).__name__ for m in ours[2:]] == ["ReLU", "NoneType"]


def test_dict_of_modules():
    make = [lambda lib: lib.ModuleDict({"a": lib.Linear(2, 3), "b": lib.ReLU()})] * 2
    ours, theirs = make[0](nn), make[1](tnn)
    for m, lib in ((ours, nn), (theirs, tnn)):
        m["c"] = lib.Linear(1, 1)
        m.update([("d", lib.Tanh()), ("a", lib.Linear(4, 4))])
        del m["b"]
        assert isinstance(m.pop("d"), lib.Tanh)
    assert repr(ours) == repr(theirs)
    assert list(ours) == list(theirs) == list(ours.keys()) == ["a", "c"]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours) == 2
    assert "a" in ours
    assert "b" not in ours
    assert [name for name, _ in ours.items()] == ["a", "c"]
    assert [type(m).__name__ for m in ours.values()] == ["Linear", "Linear"]
    for key in ("b", "training"):
        with pytest.raises(KeyError, match=key):
            del ours[key]
    with pytest.raises(KeyError, match="another attribute 'keys'"):
        ours["keys"] = nn.ReLU()
    ours.clear()
    assert len(ours) == 0


def test_lists_and_dicts_of_parameters():
    arrays = [np.ones((2, n), np.float32) for n in (1, 2, 3)]

    def make(lib, array):
        module = lib.Module()
        module.weights = lib.ParameterList([lib.Parameter(array(a)) for a in arrays])
        module.named = lib.ParameterDict({"a": lib.Parameter(array(arrays[0])), "b": lib.Parameter(array(arrays[1]))})
        module.weights.append(lib.Parameter(array(arrays[1])))
        module.weights.extend([lib.Parameter(array(arrays[2]))])
        module.weights[0] = lib.Parameter(array(arrays[2]))
        module.named["c"] = lib.Parameter(array(arrays[2]))
        module.named.pop("b")
        return module

    ours, theirs = make(nn, np.copy), make(tnn, torch.tensor)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in numpy_state(theirs).items()}
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [p.shape for p in ours.weights] == [tuple(p.shape) for p in theirs.weights]
    assert [p.shape for p in ours.weights[1:3]] == [tuple(p.shape) for p in theirs.weights[1:3]]
    assert isinstance(nn.ParameterList(arrays)[0], nn.Parameter)
    assert repr(ours.weights[:1]) == "ParameterList((0): Parameter of (2, 3) float32)"
    with pytest.raises(TypeError, match="a Parameter or an array, got float"):
        ours.weights.append(1.0)
    with pytest.raises(TypeError, match="a Parameter or an array, got Variable"):
        ours.named["x"] = ours.named["a"] * 2


# ---- state ----------------------------------------------------------------------------------------------


def test_buffers_that_are_not_saved():
    module, theirs = nn.Module(), tnn.Module()
    for m, array in ((module, np.zeros(2)), (theirs, torch.zeros(2))):
        m.register_buffer("saved", array)
        m.register_buffer("unsaved", array, persistent=False)
    assert list(module.state_dict()) == list(theirs.state_dict()) == ["saved"]
    assert [n for n, _ in module.named_buffers(remove_duplicate=False)] == ["saved", "unsaved"]
    module.register_buffer("unsaved", np.zeros(3))
    assert list(module.state_dict()) == ["saved", "unsaved"]
    del module.saved
    assert list(module.state_dict()) == ["unsaved"]


def test_the_arrays_of_a_state_dict_are_the_models_own():
    model = nn.Linear(2, 2)
    state, kept = model.state_dict(), copy.deepcopy(model.state_dict())
    state["weight"][...] = 7
    assert (model.weight.data == 7).all()
    assert not (kept["weight"] == 7).any()


def test_loading_by_assignment():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {name: value.astype(np.float64) for name, value in model.state_dict().items()}
    parameters = list(model.parameters())
    model.load_state_dict(state, assign=True)
    assert list(model.parameters()) == parameters
    assert all(value is state[name] for name, value in model.state_dict().items())


@pytest.mark.parametrize(("method", "dtype"), [("half", np.float16), ("double", np.float64), ("float", np.float32)])
def test_conversion(method, dtype):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double()
    model(np.zeros((2, 2))).sum().backward()
    parameters = list(model.parameters())
    assert getattr(model, method)() is model
    assert list(model.parameters()) == parameters
    dtypes = {name: value.dtype for name, value in model.state_dict().items()}
    assert dtypes.pop("1.num_batches_tracked") == np.int64
    assert set(dtypes.values()) == {np.dtype(dtype)}
    assert {p.grad.dtype for p in parameters} == {np.dtype(dtype)}
    model.eval()(np.zeros((2, 2), dtype)).sum().backward()
    for wrong in (np.int32, "cuda"):
        with pytest.raises(TypeError, match="converted to a dtype of real or complex numbers, not"):
            model.to(wrong)


def test_paths():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))
    assert model.get_submodule("") is model
    assert model.get_submodule("1.0") is model[1][0]
    assert model.get_parameter("1.0.weight") is model[1][0].weight
    assert model.get_buffer("1.0.running_mean") is model[1][0].running_mean
    model.set_submodule("1.1", nn.Tanh())
    assert isinstance(model[1][1], nn.Tanh)
    with pytest.raises(AttributeError, match="no module '1.x.y': 1 has no 'x'; its modules: 0, 1"):
        model.get_submodule("1.x.y")
    with pytest.raises(AttributeError, match="no Parameter '1.0.running_mean' in Sequential"):
        model.get_parameter("1.0.running_mean")
    with pytest.raises(AttributeError, match=r"no buffer '0.weight'"):
        model.get_buffer("0.weight")


# ---- hooks ----------------------------------------------------------------------------------------------


def log_of(library, array):
    """What the hooks of a little model are called with, in PyTorch or here."""
    model = library.Sequential(library.Linear(3, 4), library.Tanh(), library.Linear(4, 2))
    for p, shape in zip(model.parameters(), [(4, 3), (4,), (2, 4), (2,)], strict=True):
        p.data = array(np.linspace(-1, 1, math.prod(shape)).reshape(shape))
    log = []

    def note(what, *values):
        log.append((what, *[v.detach().numpy() if isinstance(v, torch.Tensor) else v for v in values]))

    def plain(v):
        return v.data if isinstance(v, cr.Variable) else v

    layer = model[0]
    layer.register_forward_pre_hook(lambda m, args: note("pre", plain(args[0])))
    layer.register_forward_pre_hook(lambda m, args: args[0] * 2, prepend=True)
    layer.register_forward_pre_hook(lambda m, args, kwargs: ((args[0] + 1,), kwargs), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, output: note("forward", plain(args[0]), plain(output)))
    layer.register_forward_hook(lambda m, args, kwargs, output: output * 3, with_kwargs=True)
    layer.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 0.5,))
    layer.register_full_backward_hook(lambda m, gi, go: note("backward", gi[0], go[0]))
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,) if gi[0] is not None else None)
    model[2].register_full_backward_hook(lambda m, gi, go: note("last", gi[0], go[0]))
    return model, log


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("input_needs_gradient", [True, False])
def test_hooks_are_called_as_in_pytorch(input_needs_gradient):
    ours, our_log = log_of(nn, lambda a: a.astype(np.float64))
    theirs, their_log = log_of(tnn, torch.tensor)
    array = rng.standard_normal((5, 3))
    x = cr.Variable(array, requires_grad=input_needs_gradient)
    t = torch.tensor(array, requires_grad=input_needs_gradient)
    y, u = ours(x), theirs(t)
    np.testing.assert_allclose(y.data, u.detach().numpy())
    (y * y).sum().backward()
    (u * u).sum().backward()
    assert [entry[0] for entry in our_log] == [entry[0] for entry in their_log]
    for mine, other in zip(our_log, their_log, strict=True):
        for a, b in zip(mine[1:], other[1:], strict=True):
            assert (a is None) == (b is None), mine[0]
            if a is not None:
                np.testing.assert_allclose(a, b, 1e-7, 1e-12, err_msg=mine[0])
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy())
    if input_needs_gradient:
        np.testing.assert_allclose(x.grad, t.grad.numpy())


def test_hooks_are_removed():
    calls = []
    model = nn.Identity()
    handle = model.register_forward_hook(lambda *args: calls.append("a"))
    with model.register_forward_pre_hook(lambda *args: calls.append("b")):
        model(np.zeros(1))
    handle.remove()
    handle.remove()
    model(np.zeros(1))
    assert calls == ["b", "a"]


class Two(nn.Module):
    def forward(self, x, y):
        return x * y, x + y


def test_backward_hooks_of_several_inputs_and_outputs():
    seen = []
    module = Two()
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    x, y = cr.Variable(np.array(2.0)), cr.Variable(np.array(5.0))
    product, total = module(x, y)
    (product * 10 + total).backward(create_graph=True)
    ((gx, gy), (g_product, g_total)) = seen[0]
    assert (float(gx), float(gy), float(g_product), float(g_total)) == (51.0, 21.0, 10.0, 1.0)
    cr.check_grads(lambda x, y: module(x, y)[0] * module(x, 3.0)[1], [np.array(2.0), np.array(5.0)])
    module.register_full_backward_hook(lambda m, gi, go: (1.0,))
    with pytest.raises(RuntimeError, match="backward hook returned 1 gradients in place of 2"):
        module(x, y)[0].backward()


# ---- functional calls -----------------------------------------------------------------------------------


def test_functional_call():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = copy.deepcopy(model.state_dict())
    x = rng.standard_normal((8, 3)).astype(np.float32)
    weights = {name: value * 2 for name, value in model.named_parameters()}
    stats = {name: np.copy(value) for name, value in model.named_buffers()}
    y = nn.functional_call(model, (weights, stats), x, strict=True)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert stats["1.num_batches_tracked"] == 1
    other = copy.deepcopy(model)
    for p in other.parameters():
        p.data = p.data * 2
    np.testing.assert_allclose(y.data, other(x).data)
    y.sum().backward()
    assert all(p.grad is not None for p in model.parameters())  # through 2 p
    with pytest.raises(KeyError, match="unknown: nothing; missing: 0.weight"):
        nn.functional_call(model, {"nothing": x}, x, strict=True)
    with pytest.raises(ValueError, match="last axis"):
        nn.functional_call(model, weights, np.zeros((8, 2), np.float32))
    assert isinstance(model[0].weight, nn.Parameter)


def test_transforms_of_a_module():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = rng.standard_normal((5, 3))
    weights = {name: p.data for name, p in model.named_parameters()}

    def loss(weights):
        return np.sum(nn.functional_call(model, weights, x) ** 2)

    (model(x) ** 2).sum().backward()
    for (name, g), p in zip(cr.grad(loss)(weights).items(), model.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, err_msg=name)
    cr.check_grads(lambda w: loss({**weights, "0.weight": w}), [weights["0.weight"]])
    assert cr.jacobian(lambda b: nn.functional_call(model, {"2.bias": b}, x))(weights["2.bias"]).shape == (5, 2, 2)


def test_tied_weights():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    x, w = rng.standard_normal((3, 2)), rng.standard_normal((2, 2))
    np.testing.assert_allclose(nn.functional_call(model, {"0.weight": w}, x), x @ w.T @ w.T)
    untied = nn.functional_call(model, {"0.weight": w}, x, tie_weights=False)
    np.testing.assert_allclose(untied.data, x @ w.T @ model[0].weight.data.T)


# ---- parametrizations -----------------------------------------------------------------------------------


LAYERS = [("Linear", (5, 3)), ("Conv2d", (3, 4, 3)), ("ConvTranspose2d", (3, 4, 3)), ("Embedding", (5, 3))]


@pytest.mark.parametrize(("name", "args"), LAYERS)
@pytest.mark.parametrize("method", ["weight_norm", "weight_norm 1", "weight_norm None", "spectral_norm", "spectral_norm 2"])
def test_weight_and_spectral_norm(name, args, method):
    method, *options = method.split()
    kwargs = {}
    if options:
        kwargs = (
            {"n_power_iterations": 2}
            if method == "spectral_norm"
            else {"dim": None if options[0] == "None" else int(options[0])}
        )
    ours = getattr(nn.utils.parametrizations, method)(getattr(nn, name)(*args), **kwargs)
    theirs = getattr(tnn.utils.parametrizations, method)(getattr(tnn, name)(*args), **kwargs)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in numpy_state(theirs).items()}
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert type(ours).__name__ == type(theirs).__name__
    ours.load_state_dict(theirs.state_dict())
    shape = {"Linear": (4, 5), "Embedding": (4,)}.get(name, (2, 3, 6, 6))
    x = rng.integers(0, 5, shape) if name == "Embedding" else rng.standard_normal(shape).astype(np.float32)
    for training in (True, True, False):
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
    for (key, value), expected in zip(ours.state_dict().items(), numpy_state(theirs).values(), strict=True):
        np.testing.assert_allclose(value, expected, 1e-4, 1e-5, err_msg=key)


def test_weight_norm_starts_from_the_weight_and_is_assigned_to():
    layer = nn.Linear(4, 3)
    weight = layer.weight.data.copy()
    weight_norm(layer)
    np.testing.assert_allclose(layer.weight.data, weight, 1e-6)
    layer.weight = weight * 3
    np.testing.assert_allclose(layer.weight.data, weight * 3, 1e-6)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
    assert list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer.weight.data, weight * 3, 1e-6)


def test_spectral_norm_of_a_bias():
    layer = spectral_norm(nn.Linear(2, 3), "bias")
    assert math.isclose(np.linalg.norm(layer.bias.data), 1, rel_tol=1e-5)
    with pytest.raises(ValueError, match="n_power_iterations is positive"):
        spectral_norm(nn.Linear(2, 3), n_power_iterations=0)


class Doubled(nn.Module):
    calls = 0

    def forward(self, w):
        Doubled.calls += 1
        return w * 2


class Rows(nn.Module):
    def forward(self, w):
        return w[:1]


def test_parametrizations_one_after_the_other():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    original = layer.parametrizations["weight"].original
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_allclose(layer.weight.data, 4 * original.data)
    copied = copy.deepcopy(layer)
    np.testing.assert_allclose(copied.weight.data, layer.weight.data)
    assert copied.parametrizations["weight"].original is not original
    Doubled.calls = 0
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert Doubled.calls == 2
    assert layer.weight is not layer.weight
    assert parametrize.is_parametrized(layer)
    assert not parametrize.is_parametrized(layer, "bias")
    with pytest.raises(RuntimeError, match="its Doubled has no right_inverse"):
        layer.weight = np.zeros((2, 2))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is original
    assert not parametrize.is_parametrized(layer)


def test_parametrization_errors():
    layer = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="Linear has no Parameter 'w'"):
        parametrize.register_parametrization(layer, "w", Doubled())
    with pytest.raises(ValueError, match=r"Rows makes \(1, 2\) float32 of 'weight', \(3, 2\) float32; pass unsafe=True"):
        parametrize.register_parametrization(layer, "weight", Rows())
    parametrize.register_parametrization(layer, "weight", Rows(), unsafe=True)
    assert layer.weight.shape == (1, 2)
    with pytest.raises(ValueError, match="no parametrization of 'bias'"):
        parametrize.remove_parametrizations(layer, "bias")
    with pytest.raises(ValueError, match="computed from 2 others"):
        parametrize.remove_parametrizations(weight_norm(nn.Linear(2, 2)), "weight", leave_parametrized=False)


# ---- initial values and vectors -------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 6, 4, 3), (6, 2, 3, 3, 3)])
def test_dirac(shape, groups):
    p, t = nn.Parameter(np.empty(shape)), torch.empty(shape)
    assert nn.init.dirac_(p, groups) is p
    np.testing.assert_array_equal(p.data, tnn.init.dirac_(t, groups).numpy())


def test_eye_and_sparse():
    for shape in ((3, 3), (2, 4), (4, 2)):
        np.testing.assert_array_equal(nn.init.eye_(nn.Parameter(np.empty(shape))).data, np.eye(*shape))
    p = nn.init.sparse_(nn.Parameter(np.empty((50, 40))), 0.25, std=2.0)
    assert ((p.data == 0).sum(axis=0) == 13).all()
    assert 1.5 < p.data[p.data != 0].std() < 2.5
    assert len({tuple(column) for column in (p.data == 0).T}) > 30


def test_a_generator_of_ones_own():
    for draw in (
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.trunc_normal_,
        nn.init.orthogonal_,
        nn.init.xavier_uniform_,
        nn.init.xavier_normal_,
        nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_,
        lambda p, generator: nn.init.sparse_(p, 0.1, generator=generator),
    ):
        a, b = (draw(nn.Parameter(np.empty((3, 4))), generator=np.random.default_rng(1)).data for _ in range(2))
        np.testing.assert_array_equal(a, b)


def test_initialisers_refuse():
    for name in ("eye_", "sparse_", "dirac_"):
        with pytest.raises(ValueError, match="axes, got"):
            getattr(nn.init, name)(nn.Parameter(np.empty(3)), *([0.1] if name == "sparse_" else []))
    with pytest.raises(ValueError, match="5 output channels cannot be divided into 2 groups"):
        nn.init.dirac_(nn.Parameter(np.empty((5, 2, 3))), 2)
    for name in ("conv1d", "conv3d", "conv_transpose2d", "selu", "sigmoid"):
        assert nn.init.calculate_gain(name) == tnn.init.calculate_gain(name)


def test_parameters_as_a_vector():
    model = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(model.parameters())
    np.testing.assert_array_equal(vector.data, np.concatenate([model.weight.data.ravel(), model.bias.data]))
    (vector * vector).sum().backward()
    np.testing.assert_allclose(model.weight.grad, 2 * model.weight.data)
    own = model.weight.data
    nn.utils.vector_to_parameters(np.arange(8.0), model.parameters())
    assert model.weight.data is own
    np.testing.assert_array_equal(own, np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match=r"a vector of shape \(7,\) for 8 elements"):
        nn.utils.vector_to_parameters(np.zeros(7), model.parameters())


def test_flatten_parameters_changes_nothing():
    layer = nn.LSTM(3, 4)
    before = {name: value.copy() for name, value in layer.state_dict().items()}
    layer.flatten_parameters()
    assert all(np.array_equal(before[name], value) for name, value in layer.state_dict().items())
