"""Loading: samplers, streams, workers, the place in an epoch, arrays on disk."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from chainrule.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    open_array,
    write_array,
)
from chainrule.random import generator, get_state, manual_seed, set_state, using


def pairs(n, start=0):
    return TensorDataset(np.arange(3.0 * n).reshape(n, 3), np.arange(start, start + n))


class Noisy(Dataset):
    """Examples that draw random numbers, and take their time."""

    def __init__(self, n=23, wait=0.0):
        self.n, self.wait = n, wait

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(self.wait * (index % 3))
        return index, generator().random(2)


class Broken(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        if index == 13:
            raise KeyError("no such file: 13.png")
        return index


class Killed(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        import os

        os._exit(1)


def jitter(x):
    return x + generator().normal(size=x.shape)


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        for i in range(self.n):
            yield i, generator().random()


def same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


# ---- the generator --------------------------------------------------------------------------------------


def test_using_is_apart_from_the_shared_generator_and_from_other_threads():
    manual_seed(1)
    state = get_state()
    expected = generator().random(3)
    set_state(state)
    drawn = []
    with using(7):
        inner = generator().random()
        with using([7, 1]):
            assert generator().random() != inner
        thread = threading.Thread(target=lambda: drawn.extend(generator().random(3)))
        thread.start()
        thread.join()
        again = generator().random()
    np.testing.assert_array_equal(drawn, expected)
    with using(7):
        assert [generator().random(), generator().random()] == [inner, again]


# ---- datasets -------------------------------------------------------------------------------------------


def test_concat_dataset_gives_the_examples_of_each():
    data = ConcatDataset([pairs(3), pairs(0), Subset(pairs(4, 10), [2, 0])])
    assert len(data) == 5
    assert [int(data[i][1]) for i in range(-5, 5)] == [0, 1, 2, 12, 10] * 2
    assert data[1:4][1].tolist() == [1, 2, 12]
    assert data[np.array([3, 0])][1].tolist() == [12, 0]
    for at in (5, -6):
        with pytest.raises(IndexError):
            data[at]
    with pytest.raises(ValueError, match="one dataset or more"):
        ConcatDataset([])


@pytest.mark.parametrize("shuffle", [False, True])
def test_concat_dataset_makes_batches_of_each_at_once(shuffle):
    class Whole(TensorDataset):
        def __getitem__(self, index):
            raise AssertionError("an example was asked for alone")

    x = np.arange(30.0).reshape(10, 3)
    data = ConcatDataset([Whole(x[:4], np.arange(4)), Whole(x[4:], np.arange(4, 10))])
    seen = []
    for a, b in DataLoader(data, 3, shuffle=shuffle):
        np.testing.assert_array_equal(a, x[b])
        seen += b.tolist()
    assert sorted(seen) == list(range(10)) and (shuffle or seen == sorted(seen))
    assert data.batch(np.zeros(0, int))[0].shape == (0, 3)


def test_concat_dataset_merges_what_is_no_array():
    class Words(Dataset):
        def __init__(self, words):
            self.words = words

        def __len__(self):
            return len(self.words)

        def __getitem__(self, i):
            return {"word": self.words[i], "at": (i, [float(i), self.words[i]])}

    data = ConcatDataset([Words("abc"), Words("de")])
    batch = data.batch(np.array([4, 0, 3, 2]))
    assert batch["word"] == list("eadc")
    assert batch["at"][0].tolist() == [1, 0, 0, 2] and batch["at"][1][1] == list("eadc")


# ---- samplers -------------------------------------------------------------------------------------------


def test_samplers():
    manual_seed(0)
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(RandomSampler(range(20))) == list(range(20))
    assert len(set(RandomSampler(range(20), num_samples=5))) == len(RandomSampler(range(20), num_samples=5)) == 5
    assert np.bincount(list(RandomSampler(range(4), num_samples=10)), minlength=4).min() == 2
    drawn = RandomSampler(range(3), replacement=True, num_samples=300).indices()
    assert drawn.shape == (300,) and set(drawn.tolist()) == {0, 1, 2}
    assert sorted(SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    weighted = WeightedRandomSampler([1, 0, 3], 4000).indices()
    assert abs(np.mean(weighted == 2) - 0.75) < 0.05 and not (weighted == 1).any()
    assert list(BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert [len(BatchSampler(range(5), 2, d)) for d in (False, True)] == [3, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedRandomSampler([1, -1], 2), "not negative"),
        (lambda: WeightedRandomSampler([0.0, 0.0], 2), "not all 0"),
        (lambda: WeightedRandomSampler([1, 0, 1], 3, replacement=False), "3 samples without replacement, of 2"),
        (lambda: RandomSampler([], num_samples=3), "without examples"),
    ],
)
def test_samplers_refuse_what_they_cannot_draw(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_loader_takes_samplers_of_any_kind():
    data = pairs(10)
    weights = np.eye(10)[3]
    assert {int(i) for _, y in DataLoader(data, 4, sampler=WeightedRandomSampler(weights, 10)) for i in y} == {3}
    assert [y.tolist() for _, y in DataLoader(data, 2, sampler=[5, 1, 7])] == [[5, 1], [7]]
    assert [y.tolist() for _, y in DataLoader(data, 2, sampler=[5, 1, 7], drop_last=True)] == [[5, 1]]
    loader = DataLoader(data, batch_sampler=[[0], [1, 2], [3, 4, 5]])
    assert [y.tolist() for _, y in loader] == [[0], [1, 2], [3, 4, 5]] and len(loader) == 3

    class Growing:  # infinite, and without a length
        def __iter__(self):
            while True:
                yield int(generator().integers(10))

    manual_seed(0)
    first = [y.tolist() for (_, y), _ in zip(DataLoader(data, 3, sampler=Growing()), range(4), strict=False)]
    manual_seed(0)
    second = [y.tolist() for (_, y), _ in zip(DataLoader(data, 3, sampler=Growing(), num_workers=2), range(4), strict=False)]
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": [0], "shuffle": True}, "leave out shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "leave out batch_size"),
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"prefetch_factor": 0}, "prefetch_factor must be at least 1"),
        ({"dataset": Stream(3), "shuffle": True}, "its own order"),
        ({"dataset": Stream(3), "processes": True}, "its own order"),
    ],
)
def test_loader_refuses_arguments_that_exclude_each_other(arguments, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(**{"dataset": pairs(3)} | arguments)


# ---- workers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_threads_change_nothing(num_workers):
    def epochs(workers):
        manual_seed(4)
        loader = DataLoader(Noisy(wait=0.001), 4, shuffle=True, num_workers=workers, transform=jitter)
        return [batch for _ in range(2) for batch in loader] + [generator().random(1)[None]]

    same(epochs(0), epochs(num_workers))


def test_processes_change_nothing_and_live_on():
    expected = list(DataLoader(Noisy(9), 4, shuffle=True, generator=3, transform=jitter))
    loader = DataLoader(Noisy(9), 4, shuffle=True, generator=3, transform=jitter, num_workers=2, processes=True)
    same(expected, list(loader))
    workers = {child.pid for child in multiprocessing.active_children()}
    assert len(list(loader)) == 3
    assert {child.pid for child in multiprocessing.active_children()} == workers
    loader.close()
    assert not any(child.pid in workers for child in multiprocessing.active_children())


def test_errors_of_workers_are_shown():
    for workers in (0, 2):
        seen = []
        with pytest.raises(KeyError, match="no such file") as caught:
            seen.extend(DataLoader(Broken(), 5, num_workers=workers))
        assert len(seen) == 2 and "in batch 2, of the examples 10 to 14" in caught.value.__notes__[0]
    with pytest.raises(KeyError) as caught:
        list(DataLoader(Broken(), 20, shuffle=True, num_workers=1))
    assert "in batch 0, of the examples [" in caught.value.__notes__[0]


def test_errors_of_processes_are_shown():
    loader = DataLoader(Broken(), 20, num_workers=1, processes=True)
    with pytest.raises(KeyError, match="no such file") as caught:
        list(loader)
    assert "in __getitem__" in str(caught.value.__cause__)  # the worker's own traceback
    loader.close()
    loader = DataLoader(Killed(), 2, num_workers=1, processes=True)
    with pytest.raises(RuntimeError, match="ended without a result"):
        list(loader)
    loader.close()


def test_leaving_an_epoch_ends_its_threads():
    before = threading.active_count()
    loader = DataLoader(Noisy(100, wait=0.001), 2, num_workers=3)
    for _ in loader:
        break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert len(list(loader)) == 50


def test_workers_run_ahead_only_so_far():
    loaded = []

    class Counting(Noisy):
        def __getitem__(self, index):
            loaded.append(index)
            return index

    batches = iter(DataLoader(Counting(100), 1, num_workers=2, prefetch_factor=3))
    next(batches)
    time.sleep(0.05)
    assert len(loaded) <= 8
    batches.close()


# ---- streams --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
def test_streams(drop_last):
    manual_seed(2)
    expected = list(DataLoader(Stream(7), 3, drop_last=drop_last))
    assert [len(i) for i, _ in expected] == ([3, 3] if drop_last else [3, 3, 1])
    assert np.concatenate([i for i, _ in expected]).tolist() == list(range(6 if drop_last else 7))
    manual_seed(2)
    same(expected, list(DataLoader(Stream(7), 3, drop_last=drop_last, num_workers=3)))
    assert list(DataLoader(Stream(0), 3, num_workers=1)) == []
    with pytest.raises(TypeError):
        len(DataLoader(Stream(7), 3))


def test_collate_fn_makes_the_batch():
    def longest(items):
        return max(items)

    assert list(DataLoader([3, 1, 2], 2, collate_fn=longest)) == [3, 2]
    assert [batch[0] for batch in DataLoader(Stream(5), 2, collate_fn=longest)] == [1, 3, 4]


# ---- the place in an epoch ------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, 5])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [lambda: Noisy(11), lambda: Stream(11)])
def test_a_loader_goes_on_where_its_state_says(own, workers, make):
    data = make()
    options = {"batch_size": 2, "num_workers": workers, "generator": own, "transform": jitter}
    options |= {"shuffle": True} if isinstance(data, Noisy) else {}
    manual_seed(8)
    loader = DataLoader(data, **options)
    list(loader)
    batches, states = [], []
    for batch in loader:
        batches.append(batch)
        states.append((loader.state_dict(), get_state()))
    following = list(loader)
    for done, (state, shared) in enumerate(states, start=1):
        manual_seed(0)
        again = DataLoader(data, **options)
        again.load_state_dict(state)
        set_state(shared)
        same(batches[done:], list(again))
        same(following, list(again))


def test_iterations_do_not_disturb_each_other():
    loader = DataLoader(pairs(8), 2, shuffle=True, generator=0)
    sizes = []
    for _, outer in loader:
        sizes.append(len(outer))
        assert sorted(i for _, y in loader for i in y.tolist()) == list(range(8))
    assert sizes == [2, 2, 2, 2]
    state = {"seed": 5, "position": 3, "generator": loader.state_dict()["generator"]}
    loader.load_state_dict(state)
    assert loader.state_dict() == state and len(list(loader)) == 1 and len(list(loader)) == 4


def test_an_epoch_that_was_left_is_not_gone_on_with():
    loader = DataLoader(pairs(6), 2)
    for _ in loader:
        break
    assert loader.state_dict() == {"seed": None, "position": 0, "generator": None}
    assert len(list(loader)) == 3
    with pytest.raises(ValueError, match="generator of its own"):
        loader.load_state_dict({"seed": 1, "position": 1, "generator": {}})


# ---- arrays on disk -------------------------------------------------------------------------------------


def test_arrays_on_disk_are_read_where_they_are_used(tmp_path):
    path = tmp_path / "x.npy"
    blocks = [np.arange(i, i + 12, dtype=np.float32).reshape(4, 3) for i in range(0, 36, 12)]
    assert write_array(path, iter([*blocks, blocks[0][:0]])) == (12, 3)
    np.testing.assert_array_equal(np.load(path), np.concatenate(blocks))
    x = open_array(path)
    assert type(x) is np.ndarray and not x.flags.writeable
    data = TensorDataset(x, np.arange(12))
    for batch, rows in DataLoader(data, 5, shuffle=True, num_workers=2):
        assert type(batch) is np.ndarray and batch.flags.writeable
        np.testing.assert_array_equal(batch, x[rows])
    assert write_array(path, [np.zeros((0, 2))]) == (0, 2)
    np.savez(tmp_path / "y.npz", x=x)
    with pytest.raises(ValueError, match="several arrays"):
        open_array(tmp_path / "y.npz")


LARGE = """
import resource, sys
import numpy as np
from chainrule import nn, optim, train
from chainrule.data import DataLoader, RandomSampler, TensorDataset, open_array

