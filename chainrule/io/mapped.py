"""Arrays that lie in a file: mapped into memory, and read when they are first touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import prod
from mmap import ACCESS_COPY, mmap
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ..core.arrays import Array

#: The bytes of a file, or of a part of it. What is written into them stays in this process: the file is left alone.
Bytes: TypeAlias = mmap | memoryview | bytearray


def map_file(path: str | PathLike[str]) -> mmap:
    """The bytes of a file, of which the system reads those that are looked at (on Windows, all at once).

    Raises:
        OSError: the file doesn't exist or cannot be read.
        ValueError: it is empty.
    """
    with Path(path).open("rb") as file:
        try:
            if os.name != "nt":
                return mmap(file.fileno(), 0, access=ACCESS_COPY)
            buffer = mmap(-1, os.fstat(file.fileno()).st_size)  # no file that is mapped could be replaced there
            file.readinto(buffer)
            return buffer
        except ValueError as error:
            raise ValueError(f"{path}: the file is empty") from error


class Stored(NamedTuple):
    """How a file keeps a dtype: as what NumPy reads the bytes, and what then makes a dtype that NumPy has of them."""

    dtype: np.dtype
    widen: Callable[[Array], Array] | None = None

    def array(
        self, buffer: Bytes, offset: int = 0, shape: tuple[int, ...] | None = None, order: Literal["C", "F"] = "C"
    ) -> Array:
        """The array that begins at ``offset``: in the buffer itself where that can be.

        Args:
            buffer: the bytes.
            offset: where the array begins, in bytes.
            shape: None for one axis, to the end of the buffer.
            order: "C" or "F".

        Raises:
            ValueError: the buffer is too short.
        """
        if shape is None:
            shape = ((len(buffer) - offset) // self.dtype.itemsize,)
        if offset + self.dtype.itemsize * prod(shape) > len(buffer):
            raise ValueError(f"{self.dtype} of shape {shape} from byte {offset} doesn't fit in {len(buffer)} bytes")
        raw: Array = np.ndarray(shape, self.dtype, buffer, offset, order=order)
        if self.widen is not None:
            return self.widen(raw)
        # compiled kernels want arrays in the machine's own byte order, and aligned
        return raw.astype(self.dtype.newbyteorder("="), copy=not raw.flags.aligned)


def _from_bfloat16(raw: Array) -> Array:
    """bfloat16 is the upper half of a float32."""
    return (raw.astype(np.uint32) << 16).view(np.float32)


def _from_float8_e5m2(raw: Array) -> Array:
    """It is the upper half of a float16."""
    return (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def _from_float8_e4m3(raw: Array) -> Array:
    """A sign, 4 bits of exponent, 3 of mantissa; no infinities, and one NaN of either sign (P. Micikevicius et al., 2022)."""
    exponent, mantissa = (raw >> 3 & 15).astype(np.int32), (raw & 7).astype(np.float32)
    size = np.where(exponent == 0, np.ldexp(mantissa, -9), np.ldexp(8 + mantissa, exponent - 10)).astype(np.float32)
    size[raw & 127 == 127] = np.nan
    return np.copysign(size, np.where(raw & 128, np.float32(-1), np.float32(1)))


def _from_complex32(raw: Array) -> Array:
    """Two float16 each."""
    return (raw["real"] + np.complex64(1j) * raw["imag"]).astype(np.complex64)


BFLOAT16 = Stored(np.dtype("<u2"), _from_bfloat16)
FLOAT8_E5M2 = Stored(np.dtype("u1"), _from_float8_e5m2)
FLOAT8_E4M3 = Stored(np.dtype("u1"), _from_float8_e4m3)
COMPLEX32 = Stored(np.dtype([("real", "<f2"), ("imag", "<f2")]), _from_complex32)

#: NumPy's dtypes by their names, as files keep them: low byte first.
PLAIN = {
    np.dtype(code).name: Stored(np.dtype(f"<{code}"))
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
}
