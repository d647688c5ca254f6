"""The XML task of Jozefowicz et al., 2015: the next character of made-up XML, whose closing tags repeat the opening ones.

A name of random letters can only be guessed when it opens; when it closes, it is all known to who remembers, however
much lies between.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import lamina
from lamina import data, metrics
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import CLASSIC, FOUND, IGNORED, Reader
from lamina.recipes._text import Alphabet
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plot_comparison

LETTERS = "abcdefgh"
ALPHABET = Alphabet("<>/ " + LETTERS)


@dataclass(frozen=True)
class Settings:
    steps: int = setting(50, "characters of a piece", low=8)
    depth: int = setting(3, "elements that are open at once at most", low=1)
    name: int = setting(3, "letters of a name at most", low=1)
    samples: int = setting(5000, "pieces to learn from", low=20)
    hidden: int = setting(64, "units", low=1)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(32, "pieces per step", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    mutations: bool = setting(False, "also the cells MUT1 to MUT3, which the paper found")
    capture: bool = setting(True, "record the step once and replay it")


def piece(settings: Settings, draw: random.Random) -> tuple[str, list[bool]]:
    """The start of a document, and which of its characters belong to the name in a closing tag."""
    text, closes, opened = "", [], list[str]()
    while len(text) < settings.steps + 1:
        if opened and (len(opened) == settings.depth or draw.random() < 0.5):
            name = opened.pop()
            text += f"</{name}>"
            closes += [False, False, *(True for _ in name), True]
        else:
            name = "".join(draw.choices(LETTERS, k=draw.randint(1, settings.name)))
            opened.append(name)
            text += f"<{name}>"
            closes += [False] * (len(name) + 2)
    return text[: settings.steps + 1], closes[: settings.steps + 1]


def pieces(count: int, settings: Settings, draw: random.Random) -> tuple[data.TensorDataset, data.TensorDataset]:
    """Symbols (N, steps) with those that come next, and the same with only closing names to be told."""
    drawn = [piece(settings, draw) for _ in range(count)]
    symbols = lamina.stack([ALPHABET.encode(text) for text, _ in drawn])
    closes = lamina.tensor([marks for _, marks in drawn])
    only = lamina.where(closes, symbols, lamina.full_like(symbols, IGNORED))
    return data.TensorDataset(symbols[:, :-1], symbols[:, 1:]), data.TensorDataset(symbols[:, :-1], only[:, 1:])


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    learn, _ = pieces(settings.samples, settings, draw)
    check, closing = pieces(500, settings, draw)
    cells = CLASSIC + FOUND if settings.mutations else CLASSIC
    networks = {
        cell: Reader(cell, settings.hidden, settings.hidden, len(ALPHABET), symbols=len(ALPHABET)) for cell in cells
    }

    def measures() -> dict[str, metrics.Metric]:
        return {"accuracy": metrics.Accuracy()}

    histories = compare(networks, (learn, check), settings, run, measures=measures)
    x, names = closing.tensors
    right = {}
    with lamina.no_grad():
        for cell, model in networks.items():
            right[cell] = metrics.Accuracy(ignore_index=IGNORED)(model.eval()(x), names)
    path = run.out / "xml.png"
    plot_comparison(histories, path, "validation_loss", "Nats per character of XML")
    every = {cell: max(history["validation_accuracy"]) for cell, history in histories.items()}
    rows = [f"{'':6}{'all':>8}{'closing names':>15}"]
    rows += [f"{cell:6}{every[cell]:8.1%}{right[cell]:15.1%}" for cell in right]
    best = max(right.values())
    rows.append("(expected: at least 80 % of the closing names with the best cell, and the plain RNN behind it)")
    met = best >= 0.8 and right["RNN"] < best
    return Result({f"closing_{cell}": share for cell, share in right.items()}, met, "\n".join(rows), [path])
