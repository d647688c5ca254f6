"""The functions that layers are made of."""

from lamina._C import pad as pad
from lamina.nn.functional.activation import *  # noqa: F403
from lamina.nn.functional.conv import *  # noqa: F403
from lamina.nn.functional.linear import *  # noqa: F403
from lamina.nn.functional.loss import *  # noqa: F403
from lamina.nn.functional.norm import *  # noqa: F403
from lamina.nn.functional.pool import *  # noqa: F403
from lamina.nn.functional.recurrent import *  # noqa: F403
from lamina.nn.functional.regularize import *  # noqa: F403
