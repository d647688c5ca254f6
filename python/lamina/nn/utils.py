"""Clipping of gradients, and parameters as one vector."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "vector_to_parameters",
]  # fmt: skip


def _listed(name: str, tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: parameter {i} must be a Tensor, got {type(t).__name__}")
    return found


def _refuse_nonfinite(name: str, norm: Tensor, norm_type: float) -> None:
    if not bool(norm.isfinite()):
        raise RuntimeError(
            f"{name}: the norm of order {norm_type:g} of the gradients is {float(norm)}; with "
            "error_if_nonfinite=False they are scaled by it all the same"
        )


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
    *,
    eps: float = 1e-6,
) -> Tensor:
    """Scales all gradients by one factor so that their norm, as of one vector, is at most max_norm; returns the norm.

    The factor is max_norm / (norm + eps) where that is below 1, as in PyTorch; eps=0 gives max_norm / norm exactly.
    """
    found = _listed("clip_grad_norm_", parameters)
    if error_if_nonfinite:
        grads = [p.grad for p in found if p.grad is not None]
        _refuse_nonfinite("clip_grad_norm_", _C._total_norm(grads, norm_type), norm_type)
    return _C._clip_grad_norm_(found, max_norm, norm_type, eps)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Brings every number of every gradient into [-clip_value, clip_value]."""
    _C._clip_grad_value_(_listed("clip_grad_value_", parameters), clip_value)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as of one vector."""
    norm = _C._total_norm(_listed("get_total_norm", tensors), norm_type)
    if error_if_nonfinite:
        _refuse_nonfinite("get_total_norm", norm, norm_type)
    return norm


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """clip_grad_norm_ with a norm that is known already."""
    factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    for parameter in _listed("clip_grads_with_norm_", parameters):
        if parameter.grad is not None:
            parameter.grad.mul_(factor.to(parameter.grad.dtype))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, one behind the other."""
    return _C.cat([p.reshape(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies a vector's numbers into the parameters, one after the other."""
    found = list(parameters)
    total = sum(p.numel() for p in found)
    if vec.shape != (total,):
        raise ValueError(f"vector_to_parameters: expected a vector of {total} numbers, got shape {vec.shape}")
    first = 0
    for parameter in found:
        parameter.copy_(vec[first : first + parameter.numel()].view(parameter.shape))
        first += parameter.numel()
