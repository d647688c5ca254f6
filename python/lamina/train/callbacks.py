"""Things that happen along the way of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.train.trainer import Trainer


class Callback:
    """Called by the trainer at these moments. What `state_dict` returns is kept in the checkpoints."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step, or the first after a checkpoint."""

    def on_step(self, trainer: Trainer) -> None:
        """After each step of the optimiser; the gradients are still there."""

    def on_epoch(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After each epoch and its validation; what is put into the row becomes part of the history."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last epoch, and when a run is stopped."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what state_dict returned."""


class NormRecorder(Callback):
    """Norms of every parameter and its gradient, each `every` steps: vanishing and exploding gradients made visible.
    `lamina.train.plot_norms(recorder, path)` draws them; trainer.log gets them, too."""

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"NormRecorder: every must be at least 1, got {every}")
        self.every = every
        self.steps: list[int] = []
        self.weights: dict[str, list[float]] = {}
        self.gradients: dict[str, list[float]] = {}

    def __repr__(self) -> str:
        return f"NormRecorder(every={self.every}, {len(self.steps)} times recorded)"

    def on_step(self, trainer: Trainer) -> None:
        if trainer.step % self.every:
            return
        self.steps.append(trainer.step)
        for name, parameter in trainer.model.named_parameters():
            weight = float(parameter.detach().norm())
            gradient = float("nan") if parameter.grad is None else float(parameter.grad.norm())
            self.weights.setdefault(name, []).append(weight)
            self.gradients.setdefault(name, []).append(gradient)
            trainer.log(f"weight norm/{name}", weight)
            trainer.log(f"gradient norm/{name}", gradient)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "weights": self.weights, "gradients": self.gradients}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.weights, self.gradients = state["steps"], state["weights"], state["gradients"]
