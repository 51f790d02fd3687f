"""Learn to balance a pole on a cart, by REINFORCE with a baseline; the cart is some lines of NumPy.

    pip install 'chainrule[viz]'
    python examples/reinforce.py

A push to the left or to the right at each fiftieth of a second; an episode ends when the pole leans by more than 12 degrees,
when the cart leaves its track, or after 500 pushes. The network sees where cart and pole are and how fast they move, and gets
one point for each push. Sixteen carts run side by side. What they did becomes one batch: actions that were followed by more
points than a second output of the network (the baseline) had expected are made more likely, the others less.

Measured: after 90 steps (1,440 episodes) new episodes last for 499.1 pushes on average. That takes 62 seconds on two busy
cores.

Sources: A. Barto, R. Sutton, C. Anderson, Neuronlike adaptive elements (1983), for the cart; R. Williams, Simple statistical
gradient-following algorithms (1992).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
import chainrule.functional as F
from chainrule import nn, optim, train
from chainrule.viz import plot_curves

PUSHES = 500


class Carts:
    """Carts with poles, side by side: ``state`` is (N, 4), place, speed, angle (radians) and its speed."""

    gravity, cart, pole, half_length, force, seconds = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
    end, lean = 2.4, np.radians(12)

    def __init__(self, n: int):
        self.state = cr.random.generator().uniform(-0.05, 0.05, (n, 4))

    def push(self, right: np.ndarray) -> np.ndarray:
        """Push each cart to the right or left; returns which poles are still up."""
        _, speed, angle, turning = self.state.T
        mass = self.cart + self.pole
        sin, cos = np.sin(angle), np.cos(angle)
        push = (np.where(right, self.force, -self.force) + self.pole * self.half_length * turning**2 * sin) / mass
        spin = (self.gravity * sin - cos * push) / (self.half_length * (4 / 3 - self.pole * cos**2 / mass))
        acceleration = push - self.pole * self.half_length * spin * cos / mass
        self.state = self.state + self.seconds * np.stack([speed, acceleration, turning, spin], axis=1)
        return (np.abs(self.state[:, 0]) < self.end) & (np.abs(self.state[:, 2]) < self.lean)


class Player(nn.Module):
    """What is seen, (N, 4), to the score of a push to the right and the points that are expected, both (N,)."""

    def __init__(self) -> None:
        self.score = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))
        self.expected = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, seen: Any) -> tuple[Any, Any]:
        return self.score(seen)[:, 0], self.expected(seen)[:, 0]


def play(player: Player, carts: int, discount: float = 0.99) -> tuple[Any, np.ndarray]:
    """One episode of each cart: a batch of what was seen, and, as target, the pushes and what followed; and each cart's points.

    What followed is the mean of the later points, weighted by how soon they came: from 0 to 1.
    """
    game, up = Carts(carts), np.ones(carts, bool)
    seen, pushes, alive = [], [], []
    while up.any() and len(seen) < PUSHES:
        seen.append(game.state.astype(np.float32))
        with cr.no_grad():
            score, _ = player(seen[-1])
        pushes.append(cr.random.generator().random(carts) < 1 / (1 + np.exp(-score.data)))
        alive.append(up)
        up = up & game.push(pushes[-1])
    points = np.array(alive, np.float32)
    following = (1 - discount) * points
    for i in range(len(following) - 2, -1, -1):
        following[i] += discount * following[i + 1]
    played = points > 0
    return (np.array(seen)[played], (np.array(pushes)[played], following[played])), points.sum(axis=0)


class Episodes:
    """An epoch's batches: each is all that was seen in the latest episodes of the player as it is then."""

    def __init__(self, player: Player, carts: int, batches: int):
        self.player, self.carts, self.batches = player, carts, batches
        self.points: list[float] = []

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        self.points = []
        for _ in range(self.batches):
            batch, points = play(self.player, self.carts)
            self.points.extend(points)
            yield batch


def surprise_loss(outputs: tuple[Any, Any], target: tuple[np.ndarray, np.ndarray]) -> Any:
    """Makes each push more likely by how much better than expected it went, and learns what to expect."""
    (score, expected), (pushes, following) = outputs, target
    surprise = following - expected.data
    advantage = (surprise - surprise.mean()) / (surprise.std() + 1e-6)
    # the negative log-probability of each push, weighted
    policy = F.binary_cross_entropy_with_logits(score, pushes.astype(np.float32), weight=advantage)
    return policy + F.mse_loss(expected, following)


class Score(train.Callback):
    """Puts the episodes' points into the results, and ends the training where nearly all poles stay up."""

    def __init__(self, goal: float):
        self.goal = goal

    def on_batch_end(self, trainer: train.Trainer) -> None:
        trainer.logs["train points"] = float(np.mean(trainer.loader.points))

    def on_epoch_end(self, trainer: train.Trainer) -> None:
        trainer.stop = trainer.logs["train points"] >= self.goal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description="Balance a pole on a cart, by REINFORCE with a baseline.")
    parser.add_argument("--epochs", type=int, default=40, help="at most, of ten steps")
    parser.add_argument("--carts", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/reinforce"), help="folder for what is made")
    args = parser.parse_args(argv)
    if args.quick:
        args.epochs = 2

    args.out.mkdir(parents=True, exist_ok=True)
    cr.manual_seed(args.seed)
    player = Player()
    optimizer = optim.Adam(player.parameters(), lr=args.lr)
    trainer = train.Trainer(player, optimizer, surprise_loss, callbacks=[Score(goal=490)])
    start = time.perf_counter()
    history = trainer.fit(Episodes(player, args.carts, batches=10), args.epochs)
    seconds = time.perf_counter() - start
    _, points = play(player, 100)
    print(f"{trainer.step} steps in {seconds:.0f} s; 100 new episodes: {points.mean():.1f} points on average of {PUSHES}")
    plot_curves(history, args.out / "curves.png")
    cr.save(player.state_dict(), args.out / "model.safetensors")
    print(f"Saved {args.out / 'model.safetensors'}, drew {args.out / 'curves.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
