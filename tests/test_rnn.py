"""Recurrent layers against step-by-step references in float64, finite differences and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from checks import numeric_gradient, to_numpy, tolerance
from lamina import nn

RNG = np.random.default_rng(7)


# ---- the reference: one step after the other, in NumPy ----


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def seen(h: np.ndarray, o: dict[str, Any]) -> np.ndarray:
    """h as the gates see it, under a recurrent mask."""
    return h * o.get("mask", 1.0)


def sums(from_x: np.ndarray, from_h: np.ndarray, w: dict[str, np.ndarray], o: dict[str, Any]) -> np.ndarray:
    """What the gates activate; with layer norm, each gate's units to mean 0 and variance 1, and gains."""
    bias, hidden = w["bias_ih"] + w["bias_hh"], from_x.shape[1] // (4 if o["cell"] == "lstm" else 1)
    return (normed(from_x + from_h, w["weight_ln"], hidden) if o.get("layer_norm") else from_x + from_h) + bias


def normed(a: np.ndarray, gains: np.ndarray, hidden: int) -> np.ndarray:
    gates = a.reshape(len(a), -1, hidden)
    centred = gates - gates.mean(-1, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)).reshape(a.shape) * gains


def elman_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, w: dict[str, np.ndarray], o: dict[str, Any]) -> Any:
    a = sums(x @ w["weight_ih"].T, seen(h, o) @ w["weight_hh"].T, w, o)
    return (np.tanh(a) if o["cell"] == "tanh" else np.maximum(a, 0)), c


def lstm_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, w: dict[str, np.ndarray], o: dict[str, Any]) -> Any:
    from_h = seen(h, o) @ w["weight_hh"].T
    if o.get("full_gate_recurrence"):
        before = o["memory"].get("gates", np.zeros((1, 3 * c.shape[1])))
        ri, rf, ro = np.split(before @ w["weight_gates"].T, 3, axis=1)
        from_h = from_h + np.concatenate([ri, rf, np.zeros_like(ri), ro], 1)
    ai, af, ag, ao = np.split(sums(x @ w["weight_ih"].T, from_h, w, o), 4, axis=1)
    if o.get("peephole"):
        ai, af = ai + w["weight_pi"] * c, af + w["weight_pf"] * c
    i = sigmoid(ai) if o.get("input_gate", True) else np.ones_like(ai)
    f = sigmoid(af) if o.get("forget_gate", True) else np.ones_like(af)
    if o.get("coupled"):
        f = 1 - i
    g = np.tanh(ag) if o.get("input_activation", True) else ag
    c = f * c + i * g
    if o.get("peephole"):
        ao = ao + w["weight_po"] * c
    out = sigmoid(ao) if o.get("output_gate", True) else np.ones_like(ao)
    o["memory"]["gates"] = np.concatenate([i, f, out], 1)
    h = out * (np.tanh(c) if o.get("output_activation", True) else c)
    return (h @ w["weight_hr"].T if "weight_hr" in w else h), c


def gru_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, w: dict[str, np.ndarray], o: dict[str, Any]) -> Any:
    (xr, xz, xn), n, s = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, axis=1), h.shape[1], seen(h, o)
    recurrent, bias = w["weight_hh"], w["bias_hh"]
    if o.get("layer_norm"):
        from_x, from_h, gains = x @ w["weight_ih"].T, s @ recurrent.T, w["weight_ln"]
        early = normed((from_x + from_h)[:, : 2 * n], gains[: 2 * n], n) + w["bias_ih"][: 2 * n] + bias[: 2 * n]
        r, z = np.split(sigmoid(early), 2, axis=1)
        if not o.get("reset_after", True):
            total = from_x[:, 2 * n :] + (r * s) @ recurrent[2 * n :].T
            new = np.tanh(normed(total, gains[2 * n :], n) + w["bias_ih"][2 * n :] + bias[2 * n :])
            return (1 - z) * h + z * new, c
        late = normed(from_x[:, 2 * n :], gains[2 * n : 3 * n], n) + w["bias_ih"][2 * n :]
        new = np.tanh(late + r * (normed(from_h[:, 2 * n :], gains[3 * n :], n) + bias[2 * n :]))
        return (1 - z) * new + z * h, c
    r = sigmoid(xr + s @ recurrent[:n].T + bias[:n])
    z = sigmoid(xz + s @ recurrent[n : 2 * n].T + bias[n : 2 * n])
    if o.get("reset_after", True):
        new = np.tanh(xn + r * (s @ recurrent[2 * n :].T + bias[2 * n :]))
        return (1 - z) * new + z * h, c
    new = np.tanh(xn + (r * s) @ recurrent[2 * n :].T + bias[2 * n :])
    return (1 - z) * h + z * new, c


