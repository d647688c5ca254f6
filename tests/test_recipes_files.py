"""Recipes on the files of MNIST and CIFAR-10 in a folder of the user's: written here, small, in their formats."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

import lamina
from lamina.__main__ import main
from lamina.recipes import _images
from test_data_files import idx

TINY = {  # settings, pictures
    "mlp": ("epochs=2 hidden=16 batch=16 expected=0", ["curves.png", "digits.png", "norms.png"]),
    "lenet": ("epochs=2 batch=16 expected=0", ["curves.png", "filters.png", "maps.png", "mistakes.png"]),
    "resnet": ("depths=8 width=2 epochs=1 batch=32 samples=64", ["resnet.png"]),
    "siamese": ("pairs=96 asked=60 features=8 epochs=1 batch=32", ["roc.png", "recognition.png"]),
    "transfer": ("photos=1 counts=1,2 epochs=1 steps=2 batch=16", ["transfer.png"]),
}


def pictures(count, channels, side, seed):
    """Each class has a bar at a place of its own, in noise: uint8 (count, channels, side, side) and the classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = random.integers(0, 80, (count, channels, side, side), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 2 * label + 2 : 2 * label + 5] += 170
    return images, labels


def write_mnist(folder, learn=None, test=None):
    for part, given, count in (("train", learn, 150), ("t10k", test, 60)):
        images, labels = given or pictures(count, 1, 28, count)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images[:, 0]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


def write_cifar(folder):
    inner = folder / "cifar-10-batches-bin"  # as it comes out of the archive
    inner.mkdir()
    for seed, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        images, labels = pictures(30, 3, 32, seed)
        (inner / name).write_bytes(np.concatenate([labels[:, None], images.reshape(30, -1)], 1).tobytes())


FORMATS = {"mnist": write_mnist, "cifar": write_cifar}


@pytest.fixture(autouse=True)
def everything(set_threads):
    set_threads(1)
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("form", FORMATS)
def test_runs_on_files(form, name, tmp_path, capsys):
    FORMATS[form](tmp_path)
    settings, files = TINY[name]
    out = tmp_path / "out"
    code = main(["train", name, "--quiet", "--out", str(out), "--set", f"folder={tmp_path}", *settings.split()])
    said = capsys.readouterr()
    assert code in (0, 3), said.err
    assert "expected" in said.out
    for file in files:
        assert (out / file).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "recipe, settings, said",
    [
        ("lenet", "epochs=8 batch=16 lr=0.005 augment=no", "test accuracy 100.00% of 60 images with 61706 parameters"),
        ("mlp", "epochs=6 batch=16 hidden=32 dropout=0", "test accuracy 100.00% (expected: at least 97%)"),
    ],
)
def test_what_files_show_is_learnt(recipe, settings, said, tmp_path, capsys):
    write_mnist(tmp_path)
    arguments = ["--quiet", "--out", str(tmp_path / "out"), "--set", f"folder={tmp_path}", *settings.split()]
    assert main(["train", recipe, *arguments]) == 0
    assert said in capsys.readouterr().out


def test_sets_of_files_are_what_the_files_have(tmp_path):
    write_cifar(tmp_path)
    learn, check, test = _images.file_sets(tmp_path)
    assert (len(learn), len(check), len(test)) == (138, 12, 30)
    images, labels = test.tensors
    want = pictures(30, 3, 32, 5)
    assert images.dtype is lamina.uint8
    np.testing.assert_array_equal(images.numpy(), want[0])
    np.testing.assert_array_equal(labels.numpy(), want[1])


def test_classes_are_numbered_anew():
    images, labels = pictures(40, 1, 28, 0)
    sevens = _images.Classes(lamina.data.TensorDataset(images, labels.astype("int64")), [7, 9])
    assert len(sevens) == 2
    shown = sevens.photograph([0, 1, 0], np.random.default_rng(0))
    assert shown.shape == (3, 1, 28, 28)
    brightest = shown.mean((1, 2)).argmax(1).tolist()  # a column of the bar
    assert [16 <= column < 19 for column in brightest] == [True, False, True]
    with pytest.raises(ValueError, match="no images of class 11"):
        _images.Classes(lamina.data.TensorDataset(images, labels.astype("int64")), [11])


def break_mnist(change):
    def write(folder):
        write_mnist(folder)
        change(folder)

    return write


def python_version(folder):
    """CIFAR-10 as pickled arrays: the other archive that there is of it."""
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"labels": [1]}))


@pytest.mark.parametrize("recipe", TINY)
@pytest.mark.parametrize(
    "write, message",
    [
        (lambda folder: None, "has neither MNIST's files (train-images-idx3-ubyte …) nor CIFAR-10's in binary form"),
        (python_version, "nor CIFAR-10's in binary form (data_batch_1.bin …)"),
        (break_mnist(lambda f: os.remove(f / "t10k-labels-idx1-ubyte")), "has no t10k-labels-idx1-ubyte"),
        (
            break_mnist(lambda f: os.truncate(f / "train-images-idx3-ubyte", 5000)),
            "(150, 28, 28) numbers take 117600 bytes, and 4984 are there",
        ),
        (break_mnist(lambda f: (f / "t10k-images-idx3-ubyte").write_bytes(b"<html>")), "is not an IDX file: it starts"),
        (
            lambda folder: write_mnist(folder, test=pictures(20, 1, 32, 0)),
            "images of one size, got (1, 28, 28) to learn from, (1, 32, 32) to test",
        ),
        (
            lambda folder: write_mnist(folder, learn=(pictures(20, 1, 28, 0)[0], np.full(20, 12, np.uint8))),
            "labels must be from 0 to 9, found 12 to 12",
        ),
    ],
)
def test_files_that_cannot_be_read(recipe, write, message, tmp_path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    assert main(["train", recipe, "--quiet", "--out", str(tmp_path / "out"), "--set", f"folder={folder}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lamina: ")
    assert message in said and str(folder) in said
    assert "Traceback" not in said


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["train", "lenet", "--out", str(tmp_path / "out"), "--set", f"folder={tmp_path / 'none'}"]) == 1
    assert "none has neither MNIST's files" in capsys.readouterr().err
