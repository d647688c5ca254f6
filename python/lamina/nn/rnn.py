"""Recurrent layers: whole sequences in one fused kernel a layer and direction."""

from __future__ import annotations

from lamina.nn.cells import Cell
from lamina.nn.rnn_kinds import LSTM_SWITCHES, Kind, custom, elman, gru, lstm
from lamina.nn.rnn_layers import Layers, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "GRU", "LSTM", "MUT1", "MUT2", "MUT3", "RNN", "CustomRNN", "CustomRNNCell", "GRUCell", "LSTMCell", "RNNCell",
]  # fmt: skip


class RNN(Layers):
    """Elman's network: h ← tanh(W_ih x + b_ih + W_hh h + b_hh), or relu instead of tanh.

    Called with (steps, batch, input_size), or (batch, steps, input_size) with batch_first, and perhaps the first h of
    shape (layers · directions, batch, hidden_size); gives all outputs of the last layer and the last h. `lengths` says
    how long each sequence of a padded batch is: no state moves beyond its end and the outputs there are 0.
    With `embedding`, the weight of an nn.Embedding, the input holds tokens of (steps, batch): the same as to look them up
    first, but what a row gives the gates is computed once, however often its token comes.
    `probe`, zeros of shape (layers · directions, steps, batch, hidden_size) that require a gradient, receives ∂L/∂h_t of
    every step, with all that reaches h_t through later ones.

    leak         h ← (1 − leak) h + leak · (what the cell gives)
    zoneout      each unit of a state keeps its old value with this probability (D. Krueger et al., 2017), of h or, for
                 cells with two states, of (h, c); in evaluation the expectation
    input_dropout, recurrent_dropout, output_dropout
                 of each layer's input, of h as its gates see it, of its outputs: one mask for all steps of a sequence.
                 `dropout` is PyTorch's: between layers, a mask for every step
    orthogonal   begins with orthogonal recurrent weights
    layer_norm   h ← f(g / σ ⊙ (a − μ) + b) with a = W x + R h, of which μ and σ are the mean and the deviation over the
                 units, at every step and for each gate (J. L. Ba et al., 2016); g is weight_ln, b the biases
    time_skip    h_t follows h_{t − time_skip}: a skip connection across time (S. Chang et al., 2017); layers with
                 different ones may follow each other. States then are those of time_skip interleaved sequences,
                 (layers · directions, time_skip · batch, hidden_size)
    skip         what a layer is given is added to its outputs, from the first layer on where both are of one size
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *args: Any,
        nonlinearity: str = "tanh",
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(elman("RNN", nonlinearity, layer_norm), input_size, hidden_size, *args, **kwargs)


class LSTM(Layers):
    """Long short-term memory, and the variants of it that the literature has compared, all at the same speed.

        i, f, o = σ(W x + R h + b)    g = tanh(W x + R h + b)    c ← f ⊙ c + i ⊙ g    h ← o ⊙ tanh(c)

    Arguments and results are RNN's, but states are pairs (h, c). The switches:

    input_gate, forget_gate, output_gate   False: that gate is 1. Its rows of the weights stay and are not used
    input_activation, output_activation    False: g, or the c shown in h, without tanh
    peephole   i and f see c as it was, o as it becomes, each through weights weight_pi, weight_pf, weight_po of each layer
    coupled    f = 1 − i
    full_gate_recurrence   i, f and o also see i, f and o of the step before (0 at first), through weight_gates
    forget_bias   what the forget gates' biases sum to at first
    proj_size  h ← P (o ⊙ tanh(c)), of proj_size features, through weight_hr. It saves weights and time
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
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        kind = lstm(
            "LSTM", full_gate_recurrence, layer_norm, input_gate=input_gate, forget_gate=forget_gate, output_gate=output_gate,
            input_activation=input_activation, output_activation=output_activation, peephole=peephole, coupled=coupled,
        )  # fmt: skip
        super().__init__(kind, input_size, hidden_size, *args, **kwargs)


