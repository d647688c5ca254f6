"""Readers of files, and what they say of malformed ones."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest

import lamina
from lamina import data


def idx(array, code=0x08):
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


def write_mnist(folder, images=IMAGES, labels=LABELS, zipped=False):
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        content = idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(tmp_path, zipped):
    d = data.mnist(write_mnist(tmp_path, zipped=zipped))
    np.testing.assert_array_equal(d.tensors[0].numpy(), IMAGES, strict=True)
    assert d.tensors[1].dtype is lamina.int64
    assert d.tensors[1].tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "code, kind", [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_idx_types(tmp_path, code, kind):
    array = (np.array([[1, 2, 3], [100, 0, 7]]) * (1 if kind == "u1" else -1)).astype(kind)
    (tmp_path / "f").write_bytes(idx(array, code))
    assert data.read_idx(tmp_path / "f").tolist() == array.tolist()


def test_idx_of_no_images(tmp_path):
    (tmp_path / "f").write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
    assert data.read_idx(tmp_path / "f").shape == (0, 28, 28)


GOOD = idx(IMAGES)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "starts with nothing"),
        (b"\x89PNG" + GOOD, "is not an IDX file: it starts with 89 50 4e 47"),
        (b"\0\0\x07\1" + GOOD[4:], "is not an IDX file"),
        (GOOD[:9], "sizes of its 3 dimensions are missing"),
        (b"\0\0\x08\xff" + bytes(2000), "sizes of its 255 dimensions"),
        (GOOD[:-1], r"\(6, 28, 28\) numbers take 4704 bytes, and 4703 are there"),
        (GOOD + b"\0", "4705 are there"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "are there"),
    ],
)
def test_malformed_idx(tmp_path, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.read_idx(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)


def test_malformed_gzip(tmp_path):
    whole = gzip.compress(GOOD)
    for content in (GOOD, whole[:-9], whole[:40] + bytes(20) + whole[60:]):
        (tmp_path / "f.gz").write_bytes(content)
        with pytest.raises(ValueError, match="f.gz is not a whole gzip file"):
            data.read_idx(tmp_path / "f.gz")


def test_folders_that_are_not_mnist(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; expected one with train-images-idx3-ubyte"):
        data.mnist(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="has no t10k-images-idx3-ubyte"):
        data.mnist(write_mnist(tmp_path), train=False)
    with pytest.raises(ValueError, match="do not belong together"):
        data.mnist(write_mnist(tmp_path, labels=LABELS[:-1]))
    with pytest.raises(ValueError, match="labels must be from 0 to 9, found 1 to 10"):
        data.mnist(write_mnist(tmp_path, labels=np.array([3, 1, 4, 1, 5, 10], np.uint8)))


def cifar_records(n, label_bytes, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 3072), np.uint8)
    labels = rng.integers(0, 10, (n, label_bytes), np.uint8)
    return pixels, labels, np.concatenate([labels, pixels], 1).tobytes()


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, subfolder):
    (tmp_path / subfolder).mkdir(exist_ok=True)
    want = []
    for i in range(1, 6):
        *kept, content = cifar_records(i, 1, i)
        want.append(kept)
        (tmp_path / subfolder / f"data_batch_{i}.bin").write_bytes(content)
    d = data.cifar10(tmp_path)
    assert d.tensors[0].shape == (15, 3, 32, 32)
    np.testing.assert_array_equal(d.tensors[0].numpy().reshape(15, -1), np.concatenate([p for p, _ in want]))
    np.testing.assert_array_equal(d.tensors[1].numpy(), np.concatenate([y for _, y in want])[:, 0])


@pytest.mark.parametrize("coarse", [False, True])
def test_cifar100(tmp_path, coarse):
    pixels, labels, content = cifar_records(4, 2)
    (tmp_path / "test.bin").write_bytes(content)
    d = data.cifar100(tmp_path, train=False, coarse=coarse)
    np.testing.assert_array_equal(d.tensors[0].numpy().reshape(4, -1), pixels)
    assert d.tensors[1].tolist() == labels[:, 0 if coarse else 1].tolist()


def test_malformed_cifar(tmp_path):
    _, _, content = cifar_records(2, 1)
    path = tmp_path / "test_batch.bin"
    for wrong, message in (
        (content[:-1], "6145 bytes are not a whole number of 3073-byte records"),
        (b"", "0 bytes are not a whole number"),
        (b"\x0b" + content[1:], "labels must be from 0 to 9"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=message):
            data.cifar10(tmp_path, train=False)
    with pytest.raises(FileNotFoundError, match="has no data_batch_1.bin"):
        data.cifar10(tmp_path)


def test_arrays(tmp_path):
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(3)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    lamina.save({"x": lamina.tensor(x), "y": lamina.tensor(y)}, tmp_path / "both.safetensors")
    assert data.read_arrays(tmp_path / "x.npy").tensors[0].tolist() == x.tolist()
    for name in ("both.npz", "both.safetensors"):
        d = data.read_arrays(tmp_path / name, ["y", "x"])
        assert d.tensors[0].tolist() == y.tolist()
        assert d.tensors[1].tolist() == x.tolist()
        assert len(data.read_arrays(tmp_path / name).tensors) == 2
        with pytest.raises(ValueError, match="has no array 'z'; it has 'x', 'y'"):
            data.read_arrays(tmp_path / name, ["z"])


def test_malformed_arrays(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(b"PK\3\4...")
    for name in ("objects.npy", "text.npy", "empty.npy", "cut.npz"):
        with pytest.raises(ValueError, match=f"{name} is not a readable"):
            data.read_arrays(tmp_path / name)
    with pytest.raises(ValueError, match="expected a name that ends in"):
        data.read_arrays(tmp_path / "x.pt")


def test_csv(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("height, width,class\n1,2.5,0\n\n3,4e-1,1\n")
    d = data.read_csv(path)
    assert d.tensors[0].tolist() == pytest.approx(np.array([[1, 2.5], [3, 0.4]]))
    assert d.tensors[1].tolist() == [0, 1]
    assert data.read_csv(path, "height").tensors[1].tolist() == [1, 3]
    assert data.read_csv(path, None).tensors[0].shape == (2, 3)
    path.write_text("1;2\n3;4")
    assert data.read_csv(path, 0, ";").tensors[0].tolist() == [[2], [4]]


@pytest.mark.parametrize(
    "content, target, message",
    [
        (b"", -1, "has no rows of numbers"),
        (b"a,b\n", -1, "has no rows of numbers"),
        (b"a,b\n1,2\n3\n", -1, "line 3: 1 columns, expected 2"),
        (b"a,b\n1,2\n3,x\n", -1, "line 3: 'x' is not a number"),
        (b"a,b\n1,2\n", "c", "has no column 'c'; it has 'a', 'b'"),
        (b"a,b\n1,2\n", 2, "has 2 columns, no column 2"),
        (b"\xff\xfe,\n", -1, "is not a text file"),
    ],
)
def test_malformed_csv(tmp_path, content, target, message):
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.read_csv(tmp_path / "f.csv", target)


@pytest.mark.parametrize(
    "name, features, target",
    [
        ("breast_cancer", (569, 30), (569,)),
        ("diabetes", (442, 10), (442, 1)),
        ("digits", (1797, 64), (1797,)),
        ("iris", (150, 4), (150,)),
        ("linnerud", (20, 3), (20, 3)),
        ("wine", (178, 13), (178,)),
    ],
)
def test_bundled(name, features, target):
    pytest.importorskip("sklearn")
    d = data.bundled(name)
    assert d.tensors[0].shape == features
    assert d.tensors[0].dtype is lamina.float32
    assert d.tensors[1].shape == target
    assert d.tensors[1].dtype is (lamina.int64 if len(target) == 1 else lamina.float32)
    assert len(d.feature_names) == features[1]
    assert d.target_names


def test_bundled_names_and_without_scikit_learn(monkeypatch):
    with pytest.raises(ValueError, match="no data set 'digit'; did you mean 'digits'"):
        data.bundled("digit")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        data.bundled("digits")
