"""VGG (Simonyan and Zisserman, 2014): 3 × 3 convolutions, twice as many channels each time that the image is halved."""

from __future__ import annotations

from collections.abc import Sequence

from lamina import Tensor, nn
from lamina.models._build import check_classes, initialise

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

# How many convolutions there are before each halving, with the channels below.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def _features(depths: Sequence[int], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for depth, channels in zip(depths, CHANNELS, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            inputs = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Images (N, 3, 224, 224), at least 32 × 32, -> logits (N, num_classes)."""

    def __init__(
        self, depths: Sequence[int], num_classes: int = 1000, batch_norm: bool = False, dropout: float = 0.5
    ) -> None:
        check_classes("VGG", num_classes)
        super().__init__()
        self.features = _features(depths, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        initialise(self, linear_deviation=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def vgg11(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[11], num_classes, dropout=dropout)


def vgg11_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[11], num_classes, True, dropout)


def vgg13(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[13], num_classes, dropout=dropout)


def vgg13_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[13], num_classes, True, dropout)


def vgg16(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[16], num_classes, dropout=dropout)


def vgg16_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[16], num_classes, True, dropout)


def vgg19(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[19], num_classes, dropout=dropout)


def vgg19_bn(num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    return VGG(DEPTHS[19], num_classes, True, dropout)
