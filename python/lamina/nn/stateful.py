"""Recurrent layers whose state is carried from one call to the next: truncated back-propagation through time."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad
from lamina.nn.module import Module
from lamina.nn.rnn_layers import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["Stateful", "truncated"]


class Stateful(Module):
    """A recurrent layer that goes on where its last call ended; no gradient passes from one call to the one before.

        rnn = nn.Stateful(nn.LSTM(64, 128))
        for x, y in nn.truncated(35, inputs, targets):
            loss = criterion(head(rnn(x)), y)   # outputs alone: the state stays inside
            …
        rnn.reset()                             # before another sequence

    The state lies in memory of its own, which a captured step reads and writes too; with `batch_size` it is there from the
    start, as a step that is captured at its first call needs it. `embedding` is the layer's: the input holds tokens.
    """

    def __init__(self, layer: Layers, batch_size: int | None = None) -> None:
        if not isinstance(layer, Layers):
            raise TypeError(f"Stateful: expected a recurrent layer, got {type(layer).__name__}")
        if layer.bidirectional:
            raise ValueError("Stateful: the reverse direction of a layer has no state to be carried on")
        super().__init__()
        self.layer = layer
        self.state: list[Tensor] | None = None if batch_size is None else self._zeros(batch_size)

    def forward(self, input: Tensor, *, lengths: Any = None, embedding: Tensor | None = None) -> Tensor:
        if input.ndim != (3 if embedding is None else 2):
            raise ValueError(f"Stateful: expected a batch of sequences, got shape {tuple(input.shape)}")
        state = self._state_for(input)
        first = state[0] if len(state) == 1 else tuple(state)
        y, last = self.layer(input, first, lengths=lengths, embedding=embedding)
        with no_grad():
            for mine, new in zip(state, last if isinstance(last, tuple) else (last,), strict=True):
                mine.copy_(new.detach())
        return y

    def reset(self, rows: Any = None) -> None:
        """Begins anew with zeros: all sequences of the batch, or those `rows` (indices, or a bool for each)."""
        for s in self.state or []:
            with no_grad():
                if rows is None:
                    s.zero_()
                else:
                    s[:, rows] = 0.0

    def _zeros(self, batch: int) -> list[Tensor]:
        layer, weight = self.layer, next(self.layer.parameters())
        sizes = [layer.state_size, *[layer.hidden_size] * (len(layer.kind.states) - 1)]
        shape = (layer.num_layers, batch * layer.time_skip)
        return [_C.zeros(*shape, size, device=weight.device, dtype=weight.dtype) for size in sizes]

    def _state_for(self, input: Tensor) -> list[Tensor]:
        batch = input.shape[0 if self.layer.batch_first else 1]
        if self.state is None:
            self.state = self._zeros(batch)
        carried = self.state[0].shape[1] // self.layer.time_skip
        if carried != batch:
            raise ValueError(
                f"Stateful: carries the state of {carried} sequences, got {batch}; set .state to None for another batch"
            )
        return self.state


def truncated(steps: int, *sequences: Tensor, batch_first: bool = False) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of so many steps of sequences of equal length, side by side; the last may be shorter."""
    dim = 1 if batch_first else 0
    if steps < 1 or not sequences or any(s.ndim <= dim for s in sequences):
        raise ValueError(f"truncated: expected steps ≥ 1 and sequences with a dimension {dim}, got {steps}")
    total = {s.shape[dim] for s in sequences}
    if len(total) > 1:
        raise ValueError(f"truncated: sequences differ in length: {sorted(total)}")
    for begin in range(0, total.pop(), steps):
        yield tuple(s[:, begin : begin + steps] if batch_first else s[begin : begin + steps] for s in sequences)
