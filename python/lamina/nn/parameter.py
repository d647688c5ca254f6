"""The tensors that a module owns: parameters, which are trained, and buffers, which are not."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Buffer", "Parameter"]


def _as_tensor(data: Any) -> Tensor:
    if data is None:
        return _C.empty(0)
    return data if isinstance(data, Tensor) else _C.tensor(data)


class Parameter(Tensor):
    """A tensor that a module registers when it is assigned to an attribute, and that optimisers train.

    It shares the memory of `data`.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        parameter: Parameter = _C._wrap_as(cls, _as_tensor(data))
        parameter.requires_grad_(requires_grad)
        return parameter

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that a module registers and moves about with its parameters, but that nobody trains: running means, masks.

    It shares the memory of `data`. Persistent ones are part of the module's state_dict.
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        buffer: Buffer = _C._wrap_as(cls, _as_tensor(data))
        buffer.persistent = persistent
        return buffer
