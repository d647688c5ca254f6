"""Dropout, and other chance."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gaussian_noise",
    "gumbel_softmax",
]  # fmt: skip

_SELU_FLOOR = -1.0507009873554805 * 1.6732632423543772  # what SELU makes of −∞


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero with probability p, else x / (1 − p); x itself unless training."""
    return _C.dropout_(input, p, training) if inplace else _C.dropout(input, p, training)


def _channels(input: Tensor, p: float, training: bool, inplace: bool, ndims: tuple[int, int], name: str) -> Tensor:
    """Whole channels of (N, C, …) or of (C, …)."""
    if input.ndim not in ndims:
        raise ValueError(f"{name}: expected {ndims[1]} dimensions (or {ndims[0]}, unbatched), got shape {input.shape}")
    kept = input.ndim - (ndims[1] - 2)
    out = _C._dropout_shared(input, p, training, (*input.shape[:kept], *[1] * (input.ndim - kept)))
    return input.copy_(out) if inplace else out


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, L) or (C, L)."""
    return _channels(input, p, training, inplace, (2, 3), "dropout1d")


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, H, W) or (C, H, W)."""
    return _channels(input, p, training, inplace, (3, 4), "dropout2d")


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _channels(input, p, training, inplace, (4, 5), "dropout3d")


def _alpha(input: Tensor, p: float, training: bool, mask_shape: tuple[int, ...]) -> Tensor:
    """What is dropped becomes SELU's floor; scale and shift keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    if not 0 <= p <= 1:
        raise ValueError(f"alpha_dropout: p must be between 0 and 1, got {p}")
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    keep = 1 - p
    kept = _C.empty(mask_shape, dtype=input.dtype, device=input.device).bernoulli_(keep)
    scale = (keep + _SELU_FLOOR**2 * keep * p) ** -0.5
    # input where kept, else the floor; then scaled, and shifted by what the floor added to the mean
    return input * (kept * scale) + ((1 - kept) * (scale * _SELU_FLOOR) - scale * _SELU_FLOOR * p)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of what SELU gives."""
    out = _alpha(input, p, training, input.shape)
    return input.copy_(out) if inplace else out


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels of (N, C, …)."""
    if input.ndim < 2:
        raise ValueError(f"feature_alpha_dropout: expected (N, C, …), got shape {input.shape}")
    out = _alpha(input, p, training, (*input.shape[:2], *[1] * (input.ndim - 2)))
    return input.copy_(out) if inplace else out


def gaussian_noise(input: Tensor, std: float = 0.1, training: bool = True) -> Tensor:
    """x + N(0, std²); x itself unless training."""
    if not std >= 0:
        raise ValueError(f"gaussian_noise: std must not be negative, got {std}")
    if not training or std == 0:
        return input
    return input + _C.empty(input.shape, dtype=input.dtype, device=input.device).normal_(0.0, std)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau): a sample that gradients flow through (Jang et al. 2017).

    hard: the sample is one-hot, and its gradient that of the soft one.
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau must be positive, got {tau}")
    noise = -_C.empty(logits.shape, dtype=logits.dtype, device=logits.device).exponential_().log()
    soft = _C.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen = soft.detach().argmax(dim, True)
    one_hot = _C.zeros(soft.shape, dtype=soft.dtype, device=soft.device).scatter_(dim, chosen, 1.0)
    return one_hot + (soft - soft.detach())


speak_for_themselves(globals())
