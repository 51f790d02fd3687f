"""safetensors and .npz files: what is saved comes back, and no accident leaves half a file."""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.io import load, read_metadata, save
from chainrule.io.atomic import replacing


@pytest.mark.parametrize("file", ["x.safetensors", "x.npz"])
@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", ">f4", ">i8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape, file):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    save({"x": array}, tmp_path / file)
    got = load(tmp_path / file)["x"]
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype).newbyteorder("=") and got.shape == shape and got.flags.writeable


@pytest.mark.parametrize("file", ["views", "views.npz"])
def test_views_are_saved_as_they_look(tmp_path, file):
    base = np.arange(24.0).reshape(2, 3, 4)
    views = {
        "transposed": base.T,
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1],
        "broadcast": np.broadcast_to(base[:1], base.shape),
        "channels last": np.moveaxis(base, 0, -1),
    }
    save(views, tmp_path / file)
    got = load(tmp_path / file)
    assert got.keys() == views.keys()
    for name, view in views.items():
        np.testing.assert_array_equal(got[name], view)


def test_variables_are_saved_by_their_data(tmp_path):
    weight = cr.Parameter(np.ones((2, 2), np.float32))
    save({"weight": weight}, tmp_path / "w")
    np.testing.assert_array_equal(load(tmp_path / "w")["weight"], weight.data)


def test_other_readers_agree(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(True), "ä": np.zeros((0, 3)), "d": np.ones(5)}
    save(arrays, tmp_path / "ours", metadata={"note": "ö"})
    with safe_open(tmp_path / "ours", framework="np") as opened:
        assert opened.metadata() == {"note": "ö"}
    save(arrays, tmp_path / "ours")
    save_file(arrays, tmp_path / "theirs")
    for got in (load_file(tmp_path / "ours"), load(tmp_path / "theirs")):
        assert got.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)


def raw(header, content=b""):
    """A safetensors file as given, right or wrong."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + content


def test_bfloat16_becomes_float32(tmp_path):
    values = np.array([1.0, -2.5, 0.0, np.inf], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "x").write_bytes(raw({"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, upper))
    got = load(tmp_path / "x")["x"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values.reshape(2, 2))


@pytest.mark.parametrize(("name", "dtype"), [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2")])
def test_float8_becomes_float32(tmp_path, name, dtype):
    torch = pytest.importorskip("torch")
    (tmp_path / "x").write_bytes(raw({"x": {"dtype": name, "shape": [256], "data_offsets": [0, 256]}}, bytes(range(256))))
    expected = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype)).float().numpy()
    np.testing.assert_array_equal(load(tmp_path / "x")["x"], expected)


def test_unaligned_arrays_come_aligned(tmp_path):
    entries = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F4", "shape": [], "data_offsets": [1, 5]},
    }
    entries["b"]["dtype"] = "F32"
    (tmp_path / "x").write_bytes(raw(entries, b"\0" + np.float32(2.5).tobytes()))
    got = load(tmp_path / "x")["b"]
    assert got == 2.5 and got.flags.aligned


def test_arrays_lie_in_the_file_and_leave_it_alone(tmp_path):
    path = tmp_path / "x.safetensors"
    save({"large": np.zeros((1024, 1024)), "small": np.arange(3.0)}, path)
    before = path.read_bytes()
    got = load(path)
    assert not any(array.flags.owndata for array in got.values())
    got["small"][:] = 7
    np.testing.assert_array_equal(got["small"], [7, 7, 7])
    save({"small": np.zeros(1)}, path)  # what was loaded is still there
    np.testing.assert_array_equal(got["large"], np.zeros((1024, 1024)))
    path.write_bytes(before)
    np.testing.assert_array_equal(load(path)["small"], [0, 1, 2])


def test_only_what_is_touched_is_read(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("Linux only")
    code = f"""
import numpy as np
from chainrule.io import load

def mapped():  # kB of files in memory
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssFile"))

