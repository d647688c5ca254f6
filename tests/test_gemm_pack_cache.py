"""Weights kept packed: the same bits as without, and never a stale one."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import _C

K, N = 200, 300
RNG = np.random.default_rng(0)


def weight(dtype: str = "float32", transposed: bool = False) -> lamina.Tensor:
    shape = (N, K) if transposed else (K, N)
    w = lamina.tensor(RNG.standard_normal(shape).astype(dtype)) * 1.0  # memory of our own
    return w.T if transposed else w


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 33, 200])
def test_every_use_gives_the_same_bits(dtype: str, transposed: bool, rows: int) -> None:
    x, w = lamina.tensor(RNG.standard_normal((rows, K)).astype(dtype)), weight(dtype, transposed)
    results = [(x @ w).numpy() for _ in range(4)]  # a note, packing, packed, packed
    for later in results[1:]:
        np.testing.assert_array_equal(later, results[0])


@pytest.mark.parametrize("transposed", [False, True])
def test_a_change_in_place_is_seen(transposed: bool) -> None:
    x, w = lamina.tensor(RNG.standard_normal((20, K)).astype("float32")), weight(transposed=transposed)
    first = [(x @ w).numpy() for _ in range(3)][-1]
    w.mul_(2.0)
    for _ in range(3):
        np.testing.assert_array_equal((x @ w).numpy(), 2 * first)


def test_a_change_through_a_view_is_seen() -> None:
    x, w = lamina.tensor(RNG.standard_normal((20, K)).astype("float32")), weight()
    for _ in range(3):
        x @ w
    w[3:7].zero_()
    want = x.numpy().astype("float64") @ w.clone().numpy().astype("float64")
    np.testing.assert_allclose((x @ w).numpy(), want, rtol=1e-4, atol=1e-4)


def test_memory_shared_with_numpy_is_not_cached() -> None:
    x, w = lamina.tensor(RNG.standard_normal((20, K)).astype("float32")), weight()
    for _ in range(3):
        x @ w
    w.numpy()[:] = 0.0
    for _ in range(3):
        np.testing.assert_array_equal((x @ w).numpy(), np.zeros((20, N), "float32"))
    theirs = np.ones((K, N), "float32")
    w = lamina.from_numpy(theirs)
    for _ in range(3):
        x @ w
    theirs[:] = 0.0
    np.testing.assert_array_equal((x @ w).numpy(), np.zeros((20, N), "float32"))


def test_windows_of_one_storage_do_not_get_mixed_up() -> None:
    x = lamina.tensor(RNG.standard_normal((20, 128)).astype("float32"))
    arena = lamina.tensor(RNG.standard_normal((4, 128, 128)).astype("float32")) * 1.0
    want = [x.clone().numpy().astype("float64") @ arena[i].clone().numpy().astype("float64") for i in range(4)]
    for _ in range(3):
        for i in range(4):
            np.testing.assert_allclose((x @ arena[i]).numpy(), want[i], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(
                (x @ arena[i].T).numpy(), x.clone().numpy() @ arena[i].clone().numpy().T, rtol=1e-3, atol=1e-3
            )


def test_packed_weights_go_with_their_storage() -> None:
    x = lamina.tensor(RNG.standard_normal((20, K)).astype("float32"))
    before = _C._memory_stats()["allocated"]
    w = weight()
    for _ in range(3):
        x @ w
    assert _C._memory_stats()["allocated"] >= before + 2 * 4 * K * N  # the weight and its packed form
    del w
    assert _C._memory_stats()["allocated"] == before
