"""Operations written in Python, with a gradient of their own."""

from __future__ import annotations

from lamina import _C
from lamina._C import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What a Function's forward leaves for its backward. Attributes of any name may be set on it."""

    needs_input_grad: tuple[bool, ...] = ()
    _saved: tuple[Tensor | None, ...] = ()
    _versions: tuple[int, ...] = ()
    _constant: tuple[Tensor, ...] = ()
    _materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs, outputs or intermediate tensors; backward finds them in saved_tensors."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward: argument {i} must be a Tensor or None, got {type(t).__name__}")
        self._saved = tensors
        self._versions = tuple([0 if t is None else t._version for t in tensors])

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors given to save_for_backward; an error if one was changed in place since."""
        for i, (t, version) in enumerate(zip(self._saved, self._versions, strict=True)):
            if t is not None and t._version != version:
                raise RuntimeError(
                    f"saved tensor {i} of shape {t.shape} was changed in place after it was saved "
                    f"(at version {version}, now {t._version}); clone it before the change"
                )
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Outputs that no gradient flows through."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Does backward get zeros (True, the default) or None for outputs that nothing depends on?"""
        self._materialize = value

    def mark_dirty(self, *tensors: Tensor) -> NoReturn:
        """Refused: a Function must not change its inputs."""
        raise NotImplementedError("mark_dirty: a Function cannot change its inputs in place; return a new tensor")


class Function:
    """An operation with a gradient of its own. Subclasses define two static methods and are called through apply:

    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * dy
    >>> y = Square.apply(x)

    backward gets one gradient for each output of forward and returns one for each of its arguments: None for those
    that are no tensors or need none. forward may also come without ctx; setup_context(ctx, inputs, output) follows it.
    """

    setup_context: Callable[..., Any] | None = None

    @staticmethod
    def forward(*args: Any) -> Any:
        """Computes the outputs."""
        raise NotImplementedError("a Function must define the static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Computes the gradients of forward's arguments from those of its outputs."""
        raise NotImplementedError("a Function must define the static method backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs forward and records backward."""
        ctx = FunctionCtx()
        ctx.needs_input_grad = needs = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        versions = [a._version for a in args if isinstance(a, Tensor)]
        recording = _C.is_grad_enabled()
        _C._set_grad_enabled(False)
        try:
            if cls.setup_context is None:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        finally:
            _C._set_grad_enabled(recording)
        if not recording or True not in needs:
            return result
        if versions != [a._version for a in args if isinstance(a, Tensor)]:
            raise RuntimeError(f"{cls.__name__}: forward changed one of its arguments in place; return a new tensor")
        return _C._record_function(cls, ctx, args, result)


def once_differentiable(function: F) -> F:
    """Marks a backward that cannot itself be differentiated, as PyTorch has it; here none can."""
    return function
