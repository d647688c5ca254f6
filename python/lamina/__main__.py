"""python -m lamina: trains a small network by hand-written gradient descent, draws what it learnt, times a few kernels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import lamina
from lamina.nn import functional as F

POINTS = 200  # per spiral
STEPS = 3000


def two_spirals(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved arms: (2·POINTS, 2) coordinates in [-1, 1] and their labels 0 and 1."""
    angle = np.sqrt(rng.uniform(0.05, 1.0, POINTS)) * 3 * np.pi
    arm = np.stack([np.cos(angle), np.sin(angle)], 1) * (angle / (3 * np.pi))[:, None]
    points = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (2 * POINTS, 2))
    return points.astype(np.float32), np.repeat([0.0, 1.0], POINTS).astype(np.float32)[:, None]


Parameters = list[lamina.Tensor]


def network(rng: np.random.Generator, *sizes: int) -> Parameters:
    """Weights (out, in) and biases of a fully connected net."""
    parameters = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        weight = rng.normal(0, (2 / inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
        parameters += [lamina.tensor(weight, requires_grad=True), lamina.zeros(outputs, requires_grad=True)]
    return parameters


def logits(parameters: Parameters, x: lamina.Tensor) -> lamina.Tensor:
    for i in range(0, len(parameters) - 2, 2):
        x = F.linear(x, parameters[i], parameters[i + 1]).tanh()
    return F.linear(x, parameters[-2], parameters[-1])


def train(parameters: Parameters, x: lamina.Tensor, y: lamina.Tensor) -> None:
    """Full-batch gradient descent with momentum on the binary cross-entropy."""
    velocity = [lamina.zeros_like(p) for p in parameters]
    start = time.perf_counter()
    print("  step    loss  accuracy")
    for step in range(STEPS + 1):
        z = logits(parameters, x)
        loss = (F.softplus(z) - y * z).mean()
        if step % (STEPS // 5) == 0:
            accuracy = ((z > 0) == (y > 0.5)).float().mean().item()
            print(f"{step:6d}  {loss.item():.4f}   {accuracy:6.1%}")
        loss.backward()
        with lamina.no_grad():
            for p, v in zip(parameters, velocity, strict=True):
                v *= 0.95
                assert p.grad is not None
                v += p.grad
                p -= 0.1 * v
                p.grad = None
    print(f"{STEPS} steps, {(time.perf_counter() - start) / STEPS * 1e6:.0f} µs each")


def draw(parameters: Parameters, points: np.ndarray, labels: np.ndarray, rows: int = 22, columns: int = 56) -> None:
    """The learnt regions (. and blank) with the training points (o and x)."""
    across, down = np.meshgrid(np.linspace(-1.1, 1.1, columns), np.linspace(1.1, -1.1, rows))
    with lamina.no_grad():
        z = logits(parameters, lamina.tensor(np.stack([across.ravel(), down.ravel()], 1).astype(np.float32)))
    canvas = np.where(z.numpy().reshape(rows, columns) > 0, ".", " ")
    for (px, py), label in zip(points, labels[:, 0], strict=True):
        column, row = round((px + 1.1) / 2.2 * (columns - 1)), round((1.1 - py) / 2.2 * (rows - 1))
        canvas[row, column] = "x" if label else "o"
    print("\n".join("    " + "".join(line) for line in canvas))


def paired_medians(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, float]:
    """Median times of both in µs, called in turn, and the median of the ratios."""
    times: list[tuple[float, float]] = []
    for _ in range(40):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        times.append((middle - start, time.perf_counter() - middle))
    times = times[5:]
    a, b = statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)
    return a * 1e6, b * 1e6, statistics.median(t[1] / t[0] for t in times)


def compare_with_numpy(rng: np.random.Generator) -> None:
    wide, a, b, small = (
        rng.standard_normal(s).astype(np.float32) for s in ((1000, 1000), (512, 512), (512, 512), (4, 4))
    )
    x, ta, tb, ts = (lamina.from_numpy(v) for v in (wide, a, b, small))

    def repeat(f: Callable[[], object]) -> Callable[[], None]:
        def many() -> None:
            for _ in range(100):
                f()

        return many

    cases: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("100 × (x + y), 4×4", repeat(lambda: ts + ts), repeat(lambda: small + small)),
        ("exp, 10⁶ numbers", lambda: x.exp(), lambda: np.exp(wide)),
        ("tanh, 10⁶ numbers", lambda: x.tanh(), lambda: np.tanh(wide)),
        ("sum of 10⁶ numbers", lambda: x.sum(), lambda: wide.sum()),
        ("A @ B, 512×512", lambda: ta @ tb, lambda: a @ b),
        ("copy of a transposed 1000×1000", lambda: x.T.contiguous(), lambda: np.ascontiguousarray(wide.T)),
    ]
    print(f"{'':32}{'lamina':>10}{'NumPy':>11}{'ratio':>8}")
    for name, ours, theirs in cases:
        own, other, ratio = paired_medians(ours, theirs)
        print(f"{name:32}{own:7.0f} µs{other:8.0f} µs{ratio:7.1f}×")


def main() -> None:
    print(
        f"lamina {lamina.__version__} with the {lamina._C._target()} kernels and {lamina.get_num_threads()} threads\n"
    )
    rng = np.random.default_rng(3)
    points, labels = two_spirals(rng)
    parameters = network(rng, 2, 48, 48, 1)
    train(parameters, lamina.from_numpy(points), lamina.from_numpy(labels))
    print()
    draw(parameters, points, labels)
    print()
    compare_with_numpy(rng)


if __name__ == "__main__":
    main()
