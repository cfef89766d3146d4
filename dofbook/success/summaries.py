"""The two questions asked of runs: how often do they succeed, and from which d on."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import check_runs
from dofbook.success.tables import REQUIRED, CurveKey, metric_kind, success_map, threshold_table
from dofbook.success.thresholds import Threshold


def success_probability(
    runs: pd.DataFrame | ArrayLike, metric: str, level: float, *, dims: ArrayLike | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tabulate P_s(d): how often the best value of a run reached the level, with Wilson intervals.

    `runs` is the tidy table of a sweep, or with `dims` a plain array of shape (dims, seeds), of
    which `metric` then only says which way it counts. Columns: method, burn_in_steps, variant, d,
    successes, runs, probability, lower, upper; dataset and network too where the table holds
    several, and from d on for an array. Paper, Eq. 2.3.

    >>> losses = [[0.9, 0.7, 0.8], [0.4, 0.6, 0.3]]
    >>> success_probability(losses, "train_loss", 0.5, dims=[16, 64]).round(2)
        d  successes  runs  probability  lower  upper
    0  16          0     3         0.00   0.00   0.56
    1  64          2     3         0.67   0.21   0.94
    """
    table, level = _table(runs, metric, dims), _level(metric, level)
    found = success_map(table, metric, level, confidence=confidence).drop(columns="level")
    if dims is not None:
        return found.drop(columns=list(CurveKey._fields))
    alike = (found[["dataset", "network"]].nunique() == 1).all()
    return found.drop(columns=["dataset", "network"]) if alike else found


def threshold(
    runs: pd.DataFrame | ArrayLike, metric: str, level: float, delta: float = 0.1, *,
    dims: ArrayLike | None = None, confidence: float = 0.95,
) -> Threshold | pd.Series:  # fmt: skip
    """Find d*, the smallest d of the grid whose runs reach the level with P_s >= 1 - delta.

    `runs`, `metric` and `dims` are those of `success_probability`. Several curves in a table give a
    Series of thresholds, by method and, where there are any, data and network, burn-in time,
    variant. The interval is `inverted_interval`, which few runs leave open. Paper, Definition 2.1.

    >>> losses = [[0.9, 0.7, 0.8], [0.6, 0.6, 0.3], [0.1, 0.2, 0.1]]
    >>> threshold(losses, "train_loss", 0.5, delta=0.5, dims=[16, 32, 64])
    64 [<= 16, > 64]
    """
    table, level = _table(runs, metric, dims), _level(metric, level)
    options = {"delta": delta, "interval": "inverted", "confidence": confidence}
    rows = list(threshold_table(table, metric, level, **options).itertuples(index=False))
    found = [
        Threshold(r.threshold, float(r.d_min), float(r.d_max), r.lower, r.upper, confidence)
        for r in rows
    ]
    if len(rows) == 1:
        return found[0]
    alike = len({row[:2] for row in rows}) == 1
    labels = [
        ("" if alike else f"{r.dataset}, {r.network}: ") + r.method
        + (f", t = {r.burn_in_steps}" if r.burn_in_steps else "")
        + (f" ({r.variant})" if r.variant else "")
        for r in rows
    ]  # fmt: skip
    return pd.Series(found, labels, name=f"d* at {metric} {level:g}")


def _level(metric: str, level: float) -> float:
    return checks.real("level", level, *((0, 1) if metric.endswith("accuracy") else ()))


def _table(runs, metric: str, dims: ArrayLike | None) -> pd.DataFrame:
    """Give the table, or make one of an array."""
    metric_kind(metric)
    if dims is None:
        if not isinstance(runs, pd.DataFrame):
            raise InputError("runs are no table; an array of runs needs dims, one d for each row.")
        return runs
    grid, values, _ = check_runs(dims, runs, None)
    whole = grid.astype(int) if (grid == np.round(grid)).all() else grid
    seeds = values.shape[1]
    axes = {"d": np.repeat(whole, seeds), "seed": np.tile(np.arange(seeds), len(grid))}
    return pd.DataFrame({**dict.fromkeys(REQUIRED, 0), **axes, f"best_{metric}": values.ravel()})
