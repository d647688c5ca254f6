"""Picture and table of the headline ratios, from the latest bench/results/<family>-<date>.json: python -m bench.report.

Writes docs/ratios.png and .svg, the table of everything in bench/results/README.md, and the headlines between the
marks in the README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.harness import RESULTS, readable

ROOT = RESULTS.parent.parent
DOCS = ROOT / "docs"
BEGIN, END = "<!-- ratios -->", "<!-- /ratios -->"

# In this order; a family that is not listed comes after these under its own name.
TITLES = {
    "step": "Whole training steps and inference",
    "network": "Whole networks",
    "gemm": "Matrix products",
    "conv": "Convolutions",
    "pool": "Pooling",
    "norm": "Batch normalisation",
    "rnn": "Recurrent layers",
    "elementwise": "Element-wise, 2 million elements",
    "reduce": "Reductions and softmax",
    "loss": "Losses",
    "optim": "Optimisers",
    "random": "Random numbers",
    "augment": "Data augmentation",
    "overhead": "Calls with nearly nothing to compute",
    "import": "The library itself",
}
Row = tuple[str, dict[str, Any]]


def latest() -> list[dict[str, Any]]:
    """The newest document of each family, in the order of TITLES; file names end in ISO dates."""
    newest: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        document = json.loads(path.read_text())
        newest[document["family"]] = document
    order = {family: i for i, family in enumerate(TITLES)}
    return sorted(newest.values(), key=lambda d: (order.get(d["family"], len(order)), d["family"]))


def measured(documents: list[dict[str, Any]], headlines_only: bool) -> list[Row]:
    """(family, case), each with its best peer."""
    rows = []
    for document in documents:
        for case in document["cases"]:
            if case["versus"] and (case["headline"] or not headlines_only):
                rows.append((document["family"], {**case, "best": min(case["versus"], key=lambda v: v["ratio"])}))
    return rows


def title(family: str) -> str:
    return TITLES.get(family, family)


def goal(case: dict[str, Any]) -> str:
    """The target, marked where it was missed, with what the measured peak would allow where that is less."""
    if case.get("seconds_target"):
        missed = case["ours"] > case["seconds_target"]
        return readable(case["seconds_target"], "s") + (" missed" if missed else "")
    if not case["target"]:
        return ""
    text = f"{case['target']:g}" + (" missed" if case["best"]["ratio"] < case["target"] else "")
    part = case["fraction_of_peak"].get("flops")
    if part and case["best"]["ratio"] / part < case["target"]:
        text += f" (at peak {case['best']['ratio'] / part:.2f})"
    return text


def table(documents: list[dict[str, Any]], headlines_only: bool) -> str:
    lines = ["| | lamina | best peer | ratio (quartiles) | target |", "|---|---:|---:|---:|---:|"]
    before = None
    for family, case in measured(documents, headlines_only):
        if family != before:
            lines.append(f"| **{title(family)}** | | | | |")
            before = family
        best, unit = case["best"], case["unit"]
        low, high = best["quartiles"]
        lines.append(
            f"| {case['name']} | {readable(case['ours'], unit)} | {best['peer']} {readable(best['value'], unit)} "
            f"| **{best['ratio']:.2f}** ({low:.2f}–{high:.2f}) | {goal(case)} |"
        )
    return "\n".join(lines) + "\n"


def surroundings(documents: list[dict[str, Any]]) -> str:
    machines = {(d["cpu"], d["cores"], d["threads"], d["instruction_set"]) for d in documents}
    packages = {f"{k} {v}" for d in documents for k, v in d["versions"].items() if k not in ("lamina", "python")}
    described = "; ".join(
        f"{cpu}, {cores} cores, {threads} threads, {isa}" for cpu, cores, threads, isa in sorted(machines)
    )
    dates = sorted({d["date"][:10] for d in documents})
    peaks = [d["peak_by_threads"][str(d["threads"])] for d in documents]
    flops = sorted(p["flops"] / 1e9 for p in peaks)
    return (
        f"Measured on {described} ({dates[-1]}; measured peak {flops[0]:.0f}–{flops[-1]:.0f} GFLOP/s); "
        f"{', '.join(sorted(packages))}. Ratio: the peer's time over ours, the median of paired rounds.\n"
    )


def draw(documents: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    matplotlib.rcParams.update({"svg.hashsalt": "lamina", "font.size": 9})  # the same picture is the same file
    faster, slower, ink, faint = "#2a7f86", "#c8553d", "#22303a", "#8a97a0"
    rows = measured(documents, headlines_only=True)
    places, heads, at, before = [], [], 0.0, None
    for family, _ in rows:
        if family != before:
            at += 1.6 if before else 0.9
            heads.append((at - 0.95, title(family)))
            before = family
        places.append(at)
        at += 1
    figure, axes = plt.subplots(figsize=(9.5, 1.1 + 0.235 * at), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)
    axes.axvline(1, color=ink, linewidth=1, zorder=3)
    for y, (_, case) in zip(places, rows, strict=True):
        ratio, (low, high) = case["best"]["ratio"], case["best"]["quartiles"]
        axes.barh(y, ratio - 1, left=1, color=faster if ratio >= 1 else slower, height=0.72, zorder=2)
        axes.plot([low, high], [y, y], color=ink, linewidth=1.1, solid_capstyle="butt", zorder=4)
        end = (max(ratio, high, 1), y)
        text = f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.0f}×"
        axes.annotate(text, end, (5, 0), textcoords="offset points", va="center", color=ink, fontweight="bold")
        beside = axes.annotate(
            case["best"]["peer"], end, (40, 0), textcoords="offset points", va="center", color=faint, fontsize=8
        )
        beside.set_in_layout(False)
    for y, text in heads:
        axes.annotate(
            text, (0, y), (-4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
            va="center", fontweight="bold", color=ink, fontsize=10,
        )  # fmt: skip
    axes.set_yticks(places, [case["name"] for _, case in rows])
    axes.tick_params(axis="y", length=0, labelcolor=ink)
    axes.set_ylim(at + 0.2, -0.6)
    axes.set_xscale("log")
    lowest = min(min(case["best"]["ratio"], case["best"]["quartiles"][0]) for _, case in rows)
    highest = max(max(case["best"]["ratio"], case["best"]["quartiles"][1]) for _, case in rows)
    axes.set_xlim(min(0.7, 0.9 * lowest), max(2.0, 2.2 * highest))  # with room for the peers' names
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(base=2))
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.grid(axis="x", color="#e3e8ea", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("times as fast as the best peer (named in grey); dark lines span the quartiles", color=ink)
    cpu = documents[0]
    axes.set_title(
        f"lamina against its peers · {cpu['cpu']}, {cpu['threads']} threads, {cpu['instruction_set'].upper()}",
        loc="left", color=ink, fontweight="bold", fontsize=11,
    )  # fmt: skip
    DOCS.mkdir(exist_ok=True)
    figure.savefig(DOCS / "ratios.png", dpi=130)
    figure.savefig(DOCS / "ratios.svg", metadata={"Date": None})
    plt.close(figure)


def put_in_readme(path: Path, text: str) -> None:
    page = path.read_text()
    before, mark, rest = page.partition(BEGIN)
    if not mark or END not in rest:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")


def main() -> None:
    documents = latest()
    if not measured(documents, headlines_only=True):
        raise SystemExit("bench/results holds no headline case; run `python -m bench` first")
    draw(documents)
    everything = f"# Every case\n\n{surroundings(documents)}\n{table(documents, headlines_only=False)}"
    (RESULTS / "README.md").write_text(everything)
    put_in_readme(ROOT / "README.md", f"\n{table(documents, headlines_only=True)}\n{surroundings(documents)}\n")
    print(f"wrote {DOCS / 'ratios.png'}, ratios.svg, {RESULTS / 'README.md'} and the table in README.md")


if __name__ == "__main__":
    main()
