"""Images sampled at places that differ from image to image: for each place some elements, with weights.

An image is x (N, C, S), its axes made one; ``index`` and ``w`` are (N, T, K): K elements and weights for each of T places.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import compiled, dense, kernel, parallel_for


@kernel
def pull(x: Array, w: Array, index: Array) -> Array:
    """The weighted sums of an image's elements: (N, C, T)."""
    y = np.zeros((*x.shape[:2], index.shape[1]), x.dtype)
    for k in range(index.shape[2]):
        y += w[:, None, :, k] * np.take_along_axis(x, index[:, None, :, k], axis=2)
    return y


@kernel
def push(g: Array, w: Array, index: Array, size: int) -> Array:
    """The transpose of ``pull``: each place's element goes, with the weights, to the image's elements: (N, C, size)."""
    x = np.zeros((*g.shape[:2], size), g.dtype)
    for n in range(len(g)):
        for k in range(index.shape[2]):
            np.add.at(x[n].T, index[n, :, k], (g[n] * w[n, :, k]).T)
    return x


@kernel
def pair(g: Array, x: Array, index: Array) -> Array:
    """The products of each place's elements in ``g`` (N, C, T) with the image's, added over the channels: (N, T, K)."""
    w = np.empty(index.shape, x.dtype)
    for k in range(index.shape[2]):
        w[:, :, k] = np.sum(g * np.take_along_axis(x, index[:, None, :, k], axis=2), axis=1)
    return w


def _pays(a: Array, b: Array, index: Array, size: int = 0) -> bool:
    return dense(a, b) and a.dtype == b.dtype and a.shape[1] * index.size >= 1024


@pull.compiled(when=_pays)
def _(x: Array, w: Array, index: Array) -> Array:
    y = empty((*x.shape[:2], index.shape[1]), x.dtype)
    _pull(*map(np.ascontiguousarray, (x, w, index)), y)
    return y


@push.compiled(when=_pays)
def _(g: Array, w: Array, index: Array, size: int) -> Array:
    x = empty((*g.shape[:2], size), g.dtype)
    _push(*map(np.ascontiguousarray, (g, w, index)), x)
    return x


@pair.compiled(when=_pays)
def _(g: Array, x: Array, index: Array) -> Array:
    w = empty(index.shape, x.dtype)
    _pair(*map(np.ascontiguousarray, (g, x, index)), w)
    return w


@compiled
def _pull(x: Any, w: Any, index: Any, y: Any) -> None:
    parallel_for(_pull_block, (x, w, index, y), len(x) * x.shape[1], 1)


@compiled
def _pull_block(x: Any, w: Any, index: Any, y: Any, start: int, stop: int) -> None:
    channels, places, taps = x.shape[1], index.shape[1], index.shape[2]
    for row in range(start, stop):
        n, c = row // channels, row % channels
        image, out, at, weight = x[n, c], y[n, c], index[n], w[n]
        for t in range(places):
            total = image.dtype.type(0)
            for k in range(taps):
                total += weight[t, k] * image[np.uint64(at[t, k])]
            out[t] = total


@compiled
def _push(g: Any, w: Any, index: Any, x: Any) -> None:
    parallel_for(_push_block, (g, w, index, x), len(x) * x.shape[1], 1)


@compiled
def _push_block(g: Any, w: Any, index: Any, x: Any, start: int, stop: int) -> None:
    channels, places, taps = x.shape[1], index.shape[1], index.shape[2]
    for row in range(start, stop):
        n, c = row // channels, row % channels
        image, given, at, weight = x[n, c], g[n, c], index[n], w[n]
        for i in range(len(image)):
            image[i] = 0
        for t in range(places):
            for k in range(taps):
                image[np.uint64(at[t, k])] += weight[t, k] * given[t]


@compiled
def _pair(g: Any, x: Any, index: Any, w: Any) -> None:
    parallel_for(_pair_block, (g, x, index, w), len(w) * w.shape[1], 256)


@compiled
def _pair_block(g: Any, x: Any, index: Any, w: Any, start: int, stop: int) -> None:
    places, taps = index.shape[1], index.shape[2]
    for row in range(start, stop):
        n, t = row // places, row % places
        out = w[n, t]
        for k in range(taps):
            out[k] = 0
        for c in range(x.shape[1]):
            image, given = x[n, c], g[n, c, t]
            for k in range(taps):
                out[k] += given * image[np.uint64(index[n, t, k])]
