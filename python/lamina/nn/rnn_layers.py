"""What recurrent layers have in common: parameters, directions, chance, and what they refuse."""

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
from lamina.nn.rnn_kinds import Kind, seen_by_gates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_EPS = 1e-5  # of layer norm, as in nn.LayerNorm


def _stacked(states: Sequence[Tensor | None], x: Tensor, size: int) -> Tensor | None:
    """(states, batch, hidden_size), or None where all begin at zero."""
    if all(s is None for s in states):
        return None
    zero = _C.zeros(x.shape[1], size, device=x.device, dtype=x.dtype)
    return _C.stack([zero if s is None else s for s in states])


def _is_share(owner: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{owner}: {name} must be in [0, 1), got {number}")


class Recurrent(Module):
    """Cells of one kind, with weights of their own by suffix."""

    def __init__(
        self,
        kind: Kind,
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
        if isinstance(zoneout, tuple) and len(kind.states) != 2:
            raise ValueError(f"{owner}: a pair of zoneouts is for cells with two states, got {zoneout}")
        if forget_bias is not None and (kind.forget_gate is None or not bias):
            raise ValueError(f"{owner}: forget_bias needs a forget gate with a bias")
        super().__init__()
        self.kind, self.input_size, self.hidden_size, self.bias = kind, input_size, hidden_size, bias
        self.leak, self.forget_bias, self.orthogonal = leak, forget_bias, orthogonal
        self.zoneout = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout if len(kind.states) == 2 else 0.0)
        if kind.custom is not None:
            kind.program(bias)  # now: a step that is captured at its first call keeps no memory made within
        _is_share(owner, **{"zoneout of h": self.zoneout[0], "zoneout of c": self.zoneout[1]})

    @property
    def has_cell_state(self) -> bool:
        return self.kind.has_cell_state

    def states_of(self, hx: Any) -> Sequence[Tensor | None]:
        """The first states one by one: of a cell with one state it is given alone, else they are a tuple."""
        count = len(self.kind.states)
        if hx is None:
            return [None] * count
        if count == 1:
            return [hx]
        if not isinstance(hx, tuple | list) or len(hx) != count:
            what = "as a pair (h, c)" if self.kind.states == ("h", "c") else f"as ({', '.join(self.kind.states)})"
            raise TypeError(f"{type(self).__name__}: expected the first states {what}, got {type(hx).__name__}")
        return hx

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
        """Uniform within ±1/√hidden_size; gains of layer norm 1, a cell's own parameters what its function says.

        With `orthogonal`, the recurrent weight of each gate is an orthogonal matrix. With `forget_bias`, the forget
        gates' biases sum to that number, so that the cell begins by remembering.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        constants = self.kind.constants()
        for name, parameter in self.named_parameters():
            stem = next((stem for stem in constants if name == stem or name.startswith(f"{stem}_l")), None)
            if stem is not None:
                init.constant_(parameter, constants[stem])
                continue
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
        states: Sequence[Tensor | None],
        lengths: Tensor | None = None,
        reverse: bool = False,
        mask: Tensor | None = None,
        probe: Tensor | None = None,
        weights: tuple[Tensor, Tensor] | None = None,
        table: Tensor | None = None,
        projection: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """All h of one layer in one direction, and the last states; `weights` replace those of the input and of h, of a
        `table` x names the rows, and a `projection` is what the gates see of h and callers get."""

        def parameter(name: str) -> Any:
            return getattr(self, f"{name}{suffix}")

        weight_ih, weight_hh = weights or (parameter("weight_ih"), parameter("weight_hh"))
        no_moves: Tensor | None = None
        rates, moves = [self.leak or 1.0, 1.0], [no_moves, no_moves]
        for state, share in enumerate(self.zoneout):
            if share and self.training:
                shape = (x.shape[0], x.shape[1], self.hidden_size)
                moves[state] = _C.empty(*shape, device=x.device, dtype=x.dtype).bernoulli_(1 - share)
            else:
                rates[state] *= 1 - share
        weight, second = seen_by_gates(
            self.kind, weight_hh, parameter("weight_gates") if self.kind.sees_gates else None
        )
        if self.kind.custom is not None:
            inside = [None] * self.kind.custom.shown
            y, last = _C._rnn_program(
                self.kind.program(self.bias), x, weight_ih, weight, self._rows_of_program(parameter),
                _stacked([*states, *inside], x, self.hidden_size), lengths, reverse,
                _EPS if self.kind.layer_norm else 0.0, rates[0], rates[1], moves[0], moves[1], mask, probe,
            )  # fmt: skip
            return y, list(last.unbind(0))[: len(states)]
        h, c = states if len(states) == 2 else (*states, None)
        y, *reached = _C._rnn(
            self.kind.cell,
            x,
            weight_ih,
            weight,
            second,
            table,
            parameter("bias_ih") if self.bias else None,
            parameter("bias_hh") if self.bias else None,
            self._peepholes(parameter),
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
            probe,
            projection,
        )
        return y, reached[: len(states)]

    def _peepholes(self, parameter: Callable[[str], Tensor]) -> Tensor | None:
        return _C.stack([parameter(name) for name in self.kind.peepholes]) if self.kind.peepholes else None

    def _rows_of_program(self, parameter: Callable[[str], Tensor]) -> Tensor | None:
        """The parameters of single units, (count, hidden_size), in the order of Cell.program."""
        cell, size = self.kind.custom, self.hidden_size
        assert cell is not None
        rows: list[Tensor] = []
        if self.bias:
            from_input, from_state = parameter("bias_ih"), parameter("bias_hh")
            if cell.split:
                own = _C.split(from_state, size)
                # A gate whose shares are used apart has a bias for each.
                together = [_C.zeros_like(b) if n in cell.split else b for n, b in zip(cell.gates, own, strict=True)]
                rows += [from_input + _C.cat(together), *(own[cell.gates.index(name)] for name in cell.split)]
            else:
                rows.append(from_input + from_state)
        if self.kind.layer_norm:
            rows.append(parameter("weight_ln"))
        rows += [parameter(name) for name in cell.parameters]
        if not rows:
            return None
        return (rows[0] if len(rows) == 1 else _C.cat(rows)).reshape(-1, size)

    def _unusual(self, **defaults: Any) -> list[str]:
        defaults |= {"bias": True, "leak": None, "zoneout": (0.0, 0.0), "forget_bias": None, "orthogonal": False}
        words = [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return [f"{self.input_size}, {self.hidden_size}", *words, *self.kind.words]


class Layers(Recurrent):
    """Layers of one kind of cell, one after the other, each in one direction or two."""

    def __init__(
        self,
        kind: Kind,
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
        skip: bool = False,
        time_skip: int = 1,
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
        if time_skip < 1:
            raise ValueError(f"{owner}: time_skip must be at least 1, got {time_skip}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{owner}: dropout must be between 0 and 1, got {dropout}")
        _is_share(
            owner, input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, output_dropout=output_dropout
        )
        super().__init__(kind, input_size, hidden_size, bias, leak, zoneout, forget_bias, orthogonal)
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self.skip, self.time_skip = skip, time_skip
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

    def _kernel_projects(self, like: Tensor) -> bool:
        return self.kind.custom is None and like.device.type == "cpu"

    def _projected_direction(
        self,
        x: Tensor,
        suffix: str,
        states: Sequence[Tensor | None],
        lengths: Tensor | None,
        reverse: bool,
        table: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The state is P m. The kernel makes it at each step; programs and CUDA run a sequence of m with the recurrent
        weight R P, projected at the end.

        The first h need not be the projection of any m, so its share R h comes in beside the input of the first step.
        """
        h, c = states
        weight_ih, weight_hh, projection = (
            getattr(self, f"{name}{suffix}") for name in ("weight_ih", "weight_hh", "weight_hr")
        )
        if self._kernel_projects(x):
            return self._direction(x, suffix, states, lengths, reverse, table=table, projection=projection)
        recurrent = weight_hh @ projection
        if h is not None:
            steps = x.shape[0]
            last = steps - 1 if lengths is None else lengths - 1
            first = (_C.arange(steps, device=x.device).unsqueeze(1) == (last if reverse else 0)).to(x.dtype)
            x = _C.cat([x, (first.unsqueeze(2) * h).expand(steps, x.shape[1], self.proj_size)], -1)
            weight_ih = _C.cat([weight_ih, weight_hh], 1)
        y, (m, cell) = self._direction(x, suffix, (None, c), lengths, reverse, weights=(weight_ih, recurrent))
        back = projection.transpose(0, 1)
        return y @ back, [m @ back, cell]

    def _mask(self, p: float, features: int, like: Tensor) -> Tensor | None:
        """One dropout mask for all steps of a sequence (Y. Gal and Z. Ghahramani, 2016): (batch, features)."""
        if not (p and self.training):
            return None
        return F.dropout(_C.ones(like.shape[1], features, device=like.device, dtype=like.dtype), p, True)

    def forward(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        lengths: Any = None,
        probe: Tensor | None = None,
        embedding: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        if embedding is not None and not self._takes_rows_of(embedding, input):
            input, embedding = F.embedding(input, embedding), None
        x, single = self._steps_first(input, embedding is not None)
        steps, batch = x.shape[:2]
        first = [
            self.first_state(name, state, batch * self.time_skip, single)
            for name, state in zip(self.kind.states, self.states_of(hx), strict=True)
        ]
        if lengths is not None:
            lengths = self._checked_lengths(lengths, steps, batch).to(x.device)
        self._check_probe(probe, steps, batch)
        if self.time_skip > 1:
            x, lengths = self._phases(x, lengths)
        last: list[list[Tensor]] = [[] for _ in first]  # of each state, by layers and directions
        for layer in range(self.num_layers):
            given = x
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            input_mask = self._mask(self.input_dropout, x.shape[-1], x)
            if input_mask is not None:
                x = x * input_mask
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                place = layer * self.num_directions + direction
                states = [None if s is None else s[place] for s in first]
                table = embedding if layer == 0 else None
                if self.proj_size:
                    y, reached = self._projected_direction(x, suffix, states, lengths, direction == 1, table)
                else:
                    mask = self._mask(self.recurrent_dropout, self.hidden_size, x)
                    seen = None if probe is None else probe[place]
                    y, reached = self._direction(x, suffix, states, lengths, direction == 1, mask, seen, table=table)
                outputs.append(y)
                for collected, state in zip(last, reached, strict=True):
                    collected.append(state)
            x = outputs[0] if len(outputs) == 1 else _C.cat(outputs, -1)
            output_mask = self._mask(self.output_dropout, x.shape[2], x)
            if output_mask is not None:
                x = x * output_mask
            if self.skip and given.shape[2] == x.shape[2]:
                x = x + given
        if self.time_skip > 1:
            x = x.reshape(-1, batch, x.shape[2])[:steps]
        ends = [_C.stack(collected) for collected in last]
        if single:
            x, ends = x.squeeze(1), [s.squeeze(1) for s in ends] if self.time_skip == 1 else ends
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, ends[0] if len(ends) == 1 else tuple(ends)

    def _phases(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The steps of each phase (0, d, 2 d …; 1, d + 1 …; for a skip over time of d) as a sequence of their own:
        (steps / d, d · batch, features)."""
        d, (steps, batch, features) = self.time_skip, x.shape
        rest = -steps % d
        if rest:
            x = _C.cat([x, _C.zeros(rest, batch, features, device=x.device, dtype=x.dtype)])
            lengths = _C.full((batch,), steps, dtype=_C.int64, device=x.device) if lengths is None else lengths
        if lengths is not None:
            lengths = _C.cat([(lengths + (d - 1 - phase)) // d for phase in range(d)])
        return x.reshape(-1, d * batch, features), lengths

    def _check_probe(self, probe: Tensor | None, steps: int, batch: int) -> None:
        if probe is None:
            return
        want = (self.num_layers * self.num_directions, steps, batch, self.hidden_size)
        if tuple(probe.shape) != want or self.time_skip > 1 or self.proj_size:
            raise ValueError(
                f"{type(self).__name__}: probe must have shape {want}, and goes with neither time_skip nor proj_size; "
                f"got {tuple(probe.shape)}"
            )

    def decoder_layers(self) -> list[Any]:
        """Each layer's step, for lamina.decode."""
        steps = []
        for layer in range(self.num_layers):

            def parameter(name: str, suffix: str = f"_l{layer}") -> Any:
                return getattr(self, f"{name}{suffix}")

            weight_ih, weight_hh = parameter("weight_ih"), parameter("weight_hh")
            rates = [(self.leak or 1.0) * (1 - self.zoneout[0]), 1 - self.zoneout[1]]
            if self.kind.custom is not None:
                steps.append(
                    _C._decoder_program(
                        self.kind.program(self.bias), weight_ih, weight_hh, self._rows_of_program(parameter),
                        _EPS if self.kind.layer_norm else 0.0, rates[0], rates[1],
                    )
                )  # fmt: skip
                continue
            weight, second = seen_by_gates(self.kind, weight_hh, None)
            biases = [parameter(name) if self.bias else None for name in ("bias_ih", "bias_hh")]
            steps.append(
                _C._decoder_layer(
                    self.kind.cell, weight_ih, weight, second, biases[0], biases[1], self._peepholes(parameter),
                    self.kind.options, rates[0], rates[1],
                )
            )  # fmt: skip
        return steps

    # ---- what may be handed in ----

    def _takes_rows_of(self, embedding: Tensor, input: Tensor) -> bool:
        """Whether the kernel looks up what the rows of an embedding give the gates: where that saves work, and nothing
        else is to be done with each step's input."""
        kind = type(self).__name__
        if not isinstance(embedding, Tensor) or embedding.ndim != 2 or embedding.shape[1] != self.input_size:
            got = tuple(embedding.shape) if isinstance(embedding, Tensor) else type(embedding).__name__
            raise ValueError(f"{kind}: embedding must be a weight of shape (count, {self.input_size}), got {got}")
        if input.ndim not in (1, 2) or input.dtype not in (_C.int64, _C.int32):
            raise ValueError(
                f"{kind}: with an embedding the input holds int64 tokens, (steps, batch) or (steps,), "
                f"got {input.dtype} of shape {tuple(input.shape)}"
            )
        changed = self.input_dropout or self.recurrent_dropout or any(self.zoneout) or self.skip
        projects_apart = self.proj_size and not self._kernel_projects(embedding)
        other_ways = self.kind.custom is not None or self.kind.adds_input or projects_apart or self.time_skip > 1
        return not (changed or other_ways) and embedding.shape[0] < input.numel()

    def _steps_first(self, input: Tensor, tokens: bool = False) -> tuple[Tensor, bool]:
        """(steps, batch, features), and whether there was no batch; (steps, batch) of `tokens`."""
        kind = type(self).__name__
        if tokens:
            t = input.to(_C.int64)
            return (t.unsqueeze(1), True) if t.ndim == 1 else (t.transpose(0, 1) if self.batch_first else t, False)
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "(batch, steps, " if self.batch_first else "(steps, batch, "
            raise ValueError(
                f"{kind}: expected input of shape {order}{self.input_size}) or (steps, {self.input_size}), "
                f"got {tuple(input.shape)}"
            )
        if input.ndim == 2:
            return input.unsqueeze(1), True
        return input.transpose(0, 1) if self.batch_first else input, False

    def first_state(self, name: str, state: Tensor | None, batch: int, single: bool = False) -> Tensor | None:
        """A first state (layers · directions, batch, its size), checked."""
        if state is None:
            return None
        count = self.num_layers * self.num_directions
        size = self.state_size if name == self.kind.states[0] else self.hidden_size
        want = (count, size) if single and batch == 1 else (count, batch, size)
        if tuple(state.shape) != want:
            raise ValueError(f"{type(self).__name__}: {name}_0 must have shape {want}, got {tuple(state.shape)}")
        return state.unsqueeze(1) if len(want) == 2 else state

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
        usual |= {
            "proj_size": 0,
            "skip": False,
            "time_skip": 1,
            "input_dropout": 0.0,
            "recurrent_dropout": 0.0,
            "output_dropout": 0.0,
        }
        return ", ".join(self._unusual(**usual))


class Step(Recurrent):
    """One step of a cell: input (batch, input_size) or (input_size,)."""

    def __init__(
        self,
        kind: Kind,
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

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        owner = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{owner}: expected input of shape (batch, {self.input_size}) or ({self.input_size},), "
                f"got {tuple(input.shape)}"
            )
        want, states = (*input.shape[:-1], self.hidden_size), self.states_of(hx)
        for name, state in zip(self.kind.states, states, strict=True):
            if state is not None and tuple(state.shape) != want:
                raise ValueError(f"{owner}: {name} must have shape {want}, got {tuple(state.shape)}")
        if input.ndim == 1:
            states = [None if s is None else s.unsqueeze(0) for s in states]
            _, last = self._direction(input.reshape(1, 1, -1), "", states)
            last = [s.squeeze(0) for s in last]
        else:
            _, last = self._direction(input.unsqueeze(0), "", states)
        return last[0] if len(last) == 1 else tuple(last)

    def extra_repr(self) -> str:
        return ", ".join(self._unusual())
