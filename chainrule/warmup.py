"""Compile the usual kernels ahead, so that nobody waits for it later: for the image of a container, say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import nn, optim
from .core.config import no_grad
from .core.variable import Parameter, Variable
from .functional import binary_cross_entropy_with_logits, cross_entropy, scaled_dot_product_attention


def usual(dtype: str = "float32") -> dict[str, Callable[[], None]]:
    """What compiles the usual kernels and keeps them on disk: runs of the usual layers, forward and backward, by name.

    Args:
        dtype: ``"float32"`` or ``"float64"``.
    """
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    def through(layer: Callable[[Any], Any], *shape: int, steps: Callable[..., Any] | None = None) -> Callable[[], None]:
        def run() -> None:
            if isinstance(layer, nn.Module):
                layer.to(dtype)
            y = layer(Variable(array(*shape)))
            (y[0] if isinstance(y, tuple) else y).backward()
            if steps is not None and isinstance(layer, nn.Module):
                optimizer = steps(layer.parameters())
                optimizer.step()

        return run

    def on_images(layer: Callable[[Any], Any], channels: int, size: int = 32, n: int = 8) -> Callable[[], None]:
        """On images that lie channels-last, as a convolution's results do."""

        def run() -> None:
            if isinstance(layer, nn.Module):
                layer.to(dtype)
            layer(Variable(array(n, size, size, channels).transpose(0, 3, 1, 2))).backward()

        return run

    def classify() -> None:
        cross_entropy(Variable(array(256, 64)), rng.integers(64, size=256)).backward()

    def decide() -> None:
        binary_cross_entropy_with_logits(Variable(array(256, 64)), array(256, 64)).backward()

    def attend() -> None:
        q, k, v = (Variable(array(2, 4, 128, 32)) for _ in range(3))
        scaled_dot_product_attention(q, k, v, is_causal=True).backward()

    def embed() -> None:
        tokens, positions = nn.Embedding(100, 64).to(dtype), nn.Embedding(32, 64).to(dtype)
        (tokens(rng.integers(100, size=(32, 32))) + positions(np.arange(32))).backward()

    def add() -> None:
        a, b, row = Variable(array(512, 256)), Variable(array(512, 256)), Variable(array(256))
        (a + b + row).backward()

    def look_up() -> None:
        nn.Embedding(100, 64).to(dtype)(rng.integers(100, size=(32, 32))).backward()

    def evaluate() -> None:
        with no_grad():
            for activation in (nn.GELU(), nn.SiLU()):
                nn.Sequential(wide, activation).to(dtype)(array(256, 256))

    def see_one() -> None:
        layer = nn.Conv2d(128, 128, 3, 2, 1)
        for size in (8, 10, 12, 14):  # their results fill 1, 2, 3 and 4 vectors
            on_images(layer, 128, size, 1)()

    def clip() -> None:
        p = Parameter(array(256, 256))
        p.grad = array(256, 256)
        nn.utils.clip_grad_norm_([p], 1.0)

    wide = nn.Linear(256, 256)
    few = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
    )
    return {
        "linear and Adam": through(wide, 256, 256, steps=lambda p: optim.Adam(p)),
        "AdamW, no bias": through(nn.Linear(256, 256, bias=False), 256, 256, steps=lambda p: optim.AdamW(p)),
        "SGD with momentum": through(wide, 256, 256, steps=lambda p: optim.SGD(p, 0.01, momentum=0.9)),
        "linear and relu": through(nn.Sequential(wide, nn.ReLU()), 256, 256),
        "linear and gelu": through(nn.Sequential(wide, nn.GELU()), 256, 256),
        "linear and activation, evaluated": evaluate,
        "sums of arrays": add,
        "clipping": clip,
        "relu": through(nn.ReLU(), 256, 256),
        "tanh, sigmoid": through(nn.Sequential(nn.Tanh(), nn.Sigmoid()), 256, 256),
        "gelu": through(nn.GELU(), 256, 256),
        "silu": through(nn.SiLU(), 256, 256),
        "softmax": through(nn.Softmax(-1), 256, 256),
        "cross-entropy": classify,
        "binary cross-entropy": decide,
        "dropout": through(nn.Dropout(), 256, 256),
        "embedding": look_up,
        "embeddings of tokens and positions": embed,
        "layer norm": through(nn.LayerNorm(256), 256, 256),
        "batch norm": on_images(nn.BatchNorm2d(32), 32),
        "max pool": on_images(nn.MaxPool2d(2), 32),
        "average pool": on_images(nn.AvgPool2d(2), 32),
        "convolution of images": through(nn.Conv2d(1, 32, 3, padding=1), 8, 1, 32, 32),
        "few channels": through(few, 32, 1, 28, 28),
        "convolution 3x3": on_images(nn.Conv2d(32, 32, 3, padding=1), 32),
        "convolution 3x3, many channels": on_images(nn.Conv2d(64, 64, 3, padding=1), 64),
        "convolution 3x3, small images": on_images(nn.Conv2d(128, 128, 3, padding=1), 128, 8),
        "convolution of one small image": see_one,
        "convolution 3x3, stride 2": on_images(nn.Conv2d(32, 64, 3, 2, 1), 32),
        "convolution 1x1": on_images(nn.Conv2d(32, 64, 1), 32),
        "convolution 1x1 to one channel": on_images(nn.Conv2d(32, 1, 1), 32),
        "convolution 5x5": on_images(nn.Conv2d(32, 32, 5), 32),
        "depthwise convolution": on_images(nn.Conv2d(32, 32, 3, padding=1, groups=32), 32),
        "transposed convolution": on_images(nn.ConvTranspose2d(32, 32, 2, 2), 32),
        "attention": attend,
        "LSTM": through(nn.LSTM(64, 64), 32, 16, 64),
        "GRU": through(nn.GRU(64, 64), 32, 16, 64),
    }