array = np.zeros(1)
before = mapped()
x = load({str(tmp_path / "x")!r})["x"]
_ = float(x[5000].sum())
assert mapped() - before < 16_000, mapped() - before
_ = float(x.sum())
assert mapped() - before > 60_000, mapped() - before
"""
    save({"x": np.ones((8192, 1024))}, tmp_path / "x")  # 64 MiB
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numpys_own_archives(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "bc"]),
        "records": np.array([(1, 2.0)], dtype=[("n", "i4"), ("ä", "f8")]),
        "complex": np.array([1 + 2j]),
        "empty": np.zeros((0, 2)),
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", **arrays)
        got = load(tmp_path / "x.npz")
        assert list(got) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype.newbyteorder("=") and got[name].flags.writeable
    np.savez(tmp_path / "none.npz")
    assert load(tmp_path / "none.npz") == {}


def test_any_name_will_do_in_an_npz(tmp_path):
    arrays = {"file": np.ones(2), "args": np.zeros(1), "a/b.c": np.arange(3)}
    save(arrays, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as theirs:
        assert set(theirs.files) == set(arrays) == set(load(tmp_path / "x.npz"))
        np.testing.assert_array_equal(theirs["a/b.c"], arrays["a/b.c"])


def test_objects_in_an_npz_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", good=np.ones(2), bad=np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match=r"x\.npz: bad\.npy: it is an array of Python objects"):
        load(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save({"bad": np.array([{}, []], dtype=object)}, tmp_path / "y.npz")


def test_metadata(tmp_path):
    save({"x": np.zeros(2)}, tmp_path / "x", metadata={"accuracy": "0.91", "ä": "ö"})
    assert read_metadata(tmp_path / "x") == {"accuracy": "0.91", "ä": "ö"}
    save({}, tmp_path / "empty")
    assert load(tmp_path / "empty") == {} and read_metadata(tmp_path / "empty") == {}


class Stateful:
    def state_dict(self):
        return {}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"x": np.zeros(2, complex)}, None, "'x' is complex128, which safetensors doesn't know"),
        ({"x": np.array(["a"])}, None, "'x' is <U1"),
        ({"x": [1.0, 2.0]}, None, "'x' is list"),
        ({3: np.zeros(2)}, None, "arrays by name; 3"),
        ({"x": np.zeros(2)}, {"epochs": 5}, "'epochs': 5 is int"),
        (Stateful(), None, r"pass module.state_dict\(\)"),
        ([np.zeros(2)], None, "not list"),
    ],
)
def test_what_cannot_be_saved_is_said_and_leaves_the_old_file(tmp_path, tensors, metadata, message):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=message):
        save(tensors, path, metadata)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_names_and_metadata_that_a_format_has_no_room_for(tmp_path):
    with pytest.raises(ValueError, match="'__metadata__' cannot be an array's name"):
        save({"__metadata__": np.zeros(1)}, tmp_path / "x")
    with pytest.raises(TypeError, match=r"an \.npz has no metadata"):
        save({}, tmp_path / "x.npz", metadata={"a": "b"})
    assert not list(tmp_path.iterdir())


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
EIGHT = bytes(8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello world, this is text", "not a file of safetensors, .npz or torch.save, or damaged at its beginning"),
        ((100).to_bytes(8, "little") + b"{}", "not a file of"),
        (raw(b'{"x": [}'), "the header cannot be read"),
        (raw(b"{" + b"[" * 100_000), "the header cannot be read"),
        (raw({"x": 3}), "the header cannot be read"),
        (raw({"x": {"dtype": "F32"}}), "the header cannot be read"),
        (raw({"x": F32 | {"dtype": ["F32"]}}, EIGHT), "which NumPy doesn't have"),
        (raw({"x": F32 | {"data_offsets": [8]}}, EIGHT), "the header cannot be read"),
        (raw(b'{"x": 1, "x": 2}'), "a name stands there twice"),
        (raw({"x": F32}, EIGHT[1:]), "the arrays should end at byte"),
        (raw({"x": F32}, EIGHT + b"more"), "the arrays should end at byte"),
        (raw({"x": F32, "y": F32}, EIGHT), "an array begins at byte 0 where 8 is due"),
        (raw({"x": F32 | {"data_offsets": [4, 12]}}, EIGHT + EIGHT), "an array begins at byte 4 where 0 is due"),
        (raw({"x": F32 | {"shape": [3]}}, EIGHT), "'x', F32 of shape (3,), has 8 bytes"),
        (raw({"x": F32 | {"shape": [-1, -2]}}, EIGHT), "no numbers of bytes or elements: 0, 8, (-1, -2)"),
        (raw({"x": F32 | {"dtype": "F4"}}, EIGHT), "'x' is F4, which NumPy doesn't have"),
        (b"PK\x03\x04 and then nothing", "not a zip file"),
        (b"\x93NUMPY\x01\x00", "this is one array; read it by np.load"),
        (b"\x89HDF\r\n\x1a\n", "this is HDF5, in which Keras saves"),
    ],
)
def test_damaged_and_other_files_are_explained(tmp_path, content, message):
    path = tmp_path / "bad.file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.file: .*{re.escape(message)}"):
        load(path)


@pytest.mark.parametrize("content", [b"short", b"hello world, this is text", (100).to_bytes(8, "little") + b"{}"])
def test_metadata_of_other_files(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.safetensors: not a safetensors file, or damaged"):
        read_metadata(path)


@pytest.mark.parametrize("file", ["x", "x.npz"])
@pytest.mark.parametrize("cut", range(1, 12))
def test_truncated_files(tmp_path, file, cut):
    save({"x": np.zeros(100)}, tmp_path / file)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) * cut // 12])
    with pytest.raises(ValueError, match=f"{file}: "):
        load(tmp_path / file)


def test_missing_files_and_folders(tmp_path):
    for read in (load, read_metadata):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        save({}, tmp_path / "no" / "folder")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_on_failure(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_replacing_follows_links_and_honours_the_umask(tmp_path):
    if os.name != "posix":
        pytest.skip("POSIX only")
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    before = os.umask(0o022)
    try:
        with replacing(link) as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert link.is_symlink() and target.read_bytes() == b"x"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_optional_packages_are_not_imported_and_their_absence_is_explained(tmp_path):
    code = """
