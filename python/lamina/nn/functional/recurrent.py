"""Penalties on the states of recurrent nets."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves

__all__ = ["gradient_propagation_penalty", "norm_stabilizer"]


def _checked(name: str, states: Tensor, first: Tensor | None) -> Tensor:
    """The states before each of these: (steps, batch, units)."""
    if states.ndim != 3 or states.shape[0] == 0:
        raise ValueError(f"{name}: expected states of shape (steps, batch, units), got {tuple(states.shape)}")
    if first is None:
        first = _C.zeros_like(states[0])
    if first.shape != states.shape[1:]:
        raise ValueError(f"{name}: first must have shape {tuple(states.shape[1:])}, got {tuple(first.shape)}")
    return _C.cat([first.unsqueeze(0), states[:-1]])


def norm_stabilizer(states: Tensor, beta: float, first: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
    """β · 1/T · Σ_t (‖h_t‖ − ‖h_{t−1}‖)², the mean over the batch (D. Krueger and R. Memisevic, 2016).

    states   (steps, batch, units); first: h_0 (batch, units), zeros where none is given; lengths: T of each sequence
    """
    before = _checked("norm_stabilizer", states, first)
    changes = (states.norm(dim=-1) - before.norm(dim=-1)).square()
    if lengths is None:
        return beta * changes.mean()
    steps = _C.as_tensor(lengths, dtype=_C.int64).to(states.device)
    if steps.shape != states.shape[1:2]:
        raise ValueError(f"norm_stabilizer: lengths must have shape ({states.shape[1]},), got {tuple(steps.shape)}")
    there = (_C.arange(states.shape[0], device=states.device).unsqueeze(1) < steps).to(states.dtype)
    return beta * ((changes * there).sum(0) / steps.to(states.dtype)).mean()


def gradient_propagation_penalty(
    states: Tensor, gradients: Tensor, weight_hh: Tensor, nonlinearity: str = "tanh"
) -> Tensor:
    """Ω = Σ_t (‖δ_{t+1} ∂h_{t+1}/∂h_t‖ / ‖δ_{t+1}‖ − 1)² with δ = ∂L/∂h, the mean over the batch (R. Pascanu et al., 2013):
    errors shall neither vanish nor explode on their way back through an Elman network.

    states     h_1 … h_T (steps, batch, units), the outputs of one layer of nn.RNN
    gradients  ∂L/∂h_1 … ∂L/∂h_T, as a `probe` receives them
    Both are taken as they are, as in the paper: the gradient reaches weight_hh alone.
    """
    name = "gradient_propagation_penalty"
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    if states.ndim != 3 or gradients.shape != states.shape:
        raise ValueError(
            f"{name}: expected states and gradients of one shape (steps, batch, units), got {tuple(states.shape)} and "
            f"{tuple(gradients.shape)}"
        )
    if tuple(weight_hh.shape) != (states.shape[2],) * 2:
        raise ValueError(f"{name}: weight_hh must have shape {(states.shape[2],) * 2}, got {tuple(weight_hh.shape)}")
    h, delta = states.detach()[1:], gradients.detach()[1:]
    slope = 1 - h.square() if nonlinearity == "tanh" else (h > 0).to(h.dtype)
    norms = delta.norm(dim=-1)
    there = norms > 0  # no error has come as far, or the sequence has ended
    ratio = ((delta * slope) @ weight_hh).norm(dim=-1) / _C.where(there, norms, 1.0)
    return _C.where(there, (ratio - 1).square(), 0.0).sum() / states.shape[1]


speak_for_themselves(globals())
