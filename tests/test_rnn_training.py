"""What training recurrent nets needs around the cells: long sequences, gradients of every state, skips, carried state,
penalties on states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from checks import numeric_gradient, to_numpy
from lamina import nn
from lamina.nn import functional as F
from lamina.nn.cells import cell, tanh

RNG = np.random.default_rng(3)


@cell
def own(a, b, *, h, c):
    c = 0.5 * c + tanh(a)
    return tanh(b) * c, c


LAYERS: dict[str, Any] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "mut3": nn.MUT3,
    "peephole": lambda *a, **k: nn.LSTM(*a, peephole=True, **k),
    "leaky, before": lambda *a, **k: nn.GRU(*a, reset_after=False, leak=0.5, **k),
    "layer norm": lambda *a, **k: nn.LSTM(*a, layer_norm=True, zoneout=(0.1, 0.2), **k).eval(),
    "own": lambda *a, **k: nn.CustomRNN(own, *a, **k),
}


def states_of(last: Any) -> list[Any]:
    return list(last) if isinstance(last, tuple) else [last]


# ---- long sequences go back stretch by stretch ----


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_long_sequence_is_its_pieces(name: str, ragged: bool) -> None:
    """The gradients of one call are those of many short calls, each of them one stretch."""
    steps, batch, piece = 400, 2, 100
    layer = LAYERS[name](3, 4, bidirectional=False, dtype=lamina.float64)
    data = RNG.normal(size=(steps, batch, 3))
    lengths = np.array([390, 230]) if ragged else np.array([steps, steps])
    weight = lamina.tensor(RNG.normal(size=(steps, batch, 4)))
    found = []
    for whole in (True, False):
        layer.zero_grad()
        x = lamina.tensor(data).requires_grad_()
        if whole:
            y, _ = layer(x, lengths=lengths if ragged else None)
        else:
            parts, state = [], None
            for begin in range(0, steps, piece):
                there = np.clip(lengths - begin, 0, piece)
                out, state = layer(x[begin : begin + piece], state)
                running = (np.arange(piece)[:, None] < there)[:, :, None].astype(float)
                parts.append(out * lamina.tensor(running))
            y = lamina.cat(parts)
        (y * weight).sum().backward()
        found.append([to_numpy(t) for t in (y, x.grad, *(p.grad for p in layer.parameters()))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_long_sequences_agree_with_torch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    layer, twin = getattr(nn, kind)(5, 7, bidirectional=True), getattr(torch.nn, kind)(5, 7, bidirectional=True)
    twin.load_state_dict({n: torch.from_numpy(to_numpy(p).copy()) for n, p in layer.state_dict().items()})
    data = RNG.normal(size=(90, 40, 5)).astype(np.float32)
    x, z = lamina.tensor(data).requires_grad_(), torch.tensor(data, requires_grad=True)
    layer(x)[0].sin().sum().backward()
    twin(z)[0].sin().sum().backward()
    np.testing.assert_allclose(to_numpy(x.grad), z.grad.numpy(), atol=2e-5)
    for p, q in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), q.grad.numpy(), rtol=1e-4, atol=1e-3)


# ---- the gradient of every state ----


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_probe_receives_the_gradients_of_all_states(name: str, ragged: bool) -> None:
    """Against one call a step, whose states keep their gradients."""
    steps, batch, hidden = 5, 3, 4
    layer = LAYERS[name](3, hidden, dtype=lamina.float64)
    x = lamina.tensor(RNG.normal(size=(steps, batch, 3)))
    lengths = [5, 2, 4] if ragged else [steps] * batch
    probe = lamina.zeros(1, steps, batch, hidden, dtype=lamina.float64).requires_grad_()
    y, _ = layer(x, lengths=lengths, probe=probe)
    (y.sin().sum() + y[-1].sum()).backward()
    state, kept = None, []
    for t in range(steps):
        _, new = layer(x[t : t + 1], state)
        active = lamina.tensor([[float(t < n)] for n in lengths], dtype=lamina.float64)
        old = [lamina.zeros_like(s) for s in states_of(new)] if state is None else states_of(state)
        moved = [active * n + (1 - active) * o for n, o in zip(states_of(new), old, strict=True)]
        moved[0].retain_grad()
        kept.append((moved[0], active))
        state = tuple(moved) if len(moved) > 1 else moved[0]
    outputs = [h[0] * a for h, a in kept]
    (sum(o.sin().sum() for o in outputs) + outputs[-1].sum()).backward()
    want = np.stack([to_numpy(h.grad[0] * a) for h, a in kept])
    np.testing.assert_allclose(to_numpy(probe.grad[0]), want, rtol=1e-9, atol=1e-12)


def test_a_probe_of_many_layers_and_what_it_refuses() -> None:
    layer = nn.GRU(3, 4, 2, bidirectional=True)
    probe = lamina.zeros(4, 5, 2, 4).requires_grad_()
    layer(lamina.randn(5, 2, 3), probe=probe)[0].sum().backward()
    assert (to_numpy(probe.grad) != 0).all()
    with pytest.raises(ValueError, match=r"GRU: probe must have shape \(4, 5, 2, 4\)"):
        layer(lamina.randn(5, 2, 3), probe=probe[:1])


# ---- skips ----


def test_skip_connections_across_layers() -> None:
    layer = nn.LSTM(6, 6, 2, skip=True)
    x = lamina.randn(5, 2, 6)
    parts = [nn.LSTM(6, 6), nn.LSTM(6, 6)]
    for k, part in enumerate(parts):
        part.load_state_dict({f"{n[:-1]}0": p for n, p in layer.state_dict().items() if n.endswith(f"l{k}")})
    middle = parts[0](x)[0] + x
    np.testing.assert_array_equal(to_numpy(layer(x)[0]), to_numpy(parts[1](middle)[0] + middle))
    wider = nn.LSTM(3, 6, skip=True)  # sizes differ: nothing to add
    assert wider(lamina.randn(5, 2, 3))[0].shape == (5, 2, 6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [8, 1, 5]])
@pytest.mark.parametrize("skip", [2, 3, 11])
def test_skip_connections_across_time(skip: int, lengths: Any, bidirectional: bool) -> None:
    """Each sequence's phases, one call each."""
    steps, batch = 8, 3
    layer, plain = (nn.GRU(4, 5, time_skip=d, bidirectional=bidirectional) for d in (skip, 1))
    plain.load_state_dict(layer.state_dict())
    x = lamina.randn(steps, batch, 4)
    y, last = layer(x, lengths=lengths)
    assert y.shape == (steps, batch, 10 if bidirectional else 5) and last.shape[1] == skip * batch
    want = np.zeros(y.shape, np.float32)
    for b in range(batch):
        end = steps if lengths is None else lengths[b]
        for phase in range(min(skip, end)):
            want[phase:end:skip, b] = to_numpy(plain(x[phase:end:skip, b : b + 1].contiguous())[0])[:, 0]
    np.testing.assert_allclose(to_numpy(y), want, atol=1e-6)
    if not bidirectional and lengths is None and steps % skip == 0:
        again, _ = layer(x, last)
        twice = layer(lamina.cat([x, x]))[0]
        np.testing.assert_allclose(to_numpy(again), to_numpy(twice[steps:]), atol=1e-6)


