"""Losses."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor

__all__ = ["cross_entropy", "mse_loss"]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """First form; class indices, mean, nothing else."""
    if weight is not None or reduction != "mean" or label_smoothing:
        raise NotImplementedError("cross_entropy: only the mean, unweighted")
    logs = _C.log_softmax(input, 1)
    keep = target != ignore_index
    picked = logs.gather(1, _C.where(keep, target, 0).unsqueeze(1)).squeeze(1)
    return -_C.where(keep, picked, 0.0).sum() / keep.sum()


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x − y)²."""
    if input.shape != target.shape:
        raise ValueError(f"mse_loss: input has shape {input.shape}, target {target.shape}")
    squared = _C.square(input - target)
    if reduction == "mean":
        return squared.mean()
    return squared.sum() if reduction == "sum" else squared
