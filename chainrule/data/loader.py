"""DataLoader: a dataset in batches, in order or shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .dataset import RandomSource, batch, random_generator


class DataLoader:
    """Iterates over a dataset in batches; each iteration is one epoch.

    A batch of a ``TensorDataset`` is indexed from its arrays at once. Without ``shuffle`` it is a view of them,
    as a slice is: copy it before writing to it. Of other datasets items are collated one by one, unless they
    override ``Dataset.batch``.

    Args:
        dataset: what has a length and gives examples by index.
        batch_size: examples in a batch; the last batch has what is left.
        shuffle: a new random order in each epoch.
        drop_last: leave out a last batch that is not full.
        generator: where the random order comes from: a NumPy Generator, or a seed for one of its own. By default, what
            ``chainrule.manual_seed`` sets.

    Raises:
        TypeError: the dataset has no length or cannot be indexed, or ``batch_size`` is not an int.
        ValueError: ``batch_size`` is less than 1.

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
        drop_last: bool = False,
        generator: RandomSource = None,
    ):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader needs a dataset with __len__ and __getitem__, not {type(dataset).__name__}")
        if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool):
            raise TypeError(f"batch_size must be an int, not {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, int(batch_size), shuffle, drop_last
        self.generator = None if generator is None else random_generator(generator)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        order = random_generator(self.generator).permutation(len(self.dataset)) if self.shuffle else None
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield batch(self.dataset, part if order is None else order[part])
