"""What draws, augments, detects and decodes, over CUDA's kernels on the stand-in, against the CPU: the same numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import emulated, run
from lamina import _C, Tensor, detect, nn
from lamina.data import augment
from lamina.decode import Decoder

pytestmark = pytest.mark.usefixtures("cuda")
RNG = np.random.default_rng(3)


def on_both(f: Callable[[str], Any]) -> list[list[np.ndarray]]:
    """What f(device) gives on either, from the same seed."""
    found = []
    for device in ("cpu", "cuda"):
        lamina.manual_seed(11)
        result = f(device)
        found.append([t.cpu().numpy() for t in (result if isinstance(result, tuple) else (result,))])
        assert all(t.device.type == device for t in (result if isinstance(result, tuple) else (result,)))
    return found


def same_bits(f: Callable[[str], Any]) -> list[np.ndarray]:
    here, there = on_both(f)
    for a, b in zip(here, there, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return here


# ---- multinomial ----


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 1500), (300, 3), (5, 2049)])
@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial(shape: tuple[int, ...], replacement: bool):
    weights = RNG.uniform(0, 1, shape).astype(np.float32) * (RNG.uniform(0, 1, shape) < 0.7)
    weights[..., 0] = 0.3
    samples = 40 if replacement else min(int((weights > 0).sum(-1).min()), 30)
    for dtype in (lamina.float32, lamina.float64):
        w = lamina.tensor(weights).to(dtype)
        (drawn,) = same_bits(lambda d, w=w: lamina.multinomial(w.to(d), samples, replacement))
        assert (np.take_along_axis(weights, drawn, -1) > 0).all()
        if not replacement:
            assert (np.diff(np.sort(drawn, -1), axis=-1) > 0).all()


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(
    "weights, message",
    [
        ([[1.0, 2.0, 1.0], [1.0, -1.0, 1.0]], "finite and not negative"),
        ([[1.0, float("nan"), 1.0]], "finite and not negative"),
        ([[1.0, float("inf"), 1.0]], "finite and not negative"),
        ([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]], "all weights of a row are zero"),
    ],
)
def test_weights_of_multinomial_are_checked(weights: list[list[float]], message: str, replacement: bool):
    with pytest.raises(ValueError, match=f"multinomial: .*{message}"):
        lamina.multinomial(lamina.tensor(weights).cuda(), 2, replacement)


def test_too_few_weights():
    with pytest.raises(ValueError, match="multinomial: fewer than 2 weights"):
        lamina.multinomial(lamina.tensor([[1.0, 0.0, 0.0]]).cuda(), 2)


def test_truth_values_add_up_to_their_disjunction():
    for value in (False, True):
        x, index = lamina.tensor([value, False, True, False]), lamina.tensor([1, 1, 0, 3])
        source = lamina.tensor([False, True, False, False])
        same_bits(lambda d, x=x, i=index, s=source: x.to(d).index_put((i.to(d),), s.to(d), accumulate=True))


# ---- augmentation ----

AUGMENTATIONS: dict[str, Any] = {
    "flips": augment.Compose([augment.HorizontalFlip(), augment.VerticalFlip()]),
    "crop": augment.RandomCrop(9, padding=3),
    "centre": augment.CenterCrop((5, 7)),
    "resize": augment.Resize((17, 6)),
    "affine": augment.RandomAffine(degrees=20, translate=(0.2, 0.1), scale=(0.7, 1.4), shear=12),
    "edge": augment.Compose([augment.RandomRotation(40)], edge=True),
    "fill": augment.Compose([augment.RandomShear(30), augment.RandomCrop(20, padding=9)], fill=7.5),
    "elastic": augment.ElasticWarp(2.0, 3),
    "elastic, at the edge": augment.Compose([augment.HorizontalFlip(), augment.ElasticWarp(4.0, 2)], edge=True),
    "pca": augment.PCAColorShift(0.3),
    "normalised": augment.Compose([augment.PCAColorShift(), augment.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))]),
    "to float": augment.ToFloat(),
    "cutout": augment.Cutout(5, fill=3.0),
    "bright": augment.ColorJitter(brightness=0.4, saturation=0.5),
}


def images(shape: tuple[int, ...], dtype: Any) -> Tensor:
    bytes_ = lamina.from_numpy(RNG.integers(0, 256, shape, dtype=np.uint8))
    return bytes_ if dtype is lamina.uint8 else bytes_.to(dtype) / 255


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("dtype", [lamina.uint8, lamina.float32])
def test_augmentation(name: str, dtype: Any):
    change = AUGMENTATIONS[name]
    for shape in ((3, 3, 12, 13), (1, 3, 11, 300), (0, 3, 12, 12)):
        x = images(shape, dtype)
        # An elastic net is resized on the device; the device multiplies and adds in one rounding, plain kernels in two.
        if name.startswith("elastic") or _C._target() == "scalar":
            here, there = (f[0].astype(np.float32) for f in on_both(lambda d, x=x: change(x.to(d))))
            np.testing.assert_allclose(there, here, rtol=1e-5, atol=1 if dtype is lamina.uint8 else 1e-4)
        else:
            same_bits(lambda d, x=x: change(x.to(d)))


def test_contrast_knows_an_image_s_means():
    for dtype, slack in ((lamina.uint8, 1), (lamina.float32, 1e-5)):
        x = images((3, 3, 40, 41), dtype)
        change = augment.ColorJitter(contrast=0.8)
        here, there = (f[0].astype(np.float32) for f in on_both(lambda d, x=x, c=change: c(x.to(d))))
        np.testing.assert_allclose(there, here, atol=slack)


def test_places_that_are_not_numbers_and_pixels_that_are_not_finite():
    x = images((2, 1, 6, 7), lamina.float32)
    x[0, 0, 0, 0] = float("inf")
    same_bits(lambda d: augment.HorizontalFlip(1.0)(x.to(d)))
    m = lamina.tensor([[float("nan"), 0, 0, 0, 1, 0], [1, 0, 0.5, 0, 1, float("inf")]])
    same_bits(lambda d: lamina._C._sample_places(x.to(d), m.to(d), None, 6, 7, 0.5, False))


def test_a_generator_of_the_device_draws_the_same():
    x, found = images((4, 3, 8, 8), lamina.uint8), []
    for device in ("cpu", "cuda"):
        generator = lamina.Generator(device).manual_seed(5)
        change = augment.Compose([augment.RandomCrop(8, padding=2), augment.PCAColorShift(), augment.Cutout(3)])
        found.append(change(x.to(device), generator).cpu().numpy())
    np.testing.assert_array_equal(*found)


def test_colours_are_fitted_to_images_of_the_device():
    x = images((4, 3, 8, 8), lamina.uint8)
    np.testing.assert_allclose(augment.PCAColorShift.fit(x.cuda()).axes, augment.PCAColorShift.fit(x).axes)


def test_images_and_maps_on_different_devices():
    with pytest.raises(ValueError, match="augment: matrices is on cpu, the images on cuda:0"):
        lamina._C._sample_places(images((1, 1, 4, 4), lamina.uint8).cuda(), lamina.zeros(1, 6), None, 4, 4, 0, False)


# ---- boxes ----


def boxes_of(n: int) -> Tensor:
    corner = RNG.uniform(0, 1, (n, 2))
    return lamina.from_numpy(np.concatenate([corner, corner + RNG.uniform(-0.05, 0.6, (n, 2))], 1))


@pytest.mark.parametrize("dtype", [lamina.float32, lamina.float64])
def test_overlaps(dtype: Any):
    for n, m in ((1, 1), (7, 300), (0, 3), (40, 0)):
        a, b = boxes_of(n).to(dtype), boxes_of(m).to(dtype)
        same_bits(lambda d, a=a, b=b: detect.iou(a.to(d), b.to(d)))


@pytest.mark.parametrize("dtype", [lamina.float32, lamina.float64])
@pytest.mark.parametrize("n", [0, 1, 2, 65, 256, 257, 700])
def test_suppression(n: int, dtype: Any):
    boxes, scores = boxes_of(n).to(dtype), lamina.from_numpy(RNG.integers(0, 20, n) / 20)
    classes = lamina.from_numpy(RNG.integers(0, 3, n))
    for threshold in (0.0, 0.3, 0.9):
        same_bits(lambda d, t=threshold: detect.nms(boxes.to(d), scores.to(d), t))
        same_bits(lambda d, t=threshold: detect.nms(boxes.to(d), scores.to(d), t, classes.to(d)))


def test_boxes_on_different_devices():
    a = boxes_of(3)
    with pytest.raises(ValueError, match="iou: boxes1 is on cuda:0, boxes2 on cpu"):
        detect.iou(a.cuda(), a)
    with pytest.raises(ValueError, match="nms: classes is on cpu, boxes on cuda:0"):
        detect.nms(a.cuda(), lamina.ones(3).cuda(), 0.5, lamina.zeros(3, dtype=lamina.int64))


def test_a_detector_s_loss_output_and_score():
    boxes, labels = [[[0.1, 0.1, 0.5, 0.6]], [[0.3, 0.2, 0.9, 0.8], [0.0, 0.0, 0.2, 0.2]]], [[1], [0, 2]]
    target, output = detect.encode(boxes, labels, 4, 3), lamina.rand(2, 4, 4, 13)
    here, there = on_both(lambda d: detect.yolo_loss(output.to(d), target.to(d)))
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    found = {d: detect.detections(output.to(d), threshold=0.1) for d in ("cpu", "cuda")}
    scores = []
    for device in ("cpu", "cuda"):
        metric = detect.MeanAveragePrecision()
        truth = [(lamina.tensor(b).to(device), lamina.tensor(k).to(device)) for b, k in zip(boxes, labels, strict=True)]
        metric.update(found[device], truth)
        scores.append(metric.compute())
    assert scores[0] == scores[1]
    for a, b in zip(found["cpu"], found["cuda"], strict=True):
        assert b.boxes.device.type == "cuda"
        np.testing.assert_array_equal(a.labels.numpy(), b.labels.cpu().numpy())


# ---- decoding ----


def decoders(*layers: nn.Module) -> list[Decoder]:
    lamina.manual_seed(2)
    parts = [nn.Embedding(9, 5), nn.ModuleList(layers), nn.Linear(6, 9)]
    with lamina.no_grad():
        parts[2].weight.mul_(6)  # decided
    found = []
    for device in ("cpu", "cuda"):
        embedding, rnn, output = (copy.deepcopy(p).to(device) for p in parts)
        found.append(Decoder(embedding, list(rnn), output))
    return found


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, lambda *a: nn.LSTM(*a, layer_norm=True)])
def test_decoding(kind: Callable[..., nn.Module]):
    here, there = decoders(kind(5, 6), kind(6, 6))
    ways: list[Callable[[Decoder, Any], Any]] = [
        lambda d, start: d.greedy(start, 7),
        lambda d, start: d.greedy(start, 7, end=2),
        lambda d, start: d.sample(start, 7, temperature=0.7, top_k=4),
        lambda d, start: d.sample(start, 7, end=1),
        lambda d, start: d.beam(start, 6, beams=3, end=2),
        lambda d, start: d.hypotheses(start, 5, beams=4, length_penalty=0.5),
        lambda d, start: (d.scheduled_inputs(lamina.arange(12).reshape(3, 4).to(start.device) % 9, 0.5),),
    ]
    for way in ways:
        found = []
        for decoder, device in ((here, "cpu"), (there, "cuda")):
            lamina.manual_seed(7)
            found.append(way(decoder, lamina.tensor([1, 4, 8]).to(device)))
        for a, b in zip(*found, strict=True):
            assert b.device.type == "cuda" and a.dtype is b.dtype
            np.testing.assert_allclose(b.cpu().numpy(), a.numpy(), rtol=1e-4)
    assert there.greedy([1, 2], 3).tokens.device.type == "cuda"  # numbers go to where the layers are
    with pytest.raises(ValueError, match="decode: tokens are on cpu, the embedding on cuda:0"):
        there.greedy(lamina.tensor([1]), 3)


@pytest.mark.parametrize("order", ["1", "2"])
def test_in_any_order_of_threads(order: str):
    code = """
import lamina, hashlib
from lamina import detect
from lamina.data import augment
lamina.manual_seed(1)
w, x = lamina.rand(3, 1100), lamina.rand(2, 3, 9, 70)
boxes = lamina.rand(300, 2)
boxes = lamina.cat([boxes, boxes + lamina.rand(300, 2) * 0.3], 1).cuda()
for t in (
    lamina.multinomial(w.cuda(), 20), lamina.multinomial(w.cuda(), 20, True), augment.ColorJitter(0.1, 0.2, 0.3)(x.cuda()),
    augment.RandomRotation(20)(x.cuda()), detect.nms(boxes, lamina.rand(300).cuda()), detect.iou(boxes, boxes),
):
    print(hashlib.sha256(t.cpu().numpy().tobytes()).hexdigest())
"""
    first, other = (run(code, emulated(), LAMINA_EMULATE_ORDER=o) for o in ("0", order))
    assert first.returncode == 0 and other.returncode == 0, first.stderr + other.stderr
    assert first.stdout == other.stdout and len(first.stdout.split()) == 6
