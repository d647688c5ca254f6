"""Clipping of gradients, and averages of parameters."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import _C, nn, optim
from lamina.nn import utils

SHAPES = [(3, 5), (17,), (), (301, 67), (0, 4)]
ORDERS = [2.0, 1.0, 3.0, 0.5, 0.0, float("inf")]


def with_gradients(dtype: str, arena: bool, scale: float = 1.0) -> tuple[list[nn.Parameter], list[np.ndarray]]:
    """The last but one in memory of its own, not contiguous; one without gradient."""
    rng = np.random.default_rng(0)
    kind = getattr(lamina, dtype)
    params = [nn.Parameter(lamina.zeros(*s, dtype=kind)) for s in SHAPES]
    absent = nn.Parameter(lamina.zeros(5, dtype=kind))
    if arena:
        optim.SGD([*params, absent])
    grads = []
    for i, p in enumerate(params):
        g = lamina.tensor(scale * rng.standard_normal(p.shape)).to(kind)
        if i == 3:
            p.grad = lamina.tensor(to_numpy(g).T.copy()).to(kind).T
            assert not p.grad.is_contiguous()
        else:
            (p * g).sum().backward()
        grads.append(to_numpy(g).astype(np.float64))
    return [*params[:2], absent, *params[2:]], grads


def norm_of(grads: list[np.ndarray], order: float) -> float:
    return float(np.linalg.norm(np.concatenate([g.ravel() for g in grads]), order))


@pytest.mark.parametrize("arena", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_clip_grad_norm(dtype, order, arena):
    for share in (0.25, 4.0):
        params, grads = with_gradients(dtype, arena)
        want = norm_of(grads, order)
        got = utils.clip_grad_norm_(params, share * want, order)
        assert got.shape == () and got.dtype is (lamina.float64 if dtype == "float64" else lamina.float32)
        np.testing.assert_allclose(float(got), want, rtol=1e-6)
        factor = min(1.0, share * want / (want + 1e-6))
        rounding = {"float32": 1e-6, "float64": 1e-12, "bfloat16": 1e-2, "float16": 1e-3}[dtype]
        for p, g in zip([p for p in params if p.grad is not None], grads, strict=True):
            np.testing.assert_allclose(to_numpy(p.grad), g * factor, rtol=rounding)


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
def test_clip_grad_norm_is_pytorchs(order):
    torch = pytest.importorskip("torch")
    params, grads = with_gradients("float32", True)
    params, grads = params[:-1], grads[:-1]  # PyTorch has no largest of no numbers
    twins = [torch.nn.Parameter(torch.zeros(g.shape)) for g in grads]
    for t, g in zip(twins, grads, strict=True):
        t.grad = torch.tensor(g, dtype=torch.float32)
    got, want = utils.clip_grad_norm_(params, 1.5, order), torch.nn.utils.clip_grad_norm_(twins, 1.5, order)
    np.testing.assert_allclose(float(got), float(want), rtol=1e-5)
    for p, t in zip([p for p in params if p.grad is not None], twins, strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), t.grad.numpy(), rtol=1e-5)


def test_the_courses_rule():
    """If ‖g‖ ≥ τ: g ← τ g / ‖g‖, without PyTorch's 1e-6."""
    p = nn.Parameter(lamina.zeros(2, dtype=lamina.float64))
    for g, want in (([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4]), ([0.0, 0.0], [0.0, 0.0])):
        p.grad = lamina.tensor(g, dtype=lamina.float64)
        utils.clip_grad_norm_([p], 1.0, eps=0.0)
        np.testing.assert_allclose(to_numpy(p.grad), want, rtol=1e-15)
    p.grad = lamina.tensor([0.0, 0.0], dtype=lamina.float64)
    utils.clip_grad_norm_(p, 0.0, eps=0.0)
    np.testing.assert_array_equal(to_numpy(p.grad), [0.0, 0.0])


def test_one_pass_over_the_arena():
    params = [nn.Parameter(lamina.zeros(n)) for n in (3, 40, 17)]
    optim.SGD(params)
    sum((p * 2).sum() for p in params).backward()
    with _C._Recording() as recording:
        utils.clip_grad_norm_(params, 1.0)
    assert len(recording) == 4  # norms of chunks, the whole norm, the scaling, float32 of the norm