class GRU(Layers):
    """Gated recurrent units.

        r, z = σ(W x + b + R h + b′)    n = tanh(W x + b + r ⊙ (R h + b′))    h ← (1 − z) ⊙ n + z ⊙ h

    With reset_after=False, the form of Cho et al.: n = tanh(W x + b + R (r ⊙ h) + b′), h ← (1 − z) ⊙ h + z ⊙ n.
    Arguments and results are RNN's. Layer norm is of r's and z's sums, and of n's two
    shares each by itself, or of their sum with reset_after=False.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *args: Any,
        reset_after: bool = True,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(gru(reset_after, layer_norm), input_size, hidden_size, *args, **kwargs)


class _Mutation(Layers):
    """A cell that R. Jozefowicz et al. found in 2015; h ← (1 − z) ⊙ h + z ⊙ n. Arguments and results are RNN's."""

    mutation: Kind

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(self.mutation, input_size, hidden_size, *args, **kwargs)


class MUT1(_Mutation):
    """r = σ(W x + R h + b)    z = σ(W x + b)    n = tanh(R (r ⊙ h) + tanh(x) + b)    h ← (1 − z) ⊙ h + z ⊙ n

    Every layer's input has hidden_size features. weight_ih holds the rows of r and z, weight_hh those of r and n.
    """

    mutation = Kind("mut1", 2, 2, adds_input=True)


class MUT2(_Mutation):
    """r = σ(x + R h + b)    z = σ(W x + R h + b)    n = tanh(R (r ⊙ h) + W x + b)    h ← (1 − z) ⊙ h + z ⊙ n

    Every layer's input has hidden_size features. weight_ih holds the rows of z and n, weight_hh those of r, z and n.
    """

    mutation = Kind("mut2", 2, 3, adds_input=True)


class MUT3(_Mutation):
    """r = σ(W x + R h + b)    z = σ(W x + R tanh(h) + b)    n = tanh(R (r ⊙ h) + W x + b)    h ← (1 − z) ⊙ h + z ⊙ n"""

    mutation = Kind("mut3", 3, 3)


class CustomRNN(Layers):
    """Layers of a cell of one's own (lamina.nn.cells), at the speed of the built-in ones.

    Arguments are RNN's, results too: where the cell has one state, its last one, else a tuple of them all. Parameters
    are weight_ih, weight_hh, bias_ih, bias_hh, with the gates in the order of the function's arguments, and the cell's
    own under their names.
    """

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, *args: Any, layer_norm: bool = False, **kwargs: Any
    ) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"CustomRNN: expected a function decorated with @nn.cell, got {type(cell).__name__}")
        super().__init__(custom(cell, layer_norm), input_size, hidden_size, *args, **kwargs)


class RNNCell(Step):
    """One step of RNN: h of (batch, hidden_size), from zeros where none is given."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *args: Any,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(elman("RNNCell", nonlinearity, layer_norm), input_size, hidden_size, bias, *args, **kwargs)


class LSTMCell(Step):
    """One step of LSTM, with its switches: (h, c) of (batch, hidden_size) each, from zeros where none are given."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, layer_norm: bool = False, **kwargs: Any) -> None:
        switches = {name: kwargs.pop(name, usual) for name, (usual, _) in LSTM_SWITCHES.items()}
        # One step alone has no gates of the step before to see.
        super().__init__(lstm("LSTMCell", False, layer_norm, **switches), input_size, hidden_size, *args, **kwargs)


class GRUCell(Step):
    """One step of GRU: h of (batch, hidden_size), from zeros where none is given."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *args: Any,
        reset_after: bool = True,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(gru(reset_after, layer_norm), input_size, hidden_size, *args, **kwargs)


class CustomRNNCell(Step):
    """One step of CustomRNN."""

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, *args: Any, layer_norm: bool = False, **kwargs: Any
    ) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"CustomRNNCell: expected a function decorated with @nn.cell, got {type(cell).__name__}")
        super().__init__(custom(cell, layer_norm), input_size, hidden_size, *args, **kwargs)
