"""Dropout and noise: chance that keeps a network from learning its training data by heart."""

from __future__ import annotations

from lamina._C import Tensor
from lamina.nn import functional as F
from lamina.nn.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "GaussianNoise",
    "WeightNoise",
]  # fmt: skip


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be between 0 and 1, got {p}")
        super().__init__()
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zero with probability p, else x / (1 − p)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, True, self.inplace) if self.training else input


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance of what SELU gives."""

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of (N, C, …)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)


def _check_std(layer: str, std: float) -> None:
    if not std >= 0:
        raise ValueError(f"{layer}: std must not be negative, got {std}")


class GaussianNoise(Module):
    """In training, x + N(0, std²): on inputs as a first layer, on activations as a later one."""

    def __init__(self, std: float = 0.1) -> None:
        _check_std("GaussianNoise", std)
        super().__init__()
        self.std = std

    def forward(self, input: Tensor) -> Tensor:
        return F.gaussian_noise(input, self.std, self.training)

    def extra_repr(self) -> str:
        return f"std={self.std}"


class WeightNoise(Module):
    """Runs a module with weights + N(0, std²) in training; the gradient found there trains the weights without noise.

    `names`: of the module's own parameters; all of them unless given.
    """

    def __init__(self, module: Module, std: float = 0.01, names: list[str] | None = None) -> None:
        _check_std("WeightNoise", std)
        super().__init__()
        for name in names or ():
            module.get_parameter(name)
        self.module, self.std, self.names = module, std, names

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not self.training or self.std == 0:
            return self.module(*args, **kwargs)
        members = self.module.__dict__
        names = self.names if self.names is not None else list(self.module._parameters)
        clean = {name: members[name] for name in names if members[name] is not None}
        try:
            for name, weight in clean.items():
                members[name] = F.gaussian_noise(weight, self.std, True)
            return self.module(*args, **kwargs)
        finally:
            members.update(clean)

    def extra_repr(self) -> str:
        return f"std={self.std}" + (f", names={self.names}" if self.names is not None else "")
