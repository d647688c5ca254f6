"""Writes python/lamina/_C.pyi from the compiled module; with --check, fails if the committed one has drifted.

Half of the module is bound through the C API, which tells signatures but no types, and it has attributes named bool,
float and dtype that hide the types of that name. Generators made for pybind11 alone stumble over both, so this one
reads pybind11's docstrings where they are, and elsewhere goes by a parameter's name or default. What it cannot tell
becomes Any, with a warning.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import inspect
import keyword
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

STUB = Path(__file__).parent.parent / "python/lamina/_C.pyi"

HEADER = '''# Written by tools/stubs.py from the compiled module. Do not edit.
"""lamina's compiled core."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np

_Number: TypeAlias = builtins.bool | builtins.int | builtins.float
# Inside Tensor, these names mean its attributes.
_dtype: TypeAlias = dtype
_device: TypeAlias = device
'''

# What pybind11 writes, and what a reader wants.
SPELLINGS = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "float | int | bool": "_Number",
    "collections.abc.": "",
    "typing.": "",
    "lamina._C.": "",
    "lamina.": "",
    "types.": "",
}
RENAMED = {
    "object": "Any",
    "capsule": "Any",
    "dtype": "_dtype",
    "device": "_device",
    "dict": "dict[Any, Any]",
    "list": "list[Any]",
    "tuple": "tuple[Any, ...]",
    "type": "type[Any]",
    "Callable": "Callable[..., Any]",
    "Sequence": "Sequence[Any]",
    "Iterable": "Iterable[Any]",
    "function": "Callable[..., Any]",
    "args": "tuple[Any, ...]",
    "kwargs": "dict[str, Any]",
}
HIDDEN = ("bool", "int", "float")  # each also the name of an attribute: builtins.bool is meant
IMPORTED = {"Any", "Callable", "Iterable", "Iterator", "NamedTuple", "Sequence", "_Number", "_dtype", "_device", "np"}

# Types of parameters that come without one. Others: by their default, Any where that is None or missing.
PARAMETERS = {
    "input": "Tensor",
    "other": "Tensor | _Number",
    "dim": "int | Sequence[int] | None",
    "dtype": "_dtype | type | str | None",
    "device": "_device | str | None",
    "size": "int | Sequence[int]",
    "keepdim": "bool",
    "requires_grad": "bool",
    "unbiased": "bool | None",
    "correction": "_Number | None",
    "fill_value": "_Number",
    "alpha": "_Number",
    "generator": "Generator | None",
    **dict.fromkeys("mat2 vec vec2".split(), "Tensor"),
    **dict.fromkeys("kernel_size stride padding dilation output_size".split(), "int | Sequence[int]"),
    "divisor_override": "int | None",
    "activation": "str | None",
    "momentum": "float | Tensor",
}
PRODUCTS = "matmul dot vdot".split()  # of these, neither operand is a number
ONE_DIM = (
    "argmax argmin cummax cummin cumprod cumsum log_softmax logcumsumexp softmax".split()
)  # of these, dim is one number
# Results where they are not written down or too vague. Functions that come without types return a Tensor otherwise.
PAIR, MANY = "tuple[Tensor, Tensor]", "tuple[Tensor, ...]"
RETURNS = {
    "tolist": "Any",
    "item": "_Number",
    **dict.fromkeys("var_mean std_mean aminmax".split(), PAIR),
    **dict.fromkeys("chunk split unbind tensor_split hsplit vsplit dsplit meshgrid".split(), MANY),
    **dict.fromkeys("sort topk kthvalue mode cummax cummin".split(), "ValuesIndices"),
    **{f"_adaptive_max_pool{n}d": "ValuesIndices" for n in (1, 2, 3)},
    **{f"max_pool{n}d": "Any" for n in (1, 2, 3)},  # with or without indices
}
EXTREME = [
    "(input) -> Tensor",
    "(input, dim: int, keepdim: bool = False) -> ValuesIndices",
    "(input, other: Tensor) -> Tensor",
]
OVERLOADS = {"max": EXTREME, "min": EXTREME}  # the result depends on the arguments

ATTRIBUTES = {  # of Tensor, bound as C getters or made in Python without annotations
    "shape": "tuple[int, ...]",
    "dtype": "_dtype",
    "device": "_device",
    "ndim": "int",
    "is_leaf": "bool",
    "is_cuda": "bool",
    "itemsize": "int",
    "nbytes": "int",
    "grad_fn": "str | None",
    "T": "Tensor",
    "mT": "Tensor",
    "_version": "int",
}
WRITABLE = {"data": "Tensor", "requires_grad": "bool", "grad": "Tensor | None"}
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
    **{f"__{p}{name}__": "(self, other: Tensor | _Number) -> Tensor" for name in ARITHMETIC for p in ("", "r", "i")},
}
INHERITED = set(
    "__new__ __getattribute__ __setattr__ __delattr__ __delitem__ __repr__ __str__ __hash__ __reduce_ex__".split()
)
BUFFER = {"__buffer__", "__release_buffer__"}  # shown by Python 3.12 and later only
SHORT = 200  # characters of a docstring: the stub is for editors

warnings: list[str] = []


class Respell(ast.NodeTransformer):
    """Annotations in the names that the stub imports; Any for names that it does not know."""

    def __init__(self, known: set[str]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in HIDDEN:
            return ast.Attribute(ast.Name("builtins"), node.id)
        if node.id in RENAMED:
            return ast.parse(RENAMED[node.id], mode="eval").body
        return node if node.id in self.known else ast.Name("Any")

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return ast.Subscript(node.value, self.visit(node.slice))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node


class Stubs:
    """Definitions for the attributes of one module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        classes = {name for name, value in vars(module).items() if isinstance(value, type)}
        self.respell = Respell(classes | IMPORTED | set(dir(builtins)))

    def annotation(self, text: str) -> ast.expr:
        for theirs, ours in SPELLINGS.items():
            text = text.replace(theirs, ours)
        return self.respell.visit(ast.parse(text, mode="eval").body)

    def result(self, text: str) -> ast.expr:
        return self.annotation(text.replace("device | str", "device"))  # what is taken is more than what is given

    def complete(self, function: ast.FunctionDef, returns: str, method: bool) -> ast.FunctionDef:
        """Gives a type to every parameter that has none, and a result."""
        arguments = function.args
        positional = arguments.posonlyargs + arguments.args
        if method:
            if not positional:
                positional = [ast.arg("self")]
                arguments.args = positional
            elif positional[0].arg != "self":
                (arguments.posonlyargs or arguments.args).insert(0, ast.arg("self"))
                positional = arguments.posonlyargs + arguments.args
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        for arg, default in [
            *zip(positional, [*defaults, *arguments.defaults], strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            *((a, None) for a in (arguments.vararg, arguments.kwarg) if a),
        ]:
            if arg.arg == "self":
                arg.annotation = None
                continue
            text = ast.unparse(arg.annotation) if arg.annotation else guessed(function.name, arg.arg, default)
            pair = any(a.arg == "other" for a in positional) and function.name not in PRODUCTS
            if arg.arg == "input" and not arg.annotation and pair:
                text = PARAMETERS["other"]  # 2 ** tensor
            arg.annotation = self.annotation(text)
            optional = isinstance(default, ast.Constant) and default.value is None
            if optional and "None" not in text and ast.unparse(arg.annotation) != "Any":
                arg.annotation = ast.BinOp(arg.annotation, ast.BitOr(), ast.Constant(None))
        arguments.defaults = [shown(d) for d in arguments.defaults]
        arguments.kw_defaults = [d and shown(d) for d in arguments.kw_defaults]
        given = ast.unparse(function.returns) if function.returns else returns
        function.returns = self.result(RETURNS.get(function.name, given))
        return function

    def function(self, name: str, function: Any, method: bool) -> list[ast.stmt]:
        """One definition, or one for each overload."""
        doc = inspect.getdoc(function) or ""
        signatures, rest = signatures_of(name, function, doc)
        if name in OVERLOADS:
            signatures = [s.replace("input", "self") if method else s for s in OVERLOADS[name]]
        if method and inspect.isfunction(function):
            signatures = [re.sub(r"^\(\w+", "(self", s) for s in signatures]
        returns = "Any" if inspect.isfunction(function) else "Tensor"
        nodes = [self.complete(parsed(name, signature), returns, method) for signature in signatures]
        if len(nodes) > 1:
            for node in nodes:
                node.decorator_list = [ast.Name("overload")]
        return [with_doc(nodes[0], rest), *nodes[1:]]

    def attribute(self, cls: type, name: str, value: Any) -> list[ast.stmt]:
        """A property, or for one that can be assigned a variable."""
        of_tensor = cls.__name__ == "Tensor"
        if of_tensor and name in WRITABLE:
            return [ast.AnnAssign(ast.Name(name), self.annotation(WRITABLE[name]), simple=1)]
        getter = getattr(value, "fget", None)
        first = (inspect.getdoc(getter) or "").partition("\n")[0] if getter else ""
        if of_tensor and name in ATTRIBUTES:
            kind = ATTRIBUTES[name]
        elif " -> " in first:
            kind = first.rpartition(" -> ")[2]
        elif "return" in getattr(getter, "__annotations__", {}):
            kind = getter.__annotations__["return"]
        else:
            warnings.append(f"{cls.__name__}.{name}: give its type in ATTRIBUTES")
            kind = "Any"
        if getattr(value, "fset", None):
            return [ast.AnnAssign(ast.Name(name), self.annotation(kind), simple=1)]
        node = parsed(name, "(self)")
        node.returns, node.decorator_list = self.result(kind), [ast.Name("property")]
        return [with_doc(node, "" if " -> " in first else inspect.getdoc(value) or "")]

    def members(self, cls: type) -> list[ast.stmt]:
        body: list[ast.stmt] = []
        for name, value in sorted(vars(cls).items()):
            if (
                name in INHERITED | BUFFER
                or getattr(value, "__text_signature__", None) == "($self, /, *args, **kwargs)"
            ):
                continue
            if isinstance(value, property) or inspect.isgetsetdescriptor(value):
                if not name.startswith("__"):
                    body += self.attribute(cls, name, value)
            elif name in SLOTS and not inspect.isfunction(value) and cls.__name__ == "Tensor":
                body.append(self.complete(parsed(name, SLOTS[name]), "Any", True))
            elif isinstance(value, staticmethod):
                nodes = self.function(name, value.__func__, False)
                for node in nodes:
                    node.decorator_list.append(ast.Name("staticmethod"))
                body += nodes
            elif isinstance(value, type) or name.startswith("_pybind11"):
                continue
            elif callable(value):
                body += self.function(name, getattr(cls, name), True)
            elif isinstance(value, cls):  # of an enumeration
                body.append(ast.AnnAssign(ast.Name(name), ast.Name(cls.__name__), simple=1))
        if cls.__name__ == "Tensor":
            body.append(self.complete(parsed("__buffer__", "(self, flags: int, /) -> memoryview"), "Any", True))
        return body

    def cls(self, cls: type) -> ast.stmt:
        document: list[ast.stmt] = [ast.Expr(ast.Constant(short(inspect.getdoc(cls) or "")))] if cls.__doc__ else []
        if hasattr(cls, "n_sequence_fields"):  # a C named tuple
            fields: list[ast.stmt] = [
                ast.AnnAssign(ast.Name(field), self.annotation("Tensor"), simple=1) for field in cls.__match_args__
            ]
            return ast.ClassDef(cls.__name__, [ast.Name("NamedTuple")], [], [*document, *fields], [])
        bases: list[ast.expr] = [ast.Name(b.__name__) for b in cls.__bases__ if b in vars(self.module).values()]
        return ast.ClassDef(cls.__name__, bases, [], [*document, *self.members(cls)] or [ELLIPSIS], [])

    def all(self) -> list[ast.stmt]:
        values: list[ast.stmt] = []
        classes: list[ast.stmt] = []
        functions: list[ast.stmt] = []
        for name, value in sorted(vars(self.module).items()):
            if name.startswith("__"):
                continue
            if isinstance(value, type):
                classes.append(self.cls(value))
            elif callable(value):
                functions += self.function(name, value, False)
            else:
                kind = "tuple[str, ...]" if isinstance(value, tuple) else type(value).__name__
                values.append(ast.AnnAssign(ast.Name(name), self.annotation(kind), simple=1))
        return [*values, *classes, *functions]


ELLIPSIS = ast.Expr(ast.Constant(...))


def guessed(function: str, name: str, default: ast.expr | None) -> str:
    if name == "dim" and function in ONE_DIM:
        return "int" if default is None else "int | None"
    if name == "other" and function in PRODUCTS:
        return "Tensor"
    if name in PARAMETERS:
        return PARAMETERS[name]
    value = default.value if isinstance(default, ast.Constant) else None
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "Any")


def shown(default: ast.expr) -> ast.expr:
    return default if isinstance(default, (ast.Constant, ast.UnaryOp, ast.Tuple)) else ast.Constant(...)


def signatures_of(name: str, function: Any, doc: str) -> tuple[list[str], str]:
    """What stands in parentheses, once for each overload, and the rest of the docstring."""
    if inspect.isfunction(function):  # written in Python and attached to the class
        wrapped = inspect.unwrap(function)
        if not inspect.isfunction(wrapped):
            return signatures_of(name, wrapped, inspect.getdoc(wrapped) or "")[0], doc
        signature = inspect.signature(wrapped)
        return [re.sub(r"<[^<>]*>", "...", str(signature))], doc
    text = getattr(function, "__text_signature__", None)
    if text:
        return [text.replace("$", "")], doc
    if "Overloaded function." in doc:
        numbered = re.findall(r"^\d+\. \w+(\(.*)$", doc, re.MULTILINE)
        return numbered, re.split(r"^\d+\. \w+\(.*$", doc, flags=re.MULTILINE)[1].strip()
    first, _, rest = doc.partition("\n")
    written = re.match(r"\w+(\(.*\).*)$", first)  # an alias shows the name that it stands for
    if written:
        return [written[1]], rest.strip()
    warnings.append(f"{name}: its docstring must begin with its signature")
    return ["(*args, **kwargs)"], doc


def parsed(name: str, signature: str) -> ast.FunctionDef:
    # What repr() shows of a default may not be Python, and a parameter may be called from.
    signature = re.sub(r"= ?<[^<>]*>", "= ...", signature)
    signature = re.sub(r"(?<=[(,] )(\w+)(?=[:=,)])", lambda m: m[1] + "_" * keyword.iskeyword(m[1]), signature)
    try:
        node = ast.parse(f"def {name}{signature}: ...").body[0]
    except SyntaxError as error:
        warnings.append(f"{name}{signature}: its docstring's signature is not Python: {error.msg}")
        node = ast.parse(f"def {name}(*args, **kwargs) -> Any: ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def short(doc: str) -> str:
    """The first paragraph."""
    paragraph = " ".join(doc.partition("\n\n")[0].split())
    return paragraph if len(paragraph) <= SHORT else paragraph[:SHORT].rpartition(" ")[0] + " …"


def with_doc(function: ast.FunctionDef, doc: str) -> ast.FunctionDef:
    if doc:
        function.body = [ast.Expr(ast.Constant(short(doc)))]
    return function


def generate() -> str:
    from lamina import _C

    text = HEADER + ast.unparse(ast.fix_missing_locations(ast.Module(Stubs(_C).all(), [])))
    # Comparisons give tensors, which object's signatures do not foresee.
    lines = [
        line + "  # type: ignore[override]" if line.endswith("-> Tensor:") and re.search("__(eq|ne)__", line) else line
        for line in text.splitlines()
    ]
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    options = parser.parse_args()
    stub = generate()
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not options.check:
        STUB.write_text(stub)
        return
    committed = STUB.read_text().splitlines(keepends=True)
    difference = list(difflib.unified_diff(committed, stub.splitlines(keepends=True), "committed", "compiled module"))
    if difference:
        sys.exit("".join(difference) + f"{STUB.name} has drifted: run python tools/stubs.py")
    sys.exit(bool(warnings))


if __name__ == "__main__":
    main()
