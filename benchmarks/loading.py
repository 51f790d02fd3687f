"""What a DataLoader costs: an epoch in batches, beside slicing the arrays by hand (``--peers numpy,torch``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NOTE = "``numpy`` slices the arrays by hand, or takes their rows in a random order; the batches are not looked at."

Step = Callable[[], list[Any]]


def arrays(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random(shape, np.float32), rng.integers(10, size=shape[0])


def epochs(batches: Callable[[], Iterator[Any]]) -> Step:
    """A step that goes through all batches, and counts the examples."""

    def step() -> list[Any]:
        return [np.array(sum(len(y) for _, y in batches()))]

    return step


def chainrule_loader(shape: tuple[int, ...], size: int, shuffle: bool) -> Step:
    from chainrule.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(*arrays(shape)), size, shuffle=shuffle)
    return epochs(lambda: iter(loader))


def numpy_slices(shape: tuple[int, ...], size: int, shuffle: bool) -> Step:
    x, y = arrays(shape)
    rng = np.random.default_rng(0)

    def batches() -> Iterator[Any]:
        order = rng.permutation(len(x)) if shuffle else None
        for start in range(0, len(x), size):
            part = slice(start, start + size) if order is None else order[start : start + size]
            yield x[part], y[part]

    return epochs(batches)


def torch_loader(shape: tuple[int, ...], size: int, shuffle: bool) -> Step:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(*map(torch.from_numpy, arrays(shape))), size, shuffle=shuffle)
    return epochs(lambda: iter(loader))


MAKERS = {"chainrule": chainrule_loader, "numpy": numpy_slices, "torch": torch_loader}

CASES: dict[str, dict[str, Callable[[], Step]]] = {
    f"{name}, batches of {size}, {'shuffled' if shuffle else 'in order (views)'}": {
        framework: (lambda make=make, shape=shape, size=size, shuffle=shuffle: make(shape, size, shuffle))
        for framework, make in MAKERS.items()
    }
    for name, shape, size in (
        ("20,000 images", (20_000, 784), 128),
        ("20,000 images", (20_000, 784), 32),
        ("20,000 rows of 16", (20_000, 16), 32),
    )
    for shuffle in (True, False)
}
