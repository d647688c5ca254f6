"""Every row of the lists in csrc/kernels/elementwise.h: value, gradient, types, layouts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from checks import assert_close, check_op, strided, to_numpy
from lamina import _C

erf, erfc = np.vectorize(math.erf, otypes=[float]), np.vectorize(math.erfc, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


class Unary(NamedTuple):
    reference: Any
    low: float = -3.0
    high: float = 3.0
    kwargs: dict[str, float] = {}
    length: int = 1  # roundings that the conditioning of the formula multiplies (see checks.tolerance)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
UNARY = {
    "exp": Unary(np.exp),
    "exp2": Unary(np.exp2),
    "expm1": Unary(np.expm1),
    "log": Unary(np.log, 1.2, 9.0),
    "log2": Unary(np.log2, 1.2, 9.0),
    "log10": Unary(np.log10, 1.2, 9.0),
    "log1p": Unary(np.log1p, 0.1, 9.0),
    "sqrt": Unary(np.sqrt, 0.1, 9.0),
    "rsqrt": Unary(lambda x: 1 / np.sqrt(x), 0.1, 9.0),
    "reciprocal": Unary(lambda x: 1 / x, 0.2, 9.0),
    "sin": Unary(np.sin),
    "cos": Unary(np.cos),
    "tan": Unary(np.tan, -1.4, 1.4),
    "asin": Unary(np.arcsin, -0.9, 0.9),
    "acos": Unary(np.arccos, -0.9, 0.9),
    "atan": Unary(np.arctan),
    "sinh": Unary(np.sinh),
    "cosh": Unary(np.cosh),
    "tanh": Unary(np.tanh),
    "sigmoid": Unary(sigmoid),
    "erf": Unary(erf),
    "erfc": Unary(erfc),
    "neg": Unary(np.negative),
    "abs": Unary(np.abs),
    "sign": Unary(np.sign),
    "square": Unary(np.square),
    "floor": Unary(np.floor),
    "ceil": Unary(np.ceil),
    "round": Unary(np.round),
    "trunc": Unary(np.trunc),
    "relu": Unary(lambda x: np.maximum(x, 0)),
    "relu6": Unary(lambda x: np.clip(x, 0, 6), -3.0, 9.0),
    "leaky_relu": Unary(lambda x: np.where(x > 0, x, 0.2 * x), kwargs={"negative_slope": 0.2}),
    "threshold": Unary(lambda x: np.where(x <= 0.3, 7.0, x), kwargs={"threshold": 0.3, "value": 7.0}),
    "elu": Unary(lambda x: np.where(x > 0, x, 1.5 * np.expm1(x)), kwargs={"alpha": 1.5}),
    "celu": Unary(lambda x: np.where(x > 0, x, 1.5 * np.expm1(x / 1.5)), kwargs={"alpha": 1.5}),
    "selu": Unary(lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x))),
    "gelu": Unary(lambda x: 0.5 * x * erfc(-x / math.sqrt(2)), length=8),  # erfc(z) magnifies an error of z by 2z²
    "gelu_tanh": Unary(lambda x: x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)), length=16),
    "silu": Unary(lambda x: x * sigmoid(x)),
    "mish": Unary(lambda x: x * np.tanh(softplus(x))),
    "softplus": Unary(lambda x: np.where(2 * x > 3, x, softplus(2 * x) / 2), kwargs={"beta": 2.0, "threshold": 3.0}),
    "softsign": Unary(lambda x: x / (1 + np.abs(x))),
    "logsigmoid": Unary(lambda x: -softplus(-x)),
    "tanhshrink": Unary(lambda x: x - np.tanh(x), 1.0, 4.0),
    "hardtanh": Unary(lambda x: np.clip(x, -0.5, 2.0), kwargs={"min_val": -0.5, "max_val": 2.0}),
    "hardsigmoid": Unary(lambda x: np.clip(x + 3, 0, 6) / 6, -5.0, 5.0),
    "hardswish": Unary(lambda x: x * np.clip(x + 3, 0, 6) / 6, -5.0, 5.0),
    "hardshrink": Unary(lambda x: np.where(np.abs(x) <= 0.7, 0, x), kwargs={"lambd": 0.7}),
    "softshrink": Unary(lambda x: np.where(x > 0.7, x - 0.7, np.where(x < -0.7, x + 0.7, 0)), 0.9, 3.0, {"lambd": 0.7}),
}
PREDICATES = {
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
    "logical_not": np.logical_not,
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "remainder": np.remainder,
    "fmod": np.fmod,
}
COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
BITS = {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}
TESTED_APART = {"bitwise_not", "floor_divide", "bitwise_left_shift", "bitwise_right_shift"}


def spread(low: float, high: float, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values away from the kinks at integers and tenths, in random order."""
    rng = np.random.default_rng(seed)
    n = math.prod(shape)
    values = low + (high - low) * (np.arange(n) + 0.37) / max(n, 1)
    return rng.permutation(values).reshape(shape)


