"""Fashion-MNIST: 70,000 grey images of clothes in ten classes (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cache import cache_folder
from .idx import read_idx
from .images import ImageDataset

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

#: Where Debian's package puts the files.
SYSTEM = Path("/usr/share/datasets/fashion-mnist")

_FILES = {part: (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")}


class FashionMNIST(NamedTuple):
    """Both parts of the data set, the names of the classes, and the folder that it was read from."""

    train: ImageDataset
    test: ImageDataset
    classes: tuple[str, ...]
    source: Path


def fashion_mnist(root: str | PathLike[str] | None = None) -> FashionMNIST:
    """Load Fashion-MNIST: images of shape (N, 1, 28, 28), labels int64 of shape (N,).

    Of the folders below, the first that holds the four IDX files (plain or gzipped) is read; ``source`` says which.

    1. ``root``, where it is given; then no other is tried;
    2. ``/usr/share/datasets/fashion-mnist``, where Debian's package ``dataset-fashion-mnist`` puts it;
    3. the user's cache, ``$XDG_CACHE_HOME/chainrule/fashion-mnist`` or ``~/.cache/chainrule/fashion-mnist``;
    4. the subset in chainrule's repository: 10,000 training and 2,000 test images.

    Args:
        root: a folder with the four files.

    Raises:
        FileNotFoundError: the files are in none of the folders.
        ValueError: a file is damaged, or the files don't belong together.
    """
    folders = _default_folders() if root is None else [Path(root)]
    for folder in folders:
        if all(_find(folder, name) for names in _FILES.values() for name in names):
            train, test = (_read(folder, *names) for names in _FILES.values())
            return FashionMNIST(train, test, CLASSES, folder)
    raise FileNotFoundError(
        f"Fashion-MNIST is not in {' nor in '.join(map(str, folders))}: each lacks one or more of "
        f"{', '.join(f'{name}.gz' for names in _FILES.values() for name in names)}. Install Debian's package "
        "dataset-fashion-mnist, or copy the files from https://github.com/zalandoresearch/fashion-mnist to "
        f"{folders[0] if root else _cache()}"
    )


def _cache() -> Path:
    return cache_folder() / "fashion-mnist"


def _default_folders() -> list[Path]:
    repository = Path(__file__).parents[2]
    return [SYSTEM, _cache(), repository / "examples" / "data" / "fashion-mnist-subset"]


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read(folder: Path, images_name: str, labels_name: str) -> ImageDataset:
    images, labels = (read_idx(_find(folder, name) or folder / name) for name in (images_name, labels_name))
    if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{folder}: {images_name} holds {images.dtype} of shape {images.shape}, {labels_name} shape "
            f"{labels.shape}; expected uint8 of shape (N, 28, 28) and (N,)"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise ValueError(f"{folder}: {labels_name} holds the label {labels.max()}; there are {len(CLASSES)} classes")
    return ImageDataset(images[:, None], labels.astype(np.int64))
