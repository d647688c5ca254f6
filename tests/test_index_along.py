"""gather and scatter, places along a dimension, masks, embedding, counting."""

import numpy as np
import pytest

import lamina
from checks import check_op, to_numpy

RNG = np.random.default_rng(1)


def tensor(array):
    return lamina.from_numpy(np.array(array, order="C"))


def put_along(array, index, source, dim, add=False):
    out = np.array(array)
    for place in np.ndindex(index.shape):
        to = list(place)
        to[dim] = index[place]
        out[tuple(to)] = out[tuple(to)] + source[place] if add else source[place]
    return out


def take_along(array, index, dim):
    out = np.empty(index.shape, array.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        out[place] = array[tuple(source)]
    return out


SHAPES = [
    ((5,), (7,), 0),
    ((4, 6), (3, 6), 0),
    ((4, 6), (4, 9), 1),
    ((3, 4, 5), (3, 6, 5), 1),
    ((3, 4, 5), (2, 2, 3), -1),
    ((3, 0), (3, 0), 0),
]


@pytest.mark.parametrize("shape, index_shape, dim", SHAPES)
@pytest.mark.parametrize("index_type", [np.int64, np.int32])
def test_gather(shape, index_shape, dim, index_type):
    x = RNG.standard_normal(shape)
    index = RNG.integers(0, max(1, shape[dim]), index_shape).astype(index_type)
    check_op(lambda t: lamina.gather(t, dim, tensor(index)), lambda a: take_along(a, index, dim), x)
    check_op(lambda t: t.gather(dim, tensor(index.T).T), lambda a: take_along(a, index, dim), x)


@pytest.mark.parametrize("shape, index_shape, dim", SHAPES)
def test_scatter(shape, index_shape, dim):
    x, source = RNG.standard_normal(shape), RNG.standard_normal([n + 1 for n in index_shape])
    # Distinct places along the dimension, so that the gradient is defined.
    cut = list(index_shape)
    cut[dim] = min(index_shape[dim], shape[dim])
    order = np.argsort(RNG.random(shape), axis=dim)
    index = order[tuple(slice(n) for n in cut)]
    check_op(lambda t, s: t.scatter(dim, tensor(index), s), lambda a, s: put_along(a, index, s, dim), x, source)
    check_op(
        lambda t: t.scatter(dim, tensor(index), 2.5), lambda a: put_along(a, index, np.full(index.shape, 2.5), dim), x
    )


@pytest.mark.parametrize("shape, index_shape, dim", SHAPES)
def test_scatter_add(shape, index_shape, dim):
    x, source = RNG.standard_normal(shape), RNG.standard_normal(index_shape)
    index = RNG.integers(0, max(1, shape[dim]), index_shape)
    reference = lambda a, s: put_along(a, index, s, dim, add=True)  # noqa: E731
    check_op(lambda t, s: lamina.scatter_add(t, dim, tensor(index), s), reference, x, source, length=8)
    check_op(lambda t, s: t.scatter(dim, tensor(index), s, reduce="add"), reference, x, source, grad=False, length=8)


@pytest.mark.parametrize("dim", [0, 1])
def test_scatter_is_the_same_for_any_number_of_threads(dim):
    shape = (700, 300)
    index, source = RNG.integers(0, 40, shape), RNG.standard_normal(shape).astype(np.float32)
    want = np.zeros((shape[0], 40) if dim else (40, shape[1]), np.float32)
    np.put_along_axis(want, index, source, dim)
    threads, sums = lamina.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            lamina.set_num_threads(n)
            zeros = lamina.from_numpy(np.zeros_like(want))
            np.testing.assert_array_equal(zeros.scatter(dim, tensor(index), tensor(source)).numpy(), want)
            sums.append(zeros.scatter_add(dim, tensor(index), tensor(source)).numpy())
            np.testing.assert_array_equal(
                tensor(want).gather(dim, tensor(index)).numpy(), np.take_along_axis(want, index, dim)
            )
    finally:
        lamina.set_num_threads(threads)
    np.testing.assert_array_equal(sums[0], sums[1])
    np.testing.assert_array_equal(sums[0], sums[2])


def test_take_along_dim():
    x, index = RNG.standard_normal((4, 5)), RNG.integers(0, 4, (2, 1))
    check_op(
        lambda t: lamina.take_along_dim(t, tensor(index), dim=0),
        lambda a: np.take_along_axis(a, np.broadcast_to(index, (2, 5)), 0),
        x,
    )
    flat = RNG.integers(0, 20, 6)
    check_op(lambda t: t.take_along_dim(tensor(flat)), lambda a: a.reshape(-1)[flat], x)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_places_along_a_dimension(dim):
    x, index = RNG.standard_normal((4, 5, 3)), RNG.integers(0, 3, 6)
    source = np.take(RNG.standard_normal((6, 6, 6))[:4, :5, :3], index, axis=dim)
    at = [slice(None)] * 3
    at[dim] = index

    def added(a, s):
        out = np.array(a)
        np.add.at(out, tuple(at), 2 * s)
        return out

    def replaced(a, s):
        out = np.array(a)
        out[tuple(at)] = s
        return out

    check_op(lambda t: lamina.index_select(t, dim, tensor(index)), lambda a: np.take(a, index, axis=dim), x)
    check_op(lambda t, s: t.index_add(dim, tensor(index), s, alpha=2), added, x, source, length=8)
    check_op(lambda t, s: t.index_copy(dim, tensor(index), s), replaced, x, source, grad=(True, False))
    check_op(lambda t: t.index_fill(dim, tensor(index), 0.5), lambda a: replaced(a, 0.5), x)


def test_in_place_kin_change_their_tensor():
    x = tensor(np.zeros((3, 2), np.float32))
    assert x.index_add_(0, lamina.tensor([0, 0]), lamina.tensor([[1.0, 2.0], [3.0, 4.0]])) is x
    x.index_fill_(0, lamina.tensor([1]), 9)
    x.scatter_(1, lamina.tensor([[0], [0], [1]]), 7)
    np.testing.assert_array_equal(x.numpy(), [[7, 6], [7, 9], [0, 7]])
    x.scatter_add_(0, lamina.tensor([[2, 2]]), lamina.tensor([[1.0, 1.0]]))
    x.masked_fill_(x == 9, -1)
    np.testing.assert_array_equal(x.numpy(), [[7, 6], [7, -1], [1, 8]])


def test_take():
    x, index = RNG.standard_normal((4, 5)), RNG.integers(-20, 20, (2, 3))
    check_op(lambda t: lamina.take(t, tensor(index)), lambda a: a.reshape(-1)[index], x)


@pytest.mark.parametrize("index_shape", [(7,), (2, 3), ()])
@pytest.mark.parametrize("padding", [None, 1, -1])
def test_embedding(index_shape, padding):
    weight, index = RNG.standard_normal((5, 4)), RNG.integers(0, 5, index_shape)
    check_op(lambda w: lamina.embedding(tensor(index), w), lambda w: w[index], weight)
    w = tensor(weight)
    w.requires_grad = True
    out = lamina.embedding(tensor(index), w, padding_idx=padding)
    out.backward(tensor(np.ones(out.shape)))
    want = np.repeat(np.bincount(index.reshape(-1), minlength=5)[:, None], 4, axis=1).astype(float)
    if padding is not None:
        want[padding] = 0
    np.testing.assert_array_equal(w.grad.numpy(), want)


def test_embedding_gradient_is_the_same_for_any_number_of_threads():
    index = tensor(RNG.integers(0, 30, (40, 100)))
    weight, dy = (
        RNG.standard_normal((30, 72)).astype(np.float32),
        tensor(RNG.standard_normal((40, 100, 72)).astype(np.float32)),
    )
    threads, grads = lamina.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            lamina.set_num_threads(n)
            w = tensor(weight)
            w.requires_grad = True
            lamina.embedding(index, w).backward(dy)
            grads.append(w.grad.numpy().copy())
    finally:
        lamina.set_num_threads(threads)
    np.testing.assert_array_equal(grads[0], grads[1])
    np.testing.assert_array_equal(grads[0], grads[2])


def test_one_hot():
    index = RNG.integers(0, 4, (3, 2))
    out = lamina.one_hot(tensor(index), 6)
    assert out.dtype is lamina.int64
    np.testing.assert_array_equal(out.numpy(), np.eye(6, dtype=np.int64)[index])
    assert lamina.one_hot(tensor(index)).shape == (3, 2, index.max() + 1)
    assert lamina.one_hot(tensor(np.zeros((0,), np.int64)), 3).shape == (0, 3)


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (), (0, 3), (50_000,), (300, 211)])
@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_nonzero(shape, dtype):
    array = (RNG.random(shape) < 0.3).astype(dtype)
    for given in (array, np.array(array, order="F")):
        t = lamina.from_numpy(given)
        np.testing.assert_array_equal(lamina.nonzero(t).numpy(), np.argwhere(array))
        if shape:
            for got, want in zip(t.nonzero(as_tuple=True), np.nonzero(array), strict=True):
                np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("mask_shape", [(4, 5), (5,), (4, 1)])
