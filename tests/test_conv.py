"""Convolutions: every algorithm, forced, against float64; PyTorch; epilogues, bits, capture, errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pytest

import lamina
from checks import check_captured
from lamina import backends
from lamina.nn import functional as F

ALGORITHMS = ["im2col", "implicit", "direct", "depthwise", "interleaved"]  # Winograd's have a file of their own
ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}


@dataclass(frozen=True)
class Config:
    """One convolution; padding in pairs (low, high)."""

    batch: int
    groups: int
    inputs: int
    outputs: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @property
    def dims(self) -> int:
        return len(self.size)

    def out_size(self) -> tuple[int, ...]:
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )

    def arguments(self) -> dict[str, object]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}


def some(rng: np.random.Generator, choices: list[int]) -> int:
    return int(rng.choice(choices))


def random_config(rng: np.random.Generator, depthwise: bool = False) -> Config:
    dims = some(rng, [1, 2, 2, 2, 3])
    groups = some(rng, [1, 1, 1, 2, 3])
    inputs = groups * (1 if depthwise else some(rng, [1, 1, 2, 3, 5, 17]))
    outputs = groups * some(rng, [1, 2, 3, 7, 9, 33])
    kernel = tuple(some(rng, [1, 2, 3, 3, 5]) for _ in range(dims))
    dilation = tuple(some(rng, [1, 1, 2, 3]) for _ in range(dims))
    padding = tuple((some(rng, [0, 0, 1, 2, 4]), some(rng, [0, 0, 1, 2, 4])) for _ in range(dims))
    room = {1: 70, 2: 23, 3: 6}[dims]
    size = tuple(
        max(1, d * (k - 1) + 1 - sum(p)) + some(rng, [0, 0, 1, int(rng.integers(room))])
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    stride = tuple(some(rng, [1, 1, 2, 3]) for _ in range(dims))
    return Config(some(rng, [1, 2, 3, 9]), groups, inputs, outputs, size, kernel, stride, padding, dilation)


def seen_through(c: Config, x: np.ndarray, tap: tuple[int, ...]) -> np.ndarray:
    """What every output sees of the padded x through one tap: a view."""
    box = [
        slice(t * d, t * d + (n - 1) * s + 1, s)
        for t, d, n, s in zip(tap, c.dilation, c.out_size(), c.stride, strict=True)
    ]
    return x[(..., *box)]


def padded(c: Config, x: np.ndarray) -> np.ndarray:
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), *c.padding))


def reference(c: Config, x, w, dy):
    """Output and gradients of x and w in float64, tap by tap."""
    x, w, dy = padded(c, x), w.astype(np.float64), dy.astype(np.float64)
    y, dx, dw = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(w.shape)
    ins, outs = c.inputs // c.groups, c.outputs // c.groups
    for g in range(c.groups):
        i, o = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
        for tap in product(*map(range, c.kernel)):
            weight = w[(o, slice(None), *tap)]
            seen = seen_through(c, x[:, i], tap)
            y[:, o] += np.einsum("nc...,oc->no...", seen, weight)
            pixels = (0, *range(2, seen.ndim))
            dw[(o, slice(None), *tap)] = np.tensordot(dy[:, o], seen, (pixels, pixels))
            seen_through(c, dx[:, i], tap)[...] += np.einsum("no...,oc->nc...", dy[:, o], weight)
    inside = tuple(slice(low, low + n) for (low, _), n in zip(c.padding, c.size, strict=True))
    return y, dx[(..., *inside)], dw


def operands(c: Config, rng: np.random.Generator, dtype: str):
    x = rng.standard_normal((c.batch, c.inputs, *c.size)).astype(dtype)
    w = rng.standard_normal((c.outputs, c.inputs // c.groups, *c.kernel)).astype(dtype)
    return x, w, rng.standard_normal((c.batch, c.outputs, *c.out_size())).astype(dtype)


def convolve(c: Config):
    return getattr(F, f"conv{c.dims}d")


def assert_sums(got: lamina.Tensor, want: np.ndarray, dtype: str, length: int, what: str) -> None:
    """Sums of `length` normal products: an error grows with the square root of the length, as does the sum."""
    value = got.detach().numpy()
    assert value.shape == want.shape, what
    allowed = 32 * ROUNDOFF[dtype] * length**0.5 * max(1.0, length**0.25)
    assert np.abs(value - want).max(initial=0) <= allowed, f"{what}: {np.abs(value - want).max()} of {allowed}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
def test_random_configurations(algorithm, dtype):
    rng = np.random.default_rng(ALGORITHMS.index(algorithm) if algorithm else 9)
    for _ in range(60):
        c = random_config(rng, algorithm == "depthwise")
        x, w, dy = operands(c, rng, dtype)
        y0, dx0, dw0 = reference(c, x, w, dy)
        leaves = [lamina.tensor(a, requires_grad=True) for a in (x, w)]
        with backends.conv.use(algorithm):
            y = convolve(c)(*leaves, **c.arguments())
            y.backward(lamina.tensor(dy))
        taps, pixels = int(np.prod(c.kernel)), int(np.prod(c.out_size()))
        assert_sums(y, y0, dtype, c.inputs // c.groups * taps, f"{c}: y")
        assert_sums(leaves[0].grad, dx0, dtype, c.outputs // c.groups * taps, f"{c}: dx")
        assert_sums(leaves[1].grad, dw0, dtype, c.batch * pixels, f"{c}: dweight")


# Beyond one block of channels, of rows, of columns; several pieces; images together; a long line.
LARGER = [
    Config(2, 1, 130, 150, (9, 11), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Config(40, 1, 40, 20, (5, 5), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    Config(3, 1, 500, 13, (4, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    Config(2, 1, 64, 48, (33, 31), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    Config(1, 1, 3, 20, (40, 300), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1)),
    Config(2, 1, 2, 3, (5000,), (400,), (1,), ((0, 0),), (1,)),
    Config(1, 4, 4, 8, (150, 300), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Config(1, 4, 4, 8, (150, 301), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1)),
    Config(40, 1, 5, 7, (12, 30), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    Config(2, 1, 15, 16, (41, 9), (5, 3), (1, 1), ((2, 2), (1, 1)), (1, 1)),  # short lines: channels in the lanes
    Config(1, 1, 12, 20, (6, 20, 19), (3, 3, 3), (1, 2, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)),
]


@cache
def larger_reference(c: Config):
    x, w, dy = operands(c, np.random.default_rng(1), "float32")
    return x, w, dy, reference(c, x, w, dy)


@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
@pytest.mark.parametrize("c", LARGER, ids=range(len(LARGER)))
def test_larger_ones(c, algorithm):
    x, w, dy, wanted = larger_reference(c)
    leaves = [lamina.tensor(a, requires_grad=True) for a in (x, w)]
    with backends.conv.use(algorithm), backends.conv.forbid_winograd():
        y = convolve(c)(*leaves, **c.arguments())
        y.backward(lamina.tensor(dy))
    for got, want in zip((y, *(leaf.grad for leaf in leaves)), wanted, strict=True):
        assert np.abs(got.detach().numpy() - want).max() <= 3e-6 * np.abs(want).max()


@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
def test_epilogue(algorithm):
    rng = np.random.default_rng(2)
    with backends.conv.use(algorithm):
        for activation, stride, groups in product((None, "relu", "tanh", "gelu"), (1, 2), (1, 3)):
            c = Config(3, groups, 6, 9, (11, 10), (3, 3), (stride,) * 2, ((1, 1), (1, 1)), (1, 1))
            x, w, dy = operands(c, rng, "float64")
            b, r = rng.standard_normal(9), rng.standard_normal(dy.shape)
            fused, plain = ([lamina.tensor(a, requires_grad=True) for a in (x, w, b, r)] for _ in range(2))
            y = F.conv2d(*fused[:3], **c.arguments(), activation=activation, residual=fused[3])
            z = F.conv2d(plain[0], plain[1], **c.arguments()) + plain[2].reshape(1, -1, 1, 1) + plain[3]
            z = getattr(F, activation)(z) if activation else z
            for out in (y, z):
                out.backward(lamina.tensor(dy))
            pairs = [(y, z), *((a.grad, b.grad) for a, b in zip(fused, plain, strict=True))]
            for got, want in pairs:
                np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-12)


def test_epilogue_of_short_lines():
    rng = np.random.default_rng(4)
    c = Config(3, 1, 5, 15, (41, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    x, w, dy = operands(c, rng, "float32")
    b, r = rng.standard_normal(15).astype(np.float32), rng.standard_normal(dy.shape).astype(np.float32)
    sums = reference(c, x, w, dy)[0] + b[:, None, None] + r
    fused = [lamina.tensor(a, requires_grad=True) for a in (x, w, b, r)]
    functions = {None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "gelu": None}
    with backends.conv.use("direct"):
        for activation, function in functions.items():
            y = F.conv2d(*fused[:3], **c.arguments(), activation=activation, residual=fused[3]).detach().numpy()
            want = function(sums) if function else F.gelu(lamina.tensor(sums)).numpy()
            assert np.abs(y - want).max() <= 3e-6 * np.abs(sums).max()


def test_transposed_is_the_way_back():
    """<conv(x), y> = <x, conv_transpose(y)>, and the gradients of both follow."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        c = random_config(rng)
        x, w, y = operands(c, rng, "float64")
        extra = tuple(
            n - ((m - 1) * s - sum(p) + d * (k - 1) + 1)
            for n, m, s, p, d, k in zip(c.size, c.out_size(), c.stride, c.padding, c.dilation, c.kernel, strict=True)
        )
        _, dx, dw = reference(c, x, w, y)
        leaves = [lamina.tensor(a, requires_grad=True) for a in (y, w)]
        transposed = getattr(F, f"conv_transpose{c.dims}d")
        back = transposed(*leaves, None, c.stride, c.padding, extra, c.groups, c.dilation)
        np.testing.assert_allclose(back.detach().numpy(), dx, atol=1e-10)
        back.backward(lamina.tensor(x))
        forward, _, _ = reference(c, x, w, y)
        np.testing.assert_allclose(leaves[0].grad.numpy(), forward, atol=1e-10)
        np.testing.assert_allclose(leaves[1].grad.numpy(), dw, atol=1e-10)


