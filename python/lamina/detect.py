"""Detection of objects: boxes, non-maximum suppression, YOLO's grid with its loss, and mean average precision.

Boxes are x₁, y₁, x₂, y₂ unless said otherwise. YOLO (Redmon et al., You Only Look Once, 2016): an image is a grid of S × S
cells, and a network gives each of them B boxes and C class probabilities, (N, S, S, B·5 + C). A box is x, y within its
cell, √w, √h in parts of the image, and a confidence.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import lamina
from lamina import _C, Tensor
from lamina._errors import speak_for_themselves
from lamina.metrics import Metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Detections", "MeanAveragePrecision", "convert", "decode", "detections", "encode", "iou", "nms", "yolo_loss",
]  # fmt: skip


# ---- boxes ----


def convert(boxes: Tensor, source: str, target: str) -> Tensor:
    """Boxes (…, 4) from one format to another: 'xyxy', 'xywh' (corner and size), 'cxcywh' (centre and size)."""
    for name in (source, target):
        if name not in ("xyxy", "xywh", "cxcywh"):
            raise ValueError(f"convert: formats are 'xyxy', 'xywh' and 'cxcywh', got {name!r}")
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ValueError(f"convert: boxes must be (…, 4), got shape {boxes.shape}")
    a, b, c, d = boxes.unbind(-1)
    if source == "xyxy":
        x, y, w, h = a, b, c - a, d - b
    elif source == "xywh":
        x, y, w, h = a, b, c, d
    else:
        x, y, w, h = a - c / 2, b - d / 2, c, d
    if target == "xyxy":
        return _C.stack([x, y, x + w, y + h], -1)
    return _C.stack([x, y, w, h] if target == "xywh" else [x + w / 2, y + h / 2, w, h], -1)


def iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of each of (n, 4) with each of (m, 4): (n, m), without gradient; 0 where both are empty."""
    return _C._box_iou(boxes1, boxes2)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float = 0.5, classes: Tensor | None = None) -> Tensor:
    """The numbers of the boxes that no better one, of its class, overlaps by more than iou_threshold, the best first.

    Of equal scores the first counts as better. Whole batches: classes that differ from image to image.
    """
    if scores.ndim != 1 or boxes.ndim != 2 or scores.shape[0] != boxes.shape[0]:
        raise ValueError(f"nms: expected boxes (n, 4) and scores (n,), got {boxes.shape} and {scores.shape}")
    order = _C.argsort(scores.detach(), 0, True, stable=True)
    kept = _C._kept_boxes(boxes, order, classes, float(iou_threshold))
    return order[kept]


# ---- YOLO's grid ----


def encode(boxes: Sequence[Any], labels: Sequence[Any], grid: int, classes: int) -> Tensor:
    """What a network should say of images with these boxes (n, 4), in parts of the image, and labels (n,).

    (N, S, S, 5 + C): whether an object's centre lies in the cell, then x, y in the cell, w, h of the image, and the class
    as one-hot. Of two objects in a cell the larger counts.
    """
    import numpy as np

    if len(boxes) != len(labels):
        raise ValueError(f"encode: expected labels for each of {len(boxes)} images, got {len(labels)}")
    target = np.zeros((len(boxes), grid, grid, 5 + classes), np.float32)
    for image, (rows, names) in enumerate(zip(boxes, labels, strict=True)):
        corners = np.asarray(rows, np.float64).reshape(-1, 4)
        kinds = np.asarray(names, np.int64).reshape(-1)
        if len(kinds) != len(corners) or ((kinds < 0) | (kinds >= classes)).any():
            raise ValueError(
                f"encode: image {image}: expected {len(corners)} labels from 0 to {classes - 1}, got {kinds}"
            )
        sizes = corners[:, 2:] - corners[:, :2]
        centres = (corners[:, 2:] + corners[:, :2]) / 2 * grid
        for i in np.argsort(sizes.prod(1), kind="stable"):
            column, row = np.clip(centres[i].astype(int), 0, grid - 1)
            cell = target[image, row, column]
            cell[:] = 0
            cell[:5] = 1, *(centres[i] - (column, row)), *sizes[i]
            cell[5 + kinds[i]] = 1
    return lamina.from_numpy(target)


