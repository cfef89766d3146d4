"""A small transformer that predicts the next character of a text."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import flax.linen as nn
import numpy as np
import sklearn
from beyond.inside import first_directions, measured, point, train_to_end

import dofbook as dof
from dofbook.datasets import Dataset
from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.options import octaves
from dofbook.training import OptimizerConfig, TaskConfig

LENGTH = 32
SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
ALPHABET = "\n !&'()*,-./0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz"


def windows(text: str, train: int, test: int, name: str, source: str) -> Dataset:
    """Cut a text into windows of ``LENGTH`` characters, each with the characters that follow.

    The first ones train, the next ones test. A character outside the alphabet is an underscore.

    >>> windows("to be or not to be, " * 20, 4, 2, "hamlet", "typed").x_train.shape
    (4, 32)
    """
    place = {letter: number for number, letter in enumerate(ALPHABET)}
    ids = np.array([place.get(letter, place["_"]) for letter in text], np.int32)
    cut = ids[: (train + test) * LENGTH + 1]
    x, y = (part.reshape(train + test, LENGTH) for part in (cut[:-1], cut[1:]))
    data = Dataset.from_arrays(x[:train], y[:train], x[train:], y[train:], name=name)
    return replace(data, num_classes=len(ALPHABET), source=source)


def shakespeare(data_dir: str | None = None) -> Dataset:
    """Load 4,096 windows of Shakespeare's plays to train on, and the next 512 to test.

    The text, which is in the public domain, is `data/tinyshakespeare/input.txt` of the repository
    karpathy/char-rnn; it is looked for in ``<data_dir>/shakespeare/input.txt``.
    """
    path = Path(data_dir or ".") / "shakespeare" / "input.txt"
    if not path.is_file():
        raise InputError(f"there is no {path}; put tinyshakespeare's input.txt there.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHAKESPEARE:
        raise InputError(f"{path} is another text than tinyshakespeare's (another SHA-256).")
    return windows(content.decode(), 4096, 512, "shakespeare", "tinyshakespeare")


def descriptions(data_dir: str | None = None) -> Dataset:
    """Load 1,024 windows of what scikit-learn says of its data sets to train on, 128 to test."""
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.rst")))
    return windows(text, 1024, 128, "descriptions", f"scikit-learn {sklearn.__version__}")


class Transformer(nn.Module):
    """Blocks of causal attention and a layer, both residual and normalised before."""

    vocabulary: int
    width: int = 32
    blocks: int = 2

    @nn.compact
    def __call__(self, tokens):
        mask = nn.make_causal_mask(tokens)
        places = self.param("places", nn.initializers.normal(0.1), (LENGTH, self.width))
        h = nn.Embed(self.vocabulary, self.width)(tokens) + places
        for _ in range(self.blocks):
            h += nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(h), mask=mask)
            inner = nn.gelu(nn.Dense(4 * self.width)(nn.LayerNorm()(h)))
            h += nn.Dense(self.width)(inner)
        return nn.Dense(self.vocabulary)(nn.LayerNorm()(h))


def transformer(num_classes: int) -> Transformer:
    """Build the network of two blocks: what a task names."""
    return Transformer(num_classes)


def small_transformer(num_classes: int) -> Transformer:
    """Build one block of half the width."""
    return Transformer(num_classes, width=16, blocks=1)


@dataclass(frozen=True, kw_only=True)
class TextCell(Cell):
    """Describe training in the first of D nested directions at some ``dims``, and in all weights.

    In all weights Adam has each of the ``rates``, in subspaces the task's.

    >>> text_cell("descriptions", epochs=1).task.objective
    'next_token'
    """

    dims: tuple[int, ...]
    rates: tuple[float, ...] = (1e-2, 3e-3)

    kind: ClassVar[str] = "beyond.characters:TextCell"

    def parts(self, task, seed):
        """Train: one row per d, and per rate with d = D, of the losses at the end; d = 0 is w0.

        ``rate`` is 0 inside subspaces.
        """
        D = task.network.D
        spaces = [(d, 0.0, task, first_directions(task, seed, d)) for d in self.dims]
        for rate in self.rates:
            own = replace(task, optimizer=OptimizerConfig(learning_rate=rate))
            spaces.append((D, rate, own, dof.FullSpace().subspace(own, seed)))
        yield {"d": [0], "D": D, "rate": 0.0} | measured(task, task.initialization(seed), "train")
        for d, rate, own, space in spaces:
            w = point(space, train_to_end(own, space, seed))
            yield {"d": [d], "D": D, "rate": rate} | measured(own, w, "train")


def text_cell(
    text: str, epochs: int, dims: tuple[int, ...] = (64,), seeds: tuple[int, ...] = (0,),
    network: str = "transformer", rates: tuple[float, ...] = (1e-2, 3e-3),
) -> TextCell:  # fmt: skip
    """Describe training on a text of this module, by batches of 32 windows."""
    task = TaskConfig(
        f"beyond.characters:{text}", f"beyond.characters:{network}", objective="next_token",
        batch_size=32, epochs=epochs,
    )  # fmt: skip
    return TextCell(task=task, seeds=seeds, dims=dims, rates=rates)


def published() -> list[Cell]:
    """List the cells behind `results/beyond_text.parquet`."""
    dims = octaves(8192, 64)
    return [text_cell("shakespeare", 5, dims, seeds=(seed,)) for seed in range(3)]
