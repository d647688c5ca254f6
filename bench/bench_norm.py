"""Normalisation in training, forward and backward, against PyTorch; with residual and ReLU against its three operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import lamina
from bench.harness import Case
from lamina.nn import functional as F

SHAPES = [(32, 64, 32, 32), (32, 256, 8, 8), (64, 512)]


class Step:
    """Leaves of one library, and a pass over them that gives the gradient of the input."""

    def __init__(self, library: Any, functions: Any, shape: tuple[int, ...]) -> None:
        rng, channels = np.random.default_rng(1), shape[1]
        arrays = [rng.standard_normal(shape), rng.standard_normal(shape), rng.uniform(0.5, 2, channels)]
        self.library, self.functions = library, functions
        leaves = [
            library.tensor(a.astype(np.float32)).requires_grad_() for a in [*arrays, rng.standard_normal(channels)]
        ]
        self.x, self.residual, self.weight, self.bias = leaves
        self.leaves = leaves
        self.mean, self.var = library.zeros(channels), library.ones(channels)
        self.dy = library.tensor(rng.standard_normal(shape).astype(np.float32))

    def backward(self, y: Any) -> Any:
        for leaf in self.leaves:
            leaf.grad = None
        y.backward(self.dy)
        return self.x.grad

    def batch_norm(self, training: bool = True, **fused: Any) -> Any:
        return self.functions.batch_norm(self.x, self.mean, self.var, self.weight, self.bias, training, **fused)

    def plain(self) -> Any:
        return self.backward(self.batch_norm())

    def evaluation(self) -> Any:
        return self.backward(self.batch_norm(False))

    def fused(self) -> Any:
        if self.library is lamina:
            return self.backward(self.batch_norm(activation="relu", residual=self.residual))
        return self.backward(torch.relu(self.batch_norm() + self.residual))

    def group(self) -> Any:
        return self.backward(self.functions.group_norm(self.x, self.x.shape[1] // 2, self.weight, self.bias))


def cases() -> Iterator[Case]:
    for shape in SHAPES:
        rows = [
            ("batch norm", "plain", 2.3),
            ("batch norm, add, ReLU", "fused", 3.0),
            ("batch norm, evaluation", "evaluation", 1.0),
        ]
        if len(shape) > 2:
            rows.append(("group norm", "group", 1.0))
        for title, method, target in rows:
            ours = getattr(Step(lamina, F, shape), method)
            theirs = getattr(Step(torch, torch.nn.functional, shape), method)

            def check(ours: Callable[[], Any] = ours, theirs: Callable[[], Any] = theirs) -> None:
                np.testing.assert_allclose(ours().numpy(), theirs().numpy(), rtol=1e-3, atol=1e-4)

            yield Case(f"{title}, {'x'.join(map(str, shape))}", ours, {"torch": theirs}, check, target=target)
