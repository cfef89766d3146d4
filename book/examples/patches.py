"""A data set and a network of one's own, for the chapter "Your own network and data"."""

import flax.linen as nn
import numpy as np
from sklearn.datasets import load_sample_image

from dofbook.datasets import Dataset, from_pixels

SIDE = 8


def load(data_dir: str | None = None) -> Dataset:
    """Cut two photographs into patches of 8x8 pixels; the label says which photograph it was.

    The photographs come with scikit-learn. Their right fifth is the test set, so that patches of
    the two sets do not touch but along one line.
    """
    parts = {"train": ([], []), "test": ([], [])}
    for label, name in enumerate(("china.jpg", "flower.jpg")):
        image = load_sample_image(name)
        rows, columns = (length // SIDE for length in image.shape[:2])
        grid = image[: rows * SIDE, : columns * SIDE]
        grid = grid.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
        cut = columns * 4 // 5
        for part, patches in (("train", grid[:, :cut]), ("test", grid[:, cut:])):
            patches = patches.reshape(-1, SIDE, SIDE, 3)
            parts[part][0].append(patches)
            parts[part][1].append(np.full(len(patches), label))
    x_train, y_train, x_test, y_test = (np.concatenate(x) for p in parts.values() for x in p)
    return from_pixels(
        "photo patches", x_train, y_train, x_test, y_test,
        num_classes=2, source="two sample images of scikit-learn",
    )  # fmt: skip


class Mixer(nn.Module):
    """Mix 2x2-pixel tokens across positions and across channels by turns (Tolstikhin et al., 2021).

    Attributes:
        num_classes: Number of logits.
        width: Channels of a token.
        blocks: Number of mixing blocks.
    """

    num_classes: int
    width: int = 16
    blocks: int = 1

    @nn.compact
    def __call__(self, x):
        n, height, breadth, channels = x.shape
        x = x.reshape(n, height // 2, 2, breadth // 2, 2, channels).swapaxes(2, 3)
        x = nn.Dense(self.width)(x.reshape(n, height * breadth // 4, 4 * channels))
        for _ in range(self.blocks):
            positions = nn.LayerNorm()(x).swapaxes(1, 2)
            x = x + nn.gelu(nn.Dense(positions.shape[-1])(positions)).swapaxes(1, 2)
            x = x + nn.gelu(nn.Dense(self.width)(nn.LayerNorm()(x)))
        return nn.Dense(self.num_classes)(x.mean(axis=1))


def mixer(num_classes: int) -> Mixer:
    """Build the network: what a sweep calls."""
    return Mixer(num_classes)
