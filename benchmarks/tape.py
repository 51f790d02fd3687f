"""What recording costs: chains of small operations, and a small multi-layer perceptron, forward and backward in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], list[Any]]

STEPS = 100  # a chain is y = y * x + x, so many times: 200 operations


def chain(y: Any, x: Any) -> Any:
    for _ in range(STEPS):
        y = y * x + x
    return y


def chainrule_chain(shape: tuple[int, ...]) -> Step:
    from chainrule import Variable

    x = Variable(np.full(shape, 0.5, np.float32))

    def step() -> list[Any]:
        x.reset_grad()
        chain(x, x).sum().backward()
        return [x.grad]

    return step


def torch_chain(shape: tuple[int, ...]) -> Step:
    import torch

    x = torch.full(shape, 0.5, requires_grad=True)

    def step() -> list[Any]:
        x.grad = None
        chain(x, x).sum().backward()
        return [x.grad]

    return step


def autograd_chain(shape: tuple[int, ...]) -> Step:
    import autograd
    import autograd.numpy as anp

    x = np.full(shape, 0.5, np.float32)
    gradient = autograd.grad(lambda x: anp.sum(chain(x, x)))
    return lambda: [gradient(x)]


def jax_chain(shape: tuple[int, ...]) -> Step:
    import jax
    import jax.numpy as jnp

    x = jnp.full(shape, 0.5, jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(chain(x, x))))
    return lambda: [gradient(x).block_until_ready()]


# ---- a multi-layer perceptron 2-10-3, batch 30, mean squared error, written out with operators ---------------


def mlp_data() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(30, 2)), rng.normal(size=(30, 3))
    parameters = [rng.normal(size=shape) for shape in ((2, 10), (10,), (10, 3), (3,))]
    return x.astype("f4"), target.astype("f4"), [p.astype("f4") for p in parameters]


def mlp_loss(tanh: Any, x: Any, target: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    return ((tanh(x @ w1 + b1) @ w2 + b2 - target) ** 2).mean()


def chainrule_mlp() -> Step:
    from chainrule import Parameter

    x, target, arrays = mlp_data()
    parameters = [Parameter(a) for a in arrays]

    def step() -> list[Any]:
        for p in parameters:
            p.reset_grad()
        mlp_loss(np.tanh, x, target, *parameters).backward()
        return [p.grad for p in parameters]

    return step


def torch_mlp() -> Step:
    import torch

    x, target, arrays = mlp_data()
    parameters = [torch.tensor(a, requires_grad=True) for a in arrays]
    inputs = torch.tensor(x), torch.tensor(target)

    def step() -> list[Any]:
        for p in parameters:
            p.grad = None
        mlp_loss(torch.tanh, *inputs, *parameters).backward()
        return [p.grad for p in parameters]

    return step


def autograd_mlp() -> Step:
    import autograd
    import autograd.numpy as anp

    x, target, parameters = mlp_data()
    gradient = autograd.grad(lambda parameters: mlp_loss(anp.tanh, x, target, *parameters))
    return lambda: gradient(parameters)  # type: ignore[no-any-return]


def jax_mlp() -> Step:
    import jax
    import jax.numpy as jnp

    x, target, arrays = mlp_data()
    parameters = [jnp.asarray(a) for a in arrays]
    gradient = jax.jit(jax.grad(lambda parameters: mlp_loss(jnp.tanh, x, target, *parameters)))
    return lambda: jax.block_until_ready(gradient(parameters))  # type: ignore[no-any-return]


def _chains(shape: tuple[int, ...]) -> dict[str, Callable[[], Step]]:
    makers = {"chainrule": chainrule_chain, "torch": torch_chain, "autograd": autograd_chain, "jax": jax_chain}
    return {framework: (lambda make=make: make(shape)) for framework, make in makers.items()}


CASES: dict[str, dict[str, Callable[[], Step]]] = {
    "200 operations on a scalar": _chains(()),
    "200 operations on 10 elements": _chains((10,)),
    "200 operations on 1,000 elements": _chains((1000,)),
    "perceptron 2-10-3, batch 30": {
        "chainrule": chainrule_mlp,
        "torch": torch_mlp,
        "autograd": autograd_mlp,
        "jax": jax_mlp,
    },
}
