"""Pooling and resizing: value and gradient against windows taken one by one in float64, and against PyTorch."""

import itertools

import numpy as np
import pytest

import lamina
from checks import assert_close, check_op
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(11)
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
EXACT = ("float32", "float64")


def distinct(*shape):
    """Numbers far enough apart that finite differences see no other maximum."""
    n = int(np.prod(shape))
    return RNG.permutation(n).reshape(shape) / 16.0 - n / 32


def window_count(n, kernel, stride, padding, dilation, ceil_mode):
    """Windows that fit into n and its paddings; with ceil_mode one more that hangs over, if it begins before n ends."""
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    fitting = room // stride + 1
    return fitting + bool(ceil_mode and room % stride and fitting * stride - padding < n)


def reduced(x, dims, f, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """f(values, count) over each window: its places in a row, NaN in the padding, and their number up to its end."""
    spread = lambda v: (v,) * dims if isinstance(v, int) else tuple(v)  # noqa: E731
    kernel, padding, dilation = spread(kernel), spread(padding), spread(dilation)
    stride = kernel if stride is None else spread(stride)
    size, axes = x.shape[-dims:], tuple(range(-dims, 0))
    out = [window_count(*a, ceil_mode) for a in zip(size, kernel, stride, padding, dilation, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    beyond = [
        max(0, (o - 1) * s + r - n - 2 * p) for o, s, r, n, p in zip(out, stride, reach, size, padding, strict=True)
    ]

    def taken(array):
        seen = np.lib.stride_tricks.sliding_window_view(array, reach, axes)
        starts = tuple(slice(0, (o - 1) * s + 1, s) for o, s in zip(out, stride, strict=True))
        seen = seen[(..., *starts, *(slice(None, None, d) for d in dilation))]
        return seen.reshape(*seen.shape[:-dims], -1)

    edge = [(0, 0)] * (x.ndim - dims)
    values = np.pad(x, edge + [(p, p + b) for p, b in zip(padding, beyond, strict=True)], constant_values=np.nan)
    counted = np.pad(np.ones([n + 2 * p for n, p in zip(size, padding, strict=True)]), [(0, b) for b in beyond])
    return f(taken(values), taken(counted).sum(-1))


def maximum(values, counted):
    return np.nanmax(values, -1)


def mean_with_padding(values, counted):
    return np.nansum(values, -1) / counted


CASES = [
    (1, (2, 3, 11), {"kernel": 2}),
    (1, (3, 9), {"kernel": 3, "stride": 2, "padding": 1}),
    (1, (1, 1, 1), {"kernel": 1}),
    (2, (2, 2, 8, 18), {"kernel": 2}),
    (2, (1, 3, 7, 5), {"kernel": 2}),
    (2, (2, 1, 5, 34), {"kernel": 2, "ceil_mode": True}),
    (2, (1, 2, 9, 21), {"kernel": 3, "stride": 2, "padding": 1}),
    (2, (1, 2, 8, 20), {"kernel": 3, "stride": 2}),
    (2, (1, 2, 6, 19), {"kernel": 3, "stride": 1, "padding": 1}),
    (2, (1, 1, 6, 10), {"kernel": (3, 2), "stride": (1, 3), "padding": (1, 0), "ceil_mode": True}),
    (2, (1, 1, 4, 9), {"kernel": (1, 5), "stride": 4, "padding": (0, 2)}),
    (3, (1, 2, 4, 5, 6), {"kernel": 2}),
    (3, (2, 5, 4, 7), {"kernel": 3, "stride": (2, 1, 2), "padding": 1, "ceil_mode": True}),
]


def names(kwargs):
    return {"kernel_size" if k == "kernel" else k: v for k, v in kwargs.items()}


@pytest.mark.parametrize("dims, shape, window", CASES)
def test_max_pool(dims, shape, window):
    reference = lambda a: reduced(a, dims, maximum, **window)  # noqa: E731
    for indexed in (False, True):
        pool = lambda t: MAX[dims](t, **names(window), return_indices=indexed)  # noqa: B023, E731
        check_op(lambda t: pool(t).values if indexed else pool(t), reference, distinct(*shape), dtypes=EXACT)  # noqa: B023


@pytest.mark.parametrize("dilation", [2, (1, 3), (2, 1)])
def test_max_pool_dilated(dilation):
    window = {"kernel": (3, 2), "stride": (1, 2), "padding": 1, "dilation": dilation}
    check_op(
        lambda t: F.max_pool2d(t, **names(window)),
        lambda a: reduced(a, 2, maximum, **window),
        distinct(2, 1, 8, 13),
        dtypes=EXACT,
    )


@pytest.mark.parametrize("kernel", [17, (1, 300), (2, 129)])
def test_windows_of_more_than_256_places(kernel):
    x = distinct(1, 2, 18, 310)
    leaf = lamina.tensor(x).requires_grad_()
    y = F.max_pool2d(leaf, kernel, 3)
    np.testing.assert_array_equal(y.detach().numpy(), reduced(x, 2, maximum, kernel, 3))
    y.sum().backward()
    assert float(leaf.grad.sum()) == y.numel()


def test_rows_longer_than_a_run():
    x = distinct(1, 2, 4, 2500)
    for kernel, stride, padding in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (3, 5, 0)]:
        leaf = lamina.tensor(x).requires_grad_()
        y = F.max_pool2d(leaf, kernel, stride, padding)
        np.testing.assert_array_equal(y.detach().numpy(), reduced(x, 2, maximum, kernel, stride, padding))
        np.testing.assert_array_equal(F.max_pool2d(leaf.detach(), kernel, stride, padding).numpy(), y.detach().numpy())
        mean = F.avg_pool2d(leaf, kernel, stride, padding)
        assert_close(mean, reduced(x, 2, mean_with_padding, kernel, stride, padding), "float64", 9)
        leaf.grad = None
        mean.sum().backward()
        assert float(leaf.grad.sum()) == pytest.approx(
            float(F.avg_pool2d(lamina.ones_like(leaf), kernel, stride, padding).sum()), rel=1e-12
        )


@pytest.mark.parametrize("dims, shape, window", CASES)
def test_avg_pool(dims, shape, window):
    x = RNG.standard_normal(shape)
    variants = [
        ({}, mean_with_padding),
        ({"count_include_pad": False}, lambda v, counted: np.nanmean(v, -1)),
        ({"divisor_override": 5}, lambda v, counted: np.nansum(v, -1) / 5),
    ]
    for more, f in variants:
        check_op(
            lambda t: AVG[dims](t, **names(window), **more),  # noqa: B023
            lambda a: reduced(a, dims, f, **window),  # noqa: B023
            x,
            dtypes=EXACT,
            length=27,
        )


def adaptive(x, size, f):
    dims = len(size)
    out = np.empty((*x.shape[:-dims], *size))
    for place in itertools.product(*map(range, size)):
        cut = tuple(
            slice(o * n // s, -((-(o + 1) * n) // s)) for o, n, s in zip(place, x.shape[-dims:], size, strict=True)
        )
        out[(..., *place)] = f(x[(..., *cut)].reshape(*x.shape[:-dims], -1), -1)
    return out


@pytest.mark.parametrize(
    "shape, size", [((2, 3, 9), (4,)), ((1, 2, 7, 9), (3, 4)), ((3, 5, 6), (1, 1)), ((1, 2, 4, 5, 6), (2, 5, 3))]
)
def test_adaptive_pools(shape, size):
    dims, x = len(size), distinct(*shape)
    average = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[dims - 1]
    highest = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[dims - 1]
    check_op(lambda t: average(t, size), lambda a: adaptive(a, size, np.mean), x, dtypes=EXACT, length=40)
    check_op(lambda t: highest(t, size), lambda a: adaptive(a, size, np.max), x, dtypes=EXACT)
    values, indices = highest(lamina.tensor(x), size, return_indices=True)
    flat = x.reshape(*x.shape[:-dims], -1)
    picked = np.take_along_axis(flat, indices.numpy().reshape(*x.shape[:-dims], -1), -1)
    np.testing.assert_array_equal(picked.reshape(values.shape), values.numpy())


def test_the_first_of_equal_ones_and_nan():
    for kernel, stride in [(2, 2), (3, 2), (3, 1)]:
        x = lamina.zeros(1, 1, 6, 22, requires_grad=True)
        F.max_pool2d(x, kernel, stride).sum().backward()
        want = np.zeros((6, 22))
        for i in range((6 - kernel) // stride + 1):
            for j in range((22 - kernel) // stride + 1):
                want[i * stride, j * stride] += 1
        np.testing.assert_array_equal(x.grad.numpy()[0, 0], want)

    bad = np.zeros((1, 1, 4, 4), np.float32)
    bad[0, 0, 0, 1] = bad[0, 0, 1, 0] = np.nan
    for recorded in (False, True):
        leaf = lamina.tensor(bad, requires_grad=recorded)
        y = F.max_pool2d(leaf, 2)
        assert np.isnan(y.detach().numpy()[0, 0, 0, 0]) and int(y.detach().isnan().sum()) == 1
    y.sum().backward()
    assert float(leaf.grad[0, 0, 1, 0]) == 1.0  # of several NaN the last, as in PyTorch
    low = lamina.full((1, 1, 4, 4), -np.inf, requires_grad=True)
    y = F.max_pool2d(low, 3, 2, 1)
    y.sum().backward()
    assert bool((y.detach() == -np.inf).all()) and float(low.grad.sum()) == 4.0


def test_unpool_puts_values_back():
    x = distinct(2, 3, 6, 8)
    check_op(
        lambda t: F.max_unpool2d(*F.max_pool2d(t, 2, return_indices=True), 2),
        lambda a: np.where(a == np.repeat(np.repeat(reduced(a, 2, maximum, 2), 2, 2), 2, 3), a, 0),
        x,
        dtypes=EXACT,
    )
    line = lamina.tensor([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
    values, indices = F.max_pool1d(line, 2, return_indices=True)
    assert F.max_unpool1d(values, indices, 2).tolist() == [[[0, 5, 0, 4]]]
    assert nn.MaxUnpool1d(2)(values, indices, output_size=line.shape).tolist() == [[[0, 5, 0, 4, 0]]]
    with pytest.raises(IndexError, match=r"max_unpool1d: indices must lie within an output of size \(2,\)"):
        F.max_unpool1d(values, indices, 2, output_size=(2,))


def test_empty_batches():
    for f in (lambda t: F.max_pool2d(t, 2), lambda t: F.avg_pool2d(t, 2), lambda t: F.interpolate(t, scale_factor=0.5)):
        x = lamina.zeros(0, 3, 4, 6, requires_grad=True)
        y = f(x)
        y.sum().backward()
        assert y.shape == (0, 3, 2, 3) and x.grad.shape == x.shape


# ---- resizing ----


def resized(x, size, place):
    """Blends along each dimension in turn; place(o, n, m) is where output o of m lies in an input of n."""
    for axis, m in enumerate(size, x.ndim - len(size)):
        n = x.shape[axis]
        at = np.clip([place(o, n, m) for o in range(m)], 0, n - 1)
        near = np.floor(at).astype(int)
        far = (at - near).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        x = x.take(near, axis) * (1 - far) + x.take(np.minimum(near + 1, n - 1), axis) * far
    return x


@pytest.mark.parametrize("shape", [(2, 2, 7), (1, 2, 5, 6), (1, 1, 3, 4, 5)])
@pytest.mark.parametrize("factor", [2, 0.6, 1.7])
def test_interpolate(shape, factor):
    dims, x = len(shape) - 2, RNG.standard_normal(shape)
    size = tuple(int(n * factor) for n in shape[2:])
    mode = ("linear", "bilinear", "trilinear")[dims - 1]
    check_op(
        lambda t: F.interpolate(t, size, mode=mode),
        lambda a: resized(a, size, lambda o, n, m: (o + 0.5) * n / m - 0.5),
        x,
        dtypes=EXACT,
        length=4,
    )
    check_op(
        lambda t: F.interpolate(t, scale_factor=factor, mode=mode, align_corners=True),
        lambda a: resized(a, size, lambda o, n, m: o * (n - 1) / (m - 1) if m > 1 else 0),
        x,
        dtypes=EXACT,
        length=4,
    )
    check_op(
        lambda t: F.interpolate(t, scale_factor=factor),
        lambda a: resized(a, size, lambda o, n, m: np.floor(o / factor)),
        x,
        dtypes=EXACT,
    )
    check_op(
        lambda t: F.interpolate(t, size, mode="nearest-exact"),
        lambda a: resized(a, size, lambda o, n, m: np.floor((o + 0.5) * n / m)),
        x,
        dtypes=EXACT,
    )


def test_wide_images_are_resized_by_runs():
    x = RNG.standard_normal((1, 2, 3, 3000))
    for size in [(5, 4100), (2, 50), (3, 3000)]:
        got = F.interpolate(lamina.tensor(x), size, mode="bilinear")
        assert_close(got, resized(x, size, lambda o, n, m: (o + 0.5) * n / m - 0.5), "float64", 4)


# ---- against PyTorch ----


def both(torch, name, array, *args, **kwargs):
    """Ours and theirs, with the gradient of the input."""
    results = []
    for library, functions in ((lamina, F), (torch, torch.nn.functional)):
        leaf = library.tensor(array, requires_grad=True)
        out = getattr(functions, name)(leaf, *args, **kwargs)
        out = tuple(out) if isinstance(out, tuple) else (out,)
        weight = np.linspace(0.5, 1.5, int(np.prod(out[0].shape))).reshape(tuple(out[0].shape)).astype(array.dtype)
        out[0].backward(library.tensor(weight))
        results.append([o.detach().numpy() for o in out] + [leaf.grad.numpy()])
    return results


def test_like_pytorch_in_random_configurations():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    done = 0
    while done < 40:
        dims = int(rng.integers(1, 4))
        kernel = tuple(int(k) for k in rng.integers(1, 5, dims))
        window = {
            "kernel_size": kernel,
            "stride": tuple(int(s) for s in rng.integers(1, 4, dims)),
            "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
            "ceil_mode": bool(rng.integers(2)),
        }
        dilation = tuple(int(d) for d in rng.integers(1, 3, dims))
        shape = (2, 2, *(int(n) for n in rng.integers(4, 14, dims)))
        if any(d * (k - 1) + 1 > n for d, k, n in zip(dilation, kernel, shape[2:], strict=True)):
            continue
        x = rng.integers(-4, 5, shape).astype(np.float64)  # ties
        for indices in (False, True):
            calls = both(torch, f"max_pool{dims}d", x, **window, dilation=dilation, return_indices=indices)
            for ours, theirs in zip(*calls, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{shape} {window} {dilation}")
        more = {"count_include_pad": bool(rng.integers(2))}
        if dims > 1 and rng.integers(2):
            more["divisor_override"] = 3
        for ours, theirs in zip(*both(torch, f"avg_pool{dims}d", x, **window, **more), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=f"{shape} {window} {more}")
        done += 1


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "area"])
@pytest.mark.parametrize("to", [{"size": 9}, {"scale_factor": 2}, {"scale_factor": 0.5}, {"scale_factor": 1.3}])
def test_interpolate_like_pytorch(mode, to):
    torch = pytest.importorskip("torch")
    for dims in (1, 2, 3):
        x = RNG.standard_normal((2, 3, *(6, 7, 4)[:dims]))
        name = ("linear", "bilinear", "trilinear")[dims - 1] if mode == "linear" else mode
        for aligned in (None, False, True) if mode == "linear" else (None,):
            for again in (None, True) if "scale_factor" in to and mode != "area" else (None,):
                calls = both(
                    torch, "interpolate", x, mode=name, align_corners=aligned, recompute_scale_factor=again, **to
                )
                for ours, theirs in zip(*calls, strict=True):
                    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_other_layers_like_pytorch():
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((2, 7, 6, 5))
    cases = [
        ("local_response_norm", (5, 0.3, 0.75, 2.0)),
        ("local_response_norm", (4,)),
        ("lp_pool2d", (2.0, (3, 2), 2)),
        ("adaptive_avg_pool2d", ((4, 3),)),
        ("adaptive_max_pool2d", ((4, 3), True)),
    ]
    for name, args in cases:
        for ours, theirs in zip(*both(torch, name, x, *args), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=name)
    for layer in ("MaxPool2d(3, 2, 1)", "AvgPool2d(2)", "AdaptiveAvgPool2d((None, 2))", "LocalResponseNorm(2)"):
        ours = eval(f"nn.{layer}")(lamina.tensor(x)).numpy()
        theirs = eval(f"torch.nn.{layer}", {"torch": torch})(torch.tensor(x)).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=layer)
        assert repr(eval(f"nn.{layer}")).startswith(layer.split("(")[0])


# ---- calls that cannot work ----


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: F.max_pool2d(lamina.ones(1, 1, 2, 2), 3), r"max_pool2d: no window of kernel_size \(3, 3\), .*fits"),
        (lambda: F.avg_pool1d(lamina.ones(1, 1, 4), 2, padding=2), "avg_pool1d: padding may be at most half"),
        (lambda: F.max_pool2d(lamina.ones(4, 4), 2), r"max_pool2d: input must be \(N, C, H, W\) or \(C, H, W\)"),
        (lambda: F.max_pool2d(lamina.ones(1, 1, 4, 4), 0), "max_pool2d: kernel_size must be at least 1"),
        (lambda: F.max_pool2d(lamina.ones(1, 1, 4, 4), 2, -1), "max_pool2d: stride must be at least 1"),
        (lambda: F.max_pool2d(lamina.ones(1, 1, 4, 4), (1, 2, 3)), "max_pool2d: kernel_size must be one number or 2"),
        (lambda: F.avg_pool2d(lamina.ones(1, 1, 4, 4), 2, divisor_override=0), "avg_pool2d: divisor_override must not"),
        (lambda: F.adaptive_avg_pool2d(lamina.ones(1, 1, 4, 4), 0), "adaptive_avg_pool2d: output_size must not be 0"),
        (lambda: F.interpolate(lamina.ones(1, 1, 4), mode="cubic", size=3), "interpolate: mode must be one of"),
        (lambda: F.interpolate(lamina.ones(1, 1, 4, 4)), "interpolate: expected either size or scale_factor"),
        (lambda: F.interpolate(lamina.ones(1, 1, 4, 4), 0), "interpolate: sizes must be at least 1"),
        (lambda: F.interpolate(lamina.ones(1, 1, 4, 4), 3, mode="linear"), "interpolate: linear needs an input with 3"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_refused():
    with pytest.raises(TypeError, match="max_pool2d: input must be float32, float64, float16 or bfloat16, got int64"):
        F.max_pool2d(lamina.ones(1, 1, 4, 4, dtype=lamina.int64), 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        lambda x: F.avg_pool2d(x, 3, 2),
        lambda x: F.adaptive_max_pool2d(x, 3),
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.interpolate(x, (9, 5)),
        lambda x: F.interpolate(x, (9, 5), mode="bilinear"),
    ],
)
def test_half_types_are_computed_in_float32(f, dtype):
    half = lamina.randn(2, 3, 7, 8).to(dtype)
    wide, half = half.to("float32").requires_grad_(), half.requires_grad_()
    y, want = f(half), f(wide)
    assert y.dtype == half.dtype
    np.testing.assert_array_equal(y.detach().to("float32").numpy(), want.to(dtype).detach().to("float32").numpy())
    dy = lamina.randn(*y.shape).to(dtype)
    y.backward(dy)
    want.backward(dy.to("float32"))
    assert half.grad.dtype == half.dtype
    np.testing.assert_array_equal(half.grad.to("float32").numpy(), wide.grad.to(dtype).to("float32").numpy())


def test_the_same_bits_on_any_number_of_threads_and_in_a_replay(set_threads):
    x = lamina.randn(3, 5, 40, 41)
    steps = {
        "max": lambda t: F.max_pool2d(t, 3, 2, 1),
        "average": lambda t: F.avg_pool2d(t, 3, 2, 1),
        "resize": lambda t: F.interpolate(t, (60, 61), mode="bilinear"),
    }
    for name, f in steps.items():
        results = []
        for threads in (1, 2, 3):
            set_threads(threads)
            leaf = x.clone().requires_grad_()
            y = f(leaf)
            y.square().sum().backward()
            results.append((y.detach().numpy(), leaf.grad.numpy()))
        for y, grad in results[1:]:
            assert np.array_equal(y, results[0][0]) and np.array_equal(grad, results[0][1]), name

        @lamina.capture
        def step(t, f=f):
            leaf = t.detach().requires_grad_()
            f(leaf).square().sum().backward()
            return leaf.grad

        for _ in range(3):
            again = step(x)
        np.testing.assert_array_equal(again.numpy(), results[0][1])
