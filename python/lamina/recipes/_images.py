"""Images to learn from: scikit-learn's digits, enlarged, or MNIST from a folder; and pictures of what nets make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor, data
from lamina.nn import functional as F
from lamina.train import plots


def warp(images: Tensor, degrees: float, shear: float, scale: float, shift: float) -> Tensor:
    """Each image (N, H, W) turned, sheared, scaled and moved by random amounts up to these (shift in pixels), by bilinear
    interpolation; what comes in from outside is 0."""
    import numpy

    count, height, width = images.shape
    random = numpy.random.default_rng(int(lamina.randint(2**31, (1,))))
    angle, slant, size = (
        random.uniform(-most, most, (count, 1, 1)) for most in (numpy.deg2rad(degrees), shear, numpy.log(scale))
    )
    move = random.uniform(-shift, shift, (2, count, 1, 1))
    y, x = numpy.mgrid[:height, :width] - numpy.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    cos, sin = numpy.cos(angle) / numpy.exp(size), numpy.sin(angle) / numpy.exp(size)
    from_x = cos * x + (sin + slant) * y + (width - 1) / 2 + move[0]
    from_y = -sin * x + cos * y + (height - 1) / 2 + move[1]
    left, top = numpy.floor(from_x).astype(int), numpy.floor(from_y).astype(int)
    padded = numpy.pad(images.numpy(), ((0, 0), (1, 1), (1, 1)))
    which = numpy.arange(count)[:, None, None]
    out = numpy.zeros((count, height, width))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(from_x - left - dx)) * (1 - abs(from_y - top - dy))
            # The padding holds zeros for every place outside.
            rows, columns = (top + dy + 1).clip(0, height + 1), (left + dx + 1).clip(0, width + 1)
            out += weight * padded[which, rows, columns]
    return lamina.from_numpy(out).float()


def enlarged_digits(side: int, copies: int, margin: int = 0) -> list[data.TensorDataset]:
    """Training, validation and test set of scikit-learn's digits as (N, 1, side, side) from 0 to 1, interpolated from
    8 × 8 to all but a margin; of each digit to learn from, `copies` besides it, slightly warped."""
    digits = data.bundled("digits")
    small = data.TensorDataset(digits.tensors[0].reshape(-1, 1, 8, 8) / 16, digits.tensors[1])
    sets = []
    for part in data.split(small, stratify=True):
        images, labels = data.tensors_of(part)
        inner = side - 2 * margin
        images = F.interpolate(images, size=(inner, inner), mode="bilinear", align_corners=False)
        sets.append([F.pad(images, (margin,) * 4), labels])
    images, labels = sets[0]
    warped = [warp(images[:, 0], 12, 0.1, 1.1, side / 14).unsqueeze(1) for _ in range(copies)]
    sets[0] = [lamina.cat([images, *warped]), labels.repeat(copies + 1)]
    return [data.TensorDataset(*pair) for pair in sets]


def mnist_sets(folder: Path) -> list[data.TensorDataset]:
    """Training, validation and test set of MNIST's or Fashion-MNIST's files, (N, 1, 28, 28) from 0 to 1."""
    whole, test = (data.mnist(folder, train) for train in (True, False))
    whole, test = (data.TensorDataset(d.tensors[0].unsqueeze(1).float() / 255, d.tensors[1]) for d in (whole, test))
    held_out = max(1, len(whole) // 12)
    rest = data.split(whole, (len(whole) - held_out, held_out, 0), stratify=True)
    return [data.TensorDataset(*data.tensors_of(part)) for part in rest[:2]] + [test]


def show_image(axis: Any, image: Tensor, title: str = "", **style: Any) -> None:
    """An image (H, W) or (C, H, W), without ticks."""
    pixels = image.detach().numpy()
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).clip(0, 1)
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
