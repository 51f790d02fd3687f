"""Steps of optimizers alone, and the clipping of gradients, on the parameters of networks of several kinds, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from math import prod
from typing import Any

import numpy as np

TOLERANCE = (1e-4, 1e-5)
NOTE = "Checked equal: a sample of each parameter after three steps."

Shapes = list[tuple[int, ...]]


def resnet18() -> Shapes:
    """The parameters of a ResNet-18 for images of 32 x 32."""
    shapes: Shapes = [(64, 3, 3, 3), (64,), (64,)]
    before = 64
    for width in (64, 64, 128, 128, 256, 256, 512, 512):
        shapes += [(width, before, 3, 3), (width,), (width,), (width, width, 3, 3), (width,), (width,)]
        if width != before:
            shapes += [(width, before, 1, 1), (width,), (width,)]
        before = width
    return [*shapes, (10, 512), (10,)]


def gpt(layers: int, width: int) -> Shapes:
    """The parameters of a GPT over 65 characters."""
    block = [(3 * width, width), (3 * width,), (width, width), (width,), (4 * width, width), (4 * width,), (width, 4 * width)]
    return [(65, width), (256, width), *(layers * [*block, *5 * [(width,)]]), (width,), (width,)]


NETWORKS: dict[str, Shapes] = {
    "MLP 2-64-64-1": [(64, 2), (64,), (64, 64), (64,), (1, 64), (1,)],
    "one matrix of 1 M": [(1000, 1000)],
    "ResNet-18": resnet18(),
    "GPT 6 x 384": gpt(6, 384),
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4},
    "Adam": {"lr": 1e-3},
    "AdamW": {"lr": 1e-3},
    "RMSprop": {"lr": 1e-3},
}
CLIP = "clip_grad_norm_"


def arrays(shapes: Shapes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Data and a gradient for each shape."""
    rng = np.random.default_rng(0)
    return [tuple(rng.standard_normal((2, *shape), np.float32)) for shape in shapes]  # type: ignore[misc]


def shrinking(shapes: Shapes) -> Iterator[float]:
    """Norms that are a little less each time, so that gradients are always clipped."""
    return (0.99 * sum(map(prod, shapes)) ** 0.5 * 0.99999**i for i in count())


def sampled(step: Callable[[], Any], parts: Callable[[], list[Any]]) -> Callable[[], Any]:
    """The step, and as ``step.values`` what must be equal."""

    def run() -> Any:
        step()
        return True

    def values() -> list[Any]:
        for _ in range(2):  # the first was the cold start
            step()
        return [np.asarray(part).ravel()[:50] for part in parts()]

    run.values = values  # type: ignore[attr-defined]
    return run


def chainrule_step(name: str, shapes: Shapes) -> Callable[[], Any]:
    import chainrule
    from chainrule import nn, optim

    parameters = []
    for data, gradient in arrays(shapes):
        parameters.append(chainrule.Parameter(data))
        parameters[-1].grad = gradient
    if name == CLIP:
        norms = shrinking(shapes)
        return sampled(lambda: nn.utils.clip_grad_norm_(parameters, next(norms)), lambda: [p.grad for p in parameters])
    return sampled(getattr(optim, name)(parameters, **OPTIMIZERS[name]).step, lambda: [p.data for p in parameters])


def torch_step(name: str, shapes: Shapes, **options: bool) -> Callable[[], Any]:
    import torch

    parameters = []
    for data, gradient in arrays(shapes):
        parameters.append(torch.nn.Parameter(torch.tensor(data)))
        parameters[-1].grad = torch.tensor(gradient)
    if name == CLIP:
        norms = shrinking(shapes)
        return sampled(lambda: torch.nn.utils.clip_grad_norm_(parameters, next(norms)), lambda: [p.grad for p in parameters])
    optimizer = getattr(torch.optim, name)(parameters, **OPTIMIZERS[name], **options)
    return sampled(optimizer.step, lambda: [p.detach() for p in parameters])


CASES = {
    f"{name}, {network}": {
        "chainrule": partial(chainrule_step, name, shapes),
        "torch": partial(torch_step, name, shapes),
        **({"torch-fused": partial(torch_step, name, shapes, fused=True)} if name in ("SGD", "Adam", "AdamW") else {}),
    }
    for network, shapes in NETWORKS.items()
    for name in (*OPTIMIZERS, CLIP)
}
