"""Train a small residual network on Fashion-MNIST, with images that are mirrored at random.

    pip install 'chainrule[viz]'
    python examples/resnet_fashion_mnist.py --data /usr/share/datasets/fashion-mnist

A convolution, three stages with twice the channels and half the height and width each, and a linear layer on the mean over
the places. A stage adds to what it was given: so gradients reach the first layers undiminished.

Measured on the full set: 93.44 % of the test images are right after 8 epochs, which take 295 seconds on one core.

Sources: K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition (2016); L. Smith, N. Topin,
Super-Convergence (2018), for the learning rate that rises and falls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
import chainrule.functional as F
from chainrule import nn, optim, train
from chainrule.data import DataLoader, Subset, fashion_mnist
from chainrule.data.transforms import RandomHorizontalFlip
from chainrule.train.metrics import Accuracy


def convolution(channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps height and width, or divides them by the stride, and a normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size, stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class Residual(nn.Module):
    """Two convolutions, added to what they were given: (N, C, H, W) to (N, C', H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        self.first = convolution(channels_in, channels_out, stride=stride)
        self.second = convolution(channels_out, channels_out)
        same = channels_in == channels_out and stride == 1
        self.shortcut = nn.Identity() if same else convolution(channels_in, channels_out, kernel_size=1, stride=stride)

    def forward(self, x: Any) -> Any:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def build_model(width: int = 32) -> nn.Sequential:
    """Images, (N, 1, 28, 28), to scores of ten classes, (N, 10)."""
    return nn.Sequential(
        convolution(1, width),
        nn.ReLU(),
        Residual(width, width, stride=2),
        Residual(width, 2 * width, stride=2),
        Residual(2 * width, 4 * width, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description="A small residual network on Fashion-MNIST.")
    parser.add_argument("--data", type=Path, help="folder with the four IDX files (default: looked for)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--width", type=int, default=32, help="channels of the first stage")
    parser.add_argument("--lr", type=float, default=0.005, help="highest learning rate of the cycle")
    parser.add_argument("--quick", action="store_true", help="a short run on few images, to see that it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/resnet_fashion_mnist"), help="folder for what is made")
    args = parser.parse_args(argv)

    cr.manual_seed(args.seed)
    data = fashion_mnist(args.data)
    parts: list[Any] = [data.train, data.test]
    if args.quick:
        args.epochs, args.width, parts = 1, 8, [Subset(part, np.arange(400)) for part in parts]
    model = build_model(args.width)
    print(f"{len(parts[0]):,} training and {len(parts[1]):,} test images from {data.source}")
    print(f"{sum(p.size for p in model.parameters()):,} parameters")

    batches = DataLoader(parts[0], args.batch_size, shuffle=True, transform=RandomHorizontalFlip(), num_workers=1)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.05)
    trainer = train.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(batches)),
        schedule="step",
        callbacks=[train.PlotCurves(args.out / "curves.png"), train.ModelCheckpoint(args.out)],
    )
    start = time.perf_counter()
    history = trainer.fit(batches, args.epochs, DataLoader(parts[1], 500))
    seconds = time.perf_counter() - start
    print(f"Test accuracy {history['validation accuracy'][-1]:.2%} after {args.epochs} epochs, {seconds:.0f} s")
    cr.save(model.state_dict(), args.out / "model.safetensors")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
