"""LeNet-5 (LeCun et al., 1998), with ReLU and max pooling, about 60 thousand parameters."""

from __future__ import annotations

from lamina import Tensor, nn
from lamina.models._build import check_classes

__all__ = ["LeNet5"]


class LeNet5(nn.Module):
    """Images (N, channels, size, size) -> logits (N, num_classes). The original's are 32 × 32; 28 × 28 are padded to that."""

    def __init__(self, num_classes: int = 10, channels: int = 1, size: int = 32) -> None:
        check_classes("LeNet5", num_classes)
        if size < 16:
            raise ValueError(f"LeNet5: images must be at least 16 high and wide, got size={size}")
        super().__init__()
        padding = 2 if size == 28 else 0
        left = ((size + 2 * padding - 4) // 2 - 4) // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(16 * left * left, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