import sys
import chainrule, chainrule.data, chainrule.io, chainrule.viz
heavy = {"matplotlib", "rich"} & sys.modules.keys()
assert not heavy, heavy
sys.modules.update({"matplotlib": None, "matplotlib.figure": None})
try:
    chainrule.viz.plot_curves({"loss": [1.0]}, "x.png")
except ImportError as error:
    assert "pip install 'chainrule[" in str(error), error
else:
    raise AssertionError("no ImportError")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def model():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def test_a_module_comes_back_with_its_buffers(tmp_path):
    trained, fresh = model(), model()
    x = np.random.default_rng(0).random((5, 1, 4, 4), np.float32)
    trained(x)  # moves the running statistics
    save(trained.state_dict(), tmp_path / "model")
    fresh.load_state_dict(load(tmp_path / "model"))
    np.testing.assert_array_equal(trained.eval()(x).data, fresh.eval()(x).data)


def test_all_that_does_not_fit_is_said_at_once(tmp_path):
    state = model().state_dict()
    del state["0.bias"]
    state |= {"4.weight": np.zeros(2), "3.weight": np.zeros((3, 7))}
    save(state, tmp_path / "model")
    other = model()
    before = {name: array.copy() for name, array in other.state_dict().items()}
    with pytest.raises(RuntimeError) as caught:
        other.load_state_dict(load(tmp_path / "model"))
    for part in ("0.bias", "4.weight", "3.weight", "(3, 16)", "(3, 7)"):
        assert part in str(caught.value)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def damaged(whole, rng):
    """The bytes with some changed, left out and put in."""
    content = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        at, n = int(rng.integers(len(content))), int(rng.integers(9))
        content[at : at + int(rng.integers(9))] = rng.bytes(n)
    return content


@pytest.mark.parametrize("write", ["save.safetensors", "save.npz", "savez.npz", "compressed.npz"])
def test_however_damaged_a_file_is_the_error_is_a_value_error(tmp_path, write):
    arrays = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.int64), "c": np.array(True)}
    writers = {"savez.npz": np.savez, "compressed.npz": np.savez_compressed}
    if write in writers:
        writers[write](tmp_path / write, **arrays)
    else:
        save(arrays, tmp_path / write)
    whole, rng = (tmp_path / write).read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        (tmp_path / "damaged").write_bytes(damaged(whole, rng))
        with contextlib.suppress(ValueError):
            load(tmp_path / "damaged")
