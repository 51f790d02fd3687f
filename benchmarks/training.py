"""One step of training (forward, backward, optimizer) of whole networks, and inference of one example, in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from .models import VOCABULARY, define

TOLERANCE = (2e-3, 1e-3)
NOTE = "Checked equal: the losses of three steps from the same weights, and the weights after them."


@dataclass
class Case:
    """A network, its data and its optimizer."""

    model: Callable[[dict[str, Any]], Any]
    data: Callable[[np.random.Generator], tuple[np.ndarray, ...]]  # the inputs, and then the target
    loss: str = "cross_entropy"
    optimizer: tuple[str, dict[str, Any]] = ("Adam", {"lr": 1e-3})
    train: bool = True


def images(n: int, channels: int, size: int) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    return lambda rng: (rng.normal(size=(n, channels, size, size)).astype("f4"), rng.integers(10, size=n))


def vectors(n: int, width: int) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    return lambda rng: (rng.normal(size=(n, width)).astype("f4"), rng.integers(10, size=n))


def text(n: int, length: int) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    return lambda rng: (rng.integers(VOCABULARY, size=(n, length)), rng.integers(VOCABULARY, size=n * length))


SGD = ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4})
ADAMW = ("AdamW", {"lr": 3e-4, "weight_decay": 0.1})

NETWORKS = {
    "MLP 784-1024-1024-10, batch 128": Case(lambda m: m["mlp"](784, 1024, 1024, 10), vectors(128, 784)),
    "MLP 2-64-64-1, batch 32": Case(
        lambda m: m["mlp"](2, 64, 64, 1),
        lambda rng: (rng.normal(size=(32, 2)).astype("f4"), rng.normal(size=(32, 1)).astype("f4")),
        "mse_loss",
    ),
    "LeNet 28x28, batch 128": Case(lambda m: m["lenet"](), images(128, 1, 28), optimizer=SGD),
    "VGG-like 32x32, batch 32": Case(lambda m: m["vgg"](), images(32, 3, 32), optimizer=SGD),
    "ResNet-18 32x32, batch 32": Case(lambda m: m["resnet18"](), images(32, 3, 32), optimizer=SGD),
    "GPT 6 x 384, context 256, batch 8": Case(lambda m: m["gpt"](6, 384, 6, 256), text(8, 256), optimizer=ADAMW),
    "GPT 4 x 128, context 64, batch 12": Case(lambda m: m["gpt"](4, 128, 4, 64), text(12, 64), optimizer=ADAMW),
    "LSTM 2 x 256, 64 steps, batch 32": Case(lambda m: m["lstm"](256), text(32, 64)),
    "VAE 784-400-20, batch 128": Case(
        lambda m: m["vae"](),
        lambda rng: (rng.random((128, 784)).astype("f4"), rng.normal(size=(128, 20)).astype("f4"), np.zeros(0)),
        "itself",
    ),
    "U-Net 64x64, batch 8": Case(
        lambda m: m["unet"](),
        lambda rng: (rng.normal(size=(8, 1, 64, 64)).astype("f4"), rng.random((8, 1, 64, 64)).astype("f4")),
        "binary_cross_entropy_with_logits",
        SGD,
    ),
    "ResNet-18 32x32, inference of 1": Case(lambda m: m["resnet18"](), images(1, 3, 32), train=False),
    "GPT 6 x 384, inference of 256 characters": Case(lambda m: m["gpt"](6, 384, 6, 256), text(1, 256), train=False),
}


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The same initial weights for every framework: matrices and kernels of variance 1 / inputs; the rest stays.

    They are drawn quickly, as this time is part of each framework's cold start.
    """
    rng = np.random.default_rng(1)
    made = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            made[name] = rng.random(shape, "f4")
            made[name] -= 0.5
            made[name] *= np.sqrt(12 / np.prod(shape[1:]))
        elif "bias" in name:
            made[name] = np.zeros(shape, "f4")
    return made


