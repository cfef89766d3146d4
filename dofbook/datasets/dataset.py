"""The data set every experiment reads: four arrays, and a fingerprint of what they hold."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError

_DTYPES = (np.dtype(np.float32), np.dtype(np.int32))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold a data set, ready to be put on the device: read-only arrays that fit together.

    Inputs, float32 or int32, have shape (N, ...) and (M, ...): images (N, H, W, C) are pixels in
    [0, 1] minus ``mean_image``, the float32 mean (H, W, C) over training images. Targets are int32,
    such as labels from 0 on, or float32; ``num_classes`` is None where they are no labels.
    ``source`` says in words where the data came from. ``fingerprint`` is a sha256 (hex) of the data
    alone: of arrays, or uint8 pixels and labels; of a subset, of the parent's and the indices.

    >>> x, y = np.eye(4), [0, 1, 0, 1]
    >>> Dataset.from_arrays(x, y, x, y).num_classes
    2
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    num_classes: int | None
    source: str
    fingerprint: str
    mean_image: np.ndarray | None = field(repr=False, default=None)

    def __post_init__(self):
        for what in ("name", "source", "fingerprint"):
            text = getattr(self, what)
            if not isinstance(text, str) or not text.isprintable() or not text:
                raise InputError(f"{what} is {text!r:.80}; it must be printable text.")
        if self.num_classes is not None:
            checks.integer("num_classes", self.num_classes, 1)
        _check_twins(f"x_train of {self.name}", self.x_train, "x_test", self.x_test)
        _check_twins(f"y_train of {self.name}", self.y_train, "y_test", self.y_test)
        splits = {"train": (self.x_train, self.y_train), "test": (self.x_test, self.y_test)}
        for part, (x, y) in splits.items():
            if len(x) != len(y):
                sizes = f"x_{part} of {self.name} holds {len(x)} inputs, y_{part} {len(y)} targets"
                raise InputError(f"{sizes}; one target for each input is needed.")
            if self.num_classes is not None:
                check_labels(f"y_{part} of {self.name}", y, self.num_classes)
            x.flags.writeable = y.flags.writeable = False
        if self.mean_image is not None:
            checks.floats("mean_image", self.mean_image, self.x_train.shape[1:])
            self.mean_image.flags.writeable = False

    @classmethod
    def from_arrays(
        cls, x_train: ArrayLike, y_train: ArrayLike, x_test: ArrayLike, y_test: ArrayLike,
        name: str | None = None,
    ) -> "Dataset":  # fmt: skip
        """Make a data set of copies of any arrays: images, tables, tokens.

        Numbers are taken as they are, floats and truth values of x as float32, integers as int32;
        for images of bytes there is `from_pixels`. Integer targets from 0 on are labels. Tables and
        figures call it ``name``, "own" by default.

        >>> tokens = np.arange(12).reshape(2, 6)
        >>> text = Dataset.from_arrays(tokens[:, :-1], tokens[:, 1:], tokens[:, :-1], tokens[:, 1:])
        >>> text.name, text.input_shape, text.num_classes
        ('own', (5,), 12)
        """
        name = "own" if name is None else name
        given = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
        arrays = [_copy(f"{part} of {name}", array) for part, array in given.items()]
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).data)
        x, y, x_test, y_test = arrays
        labels = all(t.dtype == np.int32 and t.min(initial=0) >= 0 for t in (y, y_test))
        classes = max(int(t.max(initial=0)) for t in (y, y_test)) + 1 if labels else None
        return cls(name, x, y, x_test, y_test, classes, "arrays in memory", digest.hexdigest())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as (H, W, C)."""
        return self.x_train.shape[1:]


def _check_twins(what: str, train: Any, other: str, test: Any) -> None:
    """Make sure that an array of the training split and that of the test split belong together."""
    for name, array in ((what, train), (other, test)):
        if not isinstance(array, np.ndarray) or array.dtype not in _DTYPES or array.ndim == 0:
            wanted = "a float32 or int32 array (N, ...) is needed"
            raise InputError(f"{name} is {_described(array)}; {wanted}.")
        if array.size == 0:
            raise InputError(f"{name} is empty, {array.shape}; at least one example is needed.")
    if train.dtype != test.dtype or train.shape[1:] != test.shape[1:]:
        wanted = "one type and shape of an example is needed in both splits"
        raise InputError(f"{what} is {_described(train)}, {other} {_described(test)}; {wanted}.")


