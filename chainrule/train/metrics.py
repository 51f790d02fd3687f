"""Metrics: told of batch after batch, they say what one computation on all of them would.

Outputs are what models return: logits of shape (N, C, ...) with the classes on axis 1, as for ``cross_entropy``, or on the
last, with targets of shape (N, ...); logits of shape (N,) or (N, 1) for two classes; values for regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.arrays import Array


class Metric:
    """A result that is gathered over batches. A subclass defines ``reset``, ``update`` and ``compute``."""

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define reset")

    def update(self, outputs: Array, targets: Array) -> None:
        """Take in a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def compute(self) -> Any:
        """The result for all batches since ``reset``; NaN where there were none."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute")

    def state_dict(self) -> dict[str, Any]:
        """What was gathered."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` has returned."""
        vars(self).update(state_dict)


class Mean(Metric):
    """The mean of values that are means over some examples each, such as a loss.

    >>> loss = Mean()
    >>> loss.update(1.0, 3)
    >>> loss.update(2.0, 1)
    >>> loss.compute()
    1.25
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, value: float, examples: int) -> None:  # type: ignore[override]
        self.total += value * examples
        self.count += examples

    def compute(self) -> float:
        return _share(self.total, self.count)


class Accuracy(Mean):
    """The share of examples (or pixels, or tokens) whose highest logit is at their class.

    Args:
        ignore_index: a target that is not counted.

    >>> accuracy = Accuracy()
    >>> accuracy.update(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    def __init__(self, ignore_index: int | None = None):
        super().__init__()
        self.ignore_index = ignore_index

    def update(self, outputs: Array, targets: Array) -> None:  # type: ignore[override]
        found, targets = _found(outputs, targets)
        counted = np.ones(targets.shape, bool) if self.ignore_index is None else targets != self.ignore_index
        self.total += int(np.sum((found == targets) & counted))
        self.count += int(counted.sum())


class TopKAccuracy(Mean):
    """The share of examples whose class is among the ``k`` highest logits.

    Args:
        k: how many; of classes with equal logits, that of the target counts as the higher.

    >>> top = TopKAccuracy(k=2)
    >>> top.update(np.array([[0.1, 0.3, 0.6], [0.5, 0.3, 0.2]]), np.array([1, 2]))
    >>> top.compute()
    0.5
    """

    def __init__(self, k: int = 5):
        super().__init__()
        self.k = k

    def update(self, outputs: Array, targets: Array) -> None:  # type: ignore[override]
        scores = _classes_last(outputs, targets)
        own = np.take_along_axis(scores, targets[..., None], axis=-1)
        self.total += int(np.sum((scores > own).sum(axis=-1) < self.k))
        self.count += targets.size


class ConfusionMatrix(Metric):
    """How often class i was taken for class j: an int64 array of shape (C, C), with the true classes in rows.

    Args:
        num_classes: C; by default, as many as the outputs have.
    """

    def __init__(self, num_classes: int | None = None):
        self.num_classes = num_classes
        self.reset()

    def reset(self) -> None:
        n = self.num_classes or 0
        self.counts: Array = np.zeros((n, n), np.int64)

    def update(self, outputs: Array, targets: Array) -> None:
        found, targets = _found(outputs, targets)
        logits_of_two = outputs.shape == targets.shape or outputs.shape[1:] == (1,)
        n = self.num_classes or (2 if logits_of_two else _classes_last(outputs, targets).shape[-1])
        if targets.size and not 0 <= targets.min() <= targets.max() < n:
            raise ValueError(f"targets are classes from 0 to {n - 1}, but range from {targets.min()} to {targets.max()}")
        counts = np.bincount((targets.astype(np.intp) * n + found).ravel(), minlength=n * n).reshape(n, n)
        self.counts = counts if self.counts.shape != counts.shape else self.counts + counts

    def compute(self) -> Any:
        return self.counts


class F1(ConfusionMatrix):
    """2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall.

    Args:
        average: of the classes that occur as target or output: ``"macro"``, their mean; ``"weighted"``, by how often they
            are the target; ``"micro"``, from the counts of all together; ``"binary"``, that of class 1; None, an array of
            all, with 0 for classes that do not occur.
        num_classes: by default, as many as the outputs have.

    Raises:
        ValueError: another average.
    """

    def __init__(self, average: str | None = "macro", num_classes: int | None = None):
        if average not in ("macro", "weighted", "micro", "binary", None):
            raise ValueError(f"average is 'macro', 'weighted', 'micro', 'binary' or None, not {average!r}")
        super().__init__(num_classes)
        self.average = average

    def compute(self) -> Any:
        right = np.diagonal(self.counts).astype(float)
        targets, found = self.counts.sum(axis=1), self.counts.sum(axis=0)
        if self.average == "micro":
            return _share(float(right.sum()), int(targets.sum()))
        occurs = targets + found > 0
        each = np.where(occurs, 2 * right / np.maximum(targets + found, 1), 0.0)
        if self.average is None:
            return each
        if self.average == "binary":
            return float(each[1]) if len(each) > 1 else float("nan")
        if self.average == "weighted":
            return _share(float(each @ targets), int(targets.sum()))
        return _share(float(each.sum()), int(occurs.sum()))


class AUC(Metric):
    """The area under the ROC curve: how often a positive example has a higher score than a negative one, ties by half.

    With more than two classes, each against the others by their softmax, averaged over the classes. It keeps all scores, so
    that it is exact. NaN where a class has no examples, or all of them.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.outputs: list[Array] = []
        self.targets: list[Array] = []

    def update(self, outputs: Array, targets: Array) -> None:
        self.outputs.append(np.array(outputs[:, 0] if outputs.shape[1:] == (1,) else outputs))
        self.targets.append(np.array(targets).reshape(len(outputs)))

    def compute(self) -> float:
        if not self.outputs:
            return float("nan")
        scores, targets = np.concatenate(self.outputs), np.concatenate(self.targets)
        if scores.ndim == 1:
            return _area(scores, targets == 1)
        if scores.shape[1] == 2:
            return _area(scores[:, 1] - scores[:, 0], targets == 1)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        return float(np.mean([_area(shares[:, k], targets == k) for k in range(shares.shape[1])]))


def _area(scores: Array, positive: Array) -> float:
    """From the positive examples' ranks (H. B. Mann, D. R. Whitney, 1947)."""
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share the mean of their ranks
    return float((ranks[place][positive].sum() - n * (n + 1) / 2) / (n * m))


class R2(Metric):
    """1 - sum (y - f)^2 / sum (y - mean y)^2: the share of the variance that is explained; several outputs are averaged.

    The targets' variance is gathered by merging those of batches, which loses no digits where the mean is large.

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for Computing the Sample Variance (1983).
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.mean: Array = np.zeros(0)
        self.spread: Array = np.zeros(0)
        self.error: Array = np.zeros(0)

    def update(self, outputs: Array, targets: Array) -> None:
        if outputs.shape != targets.shape:
            raise ValueError(f"R2: outputs of shape {outputs.shape}, targets of shape {targets.shape}; they must be equal")
        n = len(targets)
        if n == 0:
            return
        f, y = (x.astype(np.float64).reshape(n, -1) for x in (outputs, targets))
        mean = y.mean(axis=0)
        spread, error = ((y - mean) ** 2).sum(axis=0), ((y - f) ** 2).sum(axis=0)
        if self.count == 0:
            self.count, self.mean, self.spread, self.error = n, mean, spread, error
            return
        step, total = mean - self.mean, self.count + n
        self.spread = self.spread + spread + step**2 * (self.count * n / total)
        self.mean = self.mean + step * (n / total)
        self.error = self.error + error
        self.count = total

    def compute(self) -> float:
        if self.count < 2 or not self.spread.all():
            return float("nan")
        return float(np.mean(1 - self.error / self.spread))


class Perplexity(Mean):
    """exp of the mean negative log-likelihood of the target tokens: of how many equally likely ones the model has to choose.

    Args:
        ignore_index: a target that is not counted, such as padding.

    >>> perplexity = Perplexity()
    >>> perplexity.update(np.zeros((2, 3, 50)), np.zeros((2, 3), int))  # nothing known of 50 tokens
    >>> round(perplexity.compute(), 3)
    50.0
    """

    def __init__(self, ignore_index: int = -100):
        super().__init__()
        self.ignore_index = ignore_index

    def update(self, outputs: Array, targets: Array) -> None:  # type: ignore[override]
        logits = _classes_last(outputs, targets)
        counted = targets != self.ignore_index
        logits, chosen = logits[counted].astype(np.float64), targets[counted]
        high = logits.max(axis=-1, initial=-np.inf)
        total = high + np.log(np.exp(logits - high[:, None]).sum(axis=-1))
        self.total += float((total - logits[np.arange(len(chosen)), chosen]).sum())
        self.count += len(chosen)

    def compute(self) -> float:
        return float(np.exp(super().compute()))


def _share(total: float, count: int) -> float:
    return total / count if count else float("nan")


def _classes_last(outputs: Array, targets: Array) -> Array:
    """Logits with the classes on the last axis."""
    if outputs.ndim > 1 and outputs.shape[:1] + outputs.shape[2:] == targets.shape:
        return np.moveaxis(outputs, 1, -1)
    if outputs.shape[:-1] == targets.shape:
        return outputs
    raise ValueError(
        f"outputs of shape {outputs.shape} do not fit targets of shape {targets.shape}; expected logits of shape (N, C, ...) "
        "for classes of shape (N, ...)"
    )


def _found(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """The classes that logits stand for, and the targets in the same shape."""
    if targets.dtype.kind == "f" and (targets % 1).any():
        raise ValueError("this metric compares classes, but the targets are no whole numbers; for a regression use R2")
    if outputs.shape == targets.shape:
        return (outputs > 0).astype(np.intp), targets
    if outputs.shape == (*targets.shape, 1):
        return (outputs[..., 0] > 0).astype(np.intp), targets
    return _classes_last(outputs, targets).argmax(axis=-1), targets
