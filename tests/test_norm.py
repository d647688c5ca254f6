"""Layer norm and RMS norm: value and gradient against float64, rows of any length, odd statistics, bits."""

import numpy as np
import pytest

import lamina
from checks import check_op
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(6)


def layer_norm(x, w=None, b=None, dims=1, eps=1e-5):
    axes = tuple(range(x.ndim - dims, x.ndim))
    z = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    z = z if w is None else z * w
    return z if b is None else z + b


def rms_norm(x, w=None, dims=1, eps=1e-5):
    z = x / np.sqrt((x * x).mean(tuple(range(x.ndim - dims, x.ndim)), keepdims=True) + eps)
    return z if w is None else z * w


# rows shorter than a vector, with tails, longer than a block; few and many rows; cuts of rows
SHAPES = [(1, 2), (3, 5), (2, 3, 8), (7, 33), (2, 1031), (700, 3), (5, 4500)]


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm(shape):
    x, w, b = RNG.standard_normal(shape) + 0.5, RNG.uniform(0.5, 1.5, shape[-1]), RNG.standard_normal(shape[-1])
    grad = x.size < 300
    n = (shape[-1],)
    check_op(lambda t, v, u: F.layer_norm(t, n, v, u), layer_norm, x, w, b, grad=grad, length=8 * shape[-1])
    check_op(
        lambda t: F.layer_norm(t, n, eps=0.1), lambda a: layer_norm(a, eps=0.1), x, grad=grad, length=8 * shape[-1]
    )
    check_op(
        lambda t, u: F.layer_norm(t, n, None, u), lambda a, u: layer_norm(a, b=u), x, b, grad=grad, length=8 * shape[-1]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm(shape):
    x, w = RNG.standard_normal(shape) + 0.5, RNG.uniform(0.5, 1.5, shape[-1])
    n = (shape[-1],)
    check_op(lambda t, v: F.rms_norm(t, n, v, 1e-5), rms_norm, x, w, grad=x.size < 300, length=8 * shape[-1])
    check_op(lambda t: F.rms_norm(t, n, None, 1e-5), rms_norm, x, grad=x.size < 300, length=8 * shape[-1])


def test_several_dimensions():
    x, w, b = RNG.standard_normal((3, 2, 4)), RNG.uniform(0.5, 1.5, (2, 4)), RNG.standard_normal((2, 4))
    check_op(lambda t, v, u: F.layer_norm(t, (2, 4), v, u), lambda a, v, u: layer_norm(a, v, u, 2), x, w, b, length=32)
    check_op(lambda t, v: F.rms_norm(t, (2, 4), v, 1e-5), lambda a, v: rms_norm(a, v, 2), x, w, length=32)


@pytest.mark.parametrize("shape", [(6000, 11), (40, 3000), (6, 20_011)])
def test_gradients_of_many_rows(shape):
    """Sums over rows, in cuts: against the composed form in float64."""
    x, dy = RNG.standard_normal(shape).astype(np.float32), RNG.standard_normal(shape).astype(np.float32)
    leaves = []
    for dtype in (lamina.float32, lamina.float64):
        t, w, b = (lamina.tensor(a).to(dtype).requires_grad_() for a in (x, np.ones(shape[-1]), np.zeros(shape[-1])))
        if dtype is lamina.float32:
            y = F.layer_norm(t, shape[-1:], w, b)
        else:
            center = t - t.mean(-1, True)
            y = center / ((center * center).mean(-1, True) + 1e-5).sqrt() * w + b
        y.backward(lamina.tensor(dy).to(dtype))
        leaves.append([leaf.grad.double().numpy() for leaf in (t, w, b)])
    for got, want in zip(*leaves, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * abs(want).max())


def test_a_large_mean_costs_no_digits():
    x = (1000 + RNG.standard_normal((4, 64))).astype(np.float32)
    got = F.layer_norm(lamina.tensor(x), (64,)).numpy()
    np.testing.assert_allclose(got, layer_norm(x.astype(np.float64)), atol=3e-6)


def test_constant_empty_and_infinite_rows():
    x = lamina.full((2, 5), 3.0, requires_grad=True)
    y = F.layer_norm(x, (5,))
    y.sum().backward()
    assert not y.any() and x.grad.isfinite().all()
    for shape in ((0, 5), (3, 0)):
        t, w = lamina.zeros(*shape, requires_grad=True), lamina.ones(shape[-1], requires_grad=True)
        F.layer_norm(t, shape[-1:], w).sum().backward()
        assert t.grad.shape == shape and w.grad.shape == (shape[-1],) and not w.grad.any()
    assert F.layer_norm(lamina.tensor([[np.inf, 1.0]]), (2,)).isnan().any()
    assert F.layer_norm(lamina.tensor([[np.nan, 1.0]]), (2,)).isnan().all()


@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm])
def test_the_same_bits_for_any_number_of_threads(norm, set_threads):
    x, dy = (RNG.standard_normal((3000, 50)).astype(np.float32) for _ in range(2))
    results = []
    for threads in (1, 2, 5):
        set_threads(threads)
        t, w = lamina.tensor(x, requires_grad=True), lamina.ones(50, requires_grad=True)
        y = norm(t, (50,), w)
        y.backward(lamina.tensor(dy))
        results.append([v.detach().numpy().copy() for v in (y, t.grad, w.grad)])
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x: F.layer_norm(x, (4,)), ValueError, r"last dimensions are \(4,\) was expected, got shape \(2, 3\)"),
        (lambda x: F.layer_norm(x, (1, 2, 3)), ValueError, "was expected"),
        (lambda x: F.layer_norm(x, ()), ValueError, "at least one dimension"),
        (
            lambda x: F.layer_norm(x, (3,), lamina.ones(2)),
            ValueError,
            r"weight must have the shape.*\(3,\), got \(2,\)",
        ),
        (lambda x: F.layer_norm(x, (3,), None, lamina.ones(3).long()), TypeError, "bias must be of a floating type"),
        (lambda x: F.layer_norm(x.long(), (3,)), TypeError, "input must be of a floating type"),
        (lambda x: F.layer_norm(x, (3,), eps=-1), ValueError, "eps must not be negative"),
        (lambda x: nn.LayerNorm(4)(x), ValueError, "layer_norm"),
        (lambda x: nn.RMSNorm(4)(x), ValueError, "rms_norm"),
        (lambda x: nn.LayerNorm(-1), ValueError, "LayerNorm: normalized_shape must be .* got -1"),
        (lambda x: nn.RMSNorm(()), ValueError, "RMSNorm: normalized_shape must be one size or more"),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call(lamina.ones(2, 3))
