"""lamina: a small, fast deep-learning library. Names and meaning follow PyTorch's."""

from lamina import autograd as autograd
from lamina._arrange import *  # noqa: F403
from lamina._C import *  # noqa: F403
from lamina._C import _version
from lamina._capture import *  # noqa: F403
from lamina._creation import *  # noqa: F403
from lamina._operations import *  # noqa: F403
from lamina._print import *  # noqa: F403
from lamina._runtime import *  # noqa: F403
from lamina._saving import *  # noqa: F403
from lamina._statistics import *  # noqa: F403
from lamina._tensor import *  # noqa: F403
from lamina._types import *  # noqa: F403
from lamina.autograd.grad_mode import *  # noqa: F403
from lamina.random import *  # noqa: F403

__version__ = _version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lamina import backends as backends
    from lamina import cuda as cuda
    from lamina import data as data
    from lamina import decode as decode
    from lamina import detect as detect
    from lamina import metrics as metrics
    from lamina import models as models
    from lamina import nn as nn
    from lamina import optim as optim
    from lamina import train as train

_ON_DEMAND = (
    "backends",
    "cuda",
    "data",
    "decode",
    "detect",
    "metrics",
    "models",
    "nn",
    "optim",
    "train",
)  # loaded when first asked for, so that the import stays light


def __getattr__(name: str) -> object:
    if name in _ON_DEMAND:
        from importlib import import_module

        return import_module(f"lamina.{name}")
    raise AttributeError(f"module 'lamina' has no attribute {name!r}")
