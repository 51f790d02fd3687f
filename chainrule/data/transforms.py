"""Transforms of images, on whole batches of shape (N, C, H, W): for ``DataLoader(transform=...)``, or called by hand.

What is random is drawn for each image by itself, from ``chainrule.random.generator()``. None of them changes its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array
from ..random import generator

Transform = Callable[[Array], Array]


class Compose:
    """Transforms one after the other.

    Args:
        transforms: a list of what takes images and returns images.

    >>> images = np.random.default_rng(0).random((8, 3, 32, 32), np.float32)
    >>> augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize([0.5] * 3, [0.25] * 3)])
    >>> augment(images).shape
    (8, 3, 32, 32)
    """

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = list(transforms)

    def __call__(self, images: Array) -> Array:
        for transform in self.transforms:
            images = transform(images)
        return images


class Normalize:
    """(image - mean) / std, for each channel.

    Args:
        mean: one for each channel, in the images' own scale.
        std: one for each channel.

    Raises:
        ValueError: a std is 0.
    """

    def __init__(self, mean: Sequence[float] | float, std: Sequence[float] | float):
        self.mean, self.std = (np.reshape(np.asarray(x, np.float32), (-1, 1, 1)) for x in (mean, std))
        if not self.std.all():
            raise ValueError(f"Normalize divides by std, which cannot be 0: {std}")

    def __call__(self, images: Array) -> Array:
        out = images - self.mean
        out /= self.std
        return out


class CenterCrop:
    """The middle of each image.

    Args:
        size: (height, width), or one number for both; at most the images' own.
    """

    def __init__(self, size: int | tuple[int, int]):
        self.size = _pair(size)

    def __call__(self, images: Array) -> Array:
        top, left = (have - want for have, want in zip(_room(images, self.size), self.size, strict=True))
        return images[..., top // 2 : top // 2 + self.size[0], left // 2 : left // 2 + self.size[1]]


class RandomCrop:
    """A part of each image, at a random place.

    Args:
        size: (height, width), or one number for both.
        padding: how many pixels are put around the images before.
        padding_mode: what they are: ``np.pad``'s ``"constant"`` (0), ``"edge"``, ``"reflect"``.

    Raises:
        ValueError: ``size`` is larger than the padded images.
    """

    def __init__(self, size: int | tuple[int, int], padding: int = 0, padding_mode: str = "constant"):
        self.size, self.padding, self.padding_mode = _pair(size), padding, padding_mode

    def __call__(self, images: Array) -> Array:
        if self.padding:
            around = (self.padding, self.padding)
            images = np.pad(images, ((0, 0), (0, 0), around, around), self.padding_mode)  # type: ignore[call-overload]
        room = _room(images, self.size)
        top, left = (
            generator().integers(have - want + 1, size=len(images)) for have, want in zip(room, self.size, strict=True)
        )
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, axis=(2, 3))
        return windows[np.arange(len(images)), :, top, left]


class RandomHorizontalFlip:
    """Each image mirrored, left to right, with probability ``p``."""

    axis = -1

    def __init__(self, p: float = 0.5):
        self.p = p

    def __call__(self, images: Array) -> Array:
        chosen = generator().random(len(images)) < self.p
        out = images.copy()
        out[chosen] = np.flip(images[chosen], self.axis)
        return out


class RandomVerticalFlip(RandomHorizontalFlip):
    """Each image turned upside down with probability ``p``."""

    axis = -2


class RandomErasing:
    """A rectangle of each image is overwritten, with probability ``p``.

    Args:
        p: the probability.
        scale: the smallest and largest share of the image's area.
        ratio: the smallest and largest height divided by width.
        value: what it is overwritten with: a number, one for each channel, or ``"random"`` for normal noise.

    Source: Z. Zhong et al., Random Erasing Data Augmentation (2017).
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0.0,
    ):
        self.p, self.scale, self.ratio, self.value = p, scale, ratio, value

    def __call__(self, images: Array) -> Array:
        rng, (n, _, height, width) = generator(), images.shape
        chosen = rng.random(n) < self.p
        area = rng.uniform(*self.scale, n) * height * width
        ratio = np.exp(rng.uniform(np.log(self.ratio[0]), np.log(self.ratio[1]), n))
        tall = np.clip(np.rint(np.sqrt(area * ratio)), 1, height)
        wide = np.clip(np.rint(np.sqrt(area / ratio)), 1, width)
        top = np.floor(rng.random(n) * (height - tall + 1))
        left = np.floor(rng.random(n) * (width - wide + 1))
        rows = _between(np.arange(height), top, top + tall)
        columns = _between(np.arange(width), left, left + wide)
        erased = (chosen[:, None, None] & rows[:, :, None] & columns[:, None, :])[:, None]
        value: Array
        if isinstance(self.value, str):
            value = rng.standard_normal(images.shape, np.float32)
        else:
            value = np.reshape(np.asarray(self.value), (-1, 1, 1))
        return np.where(erased, value.astype(images.dtype), images)


