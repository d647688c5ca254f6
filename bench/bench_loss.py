"""Losses and row norms, forward and backward together, from the smallest batch to a vocabulary of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

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


Gradients = tuple[np.ndarray, ...]


def gradients(leaves: Sequence[Any], output: Callable[[], Any], *seed: Any) -> Callable[[], Gradients]:
    """Forward and backward in either library, and what then is in the leaves."""

    def run() -> Gradients:
        for leaf in leaves:
            leaf.grad = None
        output().backward(*seed)
        return tuple(leaf.grad.numpy() for leaf in leaves)

    return run


def agree(ours: Callable[[], Gradients], theirs: Callable[[], Gradients], atol: float) -> Callable[[], None]:
    def check() -> None:
        for a, b in zip(ours(), theirs(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)

    return check


def pair(
    name: str, ours: Loss, theirs: Loss, x: np.ndarray, rest: list[np.ndarray], passes: int, target: float
) -> Case:
    """One case: `ours` and `theirs` take the leaf x and the tensors `rest`; x is read or written `passes` times at least."""
    leaf, leaf_t = lamina.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    others, others_t = [lamina.tensor(a) for a in rest], [torch.tensor(a) for a in rest]

    run = gradients([leaf], lambda: ours(leaf, *others))
    run_t = gradients([leaf_t], lambda: theirs(leaf_t, *others_t))
    return Case(
        f"{name}, {' × '.join(map(str, x.shape))}",
        run,
        {"torch": run_t},
        agree(run, run_t, 1e-6),
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


def layer_norm(rng: np.random.Generator, shape: tuple[int, int]) -> Case:
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    leaves = [x, *(rng.standard_normal(shape[-1]).astype(np.float32) for _ in range(2))]
    ours, theirs = ([make(a, requires_grad=True) for a in leaves] for make in (lamina.tensor, torch.tensor))
    width = shape[-1:]
    run = gradients(ours, lambda: F.layer_norm(ours[0], width, *ours[1:]), lamina.tensor(dy))
    run_t = gradients(theirs, lambda: TF.layer_norm(theirs[0], width, *theirs[1:]), torch.tensor(dy))
    return Case(
        f"layer_norm, {shape[0]} × {shape[1]}",
        run,
        {"torch": run_t},
        agree(run, run_t, 2e-4),
        bytes=5 * FLOAT_BYTES * x.size,
        target=2.0,
    )


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    yield from loss_cases(rng)
    for shape in ROWS:
        yield layer_norm(rng, shape)
