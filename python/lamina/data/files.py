"""Data sets from files of the user's: arrays (npy, npz, csv, safetensors), MNIST's IDX files and CIFAR's binary files."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor
from lamina.data.dataset import TensorDataset

Location = str | os.PathLike[str]

# ---- arrays ----


def read_arrays(path: Location, names: Sequence[str] | None = None) -> TensorDataset:
    """The arrays of a .npy, .npz or .safetensors file (all, or those named, in that order) as a data set."""
    import numpy

    path = Path(path)
    if path.suffix == ".safetensors":
        found: dict[str, Any] = dict(lamina.load(path))
    elif path.suffix in (".npy", ".npz"):
        try:
            with open(path, "rb") as file:
                content = numpy.load(file, allow_pickle=False)
                found = {path.stem: content} if path.suffix == ".npy" else dict(content)
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a readable {path.suffix} file: {error}") from error
    else:
        raise ValueError(f"{path}: expected a name that ends in .npy, .npz or .safetensors")
    missing = [name for name in names or () if name not in found]
    if missing:
        raise ValueError(f"{path} has no array {missing[0]!r}; it has {', '.join(map(repr, found))}")
    return TensorDataset(*(found[name] for name in (names or found)))


def read_csv(path: Location, target: str | int | None = -1, delimiter: str = ",") -> TensorDataset:
    """Numbers in rows and columns, with a header line or without, as float32: all columns but the target, and the target
    (a column's name or number; None if there is none)."""
    import csv

    with open(path, newline="", encoding="utf-8") as file:
        try:
            rows = [
                (reader.line_num, row) for reader in [csv.reader(file, delimiter=delimiter)] for row in reader if row
            ]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is not a text file of columns: {error}") from error
    header: list[str] = []
    if rows and not all(map(_is_number, rows[0][1])):
        header = [cell.strip() for cell in rows.pop(0)[1]]
    if not rows:
        raise ValueError(f"{path} has no rows of numbers")
    width = len(header or rows[0][1])
    numbers = []
    for line, row in rows:
        if len(row) != width:
            raise ValueError(f"{path}, line {line}: {len(row)} columns, expected {width}")
        wrong = next((cell for cell in row if not _is_number(cell)), None)
        if wrong is not None:
            raise ValueError(f"{path}, line {line}: {wrong!r} is not a number")
        numbers.append([float(cell) for cell in row])
    table = lamina.tensor(numbers)
    if target is None:
        return TensorDataset(table)
    if isinstance(target, str):
        if target not in header:
            raise ValueError(f"{path} has no column {target!r}; it has {', '.join(map(repr, header)) or 'no header'}")
        target = header.index(target)
    if not -width <= target < width:
        raise ValueError(f"{path} has {width} columns, no column {target}")
    target %= width
    features = [column for column in range(width) if column != target]
    return TensorDataset(table[:, features], table[:, target].contiguous())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# ---- IDX (LeCun's format of MNIST) ----

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error


def read_idx(path: Location) -> Tensor:
    """The array in an IDX file, gzipped (.gz) or not."""
    import numpy

    path = Path(path)
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise ValueError(f"{path} is not an IDX file: it starts with {content[:4].hex(' ') or 'nothing'}")
    kind, ndim = numpy.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * ndim
    if ndim > 8 or len(content) < start:
        raise ValueError(f"{path} is not an IDX file: the sizes of its {ndim} dimensions are missing")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    expected = prod(shape) * kind.itemsize
    if len(content) - start != expected:
        raise ValueError(f"{path}: {shape} numbers take {expected} bytes, and {len(content) - start} are there")
    array = numpy.frombuffer(content, kind, offset=start).reshape(shape)
    if kind.itemsize <= 2 and kind.str != "|u1":
        return lamina.tensor(array.astype("i4"))  # lamina has no int8 and int16
    return lamina.tensor(array.astype(kind.newbyteorder("=")))


def mnist(folder: Location, train: bool = True) -> TensorDataset:
    """MNIST, Fashion-MNIST or any set in its files: uint8 images (N, 28, 28) and int64 labels, from a folder that has
    train-images-idx3-ubyte and train-labels-idx1-ubyte (t10k-… for the test set), gzipped or not."""
    part = "train" if train else "t10k"
    images = read_idx(_find(folder, f"{part}-images-idx3-ubyte", f"{part}-images.idx3-ubyte"))
    labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte", f"{part}-labels.idx1-ubyte"))
    if images.ndim != 3 or labels.ndim != 1 or images.shape[0] != labels.shape[0]:
        raise ValueError(f"{folder}: images {images.shape} and labels {labels.shape} do not belong together")
    if not len(labels):
        raise ValueError(f"{folder}: the {part} set is empty")
    _check_labels(folder, labels, 10)
    return TensorDataset(images, labels.long())


def _find(folder: Location, *names: str) -> Path:
    folder = Path(folder)
    candidates = [folder / (name + ending) for name in names for ending in ("", ".gz")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected one with {names[0]}")
    raise FileNotFoundError(f"{folder} has no {names[0]} (nor {names[0]}.gz)")


def _check_labels(where: Location, labels: Tensor, classes: int) -> None:
    if labels.numel() and (int(labels.max()) >= classes or int(labels.min()) < 0):
        raise ValueError(
            f"{where}: labels must be from 0 to {classes - 1}, found {int(labels.min())} to {int(labels.max())}"
        )


# ---- CIFAR (the binary version) ----

_CIFAR_PIXELS = 3 * 32 * 32


def _cifar(
    folder: Location, names: Sequence[str], subfolder: str, labels: int, classes: int, label: int
) -> TensorDataset:
    """Records of `labels` bytes with labels, of which the `label`-th counts, and 3072 with red, green and blue."""
    folder = Path(folder)
    if (folder / subfolder).is_dir():
        folder = folder / subfolder
    record = labels + _CIFAR_PIXELS
    images, targets = [], []
    for name in names:
        path = _find(folder, name)
        content = _content(path)
        if not content or len(content) % record:
            raise ValueError(f"{path}: {len(content)} bytes are not a whole number of {record}-byte records")
        records = lamina.frombuffer(bytearray(content), dtype=lamina.uint8).reshape(-1, record)
        _check_labels(path, records[:, label], classes)
        targets.append(records[:, label].long())
        images.append(records[:, labels:].reshape(-1, 3, 32, 32))
    return TensorDataset(lamina.cat(images), lamina.cat(targets))


def cifar10(folder: Location, train: bool = True) -> TensorDataset:
    """CIFAR-10 from the files data_batch_1.bin … data_batch_5.bin and test_batch.bin: uint8 images (N, 3, 32, 32) and
    int64 labels."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
    return _cifar(folder, names, "cifar-10-batches-bin", labels=1, classes=10, label=0)


def cifar100(folder: Location, train: bool = True, coarse: bool = False) -> TensorDataset:
    """CIFAR-100 from train.bin and test.bin, with its 100 fine labels or its 20 coarse ones."""
    names = ["train.bin" if train else "test.bin"]
    return _cifar(folder, names, "cifar-100-binary", 2, 20 if coarse else 100, label=0 if coarse else 1)
