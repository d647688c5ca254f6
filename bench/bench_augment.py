"""Augmentation of a batch of images: against scipy's and NumPy's functions, image by image, and PyTorch's operations.

Every peer does the same to the same pixels; what is drawn is drawn beforehand, so that results can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lamina
from bench.harness import Case, optional
from lamina.data import augment

BATCH, CHANNELS, SIZE = 64, 3, 64
DEGREES, MEAN, STD = 20.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def images(dtype: Any) -> np.ndarray:
    drawn = np.random.default_rng(1).integers(0, 256, (BATCH, CHANNELS, SIZE, SIZE)).astype(np.uint8)
    return drawn if dtype is np.uint8 else (drawn / np.float32(255)).astype(np.float32)


def near(ours: Callable[[], Any], theirs: Callable[[], Any], tolerance: float) -> Callable[[], None]:
    def check() -> None:
        got, want = (np.asarray(f(), np.float64) for f in (ours, theirs))
        assert np.abs(got - want).max() <= tolerance, np.abs(got - want).max()

    return check


def case(name: str, ours: Callable[[], Any], peers: dict[str, Callable[[], Any]], tolerance: float) -> Case:
    def check() -> None:
        for peer in peers.values():
            near(ours, peer, tolerance)()

    return Case(name, ours, peers, check, target=3.0)


def rotation(x: np.ndarray) -> Iterator[Case]:
    angle, middle = np.deg2rad(DEGREES), (SIZE - 1) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of rows and columns
    offset = middle - turn @ [middle, middle]
    ours_in, peers = lamina.tensor(x), {}
    ndimage = optional("scipy.ndimage")
    if ndimage:

        def with_scipy() -> np.ndarray:
            out = np.empty_like(x)
            for image, into in zip(x, out, strict=True):
                for channel, to in zip(image, into, strict=True):
                    ndimage.affine_transform(channel, turn, offset, order=1, mode="grid-constant", output=to)
            return out

        peers["scipy"] = with_scipy
    torch = optional("torch")
    if torch:
        theirs, theta = torch.tensor(x), torch.tensor(turn[::-1, ::-1].copy(), dtype=torch.float32)
        theta = torch.cat([theta, torch.zeros(2, 1)], 1).expand(BATCH, 2, 3)

        def with_torch() -> Any:
            places = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=True)
            return torch.nn.functional.grid_sample(theirs, places, align_corners=True)

        peers["torch"] = with_torch
    rotate = augment.RandomRotation((DEGREES, DEGREES))
    yield case(f"rotation {x.dtype}", lambda: rotate(ours_in), peers, 1e-4)


def flip_and_crop(x: np.ndarray) -> Iterator[Case]:
    """As for CIFAR: half of the images mirrored, then a crop out of the padded ones."""
    rng, ours_in = np.random.default_rng(2), lamina.tensor(x)
    mirrored, rows, columns = rng.uniform(0, 1, BATCH) < 0.5, rng.integers(0, 9, BATCH), rng.integers(0, 9, BATCH)
    maps = np.zeros((BATCH, 6), np.float32)
    maps[:, 0], maps[:, 4] = np.where(mirrored, -1, 1), 1
    maps[:, 2] = np.where(mirrored, SIZE - 1 - (columns - 4), columns - 4)
    maps[:, 5] = rows - 4
    matrices = lamina.tensor(maps)

    def ours() -> Any:
        return lamina._C._sample_places(ours_in, matrices, None, SIZE, SIZE)

    def with_numpy() -> np.ndarray:
        padded = np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4)))
        out = np.empty_like(x)
        for i in range(BATCH):
            image = padded[i, :, :, ::-1] if mirrored[i] else padded[i]
            out[i] = image[:, rows[i] : rows[i] + SIZE, columns[i] : columns[i] + SIZE]
        return out

    yield case(f"flip and crop {x.dtype}", ours, {"numpy": with_numpy}, 0)


def colours(x: np.ndarray) -> Iterator[Case]:
    """Bytes to normalised float32."""
    ours_in, normalize, peers = lamina.tensor(x), augment.Normalize(MEAN, STD), {}
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (MEAN, STD))

    def with_numpy() -> np.ndarray:
        return (x.astype(np.float32) / np.float32(255) - mean) / std

    peers["numpy"] = with_numpy
    torch = optional("torch")
    if torch:
        theirs, m, s = torch.tensor(x), torch.tensor(mean), torch.tensor(std)
        peers["torch"] = lambda: (theirs.float() / 255 - m) / s
    yield case(f"normalise {x.dtype}", lambda: normalize(ours_in), peers, 1e-5)


def chain(x: np.ndarray) -> Iterator[Case]:
    """Rotation by the same angle, contrast, normalisation: two passes here, seven there."""
    torch = optional("torch")
    if not torch:
        return
    ours_in, theirs = lamina.tensor(x), torch.tensor(x)
    angle = np.deg2rad(DEGREES)
    theta = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], dtype=torch.float32)
    m, s, grey = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD, [0.299, 0.587, 0.114]))
    steps = augment.Compose([augment.RandomRotation((DEGREES, DEGREES)), augment.ColorJitter(contrast=1e-9), augment.Normalize(MEAN, STD)])  # fmt: skip

    def with_torch() -> Any:
        places = torch.nn.functional.affine_grid(theta.expand(BATCH, 2, 3), list(x.shape), align_corners=True)
        y = torch.nn.functional.grid_sample(theirs, places, align_corners=True)
        level = (y * grey).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        return ((y - level) * 1.0 + level - m) / s

    yield case(f"rotation, contrast, normalise {x.dtype}", lambda: steps(ours_in), {"torch": with_torch}, 1e-3)


def cases() -> Iterator[Case]:
    for dtype in (np.uint8, np.float32):
        yield from flip_and_crop(images(dtype))
    yield from rotation(images(np.float32))
    yield from colours(images(np.uint8))
    yield from chain(images(np.float32))
