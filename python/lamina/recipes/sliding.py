"""Sliding-window detection as one convolutional pass: a LeNet that was trained on windows finds digits on a large sheet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lamina
from lamina import Tensor, data, metrics, models, nn
from lamina.data import augment
from lamina.recipes._images import PLAIN, enlarged_digits, show_image
from lamina.recipes._learning import fit
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

WINDOW, DIGIT, SHEET = 32, 24, 112  # pixels
NEAR = 5  # pixels that a find may be off
NOTHING = 10  # the class of windows without a digit in their middle


@dataclass(frozen=True)
class Settings:
    windows: int = setting(10_000, "windows to learn from, half of them without a digit in the middle", low=100)
    sheets: int = setting(60, "sheets to find digits on", low=1)
    digits: int = setting(8, "digits of a sheet at most", low=1, high=9)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(64, "windows per step", low=1)
    lr: float = setting(3e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    threshold: float = setting(0.8, "how sure it must be of a digit", 0, 1)
    capture: bool = setting(True, "record the step once and replay it")


class Sheet(NamedTuple):
    image: Tensor  # (1, SHEET, SHEET)
    places: list[tuple[int, int, int]]  # row and column of a digit's middle, and which it is


class Find(NamedTuple):
    row: int
    column: int
    digit: int
    sure: float


def write(digits: data.TensorDataset, most: int, random: lamina.Generator) -> Sheet:
    """A sheet with digits that do not overlap."""
    images, labels = digits.tensors
    sheet = lamina.zeros(1, SHEET, SHEET)
    places: list[tuple[int, int, int]] = []
    half = WINDOW // 2
    tries = lamina.randint(half, SHEET - half, (40, 2), generator=random).tolist()
    for which, (row, column) in zip(lamina.randint(len(labels), (40,), generator=random).tolist(), tries, strict=True):
        apart = all(max(abs(row - r), abs(column - c)) >= DIGIT for r, c, _ in places)
        if apart and len(places) < most:
            top, left = row - DIGIT // 2, column - DIGIT // 2
            sheet[0, top : top + DIGIT, left : left + DIGIT] = images[which, 0]
            places.append((row, column, int(labels[which])))
    return Sheet(sheet, places)


def window(image: Tensor, row: int, column: int) -> Tensor:
    """The one around a place."""
    top, left = row - WINDOW // 2, column - WINDOW // 2
    return image[:, top : top + WINDOW, left : left + WINDOW]


def windows(digits: data.TensorDataset, count: int, most: int, random: lamina.Generator) -> data.TensorDataset:
    """Windows (N, 1, WINDOW, WINDOW) and classes: digits in the middle, give or take 2 pixels, and as many others."""
    images: list[Tensor] = []
    classes: list[int] = []
    low, high = WINDOW // 2, SHEET - WINDOW // 2
    while len(images) < count:
        sheet = write(digits, most, random)
        jitter = lamina.randint(-2, 3, (len(sheet.places), 2), generator=random).tolist()
        for (row, column, digit), (down, right) in zip(sheet.places, jitter, strict=True):
            images.append(window(sheet.image, *(min(max(x, low), high) for x in (row + down, column + right))))
            classes.append(digit)
        for row, column in lamina.randint(low, high + 1, (len(sheet.places), 2), generator=random).tolist():
            if all(max(abs(row - r), abs(column - c)) > NEAR for r, c, _ in sheet.places):
                images.append(window(sheet.image, row, column))
                classes.append(NOTHING)
    return data.TensorDataset(lamina.stack(images[:count]), classes[:count])


def finds(odds: Tensor, stride: int, threshold: float) -> list[Find]:
    """The surest places of a map (11, rows, columns) that are not beside a surer one."""
    sure, which = odds[:NOTHING].max(0)
    found: list[Find] = []
    for place in lamina.argsort(sure.flatten(), descending=True).tolist():
        row, column = divmod(place, sure.shape[1])
        if float(sure[row, column]) < threshold:
            break
        y, x = (WINDOW // 2 + stride * n for n in (row, column))
        if all(max(abs(y - f.row), abs(x - f.column)) > DIGIT // 2 for f in found):
            found.append(Find(y, x, int(which[row, column]), float(sure[row, column])))
    return found


def right(found: list[Find], sheet: Sheet) -> int:
    """How many of the digits were found where they are and for what they are."""
    return sum(
        any(max(abs(row - f.row), abs(column - f.column)) <= NEAR and f.digit == digit for f in found)
        for row, column, digit in sheet.places
    )


def run(settings: Settings, run: Run) -> Result:
    sets = [data.TensorDataset(PLAIN(d.tensors[0]), d.tensors[1]) for d in enlarged_digits(DIGIT)]
    random = lamina.Generator().manual_seed(lamina.initial_seed())
    learn, check = (
        windows(sets[i], n, settings.digits, random) for i, n in ((0, settings.windows), (1, settings.windows // 10))
    )
    lenet = models.LeNet5(11, size=WINDOW)
    warped = augment.RandomAffine(degrees=12, scale=(0.9, 1.1), shear=6)  # about the middle, where the digit is
    fit(lenet, (learn, check), settings, run, measures={"accuracy": metrics.Accuracy()}, transforms=(warped, None))
    classifier = nn.Sequential(*lenet.features, *lenet.classifier).eval()
    detector = models.convolutional(classifier, 1, WINDOW).eval()
    sheets = [write(sets[2], settings.digits, random) for _ in range(settings.sheets)]
    images = lamina.stack([sheet.image for sheet in sheets])
    with lamina.no_grad():
        maps = lamina.softmax(detector(images), 1)
        stride = (SHEET - WINDOW) // (maps.shape[-1] - 1)
        both = [_timed(detector, images[:1]), _timed(classifier, _every_window(images[0], stride))]
    difference = float((both[0][0].flatten(2)[0].t() - both[1][0]).abs().max())
    found = [finds(odds, stride, settings.threshold) for odds in maps]
    hits = sum(right(its, sheet) for its, sheet in zip(found, sheets, strict=True))
    there, said = sum(len(sheet.places) for sheet in sheets), sum(map(len, found))
    f1 = 2 * hits / max(there + said, 1)
    path = run.out / "sheets.png"
    draw(sheets, found, maps, path)
    summary = (
        f"{hits} of {there} digits found and read, {said - hits} finds wrong: F1 {f1:.3f} (expected: at least 0.9)\n"
        f"one pass over a sheet takes {both[0][1] * 1e3:.2f} ms, its {len(both[1][0])} windows one by one "
        f"{both[1][1] * 1e3:.2f} ms ({both[1][1] / both[0][1]:.1f} times as long); their logits differ by {difference:.1e}"
    )
    return Result({"f1": f1, "difference": difference}, f1 >= 0.9 and difference < 1e-3, summary, [path])


def _every_window(image: Tensor, stride: int) -> Tensor:
    places = range(WINDOW // 2, SHEET - WINDOW // 2 + 1, stride)
    return lamina.stack([window(image, row, column) for row in places for column in places])


def _timed(model: nn.Module, x: Tensor) -> tuple[Tensor, float]:
    """What it gives, and the seconds of the fastest of five times."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        out = model(x)
        seconds.append(time.perf_counter() - begun)
    return out, min(seconds)


def draw(sheets: list[Sheet], found: list[list[Find]], maps: Tensor, path: Path) -> None:
    """Sheets with what was found, green where it is right, and the map of how sure the net is of a digit."""
    columns = min(4, len(sheets))
    with plots.figure(path, 2, columns, (3 * columns, 6.4), squeeze=False) as (fig, axes):
        fig.suptitle(
            "Digits found in one pass, and how sure it is of one at each place", x=0.01, ha="left", fontsize=12
        )
        for column in range(columns):
            top, below = axes[:, column]
            show_image(top, sheets[column].image, cmap="gray_r")
            for find in found[column]:
                colour = plots.GREEN if right([find], sheets[column]) else plots.RED
                corner = (find.column - DIGIT / 2, find.row - DIGIT / 2)
                top.add_patch(plots.rectangle(corner, DIGIT, DIGIT, fill=False, lw=1.6, ec=colour))
                top.text(*corner, f"{find.digit}", color=colour, fontsize=9, va="bottom", fontweight="bold")
            show_image(below, 1 - maps[column, NOTHING], cmap="magma")
