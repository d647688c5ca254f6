"""Every class that PyTorch has too: the same constructor, the same state_dict keys, and with PyTorch's state loaded, the same
numbers and gradients."""

import inspect

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.nn import functional as F

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(11)
DEPRECATED = {"size_average", "reduce", "min_value", "max_value"}
# What PyTorch has and lamina has not.
LACKING = {
    "Embedding": {"scale_grad_by_freq", "sparse", "_weight", "_freeze"},
}
# Their containers are made of modules; tests/test_nn_module.py. Recurrent layers: tests/test_rnn.py.
ELSEWHERE = {
    "Module", "Parameter", "Buffer", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict",
    "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell",
}  # fmt: skip


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def integers(high, *shape):
    return RNG.integers(0, high, shape)


X = floats(5, 6)
SIGNS = RNG.choice([-1.0, 1.0], 5).astype(np.float32)
PROBABILITIES = RNG.uniform(0.05, 0.95, (5, 6)).astype(np.float32)
POINTWISE = (
    "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 SELU "
    "SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Identity Flatten Dropout AlphaDropout FeatureAlphaDropout"
).split()
PAIRS = (X, floats(5, 6))
SAMPLES = {
    **{name: [((), {}, (X,))] for name in POINTWISE},
    "GELU": [((), {"approximate": a}, (X,)) for a in ("none", "tanh")],
    "PReLU": [((), {}, (X,)), ((6,), {"init": 0.1}, (X,))],
    "Threshold": [((0.1, 20.0), {}, (X,))],
    "Hardtanh": [((-0.5, 0.7), {}, (X,))],
    "Softplus": [((2.0, 1.0), {}, (X,))],
    "GLU": [((), {}, (X,)), ((0,), {}, (floats(4, 3),))],
    "Softmax": [((1,), {}, (X,))],
    "LogSoftmax": [((0,), {}, (X,))],
    "Softmin": [((-1,), {}, (X,))],
    "Softmax2d": [((), {}, (floats(2, 3, 4, 5),))],
    "Dropout1d": [((), {}, (floats(2, 3, 4),))],
    "Dropout2d": [((), {}, (floats(2, 3, 4, 5),))],
    "Dropout3d": [((), {}, (floats(2, 3, 4, 5, 2),))],
    "Linear": [((6, 4), {}, (X,)), ((6, 4), {"bias": False}, (floats(2, 3, 6),)), ((6, 1), {}, (floats(6),))],
    "Bilinear": [((6, 3, 4), {}, (X, floats(5, 3))), ((6, 3, 4), {"bias": False}, (floats(2, 5, 6), floats(2, 5, 3)))],
    "Embedding": [
        ((7, 4), {}, (integers(7, 2, 3),)),
        ((7, 4), {"padding_idx": -2}, (integers(7, 5),)),
        ((7, 4), {"max_norm": 1.0}, (integers(7, 9),)),
    ],
    "Unflatten": [((1, (2, 3)), {}, (X,)), ((-1, (3, -1)), {}, (X,))],
    "Flatten": [((), {}, (floats(2, 3, 4),)), ((0, 1), {}, (floats(2, 3, 4),))],
    "LayerNorm": [((6,), {}, (X,)), (((5, 6), 1e-3), {}, (floats(3, 5, 6),)), ((6,), {"bias": False}, (X,)),
                  ((6,), {"elementwise_affine": False}, (X,))],
    "RMSNorm": [((6,), {}, (X,)), (((5, 6), 1e-3), {}, (floats(3, 5, 6),)), ((6,), {"elementwise_affine": False}, (X,))],
    "BatchNorm1d": [((6,), {}, (X,)), ((6, 1e-3, None), {}, (X,)), ((6,), {"affine": False}, (floats(2, 6, 3),))],
    "BatchNorm2d": [((6,), {}, (floats(2, 6, 3, 4),)), ((6,), {"track_running_stats": False}, (floats(2, 6, 3, 4),))],
    "BatchNorm3d": [((6,), {"bias": False}, (floats(2, 6, 3, 2, 2),))],
    "InstanceNorm1d": [((6,), {}, (floats(2, 6, 5),)), ((6,), {"affine": True, "bias": False}, (floats(6, 5),))],
    "InstanceNorm2d": [((6,), {"track_running_stats": True}, (floats(2, 6, 3, 4),))],
    "InstanceNorm3d": [((6,), {}, (floats(2, 6, 3, 2, 2),))],
    "GroupNorm": [((3, 6), {}, (floats(2, 6, 3, 4),)), ((2, 6), {"affine": False}, (X,)), ((2, 6), {"bias": False}, (X,))],
    "CosineSimilarity": [((), {}, PAIRS), ((0,), {}, PAIRS)],
    "PairwiseDistance": [((), {}, PAIRS), ((1.0,), {"keepdim": True}, PAIRS)],
    "CrossEntropyLoss": [
        ((), {}, (X, integers(6, 5))),
        ((), {"label_smoothing": 0.1, "ignore_index": 2}, (X, integers(6, 5))),
        ((), {"reduction": "sum"}, (X, PROBABILITIES)),
    ],
    "NLLLoss": [((), {}, (X, integers(6, 5))), ((), {"ignore_index": 2, "reduction": "none"}, (X, integers(6, 5)))],
    "MultiMarginLoss": [((p, 0.7), {}, (X, integers(6, 5))) for p in (1, 2)],
    "BCELoss": [((), {}, (PROBABILITIES, PROBABILITIES[::-1].copy()))],
    "BCEWithLogitsLoss": [((), {"reduction": r}, (X, PROBABILITIES)) for r in ("mean", "sum", "none")],
    "MultiLabelSoftMarginLoss": [((), {}, (X, PROBABILITIES.round()))],
    "SoftMarginLoss": [((), {}, (X, np.sign(floats(5, 6))))],
    "MSELoss": [((), {"reduction": r}, PAIRS) for r in ("mean", "sum", "none")],
    "L1Loss": [((), {}, PAIRS)],
    "SmoothL1Loss": [((), {"beta": 0.5}, PAIRS), ((), {"beta": 0.0}, PAIRS)],
    "HuberLoss": [((), {"delta": 0.5}, PAIRS)],
    "GaussianNLLLoss": [
        ((), {}, (*PAIRS, PROBABILITIES)),
        ((), {"full": True, "eps": 0.5}, (*PAIRS, PROBABILITIES)),
        ((), {}, (*PAIRS, PROBABILITIES[:, 0].copy())),
    ],
    "PoissonNLLLoss": [
        ((), {}, (X, integers(5, 5, 6).astype(np.float32))),
        ((False, True), {}, (PROBABILITIES, integers(5, 5, 6).astype(np.float32))),
    ],
    "KLDivLoss": [
        ((), {"reduction": "batchmean"}, (X, PROBABILITIES)),
        ((), {"reduction": "sum", "log_target": True}, PAIRS),
    ],
    "HingeEmbeddingLoss": [((), {}, (X[:, 0].copy(), SIGNS))],
    "MarginRankingLoss": [((), {}, (X[:, 0].copy(), X[:, 1].copy(), SIGNS)), ((0.5,), {}, (X[:, 0].copy(), X[:, 1].copy(), SIGNS))],
    "CosineEmbeddingLoss": [((), {}, (*PAIRS, SIGNS)), ((0.3,), {"reduction": "sum"}, (*PAIRS, SIGNS))],
    "TripletMarginLoss": [((), {}, (*PAIRS, floats(5, 6))), ((2.0,), {"p": 1.0, "swap": True}, (*PAIRS, floats(5, 6)))],
    "TripletMarginWithDistanceLoss": [((), {"swap": True}, (*PAIRS, floats(5, 6)))],
}  # fmt: skip


