"""DLPack from its binary side: capsules forged field by field, and the exchange table for C, ours and PyTorch's."""

from __future__ import annotations

import ctypes
import gc
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina

# ---- the structs of DLPack 1.3 ----


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("index", ctypes.c_int32)]


class ElementType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class View(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", ElementType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32)]


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Unversioned(ctypes.Structure):
    _fields_ = [("view", View), ("context", ctypes.c_void_p), ("deleter", Deleter)]
    name = b"dltensor"


class Versioned(ctypes.Structure):
    _fields_ = [
        ("version", Version),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("view", View),
    ]
    name = b"dltensor_versioned"


SetError = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)


class Table(ctypes.Structure):
    _fields_ = [
        ("version", Version),
        ("older", ctypes.c_void_p),
        ("allocate", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(View), ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, SetError)),
        ("from_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(ctypes.c_void_p))),
        ("to_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.py_object))),
        ("borrow", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(View))),
        ("current_stream", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))),
    ]  # fmt: skip


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype, capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

FLOAT32 = (2, 32, 1)
MEMORY = (ctypes.c_float * 64)(*range(64))
ADDRESS = ctypes.addressof(MEMORY)
KEPT: list[object] = []  # a capsule knows its struct by address only: whatever was forged lives until the process ends


class Forged:
    """A producer's tensor and its capsule. `freed` counts the calls of its deleter."""

    def __init__(self, shape=(2, 3), strides=None, data=ADDRESS, dtype=FLOAT32, device=(1, 0), ndim=None, byte_offset=0,
                 kind=Versioned, version=(1, 3), flags=0, name=None, deleter=True) -> None:  # fmt: skip
        self.freed = 0
        self.managed = kind()
        view = self.managed.view
        view.data, view.device, view.dtype, view.byte_offset = data, Device(*device), ElementType(*dtype), byte_offset
        view.ndim = len(shape) if ndim is None and shape is not None else ndim or 0
        if shape is not None:
            view.shape = (ctypes.c_int64 * max(1, len(shape)))(*shape)
        if strides is not None:
            view.strides = (ctypes.c_int64 * max(1, len(strides)))(*strides)
        if deleter:
            self.managed.deleter = Deleter(self._free)
        if kind is Versioned:
            self.managed.version, self.managed.flags = Version(*version), flags
        self.name = kind.name if name is None else name
        self.capsule = new_capsule(ctypes.addressof(self.managed), self.name, None)
        KEPT.append(self)

    def _free(self, pointer: int) -> None:
        assert pointer == ctypes.addressof(self.managed)
        self.freed += 1


BOTH = pytest.mark.parametrize("kind", [Unversioned, Versioned])


# ---- sound capsules ----


@BOTH
def test_a_sound_capsule_is_taken_over(kind):
    forged = Forged(kind=kind)
    t = lamina.from_dlpack(forged.capsule)
    assert t.data_ptr() == ADDRESS and t.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert "used_" + kind.name.decode() in repr(forged.capsule)
    view = t[1:]
    del t
    gc.collect()
    assert forged.freed == 0 and view.tolist() == [[3, 4, 5]]
    del view
    assert forged.freed == 1
    forged.capsule = None
    gc.collect()
    assert forged.freed == 1


@BOTH
@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"shape": (2, 2), "strides": (3, 2)}, [[0, 2], [3, 5]]),
        ({"shape": (2, 2), "strides": (0, 1), "byte_offset": 8}, [[2, 3], [2, 3]]),
        ({"shape": (3,), "strides": (-2,), "byte_offset": 16}, [4, 2, 0]),
        ({"shape": (), "byte_offset": 20}, 5.0),
        ({"shape": None, "ndim": 0}, 0.0),
        ({"shape": (1, 2), "strides": (-(2**63), 1)}, [[0, 1]]),  # a stride that is never used
        ({"shape": (0, 3), "data": None, "strides": (2**63 - 1, -(2**63))}, []),
        ({"shape": (2, 0), "data": None}, [[], []]),
        ({"shape": (2,), "dtype": (1, 8, 1), "data": ADDRESS + 2}, [0, 0]),
        ({"shape": (1,), "dtype": (0, 64, 1)}, [0x3F800000 << 32]),
    ],
)
def test_every_geometry_that_is_allowed(kind, fields, want):
    forged = Forged(kind=kind, **fields)
    assert lamina.from_dlpack(forged.capsule).tolist() == want
    assert forged.freed == 1


