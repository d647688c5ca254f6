"""Modules and parameters in sequences and by name."""

from __future__ import annotations

from lamina import _C
from lamina.nn.activation import ReLU, Sigmoid, Tanh
from lamina.nn.conv import Conv1d, Conv2d, Conv3d
from lamina.nn.fuse import Folded
from lamina.nn.linear import Linear
from lamina.nn.module import Module
from lamina.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from lamina.nn.parameter import Parameter, _as_tensor
from lamina.nn.pooling import MaxPool1d, MaxPool2d, MaxPool3d

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from typing_extensions import Self

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


# Layers that take an activation after them into their kernel. The bits are those of two kernels one after the other: for
# 16-bit floats, which are rounded in between, that holds for ReLU alone. Batch norms know no other.
_FUSING: dict[type, bool] = {  # of the layer: any activation?
    **dict.fromkeys((Linear, Conv1d, Conv2d, Conv3d), True),
    **dict.fromkeys((BatchNorm1d, BatchNorm2d, BatchNorm3d), False),
}
_EPILOGUES: dict[type, str] = {ReLU: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}
_POOLS: dict[type, Any] = {Conv1d: MaxPool1d, Conv2d: MaxPool2d, Conv3d: MaxPool3d}
_UNROUNDED = (_C.float32, _C.float64)


