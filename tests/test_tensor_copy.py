"""Copies of tensors and of their subclasses: pickle, copy, deepcopy, other processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys

import numpy as np
import pytest

import lamina
from lamina import nn

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(dtype, protocol):
    for t in (
        lamina.arange(6).to(dtype).reshape(2, 3).T,
        lamina.ones(0, 3, dtype=dtype),
        lamina.tensor(1, dtype=dtype),
    ):
        back = pickle.loads(pickle.dumps(t, protocol))
        assert back.tolist() == t.tolist() and back.dtype is t.dtype and back.shape == t.shape
        back.fill_(1)  # its own, writable memory
    x = lamina.ones(2, requires_grad=True)
    assert pickle.loads(pickle.dumps(x, protocol)).requires_grad
    assert pickle.loads(pickle.dumps(t.dtype, protocol)) is t.dtype
    assert pickle.loads(pickle.dumps(t.device, protocol)) == t.device


def test_pickle_without_copies():
    t, buffers = lamina.arange(1000.0), []
    blob = pickle.dumps(t, 5, buffer_callback=buffers.append)
    assert len(blob) < 300
    back = pickle.loads(blob, buffers=buffers)
    assert back.data_ptr() == t.data_ptr() and back.tolist() == t.tolist()
    frozen = pickle.loads(blob, buffers=[bytes(b) for b in buffers])
    frozen.add_(1)  # read-only buffers are copied


class Named(lamina.Tensor):
    name = "none"


class Slotted(lamina.Tensor):
    __slots__ = ("place",)


class Remembering(lamina.Tensor):
    """Pickles as it wishes."""

    def __getstate__(self):
        return {"kept": self.kept}

    def __setstate__(self, state):
        self.kept = state["kept"] + 1


def copies(t):
    yield copy.copy(t)
    yield copy.deepcopy(t)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(t, protocol))


def test_subclasses():
    x = Named([1.0, 2.0], requires_grad=True)
    assert type(x) is Named and isinstance(x, lamina.Tensor) and x.requires_grad and x.is_leaf
    assert repr(x) == "Named([1., 2.], requires_grad=True)"
    y = Named([1.0])
    y.requires_grad = True
    assert y.requires_grad and y.requires_grad_(False) is y and not y.requires_grad
    assert Named(lamina.ones(2, dtype="int32")).dtype is lamina.int32 and Named().shape == (0,)
    for plain in (x * 2, x[0], x.detach(), x.data, x.clone(), x.reshape(2, 1), -x, x.sum()):
        assert type(plain) is lamina.Tensor  # what is made of it is no longer that
    for same in (x.to("float32"), x.contiguous(), x.reshape(2), x.cpu(), +x, y.add_(1), y.mul_(2)):
        assert type(same) is Named
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize("make", [Named, nn.Parameter, nn.Buffer], ids=lambda c: c.__name__)
def test_copies_of_subclasses(make):
    x = make(lamina.tensor([1.0, 2.0]))
    x.requires_grad_(make is not nn.Buffer)
    x.name, x.list = "mine", [x]
    for made in copies(x):
        assert type(made) is make and made is not x and made.tolist() == [1, 2]
        assert made.requires_grad == x.requires_grad and made.is_leaf
        assert made.name == "mine" and made.list is not None
    deep = copy.deepcopy(x)
    assert deep.list[0] is deep and deep.data_ptr() != x.data_ptr()
    assert copy.copy(x).data_ptr() == x.data_ptr()
    assert repr(nn.Parameter(lamina.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="object.__getstate__ is new in 3.11")
def test_copies_of_subclasses_with_slots():
    x = Slotted([1.0])
    x.place = (1, 2)
    assert all(type(made) is Slotted and made.place == (1, 2) for made in copies(x))


def test_copies_of_subclasses_that_pickle_as_they_wish():
    x = Remembering([1.0])
    x.kept, x.lost = 1, 2
    assert all(made.kept == 2 and not hasattr(made, "lost") for made in copies(x))


def test_copy_shares_and_deepcopy_does_not():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).backward(lamina.ones(2))
    shallow, deep = copy.copy(x), copy.deepcopy({"a": x, "b": x})
    assert shallow is not x and shallow.data_ptr() == x.data_ptr() and shallow.requires_grad
    assert deep["a"] is deep["b"] and deep["a"].data_ptr() != x.data_ptr() and deep["a"].requires_grad
    assert deep["a"].grad.tolist() == [2, 2] and deep["a"].grad is not x.grad
    for refuse in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="made by <mul>"):
            refuse(x * 2)


def test_corrupt_pickles_are_refused():
    rebuild, (cls, buffer, shape, dtype, requires_grad), _ = lamina.ones(2, 3).__reduce_ex__(2)
    assert rebuild(cls, buffer, shape, dtype, requires_grad).shape == (2, 3)
    for wrong in [
        (buffer[:-1], shape),
        (buffer, (2, 4)),
        (buffer, (-2, -3)),
        (buffer, (2**62, 4)),
        (np.ones((2, 3)), shape),
        (b"", (2**62,)),  # as many bytes as 2⁶⁴, which is 0
        (b"", (2**61, 2)),
    ]:
        with pytest.raises(ValueError):
            rebuild(cls, *wrong, dtype, False)


def _double(t):
    return t * 2


def test_between_processes():
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    with context.Pool(1) as pool:
        assert pool.map(_double, [lamina.ones(2), lamina.arange(3)])[1].tolist() == [0, 2, 4]


def test_fill_takes_a_tensor_without_dimensions():
    x = lamina.arange(9.0).reshape(3, 3)
    x.fill_(x[1, 1])  # a part of what is written
    assert x.tolist() == [[4.0] * 3] * 3
    number = lamina.tensor(3.0, requires_grad=True)
    lamina.zeros(2, 2).fill_(number).sum().backward()
    assert number.grad == 4
    with pytest.raises(
        ValueError, match=r"fill_: value must be a number or a tensor without dimensions, got shape \(2,\)"
    ):
        x.fill_(lamina.ones(2))
