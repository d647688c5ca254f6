"""What goes between the host, the stand-in for a CUDA device and other libraries: copies that nobody waits for, events and
streams, DLPack and the CUDA array interface."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import lamina
from cuda_library import emulated, fake, run
from lamina import Tensor

pytestmark = pytest.mark.usefixtures("cuda")


# ---- copies ----


def test_pinned_memory():
    x = lamina.arange(12.0).reshape(3, 4)
    assert not x.is_pinned() and not x.cuda().is_pinned()
    p = x.T.pin_memory()
    assert p.is_pinned() and p.pin_memory() is not x and p.tolist() == x.T.tolist() and p.is_contiguous()
    assert p.pin_memory().data_ptr() == p.data_ptr()
    y = p.to("cuda", non_blocking=True)
    back = lamina.empty(4, 3).pin_memory()
    assert back.copy_(y * 2, non_blocking=True) is back
    lamina.cuda.synchronize()
    assert back.tolist() == (x.T * 2).tolist()
    with pytest.raises(ValueError, match="pin_memory: expected memory of the host, got a tensor on cuda:0"):
        y.pin_memory()


def test_non_blocking_is_only_a_wish():
    x = lamina.arange(6.0, requires_grad=True)
    y = x.to("cuda", non_blocking=True)  # neither pinned nor without a history
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0] * 6
    assert x.detach().reshape(2, 3).T.cuda(non_blocking=True).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert lamina.zeros(3).copy_(lamina.ones(3, device="cuda"), non_blocking=True).tolist() == [1, 1, 1]


LATE = """
import lamina
x = lamina.arange(3 << 20, dtype=lamina.float32)  # staged in three pieces, and again in the fourth and the first two
y = x.cuda()
x.zero_()  # the copy has what was there before
z = (y + y.cuda() + lamina.ones(3 << 20).cuda()).cpu()
assert z[12345].item() == 2 * 12345 + 1 and z[-1].item() == 2.0 * ((3 << 20) - 1) + 1

batches = [lamina.full((1000,), float(i)).pin_memory() for i in range(6)]
sums = []
for b in batches:  # into two blocks by turns, each as soon as nobody reads it
    device = b.cuda(non_blocking=True)
    sums.append((device * 2).sum())
assert [s.item() for s in sums] == [2000.0 * i for i in range(6)], [s.item() for s in sums]

late = lamina.ones(4).pin_memory()
copy = late.cuda(non_blocking=True)
event = lamina.cuda.current_stream().record_event()
print(event.query())
late.fill_(2)
event.synchronize()
print(event.query(), copy.tolist())

host = lamina.zeros(2).pin_memory()
host.copy_(copy[:2], non_blocking=True)
print(host.tolist())
lamina.cuda.synchronize()
assert host.tolist() == copy[:2].tolist()

assert lamina.cuda.current_stream().query()
theirs = lamina.cuda.Stream(1)
(copy + 1).sum()
theirs.wait_stream(lamina.cuda.current_stream())
assert not theirs.query()
theirs.synchronize()
assert theirs.query()
"""


@pytest.mark.parametrize("lazy,seen", [("all", [2.0] * 4), ("compute", [1.0] * 4)])
def test_a_device_that_takes_its_time(lazy: str, seen: list[float]):
    done = run(LATE, emulated(), LAMINA_EMULATE_LAZY=lazy)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False", f"True {seen}", "[0.0, 0.0]"]


def test_training_on_a_device_that_takes_its_time():
    code = """
