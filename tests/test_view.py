"""Views: their geometry, that they share memory, gradients through them, writes through them. PyTorch is the reference
where it is installed; what NumPy has too is checked without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.autograd import gradcheck

SHAPE = (3, 4, 6)
HUGE = [2**31, 2**62, 2**63 - 1]

# name: a view of a tensor of SHAPE, written with the methods that both libraries have
VIEWS = {
    "whole": lambda x: x[...],
    "integer": lambda x: x[1],
    "negative integer": lambda x: x[-1, :, -2],
    "slices": lambda x: x[1:, :2, 3:5],
    "steps": lambda x: x[::2, 1::2, ::3],
    "negative bounds": lambda x: x[-2:, :-1, -4:-1],
    "clipped bounds": lambda x: x[-100:100, 2:100, 5:2],
    "huge step": lambda x: x[1 :: 2**40, :: 2**31],
    "new axes": lambda x: x[None, :, 1:, None, 2],
    "ellipsis": lambda x: x[..., 1],
    "transpose": lambda x: x.transpose(0, 2),
    "transpose negative": lambda x: x.transpose(-1, -2),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "permute": lambda x: x.permute(2, 0, 1),
    "T": lambda x: x[0].T,
    "t": lambda x: x[0].t(),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "movedim several": lambda x: x.movedim((0, 2), (1, 0)),
    "view": lambda x: x.view(12, 6),
    "view -1": lambda x: x.view(2, -1),
    "view of steps": lambda x: x[:, ::2].view(3, 2, 2, 3),
    "reshape": lambda x: x.reshape(4, 18),
    "reshape of transposed": lambda x: x.transpose(0, 1).reshape(4, 3, 2, 3),
    "flatten": lambda x: x.flatten(1),
    "squeeze": lambda x: x[:1, :, 2:3].squeeze(),
    "squeeze dim": lambda x: x[:1, :, 2:3].squeeze(2),
    "squeeze of nothing": lambda x: x.squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "unsqueeze last": lambda x: x.unsqueeze(-1),
    "select": lambda x: x.select(1, -1),
    "narrow": lambda x: x.narrow(2, 1, 4),
    "narrow negative": lambda x: x.narrow(1, -3, 2),
    "narrow empty": lambda x: x.narrow(1, 4, 0),
    "diagonal": lambda x: x.diagonal(),
    "diagonal above": lambda x: x.diagonal(2, 1, 2),
    "diagonal below": lambda x: x.diagonal(-1, 2, 0),
    "diagonal outside": lambda x: x.diagonal(2**62),
    "unfold without overlap": lambda x: x.unfold(2, 2, 3),
    "unfold exact": lambda x: x.unfold(1, 2, 2),
    "as_strided": lambda x: x.as_strided((2, 3), (7, 2), 5),
    "as_strided transposed": lambda x: x.as_strided((6, 4), (1, 6)),
    "split": lambda x: x.split(4, 2)[1],
    "split sizes": lambda x: x.split([1, 0, 5], -1)[2],
    "chunk": lambda x: x.chunk(3, 1)[1],
    "tensor_split": lambda x: x.tensor_split(4, 2)[1],
    "tensor_split at": lambda x: x.tensor_split((1, 4), 2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "view of view of view": lambda x: x.permute(1, 2, 0)[1:, ::2].transpose(0, 2)[1].unsqueeze(0),
}
# These reach some elements more than once.
OVERLAPPING = {
    "expand": lambda x: x[:, :1].expand(3, 4, 6),
    "expand new": lambda x: x.expand(2, 3, 4, 6),
    "expand -1": lambda x: x[:1].expand(5, -1, -1),
    "expand_as": lambda x: x[:, :, :1].expand_as(x),
    "unfold": lambda x: x.unfold(2, 3, 1),
    "unfold rows": lambda x: x.unfold(1, 2, 1),
    "unfold twice": lambda x: x.unfold(1, 2, 1).unfold(2, 3, 2),
    "as_strided overlapping": lambda x: x.as_strided((4, 4), (1, 1), 2),
    "as_strided of zero stride": lambda x: x.as_strided((2, 3), (0, 5)),
}
ALL = {**VIEWS, **OVERLAPPING}


def source() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, SHAPE)


# ---- against PyTorch ----


@pytest.mark.parametrize("name", ALL)
def test_geometry_and_values(name):
    torch = pytest.importorskip("torch")
    x, x_t = lamina.tensor(source()), torch.tensor(source())
    y, y_t = ALL[name](x), ALL[name](x_t)
    assert y.shape == tuple(y_t.shape) and y.tolist() == y_t.tolist()
    assert y.is_contiguous() == y_t.is_contiguous()
    if y.numel():
        assert y.storage_offset() == y_t.storage_offset()
        strides = [(a, b) for a, b, n in zip(y.stride(), y_t.stride(), y.shape, strict=True) if n > 1]
        assert all(a == b for a, b in strides), (y.stride(), y_t.stride())


@pytest.mark.parametrize("name", ALL)
def test_gradient(name):
    torch = pytest.importorskip("torch")
    x, x_t = lamina.tensor(source(), requires_grad=True), torch.tensor(source(), requires_grad=True)
    y, y_t = ALL[name](x * 2), ALL[name](x_t * 2)
    weight = np.random.default_rng(1).uniform(-1, 1, y.shape)
    (y * lamina.tensor(weight)).sum().backward()
    (y_t * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), x_t.grad.numpy(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", VIEWS)
def test_gradient_of_a_leaf_itself(name):
    x = lamina.tensor(source(), requires_grad=True)
    y = VIEWS[name](x)
    weight = np.random.default_rng(1).uniform(-1, 1, y.shape)
    y.backward(lamina.tensor(weight))
    shown = VIEWS[name](lamina.arange(x.numel()).reshape(SHAPE)).flatten().tolist()
    want = np.zeros(x.numel())
    want[shown] = weight.ravel()
    np.testing.assert_array_equal(x.grad.numpy().ravel(), want)
    assert x.grad.is_contiguous()


@pytest.mark.parametrize("name", VIEWS)
def test_writes_reach_the_source(name):
    """Every element of a view is one of its source's, and nothing else is touched."""
    x = lamina.zeros(SHAPE, dtype=lamina.float64)
    places = VIEWS[name](lamina.arange(x.numel()).reshape(SHAPE))
    y = VIEWS[name](x)
    y.copy_(lamina.arange(1.0, 1 + y.numel(), dtype=lamina.float64).reshape(y.shape))
    y *= 2
    want = np.zeros(x.numel())
    want[places.flatten().tolist()] = 2 * np.arange(1.0, 1 + y.numel())
    assert x.flatten().tolist() == want.tolist()
    if y.numel():
        assert x._version == y._version > 0


