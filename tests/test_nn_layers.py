"""Layers and functions that PyTorch has not, and what tests/test_nn_torch.py cannot see: chance, initialisation, errors."""

import numpy as np
import pytest

import lamina
from checks import check_op
from lamina import nn
from lamina.nn import functional as F

RNG = np.random.default_rng(12)


@pytest.fixture(autouse=True)
def seed():
    lamina.manual_seed(3)


# ---- functions made of others: value and gradient ----

X, Y = RNG.standard_normal((2, 4, 6))
CASES = {
    "bilinear": (
        lambda x, y, w, b: F.bilinear(x, y, w, b),
        lambda x, y, w, b: np.einsum("ni,kij,nj->nk", x, w, y) + b,
        (X, Y[:, :3], RNG.standard_normal((2, 6, 3)), RNG.standard_normal(2)),
    ),
    "normalize": (F.normalize, lambda x: x / np.sqrt((x * x).sum(1, keepdims=True)), (X,)),
    "cosine_similarity": (
        F.cosine_similarity,
        lambda x, y: (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1)),
        (X, Y),
    ),
    "pairwise_distance": (F.pairwise_distance, lambda x, y: np.sqrt(((x - y + 1e-6) ** 2).sum(1)), (X, Y)),
    "glu": (F.glu, lambda x: x[:, :3] / (1 + np.exp(-x[:, 3:])), (X,)),
    "softmin": (lambda x: F.softmin(x, 1), lambda x: np.exp(-x) / np.exp(-x).sum(1, keepdims=True), (X,)),
    "prelu": (F.prelu, lambda x, w: np.where(x > 0, x, w * x), (X, RNG.uniform(0.1, 0.5, 6))),
    "sigmoid": (lambda x: F.sigmoid(x, 2.5), lambda x: 1 / (1 + np.exp(-2.5 * x)), (X,)),
    "tanh": (lambda x: F.tanh(x, 0.5), lambda x: np.tanh(0.5 * x), (X,)),
    "Sigmoid": (nn.Sigmoid(0.5), lambda x: 1 / (1 + np.exp(-0.5 * x)), (X,)),
    "Tanh": (nn.Tanh(2.0), lambda x: np.tanh(2 * x), (X,)),
    "Residual": (nn.Residual(nn.Tanh()), lambda x: np.tanh(x) + x, (X,)),
    "Parallel": (nn.Parallel(nn.Identity(), nn.Tanh()), lambda x: np.concatenate([x, np.tanh(x)], 1), (X,)),
    "Parallel, summed": (nn.Parallel(nn.Identity(), nn.Tanh(), join="sum"), lambda x: x + np.tanh(x), (X,)),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    fn, reference, arrays = CASES[name]
    check_op(fn, reference, *arrays, dtypes=("float64", "float32"), length=30)


def test_residual_projects():
    block = nn.Residual(nn.Linear(4, 3), projection=nn.Linear(4, 3, bias=False))
    x = lamina.randn(2, 4)
    assert (block(x) == block.body(x) + block.projection(x)).all()
    assert [name for name, _ in block.named_children()] == ["body", "projection"]
    with pytest.raises(ValueError, match=r"the body makes \(2, 3\) of \(2, 4\), give a projection"):
        nn.Residual(nn.Linear(4, 3))(x)
    with pytest.raises(ValueError, match="branches"):
        nn.Parallel()


# ---- chance ----


def test_dropout_scales_what_it_keeps():
    x = lamina.ones(200, 500, requires_grad=True)
    y = nn.Dropout(0.2)(x)
    values = y.detach().numpy()
    assert set(np.unique(values)) == {0.0, np.float32(1.25)} and abs((values == 0).mean() - 0.2) < 0.01
    y.sum().backward()
    assert (x.grad == y).all()  # the mask, drawn again
    assert nn.Dropout(0.2).eval()(x) is x and nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).any()
    z = lamina.ones(10)
    assert nn.Dropout(0.5, inplace=True)(z) is z and set(z.tolist()) <= {0.0, 2.0}
    with pytest.raises(ValueError, match="Dropout: p must be between 0 and 1, got 1.5"):
        nn.Dropout(1.5)


@pytest.mark.parametrize("layer, shape", [(nn.Dropout1d, (8, 9, 4)), (nn.Dropout2d, (8, 9, 4, 5)), (nn.Dropout3d, (8, 9, 2, 2, 3)), (nn.Dropout2d, (9, 4, 5))])  # fmt: skip
def test_dropout_of_channels(layer, shape):
    y = layer(0.5)(lamina.ones(*shape)).numpy()
    kept = y.reshape(*shape[: len(shape) - (2 if layer is nn.Dropout2d else 1 if layer is nn.Dropout1d else 3)], -1)
    assert all(len(set(row)) == 1 for row in kept.reshape(-1, kept.shape[-1])) and 0.2 < (y == 0).mean() < 0.8
    with pytest.raises(ValueError, match="expected"):
        layer(0.5)(lamina.ones(3))


