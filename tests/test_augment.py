"""Augmentation: pixels against NumPy and against maps worked out by hand, the same for any number of threads and workers."""

import numpy as np
import pytest

import lamina
from lamina.data import DataLoader, TensorDataset, augment

RNG = np.random.default_rng(2)
BYTES = RNG.integers(0, 256, (3, 3, 9, 13)).astype(np.uint8)
FLOATS = RNG.uniform(0, 1, (2, 2, 8, 300)).astype(np.float32)  # rows of more than a run
BOTH = pytest.mark.parametrize("images", [BYTES, FLOATS], ids=["uint8", "float32"])


def seeded(seed=7):
    return lamina.Generator().manual_seed(seed)


def sampled(image, place):
    """A channel at places (column, row), bilinear with zeros around, in float64."""
    height, width = image.shape
    padded = np.pad(image.astype(np.float64), 2)
    out = np.zeros(place.shape[1:])
    for index in np.ndindex(out.shape):
        x, y = place[(0, *index)], place[(1, *index)]
        if -1 < x < width and -1 < y < height:
            i, j = int(np.floor(y)) + 2, int(np.floor(x)) + 2
            v, u = y + 2 - i, x + 2 - j
            out[index] = (1 - v) * ((1 - u) * padded[i, j] + u * padded[i, j + 1]) + v * (
                (1 - u) * padded[i + 1, j] + u * padded[i + 1, j + 1]
            )
    return out


def grid(height, width):
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)))


