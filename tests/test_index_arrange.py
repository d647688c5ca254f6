"""Joining, taking apart, rearranging, padding."""

import numpy as np
import pytest

import lamina
from checks import check_op, to_numpy

RNG = np.random.default_rng(2)
X = RNG.standard_normal((3, 4, 5))


def tensor(array):
    return lamina.from_numpy(np.array(array, order="C"))


# ---- joining ----


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat(dim):
    shapes = [[3, 4, 5], [3, 4, 5], [3, 4, 5]]
    for n, shape in zip((2, 0, 7), shapes, strict=True):
        shape[dim] = n
    parts = [RNG.standard_normal(s) for s in shapes]
    check_op(lambda *t: lamina.cat(t, dim), lambda *a: np.concatenate(a, dim), *parts)
    check_op(lambda *t: lamina.concat(list(t), dim=dim), lambda *a: np.concatenate(a, dim), *parts, grad=False)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_stack(dim):
    parts = [RNG.standard_normal((3, 4)) for _ in range(3)]
    check_op(lambda *t: lamina.stack(t, dim), lambda *a: np.stack(a, dim), *parts)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 2)])
def test_hstack_and_vstack(shape):
    parts = [RNG.standard_normal(shape) for _ in range(2)]
    check_op(lambda *t: lamina.hstack(t), lambda *a: np.hstack(a), *parts)
    check_op(lambda *t: lamina.vstack(t), lambda *a: np.vstack(a), *parts)


def test_joining_promotes():
    a, b = lamina.tensor([1, 2]), lamina.tensor([0.5])
    assert lamina.cat([a, b]).dtype is lamina.float32
    assert lamina.cat([a, lamina.tensor([True])]).tolist() == [1, 2, 1]
    assert lamina.stack([a, lamina.tensor([0.5, 1.5])]).tolist() == [[1, 2], [0.5, 1.5]]
    x = lamina.tensor([1.0]).to(lamina.float16)
    x.requires_grad = True
    lamina.cat([x, b]).backward(lamina.tensor([2.0, 3.0]))
    assert x.grad.dtype is lamina.float16 and x.grad.item() == 2


def test_cat_passes_over_tensors_without_elements():
    assert lamina.cat([lamina.tensor(np.zeros(0)), tensor(X)], 1).shape == X.shape
    assert lamina.cat([lamina.tensor(np.zeros(0))]).shape == (0,)


# ---- taking apart ----

PARTS = [
    ("split", (2,), 0, [2, 1]),
    ("split", (2, 1), 1, [2, 2]),
    ("split", ([1, 0, 3], 1), 1, [1, 0, 3]),
    ("split", (100, -1), 2, [5]),
    ("chunk", (3, 2), 2, [2, 2, 1]),
    ("chunk", (4, 2), 2, [2, 2, 1]),
    ("chunk", (2,), 0, [2, 1]),
    ("tensor_split", (3, 2), 2, [2, 2, 1]),
    ("tensor_split", (7, 2), 2, [1, 1, 1, 1, 1, 0, 0]),
    ("tensor_split", ([1, 3], 2), 2, [1, 2, 2]),
]


@pytest.mark.parametrize("name, args, dim, lengths", PARTS)
def test_parts_are_views(name, args, dim, lengths):
    x = tensor(X)
    want = np.split(X, np.cumsum(lengths)[:-1], axis=dim)
    for parts in (getattr(x, name)(*args), getattr(lamina, name)(x, *args)):
        assert isinstance(parts, tuple) and len(parts) == len(want)
        for got, part in zip(parts, want, strict=True):
            np.testing.assert_array_equal(got.numpy(), part)
            assert not part.size or np.shares_memory(got.numpy(), x.numpy())


