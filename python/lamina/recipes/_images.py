"""Images to learn from: scikit-learn's digits, enlarged, or files from a folder; and pictures of what nets make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor, data
from lamina.data import augment
from lamina.nn import functional as F
from lamina.train import plots

Sets = list[data.TensorDataset]  # to learn from, to check with, to test with: bytes (N, C, H, W) and classes
PLAIN = augment.ToFloat()  # from 0 to 1
WARPED = augment.Compose(
    [augment.RandomAffine(degrees=12, translate=(0.07, 0.07), scale=(0.9, 1.1), shear=6), PLAIN]
)  # anew in every epoch


def enlarged_digits(side: int, margin: int = 0) -> Sets:
    """scikit-learn's digits of 8 × 8 pixels, interpolated to side × side but for a margin."""
    digits = data.bundled("digits")
    inner = side - 2 * margin
    images = F.interpolate(
        digits.tensors[0].reshape(-1, 1, 8, 8) * (255 / 16), size=(inner, inner), mode="bilinear", align_corners=False
    )
    images = F.pad(images, (margin,) * 4).round().to(lamina.uint8)
    parts = data.split(data.TensorDataset(images, digits.tensors[1]), stratify=True)
    return [data.TensorDataset(*data.tensors_of(part)) for part in parts]


def file_sets(folder: Path) -> Sets:
    """What a folder has: MNIST's or Fashion-MNIST's four files, or CIFAR-10's six in their binary form. A twelfth of what
    is there to learn from is held out to check with."""
    if any(folder.glob("data_batch_*.bin*")) or (folder / "cifar-10-batches-bin").is_dir():
        whole, test = (data.cifar10(folder, train) for train in (True, False))
    elif any(folder.glob("*ubyte*")):
        whole, test = (data.mnist(folder, train) for train in (True, False))
        whole, test = (data.TensorDataset(d.tensors[0].unsqueeze(1), d.tensors[1]) for d in (whole, test))
    else:
        raise FileNotFoundError(
            f"{folder} has neither MNIST's files (train-images-idx3-ubyte …) nor CIFAR-10's in binary form "
            "(data_batch_1.bin …)"
        )
    shapes = [d.tensors[0].shape[1:] for d in (whole, test)]
    if shapes[0] != shapes[1] or shapes[0][1] != shapes[0][2]:
        raise ValueError(
            f"{folder}: expected square images of one size, got {shapes[0]} to learn from, {shapes[1]} to test"
        )
    held_out = max(1, len(whole) // 12)
    rest = data.split(whole, (len(whole) - held_out, held_out, 0), stratify=True)
    return [data.TensorDataset(*data.tensors_of(part)) for part in rest[:2]] + [test]


class Classes:
    """Some of a data set's classes, numbered anew from 0; a photograph of one is any of its images."""

    def __init__(self, dataset: data.TensorDataset, classes: Sequence[int]) -> None:
        self.images, labels = dataset.tensors
        self.places = [lamina.nonzero(labels == c).reshape(-1) for c in classes]
        empty = [c for c, places in zip(classes, self.places, strict=True) if not len(places)]
        if empty:
            raise ValueError(f"there are no images of class {empty[0]}")

    def __len__(self) -> int:
        return len(self.places)

    def photograph(self, which: Any, random: Any) -> Tensor:
        """An image of each of these classes: (N, C, H, W) from 0 to 1."""
        chosen = [int(self.places[c][int(random.integers(len(self.places[c])))]) for c in which]
        return PLAIN(self.images.index_select(0, lamina.tensor(chosen)))


def show_image(axis: Any, image: Tensor, title: str = "", **style: Any) -> None:
    """An image (H, W) or (C, H, W), without ticks."""
    pixels = image.detach().numpy()
    if pixels.ndim == 3:
        pixels = (
            pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).clip(0, 255 if pixels.dtype == "uint8" else 1)
        )
    axis.imshow(pixels, interpolation="nearest", **({"cmap": "gray"} | style))
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.set_title(title, fontsize=9, fontweight="normal", loc="center", pad=3)


def show_filters(weight: Tensor, path: Path, title: str) -> None:
    """The kernels (outputs, inputs, H, W) of a first layer; those of three inputs in colour."""
    count = min(weight.shape[0], 64)
    columns = min(count, 8)
    rows = -(-count // columns)
    with plots.figure(path, rows, columns, (1.1 * columns, 1.1 * rows + 0.5), squeeze=False) as (fig, axes):
        fig.suptitle(title, x=0.01, ha="left", fontsize=12)
        for axis in axes.flat:
            axis.axis("off")
        for axis, kernel in zip(axes.flat, weight.detach(), strict=False):
            low, high = float(kernel.min()), float(kernel.max())
            shown = (kernel - low) / max(high - low, 1e-9) if len(kernel) == 3 else kernel[:1]
            most = max(abs(low), abs(high))
            colours: dict[str, Any] = {} if len(kernel) == 3 else {"cmap": "RdBu", "vmin": -most, "vmax": most}
            show_image(axis, shown, "", **colours)


def show_maps(image: Tensor, layers: dict[str, Tensor], path: Path) -> None:
    """An image and what the layers make of it, (channels, H, W) each, a row a layer."""
    columns = 1 + max(min(len(maps), 8) for maps in layers.values())
    with plots.figure(path, len(layers), columns, (1.2 * columns, 1.35 * len(layers) + 0.3), squeeze=False) as (
        fig,
        axes,
    ):
        for axis in axes.flat:
            axis.axis("off")
        show_image(axes[0, 0], image, "input")
        for row, (name, maps) in zip(axes, layers.items(), strict=True):
            for place, (axis, channel) in enumerate(zip(row[1:], maps, strict=False)):
                show_image(axis, channel, name if place == 0 else "", cmap="magma")
