"""Ratios, not times: each call of ours against the same call of a peer, in one process, alternating.

A shared machine changes its speed by a third within a minute, so one absolute time says little; two calls made within
the same tenth of a second see the same machine. A case is therefore measured in rounds. In each, ours and the peer run
back to back (which one goes first alternates), each after a short rest in a loop long enough for the clock, and the round
gives one ratio.
Reported are the median of these ratios and their quartiles, beside the median times for orientation.

pytest-benchmark times one function after another and has no such pairs; what it would have given (calibration, a JSON
file) is twenty lines here, so the harness stands on its own.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One thing to measure. `ours` and the `peers` do the same work; `check` raises if their results differ."""

    name: str
    ours: Callable[[], Any]
    peers: dict[str, Callable[[], Any]]
    check: Callable[[], object]
    flops: float = 0.0  # operations of one call, for the fraction of the machine's measured peak
    bytes: float = 0.0  # read and written by one call, likewise
    target: float = 0.0  # the ratio to reach against the best peer
    seconds_target: float = 0.0  # or the time of one call, where that is the aim
    self_timed: bool = False  # the callables return the number to compare themselves: seconds, or what `unit` says
    unit: str = "s"
    headline: bool = False  # shown in the README's chart and table
    rounds: int = 0  # instead of the default
    threads: int = 0  # instead of the run's


@dataclass(frozen=True)
class Versus:
    """Ours against one peer: how many times ours the peer takes."""

    peer: str
    value: float
    ratio: float
    quartiles: tuple[float, float]


@dataclass(frozen=True)
class Result:
    name: str
    ours: float
    unit: str
    versus: list[Versus]
    target: float
    headline: bool
    fraction_of_peak: dict[str, float] = field(default_factory=dict)
    seconds_target: float = 0.0

    def ratio_at_peak(self) -> float | None:
        """The ratio if ours ran at all of the machine's measured arithmetic peak: no kernel can give more."""
        best, part = self.best_peer(), self.fraction_of_peak.get("flops")
        return best.ratio / part if best and part else None

    def misses(self) -> bool:
        best = self.best_peer()
        too_slow = best is not None and best.ratio < self.target
        return too_slow or bool(self.seconds_target) and self.ours > self.seconds_target

    def best_peer(self) -> Versus | None:
        return min(self.versus, key=lambda v: v.ratio, default=None)


@dataclass(frozen=True)
class Peak:
    """What the machine could do in the moments of the measurement."""

    flops: float
    bytes: float


def measured_peak(seconds: float = 0.05) -> Peak:
    from lamina import _C

    return Peak(*_C._measure_peak(seconds))


@dataclass(frozen=True)
class Effort:
    rounds: int
    loop_seconds: float  # a loop of calls lasts at least this long


FULL = Effort(rounds=21, loop_seconds=0.02)
QUICK = Effort(rounds=5, loop_seconds=0.003)


def optional(package: str) -> ModuleType | None:
    """A peer that need not be installed."""
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


