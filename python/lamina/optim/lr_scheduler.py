"""Schedules of the learning rate, with PyTorch's names and numbers.

A schedule writes group["lr"], which lives in a tensor, so that captured steps follow it. `scheduler.step()` may stand
between them or inside, after the optimiser's: there it is put off to the end of the call, and of every replay. The course's own: ×0.9 every 5th epoch is StepLR(optimizer, 5, 0.9), η₀ / (1 + rate · epoch) is InverseTimeLR.
"""

from __future__ import annotations

from bisect import bisect_right
from math import cos, inf, pi

from lamina import _capture
from lamina._capture import is_capturing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Literal

    from lamina.optim.optimizer import Optimizer, ParamGroup

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR",
    "InverseTimeLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip


def _put_off(schedule: LRScheduler) -> bool:
    """Inside a captured step: its replays run no Python, but what follows them can."""
    if not is_capturing():
        return False
    if _capture.at_the_end is None:
        raise RuntimeError(
            f"{type(schedule).__name__}: only lamina.capture can put step() off to the end of a recording"
        )
    _capture.at_the_end.append((schedule.optimizer, schedule.step))
    return True


def _of_each_group(name: str, value: Any, groups: Sequence[Any]) -> list[Any]:
    """One value for every group, or a list with one for each."""
    if not isinstance(value, (list, tuple)):
        return [value] * len(groups)
    if len(value) != len(groups):
        raise ValueError(f"{name}: expected {len(groups)} values, one for each group, got {len(value)}")
    return list(value)


