"""Batch, group and instance norm: value and gradient against float64, running statistics, fusion with residual and ReLU."""

import numpy as np
import pytest

import lamina
from checks import check_op, tolerance
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(8)
EXACT = ("float32", "float64")
# one element to a channel; runs shorter and longer than a vector; channels of more than a block and a cut
SMALL = [(5, 3), (2, 19), (3, 2, 4), (2, 3, 3, 3), (2, 2, 2, 3, 2), (4, 1, 9)]
LARGE = [(70, 37), (300, 5), (3, 5, 700), (40, 3, 5, 5), (2, 3, 50, 50), (1, 2, 9000), (200, 600)]


def over_channels(v, x):
    return v.reshape([1, -1] + [1] * (x.ndim - 2))


def normalised(x, axes, eps=1e-5):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + eps)


def batch_reference(x, w, b, residual=None, relu=False):
    y = normalised(x, (0, *range(2, x.ndim))) * over_channels(w, x) + over_channels(b, x)
    y = y if residual is None else y + residual
    return np.maximum(y, 0) if relu else y


def arrays(shape):
    channels = shape[1]
    x = 2 * RNG.standard_normal(shape) + RNG.uniform(-3, 3, channels).reshape([1, -1] + [1] * (len(shape) - 2))
    return x, RNG.uniform(0.5, 2, channels), RNG.standard_normal(channels)


@pytest.mark.parametrize("shape", SMALL + LARGE)
def test_batch_norm_in_training(shape):
    x, w, b = arrays(shape)
    check_op(
        lambda t, w, b: F.batch_norm(t, None, None, w, b, True),
        batch_reference, x, w, b, dtypes=EXACT, grad=shape in SMALL, length=x.size,
    )  # fmt: skip


def check_held(fn, reference, *arrays, grad):
    """check_op for results that ReLU made 0 in part: they may be off by what rounding does to the largest."""
    check_op(fn, reference, *arrays, dtypes=(), grad=grad)
    for dtype in EXACT:
        rounded = [lamina.tensor(a).to(getattr(lamina, dtype)) for a in arrays]
        want = reference(*[t.double().numpy() for t in rounded])
        for inputs in (rounded, [t.clone().requires_grad_() for t in rounded]):
            off = np.abs(fn(*inputs).detach().numpy() - want).max()
            assert off <= tolerance(dtype, arrays[0].size) * np.abs(want).max()


@pytest.mark.parametrize("shape", SMALL + LARGE)
def test_batch_norm_with_residual_and_relu(shape):
    x, w, b = arrays(shape)
    residual = RNG.standard_normal(shape)
    check_held(
        lambda t, w, b: F.batch_norm(t, None, None, w, b, True, activation="relu"),
        lambda x, w, b: batch_reference(x, w, b, None, True), x, w, b, grad=shape in SMALL,
    )  # fmt: skip
    for relu in (None, "relu"):
        check_held(
            lambda t, w, b, r: F.batch_norm(t, None, None, w, b, True, activation=relu, residual=r),  # noqa: B023
            lambda x, w, b, r: batch_reference(x, w, b, r, bool(relu)),  # noqa: B023
            x, w, b, residual, grad=shape in SMALL,
        )  # fmt: skip


@pytest.mark.parametrize("shape", [*SMALL, (3, 5, 700)])
def test_batch_norm_in_evaluation(shape):
    x, w, b = arrays(shape)
    mean, var = RNG.standard_normal(shape[1]), RNG.uniform(0.3, 2, shape[1])
    for relu in (None, "relu"):

        def ours(t, w, b, relu=relu):
            return F.batch_norm(
                t, lamina.tensor(mean).to(t.dtype), lamina.tensor(var).to(t.dtype), w, b, activation=relu
            )

        def reference(x, w, b, relu=relu):
            y = (x - over_channels(mean, x)) / np.sqrt(over_channels(var, x) + 1e-5)
            y = y * over_channels(w, x) + over_channels(b, x)
            return np.maximum(y, 0) if relu else y

        check_held(ours, reference, x, w, b, grad=shape in SMALL)


