# Written by tools/stubs.py from the compiled module. Do not edit.
"""lamina's compiled core."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np

_Number: TypeAlias = builtins.bool | builtins.int | builtins.float
# Inside Tensor, these names mean its attributes.
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_binary_ops: tuple[str, ...]
_build: tuple[str, ...]
_unary_ops: tuple[str, ...]
_version: str
bfloat16: _dtype
bool: _dtype
default_generator: Generator
float16: _dtype
float32: _dtype
float64: _dtype
int32: _dtype
int64: _dtype
uint8: _dtype

class Generator:
    """A source of random numbers: a seed and how far its stream is used up. A new one always starts from the same seed; lamina.default_generator starts from one of the system's."""

    def __init__(self, device: _device | str = ...) -> None: ...
    @property
    def device(self) -> _device: ...
    def get_state(self) -> Tensor:
        """The state as an int64 tensor: the seed, the next counter."""

    def initial_seed(self) -> builtins.int:
        """The seed of the current stream."""

    def manual_seed(self, seed: builtins.int) -> Generator:
        """Starts the stream of this seed from its beginning."""

    def seed(self) -> builtins.int:
        """Starts a stream that nobody can foresee and returns its seed."""

    def set_state(self, new_state: Tensor) -> Generator: ...

class HookHandle:
    """What register_hook returns."""

    def remove(self) -> None: ...