@pytest.mark.parametrize("name", VIEWS)
def test_writes_with_gradients(name):
    """The source's history goes through the write, the view's through the source."""
    torch = pytest.importorskip("torch")
    if name in ("split", "split sizes", "chunk", "tensor_split", "tensor_split at", "unbind"):
        pytest.skip("PyTorch refuses to write to one of several views")
    results = []
    for library, tensor in ((lamina, lamina.tensor), (torch, torch.tensor)):
        x, w = tensor(source(), requires_grad=True), tensor(2.5, dtype=library.float64, requires_grad=True)
        h = x * 3
        y = VIEWS[name](h)
        y.mul_(w)
        y.add_(y.detach() * 0 + w)
        total = (h * h).sum() + (y * tensor(np.random.default_rng(2).uniform(0, 1, tuple(y.shape)))).sum()
        total.backward()
        results.append((total.item(), x.grad.tolist(), w.grad.item()))
    ours, theirs = results
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "parts", [lambda h: h.unbind(0), lambda h: h.split(1), lambda h: h.chunk(3), lambda h: h.tensor_split(3)]
)
def test_writes_to_one_of_several_parts(parts):
    """PyTorch refuses these; here they are right."""

    def f(x, w):
        h = x * 3
        a, b, c = parts(h)
        b.mul_(w)
        a.add_(b)
        return h * h, a * b, c + b

    x, w = lamina.tensor(source()[:, 0], requires_grad=True), lamina.tensor(source()[1, 1], requires_grad=True)
    assert gradcheck(f, (x, w))


def test_views_of_views_of_one_base():
    def f(x, w):
        h = x * 1
        even, odd, row = h[:, ::2], h[:, 1::2], h[1]
        even.mul_(w)  # row sees half of it
        row[1:4].add_(odd[0, :2].sum())
        row.T.mul_(3.0)
        corner = even[1:][:, :1]
        corner *= odd[1:, :1]
        return h, even * odd, row, corner

    x, w = lamina.tensor(source()[:, 0], requires_grad=True), lamina.tensor(source()[0, :1, :3], requires_grad=True)
    assert gradcheck(f, (x, w))


