"""Tensors made of a few numbers. The commonest (tensor, zeros, full, arange …) are in csrc/bind/creation.cpp."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["eye", "frombuffer", "linspace", "logspace"]


def _made_for(function: str, make: Callable[[], Tensor]) -> Tensor:
    """make(), whose errors begin with the name of the function that was called."""
    try:
        return make()
    except (MemoryError, TypeError, ValueError) as error:
        raise type(error)(f"{function}: {str(error).partition(': ')[2]}") from None


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An n × m matrix (n × n unless m is given) with ones on the diagonal."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"eye: sizes must not be negative, got {n}" + ("" if m is None else f" and {m}"))
    out = _made_for("eye", lambda: _C.zeros(n, n if m is None else m, dtype=dtype, device=device))
    out.diagonal().fill_(1)
    return out.requires_grad_() if requires_grad else out


def _steps(start: float, end: float, steps: int, function: str) -> Tensor:
    """`steps` float64 numbers from start to end, both exact."""
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"{function}: steps must be a whole number >= 0, got {steps!r}")
    start, end = float(start), float(end)
    points = _made_for(function, lambda: _C.arange(steps, dtype=_C.float64))
    if steps > 1:
        points = points * ((end - start) / (steps - 1)) + start
        points[-1] = end
    return points if steps > 1 else points + start


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included."""
    out = _steps(start, end, steps, "linspace").to(dtype=dtype or _C.float32, device=device)
    return out.requires_grad_() if requires_grad else out


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base to the power of `steps` evenly spaced numbers from start to end, both included."""
    powers = _C.pow(float(base), _steps(start, end, steps, "logspace"))
    out = powers.to(dtype=dtype or _C.float32, device=device)
    return out.requires_grad_() if requires_grad else out


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-d tensor of `count` elements (all, if negative) that shares a buffer's memory from byte `offset` on."""
    memory = memoryview(buffer).cast("B")
    size = _C.empty(0, dtype=dtype).itemsize
    if not 0 <= offset <= len(memory):
        raise ValueError(f"frombuffer: offset must be within the buffer's {len(memory)} bytes, got {offset}")
    if count < 0:
        if (len(memory) - offset) % size:
            raise ValueError(f"frombuffer: {len(memory) - offset} bytes are not a whole number of {size}-byte elements")
        count = (len(memory) - offset) // size
    if count * size > len(memory) - offset:
        raise ValueError(f"frombuffer: {count} elements need {count * size} bytes, got {len(memory) - offset}")
    out = _C._view_bytes(memory[offset : offset + count * size], dtype)
    return out.requires_grad_() if requires_grad else out


speak_for_themselves(globals())