def test_large_gradients_have_a_norm():
    p = nn.Parameter(lamina.zeros(4))
    p.grad = lamina.full((4,), 1e30)
    assert float(utils.clip_grad_norm_([p], 1.0)) == pytest.approx(2e30)
    np.testing.assert_allclose(to_numpy(p.grad), 0.5, rtol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_gradients(value):
    params, _ = with_gradients("float32", True)
    with lamina.no_grad():
        params[0].grad[1, 2] = value
    before = to_numpy(params[1].grad).copy()
    with pytest.raises(RuntimeError, match="norm of order 2"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(to_numpy(params[1].grad), before)
    utils.clip_grad_norm_(params, 1.0)  # as PyTorch: everything becomes NaN, or zero beside an infinity
    rest = to_numpy(params[1].grad)
    assert np.isnan(rest).all() if np.isnan(value) else (rest == 0).all()


def test_no_gradients_at_all():
    assert float(utils.clip_grad_norm_([nn.Parameter(lamina.zeros(2))], 1.0)) == 0.0
    assert float(utils.clip_grad_norm_([], 1.0)) == 0.0


def test_same_bits_with_any_number_of_threads(set_threads):
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        p = nn.Parameter(lamina.zeros(200_001))
        p.grad = lamina.tensor(np.random.default_rng(0).standard_normal(200_001).astype(np.float32))
        results.append((float(utils.clip_grad_norm_([p], 1.0)), to_numpy(p.grad).tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_clip_grad_value(dtype):
    params, grads = with_gradients(dtype, True)
    with lamina.no_grad():
        params[1].grad[4] = float("nan")
    grads[1][4] = np.nan
    utils.clip_grad_value_(params, 0.5)
    for p, g in zip([p for p in params if p.grad is not None], grads, strict=True):
        np.testing.assert_array_equal(to_numpy(p.grad), np.clip(g, -0.5, 0.5))


def test_total_norm_and_clipping_apart():
    params, grads = with_gradients("float32", True)
    present = [p for p in params if p.grad is not None]
    norm = utils.get_total_norm([p.grad for p in present])
    np.testing.assert_allclose(float(norm), norm_of(grads, 2), rtol=1e-6)
    utils.clip_grads_with_norm_(params, 2.0, norm)
    for p, g in zip(present, grads, strict=True):
        np.testing.assert_allclose(to_numpy(p.grad), g * 2 / norm_of(grads, 2), rtol=1e-5)


def test_parameters_as_one_vector():
    params = [nn.Parameter(lamina.tensor(np.full(s, i, np.float32))) for i, s in enumerate([(2, 3), (4,), ()])]
    vector = utils.parameters_to_vector(params)
    assert vector.tolist() == [0.0] * 6 + [1.0] * 4 + [2.0]
    utils.vector_to_parameters(vector + 1, params)
    assert to_numpy(params[1]).tolist() == [2.0] * 4
    with pytest.raises(ValueError, match="11 numbers"):
        utils.vector_to_parameters(lamina.ones(3), params)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda p: utils.clip_grad_norm_([p], -1.0), "max_norm must be 0 or more"),
        (lambda p: utils.clip_grad_norm_([p], float("nan")), "max_norm must be 0 or more"),
        (lambda p: utils.clip_grad_norm_([p], 1.0, -2.0), "norm_type"),
        (lambda p: utils.clip_grad_value_([p], -1.0), "clip_value"),
    ],
)
def test_clipping_checks_its_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call(nn.Parameter(lamina.zeros(2)))
    with pytest.raises(TypeError, match="must be a Tensor"):
        utils.clip_grad_norm_(["w"], 1.0)


# ---- averages ----


def averaged(values: list[np.ndarray], decay: float, correct: bool, start: np.ndarray) -> np.ndarray:
    v = np.zeros_like(start) if correct else start
    for x in values:
        v = decay * v + (1 - decay) * x
    return v / (1 - decay ** len(values)) if correct else v


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_ema(dtype, correct):
    rng = np.random.default_rng(0)
    kind = getattr(lamina, dtype)
    params = [nn.Parameter(lamina.ones(*s, dtype=kind)) for s in SHAPES]
    ema = optim.EMA(params, 0.8, bias_correction=correct)
    seen: list[list[np.ndarray]] = [[] for _ in params]
    for _ in range(7):
        for p, history in zip(params, seen, strict=True):
            with lamina.no_grad():
                p.copy_(lamina.tensor(rng.standard_normal(p.shape)))
            history.append(to_numpy(p).astype(np.float64))
        ema.update()
    latest = [to_numpy(p).copy() for p in params]
    rounding = {"float32": 1e-6, "float64": 1e-13, "bfloat16": 1e-2}[dtype]
    with ema.average_parameters():
        for p, history in zip(params, seen, strict=True):
            want = averaged(history, 0.8, correct, np.ones(p.shape))
            np.testing.assert_allclose(to_numpy(p), want, rtol=rounding, atol=rounding)
    for p, value in zip(params, latest, strict=True):
        np.testing.assert_array_equal(to_numpy(p), value)
    others = [lamina.zeros(*reversed(s)).T if len(s) == 2 else lamina.zeros(*s) for s in SHAPES]
    ema.copy_to(others)
    np.testing.assert_allclose(
        to_numpy(others[0]), averaged(seen[0], 0.8, correct, np.ones(SHAPES[0])), rtol=max(rounding, 1e-6), atol=1e-6
    )


def test_ema_resumes_bit_for_bit():
    def walk(p: nn.Parameter, ema: optim.EMA, steps: int) -> None:
        for _ in range(steps):
            with lamina.no_grad():
                p.mul_(1.1)
            ema.update()

    p, q = nn.Parameter(lamina.ones(33)), nn.Parameter(lamina.ones(33))
    straight, first = optim.EMA([p], 0.9), optim.EMA([q], 0.9)
    walk(p, straight, 12), walk(q, first, 5)
    second = optim.EMA([q], 0.5)
    second.load_state_dict(first.state_dict())
    assert second.decay == 0.9
    walk(q, second, 7)
    straight.copy_to(), second.copy_to()
    np.testing.assert_array_equal(to_numpy(p), to_numpy(q))


def test_ema_checks_its_input():
    p = nn.Parameter(lamina.ones(3))
    with pytest.raises(ValueError, match="no parameters"):
        optim.EMA([])
    with pytest.raises(ValueError, match="decay"):
        optim.EMA([p], 1.5)
    with pytest.raises(TypeError, match="int64"):
        optim.EMA([lamina.arange(3)])
    ema = optim.EMA([p])
    with pytest.raises(RuntimeError, match="nothing was averaged"):
        ema.copy_to()
    ema.update()
    with pytest.raises(ValueError, match="shape"):
        ema.copy_to([lamina.ones(4)])
    with pytest.raises(ValueError, match="shapes"):
        ema.load_state_dict(optim.EMA([nn.Parameter(lamina.ones(4))]).state_dict())
    assert repr(ema) == "EMA(1 parameters, 3 numbers, decay=0.999)"