@BOTH
def test_a_deleter_may_be_null(kind):
    t = lamina.from_dlpack(Forged(kind=kind, deleter=False).capsule)
    assert t.tolist() == [[0, 1, 2], [3, 4, 5]]
    del t


@BOTH
def test_the_deleter_may_run_on_another_thread_and_amid_an_exception(kind):
    forged = [Forged(kind=kind), Forged(kind=kind)]
    held = [lamina.from_dlpack(forged[0].capsule)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()

    def fail():
        t = lamina.from_dlpack(forged[1].capsule)
        t[7]

    with pytest.raises(IndexError, match="index 7"):
        fail()
    gc.collect()
    assert [f.freed for f in forged] == [1, 1]


def test_a_deleter_that_raises_harms_nobody(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", seen.append)
    forged = Forged()

    def fail(pointer):
        raise KeyError

    forged.managed.deleter = Deleter(fail)
    KEPT.append(forged.managed.deleter)
    t = lamina.from_dlpack(forged.capsule)
    del t
    assert len(seen) == 1 and (lamina.ones(2) + 1).tolist() == [2, 2]


@pytest.mark.parametrize("flags", [0, 1, 2, 3, 4, 2**63])
def test_flags(flags):
    t = lamina.from_dlpack(Forged(flags=flags).capsule)
    if not flags & 1:
        assert t.add_(0).tolist() == [[0, 1, 2], [3, 4, 5]]
        return
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(0)
    with pytest.raises(BufferError, match="read-only"):
        t.__dlpack__()
    assert not np.asarray(t).flags.writeable
    again = t.__dlpack__(max_version=(1, 0))
    managed = Versioned.from_address(capsule_pointer(again, Versioned.name))
    assert managed.flags & 1
    with pytest.raises(RuntimeError, match="read-only"):
        lamina.from_dlpack(again).add_(0)


# ---- forged capsules ----

ABSURD = [
    ({"data": None}, ValueError, "the data pointer is null, but shape .* has 6 elements"),
    ({"shape": (2, -3)}, ValueError, "negative size"),
    ({"shape": (-(2**63),)}, ValueError, "negative size"),
    ({"shape": (2**32, 2**32)}, ValueError, "too many elements"),
    ({"shape": (2**62, 2)}, ValueError, "too many elements"),
    ({"shape": (0, 2**62, 2**62)}, ValueError, "too many elements"),
    ({"shape": (2**62,)}, ValueError, "beyond memory"),
    ({"shape": (2**56,)}, ValueError, "beyond memory"),
    ({"shape": (2, 3), "strides": (2**62, 2**62)}, ValueError, "out of range|beyond memory"),
    ({"shape": (3,), "strides": (2**63 - 1,)}, ValueError, "out of range|beyond memory"),
    ({"shape": (2,), "strides": (-(2**63),)}, ValueError, "out of range|beyond memory"),
    ({"shape": (2,), "strides": (-(2**55),)}, ValueError, "beyond memory"),
    ({"data": 8, "shape": (2,), "strides": (-100,)}, ValueError, "beyond memory"),
    ({"data": 2**64 - 4}, ValueError, "beyond memory"),
    ({"data": 2**57}, ValueError, "beyond memory"),
    ({"byte_offset": 2**64 - 4}, ValueError, "beyond memory"),
    ({"byte_offset": 2**63}, ValueError, "beyond memory"),
    ({"byte_offset": 1}, ValueError, "not aligned"),
    ({"data": ADDRESS + 2}, ValueError, "not aligned"),
    ({"ndim": -1}, ValueError, "expected 0 to 8 dimensions, got -1"),
    ({"ndim": 9}, ValueError, "expected 0 to 8 dimensions, got 9"),
    ({"ndim": 2**31 - 1}, ValueError, "expected 0 to 8 dimensions"),
    ({"ndim": -(2**31)}, ValueError, "expected 0 to 8 dimensions"),
    ({"shape": None, "ndim": 2}, ValueError, "the shape is null"),
    ({"dtype": (2, 32, 0)}, BufferError, "type code 2, 32 bits and 0 lanes"),
    ({"dtype": (2, 32, 4)}, BufferError, "type code 2, 32 bits and 4 lanes"),
    ({"dtype": (2, 32, 65535)}, BufferError, "65535 lanes"),
    ({"dtype": (2, 0, 1)}, BufferError, "0 bits"),
    ({"dtype": (2, 255, 1)}, BufferError, "255 bits"),
    ({"dtype": (0, 4, 1)}, BufferError, "type code 0, 4 bits"),
    ({"dtype": (255, 32, 1)}, BufferError, "type code 255"),
    ({"dtype": (5, 64, 1)}, BufferError, "type code 5"),
    ({"device": (2, 0)}, BufferError, "device type 2|one of the host"),
    ({"device": (0, 0)}, BufferError, "device type 0"),
    ({"device": (-1, 0)}, BufferError, "device type -1"),
]  # fmt: skip
NAMES = [str(fields).replace(str(ADDRESS + 2), "odd") for fields, *_ in ABSURD]  # the same in every process


@BOTH
@pytest.mark.parametrize(("fields", "error", "message"), ABSURD, ids=NAMES)
def test_absurd_fields_are_refused(kind, fields, error, message):
    forged = Forged(kind=kind, **fields)
    with pytest.raises(error, match=f"from_dlpack: .*({message})"):
        lamina.from_dlpack(forged.capsule)
    assert forged.freed == 0 and kind.name.decode() in repr(forged.capsule)  # still the producer's
    assert "used" not in repr(forged.capsule)


@pytest.mark.parametrize("version", [(0, 8), (2, 0), (2**32 - 1, 0)])
def test_other_major_versions_are_refused_unread(version):
    forged = Forged(version=version, ndim=2**31 - 1, data=None, dtype=(255, 255, 65535))
    with pytest.raises(BufferError, match=rf"expected DLPack version 1.x, got {version[0]}.{version[1]}"):
        lamina.from_dlpack(forged.capsule)
    assert forged.freed == 0


def test_later_minor_versions_are_welcome():
    assert lamina.from_dlpack(Forged(version=(1, 99)).capsule).shape == (2, 3)


@BOTH
def test_a_capsule_is_consumed_once(kind):
    forged = Forged(kind=kind)
    lamina.from_dlpack(forged.capsule)
    with pytest.raises(BufferError, match=f"got 'used_{kind.name.decode()}'; a capsule can be consumed only once"):
        lamina.from_dlpack(forged.capsule)
    assert forged.freed == 1


@pytest.mark.parametrize("name", [b"dltensor_", b"", b"tensor", b"dltensor_versioned_2"])
def test_capsules_of_other_names_are_refused(name):
    forged = Forged(name=name)
    with pytest.raises(BufferError, match="expected a capsule named"):
        lamina.from_dlpack(forged.capsule)


def test_a_capsule_without_a_name_is_refused():
    with pytest.raises(BufferError, match="expected a capsule named"):
        lamina.from_dlpack(new_capsule(ADDRESS, None, None))


sizes = st.integers(-2, 5) | st.sampled_from([2**31, 2**62, 2**63 - 1, -(2**63)])
field_values = st.fixed_dictionaries(
    {},
    optional={
        "shape": st.lists(sizes, max_size=8),
        "data": st.sampled_from([None, ADDRESS, ADDRESS + 4, ADDRESS + 1, 1, 2**47, 2**63, 2**64 - 1]),
        "dtype": st.tuples(st.integers(0, 8), st.sampled_from([0, 1, 8, 16, 32, 64, 128, 255]), st.sampled_from([0, 1, 2, 65535])),
        "device": st.tuples(st.integers(-1, 3), st.integers(-1, 1)),
        "byte_offset": st.sampled_from([0, 1, 4, 8, 2**31, 2**57, 2**63, 2**64 - 4]),
        "version": st.tuples(st.integers(0, 2), st.integers(0, 5)),
        "flags": st.integers(0, 2**64 - 1),
        "deleter": st.booleans(),
        "kind": st.sampled_from([Unversioned, Versioned]),
    },
)  # fmt: skip


@given(field_values, st.lists(sizes, min_size=8, max_size=8) | st.none())
@settings(max_examples=600, deadline=None, derandomize=True)
def test_any_capsule_is_taken_or_refused(fields, strides):
    forged = Forged(strides=strides, **fields)
    try:
        t = lamina.from_dlpack(forged.capsule)
    except (ValueError, BufferError) as error:
        assert str(error) and forged.freed == 0
        return
    assert t.shape == tuple(fields.get("shape", (2, 3)))
    start, reach = t.data_ptr(), [(n - 1) * s * t.element_size() for n, s in zip(t.shape, t.stride(), strict=True)]
    first, last = start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0) + t.element_size()
    if 0 < t.numel() < 2**20 and first >= ADDRESS and last <= ADDRESS + ctypes.sizeof(MEMORY):
        assert t.clone().numel() == t.numel()  # every element can be read
    del t
    assert forged.freed == (1 if fields.get("deleter", True) else 0)


# ---- export ----


@pytest.mark.parametrize(
    ("max_version", "kind"),
    [(None, Unversioned), ((0, 8), Unversioned), ((0, 2**31), Unversioned), ((1, 0), Versioned), ((1, 3), Versioned), ((7, 0), Versioned)],
)  # fmt: skip
def test_what_an_exported_capsule_holds(max_version, kind):
    t = lamina.arange(24.0).reshape(4, 6)[1::2, ::3]
    capsule = t.__dlpack__(max_version=max_version)
    managed = kind.from_address(capsule_pointer(capsule, kind.name))
    view = managed.view
    assert (view.data, view.ndim, view.byte_offset) == (t.data_ptr(), 2, 0)
    assert (view.device.type, view.device.index) == (1, 0)
    assert (view.dtype.code, view.dtype.bits, view.dtype.lanes) == FLOAT32
    assert (view.shape[:2], view.strides[:2]) == ([2, 2], [12, 3])
    if kind is Versioned:
        assert (managed.version.major, managed.version.minor, managed.flags) == (1, 3, 0)
        copied = t.__dlpack__(max_version=max_version, copy=True)
        assert Versioned.from_address(capsule_pointer(copied, kind.name)).flags == 2
    gc.collect()
    base = lamina.memory_stats()["allocated"]
    del t
    assert lamina.memory_stats()["allocated"] == base  # the capsule holds the memory
    del capsule
    assert lamina.memory_stats()["allocated"] < base


def test_bad_requests_for_export():
    t = lamina.ones(2)
    for request, error in [
        ({"max_version": 1}, TypeError),
        ({"max_version": (1,)}, TypeError),
        ({"max_version": ("1", "0")}, TypeError),
        ({"stream": 0}, ValueError),
        ({"dl_device": (1, 1)}, BufferError),
        ({"dl_device": (2, 0)}, BufferError),
    ]:
        with pytest.raises(error):
            t.__dlpack__(**request)
    for recorded in (lamina.ones(2, requires_grad=True), lamina.ones(2, requires_grad=True) * 2):
        for request in ({}, {"max_version": (1, 0)}, {"copy": True}):
            with pytest.raises(BufferError, match=r"requires grad cannot be exported; use detach\(\)"):
                recorded.__dlpack__(**request)
        assert recorded.detach().__dlpack__() is not None


def test_what_a_consumer_writes_is_seen():
    """Also by the copies of weights that matrix products keep."""
    torch = pytest.importorskip("torch")
    w, x = lamina.ones(256, 256), lamina.ones(64, 256)
    for _ in range(3):
        assert (x @ w)[0, 0].item() == 256
    torch.from_dlpack(w).fill_(2)
    assert (x @ w == 512).all()


# ---- the exchange table ----


def table_of(tensor_type: type) -> Table:
    return Table.from_address(capsule_pointer(tensor_type.__dlpack_c_exchange_api__, b"dlpack_exchange_api"))


def test_our_table():
    table = table_of(lamina.Tensor)
    assert (table.version.major, table.version.minor, table.older) == (1, 3, None)
    stream = ctypes.c_void_p(1)
    assert table.current_stream(1, 0, stream) == 0 and stream.value is None

    t = lamina.arange(6.0).reshape(2, 3).T
    view = View()
    assert table.borrow(t, view) == 0
    assert (view.data, view.shape[:2], view.strides[:2]) == (t.data_ptr(), [3, 2], [1, 3])

    managed = ctypes.c_void_p()
    assert table.from_object(t, managed) == 0
    data = t.data_ptr()
    del t
    back = ctypes.py_object()
    assert table.to_object(managed, back) == 0
    assert back.value.data_ptr() == data and back.value.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_our_table_allocates():
    table, errors = table_of(lamina.Tensor), []
    remember = SetError(lambda context, kind, message: errors.append((kind.decode(), message.decode())))
    out, prototype, tensor = ctypes.c_void_p(), Forged(shape=(5, 7), data=None).managed.view, ctypes.py_object()
    assert table.allocate(prototype, out, None, remember) == 0
    assert table.to_object(out, tensor) == 0
    assert tensor.value.shape == (5, 7) and tensor.value.dtype is lamina.float32 and tensor.value.data_ptr() % 128 == 0
    for fields, kind, message in [
        ({"shape": (2**50,)}, "MemoryError", "cannot allocate"),
        ({"shape": (-1,)}, "BufferError", "negative size"),
        ({"dtype": (5, 64, 1)}, "BufferError", "type code 5"),
        ({"device": (2, 0)}, "BufferError", "device type 2"),
        ({"ndim": 9}, "BufferError", "0 to 8 dimensions, got 9"),
        ({"shape": None, "ndim": 2}, "BufferError", "the shape is null"),
    ]:
        assert table.allocate(Forged(**fields).managed.view, out, None, remember) == -1
        assert errors[-1][0] == kind and message in errors[-1][1]


def test_our_table_refuses_what_the_methods_refuse():
    table, managed, view, back = table_of(lamina.Tensor), ctypes.c_void_p(), View(), ctypes.py_object()
    recorded = lamina.ones(2, requires_grad=True)
    with pytest.raises(BufferError, match="requires grad"):
        table.from_object(recorded, managed)
    with pytest.raises(BufferError, match="requires grad"):
        table.borrow(recorded, view)
    frozen = np.ones(2)
    frozen.setflags(write=False)
    with pytest.raises(BufferError, match="read-only"):
        table.borrow(lamina.from_numpy(frozen), view)
    assert table.from_object(lamina.from_numpy(frozen), managed) == 0
    assert Versioned.from_address(managed.value).flags == 1 and table.to_object(managed, back) == 0
    for other in (1, None, "x", np.ones(2)):
        with pytest.raises(TypeError, match="expected a lamina.Tensor, got"):
            table.from_object(other, managed)
        with pytest.raises(TypeError, match="expected a lamina.Tensor, got"):
            table.borrow(other, view)
    forged = Forged(shape=(-1,))
    with pytest.raises(ValueError, match="negative size"):
        table.to_object(ctypes.addressof(forged.managed), back)
    assert forged.freed == 1  # it was handed over all the same


class Producer:
    """What another library's tensor looks like: a table on the type, an array behind it."""

    def __init__(self, **fields):
        self.forged = Forged(**fields)

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **kwargs):
        return self.forged.capsule


