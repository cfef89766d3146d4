"""The data set every experiment reads: centred float32 images, int32 labels, a fingerprint."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from dofbook.errors import InputError

_MOST_CLASSES = 256  # labels are hashed as bytes


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold one image classification data set, ready to be put on the device.

    Build it with `load`, `subset` or `from_pixels`. The arrays are read-only.

    Attributes:
        name: Name of the data set, such as "mnist".
        x_train: Training images, float32 (N, H, W, C): pixels in [0, 1] minus `mean_image`.
        y_train: Training labels, int32 (N,), in [0, num_classes).
        x_test: Test images, float32 (M, H, W, C): pixels in [0, 1] minus `mean_image`.
        y_test: Test labels, int32 (M,).
        num_classes: Number of classes.
        source: Where the images came from, in a few words.
        fingerprint: sha256 (hex) of the uint8 images and labels, equal for equal data whatever
            its source; of a subset: of the parent's fingerprint and the chosen indices.
        mean_image: The subtracted training mean image, float32 (H, W, C); add it to see pixels.

    Raises:
        InputError: If shapes, types or labels do not fit together.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    num_classes: int
    source: str
    fingerprint: str
    mean_image: np.ndarray = field(repr=False)

    def __post_init__(self):
        for part, x, y in self._splits():
            if x.ndim != 4 or x.dtype != np.float32 or x.shape[1:] != self.image_shape:
                raise InputError(
                    f"x_{part} of {self.name} is {x.dtype} {x.shape}; "
                    f"float32 (N, H, W, C) is needed, of one image shape in both splits."
                )
            if y.dtype != np.int32 or y.shape != x.shape[:1]:
                raise InputError(
                    f"y_{part} of {self.name} is {y.dtype} {y.shape}; "
                    f"int32 {x.shape[:1]} is needed."
                )
            check_labels(f"y_{part} of {self.name}", y, self.num_classes)
        for array in (self.x_train, self.y_train, self.x_test, self.y_test, self.mean_image):
            array.flags.writeable = False

    def _splits(self):
        return (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Give the shape (H, W, C) of one image."""
        return self.x_train.shape[1:]


