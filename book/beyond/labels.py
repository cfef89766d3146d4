"""How many training dimensions it takes to learn labels without a rule."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import numpy as np
from beyond.inside import epochs, first_directions, measured, point, search

from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.experiments.options import octaves
from dofbook.keys import Role, run_key
from dofbook.training import OptimizerConfig, Task, TaskConfig

LABELS = 200  # keeps the key of the labels apart from those of directions
EVERY = 3  # epochs between two measurements


def first_images(task: Task, count: int, seed: int, random: bool = False) -> Task:
    """Keep the first training images, with their labels, or with labels drawn uniformly."""
    data = task.data
    y = data.y_train[:count]
    if random:
        key = run_key(seed, Role.DIRECTIONS, LABELS)
        y = np.asarray(jax.random.randint(key, y.shape, 0, data.num_classes)).astype(y.dtype)
    return replace(task, data=replace(data, x_train=data.x_train[:count], y_train=y))


def best_accuracy(task: Task, seed: int, d: int) -> float:
    """Train in the first d of a seed's nested Hadamard directions; give the best accuracy."""
    space = first_directions(task, seed, d)
    thetas = [*epochs(task, space, seed)][::-1][::EVERY]  # from the last one backwards
    return max(measured(task, point(space, t), "train")["train_accuracy"] for t in thetas)


@dataclass(frozen=True, kw_only=True)
class LabelsCell(Cell):
    """Describe the search of the octave of d at which the first ``images`` reach ``level``.

    >>> LabelsCell(task=TaskConfig("digits"), random=True).images
    5000
    """

    images: int = 5000
    random: bool = False
    level: float = 0.9
    least: int = 16

    kind: ClassVar[str] = "beyond.labels:LabelsCell"

    def validate(self):
        checks.integer_fields(self, 1, "images", "least")

    def parts(self, task, seed):
        """Search up to D: one row per d tried, with its best training accuracy."""
        few, D = first_images(task, self.images, seed, self.random), task.network.D
        dims = [d for d in octaves(D, self.least) if d < D] + [D]
        labels = {"labels": "random" if self.random else "true", "D": D, "level": self.level}
        for d, value in search(lambda d: best_accuracy(few, seed, d), dims, self.level):
            yield labels | {"d": [d], "best_train_accuracy": value}


def published() -> list[Cell]:
    """List the cells behind `results/beyond_labels.parquet`: two trainings of both labels.

    At the rate of all subspaces random labels are not learned in any dimension.
    """
    slow = OptimizerConfig(learning_rate=3e-3)
    tasks = TaskConfig("mnist", epochs=30), TaskConfig("mnist", epochs=100, optimizer=slow)
    return [
        LabelsCell(task=task, seeds=(seed,), random=random)
        for task in tasks
        for seed in range(3)
        for random in (True, False)
    ]