import lamina
from lamina import nn
lamina.manual_seed(1)
model = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3)).to("cuda")
optimizer = lamina.optim.Adam(model.parameters(), lr=0.02)
def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.detach()
step = lamina.capture(step)
data = [(lamina.randn(8, 6).pin_memory(), lamina.randint(0, 3, (8,)).pin_memory()) for _ in range(6)]
losses = [step(x.cuda(non_blocking=True), y.cuda(non_blocking=True)).clone() for x, y in data]
print([loss.item() for loss in losses])
"""
    outputs = [
        run(code, emulated(), **how) for how in ({}, {"LAMINA_EMULATE_LAZY": "all"}, {"LAMINA_EMULATE_LAZY": "compute"})
    ]
    assert all(o.returncode == 0 for o in outputs), outputs[-1].stderr
    assert outputs[0].stdout == outputs[1].stdout == outputs[2].stdout and "nan" not in outputs[0].stdout


# ---- events and streams ----


def test_events_measure():
    start, end = lamina.cuda.Event(enable_timing=True), lamina.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="elapsed_time: both events must have been made with enable_timing=True"):
        start.elapsed_time(end)
    assert "never recorded" in repr(start)
    start.record()
    lamina.ones(1000, device="cuda").sum()
    end.record()
    end.synchronize()
    assert end.query() and "reached" in repr(end)
    assert 0 < start.elapsed_time(end) < 60_000
    with pytest.raises(ValueError, match="enable_timing"):
        start.elapsed_time(lamina.cuda.current_stream().record_event())


def test_streams():
    stream = lamina.cuda.current_stream()
    assert stream == lamina.cuda.default_stream("cuda:0") and hash(stream) == hash(lamina.cuda.current_stream())
    assert stream.cuda_stream and f"{stream.cuda_stream:#x}" in repr(stream)
    event = stream.record_event()
    lamina.cuda.Stream(1).wait_event(event)
    event.wait()
    stream.synchronize()
    assert stream.query() and stream != lamina.cuda.Stream(1)


# ---- sharing ----


def test_dlpack_shares_memory_of_a_device():
    x = lamina.arange(6.0, device="cuda").reshape(2, 3).T
    assert x.__dlpack_device__() == (2, 0)
    for y in (
        lamina.from_dlpack(x),
        lamina.from_dlpack(x.__dlpack__(stream=-1, max_version=(1, 0))),
        lamina.from_dlpack(x.__dlpack__(stream=1)),
        lamina.from_dlpack(x.__dlpack__(stream=lamina.cuda.current_stream().cuda_stream)),
        lamina.from_dlpack(Producer(x)),
        lamina.from_dlpack(x, device="cuda:0"),
    ):
        assert y.data_ptr() == x.data_ptr() and y.device == x.device and y.stride() == x.stride()
        y[0, 0] += 1
    assert x[0, 0].item() == 6
    assert lamina.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert lamina.from_dlpack(lamina.empty(0, 3, device="cuda")).shape == (0, 3)
    y = lamina.from_dlpack(x)
    kept = x.tolist()
    del x
    assert y.tolist() == kept


class Producer:
    """A library without the table for C."""

    def __init__(self, t: Tensor) -> None:
        self.t = t

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.t.__dlpack_device__()

    def __dlpack__(self, **wishes: Any) -> object:
        assert wishes["stream"] == lamina.cuda.current_stream().cuda_stream
        return self.t.__dlpack__(**wishes)


def test_dlpack_refuses():
    x = lamina.ones(3, device="cuda")
    with pytest.raises(ValueError, match="stream must be None, -1, 1, 2 or a stream's address, got 0"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match=r"expected dl_device \(2, 0\), where the tensor is, got \(1, 0\)"):
        x.__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="the memory is on cuda:0, not on cpu; use to"):
        lamina.from_dlpack(x, device="cpu")
    with pytest.raises(BufferError, match="requires grad"):
        lamina.ones(2, device="cuda", requires_grad=True).__dlpack__()
    with pytest.raises(ValueError, match="stream must be None for CPU tensors"):
        lamina.ones(2).__dlpack__(stream=1)


def disguised(t: Tensor, device: tuple[int, int]) -> object:
    """A capsule that says that the tensor's memory is elsewhere."""
    capsule = t.__dlpack__(max_version=(1, 0))
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    at = pointer(capsule, b"dltensor_versioned") + 32 + 8  # the device in the view
    (ctypes.c_int32 * 2).from_address(at)[:] = device
    return capsule


