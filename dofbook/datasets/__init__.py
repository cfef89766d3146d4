"""Data sets: `load` one by name, or make a `Dataset` of arrays, images or a part of another."""

from dofbook.datasets.dataset import Dataset, from_pixels, subset
from dofbook.datasets.loading import NAMES, load, locate

__all__ = ["NAMES", "Dataset", "from_pixels", "load", "locate", "subset"]
