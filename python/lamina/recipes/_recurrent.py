"""What the recurrent recipes share: a net that reads sequences, and the way it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lamina import Tensor, data, metrics, nn, optim, train
from lamina.nn import functional as F
from lamina.nn import init
from lamina.recipes.settings import Run
from lamina.train import History, Trainer

CLASSIC = ("RNN", "LSTM", "GRU")
FOUND = ("MUT1", "MUT2", "MUT3")  # by Jozefowicz et al., 2015
CELLS: dict[str, Any] = {name: getattr(nn, name) for name in (*CLASSIC, *FOUND)}
GATES = {"LSTM": (1, 4), "GRU": (1, 3)}  # which of how many keeps the state
IGNORED = -100  # a target that does not count, as in F.cross_entropy


class Reader(nn.Module):
    """Reads (batch, steps, features), or symbols (batch, steps), and answers (batch, outputs, steps).

    With `last`, only after the last step: (batch, outputs). Symbols are embedded first. With `remembers`, the gate that
    keeps a gated cell's state begins with that bias. `options` are the layer's.
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        symbols: int | None = None,
        last: bool = False,
        remembers: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.embedding = None if symbols is None else nn.Embedding(symbols, inputs)
        self.layer = CELLS[cell](inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden * (2 if options.get("bidirectional") else 1), outputs)
        self.last = last
        if remembers is not None and cell in GATES:
            init.forget_gate_bias_(self.layer.bias_ih_l0, remembers, *GATES[cell])

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            x = self.embedding(x)
        y, state = self.layer(x, lengths=lengths)
        if not self.last:
            return self.head(y).transpose(1, 2)
        h = state[0] if isinstance(state, tuple) else state
        return self.head(h[-1])


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
