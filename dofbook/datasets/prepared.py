"""Read what tensorflow-datasets (TFDS) has prepared, or let it download and prepare."""

import contextlib
import hashlib
import http.client
import importlib.util
import math
import os
import threading
import urllib.request
import uuid
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from dofbook.datasets.dataset import check_labels, fingerprint
from dofbook.datasets.official import RELEASES
from dofbook.datasets.raw import Pixels, first_line, is_regular, open_regular
from dofbook.errors import InputError

NEEDED = {"tensorflow_datasets": "tensorflow-datasets", "tensorflow": "TensorFlow"}
"""Modules without which nothing can be downloaded, and the names of their packages."""
_CACHE = "dofbook.npz"
_SECONDS = 5.0  # how long to wait for a host before calling it unreachable


def read_tfds(name: str, root: Path | None, verify: bool) -> tuple[Pixels, str]:
    """Read the pixels, in official order, that TFDS has prepared or prepares, and say their source.

    ``root`` is the TFDS folder to look and download in, None for TFDS's own default; ``verify``
    holds the arrays to the official fingerprint, where it is known. Raises InputError if there is
    no prepared copy and no way to download, or it cannot be read.
    """
    directory = find_prepared(name, root) or _download(name, root)
    pixels = _from_cache(name, directory) or _decode_prepared(name, directory)
    if verify:
        _verify_pixels(name, pixels, directory)
    return pixels, f"tensorflow-datasets {name} {directory.name}"


def find_prepared(name: str, root: Path | None) -> Path | None:
    """Find the newest prepared version, such as `root/mnist/3.0.1`, in `root` or TFDS's default."""
    for folder in filter(None, (root, _default_root())):
        infos = filter(is_regular, (folder / name).glob("*.*.*/dataset_info.json"))
        numbered = [info.parent for info in infos if info.parent.name.replace(".", "").isdecimal()]
        if numbered:
            return max(numbered, key=lambda v: [int(n) for n in v.name.split(".")])
    return None


def _default_root() -> Path:
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _verify_pixels(name, pixels, directory):
    release = RELEASES[name]
    sizes, got = (len(pixels.y_train), len(pixels.y_test)), fingerprint(*pixels)
    if sizes == release.sizes and release.fingerprint in (None, got):
        return
    # TFDS reuses unpacked files by name, so one data set can end up holding another's.
    whose = [f" ({other}'s)" for other, r in RELEASES.items() if r.fingerprint == got]
    fault = f"its fingerprint is {got}{''.join(whose)}, expected {release.fingerprint}"
    if sizes != release.sizes:
        fault = f"it has {sizes[0]} + {sizes[1]} images, expected {release.sizes}"
    remedy = "delete that folder and tensorflow-datasets' downloads folder and prepare it again"
    fault = f"{directory} does not hold the official {name}: {fault}; {remedy}"
    raise InputError(f"{fault}, or pass verify=False to use it all the same.")


