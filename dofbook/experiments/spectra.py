"""Spectra of full-training paths as cells: Figs. 10 and 11 of the paper."""

from dataclasses import dataclass
from typing import ClassVar, get_args

from dofbook import checks
from dofbook.experiments.config import Cell
from dofbook.methods.trajectories import Basis, record, spectrum, stored_steps


@dataclass(frozen=True, kw_only=True)
class SpectrumCell(Cell):
    """Describe full trainings whose paths are decomposed in every basis of lottery subspaces.

    Points are ``spacing`` updates apart, on a path of ``steps``, None for those of the task;
    ``extra_first_step`` as in ``LotterySubspace``.

    >>> from dofbook.training import TaskConfig
    >>> SpectrumCell(task=TaskConfig("mnist"), seeds=(0, 1)).place()["method"]
    'spectrum'
    """

    spacing: int = 5
    steps: int | None = None
    extra_first_step: int = 0

    kind: ClassVar[str] = "spectrum"

    def validate(self) -> None:
        checks.integer_fields(self, 1, "spacing", "steps")
        checks.integer_fields(self, 0, "extra_first_step", most=1)

    def _stored(self, task):
        return stored_steps(self.steps or task.steps, self.spacing, self.extra_first_step)

    def check(self, task):
        self._stored(task)

    def parts(self, task, seed):
        """Decompose a path: one row per basis and index (from 1)."""
        points = record(task, seed, self._stored(task))
        for basis in get_args(Basis):
            values = spectrum(points, basis).singular_values
            yield {"basis": basis, "index": range(1, len(values) + 1), "singular_value": values}
