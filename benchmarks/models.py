"""The networks of the benchmark `training`, written once: chainrule's layers and PyTorch's have the same names."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

#: Text is of so many characters.
VOCABULARY = 65


def define(nn: ModuleType, F: ModuleType, ops: Any) -> dict[str, Any]:
    """The networks' classes, on a framework's layers; ``ops`` has what the two call by other names."""

    def mlp(*widths: int) -> Any:
        layers: list[Any] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def lenet() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip

    def vgg() -> Any:
        layers: list[Any] = []
        channels = 3
        for width in (64, 64, 0, 128, 128, 0, 256, 256, 0):
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10))

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, a: int, b: int, stride: int):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
            self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
            self.downsample = None
            if stride > 1 or a != b:
                self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.downsample is None else self.downsample(x)))

    def resnet18() -> Any:
        blocks: list[Any] = []
        a = 64
        for b, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Residual(a, b, stride), Residual(b, b, 1)]
            a = b
        return nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks,
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
        )  # fmt: skip

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, width: int, heads: int):
            super().__init__()
            self.heads = heads
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            qkv = self.qkv(self.ln_1(x)).reshape(batch, length, 3, self.heads, width // self.heads)
            q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.swapaxes(1, 2).reshape(batch, length, width))
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, layers: int, width: int, heads: int, context: int):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
            self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions(ops.arange(tokens.shape[1]))
            return self.head(self.ln(self.blocks(x))).reshape(-1, VOCABULARY)

    class Recurrent(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.tokens, self.head = nn.Embedding(VOCABULARY, width), nn.Linear(width, VOCABULARY)
            self.lstm = nn.LSTM(width, width, 2, batch_first=True)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.tokens(tokens))[0]).reshape(-1, VOCABULARY)

    class VAE(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
            self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

        def forward(self, x: Any, noise: Any) -> Any:
            code = self.encoder(x)
            mean, logvar = code[:, :20], code[:, 20:]
            y = self.decoder(mean + noise * ops.exp(0.5 * logvar))
            divergence = -0.5 * (1 + logvar - mean * mean - ops.exp(logvar)).sum()
            return (F.binary_cross_entropy_with_logits(y, x, reduction="sum") + divergence) / len(x)

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()

            def double(a: int, b: int) -> Any:
                return nn.Sequential(
                    nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
                    nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
                )  # fmt: skip

            self.down1, self.down2, self.bottom = double(1, 32), double(32, 64), double(64, 128)
            self.pool = nn.MaxPool2d(2)
            self.up2, self.join2 = nn.ConvTranspose2d(128, 64, 2, 2), double(128, 64)
            self.up1, self.join1 = nn.ConvTranspose2d(64, 32, 2, 2), double(64, 32)
            self.head = nn.Conv2d(32, 1, 1)

        def forward(self, x: Any) -> Any:
            a = self.down1(x)
            b = self.down2(self.pool(a))
            c = self.up2(self.bottom(self.pool(b)))
            d = self.up1(self.join2(ops.cat([c, b], 1)))
            return self.head(self.join1(ops.cat([d, a], 1)))

    return {
        "mlp": mlp, "lenet": lenet, "vgg": vgg, "resnet18": resnet18, "gpt": GPT, "lstm": Recurrent, "vae": VAE, "unet": UNet,
    }  # fmt: skip
