"""CUDA's kernels and everything around them, run on the CPU: compiled by g++, thread by thread, over memory that dies when
the host touches it. The CPU's own kernels are the reference; both are tested against PyTorch and float64 elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import emulated, numbers, run, same
from lamina import Tensor, nn

F = nn.functional
pytestmark = pytest.mark.usefixtures("cuda")

UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh tanh sigmoid erf erfc "
    "neg abs sign square floor ceil round trunc relu isnan isinf isfinite signbit logical_not"
).split()
ACTIVATIONS = "relu6 leaky_relu elu celu selu gelu silu mish softplus softsign logsigmoid tanhshrink hardtanh hardsigmoid hardswish hardshrink softshrink".split()
BINARY = "add sub mul div pow maximum minimum atan2 hypot floor_divide remainder fmod eq ne lt le gt ge logical_and logical_or logical_xor".split()


# ---- copies ----


@pytest.mark.parametrize("dtype", "float32 float64 float16 bfloat16 int64 int32 uint8 bool".split())
def test_there_and_back(dtype: str):
    for shape in ((), (0,), (1,), (3, 5), (1000, 7)):
        x = numbers(*shape, dtype=getattr(lamina, dtype))
        y = x.cuda()
        assert y.is_cuda and str(y.device) == "cuda:0" and y.shape == x.shape
        assert y.cpu().tolist() == x.tolist() and y.tolist() == x.tolist()
    x = numbers(6, 7, dtype=getattr(lamina, dtype))
    assert x.T.cuda().tolist() == x.T.tolist()
    assert x.cuda().T[1:, ::2].cpu().tolist() == x.T[1:, ::2].tolist()
    z = lamina.zeros(6, 7, dtype=x.dtype, device="cuda")
    z[1:5, 2:] = x[1:5, 2:]  # from the host into a part
    assert z[1:5, 2:].tolist() == x[1:5, 2:].tolist() and not z[0].any().item()


@pytest.mark.parametrize("source", "float32 float64 float16 bfloat16 int64 int32 uint8 bool".split())
def test_conversions(source: str):
    x = numbers(7, 9, dtype=getattr(lamina, source), low=0)
    for name in "float32 float64 float16 bfloat16 int64 int32 uint8 bool".split():
        to = getattr(lamina, name)
        same(lambda t, to=to: t.to(to), x, exact=True)
        same(lambda t, to=to: t.T.to(to), x, exact=True)


def test_gradients_cross_devices():
    x = lamina.ones(3, requires_grad=True)
    (x.cuda() * 2).cpu().sum().backward()
    assert x.grad is not None and x.grad.device.type == "cpu" and x.grad.tolist() == [2, 2, 2]


def test_gradients_of_parts():
    x = numbers(6, 5, grad=True)
    same(lambda x: x.chunk(3)[1], x)
    same(lambda x: lamina.split(x, 2, 1)[2] * x.unbind(1)[0].reshape(6, 1), x)


def test_making_tensors():
    assert lamina.arange(5, device="cuda").tolist() == [0, 1, 2, 3, 4]
    assert lamina.full((2, 2), 7, device="cuda").tolist() == [[7, 7], [7, 7]]
    assert lamina.tensor([1.5, 2], device="cuda").tolist() == [1.5, 2]
    x = lamina.ones(2, device="cuda")
    assert x.sum().item() == 2 and "cuda:0" in repr(x)
    with pytest.raises(TypeError, match=r"use cpu\(\)"):
        np.asarray(x)


# ---- element-wise ----


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str):
    low = 0.05 if name.startswith(("log", "sqrt", "rsqrt", "reciprocal")) and name != "logical_not" else -0.9
    f = getattr(lamina, name)
    for shape in ((0,), (1,), (5,), (1027,), (3, 70)):
        same(f, numbers(*shape, grad=True, low=low, high=0.9))
    same(lambda t: f(t.T), numbers(9, 33, grad=True, low=low, high=0.9))
    same(f, numbers(33, dtype=lamina.float64, grad=True, low=low, high=0.9), rtol=1e-14, atol=1e-14)
    same(f, numbers(40, dtype=lamina.bfloat16, low=low, high=0.9))
    same(f, numbers(41, dtype=lamina.int64))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str):
    same(getattr(F, name), numbers(301, grad=True))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str):
    f = getattr(lamina, name)
    a, b = numbers(5, 33, grad=True, low=0.3), numbers(5, 33, grad=True, low=0.3)
    same(f, a, b)
    same(f, a, numbers(33, grad=True, low=0.3))
    same(f, numbers(5, 1, grad=True, low=0.3), numbers(1, 33, low=0.3))
    same(lambda t: f(t, 2.0), a)
    same(lambda t: f(t[::2, 1:], t[:3, :-1]), a)
    same(f, numbers(33, dtype=lamina.float64), numbers(33, dtype=lamina.float64), rtol=1e-14, atol=1e-14)
    same(f, numbers(70, dtype=lamina.bfloat16, low=0.3), numbers(70, dtype=lamina.bfloat16, low=0.3))
    same(f, numbers(1001, dtype=lamina.int32), numbers(1001, dtype=lamina.int32))


def test_mixed_types_and_numbers():
    same(lambda a, b: a * b, numbers(9, 7), numbers(9, 7, dtype=lamina.bool))
    same(lambda a, b: a + b, numbers(9, 7, dtype=lamina.int64), numbers(7))
    same(lambda a, b: a + b, numbers(9, 7, dtype=lamina.bfloat16), numbers(7))
    same(lambda a, b: lamina.where(a > 0, a, b), numbers(9, 7, grad=True), numbers(7, grad=True))
    same(lambda a: lamina.where(a > 0, a, 0.0), numbers(9, 7, grad=True))
    same(lambda a: a.clamp(-1, 1), numbers(50, grad=True))
    x = numbers(4).cuda()
    assert (x + lamina.tensor(2.0)).cpu().tolist() == (x.cpu() + 2).tolist()  # a number of the other device
    x *= 3
    x[1] = 7
    assert x[1].item() == 7


# ---- reductions ----


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "prod", "any", "all", "count_nonzero", "var", "std"])
def test_reductions(name: str):
    f = getattr(lamina, name)
    exactly = name in ("amax", "amin", "any", "all", "count_nonzero")
    for shape in ((7,), (5, 33), (3, 4, 35), (2, 3000), (3000, 40)):
        x = numbers(*shape, low=0.9, high=1.1)
        same(f, x, exact=exactly, rtol=1e-5)
        if name != "prod" or len(shape) == 1:
            for dim in range(len(shape)):
                same(lambda t, d=dim: f(t, d), x, exact=exactly, rtol=1e-5)
    if not exactly and name != "prod":
        same(lambda t: f(t, 1), numbers(5, 33, grad=True), rtol=1e-5, atol=1e-5)
        same(lambda t: f(t.T, 1), numbers(5, 33, grad=True), rtol=1e-5, atol=1e-5)


def test_long_reductions_are_cut_in_pieces():
    x = numbers(200_003)
    same(lambda t: t.sum(), x, rtol=1e-5)
    same(lambda t: t.max(), x, exact=True)
    same(lambda t: t.argmin(), x, exact=True)
    same(lambda t: t.sum(0), numbers(5000, 33), rtol=1e-5, atol=1e-4)
    same(lambda t: t.logsumexp(0), numbers(70_000), rtol=1e-5)
    same(lambda t: t.var(), numbers(70_000), rtol=1e-5)


def test_extremes_and_their_places():
    x = numbers(6, 50)
    x[2, 7] = float("nan")
    x[3, 5] = x[3, 9] = 9.0
    for f in (lamina.max, lamina.min):
        same(lambda t, f=f: f(t, 1).values, x, exact=True)
        same(lambda t, f=f: f(t, 1).indices, x, exact=True)
        same(lambda t, f=f: f(t, 0).indices, x, exact=True)
    same(lambda t: lamina.max(t, 1).values, numbers(6, 50, grad=True), exact=True)


@pytest.mark.parametrize("shape", [(7, 10), (3, 2000), (4, 1), (2, 9, 5)])
def test_softmax(shape: tuple[int, ...]):
    for f in (F.softmax, F.log_softmax):
        same(lambda t, f=f: f(t, 1), numbers(*shape, grad=True), rtol=1e-5)
        same(lambda t, f=f: f(t, 0), numbers(*shape, grad=True), rtol=1e-5)


# ---- cross-entropy ----


@pytest.mark.parametrize("shape", [(7, 10), (3, 2000), (2, 9, 5)])
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"reduction": "none"}, {"reduction": "sum", "ignore_index": 1}]
)
def test_cross_entropy(shape: tuple[int, ...], options: dict[str, Any]):
    labels = lamina.randint(0, shape[1], (shape[0], *shape[2:]))
    weight = lamina.rand(shape[1])
    x = numbers(*shape, grad=True)
    same(lambda t: F.cross_entropy(t, labels.to(t.device), **options), x, rtol=1e-5)
    same(lambda t: F.cross_entropy(t, labels.to(t.device), weight.to(t.device), **options), x, rtol=1e-5)
    if "ignore_index" not in options:
        shares = F.softmax(lamina.randn(*shape), 1)
        same(lambda t: F.cross_entropy(t, shares.to(t.device), **options), x, rtol=1e-5)
    same(lambda t: F.nll_loss(F.log_softmax(t, 1), labels.to(t.device)), x, rtol=1e-5)


def test_a_label_that_is_no_class():
    with pytest.raises(IndexError, match="label 7 at .1,. of the target is no class"):
        F.cross_entropy(lamina.ones(2, 3, device="cuda"), lamina.tensor([0, 7], device="cuda"))


# ---- indexing ----


def test_indexing():
    x = numbers(11, 6, grad=True)
    i, j = lamina.tensor([0, 3, -1, 3]), lamina.tensor([5, 0, 2, 2])
    same(lambda t: t[i.to(t.device)], x)
    same(lambda t: t[i.to(t.device), j.to(t.device)], x)
    same(lambda t: t[:, j.to(t.device)], x)
    same(lambda t: t.index_select(1, j.to(t.device)), x)
    same(lambda t, k: F.embedding(k, t), numbers(9, 40, grad=True), lamina.randint(0, 9, (70, 7)))

    def put(t: Tensor) -> Tensor:
        y = t.detach().clone()
        y[i.to(t.device)] = lamina.arange(24.0).reshape(4, 6).to(t.device)  # row 3 twice: the later one stays
        return y

    same(put, x, exact=True)


def test_an_index_out_of_range_is_told_and_harms_nobody():
    x = lamina.ones(4, 3, device="cuda")
    with pytest.raises(IndexError, match="index 9 is out of range for dimension 0 of size 4"):
        x[lamina.tensor([1, 9], device="cuda")]
    assert x.sum().item() == 12


# ---- random numbers ----


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_same_random_numbers(dtype: str):
    def draw(device: str) -> list[Tensor]:
        g = lamina.Generator(device=device).manual_seed(17)
        x = lamina.empty(1003, dtype=getattr(lamina, dtype), device=device)
        drawn = [x.clone().uniform_(-1, 2, generator=g), x.clone().normal_(1, 3, generator=g)]
        drawn += [x.clone().exponential_(2, generator=g), x.clone().bernoulli_(0.3, generator=g)]
        drawn += [lamina.empty(77, dtype=lamina.int64, device=device).random_(-5, 1000, generator=g)]
        drawn += [lamina.empty(77, dtype=lamina.int64, device=device).random_(0, 1 << 40, generator=g)]
        drawn += [lamina.randperm(100, generator=g, device=device)]
        return drawn

    for a, b in zip(draw("cpu"), draw("cuda"), strict=True):
        assert b.is_cuda and a.tolist() == b.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_dropout(dtype: str):
    def f(t: Tensor) -> Tensor:
        lamina.manual_seed(3)
        return F.dropout(t, 0.4)

    same(f, numbers(5, 301, dtype=getattr(lamina, dtype), grad=dtype != "bfloat16"), exact=True)


# ---- optimisers ----


@pytest.mark.parametrize("name", "SGD Adagrad RMSprop Adam AdamW Adadelta Adamax NAdam RAdam".split())
def test_optimisers(name: str):
    def train(device: str) -> list[Tensor]:
        lamina.manual_seed(0)
        w = [lamina.randn(7, 5), lamina.randn(33)]
        params = [nn.Parameter(t.to(device)) for t in w]
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(lamina.optim, name)(params, lr=0.01, **options)
        for _ in range(3):
            optimizer.zero_grad()
            loss = sum((p * p * 0.5 + p).sum() for p in params)
            loss.backward()
            nn.utils.clip_grad_norm_(params, 2.0)
            optimizer.step()
        return params

    for a, b in zip(train("cpu"), train("cuda"), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().cpu().numpy(), rtol=1e-5, atol=1e-6)


# ---- products and convolutions, in a network that learns ----


def test_products():
    same(lambda a, b: a @ b, numbers(33, 70, grad=True), numbers(70, 17, grad=True), rtol=1e-5, atol=1e-5)
    same(lambda a, b: a @ b.T, numbers(3, 33, 20, grad=True), numbers(17, 20, grad=True), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("captured", [False, True])
def test_a_network_learns_the_same(captured: bool):
    def train(device: str) -> list[float]:
        lamina.manual_seed(1)
        model = nn.Sequential(nn.Linear(12, 33), nn.Tanh(), nn.Linear(33, 5)).to(device)
        optimizer = lamina.optim.Adam(model.parameters(), lr=0.01)
        x, y = lamina.randn(40, 12).to(device), lamina.randint(0, 5, (40,)).to(device)

        def step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = lamina.capture(step) if captured else step
        return [run(x, y).item() for _ in range(8)]

    ours, expected = train("cuda"), train("cpu")
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


# ---- capture ----


def test_a_captured_step_is_replayed():
    x = lamina.ones(5, device="cuda")

    @lamina.capture
    def step(a: Tensor) -> Tensor:
        return (a * 2 + x).sum()

    for i in range(4):
        assert step(lamina.full((5,), float(i), device="cuda")).item() == 5 * (2 * i + 1)


# ---- what is refused ----


def test_mixed_devices():
    a, b = lamina.ones(3, device="cuda"), lamina.ones(3)
    for f in (lambda: a + b, lambda: b * a, lambda: a.add_(b)):
        with pytest.raises(ValueError, match="on different devices: "):
            f()


def test_memory_is_counted_and_runs_out():
    lamina.cuda.empty_cache()
    before = lamina.cuda.memory_stats()
    x = lamina.empty(1 << 20, device="cuda")
    after = lamina.cuda.memory_stats()
    assert after["allocated"] - before["allocated"] == 4 << 20
    del x
    with pytest.raises(MemoryError, match="out of memory: cannot allocate 1099511627776 bytes on cuda:0"):
        lamina.empty(1 << 38, device="cuda")
    lamina.cuda.synchronize()


@pytest.mark.parametrize("order", ["1", "2"])
def test_another_order_of_threads_gives_the_same_bits(order: str):
    code = """
import lamina
lamina.manual_seed(5)
x = lamina.randn(300, 70)
i = lamina.randint(0, 300, (400,))
c = x.cuda()
parts = [c.sum(), c.sum(0), c.var(1), c.max(0).indices, c[i.cuda()], lamina.zeros(300, 70).cuda().index_add_(0, i.cuda(), c[i.cuda()])]
parts.append(lamina.linalg_norm(c) if hasattr(lamina, "linalg_norm") else c.norm())
print([hash(tuple(p.cpu().reshape(-1).tolist())) for p in parts])
"""
    first, other = (run(code, emulated(), LAMINA_EMULATE_ORDER=o) for o in ("0", order))
    assert first.returncode == 0 and other.returncode == 0, first.stderr + other.stderr
    assert first.stdout == other.stdout