def _parts(name: str, prediction: Tensor, boxes: int) -> tuple[Tensor, Tensor]:
    """(N, S, S, B, 5) and (N, S, S, C)."""
    if prediction.ndim != 4 or prediction.shape[1] != prediction.shape[2] or prediction.shape[3] <= 5 * boxes:
        raise ValueError(f"{name}: expected (N, S, S, {boxes}·5 + C), got shape {prediction.shape}")
    n, s = prediction.shape[:2]
    return prediction[..., : 5 * boxes].reshape(n, s, s, boxes, 5), prediction[..., 5 * boxes :]


def _corners(at: Tensor, size: Tensor, grid: int) -> Tensor:
    """Boxes (N, S, S, …, 4) in parts of the image, of places in cells and sizes of the image (N, S, S, …, 2)."""
    cells = _C.arange(grid, device=at.device).to(at.dtype)
    middle = [1] * (at.ndim - 4)
    column = cells.reshape(1, 1, grid, *middle)
    row = cells.reshape(1, grid, 1, *middle)
    x, y = (at[..., 0] + column) / grid, (at[..., 1] + row) / grid
    w, h = size.unbind(-1)
    return _C.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)


def decode(prediction: Tensor, boxes: int = 2) -> tuple[Tensor, Tensor]:
    """Boxes (N, S·S·B, 4) in parts of the image and their class-specific confidences P(class) · confidence
    (N, S·S·B, C)."""
    each, classes = _parts("decode", prediction.detach(), boxes)
    n, s, _, b, _ = each.shape
    corners = _corners(each[..., :2], each[..., 2:4].square(), s)
    confidence = each[..., 4:] * classes.reshape(n, s, s, 1, -1)
    return corners.reshape(n, s * s * b, 4), confidence.reshape(n, s * s * b, -1)


def yolo_loss(
    prediction: Tensor, target: Tensor, boxes: int = 2, coordinates: float = 5.0, no_object: float = 0.5
) -> Tensor:
    """YOLO's squared error, summed over an image and averaged over images; target: as `encode` makes it.

    In a cell with an object the box that overlaps it most is responsible: its place, the roots of its sizes and its
    confidence, which should be that overlap, are judged, and the cell's classes. All other confidences should be 0.
    """
    each, classes = _parts("yolo_loss", prediction, boxes)
    n, s = prediction.shape[:2]
    if target.shape != (n, s, s, 5 + classes.shape[3]):
        raise ValueError(f"yolo_loss: target must be {(n, s, s, 5 + classes.shape[3])}, got {target.shape}")
    truth = target[..., 1:5].reshape(n, s, s, 1, 4)
    here = target[..., :1]
    with lamina.no_grad():
        found = _corners(each[..., :2], each[..., 2:4].square(), s)
        wanted = _corners(truth[..., :2], truth[..., 2:], s)
        overlap = _C.clamp(_C.minimum(found[..., 2:], wanted[..., 2:]) - _C.maximum(found[..., :2], wanted[..., :2]), 0)
        common = overlap[..., 0] * overlap[..., 1]
        areas = each[..., 2:4].square().prod(-1) + truth[..., 2:].prod(-1) - common
        shared = common / _C.clamp(areas, 1e-9)
        best = shared.argmax(-1, True)
        responsible = _C.zeros_like(shared).scatter_(-1, best, 1.0) * here
        roots = _C.clamp(truth[..., 2:], 0).sqrt()
    place = ((each[..., :2] - truth[..., :2]).square().sum(-1) * responsible).sum()
    size = ((each[..., 2:4] - roots).square().sum(-1) * responsible).sum()
    confidence = each[..., 4]
    object_ = ((confidence - shared).square() * responsible).sum()
    nothing = (confidence.square() * (1 - responsible)).sum()
    kind = ((classes - target[..., 5:]).square() * here).sum()
    return (coordinates * (place + size) + object_ + no_object * nothing + kind) / n


