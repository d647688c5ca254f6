"""Running sums and products."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import FLOATS, assert_close, check_op, to_numpy

RNG = np.random.default_rng(6)
GEOMETRIES = [((1,), 0), ((7,), 0), ((13,), -1), ((4, 9), 1), ((9, 4), 0), ((2, 5, 3), 1), ((3, 0), 0), ((3, 0), 1)]


@pytest.mark.parametrize("shape, dim", GEOMETRIES)
def test_cumsum(shape, dim):
    x = RNG.uniform(-1, 2, shape)
    check_op(lambda t: lamina.cumsum(t, dim), lambda a: np.cumsum(a, dim), x, length=shape[dim])
    check_op(lambda t: t.cumsum(dim=dim), lambda a: np.cumsum(a, dim), x, grad=False, length=shape[dim])


@pytest.mark.parametrize("shape, dim", GEOMETRIES)
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_cumprod(shape, dim, zeros):
    x = RNG.uniform(0.6, 1.4, shape)
    for place in range(min(zeros, x.size)):
        x.flat[(place * 3 + 1) % x.size] = 0
    check_op(lambda t: lamina.cumprod(t, dim), lambda a: np.cumprod(a, dim), x, length=shape[dim])


def test_a_number():
    x = lamina.tensor(2.5, requires_grad=True)
    y = x.cumsum(0) + x.cumprod(-1)
    y.backward()
    assert y.shape == () and y.item() == 5 and x.grad.item() == 2


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers_are_added_up_in_int64(dtype):
    a = RNG.integers(0, 2 if dtype == "bool" else 200, (6, 50))
    x = lamina.tensor(a).to(getattr(lamina, dtype))
    for dim in (0, 1):
        assert x.cumsum(dim).dtype is lamina.int64
        np.testing.assert_array_equal(x.cumsum(dim).numpy(), a.cumsum(dim))
        np.testing.assert_array_equal(x.cumprod(dim).numpy(), a.cumprod(dim))
        assert x.cumsum(dim, dtype=lamina.int32).dtype is lamina.int32
        assert x.cumsum(dim, dtype=lamina.float32).dtype is lamina.float32


@pytest.mark.parametrize(
    "shape, dim", [((250_001,), 0), ((3, 70_000), 1), ((70_000, 3), 0), ((900, 300), 0), ((900, 300), 1)]
)
def test_long_ones_and_threads(set_threads, shape, dim):
    a = RNG.uniform(-1, 1, shape).astype(np.float32)
    x, weight = lamina.from_numpy(a).requires_grad_(), lamina.from_numpy(RNG.uniform(-1, 1, shape).astype(np.float32))
    runs = []
    for threads in (1, 2, 5):
        set_threads(threads)
        x.grad = None
        y = x.cumsum(dim)
        y.backward(weight)
        runs.append([t.detach().numpy().tobytes() for t in (y, x.grad, (1 + x * 1e-3).cumprod(dim))])
    assert runs[0] == runs[1] == runs[2]
    wide = a.astype(np.float64)
    scale = np.abs(wide.cumsum(dim)).max()
    np.testing.assert_allclose(y.detach().numpy(), wide.cumsum(dim), rtol=1e-6, atol=1e-7 * scale)
    flipped = np.flip(np.cumsum(np.flip(weight.numpy().astype(np.float64), dim), dim), dim)
    np.testing.assert_allclose(x.grad.numpy(), flipped, rtol=1e-6, atol=1e-7 * np.abs(flipped).max())
    integers = lamina.tensor(RNG.integers(-9, 9, shape))
    np.testing.assert_array_equal(integers.cumsum(dim).numpy(), integers.numpy().cumsum(dim))


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinity_and_nan_stay(dtype):
    x = lamina.tensor([1.0, np.inf, 2.0, -np.inf, 3.0], dtype=getattr(lamina, dtype))
    np.testing.assert_array_equal(to_numpy(x.cumsum(0)), [1, np.inf, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(to_numpy(x.cumprod(0)), [1, np.inf, np.inf, -np.inf, -np.inf])


def test_views():
    base = lamina.tensor(RNG.uniform(-1, 1, (4, 5, 6)))
    for view in (base.permute(2, 0, 1), base[::2, :, 1::2], base[:, :1].expand(4, 3, 6), base.flip([1])):
        for dim in range(view.ndim):
            assert_close(view.cumsum(dim), np.cumsum(to_numpy(view), dim), "float64", 6)


def test_errors():
    x = lamina.ones(2, 3)
    with pytest.raises(IndexError, match="cumsum: dim 2 is out of range for a tensor with 2 dimensions"):
        x.cumsum(2)
    with pytest.raises(TypeError, match="cumprod: missing argument 'dim'"):
        x.cumprod()
    with pytest.raises(TypeError, match="cumsum: dim must be an integer"):
        x.cumsum(0.5)


# Short rows are turned into the columns of a tile: lengths around a vector's width and the longest short row.
@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("rows", [2, 8, 63, 65, 130])
def test_short_rows(rows, dtype, rtol):
    for length in (1, 2, 3, 7, 8, 9, 16, 17, 63, 64, 65):
        a = RNG.uniform(0.5, 1.5, (rows, length)).astype(dtype)
        dy = RNG.uniform(0.5, 1.5, a.shape).astype(dtype)
        x = lamina.from_numpy(a).requires_grad_()
        y = x.cumsum(1)
        y.backward(lamina.from_numpy(dy))
        np.testing.assert_allclose(y.detach().numpy(), a.astype(np.float64).cumsum(1), rtol=rtol)
        np.testing.assert_allclose(x.grad.numpy(), dy[:, ::-1].astype(np.float64).cumsum(1)[:, ::-1], rtol=rtol)
        np.testing.assert_allclose(lamina.from_numpy(a).cumprod(1).numpy(), a.astype(float).cumprod(1), rtol=rtol)
