"""Operations put together from others, and PyTorch's other names for them."""

from __future__ import annotations

import functools
import math

from lamina import _C
from lamina._C import Tensor
from lamina._errors import speak_for_themselves
from lamina.autograd.grad_mode import no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "absolute", "addcdiv", "addcmul", "allclose", "arccos", "arcsin", "arctan", "arctan2", "asarray", "clamp_max",
    "clamp_min", "clip", "copysign", "deg2rad", "detach", "div", "divide", "equal", "fix", "float_power", "fmax", "fmin",
    "frac", "greater", "greater_equal", "heaviside", "is_floating_point", "is_tensor", "isclose", "isneginf", "isposinf",
    "lerp", "less", "less_equal", "logit", "multiply", "negative", "not_equal", "numel", "positive", "rad2deg", "round", "rsub",
    "sgn", "subtract", "true_divide", "xlogy",
]  # fmt: skip

absolute = _C.abs
arccos = _C.acos
arcsin = _C.asin
arctan = _C.atan
arctan2 = _C.atan2
clip = _C.clamp
fix = _C.trunc
greater = _C.gt
greater_equal = _C.ge
less = _C.lt
less_equal = _C.le
multiply = _C.mul
asarray = _C.as_tensor
negative = _C.neg
sgn = _C.sign
not_equal = _C.ne
subtract = _C.sub
true_divide = _C.div


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, element by element; rounded towards zero ('trunc') or down ('floor') on demand."""
    if rounding_mode is None:
        return _C.div(input, other)
    if rounding_mode == "floor":
        return _C.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ValueError(f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")
    if _C.result_type(input, other).is_floating_point:
        return _C.trunc(_C.div(input, other))
    return _C.floor_divide(input - _C.fmod(input, other), other)  # exact, so that integers stay integers


divide = div


def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """input + value · tensor1 · tensor2."""
    product = _C.mul(tensor1, tensor2)
    return _C.add(input, product, alpha=value)


def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """input + value · tensor1 / tensor2."""
    return _C.add(input, _C.div(tensor1, tensor2), alpha=value)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight · (end − input): the point at `weight` on the way from input to end."""
    return input + weight * (end - input)


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Not less than min."""
    return _C.clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Not more than max."""
    return _C.clamp(input, max=max)


@no_grad()
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|input − other| ≤ atol + rtol · |other|, element by element."""
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    if input.dtype != other.dtype:
        raise TypeError(f"isclose: both tensors must have one type, got {input.dtype} and {other.dtype}")
    same = input == other  # infinities too
    if input.dtype is _C.bool:
        return same
    if not input.is_floating_point():
        input, other = input.double(), other.double()
    close = same | (_C.isfinite(other) & (_C.abs(input - other) <= atol + rtol * _C.abs(other)))
    return close | (_C.isnan(input) & _C.isnan(other)) if equal_nan else close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Is every element close (see isclose)?"""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Same shape, same elements?"""
    return input.shape == other.shape and bool((input == other).all())


def _beside(other: Any, given: Any) -> Tensor:
    """A number or an array as a tensor on the device of the other operand; a tensor as it is."""
    like = other.device if isinstance(other, Tensor) and not isinstance(given, Tensor) else None
    return _C.as_tensor(given, device=like)


def _floating_type(a: Any, b: Any) -> Any:
    """The type of a result of a and b that is no integer."""
    common = _C.result_type(a, b)
    return common if common.is_floating_point else _C.float32


def copysign(input: Tensor, other: Any) -> Tensor:
    """The size of input with the sign of other."""
    other = _beside(input, other)
    input = input.to(_floating_type(input, other))
    return _C.where(_C.signbit(input) == _C.signbit(other), input, -input)


def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    return input * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    return input * (180 / math.pi)


def float_power(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent in float64."""
    return _C.pow(_beside(exponent, input).double(), _beside(input, exponent).double())


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of each pair; a number rather than NaN."""
    return _C.where(_C.isnan(input), other, _C.where(_C.isnan(other), input, _C.maximum(input, other)))


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of each pair; a number rather than NaN."""
    return _C.where(_C.isnan(input), other, _C.where(_C.isnan(other), input, _C.minimum(input, other)))


def frac(input: Tensor) -> Tensor:
    """What is behind the point."""
    return input - _C.trunc(input)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and `values` at it."""
    return _C.where(input == 0, values, (input > 0).to(input.dtype))


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, or the nearest multiple of 10 to the power of -decimals; the even one of two."""
    if decimals == 0:
        return _C.round(input)
    if not input.is_floating_point():
        raise TypeError(f"round: decimals are for floating types, got {input.dtype}")
    if decimals > 0:
        return _C.round(input * 10.0**decimals) / 10.0**decimals
    return _C.round(input / 10.0**-decimals) * 10.0**-decimals


