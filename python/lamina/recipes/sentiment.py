"""Sequence classification: is a review kind? What matters is the order of the words, which a bag of them has lost.

The reviews are made up: "not" turns the word that it stands before, and what comes after "but" counts more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lamina
from lamina import Tensor, data, metrics, nn
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import Reader
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

THINGS = "the plot,the acting,the music,every scene,the ending,the dialogue,the whole film".split(",")
KIND = "good great moving funny brilliant clever charming".split()
UNKIND = "bad awful dull clumsy boring tedious stupid".split()
DEGREES = ["", "", "very ", "really ", "rather "]
WORDS = sorted(
    {word for text in (*THINGS, *KIND, *UNKIND, *DEGREES, "was not never but and .") for word in text.split()}
    | set("was not never but and .".split())
)
NUMBER = {word: number for number, word in enumerate(WORDS, 1)}  # 0 is padding


@dataclass(frozen=True)
class Settings:
    cell: Literal["LSTM", "GRU", "RNN"] = setting("LSTM", "LSTM, GRU or RNN")
    clauses: int = setting(5, "clauses of a review at most", low=1)
    samples: int = setting(3000, "reviews to learn from", low=20)
    hidden: int = setting(32, "units", low=1)
    epochs: int = setting(10, "epochs", low=1)
    batch: int = setting(32, "reviews per step", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


class BagOfWords(nn.Module):
    """Logistic regression on the mean of the words' vectors."""

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, features, padding_idx=0)
        self.head = nn.Linear(features, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embedding(x).sum(1) / lengths.unsqueeze(1).float())


def review(clauses: int, draw: random.Random) -> tuple[str, int]:
    """A review and whether it is kind, 0 or 1; one whose clauses weigh equally is drawn anew."""
    while True:
        text, verdict, weight = "", 0, 1
        for place in range(draw.randint(1, clauses)):
            if place:
                joint = draw.choice(("and", "and", "but"))
                weight = 3 * weight if joint == "but" else weight
                text += f" {joint} "
            kind, turned = draw.random() < 0.5, draw.random() < 0.4
            negation = draw.choice(("not ", "never ")) if turned else ""
            text += f"{draw.choice(THINGS)} was {negation}{draw.choice(DEGREES)}{draw.choice(KIND if kind else UNKIND)}"
            verdict += weight * (1 if kind != turned else -1)
        if verdict:
            return text + " .", int(verdict > 0)


def reviews(count: int, clauses: int, draw: random.Random) -> data.TensorDataset:
    """Words (N, steps) padded with 0, lengths (N), classes (N)."""
    drawn = [review(clauses, draw) for _ in range(count)]
    rows = [[NUMBER[word] for word in text.split()] for text, _ in drawn]
    longest = clauses * 7 + 1
    padded = [row + [0] * (longest - len(row)) for row in rows]
    return data.TensorDataset(padded, [len(row) for row in rows], [kind for _, kind in drawn])


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    parts = [reviews(count, settings.clauses, draw) for count in (settings.samples, 500, 2000)]
    symbols = len(WORDS) + 1
    networks = {
        "bag of words": BagOfWords(symbols, settings.hidden),
        settings.cell: Reader(settings.cell, 16, settings.hidden, 2, symbols=symbols, last=True),
    }
    compare(networks, (parts[0], parts[1]), settings, run, measures=lambda: {"accuracy": metrics.Accuracy()})
    words, lengths, kind = parts[2].tensors
    accuracy = {}
    with lamina.no_grad():
        for name, model in networks.items():
            accuracy[name] = metrics.Accuracy()(model.eval()(words, lengths), kind)
    path = run.out / "verdicts.png"
    show(networks[settings.cell], path)
    summary = "\n".join(f"{name:14}{share:7.2%} of 2000 reviews right" for name, share in accuracy.items())
    summary += "\n(expected: at least 95 % where the order counts, below 85 % where it does not)"
    met = accuracy[settings.cell] >= 0.95 and accuracy["bag of words"] < 0.85
    return Result({name.replace(" ", "_"): share for name, share in accuracy.items()}, met, summary, [path])


@lamina.no_grad()
def show(model: nn.Module, path: Path) -> None:
    """How the verdict on a review changes while it is read."""
    texts = (
        "the plot was good and the acting was great but every scene was not funny .",
        "the music was not very good and the ending was never dull but the dialogue was clever .",
        "the whole film was never really boring but the ending was not brilliant .",
    )
    with plots.figure(path, len(texts), 1, (10, 6.6), squeeze=False) as (fig, axes):
        fig.suptitle("The verdict, word for word", x=0.01, ha="left", fontsize=12)
        for axis, text in zip(axes[:, 0], texts, strict=True):
            words = text.split()
            row = lamina.tensor([NUMBER[word] for word in words])
            every = row.repeat(len(words), 1)
            odds = lamina.softmax(model(every, lamina.arange(1, len(words) + 1)), 1)[:, 1].tolist()
            colours = [plots.GREEN if p > 0.5 else plots.RED for p in odds]
            axis.bar(range(len(words)), [p - 0.5 for p in odds], bottom=0.5, color=colours, alpha=0.7)
            axis.axhline(0.5, color=plots.GREY, lw=1)
            axis.set(ylim=(0, 1), ylabel="kind", yticks=(0, 0.5, 1))
            axis.set_xticks(range(len(words)), words, rotation=35, ha="right", fontsize=9)
            axis.grid(False)
