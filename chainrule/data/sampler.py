"""Samplers: in which order a DataLoader takes the examples of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice

import numpy as np

from ..core.arrays import Array
from ..random import generator


class Sampler:
    """An order in which to take examples. A subclass defines ``indices``, an epoch's order, and ``__len__``.

    What is random is drawn from ``chainrule.random.generator()``. In a DataLoader that is one which the loader makes anew
    for each epoch, so that one number tells the order.
    """

    def indices(self) -> Array:
        """The order of an epoch: ints of shape (n,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define indices")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices().tolist())


class SequentialSampler(Sampler):
    """All examples in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def indices(self) -> Array:
        return np.arange(len(self))


class RandomSampler(Sampler):
    """Examples in random order.

    Args:
        data_source: the dataset.
        replacement: draw each by itself, so that an example may come twice and another not at all.
        num_samples: how many; by default as many as the dataset has. More than that without replacement are several
            orders of all, one after the other.

    >>> sorted(RandomSampler("abc", num_samples=6))
    [0, 0, 1, 1, 2, 2]
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None):
        self.data_source, self.replacement, self.num_samples = data_source, replacement, num_samples
        if num_samples is not None and num_samples < 0:
            raise ValueError(f"num_samples cannot be negative: {num_samples}")
        if num_samples and not len(data_source):
            raise ValueError(f"{num_samples} samples of a dataset without examples")

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples

    def indices(self) -> Array:
        total, count = len(self.data_source), len(self)
        if self.replacement:
            return generator().integers(total, size=count)
        if count <= total:
            return generator().permutation(total)[:count]
        return np.concatenate([generator().permutation(total) for _ in range(-(-count // total))])[:count]


class SubsetRandomSampler(Sampler):
    """The examples at given indices, in random order.

    >>> sorted(SubsetRandomSampler([5, 3]))
    [3, 5]
    """

    def __init__(self, indices: Sequence[int] | Array):
        self._indices = np.asarray(indices, np.intp)

    def __len__(self) -> int:
        return len(self._indices)

    def indices(self) -> Array:
        return generator().permutation(self._indices)


class WeightedRandomSampler(Sampler):
    """Examples drawn with a probability in proportion to their weights, such as to make rare classes frequent.

    Args:
        weights: one for each example, not negative; they need not add up to 1.
        num_samples: how many are drawn.
        replacement: whether an example may be drawn twice.

    Raises:
        ValueError: a weight is negative or not finite, all are 0, or there are too few for ``replacement=False``.

    >>> sorted(WeightedRandomSampler([1.0, 0.0, 2.0], num_samples=2, replacement=False))
    [0, 2]
    """

    def __init__(self, weights: Sequence[float] | Array, num_samples: int, replacement: bool = True):
        self.weights = np.asarray(weights, np.float64)
        self.num_samples, self.replacement = num_samples, replacement
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any() or not self.weights.any():
            raise ValueError("weights are finite, not negative, not all 0, and in one row")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(
                f"{num_samples} samples without replacement, of {np.count_nonzero(self.weights)} examples with a weight above 0"
            )

    def __len__(self) -> int:
        return self.num_samples

    def indices(self) -> Array:
        share = self.weights / self.weights.sum()
        return generator().choice(len(share), self.num_samples, self.replacement, share)


class BatchSampler:
    """Another sampler's indices in batches.

    Args:
        sampler: any iterable of ints.
        batch_size: indices in a batch; the last has what is left.
        drop_last: leave out a last batch that is not full.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False):
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        rows = iter(self.sampler)
        while part := list(islice(rows, self.batch_size)):
            if len(part) < self.batch_size and self.drop_last:
                return
            yield part