def isposinf(input: Tensor) -> Tensor:
    """Is each element inf?"""
    return input == float("inf")


def isneginf(input: Tensor) -> Tensor:
    """Is each element -inf?"""
    return input == -float("inf")


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), the inverse of sigmoid; with eps, of the input clamped to [eps, 1 - eps]."""
    if eps is not None:
        input = _C.clamp(input, eps, 1 - eps)
    return _C.log(input / (1.0 - input))  # 1.0, for 1 - input would wrap around in uint8


def xlogy(input: Any, other: Any) -> Tensor:
    """input · log(other), and 0 where input is 0."""
    kind = _floating_type(input, other)
    x, y = _beside(other, input).to(kind), _beside(input, other).to(kind)
    nothing = (x == 0) & ~_C.isnan(y)
    return _C.where(nothing, 0.0, x * _C.log(_C.where(nothing, 1.0, y)))


def rsub(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha · input."""
    return other - input * alpha


def positive(input: Tensor) -> Tensor:
    """The input itself."""
    return input


def detach(input: Tensor) -> Tensor:
    """The same memory outside the graph."""
    return input.detach()


def is_floating_point(input: Tensor) -> bool:
    """Is its type a floating one?"""
    return input.is_floating_point()


def is_tensor(obj: Any) -> bool:
    """Is it a lamina tensor?"""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """Number of elements."""
    return input.numel()


# ---- Python's functions of numbers ----


def __round__(self: Tensor, ndigits: int | None = None) -> Tensor:
    return round(self, decimals=ndigits or 0)


def __divmod__(self: Tensor, other: Any) -> tuple[Tensor, Tensor]:
    return self // other, self % other


def __rdivmod__(self: Tensor, other: Any) -> tuple[Tensor, Tensor]:
    return other // self, other % self


# ---- as methods ----


def _rank(dtype: Any) -> int:
    """Truth values, integers, floating numbers: none can be kept in a tensor of those before."""
    return 2 if dtype.is_floating_point else int(dtype is not _C.bool)


def _in_place(function: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # A clone, for what backward needs of the input must outlive its being overwritten.
        result = function(self.clone(), *args, **kwargs)
        if _rank(result.dtype) > _rank(self.dtype):
            raise TypeError(
                f"{method.__name__}: the result is {result.dtype.name} and cannot be kept in a tensor of {self.dtype.name}"
            )
        return self.copy_(result)

    functools.update_wrapper(method, function, assigned=())  # whose signature it has
    method.__name__ = f"{function.__name__}_"
    method.__doc__ = f"{function.__name__}, written into this tensor."
    return method


speak_for_themselves(globals())

for _alias, _name in {
    "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2", "fix": "trunc",
    "multiply": "mul", "negative": "neg", "sgn": "sign", "subtract": "sub", "true_divide": "div",
}.items():  # fmt: skip
    setattr(Tensor, _alias, vars(Tensor)[_name])  # not getattr: that would unbind
    setattr(Tensor, f"{_alias}_", vars(Tensor)[f"{_name}_"])
for _alias, _name in {
    "clip": "clamp", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
}.items():  # fmt: skip
    setattr(Tensor, _alias, vars(Tensor)[_name])  # not getattr: that would unbind
for _function in (div, addcmul, addcdiv, lerp, clamp_min, clamp_max, round):
    setattr(Tensor, _function.__name__, _function)
    setattr(Tensor, f"{_function.__name__}_", _in_place(_function))
for _name in ("copysign", "deg2rad", "float_power", "frac", "heaviside", "logit", "rad2deg", "xlogy"):
    setattr(Tensor, _name, globals()[_name])
    setattr(Tensor, f"{_name}_", _in_place(globals()[_name]))
for _name in ("isclose", "allclose", "equal", "fmax", "fmin", "isneginf", "isposinf", "positive"):
    setattr(Tensor, _name, globals()[_name])
for _name in ("__round__", "__divmod__", "__rdivmod__"):
    setattr(Tensor, _name, globals()[_name])
for _alias in ("clamp_", "clip_"):
    setattr(Tensor, _alias, _in_place(_C.clamp))
for _name in (
    "addmm", "baddbmm", "cumprod", "cumsum", "eq", "ge", "gt", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne",
    "scatter_reduce", "tril", "triu",
):  # fmt: skip
    setattr(Tensor, f"{_name}_", _in_place(getattr(_C, _name)))
for _alias in ("div", "div_"):
    setattr(Tensor, _alias.replace("div", "divide"), vars(Tensor)[_alias])
