"""How a tensor is written for people. Only what is shown is ever looked at, so size does not matter."""

from __future__ import annotations

import math

from lamina._C import Tensor, _is_recording, float32, int64
from lamina._C import bool as bool_dtype
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["get_printoptions", "set_printoptions"]

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_defaults = dict(_options)
_profiles: dict[str, dict[str, Any]] = {
    "default": _defaults,
    "short": {**_defaults, "precision": 2, "edgeitems": 2},
    "full": {**_defaults, "threshold": math.inf},
}

_LONGEST_SUMMARY = 5000  # elements; tensors of many dimensions show fewer at each edge
_GAP = ...  # stands for the elements that a summary leaves out


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are shown.

    precision: digits after the point; threshold: the number of elements beyond which only `edgeitems` at each end of a
    dimension are shown; linewidth: characters to a line; profile: 'default', 'short' or 'full'; sci_mode: scientific
    notation always (True), never (False) or when it is needed (None).
    """
    if profile is not None:
        if profile not in _profiles:
            raise ValueError(f"set_printoptions: profile must be one of {sorted(_profiles)}, got {profile!r}")
        _options.update(_profiles[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            if value < 0 or (name in ("edgeitems", "linewidth") and value < 1):
                raise ValueError(f"set_printoptions: {name} is too small: {value}")
            _options[name] = value
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options that set_printoptions set."""
    return dict(_options)


def represent(t: Tensor) -> str:
    """The repr of a tensor."""
    if _is_recording():  # its values are those of the first of many runs
        return f"tensor(<being recorded>, shape={t.shape}, dtype={t.dtype})"
    summarised = t.numel() > _options["threshold"]
    notes = []
    if summarised or (t.numel() == 0 and t.ndim != 1):
        notes.append(f"shape={t.shape}")
    if t.dtype not in (float32, int64, bool_dtype) or (t.numel() == 0 and t.dtype is not float32):
        notes.append(f"dtype={t.dtype}")
    if t.device.type != "cpu":
        notes.append(f"device='{t.device}'")
    if t.grad_fn is not None:
        notes.append(f"grad_fn={t.grad_fn}")
    elif t.requires_grad:
        notes.append("requires_grad=True")

    # A subclass is called by its name, unless it says in a repr of its own what it is.
    named = type(t) is not Tensor and type(t).__repr__ is Tensor.__repr__
    start = f"{type(t).__name__ if named else 'tensor'}("
    body = _contents(t.detach(), summarised, len(start))
    width = _options["linewidth"]
    for note in notes:
        last_line = len(body) - body.rfind("\n") - 1
        if "\n" not in body:
            last_line += len(start)
        separator = ", " if last_line + len(note) + 3 <= width else ",\n" + " " * len(start)
        body += separator + note
    return f"{start}{body})"


def _contents(t: Tensor, summarised: bool, indent: int) -> str:
    if t.numel() == 0:
        return "[]"
    values = _edges(t, _edge_items(t.shape)) if summarised else t.tolist()
    if t.ndim == 0:
        return _formatter([values])(values).lstrip()
    return _lay_out(values, t.ndim, _formatter(list(_flat(values))), indent)


def _edge_items(shape: tuple[int, ...]) -> int:
    """How many elements to show at each end of a dimension."""
    edge: int = _options["edgeitems"]
    while edge > 1 and math.prod(min(n, 2 * edge) for n in shape) > _LONGEST_SUMMARY:
        edge -= 1
    return edge


def _edges(t: Tensor, edge: int) -> list[Any]:
    """Nested lists of the elements at the edges, with _GAP between them."""
    n = t.shape[0]
    cut = n > 2 * edge + 1  # a single element takes no more room than the dots that would stand for it
    if t.ndim == 1:
        if not cut:
            return t.tolist()
        return [*t.narrow(0, 0, edge).tolist(), _GAP, *t.narrow(0, n - edge, edge).tolist()]
    shown: list[Any] = [*range(edge), _GAP, *range(n - edge, n)] if cut else list(range(n))
    return [_GAP if i is _GAP else _edges(t.select(0, i), edge) for i in shown]


def _flat(values: Any) -> Iterator[Any]:
    for v in values:
        if isinstance(v, list):
            yield from _flat(v)
        elif v is not _GAP:
            yield v


def _formatter(values: list[Any]) -> Callable[[Any], str]:
    """A function that writes each of `values` with the same width."""
    write = _float_writer(values) if isinstance(values[0], float) else str
    width = max(len(write(v)) for v in values)
    return lambda v: write(v).rjust(width)


def _float_writer(values: list[float]) -> Callable[[float], str]:
    """As many digits as all need: none for whole numbers, an exponent when magnitudes lie far apart."""
    precision: int = _options["precision"]
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    whole = all(s == math.floor(s) for s in sizes)
    scientific = _options["sci_mode"]
    if scientific is None and sizes:
        largest, smallest = max(sizes), min(sizes)
        scientific = largest >= 1e8 or (not whole and (smallest < 1e-4 or largest >= 1e6))
    if scientific:
        return lambda v: f"{v:.{precision}e}"
    if whole:
        return lambda v: f"{v:.0f}." if math.isfinite(v) else str(v)
    return lambda v: f"{v:.{precision}f}"


def _lay_out(values: list[Any], depth: int, write: Callable[[Any], str], indent: int, outer: int = 0) -> str:
    """Rows within `outer` pairs of brackets."""
    if depth == 1:
        return _row(["..." if v is _GAP else write(v) for v in values], indent + 1, outer)
    parts = ["..." if v is _GAP else _lay_out(v, depth - 1, write, indent + 1, outer + 1) for v in values]
    return "[" + ("," + "\n" * (depth - 1) + " " * (indent + 1)).join(parts) + "]"


def _row(cells: list[str], indent: int, outer: int) -> str:
    """One row, broken into lines where it is too long for one; the last may have to hold all closing brackets."""
    per_line = max(1, (_options["linewidth"] - indent - outer) // (max(map(len, cells)) + 2))
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * indent).join(lines) + "]"


speak_for_themselves(globals())
