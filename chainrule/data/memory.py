"""Arrays on disk that are larger than memory: written in blocks, read by memory map."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..io.atomic import replacing


def write_array(path: str | PathLike[str], blocks: Iterable[Array]) -> tuple[int, ...]:
    """Write blocks one after the other, along axis 0, to one ``.npy`` file; returns the shape of the whole.

    Only one block at a time is in memory. The file is there once it is whole.

    Args:
        path: the file; one that exists is replaced.
        blocks: arrays of shape (n, ...), alike but for n.

    Raises:
        ValueError: there is no block, or one differs from the first in dtype or in the shape of its rows.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_array(f"{folder}/squares.npy", (np.arange(i, i + 3) ** 2 for i in range(0, 9, 3)))
    ...     open_array(f"{folder}/squares.npy")[4:6].tolist()
    (9,)
    [16, 25]
    """
    first: Array | None = None
    count = 0
    with replacing(path) as file:
        for block in blocks:
            if first is None:
                first = block[:0].copy()
                _write_header(file, first, 0)
            if block.dtype != first.dtype or block.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{path}: a block of {block.dtype} and rows of shape {block.shape[1:]}, after blocks of {first.dtype} and "
                    f"{first.shape[1:]}"
                )
            file.write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")
            count += len(block)
        if first is None:
            raise ValueError(f"{path}: no block to write")
        file.seek(0)
        _write_header(file, first, count)
    return (count, *first.shape[1:])


def _write_header(file: Any, like: Array, count: int) -> None:
    """The format's header. NumPy leaves room in it for axis 0 to grow, so that it keeps its length."""
    header = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False, "shape": (count, *like.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)


def open_array(path: str | PathLike[str], shuffled: bool = False) -> Array:
    """The array in a ``.npy`` file, by memory map: read-only, and only what is used of it is read from disk.

    In a ``TensorDataset``, only the rows of each batch are. What was read may stay in memory as long as nothing else needs it:
    such pages count as the process's (as its RSS), but the system takes them back before memory runs out.

    Args:
        path: the file.
        shuffled: rows will be asked for in random order, so that nothing is to be read around them. Of an array larger than
            memory a shuffled epoch is many times faster so; and with ``num_workers`` of a DataLoader, which wait for the
            disk side by side.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ``.npy`` file, or its dtype is object.
    """
    mapped = np.load(path, mmap_mode="r")
    if not isinstance(mapped, np.memmap):
        raise ValueError(f"{path}: an archive of several arrays cannot be mapped; save each as .npy")
    if shuffled and hasattr(mmap, "MADV_RANDOM"):  # Windows has none, and reads nothing around
        mapped._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]
    return mapped.view(np.ndarray)
