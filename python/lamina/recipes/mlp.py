"""A multi-layer perceptron on handwritten digits: 8×8 of scikit-learn's (bundled), or the images of files in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import Tensor, data, metrics, nn, optim, train
from lamina.nn import functional as F
from lamina.recipes._images import enlarged_digits, file_sets, show_image
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(None, "a folder with MNIST's, Fashion-MNIST's or CIFAR-10's files, for the digits")
    expected: float = setting(0.97, "test accuracy to be expected: of Fashion-MNIST 0.86, of CIFAR-10 0.45", 0, 1)
    hidden: tuple[int, ...] = setting((128, 64), "units of the hidden layers", low=1)
    activation: Literal["relu", "tanh", "gelu"] = setting("relu", "relu, tanh or gelu")
    dropout: float = setting(0.2, "fraction of hidden units dropped", 0, 0.95)
    epochs: int = setting(40, "epochs at most", low=1)
    patience: int = setting(12, "epochs without a better validation loss before it stops", low=1)
    batch: int = setting(32, "samples per step", low=1)
    lr: float = setting(2e-3, "learning rate of AdamW at the start; falls along a cosine", low=0)
    weight_decay: float = setting(1e-2, "weight decay of AdamW", low=0)
    capture: bool = setting(True, "record the step once and replay it")


def network(inputs: int, classes: int, settings: Settings) -> nn.Module:
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[settings.activation]
    layers: list[nn.Module] = []
    for units in settings.hidden:
        layers += [nn.Linear(inputs, units), activation(), nn.Dropout(settings.dropout)]
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def row(images: Tensor, generator: Any = None) -> Tensor:
    """Bytes (N, C, H, W) -> rows of numbers from 0 to 1."""
    return images.flatten(1).float() / 255


def run(settings: Settings, run: Run) -> Result:
    sets = file_sets(settings.folder) if settings.folder else enlarged_digits(8)
    images, truth = sets[2].tensors
    model = network(images[0].numel(), 10, settings)
    optimizer = optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    whole = len(sets[0]) >= settings.batch
    loader = data.DataLoader(sets[0], settings.batch, shuffle=True, drop_last=whole, transform=row)
    norms = train.NormRecorder(min(20, len(loader)))
    trainer = train.Trainer(
        model,
        optimizer,
        F.cross_entropy,
        metrics={"accuracy": metrics.Accuracy()},
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs),
        out=run.out,
        callbacks=[norms],
        capture=settings.capture,
        progress=run.progress,
    )
    learnt, validation, test = (data.DataLoader(part, 512, transform=row) for part in sets)
    history = trainer.fit(loader, settings.epochs, validation, patience=settings.patience, resume=run.resume)
    logits = trainer.predict(test)
    accuracy = metrics.Accuracy()(logits, truth)
    files = [run.out / name for name in ("curves.png", "digits.png", "norms.png")]
    train.plot_history(history, files[0], f"A multi-layer perceptron on {len(sets[0])} images")
    draw(images, truth, logits, files[1])
    train.plot_norms(norms, files[2], "Gradients that vanish or explode would show here")
    diagnosis = train.diagnose(
        train=1 - float(trainer.evaluate(learnt)["accuracy"]),
        validation=1 - max(history["validation_accuracy"]),
        test=1 - accuracy,
    )
    summary = (
        f"test accuracy {accuracy:.2%} (expected: at least {settings.expected:.0%})\n"
        f"errors, and what they are due to:\n{diagnosis}"
    )
    met = accuracy >= settings.expected
    return Result({"accuracy": accuracy, "loss": history["loss"][-1]}, met, summary, files)


def draw(images: Tensor, truth: Tensor, logits: Tensor, path: Path) -> None:
    """The confusion matrix, and the mistakes (of which the surest first)."""
    odds = lamina.softmax(logits, 1)
    guess = odds.argmax(1)
    wrong = [int(i) for i in lamina.nonzero(guess != truth).reshape(-1)]
    wrong.sort(key=lambda i: -float(odds[i, int(guess[i])]))
    counts = metrics.ConfusionMatrix(10)(logits, truth).numpy()
    with plots.figure(path, 1, 2, (10.5, 4.9), width_ratios=[1, 1.05]) as (fig, (left, right)):
        shares = counts / counts.sum(1, keepdims=True).clip(1)
        left.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1.15)
        for row in range(10):
            for column in range(10):
                if counts[row, column]:
                    colour = "white" if shares[row, column] > 0.4 else plots.RED
                    left.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8.5)
        left.set(title="The test set", xlabel="taken for", ylabel="truth", xticks=range(10), yticks=range(10))
        left.grid(False)
        left.spines[:].set_visible(False)
        left.tick_params(length=0)
        right.axis("off")
        right.set_title(f"{len(wrong)} mistakes of {len(truth)}" + (", the surest first" if wrong else ""))
        for place, i in enumerate(wrong[:12]):
            row, column = divmod(place, 4)
            cell = right.inset_axes((column * 0.25 + 0.015, 0.70 - row * 0.34, 0.22, 0.22))
            show_image(cell, images[i], f"{int(truth[i])}, taken for {int(guess[i])}", cmap="gray_r")
            cell.spines[:].set(visible=True, color=plots.PALE)