def mut_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, w: dict[str, np.ndarray], o: dict[str, Any]) -> Any:
    n, s, which = h.shape[1], seen(h, o), o["cell"]
    weights, biases = np.split(w["weight_ih"], len(w["weight_ih"]) // n), np.split(w["bias_ih"], len(w["bias_ih"]) // n)
    from_x = [x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True)]
    u, b = np.split(w["weight_hh"], len(w["weight_hh"]) // n), np.split(w["bias_hh"], len(w["bias_hh"]) // n)
    if which == "mut1":
        r, z = sigmoid(from_x[0] + s @ u[0].T + b[0]), sigmoid(from_x[1])
        new = np.tanh((r * s) @ u[1].T + np.tanh(x) + b[1])
    else:
        in_r, in_z, in_n = (x, *from_x) if which == "mut2" else from_x
        r = sigmoid(in_r + s @ u[0].T + b[0])
        z = sigmoid(in_z + (np.tanh(s) if which == "mut3" else s) @ u[1].T + b[1])
        new = np.tanh((r * s) @ u[2].T + in_n + b[2])
    return new * z + h * (1 - z), c


STEPS = {"tanh": elman_step, "relu": elman_step, "lstm": lstm_step, "gru": gru_step}
STEPS |= dict.fromkeys(("mut1", "mut2", "mut3"), mut_step)

CELLS: dict[str, dict[str, Any]] = {
    "tanh": {"cell": "tanh"},
    "relu": {"cell": "relu"},
    "lstm": {"cell": "lstm"},
    "no input gate": {"cell": "lstm", "input_gate": False},
    "no forget gate": {"cell": "lstm", "forget_gate": False},
    "no output gate": {"cell": "lstm", "output_gate": False},
    "no input activation": {"cell": "lstm", "input_activation": False},
    "no output activation": {"cell": "lstm", "output_activation": False},
    "peephole": {"cell": "lstm", "peephole": True},
    "coupled": {"cell": "lstm", "coupled": True},
    "peephole and coupled": {"cell": "lstm", "peephole": True, "coupled": True},
    "peephole, no gates": {
        "cell": "lstm",
        "peephole": True,
        "input_gate": False,
        "forget_gate": False,
        "output_gate": False,
    },
    "no activations, coupled": {"cell": "lstm", "input_activation": False, "output_activation": False, "coupled": True},
    "gru": {"cell": "gru"},
    "gru, reset before": {"cell": "gru", "reset_after": False},
    "leaky tanh": {"cell": "tanh", "leak": 0.3},
    "leaky lstm": {"cell": "lstm", "leak": 0.5},
    "leaky gru, reset before": {"cell": "gru", "reset_after": False, "leak": 0.25},
    "full gate recurrence": {"cell": "lstm", "full_gate_recurrence": True},
    "full gate recurrence, peephole, coupled": {
        "cell": "lstm",
        "full_gate_recurrence": True,
        "peephole": True,
        "coupled": True,
    },
    "full gate recurrence, no input gate": {"cell": "lstm", "full_gate_recurrence": True, "input_gate": False},
    "projection": {"cell": "lstm", "proj_size": 3},
    "projection, peephole, full gate recurrence": {
        "cell": "lstm",
        "proj_size": 2,
        "peephole": True,
        "full_gate_recurrence": True,
    },
    "projection, coupled, no output activation": {
        "cell": "lstm",
        "proj_size": 4,
        "coupled": True,
        "output_activation": False,
    },
    "projection, layer norm": {"cell": "lstm", "proj_size": 3, "layer_norm": True},
    "layer norm tanh": {"cell": "tanh", "layer_norm": True},
    "layer norm lstm": {"cell": "lstm", "layer_norm": True},
    "layer norm, peephole, coupled": {"cell": "lstm", "layer_norm": True, "peephole": True, "coupled": True},
    "layer norm, no activations": {
        "cell": "lstm",
        "layer_norm": True,
        "output_gate": False,
        "input_activation": False,
        "output_activation": False,
        "zoneout": (0.2, 0.1),
    },
    "layer norm gru, leaky": {"cell": "gru", "layer_norm": True, "leak": 0.5},
    "layer norm gru, reset before": {"cell": "gru", "layer_norm": True, "reset_after": False, "leak": 0.5},
    "layer norm, full gate recurrence": {"cell": "lstm", "layer_norm": True, "full_gate_recurrence": True},
    "layer norm, full gate recurrence, peephole, no input gate": {
        "cell": "lstm",
        "layer_norm": True,
        "full_gate_recurrence": True,
        "peephole": True,
        "input_gate": False,
        "leak": 0.5,
    },
    "mut1": {"cell": "mut1"},
    "mut2": {"cell": "mut2"},
    "mut3": {"cell": "mut3"},
    "leaky mut3": {"cell": "mut3", "leak": 0.4},
    "zoneout tanh": {"cell": "tanh", "zoneout": 0.2},
    "zoneout lstm": {"cell": "lstm", "zoneout": (0.1, 0.6)},
    "zoneout peephole": {"cell": "lstm", "peephole": True, "zoneout": (0.0, 0.5)},
    "zoneout gru, leaky": {"cell": "gru", "zoneout": 0.3, "leak": 0.5},
}


def make_layer(options: dict[str, Any], inputs: int, hidden: int, **kwargs: Any) -> Any:
    given = {name: value for name, value in options.items() if name != "cell"}
    if options["cell"] in ("tanh", "relu"):
        return nn.RNN(inputs, hidden, nonlinearity=options["cell"], **given, **kwargs)
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "mut1": nn.MUT1, "mut2": nn.MUT2, "mut3": nn.MUT3}[options["cell"]]
    return kind(inputs, hidden, **given, **kwargs)


