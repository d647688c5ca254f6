"""LeNet-5 reads handwritten digits: scikit-learn's, enlarged to 28 × 28, or the images of files in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lamina
from lamina import Tensor, data, metrics, models, train
from lamina.recipes._images import PLAIN, WARPED, enlarged_digits, file_sets, show_filters, show_image, show_maps
from lamina.recipes._learning import fit
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with MNIST's, Fashion-MNIST's or CIFAR-10's files, for the digits")
    expected: float = setting(0.98, "test accuracy to be expected: of Fashion-MNIST 0.88, of CIFAR-10 0.55", 0, 1)
    augment: bool = setting(True, "turn, shear, scale and move what it learns from a little, anew in every epoch")
    epochs: int = setting(40, "epochs", low=1)
    batch: int = setting(64, "images per step", low=1)
    lr: float = setting(3e-3, "learning rate of Adam at the start; falls along a cosine", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def run(settings: Settings, run: Run) -> Result:
    sets = file_sets(settings.folder) if settings.folder else enlarged_digits(28, margin=2)
    _, channels, side, _ = sets[0].tensors[0].shape
    model = models.LeNet5(10, channels, side)
    transforms = WARPED if settings.augment else PLAIN, PLAIN
    measures = {"accuracy": metrics.Accuracy()}
    trainer = fit(model, (sets[0], sets[1]), settings, run, measures=measures, transforms=transforms)
    logits = trainer.predict(data.DataLoader(sets[2], 256, transform=PLAIN))
    images, truth = PLAIN(sets[2].tensors[0]), sets[2].tensors[1]
    accuracy = metrics.Accuracy()(logits, truth)
    files = [run.out / name for name in ("curves.png", "filters.png", "maps.png", "mistakes.png")]
    train.plot_history(trainer.history, files[0], f"LeNet-5 on {len(sets[0])} images")
    show_filters(model.features[0].weight, files[1], "The six kernels of the first layer")
    draw_maps(model, images[:1], files[2])
    draw_mistakes(images, truth, logits, files[3])
    parameters = sum(p.numel() for p in model.parameters())
    summary = (
        f"test accuracy {accuracy:.2%} of {len(truth)} images with {parameters} parameters (expected: at least "
        f"{settings.expected:.0%})"
    )
    met = accuracy >= settings.expected
    return Result({"accuracy": accuracy, "loss": trainer.history["loss"][-1]}, met, summary, files)


@lamina.no_grad()
def draw_maps(model: models.LeNet5, image: Tensor, path: Path) -> None:
    """What an image becomes, layer by layer."""
    maps, x = {}, image
    for layer, name in zip(model.features, ("conv", "relu", "pool", "conv", "relu", "pool"), strict=True):
        x = layer(x)
        if name != "relu":
            maps[f"{name} {x.shape[-1]} × {x.shape[-1]}"] = x[0]
    show_maps(image[0], maps, path)


def draw_mistakes(images: Tensor, truth: Tensor, logits: Tensor, path: Path) -> None:
    """What it takes for something else, the surest first; then what it is least sure of."""
    odds = lamina.softmax(logits, 1)
    sure, guess = odds.max(1)
    order = sorted(
        range(len(truth)),
        key=lambda i: (bool(guess[i] == truth[i]), abs(float(sure[i]) - 1) * (1 if guess[i] != truth[i] else -1)),
    )
    with plots.figure(path, 3, 8, (9, 4.2)) as (fig, axes):
        wrong = int((guess != truth).sum())
        fig.suptitle(f"{wrong} mistakes of {len(truth)}, then what it is least sure of", x=0.01, ha="left", fontsize=12)
        for axis in axes.flat:
            axis.axis("off")
        for axis, i in zip(axes.flat, order, strict=False):
            right = bool(guess[i] == truth[i])
            title = (
                f"{int(truth[i])}, {float(sure[i]):.0%} sure"
                if right
                else f"{int(truth[i])}, taken for {int(guess[i])}"
            )
            show_image(axis, images[i], title, cmap="gray_r")