def test_every_listed_operation_is_tested():
    assert set(_C._unary_ops) == UNARY.keys() | PREDICATES.keys() | {"bitwise_not"}
    assert set(_C._binary_ops) == BINARY.keys() | COMPARISONS.keys() | BITS.keys() | TESTED_APART - {"bitwise_not"}


@pytest.mark.parametrize("name", UNARY)
def test_unary_value_and_gradient(name):
    row = UNARY[name]
    check_op(
        lambda x: getattr(_C, name)(x, **row.kwargs),
        row.reference,
        spread(row.low, row.high, (5, 7)),
        length=row.length,
    )


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (17,), (3, 0, 2), (2, 3, 4, 5), (1, 67, 1), (40000,)])
def test_unary_shapes(name, shape):
    row = UNARY[name]
    x = spread(row.low, row.high, shape).astype(np.float32)
    assert_close(
        getattr(_C, name)(lamina.tensor(x), **row.kwargs), row.reference(x.astype(np.float64)), "float32", row.length
    )


@pytest.mark.parametrize("name", UNARY)
def test_unary_method_and_in_place(name):
    row = UNARY[name]
    x = lamina.tensor(spread(row.low, row.high, (3, 5)).astype(np.float32))
    want = to_numpy(getattr(_C, name)(x, **row.kwargs))
    np.testing.assert_array_equal(to_numpy(getattr(x, name)(**row.kwargs)), want)
    y = x.clone()
    assert getattr(y, name + "_")(**row.kwargs) is y
    np.testing.assert_array_equal(to_numpy(y), want)
    holes = lamina.from_numpy(strided(to_numpy(x).copy()))
    getattr(holes, name + "_")(**row.kwargs)
    np.testing.assert_array_equal(to_numpy(holes), want)


@pytest.mark.parametrize("name", UNARY)
def test_unary_in_place_gradient(name):
    row = UNARY[name]

    def in_place(x):
        y = x.clone()
        return getattr(y, name + "_")(**row.kwargs)

    check_op(in_place, row.reference, spread(row.low, row.high, (4, 3)), dtypes=("float64",), length=row.length)


@pytest.mark.parametrize("name", PREDICATES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predicates(name, dtype):
    x = np.array([0.0, -0.0, 1.5, -2.0, np.nan, np.inf, -np.inf, 1e-40, 3.0] * 5, dtype)
    got = getattr(_C, name)(lamina.tensor(x))
    assert got.dtype == lamina.bool
    np.testing.assert_array_equal(got.numpy(), PREDICATES[name](x))
    np.testing.assert_array_equal(getattr(_C, name)(lamina.from_numpy(strided(x))).numpy(), PREDICATES[name](x))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (1, 5)), ((), (3,)), ((2, 3, 4), (3, 1))]
)
def test_binary_value_and_gradient(name, shapes):
    a, b = spread(0.6, 4.0, shapes[0], 1), spread(0.7, 3.1, shapes[1], 2)
    dtypes = ("float32", "float64") if name in ("remainder", "fmod") else ("float32", "float64", "float16", "bfloat16")
    check_op(getattr(_C, name), BINARY[name], a, b, dtypes=dtypes, length=16 if name in ("remainder", "fmod") else 1)


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_numbers(name):
    a = spread(0.6, 4.0, (3, 5), 1)
    check_op(lambda x: getattr(_C, name)(x, 1.7), lambda x: BINARY[name](x, 1.7), a, dtypes=("float64",))
    check_op(lambda x: getattr(_C, name)(1.7, x), lambda x: BINARY[name](1.7, x), a, dtypes=("float64",))


@pytest.mark.parametrize("name", BINARY)
def test_binary_in_place_gradient(name):
    def in_place(a, b):
        y = a.clone()
        return getattr(y, name + "_")(b)

    check_op(in_place, BINARY[name], spread(0.6, 4.0, (3, 5), 1), spread(0.7, 3.1, (5,), 2), dtypes=("float64",))


