"""Recurrent layers: whole sequences in one fused kernel a layer and direction."""

from __future__ import annotations

import math

from lamina import _C
from lamina._C import Tensor
from lamina._capture import is_capturing
from lamina.nn import functional as F
from lamina.nn import init
from lamina.nn.linear import check_sizes
from lamina.nn.module import Module
from lamina.nn.parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["GRU", "LSTM", "RNN"]

_LSTM_OPTIONS = {  # bits of csrc/kernels/rnn.h
    "input_gate": 1, "forget_gate": 2, "output_gate": 4, "input_activation": 8, "output_activation": 16,
    "peephole": 32, "coupled": 64,
}  # fmt: skip


class _Recurrent(Module):
    """Layers of one kind of cell, one after the other, each in one direction or two."""

    gates: int  # blocks of hidden_size rows in each weight
    cell: str
    options: int = 0
    peepholes: tuple[str, ...] = ()
    has_cell_state = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        leak: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        check_sizes(kind, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if hidden_size == 0 or num_layers == 0:
            raise ValueError(
                f"{kind}: hidden_size and num_layers must be at least 1, got {hidden_size} and {num_layers}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"{kind}: dropout must be between 0 and 1, got {dropout}")
        if leak is not None and not 0 < leak <= 1:
            raise ValueError(f"{kind}: leak must be in (0, 1], got {leak}")
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.leak = leak
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            features = input_size if layer == 0 else hidden_size * self.num_directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                shapes |= dict.fromkeys(self.peepholes, (hidden_size,))
                for name, shape in shapes.items():
                    empty = _C.empty(*shape, device=device, dtype=dtype)
                    self.register_parameter(f"{name}_{suffix}", Parameter(empty))
        self.reset_parameters()

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"l{layer}", f"l{layer}_reverse"][: self.num_directions]

    def reset_parameters(self) -> None:
        """Uniform within ±1/√hidden_size, all of them."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _run(
        self, input: Tensor, h: Tensor | None, c: Tensor | None, lengths: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The outputs and the last states; h and c hold the first ones, (layers · directions, batch, hidden_size)."""
        x, single = self._steps_first(input)
        states = [self._first_state(name, s, x.shape[1], single) for name, s in (("h_0", h), ("c_0", c))]
        if lengths is not None:
            lengths = self._checked_lengths(lengths, x.shape[0], x.shape[1])
        last: list[list[Tensor]] = [[], []]
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                place = layer * self.num_directions + direction
                h, c = (None if s is None else s[place] for s in states)
                y, *reached = self._direction(x, suffix, h, c, lengths, direction == 1)
                outputs.append(y)
                for collected, state in zip(last, reached, strict=True):
                    collected.append(state)
            x = outputs[0] if len(outputs) == 1 else _C.cat(outputs, -1)
        h_n, c_n = _C.stack(last[0]), _C.stack(last[1]) if self.has_cell_state else None
        if single:
            return x.squeeze(1), h_n.squeeze(1), None if c_n is None else c_n.squeeze(1)
        return x.transpose(0, 1) if self.batch_first else x, h_n, c_n

    def _direction(
        self, x: Tensor, suffix: str, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        def parameter(name: str) -> Any:
            return getattr(self, f"{name}_{suffix}")

        return _C._rnn(
            self.cell,
            x,
            parameter("weight_ih"),
            parameter("weight_hh"),
            parameter("bias_ih") if self.bias else None,
            parameter("bias_hh") if self.bias else None,
            _C.stack([parameter(name) for name in self.peepholes]) if self.peepholes else None,
            h,
            c,
            lengths,
            reverse,
            self.options,
            self.leak or 1.0,
        )

    # ---- what may be handed in ----

    def _steps_first(self, input: Tensor) -> tuple[Tensor, bool]:
        """(steps, batch, features), and whether there was no batch."""
        kind = type(self).__name__
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "(batch, steps, " if self.batch_first else "(steps, batch, "
            raise ValueError(
                f"{kind}: expected input of shape {order}{self.input_size}) or (steps, {self.input_size}), "
                f"got {tuple(input.shape)}"
            )
        if input.ndim == 2:
            return input.unsqueeze(1), True
        return input.transpose(0, 1) if self.batch_first else input, False

    def _first_state(self, name: str, state: Tensor | None, batch: int, single: bool) -> Tensor | None:
        if state is None:
            return None
        count = self.num_layers * self.num_directions
        want = (count, self.hidden_size) if single else (count, batch, self.hidden_size)
        if tuple(state.shape) != want:
            raise ValueError(f"{type(self).__name__}: {name} must have shape {want}, got {tuple(state.shape)}")
        return state.unsqueeze(1) if single else state

    def _checked_lengths(self, lengths: Any, steps: int, batch: int) -> Tensor:
        t = _C.as_tensor(lengths, dtype=_C.int64)
        if tuple(t.shape) != (batch,):
            raise ValueError(f"{type(self).__name__}: lengths must have shape ({batch},), got {tuple(t.shape)}")
        # While a step is recorded no value can be read; the kernels reach beyond no sequence whatever its length.
        if batch and not is_capturing() and not (int(t.min()) >= 1 and int(t.max()) <= steps):
            raise ValueError(
                f"{type(self).__name__}: lengths must lie between 1 and {steps} steps, got {int(t.min())} to {int(t.max())}"
            )
        return t

    def extra_repr(self) -> str:
        words = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
            "leak": None,
        }
        words += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join(words)


class RNN(_Recurrent):
    """Elman's network: h ← tanh(W_ih x + b_ih + W_hh h + b_hh), or relu instead of tanh.

    Called with (steps, batch, input_size), or (batch, steps, input_size) with batch_first, and perhaps the first h of
    shape (layers · directions, batch, hidden_size); gives all outputs of the last layer and the last h. `lengths` says
    how long each sequence of a padded batch is: no state moves beyond its end and the outputs there are 0.

    With `leak`, h ← (1 − leak) h + leak · (what the cell gives).
    """

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, *args: Any, nonlinearity: str = "tanh", **kwargs: Any
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity, self.cell = nonlinearity, f"rnn_{nonlinearity}"
        super().__init__(input_size, hidden_size, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        y, h, _ = self._run(input, hx, None, lengths)
        return y, h


class LSTM(_Recurrent):
    """Long short-term memory, and the variants of it that the literature has compared, all at the same speed.

        i, f, o = σ(W x + R h + b)    g = tanh(W x + R h + b)    c ← f ⊙ c + i ⊙ g    h ← o ⊙ tanh(c)

    Arguments and results are RNN's, but states are pairs (h, c). The switches:

    input_gate, forget_gate, output_gate   False: that gate is 1. Its rows of the weights stay and are not used
    input_activation, output_activation    False: g, or the c shown in h, without tanh
    peephole   i and f see c as it was, o as it becomes, each through weights weight_pi, weight_pf, weight_po of each layer
    coupled    f = 1 − i
    leak       h ← (1 − leak) h + leak · (what the cell gives)
    """

    gates = 4
    has_cell_state = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *args: Any,
        input_gate: bool = True,
        forget_gate: bool = True,
        output_gate: bool = True,
        input_activation: bool = True,
        output_activation: bool = True,
        peephole: bool = False,
        coupled: bool = False,
        **kwargs: Any,
    ) -> None:
        if coupled and not (input_gate and forget_gate):
            raise ValueError("LSTM: coupled gates need both of them: input_gate=True and forget_gate=True")
        switches = {
            "input_gate": input_gate, "forget_gate": forget_gate, "output_gate": output_gate,
            "input_activation": input_activation, "output_activation": output_activation,
            "peephole": peephole, "coupled": coupled,
        }  # fmt: skip
        usual = dict.fromkeys(switches, True) | {"peephole": False, "coupled": False}
        self.switches = {name: on for name, on in switches.items() if on != usual[name]}
        self.options = sum(_LSTM_OPTIONS[name] for name in self.switches)
        self.cell = "lstm_variant" if self.options else "lstm"
        self.peepholes = ("weight_pi", "weight_pf", "weight_po") if peephole else ()
        super().__init__(input_size, hidden_size, *args, **kwargs)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, *, lengths: Any = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            raise TypeError(f"LSTM: expected the first states as a pair (h, c), got {type(hx).__name__}")
        first_h, first_c = hx or (None, None)
        y, h, c = self._run(input, first_h, first_c, lengths)
        assert c is not None
        return y, (h, c)

    def extra_repr(self) -> str:
        return ", ".join([super().extra_repr(), *(f"{name}={on}" for name, on in self.switches.items())])


class GRU(_Recurrent):
    """Gated recurrent units.

        r, z = σ(W x + b + R h + b′)    n = tanh(W x + b + r ⊙ (R h + b′))    h ← (1 − z) ⊙ n + z ⊙ h

    With reset_after=False, the form of Cho et al.: n = tanh(W x + b + R (r ⊙ h) + b′), h ← (1 − z) ⊙ h + z ⊙ n.
    Arguments and results are RNN's.
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int, *args: Any, reset_after: bool = True, **kwargs: Any) -> None:
        self.reset_after, self.cell = reset_after, "gru" if reset_after else "gru_reset_before"
        super().__init__(input_size, hidden_size, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        y, h, _ = self._run(input, hx, None, lengths)
        return y, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")
