"""What torch.save writes is read without PyTorch; and no pickle, however made, makes anything run."""

import collections
import contextlib
import io
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from chainrule import nn
from chainrule.io import load
from chainrule.io.pickles import Refused, unpickle

X = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)


def contents(torch):
    """All kinds of things that stand in checkpoints."""
    x = torch.tensor(X)
    return {
        "plain": {
            "epoch": 3,
            "loss": 0.25,
            "name": "ä",
            "none": None,
            "big": 2**80,
            "bytes": b"\x00\xff",
            "flags": [True, False],
        },
        "nested": [1, (2, 3), {4, 5}, {"a": {"b": x}}, ("one",), (1, 2, 3, 4), 1 + 2j],
        "ordered": collections.OrderedDict(a=1, b=2),
        "counted": collections.Counter("aab"),
        "transposed": x.transpose(0, 2),
        "strided": x[:, ::2, 1:],
        "expanded": torch.ones(1, 3).expand(4, 3),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(x),
        "attributed": attributed(torch),
        "conjugate": torch.tensor([1 + 2j, 3j]).conj(),
        "negative": torch.tensor([1 + 2j, 3j]).conj().imag,
        "size": torch.Size([1, 2]),
    }


def attributed(torch):
    tensor = torch.nn.Parameter(torch.arange(3.0))
    tensor.note = "kept by PyTorch, not by us"
    return tensor


DTYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128",
    "uint16", "uint32", "uint64", "bfloat16", "float8_e4m3fn", "float8_e5m2",
]  # fmt: skip
FORMATS = [(zipped, protocol) for zipped in (True, False) for protocol in (2, 4)]


def as_numpy(torch, tensor):
    tensor = tensor.detach().resolve_conj().resolve_neg()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2) else tensor).numpy()


