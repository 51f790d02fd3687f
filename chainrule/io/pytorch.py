"""What ``torch.save`` writes, read without PyTorch: a pickle that names its tensors, and their storages beside it.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html; the older format is that of PyTorch before 1.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import SEEK_CUR, BytesIO
from mmap import mmap
from typing import Any
from zipfile import ZipFile

import numpy as np

from ..core.arrays import Array
from .archive import member
from .mapped import BFLOAT16, COMPLEX32, FLOAT8_E4M3, FLOAT8_E5M2, PLAIN, Bytes, Stored
from .pickles import Named, Refused, unpickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_BIG_ENDIAN = "its arrays have their high byte first; save them again on a machine that has the low one first"
_PROGRAMS = ("constants.pkl", "code/")


def is_checkpoint(archive: ZipFile) -> bool:
    """Whether an archive is PyTorch's: all members lie in one folder, with a pickle."""
    return _folder(archive) is not None


def read(archive: ZipFile, buffer: Bytes) -> Any:
    """What was saved in an archive, with arrays for its tensors.

    Raises:
        ValueError: it is a program or damaged, or holds more than tensors, containers, numbers and strings.
    """
    members = {info.filename: info for info in archive.infolist()}
    folder = _folder(archive)
    if any(name.startswith(f"{folder}{program}") for name in members for program in _PROGRAMS):
        raise ValueError(
            "this is a TorchScript program; in PyTorch, save its arrays alone: "
            "torch.save(torch.jit.load(path).state_dict(), another_path)"
        )
    order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in members else b"little"
    if order != b"little":
        raise ValueError(_BIG_ENDIAN)
    storages: dict[str, Array] = {}

    def storage(identification: Any) -> Array:
        stored, key = _identified(identification)[:2]
        if key not in storages:
            storages[key] = stored.array(member(archive, members[f"{folder}data/{key}"], buffer))
        return storages[key]

    return _unpickled(BytesIO(archive.read(f"{folder}data.pkl")), storage)


def is_legacy(buffer: mmap) -> bool:
    """Whether a file is of the format before PyTorch 1.6: a pickled number comes first."""
    return buffer[:1] == b"\x80" and _LEGACY_MAGIC.to_bytes(10, "little") in bytes(buffer[:32])


def read_legacy(buffer: mmap) -> Any:
    """What was saved: three pickles about the file, one of what was saved, one of the storages' names; then the storages.

    Raises:
        ValueError: it is damaged, or holds more than tensors, containers, numbers and strings.
    """
    buffer.seek(0)
    magic, version, machine = (_unpickled(buffer) for _ in range(3))
    if (magic, version) != (_LEGACY_MAGIC, _LEGACY_VERSION):
        raise ValueError(f"its format is version {version}; version {_LEGACY_VERSION} is read")
    if not machine["little_endian"]:
        raise ValueError(_BIG_ENDIAN)
    start = buffer.tell()
    storages: dict[str, Array] = {}
    expected: dict[str, tuple[Stored, int]] = {}

    def storage(identification: Any) -> Array:
        stored, key, _, n, *view = _identified(identification)
        if view and view[0] is not None:
            raise ValueError("it has views of storages, as only versions before PyTorch 0.4 saved; save it again in PyTorch")
        if not 0 <= n * stored.dtype.itemsize <= len(buffer):
            raise ValueError(f"storage {key} of {n} elements is longer than the file")
        expected[key] = stored, n
        return storages[key] if key in storages else stored.array(bytearray(n * stored.dtype.itemsize))

    _unpickled(buffer, storage)  # tells what the storages are, which come later
    for key in _unpickled(buffer):
        stored, n = expected[key]
        if int.from_bytes(buffer.read(8), "little") != n:
            raise ValueError(f"storage {key} has not the {n} elements that its tensors expect")
        storages[key] = stored.array(buffer, buffer.tell(), (n,))
        buffer.seek(n * stored.dtype.itemsize, SEEK_CUR)
    buffer.seek(start)
    return _unpickled(buffer, storage)


