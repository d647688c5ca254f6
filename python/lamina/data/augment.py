"""Augmentation of batches of images (N, C, H, W), uint8 or float32, by multi-threaded kernels or on a GPU.

Neighbouring changes of place (flips, crops, rotation, shear, warping) are one map from the result's pixels to the input's,
and so one pass, with one interpolation; neighbouring changes of colour are one affine map of the channels. Every image has
its own random numbers, which depend on the generator's seed and offset and on the image's place in the batch alone: they are drawn on the CPU (or where the generator is), the same for images on any device.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import lamina
from lamina import _C, Generator, Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = [
    "Augmentation", "CenterCrop", "ColorJitter", "Compose", "Cutout", "ElasticWarp", "HorizontalFlip", "Normalize",
    "PCAColorShift", "RandomAffine", "RandomCrop", "RandomRotation", "RandomShear", "Resize", "ToFloat", "VerticalFlip",
]  # fmt: skip


def _blank(*shape: int, dtype: Any, generator: Generator | None) -> Tensor:
    return _C.empty(*shape, dtype=dtype, device=generator.device if generator else "cpu")


def _uniform(n: int, low: float, high: float, generator: Generator | None) -> np.ndarray:
    drawn = _blank(n, dtype=lamina.float64, generator=generator).uniform_(low, high, generator=generator)
    numbers: np.ndarray = drawn.cpu().numpy()
    return numbers


def _pair(layer: str, name: str, given: Any) -> tuple[Any, Any]:
    pair = (given, given) if isinstance(given, (int, float)) else tuple(given)
    if len(pair) != 2:
        raise ValueError(f"{layer}: {name} must be one number or two, got {given!r}")
    return pair


def _around(layer: str, name: str, given: Any) -> tuple[float, float]:
    """A range; of a single number from minus that to that."""
    low, high = (-given, given) if isinstance(given, (int, float)) else tuple(given)
    if not low <= high:
        raise ValueError(f"{layer}: {name} must be a number ≥ 0 or a range (low, high), got {given!r}")
    return float(low), float(high)


class Augmentation:
    """What can be called with a batch, and put into a Compose."""

    def __call__(self, images: Any, generator: Generator | None = None) -> Tensor:
        return Compose([self])(images, generator)

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items() if not k.startswith("_"))
        return f"{type(self).__name__}({shown})"


class Compose(Augmentation):
    """One augmentation after the other, in as few passes as they need.

    fill: the value of places beyond the image; edge=True: that of the nearest pixel.
    """

    def __init__(self, transforms: Sequence[Augmentation], fill: float = 0.0, edge: bool = False) -> None:
        for t in transforms:
            if not isinstance(t, (_Places, _Colours, _Whole, Compose)):
                raise TypeError(f"Compose: expected augmentations, got {t!r}")
        self.transforms, self.fill, self.edge = list(transforms), fill, edge

    def __call__(self, images: Any, generator: Generator | None = None) -> Tensor:
        x = lamina.as_tensor(images)
        if x.ndim != 4:
            raise ValueError(f"Compose: images must be (N, C, H, W), got shape {x.shape}")
        waiting = list(self.transforms)
        while waiting:
            kind = next((k for k in (_Places, _Colours) if isinstance(waiting[0], k)), None)
            if kind is None:
                x = waiting.pop(0)(x, generator)
                continue
            run: list[Any] = []
            while waiting and isinstance(waiting[0], kind):
                run.append(waiting.pop(0))
            x = _moved(x, run, self.fill, self.edge, generator) if kind is _Places else _recoloured(x, run, generator)
        return x

    def __repr__(self) -> str:
        return "Compose([\n" + "".join(f"  {t!r},\n" for t in self.transforms) + "])"


# ---- places ----


class _Places(Augmentation):
    """Maps the result's pixels to the input's, where a pixel's place is its column and row."""

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        """A matrix (3, 3) for each image, of height and width `size`, and the result's height and width."""
        raise NotImplementedError

    def shifts(self, n: int, size: tuple[int, int], generator: Generator | None, device: Any) -> Tensor | None:
        """What is added to column and row of each pixel of the result: (n, 2, height, width), on the device."""
        return None


def _moved(x: Tensor, run: list[_Places], fill: float, edge: bool, generator: Generator | None) -> Tensor:
    n, _, height, width = x.shape
    total, size = _identity(n), (height, width)
    for t in run:
        matrices, size = t.maps(n, size, generator)
        total = total @ matrices
    shifts = None
    for t in run:
        more = t.shifts(n, size, generator, x.device)
        shifts = more if shifts is None else shifts if more is None else shifts + more
    flat = _placed(total[:, :2].reshape(n, 6), x.device)
    return _C._sample_places(x, flat, shifts, *size, fill, edge)


