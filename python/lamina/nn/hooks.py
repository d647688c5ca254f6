"""Functions that run before, after and behind a module's forward. A module without any never comes here."""

from __future__ import annotations

from itertools import count

from lamina._C import Tensor
from lamina.autograd import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lamina.nn.module import Module

__all__ = ["Hooks", "RemovableHandle"]

_ids = count()


class RemovableHandle:
    """What registering a hook returns: remove() takes the hook away; `with handle:` does so at the end of the block."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.id = next(_ids)
        self._hooks = hooks

    def remove(self) -> None:
        """Takes the hook away."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """A module's hooks, by kind, in the order in which they run."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.forward: dict[int, tuple[Callable[..., Any], bool, bool]] = {}
        self.backward_pre: dict[int, Callable[..., Any]] = {}
        self.backward: dict[int, Callable[..., Any]] = {}

    @staticmethod
    def add(hooks: dict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        if prepend:
            others = dict(hooks)
            hooks.clear()
            hooks[handle.id] = entry
            hooks.update(others)
        else:
            hooks[handle.id] = entry
        return handle

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """module.forward between its hooks."""
        unfinished = [hook for hook in self.forward.values() if hook[2]]
        try:
            args, kwargs = self._before(module, args, kwargs)
            observed = _ObservedBackward(self, module) if self.backward or self.backward_pre else None
            if observed:
                args = observed.arguments(args)
            result = module.forward(*args, **kwargs)
            for hook in tuple(self.forward.values()):
                result = _after(hook, module, args, kwargs, result)
                if hook in unfinished:
                    unfinished.remove(hook)
            return observed.result(result) if observed else result
        except BaseException:
            for hook in unfinished:  # always_call: the error that is under way outranks theirs
                try:
                    _after(hook, module, args, kwargs, None)
                except Exception as error:
                    import warnings

                    warnings.warn(f"a forward hook failed while another error was under way: {error!r}", stacklevel=3)
            raise

    def _before(
        self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs in tuple(self.forward_pre.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(f"a forward pre-hook must return None or (args, kwargs), got {changed!r}")
                args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs


def _after(
    entry: tuple[Callable[..., Any], bool, bool],
    module: Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    result: Any,
) -> Any:
    hook, with_kwargs, _ = entry
    changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
    return result if changed is None else changed


class _Watch(Function):
    """The tensors themselves; their gradients are shown to `watch` as they pass, which may put others in their place."""

    @staticmethod
    def forward(ctx: Any, watch: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.watch = watch
        ctx.set_materialize_grads(False)
        return tuple([t.detach() for t in tensors])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        return (None, *ctx.watch(grads))


def _replace(values: tuple[Any, ...], which: list[int], by: tuple[Any, ...]) -> tuple[Any, ...]:
    changed = list(values)
    for i, value in zip(which, by, strict=True):
        changed[i] = value
    return tuple(changed)


class _ObservedBackward:
    """One pass through a module with backward hooks: what comes in and what goes out is led through _Watch."""

    def __init__(self, hooks: Hooks, module: Module) -> None:
        self.hooks, self.module = hooks, module
        self.grad_output: tuple[Tensor | None, ...] = ()
        self.watches_inputs = False

    def arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        which = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not which:
            return args
        self.watches_inputs = True

        def watch(grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
            shown = _replace((None,) * len(args), which, grads)
            for hook in tuple(self.hooks.backward.values()):
                changed = hook(self.module, shown, self.grad_output)
                if changed is not None:
                    shown = self._checked(changed, len(args), "arguments")
            return tuple([shown[i] for i in which])

        return _replace(args, which, _Watch.apply(watch, *[args[i] for i in which]))

    def result(self, result: Any) -> Any:
        results = result if isinstance(result, tuple) else (result,)
        which = [i for i, r in enumerate(results) if isinstance(r, Tensor) and r.requires_grad]
        if not which:
            return result

        def watch(grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
            shown = _replace((None,) * len(results), which, grads)
            for hook in tuple(self.hooks.backward_pre.values()):
                changed = hook(self.module, shown)
                if changed is not None:
                    shown = self._checked(changed, len(results), "outputs")
            self.grad_output = shown
            if not self.watches_inputs:  # no gradient will reach the arguments
                for hook in tuple(self.hooks.backward.values()):
                    hook(self.module, (), shown)
            return tuple([shown[i] for i in which])

        results = _replace(results, which, _Watch.apply(watch, *[results[i] for i in which]))
        return results if isinstance(result, tuple) else results[0]

    def _checked(self, grads: Any, count: int, of: str) -> tuple[Tensor | None, ...]:
        grads = grads if isinstance(grads, tuple) else (grads,)
        if len(grads) != count:
            name = type(self.module).__name__
            raise RuntimeError(f"a backward hook of {name} returned {len(grads)} gradients for {count} {of}")
        return grads
