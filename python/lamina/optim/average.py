"""Averages of parameters along the way, which often generalise better than where training ends."""

from __future__ import annotations

from contextlib import contextmanager

from lamina import _C
from lamina._C import Tensor
from lamina.autograd.grad_mode import no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

__all__ = ["EMA"]


class EMA:
    """The exponential moving average v ← βv + (1-β)θ of parameters, updated after every step.

    bias_correction: v starts at zero and is read as v / (1 - βᵗ), so that early averages are of what was seen. Otherwise v
    starts as the parameters are.

    >>> ema = optim.EMA(model.parameters(), decay=0.999)
    >>> optimizer.step(); ema.update()
    >>> with ema.average_parameters():
    ...     evaluate(model)
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999, bias_correction: bool = True) -> None:
        self._parameters = list(parameters)
        self._average = _C._ParameterAverage(self._parameters, decay, bias_correction)
        self._decay = float(decay)
        self.bias_correction = bias_correction

    @property
    def decay(self) -> float:
        """β; assigning to it changes the updates to come."""
        return self._decay

    @decay.setter
    def decay(self, value: float) -> None:
        self._average.set_decay(value)
        self._decay = float(value)

    def update(self) -> None:
        """Takes the parameters as they are now into the average."""
        self._average.update()

    def copy_to(self, parameters: Iterable[Tensor] | None = None) -> None:
        """Overwrites the parameters, or others of the same shapes, with the average."""
        if self.bias_correction and self._average.count() == 0:
            raise RuntimeError("EMA: nothing was averaged yet; call update() first")
        self._average.copy_to(self._parameters if parameters is None else list(parameters))

    @contextmanager
    def average_parameters(self) -> Iterator[None]:
        """Inside, the parameters are their averages; afterwards they are what they were."""
        before = [p.detach().clone() for p in self._parameters]
        self.copy_to()
        try:
            yield
        finally:
            with no_grad():
                for parameter, value in zip(self._parameters, before, strict=True):
                    parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The averages as they are kept, how many updates they have seen, and the decay."""
        return {
            "decay": self._decay,
            "bias_correction": self.bias_correction,
            "count": int(self._average.count()),
            "averages": self._average.averages(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies what state_dict() returned; all or nothing."""
        own, saved = self._average.averages(), list(state_dict["averages"])
        shapes = [tuple(t.shape) for t in own], [tuple(t.shape) for t in saved]
        if shapes[0] != shapes[1]:
            raise ValueError(f"EMA: this state has averages of shapes {shapes[1]}, the parameters have {shapes[0]}")
        if state_dict["bias_correction"] != self.bias_correction:
            raise ValueError(f"EMA: this state was made with bias_correction={state_dict['bias_correction']}")
        for mine, value in zip(own, saved, strict=True):
            mine.copy_(value)
        self.decay = state_dict["decay"]
        self._average.set_count(state_dict["count"])

    def __repr__(self) -> str:
        numbers = sum(p.numel() for p in self._parameters)
        return f"EMA({len(self._parameters)} parameters, {numbers:,} numbers, decay={self._decay:g})"