def run_reference(
    options: dict[str, Any],
    x: np.ndarray,
    w: dict[str, np.ndarray],
    h: np.ndarray,
    c: np.ndarray,
    lengths: Any,
    reverse: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y (T, B, H) and the last h and c, each sequence for itself."""
    steps, batch, _ = x.shape
    zoneout = options.get("zoneout", 0.0)
    h_stays, c_stays = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout)
    h_moves = options.get("h_moves", np.full((steps, *h.shape), 1 - h_stays)) * options.get("leak", 1.0)
    c_moves = options.get("c_moves", np.full((steps, *c.shape), 1 - c_stays))
    y, h, c = np.zeros((steps, batch, h.shape[1])), h.copy(), c.copy()
    for b in range(batch):
        end = steps if lengths is None else lengths[b]
        own = options | {"memory": {}} | ({"mask": options["mask"][b]} if "mask" in options else {})
        for t in range(end)[:: -1 if reverse else 1]:
            new, new_c = STEPS[options["cell"]](x[t, b : b + 1], h[b : b + 1], c[b : b + 1], w, own)
            h[b] += h_moves[t, b] * (new[0] - h[b])
            c[b] += c_moves[t, b] * (new_c[0] - c[b])
            y[t, b] = h[b]
    return y, h, c


def parameters_of(layer: Any, suffix: str = "l0") -> dict[str, np.ndarray]:
    ending = f"_{suffix}"
    return {
        n.removesuffix(ending): to_numpy(p).astype(np.float64)
        for n, p in layer.named_parameters()
        if n.endswith(ending)
    }


def states_of(out: Any) -> tuple[Any, Any, Any]:
    y, last = out
    return (y, *last) if isinstance(last, tuple) else (y, last, None)


def start(layer: Any, h: Any, c: Any) -> Any:
    return (h, c) if layer.has_cell_state else h


# ---- values and every gradient ----


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_cell_agrees_with_its_steps_and_differences(name: str, ragged: bool, reverse: bool) -> None:
    steps, batch, hidden = 4, 3, 5
    inputs = 5 if name in ("mut1", "mut2") else 2
    layer = make_layer(CELLS[name], inputs, hidden, bidirectional=reverse, dtype=lamina.float64).eval()
    directions = 2 if reverse else 1
    lengths = [4, 1, 3] if ragged else None
    x, h, c = (
        RNG.normal(size=(steps, batch, inputs)),
        RNG.normal(size=(2, batch, layer.state_size)),
        RNG.normal(size=(2, batch, hidden)),
    )
    h, c = h[:directions], c[:directions]
    suffixes = ["l0", "l0_reverse"][:directions]
    names = list(parameters_of(layer))
    arrays = [x, h, c, *(parameters_of(layer, s)[n] for s in suffixes for n in names)]
    known: dict[Any, Any] = {}  # a difference moves the inputs of one direction, mostly; what the other gives is known

    def one_way(d: int, x: np.ndarray, h: np.ndarray, c: np.ndarray, weights: tuple[np.ndarray, ...]) -> Any:
        key = (d, *(a.tobytes() for a in (x, h, c, *weights)))
        if key not in known:
            w = dict(zip(names, weights, strict=True))
            known[key] = run_reference(CELLS[name], x, w, h, c, lengths, d == 1)
        return known[key]

    def reference(x: np.ndarray, h: np.ndarray, c: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        parts, ends = [], []
        for d in range(directions):
            y, h_n, c_n = one_way(d, x, h[d], c[d], weights[d * len(names) : (d + 1) * len(names)])
            parts.append(y)
            ends += [h_n.ravel(), c_n.ravel()] if layer.has_cell_state else [h_n.ravel()]
        return np.concatenate([np.concatenate(parts, -1).ravel(), *ends])

    leaves = [lamina.tensor(a).requires_grad_() for a in (x, h, c)]
    out = states_of(layer(leaves[0], start(layer, leaves[1], leaves[2]), lengths=lengths))
    flat = [out[0].reshape(-1)]
    for d in range(directions):
        flat += [s[d].reshape(-1) for s in out[1:] if s is not None]
    got = lamina.cat(flat)
    np.testing.assert_allclose(to_numpy(got), reference(*arrays), rtol=1e-12, atol=1e-13)

    weight = RNG.uniform(0.5, 1.5, got.shape)
    got.backward(lamina.tensor(weight))
    tensors = [*leaves, *(getattr(layer, f"{n}_{s}") for s in suffixes for n in names)]
    for i, tensor in enumerate(tensors):
        if i == 2 and not layer.has_cell_state:
            assert tensor.grad is None
            continue
        want = numeric_gradient(reference, arrays, i, weight, sample=RNG)
        got = np.where(np.isnan(want), np.nan, to_numpy(tensor.grad))
        assert np.isfinite(to_numpy(tensor.grad)).all()
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=f"gradient of argument {i}")


@pytest.mark.parametrize(
    "name",
    [
        "tanh", "lstm", "peephole", "full gate recurrence", "gru", "gru, reset before", "mut3", "layer norm gru, leaky",
        "layer norm gru, reset before", "layer norm, full gate recurrence",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (3, 1, 2, 17), (2, 2, 3, 8), (5, 50, 4, 33), (2, 97, 3, 64), (3, 7, 5, 130)]
)
def test_odd_sizes_in_float32(name: str, shape: tuple[int, int, int, int]) -> None:
    """Tails of panels, row tiles and blocks of the batch."""
    steps, batch, inputs, hidden = shape
    layer = make_layer(CELLS[name], inputs, hidden)
    x = RNG.normal(size=(steps, batch, inputs)).astype(np.float32)
    zeros = np.zeros((batch, hidden))
    want = run_reference(CELLS[name], x.astype(np.float64), parameters_of(layer), zeros, zeros, None, False)
    y = layer(lamina.tensor(x))[0]
    np.testing.assert_allclose(to_numpy(y), want[0], atol=tolerance("float32", hidden), rtol=1e-5)


@pytest.mark.parametrize("full", [False, True], ids=["plain", "full gate recurrence"])
@pytest.mark.parametrize(
    "shape", [(2, 1, 3, 2, 1), (3, 50, 4, 33, 17), (2, 97, 3, 64, 40), (3, 7, 5, 130, 16), (3, 7, 5, 130, 129)]
)
def test_odd_sizes_of_projected_states(shape: tuple[int, int, int, int, int], full: bool) -> None:
    steps, batch, inputs, hidden, features = shape
    options = {"cell": "lstm", "proj_size": features, "full_gate_recurrence": full}
    layer = make_layer(options, inputs, hidden)
    x, h, c = (
        RNG.normal(size=s).astype(np.float32) for s in ((steps, batch, inputs), (batch, features), (batch, hidden))
    )
    want = run_reference(options, x.astype(np.float64), parameters_of(layer), h, c, None, False)
    y, last = layer(lamina.tensor(x), (lamina.tensor(h[None]), lamina.tensor(c[None])))
    for got, wanted in zip((y, *(s[0] for s in last)), want, strict=True):
        np.testing.assert_allclose(to_numpy(got), wanted, atol=tolerance("float32", 2 * hidden), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_gradients_of_a_long_projected_sequence_agree_with_torch() -> None:
    """Several stretches of the way back, tails of panels and of rows."""
    torch = pytest.importorskip("torch")
    layer = nn.LSTM(5, 39, proj_size=19)
    twin = torch_twin(layer, "LSTM", proj_size=19)
    x, weight = (RNG.normal(size=(61, 33, n)).astype(np.float32) for n in (5, 19))
    ours, theirs = lamina.tensor(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    (layer(ours)[0] * lamina.tensor(weight)).sum().backward()
    (twin(theirs)[0] * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(to_numpy(ours.grad), theirs.grad.numpy(), atol=2e-5)
    for (name, p), q in zip(layer.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), q.grad.numpy(), rtol=2e-4, atol=2e-3, err_msg=name)


# ---- chance ----


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize(
    "name",
    [
        "tanh",
        "peephole",
        "full gate recurrence",
        "gru",
        "gru, reset before",
        "mut1",
        "mut3",
        "leaky lstm",
        "layer norm lstm",
        "layer norm gru, reset before",
        "layer norm, full gate recurrence",
    ],
)
def test_masks_are_those_of_the_steps(name: str, ragged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zoneout and recurrent dropout in training, with known masks: values and every gradient, in reverse too."""
    steps, batch, hidden = 4, 3, 5
    options = CELLS[name]
    both = options["cell"] == "lstm"
    layer = make_layer(
        options, hidden, hidden, dtype=lamina.float64, bidirectional=True, recurrent_dropout=0.5,
        zoneout=(0.5, 0.5) if both else 0.5,
    )  # fmt: skip
    lengths = [4, 1, 3] if ragged else None
    mask = 2.0 * RNG.integers(0, 2, (batch, hidden))
    moves = [RNG.integers(0, 2, (steps, batch, hidden)).astype(float) for _ in range(4)]  # h and c, forth and back
    drawn = iter(moves if both else moves[::2])
    monkeypatch.setattr(layer, "_mask", lambda p, features, like: lamina.tensor(mask) if p else None)
    monkeypatch.setattr(lamina.Tensor, "bernoulli_", lambda t, p: t.copy_(lamina.tensor(next(drawn))))
    names = list(parameters_of(layer))
    x, h, c = (RNG.normal(size=(n, batch, hidden)) for n in (steps, 2, 2))
    arrays = [x, h, c, *(parameters_of(layer, s)[n] for s in ("l0", "l0_reverse") for n in names)]

    def reference(x: np.ndarray, h: np.ndarray, c: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        parts = []
        for d in range(2):
            w = dict(zip(names, weights[d * len(names) : (d + 1) * len(names)], strict=True))
            chance = {"mask": mask, "h_moves": moves[2 * d], "c_moves": moves[2 * d + 1]}
            parts.append(run_reference(options | chance, x, w, h[d], c[d], lengths, d == 1)[0])
        return np.concatenate(parts, -1)

    leaves = [lamina.tensor(a).requires_grad_() for a in (x, h, c)]
    got = layer(leaves[0], start(layer, leaves[1], leaves[2]), lengths=lengths)[0]
    np.testing.assert_allclose(to_numpy(got), reference(*arrays), rtol=1e-12, atol=1e-13)
    weight = RNG.uniform(0.5, 1.5, got.shape)
    got.backward(lamina.tensor(weight))
    tensors = [*leaves, *(getattr(layer, f"{n}_{s}") for s in ("l0", "l0_reverse") for n in names)]
    for i, tensor in enumerate(tensors):
        if i == 2 and not both:
            continue
        want = numeric_gradient(reference, arrays, i, weight, sample=RNG)
        got = np.where(np.isnan(want), np.nan, to_numpy(tensor.grad))
        assert np.isfinite(to_numpy(tensor.grad)).all()
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=f"gradient of argument {i}")


def test_zoneout_keeps_units_in_training() -> None:
    layer = nn.RNN(3, 500, zoneout=0.3)
    h = lamina.randn(1, 4, 500)
    fresh, x = nn.RNN(3, 500), lamina.randn(1, 4, 3)
    fresh.load_state_dict(layer.state_dict())
    kept, moved = to_numpy(layer(x, h)[0])[0], to_numpy(fresh(x, h)[0])[0]
    stays = kept == to_numpy(h)[0]
    np.testing.assert_allclose(kept[~stays], moved[~stays], atol=1e-6)
    assert 0.25 < stays.mean() < 0.35


def test_variational_masks_are_the_same_at_every_step() -> None:
    layer = nn.RNN(400, 400, nonlinearity="relu", input_dropout=0.5, output_dropout=0.25)
    with lamina.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0.copy_(lamina.eye(400))
    y = to_numpy(layer(lamina.ones(3, 2, 400))[0])
    assert (y == y[:1]).all() and not (y[:, 0] == y[:, 1]).all()
    values = np.unique(y.round(5))
    np.testing.assert_allclose(values, [0, 2 / 0.75], rtol=1e-5)
    assert 0.5 < (y == 0).mean() < 0.75  # 1 - 0.5 · 0.75 = 0.625
    layer.eval()
    np.testing.assert_array_equal(to_numpy(layer(lamina.ones(3, 2, 400))[0]), np.ones((3, 2, 400)))


# ---- initialisation ----


@pytest.mark.parametrize("make", [nn.LSTM, nn.LSTMCell])
def test_forget_bias_and_orthogonal_weights(make: Any) -> None:
    layer = make(6, 8, forget_bias=2.0, orthogonal=True)
    w = {n.removesuffix("_l0"): to_numpy(p) for n, p in layer.named_parameters()}
    np.testing.assert_allclose((w["bias_ih"] + w["bias_hh"])[8:16], 2.0)
    assert (np.abs(w["bias_ih"][:8]) <= 1 / np.sqrt(8)).all() and (w["bias_ih"][:8] != 0).any()
    for gate in np.split(w["weight_hh"], 4):
        np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-5)