@BOTH
def test_flips_and_crops_copy_pixels(images):
    for flip, axis in [(augment.HorizontalFlip(1.0), 3), (augment.VerticalFlip(1.0), 2)]:
        np.testing.assert_array_equal(flip(images).numpy(), np.flip(images, axis))
        np.testing.assert_array_equal(type(flip)(0.0)(images).numpy(), images)
    some = augment.HorizontalFlip()(np.repeat(images[:1], 60, 0), seeded()).numpy()
    flipped = [np.array_equal(s, images[0, :, :, ::-1]) for s in some]
    assert all(f or np.array_equal(s, images[0]) for f, s in zip(flipped, some, strict=True)) and 15 < sum(flipped) < 45

    height, width = images.shape[2:]
    np.testing.assert_array_equal(
        augment.CenterCrop((4, 5))(images).numpy(),
        images[:, :, (height - 4) // 2 :, (width - 5) // 2 :][:, :, :4, :5],
    )
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    crops = augment.RandomCrop((height, 7), padding=2)(images, seeded()).numpy()
    for image, crop in zip(padded, crops, strict=True):
        pieces = (image[:, i : i + height, j : j + 7] for i in range(5) for j in range(width - 2))
        assert any(np.array_equal(crop, p) for p in pieces)


@BOTH
def test_affine_maps_against_numpy(images):
    height, width = images.shape[2:]
    u, v = grid(height, width)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    for degrees, shear, scale in [(30, 0, 1), (0, 20, 1), (-75, 10, 1.3)]:
        t = augment.RandomAffine((degrees, degrees), scale=(scale, scale), shear=(shear, shear))
        a, lean = np.deg2rad(degrees), np.tan(np.deg2rad(shear))
        x, y = (u - cx) + lean * (v - cy), v - cy
        place = np.stack([np.cos(a) * x - np.sin(a) * y, np.sin(a) * x + np.cos(a) * y]) / scale
        place += np.array([cx, cy])[:, None, None]
        want = np.stack([[sampled(c, place) for c in image] for image in images])
        got = t(images).numpy().astype(np.float64)
        # float32 places of up to 300 are exact to 3e-5
        np.testing.assert_allclose(got, want, atol=0.51 if images.dtype == np.uint8 else 2e-4)


@BOTH
def test_a_chain_is_one_map(images):
    chain = [augment.HorizontalFlip(1.0), augment.RandomCrop(images.shape[2:], padding=1), augment.VerticalFlip(1.0)]
    got = augment.Compose(chain)(images, seeded()).numpy()
    step, generator = lamina.tensor(images), seeded()
    for t in chain:
        step = t(step, generator)
    np.testing.assert_array_equal(got, step.numpy())
    whole = augment.Compose([augment.RandomRotation((90, 90)), augment.RandomRotation((-90, -90))])
    np.testing.assert_allclose(whole(images).numpy(), images, atol=1e-3 if images.dtype == np.float32 else 0)


def test_warping():
    image = np.tile(np.arange(60, dtype=np.float32), (40, 1))[None, None]
    warped = augment.Compose([augment.ElasticWarp(1.5, 4)], edge=True)(image, seeded()).numpy()
    moved = (warped - image)[0, 0, :, 8:-8]
    assert 0.3 < np.abs(moved).mean() < 3 and np.abs(np.diff(moved, axis=0)).max() < 1.5
    np.testing.assert_array_equal(augment.ElasticWarp(0.0)(image).numpy(), image)


def test_places_beyond():
    image = np.full((1, 1, 4, 4), 7, np.uint8)
    far = augment.RandomCrop(12, padding=4)
    assert augment.Compose([far], edge=True)(image).numpy().min() == 7
    assert int((augment.Compose([far], fill=3)(image).numpy() == 3).sum()) == 144 - 16
    lost = lamina.full((1, 6), np.nan)
    assert lamina._C._sample_places(lamina.tensor(image), lost, None, 2, 2, 5.0).tolist() == [[[[5, 5], [5, 5]]]]


@BOTH
def test_colours(images):
    white = 255.0 if images.dtype == np.uint8 else 1.0
    channels = images.shape[1]
    wide = images.astype(np.float64)
    mean, std = [0.3, 0.5, 0.2][:channels], [0.2, 0.7, 1.1][:channels]
    shape = (1, channels, 1, 1)
    np.testing.assert_allclose(
        augment.Normalize(mean, std)(images).numpy(),
        (wide / white - np.reshape(mean, shape)) / np.reshape(std, shape), rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(augment.ToFloat(0.5)(images).numpy(), wide / 2, rtol=1e-6)

    changed = augment.Normalize(mean, std)  # a map that was kept belongs to the numbers, not to the object
    changed(images)
    changed.mean = tuple(2 * m for m in mean)
    both = augment.Compose([augment.ToFloat(1 / white), changed])
    np.testing.assert_allclose(
        both(images).numpy(), (wide / white - 2 * np.reshape(mean, shape)) / np.reshape(std, shape),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip

    jitter = augment.ColorJitter(0.4, 0.3, 0.5)
    b, c, s = (augment._uniform(len(images), 1 - r, 1 + r, g) for g in [seeded()] for r in (0.4, 0.3, 0.5))
    grey = np.array([0.299, 0.587, 0.114]) if channels == 3 else np.full(channels, 1 / channels)
    b, c, s = (f[:, None, None, None] for f in (b, c, s))
    want = wide * b
    level = np.einsum("nchw,c->n", want, grey)[:, None, None, None] / want[0, 0].size
    want = want * c + level * (1 - c)
    want = want * s + np.einsum("nchw,c->nhw", want, grey)[:, None] * (1 - s)
    got = jitter(images, seeded()).numpy()
    assert got.dtype == images.dtype
    if images.dtype == np.uint8:
        assert np.abs(got - np.clip(np.rint(want), 0, 255)).max() <= 1
    else:
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_pca_shift():
    images = np.full((400, 3, 1, 1), 0.5, np.float32)
    moved = augment.PCAColorShift(0.5)(images, seeded()).numpy()[:, :, 0, 0] - 0.5
    axes, deviations = np.array(augment.PCAColorShift().axes), np.array(augment.PCAColorShift().deviations)
    np.testing.assert_allclose((moved @ axes).std(0), 0.5 * deviations, rtol=0.2)
    own = augment.PCAColorShift.fit(BYTES)
    np.testing.assert_allclose(np.array(own.axes) @ np.array(own.axes).T, np.eye(3), atol=1e-12)


def test_cutout():
    out = augment.Cutout(4, fill=9)(np.zeros((50, 2, 10, 10), np.uint8), seeded()).numpy()
    holes = (out == 9).sum((2, 3))
    assert (holes[:, 0] == holes[:, 1]).all() and holes.max() == 16 and holes.min() >= 4


def everything():
    return augment.Compose([
        augment.HorizontalFlip(), augment.RandomCrop(9, padding=2), augment.RandomRotation(15), augment.ElasticWarp(1.0),
        augment.ColorJitter(0.2, 0.2, 0.2), augment.PCAColorShift(), augment.Normalize([0.5] * 3, [0.2] * 3),
        augment.Cutout(3),
    ])  # fmt: skip


def test_the_same_for_any_number_of_threads_and_workers(set_threads):
    images = RNG.integers(0, 256, (70, 3, 9, 13)).astype(np.uint8)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(everything()(images, seeded()).numpy())
    assert results[0].dtype == np.float32 and results[0].shape == (70, 3, 9, 9)
    assert all(np.array_equal(results[0], r) for r in results[1:])
    assert not np.array_equal(results[0], everything()(images, seeded(8)).numpy())

    data = TensorDataset(lamina.tensor(images), lamina.arange(70))
    epochs = []
    for workers in (0, 2):
        loader = DataLoader(data, 32, shuffle=True, seed=5, num_workers=workers, transform=everything())
        epochs.append([[(x.numpy(), y.tolist()) for x, y in loader] for _ in range(2)])
    for a, b in zip(epochs[0][0], epochs[1][0], strict=True):
        assert np.array_equal(a[0], b[0]) and a[1] == b[1]
    assert not np.array_equal(epochs[0][0][0][0], epochs[0][1][0][0])
    resumed = next(loader.batches(1, start=1))
    assert np.array_equal(resumed[0].numpy(), epochs[0][1][1][0])


def test_empty_batches():
    out = everything()(np.zeros((0, 3, 9, 13), np.uint8))
    assert out.shape == (0, 3, 9, 9) and "ElasticWarp(alpha=1.0, cells=4)" in repr(everything())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: augment.HorizontalFlip(2.0), "HorizontalFlip: p must be between 0 and 1"),
        (lambda: augment.RandomCrop(20)(BYTES), r"RandomCrop: \(20, 20\) is larger than images \(9, 13\)"),
        (lambda: augment.Normalize([0.5], [0.2])(BYTES), "Normalize: 1 means, but images of 3 channels"),
        (lambda: augment.ToFloat()(BYTES[0]), r"Compose: images must be \(N, C, H, W\), got shape \(3, 9, 13\)"),
        (lambda: augment.RandomAffine(scale=(0, 1)), "RandomAffine: scale must be a range of positive factors"),
        (lambda: augment.PCAColorShift()(FLOATS), "PCAColorShift: axes of 2 channels were expected"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_types():
    with pytest.raises(TypeError, match="augment: images must be uint8 or float32, got float64"):
        augment.HorizontalFlip()(FLOATS.astype(np.float64))
    with pytest.raises(TypeError, match="Compose: expected augmentations, got 3"):
        augment.Compose([3])
