"""Random numbers. A draw depends on the generator's seed and on what was drawn before, and on nothing else: not on the
number of threads, the instruction set or the memory layout. Threads that share a generator draw disjoint numbers.

Streams are stable: a seed gives the same numbers in every version of this major number; `normal` and what else takes
logarithms may differ from one instruction set to another in the last bits.

The default generator starts from a seed of the operating system, so that two runs differ, as in PyTorch; `manual_seed`
makes them alike. A new `Generator` always starts from the same seed.
"""

from __future__ import annotations

from lamina import _C
from lamina._C import Generator, Tensor, default_generator, rand, randn
from lamina._errors import speak_for_themselves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    DType: TypeAlias = _C.dtype | None
    Device: TypeAlias = _C.device | str | None

__all__ = [
    "feature_dropout",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Starts the default generators' streams anew from a seed, on every device; returns that of the CPU."""
    _C._seed_default_generators(seed)
    return default_generator


def seed() -> int:
    """Seeds the default generator from the operating system and returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator back to where it was at `get_rng_state`."""
    default_generator.set_state(new_state)


class fork_rng:
    """`with fork_rng():` whatever is drawn inside leaves the default generator as it was."""

    def __enter__(self) -> None:
        self._state = get_rng_state()

    def __exit__(self, *_: object) -> None:
        set_rng_state(self._state)


def _empty(size: Any, dtype: DType, device: Device) -> Tensor:
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        size = size[0]
    return _C.empty(size, dtype=dtype or _C.float32, device=device or "cpu")


def _empty_like(like: Tensor, dtype: DType, device: Device) -> Tensor:
    return _C.empty(like.shape, dtype=dtype or like.dtype, device=device or like.device)


def _grad(t: Tensor, on: bool) -> Tensor:
    return t.requires_grad_() if on else t


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1) in the shape of `input`."""
    return _grad(_empty_like(input, dtype, device).uniform_(generator=generator), requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers in the shape of `input`."""
    return _grad(_empty_like(input, dtype, device).normal_(generator=generator), requires_grad)


def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Device = None,
) -> Tensor:
    """randint(low=0, high, size): integers in [low, high), all equally likely; int64 unless told otherwise."""
    given = list(args)
    if given and size is None:
        size = given.pop()
    if given and high is None:
        high = given.pop()
    if given:
        low = given.pop()
    if given or high is None or size is None:
        raise TypeError("randint: expected (high, size) or (low, high, size)")
    return _empty((size,), dtype or _C.int64, device).random_(low, high, generator=generator)


def randint_like(
    input: Tensor,
    *args: Any,
    low: int = 0,
    high: int | None = None,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Device = None,
) -> Tensor:
    """randint_like(input, low=0, high): integers in [low, high) in the shape and type of `input`."""
    return randint(
        *args,
        input.shape,
        low=low,
        high=high,
        generator=generator,
        dtype=dtype or input.dtype,
        device=device or input.device,
    )


def randperm(n: int, *, generator: Generator | None = None, dtype: DType = None, device: Device = None) -> Tensor:
    """0, 1 … n - 1 in random order, every order equally likely."""
    return _C._randperm(n, dtype or _C.int64, device or "cpu", generator)


def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Device = None,
) -> Tensor:
    """Normal numbers: `size` of them from one mean and deviation, or one for each element of a tensor of either."""
    if size is not None:
        if isinstance(mean, Tensor) or isinstance(std, Tensor):
            raise TypeError("normal: with a size, mean and std must be numbers")
        return _empty((size,), dtype, device).normal_(mean, std, generator=generator)
    if not (isinstance(mean, Tensor) or isinstance(std, Tensor)):
        raise TypeError("normal: give a size, or mean or std as a Tensor")
    return _C._normal(mean, std, generator)


def feature_dropout(input: Tensor, p: float = 0.5, train: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Zeroes whole channels (N, C, ...) with probability p and scales the others by 1 / (1 - p)."""
    if input.ndim < 2:
        raise ValueError(f"feature_dropout: expected (N, C, ...), got shape {input.shape}")
    return _C._dropout_shared(input, p, train, (*input.shape[:2], *[1] * (input.ndim - 2)), generator)


speak_for_themselves(globals())
