"""Activations and the other functions that layers are made of."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor

__all__ = [
    "celu", "dropout", "elu", "embedding", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "linear", "log_softmax", "logsigmoid", "mish", "one_hot", "pad", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip

embedding = _C.embedding
linear = _C.linear
one_hot = _C.one_hot
pad = _C.pad
softmax = _C.softmax
log_softmax = _C.log_softmax
dropout = _C.dropout
hardshrink = _C.hardshrink
logsigmoid = _C.logsigmoid
sigmoid = _C.sigmoid
softplus = _C.softplus
softshrink = _C.softshrink
softsign = _C.softsign
tanh = _C.tanh
tanhshrink = _C.tanhshrink


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
