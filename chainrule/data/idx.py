"""IDX files, the format of MNIST and its successors: a magic number, the shape, the elements, mostly gzipped."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np

from ..core.arrays import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(dtype).newbyteorder("="): code for code, dtype in _DTYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | PathLike[str]) -> Array:
    """Return the array in an IDX file, plain or gzipped.

    Args:
        path: the file; whether it is gzipped is read from its first two bytes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, too long, or no IDX file.
    """
    raw = Path(path).read_bytes()
    if raw.startswith(_GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: the gzip stream is truncated or damaged ({error}); fetch the file again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _DTYPES:
        raise ValueError(
            f"{path}: not an IDX file: it starts with {raw[:4].hex(' ') or 'nothing'}, an IDX file with 00 00, a code "
            f"for the dtype ({', '.join(f'{code:02x}' for code in _DTYPES)}) and the number of axes"
        )
    dtype, ndim = np.dtype(_DTYPES[raw[2]]), raw[3]
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{path}: truncated: {len(raw)} bytes, where the header alone has {start}")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", ndim, offset=4))
    expected = start + prod(shape) * dtype.itemsize
    if len(raw) != expected:
        problem = "truncated" if len(raw) < expected else "too long"
        raise ValueError(f"{path}: {problem}: {len(raw)} bytes, where shape {shape} of {dtype.name} needs {expected}")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | PathLike[str], array: Array) -> None:
    """Write an array as an IDX file, gzipped where the name ends in ``.gz``.

    The same array gives the same bytes: no time and no name is stored.

    Args:
        path: the file, which is overwritten.
        array: of dtype uint8, int8, int16, int32, float32 or float64.

    Raises:
        TypeError: IDX has no code for the array's dtype.

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/labels.gz", np.array([3, 1, 2], np.uint8))
    ...     read_idx(f"{folder}/labels.gz")
    array([3, 1, 2], dtype=uint8)
    """
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise TypeError(f"IDX cannot hold {array.dtype}; it knows {', '.join(dtype.name for dtype in _CODES)}")
    header = bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    raw = header + array.astype(_DTYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(raw, mtime=0) if str(path).endswith(".gz") else raw)
