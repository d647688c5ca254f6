"""Batches from a data set: in order or shuffled, made ahead by threads, the same for any number of them.

What an epoch yields depends on the seed and the epoch's number alone, so that training resumes in the middle of one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice, repeat
from typing import Any, Protocol

import lamina
from lamina import Generator, Tensor
from lamina.data.dataset import Dataset, IterableDataset

_current = threading.local()
_END = object()


class Sampler(Protocol):
    """Indices of one epoch. One with `set_epoch(epoch)` is told which before it is iterated."""

    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...


def _mixed(*numbers: int) -> int:
    """One 63-bit seed from several numbers (the finaliser of SplitMix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return state >> 1


def generator_of(*numbers: int) -> Generator:
    """A generator that depends on all of these numbers, such as seed and epoch."""
    return Generator().manual_seed(_mixed(*numbers))


def sample_generator() -> Generator:
    """Inside a data set's __getitem__ that a DataLoader calls: random numbers of this sample in this epoch, whichever
    thread makes it and whenever."""
    key = getattr(_current, "sample", None)
    if key is None:
        raise RuntimeError("sample_generator: only for samples that a DataLoader is making")
    return generator_of(*key)


class WeightedRandomSampler:
    """`num_samples` indices an epoch, drawn in proportion to the weights."""

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, *, seed: int = 0) -> None:
        self.weights = lamina.as_tensor(weights).double()
        self.num_samples, self.replacement, self.seed, self.epoch = num_samples, replacement, seed, 0
        if num_samples < 0:
            raise ValueError(f"WeightedRandomSampler: num_samples must not be negative, got {num_samples}")
        if self.weights.ndim != 1 or not bool((self.weights >= 0).all()) or not float(self.weights.sum()) > 0:
            raise ValueError("WeightedRandomSampler: weights must be a row of numbers ≥ 0 that are not all 0")
        if not replacement and num_samples > self.weights.shape[0]:
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} samples of {self.weights.shape[0]} need replacement=True"
            )

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = generator_of(self.seed, self.epoch)
        drawn = lamina.multinomial(self.weights, self.num_samples, self.replacement, generator=generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        return f"WeightedRandomSampler({self.num_samples} of {len(self.weights)}, replacement={self.replacement})"


def collate(samples: Sequence[Any]) -> Any:
    """A batch of samples: tensors, arrays and numbers stacked, tuples and mappings by their parts, the rest as a list."""
    if not samples:
        raise ValueError("collate: expected one sample or more")
    first = samples[0]
    if isinstance(first, Tensor):
        shapes = {s.shape for s in samples}
        if len(shapes) > 1:
            raise ValueError(
                f"collate: samples of different shapes cannot be stacked: {', '.join(map(str, sorted(shapes)))}; "
                "pad them, or give the DataLoader a collate_fn"
            )
        return lamina.stack(samples)
    if isinstance(first, (bool, int, float)):
        return lamina.tensor(list(samples))
    if isinstance(first, Mapping):
        return {key: collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [collate(part) for part in zip(*samples, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if hasattr(first, "__array__"):
        return collate([lamina.tensor(s) for s in samples])
    return list(samples)


class DataLoader:
    """Iterates over a data set in batches. `num_workers` threads make `prefetch_factor` batches each ahead of their use;
    with 0 they are made when asked for. Shuffling follows `seed`, else the generator (the default one if none is given).

    A data set with `batch(indices)` and no `collate_fn` is read a batch at a time; any other sample by sample. `transform`
    (lamina.data.augment) changes a batch, or the first member of one that is a tuple; its generator depends on the seed,
    the epoch and the number of the batch.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Sampler | None = None,
        batch_sampler: Sampler | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        prefetch_factor: int = 2,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        transform: Callable[[Any, Generator], Any] | None = None,
    ) -> None:
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler takes the place of batch_size, shuffle, sampler and drop_last")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler takes the place of shuffle")
        for name, count in (
            ("batch_size", batch_size),
            ("num_workers", num_workers),
            ("prefetch_factor", prefetch_factor),
        ):
            if not hasattr(count, "__index__"):
                raise TypeError(f"DataLoader: {name} must be a whole number, got {count!r}")
        if batch_size < 1 or num_workers < 0 or prefetch_factor < 1:
            raise ValueError(
                "DataLoader: expected batch_size ≥ 1, num_workers ≥ 0 and prefetch_factor ≥ 1, got "
                f"{batch_size}, {num_workers} and {prefetch_factor}"
            )
        self.iterable = isinstance(dataset, IterableDataset)
        if not self.iterable and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                "DataLoader: expected a data set with __len__ and __getitem__, or an IterableDataset, got "
                f"{type(dataset).__name__}"
            )
        if self.iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset comes in its own order; shuffle and samplers need indices")
        if not self.iterable and len(dataset) == 0:
            raise ValueError("DataLoader: the data set is empty")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.sampler, self.batch_sampler, self.collate_fn = sampler, batch_sampler, collate_fn
        self.num_workers, self.prefetch_factor, self.transform = num_workers, prefetch_factor, transform
        if seed is None and shuffle:
            seed = int(lamina.randint(2**62, (1,), generator=generator))
        self.seed = seed or 0
        self.epoch = 0  # of the next pass

    def __repr__(self) -> str:
        own = {"shuffle": self.shuffle, "drop_last": self.drop_last, "num_workers": self.num_workers}
        given = {"sampler": self.sampler, "batch_sampler": self.batch_sampler, "transform": self.transform}
        shown = [] if self.batch_sampler is not None else [f"batch_size={self.batch_size}"]
        shown += [f"{name}={value!r}" for name, value in (own | given).items() if value]
        try:
            shown.append(f"{len(self)} batches")
        except TypeError:  # an iterable without length
            pass
        return f"DataLoader({self.dataset!r}, {', '.join(shown)})"

    def __len__(self) -> int:
        """Batches of an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        samples = len(self.dataset if self.sampler is None else self.sampler)
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        self.epoch += 1
        return self.batches(self.epoch - 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of an epoch from the `start`-th on."""
        jobs = islice(self._transformed(epoch), start, None)
        return self._threaded(jobs) if self.num_workers else (job() for job in jobs)

    def order(self, epoch: int) -> Tensor:
        """The indices of an epoch's samples, in the order in which they come."""
        if self.sampler is not None:
            if hasattr(self.sampler, "set_epoch"):
                self.sampler.set_epoch(epoch)
            return lamina.as_tensor([int(i) for i in self.sampler], dtype=lamina.int64)
        if self.shuffle:
            return lamina.randperm(len(self.dataset), generator=generator_of(self.seed, epoch))
        return lamina.arange(len(self.dataset))

    def _indices(self, epoch: int) -> Iterator[Tensor]:
        if self.batch_sampler is not None:
            if hasattr(self.batch_sampler, "set_epoch"):
                self.batch_sampler.set_epoch(epoch)
            for indices in self.batch_sampler:
                yield lamina.as_tensor(indices, dtype=lamina.int64)
            return
        order = self.order(epoch)
        for b in range(len(self)):
            yield order[b * self.batch_size : (b + 1) * self.batch_size]

    def _jobs(self, epoch: int) -> Iterator[Callable[[], Any]]:
        """Functions that make the batches."""
        if not self.iterable:
            for indices in self._indices(epoch):
                yield lambda indices=indices: self._fetch(indices, epoch)  # type: ignore[misc]
            return
        samples = iter(self.dataset)
        position = 0
        while chunk := list(islice(samples, self.batch_size)):
            if len(chunk) < self.batch_size and self.drop_last:
                return
            yield lambda chunk=chunk, position=position: self._collate(chunk, position)  # type: ignore[misc]
            position += len(chunk)

    def _transformed(self, epoch: int) -> Iterator[Callable[[], Any]]:
        jobs = self._jobs(epoch)
        if self.transform is None:
            return jobs
        return (partial(self._transform, job, epoch, number) for number, job in enumerate(jobs))

    def _transform(self, job: Callable[[], Any], epoch: int, number: int) -> Any:
        assert self.transform is not None  # _transformed
        batch, generator = job(), generator_of(self.seed, epoch, number)
        images, rest = (batch[0], batch[1:]) if isinstance(batch, tuple) else (batch, None)
        try:
            images = self.transform(images, generator)
        except Exception as error:
            what = f"DataLoader: transform(batch, generator) of batch {number}"
            raise RuntimeError(f"{what}: {type(error).__name__}: {error}") from error
        return images if rest is None else (images, *rest)

    def _fetch(self, indices: Tensor, epoch: int) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            self._check_indices(indices)
            return self.dataset.batch(indices)
        samples = []
        for index in indices.tolist():
            _current.sample = self.seed, epoch, index
            try:
                samples.append(self.dataset[index])
            except Exception as error:
                raise RuntimeError(f"DataLoader: sample {index}: {type(error).__name__}: {error}") from error
            finally:
                _current.sample = None
        return self._collate(samples, indices.tolist())

    def _check_indices(self, indices: Tensor) -> None:
        """Those of a sampler of the user's: the loader's own are right."""
        if (self.sampler is None and self.batch_sampler is None) or not len(indices):
            return
        most, least = int(indices.max()), int(indices.min())
        if most >= len(self.dataset) or least < 0:
            wrong = most if least >= 0 else least
            raise IndexError(f"DataLoader: the sampler asks for sample {wrong} of a data set of {len(self.dataset)}")

    def _collate(self, samples: list[Any], where: Any) -> Any:
        try:
            return (self.collate_fn or collate)(samples)
        except Exception as error:
            which = f"from {where} on" if isinstance(where, int) else str(where)
            raise RuntimeError(f"DataLoader: batch of samples {which}: {type(error).__name__}: {error}") from error

    def _threaded(self, jobs: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        """Results of the jobs in their order, up to num_workers · prefetch_factor of them made ahead."""
        workers, jobs = self.num_workers, iter(jobs)
        if self.iterable:  # has one thread, which takes the samples too
            workers, made = 1, (job() for job in jobs)
            jobs = repeat(lambda: next(made, _END))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="lamina-loader")
        ahead: deque[Future[Any]] = deque()
        try:
            for job in islice(jobs, self.num_workers * self.prefetch_factor):
                ahead.append(pool.submit(job))
            while ahead and (batch := ahead.popleft().result()) is not _END:
                for job in islice(jobs, 1):
                    ahead.append(pool.submit(job))
                yield batch
        finally:  # the end, an error, a break or Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)
