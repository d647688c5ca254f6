"""What every test can rely on: the instruction set that was asked for is the one that runs."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

import lamina
from cuda_library import cuda as cuda
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


# Tests and files that were skipped for want of PyTorch, from one session to the next: .ci/run installs it then, and runs
# these and no others again.
WITHOUT_TORCH = "lamina/skipped_without_torch"
_skipped: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "only what the session before skipped for want of PyTorch"
    parser.addoption("--skipped-without-torch", action="store_true", help=help)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "could not import 'torch'" in str(report.longrepr):
        _skipped.add(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped and "could not import 'torch'" in str(report.longrepr):
        _skipped.add(report.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--skipped-without-torch"):
        return
    cache = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    wanted = set(cache.get(WITHOUT_TORCH, [])) if cache else set()
    if not wanted:
        raise pytest.UsageError("--skipped-without-torch: the session before skipped nothing for want of PyTorch")
    items[:] = [item for item in items if {item.nodeid, item.nodeid.partition("::")[0]} & wanted]


def pytest_sessionfinish(session: pytest.Session) -> None:
    said = getattr(session.config, "workeroutput", None)  # of a worker of pytest-xdist: who began it remembers
    if said is not None:
        said[WITHOUT_TORCH] = sorted(_skipped)
        return
    cache = getattr(session.config, "cache", None)
    if cache is not None and not session.config.getoption("--skipped-without-torch"):
        cache.set(WITHOUT_TORCH, sorted(_skipped))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _skipped.update(getattr(node, "workeroutput", {}).get(WITHOUT_TORCH, ()))


def pytest_sessionstart() -> None:
    forced = os.environ.get("LAMINA_ISA")
    if forced and _C._target() != forced:
        pytest.exit(f"LAMINA_ISA={forced}, but the kernels of {_C._target()} run", returncode=3)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test finds the same, whichever tests ran before it."""
    lamina.set_printoptions(profile="default")
    lamina.manual_seed(zlib.crc32(item.nodeid.encode()))


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """lamina.set_num_threads, undone after the test."""
    before = lamina.get_num_threads()
    yield lamina.set_num_threads
    lamina.set_num_threads(before)
