"""Attention by blocks of queries, forward and backward: there are never more scores than those of one block.

A block's scores with all keys that it may see are computed, made weights, and multiplied by the values. Backward they are
computed again, from the logarithm of each row's sum of exponentials.

Which weights dropout keeps is a function of a seed and of the place alone, ``kept``.

Source: T. Dao et al., FlashAttention (2022), for computing the scores again; the hash: C. Wellons, Prospecting for Hash
Functions (2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..core.memory import empty
from .layer import array_at, compiled, give_back, parallel_for
from .math import exp_below_zero, log
from .panels import multiply, panels_of

_ITEMS = 16  # at least, among threads
_LANES = 32
_FEW = 4  # queries


def kept(seed: int, shape: tuple[int, ...], p: float) -> Array:
    """Which elements of an array (..., S) dropout keeps: each with probability 1 - p."""
    *leading, length = shape
    rows = np.arange(int(np.prod(leading)), dtype=np.uint64)
    return _hash(_row_key(seed, rows)[:, None] ^ np.arange(length, dtype=np.uint32)).reshape(shape) >= _threshold(p)


def _row_key(seed: int, row: Array) -> Array:
    """The high half of a product, which depends on all of a row's number."""
    mixed = (row + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _hash(x: Array) -> Array:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _threshold(p: float) -> np.uint32:
    return np.uint32(min(round(p * 2.0**32), 2**32 - 1))


def attention(
    query: Array, key: Array, value: Array, mask: Array | None, causal: bool, scale: float, p: float, seed: int
) -> tuple[Array, Array]:
    """Means of the values, weighted by softmax(scale q k^T + mask), and the logarithm of each row's sum of exponentials.

    Args:
        query: (B, H, L, E).
        key: (B, H, S, E).
        value: (B, H, S, V).
        mask: (B, H, L, S), added to the scores, or None.
        causal: whether the i-th query sees the first i keys alone.
        scale: of the scores.
        p: the probability of dropping a weight.
        seed: see ``kept``.

    Returns: (B, H, L, V), in memory (B, L, H, V), and (B, H, L).
    """
    b, h, length, _ = query.shape
    out = empty((b, length, h, value.shape[3]), query.dtype).transpose(0, 2, 1, 3)
    sums = empty((b, h, length), query.dtype)
    mask_place, *options = _options(query, key, mask, causal, scale, p, seed)
    q, k, v = map(_contiguous_rows, (query, key, value))
    _attention(sums, _place(q), _place(k), _place(v), mask_place, _place(out), *options)
    return out, sums


def attention_backward(
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    out: Array,
    sums: Array,
    mask: Array | None,
    causal: bool,
    scale: float,
    p: float,
    seed: int,
) -> tuple[Array, Array, Array]:
    """The gradients of query, key and value from that of ``attention``'s result ``out``."""
    mask_place, *options = _options(query, key, mask, causal, scale, p, seed)
    parts = options[-1]
    (b, h, _, _), dtype = query.shape, query.dtype
    dq, dk, dv = (
        empty((n, b, a.shape[2], h, a.shape[3]), dtype).transpose(0, 1, 3, 2, 4)
        for a, n in ((query, 1), (key, parts), (value, parts))
    )
    read = [_contiguous_rows(a) for a in (g, query, key, value, out)]
    _backward(sums, *map(_place, read), mask_place, *map(_place, (dq[0], dk, dv)), *options)
    return dq[0], _sum_of_parts(dk), _sum_of_parts(dv)


def _contiguous_rows(a: Array) -> Array:
    if a.flags.c_contiguous or (a.strides[-1] == a.itemsize and not any(s % a.itemsize for s in a.strides)):
        return a
    return np.ascontiguousarray(a)


def _place(a: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Where an array is, for ``_array``: of another order in memory it would be of another type, and compiled for again."""
    return a.ctypes.data, a.shape, a.strides


_NOWHERE = 0, (0, 0, 0, 0), (0, 0, 0, 0)  # of no mask


def _sum_of_parts(a: Array) -> Array:
    return a[0] if len(a) == 1 else np.sum(a, axis=0)


def _options(query: Array, key: Array, mask: Array | None, causal: bool, scale: float, p: float, seed: int) -> tuple[Any, ...]:
    """Where the mask is, and what both passes need besides; the last two: queries in a block, and parts of a head."""
    (b, h, length, _), keys = query.shape, key.shape[2]
    rows = 32 if keys <= 128 else 64 if keys <= 4096 else 16
    blocks = -(-length // rows)
    parts = max(1, min(-(-_ITEMS // max(b * h, 1)), blocks))
    masked = mask is not None
    given = _NOWHERE if mask is None else _place(np.broadcast_to(mask, (b, h, length, keys)))
    return given, masked, causal, scale, 1 / (1 - p) if p < 1 else 0.0, _threshold(p), np.uint64(seed), rows, parts


@compiled
def _array(like: Any, place: Any) -> Any:
    return np.lib.stride_tricks.as_strided(array_at(like, place[0], 1), place[1], place[2])


@compiled
def _attention(
    sums: Any, q: Any, k: Any, v: Any, mask: Any, out: Any, masked: bool, causal: bool, scale: float, enlarge: float,
    threshold: Any, seed: Any, rows: int, parts: int,
) -> None:  # fmt: skip
    q, k, v, mask, out = _array(sums, q), _array(sums, k), _array(sums, v), _array(sums, mask), _array(sums, out)
    arguments = (q, k, v, mask, masked, causal, scale, enlarge, threshold, seed, rows, parts, out, sums)
    parallel_for(_attention_block, arguments, q.shape[0] * q.shape[1] * parts, 1)


@compiled
def _attention_block(
    q: Any, k: Any, v: Any, mask: Any, masked: bool, causal: bool, scale: float, enlarge: float, threshold: Any, seed: Any,
    rows: int, parts: int, out: Any, sums: Any, start: int, stop: int,
) -> None:  # fmt: skip
    heads, length, keys = q.shape[1], q.shape[2], k.shape[2]
    zero, one, infinity = q.dtype.type(0), q.dtype.type(1), q.dtype.type(np.inf)
    scores, lanes = np.empty((rows, keys), q.dtype), np.empty(_LANES, q.dtype)
    blocks = (length + rows - 1) // rows
    for item in range(start, stop):
        part, b, h = item % parts, item // parts // heads, item // parts % heads
        first, last = blocks * part // parts * rows, min(blocks * (part + 1) // parts * rows, length)
        seen = min(keys, last) if causal else keys
        few = last - first <= _FEW  # to copy the keys would take longer than to multiply by them
        copied = 0 if few else seen
        of_keys, of_values = panels_of(k[b, h, :copied].T), panels_of(v[b, h, :copied])
        for q0 in range(first, last, rows):
            q1 = min(q0 + rows, last)
            seen = min(keys, q1) if causal else keys
            weights = scores[: q1 - q0, :seen]
            if few:
                _scores_of_few(q[b, h, q0:q1], k[b, h, :seen], q.dtype.type(scale), weights)
            else:
                multiply(q[b, h, q0:q1], of_keys, weights, scale, 0.0)
            for r in range(q1 - q0):
                row = scores[r, :seen]
                visible = min(seen, q0 + r + 1) if causal else seen
                for j in range(visible, seen):
                    row[j] = zero
                row = row[:visible]
                if masked:
                    _add(row, mask[b, h, q0 + r, :visible])
                top = _largest(row, lanes)
                if top == -infinity and not _has_nan(row):  # it sees none
                    for j in range(len(row)):
                        row[j] = zero
                    sums[b, h, q0 + r] = infinity
                    continue
                total = zero
                for j in range(len(row)):
                    e = exp_below_zero(row[j] - top)
                    row[j] = e
                    total += e
                sums[b, h, q0 + r] = top + log(total)
                share = one / total
                for j in range(len(row)):
                    row[j] *= share
                if threshold > 0:
                    _drop(row, q.dtype.type(enlarge), threshold, _key(seed, (b * heads + h) * length + q0 + r))
            if few:
                _means_of_few(weights, v[b, h, :seen], out[b, h, q0:q1])
            else:
                multiply(weights, of_values, out[b, h, q0:q1], 1.0, 0.0)
        give_back(of_keys)
        give_back(of_values)


@compiled
def _scores_of_few(q: Any, k: Any, scale: Any, scores: Any) -> None:
    for r in range(len(q)):
        query = array_at(q, q[r:].ctypes.data, q.shape[1])
        for j in range(len(k)):
            key, total = array_at(k, k[j:].ctypes.data, q.shape[1]), q.dtype.type(0)
            for e in range(len(query)):
                total += query[e] * key[e]
            scores[r, j] = scale * total


@compiled
def _means_of_few(weights: Any, v: Any, out: Any) -> None:
    n = out.shape[1]
    for r in range(len(out)):
        row, whole = array_at(out, out[r:].ctypes.data, n), len(v) // 4 * 4
        for e in range(n):
            row[e] = 0
        for j in range(0, whole, 4):
            x0, x1, x2, x3 = weights[r, j], weights[r, j + 1], weights[r, j + 2], weights[r, j + 3]
            v0, v1 = array_at(v, v[j:].ctypes.data, n), array_at(v, v[j + 1 :].ctypes.data, n)
            v2, v3 = array_at(v, v[j + 2 :].ctypes.data, n), array_at(v, v[j + 3 :].ctypes.data, n)
            for e in range(n):
                row[e] += x0 * v0[e] + x1 * v1[e] + x2 * v2[e] + x3 * v3[e]
        for j in range(whole, len(v)):
            x, source = weights[r, j], array_at(v, v[j:].ctypes.data, n)
            for e in range(n):
                row[e] += x * source[e]


@compiled
def _backward(
    sums: Any, g: Any, q: Any, k: Any, v: Any, out: Any, mask: Any, dq: Any, dk: Any, dv: Any, masked: bool, causal: bool,
    scale: float, enlarge: float, threshold: Any, seed: Any, rows: int, parts: int,
) -> None:  # fmt: skip
    g, q, k, v, out = _array(sums, g), _array(sums, q), _array(sums, k), _array(sums, v), _array(sums, out)
    mask, dq, dk, dv = _array(sums, mask), _array(sums, dq), _array(sums, dk), _array(sums, dv)
    arguments = (g, q, k, v, out, sums, mask, masked, causal, scale, enlarge, threshold, seed, rows, parts, dq, dk, dv)
    parallel_for(_backward_block, arguments, q.shape[0] * q.shape[1] * parts, 1)


@compiled
def _backward_block(
    g: Any, q: Any, k: Any, v: Any, out: Any, sums: Any, mask: Any, masked: bool, causal: bool, scale: float, enlarge: float,
    threshold: Any, seed: Any, rows: int, parts: int, dq: Any, dk: Any, dv: Any, start: int, stop: int,
) -> None:  # fmt: skip
    heads, length, keys, zero, scale_ = q.shape[1], q.shape[2], k.shape[2], q.dtype.type(0), q.dtype.type(scale)
    scores, slopes = np.empty((rows, keys), q.dtype), np.empty((rows, keys), q.dtype)
    dropped = np.empty((rows, keys) if threshold > 0 else (0, 0), q.dtype)
    blocks = (length + rows - 1) // rows
    for item in range(start, stop):
        part, b, h = item % parts, item // parts // heads, item // parts % heads
        first, last = blocks * part // parts * rows, min(blocks * (part + 1) // parts * rows, length)
        dk_, dv_ = dk[part, b, h], dv[part, b, h]
        for j in range(keys):
            dk_[j] = zero
            dv_[j] = zero
        seen = min(keys, last) if causal else keys
        keys_across, values_across = panels_of(k[b, h, :seen].T), panels_of(v[b, h, :seen].T)
        of_keys = panels_of(k[b, h, :seen])
        for q0 in range(first, last, rows):
            q1 = min(q0 + rows, last)
            seen = min(keys, q1) if causal else keys
            weights, ds = scores[: q1 - q0, :seen], slopes[: q1 - q0, :seen]
            multiply(q[b, h, q0:q1], keys_across, weights, scale, 0.0)
            multiply(g[b, h, q0:q1], values_across, ds, 1.0, 0.0)
            for r in range(q1 - q0):
                visible = min(seen, q0 + r + 1) if causal else seen
                for j in range(visible, seen):
                    weights[r, j] = zero
                    ds[r, j] = zero
                row, slope = scores[r, :visible], slopes[r, :visible]
                if masked:
                    _add(row, mask[b, h, q0 + r, :visible])
                total = sums[b, h, q0 + r]
                for j in range(len(row)):
                    row[j] = exp_below_zero(row[j] - total)
                one, another, mean = g[b, h, q0 + r], out[b, h, q0 + r], zero
                for j in range(len(one)):
                    mean += one[j] * another[j]
                if threshold > 0:
                    key = _key(seed, (b * heads + h) * length + q0 + r)
                    lost = dropped[r, :visible]
                    for j in range(len(lost)):
                        lost[j] = row[j]
                    for j in range(visible, seen):
                        dropped[r, j] = zero
                    _drop(lost, q.dtype.type(enlarge), threshold, key)
                    _drop(slope, q.dtype.type(enlarge), threshold, key)
                for j in range(len(row)):
                    slope[j] = row[j] * (slope[j] - mean) * scale_
            multiply(ds, of_keys, dq[b, h, q0:q1], 1.0, 0.0)
            used = dropped[: q1 - q0, :seen] if threshold > 0 else weights
            of_slopes, of_queries = panels_of(g[b, h, q0:q1]), panels_of(q[b, h, q0:q1])
            multiply(used.T, of_slopes, dv_[:seen], 1.0, 1.0)
            multiply(ds.T, of_queries, dk_[:seen], 1.0, 1.0)
            give_back(of_slopes)
            give_back(of_queries)
        give_back(keys_across)
        give_back(values_across)
        give_back(of_keys)


@compiled
def _has_nan(row: Any) -> Any:
    found = False
    for j in range(len(row)):
        found |= row[j] != row[j]
    return found


@compiled
def _add(row: Any, more: Any) -> None:
    for j in range(len(row)):
        row[j] += more[j]


@compiled
def _largest(row: Any, lanes: Any) -> Any:
    """The largest element, found in several lanes at once; a NaN is passed over."""
    for l in range(_LANES):
        lanes[l] = -np.inf
    for j in range(0, len(row) // _LANES * _LANES, _LANES):
        part = row[j : j + _LANES]
        for l in range(_LANES):
            lanes[l] = part[l] if part[l] > lanes[l] else lanes[l]
    top = lanes[0]
    for l in range(1, _LANES):
        top = max(top, lanes[l])
    for j in range(len(row) // _LANES * _LANES, len(row)):
        top = max(top, row[j])
    return top


@compiled
def _key(seed: Any, row: int) -> Any:
    """What ``_row_key`` is, of one row."""
    mixed = (np.uint64(row) + seed) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.uint32(mixed >> np.uint64(32))


@compiled
def _drop(row: Any, enlarge: Any, threshold: Any, key: Any) -> None:
    """Set the elements that are not ``kept`` to zero, and enlarge the others."""
    zero = row.dtype.type(0)
    for j in range(len(row)):
        x = np.uint32(j) ^ key
        x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
        x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
        x = x ^ (x >> np.uint32(16))
        row[j] = row[j] * enlarge if x >= threshold else zero
