"""Sorting, the first elements, order statistics, distinct elements, places in sorted rows."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import FLOATS, check_op, to_numpy

RNG = np.random.default_rng(8)
TYPES = (*FLOATS, "int64", "int32", "uint8", "bool")
# Rows that are inserted, merged, sorted by bytes, sorted on the heap, and sorted by all threads.
SHAPES = [
    ((1,), 0),
    ((7,), 0),
    ((3, 9), 1),
    ((9, 3), 0),
    ((2, 100, 3), 1),
    ((3, 300), -1),
    ((2, 2500), 1),
    ((150_000,), 0),
    ((2, 140_000), 1),
    ((0, 3), 0),
    ((3, 0), 0),
]


def sample(shape, dtype):
    """Numbers of any sign and size, with ties, zeros of both signs and, among floats, infinities and NaN."""
    if dtype == "bool":
        return lamina.tensor(RNG.integers(0, 2, shape)).bool()
    if dtype not in FLOATS:
        low, high = {"uint8": (0, 256), "int32": (-(2**31), 2**31), "int64": (-(2**63), 2**63 - 1)}[dtype]
        a = RNG.integers(low, high, shape)
        return lamina.tensor(np.where(RNG.random(shape) < 0.3, a % 3, a)).to(getattr(lamina, dtype))
    a = RNG.standard_normal(shape) * 10.0 ** RNG.integers(-4, 4, shape)
    odd = RNG.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], shape)
    return lamina.tensor(np.where(RNG.random(shape) < 0.3, odd, a)).to(getattr(lamina, dtype))


def order_of(a, axis, descending):
    """Stable, NaN the largest number."""
    if not descending:
        # NumPy too puts NaN last, but takes them for equal only if it is told so.
        nan = np.isnan(a) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
        return np.lexsort((np.where(nan, 0, a), nan), axis)
    n = a.shape[axis]
    flipped = np.flip(a, axis)
    return np.flip(n - 1 - order_of(flipped, axis, False), axis)


def same(got, want):
    np.testing.assert_array_equal(got, want)
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape, dim", SHAPES)
def test_sort(shape, dim, dtype, descending):
    x = sample(shape, dtype)
    a = to_numpy(x)
    want = order_of(a, dim, descending)
    values, indices = lamina.sort(x, dim, descending)
    assert values.dtype is x.dtype and indices.dtype is lamina.int64 and values.shape == x.shape
    np.testing.assert_array_equal(indices.numpy(), want)
    same(to_numpy(values), np.take_along_axis(a, want, dim))
    np.testing.assert_array_equal(x.argsort(dim, descending, stable=True).numpy(), want)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("shape, dim", [s for s in SHAPES if np.prod(s[0]) < 1000])
def test_gradient_of_sort(shape, dim, descending):
    x = (RNG.permutation(int(np.prod(shape))).reshape(shape) - 5.0) / 4
    sign = -1 if descending else 1
    check_op(lambda t: t.sort(dim, descending).values, lambda a: sign * np.sort(sign * a, dim), x)


@pytest.mark.parametrize("n", [9, 256, 257, 70_000, 300_000])
def test_orders_that_are_hard_for_other_sorts(n):
    rows = {
        "ascending": np.arange(n),
        "descending": np.arange(n)[::-1],
        "constant": np.full(n, 7),
        "two values": np.arange(n) % 2,
        "organ pipe": np.minimum(np.arange(n), n - np.arange(n)),
    }
    for name, a in rows.items():
        for x in (lamina.tensor(a.astype(np.float32)), lamina.tensor(a.copy())):
            np.testing.assert_array_equal(x.argsort().numpy(), np.argsort(a, kind="stable"), err_msg=name)
            k = min(n, 20)
            np.testing.assert_array_equal(x.topk(k).indices.numpy(), np.argsort(-a, kind="stable")[:k], err_msg=name)
            np.testing.assert_array_equal(x.topk(k, largest=False).indices.numpy(), np.argsort(a, kind="stable")[:k])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape, dim", SHAPES)
def test_topk(shape, dim, dtype, largest):
    x = sample(shape, dtype)
    a, n = to_numpy(x), shape[dim]
    order = order_of(a, dim, largest)
    for k in sorted({0, 1, 2, 5, n // 9, n // 8, n // 8 + 1, n // 2, n} & set(range(n + 1))):
        values, indices = x.topk(k, dim, largest)
        want = np.take(order, np.arange(k), dim)
        np.testing.assert_array_equal(indices.numpy(), want, err_msg=f"k {k}")
        same(to_numpy(values), np.take_along_axis(a, want, dim))


def test_gradient_of_topk():
    x = RNG.permutation(60).reshape(3, 20) / 7.0
    check_op(lambda t: t.topk(3).values, lambda a: -np.sort(-a, 1)[:, :3], x)
    check_op(lambda t: lamina.topk(t, 2, 0, largest=False).values, lambda a: np.sort(a, 0)[:2], x)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 300, 1001])
def test_kthvalue_and_median(n):
    a = RNG.permutation(3 * n).reshape(3, n) / 8.0
    for k in sorted({1, 2, n // 2, n} & set(range(1, n + 1))):
        if n <= 300:
            check_op(
                lambda t, k=k: t.kthvalue(k).values,
                lambda a, k=k: np.sort(a, 1)[:, k - 1],
                a,
                grad=n < 10,
                dtypes=("float32", "float64"),
            )
        got = lamina.tensor(a.T.copy()).kthvalue(k, 0, keepdim=True)
        np.testing.assert_array_equal(got.indices.numpy(), np.argsort(a.T, 0)[k - 1 : k])
    middle = (n - 1) // 2
    check_op(
        lambda t: t.median(1).values, lambda a: np.sort(a, 1)[:, middle], a, grad=n < 10, dtypes=("float32", "float64")
    )
    check_op(
        lambda t: t.median(),
        lambda a: np.sort(a, None)[(a.size - 1) // 2],
        a,
        grad=n < 10,
        dtypes=("float32", "float64"),
    )
    assert lamina.tensor(a).median(1, keepdim=True).indices.shape == (3, 1)
    assert lamina.tensor(np.arange(n)).median().item() == middle


def test_a_nan_is_the_median():
    nan = np.nan
    x = lamina.tensor([[1.0, nan, 0.0], [3.0, 1.0, 2.0]])
    values, indices = x.median(1)
    np.testing.assert_array_equal(values.numpy(), [nan, 2])
    assert indices.tolist() == [1, 2]
    np.testing.assert_array_equal(x.median(0).values.numpy(), [1, nan, 0])
    assert lamina.isnan(x.median()).item() and lamina.isnan(lamina.zeros(0).median()).item()


def test_a_number():
    x = lamina.tensor(3.0, requires_grad=True)
    for values, indices in (x.sort(), x.topk(1), x.kthvalue(1), x.median(0)):
        assert values.shape == () and values.item() == 3 and indices.item() == 0
    x.sort().values.backward()
    assert x.grad.item() == 1 and x.argsort().item() == 0


def test_views_are_sorted_as_their_copies():
    base = sample((6, 5, 8), "float32")
    for view in (
        base.permute(2, 0, 1),
        base[::2, :, 1::3],
        base[:, 2:3].expand(6, 4, 8),
        base.flip([0]),
        base[:, 0, 0],
    ):
        for dim in range(view.ndim):
            got, want = view.sort(dim), view.contiguous().sort(dim)
            np.testing.assert_array_equal(got.indices.numpy(), want.indices.numpy())
            np.testing.assert_array_equal(got.values.numpy(), want.values.numpy())


@pytest.mark.parametrize("shape", [(400_000,), (900, 40), (50, 3000)])
def test_same_for_any_number_of_threads(set_threads, shape):
    x = sample(shape, "float32")
    runs = []
    for threads in (1, 2, 5):
        set_threads(threads)
        runs.append([t.numpy().tobytes() for t in (*x.sort(), *x.topk(4), *x.median(0))])
    assert runs[0] == runs[1] == runs[2]


# ---- distinct elements ----


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (50,), (7, 30), (200_000,)])
def test_unique(shape, dtype):
    a = RNG.integers(0, 2 if dtype == "bool" else 20, shape)
    x = lamina.tensor(a).to(getattr(lamina, dtype))
    want, inverse, counts = np.unique(to_numpy(x), return_inverse=True, return_counts=True)
    got = x.unique(return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(to_numpy(got[0]), want)
    np.testing.assert_array_equal(got[1].numpy(), inverse.reshape(shape))
    np.testing.assert_array_equal(got[2].numpy(), counts)
    assert got[0].dtype is x.dtype and got[1].dtype is got[2].dtype is lamina.int64
    np.testing.assert_array_equal(to_numpy(lamina.unique(x)), want)
    assert len(lamina.unique(x, return_counts=True)) == 2


@pytest.mark.parametrize("shape, dim", [((40, 3), 0), ((3, 40), 1), ((4, 2, 30), -1), ((5,), 0)])
def test_unique_slices(shape, dim):
    a = RNG.integers(0, 3, shape)
    want, inverse, counts = np.unique(a, axis=dim, return_inverse=True, return_counts=True)
    got = lamina.unique(lamina.tensor(a), return_inverse=True, return_counts=True, dim=dim)
    np.testing.assert_array_equal(got[0].numpy(), want)
    np.testing.assert_array_equal(got[1].numpy(), inverse.reshape(-1))
    np.testing.assert_array_equal(got[2].numpy(), counts)


def test_unique_consecutive():
    x = lamina.tensor([1, 1, 2, 2, 3, 1, 1, 2])
    values, inverse, counts = x.unique_consecutive(return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 3, 1, 2] and counts.tolist() == [2, 2, 1, 2, 1]
    assert inverse.tolist() == [0, 0, 1, 1, 2, 3, 3, 4]
    assert lamina.zeros(0).unique_consecutive().shape == (0,)


# ---- places in sorted rows ----


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8"])
@pytest.mark.parametrize("n", [0, 1, 2, 37, 1000])
def test_searchsorted(n, dtype, side):
    edges = np.sort(RNG.integers(0, 50, n))
    values = RNG.integers(-2 if "u" not in dtype else 0, 53, (30, 100))
    rows, wanted = lamina.tensor(edges).to(getattr(lamina, dtype)), lamina.tensor(values).to(getattr(lamina, dtype))
    want = np.searchsorted(edges, values, side)
    np.testing.assert_array_equal(lamina.searchsorted(rows, wanted, right=side == "right").numpy(), want)
    got = lamina.bucketize(wanted, rows, right=side == "right", out_int32=True)
    assert got.dtype is lamina.int32
    np.testing.assert_array_equal(got.numpy(), want)


def test_searchsorted_row_by_row():
    edges, values = np.sort(RNG.standard_normal((4, 3, 20))), RNG.standard_normal((4, 3, 7))
    want = [np.searchsorted(e, v) for e, v in zip(edges.reshape(12, 20), values.reshape(12, 7), strict=True)]
    got = lamina.searchsorted(lamina.tensor(edges), lamina.tensor(values))
    np.testing.assert_array_equal(got.numpy(), np.reshape(want, (4, 3, 7)))
    assert lamina.searchsorted(lamina.tensor([1, 3, 5]), 3).item() == 1
    assert lamina.searchsorted(lamina.tensor([1, 3, 5]), 2.5).item() == 1
    assert lamina.bucketize(lamina.tensor([np.nan, np.inf]), lamina.tensor([0.0, 1.0])).tolist() == [2, 2]


# ---- errors, and PyTorch ----


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: x.sort(2), IndexError, "sort: dim 2 is out of range for a tensor with 2 dimensions"),
        (lambda x: x.argsort(-3), IndexError, "argsort: dim -3 is out of range"),
        (lambda x: x.topk(4), ValueError, r"topk: k must lie in 0 … 3, the size of dimension -1 of shape \(2, 3\), got 4"),
        (lambda x: x.topk(-1), ValueError, "topk: k must lie in 0 … 3"),
        (lambda x: x.kthvalue(0), ValueError, "kthvalue: k must lie in 1 … 3"),
        (lambda x: x[:0].median(0), IndexError, "median: there is none among no elements"),
        (lambda x: x.median(keepdim=True), TypeError, "median: keepdim needs a dim"),
        (lambda x: lamina.searchsorted(x[0, 0], 1), ValueError, "searchsorted: sorted_sequence must have a dimension"),
        (lambda x: lamina.searchsorted(x, x[0]), ValueError, "searchsorted: sorted_sequence must have one dimension, or"),
        (lambda x: lamina.bucketize(x, x), ValueError, "bucketize: boundaries must have one dimension"),
        (lambda x: x[:0].unique(dim=0), ValueError, "unique: slices along a dimension need elements"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(lamina.ones(2, 3))


@pytest.mark.parametrize("dtype", TYPES)
def test_pytorch_gives_the_same(dtype):
    torch = pytest.importorskip("torch")
    x = sample((5, 33), dtype)
    y = torch.from_numpy(to_numpy(x).copy()).to(getattr(torch, dtype))
    calls = [
        lambda m, t: m.sort(t, dim=0, stable=True)[0],
        lambda m, t: m.sort(t, dim=1, stable=True, descending=True)[1],
        lambda m, t: t.sort(descending=True).values,
        lambda m, t: t.argsort(dim=1, stable=True),
    ]
    if dtype != "bool":
        calls += [
            lambda m, t: t.topk(4).values,
            lambda m, t: t.topk(3, 0, False)[0],
            lambda m, t: t.kthvalue(3).values,
            lambda m, t: t.median(1).values,
            lambda m, t: t.median(0, True).values,
            lambda m, t: t.median(),
        ]
    for number, call in enumerate(calls):
        got, want = call(lamina, x), call(torch, y)
        want = want.float() if want.dtype in (torch.bfloat16, torch.float16) else want
        np.testing.assert_array_equal(to_numpy(got), want.numpy(), err_msg=f"call {number}")
