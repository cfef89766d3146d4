"""Two random subspaces of one start: their solutions, the segment between, and both together."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from beyond.inside import measured, point, probabilities, train_to_end

from dofbook import checks, subspaces
from dofbook.experiments.config import Cell
from dofbook.keys import Role, run_key
from dofbook.subspaces import AffineSubspace
from dofbook.training import Task, TaskConfig


def solutions(task: Task, seed: int, d: int) -> list[jax.Array]:
    """Train from one w0, with the same batches, in two independent subspaces; give both w (D,)."""
    key, found = run_key(seed, Role.DIRECTIONS, d), []
    for number in range(2):
        drawn = subspaces.hadamard(jax.random.fold_in(key, number), d, task.network.D)
        space = AffineSubspace(task.initialization(seed), drawn)
        found.append(point(space, train_to_end(task, space, seed)))
    return found


@dataclass(frozen=True, kw_only=True)
class TwoSolutionsCell(Cell):
    """Describe two solutions of each seed and ``points`` places on the segment between them.

    >>> TwoSolutionsCell(task=TaskConfig("digits"), d=512).points
    9
    """

    d: int = 2048
    points: int = 9

    kind: ClassVar[str] = "beyond.two_solutions:TwoSolutionsCell"

    def validate(self):
        checks.integer_fields(self, 1, "d")
        checks.integer_fields(self, 2, "points")

    def place(self):
        return super().place() | {"d": self.d}

    def parts(self, task, seed):
        """Measure: one row per place, with its share of the way from the first to the second.

        Beside it, the same on all rows: the cosine of the two displacements from w0, the share of
        test images on which both predict the same, and the test accuracy of their mean probability.
        """
        w0, (first, second) = task.initialization(seed), solutions(task, seed, self.d)
        u, v = first - w0, second - w0
        p, q = (probabilities(task, w) for w in (first, second))
        both = {
            "d": self.d,
            "D": task.network.D,
            "cosine": float(u @ v / jnp.linalg.norm(u) / jnp.linalg.norm(v)),
            "agreement": float((p.argmax(1) == q.argmax(1)).mean()),
            "ensemble_accuracy": float(((p + q).argmax(1) == task.arrays.y_test).mean()),
        }
        for share in np.linspace(0, 1, self.points):
            w = (1 - share) * first + share * second
            metrics = measured(task, w, "train") | measured(task, w, "test")
            yield both | {"share": [share]} | metrics


def published() -> list[Cell]:
    """List the cell behind `results/beyond_two_solutions.parquet`."""
    return [TwoSolutionsCell(task=TaskConfig("mnist", epochs=1), seeds=tuple(range(3, 13)))]
