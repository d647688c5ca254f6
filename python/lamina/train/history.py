"""What a run measured, epoch by epoch."""

from __future__ import annotations

import csv
import io
import os

from lamina._atomic import write_text


class History:
    """One row of numbers per epoch."""

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows = rows or []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> list[float]:
        """A column, such as "loss" or "validation_accuracy"; epochs without it are left out."""
        column = [row[name] for row in self.rows if name in row]
        if not column:
            raise KeyError(f"the history has no {name!r}; it has {', '.join(self.names)}")
        return column

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def last(self) -> dict[str, float]:
        return self.rows[-1]

    def save(self, path: str | os.PathLike[str]) -> None:
        """As a CSV file."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(path, text.getvalue())

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        return f"History({len(self)} epochs; last: {', '.join(f'{k} {v:.4g}' for k, v in self.last.items())})"
