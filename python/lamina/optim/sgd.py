"""Stochastic gradient descent, with every kind of momentum."""

from __future__ import annotations

from contextlib import contextmanager

from lamina import _C
from lamina.autograd.grad_mode import enable_grad
from lamina.optim.optimizer import Optimizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Literal

    from typing_extensions import Unpack

    from lamina.optim.optimizer import Common, ParamGroup

__all__ = ["SGD"]


class SGD(Optimizer):
    """θ ← θ - ηb with b ← μb + (1 - dampening)·g; b starts as the first gradient.

    lr_in_momentum: the rate stands inside, Δ ← μΔ - ηg, θ ← θ + Δ; the same while η is constant.
    nesterov: True re-parametrises, so that the gradient is taken at the parameters as they are; "exact" takes it at
    θ + μΔ, where the parameters are while `look_ahead()` is open or `step(closure)` calls the closure.
    """

    rule = "sgd"
    states = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool | Literal["exact"] = False,
        *,
        lr_in_momentum: bool = False,
        **common: Unpack[Common],
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "lr_in_momentum": lr_in_momentum,
        }
        self._looked_ahead = False
        super().__init__(params, defaults, common)

    def _check(self, group: ParamGroup) -> None:
        if group["nesterov"] not in (False, True, "exact"):
            raise ValueError(f"SGD: nesterov must be False, True or 'exact', got {group['nesterov']!r}")
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum above 0 and no dampening")

    @contextmanager
    def look_ahead(self) -> Iterator[None]:
        """Inside, the parameters are where momentum alone would carry them: compute the gradients there."""
        engines = [e for e, g in zip(self._engines, self.param_groups, strict=True) if g["nesterov"] == "exact"]
        if not engines:
            raise RuntimeError("SGD: look_ahead is for nesterov='exact'")
        for engine in engines:
            engine.look_ahead()
        try:
            yield
        finally:
            for engine in engines:
                engine.look_back()
        self._looked_ahead = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        exact = any(group["nesterov"] == "exact" for group in self.param_groups)
        if closure is not None and exact:
            with self.look_ahead(), enable_grad():
                loss = closure()
        elif closure is not None:
            return super().step(closure)
        if exact and not self._looked_ahead:
            raise RuntimeError("SGD: nesterov='exact' needs gradients computed inside look_ahead(), or step(closure)")
        self._looked_ahead = False
        super().step()
        return loss

    def _state_of(self, engine: _C._OptimGroup, i: int, step: float, memory: float) -> dict[str, Any]:
        return {"momentum_buffer": engine.state(i, 0)} if memory else {}

    def _counts_of(self, state: Mapping[str, Any]) -> tuple[float, float]:
        return (1.0, 1.0) if state.get("momentum_buffer") is not None else (0.0, 0.0)
