"""Losses and row norms, forward and backward together, from the smallest batch to a vocabulary of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as TF

import lamina
from bench.harness import Case
from lamina.nn import functional as F

FLOAT_BYTES = 4
# (N, C, …): what a small network gives, digits, ImageNet, a language model's vocabulary, a segmented image
LOGITS = [(32, 4), (64, 10), (256, 1000), (64, 32000), (2, 21, 256, 256)]
PAIRS = [(32, 4), (256, 1024), (2048, 1024)]
ROWS = [(32, 64), (256, 256), (2048, 768), (64, 16384)]

Loss = Callable[..., object]


def gradient(leaf, loss):  # type: ignore[no-untyped-def]
    """Forward, backward, and the leaf's gradient, which is then forgotten."""
    leaf.grad = None
    loss().backward()
    return leaf.grad


def pair(
    name: str, ours: Loss, theirs: Loss, x: np.ndarray, rest: list[np.ndarray], passes: int, target: float
) -> Case:
    """One case: `ours` and `theirs` take the leaf x and the tensors `rest`; x is read or written `passes` times at least."""
    leaf, leaf_t = lamina.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    others, others_t = [lamina.tensor(a) for a in rest], [torch.tensor(a) for a in rest]

    def run() -> lamina.Tensor:
        return gradient(leaf, lambda: ours(leaf, *others))

    def run_t() -> torch.Tensor:
        return gradient(leaf_t, lambda: theirs(leaf_t, *others_t))

    def check() -> None:
        np.testing.assert_allclose(run().numpy(), run_t().numpy(), rtol=1e-4, atol=1e-6)

    return Case(
        f"{name}, {' × '.join(map(str, x.shape))}",
        run,
        {"torch": run_t},
        check,
        bytes=passes * FLOAT_BYTES * x.size,
        target=target,
    )


def loss_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in LOGITS:
        x = rng.standard_normal(shape).astype(np.float32)
        labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
        yield pair("cross_entropy", F.cross_entropy, TF.cross_entropy, x, [labels], 3, 1.5)
    for shape in PAIRS:
        x, y = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
        yield pair("mse_loss", F.mse_loss, TF.mse_loss, x, [y], 5, 1.5)
        yield pair(
            "binary_cross_entropy_with_logits",
            F.binary_cross_entropy_with_logits,
            TF.binary_cross_entropy_with_logits,
            x,
            [(y > 0).astype(np.float32)],
            5,
            1.5,
        )


def norm_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ROWS:
        x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
        weight, bias = (rng.standard_normal(shape[-1]).astype(np.float32) for _ in range(2))
        n = (shape[-1],)
        wl, bl = (lamina.tensor(a, requires_grad=True) for a in (weight, bias))
        wt, bt = (torch.tensor(a, requires_grad=True) for a in (weight, bias))
        leaf, leaf_t = lamina.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        seed, seed_t = lamina.tensor(dy), torch.tensor(dy)

        def run(leaf=leaf, n=n, wl=wl, bl=bl, seed=seed):  # type: ignore[no-untyped-def]
            for t in (leaf, wl, bl):
                t.grad = None
            F.layer_norm(leaf, n, wl, bl).backward(seed)
            return leaf.grad, wl.grad, bl.grad

        def run_t(leaf=leaf_t, n=n, wt=wt, bt=bt, seed=seed_t):  # type: ignore[no-untyped-def]
            for t in (leaf, wt, bt):
                t.grad = None
            TF.layer_norm(leaf, n, wt, bt).backward(seed)
            return leaf.grad, wt.grad, bt.grad

        def check(run=run, run_t=run_t) -> None:  # type: ignore[no-untyped-def]
            for a, b in zip(run(), run_t(), strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-4)

        yield Case(
            f"layer_norm, {shape[0]} × {shape[1]}",
            run,
            {"torch": run_t},
            check,
            bytes=5 * FLOAT_BYTES * x.size,
            target=2.0,
        )


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    yield from loss_cases(rng)
    yield from norm_cases(rng)
