"""Bits of a network trained in a random subspace, and the bound on its error that they give."""

from dataclasses import dataclass
from typing import ClassVar

from beyond.inside import first_directions, train_to_end

import dofbook as dof
from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.landscape.description import describe
from dofbook.training import TaskConfig


@dataclass(frozen=True, kw_only=True)
class BitsCell(Cell):
    """Describe networks trained in d Hadamard directions, their θ rounded to 2, 4, ... levels.

    >>> BitsCell(task=TaskConfig("digits"), d=64).levels
    (2, 4, 8, 16, 32)
    """

    d: int = 64
    levels: tuple[int, ...] = (2, 4, 8, 16, 32)

    kind: ClassVar[str] = "beyond.bits:BitsCell"

    def validate(self):
        checks.integer_fields(self, 1, "d")

    def place(self):
        return super().place() | {"d": self.d}

    def parts(self, task, seed):
        """Train and round: one row per number of levels, with bits, errors and the 95 % bound."""
        random = dof.RandomAffine(directions="hadamard", nested=True)
        space = random.subspace(task, seed, self.d)
        theta = train_to_end(task, first_directions(task, seed, self.d), seed)[: self.d]
        for levels in self.levels:
            found = describe(task, space, theta, levels)
            yield {
                "d": [self.d],
                "D": task.network.D,
                "levels": len(found.levels),
                "bits": found.bits,
                "error": found.error,
                "test_error": found.test_error,
                "bound": found.bound(),
            }


def published() -> list[Cell]:
    """List the cells behind `results/beyond_bits.parquet`."""
    tasks = [TaskConfig(dataset, epochs=1) for dataset in ("mnist", "fashion_mnist")]
    dims = (256, 128, 512, 64, 1024, 2048)
    return [BitsCell(task=task, seeds=(0, 1, 2), d=d) for task in tasks for d in dims]