def _folder(archive: ZipFile) -> str | None:
    """The folder in the archive in which everything lies, with a slash behind it."""
    return next((name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")), None)


def _unpickled(stream: BytesIO | mmap, storage: Callable[[Any], Array] | None = None) -> Any:
    try:
        return unpickle(stream, _NAMES, storage or _no_storage)
    except Refused as refused:
        model = " (torch.save(model) saves the whole model, as a program)" if str(refused).startswith("torch.nn.") else ""
        raise ValueError(
            f"refused: it holds {refused}, which is no tensor, container, number or string{model}, and to make it could run "
            f"code that the file chooses. If you trust the file, open it in PyTorch by torch.load(path, weights_only=False), "
            f"and save model.state_dict()"
        ) from None


def _no_storage(identification: Any) -> Array:
    raise ValueError("a storage where none can be")


def _identified(identification: Any) -> tuple[Any, ...]:
    """A storage's dtype, key, device, number of elements, and in the older format what it is a view of."""
    kind, stored, key, _, n, *_ = identification
    if kind != "storage" or not isinstance(stored, Stored) or not isinstance(key, str) or not isinstance(n, int):
        raise ValueError("what it says of a storage is not what PyTorch says")
    return tuple(identification[1:])


# ---- what a pickle may name -----------------------------------------------------------------------------


def _rebuild_tensor(
    storage: Array,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool = False,
    backward_hooks: Any = None,
    metadata: Mapping[str, bool] | None = None,
) -> Array:
    """A view of the storage, the strides in elements; metadata says what is still to be done to the elements."""
    width = storage.itemsize
    array: Array = np.ndarray(size, storage.dtype, storage, offset * width, [n * width for n in stride])
    if metadata and metadata.get("conj"):
        array = np.conj(array)
    if metadata and metadata.get("neg"):
        array = np.negative(array)
    return array


def _rebuild_tensor_of_bytes(
    storage: Array,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any,
    dtype: str,
    metadata: Mapping[str, bool] | None = None,
) -> Array:
    return _rebuild_tensor(_DTYPES[dtype].array(storage.data), offset, size, stride, metadata=metadata)


def _rebuild_with_attributes(function: Named, kind: Any, arguments: tuple[Any, ...], attributes: Any) -> Array:
    """A tensor to which attributes were given in Python: without them."""
    if function.name not in _TENSORS:
        raise Refused(function.name)
    return _TENSORS[function.name](*arguments)


def _only_data(data: Array, *_: Any) -> Array:
    return data


def _device(kind: str, index: int | None = None) -> str:
    return kind if index is None else f"{kind:s}:{index:d}"


def _latin1(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes."""
    return text.encode("latin1")


_TENSORS: dict[str, Callable[..., Array]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_of_bytes,
    "torch._utils._rebuild_parameter": _only_data,
    "torch._utils._rebuild_parameter_with_state": _only_data,
}
_BYTES = PLAIN["uint8"]
_STORAGES = {
    **{name: PLAIN[dtype] for name, dtype in (
        ("Bool", "bool"), ("Byte", "uint8"), ("Char", "int8"), ("Short", "int16"), ("Int", "int32"), ("Long", "int64"),
        ("Half", "float16"), ("Float", "float32"), ("Double", "float64"), ("ComplexFloat", "complex64"),
        ("ComplexDouble", "complex128"),
    )},
    "BFloat16": BFLOAT16,
    "ComplexHalf": COMPLEX32,
    "Untyped": _BYTES,
}  # fmt: skip
_DTYPES = {
    **PLAIN,
    "bfloat16": BFLOAT16,
    "complex32": COMPLEX32,
    "float8_e4m3fn": FLOAT8_E4M3,
    "float8_e5m2": FLOAT8_E5M2,
}
_NAMES: dict[str, Any] = {
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_with_attributes,
    "torch.Tensor": "torch.Tensor",
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    **{f"torch.{name}Storage": stored for name, stored in _STORAGES.items()},
    "torch.storage.UntypedStorage": _BYTES,
    **{f"torch.{name}": name for name in _DTYPES},
    "torch.Size": tuple,
    "torch.device": _device,
    "collections.OrderedDict": dict,
    "collections.Counter": dict,
    "builtins.set": set,
    "__builtin__.set": set,
    "builtins.complex": complex,
    "__builtin__.complex": complex,
    "_codecs.encode": _latin1,
}
