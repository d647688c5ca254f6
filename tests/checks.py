"""One helper checks value and gradient of an operation: against a float64 NumPy reference and its finite differences."""

from __future__ import annotations

import csv
import gc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import lamina
from lamina.__main__ import main

# Unit roundoff by type. A result may be off by ROUNDINGS of them per operation in a chain or sum of `length` terms.
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST = {"float64": 1e-300, "float32": 1e-37, "float16": 6e-8, "bfloat16": 1e-37}
ROUNDINGS = 16
FLOATS = tuple(ROUNDOFF)


def tolerance(dtype: str, length: int = 1) -> float:
    """Relative tolerance of a result that `length` roundings went into (sums grow like their square root)."""
    return ROUNDINGS * ROUNDOFF[dtype] * max(1.0, float(length) ** 0.5)


def to_numpy(t: lamina.Tensor) -> np.ndarray:
    """Any tensor as a NumPy array; 16-bit floats come back as float32."""
    t = t.detach()
    return (t.float() if t.dtype in (lamina.bfloat16, lamina.float16) else t).numpy()


def strided(array: np.ndarray) -> np.ndarray:
    """The same values in memory with holes and reversed dimension order."""
    holes = np.zeros([2 * n + 1 for n in reversed(array.shape)], array.dtype)
    view = holes[(..., *(slice(0, 2 * n, 2) for n in reversed(array.shape)))].T
    view[...] = array
    return view


def assert_close(
    got: lamina.Tensor | np.ndarray, want: np.ndarray, dtype: str, length: int = 1, context: str = ""
) -> None:
    """Element for element: |got − want| ≤ tolerance · max(|want|, typical |want|); NaN and infinities in the same places."""
    value = to_numpy(got).astype(np.float64) if isinstance(got, lamina.Tensor) else np.asarray(got, np.float64)
    want = np.asarray(want, np.float64)
    assert value.shape == want.shape, f"{context}: shape {value.shape}, expected {want.shape}"
    if want.size == 0:
        return
    finite = np.isfinite(want) & (np.abs(want) <= {"float16": 65504.0, "float32": 3.4e38}.get(dtype, np.inf))
    np.testing.assert_array_equal(np.isnan(value), np.isnan(want), err_msg=f"{context}: NaN in other places")
    infinite = np.isinf(want)
    np.testing.assert_array_equal(value[infinite], want[infinite], err_msg=f"{context}: infinities differ")
    if not finite.any():
        return
    typical = np.median(np.abs(want[finite])) if length > 1 else 0.0
    allowed = tolerance(dtype, length) * np.maximum(np.abs(want), typical) + SMALLEST[dtype]
    off = np.abs(np.subtract(value, want, where=finite, out=np.zeros_like(want)))
    worst = int(np.argmax(off / allowed))
    assert (off <= allowed)[finite].all(), (
        f"{context}: {value.flat[worst]!r} instead of {want.flat[worst]!r} at flat index {worst} "
        f"({off.flat[worst] / allowed.flat[worst]:.1f} times the tolerance for {dtype})"
    )


def numeric_gradient(
    f: Callable[..., np.ndarray],
    arrays: Sequence[np.ndarray],
    which: int,
    weight: np.ndarray,
    sample: np.random.Generator | None = None,
) -> np.ndarray:
    """Central differences of Σ weight · f(arrays) with respect to arrays[which]; with `sample` those of 16 elements of
    its choice, NaN elsewhere, for an f that takes long."""
    x = arrays[which].astype(np.float64).copy()
    grad = np.full_like(x, np.nan)
    places = list(np.ndindex(x.shape))
    if sample is not None and len(places) > 16:
        places = [places[i] for i in sample.choice(len(places), 16, replace=False)]
    for i in places:
        step = 1e-6 * max(1.0, abs(x[i]))
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            ends.append(float(np.sum(weight * f(*[moved if k == which else a for k, a in enumerate(arrays)]))))
        grad[i] = (ends[0] - ends[1]) / (2 * step)
    return grad


def check_op(
    fn: Callable[..., lamina.Tensor],
    reference: Callable[..., np.ndarray],
    *arrays: np.ndarray,
    dtypes: Sequence[str] = FLOATS,
    grad: bool | Sequence[bool] = True,
    length: int = 1,
) -> None:
    """Checks fn(*tensors) against reference(*float64 arrays).

    Values in every dtype, from contiguous and strided inputs. The gradient of every input (or of those marked in `grad`)
    in float64, against finite differences of the reference. `length` is how many roundings a result collects.
    """
    for dtype in dtypes:
        rounded = [lamina.tensor(a).to(getattr(lamina, dtype)) for a in arrays]
        want = reference(*[to_numpy(t).astype(np.float64) for t in rounded])
        assert_close(fn(*rounded), want, dtype, length, f"{dtype}, contiguous")
        if dtype in ("float32", "float64"):
            views = [lamina.from_numpy(strided(to_numpy(t))) for t in rounded]
            assert_close(fn(*views), want, dtype, length, f"{dtype}, strided")

    wanted = [grad] * len(arrays) if isinstance(grad, bool) else list(grad)
    if not any(wanted):
        return
    doubles = [np.asarray(a, np.float64) for a in arrays]
    differences: dict[int, np.ndarray] = {}  # the same for both layouts
    for layout in (np.array, strided):
        leaves = [lamina.from_numpy(layout(a)) for a in doubles]
        for leaf, on in zip(leaves, wanted, strict=True):
            leaf.requires_grad = on
        out = fn(*leaves)
        weight = np.random.default_rng(0).uniform(0.5, 1.5, out.shape)
        out.backward(lamina.tensor(weight))
        for i, (leaf, on) in enumerate(zip(leaves, wanted, strict=True)):
            if not on:
                continue
            assert leaf.grad is not None, f"input {i} got no gradient"
            if i not in differences:
                differences[i] = numeric_gradient(reference, doubles, i, weight)
            want = differences[i]
            np.testing.assert_allclose(
                to_numpy(leaf.grad),
                want,
                rtol=1e-5,
                atol=1e-6 * max(1.0, float(np.abs(want).max(initial=0.0))),
                err_msg=f"gradient of input {i}",
            )


def check_recipe_learns(name: str, settings: str, share: float, files: Sequence[str], folder: Path) -> None:
    """Trained with these settings its loss falls to at most that share, and it leaves these files behind."""
    assert main(["train", name, "--quiet", "--out", str(folder), "--set", *settings.split()]) in (0, 3)
    with open(folder / "history.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < share * losses[0]
    for left in files:
        content = (folder / left).read_bytes()
        assert len(content) > 500
        assert content.startswith(b"\x89PNG") or not left.endswith(".png")


def sanitized() -> bool:
    """Under the address sanitizer every block is its own, so that its edges are watched."""
    import ctypes

    return hasattr(ctypes.CDLL(None), "__asan_init")


def allocated() -> int:
    """Bytes of all tensors that live."""
    gc.collect()
    return lamina.memory_stats()["allocated"]


def check_captured(step: Callable[[lamina.Tensor], Sequence[lamina.Tensor]], shape: tuple[int, ...]) -> None:
    """A captured step gives the bits of the eager one for inputs of a shape, whatever lies in them."""
    captured = lamina.capture(step)
    for seed in range(3):
        x = lamina.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
        got = [t.detach().numpy().copy() for t in captured(x)]
        for a, t in zip(got, step(x), strict=True):
            np.testing.assert_array_equal(a, t.detach().numpy())
