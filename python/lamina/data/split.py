"""Training, validation and test sets: by rules of thumb, stratified, and for data that differ from their use."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any, NamedTuple

import lamina
from lamina import Generator, Tensor
from lamina.data.dataset import Dataset, Subset, TensorDataset
from lamina.data.loader import generator_of

SMALL, LARGE = 10_000, 1_000_000  # samples


class Split(NamedTuple):
    train: Subset[Any]
    validation: Subset[Any]
    test: Subset[Any]


class MismatchedSplit(NamedTuple):
    """Of data to learn from (training, train-dev) and of data as they will be met (validation, test)."""

    train: Subset[Any]
    train_dev: Subset[Any]
    validation: Subset[Any]
    test: Subset[Any]


def rule_of_thumb(samples: int) -> tuple[float, float, float]:
    """Fractions for training, validation and test: 60/20/20 below 10 thousand samples, 98/1/1 from a million on. In
    between, the held-out parts grow with samples^0.35, from 2 thousand to 10 thousand each."""
    if samples < 0:
        raise ValueError(f"rule_of_thumb: the number of samples must not be negative, got {samples}")
    if samples < SMALL:
        held_out = 0.2
    elif samples >= LARGE:
        held_out = 0.01
    else:
        # 0.2 at SMALL and 0.01 at LARGE, straight on a log-log scale
        held_out = 0.2 * 0.05 ** (log10(samples / SMALL) / 2)
    return 1 - 2 * held_out, held_out, held_out


def split(
    data: Dataset[Any],
    rule: str | Sequence[float] = "auto",
    *,
    stratify: bool | Any = False,
    seed: int = 0,
) -> Split:
    """Training, validation and test set at random. `rule` is "auto" (see `rule_of_thumb`) or three fractions or counts.
    With `stratify`, labels (or True: the last tensor of a TensorDataset) that every part gets in the same proportions."""
    samples = len(data)
    if isinstance(rule, str):
        if rule != "auto":
            raise ValueError(f"split: rule must be 'auto' or three fractions or counts, got {rule!r}")
        rule = rule_of_thumb(samples)
    if len(rule) != 3:
        raise ValueError(f"split: expected fractions or counts of training, validation and test set, got {rule}")
    return Split(*_parts(data, _counts(samples, rule, "split"), _labels(data, stratify), generator_of(seed)))


def split_mismatched(
    source: Dataset[Any], target: Dataset[Any], *, stratify: bool = False, seed: int = 0
) -> MismatchedSplit:
    """For training data that differ from those which matter. Validation and test set are halves of `target`; `source`
    gives the training set and a train-dev set, not learnt from, of the size of the validation set (at most a tenth):
    the step from train-dev to validation error is the mismatch, that from training to train-dev error the variance."""
    generator = generator_of(seed)
    half = len(target) // 2
    held_back = max(1, min(len(target) - half, len(source) // 10))
    if len(target) < 2 or len(source) < 2:
        raise ValueError(f"split_mismatched: expected 2 samples or more of each, got {len(source)} and {len(target)}")
    seen = _parts(source, [len(source) - held_back, held_back], _labels(source, stratify), generator)
    met = _parts(target, [len(target) - half, half], _labels(target, stratify), generator)
    return MismatchedSplit(*seen, *met)


def random_split(
    dataset: Dataset[Any], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Parts of the given lengths, or fractions that sum to 1, at random."""
    order = lamina.randperm(len(dataset), generator=generator)
    return _cut(dataset, order, _counts(len(dataset), lengths, "random_split"))


def _counts(samples: int, rule: Sequence[float], function: str) -> list[int]:
    if all(isinstance(part, int) for part in rule) and sum(rule) != 1:
        counts = [int(part) for part in rule]
        if min(counts) < 0 or sum(counts) != samples:
            raise ValueError(f"{function}: the lengths {counts} do not sum to the {samples} samples")
    else:
        if not (min(rule) >= 0 and abs(sum(rule) - 1) <= 1e-6):  # so that NaN is refused
            raise ValueError(f"{function}: the fractions {list(rule)} do not sum to 1")
        ends = [round(samples * sum(rule[:i])) for i in range(len(rule) + 1)]
        counts = [b - a for a, b in zip(ends[:-1], [*ends[1:-1], samples], strict=True)]
    empty = [str(part) for part, count in zip(rule, counts, strict=True) if part and not count]
    if empty:
        raise ValueError(f"{function}: {samples} samples are too few: the part of {empty[0]} would be empty")
    return counts


def _labels(data: Dataset[Any], stratify: Any) -> Tensor | None:
    if stratify is False or stratify is None:
        return None
    if stratify is True:
        if not isinstance(data, TensorDataset):
            raise TypeError(
                "split: stratify=True needs a TensorDataset, whose last tensor has the labels; else give them"
            )
        stratify = data.tensors[-1]
    labels = lamina.as_tensor(stratify)
    if labels.shape != (len(data),):
        raise ValueError(f"split: expected one label for each of {len(data)} samples, got shape {labels.shape}")
    return labels


def _cut(data: Dataset[Any], order: Tensor, counts: list[int]) -> list[Subset[Any]]:
    parts, first = [], 0
    for count in counts:
        parts.append(Subset(data, order[first : first + count]))
        first += count
    return parts


def _parts(data: Dataset[Any], counts: list[int], labels: Tensor | None, generator: Generator) -> list[Subset[Any]]:
    order = lamina.randperm(len(data), generator=generator)
    if labels is None:
        return _cut(data, order, counts)
    import numpy

    by_class = numpy.argsort(labels.numpy()[order.numpy()], kind="stable")
    left, parts = order[lamina.from_numpy(by_class)], []
    for count in counts:
        # Evenly spread over what is left, which is sorted by class: as many of each as its share, give or take one.
        total = left.shape[0]
        places = lamina.arange(total)
        taken = (places + 1) * count // max(total, 1) > places * count // max(total, 1)
        chosen, left = left[taken], left[~taken]
        parts.append(Subset(data, chosen[lamina.randperm(count, generator=generator)]))
    return parts
