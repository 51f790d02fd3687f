"""Train a small convolutional network on Fashion-MNIST, and look at what it gets wrong.

    pip install 'chainrule[viz]'
    python examples/fashion_mnist.py

Ctrl-C stops the training at any time: the model is saved as it is then, and the exit code is 130.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib  # noqa: F401 (needed at the end: better to miss it now)
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import chainrule as cr
import chainrule.functional as F
from chainrule import nn, optim
from chainrule.data import DataLoader, FashionMNIST, ImageDataset, fashion_mnist
from chainrule.io import load, save
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


class Training:
    """A model in training: its optimizer, its learning rate's schedule, and what has been measured after each epoch."""

    def __init__(self, model: nn.Module, data: FashionMNIST, args: argparse.Namespace, console: Console):
        self.model, self.data, self.epochs, self.console = model, data, args.epochs, console
        self.loader = DataLoader(data.train, args.batch_size, shuffle=True)
        self.optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
        self.schedule = optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=args.lr, total_steps=args.epochs * len(self.loader)
        )
        self.history: dict[str, list[float]] = {
            name: [] for name in ("train loss", "test loss", "train accuracy", "test accuracy")
        }

    def step(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Improve the model on one batch; return the batch's loss, and how many images it got right."""
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item(), int(np.sum(logits.data.argmax(axis=1) == labels))

    def run(self) -> None:
        """Train for all epochs, with a line for each and, on a terminal, a live bar."""
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[status]}"),
            TimeRemainingColumn(),
        )
        live = self.console.is_terminal
        with Progress(*columns, console=self.console, disable=not live, transient=True) as progress:
            bar = progress.add_task("", total=self.epochs * len(self.loader), epoch="", status="")
            for epoch in range(1, self.epochs + 1):
                self.model.train()
                start, seen, right, total_loss = time.perf_counter(), 0, 0, 0.0
                for images, labels in self.loader:
                    loss, hits = self.step(images, labels)
                    seen, right, total_loss = seen + len(labels), right + hits, total_loss + loss * len(labels)
                    speed = seen / (time.perf_counter() - start)
                    status = f"loss {total_loss / seen:.3f}  accuracy {right / seen:.1%}  {speed:,.0f} images/s"
                    progress.update(bar, advance=1, epoch=f"{epoch}/{self.epochs}", status=status)
                logits = predict(self.model, self.data.test)
                test_loss = float(F.cross_entropy(logits, self.data.test.labels))
                test_accuracy = accuracy(logits, self.data.test)
                for name, value in zip(self.history, (total_loss / seen, test_loss, right / seen, test_accuracy), strict=True):
                    self.history[name].append(value)
                seconds = time.perf_counter() - start
                self.console.print(
                    f"epoch {epoch}/{self.epochs}  {status}  test accuracy {test_accuracy:.2%}  {seconds:.1f} s",
                    highlight=False,
                )


def predict(model: nn.Module, dataset: ImageDataset) -> np.ndarray:
    """The model's logits for all images of a dataset, of shape (N, 10)."""
    model.eval()
    with cr.no_grad():
        return np.concatenate([model(images).data for images, _ in DataLoader(dataset, batch_size=500)])


def accuracy(logits: np.ndarray, dataset: ImageDataset) -> float:
    """The share of images whose highest logit is at their label."""
    return float(np.mean(logits.argmax(axis=1) == dataset.labels))


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
    parameters = sum(p.size for p in model.parameters())
    console.print(f"{len(data.train):,} training and {len(data.test):,} test images from {data.source}", highlight=False)
    console.print(f"{parameters:,} parameters", highlight=False)
    weights, curves, mistakes = (args.out / n for n in ("model.safetensors", "curves.png", "misclassified.png"))

    training = Training(model, data, args, console)
    try:
        training.run()
    except KeyboardInterrupt:
        console.print("Interrupted.")
    done = len(training.history["test accuracy"])
    save(model.state_dict(), weights, metadata={"epochs": str(done)})
    console.print(f"Saved the model after {done} of {args.epochs} epochs: {weights}", highlight=False)
    if done:
        plot_curves(training.history, curves)
    if done < args.epochs:
        return INTERRUPTED

    logits = predict(model, data.test)
    console.print(confused_pairs(logits, data))
    draw_mistakes(logits, data, mistakes)
    console.print(f"Drew {curves}, {mistakes}")

    again = build_model()
    again.load_state_dict(load(weights))
    console.print(
        f"Test accuracy {accuracy(logits, data.test):.2%}; reloaded from the file "
        f"{accuracy(predict(again, data.test), data.test):.2%}",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
