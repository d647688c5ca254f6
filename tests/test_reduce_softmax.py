"""softmax, log_softmax and logsumexp: values, gradients, extremes, every place of the dimension."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import FLOATS, assert_close, check_op, to_numpy

RNG = np.random.default_rng(7)


def parts(a, axis):
    """The elements less the largest of their row, and the sum of their exponentials."""
    top = a.max(axis=axis, keepdims=True, initial=-np.inf)
    shifted = a - np.where(np.isinf(top), 0.0, top)
    return shifted, np.exp(shifted).sum(axis=axis, keepdims=True, initial=1e-320)  # of no elements: not 0


def softmax(a, axis):
    shifted, total = parts(a, axis)
    return np.exp(shifted) / total


def log_softmax(a, axis):
    shifted, total = parts(a, axis)
    return shifted - np.log(total)


def logsumexp(a, axis, keepdims=False):
    out = np.log(parts(a, axis)[1]) + a.max(axis=axis, keepdims=True)
    return out if keepdims else np.squeeze(out, axis)


# Rows and columns below, at and above what a vector, a block and a strip take.
GEOMETRIES = [
    ((1,), 0),
    ((5,), 0),
    ((3, 8), 1),
    ((4, 10), -1),
    ((2, 131), 1),
    ((10, 4), 0),
    ((33, 3), 0),
    ((2, 9, 5), 1),
    ((2, 3, 4, 5), 1),
    ((3, 1), 1),
    ((0, 3), 0),
    ((0, 3), 1),
]


@pytest.mark.parametrize("shape, dim", GEOMETRIES)
def test_softmax(shape, dim):
    x = RNG.uniform(-3, 3, shape)
    check_op(lambda t: lamina.softmax(t, dim), lambda a: softmax(a, dim), x, length=max(1, shape[dim]))


@pytest.mark.parametrize("shape, dim", GEOMETRIES)
def test_log_softmax(shape, dim):
    x = RNG.uniform(-3, 3, shape)
    check_op(lambda t: t.log_softmax(dim), lambda a: log_softmax(a, dim), x, length=4 * max(1, shape[dim]))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(
    "shape, dim", [g for g in GEOMETRIES if 0 not in g[0]] + [((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 1))]
)
def test_logsumexp(shape, dim, keepdim):
    x = RNG.uniform(-3, 3, shape)
    check_op(lambda t: t.logsumexp(dim, keepdim), lambda a: logsumexp(a, dim, keepdim), x, length=4)


# Short rows are turned into the columns of a tile: lengths around a vector's width and the longest short row.
@pytest.mark.parametrize("dtype, rtol", [("float32", 4e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("rows", [2, 8, 63, 65, 130])
def test_short_rows(rows, dtype, rtol):
    for length in (1, 2, 3, 7, 8, 9, 16, 17, 63, 64, 65):
        a = RNG.normal(0, 4, (rows, length)).astype(dtype)
        a[0, 0], a[-1, -1] = -np.inf, np.nan
        dy = RNG.normal(0, 1, a.shape).astype(dtype)
        finite = np.s_[1:-1] if length == 1 else np.s_[:-1]  # of a row of -inf alone there is no softmax
        wide = a[finite].astype(np.float64)
        p = softmax(wide, 1)
        gradients = {"softmax": p * (dy[finite] - (dy[finite] * p).sum(1, keepdims=True))}
        gradients["log_softmax"] = dy[finite] - p * dy[finite].sum(1, keepdims=True)
        for name, want in (("softmax", p), ("log_softmax", log_softmax(wide, 1))):
            x = lamina.from_numpy(a).requires_grad_()
            y = getattr(lamina, name)(x, 1)
            y.backward(lamina.from_numpy(dy))
            value, gradient = to_numpy(y), to_numpy(x.grad)
            np.testing.assert_allclose(value[finite], want, rtol=rtol, atol=rtol / 4 if "log" in name else 0)
            np.testing.assert_allclose(gradient[finite], gradients[name], atol=4 * rtol)
            assert np.isnan(value[-1]).all() and np.isnan(gradient[-1]).all()


@pytest.mark.parametrize(
    "shape, dim",
    [((700, 10), 1), ((40, 1000), 1), ((2, 200_001), 1), ((1500, 37), 0), ((200_001, 2), 0), ((3, 600, 40), 1)],
)
def test_large_ones_with_any_number_of_threads(set_threads, shape, dim):
    a, dy = RNG.normal(0, 4, shape).astype(np.float32), RNG.normal(0, 1, shape).astype(np.float32)
    wide = a.astype(np.float64)
    want = {"softmax": softmax(wide, dim), "log_softmax": log_softmax(wide, dim)}
    p = want["softmax"]
    gradient = {
        "softmax": p * (dy - (dy * p).sum(dim, keepdims=True)),
        "log_softmax": dy - p * dy.sum(dim, keepdims=True, dtype=np.float64),
    }
    for name in want:
        runs = []
        for threads in (1, 2, 5):
            set_threads(threads)
            x = lamina.from_numpy(a).requires_grad_()
            y = getattr(lamina, name)(x, dim)
            y.backward(lamina.from_numpy(dy))
            runs.append((y.detach().numpy().tobytes(), x.grad.numpy().tobytes()))
        assert runs[0] == runs[1] == runs[2]
        np.testing.assert_allclose(y.detach().numpy(), want[name], rtol=4e-6, atol=1e-6 if "log" in name else 0)
        np.testing.assert_allclose(x.grad.numpy(), gradient[name], rtol=1e-4, atol=2e-6 * np.abs(gradient[name]).max())
    np.testing.assert_allclose(lamina.from_numpy(a).logsumexp(dim).numpy(), logsumexp(wide, dim), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape, dim", [((6, 11), 1), ((11, 6), 0), ((2, 70_000), 1), ((700, 3), 0)])
@pytest.mark.parametrize("scale", [1e4, -1e4, 80])
def test_huge_differences(shape, dim, scale):
    a = (RNG.integers(-1, 2, shape) * scale).astype(np.float64)
    for dtype in ("float32", "float64"):
        x = lamina.tensor(a).to(getattr(lamina, dtype))
        assert_close(x.softmax(dim), softmax(a, dim), dtype, 4)
        assert_close(x.log_softmax(dim), log_softmax(a, dim), dtype, 64)
        assert_close(x.logsumexp(dim), logsumexp(a, dim), dtype, 4)
        leaf = x.clone().requires_grad_()
        leaf.softmax(dim).square().sum().backward()
        assert lamina.isfinite(leaf.grad).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("long", [0, 70_000])
def test_infinity_and_nan(dtype, long):
    inf, nan = np.inf, np.nan
    a = np.array([[0, -inf, 0], [-inf, -inf, -inf], [inf, 0, 1], [nan, 0, 1]])
    a = np.concatenate([a, np.full((4, long), -inf)], 1)
    x = lamina.tensor(a).to(getattr(lamina, dtype))
    for t, dim in ((x, 1), (x.T.contiguous(), 0)):
        p = to_numpy(t.softmax(dim).movedim(dim, 1))[:, :3]
        np.testing.assert_array_equal(p, [[0.5, 0, 0.5], [nan] * 3, [nan] * 3, [nan] * 3])
        q = to_numpy(t.log_softmax(dim).movedim(dim, 1))[:, :3]
        assert_close(q[:1], np.log([[0.5, 1, 0.5]]) + [[0, -inf, 0]], dtype)
        assert np.isnan(q[1:]).all()
        got = to_numpy(t.logsumexp(dim))
        assert_close(got[:1], np.log([2.0]), dtype)
        np.testing.assert_array_equal(got[1:], [-inf, inf, nan])


def test_masked_scores_get_no_gradient():
    x = lamina.tensor([[1.0, -np.inf, 2.0]], dtype=lamina.float64, requires_grad=True)
    y = x.softmax(1)
    y.backward(lamina.tensor([[1.0, 5.0, 0.0]], dtype=lamina.float64))
    assert x.grad[0, 1].item() == 0 and lamina.isfinite(x.grad).all()


def test_rows_sum_to_one_over_views():
    base = lamina.tensor(RNG.normal(0, 3, (5, 6, 7))).float()
    for view in (base.permute(2, 0, 1), base[::2, :, 1::3], base[:, :1].expand(5, 4, 7), base.flip([2])):
        for dim in range(-3, 3):
            p = view.softmax(dim)
            assert_close(p, softmax(to_numpy(view).astype(np.float64), dim), "float32", 8)
            assert_close(p.sum(dim), np.ones(p.sum(dim).shape), "float32", 8)


def test_types():
    integers = lamina.tensor([1, 2, 3])
    with pytest.raises(TypeError, match="softmax: expected a floating type, got int64; pass dtype="):
        integers.softmax(0)
    assert integers.softmax(0, dtype=lamina.float64).dtype is lamina.float64
    assert_close(integers.logsumexp(0), logsumexp(np.array([1.0, 2, 3]), 0), "float32")
    leaf = lamina.ones(3, requires_grad=True)
    leaf.log_softmax(0, dtype=lamina.float64)[0].backward()
    assert leaf.grad.dtype is lamina.float32
    number = lamina.tensor(7.0, requires_grad=True)
    assert number.softmax(0).item() == 1 and number.log_softmax(-1).item() == 0 and number.logsumexp(0).item() == 7


def test_errors():
    x = lamina.ones(2, 3)
    with pytest.raises(IndexError, match="softmax: dim 2 is out of range for a tensor with 2 dimensions"):
        x.softmax(2)
    with pytest.raises(TypeError, match="log_softmax: missing argument 'dim'"):
        x.log_softmax()
    with pytest.raises(TypeError, match="logsumexp: missing argument 'dim'"):
        x.logsumexp()
    assert lamina.isinf(lamina.zeros(3, 0).logsumexp(1)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_pytorch_gives_the_same(dtype):
    torch = pytest.importorskip("torch")
    a = RNG.normal(0, 5, (7, 33))
    x, y = lamina.tensor(a).to(getattr(lamina, dtype)), torch.tensor(a).to(getattr(torch, dtype))
    for call in (
        lambda t: t.softmax(1),
        lambda t: t.log_softmax(0),
        lambda t: t.logsumexp((0, 1)),
        lambda t: t.softmax(-2),
    ):
        got, want = call(x), call(y)
        assert got.shape == tuple(want.shape)
        assert_close(got, want.double().numpy(), dtype, 33)
