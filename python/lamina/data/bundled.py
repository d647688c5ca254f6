"""The small real data sets that come with scikit-learn: nothing to download."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

import lamina
from lamina.data.dataset import TensorDataset

NAMES = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")


class BundledDataset(TensorDataset):
    """Features (N, F) in float32 and classes in int64, or numbers (N, targets) in float32 where they are to be predicted."""

    feature_names: list[str]
    target_names: list[str]


def bundled(name: str) -> BundledDataset:
    """One of breast_cancer, diabetes, digits, iris, linnerud and wine."""
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"bundled: there is no data set {name!r}{hint} (there are {', '.join(NAMES)})")
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError as error:
        raise ModuleNotFoundError(
            f"the data set {name!r} comes with scikit-learn: pip install scikit-learn", name="sklearn"
        ) from error
    raw = getattr(datasets, f"load_{name}")()
    if raw.target.dtype.kind in "iu":
        target = lamina.tensor(raw.target).long()
    else:
        target = lamina.tensor(raw.target).float().reshape(len(raw.data), -1)
    data = BundledDataset(lamina.tensor(raw.data).float(), target)
    data.feature_names = [str(n) for n in raw.feature_names]
    data.target_names = [str(n) for n in getattr(raw, "target_names", ["target"])]
    return data
