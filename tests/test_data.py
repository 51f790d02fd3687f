"""Datasets, loaders, and the files that images come in."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import (
    DataLoader,
    Dataset,
    ImageDataset,
    Subset,
    TensorDataset,
    collate,
    fashion_mnist,
    random_split,
    read_idx,
    write_idx,
)
from chainrule.random import manual_seed

SUBSET = Path(__file__).parents[1] / "examples" / "data" / "fashion-mnist-subset"


def pairs(n):
    return TensorDataset(np.arange(3.0 * n).reshape(n, 3), np.arange(n))


class Slow(Dataset):
    """A user's dataset, which takes only ints."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        assert type(index) is int and 0 <= index < self.n
        return {"x": np.full(2, index, np.float32), "y": index}


# ---- datasets -------------------------------------------------------------------------------------------


def test_tensor_dataset_takes_what_numpy_takes():
    data = pairs(5)
    assert len(data) == 5
    x, y = data[3]
    assert x.tolist() == [9, 10, 11] and y == 3
    for index in (slice(1, 3), np.array([4, 0, 0]), np.arange(5) > 2, -1):
        for array, got in zip(data.arrays, data[index], strict=True):
            np.testing.assert_array_equal(got, array[index])


@pytest.mark.parametrize("shapes", [[], [(3,), (4,)], [()], [(3,), ()], [(2, 3), (3, 2)]])
def test_tensor_dataset_wants_arrays_of_one_length(shapes):
    with pytest.raises(ValueError, match="same length"):
        TensorDataset(*[np.zeros(shape) for shape in shapes])


def test_subset_of_subset_indexes_at_once():
    inner = Subset(pairs(10), [9, 7, 5, 3, 1])
    outer = Subset(inner, np.array([-1, 0]))
    assert outer[0][1] == 1 and outer[-1][1] == 9
    assert outer[:][1].tolist() == [1, 9]
    assert outer.batch(slice(0, 2))[1].tolist() == [1, 9]
    assert len(Subset(inner, [])) == 0


def test_subset_of_a_users_dataset():
    part = Subset(Slow(10), [4, 8])
    assert part[1]["y"] == 8
    assert part[np.array([1, 0])]["y"].tolist() == [8, 4]
    assert Subset([10, 20, 30], [2, 0])[:].tolist() == [30, 10]


def test_subset_refuses_masks_and_indices_out_of_range():
    with pytest.raises(TypeError, match="flatnonzero"):
        Subset(pairs(2), np.array([True, False]))
    with pytest.raises(TypeError, match="float64"):
        Subset(pairs(2), [0.0])
    with pytest.raises(IndexError, match="index 2 at position 1; the dataset has 2"):
        Subset(pairs(2), [0, 2])


@pytest.mark.parametrize(
    ("n", "lengths", "expected"),
    [
        (10, [7, 3], [7, 3]),
        (10, [0.5, 0.5], [5, 5]),
        (10, [0.33, 0.33, 0.34], [4, 3, 3]),
        (11, [0.5, 0.5], [6, 5]),
        (3, [0, 3], [0, 3]),
        (0, [0.9, 0.1], [0, 0]),
        (1, [1], [1]),
    ],
)
def test_random_split_covers_everything_once(n, lengths, expected):
    parts = random_split(pairs(n), lengths, generator=0)
    assert [len(part) for part in parts] == expected
    assert sorted(np.concatenate([part[:][1] for part in parts]).tolist()) == list(range(n))


@pytest.mark.parametrize("lengths", [[5, 6], [0.5, 0.6], [4, 5], [12, -2], [4.5, 5.5], []])
def test_random_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match=r"add up|negative"):
        random_split(pairs(10), lengths)


def test_random_split_is_reproducible():
    orders = []
    for _ in range(2):
        manual_seed(7)
        orders.append(random_split(pairs(20), [0.5, 0.5])[0].indices.tolist())
    assert orders[0] == orders[1]
    assert random_split(pairs(20), [20], 1)[0].indices.tolist() != random_split(pairs(20), [20], 2)[0].indices.tolist()


