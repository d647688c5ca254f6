"""The adding problem (Hochreiter and Schmidhuber, 1997): the sum of the two numbers of a long sequence that are marked."""

from __future__ import annotations

from dataclasses import dataclass

import lamina
from lamina import data
from lamina.nn import functional as F
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import CLASSIC, Reader
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plot_comparison

GUESSING = 1 / 6  # the variance of a sum of two numbers from [0, 1): the error of who always says 1


@dataclass(frozen=True)
class Settings:
    steps: int = setting(60, "length of a sequence", low=4)
    samples: int = setting(6000, "sequences to learn from", low=20)
    hidden: int = setting(48, "units", low=1)
    epochs: int = setting(12, "epochs", low=1)
    batch: int = setting(32, "sequences per step", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def sequences(samples: int, steps: int) -> data.TensorDataset:
    """Numbers and marks (N, steps, 2), one mark in each half, and the sum (N, 1) of what is marked."""
    numbers, marks = lamina.rand(samples, steps), lamina.zeros(samples, steps)
    half = steps // 2
    for low, high in ((0, half), (half, steps)):
        marks.scatter_(1, lamina.randint(low, high, (samples, 1)), lamina.ones(samples, 1))
    return data.TensorDataset(lamina.stack([numbers, marks], -1), (numbers * marks).sum(1, keepdim=True))


def run(settings: Settings, run: Run) -> Result:
    parts = sequences(settings.samples, settings.steps), sequences(1000, settings.steps)
    networks = {cell: Reader(cell, 2, settings.hidden, 1, last=True, remembers=1.0) for cell in CLASSIC}
    histories = compare(networks, parts, settings, run, loss=F.mse_loss)
    error = {cell: min(history["validation_loss"]) for cell, history in histories.items()}
    path = run.out / "adding.png"
    plot_comparison(
        histories, path, title=f"Adding two marked numbers of {settings.steps}", lines={"always 1": GUESSING}
    )
    met = max(error["LSTM"], error["GRU"]) < 0.01 < error["RNN"]
    lines = [f"{cell:6}mean squared error {value:.5f}" for cell, value in error.items()]
    lines.append(f"(saying 1 each time: {GUESSING:.5f}; expected: LSTM and GRU below 0.01, the plain RNN above)")
    return Result({f"error_{cell}": value for cell, value in error.items()}, met, "\n".join(lines), [path])
