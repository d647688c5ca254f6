"""Normalisation, and distances between vectors."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cosine_similarity", "layer_norm", "normalize", "pairwise_distance", "rms_norm"]

layer_norm = _C.layer_norm

_PRECISION = {_C.float64: 2.0**-52, _C.float32: 2.0**-23, _C.float16: 2.0**-10, _C.bfloat16: 2.0**-7}


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean(x²) + eps) over the last dimensions, then times weight; eps: the type's precision unless given."""
    return _C._rms_norm(input, normalized_shape, weight, _PRECISION.get(input.dtype, 0.0) if eps is None else eps)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖ₚ, eps) along dim."""
    return input / _C.clamp(_C.norm(input, p, dim, True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁ · x₂ / (‖x₁‖ ‖x₂‖) along dim, no norm taken as less than eps."""
    length1 = _C.clamp(_C.norm(x1, 2, dim, True), min=eps)
    length2 = _C.clamp(_C.norm(x2, 2, dim, True), min=eps)
    return ((x1 / length1) * (x2 / length2)).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x₁ − x₂ + eps‖ₚ over the last dimension; eps keeps the gradient finite where both are equal."""
    return _C.norm(x1 - x2 + eps, p, -1, keepdim)


speak_for_themselves(globals())
