"""Losses: value and gradient against float64 NumPy, extremes, labels out of range, bits on any number of threads."""

import numpy as np
import pytest

import lamina
from checks import check_op
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(5)
REDUCTIONS = ("mean", "sum", "none")


def reduced(losses, reduction, weight=None):
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / (losses.size if weight is None else weight)


def log_softmax(x, axis):
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# ---- classes ----

# rows shorter and longer than a vector and than a block; columns narrower and wider than a strip; many cuts
SHAPES = [
    (3,),
    (1, 1),
    (5, 3),
    (4, 4),
    (9, 10),
    (2, 1500),
    (600, 70),
    (2, 5, 3),
    (3, 4, 2, 5),
    (2, 3, 1100),
    (40, 300, 3),
]


def cross_entropy_reference(x, target, weight=None, ignore_index=-100, reduction="mean", smoothing=0.0, soft=False):
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    logs = np.moveaxis(log_softmax(x, axis), axis, -1)
    w = np.ones(classes) if weight is None else weight
    if soft:
        q = np.moveaxis(target, axis, -1)
        counted = np.ones(logs.shape[:-1])
        divisor = counted.size
    else:
        kept = target != ignore_index
        q = np.eye(classes)[np.where(kept, target, 0)] * kept[..., None]
        counted = kept.astype(float)
        divisor = (w[np.where(kept, target, 0)] * kept).sum()
    q = (1 - smoothing) * q + smoothing / classes * counted[..., None]
    return reduced(-(w * q * logs).sum(-1), reduction, divisor)


