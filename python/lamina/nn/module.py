"""Module: what owns parameters, buffers and other modules, and is called."""

from __future__ import annotations

from lamina import _C, _capture
from lamina._C import Tensor
from lamina.nn.parameter import Buffer, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from typing_extensions import Self

    from lamina.nn.hooks import Hooks, RemovableHandle
    from lamina.nn.state import IncompatibleKeys
    from lamina.nn.summary import Summary

__all__ = ["Module"]

_KINDS = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}


class Module:
    """The base of every network and of every part of one.

    Assigning a Parameter, a Buffer or a Module to an attribute registers it:

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(784, 256)
    ...         self.out = nn.Linear(256, 10)
    ...
    ...     def forward(self, x):
    ...         return self.out(F.relu(self.hidden(x)))
    """

    # Members live in the instance like any attribute and are found as fast; these remember the names of those that are
    # registered, in order, and whether a buffer is persistent.
    _parameters: dict[str, None]
    _buffers: dict[str, bool]
    _modules: dict[str, None]
    _hooks: Hooks | None = None
    training: bool = True

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _buffers={}, _modules={})

    # ---- calling ----

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Subclasses define it; the module itself is called, so that its hooks run."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(self, …)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _capture.modules_called is not None:
            _capture.modules_called.append(self)
        if self._hooks is not None:
            return self._hooks.call(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # ---- members ----

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        elif isinstance(value, Buffer):
            self._register("_buffers", name, value, value.persistent)
        else:
            for names, kind in _KINDS.items():
                if value is not None and name in self.__dict__.get(names, ()):
                    if kind == "buffer" and isinstance(value, Tensor):
                        break
                    expected = {"parameter": "an nn.Parameter", "buffer": "a Tensor", "module": "an nn.Module"}[kind]
                    raise TypeError(
                        f"{type(self).__name__}.{name} is a registered {kind}: expected {expected} or None, "
                        f"got {type(value).__name__}"
                    )
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        for names in _KINDS:
            self.__dict__.get(names, {}).pop(name, None)

    def _register(self, names: str, name: str, value: Any, mark: Any = None) -> None:
        members = self.__dict__
        if names not in members:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning the {_KINDS[names]} {name!r}"
            )
        for others in _KINDS:
            if others != names:
                members[others].pop(name, None)
        members[names][name] = mark
        members[name] = value

    def _check_new(self, names: str, name: str, value: Any, expected: Any) -> None:
        kind, own = _KINDS[names], type(self).__name__
        if names not in self.__dict__:
            raise AttributeError(f"{own}: call super().__init__() before registering the {kind} {name!r}")
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{own}: the name of a {kind} must be a non-empty string without dots, got {name!r}")
        if hasattr(self, name) and name not in self.__dict__[names]:
            raise KeyError(f"{own}: cannot register the {kind} {name!r}, there is an attribute of this name")
        if value is not None and not isinstance(value, expected):
            raise TypeError(f"{own}: expected {name!r} to be {expected.__name__} or None, got {type(value).__name__}")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """self.name = param; None keeps the place of a parameter that is absent."""
        self._check_new("_parameters", name, param, Parameter)
        if param is not None and not param.is_leaf:
            raise ValueError(f"the parameter {name!r} must not be the result of recorded operations; detach() it")
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """self.name = tensor, moved about with the module; persistent ones are part of the state_dict."""
        self._check_new("_buffers", name, tensor, Tensor)
        self._register("_buffers", name, tensor, persistent)

    def register_module(self, name: str, module: Module | None) -> None:
        """self.name = module."""
        self._check_new("_modules", name, module, Module)
        self._register("_modules", name, module)

    add_module = register_module

    # ---- iterating ----

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module ("") and all below it, with the paths that lead there; each once unless told otherwise."""
        seen = set() if memo is None else memo
        if remove_duplicate and id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self._children():
            yield from child.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def _children(self) -> Iterator[tuple[str, Module]]:
        members = self.__dict__
        for name in self._modules:
            if members[name] is not None:
                yield name, members[name]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one."""
        seen: set[int] = set()
        for name, child in self._children():
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        for _, child in self.named_children():
            yield child

    def _named_members(self, names: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]:
            members = module.__dict__
            for name in members[names]:
                value = members[name]
                if value is None or (once and id(value) in seen):
                    continue
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, of the modules below too; shared ones once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """What an optimiser trains."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Names and buffers, of the modules below too."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The tensors that are kept but not trained."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "encoder.0.linear"; "" is this one."""
        module: Module = self
        for depth, name in enumerate(target.split(".")) if target else ():
            found = module.__dict__.get(name) if name in module._modules else None
            if found is None:
                where = ".".join(target.split(".")[:depth])
                raise AttributeError(
                    f"{type(self).__name__} has no module {target!r}"
                    + (f": {where} has no module {name!r}" if where else "")
                    + (f", only {', '.join(module._modules)}" if module._modules else ", nor any other")
                )
            module = found
        return module

    def _get_member(self, target: str, names: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module.__dict__[names]:
            raise AttributeError(
                f"{type(self).__name__} has no {_KINDS[names]} {target!r}; {path or 'it'} has "
                f"{', '.join(module.__dict__[names]) or 'none'}"
            )
        return module.__dict__[name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "encoder.0.weight"."""
        return self._get_member(target, "_parameters")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path."""
        return self._get_member(target, "_buffers")

    # ---- modes, conversion ----

    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below: dropout drops, batch norms use the batch."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Trains (or freezes) all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients, or sets them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Calls fn on every module, innermost first; for initialisation."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _convert(self, convert: Callable[[Tensor], Tensor]) -> Self:
        """Every parameter, its gradient and every buffer becomes convert(it); the objects stay the same."""
        for module in self.modules():
            for name in (*module._parameters, *module._buffers):
                if (tensor := module.__dict__[name]) is not None:
                    _convert(tensor, convert)
        return self

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **ignored: bool) -> Self:
        """Moves parameters and buffers to a device, or floating-point ones to a type; arguments as of Tensor.to."""
        for argument in args:
            if isinstance(argument, Tensor):
                dtype, device = argument.dtype, argument.device
            elif isinstance(argument, _C.dtype):
                dtype = argument
            elif not isinstance(argument, bool):
                device = argument
        if unknown := set(ignored) - {"non_blocking", "copy"}:
            raise TypeError(f"to: unexpected argument {unknown.pop()!r}")
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"to: a module can only be converted to a floating-point type, got {dtype}")

        def convert(t: Tensor) -> Tensor:
            if device is not None:
                t = t.to(device=device)
            return t.to(dtype=dtype) if dtype is not None and t.is_floating_point() else t

        return self._convert(convert)

    def cpu(self) -> Self:
        """to("cpu")."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """to("cuda")."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def type(self, dst_type: Any) -> Self:
        """Every parameter and buffer, integers too, in one type."""
        return self._convert(lambda t: t.to(dst_type))

    def float(self) -> Self:
        """to(lamina.float32)."""
        return self.to(_C.float32)

    def double(self) -> Self:
        """to(lamina.float64)."""
        return self.to(_C.float64)

    def half(self) -> Self:
        """to(lamina.float16)."""
        return self.to(_C.float16)

    def bfloat16(self) -> Self:
        """to(lamina.bfloat16)."""
        return self.to(_C.bfloat16)

    # ---- state ----

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Names and values of all parameters and persistent buffers. The values share the module's memory."""
        state = {} if destination is None else destination
        members = self.__dict__
        for name in (*self._parameters, *[b for b, persistent in self._buffers.items() if persistent]):
            if members[name] is not None:
                state[prefix + name] = members[name] if keep_vars else members[name].detach()
        for name, child in self._children():
            child.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies values into the parameters and buffers of the same names; nothing is changed unless all of them fit.

        strict: every name must have its counterpart. Otherwise (and in the result) missing_keys are those that the module
        has and state_dict lacks, unexpected_keys the reverse. assign: takes the tensors themselves instead of copies.
        """
        from lamina.nn.state import load_state_dict

        return load_state_dict(self, state_dict, strict, assign)

    # ---- hooks ----

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            from lamina.nn.hooks import Hooks

            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args) runs before forward and may return other args; with_kwargs: hook(module, args, kwargs)."""
        hooks = self._own_hooks()
        return hooks.add(hooks.forward_pre, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """hook(module, args, output) runs after forward and may return another output; always_call: after errors too."""
        hooks = self._own_hooks()
        return hooks.add(hooks.forward, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_output) runs before backward enters the module and may return another grad_output."""
        hooks = self._own_hooks()
        return hooks.add(hooks.backward_pre, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_input, grad_output) runs when backward leaves the module and may return another grad_input."""
        hooks = self._own_hooks()
        return hooks.add(hooks.backward, hook, prepend)

    # ---- for people ----

    def extra_repr(self) -> str:
        """What stands between the parentheses of repr."""
        return ""

    def __repr__(self) -> str:
        from lamina.nn.summary import represent

        return represent(self)

    def summary(self, *args: Any, **kwargs: Any) -> Summary:
        """Runs the module on an input and tabulates its layers, the shapes they give and their parameter counts."""
        from lamina.nn.summary import summarize

        return summarize(self, args, kwargs)

    def __dir__(self) -> Iterable[str]:
        return [name for name in super().__dir__() if not name.isdigit()]


def _convert(tensor: Tensor, convert: Callable[[Tensor], Tensor]) -> None:
    new = convert(tensor.detach())
    if new.dtype is tensor.dtype and new.device == tensor.device:
        return
    grad = tensor.grad
    _C._take_over(tensor, new)
    if grad is not None:
        tensor.grad = convert(grad)