# ---- PyTorch ----


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_agree_with_torch(kind: str, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    cell, twin = getattr(nn, kind)(6, 9, bias), getattr(torch.nn, kind)(6, 9, bias)
    assert list(twin.state_dict()) == list(cell.state_dict())
    twin.load_state_dict({n: torch.from_numpy(to_numpy(p).copy()) for n, p in cell.state_dict().items()})
    x, h, c = (RNG.normal(size=(4, n)).astype(np.float32) for n in (6, 9, 9))
    for rows in (slice(None), 0):
        ours = [lamina.tensor(a[rows]).requires_grad_() for a in (x, h, c)]
        theirs = [torch.tensor(a[rows], requires_grad=True) for a in (x, h, c)]
        count = 1 + (kind == "LSTMCell")
        y = cell(ours[0], tuple(ours[1:]) if count == 2 else ours[1])
        z = twin(theirs[0], tuple(theirs[1:]) if count == 2 else theirs[1])
        y, z = (y, z) if count == 2 else ((y,), (z,))
        for a, b in zip(y, z, strict=True):
            np.testing.assert_allclose(to_numpy(a), b.detach().numpy(), atol=2e-6)
        sum((a * (k + 1)).sum() for k, a in enumerate(y)).backward()
        sum((b * (k + 1)).sum() for k, b in enumerate(z)).backward()
        for a, b in zip(ours[: 1 + count], theirs[: 1 + count], strict=True):
            np.testing.assert_allclose(to_numpy(a.grad), b.grad.numpy(), atol=1e-5)
    nothing = cell(lamina.tensor(x)), twin(torch.tensor(x))
    for a, b in zip(*(n if count == 2 else (n,) for n in nothing), strict=True):
        np.testing.assert_allclose(to_numpy(a), b.detach().numpy(), atol=2e-6)


@pytest.mark.parametrize(
    "switches", [{"peephole": True}, {"coupled": True}, {"leak": 0.5}, {"zoneout": (0.3, 0.1)}, {"layer_norm": True}]
)
def test_a_cell_is_a_layer_of_one_step(switches: dict[str, Any]) -> None:
    cell, layer = nn.LSTMCell(3, 7, **switches).eval(), nn.LSTM(3, 7, **switches).eval()
    layer.load_state_dict({f"{n}_l0": p for n, p in cell.state_dict().items()})
    x, h, c = lamina.randn(2, 3), lamina.randn(2, 7), lamina.randn(2, 7)
    _, want = layer(x.unsqueeze(0), (h.unsqueeze(0), c.unsqueeze(0)))
    for a, b in zip(cell(x, (h, c)), want, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b[0]))


