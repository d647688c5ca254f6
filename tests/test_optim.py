"""Every update rule, with all its options: against the formulas in float64 NumPy, and against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import nn, optim

STEPS = 20
SHAPES = [(3, 5), (17,), (), (2, 1, 9), (64,), (0, 3), (129, 3)]

Array = np.ndarray
State = dict[str, Any]


# ---- the rules, one parameter at a time ----


def penalised(w: Array, g: Array, o: State) -> tuple[Array, Array]:
    if o.get("maximize"):
        g = -g
    decay, l1 = o.get("weight_decay", 0.0), o.get("l1", 0.0)
    if o.get("decoupled_weight_decay"):
        return w - o["lr"] * decay * w - o["lr"] * l1 * np.sign(w), g
    return w, g + decay * w + l1 * np.sign(w)


def root(s: Array, o: State) -> Array:
    return np.sqrt(s + o["eps"]) if o.get("eps_inside_sqrt") else np.sqrt(s) + o["eps"]


def sgd(w: Array, g: Array, s: State, o: State) -> Array:
    if o["momentum"] == 0:
        return w - o["lr"] * g
    rate = o["lr"] if o["lr_in_momentum"] else 1.0
    if s["t"] == 1:
        s["b"] = rate * g
    else:
        s["b"] = o["momentum"] * s["b"] + rate * (1 - o["dampening"]) * g
    move = rate * g + o["momentum"] * s["b"] if o["nesterov"] else s["b"]
    return w - (1.0 if o["lr_in_momentum"] else o["lr"]) * move


def adagrad(w: Array, g: Array, s: State, o: State) -> Array:
    s["sum"] = s.get("sum", o["initial_accumulator_value"]) + g**2
    return w - o["lr"] / (1 + (s["t"] - 1) * o["lr_decay"]) * g / root(s["sum"], o)


def rmsprop(w: Array, g: Array, s: State, o: State) -> Array:
    s["sq"] = o["alpha"] * s.get("sq", 0.0) + (1 - o["alpha"]) * g**2
    square = s["sq"]
    if o["centered"]:
        s["mean"] = o["alpha"] * s.get("mean", 0.0) + (1 - o["alpha"]) * g
        square = square - s["mean"] ** 2
    s["b"] = o["momentum"] * s.get("b", 0.0) + g / root(square, o)
    return w - o["lr"] * s["b"]


def moments(g: Array, s: State, o: State) -> tuple[float, float]:
    b1, b2 = o["betas"]
    s["m"] = b1 * s.get("m", 0.0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0.0) + (1 - b2) * g**2
    return 1 - b1 ** s["t"], 1 - b2 ** s["t"]


def adam(w: Array, g: Array, s: State, o: State) -> Array:
    c1, c2 = moments(g, s, o)
    s["top"] = np.maximum(s.get("top", 0.0), s["v"])
    return w - o["lr"] * s["m"] / c1 / root((s["top"] if o["amsgrad"] else s["v"]) / c2, o)


def adadelta(w: Array, g: Array, s: State, o: State) -> Array:
    s["v"] = o["rho"] * s.get("v", 0.0) + (1 - o["rho"]) * g**2
    delta = np.sqrt(s.get("d", 0.0) + o["eps"]) / np.sqrt(s["v"] + o["eps"]) * g
    s["d"] = o["rho"] * s.get("d", 0.0) + (1 - o["rho"]) * delta**2
    return w - o["lr"] * delta


def adamax(w: Array, g: Array, s: State, o: State) -> Array:
    b1, b2 = o["betas"]
    s["m"] = b1 * s.get("m", 0.0) + (1 - b1) * g
    s["u"] = np.maximum(b2 * s.get("u", 0.0), np.abs(g) + o["eps"])
    return w - o["lr"] / (1 - b1 ** s["t"]) * s["m"] / s["u"]


def nadam(w: Array, g: Array, s: State, o: State) -> Array:
    def momentum(t: int) -> float:
        return o["betas"][0] * (1 - 0.5 * 0.96 ** (t * o["momentum_decay"]))

    _, c2 = moments(g, s, o)
    s["mu"] = s.get("mu", 1.0) * momentum(s["t"])
    m = momentum(s["t"] + 1) * s["m"] / (1 - s["mu"] * momentum(s["t"] + 1))
    return w - o["lr"] * (m + (1 - momentum(s["t"])) * g / (1 - s["mu"])) / root(s["v"] / c2, o)


def radam(w: Array, g: Array, s: State, o: State) -> Array:
    c1, c2 = moments(g, s, o)
    limit = 2 / (1 - o["betas"][1]) - 1
    length = limit - 2 * s["t"] * o["betas"][1] ** s["t"] / c2
    if length <= 5:
        return w - o["lr"] * s["m"] / c1
    rectify = np.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
    return w - o["lr"] * rectify * np.sqrt(c2) * s["m"] / c1 / root(s["v"], o)


RULES: dict[type[optim.Optimizer], Callable[[Array, Array, State, State], Array]] = {
    optim.SGD: sgd,
    optim.Adagrad: adagrad,
    optim.RMSprop: rmsprop,
    optim.Adam: adam,
    optim.AdamW: adam,
    optim.Adadelta: adadelta,
    optim.Adamax: adamax,
    optim.NAdam: nadam,
    optim.RAdam: radam,
}

# Options of each rule; PyTorch has all that are not marked.
OPTIONS: dict[type[optim.Optimizer], list[State]] = {
    optim.SGD: [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    ],
    optim.Adagrad: [{}, {"lr": 0.1, "lr_decay": 0.2, "initial_accumulator_value": 0.5}],
    optim.RMSprop: [
        {},
        {"alpha": 0.9, "centered": True},
        {"alpha": 0.8, "momentum": 0.9},
        {"alpha": 0.9, "momentum": 0.5, "centered": True, "eps": 1e-3},
    ],
    optim.Adam: [{"lr": 0.05}, {"lr": 0.05, "amsgrad": True, "betas": (0.7, 0.8)}, {"eps": 1e-2}],
    optim.AdamW: [{"lr": 0.05}, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}],
    optim.Adadelta: [{}, {"rho": 0.7, "eps": 1e-3}],
    optim.Adamax: [{}, {"lr": 0.1, "betas": (0.5, 0.6)}],
    optim.NAdam: [{}, {"lr": 0.05, "momentum_decay": 0.1}],
    optim.RAdam: [{"lr": 0.05}, {"lr": 0.05, "betas": (0.8, 0.9)}],
}
PENALTIES: list[State] = [{}, {"weight_decay": 0.1}, {"weight_decay": 0.05, "maximize": True}]
OURS: list[State] = [
    {"l1": 0.05},
    {"l1": 0.02, "weight_decay": 0.1},
    {"l1": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True},
]
CASES = [(kind, o | p) for kind, options in OPTIONS.items() for o, p in product(options, PENALTIES)]


def name_of(case: Any) -> str:
    return case.__name__ if isinstance(case, type) else "-".join(f"{k}={v}" for k, v in case.items()) or "default"


def start(shapes: list[tuple[int, ...]] = SHAPES, seed: int = 0) -> tuple[list[Array], list[list[Array]]]:
    """Parameters, and gradients for every step."""
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape) for shape in shapes]
    return values, [[rng.standard_normal(shape) for shape in shapes] for _ in range(STEPS)]


def parameters(values: list[Array], dtype: str) -> list[nn.Parameter]:
    return [nn.Parameter(lamina.tensor(v).to(getattr(lamina, dtype))) for v in values]


def train(optimizer: optim.Optimizer, params: list[nn.Parameter], gradients: list[list[Array]]) -> None:
    for grads in gradients:
        optimizer.zero_grad()
        # Through backward, so that the gradients arrive where the optimiser wants them.
        loss = sum((p * lamina.tensor(g).to(p.dtype)).sum() for p, g in zip(params, grads, strict=True))
        loss.backward()
        optimizer.step()


def by_formula(
    kind: type[optim.Optimizer], options: State, values: list[Array], gradients: list[list[Array]]
) -> list[Array]:
    probe = kind(parameters([np.zeros(1)], "float64"), **options)
    o = probe.param_groups[0]
    params, states = [v.copy() for v in values], [{} for _ in values]
    for t, grads in enumerate(gradients, 1):
        for i, g in enumerate(grads):
            w, penalty = penalised(params[i], g, o)
            states[i]["t"] = t
            params[i] = RULES[kind](w, penalty, states[i], o)
    return params


TOLERANCE = {"float64": 1e-12, "float32": 3e-5}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "kind, options", [*CASES, *((kind, OPTIONS[kind][-1] | p) for kind in OPTIONS for p in OURS)], ids=name_of
)
def test_follows_the_formula(kind, options, dtype):
    values, gradients = start()
    params = parameters(values, dtype)
    train(kind(params, **options), params, gradients)
    want = by_formula(kind, options, values, gradients)
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(to_numpy(p), w, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", [optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam])
def test_epsilon_inside_the_root(kind):
    values, gradients = start()
    params = parameters(values, "float64")
    options = {"eps": 1e-2, "eps_inside_sqrt": True}
    train(kind(params, **options), params, gradients)
    for p, w in zip(params, by_formula(kind, options, values, gradients), strict=True):
        np.testing.assert_allclose(to_numpy(p), w, rtol=1e-12, atol=1e-12)
    outside = by_formula(kind, {"eps": 1e-2}, values, gradients)
    assert not np.allclose(to_numpy(params[0]), outside[0])


@pytest.mark.parametrize("nesterov", [False, True])
def test_rate_inside_the_momentum(nesterov):
    """The seeds' form agrees with PyTorch's while the rate is constant, and not when it changes."""
    values, gradients = start()
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": nesterov}
    inside, outside = parameters(values, "float64"), parameters(values, "float64")
    a, b = optim.SGD(inside, **options, lr_in_momentum=True), optim.SGD(outside, **options)
    train(a, inside, gradients[:10]), train(b, outside, gradients[:10])
    for x, y in zip(inside, outside, strict=True):
        np.testing.assert_allclose(to_numpy(x), to_numpy(y), rtol=1e-12, atol=1e-14)
    for optimizer, params in ((a, inside), (b, outside)):
        optimizer.param_groups[0]["lr"] = 0.01
        train(optimizer, params, gradients[10:])
    assert not np.allclose(to_numpy(inside[0]), to_numpy(outside[0]))


@pytest.mark.parametrize("lr_in_momentum", [False, True])
def test_exact_nesterov_takes_the_gradient_ahead(lr_in_momentum):
    """On a quadratic, against Δ ← αΔ - η∇(θ + αΔ), θ ← θ + Δ."""
    lr, momentum = 0.1, 0.9
    curvature = np.linspace(0.1, 2.0, 37)
    theta, delta = np.ones(37), np.zeros(37)
    p = nn.Parameter(lamina.ones(37, dtype=lamina.float64))
    a = lamina.tensor(curvature)
    optimizer = optim.SGD([p], lr, momentum, nesterov="exact", lr_in_momentum=lr_in_momentum)

    def closure() -> lamina.Tensor:
        optimizer.zero_grad()
        loss = (a * p * p).sum() / 2
        loss.backward()
        return loss

    for i in range(STEPS):
        delta = momentum * delta - lr * curvature * (theta + momentum * delta)
        theta = theta + delta
        if i % 2:
            optimizer.step(closure)
        else:
            before = to_numpy(p).copy()
            with optimizer.look_ahead():
                closure()
            np.testing.assert_array_equal(to_numpy(p), before)
            optimizer.step()
        np.testing.assert_allclose(to_numpy(p), theta, rtol=1e-12, atol=1e-14)
    with pytest.raises(RuntimeError, match="look_ahead"):
        optimizer.step()


# ---- PyTorch ----


def torch_twin(kind: type[optim.Optimizer], options: State, values: list[Array], dtype: str) -> tuple[Any, list[Any]]:
    torch = pytest.importorskip("torch")
    params = [torch.nn.Parameter(torch.tensor(v, dtype=getattr(torch, dtype))) for v in values]
    return getattr(torch.optim, kind.__name__)(params, **options), params


def torch_train(optimizer: Any, params: list[Any], gradients: list[list[Array]]) -> None:
    import torch

    for grads in gradients:
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.tensor(g).to(p.dtype)
        optimizer.step()


@pytest.mark.parametrize("kind, options", CASES, ids=name_of)
def test_agrees_with_pytorch(kind, options):
    values, gradients = start()
    params = parameters(values, "float32")
    twin, theirs = torch_twin(kind, options, values, "float32")
    train(kind(params, **options), params, gradients)
    torch_train(twin, theirs, gradients)
    for p, t in zip(params, theirs, strict=True):
        np.testing.assert_allclose(to_numpy(p), t.detach().numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", OPTIONS, ids=name_of)
def test_defaults_are_pytorchs(kind):
    twin, _ = torch_twin(kind, {}, [np.zeros(3)], "float32")
    ours = kind(parameters([np.zeros(3)], "float32")).param_groups[0]
    for option, value in twin.param_groups[0].items():
        if option not in ("params", "foreach", "capturable", "differentiable", "fused"):
            assert ours[option] == value, option


@pytest.mark.parametrize("kind, options", [(k, o[-1]) for k, o in OPTIONS.items()], ids=name_of)
def test_states_are_exchanged_with_pytorch(kind, options):
    """Ten steps here, ten there, and the other way round: as twenty in one place."""
    torch = pytest.importorskip("torch")
    values, gradients = start()
    want = by_formula(kind, options, values, gradients)

    params = parameters(values, "float64")
    ours = kind(params, **options)
    train(ours, params, gradients[:10])
    twin, theirs = torch_twin(kind, options, [to_numpy(p) for p in params], "float64")
    state = ours.state_dict()
    state["state"] = {
        i: {name: torch.tensor(t.tolist(), dtype=torch.float64).reshape(t.shape) for name, t in s.items()}
        for i, s in state["state"].items()
    }
    twin.load_state_dict(state)
    torch_train(twin, theirs, gradients[10:])
    for t, w in zip(theirs, want, strict=True):
        np.testing.assert_allclose(t.detach().numpy(), w, rtol=1e-10, atol=1e-12)

    twin, theirs = torch_twin(kind, options, values, "float64")
    torch_train(twin, theirs, gradients[:10])
    params = parameters([t.detach().numpy() for t in theirs], "float64")
    ours = kind(params)
    ours.load_state_dict(twin.state_dict())
    train(ours, params, gradients[10:])
    for p, w in zip(params, want, strict=True):
        np.testing.assert_allclose(to_numpy(p), w, rtol=1e-6, atol=1e-7)  # PyTorch keeps some products in float32


# ---- types ----


@pytest.mark.parametrize("kind", OPTIONS, ids=name_of)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bit_parameters_have_states_in_float32(kind, dtype):
    values, gradients = start()
    params = parameters(values, dtype)
    begun = [to_numpy(p).astype(np.float64) for p in params]
    rounded = [
        [to_numpy(lamina.tensor(g).to(params[0].dtype)).astype(np.float64) for g in grads] for grads in gradients
    ]
    optimizer = kind(params, **OPTIONS[kind][-1])
    train(optimizer, params, gradients[:5])
    for s in optimizer.state_dict()["state"].values():
        assert all(t.dtype in (lamina.float32, lamina.float64) for t in s.values())
    unit = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for p, w in zip(params, by_formula(kind, OPTIONS[kind][-1], begun, rounded[:5]), strict=True):
        assert p.dtype is getattr(lamina, dtype)
        np.testing.assert_allclose(to_numpy(p), w, rtol=8 * unit, atol=16 * unit)


@pytest.mark.parametrize("kind", OPTIONS, ids=name_of)
def test_types_mix_in_one_group(kind):
    values, gradients = start()
    mixed = [
        nn.Parameter(lamina.tensor(v).to(t)) for v, t in zip(values, [lamina.float32, lamina.float64] * 4, strict=False)
    ]
    train(kind(mixed, **OPTIONS[kind][-1]), mixed, gradients)
    want = by_formula(kind, OPTIONS[kind][-1], values, gradients)
    for p, w in zip(mixed, want, strict=True):
        np.testing.assert_allclose(to_numpy(p), w, rtol=3e-5, atol=3e-5)


# ---- bits ----


@pytest.mark.parametrize("kind, options", [(k, o[-1]) for k, o in OPTIONS.items()], ids=name_of)
def test_same_bits_with_any_number_of_threads(kind, options, set_threads):
    shapes = [(311, 301), (70_001,)]
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    gradients = [[rng.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(3)]
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        params = parameters(values, "float32")
        train(kind(params, **options), params, gradients)
        results.append(b"".join(to_numpy(p).tobytes() for p in params))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind, options", [(k, o[-1]) for k, o in OPTIONS.items()], ids=name_of)
def test_resumes_bit_for_bit(kind, options, dtype, tmp_path):
    values, gradients = start()
    straight = parameters(values, dtype)
    train(kind(straight, **options), straight, gradients)

    params = parameters(values, dtype)
    first = kind(params, **options)
    train(first, params, gradients[:7])
    saved = first.state_dict()
    flat = {f"{i}.{name}": t for i, s in saved["state"].items() for name, t in s.items()}
    lamina.save(flat, tmp_path / "state.safetensors")
    loaded = lamina.load(tmp_path / "state.safetensors")
    saved["state"] = {i: {n: loaded[f"{i}.{n}"] for n in s} for i, s in saved["state"].items()}

    again = parameters([to_numpy(p) for p in params], dtype)
    second = kind(again)
    second.load_state_dict(saved)
    train(second, again, gradients[7:])
    for a, b in zip(straight, again, strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes()


@pytest.mark.parametrize("dtype, steps", [("float32", 1100), ("float64", 7500)])
def test_moments_of_what_has_no_gradient_any_more_stay_normal(dtype, steps):
    """Smaller numbers would slow every later step, and never go away by themselves."""
    p = nn.Parameter(lamina.ones(37, dtype=dtype))
    optimizer = lamina.optim.Adam([p], betas=(0.5, 0.9))
    p.grad = lamina.ones(37, dtype=dtype)
    optimizer.step()
    p.grad.zero_()
    for _ in range(steps):
        optimizer.step()
    state = optimizer.state_dict()["state"][0]
    for moment in (np.abs(to_numpy(state[name])) for name in ("exp_avg", "exp_avg_sq")):
        least = np.finfo(dtype).tiny
        assert ((moment == 0) | ((least <= moment) & (moment < 100 * least))).all()
    assert np.isfinite(to_numpy(p)).all()


@pytest.mark.parametrize("kind", OPTIONS, ids=name_of)
def test_nan_and_infinity_stay_where_they_are(kind):
    p, q = nn.Parameter(lamina.ones(21)), nn.Parameter(lamina.ones(5))
    optimizer = kind([p, q])
    p.grad, q.grad = lamina.full((21,), 0.5), lamina.full((5,), 0.5)
    p.grad[3] = float("nan")
    p.grad[20] = float("inf")
    optimizer.step()
    broken = ~np.isfinite(to_numpy(p))
    assert broken[3] and not broken[[i for i in range(21) if i not in (3, 20)]].any()
    assert np.isfinite(to_numpy(q)).all()
