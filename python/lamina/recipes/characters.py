"""A character language model on the source text of the Python standard library, which it learns to write, more or less.

Truncated back-propagation through time: every row of a batch reads its own stretch of the text, and its state goes on.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import train
from lamina._atomic import write_text
from lamina.nn import functional as F
from lamina.recipes._text import BITS, Alphabet, CharacterModel, fit_text, python_source, sample, windows
from lamina.recipes.settings import Result, Run, setting
from lamina.train import Callback, Trainer, plots

START = "def "
EXPECTED = 2.4  # bits per character


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder of .py files, instead of the standard library")
    characters: int = setting(1_000_000, "length of the text, a twentieth of it for validation", low=2000)
    cell: Literal["LSTM", "GRU", "RNN"] = setting("LSTM", "LSTM, GRU or RNN")
    hidden: int = setting(192, "units of each layer", low=1)
    layers: int = setting(1, "layers", low=1)
    dropout: float = setting(0.0, "dropout between layers", 0, 0.95)
    epochs: int = setting(4, "epochs", low=1)
    rows: int = setting(32, "stretches of the text that are read side by side", low=1)
    steps: int = setting(64, "characters through which gradients flow", low=1)
    lr: float = setting(4e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    temperature: float = setting(0.6, "of the samples: below 1 surer, above 1 wilder", low=0.01)
    capture: bool = setting(True, "record the step once and replay it")


class Writer(Callback):
    """Writes a sample after every epoch."""

    def __init__(self, alphabet: Alphabet, temperature: float, show: bool) -> None:
        self.alphabet, self.temperature, self.show = alphabet, temperature, show
        self.samples: list[str] = []

    def on_epoch(self, trainer: Trainer, row: dict[str, float]) -> None:
        assert isinstance(trainer.model, CharacterModel)
        row["bits"] = row["loss"] * BITS
        row["validation_bits"] = row["validation_loss"] * BITS
        text = sample(trainer.model, self.alphabet, START, 240, self.temperature)
        self.samples.append(f"---- epoch {row['epoch']}, {row['validation_bits']:.3f} bits per character\n{text}\n")
        if self.show:
            print(self.samples[-1], flush=True)

    def state_dict(self) -> dict[str, Any]:
        return {"samples": self.samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.samples = list(state["samples"])


def run(settings: Settings, run: Run) -> Result:
    text = python_source(settings.characters, settings.folder)
    alphabet = Alphabet(text + START)
    held_out = len(text) // 20
    rows = settings.rows
    learn, check = (
        windows(alphabet.encode(part), rows, settings.steps) for part in (text[:-held_out], text[-held_out:])
    )
    model = CharacterModel(
        len(alphabet), settings.cell, settings.hidden, settings.layers, rows, dropout=settings.dropout
    )
    writer = Writer(alphabet, settings.temperature, run.progress)
    history = fit_text(model, learn, check, settings, run, callbacks=[writer])
    bits = min(history["validation_bits"])
    packed = 8 * (len(lzma.compress(text.encode())) - len(lzma.compress(text[:-held_out].encode()))) / held_out
    write_text(run.out / "samples.txt", "\n".join(writer.samples))
    files = [run.out / "bits.png", run.out / "samples.txt"]
    draw(model, alphabet, history, packed, text[-held_out:][:600], files[0])
    summary = (
        f"{bits:.3f} bits per character of {held_out} it has not seen (expected: at most {EXPECTED}; "
        f"xz, which has read the rest too, takes {packed:.3f})\n\n{writer.samples[-1]}"
    )
    return Result({"bits": bits, "loss": history["loss"][-1]}, bits <= EXPECTED, summary, files)


@lamina.no_grad()
def draw(
    model: CharacterModel, alphabet: Alphabet, history: train.History, packed: float, text: str, path: Path
) -> None:
    """Bits over the epochs, and a text with each character coloured by how much it surprised."""
    symbols = alphabet.encode(text)
    logits, _ = model.eval().read(symbols[:-1].reshape(-1, 1), model.start(1))
    surprise = (F.cross_entropy(logits[:, 0], symbols[1:], reduction="none") * BITS).tolist()
    with plots.figure(path, 1, 2, (12, 4.4), width_ratios=[1, 1.5]) as (fig, (left, right)):
        epochs = [int(row["epoch"]) for row in history.rows]
        left.plot(epochs, history["bits"], "o-", ms=4, color=plots.BLUE, label="training")
        left.plot(epochs, history["validation_bits"], "o-", ms=4, color=plots.ORANGE, label="validation")
        left.axhline(packed, color=plots.GREY, ls=":", lw=1.2, label="xz")
        left.set(title="Bits per character", xlabel="epoch")
        left.xaxis.get_major_locator().set_params(integer=True)
        left.legend(loc="upper right")
        right.axis("off")
        right.set_title("Unseen text; the redder, the more it surprised")
        lines = _wrapped(text[1:], surprise, 78)[:19]
        for row, line in enumerate(lines):
            for column, (character, bits) in enumerate(line):
                place = (column / 78, 1 - (row + 1) / 19)
                if bits > 0.5:
                    shade = min(bits / 10, 1)
                    right.add_patch(plots.rectangle(place, 1 / 78, 1 / 19, alpha=shade, color=plots.RED))
                right.text(
                    place[0] + 0.5 / 78, place[1] + 0.5 / 19, character, family="monospace", fontsize=7,
                    ha="center", va="center",
                )  # fmt: skip


def _wrapped(text: str, values: list[float], width: int) -> list[list[tuple[str, float]]]:
    """Lines of (character, value); longer ones go on in the next."""
    lines: list[list[tuple[str, float]]] = [[]]
    for character, value in zip(text, values, strict=True):
        if character == "\n" or len(lines[-1]) == width:
            lines.append([])
        if character != "\n":
            lines[-1].append((character, value))
    return lines