def torch_twin(layer: Any, kind: str, **kwargs: Any) -> Any:
    torch = pytest.importorskip("torch")
    twin = getattr(torch.nn, kind)(layer.input_size, layer.hidden_size, layer.num_layers, **kwargs)
    assert list(twin.state_dict()) == list(layer.state_dict())
    twin.load_state_dict({n: torch.from_numpy(to_numpy(p).copy()) for n, p in layer.state_dict().items()})
    return twin


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # PyTorch on its slower way
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "LSTM, projected", "GRU"])
def test_layers_and_directions_agree_with_torch(kind: str, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    kind, *projected = kind.split(", ")
    more: dict[str, Any] = {"proj_size": 4} if projected else {}
    layer = getattr(nn, kind)(6, 9, 2, bias=bias, batch_first=True, bidirectional=True, **more)
    twin = torch_twin(layer, kind, bias=bias, batch_first=True, bidirectional=True, **more)
    x = RNG.normal(size=(4, 7, 6)).astype(np.float32)
    ours, theirs = lamina.tensor(x).requires_grad_(), torch.tensor(x, requires_grad=True)
    (y, *last), (z, *end) = layer(ours), twin(theirs)
    np.testing.assert_allclose(to_numpy(y), z.detach().numpy(), atol=2e-6)
    for a, b in zip(last[0] if kind == "LSTM" else last, end[0] if kind == "LSTM" else end, strict=True):
        np.testing.assert_allclose(to_numpy(a), b.detach().numpy(), atol=2e-6)
    weight = RNG.normal(size=tuple(y.shape)).astype(np.float32)
    (y * lamina.tensor(weight)).sum().backward()
    (z * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(to_numpy(ours.grad), theirs.grad.numpy(), atol=2e-5)
    for (name, p), q in zip(layer.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), q.grad.numpy(), atol=5e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_lengths_are_torchs_packed_sequences(kind: str) -> None:
    torch = pytest.importorskip("torch")
    layer = getattr(nn, kind)(3, 5, 2, bidirectional=True)
    twin = torch_twin(layer, kind, bidirectional=True)
    x, lengths = RNG.normal(size=(6, 4, 3)).astype(np.float32), [2, 6, 1, 4]
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths), enforce_sorted=False)
    z, end = twin(packed)
    z, _ = torch.nn.utils.rnn.pad_packed_sequence(z)
    y, last = layer(lamina.tensor(x), lengths=lengths)
    np.testing.assert_allclose(to_numpy(y), z.detach().numpy(), atol=2e-6)
    for a, b in zip(last if kind == "LSTM" else [last], end if kind == "LSTM" else [end], strict=True):
        np.testing.assert_allclose(to_numpy(a), b.detach().numpy(), atol=2e-6)


