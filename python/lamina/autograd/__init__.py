"""Gradients: running the recorded graph backwards."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.function import Function
from lamina.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from lamina.autograd.gradcheck import gradcheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Tensors = Tensor | Sequence[Tensor]

__all__ = [
    "Function", "backward", "enable_grad", "grad", "gradcheck", "inference_mode", "no_grad", "set_grad_enabled",
]  # fmt: skip


def _sequence(what: str, tensors: Any) -> list[Any]:
    """One tensor, or a sequence of them, as a list."""
    if isinstance(tensors, Tensor):
        return [tensors]
    tensors = list(tensors)
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{what}: element {i} must be a Tensor, got {type(t).__name__}")
    return tensors


def _gradients(what: str, roots: list[Tensor], given: Any) -> list[Any]:
    """A gradient or None for each root."""
    if given is None:
        return [None] * len(roots)
    if isinstance(given, Tensor):
        given = [given]
    given = list(given)
    if len(given) != len(roots):
        raise ValueError(f"{what}: {len(given)} gradients for {len(roots)} tensors")
    return given


def _refuse_create_graph(what: str, create_graph: bool) -> None:
    if create_graph:
        raise NotImplementedError(f"{what}: create_graph=True is not supported; gradients of gradients cannot be taken")


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of the sum of `tensors` (weighted by grad_tensors) to the .grad of the leaves it was made from,
    or of `inputs` alone."""
    _refuse_create_graph("backward", create_graph)
    roots = _sequence("backward: tensors", tensors)
    grads = _gradients("backward", roots, grad_tensors)
    if inputs is None:
        _C._backward(roots, grads, bool(retain_graph))
        return
    leaves = _sequence("backward: inputs", inputs)
    if not leaves:
        raise ValueError("backward: inputs must not be empty")
    _C._backward_to(roots, grads, leaves, bool(retain_graph))


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` (weighted by grad_outputs) for `inputs`; every .grad stays as it is."""
    _refuse_create_graph("grad", create_graph)
    roots, leaves = _sequence("grad: outputs", outputs), _sequence("grad: inputs", inputs)
    for i, root in enumerate(roots):
        if not root.requires_grad:
            raise RuntimeError(f"grad: output {i} does not require grad and has no grad_fn")
    grads = _C._gradients(roots, _gradients("grad", roots, grad_outputs), leaves, bool(retain_graph))
    for i, found in enumerate(grads):
        if found is None and materialize_grads:
            grads[i] = _C.zeros_like(leaves[i])
        elif found is None and not allow_unused:
            raise RuntimeError(
                f"grad: input {i} was not used in making the outputs; pass allow_unused=True to get None for it"
            )
    return tuple(grads)
