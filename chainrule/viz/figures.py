"""Learning curves and grids of images, as files; matplotlib draws them, without its global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array, as_array
from ..io.atomic import replacing


def plot_curves(history: Mapping[str, Sequence[float]], path: str | PathLike[str], xlabel: str = "epoch") -> None:
    """Draw one panel for each quantity, with a line for each part of the data, and save the picture.

    Args:
        history: the values after each epoch, by names such as ``"train loss"``: the last word says the quantity, what
            precedes it the line's name.
        path: the file; its ending says the format (``.png``, ``.svg``, ``.pdf``).
        xlabel: what the values are counted in.

    Raises:
        ValueError: ``history`` is empty.
        ImportError: matplotlib is not installed.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_curves({"train loss": [0.6, 0.4], "test loss": [0.5, 0.45]}, f"{folder}/curves.png")
    ...     os.listdir(folder)
    ['curves.png']
    """
    panels: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in history.items():
        line, _, quantity = name.rpartition(" ")
        panels.setdefault(quantity, {})[line] = values
    if not panels:
        raise ValueError("plot_curves needs a history with one quantity at least")
    figure = new_figure(4.5 * len(panels), 3.2)
    for axes, (quantity, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for line, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=line)
        axes.set(xlabel=xlabel, title=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if any(lines):
            axes.legend(frameon=False)
    _save(figure, path)


def plot_against(x: Array, y: Array, path: str | PathLike[str], xlabel: str, ylabel: str, marked: float | None = None) -> None:
    """Draw y against the logarithm of x, with a line at ``marked``, and save the picture.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(5, 3.5)
    axes = figure.subplots()
    axes.plot(x, y)
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale="log")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if marked is not None:
        axes.axvline(marked, color="tab:red", linestyle="--", label=f"{marked:.2g}")
        axes.legend(frameon=False)
    _save(figure, path)


def image_grid(images: Array, titles: Sequence[str], path: str | PathLike[str], columns: int = 6) -> None:
    """Draw images side by side in rows, each under its title, and save the picture.

    Args:
        images: of shape (N, H, W) or (N, 1, H, W) in grey, (N, 3, H, W) in colour; bytes, or floats in [0, 1].
        titles: one for each image, or none at all.
        path: the file; its ending says the format.
        columns: images in a row.

    Raises:
        ValueError: there is no image, the images have another shape, or the titles another number.
        ImportError: matplotlib is not installed.

    >>> import numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image_grid(np.random.rand(3, 1, 28, 28), ["coat", "bag", "boot"], f"{folder}/grid.png")
    ...     os.listdir(folder)
    ['grid.png']
    """
    pictures = as_array(images)
    if len(pictures) == 0 or not (pictures.ndim == 3 or (pictures.ndim == 4 and pictures.shape[1] in (1, 3))):
        raise ValueError(f"image_grid needs images of shape (N, H, W), (N, 1, H, W) or (N, 3, H, W), not {pictures.shape}")
    if len(titles) not in (0, len(pictures)):
        raise ValueError(f"{len(titles)} titles for {len(pictures)} images")
    if pictures.ndim == 4:
        pictures = pictures[:, 0] if pictures.shape[1] == 1 else np.moveaxis(pictures, 1, -1)
    white: Any = 255 if pictures.dtype == np.uint8 else 1.0
    columns = min(columns, len(pictures))
    rows = ceil(len(pictures) / columns)
    figure = new_figure(1.5 * columns, 1.75 * rows)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, picture, title in zip(cells, pictures, titles or [""] * len(pictures), strict=False):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=white)
        axes.set_title(title, fontsize=8, parse_math=False)
    _save(figure, path)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that size in inches, apart from pyplot and its windows."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs the package matplotlib: pip install 'chainrule[viz]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | PathLike[str]) -> None:
    with replacing(path) as file:
        figure.savefig(file, dpi=100, format=Path(path).suffix.removeprefix(".") or "png")
