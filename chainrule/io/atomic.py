"""Writing a file so that it is there whole, or as it was before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` once the block has ended without an error.

    Until then it lies beside it under another name. An error or an interrupt in the block, or a crash of the machine,
    leaves what was at ``path`` as it was.

    Args:
        path: the file to be written; through a symbolic link, what that points to.

    Raises:
        OSError: the folder doesn't exist or cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/note.txt") as file:
    ...         _ = file.write(b"whole")
    ...     print(Path(folder, "note.txt").read_text())
    whole
    """
    target = Path(path).resolve()
    beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def remove_unfinished(path: str | PathLike[str]) -> None:
    """Remove what lies beside ``path`` because a process was killed while it wrote; its name may have wildcards."""
    target = Path(path)
    for left_over in target.parent.glob(f".{target.name}.*.tmp"):
        left_over.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself outlive a crash, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
