"""Evolutionary search over recurrent cells (Jozefowicz et al., 2015): begin with LSTM and GRU, mutate, keep what learns well.

A cell is a pair of expressions, for h and c, over four gates and the states before; every candidate runs in the fused
kernel of `nn.CustomRNN`. A cell is worth its accuracy as a share of the GRU's, on the task where that is least.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lamina
from lamina import data, metrics, nn, optim
from lamina.nn import functional as F
from lamina.recipes import arithmetic, xml
from lamina.recipes._recurrent import IGNORED, Reader
from lamina.recipes.settings import Result, Run, setting
from lamina.train import History, plots

Expression = Any  # the name of a gate or state, or (operation, operands…)
Genome = tuple[Expression, Expression]  # what h and c become

UNARY = ("tanh", "sigmoid", "relu", "keep", "shrink", "grow")  # the last three: x, 0.9 x, 1.1 x
SIGNS = {"mul": "·", "add": "+", "sub": "−"}
BINARY = tuple(SIGNS)
SCALES = {"keep": 1.0, "shrink": 0.9, "grow": 1.1}
LEAVES = ("p", "q", "r", "s", "h", "c")


def _lstm() -> Genome:
    c = ("add", ("mul", ("sigmoid", "q"), "c"), ("mul", ("sigmoid", "p"), ("tanh", "r")))
    return ("mul", ("sigmoid", "s"), ("tanh", c)), c


def _gru() -> Genome:
    n = ("tanh", ("add", "r.input", ("mul", ("sigmoid", "p"), "r.recurrent")))
    return ("add", n, ("mul", ("sigmoid", "q"), ("sub", "h", n))), "c"


STARTS = {"LSTM": _lstm(), "GRU": _gru()}


@dataclass(frozen=True)
class Settings:
    candidates: int = setting(40, "mutated cells that are tried", low=1)
    survivors: int = setting(5, "cells that are kept to be mutated", low=1)
    samples: int = setting(1200, "sequences of each task to learn from", low=20)
    hidden: int = setting(32, "units", low=1)
    epochs: int = setting(5, "epochs of each training", low=1)
    lr: float = setting(1e-2, "learning rate of Adam", low=0)
    capture: bool = setting(True, "record the step once and replay it")


@dataclass
class Candidate:
    name: str
    genome: Genome
    accuracy: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    worth: float = 0.0


# ---- expressions ----


def grown(genome: Genome) -> nn.Cell:
    """The genome as a cell."""

    def cell(p: Any, q: Any, r: Any, s: Any, *, h: Any, c: Any) -> tuple[Any, Any]:
        leaves = {"p": p, "q": q, "r": r, "s": s, "h": h, "c": c, "r.input": r.input, "r.recurrent": r.recurrent}

        def value(node: Expression) -> Any:
            if isinstance(node, str):
                return leaves[node]
            operation, *operands = node
            values = [value(operand) for operand in operands]
            if operation in SCALES:
                return values[0] * SCALES[operation]
            if operation in UNARY:
                return getattr(values[0], operation)()
            a, b = values
            return a * b if operation == "mul" else a + b if operation == "add" else a - b

        return value(genome[0]), value(genome[1])

    return nn.cell(cell)


def formula(node: Expression) -> str:
    if isinstance(node, str):
        return node
    operation, *operands = node
    texts = [formula(operand) for operand in operands]
    if operation in BINARY:
        return f"({texts[0]} {SIGNS[operation]} {texts[1]})"
    if operation in SCALES:
        return texts[0] if operation == "keep" else f"{SCALES[operation]} {texts[0]}"
    return f"{'σ' if operation == 'sigmoid' else operation}{texts[0] if texts[0].startswith('(') else f'({texts[0]})'}"


def parts(node: Expression) -> list[Expression]:
    """The expression and all within it."""
    return [node] if isinstance(node, str) else [node, *(part for operand in node[1:] for part in parts(operand))]


def mutated(node: Expression, share: float, whole: list[Expression], draw: random.Random) -> Expression:
    """The expression with each node changed with this probability, by one of the changes of the paper."""
    if not isinstance(node, str):
        node = (node[0], *(mutated(operand, share, whole, draw) for operand in node[1:]))
    if draw.random() >= share:
        return node
    change = draw.choice(("operation", "insert", "remove", "combine"))
    if change == "operation" and not isinstance(node, str):
        return (draw.choice(UNARY if len(node) == 2 else BINARY), *node[1:])
    if change == "insert":
        return (draw.choice(UNARY), node)
    if change == "remove" and not isinstance(node, str):
        return draw.choice(node[1:])
    if change == "combine":
        return (draw.choice(BINARY), draw.choice(parts(node)), draw.choice([*whole, *LEAVES]))
    return node


def child(genome: Genome, draw: random.Random, most: int = 40) -> Genome:
    """A mutation that differs and has not grown beyond so many nodes in each expression."""
    whole = [part for expression in genome for part in parts(expression)]
    while True:
        share = draw.uniform(0, 0.5)
        new = tuple(mutated(expression, share, whole, draw) for expression in genome)
        if new != genome and max(len(parts(expression)) for expression in new) <= most:
            return new[0], new[1]


# ---- what a cell is worth ----


Tasks = dict[str, tuple[data.TensorDataset, data.TensorDataset, int]]


def tasks(samples: int, draw: random.Random) -> Tasks:
    """Of each what to learn from, what to check with, and how many symbols there are."""
    sums = arithmetic.Settings(digits=1, letters=1)
    documents = xml.Settings(steps=24, depth=2, name=2)
    drawn = [[arithmetic.problem(sums, draw) for _ in range(count)] for count in (samples, 400)]
    texts = [xml.pieces(count, documents, draw)[0] for count in (samples, 200)]
    return {
        "arithmetic": (
            arithmetic.lines(drawn[0], sums),
            arithmetic.lines(drawn[1], sums),
            len(arithmetic.ALPHABET),
        ),
        "xml": (texts[0], texts[1], len(xml.ALPHABET)),
    }


def judge(genome: Genome, given: Tasks, settings: Settings, seed: int) -> tuple[dict[str, float], list[float]]:
    """Accuracy on each task, and the mean loss of each epoch; a cell that blows up is worth nothing."""
    accuracy: dict[str, float] = {}
    losses = [0.0] * settings.epochs
    for name, (learn, check, symbols) in given.items():
        lamina.manual_seed(seed)  # all begin with the same numbers
        model = Reader(grown(genome), settings.hidden, settings.hidden, symbols, symbols=symbols)
        optimizer = optim.Adam(model.parameters(), lr=settings.lr)

        def update(x: lamina.Tensor, y: lamina.Tensor, model: Any = model, optimizer: Any = optimizer) -> lamina.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss.detach()

        step = lamina.capture(update) if settings.capture else update
        loader = data.DataLoader(learn, 32, shuffle=True, drop_last=len(learn) >= 32)
        for epoch in range(settings.epochs):
            every = [step(*batch).item() for batch in loader]
            losses[epoch] += sum(every) / len(every) / len(given)
            if not math.isfinite(losses[epoch]):
                return dict.fromkeys(given, 0.0), losses
        with lamina.no_grad():
            x, y = check.tensors
            accuracy[name] = metrics.Accuracy(ignore_index=IGNORED)(model.eval()(x), y)
    return accuracy, losses


def run(settings: Settings, run: Run) -> Result:
    seed = lamina.initial_seed()
    draw = random.Random(seed)
    given = tasks(settings.samples, draw)
    tried: list[Candidate] = []

    def consider(candidate: Candidate) -> None:
        candidate.accuracy, candidate.losses = judge(candidate.genome, given, settings, seed)
        baseline = tried[0].accuracy if tried else candidate.accuracy  # the GRU comes first
        candidate.worth = min(candidate.accuracy[name] / max(baseline[name], 1e-9) for name in given)
        tried.append(candidate)
        if run.progress:
            print(f"{candidate.name:12} worth {candidate.worth:.3f}  h ← {formula(candidate.genome[0])}", flush=True)

    for name in ("GRU", "LSTM"):
        consider(Candidate(name, STARTS[name]))
    for number in range(1, settings.candidates + 1):
        alive = sorted(tried, key=lambda candidate: -candidate.worth)[: settings.survivors]
        parent = draw.choice(alive)
        consider(Candidate(f"{number} of {parent.name.split()[0]}", child(parent.genome, draw)))
    best = max(tried, key=lambda candidate: candidate.worth)
    History([{"epoch": i + 1.0, "loss": loss} for i, loss in enumerate(best.losses)]).save(run.out / "history.csv")
    path = run.out / "evolution.png"
    show(tried, path)
    rows = [f"{'':12}{'worth':>8}" + "".join(f"{name:>12}" for name in given)]
    for candidate in sorted(tried, key=lambda candidate: -candidate.worth)[:6]:
        shares = "".join(f"{share:>12.1%}" for share in candidate.accuracy.values())
        rows.append(f"{candidate.name:12}{candidate.worth:8.3f}{shares}")
    rows += [f"the best: h ← {formula(best.genome[0])}", f"          c ← {formula(best.genome[1])}"]
    rows.append("(expected: one of the mutated cells is better than the GRU)")
    return Result({"worth": best.worth}, best.worth > 1, "\n".join(rows), [path])


def show(tried: list[Candidate], path: Path) -> None:
    with plots.figure(path, 1, 1, (7.6, 4.2)) as (fig, axis):
        at = range(len(tried))
        best = [max(candidate.worth for candidate in tried[: i + 1]) for i in at]
        axis.step(at, best, where="post", color=plots.ORANGE, label="best so far")
        axis.plot(at, [candidate.worth for candidate in tried], "o", color=plots.BLUE, ms=5, label="candidates")
        for i in (0, 1):
            axis.annotate(tried[i].name, (i, tried[i].worth), xytext=(4, -12), textcoords="offset points", fontsize=9)
        axis.axhline(1, color=plots.GREY, lw=1, ls=":")
        axis.set(title="Cells found by mutation, against the GRU", xlabel="candidate", ylabel="worth")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(loc="center right")
