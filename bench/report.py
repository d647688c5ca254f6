"""Picture and table of the headline ratios, from the latest bench/results/<family>-<date>.json: python -m bench.report."""

from __future__ import annotations

import json
from typing import Any

from bench.harness import RESULTS, readable


def latest() -> list[dict[str, Any]]:
    """The newest document of each family; file names end in ISO dates, so the last in order."""
    newest: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        document = json.loads(path.read_text())
        newest[document["family"]] = document
    return list(newest.values())


def headlines(documents: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(family, case) of what the README shows, each reduced to its best peer."""
    rows = []
    for document in documents:
        for case in document["cases"]:
            if case["headline"] and case["versus"]:
                rows.append((document["family"], {**case, "best": min(case["versus"], key=lambda v: v["ratio"])}))
    return rows


def table(documents: list[dict[str, Any]]) -> str:
    lines = ["| | lamina | best peer | ratio (quartiles) |", "|---|---:|---:|---:|"]
    for _, case in headlines(documents):
        best, unit = case["best"], case["unit"]
        low, high = best["quartiles"]
        lines.append(
            f"| {case['name']} | {readable(case['ours'], unit)} | {best['peer']} {readable(best['value'], unit)} "
            f"| **{best['ratio']:.2f}** ({low:.2f}–{high:.2f}) |"
        )
    machines = {(d["cpu"], d["threads"], d["instruction_set"]) for d in documents}
    packages = {f"{k} {v}" for d in documents for k, v in d["versions"].items() if k not in ("lamina", "python")}
    described = "; ".join(f"{cpu}, {threads} threads, {isa}" for cpu, threads, isa in sorted(machines))
    lines += ["", f"Measured on {described}; {', '.join(sorted(packages))}. Ratio: the peer's time over ours."]
    return "\n".join(lines) + "\n"


def draw(documents: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    matplotlib.rcParams["svg.hashsalt"] = "lamina"  # the same picture is the same file
    rows = headlines(documents)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.3 * len(rows)), layout="constrained")
    for i, (_, case) in enumerate(rows):
        best = case["best"]
        ratio, (low, high) = best["ratio"], best["quartiles"]
        axes.barh(i, ratio - 1, left=1, color="#2b7a78" if ratio >= 1 else "#b5523b", height=0.7)
        axes.plot([low, high], [i, i], color="black", linewidth=1)
        end = (max(ratio, high, 1), i)
        axes.annotate(f"{ratio:.2f}", end, (4, 0), textcoords="offset points", va="center", fontsize=8)
    labels = [f"{case['name']}  ({case['best']['peer']})" for _, case in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(base=2))
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("speed relative to the best peer, median of paired rounds; lines: quartiles")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS / "ratios.png", dpi=120)
    figure.savefig(RESULTS / "ratios.svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    documents = latest()
    if not headlines(documents):
        raise SystemExit("bench/results holds no headline case; run `python -m bench` first")
    draw(documents)
    (RESULTS / "README.md").write_text(f"# Against the peers\n\n![ratios](ratios.svg)\n\n{table(documents)}")
    print(f"wrote ratios.png, ratios.svg and README.md in {RESULTS}")


if __name__ == "__main__":
    main()
