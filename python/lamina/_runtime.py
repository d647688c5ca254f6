"""What this build is, what it runs on, and the memory it holds."""

from __future__ import annotations

from lamina import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "empty_cache",
    "get_float32_matmul_precision",
    "memory_stats",
    "reset_peak_memory",
    "set_float32_matmul_precision",
    "show_config",
]


def _openmp_runtimes() -> list[str]:
    """File names of the OpenMP run times in this process; more than one costs time (see docs)."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[5].strip() for line in maps if len(line.split(maxsplit=5)) == 6}
    except OSError:
        return []
    names = {path.rpartition("/")[2] for path in paths}
    return sorted(n for n in names if n.startswith(("libgomp", "libomp", "libiomp")))


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Prints how lamina was built and what it runs on; with mode='dicts', returns it."""
    build_type, compiler = _C._build
    config = {
        "version": _C._version,
        "target": _C._target(),
        "supported targets": _C._supported_targets(),
        "threads": _C.get_num_threads(),
        "OpenMP run time": _openmp_runtimes(),
        "compiler": compiler,
        "build type": build_type,
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', got {mode!r}")
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:<{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return None


def memory_stats() -> dict[str, int]:
    """Bytes in live tensors (allocated, and at most: peak), bytes held from the system (reserved), blocks handed out
    (allocations) and how many of them came from the cache (cache_hits)."""
    return _C._memory_stats()


def reset_peak_memory() -> None:
    """Lets memory_stats()['peak'] start again from what is allocated now."""
    _C._reset_peak_memory()


def empty_cache() -> None:
    """Gives cached memory back to the system."""
    _C._release_cached_memory()


def set_float32_matmul_precision(precision: str) -> None:
    """What products and convolutions of float32 may round their operands to on CUDA: 'highest' (the default) is float32
    itself, 'high' is TensorFloat32, with 10 bits after the point, several times faster. Captured steps keep what was set
    when they were captured; the CPU always computes in float32."""
    if precision not in ("highest", "high"):
        raise ValueError(f"set_float32_matmul_precision: expected 'highest' or 'high', got {precision!r}")
    _C._allow_tf32(precision == "high")


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision() has set."""
    return "high" if _C._tf32_allowed() else "highest"
