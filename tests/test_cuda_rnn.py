"""Recurrent layers over CUDA's kernels on the stand-in, against the CPU: outputs, last states, and all gradients."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import emulated, numbers, run
from lamina import Tensor, nn
from lamina.nn.cells import cell, tanh, where

pytestmark = pytest.mark.usefixtures("cuda")

CELLS: dict[str, Callable[..., nn.Module]] = {
    "tanh": nn.RNN,
    "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "lstm": nn.LSTM,
    "peephole": lambda *a, **k: nn.LSTM(*a, peephole=True, **k),
    "coupled": lambda *a, **k: nn.LSTM(*a, coupled=True, peephole=True, **k),
    "no gates": lambda *a, **k: nn.LSTM(*a, input_gate=False, forget_gate=False, output_gate=False, **k),
    "no activations": lambda *a, **k: nn.LSTM(*a, input_activation=False, output_activation=False, **k),
    "full": lambda *a, **k: nn.LSTM(*a, full_gate_recurrence=True, **k),
    "gru": nn.GRU,
    "gru, before": lambda *a, **k: nn.GRU(*a, reset_after=False, **k),
    "mut1": nn.MUT1,
    "mut2": nn.MUT2,
    "mut3": nn.MUT3,
}


def flat(value: Any) -> list[Tensor]:
    return [t for part in value for t in flat(part)] if isinstance(value, tuple) else [value]


def compare(here: nn.Module, x: Tensor, first: Any = None, tolerance: float = 2e-5, **more: Any) -> None:
    """The layer and a copy of it on the device give the same, and the same gradients of everything."""
    here.zero_grad()
    there, cuda = copy.deepcopy(here).cuda(), lambda t: t.detach().cuda().requires_grad_(t.requires_grad)
    moved: list[Tensor] = [cuda(x)]
    states = [] if first is None else flat(first)
    moved += [cuda(t) for t in states]
    for t in (x, *states):
        t.grad = None
    given = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in more.items()}
    began = () if first is None else ((tuple(moved[1:]) if isinstance(first, tuple) else moved[1]),)
    expected = flat(here(x, *(() if first is None else (first,)), **more))
    got = flat(there(moved[0], *began, **given))
    gradients = [lamina.randn(*t.shape).to(t.dtype) for t in expected]
    for results, weights in ((expected, gradients), (got, [g.cuda() for g in gradients])):
        lamina.stack([(t * g).sum() for t, g in zip(results, weights, strict=True)]).sum().backward()
    pairs = list(zip(got, expected, strict=True))
    pairs += [(a.grad, b.grad) for a, b in zip(moved, [x, *states], strict=True) if b.requires_grad]
    pairs += [(a.grad, b.grad) for a, b in zip(there.parameters(), here.parameters(), strict=True)]
    for a, b in pairs:
        assert (a is None) == (b is None)
        if a is not None:
            assert a.device.type == "cuda"
            ours, expected = (t.detach().cpu().double().numpy() for t in (a, b))
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [lamina.float32, lamina.float64])
def test_a_sequence(name: str, dtype: Any):
    features, units = (7, 7) if name.startswith("mut") else (3, 7)
    layer = CELLS[name](features, units, dtype=dtype)
    x = numbers(5, 3, features, dtype=dtype, grad=True, low=-1, high=1)
    compare(layer, x, tolerance=1e-12 if dtype is lamina.float64 else 2e-5)
    wide = CELLS[name](33 if name.startswith("mut") else 4, 33, dtype=dtype)  # more than a block's units, and terms
    x = numbers(3, 18, 33 if name.startswith("mut") else 4, dtype=dtype, grad=True, low=-1, high=1)
    compare(wide, x, tolerance=1e-11 if dtype is lamina.float64 else 5e-5)


@pytest.mark.parametrize("name", ["tanh", "peephole", "full", "gru", "gru, before", "mut3"])
def test_both_directions_states_and_lengths(name: str):
    layer = CELLS[name](5, 6, num_layers=2, bidirectional=True)
    x = numbers(4, 3, 5, grad=True, low=-1, high=1)
    two = isinstance(layer, nn.LSTM)
    h = tuple(numbers(4, 3, 6, grad=True, low=-1, high=1) for _ in range(2))
    compare(layer, x, h if two else h[0])
    compare(layer, x, h if two else h[0], lengths=lamina.tensor([4, 1, 3]))


@pytest.mark.parametrize("name", ["tanh", "lstm", "full", "gru", "mut1", "mut3"])
def test_what_surrounds_a_cell(name: str):
    """States that move part of their way, masks of h, and the gradient of every state."""
    features = 6 if name == "mut1" else 5
    layer = CELLS[name](features, 6, leak=0.6, zoneout=(0.2, 0.3) if name == "lstm" else 0.2).eval()
    x = numbers(4, 3, features, grad=True, low=-1, high=1)
    compare(layer, x, lengths=lamina.tensor([4, 2, 3]))
    probes = [lamina.zeros(1, 4, 3, 6, device=device, requires_grad=True) for device in ("cpu", "cuda")]
    other = copy.deepcopy(layer).cuda()
    layer(x, probe=probes[0])[0].sum().backward()
    other(x.detach().cuda(), probe=probes[1])[0].sum().backward()
    np.testing.assert_allclose(probes[1].grad.cpu().numpy(), probes[0].grad.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["lstm", "full", "gru, before"])
def test_dropout_of_h_is_the_same_mask(name: str):
    layer = CELLS[name](4, 6, recurrent_dropout=0.4)
    other, x = copy.deepcopy(layer).cuda(), numbers(5, 3, 4)
    found = []
    for module, data in ((layer, x), (other, x.cuda())):
        lamina.manual_seed(5)
        y = module(data)[0]
        y.square().sum().backward()
        found.append([y, *(p.grad for p in module.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru, before", "mut3"])
def test_tokens_are_rows_of_a_table(name: str):
    here, rows, tokens = CELLS[name](4, 6), numbers(7, 4, grad=True), lamina.randint(0, 7, (5, 3))
    there, moved = copy.deepcopy(here).cuda(), rows.detach().cuda().requires_grad_()
    y, z = here(tokens, embedding=rows)[0], there(tokens.cuda(), embedding=moved)[0]
    y.square().sum().backward()
    z.square().sum().backward()
    pairs = [(z, y), (moved.grad, rows.grad)]
    pairs += [(a.grad, b.grad) for a, b in zip(there.parameters(), here.parameters(), strict=True)]
    for a, b in pairs:
        assert a is not None and b is not None
        np.testing.assert_allclose(a.detach().cpu().numpy(), b.detach().numpy(), rtol=2e-5, atol=2e-5)


# ---- a kernel for a whole sequence ----


@pytest.fixture
def products() -> Iterator[Callable[[str], None]]:
    yield lamina.set_float32_matmul_precision
    lamina.set_float32_matmul_precision("highest")


def gradients(layer: nn.Module, x: Tensor, **more: Any) -> list[np.ndarray]:
    layer, x = copy.deepcopy(layer).cuda(), x.detach().cuda().requires_grad_()
    y, last = layer(x, **more)
    lamina.stack([t.square().sum() for t in (y, *flat(last))]).sum().backward()
    return [t.detach().cpu().double().numpy() for t in (y, x.grad, *flat(last), *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize(
    "name, precision", [*((name, "highest") for name in CELLS), ("lstm", "high"), ("full", "high"), ("mut3", "high")]
)
def test_blocks_that_stay_give_the_bits_of_steps(
    name: str, precision: str, products: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    """The stand-in holds four blocks: of 8 units of an LSTM, and of 2 on the way back of one whose gates see gates."""
    products(precision)
    units = 7 if name == "full" else 17
    layer = CELLS[name](units, units, bidirectional=True, leak=0.7)
    x, lengths = numbers(5, 37, units, low=-1, high=1), lamina.randint(1, 6, (37,))
    found = []
    for resident in "10":
        monkeypatch.setenv("LAMINA_CUDA_RESIDENT", resident)
        found.append(gradients(layer, x, lengths=lengths))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(os.environ.get("LAMINA_TEST_CUDA") == "device", reason="devices hold more blocks than the stand-in")
def test_a_grid_that_is_too_large_to_stay(monkeypatch: pytest.MonkeyPatch):
    layer, x = nn.LSTM(3, 33), numbers(4, 2, 3, low=-1, high=1)
    gradients(layer, x)  # goes step by step
    monkeypatch.setenv("LAMINA_CUDA_RESIDENT", "1")
    with pytest.raises(RuntimeError, match="lstm: CUDA error 720: too many blocks in cooperative launch"):
        gradients(layer, x)


@pytest.mark.parametrize("name", ["tanh", "peephole", "full", "gru", "gru, before", "mut3", "normed", "normed, before"])
def test_tensor_cores_where_they_are_allowed(name: str, products: Callable[[str], None]):
    normed = {"normed": nn.LSTM, "normed, before": partial(nn.GRU, reset_after=False)}
    layer = normed[name](33, 33, layer_norm=True) if name in normed else CELLS[name](33, 33)
    x = numbers(4, 18, 33, low=-1, high=1)
    strict = gradients(layer, x)
    products("high")
    for a, b in zip(gradients(layer, x), strict, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2 * float(np.abs(b).max()))
        assert (a != b).any()


def test_a_projected_state():
    compare(nn.LSTM(4, 9, proj_size=5), numbers(4, 3, 4, grad=True, low=-1, high=1))


def test_without_gradients_gates_are_not_kept():
    layer = nn.LSTM(3, 40)
    other, x = copy.deepcopy(layer).cuda(), numbers(4, 2, 3)
    with lamina.no_grad():
        for _ in range(3):  # weights that would be packed on the CPU
            np.testing.assert_allclose(other(x.cuda())[0].cpu().numpy(), layer(x)[0].numpy(), rtol=2e-5, atol=2e-6)


def test_a_captured_training_step():
    def learn(device: str) -> list[float]:
        lamina.manual_seed(3)
        layer = nn.LSTM(4, 8).to(device)
        head = nn.Linear(8, 1).to(device)
        optimizer = lamina.optim.SGD([*layer.parameters(), *head.parameters()], lr=0.1)
        x, y = numbers_of(7, 6, 3, 4).to(device), numbers_of(8, 3, 1).to(device)

        def step() -> Tensor:
            optimizer.zero_grad()
            loss = (head(layer(x)[0][-1]) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        replay = lamina.capture(step)
        return [replay().item() for _ in range(5)]

    def numbers_of(seed: int, *shape: int) -> Tensor:
        return lamina.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))

    there, here = learn("cuda"), learn("cpu")
    np.testing.assert_allclose(there, here, rtol=1e-4)
    assert there[-1] < there[0]


def test_no_sequences():
    y, h = nn.GRU(3, 4).cuda()(lamina.zeros(5, 0, 3, device="cuda"))
    assert y.shape == (5, 0, 4) and h.shape == (1, 0, 4)


@cell
def own(a, b, *, h, c, w=0.5):
    c = where(a > 0.1, 0.5 * c, c) + tanh(a.input + w * a.recurrent) / (1 + h * h)
    return tanh(b) * c, c


PROGRAMS: dict[str, Callable[..., nn.Module]] = {
    "own": lambda *a, **k: nn.CustomRNN(own, *a, **k),
    "own, layer norm": lambda *a, **k: nn.CustomRNN(own, *a, layer_norm=True, **k),
    "lstm, layer norm": lambda *a, **k: nn.LSTM(*a, layer_norm=True, **k),
    "full, layer norm": lambda *a, **k: nn.LSTM(*a, layer_norm=True, full_gate_recurrence=True, **k),
    "peephole, layer norm": lambda *a, **k: nn.LSTM(*a, layer_norm=True, peephole=True, **k),
    "gru, layer norm": lambda *a, **k: nn.GRU(*a, layer_norm=True, **k),
    "before, layer norm": lambda *a, **k: nn.GRU(*a, layer_norm=True, reset_after=False, **k),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", [lamina.float32, lamina.float64])
def test_programs(name: str, dtype: Any):
    tolerance = 1e-10 if dtype is lamina.float64 else 2e-4
    layer = PROGRAMS[name](3, 7, dtype=dtype)
    x = numbers(5, 3, 3, dtype=dtype, grad=True, low=-1, high=1)
    compare(layer, x, tolerance=tolerance)
    compare(layer, x, lengths=lamina.tensor([2, 5, 1]), tolerance=tolerance)
    wide = PROGRAMS[name](3, 35, bidirectional=True, dtype=dtype)
    compare(wide, numbers(3, 18, 3, dtype=dtype, grad=True, low=-1, high=1), tolerance=tolerance)


@cell
def long(a, b, *, h):
    x = a
    for k in range(1000):  # more instructions than a launch's arguments hold, and more than a page of them
        x = x * 0.99 if k % 2 else x * 1.02
    return tanh(x + b * h)


def test_a_long_program():
    layer, x = nn.CustomRNN(long, 3, 7, dtype=lamina.float64), numbers(4, 3, 3, dtype=lamina.float64, grad=True)
    compare(layer, x, tolerance=1e-10)
    probe = copy.deepcopy(layer).cuda()
    step = lamina.capture(lambda: probe(x.detach().cuda())[0])  # replays bring the program anew
    expected = layer(x.detach())[0].detach().numpy()
    for _ in range(2):
        np.testing.assert_allclose(step().cpu().numpy(), expected, rtol=1e-10)
        compare(layer, x, tolerance=1e-10)


@pytest.mark.parametrize("name", ["own", "full, layer norm", "before, layer norm"])
def test_what_surrounds_a_program(name: str):
    layer = PROGRAMS[name](4, 6, leak=0.6, zoneout=0.2).eval()
    compare(layer, numbers(4, 3, 4, grad=True, low=-1, high=1), tolerance=2e-4)
    layer = PROGRAMS[name](4, 6, recurrent_dropout=0.4)
    other, x = copy.deepcopy(layer).cuda(), numbers(5, 3, 4)
    found = []
    for module, data in ((layer, x), (other, x.cuda())):
        lamina.manual_seed(5)
        module(data)[0].square().sum().backward()
        found.append([p.grad for p in module.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b.cpu().numpy(), a.numpy(), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("order", ["1", "2"])
def test_in_any_order_of_threads(order: str):
    code = """