# ---- the layer around the kernel ----


@pytest.mark.parametrize(
    "name",
    [
        "lstm", "full gate recurrence", "projection", "projection, peephole, full gate recurrence", "gru",
        "gru, reset before", "mut3", "layer norm lstm", "layer norm gru, reset before",
        "layer norm, full gate recurrence",
    ],
)  # fmt: skip
def test_same_bits_with_any_number_of_threads(name: str) -> None:
    layer = make_layer(CELLS[name], 40, 72)
    x = lamina.tensor(RNG.normal(size=(9, 20, 40)).astype(np.float32))
    results = []
    before = lamina.get_num_threads()
    try:
        for threads in (1, 2, 3, 5):
            lamina.set_num_threads(threads)
            layer.zero_grad()
            y = layer(x)[0]
            y.sum().backward()
            results.append([to_numpy(y).tobytes(), *(to_numpy(p.grad).tobytes() for p in layer.parameters())])
    finally:
        lamina.set_num_threads(before)
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_state_carried_over_pieces_is_the_whole(name: str) -> None:
    layer = make_layer(CELLS[name], 3, 6, num_layers=2)
    x = lamina.tensor(RNG.normal(size=(10, 2, 3)).astype(np.float32))
    whole, last = layer(x)
    first, state = layer(x[:4])
    second, end = layer(x[4:], state)
    np.testing.assert_array_equal(to_numpy(lamina.cat([first, second])), to_numpy(whole))
    for a, b in zip(end if name == "lstm" else [end], last if name == "lstm" else [last], strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


def test_without_a_batch() -> None:
    layer = nn.LSTM(3, 4, 2)
    x = lamina.randn(5, 3)
    y, (h, c) = layer(x)
    z, (k, d) = layer(x.unsqueeze(1))
    assert y.shape == (5, 4) and h.shape == c.shape == (2, 4)
    for a, b in ((y, z), (h, k), (c, d)):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b.squeeze(1)))


