"""Reading the official raw formats: tiny files of each format, their faults, and the real ones."""

import dataclasses
import gzip
import hashlib
import importlib.util
import io
import os
import pickle
import shutil
import socket
import struct
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from dofbook.datasets import load, locate
from dofbook.datasets.official import RELEASES
from dofbook.errors import InputError

N_TRAIN, N_TEST = 20, 7
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
IDX += ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR10 = tuple(f"data_batch_{i}.bin" for i in range(1, 6)) + ("test_batch.bin",)
REAL = os.environ.get("DOFBOOK_DATA_DIR")


@pytest.fixture(autouse=True)
def no_data_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("DOFBOOK_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def _pixels(name, seed=0):
    """Draw random images and labels of a data set's shape: x_train, y_train, x_test, y_test."""
    rng, release = np.random.default_rng(seed), RELEASES[name]
    arrays = []
    for n in (N_TRAIN, N_TEST):
        arrays += [
            rng.integers(0, 256, (n, *release.image_shape), dtype=np.uint8),
            rng.integers(0, release.num_classes, n, dtype=np.uint8),
        ]
    return arrays


def _idx_files(arrays):
    """Write IDX as its specification says, one byte after the other."""
    files = {}
    for name, array in zip(IDX, arrays, strict=True):
        shape = array.shape[:3]
        header = bytes([0, 0, 8, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape)
        files[name] = header + bytes(int(v) for v in array.ravel())
    return files


def _cifar_files(name, arrays):
    x_train, y_train, x_test, y_test = arrays
    coarse = b"\x13" if name == "cifar100" else b""
    parts = np.array_split(np.arange(N_TRAIN), 5 if name == "cifar10" else 1)
    names = CIFAR10 if name == "cifar10" else ("train.bin", "test.bin")
    files = {}
    for file, x, y in [
        *((f, x_train[p], y_train[p]) for f, p in zip(names, parts, strict=False)),
        (names[-1], x_test, y_test),
    ]:
        records = []
        for image, label in zip(x, y, strict=True):
            planes = b"".join(image[:, :, c].tobytes() for c in range(3))
            records.append(coarse + bytes([label]) + planes)
        files[file] = b"".join(records)
    return files


def _mat_files(arrays):
    files = {}
    for file, x, y in (("train_32x32.mat", *arrays[:2]), ("test_32x32.mat", *arrays[2:])):
        stored = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
        stream = io.BytesIO()
        variables = {"X": np.stack(list(x), axis=-1), "y": stored}
        scipy.io.savemat(stream, variables, do_compression=True)
        files[file] = stream.getvalue()
    return files


def _files(name, arrays):
    kind = RELEASES[name].format
    if kind == "idx":
        return _idx_files(arrays)
    return _cifar_files(name, arrays) if kind == "cifar" else _mat_files(arrays)


def _write(folder, files, gz=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / (name + ".gz" if gz else name)
        path.write_bytes(gzip.compress(data, 1) if gz else data)


def _archive(path, folder, files, prefix=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in {"readme.html": b"<p>", **files}.items():
            member = tarfile.TarInfo(f"{prefix}{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _make_official(monkeypatch, name, files, **changes):
    """Make given small files the official ones for the length of a test."""

    def described(file):
        data = files[file.name]
        sha256 = hashlib.sha256(data).hexdigest() if file.sha256 else None
        return dataclasses.replace(file, size=len(data), sha256=sha256)

    release = RELEASES[name]
    train, test = (tuple(map(described, part)) for part in (release.train, release.test))
    small = dataclasses.replace(release, train=train, test=test, **changes)
    monkeypatch.setitem(RELEASES, name, small)


def _same(dataset, arrays):
    x_train, y_train, x_test, y_test = arrays
    mean = (x_train / 255).mean(axis=0)
    np.testing.assert_allclose(dataset.x_train, x_train / 255 - mean, atol=3e-7)
    np.testing.assert_allclose(dataset.x_test, x_test / 255 - mean, atol=3e-7)
    np.testing.assert_array_equal(dataset.y_train, y_train)
    np.testing.assert_array_equal(dataset.y_test, y_test)
    assert dataset.x_train.flags.c_contiguous and dataset.x_test.flags.c_contiguous


RAW = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")


@pytest.mark.parametrize("place", ["directly", "in a folder of its name"])
@pytest.mark.parametrize("name", RAW)
def test_files_are_read_as_they_were_written(tmp_path, monkeypatch, name, place):
    arrays = _pixels(name)
    files = _files(name, arrays)
    folder = tmp_path if place == "directly" else tmp_path / name
    _write(folder, files)
    dataset = load(name, tmp_path, verify=False)
    _same(dataset, arrays)
    assert dataset.source.startswith("unverified files (")
    assert dataset.num_classes == RELEASES[name].num_classes
    assert locate(name, tmp_path) == str(folder)
    _make_official(monkeypatch, name, files)
    kind = "unverified" if name == "cifar100" else "official"
    assert load(name, tmp_path).source.startswith(f"{kind} files (")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_gzipped_and_unpacked_files_are_the_same_data(tmp_path, monkeypatch, name):
    arrays = _pixels(name)
    files = _files(name, arrays)
    _make_official(monkeypatch, name, files)
    _write(tmp_path / "gz", files, gz=True)
    _write(tmp_path / "plain", files)
    first, second = load(name, tmp_path / "gz"), load(name, tmp_path / "plain")
    _same(first, arrays)
    assert first.fingerprint == second.fingerprint


def test_the_folder_of_the_name_comes_before_files_beside_it(tmp_path):
    mnist, fashion = _pixels("mnist", 1), _pixels("mnist", 2)
    _write(tmp_path, _idx_files(mnist), gz=True)
    _write(tmp_path / "fashion_mnist", _idx_files(fashion), gz=True)
    _same(load("mnist", tmp_path, verify=False), mnist)
    _same(load("fashion_mnist", tmp_path, verify=False), fashion)


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("place", ["", "cifar10/"])
def test_cifar10_is_read_from_its_archive_or_folder(tmp_path, monkeypatch, place, prefix):
    arrays = _pixels("cifar10")
    files = _files("cifar10", arrays)
    _make_official(monkeypatch, "cifar10", files)
    archive = tmp_path / f"{place}cifar-10-binary.tar.gz"
    _archive(archive, "cifar-10-batches-bin", files, prefix)
    packed = load("cifar10", tmp_path)
    _same(packed, arrays)
    assert packed.source == "official files (CIFAR binary)"
    assert locate("cifar10", tmp_path) == str(archive)
    archive.unlink()
    _write(tmp_path / place / "cifar-10-batches-bin", files)
    assert load("cifar10", tmp_path).fingerprint == packed.fingerprint


def test_cifar100_is_verified_by_its_archive_alone(tmp_path, monkeypatch):
    arrays = _pixels("cifar100")
    files = _files("cifar100", arrays)
    archive = tmp_path / "cifar-100-binary.tar.gz"
    _archive(archive, "cifar-100-binary", files)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    _make_official(monkeypatch, "cifar100", files, archive_sha256=sha256)
    assert load("cifar100", tmp_path).source == "official files (CIFAR binary)"
    _archive(archive, "cifar-100-binary", files, "./")
    dataset = load("cifar100", tmp_path)
    assert dataset.source == "unverified files (CIFAR binary)"
    _same(dataset, arrays)


def test_svhn_label_ten_is_the_digit_zero(tmp_path):
    arrays = _pixels("svhn_cropped")
    arrays[1][:4] = 0
    files = _mat_files(arrays)
    assert scipy.io.loadmat(io.BytesIO(files["train_32x32.mat"]))["y"][0] == 10
    _write(tmp_path, files)
    np.testing.assert_array_equal(load("svhn_cropped", tmp_path, verify=False).y_train[:4], 0)


def _cut(data):
    return data[: len(data) // 2]


def _refused(name, folder, said, verify=True):
    with pytest.raises(InputError, match=said) as caught:
        load(name, folder, verify=verify)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize("victim", IDX)
def test_a_truncated_gzip_file_is_named(tmp_path, victim):
    _write(tmp_path, _idx_files(_pixels("mnist")), gz=True)
    path = tmp_path / f"{victim}.gz"
    path.write_bytes(_cut(path.read_bytes()))
    _refused("mnist", tmp_path, f"{victim}.gz is truncated: its gzip data ends too early")


@pytest.mark.parametrize(
    "damage",
    [lambda d: b"<html>not found</html>", lambda d: d[:-8] + b"\0" * 8, lambda d: d[:40] + d[44:]],
)
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    _write(tmp_path, _idx_files(_pixels("mnist")), gz=True)
    path = tmp_path / f"{IDX[0]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    _refused("mnist", tmp_path, f"{IDX[0]}.gz is (not an intact gzip file|truncated)")


def test_an_empty_file_is_named(tmp_path):
    _write(tmp_path, _idx_files(_pixels("mnist")), gz=True)
    (tmp_path / f"{IDX[1]}.gz").write_bytes(b"")
    _refused("mnist", tmp_path, f"{IDX[1]}.gz ends inside its IDX header .0 bytes.")


@pytest.mark.parametrize(
    ("victim", "start", "said"),
    [
        (0, b"\0\0\x08\x01", "magic number 2049 where an IDX file of images has 2051"),
        (1, b"\0\0\x08\x03", "magic number 2051 where an IDX file of labels has 2049"),
        (2, b"PK\x03\x04", "magic number 1347093252 where"),
    ],
)
def test_a_wrong_magic_number_is_named(tmp_path, victim, start, said):
    files = _idx_files(_pixels("mnist"))
    files[IDX[victim]] = start + files[IDX[victim]][4:]
    _write(tmp_path, files)
    assert IDX[victim] in _refused("mnist", tmp_path, said)


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0"])
@pytest.mark.parametrize("victim", IDX)
def test_a_length_other_than_the_headers_is_named(tmp_path, victim, change):
    files = _idx_files(_pixels("mnist"))
    promised = len(files[victim])
    files[victim] = change(files[victim])
    _write(tmp_path, files)
    _refused("mnist", tmp_path, f"{victim} holds .* but its header promises {promised}")


def test_other_image_sizes_counts_and_labels_are_named(tmp_path):
    arrays = _pixels("mnist")
    x_train, y_train, x_test, y_test = arrays
    for i, (wrong, said) in enumerate(
        [
            ([x_train[:, :20], y_train, x_test, y_test], r"shape \(20, 28, 1\); \(28, 28, 1\)"),
            ([x_train[:-1], y_train, x_test, y_test], "19 images, but there are 20 labels"),
            ([x_train, y_train, x_test, y_test + 10], "t10k-labels.* has labels 1.*allowed are 0"),
            ([x_train[:0], y_train[:0], x_test, y_test], "train-labels.* is empty"),
        ]
    ):
        _write(tmp_path / str(i), _idx_files(wrong))
        _refused("mnist", tmp_path / str(i), said, verify=False)


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("victim", IDX)
def test_a_missing_file_is_named(tmp_path, victim, gz):
    files = _idx_files(_pixels("mnist"))
    del files[victim]
    _write(tmp_path / "mnist", files, gz=gz)
    _refused("mnist", tmp_path, f"^{victim} missing from .*mnist, where the other files")
    with pytest.raises(InputError, match=victim):
        locate("mnist", tmp_path)


@pytest.mark.parametrize("name", RAW)
def test_files_of_another_size_than_the_official_are_named(tmp_path, name):
    files = _files(name, _pixels(name))
    _write(tmp_path, files)
    first = next(iter(files))
    size = {file.name: file.size for file in RELEASES[name].files}[first]
    said = f"{first} holds {len(files[first])} bytes unpacked, the official file {size}; .*verify=F"
    _refused(name, tmp_path, said)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "svhn_cropped"])
def test_other_content_is_named_with_both_checksums(tmp_path, monkeypatch, name):
    arrays = _pixels(name)
    official = _files(name, arrays)
    _make_official(monkeypatch, name, official)
    victim = RELEASES[name].test[0]
    arrays[2][3, 5, 6, 0] ^= 1
    # Only this file: those of MATLAB hold the second they were written in.
    changed = official | {victim.name: _files(name, arrays)[victim.name]}
    data = changed[victim.name]
    if len(data) != victim.size:  # MATLAB files are compressed
        monkeypatch.setitem(
            RELEASES,
            name,
            dataclasses.replace(
                RELEASES[name], test=(dataclasses.replace(victim, size=len(data)),)
            ),
        )
    _write(tmp_path, changed)
    got, expected = (hashlib.sha256(d).hexdigest() for d in (data, official[victim.name]))
    message = _refused(name, tmp_path, f"{victim.name} is not the official file: .*verify=False")
    assert f"sha256 is {got}, expected {expected};" in message
    assert load(name, tmp_path, verify=False).source.startswith("unverified files")


def test_files_of_another_data_set_are_recognised(tmp_path, monkeypatch):
    files = _idx_files(_pixels("mnist"))
    _make_official(monkeypatch, "mnist", files)
    _make_official(monkeypatch, "fashion_mnist", _idx_files(_pixels("mnist", 5)))
    _write(tmp_path, files)
    _refused("fashion_mnist", tmp_path, r"not the official file \(it is one of mnist's\)")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_records_cut_short_are_named(tmp_path, name):
    files = _files(name, _pixels(name))
    victim = RELEASES[name].test[0].name
    files[victim] = files[victim][:-1]
    _write(tmp_path, files)
    record = 3073 if name == "cifar10" else 3074
    said = f"{victim} holds .* bytes, not a whole number of {record}-byte records"
    _refused(name, tmp_path, said, verify=False)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "is truncated: its gzip data ends too early"),
        (lambda d: d[:1000] + bytes(8) + d[1008:], "is not an intact .tar.gz file"),
        (lambda d: b"<html>not found</html>", "is not an intact .tar.gz file"),
        (lambda d: gzip.compress(b"no archive"), "is not an intact .tar.gz file"),
    ],
)
def test_a_damaged_archive_is_named(tmp_path, damage, said):
    path = tmp_path / "cifar-10-binary.tar.gz"
    _archive(path, "cifar-10-batches-bin", _files("cifar10", _pixels("cifar10")))
    path.write_bytes(damage(path.read_bytes()))
    _refused("cifar10", tmp_path, f"{path.name} {said}")


def test_an_archive_without_some_files_is_named(tmp_path):
    files = _files("cifar10", _pixels("cifar10"))
    del files["data_batch_3.bin"]
    _archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
    _refused("cifar10", tmp_path, "does not hold cifar-10-batches-bin/data_batch_3.bin;")


@pytest.mark.parametrize("keep", [0, 50, 200, 2000])
def test_a_damaged_matlab_file_is_named(tmp_path, keep):
    files = _mat_files(_pixels("svhn_cropped"))
    files["test_32x32.mat"] = files["test_32x32.mat"][:keep]
    _write(tmp_path, files)
    _refused("svhn_cropped", tmp_path, "test_32x32.mat (is not an intact MATLAB|does not hold X)")


def test_a_matlab_file_of_something_else_is_named(tmp_path):
    arrays = _pixels("svhn_cropped")
    for variables, said in (
        ({"X": np.zeros((3, 3)), "y": np.ones((3, 1))}, "does not hold X"),
        ({"y": np.ones((3, 1))}, "does not hold X"),
        ({"X": np.stack(list(arrays[0]), -1), "y": np.zeros((20, 1))}, "labels outside 1 to 10"),
    ):
        _write(tmp_path, _mat_files(arrays))
        scipy.io.savemat(tmp_path / "train_32x32.mat", variables)
        _refused("svhn_cropped", tmp_path, f"train_32x32.mat .*{said}", verify=False)


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    _write(tmp_path, _idx_files(_pixels("mnist")))

    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    _refused("mnist", tmp_path, f"{IDX[0]} cannot be read .Permission denied.")


@pytest.mark.parametrize(
    ("name", "theirs"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
)
@pytest.mark.parametrize("gz", [True, False])
def test_torchvision_s_folders_are_read(tmp_path, name, theirs, gz):
    arrays = _pixels(name)
    folder = tmp_path / "data" / theirs / "raw"
    _write(folder, _idx_files(arrays), gz)
    for place in (tmp_path / "data", tmp_path / "data" / theirs, folder):
        assert locate(name, place) == str(folder)
        _same(load(name, place, verify=False), arrays)


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_idx_names_with_a_dot_and_folders_of_their_names_are_read(tmp_path, gz, inside):
    arrays = _pixels("mnist")
    for name, data in _idx_files(arrays).items():
        dotted = name.replace("-idx", ".idx")
        folder = tmp_path / name if inside else tmp_path
        _write(folder, {name if inside and not gz else dotted: data}, gz and not inside)
    _same(load("mnist", tmp_path, verify=False), arrays)


class _Python2(pickle._Pickler):
    """Pickle bytes as Python 2 did its strings, as in CIFAR's Python version."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, data):
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    dispatch[bytes] = save_bytes


def _pickled(value):
    stream = io.BytesIO()
    _Python2(stream, 2).dump(value)
    return stream.getvalue()


def _pickle_files(name, arrays):
    x_train, y_train, x_test, y_test = arrays
    files, release = {}, RELEASES[name].python
    key = b"labels" if name == "cifar10" else b"fine_labels"
    parts = np.array_split(np.arange(N_TRAIN), len(release.train))
    splits = [(x_train[p], y_train[p]) for p in parts] + [(x_test, y_test)]
    for file, (x, y) in zip(release.files, splits, strict=True):
        rows = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(len(x), -1)
        batch = {b"batch_label": b"of five", key: y.tolist(), b"data": rows, b"filenames": [b"a"]}
        files[file.name] = _pickled(batch)
    return files


def _make_official_pickles(monkeypatch, name, files):
    def described(file):
        md5 = hashlib.md5(files[file.name], usedforsecurity=False).hexdigest()
        return dataclasses.replace(file, md5=md5)

    release = RELEASES[name].python
    train, test = (tuple(map(described, part)) for part in (release.train, release.test))
    small = dataclasses.replace(release, train=train, test=test)
    monkeypatch.setitem(RELEASES, name, dataclasses.replace(RELEASES[name], python=small))


@pytest.mark.parametrize("place", ["", "name", "folder", "archive"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_python_version_of_cifar_is_read(tmp_path, monkeypatch, name, place):
    arrays = _pixels(name)
    files = _pickle_files(name, arrays)
    _make_official_pickles(monkeypatch, name, files)
    release = RELEASES[name].python
    base = tmp_path / name if place == "name" else tmp_path
    if place == "archive":
        _archive(base / release.archive, release.folder, files)
    else:
        _write(base / release.folder, files)
    dataset = load(name, tmp_path / release.folder if place == "folder" else tmp_path)
    _same(dataset, arrays)
    assert dataset.source == "official files (CIFAR Python)"
    _write(tmp_path / "other", _cifar_files(name, arrays))
    binary = load(name, tmp_path / "other", verify=False)
    assert binary.fingerprint == dataset.fingerprint


@pytest.mark.parametrize("verify", [True, False])
def test_pickles_that_are_not_the_official_ones_are_refused_unread(tmp_path, monkeypatch, verify):
    _write(tmp_path / "cifar-10-batches-py", _pickle_files("cifar10", _pixels("cifar10")))
    said = "data_batch_1 is not the official file: its unpacked md5 is .*, expected c99cafc1.*; .* "
    _refused("cifar10", tmp_path, said + "take the binary version of the data set", verify)


class _Calls:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({b"data": _Calls(os.system, "touch witness"), b"labels": [1]}, "it calls posix.system"),
        ({b"data": _Calls(eval, "1"), b"labels": [1]}, "it calls __builtin__.eval"),
        ({b"data": _Calls(np.load, "witness"), b"labels": [1]}, "it calls numpy.load"),
        ({b"data": _Calls(np.ndarray, (2**40,)), b"labels": [1]}, "not callable"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "it holds other arrays"),
        ({b"data": np.zeros((1, 3072)), b"labels": [1]}, "it holds other arrays"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [256]}, "it holds other arrays"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [0.5]}, "it holds other arrays"),
        ({b"labels": [1]}, "data"),
        ([1, 2], "list indices"),
    ],
)
def test_a_pickle_can_call_nothing(tmp_path, monkeypatch, value, said):
    """Even one with the right checksum, which these are given here."""
    monkeypatch.chdir(tmp_path)
    files = _pickle_files("cifar10", _pixels("cifar10"))
    files["data_batch_1"] = _pickled(value)
    _make_official_pickles(monkeypatch, "cifar10", files)
    _write(tmp_path / "cifar-10-batches-py", files)
    message = _refused("cifar10", tmp_path, "data_batch_1 is not a file of CIFAR's Python version")
    assert said in message and message.endswith("take the binary version of the data set.")
    assert not (tmp_path / "witness").exists()


def test_a_truncated_pickle_is_named(tmp_path, monkeypatch):
    files = _pickle_files("cifar100", _pixels("cifar100"))
    files["test"] = _cut(files["test"])
    _make_official_pickles(monkeypatch, "cifar100", files)
    _write(tmp_path / "cifar-100-python", files)
    _refused("cifar100", tmp_path, "test is not a file of CIFAR's Python version")


def _zeros(stream, count):
    chunk = bytes(2**20)
    for _ in range(count // len(chunk)):
        stream.write(chunk)


def _peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("verify", [True, False])
def test_a_gzip_bomb_is_not_unpacked(tmp_path, verify):
    _write(tmp_path, _idx_files(_pixels("mnist")), gz=True)
    with gzip.open(tmp_path / f"{IDX[1]}.gz", "wb", compresslevel=1) as stream:
        _zeros(stream, 2**28)
    said = f"{IDX[1]}.gz holds more than the 60008 bytes unpacked that the official file has"
    assert _peak(lambda: _refused("mnist", tmp_path, said, verify)) < 2**27


def test_a_file_without_end_is_not_read(tmp_path):
    _write(tmp_path, _idx_files(_pixels("mnist")))
    with (tmp_path / IDX[1]).open("wb") as stream:
        stream.truncate(2**40)  # sparse
    said = f"{IDX[1]} holds more than the 60008 bytes unpacked"
    assert _peak(lambda: _refused("mnist", tmp_path, said)) < 2**27


def _small_cifar(monkeypatch):
    files = _files("cifar10", _pixels("cifar10"))
    _make_official(monkeypatch, "cifar10", files)
    return files


@pytest.mark.parametrize("kind", ["member", "other", "pax", "longname"])
def test_an_archive_that_claims_more_than_there_is_is_refused(tmp_path, monkeypatch, kind):
    files = _small_cifar(monkeypatch)
    path = tmp_path / "cifar-10-binary.tar.gz"
    names = {"member": "cifar-10-batches-bin/data_batch_2.bin", "other": "large"}
    types = {"pax": tarfile.XHDTYPE, "longname": tarfile.GNUTYPE_LONGNAME}
    with gzip.open(path, "wb", compresslevel=1) as stream:
        member = tarfile.TarInfo(names.get(kind, "header"))
        member.size, member.type = 2**50, types.get(kind, tarfile.REGTYPE)
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
        with tarfile.open(fileobj=stream, mode="w:") as archive:
            for name, data in files.items():
                file = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                file.size = len(data)
                archive.addfile(file, io.BytesIO(data))
    said = "more than (the )?[0-9]+ bytes unpacked|not an intact .tar.gz file"
    assert _peak(lambda: _refused("cifar10", tmp_path, said)) < 2**24


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, where):
    files = _small_cifar(monkeypatch)
    path = tmp_path / "cifar-10-binary.tar.gz"
    _archive(path, "cifar-10-batches-bin", files)
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb", compresslevel=1) as stream:
        if where == "before":
            member = tarfile.TarInfo("large")
            member.size = 2**28
            stream.write(member.tobuf())
        _zeros(stream, 2**28)
    plain = path.read_bytes()
    whole = bomb.getvalue() + plain if where == "before" else plain + bomb.getvalue()
    path.write_bytes(whole)
    said = "holds more than the [0-9]+ bytes unpacked that the official file has"
    assert _peak(lambda: _refused("cifar10", tmp_path, said)) < 2**24


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("kind", ["FIFO", "device", "loop", "nothing", "folder", "socket"])
def test_only_regular_files_are_opened(tmp_path, kind, gz):
    _write(tmp_path, _idx_files(_pixels("mnist")), gz=gz)
    victim = tmp_path / (IDX[2] + ".gz" * gz)
    victim.unlink()
    said = f"{victim.name} is a {kind}; a regular file is needed"
    if kind == "FIFO":
        os.mkfifo(victim)
    elif kind == "device":
        victim.symlink_to("/dev/zero")
    elif kind == "loop":
        victim.symlink_to(victim)
        said = f"{victim.name} cannot be read .Too many levels of symbolic links."
    elif kind == "nothing":
        victim.symlink_to(tmp_path / "absent")
        said = f"{victim.name} is a link to nothing; a regular file is needed"
    elif kind == "folder":
        victim.mkdir()
        said = f"^{IDX[2]} missing from"
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(victim))
        said = f"{victim.name} is a special file; a regular file is needed"
    _refused("mnist", tmp_path, said)
    with pytest.raises(InputError, match=said):
        locate("mnist", tmp_path)


def test_an_archive_must_be_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "cifar-10-binary.tar.gz")
    _refused("cifar10", tmp_path, "tar.gz is a FIFO; a regular file is needed")


def test_a_file_exchanged_for_a_fifo_does_not_block(tmp_path, monkeypatch):
    _write(tmp_path, _idx_files(_pixels("mnist")))
    victim = tmp_path / IDX[0]
    opened = os.open

    def exchange(path, flags, *rest):
        if Path(path) == victim:
            victim.unlink()
            os.mkfifo(victim)
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", exchange)
    _refused("mnist", tmp_path, f"{IDX[0]} is no regular file any more")


@pytest.mark.parametrize("label", [np.nan, 1.5, 0.0, 11.0, -1.0, np.inf, 2.0**32 + 1])
def test_labels_of_svhn_must_be_whole_numbers_from_one_to_ten(tmp_path, label):
    arrays = _pixels("svhn_cropped")
    _write(tmp_path, _mat_files(arrays))
    y = np.where(arrays[1] == 0, 10, arrays[1]).astype(float)[:, None]
    variables = {"X": np.stack(list(arrays[0]), axis=-1), "y": y}
    scipy.io.savemat(tmp_path / "train_32x32.mat", variables)
    _same(load("svhn_cropped", tmp_path, verify=False), arrays)  # whole numbers as floats
    y[3] = label
    scipy.io.savemat(tmp_path / "train_32x32.mat", variables)
    _refused("svhn_cropped", tmp_path, "train_32x32.mat has labels outside 1 to 10", verify=False)


def test_a_matlab_file_that_claims_too_much_is_not_unpacked(tmp_path, monkeypatch):
    _write(tmp_path, _mat_files(_pixels("svhn_cropped")))
    wide = np.zeros((32, 32, 3, 80_000), np.uint8)
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": wide, "y": [[1]]}, do_compression=True)
    monkeypatch.setattr(scipy.io, "loadmat", None)
    said = "train_32x32.mat is not an intact MATLAB file .X or y claims more than 73257 images"
    _refused("svhn_cropped", tmp_path, said, verify=False)


def _registered(resource):
    """Read the download checksums that tensorflow-datasets registers, without importing it."""
    root = Path(importlib.util.find_spec("tensorflow_datasets").origin).parent
    rows = (line.split("\t") for line in (root / resource).read_text().splitlines())
    return {url.rsplit("/", 1)[1]: (int(size), sha256) for url, size, sha256, _ in rows}


def test_checksums_of_downloads_are_those_tensorflow_datasets_registers():
    svhn = _registered("datasets/svhn_cropped/checksums.tsv")
    for file in RELEASES["svhn_cropped"].files:
        assert svhn[file.name] == (file.size, file.sha256)
    for name in ("cifar10", "cifar100"):
        release = RELEASES[name]
        registered = _registered(f"url_checksums/{name}.txt")
        assert registered[release.archive][1] == release.archive_sha256


@pytest.mark.parametrize("name", RAW)
def test_official_sizes_are_those_of_the_formats(name):
    release = RELEASES[name]
    pixels = int(np.prod(release.image_shape))
    if release.format == "idx":
        expected = [n for size in release.sizes for n in (16 + size * pixels, 8 + size)]
    elif release.format == "cifar":
        record = pixels + (2 if name == "cifar100" else 1)
        train, test = (n * record for n in release.sizes)
        expected = [train // len(release.train)] * len(release.train) + [test]
    else:
        expected = [file.size for file in release.files]  # compressed: no rule
    assert [file.size for file in release.files] == expected


def _real(name):
    if not REAL:
        pytest.skip("$DOFBOOK_DATA_DIR is not set")
    if locate(name, REAL) is None:
        pytest.skip(f"$DOFBOOK_DATA_DIR has no {name}")
    return Path(REAL)


@pytest.mark.realdata
@pytest.mark.parametrize("name", RAW)
def test_real_data_sets_load(name):
    dataset = load(name, _real(name))
    release = RELEASES[name]
    assert dataset.x_train.shape == (release.sizes[0], *release.image_shape)
    assert dataset.x_test.shape == (release.sizes[1], *release.image_shape)
    assert np.abs(dataset.x_train.mean(axis=0, dtype=np.float64)).max() < 1e-6
    pixels = dataset.x_train[:100] + dataset.mean_image
    np.testing.assert_allclose(pixels * 255, np.rint(pixels * 255), atol=1e-4)
    assert pixels.min() > -1e-6 and pixels.max() < 1 + 1e-6
    if release.fingerprint:
        assert dataset.fingerprint == release.fingerprint
        assert dataset.source.startswith("official files")


# Published facts: MNIST's class counts, and the others' balanced classes.
MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist", MNIST_COUNTS),
        ("fashion_mnist", [6000] * 10),
        ("cifar10", [5000] * 10),
        ("cifar100", [500] * 100),
    ],
)
def test_real_class_counts(name, counts):
    assert np.bincount(load(name, _real(name)).y_train).tolist() == counts


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_downloads_have_the_registered_checksums(name):
    folder = Path(locate(name, _real(name)))
    for file, (size, sha256) in _registered(f"url_checksums/{name}.txt").items():
        data = (folder / file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_real_files_cut_short_are_named(tmp_path, name):
    _real(name)
    found = Path(locate(name, REAL))
    if found.is_dir():
        shutil.copytree(found, tmp_path / found.name)
        victim = max((tmp_path / found.name).iterdir(), key=lambda path: path.stat().st_size)
    else:
        victim = shutil.copy(found, tmp_path / found.name)
    victim = Path(victim)
    os.truncate(victim, victim.stat().st_size // 2 + 1)
    said = "is truncated|whole number of" if victim.suffix == ".gz" else "whole number of"
    said = said if victim.suffix else "is not the official file"  # a pickle
    assert victim.name in _refused(
        name, tmp_path / found.name if found.is_dir() else tmp_path, said
    )
