"""Shakespeare: a plain text to train language models of characters on."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

from .cache import cache_folder


class Shakespeare(NamedTuple):
    """The text in two parts, and the file that it was read from."""

    train: str
    validation: str
    source: Path


def shakespeare(path: str | PathLike[str] | None = None, validation: float = 0.1) -> Shakespeare:
    """Load a plain text of Shakespeare's, and split it: the last part is for validation.

    Args:
        path: the file. By default ``shakespeare.txt`` in the user's cache, ``$XDG_CACHE_HOME/chainrule`` or
            ``~/.cache/chainrule``.
        validation: the share of the characters in the second part.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no text in UTF-8.
    """
    source = cache_folder() / "shakespeare.txt" if path is None else Path(path)
    if not source.is_file():
        raise FileNotFoundError(
            f"there is no {source}; put a plain text there, such as one of Project Gutenberg's "
            "(https://www.gutenberg.org/ebooks/100), or pass its path"
        )
    text = source.read_text(encoding="utf-8")
    end = round(len(text) * (1 - validation))
    return Shakespeare(text[:end], text[end:], source)
