"""safetensors, the format that published weights come in: a header in JSON, and behind it the arrays' bytes.

Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..core.arrays import Array
from .mapped import BFLOAT16, FLOAT8_E4M3, FLOAT8_E5M2, PLAIN, Bytes

_NAMES = {
    "bool": "BOOL",
    **{f"{kind}{bits}": f"{kind[0].upper()}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)},
    "complex64": "C64",
}
_STORED = {name: PLAIN[dtype] for dtype, name in _NAMES.items() if dtype in PLAIN} | {
    "BF16": BFLOAT16,
    "F8_E5M2": FLOAT8_E5M2,
    "F8_E4M3": FLOAT8_E4M3,
}
_METADATA = "__metadata__"
_ALIGNMENT = 64  # so that mapped arrays begin where vector instructions like it


def write(file: BinaryIO, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None) -> None:
    """Write the arrays, those of the widest elements first, so that each lies aligned.

    Raises:
        TypeError: the format doesn't know an array's dtype.
        ValueError: an array has the name that the format keeps for metadata.
    """
    if _METADATA in tensors:
        raise ValueError(f"{_METADATA!r} cannot be an array's name in safetensors; use another, or save as .npz")
    for name, array in tensors.items():
        if _NAMES.get(array.dtype.name) not in _STORED:
            known = ", ".join(name for name in _NAMES if name in PLAIN)
            raise TypeError(f"{name!r} is {array.dtype}, which safetensors doesn't know; convert it to one of {known}")
    header: dict[str, Any] = {} if metadata is None else {_METADATA: dict(metadata)}
    offset, ordered = 0, sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    for name, array in ordered:
        offsets = [offset, offset := offset + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, array in ordered:
        file.write(np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C").data)


def is_header(buffer: Bytes) -> bool:
    """Whether a file begins as this format does."""
    return buffer[8:9] == b"{" and int.from_bytes(buffer[:8], "little") <= len(buffer) - 8


class _Entry(NamedTuple):
    """What the header says of an array; where it begins and ends is counted from the end of the header."""

    begin: int
    end: int
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> _Entry:
        begin, end = entry["data_offsets"]
        shape = tuple(entry["shape"])
        if any(type(n) is not int or n < 0 for n in (begin, end, *shape)):
            raise ValueError(f"no numbers of bytes or elements: {begin}, {end}, {shape}")
        return cls(begin, end, str(entry["dtype"]), shape)


def read(buffer: Bytes) -> dict[str, Array]:
    """The arrays by name, in their names' order.

    Raises:
        ValueError: the header is damaged, or a dtype is one that NumPy doesn't have.
    """
    entries, _, start = _header(buffer)
    return {name: _array(buffer, start, name, entries[name]) for name in sorted(entries)}


def read_metadata(buffer: Bytes) -> dict[str, str]:
    """The strings that were saved with the arrays."""
    return _header(buffer)[1]


def _header(buffer: Bytes) -> tuple[dict[str, _Entry], dict[str, str], int]:
    """The arrays' entries, the metadata, and where the arrays' bytes begin: one after the other to the end of the file."""
    start = 8 + int.from_bytes(buffer[:8], "little")
    if len(buffer) < 8 or start > len(buffer):
        raise ValueError(f"the header should end at byte {start}, the file at {len(buffer)}")
    try:
        header: dict[str, Any] = json.loads(bytes(buffer[8:start]), object_pairs_hook=_once)
        metadata = dict(header.pop(_METADATA, None) or {})
        entries = {name: _Entry.of(entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the header cannot be read ({type(error).__name__}: {error})") from error
    at = 0
    for begin, end in sorted((entry.begin, entry.end) for entry in entries.values()):
        if begin != at or end < begin:
            raise ValueError(f"an array begins at byte {begin} where {at} is due, and ends at {end}")
        at = end
    if start + at != len(buffer):
        raise ValueError(f"the arrays should end at byte {start + at}, the file at {len(buffer)}")
    return entries, metadata, start


def _array(buffer: Bytes, start: int, name: str, entry: _Entry) -> Array:
    if entry.dtype not in _STORED:
        raise ValueError(f"{name!r} is {entry.dtype}, which NumPy doesn't have; convert it in the library that wrote it")
    stored = _STORED[entry.dtype]
    if stored.dtype.itemsize * prod(entry.shape) != entry.end - entry.begin:
        raise ValueError(f"{name!r}, {entry.dtype} of shape {entry.shape}, has {entry.end - entry.begin} bytes")
    return stored.array(buffer, start + entry.begin, entry.shape)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs, of which no two may have the same name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found
