"""Saving and loading named arrays: which format a file has, its content says."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import mmap
from os import PathLike, fspath
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as CompressionError

import numpy as np

from ..core.arrays import Array, is_array
from ..core.variable import Variable
from . import archive, pytorch, safetensors
from .atomic import replacing
from .mapped import map_file

#: What other files begin with, and what to do with them.
_OTHERS = {
    b"\x93NUMPY": "one array; read it by np.load(path, mmap_mode='r')",
    b"\x89HDF\r\n": "HDF5, in which Keras saves; read it by the package h5py, and save the arrays by chainrule.save",
    b"\x80": "a pickle, but not one that torch.save has made; reading it would run code that the file chooses",
}

#: What reading a damaged file raises, beside a ValueError that says what is wrong: zipfile most of it.
_DAMAGE = (BadZipFile, CompressionError, TokenError, SyntaxError, EOFError, OSError, RuntimeError, KeyError, TypeError)


def save(tensors: Mapping[str, Array], path: str | PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Save named arrays as a file, which is then at ``path`` whole or not at all.

    Args:
        tensors: arrays by name, such as ``module.state_dict()``.
        path: the file; one that exists is replaced. If it ends in ``.npz`` it is NumPy's archive, otherwise safetensors.
        metadata: strings by name, which ``read_metadata`` returns; safetensors only.

    Raises:
        TypeError: ``tensors`` is not a mapping of names to arrays, the format doesn't know an array's dtype, or
            ``metadata`` holds more than strings, or is for an .npz.
        OSError: the file cannot be written.

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"weight": np.ones((2, 3), np.float32)}, f"{folder}/model.safetensors", metadata={"epochs": "5"})
    ...     load(f"{folder}/model.safetensors")
    {'weight': array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)}
    """
    if not isinstance(tensors, Mapping):
        what = "pass module.state_dict()" if hasattr(tensors, "state_dict") else "pass a dict of names and arrays"
        raise TypeError(f"save needs named arrays, not {type(tensors).__name__}; {what}")
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata holds strings only; {key!r}: {value!r} is {type(value).__name__}")
    ready = {name: _savable(name, value) for name, value in tensors.items()}
    npz = fspath(path).endswith(".npz")
    if npz and metadata is not None:
        raise TypeError("an .npz has no metadata; save as safetensors, or put it into an array of strings")
    with replacing(path) as file:
        if npz:
            archive.write_npz(file, ready)
        else:
            safetensors.write(file, ready, metadata)


def load(path: str | PathLike[str]) -> Any:
    """Return the named arrays in a file, as a dict: safetensors, NumPy's .npz, or what ``torch.save`` has written.

    The file's content says which it is. Its arrays lie in the file, which is mapped into memory: so loading takes hardly any
    time, and of ``load(path)["weight"][:10]`` only these rows are read. Writing into an array leaves the file alone. Arrays
    are read into memory at once where they cannot be used as they lie: those of an .npz, which are not aligned or packed,
    and the dtypes that NumPy doesn't have, bfloat16 and float8, which become float32. While arrays are in use, the file
    must not be written into; to replace it, as ``save`` does, is all right.

    Of a PyTorch file only tensors and parameters, containers, numbers and strings are read, nested as they were saved
    (``load("checkpoint.pt")["model"]``). Nothing in such a file can make Python run code: any other object is an
    error that says which.

    Args:
        path: the file.

    Raises:
        OSError: the file doesn't exist or cannot be read.
        ValueError: the file is damaged or of another format, or holds what is not read; the message says what to do.

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/arrays.npz", x=np.arange(3.0))
    ...     load(f"{folder}/arrays.npz")
    {'x': array([0., 1., 2.])}
    """
    buffer = map_file(path)
    try:
        return _read(buffer, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except _DAMAGE as error:
        raise ValueError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def read_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """Return the strings that were saved with the arrays of a safetensors file; the arrays are not read.

    Raises:
        OSError: the file doesn't exist or cannot be read.
        ValueError: the file is damaged or no safetensors file.
    """
    buffer = map_file(path)
    try:
        return safetensors.read_metadata(buffer)
    except ValueError as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged: {error}") from error


def _read(buffer: mmap, path: str | PathLike[str]) -> Any:
    if safetensors.is_header(buffer):
        return safetensors.read(buffer)
    if archive.is_archive(buffer):
        with ZipFile(path) as opened:
            return pytorch.read(opened, buffer) if pytorch.is_checkpoint(opened) else archive.read_npz(opened, buffer)
    if pytorch.is_legacy(buffer):
        return pytorch.read_legacy(buffer)
    for start, what in _OTHERS.items():
        if buffer[: len(start)] == start:
            raise ValueError(f"this is {what}")
    raise ValueError("not a file of safetensors, .npz or torch.save, or damaged at its beginning")


def _savable(name: Any, value: Any) -> Array:
    data = value.data if isinstance(value, Variable) else value
    if not isinstance(name, str) or not is_array(data):
        raise TypeError(f"save needs arrays by name; {name!r} is {type(value).__name__}")
    return np.asarray(data)
