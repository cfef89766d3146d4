"""The data set type, the embedded digits, subsets, and choosing a data set by name."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dofbook.datasets import DATASET_NAMES, Dataset, from_pixels, load, locate, subset
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
    assert digits.num_classes == 10 and digits.input_shape == (8, 8, 1)
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
        ({"x_train": np.zeros((3, 4, 5), np.float32)}, "x_train .* one type and shape"),
        ({"x_test": np.zeros((359, 8, 8, 1))}, "x_test is float64 .* a float32 or int32 array"),
        ({"x_test": np.zeros((359, 9, 8, 1), np.float32)}, "one type and shape of an example"),
        ({"x_test": np.zeros((359, 8, 8, 1), np.int32)}, "one type and shape of an example"),
        ({"x_test": np.zeros((0, 8, 8, 1), np.float32)}, "x_test is empty"),
        ({"x_test": np.float32(1)}, "x_test is float32"),
        ({"x_test": [1.0]}, "x_test is list"),
        ({"y_train": np.zeros(5, np.int32)}, "x_train .* 1438 inputs, y_train 5 targets"),
        ({"y_test": np.zeros(359, np.int64)}, "y_test is int64"),
        ({"num_classes": 9}, "labels 0 to 9; allowed are 0 to 8"),
        ({"name": "two\nlines"}, "name is .*; it must be printable text"),
        ({"name": 3}, "name is 3; it must be printable text"),
        ({"source": ""}, "source is ''; it must be printable text"),
        ({"num_classes": 2.5}, "num_classes is 2.5; it must be a whole number"),
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
        ({"x_test": np.zeros((20, 4, 5, 1), np.uint8)}, "of one image shape in both splits"),
        ({"y_test": np.full(20, 7)}, "labels 7 to 7; allowed are 0 to 2"),
        ({"y_test": np.full(20, -1)}, "labels -1 to -1"),
        ({"y_test": np.full(20, 0.7)}, "y_test of own is float64; integers are needed"),
        ({"y_test": np.full(20, np.nan)}, "y_test of own is float64; integers are needed"),
        ({"y_test": np.full(20, 2**32)}, "labels 4294967296 to 4294967296; allowed are 0 to 2"),
        ({"y_test": np.full(20, 2**31)}, "labels 2147483648 to 2147483648; allowed are 0 to 2"),
        ({"y_test": np.full(20, 2**64 - 1, np.uint64)}, "labels 18446744073709551615"),
        (
            {"y_test": np.zeros((20, 1), int)},
            r"y_test of own is int64 \(20, 1\); \(20,\) is needed",
        ),
        ({"y_train": [[0], [0, 1]]}, "own is no array"),
        ({"white": 0}, "white is 0; it must be a whole number from 1 to 255"),
        ({"white": float("nan")}, "white is nan"),
        ({"num_classes": 257}, "num_classes is 257; it must be a whole number from 1 to 256"),
        ({"num_classes": None}, "num_classes is None"),
    ],
)
def test_pixels_that_do_not_fit_are_named(change, said):
    with pytest.raises(InputError, match=said):
        from_pixels("own", **{**_small(), "num_classes": 3, "source": "test", **change})


def _table(n=9, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), rng.integers(0, 3, n), rng.normal(size=(5, 4)), np.arange(5) % 3


def test_any_arrays_make_a_data_set_of_copies():
    given = _table()
    dataset = Dataset.from_arrays(*given)
    assert (dataset.name, dataset.num_classes, dataset.mean_image) == ("own", 3, None)
    assert dataset.input_shape == (4,) and dataset.source == "arrays in memory"
    assert dataset.x_train.dtype == np.float32 and dataset.y_train.dtype == np.int32
    np.testing.assert_array_equal(dataset.x_train, given[0].astype(np.float32))
    np.testing.assert_array_equal(dataset.y_test, given[3])
    given[0][0] = 7  # the data set keeps its own
    assert dataset.x_train[0, 0] != 7 and given[0].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        dataset.x_train[0] = 0
    single = given[0].astype(np.float32), given[1].astype(np.int32), *given[2:]
    assert not np.shares_memory(Dataset.from_arrays(*single).x_train, single[0])
    assert Dataset.from_arrays(*given, name="iris").name == "iris"


def test_targets_may_be_numbers_of_any_shape_and_inputs_tokens():
    x, _, x_test, _ = _table()
    numbers = Dataset.from_arrays(x, x[:, :2], x_test, x_test[:, :2])
    assert numbers.num_classes is None and numbers.y_train.dtype == np.float32
    assert Dataset.from_arrays(x, -np.arange(9), x_test, np.arange(5)).num_classes is None
    tokens = np.arange(40, dtype=np.uint8).reshape(8, 5)
    text = Dataset.from_arrays(tokens[:6, :-1], tokens[:6, 1:], tokens[6:, :-1], tokens[6:, 1:])
    assert text.x_train.dtype == np.int32 and text.num_classes == 40
    truth = Dataset.from_arrays(x > 0, x[:, 0] > 0, x_test > 0, x_test[:, 0] > 0)
    assert truth.x_train.dtype == np.float32 and truth.y_train.dtype == np.int32
    assert truth.num_classes == 2
    lists = Dataset.from_arrays([[1.0], [2.0]], [0, 1], [[1.5]], [1])
    assert lists.x_train.tolist() == [[1.0], [2.0]]


def test_the_fingerprint_of_arrays_tells_type_shape_and_content():
    x, y, x_test, y_test = _table()
    prints = {
        Dataset.from_arrays(*arrays).fingerprint
        for arrays in (
            (x, y, x_test, y_test),
            (x + 1e-3, y, x_test, y_test),
            (x, (y + 1) % 3, x_test, y_test),
            (x, y.astype(float), x_test, y_test.astype(float)),
            (x.reshape(9, 2, 2), y, x_test.reshape(5, 2, 2), y_test),
            (x[:8], y[:8], x_test, y_test),
            (x, y, x_test[::-1], y_test),
        )
    }
    assert len(prints) == 7
    one, again = Dataset.from_arrays(*_table()), Dataset.from_arrays(*_table(), name="other")
    assert one.fingerprint == again.fingerprint
    wide = x.astype(np.float32).astype(">f8"), y.astype(np.int8), np.asfortranarray(x_test), y_test
    assert Dataset.from_arrays(*wide).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, np.full((9, 4), np.nan), "x_train of own holds nan; finite float32 numbers"),
        (0, np.full((9, 4), 1e39), r"x_train of own holds 1e\+39; finite float32 numbers"),
        (0, np.full((9, 4), "a"), "x_train of own is <U1 .*; numbers are needed"),
        (0, np.full((9, 4), None), "x_train of own is object .*; numbers are needed"),
        (0, np.ones((9, 4)) * 1j, "x_train of own is complex128 .*; numbers are needed"),
        (0, [[1.0], [1.0, 2.0]], "x_train of own is no array"),
        (0, np.zeros((9, 28, 28), np.uint8), "as images of bytes are; datasets.from_pixels scales"),
        (0, np.zeros((9, 5)), r"x_train of own is float32 \(9, 5\), x_test float32 \(5, 4\)"),
        (0, np.zeros((9, 4), int), "x_train of own is int32 .* one type"),
        (0, np.zeros((0, 4)), "x_train of own is empty"),
        (0, 1.0, r"x_train of own is float32 \(\)"),
        (1, np.zeros(8, int), "9 inputs, y_train 8 targets; one target for each"),
        (1, np.full(9, 2**31), "y_train of own holds integers from 2147483648 .* allowed are"),
        (1, np.full(9, 2**32), "y_train of own holds integers from 4294967296"),
        (1, np.full(9, 2**63, np.uint64), "holds integers from 9223372036854775808"),
        (1, np.full(9, -(2**31) - 1), "holds integers from -2147483649"),
        (1, np.full(9, np.inf), "y_train of own holds inf"),
        (1, np.arange(9.0), "y_train of own is float32 .*, y_test int32 .* one type"),
    ],
)
def test_arrays_that_are_no_data_set_are_named(place, value, said):
    arrays = list(_table())
    arrays[place] = value
    with pytest.raises(InputError, match=said) as caught:
        Dataset.from_arrays(*arrays)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_subset_of_arrays_is_stratified_where_targets_are_labels():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 2)), np.repeat([0, 1, 2], [60, 20, 10])
    part = subset(Dataset.from_arrays(x, y, x, y), 9, 30)
    assert np.bincount(part.y_train).tolist() == [6, 2, 1]
    rows = [np.flatnonzero((x.astype(np.float32) == row).all(1)).item() for row in part.x_train]
    assert rows == sorted(rows) and len(set(rows)) == 9
    np.testing.assert_array_equal(part.y_train, y[rows])
    assert part.source.endswith("; 9 training and 30 test examples, seed 0")
    for targets in (x[:, 0], np.arange(90), np.zeros((90, 5), int)):  # no labels of examples
        own = subset(Dataset.from_arrays(x, targets, x, targets), 9)
        kept = [np.flatnonzero((x.astype(np.float32) == row).all(1)).item() for row in own.x_train]
        assert kept == sorted(kept) and max(kept) > 50
        np.testing.assert_array_equal(own.y_train, np.asarray(targets, own.y_train.dtype)[kept])


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
        ((0,), "n_train is 0; it must be a whole number from 1 to 1438"),
        ((1439,), "n_train is 1439"),
        ((10, 360), "n_test is 360; it must be a whole number from 1 to 359"),
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
        with pytest.raises(InputError, match="'minst'; allowed: '?digits'?, '?mnist"):
            ask("minst", tmp_path)


def test_names_are_those_of_the_experiments():
    assert DATASET_NAMES == (
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "svhn_cropped",
    )


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("absent", "does not exist; name the folder of the files"),
        ("file", "is no folder; name the"),
    ],
)
def test_a_data_folder_that_is_none_is_named(tmp_path, monkeypatch, how, place, said):
    (tmp_path / "file").write_bytes(b"")
    what = "data_dir" if how == "argument" else r"\$DOFBOOK_DATA_DIR"
    if how == "environment":
        monkeypatch.setenv("DOFBOOK_DATA_DIR", str(tmp_path / place))
    folder = tmp_path / place if how == "argument" else None
    with pytest.raises(InputError, match=f"^{what} names .*{place}, which {said}"):
        load("mnist", folder)
    assert load("digits", folder).name == "digits"


@pytest.mark.parametrize("folder", [3, ["a"], 1.5])
def test_a_data_folder_must_be_a_path(folder):
    with pytest.raises(InputError, match="^data_dir is .*; it must be the path of a folder"):
        load("mnist", folder)


@pytest.mark.parametrize("name", [3, None, []])
def test_a_name_must_be_text(name):
    with pytest.raises(InputError, match="data set is .*; allowed: digits"):
        load(name)
    with pytest.raises(InputError, match="dataset is .*; it must be a Dataset"):
        subset(name, 3)


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
