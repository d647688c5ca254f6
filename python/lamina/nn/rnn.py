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

__all__ = ["GRU", "LSTM", "MUT1", "MUT2", "MUT3", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class _Kind:
    """What its layers must know of a cell."""

    def __init__(
        self,
        cell: str,
        inputs: int,
        recurrent: int,
        *,
        has_cell_state: bool = False,
        options: int = 0,
        peepholes: tuple[str, ...] = (),
        sees_gates: bool = False,
        adds_input: bool = False,
        forget_gate: int | None = None,
        words: tuple[str, ...] = (),
    ) -> None:
        self.cell = cell  # its name in csrc/ops/rnn.cpp
        self.inputs, self.recurrent = inputs, recurrent  # blocks of hidden_size rows in weight_ih and weight_hh
        self.has_cell_state = has_cell_state
        self.options = options  # bits of LstmOption in csrc/kernels/rnn.h
        self.peepholes, self.sees_gates = peepholes, sees_gates
        self.adds_input = adds_input  # as it is, so that it must have hidden_size features
        self.forget_gate = forget_gate
        self.words = words  # of its repr

    def shapes(self, inputs: int, hidden: int, bias: bool) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (self.inputs * hidden, inputs),
            "weight_hh": (self.recurrent * hidden, hidden),
        }
        if bias:
            shapes |= {"bias_ih": (self.inputs * hidden,), "bias_hh": (self.recurrent * hidden,)}
        if self.sees_gates:
            shapes |= {"weight_gates": (3 * hidden, 3 * hidden)}
        return shapes | dict.fromkeys(self.peepholes, (hidden,))


def _elman(owner: str, nonlinearity: str) -> _Kind:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{owner}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return _Kind(f"rnn_{nonlinearity}", 1, 1)


_LSTM_SWITCHES = {  # their defaults and bits
    "input_gate": (True, 1), "forget_gate": (True, 2), "output_gate": (True, 4), "input_activation": (True, 8),
    "output_activation": (True, 16), "peephole": (False, 32), "coupled": (False, 64),
}  # fmt: skip


def _lstm(owner: str, full_gate_recurrence: bool, **switches: bool) -> _Kind:
    if switches["coupled"] and not (switches["input_gate"] and switches["forget_gate"]):
        raise ValueError(f"{owner}: coupled gates need both of them: input_gate=True and forget_gate=True")
    unusual = {name: on for name, on in switches.items() if on != _LSTM_SWITCHES[name][0]}
    return _Kind(
        "lstm_full" if full_gate_recurrence else "lstm_variant" if unusual else "lstm",
        4,
        4,
        has_cell_state=True,
        options=sum(_LSTM_SWITCHES[name][1] for name in unusual),
        peepholes=("weight_pi", "weight_pf", "weight_po") if switches["peephole"] else (),
        sees_gates=full_gate_recurrence,
        forget_gate=1,
        words=tuple(f"{name}={on}" for name, on in unusual.items())
        + (("full_gate_recurrence=True",) if full_gate_recurrence else ()),
    )


def _gru(reset_after: bool) -> _Kind:
    return _Kind("gru", 3, 3) if reset_after else _Kind("gru_reset_before", 3, 3, words=("reset_after=False",))


