"""Which rows a convolution's product gathers, and where its results go: what depends on shapes alone.

A row of the product is what the window sees from one position: a few contiguous parts of the padded image, at distances that
are the same for all positions. The transpose of a strided convolution is taken apart into one such product for each remainder
of a position by the stride (a ``Path``), as all positions of one remainder are reached by the same elements of the kernel.

Distances are counted in elements, from the beginning of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import Array
from .layout import microkernel
from .window import Size, Window


class Axis(NamedTuple):
    """Along one dimension: where rows start and their results go, which elements of the kernel they see, at which distances."""

    starts: Array
    places: Array
    elements: list[int]
    shifts: list[int]

    def inside(self, size: int) -> list[Axis]:
        """Of rows that start in an image of ``size`` without padding: those that see the same elements inside, one by one."""
        seen = self.starts[:, None] + np.array(self.shifts, np.int64)
        there = (seen >= 0) & (seen < size)
        ends = [*(np.flatnonzero(np.any(there[1:] != there[:-1], axis=1)) + 1), len(there)]
        parts = []
        for begin, end in zip([0, *ends], ends, strict=False):
            which = np.flatnonzero(there[begin])
            elements, shifts = ([values[i] for i in which] for values in (self.elements, self.shifts))
            parts.append(Axis(self.starts[begin:end], self.places[begin:end], elements, shifts))
        return parts


class Path(NamedTuple):
    """The rows that see the same elements of the kernel."""

    starts: Array  # of each row, its distance from the beginning of its padded image
    places: Array  # of each row, the distance of its result from the beginning of its image
    elements: Array  # of the kernel, numbered row by row
    parts: Array  # the distance of each part from the row's start
    length: int  # of a part
    row: int  # how many rows follow each other in the last dimension
    step: int  # if their results do too, and what they see is one part there: the distance of their starts; else 0


class Plan(NamedTuple):
    """How to compute a convolution, or its transpose, from padded images."""

    padding: tuple[tuple[int, int], ...]
    size: Size  # of the result
    paths: tuple[Path, ...]
    element: int  # the distance between the elements of a part: 1 but where channels lie first
    group: int  # the distance between the groups of an image


@lru_cache(256)
def forward_plan(
    size: Size, channels: int, out_channels: int, window: Window, groups: int, order: str = "last", inside: bool = False
) -> Plan:
    """For a convolution of images of ``size``, which lie in memory in some ``order``.

    That is channels ``"last"``, or ``"first"``, which is for images that need no padding, or group after group, ``"groups"``.
    ``inside``: without padding, rows that see the same elements of the kernel inside being a path; else all are one.
    """
    padding: list[tuple[int, int]] = []
    axes: list[list[Axis]] = []
    result = window.output_size(size)
    for n, m, k, s, (before, _), d in zip(size, result, *window, strict=True):
        positions = np.arange(m)
        along = Axis(positions * s - (before if inside else 0), positions, list(range(k)), [d * i for i in range(k)])
        padding.append((0, 0) if inside else (before, max(0, (m - 1) * s + d * (k - 1) + 1 - n - before)))
        axes.append(along.inside(n) if inside else [along])
    return _plan(size, channels, out_channels, result, window.kernel, padding, axes, groups, order)


@lru_cache(256)
def transposed_plan(
    size: Size, g_size: Size, channels: int, out_channels: int, window: Window, groups: int, order: str = "last",
    inside: bool = False,
) -> Plan:  # fmt: skip
    """For the transpose of a convolution, from results of ``g_size`` to images of ``size``.

    The image's position i, and the kernel's element k, belong to the result's position j where i + padding = s j + d k.
    """
    padding, axes = [], []
    for n, m, k, s, (start, _), d in zip(size, g_size, *window, strict=True):
        places = np.arange(n)
        remainders, quotients = (places + start) % s, (places + start) // s
        before, after, along = 0, 0, []
        for f in range(min(s, n)):
            remainder = remainders[f]  # the remainders follow each other
            its = places[remainders == remainder]
            elements = [e for e in reversed(range(k)) if (e * d - remainder) % s == 0]
            steps = [(e * d - remainder) // s for e in elements]
            if elements:
                before = max(before, steps[0] - quotients[its[0]])
                after = max(after, quotients[its[-1]] - steps[-1] - (m - 1))
            along.append((quotients[its], its, elements, steps))
        if inside:
            before = after = 0
        padding.append((int(before), int(after)))
        alone = [Axis(q + before, its, elements, [-i for i in steps]) for q, its, elements, steps in along]
        axes.append([part for axis in alone for part in axis.inside(m)] if inside else alone)
    return _plan(g_size, channels, out_channels, size, window.kernel, padding, axes, groups, order)


def _plan(
    size: Size,
    channels: int,
    out_channels: int,
    result: Size,
    kernel: Size,
    padding: Sequence[tuple[int, int]],
    axes: Sequence[Sequence[Axis]],
    groups: int,
    order: str,
) -> Plan:
    padded = [n + sum(p) for n, p in zip(size, padding, strict=True)]
    inner = channels // groups
    pixel = {"last": channels, "first": 1, "groups": inner}[order]
    paths = []
    for along in product(*axes):
        starts = _outer([axis.starts for axis in along], padded) * pixel
        places = _outer([axis.places for axis in along], result) * out_channels
        elements = _outer([np.array(axis.elements, np.int64) for axis in along], kernel)
        shifts = [np.array(axis.shifts, np.int64) for axis in along]
        length, last, step = inner, shifts[-1], 0
        if order != "first" and pixel == inner and len(last) and (np.diff(last) == 1).all():
            # neighbours in the last dimension are one part
            length, shifts[-1] = inner * len(last), last[:1]
            if groups == 1 and len(along[-1].starts) > 1 and (np.diff(along[-1].places) == 1).all():
                step = int(along[-1].starts[1] - along[-1].starts[0]) * channels
        parts = _outer(shifts, padded) * pixel
        least = parts.min(initial=0)
        paths.append(Path(starts + least, places, elements, parts - least, length, len(along[-1].starts), step))
    pixels = int(np.prod(padded))
    element = pixels if order == "first" else 1
    group = {"last": inner, "first": inner * pixels, "groups": inner * pixels}[order]
    return Plan(tuple(padding), result, tuple(paths), element, group)


def _outer(numbers: Sequence[Array], size: Sequence[int]) -> Array:
    """The flat indices, in an array of ``size``, of all combinations of indices along its axes."""
    total = np.zeros(1, np.int64)
    for along, n in zip(numbers, size, strict=True):
        total = (total[:, None] * n + along).reshape(-1)
    return total


def neighbours(path: Path, outer: int, dtype: Any) -> int:
    """How many neighbours in the last dimension are best taken as one row, with a result for each in a vector's lanes."""
    if not path.step:
        return 1
    lanes = microkernel().VECTOR // dtype.itemsize
    possible = [n for n in range(1, lanes // outer + 1) if path.row % n == 0] or [1]
    return min(possible, key=lambda n: ((path.length + (n - 1) * path.step) / n, -n))


def together(path: Path, times: int) -> Path:
    """So many neighbours as one row, which sees what any of them sees."""
    length = path.length + (times - 1) * path.step
    return path._replace(starts=path.starts[::times], places=path.places[::times], length=length, row=path.row // times)


def tile(rows: int, columns: int, dtype: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The shape of the tiles into which a product of so many rows and columns is best divided."""
    lanes, heights, zero = microkernel().VECTOR // dtype.itemsize, microkernel().HEIGHTS, dtype.type(0)
    costs = [-(-rows // h) * max(h, 8) for h in heights]  # so many sums are under way in any case
    best = min(range(len(heights)), key=costs.__getitem__)
    if costs[best] * 1.15 > costs[0]:
        best = 0
    one, two = -(-columns // lanes), -(-columns // (2 * lanes))  # panels; those of one vector take longer for a column
    return (zero,) * heights[best], (zero,) * (1 if columns <= lanes or 14 * two > 9 * one else 2)


def measures(shape: tuple[tuple[Any, ...], tuple[Any, ...]]) -> tuple[int, int]:
    """Rows and columns of a tile."""
    return len(shape[0]), len(shape[1]) * microkernel().VECTOR // shape[0][0].itemsize
