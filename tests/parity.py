"""Runs the calls of ``parity_cases`` with chainrule and with PyTorch, and says what differs; and compares their signatures."""

from __future__ import annotations

import ast
import inspect
import re
import typing
import warnings
import zlib
from collections.abc import Callable, Container, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")  # which is not imported with it

# ---- one call, on both sides ----------------------------------------------------------------------------


class Side:
    """One library: how it makes inputs, and what they and the modules have come to after a call."""

    def __init__(self, text: str, names: dict[str, Any]):
        self.rng = np.random.default_rng(zlib.crc32(text.encode()))  # the same numbers on both sides
        self.inputs: list[Any] = []
        makers = {name: getattr(self, name) for name in (
            "array", "chance", "classes", "data", "flags", "positive", "signs", "unit", "x"
        )}  # fmt: skip
        self.names = {**names, **makers}

    def evaluate(self, tree: ast.expr) -> Any:
        return eval(ast.unparse(tree), self.names)

    def x(self, *shape: int) -> Any:
        return self.leaf(self.rng.standard_normal(shape))

    def positive(self, *shape: int) -> Any:
        return self.leaf(self.rng.uniform(0.5, 2.0, shape))

    def unit(self, *shape: int) -> Any:
        return self.leaf(self.rng.uniform(0.05, 0.95, shape))

    def data(self, *shape: int) -> Any:
        return self.array(self.rng.standard_normal(shape))

    def chance(self, *shape: int) -> Any:
        return self.array(self.rng.uniform(0.05, 0.95, shape))

    def classes(self, n: int, *shape: int) -> Any:
        return self.array(self.rng.integers(0, n, shape))

    def signs(self, *shape: int) -> Any:
        return self.array(self.rng.choice([-1, 1], shape))

    def flags(self, *shape: int, odds: float) -> Any:
        return self.array(self.rng.random(shape) < odds)


class Ours(Side):
    def leaf(self, array: Any) -> Any:
        self.inputs.append(cr.Variable(np.asarray(array)))
        return self.inputs[-1]

    array = staticmethod(np.array)
    numpy = staticmethod(lambda value: value.data if isinstance(value, cr.Variable) else np.asarray(value))
    module = nn.Module

    @staticmethod
    def backward(results: list[Any], gradients: list[Any]) -> None:
        sums = [
            np.sum(y * g) for y, g in zip(results, gradients, strict=True) if isinstance(y, cr.Variable) and y.requires_grad
        ]
        if sums:
            sum(sums[1:], sums[0]).backward()


class Theirs(Side):
    def leaf(self, array: Any) -> Any:
        self.inputs.append(torch.tensor(array, requires_grad=True))
        return self.inputs[-1]

    array = staticmethod(torch.tensor)
    numpy = staticmethod(lambda value: value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value))
    module = torch.nn.Module

    @staticmethod
    def backward(results: list[Any], gradients: list[Any]) -> None:
        sums = [(y * torch.tensor(g)).sum() for y, g in zip(results, gradients, strict=True) if y.requires_grad]
        if sums:
            sum(sums[1:], sums[0]).backward()


def compare_call(text: str, ours: Any, theirs: Any, tolerance: float = 1e-7) -> None:
    """Run a call of ``ours`` and of ``theirs`` (modules, for their names); an AssertionError says what differs."""
    tree = typing.cast(ast.Call, ast.parse(text, mode="eval").body)
    us, them = Ours(text, {"nn": nn, "F": nn.functional, **vars(ours)}), Theirs(
        text, {"nn": torch.nn, "F": torch.nn.functional, **vars(theirs)}
    )  # fmt: skip
    results, modules, state = [], [], {}
    for side in (them, us):
        called = side.evaluate(tree.func)
        module = getattr(called, "__self__", called)
        module = module.double() if isinstance(module, side.module) else None
        side.names["given"] = lambda *args, **kwargs: (args, kwargs)
        args, kwargs = side.evaluate(ast.Call(ast.Name("given", ast.Load()), tree.args, tree.keywords))
        if text.startswith("Lazy"):
            called(*args, **kwargs)
        if module is not None and side is them:
            state = drawn_state(module, side.rng.spawn(1)[0])
        if module is not None:
            assert list(module.state_dict()) == list(state), "the state-dict keys differ"
            module.load_state_dict({name: value.clone() for name, value in state.items()})
        results.append(list(parts(called(*args, **kwargs))))
        modules.append(module)
    assert_parts(results[1], results[0])
    rng = us.rng.spawn(1)[0]
    floats = [[y for y in ys if is_real(y)] for ys in results]
    gradients = [rng.standard_normal(tuple(y.shape)) for y in floats[0]]
    them.backward(floats[0], gradients)
    us.backward(floats[1], gradients)
    pairs = [(f"input {i}", x, t) for i, (x, t) in enumerate(zip(us.inputs, them.inputs, strict=True))]
    if modules[0] is not None:
        own = dict(modules[1].named_parameters())
        pairs += [(name, own[name], t) for name, t in modules[0].named_parameters()]
        after = modules[1].state_dict()
        for name, value in modules[0].state_dict().items():
            close(f"{name} afterwards", after[name], value.numpy())
    for name, x, t in pairs:
        grads = [np.zeros(t.shape) if g is None else np.asarray(g) for g in (x.grad, t.grad)]
        close(f"the gradient of {name}", *grads, tolerance=tolerance)