def test_views_of_what_becomes_differentiable_later():
    base, w = lamina.zeros(4, dtype=lamina.float64), lamina.tensor([1.0, 2.0], dtype=lamina.float64, requires_grad=True)
    left, right, wide = base[:2], base[2:], base.expand(3, 4)
    assert not left.requires_grad
    right.add_(w)
    assert base.requires_grad and left.requires_grad and wide.requires_grad and right.requires_grad
    (
        left.sum() * 5 + (right * 2).sum() + (wide * lamina.tensor([[1.0], [10], [100]], dtype=lamina.float64)).sum()
    ).backward()
    assert w.grad.tolist() == [113, 113]
    integers = lamina.arange(4)
    view = integers[:2]
    integers.add_(1)
    assert not view.requires_grad


@pytest.mark.parametrize("layout", ["holes", "reversed", "transposed"])
def test_writes_with_gradients_to_memory_of_any_layout(layout):
    array = np.arange(24.0).reshape(4, 6)
    array = {"holes": array[::2, ::3], "reversed": array[::-1, ::-1], "transposed": array.T}[layout].copy(order="K")
    if layout == "holes":
        array = np.arange(24.0).reshape(4, 6)[::2, ::3]
    if layout == "reversed":
        array = array[::-1, ::-1]
    h, w = lamina.from_numpy(array), lamina.tensor(3.0, dtype=lamina.float64, requires_grad=True)
    before = array.copy()
    row = h[1]
    h.mul_(w)
    row[0].mul_(w)
    (h * h).sum().backward()
    powers = np.full(h.shape, 2.0)
    powers[1, 0] = 4
    assert w.grad.item() == pytest.approx((before**2 * powers * 3 ** (powers - 1)).sum())


def test_writes_to_what_overlaps_itself_are_refused():
    x = lamina.arange(72.0).reshape(SHAPE)
    for name, view in OVERLAPPING.items():
        y = view(x)
        for write in (lambda y=y: y.add_(1), lambda y=y: y.fill_(0), lambda y=y: y.copy_(y.clone()), lambda y=y: y.exp_(),
                      lambda y=y: y.masked_fill_(y > 0, 1.0)):  # fmt: skip
            with pytest.raises(RuntimeError, match="is expanded or overlaps itself"):
                write()
        assert x.tolist() == np.arange(72.0).reshape(SHAPE).tolist(), name


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(-6, 12)), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_overlap_is_told_exactly(dims):
    shape, strides = zip(*dims, strict=True)
    first = -sum(min(0, (n - 1) * s) for n, s in dims)
    memory = lamina.zeros(200)
    y = memory.as_strided(shape, strides, first)
    places = first + sum(np.arange(n).reshape([-1] + [1] * (len(dims) - 1 - i)) * s for i, (n, s) in enumerate(dims))
    distinct = len(np.unique(places)) == np.size(places)
    if distinct:
        y.add_(1)
        assert memory.sum().item() == y.numel() and (y == 1).all()
    else:
        with pytest.raises(RuntimeError, match="overlaps itself"):
            y.add_(1)


def test_operands_that_overlap_the_result():
    for write, want in [
        (lambda x: x[1:].copy_(x[:-1]), [0, 0, 1, 2, 3, 4, 5, 6]),
        (lambda x: x[:-1].copy_(x[1:]), [1, 2, 3, 4, 5, 6, 7, 7]),
        (lambda x: x[1:].add_(x[:-1]), [0, 1, 3, 5, 7, 9, 11, 13]),
        (lambda x: x[::2].mul_(x[:4]), [0, 1, 2, 3, 8, 5, 18, 7]),
        (lambda x: x.view(2, 4).copy_(x.view(4, 2).T), [0, 2, 4, 6, 1, 3, 5, 7]),
        (lambda x: x.add_(x[0]), [0, 1, 2, 3, 4, 5, 6, 7]),
        (lambda x: x.add_(x[7]), [7, 8, 9, 10, 11, 12, 13, 14]),
        (lambda x: x[:4].copy_(x[3:4].expand(4)), [3, 3, 3, 3, 4, 5, 6, 7]),
        (lambda x: x.__setitem__(slice(0, 4), x[4:]), [4, 5, 6, 7, 4, 5, 6, 7]),
        (lambda x: x.__setitem__(lamina.tensor([1, 0]), x[:2]), [1, 0, 2, 3, 4, 5, 6, 7]),
    ]:
        x = lamina.arange(8.0)
        write(x)
        assert x.tolist() == want