def test_alpha_dropout_keeps_mean_and_variance():
    x = lamina.randn(400, 500, requires_grad=True)
    for layer in (nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)):
        y = layer(x).detach().numpy()
        assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02 and layer.eval()(x) is x
    nn.AlphaDropout(0.3)(x).sum().backward()
    assert 0.25 < (x.grad == 0).float().mean().item() < 0.35
    assert not F.alpha_dropout(x, 1.0, True).any()


def test_noise():
    x = lamina.zeros(300, 400, requires_grad=True)
    layer = nn.GaussianNoise(0.5)
    y = layer(x)
    assert abs(y.std().item() - 0.5) < 0.01 and abs(y.mean().item()) < 0.01 and layer.eval()(x) is x
    y.sum().backward()
    assert (x.grad == 1).all()
    with pytest.raises(ValueError, match="must not be negative"):
        nn.GaussianNoise(-1)


def test_weight_noise_trains_the_weights_without_noise():
    inner = nn.Linear(30, 20)
    layer = nn.WeightNoise(inner, 0.1, names=["weight"])
    clean = inner.weight.detach().clone()
    x = lamina.eye(30)
    noise = (layer(x) - inner.bias).T.detach() - clean
    assert abs(noise.std().item() - 0.1) < 0.02 and (inner.weight == clean).all()
    layer(x).sum().backward()
    assert inner.weight.grad is not None and (inner.weight.grad == 1).all()
    assert list(layer.state_dict()) == ["module.weight", "module.bias"]
    assert (layer.eval()(x) == inner(x)).all()
    with pytest.raises(AttributeError, match="no parameter 'w'"):
        nn.WeightNoise(inner, 0.1, names=["w"])


def test_rrelu_and_gumbel():
    y = nn.RReLU()(lamina.full((1000,), -1.0))
    assert -1 / 3 <= y.min().item() < -0.3 and -0.14 < y.max().item() <= -1 / 8
    logits = lamina.tensor(np.log([[0.1, 0.2, 0.7]] * 4000), requires_grad=True)
    hard = F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(hard.mean(0).detach().numpy(), [0.1, 0.2, 0.7], atol=0.03)
    assert set(np.unique(hard.detach().numpy().round(9))) == {0.0, 1.0}
    (hard * lamina.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.any()
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.sum(1).detach().numpy(), 1, rtol=1e-6)


# ---- embedding ----


def test_embedding_padding_and_max_norm():
    table = nn.Embedding(6, 3, padding_idx=-1)
    assert table.padding_idx == 5 and not table.weight[5].any()
    table(lamina.tensor([[5, 1], [1, 0]])).sum().backward()
    np.testing.assert_array_equal(table.weight.grad.numpy()[:, 0], [1, 2, 0, 0, 0, 0])
    short = nn.Embedding(4, 3, max_norm=0.5)
    before = short.weight.detach().clone()
    short(lamina.tensor([1, 1, 2])).sum().backward()
    lengths = short.weight.norm(2, 1).tolist()
    assert lengths[1] <= 0.5001 and lengths[2] <= 0.5001 and (short.weight[0] == before[0]).all()
    frozen = nn.Embedding.from_pretrained(before)
    assert not frozen.weight.requires_grad and (frozen(lamina.tensor(2)) == before[2]).all()
    with pytest.raises(IndexError, match="embedding"):
        table(lamina.tensor([6]))
    with pytest.raises(ValueError, match="padding_idx 6 is out of range"):
        nn.Embedding(6, 3, padding_idx=6)