def is_real(y: Any) -> bool:
    return y is not None and (y.is_floating_point() if isinstance(y, torch.Tensor) else y.dtype.kind == "f")


def drawn_state(module: Any, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """A module's state, made irregular: weights that start as ones or zeros would hide what is done with them."""
    state = {}
    for name, value in module.state_dict().items():
        noise = torch.tensor(0.2 * rng.standard_normal(tuple(value.shape)))
        state[name] = (value + noise).abs() + 0.1 if name.endswith("running_var") else value.clone()
        if value.is_floating_point() and not name.endswith(("running_var", "base")):
            state[name] = value + noise
    return state


def parts(value: Any) -> Iterator[Any]:
    """The arrays of nested tuples and lists."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from parts(part)
    else:
        yield value


def assert_parts(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs), f"{len(ours)} results, theirs are {len(theirs)}"
    for y, t in zip(ours, theirs, strict=True):
        assert (y is None) == (t is None), "one result is None"
        if y is not None:
            close("the result", Ours.numpy(y), Theirs.numpy(t))


def close(what: str, ours: Any, theirs: Any, tolerance: float = 1e-7) -> None:
    assert ours.shape == theirs.shape, f"{what} is of shape {ours.shape}, theirs of {theirs.shape}"
    assert ours.dtype.kind == theirs.dtype.kind, f"{what} is {ours.dtype}, theirs {theirs.dtype}"
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs))))
    same = np.allclose(ours, theirs, tolerance, tolerance * scale, equal_nan=True)
    assert same, f"{what} differs by up to {np.max(np.abs(ours - theirs)):.1e}"


# ---- initialisers, optimizers, schedules ----------------------------------------------------------------


def compare_initialiser(text: str) -> None:
    """The same values; or, where they are drawn, as many of each size."""
    name, results = text.partition("(")[0], []
    for module, made in (
        (nn.init, lambda *shape: nn.Parameter(np.full(shape, 9, np.float32))),
        (torch.nn.init, lambda *shape: torch.full(shape, 9.0)),
    ):
        cr.manual_seed(0)
        torch.manual_seed(0)
        result = eval(text, {**vars(module), "w": made})
        results.append(Ours.numpy(result) if module is nn.init else Theirs.numpy(result))
    ours, theirs = results
    assert ours.shape == theirs.shape, f"the shape is {ours.shape}, theirs {theirs.shape}"
    if name in ("calculate_gain", "constant_", "dirac_", "eye_", "ones_", "zeros_"):
        close("the result", ours, theirs)
        return
    places = np.sort(np.concatenate([ours, theirs], axis=None))
    counts = [np.searchsorted(np.sort(a, axis=None), places, side="right") / a.size for a in results]
    distance = np.max(np.abs(counts[0] - counts[1]))  # of Kolmogorov and Smirnov
    assert distance < 2.2 * (2 / ours.size) ** 0.5, f"the distributions differ by {distance:.3f}"
    if name == "orthogonal_":
        grams = [m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m for m in (a.reshape(len(a), -1) for a in results)]
        close("the product with the transpose", *grams, tolerance=1e-4)
    if name == "sparse_":
        close("the number of zeros in each column", *((a == 0).sum(axis=0) for a in results))


def compare_optimizers(name: str, options: dict[str, Any], steps: int = 20) -> None:
    """The weights of a small network on each step of its training."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((16, 5)), rng.standard_normal((16, 3))
    start = [rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)]
    if name == "Muon":  # is for matrices alone
        del start[2]
    ours, theirs = [cr.Parameter(a.copy()) for a in start], [torch.nn.Parameter(torch.tensor(a)) for a in start]

    def training(params: list[Any], module: Any, tanh: Any, array: Any) -> Callable[[], Any]:
        optimizer = getattr(module, name)(params, **options)
        sign = -1 if options.get("maximize") else 1

        def closure() -> Any:
            optimizer.zero_grad()
            loss = sign * ((tanh(array(inputs) @ params[0]) @ params[1] + sum(params[2:]) - array(targets)) ** 2).mean()
            loss.backward()
            return loss

        return lambda: optimizer.step(closure)

    single = name in ("ASGD", "NAdam")  # of which PyTorch keeps numbers in float32
    with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):  # in which its Muon would iterate
        both = training(ours, optim, np.tanh, np.asarray), training(theirs, torch.optim, torch.tanh, torch.tensor)
        for step in range(steps):
            for train in both:
                train()
            for i, (p, t) in enumerate(zip(ours, theirs, strict=True)):
                close(f"weight {i} after step {step + 1}", p.data, t.detach().numpy(), 1e-4 if single else 1e-6)


