"""The data set type, the embedded digits, subsets, and choosing a data set by name."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dofbook.datasets import NAMES, Dataset, from_pixels, load, locate, subset
from dofbook.errors import InputError

# Any change of the embedded images or of their split changes this, and every published digits run.
DIGITS_FINGERPRINT = "fd6a6a77bc3e15d9707e81947ad86fa8af9f60f1a87709d31d8e7e3ea29809f4"


@pytest.fixture(autouse=True)
def no_data_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("DOFBOOK_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def _small(n_train=30, n_test=20, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (n_train, 4, 5, 2), dtype=np.uint8),
        "y_train": rng.integers(0, classes, n_train),
        "x_test": rng.integers(0, 256, (n_test, 4, 5, 2), dtype=np.uint8),
        "y_test": rng.integers(0, classes, n_test),
    }


def test_digits_have_the_documented_shapes_and_split(digits):
    assert digits.x_train.shape == (1438, 8, 8, 1) and digits.x_test.shape == (359, 8, 8, 1)
    assert digits.x_train.dtype == np.float32 and digits.y_train.dtype == np.int32
    assert digits.num_classes == 10 and digits.image_shape == (8, 8, 1)
    assert digits.fingerprint == DIGITS_FINGERPRINT
    assert digits.source.startswith("scikit-learn ")


def test_digits_are_scikit_learns_images_each_in_one_split(digits):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = np.concatenate([digits.x_train, digits.x_test]) + digits.mean_image
    y = np.concatenate([digits.y_train, digits.y_test])
    ours = np.column_stack([x.reshape(-1, 64) * 16, y])
    theirs = np.column_stack([images, labels])
    np.testing.assert_allclose(
        ours[np.lexsort(np.rint(ours).T)], theirs[np.lexsort(theirs.T)], atol=1e-5
    )


def test_digits_split_is_stratified(digits):
    train, test = np.bincount(digits.y_train), np.bincount(digits.y_test)
    np.testing.assert_array_less(np.abs(test - (train + test) / 5), 1)


def test_pixels_are_scaled_then_centred_by_the_training_mean():
    pixels = _small()
    dataset = from_pixels("own", **pixels, num_classes=3, source="test")
    mean = np.mean([image / 255 for image in pixels["x_train"]], axis=0)
    np.testing.assert_allclose(dataset.mean_image, mean, atol=1e-7)
    for ours, raw in ((dataset.x_train, "x_train"), (dataset.x_test, "x_test")):
        np.testing.assert_allclose(ours, pixels[raw] / 255 - mean, atol=2e-7)
        assert ours.dtype == np.float32 and ours.flags.c_contiguous
    np.testing.assert_array_equal(dataset.y_test, pixels["y_test"])


def test_white_is_the_pixel_value_that_becomes_one():
    x = np.array([0, 8, 16, 16], np.uint8).reshape(-1, 1, 1, 1)
    y = np.zeros(4, int)
    dataset = from_pixels("own", x, y, x, y, num_classes=1, source="test", white=16)
    np.testing.assert_allclose((dataset.x_test + dataset.mean_image).ravel(), [0, 0.5, 1, 1])


def test_fingerprint_depends_on_every_array_and_on_nothing_else():
    def name(pixels, source="a"):
        return from_pixels("own", **pixels, num_classes=3, source=source).fingerprint

    original = name(_small())
    assert name(_small(), source="b") == original
    for key in _small():
        changed = _small()
        changed[key][3] = (changed[key][3] + 1) % 3
        assert name(changed) != original
    swapped = _small(n_test=30)
    assert name(swapped) != name(
        {**swapped, "x_train": swapped["x_test"], "x_test": swapped["x_train"]}
    )


def test_arrays_cannot_be_changed_by_accident(digits):
    with pytest.raises(ValueError, match="read-only"):
        digits.x_train[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x_train": np.zeros((3, 4, 5), np.float32)}, "x_train .* float32 .N, H, W, C. is needed"),
        ({"x_test": np.zeros((359, 8, 8, 1))}, "x_test .* is float64"),
        ({"x_test": np.zeros((359, 9, 8, 1), np.float32)}, "one image shape"),
        ({"y_train": np.zeros(5, np.int32)}, "y_train .* int32 .1438,. is needed"),
        ({"y_test": np.zeros(359, np.int64)}, "y_test .* is int64"),
        ({"num_classes": 9}, "labels 0 to 9; allowed are 0 to 8"),
    ],
)
def test_arrays_that_do_not_fit_are_named(digits, change, said):
    with pytest.raises(InputError, match=said):
        dataclasses.replace(digits, **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x_train": np.zeros((2, 4, 5, 2))}, "x_train of own is float64"),
        ({"x_test": np.zeros((0, 4, 5, 2), np.uint8)}, "x_test of own"),
        ({"x_test": np.zeros((20, 4, 5, 1), np.uint8)}, "were mixed"),
        ({"y_test": np.full(20, 7)}, "labels 7 to 7; allowed are 0 to 2"),
        ({"y_test": np.full(20, -1)}, "labels -1 to -1"),
        ({"y_test": np.full(20, 0.7)}, "y_test of own is float64; integers are needed"),
    ],
)
def test_pixels_that_do_not_fit_are_named(change, said):
    with pytest.raises(InputError, match=said):
        from_pixels("own", **{**_small(), **change}, num_classes=3, source="test")


def _rows(dataset):
    return np.column_stack(
        [(dataset.x_train + dataset.mean_image).reshape(-1, 64), dataset.y_train]
    )


def test_subset_takes_images_of_the_parent_in_its_order(digits):
    part = subset(digits, 200, 50, seed=3)
    assert part.x_train.shape == (200, 8, 8, 1) and part.x_test.shape == (50, 8, 8, 1)
    whole, some = _rows(digits), _rows(part)
    distances = np.abs(some[:, None] - whole[None]).max(axis=2)
    positions = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-6
    assert np.all(np.diff(positions) > 0)


def test_subset_is_centred_by_its_own_mean(digits):
    part = subset(digits, 100, 40)
    np.testing.assert_allclose(part.x_train.mean(axis=0), 0, atol=1e-6)
    assert np.abs(part.x_test.mean(axis=0)).max() > 1e-3


def test_subset_is_recorded(digits):
    part = subset(digits, 100, 40, seed=1)
    assert part.name == "digits" and part.num_classes == 10
    assert part.source.endswith("digits; 100 training and 40 test images, seed 1")
    names = {d.fingerprint for d in (digits, part, subset(digits, 100, 40, seed=2))}
    assert len(names) == 3
    assert subset(digits, 100, 40, seed=1).fingerprint == part.fingerprint


# The choice must never change between versions: reduced runs are compared by this.
def test_subset_is_the_same_everywhere(digits):
    assert subset(digits, 100, 40).fingerprint == (
        "6301a418cb9277df72c97377261b953f5d26315ae12bd0d29e1181b88bca78e0"
    )


def test_all_images_are_the_data_set_itself(digits):
    assert subset(digits, None) is digits
    assert subset(digits, 1438, 359, seed=5) is digits
    assert subset(digits, None, 10).x_train.shape == digits.x_train.shape
    assert subset(digits, 10).x_test.shape == digits.x_test.shape


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 12), min_size=2, max_size=6).filter(lambda c: sum(c) > 1),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 2**40),
)
def test_every_class_keeps_its_share(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    dataset = from_pixels("own", x, labels, x, labels, num_classes=6, source="test")
    n = max(1, int(share * len(labels)))
    part = subset(dataset, n, None, seed)
    kept = np.bincount(part.y_train, minlength=len(counts))
    assert kept.sum() == n
    exact = np.array(counts) * n / len(labels)
    assert np.all(np.abs(kept - exact) < 1)
    values = np.rint((part.x_train + part.mean_image).ravel() * 255).astype(int)
    assert len(set(values)) == n
    np.testing.assert_array_equal(labels[values], part.y_train)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0,), "n_train is 0; it must be an integer from 1 to 1438"),
        ((1439,), "n_train is 1439"),
        ((10, 360), "n_test is 360; it must be an integer from 1 to 359"),
        ((10.0,), "n_train is 10.0"),
        ((True,), "n_train is True"),
        ((10, 10, -1), "seed is -1"),
    ],
)
def test_impossible_subsets_are_refused(digits, arguments, said):
    with pytest.raises(InputError, match=said):
        subset(digits, *arguments)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path):
    for ask in (load, locate):
        with pytest.raises(InputError, match="'minst'; choose one of digits, mnist, fashion_mnist"):
            ask("minst", tmp_path)


def test_names_are_those_of_the_experiments():
    assert NAMES == ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize(
    ("place", "said"), [("absent", "does not exist; create it"), ("file", "is a file; name the")]
)
def test_a_data_folder_that_is_none_is_named(tmp_path, monkeypatch, how, place, said):
    (tmp_path / "file").write_bytes(b"")
    what = "data_dir" if how == "argument" else r"\$DOFBOOK_DATA_DIR"
    if how == "environment":
        monkeypatch.setenv("DOFBOOK_DATA_DIR", str(tmp_path / place))
    folder = tmp_path / place if how == "argument" else None
    with pytest.raises(InputError, match=f"^{what} names .*{place}.* {said}"):
        load("mnist", folder)
    assert load("digits", folder).name == "digits"


def test_digits_are_always_located():
    assert locate("digits") == "scikit-learn"
    assert locate("mnist") is None


def test_digits_without_scikit_learn_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        load("digits")


def test_import_stays_light():
    heavy = "{'tensorflow', 'tensorflow_datasets', 'sklearn', 'matplotlib', 'scipy', 'jax'}"
    code = f"import sys, dofbook.datasets; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dataset_shows_itself_without_its_arrays(digits):
    assert isinstance(digits, Dataset)
    assert repr(digits).startswith("Dataset(name='digits', num_classes=10, source='scikit-learn")
    assert len(repr(digits)) < 250
