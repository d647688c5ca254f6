"""Memory of captured steps: no more than the eager step takes, and given back when the recording goes."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import allocated, sanitized

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_a_recording_takes_no_more_than_the_eager_step():
    layers = [lamina.tensor(array(256, 256) / 16) for _ in range(8)]

    def f(x):
        for w in layers:
            x = (x @ w).tanh()
        return x

    x = lamina.tensor(array(256, 256))
    f(x)
    lamina.reset_peak_memory()
    base = lamina.memory_stats()["peak"]
    f(x)
    eager = lamina.memory_stats()["peak"] - base
    with lamina.no_grad():
        step = lamina.capture(f)
        step(x)
    argument = 256 * 256 * 4
    assert 0 < step.memory <= eager + 2 * argument


@pytest.mark.skipif(sanitized(), reason="every block is its own under the address sanitizer")
def test_what_is_freed_joins_its_neighbours():
    """Nine large tensors, never more than three at once, the last two as large as those before together."""
    unit = 1 << 20

    def f(x):
        total = x.sum()
        for _ in range(3):
            a, b = x * 2, x * 3
            total = total + a.sum() + b.sum()  # sums that stay lie between them in time, but not in memory
            del a, b
        return lamina.cat([x, x]).exp(), total

    with lamina.no_grad():
        step = lamina.capture(f)
        step(lamina.zeros(unit // 4))
    assert step.memory <= (1 + 2 + 2) * unit + 65536


def test_a_tensor_that_outlives_its_recording_keeps_no_more_than_its_own():
    kept = []
    base = allocated()
    with lamina.no_grad():
        step = lamina.capture(lambda x: kept.append(x + 1) or (x * 2).exp().sum())
        step(lamina.zeros(1 << 18))
    step.reset()
    if not sanitized():
        assert allocated() - base <= (1 << 20) + 4096
    np.testing.assert_array_equal(kept[0].numpy(), np.ones(1 << 18, np.float32))
    kept.clear()
    assert allocated() == base


def test_results_outlive_their_recording():
    step = lamina.capture(lambda x: (x * 2, x.reshape(2, 2)), copy_outputs=False)
    for _ in range(2):
        y, view = step(lamina.full((4,), 3.0))
    before = allocated()
    del step
    assert allocated() <= before
    junk = [lamina.full((4,), 9.0) for _ in range(50)]
    assert y.tolist() == [6, 6, 6, 6] and view.tolist() == [[3, 3], [3, 3]]
    del junk


def test_blocks_of_a_recording_are_not_handed_out_while_it_lives():
    step = lamina.capture(lambda x: ((x + 1) * 2 - 3) / 4)
    y = step(lamina.ones(1000))
    del y
    others = [lamina.zeros(1000) for _ in range(20)]
    assert step(lamina.full((1000,), 2.0)).tolist() == [0.75] * 1000
    assert all((o == 0).all() for o in others)


def test_memory_from_outside_stays_as_long_as_the_recording_uses_it():
    box = {"w": lamina.ones(1000)}
    step = lamina.capture(lambda x: x * box["w"])
    step(lamina.ones(1000))
    del box["w"]
    others = [lamina.zeros(1000) for _ in range(20)]
    assert step(lamina.full((1000,), 2.0)).tolist() == [2.0] * 1000
    del others
