"""Transfer learning: a net that tells some persons apart learns to tell others apart from a few photographs of each.

From random numbers; with the first layers taken over and frozen and only the last one new; with all taken over and
trained; and with each layer pre-trained to reconstruct its own input, without any label. With images from a folder, the
first five classes take the place of the persons that it knows, the last five that of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lamina
from lamina import Tensor, data, metrics, nn, optim
from lamina.data import augment
from lamina.nn import functional as F
from lamina.recipes._faces import SIDE, People
from lamina.recipes._images import Classes, file_sets
from lamina.recipes._learning import fit
from lamina.recipes.settings import Result, Run, setting
from lamina.train import History, plots

MOVED = augment.RandomAffine(degrees=5, translate=(0.04, 0.04), scale=(0.95, 1.05))
WAYS = ("from nothing", "layer-wise pre-trained", "frozen, last layer new", "taken over, all trained")


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with MNIST's, Fashion-MNIST's or CIFAR-10's files, for the persons")
    known: int = setting(60, "persons that the first net learns to tell apart", low=2)
    photos: int = setting(20, "photographs of each of them (of a class: ten times as many)", low=1)
    others: int = setting(20, "persons that it is then to tell apart", low=2)
    counts: tuple[int, ...] = setting((1, 2, 5, 20), "photographs of each of those", low=1)
    epochs: int = setting(8, "epochs of the first net", low=1)
    steps: int = setting(100, "steps on the others, and for each layer that is pre-trained", low=1)
    batch: int = setting(64, "images per step", low=1)
    lr: float = setting(3e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    augment: bool = setting(True, "turn, scale and move photographs a little, anew in every step")
    capture: bool = setting(True, "record the step once and replay it")


def network(persons: int, channels: int = 1, side: int = SIDE) -> nn.Sequential:
    """Four stages with weights, and a last one that is new where they are taken over."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(channels, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(32 * (side // 8) ** 2, 64), nn.BatchNorm1d(64), nn.ReLU()),
        nn.Linear(64, persons),
    )


def album(persons: People | Classes, photos: int, random: Any) -> data.TensorDataset:
    """So many photographs of each person, and who it is."""
    who = lamina.arange(len(persons)).repeat(photos)
    return data.TensorDataset(persons.photograph(who.numpy(), random), who)


class Known(NamedTuple):
    """Those that the first net learns from and is checked with, those to be told apart then, and what is asked of them."""

    learn: data.TensorDataset
    check: data.TensorDataset
    others: People | Classes
    asked: data.TensorDataset


def who_there_is(settings: Settings, random: Any) -> Known:
    if settings.folder is None:
        known, others = People(settings.known, random), People(settings.others, random)
        learn, check = (album(known, photos, random) for photos in (settings.photos, 5))
        return Known(learn, check, others, album(others, 20, random))
    sets, first, last = file_sets(settings.folder), range(5), range(5, 10)
    learn = album(Classes(sets[0], first), 10 * settings.photos, random)
    check = album(Classes(sets[1], first), 20, random)
    return Known(learn, check, Classes(sets[0], last), album(Classes(sets[2], last), 50, random))


def pretrain(model: nn.Sequential, images: Tensor, settings: Settings) -> None:
    """Layer by layer, greedily: each learns a code of its input from which a layer of its own can make it again."""
    x = images
    for stage in list(model)[:-1]:
        with lamina.no_grad():
            inputs = x.flatten(1) if isinstance(stage[0], nn.Flatten) else x
        layer = next(m for m in stage if isinstance(m, nn.Conv2d | nn.Linear))
        back: nn.Module
        if isinstance(layer, nn.Conv2d):
            back = nn.ConvTranspose2d(layer.out_channels, layer.in_channels, layer.kernel_size, padding=layer.padding)
        else:
            back = nn.Linear(layer.out_features, layer.in_features)
        optimizer = optim.Adam([*layer.parameters(), *back.parameters()], lr=settings.lr)
        for _ in range(settings.steps):
            batch = inputs.index_select(0, lamina.randint(len(inputs), (settings.batch,)))
            optimizer.zero_grad()
            F.mse_loss(back(layer(batch).relu()), batch).backward()
            optimizer.step()
        with lamina.no_grad():
            x = stage(x)


