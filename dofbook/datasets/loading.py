"""Find a data set by name: raw official files, a prepared copy, or a download."""

import os
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dofbook import checks
from dofbook.datasets.dataset import Dataset, from_pixels
from dofbook.datasets.official import RELEASES
from dofbook.datasets.prepared import find_prepared, read_tfds
from dofbook.datasets.raw import find_raw, read_raw
from dofbook.errors import InputError
from dofbook.references import call, check_name, is_reference


def load_digits() -> Dataset:
    """Load the 1,797 real digits that come with scikit-learn, split into training and test.

    The third of every five images of a class, in file order, is a test image: 1,438 training and
    359 test images (N, 8, 8, 1) whose pixels count inked dots of a 4 x 4 block, 0 to 16. Source: E.
    Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998 (doi:10.24432/C50P49).

    >>> load_digits().x_train.shape
    (1438, 8, 8, 1)
    """
    if (found := find_spec("sklearn")) is None or found.origin is None:
        raise InputError("digits comes with scikit-learn: pip install scikit-learn.")
    # Its own loader reads this file; importing it would take longer than all else before a sweep.
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(path, np.uint8, delimiter=",")
    images, labels = rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1]
    earlier = (labels[:, None] == np.arange(10)).cumsum(axis=0)[np.arange(len(labels)), labels] - 1
    test = earlier % 5 == 2  # the images of its class before each
    source = f"scikit-learn {metadata.version('scikit-learn')} digits"
    splits = images[~test], labels[~test], images[test], labels[test]
    return from_pixels("digits", *splits, num_classes=10, source=source, white=16)


_EMBEDDED = {"digits": (load_digits, "scikit-learn")}  # with the package they come with
DATASET_NAMES = (*_EMBEDDED, *RELEASES)
"""The data sets of ``load``."""


def load(name: str, data_dir: str | os.PathLike | None = None, *, verify: bool = True) -> Dataset:
    """Load a data set: by name one of ours, scaled to [0, 1] and centred, or one of the reader's.

    ``name`` is one of `DATASET_NAMES`, or "module:function", a function of ``data_dir`` that
    returns a `Dataset`. ``data_dir`` is the folder with the files; None or "" means
    ``$DOFBOOK_DATA_DIR``, if set. `digits` is embedded. The others, of one fingerprint, are looked
    for in this order:

    1. as official raw files in ``<data_dir>/<name>`` or ``<data_dir>``: IDX files, gzipped or not
       (MNIST, Fashion-MNIST), there or in torchvision's ``MNIST/raw``; ``cifar-10-batches-bin`` and
       ``cifar-100-binary``, or ``cifar-10-batches-py`` and ``cifar-100-python``, or their
       ``.tar.gz``; ``train_32x32.mat`` and ``test_32x32.mat`` (SVHN, its label 10 becoming 0);
    2. as prepared by tensorflow-datasets, in ``data_dir``, then in ``$TFDS_DATA_DIR`` or
       ``~/tensorflow_datasets``. TensorFlow is needed only for formats without random access
       (TFRecord); decoded arrays are kept beside it as ``dofbook.npz``;
    3. by a download with tensorflow-datasets, where TensorFlow is installed (``dofbook[tfds]``).

    ``verify`` holds files to the official sizes and checksums (pickles always). False accepts other
    content of the same format; ``source`` then says "unverified", as it does for CIFAR-100's binary
    files outside the archive, whose checksums are not published. Raises InputError if files are
    missing, damaged or not the official ones, or the reader's function fails.

    >>> load("digits").fingerprint[:12]
    'fd6a6a77bc3e'
    """
    checks.path("data_dir", data_dir)
    if is_reference(name):
        found = call(name, data_dir or os.environ.get("DOFBOOK_DATA_DIR"))
        if not isinstance(found, Dataset):
            raise InputError(f"{name} gave {type(found).__name__}; it must give a dofbook Dataset.")
        return found
    check_name("data set", name, DATASET_NAMES)
    if name in _EMBEDDED:
        return _EMBEDDED[name][0]()
    root = _folder(data_dir)
    pixels, source = (root and read_raw(name, root, verify)) or read_tfds(name, root, verify)
    return from_pixels(name, *pixels, num_classes=RELEASES[name].num_classes, source=source)


def locate(name: str, data_dir: str | os.PathLike | None = None) -> str | None:
    """Say where `load` would find a data set of ours: a path, "scikit-learn", or None to download.

    It reads nothing, and raises InputError as `load` does if files are missing beside others.

    >>> locate("digits")
    'scikit-learn'
    """
    checks.choice("data set", name, DATASET_NAMES)
    checks.path("data_dir", data_dir)
    if name in _EMBEDDED:
        return _EMBEDDED[name][1]
    root = _folder(data_dir)
    raw = root and find_raw(name, root)
    place = raw.place if raw else find_prepared(name, root)
    return place and str(place)


def _folder(data_dir: str | os.PathLike | None) -> Path | None:
    what, value = "data_dir", data_dir
    if not value:
        what, value = "$DOFBOOK_DATA_DIR", os.environ.get("DOFBOOK_DATA_DIR")
    if not value:
        return None
    try:
        folder = Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"{what} is {value}; there is no such home folder.") from None
    if not folder.is_dir():
        fault = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"{what} names {folder}, which {fault}; name the folder of the files.")
    return folder