def common_classes():
    ours = {n: c for n, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module | lamina.Tensor)}
    return sorted(n for n in ours if hasattr(torch.nn, n) and n not in ELSEWHERE)


def test_every_class_that_torch_has_is_sampled():
    assert set(common_classes()) - set(SAMPLES) - UNSAMPLED == set()
    assert set(SAMPLES) - set(common_classes()) == set()


# Classes of other families are compared in their own tests.
UNSAMPLED = {
    n for n in common_classes() if not getattr(nn, n).__module__.endswith(
        ("activation", "dropout", "embedding", "linear", "loss", "normalization", "shape", "residual")
    )
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_constructors_agree(name):
    ours = inspect.signature(getattr(nn, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.nn, name).__init__).parameters
    for key, parameter in theirs.items():
        if key in DEPRECATED | LACKING.get(name, set()) or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        assert key in ours, f"{name} has no {key}"
        assert ours[key].default == parameter.default, f"{name}({key}={ours[key].default!r})"


def to_torch(array, grad):
    t = torch.tensor(array)
    return t.requires_grad_() if grad and t.is_floating_point() else t


@pytest.mark.parametrize("name, case", [(n, i) for n, cases in sorted(SAMPLES.items()) for i in range(len(cases))])
def test_torch_state_gives_torch_numbers(name, case):
    args, kwargs, inputs = SAMPLES[name][case]
    theirs = getattr(torch.nn, name)(*args, **kwargs).eval()
    ours = getattr(nn, name)(*args, **kwargs).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p += 0.1 * torch.randn(p.shape)  # ones and zeros would not tell
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert ours.load_state_dict(state) == ([], [])

    a = [lamina.tensor(v, requires_grad=v.dtype == np.float32) for v in inputs]
    b = [to_torch(v, True) for v in inputs]
    if name in ("BCELoss", "HingeEmbeddingLoss", "SoftMarginLoss", "PoissonNLLLoss"):
        b[1].requires_grad_(False)
    if name.endswith(("EmbeddingLoss", "RankingLoss", "SoftMarginLoss")):
        b[-1].requires_grad_(False)
    y, want = ours(*a), theirs(*b)
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=2e-5, atol=2e-6)

    if not want.requires_grad:
        return
    dy = floats(*want.shape)
    y.backward(lamina.tensor(dy))
    want.backward(torch.tensor(dy))
    for mine, its in zip(a, b, strict=True):
        if its.grad is not None:
            np.testing.assert_allclose(mine.grad.numpy(), its.grad.numpy(), rtol=1e-4, atol=1e-5)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=1e-5, err_msg=key)


