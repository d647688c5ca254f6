"""Switching the recording of operations on and off: as context managers, as decorators."""

from __future__ import annotations

import functools

from lamina._C import _set_grad_enabled, is_grad_enabled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]


_GENERATOR = 0x20  # inspect.CO_GENERATOR, without the import


class _GradMode:
    """with mode: …, or @mode before a function. May be entered again while it is open."""

    _mode = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(is_grad_enabled())
        _set_grad_enabled(self._mode)

    def __exit__(self, *exception: object) -> None:
        _set_grad_enabled(self._before.pop())

    def __call__(self, function: F) -> F:
        mode = self._mode

        def run(step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            before = is_grad_enabled()
            _set_grad_enabled(mode)
            try:
                return step(*args, **kwargs)
            finally:
                _set_grad_enabled(before)

        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
            # Only while the generator runs, not while it waits.
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                try:
                    value = run(generator.send, None)
                    while True:
                        try:
                            sent = yield value
                        except GeneratorExit:
                            run(generator.close)
                            raise
                        except BaseException as error:
                            value = run(generator.throw, error)
                        else:
                            value = run(generator.send, sent)
                except StopIteration as end:
                    return end.value
        else:

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                return run(function, *args, **kwargs)

        return functools.wraps(function)(wrapped)  # type: ignore[return-value]


class no_grad(_GradMode):
    """Operations inside are not recorded."""

    def __new__(cls, function: Any = None) -> no_grad:
        self = super().__new__(cls)
        if function is None:
            return self
        _GradMode.__init__(self)  # @no_grad without parentheses
        return self(function)


class enable_grad(_GradMode):
    """Operations inside are recorded, even within no_grad."""

    _mode = True


class inference_mode(_GradMode):
    """The same as no_grad; the name is PyTorch's."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = not mode


class set_grad_enabled(_GradMode):
    """Switches recording at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = bool(mode)
        self._outer = is_grad_enabled()
        _set_grad_enabled(self._mode)

    def __call__(self, function: F) -> F:
        _set_grad_enabled(self._outer)  # as a decorator, only within the function
        return super().__call__(function)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _set_grad_enabled(self._mode)
