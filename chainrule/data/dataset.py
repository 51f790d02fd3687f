"""Datasets: what has a length, and gives items by index and batches by an array of indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, isclose, prod
from typing import Any

import numpy as np

from ..core.arrays import Array, as_array
from ..random import generator as shared_generator
from .collate import collate, merge

#: Where a random order comes from: a NumPy Generator, a seed for one, or None for the one that ``manual_seed`` sets.
RandomSource = np.random.Generator | int | None


class Dataset:
    """A sequence of examples. Subclass it, and define ``__len__`` and ``__getitem__``.

    ``__getitem__`` need only take an int. A ``DataLoader`` asks for whole batches, by ``batch``; override that
    too where many examples at once are cheaper than one by one, or need padding.

    >>> import numpy as np
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return np.float32(index), index**2
    >>> Squares().batch(np.array([2, 3]))
    (array([2., 3.], dtype=float32), array([4, 9]))
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def batch(self, indices: Array | slice) -> Any:
        """The batch of the examples at ``indices``, an array of ints or a slice."""
        return collate_items(self, indices)


class IterableDataset:
    """A stream of examples, of any length. Subclass it, and define ``__iter__``; and ``__len__`` where that is known.

    >>> from chainrule.data import DataLoader
    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         yield from range(5, 0, -1)
    >>> [numbers.tolist() for numbers in DataLoader(Countdown(), batch_size=2)]
    [[5, 4], [3, 2], [1]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


def collate_items(dataset: Any, indices: Array | slice) -> Any:
    """The batch of the examples at ``indices``, got one by one from whatever has a length and takes ints."""
    which = range(len(dataset))[indices] if isinstance(indices, slice) else indices.tolist()
    return collate([dataset[i] for i in which])


class TensorDataset(Dataset):
    """Arrays of the same length side by side; example ``i`` is the tuple of their rows ``i``.

    An index may be all that NumPy takes for one axis: an int, a slice, an array of ints or booleans.

    Args:
        arrays: each of shape ``(N, ...)``.

    Raises:
        ValueError: there is no array, one is 0-d, or their lengths differ.

    >>> import numpy as np
    >>> pairs = TensorDataset(np.arange(8.0).reshape(4, 2), np.arange(4))
    >>> len(pairs)
    4
    >>> pairs[np.array([3, 0])]
    (array([[6., 7.],
           [0., 1.]]), array([3, 0]))
    """

    def __init__(self, *arrays: Array):
        self.arrays = tuple(as_array(x) for x in arrays)
        shapes = [x.shape for x in self.arrays]
        if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
            raise ValueError(
                "TensorDataset needs one array or more, all of the same length along axis 0; "
                f"got shapes {', '.join(map(str, shapes)) or 'none'}"
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(x[index] for x in self.arrays)

    def batch(self, indices: Array | slice) -> tuple[Any, ...]:
        """The rows at ``indices``: for a slice views, for an array of ints copies."""
        if isinstance(indices, slice):
            return tuple(x[indices] for x in self.arrays)
        # take copies whole rows, faster than x[indices] does; for rows of one element it is the other way round
        return tuple(x[indices] if x.ndim == 1 else np.take(x, indices, axis=0) for x in self.arrays)

    def batches(self, starts: range, order: Array | None = None) -> Iterator[tuple[Any, ...]]:
        """The batches of ``starts.step`` rows from each of ``starts`` on, of the rows as they are or in another order."""
        size = starts.step
        if order is None:
            yield from _parts([x[starts.start : starts.stop] for x in self.arrays], size)
            return
        # small batches are views of a larger one, for NumPy takes long to begin
        row = max(1, sum(x.itemsize * prod(x.shape[1:]) for x in self.arrays))
        block = size * max(1, _BLOCK // (size * row))
        for first in range(starts.start, starts.stop, block):
            arrays = self.batch(order[first : min(first + block, starts.stop)])
            if block == size:
                yield arrays
            else:
                yield from _parts(arrays, size)


def _parts(arrays: Sequence[Array], size: int) -> Iterator[tuple[Any, ...]]:
    """Views of ``size`` rows of each array, and of the rows that are left; NumPy goes along an axis faster than it slices."""
    full = len(arrays[0]) // size
    yield from zip(*[x[: full * size].reshape(full, size, *x.shape[1:]) for x in arrays], strict=True)
    if full * size < len(arrays[0]):
        yield tuple([x[full * size :] for x in arrays])


class Subset(Dataset):
    """The examples of another dataset at given indices.

    Args:
        dataset: what has a length and gives examples by index.
        indices: ints, of shape (n,).

    Raises:
        TypeError: ``indices`` are not ints.
        IndexError: an index is out of range.

    >>> import numpy as np
    >>> odd = Subset(TensorDataset(np.arange(6) * 10), [1, 3, 5])
    >>> odd[0], odd[1:]
    ((np.int64(10),), (array([30, 50]),))
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Array):
        self.dataset = dataset
        self.indices = np.asarray(indices) if len(indices) else np.zeros(0, np.intp)
        if self.indices.dtype.kind not in "iu" or self.indices.ndim != 1:
            raise TypeError(
                f"Subset needs indices that are ints in one row, not {self.indices.dtype} of shape {self.indices.shape}"
                + ("; for a mask use np.flatnonzero(mask)" if self.indices.dtype.kind == "b" else "")
            )
        outside = (self.indices < -len(dataset)) | (self.indices >= len(dataset))
        if outside.any():
            at = int(outside.argmax())
            raise IndexError(f"index {self.indices[at]} at position {at}; the dataset has {len(dataset)} examples")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        chosen = self.indices[index]
        return self.dataset[int(chosen)] if chosen.ndim == 0 else batch(self.dataset, chosen)

    def batch(self, indices: Array | slice) -> Any:
        """The batch of the examples at ``indices``, got at once where the other dataset can."""
        return batch(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Args:
        datasets: each has a length and gives examples by index; examples of all have the same structure.

    Raises:
        ValueError: there is no dataset.

    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[1], both[-1]
    (5, 'b', 'e')
    """

    def __init__(self, datasets: Sequence[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset needs one dataset or more")
        self.ends = np.cumsum([len(dataset) for dataset in self.datasets])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return self.batch(index if isinstance(index, slice) else np.arange(len(self))[index])
        at = range(len(self))[index]  # raises where it is out of range
        which = int(np.searchsorted(self.ends, at, side="right"))
        return self.datasets[which][at - int(self.ends[which]) + len(self.datasets[which])]

    def batch(self, indices: Array | slice) -> Any:
        """The batch of the examples at ``indices``: from each dataset at once, where it can."""
        chosen = np.arange(len(self))[indices]
        which = np.searchsorted(self.ends, chosen, side="right")
        used = np.unique(which).tolist()
        if not used:
            return batch(self.datasets[0], chosen)
        starts = [int(self.ends[k]) - len(self.datasets[k]) for k in used]
        parts = [batch(self.datasets[k], chosen[which == k] - start) for k, start in zip(used, starts, strict=True)]
        return parts[0] if len(used) == 1 else merge(parts, np.argsort(np.argsort(which, kind="stable"), kind="stable"))


#: So many bytes of shuffled rows are copied at once.
_BLOCK = 2**16


def batch(dataset: Any, indices: Array | slice) -> Any:
    """The batch of a dataset's examples at ``indices``, got at once where it is a Dataset that can."""
    return dataset.batch(indices) if isinstance(dataset, Dataset) else collate_items(dataset, indices)


def random_split(dataset: Any, lengths: Sequence[int] | Sequence[float], generator: RandomSource = None) -> list[Subset]:
    """Split a dataset into Subsets at random, without overlap.

    Args:
        dataset: what has a length and gives examples by index.
        lengths: how many examples each part gets; or fractions that add up to 1, each rounded down, with
            what is left over going to the first parts, one each.
        generator: where the order comes from; by default, what ``chainrule.manual_seed`` sets.

    Raises:
        ValueError: the lengths don't add up to the dataset's, nor to 1.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25], generator=0)]
    [8, 2]
    """
    total, counts = len(dataset), list(lengths)
    if any(n < 0 for n in counts):
        raise ValueError(f"lengths cannot be negative: {counts}")
    if isclose(sum(counts), 1) and all(n <= 1 for n in counts):
        counts = [floor(n * total) for n in counts]
        for i in range(int(total - sum(counts))):
            counts[i % len(counts)] += 1
    if sum(counts) != total or any(n != int(n) for n in counts):
        raise ValueError(
            f"lengths {list(lengths)} add up to {sum(counts)}; they must add up to the dataset's {total} examples, or, "
            "as fractions, to 1"
        )
    order = random_generator(generator).permutation(total)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts[:-1], dtype=np.intp))]


def random_generator(source: RandomSource) -> np.random.Generator:
    """The NumPy Generator that ``source`` stands for."""
    return shared_generator() if source is None else np.random.default_rng(source)
