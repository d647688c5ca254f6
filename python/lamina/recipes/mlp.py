"""A multi-layer perceptron on handwritten digits: 8×8 of scikit-learn's (bundled), or 28×28 of MNIST from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lamina
from lamina import Tensor, data, metrics, nn, optim, train
from lamina.nn import functional as F
from lamina.recipes.settings import Result, Run, setting
from lamina.train import plots


@dataclass(frozen=True)
class Settings:
    folder: Path | None = setting(
        None, "a folder with MNIST's or Fashion-MNIST's four IDX files, instead of the digits"
    )
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


def _sets(settings: Settings) -> tuple[list[data.TensorDataset], int]:
    """Training, validation and test set, pixels from 0 to 1, and how many pixels an image is high and wide."""
    if settings.folder is None:
        digits = data.bundled("digits")
        whole = data.TensorDataset(digits.tensors[0] / 16, digits.tensors[1])
        parts: list[Any] = list(data.split(whole, stratify=True))
        return [data.TensorDataset(*data.tensors_of(part)) for part in parts], 8
    learn, test = (data.mnist(settings.folder, part) for part in (True, False))
    side = learn.tensors[0].shape[-1]
    learn, test = (
        data.TensorDataset(d.tensors[0].reshape(len(d), -1).float() / 255, d.tensors[1]) for d in (learn, test)
    )
    held_out = max(1, len(learn) // 12)
    rest = data.split(learn, (len(learn) - held_out, held_out, 0), stratify=True)
    return [data.TensorDataset(*data.tensors_of(part)) for part in rest[:2]] + [test], side


def run(settings: Settings, run: Run) -> Result:
    sets, side = _sets(settings)
    classes = 10
    model = network(side * side, classes, settings)
    optimizer = optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    norms = train.NormRecorder(20)
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
    loader = data.DataLoader(sets[0], settings.batch, shuffle=True, drop_last=len(sets[0]) >= settings.batch)
    validation, test = data.DataLoader(sets[1], 512), data.DataLoader(sets[2], 512)
    history = trainer.fit(loader, settings.epochs, validation, patience=settings.patience, resume=run.resume)
    logits = trainer.predict(test)
    truth = sets[2].tensors[1]
    accuracy = metrics.Accuracy()(logits, truth)
    expected = 0.97
    files = [run.out / name for name in ("curves.png", "digits.png", "norms.png")]
    train.plot_history(history, files[0], f"A multi-layer perceptron on {len(sets[0])} digits")
    draw(sets[2].tensors[0].reshape(-1, side, side), truth, logits, files[1])
    train.plot_norms(norms, files[2], "Gradients that vanish or explode would show here")
    diagnosis = train.diagnose(
        train=1 - float(trainer.evaluate(data.DataLoader(sets[0], 512))["accuracy"]),
        validation=1 - max(history["validation_accuracy"]),
        test=1 - accuracy,
    )
    summary = f"test accuracy {accuracy:.2%} (expected: at least {expected:.0%})\nerrors, and what they are due to:\n{diagnosis}"
    return Result({"accuracy": accuracy, "loss": history["loss"][-1]}, accuracy >= expected, summary, files)


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
        left.set(title="Digits of the test set", xlabel="taken for", ylabel="truth", xticks=range(10), yticks=range(10))
        left.grid(False)
        left.spines[:].set_visible(False)
        left.tick_params(length=0)
        right.axis("off")
        right.set_title(f"{len(wrong)} mistakes of {len(truth)}" + (", the surest first" if wrong else ""))
        for place, i in enumerate(wrong[:12]):
            row, column = divmod(place, 4)
            cell = right.inset_axes((column * 0.25 + 0.015, 0.70 - row * 0.34, 0.22, 0.22))
            cell.imshow(images[i].numpy(), cmap="gray_r", interpolation="nearest")
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set(visible=True, color=plots.PALE)
            cell.set_title(
                f"{int(truth[i])}, taken for {int(guess[i])}", fontsize=8.5, fontweight="normal", loc="center", pad=4
            )