def labels_for(shape, ignored=False):
    axis = 0 if len(shape) == 1 else 1
    labels = RNG.integers(0, shape[axis], [n for i, n in enumerate(shape) if i != axis])
    if ignored and labels.size > 1:
        labels.reshape(-1)[::3] = -100
    return np.array(labels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_labels(shape, reduction):
    x = 3 * RNG.standard_normal(shape)
    grad = x.size < 300
    classes = shape[0] if len(shape) == 1 else shape[1]
    for ignored, smoothing, weighted in [(False, 0.0, False), (True, 0.0, True), (True, 0.1, False), (True, 0.3, True)]:
        labels = labels_for(shape, ignored)
        weight = RNG.uniform(0.5, 2, classes) if weighted else None
        check_op(
            lambda t: F.cross_entropy(
                t,
                lamina.tensor(labels),  # noqa: B023
                None if weight is None else lamina.tensor(weight),  # noqa: B023
                reduction=reduction,
                label_smoothing=smoothing,  # noqa: B023
            ),
            lambda a: cross_entropy_reference(a, labels, weight, reduction=reduction, smoothing=smoothing),  # noqa: B023
            x,
            grad=grad,
            length=x.size,
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_distributions(shape, reduction):
    x, q = 3 * RNG.standard_normal(shape), RNG.uniform(0, 1, shape)
    classes = shape[0] if len(shape) == 1 else shape[1]
    weight = RNG.uniform(0.5, 2, classes)
    for w, smoothing in [(None, 0.0), (weight, 0.2)]:
        check_op(
            lambda t, s: F.cross_entropy(
                t,
                s,
                None if w is None else lamina.tensor(w),  # noqa: B023
                reduction=reduction,
                label_smoothing=smoothing,  # noqa: B023
            ),
            lambda a, b: cross_entropy_reference(a, b, w, reduction=reduction, smoothing=smoothing, soft=True),  # noqa: B023
            x,
            q,
            grad=x.size < 300,
            length=x.size,
        )


@pytest.mark.parametrize("shape", [(5, 3), (3, 4, 5), (4,), (2, 3, 1100)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_loss(shape, reduction):
    x, labels = RNG.standard_normal(shape), labels_for(shape, ignored=True)
    axis = 0 if len(shape) == 1 else 1
    weight = RNG.uniform(0.5, 2, shape[axis])
    kept = labels != -100
    chosen = np.where(kept, labels, 0)

    def reference(a):
        picked = np.take_along_axis(a, np.expand_dims(chosen, axis), axis).squeeze(axis)
        return reduced(-picked * weight[chosen] * kept, reduction, (weight[chosen] * kept).sum())

    check_op(
        lambda t: F.nll_loss(t, lamina.tensor(labels), lamina.tensor(weight), reduction=reduction),
        reference,
        x,
        grad=x.size < 300,
        length=x.size,
    )


def test_nll_loss_of_log_softmax_is_cross_entropy():
    x, y = lamina.randn(8, 5), lamina.tensor(labels_for((8, 5)))
    assert lamina.allclose(F.nll_loss(F.log_softmax(x, 1), y), F.cross_entropy(x, y))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_labels_of_any_integer_type(dtype):
    x, labels = lamina.randn(6, 3), labels_for((6, 3))
    want = F.cross_entropy(x, lamina.tensor(labels))
    assert F.cross_entropy(x, lamina.tensor(labels).to(getattr(lamina, dtype))) == want


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5)])
def test_extreme_logits(shape):
    x = np.zeros(shape)
    x[:, 0], x[:, 1] = 1e4, -1e4
    for label, want in ((0, 0.0), (1, 2e4), (2, 1e4)):
        t = lamina.tensor(x, requires_grad=True)
        labels = np.full([n for i, n in enumerate(shape) if i != 1], label)
        loss = F.cross_entropy(t, lamina.tensor(labels), reduction="sum")
        loss.backward()
        assert loss.item() == want * labels.size
        softmax = np.zeros(shape)
        softmax[:, 0] = 1
        softmax[:, label] -= 1
        np.testing.assert_array_equal(t.grad.numpy(), softmax)
    infinite = lamina.tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(infinite, lamina.tensor([0]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(infinite.grad.numpy(), [[-0.5, 0, 0.5]], atol=1e-7)
    assert F.cross_entropy(infinite, lamina.tensor([1])).isinf()
    assert F.cross_entropy(lamina.tensor([[np.inf, 0.0]]), lamina.tensor([1])).isnan()
    assert F.cross_entropy(lamina.tensor([[np.nan, 0.0]]), lamina.tensor([1])).isnan()


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5)])
def test_a_batch_that_is_ignored_whole(shape):
    x = lamina.randn(*shape, requires_grad=True)
    labels = lamina.full([n for i, n in enumerate(shape) if i != 1], -100)
    assert F.cross_entropy(x, labels).isnan() and F.cross_entropy(x, labels, reduction="sum") == 0
    for smoothing in (0.0, 0.1):
        x.grad = None
        F.cross_entropy(x, labels, reduction="sum", label_smoothing=smoothing).backward()
        assert not x.grad.any()
    x.grad = None
    F.cross_entropy(x, labels).backward()  # 0 / 0 is the loss; nothing learns from it
    assert F.cross_entropy(x, labels + 101, ignore_index=1, reduction="sum") == 0


def test_empty_batches():
    x = lamina.zeros(0, 3, requires_grad=True)
    y = lamina.zeros(0, dtype=lamina.int64)
    assert F.cross_entropy(x, y).isnan() and F.cross_entropy(x, y, reduction="sum") == 0
    assert F.cross_entropy(x, y, reduction="none").shape == (0,)
    F.cross_entropy(x, y, reduction="sum").backward()
    assert x.grad.shape == (0, 3)
    assert F.mse_loss(x, lamina.zeros(0, 3)).isnan() and F.mse_loss(x, lamina.zeros(0, 3), reduction="sum") == 0


