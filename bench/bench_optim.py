"""A step of Adam, AdamW and SGD on 5 M parameters in 20 tensors, and what it costs from Python on ten tiny ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import lamina
from bench.harness import Case
from lamina import nn, optim

TENSORS, SIZE = 20, 250_000
# rule, options, numbers read and written a parameter
RULES: list[tuple[str, dict[str, Any], int]] = [
    ("Adam", {}, 7),
    ("AdamW", {}, 7),
    ("SGD", {"momentum": 0.9}, 5),
]
WAYS = {"torch fused": {"fused": True}, "torch foreach": {"foreach": True}, "torch": {}}


def ours(rule: str, options: dict[str, Any], values: list[np.ndarray]) -> tuple[Any, list[Any]]:
    params = [nn.Parameter(lamina.tensor(v)) for v in values]
    optimizer = getattr(optim, rule)(params, **options)
    sum((p * 0.5).sum() for p in params).backward()
    return optimizer, params


def theirs(rule: str, options: dict[str, Any], values: list[np.ndarray]) -> tuple[Any, list[Any]]:
    params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    for p in params:
        p.grad = torch.full_like(p, 0.5)
    return getattr(torch.optim, rule)(params, **options), params


def check(rule: str, options: dict[str, Any], values: list[np.ndarray]) -> None:
    (a, p), (b, q) = ours(rule, options, values), theirs(rule, options, values)
    for _ in range(3):
        a.step(), b.step()
    np.testing.assert_allclose(p[-1].detach().numpy(), q[-1].detach().numpy(), rtol=1e-4, atol=1e-6)


def step_cases() -> Iterator[Case]:
    values = [np.random.default_rng(i).standard_normal(SIZE).astype(np.float32) for i in range(TENSORS)]
    for rule, options, traffic in RULES:
        yield Case(
            f"{rule}, 5 M parameters in {TENSORS} tensors",
            ours(rule, options, values)[0].step,
            {name: theirs(rule, options | way, values)[0].step for name, way in WAYS.items()},
            lambda rule=rule, options=options: check(rule, options, [v[:1000] for v in values]),
            bytes=4.0 * traffic * TENSORS * SIZE,
            target=1.2 if rule == "Adam" else 1.0,
            headline=rule == "Adam",
        )


def small_cases() -> Iterator[Case]:
    values = [np.ones(8, np.float32)] * 10
    for rule, options, _ in RULES:
        yield Case(
            f"{rule}, 10 tensors of 8",
            ours(rule, options, values)[0].step,
            {name: theirs(rule, options | way, values)[0].step for name, way in WAYS.items()},
            lambda rule=rule, options=options: check(rule, options, values),
            target=5.0,
        )


def clip_cases() -> Iterator[Case]:
    values = [np.random.default_rng(i).standard_normal(SIZE).astype(np.float32) for i in range(TENSORS)]
    (_, p), (_, q) = ours("SGD", {}, values), theirs("SGD", {}, values)
    clip, clip_t = nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_norm_
    yield Case(
        "clip_grad_norm_, 5 M gradients",
        lambda: clip(p, 1e9),
        {"torch": lambda: clip_t(q, 1e9), "torch foreach": lambda: clip_t(q, 1e9, foreach=True)},
        lambda: np.testing.assert_allclose(float(clip(p, 1e9)), float(clip_t(q, 1e9)), rtol=1e-5),
        target=1.0,
    )


def cases() -> Iterator[Case]:
    yield from small_cases()
    yield from step_cases()
    yield from clip_cases()
