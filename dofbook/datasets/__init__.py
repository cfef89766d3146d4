"""Load the data sets of the experiments, or make one of arrays.

`load(name)` gives centred float32 images and says where they came from. `digits` is embedded and
needs neither files nor a network; the others come from the official raw files, or from
tensorflow-datasets. `Dataset.from_arrays` takes images, tables and tokens.
"""

from dofbook.datasets.dataset import Dataset, from_pixels, subset
from dofbook.datasets.loading import NAMES, load, locate

__all__ = ["NAMES", "Dataset", "from_pixels", "load", "locate", "subset"]
