"""Read the official raw files: IDX (MNIST), CIFAR's binary records, SVHN's MATLAB files."""

import gzip
import hashlib
import io
import math
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dofbook.datasets.dataset import check_labels
from dofbook.datasets.official import RELEASES, Release
from dofbook.errors import InputError

_AGAIN = "copy or download it again"
_FORMATS = {"idx": "IDX", "cifar": "CIFAR binary", "mat": "MATLAB"}


class Pixels(NamedTuple):
    """Hold a data set as it is stored: uint8 images (N, H, W, C) and uint8 labels (N,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Content(NamedTuple):
    """Hold the unpacked bytes of one file, and where they are for messages."""

    where: str
    data: bytes


def read_raw(name: str, root: Path, verify: bool) -> tuple[Pixels, str] | None:
    """Read a data set from official raw files in `root / name` or `root`.

    Args:
        name: A key of `official.RELEASES`.
        root: Folder to look in.
        verify: Hold sizes and checksums to the official ones.

    Returns:
        The pixels and the source in words; None if no official file is there.

    Raises:
        InputError: If files are missing, truncated, of another format, or not the official ones.
    """
    release = RELEASES[name]
    found = find_raw(name, root)
    if found is None:
        return None
    if isinstance(found, dict):
        archive, contents = None, {file: _unpack(path) for file, path in found.items()}
    else:
        archive, contents = found, _unpack_archive(found, release)
    pixels = _parse(release, contents)
    official = verify and _verify(release, contents, archive)
    kind = "official" if official else "unverified"
    return pixels, f"{kind} files ({_FORMATS[release.format]})"


def find_raw(name: str, root: Path) -> dict[str, Path] | Path | None:
    """Find the official raw files of a data set in `root / name` or `root`.

    Args:
        name: A key of `official.RELEASES`.
        root: Folder to look in.

    Returns:
        The path of each file, or that of the archive, or None.

    Raises:
        InputError: If some of the files are there and others missing.
    """
    return _find(root / name, RELEASES[name]) or _find(root, RELEASES[name])


def _find(base: Path, release: Release) -> dict[str, Path] | Path | None:
    """Find the files in their folder, in the archive, or directly in `base`."""
    in_folder = release.folder and _find_files(base / release.folder, release)
    if in_folder:
        return in_folder
    if release.archive and (base / release.archive).is_file():
        return base / release.archive
    return _find_files(base, release)


def _find_files(folder: Path, release: Release) -> dict[str, Path] | None:
    suffixes = (".gz", "") if release.format == "idx" else ("",)
    found = {}
    for file in release.files:
        paths = [folder / (file.name + suffix) for suffix in suffixes]
        found[file.name] = next((path for path in paths if path.is_file()), None)
    missing = [name for name, path in found.items() if path is None]
    if len(missing) == len(found):
        return None
    if missing:
        raise InputError(
            f"{', '.join(missing)} missing from {folder}, where the other files of the data set "
            f"are; put it beside them."
        )
    return found


def _unpack(path: Path) -> Content:
    where = str(path)
    try:
        data = path.read_bytes()
        return Content(where, gzip.decompress(data) if path.suffix == ".gz" else data)
    except EOFError:
        raise InputError(f"{where} is truncated: its gzip data ends too early; {_AGAIN}.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{where} is not an intact gzip file ({error}); {_AGAIN}.") from None
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror}).") from None


def _unpack_archive(path: Path, release: Release) -> dict[str, Content]:
    wanted = {f"{release.folder}/{file.name}": file for file in release.files}
    contents = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                file = wanted.get(member.name.removeprefix("./"))
                if file and member.isfile():
                    data = archive.extractfile(member).read()
                    contents[file.name] = Content(f"{member.name} in {path}", data)
            while stream.read(1 << 20):  # gzip checks its own checksum at the very end
                pass
    except EOFError:
        raise InputError(f"{path} is truncated: its gzip data ends too early; {_AGAIN}.") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not an intact .tar.gz file ({error}); {_AGAIN}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    missing = [member for member, file in wanted.items() if file.name not in contents]
    if missing:
        raise InputError(f"{path} does not hold {', '.join(missing)}; {_AGAIN}.")
    return contents


def _verify(release: Release, contents: dict[str, Content], archive: Path | None) -> bool:
    """Hold sizes and known checksums to the official ones; say whether all were known."""
    for file in release.files:
        where, data = contents[file.name]
        if len(data) != file.size:
            raise InputError(
                f"{where} holds {len(data)} bytes unpacked, the official file {file.size}; "
                f"{_AGAIN}, or pass verify=False to use it all the same."
            )
        got = hashlib.sha256(data).hexdigest()
        if file.sha256 not in (None, got):
            raise InputError(
                f"{where} is not the official file{_whose(got)}: its unpacked sha256 is {got}, "
                f"expected {file.sha256}; {_AGAIN}, or pass verify=False to use it all the same."
            )
    if all(file.sha256 for file in release.files):
        return True
    if archive is None:
        return False
    with archive.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == release.archive_sha256


def _whose(sha256: str) -> str:
    for name, release in RELEASES.items():
        if any(sha256 == file.sha256 for file in release.files):
            return f" (it is one of {name}'s)"
    return ""


def _parse(release: Release, contents: dict[str, Content]) -> Pixels:
    splits = []
    for files in (release.train, release.test):
        x, y = _READERS[release.format](release, [contents[file.name] for file in files])
        where = contents[files[0].name].where
        if x.shape[1:] != release.image_shape:
            raise InputError(
                f"{where} holds images of shape {x.shape[1:]}; {release.image_shape} is expected."
            )
        if len(x) != len(y):
            raise InputError(f"{where} holds {len(x)} images, but there are {len(y)} labels.")
        check_labels(contents[files[-1].name].where, y, release.num_classes)
        splits += [x, y]
    return Pixels(*splits)


def _read_idx(release, contents):
    images, labels = contents
    return parse_idx(images, ndim=3)[..., None], parse_idx(labels, ndim=1)


def parse_idx(content: Content, ndim: int) -> np.ndarray:
    """Parse one IDX file of unsigned bytes.

    Args:
        content: The unpacked file: big-endian magic 0x0800 + ndim, sizes, then the bytes.
        ndim: 3 for images (magic 2051), 1 for labels (magic 2049).

    Returns:
        uint8 array of the sizes in the header.

    Raises:
        InputError: If the magic number or the length is wrong.
    """
    where, data = content
    start = 4 * (1 + ndim)
    if len(data) < start:
        raise InputError(f"{where} ends inside its IDX header ({len(data)} bytes); {_AGAIN}.")
    magic, *shape = (int(n) for n in np.frombuffer(data, ">u4", 1 + ndim))
    if magic != 0x0800 + ndim:
        raise InputError(
            f"{where} starts with the magic number {magic} where an IDX file of "
            f"{'images' if ndim == 3 else 'labels'} has {0x0800 + ndim}; {_AGAIN}."
        )
    size = start + math.prod(shape)
    if len(data) != size:
        raise InputError(
            f"{where} holds {len(data)} bytes unpacked, but its header promises {size}; {_AGAIN}."
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _read_cifar(release, contents):
    label_bytes = 2 if release.num_classes == 100 else 1  # CIFAR-100: coarse, then fine label
    splits = [parse_cifar(content, label_bytes) for content in contents]
    return tuple(np.concatenate(arrays) for arrays in zip(*splits, strict=True))


def parse_cifar(content: Content, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Parse one file of CIFAR records: label bytes, then 1024 red, green and blue bytes.

    Args:
        content: The unpacked file.
        label_bytes: Labels per record; the last one is used.

    Returns:
        uint8 images (N, 32, 32, 3) and uint8 labels (N,).

    Raises:
        InputError: If the length is not a whole number of records.
    """
    where, data = content
    size = label_bytes + 3072
    if len(data) == 0 or len(data) % size:
        raise InputError(
            f"{where} holds {len(data)} bytes, not a whole number of {size}-byte records; {_AGAIN}."
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, label_bytes - 1]


