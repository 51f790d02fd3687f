"""The networks of the benchmark `training` in JAX, compiled by ``jit``: functions of weights under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Weights = dict[str, Any]
Forward = Callable[..., tuple[Any, Weights]]


def linear(w: Weights, name: str, x: Any) -> Any:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def conv(w: Weights, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    y = lax.conv_general_dilated(x, w[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2)
    return y + w[f"{name}.bias"][:, None, None] if f"{name}.bias" in w else y


def up(w: Weights, name: str, x: Any) -> Any:
    """A transposed convolution, 2x2 with stride 2."""
    y = jnp.einsum("nchw,cokl->nohkwl", x, w[f"{name}.weight"])
    n, o, h, _, width, _ = y.shape
    return y.reshape(n, o, 2 * h, 2 * width) + w[f"{name}.bias"][:, None, None]


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def batch_norm(w: Weights, name: str, x: Any, train: bool, new: Weights) -> Any:
    if train:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        n = x.size // x.shape[1]
        for key, value in (("running_mean", mean), ("running_var", var * n / (n - 1))):
            new[f"{name}.{key}"] = 0.9 * w[f"{name}.{key}"] + 0.1 * lax.stop_gradient(value)
    else:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    scale = w[f"{name}.weight"] / jnp.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]


def layer_norm(w: Weights, name: str, x: Any) -> Any:
    y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return y * w[f"{name}.weight"] + w[f"{name}.bias"]


def mlp(*widths: int) -> Forward:
    def forward(w: Weights, train: bool, x: Any) -> tuple[Any, Weights]:
        for i, _ in enumerate(pairwise(widths)):
            x = linear(w, str(2 * i), x if i == 0 else jax.nn.relu(x))
        return x, {}

    return forward


def lenet() -> Forward:
    def forward(w: Weights, train: bool, x: Any) -> tuple[Any, Weights]:
        x = pool(jax.nn.relu(conv(w, "0", x, padding=2)))
        x = pool(jax.nn.relu(conv(w, "3", x))).reshape(len(x), -1)
        return linear(w, "11", jax.nn.relu(linear(w, "9", jax.nn.relu(linear(w, "7", x))))), {}

    return forward


def vgg() -> Forward:
    def forward(w: Weights, train: bool, x: Any) -> tuple[Any, Weights]:
        new: Weights = {}
        i = 0
        for width in (64, 64, 0, 128, 128, 0, 256, 256, 0):
            if width == 0:
                x, i = pool(x), i + 1
                continue
            x, i = jax.nn.relu(batch_norm(w, str(i + 1), conv(w, str(i), x, padding=1), train, new)), i + 3
        return linear(w, str(i + 3), jax.nn.relu(linear(w, str(i + 1), x.reshape(len(x), -1)))), new

    return forward


def resnet18() -> Forward:
    def forward(w: Weights, train: bool, x: Any) -> tuple[Any, Weights]:
        new: Weights = {}
        x = jax.nn.relu(batch_norm(w, "1", conv(w, "0", x, padding=1), train, new))
        for i in range(8):
            block, stride = str(3 + i), 2 if i in (2, 4, 6) else 1
            y = jax.nn.relu(batch_norm(w, f"{block}.bn1", conv(w, f"{block}.conv1", x, stride, 1), train, new))
            y = batch_norm(w, f"{block}.bn2", conv(w, f"{block}.conv2", y, 1, 1), train, new)
            if stride == 2:
                x = batch_norm(w, f"{block}.downsample.1", conv(w, f"{block}.downsample.0", x, 2), train, new)
            x = jax.nn.relu(x + y)
        return linear(w, "13", x.mean((2, 3))), new

    return forward


def gpt(layers: int, width: int, heads: int, context: int) -> Forward:
    def forward(w: Weights, train: bool, tokens: Any) -> tuple[Any, Weights]:
        (n, length), size = tokens.shape, width // heads
        x = w["tokens.weight"][tokens] + w["positions.weight"][:length]
        mask = jnp.tril(jnp.ones((length, length), bool))
        for i in range(layers):
            at = f"blocks.{i}"
            qkv = linear(w, f"{at}.qkv", layer_norm(w, f"{at}.ln_1", x)).reshape(n, length, 3, heads, size)
            q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
            scores = jnp.where(mask, jnp.einsum("bqhd,bkhd->bhqk", q, k) / size**0.5, -jnp.inf)
            y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
            x = x + linear(w, f"{at}.proj", y.reshape(n, length, width))
            hidden = jax.nn.gelu(linear(w, f"{at}.mlp.0", layer_norm(w, f"{at}.ln_2", x)), approximate=False)
            x = x + linear(w, f"{at}.mlp.2", hidden)
        return linear(w, "head", layer_norm(w, "ln", x)).reshape(n * length, -1), {}

    return forward


def lstm(width: int) -> Forward:
    def forward(w: Weights, train: bool, tokens: Any) -> tuple[Any, Weights]:
        x = w["tokens.weight"][tokens].swapaxes(0, 1)
        for layer in range(2):
            gates = x @ w[f"lstm.weight_ih_l{layer}"].T + w[f"lstm.bias_ih_l{layer}"] + w[f"lstm.bias_hh_l{layer}"]
            recurrent = w[f"lstm.weight_hh_l{layer}"].T

            def cell(carry: Any, gate: Any, recurrent: Any = recurrent) -> Any:
                h, c = carry
                i, f, g, o = jnp.split(gate + h @ recurrent, 4, axis=-1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            zero = jnp.zeros((x.shape[1], width), x.dtype)
            x = lax.scan(cell, (zero, zero), gates)[1]
        return linear(w, "head", x.swapaxes(0, 1)).reshape(-1, w["head.bias"].size), {}

    return forward


def vae() -> Forward:
    def forward(w: Weights, train: bool, x: Any, noise: Any) -> tuple[Any, Weights]:
        code = linear(w, "encoder.2", jax.nn.relu(linear(w, "encoder.0", x)))
        mean, logvar = code[:, :20], code[:, 20:]
        z = mean + noise * jnp.exp(0.5 * logvar)
        y = linear(w, "decoder.2", jax.nn.relu(linear(w, "decoder.0", z)))
        divergence = -0.5 * (1 + logvar - mean * mean - jnp.exp(logvar)).sum()
        return (binary_cross_entropy(y, x).sum() + divergence) / len(x), {}

    return forward


def unet() -> Forward:
    def forward(w: Weights, train: bool, x: Any) -> tuple[Any, Weights]:
        new: Weights = {}

        def double(name: str, x: Any) -> Any:
            for i in (0, 3):
                x = conv(w, f"{name}.{i}", x, padding=1)
                x = jax.nn.relu(batch_norm(w, f"{name}.{i + 1}", x, train, new))
            return x

        a = double("down1", x)
        b = double("down2", pool(a))
        c = up(w, "up2", double("bottom", pool(b)))
        d = up(w, "up1", double("join2", jnp.concatenate([c, b], 1)))
        return conv(w, "head", double("join1", jnp.concatenate([d, a], 1))), new

    return forward


MODELS = {
    "mlp": mlp, "lenet": lenet, "vgg": vgg, "resnet18": resnet18, "gpt": gpt, "lstm": lstm, "vae": vae, "unet": unet,
}  # fmt: skip


def binary_cross_entropy(y: Any, target: Any) -> Any:
    return jnp.maximum(y, 0) - y * target + jnp.log1p(jnp.exp(-jnp.abs(y)))


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": lambda y, t: -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1).mean(),
    "mse_loss": lambda y, t: ((y - t) ** 2).mean(),
    "binary_cross_entropy_with_logits": lambda y, t: binary_cross_entropy(y, t).mean(),
    "itself": lambda y, t: y,
}


def optimizer(name: str, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> tuple[int, Callable[..., Any]]:
    """How many arrays of state a parameter has, and one step of it."""

    def sgd(p: Any, g: Any, step: Any, v: Any) -> Any:
        v = momentum * v + g + weight_decay * p
        return p - lr * v, v

    def adam(p: Any, g: Any, step: Any, m: Any, v: Any) -> Any:
        p = p * (1 - lr * weight_decay)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return p - lr * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v

    return (1, sgd) if name == "SGD" else (2, adam)


def train_step(forward: Forward, loss: str, chosen: tuple[str, dict[str, Any]]) -> tuple[int, Callable[..., Any]]:
    """The number of states of a parameter, and a step from (weights, buffers, states, number) to these and the loss."""
    states, update = optimizer(chosen[0], **chosen[1])

    def step(w: Weights, buffers: Weights, state: Any, number: Any, *data: Any) -> Any:
        def objective(w: Weights) -> Any:
            y, new = forward(w | buffers, True, *data[:-1])
            return LOSSES[loss](y, data[-1]), new

        (value, new), g = jax.value_and_grad(objective, has_aux=True)(w)
        moved = {k: update(w[k], g[k], number, *state[k]) for k in w}
        return {k: m[0] for k, m in moved.items()}, buffers | new, {k: m[1:] for k, m in moved.items()}, number + 1, value

    return states, jax.jit(step, donate_argnums=(0, 1, 2))


def split(state: dict[str, np.ndarray]) -> tuple[Weights, Weights]:
    """Parameters and buffers of a state dict, on the device."""
    buffers = {k: jnp.array(v) for k, v in state.items() if "running" in k}
    return {k: jnp.array(v) for k, v in state.items() if "running" not in k and "num_batches" not in k}, buffers