def _described(array: Any) -> str:
    return f"{array.dtype} {array.shape}" if hasattr(array, "dtype") else type(array).__name__


def _copy(what: str, values: ArrayLike) -> np.ndarray:
    """Copy numbers as float32 or int32, refusing what would not survive."""
    given = _as_array(what, values)
    if given.dtype == np.uint8 and given.ndim > 2:
        taken = "astype(np.float32) or astype(np.int32) takes them as numbers"
        fault = f"{what} is uint8 {given.shape}, as images of bytes are"
        raise InputError(f"{fault}; datasets.from_pixels scales and centres them, {taken}.")
    if given.dtype.kind not in "biuf" and given.dtype.name != "bfloat16":
        raise InputError(f"{what} is {_described(given)}; numbers are needed.")
    if given.dtype.kind in "iu" or (given.dtype.kind == "b" and what.startswith("y")):
        if given.size and not -(2**31) <= int(given.min()) <= int(given.max()) < 2**31:
            span = f"{given.min()} to {given.max()}; allowed are -2**31 to 2**31 - 1"
            raise InputError(f"{what} holds integers from {span}.")
        return given.astype(np.int32, order="C")
    with np.errstate(over="ignore"):
        copy = given.astype(np.float32, order="C")
    if not np.isfinite(copy).all():
        wrong = given[~np.isfinite(copy)].flat[0]
        raise InputError(f"{what} holds {wrong}; finite float32 numbers are needed.")
    return copy


def _as_array(what: str, values: ArrayLike) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as problem:
        raise InputError(f"{what} is no array ({problem}).") from None


