"""The part of the tensor that is written in Python."""

from __future__ import annotations

from lamina import _C, autograd
from lamina._C import Tensor
from lamina._print import represent as represent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np

__all__: list[str] = []


# ---- called from C ----


def construct(data: Any = (), *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Tensor(data, …) is tensor(data, …)."""
    return _C.tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


def iterate(t: Tensor) -> Iterator[Tensor]:
    """Iteration over the first dimension."""
    if t.ndim == 0:
        raise TypeError("a 0-d tensor cannot be iterated over")
    return iter([t.select(0, i) for i in range(len(t))])


# ---- with NumPy ----


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """This tensor as a NumPy array that shares its memory; force=True detaches, moves and converts it first."""
    import numpy

    if force:
        self = self.detach().cpu()
        if self.dtype is _C.bfloat16:
            self = self.float()
    return numpy.asarray(memoryview(self))


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    # NumPy gets here only when the buffer was refused, or when asked for a type or a copy.
    import numpy

    shared = numpy.asarray(memoryview(self))
    if copy is False and dtype is not None and numpy.dtype(dtype) != shared.dtype:
        raise ValueError(f"a tensor of {self.dtype} cannot become an array of {dtype} without a copy")
    return numpy.array(shared, dtype=dtype) if copy else numpy.asarray(shared, dtype=dtype)


# ---- gradients ----


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor to the .grad of every leaf that it was made from."""
    gradients = None if gradient is None else [gradient]
    autograd.backward([self], gradients, retain_graph, create_graph, inputs)


def _set_data(self: Tensor, value: Tensor) -> None:
    if value.shape != self.shape or value.dtype != self.dtype:
        raise ValueError(
            f"data: expected shape {self.shape} and {self.dtype}, got {value.shape} and {value.dtype}; "
            "a tensor keeps its memory, new values are copied into it"
        )
    self.detach().copy_(value.detach())


# ---- copying and pickling ----


def _refuse_recorded(self: Tensor, what: str) -> None:
    if not self.is_leaf:
        raise RuntimeError(
            f"{what}: the tensor was made by {self.grad_fn}, and its history cannot come along; detach() it"
        )


def _rebuild(cls: type[Tensor], buffer: Any, shape: tuple[int, ...], dtype: Any, requires_grad: bool) -> Tensor:
    t = _C._from_bytes(buffer, shape, dtype)
    if cls is not Tensor:
        t = _C._wrap_as(cls, t)
    return t.requires_grad_(requires_grad) if requires_grad else t


def __reduce_ex__(self: Tensor, protocol: int) -> tuple[Any, ...]:
    _refuse_recorded(self, "pickle")
    memory = memoryview(self._as_bytes())
    if protocol >= 5:
        from pickle import PickleBuffer  # slow to import

        buffer: Any = PickleBuffer(memory)
    else:
        buffer = memory.tobytes()
    arguments = (type(self), buffer, self.shape, self.dtype, self.requires_grad)
    return _rebuild, arguments, _state(self)


def _state(self: Tensor) -> Any:
    """What pickle calls the state of an object: the attributes that a subclass adds, in a dict or in slots."""
    if type(self) is Tensor:
        return None
    if hasattr(self, "__getstate__"):  # since Python 3.11 every object has it
        return self.__getstate__()
    return getattr(self, "__dict__", None) or None


def _like(self: Tensor, values: Tensor) -> Tensor:
    """`values` with the class of `self`."""
    if type(self) is not Tensor:
        values = _C._wrap_as(type(self), values)
    return values.requires_grad_() if self.requires_grad else values


def _restore(self: Tensor, state: Any) -> None:
    """Gives a subclass its attributes back, as pickle does."""
    if hasattr(self, "__setstate__"):
        self.__setstate__(state)
    elif state is not None:
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        for name, value in {**(attributes or {}), **(slots or {})}.items():
            setattr(self, name, value)


def __copy__(self: Tensor) -> Tensor:
    _refuse_recorded(self, "copy")
    copied = _like(self, self.detach())
    _restore(copied, _state(self))
    return copied


def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:
    from copy import deepcopy

    if id(self) in memo:
        return memo[id(self)]
    _refuse_recorded(self, "deepcopy")
    memo[id(self)] = copied = _like(self, self.detach().clone())
    _restore(copied, deepcopy(_state(self), memo))
    if self.grad is not None:
        # Not by way of memo, which knows objects by their ids: this one is made anew each time it is asked for.
        copied.grad = self.grad.detach().clone()
    return copied


# ---- for people ----


def __format__(self: Tensor, spec: str) -> str:
    if self.ndim == 0 and self.device.type == "cpu":
        return format(self.item(), spec)
    if spec:
        raise TypeError(
            f"only a 0-d tensor can be formatted with {spec!r}, this one has shape {self.shape}; use item()"
        )
    return repr(self)


def __contains__(self: Tensor, value: Any) -> bool:
    return bool((self == value).any())


for _method in (
    numpy, __array__, backward, __reduce_ex__, __copy__, __deepcopy__, __format__, __contains__,
):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)


def _cuda_array_interface(self: Tensor) -> dict[str, Any]:
    if not self.is_cuda:
        raise AttributeError(f"only a tensor on a GPU has __cuda_array_interface__, this one is on {self.device}")
    if self.requires_grad:
        raise RuntimeError("a tensor that requires grad cannot be shared; use detach()")
    if (typestr := _ARRAY_TYPES.get(self.dtype)) is None:
        raise TypeError(f"the CUDA array interface has no {self.dtype}; share it by DLPack, or convert it")
    strides = None if self.is_contiguous() else tuple(s * self.itemsize for s in self.stride())
    return {
        "shape": tuple(self.shape),
        "typestr": typestr,
        "data": (self.data_ptr() if self.numel() else 0, False),
        "strides": strides,
        "stream": _C._cuda_stream(self.device),
        "version": 3,
    }


_ARRAY_TYPES = {
    _C.float32: "<f4",
    _C.float64: "<f8",
    _C.float16: "<f2",
    _C.int64: "<i8",
    _C.int32: "<i4",
    _C.uint8: "|u1",
    _C.bool: "|b1",
}
_properties = {
    "__cuda_array_interface__": property(
        _cuda_array_interface, doc="Where the memory on the GPU is, for libraries without DLPack."
    ),
    "data": property(
        lambda t: t.detach(), _set_data, doc="The same memory outside the graph; assigning copies into it."
    ),
    "is_cuda": property(lambda t: t.device.type == "cuda", doc="Does the memory lie on a GPU?"),
    "itemsize": property(lambda t: t.dtype.itemsize, doc="Bytes of one element."),
    "nbytes": property(lambda t: t.numel() * t.dtype.itemsize, doc="Bytes of all elements."),
}
for _name, _property in _properties.items():
    setattr(Tensor, _name, _property)