# ---- against NumPy ----


@st.composite
def subscripts(draw):
    bound = st.none() | st.integers(-9, 9) | st.sampled_from([-(2**63), 2**63 - 1, 2**80, -(2**80)])
    step = st.none() | st.integers(1, 4) | st.sampled_from(HUGE)
    item = st.one_of(
        st.integers(-4, 4),
        st.builds(slice, bound, bound, step),
        st.just(None),
        st.just(...),
        st.builds(slice, bound, bound),
    )
    return tuple(draw(st.lists(item, max_size=5)))


@given(subscripts(), st.booleans())
@settings(max_examples=600, deadline=None, derandomize=True)
def test_any_subscript_is_numpys(key, transposed):
    a = np.arange(24).reshape(2, 3, 4)
    x = lamina.tensor(a)
    if transposed:
        a, x = a.T, x.permute(2, 1, 0)
    try:
        want = a[key]
    except IndexError:
        with pytest.raises(IndexError):
            x[key]
        return
    if want.ndim > 8:
        return
    got = x[key]
    assert got.shape == want.shape and got.tolist() == want.tolist()
    if want.size and want.ndim:
        assert np.shares_memory(got.numpy(), x.numpy())
    written = x.clone()
    written[key] = -1
    expected = a.copy()
    expected[key] = -1
    assert written.tolist() == expected.tolist()


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_chain_of_views_is_numpys(data):
    a = np.arange(24.0).reshape(2, 3, 4)
    x = lamina.tensor(a)
    base = x
    for _ in range(data.draw(st.integers(1, 5))):
        n = a.ndim
        kind = data.draw(st.sampled_from(["permute", "slice", "select", "unsqueeze", "reshape", "diagonal"]))
        if kind == "permute":
            order = data.draw(st.permutations(range(n)))
            a, x = a.transpose(order), x.permute(order)
        elif kind == "slice" and n:
            d, start, step = (
                data.draw(st.integers(0, n - 1)),
                data.draw(st.integers(0, 3)),
                data.draw(st.integers(1, 3)),
            )
            key = (slice(None),) * d + (slice(start, None, step),)
            a, x = a[key], x[key]
        elif kind == "select" and n and a.size:
            d = data.draw(st.integers(0, n - 1))
            i = data.draw(st.integers(-a.shape[d], a.shape[d] - 1))
            a, x = a[(slice(None),) * d + (i,)], x.select(d, i)
        elif kind == "unsqueeze" and n < 6:
            d = data.draw(st.integers(0, n))
            a, x = np.expand_dims(a, d), x.unsqueeze(d)
        elif kind == "reshape":
            a, x = a.reshape(-1), x.reshape(-1)
        elif kind == "diagonal" and n >= 2:
            offset = data.draw(st.integers(-3, 3))
            a, x = a.diagonal(offset, 0, 1), x.diagonal(offset, 0, 1)
    assert x.shape == a.shape and x.tolist() == a.tolist()
    assert (x.clone() + 0).tolist() == a.tolist()
    assert base.tolist() == np.arange(24.0).reshape(2, 3, 4).tolist()


# ---- sharing, and when not ----


def test_squeeze_of_several_dimensions():
    x = lamina.zeros(1, 2, 1, 3, 1, requires_grad=True)
    assert x.squeeze((0, -1)).shape == (2, 1, 3)
    assert lamina.squeeze(x, [2, 1]).shape == (1, 2, 3, 1)  # those that are not of size 1 stay
    assert x.squeeze(()).shape == x.shape
    x.squeeze((0, 2)).sum().backward()
    assert x.grad.shape == x.shape
    with pytest.raises(ValueError, match="squeeze: dimension -5 appears twice in"):
        x.squeeze((0, -5))
    with pytest.raises(IndexError, match="squeeze: dim 5 is out of range"):
        x.squeeze((0, 5))


def test_what_is_a_view_and_what_is_a_copy():
    x = lamina.arange(24).reshape(4, 6)
    for view in (x.T, x[1:], x.reshape(24), x.view(-1), x.flatten(), x.squeeze(), x.expand(2, 4, 6), x.contiguous()):
        assert memory_of(view) == memory_of(x)
    for copy in (x.T.reshape(24), x.T.flatten(), x.T.contiguous(), x.clone(), x[lamina.tensor([0])], x[x > 3], x + 0):
        assert memory_of(copy) != memory_of(x)
    with pytest.raises(
        RuntimeError, match=r"view: memory of shape \(6, 4\) and strides \(1, 6\) cannot be seen as \(24,\)"
    ):
        x.T.view(24)


