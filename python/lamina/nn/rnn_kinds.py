"""What the recurrent layers must know of their cells."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.nn import cells
from lamina.nn.cells import Cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Kind:
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
        custom: Cell | None = None,
        layer_norm: bool = False,
        begins: dict[str, float] | None = None,
        words: tuple[str, ...] = (),
    ) -> None:
        self.cell = cell  # its name in csrc/ops/rnn.cpp
        self.inputs, self.recurrent = inputs, recurrent  # blocks of hidden_size rows in weight_ih and weight_hh
        self.has_cell_state = has_cell_state
        self.options = options  # bits of LstmOption in csrc/kernels/rnn.h
        self.peepholes, self.sees_gates = peepholes, sees_gates
        self.adds_input = adds_input  # as it is, so that it must have hidden_size features
        self.forget_gate = forget_gate
        self.custom = custom  # run as a program: cells of the user's own, and those with layer norm
        self.layer_norm, self.begins = layer_norm, begins or {}
        self.words = (*words, "layer_norm=True") if layer_norm else words  # of its repr
        own = custom.states[: len(custom.states) - custom.shown] if custom else ["h", "c"] if has_cell_state else ["h"]
        self.states = tuple(own)
        self._programs: dict[bool, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Kind:
        return self  # nothing of it changes: copies of a layer share it

    def program(self, bias: bool) -> Any:
        """Compiled when it is first wanted."""
        assert self.custom is not None
        if bias not in self._programs:
            self._programs[bias] = self.custom.program(bias, self.layer_norm)
        return self._programs[bias]

    def constants(self) -> dict[str, float]:
        """What parameters begin as that are not drawn."""
        return self.begins | ({"weight_ln": 1.0} if self.layer_norm else {})

    def shapes(self, inputs: int, hidden: int, bias: bool) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (self.inputs * hidden, inputs),
            "weight_hh": (self.recurrent * hidden, hidden),
        }
        if bias:
            shapes |= {"bias_ih": (self.inputs * hidden,), "bias_hh": (self.recurrent * hidden,)}
        if self.sees_gates:
            shapes |= {"weight_gates": (3 * hidden, 3 * hidden)}
        if self.layer_norm and self.custom:
            shapes |= {"weight_ln": (self.custom.stored * hidden,)}
        return shapes | dict.fromkeys(self.peepholes, (hidden,))


def custom(cell: Cell, layer_norm: bool) -> Kind:
    gates = len(cell.gates)
    return Kind(
        f"custom {cell.__name__}", gates, gates, custom=cell, layer_norm=layer_norm, peepholes=tuple(cell.parameters), begins=cell.parameters,
        words=(repr(cell),),
    )  # fmt: skip


# ---- the cells of PyTorch's layers as programs, for layer norm ----


def elman(owner: str, nonlinearity: str, layer_norm: bool = False) -> Kind:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{owner}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    activation = cells.tanh if nonlinearity == "tanh" else cells.relu

    def elman(a: Any, *, h: Any) -> Any:
        return activation(a)

    program = Cell(elman) if layer_norm else None
    return Kind(f"rnn_{nonlinearity}", 1, 1, custom=program, layer_norm=layer_norm)


LSTM_SWITCHES = {  # their defaults and bits
    "input_gate": (True, 1), "forget_gate": (True, 2), "output_gate": (True, 4), "input_activation": (True, 8),
    "output_activation": (True, 16), "peephole": (False, 32), "coupled": (False, 64),
}  # fmt: skip


def _lstm_program(on: dict[str, bool], full: bool) -> Cell:
    def sigmoid_if(gate: bool, a: Any) -> Any:
        return cells.sigmoid(a) if gate else 1.0

    def step(i: Any, f: Any, g: Any, o: Any, h: Any, c: Any, pi: Any = 0.0, pf: Any = 0.0, po: Any = 0.0) -> Any:
        """h, c, and the gates, which those of the next step may see."""
        i = sigmoid_if(on["input_gate"], i + pi * c)
        f = 1 - i if on["coupled"] else sigmoid_if(on["forget_gate"], f + pf * c)
        c = f * c + i * (cells.tanh(g) if on["input_activation"] else g)
        o = sigmoid_if(on["output_gate"], o + po * c)
        return o * (cells.tanh(c) if on["output_activation"] else c), c, i, f, o

    def lstm(i: Any, f: Any, g: Any, o: Any, *, h: Any, c: Any) -> Any:
        return step(i, f, g, o, h, c)[:2]

    def peephole_lstm(
        i: Any, f: Any, g: Any, o: Any, *, h: Any, c: Any, weight_pi: Any = 0.0, weight_pf: Any = 0.0,
        weight_po: Any = 0.0,
    ) -> Any:  # fmt: skip
        return step(i, f, g, o, h, c, weight_pi, weight_pf, weight_po)[:2]

    def full_lstm(i: Any, f: Any, g: Any, o: Any, *, h: Any, c: Any, i_seen: Any, f_seen: Any, o_seen: Any) -> Any:
        return step(i, f, g, o, h, c)

    def full_peephole_lstm(
        i: Any, f: Any, g: Any, o: Any, *, h: Any, c: Any, i_seen: Any, f_seen: Any, o_seen: Any, weight_pi: Any = 0.0,
        weight_pf: Any = 0.0, weight_po: Any = 0.0,
    ) -> Any:  # fmt: skip
        return step(i, f, g, o, h, c, weight_pi, weight_pf, weight_po)

    if full:
        return Cell(full_peephole_lstm if on["peephole"] else full_lstm, shown=3)
    return Cell(peephole_lstm if on["peephole"] else lstm)


def lstm(owner: str, full_gate_recurrence: bool, layer_norm: bool = False, **switches: bool) -> Kind:
    if switches["coupled"] and not (switches["input_gate"] and switches["forget_gate"]):
        raise ValueError(f"{owner}: coupled gates need both of them: input_gate=True and forget_gate=True")
    unusual = {name: on for name, on in switches.items() if on != LSTM_SWITCHES[name][0]}
    return Kind(
        "lstm_full" if full_gate_recurrence else "lstm_variant" if unusual else "lstm",
        4,
        4,
        has_cell_state=True,
        options=sum(LSTM_SWITCHES[name][1] for name in unusual),
        peepholes=("weight_pi", "weight_pf", "weight_po") if switches["peephole"] else (),
        sees_gates=full_gate_recurrence,
        forget_gate=1,
        custom=_lstm_program(switches, full_gate_recurrence) if layer_norm else None,
        layer_norm=layer_norm,
        words=tuple(f"{name}={on}" for name, on in unusual.items())
        + (("full_gate_recurrence=True",) if full_gate_recurrence else ()),
    )


def _gru_program(r: Any, z: Any, n: Any, *, h: Any) -> Any:
    n = cells.tanh(n.input + cells.sigmoid(r) * n.recurrent)
    return n + cells.sigmoid(z) * (h - n)


def _gru_reset_before_program(r: Any, z: Any, n: Any, *, h: Any) -> Any:
    n = cells.tanh(n.seeing(cells.sigmoid(r) * h))
    return h + cells.sigmoid(z) * (n - h)


def gru(reset_after: bool, layer_norm: bool = False) -> Kind:
    program = _gru_program if reset_after else _gru_reset_before_program
    return Kind(
        "gru" if reset_after else "gru_reset_before", 3, 3, custom=Cell(program) if layer_norm else None,
        layer_norm=layer_norm, words=() if reset_after else ("reset_after=False",),
    )  # fmt: skip


def seen_by_gates(kind: Kind, weight: Tensor, gates: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The recurrent weight over all that the gates see, and that of a second stage which then stands apart.

    Full gate recurrence sees h, i, f and o; MUT3's r sees h and its z tanh(h). What a gate does not see has weight 0.
    """
    if gates is not None:
        i, f, o = _C.split(gates, gates.shape[1] // 3)
        none = _C.zeros_like(i)
        return _C.cat([weight, _C.cat([i, f, none, o])], 1), None
    if kind.cell == "mut3":
        r, z, n = _C.split(weight, weight.shape[1])
        none = _C.zeros_like(r)
        return _C.cat([_C.cat([r, none], 1), _C.cat([none, z], 1)]), n
    return weight, None
