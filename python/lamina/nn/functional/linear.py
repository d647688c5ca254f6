"""Products of inputs with weights, and rows picked out of them."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

__all__ = ["bilinear", "embedding", "linear", "one_hot"]

linear = _C.linear
one_hot = _C.one_hot


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Σᵢⱼ x₁ᵢ Wₖᵢⱼ x₂ⱼ + bₖ: (…, I), (…, J), weight (K, I, J), bias (K) to (…, K)."""
    if weight.ndim != 3:
        raise ValueError(f"bilinear: weight must have 3 dimensions, got shape {weight.shape}")
    outputs, size1, size2 = weight.shape
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError(f"bilinear: leading dimensions differ: input1 {input1.shape}, input2 {input2.shape}")
    if input1.ndim < 1 or input1.shape[-1] != size1 or input2.shape[-1] != size2:
        raise ValueError(f"bilinear: weight {weight.shape} expects {size1} and {size2} features, "
                         f"got input1 {input1.shape}, input2 {input2.shape}")  # fmt: skip
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bilinear: bias must have shape ({outputs},), got {bias.shape}")
    rows = 1
    for n in input1.shape[:-1]:
        rows *= n
    # One tall product x₁ W, then a row of x₂ against its matrix.
    left = input1.reshape(rows, size1) @ weight.permute(1, 0, 2).reshape(size1, outputs * size2)
    out = (left.reshape(rows, outputs, size2) @ input2.reshape(rows, size2, 1)).reshape(*input1.shape[:-1], outputs)
    return out if bias is None else out + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
) -> Tensor:
    """The rows of weight that input names. The row padding_idx gets no gradient.

    max_norm: rows that are longer are first shortened to it, in weight itself.
    """
    if max_norm is not None:
        _shorten_rows(input, weight, max_norm, norm_type)
    return _C.embedding(input, weight, padding_idx)


def _shorten_rows(input: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> None:
    recording = _C.is_grad_enabled()
    _C._set_grad_enabled(False)
    try:
        index = input.reshape(-1)
        rows = weight.index_select(0, index)
        length = _C.norm(rows, norm_type, 1, True)
        scale = _C.where(length > max_norm, max_norm / (length + 1e-7), 1.0)
        weight.index_copy_(0, index, rows * scale)  # a row that comes twice is written twice alike
    finally:
        _C._set_grad_enabled(recording)


speak_for_themselves(globals())
