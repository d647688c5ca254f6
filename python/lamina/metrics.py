"""Figures of merit, gathered batch by batch: `update(output, target)`, then `compute()`; `reset()` starts anew.

Outputs of classifiers are logits or probabilities (N, C, …) for targets (N, …), of binary ones in the shape of the
target (logits: positive means class 1), or the predicted classes themselves as integers.
"""

from __future__ import annotations

from math import exp, isfinite, log, sqrt
from typing import Any

import lamina
from lamina import Tensor

__all__ = [
    "AUC", "Accuracy", "ConfusionMatrix", "F1", "Mean", "MeanAbsoluteError", "MeanSquaredError", "Metric", "Perplexity",
    "Precision", "R2", "Recall", "RootMeanSquaredError", "TopK", "predicted_classes",
]  # fmt: skip


class Metric:
    """A subclass keeps what it gathered in `state`, so that a run goes on where it was stopped."""

    higher_is_better = True
    state: dict[str, Any]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets what was gathered."""
        raise NotImplementedError

    def update(self, output: Tensor, target: Tensor) -> None:
        """Takes in a batch."""
        raise NotImplementedError

    def compute(self) -> Any:
        """The figure for all batches since the last reset."""
        raise NotImplementedError

    def __call__(self, output: Tensor, target: Tensor) -> Any:
        """The figure for these alone."""
        self.reset()
        self.update(output, target)
        return self.compute()

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "state" and not k.startswith("_"))
        return f"{type(self).__name__}({settings})"

    def _some(self, count: float) -> float:
        if not count:
            raise ValueError(f"{type(self).__name__}: nothing was gathered; call update(output, target) first")
        return count


class Mean(Metric):
    """The mean of numbers, each with its weight."""

    higher_is_better = False

    def reset(self) -> None:
        self.state = {"sum": 0.0, "weight": 0.0}

    def update(self, output: Tensor | float, target: Any = 1) -> None:
        weight = float(target)
        self.state["sum"] += float(output) * weight
        self.state["weight"] += weight

    def compute(self) -> float:
        return self.state["sum"] / self._some(self.state["weight"])


# ---- classification ----


def predicted_classes(output: Tensor, target: Tensor) -> Tensor:
    """The most likely classes, in the shape of the target."""
    if output.ndim > 1 and output.shape[1] > 1 and (output.shape[0], *output.shape[2:]) == tuple(target.shape):
        return output.argmax(1)
    if output.numel() == target.numel():
        output = output.reshape(target.shape)
        return (output > 0).long() if output.is_floating_point() else output.long()
    raise ValueError(
        f"predicted classes: expected outputs (N, C, …) for targets (N, …), got {output.shape} and {target.shape}"
    )


class Accuracy(Metric):
    """The fraction of targets that are predicted."""

    def __init__(self, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def reset(self) -> None:
        self.state = {"right": 0, "of": 0}

    def update(self, output: Tensor, target: Tensor) -> None:
        counted = target != self.ignore_index
        right = self._right(output.detach(), target) & counted
        self.state["right"] += int(right.sum())
        self.state["of"] += int(counted.sum())

    def _right(self, output: Tensor, target: Tensor) -> Tensor:
        return predicted_classes(output, target) == target

    def compute(self) -> float:
        return self.state["right"] / self._some(self.state["of"])


class TopK(Accuracy):
    """The fraction of targets that are among the k most likely classes. Classes as likely as the target count against it
    by half: nothing is gained by outputs that are all alike."""

    def __init__(self, k: int = 5, ignore_index: int = -100) -> None:
        if k < 1:
            raise ValueError(f"TopK: k must be at least 1, got {k}")
        self.k = k
        super().__init__(ignore_index)

    def _right(self, output: Tensor, target: Tensor) -> Tensor:
        if output.ndim != target.ndim + 1 or output.shape[1] < self.k:
            raise ValueError(f"TopK({self.k}): expected outputs (N, C ≥ {self.k}, …), got {output.shape}")
        own = output.gather(1, target.clamp(min=0).long().unsqueeze(1))
        ahead = (output > own).long().sum(1)
        ties = (output == own).long().sum(1) - 1
        return ahead + (ties + 1) // 2 < self.k


class ConfusionMatrix(Metric):
    """Counts (C, C): row i, column j has the samples of class i that were taken for class j."""

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise ValueError(f"{type(self).__name__}: classes must be at least 1, got {classes}")
        self.classes = classes
        super().__init__()

    def reset(self) -> None:
        self.state = {"counts": lamina.zeros(self.classes, self.classes, dtype=lamina.int64)}

    def update(self, output: Tensor, target: Tensor) -> None:
        guess = predicted_classes(output.detach(), target).reshape(-1)
        truth = target.long().reshape(-1)
        for what, labels in (("targets", truth), ("predicted classes", guess)):
            if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
                raise ValueError(
                    f"{type(self).__name__}: {what} must be from 0 to {self.classes - 1}, "
                    f"got {int(labels.min())} to {int(labels.max())}"
                )
        counts = lamina.bincount(truth * self.classes + guess, minlength=self.classes**2)
        self.state["counts"] = self.state["counts"] + counts.reshape(self.classes, self.classes)

    def compute(self) -> Any:
        return self.state["counts"]


class _PerClass(ConfusionMatrix):
    def __init__(self, classes: int, average: str | None = "macro") -> None:
        if average not in ("macro", "micro", "weighted", None):
            raise ValueError(
                f"{type(self).__name__}: average must be 'macro', 'micro', 'weighted' or None, got {average!r}"
            )
        super().__init__(classes)
        self.average = average

    def _score(self, hit: Tensor, guessed: Tensor, there: Tensor) -> Tensor:
        raise NotImplementedError

    def compute(self) -> Any:
        """One number, or with average=None one for each class. A class without a case to judge by scores 0."""
        counts = self.state["counts"].double()
        self._some(float(counts.sum()))
        hit, guessed, there = counts.diagonal(), counts.sum(0), counts.sum(1)
        if self.average == "micro":
            return float(self._score(hit.sum(), guessed.sum(), there.sum()))
        scores = self._score(hit, guessed, there)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float((scores * there).sum() / there.sum())
        present = guessed + there > 0
        return float(scores[present].mean())


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return lamina.where(b > 0, a / b.clamp(min=1), lamina.zeros_like(a))


class Precision(_PerClass):
    """Of what was taken for a class, the fraction that is of it."""

    def _score(self, hit: Tensor, guessed: Tensor, there: Tensor) -> Tensor:
        return _ratio(hit, guessed)


class Recall(_PerClass):
    """Of what is of a class, the fraction that was taken for it."""

    def _score(self, hit: Tensor, guessed: Tensor, there: Tensor) -> Tensor:
        return _ratio(hit, there)


class F1(_PerClass):
    """The harmonic mean of precision and recall."""

    def _score(self, hit: Tensor, guessed: Tensor, there: Tensor) -> Tensor:
        return _ratio(2 * hit, guessed + there)


class AUC(Metric):
    """The area under the ROC curve: how often a sample of class 1 scores above one of class 0, ties counting half. With
    outputs (N, C), the mean over the classes of each against the rest. Keeps all scores."""

    def reset(self) -> None:
        self.state = {"scores": [], "targets": []}

    def update(self, output: Tensor, target: Tensor) -> None:
        if output.numel() == target.numel():
            output = output.reshape(target.shape)
        if target.ndim != 1 or output.ndim > 2 or output.shape[0] != target.shape[0]:
            raise ValueError(f"AUC: expected outputs (N) or (N, C) for targets (N), got {output.shape}, {target.shape}")
        self.state["scores"].append(output.detach().double())
        self.state["targets"].append(target.long())

    def compute(self) -> float:
        self._some(len(self.state["scores"]))
        scores, targets = lamina.cat(self.state["scores"]), lamina.cat(self.state["targets"])
        if scores.ndim == 1:
            return _area(scores, targets == 1)
        classes = scores.shape[1]
        if classes == 2:
            return _area(scores[:, 1] - scores[:, 0], targets == 1)
        return sum(_area(scores[:, c], targets == c) for c in range(classes)) / classes


def _area(scores: Tensor, positive: Tensor) -> float:
    import numpy

    values, is_positive = scores.numpy(), positive.numpy()
    positives = int(is_positive.sum())
    negatives = len(values) - positives
    if not positives or not negatives:
        raise ValueError("AUC: expected samples of the class and others; all are on one side")
    _, place, count = numpy.unique(values, return_inverse=True, return_counts=True)
    ranks = (numpy.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


class Perplexity(Metric):
    """exp of the mean cross-entropy of logits (N, C, …) with targets (N, …)."""

    higher_is_better = False

    def __init__(self, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def reset(self) -> None:
        self.state = {"nats": 0.0, "of": 0}

    def update(self, output: Tensor, target: Tensor) -> None:
        counted = target != self.ignore_index
        logs = lamina.log_softmax(output.detach(), 1)
        own = logs.gather(1, lamina.where(counted, target, lamina.zeros_like(target)).long().unsqueeze(1)).squeeze(1)
        self.state["nats"] -= float(lamina.where(counted, own, lamina.zeros_like(own)).double().sum())
        self.state["of"] += int(counted.sum())

    def compute(self) -> float:
        mean = self.state["nats"] / self._some(self.state["of"])
        return exp(mean) if mean < log(1.7e308) else float("inf") if isfinite(mean) or mean > 0 else float("nan")


# ---- regression ----


class MeanSquaredError(Metric):
    """Mean of (output − target)²."""

    higher_is_better = False

    def reset(self) -> None:
        self.state = {"sum": 0.0, "of": 0}

    def update(self, output: Tensor, target: Tensor) -> None:
        if output.shape != target.shape:
            raise ValueError(
                f"{type(self).__name__}: expected one shape, got outputs {output.shape}, targets {target.shape}"
            )
        self.state["sum"] += float(self._error(output.detach().double() - target.double()).sum())
        self.state["of"] += target.numel()

    def _error(self, difference: Tensor) -> Tensor:
        return difference.square()

    def compute(self) -> float:
        return self.state["sum"] / self._some(self.state["of"])


class RootMeanSquaredError(MeanSquaredError):
    """Its square root."""

    def compute(self) -> float:
        return sqrt(super().compute())


class MeanAbsoluteError(MeanSquaredError):
    """Mean of |output − target|."""

    def _error(self, difference: Tensor) -> Tensor:
        return difference.abs()


class R2(Metric):
    """The coefficient of determination, 1 − Σ(y − o)² / Σ(y − ȳ)², over all elements."""

    def reset(self) -> None:
        self.state = {"error": 0.0, "of": 0, "mean": 0.0, "spread": 0.0}

    def update(self, output: Tensor, target: Tensor) -> None:
        if output.shape != target.shape:
            raise ValueError(f"R2: expected one shape, got outputs {output.shape}, targets {target.shape}")
        if not target.numel():
            return
        target, state = target.double(), self.state
        state["error"] += float((output.detach().double() - target).square().sum())
        count, mean = target.numel(), float(target.mean())
        # Means and spreads of two sets joined (Chan, Golub and LeVeque).
        total, step = state["of"] + count, mean - state["mean"]
        state["spread"] += float((target - mean).square().sum()) + step**2 * state["of"] * count / total
        state["mean"] += step * count / total
        state["of"] = total

    def compute(self) -> float:
        self._some(self.state["of"])
        if not self.state["spread"]:
            raise ValueError("R2: the targets are all the same")
        return 1 - self.state["error"] / self.state["spread"]
