"""Convolutional layers."""

from __future__ import annotations

import math

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

    Numbers = int | Sequence[int]

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _numbers(layer: str, name: str, given: Numbers, dims: int, least: int) -> tuple[int, ...]:
    """One number for each dimension."""
    numbers = (given,) * dims if isinstance(given, int) else tuple(given)
    if len(numbers) != dims or any(not isinstance(n, int) or n < least for n in numbers):
        raise ValueError(f"{layer}: {name} must be {dims} whole numbers >= {least}, or one for all, got {given!r}")
    return numbers


class _Conv(Module):
    """What convolutions of any number of dimensions share."""

    weight: Parameter
    bias: Parameter | None
    dims: int
    transposed: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers,
        padding: Any,
        dilation: Numbers,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        layer, dims = type(self).__name__, self.dims
        for name, size in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
                raise ValueError(f"{layer}: {name} must be a whole number > 0, got {size!r}")
        for name, size in (("in_channels", in_channels), ("out_channels", out_channels)):
            if size % groups:
                raise ValueError(f"{layer}: {name}={size} must be divisible by groups={groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{layer}: padding_mode must be one of {', '.join(_PADDING_MODES)}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _numbers(layer, "kernel_size", kernel_size, dims, 1)
        self.stride = _numbers(layer, "stride", stride, dims, 1)
        self.dilation = _numbers(layer, "dilation", dilation, dims, 1)
        self.padding = self._checked_padding(padding)
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(_C.empty(first, second // groups, *self.kernel_size, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(_C.empty(out_channels, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def _checked_padding(self, padding: Any) -> Any:
        """'valid', 'same', a number for each dimension, or a pair (low, high) for each."""
        layer = type(self).__name__
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"{layer}: padding must be 'valid' or 'same', or numbers, got {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"{layer}: padding 'same' needs stride 1, got {self.stride}")
            return padding
        if not isinstance(padding, int) and any(not isinstance(p, int) for p in padding):
            return tuple(_numbers(layer, "padding", pair, 2, 0) for pair in padding)
        return _numbers(layer, "padding", padding, self.dims, 0)

    def reset_parameters(self) -> None:
        """Uniform within ±1/√(elements that meet in an output), weights and biases."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight.numel() // self.weight.shape[0])
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding not in ((0,) * self.dims, "valid"):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Forward(_Conv):
    transposed = False
    _kernel: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: Any = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        # What F.pad adds first where it is not zeros: pairs, the last dimension's first.
        self._borders = self._borders_of(self.padding)

    def _borders_of(self, padding: Any) -> tuple[int, ...]:
        if padding == "valid":
            return (0,) * 2 * self.dims
        if padding == "same":
            reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(r // 2, r - r // 2) for r in reach]
        else:
            pairs = [(p, p) if isinstance(p, int) else p for p in padding]
        return tuple(p for pair in reversed(pairs) for p in pair)

    def forward(self, input: Tensor) -> Tensor:
        return self.activated(input)

    def activated(
        self, input: Tensor, activation: str | None = None, residual: Tensor | None = None, max_pool: bool = False
    ) -> Tensor:
        """The same, plus a residual, and after it an element-wise function and MaxPool(2), in one kernel."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._borders, mode=self.padding_mode), 0
        return self._kernel(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups,
            activation=activation, residual=residual, max_pool=max_pool,
        )  # fmt: skip


class Conv1d(_Forward):
    """(N, in_channels, L) or (in_channels, L) to (N, out_channels, L′), L′ = (L + padding − reach) // stride + 1.

    padding: numbers, pairs (low, high), 'valid' or 'same'; padding_mode: 'zeros', 'reflect', 'replicate', 'circular'.
    """

    dims = 1
    _kernel = staticmethod(_C.conv1d)


class Conv2d(_Forward):
    """(N, in_channels, H, W) to (N, out_channels, H′, W′); arguments as for Conv1d, one number or one a dimension."""

    dims = 2
    _kernel = staticmethod(_C.conv2d)


class Conv3d(_Forward):
    """(N, in_channels, D, H, W) to (N, out_channels, D′, H′, W′); arguments as for Conv1d."""

    dims = 3
    _kernel = staticmethod(_C.conv3d)


class _Transposed(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: Numbers = 0,
        output_padding: Numbers = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Numbers = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode must be 'zeros', got {padding_mode!r}")
        if isinstance(padding, str):
            raise ValueError(f"{type(self).__name__}: padding must be numbers, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = _numbers(type(self).__name__, "output_padding", output_padding, self.dims, 0)

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding; that which makes the output as large as asked for."""
        if output_size is None:
            return self.output_padding
        layer, sizes = type(self).__name__, tuple(output_size)[-self.dims :]
        pairs = [(p, p) if isinstance(p, int) else p for p in self.padding]
        least = [
            (n - 1) * s - low - high + d * (k - 1) + 1
            for n, s, (low, high), d, k in zip(
                input.shape[-self.dims :], self.stride, pairs, self.dilation, self.kernel_size, strict=True
            )
        ]
        if len(sizes) != self.dims or any(
            not a <= b < a + s for a, b, s in zip(least, sizes, self.stride, strict=True)
        ):
            most = tuple(a + s - 1 for a, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{layer}: output_size must lie between {tuple(least)} and {most}, got {sizes}")
        return tuple(b - a for a, b in zip(least, sizes, strict=True))

    def _convolve(self, convolution: Any, input: Tensor, output_size: Sequence[int] | None) -> Tensor:
        extra = self._extra(input, output_size)
        return convolution(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.output_padding == (0,) * self.dims else f"{text}, output_padding={self.output_padding}"


class ConvTranspose1d(_Transposed):
    """(N, in_channels, L) to (N, out_channels, L′): a convolution's way back. L = (L′ + padding − reach) // stride + 1
    leaves several L′; output_padding, or output_size in the call, says which."""

    dims = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._convolve(_C.conv_transpose1d, input, output_size)


class ConvTranspose2d(_Transposed):
    """(N, in_channels, H, W) to (N, out_channels, H′, W′); see ConvTranspose1d."""

    dims = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._convolve(_C.conv_transpose2d, input, output_size)


class ConvTranspose3d(_Transposed):
    """(N, in_channels, D, H, W) to (N, out_channels, D′, H′, W′); see ConvTranspose1d."""

    dims = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self._convolve(_C.conv_transpose3d, input, output_size)
