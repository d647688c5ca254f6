"""The tensor in Python: making, converting, copying, pickling; the Python side of autograd."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


def same(t: lamina.Tensor, shape, dtype, values) -> bool:
    return t.shape == shape and t.dtype is getattr(lamina, dtype) and t.tolist() == values


# ---- tensor() ----


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (2, "int64"),
        (True, "bool"),
        ([1, 2], "int64"),
        ([1, 2.5], "float32"),
        ([True, 2], "int64"),
        ([True, False], "bool"),
        ([], "float32"),
        ([[], []], "float32"),
        (((1, 2), (3, 4)), "int64"),
        (range(3), "int64"),
        (np.float64(2), "float64"),
        (np.int32(2), "int32"),
        (np.bool_(True), "bool"),
        ([np.float64(2)], "float64"),
        ([np.float32(1), 2], "float32"),
        ([np.float16(1), np.float64(2)], "float64"),
        (np.ones((2, 2), np.float16), "float16"),
        ([np.ones(2), np.zeros(2)], "float64"),
        ([[1.0, 2.0], np.zeros(2, np.float32)], "float32"),
        ([[[1]], [[2]]], "int64"),
    ],
)
def test_type_and_values_of_data(data, dtype):
    t = lamina.tensor(data)
    want = np.array(data)
    assert same(t, want.shape, dtype, want.tolist())


def test_tensors_as_data():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    y = lamina.tensor(x)
    assert same(y, (2,), "float32", [1, 2]) and y.is_leaf and not y.requires_grad and y.data_ptr() != x.data_ptr()
    assert same(lamina.tensor([x, [3, 4]]), (2, 2), "float32", [[1, 2], [3, 4]])
    assert same(lamina.tensor([x[0], 2]), (2,), "float32", [1, 2])
    assert same(lamina.tensor([lamina.tensor(1, dtype="bfloat16")]), (1,), "bfloat16", [1])
    assert lamina.Tensor([1.0]).tolist() == [1.0] and lamina.Tensor().shape == (0,)


@pytest.mark.parametrize("dtype", DTYPES)
def test_type_on_demand(dtype):
    for spelling in (dtype, getattr(lamina, dtype)):
        t = lamina.tensor([[0, 1], [1, 0]], dtype=spelling)
        assert t.dtype is getattr(lamina, dtype) and t.long().tolist() == [[0, 1], [1, 0]]
    assert lamina.tensor([1, 0], dtype=dtype).numel() == 2


def test_type_on_demand_in_numpys_and_pythons_words():
    for spelling, dtype in [
        (np.float64, "float64"),
        (np.dtype("int32"), "int32"),
        (float, "float32"),
        (int, "int64"),
        (bool, "bool"),
    ]:
        assert lamina.tensor([1], dtype=spelling).dtype is getattr(lamina, dtype)
    assert lamina.tensor([1.9, -1.9], dtype=lamina.int64).tolist() == [1, -1]
    assert lamina.tensor([2**64], dtype=lamina.float32).item() == 2.0**64
    assert lamina.tensor([0.5, 0.0], dtype=lamina.bool).tolist() == [True, False]
    assert (lamina.float, lamina.long, lamina.half) == (lamina.float32, lamina.int64, lamina.float16)


class Endless:
    """Its own element; says that it is as long as it is told to."""

    def __init__(self, length=3, element=None):
        self.length, self.element = length, element

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        return self if self.element is None else self.element


class Short(Endless):
    def __getitem__(self, i):
        return [1.0, 2.0][i]


class Failing(Endless):
    def __getitem__(self, i):
        raise KeyError("mine")


class Shrinking:
    def __float__(self):
        Shrinking.list.clear()
        return 1.0


recursive: list = []
recursive.append(recursive)
Shrinking.list = [Shrinking(), 2, 3]


@pytest.mark.parametrize(
    ("data", "kwargs", "kind", "message"),
    [
        ([[1], [2, 3]], {}, ValueError, "sequences of length 1 at dimension 1, got one of length 2"),
        ([[1], 2], {}, ValueError, "a number where the shape"),
        ([1, [2]], {}, ValueError, "a sequence of length 1 where the shape"),
        ([[1, 2], []], {}, ValueError, "length 2 at dimension 1, got one of length 0"),
        ([[], [1]], {}, ValueError, "tensor: "),
        ([np.ones(2), np.ones(3)], {}, ValueError, "tensor: "),
        ("abc", {}, TypeError, "got str"),
        (b"abc", {}, TypeError, "got bytes"),
        (["abc"], {}, TypeError, "got str"),
        ([None], {}, TypeError, "got NoneType"),
        ({1: 2}, {}, TypeError, "got dict"),
        ({1, 2}, {}, TypeError, "got set"),
        (object(), {}, TypeError, "got object"),
        (1j, {}, TypeError, "got complex"),
        (lamina.Tensor, {}, TypeError, "got type"),
        (2**63, {}, ValueError, "out of the range of int64"),
        (300, {"dtype": "uint8"}, ValueError, "300 does not fit uint8"),
        ([-1], {"dtype": "uint8"}, ValueError, "-1 does not fit uint8"),
        (2**31, {"dtype": "int32"}, ValueError, "does not fit int32"),
        (float("nan"), {"dtype": "int64"}, ValueError, "nan does not fit int64"),
        ([float("inf")], {"dtype": "int32"}, ValueError, "inf does not fit int32"),
        (1, {"dtype": "complex64"}, TypeError, "dtype must be a lamina dtype"),
        (1, {"device": "tpu"}, TypeError, "device must be"),
        (1, {"requires_grad": 1}, TypeError, "requires_grad must be True or False"),
        (1, {"requires_grad": True}, TypeError, "only floating-point"),
        (1, {"shape": (1,)}, TypeError, "unexpected argument 'shape'"),
        (
            recursive,
            {},
            ValueError,
            "tensor: the data is nested more than 8 levels deep; a tensor has at most 8 dimensions",
        ),
        ([recursive] * 1000, {}, ValueError, "at most 8 dimensions"),
        (Endless(), {}, ValueError, "at most 8 dimensions"),
        (Endless(2**62), {}, ValueError, "too many elements|at most 8 dimensions"),
        (
            Endless(2**50, 1.0),
            {},
            MemoryError,
            r"tensor: data of shape \(1125899906842624,\), .* does not fit into memory",
        ),
        (Endless(2**62, 1.0), {}, MemoryError, "does not fit into memory"),
        (Endless(2**62, [1.0, 2.0, 3.0, 4.0]), {}, ValueError, "too many elements"),
        (range(2**50), {}, MemoryError, "does not fit into memory"),
        (Endless(-1), {}, ValueError, "__len__"),
        (Endless("3"), {}, TypeError, "."),
        (Endless(2**70), {}, OverflowError, "."),
        (Short(3), {}, ValueError, "tensor: the length of a Short is 3, but it has only 2 elements"),
        (Failing(3), {}, KeyError, "mine"),
        (Shrinking.list, {}, RuntimeError, "changed its size"),
    ],
    ids=lambda x: None if isinstance(x, list) else str(x)[:20],
)
def test_bad_data(data, kwargs, kind, message):
    # Also objects that never end: nothing is read further than its length.
    with pytest.raises(kind, match=message):
        lamina.tensor(data, **kwargs)


def test_objects_that_say_how_long_they_are():
    assert lamina.tensor(Endless(3, 1.0)).tolist() == [1, 1, 1]  # and would go on for ever
    assert lamina.tensor(Short(2)).tolist() == [1, 2] and lamina.tensor(Short(1)).tolist() == [1]
    assert lamina.zeros(Endless(2, 3)).shape == (3, 3)
    for call in (lambda: lamina.zeros(Endless(2**62, 1)), lambda: lamina.ones(1).reshape(Endless(9, 1))):
        with pytest.raises(ValueError, match="at most 8 dimensions"):
            call()


def test_names_that_are_no_utf8():
    for call in (
        lambda: lamina.zeros(2, dtype="\ud800"),
        lambda: lamina.zeros(2, device="\ud800"),
        lambda: lamina.zeros(2, **{"\ud800": 1}),
        lambda: lamina.add(1, lamina.ones(2), **{"\ud800": 1}),
        lambda: lamina.relu(lamina.ones(2), **{"\ud800": 1}),
        lambda: lamina.ones(2).sum(**{"\ud800": 1}),
        lambda: lamina.ones(2).norm("\ud800"),
        lambda: lamina.einsum("\ud800", lamina.ones(2)),
        lambda: nn.functional.mse_loss(lamina.ones(2), lamina.ones(2), reduction="\ud800"),
        lambda: lamina._C.linear(lamina.ones(2), lamina.ones(2, 2), activation="\ud800"),
    ):
        with pytest.raises((ValueError, TypeError)):
            call()


anything = st.recursive(
    st.one_of(
        st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(), st.text(max_size=2), st.binary(max_size=2),
        st.just(np.ones(2)), st.just(np.float32(1)), st.just(lamina.ones(2, 1)), st.just(range(2)), st.just(1j),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.integers(), inner, max_size=1)),
    max_leaves=8,
)  # fmt: skip


@given(anything, st.sampled_from([None, *DTYPES]))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_tensor_of_anything_works_or_raises(data, dtype):
    for make in (lamina.tensor, lamina.as_tensor):
        try:
            t = make(data, dtype=dtype)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            continue
        assert repr(t) and np.array(t.tolist(), dtype=object).shape[: t.ndim] in (
            t.shape,
            t.shape[: t.shape.index(0) + 1] if 0 in t.shape else (),
        )


def test_as_tensor_shares_where_it_can():
    a, t = np.ones(2, np.float32), lamina.ones(2)
    assert lamina.as_tensor(t) is t and lamina.as_tensor(t, dtype=lamina.float32) is t
    assert lamina.as_tensor(a).data_ptr() == a.ctypes.data
    assert same(lamina.as_tensor(a, dtype=lamina.int64), (2,), "int64", [1, 1])
    assert lamina.as_tensor([1, 2]).tolist() == [1, 2]


# ---- other ways to make one ----


@pytest.mark.parametrize(("make", "value"), [(lamina.zeros, 0), (lamina.ones, 1)])
def test_zeros_and_ones(make, value):
    for t in (make(2, 3), make((2, 3)), make([2, 3]), make(size=(2, 3)), make(np.int64(2), 3)):
        assert same(t, (2, 3), "float32", [[value] * 3] * 2)
    assert same(make(), (), "float32", value) and same(make(0), (0,), "float32", []) and make(()).shape == ()
    for dtype in DTYPES:
        assert same(make(2, dtype=dtype), (2,), dtype, [value] * 2)
    assert make(2, requires_grad=True).requires_grad
    like = {lamina.zeros: lamina.zeros_like, lamina.ones: lamina.ones_like}[make]
    x = lamina.full((2, 2), 5, dtype=lamina.int32)
    assert same(like(x), (2, 2), "int32", [[value] * 2] * 2) and like(x, dtype=lamina.float64).dtype is lamina.float64
    assert same(like(np.ones(2)), (2,), "float64", [value] * 2)
    new = {lamina.zeros: x.new_zeros, lamina.ones: x.new_ones}[make]
    assert same(new(3), (3,), "int32", [value] * 3) and same(new((1, 2), dtype=float), (1, 2), "float32", [[value] * 2])


def test_empty_full_and_their_kin():
    x = lamina.empty(2, 3, dtype=lamina.int32)
    assert x.shape == (2, 3) and lamina.empty_like(x).dtype is lamina.int32 and x.new_empty(4).shape == (4,)
    assert same(lamina.full((2,), 1.5), (2,), "float32", [1.5, 1.5]) and same(
        lamina.full(2, True), (2,), "bool", [True] * 2
    )
    assert same(lamina.full((2,), 3), (2,), "int64", [3, 3]) and lamina.full((), lamina.tensor(2.5)).item() == 2.5
    assert same(lamina.full_like(x, 7), (2, 3), "int32", [[7] * 3] * 2) and same(
        x.new_full((2,), 1), (2,), "int32", [1, 1]
    )
    assert same(x.new_tensor([1, 2]), (2,), "int32", [1, 2])


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((5,), {}), ((2, 5), {}), ((5, 2, -1), {}), ((0, 1, 0.25), {}), ((1.0, 4), {}), ((3, 3), {}), ((0, 10, 3), {"dtype": "uint8"}),
     ((), {"start": 1, "end": 3}), ((1,), {"end": 3, "step": 2}), ((-1.5, 2.5), {"dtype": "float64"})],
)  # fmt: skip
def test_arange(args, kwargs):
    t = lamina.arange(*args, **kwargs)
    numbers = list(args) + [kwargs[k] for k in ("start", "end", "step") if k in kwargs]
    want = np.arange(*numbers)
    assert t.tolist() == want.tolist()
    real = any(isinstance(n, float) for n in numbers)
    assert t.dtype is getattr(lamina, kwargs.get("dtype", "float32" if real else "int64"))


def test_eye_linspace_logspace():
    assert lamina.eye(2).tolist() == [[1, 0], [0, 1]] and same(
        lamina.eye(1, 3, dtype="int64"), (1, 3), "int64", [[1, 0, 0]]
    )
    assert lamina.eye(0).shape == (0, 0) and lamina.eye(2, requires_grad=True).is_leaf
    for start, end, steps in [(0, 1, 5), (-3.5, 7, 11), (1, 0, 3), (2, 2, 4), (5, 9, 1), (0, 1, 0), (0.1, 0.7, 7)]:
        want = np.linspace(start, end, steps)
        np.testing.assert_allclose(
            lamina.linspace(start, end, steps, dtype="float64").numpy(), want, rtol=1e-15, atol=1e-16
        )
        assert lamina.linspace(start, end, steps).tolist() == want.astype(np.float32).tolist()
    assert lamina.linspace(0, 1, 3)[-1].item() == 1 and lamina.linspace(0, 0.3, 7, dtype="float64")[-1].item() == 0.3
    np.testing.assert_allclose(lamina.logspace(-2, 3, 6, dtype="float64").numpy(), np.logspace(-2, 3, 6), rtol=1e-14)
    np.testing.assert_allclose(lamina.logspace(0, 4, 5, base=2).numpy(), [1, 2, 4, 8, 16], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: lamina.zeros(-1), ValueError, "zeros: .*negative"),
        (lambda: lamina.zeros(2.5), TypeError, "zeros: size must be integers, got 2.5"),
        (lambda: lamina.zeros(2, "3"), TypeError, "zeros: size must be integers, got '3'"),
        (lambda: lamina.ones([2, None]), TypeError, "ones: size must be integers"),
        (lambda: lamina.zeros(*[1] * 9), ValueError, "at most 8 dimensions"),
        (lambda: lamina.zeros(2**31, 2**31, 2**31), ValueError, "too many elements"),
        (lambda: lamina.zeros(2**61, dtype="float64"), ValueError, "too many elements"),
        (lambda: lamina.zeros(2**70), ValueError, "zeros: an integer of 71 bits is out of the range of int64"),
        (lambda: lamina.empty(2**50), MemoryError, "."),
        (lambda: lamina.zeros(2, foo=1), TypeError, "zeros: unexpected argument 'foo'"),
        (lambda: lamina.zeros(2, dtype="float31"), TypeError, "zeros: dtype must be a lamina dtype, got 'float31'"),
        (lambda: lamina.zeros(2, device="gpu"), TypeError, "zeros: device must be"),
        (lambda: lamina.zeros(2, dtype="int64", requires_grad=True), TypeError, "floating-point"),
        (lambda: lamina.zeros_like(3), TypeError, "zeros_like: input must be a Tensor or an array, got 3"),
        (lambda: lamina.zeros_like(), TypeError, "zeros_like: missing argument 'input'"),
        (lambda: lamina.full((2,)), TypeError, "full: missing argument 'fill_value'"),
        (lambda: lamina.full((2,), "x"), TypeError, "full: fill_value must be a number"),
        (lambda: lamina.full((2,), lamina.ones(2)), TypeError, "full: fill_value must be a number"),
        (lambda: lamina.full((2,), 300, dtype="uint8"), ValueError, "300 does not fit uint8"),
        (lambda: lamina.arange(), TypeError, "arange: missing argument"),
        (lambda: lamina.arange(0, 5, 0), ValueError, "step must not be zero"),
        (lambda: lamina.arange(5, 0), ValueError, "arange: "),
        (lambda: lamina.arange(0, float("nan")), ValueError, "arange: "),
        (lambda: lamina.arange(1, 2, 3, 4), TypeError, "at most 3 positional"),
        (lambda: lamina.arange(1, start=2), TypeError, "given twice"),
        (lambda: lamina.linspace(0, 1, -1), ValueError, "linspace: steps"),
        (lambda: lamina.linspace(0, 1, 2.5), ValueError, "linspace: steps"),
        (lambda: lamina.eye(-1), ValueError, "eye: sizes must not be negative, got -1"),
        (lambda: lamina.ones(1).new_zeros("a"), TypeError, "new_zeros: size"),
        (lambda: lamina.tensor(), TypeError, "tensor: missing argument 'data'"),
        (lambda: lamina.tensor(None), TypeError, "tensor: data must not be None"),
    ],
)  # fmt: skip
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# ---- conversion ----


def test_conversions():
    x = lamina.tensor([0.0, 1.5, -2.0])
    for method, dtype in [
        ("float", "float32"),
        ("double", "float64"),
        ("half", "float16"),
        ("bfloat16", "bfloat16"),
        ("long", "int64"),
        ("int", "int32"),
    ]:
        y = getattr(x, method)()
        assert y.dtype is getattr(lamina, dtype) and y.double().tolist() == (
            [0, 1.5, -2] if "float" in dtype else [0, 1, -2]
        )
    assert x.bool().tolist() == [False, True, True] and lamina.tensor([7]).byte().dtype is lamina.uint8
    assert x.float() is x and x.to(lamina.float32) is x and x.to("cpu") is x and x.cpu() is x
    other = lamina.ones(1, dtype="float64")
    for y in (
        x.to(lamina.float64),
        x.to("float64"),
        x.to(np.float64),
        x.to(other),
        x.to(dtype="float64"),
        x.to("cpu", "float64"),
        x.type_as(other),
    ):
        assert y.dtype is lamina.float64
    assert x.to(device="cpu", non_blocking=True) is x
    copied = x.to(lamina.float32, copy=True)
    assert copied is not x and copied.data_ptr() != x.data_ptr()
    for bad in ("int3", 3, None, lamina.nn):
        with pytest.raises(TypeError, match="to: expected a dtype, a device or a Tensor"):
            x.to(bad)


def test_conversions_pass_gradients():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * 3).backward(lamina.ones(2, dtype="float64"))
    assert same(x.grad, (2,), "float32", [3, 3])


def test_small_attributes():
    x = lamina.ones(2, 3, dtype="float16")
    assert (x.itemsize, x.nbytes, x.numel(), x.is_cuda, lamina.numel(x), len(x)) == (2, 12, 6, False, 6, 2)
    assert lamina.is_tensor(x) and not lamina.is_tensor(1)
    assert [row.tolist() for row in lamina.tensor([[1], [2]])] == [[1], [2]]
    with pytest.raises(TypeError, match="0-d"):
        iter(lamina.tensor(1.0))


FLOATS = ["float64", "float32", "float16", "bfloat16"]


@pytest.mark.parametrize("name", [*FLOATS, "int64", "int32", "uint8"])
def test_limits_of_types(name):
    dtype = getattr(lamina, name)
    if name == "bfloat16":
        assert repr(lamina.finfo(dtype)).startswith("finfo(resolution=0.01, min=-3.38953e+38, max=3.38953e+38")
    elif name in FLOATS:
        ours, numpys = lamina.finfo(dtype), np.finfo(name)
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal"):
            assert getattr(ours, field) == getattr(numpys, field), field
        assert ours.resolution == pytest.approx(float(numpys.resolution), rel=1e-3) and ours.dtype == name
    else:
        ours, numpys = lamina.iinfo(dtype), np.iinfo(name)
        assert (ours.bits, ours.min, ours.max, ours.dtype) == (numpys.bits, numpys.min, numpys.max, name)
        assert repr(ours) == f"iinfo(min={numpys.min}, max={numpys.max}, dtype={name})"
    other = lamina.iinfo if name in FLOATS else lamina.finfo
    with pytest.raises(TypeError, match=f"{other.__name__}: dtype must be .*{name}"):
        other(dtype)
    assert lamina.zeros(2, 3).nelement() == 6


def test_data():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    assert not x.data.requires_grad and x.data.data_ptr() == x.data_ptr()
    x.data = lamina.tensor([3.0, 4.0])
    assert x.tolist() == [3, 4] and x.requires_grad and x.is_leaf
    x.data.mul_(2)
    assert x.tolist() == [6, 8]
    with pytest.raises(ValueError, match=r"data: expected shape \(2,\)"):
        x.data = lamina.ones(3)
    y = x * x
    x.data = lamina.zeros(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(lamina.ones(2))


def test_item_and_tolist():
    assert lamina.tensor(2.5).item() == 2.5 and isinstance(lamina.tensor([3]).item(), int)
    assert lamina.tensor([[True]]).item() is True
    assert lamina.zeros(2, 0, 3).tolist() == [[], []] and lamina.tensor(7).tolist() == 7
    assert lamina.arange(6).reshape(2, 3).T.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert lamina.tensor([0.1], dtype="float64").tolist() == [0.1]
    assert lamina.tensor([2**62 + 1]).tolist() == [2**62 + 1]


# ---- composed operations and other names ----


def test_other_names():
    x, y = lamina.tensor([1.5, -2.5]), lamina.tensor([2.0, 0.5])
    for alias, name in [("absolute", "abs"), ("negative", "neg"), ("fix", "trunc"), ("arctan", "atan")]:
        assert getattr(lamina, alias)(x).tolist() == getattr(x, alias)().tolist() == getattr(lamina, name)(x).tolist()
        z = x.clone()
        assert getattr(z, f"{alias}_")() is z and z.tolist() == getattr(x, name)().tolist()
    binary = [("multiply", "mul"), ("subtract", "sub"), ("divide", "div"), ("true_divide", "div"), ("greater", "gt"), ("greater_equal", "ge"),
              ("less", "lt"), ("less_equal", "le"), ("not_equal", "ne"), ("arctan2", "atan2")]  # fmt: skip
    for alias, name in binary:
        assert (
            getattr(lamina, alias)(x, y).tolist()
            == getattr(x, alias)(y).tolist()
            == getattr(lamina, name)(x, y).tolist()
        )
    assert x.clip(-1, 1).tolist() == lamina.clip(x, -1, 1).tolist() == [1, -1]
    assert x.clone().clamp_(min=0).tolist() == x.clamp_min(0).tolist() == [1.5, 0] and x.clamp_max(0).tolist() == [
        0,
        -2.5,
    ]


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_div_with_rounding(dtype):
    a, b = np.array([7, -7, 7, -7, 0]), np.array([2, 2, -2, -2, 3])
    x, y = lamina.tensor(a, dtype=dtype), lamina.tensor(b, dtype=dtype)
    for mode, want in [("floor", np.floor(a / b)), ("trunc", np.trunc(a / b))]:
        for got in (
            lamina.div(x, y, rounding_mode=mode),
            x.div(y, rounding_mode=mode),
            x.clone().div_(y, rounding_mode=mode),
        ):
            assert got.dtype is x.dtype and got.tolist() == want.tolist()
    assert lamina.div(x, 2, rounding_mode="trunc").tolist() == np.trunc(a / 2).tolist()
    with pytest.raises(ValueError, match="rounding_mode must be None, 'trunc' or 'floor', got 'up'"):
        x.div(y, rounding_mode="up")


def test_addcmul_addcdiv_lerp():
    x, a, b = (
        lamina.tensor([1.0, 2.0], dtype="float64"),
        lamina.tensor([3.0, 4.0], dtype="float64"),
        lamina.tensor([5.0, 8.0], dtype="float64"),
    )
    for t in (x, a, b):
        t.requires_grad = True
    assert lamina.addcmul(x, a, b, value=0.5).tolist() == x.addcmul(a, b, value=0.5).tolist() == [8.5, 18]
    assert lamina.addcdiv(x, b, a, value=3).tolist() == [6, 8] and lamina.lerp(x, b, 0.25).tolist() == [2, 3.5]
    check = lamina.autograd.gradcheck
    assert check(
        lambda x, a, b: (x.addcmul(a, b, value=2), x.addcdiv(a, b, value=2), x.lerp(a, b), x.lerp(a, 0.3)), (x, a, b)
    )
    z = x.detach().clone()
    assert z.addcmul_(a.detach(), b.detach()) is z and z.tolist() == [16, 34]


def test_close_and_equal():
    x = lamina.tensor([1.0, float("nan"), float("inf"), 0.0])
    y = lamina.tensor([1.000001, float("nan"), float("inf"), 1e-9])
    assert lamina.isclose(x, y).tolist() == [True, False, True, True]
    assert x.isclose(y, equal_nan=True).tolist() == [True] * 4 and lamina.allclose(x, y, equal_nan=True) is True
    assert lamina.allclose(x, y) is False and not lamina.allclose(lamina.zeros(2), lamina.tensor([0, 1e-4]))
    assert lamina.isclose(lamina.tensor([1, 2]), lamina.tensor([1, 3])).tolist() == [True, False]
    assert (
        lamina.equal(lamina.ones(2), lamina.ones(2))
        and not lamina.equal(lamina.ones(2), lamina.ones(3))
        and lamina.ones(0).equal(lamina.ones(0))
    )
    assert 0.0 in x and 5.0 not in x
    with pytest.raises(TypeError, match="one type"):
        lamina.isclose(x, x.double())
    with pytest.raises(ValueError, match="negative"):
        lamina.isclose(x, y, rtol=-1)


# ---- autograd from Python ----


def test_backward_and_its_arguments():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward(lamina.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    y = x * 3
    y.backward(gradient=np.ones(2, np.float32), retain_graph=True)
    y.backward(lamina.ones(2))
    assert x.grad.tolist() == [8, 46]
    w = lamina.ones(2, requires_grad=True)
    z = x * w
    z.backward(lamina.ones(2), inputs=[w])
    assert w.grad.tolist() == [1, 2] and x.grad.tolist() == [8, 46]
    lamina.autograd.backward([x[0] * 1, x[1] * 1], [None, lamina.tensor(5.0)])
    assert x.grad.tolist() == [9, 51]


def test_grad():
    x, y, unused = (lamina.tensor(v, requires_grad=True) for v in (2.0, 3.0, 4.0))
    assert [g.item() for g in lamina.autograd.grad(x * y, [x, y])] == [3, 2]
    assert x.grad is None and y.grad is None
    product = x * y
    assert lamina.autograd.grad(product, x, retain_graph=True)[0].item() == 3
    assert lamina.autograd.grad([product, x * 2], (x, unused), allow_unused=True)[1] is None
    zero = lamina.autograd.grad(x * 2, [x, unused], materialize_grads=True)[1]
    assert zero.item() == 0
    assert lamina.autograd.grad(x * 2, x, grad_outputs=lamina.tensor(5.0))[0].item() == 10


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: (x * 2).backward(), RuntimeError, r"shape \(2,\)"),
        (lambda x: (x * 2).backward(lamina.ones(3)), ValueError, r"gradient of shape \(3,\)"),
        (lambda x: (x * 2).backward(lamina.ones(2, dtype="float64")), TypeError, "gradient of type float64"),
        (lambda x: lamina.ones(1).backward(), RuntimeError, "does not require grad"),
        (lambda x: (x * 2).backward(lamina.ones(2), create_graph=True), NotImplementedError, "create_graph"),
        (lambda x: lamina.autograd.grad(x * 2, x, lamina.ones(2), create_graph=True), NotImplementedError, "create_graph"),
        (lambda x: lamina.autograd.grad(x * 2, lamina.ones(2), lamina.ones(2)), RuntimeError, "does not require grad"),
        (lambda x: lamina.autograd.grad(x[0] * 2, lamina.ones(2, requires_grad=True)), RuntimeError, "input 0 was not used"),
        (lambda x: lamina.autograd.backward([x, x], [lamina.ones(2)]), ValueError, "1 gradients for 2 tensors"),
        (lambda x: lamina.autograd.backward([x, 3], [None, None]), TypeError, "element 1 must be a Tensor, got int"),
        (lambda x: (x * 2).backward(lamina.ones(2), inputs=[]), ValueError, "inputs must not be empty"),
    ],
)  # fmt: skip
def test_bad_calls_of_backward(call, kind, message):
    x = lamina.ones(2, requires_grad=True)
    with pytest.raises(kind, match=message):
        call(x)
    assert x.grad is None


def test_grad_modes():
    x = lamina.ones(1, requires_grad=True)

    def recorded():
        return (x * 2).requires_grad

    with lamina.no_grad():
        assert not recorded()
        with lamina.enable_grad():
            assert recorded()
        assert not recorded()
    assert recorded()
    for decorate in (lamina.no_grad, lamina.no_grad(), lamina.inference_mode(), lamina.set_grad_enabled(False)):
        lamina.set_grad_enabled(True)
        assert decorate(recorded)() is False and decorate(recorded).__name__ == "recorded"
    assert lamina.enable_grad()(recorded)() and lamina.inference_mode(False)(recorded)()
    lamina.set_grad_enabled(False)
    assert not recorded()
    with lamina.set_grad_enabled(True):
        assert recorded()
    assert not recorded()
    lamina.set_grad_enabled(True)
    with pytest.raises(KeyError), lamina.no_grad():
        raise KeyError
    assert recorded()
    mode = lamina.no_grad()
    with mode, mode:
        assert not recorded()
    assert recorded()


def test_grad_mode_around_generators():
    x = lamina.ones(1, requires_grad=True)

    @lamina.no_grad()
    def numbers():
        got = yield (x * 2).requires_grad
        yield got, (x * 2).requires_grad

    steps = numbers()
    assert next(steps) is False and (x * 2).requires_grad
    assert steps.send("sent") == ("sent", False) and (x * 2).requires_grad
    assert list(numbers()) == [False, (None, False)]


def test_detach_in_place():
    x = lamina.ones(2, requires_grad=True)
    y = (x * 2).detach_()
    assert y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="detach_: a view"):
        (x * 2)[0].detach_()


# ---- functional ----

PLAIN = "relu relu6 selu silu mish hardswish softsign logsigmoid tanhshrink sigmoid tanh gelu".split()
WITH_PARAMETERS = {
    "leaky_relu": (0.2,), "elu": (0.5,), "celu": (0.5,), "hardtanh": (-0.5, 2.0), "threshold": (0.1, 7.0), "softplus": (2.0, 3.0),
    "hardshrink": (0.3,), "softshrink": (0.3,),
}  # fmt: skip


@pytest.mark.parametrize("name", [*PLAIN, *WITH_PARAMETERS])
def test_activations_are_torchs(name):
    torch = pytest.importorskip("torch")
    values = np.linspace(-4, 4, 41, dtype=np.float64)
    ours, theirs = getattr(nn.functional, name), getattr(torch.nn.functional, name)
    for args in {(), WITH_PARAMETERS.get(name, ())} - ({()} if name == "threshold" else set()):
        x, y = lamina.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        a, b = ours(x, *args), theirs(y, *args)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)
        a.backward(lamina.ones(41, dtype="float64"))
        b.backward(torch.ones(41, dtype=torch.float64))
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_hardsigmoid_and_hardswish():
    """PyTorch's values to the last bit; its float64 gradient is that of float32's 1/6, ours is exact."""
    torch = pytest.importorskip("torch")
    values = np.concatenate([np.random.default_rng(0).uniform(-4, 4, 1000), [3, -3, 0, np.inf, -np.inf, np.nan]])
    for dtype in ("float32", "float64"):
        x, y = lamina.tensor(values.astype(dtype), requires_grad=True), torch.tensor(values.astype(dtype))
        out = nn.functional.hardsigmoid(x)
        np.testing.assert_array_equal(out.detach().numpy(), torch.nn.functional.hardsigmoid(y).numpy())
        out.backward(lamina.ones_like(out))
        inside = (values > -3) & (values < 3)
        assert (x.grad.numpy() == np.where(inside, np.ones(1, dtype) / 6, 0)).all()
    x = lamina.tensor([np.nan, -4.0, 4.0, 0.0], requires_grad=True)
    nn.functional.hardswish(x).backward(lamina.ones(4))
    np.testing.assert_array_equal(x.grad.numpy(), [np.nan, 0, 1, 0.5])


def test_activation_options():
    x = lamina.tensor([-1.0, 2.0])
    assert nn.functional.relu(x, inplace=True) is x and x.tolist() == [0, 2]
    assert nn.functional.leaky_relu(lamina.tensor([-1.0]), negative_slope=0.5).tolist() == [-0.5]
    assert abs(nn.functional.gelu(x, approximate="tanh")[1].item() - nn.functional.gelu(x)[1].item()) > 1e-5
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got 'sigmoid'"):
        nn.functional.gelu(x, approximate="sigmoid")
    with pytest.raises(TypeError):
        nn.functional.relu("x")


# ---- configuration ----


def test_show_config(capsys):
    assert lamina.show_config() is None
    text = capsys.readouterr().out
    config = lamina.show_config(mode="dicts")
    assert config["target"] in config["supported targets"] and config["version"] == lamina.__version__
    assert config["threads"] == lamina.get_num_threads() and config["target"] in text
    if sys.platform == "linux":
        assert len(config["OpenMP run time"]) >= 1
    with pytest.raises(ValueError, match="mode"):
        lamina.show_config("yaml")