def memory_of(t: lamina.Tensor) -> int:
    return t.data_ptr() - t.storage_offset() * t.element_size()


# ---- bad arguments ----


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: x[::-1], ValueError, "slice: step must be greater than zero, got -1"),
        (lambda x: x[::0], ValueError, "zero"),
        (lambda x: x[3], IndexError, "index 3 is out of range for dimension 0 of size 3"),
        (lambda x: x[0, -5], IndexError, "index -5 is out of range for dimension 1 of size 4"),
        (lambda x: x[2**62], IndexError, "out of range"),
        (lambda x: x[2**70], IndexError, "."),
        (lambda x: x[0, 0, 0, 0], IndexError, "too many indices: 4 for a tensor with 3 dimensions"),
        (lambda x: x[..., ...], IndexError, "only one ellipsis"),
        (lambda x: x[1.5], IndexError, "an index must be an integer, got float"),
        (lambda x: x["a"], TypeError, "got str"),
        (lambda x: x.select(0, 3), IndexError, "index 3 is out of range for dimension 0 of size 3"),
        (lambda x: x.select(3, 0), IndexError, "select: dim 3 is out of range"),
        (lambda x: x.select(0, -(2**63)), IndexError, "out of range"),
        (lambda x: x.narrow(0, 1, 3), ValueError, "narrow: start 1 and length 3 are out of range"),
        (lambda x: x.narrow(0, 2**63 - 1, 2**63 - 1), ValueError, "narrow: "),
        (lambda x: x.narrow(0, 0, -1), ValueError, "narrow: "),
        (lambda x: x.transpose(0, 3), IndexError, "transpose: dim 3 is out of range"),
        (lambda x: x.permute(0, 1), ValueError, "permute: the tensor has 3 dimensions, the order"),
        (lambda x: x.permute(0, 1, 1), ValueError, "permute: dimension 1 appears twice"),
        (lambda x: x.permute(0, 1, 2**62), IndexError, "permute: dim"),
        (lambda x: x.view(5, -1), ValueError, r"view: shape \(3, 4, 6\) cannot become"),
        (lambda x: x.view(-1, -1), ValueError, "only one size may be -1"),
        (lambda x: x.view(71), ValueError, "has 72 elements"),
        (lambda x: x.view(2**62, 4), ValueError, "view: "),
        (lambda x: x.reshape(-2), ValueError, "reshape: negative size"),
        (lambda x: x[:0].reshape(0, -1), ValueError, "reshape: "),
        (lambda x: x.reshape(*[1] * 9), ValueError, "at most 8 dimensions"),
        (lambda x: x.expand(3, 4), ValueError, "expand: "),
        (lambda x: x.expand(3, 5, 6), ValueError, "size 4 is not 1"),
        (lambda x: x.expand(-1, 3, 4, 6), ValueError, "expand: negative size -1"),
        (lambda x: x[:1, :1, :1].expand(2**31, 2**31, 2), ValueError, "too many elements"),
        (lambda x: x.unfold(0, 4, 1), ValueError, "unfold: size 4 is out of range"),
        (lambda x: x.unfold(0, -1, 1), ValueError, "unfold: size -1"),
        (lambda x: x.unfold(0, 1, 0), ValueError, "unfold: step must be positive, got 0"),
        (lambda x: x.as_strided((2,), (1, 1)), ValueError, "differ in length"),
        (lambda x: x.as_strided((2,), (72,)), ValueError, "reaches outside its storage of 288 bytes"),
        (lambda x: x.as_strided((2,), (-1,)), ValueError, "reaches outside its storage"),
        (lambda x: x.as_strided((-1,), (1,)), ValueError, "negative size"),
        (lambda x: x.as_strided((1,), (1,), 72), ValueError, "reaches outside its storage"),
        (lambda x: x.as_strided((1,), (1,), 2**61), ValueError, "as_strided: storage_offset"),
        (lambda x: x.as_strided((0,), (1,), 2**62), ValueError, "as_strided: storage_offset"),
        (lambda x: x.as_strided((1,), (1,), -1), ValueError, "as_strided: storage_offset -1"),
        (lambda x: x.as_strided((1, 1), (2**62, -(2**63))), ValueError, "as_strided: stride"),
        (lambda x: x.as_strided((2**40, 2**40), (0, 0)), ValueError, "too many elements"),
        (lambda x: x.diagonal(0, 1, 1), ValueError, "diagonal: dim1 and dim2 are both 1"),
        (lambda x: x[0, 0].diagonal(), IndexError, "diagonal: dim 1 is out of range"),
        (lambda x: x.split(0), ValueError, "split: the size of a part must be positive"),
        (lambda x: x.split([1, 1]), ValueError, "leave 1 of 3"),
        (lambda x: x.split([1, 2**62, 2**62]), ValueError, "add up to more than 3"),
        (lambda x: x.chunk(0), ValueError, "chunk: expected a positive number"),
        (lambda x: x[:0].chunk(2**40), ValueError, "chunk: 1099511627776 parts are too many"),
        (lambda x: x.tensor_split(2**40), ValueError, "tensor_split: 1099511627776 parts are too many"),
        (lambda x: x[0, 0, :1].expand(2**40).unbind(), ValueError, "unbind: 1099511627776 parts are too many"),
        (lambda x: x[0, 0, :1].expand(2**40).split(1), ValueError, "split: 1099511627776 parts are too many"),
        (lambda x: x[0, 0, 0].unbind(), ValueError, "unbind: a 0-d tensor"),
        (lambda x: x.movedim((0, 0), (1, 2)), ValueError, "movedim: dimension 0 appears twice"),
        (lambda x: x.squeeze(3), IndexError, "squeeze: dim 3"),
        (lambda x: x.unsqueeze(4), IndexError, "unsqueeze: dim 4"),
        (lambda x: x.flatten(2, 1), ValueError, "flatten: start_dim 2 comes after end_dim 1"),
        (lambda x: lamina.zeros(0, 2**62, 2**62), ValueError, "too many elements"),
    ],
)  # fmt: skip
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call(lamina.arange(72.0).reshape(SHAPE))


