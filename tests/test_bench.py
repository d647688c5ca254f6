"""The benchmarks' own arithmetic: what is called a ratio, what counts as a miss, what the report says of it."""

import json
from types import SimpleNamespace

import pytest

harness = pytest.importorskip("bench.harness", reason="the benchmarks lie beside the sources, not in the package")
report = pytest.importorskip("bench.report")

SHORT = harness.Effort(rounds=5, loop_seconds=0.001)


class Clock:
    """Goes on only where it is told to, so that a ratio is what it must be."""

    def __init__(self):
        self.now = 0.0
        self.worked = 0.0  # by threads that spin on
        self.spins_until = 0.0

    def sleep(self, seconds):
        self.worked += max(0.0, min(self.spins_until - self.now, seconds))
        self.now += seconds

    def taking(self, seconds):
        def call():
            self.now += seconds

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    fake = SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: clock.worked, sleep=clock.sleep)
    monkeypatch.setattr(harness, "time", fake)
    return clock


@pytest.fixture
def case(clock):
    def make(seconds=0.001, peers=(("slow", 0.004),), **changes):
        given = {
            "name": "waiting", "ours": clock.taking(seconds), "peers": {n: clock.taking(s) for n, s in peers},
            "check": lambda: None, "target": 2.0, "headline": True,
        }  # fmt: skip
        return harness.Case(**{**given, **changes})

    return make


def test_a_ratio_is_the_peers_time_over_ours(case):
    result = harness.measure(case(), SHORT)
    assert result.ours == pytest.approx(0.001)
    assert result.best_peer().ratio == pytest.approx(4)
    assert result.best_peer().quartiles == pytest.approx((4, 4))
    assert not result.misses()
    assert harness.measure(case(target=5.0), SHORT).misses()


def test_calls_wait_for_threads_that_spin_on(clock):
    clock.spins_until = 0.12
    harness._rest()
    assert clock.now == pytest.approx(0.13)
    clock.spins_until = 1e9  # somebody who never stops is not waited for for ever
    harness._rest()
    assert clock.now == pytest.approx(0.13 + harness.MOST_RESTS * harness.REST_SECONDS)


def test_the_best_peer_counts(case):
    result = harness.measure(case(peers=(("slow", 0.004), ("fast", 0.0005))), SHORT)
    assert result.best_peer().peer == "fast"
    assert result.best_peer().ratio == pytest.approx(0.5)
    assert result.misses()


def test_what_is_wrong_is_not_timed(case):
    def wrong():
        raise AssertionError("results differ")

    def never():
        raise RuntimeError("timed")

    with pytest.raises(AssertionError, match="results differ"):
        harness.measure(case(check=wrong, ours=never), SHORT)


def test_a_figure_that_measures_itself():
    memory = harness.Case("memory", lambda: 2.0, {"other": lambda: 3.0}, lambda: None, self_timed=True, unit="MiB")
    result = harness.measure(memory, SHORT)
    assert (result.ours, result.best_peer().ratio) == (2.0, 1.5)
    assert "2 MiB" in harness.table_row(result)


def test_fraction_of_the_measured_peak(case):
    result = harness.measure(case(flops=1e3), SHORT)
    assert 0 < result.fraction_of_peak["flops"] < 1e-2
    assert "of peak flops" in harness.table_row(result)


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A report into an empty folder, of one family measured there."""
    results, docs, readme = tmp_path / "results", tmp_path / "docs", tmp_path / "README.md"
    for module in (harness, report):
        monkeypatch.setattr(module, "RESULTS", results)
    monkeypatch.setattr(report, "DOCS", docs)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return tmp_path


def test_saved_and_reported(pages, case):
    pytest.importorskip("matplotlib")
    measured = [harness.measure(case(), SHORT), harness.measure(case(name="too slow", target=50.0), SHORT)]
    path = harness.save("overhead", harness.environment(1), measured)
    saved = json.loads(path.read_text())
    assert {"commit", "cpu", "versions", "threads", "peak_by_threads"} <= saved.keys()
    assert [c["name"] for c in saved["cases"]] == ["waiting", "too slow"]
    report.main()
    readme = (pages / "README.md").read_text()
    assert readme.startswith("before\n")
    assert readme.endswith("after\n")
    assert "| waiting |" in readme
    assert "50 missed" in readme
    assert "old" not in readme
    assert (pages / "docs" / "ratios.png").read_bytes().startswith(b"\x89PNG")


def test_a_few_cases_measured_again(pages, case):
    surroundings = harness.environment(1)
    harness.save("overhead", surroundings, [harness.measure(case(name=name), SHORT) for name in ("one", "two")])
    again = [harness.measure(case(name=name), SHORT) for name in ("two", "three")]
    path = harness.update("overhead", {**surroundings, "commit": "later"}, again)
    cases = json.loads(path.read_text())["cases"]
    assert [c["name"] for c in cases] == ["one", "two", "three"]
    assert [c.get("measured", {}).get("commit") for c in cases] == [None, "later", "later"]
    assert cases[1]["ours"] == again[0].ours
    with pytest.raises(ValueError, match="measured with threads 1, this is 2"):
        harness.update("overhead", {**surroundings, "threads": 2}, again)
    with pytest.raises(FileNotFoundError, match="no results of gemm"):
        harness.update("gemm", surroundings, again)


def test_families_that_do_not_exist(capsys, monkeypatch):
    main = pytest.importorskip("bench.__main__").main
    monkeypatch.setattr("sys.argv", ["bench", "gem"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "no benchmarks for gem: there are" in capsys.readouterr().err