@pytest.mark.parametrize("shape, place", [((4, 3), r"\(3,\)"), ((2, 3, 1100), r"\(1, 1099\)"), ((3,), r"\(\)")])
@pytest.mark.parametrize("bad", [3, -1, 2**40])
def test_a_label_that_is_no_class(shape, place, bad):
    labels = labels_for(shape)
    labels.reshape(-1)[-1] = bad
    words = rf"cross_entropy: label {bad} at {place} of the target is no class: expected 0 to 2, or ignore_index -100"
    with pytest.raises(IndexError, match=words):
        F.cross_entropy(lamina.zeros(*shape), lamina.tensor(labels))
    with pytest.raises(IndexError, match="nll_loss: label"):
        F.nll_loss(lamina.zeros(*shape), lamina.tensor(labels))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x, y: F.cross_entropy(x, y.unsqueeze(1)), ValueError, r"must have the shape \(4,\), got \(4, 1\)"),
        (lambda x, y: F.cross_entropy(x, y.float()), ValueError, r"probabilities of the input's shape \(4, 3\)"),
        (lambda x, y: F.cross_entropy(x, y > 0), TypeError, "got bool"),
        (lambda x, y: F.cross_entropy(x.long(), y), TypeError, "input must be of a floating type, got int64"),
        (lambda x, y: F.cross_entropy(x, y, lamina.ones(4)), ValueError, r"weight must have the shape \(3,\)"),
        (lambda x, y: F.cross_entropy(x, y, lamina.ones(3).long()), TypeError, "weight must be of a floating type"),
        (lambda x, y: F.cross_entropy(x, y, reduction="avg"), ValueError, "'mean', 'sum' or 'none', got 'avg'"),
        (lambda x, y: F.cross_entropy(x, y, label_smoothing=1.5), ValueError, "between 0 and 1, got 1.5"),
        (lambda x, y: F.cross_entropy(lamina.zeros(4, 0), y), ValueError, "no classes"),
        (lambda x, y: F.cross_entropy(x), TypeError, "missing argument 'target'"),
        (lambda x, y: F.mse_loss(x, y), ValueError, r"same shape, got \(4, 3\) and \(4,\)"),
        (lambda x, y: F.mse_loss(y, y), TypeError, "floating type"),
        (lambda x, y: F.huber_loss(x, x, delta=0), ValueError, "positive"),
        (lambda x, y: F.smooth_l1_loss(x, x, beta=-1), ValueError, "not be negative"),
        (lambda x, y: F.binary_cross_entropy(x + 2, x), ValueError, r"element 0 \(2\) is not; for logits"),
        (
            lambda x, y: F.gaussian_nll_loss(x, x, x - 1),
            ValueError,
            r"variance must not be negative, but element 0 \(-1\)",
        ),
        (lambda x, y: F.gaussian_nll_loss(x, x, lamina.ones(2)), ValueError, "does not fit"),
        (lambda x, y: F.gaussian_nll_loss(x, x, x, eps=0), ValueError, "eps must be positive"),
        (lambda x, y: F.triplet_margin_loss(x, x, x, margin=0), ValueError, "margin must be positive"),
        (lambda x, y: F.contrastive_loss(x, x, x), ValueError, "expected two inputs"),
        (lambda x, y: F.contrastive_loss(x, x, y), ValueError, "target must be 0 .* got values from 0 to 2"),
        (lambda x, y: F.contrastive_loss(x, x, y.clamp(max=1) * 2.0 - 1), ValueError, "got values from -1 to 1"),
        (lambda x, y: F.contrastive_loss(x, x, y.clamp(max=1) * 0.5), ValueError, "got values from 0 to 0.5"),
        (lambda x, y: F.cosine_embedding_loss(x, x, x), ValueError, "expected inputs"),
        (lambda x, y: F.multi_margin_loss(x, y, p=3), ValueError, "p must be 1 or 2"),
        (lambda x, y: nn.MSELoss(reduction="x"), ValueError, "MSELoss: reduction must be one of"),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call(lamina.zeros(4, 3), lamina.tensor([0, 1, 2, 1]))


# ---- element by element ----

N = 19  # a tail behind whole vectors
X, Y = RNG.uniform(-3, 3, (N, 2)), RNG.uniform(-3, 3, (N, 2))
P, Q = RNG.uniform(0.02, 0.98, (N, 2)), RNG.uniform(0.02, 0.98, (N, 2))
SIGNS = RNG.choice([-1.0, 1.0], (N, 2))
COUNTS = RNG.integers(0, 6, (N, 2)).astype(float)