def test_the_fused_pass_is_what_three_operations_are():
    for shape in [(40, 33), (4, 6, 13, 11)]:
        x, w, b = arrays(shape)
        residual = RNG.standard_normal(shape)
        grads = []
        for fused in (True, False):
            leaves = [lamina.tensor(a, requires_grad=True) for a in (x, w, b, residual)]
            if fused:
                y = F.batch_norm(leaves[0], None, None, *leaves[1:3], True, activation="relu", residual=leaves[3])
            else:
                y = F.relu(F.batch_norm(leaves[0], None, None, *leaves[1:3], True) + leaves[3])
            y.square().sum().backward()
            grads.append([y.detach().numpy()] + [leaf.grad.numpy() for leaf in leaves])
        for one, other in zip(*grads, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 40, 41)])
def test_running_statistics(shape):
    layers = {"exponential": nn.BatchNorm2d(3, momentum=0.3), "cumulative": nn.BatchNorm2d(3, momentum=None)}
    mean, var, means, variances = np.zeros(3), np.ones(3), [], []
    axes = (0, *range(2, len(shape)))
    for layer in layers.values():
        layer.ndims = (len(shape),)
        layer.double()
    for _ in range(4):
        x = RNG.standard_normal(shape) + 2
        means.append(x.mean(axes))
        variances.append(x.var(axes, ddof=1))
        mean, var = 0.7 * mean + 0.3 * means[-1], 0.7 * var + 0.3 * variances[-1]
        for layer in layers.values():
            layer(lamina.tensor(x))
    np.testing.assert_allclose(layers["exponential"].running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layers["exponential"].running_var.numpy(), var, rtol=1e-12)
    np.testing.assert_allclose(layers["cumulative"].running_mean.numpy(), np.mean(means, 0), rtol=1e-12)
    np.testing.assert_allclose(layers["cumulative"].running_var.numpy(), np.mean(variances, 0), rtol=1e-12)
    assert int(layers["cumulative"].num_batches_tracked) == 4


def test_constant_channels_have_no_variance():
    for shape in [(7, 3), (3, 3, 5), (2, 3, 70, 70), (4, 3, 2, 2)]:
        for dtype in (lamina.float32, lamina.float64):
            x = lamina.full(shape, 0.1, dtype=dtype)
            mean, var = lamina.zeros(3, dtype=dtype), lamina.ones(3, dtype=dtype)
            y = F.batch_norm(x, mean, var, training=True, momentum=1.0)
            assert bool((y == 0).all()) and bool((var == 0).all()) and bool((mean == x.flatten()[0]).all())
            assert bool((F.group_norm(x, 1) == 0).all())


def test_a_large_mean_does_not_drown_the_variance():
    x = (1e4 + RNG.standard_normal((8, 2, 50, 50))).astype(np.float32)
    x[0] -= 1e4  # nothing like what comes after
    for layout in (x, np.ascontiguousarray(x[::-1])):
        mean, var = lamina.zeros(2), lamina.ones(2)
        y = F.batch_norm(lamina.tensor(layout), mean, var, training=True, momentum=1.0)
        wide = layout.astype(np.float64)
        np.testing.assert_allclose(var.numpy(), wide.var((0, 2, 3), ddof=1), rtol=2e-6)
        np.testing.assert_allclose(y.numpy(), normalised(wide, (0, 2, 3)), atol=2e-6)
    near = (1e4 + RNG.standard_normal((8, 2, 50, 50))).astype(np.float32)
    got = F.batch_norm(lamina.tensor(near), None, None, training=True).numpy()
    np.testing.assert_allclose(got, normalised(near.astype(np.float64), (0, 2, 3)), atol=5e-6)


@pytest.mark.parametrize("shape", SMALL + LARGE)
@pytest.mark.parametrize("all_groups", [False, True])
def test_group_norm(shape, all_groups):
    x, w, b = arrays(shape)
    if all_groups and len(shape) == 2:
        return  # one element to a group
    groups = shape[1] if all_groups else 1 if shape[1] % 2 else 2

    def reference(x, w, b):
        rows = x.reshape(x.shape[0], groups, -1)
        return normalised(rows, 2).reshape(x.shape) * over_channels(w, x) + over_channels(b, x)

    check_op(
        lambda t, w, b: F.group_norm(t, groups, w, b), reference, x, w, b,
        dtypes=EXACT, grad=shape in SMALL, length=x.size,
    )  # fmt: skip


