"""Features with mean 0 and variance 1, by what the training set has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import lamina
from lamina import Tensor
from lamina.data.dataset import Dataset, TensorDataset, tensors_of


class Normalizer:
    """(x − mean) / standard deviation, fitted on the training set and then used on everything.

    `dim` says over which dimensions the two are taken: 0 gives every feature its own, (0, 2, 3) every channel of images
    (N, C, H, W), None the whole one pair. Features that never change are only centred.
    """

    def __init__(self, dim: int | Sequence[int] | None = 0) -> None:
        self.dim = dim
        self.mean: Tensor | None = None
        self.std: Tensor | None = None

    def fit(self, data: Tensor | Dataset[Any] | Any) -> Normalizer:
        """Takes mean and deviation of a tensor, or of the first tensor of a data set."""
        x = tensors_of(data)[0] if isinstance(data, Dataset) else lamina.as_tensor(data)
        if x.ndim == 0 or x.shape[0] == 0:
            raise ValueError(f"Normalizer: expected one sample or more, got shape {x.shape}")
        dim = tuple(range(x.ndim)) if self.dim is None else self.dim
        wide = x.detach().double()
        mean = wide.mean(dim, keepdim=True)
        std = (wide - mean).square().mean(dim, keepdim=True).sqrt()
        if not bool(mean.isfinite().all() & std.isfinite().all()):
            raise ValueError("Normalizer: the data have NaN or infinite values")
        # Rounding alone gives features that never change a deviation of about 1e-16 of their size.
        changes = std > 1e-12 * mean.abs()
        kept = x.dtype if x.is_floating_point() else lamina.float32
        self.mean, self.std = mean[0].to(kept), lamina.where(changes, std, lamina.ones_like(std))[0].to(kept)
        return self

    def _fitted(self) -> tuple[Tensor, Tensor]:
        if self.mean is None or self.std is None:
            raise RuntimeError("Normalizer: call fit(training data) first")
        return self.mean, self.std

    def transform(self, x: Tensor) -> Tensor:
        """Normalises samples."""
        mean, std = self._fitted()
        return (x - mean) / std

    __call__ = transform

    def inverse(self, x: Tensor) -> Tensor:
        """Takes it back."""
        mean, std = self._fitted()
        return x * std + mean

    def apply(self, dataset: Dataset[Any]) -> TensorDataset:
        """The data set in memory, its first tensor normalised."""
        first, *rest = tensors_of(dataset)
        return TensorDataset(self.transform(first), *rest)

    def __repr__(self) -> str:
        fitted = "not fitted" if self.mean is None else f"fitted to {tuple(self.mean.shape)}"
        return f"Normalizer(dim={self.dim}, {fitted})"

    def state_dict(self) -> dict[str, Tensor]:
        mean, std = self._fitted()
        return {"mean": mean, "std": std}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if set(state) != {"mean", "std"} or state["mean"].shape != state["std"].shape:
            raise ValueError(f"Normalizer: expected mean and std of one shape, got {', '.join(sorted(state))}")
        self.mean, self.std = state["mean"].clone(), state["std"].clone()

    def save(self, path: str | os.PathLike[str]) -> None:
        lamina.save(self.state_dict(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Normalizer:
        normalizer = cls()
        normalizer.load_state_dict(lamina.load(path))
        return normalizer
