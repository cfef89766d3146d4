"""Find a data set by name: raw official files, a prepared copy, or a download."""

import os
from pathlib import Path

from dofbook.datasets.dataset import Dataset, from_pixels
from dofbook.datasets.digits import load_digits
from dofbook.datasets.official import RELEASES
from dofbook.datasets.prepared import find_prepared, read_tfds
from dofbook.datasets.raw import find_raw, read_raw
from dofbook.errors import InputError
from dofbook.references import is_reference, resolve

NAMES = ("digits", *RELEASES)


def load(name: str, data_dir: str | os.PathLike | None = None, *, verify: bool = True) -> Dataset:
    """Load a data set, scaled to [0, 1] and centred by its training mean image.

    `digits` is embedded. The others are looked for, in this order:

    1. as official raw files in `<data_dir>/<name>` or `<data_dir>`: IDX files, gzipped or not
       (MNIST, Fashion-MNIST); `cifar-10-batches-bin` and `cifar-100-binary`, or their
       `.tar.gz`; `train_32x32.mat` and `test_32x32.mat` (SVHN, its label 10 becoming 0);
    2. as prepared by tensorflow-datasets, in `data_dir`, then in `$TFDS_DATA_DIR` or
       `~/tensorflow_datasets`. TensorFlow is needed only for formats without random access
       (TFRecord); decoded arrays are kept beside it as `dofbook.npz`, since decoding is slow;
    3. by a download with tensorflow-datasets, where TensorFlow is installed (`dofbook[tfds]`)
       and the network answers.

    All ways give the same arrays in the official order, so the same fingerprint.

    Args:
        name: One of `NAMES`, or "module:function" of one's own (`dofbook.references`): a function of
            `data_dir` that returns a `Dataset`, such as `from_pixels` makes.
        data_dir: Folder with the files; None or "" means `$DOFBOOK_DATA_DIR`, if set.
        verify: Hold files to the official sizes and checksums. False accepts other content of
            the same format, such as fewer images; `source` then says "unverified". CIFAR-100
            files outside the official archive are always "unverified": their official checksums
            are not published, so only sizes are held.

    Returns:
        The data set.

    Raises:
        InputError: If the name is unknown, files are missing, damaged or not the official ones,
            or nothing is there and a download is not possible; if one's own function gives
            something else.
    """
    if is_reference(name):
        return _load_own(name, data_dir)
    _check_name(name)
    if name == "digits":
        return load_digits()
    root = _folder(data_dir)
    found = root and read_raw(name, root, verify)
    pixels, source = found or read_tfds(name, root, verify)
    return from_pixels(name, *pixels, num_classes=RELEASES[name].num_classes, source=source)


def _load_own(name: str, data_dir: str | os.PathLike | None) -> Dataset:
    found = resolve(name)(data_dir or os.environ.get("DOFBOOK_DATA_DIR"))
    if not isinstance(found, Dataset):
        raise InputError(f"{name} gave {type(found).__name__}; it must give a dofbook Dataset.")
    return found


def locate(name: str, data_dir: str | os.PathLike | None = None) -> str | None:
    """Say where `load` would find a data set, reading nothing.

    Args:
        name: One of `NAMES`.
        data_dir: As for `load`.

    Returns:
        A path, "scikit-learn" for digits, or None if `load` would have to download.

    Raises:
        InputError: As `load`, for the name, the folder, or files missing beside others.
    """
    _check_name(name)
    if name == "digits":
        return "scikit-learn"
    root = _folder(data_dir)
    found = (root and find_raw(name, root)) or find_prepared(name, root)
    if isinstance(found, dict):
        found = next(iter(found.values())).parent
    return found and str(found)


def _check_name(name):
    if name not in NAMES:
        raise InputError(f"There is no data set {name!r}; choose one of {', '.join(NAMES)}.")


def _folder(data_dir: str | os.PathLike | None) -> Path | None:
    what, value = ("data_dir", data_dir) if data_dir else ("$DOFBOOK_DATA_DIR", None)
    value = value or os.environ.get("DOFBOOK_DATA_DIR")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.exists():
        raise InputError(f"{what} names the folder {folder}, which does not exist; create it.")
    if not folder.is_dir():
        raise InputError(f"{what} names {folder}, which is a file; name the folder it is in.")
    return folder
