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


# ---- running logsumexp and extremes ----


@pytest.mark.parametrize("shape, dim", GEOMETRIES)
def test_logcumsumexp(shape, dim):
    x = RNG.uniform(-3, 3, shape)
    check_op(lambda t: t.logcumsumexp(dim), lambda a: np.logaddexp.accumulate(a, dim), x, length=shape[dim])


def test_logcumsumexp_neither_overflows_nor_loses_infinities():
    x = np.array([-np.inf, 1000.0, 1000.0, -1000.0, np.inf, 3.0, np.nan, 1.0])
    t = lamina.tensor(x, requires_grad=True)
    y = t.logcumsumexp(0)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(y.detach().numpy(), np.logaddexp.accumulate(x))
    y[:4].sum().backward()
    np.testing.assert_allclose(t.grad.numpy()[:6], [1, 2, 1, 0, 0, 0], atol=1e-12)
    with pytest.raises(NotImplementedError, match="logcumsumexp"):
        lamina.tensor([1, 2]).logcumsumexp(0)


def running_extreme(x, dim, best):
    x = np.moveaxis(x, dim, 0)
    values, indices = np.array(x), np.zeros(x.shape, np.int64)
    for i in range(1, len(x)):
        further = np.isnan(x[i]) | best(x[i], values[i - 1])
        values[i] = np.where(further, x[i], values[i - 1])
        indices[i] = np.where(further, i, indices[i - 1])
    return np.moveaxis(values, 0, dim), np.moveaxis(indices, 0, dim)


@pytest.mark.parametrize("name, best", [("cummax", np.greater_equal), ("cummin", np.less_equal)])
@pytest.mark.parametrize("shape, dim", [*GEOMETRIES, ((3, 700, 2), 1), ((600, 300), 0)])
def test_running_extremes(name, best, shape, dim):
    f = getattr(lamina, name)
    distinct = RNG.permutation(np.arange(np.prod(shape))).reshape(shape) / 64
    check_op(lambda t: f(t, dim).values, lambda a: running_extreme(a, dim, best)[0], distinct, grad=distinct.size < 100)
    ties = RNG.integers(0, 4, shape).astype(np.float64)
    ties[RNG.random(shape) < 0.01] = np.nan
    values, indices = f(lamina.tensor(ties), dim)
    want = running_extreme(ties, dim, best)
    np.testing.assert_array_equal(values.numpy(), want[0])
    np.testing.assert_array_equal(indices.numpy(), want[1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "int32", "uint8", "bool"])
def test_running_extremes_of_other_types(dtype):
    a = RNG.integers(0, 2 if dtype == "bool" else 100, (5, 40))
    x = lamina.tensor(a).to(getattr(lamina, dtype))
    for dim in (0, 1):
        assert x.cummax(dim).values.dtype is x.dtype
        np.testing.assert_array_equal(to_numpy(x.cummax(dim).values), np.maximum.accumulate(a, dim))
        np.testing.assert_array_equal(to_numpy(x.cummin(dim).values), np.minimum.accumulate(a, dim))


def test_running_extreme_of_a_number():
    x = lamina.tensor(2.5, requires_grad=True)
    y = x.cummax(0)
    (y.values + x.cummin(-1).values + x.logcumsumexp(0)).backward()
    assert y.indices.tolist() == 0 and x.grad.item() == 3


@pytest.mark.parametrize("name", ["cummax", "cummin", "logcumsumexp"])
def test_running_folds_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    for dim in (0, 1, -1):
        a = RNG.integers(-2, 3, (4, 50, 3)).astype(np.float64)
        weight = RNG.normal(size=a.shape)
        ours, theirs = lamina.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
        y, z = getattr(lamina, name)(ours, dim), getattr(torch, name)(theirs, dim)
        if name != "logcumsumexp":
            np.testing.assert_array_equal(y.indices.numpy(), z.indices.numpy())
            y, z = y.values, z.values
        (y * lamina.tensor(weight)).sum().backward()
        (z * torch.tensor(weight)).sum().backward()
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-13)
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-12)
