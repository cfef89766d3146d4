"""Read the official raw files: IDX (MNIST), CIFAR's records and pickles, SVHN's MATLAB files.

Only regular files are opened, and at most one byte more is unpacked than the official file has.
"""

import contextlib
import gzip
import hashlib
import io
import math
import os
import pickle
import stat
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dofbook.datasets.dataset import check_labels
from dofbook.datasets.official import RELEASES, File, Release
from dofbook.errors import InputError

_AGAIN, _BINARY = "copy or download it again", "take the binary version of the data set"
_FORMATS = {"idx": "IDX", "cifar": "CIFAR binary", "mat": "MATLAB", "pickle": "CIFAR Python"}
_LARGEST_PICKLE = 2**28  # bytes; CIFAR-100's training file has 155 million
Content = tuple[str, bytes]  # where a file is, for messages, and its unpacked bytes
_SPECIAL = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Pixels(NamedTuple):
    """Hold a data set as it is stored: uint8 images (N, H, W, C) and labels (N,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class RawFiles(NamedTuple):
    """Say where a release is: files by their names, in a folder; or none, and an archive."""

    release: Release
    place: Path
    files: dict[str, Path]


def read_raw(name: str, root: Path, verify: bool) -> tuple[Pixels, str] | None:
    """Read official raw files in `root / name` or `root`, if any: pixels and source in words.

    ``verify`` holds sizes and checksums to the official ones; those of pickles always are. Raises
    InputError if files are missing, truncated, of another format, or not the official ones.
    """
    if (found := find_raw(name, root)) is None:
        return None
    release, place, files = found
    if files:
        contents = {file.name: _unpack(files[file.name], file) for file in release.files}
    else:
        contents = _unpack_archive(place, release)
    check = partial(_verify_files, release, contents, None if files else place)
    official = release.format == "pickle" and check()  # before anything in them is interpreted
    pixels = _parse(release, contents)
    official = official or (verify and check())
    return pixels, f"{'official' if official else 'unverified'} files ({_FORMATS[release.format]})"


def find_raw(name: str, root: Path) -> RawFiles | None:
    """Find the official raw files in `root / name` or `root`; InputError if only some are there."""
    releases = [r for r in (RELEASES[name], RELEASES[name].python) if r]
    for base, release in product((root / name, root), releases):
        # Two of the pickles are called "train" and "test", as much else is.
        here = [""] if release.format != "pickle" or base.name == release.folder else []
        for place in (release.folder, release.archive, *here, *release.others):
            if place is not None and (found := _find_files(base / place, release)):
                return found
    return None


def _find_files(place: Path, release: Release) -> RawFiles | None:
    """Find the archive, or the files in a folder."""
    if place.name == release.archive:
        return RawFiles(release, place, {}) if is_regular(place) else None
    there = {file.name: [*filter(is_regular, _paths(place, file.name))] for file in release.files}
    found = {name: paths[0] for name, paths in there.items() if paths}
    if found and (missing := [name for name in there if name not in found]):
        where = f"{place}, where the other files of the data set are"
        raise InputError(f"{', '.join(missing)} missing from {where}; put it beside them.")
    return RawFiles(release, next(iter(found.values())).parent, found) if found else None


def _paths(folder: Path, name: str) -> list[Path]:
    """List where a file may be: IDX also gzipped, with a dot, or in a folder of its name."""
    if "-idx" not in name:
        return [folder / name]
    names = (name, name.replace("-idx", ".idx"))
    plain = [folder / (n + suffix) for n in names for suffix in (".gz", "")]
    return plain + [folder / n / m for n in names for m in names]


def is_regular(path: Path) -> bool:
    """Tell whether a regular file is there (a folder counts as nothing), or raise InputError."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise InputError(f"{path} is a link to nothing; a regular file is needed.") from None
        return False
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return stat.S_ISREG(mode)
    kind = _SPECIAL.get(stat.S_IFMT(mode), "a special file")
    raise InputError(f"{path} is {kind}; a regular file is needed.")


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file to read, and nothing that could block or have no end."""
    if not is_regular(path):
        raise FileNotFoundError(2, "No such file", str(path))
    waiting = getattr(os, "O_NONBLOCK", 0)  # it may have been exchanged meanwhile
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | waiting)) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise InputError(f"{path} is no regular file any more.")
        yield stream


def _damaged(where: str | Path, fault: str) -> InputError:
    return InputError(f"{where} {fault}; {_AGAIN}.")


@contextlib.contextmanager
def _damage_named(where: str, kind: str) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise _damaged(where, "is truncated: its gzip data ends too early") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(where, f"is not an intact {kind} file ({error})") from None
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror or error}).") from None


def _unpack(path: Path, file: File) -> Content:
    with _damage_named(str(path), "gzip"), open_regular(path) as stream:
        unpacked = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
        return str(path), _limited(unpacked, file, str(path))


def _limited(stream, file: File, where: str) -> bytes:
    limit = file.size or _LARGEST_PICKLE
    if len(data := stream.read(limit + 1)) > limit:
        most = f"the {limit} bytes unpacked that the official file has"
        raise _damaged(where, f"holds more than {most}")
    return data


def _unpack_archive(path: Path, release: Release) -> dict[str, Content]:
    wanted = {f"{release.folder}/{file.name}": file for file in release.files}
    limit = sum(file.size or _LARGEST_PICKLE for file in release.files) + 2**20
    contents: dict[str, Content] = {}
    with _damage_named(str(path), ".tar.gz"), open_regular(path) as packed:
        # Unpacked before tarfile sees it, which believes the sizes that headers claim.
        unpacked = _limited(gzip.GzipFile(fileobj=packed), File(path.name, limit), str(path))
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for member in archive:
                file = wanted.get(member.name.removeprefix("./"))
                if file and member.isfile():
                    where = f"{member.name} in {path}"
                    contents[file.name] = where, _limited(archive.extractfile(member), file, where)
    if missing := [member for member, file in wanted.items() if file.name not in contents]:
        raise _damaged(path, f"does not hold {', '.join(missing)}")
    return contents


def _verify_files(release: Release, contents: dict[str, Content], archive: Path | None) -> bool:
    """Hold sizes and known checksums to the official ones; say whether all were known."""
    other = _BINARY if release.format == "pickle" else "pass verify=False to use it all the same"
    way = f"{_AGAIN}, or {other}"
    for file in release.files:
        where, data = contents[file.name]
        if file.size is not None and len(data) != file.size:
            sizes = f"{len(data)} bytes unpacked, the official file {file.size}"
            raise InputError(f"{where} holds {sizes}; {way}.")
        kind, expected = "md5" if file.md5 else "sha256", file.md5 or file.sha256
        got = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
        if expected not in (None, got):
            known = {file.sha256: name for name, r in RELEASES.items() for file in r.files}
            whose = f" (it is one of {known[got]}'s)" if got in known else ""
            fault = f"the official file{whose}: its unpacked {kind} is {got}, expected {expected}"
            raise InputError(f"{where} is not {fault}; {way}.")
    if all(file.sha256 or file.md5 for file in release.files):
        return True
    if archive is None:
        return False
    with open_regular(archive) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == release.archive_sha256


def _parse(release: Release, contents: dict[str, Content]) -> Pixels:
    splits = []
    for files in (release.train, release.test):
        stored = [contents[file.name] for file in files]
        if release.format == "idx":
            x, y = _parse_idx(stored[0], ndim=3)[..., None], _parse_idx(stored[1], ndim=1)
        else:
            parts = [_PARSERS[release.format](content, release) for content in stored]
            x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        where, _ = stored[0]
        if x.shape[1:] != release.image_shape:
            shapes = f"{x.shape[1:]}; {release.image_shape}"
            raise InputError(f"{where} holds images of shape {shapes} is expected.")
        if len(x) != len(y):
            raise InputError(f"{where} holds {len(x)} images, but there are {len(y)} labels.")
        check_labels(stored[-1][0], y, release.num_classes)
        splits += [x, y]
    return Pixels(*splits)


def _parse_idx(content: Content, ndim: int) -> np.ndarray:
    """Parse unsigned bytes: big-endian magic 0x0800 + ndim (3: images, 1: labels), sizes, bytes."""
    where, data = content
    start = 4 * (1 + ndim)
    if len(data) < start:
        raise _damaged(where, f"ends inside its IDX header ({len(data)} bytes)")
    magic, *shape = (int(n) for n in np.frombuffer(data, ">u4", 1 + ndim))
    if magic != 0x0800 + ndim:
        other = f"an IDX file of {'images' if ndim == 3 else 'labels'} has {0x0800 + ndim}"
        raise _damaged(where, f"starts with the magic number {magic} where {other}")
    size, found = start + math.prod(shape), len(data)
    if found != size:
        raise _damaged(where, f"holds {found} bytes unpacked, but its header promises {size}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _parse_cifar(content: Content, release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Parse records of label bytes (the last counts), then 1024 red, green and blue bytes."""
    where, data = content
    label_bytes = 2 if release.num_classes == 100 else 1  # CIFAR-100: coarse, then fine label
    size = label_bytes + 3072
    if len(data) == 0 or len(data) % size:
        raise _damaged(where, f"holds {len(data)} bytes, not a whole number of {size}-byte records")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return _channels_last(records[:, label_bytes:]), records[:, label_bytes - 1]


