"""Optimisers with PyTorch's names, defaults and state_dict; schedules of the learning rate; averages of parameters.

Constructing an optimiser moves the parameters into one stretch of memory per type, their gradients and every state
likewise, so that a step is one pass; the parameter objects stay the same. A parameter whose memory others see or were
shown (a view, a state_dict, NumPy) stays where it is and costs a launch of its own. A gradient's memory is used again in
the next step: keep the tensor, not a view of it, or clone it.
"""

from lamina.optim import lr_scheduler as lr_scheduler
from lamina.optim.adaptive import *  # noqa: F403
from lamina.optim.average import *  # noqa: F403
from lamina.optim.optimizer import *  # noqa: F403
from lamina.optim.sgd import *  # noqa: F403