def test_masks(mask_shape):
    x, mask = RNG.standard_normal((4, 5)), RNG.random(mask_shape) < 0.5
    wide = np.broadcast_to(mask, (4, 5))
    source = RNG.standard_normal(20)

    def scattered(a, s):
        out = np.array(a)
        out[wide] = s[: wide.sum()]
        return out

    check_op(lambda t: lamina.masked_select(t, tensor(mask)), lambda a: a[wide], x)
    check_op(lambda t, s: t.masked_scatter(tensor(mask), s), scattered, x, source)
    check_op(lambda t: t.clone().masked_fill_(tensor(mask), 3), lambda a: np.where(wide, 3, a), x)


@pytest.mark.parametrize("weights", [None, np.float32, np.float64])
def test_bincount(weights):
    values = RNG.integers(0, 9, 1000)
    w = None if weights is None else RNG.standard_normal(1000).astype(weights)
    got = lamina.bincount(tensor(values), None if w is None else tensor(w), minlength=12)
    np.testing.assert_allclose(got.numpy(), np.bincount(values, w, 12), rtol=1e-4, atol=1e-5)
    assert lamina.bincount(tensor(np.zeros(0, np.int64))).shape == (0,)


@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("repeats", [0, 3, "many"])
def test_repeat_interleave(dim, repeats):
    x = RNG.standard_normal((3, 4))
    n = RNG.integers(0, 4, 12 if dim is None else x.shape[dim]) if repeats == "many" else repeats
    given = tensor(n) if repeats == "many" else n
    check_op(lambda t: lamina.repeat_interleave(t, given, dim=dim), lambda a: np.repeat(a, n, axis=dim), x)


