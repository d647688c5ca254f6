"""One bit to be kept: why gradients vanish (Bengio, Simard and Frasconi, 1994).

The first input is +1 or −1, all later ones are noise, and the class asked for at the end is the sign of the first. The
norms ‖∂L/∂h_t‖ show how much of the error at the end comes back to step t.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lamina
from lamina import Tensor, data, metrics
from lamina.nn import functional as F
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import CLASSIC, Reader
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    steps: int = setting(60, "length of a sequence", low=2)
    noise: float = setting(0.2, "standard deviation of the inputs after the first", low=0)
    samples: int = setting(2000, "sequences to learn from", low=20)
    hidden: int = setting(16, "units", low=1)
    epochs: int = setting(12, "epochs", low=1)
    batch: int = setting(32, "sequences per step", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def sequences(samples: int, settings: Settings) -> data.TensorDataset:
    """Inputs (N, steps, 1) and the class, 0 or 1, that the first of them tells."""
    x = lamina.randn(samples, settings.steps, 1) * settings.noise
    classes = lamina.randint(2, (samples,))
    x[:, 0, 0] = 2 * classes.float() - 1
    return data.TensorDataset(x, classes)


def gradient_norms(model: Reader, x: Tensor, classes: Tensor) -> list[float]:
    """‖∂L/∂h_t‖ for every t, the mean over the batch: a probe collects what comes back to each state."""
    batch, steps, _ = x.shape
    probe = lamina.zeros(1, steps, batch, model.layer.hidden_size, dtype=x.dtype, requires_grad=True)
    y, _ = model.layer(x, probe=probe)
    # The mean over the batch of each sequence's own norm: the loss is a sum, so that no sequence's is scaled down.
    F.cross_entropy(model.head(y[:, -1]), classes, reduction="sum").backward()
    model.zero_grad()
    assert probe.grad is not None
    return probe.grad[0].norm(dim=-1).mean(1).tolist()


def run(settings: Settings, run: Run) -> Result:
    parts = sequences(settings.samples, settings), sequences(500, settings)
    probe, answer = (t[:100] for t in parts[1].tensors)
    networks = {cell: Reader(cell, 1, settings.hidden, 2, last=True, remembers=3.0) for cell in CLASSIC}
    before = {cell: gradient_norms(model, probe, answer) for cell, model in networks.items()}
    histories = compare(networks, parts, settings, run, measures=lambda: {"accuracy": metrics.Accuracy()})
    norms = {cell: (before[cell], gradient_norms(model, probe, answer)) for cell, model in networks.items()}
    accuracy = {cell: max(history["validation_accuracy"]) for cell, history in histories.items()}
    path = run.out / "gradients.png"
    draw(norms, accuracy, path)
    lost = {cell: first(before[cell]) for cell in CLASSIC}
    met = min(accuracy["LSTM"], accuracy["GRU"]) > 0.99 and lost["RNN"] < 1e-3 * lost["LSTM"]
    lines = [f"{'':6}{'accuracy':>10}  of the error at the last step, this came back to the first before it learnt"]
    lines += [f"{cell:6}{accuracy[cell]:10.1%}  {lost[cell]:.1e}" for cell in CLASSIC]
    lines.append("(expected: LSTM and GRU above 99 %; 1000 times less comes back in the RNN than in the LSTM)")
    figures = {f"accuracy_{cell}": value for cell, value in accuracy.items()}
    return Result(figures, met, "\n".join(lines), [path])


def first(norms: list[float]) -> float:
    """What comes back to the first state, as a share of what the last gets."""
    return norms[0] / norms[-1]


def draw(norms: dict[str, tuple[list[float], list[float]]], accuracy: dict[str, float], path: Path) -> None:
    with plots.figure(path, 1, 2, (11, 4.2), sharey=True) as (fig, axes):
        for axis, when, title in zip(axes, (0, 1), ("Before it learns", "When it has learnt"), strict=True):
            for colour, (cell, both) in zip(plots.COLOURS, norms.items(), strict=False):
                label = cell + (f" ({accuracy[cell]:.0%} right)" if when else "")
                axis.plot(range(1, len(both[when]) + 1), both[when], color=colour, label=label)
            axis.set(title=title, xlabel="step t", yscale="log")
            axis.legend(loc="lower right", fontsize=8.5)
        axes[0].set_ylabel("‖∂L/∂h$_t$‖")
        axes[0].set_ylim(1e-12, 10)