class Tensor:
    """A strided array of numbers with automatic differentiation."""

    @property
    def T(self) -> Tensor:
        """The view with all dimensions reversed."""

    def __abs__(self) -> Tensor: ...
    def __add__(self, other: Tensor | _Number) -> Tensor: ...
    def __and__(self, other: Tensor | _Number) -> Tensor: ...
    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> np.ndarray[Any, Any]: ...
    def __bool__(self) -> builtins.bool: ...
    def __contains__(self, value: Any) -> builtins.bool: ...
    def __copy__(self) -> Tensor: ...
    def __deepcopy__(self, memo: dict[builtins.int, Any]) -> Tensor: ...
    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]: ...
    def __dlpack__(
        self,
        stream: Any = None,
        max_version: tuple[builtins.int, builtins.int] | None = None,
        dl_device: tuple[builtins.int, builtins.int] | None = None,
        copy: builtins.bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, ...]: ...
    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        ...
    def __float__(self) -> builtins.float: ...
    def __floordiv__(self, other: Tensor | _Number) -> Tensor: ...
    def __format__(self, spec: str) -> str: ...
    def __ge__(self, other: Any) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __iadd__(self, other: Tensor | _Number) -> Tensor: ...
    def __iand__(self, other: Tensor | _Number) -> Tensor: ...
    def __ifloordiv__(self, other: Tensor | _Number) -> Tensor: ...
    def __ilshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __imod__(self, other: Tensor | _Number) -> Tensor: ...
    def __imul__(self, other: Tensor | _Number) -> Tensor: ...
    def __index__(self) -> builtins.int: ...
    def __int__(self) -> builtins.int: ...
    def __invert__(self) -> Tensor: ...
    def __ior__(self, other: Tensor | _Number) -> Tensor: ...
    def __ipow__(self, other: Tensor | _Number) -> Tensor: ...
    def __irshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __isub__(self, other: Tensor | _Number) -> Tensor: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __itruediv__(self, other: Tensor | _Number) -> Tensor: ...
    def __ixor__(self, other: Tensor | _Number) -> Tensor: ...
    def __le__(self, other: Any) -> Tensor: ...
    def __len__(self) -> builtins.int: ...
    def __lshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __lt__(self, other: Any) -> Tensor: ...
    def __matmul__(self, other: Tensor | _Number) -> Tensor: ...
    def __mod__(self, other: Tensor | _Number) -> Tensor: ...
    def __mul__(self, other: Tensor | _Number) -> Tensor: ...
    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        ...
    def __neg__(self) -> Tensor: ...
    def __or__(self, other: Tensor | _Number) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __pow__(self, other: Tensor | _Number) -> Tensor: ...
    def __radd__(self, other: Tensor | _Number) -> Tensor: ...
    def __rand__(self, other: Tensor | _Number) -> Tensor: ...
    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]: ...
    def __rfloordiv__(self, other: Tensor | _Number) -> Tensor: ...
    def __rlshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __rmatmul__(self, other: Tensor | _Number) -> Tensor: ...
    def __rmod__(self, other: Tensor | _Number) -> Tensor: ...
    def __rmul__(self, other: Tensor | _Number) -> Tensor: ...
    def __ror__(self, other: Tensor | _Number) -> Tensor: ...
    def __round__(self, ndigits: builtins.int | None = None) -> Tensor: ...
    def __rpow__(self, other: Tensor | _Number) -> Tensor: ...
    def __rrshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __rshift__(self, other: Tensor | _Number) -> Tensor: ...
    def __rsub__(self, other: Tensor | _Number) -> Tensor: ...
    def __rtruediv__(self, other: Tensor | _Number) -> Tensor: ...
    def __rxor__(self, other: Tensor | _Number) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __sub__(self, other: Tensor | _Number) -> Tensor: ...
    def __truediv__(self, other: Tensor | _Number) -> Tensor: ...
    def __xor__(self, other: Tensor | _Number) -> Tensor: ...
    def _as_bytes(self) -> Tensor: ...
    def _to_dtype(self, dtype: _dtype) -> Tensor: ...
    @property
    def _version(self) -> builtins.int:
        """How often the memory was changed in place."""

    def abs(self, /) -> Tensor:
        """abs, element by element."""

    def abs_(self, /) -> Tensor:
        """abs_, element by element."""

    def absolute(self, /) -> Tensor:
        """abs, element by element."""

    def absolute_(self, /) -> Tensor:
        """abs_, element by element."""

    def acos(self, /) -> Tensor:
        """acos, element by element."""

    def acos_(self, /) -> Tensor:
        """acos_, element by element."""

    def add(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """add, element by element."""

    def add_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """add_, element by element."""

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: builtins.float = 1) -> Tensor:
        """input + value · tensor1 / tensor2."""

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: builtins.float = 1) -> Tensor:
        """addcdiv, written into this tensor."""

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: builtins.float = 1) -> Tensor:
        """input + value · tensor1 · tensor2."""

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: builtins.float = 1) -> Tensor:
        """addcmul, written into this tensor."""

    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor: ...
    def addmm_(self, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """addmm, written into this tensor."""

    def addmv(self, mat: Tensor, vec: Tensor, *, beta: builtins.float = 1, alpha: builtins.float = 1) -> Tensor:
        """beta · input + alpha · mat @ vec."""

    def addr(self, vec1: Tensor, vec2: Tensor, *, beta: builtins.float = 1, alpha: builtins.float = 1) -> Tensor:
        """beta · input + alpha · the outer product of vec1 and vec2."""

    def all(self, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False) -> Tensor:
        """Is no element zero?"""

    def allclose(
        self,
        other: Tensor,
        rtol: builtins.float = 1e-05,
        atol: builtins.float = 1e-08,
        equal_nan: builtins.bool = False,
    ) -> builtins.bool:
        """Is every element close (see isclose)?"""

    def amax(self, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False) -> Tensor:
        """The largest elements; those that tie share the gradient."""

    def amin(self, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False) -> Tensor:
        """The smallest elements; those that tie share the gradient."""

    def aminmax(self, *, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> tuple[Tensor, Tensor]:
        """The smallest and largest elements, over one dimension or all."""

    def any(self, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False) -> Tensor:
        """Is any element not zero?"""

    def arccos(self, /) -> Tensor:
        """acos, element by element."""

    def arccos_(self, /) -> Tensor:
        """acos_, element by element."""

    def arcsin(self, /) -> Tensor:
        """asin, element by element."""

    def arcsin_(self, /) -> Tensor:
        """asin_, element by element."""

    def arctan(self, /) -> Tensor:
        """atan, element by element."""

    def arctan2(self, other: Tensor | _Number) -> Tensor:
        """atan2, element by element."""

    def arctan2_(self, other: Tensor | _Number) -> Tensor:
        """atan2_, element by element."""

    def arctan_(self, /) -> Tensor:
        """atan_, element by element."""

    def argmax(self, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Tensor:
        """Where the largest element stands first."""

    def argmin(self, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Tensor:
        """Where the smallest element stands first."""

    def argsort(
        self, dim: builtins.int = -1, descending: builtins.bool = False, stable: builtins.bool = True
    ) -> Tensor:
        """The indices that sort along dim."""

    def as_strided(
        self, size: Sequence[builtins.int], stride: Sequence[builtins.int], storage_offset: builtins.int | None = None
    ) -> Tensor: ...
    def asin(self, /) -> Tensor:
        """asin, element by element."""

    def asin_(self, /) -> Tensor:
        """asin_, element by element."""

    def atan(self, /) -> Tensor:
        """atan, element by element."""

    def atan2(self, other: Tensor | _Number) -> Tensor:
        """atan2, element by element."""

    def atan2_(self, other: Tensor | _Number) -> Tensor:
        """atan2_, element by element."""

    def atan_(self, /) -> Tensor:
        """atan_, element by element."""

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: builtins.bool | None = None,
        create_graph: builtins.bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds the gradient of this tensor to the .grad of every leaf that it was made from."""

    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor: ...
    def baddbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """baddbmm, written into this tensor."""

    def bernoulli(self, *, generator: Generator | None = None) -> Tensor: ...
    def bernoulli_(self, p: Tensor | _Number = 0.5, *, generator: Generator | None = None) -> Tensor: ...
    def bfloat16(self, /) -> Tensor:
        """This tensor as bfloat16."""

    def bincount(self, weights: Tensor | None = None, minlength: builtins.int = 0) -> Tensor: ...
    def bitwise_and(self, other: Tensor | _Number) -> Tensor:
        """bitwise_and, element by element."""

    def bitwise_and_(self, other: Tensor | _Number) -> Tensor:
        """bitwise_and_, element by element."""

    def bitwise_left_shift(self, other: Tensor | _Number) -> Tensor:
        """bitwise_left_shift, element by element."""

    def bitwise_left_shift_(self, other: Tensor | _Number) -> Tensor:
        """bitwise_left_shift_, element by element."""

    def bitwise_not(self, /) -> Tensor:
        """bitwise_not, element by element."""

    def bitwise_not_(self, /) -> Tensor:
        """bitwise_not_, element by element."""

    def bitwise_or(self, other: Tensor | _Number) -> Tensor:
        """bitwise_or, element by element."""

    def bitwise_or_(self, other: Tensor | _Number) -> Tensor:
        """bitwise_or_, element by element."""

    def bitwise_right_shift(self, other: Tensor | _Number) -> Tensor:
        """bitwise_right_shift, element by element."""

    def bitwise_right_shift_(self, other: Tensor | _Number) -> Tensor:
        """bitwise_right_shift_, element by element."""

    def bitwise_xor(self, other: Tensor | _Number) -> Tensor:
        """bitwise_xor, element by element."""

    def bitwise_xor_(self, other: Tensor | _Number) -> Tensor:
        """bitwise_xor_, element by element."""

    def bmm(self, mat2: Tensor) -> Tensor:
        """The products of two batches of matrices."""

    def bool(self, /) -> Tensor:
        """This tensor as bool: what is not zero is True."""

    def broadcast_to(self, *args: Any) -> Tensor: ...
    def byte(self, /) -> Tensor:
        """This tensor as uint8."""

    def ceil(self, /) -> Tensor:
        """ceil, element by element."""

    def ceil_(self, /) -> Tensor:
        """ceil_, element by element."""

    def celu(self, /, alpha: _Number = 1.0) -> Tensor:
        """celu, element by element."""

    def celu_(self, /, alpha: _Number = 1.0) -> Tensor:
        """celu_, element by element."""

    def chunk(self, chunks: builtins.int, dim: builtins.int = 0) -> tuple[Tensor, ...]: ...
    def clamp(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor: ...
    def clamp_(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """clamp, written into this tensor."""

    def clamp_max(self, max: Any) -> Tensor:
        """Not more than max."""

    def clamp_max_(self, max: Any) -> Tensor:
        """clamp_max, written into this tensor."""

    def clamp_min(self, min: Any) -> Tensor:
        """Not less than min."""

    def clamp_min_(self, min: Any) -> Tensor:
        """clamp_min, written into this tensor."""

    def clip(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor: ...
    def clip_(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """clamp, written into this tensor."""

    def clone(self) -> Tensor: ...
    def contiguous(self) -> Tensor: ...
    def copy_(self, source: Tensor, non_blocking: builtins.bool = False) -> Tensor: ...
    def copysign(self, other: Any) -> Tensor:
        """The size of input with the sign of other."""

    def copysign_(self, other: Any) -> Tensor:
        """copysign, written into this tensor."""

    def corrcoef(self) -> Tensor:
        """Pearson's correlation coefficients of the variables in the rows."""

    def cos(self, /) -> Tensor:
        """cos, element by element."""

    def cos_(self, /) -> Tensor:
        """cos_, element by element."""

    def cosh(self, /) -> Tensor:
        """cosh, element by element."""

    def cosh_(self, /) -> Tensor:
        """cosh_, element by element."""

    def count_nonzero(self, dim: builtins.int | Sequence[builtins.int] | None = None) -> Tensor:
        """How many elements are not zero."""

    def cov(
        self, *, correction: builtins.int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
    ) -> Tensor:
        """The covariances of the variables in the rows; columns may be counted (fweights) or weighted (aweights)."""

    def cpu(self) -> Tensor: ...
    def cross(self, other: Tensor, dim: builtins.int | None = None) -> Tensor:
        """The vector product along a dimension of size 3, by default the first of that size."""

    def cuda(self, device: builtins.int = 0, non_blocking: builtins.bool = False) -> Tensor: ...
    def cummax(self, dim: builtins.int) -> ValuesIndices:
        """The largest element so far along dim, and where the last such stands: (values, indices)."""

    def cummin(self, dim: builtins.int) -> ValuesIndices:
        """The smallest element so far along dim, and where the last such stands: (values, indices)."""

    def cumprod(self, dim: builtins.int, *, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
        """Running products along dim."""

    def cumprod_(
        self, dim: builtins.int | Sequence[builtins.int] | None, *, dtype: _dtype | type[Any] | str | None = None
    ) -> Any:
        """cumprod, written into this tensor."""

    def cumsum(self, dim: builtins.int, *, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
        """Running sums along dim."""

    def cumsum_(
        self, dim: builtins.int | Sequence[builtins.int] | None, *, dtype: _dtype | type[Any] | str | None = None
    ) -> Any:
        """cumsum, written into this tensor."""
    data: Tensor

    def data_ptr(self) -> builtins.int: ...
    def deg2rad(self) -> Tensor:
        """Degrees to radians."""

    def deg2rad_(self) -> Tensor:
        """deg2rad, written into this tensor."""

    def detach(self) -> Tensor: ...
    def detach_(self) -> Tensor: ...
    @property
    def device(self) -> _device:
        """Where the memory lies."""

    def diag(self, diagonal: builtins.int = 0) -> Tensor: ...
    def diag_embed(self, offset: builtins.int = 0, dim1: builtins.int = -2, dim2: builtins.int = -1) -> Tensor: ...
    def diagonal(self, offset: builtins.int = 0, dim1: builtins.int = 0, dim2: builtins.int = 1) -> Tensor: ...
    def diff(
        self, n: builtins.int = 1, dim: builtins.int = -1, prepend: Tensor | None = None, append: Tensor | None = None
    ) -> Tensor:
        """Differences of neighbours along dim, n times over; `prepend` and `append` join the input first."""

    def dim(self) -> builtins.int: ...
    def dist(self, other: Tensor, p: builtins.float = 2) -> Tensor:
        """The norm of order p of the difference."""

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """input / other, element by element; rounded towards zero ('trunc') or down ('floor') on demand."""

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """div, written into this tensor."""

    def divide(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """input / other, element by element; rounded towards zero ('trunc') or down ('floor') on demand."""

    def divide_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """div, written into this tensor."""

    def dot(self, other: Tensor) -> Tensor:
        """The sum of the products of two vectors' elements."""

    def double(self, /) -> Tensor:
        """This tensor as float64."""

    def dsplit(self, indices_or_sections: builtins.int | Sequence[builtins.int]) -> tuple[Tensor, ...]:
        """Views of the parts along dimension 2."""

    @property
    def dtype(self) -> _dtype:
        """Type of the elements."""

    def element_size(self) -> builtins.int: ...
    def elu(self, /, alpha: _Number = 1.0) -> Tensor:
        """elu, element by element."""

    def elu_(self, /, alpha: _Number = 1.0) -> Tensor:
        """elu_, element by element."""

    def eq(self, other: Tensor | _Number) -> Tensor:
        """eq, element by element."""

    def eq_(self, other: Tensor | _Number) -> Any:
        """eq, written into this tensor."""

    def equal(self, other: Tensor) -> builtins.bool:
        """Same shape, same elements?"""

    def erf(self, /) -> Tensor:
        """erf, element by element."""

    def erf_(self, /) -> Tensor:
        """erf_, element by element."""

    def erfc(self, /) -> Tensor:
        """erfc, element by element."""

    def erfc_(self, /) -> Tensor:
        """erfc_, element by element."""

    def exp(self, /) -> Tensor:
        """exp, element by element."""

    def exp2(self, /) -> Tensor:
        """exp2, element by element."""

    def exp2_(self, /) -> Tensor:
        """exp2_, element by element."""

    def exp_(self, /) -> Tensor:
        """exp_, element by element."""

    def expand(self, *args: Any) -> Tensor: ...
    def expand_as(self, other: Tensor) -> Tensor: ...
    def expm1(self, /) -> Tensor:
        """expm1, element by element."""

    def expm1_(self, /) -> Tensor:
        """expm1_, element by element."""

    def exponential_(self, lambd: builtins.float = 1.0, *, generator: Generator | None = None) -> Tensor: ...
    def fill_(self, value: Tensor | _Number) -> Tensor: ...
    def fix(self, /) -> Tensor:
        """trunc, element by element."""

    def fix_(self, /) -> Tensor:
        """trunc_, element by element."""

    def flatten(self, start_dim: builtins.int = 0, end_dim: builtins.int = -1) -> Tensor: ...
    def flip(self, *args: Any) -> Tensor: ...
    def fliplr(self) -> Tensor:
        """Columns in reverse order."""

    def flipud(self) -> Tensor:
        """Rows in reverse order."""

    def float(self, /) -> Tensor:
        """This tensor as float32."""

    def float_power(self, exponent: Any) -> Tensor:
        """input to the power of exponent in float64."""

    def float_power_(self, exponent: Any) -> Tensor:
        """float_power, written into this tensor."""

    def floor(self, /) -> Tensor:
        """floor, element by element."""

    def floor_(self, /) -> Tensor:
        """floor_, element by element."""

    def floor_divide(self, other: Tensor | _Number) -> Tensor:
        """floor_divide, element by element."""

    def floor_divide_(self, other: Tensor | _Number) -> Tensor:
        """floor_divide_, element by element."""

    def fmax(self, other: Tensor) -> Tensor:
        """The larger of each pair; a number rather than NaN."""

    def fmin(self, other: Tensor) -> Tensor:
        """The smaller of each pair; a number rather than NaN."""

    def fmod(self, other: Tensor | _Number) -> Tensor:
        """fmod, element by element."""

    def fmod_(self, other: Tensor | _Number) -> Tensor:
        """fmod_, element by element."""

    def frac(self) -> Tensor:
        """What is behind the point."""

    def frac_(self) -> Tensor:
        """frac, written into this tensor."""

    def gather(self, dim: builtins.int, index: Tensor) -> Tensor: ...
    def ge(self, other: Tensor | _Number) -> Tensor:
        """ge, element by element."""

    def ge_(self, other: Tensor | _Number) -> Any:
        """ge, written into this tensor."""

    def gelu(self, /) -> Tensor:
        """gelu, element by element."""

    def gelu_(self, /) -> Tensor:
        """gelu_, element by element."""

    def gelu_tanh(self, /) -> Tensor:
        """gelu_tanh, element by element."""

    def gelu_tanh_(self, /) -> Tensor:
        """gelu_tanh_, element by element."""

    def ger(self, vec2: Tensor) -> Tensor:
        """The outer product of two vectors."""
    grad: Tensor | None

    @property
    def grad_fn(self) -> str | None:
        """Name of the operation that made this tensor, or None."""

    def greater(self, other: Tensor | _Number) -> Tensor:
        """gt, element by element."""

    def greater_equal(self, other: Tensor | _Number) -> Tensor:
        """ge, element by element."""

    def gt(self, other: Tensor | _Number) -> Tensor:
        """gt, element by element."""

    def gt_(self, other: Tensor | _Number) -> Any:
        """gt, written into this tensor."""

    def half(self, /) -> Tensor:
        """This tensor as float16."""

    def hardshrink(self, /, lambd: builtins.float = 0.5) -> Tensor:
        """hardshrink, element by element."""

    def hardshrink_(self, /, lambd: builtins.float = 0.5) -> Tensor:
        """hardshrink_, element by element."""

    def hardsigmoid(self, /) -> Tensor:
        """hardsigmoid, element by element."""

    def hardsigmoid_(self, /) -> Tensor:
        """hardsigmoid_, element by element."""

    def hardswish(self, /) -> Tensor:
        """hardswish, element by element."""

    def hardswish_(self, /) -> Tensor:
        """hardswish_, element by element."""

    def hardtanh(self, /, min_val: Any = -1.0, max_val: builtins.float = 1.0) -> Tensor:
        """hardtanh, element by element."""

    def hardtanh_(self, /, min_val: Any = -1.0, max_val: builtins.float = 1.0) -> Tensor:
        """hardtanh_, element by element."""

    def heaviside(self, values: Tensor) -> Tensor:
        """0 below 0, 1 above, and `values` at it."""

    def heaviside_(self, values: Tensor) -> Tensor:
        """heaviside, written into this tensor."""

    def histc(self, bins: builtins.int = 100, min: builtins.float = 0, max: builtins.float = 0) -> Tensor:
        """How many elements fall into each of `bins` equal parts of [min, max], by default of what the elements span."""

    def hsplit(self, indices_or_sections: builtins.int | Sequence[builtins.int]) -> tuple[Tensor, ...]:
        """Views of the parts along dimension 1."""

    def hypot(self, other: Tensor | _Number) -> Tensor:
        """hypot, element by element."""

    def hypot_(self, other: Tensor | _Number) -> Tensor:
        """hypot_, element by element."""

    def index_add(self, dim: builtins.int, index: Tensor, source: Tensor, *, alpha: _Number = 1) -> Tensor: ...
    def index_add_(self, dim: builtins.int, index: Tensor, source: Tensor, *, alpha: _Number = 1) -> Tensor: ...
    def index_copy(self, dim: builtins.int, index: Tensor, source: Tensor) -> Tensor: ...
    def index_copy_(self, dim: builtins.int, index: Tensor, source: Tensor) -> Tensor: ...
    def index_fill(self, dim: builtins.int, index: Tensor, value: Tensor | _Number) -> Tensor: ...
    def index_fill_(self, dim: builtins.int, index: Tensor, value: Tensor | _Number) -> Tensor: ...
    def index_put(self, indices: Sequence[Tensor], values: Tensor, accumulate: builtins.bool = False) -> Tensor:
        """A copy with `values` at the places that the index tensors name."""

    def index_put_(
        self, indices: tuple[Any, ...], values: Tensor | _Number, accumulate: builtins.bool = False
    ) -> Tensor: ...
    def index_select(self, dim: builtins.int, index: Tensor) -> Tensor: ...
    def inner(self, other: Tensor) -> Tensor:
        """Products summed over the last dimensions of both."""

    def int(self, /) -> Tensor:
        """This tensor as int32."""

    def is_contiguous(self) -> builtins.bool: ...
    @property
    def is_cuda(self) -> builtins.bool:
        """Does the memory lie on a GPU?"""

    def is_floating_point(self) -> builtins.bool: ...
    @property
    def is_leaf(self) -> builtins.bool:
        """True unless made by a recorded operation."""

    def is_pinned(self) -> builtins.bool: ...
    def isclose(
        self,
        other: Tensor,
        rtol: builtins.float = 1e-05,
        atol: builtins.float = 1e-08,
        equal_nan: builtins.bool = False,
    ) -> Tensor:
        """|input − other| ≤ atol + rtol · |other|, element by element."""

    def isfinite(self, /) -> Tensor:
        """isfinite, element by element."""

    def isinf(self, /) -> Tensor:
        """isinf, element by element."""

    def isnan(self, /) -> Tensor:
        """isnan, element by element."""

    def isneginf(self) -> Tensor:
        """Is each element -inf?"""

    def isposinf(self) -> Tensor:
        """Is each element inf?"""

    def item(self, /) -> _Number:
        """The only element as a Python number."""

    @property
    def itemsize(self) -> builtins.int:
        """Bytes of one element."""

    def kron(self, other: Tensor) -> Tensor:
        """The Kronecker product: `other` times each element of `input`, in its place."""

    def kthvalue(self, k: builtins.int, dim: builtins.int = -1, keepdim: builtins.bool = False) -> ValuesIndices:
        """The k-th smallest element along dim, counted from 1."""

    def le(self, other: Tensor | _Number) -> Tensor:
        """le, element by element."""

    def le_(self, other: Tensor | _Number) -> Any:
        """le, written into this tensor."""

    def leaky_relu(self, /, negative_slope: builtins.float = 0.01) -> Tensor:
        """leaky_relu, element by element."""

    def leaky_relu_(self, /, negative_slope: builtins.float = 0.01) -> Tensor:
        """leaky_relu_, element by element."""

    def lerp(self, end: Tensor, weight: Any) -> Tensor:
        """input + weight · (end − input): the point at `weight` on the way from input to end."""

    def lerp_(self, end: Tensor, weight: Any) -> Tensor:
        """lerp, written into this tensor."""

    def less(self, other: Tensor | _Number) -> Tensor:
        """lt, element by element."""

    def less_equal(self, other: Tensor | _Number) -> Tensor:
        """le, element by element."""

    def log(self, /) -> Tensor:
        """log, element by element."""

    def log10(self, /) -> Tensor:
        """log10, element by element."""

    def log10_(self, /) -> Tensor:
        """log10_, element by element."""

    def log1p(self, /) -> Tensor:
        """log1p, element by element."""

    def log1p_(self, /) -> Tensor:
        """log1p_, element by element."""

    def log2(self, /) -> Tensor:
        """log2, element by element."""

    def log2_(self, /) -> Tensor:
        """log2_, element by element."""

    def log_(self, /) -> Tensor:
        """log_, element by element."""

    def log_softmax(self, dim: builtins.int, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
        """The logarithm of softmax, without loss."""

    def logaddexp(self, other: Tensor) -> Tensor:
        """log(exp(input) + exp(other)) without overflow."""

    def logcumsumexp(self, dim: builtins.int) -> Tensor:
        """log(cumsum(exp(input))) along dim without overflow."""

    def logical_and(self, other: Tensor | _Number) -> Tensor:
        """logical_and, element by element."""

    def logical_and_(self, other: Tensor | _Number) -> Any:
        """logical_and, written into this tensor."""

    def logical_not(self, /) -> Tensor:
        """logical_not, element by element."""

    def logical_not_(self, /) -> Any:
        """logical_not, written into this tensor."""

    def logical_or(self, other: Tensor | _Number) -> Tensor:
        """logical_or, element by element."""

    def logical_or_(self, other: Tensor | _Number) -> Any:
        """logical_or, written into this tensor."""

    def logical_xor(self, other: Tensor | _Number) -> Tensor:
        """logical_xor, element by element."""

    def logical_xor_(self, other: Tensor | _Number) -> Any:
        """logical_xor, written into this tensor."""

    def logit(self, eps: builtins.float | None = None) -> Tensor:
        """log(input / (1 - input)), the inverse of sigmoid; with eps, of the input clamped to [eps, 1 - eps]."""

    def logit_(self, eps: builtins.float | None = None) -> Tensor:
        """logit, written into this tensor."""

    def logsigmoid(self, /) -> Tensor:
        """logsigmoid, element by element."""

    def logsigmoid_(self, /) -> Tensor:
        """logsigmoid_, element by element."""

    def logsumexp(self, dim: builtins.int | Sequence[builtins.int] | None, keepdim: builtins.bool = False) -> Tensor:
        """log(sum(exp(input))) without overflow."""

    def long(self, /) -> Tensor:
        """This tensor as int64."""

    def lt(self, other: Tensor | _Number) -> Tensor:
        """lt, element by element."""

    def lt_(self, other: Tensor | _Number) -> Any:
        """lt, written into this tensor."""

    @property
    def mT(self) -> Tensor:
        """The view with the last two dimensions exchanged."""

    def masked_fill(self, mask: Tensor, value: Tensor | _Number) -> Tensor: ...
    def masked_fill_(self, mask: Tensor, value: Tensor | _Number) -> Tensor: ...
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor: ...
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor: ...
    def masked_select(self, mask: Tensor) -> Tensor: ...
    def matmul(self, other: Tensor) -> Tensor:
        """The product of matrices, of batches of them, of vectors, as in PyTorch."""

    @overload
    def max(self) -> Tensor:
        """The largest element; with dim, (values, indices) along it; with another tensor, the larger of each pair."""

    @overload
    def max(self, dim: builtins.int, keepdim: builtins.bool = False) -> ValuesIndices: ...
    @overload
    def max(self, other: Tensor) -> Tensor: ...
    def maximum(self, other: Tensor | _Number) -> Tensor:
        """maximum, element by element."""

    def maximum_(self, other: Tensor | _Number) -> Tensor:
        """maximum_, element by element."""

    def mean(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        keepdim: builtins.bool = False,
        *,
        dtype: _dtype | type[Any] | str | None = None,
    ) -> Tensor:
        """The mean over some dimensions, or all."""

    def median(self, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Any:
        """The lower median; with dim, (values, indices) along it."""

    @overload
    def min(self) -> Tensor:
        """The smallest element; with dim, (values, indices) along it; with another tensor, the smaller of each pair."""

    @overload
    def min(self, dim: builtins.int, keepdim: builtins.bool = False) -> ValuesIndices: ...
    @overload
    def min(self, other: Tensor) -> Tensor: ...
    def minimum(self, other: Tensor | _Number) -> Tensor:
        """minimum, element by element."""

    def minimum_(self, other: Tensor | _Number) -> Tensor:
        """minimum_, element by element."""

    def mish(self, /) -> Tensor:
        """mish, element by element."""

    def mish_(self, /) -> Tensor:
        """mish_, element by element."""

    def mm(self, mat2: Tensor) -> Tensor:
        """The product of two matrices."""

    def mode(self, dim: builtins.int = -1, keepdim: builtins.bool = False) -> ValuesIndices:
        """The element that comes most often along dim, the smallest of several, and where the last such stands."""

    def moveaxis(self, source: Any, destination: Any) -> Tensor: ...
    def movedim(self, source: Any, destination: Any) -> Tensor: ...
    def msort(self) -> Tensor:
        """Sorted along the first dimension."""

    def mul(self, other: Tensor | _Number) -> Tensor:
        """mul, element by element."""

    def mul_(self, other: Tensor | _Number) -> Tensor:
        """mul_, element by element."""

    def multinomial(
        self, num_samples: builtins.int, replacement: builtins.bool = False, *, generator: Generator | None = None
    ) -> Tensor: ...
    def multiply(self, other: Tensor | _Number) -> Tensor:
        """mul, element by element."""

    def multiply_(self, other: Tensor | _Number) -> Tensor:
        """mul_, element by element."""

    def mv(self, vec: Tensor) -> Tensor:
        """The product of a matrix and a vector."""

    def nan_to_num(
        self, nan: builtins.float = 0.0, posinf: builtins.float | None = None, neginf: builtins.float | None = None
    ) -> Tensor:
        """NaN and infinities replaced; infinities, unless said otherwise, by the largest finite numbers."""

    def nanmean(self, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
        """The mean of what is not NaN."""

    def nanmedian(self, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Any:
        """median() of what is not NaN."""

    def nanquantile(
        self, q: Any, dim: builtins.int | None = None, keepdim: builtins.bool = False, *, interpolation: str = "linear"
    ) -> Tensor:
        """quantile() of what is not NaN."""

    def nansum(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        keepdim: builtins.bool = False,
        *,
        dtype: _dtype | type[Any] | str | None = None,
    ) -> Tensor:
        """The sum, NaNs taken as 0."""

    def narrow(self, dim: builtins.int, start: builtins.int, length: builtins.int) -> Tensor: ...
    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all elements."""

    @property
    def ndim(self) -> builtins.int:
        """Number of dimensions."""

    def ne(self, other: Tensor | _Number) -> Tensor:
        """ne, element by element."""

    def ne_(self, other: Tensor | _Number) -> Any:
        """ne, written into this tensor."""

    def neg(self, /) -> Tensor:
        """neg, element by element."""

    def neg_(self, /) -> Tensor:
        """neg_, element by element."""

    def negative(self, /) -> Tensor:
        """neg, element by element."""

    def negative_(self, /) -> Tensor:
        """neg_, element by element."""

    def nelement(self) -> builtins.int: ...
    def new_empty(
        self,
        *size: builtins.int | Sequence[builtins.int],
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor: ...
    def new_full(
        self,
        size: builtins.int | Sequence[builtins.int],
        fill_value: _Number,
        *,
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor: ...
    def new_ones(
        self,
        *size: builtins.int | Sequence[builtins.int],
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor: ...
    def new_tensor(
        self,
        data: Any,
        *,
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor: ...
    def new_zeros(
        self,
        *size: builtins.int | Sequence[builtins.int],
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        requires_grad: builtins.bool = False,
    ) -> Tensor: ...
    def nonzero(self, *, as_tuple: builtins.bool = False) -> Any: ...
    def norm(
        self,
        p: Any = "fro",
        dim: builtins.int | Sequence[builtins.int] | None = None,
        keepdim: builtins.bool = False,
        *,
        dtype: _dtype | type[Any] | str | None = None,
    ) -> Tensor:
        """The vector norm of order p: any number, inf and -inf too."""

    def normal_(
        self, mean: builtins.float = 0.0, std: builtins.float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Overwrites with normal numbers."""

    def not_equal(self, other: Tensor | _Number) -> Tensor:
        """ne, element by element."""

    def numel(self) -> builtins.int: ...
    def numpy(self, *, force: builtins.bool = False) -> np.ndarray[Any, Any]:
        """This tensor as a NumPy array that shares its memory; force=True detaches, moves and converts it first."""

    def outer(self, vec2: Tensor) -> Tensor:
        """All products of an element of one vector and one of the other."""

    def permute(self, *args: Any) -> Tensor: ...
    def pin_memory(self) -> Tensor: ...
    def positive(self) -> Tensor:
        """The input itself."""

    def pow(self, other: Tensor | _Number) -> Tensor:
        """pow, element by element."""

    def pow_(self, other: Tensor | _Number) -> Tensor:
        """pow_, element by element."""

    def prod(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        keepdim: builtins.bool = False,
        *,
        dtype: _dtype | type[Any] | str | None = None,
    ) -> Tensor:
        """The product over one dimension, or all."""

    def quantile(
        self, q: Any, dim: builtins.int | None = None, keepdim: builtins.bool = False, *, interpolation: str = "linear"
    ) -> Tensor:
        """The q-th quantiles along dim, or of all elements; several q make a new first dimension."""

    def rad2deg(self) -> Tensor:
        """Radians to degrees."""

    def rad2deg_(self) -> Tensor:
        """rad2deg, written into this tensor."""

    @overload
    def random_(self, *, generator: Generator | None = None) -> Tensor: ...
    @overload
    def random_(self, to: builtins.int, *, generator: Generator | None = None) -> Tensor: ...
    @overload
    def random_(
        self, from_: builtins.int, to: builtins.int | None, *, generator: Generator | None = None
    ) -> Tensor: ...
    def ravel(self) -> Tensor:
        """All elements in one dimension."""

    def reciprocal(self, /) -> Tensor:
        """reciprocal, element by element."""

    def reciprocal_(self, /) -> Tensor:
        """reciprocal_, element by element."""

    def register_hook(self, hook: Any) -> HookHandle: ...
    def relu(self, /) -> Tensor:
        """relu, element by element."""

    def relu6(self, /) -> Tensor:
        """relu6, element by element."""

    def relu6_(self, /) -> Tensor:
        """relu6_, element by element."""

    def relu_(self, /) -> Tensor:
        """relu_, element by element."""

    def remainder(self, other: Tensor | _Number) -> Tensor:
        """remainder, element by element."""

    def remainder_(self, other: Tensor | _Number) -> Tensor:
        """remainder_, element by element."""

    def repeat(self, *args: Any) -> Tensor: ...
    def repeat_interleave(self, repeats: Tensor | _Number, dim: builtins.int | None = None) -> Tensor: ...
    requires_grad: builtins.bool

    def requires_grad_(self, requires_grad: builtins.bool = True) -> Tensor: ...
    def reshape(self, *args: Any) -> Tensor: ...
    def reshape_as(self, other: Tensor) -> Tensor: ...
    def retain_grad(self) -> None: ...
    def roll(self, shifts: Any, dims: Any = None) -> Tensor: ...
    def rot90(self, k: builtins.int = 1, dims: Sequence[builtins.int] = (0, 1)) -> Tensor:
        """Turned by k right angles in the plane of two dimensions, from the first towards the second."""

    def round(self, *, decimals: builtins.int = 0) -> Tensor:
        """The nearest integer, or the nearest multiple of 10 to the power of -decimals; the even one of two."""

    def round_(self, *, decimals: builtins.int = 0) -> Tensor:
        """round, written into this tensor."""

    def rsqrt(self, /) -> Tensor:
        """rsqrt, element by element."""

    def rsqrt_(self, /) -> Tensor:
        """rsqrt_, element by element."""

    @overload
    def scatter(
        self, dim: builtins.int, index: Tensor, src: Tensor | _Number, *, reduce: str | None = None
    ) -> Tensor: ...
    @overload
    def scatter(
        self, dim: builtins.int, index: Tensor, value: Tensor | _Number, *, reduce: str | None = None
    ) -> Tensor: ...
    @overload
    def scatter_(
        self, dim: builtins.int, index: Tensor, src: Tensor | _Number, *, reduce: str | None = None
    ) -> Tensor: ...
    @overload
    def scatter_(
        self, dim: builtins.int, index: Tensor, value: Tensor | _Number, *, reduce: str | None = None
    ) -> Tensor: ...
    def scatter_add(self, dim: builtins.int, index: Tensor, src: Tensor) -> Tensor: ...
    def scatter_add_(self, dim: builtins.int, index: Tensor, src: Tensor) -> Tensor: ...
    def scatter_reduce(
        self, dim: builtins.int, index: Tensor, src: Tensor, reduce: str, *, include_self: builtins.bool = True
    ) -> Tensor:
        """Every element becomes the sum, prod, mean, amax or amin of itself and of those that the index sends to it."""

    def scatter_reduce_(
        self, dim: builtins.int, index: Tensor, src: Tensor, reduce: str, *, include_self: builtins.bool = True
    ) -> Tensor:
        """scatter_reduce, written into this tensor."""

    def select(self, dim: builtins.int, index: builtins.int) -> Tensor: ...
    def selu(self, /) -> Tensor:
        """selu, element by element."""

    def selu_(self, /) -> Tensor:
        """selu_, element by element."""

    def sgn(self, /) -> Tensor:
        """sign, element by element."""

    def sgn_(self, /) -> Tensor:
        """sign_, element by element."""

    @property
    def shape(self) -> tuple[builtins.int, ...]:
        """Sizes, outermost first."""

    def sigmoid(self, /) -> Tensor:
        """sigmoid, element by element."""

    def sigmoid_(self, /) -> Tensor:
        """sigmoid_, element by element."""

    def sign(self, /) -> Tensor:
        """sign, element by element."""

    def sign_(self, /) -> Tensor:
        """sign_, element by element."""

    def signbit(self, /) -> Tensor:
        """signbit, element by element."""

    def silu(self, /) -> Tensor:
        """silu, element by element."""

    def silu_(self, /) -> Tensor:
        """silu_, element by element."""

    def sin(self, /) -> Tensor:
        """sin, element by element."""

    def sin_(self, /) -> Tensor:
        """sin_, element by element."""

    def sinh(self, /) -> Tensor:
        """sinh, element by element."""

    def sinh_(self, /) -> Tensor:
        """sinh_, element by element."""

    @overload
    def size(self) -> Sequence[builtins.int]: ...
    @overload
    def size(self, dim: builtins.int) -> builtins.int: ...
    def softmax(self, dim: builtins.int, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
        """exp(input) over its sum along dim."""

    def softplus(self, /, beta: builtins.float = 1.0, threshold: builtins.float = 20.0) -> Tensor:
        """softplus, element by element."""

    def softplus_(self, /, beta: builtins.float = 1.0, threshold: builtins.float = 20.0) -> Tensor:
        """softplus_, element by element."""

    def softshrink(self, /, lambd: builtins.float = 0.5) -> Tensor:
        """softshrink, element by element."""

    def softshrink_(self, /, lambd: builtins.float = 0.5) -> Tensor:
        """softshrink_, element by element."""

    def softsign(self, /) -> Tensor:
        """softsign, element by element."""

    def softsign_(self, /) -> Tensor:
        """softsign_, element by element."""

    def sort(
        self, dim: builtins.int = -1, descending: builtins.bool = False, *, stable: builtins.bool = True
    ) -> ValuesIndices:
        """Values and indices in order along dim; equal elements keep theirs. NaN counts as the largest."""

    def split(self, split_size: builtins.int | Sequence[builtins.int], dim: builtins.int = 0) -> tuple[Tensor, ...]: ...
    def sqrt(self, /) -> Tensor:
        """sqrt, element by element."""

    def sqrt_(self, /) -> Tensor:
        """sqrt_, element by element."""

    def square(self, /) -> Tensor:
        """square, element by element."""

    def square_(self, /) -> Tensor:
        """square_, element by element."""

    @overload
    def squeeze(self, dim: builtins.int | None = None) -> Tensor: ...
    @overload
    def squeeze(self, dim: Sequence[builtins.int]) -> Tensor: ...
    def std(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        unbiased: builtins.bool | None = None,
        keepdim: builtins.bool = False,
        *,
        correction: _Number | None = None,
    ) -> Tensor:
        """The standard deviation; see var."""

    def std_mean(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        unbiased: builtins.bool | None = None,
        keepdim: builtins.bool = False,
        *,
        correction: _Number | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Standard deviation and mean."""

    def storage_offset(self) -> builtins.int: ...
    @overload
    def stride(self) -> Sequence[builtins.int]: ...
    @overload
    def stride(self, dim: builtins.int) -> builtins.int: ...
    def sub(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """sub, element by element."""

    def sub_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """sub_, element by element."""

    def subtract(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """sub, element by element."""

    def subtract_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """sub_, element by element."""

    def sum(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        keepdim: builtins.bool = False,
        *,
        dtype: _dtype | type[Any] | str | None = None,
    ) -> Tensor:
        """The sum over some dimensions, or all."""

    def swapaxes(self, axis0: builtins.int, axis1: builtins.int) -> Tensor: ...
    def swapdims(self, axis0: builtins.int, axis1: builtins.int) -> Tensor: ...
    def t(self) -> Tensor: ...
    def take(self, index: Tensor) -> Tensor: ...
    def take_along_dim(self, indices: Tensor, dim: builtins.int | None = None) -> Tensor: ...
    def tan(self, /) -> Tensor:
        """tan, element by element."""

    def tan_(self, /) -> Tensor:
        """tan_, element by element."""

    def tanh(self, /) -> Tensor:
        """tanh, element by element."""

    def tanh_(self, /) -> Tensor:
        """tanh_, element by element."""

    def tanhshrink(self, /) -> Tensor:
        """tanhshrink, element by element."""

    def tanhshrink_(self, /) -> Tensor:
        """tanhshrink_, element by element."""

    def tensor_split(
        self, indices_or_sections: builtins.int | Sequence[builtins.int], dim: builtins.int = 0
    ) -> tuple[Tensor, ...]: ...
    def threshold(self, /, threshold: Any, value: Any) -> Tensor:
        """threshold, element by element."""

    def threshold_(self, /, threshold: Any, value: Any) -> Tensor:
        """threshold_, element by element."""

    def tile(self, *args: Any) -> Tensor: ...
    def to(
        self,
        *args: Any,
        dtype: _dtype | type[Any] | str | None = None,
        device: _device | str | None = None,
        non_blocking: builtins.bool = False,
        copy: builtins.bool = False,
    ) -> Tensor:
        """to(dtype), to(device), to(device, dtype) or to(other): this tensor, converted if it is not like that already."""

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""

    def topk(
        self, k: builtins.int, dim: builtins.int = -1, largest: builtins.bool = True, sorted: builtins.bool = True
    ) -> ValuesIndices:
        """The k largest or smallest elements along dim, the best first."""

    def trace(self) -> Tensor:
        """The sum of the diagonal of a matrix."""

    def transpose(self, dim0: builtins.int, dim1: builtins.int) -> Tensor: ...
    def tril(self, diagonal: builtins.int = 0) -> Tensor: ...
    def tril_(self, diagonal: builtins.int = 0) -> Tensor:
        """tril, written into this tensor."""

    def triu(self, diagonal: builtins.int = 0) -> Tensor: ...
    def triu_(self, diagonal: builtins.int = 0) -> Tensor:
        """triu, written into this tensor."""

    def true_divide(self, other: Tensor | _Number) -> Tensor:
        """div, element by element."""

    def true_divide_(self, other: Tensor | _Number) -> Tensor:
        """div_, element by element."""

    def trunc(self, /) -> Tensor:
        """trunc, element by element."""

    def trunc_(self, /) -> Tensor:
        """trunc_, element by element."""

    def trunc_normal_(
        self,
        mean: builtins.float = 0.0,
        std: builtins.float = 1.0,
        a: builtins.float = -2.0,
        b: builtins.float = 2.0,
        *,
        generator: Generator | None = None,
    ) -> Tensor: ...
    def type_as(self, other: Tensor) -> Tensor: ...
    def unbind(self, dim: builtins.int = 0) -> tuple[Tensor, ...]: ...
    def unflatten(self, dim: builtins.int, sizes: Sequence[builtins.int]) -> Tensor:
        """Dimension dim taken apart into `sizes`, one of which may be -1."""

    def unfold(self, dimension: builtins.int, size: builtins.int, step: builtins.int) -> Tensor: ...
    def uniform_(
        self, from_: builtins.float = 0.0, to: builtins.float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Overwrites with uniform numbers in [from, to)."""

    def unique(
        self,
        sorted: builtins.bool = True,
        return_inverse: builtins.bool = False,
        return_counts: builtins.bool = False,
        dim: builtins.int | None = None,
    ) -> Any:
        """The distinct elements in order, or with dim the distinct slices."""

    def unique_consecutive(self, return_inverse: builtins.bool = False, return_counts: builtins.bool = False) -> Any:
        """The first of every run of equal elements."""

    def unsqueeze(self, dim: builtins.int) -> Tensor: ...
    def var(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        unbiased: builtins.bool | None = None,
        keepdim: builtins.bool = False,
        *,
        correction: _Number | None = None,
    ) -> Tensor:
        """The variance: squared distances from the mean over (count - correction), by default 1."""

    def var_mean(
        self,
        dim: builtins.int | Sequence[builtins.int] | None = None,
        unbiased: builtins.bool | None = None,
        keepdim: builtins.bool = False,
        *,
        correction: _Number | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Variance and mean."""

    def vdot(self, other: Tensor) -> Tensor:
        """dot, by another name."""

    @overload
    def view(self, dtype: _dtype) -> Tensor: ...
    @overload
    def view(self, *args: Any) -> Tensor: ...
    def view_as(self, other: Tensor) -> Tensor: ...
    def vsplit(self, indices_or_sections: builtins.int | Sequence[builtins.int]) -> tuple[Tensor, ...]:
        """Views of the parts along dimension 0."""

    def where(self, condition: Tensor, other: Tensor | _Number) -> Tensor: ...
    def xlogy(self, other: Any) -> Tensor:
        """input · log(other), and 0 where input is 0."""

    def xlogy_(self, other: Any) -> Tensor:
        """xlogy, written into this tensor."""

    def zero_(self) -> Tensor: ...
    def __buffer__(self, flags: builtins.int, /) -> memoryview: ...

class ValuesIndices(NamedTuple):
    """A named tuple (values, indices)."""

    values: Tensor
    indices: Tensor

class _CellProgram:
    def __init__(
        self,
        columns: Sequence[builtins.int],
        inputs: builtins.int,
        stored: builtins.int,
        states: builtins.int,
        parameters: builtins.int,
        shown: builtins.int,
        late: builtins.int,
        codes: Sequence[tuple[Tensor, Tensor]],
    ) -> None: ...

class _Decoder:
    def __init__(
        self,
        embedding: Tensor,
        layers: Sequence[_DecoderLayer],
        weight: Tensor,
        bias: Tensor | None,
        skip: builtins.bool,
    ) -> None: ...
    def beam_search(
        self,
        start: Tensor,
        states: Sequence[Sequence[Tensor | None]],
        steps: builtins.int,
        end: builtins.int,
        beams: builtins.int,
        length_penalty: builtins.float,
    ) -> tuple[Any, ...]: ...
    def decode(
        self,
        start: Tensor,
        states: Sequence[Sequence[Tensor | None]],
        steps: builtins.int,
        end: builtins.int,
        temperature: builtins.float,
        top_k: builtins.int,
        generator: Generator | None,
    ) -> tuple[Any, ...]: ...
    def scheduled_inputs(
        self,
        inputs: Tensor,
        states: Sequence[Sequence[Tensor | None]],
        p: builtins.float,
        temperature: builtins.float,
        top_k: builtins.int,
        generator: Generator | None,
    ) -> Tensor: ...

class _DecoderLayer: ...

class _OptimGroup:
    """Parameters that are updated alike, in arenas."""

    def __init__(self, rule: str, options: dict[Any, Any], parameters: Sequence[Tensor]) -> None: ...
    def counts(self) -> list[tuple[builtins.float, builtins.float]]: ...
    def fill_state(self, which: builtins.int, value: builtins.float) -> None: ...
    def get(self, option: str) -> builtins.float: ...
    def look_ahead(self) -> None: ...
    def look_back(self) -> None: ...
    def set(self, option: str, value: builtins.float) -> None: ...
    def set_counts(self, counts: Sequence[tuple[builtins.float, builtins.float]]) -> None: ...
    def state(self, index: builtins.int, which: builtins.int) -> Tensor: ...
    def step(self) -> None: ...
    def zero_grad(self, set_to_none: builtins.bool = True) -> None: ...

class _ParameterAverage:
    """Running averages of parameters."""

    def __init__(self, parameters: Sequence[Tensor], decay: builtins.float, correct_bias: builtins.bool) -> None: ...
    def averages(self) -> list[Tensor]: ...
    def copy_to(self, tensors: Sequence[Tensor]) -> None: ...
    def count(self) -> builtins.float: ...
    def set_count(self, count: builtins.float) -> None: ...
    def set_decay(self, decay: builtins.float) -> None: ...
    def update(self) -> None: ...

class _Recording:
    """Opened with `with`; everything launched inside on this thread is written down."""

    def __enter__(self) -> _Recording: ...
    def __exit__(self, arg0: Any, *args: Any) -> None: ...
    def __init__(self) -> None: ...
    def __len__(self) -> builtins.int: ...
    def at_the_end(self, call: Any) -> None: ...
    @property
    def memory(self) -> builtins.int: ...
    def replay(self) -> None: ...
    def results(self, copied: builtins.bool) -> Any: ...
    @property
    def signature(self) -> str: ...
    @property
    def survivors(self) -> builtins.int: ...
    def take_arguments(self, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> Any: ...
    def take_results(self, results: Any) -> None: ...
    def timings(self, replays: builtins.int) -> list[builtins.float]: ...
    def watch(self, module: Any) -> None: ...

class device:
    """Where a tensor's memory lies."""

    def __eq__(self, arg0: Any) -> builtins.bool: ...
    def __init__(self, name: Any) -> None: ...
    def __reduce__(self) -> tuple[type[Any], tuple[str]]: ...
    @property
    def index(self) -> builtins.int: ...
    @property
    def type(self) -> str: ...

class dtype:
    """The type of a tensor's elements."""

    def __reduce__(self) -> str: ...
    @property
    def is_floating_point(self) -> builtins.bool: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def name(self) -> str: ...

def _adaptive_max_pool1d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> ValuesIndices:
    """See nn.functional."""

def _adaptive_max_pool2d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> ValuesIndices:
    """See nn.functional."""

def _adaptive_max_pool3d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> ValuesIndices:
    """See nn.functional."""

def _allow_tf32(allowed: builtins.bool) -> None: ...
def _backward(tensors: Sequence[Tensor], gradients: Sequence[Tensor | None], retain_graph: builtins.bool) -> None: ...
def _backward_to(
    tensors: Sequence[Tensor], gradients: Sequence[Tensor | None], inputs: Sequence[Tensor], retain_graph: builtins.bool
) -> None: ...
def _binary_cross_entropy(input: Tensor, target: Any, third: Any, reduction: Any) -> Tensor:
    """See nn.functional.binary_cross_entropy."""

def _binary_cross_entropy_with_logits(input: Tensor, target: Any, pos_weight: Any, reduction: Any) -> Tensor:
    """See nn.functional.binary_cross_entropy_with_logits."""

def _box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor: ...
def _cell_ops() -> list[str]: ...
def _cell_rows() -> builtins.int: ...
def _clip_grad_norm_(
    parameters: Sequence[Tensor], max_norm: builtins.float, norm_type: builtins.float, eps: builtins.float
) -> Tensor: ...
def _clip_grad_value_(parameters: Sequence[Tensor], clip_value: builtins.float) -> None: ...
def _colour_means(images: Tensor) -> Tensor: ...
def _conv_algorithms(
    input: Sequence[builtins.int],
    weight: Sequence[builtins.int],
    stride: Sequence[builtins.int],
    padding: Any,
    dilation: Sequence[builtins.int],
    groups: builtins.int,
    dtype: _dtype,
) -> list[Any]:
    """The algorithm chosen and those possible, for forward, data gradient and weight gradient."""

def _conv_preference() -> tuple[Any, builtins.bool]: ...
def _cuda_device_count() -> tuple[builtins.int, str]: ...
def _cuda_facts(device: _device | str) -> dict[Any, Any]: ...
def _cuda_order(device: _device | str, before: builtins.int, after: builtins.int) -> None: ...
def _cuda_stream(device: _device | str) -> builtins.int: ...
def _decoder_layer(
    cell: str,
    weight_ih: Tensor,
    weight_hh: Tensor,
    second: Tensor | None,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    peephole: Tensor | None,
    options: builtins.int,
    h_rate: builtins.float,
    c_rate: builtins.float,
) -> _DecoderLayer: ...
def _decoder_program(
    cell: _CellProgram,
    weight_ih: Tensor,
    weight_hh: Tensor,
    parameters: Tensor | None,
    eps: builtins.float,
    h_rate: builtins.float,
    c_rate: builtins.float,
) -> _DecoderLayer: ...
def _dropout_shared(
    input: Tensor,
    p: builtins.float,
    train: builtins.bool,
    mask_shape: Sequence[builtins.int],
    generator: Generator | None = None,
) -> Tensor: ...
def _erase_boxes(images: Tensor, boxes: Tensor, fill: builtins.float) -> Tensor: ...
def _event(device: _device | str, act: builtins.int, event: builtins.int, stream: builtins.int) -> builtins.bool: ...
def _event_elapsed(start: builtins.int, end: builtins.int) -> builtins.float: ...
def _event_make(device: _device | str, timed: builtins.bool) -> builtins.int: ...
def _from_bytes(buffer: Any, shape: Sequence[builtins.int], dtype: _dtype) -> Tensor: ...
def _from_cuda_memory(
    address: builtins.int,
    shape: Sequence[builtins.int],
    strides: Sequence[builtins.int],
    dtype: _dtype,
    writable: builtins.bool,
    owner: Any,
) -> Tensor: ...
def _gaussian_nll_loss(input: Tensor, target: Any, var: Any, reduction: Any, eps: Any, constant: Any) -> Tensor:
    """See nn.functional.gaussian_nll_loss."""

def _gradients(
    outputs: Sequence[Tensor], gradients: Sequence[Tensor | None], inputs: Sequence[Tensor], retain_graph: builtins.bool
) -> list[Tensor]: ...
def _hinge_embedding_loss(input: Tensor, target: Any, reduction: Any, margin: Any) -> Tensor:
    """See nn.functional.hinge_embedding_loss."""

def _huber_loss(input: Tensor, target: Any, reduction: Any, delta: Any) -> Tensor:
    """See nn.functional.huber_loss."""

def _is_recording() -> builtins.bool: ...
def _kept_boxes(boxes: Tensor, order: Tensor, classes: Tensor | None, iou_threshold: builtins.float) -> Tensor: ...
def _kl_div(input: Tensor, target: Any, reduction: Any, log_target: Any) -> Tensor:
    """See nn.functional.kl_div."""

def _margin_ranking_loss(input1: Any, input2: Any, target: Any, reduction: Any, margin: Any) -> Tensor:
    """See nn.functional.margin_ranking_loss."""

def _measure_peak(seconds: builtins.float) -> tuple[builtins.float, builtins.float]: ...
def _memory_stats(device: _device | str = ...) -> dict[Any, Any]: ...
def _normal(mean: Tensor | _Number, std: Tensor | _Number, generator: Generator | None = None) -> Tensor: ...
def _poisson_nll_loss(input: Tensor, target: Any, third: Any, reduction: Any, eps: Any, full: Any) -> Tensor:
    """See nn.functional.poisson_nll_loss."""

def _randperm(n: builtins.int, dtype: _dtype, device: _device | str, generator: Generator | None = None) -> Tensor: ...
def _recolour(images: Tensor, matrices: Tensor, offsets: Tensor, to_float: builtins.bool) -> Tensor: ...
def _record_function(function: Any, ctx: Any, args: tuple[Any, ...], result: Any) -> Any: ...
def _release_cached_memory(device: _device | str = ...) -> None: ...
def _replay(steps: Any, args: Any, kwargs: Any, copied: Any, /) -> Tensor:
    """The results of the first step that was recorded for such arguments, or NotImplemented."""

def _reset_peak_memory(device: _device | str = ...) -> None: ...
def _resize(input: Tensor, size: builtins.int | Sequence[builtins.int], factors: Any, mode: Any) -> Tensor:
    """See nn.functional."""

def _rms_norm(input: Tensor, normalized_shape: Any, weight: Any, eps: Any) -> Tensor:
    """See nn.functional.rms_norm."""

def _rnn(
    cell: str,
    input: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    second: Tensor | None,
    table: Tensor | None,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    peephole: Tensor | None,
    h: Tensor | None,
    c: Tensor | None,
    lengths: Tensor | None,
    reverse: builtins.bool,
    options: builtins.int,
    h_rate: builtins.float,
    c_rate: builtins.float,
    h_moves: Tensor | None,
    c_moves: Tensor | None,
    mask: Tensor | None,
    probe: Tensor | None,
    projection: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]: ...
def _rnn_program(
    cell: _CellProgram,
    input: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    parameters: Tensor | None,
    first: Tensor | None,
    lengths: Tensor | None,
    reverse: builtins.bool,
    eps: builtins.float,
    h_rate: builtins.float,
    c_rate: builtins.float,
    h_moves: Tensor | None,
    c_moves: Tensor | None,
    mask: Tensor | None,
    probe: Tensor | None,
) -> tuple[Tensor, Tensor]: ...
def _sample_places(
    images: Tensor,
    matrices: Tensor,
    shifts: Tensor | None,
    height: builtins.int,
    width: builtins.int,
    fill: builtins.float = 0.0,
    edge: builtins.bool = False,
) -> Tensor: ...
def _seed_default_generators(arg0: builtins.int) -> None: ...
def _set_conv_preference(algorithm: str | None, winograd: builtins.bool) -> None: ...
def _set_grad_enabled(mode: builtins.bool) -> None: ...
def _smooth_l1_loss(input: Tensor, target: Any, reduction: Any, beta: Any) -> Tensor:
    """See nn.functional.smooth_l1_loss."""

def _supported_targets() -> list[str]: ...
def _synchronize(device: _device | str) -> None: ...
def _take_over(tensor: Tensor, from_: Tensor) -> None: ...
def _target() -> str: ...
def _tf32_allowed() -> builtins.bool: ...
def _total_norm(tensors: Sequence[Tensor], norm_type: builtins.float) -> Tensor: ...
def _view_bytes(buffer: Any, dtype: _dtype) -> Tensor: ...
def _wrap_as(arg0: type[Any], arg1: Tensor) -> Any: ...
def abs(input: Tensor, /) -> Tensor:
    """abs, element by element."""

def acos(input: Tensor, /) -> Tensor:
    """acos, element by element."""

def adaptive_avg_pool1d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> Tensor:
    """The mean of windows that divide the input into output_size parts, which overlap where they do not fit."""

def adaptive_avg_pool2d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> Tensor:
    """The mean of windows that divide the input into output_size parts, which overlap where they do not fit."""

def adaptive_avg_pool3d(input: Tensor, output_size: builtins.int | Sequence[builtins.int]) -> Tensor:
    """The mean of windows that divide the input into output_size parts, which overlap where they do not fit."""

def add(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """add, element by element."""

def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor: ...
def all(
    input: Tensor, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False
) -> Tensor:
    """Is no element zero?"""

def amax(
    input: Tensor, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False
) -> Tensor:
    """The largest elements; those that tie share the gradient."""

def amin(
    input: Tensor, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False
) -> Tensor:
    """The smallest elements; those that tie share the gradient."""

def any(
    input: Tensor, dim: builtins.int | Sequence[builtins.int] | None = None, keepdim: builtins.bool = False
) -> Tensor:
    """Is any element not zero?"""

def arange(
    start: Any,
    end: Any = None,
    step: builtins.int = 1,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """start, start + step, … up to but without end; arange(end) starts at 0."""

def argmax(input: Tensor, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Tensor:
    """Where the largest element stands first."""

def argmin(input: Tensor, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Tensor:
    """Where the smallest element stands first."""

def argsort(
    input: Tensor, dim: builtins.int = -1, descending: builtins.bool = False, stable: builtins.bool = True
) -> Tensor:
    """The indices that sort along dim."""

def argwhere(input: Tensor) -> Tensor: ...
def as_strided(
    input: Tensor,
    size: Sequence[builtins.int],
    stride: Sequence[builtins.int],
    storage_offset: builtins.int | None = None,
) -> Tensor: ...
def as_tensor(
    data: Any, *, dtype: _dtype | type[Any] | str | None = None, device: _device | str | None = None
) -> Tensor:
    """Like tensor, but shares the memory of arrays and tensors where it can."""

def asin(input: Tensor, /) -> Tensor:
    """asin, element by element."""

def atan(input: Tensor, /) -> Tensor:
    """atan, element by element."""

def atan2(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """atan2, element by element."""

def avg_pool1d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    ceil_mode: builtins.bool = False,
    count_include_pad: builtins.bool = True,
    divisor_override: builtins.int | None = None,
) -> Tensor:
    """The mean of each window; divisor_override takes the place of its number of elements."""

def avg_pool2d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    ceil_mode: builtins.bool = False,
    count_include_pad: builtins.bool = True,
    divisor_override: builtins.int | None = None,
) -> Tensor:
    """The mean of each window; divisor_override takes the place of its number of elements."""

def avg_pool3d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    ceil_mode: builtins.bool = False,
    count_include_pad: builtins.bool = True,
    divisor_override: builtins.int | None = None,
) -> Tensor:
    """The mean of each window; divisor_override takes the place of its number of elements."""

def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor: ...
def batch_norm(
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: builtins.bool = False,
    momentum: builtins.float | Tensor = 0.1,
    eps: builtins.float = 1e-05,
    *,
    activation: str | None = None,
    residual: Any = None,
) -> Tensor:
    """Normalises each channel of (N, C, …) to mean 0 and variance 1, then times weight plus bias: in training by the batch's mean and variance, which the running ones then follow, else by the running ones. …"""

def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor: ...
def bincount(input: Tensor, weights: Tensor | None = None, minlength: builtins.int = 0) -> Tensor: ...
def bitwise_and(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """bitwise_and, element by element."""

def bitwise_left_shift(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """bitwise_left_shift, element by element."""

def bitwise_not(input: Tensor, /) -> Tensor:
    """bitwise_not, element by element."""

def bitwise_or(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """bitwise_or, element by element."""

def bitwise_right_shift(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """bitwise_right_shift, element by element."""

def bitwise_xor(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """bitwise_xor, element by element."""

def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices."""

def broadcast_to(input: Tensor, size: Sequence[builtins.int]) -> Tensor: ...
def bucketize(
    input: Tensor | _Number, boundaries: Tensor, *, out_int32: builtins.bool = False, right: builtins.bool = False
) -> Tensor:
    """The bucket between sorted boundaries that each value lies in."""

@overload
def cat(tensors: Sequence[Tensor], dim: builtins.int = 0) -> Tensor: ...
@overload
def cat(tensors: Sequence[Tensor], *, axis: builtins.int) -> Tensor: ...
def ceil(input: Tensor, /) -> Tensor:
    """ceil, element by element."""

def celu(input: Tensor, /, alpha: _Number = 1.0) -> Tensor:
    """celu, element by element."""

def chunk(input: Tensor, chunks: builtins.int, dim: builtins.int = 0) -> tuple[Tensor, ...]: ...
def clamp(input: Tensor, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor: ...
def clone(input: Tensor) -> Tensor: ...
@overload
def concat(tensors: Sequence[Tensor], dim: builtins.int = 0) -> Tensor: ...
@overload
def concat(tensors: Sequence[Tensor], *, axis: builtins.int) -> Tensor: ...
@overload
def concatenate(tensors: Sequence[Tensor], dim: builtins.int = 0) -> Tensor: ...
@overload
def concatenate(tensors: Sequence[Tensor], *, axis: builtins.int) -> Tensor: ...
def conv1d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    groups: builtins.int = 1,
    *,
    activation: str | None = None,
    residual: Any = None,
    max_pool: builtins.bool = False,
) -> Tensor:
    """activation(input * weight + bias + residual) in one kernel: (N, C, sizes…) with a weight (O, C / groups, kernel…); without N, one image. padding: numbers, pairs (low, high), 'valid' or 'same'. …"""

def conv2d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    groups: builtins.int = 1,
    *,
    activation: str | None = None,
    residual: Any = None,
    max_pool: builtins.bool = False,
) -> Tensor:
    """activation(input * weight + bias + residual) in one kernel: (N, C, sizes…) with a weight (O, C / groups, kernel…); without N, one image. padding: numbers, pairs (low, high), 'valid' or 'same'. …"""

def conv3d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    groups: builtins.int = 1,
    *,
    activation: str | None = None,
    residual: Any = None,
    max_pool: builtins.bool = False,
) -> Tensor:
    """activation(input * weight + bias + residual) in one kernel: (N, C, sizes…) with a weight (O, C / groups, kernel…); without N, one image. padding: numbers, pairs (low, high), 'valid' or 'same'. …"""

def conv_transpose1d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    output_padding: builtins.int = 0,
    groups: builtins.int = 1,
    dilation: builtins.int | Sequence[builtins.int] = 1,
) -> Tensor:
    """The transposed convolution, the way back from a convolution's output to its input: (N, C, sizes…) with a weight (C, O / groups, kernel…)."""

def conv_transpose2d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    output_padding: builtins.int = 0,
    groups: builtins.int = 1,
    dilation: builtins.int | Sequence[builtins.int] = 1,
) -> Tensor:
    """The transposed convolution, the way back from a convolution's output to its input: (N, C, sizes…) with a weight (C, O / groups, kernel…)."""

def conv_transpose3d(
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: builtins.int | Sequence[builtins.int] = 1,
    padding: builtins.int | Sequence[builtins.int] = 0,
    output_padding: builtins.int = 0,
    groups: builtins.int = 1,
    dilation: builtins.int | Sequence[builtins.int] = 1,
) -> Tensor:
    """The transposed convolution, the way back from a convolution's output to its input: (N, C, sizes…) with a weight (C, O / groups, kernel…)."""

def cos(input: Tensor, /) -> Tensor:
    """cos, element by element."""

def cosh(input: Tensor, /) -> Tensor:
    """cosh, element by element."""

def count_nonzero(input: Tensor, dim: builtins.int | Sequence[builtins.int] | None = None) -> Tensor:
    """How many elements are not zero."""

def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: builtins.float = 0.0,
) -> Tensor:
    """Cross-entropy of logits (N, C, …) with class indices (N, …) or with probabilities of the input's shape."""

def cummax(input: Tensor, dim: builtins.int) -> ValuesIndices:
    """The largest element so far along dim, and where the last such stands: (values, indices)."""

def cummin(input: Tensor, dim: builtins.int) -> ValuesIndices:
    """The smallest element so far along dim, and where the last such stands: (values, indices)."""

def cumprod(input: Tensor, dim: builtins.int, *, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
    """Running products along dim."""

def cumsum(input: Tensor, dim: builtins.int, *, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
    """Running sums along dim."""

def diag(input: Tensor, diagonal: builtins.int = 0) -> Tensor: ...
def diag_embed(input: Tensor, offset: builtins.int = 0, dim1: builtins.int = -2, dim2: builtins.int = -1) -> Tensor: ...
def diagonal(input: Tensor, offset: builtins.int = 0, dim1: builtins.int = 0, dim2: builtins.int = 1) -> Tensor: ...
def div(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """div, element by element."""

def dot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""

def dropout(
    input: Tensor, p: builtins.float = 0.5, train: builtins.bool = True, *, generator: Generator | None = None
) -> Tensor:
    """Zeroes each element with probability p and scales the others by 1 / (1 - p)."""

def dropout_(
    input: Tensor, p: builtins.float = 0.5, train: builtins.bool = True, *, generator: Generator | None = None
) -> Tensor:
    """dropout in place."""

def einsum(equation: str, *args: Any) -> Tensor: ...
def elu(input: Tensor, /, alpha: _Number = 1.0) -> Tensor:
    """elu, element by element."""

def embedding(input: Tensor, weight: Tensor, padding_idx: builtins.int | None = None) -> Tensor: ...
def empty(
    *size: builtins.int | Sequence[builtins.int],
    dtype: _dtype | type[Any] | str | None = ...,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """A tensor of undefined contents."""

def empty_like(
    input: Tensor,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor: ...
def eq(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """eq, element by element."""

def erf(input: Tensor, /) -> Tensor:
    """erf, element by element."""

def erfc(input: Tensor, /) -> Tensor:
    """erfc, element by element."""

def exp(input: Tensor, /) -> Tensor:
    """exp, element by element."""

def exp2(input: Tensor, /) -> Tensor:
    """exp2, element by element."""

def expm1(input: Tensor, /) -> Tensor:
    """expm1, element by element."""

def flatten(input: Tensor, start_dim: builtins.int = 0, end_dim: builtins.int = -1) -> Tensor: ...
def flip(input: Tensor, dims: Any) -> Tensor: ...
def floor(input: Tensor, /) -> Tensor:
    """floor, element by element."""

def floor_divide(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """floor_divide, element by element."""

def fmod(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """fmod, element by element."""

def from_dlpack(ext_tensor: Any, *, device: _device | str | None = None, copy: builtins.bool | None = None) -> Tensor:
    """A tensor that shares the memory of any object with __dlpack__."""

def from_numpy(ndarray: Any) -> Tensor:
    """A tensor that shares the memory of a NumPy array or any other buffer."""

def full(
    size: builtins.int | Sequence[builtins.int],
    fill_value: _Number,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """The type is that of fill_value unless given."""

def full_like(
    input: Tensor,
    fill_value: _Number,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor: ...
def gather(input: Tensor, dim: builtins.int, index: Tensor) -> Tensor: ...
def ge(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """ge, element by element."""

def gelu(input: Tensor, /) -> Tensor:
    """gelu, element by element."""

def gelu_tanh(input: Tensor, /) -> Tensor:
    """gelu_tanh, element by element."""

def get_num_threads() -> builtins.int: ...
def group_norm(
    input: Tensor, num_groups: Any, weight: Any = None, bias: Any = None, eps: builtins.float = 1e-05
) -> Tensor:
    """Normalises each group of channels of each sample to mean 0 and variance 1, then times weight plus bias to each channel."""

def gt(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """gt, element by element."""

def hardshrink(input: Tensor, /, lambd: builtins.float = 0.5) -> Tensor:
    """hardshrink, element by element."""

def hardsigmoid(input: Tensor, /) -> Tensor:
    """hardsigmoid, element by element."""

def hardswish(input: Tensor, /) -> Tensor:
    """hardswish, element by element."""

def hardtanh(input: Tensor, /, min_val: Any = -1.0, max_val: builtins.float = 1.0) -> Tensor:
    """hardtanh, element by element."""

def hstack(tensors: Sequence[Tensor]) -> Tensor: ...
def hypot(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """hypot, element by element."""

def index_add(input: Tensor, dim: builtins.int, index: Tensor, source: Tensor, *, alpha: _Number = 1) -> Tensor: ...
def index_copy(input: Tensor, dim: builtins.int, index: Tensor, source: Tensor) -> Tensor: ...
def index_fill(input: Tensor, dim: builtins.int, index: Tensor, value: Tensor | _Number) -> Tensor: ...
def index_select(input: Tensor, dim: builtins.int, index: Tensor) -> Tensor: ...
def is_grad_enabled() -> builtins.bool: ...
def isfinite(input: Tensor, /) -> Tensor:
    """isfinite, element by element."""

def isinf(input: Tensor, /) -> Tensor:
    """isinf, element by element."""

def isnan(input: Tensor, /) -> Tensor:
    """isnan, element by element."""

def kthvalue(input: Tensor, k: builtins.int, dim: builtins.int = -1, keepdim: builtins.bool = False) -> ValuesIndices:
    """The k-th smallest element along dim, counted from 1."""

def l1_loss(input: Tensor, target: Any, *, reduction: Any = "mean") -> Tensor:
    """|input − target|."""

def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: builtins.float = 1e-05
) -> Tensor:
    """Normalises the last dimensions to mean 0 and variance 1, then times weight plus bias."""

def le(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """le, element by element."""

def leaky_relu(input: Tensor, /, negative_slope: builtins.float = 0.01) -> Tensor:
    """leaky_relu, element by element."""

def linear(input: Tensor, weight: Any, bias: Any = None, *, activation: str | None = None) -> Tensor:
    """activation(input @ weightᵀ + bias) in one kernel; activation: the name of an element-wise function."""

def log(input: Tensor, /) -> Tensor:
    """log, element by element."""

def log10(input: Tensor, /) -> Tensor:
    """log10, element by element."""

def log1p(input: Tensor, /) -> Tensor:
    """log1p, element by element."""

def log2(input: Tensor, /) -> Tensor:
    """log2, element by element."""

def log_softmax(input: Tensor, dim: builtins.int, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
    """The logarithm of softmax, without loss."""

def logcumsumexp(input: Tensor, dim: builtins.int) -> Tensor:
    """log(cumsum(exp(input))) along dim without overflow."""

def logical_and(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """logical_and, element by element."""

def logical_not(input: Tensor, /) -> Tensor:
    """logical_not, element by element."""

def logical_or(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """logical_or, element by element."""

def logical_xor(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """logical_xor, element by element."""

def logsigmoid(input: Tensor, /) -> Tensor:
    """logsigmoid, element by element."""

def logsumexp(
    input: Tensor, dim: builtins.int | Sequence[builtins.int] | None, keepdim: builtins.bool = False
) -> Tensor:
    """log(sum(exp(input))) without overflow."""

def lt(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """lt, element by element."""

def masked_fill(input: Tensor, mask: Tensor, value: Tensor | _Number) -> Tensor: ...
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor: ...
def masked_select(input: Tensor, mask: Tensor) -> Tensor: ...
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of matrices, of batches of them, of vectors, as in PyTorch."""

@overload
def max(input: Tensor) -> Tensor:
    """The largest element; with dim, (values, indices) along it; with another tensor, the larger of each pair."""

@overload
def max(input: Tensor, dim: builtins.int, keepdim: builtins.bool = False) -> ValuesIndices: ...
@overload
def max(input: Tensor | _Number, other: Tensor) -> Tensor: ...
def max_pool1d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    ceil_mode: builtins.bool = False,
    return_indices: builtins.bool = False,
) -> Any:
    """The greatest element of each window, the first of equal ones; with return_indices also where in its plane it is."""

def max_pool2d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    ceil_mode: builtins.bool = False,
    return_indices: builtins.bool = False,
) -> Any:
    """The greatest element of each window, the first of equal ones; with return_indices also where in its plane it is."""

def max_pool3d(
    input: Tensor,
    kernel_size: builtins.int | Sequence[builtins.int],
    stride: builtins.int | Sequence[builtins.int] | None = None,
    padding: builtins.int | Sequence[builtins.int] = 0,
    dilation: builtins.int | Sequence[builtins.int] = 1,
    ceil_mode: builtins.bool = False,
    return_indices: builtins.bool = False,
) -> Any:
    """The greatest element of each window, the first of equal ones; with return_indices also where in its plane it is."""

def maximum(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """maximum, element by element."""

def mean(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    keepdim: builtins.bool = False,
    *,
    dtype: _dtype | type[Any] | str | None = None,
) -> Tensor:
    """The mean over some dimensions, or all."""

def median(input: Tensor, dim: builtins.int | None = None, keepdim: builtins.bool = False) -> Any:
    """The lower median; with dim, (values, indices) along it."""

def meshgrid(*args: Any, indexing: str = "ij") -> tuple[Tensor, ...]: ...
@overload
def min(input: Tensor) -> Tensor:
    """The smallest element; with dim, (values, indices) along it; with another tensor, the smaller of each pair."""

@overload
def min(input: Tensor, dim: builtins.int, keepdim: builtins.bool = False) -> ValuesIndices: ...
@overload
def min(input: Tensor | _Number, other: Tensor) -> Tensor: ...
def minimum(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """minimum, element by element."""

def mish(input: Tensor, /) -> Tensor:
    """mish, element by element."""

def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""

def movedim(input: Tensor, source: Any, destination: Any) -> Tensor: ...
def mse_loss(input: Tensor, target: Any, *, reduction: Any = "mean") -> Tensor:
    """(input − target)²."""

def mul(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """mul, element by element."""

def multinomial(
    input: Tensor, num_samples: builtins.int, replacement: builtins.bool = False, *, generator: Generator | None = None
) -> Tensor: ...
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""

def nansum(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    keepdim: builtins.bool = False,
    *,
    dtype: _dtype | type[Any] | str | None = None,
) -> Tensor:
    """The sum, NaNs taken as 0."""

def narrow(input: Tensor, dim: builtins.int, start: builtins.int, length: builtins.int) -> Tensor: ...
def ne(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """ne, element by element."""

def neg(input: Tensor, /) -> Tensor:
    """neg, element by element."""

def nll_loss(
    input: Tensor, target: Any, weight: Any = None, *, ignore_index: Any = -100, reduction: Any = "mean"
) -> Tensor:
    """The negative of the log-probabilities (N, C, …) that class indices (N, …) pick."""

def nonzero(input: Tensor, *, as_tuple: builtins.bool = False) -> Any: ...
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: builtins.int | Sequence[builtins.int] | None = None,
    keepdim: builtins.bool = False,
    *,
    dtype: _dtype | type[Any] | str | None = None,
) -> Tensor:
    """The vector norm of order p: any number, inf and -inf too."""

def one_hot(input: Tensor, num_classes: builtins.int = -1) -> Tensor: ...
def ones(
    *size: builtins.int | Sequence[builtins.int],
    dtype: _dtype | type[Any] | str | None = ...,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor: ...
def ones_like(
    input: Tensor,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor: ...
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of an element of one vector and one of the other."""

def pad(input: Tensor, pad: Sequence[builtins.int], mode: str = "constant", value: _Number | None = None) -> Tensor: ...
def permute(input: Tensor, dims: Sequence[builtins.int]) -> Tensor: ...
def pow(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """pow, element by element."""

def prod(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    keepdim: builtins.bool = False,
    *,
    dtype: _dtype | type[Any] | str | None = None,
) -> Tensor:
    """The product over one dimension, or all."""

def promote_types(type1: _dtype, type2: _dtype) -> _dtype: ...
def rand(
    *size: builtins.int | Sequence[builtins.int],
    generator: Generator | None = None,
    dtype: _dtype | type[Any] | str | None = ...,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1)."""

def randn(
    *size: builtins.int | Sequence[builtins.int],
    generator: Generator | None = None,
    dtype: _dtype | type[Any] | str | None = ...,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1."""

def reciprocal(input: Tensor, /) -> Tensor:
    """reciprocal, element by element."""

def relu(input: Tensor, /) -> Tensor:
    """relu, element by element."""

def relu6(input: Tensor, /) -> Tensor:
    """relu6, element by element."""

def remainder(input: Tensor | _Number, other: Tensor | _Number) -> Tensor:
    """remainder, element by element."""

def repeat_interleave(input: Tensor, repeats: Tensor | _Number, dim: builtins.int | None = None) -> Tensor: ...
def reshape(input: Tensor, shape: Sequence[builtins.int]) -> Tensor: ...
def result_type(arg0: Tensor | _Number, arg1: Tensor | _Number) -> _dtype: ...
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor: ...
def round(input: Tensor, /) -> Tensor:
    """round, element by element."""

def rsqrt(input: Tensor, /) -> Tensor:
    """rsqrt, element by element."""

@overload
def scatter(
    input: Tensor, dim: builtins.int, index: Tensor, src: Tensor | _Number, *, reduce: str | None = None
) -> Tensor: ...
@overload
def scatter(
    input: Tensor, dim: builtins.int, index: Tensor, value: Tensor | _Number, *, reduce: str | None = None
) -> Tensor: ...
def scatter_add(input: Tensor, dim: builtins.int, index: Tensor, src: Tensor) -> Tensor: ...
def scatter_reduce(
    input: Tensor, dim: builtins.int, index: Tensor, src: Tensor, reduce: str, *, include_self: builtins.bool = True
) -> Tensor:
    """Every element becomes the sum, prod, mean, amax or amin of itself and of those that the index sends to it."""

def searchsorted(
    sorted_sequence: Tensor, input: Tensor | _Number, *, out_int32: builtins.bool = False, right: builtins.bool = False
) -> Tensor:
    """Where each value would be inserted into the sorted rows to keep them sorted."""

def select(input: Tensor, dim: builtins.int, index: builtins.int) -> Tensor: ...
def selu(input: Tensor, /) -> Tensor:
    """selu, element by element."""

def set_num_threads(threads: builtins.int) -> None: ...
def sigmoid(input: Tensor, /) -> Tensor:
    """sigmoid, element by element."""

def sign(input: Tensor, /) -> Tensor:
    """sign, element by element."""

def signbit(input: Tensor, /) -> Tensor:
    """signbit, element by element."""

def silu(input: Tensor, /) -> Tensor:
    """silu, element by element."""

def sin(input: Tensor, /) -> Tensor:
    """sin, element by element."""

def sinh(input: Tensor, /) -> Tensor:
    """sinh, element by element."""

def soft_margin_loss(input: Tensor, target: Any, *, reduction: Any = "mean") -> Tensor:
    """log(1 + exp(−target · input)), target 1 or −1."""

def softmax(input: Tensor, dim: builtins.int, dtype: _dtype | type[Any] | str | None = None) -> Tensor:
    """exp(input) over its sum along dim."""

def softplus(input: Tensor, /, beta: builtins.float = 1.0, threshold: builtins.float = 20.0) -> Tensor:
    """softplus, element by element."""

def softshrink(input: Tensor, /, lambd: builtins.float = 0.5) -> Tensor:
    """softshrink, element by element."""

def softsign(input: Tensor, /) -> Tensor:
    """softsign, element by element."""

def sort(
    input: Tensor, dim: builtins.int = -1, descending: builtins.bool = False, *, stable: builtins.bool = True
) -> ValuesIndices:
    """Values and indices in order along dim; equal elements keep theirs. NaN counts as the largest."""

def split(
    tensor: Tensor, split_size_or_sections: builtins.int | Sequence[builtins.int], dim: builtins.int = 0
) -> tuple[Tensor, ...]: ...
def sqrt(input: Tensor, /) -> Tensor:
    """sqrt, element by element."""

def square(input: Tensor, /) -> Tensor:
    """square, element by element."""

def squared_error(input: Tensor, target: Any, *, reduction: Any = "mean") -> Tensor:
    """½ (input − target)²."""

@overload
def squeeze(input: Tensor, dim: builtins.int | None = None) -> Tensor: ...
@overload
def squeeze(input: Tensor, dim: Sequence[builtins.int]) -> Tensor: ...
def stack(tensors: Sequence[Tensor], dim: builtins.int = 0) -> Tensor: ...
def std(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: _Number | None = None,
) -> Tensor:
    """The standard deviation; see var."""

def std_mean(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: _Number | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""

def sub(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """sub, element by element."""

def sum(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    keepdim: builtins.bool = False,
    *,
    dtype: _dtype | type[Any] | str | None = None,
) -> Tensor:
    """The sum over some dimensions, or all."""

def swapaxes(input: Tensor, axis0: builtins.int, axis1: builtins.int) -> Tensor: ...
def t(input: Tensor) -> Tensor: ...
def take(input: Tensor, index: Tensor) -> Tensor: ...
def take_along_dim(input: Tensor, indices: Tensor, dim: builtins.int | None = None) -> Tensor: ...
def tan(input: Tensor, /) -> Tensor:
    """tan, element by element."""

def tanh(input: Tensor, /) -> Tensor:
    """tanh, element by element."""

def tanhshrink(input: Tensor, /) -> Tensor:
    """tanhshrink, element by element."""

def tensor(
    data: Any,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor:
    """A copy of numbers, nested sequences, arrays or tensors."""

def tensor_split(
    input: Tensor, indices_or_sections: builtins.int | Sequence[builtins.int], dim: builtins.int = 0
) -> tuple[Tensor, ...]: ...
def threshold(input: Tensor, /, threshold: Any, value: Any) -> Tensor:
    """threshold, element by element."""

def tile(input: Tensor, dims: Sequence[builtins.int]) -> Tensor: ...
def topk(
    input: Tensor, k: builtins.int, dim: builtins.int = -1, largest: builtins.bool = True, sorted: builtins.bool = True
) -> ValuesIndices:
    """The k largest or smallest elements along dim, the best first."""

def transpose(input: Tensor, dim0: builtins.int, dim1: builtins.int) -> Tensor: ...
def tril(input: Tensor, diagonal: builtins.int = 0) -> Tensor: ...
def triu(input: Tensor, diagonal: builtins.int = 0) -> Tensor: ...
def trunc(input: Tensor, /) -> Tensor:
    """trunc, element by element."""

def unbind(input: Tensor, dim: builtins.int = 0) -> tuple[Tensor, ...]: ...
def unique(
    input: Tensor,
    sorted: builtins.bool = True,
    return_inverse: builtins.bool = False,
    return_counts: builtins.bool = False,
    dim: builtins.int | None = None,
) -> Any:
    """The distinct elements in order, or with dim the distinct slices."""

def unique_consecutive(
    input: Tensor, return_inverse: builtins.bool = False, return_counts: builtins.bool = False
) -> Any:
    """The first of every run of equal elements."""

def unsqueeze(input: Tensor, dim: builtins.int) -> Tensor: ...
def var(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: _Number | None = None,
) -> Tensor:
    """The variance: squared distances from the mean over (count - correction), by default 1."""

def var_mean(
    input: Tensor,
    dim: builtins.int | Sequence[builtins.int] | None = None,
    unbiased: builtins.bool | None = None,
    keepdim: builtins.bool = False,
    *,
    correction: _Number | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean."""

def vdot(input: Tensor, other: Tensor) -> Tensor:
    """dot, by another name."""

def vstack(tensors: Sequence[Tensor]) -> Tensor: ...
@overload
def where(condition: Tensor, input: Tensor | _Number, other: Tensor | _Number) -> Tensor: ...
@overload
def where(condition: Tensor) -> tuple[Any, ...]: ...
def zeros(
    *size: builtins.int | Sequence[builtins.int],
    dtype: _dtype | type[Any] | str | None = ...,
    device: _device | str | None = "cpu",
    requires_grad: builtins.bool = False,
) -> Tensor: ...
def zeros_like(
    input: Tensor,
    *,
    dtype: _dtype | type[Any] | str | None = None,
    device: _device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor: ...
