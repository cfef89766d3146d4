"""How fast cells go, from the times of those that are stored; without JAX."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dofbook.experiments.config import Cell
from dofbook.experiments.store import StoredCell

PRIOR_SLOPE = 6e-4
"""per_dimension / per_epoch before cells of several d are stored; Conv-2 on MNIST on a CPU."""


@dataclass(frozen=True)
class Rates:
    """Hold the coefficients of a model of a cell's time, in seconds.

    It is ``fixed`` (mostly compilation) + runs * (epochs * ``per_epoch`` + d * (``once``, to draw
    the directions, + epochs * ``per_dimension``)).

    >>> from dofbook.experiments.config import CellConfig, TaskConfig
    >>> Rates(1.0, 0.0, 2.0, 0.0).seconds(CellConfig(task=TaskConfig(epochs=3), seeds=(0, 1)))
    13.0
    """

    fixed: float
    once: float
    per_epoch: float
    per_dimension: float

    def seconds(self, cell: Cell) -> float:
        """Predict a cell's wall time."""
        work = cell.work()
        each = (work.epochs + work.before) * self.per_epoch
        each += work.d * (self.once + work.epochs * self.per_dimension)
        return self.fixed + work.runs * each


def device_of(cell: StoredCell) -> dict[str, str]:
    """Name the device that computed a cell, as ``provenance.devices`` does; {} if it is unknown."""
    return ((cell.provenance.get("environment") or {}).get("devices") or [{}])[0]


def of_last_device(stored: Sequence[StoredCell]) -> list[StoredCell]:
    """Keep the cells computed on the device that was used last: others have other rates."""
    last = max(stored, key=lambda cell: str(cell.provenance.get("started")), default=None)
    return [cell for cell in stored if last and device_of(cell) == device_of(last)]


def fit_rates(stored: Iterable[StoredCell]) -> dict[tuple, Rates]:
    """Fit the time model to the wall times of each kind's stored cells on the device used last."""
    groups: dict[tuple, list[StoredCell]] = {}
    for cell in stored:
        if cell.provenance.get("wall_seconds") is not None:
            groups.setdefault(cell.config.work().kind, []).append(cell)
    return {kind: _fit_rates(of_last_device(cells)) for kind, cells in groups.items()}


def _fit_rates(cells: Sequence[StoredCell]) -> Rates:
    works = (cell.config.work() for cell in cells)
    rows = [(w.runs * w.epochs, w.runs * (w.epochs + w.before), w.d) for w in works]
    own, work, d = np.array(rows, float).T
    seconds = np.array([c.provenance["wall_seconds"] for c in cells], float)
    if len(set(d)) < 3 or len(cells) < 4:
        each = float(np.quantile(seconds / (work + own * PRIOR_SLOPE * d), 0.5))
        return Rates(0.0, 0.0, each, PRIOR_SLOPE * each)
    from scipy.optimize import nnls

    columns = np.stack([np.ones_like(work), work, own * d], axis=1) / seconds[:, None]
    scale = np.linalg.norm(columns, axis=0)  # relative errors, columns of equal size
    fixed, each, slope = nnls(columns / scale, np.ones_like(seconds))[0] / scale
    return Rates(float(fixed), 0.0, float(each), float(slope))


def predict(rates: dict[tuple, Rates], cells: Sequence[Cell]) -> float | None:
    """Predict the wall time, in seconds, of cells that follow each other; None if one is unknown.

    Cells of another method take the rates of a method of the same task.
    """
    total, alike = 0.0, {kind[:5]: found for kind, found in reversed(rates.items())}
    for cell in cells:
        kind = cell.work().kind
        if (known := rates.get(kind) or alike.get(kind[:5])) is None:
            return None
        total += known.seconds(cell)
    return total


def parallelism(stored: Iterable[StoredCell]) -> float:
    """Tell how many cells ran at a time, on average, while any ran; at least 1."""
    times = [(o.get("started"), o.get("wall_seconds")) for o in (c.provenance for c in stored)]
    begins = [
        (datetime.fromisoformat(s).timestamp(), length) for s, length in times if s and length
    ]
    covered, end = 0.0, -np.inf
    for begin, length in sorted(begins):
        covered += max(begin + length - max(begin, end), 0.0)
        end = max(end, begin + length)
    return max(sum(length for _, length in begins) / covered, 1.0) if covered else 1.0
