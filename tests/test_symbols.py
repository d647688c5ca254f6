"""Code compiled for one instruction set must not leak into another: no weak symbols, nothing outside its namespace.

Of several weak definitions of one function the linker keeps any, for everyone; if that is one that was compiled for
AVX-512, an older processor dies in code that has nothing to do with kernels.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p.name for p in (ROOT / "csrc/cpu").glob("*.cc"))
WEAK = set("WwVvu")  # nm's letters: weak functions, weak objects, unique globals


def latest_build() -> Path | None:
    """The newest build of this tree without sanitizers (whose weak symbols are theirs)."""

    def age(cache: Path) -> float:
        return max(module.stat().st_mtime for module in cache.parent.glob("_C*.so"))

    caches = (ROOT / "build").glob("*/CMakeCache.txt")
    plain = [c for c in caches if "LAMINA_SANITIZE:STRING=\n" in c.read_text() and list(c.parent.glob("_C*.so"))]
    return max(plain, key=age).parent if plain else None


def objects() -> dict[str, list[Path]]:
    """The object files of each target."""
    build = latest_build()
    assert build is not None
    return {
        folder.parent.name.removeprefix("lamina_").removesuffix(".dir"): sorted(folder.glob("*.cc.o"))
        for folder in sorted((build / "csrc/CMakeFiles").glob("lamina_*.dir/cpu"))
    }


@pytest.fixture(scope="module")
def by_target() -> dict[str, list[Path]]:
    if latest_build() is None or shutil.which("nm") is None:
        message = "needs nm and the object files of a build in build/, as `pip install .` leaves them"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return objects()


@cache
def defined(path: Path) -> list[tuple[str, str]]:
    """(nm's letter, demangled name) of every symbol that the linker sees."""
    listing = subprocess.run(
        ["nm", "--demangle", "--extern-only", "--defined-only", "--format=posix", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [(m[2], m[1]) for m in re.finditer(r"^(.+) ([A-Za-z]) [0-9a-f]+(?: [0-9a-f]+)?$", listing, re.MULTILINE)]


def test_every_source_is_compiled_for_every_target(by_target):
    assert len(by_target) >= 2
    for target, files in by_target.items():
        assert [f.name.removesuffix(".o") for f in files] == SOURCES, target


def test_no_weak_symbols(by_target):
    found = {
        (target, file.name, name)
        for target, files in by_target.items()
        for file in files
        for letter, name in defined(file)
        if letter in WEAK
    }
    assert not found


def test_symbols_stay_in_their_namespace(by_target):
    strays = {
        (target, name)
        for target, files in by_target.items()
        for file in files
        for _, name in defined(file)
        if not name.startswith(f"lamina::{target}::")
    }
    assert not strays


def test_nothing_runs_at_load(by_target):
    """A static constructor would run on every machine, also on one that lacks its instructions."""
    for target, files in by_target.items():
        for file in files:
            listing = subprocess.run(["nm", str(file)], capture_output=True, text=True, check=True).stdout
            assert "_GLOBAL__sub_I_" not in listing, (target, file.name)


def test_the_test_would_notice(tmp_path):
    """nm reports what this test looks for: an inline function outside an anonymous namespace."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("needs a compiler and nm")
    source, output = tmp_path / "leak.cc", tmp_path / "leak.o"
    source.write_text("inline int leak() { return 1; }\nint (*use())() { return leak; }\n")
    subprocess.run([compiler, "-c", str(source), "-o", str(output)], check=True)
    assert ("W", "leak()") in defined(output)
