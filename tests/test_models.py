"""The networks: published parameter counts, torchvision's state_dict keys, gradients that reach every weight."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import models, nn


@pytest.fixture
def not_initialised(monkeypatch):
    """Weights as the allocator gives them: large networks are counted, not drawn."""
    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


# Published with the pretrained weights; LeNet-5's and the CIFAR nets' by hand.
PARAMETERS = {
    "LeNet5": 156 + 2416 + 48120 + 10164 + 850,
    "alexnet": 61_100_840,
}


@pytest.mark.usefixtures("not_initialised")
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert parameters(getattr(models, name)()) == PARAMETERS[name]


# Keys (of weights; biases and statistics follow them) and shapes.
LAYOUTS = {
    "alexnet": {
        "features.0.weight": (64, 3, 11, 11),
        "features.3.weight": (192, 64, 5, 5),
        "features.6.weight": (384, 192, 3, 3),
        "features.8.weight": (256, 384, 3, 3),
        "features.10.weight": (256, 256, 3, 3),
        "classifier.1.weight": (4096, 9216),
        "classifier.4.weight": (4096, 4096),
        "classifier.6.weight": (1000, 4096),
    },
}


@pytest.mark.usefixtures("not_initialised")
@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name):
    state = getattr(models, name)().state_dict()
    weights = {key: tuple(value.shape) for key, value in state.items() if key.endswith("weight") and value.ndim > 1}
    assert weights == LAYOUTS[name]
    for key in weights:
        if key.replace("weight", "bias") in state:
            assert state[key.replace("weight", "bias")].shape == weights[key][:1]


def test_building_needs_no_second_copy():
    lamina.reset_peak_memory()
    before = lamina.memory_stats()["allocated"]
    model = models.alexnet()
    stats = lamina.memory_stats()
    assert stats["allocated"] - before > 4 * parameters(model)
    assert stats["peak"] < 1.01 * stats["allocated"]


SMALL = {
    "LeNet5": (lambda: models.LeNet5(), (2, 1, 32, 32)),
}


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_weight(name):
    build, shape = SMALL[name]
    model = build()
    out = model(lamina.randn(*shape))
    out = out if isinstance(out, tuple) else (out,)
    sum(o.square().mean() for o in out).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, key


@pytest.mark.parametrize("size", [16, 28, 32, 45])
def test_lenet_takes_other_sizes(size):
    assert models.LeNet5(7, channels=2, size=size)(lamina.randn(3, 2, size, size)).shape == (3, 7)


def test_what_cannot_be_built():
    for build in (models.LeNet5, models.alexnet):
        with pytest.raises(ValueError, match="num_classes must be a whole number of at least 1, got 0"):
            build(0)
    with pytest.raises(ValueError, match="at least 16 high and wide, got size=8"):
        models.LeNet5(size=8)


# ---- classifiers turned to detectors ----


def test_a_convolutional_pass_says_what_the_classifier_says_of_each_window():
    lenet = models.LeNet5(5, size=20).eval()
    classifier = nn.Sequential(*lenet.features, *lenet.classifier)
    detector = models.convolutional(classifier, 1, 20).eval()
    sheet = lamina.randn(2, 1, 32, 28)
    maps = detector(sheet)
    assert maps.shape == (2, 5, 4, 3)
    for row in range(4):
        for column in range(3):
            window = sheet[:, :, 4 * row : 4 * row + 20, 4 * column : 4 * column + 20]
            np.testing.assert_allclose(
                maps[:, :, row, column].detach().numpy(), classifier(window).detach().numpy(), rtol=1e-4, atol=1e-5
            )


def test_a_detector_has_weights_of_its_own():
    classifier = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 3, bias=False))
    detector = models.convolutional(classifier, 1, 4)
    assert classifier.training
    assert detector[2].bias is None
    detector[0].weight.detach().zero_()
    assert float(classifier[0].weight.abs().sum()) > 0
    with pytest.raises(ValueError, match="no Flatten and Linear"):
        models.convolutional(nn.Sequential(nn.Conv2d(1, 2, 3)), 1, 4)