def test_layers_like_pytorch():
    torch = pytest.importorskip("torch")
    cases = [
        ("BatchNorm1d", (4,), {}, (6, 4)),
        ("BatchNorm1d", (4,), {"affine": False}, (6, 4, 5)),
        ("BatchNorm2d", (3,), {"momentum": None}, (2, 3, 9, 7)),
        ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
        ("BatchNorm3d", (2,), {"eps": 0.1, "momentum": 0.5}, (2, 2, 3, 4, 5)),
        ("InstanceNorm1d", (4,), {}, (2, 4, 5)),
        ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (3, 4, 5, 6)),
        ("InstanceNorm2d", (4,), {}, (4, 5, 6)),
        ("InstanceNorm3d", (2,), {"affine": True}, (2, 2, 3, 4, 5)),
        ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
    ]
    for name, args, kwargs, shape in cases:
        ours = getattr(nn, name)(*args, **kwargs, dtype=lamina.float64)
        theirs = getattr(torch.nn, name)(*args, **kwargs, dtype=torch.float64)
        state = {k: v.numpy() for k, v in theirs.state_dict().items()}
        assert list(ours.state_dict()) == list(state), name
        ours.load_state_dict({k: lamina.tensor(v) for k, v in state.items()})
        for training in (True, True, False):
            ours.train(training), theirs.train(training)
            array = RNG.standard_normal(shape) * 2 + 1
            x, y = lamina.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
            got, want = ours(x), theirs(y)
            got.square().sum().backward(), want.square().sum().backward()
            np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-12, err_msg=name)
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-9, err_msg=name)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-12, err_msg=key)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-9, err_msg=name)
        assert repr(ours).startswith(f"{name}({args[0]}, ")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("own", ["float32", "half"])
def test_half_types_are_computed_in_float32(dtype, own):
    """Also with parameters and running statistics that stay in float32."""
    own = getattr(lamina, dtype if own == "half" else own)
    images = lamina.randn(4, 6, 5, 5).to(dtype)
    for make in (lambda: nn.BatchNorm2d(6), lambda: nn.GroupNorm(3, 6), lambda: nn.InstanceNorm2d(6, affine=True)):
        ours, wide = make().to(own), make()
        for training in (True, False):
            ours.train(training), wide.train(training)
            x, x0 = images.clone().requires_grad_(), images.to("float32").requires_grad_()
            y, y0 = ours(x), wide(x0)
            assert y.dtype == x.dtype
            dy = lamina.randn(*y.shape).to(dtype)
            y.backward(dy), y0.backward(dy.to("float32"))
            pairs = [(y.detach(), y0.detach()), (x.grad, x0.grad), (ours.weight.grad, wide.weight.grad)]
            pairs += [(a, b) for a, b in zip(ours.buffers(), wide.buffers(), strict=True) if a.dtype != lamina.int64]
            for got, want in pairs:  # what was rounded on the way in evaluation are the running statistics
                error = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
                scale = 4 * error * max(1.0, want.abs().max().item())
                np.testing.assert_allclose(got.to("float32").numpy(), want.numpy(), rtol=0, atol=scale)


def test_replays_update_running_statistics_of_half_the_width():
    layer, twin = (nn.BatchNorm2d(3).to(lamina.bfloat16) for _ in range(2))
    step = lamina.capture(lambda x: layer(x))
    for _ in range(4):
        x = lamina.randn(2, 3, 4, 4).to("bfloat16")
        step(x), twin(x)
        assert layer.running_var.to("float32").tolist() == twin.running_var.to("float32").tolist()
    assert layer.running_var.to("float32").tolist() != [1.0, 1.0, 1.0]


def test_replays_update_running_statistics():
    eager, replayed = nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(3, momentum=None)

    @lamina.capture
    def step(x):
        return replayed(x)

    for _ in range(4):
        x = lamina.randn(4, 3, 6, 6)
        with lamina.no_grad():
            want = eager(x)
            np.testing.assert_array_equal(step(x).numpy(), want.numpy())
    for key, value in eager.state_dict().items():
        np.testing.assert_array_equal(replayed.state_dict()[key].numpy(), value.numpy())
    assert int(replayed.num_batches_tracked) == 4


