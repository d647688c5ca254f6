"""Are the gradients right? Compared with finite differences, in float64."""

from __future__ import annotations

import math

from lamina import _C
from lamina._C import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["GradcheckError", "gradcheck"]


class GradcheckError(RuntimeError):
    """Analytic and numeric gradients differ."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compares the gradient of every output element for every input element with central differences of step `eps`.

    Inputs that require grad must be float64; others are passed on as they are. True if all agree within
    atol + rtol · |numeric|; otherwise GradcheckError tells where not, or the result is False.
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [i for i, a in enumerate(arguments) if isinstance(a, Tensor) and a.requires_grad]
    if not checked:
        raise ValueError("gradcheck: at least one input must require grad")
    for i in checked:
        if arguments[i].dtype is not _C.float64:
            raise ValueError(f"gradcheck: input {i} must be float64 for finite differences, got {arguments[i].dtype}")

    outputs = _outputs(fn, arguments)
    analytic = {i: [_analytic(fn, arguments, i, k) for k in range(len(outputs))] for i in checked}
    for i in checked:
        numeric = _numeric(fn, arguments, i, eps)
        for k in range(len(outputs)):
            problem = _compare(analytic[i][k], numeric[k], atol, rtol, arguments[i].shape, outputs[k].shape)
            if problem:
                if raise_exception:
                    raise GradcheckError(f"gradcheck: input {i}, output {k}: {problem}")
                return False
    return True


def _outputs(fn: Callable[..., Any], arguments: list[Any]) -> list[Tensor]:
    """The floating-point outputs of fn."""
    result = fn(*arguments)
    outputs = list(result) if isinstance(result, tuple | list) else [result]
    outputs = [t for t in outputs if isinstance(t, Tensor) and t.is_floating_point()]
    if not outputs:
        raise ValueError("gradcheck: the function has no floating-point output")
    return outputs


def _analytic(fn: Callable[..., Any], arguments: list[Any], i: int, k: int) -> list[list[float]]:
    """[output element][input element] of output k for input i, by one backward pass for each output element."""
    output = _outputs(fn, arguments)[k]
    n = arguments[i].numel()
    if not output.requires_grad:
        return [[0.0] * n for _ in range(output.numel())]
    rows = []
    for at in range(output.numel()):
        pick = _C.zeros(output.numel(), dtype=output.dtype, device=output.device)
        pick.narrow(0, at, 1).fill_(1)
        (grad,) = _C._gradients([output], [pick.reshape(output.shape)], [arguments[i]], True)
        rows.append([0.0] * n if grad is None else grad.reshape(-1).tolist())
    return rows


def _numeric(fn: Callable[..., Any], arguments: list[Any], i: int, eps: float) -> list[list[list[float]]]:
    """[output][output element][input element] for input i, by central differences."""
    values = arguments[i].detach().clone()
    flat = values.reshape(-1)
    moved = [a.detach() if isinstance(a, Tensor) else a for a in arguments]
    moved[i] = values
    columns = []
    for at in range(values.numel()):
        element = flat.narrow(0, at, 1)
        before = element.item()
        ends = []
        for end in (before + eps, before - eps):
            element.fill_(end)
            ends.append([t.double().reshape(-1).tolist() for t in _outputs(fn, moved)])
        element.fill_(before)
        width = (before + eps) - (before - eps)
        columns.append([[(u - d) / width for u, d in zip(*pair, strict=True)] for pair in zip(*ends, strict=True)])
    outputs = _outputs(fn, moved)
    return [[[column[k][o] for column in columns] for o in range(t.numel())] for k, t in enumerate(outputs)]


def _compare(
    analytic: list[list[float]],
    numeric: list[list[float]],
    atol: float,
    rtol: float,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> str | None:
    """What is wrong, if anything: the worst place and how many there are."""
    worst, where, count = -1.0, (0, 0), 0
    for o, (row_a, row_n) in enumerate(zip(analytic, numeric, strict=True)):
        for x, (a, n) in enumerate(zip(row_a, row_n, strict=True)):
            excess = abs(a - n) - (atol + rtol * abs(n))
            if excess <= 0 or (a == n):
                continue
            excess = math.inf if math.isnan(excess) else excess
            count += 1
            if excess > worst:
                worst, where = excess, (o, x)
    if not count:
        return None
    o, x = where
    return (
        f"{count} of {len(analytic) * len(analytic[0])} derivatives differ, worst that of output element "
        f"{_unravel(o, output_shape)} for input element {_unravel(x, input_shape)}: "
        f"analytic {analytic[o][x]:.8g}, numeric {numeric[o][x]:.8g} (atol {atol:g}, rtol {rtol:g})"
    )


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for n in reversed(shape):
        flat, at = divmod(flat, n)
        index.insert(0, at)
    return tuple(index)