class RandAugment:
    """For each image, some operations chosen at random from fourteen, all of one strength.

    The operations: none, shear and shift (horizontal, vertical), rotate, brightness, colour, contrast, sharpness,
    posterize, solarize, autocontrast, equalize. Images are floats in [0, 1].

    Args:
        num_ops: operations for each image.
        magnitude: their strength, from 0 to 30.

    Source: E. D. Cubuk et al., RandAugment: Practical automated data augmentation with a reduced search space (2019).
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9):
        if not 0 <= magnitude <= 30:
            raise ValueError(f"magnitude is from 0 to 30, not {magnitude}")
        self.num_ops, self.magnitude = num_ops, magnitude

    def __call__(self, images: Array) -> Array:
        out = images.copy()
        for _ in range(self.num_ops):
            which = generator().integers(len(_OPERATIONS), size=len(images))
            signs = np.where(generator().random(len(images)) < 0.5, -1.0, 1.0)
            for number, operation in enumerate(_OPERATIONS):
                chosen = which == number
                if chosen.any():
                    out[chosen] = operation(out[chosen], self.magnitude / 30 * signs[chosen])
        return out


# ---- RandAugment's operations: images, and for each a strength in [-1, 1] -------------------------------


def _affine(images: Array, matrices: Array) -> Array:
    """Images seen through affine maps: pixel p of the result is pixel A p + b of the image, p counted from the centre.

    Args:
        images: of shape (N, C, H, W); what is outside is 0.
        matrices: the N maps, (A, b) of shape (N, 2, 3), on (row, column).
    """
    n, _, height, width = images.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - middle
    places = np.einsum("nij,hwj->nihw", matrices[:, :, :2], grid) + matrices[:, :, 2][..., None, None] + middle[:, None, None]
    corner = np.floor(places).astype(np.intp)
    part = (places - corner).astype(images.dtype)
    out = np.zeros_like(images)
    each = np.arange(n)[:, None, None]
    for down in (0, 1):
        for right in (0, 1):
            row, column = corner[:, 0] + down, corner[:, 1] + right
            weight = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            weight *= (row >= 0) & (row < height) & (column >= 0) & (column < width)
            values = images[each, :, row.clip(0, height - 1), column.clip(0, width - 1)]  # N, H, W, C
            out += values.transpose(0, 3, 1, 2) * weight[:, None]
    return out


def _maps(n: int, **entries: Array) -> Array:
    """Affine maps that are the identity but for some entries, named by row and column."""
    maps = np.tile(np.eye(2, 3), (n, 1, 1))
    for place, value in entries.items():
        maps[:, int(place[1]), int(place[2])] = value
    return maps


def _rotate(images: Array, strength: Array) -> Array:
    angle = np.deg2rad(30) * strength
    cos, sin = np.cos(angle), np.sin(angle)
    return _affine(images, _maps(len(images), m00=cos, m01=-sin, m10=sin, m11=cos))


def _blend(other: Array, images: Array, strength: Array) -> Array:
    """Away from another image (positive strength), or towards it."""
    factor = _each(1 + 0.9 * strength).astype(images.dtype)
    return np.clip(other + (images - other) * factor, 0, 1)


def _grey(images: Array) -> Array:
    if images.shape[1] != 3:
        return images.mean(axis=1, keepdims=True)
    weights = np.array([0.299, 0.587, 0.114], images.dtype)
    return np.einsum("nchw,c->nhw", images, weights)[:, None]


def _smooth(images: Array) -> Array:
    """A 3 x 3 mean in which the middle counts five times; the border is left as it is."""
    out = images.copy()
    if min(images.shape[2:]) > 2:
        windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
        out[..., 1:-1, 1:-1] = (windows.sum(axis=(-2, -1)) + 4 * images[..., 1:-1, 1:-1]) / 13
    return out


def _posterize(images: Array, strength: Array) -> Array:
    levels = _each(2.0 ** (8 - np.rint(4 * np.abs(strength)))).astype(images.dtype)
    return np.minimum(np.floor(images * levels), levels - 1) / np.maximum(levels - 1, 1)


def _solarize(images: Array, strength: Array) -> Array:
    return np.where(images >= _each(1 - np.abs(strength)), 1 - images, images)


def _autocontrast(images: Array, strength: Array) -> Array:
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    flat = high == low
    return np.where(flat, images, (images - low) / np.where(flat, 1, high - low)).astype(images.dtype)


def _equalize(images: Array, strength: Array) -> Array:
    """Each channel's 256 levels moved so that all are equally frequent."""
    n, channels, height, width = images.shape
    level = np.rint(np.clip(images, 0, 1) * 255).astype(np.intp).reshape(n * channels, -1)
    rows = np.arange(n * channels)[:, None]
    counts = np.bincount((level + 256 * rows).ravel(), minlength=256 * n * channels).reshape(n * channels, 256)
    below = np.cumsum(counts, axis=1)
    first = np.take_along_axis(below, level.min(axis=1, keepdims=True), axis=1)
    spread = (below - first) / np.maximum(height * width - first, 1)
    out = np.where(height * width == first, level / 255, spread[rows, level])
    return out.reshape(images.shape).astype(images.dtype)


