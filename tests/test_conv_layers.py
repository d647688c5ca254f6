"""nn.Conv1d … nn.ConvTranspose3d: PyTorch's parameters, keys, beginnings and padding modes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lamina
from lamina import nn

LAYERS = [
    ("Conv1d", (4, 6, 3), {"padding": 1, "groups": 2}, (2, 4, 9)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 4), {"padding": "same", "padding_mode": "replicate"}, (2, 4, 9, 8)),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "circular"}, (2, 4, 9)),
    ("Conv3d", (4, 6, 2), {"padding": 1}, (2, 4, 3, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2, "dilation": 2}, (2, 4, 5, 6)),
    ("ConvTranspose3d", (4, 6, 2), {"bias": False}, (2, 4, 3, 4, 5)),
]


@pytest.mark.parametrize("name, sizes, options, shape", LAYERS)
def test_a_checkpoint_of_torch(name, sizes, options, shape):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*sizes, **options), getattr(torch.nn, name)(*sizes, **options)
    ours.load_state_dict({k: lamina.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    got, want = ours(lamina.tensor(x)), theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(got.detach().numpy(), want, atol=2e-5)
    assert repr(ours).partition("  #")[0] == repr(theirs)


def test_output_size():
    layer = nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1)
    x = lamina.randn(2, 3, 6, 6)
    assert layer(x).shape == (2, 5, 11, 11)
    assert layer(x, output_size=(12, 11)).shape == (2, 5, 12, 11)
    with pytest.raises(ValueError, match=r"output_size must lie between \(11, 11\) and \(12, 12\), got \(13, 11\)"):
        layer(x, output_size=(13, 11))


def test_padding_in_pairs():
    x = lamina.randn(1, 2, 5, 6)
    assert nn.Conv2d(2, 3, 2, padding=((1, 0), (0, 1)))(x).shape == (1, 3, 5, 6)
    assert nn.Conv2d(2, 3, 2, padding=((1, 0), (0, 1)), padding_mode="circular")(x).shape == (1, 3, 5, 6)


def test_beginning():
    lamina.manual_seed(0)
    layer = nn.Conv2d(16, 64, 5, groups=2)
    bound = 1 / math.sqrt(8 * 25)
    weight = layer.weight.detach().numpy()
    assert 0.99 * bound < np.abs(weight).max() <= bound and abs(weight.mean()) < 0.02 * bound
    assert layer.weight.shape == (64, 8, 5, 5) and np.abs(layer.bias.detach().numpy()).max() <= bound
    assert nn.ConvTranspose2d(16, 64, 5, groups=2).weight.shape == (16, 32, 5, 5)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels=3 must be divisible by groups=2"),
        (lambda: nn.Conv2d(0, 4, 3), "in_channels must be a whole number > 0, got 0"),
        (
            lambda: nn.Conv2d(3, 4, (3, 3, 3)),
            r"kernel_size must be 2 whole numbers >= 1, or one for all, got \(3, 3, 3\)",
        ),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be 2 whole numbers >= 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "'same' needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "padding_mode must be 'zeros'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding must be numbers"),
    ],
)
def test_errors_say_what_is_wrong(make, words):
    with pytest.raises(ValueError, match=words):
        make()
