"""Operations put together from others: against NumPy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import check_op, to_numpy

RNG = np.random.default_rng(9)
A, B = RNG.uniform(-2, 2, (3, 4)), RNG.uniform(-2, 2, (3, 4))
WIDE = RNG.uniform(-2, 2, (2, 3, 4))
BOTH = ("float32", "float64")


def rows(name, ours, reference, *arrays, grad=True):
    return pytest.param(ours, reference, arrays, grad, id=name)


CASES = [
    rows("logaddexp", lamina.logaddexp, np.logaddexp, A, B),
    rows("xlogy", lamina.xlogy, lambda a, b: a * np.log(b), A, np.abs(B) + 0.1),
    rows("logit", lamina.logit, lambda a: np.log(a / (1 - a)), RNG.uniform(0.1, 0.9, 7)),
    rows("deg2rad", lamina.deg2rad, np.deg2rad, A),
    rows("rad2deg", lamina.rad2deg, np.rad2deg, A),
    rows("frac", lamina.frac, lambda a: np.modf(a)[0], A),
    rows("copysign", lamina.copysign, np.copysign, A, B, grad=[True, False]),
    rows("fmax", lamina.fmax, np.fmax, A, B),
    rows("fmin", lamina.fmin, np.fmin, A, B),
    rows("inner", lamina.inner, np.inner, A, B),
    rows("inner of vectors", lamina.inner, np.inner, A[0], B[0]),
    rows("tensordot 1", lambda s, t: lamina.tensordot(s, t, 1), lambda a, b: np.tensordot(a, b, 1), WIDE, B.T),
    rows("tensordot 0", lambda s, t: lamina.tensordot(s, t, 0), lambda a, b: np.tensordot(a, b, 0), A[0], B[0]),
    rows(
        "tensordot of lists",
        lambda s, t: lamina.tensordot(s, t, ([0, -1], [1, 2])),
        lambda a, b: np.tensordot(a, b, ([0, 2], [1, 2])),
        WIDE,
        RNG.uniform(-1, 1, (5, 2, 4)),
    ),
    rows("kron", lamina.kron, np.kron, A, RNG.uniform(-1, 1, (2, 3))),
    rows("kron of unlike ranks", lamina.kron, np.kron, WIDE, B[0]),
    rows("cross", lambda s, t: lamina.cross(s, t, 0), lambda a, b: np.cross(a, b, axis=0), A, B),
    rows("trace", lamina.trace, np.trace, A),
    rows("dist", lambda s, t: lamina.dist(s, t, 3), lambda a, b: (np.abs(a - b) ** 3).sum() ** (1 / 3), A, B),
    rows("cdist", lamina.cdist, lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)), A, B[:2]),
    rows("cdist 1", lambda s, t: lamina.cdist(s, t, 1), lambda a, b: np.abs(a[:, None] - b[None]).sum(-1), A, B[:2]),
    rows("addr", lambda m, u, v: lamina.addr(m, u, v, beta=2, alpha=3), lambda m, u, v: 2 * m + 3 * np.outer(u, v), A, A[:, 0], B[0]),
    rows("addmv", lambda y, m, v: lamina.addmv(y, m, v, alpha=3), lambda y, m, v: y + 3 * (m @ v), A[:, 0], A, B[0]),
    rows("diff", lambda t: lamina.diff(t, 2), lambda a: np.diff(a, 2), A),
    rows("diff with ends", lambda t, u: t.diff(1, 0, prepend=u, append=u), lambda a, u: np.diff(a, 1, 0, u, u), A, B[:1]),
    rows("trapezoid", lambda t: lamina.trapezoid(t, dx=0.5), lambda a: np.trapezoid(a, dx=0.5), A),
    rows("trapezoid at places", lambda t, x: lamina.trapezoid(t, x), lambda a, x: np.trapezoid(a, x), A, np.sort(B[0])),
    rows("cov", lamina.cov, np.cov, A),
    rows("cov of one", lamina.cov, np.cov, A[0]),
    rows("corrcoef", lamina.corrcoef, np.corrcoef, A),
    rows("rot90", lamina.rot90, np.rot90, A),
    rows("rot90 backwards", lambda t: lamina.rot90(t, -1, (1, 2)), lambda a: np.rot90(a, -1, (1, 2)), WIDE),
    rows("rot90 twice", lambda t: t.rot90(2), lambda a: np.rot90(a, 2), A),
    rows("fliplr", lamina.fliplr, np.fliplr, A),
    rows("flipud", lamina.flipud, np.flipud, A),
    rows("ravel", lamina.ravel, np.ravel, WIDE),
    rows("unflatten", lambda t: t.unflatten(-1, (2, -1)), lambda a: a.reshape(3, 2, 2), A),
    rows("swapdims", lambda t: t.swapdims(0, 2), lambda a: a.swapaxes(0, 2), WIDE),
    rows("moveaxis", lambda t: lamina.moveaxis(t, 0, -1), lambda a: np.moveaxis(a, 0, -1), WIDE),
    rows("column_stack", lambda s, t: lamina.column_stack([s, t]), lambda a, b: np.column_stack([a, b]), A[:, 0], B),
    rows("dstack", lambda s, t: lamina.dstack([s, t]), lambda a, b: np.dstack([a, b]), A, B),
    rows("quantile", lambda t: t.quantile(0.3), lambda a: np.quantile(a, 0.3), A),
    rows(
        "quantiles along a dimension",
        lambda t: t.quantile(lamina.tensor([0.0, 0.25, 1.0]), 1, keepdim=True),
        lambda a: np.quantile(a, [0, 0.25, 1], 1, keepdims=True),
        WIDE,
    ),
    rows("nanmean", lambda t: t.nanmean(1), lambda a: np.nanmean(a, 1), A),
    rows("block_diag", lambda s, t: lamina.block_diag(s, t), lambda a, b: np.block([[a, np.zeros((3, 2))], [np.zeros((3, 4)), b]]), A, B[:, :2]),
]  # fmt: skip


@pytest.mark.parametrize("ours, reference, arrays, grad", CASES)
def test_value_and_gradient(ours, reference, arrays, grad):
    check_op(ours, reference, *arrays, dtypes=BOTH, grad=grad, length=64)


def test_of_nan_and_infinity():
    nan, inf = np.nan, np.inf
    a, b = np.array([nan, 1, nan, -inf, inf, -inf]), np.array([2, nan, nan, -inf, 3, 4.0])
    x, y = lamina.tensor(a), lamina.tensor(b)
    for name in ("fmax", "fmin", "logaddexp"):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(getattr(lamina, name)(x, y).numpy(), getattr(np, name)(a, b), err_msg=name)
    np.testing.assert_array_equal(lamina.isposinf(x).numpy(), np.isposinf(a))
    np.testing.assert_array_equal(x.isneginf().numpy(), np.isneginf(a))
    for dtype in (np.float32, np.float64):
        got = lamina.tensor(a.astype(dtype)).nan_to_num()
        np.testing.assert_array_equal(got.numpy(), np.nan_to_num(a.astype(dtype)))
    np.testing.assert_array_equal(x.nan_to_num(1, 2, 3).numpy(), [1, 1, 1, 3, 2, 3])
    np.testing.assert_array_equal(x.nanmedian().item(), -inf)
    rows = lamina.tensor([[3, nan, 1, 2], [nan, nan, nan, nan]])
    values, indices = rows.nanmedian(1)
    np.testing.assert_array_equal(values.numpy(), [2, nan])
    assert indices[0].item() == 3
    np.testing.assert_array_equal(rows.nanquantile(0.5, 1).numpy(), [2, nan])
    np.testing.assert_array_equal(rows.quantile(0.5, 1).numpy(), [nan, nan])
    assert lamina.xlogy(0, lamina.tensor([0.0, inf])).tolist() == [0, 0]
    assert lamina.isnan(lamina.xlogy(0, lamina.tensor([nan]))).item()


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantile_between_elements(how):
    a, q = RNG.standard_normal((4, 7)), np.array([0, 0.1, 0.5, 0.77, 1])
    got = lamina.tensor(a).quantile(lamina.tensor(q), 1, interpolation=how)
    np.testing.assert_allclose(got.numpy(), np.quantile(a, q, 1, method=how), rtol=1e-14)


@pytest.mark.parametrize("span", [(0, 0), (-1, 1.5), (2, 2)])
def test_histc(span):
    a = RNG.standard_normal(1000)
    edges = (a.min(), a.max()) if span[0] == span[1] else span
    np.testing.assert_array_equal(lamina.tensor(a).histc(13, *span).numpy(), np.histogram(a, 13, edges)[0])


def test_isin_and_aminmax():
    a, b = RNG.integers(0, 20, (5, 6)), np.array([3, 5, 17, 5])
    np.testing.assert_array_equal(lamina.isin(lamina.tensor(a), lamina.tensor(b)).numpy(), np.isin(a, b))
    np.testing.assert_array_equal(lamina.isin(lamina.tensor(a), 3, invert=True).numpy(), a != 3)
    assert not lamina.isin(lamina.tensor(a), lamina.zeros(0)).any()
    low, high = lamina.tensor(a).aminmax(dim=1)
    np.testing.assert_array_equal(low.numpy(), a.min(1))
    assert lamina.tensor(a).aminmax().max.item() == a.max() and high.shape == (5,)


def test_shapes():
    x = lamina.tensor(A)
    assert lamina.broadcast_shapes((3, 1), (4,), 1) == (3, 4)
    with pytest.raises(ValueError, match="broadcast_shapes: shapes .* do not broadcast"):
        lamina.broadcast_shapes((3,), (4,))
    assert [t.shape for t in lamina.broadcast_tensors(x, x[0], x[:, :1])] == [(3, 4)] * 3
    number = lamina.tensor(1.0)
    assert [f(number).shape for f in (lamina.atleast_1d, lamina.atleast_2d, lamina.atleast_3d)] == [
        (1,),
        (1, 1),
        (1, 1, 1),
    ]
    assert lamina.atleast_3d(x).shape == (3, 4, 1)
    assert [t.shape for t in x.hsplit(2)] == [(3, 2)] * 2 and [t.shape for t in x.vsplit([1])] == [(1, 4), (2, 4)]
    with pytest.raises(ValueError, match="hsplit: dimension 1 of shape .* is not divisible by 3"):
        x.hsplit(3)
    np.testing.assert_array_equal(lamina.tril_indices(3, 4, -1).numpy(), np.array(np.tril_indices(3, -1, 4)))
    np.testing.assert_array_equal(lamina.triu_indices(4, 3, 1).numpy(), np.array(np.triu_indices(4, 1, 3)))
    flat = RNG.integers(0, 24, 9)
    for got, want in zip(
        lamina.unravel_index(lamina.tensor(flat), (2, 3, 4)), np.unravel_index(flat, (2, 3, 4)), strict=True
    ):
        np.testing.assert_array_equal(got.numpy(), want)
    assert lamina.cartesian_prod(lamina.tensor([1, 2]), lamina.tensor([3, 4])).tolist() == [
        [1, 3],
        [1, 4],
        [2, 3],
        [2, 4],
    ]
    put = x.index_put((lamina.tensor([0, 2]), lamina.tensor([1, 1])), lamina.tensor([9.0, 8.0], dtype=lamina.float64))
    assert put[0, 1].item() == 9 and put[2, 1].item() == 8 and x[0, 1].item() == A[0, 1]


def test_in_place():
    x = lamina.tensor(A)
    y = x.clone()
    assert y.cumsum_(1) is y
    np.testing.assert_array_equal(y.numpy(), A.cumsum(1))
    np.testing.assert_array_equal(x.clone().tril_().numpy(), np.tril(A))
    np.testing.assert_array_equal(x.clone().gt_(0).numpy(), A > 0)
    np.testing.assert_allclose(x.clone().deg2rad_().numpy(), np.deg2rad(A))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: lamina.kron(lamina.ones(1, 1, 1, 1, 1), x),
        lambda x: lamina.trace(x[0]),
        lambda x: lamina.cross(x, x, 1),
        lambda x: lamina.cdist(x, x[:, :2]),
        lambda x: lamina.tensordot(x, x, 1),
        lambda x: lamina.quantile(x, 1.5),
        lambda x: lamina.histc(x, 0),
        lambda x: lamina.rot90(x, 1, (0, 0)),
        lambda x: lamina.fliplr(x[0]),
        lambda x: lamina.diff(x, -1),
        lambda x: lamina.cov(x, fweights=lamina.ones(3)),
    ],
)
def test_errors_name_the_operation(call):
    with pytest.raises(ValueError, match=r"^(kron|trace|cross|cdist|tensordot|quantile|histc|rot90|fliplr|diff|cov): "):
        call(lamina.ones(3, 4))


@pytest.mark.parametrize("name", ["logaddexp", "heaviside", "float_power", "kron", "inner", "xlogy"])
def test_pytorch_gives_the_same(name):
    torch = pytest.importorskip("torch")
    got = getattr(lamina, name)(lamina.tensor(np.abs(A)).float(), lamina.tensor(B).float())
    want = getattr(torch, name)(torch.tensor(np.abs(A)).float(), torch.tensor(B).float())
    assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    np.testing.assert_allclose(to_numpy(got), want.numpy(), rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", ["logaddexp", "xlogy", "copysign"])
@pytest.mark.parametrize("a", ["float32", "float64", "float16", "int64"])
@pytest.mark.parametrize("b", ["float32", "float64", "float16"])
def test_types_are_pytorchs(name, a, b):
    torch = pytest.importorskip("torch")
    if name == "logaddexp" and a == "int64":
        a = "float32"  # torch's is of floating numbers only
    for left, right in (((2,), (2,)), ((2,), ()), ((), (2,))):
        got, want = (
            getattr(library, name)(
                library.full(left, 3, dtype=getattr(library, a)), library.full(right, 2, dtype=getattr(library, b))
            )
            for library in (lamina, torch)
        )
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
        np.testing.assert_allclose(got.double().numpy(), want.double().numpy(), rtol=2e-3)


def test_quantile_of_a_number():
    x = lamina.tensor(3.0)
    assert [x.quantile(0.3, dim).item() for dim in (None, 0, -1)] == [3, 3, 3]
    assert x.quantile(lamina.tensor([0.1, 0.2]), 0, keepdim=True).shape == (2,)


def test_logit_of_small_integers():
    assert lamina.tensor([2], dtype=lamina.uint8).logit().isnan().item()  # 1 - 2 is not 255


def test_round_to_decimals():
    x = np.array([1.25, -3.55, 1234.567, 0.5, 1.5, 2.5])
    for decimals in (-2, 0, 2):
        want = np.round(x, decimals)
        assert lamina.round(lamina.tensor(x), decimals=decimals).tolist() == want.tolist()
        assert round(lamina.tensor(x), decimals).tolist() == want.tolist()
    assert round(lamina.tensor(x)).tolist() == np.round(x).tolist()
    t = lamina.tensor(x)
    assert t.round_(decimals=1) is t and t.tolist() == np.round(x, 1).tolist()
    assert lamina.round(lamina.tensor([3, -3])).tolist() == [3, -3]
    with pytest.raises(TypeError, match="round: decimals are for floating types, got lamina.int64"):
        lamina.tensor([3]).round(decimals=1)


def test_divmod_as_of_numbers():
    a = np.array([7.0, -7.0, 2.5])
    for ours, theirs in (
        (divmod(lamina.tensor(a), 2), divmod(a, 2)),
        (divmod(9, lamina.tensor(a)), divmod(9, a)),
        (divmod(lamina.tensor([7, -7]), lamina.tensor([2, 3])), divmod(np.array([7, -7]), np.array([2, 3]))),
    ):
        assert [t.tolist() for t in ours] == [t.tolist() for t in theirs]


def test_mode():
    def reference(row):
        found, counts = np.unique(row, return_counts=True)
        value = found[counts.argmax()]
        return value, np.flatnonzero(row == value)[-1]

    for shape in ((7,), (4, 50, 3), (1, 1), (3, 1)):
        x = RNG.integers(-2, 3, shape).astype(np.float64)
        for dim in range(-len(shape), len(shape)):
            values, indices = lamina.mode(lamina.tensor(x), dim)
            rows = np.moveaxis(x, dim, -1)
            want = [reference(row) for row in rows.reshape(-1, rows.shape[-1])]
            assert values.shape == rows.shape[:-1] and indices.dtype is lamina.int64
            assert list(zip(values.numpy().ravel(), indices.numpy().ravel(), strict=True)) == want
            assert lamina.mode(lamina.tensor(x), dim, True).values.ndim == len(shape)
    t = lamina.tensor([[1, 2, 2], [3, 3, 1]], dtype=lamina.float32, requires_grad=True)
    t.mode().values.sum().backward()
    assert t.grad.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert lamina.mode(lamina.tensor(3)).values.item() == 3
    with pytest.raises(IndexError, match=r"mode: dimension 1 of shape \(2, 0\) is empty"):
        lamina.mode(lamina.zeros(2, 0), 1)
