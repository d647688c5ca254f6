"""CUDA devices: what there is, how much memory is in use, waiting for them, and measuring what they do. The library with CUDA's kernels is opened
when a device is first asked for; without it, or without a driver, there are simply no devices."""

from __future__ import annotations

from lamina import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Device: TypeAlias = _C.device | str | int | None

__all__ = [
    "Event",
    "Stream",
    "current_stream",
    "default_stream",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "memory_stats",
    "reset_peak_memory_stats",
    "synchronize",
    "why_not_available",
]


def _device(device: Device) -> _C.device:
    if device is None or isinstance(device, int):
        device = f"cuda:{device or 0}"
    found = _C.device(device) if isinstance(device, str) else device
    if not isinstance(found, _C.device):
        raise TypeError(f"expected a CUDA device, its number or None, got {device!r}")
    if found.type != "cuda":
        raise ValueError(f"expected a CUDA device, got {found}")
    return found


def device_count() -> int:
    """How many CUDA devices lamina can use; 0 without its CUDA library or without a driver."""
    return _C._cuda_device_count()[0]


def is_available() -> bool:
    """Is there a CUDA device that lamina can use?"""
    return device_count() > 0


def why_not_available() -> str:
    """What is missing where is_available() is False; else the empty string."""
    return _C._cuda_device_count()[1]


def synchronize(device: Device = None) -> None:
    """Waits until the device has done all that was started on it. A kernel that failed is told here."""
    _C._synchronize(_device(device))


def get_device_properties(device: Device = None) -> dict[str, Any]:
    """Name, compute capability (major, minor), number of multiprocessors and bytes of memory."""
    return _C._cuda_facts(_device(device))


def get_device_name(device: Device = None) -> str:
    """The device's name."""
    return get_device_properties(device)["name"]


def get_device_capability(device: Device = None) -> tuple[int, int]:
    """The device's compute capability, (major, minor)."""
    facts = get_device_properties(device)
    return facts["major"], facts["minor"]


def memory_stats(device: Device = None) -> dict[str, int]:
    """As lamina.memory_stats(), of the device's memory."""
    return _C._memory_stats(_device(device))


def reset_peak_memory_stats(device: Device = None) -> None:
    """Lets memory_stats()['peak'] start again from what is allocated now."""
    _C._reset_peak_memory(_device(device))


def empty_cache(device: Device = None) -> None:
    """Gives cached memory back to the device."""
    _C._release_cached_memory(_device(device))


_RELEASE, _RECORD, _WAIT, _SYNCHRONIZE, _QUERY = range(5)  # as in csrc/bind/cuda.cpp


class Event:
    """A place in what a device has been given to do. Recorded before and after something, two of them that keep the time
    measure how long it took."""

    def __init__(self, enable_timing: bool = False, device: Device = None) -> None:
        self.device = _device(device)
        self._timed = enable_timing
        self._recorded = False
        self._event = _C._event_make(self.device, enable_timing)

    def __del__(self) -> None:
        if event := getattr(self, "_event", 0):
            _C._event(self.device, _RELEASE, event, 0)

    def record(self, stream: Stream | None = None) -> None:
        """The place is behind all that the stream, or else the device, has been given so far."""
        stream = stream or current_stream(self.device)
        if stream.device != self.device:
            raise ValueError(f"Event.record: the event is of {self.device}, the stream of {stream.device}")
        _C._event(self.device, _RECORD, self._event, stream.cuda_stream)
        self._recorded = True

    def wait(self, stream: Stream | None = None) -> None:
        """What the stream is given from now on begins when the event is reached; the host does not wait."""
        stream = stream or current_stream(self.device)
        _C._event(stream.device, _WAIT, self._event, stream.cuda_stream)

    def query(self) -> bool:
        """Has the device come so far?"""
        return _C._event(self.device, _QUERY, self._event, 0)

    def synchronize(self) -> None:
        """Waits until the device has come so far."""
        _C._event(self.device, _SYNCHRONIZE, self._event, 0)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this event and a later one. Both have been reached."""
        for event in (self, end_event):
            if not (event._timed and event._recorded):
                raise ValueError(
                    "elapsed_time: both events must have been made with enable_timing=True and have been recorded"
                )
            if not event.query():
                raise RuntimeError("elapsed_time: the device has not come so far yet; call synchronize() first")
        return _C._event_elapsed(self._event, end_event._event)

    def __repr__(self) -> str:
        state = "reached" if self.query() else "not reached yet"
        return f"Event(device={self.device}, {state if self._recorded else 'never recorded'})"


_TYPES = {
    "f4": _C.float32,
    "f8": _C.float64,
    "f2": _C.float16,
    "i8": _C.int64,
    "i4": _C.int32,
    "u1": _C.uint8,
    "b1": _C.bool,
}


def _from_array(array: Any) -> _C.Tensor:
    """A tensor on the memory that an object with __cuda_array_interface__, of version 2 or later, describes."""
    said = array.__cuda_array_interface__
    if said["version"] < 2:
        raise BufferError("__cuda_array_interface__: expected version 2 or later")
    if said.get("mask") is not None:
        raise BufferError("__cuda_array_interface__: a masked array cannot be shared")
    typestr, shape, (address, read_only) = said["typestr"], tuple(said["shape"]), said["data"]
    dtype = None if typestr[0] == ">" else _TYPES.get(typestr[1:])
    if dtype is None:
        raise BufferError(f"__cuda_array_interface__: no lamina dtype has the type {typestr}")
    strides = said.get("strides")
    if strides is None:
        strides, step = [], dtype.itemsize
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
    if len(strides) != len(shape) or any(s % dtype.itemsize for s in strides):
        raise BufferError(
            f"__cuda_array_interface__: expected {len(shape)} strides, multiples of {dtype.itemsize} bytes, got {strides}"
        )
    steps = [s // dtype.itemsize for s in strides]
    tensor = _C._from_cuda_memory(address or 0, shape, steps, dtype, not read_only, array)
    if said.get("stream") is not None:
        _C._cuda_order(tensor.device, said["stream"], _C._cuda_stream(tensor.device))
    return tensor


class Stream:
    """What a device is given, in order. lamina computes on one stream of each device, current_stream(); others can only be
    those of other libraries, by their address."""

    def __init__(self, cuda_stream: int, device: Device = None) -> None:
        self.device = _device(device)
        self.cuda_stream = cuda_stream

    def record_event(self, event: Event | None = None) -> Event:
        """Records an event, a new one if none is given."""
        event = event or Event(device=self.device)
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What is given from now on begins when the event is reached."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What is given from now on begins when all that the other stream has been given is done."""
        _C._cuda_order(self.device, stream.cuda_stream, self.cuda_stream)

    def query(self) -> bool:
        """Is all done that was given so far?"""
        return _C._event(self.device, _QUERY, 0, self.cuda_stream)

    def synchronize(self) -> None:
        """Waits until all is done that was given so far."""
        if self == current_stream(self.device):
            return synchronize(self.device)
        self.record_event().synchronize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device, self.cuda_stream) == (other.device, other.cuda_stream)

    def __hash__(self) -> int:
        return hash((str(self.device), self.cuda_stream))

    def __repr__(self) -> str:
        return f"Stream(device={self.device}, cuda_stream={self.cuda_stream:#x})"


def current_stream(device: Device = None) -> Stream:
    """The stream on which lamina computes on that device."""
    device = _device(device)
    return Stream(_C._cuda_stream(device), device)


default_stream = current_stream
