"""Neural networks: modules with PyTorch's names, defaults and state_dict keys."""

from lamina.nn import functional as functional
from lamina.nn import init as init
from lamina.nn import utils as utils
from lamina.nn.activation import *  # noqa: F403
from lamina.nn.cells import *  # noqa: F403
from lamina.nn.container import *  # noqa: F403
from lamina.nn.conv import *  # noqa: F403
from lamina.nn.dropout import *  # noqa: F403
from lamina.nn.embedding import *  # noqa: F403
from lamina.nn.fuse import *  # noqa: F403
from lamina.nn.linear import *  # noqa: F403
from lamina.nn.loss import *  # noqa: F403
from lamina.nn.module import *  # noqa: F403
from lamina.nn.normalization import *  # noqa: F403
from lamina.nn.parameter import *  # noqa: F403
from lamina.nn.pooling import *  # noqa: F403
from lamina.nn.residual import *  # noqa: F403
from lamina.nn.rnn import *  # noqa: F403
from lamina.nn.shape import *  # noqa: F403
from lamina.nn.stateful import *  # noqa: F403
