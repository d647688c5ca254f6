"""Batch norm folded into the layer before it, for inference."""

from __future__ import annotations

import copy

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad
from lamina.nn.conv import _Conv, _Forward
from lamina.nn.linear import Linear
from lamina.nn.module import Module
from lamina.nn.normalization import _BatchNorm
from lamina.nn.parameter import Parameter

__all__ = ["Folded", "fuse"]


class Folded(Module):
    """In the place of a BatchNorm that went into the layer before it: what it did in the same pass is still done."""

    def forward(self, input: Tensor, residual: Tensor | None = None, activation: str | None = None) -> Tensor:
        out = input if residual is None else input + residual
        return out if activation is None else _C.relu(out)

    def after(
        self, layer: Module, input: Tensor, residual: Tensor | None = None, activation: str | None = None
    ) -> Tensor:
        """What the norm did to layer(input); by a convolution's kernel, if that is one."""
        hooked = layer._hooks is not None or self._hooks is not None
        if isinstance(layer, _Forward) and type(layer).forward is _Forward.forward and not hooked:
            return layer.activated(input, activation, residual)
        return self(layer(input), residual, activation)


def fuse(model: Module) -> Module:
    """A copy of the model in evaluation mode, each BatchNorm folded into the convolution or linear layer before it.

    w' = w γ / √(σ² + ε), b' = (b − μ) γ / √(σ² + ε) + β. Which layer that is follows from the order in which a module
    defines its members, as in a Sequential: the one right before the BatchNorm, if it has as many channels and is not
    used in several places. A residual and an activation that go with the norm go into a convolution's kernel where the
    model calls it by norm.after(layer, x, ...), as those of lamina.models do, or in a Sequential.
    """
    fused = copy.deepcopy(model).eval()
    users: dict[int, int] = {}
    for module in fused.modules():
        for _, child in module._children():
            users[id(child)] = users.get(id(child), 0) + 1
    with no_grad():
        for module in list(fused.modules()):
            members = list(module._children())
            for (_, layer), (name, norm) in zip(members, members[1:], strict=False):
                if isinstance(norm, _BatchNorm) and users[id(layer)] == users[id(norm)] == 1 and _fits(layer, norm):
                    _fold(layer, norm)
                    setattr(module, name, Folded())
    return fused


def _fits(layer: Module, norm: _BatchNorm) -> bool:
    if norm.running_mean is None:
        return False
    if isinstance(layer, _Conv):
        return layer.out_channels == norm.num_features
    return isinstance(layer, Linear) and layer.out_features == norm.num_features


def _fold(layer: Module, norm: _BatchNorm) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(layer, (Linear, _Conv)) and mean is not None and variance is not None  # _fits
    scale = (variance.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -mean.double() if layer.bias is None else layer.bias.double() - mean.double()
    bias = shift * scale if norm.bias is None else shift * scale + norm.bias.double()

    weight = layer.weight
    if isinstance(layer, _Conv) and layer.transposed:  # (in, out / groups, …)
        grouped = weight.double().reshape(layer.groups, weight.shape[0] // layer.groups, weight.shape[1], -1)
        scaled = (grouped * scale.reshape(layer.groups, 1, -1, 1)).reshape(weight.shape)
    else:
        scaled = weight.double() * scale.reshape(-1, *[1] * (weight.ndim - 1))
    layer.weight = Parameter(scaled.to(weight.dtype), requires_grad=False)
    layer.bias = Parameter(bias.to(weight.dtype), requires_grad=False)
