"""Data sets: `load` one by name, or make a `Dataset` of arrays, images or a part of another."""

from dofbook.datasets.dataset import Dataset, from_pixels, subset
from dofbook.datasets.loading import DATASET_NAMES, load, locate

__all__ = ["DATASET_NAMES", "Dataset", "from_pixels", "load", "locate", "subset"]
