"""The loop: epochs and steps, validation, early stopping, checkpoints from which a run goes on bit for bit."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import lamina
from lamina import Tensor
from lamina.data.dataset import Dataset
from lamina.metrics import Mean, Metric
from lamina.nn import Module
from lamina.nn.utils import clip_grad_norm_
from lamina.train.callbacks import Callback
from lamina.train.checkpoint import load_checkpoint, save_checkpoint
from lamina.train.history import History
from lamina.train.nonfinite import NonFiniteLoss, bad_parameter, find_first
from lamina.train.progress import Silent, duration, reporter
from lamina.train.tensorboard import EventWriter

CHECKPOINT = "checkpoint.safetensors"


class _GoBack(Exception):
    """A captured step gave a loss that is not finite: from the last checkpoint on, the steps run as Python."""


class Trainer:
    """Trains a model.

    A batch is a tuple whose last part is the target: the model is called with the others, `loss(output, target)` gives
    the mean over the batch. A subclass that overrides `forward(batch)` decides otherwise.

    out: a folder for the checkpoint, the best model (model.safetensors), history.csv and events for TensorBoard.
    scheduler: stepped after each epoch, or with schedule_steps=True after each step.
    clip_norm: gradients longer than this, taken over all parameters, are scaled down to it.
    checkpoint_steps: a checkpoint every so many steps, beside those after each epoch.
    capture: the step is recorded by `lamina.capture` and replayed.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        loss: Callable[[Tensor, Tensor], Tensor],
        *,
        metrics: Mapping[str, Metric] | None = None,
        scheduler: Any = None,
        schedule_steps: bool = False,
        clip_norm: float | None = None,
        out: str | os.PathLike[str] | None = None,
        checkpoint_steps: int | None = None,
        callbacks: Sequence[Callback] = (),
        capture: bool = False,
        progress: bool = True,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: model must be a Module, got {type(model).__name__}")
        if not hasattr(optimizer, "step") or isinstance(optimizer, type):
            raise TypeError(f"Trainer: optimizer must have step() and zero_grad(), got {_kind(optimizer)}")
        if not callable(loss) or isinstance(loss, type):
            raise TypeError(f"Trainer: loss must be a function of output and target, got {_kind(loss)}")
        if not isinstance(metrics or {}, Mapping):
            raise TypeError(f"Trainer: metrics must be named, {{name: metric}}, got {_kind(metrics)}")
        for name, metric in (metrics or {}).items():
            if isinstance(metric, type) or not hasattr(metric, "update"):
                raise TypeError(f"Trainer: metric {name!r} must be a Metric, got {_kind(metric)}")
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.metrics = dict(metrics or {})
        self.scheduler, self.schedule_steps, self.clip_norm = scheduler, schedule_steps, clip_norm
        self.out = Path(out) if out is not None else None
        self.checkpoint_steps, self.callbacks, self.progress = checkpoint_steps, list(callbacks), progress
        self.capture = capture
        self.epoch = 0  # the one that runs, from 0
        self.position = 0  # batches of it that are done
        self.step = 0  # steps of the optimiser so far
        self.history = History()
        self.best: dict[str, Any] = {}  # value, epoch and model of the best epoch
        self.interrupted = False
        self._mean_loss = Mean()
        self._seconds = 0.0
        self._events: EventWriter | None = None
        self._captured: Callable[..., Any] | None = None
        self._screen = Silent()

    # ---- one batch ----

    def forward(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The mean loss of a batch, the model's output and the target."""
        *inputs, target = batch
        output = self.model(*inputs)
        return self.loss(output, target), output, target

    def _update(self, *batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        self.optimizer.zero_grad()
        loss, output, target = self.forward(batch)
        if not self.capture:
            self._check_finite(loss, batch)
        loss.backward()
        if self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.detach(), output.detach(), target

    def _step(self, batch: Any) -> dict[str, float]:
        """One step of the optimiser; the running figures of the epoch."""
        batch = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        self._random_state = lamina.get_rng_state()
        if self.capture:
            if self._captured is None:
                self._captured = lamina.capture(self._update)
            loss, output, target = self._captured(*batch)
            if not math.isfinite(loss.item()):
                if self.out is None:
                    self._check_finite(loss, batch)
                raise _GoBack
        else:
            loss, output, target = self._update(*batch)
        self._mean_loss.update(loss.item(), len(target))
        for metric in self.metrics.values():
            metric.update(output, target)
        if self.scheduler is not None and self.schedule_steps:
            self.scheduler.step()
        self.step += 1
        self.position += 1
        return {"loss": self._mean_loss.compute(), **self._computed("")}

    def _computed(self, prefix: str) -> dict[str, float]:
        return {prefix + name: float(metric.compute()) for name, metric in self.metrics.items()}

    def _check_finite(self, loss: Tensor, batch: Any) -> None:
        value = loss.item()
        if math.isfinite(value):
            return

        def run_again() -> None:
            with lamina.fork_rng():
                lamina.set_rng_state(self._random_state)  # the same dropout
                self.forward(batch)

        layer, finding = find_first(self.model, batch[:-1], run_again)
        raise NonFiniteLoss(
            f"the loss is {value} in epoch {self.epoch + 1}, step {self.step + 1}: {finding}{self._kept()}", layer
        )

    def _kept(self) -> str:
        if self.out is None or not (self.out / CHECKPOINT).exists():
            return ""
        return f"\nthe last good checkpoint is {self.out / CHECKPOINT}"

    # ---- the run ----

    def fit(
        self,
        train: Iterable[Any],
        epochs: int,
        validation: Iterable[Any] | None = None,
        *,
        patience: int | None = None,
        monitor: str | None = None,
        resume: bool = False,
    ) -> History:
        """Trains for so many epochs (counted from the very first, also when a run is resumed).

        With validation data, the model of the best epoch is kept and taken back at the end; `patience` ends the run
        after so many epochs without a better one. `monitor` names the figure that decides, by default the validation
        loss. `resume` goes on from the checkpoint in `out`, if there is one, as if the run had never stopped."""
        if not hasattr(epochs, "__index__"):
            raise TypeError(f"fit: epochs must be a whole number, got {epochs!r}")
        _expect_batches("fit", train)
        if validation is not None:
            _expect_batches("fit: validation", validation)
        if epochs < 1:
            raise ValueError(f"fit: epochs must be at least 1, got {epochs}")
        if patience is not None and (patience < 1 or validation is None):
            raise ValueError("fit: patience needs validation data and must be at least 1")
        if resume and self.out is None:
            raise ValueError("fit: resume needs a folder `out` with the checkpoint")
        if monitor is None and validation is not None:
            monitor = "validation_loss"
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            if resume and (self.out / CHECKPOINT).exists():
                self.restore(self.out / CHECKPOINT, train)
        self._screen = reporter(self.progress)
        self.model.train()
        with self._shown():
            for callback in self.callbacks:
                callback.on_start(self)
            if self.step == 0 and not self.history.rows:
                self._save(train)
            with self._interruptible():
                while self.epoch < epochs and not self._out_of_patience(patience):
                    try:
                        self._run_epoch(train, epochs, validation, monitor)
                    except _GoBack:
                        self._screen.say(
                            "the loss is not finite: going back to the checkpoint to see where it comes from"
                        )
                        assert self.out is not None
                        self.capture = False
                        self.restore(self.out / CHECKPOINT, train)
            if self.interrupted:
                self._screen.say(f"interrupted in epoch {self.epoch + 1}, step {self.step}{self._kept()}")
                raise KeyboardInterrupt
        if self.best:
            self.model.load_state_dict(self.best["model"])
        if self.out is not None:
            self.history.save(self.out / "history.csv")
            lamina.save(self.model.state_dict(), self.out / "model.safetensors")
        return self.history

    def _run_epoch(self, train: Iterable[Any], epochs: int, validation: Any, monitor: str | None) -> None:
        begun = time.monotonic()
        if self.position == 0:
            self._mean_loss.reset()
            for metric in self.metrics.values():
                metric.reset()
        self._screen.start_epoch(self.epoch, epochs, self.position, _length(train))
        for batch in _batches(train, self.epoch, self.position):
            numbers = self._step(batch)
            self._screen.batch(numbers, _samples(batch))
            for callback in self.callbacks:
                callback.on_step(self)
            self.log("running loss", numbers["loss"])
            at_checkpoint = self.checkpoint_steps and self.step % self.checkpoint_steps == 0
            if at_checkpoint or self.interrupted:
                self._seconds += time.monotonic() - begun
                begun = time.monotonic()
                self._save(train)
            if self.interrupted:
                return
        if self.position == 0:
            raise ValueError("fit: the training data gave no batch")
        row = {"epoch": self.epoch + 1, "loss": self._mean_loss.compute(), **self._computed("")}
        if validation is not None:
            row.update({f"validation_{name}": value for name, value in self.evaluate(validation).items()})
        row["learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
        for callback in self.callbacks:
            callback.on_epoch(self, row)
        note = self._keep_best(row, monitor)
        if self.scheduler is not None and not self.schedule_steps:
            self._schedule(row, monitor)
        self._seconds += time.monotonic() - begun
        row["seconds"] = round(self._seconds, 3)
        self.history.rows.append(row)
        for name, value in row.items():
            if name not in ("epoch", "seconds"):
                self.log(name.replace("_", " "), value)
        self._screen.end_epoch(row, note)
        self.epoch, self.position = self.epoch + 1, 0
        self._save(train)

    def _schedule(self, row: dict[str, float], monitor: str | None) -> None:
        if type(self.scheduler).__name__ == "ReduceLROnPlateau":
            self.scheduler.step(row[monitor or "loss"])
        else:
            self.scheduler.step()

    # ---- validation and early stopping ----

    def evaluate(self, data: Iterable[Any]) -> dict[str, float]:
        """Loss and metrics on data, without training."""
        _expect_batches("evaluate", data)
        mean = Mean()
        kept = [(metric, metric.state) for metric in self.metrics.values()]
        was_training = self.model.training
        self.model.eval()
        try:
            for metric, _ in kept:
                metric.reset()
            with lamina.no_grad():
                for batch in _batches(data, 0, 0):
                    loss, output, target = self.forward(tuple(batch))
                    mean.update(loss.item(), len(target))
                    for metric, _ in kept:
                        metric.update(output, target)
            return {"loss": mean.compute(), **self._computed("")}
        finally:
            self.model.train(was_training)
            for metric, state in kept:
                metric.state = state

    def predict(self, data: Iterable[Any]) -> Tensor:
        """The outputs for all batches, one after the other. Batches of inputs alone, without a target, will do."""
        _expect_batches("predict", data)
        was_training = self.model.training
        self.model.eval()
        try:
            with lamina.no_grad():
                return lamina.cat([self._predicted(batch) for batch in _batches(data, 0, 0)])
        finally:
            self.model.train(was_training)

    def _predicted(self, batch: Any) -> Tensor:
        batch = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        return self.model(*batch) if len(batch) == 1 else self.forward(batch)[1]

    def _keep_best(self, row: dict[str, float], monitor: str | None) -> str:
        if monitor is None:
            return ""
        if monitor not in row:
            raise ValueError(f"fit: there is no figure {monitor!r} to monitor; there are {', '.join(row)}")
        metric = self.metrics.get(monitor.removeprefix("validation_"))
        sign = 1 if metric is not None and metric.higher_is_better else -1
        value = row[monitor]
        if self.best and not sign * value > sign * self.best["value"]:
            return ""
        model = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.best = {"value": value, "epoch": self.epoch, "model": model}
        return "  best so far"

    def _out_of_patience(self, patience: int | None) -> bool:
        if self.interrupted:
            return True
        if patience is None or not self.best or self.position:
            return False
        waited = self.epoch - 1 - self.best["epoch"]
        if waited >= patience:
            self._screen.say(f"no better epoch for {waited}: back to epoch {self.best['epoch'] + 1}")
        return waited >= patience

    # ---- checkpoints ----

    def state_dict(self) -> dict[str, Any]:
        """Everything that a run needs to go on as if it had not stopped, but for the data."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generator": lamina.get_rng_state(),
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "mean_loss": self._mean_loss.state,
            "metrics": {name: metric.state for name, metric in self.metrics.items()},
            "history": self.history.rows,
            "best": self.best,
            "seconds": self._seconds,
            "callbacks": [callback.state_dict() for callback in self.callbacks],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what state_dict returned. Nothing is changed unless the model's names and shapes fit."""
        own, theirs = sorted(self.metrics), sorted(state["metrics"])
        if own != theirs:
            raise ValueError(f"this run has the metrics {own}, the checkpoint {theirs}")
        if len(state["callbacks"]) != len(self.callbacks):
            raise ValueError(f"this run has {len(self.callbacks)} callbacks, the checkpoint {len(state['callbacks'])}")
        if (state["scheduler"] is None) != (self.scheduler is None):
            raise ValueError("of this run and the checkpoint, one has a scheduler and one has none")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        lamina.set_rng_state(state["generator"])
        self.epoch, self.position, self.step = state["epoch"], state["position"], state["step"]
        self._mean_loss.state = state["mean_loss"]
        for name, metric in self.metrics.items():
            metric.state = state["metrics"][name]
        self.history.rows[:] = state["history"]
        self.best, self._seconds = state["best"], state["seconds"]
        for callback, its_state in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(its_state)
        self._captured = None

    def restore(self, path: str | os.PathLike[str], train: Any = None) -> None:
        """Goes back to a checkpoint."""
        state = load_checkpoint(path)
        try:
            self.load_state_dict(state["run"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(f"the checkpoint {path} is not of this run: {error}") from error
        if hasattr(train, "seed") and state["data_seed"] is not None:
            train.seed = state["data_seed"]

    def _save(self, train: Any) -> None:
        if self.out is None:
            return
        name = bad_parameter(self.model)
        if name is not None:
            raise NonFiniteLoss(
                f"the parameter {name!r} is not finite after step {self.step}, though the loss still was: "
                f"its gradient overflowed{self._kept()}",
                name.rpartition(".")[0],
            )
        state = {"run": self.state_dict(), "data_seed": getattr(train, "seed", None)}
        save_checkpoint(state, self.out / CHECKPOINT)
        self.history.save(self.out / "history.csv")
        if self._events is not None:
            self._events.flush()

    # ---- for people ----

    def log(self, name: str, value: float) -> None:
        """A number for TensorBoard, at the present step."""
        if self._events is not None:
            self._events.add(name, value, self.step)

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.model.parameters())
        return (
            f"Trainer({type(self.model).__name__} with {parameters} parameters, {type(self.optimizer).__name__}; "
            f"epoch {self.epoch}, step {self.step}, {duration(self._seconds)})"
        )

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """With the progress on the screen and events for TensorBoard in the folder."""
        with nullcontext() if self.out is None else EventWriter(self.out, self.step) as self._events:
            try:
                yield
            finally:
                self._screen.stop()
                for callback in self.callbacks:
                    callback.on_end(self)
        self._events = None

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C ends the run after the present step, with a checkpoint; the second at once."""
        self.interrupted = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(signum: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _kind(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _expect_batches(function: str, data: Any) -> None:
    tensors = isinstance(data, tuple) and any(isinstance(part, Tensor) for part in data)
    if isinstance(data, (Dataset, Tensor)) or tensors or not (hasattr(data, "batches") or hasattr(data, "__iter__")):
        what = "a tuple of tensors" if tensors else _kind(data)
        raise TypeError(
            f"{function}: expected batches, as DataLoader(TensorDataset(x, y), batch_size) gives them, got {what}"
        )


def _batches(data: Any, epoch: int, start: int) -> Iterator[Any]:
    """A loader's batches of that epoch from the start-th on; other iterables are taken as they come."""
    if hasattr(data, "batches"):
        return data.batches(epoch, start)
    return islice(iter(data), start, None)


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _samples(batch: Any) -> int:
    first = batch[-1] if isinstance(batch, (tuple, list)) else batch
    return len(first) if hasattr(first, "__len__") else 1
