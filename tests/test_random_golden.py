"""The numbers that a seed gives are part of the interface: these were drawn once and must come out of every version."""

from __future__ import annotations

import numpy as np
import pytest

import lamina

LATE = 2**32 - 1  # the second group of counters carries into the high word


def at(seed: int, counter: int) -> lamina.Generator:
    generator = lamina.Generator()
    generator.set_state(lamina.from_numpy(np.array([seed, counter], np.int64)))
    return generator


@pytest.mark.parametrize(
    "seed, counter, single, double",
    [
        (0, 0, ["0x1.989fap-2", "0x1.f1c998p-1", "0x1.3ea8cp-6"], ["0x1.f1c99948cc4fdp-1", "0x1.9321de5209f54p-1"]),
        (0, LATE, ["0x1.8b6414p-1", "0x1.ab4314p-2", "0x1.b6846p-2"], ["0x1.ab4317b316c82p-2", "0x1.83c90a56da118p-4"]),
        (2026, 0, ["0x1.b96cap-2", "0x1.f9ffeap-1", "0x1.636b74p-1"], ["0x1.f9ffea1cdcb65p-1", "0x1.77a861d3636b7p-1"]),
        (2026, LATE, ["0x1.392d14p-2", "0x1.74da1p-1", "0x1.8a5d04p-1"], ["0x1.74da11209c968p-1"]),
    ],
)  # fmt: skip
def test_uniform(seed, counter, single, double):
    assert lamina.rand(3, generator=at(seed, counter)).tolist() == [float.fromhex(v) for v in single]
    x = lamina.rand(len(double), dtype=lamina.float64, generator=at(seed, counter))
    assert x.tolist() == [float.fromhex(v) for v in double]


@pytest.mark.parametrize(
    "seed, counter, single, double",
    [
        (0, 0, [0.99113756, -0.15363818, -1.18635786, -0.59540701], [-0.15363823046451452, -0.595406998827733]),
        (0, LATE, [-0.07409956, 1.1363672, 1.02197886, -2.14095449], [1.136367266901509, -2.1409544628338537]),
        (2026, 0, [-1.2845248, -0.08936357, -0.16316584, 0.69253278], [-0.089363571965172, 0.692532750838757]),
        (2026, LATE, [0.27241746, 0.79465508, -0.52881426, -0.4897742], [0.7946551377177566, -0.48977415841231586]),
    ],
)
def test_normal_but_for_its_last_bits(seed, counter, single, double):
    x = lamina.randn(4, generator=at(seed, counter)).numpy()
    np.testing.assert_allclose(x, single, rtol=0, atol=8 * 2.0**-24)
    x = lamina.randn(2, dtype=lamina.float64, generator=at(seed, counter)).numpy()
    np.testing.assert_allclose(x, double, rtol=0, atol=8 * 2.0**-53)


@pytest.mark.parametrize(
    "seed, counter, expected",
    [
        (0, 0, [-101, 472, -481, 287, 434, -50, 213, 158]),
        (0, LATE, [272, -83, -72, -406, 127, 202, 172, -109]),
        (2026, 0, [-69, 488, 194, 233, 137, -185, 491, 306]),
        (2026, LATE, [-195, 228, 270, -163, -45, 15, 347, 451]),
    ],
)
def test_randint(seed, counter, expected):
    assert lamina.randint(-500, 500, (8,), generator=at(seed, counter)).tolist() == expected


@pytest.mark.parametrize(
    "seed, counter, ones, kept",
    [
        (0, 0, "0010000010000010000001010101101000100000", "0101101101111001100010101010010111011111"),
        (0, LATE, "0001000001100110100000101100000010001100", "1000111000011001011111010001110100100010"),
        (2026, 0, "0000000000000101000011001101000000000010", "0111101111000010101100110000111010111001"),
        (2026, LATE, "0000000001000010110001010000000101011010", "0110011100110101001110100001111000100100"),
    ],
)
def test_bernoulli_and_the_mask_of_dropout(seed, counter, ones, kept):
    draws = lamina.zeros(40).bernoulli_(0.3, generator=at(seed, counter))
    assert draws.tolist() == [float(c) for c in ones]
    dropped = lamina.dropout(lamina.ones(40), 0.5, generator=at(seed, counter))
    assert dropped.tolist() == [2 * float(c) for c in kept]


@pytest.mark.parametrize(
    "seed, counter, expected",
    [
        (0, 0, [11, 2, 6, 8, 9, 7, 4, 1, 5, 3, 0, 10]),
        (0, LATE, [4, 6, 2, 0, 1, 10, 3, 5, 11, 7, 9, 8]),
        (2026, 0, [10, 1, 5, 8, 4, 0, 2, 6, 3, 9, 11, 7]),
        (2026, LATE, [11, 2, 0, 10, 6, 3, 9, 1, 4, 7, 5, 8]),
    ],
)
def test_permutation(seed, counter, expected):
    assert lamina.randperm(12, generator=at(seed, counter)).tolist() == expected
