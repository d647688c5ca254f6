"""Loading a state_dict."""

from __future__ import annotations

from collections import namedtuple

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad
from lamina.nn.parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lamina.nn.module import Module

__all__ = ["IncompatibleKeys", "load_state_dict"]

_SHOWN = 12  # names of one kind in a message


class IncompatibleKeys(namedtuple("IncompatibleKeys", "missing_keys, unexpected_keys")):
    """What load_state_dict did not find, and what it did not need."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        return super().__repr__() if self.missing_keys or self.unexpected_keys else "<All keys matched successfully>"


def _as_tensor(value: Any) -> Tensor:
    """Our tensors as they are; NumPy's arrays and other frameworks' tensors without a copy."""
    if isinstance(value, Tensor):
        return value.detach()
    if hasattr(value, "__dlpack__"):
        return _C.from_dlpack(value.detach() if hasattr(value, "detach") else value)
    return _C.tensor(value)


def _list(title: str, lines: list[str]) -> str:
    shown = lines[:_SHOWN]
    if len(lines) > _SHOWN:
        shown.append(f"… and {len(lines) - _SHOWN} more")
    return f"\n  {title}:" + "".join(f"\n    {line}" for line in shown) if lines else ""


@no_grad()
def load_state_dict(module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    if not hasattr(state_dict, "keys"):
        raise TypeError(f"load_state_dict: expected a mapping of names to tensors, got {type(state_dict).__name__}")
    own = module.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]

    values, misfits = {}, []
    for name, member in own.items():
        if name not in state_dict:
            continue
        try:
            value = values[name] = _as_tensor(state_dict[name])
        except (TypeError, ValueError, BufferError) as error:
            misfits.append(f"{name}: expected a tensor, got {type(state_dict[name]).__name__} ({error})")
            continue
        if value.shape != member.shape:
            misfits.append(f"{name}: the module has shape {member.shape}, the state {value.shape}")
    if misfits or (strict and (missing or unexpected)):
        raise RuntimeError(
            f"load_state_dict: this state is not of {type(module).__name__}; nothing was loaded"
            + _list("missing in the state", missing if strict else [])
            + _list("unknown to the module", unexpected if strict else [])
            + _list("different", misfits)
        )

    for name, value in values.items():
        if assign:
            _assign(module, name, value)
        else:
            own[name].copy_(value)
    return IncompatibleKeys(missing, unexpected)


def _assign(module: Module, path: str, value: Tensor) -> None:
    at, _, name = path.rpartition(".")
    owner = module.get_submodule(at)
    old = owner.__dict__[name]
    owner.__dict__[name] = Parameter(value, old.requires_grad) if isinstance(old, Parameter) else value
