"""Indices that nobody should pass: out of range by one or by 2⁶³, of the wrong type, negative, of any layout, aliasing what
they index. An operation that takes them gives what NumPy gives, or raises and has changed nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn

BAD_TYPES = ["float32", "float64", "float16", "bfloat16", "uint8", "bool"]
ABSURD_COUNTS = [-(2**63), -1, 2**46, 2**62, 2**63 - 1]  # no machine has memory for these
EXTREMES = [-(2**63), -(2**62), -(2**31) - 1, -1, 2**31, 2**32, 2**62, 2**63 - 1]
hostile = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def indices(draw, size: int, shape: tuple[int, ...] | None = None, wrap: bool = False) -> tuple[np.ndarray, bool]:
    """An int64 array, mostly sound, and whether all of it is in range of a dimension of `size`."""
    if shape is None:
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    low = -size if wrap else 0
    sound = st.integers(low, size - 1) if size else st.just(0)
    value = st.one_of([sound] * 6 + [st.sampled_from([*EXTREMES, size, low - 1])])
    count = int(np.prod(shape))
    values = np.array(draw(st.lists(value, min_size=count, max_size=count)), np.int64).reshape(shape)
    return values, bool(((values >= low) & (values < size)).all())


@st.composite
def laid_out(draw, values: np.ndarray) -> lamina.Tensor:
    """A tensor of these values, int64 or (where they fit) int32, in memory of any layout."""
    narrow = draw(st.booleans()) and bool(((values >= -(2**31)) & (values < 2**31)).all())
    t = lamina.tensor(values.astype(np.int32) if narrow else values)
    layout = draw(st.sampled_from(["plain", "transposed", "stepped", "shifted"]))
    if layout == "transposed" and t.ndim > 1:
        return t.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "stepped" and t.ndim:
        wide = lamina.full((*t.shape[:-1], 2 * t.shape[-1]), 2**30, dtype=t.dtype)
        wide[..., ::2] = t
        return wide[..., ::2]
    if layout == "shifted":
        return lamina.cat([lamina.full((1,), 2**30, dtype=t.dtype), t.reshape(-1)])[1:].reshape(t.shape)
    return t


def shapes(low=0, dims=3):
    return st.lists(st.integers(low, 4), min_size=1, max_size=dims).map(tuple)


def source(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)


def check(call, t: lamina.Tensor, sound: bool, want, name: str) -> None:
    """`call` gives `want()` if its indices are sound; else it is an IndexError that names the operation."""
    before = t.detach().clone()
    if sound:
        got = call()
        np.testing.assert_array_equal(np.asarray(got.detach()), want())
        return
    with pytest.raises(IndexError, match=rf"^{name}: index -?\d+ is out of range for dimension \d+ of size \d+"):
        call()
    assert lamina.equal(t.detach(), before)


@given(st.data())
@hostile
def test_subscripts(data):
    a = source(data.draw(shapes(1)))
    dim = data.draw(st.integers(0, a.ndim - 1))
    values, sound = data.draw(indices(a.shape[dim], wrap=True))
    index, key, t = data.draw(laid_out(values)), (slice(None),) * dim, lamina.tensor(a)
    if index.ndim == 0:
        if sound:
            assert t[(*key, index)].tolist() == a[(*key, values)].tolist()
        else:
            with pytest.raises(IndexError, match="out of range"):
                t[(*key, index)]
        return
    check(lambda: t[(*key, index)], t, sound, lambda: a[(*key, values)], "index")
    written = t.clone()

    def write():
        written[(*key, index)] = -5.0
        return written

    def expected():
        b = a.copy()
        b[(*key, values)] = -5
        return b

    check(write, written, sound, expected, "index")


@given(st.data())
@hostile
def test_several_index_tensors(data):
    a = source(data.draw(st.tuples(*[st.integers(1, 4)] * 3)))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    first, sound_first = data.draw(indices(a.shape[0], shape, wrap=True))
    second, sound_second = data.draw(indices(a.shape[2], shape, wrap=True))
    i, j = data.draw(laid_out(first)).reshape(shape), data.draw(laid_out(second))
    if not shape:
        i, j, first, second = i.reshape(1), j.reshape(1), first.reshape(1), second.reshape(1)
    t = lamina.tensor(a)
    check(lambda: t[i, :, j], t, sound_first and sound_second, lambda: a[first, :, second], "index")


@given(st.data())
@hostile
def test_gather_and_scatter(data):
    a = source(data.draw(shapes()))
    dim = data.draw(st.integers(-a.ndim, a.ndim - 1))
    shape = tuple(data.draw(st.integers(0, 5 if d == dim % a.ndim else n)) for d, n in enumerate(a.shape))
    values, sound = data.draw(indices(a.shape[dim], shape))
    index, t = data.draw(laid_out(values)), lamina.tensor(a)
    places = tuple(np.indices(shape))
    places = tuple(values if d == dim % a.ndim else p for d, p in enumerate(places))
    check(lambda: t.gather(dim, index), t, sound, lambda: a[places], "gather")
    new = source(shape) * 100

    def scattered():
        b = a.copy()
        for where in np.ndindex(shape):  # the last one wins
            b[tuple(p[where] for p in places)] = new[where]
        return b

    def added():
        b = a.copy()
        np.add.at(b, places, new)
        return b

    one = t.clone()
    check(lambda: one.scatter_(dim, index, lamina.tensor(new)), one, sound, scattered, "scatter")
    two = t.clone()
    check(lambda: two.scatter_add_(dim, index, lamina.tensor(new)), two, sound, added, "scatter_add")
    if sound:
        x, s = t.clone().requires_grad_(), lamina.tensor(new, requires_grad=True)
        (x.gather(dim, index) * s).sum().backward()
        want = np.zeros_like(a)
        np.add.at(want, places, new)
        np.testing.assert_array_equal(x.grad.numpy(), want)
        np.testing.assert_array_equal(s.grad.numpy(), a[places])


@given(st.data())
@hostile
def test_rows(data):
    a = source(data.draw(shapes()))
    dim = data.draw(st.integers(-a.ndim, a.ndim - 1))
    n = data.draw(st.integers(0, 5))
    values, sound = data.draw(indices(a.shape[dim], (n,)))
    index, t = data.draw(laid_out(values)), lamina.tensor(a)
    key = (slice(None),) * (dim % a.ndim) + (values,)
    check(lambda: t.index_select(dim, index), t, sound, lambda: a[key], "index_select")
    shape = list(a.shape)
    shape[dim] = n
    new = source(tuple(shape)) * 100

    def result(how):
        b = a.copy()
        np.add.at(b, key, new) if how == "add" else b.__setitem__(key, new if how == "copy" else 7.0)
        return b

    distinct = len(set(values.tolist())) == n
    for how, call in [
        ("add", lambda x: x.index_add_(dim, index, lamina.tensor(new))),
        ("copy", lambda x: x.index_copy_(dim, index, lamina.tensor(new))),
        ("fill", lambda x: x.index_fill_(dim, index, 7.0)),
    ]:
        if how == "copy" and not distinct and sound:
            continue
        x = t.clone()
        check(lambda call=call, x=x: call(x), x, sound, lambda how=how: result(how), f"index_{how}")


@given(st.data())
@hostile
def test_take_and_embedding(data):
    a = source(data.draw(st.tuples(st.integers(1, 5), st.integers(0, 3))))
    if a.size:
        values, sound = data.draw(indices(a.size, wrap=True))
        index, t = data.draw(laid_out(values)), lamina.tensor(a)
        check(lambda: t.take(index), t, sound, lambda: a.ravel()[values], "take")
    values, sound = data.draw(indices(a.shape[0]))
    index, w = data.draw(laid_out(values)), lamina.tensor(a, requires_grad=True)
    check(lambda: nn.functional.embedding(index, w), w, sound, lambda: a[values], "embedding")
    if sound:
        nn.functional.embedding(index, w, padding_idx=-1).sum().backward()
        want = np.zeros_like(a)
        np.add.at(want, values, 1.0)
        want[-1] = 0
        np.testing.assert_array_equal(w.grad.numpy(), want)


@given(
    st.lists(st.integers(-2, 5) | st.sampled_from(ABSURD_COUNTS), max_size=6),
    st.integers(-1, 4) | st.sampled_from(ABSURD_COUNTS),
)
@hostile
def test_counts_and_classes(values, size):
    t = lamina.tensor(values, dtype="int64")
    small = all(0 <= v <= 5 for v in values) and 0 <= size <= 4
    try:
        got = lamina.bincount(t, minlength=size)
    except (ValueError, MemoryError) as error:
        assert not small and str(error)
    else:
        assert got.tolist() == np.bincount(np.array(values, np.int64), minlength=size).tolist()
    try:
        got = nn.functional.one_hot(t, size)
    except (ValueError, MemoryError) as error:
        fits = min(values, default=0) >= 0 and max(values, default=-1) < size <= 4
        assert str(error) and not (fits and size > 0)
    else:
        assert got.argmax(-1).tolist() == values if values else got.numel() == 0
    try:
        got = lamina.arange(len(values)).repeat_interleave(t)
    except (ValueError, MemoryError, OverflowError) as error:
        assert str(error) and (any(v < 0 for v in values) or sum(values) > 2**40)
    else:
        assert got.tolist() == np.arange(len(values)).repeat(values).tolist()


INDEXED = {
    "subscript": lambda t, i: t[i],
    "assignment": lambda t, i: t.__setitem__(i, 0.0),
    "gather": lambda t, i: t.gather(0, i),
    "scatter": lambda t, i: t.scatter(0, i, 1.0),
    "scatter_add": lambda t, i: t.scatter_add(0, i, lamina.ones(i.shape, dtype=t.dtype)),
    "index_select": lambda t, i: t.index_select(0, i),
    "index_add": lambda t, i: t.index_add(0, i, lamina.ones(2, dtype=t.dtype)),
    "index_copy": lambda t, i: t.index_copy(0, i, lamina.ones(2, dtype=t.dtype)),
    "index_fill": lambda t, i: t.index_fill(0, i, 1.0),
    "take": lambda t, i: t.take(i),
    "take_along_dim": lambda t, i: t.take_along_dim(i, 0),
    "index_put_": lambda t, i: t.index_put_((i,), lamina.ones(2, dtype=t.dtype)),
    "embedding": lambda t, i: nn.functional.embedding(i, t.reshape(3, 1)),
}


@pytest.mark.parametrize("dtype", BAD_TYPES)
@pytest.mark.parametrize("name", INDEXED)
def test_indices_of_wrong_types(name, dtype):
    t, index = lamina.arange(3.0), lamina.tensor([1, 0]).to(dtype)
    mask = dtype == "bool" and name in ("subscript", "assignment", "index_put_")
    with pytest.raises(IndexError, match="does not match the indexed" if mask else r"index must be int64 or int32, got|must be int64, int32 or bool, got"):  # fmt: skip
        INDEXED[name](t, index)
    assert t.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", INDEXED)
def test_empty_dimensions_have_no_indices(name):
    t = lamina.zeros(0)
    with pytest.raises((IndexError, ValueError)):
        INDEXED[name](t, lamina.tensor([0, 0]))


def test_an_index_that_is_what_it_indexes():
    t = lamina.tensor([2, 0, 1])
    t[t] = t
    assert t.tolist() == [0, 1, 2]
    t = lamina.tensor([2, 0, 1])
    assert t.scatter_(0, t, t).tolist() == [0, 1, 2]
    t = lamina.tensor([1, 2, 0])
    assert t.index_add_(0, t, t).tolist() == [1, 3, 2]
    t = lamina.tensor([1, 2, 0, 0])
    assert t.index_fill_(0, t[:2], 7).tolist() == [1, 7, 7, 0]


def test_indices_changed_after_they_were_saved():
    for call in (
        lambda x, i: x[i],
        lambda x, i: x.gather(0, i),
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.take(i),
        lambda x, i: nn.functional.embedding(i, x.reshape(3, 1)),
        lambda x, i: (x * 1).index_put_((i,), x[:2]),
        lambda x, i: (x * 1).scatter_(0, i, x[:2]),
    ):
        x, index = lamina.arange(3.0).requires_grad_(), lamina.tensor([2, 0])
        y = call(x, index)
        index.fill_(2**40)  # used as it is, this would write far outside
        with pytest.raises(RuntimeError, match="changed in place after it was used"):
            y.sum().backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.gather(0, lamina.tensor([0])), "gather: expected an index with 2 dimensions like the input's, got shape"),
        (lambda t: t.gather(0, lamina.zeros(1, 5, dtype="int64")), r"gather: the index of shape \(1, 5\) is larger than the input of shape \(3, 4\) in dimension 1"),
        (lambda t: t.scatter_(0, lamina.zeros(1, 5, dtype="int64"), 1.0), "scatter: the index of shape .* is larger than the input"),
        (lambda t: t.scatter_(0, lamina.zeros(2, 2, dtype="int64"), lamina.ones(1, 2)), "scatter: the index of shape .* is larger than the source"),
        (lambda t: t.scatter_(0, lamina.zeros(2, 2, dtype="int64"), lamina.ones(2, 2, dtype="float64")), "scatter: expected a source of float32, got float64"),
        (lambda t: t.index_select(0, lamina.zeros(1, 1, dtype="int64")), r"index_select: expected a 1-d index, got shape \(1, 1\)"),
        (lambda t: t.index_add_(0, lamina.tensor([0]), lamina.ones(2, 4)), r"index_add: expected a source of shape \(1, 4\), got \(2, 4\)"),
        (lambda t: t.index_fill_(0, lamina.tensor([0]), lamina.ones(2)), "index_fill: the value must be a number or a 0-d tensor"),
        (lambda t: t.__setitem__(lamina.tensor([0, 1]), lamina.ones(3)), r"index assignment: a value of shape \(3,\) does not broadcast|index assignment: shapes"),
        (lambda t: t[lamina.ones(2, 4, dtype="bool")], r"a mask of shape \(2, 4\) does not match the indexed dimensions from 0 on of shape \(3, 4\)"),
        (lambda t: t[lamina.ones(1, 1, 1, dtype="bool")], "too many indices: 3 for a tensor with 2 dimensions"),
        (lambda t: t.masked_select(lamina.ones(5, dtype="bool")), "masked_select: "),
        (lambda t: t.masked_scatter_(lamina.ones(3, 4, dtype="bool"), lamina.ones(3)), "masked_scatter_: the mask chooses 12 elements, the source has 3"),
        (lambda t: nn.functional.embedding(lamina.tensor([0]), lamina.ones(3)), "embedding: expected a weight with 2 dimensions"),
        (lambda t: nn.functional.embedding(lamina.tensor([0]), t, padding_idx=3), "embedding: padding_idx 3 is out of range for a weight with 3 rows"),
        (lambda t: nn.functional.one_hot(lamina.tensor([-1])), "one_hot: class numbers must not be negative, got -1"),
        (lambda t: nn.functional.one_hot(lamina.tensor([3]), 3), "one_hot: class 3 is not below num_classes 3"),
        (lambda t: lamina.bincount(lamina.tensor([0]), minlength=-1), "bincount: minlength must not be negative"),
        (lambda t: t.repeat_interleave(lamina.tensor([1, 2]), 0), "repeat_interleave: expected one number of repeats or 3"),
    ],
)  # fmt: skip
def test_messages(call, message):
    t = lamina.arange(12.0).reshape(3, 4)
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call(t)
    assert t.tolist() == np.arange(12.0).reshape(3, 4).tolist()