def test_memory_of_the_host_that_is_passed_as_the_device_s():
    for x in (lamina.ones(5), lamina.ones(5).pin_memory()):
        with pytest.raises(BufferError, match="said to lie on cuda:0, but its address is one of the host"):
            lamina.from_dlpack(disguised(x, (2, 0)))
        assert x.sum().item() == 5
    with pytest.raises(BufferError, match="device type 2, number 7, but there are 1 CUDA devices here"):
        lamina.from_dlpack(disguised(lamina.ones(5), (2, 7)))
    for device in ((2, -1), (2, 300), (4, 0)):
        with pytest.raises(BufferError, match="device type 1 or 2"):
            lamina.from_dlpack(disguised(lamina.ones(5), device))


def test_the_cuda_array_interface():
    x = lamina.arange(12, dtype=lamina.int32, device="cuda").reshape(3, 4)
    said = x.__cuda_array_interface__
    assert said["version"] == 3 and said["shape"] == (3, 4) and said["typestr"] == "<i4" and said["strides"] is None
    assert said["data"] == (x.data_ptr(), False) and said["stream"] == lamina.cuda.current_stream().cuda_stream
    assert x.T.__cuda_array_interface__["strides"] == (4, 16)
    with pytest.raises(AttributeError, match="this one is on cpu"):
        lamina.ones(2).__cuda_array_interface__  # noqa: B018
    assert not hasattr(lamina.ones(2), "__cuda_array_interface__")
    with pytest.raises(TypeError, match="no lamina.bfloat16"):
        lamina.ones(2, device="cuda").bfloat16().__cuda_array_interface__  # noqa: B018

    for name in "float32 float64 float16 int64 int32 uint8 bool".split():
        t = lamina.ones(2, 3, device="cuda").to(getattr(lamina, name))
        for source in (t, t.T, t[:, 1:]):
            shared = lamina.as_tensor(Foreign(source.__cuda_array_interface__))
            assert shared.dtype is t.dtype and shared.data_ptr() == source.data_ptr() and shared.is_cuda
            assert shared.shape == source.shape and shared.stride() == source.stride()
    kept = Foreign(x.__cuda_array_interface__, x)
    y = lamina.as_tensor(kept)
    kept = x = None
    assert y.sum().item() == 66


class Foreign:
    def __init__(self, said: dict[str, Any], owner: object = None) -> None:
        self.__cuda_array_interface__, self.owner = said, owner


def test_a_cuda_array_interface_that_does_not_hold():
    x = lamina.ones(4, device="cuda")
    good = x.__cuda_array_interface__
    host = np.ones(4, np.float32)
    for wrong, message in (
        ({"data": (host.ctypes.data, False)}, "its address is one of the host"),
        ({"typestr": "<c8"}, "no lamina dtype has the type <c8"),
        ({"typestr": ">f4"}, "no lamina dtype has the type >f4"),
        ({"version": 1}, "expected version 2 or later"),
        ({"strides": (3,)}, "multiples of 4 bytes"),
        ({"strides": (4, 4)}, "expected 1 strides"),
        ({"mask": host}, "masked"),
        ({"shape": (1 << 40,)}, "address is one of the host|beyond memory"),
        ({"shape": (-1,)}, "negative|-1"),
    ):
        with pytest.raises((BufferError, ValueError), match=message):
            lamina.as_tensor(Foreign(good | wrong))
    frozen = lamina.as_tensor(Foreign(good | {"data": (x.data_ptr(), True)}))
    with pytest.raises(RuntimeError, match="read-only"):
        frozen.add_(1)


def test_errors_of_the_device_reach_python(tmp_path: Any):
    done = run(
        """
import lamina
def said(f):
    try:
        f()
    except Exception as e:
        print(type(e).__name__, e)
said(lambda: lamina.ones(3).pin_memory())
said(lambda: lamina.cuda.Event())
said(lambda: lamina.cuda.current_stream().synchronize())
""",
        fake(tmp_path, SYNC_STATUS="700", FAILED_OP='"gru"', PINNED_STATUS="2", EVENT_STATUS="46"),
    )
    assert done.stdout.splitlines() == [
        "MemoryError pin_memory: CUDA error 2: out of memory",
        "RuntimeError Event: CUDA error 46: went wrong",
        "RuntimeError gru: CUDA error 700: went wrong",
    ], done.stderr
