"""safetensors files: what is saved comes back, and no accident leaves half a file."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.io import load, read_metadata, save
from chainrule.io.atomic import replacing

safetensors = pytest.importorskip("safetensors")


@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", ">f4", ">i8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    save({"x": array}, tmp_path / "x.safetensors")
    got = load(tmp_path / "x.safetensors")["x"]
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype).newbyteorder("=") and got.shape == shape and got.flags.writeable


def test_views_are_saved_as_they_look(tmp_path):
    base = np.arange(24.0).reshape(2, 3, 4)
    views = {
        "transposed": base.T,
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1],
        "broadcast": np.broadcast_to(base[:1], base.shape),
        "channels last": np.moveaxis(base, 0, -1),
    }
    save(views, tmp_path / "views")
    got = load(tmp_path / "views")
    assert got.keys() == views.keys()
    for name, view in views.items():
        np.testing.assert_array_equal(got[name], view)


def test_variables_are_saved_by_their_data(tmp_path):
    weight = cr.Parameter(np.ones((2, 2), np.float32))
    save({"weight": weight}, tmp_path / "w")
    np.testing.assert_array_equal(load(tmp_path / "w")["weight"], weight.data)


def test_other_readers_agree(tmp_path):
    from safetensors.numpy import load_file, save_file

    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(True)}
    save(arrays, tmp_path / "ours")
    save_file(arrays, tmp_path / "theirs")
    for got in (load_file(tmp_path / "ours"), load(tmp_path / "theirs")):
        assert got.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)


def test_bfloat16_becomes_float32(tmp_path):
    values = np.array([1.0, -2.5, 0.0, np.inf], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = b'{"x":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + upper)
    got = load(tmp_path / "x")["x"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values.reshape(2, 2))


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


@pytest.mark.parametrize("content", [b"", b"hello world, this is text", (100).to_bytes(8, "little") + b"{}"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    for read in (load, read_metadata):
        with pytest.raises(ValueError, match=r"bad\.safetensors: not a safetensors file, or damaged"):
            read(path)


def test_truncated_file(tmp_path):
    save({"x": np.zeros(100)}, tmp_path / "x")
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-8])
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "x")


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
heavy = {"safetensors", "matplotlib", "rich"} & sys.modules.keys()
assert not heavy, heavy
sys.modules.update({"safetensors": None, "safetensors.numpy": None, "matplotlib": None, "matplotlib.figure": None})
for use in (lambda: chainrule.io.save({}, "x"), lambda: chainrule.io.load("x"), lambda: chainrule.io.read_metadata("x"),
            lambda: chainrule.viz.plot_curves({"loss": [1.0]}, "x.png")):
    try:
        use()
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