class Detections(NamedTuple):
    """Of one image, the best first."""

    boxes: Tensor  # (n, 4)
    scores: Tensor  # (n,)
    labels: Tensor  # (n,), int64


def detections(
    prediction: Tensor, boxes: int = 2, threshold: float = 0.2, iou_threshold: float = 0.5
) -> list[Detections]:
    """What is left of a network's output: for each image the boxes whose class-specific confidence exceeds threshold,
    after non-maximum suppression within each class."""
    corners, confidence = decode(prediction, boxes)
    found = []
    for box, scores in zip(corners, confidence, strict=True):
        best, label = scores.max(1)
        chosen = _C.nonzero(best > threshold).reshape(-1)
        box, best, label = box[chosen], best[chosen], label[chosen]
        kept = nms(box, best, iou_threshold, label)
        found.append(Detections(box[kept], best[kept], label[kept]))
    return found


# ---- how good ----


class MeanAveragePrecision(Metric):
    """The area under precision over recall, averaged over classes and over the overlaps that count as found.

    update(found, truth): of each image Detections, and the pair of boxes (n, 4) and labels (n,) that are there. A detection
    is right if the object of its class that it overlaps most is not taken by a better one and the overlap reaches the
    threshold. Precision at a recall is the best at it or beyond.
    """

    def __init__(self, thresholds: Sequence[float] = (0.5,)) -> None:
        if not thresholds or not all(0 < t <= 1 for t in thresholds):
            raise ValueError(f"MeanAveragePrecision: thresholds must lie above 0 and up to 1, got {thresholds!r}")
        self.thresholds = tuple(thresholds)
        super().__init__()

    def reset(self) -> None:
        # Of each class how many objects there are, and of each of its detections: score, then 0 or 1 for each threshold.
        self.state = {"objects": {}, "found": {}}

    def update(self, output: Any, target: Any) -> None:
        import numpy as np

        if len(output) != len(target):
            raise ValueError(f"MeanAveragePrecision: {len(output)} images' detections, but truth of {len(target)}")
        for (boxes, scores, labels), (true_boxes, true_labels) in zip(output, target, strict=True):
            boxes, true_boxes = (lamina.as_tensor(b).cpu().double().reshape(-1, 4) for b in (boxes, true_boxes))
            overlaps = iou(boxes, true_boxes).numpy()
            kinds, names = (lamina.as_tensor(k).cpu().numpy().reshape(-1) for k in (labels, true_labels))
            values = lamina.as_tensor(scores).cpu().double().numpy().reshape(-1)
            for name in names.tolist():
                self.state["objects"][name] = self.state["objects"].get(name, 0) + 1
            rows: dict[int, list[float]] = {}
            for t in self.thresholds:
                taken = np.zeros(len(names), bool)
                for i in np.argsort(-values, kind="stable").tolist():
                    candidates = np.where(names == kinds[i], overlaps[i], -1.0)
                    best = int(candidates.argmax()) if len(names) else -1
                    right = best >= 0 and candidates[best] >= t and not taken[best]
                    if right:
                        taken[best] = True
                    rows.setdefault(i, []).append(float(right))
            for i, right in rows.items():
                self.state["found"].setdefault(int(kinds[i]), []).append([float(values[i]), *right])

    def per_class(self) -> dict[int, float]:
        """Average precision of each class that there is."""
        import numpy as np

        result = {}
        for name, count in sorted(self.state["objects"].items()):
            found = np.array(self.state["found"].get(name, [])).reshape(-1, 1 + len(self.thresholds))
            found = found[np.argsort(-found[:, 0], kind="stable")]
            areas = []
            for right in found[:, 1:].T:
                hits = np.cumsum(right)
                precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
                areas.append(float((precision * right).sum()) / count)
            result[int(name)] = sum(areas) / len(self.thresholds)
        return result

    def compute(self) -> float:
        classes = self.per_class()
        self._some(len(classes))
        return sum(classes.values()) / len(classes)


speak_for_themselves(globals())
