"""Ready-made experiments: each a file with a dataclass of settings and a function `run`, and a row below."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from lamina.recipes.settings import Recipe, UsageError

# name: the module that has it, what it shows
RECIPES = {
    "mlp": "a multi-layer perceptron reads handwritten digits (scikit-learn's, or files of yours)",
    "lenet": "LeNet-5 reads handwritten digits (scikit-learn's, enlarged, or files of yours)",
    "captions": "a sentence for each made-up scene: a convolutional net looks, a recurrent one speaks",
    "transfer": "new persons told apart by a net that knows others: frozen, all trained, or pre-trained layer by layer",
    "yolo": "YOLO finds shapes on made-up scenes: boxes, classes, mean average precision",
    "resnet": "deep plain nets and residual ones: the picture of the ResNet paper in small",
    "sliding": "digits on a large sheet, found by a LeNet in one convolutional pass",
    "siamese": "persons verified and recognised by the distance of what a net makes of their faces",
    "gaussian": "regression that knows how sure it is: mean and variance by Gaussian NLL",
    "boolean": "why deep: logistic regression, one hidden layer and deep narrow nets on the parity of D bits",
    "characters": "a character language model on the Python standard library, which it learns to write",
    "latch": "one bit kept over many steps: vanishing gradients of RNN, LSTM and GRU",
    "adding": "the sum of two marked numbers of a long sequence: RNN, LSTM and GRU",
    "arithmetic": "sums and differences read and written as characters (Jozefowicz et al., 2015)",
    "xml": "closing tags that repeat the opening ones (Jozefowicz et al., 2015)",
    "odyssey": "every variant of the LSTM on the same text, with its speed (Greff et al., 2015)",
    "evolution": "a search for recurrent cells by mutation, each at the speed of the built-in ones",
    "sentiment": "is a review kind? an LSTM against a bag of words, which has lost their order",
    "levels": "game levels as text: columns that are read, and new ones written that can be played",
    "dates": "dates as people write them translated to ISO's form: encoder and decoder, beams against greedy",
    "forecast": "a shifted series: at every step, what comes next",
    "tagging": "what each digit of a line stands for: one direction against both",
}


def find(name: str) -> Recipe:
    """The recipe of this name."""
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"there is no recipe {name!r}{hint} (lamina recipes lists them: {', '.join(RECIPES)})")
    module = import_module(f"lamina.recipes.{name}")
    return Recipe(name, RECIPES[name], module.Settings, module.run)