def _identity(n: int) -> np.ndarray:
    import numpy as np

    return np.tile(np.eye(3), (n, 1, 1))


class _Flip(_Places):
    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be between 0 and 1, got {p}")
        self.p = p

    def _mirrored(self, axis: int, n: int, size: tuple[int, int], generator: Generator | None) -> np.ndarray:
        matrices, flipped = _identity(n), _uniform(n, 0, 1, generator) < self.p
        matrices[flipped, axis, axis] = -1
        matrices[flipped, axis, 2] = size[1 - axis] - 1
        return matrices


class HorizontalFlip(_Flip):
    """Left and right exchanged, with probability p."""

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        return self._mirrored(0, n, size, generator), size


class VerticalFlip(_Flip):
    """Top and bottom exchanged, with probability p."""

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        return self._mirrored(1, n, size, generator), size


class RandomCrop(_Places):
    """A piece of `size` (height, width), from anywhere in the image with `padding` pixels around it."""

    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        self.size, self.padding = _pair("RandomCrop", "size", size), padding
        if min(self.size) < 1 or padding < 0:
            raise ValueError(f"RandomCrop: expected size ≥ 1 and padding ≥ 0, got {size} and {padding}")

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        import numpy as np

        matrices = _identity(n)
        for axis in (0, 1):
            places = size[1 - axis] + 2 * self.padding - self.size[1 - axis] + 1
            if places < 1:
                raise ValueError(f"RandomCrop: {self.size} is larger than images {size} with padding {self.padding}")
            drawn = np.minimum(np.floor(_uniform(n, 0, places, generator)), places - 1)
            matrices[:, axis, 2] = drawn - self.padding
        return matrices, self.size


class CenterCrop(_Places):
    """The piece of `size` (height, width) from the middle."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = _pair("CenterCrop", "size", size)

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        matrices = _identity(n)
        for axis in (0, 1):
            matrices[:, axis, 2] = (size[1 - axis] - self.size[1 - axis]) // 2
        return matrices, self.size


class Resize(_Places):
    """To `size` (height, width), bilinear."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = _pair("Resize", "size", size)

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        matrices = _identity(n)
        for axis in (0, 1):
            by = size[1 - axis] / self.size[1 - axis]
            matrices[:, axis, axis], matrices[:, axis, 2] = by, (by - 1) / 2
        return matrices, self.size


class RandomAffine(_Places):
    """Rotation, shear, scaling and translation around the middle, each drawn evenly from its range.

    degrees, shear (of the rows, in degrees): a range, or a number for minus that to that. scale: a range of factors.
    translate: the largest part of width and of height.
    """

    def __init__(
        self,
        degrees: float | tuple[float, float] = 0.0,
        translate: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float | tuple[float, float] = 0.0,
    ) -> None:
        name = type(self).__name__
        self.degrees, self.shear = _around(name, "degrees", degrees), _around(name, "shear", shear)
        self.translate, self.scale = _pair(name, "translate", translate), _pair(name, "scale", scale)
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"{name}: scale must be a range of positive factors, got {scale}")
        if not -90 < self.shear[0] <= self.shear[1] < 90:
            raise ValueError(f"{name}: shear must lie between -90 and 90 degrees, got {shear}")

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        import numpy as np

        angle = _uniform(n, *self.degrees, generator) * (math.pi / 180)
        lean = np.tan(_uniform(n, *self.shear, generator) * (math.pi / 180))
        by = 1 / _uniform(n, *self.scale, generator)
        turned, sheared = _identity(n), _identity(n)
        cos, sin = np.cos(angle) * by, np.sin(angle) * by
        turned[:, 0, 0], turned[:, 0, 1], turned[:, 1, 0], turned[:, 1, 1] = cos, -sin, sin, cos
        sheared[:, 0, 1] = lean
        matrices = turned @ sheared
        middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
        moved = [_uniform(n, -t, t, generator) * s for t, s in zip(self.translate, size[::-1], strict=True)]
        matrices[:, :2, 2] = middle - matrices[:, :2, :2] @ middle - np.stack(moved, 1)
        return matrices, size


class RandomRotation(RandomAffine):
    """Turned around the middle by an angle from the range, or from minus `degrees` to that."""

    def __init__(self, degrees: float | tuple[float, float]) -> None:
        super().__init__(degrees)