def set_threads(threads: int) -> None:
    """The same number for everyone in this process. NumPy's BLAS has read its environment by now: see __main__."""
    import lamina

    lamina.set_num_threads(threads)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def _time_loop(call: Callable[[], object], count: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _calibrate(call: Callable[[], object], loop_seconds: float) -> int:
    """How many calls make a loop of that length."""
    count = 1
    while (took := _time_loop(call, count) * count) < loop_seconds:
        count = min(count * 10, int(count * 1.2 * loop_seconds / max(took, 1e-9)) + 1)
    return count


# Threads of a library keep spinning for a while after its last call, and would take a core from the next one's: those of
# ONNX Runtime for up to a tenth of a second.
REST_SECONDS = 0.01
MOST_RESTS = 30


def _rest() -> None:
    """Until no thread of this process works."""
    for _ in range(MOST_RESTS):
        worked = time.process_time()
        time.sleep(REST_SECONDS)
        if time.process_time() - worked < 0.1 * REST_SECONDS:
            return


def _rested(call: Callable[[], object], count: int) -> float:
    _rest()
    call()  # its own threads wake up, its data comes back to the caches
    return _time_loop(call, count)


def _sampler(case: Case, call: Callable[[], Any], effort: Effort) -> Callable[[], float]:
    if case.self_timed:
        return lambda: float(call())
    call()
    count = _calibrate(call, effort.loop_seconds)
    return lambda: _rested(call, count)


def _quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def measure(case: Case, effort: Effort) -> Result:
    case.check()
    ours = _sampler(case, case.ours, effort)
    peers = {name: _sampler(case, call, effort) for name, call in case.peers.items()}
    needs_peak = bool(case.flops or case.bytes)
    peaks = [measured_peak()] if needs_peak else []

    our_samples: list[float] = []
    peer_samples: dict[str, list[float]] = {name: [] for name in peers}
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    for round_ in range(case.rounds or effort.rounds):
        if not peers:
            our_samples.append(ours())
        for name, peer in peers.items():
            if round_ % 2:
                theirs, mine = peer(), ours()
            else:
                mine, theirs = ours(), peer()
            our_samples.append(mine)
            peer_samples[name].append(theirs)
            ratios[name].append(theirs / mine)

    value = statistics.median(our_samples)
    fraction: dict[str, float] = {}
    if needs_peak:
        peaks.append(measured_peak())
        # The higher one: other processes make a peak look lower than it was, nothing makes it look higher.
        if case.flops:
            fraction["flops"] = case.flops / value / max(p.flops for p in peaks)
        if case.bytes:
            fraction["bytes"] = case.bytes / value / max(p.bytes for p in peaks)
    versus = [
        Versus(name, statistics.median(peer_samples[name]), statistics.median(ratios[name]), _quartiles(ratios[name]))
        for name in peers
    ]
    return Result(
        case.name, value, case.unit, versus, case.target, case.headline, fraction, seconds_target=case.seconds_target
    )


def run(cases: Iterable[Case], threads: int, effort: Effort) -> Iterator[Result]:
    """Measures one case after another, each with the same number of threads for everyone."""
    for case in cases:
        set_threads(case.threads or threads)
        yield measure(case, effort)


# ---- memory ----


def live_bytes_of_ours(start: Callable[[], Callable[[], object]]) -> float:
    """The most that lives at once from the first weight to the end of some steps, in MiB; `start` builds the step."""
    import lamina

    before = lamina.memory_stats()["allocated"]
    lamina.reset_peak_memory()
    step = start()
    for _ in range(5):
        step()
    return float(lamina.memory_stats()["peak"] - before) / 2**20


def live_bytes_of_torch(start: Callable[[], Callable[[], object]]) -> float:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        step = start()
        for _ in range(5):
            step()
    live = peak = 0
    memory = [e for e in trace.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(memory, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak / 2**20


# ---- what a result must be read with ----


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    here = Path(__file__).parent
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=here, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    import lamina

    found = {"python": platform.python_version(), "lamina": lamina.__version__}
    for package in ("numpy", "torch", "jax", "onnxruntime", "gensim", "mlx"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment(threads: int) -> dict[str, object]:
    from lamina import _C

    peaks = {}
    for n in sorted({1, threads}):
        set_threads(n)
        peaks[str(n)] = asdict(measured_peak(0.2))
    set_threads(threads)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "instruction_set": _C._target(),
        "versions": _versions(),
        "peak_by_threads": peaks,
    }


def save(family: str, surroundings: dict[str, object], results: list[Result]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{family}-{datetime.date.today().isoformat()}.json"
    document = {"family": family, **surroundings, "cases": [asdict(r) for r in results]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def update(family: str, surroundings: dict[str, object], results: list[Result]) -> Path:
    """Puts cases in place of theirs in the family's newest results; each says when and at which commit it was measured."""
    before = sorted(RESULTS.glob(f"{family}-*.json"))
    if not before:
        raise FileNotFoundError(f"no results of {family} to update")
    document = json.loads(before[-1].read_text())
    for name in ("cpu", "threads", "instruction_set", "versions"):
        if document[name] != surroundings[name]:
            raise ValueError(
                f"{before[-1].name} was measured with {name} {document[name]}, this is {surroundings[name]}"
            )
    own = {name: surroundings[name] for name in ("date", "commit", "peak_by_threads")}
    fresh = {r.name: {**asdict(r), "measured": own} for r in results}
    document["cases"] = [fresh.pop(case["name"], case) for case in document["cases"]] + list(fresh.values())
    before[-1].write_text(json.dumps(document, indent=1) + "\n")
    return before[-1]


# ---- the table on the terminal ----


def readable(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.3g} {unit}"
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def table_row(result: Result) -> str:
    columns = [f"{result.name:<44}", f"{readable(result.ours, result.unit):>9}"]
    for v in result.versus:
        low, high = v.quartiles
        columns.append(f"{v.peer} {readable(v.value, result.unit)}, ratio {v.ratio:.2f} [{low:.2f} {high:.2f}]")
    for what, part in result.fraction_of_peak.items():
        columns.append(f"{part:.0%} of peak {what}")
    if result.target:
        columns.append(f"target {result.target:g}")
        limit = result.ratio_at_peak()
        if limit and limit < result.target:
            columns.append(f"at peak {limit:.2f}")
    if result.seconds_target:
        columns.append(f"target {readable(result.seconds_target, 's')}")
    return "  ".join([*columns, *(["MISSED"] if result.misses() else [])])
