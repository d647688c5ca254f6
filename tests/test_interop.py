"""Tensors in and out: NumPy, buffers, DLPack."""

from __future__ import annotations

import array
import ctypes
import gc
import weakref

import numpy as np
import pytest

import lamina

SHARED_TYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"]


# ---- NumPy ----


@pytest.mark.parametrize("dtype", SHARED_TYPES)
def test_numpy_both_ways_without_a_copy(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = lamina.from_numpy(a)
    assert t.dtype is getattr(lamina, dtype) and t.shape == (2, 3) and t.data_ptr() == a.ctypes.data
    back = t.numpy()
    assert back.dtype == a.dtype and back.ctypes.data == a.ctypes.data
    a[0, 0] = 1
    assert t[0, 0].item() == 1
    t.fill_(0)
    assert not a.any() and not back.any()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a[1:, 1:],
        lambda a: a[:0],
        lambda a: a[:1, :1],
        lambda a: np.broadcast_to(a[0], (4, 6)),
        lambda a: a.reshape(2, 2, 6)[:, 1],
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=1),
    ],
)
def test_every_layout_survives(view):
    a = view(np.arange(24.0).reshape(4, 6))
    t = lamina.from_numpy(a)
    np.testing.assert_array_equal(t.tolist(), a.tolist())
    np.testing.assert_array_equal((t + 1).numpy(), a + 1)
    np.testing.assert_array_equal(t.numpy(), a)
    np.testing.assert_array_equal(np.asarray(t), a)


def test_memory_lives_as_long_as_either_side():
    t = lamina.from_numpy(np.ones(1000))
    gc.collect()
    assert t.tolist() == [1.0] * 1000
    a = lamina.full((1000,), 2.0).numpy()
    view = memoryview(lamina.full((1000,), 3.0))
    gc.collect()
    assert (a == 2).all() and view[999] == 3.0


def test_a_dropped_tensor_lets_the_array_go():
    class Watched(np.ndarray):
        pass

    a = np.ones(3).view(Watched)
    gone = weakref.ref(a)
    t = lamina.from_numpy(a)
    view = t.reshape(3, 1)
    del a, t
    gc.collect()
    assert gone() is not None
    del view
    gc.collect()
    assert gone() is None


def test_read_only_memory_can_be_read_but_not_written():
    a = np.ones(3)
    a.setflags(write=False)
    t = lamina.from_numpy(a)
    assert (t + 1).tolist() == [2.0] * 3
    for write in (lambda: t.add_(1), lambda: t.fill_(0), lambda: t.copy_(lamina.zeros(3)), lambda: t[:1].exp_()):
        with pytest.raises(RuntimeError, match="read-only"):
            write()
    assert not t.numpy().flags.writeable
    assert lamina.from_numpy(np.frombuffer(b"abc", np.uint8)).tolist() == [97, 98, 99]


def test_arrays_go_in_anywhere():
    a, t = np.full((2, 3), 2.0, np.float32), lamina.ones(2, 3)
    for result in (a + t, t + a, a * t + 1, lamina.add(a, t), lamina.exp(np.zeros((2, 3), np.float32)) + 2, t.add(a)):
        assert isinstance(result, lamina.Tensor) and result.tolist() == [[3.0] * 3] * 2
    assert (np.float32(2) * t).dtype is lamina.float32
    assert (t + np.float64(1)).dtype is lamina.float32
    assert (np.arange(3) < lamina.tensor([1, 1, 1])).tolist() == [True, False, False]


def test_buffers_of_other_libraries():
    assert lamina.tensor(array.array("d", [1, 2])).dtype is lamina.float64
    assert lamina.tensor(bytearray(b"\1\2")).tolist() == [1, 2]
    assert lamina.tensor(memoryview(b"\1\2")).dtype is lamina.uint8
    assert lamina.tensor((ctypes.c_float * 2)(1, 2)).tolist() == [1.0, 2.0]


def test_buffer_protocol():
    t = lamina.arange(6).reshape(2, 3)
    view = memoryview(t)
    assert (view.format, view.shape, view.strides, view.readonly) == ("q", (2, 3), (24, 8), False)
    assert view.tolist() == t.tolist()
    assert bytes(memoryview(lamina.tensor([1, 2], dtype=lamina.uint8))) == b"\1\2"
    with pytest.raises(BufferError, match="contiguous"):
        array.array("q").frombytes(t.T)
    view[0, 0] = 7
    assert t[0, 0].item() == 7


