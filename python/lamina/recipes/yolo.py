"""YOLO on made-up scenes: where the circles, squares and triangles are, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lamina
from lamina import Tensor, data, detect, models, train
from lamina.recipes._images import show_image
from lamina.recipes._learning import fit
from lamina.recipes._scenes import SHAPES, Scene, scene
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots

CLASSES = len(SHAPES)


@dataclass(frozen=True)
class Settings:
    grid: int = setting(6, "cells of the grid in each direction; images are 8 times as large", low=2)
    boxes: int = setting(2, "boxes of each cell", low=1)
    scenes: int = setting(1200, "scenes to learn from", low=20)
    things: int = setting(3, "things on a scene at most", low=1)
    width: int = setting(16, "channels of the first layer", low=1)
    epochs: int = setting(12, "epochs", low=1)
    batch: int = setting(32, "scenes per step", low=1)
    lr: float = setting(5e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def truth(seen: Scene) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) as shares of the image, and classes (n,)."""
    side = seen.image.shape[-1]
    return lamina.tensor([thing.box for thing in seen.things]) / side, lamina.tensor([t.shape for t in seen.things])


def dataset(scenes: list[Scene], grid: int) -> data.TensorDataset:
    boxes, labels = zip(*(truth(seen) for seen in scenes), strict=True)
    targets = detect.encode(boxes, labels, grid, CLASSES)
    return data.TensorDataset(lamina.stack([s.image for s in scenes]), targets)


def run(settings: Settings, run: Run) -> Result:
    import numpy

    random = numpy.random.default_rng(lamina.initial_seed())
    counts = (settings.scenes, max(settings.scenes // 10, 10), max(settings.scenes // 5, 10))
    scenes = [[scene(8 * settings.grid, 1, settings.things, random) for _ in range(count)] for count in counts]
    learn, check, test = (dataset(part, settings.grid) for part in scenes)
    model = models.YOLO(settings.grid, settings.boxes, CLASSES, width=settings.width)

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        return detect.yolo_loss(output, targets, settings.boxes)

    trainer = fit(model, (learn, check), settings, run, loss=loss)
    output = trainer.predict(data.DataLoader(test, 128))
    metric = detect.MeanAveragePrecision()
    # A low threshold: average precision is over the finds of every confidence.
    metric.update(detect.detections(output, settings.boxes, 0.01), [truth(seen) for seen in scenes[2]])
    score = metric.compute()
    files = [run.out / "detections.png", run.out / "curves.png"]
    draw(scenes[2][:8], detect.detections(output[:8], settings.boxes), settings.grid, files[0])
    train.plot_history(trainer.history, files[1], "YOLO's loss")
    areas = metric.per_class()
    per_class = ", ".join(f"{SHAPES[label]} {area:.1%}" for label, area in areas.items())
    summary = f"mAP at IoU 0.5 on {len(test)} scenes: {score:.1%} ({per_class}) (expected: at least 80 %)"
    return Result({"map": score, "loss": trainer.history["loss"][-1]}, score >= 0.8, summary, files)


def draw(scenes: list[Scene], found: list[detect.Detections], grid: int, path: Path) -> None:
    """Scenes with their grid and what was found."""
    with plots.figure(path, 2, 4, (11, 5.8)) as (fig, axes):
        fig.suptitle("What is where; the dot is in the responsible cell", x=0.01, ha="left", fontsize=12)
        for axis, seen, its in zip(axes.flat, scenes, found, strict=False):
            side = seen.image.shape[-1]
            show_image(axis, seen.image)
            for line in range(1, grid):
                axis.axhline(8 * line - 0.5, color="white", lw=0.4, alpha=0.35)
                axis.axvline(8 * line - 0.5, color="white", lw=0.4, alpha=0.35)
            for box, score, label in zip(
                (its.boxes * side).tolist(), its.scores.tolist(), its.labels.tolist(), strict=True
            ):
                x1, y1, x2, y2 = (value - 0.5 for value in box)
                axis.add_patch(plots.rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=1.6, ec="white"))
                axis.plot((x1 + x2) / 2, (y1 + y2) / 2, "o", color="white", ms=3)
                axis.text(
                    x1, y1, f" {SHAPES[int(label)]} {score:.0%}", color="black", fontsize=7, va="bottom",
                    bbox={"facecolor": "white", "pad": 1, "lw": 0, "alpha": 0.8},
                )  # fmt: skip
