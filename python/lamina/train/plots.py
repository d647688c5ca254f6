"""Pictures of a run, as PNG or SVG by the name's ending. Needs matplotlib, which is imported when something is drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from math import ceil, floor, isfinite, log10
from pathlib import Path
from typing import Any

from lamina._atomic import atomic_write
from lamina.train.callbacks import NormRecorder
from lamina.train.history import History

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#2f6db3", "#e07b39", "#3a9a6b", "#c94f4f", "#7d5ba6", "#8a8f98"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, "#b58a2f", "#4aa3b5", "#a8577e")
INK, PALE = "#22262c", "#e6e8eb"

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "lamina",
}


@contextmanager
def figure(
    path: str | os.PathLike[str], rows: int = 1, columns: int = 1, size: tuple[float, float] = (7.0, 4.0), **layout: Any
) -> Iterator[tuple[Any, Any]]:
    """`with figure(path, …) as (fig, axes):` a picture in the house style, written at the end of the block."""
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in ("png", "svg", "pdf"):
        raise ValueError(f"a picture's name must end in .png, .svg or .pdf, got {path}")
    try:
        matplotlib = import_module("matplotlib")
        agg = import_module("matplotlib.backends.backend_agg")
        figures = import_module("matplotlib.figure")
    except ImportError as error:
        raise ModuleNotFoundError("drawing needs matplotlib: pip install matplotlib", name="matplotlib") from error
    with matplotlib.rc_context(_STYLE):
        fig = figures.Figure(figsize=size, layout="constrained")
        agg.FigureCanvasAgg(fig)
        fig.get_layout_engine().set(w_pad=0.12, h_pad=0.1, wspace=0.04)
        yield fig, fig.subplots(rows, columns, **layout)
        content = io.BytesIO()
        # Without a date: the same run draws the same file.
        metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[ending]
        fig.savefig(content, format=ending, dpi=150, metadata=metadata, facecolor="white")
    with atomic_write(path) as file:
        file.write(content.getvalue())


def rectangle(corner: tuple[float, float], width: float, height: float, **style: Any) -> Any:
    """A patch for `axis.add_patch`: a box on an image, a coloured background of a text."""
    return import_module("matplotlib.patches").Rectangle(corner, width, height, **({"lw": 0} | style))


def _expect(given: object, wanted: type, function: str, what: str) -> None:
    if not isinstance(given, wanted):
        raise TypeError(f"{function}: expected a {wanted.__name__}, {what}, got {type(given).__name__}")


def plot_history(history: History, path: str | os.PathLike[str], title: str = "") -> None:
    """Learning curves: the loss, and each metric beside it; training against validation, the best epoch marked."""
    _expect(history, History, "plot_history", "what Trainer.fit returns")
    names = [
        n for n in history.names if not n.startswith("validation_") and n not in ("epoch", "seconds", "learning_rate")
    ]
    if not history.rows:
        raise ValueError("plot_history: the history has no epochs")
    with figure(path, 1, len(names), (1.2 + 4.2 * len(names), 3.6), squeeze=False) as (fig, axes):
        if title:
            fig.suptitle(title, x=0.01, ha="left", fontsize=12)
        for axis, name in zip(axes[0], names, strict=True):
            curves = [(BLUE, "training", name), (ORANGE, "validation", f"validation_{name}")]
            for colour, label, column in curves:
                points = [
                    (row["epoch"], row[column]) for row in history.rows if column in row and isfinite(row[column])
                ]
                if points:
                    epochs, values = zip(*points, strict=True)
                    marker = "o" if len(points) < 2 else None
                    axis.plot(epochs, values, color=colour, label=label, marker=marker)
            axis.set_title(name.replace("_", " "))
            axis.set_xlabel("epoch")
            _whole_epochs(axis, len(history))
            _mark_best(axis, history, name)
            if name == "loss":
                _log_if_wide(axis)
            ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in axis.lines]
            axis.legend(loc="upper right" if ends and ends[0][0] >= ends[0][1] else "lower right")


def plot_comparison(
    histories: Mapping[str, History],
    path: str | os.PathLike[str],
    column: str = "validation_loss",
    title: str = "",
    lines: Mapping[str, float] | None = None,
) -> None:
    """One figure of several runs over the epochs, each named at its end; `lines` are levels to compare them with."""
    if not isinstance(histories, Mapping) or not histories:
        raise TypeError(f"plot_comparison: expected histories by their names, {{name: History}}, got {histories!r}")
    for history in histories.values():
        _expect(history, History, "plot_comparison", "what Trainer.fit returns")
    with figure(path, 1, 1, (7.6, 4.2)) as (fig, axis):
        for colour, (name, history) in zip(COLOURS, histories.items(), strict=False):
            axis.plot(
                [row["epoch"] for row in history.rows if column in row], history[column], color=colour, label=name
            )
        for name, level in (lines or {}).items():
            axis.axhline(level, color=GREY, lw=1.2, ls=":", label=name)
        axis.set(title=title or column.replace("_", " "), xlabel="epoch", ylabel=column.replace("_", " "))
        _whole_epochs(axis, max(map(len, histories.values())))
        if "loss" in column:
            _log_if_wide(axis)
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def _whole_epochs(axis: Any, epochs: int) -> None:
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlim(1 if epochs > 1 else 0, max(epochs, 2))


def _mark_best(axis: Any, history: History, name: str) -> None:
    """A ring on the best epoch of the validation curve."""
    column = f"validation_{name}"
    points = [(row[column], row["epoch"]) for row in history.rows if column in row and isfinite(row[column])]
    if len(points) < 2:
        return
    falls = points[-1][0] <= points[0][0]
    value, epoch = min(points) if falls else max(points, key=lambda p: (p[0], -p[1]))
    axis.plot(
        [epoch], [value], "o", ms=8, mfc="white", mec=ORANGE, mew=2, label=f"best: {value:.4g}", zorder=5, clip_on=False
    )


def _log_if_wide(axis: Any) -> None:
    low = min((min(line.get_ydata(), default=1) for line in axis.lines), default=1)
    high = max((max(line.get_ydata(), default=1) for line in axis.lines), default=1)
    if low > 0 and high / low > 20:
        axis.set_yscale("log")


def plot_norms(recorder: NormRecorder, path: str | os.PathLike[str], title: str = "") -> None:
    """Norms of gradients (left) and weights (right) over the steps, from the first layer (light) to the last (dark), on a
    log scale: lines that spread downwards are gradients that vanish, lines that rise are ones that explode."""
    _expect(recorder, NormRecorder, "plot_norms", "a callback of the Trainer")
    if not recorder.steps:
        raise ValueError("plot_norms: nothing was recorded")
    matrices = [name for name in recorder.weights if name.endswith("weight")] or list(recorder.weights)
    with figure(path, 1, 2, (11, 4.2)) as (fig, (left, right)):
        if title:
            fig.suptitle(title, x=0.01, ha="left", fontsize=12)
        shades = _shades(len(matrices))
        for axis, norms, what in ((left, recorder.gradients, "gradient"), (right, recorder.weights, "weight")):
            for shade, name in zip(shades, matrices, strict=True):
                points = [(s, n) for s, n in zip(recorder.steps, norms[name], strict=True) if isfinite(n) and n > 0]
                if points:
                    axis.plot(*zip(*points, strict=True), color=shade, label=name, lw=1.4)
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter("")
            low, high = axis.get_ylim()
            if high / low < 20:  # at least a power of ten on the axis
                axis.set_ylim(10 ** floor(log10(low)), 10 ** ceil(log10(high)))
            axis.set_xlabel("step")
            axis.set_title(f"‖{what}‖ by layer")
        shown = right.get_legend_handles_labels()
        if len(matrices) > 12:  # the first, the last and some between
            chosen = sorted({round(i * (len(shown[0]) - 1) / 9) for i in range(10)})
            shown = tuple([part[i] for i in chosen] for part in shown)
        right.legend(*shown, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)


def _shades(count: int) -> Sequence[Any]:
    colours = import_module("matplotlib").colormaps["viridis_r"]
    return [colours(0.2 + 0.75 * i / max(count - 1, 1)) for i in range(count)]
