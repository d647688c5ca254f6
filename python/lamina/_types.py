"""PyTorch's other names of the types, and their limits."""

from lamina import _C

__all__ = ["double", "finfo", "float", "half", "iinfo", "int", "long"]

float = _C.float32
double = _C.float64
half = _C.float16
int = _C.int32
long = _C.int64

_FLOATS = {  # bits, bits of the fraction, largest exponent
    _C.float64: (64, 52, 1023),
    _C.float32: (32, 23, 127),
    _C.float16: (16, 10, 15),
    _C.bfloat16: (16, 7, 127),
}
_INTEGERS = {_C.int64: (64, True), _C.int32: (32, True), _C.uint8: (8, False)}  # bits, signed


class finfo:
    """The limits of a floating type: bits, eps, max, min, tiny (also smallest_normal), resolution."""

    def __init__(self, dtype: _C.dtype = _C.float32) -> None:
        if dtype not in _FLOATS:
            raise TypeError(f"finfo: dtype must be a floating type, got {dtype!r}")
        self.bits, fraction, exponent = _FLOATS[dtype]
        self.dtype = str(dtype).removeprefix("lamina.")
        self.eps = 2.0**-fraction
        self.max = (2 - self.eps) * 2.0**exponent
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - exponent)
        self.resolution = 10.0 ** -(
            fraction * 30103 // 100000
        )  # so many decimal digits survive: fraction times log10(2)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer type: bits, min, max."""

    def __init__(self, dtype: _C.dtype) -> None:
        if dtype not in _INTEGERS:
            raise TypeError(f"iinfo: dtype must be an integer type, got {dtype!r}")
        self.bits, signed = _INTEGERS[dtype]
        self.dtype = str(dtype).removeprefix("lamina.")
        self.min = -(2 ** (self.bits - 1)) if signed else 0
        self.max = self.min + 2**self.bits - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