def assert_same(torch, ours, theirs):
    if isinstance(theirs, torch.Tensor):
        expected = as_numpy(torch, theirs)
        assert type(ours) is np.ndarray and ours.dtype == expected.dtype and ours.flags.aligned
        np.testing.assert_array_equal(ours, expected)
    elif isinstance(theirs, dict):
        assert type(ours) is dict and list(ours) == list(theirs)
        for key, value in theirs.items():
            assert_same(torch, ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(torch, one, other)
    else:
        assert ours == theirs and type(ours) is type(theirs)


@pytest.mark.parametrize(("zipped", "protocol"), FORMATS)
def test_what_checkpoints_hold(tmp_path, zipped, protocol):
    torch = pytest.importorskip("torch")
    saved = contents(torch)
    path = tmp_path / "checkpoint.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert_same(torch, load(path), saved)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(tmp_path, name, zipped):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    if name == "bool":
        tensor = torch.arange(256) % 3 == 0
    else:  # every pattern of bits in the upper byte: NaN, infinities, subnormal numbers
        tensor = torch.arange(256, dtype=torch.uint8).repeat_interleave(dtype.itemsize).view(dtype)
    torch.save({"x": tensor[3:], "empty": tensor[:0]}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    got = load(tmp_path / "x.pt")
    np.testing.assert_array_equal(got["x"], as_numpy(torch, tensor[3:]))
    assert got["empty"].shape == (0,)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_that_share_a_storage_still_do(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    x = torch.tensor(X)
    path = tmp_path / "x.pt"
    torch.save({"all": x, "row": x[1, 2], "again": x}, path, _use_new_zipfile_serialization=zipped)
    got = load(path)
    got["row"][:] = -1
    np.testing.assert_array_equal(got["all"][1, 2], -np.ones(4))
    assert np.shares_memory(got["all"], got["again"])
    np.testing.assert_array_equal(load(path)["all"], X)  # the file was left alone


def test_a_models_and_an_optimizers_state(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    optimizer = torch.optim.Adam(theirs.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    x = np.random.default_rng(0).random((5, 1, 4, 4), np.float32)
    theirs(torch.tensor(x)).sum().backward()
    optimizer.step()
    saved = {"model": theirs.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    torch.save(saved, tmp_path / "checkpoint.pt")
    got = load(tmp_path / "checkpoint.pt")
    assert_same(torch, got, saved)
    ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    ours.load_state_dict(got["model"])
    np.testing.assert_allclose(ours.eval()(x).data, theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_packed_archive_and_other_bytes_first(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.tensor(X)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def repacked(**changes):
        with zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, changes.get(name.split("/")[-1], content))
        return load(tmp_path / "y.pt")

    np.testing.assert_array_equal(repacked()["x"], X)
    with pytest.raises(ValueError, match="high byte first"):
        repacked(byteorder=b"big")


# ---- what is refused ------------------------------------------------------------------------------------


class Calls:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def attack(kind, marker):
    """A pickle that makes a file if it is unpickled as Python does it."""
    code = f"open({str(marker)!r}, 'w')"
    touch = f"touch {marker}"
    if kind == "os.system":
        return pickle.dumps({"weight": Calls(os.system, touch)}, 2)
    if kind == "eval":
        return pickle.dumps([Calls(eval, code)], 4)
    if kind == "subprocess":
        return pickle.dumps(Calls(subprocess.check_call, ["touch", str(marker)]), 4)
    if kind == "getattr":
        return pickle.dumps(Calls(getattr, "", "join"), 2)
    instructions = {
        "INST": f"(S'{touch}'\nios\nsystem\n.",
        "OBJ": f"(cos\nsystem\nS'{touch}'\no.",
        "NEWOBJ": f"cos\nsystem\n(S'{touch}'\nt\x81.",
        "a call of data": "(I1\nt(tR.",
        "attributes of a class": f"ccollections\nOrderedDict\n}}S'x'\nS'{touch}'\nsb.",
        "attributes of an array": f"ctorch._utils\n_rebuild_tensor_v2\n}}S'__defaults__'\nS'{touch}'\nsb.",
        "items of a class": f"ccollections\nOrderedDict\nS'x'\nS'{touch}'\ns.",
        "a dotted name": f"ccollections\nOrderedDict.__class__\n(S'{touch}'\ntR.",
        "a stacked name": f"S'os'\nS'system'\n\x93S'{touch}'\n\x85R.",
        "an extension": "\x82\x01.",
        "a function in a function": f"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nSize\nN(S'{touch}'\ntNtR.",
    }
    return instructions[kind].encode("latin1")


ATTACKS = [
    ("os.system", "system"),
    ("eval", r"builtins\.eval|__builtin__\.eval"),
    ("subprocess", r"subprocess\.check_call"),
    ("getattr", r"getattr"),
    ("INST", "the instruction INST os system"),
    ("OBJ", r"os\.system"),
    ("NEWOBJ", r"os\.system"),
    ("a call of data", "a call of"),
    ("attributes of a class", "a change of"),
    ("attributes of an array", "a change of"),
    ("items of a class", "a change of"),
    ("a dotted name", r"collections\.OrderedDict\.__class__"),
    ("a stacked name", r"os\.system"),
    ("an extension", "the instruction EXT1"),
    ("a function in a function", r"torch\.Size"),
]


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize(("kind", "named"), ATTACKS)
def test_nothing_is_run_and_what_was_found_is_named(tmp_path, kind, named, container):
    marker, path = tmp_path / "marker", tmp_path / "bad.pt"
    evil = attack(kind, marker)
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", evil)
    else:
        machine = {"protocol_version": 1001, "little_endian": True}
        head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine)]
        path.write_bytes(b"".join([*head, evil, pickle.dumps([], 2)]))
    with pytest.raises(ValueError, match=rf"bad\.pt: refused: it holds .*({named}).*weights_only=False") as caught:
        load(path)
    assert "state_dict" in str(caught.value)
    assert not marker.exists()


def test_the_attacks_are_real(tmp_path):
    """What is refused above would have run."""
    for kind in ("os.system", "eval", "subprocess", "INST", "OBJ", "a stacked name"):
        marker = tmp_path / kind.replace(" ", "_")
        subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({attack(kind, marker)!r})"], check=False, stderr=-3)
        assert marker.exists(), kind


def test_whole_models_and_programs_are_explained(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"torch\.nn\.modules\.linear\.Linear.*whole model.*save model\.state_dict\(\)"):
        load(tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/data.pkl", b"")
        archive.writestr("program/code/__torch__.py", b"")
    with pytest.raises(ValueError, match=r"TorchScript program.*torch\.jit\.load\(path\)\.state_dict"):
        load(tmp_path / "program.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match=r"a pickle, but not one that torch\.save has made"):
        load(tmp_path / "plain.pkl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # tuples in tuples, so deep that their hash would end the process
        (b"}I0\n" + b"\x85" * 20_000 + b"Ns.", "a key of tuples in tuples"),
        # two of the last in each list: as text, 2 ** 100 elements
        (
            b"]p0\n" + b"".join(b"](g%d\ng%d\nep%d\n" % (i, i, i + 1) for i in range(100)) + b")R.",
            "a call of a value of type list",
        ),
        (
            b"]p0\n" + b"".join(b"](g%d\ng%d\nep%d\n" % (i, i, i + 1) for i in range(100)) + b"Ns.",
            "a change of a value of type",
        ),
        (b"ctorch\ndevice\n(]]]aaI1\ntR.", "damaged"),
    ],
)
def test_no_pickle_takes_all_memory_or_time_or_the_stack(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "x.pt")


def tensor_pickle(size, stride, offset=0, key="0", count=24):
    """The pickle of a dict with one tensor."""
    numbers = lambda values: "(" + "".join(f"I{n}\n" for n in values) + "t"  # noqa: E731
    storage = f"(S'storage'\nctorch\nFloatStorage\nS'{key}'\nS'cpu'\nI{count}\ntQ"
    tensor = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n{numbers(size)}{numbers(stride)}I00\n}}tR"
    return f"}}S'x'\n{tensor}s.".encode()


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (2, 13), "stride": (12, 1)},
        {"size": (4,), "stride": (8,)},
        {"size": (4,), "stride": (1,), "offset": 21},
        {"size": (4,), "stride": (1,), "offset": -1},
        {"size": (4,), "stride": (-1,), "offset": 2},
        {"size": (-4,), "stride": (1,)},
        {"size": (2**62, 2**62), "stride": (0, 0)},
        {"size": (2, 2), "stride": (1,)},
        {"size": (4,), "stride": (1,), "key": "1"},
        {"size": (4,), "stride": (1,), "key": "../data.pkl"},
    ],
)
def test_no_tensor_reaches_beyond_its_storage(tmp_path, arguments):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", tensor_pickle(**arguments))
        archive.writestr("x/data/0", X.tobytes())
    with pytest.raises(ValueError, match=r"x\.pt: the pickle in it is damaged"):
        load(tmp_path / "x.pt")


def test_the_handwritten_pickle_is_read_where_it_is_right(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", tensor_pickle((3, 2), (1, 12), offset=4))
        archive.writestr("x/data/0", X.tobytes())
    np.testing.assert_array_equal(load(tmp_path / "x.pt")["x"], X.reshape(2, 12)[:, 4:7].T)


@pytest.mark.parametrize("cut", range(0, 600, 37))
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files(tmp_path, cut, zipped):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.tensor(X), "n": 3}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(whole[: cut * len(whole) // 600])
    with pytest.raises(ValueError, match=r"x\.pt: "):
        load(tmp_path / "x.pt")


def test_damaged_pickles_are_errors_and_nothing_else():
    """Any byte changed: a value or one of two errors."""
    good = pickle.dumps({"a": [1, 2.5, (3, "four")], "b": {5, 6}, "c": b"seven"}, 4)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] = rng.integers(256)
        with contextlib.suppress(ValueError):
            unpickle(io.BytesIO(bad), {}, lambda identification: None)


@pytest.mark.parametrize("zipped", [True, False])
def test_however_damaged_a_file_is_the_error_is_a_value_error(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    torch.save(contents(torch), tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    whole, rng = (tmp_path / "x.pt").read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(content)))
            content[at : at + int(rng.integers(9))] = rng.bytes(int(rng.integers(9)))
        (tmp_path / "damaged.pt").write_bytes(content)
        with contextlib.suppress(ValueError):
            load(tmp_path / "damaged.pt")


def test_every_instruction_of_pickle_is_read_or_refused():
    known = {"PROTO", "FRAME", "STOP", "REDUCE", "BUILD", "GLOBAL", "STACK_GLOBAL", "BINPERSID"}
    refused = []
    for opcode in pickletools.opcodes:
        if opcode.arg is None and opcode.name not in known:
            try:
                unpickle(io.BytesIO(opcode.code.encode("latin1")), {}, lambda identification: None)
            except Refused:
                refused.append(opcode.name)
            except ValueError:
                pass
    assert sorted(refused) == ["DUP", "NEWOBJ", "NEWOBJ_EX", "NEXT_BUFFER", "OBJ", "POP_MARK", "READONLY_BUFFER"]
