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
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "plain18": 11_689_512 - (64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512)),  # no projections
    "googlenet": 13_004_888,
    "resnet_cifar": 269_722,
    "plain_cifar": 269_722,
}


@pytest.mark.usefixtures("not_initialised")
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert parameters(getattr(models, name)()) == PARAMETERS[name]


@pytest.mark.usefixtures("not_initialised")
def test_parameters_of_other_sizes():
    assert parameters(models.googlenet(aux_logits=False)) == 6_624_904
    assert parameters(models.resnet_cifar(56)) == parameters(models.plain_cifar(56)) == 853_018
    assert parameters(models.resnet18(10)) == 11_689_512 - 990 * 513


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
    "vgg16": {
        **{
            f"features.{place}.weight": (outputs, inputs, 3, 3)
            for place, inputs, outputs in (
                (0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256),
                (17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512),
            )
        },
        "classifier.0.weight": (4096, 25088),
        "classifier.3.weight": (4096, 4096),
        "classifier.6.weight": (1000, 4096),
    },
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        **{
            f"layer{stage}.{block}.conv{conv}.weight": (
                32 * 2**stage,
                16 * 2**stage if (block, conv) == (0, 1) and stage > 1 else 32 * 2**stage,
                3,
                3,
            )
            for stage in (1, 2, 3, 4)
            for block in (0, 1)
            for conv in (1, 2)
        },
        **{f"layer{stage}.0.downsample.0.weight": (32 * 2**stage, 16 * 2**stage, 1, 1) for stage in (2, 3, 4)},
        "fc.weight": (1000, 512),
    },
}  # fmt: skip


@pytest.mark.usefixtures("not_initialised")
@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name):
    state = getattr(models, name)().state_dict()
    weights = {key: tuple(value.shape) for key, value in state.items() if key.endswith("weight") and value.ndim > 1}
    assert weights == LAYOUTS[name]
    for key in weights:
        if key.replace("weight", "bias") in state:
            assert state[key.replace("weight", "bias")].shape == weights[key][:1]


@pytest.mark.usefixtures("not_initialised")
def test_keys_of_blocks():
    resnet, googlenet = models.resnet50().state_dict(), models.googlenet().state_dict()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert {key.removeprefix("layer2.0.") for key in resnet if key.startswith("layer2.0.")} == {
        *(f"conv{i}.weight" for i in (1, 2, 3)),
        *(f"bn{i}.{name}" for i in (1, 2, 3) for name in norm),
        "downsample.0.weight",
        *(f"downsample.1.{name}" for name in norm),
    }
    assert resnet["layer4.2.conv2.weight"].shape == (512, 512, 3, 3)
    convolutions = {
        key: tuple(value.shape) for key, value in googlenet.items() if key.startswith("inception4e") and "conv" in key
    }
    assert convolutions == {
        "inception4e.branch1.conv.weight": (256, 528, 1, 1),
        "inception4e.branch2.0.conv.weight": (160, 528, 1, 1),
        "inception4e.branch2.1.conv.weight": (320, 160, 3, 3),
        "inception4e.branch3.0.conv.weight": (32, 528, 1, 1),
        "inception4e.branch3.1.conv.weight": (128, 32, 3, 3),
        "inception4e.branch4.1.conv.weight": (128, 528, 1, 1),
    }
    assert {key.split(".")[0] for key in googlenet} == {
        "conv1", "conv2", "conv3", "aux1", "aux2", "fc",
        *(f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")),
    }  # fmt: skip
    assert googlenet["aux2.conv.conv.weight"].shape == (128, 528, 1, 1)


def test_building_needs_no_second_copy():
    lamina.reset_peak_memory()
    before = lamina.memory_stats()["allocated"]
    model = models.alexnet()
    stats = lamina.memory_stats()
    assert stats["allocated"] - before > 4 * parameters(model)
    assert stats["peak"] < 1.01 * stats["allocated"]


SMALL = {
    "YOLO": (lambda: models.YOLO(2, 1, 3, width=4), (2, 3, 16, 16)),
    "LeNet5": (lambda: models.LeNet5(), (2, 1, 32, 32)),
    "resnet18": (lambda: models.resnet18(5), (2, 3, 33, 40)),
    "bottlenecks": (lambda: models.ResNet(models.Bottleneck, (1, 1, 1, 1), 5), (2, 3, 32, 32)),
    "resnet_cifar": (lambda: models.resnet_cifar(20, width=4), (2, 3, 16, 16)),
    "plain_cifar": (lambda: models.plain_cifar(8, channels=1, width=4), (3, 1, 8, 8)),
    "googlenet": (lambda: models.googlenet(5), (2, 3, 64, 64)),
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
    for depth in (2, 21):
        with pytest.raises(ValueError, match=rf"resnet_cifar: depth must be 6 n \+ 2 .*got {depth}"):
            models.resnet_cifar(depth)
    with pytest.raises(ValueError, match="four numbers of blocks"):
        models.ResNet(models.BasicBlock, (1, 2))
    with pytest.raises(ValueError, match="at least 16 high and wide, got size=8"):
        models.LeNet5(size=8)


@pytest.mark.parametrize("residual", [True, False])
def test_a_block_is_what_its_formula_says(residual):
    """Against the layers one by one, in training and with the statistics gathered so far."""
    downsample = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4)) if residual else None
    block = models.BasicBlock(3, 4, 2, downsample, residual)
    x = lamina.randn(2, 3, 6, 5)
    block(x)  # moves the running statistics
    block.eval()
    inner = block.bn1(block.conv1(x)).relu()
    want = block.bn2(block.conv2(inner)) + (downsample(x) if downsample else 0)
    assert lamina.allclose(block(x), want.relu(), atol=1e-6)


def test_zero_initialised_blocks_are_the_identity():
    model = models.resnet18(3, zero_init_residual=True).eval()
    x = lamina.rand(1, 64, 5, 5)
    assert lamina.allclose(model.layer1(x), x, atol=1e-6)


def test_the_way_past_of_small_nets_has_no_weights():
    shortcut = models.resnet.Shortcut(2, 3)
    x = lamina.randn(2, 3, 4, 6)
    out = shortcut(x)
    assert lamina.equal(out[:, :3], x[:, :, ::2, ::2])
    assert out.shape == (2, 6, 2, 3) and float(out[:, 3:].abs().sum()) == 0


def test_yolo_says_numbers_and_probabilities():
    model = models.YOLO(grid=3, boxes=2, classes=4, channels=1, width=4)
    out = model(lamina.randn(2, 1, 24, 24))
    assert out.shape == (2, 3, 3, 14)
    assert float(out.min()) > 0 and float(out.max()) < 1
    assert lamina.allclose(out[..., 10:].sum(-1), lamina.ones(2, 3, 3))
    with pytest.raises(ValueError, match=r"expected images \(N, C, 24, 24\) for a grid of 3"):
        model(lamina.randn(2, 1, 24, 32))
    with pytest.raises(ValueError, match="must be at least 1, got 0, 2, 3, 16"):
        models.YOLO(0)


def test_googlenet_has_three_answers_in_training_and_one_after_it():
    model = models.googlenet(4)
    x = lamina.randn(2, 3, 64, 64)
    assert [tuple(part.shape) for part in model(x)] == [(2, 4)] * 3
    assert model.eval()(x).shape == (2, 4)


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
