"""Data sets, the loader, splits, normalisation and readers of files."""

from lamina.data.bundled import bundled as bundled
from lamina.data.dataset import ConcatDataset as ConcatDataset
from lamina.data.dataset import Dataset as Dataset
from lamina.data.dataset import IterableDataset as IterableDataset
from lamina.data.dataset import MapDataset as MapDataset
from lamina.data.dataset import Subset as Subset
from lamina.data.dataset import TensorDataset as TensorDataset
from lamina.data.dataset import tensors_of as tensors_of
from lamina.data.files import cifar10 as cifar10
from lamina.data.files import cifar100 as cifar100
from lamina.data.files import mnist as mnist
from lamina.data.files import read_arrays as read_arrays
from lamina.data.files import read_csv as read_csv
from lamina.data.files import read_idx as read_idx
from lamina.data.lengths import LengthBatchSampler as LengthBatchSampler
from lamina.data.lengths import Padding as Padding
from lamina.data.lengths import pad_sequences as pad_sequences
from lamina.data.loader import DataLoader as DataLoader
from lamina.data.loader import WeightedRandomSampler as WeightedRandomSampler
from lamina.data.loader import collate as collate
from lamina.data.loader import sample_generator as sample_generator
from lamina.data.normalize import Normalizer as Normalizer
from lamina.data.split import random_split as random_split
from lamina.data.split import rule_of_thumb as rule_of_thumb
from lamina.data.split import split as split
from lamina.data.split import split_mismatched as split_mismatched
