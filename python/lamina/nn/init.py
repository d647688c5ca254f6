"""How parameters begin. Every function writes its tensor in place, unrecorded, and returns it."""

from __future__ import annotations

import math

from lamina import _C
from lamina._C import Generator, Tensor
from lamina._errors import speak_for_themselves
from lamina.autograd.grad_mode import no_grad

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "forget_gate_bias_", "he_normal_", "kaiming_normal_",
    "kaiming_uniform_", "lecun_normal_", "normal_", "ones_", "orthogonal_", "small_normal_", "sparse_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


# ---- one distribution for all elements ----


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, cut off outside [a, b]."""
    return tensor.trunc_normal_(mean, std, a, b, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same number everywhere."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


# ---- patterns ----


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: a Linear layer passes on as many inputs as it can."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tensor.shape}")
    tensor.zero_().diagonal().fill_(1)
    return tensor


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity of a convolution: (out, in / groups, …) with 1 in the middle of the kernels from input i to output i."""
    if not 3 <= tensor.ndim <= 5:
        raise ValueError(f"dirac_: expected the weight of a convolution, 3 to 5 dimensions, got shape {tensor.shape}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: {tensor.shape[0]} output channels do not fall into {groups} groups")
    tensor.zero_()
    middle = tuple([n // 2 for n in tensor.shape[2:]])
    per_group = tensor.shape[0] // groups
    for group in range(groups):
        for i in range(min(per_group, tensor.shape[1])):
            place = (group * per_group + i, i, *middle)
            tensor[place] = 1
    return tensor


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Rows (or columns, where there are more rows) orthonormal, times gain; dimensions after the first count as one.

    Drawn uniformly from all such matrices (Saxe et al. 2014; Mezzadri 2007), in float64.
    """
    import numpy as np

    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    tall = _C.empty(max(rows, columns), min(rows, columns), dtype=_C.float64).normal_(generator=generator)
    q, r = np.linalg.qr(tall.numpy())
    q *= np.where(np.diagonal(r) < 0, -gain, gain)  # without it, not uniform
    return tensor.copy_(_C.tensor(q if rows >= columns else q.T).reshape(tensor.shape))


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """N(0, std²), but in every column this share of the elements is 0 (Martens 2010)."""
    import numpy as np

    if tensor.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be between 0 and 1, got {sparsity}")
    rows = tensor.shape[0]
    tensor.normal_(0, std, generator=generator)
    keys = _C.empty(tensor.shape, dtype=_C.float64).uniform_(generator=generator)
    zeroed = np.argsort(keys.numpy(), 0)[: math.ceil(sparsity * rows)]
    return tensor.scatter_(0, _C.tensor(zeroed, device=tensor.device), 0.0) if zeroed.size else tensor


# ---- scaled by the number of inputs and outputs ----


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a nonlinearity makes of the standard deviation, so that the weights before it make up for it."""
    if nonlinearity in ("linear", "identity", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}")


def _fans(tensor: Tensor, function: str) -> tuple[int, int]:
    """Inputs and outputs of one unit: (out, in, …), the rest being a receptive field."""
    if tensor.ndim < 2:
        raise ValueError(f"{function}: expected at least 2 dimensions (outputs, inputs, …), got shape {tensor.shape}")
    field = 1
    for n in tensor.shape[2:]:
        field *= n
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str, function: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{function}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(tensor, function)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance gain² · 2 / (inputs + outputs) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / max(1, sum(_fans(tensor, "xavier_uniform_"))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain² · 2 / (inputs + outputs)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(_fans(tensor, "xavier_normal_")))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain² / inputs (He et al. 2015); a is the slope of a leaky ReLU."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / max(1, _fan(tensor, mode, "kaiming_uniform_")))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain² / inputs."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(max(1, _fan(tensor, mode, "kaiming_normal_")))
    return normal_(tensor, 0.0, std, generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """N(0, 1 / inputs): for tanh and sigmoid. (Some courses call this one Xavier.)"""
    return kaiming_normal_(tensor, nonlinearity="linear", generator=generator)


def he_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """N(0, 2 / inputs): for ReLU."""
    return kaiming_normal_(tensor, nonlinearity="relu", generator=generator)


def small_normal_(tensor: Tensor, std: float = 1e-2, generator: Generator | None = None) -> Tensor:
    """N(0, std²), std small whatever the number of inputs."""
    return normal_(tensor, 0.0, std, generator)


@no_grad()
def forget_gate_bias_(bias: Tensor, val: float = 1.0, gate: int = 1, gates: int = 4) -> Tensor:
    """Sets the part of a recurrent layer's bias that belongs to the forget gate, so that it begins by remembering.

    The default is the order of an LSTM's gates: input, forget, cell, output.
    """
    if bias.ndim != 1 or gates < 1 or bias.shape[0] % gates or not 0 <= gate < gates:
        raise ValueError(f"forget_gate_bias_: no gate {gate} of {gates} in a bias of shape {bias.shape}")
    size = bias.shape[0] // gates
    bias[gate * size : (gate + 1) * size] = val
    return bias


speak_for_themselves(globals())