@pytest.mark.parametrize("name, args, dim, lengths", PARTS)
def test_gradient_of_parts(name, args, dim, lengths):
    """Some parts are used twice, some not at all."""
    x = tensor(X)
    x.requires_grad = True
    parts = getattr(x, name)(*args)
    lamina.cat([parts[0], parts[0], parts[-1]], dim).backward(
        tensor(np.ones_like(np.concatenate([p.detach().numpy() for p in (parts[0], parts[0], parts[-1])], dim)))
    )
    want = np.zeros_like(X)
    np.split(want, np.cumsum(lengths)[:-1], axis=dim)[0][...] += 2
    np.split(want, np.cumsum(lengths)[:-1], axis=dim)[-1][...] += 1
    np.testing.assert_array_equal(x.grad.numpy(), want)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_unbind(dim):
    for got, want in zip(tensor(X).unbind(dim), np.moveaxis(X, dim, 0), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    check_op(lambda t: lamina.stack(t.unbind(dim)[1:], 0), lambda a: np.moveaxis(a, dim, 0)[1:], X)


def test_changing_a_part_changes_the_whole():
    x = tensor(X)
    x.requires_grad = True
    y = x * 1
    parts = y.split(2, 1)
    parts[0].zero_()
    y.backward(tensor(np.ones_like(X)))
    want = np.ones_like(X)
    want[:, :2] = 0
    np.testing.assert_array_equal(x.grad.numpy(), want)
    np.testing.assert_array_equal(y.detach().numpy()[:, :2], 0)


def test_overlapping_parts():
    x = tensor(np.arange(5.0))
    assert [p.tolist() for p in x.tensor_split([3, 1])] == [[0, 1, 2], [], [1, 2, 3, 4]]


# ---- rearranging ----


@pytest.mark.parametrize("dims", [(0,), (1, 2), (-1, 0), ()])
def test_flip(dims):
    check_op(lambda t: lamina.flip(t, dims), lambda a: np.flip(a, dims), X)
    check_op(lambda t: t.flip(*dims), lambda a: np.flip(a, dims), X, grad=False)


@pytest.mark.parametrize(
    "shifts, dims", [(1, 0), (-2, 1), (7, -1), ((1, 2), (0, 2)), (3, None), (0, 1), ((1, 1, 1), (0, 1, 2))]
)
def test_roll(shifts, dims):
    check_op(lambda t: lamina.roll(t, shifts, dims), lambda a: np.roll(a, shifts, dims), X)


@pytest.mark.parametrize("repeats", [(2, 1, 3), (1, 1, 1), (2, 1, 2, 3), (0, 1, 1)])
def test_repeat(repeats):
    check_op(lambda t: t.repeat(*repeats), lambda a: np.tile(a, repeats), X)
    assert not np.shares_memory(tensor(X).repeat(1, 1, 1).numpy(), X)


@pytest.mark.parametrize("dims", [(2,), (2, 3), (2, 1, 1, 2)])
def test_tile(dims):
    check_op(lambda t: lamina.tile(t, dims), lambda a: np.tile(a, dims), X)


@pytest.mark.parametrize("diagonal", [0, 1, -2, 9, -9])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles(name, diagonal):
    check_op(lambda t: getattr(t, name)(diagonal), lambda a: getattr(np, name)(a, diagonal), X)
    ints = tensor(np.ones((3, 3), np.int32))
    assert getattr(lamina, name)(ints).dtype is lamina.int32
    assert getattr(lamina, name)(ints > 0).dtype is lamina.bool


@pytest.mark.parametrize("offset", [0, 1, -2])
def test_diag(offset):
    check_op(lambda t: lamina.diag(t, offset), lambda a: np.diag(a, offset), X[0])
    check_op(lambda t: t.diag(offset), lambda a: np.diag(a, offset), X[0, 0])
    check_op(lambda t: lamina.diag_embed(t, offset), lambda a: np.stack([np.diag(r, offset) for r in a]), X[0])


def test_movedim():
    check_op(lambda t: t.movedim(0, -1), lambda a: np.moveaxis(a, 0, -1), X)
    check_op(lambda t: lamina.movedim(t, (0, 1), (2, 0)), lambda a: np.moveaxis(a, (0, 1), (2, 0)), X)


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrid(indexing):
    parts = [RNG.standard_normal(n) for n in (3, 4, 2)]
    for got, want in zip(
        lamina.meshgrid(*map(tensor, parts), indexing=indexing), np.meshgrid(*parts, indexing=indexing), strict=True
    ):
        np.testing.assert_array_equal(got.numpy(), want)


# ---- padding ----


def numpy_pad(a, pads, mode, value=0.0):
    widths = [(0, 0)] * (a.ndim - len(pads) // 2) + [tuple(pads[i : i + 2]) for i in range(len(pads) - 2, -1, -2)]
    cut = tuple(slice(max(0, -b), n - max(0, -e)) for (b, e), n in zip(widths, a.shape, strict=True))
    kinds = {"constant": {"mode": "constant", "constant_values": value}, "reflect": {"mode": "reflect"}}
    kinds |= {"replicate": {"mode": "edge"}, "circular": {"mode": "wrap"}}
    return np.pad(a[cut], [(max(0, b), max(0, e)) for b, e in widths], **kinds[mode])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pads", [(1, 2), (0, 3), (2, 1, 1, 3), (-1, 2), (0, 0), (-1, -1, 2, 0), (1, 1, 2, 2, 1, 1)])
def test_pad(mode, pads):
    check_op(lambda t: lamina.pad(t, pads, mode), lambda a: numpy_pad(a, pads, mode), X)


def test_pad_value():
    check_op(lambda t: lamina.pad(t, (1, 1), value=2.5), lambda a: numpy_pad(a, (1, 1), "constant", 2.5), X)
    assert lamina.pad(lamina.tensor([1]), (1, 0), value=7).tolist() == [7, 1]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: lamina.cat([]), ValueError, "cat: expected at least one tensor"),
        (lambda x: lamina.cat([x, x[0]]), ValueError, "numbers of dimensions differ"),
        (lambda x: lamina.cat([x, x[:, :2]]), ValueError, "sizes may differ in dimension 0 only"),
        (lambda x: lamina.cat([x[0, 0, 0]]), ValueError, "use stack"),
        (lambda x: lamina.stack([x, x[:2]]), ValueError, r"stack: tensor 1 has shape \(2, 4, 5\)"),
        (lambda x: x.split(0), ValueError, "must be positive, got 0"),
        (lambda x: x.split([1, 1]), ValueError, "the sizes leave 1 of 3"),
        (lambda x: x.split([3, 2**62, 2**62]), ValueError, "add up to more than 3"),
        (lambda x: x.chunk(0), ValueError, "positive number of chunks"),
        (lambda x: x.unbind(3), IndexError, "unbind: dim 3 is out of range"),
        (lambda x: x.flip(0, 0), ValueError, "dimension 0 appears twice"),
        (lambda x: x.roll((1, 2), 0), ValueError, "2 shifts for 1 dims"),
        (lambda x: x.repeat(2), ValueError, "expected at least 3 repeats"),
        (lambda x: x.repeat(-1, 1, 1), ValueError, "must not be negative"),
        (lambda x: x[0, 0].tril(), ValueError, "tril: needs at least 2 dimensions"),
        (lambda x: lamina.diag(x), ValueError, "diag: expected 1 or 2 dimensions"),
        (lambda x: x.movedim((0, 1), 0), ValueError, "2 sources for 1 destinations"),
        (lambda x: lamina.meshgrid(x), ValueError, "expected tensors of 0 or 1 dimension"),
        (lambda x: lamina.pad(x, (1,)), ValueError, "an even number of sizes, got 1"),
        (lambda x: lamina.pad(x, (1,) * 8), ValueError, "sizes for 4 dimensions"),
        (lambda x: lamina.pad(x, (-3, -3)), ValueError, "cannot be put around dimension 2 of size 5"),
        (lambda x: lamina.pad(x, (5, 0), "reflect"), ValueError, "reflect needs borders smaller than the size 5"),
        (lambda x: lamina.pad(x, (6, 0), "circular"), ValueError, "circular needs borders no larger"),
        (lambda x: lamina.pad(x, (1, 0), "mirror"), ValueError, "got 'mirror'"),
        (lambda x: lamina.pad(x, (2**63 - 1, 2**63 - 1)), ValueError, "cannot be put around"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(tensor(X))


def test_against_torch():
    torch = pytest.importorskip("torch")
    x = X.astype(np.float32)
    for mode in ("reflect", "replicate", "circular", "constant"):
        want = torch.nn.functional.pad(torch.from_numpy(x), (2, 1), mode)
        np.testing.assert_array_equal(to_numpy(lamina.pad(tensor(x), (2, 1), mode)), want.numpy())
    for name, args in [("chunk", (3, 2)), ("split", (2, 1)), ("tensor_split", (2, 2))]:
        want = getattr(torch.from_numpy(x), name)(*args)
        for a, b in zip(getattr(tensor(x), name)(*args), want, strict=True):
            np.testing.assert_array_equal(to_numpy(a), b.numpy())
