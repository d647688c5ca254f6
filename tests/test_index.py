"""Subscripts: x[…] and x[…] = value."""

import numpy as np
import pytest

import lamina

ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
S = np.s_
BASIC = [
    S[0], S[-1], S[0, 1], S[1, 2, 3], S[..., 1], S[1:2], S[::2], S[0:0], S[:, None, 1], S[:, 1:3, ::2], S[None], S[...],
    S[5:1], S[-2:], S[:, -100:100], S[np.int64(1)], S[np.array(1)], S[0, ..., None], S[:, :, 3], S[()], S[1:, ::3, 1::2],
]  # fmt: skip


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
