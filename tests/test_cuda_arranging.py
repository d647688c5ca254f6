"""Running totals, gather and scatter, masks, sorting and losses on CUDA's stand-in: the same as on the CPU, values and
gradients."""

from __future__ import annotations

from typing import Any

import pytest

import lamina
from cuda_library import emulated, numbers, run, same
from lamina import Tensor, nn

F = nn.functional
pytestmark = pytest.mark.usefixtures("cuda")
TYPES = "float32 float64 float16 bfloat16 int64 int32 uint8 bool".split()


# ---- running totals ----

SHAPES = [(1,), (7,), (5, 33), (3, 300), (2, 600, 3), (70, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_running_totals(shape: tuple[int, ...]):
    for dim in range(len(shape)):
        same(lambda t, d=dim: t.cumsum(d), numbers(*shape, grad=True), rtol=1e-5, atol=1e-5)
        same(lambda t, d=dim: t.cumprod(d), numbers(*shape, grad=True, low=0.9, high=1.1), rtol=1e-5, atol=1e-5)
        same(lambda t, d=dim: t.logcumsumexp(d), numbers(*shape, grad=True), rtol=1e-5, atol=1e-5)
        for f in (lamina.cummax, lamina.cummin):
            same(lambda t, d=dim, f=f: f(t, d).values, numbers(*shape, grad=True), exact=True)
            same(lambda t, d=dim, f=f: f(t, d).indices, numbers(*shape, dtype=lamina.int32), exact=True)


def test_running_totals_of_other_types():
    for name in TYPES:
        x = numbers(4, 50, dtype=getattr(lamina, name))
        same(lambda t: t.cumsum(1), x, rtol=1e-3)
        same(lambda t: lamina.cummin(t, 1).indices, x, exact=True)
    x = lamina.tensor([[1.0, 0, 2, 0, 3], [1, 0, 2, 4, 3], [float("nan"), 1, 0, 2, 1]], requires_grad=True)
    same(lambda t: t.cumprod(1), x)
    same(lambda t: t.prod(1), x)
    same(lambda t: t.prod(0), numbers(40, 3, grad=True, low=0.9, high=1.1), rtol=1e-5)
    odd = lamina.tensor([[2.0, float("nan"), 5, float("nan")], [-float("inf"), 1, float("inf"), 3]])
    for f in (lamina.cummax, lamina.cummin):
        same(lambda t, f=f: f(t, 1).indices, odd, exact=True)
    same(lambda t: t.logcumsumexp(1), odd)


def test_long_running_totals_are_cut():
    x = numbers(2, 70_001, grad=True, low=0, high=1)
    same(lambda t: t.cumsum(1), x, rtol=1e-6)
    same(lambda t: t.cumsum(0), numbers(3, 500), rtol=1e-6)
    same(lambda t: t.to(lamina.int64).cumsum(1), x.detach() * 9, exact=True)


# ---- gather and scatter ----


@pytest.mark.parametrize("shape", [(9,), (7, 11), (3, 8, 5)])
@pytest.mark.parametrize("index_type", ["int64", "int32"])
def test_gather_and_scatter(shape: tuple[int, ...], index_type: str):
    for dim in range(len(shape)):
        x = numbers(*shape, grad=True)
        length = 13
        wide = (*shape[:dim], length, *shape[dim + 1 :])
        i = lamina.randint(0, shape[dim], wide).to(getattr(lamina, index_type))
        source = numbers(*wide, grad=True)
        same(lambda t, d=dim, i=i: t.gather(d, i.to(t.device)), x, exact=True)
        same(lambda t, s, d=dim, i=i: t.scatter_add(d, i.to(t.device), s), x, source, exact=True)
        same(lambda t, s, d=dim, i=i: t.scatter(d, i.to(t.device), s), x.detach(), source.detach(), exact=True)
        for how in ("sum", "prod", "amax", "amin", "mean"):
            same(
                lambda t, s, d=dim, i=i, how=how: t.scatter_reduce(d, i.to(t.device), s, how),
                x.detach(),
                source.detach(),
                rtol=1e-5,
            )
    same(lambda t: t.T.gather(0, lamina.tensor([[2, 0], [1, 1]]).to(t.device)), numbers(4, 3), exact=True)


def test_scatter_of_every_type_and_of_few_long_lines():
    i = lamina.randint(0, 6, (500,))
    for name in TYPES:
        t, s = numbers(6, dtype=getattr(lamina, name)), numbers(500, dtype=getattr(lamina, name))
        same(lambda a, b: a.scatter(0, i.to(a.device), b), t, s, exact=True)
        same(lambda a, b: a.scatter_add(0, i.to(a.device), b), t, s, exact=True)
        same(lambda a: a.gather(0, i.to(a.device)), t, exact=True)
    with pytest.raises(IndexError, match="scatter_add|out of range"):
        lamina.zeros(3, device="cuda").scatter_add(0, lamina.tensor([3], device="cuda"), lamina.ones(1, device="cuda"))
    with pytest.raises(IndexError, match="gather|out of range"):
        lamina.zeros(3, device="cuda").gather(0, lamina.tensor([-4], device="cuda"))


# ---- masks ----


@pytest.mark.parametrize("shape", [(0,), (1,), (300,), (17, 33), (40_000,), (2, 3, 4, 5)])
def test_masks(shape: tuple[int, ...]):
    x = numbers(*shape, grad=True)
    m = lamina.rand(*shape) < 0.3
    same(lambda t: t[m.to(t.device)], x, exact=True)
    same(lambda t: lamina.nonzero(m.to(t.device)), x.detach(), exact=True)
    same(lambda t: lamina.masked_select(t, m.to(t.device)), x, exact=True)

    def put(t: Tensor) -> Tensor:
        y = t.detach().clone()
        y[m.to(t.device)] = 7.0
        chosen = y[~m.to(t.device)]
        y[~m.to(t.device)] = chosen * 2
        return y

    same(put, x, exact=True)
    assert lamina.nonzero(lamina.ones(0, 3, device="cuda")).shape == (0, 2)


def test_counting_and_repeating():
    i = lamina.randint(0, 7, (900,))
    same(lambda t: lamina.bincount(t), i, exact=True)
    same(lambda t: F.one_hot(t, 7), i, exact=True)
    repeats = lamina.randint(0, 4, (300,))
    same(lambda t: t.repeat_interleave(repeats.to(t.device)), lamina.arange(300), exact=True)
    with pytest.raises((ValueError, IndexError)):
        F.one_hot(lamina.tensor([1, 7], device="cuda"), 7)


# ---- sorting ----


@pytest.mark.parametrize("length", [1, 2, 3, 31, 256, 1000, 1025, 5000])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(length: int, descending: bool):
    x = lamina.randint(-20, 20, (3, length)).float()
    same(lambda t: lamina.sort(t, 1, descending).values, x, exact=True)
    same(lambda t: lamina.sort(t, 1, descending).indices, x, exact=True)
    same(lambda t: lamina.argsort(t.T, 0, descending), x, exact=True)
    for k in {1, min(5, length), length}:
        same(lambda t, k=k: lamina.topk(t, k, largest=descending).indices, x, exact=True)
    same(lambda t: lamina.kthvalue(t, (length + 1) // 2).values, x, exact=True)
    same(lambda t: lamina.median(t, 1).values, x, exact=True)


def test_sort_of_every_type_and_its_gradient():
    for name in TYPES:
        x = numbers(2, 1500, dtype=getattr(lamina, name))
        same(lambda t: lamina.sort(t).indices, x, exact=True)
        same(lambda t: lamina.topk(t, 7).values, x, exact=True)
    x = numbers(5, 60, grad=True)
    same(lambda t: lamina.sort(t, 0).values, x, exact=True)
    same(lambda t: lamina.topk(t, 3).values, x, exact=True)
    odd = lamina.tensor([0.0, float("nan"), -0.0, float("inf"), -float("inf"), float("nan"), 1])
    same(lambda t: lamina.sort(t).indices, odd, exact=True)
    same(lambda t: lamina.sort(t, descending=True).indices, odd, exact=True)


def test_unique_and_search():
    x = lamina.randint(-5, 30, (700,))
    same(lambda t: lamina.unique(t), x, exact=True)
    for part in range(3):
        same(lambda t, p=part: lamina.unique(t, return_inverse=True, return_counts=True)[p], x, exact=True)
    rows = lamina.sort(numbers(3, 80)).values
    for right in (False, True):
        same(lambda t, v, r=right: lamina.searchsorted(t, v, right=r), rows, numbers(3, 9), exact=True)


# ---- losses ----

POSITIVE = {"low": 0.05, "high": 0.95}
LOSSES: dict[str, tuple[dict[str, float], dict[str, float], dict[str, Any]]] = {
    "mse_loss": ({}, {}, {}),
    "l1_loss": ({}, {}, {}),
    "smooth_l1_loss": ({}, {}, {"beta": 0.7}),
    "huber_loss": ({}, {}, {"delta": 0.7}),
    "binary_cross_entropy": (POSITIVE, POSITIVE, {}),
    "binary_cross_entropy_with_logits": ({}, POSITIVE, {}),
    "kl_div": ({}, POSITIVE, {}),
    "poisson_nll_loss": ({}, {"low": 0, "high": 5}, {"full": True}),
    "soft_margin_loss": ({}, {}, {}),
    "hinge_embedding_loss": ({}, {}, {}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str):
    first, second, options = LOSSES[name]
    f = getattr(F, name)
    for shape in ((1,), (5, 33), (5000,)):
        x, y = numbers(*shape, grad=True, **first), numbers(*shape, **second)
        if "margin" in name or "hinge" in name:
            y = (y > 0).float() * 2 - 1
        for reduction in ("mean", "sum", "none"):
            same(lambda a, b, r=reduction: f(a, b, reduction=r, **options), x, y, rtol=1e-5, atol=1e-6)
    same(lambda a, b: f(a, b, **options), x.detach().double().requires_grad_(), y.double(), rtol=1e-12)
    same(lambda a, b: f(a, b, **options), x.detach().bfloat16(), y.bfloat16(), rtol=1e-2)


def test_losses_of_three():
    x, y, v = numbers(300, grad=True), numbers(300, grad=True), numbers(300, grad=True, low=0.1, high=2)
    same(lambda a, b, c: F.gaussian_nll_loss(a, b, c), x, y, v, rtol=1e-5, atol=1e-6)
    sign = (numbers(300) > 0).float() * 2 - 1
    same(lambda a, b: F.margin_ranking_loss(a, b, sign.to(a.device), margin=0.3), x, y, rtol=1e-5)
    weight = lamina.rand(3)
    same(
        lambda a, b: F.binary_cross_entropy_with_logits(a, b, pos_weight=weight.to(a.device)),
        numbers(50, 3, grad=True),
        numbers(50, 3, **POSITIVE),
        rtol=1e-5,
    )


def test_a_probability_that_is_none():
    x = lamina.full((3000,), 0.5)
    x[2345] = 1.5
    with pytest.raises(ValueError, match="2345"):
        F.binary_cross_entropy(x.cuda(), lamina.zeros(3000, device="cuda"))


@pytest.mark.parametrize("order", ["1", "2"])
def test_another_order_of_threads_gives_the_same_bits(order: str):
    code = """
import lamina
lamina.manual_seed(5)
x = lamina.randn(3, 1300)
i = lamina.randint(0, 40, (3, 1300))
c = x.cuda()
parts = [c.cumsum(1), c.cumprod(0), c.logcumsumexp(1), lamina.cummax(c, 1).indices, c[c > 0], lamina.sort(c).indices,
         lamina.zeros(3, 40).cuda().scatter_add(1, i.cuda(), c), lamina.nn.functional.mse_loss(c, c * c), lamina.bincount(i.cuda()[0])]
print([hash(tuple(p.cpu().reshape(-1).tolist())) for p in parts])
"""
    first, other = (run(code, emulated(), LAMINA_EMULATE_ORDER=o) for o in ("0", order))
    assert first.returncode == 0 and other.returncode == 0, first.stderr + other.stderr
    assert first.stdout == other.stdout
