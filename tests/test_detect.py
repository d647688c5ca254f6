"""Detection: overlaps and suppression against NumPy, YOLO's grid and loss, average precision worked out by hand."""

import numpy as np
import pytest

import lamina
from lamina import detect

RNG = np.random.default_rng(4)


def boxes_of(n, dtype=np.float64):
    corner = RNG.uniform(0, 1, (n, 2))
    return np.concatenate([corner, corner + RNG.uniform(0.05, 0.6, (n, 2))], 1).astype(dtype)


def iou_reference(a, b):
    a, b = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    w = np.maximum(np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]), 0)
    h = np.maximum(np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]), 0)
    area = lambda x: np.maximum(x[..., 2] - x[..., 0], 0) * np.maximum(x[..., 3] - x[..., 1], 0)  # noqa: E731
    union = area(a) + area(b) - w * h
    return np.divide(w * h, union, out=np.zeros_like(union), where=union > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_iou(dtype):
    for n, m in [(1, 1), (7, 13), (40, 300), (0, 3)]:
        a, b = boxes_of(n, dtype), boxes_of(m, dtype)
        got = detect.iou(lamina.tensor(a), lamina.tensor(b)).numpy()
        np.testing.assert_allclose(got, iou_reference(a, b), rtol=1e-6 if dtype == np.float32 else 1e-15, atol=1e-15)
    empty = lamina.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 1.0, 1.0]])
    assert detect.iou(empty, empty).tolist() == [[0, 0], [0, 0]]


def nms_reference(boxes, scores, threshold, classes):
    overlaps, left, kept = iou_reference(boxes, boxes), list(np.argsort(-scores, kind="stable")), []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if not (classes[i] == classes[best] and overlaps[best, i] > threshold)]
    return kept


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 9, 64, 301])
def test_nms_is_exact(n, dtype):
    for threshold in (0.0, 0.3, 0.5, 1.0):
        boxes, scores, classes = boxes_of(n, dtype), RNG.integers(0, 20, n) / 20, RNG.integers(0, 3, n)
        tensors = lamina.tensor(boxes), lamina.tensor(scores)
        kept = detect.nms(*tensors, threshold, lamina.tensor(classes))
        assert kept.tolist() == nms_reference(boxes, scores, threshold, classes)
        assert detect.nms(*tensors, threshold).tolist() == nms_reference(boxes, scores, threshold, 0 * classes)


def test_formats_lead_back():
    boxes = lamina.tensor(boxes_of(5))
    for name in ("xywh", "cxcywh", "xyxy"):
        back = detect.convert(detect.convert(boxes, "xyxy", name), name, "xyxy")
        np.testing.assert_allclose(back.numpy(), boxes.numpy(), rtol=1e-14)
    assert detect.convert(lamina.tensor([[1.0, 2.0, 5.0, 4.0]]), "xyxy", "cxcywh").tolist() == [[3, 3, 4, 2]]


def perfect(target, boxes):
    """The output of a network that knows the answer: its second box is right."""
    n, s, _, width = target.shape
    out = np.zeros((n, s, s, boxes * 5 + width - 5), np.float32)
    out[..., 5:7] = target[..., 1:3]
    out[..., 7:9] = np.sqrt(target[..., 3:5])
    out[..., 9] = target[..., 0]
    out[..., boxes * 5 :] = target[..., 5:]
    return out


