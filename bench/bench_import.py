"""What it costs to have the library at all: the time of its import in a fresh process, its size on disk."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Case

TIMED_IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(package: str) -> float:
    # The directory of this run may be what makes the package importable; the child must find the same one.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", TIMED_IMPORT.format(package)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def installed_megabytes(package: str) -> float:
    """The package's folder and, where a wheel put its shared libraries beside it, that one too."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    found = {Path(p) for p in spec.submodule_search_locations}
    module = importlib.util.find_spec("lamina._C") if package == "lamina" else None
    files = {f for folder in found for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}
    if module is not None and module.origin:  # of an editable install, the module lies elsewhere
        files.add(Path(module.origin))
    for folder in found:
        files |= {f for f in folder.with_name(f"{package}.libs").rglob("*") if f.is_file()}
    return sum(f.stat().st_size for f in files) / 1e6


def cases() -> Iterator[Case]:
    peers = ("numpy", "torch")
    yield Case(
        "import in a fresh process",
        lambda: import_seconds("lamina"),
        {p: lambda p=p: import_seconds(p) for p in peers},
        lambda: [import_seconds(p) for p in ("lamina", *peers)],  # read every file once, so that all are cached
        self_timed=True,
        rounds=7,
        headline=True,
    )
    yield Case(
        "size on disk",
        lambda: installed_megabytes("lamina"),
        {p: lambda p=p: installed_megabytes(p) for p in peers},
        lambda: None,
        self_timed=True,
        unit="MB",
        rounds=1,
        headline=True,
    )