def test_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    for _ in range(30):
        c = random_config(rng)
        symmetric = tuple(low for low, _ in c.padding)
        transposed = bool(rng.integers(2))
        if not transposed and any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in
                                  zip(c.size, symmetric, c.dilation, c.kernel, strict=True)):  # fmt: skip
            continue
        x, w, _ = operands(c, rng, "float64")
        bias = rng.standard_normal(c.outputs)
        extra = tuple(int(rng.integers(max(s, d))) for s, d in zip(c.stride, c.dilation, strict=True))
        if transposed:
            w = rng.standard_normal((c.inputs, c.outputs // c.groups, *c.kernel))
            if any((n - 1) * s - 2 * p + d * (k - 1) + 1 + e <= 0 for n, s, p, d, k, e in
                   zip(c.size, c.stride, symmetric, c.dilation, c.kernel, extra, strict=True)):  # fmt: skip
                continue
            name, more = f"conv_transpose{c.dims}d", (c.stride, symmetric, extra, c.groups, c.dilation)
        else:
            name, more = f"conv{c.dims}d", (c.stride, symmetric, c.dilation, c.groups)
        ours, theirs = ([library.tensor(a, requires_grad=True) for a in (x, w, bias)] for library in (lamina, torch))
        y, want = getattr(F, name)(*ours, *more), getattr(torch.nn.functional, name)(*theirs, *more)
        dy = rng.standard_normal(tuple(want.shape))
        y.backward(lamina.tensor(dy))
        want.backward(torch.tensor(dy))
        np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), atol=1e-10)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-10, err_msg=f"{name} {c} {more}")