def _read_mat(release, contents):
    (content,) = contents
    return parse_mat(content)


def parse_mat(content: Content) -> tuple[np.ndarray, np.ndarray]:
    """Parse one of SVHN's MATLAB files, in which the label 10 means the digit 0.

    Args:
        content: The file: X, uint8 (32, 32, 3, N), and y, (N, 1) with labels 1 to 10.

    Returns:
        uint8 images (N, 32, 32, 3) and uint8 labels (N,), 0 to 9.

    Raises:
        InputError: If it is not such a file.
    """
    import scipy.io

    where, data = content
    try:
        arrays = scipy.io.loadmat(io.BytesIO(data), variable_names=("X", "y"))
    except Exception as error:  # scipy raises many kinds on damaged files
        raise InputError(f"{where} is not an intact MATLAB file ({error}); {_AGAIN}.") from None
    x, y = arrays.get("X"), arrays.get("y")
    if x is None or y is None or x.ndim != 4 or x.dtype != np.uint8:
        raise InputError(f"{where} does not hold X, uint8 (32, 32, 3, N), and y; {_AGAIN}.")
    y = y.ravel()
    if y.size == 0 or y.min() < 1 or y.max() > 10:
        raise InputError(f"{where} has labels outside 1 to 10; {_AGAIN}.")
    return np.ascontiguousarray(np.moveaxis(x, -1, 0)), (y % 10).astype(np.uint8)


_READERS = {"idx": _read_idx, "cifar": _read_cifar, "mat": _read_mat}
