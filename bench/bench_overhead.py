"""What a call costs when there is nearly nothing to compute: small operations from Python, recorded and not, backward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import lamina
from bench.harness import Case, optional

jax = optional("jax")
CHAIN = 200  # nodes of the graph whose backward is timed
RNG = np.random.default_rng(0)

Call = Callable[..., Any]
# name, the call with (module of functions, x, w, b), NumPy's, headline?
SMALL: list[tuple[str, Call, Call | None, bool]] = [
    ("x + y", lambda m, x, w, b: x + x, lambda m, x, w, b: x + x, True),
    ("x * 2", lambda m, x, w, b: x * 2, lambda m, x, w, b: x * np.float32(2), False),
    ("exp(x)", lambda m, x, w, b: m.exp(x), lambda m, x, w, b: np.exp(x), False),
    ("relu(x)", lambda m, x, w, b: m.relu(x), lambda m, x, w, b: np.maximum(x, np.float32(0)), False),
    ("x.sum()", lambda m, x, w, b: x.sum(), lambda m, x, w, b: x.sum(), False),
    ("x.mean(0)", lambda m, x, w, b: x.mean(0), lambda m, x, w, b: x.mean(0), False),
    ("softmax(x, -1)", lambda m, x, w, b: m.softmax(x, -1), None, False),
    ("x @ w", lambda m, x, w, b: x @ w, lambda m, x, w, b: x @ w, True),
    ("linear(x, w, b)", lambda m, x, w, b: m.linear(x, w, b), lambda m, x, w, b: x @ w.T + b, True),
]


class Torch:
    """PyTorch's functions under the names above."""

    exp, relu, softmax, linear = torch.exp, torch.relu, torch.softmax, F.linear


def bound(call: Call, m: object, x: object, w: object, b: object) -> Callable[[], object]:
    """The same wrapping for everybody: it is a good part of what is measured."""
    return lambda: call(m, x, w, b)


def agree(ours: Call, theirs: Call) -> Callable[[], None]:
    def check() -> None:
        np.testing.assert_allclose(ours().detach().numpy(), theirs().detach().numpy(), rtol=1e-4, atol=1e-5)

    return check


def small_cases() -> Iterator[Case]:
    x, w, b = (RNG.standard_normal(shape).astype(np.float32) for shape in ((4, 4), (4, 4), (4,)))
    for name, call, with_numpy, headline in SMALL:
        for recorded in (False, True):
            ours = [lamina.tensor(v, requires_grad=recorded) for v in (x, w, b)]
            theirs = [torch.tensor(v, requires_grad=recorded) for v in (x, w, b)]

            run, run_torch = bound(call, lamina, *ours), bound(call, Torch, *theirs)
            peers = {"torch": run_torch}
            if not recorded and with_numpy:
                peers["numpy"] = bound(with_numpy, np, x, w, b)
            if not recorded and jax and name in ("x + y", "x @ w"):
                peers["jax"] = bound(call, jax.numpy, *(jax.numpy.asarray(v) for v in (x, w, b)))
            yield Case(
                f"{name}, 4 × 4" + (", recorded" if recorded else ""),
                run,
                peers,
                agree(run, run_torch),
                seconds_target=1e-6 if recorded else 0.6e-6,
                headline=headline,
            )


def backward_seconds_per_node(leaf: lamina.Tensor | torch.Tensor) -> float:
    y = leaf
    for _ in range(CHAIN):
        y = y + leaf
    seed = y.detach()
    leaf.grad = None
    start = time.perf_counter()
    y.backward(seed)
    return (time.perf_counter() - start) / CHAIN


def backward_case() -> Case:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    leaf, leaf_t = lamina.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)

    def check() -> None:
        backward_seconds_per_node(leaf), backward_seconds_per_node(leaf_t)
        np.testing.assert_allclose(leaf.grad.numpy(), leaf_t.grad.numpy())

    return Case(
        "backward of +, 4 × 4, one node",
        lambda: backward_seconds_per_node(leaf),
        {"torch": lambda: backward_seconds_per_node(leaf_t)},
        check,
        self_timed=True,
        headline=True,
        rounds=101,
        seconds_target=0.5e-6,
    )


def cases() -> Iterator[Case]:
    if not jax:
        print("jax is not installed: its column is left out")
    yield from small_cases()
    yield backward_case()
