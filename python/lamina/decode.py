"""Sequences out of recurrent nets: greedy, sampled, by beam search; and scheduled sampling. The loops over steps run in
the compiled core.

    decoder = lamina.decode.Decoder(net.embedding, net.rnn, net.linear)
    text = decoder.sample(start=tokens, steps=200, temperature=0.8, top_k=20)
    best = decoder.beam(start=BEGIN, steps=30, end=END, beams=5, state=encoder_state)
    best.tokens, best.lengths, best.scores
"""

from __future__ import annotations

from typing import NamedTuple

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad
from lamina.nn.embedding import Embedding
from lamina.nn.linear import Linear
from lamina.nn.rnn_layers import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lamina import Generator

__all__ = ["Decoded", "Decoder"]


class Decoded(NamedTuple):
    """What came out, for each row of the batch."""

    tokens: Tensor  # int64 (batch, steps) without `start`; after the end of a sequence filled with the end's token
    lengths: Tensor  # int64 (batch,): tokens of each sequence, its end included
    scores: Tensor  # float64 (batch,): log-probability of the sequence; of a beam search over length ** length_penalty

    def sequences(self) -> list[list[int]]:
        """The tokens of each row as a list, without what lies beyond its end."""
        rows = zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)
        return [tokens[:length] for tokens, length in rows]


class Decoder:
    """An embedding, recurrent layers one after the other (one module with any number of layers, or several), and a
    linear layer to the logits of the next token. The modules' parameters are read as they are at each call.

    start   the first token of each row: a number, a sequence or an int64 tensor (batch,)
    state   what the layers begin with, as the modules return it: of a module its h or (h, c) of shape (layers, batch,
            hidden_size), of several modules a list of those. Without one: zeros
    end     the token that ends a sequence; None: all run for `steps` tokens
    Layers decode as in evaluation: without dropout, with the expectation of zoneout.
    """

    def __init__(self, embedding: Embedding, rnn: Layers | Sequence[Layers], output: Linear) -> None:
        self.embedding, self.output = embedding, output
        self.modules: list[Layers] = [rnn] if isinstance(rnn, Layers) else list(rnn)
        if not isinstance(embedding, Embedding) or not isinstance(output, Linear):
            raise TypeError(
                f"Decoder: expected an Embedding, recurrent layers and a Linear, got {type(embedding).__name__} and "
                f"{type(output).__name__}"
            )
        for module in self.modules:
            if not isinstance(module, Layers):
                raise TypeError(f"Decoder: expected recurrent layers, got {type(module).__name__}")
            if module.bidirectional or module.proj_size or module.time_skip > 1 or module.kind.sees_gates:
                raise ValueError(
                    f"Decoder: {type(module).__name__} must run in one direction, without proj_size, time_skip and "
                    "full_gate_recurrence"
                )
        if len({module.skip for module in self.modules}) > 1:
            raise ValueError("Decoder: expected all layers with skip connections, or none")

    def greedy(self, start: Any, steps: int, *, end: int | None = None, state: Any = None) -> Decoded:
        """The likeliest token at every step."""
        return self._decode(start, steps, end, state, 0.0, 0, None)

    def sample(
        self,
        start: Any,
        steps: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        end: int | None = None,
        state: Any = None,
        generator: Generator | None = None,
    ) -> Decoded:
        """Drawn from softmax(logits / temperature), of the top_k likeliest tokens if that is given."""
        if not temperature > 0:
            raise ValueError(f"sample: temperature must be positive, got {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"sample: top_k must be at least 1, got {top_k}")
        return self._decode(start, steps, end, state, temperature, top_k or 0, generator)

    def beam(
        self,
        start: Any,
        steps: int,
        *,
        beams: int = 5,
        end: int | None = None,
        state: Any = None,
        length_penalty: float = 1.0,
    ) -> Decoded:
        """The best of the hypotheses that a search with so many beams finds, by log-probability / length **
        length_penalty. (0: without normalisation, which favours short ones.)"""
        found = self.hypotheses(start, steps, beams=beams, end=end, state=state, length_penalty=length_penalty)
        tokens, lengths, scores = (part[:, 0] for part in found)
        longest = int(lengths.max()) if lengths.shape[0] else 0
        return Decoded(tokens[:, :longest].contiguous(), lengths.contiguous(), scores.contiguous())

    def hypotheses(
        self,
        start: Any,
        steps: int,
        *,
        beams: int = 5,
        end: int | None = None,
        state: Any = None,
        length_penalty: float = 1.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All that a beam search ends with, best first: tokens (batch, beams, steps), lengths and scores (batch, beams).

        A row with fewer sequences than beams has length 0 and score −∞ in the place of the rest.
        """
        tokens = self._start(start)
        return self._core().beam_search(
            tokens, self._states(state, tokens.shape[0]), steps, self._end(end), beams, length_penalty
        )

    def scheduled_inputs(
        self,
        inputs: Any,
        p: float,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        state: Any = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Inputs for a training step with scheduled sampling (S. Bengio et al., 2015): int64 (batch, steps), of which
        each but the first is replaced with probability p by what the net itself draws after those before it.

        No gradient passes through a drawn token, so the fused layers over these inputs give the values and gradients
        of feeding them step by step.
        """
        tokens = self._tokens(inputs)
        if tokens.ndim != 2:
            raise ValueError(f"scheduled_inputs: inputs must have shape (batch, steps), got {tuple(tokens.shape)}")
        states = self._states(state, tokens.shape[0])
        return self._core().scheduled_inputs(tokens, states, p, temperature, top_k or 0, generator)

    def _decode(
        self, start: Any, steps: int, end: int | None, state: Any, temperature: float, top_k: int,
        generator: Generator | None,
    ) -> Decoded:  # fmt: skip
        tokens = self._start(start)
        states = self._states(state, tokens.shape[0])
        return Decoded(*self._core().decode(tokens, states, steps, self._end(end), temperature, top_k, generator))

    def _core(self) -> _C._Decoder:
        with no_grad():
            layers = [step for module in self.modules for step in module.decoder_layers()]
        return _C._Decoder(
            self.embedding.weight, layers, self.output.weight, self.output.bias, any(m.skip for m in self.modules)
        )

    def _tokens(self, given: Any) -> Tensor:
        tokens = _C.as_tensor(given, dtype=_C.int64)
        return tokens if isinstance(given, Tensor) else tokens.to(self.embedding.weight.device)

    def _start(self, start: Any) -> Tensor:
        tokens = self._tokens(start)
        return tokens.reshape(1) if tokens.ndim == 0 else tokens

    def _end(self, end: int | None) -> int:
        if end is not None and end < 0:
            raise ValueError(f"Decoder: end must be a token, got {end}")
        return -1 if end is None else end

    def _states(self, state: Any, batch: int) -> list[list[Tensor | None]]:
        """Of each layer, its states (batch, hidden_size)."""
        given = [state] if len(self.modules) == 1 else [None] * len(self.modules) if state is None else list(state)
        if len(given) != len(self.modules):
            raise ValueError(f"Decoder: expected the states of {len(self.modules)} modules, got {len(given)}")
        rows: list[list[Tensor | None]] = []
        for module, own in zip(self.modules, given, strict=True):
            states = [
                module.first_state(name, s, batch)
                for name, s in zip(module.kind.states, module.states_of(own), strict=True)
            ]
            rows += [[None if s is None else s[layer] for s in states] for layer in range(module.num_layers)]
        return rows