LONG = np.iinfo(np.int64).max
X = tensor(np.zeros((3, 4), np.float32))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: X.gather(1, lamina.tensor([[4]])),
            IndexError,
            "gather: index 4 is out of range for dimension 1 of size 4",
        ),
        (lambda: X.gather(1, lamina.tensor([[-1]])), IndexError, "gather: index -1 is out of range"),
        (lambda: X.gather(1, lamina.tensor([0])), ValueError, "expected an index with 2 dimensions"),
        (lambda: X.gather(1, lamina.tensor([[0.0]])), IndexError, "must be int64 or int32, got float32"),
        (lambda: X.gather(0, tensor(np.zeros((1, 5), np.int64))), ValueError, "is larger than the input of shape"),
        (
            lambda: X.scatter_(0, lamina.tensor([[3]]), 1),
            IndexError,
            "scatter: index 3 is out of range for dimension 0 of size 3",
        ),
        (lambda: X.scatter_(0, lamina.tensor([[LONG]]), 1), IndexError, "is out of range"),
        (lambda: X.scatter_(0, lamina.tensor([[0]]), 1, reduce="multiply"), ValueError, "reduce must be 'add'"),
        (
            lambda: X.scatter_add_(0, lamina.tensor([[0]]), lamina.tensor([[1]])),
            TypeError,
            "expected a source of float32, got int64",
        ),
        (lambda: X.scatter_add_(0, tensor(np.zeros((2, 2), np.int64)), X[:1]), ValueError, "larger than the source"),
        (lambda: X.index_select(0, lamina.tensor([0, -1])), IndexError, "index_select: index -1 is out of range"),
        (
            lambda: X.index_add_(0, lamina.tensor([0]), X),
            ValueError,
            r"expected a source of shape \(1, 4\), got \(3, 4\)",
        ),
        (lambda: X.take(lamina.tensor([12])), IndexError, "take: index 12 is out of range for dimension 0 of size 12"),
        (
            lambda: lamina.embedding(lamina.tensor([3]), X),
            IndexError,
            "embedding: index 3 is out of range for dimension 0 of size 3",
        ),
        (lambda: lamina.embedding(lamina.tensor([0]), X, padding_idx=3), ValueError, "padding_idx 3 is out of range"),
        (lambda: lamina.embedding(lamina.tensor([0.5]), X), IndexError, "got float32"),
        (lambda: lamina.one_hot(lamina.tensor([-1])), ValueError, "must not be negative"),
        (lambda: lamina.one_hot(lamina.tensor([5]), 5), ValueError, "class 5 is not below num_classes 5"),
        (lambda: lamina.one_hot(lamina.tensor([LONG])), ValueError, "is too large"),
        (lambda: lamina.bincount(lamina.tensor([LONG])), ValueError, "is too large"),
        (lambda: X.repeat_interleave(lamina.tensor([1, -1, 1]), 0), ValueError, "must not be negative"),
        (lambda: X.repeat_interleave(lamina.tensor([LONG, LONG, 2]), 0), ValueError, "too many elements"),
        (lambda: X.masked_fill_(X, 1), TypeError, "the mask must be bool, got float32"),
        (lambda: X.masked_scatter_(X == 0, X[0]), ValueError, "the mask chooses 12 elements, the source has 4"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert not X.numpy().any()


def test_against_torch():
    torch = pytest.importorskip("torch")
    x, index = RNG.standard_normal((6, 5)).astype(np.float32), np.argsort(RNG.random((6, 5)))[:, :3].copy()
    source = RNG.standard_normal((6, 3)).astype(np.float32)
    for name, args in [("gather", (1, index)), ("scatter", (1, index, source)), ("scatter_add", (1, index, source))]:
        want = getattr(torch.from_numpy(x), name)(
            *[torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
        )
        got = getattr(tensor(x), name)(*[tensor(a) if isinstance(a, np.ndarray) else a for a in args])
        np.testing.assert_array_equal(to_numpy(got), want.numpy())
