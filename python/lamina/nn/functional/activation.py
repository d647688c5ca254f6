"""Activations."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speaks_for_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip

hardshrink = _C.hardshrink
logsigmoid = _C.logsigmoid
softplus = _C.softplus
softshrink = _C.softshrink
softsign = _C.softsign
tanhshrink = _C.tanhshrink


@speaks_for_itself
def sigmoid(input: Tensor, alpha: float = 1.0) -> Tensor:
    """1 / (1 + exp(−alpha · x))."""
    return _C.sigmoid(input if alpha == 1 else alpha * input)


@speaks_for_itself
def tanh(input: Tensor, alpha: float = 1.0) -> Tensor:
    """tanh(alpha · x)."""
    return _C.tanh(input if alpha == 1 else alpha * input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution; with approximate='tanh', the usual approximation of it."""
    if approximate == "none":
        return _C.gelu(input)
    if approximate == "tanh":
        return _C.gelu_tanh(input)
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return Tensor.relu_(input) if inplace else _C.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return Tensor.relu6_(input) if inplace else _C.relu6(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x)."""
    return Tensor.silu_(input) if inplace else _C.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x))."""
    return Tensor.mish_(input) if inplace else _C.mish(input)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """λ · (x if x > 0 else α (eˣ − 1)), with the λ and α that keep mean and variance."""
    return Tensor.selu_(input) if inplace else _C.selu(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return Tensor.hardsigmoid_(input) if inplace else _C.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x)."""
    return Tensor.hardswish_(input) if inplace else _C.hardswish(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x if x > 0 else negative_slope · x."""
    return Tensor.leaky_relu_(input, negative_slope) if inplace else _C.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x if x > 0 else alpha (eˣ − 1)."""
    return Tensor.elu_(input, alpha) if inplace else _C.elu(input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x if x > 0 else alpha (exp(x / alpha) − 1)."""
    return Tensor.celu_(input, alpha) if inplace else _C.celu(input, alpha)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """min(max(x, min_val), max_val)."""
    return Tensor.hardtanh_(input, min_val, max_val) if inplace else _C.hardtanh(input, min_val, max_val)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x if x > threshold else value."""
    return Tensor.threshold_(input, threshold, value) if inplace else _C.threshold(input, threshold, value)


@speaks_for_itself
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """A leaky ReLU whose slope for each element is drawn from [lower, upper) in training, and their mean otherwise."""
    if not lower <= upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = _C.empty(input.shape, dtype=input.dtype, device=input.device).uniform_(lower, upper)
    out = input * _C.where(input > 0, 1.0, slope)
    return input.copy_(out) if inplace else out


@speaks_for_itself
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x if x > 0 else weight · x, with one weight or one for each channel (dimension 1)."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(f"prelu: expected 1 weight or {channels}, one for each channel, got shape {weight.shape}")
    if weight.numel() > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    return _C.relu(input) - weight * _C.relu(-input)


@speaks_for_itself
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), a and b the halves of the input along dim."""
    if input.ndim == 0 or input.shape[dim] % 2:
        raise ValueError(f"glu: dimension {dim} must have an even size, got shape {input.shape}")
    half = input.shape[dim] // 2
    return input.narrow(dim, 0, half) * _C.sigmoid(input.narrow(dim, half, half))


def _dim(dim: int | None, function: str) -> int:
    if dim is None:
        raise TypeError(f"{function}: say along which dimension: dim=-1, for example")
    return dim


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along dim."""
    return _C.softmax(input, _dim(dim, "softmax"), dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log of softmax, without overflow."""
    return _C.log_softmax(input, _dim(dim, "log_softmax"), dtype)


@speaks_for_itself
def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax of −x."""
    return _C.softmax(-input, _dim(dim, "softmin"), dtype)
