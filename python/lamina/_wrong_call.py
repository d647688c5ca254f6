"""What is wrong with a call that a function refused: which argument, what was expected, what came. Errors only come here
once a call has failed, so nothing in this file needs to be fast, and it is imported when it is first needed."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence

from lamina import _C
from lamina._C import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__: list[str] = []


def explain(name: str, doc: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """For a function of the compiled module, whose documentation begins with its signatures."""
    listed = re.findall(rf"^(?:\d+\. )?{name}(\(.*\)) -> .*$", doc or "", re.MULTILINE)
    texts = [t for t in listed if t != "(*args, **kwargs)"]
    called = type(args[0]).__name__ if name == "__init__" else name
    found = [fault(signature_from(t), args, kwargs) for t in texts]
    # Of several overloads, the one that the call came nearest to.
    likeliest = max(found, key=lambda f: f[0] if f else -1, default=None)
    if likeliest:
        return f"{called}: {likeliest[1]}"
    given = ", ".join([shown(a) for a in args] + [f"{k}={shown(v)}" for k, v in kwargs.items()])
    return f"{called}: expected {' or '.join(map(plain, texts))}, got ({given})"


def explain_python(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """For a function written in Python; None if its arguments are of the types that its annotations ask for."""
    found = fault(inspect.signature(function), args, kwargs)
    return f"{function.__name__}: {found[1]}" if found else None


# ---- signatures ----


def signature_from(text: str) -> inspect.Signature:
    """From what pybind11 writes."""
    text = re.sub(r"<[^<>]*>", "...", text)  # defaults that are objects
    text = re.sub(r"\b(from|in|is|lambda):", r"\1_:", text)  # names that Python keeps for itself
    (definition,) = ast.parse(f"def f{text}: ...").body
    assert isinstance(definition, ast.FunctionDef)
    arguments = definition.args
    kinds = inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [kinds.empty] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parameters = [
        kinds(a.arg, kinds.POSITIONAL_OR_KEYWORD, default=d, annotation=spelled(a))
        for a, d in zip(positional, defaults, strict=True)
    ]
    if arguments.vararg:
        parameters.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL, annotation=spelled(arguments.vararg)))
    for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters.append(
            kinds(a.arg, kinds.KEYWORD_ONLY, default=kinds.empty if d is None else d, annotation=spelled(a))
        )
    if arguments.kwarg:
        parameters.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD, annotation=spelled(arguments.kwarg)))
    return inspect.Signature(parameters)


def spelled(argument: ast.arg) -> str:
    return ast.unparse(argument.annotation) if argument.annotation else "object"


PLAIN = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "float | int | bool": "number",
    "float | int": "number",
    "collections.abc.": "",
    "typing.": "",
    "lamina._C.": "",
}


def plain(text: str) -> str:
    for theirs, ours in PLAIN.items():
        text = text.replace(theirs, ours)
    return text


def fault(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, str] | None:
    """The first thing wrong with the arguments, and how many were right before it."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as e:
        return 0, str(e)
    for i, (name, value) in enumerate(bound.arguments.items()):
        parameter = signature.parameters[name]
        annotation = plain(str(parameter.annotation))
        values = [value]
        if parameter.kind is parameter.VAR_POSITIONAL:
            values = list(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            values = list(value.values())
        elif value is None and parameter.default is None:
            continue
        for v in values:
            if not fits(annotation, v):
                return i, f"{name} must be {expected(annotation)}, got {shown(v)}"
    return None


# ---- types ----


def alternatives(annotation: str) -> list[str]:
    """At the outermost |."""
    parts, depth = [""], 0
    for c in annotation:
        depth += (c == "[") - (c == "]")
        if c == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


def fits(annotation: str, value: Any) -> bool:
    return any(fits_one(a, value) for a in alternatives(annotation))


def fits_one(annotation: str, value: Any) -> bool:
    outer, _, inner = annotation.rstrip("]").partition("[")
    if outer in ("Sequence", "Iterable", "list", "tuple") and annotation != outer:
        if isinstance(value, (str, bytes, dict, Tensor)) or not hasattr(value, "__iter__"):
            return False
        inner = inner.removesuffix(", ...")
        return not isinstance(value, Sequence) or "," in inner or all(fits(inner, v) for v in value)
    if annotation in ("Tensor", "_C.Tensor"):
        return isinstance(value, Tensor) or hasattr(value, "__array__")
    if annotation in ("int", "float", "number"):
        if isinstance(value, (str, bytes)) or not (hasattr(value, "__index__") or hasattr(value, "__float__")):
            return False
        if isinstance(value, Tensor):
            return value.numel() == 1 and (annotation != "int" or not value.is_floating_point())
        if annotation == "int" or isinstance(value, int):
            return hasattr(value, "__index__") and -(2**63) <= value.__index__() < 2**63
        return True
    if annotation == "device":
        return isinstance(value, (_C.device, str))
    known = {"bool": bool, "str": str, "None": type(None), "Generator": _C.Generator}.get(annotation)
    return known is None or isinstance(value, known)


NAMES = {
    "Tensor": "a Tensor",
    "int": "an integer",
    "float": "a number",
    "number": "a number",
    "bool": "True or False",
    "str": "a string",
    "Generator": "a Generator",
    "device": "a device",
}
PLURALS = {"Tensor": "Tensors", "int": "integers", "float": "numbers", "number": "numbers", "str": "strings"}


def expected(annotation: str) -> str:
    parts = []
    for a in alternatives(annotation):
        outer, _, inner = a.rstrip("]").partition("[")
        if inner:
            parts.append(f"a sequence of {PLURALS.get(inner.removesuffix(', ...'), inner)}")
        elif NAMES.get(a, a) not in parts:
            parts.append(NAMES.get(a, a))
    return " or ".join(parts)


def shown(value: Any) -> str:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "one that does not fit into 64 bits"
    if isinstance(value, Tensor):
        return f"a Tensor of shape {value.shape}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(type(v).__name__ for v in value[:4]) + (", ..." if len(value) > 4 else "")
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return type(value).__name__
