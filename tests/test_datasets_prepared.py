"""Copies prepared by tensorflow-datasets, and what is said where nothing can be downloaded.

The prepared copies are written here by tensorflow-datasets itself, which needs TensorFlow to
encode images, but not when it is handed PNG files. Each test that pretends something says so.
"""

import dataclasses
import http.server
import importlib.util
import io
import logging
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from dofbook.datasets import load, locate
from dofbook.datasets.dataset import fingerprint
from dofbook.datasets.official import RELEASES
from dofbook.datasets.prepared import reachable
from dofbook.errors import InputError

SIZES = (40, 15)
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


@pytest.fixture(autouse=True)
def no_data_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("DOFBOOK_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))


def _pixels(name, seed=0):
    rng, arrays = np.random.default_rng(seed), []
    for n in SIZES:
        shape = (n, *RELEASES[name].image_shape)
        arrays.append(rng.integers(0, 256, shape, dtype=np.uint8))
        arrays.append(rng.integers(0, RELEASES[name].num_classes, n))
    return arrays


def _png(image):
    stream = io.BytesIO()
    Image.fromarray(image.squeeze()).save(stream, "PNG")
    stream.seek(0)
    return stream


def _prepare(root, name, arrays, file_format="array_record"):
    """Let tensorflow-datasets prepare arrays as its own builder of that name does: keys 0, 1, …"""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    data = {"train": arrays[:2], "test": arrays[2:]}
    shape, classes = RELEASES[name].image_shape, RELEASES[name].num_classes

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("3.0.1")

        def _info(self):
            image = tfds.features.Image(shape=shape)
            label = tfds.features.ClassLabel(num_classes=classes)
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in data}

        def _generate_examples(self, split):
            for i, (image, label) in enumerate(zip(*data[split], strict=True)):
                yield i, {"image": _png(image), "label": int(label)}

    Tiny.name = name
    builder = Tiny(data_dir=root, file_format=file_format)
    builder.download_and_prepare()
    return root / name / "3.0.1"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Give a TFDS data folder with tiny mnist and cifar100, and what they hold."""
    root = tmp_path_factory.mktemp("prepared")
    arrays = {name: _pixels(name) for name in ("mnist", "cifar100")}
    for name in arrays:
        _prepare(root, name, arrays[name])
    return root, arrays


@pytest.fixture
def copy(prepared, tmp_path):
    """Give a copy of that folder that a test may damage."""
    import shutil

    root, arrays = prepared
    shutil.copytree(root, tmp_path / "copy")
    for cache in (tmp_path / "copy").rglob("dofbook.npz"):
        cache.unlink()
    return tmp_path / "copy", arrays


def _make_official(monkeypatch, name, arrays):
    small = dataclasses.replace(RELEASES[name], sizes=SIZES, fingerprint=fingerprint(*arrays))
    monkeypatch.setitem(RELEASES, name, small)


@pytest.mark.parametrize("name", ["mnist", "cifar100"])
def test_a_prepared_copy_gives_the_official_order(prepared, monkeypatch, name):
    root, arrays = prepared[0], prepared[1][name]
    _make_official(monkeypatch, name, arrays)
    dataset = load(name, root)
    mean = (arrays[0] / 255).mean(axis=0)
    np.testing.assert_allclose(dataset.x_train, arrays[0] / 255 - mean, atol=3e-7)
    np.testing.assert_allclose(dataset.x_test, arrays[2] / 255 - mean, atol=3e-7)
    np.testing.assert_array_equal(dataset.y_train, arrays[1])
    np.testing.assert_array_equal(dataset.y_test, arrays[3])
    assert dataset.fingerprint == fingerprint(*arrays)
    assert dataset.source == f"tensorflow-datasets {name} 3.0.1"
    assert locate(name, root) == str(root / name / "3.0.1")


def test_tensorflow_datasets_stores_another_order(prepared):
    """Otherwise the test above could not fail."""
    import tensorflow_datasets as tfds

    root, arrays = prepared
    source = tfds.builder_from_directory(root / "mnist" / "3.0.1").as_data_source("train")
    assert [int(example["label"]) for example in source] != arrays["mnist"][1].tolist()


def test_the_default_folder_is_looked_in_too(prepared, monkeypatch, tmp_path):
    root, arrays = prepared
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    for folder in (None, "", tmp_path):
        dataset = load("mnist", folder, verify=False)
        np.testing.assert_array_equal(dataset.y_test, arrays["mnist"][3])


def test_decoded_arrays_are_kept_and_used(copy, monkeypatch):
    root, _ = copy
    first = load("mnist", root, verify=False)
    directory = root / "mnist" / "3.0.1"
    assert (directory / "dofbook.npz").is_file()
    assert not list(directory.glob("*.tmp"))
    for path in directory.glob("*array_record*"):
        path.unlink()  # nothing is left to decode
    assert load("mnist", root, verify=False).fingerprint == first.fingerprint


@pytest.mark.parametrize("fault", ["cut", "empty", "older", "other"])
def test_a_bad_cache_is_replaced(copy, fault):
    root, arrays = copy
    first = load("mnist", root, verify=False)
    cache = root / "mnist" / "3.0.1" / "dofbook.npz"
    if fault == "cut":
        os.truncate(cache, cache.stat().st_size // 2)
    elif fault == "empty":
        cache.write_bytes(b"")
    elif fault == "other":
        np.savez(cache, something=np.zeros(3))
    else:
        wrong = dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays["mnist"], strict=True))
        np.savez(cache, **{**wrong, "y_test": wrong["y_test"] * 0})
        os.utime(cache, (0, 0))
    assert load("mnist", root, verify=False).fingerprint == first.fingerprint
    with np.load(cache) as kept:
        np.testing.assert_array_equal(kept["y_test"], arrays["mnist"][3])


def test_a_folder_that_cannot_be_written_is_no_obstacle(copy, monkeypatch):
    def refuse(source, target):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    root, arrays = copy
    np.testing.assert_array_equal(load("mnist", root, verify=False).y_test, arrays["mnist"][3])
    directory = root / "mnist" / "3.0.1"
    assert not (directory / "dofbook.npz").exists() and not list(directory.glob("*.tmp"))


def test_the_newest_version_is_taken(copy):
    root, _ = copy
    for version in ("3.0.0", "3.0.10", "incomplete.3.0.20_x.y"):
        folder = root / "mnist" / version
        folder.mkdir()
        (folder / "dataset_info.json").write_text("{}")
    assert locate("mnist", root) == str(root / "mnist" / "3.0.10")


def _refused(name, folder, said):
    with pytest.raises(InputError, match=said) as caught:
        load(name, folder)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")


def test_other_content_than_the_official_is_named(prepared, monkeypatch):
    root, arrays = prepared
    _refused("mnist", root, r"3.0.1 does not hold the official mnist: it has 40 \+ 15 images")
    _make_official(monkeypatch, "mnist", _pixels("mnist", seed=1))
    _refused("mnist", root, "its fingerprint is .{64}, expected .{64}; delete .* verify=False")
    _make_official(monkeypatch, "fashion_mnist", arrays["mnist"])
    _refused("mnist", root, r"its fingerprint is .{64} \(fashion_mnist's\), expected")
    assert load("mnist", root, verify=False).fingerprint == fingerprint(*arrays["mnist"])


@pytest.mark.parametrize("fault", ["cut", "gone", "info"])
def test_a_damaged_copy_is_named(copy, fault):
    root, _ = copy
    directory = root / "mnist" / "3.0.1"
    (record,) = directory.glob("*train.array_record*")
    if fault == "cut":
        os.truncate(record, record.stat().st_size // 2)
    elif fault == "gone":
        record.unlink()
    else:
        (directory / "dataset_info.json").write_text("{")
    _refused("mnist", root, "3.0.1 cannot be read .*delete that folder and prepare it again")


@pytest.mark.skipif(not HAS_TENSORFLOW, reason="this format needs TensorFlow")
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_tensorflow_reads_its_own_format(tmp_path):
    arrays = _pixels("mnist")
    _prepare(tmp_path, "mnist", arrays, "tfrecord")
    assert load("mnist", tmp_path, verify=False).fingerprint == fingerprint(*arrays)


@pytest.mark.skipif(HAS_TENSORFLOW, reason="with TensorFlow this format can be read")
def test_a_format_that_needs_tensorflow_is_named(copy):
    """The format is pretended: it is refused before any record is read."""
    root, _ = copy
    info = root / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    _refused("mnist", root, "stored as tfrecord, needs TensorFlow, which is not installed: pip")


@pytest.mark.skipif(HAS_TENSORFLOW, reason="with TensorFlow a download can be tried")
@pytest.mark.parametrize("name", sorted(RELEASES))
def test_without_tensorflow_nothing_is_downloaded(tmp_path, name):
    said = f"No copy of {name} was found in .*downloading it needs TensorFlow.*dofbook.tfds.*put"
    _refused(name, tmp_path, said)
    _refused(name, None, said)


def test_what_a_folder_holds_instead_is_named(tmp_path):
    _refused("mnist", tmp_path, f"was found in {tmp_path}, and ")
    for name in ("mnist.npz", "notes.txt", "b", "a"):
        (tmp_path / name).touch()
    _refused("mnist", tmp_path, r"was found in .* \(it holds a, b, mnist.npz and 1 more\)")


@pytest.mark.parametrize("fault", ["FIFO", "large"])
def test_a_hostile_cache_is_not_read(copy, fault):
    root, arrays = copy
    cache = root / "mnist" / "3.0.1" / "dofbook.npz"
    if fault == "FIFO":
        os.mkfifo(cache)
    else:
        fields = ("x_train", "y_train", "x_test", "y_test")
        wrong = dict(zip(fields, arrays["mnist"], strict=True)) | {"y_test": np.zeros(2**26)}
        np.savez_compressed(cache, **wrong)
    dataset = load("mnist", root, verify=False)
    np.testing.assert_array_equal(dataset.y_test, arrays["mnist"][3])


def _pretend_tensorflow(monkeypatch):
    """Let `load` believe that TensorFlow is installed; it asks for the network next."""
    find = importlib.util.find_spec

    def pretend(name, *rest):
        return find("json") if name == "tensorflow" else find(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", pretend)


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_without_a_network_this_is_said_at_once(tmp_path, monkeypatch, name):
    _pretend_tensorflow(monkeypatch)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # where nothing listens
    first = RELEASES[name].wanted().split(",")[0]
    said = f"No copy of {name} .* did not send it within 5 s; put the official {first}.*data_dir"
    _refused(name, tmp_path, said)


def test_a_failing_download_is_named(tmp_path, monkeypatch):
    """The failure is pretended: a real one needs a network that breaks."""
    import tensorflow_datasets as tfds

    def fail(*args, **kwargs):
        raise ConnectionError("the line went dead\nand more")

    _pretend_tensorflow(monkeypatch)
    monkeypatch.setattr("dofbook.datasets.prepared.reachable", lambda url, seconds: True)
    monkeypatch.setattr(tfds, "builder", fail)
    said = "No copy of mnist .* could not download it .the line went dead.; put the official train"
    _refused("mnist", tmp_path, said)


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hangs":
            self.server.released.wait(60)
        elif self.path == "/file":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")
        else:
            self.send_error(404 if self.path == "/absent" else 503)

    def log_message(self, *args):
        logging.getLogger(__name__).debug(*args)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.released = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_host_is_reachable_when_it_sends_the_file(server):
    assert reachable(f"{server}/file", 30)
    assert not reachable(f"{server}/absent", 30)
    assert not reachable(f"{server}/busy", 30)
    assert not reachable("http://127.0.0.1:9/closed", 30)
    assert not reachable("nonsense", 30)


def test_a_host_that_never_answers_is_not_waited_for(server, monkeypatch):
    assert not reachable(f"{server}/hangs", 0.2)

    def hang(*args, **kwargs):
        time.sleep(1)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", hang)  # a name look-up knows no time limit
    assert not reachable("http://example.org/file", 0.1)