def check_labels(what: str, labels: np.ndarray, num_classes: int) -> None:
    """Raise InputError unless there are integers and all lie in [0, num_classes).

    >>> check_labels("y", np.array([0, 3]), 3)
    Traceback (most recent call last):
    dofbook.errors.InputError: y has labels 0 to 3; allowed are 0 to 2.
    """
    if labels.dtype.kind not in "iu":
        raise InputError(f"{what} is {labels.dtype}; integers are needed.")
    if labels.size == 0:
        raise InputError(f"{what} is empty; at least one image is needed.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise InputError(f"{what} has labels {low} to {high}; allowed are 0 to {num_classes - 1}.")


def from_pixels(
    name: str, x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, *,
    num_classes: int, source: str, white: int = 255,
) -> Dataset:  # fmt: skip
    """Scale uint8 images to [0, 1] and subtract the training mean image from both splits.

    Images are uint8 (N, H, W, C), labels integers (N,) in [0, num_classes), of at most 256 classes;
    ``white``, from 1 to 255, is the pixel value that becomes 1. Source: the paper's released code,
    `generate_data.py` of github.com/ganguli-lab/degrees-of-freedom; the mean is in double here.

    >>> x, y = np.full((2, 1, 1, 1), 51, np.uint8), np.array([0, 1])
    >>> grey = from_pixels("grey", x, y, x, y, num_classes=2, source="an example")
    >>> grey.x_train.ravel(), grey.mean_image.ravel()
    (array([0., 0.], dtype=float32), array([0.2], dtype=float32))
    """
    arrays = [_as_array(name, array) for array in (x_train, y_train, x_test, y_test)]
    x_train, y_train, x_test, y_test = arrays
    checks.integer("num_classes", num_classes, 1, 256)  # labels are hashed as bytes
    checks.integer("white", white, 1, 255)
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if x.ndim != 4 or x.dtype != np.uint8 or x.size == 0 or x.shape[1:] != x_train.shape[1:]:
            wanted = "uint8 (N, H, W, C) is needed, of one image shape in both splits"
            raise InputError(f"x_{part} of {name} is {_described(x)}; {wanted}.")
        if y.shape != x.shape[:1]:
            raise InputError(f"y_{part} of {name} is {_described(y)}; {x.shape[:1]} is needed.")
        check_labels(f"y_{part} of {name}", y, num_classes)  # before they are cast
    total = x_train.sum(axis=0, dtype=np.uint64)
    mean_image = (total / (white * len(x_train))).astype(np.float32)

    def centred(x):
        scaled = np.divide(x, np.float32(white), dtype=np.float32, order="C")
        return np.subtract(scaled, mean_image, out=scaled)

    return Dataset(
        name, centred(x_train), y_train.astype(np.int32), centred(x_test), y_test.astype(np.int32),
        num_classes, source, fingerprint(*arrays), mean_image,
    )  # fmt: skip


def fingerprint(*arrays: np.ndarray) -> str:
    """Hash uint8 images and labels of at most 255 with their shapes: x_train, y_train, x_test, ...

    >>> fingerprint(*[np.zeros(1, np.uint8)] * 4)[:8]
    '82a756be'
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(tuple(map(int, array.shape))).encode())
        digest.update(np.ascontiguousarray(array, dtype=np.uint8).data)
    return digest.hexdigest()


def subset(
    dataset: Dataset, n_train: int | None, n_test: int | None = None, seed: int = 0
) -> Dataset:
    """Take a fixed part of a data set, for reduced runs: of labels, a stratified one.

    ``n_train`` and ``n_test`` are the examples to keep, None for all; asking for all returns
    ``dataset`` itself. Every class keeps its share (to within one example), the examples their
    order, and the mean image is recomputed. The choice depends on the labels and the seed, 0 to
    2**63 - 1, alone: it uses the raw PCG64 stream, stable between NumPy versions.

    >>> x, y = np.eye(6), [0, 1, 0, 1, 0, 1]
    >>> subset(Dataset.from_arrays(x, y, x, y), 4).y_train.tolist()
    [0, 1, 0, 1]
    """
    checks.instance("dataset", dataset, Dataset)
    sizes = len(dataset.y_train), len(dataset.y_test)
    n_train = sizes[0] if n_train is None else checks.integer("n_train", n_train, 1, sizes[0])
    n_test = sizes[1] if n_test is None else checks.integer("n_test", n_test, 1, sizes[1])
    seed = checks.integer("seed", seed, 0, 2**63 - 1)
    if (n_train, n_test) == sizes:
        return dataset
    train = _stratified(dataset, dataset.y_train, n_train, (seed, 0))
    test = _stratified(dataset, dataset.y_test, n_test, (seed, 1))
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for indices in (train, test):
        digest.update(indices.astype("<i8").data)
    x_train, x_test, mean_image = dataset.x_train[train], dataset.x_test[test], dataset.mean_image
    what = "examples" if mean_image is None else "images"
    if mean_image is not None:
        shift = x_train.mean(axis=0, dtype=np.float64).astype(np.float32)
        x_train, x_test, mean_image = x_train - shift, x_test - shift, mean_image + shift
    return replace(
        dataset, x_train=x_train, y_train=dataset.y_train[train], x_test=x_test,
        y_test=dataset.y_test[test], fingerprint=digest.hexdigest(), mean_image=mean_image,
        source=f"{dataset.source}; {n_train} training and {n_test} test {what}, seed {seed}",
    )  # fmt: skip


def _stratified(dataset, targets, n, entropy):
    """Choose n sorted indices, each class getting its share by largest remainder."""
    labelled = dataset.num_classes is not None and targets.ndim == 1
    # Integers that hardly repeat are no labels: their shares would be the smallest integers.
    if dataset.mean_image is None and 2 * len(np.unique(targets)) > len(targets):
        labelled = False
    labels = targets if labelled else np.zeros(len(targets), np.int32)
    classes, counts = np.unique(labels, return_counts=True)
    quota, remainder = np.divmod(counts * n, len(labels))
    quota[np.argsort(-remainder, kind="stable")[: n - quota.sum()]] += 1
    order = np.argsort(np.random.PCG64(entropy).random_raw(len(labels)), kind="stable")
    chosen = [order[labels[order] == c][:q] for c, q in zip(classes, quota, strict=True)]
    return np.sort(np.concatenate(chosen))
