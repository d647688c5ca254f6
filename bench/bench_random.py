"""Drawing 2 M random numbers, dropout, and the smallest draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

import lamina
from bench.harness import Case

N = 2_000_000

# name, element type, the draw (PyTorch's names are ours), the mean it must have, headline?
DRAWS: list[tuple[str, str, Callable, float, bool]] = [
    ("uniform", "float32", lambda x: x.uniform_(), 0.5, True),
    ("normal", "float32", lambda x: x.normal_(), 0.0, True),
    ("exponential", "float32", lambda x: x.exponential_(), 1.0, False),
    ("bernoulli", "float32", lambda x: x.bernoulli_(0.3), 0.3, False),
    ("uniform", "float64", lambda x: x.uniform_(), 0.5, False),
    ("normal", "float64", lambda x: x.normal_(), 0.0, False),
    ("integers", "int64", lambda x: x.random_(0, 1000), 499.5, False),
]


def check_mean(x: lamina.Tensor | torch.Tensor, mean: float) -> None:
    values = x.detach().numpy()
    assert abs(values.mean() - mean) < 5 * values.std() / np.sqrt(values.size)


def draw_cases() -> Iterator[Case]:
    for name, dtype, draw, mean, headline in DRAWS:
        x, x_t = lamina.zeros(N, dtype=getattr(lamina, dtype)), torch.zeros(N, dtype=getattr(torch, dtype))
        yield Case(
            f"{name}, {dtype}",
            lambda x=x, draw=draw: draw(x),
            {"torch": lambda x=x_t, draw=draw: draw(x)},
            lambda x=x, x_t=x_t, draw=draw, mean=mean: (check_mean(draw(x), mean), check_mean(draw(x_t), mean)),
            bytes=x.dtype.itemsize * N,
            target=1.0,
            headline=headline,
        )


def dropout_cases() -> Iterator[Case]:
    leaf, leaf_t = lamina.ones(N, requires_grad=True), torch.ones(N, requires_grad=True)
    seed, seed_t = lamina.ones(N), torch.ones(N)

    def train() -> None:
        leaf.grad = None
        lamina.dropout(leaf, 0.5).backward(seed)

    def train_t() -> None:
        leaf_t.grad = None
        torch.dropout(leaf_t, 0.5, True).backward(seed_t)

    def check() -> None:
        train(), train_t()
        check_mean(leaf.grad, 1.0), check_mean(leaf_t.grad, 1.0)

    yield Case("dropout, forward + backward", train, {"torch": train_t}, check, bytes=16 * N, target=1.0, headline=True)


def choice_cases() -> Iterator[Case]:
    weights = np.random.default_rng(0).uniform(0, 1, 1000).astype(np.float32)
    w, w_t = lamina.tensor(weights), torch.from_numpy(weights)

    def same_sets(ours: lamina.Tensor, theirs: torch.Tensor) -> None:
        np.testing.assert_array_equal(np.sort(ours.numpy()), np.sort(theirs.numpy()))

    yield Case(
        "randperm of 100 000",
        lambda: lamina.randperm(100_000),
        {"torch": lambda: torch.randperm(100_000)},
        lambda: same_sets(lamina.randperm(100_000), torch.randperm(100_000)),
        target=1.0,
    )
    yield Case(
        "multinomial, 10 000 of 1000 weights",
        lambda: lamina.multinomial(w, 10_000, True),
        {"torch": lambda: torch.multinomial(w_t, 10_000, True)},
        lambda: check_mean(
            lamina.multinomial(w, 10_000, True), float((weights * np.arange(1000)).sum() / weights.sum())
        ),
        target=1.0,
    )
    yield Case(
        "multinomial, all of 1000 without replacement",
        lambda: lamina.multinomial(w, 1000),
        {"torch": lambda: torch.multinomial(w_t, 1000)},
        lambda: same_sets(lamina.multinomial(w, 1000), torch.multinomial(w_t, 1000)),
        target=1.0,
    )


def overhead_cases() -> Iterator[Case]:
    x, x_t = lamina.zeros(4), torch.zeros(4)
    yield Case("4 uniform numbers in place", lambda: x.uniform_(), {"torch": lambda: x_t.uniform_()}, lambda: None)
    yield Case("rand(4)", lambda: lamina.rand(4), {"torch": lambda: torch.rand(4)}, lambda: None)


def cases() -> Iterator[Case]:
    yield from overhead_cases()
    yield from draw_cases()
    yield from dropout_cases()
    yield from choice_cases()
