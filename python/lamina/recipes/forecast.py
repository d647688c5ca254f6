"""Forecasting as a shifted series: from N values so far, the net says at every step what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import Tensor, data, nn
from lamina.nn import functional as F
from lamina.recipes._learning import fit
from lamina.recipes._recurrent import Reader
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

LOOK_BACK = 10  # values that the linear forecast sees


@dataclass(frozen=True)
class Settings:
    cell: Literal["LSTM", "GRU", "RNN"] = setting("GRU", "LSTM, GRU or RNN")
    steps: int = setting(50, "values that are seen", low=LOOK_BACK + 1)
    ahead: int = setting(25, "values that the picture goes on for", low=1)
    samples: int = setting(5000, "series to learn from", low=20)
    hidden: int = setting(32, "units of each of two layers", low=1)
    epochs: int = setting(15, "epochs", low=1)
    batch: int = setting(64, "series per step", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def series(samples: int, length: int) -> Tensor:
    """Two waves of random period and phase, and noise: (samples, length)."""
    t = lamina.arange(length).float() / 50
    total = 0.1 * (lamina.rand(samples, length) - 0.5)
    for size, slowest in ((0.5, 10.0), (0.2, 20.0)):
        rate = slowest + 10 * lamina.rand(samples, 1)
        total = total + size * ((t - lamina.rand(samples, 1)) * rate * pi / 3).sin()
    return total


def shifted(whole: Tensor, steps: int) -> data.TensorDataset:
    """Inputs (N, steps, 1), and targets (N, 1, steps) one step later."""
    return data.TensorDataset(whole[:, :steps].unsqueeze(2), whole[:, 1 : steps + 1].unsqueeze(1))


def linear_error(learn: Tensor, test: Tensor) -> float:
    """Mean squared error of the best linear forecast from LOOK_BACK values (least squares by its normal equations)."""
    import numpy

    def rows(whole: Tensor) -> tuple[Any, Any]:
        pieces = numpy.lib.stride_tricks.sliding_window_view(whole.double().numpy(), LOOK_BACK + 1, axis=1)
        pieces = pieces.reshape(-1, LOOK_BACK + 1)
        return numpy.column_stack([pieces[:, :-1], numpy.ones(len(pieces))]), pieces[:, -1]

    weights, *_ = numpy.linalg.lstsq(*rows(learn), rcond=None)
    x, y = rows(test)
    return float(((x @ weights - y) ** 2).mean())


@lamina.no_grad()
def continue_series(model: nn.Module, x: Tensor, ahead: int) -> Tensor:
    """What the net makes of its own forecasts: (N, ahead)."""
    model.eval()
    for _ in range(ahead):
        x = lamina.cat([x, model(x)[:, 0, -1:].unsqueeze(2)], 1)
    return x[:, -ahead:, 0]


def run(settings: Settings, run: Run) -> Result:
    whole = [series(count, settings.steps + settings.ahead) for count in (settings.samples, 1000, 1000)]
    learn, check, test = (shifted(part, settings.steps) for part in whole)
    model = Reader(settings.cell, 1, settings.hidden, 1, num_layers=2)
    trainer = fit(model, (learn, check), settings, run, loss=F.mse_loss)
    # Of the forecasts that have seen as much as the linear one.
    x, y = test.tensors
    seen = trainer.predict(data.DataLoader(test, 256))[:, 0, LOOK_BACK - 1 :]
    error = F.mse_loss(seen, y[:, 0, LOOK_BACK - 1 :]).item()
    persistence = F.mse_loss(x[:, LOOK_BACK - 1 :, 0], y[:, 0, LOOK_BACK - 1 :]).item()
    linear = linear_error(whole[0][:, : settings.steps + 1], whole[2][:, : settings.steps + 1])
    path = run.out / "forecast.png"
    draw(whole[2][:4], continue_series(model, x[:4], settings.ahead), settings.steps, path)
    summary = (
        f"mean squared error of the next value {error:.5f}\n"
        f"the same value once more {persistence:.5f}, best linear forecast from {LOOK_BACK} values {linear:.5f}, "
        f"the noise alone {0.1**2 / 12:.5f}\n(expected: below the linear one)"
    )
    figures = {"error": error, "linear": linear, "persistence": persistence}
    return Result(figures, error < linear, summary, [path])


def draw(truth: Tensor, forecast: Tensor, steps: int, path: Path) -> None:
    with plots.figure(path, 2, 2, (11, 5.4), sharex=True, sharey=True) as (fig, axes):
        fig.suptitle("What comes next, from its own forecasts", x=0.01, ha="left", fontsize=12)
        for axis, whole, line in zip(axes.flat, truth.numpy(), forecast.numpy(), strict=True):
            axis.plot(range(steps), whole[:steps], color=plots.INK, lw=1.2, label="seen")
            axis.plot(range(steps, len(whole)), whole[steps:], color=plots.GREY, lw=1.2, ls="--", label="what came")
            axis.plot(range(steps, steps + len(line)), line, color=plots.ORANGE, label="forecast")
        axes[0, 0].legend(loc="lower left", ncols=3, fontsize=8)