def test_backward_twice_over_a_retained_graph() -> None:
    layer = nn.GRU(3, 4, reset_after=False)
    loss = layer(lamina.randn(5, 2, 3))[0].sum()
    loss.backward(retain_graph=True)
    once = {n: to_numpy(p.grad).copy() for n, p in layer.named_parameters()}
    loss.backward()
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(to_numpy(p.grad), 2 * once[name], rtol=1e-6)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize(
    "name",
    [
        "tanh", "peephole", "full gate recurrence", "projection", "gru", "gru, reset before", "mut3", "layer norm lstm",
        "layer norm gru, reset before", "layer norm, full gate recurrence",
    ],
)  # fmt: skip
def test_a_captured_step_is_the_eager_step(name: str) -> None:
    x = [lamina.tensor(RNG.normal(size=(4, 3, 2)).astype(np.float32)) for _ in range(4)]
    lengths = [lamina.tensor(n) for n in ([4, 2, 1], [1, 4, 3], [2, 2, 4], [4, 4, 4])]
    layer = make_layer(CELLS[name], 2, 5, bidirectional=True)
    start = {n: p.detach().clone() for n, p in layer.named_parameters()}

    def step(x: lamina.Tensor, lengths: lamina.Tensor) -> lamina.Tensor:
        layer.zero_grad()
        loss = (layer(x, lengths=lengths)[0] ** 2).sum()
        loss.backward()
        with lamina.no_grad():
            for p in layer.parameters():
                p -= 0.1 * p.grad
        return loss.detach()

    def run(step: Any) -> list[bytes]:
        layer.load_state_dict(start)
        return [to_numpy(step(*batch)).tobytes() for batch in zip(x, lengths, strict=True)]

    assert run(step) == run(lamina.capture(step))


