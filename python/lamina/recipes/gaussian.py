"""Regression y ~ N(mean(x), variance(x)): a network with two outputs, trained by Gaussian NLL, learns where it is sure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lamina
from lamina import Tensor, data, nn, optim, train
from lamina.nn import functional as F
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    samples: int = setting(3000, "points drawn", low=50)
    hidden: int = setting(64, "units of each of the two hidden layers", low=1)
    epochs: int = setting(120, "epochs at most", low=1)
    patience: int = setting(30, "epochs without a better validation loss before it stops", low=1)
    batch: int = setting(64, "samples per step", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def true_mean(x: Tensor) -> Tensor:
    return (2 * x).sin() + 0.3 * x


def true_deviation(x: Tensor) -> Tensor:
    """Small, but for a stretch around 1.2."""
    return 0.07 + 0.4 * (-(x - 1.2).square()).exp()


class MeanAndVariance(nn.Module):
    """(N, 1) -> (N, 2): the mean, and the logarithm of the variance, which keeps it positive."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def likelihood(output: Tensor, y: Tensor) -> Tensor:
    """−log N(y; mean, variance), mean over the batch."""
    return F.gaussian_nll_loss(output[:, :1], y, output[:, 1:].exp(), full=True)


def run(settings: Settings, run: Run) -> Result:
    x = lamina.rand(settings.samples, 1) * 6 - 3
    y = true_mean(x) + true_deviation(x) * lamina.randn(settings.samples, 1)
    parts = data.split(data.TensorDataset(x, y))
    model = MeanAndVariance(settings.hidden)
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    trainer = train.Trainer(
        model,
        optimizer,
        likelihood,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs),
        out=run.out,
        capture=settings.capture,
        progress=run.progress,
    )
    loader = data.DataLoader(parts.train, settings.batch, shuffle=True)
    validation, test = data.DataLoader(parts.validation, 1024), data.DataLoader(parts.test, 1024)
    history = trainer.fit(loader, settings.epochs, validation, patience=settings.patience, resume=run.resume)

    nll = trainer.evaluate(test)["loss"]
    test_x, test_y = data.tensors_of(parts.test)
    with lamina.no_grad():
        truth = F.gaussian_nll_loss(true_mean(test_x), test_y, true_deviation(test_x).square(), full=True).item()
        output = model(test_x)
        inside = (test_y - output[:, :1]).abs() < 1.96 * (output[:, 1:] / 2).exp()
    coverage = inside.float().mean().item()
    excess = nll - truth
    met = excess < 0.1 and abs(coverage - 0.95) < 0.04
    files = [run.out / "curves.png", run.out / "band.png"]
    train.plot_history(history, files[0], "Gaussian negative log-likelihood")
    draw(model, test_x, test_y, files[1])
    summary = (
        f"test NLL {nll:.3f}, that of the true distribution {truth:.3f}: {excess:+.3f} (expected: less than +0.1)\n"
        f"its 95 % band holds {coverage:.1%} of the test points (expected: 91 to 99 %)"
    )
    return Result({"nll": nll, "coverage": coverage, "loss": history["loss"][-1]}, met, summary, files)


@lamina.no_grad()
def draw(model: nn.Module, x: Tensor, y: Tensor, path: Path) -> None:
    """Points, the learnt mean with its band of two deviations, and the truth."""
    line = lamina.linspace(-3, 3, 400).reshape(-1, 1)
    output = model(line)
    mean, deviation = output[:, 0].numpy(), (output[:, 1] / 2).exp().numpy()
    at, truth, spread = (t.reshape(-1).numpy() for t in (line, true_mean(line), true_deviation(line)))
    with plots.figure(path, 1, 2, (11, 4.3), width_ratios=[1.7, 1]) as (fig, (left, right)):
        left.fill_between(at, mean - 1.96 * deviation, mean + 1.96 * deviation, color=plots.BLUE, alpha=0.14, lw=0)
        left.fill_between(at, mean - deviation, mean + deviation, color=plots.BLUE, alpha=0.20, lw=0)
        left.scatter(x.numpy(), y.numpy(), s=7, color=plots.INK, alpha=0.35, lw=0, label="test points")
        left.plot(at, truth, "--", color=plots.ORANGE, lw=1.6, label="true mean")
        left.plot(at, mean, color=plots.BLUE, label="learnt mean, ±1 and ±1.96 deviations")
        left.set(title="A network that knows how sure it is", xlabel="x", ylabel="y", xlim=(-3, 3))
        left.set_ylim(top=left.get_ylim()[1] + 0.5)
        left.legend(loc="upper left")
        right.plot(at, spread, "--", color=plots.ORANGE, lw=1.6, label="true")
        right.plot(at, deviation, color=plots.BLUE, label="learnt")
        right.set(title="Standard deviation", xlabel="x", xlim=(-3, 3))
        right.set_ylim(bottom=0)
        right.legend(loc="upper left")
