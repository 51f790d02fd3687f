"""Image folders: files in a folder for each class, decoded as they are asked for."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array
from .dataset import Dataset

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageFolder(Dataset):
    """Images in ``root/<class>/...``, with the class's number: float32 in [0, 1] of shape (C, H, W), and an int.

    ``classes`` are the folders' names in order, ``paths`` the files, ``labels`` the number of each one's class. Pillow
    decodes images outside Python's lock, so in a DataLoader ``num_workers`` threads load as many at once.

    Args:
        root: the folder of folders.
        size: (height, width) that images are resized to; None where all have the same.
        mode: Pillow's name of the kind of pixels that images are converted to: ``"RGB"``, ``"L"`` (grey), ``"RGBA"``.

    Raises:
        FileNotFoundError: there is no such folder, or there are no images in folders in it.
        ImportError: Pillow is not installed.
    """

    def __init__(self, root: str | PathLike[str], size: tuple[int, int] | None = None, mode: str = "RGB"):
        _pillow()
        self.root, self.size, self.mode = Path(root), size, mode
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        folders = sorted(path for path in self.root.iterdir() if path.is_dir())
        self.classes = [folder.name for folder in folders]
        found = [
            (path, label)
            for label, folder in enumerate(folders)
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in ENDINGS
        ]
        if not found:
            raise FileNotFoundError(
                f"no images in folders in {self.root}; it needs a folder for each class, with files that end in "
                f"{', '.join(ENDINGS)}"
            )
        self.paths = [path for path, _ in found]
        self.labels = np.array([label for _, label in found])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Array, int]:
        return self.decode(index) / _WHITE, int(self.labels[index])

    def batch(self, indices: Array | slice) -> tuple[Array, Array]:
        """The images at ``indices``, of shape (N, C, H, W), and their labels."""
        chosen = np.arange(len(self))[indices]
        pictures = [self.decode(i) for i in chosen.tolist()]
        shapes = {picture.shape for picture in pictures}
        if len(shapes) > 1:
            raise ValueError(f"images of shapes {', '.join(map(str, sorted(shapes)))} in one batch; give ImageFolder a size")
        return np.stack(pictures) / _WHITE, self.labels[chosen]

    def decode(self, index: int) -> Array:
        """The image at ``index``: bytes of shape (C, H, W).

        Raises:
            ValueError: the file is damaged, or of a format that Pillow doesn't know.
        """
        path = self.paths[index]
        try:
            with _pillow().open(path) as image:
                if self.size is not None:
                    image.draft(self.mode, self.size[::-1])  # JPEG: decoded small at once
                picture = image.convert(self.mode)
        except OSError as error:
            raise ValueError(f"{path}: not an image, or damaged: {error}") from error
        if self.size is not None and picture.size != self.size[::-1]:
            picture = picture.resize(self.size[::-1], resample=2)  # bilinear
        pixels = np.asarray(picture, np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


_WHITE = np.float32(255)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("image files need the package Pillow: pip install 'chainrule[data]'") from error
    return Image
