"""Where the first NaN or infinity came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina import Tensor
from lamina.nn import Module


class NonFiniteLoss(FloatingPointError):
    """Training stopped, for the loss or a parameter was NaN or infinite. `layer` is the path of the module that first
    produced such a value ("" if none did)."""

    def __init__(self, message: str, layer: str) -> None:
        super().__init__(message)
        self.layer = layer


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in _tensors(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in _tensors(item)]
    return []


def count_bad(value: Any) -> tuple[int, int]:
    """NaN and infinite elements of all floating-point tensors in it, and how many elements there are."""
    floats = [t.detach() for t in _tensors(value) if t.is_floating_point()]
    return sum(int((~t.isfinite()).sum()) for t in floats), sum(t.numel() for t in floats)


def bad_parameter(model: Module) -> str | None:
    """The name of a parameter that is not finite."""
    return next((name for name, p in model.named_parameters() if count_bad(p)[0]), None)


def find_first(model: Module, inputs: Any, run: Callable[[], Any]) -> tuple[str, str]:
    """Runs the model again and watches every module: the path of the one that first gave a value that is not finite
    ("" if none did), and a sentence about it."""
    bad, of = count_bad(inputs)
    if bad:
        return "", f"the batch itself has {bad} such values of {of}"
    name = bad_parameter(model)
    if name:
        layer, _, own = name.rpartition(".")
        kind = type(model.get_submodule(layer)).__name__
        return layer, f"the {own} of {_called(layer, kind)} is not finite any more: the step before overflowed"
    found: list[tuple[str, str]] = []

    def watch(path: str) -> Callable[..., None]:
        def hook(module: Module, args: Any, output: Any) -> None:
            bad, of = count_bad(output)
            if bad and not found:
                largest = max([float(t.detach().abs().max()) for t in _tensors(args) if t.numel()], default=0.0)
                called = _called(path, type(module).__name__)
                found.append(
                    (path, f"{called} first gave {bad} such values of {of}; its largest input was {largest:.3g}")
                )

        return hook

    handles = [m.register_forward_hook(watch(path)) for path, m in model.named_modules()]
    try:
        with lamina.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ("", "all modules gave finite values: the loss function made it")


def _called(path: str, kind: str) -> str:
    return f"the layer {path!r} ({kind})" if path else f"the model ({kind})"
