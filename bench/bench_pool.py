"""Pooling and resizing, forward and backward, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import lamina
from bench.harness import Case
from lamina.nn import functional as F

SHAPE = (32, 64, 32, 32)
CALLS: list[tuple[str, str, dict[str, Any], float]] = [
    ("max pool 2x2", "max_pool2d", {"kernel_size": 2}, 20.0),
    ("max pool 3x3 stride 2", "max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, 1.0),
    ("average pool 2x2", "avg_pool2d", {"kernel_size": 2}, 20.0),
    ("average pool 3x3 stride 2", "avg_pool2d", {"kernel_size": 3, "stride": 2}, 1.0),
    ("global average", "adaptive_avg_pool2d", {"output_size": 1}, 1.0),
    ("nearest to twice the size", "interpolate", {"scale_factor": 2}, 1.0),
    ("bilinear to twice the size", "interpolate", {"scale_factor": 2, "mode": "bilinear"}, 1.0),
]


def step(library: Any, functions: Any, name: str, kwargs: dict[str, Any], x: np.ndarray) -> Callable[[], Any]:
    leaf, function = library.tensor(x).requires_grad_(), getattr(functions, name)
    dy = library.tensor(np.ones(tuple(function(leaf, **kwargs).shape), np.float32))

    def run() -> Any:
        leaf.grad = None
        function(leaf, **kwargs).backward(dy)
        return leaf.grad

    return run


def cases() -> Iterator[Case]:
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    for title, name, kwargs, target in CALLS:
        ours = step(lamina, F, name, kwargs, x)
        theirs = step(torch, torch.nn.functional, name, kwargs, x)

        def check(ours: Callable[[], Any] = ours, theirs: Callable[[], Any] = theirs) -> None:
            np.testing.assert_allclose(ours().numpy(), theirs().numpy(), rtol=1e-4, atol=1e-5)

        yield Case(f"{title}, 32x64x32x32", ours, {"torch": theirs}, check, target=target)
