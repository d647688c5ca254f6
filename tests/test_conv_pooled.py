"""A convolution, ReLU and the 2 × 2 max pooling after it in one kernel: against float64, against the three by themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import lamina
from checks import check_captured
from lamina import backends, nn
from lamina.nn import functional as F

FUSED = ["direct", "interleaved", "depthwise"]
# batch, inputs, outputs, height, width, kernel, stride, padding, groups
SHAPES = [
    (11, 1, 6, 28, 28, 5, 1, 2, 1),  # LeNet's
    (9, 6, 16, 14, 14, 5, 1, 0, 1),
    (1, 6, 16, 14, 14, 5, 1, 0, 1),
    (2, 3, 23, 45, 12, 3, 1, 1, 1),
    (3, 4, 7, 9, 11, 3, 1, 1, 1),  # a row and a column in no window
    (17, 2, 5, 13, 7, 3, 2, 1, 1),
    (8, 3, 3, 15, 38, 3, 1, 1, 3),
    (2, 3, 1, 6, 75, 3, 1, 1, 1),
    (5, 1, 4, 2, 3, 1, 1, 0, 1),  # one window
]


def operands(shape, dtype):
    batch, inputs, outputs, height, width, kernel, _, _, groups = shape
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal((batch, inputs, height, width)).astype(dtype)
    w = rng.standard_normal((outputs, inputs // groups, kernel, kernel)).astype(dtype)
    return x, w, rng.standard_normal(outputs).astype(dtype)


def reference(shape, x, w, b, relu, dy):
    """What is left, and the gradients of x, w and b, in float64."""
    *_, kernel, stride, padding, groups = shape
    x, w, b = (a.astype(np.float64) for a in (x, w, b))
    edges = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, edges)
    seen = sliding_window_view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    ins, outs = x.shape[1] // groups, len(b) // groups
    y = np.concatenate(
        [
            np.einsum("nchwij,ocij->nohw", seen[:, g * ins : (g + 1) * ins], w[g * outs : (g + 1) * outs])
            for g in range(groups)
        ],
        axis=1,
    )
    y += b[:, None, None]
    rows, columns = y.shape[2] // 2, y.shape[3] // 2
    places = [y[:, :, i : 2 * rows : 2, j : 2 * columns : 2] for i, j in product(range(2), range(2))]
    first = np.argmax(places, axis=0)
    left = np.max(places, axis=0)
    dz = np.zeros(y.shape)
    for k, (i, j) in enumerate(product(range(2), range(2))):
        dz[:, :, i : 2 * rows : 2, j : 2 * columns : 2] = np.where((first == k) & ((left > 0) | (not relu)), dy, 0)
    dx, dw = np.zeros(padded.shape), np.zeros(w.shape)
    for g in range(groups):
        i, o = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
        dw[o] = np.einsum("nchwij,nohw->ocij", seen[:, i], dz[:, o])
        for r, c in product(range(kernel), range(kernel)):
            box = dx[:, i, r : r + dz.shape[2] * stride : stride, c : c + dz.shape[3] * stride : stride]
            box += np.einsum("nohw,oc->nchw", dz[:, o], w[o, :, r, c])
    inside = slice(padding, -padding or None)
    return np.maximum(left, 0) if relu else left, dx[:, :, inside, inside], dw, dz.sum((0, 2, 3))


def pooled(shape, x, w, b, activation):
    *_, stride, padding, groups = shape
    return F.conv2d(x, w, b, stride, padding, 1, groups, activation=activation, max_pool=True)


@pytest.mark.parametrize("algorithm", [*FUSED, "im2col"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["relu", None])
def test_against_float64(algorithm, dtype, activation):
    for shape in SHAPES:
        arrays = operands(shape, dtype)
        with backends.conv.use(algorithm):
            for input_too in (True, False):  # of the weight alone the gradient comes from what was left
                x, w, b = (lamina.tensor(a, requires_grad=True) for a in arrays)
                x.requires_grad_(input_too)
                y = pooled(shape, x, w, b, activation)
                dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
                y.backward(lamina.tensor(dy))
                left, *gradients = reference(shape, *arrays, activation == "relu", dy)
                with lamina.no_grad():
                    again = pooled(shape, x, w, b, activation)
                np.testing.assert_array_equal(again.numpy(), y.detach().numpy())
                got = [y.detach(), x.grad, w.grad, b.grad]
                for name, a, want in zip(("y", "x", "w", "b"), got, (left, *gradients), strict=True):
                    if name == "x" and not input_too:
                        assert a is None
                        continue
                    tolerance = (3e-6 if dtype == "float32" else 1e-14) * float(np.abs(want).max())
                    np.testing.assert_allclose(a.numpy(), want, rtol=0, atol=tolerance, err_msg=f"{shape} {name}")


@pytest.mark.parametrize("algorithm", FUSED)
def test_the_same_as_one_after_the_other(algorithm):
    for shape in SHAPES:
        *_, stride, padding, groups = shape
        with backends.conv.use(algorithm):
            results = []
            for fused in (True, False):
                x, w, b = (lamina.tensor(a, requires_grad=True) for a in operands(shape, "float32"))
                if fused:
                    y = pooled(shape, x, w, b, "relu")
                else:
                    y = F.max_pool2d(F.conv2d(x, w, b, stride, padding, 1, groups).relu(), 2)
                (y * y).sum().backward()
                results.append([t.detach().numpy() for t in (y, x.grad, w.grad)])
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(shape))


def test_what_no_kernel_does_in_one():
    x, w = lamina.randn(2, 3, 9, 12), lamina.randn(4, 3, 3, 3)
    r = lamina.randn(2, 4, 9, 12)
    for options in ({"activation": "tanh"}, {"residual": r}, {"residual": r, "activation": "relu"}):
        got = F.conv2d(x, w, None, 1, 1, max_pool=True, **options)
        np.testing.assert_array_equal(got.numpy(), F.max_pool2d(F.conv2d(x, w, None, 1, 1, **options), 2).numpy())
    np.testing.assert_array_equal(
        F.conv2d(x[0], w, max_pool=True).numpy(), F.max_pool2d(F.conv2d(x[0], w), 2).numpy()
    )  # fmt: skip
    line, volume = lamina.randn(2, 3, 9), lamina.randn(1, 2, 5, 6, 7)
    kernel, cube = lamina.randn(4, 3, 3), lamina.randn(3, 2, 2, 2, 2)
    np.testing.assert_array_equal(
        F.conv1d(line, kernel, max_pool=True).numpy(), F.max_pool1d(F.conv1d(line, kernel), 2).numpy()
    )
    np.testing.assert_array_equal(
        F.conv3d(volume, cube, max_pool=True).numpy(), F.max_pool3d(F.conv3d(volume, cube), 2).numpy()
    )
    half = F.conv2d(x.to(lamina.bfloat16), w.to(lamina.bfloat16), max_pool=True)
    assert half.dtype == lamina.bfloat16 and half.shape == (2, 4, 3, 5)
    assert F.conv2d(x[:0], w, max_pool=True).shape == (0, 4, 3, 5)
    with pytest.raises(ValueError, match="max_pool2d: no window of kernel_size"):
        F.conv2d(x, lamina.randn(4, 3, 9, 9), max_pool=True)


def test_a_nan_wins_and_passes_no_gradient():
    x = lamina.ones(8, 1, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    w = lamina.ones(2, 1, 1, 1, requires_grad=True)
    for algorithm in FUSED:
        with backends.conv.use(algorithm):
            y = F.conv2d(x, w, activation="relu", max_pool=True)
            w.grad = None
            y.backward(lamina.ones(*y.shape))
        assert np.isnan(y.detach().numpy()).sum() == 2 and np.isnan(y.detach().numpy()[0, :, 0, 0]).all()


def test_sequential_pools_in_the_kernel():
    def launches(*layers):
        net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), *layers).eval()
        captured = lamina.capture(net)
        x = lamina.randn(9, 1, 12, 12)
        with lamina.no_grad():
            got, want = captured(x), x
        assert captured.launches > 0
        with lamina.no_grad():
            for layer in net:
                want = layer(want)
        np.testing.assert_array_equal(got.numpy(), want.numpy())
        return captured.launches

    assert launches(nn.ReLU(), nn.MaxPool2d(2)) == launches(nn.MaxPool2d((2, 2), 2)) == 1
    assert launches(nn.Tanh(), nn.MaxPool2d(2)) == launches(nn.ReLU(), nn.MaxPool2d(2, padding=1)) == 2
    assert launches(nn.ReLU(), nn.MaxPool2d(3, 2)) == launches(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)) == 2
    assert launches(nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2)) == 3


def test_the_same_bits_for_any_number_of_threads(set_threads):
    found = []
    for threads in (1, 2, 3):
        set_threads(threads)
        for shape in SHAPES[:2]:
            x, w, b = (lamina.tensor(a, requires_grad=True) for a in operands(shape, "float32"))
            pooled(shape, x, w, b, "relu").sum().backward()
            found.append([t.grad.numpy() for t in (x, w, b)])
    for several in (found[2:4], found[4:]):
        for one, other in zip(found[:2], several, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_capture():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 9, 3), nn.ReLU(), nn.MaxPool2d(2))

    def step(x):
        net.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        return loss, *(p.grad for p in net.parameters())

    check_captured(step, (9, 1, 16, 16))
