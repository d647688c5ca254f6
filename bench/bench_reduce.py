"""Reductions, softmax and sorting on 2 M elements and on few: along rows, along columns, over everything."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch

import lamina
from bench.harness import Case

N = 2_000_000
FLOAT_BYTES = 4
SHAPES = [(N // 1000, 1000), (N // 10, 10), (20, N // 20), (2, N // 2)]
SORTED = 1_000_000


def close(ours: lamina.Tensor, theirs: torch.Tensor, rtol: float = 2e-5, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


def pair(values: np.ndarray, grad: bool = False) -> tuple[lamina.Tensor, torch.Tensor]:
    """The same numbers for both."""
    return lamina.tensor(values, requires_grad=grad), torch.tensor(values, requires_grad=grad)


def fold_cases(rng: np.random.Generator) -> Iterator[Case]:
    functions: list[tuple[str, Callable[..., object], Callable[..., object]]] = [
        ("sum", lamina.sum, torch.sum),
        ("mean", lamina.mean, torch.mean),
        ("amax", lamina.amax, torch.amax),
        ("argmax", lamina.argmax, torch.argmax),
        ("max", lambda t, d: t.max(d).values, lambda t, d: t.max(d).values),
        ("prod", lamina.prod, torch.prod),
        ("logsumexp", lamina.logsumexp, torch.logsumexp),
        ("var", lamina.var, torch.var),
        ("norm", lambda t, d: lamina.norm(t, 2, d), lambda t, d: torch.norm(t, 2, d)),
        ("cumsum", lamina.cumsum, torch.cumsum),
    ]
    for shape in [*SHAPES, (32, 64)]:
        x, x_t = pair(rng.uniform(0.5, 1.5, shape).astype(np.float32))
        for name, f, g in functions:
            for dim in (1, 0):
                yield Case(
                    f"{name} of {shape[0]} × {shape[1]}, dim {dim}",
                    lambda f=f, x=x, dim=dim: f(x, dim),
                    {"torch": lambda g=g, x=x_t, dim=dim: g(x, dim)},
                    lambda f=f, g=g, x=x, x_t=x_t, dim=dim: close(f(x, dim), g(x_t, dim), rtol=2e-4),
                    bytes=(2 if name == "cumsum" else 1) * FLOAT_BYTES * x.numel(),
                    target=1.0,
                    headline=name == "sum" and shape == SHAPES[0],
                )
    x, x_t = pair(rng.uniform(0.5, 1.5, N).astype(np.float32))
    for name in ("sum", "mean", "max", "var", "argmax", "prod"):
        f, g = getattr(lamina, name), getattr(torch, name)
        yield Case(
            f"{name} of all",
            lambda f=f: f(x),
            {"torch": lambda g=g: g(x_t)},
            lambda f=f, g=g: close(f(x), g(x_t), rtol=1e-3),
            bytes=FLOAT_BYTES * N,
            target=1.0,
        )


def softmax_cases(rng: np.random.Generator) -> Iterator[Case]:
    for length, dim in itertools.product((10, 100, 1000, 100_000), (1, 0)):
        shape = (N // length, length)
        values = rng.normal(0, 3, shape).astype(np.float32)
        seed, seed_t = pair(rng.normal(0, 1, shape).astype(np.float32))
        for name in ("softmax", "log_softmax"):
            x, x_t = pair(values, grad=True)

            def train(x=x, name=name, dim=dim, seed=seed) -> None:
                x.grad = None
                getattr(x, name)(dim).backward(seed)

            def train_t(x=x_t, name=name, dim=dim, seed=seed_t) -> None:
                x.grad = None
                getattr(x, name)(dim).backward(seed)

            # In float64: PyTorch adds up a column of 200 000 one after the other, and loses four digits.
            def check(train=train, x=x, x_t=x_t, name=name, dim=dim, seed=seed_t) -> None:
                train()
                exact = x_t.detach().double().requires_grad_()
                getattr(exact, name)(dim).backward(seed.double())
                close(x.grad, exact.grad)

            plain, plain_t = x.detach(), x_t.detach()
            what = f"{name} of {shape[0]} × {shape[1]}, dim {dim}"
            yield Case(
                f"{what}, forward",
                lambda x=plain, name=name, dim=dim: getattr(x, name)(dim),
                {"torch": lambda x=plain_t, name=name, dim=dim: getattr(x, name)(dim)},
                lambda a=plain, b=plain_t, name=name, dim=dim: close(
                    getattr(a, name)(dim), getattr(b.double(), name)(dim)
                ),
                bytes=2 * FLOAT_BYTES * N,
                target=1.0,
            )
            yield Case(
                f"{what}, forward + backward",
                train,
                {"torch": train_t},
                check,
                bytes=5 * FLOAT_BYTES * N,  # x, y; y, dy, dx
                target=1.0,
                headline=(length, dim) == (1000, 1),
            )


def sort_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((SORTED,), (1000, SORTED // 1000)):
        x, x_t = pair(rng.standard_normal(shape).astype(np.float32))
        what = " × ".join(map(str, shape))
        calls: list[tuple[str, Callable[..., lamina.Tensor], Callable[..., torch.Tensor]]] = [
            ("sort", lambda t: t.sort().values, lambda t: t.sort().values),
            ("topk 10", lambda t: t.topk(10).values, lambda t: t.topk(10).values),
            ("topk 100", lambda t: t.topk(100).values, lambda t: t.topk(100).values),
            ("median", lambda t: t.median(-1).values, lambda t: t.median(-1).values),
            ("unique", lambda t: t.unique(), lambda t: t.unique()),
        ]
        for name, f, g in calls:
            yield Case(
                f"{name} of {what}",
                lambda f=f, x=x: f(x),
                {"torch": lambda g=g, x=x_t: g(x)},
                lambda f=f, g=g, x=x, x_t=x_t: close(f(x), g(x_t), rtol=0, atol=0),
                target=1.0,
                headline=name in ("sort", "topk 10"),
                rounds=7,
            )


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    yield from softmax_cases(rng)
    yield from fold_cases(rng)
    yield from sort_cases(rng)
