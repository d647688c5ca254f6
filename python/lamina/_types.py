"""PyTorch's other names of the types."""

from lamina import _C

__all__ = ["double", "float", "half", "int", "long"]

float = _C.float32
double = _C.float64
half = _C.float16
int = _C.int32
long = _C.int64