def _channels_last(planes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    """Unpickle what Python has literals for, and NumPy arrays; nothing else can be called."""

    def find_class(self, module, name):
        # Shape and bytes of the empty array follow, checked by NumPy.
        empty = {"_reconstruct": lambda *_: np.empty(0, np.uint8)}
        known = {"ndarray": "ndarray", "dtype": np.dtype, **empty}
        if not module.startswith("numpy") or name not in known:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return known[name]


def _parse_pickle(content: Content, release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Parse a batch of the Python version, running nothing that it may hold."""
    where, data = content
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        labels = b"fine_labels" if release.num_classes == 100 else b"labels"
        x, y = batch[b"data"], np.asarray(batch[labels])
        fits = x.dtype == np.uint8 and x.shape == (len(y), 3072) and y.dtype.kind == "i"
        if not (fits and y.min() >= 0 and y.max() < 256):
            raise ValueError("it holds other arrays")
    except Exception as error:  # a pickle can raise anything
        fault = f"{where} is not a file of CIFAR's Python version ({first_line(error)})"
        raise InputError(f"{fault}; {_AGAIN}, or {_BINARY}.") from None
    return _channels_last(x), y.astype(np.uint8)


def first_line(error: Exception) -> str:
    """Shorten what an exception says, for use in a sentence."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _parse_mat(content: Content, release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Parse X, uint8 (32, 32, 3, N), and y, (N, 1), in which the label 10 means the digit 0."""
    import scipy.io

    where, data = content
    most = max(release.sizes)
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(io.BytesIO(data))}
        if any(math.prod(shapes.get(name, ())) > 3072 * most for name in ("X", "y")):
            raise ValueError(f"X or y claims more than {most} images")
        arrays = scipy.io.loadmat(io.BytesIO(data), variable_names=("X", "y"))
    except Exception as error:  # scipy raises many kinds on damaged files
        raise _damaged(where, f"is not an intact MATLAB file ({first_line(error)})") from None
    x, y = arrays.get("X"), arrays.get("y")
    if x is None or y is None or x.ndim != 4 or x.dtype != np.uint8:
        raise _damaged(where, "does not hold X, uint8 (32, 32, 3, N), and y")
    y = y.ravel()
    if y.dtype.kind not in "iuf" or not np.isin(y, np.arange(1, 11)).all() or not y.size:
        raise _damaged(where, "has labels outside 1 to 10")
    return np.ascontiguousarray(np.moveaxis(x, -1, 0)), (y % 10).astype(np.uint8)


_PARSERS = {"cifar": _parse_cifar, "pickle": _parse_pickle, "mat": _parse_mat}
