"""Game levels as text: a net reads the columns of made-up platform levels and writes new ones, which can be played.

A level is text of its columns, each from the bottom up and ended by a line break: "X" ground, "p" pipe, "B" block, "o" coin,
"e" enemy, "-" air. What makes a level playable (no gap too wide, pipes on the ground and two columns wide, enemies with something
to stand on) is not told to the net.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import lamina
from lamina._atomic import write_text
from lamina.recipes._text import Alphabet, CharacterModel, fit_text, sample, windows
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

HEIGHT, WIDEST_GAP = 8, 3
GROUND, PIPE, BLOCK, COIN, ENEMY, AIR = "XpBoe-"
COLOURS = {GROUND: "#8d6e4a", PIPE: plots.GREEN, BLOCK: plots.ORANGE, COIN: "#e8c33c", ENEMY: plots.RED, AIR: "#dcecf7"}


@dataclass(frozen=True)
class Settings:
    columns: int = setting(30_000, "columns to learn from, a tenth of them for validation", low=500)
    cell: Literal["LSTM", "GRU", "RNN"] = setting("LSTM", "LSTM, GRU or RNN")
    hidden: int = setting(96, "units", low=1)
    epochs: int = setting(6, "epochs", low=1)
    rows: int = setting(32, "stretches of the levels that are read side by side", low=1)
    steps: int = setting(54, "characters through which gradients flow", low=1)
    lr: float = setting(1e-2, "learning rate of Adam at the start; falls along a cosine", low=0)
    written: int = setting(400, "columns that it writes", low=10)
    temperature: float = setting(0.8, "of what it writes: below 1 surer, above 1 wilder", low=0.01)
    capture: bool = setting(True, "record the step once and replay it")


def column(*cells: str) -> str:
    """From the bottom up, filled with air."""
    return "".join(cells).ljust(HEIGHT, AIR)


def pieces(draw: random.Random) -> Iterator[list[str]]:
    """Stretches of a level, one after the other."""
    ground = 2
    while True:
        kind = draw.choice(("flat", "flat", "gap", "pipe", "blocks", "enemy", "stairs"))
        if kind == "gap":
            yield [column()] * draw.randint(1, WIDEST_GAP)
            ground = draw.randint(1, 3)
        elif kind == "pipe":
            yield [column(GROUND * ground, PIPE * draw.randint(1, 3))] * 2
        elif kind == "blocks":
            air = draw.randint(2, 3)
            tops = [draw.choice((BLOCK, BLOCK + COIN)) for _ in range(draw.randint(2, 4))]
            yield [column(GROUND * ground, AIR * air, top) for top in tops]
        elif kind == "enemy":
            yield [column(GROUND * ground, ENEMY)]
        elif kind == "stairs":
            yield [column(GROUND * (ground + step)) for step in range(1, 4)]
        yield [column(GROUND * ground)] * draw.randint(1, 4)  # something to land on


def level(columns: int, draw: random.Random) -> list[str]:
    found: list[str] = []
    for piece in pieces(draw):
        found += piece
        if len(found) >= columns:
            return found[:columns]
    raise AssertionError("pieces never end")


def faults(columns: list[str]) -> list[tuple[int, str]]:
    """Where a level cannot be played or is not built as levels are, and why."""
    found = []
    gap = 0
    for place, this in enumerate(columns):
        if len(this) != HEIGHT or set(this) - set(COLOURS):
            found.append((place, f"a column of {len(this)} cells"))
            continue
        gap = 0 if this[0] == GROUND else gap + 1
        if gap > WIDEST_GAP:
            found.append((place, "a gap too wide"))
        for above, below in zip(this[1:], this, strict=False):
            if above in (PIPE, GROUND) and below not in (above, GROUND):
                found.append((place, f"{above} on {below}"))
            if above == ENEMY and below not in (GROUND, BLOCK, PIPE):
                found.append((place, "an enemy in the air"))
    for this, run in runs(columns):
        if PIPE in this and run.stop - run.start == 1 and 0 < run.start < len(columns) - 1:
            found.append((run.start, "half a pipe"))
    return found


def runs(columns: list[str]) -> Iterator[tuple[str, range]]:
    """Equal columns side by side: the column and where."""
    start = 0
    for same, group in groupby(columns):
        stop = start + len(list(group))
        yield same, range(start, stop)
        start = stop


def stretches(columns: list[str], length: int = 8) -> Iterator[tuple[str, ...]]:
    return (tuple(columns[i : i + length]) for i in range(len(columns) - length + 1))


def run(settings: Settings, run: Run) -> Result:
    draw = random.Random(lamina.initial_seed())
    alphabet = Alphabet([*COLOURS, "\n"])
    cut = settings.columns - settings.columns // 10
    columns = level(settings.columns, draw)
    learn, check = (
        windows(alphabet.encode("".join(c + "\n" for c in part)), settings.rows, settings.steps)
        for part in (columns[:cut], columns[cut:])
    )
    model = CharacterModel(len(alphabet), settings.cell, settings.hidden, 1, settings.rows)
    history = fit_text(model, learn, check, settings, run)
    start = column(GROUND * 2) + "\n"
    text = sample(model, alphabet, start * 3, (HEIGHT + 1) * settings.written, settings.temperature)
    written = text.split("\n")[: settings.written]
    wrong = faults(written)
    share = 1 - len({place for place, _ in wrong}) / len(written)
    known = set(stretches(columns))
    fresh = [stretch not in known for stretch in stretches(written)]
    write_text(run.out / "level.txt", "\n".join(written) + "\n")
    files = [run.out / "levels.png", run.out / "level.txt"]
    show({"made up": columns[:100], "written by the net": written[:100], "and on": written[100:200]}, wrong, files[0])
    reasons = ", ".join(f"{reason} in column {place}" for place, reason in wrong[:4])
    summary = (
        f"{share:.1%} of the columns written are as they should be{': ' + reasons if wrong else ''} (expected: at least 95 %)\n"
        f"{sum(fresh) / len(fresh):.0%} of the stretches of 8 columns are not in what it has learnt from"
    )
    return Result({"share": share, "loss": history["loss"][-1]}, share >= 0.95, summary, files)


def show(levels: dict[str, list[str]], wrong: list[tuple[int, str]], path: Path) -> None:
    with plots.figure(path, len(levels), 1, (12, 4.6), squeeze=False) as (fig, axes):
        for axis, (title, columns) in zip(axes[:, 0], levels.items(), strict=True):
            axis.set(title=title, xlim=(0, 100), ylim=(0, HEIGHT), facecolor=COLOURS[AIR], aspect="equal")
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            for x, this in enumerate(columns):
                for y, cell in enumerate(this):
                    if cell == COIN:
                        axis.plot(x + 0.5, y + 0.5, "o", color=COLOURS[COIN], ms=4.5)
                    elif cell == ENEMY:
                        axis.plot(x + 0.5, y + 0.42, "^", color=COLOURS[ENEMY], ms=6)
                    elif cell in COLOURS and cell != AIR:
                        axis.add_patch(plots.rectangle((x, y), 1, 1, color=COLOURS[cell], ec="white", lw=0.3))
        for place, _ in wrong:
            if place < 200 and len(levels) > 2:
                axes[1 + place // 100, 0].axvline(place % 100 + 0.5, color=plots.RED, lw=1, ls=":")