def test_what_cannot_be_shared_says_why():
    x = lamina.ones(2, requires_grad=True)
    for share in (x.numpy, lambda: np.asarray(x), lambda: np.array(x), lambda: (x * 2).numpy()):
        with pytest.raises(RuntimeError, match=r"requires grad.*detach\(\)"):
            share()
    assert x.numpy(force=True).tolist() == [1, 1]
    for share in (x.detach().bfloat16().numpy, lambda: np.asarray(x.detach().bfloat16())):
        with pytest.raises(TypeError, match="bfloat16"):
            share()
    assert x.bfloat16().numpy(force=True).dtype == np.float32
    for a, message in [
        (np.ones(2, np.complex64), "no lamina dtype"),
        (np.ones(2, np.int16), "no lamina dtype"),
        (np.ones(2, ">f4"), "no lamina dtype"),
        (np.array(["a"]), "no lamina dtype"),
        (np.array([None]), "no lamina dtype"),
        (np.zeros(3, [("a", "f4"), ("b", "i4")]), "no lamina dtype"),
        (np.zeros(9, np.uint8)[1:].view("f8"), "not aligned"),
        (np.zeros(4, [("a", "f4"), ("b", "u1")])["a"], "strides"),
        (np.zeros([1] * 9), "at most 8 dimensions"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            lamina.from_numpy(a)
    with pytest.raises(TypeError, match="from_numpy: expected a NumPy array, got list"):
        lamina.from_numpy([1])


def test_arrays_that_cannot_be_shared_can_be_copied():
    assert lamina.tensor(np.array([1, 2], np.int16), dtype=lamina.int32).tolist() == [1, 2]
    assert lamina.tensor(np.array([1, 2], np.int16), dtype=lamina.bfloat16).tolist() == [1, 2]
    assert lamina.tensor(np.array([1, 2], ">f4")).dtype is lamina.float32
    assert lamina.tensor(np.zeros(9, np.uint8)[1:].view("f8")).tolist() == [0]
    assert lamina.tensor(np.zeros(4, [("a", "f4"), ("b", "u1")])["a"]).shape == (4,)


def test_array_method_follows_numpy():
    t = lamina.ones(2)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    copied = np.array(t)
    copied[0] = 5
    assert t.tolist() == [1, 1]
    assert np.stack([t, t]).shape == (2, 2)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError):
            np.asarray(t, dtype=np.float64, copy=False)


def test_frombuffer():
    memory = bytearray(np.arange(4.0).tobytes())
    t = lamina.frombuffer(memory, dtype=lamina.float64, offset=8, count=2)
    assert t.tolist() == [1.0, 2.0]
    t.fill_(9)
    assert np.frombuffer(memory)[1] == 9
    assert lamina.frombuffer(memory, dtype=lamina.bfloat16).shape == (16,)
    for wrong in ({"offset": 33}, {"offset": -1}, {"count": 5}, {"offset": 4}, {"offset": 1, "count": 1}):
        with pytest.raises(ValueError, match="frombuffer"):
            lamina.frombuffer(memory, dtype=lamina.float64, **wrong)


# ---- DLPack ----


@pytest.mark.parametrize("dtype", list(SHARED_TYPES))
def test_dlpack_with_numpy(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)[:, ::-1].T
    t = lamina.from_dlpack(a)
    assert t.data_ptr() == a.ctypes.data and t.tolist() == a.tolist()
    back = np.from_dlpack(t)
    assert back.dtype == a.dtype and back.ctypes.data == a.ctypes.data and back.tolist() == a.tolist()
    assert np.from_dlpack(lamina.zeros(0, 3)).shape == (0, 3)
    assert lamina.from_dlpack(np.zeros((2, 0))).shape == (2, 0)
    assert lamina.from_dlpack(np.array(3.0)).item() == 3.0


def test_dlpack_capsule_versions():
    t = lamina.ones(2)
    assert t.__dlpack_device__() == (1, 0)
    for kwargs, name in [
        ({}, "dltensor"),
        ({"max_version": (0, 8)}, "dltensor"),
        ({"max_version": None}, "dltensor"),
        ({"max_version": (1, 0)}, "dltensor_versioned"),
        ({"max_version": (1, 3)}, "dltensor_versioned"),
        ({"max_version": (2, 0), "dl_device": (1, 0), "copy": False, "stream": None}, "dltensor_versioned"),
    ]:
        capsule = t.__dlpack__(**kwargs)
        assert f'"{name}"' in repr(capsule)
        assert lamina.from_dlpack(capsule).data_ptr() == t.data_ptr()
        assert f'"used_{name}"' in repr(capsule)
        with pytest.raises(BufferError, match="only once"):
            lamina.from_dlpack(capsule)
    copied = lamina.from_dlpack(t.__dlpack__(copy=True))
    assert copied.data_ptr() != t.data_ptr() and copied.tolist() == t.tolist()


def test_dlpack_refusals():
    with pytest.raises(BufferError, match="requires grad"):
        lamina.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="dl_device"):
        lamina.ones(2).__dlpack__(dl_device=(2, 0))
    with pytest.raises(ValueError, match="stream"):
        lamina.ones(2).__dlpack__(stream=1)
    frozen = np.ones(2)
    frozen.setflags(write=False)
    t = lamina.from_numpy(frozen)
    with pytest.raises(BufferError, match="read-only"):
        t.__dlpack__()
    with pytest.raises(RuntimeError, match="read-only"):
        lamina.from_dlpack(t.__dlpack__(max_version=(1, 0))).add_(1)
    with pytest.raises(TypeError, match="__dlpack__"):
        lamina.from_dlpack([1.0])
    with pytest.raises(BufferError, match="type code 5, 64 bits"):
        lamina.from_dlpack(np.ones(2, np.complex64))

    class OnTheGpu:
        def __dlpack_device__(self):
            return (8, 0)  # Metal

        def __dlpack__(self, **kwargs):
            raise AssertionError("must not be asked for")

    with pytest.raises(BufferError, match="expected memory of the CPU or of a CUDA device"):
        lamina.from_dlpack(OnTheGpu())


