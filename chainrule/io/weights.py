"""Saving and loading named arrays as safetensors, the format that published weights come in."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arrays import Array, is_array
from ..core.variable import Variable
from .atomic import replacing

if TYPE_CHECKING:
    from types import ModuleType

#: What NumPy calls the format's dtypes; low byte first.
_DTYPES = {
    "BOOL": "?",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "C64": "<c8",
}
_SAVED_DTYPES = tuple(np.dtype(dtype).name for dtype in _DTYPES.values())


def save(tensors: Mapping[str, Array], path: str | PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Save named arrays as a safetensors file, which is then at ``path`` whole or not at all.

    Args:
        tensors: arrays by name, such as ``module.state_dict()``.
        path: the file; one that exists is replaced.
        metadata: strings by name, which ``read_metadata`` returns.

    Raises:
        TypeError: ``tensors`` is not a mapping of names to arrays, the format doesn't know an array's dtype, or
            ``metadata`` holds more than strings.
        OSError: the file cannot be written.
        ImportError: the package safetensors is not installed.

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
    safetensors = _safetensors()
    ready = {name: _savable(name, value) for name, value in tensors.items()}
    with replacing(path) as file:
        file.write(safetensors.numpy.save(ready, metadata=None if metadata is None else dict(metadata)))


def load(path: str | PathLike[str]) -> dict[str, Array]:
    """Return the named arrays in a safetensors file.

    bfloat16, which NumPy doesn't have, becomes float32.

    Args:
        path: the file.

    Raises:
        OSError: the file doesn't exist or cannot be read.
        ValueError: the file is damaged or no safetensors file, or holds a dtype that NumPy doesn't have.
        ImportError: the package safetensors is not installed.
    """
    safetensors = _safetensors()
    with open(path, "rb") as file:  # noqa: PTH123 (a str is welcome)
        raw = file.read()
    try:
        entries = safetensors.deserialize(raw)
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error
    return {name: _array(path, name, **entry) for name, entry in sorted(entries)}


def read_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """Return the strings that were saved with the arrays of a safetensors file; the arrays are not read.

    Raises:
        OSError: the file doesn't exist or cannot be read.
        ValueError: the file is damaged or no safetensors file.
        ImportError: the package safetensors is not installed.
    """
    safetensors = _safetensors()
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error


def _savable(name: Any, value: Any) -> Array:
    """The value as an array whose bytes lie as the format wants them: in C order, low byte first."""
    data = value.data if isinstance(value, Variable) else value
    if not isinstance(name, str) or not is_array(data):
        raise TypeError(f"save needs arrays by name; {name!r} is {type(value).__name__}")
    if data.dtype.name not in _SAVED_DTYPES:
        raise TypeError(
            f"{name!r} is {data.dtype}, which safetensors doesn't know; convert it to one of {', '.join(_SAVED_DTYPES)}"
        )
    return np.asarray(data, dtype=data.dtype.newbyteorder("<"), order="C")


def _array(path: str | PathLike[str], name: str, dtype: str, shape: list[int], data: bytearray) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype not in _DTYPES:
        raise ValueError(f"{path}: {name!r} is {dtype}, which NumPy doesn't have")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)


def _damaged(path: str | PathLike[str], error: Exception) -> ValueError:
    return ValueError(f"{path}: not a safetensors file, or damaged: {error}")


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("safetensors files need the package safetensors: pip install 'chainrule[io]'") from error
    return safetensors
