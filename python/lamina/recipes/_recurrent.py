"""What the recurrent recipes share: a net that reads sequences."""

from __future__ import annotations

from typing import Any

from lamina import Tensor, nn
from lamina.nn import init

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
        cell: str | nn.Cell,
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
        self.layer: Any
        if isinstance(cell, nn.Cell):
            self.layer = nn.CustomRNN(cell, inputs, hidden, batch_first=True, **options)
        else:
            self.layer = CELLS[cell](inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden * (2 if options.get("bidirectional") else 1), outputs)
        self.last = last
        if remembers is not None and isinstance(cell, str) and cell in GATES:
            init.forget_gate_bias_(self.layer.bias_ih_l0, remembers, *GATES[cell])

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        embedding = None if self.embedding is None else self.embedding.weight
        y, state = self.layer(x, lengths=lengths, embedding=embedding)
        if not self.last:
            return self.head(y).transpose(1, 2)
        h = state[0] if isinstance(state, tuple) else state
        return self.head(h[-1])
