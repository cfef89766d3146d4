"""The threshold of fully connected networks of many sizes, at one accuracy for all."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import flax.linen as nn
from beyond.inside import first_directions, measured, point, search, train_to_end

import dofbook as dof
from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.experiments.options import octaves
from dofbook.training import Task, TaskConfig


class Connected(nn.Module):
    """Fully connected layers with ReLU, ``depth`` hidden ones of the same ``width``."""

    width: int
    depth: int
    num_classes: int = 10

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(self.num_classes)(x)


@lru_cache(maxsize=16)
def resized(task: Task, width: int, depth: int) -> Task:
    """Give the task a fully connected network of this size, compiled once."""
    network = dof.flatten(Connected(width, depth, task.data.num_classes), task.data.x_train[:1])
    return replace(task, network=network)


@dataclass(frozen=True, kw_only=True)
class SizesCell(Cell):
    """Describe the search of the quarter octave of d at which a network reaches ``level``.

    >>> SizesCell(task=TaskConfig("digits", "mlp"), width=50, depth=1).level
    0.9
    """

    width: int
    depth: int
    level: float = 0.9
    first: int = 64
    last: int = 2048

    kind: ClassVar[str] = "beyond.sizes:SizesCell"

    def validate(self):
        checks.integer_fields(self, 1, "width", "depth", "first", "last")

    def parts(self, task, seed):
        """Search in nested Hadamard directions: one row per d tried, with its accuracy."""
        sized = resized(task, self.width, self.depth)
        D = sized.network.D

        def accuracy(d: int) -> float:
            space = first_directions(sized, seed, d)
            w = point(space, train_to_end(sized, space, seed))
            return measured(sized, w, "train")["train_accuracy"]

        about = {"width": self.width, "depth": self.depth, "D": D, "level": self.level}
        for d, value in search(accuracy, octaves(self.last, self.first, 2**0.25), self.level):
            yield about | {"d": [d], "train_accuracy": value}


WIDTHS, DEPTHS, SEEDS = (50, 100, 200, 400), (1, 2, 3), 5


def published() -> list[Cell]:
    """List the cells behind `results/beyond_sizes.parquet`, one seed after another."""
    task = TaskConfig("mnist", "mlp", epochs=1)
    sizes = [(width, depth) for depth in DEPTHS for width in WIDTHS]
    return [
        SizesCell(task=task, seeds=(seed,), width=width, depth=depth)
        for seed in range(SEEDS)
        for width, depth in sizes
    ]