def offer(monkeypatch, from_object=None, version=(1, 3), older=None, name=b"dlpack_exchange_api"):
    table = Table()
    table.version = Version(*version)
    if from_object:
        table.from_object = Table._fields_[3][1](from_object)
    if older is not None:
        table.older = ctypes.addressof(older)
    KEPT.append((table, name))
    monkeypatch.setattr(
        Producer, "__dlpack_c_exchange_api__", new_capsule(ctypes.addressof(table), name, None), raising=False
    )
    return table


def hand_over(calls):
    def from_object(producer, out):
        calls.append(producer)
        out[0] = ctypes.addressof(producer.forged.managed)
        return 0

    return from_object


def test_the_table_of_others_is_used(monkeypatch):
    calls = []
    offer(monkeypatch, hand_over(calls))
    producer = Producer()
    t = lamina.from_dlpack(producer)
    assert t.data_ptr() == ADDRESS and calls == [producer] and "used" not in repr(producer.forged.capsule)
    del t
    assert producer.forged.freed == 1
    for fields, error in [
        ({"shape": (-1,)}, ValueError),
        ({"version": (2, 0)}, BufferError),
        ({"device": (2, 0)}, BufferError),
    ]:
        producer = Producer(**fields)
        with pytest.raises(error):
            lamina.from_dlpack(producer)
        assert producer.forged.freed == 1  # it was ours to let go of


