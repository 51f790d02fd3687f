"""Single operations at three sizes each, forward alone and forward with backward, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

TOLERANCE = (2e-3, 2e-3)
NOTE = "All cases of a framework run in one process. Gradients are those of random weights of the results."
#: A process for each case would take longer to start than to measure.
ONE_PROCESS = True

Shape = tuple[int, ...]
#: Of a framework's functions: from inputs to the result.
Operation = Callable[..., Any]


def rows(width: int) -> tuple[Shape, Shape, Shape]:
    return (32, width), (512, width), (4096, width)


def of_images(channels: int) -> tuple[Shape, Shape, Shape]:
    return (1, channels, 32, 32), (32, channels, 16, 16), (32, channels, 32, 32)


def unary(call: Callable[[Any, Any, Any], Any], shapes: tuple[Shape, ...]) -> Iterator[tuple[str, list[Shape], Any]]:
    for shape in shapes:
        yield "x".join(map(str, shape)), [shape], call


def convolution(shape: Shape, out: int, size: int, **options: Any) -> tuple[str, list[Shape], Any]:
    groups = options.get("groups", 1)
    return (
        "x".join(map(str, shape)) + f" to {out}",
        [shape, (out, shape[1] // groups, size, size), (out,)],
        lambda F, o, x, w, b: F.conv2d(x, w, b, **options),
    )


def attention(batch: int, heads: int, length: int, size: int) -> tuple[str, list[Shape], Any]:
    shape = (batch, heads, length, size)
    return (
        "x".join(map(str, shape)),
        [shape] * 3,
        lambda F, o, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    )


def labelled(n: int, classes: int) -> tuple[str, list[Shape], Any]:
    target = np.random.default_rng(2).integers(classes, size=n)
    return f"{n}x{classes}", [(n, classes)], lambda F, o, x: F.cross_entropy(x, o.array(target))


def looked_up(vocabulary: int, width: int, n: int) -> tuple[str, list[Shape], Any]:
    index = np.random.default_rng(2).integers(vocabulary, size=n)
    return f"{n} of {vocabulary}x{width}", [(vocabulary, width)], lambda F, o, w: F.embedding(o.array(index), w)


def normalised(n: int, width: int) -> tuple[str, list[Shape], Any]:
    return f"{n}x{width}", [(n, width), (width,), (width,)], lambda F, o, x, w, b: F.layer_norm(x, (width,), w, b)


def by_channel(shape: Shape) -> tuple[str, list[Shape], Any]:
    return (
        "x".join(map(str, shape)),
        [shape, shape[1:2], shape[1:2]],
        lambda F, o, x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    )


def product(m: int, k: int, n: int) -> tuple[str, list[Shape], Any]:
    return f"{m}x{k}x{n}", [(m, k), (k, n)], lambda F, o, x, y: x @ y


def affine(m: int, k: int, n: int) -> tuple[str, list[Shape], Any]:
    return f"{m}x{k}x{n}", [(m, k), (n, k), (n,)], lambda F, o, x, w, b: F.linear(x, w, b)


def beside_a_row(n: int, width: int) -> tuple[str, list[Shape], Any]:
    return f"{n}x{width}", [(n, width), (width,)], lambda F, o, x, y: x + y


def joined(n: int, width: int) -> tuple[str, list[Shape], Any]:
    return f"{n}x{width}", [(n, width)] * 2, lambda F, o, x, y: o.concatenate((x, y), 1)


def chosen(n: int, width: int) -> tuple[str, list[Shape], Any]:
    mask = np.random.default_rng(2).random((n, width)) > 0.5
    return f"{n}x{width}", [(n, width)] * 2, lambda F, o, x, y: o.where(o.array(mask), x, y)


OPERATIONS: dict[str, Any] = {
    "add": ((f"{n}", [(n,), (n,)], lambda F, o, x, y: x + y) for n in (1000, 100_000, 1_000_000)),
    "multiply": ((f"{n}", [(n,), (n,)], lambda F, o, x, y: x * y) for n in (1000, 100_000, 1_000_000)),
    "add a row": [beside_a_row(*s) for s in rows(384)],
    "sum": unary(lambda F, o, x: x.sum(), ((1000,), (100_000,), (1_000_000,))),
    "var of rows": unary(lambda F, o, x: o.var(x, 1), rows(384)),
    "argmax of rows": unary(lambda F, o, x: x.argmax(1), rows(384)),
    "cumsum of rows": unary(lambda F, o, x: o.cumsum(x, 1), rows(384)),
    "concatenate": [joined(*s) for s in rows(384)],
    "where": [chosen(*s) for s in rows(384)],
    "exp": unary(lambda F, o, x: o.exp(x), ((1000,), (100_000,), (1_000_000,))),
    "tanh": unary(lambda F, o, x: o.tanh(x), ((1000,), (100_000,), (1_000_000,))),
    "relu": unary(lambda F, o, x: F.relu(x), rows(384)),
    "sigmoid": unary(lambda F, o, x: F.sigmoid(x), rows(384)),
    "gelu": unary(lambda F, o, x: F.gelu(x), rows(384)),
    "silu": unary(lambda F, o, x: F.silu(x), rows(384)),
    "softplus": unary(lambda F, o, x: F.softplus(x), rows(384)),
    "softmax": unary(lambda F, o, x: F.softmax(x, -1), rows(384)),
    "log_softmax": unary(lambda F, o, x: F.log_softmax(x, -1), rows(384)),
    "cross_entropy": [labelled(128, 10), labelled(2048, 65), labelled(256, 20_000)],
    "layer_norm": [normalised(*s) for s in rows(384)],
    "batch_norm": [by_channel(s) for s in of_images(64)],
    "embedding": [looked_up(65, 384, 256), looked_up(65, 384, 2048), looked_up(50_000, 384, 2048)],
    "matmul": [product(64, 64, 64), product(128, 784, 1024), product(2048, 384, 1536)],
    "linear": [affine(32, 64, 64), affine(128, 1024, 1024), affine(2048, 384, 1536)],
    "max_pool2d": unary(lambda F, o, x: F.max_pool2d(x, 2), of_images(64)),
    "avg_pool2d": unary(lambda F, o, x: F.avg_pool2d(x, 2), of_images(64)),
    "conv2d 3x3": [convolution(s, 64, 3, padding=1) for s in of_images(64)],
    "conv2d 3x3, 3 channels": [convolution(s, 64, 3, padding=1) for s in of_images(3)],
    "conv2d 3x3, stride 2": [convolution(s, 128, 3, padding=1, stride=2) for s in of_images(64)],
    "conv2d 1x1": [convolution(s, 128, 1) for s in of_images(64)],
    "conv2d 5x5, 1 channel": [convolution((n, 1, 28, 28), 6, 5, padding=2) for n in (1, 32, 128)],
    "conv2d 3x3, depthwise": [convolution(s, 64, 3, padding=1, groups=64) for s in of_images(64)],
    "conv_transpose2d 2x2": [
        ("x".join(map(str, s)), [s, (64, 32, 2, 2), (32,)], lambda F, o, x, w, b: F.conv_transpose2d(x, w, b, stride=2))
        for s in of_images(64)
    ],
    "attention": [attention(12, 4, 64, 32), attention(8, 6, 256, 64), attention(2, 8, 1024, 64)],
}

#: Those without a gradient.
CONSTANT = {"argmax of rows"}


def data(shapes: list[Shape]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=s) / (np.sqrt(np.prod(s[1:])) if i and len(s) > 1 else 1)).astype("f4") for i, s in enumerate(shapes)
    ]


def weights_of(shape: Shape) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("f4")


def chainrule_step(shapes: list[Shape], call: Operation, backward: bool) -> Callable[[], list[Any]]:
    import chainrule as cr
    import chainrule.functional as F

    ops = SimpleNamespace(
        exp=np.exp, tanh=np.tanh, var=np.var, cumsum=np.cumsum, concatenate=np.concatenate, where=np.where, array=lambda a: a
    )
    inputs = [cr.Variable(a) for a in data(shapes)]
    with cr.no_grad():
        g = weights_of(call(F, ops, *inputs).shape)

    def forward_step() -> list[Any]:
        with cr.no_grad():
            y = call(F, ops, *inputs)
            return [y.data if isinstance(y, cr.Variable) else y]

    def step() -> list[Any]:
        y = call(F, ops, *inputs)
        y.grad = g
        y.backward()
        gradients = [x.grad for x in inputs]
        for x in inputs:
            x.reset_grad()
        return gradients

    return sampled(step if backward else forward_step)


def torch_step(shapes: list[Shape], call: Operation, backward: bool) -> Callable[[], list[Any]]:
    import torch
    import torch.nn.functional as F

    ops = SimpleNamespace(
        exp=torch.exp, tanh=torch.tanh, var=partial(torch.var, correction=0), cumsum=torch.cumsum, concatenate=torch.cat,
        where=torch.where, array=torch.from_numpy,
    )  # fmt: skip
    inputs = [torch.from_numpy(a).requires_grad_() for a in data(shapes)]
    with torch.no_grad():
        g = torch.from_numpy(weights_of(tuple(call(F, ops, *inputs).shape)))

    def forward_step() -> list[Any]:
        with torch.no_grad():
            return [call(F, ops, *inputs)]

    def step() -> list[Any]:
        call(F, ops, *inputs).backward(g)
        gradients = [x.grad for x in inputs]
        for x in inputs:
            x.grad = None
        return gradients

    return sampled(step if backward else forward_step)


def sampled(step: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    """The step, and as ``step.values`` a sample of its results."""

    def values() -> list[Any]:
        flat = [np.asarray(a).ravel() for a in step()]
        return [a[:: max(1, a.size // 500)] for a in flat]

    step.values = values  # type: ignore[attr-defined]
    return step


CASES = {
    f"{name}, {size}, {'forward and backward' if backward else 'forward'}": {
        "chainrule": partial(chainrule_step, shapes, call, backward),
        "torch": partial(torch_step, shapes, call, backward),
    }
    for name, cases in OPERATIONS.items()
    for size, shapes, call in cases
    for backward in ((False,) if name in CONSTANT else (False, True))
}