def where(condition, a, b):
    return np.where(condition, a, b)


POINTWISE = {
    "mse": (F.mse_loss, lambda x, y: (x - y) ** 2, (X, Y), {}),
    "squared_error": (F.squared_error, lambda x, y: 0.5 * (x - y) ** 2, (X, Y), {}),
    "l1": (F.l1_loss, lambda x, y: abs(x - y), (X, Y), {}),
    "smooth_l1": (
        F.smooth_l1_loss,
        lambda x, y: where(abs(x - y) < 0.7, 0.5 * (x - y) ** 2 / 0.7, abs(x - y) - 0.35),
        (X, Y),
        {"beta": 0.7},
    ),
    "huber": (
        F.huber_loss,
        lambda x, y: where(abs(x - y) <= 0.7, 0.5 * (x - y) ** 2, 0.7 * (abs(x - y) - 0.35)),
        (X, Y),
        {"delta": 0.7},
    ),
    "bce": (F.binary_cross_entropy, lambda p, q: -q * np.log(p) - (1 - q) * np.log1p(-p), (P, Q), {}),
    "bce_with_logits": (
        F.binary_cross_entropy_with_logits,
        lambda x, q: -q * np.log(sigmoid(x)) - (1 - q) * np.log(sigmoid(-x)),
        (X, Q),
        {},
    ),
    "kl_div": (F.kl_div, lambda x, q: q * (np.log(q) - x), (X, Q), {}),
    "kl_div of logs": (F.kl_div, lambda x, y: np.exp(y) * (y - x), (X, Y), {"log_target": True}),
    "poisson of logs": (F.poisson_nll_loss, lambda x, n: np.exp(x) - n * x, (X, COUNTS), {}),
    "poisson": (F.poisson_nll_loss, lambda x, n: x - n * np.log(x + 1e-8), (P, COUNTS), {"log_input": False}),
    "poisson, full": (
        F.poisson_nll_loss,
        lambda x, n: (
            np.exp(x) - n * x + where(n > 1, n * np.log(n + (n == 0)) - n + 0.5 * np.log(2 * np.pi * (n + (n == 0))), 0)
        ),
        (X, COUNTS),
        {"full": True},
    ),
    "soft_margin": (F.soft_margin_loss, lambda x, s: np.log1p(np.exp(-x * s)), (X, SIGNS), {}),
    "hinge_embedding": (
        F.hinge_embedding_loss,
        lambda x, s: where(s == 1, x, np.maximum(0, 0.8 - x)),
        (X, SIGNS),
        {"margin": 0.8},
    ),
}
NO_TARGET_GRADIENT = ("hinge_embedding", "poisson, full")  # not differentiable where the targets lie


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_pointwise(name, reduction):
    function, losses, operands, options = POINTWISE[name]
    check_op(
        lambda x, y: function(x, y, reduction=reduction, **options),
        lambda x, y: reduced(losses(x, y), reduction),
        *operands,
        dtypes=("float64", "float32"),
        grad=(True, name not in NO_TARGET_GRADIENT),
        length=4 * N,
    )


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pointwise_of_16_bits_is_computed_in_32(name, dtype):
    function, losses, operands, options = POINTWISE[name]
    half = [lamina.tensor(a).to(getattr(lamina, dtype)) for a in operands]
    want = function(*[t.float() for t in half], reduction="sum", **options)
    assert function(*half, reduction="sum", **options) == want.to(getattr(lamina, dtype))
    a, b = half[0].detach().requires_grad_(), half[0].float().requires_grad_()
    function(a, half[1], reduction="sum", **options).backward()
    function(b, half[1].float(), reduction="sum", **options).backward()
    assert (a.grad == b.grad.to(getattr(lamina, dtype))).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_triples(reduction):
    v, w = RNG.uniform(0.1, 2, (N, 2)), RNG.uniform(0.1, 3, 2)
    check_op(
        lambda x, y, t: F.gaussian_nll_loss(x, y, t, True, reduction=reduction),
        lambda x, y, t: reduced(0.5 * (np.log(t) + (x - y) ** 2 / t + np.log(2 * np.pi)), reduction),
        X,
        Y,
        v,
        dtypes=("float64", "float32"),
        length=4 * N,
    )
    check_op(
        lambda x, q, t: F.binary_cross_entropy_with_logits(x, q, pos_weight=t, reduction=reduction),
        lambda x, q, t: reduced(-t * q * np.log(sigmoid(x)) - (1 - q) * np.log(sigmoid(-x)), reduction),
        X,
        Q,
        w,
        dtypes=("float64", "float32"),
        length=4 * N,
    )
    check_op(
        lambda x, y, s: F.margin_ranking_loss(x, y, s, 0.5, reduction=reduction),
        lambda x, y, s: reduced(np.maximum(0, 0.5 - s * (x - y)), reduction),
        X,
        Y,
        SIGNS,
        dtypes=("float64", "float32"),
        length=4 * N,
    )
    check_op(
        lambda p, q, t: F.binary_cross_entropy(p, q, t, reduction=reduction),
        lambda p, q, t: reduced(t * (-q * np.log(p) - (1 - q) * np.log1p(-p)), reduction),
        P,
        Q,
        w,
        dtypes=("float64",),
        length=4 * N,
    )


