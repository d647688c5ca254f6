"""lamina: a small, fast deep-learning library. Names and meaning follow PyTorch's."""

from lamina._C import *  # noqa: F403
from lamina._C import _version as __version__
from lamina._tensor import *  # noqa: F403
from lamina import autograd
from lamina.autograd import enable_grad, inference_mode, no_grad, set_grad_enabled