# ---- functions ----

FUNCTIONS = {
    "normalize": [((X,), {}), ((X,), {"p": 1.0, "dim": 0})],
    "cosine_similarity": [(PAIRS, {"dim": -1})],
    "pairwise_distance": [(PAIRS, {"p": 3.0})],
    "glu": [((X,), {"dim": 1})],
    "softmin": [((X,), {"dim": 0})],
    "one_hot": [((integers(4, 3, 2),), {"num_classes": 5})],
    "embedding": [((integers(5, 3, 2), floats(5, 4)), {})],
    "linear": [((X, floats(3, 6), floats(3)), {})],
    "bilinear": [((X, floats(5, 3), floats(2, 6, 3), floats(2)), {})],
    "layer_norm": [((X, (6,), floats(6), floats(6)), {"eps": 1e-3})],
    "rms_norm": [((X, (6,), floats(6)), {})],
    "prelu": [((X, floats(6)), {}), ((floats(2, 3, 4), floats(3)), {})],
    "rrelu": [((X,), {})],
    "cross_entropy": [((floats(2, 3, 4), integers(3, 2, 4)), {"weight": np.array([1.0, 2.0, 0.5], np.float32)})],
    "binary_cross_entropy": [((PROBABILITIES, PROBABILITIES.round()), {"weight": PROBABILITIES})],
    "binary_cross_entropy_with_logits": [
        ((X, PROBABILITIES), {"weight": PROBABILITIES, "pos_weight": PROBABILITIES[0].copy(), "reduction": "sum"})
    ],
    "multi_margin_loss": [((X, integers(6, 5)), {"weight": PROBABILITIES[0].copy()})],
    "pad": [((X,), {"pad": (1, 2)})],
}


