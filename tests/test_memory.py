"""The caching allocator: reuse, statistics, alignment, and the end of memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lamina
from checks import sanitized


def test_freed_blocks_are_reused():
    if sanitized():
        pytest.skip("blocks are not cached under the address sanitizer")
    x = lamina.empty(12345)
    del x
    before = lamina.memory_stats()
    again = lamina.empty(12345)
    after = lamina.memory_stats()
    assert again.numel() == 12345
    assert after["cache_hits"] == before["cache_hits"] + 1
    assert after["reserved"] == before["reserved"]


def test_statistics_follow_live_tensors():
    lamina.reset_peak_memory()
    base = lamina.memory_stats()["allocated"]
    x = lamina.empty(1 << 20)
    grown = lamina.memory_stats()
    assert 4 << 20 <= grown["allocated"] - base <= 5 << 20
    view = x.reshape(1 << 10, 1 << 10)
    assert lamina.memory_stats()["allocated"] == grown["allocated"]
    del x
    assert lamina.memory_stats()["allocated"] == grown["allocated"]
    del view
    end = lamina.memory_stats()
    assert end["allocated"] == base and end["peak"] >= grown["allocated"]
    lamina.reset_peak_memory()
    assert lamina.memory_stats()["peak"] == base


def test_cache_can_be_given_back():
    if sanitized():
        pytest.skip("blocks are not cached under the address sanitizer")
    x = lamina.empty(1 << 22)
    del x
    before = lamina.memory_stats()["reserved"]
    lamina.empty_cache()
    assert lamina.memory_stats()["reserved"] <= before - (16 << 20)


@pytest.mark.parametrize("n", [0, 1, 3, 31, 33, 1000, 100_003])
def test_blocks_are_aligned(n):
    assert lamina.empty(n).data_ptr() % 128 == 0


def test_operations_reuse_the_memory_of_their_predecessors():
    x = lamina.ones(1 << 18)
    x + 1
    lamina.reset_peak_memory()
    base = lamina.memory_stats()["peak"]
    for _ in range(10):
        x + 1  # the result dies at once
    assert lamina.memory_stats()["peak"] - base <= 2 << 20


def test_backward_frees_what_it_has_used():
    n = 1 << 16
    x = lamina.ones(n, requires_grad=True)
    y = x
    for _ in range(50):
        y = y.exp().tanh()
    before = lamina.memory_stats()["allocated"]
    y.backward(lamina.ones(n))
    del y
    after = lamina.memory_stats()["allocated"]
    assert after < before - 90 * n * 4
    assert x.grad is not None


@pytest.mark.parametrize("shape", [(1 << 45,), (1 << 30, 1 << 10), (10**6, 10**6)])
def test_sizes_beyond_memory_are_refused(shape):
    with pytest.raises(MemoryError, match="cannot allocate"):
        lamina.empty(shape)
    assert (lamina.ones(3) + 1).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("shape", [(1 << 62, 4), (2**31, 2**31, 2**31), (-1,), (3, -2)])
def test_sizes_that_overflow_or_are_negative_are_refused(shape):
    for make in (lamina.empty, lamina.zeros, lamina.ones, lamina.rand, lamina.randn):
        with pytest.raises(ValueError, match=f"^{make.__name__}: .*(too many elements|negative size)"):
            make(shape)
    with pytest.raises(ValueError, match="^full: .*(too many elements|negative size)"):
        lamina.full(shape, 1.0)


def test_functions_made_of_others_speak_for_themselves():
    for name, make in {
        "eye": lambda huge: lamina.eye(huge),
        "linspace": lambda huge: lamina.linspace(0, 1, huge),
        "logspace": lambda huge: lamina.logspace(0, 1, huge),
    }.items():
        with pytest.raises(ValueError, match=f"^{name}: .*too many elements"):
            make(1 << 61)
        with pytest.raises(MemoryError, match=f"^{name}: out of memory: cannot allocate"):
            make(1 << 26 if name == "eye" else 1 << 45)


def test_a_matrix_of_negative_size_is_refused():
    with pytest.raises(ValueError, match="eye: sizes must not be negative, got 2 and -1"):
        lamina.eye(2, -1)


@pytest.mark.parametrize("shape", [(1 << 62, 4), (2**31, 2**31, 2**31), (3, -2)])
def test_expanding_beyond_all_bounds_is_refused(shape):
    with pytest.raises(ValueError, match="too many elements|negative size"):
        lamina.ones(1).expand(shape)
    with pytest.raises(MemoryError, match="cannot allocate"):
        lamina.ones(1).expand(1 << 40).clone()


def test_exhausted_memory_is_an_exception_and_the_process_lives_on():
    if sanitized():
        pytest.skip("the sanitizer needs the address space that this test takes away")
    script = f"""
        import resource
        import lamina
        lamina.ones(10).exp()
        limit = {2 << 30}
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        kept = []
        try:
            while True:
                kept.append(lamina.ones(32 << 20))
        except MemoryError as e:
            assert "cannot allocate 134217728 bytes" in str(e), e
        else:
            raise SystemExit("no MemoryError")
        count = len(kept)
        del kept
        again = [lamina.ones(32 << 20) for _ in range(count - 1)]  # from the cache
        del again
        big = lamina.ones((count - 1) * (32 << 20))  # the cache is given back to make room
        assert big.numel() and (lamina.ones(3) * 2).tolist() == [2.0, 2.0, 2.0]
        print("alive")
    """
    assert resource.RLIMIT_AS is not None
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "alive", done.stderr


def test_views_keep_their_memory_alive():
    x = lamina.tensor(np.arange(1000, dtype=np.float32))
    view = x.reshape(10, 100).transpose(0, 1)
    array = view.numpy()
    del x, view
    junk = [lamina.full((1000,), 7.0) for _ in range(50)]
    np.testing.assert_array_equal(array, np.arange(1000).reshape(10, 100).T)
    del junk
