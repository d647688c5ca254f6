"""Residual networks (He et al., 2016) and their plain twins, which are the same without the ways past."""

from __future__ import annotations

from collections.abc import Sequence

from lamina import Tensor, nn
from lamina.models._build import check_classes, initialise
from lamina.nn import functional as F

__all__ = [
    "BasicBlock", "Bottleneck", "CifarResNet", "ResNet", "plain18", "plain34", "plain_cifar", "resnet18", "resnet34",
    "resnet50", "resnet101", "resnet152", "resnet_cifar",
]  # fmt: skip


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class _Block(nn.Module):
    """relu(body(x) + way past), the way past being x or `downsample(x)`; plain blocks have none.

    The last batch norm adds and rectifies in its own pass over memory.
    """

    expansion: int

    def __init__(self, downsample: nn.Module | None, residual: bool) -> None:
        super().__init__()
        self.register_module("downsample", downsample if residual else None)
        self.downsample: nn.Module | None
        self.residual = residual

    def way_past(self, x: Tensor) -> Tensor | None:
        if not self.residual:
            return None
        return x if self.downsample is None else self.downsample(x)


class BasicBlock(_Block):
    """Two 3 × 3 convolutions."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, residual: bool = True
    ) -> None:
        super().__init__(downsample, residual)
        self.conv1 = _conv(inputs, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1.after(self.conv1, x, activation="relu")
        return self.bn2.after(self.conv2, out, self.way_past(x), activation="relu")


class Bottleneck(_Block):
    """1 × 1 to fewer channels, 3 × 3, 1 × 1 to four times as many; the stride is in the 3 × 3 ("v1.5")."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, residual: bool = True
    ) -> None:
        super().__init__(downsample, residual)
        self.conv1 = _conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv(planes, 4 * planes, 1)
        self.bn3 = nn.BatchNorm2d(4 * planes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1.after(self.conv1, x, activation="relu")
        out = self.bn2.after(self.conv2, out, activation="relu")
        return self.bn3.after(self.conv3, out, self.way_past(x), activation="relu")


class ResNet(nn.Module):
    """Images (N, 3, 224, 224) -> logits (N, num_classes). `layers` blocks at each of four sizes."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        *,
        zero_init_residual: bool = False,
        residual: bool = True,
    ) -> None:
        check_classes("ResNet", num_classes)
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(f"ResNet: layers must be four numbers of blocks of at least 1, got {layers}")
        super().__init__()
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            self._layer(block, 64 * 2**stage, count, 1 if stage == 0 else 2, residual)
            for stage, count in enumerate(layers)
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        initialise(self)
        if zero_init_residual:  # every block begins as the identity
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    if last.weight is not None:
                        nn.init.zeros_(last.weight)

    def _layer(
        self, block: type[BasicBlock] | type[Bottleneck], planes: int, count: int, stride: int, residual: bool
    ) -> nn.Sequential:
        outputs = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outputs:
            downsample = nn.Sequential(_conv(self.inplanes, outputs, 1, stride), nn.BatchNorm2d(outputs))
        first = block(self.inplanes, planes, stride, downsample, residual)
        self.inplanes = outputs
        return nn.Sequential(first, *(block(outputs, planes, residual=residual) for _ in range(count - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1.after(self.conv1, x, activation="relu"))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(num_classes: int = 1000, *, zero_init_residual: bool = False) -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, zero_init_residual=zero_init_residual)


def resnet34(num_classes: int = 1000, *, zero_init_residual: bool = False) -> ResNet:
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, zero_init_residual=zero_init_residual)


def resnet50(num_classes: int = 1000, *, zero_init_residual: bool = False) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, zero_init_residual=zero_init_residual)


def resnet101(num_classes: int = 1000, *, zero_init_residual: bool = False) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, zero_init_residual=zero_init_residual)


def resnet152(num_classes: int = 1000, *, zero_init_residual: bool = False) -> ResNet:
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, zero_init_residual=zero_init_residual)


def plain18(num_classes: int = 1000) -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, residual=False)


def plain34(num_classes: int = 1000) -> ResNet:
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, residual=False)


# ---- for small images ----


class Shortcut(nn.Module):
    """The way past without weights (option A of the paper): every other pixel, new channels filled with zeros."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride, self.new_channels = stride, new_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class CifarResNet(nn.Module):
    """Section 4.2 of the paper: a 3 × 3 convolution, `blocks` blocks of `width`, 2 · width and 4 · width channels each.

    Images (N, channels, 32, 32) -> logits (N, num_classes)
    """

    def __init__(
        self, blocks: int, num_classes: int = 10, *, channels: int = 3, width: int = 16, residual: bool = True
    ) -> None:
        check_classes("CifarResNet", num_classes)
        if min(blocks, channels, width) < 1:
            raise ValueError(
                f"CifarResNet: blocks, channels and width must be at least 1, got {blocks}, {channels}, {width}"
            )
        super().__init__()
        self.conv1 = _conv(channels, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        stages = []
        for stage in range(3):
            planes = width * 2**stage
            first = BasicBlock(width, planes, residual=residual)
            if stage:
                first = BasicBlock(planes // 2, planes, 2, Shortcut(2, planes // 2), residual)
            stages.append(
                nn.Sequential(first, *(BasicBlock(planes, planes, residual=residual) for _ in range(blocks - 1)))
            )
        self.layer1, self.layer2, self.layer3 = stages
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(4 * width, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1.after(self.conv1, x, activation="relu")
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


def _blocks(name: str, depth: int) -> int:
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"{name}: depth must be 6 n + 2 (20, 32, 44, 56, 110 …), got {depth}")
    return (depth - 2) // 6


def resnet_cifar(depth: int = 20, num_classes: int = 10, *, channels: int = 3, width: int = 16) -> CifarResNet:
    """Of 20, 32, 44, 56 … layers with weights."""
    return CifarResNet(_blocks("resnet_cifar", depth), num_classes, channels=channels, width=width)


def plain_cifar(depth: int = 20, num_classes: int = 10, *, channels: int = 3, width: int = 16) -> CifarResNet:
    """The same layers without the ways past."""
    blocks = _blocks("plain_cifar", depth)
    return CifarResNet(blocks, num_classes, channels=channels, width=width, residual=False)
