"""Settings of recipes: typed dataclasses whose fields are set by `key=value` texts."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple


class UsageError(ValueError):
    """What the user asked for does not exist."""


class Run(NamedTuple):
    """Where a recipe writes, and how it goes about it."""

    out: Path
    resume: bool = False
    progress: bool = True


class Result(NamedTuple):
    """What came out, beside what was to be expected."""

    figures: dict[str, float]
    met: bool
    summary: str
    files: list[Path]


class Recipe(NamedTuple):
    name: str
    about: str
    settings: type
    run: Callable[[Any, Run], Result]


def setting(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A field of settings, with what it means and the values that make sense."""
    metadata = {"help": help, "low": low, "high": high}
    if isinstance(default, (list, dict)):
        raise TypeError(f"a default must be immutable, got {default!r}")
    return dataclasses.field(default=default, metadata=metadata)


def parse(recipe: Recipe, pairs: Sequence[str]) -> Any:
    """The settings of a recipe, changed by `key=value` texts."""
    hints = typing.get_type_hints(recipe.settings)
    fields = {field.name: field for field in dataclasses.fields(recipe.settings)}
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--set {pair}: expected key=value")
        if key not in fields:
            near = get_close_matches(key, fields, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{recipe.name} has no setting {key!r}{hint} (it has {', '.join(fields)})")
        values[key] = _value(f"{recipe.name}.{key}", text.strip(), hints[key], fields[key].metadata)
    return recipe.settings(**values)


def _value(name: str, text: str, hint: Any, metadata: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if text.lower() in ("", "none"):
            return None
        (hint,) = [a for a in arguments if a is not type(None)]
        return _value(name, text, hint, metadata)
    if origin is typing.Literal:
        if text not in arguments:
            near = get_close_matches(text, arguments, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{name} must be one of {', '.join(arguments)}, got {text!r}{hint}")
        return text
    if origin is tuple:
        return tuple(_value(name, part.strip(), arguments[0], metadata) for part in text.split(",") if part.strip())
    if hint is bool:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if text.lower() not in words:
            raise UsageError(f"{name} must be true or false, got {text!r}")
        return words[text.lower()]
    if hint is str:
        return text
    if hint is Path:
        return Path(text).expanduser()
    try:
        number = hint(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[hint]
        raise UsageError(f"{name} must be {kind}, got {text!r}") from None
    low, high = metadata["low"], metadata["high"]
    if not (low is None or number >= low) or not (high is None or number <= high):
        limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
        raise UsageError(f"{name} must be {limits}, got {text}")
    return number


def describe(recipe: Recipe) -> str:
    """The settings of a recipe, one a line."""
    lines = []
    for field in dataclasses.fields(recipe.settings):
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        lines.append(f"  {field.name + '=' + str(shown):28}{field.metadata['help']}")
    return "\n".join(lines)
