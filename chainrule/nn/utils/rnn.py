"""Sequences of different lengths in one batch: padded, or packed without the padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.arrays import Array
from ...dispatch import unwrap


class PackedSequence(NamedTuple):
    """A batch of sequences without padding: the first elements of all, then the second elements of those that have one, ...

    The sequences stand in order of their length, the longest first, so that those still running at any time are the first
    ``batch_sizes[time]``. The recurrent layers take it and return it.

    Args:
        data: (sum of the lengths, ...).
        batch_sizes: how many sequences are longer than each time, which falls.
        sorted_indices: for each place in that order, which sequence of the batch it is; None if they came in that order.
        unsorted_indices: for each sequence of the batch, its place in that order.
    """

    data: Any
    batch_sizes: Array
    sorted_indices: Array | None = None
    unsorted_indices: Array | None = None


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Leave out the padding of a batch of sequences.

    Args:
        input: (T, N, ...), or (N, T, ...) if ``batch_first``.
        lengths: (N,), of each sequence, at least 1.
        batch_first: whether the first axis is that of the batch.
        enforce_sorted: whether the lengths must fall; if not, the sequences are sorted.

    Raises:
        ValueError: a length is below 1 or above T, there is not one for each sequence, or they don't fall.

    >>> import numpy as np
    >>> from chainrule.nn.utils.rnn import pack_padded_sequence
    >>> packed = pack_padded_sequence(np.array([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    >>> packed.data, packed.batch_sizes
    (array([1, 4, 2, 3]), array([2, 1, 1]))
    """
    lengths = np.asarray(unwrap(lengths), np.int64)
    if batch_first:
        input = np.swapaxes(input, 0, 1)
    time, n = input.shape[:2]
    if lengths.shape != (n,):
        raise ValueError(f"expected one length for each of {n} sequences, got lengths of shape {lengths.shape}")
    if n == 0 or lengths.min() < 1 or lengths.max() > time:
        raise ValueError(f"lengths are from 1 to {time}, the padded length, in a batch of one or more; got {lengths.tolist()}")
    order = inverse = None
    if not enforce_sorted:
        order = np.argsort(-lengths, kind="stable")
        inverse = np.argsort(order)
        lengths, input = lengths[order], input[:, order]
    elif (np.diff(lengths) > 0).any():
        raise ValueError(f"lengths must fall, got {lengths.tolist()}; pass enforce_sorted=False to have them sorted")
    running = np.arange(lengths[0])[:, None] < lengths  # (T, N)
    return PackedSequence(input[np.nonzero(running)], running.sum(axis=1), order, inverse)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Array]:
    """Pad a packed batch of sequences to one length: the inverse of ``pack_padded_sequence``; returns the lengths too.

    Args:
        sequence: the packed batch.
        batch_first: whether the batch's axis is to be the first.
        padding_value: what stands after the end of a sequence.
        total_length: the length to pad to; by default the longest sequence's.

    Raises:
        ValueError: ``total_length`` is less than that.

    >>> import numpy as np
    >>> from chainrule.nn.utils.rnn import pack_sequence, pad_packed_sequence
    >>> pad_packed_sequence(pack_sequence([np.array([1, 2, 3]), np.array([4])]), batch_first=True)
    (array([[1, 2, 3],
           [4, 0, 0]]), array([3, 1]))
    """
    data, batch_sizes, _, inverse = sequence
    longest, n = len(batch_sizes), int(batch_sizes[0])
    time = longest if total_length is None else total_length
    if time < longest:
        raise ValueError(f"total_length {time} is less than the longest sequence's length {longest}")
    running = np.arange(n) < np.concatenate([batch_sizes, np.zeros(time - longest, batch_sizes.dtype)])[:, None]  # (T, N)
    lengths = running.sum(axis=0)
    places = np.where(running, np.cumsum(running).reshape(running.shape) - 1, 0)
    if inverse is not None:
        places, running, lengths = places[:, inverse], running[:, inverse], lengths[inverse]
    if batch_first:
        places, running = places.T, running.T
    running = running.reshape(*running.shape, *[1] * (data.ndim - 1))
    return np.where(running, data[places], data.dtype.type(padding_value)), lengths


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Stack sequences of different lengths, padded to the longest.

    Args:
        sequences: N of them, each (length, ...).
        batch_first: (N, T, ...) instead of (T, N, ...).
        padding_value: what stands after (or before) a sequence.
        padding_side: ``"right"`` or ``"left"``.

    Raises:
        ValueError: no sequences, or another ``padding_side``.

    >>> import numpy as np
    >>> from chainrule.nn.utils.rnn import pad_sequence
    >>> pad_sequence([np.array([1, 2, 3]), np.array([4])], batch_first=True, padding_value=-1)
    array([[ 1,  2,  3],
           [ 4, -1, -1]])
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side is 'left' or 'right', not {padding_side!r}")
    if not len(sequences):
        raise ValueError("pad_sequence needs one sequence or more")
    longest = max(len(s) for s in sequences)
    padded = []
    for s in sequences:
        padding = np.full((longest - len(s), *s.shape[1:]), padding_value, s.dtype)
        padded.append(np.concatenate([s, padding] if padding_side == "right" else [padding, s]))
    return np.stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Take a padded batch apart into sequences of ``lengths``: the inverse of ``pad_sequence``.

    >>> import numpy as np
    >>> from chainrule.nn.utils.rnn import unpad_sequence
    >>> unpad_sequence(np.array([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    [array([1, 2, 3]), array([4])]
    """
    if not batch_first:
        padded_sequences = np.swapaxes(padded_sequences, 0, 1)
    return [padded_sequences[i, : int(length)] for i, length in enumerate(unwrap(lengths))]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths; see ``PackedSequence``.

    >>> import numpy as np
    >>> from chainrule.nn.utils.rnn import pack_sequence
    >>> pack_sequence([np.array([1, 2]), np.array([3])]).data
    array([1, 3, 2])
    """
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Take a packed batch apart into its sequences: the inverse of ``pack_sequence``."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