# ---- loaders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("make", [pairs, Slow])
def test_loader_gives_each_example_once(n, drop_last, shuffle, make):
    loader = DataLoader(make(n), batch_size=4, shuffle=shuffle, drop_last=drop_last)
    labels = [batch["y"] if make is Slow else batch[1] for batch in loader]
    assert len(labels) == len(loader)
    assert [len(y) for y in labels] == [4] * (n // 4) + ([n % 4] if n % 4 and not drop_last else [])
    seen = [i for y in labels for i in y.tolist()]
    assert len(set(seen)) == len(seen) and set(seen) <= set(range(n))
    if not shuffle:
        assert seen == list(range(len(seen)))


def order(loader):
    return [i for _, y in loader for i in y.tolist()]


def test_loader_shuffles_anew_in_each_epoch_and_follows_manual_seed():
    loader = DataLoader(pairs(50), batch_size=8, shuffle=True)
    manual_seed(3)
    first, second = order(loader), order(loader)
    assert first != second
    manual_seed(3)
    assert [order(loader), order(loader)] == [first, second]


def test_loader_with_its_own_seed_is_apart_from_the_shared_generator():
    manual_seed(0)
    expected = cr.random.generator().random()
    manual_seed(0)
    epochs = []
    for _ in range(2):
        loader = DataLoader(pairs(50), batch_size=8, shuffle=True, generator=5)
        epochs.append([order(loader), order(loader)])
    assert epochs[0] == epochs[1] and epochs[0][0] != epochs[0][1]
    assert cr.random.generator().random() == expected


def test_loader_in_order_gives_views_and_shuffled_gives_copies():
    data = pairs(6)
    assert all(np.shares_memory(x, data.arrays[0]) for x, _ in DataLoader(data, 4))
    assert not any(np.shares_memory(x, data.arrays[0]) for x, _ in DataLoader(data, 4, shuffle=True))


def test_loader_indexes_whole_batches_of_arrays():
    class Counting(TensorDataset):
        calls = 0

        def batch(self, indices):
            self.calls += 1
            return super().batch(indices)

        def __getitem__(self, index):
            raise AssertionError("an example was asked for alone")

    data = Counting(np.zeros((10, 3)), np.arange(10))
    for shuffle in (False, True):
        assert len(list(DataLoader(Subset(data, range(9)), 4, shuffle=shuffle))) == 3
    assert data.calls == 6


def test_loader_takes_any_sequence():
    assert [batch.tolist() for batch in DataLoader([1, 2, 3], 2)] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((pairs(3), 0), ValueError, "at least 1"),
        ((pairs(3), 2.0), TypeError, "batch_size must be an int, not 2.0"),
        ((pairs(3), True), TypeError, "batch_size must be an int"),
        ((iter([1]), 2), TypeError, "__len__ and __getitem__"),
    ],
)
def test_loader_refuses_what_it_cannot_use(arguments, error, message):
    with pytest.raises(error, match=message):
        DataLoader(*arguments)


def test_collate_keeps_dtypes_and_structure():
    batch = collate([{"image": np.zeros((1, 2), np.float32), "at": (1, 2.5), "name": "a"}] * 3)
    assert batch["image"].shape == (3, 1, 2) and batch["image"].dtype == np.float32
    assert batch["at"][0].tolist() == [1, 1, 1] and batch["at"][1].dtype == np.float64
    assert batch["name"] == ["a"] * 3
    assert collate([np.float32(1), np.float32(2)]).dtype == np.float32


def test_collate_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\) cannot be stacked"):
        collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="different keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(ValueError, match="different lengths"):
        collate([(1, 2), (1,)])


# ---- IDX ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64", ">f4"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
@pytest.mark.parametrize("name", ["array", "array.gz"])
def test_idx_returns_what_was_written(tmp_path, dtype, shape, name):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    write_idx(tmp_path / name, array)
    got = read_idx(tmp_path / name)
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype).newbyteorder("=") and got.flags.writeable