# ---- carried state ----


@pytest.mark.parametrize(
    "make", [nn.GRU, lambda *a, **k: nn.LSTM(*a, time_skip=2, **k), lambda *a, **k: nn.LSTM(*a, proj_size=3, **k)]
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_stateful_pieces_are_the_whole(make: Any, batch_first: bool) -> None:
    layer = make(3, 5, 2, batch_first=batch_first)
    x = lamina.randn(4, 10, 3) if batch_first else lamina.randn(10, 4, 3)
    whole = to_numpy(layer(x)[0])
    carried = nn.Stateful(layer)
    for _ in range(2):
        pieces = [carried(piece) for (piece,) in nn.truncated(4, x, batch_first=batch_first)]
        pieces[-1].sum().backward()  # reaches no piece before
        np.testing.assert_allclose(np.concatenate([to_numpy(p) for p in pieces], int(batch_first)), whole, atol=1e-6)
        carried.reset()
    assert [n for n, _ in carried.named_parameters()][0] == "layer.weight_ih_l0" and list(carried.buffers()) == []


@pytest.mark.parametrize("batch_first", [False, True])
def test_stateful_pieces_of_tokens_are_the_whole(batch_first: bool) -> None:
    layer, table = nn.LSTM(3, 5, 2, batch_first=batch_first), lamina.randn(6, 3)
    tokens = lamina.tensor(RNG.integers(0, 6, (4, 10) if batch_first else (10, 4)))
    whole = to_numpy(layer(F.embedding(tokens, table))[0])
    carried = nn.Stateful(layer)
    pieces = [carried(piece, embedding=table) for (piece,) in nn.truncated(4, tokens, batch_first=batch_first)]
    np.testing.assert_allclose(np.concatenate([to_numpy(p) for p in pieces], int(batch_first)), whole, atol=1e-6)


def test_some_rows_begin_anew() -> None:
    carried, x = nn.Stateful(nn.RNN(3, 5)), lamina.randn(4, 3, 3)
    first = to_numpy(carried(x))
    carried.reset([0, 2])
    second = to_numpy(carried(x))
    np.testing.assert_array_equal(second[:, [0, 2]], first[:, [0, 2]])
    assert (second[0, 1] != first[0, 1]).all()


def test_a_stateful_step_can_be_captured() -> None:
    results = []
    for how in (lambda f: f, lamina.capture):
        lamina.manual_seed(4)
        carried, head = nn.Stateful(nn.LSTM(2, 6), batch_size=3), nn.Linear(6, 1)
        optimizer = lamina.optim.SGD([*carried.parameters(), *head.parameters()], lr=0.1)

        @how
        def step(
            x: lamina.Tensor, carried: Any = carried, head: Any = head, optimizer: Any = optimizer
        ) -> lamina.Tensor:
            optimizer.zero_grad()
            loss = (head(carried(x)) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        data = lamina.tensor(np.random.default_rng(1).normal(size=(20, 3, 2)).astype(np.float32))
        results.append([float(step(piece.contiguous())) for (piece,) in nn.truncated(5, data)])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Stateful(nn.Linear(2, 3)), "expected a recurrent layer, got Linear"),
        (lambda: nn.Stateful(nn.GRU(2, 3, bidirectional=True)), "no state to be carried on"),
        (lambda: nn.Stateful(nn.GRU(2, 3), batch_size=2)(lamina.ones(4, 3, 2)), "carries the state of 2 sequences, got 3"),
        (lambda: nn.Stateful(nn.GRU(2, 3))(lamina.ones(4, 2)), "expected a batch of sequences"),
        (lambda: list(nn.truncated(0, lamina.ones(4, 2))), "expected steps ≥ 1"),
        (lambda: list(nn.truncated(2, lamina.ones(4, 2), lamina.ones(5, 2))), r"differ in length: \[4, 5\]"),
        (lambda: nn.GRU(2, 3, time_skip=0), "time_skip must be at least 1, got 0"),
        (lambda: F.norm_stabilizer(lamina.ones(3, 4), 1.0), r"expected states of shape \(steps, batch, units\)"),
        (lambda: F.norm_stabilizer(lamina.ones(3, 4, 5), 1.0, lamina.ones(4)), r"first must have shape \(4, 5\)"),
        (lambda: F.norm_stabilizer(lamina.ones(3, 4, 5), 1.0, lengths=[1]), r"lengths must have shape \(4,\)"),
        (lambda: F.gradient_propagation_penalty(lamina.ones(3, 4, 5), lamina.ones(3, 4), lamina.ones(5, 5)), "of one shape"),
        (lambda: F.gradient_propagation_penalty(*[lamina.ones(3, 4, 5)] * 2, lamina.ones(5, 4)), r"weight_hh must have shape \(5, 5\)"),
        (lambda: F.gradient_propagation_penalty(*[lamina.ones(3, 4, 5)] * 2, lamina.ones(5, 5), "sin"), "nonlinearity must be"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# ---- penalties ----


@pytest.mark.parametrize("lengths", [None, [4, 2, 1]])
def test_norm_stabilizer(lengths: Any) -> None:
    h, first = RNG.normal(size=(4, 3, 5)), RNG.normal(size=(3, 5))

    def reference(h: np.ndarray, first: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(np.concatenate([first[None], h]), axis=-1)
        total = 0.0
        for b, end in enumerate(lengths or [4] * 3):
            total += sum((norms[t + 1, b] - norms[t, b]) ** 2 for t in range(end)) / end
        return np.array(0.7 * total / 3)

    leaves = [lamina.tensor(a).requires_grad_() for a in (h, first)]
    loss = F.norm_stabilizer(leaves[0], 0.7, leaves[1], lengths)
    np.testing.assert_allclose(float(loss.detach()), reference(h, first))
    loss.backward()
    for k in range(2):
        want = numeric_gradient(reference, [h, first], k, np.array(1.0))
        np.testing.assert_allclose(to_numpy(leaves[k].grad), want, rtol=1e-5, atol=1e-8)
    without = F.norm_stabilizer(lamina.tensor(h), 0.7, lengths=lengths)
    np.testing.assert_allclose(float(without), reference(h, np.zeros((3, 5))))


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_gradient_propagation_penalty(nonlinearity: str) -> None:
    steps, batch, hidden = 5, 3, 4
    layer = nn.RNN(2, hidden, nonlinearity=nonlinearity, dtype=lamina.float64)
    probe = lamina.zeros(1, steps, batch, hidden, dtype=lamina.float64).requires_grad_()
    y, _ = layer(lamina.tensor(RNG.normal(size=(steps, batch, 2))), probe=probe)
    y[-1].sum().backward()
    h, delta = to_numpy(y), to_numpy(probe.grad[0])

    def reference(w: np.ndarray) -> np.ndarray:
        total = 0.0
        for t in range(1, steps):
            slope = 1 - h[t] ** 2 if nonlinearity == "tanh" else (h[t] > 0).astype(float)
            for b in range(batch):
                if np.linalg.norm(delta[t, b]) > 0:
                    jacobian = slope[b][:, None] * w  # ∂h_t / ∂h_{t-1}
                    total += (np.linalg.norm(delta[t, b] @ jacobian) / np.linalg.norm(delta[t, b]) - 1) ** 2
        return np.array(total / batch)

    layer.zero_grad()
    omega = F.gradient_propagation_penalty(y, probe.grad[0], layer.weight_hh_l0, nonlinearity)
    w = to_numpy(layer.weight_hh_l0).copy()
    np.testing.assert_allclose(float(omega.detach()), reference(w), rtol=1e-10)
    omega.backward()
    want = numeric_gradient(reference, [w], 0, np.array(1.0))
    np.testing.assert_allclose(to_numpy(layer.weight_hh_l0.grad), want, rtol=1e-5, atol=1e-8)
    # δ of the step before is what one more step back gives, where the loss sees the last state alone
    slope = 1 - h[-1] ** 2 if nonlinearity == "tanh" else (h[-1] > 0).astype(float)
    np.testing.assert_allclose(delta[-2], (delta[-1] * slope) @ w, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind, blocks", [(nn.RNN, 1), (nn.LSTM, 4), (nn.GRU, 3)])
def test_a_step_of_a_layer_is_remembered_by_its_gates_and_its_states(kind: Any, blocks: int) -> None:
    steps, batch, hidden = 40, 64, 64
    layer, x = kind(hidden, hidden), lamina.randn(steps, batch, hidden)
    states = 2 if kind is nn.LSTM else 1
    before = lamina.memory_stats()["allocated"]
    y = layer(x)[0]
    kept = lamina.memory_stats()["allocated"] - before
    assert kept < 1.05 * 4 * (blocks * steps + states * (steps + 1)) * batch * hidden
    # On the way back a stretch of gradients of gates, y's gradient, and a weight as the products want it.
    lamina.reset_peak_memory()
    y.sum().backward()
    more = lamina.memory_stats()["peak"] - before - kept
    stretch, state = 4 * 4 * 20 * batch * hidden, 4 * steps * batch * hidden
    assert more < stretch + state + 4 * 4 * 4 * hidden * hidden + 4 * 16 * batch * hidden
