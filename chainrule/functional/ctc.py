"""Connectionist temporal classification: the loss of a sequence whose alignment with the input is not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import Array
from ..dispatch import define_rule, primitive, unwrap
from ..kernels.lines import check_indices
from .loss import reduced


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Connectionist temporal classification: -log of the probability of a sequence, over all its alignments with the input.

    An alignment has a class or a blank at each time; repeated classes and then blanks are taken out of it. The gradient is that
    of the formula; PyTorch's is right only for ``log_probs`` that come from ``log_softmax``, where both are the same.

    Args:
        log_probs: logarithms of the classes' probabilities, (T, N, C), or (T, C) for one sequence.
        targets: the classes of each sequence, (N, S), or all sequences' in one row.
        input_lengths: the length of each input, up to T: (N,), or () for one.
        target_lengths: the length of each target: likewise.
        blank: the class of the blank.
        reduction: ``"mean"`` (each loss divided by its target's length, then the mean), ``"sum"`` or ``"none"``.
        zero_infinity: whether the infinite loss of a target that is too long for its input becomes 0.

    Raises:
        ValueError: shapes or lengths do not belong together.
        IndexError: a class is not from 0 to C - 1.

    Source: A. Graves et al., Connectionist Temporal Classification (2006).

    >>> import numpy as np, chainrule.functional as F
    >>> uniform = np.full((2, 1, 2), np.log(0.5))
    >>> F.ctc_loss(uniform, np.array([[1]]), np.array([2]), np.array([1]), reduction="none")  # of 1 1, 1 -, - 1
    array([0.28768207])
    """
    single = log_probs.ndim == 2
    x = log_probs[:, None] if single else log_probs
    if x.ndim != 3:
        raise ValueError(f"ctc_loss: expected log_probs (T, N, C) or (T, C), got {log_probs.shape}")
    steps, batch, classes = x.shape
    lengths, sizes = (np.reshape(np.asarray(unwrap(n)), -1) for n in (input_lengths, target_lengths))
    if lengths.shape != (batch,) or sizes.shape != (batch,):
        raise ValueError(f"ctc_loss: for {batch} sequences there are {lengths.size} input and {sizes.size} target lengths")
    if batch and not (lengths.min() >= 0 and lengths.max() <= steps):
        raise ValueError(f"ctc_loss: input lengths are from 0 to {steps}, the first axis of log_probs, not {lengths}")
    labels = _labels(unwrap(targets), sizes, blank)
    check_indices(labels, classes, "the number of classes")
    same = labels[:, 2:] == labels[:, :-2]  # a blank and a blank, or a class and the same again: none is skipped
    skips = np.concatenate([np.zeros((batch, min(2, labels.shape[1])), bool), ~same], axis=1)
    emitted = np.take_along_axis(x, np.broadcast_to(labels, (steps, *labels.shape)), 2)
    loss = -_log_likelihood(emitted, skips, lengths, sizes)
    if zero_infinity:
        loss = np.where(np.isinf(unwrap(loss)), loss.dtype.type(0), loss)
    if reduction == "mean":
        loss = loss / np.maximum(sizes, 1).astype(loss.dtype)
    return reduced(np.reshape(loss, ()) if single else loss, reduction)


def _labels(targets: Array, sizes: Array, blank: int) -> Array:
    """Each sequence with blanks around and between its classes, (N, 2 S + 1); blanks behind the shorter ones."""
    longest = int(sizes.max(initial=0))
    here = np.arange(longest) < sizes[:, None]
    if targets.ndim == 2 or (len(sizes) == 1 and targets.size >= longest):
        rows = np.reshape(targets, targets.shape if targets.ndim == 2 else (1, targets.size))
        if len(rows) != len(sizes) or rows.shape[1] < longest:
            raise ValueError(f"ctc_loss: {len(sizes)} targets of up to {longest} classes, but targets are {targets.shape}")
        classes = np.where(here, rows[:, :longest], blank)
    elif targets.size == sizes.sum():
        classes = np.full(here.shape, blank)
        classes[here] = targets
    else:
        raise ValueError(f"ctc_loss: the target lengths sum to {sizes.sum()}, but targets are {targets.shape}")
    blanks = np.full((len(sizes), longest + 1), blank)
    pairs = np.reshape(np.stack([blanks[:, 1:], classes], axis=-1), (len(sizes), 2 * longest))
    return np.concatenate([pairs, blanks[:, :1]], axis=1)


