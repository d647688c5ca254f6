"""Whole networks: LeNet, a ResNet-18 for small images, a character model with LSTM and GRU; trained (forward, backward,
Adam) and read, from the same weights on the same batch; ours captured, for inference fused, as ONNX Runtime's are prepared.
Training losses and outputs must agree before anything is timed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import lamina
from bench.harness import Case, live_bytes_of_ours, live_bytes_of_torch
from lamina import models

RATE = 1e-3
Build = Callable[[], Any]


# ---- the networks, each for both libraries ----


def lenet(nn: Any) -> Any:
    """Both libraries have these names."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def characters(nn: Any, cell: str) -> Any:
    class Characters(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(96, 128), nn.Linear(256, 96)
            self.layer = getattr(nn, cell)(128, 256)

        def forward(self, x: Any) -> Any:
            if nn is lamina.nn:  # which looks up what a symbol gives the gates
                return self.head(self.layer(x, embedding=self.embedding.weight)[0]).reshape(-1, 96)
            return self.head(self.layer(self.embedding(x))[0]).reshape(-1, 96)

    return Characters()


class TorchBlock(torch.nn.Module):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        nn = torch.nn
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        way_past = x if self.downsample is None else self.downsample(x)
        out = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(out)).add_(way_past))


class TorchResNet18(torch.nn.Module):
    """torchvision's names; the stem is that for small images."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.conv1, self.bn1, self.fc = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.Linear(512, 10)
        planes = 64
        for stage in range(4):
            first = TorchBlock(planes, 64 * 2**stage, 1 if stage == 0 else 2)
            planes = 64 * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, TorchBlock(planes, planes, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def resnet18() -> models.ResNet:
    net = models.resnet18(10)
    net.conv1, net.maxpool = lamina.nn.Conv2d(3, 64, 3, 1, 1, bias=False), lamina.nn.Identity()
    return net


@dataclass(frozen=True)
class Network:
    name: str
    ours: Build
    theirs: Build
    shape: tuple[int, ...]  # of one input, without the batch
    train: float  # targets: the ratio to reach in training, and in inference with the batch of that and with one
    infer: float
    infer_one: float
    batch: int = 32
    symbols: int = 0  # inputs are (steps, batch) of so many symbols instead of numbers

    def inputs(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        if self.symbols:
            x = rng.integers(0, self.symbols, (*self.shape, batch))
            return x, rng.integers(0, self.symbols, x.size)
        return rng.standard_normal((batch, *self.shape)).astype(np.float32), rng.integers(0, 10, batch)

    def pair(self) -> tuple[Any, Any]:
        """Ours and PyTorch's with the same weights."""
        torch.manual_seed(0)
        theirs, ours = self.theirs(), self.ours()
        ours.load_state_dict({k: lamina.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
        return ours, theirs


NETWORKS = [
    Network("LeNet", partial(lenet, lamina.nn), partial(lenet, torch.nn), (1, 28, 28), 6, 1.5, 2, batch=64),
    Network("ResNet-18 (CIFAR)", resnet18, TorchResNet18, (3, 32, 32), 1.8, 1.5, 1.2),
    *(
        Network(
            f"character {cell}", partial(characters, lamina.nn, cell), partial(characters, torch.nn, cell), (64,),
            train, infer, 1.5, symbols=96,
        )
        for cell, train, infer in (("LSTM", 1.3, 1.2), ("GRU", 2.0, 1.5))
    ),
]  # fmt: skip


# ---- steps ----


def our_training(model: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    optimizer = lamina.optim.Adam(model.train().parameters(), lr=RATE)
    batch = lamina.from_numpy(x), lamina.from_numpy(labels)

    @lamina.capture
    def step(x: lamina.Tensor, labels: lamina.Tensor) -> lamina.Tensor:
        optimizer.zero_grad()
        loss = lamina.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return lambda: step(*batch)


def torch_training(model: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    optimizer = torch.optim.Adam(model.train().parameters(), lr=RATE, fused=True)
    batch = torch.from_numpy(x), torch.from_numpy(labels)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        return loss

    return step


def training(network: Network) -> Case:
    ours, theirs = network.pair()
    x, labels = network.inputs(network.batch)
    step, step_t = our_training(ours, x, labels), torch_training(theirs, x, labels)

    def check() -> None:
        for _ in range(3):
            np.testing.assert_allclose(float(step().item()), float(step_t().item()), rtol=5e-3)

    name = f"{network.name}, B{network.batch}, train"
    return Case(name, step, {"torch": step_t}, check, target=network.train, headline=True, rounds=11)


def onnx_session(model: Any, x: np.ndarray, threads: int) -> Callable[[], Any] | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    page = io.BytesIO()
    torch.onnx.export(model, (torch.from_numpy(x),), page, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(page.getvalue(), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, given)


def inference(network: Network, batch: int, target: float) -> Case:
    ours, theirs = (model.eval() for model in network.pair())
    x, _ = network.inputs(batch)
    captured = lamina.capture(lamina.nn.fuse(ours))
    given, given_t = lamina.from_numpy(x), torch.from_numpy(x)

    def run() -> lamina.Tensor:
        with lamina.inference_mode():
            return captured(given)

    def run_t() -> torch.Tensor:
        with torch.inference_mode():
            return theirs(given_t)

    def check() -> None:
        np.testing.assert_allclose(run().numpy(), run_t().numpy(), rtol=1e-2, atol=1e-3)

    peers: dict[str, Callable[[], Any]] = {"torch": run_t}
    if session := onnx_session(theirs, x, lamina.get_num_threads()):
        peers["ONNX Runtime"] = session
    return Case(f"{network.name}, B{batch}, inference", run, peers, check, target=target, headline=True, rounds=11)


def memory(network: Network) -> Case:
    x, labels = network.inputs(network.batch)
    return Case(
        f"{network.name}, B{network.batch}, train, peak of live tensors",
        lambda: live_bytes_of_ours(lambda: our_training(network.ours(), x, labels)),
        {"torch": lambda: live_bytes_of_torch(lambda: torch_training(network.theirs(), x, labels))},
        lambda: None,
        target=1 / 0.7,
        self_timed=True,
        unit="MiB",
        rounds=1,
    )


def cases() -> Iterator[Case]:
    for network in NETWORKS:
        yield training(network)
        yield inference(network, network.batch, network.infer)
        yield inference(network, 1, network.infer_one)
        yield memory(network)
