"""Batch norm folded into the layer before it gives the same numbers."""

import numpy as np
import pytest

import lamina
from lamina import models, nn


def trained(model, *shape):
    """With statistics, weights and biases that are not those of the beginning."""
    for p in model.parameters():
        p.data.uniform_(-1, 1)
    for _ in range(3):
        model(lamina.randn(*shape, dtype=lamina.float64))
    return model.eval()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x), activation="relu")), residual=x, activation="relu")


class BlockAfter(Block):
    def forward(self, x):
        return self.bn2.after(self.conv2, self.bn1.after(self.conv1, x, activation="relu"), x, "relu")


MODELS = {
    "linear": (lambda: nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 2)), (9, 5)),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6, affine=False)), (4, 3, 8)),
    "residual": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), Block(), nn.BatchNorm2d(4)), (2, 3, 6, 6)),
    "residual, after": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), BlockAfter(), nn.BatchNorm2d(4)), (2, 3, 6, 6)),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), nn.Tanh()),
        (2, 4, 5, 5),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_numbers(name):
    make, shape = MODELS[name]
    model = trained(make().double(), *shape)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    fused = nn.fuse(model)
    x = lamina.randn(*shape, dtype=lamina.float64)
    with lamina.no_grad():
        np.testing.assert_allclose(fused(x).numpy(), model(x).numpy(), rtol=1e-10, atol=1e-10)
    folded = [m for m in fused.modules() if isinstance(m, nn.Folded)]
    assert len(folded) == (2 if "residual" in name else 1)
    for key, value in model.state_dict().items():  # the model itself is as it was
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())


def test_what_is_not_folded():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.BatchNorm1d(4), shared, nn.BatchNorm1d(4, track_running_stats=False))
    assert not any(isinstance(m, nn.Folded) for m in nn.fuse(model).modules())


def launches(model, *shape):
    """Kernels of a call without gradients."""
    step = lamina.capture(model)
    with lamina.no_grad():
        step(lamina.randn(*shape))
    return step.launches


def test_activations_and_residuals_run_in_the_convolution():
    assert launches(nn.fuse(BlockAfter()), 2, 4, 6, 6) == 2
    assert launches(nn.fuse(nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.Tanh())), 2, 3, 6) == 1
    assert launches(nn.fuse(nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU())), 2, 3) == 1
    assert launches(nn.fuse(models.resnet_cifar(8)), 1, 3, 32, 32) == 13  # 7 convolutions, 2 × 2 of shortcuts, the end

    class Watched(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) + 1

    block = BlockAfter().eval()
    block.conv1 = Watched(4, 4, 3, padding=1)
    x = lamina.randn(2, 4, 6, 6)
    fused = nn.fuse(block)
    with lamina.no_grad():  # what a class of the user's does is still done
        assert lamina.equal(fused.bn1.after(fused.conv1, x), fused.conv1(x))


@pytest.mark.parametrize("layer", [lambda: nn.Conv2d(3, 4, 3), lambda: nn.Linear(5, 4), lambda: nn.BatchNorm2d(3)])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_a_sequence_is_the_same_to_the_bit(layer, activation):
    pair = layer(), activation()
    x = lamina.randn(2, 3, 6, 5)
    results = []
    for call in (nn.Sequential(*pair), lambda x: pair[1](pair[0](x))):
        leaf = x.clone().requires_grad_()
        y = call(leaf)
        for p in pair[0].parameters():
            p.grad = None
        y.backward(lamina.ones_like(y))
        results.append([y, leaf.grad, *(p.grad for p in pair[0].parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
