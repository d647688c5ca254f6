"""The way in which most recipes train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lamina import Tensor, data, metrics, nn, optim, train
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


Parts = tuple[data.Dataset[Any], data.Dataset[Any]]


def fit(
    model: nn.Module,
    parts: Parts,
    settings: Learning,
    run: Run,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    measures: Mapping[str, metrics.Metric] | None = None,
    folder: str = "",
) -> Trainer:
    """Adam along a cosine with clipped gradients on the first part; the second is for validation."""
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
    loader = data.DataLoader(parts[0], settings.batch, shuffle=True, drop_last=len(parts[0]) >= settings.batch)
    trainer.fit(loader, settings.epochs, data.DataLoader(parts[1], 256), resume=run.resume)
    return trainer


def compare(
    networks: Mapping[str, nn.Module],
    parts: Parts,
    settings: Learning,
    run: Run,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    measures: Callable[[], Mapping[str, metrics.Metric]] = dict,
) -> dict[str, History]:
    """Trains several nets alike, each in a folder of its own; history.csv gets their losses, `loss` being the mean."""
    histories = {
        name: fit(model, parts, settings, run, loss=loss, measures=measures(), folder=name).history
        for name, model in networks.items()
    }
    rows = []
    for epoch in range(min(map(len, histories.values()))):
        losses = {name: history["loss"][epoch] for name, history in histories.items()}
        rows.append({"epoch": epoch + 1.0, "loss": sum(losses.values()) / len(losses), **losses})
    History(rows).save(run.out / "history.csv")
    return histories
