"""How a module is written for people: its repr, and the table of its layers."""

from __future__ import annotations

from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lamina.nn.module import Module

__all__ = ["Summary", "represent", "summarize"]


def count_parameters(module: Module, trained_only: bool = False) -> int:
    """Elements of all parameters; shared ones once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained_only)


# ---- repr ----


def represent(module: Module) -> str:
    """The tree of modules, with the number of parameters of each that has any."""
    lines = _lines(module)
    total = count_parameters(module)
    if total:
        lines[0] += f"  # {total:,} parameter{'s' if total != 1 else ''}"
    return "\n".join(lines)


def _lines(module: Module) -> list[str]:
    name, extra = type(module).__name__, module.extra_repr().split("\n")
    children = [(key, _with_count(child)) for key, child in module._children()]
    if not children:
        if len(extra) == 1:
            return [f"{name}({extra[0]})"]
        return [f"{name}(", *[f"  {line}" for line in extra], ")"]
    lines = [f"{name}(", *[f"  {line}" for line in extra if line]]
    for keys, block in _runs(children):
        lines += [f"  {keys}: {block[0]}", *[f"  {line}" for line in block[1:]]]
    return [*lines, ")"]


def _with_count(module: Module) -> list[str]:
    lines = _lines(module)
    if total := count_parameters(module):
        lines[0] += f"  # {total:,}"
    return lines


def _runs(children: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Neighbours that read alike become one: (0-5): 6 x Linear(…)."""
    runs: list[tuple[list[str], list[str]]] = []
    for key, lines in children:
        if runs and runs[-1][1] == lines and key.isdigit():
            runs[-1][0].append(key)
        else:
            runs.append(([key], lines))
    result = []
    for keys, lines in runs:
        if len(keys) > 1:
            result.append((f"({keys[0]}-{keys[-1]})", [f"{len(keys)} x {lines[0]}", *lines[1:]]))
        else:
            result.append((f"({keys[0]})", lines))
    return result


# ---- summary ----


class Summary:
    """A table of layers. Printing it is what it is for; `rows` and the totals are for programs."""

    def __init__(self, rows: list[tuple[str, str, str, int]], total: int, trained: int, nbytes: int) -> None:
        self.rows = rows  # (path, class, output shape, parameters of its own)
        self.total_params, self.trainable_params, self.parameter_bytes = total, trained, nbytes

    def __repr__(self) -> str:
        head = ("layer", "class", "output", "parameters")
        cells = [head, *[(path, kind, shape, f"{n:,}" if n else "") for path, kind, shape, n in self.rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(4)]
        lines = [
            "  ".join([*[c.ljust(w) for c, w in zip(row[:3], widths, strict=False)], row[3].rjust(widths[3])]).rstrip()
            for row in cells
        ]
        rule = "─" * (sum(widths) + 6)
        frozen = self.total_params - self.trainable_params
        total = f"{self.total_params:,} parameters, {_size(self.parameter_bytes)}"
        if frozen:
            total += f"; {self.trainable_params:,} trained, {frozen:,} frozen"
        return "\n".join([lines[0], rule, *lines[1:], rule, total])


def _size(nbytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024  # type: ignore[assignment]
    return f"{nbytes:.2f} GiB"


def _shape(output: Any) -> str:
    if isinstance(output, Tensor):
        return str(output.shape)
    if isinstance(output, (tuple, list)):
        return ", ".join(_shape(o) for o in output)
    if isinstance(output, dict):
        return ", ".join(f"{k}: {_shape(v)}" for k, v in output.items())
    return type(output).__name__


@no_grad()
def summarize(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Summary:
    """Runs the module in evaluation mode, for its running statistics and random numbers must not notice."""
    names = {id(m): path for path, m in module.named_modules()}
    rows: list[tuple[str, str, str, int]] = []
    places: list[int] = []  # rows are in the order in which layers begin, and written when they end

    def begin(m: Module, _: Any) -> None:
        places.append(len(rows))
        rows.append(
            (names[id(m)] or "(all)", type(m).__name__, "", sum(p.numel() for p in m.parameters(recurse=False)))
        )

    def end(m: Module, _: Any, output: Any) -> None:
        at = places.pop()
        path, kind, _shape_so_far, own = rows[at]
        rows[at] = (path, kind, _shape(output), own)

    modes = [(m, m.training) for m in module.modules()]
    handles = [m.register_forward_pre_hook(begin) for m, _ in modes]
    handles += [m.register_forward_hook(end, prepend=True) for m, _ in modes]
    try:
        module.eval()
        module(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for m, training in modes:
            m.training = training
    parameters = list(module.parameters())
    return Summary(
        rows,
        count_parameters(module),
        count_parameters(module, trained_only=True),
        sum(p.numel() * p.dtype.itemsize for p in parameters),
    )
