"""Which algorithm computes a convolution.

`algorithms` shows what is chosen for given shapes, `use` chooses otherwise, `forbid_winograd` and `set_winograd` rule out
the one that rounds more than the others. What is set here holds for all threads, and for a pass when it runs: the
gradients of a convolution are computed with what is set during backward.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

from lamina import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Numbers = int | Sequence[int]

__all__ = ["ALGORITHMS", "PASSES", "Choice", "algorithms", "forbid_winograd", "set_winograd", "use"]

ALGORITHMS = ("im2col", "implicit", "direct", "winograd2", "winograd4", "winograd_strided", "depthwise", "interleaved")
PASSES = ("forward", "data_gradient", "weight_gradient")


class Choice(NamedTuple):
    """The algorithm that computes a pass, and all that could."""

    chosen: str
    possible: tuple[str, ...]


def _dims(numbers: Numbers) -> tuple[int, ...]:
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)


def algorithms(
    input: Sequence[int],
    weight: Sequence[int],
    stride: Numbers = 1,
    padding: Any = 0,
    dilation: Numbers = 1,
    groups: int = 1,
    dtype: Any = None,
) -> dict[str, Choice]:
    """Which algorithm computes each pass of a convolution of inputs and weights of these shapes."""
    found = _C._conv_algorithms(
        tuple(input), tuple(weight), _dims(stride), padding, _dims(dilation), groups, dtype or _C.float32
    )
    return {name: Choice(chosen, tuple(possible)) for name, (chosen, possible) in zip(PASSES, found, strict=True)}


@contextmanager
def use(algorithm: str | None) -> Iterator[None]:
    """Takes this algorithm for every pass that it can compute; None leaves the choice to lamina."""
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise ValueError(f"use: algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    before, winograd = _C._conv_preference()
    _C._set_conv_preference(algorithm, winograd)
    try:
        yield
    finally:
        _C._set_conv_preference(before, _C._conv_preference()[1])


def set_winograd(allowed: bool) -> None:
    """May Winograd's algorithm be chosen? It may at first."""
    if not isinstance(allowed, bool):
        raise TypeError(f"set_winograd: allowed must be True or False, got {allowed!r}")
    _C._set_conv_preference(_C._conv_preference()[0], allowed)


@contextmanager
def forbid_winograd() -> Iterator[None]:
    """Inside, Winograd's algorithm is chosen nowhere."""
    before = _C._conv_preference()[1]
    set_winograd(False)
    try:
        yield
    finally:
        set_winograd(before)
