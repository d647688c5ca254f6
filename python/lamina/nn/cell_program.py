"""What cells of the user's own become: a graph of expressions, its gradient, and the byte-code that the sequence
driver runs (csrc/kernels/rnn_program.h)."""

from __future__ import annotations

from collections.abc import Sequence

from lamina import _C

_CODE = {name: code for code, name in enumerate(_C._cell_ops())}


class Node:
    """A value of the graph: an operation and its arguments; or a number; or a row that lies in memory."""

    __slots__ = ("args", "op", "value")

    def __init__(self, op: str, args: tuple[Node, ...] = (), value: float | int = 0) -> None:
        self.op, self.args, self.value = op, args, value

    def is_number(self, value: float) -> bool:
        return self.op == "number" and self.value == value


class Graph:
    """Makes nodes, each only once, and leaves out what arithmetic knows already."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Node] = {}

    def _intern(self, op: str, args: tuple[Node, ...], value: float | int = 0) -> Node:
        return self._known.setdefault((op, *map(id, args), value), Node(op, args, value))

    def number(self, value: float) -> Node:
        return self._intern("number", (), float(value))

    def row(self, slot: int) -> Node:
        return self._intern("row", (), slot)

    def make(self, op: str, *args: Node) -> Node:
        a, b = args[0], args[-1]
        if op in ("add", "mul") and a.op == "number":
            a, b = b, a
        if op in ("add", "sub") and b.is_number(0):
            return a
        if op in ("mul", "div") and b.is_number(1):
            return a
        if op == "mul" and b.is_number(0):
            return b
        if op == "mul" and b.is_number(-1):
            return self.make("neg", a)
        if op == "sub" and a.is_number(0):
            return self.make("neg", b)
        if op == "neg" and a.op == "neg":
            return a.args[0]
        if op == "neg" and a.op == "number":
            return self.number(-a.value)
        if op == "add" and b.op == "neg":
            return self.make("sub", a, b.args[0])
        if op in ("sigmoid_grad", "tanh_grad") and a.is_number(0):
            return a
        if op == "where" and args[1] is args[2]:
            return b
        if op in ("add", "sub", "mul") and a.op == b.op == "number":
            x, y = a.value, b.value
            return self.number({"add": x + y, "sub": x - y, "mul": x * y}[op])
        return self._intern(op, (a, b) if op in ("add", "mul") else args)


def _pulled_back(g: Graph, y: Node, d: Node) -> list[tuple[Node, Node]]:
    """The arguments of y beside what the gradient d of y becomes for each."""

    def half_if_tied(a: Node, b: Node) -> Node:
        """1 where a > b, 0 where a < b."""
        not_less = g.make("sub", g.number(1), g.make("greater", b, a))
        return g.make("mul", g.number(0.5), g.make("add", g.make("greater", a, b), not_less))

    def mul(a: Node, b: Node) -> Node:
        return g.make("mul", a, b)

    a, b = (y.args[0], y.args[-1]) if y.args else (y, y)
    match y.op:
        case "add":
            return [(a, d), (b, d)]
        case "sub":
            return [(a, d), (b, g.make("neg", d))]
        case "mul":
            return [(a, mul(d, b)), (b, mul(d, a))]
        case "div":
            da = g.make("div", d, b)
            return [(a, da), (b, g.make("neg", mul(da, y)))]
        case "neg":
            return [(a, g.make("neg", d))]
        case "sigmoid" | "tanh":
            return [(a, g.make(f"{y.op}_grad", d, y))]
        case "relu":
            return [(a, g.make("where", a, d, g.number(0)))]
        case "exp":
            return [(a, mul(d, y))]
        case "log":
            return [(a, g.make("div", d, a))]
        case "sqrt":
            return [(a, g.make("div", mul(d, g.number(0.5)), y))]
        case "sin":
            return [(a, mul(d, g.make("cos", a)))]
        case "cos":
            return [(a, g.make("neg", mul(d, g.make("sin", a))))]
        case "softplus":
            return [(a, mul(d, g.make("sigmoid", a)))]
        case "maximum":
            return [(a, mul(d, half_if_tied(a, b))), (b, mul(d, half_if_tied(b, a)))]
        case "minimum":
            return [(a, mul(d, half_if_tied(b, a))), (b, mul(d, half_if_tied(a, b)))]
        case "where":
            condition, yes, no = y.args
            zero = g.number(0)
            return [(yes, g.make("where", condition, d, zero)), (no, g.make("where", condition, zero, d))]
        case _:  # a row, a number, a comparison
            return []


def _in_order(roots: Sequence[Node]) -> list[Node]:
    """All nodes that the roots need, arguments first."""
    order: list[Node] = []
    seen: set[int] = set()
    waiting = [(root, False) for root in reversed(roots)]
    while waiting:
        node, done = waiting.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting += [(node, True), *((a, False) for a in reversed(node.args))]
    return order


def gradients(g: Graph, outputs: Sequence[Node], seeds: Sequence[Node], leaves: Sequence[Node]) -> list[Node]:
    """Of each leaf, when the outputs have the gradients `seeds`."""
    total: dict[int, Node] = {}

    def add(node: Node, d: Node) -> None:
        total[id(node)] = g.make("add", total[id(node)], d) if id(node) in total else d

    for output, seed in zip(outputs, seeds, strict=True):
        add(output, seed)
    for node in reversed(_in_order(outputs)):
        if id(node) in total:
            for argument, d in _pulled_back(g, node, total[id(node)]):
                add(argument, d)
    return [total.get(id(leaf), g.number(0)) for leaf in leaves]


def _with_fused_products(roots: Sequence[Node]) -> list[Node]:
    """The same graph with a · b + c and c − a · b as one operation each, where nothing else needs the product."""
    order = _in_order(roots)
    uses: dict[int, int] = {}
    for node in order:
        for a in node.args:
            uses[id(a)] = uses.get(id(a), 0) + 1
    for root in roots:
        uses[id(root)] = uses.get(id(root), 0) + 1
    new: dict[int, Node] = {}

    def product(node: Node) -> bool:
        return node.op == "mul" and uses[id(node)] == 1

    for node in order:
        args = tuple(new[id(a)] for a in node.args)
        if node.op == "add" and product(node.args[0]):
            new[id(node)] = Node("fma", (*args[0].args, args[1]))
        elif node.op == "add" and product(node.args[1]):
            new[id(node)] = Node("fma", (*args[1].args, args[0]))
        elif node.op == "sub" and product(node.args[1]):
            new[id(node)] = Node("fnma", (*args[1].args, args[0]))
        else:
            new[id(node)] = Node(node.op, args, node.value) if args else node
    return [new[id(root)] for root in roots]


class Code:
    """Instructions that leave the roots in their slots, and the numbers that they need."""

    def __init__(
        self, roots: Sequence[Node], slots: Sequence[int], rows: int, *, also_read: Sequence[int] = ()
    ) -> None:
        """`rows`: slots in memory; constants and values follow them. `also_read`: the slots that other instructions
        read, and so are written last."""
        kept = [
            Node("copy", (root,)) if root.op == "row" and root.value in also_read and root.value != slot else root
            for root, slot in zip(roots, slots, strict=True)
        ]
        roots = _with_fused_products(kept)
        order = _in_order(roots)
        numbers = sorted({float(n.value) for n in order if n.op == "number"})
        place: dict[int, int] = {}
        for node in order:
            if node.op == "number":
                place[id(node)] = rows + numbers.index(float(node.value))
            elif node.op == "row":
                place[id(node)] = int(node.value)
        direct = {
            id(root): slot
            for root, slot in reversed(list(zip(roots, slots, strict=True)))
            if root.args and slot not in also_read
        }
        last_use = {id(a): position for position, node in enumerate(order) for a in node.args}
        last_use |= {id(root): len(order) for root in roots}
        free: list[int] = []
        first = rows + len(numbers)
        held = 0
        self.instructions: list[list[int]] = []
        for position, node in enumerate(order):
            if not node.args:
                continue
            operands = [place[id(a)] for a in node.args]
            for a in {id(a): a for a in node.args}.values():
                if last_use[id(a)] == position and place[id(a)] >= first:
                    free.append(place[id(a)])
            if id(node) in direct:
                place[id(node)] = direct[id(node)]
            elif free:
                place[id(node)] = free.pop()
            else:
                place[id(node)] = first + held
                held += 1
            self._emit(node.op, place[id(node)], operands)
        for root, slot in zip(roots, slots, strict=True):
            if place[id(root)] != slot:
                self._emit("copy", slot, [place[id(root)]])
        self.numbers = numbers
        self.rows_held = len(numbers) + held

    def _emit(self, op: str, result: int, operands: list[int]) -> None:
        self.instructions.append([_CODE[op], result, *operands, *[operands[0]] * (3 - len(operands))])

    def tensors(self) -> tuple[_C.Tensor, _C.Tensor]:
        code = _C.tensor(self.instructions, dtype=_C.int32).reshape(-1, 5)
        return code, _C.tensor(self.numbers, dtype=_C.float64)


def compiled(
    g: Graph,
    results: Sequence[Node],
    blocks: Sequence[Node],
    states: Sequence[Node],
    parameters: Sequence[Node],
) -> tuple[Code, Code]:
    """The program of a step and that of its gradient. The rows are numbered in this order, from 0."""
    count = len(blocks) + len(states) + len(parameters)
    forward = Code(results, range(count, count + len(states)), count + len(states))
    dblocks, dstates = count, count + len(blocks)
    dparameters = dstates + len(states)
    seeds = [g.row(dstates + s) for s in range(len(states))]
    found = gradients(g, results, seeds, [*blocks, *states, *parameters])
    into = len(blocks) + len(states)
    found[into:] = [g.make("add", g.row(dparameters + k), d) for k, d in enumerate(found[into:])]
    slots = [*range(dblocks, dblocks + len(found))]
    return forward, Code(found, slots, 2 * count, also_read=range(dstates, dparameters))


def compiled_early(g: Graph, value: Node, rows: Sequence[Node]) -> tuple[Code, Code]:
    """The program of what the late gates see, and that of its gradient, which adds to all others."""
    count = len(rows)
    found = gradients(g, [value], [g.row(2 * count)], rows)
    sums = [g.make("add", g.row(count + k), d) for k, d in enumerate(found)]
    return Code([value], [count], count + 1), Code(sums, range(count, 2 * count), 2 * count + 1)


def depends_on(value: Node, rows: Sequence[Node]) -> bool:
    return any(node in rows for node in _in_order([value]))
