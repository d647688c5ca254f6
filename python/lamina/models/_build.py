"""What the builders of networks share."""

from __future__ import annotations

from lamina.nn import Conv2d, Linear, Module, init


def initialise(model: Module, linear_deviation: float | None = None) -> None:
    """He's initialisation by outputs for convolutions, in place; with `linear_deviation`, N(0, that²) for linear layers."""
    for module in model.modules():
        if isinstance(module, Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, Linear) and linear_deviation is not None:
            init.normal_(module.weight, 0.0, linear_deviation)
            if module.bias is not None:
                init.zeros_(module.bias)


def check_classes(model: str, num_classes: int) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"{model}: num_classes must be a whole number of at least 1, got {num_classes!r}")
