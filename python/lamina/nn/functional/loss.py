"""Losses. `reduction` is 'mean', 'sum' or 'none' everywhere."""

from __future__ import annotations

import math

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves
from lamina.nn.functional.norm import pairwise_distance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "contrastive_loss", "cosine_embedding_loss",
    "cross_entropy", "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss",
    "margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "squared_error", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip

cross_entropy = _C.cross_entropy
nll_loss = _C.nll_loss
mse_loss = _C.mse_loss
squared_error = _C.squared_error
l1_loss = _C.l1_loss
soft_margin_loss = _C.soft_margin_loss


def _reduce(losses: Tensor, reduction: str, function: str) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction != "none":
        raise ValueError(f"{function}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return losses


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """½ d² / beta where |d| < beta, else |d| − ½ beta; d = input − target."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    return _C._smooth_l1_loss(input, target, reduction, beta)


def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """½ d² where |d| ≤ delta, else delta (|d| − ½ delta); d = input − target."""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    return _C._huber_loss(input, target, reduction, delta)


# ---- likelihoods ----


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−y log p − (1 − y) log(1 − p): the Bernoulli distribution's negative log-likelihood. Logarithms end at −100."""
    if weight is None:
        return _C._binary_cross_entropy(input, target, None, reduction)
    return _reduce(_C._binary_cross_entropy(input, target, None, "none") * weight, reduction, "binary_cross_entropy")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input), without loss for large logits; pos_weight weighs the term of y = 1."""
    if weight is None:
        return _C._binary_cross_entropy_with_logits(input, target, pos_weight, reduction)
    losses = _C._binary_cross_entropy_with_logits(input, target, pos_weight, "none") * weight
    return _reduce(losses, reduction, "binary_cross_entropy_with_logits")


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """y (log y − x), x = log of a probability; 'batchmean' divides the sum by the batch's size and not by all sizes."""
    if reduction == "batchmean":
        total = _C._kl_div(input, target, "sum", log_target)
        return total / input.shape[0] if input.ndim else total
    return _C._kl_div(input, target, reduction, log_target)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½ (log v + (x − y)² / v), v = max(var, eps): the normal distribution's negative log-likelihood.

    var: of input's shape, or with 1 in its place or without it, a variance for all that a row predicts; or one number.
    full: with its constant, ½ log 2π.
    """
    if eps <= 0:
        raise ValueError(f"gaussian_nll_loss: eps must be positive, got {eps}")
    if not isinstance(var, Tensor):
        var = _C.full(input.shape, var, dtype=input.dtype, device=input.device)
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.shape != (*input.shape[:-1], 1):
            raise ValueError(
                f"gaussian_nll_loss: var of shape {var.shape} does not fit an input of shape {input.shape}"
            )
    return _C._gaussian_nll_loss(input, target, var, reduction, eps, 0.5 * math.log(2 * math.pi) if full else 0.0)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) − y x, or x − y log(x + eps) if the input is no logarithm: the Poisson distribution's.

    full: with Stirling's approximation of log y!.
    """
    return _C._poisson_nll_loss(input, target, None, reduction, -1.0 if log_input else eps, full)


# ---- margins and distances ----


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """x where y = 1, max(0, margin − x) where y = −1; x a distance."""
    return _C._hinge_embedding_loss(input, target, reduction, margin)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, margin − y (x₁ − x₂)): y = 1 where x₁ should be the larger, −1 where x₂."""
    return _C._margin_ranking_loss(input1, input2, target, reduction, margin)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """1 − cos(x₁, x₂) where y = 1, max(0, cos(x₁, x₂) − margin) where y = −1."""
    if input1.shape != input2.shape or target.shape != input1.shape[:-1] or input1.ndim not in (1, 2):
        raise ValueError(
            "cosine_embedding_loss: expected inputs (N, D) or (D,) and a target (N,) or (), "
            f"got {input1.shape}, {input2.shape}, {target.shape}"
        )
    epsilon = 1e-12
    product = (input1 * input2).sum(-1)
    cosine = product / (((input1 * input1).sum(-1) + epsilon) * ((input2 * input2).sum(-1) + epsilon)).sqrt()
    losses = _C.where(target == 1, 1 - cosine, 0.0) + _C.where(target == -1, _C.relu(cosine - margin), 0.0)
    return _reduce(losses, reduction, "cosine_embedding_loss")


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, ‖a − p‖ − ‖a − n‖ + margin); swap: with ‖p − n‖ instead where that is the smaller (Balntas et al. 2016)."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with a distance of the user's."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be positive, got {margin}")
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _C.minimum(far, distance(positive, negative))
    return _reduce(_C.relu(near - far + margin), reduction, "triplet_margin_loss")


def contrastive_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """(1 − y)/2 · D² + y/2 · max(0, margin − D)²: y = 0 for a pair of one class, 1 for one of two; D Euclidean.

    Inputs (N, …, D), target (N, …) (Hadsell, Chopra and LeCun 2006).
    """
    if input1.shape != input2.shape or target.shape != input1.shape[:-1]:
        raise ValueError(
            "contrastive_loss: expected two inputs (…, D) and a target (…), "
            f"got {input1.shape}, {input2.shape}, {target.shape}"
        )
    if margin < 0:
        raise ValueError(f"contrastive_loss: margin must not be negative, got {margin}")
    # A step that is being recorded cannot look at values.
    if not _C._is_recording() and not bool(((target == 0) | (target == 1)).all()):
        raise ValueError(
            "contrastive_loss: target must be 0 (one class) or 1 (two classes) for each pair, "
            f"got values from {float(target.min()):g} to {float(target.max()):g}"
        )
    target = target.to(input1.dtype)
    distance = _C.norm(input1 - input2, 2, -1)
    apart = _C.relu(margin - distance)
    losses = (1 - target) * 0.5 * distance * distance + target * 0.5 * apart * apart
    return _reduce(losses, reduction, "contrastive_loss")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Σ over the other classes of max(0, margin − x_y + x_c)ᵖ, over the number of classes: the hinge of several classes."""
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ValueError(
            f"multi_margin_loss: expected input (N, C) and target (N,), got {input.shape} and {target.shape}"
        )
    own = input.gather(-1, target.unsqueeze(-1))
    hinge = _C.relu(margin - own + input) ** p
    if weight is not None:
        hinge = hinge * weight[target].unsqueeze(-1)
    others = 1 - _C.one_hot(target, input.shape[-1]).to(input.dtype)
    return _reduce((hinge * others).sum(-1) / input.shape[-1], reduction, "multi_margin_loss")


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """binary_cross_entropy_with_logits, the mean over the classes (the last dimension) of each example."""
    losses = _C._binary_cross_entropy_with_logits(input, target, None, "none")
    if weight is not None:
        losses = losses * weight
    return _reduce(losses.mean(-1), reduction, "multilabel_soft_margin_loss")


speak_for_themselves(globals())