class LRScheduler:
    """The base of all schedules. A subclass says what the rate of a group becomes in epoch `last_epoch`."""

    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: to resume at epoch {last_epoch}, group {i} needs 'initial_lr'")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rate(self, group: ParamGroup, base: float) -> float:
        """The group's new rate; group["lr"] is what it was, base what it started from."""
        raise NotImplementedError

    def step(self) -> None:
        """On to the next epoch, or batch."""
        if _put_off(self):
            return
        self.last_epoch += 1
        self._write()

    def _write(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(group, base)

    def _restart(self) -> None:
        """Epoch 0 from the initial rates, wherever the rates are now."""
        self.last_epoch = 0
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self._write()

    def get_last_lr(self) -> list[float]:
        """The rates now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, whose own state_dict has the rates."""
        return {name: value for name, value in self.__dict__.items() if name not in self._unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what state_dict() returned."""
        self.__dict__.update({name: value for name, value in state_dict.items() if name not in self._unsaved})

    def __repr__(self) -> str:
        rates = ", ".join(f"{lr:g}" for lr in self.get_last_lr())
        return f"{type(self).__name__}(epoch {self.last_epoch}, lr {rates})"


class LambdaLR(LRScheduler):
    """lr = initial · lr_lambda(epoch); one function, or one for each group."""

    _unsaved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = _of_each_group("LambdaLR", lr_lambda, optimizer.param_groups)
        super().__init__(optimizer, last_epoch)

    def _write(self) -> None:
        for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
            group["lr"] = base * factor(self.last_epoch)


class InverseTimeLR(LRScheduler):
    """lr = initial / (1 + rate · epoch)."""

    def __init__(self, optimizer: Optimizer, decay_rate: float, last_epoch: int = -1) -> None:
        if not decay_rate >= 0:
            raise ValueError(f"InverseTimeLR: decay_rate must be 0 or more, got {decay_rate}")
        self.decay_rate = decay_rate
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        return base / (1 + self.decay_rate * self.last_epoch)


class StepLR(LRScheduler):
    """lr · gamma after every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be 1 or more, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        falls = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return group["lr"] * self.gamma if falls else group["lr"]


class MultiStepLR(LRScheduler):
    """lr · gamma at each of the milestones."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        return group["lr"] * self.gamma ** self.milestones.count(self.last_epoch)


class ConstantLR(LRScheduler):
    """lr · factor for the first total_iters epochs."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor must be above 0 and at most 1, got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        if self.last_epoch == 0:
            return group["lr"] * self.factor
        return group["lr"] * (1.0 / self.factor) if self.last_epoch == self.total_iters else group["lr"]


class LinearLR(LRScheduler):
    """lr · a factor that goes from start_factor to end_factor within total_iters epochs: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: factors must be between 0 and 1, got {start_factor} (not 0) and {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        if self.last_epoch == 0:
            return group["lr"] * self.start_factor
        if self.last_epoch > self.total_iters:
            return group["lr"]
        rise = self.end_factor - self.start_factor
        return group["lr"] * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))


class ExponentialLR(LRScheduler):
    """lr · gamma after every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        return group["lr"] * self.gamma if self.last_epoch > 0 else group["lr"]


class PolynomialLR(LRScheduler):
    """lr = initial · (1 - epoch / total_iters) ** power, then 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        if self.last_epoch == 0 or self.last_epoch > self.total_iters:
            return group["lr"]
        now, before = 1.0 - self.last_epoch / self.total_iters, 1.0 - (self.last_epoch - 1) / self.total_iters
        return group["lr"] * (now / before) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Down to eta_min along half a cosine within T_max epochs, and up again if training goes on."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be 1 or more, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        epoch, length = self.last_epoch, self.T_max
        if epoch == 0:
            return group["lr"]
        if (epoch - 1 - length) % (2 * length) == 0:
            return group["lr"] + (base - self.eta_min) * (1 - cos(pi / length)) / 2
        return (1 + cos(pi * epoch / length)) / (1 + cos(pi * (epoch - 1) / length)) * (
            group["lr"] - self.eta_min
        ) + self.eta_min


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down along half a cosine within T_0 epochs, then from the start again, each time T_mult as long."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError(f"CosineAnnealingWarmRestarts: T_0 and T_mult must be 1 or more, got {T_0} and {T_mult}")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, group: ParamGroup, base: float) -> float:
        since, length = self.last_epoch, self.T_0
        if self.T_mult == 1:
            since %= length
        while since >= length:
            since -= length
            length *= self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + cos(pi * since / length)) / 2


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down to 1 / final_div_factor of the start, stepped after every batch.

    cycle_momentum moves the momentum (or beta1) the other way, from max_momentum to base_momentum and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps < 1:
            raise ValueError(f"OneCycleLR: expected 1 step or more, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        rise = float(pct_start * total_steps) - 1
        # Where each phase ends, and the rates between which it goes.
        self.phases: list[tuple[float, str, str]] = (
            [
                (rise, "initial_lr", "max_lr"),
                (2 * rise, "max_lr", "initial_lr"),
                (total_steps - 1, "initial_lr", "min_lr"),
            ]
            if three_phase
            else [(rise, "initial_lr", "max_lr"), (total_steps - 1, "max_lr", "min_lr")]
        )
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group, top in zip(groups, _of_each_group("OneCycleLR", max_lr, groups), strict=True):
                group["lr"] = group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = top / div_factor / final_div_factor
        if cycle_momentum:
            if any("momentum" not in group and "betas" not in group for group in groups):
                raise ValueError("OneCycleLR: cycle_momentum needs an optimizer with momentum or betas")
            ranges = (
                _of_each_group("OneCycleLR", base_momentum, groups),
                _of_each_group("OneCycleLR", max_momentum, groups),
            )
            for group, low, high in zip(groups, *ranges, strict=True):
                group["base_momentum"], group["max_momentum"] = low, high
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2.0 * (cos(pi * share) + 1)

    def rate(self, group: ParamGroup, base: float) -> float:
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"OneCycleLR: the cycle has {self.total_steps} steps, this would be one more")
        begin, (end, start_rate, end_rate) = 0.0, self.phases[0]
        for phase in self.phases[1:]:
            if self.last_epoch > end:
                begin, (end, start_rate, end_rate) = end, phase
        share = (self.last_epoch - begin) / (end - begin) if end != begin else 1.0
        if self.cycle_momentum:
            self._set_momentum(group, start_rate, end_rate, share)
        return self._between(group[start_rate], group[end_rate], share)

    def _set_momentum(self, group: ParamGroup, start_rate: str, end_rate: str, share: float) -> None:
        low, high = group["base_momentum"], group["max_momentum"]
        start, end = (low if rate == "max_lr" else high for rate in (start_rate, end_rate))
        momentum = self._between(start, end, share)
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class SequentialLR(LRScheduler):
    """One schedule after the other: schedulers[i] from epoch milestones[i - 1] on, counting from 0."""

    _unsaved = ("optimizer", "schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        if not schedulers or len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"SequentialLR: {len(self.schedulers)} schedulers need {max(0, len(self.schedulers) - 1)} milestones, "
                f"got {len(self.milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in self.schedulers):
            raise ValueError("SequentialLR: a scheduler belongs to another optimizer")
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        for scheduler in self.schedulers:  # what their construction has done to the rates
            scheduler.base_lrs = list(self.base_lrs)
        self.schedulers[0]._restart()

    def step(self) -> None:
        if _put_off(self):
            return
        self.last_epoch += 1
        at = bisect_right(self.milestones, self.last_epoch)
        if at > 0 and self.milestones[at - 1] == self.last_epoch:
            self.schedulers[at]._restart()
        else:
            self.schedulers[at].step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(state_dict)


class ChainedScheduler(LRScheduler):
    """Several schedules at once, each acting on what the others have made of the rate."""

    _unsaved = ("optimizer", "schedulers")

    def __init__(self, schedulers: Sequence[LRScheduler]) -> None:
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError("ChainedScheduler: there are no schedulers")
        self.optimizer = self.schedulers[0].optimizer
        self.base_lrs = self.schedulers[0].base_lrs
        self.last_epoch = 0

    def step(self) -> None:
        if _put_off(self):
            return
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(state_dict)


class ReduceLROnPlateau:
    """lr · factor when a metric has not improved for more than `patience` epochs: step(metric)."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs: list[float] = _of_each_group("ReduceLROnPlateau", min_lr, optimizer.param_groups)
        self.eps = eps
        self.last_epoch = 0
        self.best = inf if mode == "min" else -inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def is_better(self, metric: float, best: float) -> bool:
        """Is the metric better than the best by more than the threshold?"""
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * metric > sign * best * (1 + sign * self.threshold)
        return sign * metric > sign * best + self.threshold

    def step(self, metrics: Any) -> None:
        """Takes the metric of one more epoch."""
        if is_capturing():
            raise RuntimeError(
                "ReduceLROnPlateau: it decides by the value of a metric, which is not known while a step is captured; call "
                "step() outside of the captured function, whose recordings follow group['lr']"
            )
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric, self.best):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def get_last_lr(self) -> list[float]:
        """The rates now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, whose own state_dict has the rates."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what state_dict() returned."""
        self.__dict__.update({name: value for name, value in state_dict.items() if name != "optimizer"})