# ---- errors ----


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features must be a whole number >= 0, got -1"),
        (lambda: nn.Linear(3, 2.0), ValueError, "out_features"),
        (lambda: nn.Linear(3, 2)(lamina.ones(4, 5)), ValueError, "weight expects 3 input features but input has 5"),
        (lambda: nn.Bilinear(2, 3, 4)(lamina.ones(2, 2), lamina.ones(2, 2)), ValueError, "expects 2 and 3 features"),
        (lambda: nn.Bilinear(2, 3, 4)(lamina.ones(5, 2), lamina.ones(2, 3)), ValueError, "leading dimensions differ"),
        (lambda: nn.Softmax()(lamina.ones(2)), TypeError, "say along which dimension"),
        (lambda: nn.Hardtanh(1, 0), ValueError, "min_val must be below"),
        (lambda: nn.GLU()(lamina.ones(3)), ValueError, "even size"),
        (lambda: nn.PReLU(3)(lamina.ones(2, 4)), ValueError, "1 weight or 4"),
        (lambda: nn.Softmax2d()(lamina.ones(4)), ValueError, "Softmax2d"),
        (lambda: nn.Unflatten(1, (2, 2))(lamina.ones(3, 5)), ValueError, "cannot become"),
        (lambda: F.gumbel_softmax(lamina.ones(2), tau=0), ValueError, "tau must be positive"),
        (lambda: F.gelu(lamina.ones(2), "x"), ValueError, "approximate"),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- initialisation ----


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 9), (9, 1), (4, 3, 2), (2, 5, 3)])
def test_orthogonal(shape):
    w = nn.init.orthogonal_(lamina.empty(shape, dtype=lamina.float64), gain=2.0).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(min(w.shape)), atol=1e-12)
    single = nn.init.orthogonal_(lamina.empty(shape)).numpy().reshape(shape[0], -1)
    gram = single @ single.T if w.shape[0] <= w.shape[1] else single.T @ single
    np.testing.assert_allclose(gram, np.eye(min(w.shape)), atol=1e-6)


def test_orthogonal_is_uniform_over_rotations():
    """Mean 0 in every place: without the signs of R's diagonal it would not be."""
    total = sum(nn.init.orthogonal_(lamina.empty(3, 3)).numpy() for _ in range(400)) / 400
    assert abs(total).max() < 0.15


@pytest.mark.parametrize(
    "name, variance",
    [("small_normal_", 1e-4), ("lecun_normal_", 1 / 200), ("he_normal_", 2 / 200)],
)
def test_textbook_initialisers(name, variance):
    w = getattr(nn.init, name)(lamina.empty(400, 200)).numpy()
    np.testing.assert_allclose([w.var(), w.mean()], [variance, 0], rtol=0.02, atol=0.02 * variance**0.5)


def test_forget_gate_bias():
    bias = nn.init.forget_gate_bias_(lamina.zeros(12), 2.0)
    assert bias.tolist() == [0.0] * 3 + [2.0] * 3 + [0.0] * 6
    assert nn.init.forget_gate_bias_(lamina.zeros(4), gate=0, gates=2).tolist() == [1.0, 1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="no gate 1 of 4"):
        nn.init.forget_gate_bias_(lamina.zeros(5))


def test_sparse_zeroes_the_same_number_in_every_column():
    w = nn.init.sparse_(lamina.empty(10, 40), 0.25).numpy()
    assert ((w == 0).sum(0) == 3).all()
    assert nn.init.sparse_(lamina.empty(4, 4), 0.0).all()


def test_initialisation_depends_on_the_seed_alone():
    draws = []
    for _ in range(2):
        lamina.manual_seed(5)
        net = nn.Sequential(nn.Linear(9, 5), nn.Embedding(4, 3), nn.Bilinear(2, 2, 2))
        nn.init.orthogonal_(net[0].weight)
        nn.init.sparse_(net[1].weight, 0.5)
        draws.append([p.detach().numpy().copy() for p in net.parameters()])
    for a, b in zip(*draws, strict=True):
        np.testing.assert_array_equal(a, b)
    generator = lamina.Generator().manual_seed(1)
    a = nn.init.xavier_uniform_(lamina.empty(3, 3), generator=generator)
    assert (a == nn.init.xavier_uniform_(lamina.empty(3, 3), generator=generator.manual_seed(1))).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nn.init.xavier_uniform_(lamina.empty(3)), "at least 2 dimensions"),
        (lambda: nn.init.kaiming_normal_(lamina.empty(3, 3), mode="in"), "'fan_in' or 'fan_out'"),
        (lambda: nn.init.orthogonal_(lamina.empty(3)), "at least 2 dimensions"),
        (lambda: nn.init.eye_(lamina.empty(3)), "a matrix"),
        (lambda: nn.init.sparse_(lamina.empty(3), 0.5), "a matrix"),
        (lambda: nn.init.sparse_(lamina.empty(3, 3), 1.5), "between 0 and 1"),
        (lambda: nn.init.dirac_(lamina.empty(3, 3)), "convolution"),
        (lambda: nn.init.dirac_(lamina.empty(3, 3, 3), 2), "groups"),
        (lambda: nn.init.calculate_gain("x"), "unknown nonlinearity 'x'"),
    ],
)
def test_initialisers_say_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_initialisers_take_tensors_and_not_modules():
    with pytest.raises(TypeError, match="zeros_: tensor must be a Tensor, got .*Linear"):
        nn.init.zeros_(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="forget_gate_bias_: bias must be a Tensor, got .*LSTM"):
        nn.init.forget_gate_bias_(nn.LSTM(2, 2))
