"""Train a small convolutional network on Fashion-MNIST, and look at what it gets wrong.

    pip install 'chainrule[viz]'
    python examples/fashion_mnist.py

Ctrl-C stops the training at any time: the model is saved as it is then, and the exit code is 130.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib  # noqa: F401 (needed at the end: better to miss it now)
import numpy as np
from rich.console import Console
from rich.table import Table

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.data import DataLoader, FashionMNIST, fashion_mnist
from chainrule.io import load, save
from chainrule.train.metrics import Accuracy
from chainrule.viz import image_grid, plot_curves

INTERRUPTED = 130


def build_model() -> nn.Sequential:
    """Three blocks of convolution, each halving height and width, and a linear layer: (N, 1, 28, 28) to (N, 10)."""

    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(*block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 3 * 3, 10))


def confused_pairs(logits: np.ndarray, data: FashionMNIST, rows: int = 5) -> Table:
    """The pairs of classes that are most often taken for each other."""
    n = len(data.classes)
    confusion = np.bincount(data.test.labels * n + logits.argmax(axis=1), minlength=n * n).reshape(n, n)
    images = confusion.sum(axis=1)
    pairs = sorted(((confusion[a, b] + confusion[b, a], a, b) for a in range(n) for b in range(a)), reverse=True)
    table = Table("class", "and class", "confused", "first taken for second", "second for first", title="Worst pairs")
    for column in table.columns[2:]:
        column.justify = "right"
    for mistakes, a, b in pairs[:rows]:
        shares = (f"{confusion[i, j] / max(images[i], 1):.1%}" for i, j in ((a, b), (b, a)))
        table.add_row(data.classes[a], data.classes[b], str(mistakes), *shares)
    return table


def draw_mistakes(logits: np.ndarray, data: FashionMNIST, path: Path, count: int = 24) -> None:
    """Save a picture of the mistakes that the model was surest of."""
    guesses, labels = logits.argmax(axis=1), data.test.labels
    wrong = np.flatnonzero(guesses != labels)
    margin = logits[wrong, guesses[wrong]] - logits[wrong, labels[wrong]]
    worst = wrong[np.argsort(-margin)[:count]]
    if len(worst):
        titles = [f"predicted {data.classes[guesses[i]]}\ntrue {data.classes[labels[i]]}" for i in worst]
        image_grid(data.test.images[worst], titles, path, columns=8)


def main(argv: list[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the four IDX files (default: looked for)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.01, help="highest learning rate of the cycle")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/fashion_mnist"), help="folder for what is made")
    args = parser.parse_args(argv)

    args.out.mkdir(parents=True, exist_ok=True)
    console = Console(soft_wrap=True)
    cr.manual_seed(args.seed)
    data = fashion_mnist(args.data)
    model = build_model()
    console.print(f"{len(data.train):,} training and {len(data.test):,} test images from {data.source}", highlight=False)
    console.print(f"{sum(p.size for p in model.parameters()):,} parameters", highlight=False)
    weights, curves, mistakes = (args.out / n for n in ("model.safetensors", "curves.png", "misclassified.png"))

    batches = DataLoader(data.train, args.batch_size, shuffle=True)
    test_batches = DataLoader(data.test, batch_size=500)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    trainer = train.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": Accuracy()},
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(batches)),
        schedule="step",
    )
    try:
        trainer.fit(batches, args.epochs, validation=test_batches)
    except KeyboardInterrupt:
        console.print("Interrupted.")
    save(model.state_dict(), weights, metadata={"epochs": str(trainer.epoch)})
    console.print(f"Saved the model after {trainer.epoch} of {args.epochs} epochs: {weights}", highlight=False)
    if trainer.history:
        plot_curves(trainer.history, curves)
    if trainer.epoch < args.epochs:
        return INTERRUPTED

    logits = trainer.predict(test_batches)
    console.print(confused_pairs(logits, data))
    draw_mistakes(logits, data, mistakes)
    console.print(f"Drew {curves}, {mistakes}")

    again = build_model()
    again.load_state_dict(load(weights))
    trained, reloaded = (
        np.mean(scores.argmax(axis=1) == data.test.labels) for scores in (logits, train.predict(again, test_batches))
    )
    console.print(f"Test accuracy {trained:.2%}; reloaded from the file {reloaded:.2%}", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