def test_padding_words_and_single_images():
    x, w = lamina.randn(2, 3, 8, 9), lamina.randn(4, 3, 4, 3)
    np.testing.assert_array_equal(F.conv2d(x, w, padding="valid").numpy(), F.conv2d(x, w).numpy())
    same = F.conv2d(x, w, padding="same", dilation=(1, 2))
    assert same.shape == (2, 4, 8, 9)
    np.testing.assert_array_equal(same.numpy(), F.conv2d(x, w, padding=((1, 2), (2, 2)), dilation=(1, 2)).numpy())
    np.testing.assert_array_equal(F.conv2d(x[1], w, padding=1).numpy(), F.conv2d(x, w, padding=1)[1].numpy())
    np.testing.assert_array_equal(
        F.conv_transpose2d(x[1], w.transpose(0, 1)).numpy(), F.conv_transpose2d(x, w.transpose(0, 1))[1].numpy()
    )


def test_strided_half_and_empty_inputs():
    x, w = lamina.randn(6, 5, 4, 3).transpose(0, 3), lamina.randn(3, 3, 4, 4).transpose(0, 1)[:, :2].transpose(2, 3)
    x = x[:, :4, :, :]
    y = F.conv2d(x[:, :2], w)
    np.testing.assert_array_equal(y.numpy(), F.conv2d(x[:, :2].clone(), w.clone()).numpy())
    for dtype in (lamina.float16, lamina.bfloat16):
        half = F.conv2d(x[:, :2].to(dtype), w.to(dtype))
        assert half.dtype == dtype
        np.testing.assert_allclose(half.float().numpy(), y.numpy(), atol=0.2)
    empty, w, b = lamina.zeros(0, 3, 5, 5, requires_grad=True), lamina.ones(2, 3, 3, 3), lamina.ones(2)
    w.requires_grad = b.requires_grad = True
    out = F.conv2d(empty, w, b, activation="relu")
    assert out.shape == (0, 2, 3, 3)
    out.sum().backward()
    assert empty.grad.shape == empty.shape and not w.grad.any() and not b.grad.any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bad_number_stays_where_it_is_seen(algorithm):
    x, w = lamina.randn(2, 3, 12, 13), lamina.randn(3, 1, 3, 3)
    x[0, 1, 6, 7] = float("nan")
    with backends.conv.use(algorithm):
        bad = F.conv2d(x, w, padding=1, groups=3).isnan().numpy()
    assert bad[0, 1, 5:8, 6:9].all() and bad.sum() == 9


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, None])
def test_the_same_bits_for_any_number_of_threads(algorithm, set_threads):
    rng = np.random.default_rng(5)
    for c in (
        Config(9, 1, 24, 20, (13, 12), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
        Config(5, 1, 33, 64, (14, 14), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
        Config(37, 1, 6, 16, (14, 14), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        Config(8, 6, 6, 12, (15, 17), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    ):
        x, w, dy = operands(c, rng, "float32")
        results = []
        for threads in (1, 2, 5):
            set_threads(threads)
            leaves = [lamina.tensor(a, requires_grad=True) for a in (x, w, np.zeros(c.outputs, np.float32))]
            with backends.conv.use(algorithm):
                y = F.conv2d(*leaves, **c.arguments(), activation="relu")
                y.backward(lamina.tensor(dy))
            results.append([t.detach().numpy().copy() for t in (y, *(leaf.grad for leaf in leaves))])
        for other in results[1:]:
            for a, b in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(a, b)


def test_capture():
    w, b = lamina.randn(5, 3, 3, 3, requires_grad=True), lamina.zeros(5, requires_grad=True)
    v = lamina.randn(5, 2, 2, 2, requires_grad=True)

    def step(x):
        for p in (w, b, v):
            p.grad = None
        hidden = F.conv2d(x, w, b, stride=2, padding=1, activation="relu")
        loss = (F.conv_transpose2d(hidden, v, stride=2) ** 2).mean()
        loss.backward()
        return loss, w.grad, b.grad, v.grad

    check_captured(step, (2, 3, 9, 8))


def test_the_choice_is_shown_and_can_be_made():
    show = backends.conv.algorithms
    choice = show((8, 32, 16, 16), (32, 32, 3, 3), stride=3, padding=1)
    assert list(choice) == ["forward", "data_gradient", "weight_gradient"]
    assert choice["forward"].chosen == "implicit" and "im2col" in choice["forward"].possible
    assert show((8, 32, 16, 16), (32, 1, 3, 3), groups=32)["weight_gradient"].chosen == "depthwise"
    assert show((8, 1, 28, 28), (6, 1, 5, 5))["forward"].chosen == "depthwise"
    assert show((2, 6, 14), (4, 6, 5))["forward"].chosen == "direct"
    assert show((1, 2, 999, 999), (2, 2, 2, 2), dilation=500)["forward"].chosen == "im2col"  # taps far apart
    plain = show((8, 64, 16, 16), (64, 64, 3, 3), padding=1, dtype=lamina.float64)
    assert "winograd4" not in plain["forward"].possible
    assert show((8, 64, 16, 16), (64, 64, 3, 3), padding=1)["forward"].chosen.startswith("winograd")
    with backends.conv.forbid_winograd():
        assert show((8, 64, 16, 16), (64, 64, 3, 3), padding=1)["forward"].chosen == "implicit"
    lenet = show((64, 6, 14, 14), (16, 6, 5, 5))
    assert lenet["weight_gradient"].chosen == "direct"
    assert "direct" not in show((2, 6, 14), (4, 6, 5), dtype=lamina.float64)["weight_gradient"].possible
    assert lenet["forward"].chosen == lenet["data_gradient"].chosen == "interleaved"
    assert show((1, 6, 14, 14), (16, 6, 5, 5))["forward"].chosen == "direct"
    assert show((64, 1, 28, 28), (6, 1, 5, 5), padding=2)["weight_gradient"].chosen == "interleaved"
    with backends.conv.use("im2col"), backends.conv.use(None):
        assert show((2, 6, 14), (4, 6, 5))["forward"].chosen == "direct"
    with pytest.raises(ValueError, match="algorithm must be one of im2col, .*, got 'fft'"), backends.conv.use("fft"):
        pass


X, W = lamina.ones(2, 4, 6, 6), lamina.ones(8, 4, 3, 3)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: F.conv2d(lamina.ones(8, 3, 32, 32), lamina.ones(64, 64, 3, 3)), ValueError,
         r"conv2d: weight expects 64 input channels \(groups=1\) but input has 3: input \(8, 3, 32, 32\)"),
        (lambda: F.conv2d(X, lamina.ones(8, 4, 7, 3)), ValueError,
         r"conv2d: the output would be empty: a kernel of 7 \(dilation 1\) does not fit into 6 elements padded by 0"),
        (lambda: F.conv2d(X, W, dilation=4), ValueError, "the output would be empty: a kernel of 3 .dilation 4."),
        (lambda: F.conv2d(lamina.ones(2, 4, 0, 6), W, padding=2), ValueError, "no elements in dimension 2"),
        (lambda: F.conv2d(X, W, groups=3), ValueError, "output channels must be a positive multiple of groups=3"),
        (lambda: F.conv2d(X, W, groups=0), ValueError, "groups must be positive, got 0"),
        (lambda: F.conv2d(X, W, stride=0), ValueError, r"stride must be positive, got \(0,\)"),
        (lambda: F.conv2d(X, W, stride=(1, 2, 3)), ValueError, r"stride must be one number or 2, got \(1, 2, 3\)"),
        (lambda: F.conv2d(X, W, padding=-1), ValueError, "padding must be at least 0"),
        (lambda: F.conv2d(X, W, padding=2**62), ValueError, "padding must be at least 0"),
        (lambda: F.conv2d(X, W, padding="some"), ValueError, "'valid' or 'same', or numbers, got 'some'"),
        (lambda: F.conv2d(X, W, padding="same", stride=2), ValueError, r"'same' needs stride 1, got \(2, 2\)"),
        (lambda: F.conv2d(X, W, padding=((1, 2, 3), 1)), TypeError, "padding must be an integer"),
        (lambda: F.conv2d(X, W, lamina.ones(4)), ValueError, r"bias must have shape \(8,\), got \(4,\)"),
        (lambda: F.conv2d(X, W.double()), TypeError, "weight must be of input's type, float32, got float64"),
        (lambda: F.conv2d(X.long(), W.long()), TypeError, "not defined for int64"),
        (lambda: F.conv1d(X[0, 0], W), ValueError, "input must have 3 dimensions, or 2 without a batch|weight"),
        (lambda: F.conv2d(X, W[0]), ValueError, "weight must have 4 dimensions"),
        (lambda: F.conv2d(X, W, activation="isnan"), ValueError, "conv2d: isnan cannot be an activation"),
        (lambda: F.conv2d(X, W, residual=X), ValueError, r"residual must have the output's shape \(2, 8, 4, 4\)"),
        (lambda: F.conv_transpose2d(X, W), ValueError, "weight expects 8 input channels but input has 4"),
        (lambda: F.conv_transpose2d(X, lamina.ones(4, 2, 3, 3), output_padding=1), ValueError,
         "output_padding must be smaller than stride or dilation"),
        (lambda: F.conv_transpose2d(X, lamina.ones(4, 2, 3, 3), padding=4), ValueError, "leaves nothing of the output"),
        (lambda: F.conv_transpose2d(X, lamina.ones(4, 2, 3, 3), padding="same"), ValueError, "must be numbers"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()
