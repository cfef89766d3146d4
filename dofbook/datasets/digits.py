"""The embedded data set: scikit-learn's 8 x 8 handwritten digits, with a fixed split."""

import numpy as np

from dofbook.datasets.dataset import Dataset, from_pixels
from dofbook.errors import InputError


def load_digits() -> Dataset:
    """Load the 1,797 real digits that come with scikit-learn, split into training and test.

    The third of every five images of a class, in file order, is a test image: 1,438 training and
    359 test images (N, 8, 8, 1) whose pixels count inked dots of a 4 x 4 block, 0 to 16. Source: E.
    Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998 (doi:10.24432/C50P49).

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
    earlier = (labels[:, None] == np.arange(10)).cumsum(axis=0)[np.arange(len(labels)), labels] - 1
    test = earlier % 5 == 2  # the images of its class before each
    source = f"scikit-learn {sklearn.__version__} digits"
    splits = images[~test], labels[~test], images[test], labels[test]
    return from_pixels("digits", *splits, num_classes=10, source=source, white=16)