import lamina, hashlib
from lamina import nn
lamina.manual_seed(1)
for layer in (nn.LSTM(4, 20), nn.GRU(4, 9, reset_after=False), nn.LSTM(4, 9, layer_norm=True)):
    x = lamina.randn(3, 17, 4).cuda().requires_grad_()
    layer = layer.cuda()
    layer(x)[0].square().sum().backward()
    for t in (x.grad, *(p.grad for p in layer.parameters())):
        print(hashlib.sha256(t.cpu().numpy().tobytes()).hexdigest())
"""
    first, other = (run(code, emulated(), LAMINA_EMULATE_ORDER=o) for o in ("0", order))
    assert first.returncode == 0 and other.returncode == 0, first.stderr + other.stderr
    assert first.stdout == other.stdout and len(first.stdout.split()) == 16


@pytest.mark.parametrize("dtype", [lamina.float16, lamina.bfloat16])
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1"])
def test_half_types(name: str, dtype: Any):
    """Recurrent products are TF32's, which holds weights of either type; states are rounded to it."""
    layer, x = CELLS[name](9, 9).to(dtype), numbers(4, 18, 9, low=-1, high=1).to(dtype)
    single = CELLS[name](9, 9)
    single.load_state_dict({n: p.float() for n, p in layer.state_dict().items()})
    error = 2.0 ** (-8 if dtype is lamina.bfloat16 else -10)
    for a, b in zip(gradients(layer, x), gradients(single, x.float()), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * error * float(np.abs(b).max()))


def test_half_types_of_cells_of_ones_own():
    layer = nn.LSTM(4, 6, layer_norm=True).to(lamina.bfloat16)
    compare(layer, numbers(4, 3, 4, low=-1, high=1).to(lamina.bfloat16).requires_grad_(), tolerance=0.05)
