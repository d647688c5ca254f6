"""The arithmetic task of Jozefowicz et al., 2015: "3e36d9-h1h39f94eeh43keg3c=" is 3369-13994433=; what is the result?

The net reads the problem a character at a time, letters that mean nothing among the digits, and writes the result a
character at a time. Its accuracy is that of the result's characters in problems that it has not seen. Problems of like
length are put together in batches, which saves most of the padding (Algorithm 1 of Morishita et al., 2017).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import lamina
from lamina import Tensor, data, metrics, nn
from lamina.data.lengths import STRATEGIES
from lamina.recipes._learning import compare
from lamina.recipes._recurrent import CLASSIC, FOUND, IGNORED, Reader
from lamina.recipes._text import Alphabet
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plot_comparison

LETTERS = "abcdefgh"
ALPHABET = Alphabet("0123456789+-=. " + LETTERS)


@dataclass(frozen=True)
class Settings:
    digits: int = setting(2, "digits of a number at most", low=1, high=9)
    letters: int = setting(2, "letters strewn among the characters of a problem at most", low=0)
    samples: int = setting(12000, "problems to learn from", low=20)
    hidden: int = setting(96, "units", low=1)
    epochs: int = setting(10, "epochs", low=1)
    batch: int = setting(64, "problems per step", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    batches: Literal["shuffle", "source", "target", "source_target", "target_source"] = setting(
        "source_target", f"how they are put together: {', '.join(STRATEGIES)} (sorted by these lengths)"
    )
    mutations: bool = setting(False, "also the cells MUT1 to MUT3, which the paper found")
    capture: bool = setting(True, "record the step once and replay it")


def problem(settings: Settings, draw: random.Random) -> tuple[str, str]:
    """What is asked, up to the sign =, and the result, which ends in a full stop."""
    a, b = (draw.randrange(10 ** draw.randint(1, settings.digits)) for _ in range(2))
    sign = draw.choice("+-")
    asked = list(f"{a}{sign}{b}")
    for _ in range(draw.randint(0, settings.letters)):
        asked.insert(draw.randint(0, len(asked)), draw.choice(LETTERS))
    return "".join(asked) + "=", f"{a + b if sign == '+' else a - b}."


class Lines(data.TensorDataset):
    """Symbols (N, steps), and the next ones where they belong to the result; a batch is as long as its longest line."""

    def batch(self, indices: Tensor) -> tuple[Tensor, ...]:
        x, targets = super().batch(indices)
        steps = int(lamina.nonzero(targets != IGNORED)[:, 1].max()) + 1
        return x[:, :steps].contiguous(), targets[:, :steps].contiguous()


def lines(problems: list[tuple[str, str]], settings: Settings) -> Lines:
    longest = 3 * settings.digits + settings.letters + 5
    x = lamina.stack([ALPHABET.encode((asked + result).ljust(longest)) for asked, result in problems])
    targets = lamina.full((len(problems), longest - 1), IGNORED, dtype=lamina.int64)
    for row, (asked, result) in enumerate(problems):
        targets[row, len(asked) - 1 : len(asked) + len(result) - 1] = ALPHABET.encode(result)
    return Lines(x[:, :-1], targets)


def batches(problems: list[tuple[str, str]], settings: Settings, strategy: str) -> data.LengthBatchSampler:
    asked, results = ([len(pair[part]) for pair in problems] for part in (0, 1))
    return data.LengthBatchSampler(asked, results, batch_size=settings.batch, strategy=strategy)


def padding(problems: list[tuple[str, str]], sampler: data.LengthBatchSampler) -> data.Padding:
    """Of lines, which have problem and result in one."""
    lengths = [len(asked + result) - 1 for asked, result in problems]
    made = sampler.batches()
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in made)
    return data.Padding(len(made), sum(lengths), padded)


def accuracy() -> dict[str, metrics.Metric]:
    return {"accuracy": metrics.Accuracy(ignore_index=IGNORED)}


@lamina.no_grad()
def answer(model: nn.Module, asked: str, longest: int = 12) -> str:
    """The result that a net writes, always its likeliest character."""
    model.eval()
    result = ""
    while len(result) < longest and not result.endswith("."):
        logits = model(ALPHABET.encode(asked + result).unsqueeze(0))
        result += ALPHABET.decode([int(logits[0, :, -1].argmax())])
    return result


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    known = [problem(settings, draw) for _ in range(settings.samples)]
    asked = {question for question, _ in known}
    new = [p for p in (problem(settings, draw) for _ in range(3000)) if p[0] not in asked]
    if not new:
        raise ValueError("arithmetic: every problem of these settings is among those to learn from; lower samples")
    cells = CLASSIC + FOUND if settings.mutations else CLASSIC
    networks = {
        cell: Reader(cell, settings.hidden, settings.hidden, len(ALPHABET), symbols=len(ALPHABET)) for cell in cells
    }
    saved = [f"{name:14}{padding(known, batches(known, settings, name))}" for name in STRATEGIES]
    print("padding of an epoch, by strategy", *saved, sep="\n  ")
    learn = data.DataLoader(lines(known, settings), batch_sampler=batches(known, settings, settings.batches))
    parts = learn, lines(new[:1000], settings)
    histories = compare(networks, parts, settings, run, measures=accuracy)
    right = {cell: max(history["validation_accuracy"]) for cell, history in histories.items()}
    path = run.out / "arithmetic.png"
    plot_comparison(histories, path, "validation_accuracy", "Characters of the result right, unseen problems")
    best = max(right, key=lambda cell: right[cell])
    rows = [f"{cell:6}{share:7.2%} of the result's characters" for cell, share in right.items()]
    rows += [
        f"{best} says {question}{answer(networks[best], question)} (truth: {result})" for question, result in new[:6]
    ]
    rows.append("(expected: at least 75 % with the best cell)")
    return Result(
        {f"accuracy_{cell}": share for cell, share in right.items()}, right[best] >= 0.75, "\n".join(rows), [path]
    )
