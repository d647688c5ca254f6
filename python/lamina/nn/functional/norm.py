"""Normalisation, and distances between vectors."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "batch_norm", "cosine_similarity", "group_norm", "instance_norm", "layer_norm", "normalize", "pairwise_distance",
    "rms_norm",
]  # fmt: skip

layer_norm, batch_norm, group_norm = _C.layer_norm, _C.batch_norm, _C.group_norm


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample of (N, C, …), or by the running statistics unless use_input_stats.

    Running statistics, where given, follow the means over the samples of their means and variances.
    """
    if not use_input_stats:
        return _C.batch_norm(input, running_mean, running_var, weight, bias, False, 0.0, eps)
    if input.ndim < 3:
        raise ValueError(f"instance_norm: expected (N, C, …) with 3 dimensions or more, got shape {input.shape}")
    samples, channels, spatial = input.shape[0], input.shape[1], 1
    for n in input.shape[2:]:
        spatial *= n
    if spatial == 1:
        raise ValueError(f"instance_norm: more than one value to a channel is needed, got input {input.shape}")
    if running_mean is None or running_var is None:
        return _C.group_norm(input, channels, weight, bias, eps)
    # All samples' channels as those of one sample; each has running statistics of its own, which are then averaged.
    mean, variance = running_mean.repeat(samples), running_var.repeat(samples)
    weights = None if weight is None else weight.repeat(samples)
    biases = None if bias is None else bias.repeat(samples)
    rows = input.reshape(1, samples * channels, spatial)
    out = _C.batch_norm(rows, mean, variance, weights, biases, True, momentum, eps).reshape(input.shape)
    running_mean.copy_(mean.reshape(samples, channels).mean(0))
    running_var.copy_(variance.reshape(samples, channels).mean(0))
    return out


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
