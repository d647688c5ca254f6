"""Element-wise operations on 2 M elements (memory-bound: 8 MB an operand), forward and with their gradients; casts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

import lamina
from bench.harness import Case

N = 2_000_000
SIDE = 1400  # of a square matrix of about as many
FLOAT_BYTES = 4

# name, PyTorch's function, inputs from here to there, headline?
UNARY: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], float, float, bool]] = [
    ("exp", torch.exp, -5, 5, True),
    ("log", torch.log, 0.01, 10, False),
    ("sqrt", torch.sqrt, 0.01, 10, False),
    ("sin", torch.sin, -10, 10, False),
    ("tanh", torch.tanh, -4, 4, True),
    ("sigmoid", torch.sigmoid, -6, 6, True),
    ("erf", torch.erf, -3, 3, False),
    ("neg", torch.neg, -3, 3, False),
    ("square", torch.square, -3, 3, False),
    ("relu", torch.relu, -3, 3, True),
    ("leaky_relu", F.leaky_relu, -3, 3, False),
    ("elu", F.elu, -3, 3, False),
    ("gelu", F.gelu, -3, 3, True),
    ("silu", F.silu, -5, 5, True),
    ("mish", F.mish, -5, 5, False),
    ("softplus", F.softplus, -5, 5, False),
]
# With gradients: name, the call for (module of functions, a, b, row), headline?
TRAINED: list[tuple[str, Callable[..., object], bool]] = [
    ("a + b", lambda m, a, b, row: a + b, False),
    ("a * b", lambda m, a, b, row: a * b, True),
    ("a / b", lambda m, a, b, row: a / b, False),
    ("a + row", lambda m, a, b, row: a + row, True),
    ("a ** 3", lambda m, a, b, row: a**3, False),
    ("pow(a, b)", lambda m, a, b, row: m.pow(a, b), False),
    ("where(a > b, a, b)", lambda m, a, b, row: m.where(a > b, a, b), False),
    ("clamp(a, 0.7, 1.5)", lambda m, a, b, row: m.clamp(a, 0.7, 1.5), False),
]
BINARY = [("add", np.add), ("mul", np.multiply), ("div", np.divide), ("maximum", np.maximum)]
CASTS = [
    ("float32", "bfloat16"),
    ("bfloat16", "float32"),
    ("float32", "float16"),
    ("float16", "float32"),
    ("uint8", "float32"),
]


def close(ours: lamina.Tensor, theirs: torch.Tensor, rtol: float = 2e-5) -> None:
    np.testing.assert_allclose(ours.detach().float().numpy(), theirs.detach().float().numpy(), rtol=rtol, atol=1e-6)


def unary_cases(rng: np.random.Generator) -> Iterator[Case]:
    for name, their_function, low, high, headline in UNARY:
        our_function = getattr(lamina, name)
        values = rng.uniform(low, high, N).astype(np.float32)
        x, x_t = lamina.tensor(values), torch.from_numpy(values.copy())
        yield Case(
            f"{name}, forward",
            lambda f=our_function, x=x: f(x),
            {"torch": lambda f=their_function, x=x_t: f(x)},
            lambda f=our_function, x=x, g=their_function, x_t=x_t: close(f(x), g(x_t)),
            bytes=2 * FLOAT_BYTES * N,
            target=1.0,
        )

        leaf, leaf_t = lamina.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        seed, seed_t = lamina.ones(N), torch.ones(N)

        def train(f=our_function, leaf=leaf, seed=seed) -> None:
            leaf.grad = None
            f(leaf).backward(seed)

        def train_t(f=their_function, leaf=leaf_t, seed=seed_t) -> None:
            leaf.grad = None
            f(leaf).backward(seed)

        def check(train=train, train_t=train_t, leaf=leaf, leaf_t=leaf_t) -> None:
            train(), train_t()
            close(leaf.grad, leaf_t.grad)

        yield Case(
            f"{name}, forward + backward",
            train,
            {"torch": train_t},
            check,
            bytes=5 * FLOAT_BYTES * N,  # x, y; dy, what is saved, dx
            target=1.0,
            headline=headline,
        )


def binary_cases(rng: np.random.Generator) -> Iterator[Case]:
    a, b = (rng.uniform(0.5, 2, (N // 1000, 1000)).astype(np.float32) for _ in range(2))
    x, y, x_t, y_t = lamina.tensor(a), lamina.tensor(b), torch.from_numpy(a), torch.from_numpy(b)
    row, row_t = y[0], y_t[0]
    for name, numpy_function in BINARY:
        f, g = getattr(lamina, name), getattr(torch, name)
        yield Case(
            f"{name}, same shape",
            lambda f=f: f(x, y),
            {"torch": lambda g=g: g(x_t, y_t), "numpy": lambda h=numpy_function: h(a, b)},
            lambda f=f, g=g: close(f(x, y), g(x_t, y_t)),
            bytes=3 * FLOAT_BYTES * N,
            target=1.0,
            headline=name == "add",
        )
        yield Case(
            f"{name}, a row to a matrix",
            lambda f=f: f(x, row),
            {"torch": lambda g=g: g(x_t, row_t)},
            lambda f=f, g=g: close(f(x, row), g(x_t, row_t)),
            bytes=2 * FLOAT_BYTES * N,
            target=1.0,
        )
    yield Case(
        "a > b",
        lambda: x > y,
        {"torch": lambda: x_t > y_t, "numpy": lambda: a > b},
        lambda: close(x > y, x_t > y_t),
        bytes=9 * N,
        target=1.0,
    )
    square, square_t = (t.reshape(-1)[: SIDE * SIDE].reshape(SIDE, SIDE) for t in (x, x_t))
    yield Case(
        "add, one operand transposed",
        lambda: square + square.T,
        {"torch": lambda: square_t + square_t.T},
        lambda: close(square + square.T, square_t + square_t.T),
        bytes=3 * FLOAT_BYTES * SIDE**2,
        target=1.0,
    )


def trained_cases(rng: np.random.Generator) -> Iterator[Case]:
    values = [rng.uniform(0.5, 2, shape).astype(np.float32) for shape in ((N // 1000, 1000),) * 2 + ((1000,),)]
    leaves, leaves_t = ([m.tensor(v, requires_grad=True) for v in values] for m in (lamina, torch))
    seed, seed_t = lamina.ones(N // 1000, 1000), torch.ones(N // 1000, 1000)
    for name, call, headline in TRAINED:

        def train(call=call) -> None:
            for leaf in leaves:
                leaf.grad = None
            call(lamina, *leaves).backward(seed)

        def train_t(call=call) -> None:
            for leaf in leaves_t:
                leaf.grad = None
            call(torch, *leaves_t).backward(seed_t)

        def check(train=train, train_t=train_t) -> None:
            train(), train_t()
            for ours, theirs in zip(leaves, leaves_t, strict=True):
                assert (ours.grad is None) == (theirs.grad is None)
                if ours.grad is not None:
                    close(ours.grad, theirs.grad, rtol=1e-4)

        yield Case(f"{name}, forward + backward", train, {"torch": train_t}, check, target=1.0, headline=headline)


def cast_cases(rng: np.random.Generator) -> Iterator[Case]:
    values = rng.uniform(0, 200, N).astype(np.float32)
    for source, target in CASTS:
        x = lamina.tensor(values).to(getattr(lamina, source))
        x_t = torch.from_numpy(values).to(getattr(torch, source))
        to, to_t = getattr(lamina, target), getattr(torch, target)
        yield Case(
            f"{source} to {target}",
            lambda x=x, to=to: x.to(to),
            {"torch": lambda x=x_t, to=to_t: x.to(to)},
            lambda x=x, x_t=x_t, to=to, to_t=to_t: close(x.to(to), x_t.to(to_t), rtol=0),
            bytes=(x.dtype.itemsize + to.itemsize) * N,
            target=1.0,
        )


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    yield from unary_cases(rng)
    yield from binary_cases(rng)
    yield from trained_cases(rng)
    yield from cast_cases(rng)
