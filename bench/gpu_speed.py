"""Memory-bound kernels and products on a GPU, against PyTorch where it is installed: gpu_speed.py OUT.json. Both by wall
clock around a synchronisation, alternating, the least of twenty rounds of several calls; TF32 is off in both."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import lamina

try:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
except ImportError:
    torch = None

CALLS, ROUNDS = 10, 20


def seconds(run: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Of one call."""
    start = time.perf_counter()
    for _ in range(CALLS):
        run()
    wait()
    return (time.perf_counter() - start) / CALLS


def compare(ours: Callable[[], Any], theirs: Callable[[], Any] | None) -> tuple[float, float | None]:
    """The least of either."""
    least = [1e9, 1e9]
    for _ in range(ROUNDS):
        least[0] = min(least[0], seconds(ours, lamina.cuda.synchronize))
        if theirs:
            least[1] = min(least[1], seconds(theirs, torch.cuda.synchronize))
    return least[0], least[1] if theirs else None


def rows() -> dict[str, tuple[float, str, Callable[[Any, Any], Callable[[], Any]]]]:
    """By name: work of a call, its unit, and what to call given a library and its tensors."""
    n = 1 << 26
    table: dict[str, Any] = {}
    for name, bytes_moved, call in (
        ("add", 12 * n, lambda m, x: lambda: x + x),
        ("exp", 8 * n, lambda m, x: x.exp),
        ("gelu", 8 * n, lambda m, x: lambda: m.nn.functional.gelu(x)),
        ("sum", 4 * n, lambda m, x: x.sum),
        ("sum of columns", 4 * n, lambda m, x: lambda: x.reshape(1 << 13, -1).sum(0)),
    ):
        table[name] = (bytes_moved, "GB/s", lambda m, call=call: call(m, m.rand(n, device="cuda")))
    for size in (1024, 4096):
        for dtype in ("float32", "bfloat16"):

            def product(m: Any, size: int = size, dtype: str = dtype) -> Callable[[], Any]:
                a = m.rand(size, size, device="cuda").to(getattr(m, dtype))
                return lambda: a @ a

            table[f"product {size} {dtype}"] = (2.0 * size**3, "GFLOP/s", product)
    return table


def main(path: str) -> None:
    """Writes after every row what is known so far."""
    found: dict[str, Any] = {"device": lamina.cuda.get_device_properties(), "rows": {}}
    for name, (work, unit, make) in rows().items():
        try:
            ours, theirs = compare(make(lamina), make(torch) if torch else None)
        except (RuntimeError, NotImplementedError, MemoryError) as e:
            found["rows"][name] = {"failed": str(e)}
        else:
            found["rows"][name] = {"rate": work / ours / 1e9, "unit": unit, "ratio": theirs / ours if theirs else None}
        print(name, found["rows"][name], flush=True)
        with open(path, "w") as out:
            json.dump(found, out, indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