def test_the_same_bits_on_any_number_of_threads(set_threads):
    for shape in [(50, 70), (8, 33, 30, 30)]:
        x, residual = lamina.randn(*shape), lamina.randn(*shape)
        results = []
        for threads in (1, 2, 3):
            set_threads(threads)
            leaf = x.clone().requires_grad_()
            y = F.batch_norm(leaf, None, None, training=True, activation="relu", residual=residual)
            F.group_norm(y, 1).square().sum().backward()
            results.append((y.detach().numpy(), leaf.grad.numpy()))
        assert all(np.array_equal(a, b) for r in results[1:] for a, b in zip(r, results[0], strict=True))


def test_empty_batches():
    layer = nn.BatchNorm2d(3)
    x = lamina.zeros(0, 3, 4, 4, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.shape == x.shape and layer.weight.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nn.BatchNorm1d(3)(lamina.ones(1, 3)), r"batch_norm: in training more than one value to a channel"),
        (lambda: nn.BatchNorm2d(3)(lamina.ones(2, 3, 4)), r"BatchNorm2d: expected 4 dimensions, got shape \(2, 3, 4\)"),
        (lambda: nn.BatchNorm2d(2)(lamina.ones(2, 3, 4, 4)), "batch_norm: weight must have one element to each of input"),
        (lambda: F.batch_norm(lamina.ones(2, 3), None, None), "batch_norm: without training, running_mean and"),
        (lambda: F.batch_norm(lamina.ones(2, 3), None, None, training=True, activation="tanh"), "activation must be 'relu'"),
        (lambda: F.batch_norm(lamina.ones(2, 3), None, None, training=True, residual=lamina.ones(3)), "residual must have"),
        (lambda: F.batch_norm(lamina.ones(2, 3), None, None, training=True, eps=-1), "eps must not be negative"),
        (lambda: F.group_norm(lamina.ones(2, 3), 2), "group_norm: num_groups must divide input's 3 channels, got 2"),
        (lambda: F.instance_norm(lamina.ones(2, 3, 1)), "instance_norm: more than one value to a channel"),
    ],
)  # fmt: skip
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- what a convolution needs is made again ----


def normed_and_convolved(between, training=True, relu="relu"):
    """Loss and gradients of a batch norm and a convolution of it; `between` sees what goes from one to the other."""
    rng = np.random.default_rng(3)
    x, weight, bias = leaves = [
        lamina.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=True)
        for s in ((4, 16, 40, 40), (16,), (16,))
    ]
    kernel = lamina.tensor(rng.standard_normal((8, 16, 3, 3)).astype(np.float32), requires_grad=True)
    statistics = lamina.zeros(16), lamina.ones(16)
    y = between(F.batch_norm(x, *statistics, weight, bias, training, activation=relu))
    loss = (F.conv2d(y, kernel, padding=1) ** 2).sum()
    del y
    return loss, [*leaves, kernel]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", ["relu", None])
def test_a_convolution_has_its_input_made_again(training, relu):
    """A clone is kept as any tensor is: with the same bits, and more memory."""
    bits, held = [], []
    for between in (lambda y: y, lambda y: y.clone()):
        before = lamina.memory_stats()["allocated"]
        loss, leaves = normed_and_convolved(between, training, relu)
        held.append(lamina.memory_stats()["allocated"] - before)
        loss.backward()
        bits.append([leaf.grad.numpy() for leaf in leaves])
        del loss, leaves
    assert held[1] - held[0] >= 4 * 16 * 40 * 40 * 4
    for got, wanted in zip(*bits, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_what_was_changed_before_the_convolution_saw_it_is_kept():
    def doubled(y):
        with lamina.no_grad():
            y.mul_(2)
        return y

    (loss, leaves), (twin, others) = normed_and_convolved(doubled), normed_and_convolved(lambda y: y.detach() * 2)
    loss.backward()
    twin.backward()
    np.testing.assert_array_equal(leaves[-1].grad.numpy(), others[-1].grad.numpy())


def test_what_is_made_again_may_be_freed_only_after_the_convolution():
    outputs = []
    loss, leaves = normed_and_convolved(lambda y: outputs.append(y) or y)
    outputs[0].sum().backward()
    with pytest.raises(RuntimeError, match="cannot be computed again.*retain_graph"):
        lamina.autograd.grad(loss, leaves[-1:])
    loss, leaves = normed_and_convolved(lambda y: y)
    loss.backward(retain_graph=True)
    first = leaves[-1].grad.numpy().copy()
    loss.backward()
    np.testing.assert_array_equal(leaves[-1].grad.numpy(), 2 * first)
