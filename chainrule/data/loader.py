"""DataLoader: a dataset in batches, in order or shuffled, loaded ahead by threads or processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice, repeat
from typing import Any
from weakref import finalize

import numpy as np

from ..core.arrays import Array
from ..random import using
from .collate import collate
from .dataset import IterableDataset, RandomSource, TensorDataset, batch, random_generator
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

Indices = Array | slice
_END = object()


class DataLoader:
    """Iterates over a dataset in batches; each iteration is one epoch.

    A batch of a ``TensorDataset`` is indexed from its arrays at once. Without ``shuffle`` it is a view of them,
    as a slice is: copy it before writing to it. Of other datasets items are collated one by one, unless they
    override ``Dataset.batch``.

    All that is random in an epoch follows from one number, drawn at its start, and from the position in it: the order of
    the examples, and what ``transform`` and the dataset draw from ``chainrule.random.generator()``. So batches are the same
    and come in the same order however many workers there are, and ``state_dict`` can tell where in an epoch the loader is.

    Args:
        dataset: what has a length and gives examples by index; or an ``IterableDataset``.
        batch_size: examples in a batch; the last batch has what is left.
        shuffle: a new random order in each epoch.
        sampler: the order in which to take examples, instead of ``shuffle``: a Sampler, or any iterable of ints.
        batch_sampler: the indices of each batch, instead of all of these: an iterable of sequences of ints.
        num_workers: how many threads (or processes) load batches ahead; 0 loads each when it is asked for. An
            ``IterableDataset`` is read by one.
        collate_fn: makes a batch of a list of examples; by default ``collate``, or what ``Dataset.batch`` does.
        drop_last: leave out a last batch that is not full.
        generator: where random numbers come from: a NumPy Generator, or a seed for one of its own. By default, what
            ``chainrule.manual_seed`` sets.
        transform: what is done to each batch; where that is a tuple or list, to its first part, the inputs.
        prefetch_factor: how many batches each worker is ahead.
        processes: workers are processes, for datasets whose Python code is slow (decoding images is not: it runs well in
            threads). Dataset, ``collate_fn`` and ``transform`` are sent to them once, by pickle, so they must be defined
            where a module can be imported from, and a script that uses them must guard what it runs by
            ``if __name__ == "__main__":``. They live until ``close()``.

    Raises:
        TypeError: the dataset has no length or cannot be indexed, or ``batch_size`` is not an int.
        ValueError: ``batch_size`` is less than 1, or arguments exclude each other.

    >>> import numpy as np
    >>> from chainrule.data import TensorDataset
    >>> for x, y in DataLoader(TensorDataset(np.arange(5.0), np.arange(5)), batch_size=2):
    ...     print(x, y)
    [0. 1.] [0 1]
    [2. 3.] [2 3]
    [4.] [4]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        generator: RandomSource = None,
        *,
        transform: Callable[[Any], Any] | None = None,
        prefetch_factor: int = 2,
        processes: bool = False,
    ):
        stream = isinstance(dataset, IterableDataset)
        if not stream and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                f"DataLoader needs a dataset with __len__ and __getitem__, or an IterableDataset, not {type(dataset).__name__}"
            )
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("prefetch_factor", prefetch_factor, 1),
        ):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, not {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if stream and (shuffle or sampler is not None or batch_sampler is not None or processes):
            raise ValueError(
                "an IterableDataset gives its examples in its own order, in this process: no shuffle, sampler or processes"
            )
        if sampler is not None and shuffle:
            raise ValueError("a sampler says the order; leave out shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "a batch_sampler says which examples make a batch; leave out batch_size, shuffle, sampler and drop_last"
            )
        self.dataset, self.batch_size, self.drop_last = dataset, int(batch_size), drop_last
        self.num_workers, self.prefetch_factor, self.processes = int(num_workers), int(prefetch_factor), processes
        self.generator = None if generator is None else random_generator(generator)
        self.sampler = sampler
        if not stream and sampler is None:
            self.sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        self.batch_sampler = batch_sampler
        self._load = _Load(dataset, collate_fn, transform)
        # an epoch's number, and how many of its batches were given: where the last iteration is, where the next one begins
        self._place: list[int] | None = None
        self._resumed: list[int] | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        return len(BatchSampler(self.dataset if self.sampler is None else self.sampler, self.batch_size, self.drop_last))

    def __iter__(self) -> Iterator[Any]:
        place = self._resumed or [int(random_generator(self.generator).integers(2**63)), 0]
        self._place, self._resumed = place, None
        try:
            for loaded in self._batches(*place):
                place[1] += 1
                yield loaded
        finally:
            if self._place is place:
                self._place = None

    # ---- where in an epoch it is ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, for ``load_state_dict``: the epoch's number, how many batches were given, the generator."""
        own = None if self.generator is None else self.generator.bit_generator.state
        seed, position = self._place or self._resumed or (None, 0)
        return {"seed": seed, "position": position, "generator": own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Let the next iteration go on where ``state_dict`` was called; what was given before is not loaded again."""
        self._place, self._resumed = None, None
        if state_dict["seed"] is not None:
            self._resumed = [state_dict["seed"], state_dict["position"]]
        if state_dict["generator"] is not None:
            if self.generator is None:
                raise ValueError("the state is of a DataLoader with a generator of its own; give this one a generator too")
            self.generator.bit_generator.state = state_dict["generator"]

    # ---- how batches are loaded -------------------------------------------------------------------------

    def _batches(self, seed: int, start: int) -> Iterator[Any]:
        """The batches of an epoch from number ``start`` on."""
        if isinstance(self.dataset, IterableDataset):
            stream = islice(self._streamed(seed), start, None)
            if not self.num_workers:
                yield from stream
                return
            with _threads(1) as pool:
                yield from _in_order(pool, repeat((next, stream, _END)), self.prefetch_factor)
            return
        if not self.num_workers and type(self.dataset) is TensorDataset and self._load.is_plain and self._order_is_known:
            starts = range(start * self.batch_size, len(self) * self.batch_size, self.batch_size)
            yield from self.dataset.batches(starts, self._order(seed))
            return
        jobs = ((seed, number, part) for number, part in islice(enumerate(self._parts(seed)), start, None))
        if not self.num_workers:
            for job in jobs:
                yield self._load(*job)
        elif self.processes:
            yield from _in_order(self._process_pool(), ((_load_in_process, *job) for job in jobs), self._ahead)
        else:
            with _threads(self.num_workers) as pool:
                yield from _in_order(pool, ((self._load, *job) for job in jobs), self._ahead)

    @property
    def _ahead(self) -> int:
        return self.num_workers * self.prefetch_factor

    def _parts(self, seed: int) -> Iterator[Indices]:
        """The indices of each batch of an epoch."""
        size = self.batch_size
        if self._order_is_known:
            order = self._order(seed)
            parts = (slice(i, i + size) for i in range(0, len(self) * size, size))
            return parts if order is None else (order[part] for part in parts)
        assert self.sampler is not None
        batches = BatchSampler(self.sampler, size, self.drop_last) if self.batch_sampler is None else self.batch_sampler
        return (np.asarray(part, np.intp) for part in _drawing_from(seed, batches))

    @property
    def _order_is_known(self) -> bool:
        return self.batch_sampler is None and isinstance(self.sampler, Sampler)

    def _order(self, seed: int) -> Array | None:
        """The order of an epoch; None where it is the dataset's own."""
        if type(self.sampler) is SequentialSampler:
            return None
        assert isinstance(self.sampler, Sampler)
        with using(seed):
            return self.sampler.indices()

    def _streamed(self, seed: int) -> Iterator[Any]:
        """The batches of an IterableDataset."""
        examples = iter(self.dataset)
        number = 0
        while True:
            with using([seed, number]):
                items = list(islice(examples, self.batch_size))
                if not items or (self.drop_last and len(items) < self.batch_size):
                    return
                made = self._load.finish(items)
            yield made
            number += 1

    def _process_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # not fork: threads that the parent has, such as those of kernels, are not there in a forked child
            methods = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            self._pool = ProcessPoolExecutor(self.num_workers, context, _start_process, (self._load,))
            self._finalizer = finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

    def close(self) -> None:
        """End the processes, if there are any; the next iteration starts others."""
        if self._pool is not None:
            self._finalizer.detach()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


class _Load:
    """Makes one batch: what a worker does."""

    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None, transform: Callable[[Any], Any] | None):
        self.dataset, self.collate_fn, self.transform = dataset, collate_fn, transform

    def __call__(self, seed: int, number: int, indices: Indices) -> Any:
        with using([seed, number]):
            try:
                if self.collate_fn is not None:
                    which = range(len(self.dataset))[indices] if isinstance(indices, slice) else indices.tolist()
                    return self._transformed(self.collate_fn([self.dataset[i] for i in which]))
                return self._transformed(batch(self.dataset, indices))
            except Exception as error:
                which = f"{indices.start} to {indices.stop - 1}" if isinstance(indices, slice) else str(indices)
                error.add_note(f"DataLoader: in batch {number}, of the examples {which}")
                raise

    @property
    def is_plain(self) -> bool:
        """Whether a batch is what the dataset makes it."""
        return self.collate_fn is None and self.transform is None

    def finish(self, items: list[Any]) -> Any:
        """The batch of a stream's items."""
        return self._transformed((self.collate_fn or collate)(items))

    def _transformed(self, made: Any) -> Any:
        if self.transform is None:
            return made
        if isinstance(made, (tuple, list)) and not hasattr(made, "_fields"):
            return type(made)([self.transform(made[0]), *made[1:]])
        return self.transform(made)


def _in_order(pool: Executor, jobs: Iterable[tuple[Any, ...]], ahead: int) -> Iterator[Any]:
    """The results of jobs in their order, while a number of those that follow are under way."""
    pending: deque[Future[Any]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(*job))
            if len(pending) > ahead:
                result = pending.popleft().result()
                if result is _END:
                    return
                yield result
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process of the DataLoader ended without a result: it was killed (too little memory?), or could not import or "
            "unpickle the dataset, which must be defined in a module that can be imported; num_workers=0 shows more"
        ) from error
    finally:
        for future in pending:
            future.cancel()


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="DataLoader")


def _drawing_from(seed: int, source: Iterable[Any]) -> Iterator[Any]:
    """The items of an iterable whose random numbers come from a generator of its own."""
    apart = using(seed)
    with apart:
        items = iter(source)
    while True:
        with apart:
            item = next(items, _END)
        if item is _END:
            return
        yield item


# ---- in a worker process --------------------------------------------------------------------------------

_load: _Load


def _start_process(load: _Load) -> None:
    global _load
    _load = load


def _load_in_process(seed: int, number: int, indices: Indices) -> Any:
    return _load(seed, number, indices)
