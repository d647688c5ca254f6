"""Decoding against step-by-step loops over the modules and against exhaustive search."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import nn
from lamina.decode import Decoder
from lamina.nn.cells import cell, sigmoid, tanh

WORDS, HIDDEN = 7, 12


@cell
def minimal(z, n, *, h):
    return h + sigmoid(z) * (tanh(n) - h)


KINDS: dict[str, Any] = {
    "lstm": lambda: nn.LSTM(5, HIDDEN, 2),
    "gru": lambda: nn.GRU(5, HIDDEN),
    "peephole, layer norm": lambda: nn.LSTM(5, HIDDEN, 2, peephole=True, layer_norm=True),
    "mut3, leaky": lambda: nn.MUT3(5, HIDDEN, leak=0.5),
    "zoneout, skip": lambda: nn.LSTM(5, HIDDEN, 3, zoneout=(0.2, 0.1), skip=True, dropout=0.5, input_dropout=0.5),
    "custom": lambda: nn.CustomRNN(minimal, 5, HIDDEN, 2),
    "two modules": lambda: [nn.GRU(5, HIDDEN), nn.LSTM(HIDDEN, HIDDEN)],
}


def net(kind: str = "lstm", sharpness: float = 8.0) -> tuple[Decoder, nn.Embedding, Any, nn.Linear]:
    lamina.manual_seed(5)
    embedding, rnn, output = nn.Embedding(WORDS, 5), KINDS[kind](), nn.Linear(HIDDEN, WORDS)
    for p in output.parameters():
        p.data.mul_(sharpness)
    return Decoder(embedding, rnn, output), embedding, rnn, output


def log_probabilities(parts: tuple[Any, ...], tokens: list[list[int]], states: Any = None) -> np.ndarray:
    """Of all words after each token: (batch, steps, words), by the modules over whole sequences."""
    _, embedding, rnn, output = parts
    modules = rnn if isinstance(rnn, list) else [rnn]
    x = embedding(lamina.tensor(tokens)).transpose(0, 1)
    with lamina.no_grad():
        for k, module in enumerate(modules):
            module.eval()
            x, _ = module(x, states[k] if isinstance(states, list) else states)
            module.train()
        return to_numpy(nn.functional.log_softmax(output(x), -1).transpose(0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_takes_the_likeliest(kind: str) -> None:
    parts = net(kind)
    start = [0, 3, 6]
    found = parts[0].greedy(start, 9)
    assert found.tokens.shape == (3, 9) and found.lengths.tolist() == [9] * 3
    fed = [[s, *row[:-1]] for s, row in zip(start, found.tokens.tolist(), strict=True)]
    log_p = log_probabilities(parts, fed)
    np.testing.assert_array_equal(log_p.argmax(-1), to_numpy(found.tokens))
    np.testing.assert_allclose(to_numpy(found.scores), log_p.max(-1).sum(1), rtol=1e-4)


def test_from_a_state() -> None:
    parts = net()
    decoder, embedding, rnn, _ = parts
    prompt = lamina.tensor([[1, 2, 3, 4], [4, 4, 0, 2]])
    _, state = rnn(embedding(prompt[:, :3]).transpose(0, 1))
    found = decoder.greedy(prompt[:, 3], 5, state=state).tokens.tolist()
    fed = [[*p, *row[:-1]] for p, row in zip(prompt.tolist(), found, strict=True)]
    np.testing.assert_array_equal(log_probabilities(parts, fed).argmax(-1)[:, 3:], found)


def test_a_sequence_ends() -> None:
    decoder = net()[0]
    free = decoder.greedy([0, 1, 2, 3], 12).tokens.tolist()
    end = free[0][4]
    found = decoder.greedy([0, 1, 2, 3], 12, end=end)
    for row, got, length in zip(free, found.tokens.tolist(), found.lengths.tolist(), strict=True):
        stop = row.index(end) + 1 if end in row else 12
        assert length == stop and got[:stop] == row[:stop] and set(got[stop:]) <= {end}
    assert found.tokens.shape[1] == max(found.lengths.tolist())
    assert [len(s) for s in found.sequences()] == found.lengths.tolist()


def test_samples_follow_the_distribution() -> None:
    parts = net(sharpness=3.0)
    rows, temperature = 20_000, 0.7
    generator = lamina.Generator().manual_seed(3)
    log_p = log_probabilities(parts, [[2]])[0, 0] / temperature
    for top_k in (None, 3):
        first = to_numpy(
            parts[0].sample([2] * rows, 1, temperature=temperature, top_k=top_k, generator=generator).tokens
        )
        p = np.exp(log_p - log_p.max())
        if top_k:
            p[p < np.sort(p)[-top_k]] = 0
        p /= p.sum()
        share = np.bincount(first[:, 0], minlength=WORDS) / rows
        assert (share[p == 0] == 0).all()
        assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / rows) + 1e-9).all()
    again = [parts[0].sample([1, 2], 20, generator=lamina.Generator().manual_seed(9)).tokens.tolist() for _ in range(2)]
    assert again[0] == again[1]


# ---- beam search ----


def all_sequences(parts: tuple[Any, ...], start: int, steps: int, end: int | None) -> list[tuple[float, list[int]]]:
    """Every sequence that ends, or is as long as allowed, with its log-probability."""
    everything = [list(s) for s in itertools.product(range(WORDS), repeat=steps)]
    log_p = log_probabilities(parts, [[start, *s[:-1]] for s in everything])
    found = {}
    for s, rows in zip(everything, log_p, strict=True):
        length = s.index(end) + 1 if end in s else steps
        found[tuple(s[:length])] = float(sum(rows[t][s[t]] for t in range(length)))
    return [(score, list(s)) for s, score in found.items()]


@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all(length_penalty: float, end: int | None) -> None:
    parts = net(sharpness=2.0)
    steps = 4
    tokens, lengths, scores = parts[0].hypotheses([1, 5], steps, beams=WORDS**3, end=end, length_penalty=length_penalty)
    for row, start in enumerate((1, 5)):
        ranked = sorted(
            ((score / len(s) ** length_penalty, s) for score, s in all_sequences(parts, start, steps, end)),
            reverse=True,
        )
        for k in range(5):
            assert tokens[row][k].tolist()[: int(lengths[row][k])] == ranked[k][1]
            np.testing.assert_allclose(float(scores[row][k]), ranked[k][0], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_beam_of_one_is_greedy_and_more_are_no_worse(kind: str) -> None:
    decoder = net(kind, 3.0)[0]
    start = [0, 1, 2, 3, 4]
    greedy, one, many = (
        decoder.greedy(start, 6), decoder.beam(start, 6, beams=1, length_penalty=0.0),
        decoder.beam(start, 6, beams=WORDS**2, length_penalty=0.0),
    )  # fmt: skip
    assert one.tokens.tolist() == greedy.tokens.tolist()
    np.testing.assert_allclose(to_numpy(one.scores), to_numpy(greedy.scores), rtol=1e-5)
    assert (to_numpy(many.scores) >= to_numpy(greedy.scores) - 1e-5).all()


def test_more_beams_than_words() -> None:
    tokens, lengths, scores = net()[0].hypotheses(0, 1, beams=10)
    assert sorted(tokens[0, :WORDS, 0].tolist()) == list(range(WORDS))
    assert lengths[0].tolist() == [1] * WORDS + [0] * 3 and scores[0, WORDS:].tolist() == [-np.inf] * 3


# ---- scheduled sampling ----


def test_scheduled_inputs() -> None:
    parts = net(sharpness=50.0)  # so sharp that a draw is the likeliest
    decoder = parts[0]
    inputs = lamina.tensor([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    assert decoder.scheduled_inputs(inputs, 0.0).tolist() == inputs.tolist()
    all_own = decoder.scheduled_inputs(inputs, 1.0, temperature=0.0)
    assert all_own[:, 1:].tolist() == decoder.greedy(inputs[:, 0], 5).tokens.tolist()
    lamina.manual_seed(1)
    mixed = to_numpy(decoder.scheduled_inputs(inputs, 0.5, temperature=0.0))
    own = log_probabilities(parts, mixed.tolist()).argmax(-1)
    given = to_numpy(inputs)
    assert (mixed[:, 0] == given[:, 0]).all()
    assert ((mixed[:, 1:] == own[:, :-1]) | (mixed[:, 1:] == given[:, 1:])).all()
    assert (mixed != given).any()


def test_a_training_step_with_scheduled_sampling_can_be_captured() -> None:
    decoder, embedding, rnn, output = net(sharpness=1.0)
    parameters = [*embedding.parameters(), *rnn.parameters(), *output.parameters()]
    optimizer = lamina.optim.Adam(parameters, lr=0.01)
    text = lamina.tensor([[k % WORDS for k in range(b, b + 9)] for b in range(6)])

    @lamina.capture
    def step(x: lamina.Tensor, y: lamina.Tensor) -> lamina.Tensor:
        optimizer.zero_grad()
        x = decoder.scheduled_inputs(x, 0.25)
        logits = output(rnn(embedding(x).transpose(0, 1))[0]).transpose(0, 1)
        loss = nn.functional.cross_entropy(logits.reshape(-1, WORDS), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    losses = [float(step(text[:, :-1].contiguous(), text[:, 1:].contiguous()).detach()) for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.greedy(WORDS, 3), "decode: tokens must lie between 0 and 6, got 7 to 7"),
        (lambda d: d.greedy([[0]], 3), r"decode: start must be a row of tokens, got shape \(1, 1\)"),
        (lambda d: d.greedy(0, 0), "steps must be at least 1, got 0"),
        (lambda d: d.greedy(0, 3, end=7), "end must be a word below 7, got 7"),
        (lambda d: d.greedy(0, 3, end=-2), "end must be a token, got -2"),
        (lambda d: d.sample(0, 3, temperature=0), "temperature must be positive, got 0"),
        (lambda d: d.sample(0, 3, top_k=0), "top_k must be at least 1, got 0"),
        (lambda d: d.beam(0, 3, beams=0), "beam_search: beams must be at least 1, got 0"),
        (lambda d: d.scheduled_inputs([0, 1], 0.5), r"inputs must have shape \(batch, steps\), got \(2,\)"),
        (lambda d: d.scheduled_inputs([[0, 1]], 1.5), "p must be between 0 and 1, got 1.5"),
        (lambda d: d.greedy(0, 3, state=lamina.ones(1)), r"first states as a pair \(h, c\)"),
        (lambda d: d.greedy(0, 3, state=(lamina.ones(2, 2, 12),) * 2), r"h_0 must have shape \(2, 1, 12\), got \(2, 2, 12\)"),
        (lambda d: Decoder(d.embedding, nn.LSTM(5, 12, bidirectional=True), d.output), "must run in one direction"),
        (lambda d: Decoder(d.embedding, d.output, d.output), "Linear"),
        (lambda d: Decoder(d.output, d.modules, d.output), "expected an Embedding, recurrent layers and a Linear"),
        (lambda d: lamina.capture(lambda: d.greedy(0, 3).tokens)(), "decode reads a value while a step is being recorded"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        call(net()[0])
