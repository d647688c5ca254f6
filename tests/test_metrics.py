"""Figures of merit against scikit-learn, gathered in batches of any size."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lamina
from lamina import metrics


def problem(n=300, classes=4, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    if ties:
        logits = logits.round()
    return logits, rng.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))


def gathered(metric, output, target, batch=37):
    for first in range(0, len(target), batch):
        metric.update(lamina.tensor(output[first : first + batch]), lamina.tensor(target[first : first + batch]))
    return metric.compute()


@pytest.fixture(scope="module")
def reference():
    return pytest.importorskip("sklearn.metrics")


def test_accuracy_and_confusion_matrix(reference):
    logits, target = problem()
    guess = logits.argmax(1)
    assert gathered(metrics.Accuracy(), logits, target) == reference.accuracy_score(target, guess)
    assert gathered(metrics.Accuracy(), guess, target) == reference.accuracy_score(target, guess)
    np.testing.assert_array_equal(
        gathered(metrics.ConfusionMatrix(4), logits, target).numpy(), reference.confusion_matrix(target, guess)
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(reference, k):
    logits, target = problem()
    want = reference.top_k_accuracy_score(target, logits, k=k)
    assert gathered(metrics.TopK(k), logits, target) == pytest.approx(want)


def test_top_all():
    logits, target = problem()
    assert gathered(metrics.TopK(4), logits, target) == 1


def test_outputs_that_are_all_alike_are_not_in_the_top_k():
    assert metrics.TopK(2)(lamina.zeros(9, 10), lamina.arange(9)) == 0


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("name", ["Precision", "Recall", "F1"])
def test_precision_recall_f1(reference, name, average):
    logits, target = problem()
    logits[:, 2] -= 50  # a class that is never predicted
    score = {"Precision": "precision_score", "Recall": "recall_score", "F1": "f1_score"}[name]
    want = getattr(reference, score)(target, logits.argmax(1), average=average, zero_division=0)
    got = gathered(getattr(metrics, name)(4, average), logits, target)
    np.testing.assert_allclose(got if average else got.numpy(), want, rtol=1e-12)


def test_classes_that_are_not_there_do_not_count(reference):
    logits, target = problem(classes=3)
    padded = np.concatenate([logits, np.full((300, 2), -50, np.float32)], 1)
    want = reference.f1_score(target, logits.argmax(1), average="macro")
    assert gathered(metrics.F1(5), padded, target) == pytest.approx(want)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", ["scores", "column", "two classes"])
def test_auc_of_two_classes(reference, ties, shape):
    logits, target = problem(classes=2, ties=ties)
    scores = logits[:, 1] - logits[:, 0]
    output = {"scores": scores, "column": scores[:, None], "two classes": logits}[shape]
    assert gathered(metrics.AUC(), output, target) == pytest.approx(reference.roc_auc_score(target, scores))


def test_auc_of_many_classes(reference):
    logits, target = problem()
    odds = np.exp(logits.astype(np.float64))
    odds /= odds.sum(1, keepdims=True)
    want = reference.roc_auc_score(target, odds, multi_class="ovr", average="macro")
    assert gathered(metrics.AUC(), odds, target) == pytest.approx(want)


def test_perplexity(reference):
    logits, target = problem()
    odds = np.exp(logits.astype(np.float64))
    odds /= odds.sum(1, keepdims=True)
    assert gathered(metrics.Perplexity(), logits, target) == pytest.approx(
        math.exp(reference.log_loss(target, odds)), rel=1e-5
    )
    assert metrics.Perplexity()(lamina.zeros(5, 7, 3), lamina.zeros(5, 3, dtype=lamina.int64)) == pytest.approx(7)
    assert metrics.Perplexity()(lamina.tensor([[0.0, -1e4]]), lamina.tensor([1])) == math.inf
    assert math.isnan(metrics.Perplexity()(lamina.tensor([[math.nan, 0.0]]), lamina.tensor([1])))


def test_ignored_targets():
    logits, target = problem(50)
    masked = target.copy()
    masked[10:] = -100
    for metric in (metrics.Accuracy, lambda: metrics.TopK(2), metrics.Perplexity):
        assert gathered(metric(), logits, masked) == pytest.approx(gathered(metric(), logits[:10], target[:10]))


def test_regression(reference):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(200, 3)) + 100
    output = target + rng.normal(size=(200, 3))
    for metric, score in (
        (metrics.MeanSquaredError(), reference.mean_squared_error),
        (metrics.MeanAbsoluteError(), reference.mean_absolute_error),
        (metrics.RootMeanSquaredError(), lambda y, o: math.sqrt(reference.mean_squared_error(y, o))),
    ):
        assert gathered(metric, output, target) == pytest.approx(score(target, output))
        assert not metric.higher_is_better
    assert gathered(metrics.R2(), output[:, 0], target[:, 0]) == pytest.approx(
        reference.r2_score(target[:, 0], output[:, 0])
    )


def test_binary_logits():
    output, target = lamina.tensor([[0.3], [-2.0], [0.1]]), lamina.tensor([1, 0, 0])
    assert metrics.Accuracy()(output, target) == pytest.approx(2 / 3)
    assert metrics.Accuracy()(output[:, 0], target.float()) == pytest.approx(2 / 3)


def test_mean_and_reset():
    mean = metrics.Mean()
    mean.update(2.0, 3)
    mean.update(4.0, 1)
    assert mean.compute() == 2.5
    mean.reset()
    with pytest.raises(ValueError, match="Mean: nothing was gathered"):
        mean.compute()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.F1(3, "mean"), "average must be"),
        (lambda: metrics.TopK(0), "k must be at least 1"),
        (lambda: metrics.TopK(5)(lamina.zeros(2, 3), lamina.tensor([0, 1])), "C ≥ 5"),
        (lambda: metrics.ConfusionMatrix(3)(lamina.zeros(2, 3), lamina.tensor([0, 3])), "targets must be from 0 to 2"),
        (lambda: metrics.ConfusionMatrix(3)(lamina.zeros(1, 3), lamina.tensor([-1])), "targets must be from 0 to 2"),
        (lambda: metrics.ConfusionMatrix(2)(lamina.tensor([2]), lamina.tensor([0])), "predicted classes must be"),
        (lambda: metrics.Accuracy()(lamina.zeros(3, 4), lamina.zeros(2)), "expected outputs"),
        (lambda: metrics.MeanSquaredError()(lamina.zeros(3, 1), lamina.zeros(3)), "expected one shape"),
        (lambda: metrics.AUC()(lamina.tensor([0.1, 0.2]), lamina.tensor([1, 1])), "all are on one side"),
        (lambda: metrics.R2()(lamina.ones(3), lamina.ones(3)), "all the same"),
    ],
)
def test_what_makes_no_sense(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_metrics_say_what_they_were_made_with():
    assert repr(metrics.F1(3)) == "F1(classes=3, average='macro')"
    assert repr(metrics.TopK(2)) == "TopK(k=2, ignore_index=-100)"
    assert repr(metrics.AUC()) == "AUC()"
