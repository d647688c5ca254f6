"""The networks of the course, with torchvision's names and state_dict keys where it has them."""

from lamina.models.alexnet import *  # noqa: F403
from lamina.models.convert import *  # noqa: F403
from lamina.models.googlenet import *  # noqa: F403
from lamina.models.lenet import *  # noqa: F403
from lamina.models.resnet import *  # noqa: F403
from lamina.models.vgg import *  # noqa: F403
from lamina.models.yolo import *  # noqa: F403
