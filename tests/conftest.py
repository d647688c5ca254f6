"""What every test can rely on: the instruction set that was asked for is the one that runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

import lamina
from lamina import _C

settings.register_profile("ci", derandomize=True)  # a change is judged by the same examples as the one before it
if os.environ.get("CI"):
    settings.load_profile("ci")


# A shell without job control starts what it puts in the background deaf to Ctrl-C, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    kind, compiler = _C._build
    return (
        f"lamina {lamina.__version__} ({kind}, {compiler}): {_C._target()} of {', '.join(_C._supported_targets())}; "
        f"{lamina.get_num_threads()} threads"
    )


def pytest_sessionstart() -> None:
    forced = os.environ.get("LAMINA_ISA")
    if forced and _C._target() != forced:
        pytest.exit(f"LAMINA_ISA={forced}, but the kernels of {_C._target()} run", returncode=3)


def pytest_runtest_setup() -> None:
    lamina.set_printoptions(profile="default")  # whatever the tests before this one left behind


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """lamina.set_num_threads, undone after the test."""
    before = lamina.get_num_threads()
    yield lamina.set_num_threads
    lamina.set_num_threads(before)
