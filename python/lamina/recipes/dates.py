"""Translation by an encoder and a decoder: dates as people write them -> 1987-03-05; beam search against greedy decoding.

The encoder's last state is all that the decoder gets. It learns by teacher forcing, from which scheduled sampling leads
away: what it reads is more and more what it would say itself (S. Bengio et al., 2015).
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import Tensor, data, metrics, nn, train
from lamina.decode import Decoder
from lamina.recipes._learning import fit
from lamina.recipes._recurrent import CELLS, IGNORED
from lamina.recipes._text import Alphabet
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
SOURCE = Alphabet("abcdefghijklmnopqrstuvwxyz0123456789 ,./-'")
TARGET = Alphabet("0123456789-^$")
BEGIN, END = (int(TARGET.encode(sign).item()) for sign in "^$")
LONGEST, ANSWER = 32, 11  # characters of a source at most, of every target with its end


@dataclass(frozen=True)
class Settings:
    cell: Literal["LSTM", "GRU", "RNN"] = setting("GRU", "LSTM, GRU or RNN")
    samples: int = setting(8000, "dates to learn from", low=20)
    hidden: int = setting(128, "units of encoder and decoder", low=1)
    epochs: int = setting(10, "epochs", low=1)
    batch: int = setting(64, "dates per step", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    own: float = setting(
        0.25, "part of what the decoder reads in the last epoch that it drew itself; grows to that from 0", 0, 1
    )
    beams: int = setting(4, "hypotheses of the beam search", low=1)
    capture: bool = setting(True, "record the step once and replay it")


def written(date: datetime.date, draw: random.Random) -> str:
    """As somebody might write it."""
    month, weekday = MONTHS[date.month - 1], DAYS[date.weekday()]
    if draw.random() < 0.5:
        month, weekday = month[:3], weekday[:3]
    ending = "th" if 10 < date.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10, "th")
    day = draw.choice((str(date.day), f"{date.day}{ending}"))
    year = draw.choice((str(date.year), f"'{date.year % 100:02}"))
    return draw.choice(
        (
            f"{day} {month} {year}",
            f"{month} {day}, {year}",
            f"{weekday}, {day} {month} {year}",
            f"{weekday} {month} {day} {year}",
            f"{date.day}.{date.month}.{date.year}",
            f"{date.day:02}/{date.month:02}/{date.year}",
            f"{date.year}/{date.month}/{date.day}",
            f"the {day} of {month} {year}",
        )
    )


def pairs(count: int, draw: random.Random) -> data.TensorDataset:
    """Sources (N, LONGEST) padded with blanks, their lengths, what the decoder reads (N, ANSWER) and is to say."""
    sources, targets = [], []
    first, last = datetime.date(1940, 1, 1).toordinal(), datetime.date(2039, 12, 31).toordinal()
    for _ in range(count):
        date = datetime.date.fromordinal(draw.randint(first, last))
        sources.append(written(date, draw))
        targets.append(date.isoformat())
    x = lamina.stack([SOURCE.encode(text.ljust(LONGEST)) for text in sources])
    said = lamina.stack([TARGET.encode(f"^{text}$") for text in targets])
    return data.TensorDataset(x, lamina.tensor([len(text) for text in sources]), said[:, :-1], said[:, 1:])


class Translator(nn.Module):
    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.read = nn.Embedding(len(SOURCE), 32)
        self.encoder = CELLS[cell](32, hidden, batch_first=True)
        self.embedding = nn.Embedding(len(TARGET), 32)
        self.decoder = CELLS[cell](32, hidden, batch_first=True)
        self.head = nn.Linear(hidden, len(TARGET))

    def encode(self, x: Tensor, lengths: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The state that the decoder begins with."""
        return self.encoder(self.read(x), lengths=lengths)[1]

    def forward(self, x: Tensor, lengths: Tensor, before: Tensor, own: float = 0.0) -> Tensor:
        """Logits (N, symbols, steps) of what follows the right symbols so far, of which that part is replaced by what the
        net draws itself."""
        state = self.encode(x, lengths)
        if own:
            before = Decoder(self.embedding, self.decoder, self.head).scheduled_inputs(before, own, state=state)
        y, _ = self.decoder(self.embedding(before), state)
        return self.head(y).transpose(1, 2)


