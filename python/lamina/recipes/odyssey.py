"""A search space odyssey in small (Greff et al., 2015): every variant of the LSTM on the same text, with its speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor, nn, optim
from lamina.nn import functional as F
from lamina.recipes._text import BITS, Alphabet, CharacterModel, python_source, windows
from lamina.recipes.settings import Result, Run, setting
from lamina.train import History, plots

FULL = {"peephole": True}
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "V": ("LSTM", FULL, "vanilla, with peepholes"),
    "NP": ("LSTM", {}, "no peepholes: what is called LSTM today"),
    "NIG": ("LSTM", {**FULL, "input_gate": False}, "no input gate"),
    "NFG": ("LSTM", {**FULL, "forget_gate": False}, "no forget gate"),
    "NOG": ("LSTM", {**FULL, "output_gate": False}, "no output gate"),
    "NIAF": ("LSTM", {**FULL, "input_activation": False}, "no input activation"),
    "NOAF": ("LSTM", {**FULL, "output_activation": False}, "no output activation"),
    "CIFG": ("LSTM", {**FULL, "coupled": True}, "coupled input and forget gate"),
    "FGR": ("LSTM", {**FULL, "full_gate_recurrence": True}, "full gate recurrence"),
    "GRU": ("GRU", {}, "gated recurrent units"),
    "RNN": ("RNN", {}, "no gates"),
}


@dataclass(frozen=True)
class Settings:
    characters: int = setting(200_000, "length of the text, a tenth of it for validation", low=2000)
    hidden: int = setting(128, "units", low=1)
    epochs: int = setting(2, "epochs", low=1)
    rows: int = setting(32, "stretches of the text that are read side by side", low=1)
    steps: int = setting(50, "characters through which gradients flow", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


Batches = list[tuple[Tensor, Tensor, Tensor]]


def learn(model: CharacterModel, batches: Batches, settings: Settings) -> tuple[list[float], float]:
    """The mean loss of each epoch, and characters per second of the fastest tenth of the steps: what else the machine does
    slows some of them."""
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * len(batches))

    def step(x: Tensor, goes_on: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x, goes_on), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss.detach()

    run = lamina.capture(step) if settings.capture else step
    losses, seconds = [], []
    for _ in range(settings.epochs):
        total = 0.0
        for batch in batches:
            begun = time.perf_counter()
            total += run(*batch).item()
            seconds.append(time.perf_counter() - begun)
        losses.append(total / len(batches))
    return losses, settings.rows * settings.steps / sorted(seconds)[len(seconds) // 10]


@lamina.no_grad()
def bits(model: CharacterModel, batches: Batches) -> float:
    """Bits per character."""
    model.eval()
    return sum(F.cross_entropy(model(x, goes_on), y).item() for x, goes_on, y in batches) / len(batches) * BITS


def run(settings: Settings, run: Run) -> Result:
    text = python_source(settings.characters)
    alphabet = Alphabet(text)
    cut = len(text) - len(text) // 10
    parts = [windows(alphabet.encode(part), settings.rows, settings.steps) for part in (text[:cut], text[cut:])]
    rows: dict[str, tuple[int, float, float]] = {}  # parameters, bits, characters per second
    every: dict[str, list[float]] = {}
    seed = lamina.initial_seed()
    for name, (cell, options, about) in VARIANTS.items():
        lamina.manual_seed(seed)  # all begin with the same numbers
        model = CharacterModel(len(alphabet), cell, settings.hidden, 1, settings.rows, **options)
        every[name], speed = learn(model, parts[0], settings)
        rows[name] = sum(p.numel() for p in model.parameters()), bits(model, parts[1]), speed
        if run.progress:
            print(_row(name, about, *rows[name], rows["V"]), flush=True)
    history = [
        {"epoch": epoch + 1.0, "loss": sum(losses) / len(losses), **dict(zip(every, losses, strict=True))}
        for epoch, losses in enumerate(zip(*every.values(), strict=True))
    ]
    History(history).save(run.out / "history.csv")
    path = run.out / "odyssey.png"
    draw(rows, path)
    lstms = [name for name, (cell, *_) in VARIANTS.items() if cell == "LSTM"]
    worst = set(sorted(lstms, key=lambda name: -rows[name][1])[:2])
    slowest = min(rows[name][2] for name in lstms if name != "FGR") / rows["V"][2]
    summary = "\n".join(
        [
            f"{'':5}{'parameters':>11}{'bits':>8}{'':9}{'char/s':>9}{'':7}",
            *(_row(name, about, *rows[name], rows["V"]) for name, (_, _, about) in VARIANTS.items()),
            "(expected: worst without forget gate or output activation; none but FGR, which has three more matrices, below half "
            "of the vanilla LSTM's speed)",
        ]
    )
    figures = {f"bits_{name}": row[1] for name, row in rows.items()}
    return Result(figures, slowest > 0.5 and worst == {"NFG", "NOAF"}, summary, [path])


def _row(name: str, about: str, parameters: int, loss: float, speed: float, vanilla: tuple[int, float, float]) -> str:
    return f"{name:5}{parameters:11}{loss:8.3f} ({loss - vanilla[1]:+.3f}){speed:9.0f} ({speed / vanilla[2]:.2f}x)  {about}"


def draw(rows: dict[str, tuple[int, float, float]], path: Path) -> None:
    with plots.figure(path, 1, 2, (11, 4.4)) as (fig, axes):
        names = list(rows)[::-1]
        for axis, column, title in zip(axes, (1, 2), ("Bits per character", "Characters per second"), strict=True):
            values = [rows[name][column] for name in names]
            highest = min(max(values), 1.5 * rows["V"][column]) if column == 1 else max(values)
            colours = [plots.ORANGE if name == "V" else plots.BLUE for name in names]
            axis.barh(names, values, color=colours, alpha=0.85)
            axis.axvline(rows["V"][column], color=plots.ORANGE, lw=1, ls=":")
            axis.set_title(title)
            axis.grid(False, axis="y")
            if column == 1:
                axis.set_xlim(0.95 * min(values), 1.02 * highest)  # what diverges runs out of the picture
