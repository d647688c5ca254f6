"""Tagging with both directions: what a digit stands for.

In "17.25" the 1 stands for tens: only the digits behind it say so, and that the 2 stands for tenths only the point before
it. A net that reads from left to right alone has to guess the first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lamina
from lamina import Tensor, data, metrics, nn
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import IGNORED, Reader
from lamina.recipes._text import Alphabet
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

ALPHABET = Alphabet("0123456789. abcdefghijklmnopqrstuvwxyz")
TAGS = ("ten thousands", "thousands", "hundreds", "tens", "ones", "tenths", "hundredths", "no digit")
ONES, NO_DIGIT = TAGS.index("ones"), TAGS.index("no digit")


@dataclass(frozen=True)
class Settings:
    cell: Literal["LSTM", "GRU", "RNN"] = setting("LSTM", "LSTM, GRU or RNN")
    words: int = setting(4, "words of a line at most", low=1)
    samples: int = setting(3000, "lines to learn from", low=20)
    hidden: int = setting(32, "units in each direction", low=1)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(32, "lines per step", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def word(draw: random.Random) -> tuple[str, list[int]]:
    """A number or a word, and a tag for each of its characters."""
    if draw.random() < 0.3:
        length = draw.randint(1, 6)
        return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=length)), [NO_DIGIT] * length
    whole, fraction = draw.randint(1, 5), draw.choice((0, 0, 1, 2))
    text = "".join(draw.choices("0123456789", k=whole))
    tags = list(range(ONES + 1 - whole, ONES + 1))
    if fraction:
        text += "." + "".join(draw.choices("0123456789", k=fraction))
        tags += [NO_DIGIT, *range(ONES + 1, ONES + 1 + fraction)]
    return text, tags


def lines(count: int, words: int, draw: random.Random) -> data.TensorDataset:
    """Symbols (N, steps) padded with blanks, lengths (N), tags (N, steps) with IGNORED where the line has ended."""
    texts, tags = [], []
    for _ in range(count):
        parts = [word(draw) for _ in range(draw.randint(1, words))]
        texts.append(" ".join(text for text, _ in parts))
        tags.append([tag for _, its in parts for tag in (NO_DIGIT, *its)][1:])
    longest = words * 9
    symbols = lamina.stack([ALPHABET.encode(text.ljust(longest)) for text in texts])
    padded = lamina.tensor([its + [IGNORED] * (longest - len(its)) for its in tags])
    return data.TensorDataset(symbols, lamina.tensor([len(text) for text in texts]), padded)


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    parts = [lines(count, settings.words, draw) for count in (settings.samples, 500, 1000)]
    networks: dict[str, nn.Module] = {
        name: Reader(settings.cell, 16, settings.hidden, len(TAGS), symbols=len(ALPHABET), bidirectional=both)
        for name, both in (("one direction", False), ("both directions", True))
    }

    def measures() -> dict[str, metrics.Metric]:
        return {"accuracy": metrics.Accuracy(ignore_index=IGNORED)}

    compare(networks, (parts[0], parts[1]), settings, run, measures=measures)
    symbols, lengths, tags = parts[2].tensors
    with lamina.no_grad():
        guesses = {name: model.eval()(symbols, lengths).argmax(1) for name, model in networks.items()}
    digits = (tags != IGNORED) & (tags != NO_DIGIT)
    right = {name: float((guess == tags)[digits].float().mean()) for name, guess in guesses.items()}
    path = run.out / "tags.png"
    show(symbols, lengths, tags, guesses, path)
    met = right["both directions"] > 0.99 and right["one direction"] < 0.9
    summary = "\n".join(f"{name:16}{share:7.2%} of the digits right" for name, share in right.items())
    summary += "\n(expected: above 99 % with both directions, below 90 % with one)"
    return Result({name.replace(" ", "_"): share for name, share in right.items()}, met, summary, [path])


def show(symbols: Tensor, lengths: Tensor, tags: Tensor, guesses: dict[str, Tensor], path: Path) -> None:
    """A few lines, each digit coloured by what each net takes it for; mistakes are crossed out."""
    chosen: Sequence[int] = sorted(range(len(lengths)), key=lambda i: -int(lengths[i]))[:5]
    with plots.figure(path, 1, 1, (11, 4.6)) as (fig, axis):
        width = int(lengths[chosen[0]])
        axis.set(xlim=(-9, width), ylim=(-len(chosen) * 2.6, 2), title="What the digits stand for")
        axis.axis("off")
        for place, label in enumerate(TAGS[:-1]):
            axis.text(place * 6 - 8, 1.2, label, color="white", backgroundcolor=plots.COLOURS[place], fontsize=8)
        for line, i in enumerate(chosen):
            for row, (name, guess) in enumerate(guesses.items()):
                y = -line * 2.6 - row
                axis.text(-1, y, name, ha="right", va="center", fontsize=8, color=plots.GREY)
                for column, character in enumerate(ALPHABET.decode(symbols[i][: int(lengths[i])])):
                    tag = int(guess[i, column])
                    colour = plots.COLOURS[tag] if tag != NO_DIGIT else "white"
                    axis.add_patch(plots.rectangle((column - 0.5, y - 0.45), 1, 0.9, color=colour, alpha=0.75))
                    axis.text(column, y, character, ha="center", va="center", family="monospace")
                    if tag != int(tags[i, column]):
                        axis.plot(column, y, "x", color=plots.INK, ms=9, mew=1.6)