def _from_cache(name: str, directory: Path) -> Pixels | None:
    """Read the decoded arrays, unless absent, damaged, too large or older than their source."""
    path, release = directory / _CACHE, RELEASES[name]
    most = sum(release.sizes) * (math.prod(release.image_shape) + 8) + 2**20
    try:
        if path.stat().st_mtime < (directory / "dataset_info.json").stat().st_mtime:
            return None
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > most:
                return None
            return Pixels(*(arrays[field] for field in Pixels._fields))
    except (OSError, EOFError, AttributeError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _to_cache(directory: Path, pixels: Pixels) -> None:
    temporary = directory / f"{_CACHE}.{uuid.uuid4().hex}.tmp"
    with contextlib.suppress(OSError):  # a read-only or full disk: slower next time, nothing else
        try:
            with temporary.open("wb") as stream:
                np.savez(stream, **pixels._asdict())
            os.replace(temporary, directory / _CACHE)
        finally:
            temporary.unlink(missing_ok=True)


def _decode_prepared(name: str, directory: Path) -> Pixels:
    _need("tensorflow_datasets", f"Reading the prepared copy in {directory}")
    import tensorflow_datasets as tfds

    try:
        builder, splits = tfds.builder_from_directory(directory), []
        for split in ("train", "test"):
            splits += _stack(tfds, builder, split, RELEASES[name].image_shape)
    except InputError:
        raise
    except Exception as error:  # many libraries below, each with its own exceptions
        fault = f"The prepared copy in {directory} cannot be read ({first_line(error)})"
        remedy = "install what is missing, or delete that folder and prepare it again"
        raise InputError(f"{fault}; {remedy}.") from error
    pixels = Pixels(*splits)
    check_labels(f"The copy in {directory}", pixels.y_train, RELEASES[name].num_classes)
    _to_cache(directory, pixels)
    return pixels


def _stack(tfds, builder, split, image_shape):
    """Stack a split's examples into arrays, undoing TFDS's shuffle, without TensorFlow if possible.

    TFDS stores the example with official index i at the rank of md5(split name + i) among all of
    them (tensorflow_datasets/core/hashing.py and shuffle.py).
    """
    kind, count = builder.info.file_format, builder.info.splits[split].num_examples
    if kind in tfds.core.FileFormat.with_random_access():
        examples = builder.as_data_source(split)
    else:
        where = f"the prepared copy in {builder.data_path}, stored as {kind.value},"
        _need("tensorflow", f"Reading {where}")
        in_order = tfds.ReadConfig(interleave_cycle_length=1)
        stored = builder.as_dataset(split, shuffle_files=False, read_config=in_order)
        examples = tfds.as_numpy(stored)

    def rank(i):
        return hashlib.md5(f"{split}{i}".encode(), usedforsecurity=False).digest()

    x, y = np.empty((count, *image_shape), np.uint8), np.empty(count, np.uint8)
    for i, example in zip(sorted(range(count), key=rank), examples, strict=True):
        x[i], y[i] = example["image"], example["label"]
    return x, y


def _download(name: str, root: Path | None) -> Path:
    """Let TFDS download and prepare a data set; return the version's folder."""
    what = f"No copy of {name} was found in {root or _default_root()}{_seen(root)}"
    for module in NEEDED:
        _need(module, f"{what}, and downloading it", f", or {_instead(name)}")
    import tensorflow_datasets as tfds

    url = next(iter(tfds.builder_cls(name).url_infos))
    if not reachable(url, _SECONDS):
        late = f"{urlsplit(url).hostname} did not send it within {_SECONDS:g} s"
        raise InputError(f"{what}, and {late}; {_instead(name)}.")
    try:
        builder = tfds.builder(name, data_dir=root, file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksum: each library has its own exceptions
        fault = f"tensorflow-datasets could not download it ({first_line(error)})"
        raise InputError(f"{what}, and {fault}; {_instead(name)}.") from error
    return Path(builder.data_path)


def _seen(root: Path | None) -> str:
    """Say what a folder holds instead of what was looked for."""
    try:
        names = sorted(path.name for path in root.iterdir()) if root else []
    except OSError:
        names = []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f" (it holds {', '.join(names[:3])}{more})" if names else ""


def reachable(url: str, seconds: float) -> bool:
    """Say whether the first byte of a URL arrives in time, through the proxy that is set, if any.

    TFDS would retry or wait for many minutes; a look-up that hangs is left behind in a thread.

    >>> reachable("no url", seconds=1)
    False
    """
    answered = threading.Event()

    def ask():
        try:
            request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})
            with urllib.request.urlopen(request, timeout=seconds) as response:
                if response.read(1):
                    answered.set()
        except (OSError, ValueError, http.client.HTTPException):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def _need(module: str, situation: str, remedy: str = "") -> None:
    if importlib.util.find_spec(module) is None:
        install = f"which is not installed: pip install 'dofbook[tfds]'{remedy}"
        raise InputError(f"{situation} needs {NEEDED[module]}, {install}.")


def _instead(name: str) -> str:
    place = "in a folder and name it with data_dir or $DOFBOOK_DATA_DIR"
    return f"put the official {RELEASES[name].wanted()} {place}, or use the embedded digits"