def test_a_view_beyond_its_base_is_not_written_with_gradients():
    h = lamina.arange(10.0)[2:5].detach()
    view = h.as_strided((6,), (1,), 0)
    with pytest.raises(RuntimeError, match="reaches beyond the tensor it was taken from"):
        view.mul_(lamina.ones(1, requires_grad=True))


# ---- the same bytes as another type ----


@pytest.mark.parametrize(
    "to", [lamina.uint8, lamina.float16, lamina.int32, lamina.float32, lamina.int64, lamina.float64], ids=str
)
@pytest.mark.parametrize("source", [lamina.uint8, lamina.float16, lamina.int32, lamina.float64], ids=str)
def test_bytes_as_another_type(source, to):
    whole = lamina.arange(3 * 5 * 8).to(source).reshape(3, 5, 8)
    for x in (whole, whole[1:, ::2], whole.transpose(0, 1), whole[:, :, :0], whole.reshape(-1)):
        got = x.view(to)
        expected = x.numpy().view(str(to).removeprefix("lamina."))
        assert got.dtype is to and got.data_ptr() == x.data_ptr() and got.shape == expected.shape
        np.testing.assert_array_equal(got.numpy(), expected)


def test_bytes_are_shared_both_ways():
    x = lamina.ones(4)
    x.view(dtype=lamina.int32)[1] = 0x40000000
    assert x.tolist() == [1, 2, 1, 1] and x._version == 1
    assert x.view(lamina.float32).data_ptr() == x.data_ptr()


@pytest.mark.parametrize(
    ("x", "to", "message"),
    [
        (lamina.ones(2, 3), lamina.float64, "view: rows of 3 float32 are no whole number of float64"),
        (lamina.ones(2, 3).t(), lamina.float16, r"view: .*without gaps, got shape \(3, 2\) and strides \(1, 3\)"),
        (lamina.ones(3, 3)[:, :2], lamina.float64, "view: stride 3 of dimension 0 in float32 is no whole number"),
        (lamina.ones(3)[1:], lamina.int64, "view: byte 4 of the storage, where the tensor begins, is not aligned"),
        (lamina.tensor(1.0), lamina.uint8, "view: .*without gaps"),
        (lamina.ones(2), lamina.bool, "view: bytes of float32 need not be True or False"),
        (lamina.ones(2, requires_grad=True), lamina.int32, "view: bytes of a tensor that requires grad"),
    ],
)
def test_bytes_that_make_no_such_type(x, to, message):
    with pytest.raises(ValueError, match=message):
        x.view(to)
