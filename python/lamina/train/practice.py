"""What to do next: diagnosis of errors, tables of mistakes, random search, metrics as constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

import lamina
from lamina import Generator
from lamina.data.loader import generator_of

ADVICE = {
    "bias": "a bigger network, longer training or a better optimiser, another architecture",
    "variance": "more data, regularisation (L2, dropout, augmentation), early stopping, a smaller network",
    "mismatch": "training data that are more like those met in use: collect, synthesise or weight them",
    "overfitting of the validation set": "a larger validation set",
}


class Diagnosis(NamedTuple):
    """Gaps between the errors, the name of the largest, and what helps against it."""

    gaps: dict[str, float]
    problem: str
    advice: str

    def __str__(self) -> str:
        gaps = "\n".join(f"  {name:34}{gap:8.2%}" for name, gap in self.gaps.items())
        return f"{gaps}\nlargest: {self.problem}. What helps: {self.advice}."


def diagnose(
    *,
    train: float,
    validation: float,
    human: float = 0.0,
    train_dev: float | None = None,
    test: float | None = None,
) -> Diagnosis:
    """From errors (fractions wrong): bias is training error above what a human makes, variance the step to data of the
    same kind that was not learnt from, mismatch the step to data as they are met in use."""
    errors = {"human": human, "train": train, "train_dev": train_dev, "validation": validation, "test": test}
    for name, error in errors.items():
        if error is not None and not 0 <= error <= 1:
            raise ValueError(f"diagnose: {name} is an error from 0 to 1, got {error}")
    gaps = {"bias": train - human, "variance": (validation if train_dev is None else train_dev) - train}
    if train_dev is not None:
        gaps["mismatch"] = validation - train_dev
    if test is not None:
        gaps["overfitting of the validation set"] = test - validation
    problem = max(gaps, key=lambda name: gaps[name])
    if gaps[problem] <= 0:
        return Diagnosis(gaps, "none", "nothing: the errors are as low as the reference")
    return Diagnosis(gaps, problem, ADVICE[problem])


def error_table(mistakes: Iterable[Mapping[str, Any]], tags: Sequence[str]) -> str:
    """A table for error analysis: one row per misclassified example (its "name", and True for the tags that apply), and
    below the share of each tag: the most that mending it can gain."""
    rows = list(mistakes)
    if not rows:
        raise ValueError("error_table: there are no mistakes")
    wide = max(len("of all mistakes"), *(len(str(row.get("name", ""))) for row in rows))
    columns = [max(len(tag), 4) for tag in tags]
    lines = ["  ".join([" " * wide, *(f"{tag:>{w}}" for tag, w in zip(tags, columns, strict=True))])]
    for row in rows:
        marks = [f"{'x' if row.get(tag) else '':>{w}}" for tag, w in zip(tags, columns, strict=True)]
        lines.append("  ".join([f"{row.get('name', '')!s:{wide}}", *marks]).rstrip())
    shares = [sum(bool(row.get(tag)) for row in rows) / len(rows) for tag in tags]
    lines.append(
        "  ".join([f"{'of all mistakes':{wide}}", *(f"{s:{w}.0%}" for s, w in zip(shares, columns, strict=True))])
    )
    return "\n".join(lines)


# ---- search ----

Draw = Callable[[Generator], Any]


def _uniform(generator: Generator) -> float:
    return float(lamina.rand(1, generator=generator, dtype=lamina.float64))


def uniform(low: float, high: float) -> Draw:
    """Any number in between, all equally likely."""
    return lambda generator: low + (high - low) * _uniform(generator)


def log_uniform(low: float, high: float) -> Draw:
    """10^r for r between log10(low) and log10(high): each power of ten is as likely as any other."""
    if not 0 < low <= high:
        raise ValueError(f"log_uniform: expected 0 < low ≤ high, got {low} and {high}")
    return lambda generator: 10 ** (log10(low) + log10(high / low) * _uniform(generator))


def whole(low: int, high: int) -> Draw:
    """A whole number from low to high, both included."""
    return lambda generator: int(lamina.randint(low, high + 1, (1,), generator=generator))


def choice(*options: Any) -> Draw:
    """One of the options."""
    return lambda generator: options[int(lamina.randint(len(options), (1,), generator=generator))]


class Trial(NamedTuple):
    settings: dict[str, Any]
    result: Any


def search(run: Callable[..., Any], space: Mapping[str, Draw], trials: int, seed: int = 0) -> list[Trial]:
    """Random search: runs `run(**settings)` so many times with settings drawn from the space. Not a grid, for of many
    settings few matter, and each trial tries a new value of those. Coarse to fine: search again in a smaller space."""
    wrong = next((name for name, draw in space.items() if not callable(draw)), None)
    if wrong is not None:
        raise TypeError(
            f"search: {wrong!r} must be drawn by a function, such as train.log_uniform(1e-4, 1e-1), got {space[wrong]!r}"
        )
    out = []
    for trial in range(trials):
        generator = generator_of(seed, trial)
        settings = {name: draw(generator) for name, draw in space.items()}
        out.append(Trial(settings, run(**settings)))
    return out


def pick(
    trials: Iterable[Trial], best: str, at_most: Mapping[str, float] | None = None, higher_is_better: bool = True
) -> Trial:
    """The trial with the best figure among those that satisfy the others: the best accuracy such that the latency is at
    most a second. Results are mappings from names to numbers."""
    trials = list(trials)
    if not trials:
        raise ValueError("pick: there are no trials")
    allowed = [t for t in trials if all(t.result[name] <= limit for name, limit in (at_most or {}).items())]
    if not allowed:
        limits = ", ".join(f"{name} ≤ {limit}" for name, limit in (at_most or {}).items())
        raise ValueError(f"pick: none of {len(trials)} trials satisfies {limits}")
    return max(allowed, key=lambda t: t.result[best] if higher_is_better else -t.result[best])