def learn(model: nn.Sequential, part: data.TensorDataset, settings: Settings) -> None:
    """Some steps on few images; layers whose weights ask for no gradient stay as they are."""
    images, labels = part.tensors
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=settings.lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    model.train()
    for stage in model:
        if not any(p.requires_grad for p in stage.parameters()):
            stage.eval()  # what is frozen keeps its running statistics, too
    for _ in range(settings.steps):
        which = lamina.randint(len(images), (min(settings.batch, len(images)),))
        batch = images.index_select(0, which)
        optimizer.zero_grad()
        F.cross_entropy(model(MOVED(batch) if settings.augment else batch), labels.index_select(0, which)).backward()
        optimizer.step()
        schedule.step()


def prepared(way: str, source: nn.Sequential, unlabelled: Tensor, others: int, settings: Settings) -> nn.Sequential:
    """A net as it is before it sees the others."""
    model = network(others, *unlabelled.shape[1:3])
    if way == "layer-wise pre-trained":
        pretrain(model, unlabelled, settings)
    elif way != "from nothing":
        for stage, theirs in zip(list(model)[:-1], list(source)[:-1], strict=True):
            stage.load_state_dict(theirs.state_dict())
            stage.requires_grad_(way != "frozen, last layer new")
    return model


def run(settings: Settings, run: Run) -> Result:
    import numpy

    random = numpy.random.default_rng(lamina.initial_seed())
    there = who_there_is(settings, random)
    seen, labels = there.learn.tensors
    source = network(int(labels.max()) + 1, *seen.shape[1:3])
    moved = MOVED if settings.augment else None
    measures = {"accuracy": metrics.Accuracy()}
    trainer = fit(source, (there.learn, there.check), settings, run, measures=measures, transforms=(moved, None))
    images, who = there.asked.tensors
    counts = sorted(set(settings.counts))
    accuracy: dict[str, list[float]] = {way: [] for way in WAYS}
    for count in counts:
        few = album(there.others, count, random)
        for way in WAYS:
            model = prepared(way, source, seen, len(there.others), settings)
            learn(model, few, settings)
            with lamina.no_grad():
                accuracy[way].append(metrics.Accuracy()(model.eval()(images), who))
    path = run.out / "transfer.png"
    draw(accuracy, counts, trainer.history, path)
    rows = [f"{'photographs of each':24}" + "".join(f"{count:>8}" for count in counts)]
    rows += [f"{way:24}" + "".join(f"{share:>8.1%}" for share in shares) for way, shares in accuracy.items()]
    rows.append(
        "(expected: with the fewest, what was taken over is better than nothing; with the most, training all of it is at "
        "least as good as freezing)"
    )
    taken = max(accuracy[WAYS[2]][0], accuracy[WAYS[3]][0])
    met = taken > accuracy["from nothing"][0] and accuracy[WAYS[3]][-1] >= accuracy[WAYS[2]][-1] - 0.01
    figures = {f"{way.split(',')[0].replace(' ', '_')}_{counts[0]}": shares[0] for way, shares in accuracy.items()}
    return Result(figures, met, "\n".join(rows), [path])


def draw(accuracy: dict[str, list[float]], counts: list[int], history: History, path: Path) -> None:
    with plots.figure(path, 1, 1, (7.4, 4.4)) as (fig, axis):
        for colour, (way, shares) in zip(
            (plots.GREY, plots.GREEN, plots.BLUE, plots.ORANGE), accuracy.items(), strict=True
        ):
            axis.plot(counts, shares, "o-", ms=5, color=colour, label=way)
        best = max(history["validation_accuracy"])
        axis.set(title=f"New persons, by a net that knows others ({best:.0%} right)", xscale="log", xticks=counts)
        axis.set(xlabel="photographs of each to learn from", ylabel="accuracy on new photographs")
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.legend(loc="lower right")