def test_tables_of_other_versions(monkeypatch):
    calls = []
    first = offer(monkeypatch, hand_over(calls))
    offer(monkeypatch, lambda producer, out: 1 / 0, version=(2, 0), older=first)
    assert lamina.from_dlpack(Producer()).shape == (2, 3) and len(calls) == 1
    for unusable in ({"version": (2, 0)}, {"version": (1, 3)}, {"version": (1, 3), "name": b"something_else"}):
        offer(monkeypatch, **unusable)
        assert lamina.from_dlpack(Producer()).shape == (2, 3)  # by the methods
    assert len(calls) == 1
    monkeypatch.setattr(Producer, "__dlpack_c_exchange_api__", "no capsule")
    assert lamina.from_dlpack(Producer()).shape == (2, 3)


def test_a_table_that_gives_nothing(monkeypatch):
    offer(monkeypatch, lambda producer, out: 0)
    with pytest.raises(BufferError, match="Producer exported nothing"):
        lamina.from_dlpack(Producer())


def test_pytorch_and_we_by_the_table():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this PyTorch has no table")
    theirs, back = table_of(torch.Tensor), ctypes.py_object()
    assert theirs.version.major == 1
    managed = ctypes.c_void_p()
    t = lamina.arange(6.0).reshape(2, 3)
    assert table_of(lamina.Tensor).from_object(t, managed) == 0
    assert theirs.to_object(managed, back) == 0
    assert back.value.data_ptr() == t.data_ptr() and back.value.tolist() == t.tolist()

    x = torch.arange(6.0).reshape(2, 3).T
    for _ in range(2):
        u = lamina.from_dlpack(x)
        assert u.data_ptr() == x.data_ptr() and u.tolist() == x.tolist()
    with pytest.raises(BufferError, match="requires grad"):
        lamina.from_dlpack(torch.ones(2, requires_grad=True))


def test_pytorch_tensors_that_are_more_than_memory():
    torch = pytest.importorskip("torch")
    conjugate = torch.complex(torch.ones(2), torch.ones(2)).conj()
    negative = conjugate.imag
    assert negative.is_neg()
    for x in (conjugate, negative, torch.eye(2).to_sparse(), torch.empty(2, device="meta")):
        with pytest.raises((BufferError, ValueError, RuntimeError, TypeError)):
            lamina.from_dlpack(x)
