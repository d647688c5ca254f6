"""The part of the tensor that is written in Python."""

from __future__ import annotations

from lamina import _C, autograd
from lamina._C import Tensor, device, dtype

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np

__all__: list[str] = []


# ---- called from C ----


def construct(
    data: Any = (), *, dtype: dtype | None = None, device: device | str | None = None, requires_grad: bool = False
) -> Tensor:
    """Tensor(data, …) is tensor(data, …)."""
    return _C.tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


def represent(t: Tensor) -> str:
    return f"tensor({t.tolist()}, shape={t.shape}, dtype={t.dtype})"


def iterate(t: Tensor) -> Iterator[Tensor]:
    if t.ndim == 0:
        raise TypeError("a 0-d tensor cannot be iterated over")
    return iter([t.select(0, i) for i in range(len(t))])


# ---- methods ----


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """The tensor as a NumPy array that shares its memory. With force=True, whatever it takes: detach, move, convert."""
    import numpy

    if force:
        self = self.detach().cpu()
        if self.dtype is _C.bfloat16:
            self = self.float()
    return numpy.asarray(memoryview(self))


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    import numpy

    shared = memoryview(self)  # says why not
    if copy is False and dtype is not None and numpy.dtype(dtype) != numpy.asarray(shared).dtype:
        raise ValueError(f"a {self.dtype} tensor cannot become an array of {dtype} without a copy")
    return numpy.array(shared, dtype=dtype) if copy else numpy.asarray(shared, dtype=dtype)


def to(
    self: Tensor,
    *args: Any,
    dtype: dtype | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """to(dtype), to(device), to(device, dtype) or to(other): this tensor, converted if it is not like that already."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, str) and not hasattr(_C, arg) or isinstance(arg, _C.device):
            device = arg
        elif arg is not None:
            dtype = arg
    out = self if dtype is None else self._to_dtype(dtype)
    if device is not None and _C.device(device) != self.device:
        raise NotImplementedError(f"to: tensors cannot move from {self.device} to {device}")
    return out.clone() if copy and out is self else out


def _converter(name: str):
    target = getattr(_C, name)

    def convert(self: Tensor) -> Tensor:
        return self._to_dtype(target)

    convert.__doc__ = f"This tensor as {name}."
    return convert


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor to the .grad of every leaf that it was made from."""
    autograd.backward(self, gradient, retain_graph, create_graph, inputs)


for _method in (numpy, __array__, to, backward):
    setattr(Tensor, _method.__name__, _method)
for _name, _type in {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "int": "int32",
    "byte": "uint8",
    "bool": "bool",
}.items():
    setattr(Tensor, _name, _converter(_type))
