"""The embedded data set: scikit-learn's 8 x 8 handwritten digits, with a fixed split."""

import numpy as np

from dofbook.datasets.dataset import Dataset, from_pixels
from dofbook.errors import InputError


def load_digits() -> Dataset:
    """Load the 1,797 real digits that come with scikit-learn, split into training and test.

    The third of every five images of a class, in file order, is a test image: 1,438 training and
    359 test images, stratified, with no random generator that could change between versions.
    A pixel of the images (N, 8, 8, 1) counts inked dots of a 4 x 4 block, 0 to 16.

    Raises:
        InputError: If scikit-learn is not installed.

    References:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
        Learning Repository, 1998 (doi:10.24432/C50P49).

    >>> load_digits().x_train.shape
    (1438, 8, 8, 1)
    """
    try:
        import sklearn
        from sklearn import datasets
    except ImportError:
        raise InputError("digits comes with scikit-learn: pip install scikit-learn.") from None
    images, labels = datasets.load_digits(return_X_y=True)
    images = images.astype(np.uint8).reshape(-1, 8, 8, 1)
    test = _rank_in_class(labels) % 5 == 2
    return from_pixels(
        "digits",
        images[~test],
        labels[~test],
        images[test],
        labels[test],
        num_classes=10,
        source=f"scikit-learn {sklearn.__version__} digits",
        white=16,
    )


def _rank_in_class(labels):
    """Count, for each image, the earlier images of its class."""
    ranks = np.empty(len(labels), dtype=np.int64)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        ranks[members] = np.arange(len(members))
    return ranks
