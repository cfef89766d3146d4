"""Cuts of the test loss through w0 and two optima, of a network and its linearization: Fig. 9."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from dofbook import checks
from dofbook.experiments.config import Cell

PLACES = ("w0", "optimum 1", "optimum 2")
"""The points that span the plane, as the column ``place`` names them."""

MARGIN = 0.35  # of the longer side of the points' box, on all four sides


@dataclass(frozen=True, kw_only=True)
class CutCell(Cell):
    """Describe a cut, on a square grid, of a network and its linearization at w0 and two optima.

    Optimum 1 is trained from w0, and the linearization is around it; optimum 2 from the next seed's
    w0, since from the same it would nearly coincide. Source: Larsen et al. (2022), Fig. 9.

    >>> from dofbook.training import TaskConfig
    >>> CutCell(task=TaskConfig("mnist"), optimum_steps=1407).place()["method"]
    'cut'
    """

    optimum_steps: int
    grid: int = 21

    kind: ClassVar[str] = "cut"

    def validate(self) -> None:
        checks.integer_fields(self, 1, "optimum_steps")
        checks.integer_fields(self, 2, "grid")

    def work(self):
        evaluations = 2 * self.grid**2 / 20  # a twentieth of an epoch each, about
        return replace(super().work(), epochs=evaluations, before=2 * (self.task.epochs or 0))

    def most_rows(self):
        return len(self.seeds) * 2 * (self.grid**2 + len(PLACES))

    def parts(self, task, seed):
        """Evaluate the plane: one row per model ("network", "linearized") and point.

        Columns: place ("grid" or one of ``PLACES``), x and y (distances from w0), test_loss,
        test_accuracy.
        """
        from dofbook.experiments.executors import is_hidden
        from dofbook.experiments.linearized import weights_after
        from dofbook.landscape.linearization import linearize
        from dofbook.landscape.slices import plane_through, slice_metrics

        network = task.network.with_derivatives("linear")
        first, second = (weights_after(task, s, self.optimum_steps) for s in (seed, seed + 1))
        points = [np.asarray(w) for w in (task.initialization(seed), first, second)]
        plane = plane_through(*points)
        corners = np.array([plane.coordinates(w) for w in points])
        models = {"network": network, "linearized": linearize(network, first)}
        lines = [(name, *line) for name in models for line in _places(corners, self.grid)]
        for name, place, x, y in tqdm(lines, unit="row", leave=False, disable=is_hidden(True)):
            values = slice_metrics(task, models[name], plane, x, np.array([y]), "test")[0]
            found = dict(zip(task.objective.metric_names[2:], values.T, strict=True))
            yield {"model": name, "place": place, "x": x, "y": y, **found}


def _places(corners: np.ndarray, grid: int) -> list[tuple[str, np.ndarray, float]]:
    """List what to evaluate, as (place, values of x, y): the grid row by row, then the corners."""
    low, high = corners.min(0), corners.max(0)
    margin = MARGIN * (high - low).max()
    x, y = np.linspace(low - margin, high + margin, grid, axis=1)
    ends = zip(PLACES, corners, strict=True)
    return [("grid", x, b) for b in y] + [(place, end[:1], end[1]) for place, end in ends]