path, megabytes = sys.argv[1], 1 << 20
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 128 * megabytes, -1))
try:
    np.array(open_array(path))
except MemoryError:
    print("does not fit")
model = nn.Linear(1024, 2)
trainer = train.Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), progress=False)
data = TensorDataset(open_array(path, shuffled=True), np.zeros(1 << 17, np.int64))
sampler = RandomSampler(data, num_samples=1 << 12)
trainer.fit(DataLoader(data, 512, sampler=sampler, num_workers=2), 1)
trainer.fit(DataLoader(TensorDataset(open_array(path), data.arrays[1]), 512), 2)
print(trainer.step, "steps")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much memory a process uses, and can limit it")
def test_an_array_larger_than_memory_is_trained_on(tmp_path):
    """512 MB, of which the disk holds nothing, by a process that may have 128 MB of its own."""
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1 << 17, 1024))
    environment = {**os.environ, "CHAINRULE_KERNELS": "numpy", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path / "x.npy"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.stdout.split("\n")[:2] == ["does not fit", f"{8 + (1 << 17) // 512} steps"], done.stderr


def test_writing_blocks_that_differ_leaves_nothing(tmp_path):
    path = tmp_path / "x.npy"
    for blocks, message in (
        ([], "no block"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"rows of shape \(4,\), after blocks of float64 and \(3,\)"),
        ([np.zeros(2), np.zeros(2, np.float32)], "block of float32"),
    ):
        with pytest.raises(ValueError, match=message):
            write_array(path, blocks)
    assert list(tmp_path.iterdir()) == []