class Scheduled(data.DataLoader):
    """Batches (sources, lengths, read before, own, said), of which `own` grows from epoch to epoch.

    It rises by eighths: a captured step is recorded anew for each number.
    """

    def __init__(self, pairs: data.TensorDataset, settings: Settings) -> None:
        super().__init__(pairs, settings.batch, shuffle=True, drop_last=len(pairs) >= settings.batch)
        self.most, self.last = settings.own, max(settings.epochs - 1, 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        own = self.most * min(8 * epoch // self.last, 8) / 8
        for *read, said in super().batches(epoch, start):
            yield *read, own, said


@lamina.no_grad()
def translate(model: Translator, x: Tensor, lengths: Tensor, beams: int) -> tuple[list[str], float]:
    """What the net makes of sources, and the mean log-probability that it gives it. One beam is greedy decoding."""
    model.eval()
    decoder = Decoder(model.embedding, model.decoder, model.head)
    start, state = lamina.full((len(x),), BEGIN, dtype=lamina.int64), model.encode(x, lengths)
    if beams > 1:
        found = decoder.beam(start, ANSWER + 2, beams=beams, end=END, state=state, length_penalty=0.0)
    else:
        found = decoder.greedy(start, ANSWER + 2, end=END, state=state)
    return [TARGET.decode(tokens).rstrip("$") for tokens in found.sequences()], float(found.scores.mean())


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    learn, check, test = (pairs(count, draw) for count in (settings.samples, 500, 1000))
    model = Translator(settings.cell, settings.hidden)
    measures = {"accuracy": metrics.Accuracy(ignore_index=IGNORED)}
    history = fit(model, (Scheduled(learn, settings), check), settings, run, measures=measures).history
    x, lengths, _, said = test.tensors
    truth = [TARGET.decode(row[:-1]) for row in said]
    rows, right = [], {}
    for name, beams in (("greedy", 1), (f"{settings.beams} beams", settings.beams)):
        answers, likely = translate(model, x, lengths, beams)
        right[name] = sum(a == t for a, t in zip(answers, truth, strict=True)) / len(truth)
        rows.append(f"{name:8}{right[name]:7.1%} of {len(truth)} dates all right, mean log-probability {likely:.4f}")
    rows += [f"  {SOURCE.decode(x[i][: int(lengths[i])]):32} -> {answers[i]} ({truth[i]})" for i in range(6)]
    share = max(right.values())
    rows.append("(expected: at least 95 %)")
    path = run.out / "dates.png"
    train.plot_history(history, path, "From dates as people write them to 1987-03-05")
    summary = "\n".join(rows)
    return Result(
        {"right": share, "loss": history["loss"][-1]}, share >= 0.95, summary, [path, draw_state(model, test, run.out)]
    )


@lamina.no_grad()
def draw_state(model: Translator, test: data.TensorDataset, out: Path) -> Path:
    """The encoder's last states in the plane of their two widest directions, coloured by month and year."""
    import numpy

    x, lengths, _, said = test.tensors
    state = model.encode(x, lengths)
    h = (state[0] if isinstance(state, tuple) else state)[0].double().numpy()
    _, _, directions = numpy.linalg.svd(h - h.mean(0), full_matrices=False)
    plane = (h - h.mean(0)) @ directions[:2].T
    texts = [TARGET.decode(row[:-1]) for row in said]
    path = out / "states.png"
    with plots.figure(path, 1, 2, (11, 4.6)) as (fig, axes):
        fig.suptitle(
            "What the encoder hands over, in the plane of its widest directions", x=0.01, ha="left", fontsize=12
        )
        for axis, title, values in (
            (axes[0], "month", [int(text[5:7]) for text in texts]),
            (axes[1], "year", [int(text[:4]) for text in texts]),
        ):
            dots = axis.scatter(
                plane[:, 0], plane[:, 1], c=values, cmap="twilight" if title == "month" else "viridis", s=12
            )
            fig.colorbar(dots, ax=axis, label=title)
            axis.set(xticks=[], yticks=[], title=title)
    return path
