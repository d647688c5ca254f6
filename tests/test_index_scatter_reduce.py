"""scatter_reduce: values against NumPy, gradients against finite differences and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from checks import check_op, to_numpy

RNG = np.random.default_rng(12)
FOLDS = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}


def reference(array, index, source, dim, fold, include_self):
    went = {}
    for place in np.ndindex(index.shape):
        to = list(place)
        to[dim] = index[place]
        went.setdefault(tuple(to), []).append(source[place])
    out = np.array(array)
    for to, values in went.items():
        out[to] = FOLDS[fold]([array[to], *values] if include_self else values)
    return out


SHAPES = [
    ((5,), (9,), (9,), 0),
    ((4, 6), (3, 6), (4, 6), 0),
    ((4, 6), (4, 11), (4, 11), 1),
    ((3, 4, 5), (2, 7, 3), (3, 8, 3), -2),
    ((3, 4), (0, 4), (2, 4), 0),
    ((1, 1), (1, 1), (1, 1), 1),
]


@pytest.mark.parametrize("shape, index_shape, source_shape, dim", SHAPES)
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("fold", FOLDS)
def test_values_and_gradients(fold, include_self, shape, index_shape, source_shape, dim):
    index = RNG.integers(0, shape[dim], index_shape)
    x, s = RNG.uniform(0.5, 2, shape), RNG.uniform(0.5, 2, source_shape)
    where_to = lamina.tensor(index)
    check_op(
        lambda t, u: t.scatter_reduce(dim, where_to, u, fold, include_self=include_self),
        lambda a, b: reference(a, index, b, dim, fold, include_self),
        x,
        s,
        length=16,
    )


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("fold", FOLDS)
def test_ties_and_zeros_share_gradients_as_in_torch(fold, include_self):
    torch = pytest.importorskip("torch")
    for dim in (0, 1, -1):
        index = RNG.integers(0, 3, (3, 4, 3))
        # An element left out ties with none of the others: of such PyTorch's gradient counts it in.
        x = RNG.integers(-2, 3, (3, 4, 3)).astype(np.float64) + (0.5 if not include_self else 0)
        s, weight = RNG.integers(-2, 3, index.shape).astype(np.float64), RNG.normal(size=x.shape)
        grads = []
        for library in (lamina, torch):
            a, b = library.tensor(x, requires_grad=True), library.tensor(s, requires_grad=True)
            y = a.scatter_reduce(dim, library.tensor(index), b, fold, include_self=include_self)
            (y * library.tensor(weight)).sum().backward()
            grads.append((y.detach().numpy(), a.grad.numpy(), b.grad.numpy()))
        for ours, theirs in zip(*grads, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_one_that_is_left_out_has_no_gradient_and_no_part_in_ties():
    x, s = lamina.tensor([5.0, 1.0], requires_grad=True), lamina.tensor([5.0, 5.0], requires_grad=True)
    x.scatter_reduce(0, lamina.tensor([0, 0]), s, "amax", include_self=False).sum().backward()
    assert x.grad.tolist() == [0, 1] and s.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float16", "bfloat16"])
@pytest.mark.parametrize("fold", FOLDS)
def test_other_types(fold, dtype):
    index, x, s = RNG.integers(0, 4, (9,)), RNG.integers(1, 3, (4,)), RNG.integers(1, 3, (9,))
    for include_self in (True, False):
        a, b = (lamina.tensor(v).to(getattr(lamina, dtype)) for v in (x, s))
        y = a.scatter_reduce(0, lamina.tensor(index), b, fold, include_self=include_self)
        want = reference(x.astype(np.float64), index, s, 0, fold, include_self)
        want = want if y.is_floating_point() else np.floor(want)
        assert y.dtype is a.dtype
        np.testing.assert_allclose(to_numpy(y), want, rtol=2**-7 if y.is_floating_point() else 0)


def test_nan_is_the_most_extreme():
    x, s = lamina.tensor([1.0, 2.0]), lamina.tensor([float("nan"), 7.0])
    for fold in ("amax", "amin"):
        y = x.scatter_reduce(0, lamina.tensor([0, 0]), s, fold).numpy()
        assert np.isnan(y[0]) and y[1] == 2


def test_in_place_and_of_a_number():
    x = lamina.tensor([1.0, 2.0])
    assert x.scatter_reduce_(0, lamina.tensor([1]), lamina.tensor([5.0]), "prod") is x and x.tolist() == [1, 10]
    y = lamina.tensor(3.0).scatter_reduce(0, lamina.tensor(0), lamina.tensor(4.0), "mean")
    assert y.shape == () and y.item() == 3.5


def test_the_same_bits_for_any_thread_count(set_threads):
    index, source = lamina.tensor(RNG.integers(0, 50, (300, 4000))), lamina.tensor(RNG.normal(size=(300, 4000)))
    runs = set()
    for threads in (1, 2, 5):
        set_threads(threads)
        runs.add(lamina.ones(300, 50, dtype=lamina.float64).scatter_reduce(1, index, source, "mean").numpy().tobytes())
    assert len(runs) == 1


@pytest.mark.parametrize(
    "change, kind, message",
    [
        ({"reduce": "max"}, ValueError, "scatter_reduce: reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin'"),
        ({"index": [[7]]}, IndexError, "scatter_reduce: .*7"),
        ({"index": [0]}, ValueError, "scatter_reduce: expected an index with 2 dimensions"),
        ({"index": [[0.5]]}, IndexError, "scatter_reduce: an index must be int64 or int32"),
        ({"src": [[1]]}, TypeError, "scatter_reduce: expected a source of float32, got int64"),
        ({"src": [1.0]}, ValueError, "scatter_reduce: expected a source with 2 dimensions"),
        ({"dim": 2}, IndexError, "scatter_reduce"),
        ({"src": None}, TypeError, "scatter_reduce: src must be a Tensor, got None"),
    ],
)
def test_errors(change, kind, message):
    given = {"dim": 1, "index": [[0, 2]], "src": [[1.0, 2.0]], "reduce": "sum"} | change
    given = {k: lamina.tensor(v) if isinstance(v, list) else v for k, v in given.items()}
    with pytest.raises(kind, match=message):
        lamina.ones(2, 3).scatter_reduce(**given)