def check_labels(what: str, labels: np.ndarray, num_classes: int) -> None:
    """Raise InputError unless there are labels and all lie in [0, num_classes)."""
    if labels.size == 0:
        raise InputError(f"{what} is empty; at least one image is needed.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise InputError(f"{what} has labels {low} to {high}; allowed are 0 to {num_classes - 1}.")


def from_pixels(
    name: str,
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    num_classes: int,
    source: str,
    white: int = 255,
) -> Dataset:
    """Scale uint8 images to [0, 1] and subtract the training mean image from both splits.

    This is the preprocessing of the paper's released code (`generate_data.py` of
    github.com/ganguli-lab/degrees-of-freedom); only the mean is taken in double precision here.

    Args:
        name: Name of the data set.
        x_train: Training images, uint8 (N, H, W, C).
        y_train: Training labels, integers (N,) in [0, num_classes).
        x_test: Test images, uint8 (M, H, W, C).
        y_test: Test labels, integers (M,).
        num_classes: Number of classes, at most 256.
        source: Where the images came from, in a few words.
        white: The pixel value that becomes 1.

    Returns:
        The centred data set.

    Raises:
        InputError: If the arrays are not such images and labels.
    """
    x_train, y_train, x_test, y_test = map(np.asarray, (x_train, y_train, x_test, y_test))
    for part, y in (("y_train", y_train), ("y_test", y_test)):
        if not np.issubdtype(y.dtype, np.integer):
            raise InputError(f"{part} of {name} is {y.dtype}; integers are needed.")
    if num_classes > _MOST_CLASSES:
        raise InputError(f"num_classes is {num_classes}; at most {_MOST_CLASSES} are allowed.")
    for part, x in (("x_train", x_train), ("x_test", x_test)):
        if x.ndim != 4 or x.dtype != np.uint8 or len(x) == 0:
            raise InputError(
                f"{part} of {name} is {x.dtype} {x.shape}; uint8 (N, H, W, C) is needed."
            )
    total = x_train.sum(axis=0, dtype=np.uint64)
    mean_image = (total / (white * len(x_train))).astype(np.float32)
    return Dataset(
        name=name,
        x_train=_centred(x_train, mean_image, white),
        y_train=y_train.astype(np.int32),
        x_test=_centred(x_test, mean_image, white),
        y_test=y_test.astype(np.int32),
        num_classes=num_classes,
        source=source,
        fingerprint=fingerprint(x_train, y_train, x_test, y_test),
        mean_image=mean_image,
    )


def _centred(pixels, mean_image, white):
    if pixels.shape[1:] != mean_image.shape:
        raise InputError(f"Images of shape {pixels.shape[1:]} and {mean_image.shape} were mixed.")
    x = np.divide(pixels, np.float32(white), dtype=np.float32, order="C")
    x -= mean_image
    return x


def fingerprint(x_train, y_train, x_test, y_test) -> str:
    """Hash uint8 images and labels, in this order, with their shapes.

    Args:
        x_train: uint8 (N, H, W, C).
        y_train: Integers in [0, 255], (N,).
        x_test: uint8 (M, H, W, C).
        y_test: Integers in [0, 255], (M,).

    Returns:
        sha256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for array in (x_train, y_train, x_test, y_test):
        digest.update(repr(tuple(map(int, array.shape))).encode())
        digest.update(np.ascontiguousarray(array, dtype=np.uint8))
    return digest.hexdigest()


def subset(
    dataset: Dataset, n_train: int | None, n_test: int | None = None, seed: int = 0
) -> Dataset:
    """Take a fixed stratified part of a data set, for reduced runs.

    Every class keeps its share (to within one image), the images keep their order, and the mean
    image is recomputed from the chosen training images, so that a subset is centred like any
    other data set. The choice depends on the labels and the seed alone; it uses the raw PCG64
    stream, which NumPy keeps stable between versions.

    Args:
        dataset: The data set to take from.
        n_train: Training images to keep, 1 to N; None keeps all.
        n_test: Test images to keep, 1 to M; None keeps all.
        seed: Non-negative integer naming the choice.

    Returns:
        The subset, with the choice recorded in `source` and in the fingerprint. Asking for all
        images returns `dataset` itself.

    Raises:
        InputError: If a size or the seed is out of range.
    """
    sizes = len(dataset.y_train), len(dataset.y_test)
    n_train = sizes[0] if n_train is None else n_train
    n_test = sizes[1] if n_test is None else n_test
    for what, n, most in (("n_train", n_train, sizes[0]), ("n_test", n_test, sizes[1])):
        _check_integer(what, n, 1, most)
    _check_integer("seed", seed, 0, 2**63 - 1)
    if (n_train, n_test) == sizes:
        return dataset
    train = _stratified(dataset.y_train, n_train, (seed, 0))
    test = _stratified(dataset.y_test, n_test, (seed, 1))
    x_train = dataset.x_train[train]
    shift = x_train.mean(axis=0, dtype=np.float64).astype(np.float32)
    digest = hashlib.sha256(dataset.fingerprint.encode())
    for indices in (train, test):
        digest.update(indices.astype("<i8"))
    return Dataset(
        name=dataset.name,
        x_train=x_train - shift,
        y_train=dataset.y_train[train],
        x_test=dataset.x_test[test] - shift,
        y_test=dataset.y_test[test],
        num_classes=dataset.num_classes,
        source=f"{dataset.source}; {n_train} training and {n_test} test images, seed {seed}",
        fingerprint=digest.hexdigest(),
        mean_image=dataset.mean_image + shift,
    )


def _check_integer(what, value, low, high):
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise InputError(f"{what} is {value!r}; it must be an integer from {low} to {high}.")


def _stratified(labels, n, entropy):
    """Choose n sorted indices, each class getting its share by largest remainder."""
    classes, counts = np.unique(labels, return_counts=True)
    quota, remainder = np.divmod(counts * n, len(labels))
    quota[np.argsort(-remainder, kind="stable")[: n - quota.sum()]] += 1
    order = np.argsort(np.random.PCG64(entropy).random_raw(len(labels)), kind="stable")
    chosen = [order[labels[order] == c][:q] for c, q in zip(classes, quota, strict=True)]
    return np.sort(np.concatenate(chosen))
