"""Normalisation: of an example over its own features, of channels over a batch."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina.nn import functional as F
from lamina.nn import init
from lamina.nn.module import Module
from lamina.nn.parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LayerNorm", "RMSNorm",
]  # fmt: skip


def _shape(layer: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or min(shape) < 0:
        raise ValueError(f"{layer}: normalized_shape must be one size or more, none negative, got {normalized_shape}")
    return shape


class _Affine(Module):
    """Has a weight and a bias, or not, for what was normalised."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_affine(self, shape: int | tuple[int, ...], weight: bool, bias: bool, dtype: Any, device: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            self.register_parameter(name, Parameter(_C.empty(shape, dtype=dtype, device=device)) if wanted else None)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_Affine):
    """(x − mean) / √(variance + eps) over the last dimensions, those of normalized_shape, then times weight plus bias."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, bias, dtype, device)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return _C.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(_Affine):
    """x / √(mean(x²) + eps) over the last dimensions, then times weight; eps: the type's precision unless given."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, False, dtype, device)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """(x − mean) / √(variance + eps) over each group of channels of a sample of (N, C, …), times weight plus bias."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups must divide num_channels, got {num_groups} and {num_channels}")
        super().__init__()
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_affine(num_channels, affine, bias, dtype, device)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return _C.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class _ChannelNorm(_Affine):
    """What batch norm and instance norm share: weight, bias and running statistics to each channel."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    ndims: tuple[int, ...]  # of inputs

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_affine(num_features, affine, bias, dtype, device)
        tracked = track_running_stats
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, _C.zeros(num_features, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("num_batches_tracked", _C.zeros((), dtype=_C.int64, device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0; the running statistics as at first."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ndims:
            expected = " or ".join(map(str, self.ndims))
            raise ValueError(f"{type(self).__name__}: expected {expected} dimensions, got shape {input.shape}")

    def _count(self) -> float | Tensor:
        """Counts a batch; the momentum with which running statistics follow it."""
        if self.num_batches_tracked is None:
            return 0.0
        self.num_batches_tracked.add_(1)
        return self.num_batches_tracked if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, input: Tensor, residual: Tensor | None = None, activation: str | None = None) -> Tensor:
        """activation: 'relu', applied in the same pass to the result, and to its sum with residual if that is given."""
        self._check(input)
        own = self.training or self.running_mean is None
        return _C.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own,
            self._count() if self.training else 0.0, self.eps, activation=activation, residual=residual,
        )  # fmt: skip

    def activated(self, input: Tensor, activation: str | None = None) -> Tensor:
        """The same, and after it 'relu', in one kernel."""
        return self(input, activation=activation)

    def after(
        self, layer: Module, input: Tensor, residual: Tensor | None = None, activation: str | None = None
    ) -> Tensor:
        """self(layer(input), residual, activation). Where `fuse` has folded the norm into a convolution, the residual and
        the activation run in its kernel, too."""
        return self(layer(input), residual, activation)


class BatchNorm1d(_BatchNorm):
    """(x − mean) / √(variance + eps) of each channel of (N, C) or (N, C, L), times weight plus bias.

    Mean and variance: in training those of the batch, then the running ones; momentum=None averages these over all
    batches.
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """(x − mean) / √(variance + eps) of each channel of (N, C, H, W), times weight plus bias. See BatchNorm1d."""

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """(x − mean) / √(variance + eps) of each channel of (N, C, D, H, W), times weight plus bias. See BatchNorm1d."""

    ndims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        batched = input if input.ndim == self.ndims[1] else input.unsqueeze(0)
        own = self.training or self.running_mean is None
        momentum = 0.0 if self.momentum is None else self.momentum  # batches are not counted, as in PyTorch
        out = F.instance_norm(
            batched, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )
        return out.reshape(input.shape)


class InstanceNorm1d(_InstanceNorm):
    """(x − mean) / √(variance + eps) of each channel of each sample of (N, C, L) or of (C, L)."""

    ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """(x − mean) / √(variance + eps) of each channel of each sample of (N, C, H, W) or of (C, H, W)."""

    ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """(x − mean) / √(variance + eps) of each channel of each sample of (N, C, D, H, W) or of (C, D, H, W)."""

    ndims = (4, 5)
