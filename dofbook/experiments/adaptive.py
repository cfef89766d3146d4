"""Adaptive sweeps: find where each initialization first succeeds, instead of running a whole grid.

With nested subspaces a run that succeeds at d succeeds at every larger d, up to the accidents of
training: bisection (``success.bisection``) finds its first success in about log2(grid) trainings,
each an ordinary cell of one seed in the store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from tqdm import tqdm

from dofbook import checks
from dofbook.errors import InputError
from dofbook.experiments.config import Cell, CellConfig, SweepConfig
from dofbook.experiments.executors import check_cells, is_hidden
from dofbook.experiments.store import Store
from dofbook.experiments.sweeping import run_cells
from dofbook.methods import Method
from dofbook.success.bisection import Search, quantile_interval, reach
from dofbook.success.checks import check_level, metric_kind
from dofbook.success.probability import success_indicator
from dofbook.success.thresholds import Threshold
from dofbook.training import make_task


@dataclass(frozen=True)
class AdaptiveConfig:
    """Say at which levels thresholds are wanted and how narrow; InputError if that is not allowed.

    ``sweep`` gives task, methods (nested whatever it says), grid of dims, first seed, and in
    ``runs`` the largest number of initializations, of which ``first_runs`` begin; more are added
    two at a time, until every interval, of coverage ``confidence``, reaches at most ``half_width``
    octaves to each side of d* at the failure probability ``delta``. The best value at any
    checkpoint counts, as in the paper.

    >>> AdaptiveConfig(SweepConfig(dims=(8, 4)), levels=(0.5,)).grid
    (4, 8)
    """

    sweep: SweepConfig
    levels: tuple[float, ...]
    metric: str = "test_accuracy"
    half_width: float = 0.25
    delta: float = 0.1
    confidence: float = 0.95
    first_runs: int = 4

    def __post_init__(self):
        if not self.levels:
            raise InputError("an adaptive sweep needs at least one level.")
        for level in self.levels:
            check_level(level, self.metric)
            if metric_kind(self.metric) == "loss":
                checks.positive("level", level)
        checks.positive("half_width", self.half_width)
        checks.probability("delta", self.delta)
        checks.probability("confidence", self.confidence)
        checks.integer_fields(self, 2, "first_runs")
        if self.sweep.runs < 2:
            raise InputError(f"runs is {self.sweep.runs}; an adaptive sweep needs at least 2.")
        for method in self.sweep.methods:
            method.as_nested()
        if not self.sweep.methods:
            raise InputError("an adaptive sweep needs a method whose subspaces are nested.")

    @property
    def grid(self) -> tuple[int, ...]:
        """The training dimensions, increasing."""
        return tuple(sorted(self.sweep.dims))

    def cells(self) -> list[Cell]:
        """List every cell that a search may ask for."""
        probes = product(self.sweep.methods, self.sweep.seeds, range(len(self.grid)))
        return [probe_cell(self, method, (seed, point)) for method, seed, point in probes]


Probe = tuple[int, int]
"""A seed and a grid point."""


@dataclass(frozen=True)
class LevelResult:
    """Hold what an adaptive search found at one level.

    ``hits`` are the grid points of each initialization's first success, len(grid) for none;
    ``trainings`` include those for other levels.

    >>> LevelResult(0.5, Threshold(8, 4, 16, 4, 16, 0.95), hits=(1, 1), trainings=5).threshold.value
    8
    """

    level: float
    threshold: Threshold
    hits: tuple[int, ...]
    trainings: int


def search(
    config: AdaptiveConfig, attempt: Callable[[Sequence[Probe]], Mapping[Probe, float]]
) -> Iterator[list[LevelResult]]:
    """Search every level's d* until all intervals are narrow enough or seeds run out.

    ``attempt`` trains at probes, all that can be made side by side, and gives the best values of
    the metric. Yields one entry per level whenever a group of initializations is done.

    >>> config = AdaptiveConfig(SweepConfig(dims=(4, 8, 16)), levels=(0.4,))
    >>> next(search(config, lambda probes: {p: p[1] / 2 for p in probes}))[0].hits
    (1, 1, 1)
    """
    n, kind = len(config.grid), metric_kind(config.metric)
    searches, tried = dict[tuple[int, float], Search](), set[Probe]()
    seeds, count = config.sweep.seeds, 0
    while count < len(seeds):
        group = seeds[count : count + (config.first_runs if count == 0 else 2)]
        guesses = {level: _guess(searches, level, n) for level in config.levels}
        searches |= {(s, level): Search(n) for s in group for level in config.levels}
        while True:
            left = {key: found for key, found in searches.items() if not found.done}
            asked = dict.fromkeys((seed, left[seed, v].ask(guesses[v])) for seed, v in left)
            if not (probes := [probe for probe in asked if probe not in tried]):
                break
            tried.update(probes)
            for (seed, point), value in attempt(probes).items():
                for level in config.levels:
                    success = bool(success_indicator([[value]], level, kind=kind)[0, 0, 0])
                    searches[seed, level].tell(point, success)
        count += len(group)
        known = []
        for level in config.levels:
            hits = tuple(searches[seed, level].succeeded for seed in seeds[:count])
            d_star = quantile_interval(config.grid, hits, config.delta, config.confidence)
            known.append(LevelResult(level, d_star, hits, len(tried)))
        yield known
        # Where a first success lies outside the grid, more initializations do not help.
        if all(
            {0, n} & set(found.hits) or reach(found.threshold) <= config.half_width
            for found in known
        ):
            return


def _guess(searches: Mapping, level: float, n: int) -> int:
    """Guess a first success: the median of those found, at the outset the middle of the grid."""
    found = [search.succeeded for (_, other), search in searches.items() if other == level]
    return int(np.median(found)) if found else n // 2


def probe_cell(config: AdaptiveConfig, method: Method, probe: Probe) -> CellConfig:
    """Describe one training of an adaptive sweep: one seed, nested subspaces.

    >>> config = AdaptiveConfig(SweepConfig(dims=(4, 8)), levels=(0.5,))
    >>> probe_cell(config, config.sweep.methods[0], (0, 1)).d
    8
    """
    (seed, point), nested = probe, method.as_nested()
    return CellConfig(task=config.sweep.task, method=nested, d=config.grid[point], seeds=(seed,))


def run_adaptive(
    config: AdaptiveConfig, method: Method, store: Store, progress: bool = True, **how: Any
) -> Iterator[list[LevelResult]]:
    """Search the thresholds of one method, as ``search``, by trainings as of ``run_cells``.

    InputError, before the first training, if any that it may come to cannot run.
    """

    def attempt(probes):
        nonlocal checked
        cells = [probe_cell(config, method, probe) for probe in probes]
        if not (checked or all(store.path(cell.name).exists() for cell in cells)):
            measured = make_task(config.sweep.task, how.get("data_dir")).objective.metric_names
            if config.metric not in measured:
                raise InputError(f"metric is {config.metric!r}; allowed: {', '.join(measured)}.")
            check_cells(config.cells(), (), how.get("data_dir"), store)
            checked = True
        found = run_cells(cells, store, progress=None, **how)
        stored = {cell.config.name: cell.table for cell in found}
        bar.update(len(probes))
        reached = {}
        for probe, cell in zip(probes, cells, strict=True):
            rows = stored[cell.name].to_pandas(use_threads=False).sort_values("step")
            reached[probe] = float(rows[f"best_{config.metric}"].iloc[-1])
        return reached

    checked = False
    with tqdm(unit=" trainings", disable=is_hidden(progress)) as bar:
        yield from search(config, attempt)
