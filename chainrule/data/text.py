"""Text as numbers: characters, byte pairs, and windows of a long sequence to learn the next token from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array
from .dataset import Dataset


class CharacterTokenizer:
    """A number for each character.

    Args:
        vocabulary: the characters, of which the first is number 0; such as ``sorted(set(text))``.

    Raises:
        ValueError: a character occurs twice.

    >>> tokenizer = CharacterTokenizer(sorted(set("to be, or not to be")))
    >>> tokenizer.encode("be not")
    array([2, 3, 0, 4, 5, 7])
    >>> tokenizer.decode([2, 3])
    'be'
    """

    def __init__(self, vocabulary: Iterable[str]):
        self.vocabulary = "".join(vocabulary)
        self._points = np.array([ord(c) for c in self.vocabulary], np.int64)
        self._order = np.argsort(self._points)
        self._sorted = self._points[self._order]
        if (self._sorted[1:] == self._sorted[:-1]).any():
            raise ValueError("a vocabulary has each character once; use sorted(set(text))")

    def __len__(self) -> int:
        """How many characters there are."""
        return len(self.vocabulary)

    def encode(self, text: str) -> Array:
        """The characters' numbers, int64 of shape (n,).

        Raises:
            ValueError: a character is not in the vocabulary.
        """
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
        at = np.searchsorted(self._sorted, points)
        unknown = self._sorted.take(at, mode="clip") != points if len(self) else np.ones(len(points), bool)
        if unknown.any():
            first = int(unknown.argmax())
            raise ValueError(f"the character {text[first]!r} at position {first} is not in the vocabulary")
        return self._order[at]

    def decode(self, ids: Sequence[int] | Array) -> str:
        """The text of the characters with these numbers."""
        return self._points[np.asarray(ids, np.intp)].astype(np.uint32).tobytes().decode("utf-32-le")


class BytePairTokenizer:
    """Numbers for frequent pieces of text, which were merged pair by pair: the package tokenizers, on arrays.

    Args:
        path: a ``tokenizer.json``, such as published models carry or ``save`` writes.

    Raises:
        ImportError: the package tokenizers is not installed.

    Source: R. Sennrich, B. Haddow, A. Birch, Neural Machine Translation of Rare Words with Subword Units (2016).
    """

    def __init__(self, path: str | PathLike[str]):
        self._tokenizer = _tokenizers().Tokenizer.from_file(str(path))

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary_size: int, special_tokens: Sequence[str] = ("<pad>",)) -> BytePairTokenizer:
        """Learn which pieces to merge from texts; any text can then be encoded, for the smallest pieces are bytes.

        Args:
            texts: such as the lines of a file.
            vocabulary_size: how many pieces there are at most, the 256 bytes and the special tokens included.
            special_tokens: pieces that are never split; the first is number 0, which ``batch`` pads with.
        """
        package = _tokenizers()
        made = cls.__new__(cls)
        made._tokenizer = package.Tokenizer(package.models.BPE())
        made._tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made._tokenizer.decoder = package.decoders.ByteLevel()
        trainer = package.trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=list(special_tokens),
            initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made._tokenizer.train_from_iterator(texts, trainer)
        return made

    def __len__(self) -> int:
        """How many pieces there are."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> Array:
        """The pieces' numbers, int64 of shape (n,)."""
        return np.array(self._tokenizer.encode(text).ids, np.int64)

    def batch(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Texts side by side, the shorter padded with 0: the numbers, int64 of shape (N, T), and True where they are text."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        lengths = np.array([len(row) for row in rows], np.intp)
        is_text = np.arange(lengths.max(initial=0)) < lengths[:, None]
        ids = np.zeros(is_text.shape, np.int64)
        ids[is_text] = [i for row in rows for i in row]
        return ids, is_text

    def decode(self, ids: Sequence[int] | Array) -> str:
        """The text of the pieces with these numbers, without special tokens."""
        return str(self._tokenizer.decode(np.asarray(ids).tolist()))

    def save(self, path: str | PathLike[str]) -> None:
        """Write a ``tokenizer.json``."""
        Path(path).write_text(self._tokenizer.to_str(), encoding="utf-8")

    def __getstate__(self) -> str:
        return str(self._tokenizer.to_str())

    def __setstate__(self, state: str) -> None:
        self._tokenizer = _tokenizers().Tokenizer.from_str(state)


class TokenWindows(Dataset):
    """Windows of a long sequence, each with the same one token later, for models that predict the next token.

    Args:
        tokens: of shape (n,); it may be a memory map.
        length: tokens in a window.
        stride: from one window's start to the next; by default ``length``, so that windows don't overlap.

    Raises:
        ValueError: the sequence is shorter than ``length + 1``.

    >>> TokenWindows(np.arange(10), length=4)[1]
    (array([4, 5, 6, 7]), array([5, 6, 7, 8]))
    """

    def __init__(self, tokens: Array, length: int, stride: int | None = None):
        if tokens.ndim != 1 or len(tokens) <= length or length < 1:
            raise ValueError(f"TokenWindows needs more than length={length} tokens in one row; got shape {tokens.shape}")
        self.tokens, self.length, self.stride = tokens, length, length if stride is None else stride
        # a view: row i begins at token i * stride
        self._windows = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[:: self.stride]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: Any) -> tuple[Array, Array]:
        window = self._windows[index]
        return window[..., :-1], window[..., 1:]

    def batch(self, indices: Array | slice) -> tuple[Array, Array]:
        """The windows at ``indices``, of shape (N, length), and what follows each of their tokens."""
        return self[indices]


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("byte pairs need the package tokenizers: pip install 'chainrule[data]'") from error
    return tokenizers
