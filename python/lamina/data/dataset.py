"""Where samples come from: tensors, files, iterables, and parts and chains of other data sets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import lamina
from lamina import Tensor

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples by index: a subclass defines __getitem__ and __len__. One that also defines `batch(indices)`, a whole
    batch for a tensor of indices, is read in one go by the loader."""

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError(f"{type(self).__name__} defines no __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} defines no __len__")

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}({len(self)} samples)"
        except (TypeError, NotImplementedError):  # no length
            return f"{type(self).__name__}()"


class IterableDataset(Dataset[Sample]):
    """Samples in the order in which they come: of an iterable, of a function that makes one anew for each pass, or of a
    subclass's __iter__."""

    def __init__(self, source: Iterable[Sample] | Callable[[], Iterable[Sample]] = ()) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.source() if callable(self.source) else self.source)

    def __getitem__(self, index: int) -> Sample:
        raise TypeError("an IterableDataset has no order to index; iterate over it")

    def __len__(self) -> int:
        if isinstance(self.source, Sequence):
            return len(self.source)
        raise TypeError(f"{type(self).__name__} has no length: it ends when its iterable ends")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the i-th row of every tensor; whatever `lamina.as_tensor` takes will do."""

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected one tensor or more")
        self.tensors = tuple(lamina.as_tensor(t) for t in tensors)
        rows = [t.shape[0] if t.ndim else None for t in self.tensors]
        if None in rows or len(set(rows)) > 1:
            shapes = ", ".join(str(t.shape) for t in self.tensors)
            raise ValueError(f"TensorDataset: the tensors must have the same number of rows, got shapes {shapes}")

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def batch(self, indices: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.index_select(0, indices) for t in self.tensors)

    def __repr__(self) -> str:
        rows = ", ".join(f"{t.dtype.name} {tuple(t.shape[1:])}" for t in self.tensors)
        return f"TensorDataset({len(self)} × ({rows}))"


class Subset(Dataset[Sample]):
    """Some of another data set's samples, by their indices there."""

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int] | Tensor) -> None:
        self.dataset = dataset
        self.indices = lamina.as_tensor(indices).long().reshape(-1)
        if self.indices.numel():
            low, high = int(self.indices.min()), int(self.indices.max())
            if low < 0 or high >= len(dataset):
                raise IndexError(
                    f"Subset: indices must be from 0 to {len(dataset) - 1}, got {low if low < 0 else high}"
                )
        if hasattr(dataset, "batch"):
            self.batch = self._batch

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return self.indices.shape[0]

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"

    def _batch(self, indices: Tensor) -> Any:
        return self.dataset.batch(self.indices.index_select(0, indices))  # type: ignore[attr-defined]


class ConcatDataset(Dataset[Any]):
    """Data sets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected one data set or more")
        self._ends = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} of {len(self)} samples")
        index %= len(self)
        which = bisect_right(self._ends, index)
        return self.datasets[which][index - (self._ends[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self._ends[-1]


class MapDataset(Dataset[Any]):
    """`function` of each sample of another data set, made when it is asked for."""

    def __init__(self, dataset: Dataset[Any], function: Callable[[Any], Any]) -> None:
        self.dataset, self.function = dataset, function

    def __getitem__(self, index: int) -> Any:
        return self.function(self.dataset[index])

    def __len__(self) -> int:
        return len(self.dataset)


def tensors_of(dataset: Dataset[Any]) -> tuple[Tensor, ...]:
    """All samples at once, stacked: what TensorDataset(*tensors_of(dataset)) keeps in memory."""
    from lamina.data.loader import collate

    everything = lamina.arange(len(dataset))
    whole = (
        dataset.batch(everything) if hasattr(dataset, "batch") else collate([dataset[i] for i in range(len(dataset))])
    )
    return tuple(whole) if isinstance(whole, (tuple, list)) else (whole,)
