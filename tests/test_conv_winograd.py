"""Winograd's algorithm, forced, against float64: all passes, sizes that fit no tile, what a bad number reaches."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import lamina
from checks import to_numpy
from lamina import backends
from lamina.nn import functional as F

RNG = np.random.default_rng(0)
ALGORITHMS = ["winograd2", "winograd4", "winograd_strided"]
TILE = {"winograd2": 2, "winograd4": 4, "winograd_strided": 2}  # outputs of a tile along an axis
STRIDE = {"winograd2": 1, "winograd4": 1, "winograd_strided": 2}

# Of the largest number of a result, whose sums have terms of about equal size. Against direct summation's 1e-6 (sums of
# thousands of terms), the transforms cost F(2×2) and stride 2 nothing and F(4×4) a factor of 2 to 3.
TOLERANCE = {"winograd2": 2e-6, "winograd4": 5e-6, "winograd_strided": 2e-6}

padding_of_side = st.integers(0, 2)
shapes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "groups": st.integers(1, 3),
        "inputs": st.integers(1, 21),
        "outputs": st.integers(1, 35),
        "height": st.integers(1, 13),
        "width": st.integers(1, 21),
        "padding": st.tuples(padding_of_side, padding_of_side, padding_of_side, padding_of_side),
    }
).filter(lambda s: s["height"] + sum(s["padding"][:2]) >= 3 and s["width"] + sum(s["padding"][2:]) >= 3)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def by_group(a, groups, axis):
    """[…, channels, …] as [groups, …, channels / groups, …], in float64."""
    return np.stack(np.split(a.astype(np.float64), groups, axis))


def reference(x, w, dy, padding, groups, stride=1):
    """Output and gradients of x and w, in float64."""
    top, bottom, left, right = padding
    x = np.pad(by_group(x, groups, 1), ((0, 0),) * 3 + ((top, bottom), (left, right)))
    w, dy = by_group(w, groups, 0), by_group(dy, groups, 1)
    windows = sliding_window_view(x, (3, 3), (3, 4))[:, :, :, ::stride, ::stride]
    y = np.einsum("gnchwij,gocij->gnohw", windows, w, optimize=True)
    dw = np.einsum("gnchwij,gnohw->gocij", windows, dy, optimize=True)
    dx = np.zeros_like(x)
    height, width = dy.shape[3:]
    for i, j in product(range(3), range(3)):
        seen = dx[..., i : i + height * stride : stride, j : j + width * stride : stride]
        seen += np.einsum("gnohw,goc->gnchw", dy, w[..., i, j], optimize=True)
    dx = dx[..., top : dx.shape[3] - bottom, left : dx.shape[4] - right]
    return np.concatenate(y, 1), np.concatenate(dx, 1), np.concatenate(dw, 0)


def passes(x, w, dy, padding, groups=1, **options):
    """Output and gradients of x and w, by lamina."""
    top, bottom, left, right = padding
    x, w = lamina.tensor(x, requires_grad=True), lamina.tensor(w, requires_grad=True)
    y = F.conv2d(x, w, padding=((top, bottom), (left, right)), groups=groups, **options)
    y.backward(lamina.tensor(dy))
    return [to_numpy(t) for t in (y, x.grad, w.grad)]


def operands(batch, groups, inputs, outputs, height, width, padding, stride=1):
    out = [(size - 3) // stride + 1 for size in (height + sum(padding[:2]), width + sum(padding[2:]))]
    return (
        array(batch, groups * inputs, height, width),
        array(groups * outputs, inputs, 3, 3),
        array(batch, groups * outputs, *out),
    )


def check_passes(algorithm, padding, groups, x, w, dy):
    stride = STRIDE[algorithm]
    with backends.conv.use(algorithm):
        ours = passes(x, w, dy, padding, groups, stride=stride)
    true_ones = reference(x, w, dy, padding, groups, stride)
    for name, mine, true in zip(("y", "dx", "dw"), ours, true_ones, strict=True):
        np.testing.assert_allclose(mine, true, rtol=0, atol=TOLERANCE[algorithm] * np.abs(true).max(), err_msg=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_is_what_runs(algorithm):
    with backends.conv.use(algorithm):
        for stride in (1, 2, 3):
            found = backends.conv.algorithms((1, 3, 8, 8), (4, 3, 3, 3), stride=stride, padding=1)
            assert [c.chosen == algorithm for c in found.values()] == [stride == STRIDE[algorithm]] * 3


def chosen(*args, **options):
    return [choice.chosen for choice in backends.conv.algorithms(*args, padding=1, **options).values()]


def test_it_is_chosen_where_it_pays():
    assert chosen((32, 64, 32, 32), (64, 64, 3, 3)) == ["winograd4"] * 3
    assert chosen((32, 64, 2, 2), (64, 64, 3, 3)) == ["winograd2"] * 3  # three quarters of larger tiles would be idle
    forward, data, weight = chosen((32, 3, 32, 32), (64, 3, 3, 3))
    assert "winograd4" not in (forward, weight)
    assert data == "winograd4"
    with backends.conv.forbid_winograd():
        assert not set(chosen((32, 64, 32, 32), (64, 64, 3, 3))) & set(ALGORITHMS)
    assert not set(chosen((32, 64, 32, 32), (64, 64, 3, 3), dtype=lamina.float64)) & set(ALGORITHMS)


def test_it_is_chosen_where_it_pays_for_stride_2():
    layer = (32, 64, 32, 32), (128, 64, 3, 3)
    assert chosen(*layer, stride=2) == ["winograd_strided"] * 3
    forward, data, weight = chosen((32, 8, 32, 32), (16, 8, 3, 3), stride=2)
    assert data == "winograd_strided"
    assert "winograd_strided" not in (forward, weight)
    with backends.conv.forbid_winograd():
        assert not set(chosen(*layer, stride=2)) & set(ALGORITHMS)
    unpadded = backends.conv.algorithms(*layer, stride=2)
    assert ["winograd_strided" in choice.possible for choice in unpadded.values()] == [True, False, True]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(shape=shapes)
@settings(deadline=None, max_examples=60)
def test_random_shapes(algorithm, shape):
    check_passes(algorithm, shape["padding"], shape["groups"], *operands(**shape, stride=STRIDE[algorithm]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "height", "width"),
    [
        (1, 1, 1, 1, 1),  # smaller than a tile
        (1, 40, 50, 3, 150),  # a row of more tiles than are transformed at once
        (5, 33, 17, 30, 31),  # several blocks of tiles
        (1, 70, 130, 9, 7),  # fewer tiles than channels
    ],
)
def test_sizes(algorithm, batch, inputs, outputs, height, width):
    given = operands(batch, 1, inputs, outputs, height, width, (1, 1, 1, 1), STRIDE[algorithm])
    check_passes(algorithm, (1, 1, 1, 1), 1, *given)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("activation", [None, "relu", "tanh", "gelu"])
def test_epilogue(algorithm, activation):
    stride = STRIDE[algorithm]
    x, w, residual = operands(2, 1, 5, 11, 7, 9, (1, 1, 1, 1), stride)
    b = array(11)
    with backends.conv.use(algorithm):
        fused = F.conv2d(x, w, b, stride, 1, activation=activation, residual=residual)
    z = reference(x, w, residual, (1, 1, 1, 1), 1, stride)[0] + b[:, None, None] + residual
    composed = to_numpy(getattr(lamina, activation)(lamina.tensor(z))) if activation else z
    # No activation here is steeper than 1.13.
    np.testing.assert_allclose(to_numpy(fused), composed, rtol=1e-6, atol=1.2 * TOLERANCE[algorithm] * np.abs(z).max())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_transposed(algorithm, padding):
    """A transposed convolution is the data gradient of one, here with a bias."""
    stride = STRIDE[algorithm]
    dy, w, b = array(2, 12, 9, 7), array(12, 10, 3, 3), array(20)
    height, width = (stride * (size - 1) + 3 - 2 * padding for size in (9, 7))
    with backends.conv.use(algorithm):
        y = to_numpy(F.conv_transpose2d(dy, w, b, stride, padding, groups=2))
    _, dx, _ = reference(array(2, 20, height, width), w, dy, (padding,) * 4, 2, stride)
    true = dx + b[:, None, None]
    np.testing.assert_allclose(y, true, rtol=0, atol=TOLERANCE[algorithm] * np.abs(true).max())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradient_through_an_activation_that_needs_its_input(algorithm):
    stride = STRIDE[algorithm]
    x, w, dy = operands(2, 1, 6, 9, 10, 7, (1, 1, 1, 1), stride)
    with backends.conv.use(algorithm):
        fused = passes(x, w, dy, (1, 1, 1, 1), stride=stride, activation="gelu")
    z = lamina.tensor(reference(x, w, dy, (1, 1, 1, 1), 1, stride)[0], requires_grad=True)
    lamina.gelu(z).backward(lamina.tensor(dy.astype(np.float64)))
    _, dx, dw = reference(x, w, to_numpy(z.grad), (1, 1, 1, 1), 1, stride)
    np.testing.assert_allclose(fused[1], dx, rtol=0, atol=1e-5 * np.abs(dx).max())
    np.testing.assert_allclose(fused[2], dw, rtol=0, atol=1e-5 * np.abs(dw).max())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("shape", [(1, 1, 40, 24, 9, 8), (3, 2, 20, 40, 30, 31)])
def test_any_number_of_threads_gives_the_same_bits(algorithm, shape, set_threads):
    stride = STRIDE[algorithm]
    x, w, dy = operands(*shape, (1, 1, 1, 1), stride)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        with backends.conv.use(algorithm):
            results.append(passes(x, w, dy, (1, 1, 1, 1), shape[1], stride=stride))
    for other in results[1:]:
        for one, more in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, more)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [(0, 0), (6, 9), (12, 16)])
def test_a_bad_number_reaches_the_tiles_that_read_it_and_no_other(algorithm, bad, at):
    m, stride = TILE[algorithm], STRIDE[algorithm]
    x, w, dy = operands(2, 1, 9, 20, 13, 17, (1, 1, 1, 1), stride)
    x[1, 4, at[0], at[1]] = bad
    with backends.conv.use(algorithm):
        y, _, _ = passes(x, w, dy, (1, 1, 1, 1), stride=stride)
    height, width = y.shape[2:]
    reached = np.zeros((height, width), bool)
    for row, col in product(range(0, height, m), range(0, width, m)):
        # A tile's outputs read its inputs from one before its corner to one after the last one's place.
        if all(-1 <= a - stride * b <= stride * (m - 1) + 1 for a, b in zip(at, (row, col), strict=True)):
            reached[row : row + m, col : col + m] = True
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[1][:, ~reached]).all()
    near = (
        np.abs(stride * np.arange(height) - at[0])[:, None] <= 1,
        np.abs(stride * np.arange(width) - at[1]) <= 1,
    )
    assert not np.isfinite(y[1][:, near[0] & near[1]]).any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_captured(algorithm):
    stride = STRIDE[algorithm]
    x, w, dy = operands(2, 1, 9, 20, 11, 13, (1, 1, 1, 1), stride)
    weight = lamina.tensor(w, requires_grad=True)

    def step(x, dy):
        weight.grad = None
        y = F.conv2d(x, weight, None, stride, 1, activation="relu")
        y.backward(dy)
        return y, weight.grad

    with backends.conv.use(algorithm):
        captured = lamina.capture(step)
        for scale in (1, 2, 3):
            given_x, given_dy = lamina.tensor(x * scale), lamina.tensor(dy * scale)
            ours = [to_numpy(t).copy() for t in captured(given_x, given_dy)]
            eager = [to_numpy(t) for t in step(given_x, given_dy)]
            for mine, true in zip(ours, eager, strict=True):
                np.testing.assert_array_equal(mine, true)


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("batch", [1, 30])  # by panels of channels, and by blocks of tiles
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_weights_that_stay_are_transformed_once(algorithm, batch, captured):
    """With the bits that they have when every call transforms them, and never stale ones."""
    stride, outputs = STRIDE[algorithm], 70
    x, w = lamina.tensor(array(batch, 35, 9, 11)), lamina.tensor(array(outputs, 35, 3, 3))
    run = (
        lamina.capture(lambda x: F.conv2d(x, w, None, stride, 1))
        if captured
        else lambda x: F.conv2d(x, w, None, stride, 1)
    )
    with backends.conv.use(algorithm), lamina.no_grad():
        before = lamina.memory_stats()["allocated"]
        for change in (1, 2):
            w.mul_(change)
            fresh = to_numpy(F.conv2d(x, w.clone(), None, stride, 1)).copy()
            for _ in range(4):
                np.testing.assert_array_equal(to_numpy(run(x)), fresh)
        points = {"winograd2": 16, "winograd4": 36, "winograd_strided": 25}[algorithm]
        assert lamina.memory_stats()["allocated"] >= before + 4 * points * outputs * 35
