"""CUDA devices: what there is, how much memory is in use, and waiting for them. The library with CUDA's kernels is opened
when a device is first asked for; without it, or without a driver, there are simply no devices."""

from __future__ import annotations

from lamina import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Device: TypeAlias = _C.device | str | int | None

__all__ = [
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