class _Listed(Module):
    """Members under the names "0", "1", …; `_names` is the record of their kind."""

    _kind = "_modules"

    def _names(self) -> dict[str, Any]:
        return self.__dict__[self._kind]

    def _values(self) -> list[Any]:
        members = self.__dict__
        return [members[name] for name in self._names()]

    def _refill(self, values: Iterable[Any]) -> None:
        for name in list(self._names()):
            delattr(self, name)
        for i, value in enumerate(values):
            self._put(str(i), value)

    def _put(self, name: str, value: Any) -> None:
        self.register_module(name, value)

    def _position(self, index: int) -> int:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {n} members")
        return index + n if index < 0 else index

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)._from(self._values()[index], list(self._names())[index])
        return self._values()[self._position(index.__index__())]

    @classmethod
    def _from(cls, values: list[Any], names: list[str]) -> Any:
        return cls(values)  # type: ignore[call-arg]

    def __setitem__(self, index: int, value: Any) -> None:
        self._put(list(self._names())[self._position(index.__index__())], value)

    def __delitem__(self, index: int | slice) -> None:
        values = self._values()
        if isinstance(index, slice):
            del values[index]
        else:
            del values[self._position(index.__index__())]
        self._refill(values)

    def append(self, module: Any) -> Self:
        """Adds one at the end."""
        self._put(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Adds several at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> Self:
        """Adds one before position index."""
        values = self._values()
        values.insert(index, module)
        self._refill(values)
        return self

    def pop(self, index: int = -1) -> Any:
        """Takes one out and returns it."""
        value = self[index]
        del self[index]
        return value

    def __iadd__(self, others: Iterable[Any]) -> Self:
        return self.extend(others)

    def __add__(self, others: Iterable[Any]) -> Any:
        return type(self)._from([*self._values(), *others], [])


class Sequential(_Listed):
    """Modules one after the other: Sequential(a, b) or Sequential({"first": a, "second": b})."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and hasattr(args[0], "items"):
            for name, module in args[0].items():
                self.register_module(name, module)
        else:
            for i, module in enumerate(args):
                self.register_module(str(i), module)

    @classmethod
    def _from(cls, values: list[Any], names: list[str]) -> Any:
        return cls(dict(zip(names, values, strict=True))) if names else cls(*values)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._names())
        for name in names[index] if isinstance(index, slice) else [names[self._position(index.__index__())]]:
            delattr(self, name)
        if all(name.isdigit() for name in names):  # others keep their names
            self._refill(self._values())

    def forward(self, input: Any) -> Any:
        members = self.__dict__
        waiting: Any = None  # a layer whose activation and pooling may come next
        activation: str | None = None
        for name in self._modules:
            module = members[name]
            if waiting is not None:
                if type(module) is Folded and module._hooks is None:
                    continue
                if activation is None and (activation := _epilogue(waiting, module)):
                    continue
                if pools := _halves(waiting, module):
                    input = waiting.activated(input, activation, max_pool=True)
                else:
                    input = waiting.activated(input, activation)
                waiting = activation = None
                if pools:
                    continue
            if type(module) in _FUSING and module._hooks is None:
                waiting = module
            else:
                input = module(input)
        return input if waiting is None else waiting.activated(input, activation)


def _epilogue(layer: Any, module: Any) -> str | None:
    """The name of an activation that can run inside the layer's kernel."""
    activation = _EPILOGUES.get(type(module))
    if activation is None or module._hooks is not None:
        return None
    if activation != "relu" and not (_FUSING[type(layer)] and module.alpha == 1 and layer.weight.dtype in _UNROUNDED):
        return None
    return activation


def _halves(layer: Any, module: Any) -> bool:
    """Is this the pooling that a convolution's kernel can do?"""
    if type(module) is not _POOLS.get(type(layer)) or module._hooks is not None:
        return False
    if module.ceil_mode or module.return_indices:
        return False
    window = ((module.kernel_size, 2), (module.stride, 2), (module.padding, 0), (module.dilation, 1))
    return all(given in (wanted, (wanted,) * layer.dims) for given, wanted in window)


class ModuleList(_Listed):
    """A list of modules, all of them registered."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a ModuleList is a list and cannot be called; call its members, or use Sequential")


class ParameterList(_Listed):
    """A list of parameters, all of them registered; tensors become parameters."""

    _kind = "_parameters"

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def _put(self, name: str, value: Any) -> None:
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(_as_tensor(value)))

    def extra_repr(self) -> str:
        return "\n".join(f"({name}): {_describe(p)}" for name, p in zip(self._names(), self, strict=True))


class _Named(Module):
    """Members by names of the user's."""

    _kind = "_modules"

    def _names(self) -> dict[str, Any]:
        return self.__dict__[self._kind]

    def _put(self, key: str, value: Any) -> None:
        self.register_module(key, value)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names():
            raise KeyError(f"{type(self).__name__} has no {key!r}, only {', '.join(self._names()) or 'nothing at all'}")
        return self.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._names()))

    def __contains__(self, key: object) -> bool:
        return key in self._names()

    def keys(self) -> list[str]:
        """The names."""
        return list(self._names())

    def values(self) -> list[Any]:
        """The members."""
        return [self.__dict__[name] for name in self._names()]

    def items(self) -> list[tuple[str, Any]]:
        """Names and members."""
        return [(name, self.__dict__[name]) for name in self._names()]

    def get(self, key: str, default: Any = None) -> Any:
        """The member of that name, or the default."""
        return self.__dict__[key] if key in self._names() else default

    def pop(self, key: str) -> Any:
        """Takes one out and returns it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Takes all out."""
        for name in self.keys():
            del self[name]

    def update(self, members: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Adds several, or replaces those of the same names."""
        pairs = members.items() if hasattr(members, "items") else members
        for key, value in pairs:
            self[key] = value


class ModuleDict(_Named):
    """Modules by name, all of them registered."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or ())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a ModuleDict is a dictionary and cannot be called; call its members")


class ParameterDict(_Named):
    """Parameters by name, all of them registered; tensors become parameters."""

    _kind = "_parameters"

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self.update(parameters or ())

    def _put(self, key: str, value: Any) -> None:
        self.register_parameter(key, value if isinstance(value, Parameter) else Parameter(_as_tensor(value)))

    def extra_repr(self) -> str:
        return "\n".join(f"({name}): {_describe(p)}" for name, p in self.items())


def _describe(parameter: Parameter) -> str:
    return f"Parameter of shape {parameter.shape}, {str(parameter.dtype).removeprefix('lamina.')}"
