"""A siamese network: two images go through the same net, and the distance of what comes out says whether they are alike.

Learnt by the contrastive loss on some persons, then asked about others: verification (is this the same person as that?)
and recognition (which of K persons, of each of whom one photograph is stored, is this?). With images from a folder,
classes take the place of persons: it learns from seven of them and is asked about the other three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor, data, metrics, nn
from lamina.nn import functional as F
from lamina.recipes._faces import SIDE, People
from lamina.recipes._images import Classes, file_sets, show_image
from lamina.recipes._learning import fit
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with MNIST's, Fashion-MNIST's or CIFAR-10's files, for the persons")
    persons: int = setting(300, "persons to learn from", low=4)
    pairs: int = setting(4000, "pairs of photographs to learn from, half of them of one person", low=20)
    strangers: int = setting(100, "persons that it is asked about", low=2)
    asked: int = setting(2000, "pairs of photographs that it is asked about", low=20)
    stored: int = setting(20, "of whom a photograph is stored, for recognition", low=2)
    features: int = setting(32, "numbers that a face becomes", low=1)
    margin: float = setting(1.0, "distance beyond which different persons are far enough apart", low=0.01)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(64, "pairs per step", low=1)
    lr: float = setting(2e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


class Siamese(nn.Module):
    """Pairs (N, 2, channels, side, side) -> what both become (N, 2, features); single images go through `embed`."""

    def __init__(self, features: int, channels: int = 1, side: int = SIDE) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * (side // 8) ** 2, 64), nn.ReLU(), nn.Linear(64, features),
        )  # fmt: skip

    def forward(self, pairs: Tensor) -> Tensor:
        return self.embed(pairs.flatten(0, 1)).reshape(len(pairs), 2, -1)


def pairs(persons: People | Classes, count: int, random: Any) -> data.TensorDataset:
    """Photographs (count, 2, channels, side, side), and 0 where both show one person, 1 where they show two."""
    different = random.integers(0, 2, count)
    first = random.integers(0, len(persons), count)
    second = (first + different * random.integers(1, len(persons), count)) % len(persons)
    both = [persons.photograph(which, random) for which in (first, second)]
    return data.TensorDataset(lamina.stack(both, 1), different)


def who_there_is(settings: Settings, random: Any) -> tuple[People | Classes, People | Classes, People | Classes]:
    """To learn from, to check with, and those whom it has never seen."""
    if settings.folder is None:
        known = People(settings.persons, random)
        return known, known, People(settings.strangers, random)
    learn, check, test = file_sets(settings.folder)
    return Classes(learn, range(7)), Classes(check, range(7)), Classes(test, range(7, 10))


def roc(distance: Any, different: Any) -> tuple[Any, Any]:
    """Shares of strangers let in, and of persons recognised, for every threshold of the distance."""
    import numpy

    order = numpy.argsort(distance)
    same = different[order] == 0
    return numpy.cumsum(~same) / max((~same).sum(), 1), numpy.cumsum(same) / max(same.sum(), 1)


def run(settings: Settings, run: Run) -> Result:
    import numpy

    random = numpy.random.default_rng(lamina.initial_seed())
    known, check, strangers = who_there_is(settings, random)
    parts = pairs(known, settings.pairs, random), pairs(check, settings.pairs // 8, random)
    model = Siamese(settings.features, *parts[0].tensors[0].shape[2:4])

    def loss(features: Tensor, different: Tensor) -> Tensor:
        return F.contrastive_loss(features[:, 0], features[:, 1], different.float(), settings.margin)

    fit(model, parts, settings, run, loss=loss)
    model.eval()
    asked = pairs(strangers, settings.asked, random)
    images, different = asked.tensors
    with lamina.no_grad():
        features = model(images)
        distance = (features[:, 0] - features[:, 1]).norm(dim=1)
        pixels = (images[:, 0] - images[:, 1]).flatten(1).norm(dim=1)
        area, plain = (metrics.AUC()(d, different) for d in (distance, pixels))
        few = numpy.arange(min(settings.stored, len(strangers)))
        gallery = strangers.photograph(few, random)
        asked_who = numpy.repeat(few, 10)
        photos = strangers.photograph(asked_who, random)
        nearest = lamina.cdist(model.embed(photos), model.embed(gallery)).argmin(1)
        by_pixels = lamina.cdist(photos.flatten(1), gallery.flatten(1)).argmin(1)
    who = lamina.from_numpy(asked_who)
    recognised, guessed = (float((n == who).float().mean()) for n in (nearest, by_pixels))
    files = [run.out / "roc.png", run.out / "recognition.png"]
    draw_roc({"siamese net": (distance.numpy(), area), "pixels": (pixels.numpy(), plain)}, different.numpy(), files[0])
    draw_recognition(gallery, photos, nearest, who, files[1])
    least = (plain, 0.0) if settings.folder else (0.97, 0.8)  # of files, that it does better than their pixels
    summary = (
        f"verification of persons never seen before: area under the ROC curve {area:.3f} (expected: at least "
        f"{least[0]:.3f}; distance of the pixels {plain:.3f})\n"
        f"recognition among {len(few)} stored persons: {recognised:.1%} (expected: at least {least[1]:.0%}; pixels "
        f"{guessed:.1%})"
    )
    met = area >= least[0] and recognised >= least[1]
    return Result({"auc": area, "recognised": recognised}, met, summary, files)


def draw_roc(curves: dict[str, tuple[Any, float]], different: Any, path: Path) -> None:
    with plots.figure(path, 1, 2, (10.5, 4.4)) as (fig, (left, right)):
        for colour, (name, (distance, area)) in zip(plots.COLOURS, curves.items(), strict=False):
            left.plot(*roc(distance, different), color=colour, label=f"{name}: area {area:.3f}")
        left.plot([0, 1], [0, 1], color=plots.GREY, ls=":", lw=1)
        left.set(title="ROC of verification", xlabel="strangers let in", ylabel="persons recognised")
        left.legend(loc="lower right")
        distance = next(iter(curves.values()))[0]
        for colour, label, kind in ((plots.GREEN, "one person", 0), (plots.RED, "two persons", 1)):
            right.hist(distance[different == kind], 60, range=(0, distance.max()), color=colour, alpha=0.6, label=label)
        right.set(title="Distance of two photographs", xlabel="distance")
        right.legend(loc="upper right")


def draw_recognition(gallery: Tensor, photos: Tensor, nearest: Tensor, who: Tensor, path: Path) -> None:
    """Photographs (above) with the stored ones that they were taken for (below)."""
    wrong = [int(i) for i in lamina.nonzero(nearest != who).reshape(-1)][:4]
    chosen = (wrong + [i for i in range(0, len(who), 10) if i not in wrong])[:12]
    with plots.figure(path, 2, len(chosen), (0.95 * len(chosen), 2.5), squeeze=False) as (fig, axes):
        fig.suptitle(
            "Who is it? Above a photograph, below the stored one that is nearest", x=0.01, ha="left", fontsize=12
        )
        for column, i in enumerate(chosen):
            show_image(axes[0, column], photos[i])
            show_image(axes[1, column], gallery[int(nearest[i])], "right" if nearest[i] == who[i] else "wrong")