def test_idx_is_the_published_format(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(struct.pack(">II3B", 0x00000801, 3, 9, 0, 4))
    assert read_idx(path).tolist() == [9, 0, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: it starts with nothing"),
        (b"\x89PNG\r\n", "not an IDX file: it starts with 89 50 4e 47"),
        (b"\0\0\x07\1" + bytes(4), "not an IDX file"),
        (b"\0\0\x08\3" + bytes(4), "truncated: 8 bytes, where the header alone has 16"),
        (b"\0\0\x08\1\0\0\0\5abc", r"truncated: 11 bytes, where shape \(5,\) of uint8 needs 13"),
        (b"\0\0\x08\1\0\0\0\1abc", "too long: 11 bytes"),
        (gzip.compress(bytes(100), mtime=0)[:-9], "gzip stream is truncated or damaged"),
        (gzip.compress(bytes(100), mtime=0)[:-8] + bytes(8), "gzip stream is truncated or damaged"),
        (b"\x1f\x8bnonsense", "gzip stream is truncated or damaged"),
        (gzip.compress(b"text", mtime=0), "not an IDX file: it starts with 74 65 78 74"),
    ],
)
def test_idx_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_idx_refuses_dtypes_that_it_has_no_code_for(tmp_path):
    with pytest.raises(TypeError, match="int64"):
        write_idx(tmp_path / "x", np.arange(3))
    assert not (tmp_path / "x").exists()


# ---- Fashion-MNIST --------------------------------------------------------------------------------------


def write_fashion(folder, counts=(20, 10), ending=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, n in zip(("train", "t10k"), counts, strict=True):
        write_idx(folder / f"{part}-images-idx3-ubyte{ending}", rng.integers(0, 256, (n, 28, 28)).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte{ending}", (np.arange(n) % 10).astype(np.uint8))
    return folder


@pytest.mark.parametrize("ending", [".gz", ""])
def test_fashion_mnist_reads_a_given_folder(tmp_path, ending):
    data = fashion_mnist(write_fashion(tmp_path, ending=ending))
    assert data.source == tmp_path and len(data.classes) == 10
    assert data.train.images.shape == (20, 1, 28, 28) and data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64 and len(data.test) == 10
    x, _ = next(iter(DataLoader(data.train, 8, shuffle=True)))
    assert x.shape == (8, 1, 28, 28) and x.dtype == np.float32 and 0 <= x.min() <= x.max() <= 1
    np.testing.assert_array_equal(data.test[:][0] * 255, data.test.images)


def test_fashion_mnist_looks_into_the_cache_before_the_subset(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.data.fashion.SYSTEM", tmp_path / "system")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fashion_mnist().source == SUBSET
    cache = write_fashion(tmp_path / "chainrule" / "fashion-mnist")
    assert fashion_mnist().source == cache
    system = write_fashion(tmp_path / "system")
    assert fashion_mnist().source == system


def test_the_subset_is_balanced(tmp_path):
    data = fashion_mnist(SUBSET)
    assert np.bincount(data.train.labels).tolist() == [1000] * 10
    assert np.bincount(data.test.labels).tolist() == [200] * 10
    assert sum(path.stat().st_size for path in SUBSET.iterdir()) < 6_000_000
    assert "Zalando SE" in (SUBSET / "LICENSE").read_text()


def test_fashion_mnist_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset-fashion-mnist.*zalandoresearch") as caught:
        fashion_mnist(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_fashion_mnist_refuses_files_that_do_not_belong_together(tmp_path):
    write_fashion(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(19, np.uint8))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte shape \(19,\)"):
        fashion_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.full(20, 10, np.uint8))
    with pytest.raises(ValueError, match="label 10"):
        fashion_mnist(tmp_path)


def test_image_dataset_refuses_floats():
    with pytest.raises(TypeError, match="TensorDataset"):
        ImageDataset(np.zeros((2, 3)), np.zeros(2))