def test_dlpack_protocol_errors_come_through():
    class Producer:
        result: object = None
        error: Exception | None = None

        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **kwargs):
            if self.error:
                raise self.error
            return self.result

    producer = Producer()
    with pytest.raises(TypeError, match="instead of a capsule"):
        lamina.from_dlpack(producer)
    producer.error = KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        lamina.from_dlpack(producer)

    class Old(Producer):
        def __dlpack__(self):
            return lamina.ones(2).__dlpack__()

    assert lamina.from_dlpack(Old()).tolist() == [1, 1]


# ---- PyTorch ----


@pytest.mark.parametrize("dtype", [*SHARED_TYPES, "bfloat16"])
def test_with_torch(dtype):
    torch = pytest.importorskip("torch")
    x = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype)).T
    t = lamina.from_dlpack(x)
    assert t.data_ptr() == x.data_ptr() and t.dtype is getattr(lamina, dtype) and t.tolist() == x.tolist()
    back = torch.from_dlpack(t)
    assert back.data_ptr() == x.data_ptr() and back.dtype == x.dtype and back.tolist() == x.tolist()
    assert lamina.tensor(x).data_ptr() != x.data_ptr() and lamina.tensor(x).tolist() == x.tolist()
    assert lamina.as_tensor(x).data_ptr() == x.data_ptr()
    assert lamina.tensor([torch.ones(2), torch.zeros(2)]).tolist() == [[1, 1], [0, 0]]


def test_torch_tensors_that_require_grad_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(BufferError, match="requires grad"):
        lamina.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="requires grad"):
        torch.from_dlpack(lamina.ones(2, requires_grad=True))


def test_torch_memory_lives_on():
    torch = pytest.importorskip("torch")
    t = lamina.from_dlpack(torch.full((1000,), 5.0))
    back = torch.from_dlpack(lamina.full((1000,), 6.0))
    gc.collect()
    assert t.tolist() == [5.0] * 1000 and back.tolist() == [6.0] * 1000
