"""Writes python/lamina/_C.pyi from the compiled module; with --check, fails if the committed one has drifted.

Half of the module is bound through the C API, which tells signatures but no types, and it has attributes named bool,
float and dtype that hide the types of that name. Generators made for pybind11 alone stumble over both, so this one
reads pybind11's docstrings where they are, and elsewhere goes by a parameter's name or default.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

STUB = Path(__file__).parent.parent / "python/lamina/_C.pyi"

HEADER = '''# Written by tools/stubs.py from the compiled module. Do not edit.
"""lamina's compiled core."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np

Number: TypeAlias = builtins.bool | builtins.int | builtins.float
# Inside Tensor, these names mean its attributes.
_dtype: TypeAlias = dtype
_device: TypeAlias = device
'''

# What pybind11 writes, and what a reader wants.
SPELLINGS = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "float | int | bool": "Number",
    "collections.abc.": "",
    "typing.": "",
    "lamina._C.": "",
    "lamina.": "",
    "types.": "",
}
RENAMED = {"object": "Any", "dtype": "_dtype", "device": "_device", "capsule": "Any", "dict": "dict[Any, Any]"}
HIDDEN = ("bool", "int", "float")  # each also the name of an attribute: builtins.bool is meant

# Types of parameters that come without one. Others: by their default, Any where that is None or missing.
PARAMETERS = {
    "input": "Tensor",
    "other": "Tensor | Number",
    "dtype": "_dtype | type | str | None",
    "device": "_device | str | None",
    "size": "int | Sequence[int]",
    "requires_grad": "bool",
    "fill_value": "Number",
    "alpha": "Number",
}
# Functions that come without types return a Tensor unless they stand here.
RETURNS = {"tolist": "Any", "item": "Number"}

ATTRIBUTES = {  # of Tensor, bound as C getters
    "shape": "tuple[int, ...]",
    "dtype": "_dtype",
    "device": "_device",
    "ndim": "int",
    "is_leaf": "bool",
    "grad_fn": "str | None",
    "T": "Tensor",
    "mT": "Tensor",
    "_version": "int",
}
WRITABLE = {"requires_grad": "bool", "grad": "Tensor | None"}
ARITHMETIC = "add sub mul truediv floordiv mod pow and or xor lshift rshift matmul".split()
SLOTS = {
    "__init__": "(self, data: Any = (), *, dtype: _dtype | type | str | None = None,"
    " device: _device | str | None = None, requires_grad: bool = False) -> None",
    "__getitem__": "(self, index: Any) -> Tensor",
    "__setitem__": "(self, index: Any, value: Any) -> None",
    "__len__": "(self) -> int",
    "__iter__": "(self) -> Iterator[Tensor]",
    "__bool__": "(self) -> bool",
    "__int__": "(self) -> int",
    "__index__": "(self) -> int",
    "__float__": "(self) -> float",
    **{f"__{name}__": "(self) -> Tensor" for name in "neg pos abs invert".split()},
    **{f"__{name}__": "(self, other: Any) -> Tensor" for name in "eq ne lt le gt ge".split()},
    **{f"__{p}{name}__": "(self, other: Tensor | Number) -> Tensor" for name in ARITHMETIC for p in ("", "r", "i")},
}
INHERITED = set("__new__ __getattribute__ __setattr__ __delattr__ __delitem__ __repr__ __str__ __hash__".split())
BUFFER = {"__buffer__", "__release_buffer__"}  # shown by Python 3.12 and later only


class Respell(ast.NodeTransformer):
    """Annotations in the names that the stub imports."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in HIDDEN:
            return ast.Attribute(ast.Name("builtins"), node.id)
        return ast.parse(RENAMED.get(node.id, node.id), mode="eval").body

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return ast.Subscript(node.value, self.visit(node.slice))


def annotation(text: str) -> ast.expr:
    for theirs, ours in SPELLINGS.items():
        text = text.replace(theirs, ours)
    return Respell().visit(ast.parse(text, mode="eval").body)


def guessed(name: str, default: ast.expr | None) -> str:
    if name in PARAMETERS:
        return PARAMETERS[name]
    value = default.value if isinstance(default, ast.Constant) else None
    return {bool: "bool", int: "int", float: "float", str: "str"}.get(type(value), "Any")


def complete(function: ast.FunctionDef, returns: str, method: bool) -> ast.FunctionDef:
    """Gives a type to every parameter that has none, and a result."""
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    if method and (not positional or positional[0].arg != "self"):
        (arguments.posonlyargs or arguments.args).insert(0, ast.arg("self"))
        positional = arguments.posonlyargs + arguments.args
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for arg, default in [
        *zip(positional, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        *((a, None) for a in (arguments.vararg, arguments.kwarg) if a),
    ]:
        if arg.arg == "self":
            arg.annotation = None
        else:
            text = ast.unparse(arg.annotation) if arg.annotation else guessed(arg.arg, default)
            arg.annotation = annotation(text)
    simple = (ast.Constant, ast.UnaryOp, ast.Tuple)
    arguments.defaults = [d if isinstance(d, simple) else ast.Constant(...) for d in arguments.defaults]
    arguments.kw_defaults = [
        d if d is None or isinstance(d, simple) else ast.Constant(...) for d in arguments.kw_defaults
    ]
    function.returns = annotation(ast.unparse(function.returns) if function.returns else returns)
    return function


def parsed(name: str, signature: str) -> ast.FunctionDef:
    try:
        node = ast.parse(f"def {name}{signature}: ...").body[0]
    except SyntaxError as error:
        raise SystemExit(f"{name}{signature}: its docstring's signature is not Python: {error.msg}") from error
    assert isinstance(node, ast.FunctionDef)
    return node


def with_doc(function: ast.FunctionDef, doc: str) -> ast.FunctionDef:
    if doc:
        function.body = [ast.Expr(ast.Constant(doc))]
    return function


def function_stubs(name: str, function: Any, method: bool) -> list[ast.stmt]:
    """One definition, or one for each overload."""
    returns = RETURNS.get(name, "Tensor")
    if inspect.isfunction(function):  # written in Python and attached to the class
        node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(node, ast.FunctionDef)
        node.name, node.decorator_list, node.body = name, [], [ast.Expr(ast.Constant(...))]
        return [with_doc(complete(node, "Any", method), inspect.getdoc(function) or "")]

    doc = inspect.getdoc(function) or ""
    if "Overloaded function." in doc:
        nodes = []
        for line in doc.splitlines():
            number, _, rest = line.partition(". ")
            if number.isdigit() and rest.startswith(f"{name}("):
                node = complete(parsed(name, rest.removeprefix(name)), returns, method)
                node.decorator_list = [ast.Name("overload")]
                nodes.append(node)
        return list(nodes)
    text = getattr(function, "__text_signature__", None)
    if text:
        signature, rest = text.replace("$", ""), doc
    else:
        first, _, rest = doc.partition("\n")
        if not first.startswith(f"{name}("):
            raise SystemExit(f"{name}: its docstring must begin with its signature")
        signature = first.removeprefix(name)
    return [with_doc(complete(parsed(name, signature), returns, method), rest.strip())]


def property_stub(name: str, getter: Any) -> ast.stmt:
    doc = (inspect.getdoc(getter) or "").splitlines()
    node = complete(parsed(name, "(self)" + (" -> " + doc[0].rpartition(" -> ")[2] if doc else "")), "Any", True)
    node.decorator_list = [ast.Name("property")]
    return node


def attribute_stub(name: str) -> ast.stmt:
    if name in WRITABLE:
        return ast.AnnAssign(ast.Name(name), annotation(WRITABLE[name]), simple=1)
    if name not in ATTRIBUTES:
        raise SystemExit(f"Tensor.{name}: give its type in ATTRIBUTES, tools/stubs.py")
    node = parsed(name, f"(self) -> {ATTRIBUTES[name]}")
    node.decorator_list = [ast.Name("property")]
    return complete(node, "Any", True)


def members(cls: type) -> list[ast.stmt]:
    body: list[ast.stmt] = []
    for name, value in sorted(vars(cls).items()):
        if name in INHERITED | BUFFER or getattr(value, "__text_signature__", None) == "($self, /, *args, **kwargs)":
            continue
        if isinstance(value, property):
            body.append(property_stub(name, value.fget))
        elif inspect.isgetsetdescriptor(value):
            if not name.startswith("__"):
                body.append(attribute_stub(name))
        elif name in SLOTS and not inspect.isfunction(value) and cls.__name__ == "Tensor":
            body.append(complete(parsed(name, SLOTS[name]), "Any", True))
        elif callable(value) and not (name.startswith("_pybind11") or isinstance(value, type)):
            body += function_stubs(name, getattr(cls, name), True)
    if cls.__name__ == "Tensor":
        body.append(complete(parsed("__buffer__", "(self, flags: int, /) -> memoryview"), "Any", True))
    return body or [ast.Expr(ast.Constant(...))]


def class_stub(cls: type) -> ast.stmt:
    def of(bases: list[ast.expr], body: list[ast.stmt]) -> ast.ClassDef:
        document = [ast.Expr(ast.Constant(inspect.getdoc(cls)))] if cls.__doc__ else []
        return ast.ClassDef(cls.__name__, bases, [], [*document, *body], [])

    if hasattr(cls, "n_sequence_fields"):  # a C named tuple
        fields: list[ast.stmt] = [
            ast.AnnAssign(ast.Name(field), annotation("Tensor"), simple=1) for field in cls.__match_args__
        ]
        return of([ast.Name("NamedTuple")], fields)
    return of([], members(cls))


def generate() -> str:
    import lamina

    module = lamina._C
    classes: list[ast.stmt] = []
    functions: list[ast.stmt] = []
    values: list[ast.stmt] = []
    for name, value in sorted(vars(module).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, type):
            classes.append(class_stub(value))
        elif callable(value):
            functions += function_stubs(name, value, False)
        else:
            kind = "tuple[str, ...]" if isinstance(value, tuple) else type(value).__name__
            values.append(ast.AnnAssign(ast.Name(name), annotation(kind), simple=1))
    text = HEADER + ast.unparse(ast.fix_missing_locations(ast.Module([*values, *classes, *functions], [])))
    # Comparisons give tensors, which object's signatures do not foresee.
    lines = [
        line + "  # type: ignore[override]" if line.endswith("-> Tensor:") and re.search("__(eq|ne)__", line) else line
        for line in text.splitlines()
    ]
    command = ["ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    options = parser.parse_args()
    stub = generate()
    if not options.check:
        STUB.write_text(stub)
        return
    committed = STUB.read_text().splitlines(keepends=True)
    difference = list(difflib.unified_diff(committed, stub.splitlines(keepends=True), "committed", "compiled module"))
    if difference:
        sys.exit("".join(difference) + f"{STUB.name} has drifted: run python tools/stubs.py")


if __name__ == "__main__":
    main()
