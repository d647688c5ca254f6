"""A classifier of small images as a detector on large ones."""

from __future__ import annotations

import copy

import lamina
from lamina import nn

__all__ = ["convolutional"]


def convolutional(classifier: nn.Sequential, channels: int, size: int) -> nn.Sequential:
    """The same layers for images of any size: linear layers become convolutions that give a map of outputs, one for each
    place of the window (size × size) for which `classifier` was made, all in one pass (Sermanet et al., 2014).

    The map equals what the classifier says of each window where its convolutions have no padding: it would put zeros
    around the window, where the large image goes on. The weights are copied.
    """
    layers: list[nn.Module] = []
    was_training = classifier.training
    classifier.eval()
    flat: tuple[int, ...] | None = None  # the shape before it was flattened
    with lamina.no_grad():
        x = lamina.zeros(1, channels, size, size)
        for layer in classifier:
            if isinstance(layer, nn.Flatten):
                flat = tuple(x.shape[1:])
            elif isinstance(layer, nn.Linear):
                shape = (layer.in_features, 1, 1) if flat is None else flat
                conv = nn.Conv2d(shape[0], layer.out_features, tuple(shape[1:]), bias=layer.bias is not None)
                conv.weight.copy_(layer.weight.reshape(layer.out_features, *shape))
                if layer.bias is not None and conv.bias is not None:
                    conv.bias.copy_(layer.bias)
                layers.append(conv)
                flat = (layer.out_features, 1, 1)
            else:
                layers.append(copy.deepcopy(layer))
            x = layer(x)
    classifier.train(was_training)
    if flat is None:
        raise ValueError("convolutional: the classifier has no Flatten and Linear layers to turn into convolutions")
    return nn.Sequential(*layers)