def test_the_grid():
    boxes = [np.array([[0.1, 0.1, 0.3, 0.4], [0.5, 0.6, 0.9, 1.0]]), np.zeros((0, 4))]
    target = detect.encode(boxes, [[2, 0], []], grid=4, classes=3)
    assert target.shape == (2, 4, 4, 8) and float(target[..., 0].sum()) == 2
    np.testing.assert_allclose(target[0, 1, 0].numpy(), [1, 0.8, 0.0, 0.2, 0.3, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(target[0, 3, 2].numpy(), [1, 0.8, 0.2, 0.4, 0.4, 1, 0, 0], atol=1e-6)

    output = lamina.tensor(perfect(target.numpy(), 2))
    assert float(detect.yolo_loss(output, target)) == pytest.approx(0, abs=1e-9)
    first, second = detect.detections(output)
    assert sorted(first.labels.tolist()) == [0, 2] and first.scores.tolist() == [1, 1] and len(second.boxes) == 0
    np.testing.assert_allclose(first.boxes[first.labels.argsort()].numpy(), boxes[0][[1, 0]], atol=1e-6)


def loss_reference(p, t, boxes, coordinates=5.0, no_object=0.5):
    """As the paper writes it, cell by cell."""
    total, s = 0.0, p.shape[1]
    for image in range(len(p)):
        for row in range(s):
            for column in range(s):
                cell, truth = p[image, row, column], t[image, row, column]
                each = cell[: 5 * boxes].reshape(boxes, 5)
                if not truth[0]:
                    total += no_object * (each[:, 4] ** 2).sum()
                    continue
                at = lambda x, y, w, h: np.array([[(x + column) / s - w / 2, (y + row) / s - h / 2,  # noqa: B023, E731
                                                   (x + column) / s + w / 2, (y + row) / s + h / 2]])  # noqa: B023 # fmt: skip
                overlaps = [iou_reference(at(b[0], b[1], b[2] ** 2, b[3] ** 2), at(*truth[1:5]))[0, 0] for b in each]
                k = int(np.argmax(overlaps))
                total += coordinates * ((each[k, :2] - truth[1:3]) ** 2).sum()
                total += coordinates * ((each[k, 2:4] - np.sqrt(truth[3:5])) ** 2).sum()
                total += (each[k, 4] - overlaps[k]) ** 2
                total += no_object * sum(each[i, 4] ** 2 for i in range(boxes) if i != k)
                total += ((cell[5 * boxes :] - truth[5:]) ** 2).sum()
    return total / len(p)


def test_yolo_loss():
    target = detect.encode([boxes_of(3) / 2, boxes_of(2) / 2], [[0, 1, 1], [2, 0]], grid=3, classes=3).double()
    values = RNG.uniform(0.05, 1, (2, 3, 3, 13))
    leaf = lamina.tensor(values, requires_grad=True)
    loss = detect.yolo_loss(leaf, target)
    assert float(loss) == pytest.approx(loss_reference(values, target.numpy(), 2), rel=1e-9)
    loss.backward()
    for place in [(0, 0, 0, 4), (0, 1, 1, 2), (1, 2, 0, 11), (1, 1, 1, 0), (0, 2, 2, 9)]:
        moved = [values.copy() for _ in range(2)]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        # the overlap that confidence should reach is a number to the loss, not a function of the box
        slope = (loss_reference(moved[0], target.numpy(), 2) - loss_reference(moved[1], target.numpy(), 2)) / 2e-6
        if place[3] in (4, 9, 11):
            assert float(leaf.grad[place]) == pytest.approx(slope, abs=1e-6)


def test_average_precision_by_hand():
    truth = [(np.array([[0, 0, 1, 1], [2, 2, 3, 3.0]]), [0, 0]), (np.array([[0, 0, 1, 1.0]]), [1])]
    found = [
        (np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3.0]]), [0.9, 0.8, 0.7], [0, 0, 0]),
        (np.array([[0, 0, 1, 0.6], [5, 5, 6, 6.0]]), [0.6, 0.5], [1, 0]),
    ]
    metric = detect.MeanAveragePrecision()
    metric.update(found, truth)
    # class 0: right, wrong (taken), right, wrong: precisions 1 and 2/3 at recalls 1/2 and 1; class 1: right
    assert metric.per_class() == pytest.approx({0: (1 + 2 / 3) / 2, 1: 1.0})
    assert metric.compute() == pytest.approx(11 / 12)
    assert detect.MeanAveragePrecision((0.5, 0.75))(found, truth) == pytest.approx((5 / 6 + 0.5) / 2)
    with pytest.raises(ValueError, match="MeanAveragePrecision: nothing was gathered"):
        detect.MeanAveragePrecision().compute()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: detect.iou(lamina.ones(3, 3), lamina.ones(1, 4)), r"iou: boxes1 must be \(n, 4\), got shape \(3, 3\)"),
        (lambda: detect.nms(lamina.ones(2, 4), lamina.ones(3)), r"nms: expected boxes \(n, 4\) and scores \(n,\)"),
        (lambda: detect.nms(lamina.ones(2, 4), lamina.ones(2), 2.0), "nms: iou_threshold must be between 0 and 1"),
        (lambda: detect.convert(lamina.ones(2, 4), "xyxy", "yolo"), "convert: formats are"),
        (lambda: detect.decode(lamina.ones(1, 2, 2, 10)), r"decode: expected \(N, S, S, 2·5 \+ C\)"),
        (lambda: detect.encode([[[0, 0, 1, 1]]], [[3]], 2, 3), "encode: image 0: expected 1 labels from 0 to 2"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()