class RandomShear(RandomAffine):
    """Rows pushed along each other, by an angle from the range, or from minus `degrees` to that."""

    def __init__(self, degrees: float | tuple[float, float]) -> None:
        super().__init__(shear=degrees)


class ElasticWarp(_Places):
    """Local warping: a net of `cells` × `cells` places, each moved by a normal number of `alpha` pixels, and what lies
    between them bilinearly (after P. Y. Simard et al., Best practices for convolutional neural networks, 2003)."""

    def __init__(self, alpha: float = 2.0, cells: int = 4) -> None:
        if not alpha >= 0 or cells < 1:
            raise ValueError(f"ElasticWarp: expected alpha ≥ 0 and cells ≥ 1, got {alpha} and {cells}")
        self.alpha, self.cells = alpha, cells

    def maps(self, n: int, size: tuple[int, int], generator: Generator | None) -> tuple[np.ndarray, tuple[int, int]]:
        return _identity(n), size

    def shifts(self, n: int, size: tuple[int, int], generator: Generator | None, device: Any) -> Tensor:
        from lamina.nn.functional import interpolate

        net = _blank(n, 2, self.cells + 1, self.cells + 1, dtype=lamina.float32, generator=generator)
        net.normal_(0.0, self.alpha, generator=generator)
        return interpolate(net.to(device), size, mode="bilinear", align_corners=True)


# ---- colours ----


