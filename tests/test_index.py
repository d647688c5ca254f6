"""Subscripts: x[…] and x[…] = value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lamina

ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
S = np.s_
BASIC = [
    S[0],
    S[-1],
    S[0, 1],
    S[1, 2, 3],
    S[..., 1],
    S[1:2],
    S[::2],
    S[0:0],
    S[:, None, 1],
    S[:, 1:3, ::2],
    S[None],
    S[...],
    S[5:1],
    S[-2:],
    S[:, -100:100],
    S[np.int64(1)],
    S[np.array(1)],
    S[0, ..., None],
    S[:, :, 3],
    S[()],
    S[1:, ::3, 1::2],
]


@pytest.mark.parametrize("key", BASIC, ids=str)
def test_basic_index_is_a_view(key):
    x = lamina.from_numpy(ARRAY.copy())
    view = x[key]
    np.testing.assert_array_equal(view.numpy(), ARRAY[key])
    if view.numel() and view.ndim:
        assert np.shares_memory(view.numpy(), x.numpy())


@pytest.mark.parametrize("key", BASIC, ids=str)
def test_basic_assignment(key):
    x, want = lamina.from_numpy(ARRAY.copy()), ARRAY.copy()
    want[key] = 7
    x[key] = 7
    np.testing.assert_array_equal(x.numpy(), want)
    value = -np.arange(ARRAY[key].size, dtype=np.float64).reshape(ARRAY[key].shape)
    want[key] = value
    x[key] = value
    np.testing.assert_array_equal(x.numpy(), want)


@pytest.mark.parametrize("key", BASIC, ids=str)
def test_basic_gradient(key):
    x = lamina.from_numpy(ARRAY.copy())
    x.requires_grad = True
    y = x[key]
    weight = np.arange(1, y.numel() + 1, dtype=np.float32).reshape(y.shape)
    y.backward(lamina.from_numpy(weight))
    want = np.zeros_like(ARRAY)
    want[key] = weight
    np.testing.assert_array_equal(x.grad.numpy(), want)


def test_leading_ones_of_a_value_may_go():
    x = lamina.from_numpy(ARRAY.copy())
    x[0] = np.full((1, 1, 3, 4), 9, np.float32)
    assert (x.numpy()[0] == 9).all()
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4\) does not broadcast to \(3, 4\)|do not broadcast"):
        x[0] = ARRAY


@pytest.mark.parametrize(
    "key, error, message",
    [
        (2, IndexError, "index 2 is out of range for dimension 0 of size 2"),
        ((0, -4), IndexError, "index -4 is out of range for dimension 1 of size 3"),
        ((0, 0, 0, 0), IndexError, "too many indices: 4 for a tensor with 3 dimensions"),
        (S[::-1], ValueError, "step must be greater than zero"),
        (S[..., ...], IndexError, "only one ellipsis"),
        (1.0, IndexError, "must be an integer, got float"),
        ("a", TypeError, "got str"),
        (2**70, IndexError, "cannot fit"),
    ],
)
def test_bad_index(key, error, message):
    x = lamina.from_numpy(ARRAY.copy())
    with pytest.raises(error, match=message):
        x[key]
    with pytest.raises(error, match=message):
        x[key] = 1
    np.testing.assert_array_equal(x.numpy(), ARRAY)


def test_elements_cannot_be_deleted():
    with pytest.raises(TypeError, match="cannot be deleted"):
        del lamina.from_numpy(ARRAY.copy())[0]


# ---- tensors among the items ----

RNG = np.random.default_rng(0)
MASK = RNG.random((2, 3)) < 0.5
MASK_4 = np.array([True, False, True, True])
ADVANCED = [
    S[[1, 0, 1]],
    S[np.array([[0, 1], [1, 1]])],
    S[:, [2, 0]],
    S[..., [3, 3, -1]],
    S[[0, 1], [2, -1]],
    S[[0, 1], :, [3, 0]],
    S[[[0], [1]], [0, 2]],
    S[:, [0, 2], [1, 1]],
    S[MASK],
    S[MASK, 1:3],
    S[..., MASK_4],
    S[[1, 0], :, MASK_4[:4] & [1, 1, 0, 0] > 0],
    S[RNG.random((2, 3, 4)) < 0.4],
    S[None, [1, 0]],
    S[[1], None, [0, 2]],
    S[:, :, [0]],
    S[[]],
    S[:, np.zeros((0, 2), int)],
    S[True],
    S[False],
    S[1:, [2, 1], ::2],
    S[np.int32([1, 0])],
    S[np.zeros((2, 3), bool)],
    S[:, [True, False, True]],
]


def as_lamina(key):
    """The same key with every array replaced by a tensor; lists stay lists."""
    if isinstance(key, tuple):
        return tuple(as_lamina(k) for k in key)
    return lamina.from_numpy(key) if isinstance(key, np.ndarray) and key.ndim else key


@pytest.mark.parametrize("key", ADVANCED, ids=str)
@pytest.mark.parametrize("strided", [False, True])
def test_advanced_index(key, strided):
    array = np.ascontiguousarray(ARRAY.T).T if strided else ARRAY
    x = lamina.from_numpy(array.copy(order="K"))
    for k in (key, as_lamina(key)):
        np.testing.assert_array_equal(x[k].numpy(), ARRAY[key])


@pytest.mark.parametrize("key", ADVANCED, ids=str)
@pytest.mark.parametrize("strided", [False, True])
def test_advanced_assignment(key, strided):
    array = np.ascontiguousarray(ARRAY.T).T if strided else ARRAY
    x, want = lamina.from_numpy(array.copy(order="K")), ARRAY.copy()
    want[key] = -5
    x[as_lamina(key)] = -5
    np.testing.assert_array_equal(x.numpy(), want)
    value = np.arange(ARRAY[key].size, dtype=np.float32).reshape(ARRAY[key].shape)
    want[key] = value
    x[key] = value
    np.testing.assert_array_equal(x.numpy(), want)
    if value.ndim:  # broadcast
        want[key] = value[:1]
        x[key] = value[:1]
        np.testing.assert_array_equal(x.numpy(), want)


@pytest.mark.parametrize("key", ADVANCED, ids=str)
def test_advanced_gradient(key):
    x = lamina.from_numpy(ARRAY.copy())
    x.requires_grad = True
    y = x[as_lamina(key)]
    weight = RNG.standard_normal(y.shape).astype(np.float32)
    y.backward(lamina.from_numpy(weight))
    want = np.zeros_like(ARRAY)
    np.add.at(want, key, weight)
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("key", [S[1], S[:, ::2], *ADVANCED], ids=str)
def test_assignment_gradient(key):
    """Of the assigned tensor the gradient vanishes where it was overwritten; the value takes what it wrote."""
    x, count = lamina.from_numpy(ARRAY.copy()), ARRAY[key].shape
    value = lamina.from_numpy(RNG.standard_normal(count).astype(np.float32))
    x.requires_grad = value.requires_grad = True
    y = x * 2
    y[as_lamina(key)] = value
    weight = RNG.standard_normal(ARRAY.shape).astype(np.float32)
    y.backward(lamina.from_numpy(weight))
    want = 2 * weight
    want[key] = 0
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(value.grad.numpy(), weight[key], rtol=1e-6)


def test_assignment_of_a_recorded_number_through_a_mask():
    x, number = lamina.from_numpy(ARRAY.copy()), lamina.tensor(3.0)
    x.requires_grad = number.requires_grad = True
    y = x * 1
    y[lamina.from_numpy(MASK)] = number
    y.backward(lamina.from_numpy(np.ones_like(ARRAY)))
    want = np.ones_like(ARRAY)
    want[MASK] = 0
    np.testing.assert_array_equal(x.grad.numpy(), want)
    assert number.grad.item() == MASK.sum() * 4


def test_assignment_into_a_view_reaches_its_base():
    x = lamina.from_numpy(ARRAY.copy())
    x.requires_grad = True
    y = x * 1
    y[1][[0, 2]] = 0
    y.backward(lamina.from_numpy(np.ones_like(ARRAY)))
    want = np.ones_like(ARRAY)
    want[1, [0, 2]] = 0
    np.testing.assert_array_equal(x.grad.numpy(), want)
    assert (y.detach().numpy()[1, [0, 2]] == 0).all()


def test_integers_are_selected_before_tensors_are_placed():
    """As in PyTorch: NumPy would move the dimension of the list to the front."""
    np.testing.assert_array_equal(lamina.from_numpy(ARRAY.copy())[0, :, [0, 1]].numpy(), ARRAY[0][:, [0, 1]])


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
def test_every_type_is_read_and_written(dtype):
    values = (ARRAY % 7).astype("float32")
    x = lamina.from_numpy(values.copy()).to(getattr(lamina, dtype))
    want = x.float().numpy().copy()
    np.testing.assert_array_equal(x[[1, 0], [2, 1]].float().numpy(), want[[1, 0], [2, 1]])
    x[[1, 0], 1] = 1
    want[[1, 0], 1] = 1
    x[x.float() == 3] = 0
    want[want == 3] = 0
    np.testing.assert_array_equal(x.float().numpy(), want)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8"])
def test_index_put_accumulates(dtype):
    x = lamina.from_numpy(np.ones((3, 2), np.float32)).to(getattr(lamina, dtype))
    x.index_put_((lamina.tensor([0, 2, 0, 0]),), lamina.tensor([[1.0, 2.0]]).to(x.dtype), accumulate=True)
    np.testing.assert_array_equal(x.float().numpy(), [[4, 7], [1, 1], [2, 3]])


def test_later_duplicates_win_for_any_number_of_threads():
    index = RNG.integers(0, 1000, 300_000)
    value = RNG.standard_normal((300_000, 3)).astype(np.float32)
    want = np.zeros((1000, 3), np.float32)
    want[index] = value
    threads = lamina.get_num_threads()
    try:
        for n in (1, 2, 5):
            lamina.set_num_threads(n)
            x = lamina.from_numpy(np.zeros((1000, 3), np.float32))
            x[index] = value
            np.testing.assert_array_equal(x.numpy(), want)
    finally:
        lamina.set_num_threads(threads)


@pytest.mark.parametrize("width", [1, 3, 200])
def test_accumulation_has_the_same_bits_for_any_number_of_threads(width):
    index = lamina.from_numpy(RNG.integers(0, 50, 40_000))
    value = lamina.from_numpy(RNG.standard_normal((40_000, width)).astype(np.float32))
    threads, results = lamina.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            lamina.set_num_threads(n)
            x = lamina.from_numpy(np.zeros((50, width), np.float32))
            x.index_put_((index,), value, accumulate=True)
            results.append(x.numpy().copy())
    finally:
        lamina.set_num_threads(threads)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize(
    "key, error, message",
    [
        ([0, 2], IndexError, "index 2 is out of range for dimension 0 of size 2"),
        (S[0, [1, -4]], IndexError, "index -4 is out of range for dimension 1 of size 3"),
        (S[..., np.array([2**62])], IndexError, "is out of range for dimension 2 of size 4"),
        (np.array([0.5]), IndexError, "must be int64, int32 or bool, got float64"),
        (np.array([1], np.uint8), IndexError, "got uint8; make a mask with .bool"),
        (np.ones((2, 2), bool), IndexError, r"a mask of shape \(2, 2\) does not match"),
        (np.ones((2, 3, 4, 1), bool), IndexError, "too many indices: 4"),
        (([0, 1], [0, 1, 2]), ValueError, "do not broadcast"),
        ([[0], [0, 1]], ValueError, "index"),
    ],
)
def test_bad_tensor_index(key, error, message):
    x = lamina.from_numpy(ARRAY.copy())
    with pytest.raises(error, match=message):
        x[key]
    with pytest.raises(error, match=message):
        x[key] = 1
    np.testing.assert_array_equal(x.numpy(), ARRAY)


def test_bad_value():
    x = lamina.from_numpy(ARRAY.copy())
    with pytest.raises(ValueError, match="does not broadcast|do not broadcast"):
        x[[0, 1]] = np.zeros((3, 4, 4))
    with pytest.raises(TypeError, match="must be a number, a Tensor or an array, got list"):
        x[0] = [1, 2, 3]
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        x.requires_grad = True
        x[[0]] = 1
    np.testing.assert_array_equal(x.detach().numpy(), ARRAY)


def test_an_index_may_lie_in_the_memory_it_changes():
    array = np.array([2, 0, 1, 4, 3] * 200)
    x, want = lamina.from_numpy(array.copy()), array.copy()
    want[array] = -1
    x[x] = -1
    np.testing.assert_array_equal(x.numpy(), want)
    mask = lamina.from_numpy(np.array([True, False, True]))
    mask[mask] = False
    assert not mask.numpy().any()


def test_overlapping_source_is_read_before_it_is_written():
    array = np.arange(1000.0)
    x, want = lamina.from_numpy(array.copy()), array.copy()
    x[lamina.arange(1, 1000)] = x[:-1]
    want[1:] = array[:-1]
    np.testing.assert_array_equal(x.numpy(), want)


def test_changing_an_index_before_backward_is_an_error():
    x, index = lamina.from_numpy(ARRAY.copy()), lamina.tensor([0, 1])
    x.requires_grad = True
    y = x[index]
    index[0] = 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(lamina.from_numpy(np.ones((2, 3, 4), np.float32)))


def test_replay_checks_its_indices():
    x, index = lamina.from_numpy(ARRAY.copy()), lamina.tensor([0, 1])
    with lamina._C._Recording() as recording:
        y = x[index]
    index[1] = 0
    recording.replay()
    np.testing.assert_array_equal(y.numpy(), ARRAY[[0, 0]])
    index[1] = 2
    with pytest.raises(IndexError, match="index 2 is out of range"):
        recording.replay()
    with lamina._C._Recording(), pytest.raises(RuntimeError, match="depends on the data"):
        x[x > 3]


# ---- any index at all ----


@st.composite
def shape_and_key(draw):
    """A shape and a key without integers beside tensors, where PyTorch's rule differs from NumPy's."""
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    common = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    advanced = draw(st.booleans())
    key, d, ellipsis = [], 0, False
    while d < len(shape):
        size = shape[d]
        kinds = (
            ["slice", "none", "stop"] + ["integer"] * (size > 0 and not advanced) + ["array"] * (size > 0 and advanced)
        )
        kinds += ["ellipsis"] * (not ellipsis)
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "none":
            if len(key) < 6 and sum(k is None for k in key) < 2:
                key.append(None)
        elif kind == "ellipsis":
            key.append(...)
            ellipsis, d = True, d + draw(st.integers(0, len(shape) - d))
        elif kind == "integer":
            key.append(draw(st.integers(-size, size - 1)))
            d += 1
        elif kind == "slice":
            bound = st.none() | st.integers(-7, 7)
            key.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
            d += 1
        else:
            sub = tuple(1 if draw(st.booleans()) else n for n in common)
            key.append(draw(arrays(np.int64, sub, elements=st.integers(-size, size - 1))))
            d += 1
    if ellipsis:  # what follows an ellipsis counts from the end: too many items are dropped
        while sum(k is not None and k is not ... for k in key) > len(shape):
            key.pop()
    return shape, tuple(key)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(shape_and_key(), st.booleans())
def test_any_index_reads_and_writes_as_numpy(case, transposed):
    shape, key = case
    array = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    laid_out = np.ascontiguousarray(array.T).T if transposed else array
    x = lamina.from_numpy(laid_out.copy(order="K"))
    try:
        want = array[key]
    except IndexError:  # an item after the ellipsis met another dimension than it was drawn for
        with pytest.raises(IndexError):
            x[key]
        return
    if want.ndim > 8:
        return
    got = x[key]
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.numpy(), want)
    written = array.copy()
    value = -1 - np.arange(want.size, dtype=np.float32).reshape(want.shape)
    written[key] = value
    x[key] = value
    np.testing.assert_array_equal(x.numpy(), written)
