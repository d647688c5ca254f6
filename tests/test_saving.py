"""Saving and loading: round trips, memory that is mapped, files that lie, disks that are full."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina._atomic import atomic_write
from processes import output_of

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


def same(a: lamina.Tensor, b: lamina.Tensor) -> bool:
    """Equal in type, shape and every bit."""
    return a.dtype is b.dtype and a.shape == b.shape and a._as_bytes().tolist() == b._as_bytes().tolist()


def written(path, header, data=b"", length=None):
    """A file with the given header (text, bytes or an object to be put in JSON) and data."""
    text = (
        header
        if isinstance(header, bytes)
        else header.encode()
        if isinstance(header, str)
        else json.dumps(header).encode()
    )
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


# ---- round trips ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 3), (2, 3, 4, 5)])
def test_round_trip(tmp_path, dtype, shape):
    original = (
        (lamina.randn(*shape) * 100).abs().to(getattr(lamina, dtype))
        if shape
        else lamina.tensor(1).to(getattr(lamina, dtype))
    )
    lamina.save({"x": original}, tmp_path / "f")
    loaded = lamina.load(tmp_path / "f")
    assert list(loaded) == ["x"]
    assert same(loaded["x"], original)


def test_names_keep_their_order_and_odd_ones_work(tmp_path):
    names = ["z", "a.weight", "", "ünï 名前 \n\"'\\", "m"]
    tensors = {name: lamina.full((i + 1,), i, dtype=getattr(lamina, DTYPES[i])) for i, name in enumerate(names)}
    lamina.save(tensors, tmp_path / "f", {"key": "value", "ключ": ""})
    loaded = lamina.load(tmp_path / "f")
    assert list(loaded) == names
    assert all(same(loaded[name], tensors[name]) for name in names)
    assert lamina.load_metadata(tmp_path / "f") == {"key": "value", "ключ": ""}


def test_no_tensors(tmp_path):
    lamina.save({}, tmp_path / "f")
    assert lamina.load(tmp_path / "f") == {}
    assert lamina.load_metadata(tmp_path / "f") == {}


def test_views_and_recorded_tensors_are_saved_as_they_look(tmp_path):
    x = lamina.arange(24.0).reshape(4, 6)
    w = lamina.randn(3, requires_grad=True)
    lamina.save({"columns": x[:, 1::2], "turned": x.T, "recorded": w * 2, "leaf": w}, tmp_path / "f")
    loaded = lamina.load(tmp_path / "f")
    assert same(loaded["columns"], x[:, 1::2].contiguous())
    assert same(loaded["turned"], x.T.contiguous())
    assert same(loaded["recorded"], (w * 2).detach())
    assert not loaded["leaf"].requires_grad


def test_more_than_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("lamina._saving._CHUNK", 1000)
    x = lamina.randn(777, dtype=lamina.float64)
    lamina.save({"x": x}, tmp_path / "f")
    assert same(lamina.load(tmp_path / "f")["x"], x)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda n: n != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)),
        max_size=6,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_names_types_and_shapes(tmp_path_factory, described):
    path = tmp_path_factory.mktemp("any") / "f"
    tensors = {name: lamina.ones(shape, dtype=getattr(lamina, dtype)) for name, (dtype, shape) in described.items()}
    lamina.save(tensors, path)
    loaded = lamina.load(path)
    assert list(loaded) == list(tensors)
    assert all(same(loaded[name], tensors[name]) for name in tensors)


# ---- other programs' files ----


def test_with_the_safetensors_package(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    arrays = {
        "f64": np.random.default_rng(0).normal(size=(3, 5)),
        "f32": np.arange(7, dtype=np.float32),
        "f16": np.arange(3, dtype=np.float16),
        "i64": np.arange(-3, 3),
        "i32": np.array(7, np.int32),
        "u8": np.arange(11, dtype=np.uint8),
        "b": np.array([True, False, True]),
        "none": np.zeros((0, 4), np.float32),
    }
    reference.save_file(arrays, tmp_path / "theirs", metadata={"a": "b"})
    loaded = lamina.load(tmp_path / "theirs")
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array, strict=True)
    assert lamina.load_metadata(tmp_path / "theirs") == {"a": "b"}
    lamina.save({name: lamina.from_numpy(a) for name, a in arrays.items()}, tmp_path / "ours", {"a": "b"})
    for name, array in reference.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)


def test_with_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).to(torch.bfloat16)
    theirs.save_file(net.state_dict(), tmp_path / "f")
    loaded = lamina.load(tmp_path / "f")
    assert set(loaded) == set(net.state_dict())
    for name, value in net.state_dict().items():
        assert loaded[name].dtype is lamina.bfloat16
        np.testing.assert_array_equal(loaded[name].float().numpy(), value.float().numpy(), strict=True)
    lamina.save(loaded, tmp_path / "g")
    net.load_state_dict(theirs.load_file(tmp_path / "g"))


def test_elements_that_are_not_aligned_are_copied(tmp_path):
    data = np.arange(2, dtype=np.float32).tobytes() + np.arange(3, dtype=np.float64).tobytes()
    header = {"a": entry(offsets=(0, 8)), "b": entry("F64", (3,), (8, 32))}
    text = json.dumps(header)
    path = written(tmp_path / "f", text + " " * (-len(text) % 8 + 3), data)
    loaded = lamina.load(path)
    assert loaded["a"].tolist() == [0, 1]
    assert loaded["b"].tolist() == [0, 1, 2]


# ---- mapped memory ----


def test_loading_maps_and_does_not_read(tmp_path):
    x = lamina.zeros(64 << 20)
    lamina.save({"x": x}, tmp_path / "f")
    lamina.load(tmp_path / "f")
    times = []
    for _ in range(9):
        start = time.perf_counter()
        loaded = lamina.load(tmp_path / "f")
        times.append(time.perf_counter() - start)
    assert loaded["x"].numel() == 64 << 20
    assert min(times) < 5e-3  # reading 256 MB takes 50 ms at the very least


def test_writing_to_loaded_tensors_never_reaches_the_file(tmp_path):
    lamina.save({"x": lamina.ones(5000), "y": lamina.ones(5)}, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    loaded = lamina.load(tmp_path / "f")
    other = lamina.load(tmp_path / "f")
    loaded["x"].fill_(7)
    assert loaded["x"].sum() == 35000
    assert other["x"].sum() == 5000
    assert loaded["y"].tolist() == [1] * 5
    assert (tmp_path / "f").read_bytes() == before


def test_tensors_outlive_a_file_that_is_replaced(tmp_path):
    lamina.save({"x": lamina.ones(5000)}, tmp_path / "f")
    old = lamina.load(tmp_path / "f")["x"]
    lamina.save({"x": old + 1}, tmp_path / "f")
    os.unlink(tmp_path / "f")
    assert old.sum() == 5000


# ---- writing that fails ----


def test_an_error_leaves_the_old_file_and_no_traces(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(pipe.read_bytes)
        lamina.save({"x": lamina.ones(3)}, pipe)
    assert pipe.is_fifo()
    (tmp_path / "f").write_bytes(received.result())
    assert lamina.load(tmp_path / "f")["x"].tolist() == [1, 1, 1]


def test_paths_that_cannot_be_written_are_named_as_given(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere/f'$"):
        lamina.save({"x": lamina.ones(3)}, tmp_path / "nowhere" / "f")
    with pytest.raises(IsADirectoryError, match=f"{tmp_path.name}'$"):
        lamina.save({"x": lamina.ones(3)}, tmp_path)


def test_full_disk_leaves_the_old_file(tmp_path):
    lamina.save({"x": lamina.ones(10)}, tmp_path / "f")
    script = f"""
        import resource, signal, lamina
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            lamina.save({{"x": lamina.zeros(1 << 20)}}, {str(tmp_path / "f")!r})
        except OSError as error:
            print(error)
    """
    message = output_of(script)
    assert str(tmp_path / "f") in message
    assert "is as it was before" in message
    assert os.listdir(tmp_path) == ["f"]
    assert lamina.load(tmp_path / "f")["x"].sum() == 10
    os.unlink(tmp_path / "f")
    message = output_of(script)
    assert "nothing is left of it" in message and "before" not in message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_of_pytorchs_own_kind(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3)}, tmp_path / "f", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="torch.save.*safetensors.torch.save_file"):
        lamina.load(tmp_path / "f")


@pytest.mark.parametrize(
    "tensors, metadata, error, message",
    [
        ({"x": [1.0]}, None, TypeError, "'x' must be a Tensor, got list"),
        ({1: lamina.ones(1)}, None, TypeError, "name must be a str, got 1"),
        ({"__metadata__": lamina.ones(1)}, None, ValueError, "the format's own"),
        (lamina.ones(1), None, TypeError, "save: expected a mapping of names to tensors, .*, got Tensor"),
        ({}, {"epoch": 1}, TypeError, "metadata maps texts to texts, got 'epoch': 1"),
    ],
)
def test_what_cannot_be_saved(tmp_path, tensors, metadata, error, message):
    with pytest.raises(error, match=message):
        lamina.save(tensors, tmp_path / "f", metadata)
    assert not os.listdir(tmp_path)


# ---- files that lie ----

LIES = {
    "empty": (b"", "has 0 bytes"),
    "shorter than a length": (b"\1\0\0", "has 3 bytes"),
    "length past the end": (b"\xff\0\0\0\0\0\0\0{}", "should have 255 bytes, of 2"),
    "huge length": (b"\xff" * 8 + b"{}", "18446744073709551615 bytes"),
}


@pytest.mark.parametrize("content, message", LIES.values(), ids=LIES)
def test_lengths_that_lie(tmp_path, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        lamina.load(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)


DATA = bytes(8)
HEADERS = {
    "not UTF-8": (b'{"\xff": 1}', b"", "not UTF-8"),
    "not JSON": ('{"a": }', b"", "not JSON"),
    "cut off": ('{"a": {"dtype": "F3', b"", "not JSON"),
    "a list": ("[]", b"", "not a JSON object"),
    "deep": ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", b"", "nested too deeply"),
    "NaN": ('{"a": NaN}', b"", "NaN is not a JSON number"),
    "a huge number": ('{"a": ' + "9" * 10_000 + "}", b"", "not JSON"),
    "twice the same tensor": (f'{{"a": {json.dumps(entry())}, "a": {json.dumps(entry())}}}', DATA, "'a' comes twice"),
    "twice the same field": ('{"a": {"dtype": "F32", "dtype": "F32"}}', DATA, "'dtype' comes twice"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b"", "does not map texts to texts"),
    "metadata is a list": ({"__metadata__": []}, b"", "does not map texts to texts"),
    "not described": ({"a": 7}, DATA, "'a' is not described by"),
    "field missing": ({"a": {"dtype": "F32", "shape": [2]}}, DATA, "is not described by"),
    "field too many": ({"a": {**entry(), "more": 1}}, DATA, "is not described by"),
    "unknown type": ({"a": entry("F8_E4M3", (8,))}, DATA, "has the type 'F8_E4M3'; known are"),
    "type of another type": ({"a": {**entry(), "dtype": ["F32"]}}, DATA, "has the type"),
    "negative extent": ({"a": entry(shape=(-2,))}, DATA, "has the shape"),
    "two negative extents": ({"a": entry(shape=(-1, -2))}, DATA, "has the shape"),
    "fractional extent": ({"a": entry(shape=(2.0,))}, DATA, "has the shape"),
    "boolean extent": ({"a": entry(shape=(True, 2))}, DATA, "has the shape"),
    "extent past 64 bits": ({"a": entry(shape=(2**64 + 2,))}, DATA, "has the shape"),
    "product past 64 bits": ({"a": entry(shape=(2**32, 2**32, 2))}, DATA, "needs"),
    "overflow beside a zero": ({"a": entry(shape=(2**62, 4, 0), offsets=(0, 0))}, b"", "'a' has .* too many elements"),
    "many dimensions": ({"a": entry(shape=(2**62,) * 100_000)}, DATA, "at most 8"),
    "shape too large": ({"a": entry(shape=(3,))}, DATA, r"needs 12 bytes for \(3,\) of F32, and has 8"),
    "offsets reversed": ({"a": entry(offsets=(8, 0))}, DATA, "data_offsets"),
    "offsets negative": ({"a": entry(offsets=(-8, 0))}, DATA, "data_offsets"),
    "three offsets": ({"a": entry(offsets=(0, 8, 8))}, DATA, "data_offsets"),
    "offsets past the end": ({"a": entry(offsets=(0, 8))}, bytes(4), "take 8 bytes, and 4 follow"),
    "overlap": ({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12), "'b' at bytes 4 to 12 overlaps"),
    "the same bytes": ({"a": entry(), "b": entry()}, DATA, "overlaps"),
    "gap": ({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20), "leaves a gap"),
    "starts late": ({"a": entry(offsets=(4, 12))}, bytes(12), "leaves a gap"),
    "trailing bytes": ({"a": entry()}, bytes(9), "take 8 bytes, and 9 follow"),
    "data without tensors": ({}, DATA, "take 0 bytes, and 8 follow"),
    "booleans of two": ({"a": entry("BOOL", (8,))}, b"\0\1\2\0\0\0\0\0", "neither 0"),
}


@pytest.mark.parametrize("header, data, message", HEADERS.values(), ids=HEADERS)
def test_headers_that_lie(tmp_path, header, data, message):
    path = written(tmp_path / "f", header, data)
    with pytest.raises(ValueError, match=message) as caught:
        lamina.load(path)
    assert str(path) in str(caught.value)


def test_a_header_of_a_gigabyte_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes((1 << 30).to_bytes(8, "little") + b"{")
    os.truncate(path, (1 << 30) + 100)  # sparse
    with pytest.raises(ValueError, match="100000000 allowed"):
        lamina.load(path)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.there"):
        lamina.load(tmp_path / "nothing.there")
    with pytest.raises(IsADirectoryError):
        lamina.load(tmp_path)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    path = tmp_path_factory.mktemp("genuine") / "f"
    lamina.save(
        {"w": lamina.randn(3, 4), "b": lamina.ones(5, dtype=lamina.uint8), "m": lamina.ones(2, dtype=lamina.bool)},
        path,
        {"k": "v"},
    )
    return path.read_bytes()


def test_every_truncation_is_refused(tmp_path, genuine):
    for length in range(len(genuine)):
        (tmp_path / "f").write_bytes(genuine[:length])
        with pytest.raises(ValueError, match="is not a safetensors file"):
            lamina.load(tmp_path / "f")


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_load_or_are_refused(tmp_path_factory, genuine, data):
    """Bytes changed, put in and taken out: what loads is within the file, everything else is a ValueError."""
    damaged = bytearray(genuine)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["change", "insert", "remove"]))
        if kind == "change":
            damaged[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            damaged[place:place] = data.draw(st.binary(max_size=9))
        else:
            del damaged[place : place + data.draw(st.integers(1, 9))]
    path = tmp_path_factory.mktemp("damaged") / "f"
    path.write_bytes(damaged)
    try:
        loaded = lamina.load(path)
    except ValueError as error:
        assert "is not a safetensors file" in str(error)
        return
    assert sum(t.nbytes for t in loaded.values()) < len(damaged)
    for t in loaded.values():
        t.clone()