@pytest.mark.parametrize("name, case", [(n, i) for n, cases in FUNCTIONS.items() for i in range(len(cases))])
def test_functions_agree(name, case):
    args, kwargs = FUNCTIONS[name][case]
    results = []
    for functions, make in ((F, lamina.tensor), (torch.nn.functional, torch.tensor)):
        convert = lambda v, make=make: make(v) if isinstance(v, np.ndarray) else v  # noqa: E731
        results.append(getattr(functions, name)(*map(convert, args), **{k: convert(v) for k, v in kwargs.items()}))
    np.testing.assert_allclose(results[0].numpy(), results[1].numpy(), rtol=2e-5, atol=2e-6)


def test_networks_load_whole_states():
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.GELU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 3)
    )
    ours = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 3))
    ours.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(
        ours.eval()(lamina.tensor(X)).detach().numpy(),
        theirs.eval()(torch.tensor(X)).detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )
    theirs.load_state_dict({name: torch.from_dlpack(value) for name, value in ours.state_dict().items()})


# ---- initialisation: the same distributions ----

INITIALISERS = {
    "uniform_": {"a": -2.0, "b": 3.0},
    "normal_": {"mean": 1.0, "std": 0.3},
    "trunc_normal_": {"mean": 0.5, "std": 1.0, "a": -1.0, "b": 1.5},
    "xavier_uniform_": {"gain": 1.5},
    "xavier_normal_": {},
    "kaiming_uniform_": {"a": 5**0.5},
    "kaiming_normal_": {"mode": "fan_out", "nonlinearity": "relu"},
    "orthogonal_": {"gain": 2.0},
    "sparse_": {"sparsity": 0.3, "std": 2.0},
    "eye_": {},
    "ones_": {},
    "zeros_": {},
    "constant_": {"val": 0.7},
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_draw_from_torchs_distributions(name):
    lamina.manual_seed(1)
    torch.manual_seed(1)
    options = INITIALISERS[name]
    ours = getattr(nn.init, name)(nn.Parameter(lamina.empty(300, 200)), **options).detach().numpy()
    theirs = getattr(torch.nn.init, name)(torch.empty(300, 200), **options).numpy()
    at = np.linspace(0, 1, 21)[1:-1]
    np.testing.assert_allclose(np.quantile(ours, at), np.quantile(theirs, at), atol=0.03 * theirs.std() + 1e-9)
    np.testing.assert_allclose(
        [ours.mean(), ours.std()], [theirs.mean(), theirs.std()], atol=0.02 * theirs.std() + 1e-9
    )
    ends = [abs(f(ours) - f(theirs)) / (theirs.std() or 1) for f in (np.min, np.max)]
    assert max(ends) < (1.0 if "normal" in name or name == "sparse_" else 0.05) or name == "orthogonal_"
    own = inspect.signature(getattr(nn.init, name)).parameters
    for key, parameter in inspect.signature(getattr(torch.nn.init, name)).parameters.items():
        assert own[key].default == parameter.default, key


@pytest.mark.parametrize(
    "layer, args", [("Linear", (50, 3000)), ("Bilinear", (10, 20, 2000)), ("Embedding", (300, 200)), ("PReLU", (5,))]
)
def test_layers_begin_as_torchs(layer, args):
    lamina.manual_seed(2)
    torch.manual_seed(2)
    ours, theirs = getattr(nn, layer)(*args), getattr(torch.nn, layer)(*args)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        a, b = p.detach().numpy(), q.detach().numpy()
        assert a.shape == b.shape, name
        np.testing.assert_allclose([a.mean(), a.std()], [b.mean(), b.std()], atol=0.12 * b.std() + 1e-9, err_msg=name)


@pytest.mark.parametrize("nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_agree(nonlinearity):
    assert nn.init.calculate_gain(nonlinearity) == torch.nn.init.calculate_gain(nonlinearity)
    assert nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


@pytest.mark.parametrize("shape, groups", [((4, 3, 3), 1), ((4, 2, 3, 3), 2), ((6, 2, 3, 5, 3), 3)])
def test_dirac_agrees(shape, groups):
    ours, theirs = nn.init.dirac_(lamina.empty(shape), groups), torch.nn.init.dirac_(torch.empty(shape), groups)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
