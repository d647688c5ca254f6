"""Matrix products: squares in all four transpositions, thin shapes, vectors, tiny ones, a layer with its epilogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

import lamina
from bench.harness import Case

RNG = np.random.default_rng(0)


def both(rows: int, cols: int, transposed: bool, dtype: str = "float32") -> tuple[lamina.Tensor, torch.Tensor]:
    """The same matrix for both libraries, each in memory of its own."""
    values = RNG.standard_normal((cols, rows) if transposed else (rows, cols)).astype(dtype)
    ours, theirs = lamina.tensor(values), torch.tensor(values)
    return (ours.T, theirs.T) if transposed else (ours, theirs)


def agree(ours: Callable[[], lamina.Tensor], theirs: Callable[[], torch.Tensor]) -> Callable[[], None]:
    def check() -> None:
        want = theirs().detach().numpy()
        typical = float(np.abs(want).mean()) + 1e-6
        np.testing.assert_allclose(ours().detach().clone().numpy(), want, rtol=1e-3, atol=1e-3 * typical)

    return check


def product(
    m: int,
    n: int,
    k: int,
    layout: str,
    target: float,
    *,
    cached: bool = False,
    headline: bool = False,
    dtype: str = "float32",
) -> Case:
    """C[m, n] = A[m, k] B[k, n]; layout says which of A and B are transposed in memory, "NT" a layer with its weight."""
    (a, a_t), (b, b_t) = both(m, k, layout[0] == "T", dtype), both(k, n, layout[1] == "T", dtype)
    if not cached:
        b.data_ptr()  # memory that others know is not kept packed: every call packs anew

    def ours() -> lamina.Tensor:
        return a @ b

    def theirs() -> torch.Tensor:
        return a_t @ b_t

    name = f"{m} × {n} × {k} {layout}" + (" cached" if cached else "") + ("" if dtype == "float32" else f" {dtype}")
    flops = 2.0 * m * n * k * (2 if dtype == "float64" else 1)  # the peak is that of float32
    return Case(name, ours, {"torch": theirs}, agree(ours, theirs), flops=flops, target=target, headline=headline)


def layer(rows: int, features_in: int, features_out: int) -> Case:
    """relu(x Wᵀ + b) in one kernel against PyTorch's two."""
    (x, x_t), (w, w_t), (b, b_t) = (
        both(rows, features_in, False),
        both(features_out, features_in, False),
        both(1, features_out, False),
    )
    bias, bias_t = b[0], b_t[0]

    def ours() -> lamina.Tensor:
        return lamina.linear(x, w, bias, activation="relu")

    def theirs() -> torch.Tensor:
        return torch.relu(torch.nn.functional.linear(x_t, w_t, bias_t))

    flops = 2.0 * rows * features_in * features_out
    return Case(
        f"linear + relu, {rows} × {features_out} × {features_in}",
        ours,
        {"torch": theirs},
        agree(ours, theirs),
        flops=flops,
    )


def batched(batch: int, m: int, n: int, k: int) -> Case:
    values = [RNG.standard_normal(shape).astype(np.float32) for shape in ((batch, m, k), (batch, k, n))]
    a, b = map(lamina.tensor, values)
    a_t, b_t = map(torch.tensor, values)

    def ours() -> lamina.Tensor:
        return a @ b

    def theirs() -> torch.Tensor:
        return a_t @ b_t

    return Case(
        f"{batch} of {m} × {n} × {k}", ours, {"torch": theirs}, agree(ours, theirs), flops=2.0 * batch * m * n * k
    )


# The products of small networks' training steps: forward NT, the input's gradient NN, the weight's TN.
LAYERS = [
    (64, 256, 784, "NT"),
    (64, 784, 256, "NN"),
    (256, 784, 64, "TN"),
    (64, 10, 256, "NT"),
    (64, 256, 10, "NN"),
    (10, 256, 64, "TN"),
    (32, 64, 32, "NT"),
    (32, 32, 64, "NN"),
    (64, 32, 32, "TN"),
    (32, 64, 64, "NT"),
    (32, 64, 64, "NN"),
    (64, 64, 32, "TN"),
]


def outer(m: int, n: int) -> Case:
    (a, a_t), (b, b_t) = both(1, m, False), both(1, n, False)
    x, y, x_t, y_t = a[0], b[0], a_t[0], b_t[0]

    def ours() -> lamina.Tensor:
        return lamina.outer(x, y)

    def theirs() -> torch.Tensor:
        return torch.outer(x_t, y_t)

    return Case(f"outer, {m} × {n}", ours, {"torch": theirs}, agree(ours, theirs), bytes=4.0 * m * n, target=1.0)


def cases() -> Iterator[Case]:
    for size in (256, 512, 1024, 2048):
        for layout in ("NN", "NT", "TN", "TT"):
            yield product(size, size, size, layout, 1.0, headline=layout == "NN" and size in (256, 1024))
    for size in (32, 64):
        for layout in ("NN", "NT"):
            yield product(size, size, size, layout, 2.5, headline=layout == "NN")
    yield product(32, 1024, 256, "NT", 2.0, headline=True)
    yield product(32, 1024, 256, "NT", 4.0, cached=True, headline=True)
    for m, n, k, layout in LAYERS:
        yield product(m, n, k, layout, 1.6 if n == 10 else 1.0, headline=(m, k) in ((64, 784), (64, 10)) or n == 10)
    yield product(2048, 96, 256, "NT", 1.0)
    yield product(2048, 96, 256, "NN", 1.0, headline=True)
    for m, n, k, layout in [
        (1, 1024, 1024, "NT"),
        (1, 1024, 1024, "NN"),
        (1024, 1, 1024, "NN"),
        (1, 4096, 4096, "NN"),
        (1, 4096, 4096, "NT"),
        (1, 1, 100_000, "NN"),
        (4, 1024, 256, "NT"),
        (10, 64, 50_000, "TN"),
    ]:
        yield product(m, n, k, layout, 1.0)
    yield product(512, 512, 512, "NN", 1.0, dtype="float64")
    yield outer(4096, 4096)
    yield batched(64, 64, 64, 64)
    yield batched(1000, 8, 8, 8)
    yield layer(64, 784, 256)
