"""Train a GPT on the characters of Shakespeare's tragedies, and let it write.

    pip install 'chainrule[viz]'
    python examples/gpt_shakespeare.py --data shakespeare.txt

Four layers of width 128 with four heads of attention, which see 64 characters: 0.8 million parameters, in the small setting
that nanoGPT has for laptops without a graphics card (batches of 12, 2,000 steps). On a text like this one, other plays of
Shakespeare's, it reports a validation loss of 1.88; and of 1.47 in its setting for a graphics card, six layers of width 384
that see 256 characters.

Measured on eight tragedies (1.16 million characters, 73 different ones): a validation loss of 1.704 after 2,500 steps, a
perplexity of 5.5. They take 145 seconds of processor time; on two cores that others used too it was 8.5 minutes. It then
writes:

    BRUTUS.
    Sake thou mightst not come shall one sweak hey,
    And nature my resent live to she
    steel stand hnrought spake a found, what hand and shall in the put

Sources: A. Radford et al., Language Models are Unsupervised Multitask Learners (2019); A. Karpathy, nanoGPT (2022).
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
from chainrule.data import CharacterTokenizer, DataLoader, RandomSampler, TokenWindows, shakespeare
from chainrule.train.metrics import Perplexity

LENGTH = 64


class GPT(nn.Module):
    """Characters' numbers, (N, T), to scores of what comes after each, (N, T, vocabulary)."""

    def __init__(self, vocabulary: int, width: int = 128, heads: int = 4, layers: int = 4):
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(LENGTH, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
        self.scores = nn.Linear(width, vocabulary, bias=False)
        # as GPT-2 begins: small weights, and smaller ones where a layer adds to what goes through all layers
        for name, p in self.named_parameters():
            if p.ndim == 2:
                adds = name.endswith(("out_proj.weight", "linear2.weight"))
                nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if adds else 0.02)

    def forward(self, tokens: np.ndarray) -> Any:
        n = tokens.shape[1]
        hidden = self.tokens(tokens) + self.places(np.arange(n))
        return self.scores(self.layers(hidden, nn.Transformer.generate_square_subsequent_mask(n), is_causal=True))


def next_character_loss(scores: Any, target: np.ndarray) -> Any:
    """The mean of -log p(the character that came)."""
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), target.reshape(-1))


def write(model: GPT, tokenizer: CharacterTokenizer, start: str, n: int, temperature: float = 0.8) -> str:
    """Draw n more characters, one after the other; at a lower temperature the likelier ones come more often."""
    written = tokenizer.encode(start).tolist()
    for _ in range(n):
        with cr.no_grad():
            scores = model(np.array([written[-LENGTH:]])).data[0, -1]
        written.append(int(cr.random.generator().choice(len(scores), p=F.softmax(scores.astype(float) / temperature))))
    return tokenizer.decode(written)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description="Train a GPT on the characters of a text, and let it write.")
    parser.add_argument("--data", type=Path, help="a plain text (default: shakespeare.txt in the user's cache)")
    parser.add_argument("--epochs", type=int, default=10, help="of 250 steps")
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--lr", type=float, default=0.002, help="highest learning rate of the cycle")
    parser.add_argument("--quick", action="store_true", help="a short run of a small model, to see that it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/gpt_shakespeare"), help="folder for what is made")
    args = parser.parse_args(argv)
    steps, size, characters = (3, {"width": 16, "layers": 1}, 40) if args.quick else (250, {}, 500)
    if args.quick:
        args.epochs = 2

    cr.manual_seed(args.seed)
    text = shakespeare(args.data)
    tokenizer = CharacterTokenizer(sorted(set(text.train + text.validation)))
    model = GPT(len(tokenizer), **size)
    print(f"{len(text.train):,} characters to train on, {len(text.validation):,} to validate; {len(tokenizer)} different ones")
    print(f"{sum(p.size for p in model.parameters()):,} parameters")

    windows = TokenWindows(tokenizer.encode(text.train), LENGTH, stride=1)
    batches = DataLoader(windows, args.batch_size, sampler=RandomSampler(windows, True, steps * args.batch_size))
    validation = DataLoader(TokenWindows(tokenizer.encode(text.validation), LENGTH), 100)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.1)
    trainer = train.Trainer(
        model,
        optimizer,
        next_character_loss,
        metrics={"perplexity": Perplexity()},
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, args.lr, args.epochs * steps, pct_start=0.1, cycle_momentum=False),
        schedule="step",
        callbacks=[train.GradientClipping(1.0), train.PlotCurves(args.out / "curves.png"), train.ModelCheckpoint(args.out)],
    )
    start = time.perf_counter()
    history = trainer.fit(batches, args.epochs, validation)
    print(
        f"Validation loss {history['validation loss'][-1]:.3f} after {trainer.step} steps, {time.perf_counter() - start:.0f} s"
    )
    print(write(model.eval(), tokenizer, "\n", characters))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
