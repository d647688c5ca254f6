"""bfloat16, float16 and TF32 on CUDA's stand-in: products and convolutions multiply them as they are, by the kernels for
tensor cores, and sum in float32. The reference is float64 arithmetic on the same rounded operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lamina
from lamina import Tensor, nn

F = nn.functional
pytestmark = pytest.mark.usefixtures("cuda")
HALVES = ["bfloat16", "float16"]
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-23}


def number(t: Tensor) -> np.ndarray:
    return t.detach().cpu().double().numpy()


def agrees(f: Callable[..., Tensor], *operands: Tensor, dtype: str) -> None:
    """f of halves on the GPU is f in float64, but for the rounding of results and of what is kept for backward."""
    half = [t.to(getattr(lamina, dtype)) for t in operands]
    exact = [t.double().requires_grad_() for t in half]
    moved = [t.cuda().requires_grad_() for t in half]
    expected, got = f(*exact), f(*moved)
    assert str(got.device) == "cuda:0" and got.dtype is half[0].dtype and got.shape == expected.shape
    dy = lamina.randn(*expected.shape).to(half[0].dtype)
    expected.backward(dy.double())
    got.backward(dy.cuda())
    pairs = [(got, expected), *((a.grad, b.grad) for a, b in zip(moved, exact, strict=True))]
    for a, b in pairs:
        assert a is not None and b is not None and a.dtype is half[0].dtype
        x, y = number(a), number(b)
        limit = 8 * ROUNDING[dtype] * (np.abs(y) + np.sqrt(np.mean(y * y)) + 1e-3)
        assert (np.abs(x - y) <= limit).all(), np.max(np.abs(x - y) / limit)


@pytest.mark.parametrize("dtype", HALVES)
def test_products(dtype: str):
    r = lamina.randn
    agrees(lambda a, b: a @ b, r(33, 70), r(70, 17), dtype=dtype)
    agrees(lambda a, b: a.T @ b.T, r(40, 8), r(24, 40), dtype=dtype)
    agrees(lambda a, b: a @ b, r(3, 9, 20), r(20, 5), dtype=dtype)
    agrees(lambda a, b: lamina.bmm(a, b), r(3, 9, 20), r(3, 20, 7), dtype=dtype)
    agrees(lambda a, b: a @ b, r(130), r(130), dtype=dtype)
    agrees(lambda c, a, b: lamina.addmm(c, a, b, beta=0.5, alpha=2), r(17), r(9, 64), r(64, 17), dtype=dtype)
    agrees(lambda c, a, b: lamina.baddbmm(c, a, b), r(2, 5, 1), r(2, 5, 33), r(2, 33, 6), dtype=dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("activation", [None, F.relu, F.tanh])
def test_linear(dtype: str, activation: Callable[[Tensor], Tensor] | None):
    def layer(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = F.linear(x, w, b)
        return activation(y) if activation else y

    agrees(layer, lamina.randn(7, 40), lamina.randn(19, 40) / 6, lamina.randn(19), dtype=dtype)
    agrees(layer, lamina.randn(2, 3, 16), lamina.randn(8, 16) / 4, lamina.randn(8), dtype=dtype)


CONVOLUTIONS = [
    ((2, 3, 9, 11), (8, 3, 3, 3), {"padding": 1}),
    ((2, 8, 10, 7), (40, 4, 3, 2), {"padding": 1, "stride": 2, "groups": 2}),
    ((1, 70, 6, 6), (33, 70, 1, 1), {}),
    ((2, 6, 12, 5), (12, 1, 3, 3), {"groups": 6, "dilation": 2, "padding": 2}),
    ((2, 5, 40), (7, 5, 4), {"stride": 3}),
    ((1, 2, 9, 9), (4, 2, 5, 5), {"stride": 5}),
]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("x,w,options", CONVOLUTIONS)
def test_convolutions(dtype: str, x: tuple[int, ...], w: tuple[int, ...], options: dict[str, int]):
    f = F.conv1d if len(x) == 3 else F.conv2d
    scale = float(np.prod(w[1:])) ** -0.5
    agrees(
        lambda x, w, b: f(x, w, b, **options),
        lamina.randn(*x),
        lamina.randn(*w) * scale,
        lamina.randn(w[0]),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_transposed_convolution_and_fused_activation(dtype: str):
    x, w, b = lamina.randn(2, 6, 5, 7), lamina.randn(6, 4, 3, 3) / 5, lamina.randn(4)
    agrees(lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), x, w, b, dtype=dtype)
    y, v = lamina.randn(2, 4, 8, 8), lamina.randn(9, 4, 3, 3) / 6
    for activation in (F.relu, F.tanh):
        agrees(lambda y, v, activation=activation: activation(F.conv2d(y, v)), y, v, dtype=dtype)


def test_taps_that_lie_far_apart():
    x, w = lamina.randn(1, 2, 1, 1200), lamina.randn(3, 2, 1, 3)
    f = lambda x, w: F.conv2d(x, w, dilation=(1, 500), padding=(0, 500))  # noqa: E731
    agrees(f, x, w, dtype="bfloat16")


def test_halves_are_not_converted():
    """One launch, and no memory but the result's: nothing is widened on the way."""
    a, b = (lamina.randn(64, 64, device="cuda").bfloat16() for _ in range(2))
    image, weight = (
        lamina.randn(1, 8, 8, 8, device="cuda").bfloat16(),
        lamina.randn(8, 8, 3, 3, device="cuda").bfloat16(),
    )
    for f in (lambda: a @ b, lambda: F.linear(a, b), lambda: F.conv2d(image, weight)):
        step = lamina.capture(f)
        step()
        assert step.launches == 1


def test_float32_is_strict_unless_tf32_is_asked_for():
    a, b = lamina.randn(40, 300), lamina.randn(300, 24)
    x, w = lamina.randn(2, 16, 9, 9), lamina.randn(20, 16, 3, 3) / 12
    products = {
        "matmul": (lambda d: a.to(d) @ b.to(d), number(a.double() @ b.double())),
        "conv2d": (lambda d: F.conv2d(x.to(d), w.to(d)), number(F.conv2d(x.double(), w.double()))),
    }

    def errors() -> dict[str, float]:
        return {
            name: float(np.abs(number(f("cuda")) - exact).max() / np.abs(exact).max())
            for name, (f, exact) in products.items()
        }

    assert lamina.get_float32_matmul_precision() == "highest"
    strict = errors()
    lamina.set_float32_matmul_precision("high")
    try:
        assert lamina.get_float32_matmul_precision() == "high"
        rounded = errors()
        agrees(lambda x, w: F.conv2d(x, w, stride=2), x, w, dtype="float16")  # no business of other types
    finally:
        lamina.set_float32_matmul_precision("highest")
    for name in products:
        assert strict[name] < 2e-6 < 2e-5 < rounded[name] < 2e-3, (name, strict[name], rounded[name])
    assert errors() == strict


def test_precision_must_be_one_there_is():
    with pytest.raises(ValueError, match="set_float32_matmul_precision: expected 'highest' or 'high', got 'low'"):
        lamina.set_float32_matmul_precision("low")
