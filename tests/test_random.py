"""Random numbers: published vectors, an independent Philox in NumPy, distributions, and what may not change a bit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import lamina
from checks import to_numpy
from lamina import _C

FLOATS = ["float32", "float64", "float16", "bfloat16"]


def dtype(name: str) -> lamina.dtype:
    return getattr(lamina, name)


# ---- the reference: Philox4x32-10 in NumPy ----


def philox(counter, key: int) -> list[np.ndarray]:
    c = [np.asarray(v, np.uint64) for v in counter]
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> shift) ^ c[1] ^ np.uint64(k0), b & low, (a >> shift) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def words(n: int, seed: int, first: int = 0, attempt: int = 0) -> np.ndarray:
    """The first n words of a draw that claimed counters from `first` on."""
    j = np.arange(n)
    counter = np.array([(first + int(c)) % 2**64 for c in j // 64 * 16 + j % 16], np.uint64)
    zero = np.zeros_like(counter)
    outputs = philox([counter & np.uint64(0xFFFFFFFF), counter >> np.uint64(32), zero + np.uint64(attempt), zero], seed)
    return np.choose(j % 64 // 16, outputs)


def long_words(n: int, seed: int, first: int = 0, attempt: int = 0) -> np.ndarray:
    w = words(2 * n, seed, first, attempt)
    return w[0::2] | w[1::2] << np.uint64(32)


def raw(n: int, generator: lamina.Generator | None = None) -> np.ndarray:
    """n words as lamina draws them."""
    return lamina.randint(0, 2**32, (n,), generator=generator).numpy().astype(np.uint64)


@pytest.mark.parametrize(
    "counter, key, expected",
    [  # J. K. Salmon et al., Random123: known-answer tests of philox4x32 with 10 rounds
        ([0, 0, 0, 0], 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_reference_gives_the_published_vectors(counter, key, expected):
    assert [int(v) for v in philox(counter, key)] == expected


def test_first_words_of_seed_zero_are_the_published_vector():
    w = raw(64, lamina.Generator().manual_seed(0))
    assert [int(v) for v in w[0::16]] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("seed, first", [(0, 0), (77, 5), (2**64 - 1, 2**32 - 9), (0x299F31D0A4093822, 2**64 - 40)])
def test_words_are_those_of_the_reference(seed, first):
    g = lamina.Generator()
    g.set_state(lamina.from_numpy(np.array([seed, first], np.uint64).view(np.int64)))
    np.testing.assert_array_equal(raw(1000, g), words(1000, seed, first))
    counters = (1000 + 63) // 64 * 16
    np.testing.assert_array_equal(raw(3, g), words(3, seed, (first + counters) % 2**64))


# ---- generators ----


def test_manual_seed_repeats():
    lamina.manual_seed(42)
    a = [lamina.rand(7).tolist(), lamina.randn(3).tolist()]
    assert lamina.manual_seed(42) is lamina.default_generator
    assert [lamina.rand(7).tolist(), lamina.randn(3).tolist()] == a
    assert lamina.initial_seed() == 42
    lamina.manual_seed(43)
    assert lamina.rand(7).tolist() != a[0]


@pytest.mark.parametrize("seed", [0, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)])
def test_every_64_bit_integer_is_a_seed(seed):
    assert lamina.Generator().manual_seed(seed).initial_seed() == seed % 2**64


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_other_integers_are_not(seed):
    with pytest.raises(ValueError, match="manual_seed: expected an integer between"):
        lamina.manual_seed(seed)


def test_state_can_be_put_back():
    state = lamina.get_rng_state()
    a = lamina.rand(100)
    lamina.set_rng_state(state)
    assert (lamina.rand(100) == a).numpy().all()
    with pytest.raises(ValueError, match=r"set_state: expected shape \(2,\), got \(3,\)"):
        lamina.set_rng_state(lamina.zeros(3, dtype=lamina.int64))
    with pytest.raises(TypeError, match="set_state: expected an int64 tensor"):
        lamina.set_rng_state(lamina.zeros(2))


def test_fork_rng_leaves_no_trace():
    state = lamina.get_rng_state().tolist()
    with lamina.fork_rng():
        lamina.rand(1000)
        lamina.manual_seed(5)
    assert lamina.get_rng_state().tolist() == state


def test_own_generators_are_apart_from_the_default_one():
    state = lamina.get_rng_state().tolist()
    a, b = lamina.Generator(), lamina.Generator()
    assert lamina.rand(5, generator=a).tolist() == lamina.rand(5, generator=b).tolist()
    assert a.get_state().tolist() == [a.initial_seed(), 16]
    assert lamina.get_rng_state().tolist() == state
    assert "seed=9" in repr(a.manual_seed(9))


def test_seed_comes_from_the_system():
    g = lamina.Generator()
    seeds = {g.seed() for _ in range(5)}
    assert len(seeds) == 5 and g.initial_seed() in seeds


def test_threads_sharing_a_generator_draw_disjoint_numbers():
    g = lamina.Generator()
    drawn: list[np.ndarray] = []

    def work():
        for _ in range(200):
            drawn.append(lamina.randint(0, 2**62, (64,), generator=g).numpy())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    everything = np.concatenate(drawn)
    assert np.unique(everything).size == everything.size == 4 * 200 * 64
    assert g.get_state().tolist()[1] == 4 * 200 * 32


# ---- bits ----


def test_the_same_bits_for_any_thread_count():
    before = lamina.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 8):
            lamina.set_num_threads(threads)
            lamina.manual_seed(7)
            x = lamina.rand(200_001)
            draws = [x, lamina.randn(100_003), lamina.randint(-5, 2**31, (70_001,)), lamina.dropout(x, 0.3)]
            draws.append(lamina.multinomial(lamina.rand(9, 5000), 100))
            results.append([to_numpy(d).tobytes() for d in draws])
        assert all(r == results[0] for r in results)
    finally:
        lamina.set_num_threads(before)


def test_element_i_does_not_depend_on_the_length_of_the_draw():
    long = lamina.rand(1000, generator=lamina.Generator()).numpy()
    for n in (1, 15, 16, 17, 63, 64, 65, 999):
        np.testing.assert_array_equal(lamina.rand(n, generator=lamina.Generator()).numpy(), long[:n])


@pytest.mark.parametrize("draw", ["uniform_", "normal_", "exponential_", "random_", "bernoulli_"])
@pytest.mark.parametrize("name", ["float32", "float16"])
def test_views_receive_in_row_major_order(draw, name):
    plain = getattr(lamina.empty(3, 50, dtype=dtype(name)), draw)(generator=lamina.Generator())
    base = lamina.full((50, 6), 9.0, dtype=dtype(name))
    view = base[:, ::2].T
    result = getattr(view, draw)(generator=lamina.Generator())
    assert result is view
    np.testing.assert_array_equal(to_numpy(view), to_numpy(plain))
    assert (to_numpy(base)[:, 1::2] == 9).all()


# ---- distributions ----


def normal_reference(w: np.ndarray, apart: int, bits: int, turn_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Box and Muller's numbers from words, and the radius their errors are measured by."""
    pairs = w.reshape(-1, 2, apart)
    real = np.float32 if bits == 32 else np.float64
    half = np.uint64(bits // 2)
    high, low = pairs[:, 0] >> half, pairs[:, 0] & np.uint64(2 ** (bits // 2) - 1)
    u = (high.astype(np.float64) * 2.0 ** (-bits // 2) + (low.astype(np.float64) + 0.5) * 2.0**-bits).astype(real)
    u = np.minimum(u, np.nextafter(real(1), real(0))).astype(np.longdouble)
    turn = (pairs[:, 1] >> np.uint64(bits - turn_bits)).astype(np.longdouble) / np.longdouble(2.0**turn_bits)
    angle = turn * 8 * np.arctan(np.longdouble(1))
    r = np.sqrt(-2 * np.log(u))
    return np.stack([r * np.cos(angle), r * np.sin(angle)], 1).ravel(), np.stack([r, r], 1).ravel()


def test_uniform_is_made_of_the_leading_bits():
    x = lamina.rand(1000, generator=lamina.Generator()).numpy()
    np.testing.assert_array_equal(x, (words(1000, 0) >> np.uint64(8)) * 2.0**-24)
    x = lamina.rand(1000, dtype=lamina.float64, generator=lamina.Generator()).numpy()
    np.testing.assert_array_equal(x, (long_words(1000, 0) >> np.uint64(11)) * 2.0**-53)
    x = lamina.rand(1000, dtype=lamina.float16, generator=lamina.Generator()).numpy()
    np.testing.assert_array_equal(x, (words(1000, 0) >> np.uint64(21)) * 2.0**-11)


def test_normal_is_box_and_mullers():
    x = lamina.randn(64_000, generator=lamina.Generator()).numpy()
    want, r = normal_reference(words(64_000, 0), 16, 32, 32)
    assert (np.abs(x - want) <= 4 * 2.0**-24 * r).all()
    x = lamina.randn(64_000, dtype=lamina.float64, generator=lamina.Generator()).numpy()
    want, r = normal_reference(long_words(64_000, 0), 8, 64, 53)
    assert (np.abs(x - want) <= 4 * 2.0**-53 * r).all()


def test_integers_multiply_words_into_the_range_and_reject():
    low, n = -5, 2000
    span = 2**31 + 1  # nearly half of the words are rejected
    x = lamina.randint(low, low + span, (n,), generator=lamina.Generator()).numpy()
    product = [int(w) * span for w in words(n, 0)]
    for attempt in range(1, 40):
        again = words(n, 0, attempt=attempt)
        product = [int(a) * span if p % 2**32 < 2**32 % span else p for p, a in zip(product, again, strict=True)]
    np.testing.assert_array_equal(x, [low + (p >> 32) for p in product])

    span = 2**63 + 1
    x = lamina.randint(-(2**63), 1, (n,), generator=lamina.Generator()).numpy()
    product = [int(w) * span for w in long_words(n, 0)]
    for attempt in range(1, 60):
        again = long_words(n, 0, attempt=attempt)
        product = [int(a) * span if p % 2**64 < 2**64 % span else p for p, a in zip(product, again, strict=True)]
    np.testing.assert_array_equal(x, [-(2**63) + (p >> 64) for p in product])


def ks_distance(x: np.ndarray, cdf) -> float:
    """Kolmogorov and Smirnov's statistic, times √n: above 1.95 once in a thousand."""
    x = np.sort(x.astype(np.float64))
    f = cdf(x)
    n = x.size
    return float(np.sqrt(n) * max((np.arange(1, n + 1) / n - f).max(), (f - np.arange(n) / n).max()))


def erf(x: np.ndarray) -> np.ndarray:
    return lamina.tensor(x).erf().numpy()


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_distributions_pass_kolmogorov_smirnov(name):
    g, n = lamina.Generator().manual_seed(11), 200_000
    new = lambda: lamina.empty(n, dtype=dtype(name))  # noqa: E731
    assert ks_distance(new().uniform_(-2, 6, generator=g).numpy(), lambda x: (x + 2) / 8) < 1.95
    assert (
        ks_distance(new().normal_(1, 3, generator=g).numpy(), lambda x: 0.5 + 0.5 * erf((x - 1) / 3 / np.sqrt(2)))
        < 1.95
    )
    assert ks_distance(new().exponential_(2.5, generator=g).numpy(), lambda x: 1 - np.exp(-2.5 * x)) < 1.95
    phi = lambda x: 0.5 + 0.5 * erf(np.asarray(x, np.float64) / np.sqrt(2))  # noqa: E731
    cut = new().trunc_normal_(1, 2, -1, 4, generator=g).numpy()
    assert cut.min() >= -1 and cut.max() <= 4
    assert ks_distance(cut, lambda x: (phi((x - 1) / 2) - phi(-1.0)) / (phi(1.5) - phi(-1.0))) < 1.95


def test_moments_of_the_normal():
    x = lamina.randn(1_000_000, generator=lamina.Generator().manual_seed(3)).numpy().astype(np.float64)
    assert abs(x.mean()) < 4e-3 and abs(x.var() - 1) < 6e-3
    assert abs((x**3).mean()) < 1e-2 and abs((x**4).mean() - 3) < 4e-2
    pairs = x.reshape(-1, 2, 16)
    assert abs((pairs[:, 0] * pairs[:, 1]).mean()) < 6e-3  # cosine and sine of one angle
    assert np.abs(x).max() < 6.77


def test_far_tails_of_the_truncated_normal():
    g = lamina.Generator().manual_seed(1)
    x = lamina.empty(1000, dtype=lamina.float64).trunc_normal_(0, 1, 9, 10, generator=g).numpy()
    assert x.min() >= 9 and x.max() <= 10 and abs(x.mean() - 9.108) < 0.02
    with pytest.raises(ValueError, match="no number between 50"):
        lamina.empty(3).trunc_normal_(0, 1, 50, 51)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (1.0, 1.5), (-3.0, -1.0), (-1.0, 0.0), (2.0, 2.0), (0.0, 60000.0)])
def test_uniform_never_reaches_its_upper_bound(name, low, high):
    x = to_numpy(lamina.empty(20_000, dtype=dtype(name)).uniform_(low, high, generator=lamina.Generator()))
    assert x.min() >= low
    assert x.max() < high or low == high
    if high > low:
        assert abs(x.astype(np.float64).mean() - (low + high) / 2) < 0.02 * (high - low)


@pytest.mark.parametrize("name", FLOATS)
def test_exponential_is_positive(name):
    x = to_numpy(lamina.empty(100_000, dtype=dtype(name)).exponential_(generator=lamina.Generator()))
    assert x.min() > 0 and abs(x.astype(np.float64).mean() - 1) < 0.02


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_bernoulli(name, p):
    for chance in (p, lamina.tensor(p)):
        x = to_numpy(lamina.empty(50, 1000, dtype=dtype(name)).bernoulli_(chance, generator=lamina.Generator()))
        assert set(np.unique(x)) <= {0, 1}
        assert abs(x.astype(np.float64).mean() - p) <= (0.01 if 0 < p < 1 else 0)


def test_bernoulli_of_a_tensor_of_chances():
    p = lamina.tensor([[0.0], [0.1], [0.5], [1.0]]).expand(4, 20_000)
    x = lamina.bernoulli(p, generator=lamina.Generator())
    assert x.dtype == lamina.float32 and x.shape == (4, 20_000)
    np.testing.assert_allclose(x.numpy().mean(1), [0, 0.1, 0.5, 1], atol=0.01)


@pytest.mark.parametrize("low, high", [(0, 1), (0, 7), (-3, 4), (100, 228)])
def test_integers_are_equally_likely(low, high):
    n = 70_000
    for name in ("int64", "int32", "uint8", "float32", "float16"):
        if name == "uint8" and low < 0:
            continue
        x = to_numpy(lamina.randint(low, high, (n,), dtype=dtype(name), generator=lamina.Generator())).astype(np.int64)
        counts = np.bincount(x - low, minlength=high - low)
        assert counts.size == high - low
        expected = n / (high - low)
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert chi2 < (high - low) + 4 * np.sqrt(2 * (high - low))


def test_random_fills_the_whole_type():
    g = lamina.Generator()
    x = lamina.empty(10_000, dtype=lamina.uint8).random_(generator=g).numpy()
    assert x.min() == 0 and x.max() == 255
    assert set(lamina.empty(100, dtype=lamina.bool).random_(generator=g).tolist()) == {True, False}
    x = lamina.empty(10_000, dtype=lamina.int64).random_(-(2**63), None, generator=g).numpy()
    assert x.min() < -(2**62) and x.max() > 2**62 and abs((x > 0).mean() - 0.5) < 0.03
    x = lamina.empty(10_000, dtype=lamina.int32).random_(generator=g).numpy()
    assert x.min() >= 0 and x.max() > 2**30
    assert lamina.empty(1000).random_(generator=g).numpy().max() <= 2**24
    assert lamina.empty(1000).random_(3, generator=g).numpy().max() == 2


def test_randperm():
    for n in (0, 1, 2, 33, 1000):
        assert sorted(lamina.randperm(n).tolist()) == list(range(n))
    g = lamina.Generator()
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[np.arange(4), lamina.randperm(4, generator=g).numpy()] += 1
    assert ((counts - 1000) ** 2 / 1000).sum() < 9 + 4 * np.sqrt(18)
    assert lamina.randperm(5, dtype=lamina.int32).dtype == lamina.int32
    # The same order computed anew.
    order: list[int] = []
    for i, w in enumerate(long_words(100, 0)):
        j = int(w) * (i + 1) >> 64
        order.append(i)
        order[i] = order[j]
        order[j] = i
    assert lamina.randperm(100, generator=lamina.Generator()).tolist() == order


def test_multinomial_with_replacement():
    w = lamina.tensor([[0.0, 1.0, 2.0, 3.0], [5.0, 0.0, 0.0, 5.0]])
    x = lamina.multinomial(w, 50_000, replacement=True, generator=lamina.Generator())
    assert x.dtype == lamina.int64 and x.shape == (2, 50_000)
    shares = np.stack([np.bincount(row, minlength=4) for row in x.numpy()]) / 50_000
    np.testing.assert_allclose(shares, [[0, 1 / 6, 2 / 6, 3 / 6], [0.5, 0, 0, 0.5]], atol=0.01)
    assert (shares[[0, 1, 1], [0, 1, 2]] == 0).all()


def test_multinomial_without_replacement():
    g = lamina.Generator()
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    x = lamina.multinomial(lamina.tensor(weights).expand(30_000, 4), 2, generator=g).numpy()
    assert (x[:, 0] != x[:, 1]).all()
    counts = np.zeros((4, 4))
    np.add.at(counts, (x[:, 0], x[:, 1]), 1)
    p = weights / weights.sum()
    expected = 30_000 * p[:, None] * p[None, :] / (1 - p[:, None])
    np.fill_diagonal(expected, 0)
    off = ~np.eye(4, dtype=bool)
    assert ((counts - expected)[off] ** 2 / expected[off]).sum() < 11 + 4 * np.sqrt(22)
    everything = lamina.multinomial(lamina.rand(1000) + 0.1, 1000, generator=g).numpy()
    assert np.unique(everything).size == 1000
    assert lamina.multinomial(lamina.tensor([0.0, 1.0, 0.0]), 1, generator=g).tolist() == [1]


def test_normal_of_tensors():
    mean, std = lamina.tensor([0.0, 100.0]), lamina.tensor([[1.0], [0.0]])
    x = lamina.normal(mean, std)
    assert x.shape == (2, 2) and x.tolist()[1] == [0.0, 100.0]
    assert lamina.normal(mean.expand(1000, 2)).shape == (1000, 2)
    assert lamina.normal(5.0, lamina.zeros(3)).tolist() == [5.0] * 3
    x = lamina.normal(5.0, 2.0, (30_000,)).numpy()
    assert abs(x.mean() - 5) < 0.1 and abs(x.std() - 2) < 0.1


def test_makers_take_shape_type_and_grad():
    assert lamina.rand(2, 3).shape == lamina.rand((2, 3)).shape == lamina.randn([2, 3]).shape == (2, 3)
    assert lamina.rand(()).shape == () and lamina.rand(0, 4).shape == (0, 4)
    assert lamina.rand(2, dtype=lamina.float64, requires_grad=True).requires_grad
    like = lamina.zeros(3, 1, dtype=lamina.bfloat16)
    for x in (
        lamina.rand_like(like),
        lamina.randn_like(like),
        lamina.randint_like(like, 5),
        lamina.randint_like(like, 2, 5),
    ):
        assert x.shape == (3, 1) and x.dtype == lamina.bfloat16
    assert lamina.randn_like(like, dtype=lamina.float32).dtype == lamina.float32
    assert lamina.randint(3, (4, 5)).shape == lamina.randint(low=1, high=3, size=(4, 5)).shape == (4, 5)


# ---- replay ----


def test_a_replay_draws_fresh_numbers():
    lamina.manual_seed(5)
    with _C._Recording() as recording:
        x = lamina.rand(100)
        y = lamina.randn(100)
    drawn = [to_numpy(x).copy()]
    for _ in range(3):
        recording.replay()
        drawn.append(to_numpy(x).copy())
    assert len({d.tobytes() for d in drawn}) == 4
    lamina.manual_seed(5)
    for d in drawn:
        np.testing.assert_array_equal(lamina.rand(100).numpy(), d)
        last = lamina.randn(100).numpy()
    np.testing.assert_array_equal(to_numpy(y), last)


def test_replayed_dropout_and_its_backward_share_a_mask():
    x = lamina.ones(1000, requires_grad=True)
    with _C._Recording() as recording:
        y = lamina.dropout(x, 0.5)
        y.backward(lamina.ones(1000))
        grad = x.grad
    masks = set()
    for _ in range(3):
        recording.replay()
        np.testing.assert_array_equal(grad.numpy(), y.detach().numpy())
        masks.add(y.detach().numpy().tobytes())
    assert len(masks) == 3


# ---- dropout ----


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_and_scales(name, p):
    x = lamina.randn(100, 301).to(dtype(name))
    y = lamina.dropout(x, p, generator=lamina.Generator())
    kept = words(x.numel(), 0).reshape(x.shape) >= round(p * 2**32)
    scale = (np.float64 if name == "float64" else np.float32)(1 / (1 - p))
    want = lamina.tensor(np.where(kept, to_numpy(x) * scale, 0)).to(dtype(name))
    np.testing.assert_array_equal(to_numpy(y), to_numpy(want))
    assert abs(kept.mean() - (1 - p)) < 0.01


@pytest.mark.parametrize("shape", [(), (1,), (63,), (65,), (7, 9, 11)])
def test_gradient_of_dropout_is_its_mask(shape):
    x = lamina.randn(shape, dtype=lamina.float64, requires_grad=True)
    dy = lamina.randn(shape, dtype=lamina.float64)
    y = lamina.dropout(x, 0.4, generator=lamina.Generator())
    y.backward(dy)
    mask = to_numpy(lamina.dropout(lamina.ones(shape, dtype=lamina.float64), 0.4, generator=lamina.Generator()))
    np.testing.assert_array_equal(to_numpy(y), to_numpy(x) * mask)
    np.testing.assert_array_equal(x.grad.numpy(), dy.numpy() * mask)


def test_gradient_of_dropout_by_finite_differences():
    x0 = np.random.default_rng(0).normal(size=(5, 7))

    def f(a):
        return to_numpy(lamina.dropout(lamina.tensor(a), 0.3, generator=lamina.Generator()))

    x = lamina.tensor(x0, requires_grad=True)
    lamina.dropout(x, 0.3, generator=lamina.Generator()).backward(lamina.ones(5, 7, dtype=lamina.float64))
    for i in np.ndindex(x0.shape):
        step = np.zeros_like(x0)
        step[i] = 1e-4
        slope = (f(x0 + step) - f(x0 - step)).sum() / 2e-4
        assert abs(slope - x.grad.numpy()[i]) < 1e-8


def test_dropout_takes_views_and_non_contiguous_gradients():
    base = lamina.randn(20, 30, requires_grad=True)
    y = lamina.dropout(base[:, ::3].T, 0.5, generator=lamina.Generator())
    (y.T * 2).backward(lamina.ones(20, 10))
    mask = to_numpy(lamina.dropout(lamina.ones(10, 20), 0.5, generator=lamina.Generator()))
    np.testing.assert_array_equal(base.grad.numpy()[:, ::3], 2 * mask.T)
    np.testing.assert_array_equal(to_numpy(y), to_numpy(base)[:, ::3].T * mask)


def test_dropout_at_its_ends():
    x = lamina.tensor([1.0, float("inf"), float("nan")], requires_grad=True)
    assert lamina.dropout(x, 0.0) is x and lamina.dropout(x, 0.7, train=False) is x
    y = lamina.dropout(x, 1.0)
    assert y.tolist() == [0.0, 0.0, 0.0]
    y.backward(lamina.ones(3))
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert lamina.dropout(lamina.zeros(0, 3), 0.5).shape == (0, 3)


def test_dropout_in_place():
    w = lamina.ones(10, 64, requires_grad=True)
    for view in (lambda t: t, lambda t: t.T):
        w.grad = None
        x = w * 2
        y = lamina.dropout_(view(x), 0.5, generator=lamina.Generator())
        x.backward(lamina.ones(10, 64))
        mask = to_numpy(lamina.dropout(lamina.ones(y.shape), 0.5, generator=lamina.Generator()))
        np.testing.assert_array_equal(to_numpy(y), 2 * mask)
        np.testing.assert_array_equal(to_numpy(view(w.grad)), 2 * mask)
    with pytest.raises(RuntimeError, match="dropout_: a leaf that requires grad"):
        lamina.dropout_(w, 0.5)


def test_shared_dropout_drops_whole_channels():
    x = lamina.rand(8, 16, 5, 5, requires_grad=True)
    y = lamina.feature_dropout(x, 0.5)
    ratio = to_numpy(y) / to_numpy(x)
    assert ((ratio == ratio[:, :, :1, :1]) | (np.abs(ratio - 2) < 1e-6)).all()
    assert 0.3 < (ratio[:, :, 0, 0] == 0).mean() < 0.7
    y.backward(lamina.ones(8, 16, 5, 5))
    np.testing.assert_allclose(x.grad.numpy(), np.where(ratio == 0, 0, 2))


# ---- errors, and gradients of what was overwritten ----


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda: lamina.dropout(lamina.ones(3), 1.5), ValueError, "dropout: p must be between 0 and 1, got 1.5"),
        (lambda: lamina.dropout(lamina.ones(3), float("nan")), ValueError, "dropout: p must be between 0 and 1"),
        (
            lambda: lamina.dropout(lamina.ones(3, dtype=lamina.int64)),
            TypeError,
            "dropout: expected a floating-point tensor, got int64",
        ),
        (lambda: lamina.ones(3).bernoulli_(-0.1), ValueError, "bernoulli_: p must be between 0 and 1, got -0.1"),
        (
            lambda: lamina.bernoulli(lamina.tensor([0.5, 2.0])),
            ValueError,
            "p must be between 0 and 1, and some of it is not",
        ),
        (
            lambda: lamina.bernoulli(lamina.tensor([float("nan")])),
            ValueError,
            "p must be between 0 and 1, and some of it is not",
        ),
        (lambda: lamina.zeros(2).bernoulli_(lamina.zeros(3)), ValueError, "shapes"),
        (lambda: lamina.rand(-1), ValueError, "negative size"),
        (lambda: lamina.rand(2**40, 2**40), ValueError, "too many elements"),
        (
            lambda: lamina.rand(3, dtype=lamina.int64),
            TypeError,
            "uniform_: expected a floating-point tensor, got int64",
        ),
        (lambda: lamina.zeros(3).uniform_(2, 1), ValueError, "from must not exceed to, got 2 and 1"),
        (lambda: lamina.zeros(3).uniform_(0, float("inf")), ValueError, "the bounds must be finite"),
        (lambda: lamina.zeros(3, dtype=lamina.float16).uniform_(0, 1e6), ValueError, "too wide for float16"),
        (lambda: lamina.zeros(3).normal_(0, -1), ValueError, "normal_: std must not be negative, got -1"),
        (
            lambda: lamina.normal(lamina.zeros(2), lamina.tensor([1.0, -1.0])),
            ValueError,
            "normal: std must not be negative",
        ),
        (lambda: lamina.normal(0.0, 1.0), TypeError, "normal: give a size"),
        (lambda: lamina.zeros(3).exponential_(0), ValueError, "exponential_: lambd must be positive, got 0"),
        (lambda: lamina.zeros(3).trunc_normal_(0, 1, 2, 2), ValueError, "a must be less than b"),
        (lambda: lamina.randint(5, 5, (3,)), ValueError, "low must be less than high, got 5 and 5"),
        (lambda: lamina.randint(0, 300, (3,), dtype=lamina.uint8), ValueError, "uint8 holds 0 to 255"),
        (lambda: lamina.randint(5), TypeError, "randint: expected"),
        (lambda: lamina.randperm(-1), ValueError, "randperm: n must not be negative, got -1"),
        (lambda: lamina.randperm(300, dtype=lamina.uint8), ValueError, "uint8 cannot hold 300"),
        (
            lambda: lamina.multinomial(lamina.tensor([1.0, -1.0]), 1),
            ValueError,
            "weights must be finite and not negative",
        ),
        (lambda: lamina.multinomial(lamina.tensor([1.0, float("nan")]), 1), ValueError, "weights must be finite"),
        (lambda: lamina.multinomial(lamina.zeros(3), 1), ValueError, "all weights of a row are zero"),
        (
            lambda: lamina.multinomial(lamina.tensor([1.0, 0.0]), 2),
            ValueError,
            "fewer than 2 weights of a row are positive",
        ),
        (lambda: lamina.multinomial(lamina.ones(3), 4), ValueError, "cannot draw 4 of 3 without replacement"),
        (lambda: lamina.multinomial(lamina.ones(3), 0), ValueError, "num_samples must be positive"),
        (lambda: lamina.multinomial(lamina.ones(2, 2, 2), 1), ValueError, "1 or 2 dimensions"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_drawing_over_a_tensor_cuts_its_gradient():
    w = lamina.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="uniform_: a leaf that requires grad"):
        w.uniform_()
    with lamina.no_grad():
        w.uniform_()
    x = w * 2
    x[1:].normal_()
    x.backward(lamina.ones(3))
    assert w.grad.tolist() == [2.0, 0.0, 0.0]
    with pytest.raises(RuntimeError, match="expanded"):
        lamina.zeros(1).expand(3).uniform_()


# ---- the default seed ----


def test_the_default_generator_differs_from_run_to_run():
    run = [sys.executable, "-c", "import lamina; print(lamina.initial_seed())"]
    first, second = (
        subprocess.run(run, env=os.environ, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first != second
