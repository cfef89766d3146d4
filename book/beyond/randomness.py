"""Whose randomness: every initialization with the same chains of nested subspaces."""

from pathlib import Path

import numpy as np
import pandas as pd

from dofbook.experiments.adaptive import AdaptiveConfig, run_adaptive
from dofbook.experiments.config import SweepConfig
from dofbook.experiments.options import octaves
from dofbook.experiments.store import Store
from dofbook.methods import RandomAffine
from dofbook.success import hit_dimensions, run_values
from dofbook.training.config import TaskConfig

LEVEL, METRIC = 0.9, "train_accuracy"


def crossed(task: TaskConfig, dims, initializations: int, chains: int, level=LEVEL, first_seed=0):
    """Describe the search: one method for each chain, all initializations in each.

    >>> [m.directions_seed for m in crossed(TaskConfig(), (8, 16), 2, 2).sweep.methods]
    [0, 1]
    """
    methods = tuple(RandomAffine(nested=True, directions_seed=chain) for chain in range(chains))
    sweep = SweepConfig(
        task, methods, tuple(dims), initializations, first_seed, baseline_learning_rates=()
    )
    narrow = 1e-6  # octaves: no initialization is left out
    return AdaptiveConfig(sweep, (level,), METRIC, half_width=narrow, first_runs=initializations)


def asked() -> AdaptiveConfig:
    """Describe the published search: Conv-2 on MNIST, 10 initializations, 6 chains each."""
    task, dims = TaskConfig("mnist", "conv2"), octaves(1024, 128, 2 ** (1 / 16))
    return crossed(task, dims, 10, 6, first_seed=5)


def published():
    """List every cell that the published search may ask for; its table has those it did."""
    return asked().cells()


def search(config: AdaptiveConfig, store: Path, data_dir=None, progress=False) -> pd.DataFrame:
    """Search the first hit of every pair, keeping all trainings: seed, chain, log2 of d_hit."""
    rows = []
    for method in config.sweep.methods:
        *_, (found,) = run_adaptive(config, method, Store(store), progress, data_dir=data_dir)
        for seed, hit in zip(config.sweep.seeds, found.hits, strict=False):
            middle = np.log2(config.grid[max(hit - 1, 0) : hit + 1]).mean()
            rows.append((seed, method.directions_seed, middle))
    return pd.DataFrame(rows, columns=["seed", "chain", "log2_hit"])


def first_hits(runs: pd.DataFrame, grid, level=LEVEL) -> pd.DataFrame:
    """Read the same off a published table: the middle, in octaves, of the step each pair closes.

    A pair counts once success and failure are next to each other on the ``grid``.
    """
    grid, rows = np.asarray(grid), []
    chains = runs["variant"].str.extract(r"directions seed (\d+)", expand=False)
    for (seed, chain), part in runs.assign(chain=chains).groupby(["seed", "chain"]):
        best = part.groupby("d")[f"best_{METRIC}"].max()
        hit = best.index[best >= level].min()
        at = np.searchsorted(grid, hit)
        if 0 < at < len(grid) and best.get(grid[at - 1], level) < level:
            rows.append((seed, int(chain), np.log2(grid[at - 1 : at + 1]).mean()))
    return pd.DataFrame(rows, columns=["seed", "chain", "log2_hit"])


def variances(hits: pd.DataFrame) -> dict[str, float]:
    """Split the variance of log2 d_hit: within initializations, and between them.

    Between is what the means of initializations vary by beyond what their chains make them.
    """
    groups = hits.groupby("seed")["log2_hit"]
    within, count = float(groups.var().mean()), float(groups.size().mean())
    between = float(groups.mean().var()) - within / count
    degrees = int((groups.size() - 1).sum())
    return {"within": within, "between": max(between, 0.0), "degrees": degrees}


def total_spread(runs: pd.DataFrame, levels, metric: str = METRIC) -> pd.DataFrame:
    """Measure the spread of log2 d_hit over seeds at levels, and their mean d_hit.

    ``runs`` are of one method at many d; levels that not every seed reaches are left out.
    """
    curve, rows = run_values(runs, metric).complete(), []
    for level in levels:
        hits = hit_dimensions(curve.dims, curve.values, level, kind=curve.kind, interpolate=True)
        if np.isfinite(hits).all() and (hits > curve.dims[0]).all():
            logs = np.log2(hits)
            rows.append((level, 2 ** logs.mean(), logs.std(ddof=1)))
    return pd.DataFrame(rows, columns=["level", "d_hit", "spread"])
