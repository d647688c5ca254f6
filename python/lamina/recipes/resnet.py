"""The picture of He et al., 2016, in small: plain nets learn worse the deeper they are, residual nets do not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor, data, metrics, models, nn
from lamina.nn import functional as F
from lamina.recipes._images import warp
from lamina.recipes._learning import compare
from lamina.recipes.settings import Result, Run, setting
from lamina.train import History, plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with CIFAR-10's binary files, instead of the digits")
    depths: tuple[int, ...] = setting((20, 56), "layers of the nets, each plain and residual: 6 n + 2", low=8)
    width: int = setting(8, "channels of the first stage; 16 in the paper", low=1)
    samples: int = setting(1000, "images to learn from (all with CIFAR: 50000)", low=20)
    epochs: int = setting(8, "epochs", low=1)
    batch: int = setting(50, "images per step", low=1)
    lr: float = setting(3e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


class Augmented(data.TensorDataset):
    """Mirrored, and moved by up to four pixels, anew each time (section 4.2 of the paper)."""

    def batch(self, indices: Tensor) -> tuple[Tensor, ...]:
        images, labels = super().batch(indices)
        images = F.pad(images, (4, 4, 4, 4))
        down, right = lamina.randint(9, (2,)).tolist()
        images = images[:, :, down : down + 32, right : right + 32]
        mirrored = lamina.rand(len(images), 1, 1, 1) < 0.5
        return lamina.where(mirrored, images.flip(3), images), labels


def sets(settings: Settings) -> tuple[data.Dataset[Any], data.Dataset[Any], int]:
    """What to learn from, what to check with, and the channels of an image."""
    if settings.folder:
        files = [data.cifar10(settings.folder, train) for train in (True, False)]
        normalize = data.Normalizer((0, 2, 3))
        normalize.fit(files[0].tensors[0].float())
        learn, check = ([normalize(d.tensors[0].float()), d.tensors[1]] for d in files)
        return Augmented(*learn), data.TensorDataset(*check), 3
    digits = data.bundled("digits")
    small = data.TensorDataset(digits.tensors[0].reshape(-1, 1, 8, 8) / 16, digits.tensors[1])
    parts = data.split(small, stratify=True)
    return enlarged(parts.train, settings.samples), enlarged(parts.validation), 1


def enlarged(part: data.Dataset[Any], count: int | None = None) -> data.TensorDataset:
    """Digits of 16 × 16, as they are, or warped copies of them until there are so many."""
    images, labels = data.tensors_of(part)
    images = F.interpolate(images, size=(16, 16), mode="bilinear", align_corners=False)
    if count is not None:
        which = lamina.arange(count) % len(labels)
        images, labels = images.index_select(0, which), labels.index_select(0, which)
        images = warp(images[:, 0], 15, 0.15, 1.15, 1.5).unsqueeze(1)
    return data.TensorDataset(images - 0.3, labels)  # about their mean


def run(settings: Settings, run: Run) -> Result:
    learn, check, channels = sets(settings)
    depths = sorted(set(settings.depths))
    networks: dict[str, nn.Module] = {
        f"{kind} {depth}": build(depth, channels=channels, width=settings.width)
        for kind, build in (("plain", models.plain_cifar), ("residual", models.resnet_cifar))
        for depth in depths
    }
    histories = compare(networks, (learn, check), settings, run, measures=lambda: {"accuracy": metrics.Accuracy()})
    path = run.out / "resnet.png"
    draw(histories, path)
    loss = {name: history["loss"][-1] for name, history in histories.items()}
    rows = [f"{'':14}{'parameters':>11}{'training loss':>15}{'validation accuracy':>21}"]
    for name, history in histories.items():
        count = sum(p.numel() for p in networks[name].parameters())
        rows.append(f"{name:14}{count:11}{loss[name]:15.4f}{max(history['validation_accuracy']):21.2%}")
    shallow, deep = depths[0], depths[-1]
    rows.append(
        f"(expected: the residual net of {shallow} layers has a lower training loss than the plain one of {deep}, and "
        f"of {deep} layers the residual one too)"
    )
    met = max(loss[f"residual {shallow}"], loss[f"residual {deep}"]) < loss[f"plain {deep}"]
    return Result(
        {f"loss_{name.replace(' ', '_')}": value for name, value in loss.items()}, met, "\n".join(rows), [path]
    )


def draw(histories: dict[str, History], path: Path) -> None:
    """Training (thin) and validation error (thick) over the epochs: plain nets to the left, residual ones to the right."""
    with plots.figure(path, 1, 2, (10.5, 4.3), sharey=True) as (fig, axes):
        for axis, kind in zip(axes, ("plain", "residual"), strict=True):
            named = [(name, history) for name, history in histories.items() if name.startswith(kind)]
            for colour, (name, history) in zip((plots.ORANGE, plots.BLUE, plots.GREEN, plots.RED), named, strict=False):
                epochs = history["epoch"]
                axis.plot(epochs, [100 - 100 * a for a in history["accuracy"]], color=colour, lw=1, ls="--")
                axis.plot(
                    epochs,
                    [100 - 100 * a for a in history["validation_accuracy"]],
                    color=colour,
                    label=f"{name} layers",
                )
            axis.set(title=f"{kind.capitalize()} nets", xlabel="epoch")
            axis.set_ylim(bottom=0)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
        axes[0].set_ylabel("error in %  (dashed: training)")