def test_dropout_lies_between_layers_only() -> None:
    layer = nn.RNN(3, 4, 2, dropout=1.0)
    x = lamina.randn(5, 2, 3)
    alone = nn.RNN(4, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(alone, f"{name}_l0").data.copy_(getattr(layer, f"{name}_l1").data)
    np.testing.assert_array_equal(to_numpy(layer(x)[0]), to_numpy(alone(lamina.zeros(5, 2, 4))[0]))
    layer.eval()
    assert not np.array_equal(to_numpy(layer(x)[0]), to_numpy(alone(lamina.zeros(5, 2, 4))[0]))


def test_a_hundred_thousand_steps() -> None:
    layer = nn.LSTM(1, 2)
    y, _ = layer(lamina.ones(100_000, 1, 1))
    y[-1].sum().backward()
    assert np.isfinite(to_numpy(layer.weight_hh_l0.grad)).all()


@pytest.mark.parametrize(
    ("make", "call", "message"),
    [
        (lambda: nn.LSTM(0, 0), None, "hidden_size and num_layers must be at least 1"),
        (lambda: nn.LSTM(3, 4, coupled=True, forget_gate=False), None, "coupled gates need both"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), None, "nonlinearity must be 'tanh' or 'relu', got 'sin'"),
        (lambda: nn.GRU(3, 4, leak=0.0), None, "leak must be in"),
        (lambda: nn.GRU(3, 4, zoneout=(0.1, 0.1)), None, "cells with two states"),
        (lambda: nn.LSTM(3, 4, zoneout=1.0), None, r"zoneout of h must be in \[0, 1\), got 1.0"),
        (lambda: nn.LSTM(3, 4, recurrent_dropout=1.0), None, r"recurrent_dropout must be in \[0, 1\), got 1.0"),
        (lambda: nn.GRU(3, 4, forget_bias=1.0), None, "forget_bias needs a forget gate"),
        (lambda: nn.GRU(3, 4, proj_size=2), None, "proj_size is for LSTM"),
        (lambda: nn.LSTM(3, 4, proj_size=4), None, "must be below hidden_size, got 4"),
        (lambda: nn.LSTM(3, 4, proj_size=2, leak=0.5), None, "with a projected state"),
        (lambda: nn.LSTM(3, 4, proj_size=2), lambda m: m(lamina.ones(5, 2, 3), (lamina.ones(1, 2, 4),) * 2), r"h_0 must have shape \(1, 2, 2\)"),
        (lambda: nn.MUT1(3, 4), None, "must have hidden_size features, got 3 and hidden_size=4"),
        (lambda: nn.GRUCell(3, 4), lambda m: m(lamina.ones(5, 2)), r"shape \(batch, 3\) or \(3,\), got \(5, 2\)"),
        (lambda: nn.GRUCell(3, 4), lambda m: m(lamina.ones(5, 3), lamina.ones(2, 4)), r"h must have shape \(5, 4\), got \(2, 4\)"),
        (lambda: nn.LSTMCell(3, 4), lambda m: m(lamina.ones(5, 3), lamina.ones(5, 4)), "as a pair"),
        (lambda: nn.GRU(3, 4), lambda m: m(lamina.ones(5, 2, 7)), r"expected input of shape \(steps, batch, 3\).*got \(5, 2, 7\)"),
        (lambda: nn.GRU(3, 4), lambda m: m(lamina.ones(0, 2, 3)), "at least one step"),
        (lambda: nn.GRU(3, 4), lambda m: m(lamina.ones(5, 2, 3), lamina.ones(1, 3, 4)), r"h_0 must have shape \(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4), lambda m: m(lamina.ones(5, 2, 3), lengths=[0, 5]), "between 1 and 5 steps, got 0 to 5"),
        (lambda: nn.GRU(3, 4), lambda m: m(lamina.ones(5, 2, 3), lengths=[5]), r"lengths must have shape \(2,\)"),
        (lambda: nn.LSTM(3, 4), lambda m: m(lamina.ones(5, 2, 3).double()), "float64"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call(make()) if call else make()


def test_repr_names_what_is_unusual() -> None:
    assert "GRUCell(3, 4, leak=0.5, reset_after=False)" in repr(nn.GRUCell(3, 4, leak=0.5, reset_after=False))
    assert "LSTM(3, 4, num_layers=2, peephole=True" in repr(nn.LSTM(3, 4, 2, peephole=True)).replace("\n", " ")


# ---- tokens, and the rows of an embedding that they name ----

FUSED = [
    "tanh", "lstm", "peephole", "full gate recurrence", "projection", "gru", "gru, reset before", "mut3", "leaky lstm",
]  # fmt: skip
COMPOSED = ["mut1", "projection, layer norm", "layer norm lstm", "zoneout lstm"]  # looked up first


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("name", [*FUSED, *COMPOSED])
def test_tokens_are_looked_up(name: str, ragged: bool) -> None:
    steps, batch, words, size = 5, 3, 7, 4
    layer = make_layer(CELLS[name], size, size, bidirectional=True, batch_first=True, dtype=lamina.float64).eval()
    tokens = lamina.tensor(RNG.integers(0, words, (batch, steps)))
    rows = RNG.normal(size=(words, size))
    lengths = [5, 1, 3] if ragged else None
    results = []
    for fused in (True, False):
        layer.zero_grad()
        table = lamina.tensor(rows).requires_grad_()
        if fused:
            y, last = layer(tokens, lengths=lengths, embedding=table)
        else:
            y, last = layer(nn.functional.embedding(tokens, table), lengths=lengths)
        h = last[0] if isinstance(last, tuple) else last
        ((y * y).sum() + h.sin().sum()).backward()
        results.append([to_numpy(t) for t in (y, h, table.grad, *(p.grad for p in layer.parameters()))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru, reset before"])
def test_tokens_in_captured_steps_and_long_sequences(name: str) -> None:
    layer, table = make_layer(CELLS[name], 3, 9), lamina.randn(5, 3, requires_grad=True)
    tokens = [lamina.tensor(RNG.integers(0, 5, (600, 2))) for _ in range(3)]  # several stretches of the way back

    def step(tokens: lamina.Tensor, embedding: lamina.Tensor | None = None) -> list[lamina.Tensor]:
        table.grad = None
        layer.zero_grad()
        x = tokens if embedding is not None else nn.functional.embedding(tokens, table)
        layer(x, embedding=embedding)[0].square().mean().backward()
        return [p.grad.clone() for p in (table, *layer.parameters())]

    captured = lamina.capture(lambda tokens: step(tokens, table))
    for batch in tokens:
        eager, composed = step(batch, table), step(batch)
        for a, b, c in zip(captured(batch), eager, composed, strict=True):
            np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
            np.testing.assert_allclose(to_numpy(b), to_numpy(c), rtol=1e-4, atol=1e-6)
    with lamina.no_grad():
        for _ in range(3):
            y = layer(tokens[0][:, 0], embedding=table)[0]  # without a batch
            want = layer(nn.functional.embedding(tokens[0][:, 0], table))[0]
            np.testing.assert_allclose(to_numpy(y), to_numpy(want), atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "embedding", "message"),
    [
        ([[0, 5]] * 4, (5, 3), "5 is out of range|index 5|out of bounds"),
        ([[0, -1]] * 4, (5, 3), "-1"),
        ([[0, 1]] * 4, (5, 4), r"LSTM: embedding must be a weight of shape \(count, 3\), got \(5, 4\)"),
        ([[0.0, 1.0]] * 4, (5, 3), "with an embedding the input holds int64 tokens"),
        ([[[0, 1]]] * 4, (5, 3), r"\(steps, batch\) or \(steps,\), got lamina.int64 of shape \(4, 1, 2\)"),
    ],
)
def test_wrong_tokens(tokens: Any, embedding: tuple[int, int], message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        nn.LSTM(3, 4)(lamina.tensor(tokens), embedding=lamina.ones(*embedding))
