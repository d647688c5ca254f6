"""Mini-batches of sequences of different lengths: what is batched together decides how much padding is computed.

The strategies are those of M. Morishita et al., An Empirical Study of Mini-Batch Creation Strategies for Neural Machine
Translation, 2017, Algorithm 1.
"""

from __future__ import annotations

from typing import NamedTuple

import lamina
from lamina.data.loader import generator_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

STRATEGIES = ("shuffle", "source", "target", "source_target", "target_source")


class Padding(NamedTuple):
    """What of an epoch's batches is padding."""

    batches: int
    tokens: int  # real ones
    padded: int  # with the padding to the longest of each batch

    @property
    def share(self) -> float:
        """Of all that is computed, the part that is padding."""
        return 1 - self.tokens / self.padded if self.padded else 0.0

    def __str__(self) -> str:
        return (
            f"{self.batches} batches, {self.tokens:,} tokens, {self.padded:,} with padding ({self.share:.1%} padding)"
        )


def _lengths(name: str, given: Sequence[int]) -> list[int]:
    numbers = list(given)
    for n in numbers:
        if not hasattr(n, "__index__"):
            raise TypeError(
                f"LengthBatchSampler: {name} must be lengths, a whole number for each sequence, got {type(n).__name__}"
            )
    return [int(n) for n in numbers]


class LengthBatchSampler:
    """Batches of indices for DataLoader(batch_sampler=…): the corpus is shuffled or sorted by length, cut into batches,
    and these come in a new random order every epoch.

    strategy   shuffle: in random order; source, target: by that length; source_target: by the source's and, where it is
               equal, the target's; target_source: the other way round. Equals are in random order
    batch_size sequences in a batch; or `max_tokens` in a batch with its padding, whichever is reached first
    """

    def __init__(
        self,
        source: Sequence[int],
        target: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        strategy: str = "source",
        shuffle_batches: bool = True,
        seed: int = 0,
    ) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"LengthBatchSampler: strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        if batch_size is None and max_tokens is None or batch_size is not None and batch_size < 1:
            raise ValueError(
                f"LengthBatchSampler: expected batch_size ≥ 1 or max_tokens, got {batch_size} and {max_tokens}"
            )
        if target is None and "target" in strategy:
            raise ValueError(f"LengthBatchSampler: strategy {strategy!r} needs the lengths of the targets")
        self.source = _lengths("source", source)
        self.target = None if target is None else _lengths("target", target)
        if self.target is not None and len(self.target) != len(self.source):
            raise ValueError(
                f"LengthBatchSampler: {len(self.source)} sources and {len(self.target)} targets; expected pairs"
            )
        if not self.source or min(self.source + (self.target or [])) < 0:
            raise ValueError("LengthBatchSampler: expected lengths ≥ 0, at least one")
        if max_tokens is not None and max(map(self._tokens, range(len(self.source)))) > max_tokens:
            longest = max(map(self._tokens, range(len(self.source))))
            raise ValueError(f"LengthBatchSampler: max_tokens={max_tokens} is less than a single sample's {longest}")
        self.batch_size, self.max_tokens, self.strategy = batch_size, max_tokens, strategy
        self.shuffle_batches, self.seed, self.epoch = shuffle_batches, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.batches()
        if self.shuffle_batches:
            order = lamina.randperm(len(batches), generator=generator_of(self.seed, self.epoch, 1)).tolist()
            batches = [batches[k] for k in order]
        return iter(batches)

    def __len__(self) -> int:
        return len(self.batches())

    def __repr__(self) -> str:
        limits = {"batch_size": self.batch_size, "max_tokens": self.max_tokens}
        shown = "".join(f", {name}={value}" for name, value in limits.items() if value is not None)
        return f"LengthBatchSampler({len(self.source)} sequences, strategy={self.strategy!r}{shown})"

    def batches(self) -> list[list[int]]:
        """Of this epoch, before their order is shuffled."""
        order = lamina.randperm(len(self.source), generator=generator_of(self.seed, self.epoch)).tolist()
        if (key := self._key()) is not None:
            order.sort(key=key)
        batches: list[list[int]] = []
        for index in order:
            if not batches or not self._fits(batches[-1], index):
                batches.append([])
            batches[-1].append(index)
        return batches

    def padding(self) -> Padding:
        """How much of this epoch's batches is padding, of source and target together."""
        batches = self.batches()
        return Padding(len(batches), sum(map(self._tokens, range(len(self.source)))), sum(map(self._padded, batches)))

    def _key(self) -> Callable[[int], Any] | None:
        source, target = self.source, self.target or []
        return {
            "shuffle": None,
            "source": lambda i: source[i],
            "target": lambda i: target[i],
            "source_target": lambda i: (source[i], target[i]),
            "target_source": lambda i: (target[i], source[i]),
        }[self.strategy]

    def _tokens(self, index: int) -> int:
        return self.source[index] + (self.target[index] if self.target else 0)

    def _padded(self, batch: list[int]) -> int:
        longest = max(self.source[i] for i in batch) + (max(self.target[i] for i in batch) if self.target else 0)
        return longest * len(batch)

    def _fits(self, batch: list[int], index: int) -> bool:
        if self.batch_size is not None and len(batch) == self.batch_size:
            return False
        return self.max_tokens is None or self._padded([*batch, index]) <= self.max_tokens


def pad_sequences(sequences: Sequence[Any], padding: float = 0, *, batch_first: bool = True) -> tuple[Any, Any]:
    """Sequences of different lengths (each a row of tokens, or steps × features) side by side, filled up with `padding`
    to the longest; and their lengths."""
    rows = [lamina.as_tensor(s) for s in sequences]
    if not rows or any(r.ndim == 0 or r.shape[1:] != rows[0].shape[1:] for r in rows):
        raise ValueError(
            "pad_sequences: expected sequences that differ in their number of steps alone, got shapes "
            f"{', '.join(str(tuple(r.shape)) for r in rows)}"
        )
    lengths = [r.shape[0] for r in rows]
    out = lamina.full((len(rows), max(lengths), *rows[0].shape[1:]), padding, dtype=rows[0].dtype)
    for k, row in enumerate(rows):
        out[k, : lengths[k]] = row
    return out if batch_first else out.transpose(0, 1).contiguous(), lamina.tensor(lengths, dtype=lamina.int64)
