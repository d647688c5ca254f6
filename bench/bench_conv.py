"""Convolutions: the layers of residual nets and of LeNet, forward and with both gradients; how time grows with the batch,
the channels, the image and a second thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

import lamina
from bench.harness import Case
from lamina.nn import functional as F


@dataclass(frozen=True)
class Layer:
    """A square convolution of square images."""

    batch: int
    inputs: int
    outputs: int
    image: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1

    def __str__(self) -> str:
        what = f"{self.kernel}×{self.kernel}" + (f" s{self.stride}" if self.stride > 1 else "")
        kind = "" if self.groups == 1 else " depthwise" if self.groups == self.inputs else f" in {self.groups} groups"
        return f"{what}{kind}, {self.inputs} → {self.outputs}, B{self.batch} H{self.image}"

    def flops(self) -> float:
        out = (self.image + 2 * self.padding - self.kernel) // self.stride + 1
        return 2.0 * self.batch * self.outputs * out**2 * (self.inputs // self.groups) * self.kernel**2


def case(layer: Layer, backward: bool, target: float = 0.0, headline: bool = False, threads: int = 0) -> Case:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((layer.batch, layer.inputs, layer.image, layer.image)).astype(np.float32)
    w = rng.standard_normal((layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel)) / layer.kernel
    ours, theirs = (
        [library.tensor(a.astype(np.float32), requires_grad=backward) for a in (x, w)] for library in (lamina, torch)
    )
    more = (layer.stride, layer.padding, 1, layer.groups)
    y = F.conv2d(*ours, None, *more)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dy_ours, dy_theirs = lamina.tensor(dy), torch.tensor(dy)

    def run_ours() -> lamina.Tensor:
        for leaf in ours:
            leaf.grad = None
        out = F.conv2d(*ours, None, *more)
        if backward:
            out.backward(dy_ours)
        return out

    def run_theirs() -> torch.Tensor:
        for leaf in theirs:
            leaf.grad = None
        out = torch.nn.functional.conv2d(*theirs, None, *more)
        if backward:
            out.backward(dy_theirs)
        return out

    def check() -> None:
        pairs = [(run_ours(), run_theirs())]
        if backward:
            pairs += [(a.grad, b.grad) for a, b in zip(ours, theirs, strict=True)]
        for got, want in pairs:
            want = want.detach().numpy()
            np.testing.assert_allclose(got.detach().numpy(), want, atol=2e-5 * float(np.abs(want).max()))

    passes = "forward + backward" if backward else "forward"
    name = f"{layer}, {passes}" + (f", {threads} thread" if threads else "")
    flops = layer.flops() * (3 if backward else 1)
    return Case(name, run_ours, {"torch": run_theirs}, check, flops=flops, target=target, headline=headline,
                threads=threads)  # fmt: skip


RESIDUAL = [
    (Layer(32, 64, 64, 32), 2.5, 2.0),
    (Layer(32, 128, 128, 16), 2.0, 1.8),
    (Layer(32, 256, 256, 8), 2.0, 1.6),
]
OTHERS = [
    (Layer(32, 64, 256, 32, kernel=1, padding=0), 1.2),
    (Layer(32, 256, 64, 32, kernel=1, padding=0), 1.2),
    (Layer(32, 64, 128, 32, stride=2), 1.2),
    (Layer(8, 3, 64, 112, kernel=7, stride=2, padding=3), 2.0),
    (Layer(32, 128, 128, 16, groups=32), 1.2),
    (Layer(32, 64, 64, 56, groups=64), 2.0),
    (Layer(32, 64, 64, 56, stride=2, groups=64), 2.0),
    (Layer(64, 1, 6, 28, kernel=5, padding=2), 5.0),
    (Layer(64, 6, 16, 14, kernel=5, padding=0), 5.0),
]


def cases() -> Iterator[Case]:
    for layer, forward, both in RESIDUAL:
        yield case(layer, False, forward, headline=layer.inputs == 64)
        yield case(layer, True, both, headline=layer.inputs == 64)
    for layer, target in OTHERS:
        yield case(layer, True, target, headline=layer.inputs == 1)
    base = Layer(32, 64, 64, 32)
    yield case(base, True, threads=1)
    for batch in (1, 4, 16):
        yield case(replace(base, batch=batch), True)
    for channels in (16, 32, 128):
        yield case(replace(base, inputs=channels, outputs=channels), True)
    for image in (8, 16, 64):
        yield case(replace(base, image=image), True)