def _seen_by_gates(kind: _Kind, weight: Tensor, gates: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The recurrent weight over all that the gates see, and that of a second stage which then stands apart.

    Full gate recurrence sees h, i, f and o; MUT3's r sees h and its z tanh(h). What a gate does not see has weight 0.
    """
    if gates is not None:
        i, f, o = _C.split(gates, weight.shape[1])
        none = _C.zeros_like(i)
        return _C.cat([weight, _C.cat([i, f, none, o])], 1), None
    if kind.cell == "mut3":
        r, z, n = _C.split(weight, weight.shape[1])
        none = _C.zeros_like(r)
        return _C.cat([_C.cat([r, none], 1), _C.cat([none, z], 1)]), n
    return weight, None


def _is_share(owner: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{owner}: {name} must be in [0, 1), got {number}")


class _Recurrent(Module):
    """Cells of one kind, with weights of their own by suffix."""

    def __init__(
        self,
        kind: _Kind,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        leak: float | None = None,
        zoneout: float | tuple[float, float] = 0.0,
        forget_bias: float | None = None,
        orthogonal: bool = False,
    ) -> None:
        owner = type(self).__name__
        if leak is not None and not 0 < leak <= 1:
            raise ValueError(f"{owner}: leak must be in (0, 1], got {leak}")
        if isinstance(zoneout, tuple) and not kind.has_cell_state:
            raise ValueError(f"{owner}: a pair of zoneouts is for cells with two states, got {zoneout}")
        if forget_bias is not None and (kind.forget_gate is None or not bias):
            raise ValueError(f"{owner}: forget_bias needs a forget gate with a bias")
        super().__init__()
        self.kind, self.input_size, self.hidden_size, self.bias = kind, input_size, hidden_size, bias
        self.leak, self.forget_bias, self.orthogonal = leak, forget_bias, orthogonal
        self.zoneout = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout if kind.has_cell_state else 0.0)
        _is_share(owner, **{"zoneout of h": self.zoneout[0], "zoneout of c": self.zoneout[1]})

    @property
    def has_cell_state(self) -> bool:
        return self.kind.has_cell_state

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        return self.kind.shapes(features, self.hidden_size, self.bias)

    def _add_parameters(self, features: int, suffix: str, device: Any, dtype: Any) -> None:
        if self.kind.adds_input and features != self.hidden_size:
            raise ValueError(
                f"{type(self).__name__}: adds its input to its gates, so each layer's must have hidden_size features, "
                f"got {features} and hidden_size={self.hidden_size}"
            )
        for name, shape in self._shapes(features).items():
            self.register_parameter(f"{name}{suffix}", Parameter(_C.empty(*shape, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Uniform within ±1/√hidden_size, all of them.

        With `orthogonal`, the recurrent weight of each gate is an orthogonal matrix. With `forget_bias`, the forget
        gates' biases sum to that number, so that the cell begins by remembering.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters():
            init.uniform_(parameter, -bound, bound)
            if self.orthogonal and name.startswith("weight_hh"):
                for gate in _C.split(parameter.detach(), self.hidden_size):
                    init.orthogonal_(gate)
            if self.forget_bias is not None and name.startswith("bias"):
                value = self.forget_bias if name.startswith("bias_ih") else 0.0
                init.forget_gate_bias_(parameter, value, self.kind.forget_gate or 0, self.kind.inputs)

    def _direction(
        self,
        x: Tensor,
        suffix: str,
        h: Tensor | None,
        c: Tensor | None,
        lengths: Tensor | None = None,
        reverse: bool = False,
        mask: Tensor | None = None,
        weights: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """All h of one layer in one direction, and the last states; `weights` replace those of the input and of h."""

        def parameter(name: str) -> Any:
            return getattr(self, f"{name}{suffix}")

        weight_ih, weight_hh = weights or (parameter("weight_ih"), parameter("weight_hh"))
        weight, second = _seen_by_gates(
            self.kind, weight_hh, parameter("weight_gates") if self.kind.sees_gates else None
        )
        no_moves: Tensor | None = None
        rates, moves = [self.leak or 1.0, 1.0], [no_moves, no_moves]
        for state, share in enumerate(self.zoneout):
            if share and self.training:
                shape = (x.shape[0], x.shape[1], self.hidden_size)
                moves[state] = _C.empty(*shape, device=x.device, dtype=x.dtype).bernoulli_(1 - share)
            else:
                rates[state] *= 1 - share
        return _C._rnn(
            self.kind.cell,
            x,
            weight_ih,
            weight,
            second,
            parameter("bias_ih") if self.bias else None,
            parameter("bias_hh") if self.bias else None,
            _C.stack([parameter(name) for name in self.kind.peepholes]) if self.kind.peepholes else None,
            h,
            c,
            lengths,
            reverse,
            self.kind.options,
            rates[0],
            rates[1],
            moves[0],
            moves[1],
            mask,
        )

    def _unusual(self, **defaults: Any) -> list[str]:
        defaults |= {"bias": True, "leak": None, "zoneout": (0.0, 0.0), "forget_bias": None, "orthogonal": False}
        words = [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return [f"{self.input_size}, {self.hidden_size}", *words, *self.kind.words]


class _Layers(_Recurrent):
    """Layers of one kind of cell, one after the other, each in one direction or two."""

    def __init__(
        self,
        kind: _Kind,
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
        *,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        output_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        forget_bias: float | None = None,
        orthogonal: bool = False,
        proj_size: int = 0,
    ) -> None:
        owner = type(self).__name__
        if proj_size and not (kind.has_cell_state and 0 < proj_size < hidden_size):
            raise ValueError(f"{owner}: proj_size is for LSTM and must be below hidden_size, got {proj_size}")
        if proj_size and (leak is not None or zoneout or recurrent_dropout):
            raise ValueError(f"{owner}: no leak, zoneout or recurrent_dropout with a projected state")
        check_sizes(owner, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if hidden_size == 0 or num_layers == 0:
            raise ValueError(
                f"{owner}: hidden_size and num_layers must be at least 1, got {hidden_size} and {num_layers}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"{owner}: dropout must be between 0 and 1, got {dropout}")
        _is_share(
            owner, input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, output_dropout=output_dropout
        )
        super().__init__(kind, input_size, hidden_size, bias, leak, zoneout, forget_bias, orthogonal)
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self.input_dropout, self.recurrent_dropout, self.output_dropout = (
            input_dropout, recurrent_dropout, output_dropout,
        )  # fmt: skip
        for layer in range(num_layers):
            features = input_size if layer == 0 else self.state_size * self.num_directions
            for suffix in self._suffixes(layer):
                self._add_parameters(features, suffix, device, dtype)
        self.reset_parameters()

    @property
    def state_size(self) -> int:
        """Of h, and of the outputs in each direction."""
        return self.proj_size or self.hidden_size

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.num_directions]

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes(features)
        if self.proj_size:
            shapes["weight_hh"] = (shapes["weight_hh"][0], self.proj_size)
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    def _projected_direction(
        self, x: Tensor, suffix: str, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The state is P m, and the gates see R P m: a sequence of m with the recurrent weight R P, projected at the end.

        The first h need not be the projection of any m, so its share R h comes in beside the input of the first step.
        """
        weight_ih, weight_hh, projection = (
            getattr(self, f"{name}{suffix}") for name in ("weight_ih", "weight_hh", "weight_hr")
        )
        recurrent = weight_hh @ projection
        if h is not None:
            steps = x.shape[0]
            last = steps - 1 if lengths is None else lengths - 1
            first = (_C.arange(steps).unsqueeze(1) == (last if reverse else 0)).to(x.dtype)
            x = _C.cat([x, (first.unsqueeze(2) * h).expand(steps, x.shape[1], self.proj_size)], -1)
            weight_ih = _C.cat([weight_ih, weight_hh], 1)
        y, m, c = self._direction(x, suffix, None, c, lengths, reverse, weights=(weight_ih, recurrent))
        back = projection.transpose(0, 1)
        return y @ back, m @ back, c

    def _mask(self, p: float, features: int, like: Tensor) -> Tensor | None:
        """One dropout mask for all steps of a sequence (Y. Gal and Z. Ghahramani, 2016): (batch, features)."""
        if not (p and self.training):
            return None
        return F.dropout(_C.ones(like.shape[1], features, device=like.device, dtype=like.dtype), p, True)

    def _run(
        self, input: Tensor, h: Tensor | None, c: Tensor | None, lengths: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The outputs and the last states; h and c hold the first ones, (layers · directions, batch, hidden_size)."""
        x, single = self._steps_first(input)
        states = [self._first_state(name, s, x.shape[1], single) for name, s in (("h_0", h), ("c_0", c))]
        if lengths is not None:
            lengths = self._checked_lengths(lengths, x.shape[0], x.shape[1])
        last: list[list[Any]] = [[], []]
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            input_mask = self._mask(self.input_dropout, x.shape[2], x)
            if input_mask is not None:
                x = x * input_mask
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                place = layer * self.num_directions + direction
                h, c = (None if s is None else s[place] for s in states)
                if self.proj_size:
                    y, *reached = self._projected_direction(x, suffix, h, c, lengths, direction == 1)
                else:
                    mask = self._mask(self.recurrent_dropout, self.hidden_size, x)
                    y, *reached = self._direction(x, suffix, h, c, lengths, direction == 1, mask)
                outputs.append(y)
                for collected, state in zip(last, reached, strict=True):
                    collected.append(state)
            x = outputs[0] if len(outputs) == 1 else _C.cat(outputs, -1)
            output_mask = self._mask(self.output_dropout, x.shape[2], x)
            if output_mask is not None:
                x = x * output_mask
        h_n, c_n = _C.stack(last[0]), _C.stack(last[1]) if self.has_cell_state else None
        if single:
            return x.squeeze(1), h_n.squeeze(1), None if c_n is None else c_n.squeeze(1)
        return x.transpose(0, 1) if self.batch_first else x, h_n, c_n

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
        size = self.state_size if name == "h_0" else self.hidden_size
        want = (count, size) if single else (count, batch, size)
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
        usual = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        usual |= {"proj_size": 0, "input_dropout": 0.0, "recurrent_dropout": 0.0, "output_dropout": 0.0}
        return ", ".join(self._unusual(**usual))


class _Step(_Recurrent):
    """One step of a cell: input (batch, input_size) or (input_size,)."""

    def __init__(
        self,
        kind: _Kind,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        if hidden_size == 0:
            raise ValueError(f"{type(self).__name__}: hidden_size must be at least 1, got 0")
        super().__init__(kind, input_size, hidden_size, bias, **options)
        self._add_parameters(input_size, "", device, dtype)
        self.reset_parameters()

    def _run(self, input: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        owner = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{owner}: expected input of shape (batch, {self.input_size}) or ({self.input_size},), "
                f"got {tuple(input.shape)}"
            )
        want = (*input.shape[:-1], self.hidden_size)
        for name, state in (("h", h), ("c", c)):
            if state is not None and tuple(state.shape) != want:
                raise ValueError(f"{owner}: {name} must have shape {want}, got {tuple(state.shape)}")
        if input.ndim == 1:
            h, c = (None if s is None else s.unsqueeze(0) for s in (h, c))
            _, h, c = self._direction(input.reshape(1, 1, -1), "", h, c)
            return h.squeeze(0), None if c is None else c.squeeze(0)
        _, h, c = self._direction(input.unsqueeze(0), "", h, c)
        return h, c

    def extra_repr(self) -> str:
        return ", ".join(self._unusual())


def _pair(owner: str, hx: Any) -> tuple[Tensor | None, Tensor | None]:
    if hx is None:
        return None, None
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise TypeError(f"{owner}: expected the first states as a pair (h, c), got {type(hx).__name__}")
    return hx[0], hx[1]


class RNN(_Layers):
    """Elman's network: h ← tanh(W_ih x + b_ih + W_hh h + b_hh), or relu instead of tanh.

    Called with (steps, batch, input_size), or (batch, steps, input_size) with batch_first, and perhaps the first h of
    shape (layers · directions, batch, hidden_size); gives all outputs of the last layer and the last h. `lengths` says
    how long each sequence of a padded batch is: no state moves beyond its end and the outputs there are 0.

    leak         h ← (1 − leak) h + leak · (what the cell gives)
    zoneout      each unit of a state keeps its old value with this probability (D. Krueger et al., 2017), of h or, for
                 cells with two states, of (h, c); in evaluation the expectation
    input_dropout, recurrent_dropout, output_dropout
                 of each layer's input, of h as its gates see it, of its outputs: one mask for all steps of a sequence.
                 `dropout` is PyTorch's: between layers, a mask for every step
    orthogonal   begins with orthogonal recurrent weights
    """

    def __init__(
        self, input_size: int, hidden_size: int, *args: Any, nonlinearity: str = "tanh", **kwargs: Any
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(_elman("RNN", nonlinearity), input_size, hidden_size, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        y, h, _ = self._run(input, hx, None, lengths)
        return y, h


class LSTM(_Layers):
    """Long short-term memory, and the variants of it that the literature has compared, all at the same speed.

        i, f, o = σ(W x + R h + b)    g = tanh(W x + R h + b)    c ← f ⊙ c + i ⊙ g    h ← o ⊙ tanh(c)

    Arguments and results are RNN's, but states are pairs (h, c). The switches:

    input_gate, forget_gate, output_gate   False: that gate is 1. Its rows of the weights stay and are not used
    input_activation, output_activation    False: g, or the c shown in h, without tanh
    peephole   i and f see c as it was, o as it becomes, each through weights weight_pi, weight_pf, weight_po of each layer
    coupled    f = 1 − i
    full_gate_recurrence   i, f and o also see i, f and o of the step before (0 at first), through weight_gates
    forget_bias   what the forget gates' biases sum to at first
    proj_size  h ← P (o ⊙ tanh(c)), of proj_size features, through weight_hr. It saves weights, not time
    """

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
        full_gate_recurrence: bool = False,
        **kwargs: Any,
    ) -> None:
        kind = _lstm(
            "LSTM", full_gate_recurrence, input_gate=input_gate, forget_gate=forget_gate, output_gate=output_gate,
            input_activation=input_activation, output_activation=output_activation, peephole=peephole, coupled=coupled,
        )  # fmt: skip
        super().__init__(kind, input_size, hidden_size, *args, **kwargs)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, *, lengths: Any = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, h, c = self._run(input, *_pair("LSTM", hx), lengths)
        assert c is not None
        return y, (h, c)


class GRU(_Layers):
    """Gated recurrent units.

        r, z = σ(W x + b + R h + b′)    n = tanh(W x + b + r ⊙ (R h + b′))    h ← (1 − z) ⊙ n + z ⊙ h

    With reset_after=False, the form of Cho et al.: n = tanh(W x + b + R (r ⊙ h) + b′), h ← (1 − z) ⊙ h + z ⊙ n.
    Arguments and results are RNN's.
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, reset_after: bool = True, **kwargs: Any) -> None:
        self.reset_after = reset_after
        super().__init__(_gru(reset_after), input_size, hidden_size, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        y, h, _ = self._run(input, hx, None, lengths)
        return y, h


class _Mutation(_Layers):
    """A cell that R. Jozefowicz et al. found in 2015; h ← (1 − z) ⊙ h + z ⊙ n. Arguments and results are RNN's."""

    mutation: _Kind

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(self.mutation, input_size, hidden_size, *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        y, h, _ = self._run(input, hx, None, lengths)
        return y, h


class MUT1(_Mutation):
    """r = σ(W x + R h + b)    z = σ(W x + b)    n = tanh(R (r ⊙ h) + tanh(x) + b)    h ← (1 − z) ⊙ h + z ⊙ n

    Every layer's input has hidden_size features. weight_ih holds the rows of r and z, weight_hh those of r and n.
    """

    mutation = _Kind("mut1", 2, 2, adds_input=True)


class MUT2(_Mutation):
    """r = σ(x + R h + b)    z = σ(W x + R h + b)    n = tanh(R (r ⊙ h) + W x + b)    h ← (1 − z) ⊙ h + z ⊙ n

    Every layer's input has hidden_size features. weight_ih holds the rows of z and n, weight_hh those of r, z and n.
    """

    mutation = _Kind("mut2", 2, 3, adds_input=True)


class MUT3(_Mutation):
    """r = σ(W x + R h + b)    z = σ(W x + R tanh(h) + b)    n = tanh(R (r ⊙ h) + W x + b)    h ← (1 − z) ⊙ h + z ⊙ n"""

    mutation = _Kind("mut3", 3, 3)


class RNNCell(_Step):
    """One step of RNN: h of (batch, hidden_size), from zeros where none is given."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        kind = _elman("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(kind, input_size, hidden_size, bias, device, dtype, **options)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(input, hx, None)[0]


class LSTMCell(_Step):
    """One step of LSTM, with its switches: (h, c) of (batch, hidden_size) each, from zeros where none are given."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        switches = {name: options.pop(name, usual) for name, (usual, _) in _LSTM_SWITCHES.items()}
        # One step alone has no gates of the step before to see.
        super().__init__(_lstm("LSTMCell", False, **switches), input_size, hidden_size, bias, device, dtype, **options)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = self._run(input, *_pair("LSTMCell", hx))
        assert c is not None
        return h, c


class GRUCell(_Step):
    """One step of GRU: h of (batch, hidden_size), from zeros where none is given."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(_gru(reset_after), input_size, hidden_size, bias, device, dtype, **options)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(input, hx, None)[0]
