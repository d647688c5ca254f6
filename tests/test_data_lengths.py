"""Mini-batches of sequences: the five strategies of Algorithm 1, caps, padding, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.data import DataLoader, LengthBatchSampler, MapDataset, pad_sequences

RNG = np.random.default_rng(2)
SOURCE = RNG.integers(1, 20, 103).tolist()
TARGET = [int(n + d) for n, d in zip(SOURCE, RNG.integers(0, 8, 103), strict=True)]


def sampler(strategy: str, **more: Any) -> LengthBatchSampler:
    return LengthBatchSampler(SOURCE, TARGET, **({"batch_size": 10} | more), strategy=strategy)


KEYS = {
    "source": lambda i: SOURCE[i],
    "target": lambda i: TARGET[i],
    "source_target": lambda i: (SOURCE[i], TARGET[i]),
    "target_source": lambda i: (TARGET[i], SOURCE[i]),
}


@pytest.mark.parametrize("strategy", ["shuffle", *KEYS])
def test_batches_hold_everything_once_in_the_right_order(strategy: str) -> None:
    made = sampler(strategy)
    batches = list(made)
    assert sorted(i for b in batches for i in b) == list(range(103))
    assert sorted(map(len, batches)) == [3] + [10] * 10 and len(made) == 11
    assert sorted(map(tuple, batches)) == sorted(map(tuple, made.batches()))
    assert batches != made.batches()  # their order is shuffled
    flat = [i for b in made.batches() for i in b]
    if strategy in KEYS:
        keys = [KEYS[strategy](i) for i in flat]
        assert keys == sorted(keys)
    else:
        assert flat != sorted(flat)


def test_epochs_differ_and_repeat() -> None:
    made = sampler("source")
    first = list(made)
    assert first == list(made)
    made.set_epoch(1)
    assert first != list(made)
    made.set_epoch(0)
    assert first == list(made)


def test_padding_is_counted_and_sorting_saves_it() -> None:
    for strategy in ("shuffle", *KEYS):
        made = sampler(strategy)
        want = sum((max(SOURCE[i] for i in b) + max(TARGET[i] for i in b)) * len(b) for b in made)
        found = made.padding()
        assert found.padded == want and found.tokens == sum(SOURCE) + sum(TARGET) and found.batches == 11
        assert found.share == 1 - found.tokens / found.padded
    assert sampler("source_target").padding().share < 0.5 * sampler("shuffle").padding().share
    assert "% padding)" in str(sampler("shuffle").padding())


def test_a_cap_on_tokens() -> None:
    made = sampler("target", batch_size=None, max_tokens=120)
    for b in made:
        assert (max(SOURCE[i] for i in b) + max(TARGET[i] for i in b)) * len(b) <= 120
    assert max(map(len, sampler("target", batch_size=4, max_tokens=120))) == 4


def test_in_a_loader() -> None:
    texts = [lamina.full((n,), k, dtype=lamina.int64) for k, n in enumerate(SOURCE)]
    loader = DataLoader(
        MapDataset(range(len(texts)), lambda k: texts[k]),
        batch_sampler=LengthBatchSampler(SOURCE, batch_size=8), collate_fn=lambda rows: pad_sequences(rows, -1),
    )  # fmt: skip
    seen: list[int] = []
    for tokens, lengths in loader:
        assert tokens.shape == (lengths.shape[0], int(lengths.max()))
        for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True):
            assert len(set(row[:length])) == 1 and set(row[length:]) <= {-1} and SOURCE[row[0]] == length
            seen.append(row[0])
    assert sorted(seen) == list(range(len(texts)))


def test_pad_sequences_of_vectors() -> None:
    x, lengths = pad_sequences([np.ones((2, 3), np.float32), np.full((4, 3), 2, np.float32)], batch_first=False)
    assert x.shape == (4, 2, 3) and lengths.tolist() == [2, 4]
    assert x[2:, 0].abs().sum() == 0 and (x[:, 1] == 2).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LengthBatchSampler([1], batch_size=1, strategy="size"), "strategy must be one of shuffle, .*got 'size'"),
        (lambda: LengthBatchSampler([1]), "expected batch_size ≥ 1 or max_tokens"),
        (lambda: LengthBatchSampler([1], batch_size=0), "expected batch_size ≥ 1"),
        (lambda: LengthBatchSampler([1], batch_size=2, strategy="target"), "needs the lengths of the targets"),
        (lambda: LengthBatchSampler([1, 2], [1], batch_size=2), "2 sources and 1 targets"),
        (lambda: LengthBatchSampler([], batch_size=2), "at least one"),
        (lambda: LengthBatchSampler([3, 9], max_tokens=8), "max_tokens=8 is less than a single sample's 9"),
        (lambda: pad_sequences([lamina.ones(2, 3), lamina.ones(2, 4)]), "differ in their number of steps alone"),
        (lambda: pad_sequences([]), "pad_sequences: expected sequences"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_sequences_are_not_lengths():
    with pytest.raises(TypeError, match="source must be lengths, a whole number for each sequence, got list"):
        LengthBatchSampler([[1, 2], [3]], batch_size=2)
