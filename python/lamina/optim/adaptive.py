"""Optimisers that scale every parameter's step by the history of its gradients.

eps_inside_sqrt puts ε inside the root, √(s + ε), as the original papers on AdaGrad and RMSProp have it; the common form is
√s + ε.
"""

from __future__ import annotations

from lamina import _C
from lamina.optim.optimizer import Optimizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from typing_extensions import Unpack

    from lamina.optim.optimizer import Common, Others, ParamGroup

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]


class Adagrad(Optimizer):
    """s ← s + g², θ ← θ - η g / (√s + ε)."""

    rule = "adagrad"
    states = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Common],
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults, common)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if initial := self._initial(self.param_groups[-1]):
            self._engines[-1].fill_state(0, initial)

    def _initial(self, group: ParamGroup) -> float:
        return float(group["initial_accumulator_value"])


class RMSprop(Optimizer):
    """s ← αs + (1-α)g², θ ← θ - η g / (√s + ε); centered: the variance instead of s; momentum on what is subtracted."""

    rule = "rmsprop"
    states = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Common],
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults, common)


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², θ ← θ - η m̂ / (√v̂ + ε), m̂ and v̂ corrected for their start at zero.

    amsgrad: the largest v so far in the place of v.
    """

    rule = "adam"
    states = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Common],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults, common)


class AdamW(Adam):
    """Adam whose weight decay is not part of the gradient: θ ← (1 - ηλ)θ before the step."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Common],
    ) -> None:
        common.setdefault("decoupled_weight_decay", True)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, eps_inside_sqrt=eps_inside_sqrt, **common)


class Adadelta(Optimizer):
    """Steps in the ratio of two root mean squares: of the steps so far and of the gradients."""

    rule = "adadelta"
    states = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}, common)


class Adamax(Optimizer):
    """Adam with the largest recent gradient in the place of the root mean square."""

    rule = "adamax"
    states = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, common)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, which grows towards β₁ at the pace of momentum_decay."""

    rule = "nadam"
    states = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Others],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults, common)

    def _state_of(self, engine: _C._OptimGroup, i: int, step: float, memory: float) -> dict[str, Any]:
        state = super()._state_of(engine, i, step, memory)
        return state | {"mu_product": _C.tensor(memory, dtype=_C.float64)} if state else {}

    def _counts_of(self, state: Mapping[str, Any]) -> tuple[float, float]:
        return (float(state["step"]), float(state["mu_product"])) if state else (0.0, 0.0)


class RAdam(Optimizer):
    """Adam that takes plain momentum steps until its root mean square has seen enough gradients."""

    rule = "radam"
    states = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        eps_inside_sqrt: bool = False,
        **common: Unpack[Others],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults, common)
