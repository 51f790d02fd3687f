"""Metrics: the same however the data is cut into batches, and what scikit-learn computes."""

import math

import numpy as np
import pytest

from chainrule.train import metrics

rng = np.random.default_rng(0)
N, C = 97, 5
LOGITS = rng.normal(size=(N, C)).astype(np.float32).round(1)  # with ties
CLASSES = rng.integers(0, C, N)
BINARY = rng.normal(size=N).round(1)
SIDES = (BINARY + rng.normal(size=N) > 0).astype(int)
VALUES = 1e4 + rng.normal(size=(N, 3))
GUESSES = VALUES + 0.3 * rng.normal(size=(N, 3))


def of(metric, outputs, targets, cuts=()):
    metric.reset()
    for out, target in zip(np.split(outputs, cuts), np.split(targets, cuts), strict=True):
        metric.update(out, target)
    return metric.compute()


def softmax(x):
    x = np.exp(x.astype(float))
    return x / x.sum(axis=1, keepdims=True)


def with_sklearn():
    sk = pytest.importorskip("sklearn.metrics")
    found = LOGITS.argmax(axis=1)
    rare = np.where(CLASSES == 3, 0, CLASSES)
    return [
        (metrics.Accuracy(), LOGITS, CLASSES, sk.accuracy_score(CLASSES, found)),
        (metrics.Accuracy(), BINARY, SIDES, sk.accuracy_score(SIDES, BINARY > 0)),
        (metrics.Accuracy(), BINARY[:, None], SIDES, sk.accuracy_score(SIDES, BINARY > 0)),
        (metrics.TopKAccuracy(1), LOGITS + rng.normal(size=LOGITS.shape) * 1e-3, CLASSES, None),
        (metrics.TopKAccuracy(3), rng.permuted(np.tile(np.arange(C), (N, 1)), axis=1), CLASSES, None),
        (metrics.ConfusionMatrix(), LOGITS, CLASSES, sk.confusion_matrix(CLASSES, found)),
        (metrics.ConfusionMatrix(), BINARY, SIDES, sk.confusion_matrix(SIDES, BINARY > 0)),
        (metrics.F1("macro"), LOGITS, CLASSES, sk.f1_score(CLASSES, found, average="macro")),
        (metrics.F1("macro"), LOGITS, rare, sk.f1_score(rare, found, average="macro")),
        (metrics.F1("micro"), LOGITS, CLASSES, sk.f1_score(CLASSES, found, average="micro")),
        (metrics.F1("weighted"), LOGITS, rare, sk.f1_score(rare, found, average="weighted")),
        (metrics.F1(None), LOGITS, CLASSES, sk.f1_score(CLASSES, found, average=None)),
        (metrics.F1("binary"), BINARY, SIDES, sk.f1_score(SIDES, BINARY > 0)),
        (metrics.AUC(), BINARY, SIDES, sk.roc_auc_score(SIDES, BINARY)),
        (metrics.AUC(), BINARY[:, None], SIDES, sk.roc_auc_score(SIDES, BINARY)),
        (metrics.AUC(), np.stack([-BINARY, BINARY], 1), SIDES, sk.roc_auc_score(SIDES, BINARY)),
        (metrics.AUC(), LOGITS, CLASSES, sk.roc_auc_score(CLASSES, softmax(LOGITS), multi_class="ovr")),
        (metrics.R2(), GUESSES, VALUES, sk.r2_score(VALUES, GUESSES)),
        (metrics.R2(), GUESSES[:, 0], VALUES[:, 0], sk.r2_score(VALUES[:, 0], GUESSES[:, 0])),
        (metrics.Perplexity(), LOGITS, CLASSES, math.exp(sk.log_loss(CLASSES, softmax(LOGITS)))),
    ]


def test_metrics_are_those_of_all_batches_together():
    for metric, outputs, targets, expected in with_sklearn():
        name = type(metric).__name__
        if expected is None:
            expected = pytest.importorskip("sklearn.metrics").top_k_accuracy_score(targets, outputs, k=metric.k)
        np.testing.assert_allclose(of(metric, outputs, targets), expected, rtol=1e-6, err_msg=name)
        for cuts in ([1, 2], [40, 40, 96], range(1, N)):
            np.testing.assert_allclose(of(metric, outputs, targets, cuts), expected, rtol=1e-6, err_msg=name)
        state = metric.state_dict()
        again = type(metric)()
        again.load_state_dict(state)
        np.testing.assert_array_equal(again.compute(), metric.compute())


def test_metrics_of_pixels_and_tokens():
    logits, targets = rng.normal(size=(4, C, 3, 2)), rng.integers(0, C, (4, 3, 2))
    flat = np.moveaxis(logits, 1, -1).reshape(-1, C)
    for make in (metrics.Accuracy, lambda: metrics.TopKAccuracy(2), metrics.ConfusionMatrix, metrics.F1, metrics.Perplexity):
        expected = of(make(), flat, targets.ravel())
        np.testing.assert_allclose(of(make(), logits, targets), expected)
        np.testing.assert_allclose(of(make(), np.moveaxis(logits, 1, -1), targets), expected)
    padded = targets.copy()
    padded[:, 1:] = -100
    np.testing.assert_allclose(
        of(metrics.Perplexity(), logits, padded), of(metrics.Perplexity(), logits[:, :, :1], targets[:, :1])
    )
    padded = np.where(padded == -100, 0, padded)
    kept = targets[:, :1][targets[:, :1] != 0], np.moveaxis(logits, 1, -1)[:, :1][targets[:, :1] != 0]
    np.testing.assert_allclose(of(metrics.Accuracy(ignore_index=0), logits, padded), of(metrics.Accuracy(), kept[1], kept[0]))


def test_nothing_is_nan():
    for metric in (
        metrics.Mean(),
        metrics.Accuracy(),
        metrics.F1(),
        metrics.F1("binary"),
        metrics.AUC(),
        metrics.R2(),
        metrics.Perplexity(),
    ):
        assert math.isnan(metric.compute())
    assert math.isnan(of(metrics.AUC(), BINARY, np.ones(N, int)))
    assert math.isnan(of(metrics.R2(), np.ones(3), np.ones(3)))
    assert of(metrics.ConfusionMatrix(3), np.zeros((0, 3)), np.zeros(0, int)).tolist() == [[0] * 3] * 3


def test_metrics_say_what_does_not_fit():
    with pytest.raises(ValueError, match=r"outputs of shape \(97, 5\) do not fit targets of shape \(97, 2\)"):
        metrics.Accuracy().update(LOGITS, np.zeros((N, 2), int))
    with pytest.raises(ValueError, match=r"R2: outputs of shape \(97,\), targets of shape \(97, 3\)"):
        metrics.R2().update(VALUES[:, 0], VALUES)
    with pytest.raises(ValueError, match="classes from 0 to 4, but range from 5 to 5"):
        metrics.ConfusionMatrix().update(LOGITS, np.full(N, 5))
    with pytest.raises(ValueError, match="average is"):
        metrics.F1("mean")
