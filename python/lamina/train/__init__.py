"""Training: the loop with validation, early stopping, checkpoints and logs; curves; advice."""

from lamina.train.callbacks import Callback as Callback
from lamina.train.callbacks import NormRecorder as NormRecorder
from lamina.train.checkpoint import load_checkpoint as load_checkpoint
from lamina.train.checkpoint import save_checkpoint as save_checkpoint
from lamina.train.history import History as History
from lamina.train.nonfinite import NonFiniteLoss as NonFiniteLoss
from lamina.train.plots import plot_comparison as plot_comparison
from lamina.train.plots import plot_history as plot_history
from lamina.train.plots import plot_norms as plot_norms
from lamina.train.practice import Diagnosis as Diagnosis
from lamina.train.practice import choice as choice
from lamina.train.practice import diagnose as diagnose
from lamina.train.practice import error_table as error_table
from lamina.train.practice import log_uniform as log_uniform
from lamina.train.practice import pick as pick
from lamina.train.practice import search as search
from lamina.train.practice import uniform as uniform
from lamina.train.practice import whole as whole
from lamina.train.tensorboard import EventWriter as EventWriter
from lamina.train.trainer import Trainer as Trainer
