"""Captured steps: a Python function whose kernels are recorded once and then replayed without Python."""

from __future__ import annotations

from functools import update_wrapper
from types import MethodType

from lamina import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, overload

__all__ = ["Captured", "capture", "is_capturing"]

# The modules called while a step is recorded: a replay is valid only in the mode, training or not, that they were in.
modules_called: list[Any] | None = None
# What is put off to the end of the step, of every replay too: an optimiser and the step of its schedule.
at_the_end: list[tuple[Any, Callable[[], object]]] | None = None


def is_capturing() -> bool:
    """Is a step being recorded on this thread?"""
    return _C._is_recording()


class Captured:
    """What `capture` makes of a function."""

    def __init__(self, fn: Callable[..., Any], copy_outputs: bool = True, max_recordings: int = 16) -> None:
        if not callable(fn):
            raise TypeError(f"capture: expected a function, got {type(fn).__name__}")
        if max_recordings < 1:
            raise ValueError(f"capture: max_recordings must be at least 1, got {max_recordings}")
        update_wrapper(self, fn)
        self._fn = fn
        self._copy = copy_outputs
        self._limit = max_recordings
        self._steps: list[_C._Recording] = []
        self._left_behind: list[str] = []  # signatures of calls that made tensors which outlived them

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        results: Any = _C._replay(self._steps, args, kwargs, self._copy)
        return self._record(args, kwargs) if results is NotImplemented else results

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the function; what it launches is kept for calls to come."""
        global modules_called, at_the_end
        step = _C._Recording()
        outer, modules_called, at_the_end = (modules_called, at_the_end), [], []
        try:
            with step:
                args, kwargs = step.take_arguments(args, kwargs)
                step.take_results(self._fn(*args, **kwargs))
            for module in modules_called:
                step.watch(module)
            put_off = [call for _, call in at_the_end]
        finally:
            modules_called, at_the_end = outer
        for call in put_off:
            step.at_the_end(call)
            call()
        # State that the first call makes, such as momentum, would be made anew by every replay: record the next call.
        if step.survivors and step.signature not in self._left_behind:
            self._left_behind = [step.signature, *self._left_behind[: self._limit]]
            return step.results(True)
        self._steps.insert(0, step)
        del self._steps[self._limit :]
        return step.results(self._copy)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def reset(self) -> None:
        """Forgets all recordings: the next call records anew. For changes that a recorded step cannot see, such as a
        parameter frozen or a Python attribute changed since."""
        self._steps.clear()
        self._left_behind.clear()

    @property
    def recordings(self) -> tuple[str, ...]:
        """The arguments for which there is a recording, the latest first."""
        return tuple(step.signature for step in self._steps)

    @property
    def launches(self) -> int:
        """Kernels of the latest recording."""
        return len(self._steps[0]) if self._steps else 0

    @property
    def memory(self) -> int:
        """Bytes that the recordings hold for their own tensors."""
        return sum(step.memory for step in self._steps)

    def __repr__(self) -> str:
        name = getattr(self._fn, "__qualname__", type(self._fn).__name__)
        if not self._steps:
            return f"<captured {name}: nothing recorded yet>"
        lines = [f"{s.signature}: {len(s)} launches, {_readable(s.memory)}" for s in self._steps]
        return f"<captured {name}" + "".join(f"\n  {line}" for line in lines) + ">"


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


if TYPE_CHECKING:

    @overload
    def capture(fn: Callable[..., Any], *, copy_outputs: bool = ..., max_recordings: int = ...) -> Captured: ...
    @overload
    def capture(
        fn: None = None, *, copy_outputs: bool = ..., max_recordings: int = ...
    ) -> Callable[[Callable[..., Any]], Captured]: ...


def capture(fn: Callable[..., Any] | None = None, *, copy_outputs: bool = True, max_recordings: int = 16) -> Any:
    """Records what a function launches and replays it: a training step without Python, allocation or graph walk.

    The first call with arguments of certain shapes, types and constants runs the function as it is and records it; later
    calls of that kind copy their tensors and arrays into the buffers of the recording and run its kernels again, with
    the same results bit for bit. Other arguments, another grad mode, modules in another mode (train, eval) and gradients
    that are there or not lead to recordings of their own, of which the latest `max_recordings` are kept.

    The function runs in Python only when it is recorded: what it prints, counts or decides happens once, and numbers that
    change from call to call must be arguments or tensors. Reading a value inside it (item(), bool(), numpy() ...) is an
    error. A schedule's step() takes effect when the call ends, and at the end of every replay. Parameters, optimisers and
    generators are used directly and change as they do without capture; arguments are
    copies. Data made from Python numbers inside it are constants, an array is read again each time.

    Returned tensors have no history, and are fresh ones; with copy_outputs=False they are the buffers of the recording,
    which the next call overwrites.
    """

    def wrap(fn: Callable[..., Any]) -> Captured:
        return Captured(fn, copy_outputs, max_recordings)

    return wrap if fn is None else wrap(fn)
