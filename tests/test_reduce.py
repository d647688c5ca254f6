"""Folds, extremes, moments and norms: values and gradients over every geometry, type and corner."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import lamina
from checks import FLOATS, assert_close, check_op, to_numpy

RNG = np.random.default_rng(5)
INTEGERS = ("int64", "int32", "uint8")


def numbers(shape, low=-2.0, high=2.0):
    return RNG.uniform(low, high, shape)


def distinct(shape):
    """No two elements alike in any type, so that an extreme has one place and finite differences are defined."""
    return (RNG.permutation(int(np.prod(shape))).reshape(shape) - 3.0) / 4


def axis_of(dim):
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def norm_of(p):
    def reference(a, axis, keepdims):
        size = np.abs(a)
        if p == 0:
            return (size != 0).sum(axis=axis, keepdims=keepdims).astype(float)
        if np.isinf(p):
            return (size.max if p > 0 else size.min)(axis=axis, keepdims=keepdims)
        return (size**p).sum(axis=axis, keepdims=keepdims) ** (1 / p)

    return reference


# name: (ours, NumPy's, its input)
FOLDS = {
    "sum": (lamina.sum, np.sum, numbers),
    "mean": (lamina.mean, np.mean, numbers),
    "nansum": (lamina.nansum, np.nansum, numbers),
    "amax": (lamina.amax, np.max, distinct),
    "amin": (lamina.amin, np.min, distinct),
    "var": (lamina.var, lambda a, axis, keepdims: np.var(a, axis=axis, keepdims=keepdims, ddof=1), numbers),
    "std": (lamina.std, lambda a, axis, keepdims: np.std(a, axis=axis, keepdims=keepdims, ddof=1), numbers),
} | {
    f"norm of order {p}": (
        lambda t, dim, keepdim, p=p: lamina.norm(t, p, dim, keepdim),
        norm_of(p),
        lambda shape, p=p: distinct(shape) + (3.1 if p < 0 else -0.1),
    )
    for p in (0, 1, 2, 3, 1.5, -1, np.inf, -np.inf)
}
# Rows, columns, and both at once; odd sizes, tails of vectors, merged and unmerged dimensions.
GEOMETRIES = [
    ((7,), None),
    ((37,), 0),
    ((3, 5), None),
    ((5, 19), 1),
    ((19, 5), 0),
    ((4, 33), -1),
    ((2, 3, 5), 1),
    ((2, 3, 5), (0, 2)),
    ((2, 3, 5), (-1, 1)),
    ((3, 2, 4, 3), (0, 2)),
    ((3, 1, 4), 0),
]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape, dim", GEOMETRIES)
@pytest.mark.parametrize("name", FOLDS)
def test_floating(name, shape, dim, keepdim):
    function, reference, make = FOLDS[name]
    check_op(
        lambda t: function(t, dim=dim, keepdim=keepdim),
        lambda a: reference(a, axis=axis_of(dim), keepdims=keepdim),
        make(shape),
        length=int(np.prod(shape)),
    )


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape, dim", [(s, d) for s, d in GEOMETRIES if not isinstance(d, tuple)])
def test_prod(shape, dim, keepdim):
    x = numbers(shape, 0.5, 1.5) * RNG.choice([-1, 1], shape)
    args = () if dim is None else (dim, keepdim)
    check_op(
        lambda t: lamina.prod(t, *args),
        lambda a: np.prod(a, axis=dim, keepdims=keepdim and dim is not None),
        x,
        length=int(np.prod(shape)),
    )


# Short rows are turned into columns, and narrow columns into wide ones: lengths around the width of a vector, the
# longest short row and the height of a tile, with and without a gap between rows.
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("count", [2, 63, 64, 65, 2500])
def test_short_rows_and_narrow_columns(count, gap, dtype):
    for length, dim in itertools.product([2, 3, 7, 8, 10, 16, 17, 33, 64, 65], (0, 1)):
        whole = RNG.integers(0, 100, (count, length + gap))
        x, want = lamina.tensor(whole, dtype=getattr(lamina, dtype))[:, :length], whole[:, :length]
        for name in ("amax", "argmax", "argmin"):
            reference = {"amax": np.max, "argmax": np.argmax, "argmin": np.argmin}[name]
            np.testing.assert_array_equal(to_numpy(getattr(lamina, name)(x, dim)), reference(want, dim))
        if dtype in ("float32", "float64"):
            assert_close(x.sum(dim), want.sum(dim), dtype, count)
            assert_close(x.var(dim), want.var(dim, ddof=1), dtype, count)
            assert_close(x.logsumexp(dim), np.log(np.exp(want.astype(float)).sum(dim)), dtype, count)
        elif dtype in INTEGERS:
            np.testing.assert_array_equal(to_numpy(x.sum(dim)), want.sum(dim))


@pytest.mark.parametrize("zeros", [[3], [0, 4], []])
def test_prod_of_zeros_has_a_gradient(zeros):
    x = numbers((3, 6), 0.5, 1.5)
    x[1, zeros] = 0
    check_op(lambda t: t.prod(1), lambda a: a.prod(1), x, length=6)
    check_op(lambda t: t.prod(0), lambda a: a.prod(0), x, length=6)
    check_op(lambda t: t.prod(), lambda a: a.prod(), x, length=18, dtypes=("float32", "float64"))


@pytest.mark.parametrize("correction", [0, 1, 2, 0.5, 3])
@pytest.mark.parametrize("shape, dim", [((19, 5), 0), ((5, 19), 1), ((3, 4, 2), (0, 2)), ((11,), None)])
def test_corrections(shape, dim, correction):
    x = numbers(shape)
    for name, power in (("var", 1.0), ("std", 0.5)):

        def want(a, power=power):
            n = a.size if dim is None else np.prod([a.shape[d] for d in np.atleast_1d(dim)])
            return (np.var(a, axis=dim) * n / (n - correction)) ** power

        alone, both = getattr(lamina, name), getattr(lamina, f"{name}_mean")
        check_op(lambda t, f=alone: f(t, dim, correction=correction), want, x, length=x.size)
        check_op(lambda t, f=both: f(t, dim, correction=correction)[0], want, x, length=x.size)
        check_op(lambda t, f=both: f(t, dim, correction=correction)[1], lambda a: a.mean(axis=dim), x, length=x.size)
    check_op(
        lambda t: sum(lamina.var_mean(t, dim)), lambda a: np.var(a, axis=dim, ddof=1) + a.mean(axis=dim), x, length=64
    )
    np.testing.assert_array_equal(
        lamina.tensor(x).var(dim, unbiased=False).numpy(), lamina.tensor(x).var(dim, correction=0).numpy()
    )


def test_too_few_elements_for_a_variance():
    one = lamina.tensor([[3.0], [4.0]])
    assert lamina.isnan(one.var(1)).all() and lamina.isnan(one.std(1)).all()
    assert (one.var(1, correction=0) == 0).all()
    assert lamina.isnan(lamina.zeros(0).var()).item() and lamina.isnan(lamina.zeros(0, 3).std(0)).all()


def test_variance_far_from_zero_loses_nothing():
    x = (RNG.standard_normal((400, 300)) + 1e4).astype(np.float32)
    for dim in (None, 0, 1):
        assert_close(lamina.from_numpy(x).var(dim), x.astype(np.float64).var(axis=dim, ddof=1), "float32")


# ---- types ----


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("shape, dim", GEOMETRIES)
def test_integers(shape, dim, dtype):
    a = RNG.integers(0, 2 if dtype == "bool" else 5, shape)
    x, axis = lamina.tensor(a).to(getattr(lamina, dtype)), axis_of(dim)
    results = {
        "sum": (a.sum(axis=axis), "int64"),
        "nansum": (a.sum(axis=axis), "int64"),
        "amax": (a.max(axis=axis), dtype),
        "amin": (a.min(axis=axis), dtype),
        "any": (a.any(axis=axis), "uint8" if dtype == "uint8" else "bool"),
        "all": (a.all(axis=axis), "uint8" if dtype == "uint8" else "bool"),
    }
    if not isinstance(dim, tuple):
        results["prod"] = (a.prod(axis=axis), "int64")
    for name, (want, result) in results.items():
        for view in (x, x.T.contiguous().T):
            got = getattr(lamina, name)(view) if dim is None else getattr(lamina, name)(view, dim)
            assert got.dtype is getattr(lamina, result), name
            np.testing.assert_array_equal(got.numpy(), want, err_msg=name)
    np.testing.assert_array_equal(x.count_nonzero(dim).numpy(), np.count_nonzero(a, axis=axis))
    assert x.count_nonzero(dim).dtype is lamina.int64


@pytest.mark.parametrize("columns", [1, 70])
def test_integers_are_exact_and_wrap(columns):
    big = np.full((9, columns), 2**62, np.int64)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(lamina.tensor(big).sum(0).numpy(), big.sum(0))
    odd = RNG.integers(-(2**53), 2**53, (5000, columns)) | 1
    np.testing.assert_array_equal(lamina.tensor(odd).sum(0).numpy(), odd.sum(0))
    np.testing.assert_array_equal(lamina.tensor(odd).prod(0).numpy(), np.multiply.reduce(odd, 0))
    assert lamina.full((70000,), 255, dtype=lamina.uint8).sum().item() == 255 * 70000
    assert lamina.full((3,), 2**31 - 1, dtype=lamina.int32).sum().item() == 3 * (2**31 - 1)
    lowest = lamina.tensor([-(2**63), -(2**63) + 1])
    assert lowest.amax().item() == -(2**63) + 1 and lowest.amin().item() == -(2**63)


@pytest.mark.parametrize("dtype", [*FLOATS])
def test_truth_of_floats(dtype):
    x = lamina.tensor([[0.0, -0.0, 0.0], [0.0, np.nan, 1.0], [5e-4, 2.0, np.inf]]).to(getattr(lamina, dtype))
    assert x.any(1).tolist() == [False, True, True] and x.all(1).tolist() == [False, False, True]
    assert x.any(0).tolist() == [True, True, True] and x.all(0).tolist() == [False, False, False]
    assert x.any().item() is True and x.all().item() is False
    assert x.count_nonzero(1).tolist() == [0, 2, 3] and x.count_nonzero().item() == 5


@pytest.mark.parametrize("name", ["sum", "nansum", "mean", "prod", "norm"])
def test_dtype_converts_first(name):
    x = lamina.tensor([200, 100, 7], dtype=lamina.uint8)
    function = getattr(lamina, name)
    got = function(x, dtype=lamina.float64)
    assert got.dtype is lamina.float64
    assert got.item() == pytest.approx(function(x.double()).item(), rel=1e-15)
    leaf = lamina.ones(4, requires_grad=True)
    function(leaf, dtype=lamina.float64).backward()
    assert leaf.grad is not None and leaf.grad.dtype is lamina.float32
    if name != "norm" and name != "mean":
        assert function(x, dtype=lamina.int32).dtype is lamina.int32


# ---- extremes ----


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape, dim", [(s, d) for s, d in GEOMETRIES if isinstance(d, int)])
def test_extremes_with_indices(shape, dim, keepdim, name):
    function, arg = getattr(lamina, name), getattr(lamina, f"arg{name}")
    values, places = getattr(np, name), getattr(np, f"arg{name}")
    check_op(
        lambda t: function(t, dim, keepdim).values, lambda a: values(a, axis=dim, keepdims=keepdim), distinct(shape)
    )
    for dtype in (*FLOATS, *INTEGERS, "bool"):
        x = lamina.tensor(RNG.integers(0, 3, shape)).to(getattr(lamina, dtype))  # full of ties: the first one counts
        a = to_numpy(x)
        for view in (x, x.T.contiguous().T):
            got = function(view, dim, keepdim=keepdim)
            assert got.values.dtype is x.dtype and got.indices.dtype is lamina.int64
            np.testing.assert_array_equal(to_numpy(got.values), values(a, axis=dim, keepdims=keepdim))
            np.testing.assert_array_equal(got.indices.numpy(), places(a, axis=dim, keepdims=keepdim))
            np.testing.assert_array_equal(arg(view, dim, keepdim).numpy(), got.indices.numpy())
            np.testing.assert_array_equal(arg(view).numpy(), places(a))


@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes_of_nan_and_infinity(dtype):
    nan, inf = np.nan, np.inf
    a = np.array([[1, nan, 3, nan], [inf, 2, -inf, 0], [-inf, -inf, -inf, -inf], [0, -1, nan, inf]])
    x = lamina.tensor(a).to(getattr(lamina, dtype))
    for t, axis in ((x, 1), (x.T.contiguous(), 0)):
        assert t.argmax(axis).tolist() == [1, 0, 0, 2] and t.argmin(axis).tolist() == [1, 2, 0, 2]
        np.testing.assert_array_equal(to_numpy(t.amax(axis)), [nan, inf, -inf, nan])
        np.testing.assert_array_equal(to_numpy(t.amin(axis)), [nan, -inf, -inf, nan])
        np.testing.assert_array_equal(to_numpy(t.max(axis).values), [nan, inf, -inf, nan])
        np.testing.assert_array_equal(to_numpy(t.min(axis).values), [nan, -inf, -inf, nan])
    assert lamina.isnan(x.max()).item() and lamina.isnan(x.min()).item() and x.argmax().item() == 1
    assert x[1:3].max().item() == inf and x[1:3].min().item() == -inf


@pytest.mark.parametrize("length", [40000, 200003])
def test_extremes_of_long_rows(length):
    a = RNG.standard_normal((2, length)).astype(np.float32)
    for place in (0, 1, 32767, 32768, length - 1):
        b = a.copy()
        b[1, place], b[0, place] = 9, -9
        t = lamina.from_numpy(b)
        assert t.argmax(1).tolist() == b.argmax(1).tolist() and t.argmin(1).tolist() == b.argmin(1).tolist()
        assert t.T.contiguous().argmax(0).tolist() == b.argmax(1).tolist()
        b[1, place] = np.nan
        assert lamina.from_numpy(b).argmin(1).tolist()[1] == place


def test_ties_share_the_gradient_of_amax_but_not_of_max():
    x = lamina.tensor([[2.0, 5.0, 5.0], [4.0, 4.0, 4.0]], dtype=lamina.float64, requires_grad=True)
    x.amax(1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0.5, 0.5], [1 / 3] * 3])
    x.grad = None
    x.max(1).values.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 1, 0], [1, 0, 0]])
    x.grad = None
    x.min().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1, 0, 0], [0, 0, 0]])


def test_max_of_two_tensors():
    a, b = numbers((3, 4)), numbers((4,))
    check_op(lambda s, t: lamina.max(s, t), np.maximum, a, b)
    check_op(lambda s, t: s.min(other=t), np.minimum, a, b)


# ---- corners ----


@pytest.mark.parametrize("shape, dim", [((0,), None), ((0, 3), 0), ((3, 0), 1), ((2, 0, 3), (0, 1)), ((3, 0), None)])
def test_no_elements(shape, dim):
    x, axis = lamina.zeros(shape, requires_grad=True), axis_of(dim)
    empty = np.zeros(shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, about means of nothing
        for name in ("sum", "nansum", "mean"):
            want = getattr(np, name)(empty, axis=axis)
            np.testing.assert_array_equal(to_numpy(getattr(lamina, name)(x, dim)), want)
    np.testing.assert_array_equal(x.any(dim).numpy(), empty.any(axis=axis))
    np.testing.assert_array_equal(x.all(dim).numpy(), empty.all(axis=axis))
    np.testing.assert_array_equal(to_numpy(lamina.norm(x, 2, dim)), np.zeros_like(empty.sum(axis=axis)))
    if not isinstance(dim, tuple):
        want = empty.prod(axis=axis)
        np.testing.assert_array_equal(to_numpy(x.prod() if dim is None else x.prod(dim)), want)
    x.sum(dim).sum().backward()
    assert x.grad.shape == shape
    for name in ("amax", "amin"):
        with pytest.raises(IndexError, match=f"{name}: there is none among no elements: the tensor has shape"):
            getattr(lamina, name)(x, dim)
    if isinstance(dim, int):
        for name in ("max", "argmin"):
            with pytest.raises(IndexError, match=f"{name}: there is none among no elements"):
                getattr(lamina, name)(x, dim)


def test_no_outputs():
    x = lamina.zeros(0, 3, requires_grad=True)
    for y in (x.sum(1), x.amax(1), x.max(1).values, x.argmax(1), x.var(1), x.norm(dim=1), x.prod(1), x.mean(1)):
        assert y.shape == (0,)
    x.max(1).values.sum().backward()
    assert x.grad.shape == (0, 3)


def test_a_number_is_its_own_reduction():
    x = lamina.tensor(-3.0, requires_grad=True)
    for y, want in (
        (x.sum(), -3),
        (x.mean(0), -3),
        (x.prod(-1), -3),
        (x.amax(), -3),
        (x.norm(), 3),
        (x.min(0).values, -3),
    ):
        assert y.shape == () and y.item() == want
    assert x.argmax().item() == 0 and x.max(0).indices.item() == 0 and x.count_nonzero().item() == 1
    (x.max(0).values + x.sum() + x.prod() + x.amin()).backward()
    assert x.grad.item() == 4


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "norm of order 2", "var", "norm of order 1.5"])
def test_layouts(name):
    """Views of every kind give what a contiguous copy gives."""
    function, _, make = FOLDS[name]
    base = lamina.tensor(make((6, 5, 8))).float()
    views = [
        base.permute(2, 0, 1),
        base[::2, :, 1::3],
        base[:, 2:3, :].expand(6, 4, 8),
        base[0, 0, 0].expand(3, 4),
        base.transpose(0, 2)[1:, :, ::2],
        base.diagonal(0, 0, 1),
        base.flip([0]),
        base.unfold(2, 3, 2),
        base.reshape(-1)[3:].unsqueeze(0),
    ]
    for view in views:
        copy = view.contiguous()
        dims = [None, *range(view.ndim), *itertools.combinations(range(view.ndim), 2)]
        for dim in dims:
            got, want = function(view, dim=dim, keepdim=False), function(copy, dim=dim, keepdim=False)
            assert_close(got, to_numpy(want), "float32", view.numel(), f"{view.shape} {view.stride()} over {dim}")


def test_nan_and_infinity_pass_through():
    x = lamina.tensor([[1.0, np.nan, 2.0], [np.inf, 1.0, 1.0], [np.inf, -np.inf, 0.0]])
    np.testing.assert_array_equal(x.sum(1).numpy(), [np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(x.mean(1).numpy(), [np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(x.nansum(1).numpy(), [3, np.inf, np.nan])
    np.testing.assert_array_equal(x.norm(dim=1).numpy(), [np.nan, np.inf, np.inf])
    np.testing.assert_array_equal(x.norm(np.inf, 1).numpy(), [np.nan, np.inf, np.inf])
    np.testing.assert_array_equal(x.prod(1).numpy(), [np.nan, np.inf, np.nan])
    assert lamina.isnan(x.var(1)).all()
    for dtype in FLOATS:
        v = lamina.tensor([np.nan, 3.0, np.nan], dtype=getattr(lamina, dtype), requires_grad=True)
        v.nansum().backward()
        assert v.grad.tolist() == [0, 1, 0]


def test_norms_at_their_corners():
    zeros = lamina.zeros(3, dtype=lamina.float64, requires_grad=True)
    for p in (0, 1, 2, 3, 0.5, np.inf):
        zeros.grad = None
        y = zeros.norm(p)
        y.backward()
        assert y.item() == 0 and zeros.grad.tolist() == [0, 0, 0], p
    tie = lamina.tensor([3.0, -3.0, 1.0], requires_grad=True)
    tie.norm(np.inf).backward()
    assert tie.grad.tolist() == [0.5, -0.5, 0]


# ---- accuracy and order ----


def test_ten_million_floats():
    a = RNG.uniform(-1, 2, 10_000_000).astype(np.float32)
    x, wide = lamina.from_numpy(a), a.astype(np.float64)
    assert x.sum().item() == pytest.approx(wide.sum(), rel=1e-7)
    assert x.mean().item() == pytest.approx(wide.mean(), rel=1e-7)
    assert x.norm().item() == pytest.approx(np.sqrt((wide**2).sum()), rel=2e-7)
    assert x.var().item() == pytest.approx(wide.var(ddof=1), rel=2e-7)
    tall = x.reshape(1_000_000, 10)
    np.testing.assert_allclose(tall.sum(0).numpy(), wide.reshape(-1, 10).sum(0), rtol=3e-7)
    np.testing.assert_allclose(tall.mean(0).numpy(), wide.reshape(-1, 10).mean(0), rtol=3e-7)


LARGE = [
    ((300_007,), None),
    ((3, 70_001), 1),
    ((70_001, 3), 0),
    ((700, 1500), 0),
    ((700, 1500), 1),
    ((5, 300, 130), (0, 2)),
]


@pytest.mark.parametrize("shape, dim", LARGE)
def test_same_bits_for_any_number_of_threads(set_threads, shape, dim):
    x = lamina.from_numpy(RNG.standard_normal(shape).astype(np.float32))
    runs = []
    for threads in (1, 2, 5):
        set_threads(threads)
        results = [x.sum(dim), x.mean(dim), x.nansum(dim), x.norm(2, dim), x.norm(3, dim), x.var(dim), x.amax(dim)]
        if not isinstance(dim, tuple):
            results += [x.prod() if dim is None else x.prod(dim), x.argmax(dim)]
        runs.append([r.numpy().tobytes() for r in results])
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_sums_do_not_overflow_on_the_way(dtype):
    x = lamina.full((3000, 40), 100.0, dtype=getattr(lamina, dtype))
    assert (x.mean(0) == 100).all() and (x.mean() == 100).item() and (x.mean(1) == 100).all()
    assert x.var().item() == 0 and x.norm(dim=1)[0].item() == pytest.approx(632.5, rel=4e-3)


# ---- errors ----


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: x.sum(2), IndexError, r"sum: dim 2 is out of range for a tensor with 2 dimensions"),
        (lambda x: x.sum((0, -2)), ValueError, r"sum: dimension 0 appears twice in \(0, -2\)"),
        (lambda x: x.sum("a"), TypeError, r"sum: dim must be an integer or a sequence of integers, got 'a'"),
        (lambda x: x.sum(0.5), TypeError, r"sum: dim must be an integer"),
        (lambda x: x.sum(0, False, 3), TypeError, r"sum: takes at most 2 positional arguments, got 3"),
        (lambda x: x.sum(0, keepdim=2), TypeError, r"sum: keepdim must be True or False, got 2"),
        (lambda x: x.sum(dims=0), TypeError, r"sum: unexpected argument 'dims'"),
        (lambda x: x.sum(dtype="complex"), TypeError, r"sum: dtype must be a lamina dtype, got 'complex'"),
        (lambda x: x.long().mean(), TypeError, r"mean: expected a floating type, got int64"),
        (lambda x: x.bool().var(), TypeError, r"var: expected a floating type, got bool"),
        (lambda x: x.int().norm(), TypeError, r"norm: expected a floating type, got int32"),
        (lambda x: x.norm("nuc"), ValueError, r"norm: p must be a number or 'fro', got 'nuc'"),
        (lambda x: x.var(0, True, correction=1), TypeError, r"var: give unbiased or correction, not both"),
        (lambda x: x.max(keepdim=True), TypeError, r"max: keepdim needs a dim"),
        (lambda x: x.argmax(-3), IndexError, r"argmax: dim -3 is out of range"),
        (lambda x: lamina.sum(), TypeError, r"sum: the first argument, input, is missing"),
        (lambda x: lamina.sum("no"), TypeError, r"sum: input must be a Tensor or an array, got 'no'"),
        (lambda x: x[:0].norm(np.inf), IndexError, r"norm: there is none among no elements: the tensor has shape \(0, 3\)"),
        (lambda x: x[:0].norm(-1), ValueError, r"norm: of order -1 is not defined for no elements"),
        (lambda x: x[:0].argmax(), IndexError, r"argmax: there is none among no elements"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(lamina.ones(2, 3))


# ---- against PyTorch ----


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool"])
def test_types_and_values_are_pytorchs(dtype):
    torch = pytest.importorskip("torch")
    # The same numbers whatever ran before: in some orders PyTorch's product of all overflows before it meets a zero.
    a = np.random.default_rng(5).integers(0, 2 if dtype == "bool" else 6, (4, 5, 6))
    x, y = lamina.tensor(a).to(getattr(lamina, dtype)), torch.tensor(a).to(getattr(torch, dtype))
    calls = [
        lambda m, t: t.sum(), lambda m, t: t.sum(1), lambda m, t: t.sum((0, 2), keepdim=True), lambda m, t: t.nansum(),
        lambda m, t: t.prod(), lambda m, t: t.prod(-1), lambda m, t: t.any(), lambda m, t: t.all(0),
        lambda m, t: t.any(dim=(0, 1)), lambda m, t: t.count_nonzero((1, 2)), lambda m, t: t.amax((0, 1)),
        lambda m, t: t.amin(), lambda m, t: t.max(), lambda m, t: t.max(1)[0],
        lambda m, t: t.sum([]), lambda m, t: t.cumsum(1), lambda m, t: t.cumprod(0),
        lambda m, t: t.sum(dtype=m.float32),
    ]  # fmt: skip
    if dtype in FLOATS:
        calls += [
            lambda m, t: t.mean((0, 1)), lambda m, t: t.std(), lambda m, t: t.var(1, keepdim=True),
            lambda m, t: m.var_mean(t, 2)[1], lambda m, t: t.norm(), lambda m, t: t.norm(1, 0),
            lambda m, t: t.norm(float("inf"), (0, 2)), lambda m, t: t.norm(p=0, dim=1), lambda m, t: t.norm(dim=2),
        ]  # fmt: skip
    for number, call in enumerate(calls):
        got, want = call(lamina, x), call(torch, y)
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1], number
        if dtype in FLOATS:
            assert_close(got, want.double().numpy(), dtype, 60, f"call {number}")
        else:
            np.testing.assert_array_equal(to_numpy(got), want.numpy(), err_msg=f"call {number}")


def test_numpys_names_for_dim_and_keepdim():
    x = lamina.arange(6.0).reshape(2, 3)
    assert x.sum(axis=1, keepdims=True).tolist() == x.sum(1, True).tolist() == [[3], [12]]
    assert lamina.softmax(x, axis=0).tolist() == lamina.softmax(x, 0).tolist()
    assert lamina.cat([x, x], axis=1).tolist() == lamina.cat([x, x], 1).tolist()
    with pytest.raises(TypeError, match="sum: argument 'axis' given twice"):
        x.sum(dim=0, axis=1)
