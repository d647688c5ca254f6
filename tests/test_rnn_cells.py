"""Cells of one's own: the fused sequence against the same function run operation by operation, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import nn
from lamina.nn import cells
from lamina.nn.cells import cell, exp, maximum, minimum, relu, sigmoid, softplus, tanh, where

RNG = np.random.default_rng(11)


@cell
def lstm(i, f, g, o, *, h, c):
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


@cell
def gru(r, z, n, *, h):
    n = tanh(n.input + sigmoid(r) * n.recurrent)
    return n + sigmoid(z) * (h - n)


@cell
def peephole(i, f, g, o, *, h, c, p_i=0.1, p_f=-0.2, p_o=0.0):
    c = (f + p_f * c).sigmoid() * c + (i + p_i * c).sigmoid() * g.tanh()
    return (o + p_o * c).sigmoid() * c.tanh(), c


@cell
def everything(a, b, *, h, u, v, w=2.0):
    """All operations, states that change places, one that stays, and numbers."""
    x = where(a > 0.1, a * a - 1, 3 / (2 + b**2)) + maximum(a, b) - minimum(a, 0.5) + abs(b)
    y = softplus(x) * relu(b) + cells.sin(a) * cells.cos(b.recurrent) - exp(-(a**2)) + (1 + x * x).sqrt()
    y = y + cells.log(1.5 + h.square()) * w - (a <= b) * h + (-b) * u + b**-1 * 0 + 2**0.5
    return tanh(y) + b.input * 0.1, v, u


@cell
def one_gate(a, *, h):
    return 0.5 * h + 0.5 * tanh(a)


@cell
def clock(a, *, h, count):
    return tanh(a) * (1 / (1 + count)), count + 1


@cell
def two_stages(r, z, n, m, *, h, c, w=0.5):
    """The last two gates see what the others make of the states; a share apart and a parameter in both stages."""
    v = sigmoid(r.input + w * r.recurrent) * h + c
    n, m = tanh(n.seeing(v)), sigmoid(m.seeing(v))
    return h + sigmoid(z) * (n - h) * m, w * c + tanh(r)


CELLS = [lstm, gru, peephole, everything, one_gate, clock, two_stages]


def op_by_op(layer: Any, x: Any, first: list[Any]) -> Any:
    """The cell's function over tensors, step by step: all h, and the last states."""
    own, states, ys = layer.kind.custom, list(first), []
    for row in x:
        from_x, from_h = row @ layer.weight_ih_l0.T, states[0] @ layer.weight_hh_l0.T
        if layer.bias:
            from_x, from_h = from_x + layer.bias_ih_l0, from_h + layer.bias_hh_l0
        count = len(own.gates)
        gates: list[Any] = list(zip(from_x.chunk(count, 1), from_h.chunk(count, 1), strict=True))
        for late in range(count - own.late, count):
            weight = layer.weight_hh_l0.chunk(count, 0)[late]
            bias = layer.bias_hh_l0.chunk(count, 0)[late] if layer.bias else 0.0
            gates[late] = (gates[late][0], lambda v, weight=weight, bias=bias: v @ weight.T + bias)
        rows = {name: getattr(layer, f"{name}_l0") for name in own.parameters}
        new = own(*gates, **dict(zip(own.states, states, strict=True)), **rows)
        states = list(new) if isinstance(new, tuple) else [new]
        ys.append(states[0])
    return lamina.stack(ys), states


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [1, 5, 150])
@pytest.mark.parametrize("own", CELLS, ids=lambda c: c.__name__)
def test_fused_is_op_by_op(own: Any, hidden: int, bias: bool) -> None:
    steps, batch, inputs = 4, 7, 3
    layer = nn.CustomRNN(own, inputs, hidden, bias=bias, dtype=lamina.float64)
    for name in own.parameters:
        np.testing.assert_array_equal(to_numpy(getattr(layer, f"{name}_l0")), own.parameters[name])
        nn.init.normal_(getattr(layer, f"{name}_l0"))
    arrays = [RNG.normal(size=(steps, batch, inputs)), *(RNG.uniform(0, 1, (batch, hidden)) for _ in own.states)]
    found = []
    for fused in (True, False):
        layer.zero_grad()
        x, *first = [lamina.tensor(a).requires_grad_() for a in arrays]
        if fused:
            given = tuple(s.unsqueeze(0) for s in first)
            y, last = layer(x, given if len(given) > 1 else given[0])
            last = [s[0] for s in (last if isinstance(last, tuple) else [last])]
        else:
            y, last = op_by_op(layer, x, first)
        loss = (y * y).sum() + sum((k + 1) * s.sin().sum() for k, s in enumerate(last))
        loss.backward()
        leaves = [x, *first, *layer.parameters()]
        grads = [lamina.zeros_like(t) if t.grad is None else t.grad for t in leaves]
        found.append([to_numpy(t) for t in (y, *last, *grads)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_a_custom_lstm_is_the_lstm() -> None:
    layer, twin = (
        make(6, 9, 2, bidirectional=True, batch_first=True)
        for make in (lambda *a, **k: nn.CustomRNN(lstm, *a, **k), nn.LSTM)
    )
    twin.load_state_dict(layer.state_dict())
    x = RNG.normal(size=(4, 7, 6)).astype(np.float32)
    for lengths in (None, [7, 1, 3, 5]):
        results = []
        for net in (layer, twin):
            net.zero_grad()
            y, last = net(lamina.tensor(x), lengths=lengths)
            (y.sin().sum() + last[0].sum() - last[1].sum()).backward()
            results.append([to_numpy(t) for t in (y, *last, *(p.grad for p in net.parameters()))])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)


def test_layer_norm_of_a_custom_cell_is_that_of_the_lstm() -> None:
    layer, twin = nn.CustomRNN(lstm, 6, 9, layer_norm=True), nn.LSTM(6, 9, layer_norm=True)
    twin.load_state_dict(layer.state_dict())
    x = lamina.randn(5, 3, 6)
    np.testing.assert_array_equal(to_numpy(layer(x)[0]), to_numpy(twin(x)[0]))


def test_same_bits_with_one_thread_and_two() -> None:
    layer, x, results = nn.CustomRNN(peephole, 40, 72), lamina.randn(9, 21, 40), []
    before = lamina.get_num_threads()
    try:
        for threads in (1, 2):
            lamina.set_num_threads(threads)
            layer.zero_grad()
            y = layer(x)[0]
            y.sum().backward()
            results.append([to_numpy(t).tobytes() for t in (y, *(p.grad for p in layer.parameters()))])
    finally:
        lamina.set_num_threads(before)
    assert results[0] == results[1]


def test_in_a_captured_step() -> None:
    layer = nn.CustomRNN(everything, 2, 5)
    x = [lamina.randn(4, 3, 2) for _ in range(4)]
    start = {n: p.detach().clone() for n, p in layer.named_parameters()}

    def step(x: lamina.Tensor) -> lamina.Tensor:
        layer.zero_grad()
        loss = (layer(x)[0] ** 2).sum()
        loss.backward()
        with lamina.no_grad():
            for p in layer.parameters():
                p -= 0.01 * p.grad
        return loss.detach()

    def run(step: Any) -> list[bytes]:
        layer.load_state_dict(start)
        return [to_numpy(step(batch)).tobytes() for batch in x]

    captured = run(lamina.capture(step))  # before the layer has ever run
    assert run(step) == captured


def test_one_step_and_repr() -> None:
    step, layer = nn.CustomRNNCell(lstm, 3, 4), nn.CustomRNN(lstm, 3, 4)
    layer.load_state_dict({f"{n}_l0": p for n, p in step.state_dict().items()})
    x = lamina.randn(1, 5, 3)
    h, c = step(x[0])
    _, last = layer(x)
    np.testing.assert_array_equal(to_numpy(h), to_numpy(last[0][0]))
    np.testing.assert_array_equal(to_numpy(c), to_numpy(last[1][0]))
    assert "CustomRNN(3, 4, cell peephole(i, f, g, o, *, h, c, p_i=0.1, p_f=-0.2, p_o=0))" in repr(
        nn.CustomRNN(peephole, 3, 4)
    )


@pytest.mark.parametrize(
    "make", [lambda: nn.CustomRNN(peephole, 3, 4), lambda: nn.GRU(3, 4, layer_norm=True), lambda: nn.LSTM(3, 4)]
)
def test_a_layer_that_has_run_can_be_copied(make: Any) -> None:
    layer, x = make(), lamina.randn(5, 2, 3)
    before = to_numpy(layer(x)[0]).copy()
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(to_numpy(twin(x)[0]), before)
    twin.weight_hh_l0.data.zero_()
    np.testing.assert_array_equal(to_numpy(layer(x)[0]), before)
    assert (to_numpy(twin(x)[0]) != before).any()


OUTSIDE = lamina.ones(4)


def branches(a, *, h):
    return h if a > 0 else a


def looks_inside(a, *, h):
    return h[0] + a


def sums_up(a, *, h):
    return a.sum() + h


def uses_a_tensor(a, *, h):
    return OUTSIDE * a


def uses_lamina(a, *, h):
    return lamina.tanh(a)


def sees_itself(a, b, *, h):
    return b.seeing(b * h) + a


def sees_first(a, b, *, h):
    return a.seeing(b * h) + b


def sees_two_things(a, b, c, *, h):
    return b.seeing(a * h) + c.seeing(a + h)


def returns_too_much(a, *, h):
    return h, a


def returns_a_word(a, *, h):
    return "h"


def uses_numpy(a, *, h):
    return np.tanh(a)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (branches, "cell branches: cannot be traced: .*use where"),
        (looks_inside, "cell looks_inside: cannot be traced: .*works on all units alike"),
        (sums_up, "cell sums_up: cannot be traced: no 'sum'"),
        (uses_a_tensor, "cell uses_a_tensor: cannot be traced: .*a tensor from outside cannot enter"),
        (uses_lamina, "cell uses_lamina: cannot be traced: .*functions of lamina.nn.cells"),
        (uses_numpy, "cell uses_numpy: cannot be traced"),
        (sees_itself, r"cell sees_itself: gates that see another value than h must be the last, .*; b do not"),
        (sees_first, "gates that see another value than h must be the last"),
        (sees_two_things, "see the same one"),
        (returns_too_much, r"must return its new states \(h\), got 2 values"),
        (returns_a_word, "return: expected gates, states, parameters or numbers, got str"),
        (lambda a, *, h: h**a, "pow: expected an integer exponent"),
        (lambda a, *, h, weight_hh=0.0: h, "weight_hh is a parameter of every layer"),
        (lambda a: a, r"expected at least one gate and, after \*, one state"),
        (lambda a, b=0, *, h: a, r"expected gates, then after \*"),
        (lambda *a, h: h, r"expected gates, then after \*"),
    ],
)  # fmt: skip
def test_what_cannot_be_traced(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        cell(function)


def test_what_is_too_large() -> None:
    def greedy(a, *, h):
        parts = [tanh(a * k) for k in range(2, 200)]
        while len(parts) > 1:
            parts = [x * y for x, y in zip(parts[: len(parts) // 2], reversed(parts), strict=False)]
        return parts[0]

    with pytest.raises(ValueError, match="cell greedy: holds .* values at once; there is room for 64"):
        nn.CustomRNN(cell(greedy), 2, 3)(lamina.ones(1, 1, 2))


def test_what_the_layer_refuses() -> None:
    with pytest.raises(TypeError, match="CustomRNN: expected a function decorated with @nn.cell, got function"):
        nn.CustomRNN(branches, 3, 4)
    layer = nn.CustomRNN(lstm, 3, 4)
    with pytest.raises(TypeError, match=r"CustomRNN: expected the first states as a pair \(h, c\), got Tensor"):
        layer(lamina.ones(5, 2, 3), lamina.ones(1, 2, 4))
    with pytest.raises(ValueError, match=r"c_0 must have shape \(1, 2, 4\), got \(1, 2, 5\)"):
        layer(lamina.ones(5, 2, 3), (lamina.ones(1, 2, 4), lamina.ones(1, 2, 5)))


# ---- recurrent weights kept packed between calls without gradients ----


@pytest.mark.parametrize(
    "make", [nn.LSTM, nn.GRU, lambda *a: nn.GRU(*a, reset_after=False), lambda *a: nn.CustomRNN(lstm, *a)]
)
@pytest.mark.parametrize("captured", [False, True])
def test_packed_weights_are_never_stale(make: Any, captured: bool) -> None:
    layer, x = make(20, 130), lamina.randn(6, 3, 20)
    want = to_numpy(layer(x)[0])  # with gradients nothing is kept
    run = lamina.capture(lambda x: layer(x)[0]) if captured else lambda x: layer(x)[0]
    with lamina.inference_mode():
        for _ in range(4):
            np.testing.assert_array_equal(to_numpy(run(x)), want)
    with lamina.no_grad():
        layer.weight_hh_l0.mul_(2.0)
    want = to_numpy(layer(x)[0])
    with lamina.inference_mode():
        for _ in range(4):
            np.testing.assert_array_equal(to_numpy(run(x)), want)