def chainrule_step(case: Case) -> Callable[[], list[Any]]:
    import chainrule as cr
    import chainrule.functional as F
    from chainrule import nn, optim

    ops = SimpleNamespace(arange=np.arange, exp=np.exp, cat=np.concatenate)
    model = case.model(define(nn, F, ops))
    state = model.state_dict()
    model.load_state_dict(state | weights({k: v.shape for k, v in state.items()}))
    data = case.data(np.random.default_rng(0))
    if not case.train:
        model.eval()

        def infer() -> list[Any]:
            with cr.no_grad():
                return [model(*data[:-1]).data]

        return infer

    optimizer = getattr(optim, case.optimizer[0])(model.parameters(), **case.optimizer[1])

    def step() -> list[Any]:
        optimizer.zero_grad()
        y = model(*data[:-1])
        loss = y if case.loss == "itself" else getattr(F, case.loss)(y, data[-1])
        loss.backward()
        optimizer.step()
        return [loss.data]

    return checked(step, lambda: [p.data for p in model.parameters()])


def torch_step(case: Case, compile: bool = False) -> Callable[[], list[Any]]:
    import torch
    import torch.nn.functional as F
    from torch import nn

    model = case.model(define(nn, F, SimpleNamespace(arange=torch.arange, exp=torch.exp, cat=torch.cat)))
    state = model.state_dict()
    state.update({k: torch.from_numpy(v) for k, v in weights({k: tuple(v.shape) for k, v in state.items()}).items()})
    model.load_state_dict(state)
    parameters = list(model.parameters())
    if compile:
        model = torch.compile(model)
    data = [torch.from_numpy(a) for a in case.data(np.random.default_rng(0))]
    if not case.train:
        model.eval()

        def infer() -> list[Any]:
            with torch.no_grad():
                return [model(*data[:-1])]

        return infer

    optimizer = getattr(torch.optim, case.optimizer[0])(parameters, **case.optimizer[1])

    def step() -> list[Any]:
        optimizer.zero_grad()
        y = model(*data[:-1])
        loss = y if case.loss == "itself" else getattr(F, case.loss)(y, data[-1])
        loss.backward()
        optimizer.step()
        return [loss.detach()]

    return checked(step, lambda: [p.detach() for p in parameters])


def jax_step(case: Case) -> Callable[[], list[Any]]:
    import jax

    import chainrule.functional as F
    from chainrule import nn

    from . import training_jax as tj

    # the names and shapes of the weights, and their order, are those of the others
    model = case.model(define(nn, F, SimpleNamespace(arange=np.arange, exp=np.exp, cat=np.concatenate)))
    state = model.state_dict()
    names = [name for name, _ in model.named_parameters()]
    w, buffers = tj.split(state | weights({k: v.shape for k, v in state.items()}))
    forward = case.model(tj.MODELS)
    data = [jax.numpy.array(a) for a in case.data(np.random.default_rng(0))]
    if not case.train:
        infer = jax.jit(lambda w, x: forward(w, False, x)[0])
        return lambda: [infer(w | buffers, data[0]).block_until_ready()]

    states, compiled = tj.train_step(forward, case.loss, case.optimizer)
    held = [w, buffers, {k: (jax.numpy.zeros_like(v),) * states for k, v in w.items()}, jax.numpy.float32(1)]
    held[2] = jax.tree.map(jax.numpy.copy, held[2])  # each its own, to be given away

    def step() -> list[Any]:
        *held[:], loss = compiled(*held, *data)
        return [loss.block_until_ready()]

    return checked(step, lambda: [held[0][name] for name in names])


def checked(step: Callable[[], list[Any]], parameters: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    """The step, and as ``step.values`` what must be equal: losses, and a sample of each parameter after three steps."""

    def values() -> list[Any]:
        losses = [np.asarray(step()[0]) for _ in range(2)]  # the first was the cold start
        return [*losses, *(np.asarray(p).ravel()[:200] for p in parameters())]

    step.values = values  # type: ignore[attr-defined]
    return step


CASES = {
    name: {
        "chainrule": partial(chainrule_step, case),
        "torch": partial(torch_step, case),
        "torch-compile": partial(torch_step, case, True),
        "jax": partial(jax_step, case),
    }
    for name, case in NETWORKS.items()
}
