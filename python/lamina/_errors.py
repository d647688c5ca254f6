"""Errors of functions written in Python name the function and the argument, as those of the compiled module do."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []


def speaks_for_itself(function: Any) -> Any:
    """The function; where it fails because of an argument's type, the error says so."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError) as e:
            from lamina._wrong_call import explain_python  # imports what is slow to import

            message = explain_python(function, args, kwargs)
            if message is None and function.__name__ in str(e):
                raise
            raise TypeError(message or f"{function.__name__}: {e}") from e

    return call


def speak_for_themselves(module: dict[str, Any]) -> None:
    """All public functions defined in a module so far."""
    known: dict[Any, Any] = {}  # a function may have several names
    for name, value in list(module.items()):
        if (
            name in module["__all__"]
            and getattr(value, "__module__", "") == module["__name__"]
            and hasattr(value, "__code__")
        ):
            module[name] = known.setdefault(value, speaks_for_itself(value))