def pair_of_optimizers(name: str = "SGD") -> tuple[Any, Any]:
    """Ours and PyTorch's, with two groups of different learning rates."""
    extra = {"momentum": 0.9} if name == "SGD" else {}
    arrays = [np.zeros(2), np.zeros(3)]
    ours = getattr(optim, name)(
        [{"params": cr.Parameter(arrays[0])}, {"params": cr.Parameter(arrays[1]), "lr": 0.2}], lr=0.1, **extra
    )
    ts = [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
    theirs = getattr(torch.optim, name)([{"params": ts[:1]}, {"params": ts[1:], "lr": 0.2}], lr=0.1, **extra)
    theirs.step()
    return ours, theirs


def scheduler_of(case: Any, module: Any, optimizer: Any) -> Any:
    """Of a name and its options, or of a call."""
    if not isinstance(case, str):
        name, options = case
        return getattr(module, name)(optimizer, **options)
    return eval(case, {"SWALR": torch.optim.swa_utils.SWALR, **vars(module), "optimizer": optimizer})


def same_rates(ours: Any, theirs: Any) -> None:
    for group, their_group in zip(ours.param_groups, theirs.param_groups, strict=True):
        for key in ("lr", "momentum", "betas"):
            np.testing.assert_allclose(group.get(key, 0), their_group.get(key, 0), 1e-9, 1e-12)


def compare_schedulers(case: Any, epochs: int = 50) -> None:
    """The learning rates (and momenta, where they are cycled) of 50 epochs."""
    metrics = np.abs(np.random.default_rng(4).standard_normal(epochs)) + np.linspace(1, 0.5, epochs)
    optimizers = pair_of_optimizers()
    modules = optim.lr_scheduler, torch.optim.lr_scheduler
    schedulers = [scheduler_of(case, module, o) for module, o in zip(modules, optimizers, strict=True)]
    for epoch in range(epochs):
        same_rates(*optimizers)
        if epoch < epochs - 1:
            for s in schedulers:
                s.step(metrics[epoch]) if case[0] == "ReduceLROnPlateau" else s.step()


# ---- signatures -----------------------------------------------------------------------------------------


def parameters(function: Any) -> dict[str, Any] | None:
    """The names of a function's parameters, in order, and their defaults; None where PyTorch does not say them."""
    if inspect.isfunction(getattr(function, "__init__", None)) and (overloads := typing.get_overloads(function.__init__)):
        signature = inspect.signature(overloads[0])
        found = list(signature.parameters.values())[1:]
        return {p.name: p.default for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if inspect.isfunction(function):  # one that chooses among two by return_indices has the parameters of the first
        function = inspect.getclosurevars(function).nonlocals.get("if_true", function)
    try:
        signature = inspect.signature(function)
    except ValueError:  # is written in C++
        signature = documented_signature(function)
    if signature is None:
        return None
    found = [p for p in signature.parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {p.name: p.default for p in found}


def documented_signature(function: Any) -> inspect.Signature | None:
    match = re.match(rf"\s*{function.__name__}(\([^)]*\)+) ->", function.__doc__ or "")
    if not match:
        return None
    names: dict[str, Any] = {}
    exec(f"def f{match[1]}: ...", names)
    return inspect.signature(names["f"])


def differences(ours: Any, theirs: Any, left_out: Container[str]) -> list[str]:
    """What differs between the parameters of two functions, besides those that are left out."""
    own, expected = parameters(ours), parameters(theirs)
    if own is None or expected is None:
        return []
    expected = {name: default for name, default in expected.items() if name not in left_out or name in own}
    found = [f"has no `{name}`" for name in expected if name not in own]
    found += [f"also has `{name}`" for name in own if name not in expected]
    common = [name for name in expected if name in own]
    if [name for name in own if name in expected] != common:
        found.append(f"has its arguments in the order {', '.join(own)}")
    return found + [
        f"has {shown(own[name])} for `{name}`, PyTorch {shown(expected[name])}"
        for name in common
        if not same_default(own[name], expected[name])
    ]


def shown(default: Any) -> str:
    return "no default" if default is inspect.Parameter.empty else f"the default {default!r}"


def same_default(ours: Any, theirs: Any) -> bool:
    if callable(ours) and ours is not inspect.Parameter.empty:
        return getattr(ours, "__name__", None) == getattr(theirs, "__name__", "")
    return bool(ours == theirs or (ours == () and theirs is None))


def agrees(check: Callable[..., None], *args: Any) -> str:
    """What differs, in words; nothing where all is the same."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}".removeprefix("AssertionError: ").splitlines()[0]
    return ""