def test_extremes_of_binary_cross_entropy():
    x = lamina.tensor([1e4, -1e4, 1e4, -1e4, 20.0, -20.0], requires_grad=True)
    y = lamina.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    losses = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    np.testing.assert_allclose(
        losses.detach().numpy(), [0, 0, 1e4, 1e4, np.log1p(np.exp(-20.0)), np.log1p(np.exp(-20.0))], rtol=1e-6
    )
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[:4], [0, 0, 1, -1])
    p = lamina.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(p, lamina.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    losses.sum().backward()
    assert p.grad.isfinite().all()
    assert F.binary_cross_entropy(lamina.tensor([np.nan]), lamina.tensor([1.0])).isnan()


def test_kl_div_batchmean_and_zero_probabilities():
    x, q = log_softmax(X, 1), np.array([[0.0, 1.0]] * N)
    want = (np.where(q > 0, q * (np.log(q + (q == 0)) - x), 0)).sum() / N
    np.testing.assert_allclose(F.kl_div(lamina.tensor(x), lamina.tensor(q), reduction="batchmean").item(), want)


def test_gaussian_variance_shapes():
    x, y, v = lamina.tensor(X), lamina.tensor(Y), lamina.tensor(RNG.uniform(0.1, 2, N))
    want = F.gaussian_nll_loss(x, y, v.unsqueeze(1).expand(N, 2))
    assert F.gaussian_nll_loss(x, y, v) == want and F.gaussian_nll_loss(x, y, v.unsqueeze(1)) == want
    assert F.gaussian_nll_loss(x, y, 2.0) == F.gaussian_nll_loss(x, y, lamina.full((N, 2), 2.0, dtype=lamina.float64))
    assert nn.GaussianNLLLoss(full=True)(x, y, v) > want


# ---- of vectors ----


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_vectors(reduction):
    a, b, c = RNG.standard_normal((3, 7, 4))
    like = RNG.integers(0, 2, 7).astype(float)
    signs = 1 - 2 * like
    length = lambda v: np.sqrt((v * v).sum(-1))  # noqa: E731
    check_op(
        lambda x, y: F.contrastive_loss(x, y, lamina.tensor(like).to(x.dtype), 2.5, reduction=reduction),
        lambda x, y: reduced(
            (1 - like) / 2 * length(x - y) ** 2 + like / 2 * np.maximum(0, 2.5 - length(x - y)) ** 2, reduction
        ),
        a,
        b,
        dtypes=("float64", "float32"),
        length=30,
    )
    cosine = lambda x, y: (x * y).sum(-1) / np.sqrt((length(x) ** 2 + 1e-12) * (length(y) ** 2 + 1e-12))  # noqa: E731
    check_op(
        lambda x, y: F.cosine_embedding_loss(x, y, lamina.tensor(signs), 0.1, reduction=reduction),
        lambda x, y: reduced(
            np.where(
                signs == 1,
                1 - cosine(x, y),
                np.maximum(0, cosine(x, y) - 0.1),
            ),
            reduction,
        ),
        a,
        b,
        dtypes=("float64",),
        length=30,
    )
    for swap in (False, True):
        check_op(
            lambda x, y, z: F.triplet_margin_loss(x, y, z, 1.5, swap=swap, reduction=reduction),  # noqa: B023
            lambda x, y, z: reduced(
                np.maximum(
                    0,
                    length(x - y + 1e-6)
                    - (np.minimum(length(x - z + 1e-6), length(y - z + 1e-6)) if swap else length(x - z + 1e-6))  # noqa: B023
                    + 1.5,
                ),
                reduction,
            ),
            a,
            b,
            c,
            dtypes=("float64",),
            length=30,
        )


def test_contrastive_loss_of_equal_inputs_has_a_finite_gradient():
    x = lamina.ones(3, 4, requires_grad=True)
    F.contrastive_loss(x, lamina.ones(3, 4), lamina.tensor([0.0, 1.0, 1.0])).backward()
    assert x.grad.isfinite().all()


def test_contrastive_loss_of_whole_and_boolean_labels_in_a_captured_step():
    x, y = lamina.randn(3, 4), lamina.randn(3, 4)
    step = lamina.capture(lambda labels: F.contrastive_loss(x, y, labels))
    for labels in ([0, 1, 1], [False, True, True], [1, 1, 0]):
        want = F.contrastive_loss(x, y, lamina.tensor(labels).float())
        assert step(lamina.tensor(labels)).item() == want.item()


# ---- bits ----


@pytest.mark.parametrize("shape", [(3000, 50), (70, 30, 200), (5000,)])
def test_the_same_bits_for_any_number_of_threads(shape, set_threads):
    x = RNG.standard_normal(shape).astype(np.float32)
    results = []
    for threads in (1, 2, 5):
        set_threads(threads)
        t = lamina.tensor(x, requires_grad=True)
        if len(shape) > 1:
            rng = np.random.default_rng(2)
            labels = rng.integers(0, shape[1], [n for i, n in enumerate(shape) if i != 1])
            loss = F.cross_entropy(t, lamina.tensor(labels), label_smoothing=0.1)
        else:
            loss = F.mse_loss(lamina.cat([t] * 20), lamina.zeros(20 * shape[0]))
        loss.backward()
        results.append((loss.item(), t.grad.numpy().copy()))
    for loss, grad in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(grad, results[0][1])


def test_a_target_that_was_changed_is_noticed():
    x, y = lamina.randn(4, 3, requires_grad=True), lamina.tensor([0, 1, 2, 1])
    loss = F.cross_entropy(x, y)
    y[0] = 2
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# ---- recorded steps ----


def test_a_replayed_step_gives_the_same_bits_and_still_checks_its_labels():
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))

    def step(x, y):
        net.zero_grad()
        loss = F.cross_entropy(net(x), y, label_smoothing=0.1)
        loss.backward()
        return loss

    recorded = lamina.capture(step)
    labels = lamina.tensor(labels_for((16, 3)))
    recorded(lamina.randn(16, 4), labels)
    x = lamina.randn(16, 4)
    assert recorded(x, labels).item() == step(x, labels).item()
    wrong = labels.clone()
    wrong[3] = 7
    with pytest.raises(IndexError, match=r"label 7 at \(3,\)"):
        recorded(x, wrong)
    assert recorded(x, labels).item() == step(x, labels).item()


def test_a_replayed_step_checks_its_probabilities():
    recorded = lamina.capture(lambda p, y: F.binary_cross_entropy(p, y))
    y = lamina.ones(3)
    recorded(lamina.full((3,), 0.5), y)
    with pytest.raises(ValueError, match=r"element 1 \(1.5\) is not"):
        recorded(lamina.tensor([0.5, 1.5, 0.5]), y)
