"""The way in which most recipes train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lamina import Tensor, data, metrics, nn, optim, train
from lamina.data.augment import Augmentation
from lamina.nn import functional as F
from lamina.recipes.settings import Run
from lamina.train import History, Trainer


class Learning(Protocol):
    """The settings that `fit` reads."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def capture(self) -> bool: ...


Parts = tuple[data.Dataset[Any] | data.DataLoader, data.Dataset[Any]]
Transforms = tuple[Augmentation | None, Augmentation | None]


def fit(
    model: nn.Module,
    parts: Parts,
    settings: Learning,
    run: Run,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    measures: Mapping[str, metrics.Metric] | None = None,
    folder: str = "",
    transforms: Transforms = (None, None),
) -> Trainer:
    """Adam along a cosine with clipped gradients on the first part, a data set or a loader of the recipe's own; the second
    is for validation. What becomes of the batches of data sets: `transforms`."""
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    trainer = train.Trainer(
        model,
        optimizer,
        loss,
        metrics=measures,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs),
        clip_norm=1.0,
        out=run.out / folder,
        capture=settings.capture,
        progress=run.progress,
    )
    if run.progress and folder:
        print(f"{folder}: {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    loader = parts[0]
    if not isinstance(loader, data.DataLoader):
        whole = len(loader) >= settings.batch
        loader = data.DataLoader(loader, settings.batch, shuffle=True, drop_last=whole, transform=transforms[0])
    check = data.DataLoader(parts[1], 256, transform=transforms[1])
    trainer.fit(loader, settings.epochs, check, resume=run.resume)
    return trainer


def compare(
    networks: Mapping[str, nn.Module],
    parts: Parts,
    settings: Learning,
    run: Run,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    measures: Callable[[], Mapping[str, metrics.Metric]] = dict,
    transforms: Transforms = (None, None),
) -> dict[str, History]:
    """Trains several nets alike, each in a folder of its own; history.csv gets their losses, `loss` being the mean."""
    histories = {
        name: fit(
            model, parts, settings, run, loss=loss, measures=measures(), folder=name, transforms=transforms
        ).history
        for name, model in networks.items()
    }
    rows = []
    for epoch in range(min(map(len, histories.values()))):
        losses = {name: history["loss"][epoch] for name, history in histories.items()}
        rows.append({"epoch": epoch + 1.0, "loss": sum(losses.values()) / len(losses), **losses})
    History(rows).save(run.out / "history.csv")
    return histories
