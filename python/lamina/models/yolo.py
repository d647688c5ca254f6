"""YOLO (Redmon et al., 2016): one pass gives boxes, how sure it is of them and what is in them, for each cell of a grid.

`lamina.detect` has the loss, what to make of the output, and how to judge it.
"""

from __future__ import annotations

import lamina
from lamina import Tensor, nn
from lamina.models._build import check_classes, initialise

__all__ = ["YOLO"]


class YOLO(nn.Module):
    """Images (N, channels, 8 · grid, 8 · grid) -> (N, grid, grid, boxes · 5 + classes).

    Of each cell: for each of its boxes x, y (of the middle, from 0 to 1 within the cell), √w, √h (as shares of the image)
    and a confidence, all in (0, 1); then the probabilities of the classes, given that something's middle is in the cell.
    """

    def __init__(self, grid: int = 7, boxes: int = 2, classes: int = 20, channels: int = 3, width: int = 16) -> None:
        check_classes("YOLO", classes)
        if min(grid, boxes, channels, width) < 1:
            raise ValueError(
                f"YOLO: grid, boxes, channels and width must be at least 1, got {grid}, {boxes}, {channels}, {width}"
            )
        super().__init__()
        self.grid, self.boxes, self.classes = grid, boxes, classes
        layers: list[nn.Module] = []
        for outputs, halves in (
            (width, True),
            (2 * width, True),
            (4 * width, True),
            (4 * width, False),
            (4 * width, False),
        ):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.1),
            ]
            channels = outputs
            if halves:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, boxes * 5 + classes, 1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[2] != 8 * self.grid or x.shape[3] != 8 * self.grid:
            raise ValueError(
                f"YOLO: expected images (N, C, {8 * self.grid}, {8 * self.grid}) for a grid of {self.grid}, got {x.shape}"
            )
        out = self.head(self.features(x)).permute(0, 2, 3, 1)
        boxes, classes = out[..., : self.boxes * 5], out[..., self.boxes * 5 :]
        return lamina.cat([boxes.sigmoid(), lamina.softmax(classes, -1)], -1)