def test_in_place_with_itself():
    x = lamina.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.clone()
    y *= y
    y.backward(lamina.tensor([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(x.grad.numpy(), [2.0, 4.0, 6.0])


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_comparisons(name, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (40, 9)).astype(dtype), rng.integers(0, 3, 9).astype(dtype)
    got = getattr(_C, name)(lamina.tensor(a), lamina.tensor(b))
    assert got.dtype == lamina.bool
    np.testing.assert_array_equal(got.numpy(), COMPARISONS[name](a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_compares_and_propagates_as_ieee_says(dtype):
    a, b = np.array([np.nan, 1.0, np.nan], dtype), np.array([1.0, np.nan, np.nan], dtype)
    x, y = lamina.tensor(a), lamina.tensor(b)
    assert not (x == y).numpy().any() and (x != y).numpy().all() and not (x < y).numpy().any()
    for f in (_C.maximum, _C.minimum, _C.add, _C.hypot):
        assert np.isnan(f(x, y).numpy()).all()
    assert np.isnan(_C.relu(x).numpy()).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum", "remainder", "floor_divide", "fmod"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integer_arithmetic(name, dtype):
    rng = np.random.default_rng(1)
    low = 0 if dtype == "uint8" else -50
    a, b = rng.integers(low, 50, 333).astype(dtype), rng.integers(low, 50, 333).astype(dtype)
    b[b == 0] = 7
    reference = BINARY.get(name, np.floor_divide)
    got = getattr(_C, name)(lamina.tensor(a), lamina.tensor(b))
    assert got.dtype == getattr(lamina, dtype)
    np.testing.assert_array_equal(got.numpy(), reference(a, b))


def test_integer_extremes_do_not_trap():
    low = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).min], np.int64)
    minus = lamina.tensor(np.array([-1, -1], np.int64))
    x = lamina.tensor(low)
    assert (x // minus).numpy().tolist() == low.tolist()
    assert (x % minus).numpy().tolist() == [0, 0]
    assert abs(x).numpy().tolist() == low.tolist()


def test_integer_division_by_zero_is_an_error():
    x = lamina.tensor([1, 2])
    for f in (_C.floor_divide, _C.remainder, _C.fmod):
        with pytest.raises(ValueError, match="division by zero"):
            f(x, 0)
        with pytest.raises(ValueError, match="division by zero"):
            f(x, lamina.tensor([1, 0]))
    assert np.isinf((lamina.tensor([1.0]) // 0.0).numpy()).all()


@given(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3).filter(lambda b: abs(b) > 1e-3))
@settings(max_examples=200, deadline=None)
def test_floor_division_and_remainder_agree_with_python(a, b):
    x = lamina.tensor(np.array([a]))
    assert (x // b).item() == a // b
    assert (x % b).item() == pytest.approx(a % b, abs=1e-9)


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_bits(name, dtype):
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 2 if dtype == "bool" else 200, (7, 9)).astype(dtype), rng.integers(0, 2, 9).astype(dtype)
    np.testing.assert_array_equal(getattr(_C, name)(lamina.tensor(a), lamina.tensor(b)).numpy(), BITS[name](a, b))


def test_shifts_and_not():
    x = lamina.tensor([1, -8, 255, 7])
    assert (x << 3).tolist() == [8, -64, 2040, 56]
    assert (x >> 1).tolist() == [0, -4, 127, 3]
    assert (x << 64).tolist() == [0, 0, 0, 0]
    assert (x >> 200).tolist() == [0, -1, 0, 0]
    assert (~x).tolist() == [-2, 7, -256, -8]
    y = x
    y <<= 3
    y >>= 1
    assert y is x and x.tolist() == [4, -32, 1020, 28]
    truth = lamina.tensor([True, False])
    assert (~truth).tolist() == truth.bitwise_not().tolist() == [False, True]
    assert truth.bitwise_not_().tolist() == [False, True]


def test_operators_match_functions():
    a, b = spread(0.5, 3, (4, 5)).astype(np.float32), spread(0.6, 2, (4, 5), 3).astype(np.float32)
    x, y = lamina.tensor(a), lamina.tensor(b)
    for got, want in [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (x**y, a**b), (x // y, a // b), (x % y, a % b),
        (2 - x, 2 - a), (2 / x, 2 / a), (2**x, np.float32(2) ** a), (-x, -a), (+x, a), (abs(-x), a), (3 // x, 3 // a),
    ]:  # fmt: skip
        assert_close(got, want, "float32")
    assert_close(a + y, a + b, "float32")
    assert isinstance(a + y, lamina.Tensor)
    x += y
    x *= 2
    x -= 1.0
    x /= y
    assert_close(x, ((a + b) * 2 - 1) / b, "float32")


def test_number_keeps_the_tensor_type():
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        t = lamina.tensor([1.0]).to(getattr(lamina, dtype))
        assert (t * 2.5).dtype == t.dtype and (t + 1).dtype == t.dtype and (True * t).dtype == t.dtype
    i = lamina.tensor([1, 2])
    assert (i + 1).dtype == lamina.int64 and (i + 1.5).dtype == lamina.float32 and (i / 2).dtype == lamina.float32
    assert (i + lamina.tensor(2.5, dtype=lamina.float64)).dtype == lamina.float64
    assert (lamina.tensor([1.0]) + lamina.tensor(2.5, dtype=lamina.float64)).dtype == lamina.float32
    assert (lamina.tensor([True]) + True).dtype == lamina.bool


@pytest.mark.parametrize("a", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("b", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
def test_promotion_agrees_with_torch(a, b):
    torch = pytest.importorskip("torch")
    for left, right in [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())]:
        want = torch.result_type(torch.ones(left, dtype=getattr(torch, a)), torch.ones(right, dtype=getattr(torch, b)))
        x, y = lamina.ones(left, dtype=getattr(lamina, a)), lamina.ones(right, dtype=getattr(lamina, b))
        assert str(lamina.result_type(x, y)).split(".")[1] == str(want).split(".")[1]
        assert (x * y).dtype == lamina.result_type(x, y)


@pytest.mark.parametrize("name", ["add_", "div_", "copysign_", "xlogy_", "mul_", "eq_"])
@pytest.mark.parametrize("a", ["float32", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("b", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_what_a_tensor_can_keep_is_as_in_torch(name, a, b):
    torch = pytest.importorskip("torch")

    def run(library):
        x, y = library.tensor([3, 0, 1]), library.tensor([1, 1, 1])
        return getattr(x.to(getattr(library, a)), name)(y.to(getattr(library, b))).double().tolist()

    try:
        want = run(torch)
    except RuntimeError:
        with pytest.raises(TypeError, match=rf"{name}: the result is \w+ and cannot be kept in a tensor of {a}"):
            run(lamina)
    else:
        assert run(lamina) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("source", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
def test_casts(source, target):
    values = np.array([0, 1, 2, 3, 100, 127, 0, 5, 1] * 9, np.float64)
    x = lamina.tensor(values).to(getattr(lamina, source))
    want = (values != 0).astype(float) if "bool" in (source, target) else values
    np.testing.assert_array_equal(to_numpy(x.to(getattr(lamina, target))).astype(float), want)


@pytest.mark.parametrize("power", [2, 3, 4, 0.5, -0.5, -1, 3.0])
def test_powers_with_a_formula_of_their_own(power):
    """As the general power gives them, which takes a logarithm and an exponential."""
    a = spread(0.2, 3.0, (37,))
    check_op(lambda x: x**power, lambda x: np.power(x, power), a)
    x = lamina.tensor(a)
    general = x ** lamina.full((37,), power, dtype=lamina.float64)
    np.testing.assert_allclose((x**power).numpy(), general.numpy(), rtol=1e-14)
    np.testing.assert_array_equal(x.clone().pow_(power).numpy(), (x**power).numpy())
    if power in (2, 3, 4):
        check_op(lambda x: x**power, lambda x: np.power(x, power), spread(-3.0, 3.0, (37,)))
        integers = lamina.tensor([-3, 0, 5])
        assert (integers**power).tolist() == [n**power for n in (-3, 0, 5)]
    assert (lamina.tensor([2.0], dtype=lamina.float16) ** power).dtype == lamina.float16


def test_where_and_clamp():
    c = np.array([[True, False, True]])
    a, b = spread(-2, 2, (4, 3), 1), spread(-3, 3, (4, 1), 2)
    check_op(lambda x, y: lamina.where(lamina.tensor(c), x, y), lambda x, y: np.where(c, x, y), a, b)
    check_op(lambda x: lamina.where(lamina.tensor(c), x, 0.5), lambda x: np.where(c, x, 0.5), a)
    for ours, theirs in zip(lamina.where(lamina.tensor(a) > 0), np.where(a > 0), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)  # the places where it holds
    check_op(lambda x: lamina.clamp(x, -1.0, 0.7), lambda x: np.clip(x, -1.0, 0.7), a)
    check_op(lambda x: lamina.clamp(x, min=0.1), lambda x: np.maximum(x, 0.1), a)
    check_op(lambda x, y: lamina.clamp(x, max=y), lambda x, y: np.minimum(x, y), a, b)
    assert lamina.tensor([1, 5, 9]).clamp(2, 6).tolist() == [2, 5, 6]
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    x.clamp(1.0, 2.0).backward(lamina.tensor([1.0, 1.0]))
    assert x.grad.tolist() == [1.0, 1.0]  # at the bounds the gradient passes
    with pytest.raises(ValueError, match="min, max or both"):
        x.clamp()


@given(st.integers(0, 5), st.data())
@settings(max_examples=100, deadline=None)
def test_broadcasting_of_any_two_shapes(ndim, data):
    shape = data.draw(st.lists(st.integers(0, 4), min_size=ndim, max_size=ndim))
    pick = st.lists(st.booleans(), min_size=ndim, max_size=ndim)
    arrays = []
    for seed in (0, 1):
        ones, drop = data.draw(pick), data.draw(st.integers(0, ndim))
        own = [1 if one else n for n, one in zip(shape, ones, strict=True)][drop:]
        array = np.random.default_rng(seed).standard_normal(own).astype(np.float32)
        arrays.append(strided(array) if data.draw(st.booleans()) else array)
    a, b = arrays
    np.testing.assert_array_equal((lamina.from_numpy(a) * lamina.from_numpy(b)).numpy(), a * b)


def test_masked_fill_takes_a_number_in_a_tensor():
    x, mask = lamina.tensor([1.0, 2.0]), lamina.tensor([True, False])
    assert x.masked_fill(mask, lamina.tensor(7.0)).tolist() == x.masked_fill(mask, 7).tolist() == [7, 2]
    with pytest.raises(ValueError, match=r"masked_fill: value must be a number .* got shape \(1,\)"):
        x.masked_fill(mask, lamina.tensor([7.0]))
    assert x.broadcast_to(3, 2).shape == x.broadcast_to((3, 2)).shape == (3, 2)


def test_overlapping_memory_in_place():
    x = np.arange(10, dtype=np.float32)
    ours, theirs = lamina.tensor(x), x.copy()
    ours[1:] += ours[:-1]
    theirs[1:] += theirs[:-1].copy()
    np.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lamina.ones(2, 3) + lamina.ones(4), ValueError, r"add: shapes \(2, 3\) and \(4,\) do not broadcast: 3 against 4"),
        (lambda: lamina.ones(2).add("x"), TypeError, "add: expected tensors or numbers, got .* and str"),
        (lambda: lamina.exp(), TypeError, "exp: missing argument"),
        (lambda: lamina.exp([1]), TypeError, "exp: expected a Tensor or an array, got list"),
        (lambda: _C.leaky_relu(lamina.ones(2), slope=1), TypeError, "leaky_relu: unexpected argument 'slope'"),
        (lambda: _C.threshold(lamina.ones(2)), TypeError, "threshold: missing argument 'threshold'"),
        (lambda: _C.elu(lamina.ones(2), 1.0, 2.0), TypeError, "elu: takes 1 parameters"),
        (lambda: _C.bitwise_and(lamina.ones(2), lamina.ones(2)), TypeError, "bitwise_and is not defined for float32"),
        (lambda: -lamina.tensor([True]), TypeError, "neg is not defined for bool"),
        (lambda: lamina.tensor([1]).exp_(), TypeError, "exp_: the result is float32 and cannot be kept in a tensor of int64"),
        (lambda: lamina.ones(1).add_(lamina.ones(2)), ValueError, r"add_: the result has shape \(2,\)"),
        (lambda: lamina.tensor([2]) ** -1, ValueError, "negative integer powers"),
        (lambda: lamina.where(lamina.ones(2), 1.0, 2.0), TypeError, "where: the condition must be bool"),
        (lambda: lamina.tensor([1.0]).expand(3).add_(1), RuntimeError, "expanded"),
        (lambda: lamina.tensor([1.0], requires_grad=True).add_(1), RuntimeError, "leaf that requires grad"),
    ],
)  # fmt: skip
def test_errors_name_operation_argument_and_values(call, error, message):
    with pytest.raises(error, match=message):
        call()