# Labels are numbered along a sequence with its blanks. From one time to the next, an alignment stays where it is, or goes on
# by one, or by two where ``skips`` lets it. All is said for the whole batch, one time after another.


def _shifted(x: Any, by: int, fill: float) -> Any:
    """The last axis moved by so many places, to the right or, below 0, to the left."""
    edge = np.full((*x.shape[:-1], min(abs(by), x.shape[-1])), fill, x.dtype)
    return np.concatenate([edge, x[..., :-by]] if by > 0 else [x[..., -by:], edge], axis=-1)


def _arriving(before: Any, skips: Array) -> tuple[Any, Any, Any]:
    """The log-probabilities of coming to each label, from each of the places before."""
    return before, _shifted(before, 1, -np.inf), np.where(skips, _shifted(before, 2, -np.inf), before.dtype.type(-np.inf))


def _prefixes(emitted: Any, skips: Array, lengths: Array) -> list[Any]:
    """The log-probability of all that leads to each label, for each time; from the input's end on, it stays."""
    start = np.where(np.arange(emitted.shape[-1]) == 0, 0.0, -np.inf).astype(emitted.dtype)
    every = [np.broadcast_to(start, emitted.shape[1:])]
    for t in range(len(emitted)):
        stay, step, skip = _arriving(every[-1], skips)
        here = np.logaddexp(np.logaddexp(stay, step), skip) + emitted[t]
        every.append(np.where((t < lengths)[:, None], here, every[-1]))
    return every


def _ends(sizes: Array, labels: int) -> Array:
    """Which labels an alignment may end at: the last class, and the blank behind it."""
    return np.isin(np.arange(labels) - 2 * sizes[:, None], (0, -1))


@primitive
def _log_likelihood(emitted: Any, skips: Array, lengths: Array, sizes: Array) -> Any:
    """The log-probability of each sequence, (N,), from those of its labels at each time, (T, N, 2 S + 1)."""
    last = _prefixes(emitted, skips, lengths)[-1]
    return np.logaddexp.reduce(last, axis=-1, where=_ends(sizes, last.shape[-1]), initial=-np.inf)


def _occupation(g: Any, ans: Any, emitted: Any, skips: Array, lengths: Array, sizes: Array) -> Any:
    """Its gradient: g times the probability that the alignment is at a label at a time, of all that yield the sequence.

    From the end back, the probability of being somewhere is shared among the places before as they have contributed.
    """
    every = _prefixes(emitted, skips, lengths)
    zero = emitted.dtype.type(0)

    def share(part: Any, whole: Any) -> Any:
        possible = np.isfinite(unwrap(part))
        return np.where(possible, np.exp(np.where(possible, part, zero) - np.where(possible, whole, zero)), zero)

    ends = np.where(_ends(sizes, emitted.shape[-1]), every[-1], emitted.dtype.type(-np.inf))
    here = g[:, None] * share(ends, ans[:, None])
    gradients = []
    for t in reversed(range(len(emitted))):
        is_input = (t < lengths)[:, None]
        gradients.append(np.where(is_input, here, zero))
        parts = _arriving(every[t], skips)
        whole = np.logaddexp(np.logaddexp(parts[0], parts[1]), parts[2])
        shares = [here * share(part, whole) for part in parts]
        here = np.where(is_input, shares[0] + _shifted(shares[1], -1, 0) + _shifted(shares[2], -2, 0), here)
    return np.stack(gradients[::-1])


define_rule(_log_likelihood, emitted=_occupation)