class _Colours(Augmentation):
    """An affine map of an image's channels."""

    to_float = False

    def change(
        self, matrices: np.ndarray, offsets: np.ndarray, means: Any, white: float, generator: Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The map (n, C, C), (n, C) so far, with this one after it. means(): of each image's channels before it; white:
        the value of a full channel."""
        raise NotImplementedError


class _Fixed(_Colours):
    """A map that is the same for all images; equal ones are interchangeable."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))


@lru_cache(maxsize=64)
def _fixed_map(run: tuple[_Fixed, ...], channels: int, white: float, device: Any) -> tuple[Tensor, Tensor]:
    """One map for all images: for a fast kernel, making one for each takes as long as what it is for."""
    import numpy as np

    matrices, offsets = np.eye(channels)[None], np.zeros((1, channels))
    for t in run:
        matrices, offsets = t.change(matrices, offsets, None, white, None)
        white = 1.0 if t.to_float else white
    return _placed(matrices, device), _placed(offsets, device)


def _placed(a: np.ndarray, device: Any) -> Tensor:
    return lamina.from_numpy(a.astype("float32")).to(device)


def _recoloured(x: Tensor, run: list[_Colours], generator: Generator | None) -> Tensor:
    import numpy as np

    n, channels = x.shape[:2]
    to_float = any(t.to_float for t in run)
    if all(isinstance(t, _Fixed) for t in run):
        by, add = _fixed_map(tuple(run), channels, 255.0 if x.dtype == lamina.uint8 else 1.0, x.device)
        return _C._recolour(x, by, add, to_float)
    matrices, offsets = np.tile(np.eye(channels), (n, 1, 1)), np.zeros((n, channels))
    first: list[np.ndarray] = []

    def means() -> np.ndarray:
        if not first:
            first.append(_C._colour_means(x).cpu().numpy().astype(np.float64))
        return np.einsum("nck,nk->nc", matrices, first[0]) + offsets

    white = 255.0 if x.dtype == lamina.uint8 else 1.0
    for t in run:
        matrices, offsets = t.change(matrices, offsets, means, white, generator)
        white = 1.0 if t.to_float else white
    return _C._recolour(x, _placed(matrices, x.device), _placed(offsets, x.device), to_float)


def _greys(channels: int) -> np.ndarray:
    """The share of each channel in an image's brightness."""
    import numpy as np

    return np.array([0.299, 0.587, 0.114]) if channels == 3 else np.full(channels, 1 / channels)


class ColorJitter(_Colours):
    """Brightness, contrast and saturation times factors from 1 − value to 1 + value, in this order."""

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> None:
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            if not 0 <= value <= 1:
                raise ValueError(f"ColorJitter: {name} must be between 0 and 1, got {value}")
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation

    def change(
        self, matrices: np.ndarray, offsets: np.ndarray, means: Any, white: float, generator: Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        n, channels = offsets.shape
        grey = _greys(channels)
        bright, contrast, saturation = (
            _uniform(n, 1 - v, 1 + v, generator) for v in (self.brightness, self.contrast, self.saturation)
        )
        level = (means() @ grey * bright * (1 - contrast))[:, None] if self.contrast else 0.0
        both = (bright * contrast)[:, None]
        matrices, offsets = matrices * both[..., None], offsets * both + level
        blend = saturation[:, None, None] * np.eye(channels) + (1 - saturation)[:, None, None] * grey[None, None]
        return blend @ matrices, np.einsum("nck,nk->nc", blend, offsets)


class PCAColorShift(_Colours):
    """Each image's colour moved along the principal axes of colours by normal numbers of `std` (Krizhevsky et al. 2012).

    The axes, as columns, and the deviations along them: those of photographs unless given, for channels from 0 to 1.
    """

    def __init__(self, std: float = 0.1, axes: Any = None, deviations: Any = None) -> None:
        if not std >= 0 or (axes is None) != (deviations is None):
            raise ValueError("PCAColorShift: expected std ≥ 0, and axes together with deviations")
        self.std = std
        self.axes = axes if axes is not None else [
            [-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203],
        ]  # fmt: skip
        self.deviations = deviations if deviations is not None else [0.2175, 0.0188, 0.0045]

    @classmethod
    def fit(cls, images: Any, std: float = 0.1) -> PCAColorShift:
        """With the axes of these images' own colours."""
        import numpy as np

        x = lamina.as_tensor(images)
        colours = np.moveaxis(x.cpu().numpy().astype(np.float64), 1, -1).reshape(-1, x.shape[1])
        values, axes = np.linalg.eigh(np.cov(colours.T).reshape(x.shape[1], x.shape[1]))
        white = 255.0 if x.dtype == lamina.uint8 else 1.0
        return cls(std, axes.tolist(), (np.sqrt(np.maximum(values, 0)) / white).tolist())

    def change(
        self, matrices: np.ndarray, offsets: np.ndarray, means: Any, white: float, generator: Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        n, channels = offsets.shape
        axes, deviations = np.asarray(self.axes), np.asarray(self.deviations)
        if axes.shape != (channels, channels) or deviations.shape != (channels,):
            raise ValueError(f"PCAColorShift: axes of {channels} channels were expected, got shape {axes.shape}")
        drawn = _blank(n, channels, dtype=lamina.float64, generator=generator)
        steps = drawn.normal_(0.0, self.std, generator=generator).cpu().numpy()
        return matrices, offsets + (steps * deviations) @ axes.T * white


class ToFloat(_Fixed):
    """To float32 times `scale`: bytes come to lie between 0 and 1."""

    to_float = True

    def __init__(self, scale: float = 1 / 255) -> None:
        self.scale = scale

    def change(
        self, matrices: np.ndarray, offsets: np.ndarray, means: Any, white: float, generator: Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return matrices * self.scale, offsets * self.scale


class Normalize(_Fixed):
    """(x − mean) / std of each channel, float32. Bytes count as parts of 255."""

    to_float = True

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"Normalize: expected as many means as positive deviations, got {mean} and {std}")
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))

    def change(
        self, matrices: np.ndarray, offsets: np.ndarray, means: Any, white: float, generator: Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        if len(self.mean) != offsets.shape[1]:
            raise ValueError(f"Normalize: {len(self.mean)} means, but images of {offsets.shape[1]} channels")
        by = 1 / (np.asarray(self.std) * white)
        return matrices * by[:, None], offsets * by - np.asarray(self.mean) / np.asarray(self.std)


# ---- whole images ----


class _Whole(Augmentation):
    """What is a pass of its own."""

    def __call__(self, images: Any, generator: Generator | None = None) -> Tensor:
        raise NotImplementedError


class Cutout(_Whole):
    """A square of `size` around a place anywhere in the image becomes `fill` (DeVries, Taylor 2017)."""

    def __init__(self, size: int, fill: float = 0.0) -> None:
        if size < 1:
            raise ValueError(f"Cutout: size must be at least 1, got {size}")
        self.size, self.fill = size, fill

    def __call__(self, images: Any, generator: Generator | None = None) -> Tensor:
        import numpy as np

        x = lamina.as_tensor(images)
        if x.ndim != 4:
            raise ValueError(f"Cutout: images must be (N, C, H, W), got shape {x.shape}")
        n, _, height, width = x.shape
        corners = [np.floor(_uniform(n, 0, s, generator)).astype(np.int64) - self.size // 2 for s in (width, height)]
        boxes = np.stack([*corners, *(c + self.size for c in corners)], 1)
        return _C._erase_boxes(x, lamina.from_numpy(boxes).to(x.device), self.fill)
