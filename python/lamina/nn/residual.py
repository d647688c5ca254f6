"""Ways past a layer and side by side."""

from __future__ import annotations

from lamina import _C
from lamina.nn.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Parallel", "Residual"]


class Residual(Module):
    """body(x) + x, or body(x) + projection(x) where the body changes the shape (He et al. 2016)."""

    def __init__(self, body: Module, projection: Module | None = None) -> None:
        super().__init__()
        self.body: Module
        self.register_module("body", body)
        self.register_module("projection", projection)
        self.projection: Module | None

    def forward(self, input: Any) -> Any:
        way_past = input if self.projection is None else self.projection(input)
        out = self.body(input)
        if out.shape != way_past.shape:
            raise ValueError(
                f"Residual: the body makes {out.shape} of {input.shape}, "
                + ("give a projection" if self.projection is None else f"but the projection {way_past.shape}")
            )
        return out + way_past


class Parallel(Module):
    """Branches that all get the input; their outputs are joined along dim, or added up.

    Parallel(nn.Identity(), body) is the skip connection of DenseNet; several convolutions are an Inception module.
    """

    def __init__(self, *branches: Module, dim: int = 1, join: str = "cat") -> None:
        if not branches or join not in ("cat", "sum"):
            raise ValueError(f"Parallel: expected branches and join 'cat' or 'sum', got {len(branches)} and {join!r}")
        super().__init__()
        for i, branch in enumerate(branches):
            self.register_module(str(i), branch)
        self.dim, self.join = dim, join

    def forward(self, input: Any) -> Any:
        outputs = [branch(input) for _, branch in self._children()]
        if self.join == "cat":
            return _C.cat(outputs, self.dim)
        total = outputs[0]
        for out in outputs[1:]:
            total = total + out
        return total

    def extra_repr(self) -> str:
        return f"dim={self.dim}" if self.join == "cat" else "join='sum'"