_OPERATIONS: tuple[Callable[[Array, Array], Array], ...] = (
    lambda images, s: images,
    lambda images, s: _affine(images, _maps(len(images), m10=0.3 * s)),
    lambda images, s: _affine(images, _maps(len(images), m01=0.3 * s)),
    lambda images, s: _affine(images, _maps(len(images), m12=0.45 * s * images.shape[3])),
    lambda images, s: _affine(images, _maps(len(images), m02=0.45 * s * images.shape[2])),
    _rotate,
    lambda images, s: _blend(np.zeros_like(images), images, s),
    lambda images, s: _blend(_grey(images), images, s),
    lambda images, s: _blend(_grey(images).mean(axis=(2, 3), keepdims=True), images, s),
    lambda images, s: _blend(_smooth(images), images, s),
    _posterize,
    _solarize,
    _autocontrast,
    _equalize,
)


# ---- sizes and places -----------------------------------------------------------------------------------


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _each(values: Array) -> Array:
    """One value for each image, to be broadcast over it."""
    return values[:, None, None, None]


def _between(positions: Array, start: Array, stop: Array) -> Any:
    return (positions >= start[:, None]) & (positions < stop[:, None])


def _room(images: Array, size: tuple[int, int]) -> tuple[int, int]:
    have = (images.shape[2], images.shape[3])
    if have[0] < size[0] or have[1] < size[1]:
        raise ValueError(
            f"a crop of {size} does not fit into images of {have}, in an array (N, C, H, W) of shape {images.shape}; use a "
            "smaller size, or padding"
        )
    return have
