"""Zip archives of arrays: the members lie in the mapped file, and NumPy's .npz is such an archive."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from struct import unpack
from typing import BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from ..core.arrays import Array
from .mapped import Bytes, Stored

MAGIC = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06"  # an archive without members
_NPY_HEADER = 16384  # NumPy refuses longer ones


def is_archive(buffer: Bytes) -> bool:
    """Whether a file is a zip archive."""
    return buffer[:4] in (MAGIC, _EMPTY)


def member(archive: ZipFile, info: ZipInfo, buffer: Bytes) -> Bytes:
    """The bytes of a member of the archive that ``buffer`` maps: unpacked, or where they lie if they are not packed."""
    if info.compress_type != ZIP_STORED:
        return bytearray(archive.read(info))
    start = info.header_offset
    if buffer[start : start + 4] != MAGIC:
        raise BadZipFile(f"no member begins at byte {start}")
    start += 30 + sum(unpack("<HH", buffer[start + 26 : start + 30]))  # name and extra field
    if start + info.file_size > len(buffer):
        raise BadZipFile(f"{info.filename} should end at byte {start + info.file_size}, the file at {len(buffer)}")
    return memoryview(buffer)[start : start + info.file_size]


def write_npz(file: BinaryIO, tensors: Mapping[str, Array]) -> None:
    """Write the arrays as NumPy's ``savez`` does, whatever they are called.

    Raises:
        ValueError: an array is of Python objects.
    """
    with ZipFile(file, "w") as archive:
        for name, array in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)


def read_npz(archive: ZipFile, buffer: Bytes) -> dict[str, Array]:
    """The arrays of an .npz archive by name.

    Raises:
        ValueError: a member is no array, or is one of Python objects, which only pickle reads.
    """
    return {
        info.filename.removesuffix(".npy"): _npy(info.filename, member(archive, info, buffer)) for info in archive.infolist()
    }


def _npy(name: str, buffer: Bytes) -> Array:
    stream = BytesIO(buffer[:_NPY_HEADER])
    try:
        major, _ = np.lib.format.read_magic(stream)
        if major > 2:  # names of fields in Unicode
            return np.lib.format.read_array(BytesIO(buffer), allow_pickle=False)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError("it is an array of Python objects, and to read them would run code that the file chooses")
        return Stored(dtype).array(buffer, stream.tell(), shape, "F" if fortran else "C")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
