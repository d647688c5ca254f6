"""python -m bench [family …] [--quick] [--threads N]: runs bench_<family>.py, writes bench/results, draws the chart."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path


def families() -> list[str]:
    return sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("family", nargs="*", help=f"of {', '.join(families())}; default: all of them")
    parser.add_argument("--quick", action="store_true", help="few, short rounds: does it run? Nothing is written.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for every library")
    parser.add_argument("--only", action="append", help="cases whose name contains this; nothing is written …")
    parser.add_argument("--update", action="store_true", help="… but those cases, into the family's newest results")
    options = parser.parse_args()
    if unknown := sorted({*options.family} - {*families()}):
        parser.error(f"no benchmarks for {', '.join(unknown)}: there are {', '.join(families())}")

    # Libraries that read the number of threads once, when they are imported.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    from bench import harness, report

    effort = harness.QUICK if options.quick else harness.FULL
    if options.update and (options.quick or not options.only):
        parser.error("--update goes with --only, and not with --quick")
    writes = options.update or not (options.quick or options.only)
    write = harness.update if options.update else harness.save
    for family in options.family or families():
        module = importlib.import_module(f"bench.bench_{family}")
        surroundings = harness.environment(options.threads)
        print(f"\n{family}: {surroundings['cpu']}, {options.threads} threads, {surroundings['instruction_set']}")
        results = []
        cases = (c for c in module.cases() if not options.only or any(part in c.name for part in options.only))
        for result in harness.run(cases, options.threads, effort):
            print(harness.table_row(result), flush=True)
            results.append(result)
        if writes:
            print("wrote", write(family, surroundings, results))
    if writes:
        report.main()


if __name__ == "__main__":
    main()
