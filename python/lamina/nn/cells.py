"""Recurrent cells of one's own: a decorated function of gates and states.

    from lamina.nn.cells import cell, sigmoid, tanh

    @cell
    def lstm(i, f, g, o, *, h, c):
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    layer = nn.CustomRNN(lstm, 64, 128)

Positional parameters are gates: each is W x + R h + b, with weights of its own. Keywords are states, of which the first
is the one that gates and the next layer see; the function returns the new ones in the same order. Keywords with a number
as default are parameters, one to a unit, that begin as that number. gate.input and gate.recurrent are W x + b and R h + b
by themselves; gate.seeing(v) is W x + R v + b, with a value of the step in the place of h, for the last gates of a cell.

The function is traced once, differentiated, and run inside the fused sequence kernel. What it may use: + − · /, powers
by a constant, comparisons in `where`, and the functions of this module. Called with tensors it is an ordinary function.
"""

from __future__ import annotations

import operator

from lamina import _C
from lamina._C import Tensor
from lamina.nn.cell_program import Graph, Node, compiled, compiled_early, depends_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Cell", "cell"]


class Untraceable(TypeError):
    """Something that a cell may not do."""


class Value:
    """What stands for gates, states and parameters while a cell is traced."""

    __array_ufunc__ = None  # NumPy leaves operators to us
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, node: Node) -> None:
        self._graph, self._node = graph, node

    def _of(self, op: str, *operands: Any) -> Value:
        return Value(self._graph, self._graph.make(op, *(self._node_of(op, x) for x in operands)))

    def _node_of(self, op: str, x: Any) -> Node:
        if isinstance(x, Value):
            return x._node
        if isinstance(x, Tensor):
            raise Untraceable(f"{op}: a tensor from outside cannot enter; make it a parameter (a keyword = number)")
        try:
            return self._graph.number(float(x))
        except (TypeError, ValueError):
            raise Untraceable(f"{op}: expected gates, states, parameters or numbers, got {type(x).__name__}") from None

    def __add__(self, other: Any) -> Value:
        return self._of("add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self._of("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self._of("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self._of("mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self._of("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._of("div", other, self)

    def __neg__(self) -> Value:
        return self._of("neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self._of("maximum", self, -self)

    def __pow__(self, exponent: Any) -> Value:
        if isinstance(exponent, float) and exponent == 0.5:
            return self.sqrt()
        if not isinstance(exponent, int) or not -8 <= exponent <= 8:
            got = "a traced value" if isinstance(exponent, Value) else repr(exponent)
            raise Untraceable(f"pow: expected an integer exponent from -8 to 8 or 0.5, got {got}")
        result: Any = 1.0
        for _ in range(abs(exponent)):
            result = self * result
        return 1.0 / result if exponent < 0 else result if exponent else self * 0 + 1

    def __gt__(self, other: Any) -> Value:
        return self._of("greater", self, other)

    def __lt__(self, other: Any) -> Value:
        return self._of("greater", other, self)

    def __ge__(self, other: Any) -> Value:
        return 1 - (self < other)

    def __le__(self, other: Any) -> Value:
        return 1 - (self > other)

    __radd__, __rmul__, abs = __add__, __mul__, __abs__

    def sigmoid(self) -> Value:
        return self._of("sigmoid", self)

    def tanh(self) -> Value:
        return self._of("tanh", self)

    def relu(self) -> Value:
        return self._of("relu", self)

    def exp(self) -> Value:
        return self._of("exp", self)

    def log(self) -> Value:
        return self._of("log", self)

    def sqrt(self) -> Value:
        return self._of("sqrt", self)

    def sin(self) -> Value:
        return self._of("sin", self)

    def cos(self) -> Value:
        return self._of("cos", self)

    def square(self) -> Value:
        return self * self

    def maximum(self, other: Any) -> Value:
        return self._of("maximum", self, other)

    def minimum(self, other: Any) -> Value:
        return self._of("minimum", self, other)

    def __bool__(self) -> bool:
        raise Untraceable(
            "its value is not known while it is traced, so Python cannot decide by it; use where(a > b, …)"
        )

    def _is_no_number(self, *_: Any) -> Any:
        raise Untraceable(
            "the values of gates and states are not known while it is traced; it works on all units alike"
        )

    __float__ = __int__ = __index__ = __iter__ = __len__ = __getitem__ = __array__ = __eq__ = _is_no_number

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(f"no '{name}' for gates and states; see lamina.nn.cells for what there is")


class _Trace:
    """What a function does with its gates beside arithmetic."""

    def __init__(self) -> None:
        self.split: set[str] = set()  # gates whose shares are wanted apart
        self.seen: dict[str, Node] = {}  # what gates see instead of h


class _Gate(Value):
    def __init__(self, graph: Graph, name: str, shares: tuple[Node, Node | None], trace: _Trace) -> None:
        first, second = shares
        super().__init__(graph, first if second is None else graph.make("add", first, second))
        self._name, self._shares, self._trace = name, shares, trace

    def _share(self, which: int) -> Value:
        self._trace.split.add(self._name)
        return Value(self._graph, self._shares[which] or self._node)

    def seeing(self, value: Any) -> Value:
        self._trace.seen[self._name] = self._node_of("seeing", value)
        return Value(self._graph, self._node)

    @property
    def input(self) -> Value:
        return self._share(0)

    @property
    def recurrent(self) -> Value:
        return self._share(1)


class _Shares:
    """A gate for calls with tensors whose shares are given apart; in all else it is their sum."""

    def __init__(self, input: Tensor, recurrent: Any) -> None:
        self.input, self.recurrent = input, recurrent
        self.total = input if callable(recurrent) else input + recurrent

    def seeing(self, value: Tensor) -> Tensor:
        return self.input + self.recurrent(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.total, name)


def _on_total(name: str) -> Callable[..., Any]:
    return lambda self, *operands: getattr(operator, name)(self.total, *operands)


def _reflected_on_total(name: str) -> Callable[..., Any]:
    return lambda self, other: getattr(operator, name)(other, self.total)


for _name in ("add", "sub", "mul", "truediv", "pow", "gt", "lt", "ge", "le"):
    setattr(_Shares, f"__{_name}__", _on_total(_name))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(_Shares, f"__r{_name}__", _reflected_on_total(_name))
for _name in ("neg", "abs"):
    setattr(_Shares, f"__{_name}__", _on_total(_name))


def sigmoid(x: Any) -> Any:
    return x.sigmoid()


def tanh(x: Any) -> Any:
    return x.tanh()


def relu(x: Any) -> Any:
    return x.relu()


def exp(x: Any) -> Any:
    return x.exp()


def log(x: Any) -> Any:
    return x.log()


def sqrt(x: Any) -> Any:
    return x.sqrt()


def sin(x: Any) -> Any:
    return x.sin()


def cos(x: Any) -> Any:
    return x.cos()


def softplus(x: Any) -> Any:
    return x._of("softplus", x) if isinstance(x, Value) else _C.softplus(x)


def maximum(a: Any, b: Any) -> Any:
    return _of_two("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    return _of_two("minimum", a, b)


def _of_two(op: str, a: Any, b: Any) -> Any:
    for x in (a, b):
        if isinstance(x, Value):
            return x._of(op, a, b)
    a, b = (x.total if isinstance(x, _Shares) else x for x in (a, b))
    like = a if isinstance(a, Tensor) else b
    a, b = (x if isinstance(x, Tensor) else _C.full_like(like, x) for x in (a, b))
    return getattr(_C, op)(a, b)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    if isinstance(condition, Value):
        return condition._of("where", condition, a, b)
    return _C.where(condition, *(x.total if isinstance(x, _Shares) else x for x in (a, b)))


class Cell:
    """A function of gates and states that CustomRNN can run; see lamina.nn.cells."""

    def __init__(self, function: Callable[..., Any], shown: int = 0) -> None:
        """`shown`: of the states, how many of the last ones all gates see beside h. They begin at 0 and stay inside."""
        import inspect  # which takes longer to load than all of lamina.nn

        self.function, self.shown = function, shown
        self.__name__ = getattr(function, "__name__", "cell")
        self.__doc__ = function.__doc__ or type(self).__doc__
        self.gates: list[str] = []
        self.states: list[str] = []
        self.parameters: dict[str, float] = {}
        for name, p in inspect.signature(function).parameters.items():
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty:
                self.gates.append(name)
            elif p.kind is p.KEYWORD_ONLY and p.default is p.empty:
                self.states.append(name)
            elif p.kind is p.KEYWORD_ONLY and isinstance(p.default, int | float):
                self.parameters[name] = float(p.default)
            else:
                raise TypeError(
                    f"cell {self.__name__}: expected gates, then after * the states and parameters (= a number), "
                    f"as in (i, f, *, h, c, p=0.0); got {p}"
                )
        if not self.gates or not self.states:
            raise TypeError(
                f"cell {self.__name__}: expected at least one gate and, after *, one state, as in (a, *, h); "
                f"got {len(self.gates)} and {len(self.states)}"
            )
        if taken := set(self.parameters) & {"weight_ih", "weight_hh", "weight_ln", "bias_ih", "bias_hh"}:
            raise TypeError(f"cell {self.__name__}: {min(taken)} is a parameter of every layer; choose another name")
        graph, trace = Graph(), _Trace()
        self._trace(graph, {}, trace, {})
        self.split = [name for name in self.gates if name in trace.split]  # gates whose shares are used apart
        self.late = len(trace.seen)  # gates that see something else than h
        self._check_late(trace, graph)

    def _check_late(self, trace: _Trace, graph: Graph) -> None:
        early, late = self.gates[: len(self.gates) - self.late], self.gates[len(self.gates) - self.late :]
        blocks = [graph.row(-1 - self.gates.index(name)) for name in late]
        if (
            set(trace.seen) != set(late)
            or len({id(value) for value in trace.seen.values()}) > 1
            or trace.split & set(late)
            or any(depends_on(value, blocks) for value in trace.seen.values())
        ):
            raise TypeError(
                f"cell {self.__name__}: gates that see another value than h must be the last, see the same one, made of "
                f"the other gates ({', '.join(early)}), and have no shares apart; {', '.join(trace.seen)} do not"
            )

    def __call__(self, *gates: Any, **rows: Any) -> Any:
        """The function itself, operation by operation; a pair in the place of a gate is its two shares, of which the
        second is a function of what a late gate sees."""
        return self.function(*(_Shares(*gate) if isinstance(gate, tuple) else gate for gate in gates), **rows)

    def __repr__(self) -> str:
        keywords = [*self.states, *(f"{name}={value:g}" for name, value in self.parameters.items())]
        return f"cell {self.__name__}({', '.join([*self.gates, '*', *keywords])})"

    @property
    def stored(self) -> int:
        """Blocks of sums that a step keeps: one for a gate, two where its shares are used apart."""
        return len(self.gates) + len(self.split)

    def column(self, gate: int) -> int:
        """The block that the recurrent share of a gate is part of."""
        name = self.gates[gate]
        return len(self.gates) + self.split.index(name) if name in self.split else gate

    def program(self, bias: bool, layer_norm: bool) -> _C._CellProgram:
        """Parameters come in this order: biases of the blocks, then gains, then the cell's own."""
        graph = Graph()
        blocks = [graph.row(slot) for slot in range(self.stored)]
        states = [graph.row(self.stored + s) for s in range(len(self.states))]
        count = self.stored * (bias + layer_norm) + len(self.parameters)
        parameters = [graph.row(self.stored + len(self.states) + k) for k in range(count)]
        sums = blocks
        if layer_norm:
            gains = parameters[self.stored * bias :]
            sums = [graph.make("mul", b, gain) for b, gain in zip(sums, gains, strict=False)]
        if bias:
            sums = [graph.make("add", b, shift) for b, shift in zip(sums, parameters, strict=False)]
        shares: dict[str, tuple[Node, Node | None]] = {
            name: (sums[k], sums[self.column(k)] if name in self.split else None) for k, name in enumerate(self.gates)
        }
        own = parameters[count - len(self.parameters) :]
        rows = dict(zip([*self.states, *self.parameters], [*states, *own], strict=True))
        trace = _Trace()
        results = self._trace(graph, shares, trace, rows)
        codes = [*compiled(graph, results, blocks, states, parameters)]
        for value in [*trace.seen.values()][:1]:  # all late gates see the same one
            codes += compiled_early(graph, value, [*blocks, *states, *parameters])
        if (held := max(code.rows_held for code in codes)) > _C._cell_rows():
            raise ValueError(f"cell {self.__name__}: holds {held} values at once; there is room for {_C._cell_rows()}")
        columns = [self.column(k) for k in range(len(self.gates))]
        return _C._CellProgram(
            columns, len(self.gates), self.stored, len(states), count, self.shown, self.late,
            [code.tensors() for code in codes],
        )  # fmt: skip

    def _trace(
        self, graph: Graph, shares: dict[str, tuple[Node, Node | None]], trace: _Trace, rows: dict[str, Node]
    ) -> list[Node]:
        gates = [_Gate(graph, n, shares.get(n, (graph.row(-1 - k), None)), trace) for k, n in enumerate(self.gates)]
        named = {
            name: Value(graph, rows.get(name, graph.row(100 + k)))
            for k, name in enumerate([*self.states, *self.parameters])
        }
        try:
            found = self.function(*gates, **named)
        except Untraceable as error:
            raise TypeError(f"cell {self.__name__}: cannot be traced: {error}") from None
        except TypeError as error:
            raise TypeError(
                f"cell {self.__name__}: cannot be traced: {error}; use the functions of lamina.nn.cells, such as "
                "sigmoid, tanh and where, or methods, such as gate.tanh()"
            ) from error
        found = found if isinstance(found, tuple | list) else (found,)
        if len(found) != len(self.states):
            raise TypeError(
                f"cell {self.__name__}: must return its new states ({', '.join(self.states)}), got {len(found)} values"
            )
        anchor = gates[0]
        return [anchor._node_of("return", value) for value in found]


def cell(function: Callable[..., Any]) -> Cell:
    """Makes a cell of a function of gates and states; see lamina.nn.cells."""
    return Cell(function)
