"""What a run shows while it lasts: a bar in a terminal (with rich), lines of text elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

PLAIN_EVERY = 10.0  # seconds between lines within an epoch


def _figures(numbers: dict[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in numbers.items())


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """12.3 s, 4:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Silent:
    """Shows nothing; what the others derive from."""

    def start_epoch(self, epoch: int, epochs: int, batch: int, batches: int | None) -> None: ...
    def batch(self, numbers: dict[str, float], samples: int) -> None: ...
    def end_epoch(self, row: dict[str, float], note: str) -> None: ...
    def say(self, text: str) -> None: ...
    def stop(self) -> None: ...


class Plain(Silent):
    """A line per epoch, and one every ten seconds within long ones."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout

    def start_epoch(self, epoch: int, epochs: int, batch: int, batches: int | None) -> None:
        self.epoch, self.epochs, self.position, self.batches = epoch, epochs, batch, batches
        self.samples, self.begun = 0, time.monotonic()
        self.shown = self.begun

    def rate(self) -> float:
        return self.samples / max(time.monotonic() - self.begun, 1e-9)

    def batch(self, numbers: dict[str, float], samples: int) -> None:
        self.position += 1
        self.samples += samples
        if time.monotonic() - self.shown > PLAIN_EVERY:
            self.shown = time.monotonic()
            of = f"/{self.batches}" if self.batches else ""
            self.say(f"{self.heading()}  batch {self.position}{of}  {_figures(numbers)}  {self.rate():.0f} samples/s")

    def heading(self) -> str:
        return f"epoch {self.epoch + 1:{len(str(self.epochs))}d}/{self.epochs}"

    def end_epoch(self, row: dict[str, float], note: str) -> None:
        shown = {name: value for name, value in row.items() if name not in ("epoch", "seconds", "learning_rate")}
        self.say(f"{self.heading()}  {_figures(shown)}  {self.rate():.0f} samples/s{note}")

    def say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class Rich(Plain):
    """A bar of the whole run below the lines of the epochs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        self.console = Console()
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task: Any = None

    def start_epoch(self, epoch: int, epochs: int, batch: int, batches: int | None) -> None:
        super().start_epoch(epoch, epochs, batch, batches)
        if self.task is None:
            total = batches * epochs if batches else None
            done = epoch * batches + batch if batches else 0
            self.task = self.bar.add_task("", total=total, completed=done, figures="")
            self.bar.start()
        self.bar.update(self.task, description=self.heading())

    def batch(self, numbers: dict[str, float], samples: int) -> None:
        self.samples += samples
        if time.monotonic() - self.shown > 0.1:
            self.shown = time.monotonic()
            self.bar.update(self.task, figures=f"{_figures(numbers)}  {self.rate():.0f} samples/s")
        self.bar.advance(self.task)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=True, markup=False, soft_wrap=True)

    def stop(self) -> None:
        self.bar.stop()
        self.task = None


def reporter(wanted: bool) -> Silent:
    """The best that this terminal can show."""
    if not wanted:
        return Silent()
    if sys.stdout.isatty():
        try:
            return Rich()
        except ImportError:
            pass
    return Plain()
